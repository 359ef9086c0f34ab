//! Invitations, resets, second factors: how people come in.

use berth_types::{
    TenantRole,
    people::{Invitation, SecondFactors},
};
use serde_json::{Value, json};

use super::{at, id, named, to_value};
use crate::handlers::{admin::ResetLink, invitations::MadeInvitation};

fn invitation() -> Option<Invitation> {
    Some(Invitation {
        id: id(10),
        tenant: named("shop"),
        role: Some(TenantRole::Developer),
        email: Some("bob@example.com".to_owned()),
        invited_by: named("alice")?,
        created_at: at(0),
        expires_at: at(10_080),
    })
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "Invitation" => to_value(invitation()?),
        "MadeInvitation" => {
            let path = Some("/join/mZ1…".to_owned());
            to_value(MadeInvitation { invitation: invitation()?, path })
        }
        "NewInvitation" => Some(json!({ "role": "developer", "email": "bob@example.com", "days": 7 })),
        "NewPlatformInvitation" => Some(json!({ "email": "bob@example.com", "days": 7 })),
        "ResetLink" => to_value(ResetLink { path: Some("/reset/Qx7…".to_owned()), expires_at: at(60) }),
        "SecondFactors" => to_value(SecondFactors {
            authenticator_since: Some(at(0)),
            recovery_codes_left: 10,
            required: true,
            available: true,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handlers::invitations::{NewInvitation, NewPlatformInvitation};

    #[test]
    fn what_is_sent_can_be_read() {
        serde_json::from_value::<NewInvitation>(of("NewInvitation").unwrap()).unwrap();
        serde_json::from_value::<NewPlatformInvitation>(of("NewPlatformInvitation").unwrap()).unwrap();
    }
}
