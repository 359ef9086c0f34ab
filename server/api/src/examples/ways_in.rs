//! Invitations, resets, second factors: how people come in.

use berth_core::roles::{RoleEdit, RoleText, after};
use berth_types::{
    TenantRole, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
    custom_role::{CustomRole, Holding, RoleHolder},
    people::{Invitation, Passkey, Robot, SecondFactors},
};
use serde_json::{Value, json};

use super::{at, id, named, to_value};
use crate::handlers::{
    admin::ResetLink,
    ci::{CiIssuers, ExchangedToken, Trusts, example},
    invitations::MadeInvitation,
    robots::{ActionRow, Actions},
    roles::RoleView,
};

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

const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn ci_issuer() -> Option<CiIssuer> {
    Some(CiIssuer { id: id(13), name: named("github")?, issuer: GITHUB.to_owned(), created_at: at(-700) })
}

fn trust() -> Option<RobotTrust> {
    Some(RobotTrust {
        id: id(12),
        issuer: named("github")?,
        issuer_url: GITHUB.to_owned(),
        audience: "https://berth.example.com".to_owned(),
        conditions: vec![Condition { claim: "sub".to_owned(), value: "repo:acme/web:*".to_owned() }],
        minutes: 15,
        created_at: at(-50),
    })
}

fn robot() -> Option<Robot> {
    let (tenant, name) = (named("shop")?, named("deploy")?);
    Some(Robot {
        id: id(11),
        user: UserName::robot(&tenant, &name),
        name,
        description: "Releases of the web shop".to_owned(),
        role: TenantRole::Developer,
        namespace: named("prod"),
        disabled: false,
        tokens: 1,
        last_used_at: Some(at(59)),
        created_at: at(-60),
    })
}

fn role() -> Option<CustomRole> {
    let actions = vec!["app.update".parse().ok()?];
    let edit = RoleEdit::Make(named("releaser")?, RoleText { actions, ..RoleText::default() });
    let role = after(&[], &edit, &[], at(-40)).ok()?.pop()?;
    let (display_name, description) = ("Releaser".to_owned(), "Deploys and restarts, without a terminal".to_owned());
    Some(CustomRole { display_name, description, ..role })
}

fn role_holder() -> Option<RoleHolder> {
    Some(RoleHolder { holding: Holding::NamespaceMember, who: "dora".to_owned(), namespace: named("prod") })
}

/// What is sent for one.
fn role_text() -> Value {
    json!({
        "displayName": "Releaser", "description": "Deploys and restarts, without a terminal", "actions": ["app.update"],
        "includes": [],
    })
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "CustomRole" => to_value(role()?),
        "RoleView" => to_value(RoleView { role: role()?, holders: vec![role_holder()?] }),
        "RoleHolder" => to_value(role_holder()?),
        "RoleReplacement" => Some(role_text()),
        "NewRole" => {
            let mut text = role_text();
            text["name"] = "releaser".into();
            Some(text)
        }
        "Robot" => to_value(robot()?),
        "CiIssuer" => to_value(ci_issuer()?),
        "CiIssuers" => to_value(CiIssuers { items: vec![ci_issuer()?] }),
        "NewCiIssuer" => Some(json!({ "name": "github", "issuer": GITHUB })),
        "RobotTrust" => to_value(trust()?),
        "Trusts" => to_value(Trusts { items: vec![trust()?] }),
        "NewTrust" => Some(json!({
            "issuer": "github", "audience": "https://berth.example.com",
            "conditions": [{ "claim": "sub", "value": "repo:acme/web:*" }], "minutes": 15,
        })),
        "TokenExchange" => Some(example()),
        "ExchangedToken" => to_value(ExchangedToken::new("berth_Zm9vYmFy…".to_owned(), 900)),
        "NewRobot" => Some(json!({
            "name": "deploy", "description": "Releases of the web shop", "role": "developer", "namespace": "prod",
        })),
        "RobotReplacement" => {
            Some(json!({ "description": "Releases of the web shop", "role": "viewer", "disabled": true }))
        }
        "Actions" => to_value(Actions { items: "app.update".parse().ok().map(ActionRow::of).into_iter().collect() }),
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
            passkeys: vec![Passkey {
                id: id(24),
                name: "Work laptop".to_owned(),
                created_at: at(0),
                last_used_at: Some(at(30)),
            }],
            passkeys_available: true,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handlers::{
        ci::{NewCiIssuer, NewTrust},
        invitations::{NewInvitation, NewPlatformInvitation},
        robots::{NewRobot, RobotReplacement},
        roles::{NewRole, RoleReplacement},
    };

    #[test]
    fn what_is_sent_can_be_read() {
        serde_json::from_value::<NewInvitation>(of("NewInvitation").unwrap()).unwrap();
        serde_json::from_value::<NewTrust>(of("NewTrust").unwrap()).unwrap();
        serde_json::from_value::<NewCiIssuer>(of("NewCiIssuer").unwrap()).unwrap();
        serde_json::from_value::<NewRole>(of("NewRole").unwrap()).unwrap();
        serde_json::from_value::<RoleReplacement>(of("RoleReplacement").unwrap()).unwrap();
        serde_json::from_value::<NewRobot>(of("NewRobot").unwrap()).unwrap();
        serde_json::from_value::<RobotReplacement>(of("RobotReplacement").unwrap()).unwrap();
        serde_json::from_value::<NewPlatformInvitation>(of("NewPlatformInvitation").unwrap()).unwrap();
    }
}
