//! Webhooks and their messages.

use berth_types::webhook::{Attempt, Delivery, DeliveryState, EventKind, Webhook};
use serde_json::{Value, json};

use super::{at, id, to_value};
use crate::handlers::webhooks::{Hooks, MadeHook, Messages};

const URL: &str = "https://hooks.example.com/berth";
const EVENTS: [EventKind; 2] = [EventKind::RequestWaiting, EventKind::QuotaHigh];

fn hook() -> Webhook {
    Webhook {
        id: id(14),
        name: "on-call".to_owned(),
        url: URL.to_owned(),
        events: EVENTS.to_vec(),
        stopped: None,
        failing_since: None,
        old_secret_until: None,
        created_by: "alice".to_owned(),
        created_at: at(0),
        version: 1,
    }
}

fn message() -> Delivery {
    Delivery {
        id: id(15),
        event: EventKind::QuotaHigh,
        state: DeliveryState::Delivered,
        attempts: 1,
        created_at: at(30),
        next_at: None,
        last: Some(Attempt { at: at(30), millis: 120, status: Some(204), answer: String::new() }),
    }
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "Webhook" => to_value(hook()),
        "Hooks" => to_value(Hooks { items: vec![hook()] }),
        "MadeHook" => to_value(MadeHook { webhook: hook(), secret: Some("whsec_MfKQ9r8GKYqr…".to_owned()) }),
        "Delivery" => to_value(message()),
        "Messages" => to_value(Messages { items: vec![message()] }),
        "NewHook" => Some(json!({ "name": "on-call", "url": URL, "events": EVENTS })),
        "HookReplacement" => Some(json!({ "name": "on-call", "url": URL, "events": EVENTS, "on": true })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handlers::webhooks::{HookReplacement, NewHook};

    #[test]
    fn what_is_sent_can_be_read() {
        serde_json::from_value::<NewHook>(of("NewHook").unwrap()).unwrap();
        serde_json::from_value::<HookReplacement>(of("HookReplacement").unwrap()).unwrap();
    }
}
