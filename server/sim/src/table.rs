//! `meta.k8s.io/v1 Table`: the columns that kubectl prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::registry::{ResourceType, Version};

/// A table of objects. `include` is the query parameter `includeObject`.
pub fn render<'a>(
    _resource: &ResourceType,
    _version: &Version,
    objects: impl Iterator<Item = &'a Value>,
    include: &str,
    now: Timestamp,
) -> Value {
    let rows: Vec<_> = objects
        .map(|object| {
            let cells = json!([object["metadata"]["name"], age(&object["metadata"]["creationTimestamp"], now)]);
            let mut row = json!({"cells": cells});
            match include {
                "None" => {}
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
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "Name must be unique within a namespace.", "priority": 0},
            {"name": "Age", "type": "string", "format": "", "description": "CreationTimestamp is a timestamp representing the server time when this object was created.", "priority": 0},
        ],
        "rows": rows,
    })
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
