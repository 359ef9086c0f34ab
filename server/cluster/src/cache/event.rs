//! Events: the newest of each namespace.

use std::sync::Arc;

use berth_types::rows::EventRow;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    pod::{WireMeta, shorten},
    query::{Column, Key, Listed, mentions},
    store::{Entry, Record},
};
use crate::intern::Interner;

/// An event, as far as it is read. Both ways to write one are in use: `count` and times, or `series` and `eventTime`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEvent {
    metadata: WireMeta<serde::de::IgnoredAny>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    involved_object: WireObject,
    #[serde(default)]
    count: Option<i32>,
    #[serde(default)]
    first_timestamp: Option<Timestamp>,
    #[serde(default)]
    last_timestamp: Option<Timestamp>,
    #[serde(default)]
    event_time: Option<Timestamp>,
    #[serde(default)]
    series: Option<WireSeries>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireObject {
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSeries {
    #[serde(default)]
    count: i32,
    #[serde(default)]
    last_observed_time: Option<Timestamp>,
}

/// An event in the cache.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRecord {
    pub(crate) name: Arc<str>,
    pub(crate) row: EventRow,
}

impl Record for EventRecord {
    type Wire = WireEvent;
    const MOST: Option<usize> = Some(1000);
    const COUNTED: &'static [Column<Self>] = Self::COLUMNS;

    fn decode(event: WireEvent, strings: &Interner) -> Option<Entry<Self>> {
        let meta = &event.metadata;
        if meta.name.is_empty() {
            return None;
        }
        let made = meta.creation_timestamp.or(event.event_time).unwrap_or_default();
        let first_at = event.first_timestamp.or(event.event_time).unwrap_or(made);
        let in_series = event.series.as_ref().and_then(|s| s.last_observed_time);
        let last_at = in_series.or(event.last_timestamp).or(event.event_time).unwrap_or(made);
        let count = event.series.as_ref().map(|s| s.count).or(event.count).unwrap_or(1).max(1);
        let name: Arc<str> = meta.name.as_str().into();
        let object = &event.involved_object;
        let row = EventRow {
            kind: strings.get(&event.kind),
            reason: strings.get(&event.reason),
            message: shorten(&event.message).into(),
            object: format!("{}/{}", object.kind, object.name).into(),
            app: (object.kind == "App").then(|| strings.get(&object.name)),
            count,
            first_at,
            last_at,
        };
        let version = meta.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: strings.get(&meta.namespace), name: name.clone(), version, row: Self { name, row } })
    }

    fn app(&self) -> Option<&Arc<str>> {
        self.row.app.as_ref()
    }

    fn age(&self) -> i64 {
        self.row.last_at.as_millisecond()
    }
}

impl Listed for EventRecord {
    type Out = EventRow;
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "kind", key: |e| Key::Text(&e.row.kind), facet: true },
        Column { name: "reason", key: |e| Key::Text(&e.row.reason), facet: true },
        Column { name: "object", key: |e| Key::Text(&e.row.object), facet: false },
        Column { name: "app", key: |e| Key::text(e.row.app.as_deref()), facet: true },
        Column { name: "count", key: |e| Key::Number(e.row.count.into()), facet: false },
        Column { name: "last", key: |e| Key::Number(e.row.last_at.as_millisecond()), facet: false },
    ];
    const DEFAULT_SORT: &'static str = "-last";
    fn name(&self) -> &str {
        &self.name
    }
    fn mentions(&self, word: &str) -> bool {
        mentions(&self.row.message, word) || mentions(&self.row.reason, word) || mentions(&self.row.object, word)
    }
    fn out(&self) -> EventRow {
        self.row.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(event: Value) -> EventRow {
        EventRecord::decode(serde_json::from_value(event).expect("an event"), &Interner::default())
            .expect("a row")
            .row
            .row
    }

    #[test]
    fn both_ways_to_write_one() {
        let old = row(json!({
            "metadata": {"name": "web.1", "namespace": "n", "resourceVersion": "3", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "type": "Warning", "reason": "BackOff", "message": "Back-off", "count": 7, "involvedObject": {"kind": "Pod", "name": "web-1"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:09:00Z", "eventTime": null,
        }));
        assert_eq!((&*old.object, old.count), ("Pod/web-1", 7));
        assert_eq!(old.last_at, "2026-01-01T00:09:00Z".parse().expect("a time"));
        let new = row(json!({
            "metadata": {"name": "web.2", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "type": "Warning", "reason": "FailedScheduling", "involvedObject": {"kind": "Pod", "name": "web-1"},
            "firstTimestamp": null, "lastTimestamp": null, "eventTime": "2026-01-01T00:00:01.123456Z",
            "series": {"count": 4, "lastObservedTime": "2026-01-01T00:02:00.000000Z"},
        }));
        assert_eq!(new.count, 4);
        assert_eq!(new.first_at, "2026-01-01T00:00:01.123456Z".parse().expect("a time"));
        assert_eq!(new.last_at, "2026-01-01T00:02:00Z".parse().expect("a time"));
    }
}
