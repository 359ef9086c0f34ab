//! Mail.

use berth_types::{
    mail::{MailStatus, MailTrouble, MyMail, Reachable},
    webhook::EventKind,
};
use serde_json::Value;

use super::{at, to_value};

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "MyMail" => to_value(MyMail {
            available: true,
            address: Some("alice@example.com".to_owned()),
            verified_at: Some(at(0)),
            pending: None,
            pending_until: None,
            language: "en".to_owned(),
            events: vec![EventKind::RequestDecided, EventKind::LoanEndsSoon, EventKind::QuotaHigh],
        }),
        "Reachable" => to_value(Reachable { verified: true }),
        "MailTrouble" => to_value(trouble()),
        "MailStatus" => to_value(MailStatus {
            on: true,
            from: Some("Berth <berth@example.com>".to_owned()),
            server: Some("mail.example.com:587".to_owned()),
            waiting: 1,
            delivered: 120,
            failed: 0,
            last_delivered_at: Some(at(0)),
            trouble: Some(trouble()),
        }),
        _ => None,
    }
}

fn trouble() -> MailTrouble {
    let reason = "sending: transient error (450): greylisted, try again later".to_owned();
    MailTrouble { at: at(30), reason, again_at: Some(at(60)) }
}
