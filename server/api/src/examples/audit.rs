//! The audit log.

use berth_core::audit::export::Format;
use berth_types::{
    audit::AuditCheckpoint,
    people::AuditEntry,
    view_as::{ViewEnd, ViewRecord},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{at, named, to_value};
use crate::handlers::me::Views;

pub(super) fn entry() -> Option<AuditEntry> {
    Some(AuditEntry {
        id: 4711,
        at: at(60),
        actor: "alice".to_owned(),
        via: "token:berth_Zm9vYm".to_owned(),
        action: "app.scale".to_owned(),
        target: "shop/prod/checkout".to_owned(),
        tenant: named("shop"),
        outcome: "done".to_owned(),
        reason: None,
        detail: Some(json!({ "component": null, "replicas": 3 })),
        request_id: "0193f0a0-1".to_owned(),
        network: "192.0.2.7".to_owned(),
        hash: HASH.to_owned(),
    })
}

fn view() -> Option<ViewRecord> {
    Some(ViewRecord {
        id: Uuid::from_u128(0x0193_f0a0_7000_7000_8000_0000_0000_0001),
        by: named("olga")?,
        reason: "Alice cannot find the app checkout".to_owned(),
        begun_at: at(0),
        until: at(30),
        ended_at: Some(at(12)),
        ended: Some(ViewEnd::Asked),
    })
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "AuditEntry" => to_value(entry()?),
        "AuditCheckpoint" => to_value(checkpoint()),
        "ViewRecord" => to_value(view()?),
        "Views" => to_value(Views { items: view().into_iter().collect() }),
        _ => None,
    }
}

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) fn checkpoint() -> AuditCheckpoint {
    AuditCheckpoint {
        version: 1,
        installation: "3f1c9a5be2d04c7f8a6b1d2e3c4f5a60".to_owned(),
        sequence: 4711,
        hash: HASH.to_owned(),
        at: at(90),
        key: "21fe31dfa154a261".to_owned(),
        signature: "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw=="
            .to_owned(),
    }
}

/// A checkpoint, and a line of an export in each form.
pub(crate) fn lines() -> (String, String, String) {
    let entries: Vec<AuditEntry> = entry().into_iter().collect();
    let of = |format: Format| {
        let lines = format.lines(&entries).unwrap_or_default();
        format!("{}{}", format.heading(), String::from_utf8_lossy(&lines))
    };
    (format!("{}\n", json!(checkpoint())), of(Format::Ndjson), of(Format::Csv))
}
