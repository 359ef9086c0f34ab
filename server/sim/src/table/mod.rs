//! `meta.k8s.io/v1 Table`: the columns that kubectl prints (`pkg/printers/internalversion/printers.go`).

mod builtin;
mod columns;
mod custom;
mod pod;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::{ResourceType, Version};

/// A column: name, type (`string`, `integer`, `boolean`, `date`) and whether only `-o wide` shows it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

/// A table of objects. `include` is the query parameter `includeObject`.
pub fn render<'a>(
    resource: &ResourceType,
    version: &Version,
    objects: impl Iterator<Item = &'a Value>,
    include: &str,
    now: Timestamp,
) -> Value {
    let columns = match &version.custom {
        Some(custom) => custom::columns(custom),
        None => columns::columns(resource),
    };
    let rows: Vec<_> = objects
        .map(|object| {
            let cells = match &version.custom {
                Some(custom) => custom::cells(custom, object, now),
                None => builtin::cells(resource, object, now),
            };
            let mut row = json!({"cells": cells});
            match include {
                "None" => row["object"] = Value::Null,
                "Object" => row["object"] = object.clone(),
                _ => {
                    row["object"] = json!({
                        "kind": "PartialObjectMetadata",
                        "apiVersion": "meta.k8s.io/v1",
                        "metadata": object["metadata"],
                    });
                }
            }
            row
        })
        .collect();
    let columns: Vec<_> = columns
        .into_iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            })
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": columns, "rows": rows})
}

/// `5d3h`, as `k8s.io/apimachinery/pkg/util/duration` HumanDuration prints it; `<unknown>` without a time.
#[must_use]
pub fn age(since: &Value, now: Timestamp) -> String {
    match since.as_str().and_then(|at| at.parse::<Timestamp>().ok()) {
        Some(at) => human_duration(now.as_second() - at.as_second()),
        None => "<unknown>".into(),
    }
}

/// A number of seconds for people.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        s if s < -1 => "<invalid>".into(),
        s if s < 0 => "0s".into(),
        s if s < 60 * 2 => format!("{s}s"),
        s if minutes < 10 => match s % 60 {
            0 => format!("{minutes}m"),
            rest => format!("{minutes}m{rest}s"),
        },
        _ if minutes < 60 * 3 => format!("{minutes}m"),
        s if hours < 8 => match s / 60 % 60 {
            0 => format!("{hours}h"),
            rest => format!("{hours}h{rest}m"),
        },
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => match hours % 24 {
            0 => format!("{}d", hours / 24),
            rest => format!("{}d{rest}h", hours / 24),
        },
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => match hours / 24 % 365 {
            0 => format!("{}y", hours / 24 / 365),
            rest => format!("{}y{rest}d", hours / 24 / 365),
        },
        _ => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_prints_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (3 * 3600 + 61, "3h1m"),
            (9 * 3600, "9h"),
            (49 * 3600, "2d1h"),
            (9 * 86400, "9d"),
            (800 * 86400, "2y70d"),
        ] {
            assert_eq!(human_duration(seconds), text);
        }
    }
}
