//! What was taken and used, and what was put right.

use std::collections::BTreeMap;

use berth_types::drift::{Drift, DriftKind};
use berth_types::usage::{Idle, UsageAmounts, UsageHistory, UsageLevel, UsageNow, UsagePoint, UsageSummary};
use serde_json::Value;

use super::{at, named, to_value};
use crate::handlers::namespaces::Drifts;

fn level(average: &str, peak: &str) -> Option<UsageLevel> {
    Some(UsageLevel { average: average.to_owned(), peak: peak.to_owned() })
}

fn amounts() -> UsageAmounts {
    UsageAmounts {
        used: level("2900m", "4800m"),
        requests: level("8", "8"),
        limits: level("16", "16"),
        quota: Some("10".to_owned()),
    }
}

pub(super) fn idle() -> Idle {
    Idle {
        resource: "cpu".to_owned(),
        reserved: "8".to_owned(),
        idle: "5100m".to_owned(),
        part: 637,
        never: Some("3200m".to_owned()),
    }
}

pub(super) fn summary() -> UsageSummary {
    UsageSummary { resource: "cpu".to_owned(), amounts: amounts(), idle: Some(idle()) }
}

fn drift() -> Drift {
    Drift {
        object: "NetworkPolicy berth-deny".to_owned(),
        kind: DriftKind::Changed,
        by: Some("kubectl-edit".to_owned()),
        first_at: at(-120),
        last_at: at(-10),
        times: 2,
    }
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "UsageHistory" => history(),
        "Drift" => to_value(drift()),
        "Drifts" => to_value(Drifts { items: vec![drift()] }),
        _ => None,
    }
}

fn history() -> Option<Value> {
    let now = UsageNow {
        resource: "cpu".to_owned(),
        used: Some("3100m".to_owned()),
        requests: Some("8".to_owned()),
        limits: Some("16".to_owned()),
        quota: Some("10".to_owned()),
    };
    let point = |minutes, hours, resources| UsagePoint { at: at(minutes), hours, resources };
    to_value(UsageHistory {
        cluster: named("local")?,
        from: at(-720),
        to: at(0),
        step_hours: 6,
        hours: 6,
        measured_hours: 6,
        now: vec![now],
        summary: vec![summary()],
        points: vec![point(-720, 0, BTreeMap::new()), point(-360, 6, BTreeMap::from([("cpu".to_owned(), amounts())]))],
    })
}
