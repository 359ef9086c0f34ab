//! What stops while a tenant or a namespace is halted.

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource,
    life::{Halt, HaltKind},
};

use crate::error::Error;

/// Whether `halt` stands in the way of somebody whom the matrix allows it.
///
/// Looking is never stopped. The platform keeps what it keeps. What is being removed can be taken back, by who may remove it; what
/// the platform put to rest, only the platform removes.
#[must_use]
pub fn stops(halt: &Halt, platform: Option<PlatformRole>, resource: Resource, action: Action) -> bool {
    let keeper = platform == Some(PlatformRole::Admin);
    match (resource, action) {
        (_, Action::Read) | (Resource::Suspension, _) => false,
        (Resource::Tenant, Action::Delete) => halt.kind == HaltKind::Suspended && !keeper,
        (Resource::Namespace, Action::Delete) => halt.kind != HaltKind::NamespaceLeaving && !keeper,
        (
            Resource::Tenant
            | Resource::Membership
            | Resource::Role
            | Resource::Invitation
            | Resource::Access
            | Resource::Robot
            | Resource::Webhook
            | Resource::Quota,
            _,
        ) => !keeper,
        _ => true,
    }
}

/// Why something cannot be changed now.
#[must_use]
pub fn halted(halt: &Halt) -> Error {
    let (at, by) = (halt.mark.at.strftime("%Y-%m-%d %H:%M UTC"), &halt.mark.by);
    let what = match halt.kind {
        HaltKind::Suspended => "the tenant is suspended",
        HaltKind::TenantLeaving => "the tenant is being removed",
        HaltKind::NamespaceLeaving => "the namespace is being removed",
    };
    let why = if halt.mark.reason.is_empty() { String::new() } else { format!(": {}", halt.mark.reason) };
    let said = format!("{what} since {at}, by {by}{why}; nothing can be changed in it");
    Error::new(ErrorCode::Suspended, said)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::life::Mark;

    use super::*;

    fn halt(kind: HaltKind) -> Halt {
        let at = "2026-11-20T08:00:00Z".parse().unwrap();
        Halt { kind, mark: Mark { at, by: "root".into(), reason: "unpaid".into(), until: None } }
    }

    #[test]
    fn what_is_stopped() {
        use Action::{Create, Delete, Read, Update};
        use HaltKind::{NamespaceLeaving, Suspended, TenantLeaving};
        let admin = Some(PlatformRole::Admin);
        for (kind, platform, resource, action, want) in [
            (Suspended, None, Resource::App, Read, false),
            (Suspended, None, Resource::App, Update, true),
            (Suspended, admin, Resource::App, Update, true),
            (Suspended, None, Resource::Exec, Create, true),
            (Suspended, None, Resource::Network, Update, true),
            (Suspended, None, Resource::Membership, Update, true),
            (Suspended, admin, Resource::Membership, Update, false),
            (Suspended, admin, Resource::Quota, Update, false),
            // A way in, and a way out: who suspends it for one of them puts an end to it.
            (Suspended, admin, Resource::Robot, Delete, false),
            (Suspended, None, Resource::Robot, Delete, true),
            (Suspended, admin, Resource::Webhook, Delete, false),
            (TenantLeaving, None, Resource::Webhook, Delete, true),
            (Suspended, None, Resource::Invitation, Create, true),
            (Suspended, admin, Resource::Invitation, Delete, false),
            (Suspended, admin, Resource::Suspension, Delete, false),
            (Suspended, None, Resource::Tenant, Update, true),
            (Suspended, None, Resource::Tenant, Delete, true),
            (Suspended, admin, Resource::Tenant, Delete, false),
            (TenantLeaving, None, Resource::Tenant, Delete, false),
            (TenantLeaving, None, Resource::Tenant, Update, true),
            (TenantLeaving, None, Resource::Namespace, Create, true),
            (TenantLeaving, None, Resource::Namespace, Delete, true),
            (NamespaceLeaving, None, Resource::Namespace, Delete, false),
            (NamespaceLeaving, None, Resource::App, Create, true),
            (Suspended, Some(PlatformRole::Auditor), Resource::Quota, Update, true),
        ] {
            assert_eq!(stops(&halt(kind), platform, resource, action), want, "{kind} {platform:?} {resource} {action}");
        }
    }

    #[test]
    fn the_reason_is_named() {
        let error = halted(&halt(HaltKind::Suspended));
        assert_eq!(error.code(), ErrorCode::Suspended);
        for word in ["root", "unpaid", "2026-11-20"] {
            assert!(error.message().contains(word), "{}", error.message());
        }
    }
}
