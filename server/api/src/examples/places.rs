//! Namespaces and what stands around them.

use berth_types::{
    TenantRole,
    access::{AccessRequest, AccessState},
    adoption::{Effect, EffectKind, Holding, Preview},
    life::{Halt, HaltKind, Mark},
    network::{Egress, EgressMode, EgressRange},
    people::NamespaceMember,
};
use serde_json::{Value, json};

use super::{amounts, at, id, named};
use crate::handlers::{
    namespaces::{AppCounts, NamespaceView},
    network::NetworkView,
};

pub(super) fn egress() -> Option<Egress> {
    let range = EgressRange {
        cidr: "203.0.113.0/24".parse().ok()?,
        ports: vec!["443/TCP".parse().ok()?],
        name: "payments".to_owned(),
    };
    Some(Egress { mode: EgressMode::Named, ranges: vec![range] })
}

pub(super) fn adoption() -> Preview {
    let effect =
        |kind, concerns: &[&str]| Effect { kind, concerns: concerns.iter().map(|one| (*one).to_owned()).collect() };
    let minded = "web-7c9d5f8b6-q4k2m (and 1 other pod): runAsNonRoot != true, seccompProfile";
    Preview {
        kube_name: "legacy-shop".to_owned(),
        holds: vec![Holding { kind: "Deployment".to_owned(), name: "web".to_owned(), pods: 2 }],
        takes: amounts(&[("requests.cpu", "500m"), ("pods", "2")]),
        effects: vec![
            effect(EffectKind::PodSecurity, &[minded]),
            effect(EffectKind::Closed, &[]),
            effect(EffectKind::Bindings, &["ops"]),
        ],
    }
}

pub(super) fn network() -> Option<NetworkView> {
    Some(NetworkView {
        egress: egress()?,
        reached_from: vec!["berth".to_owned(), "ingress-nginx".to_owned()],
        never_reached: vec!["169.254.0.0/16".to_owned(), "10.42.0.0/16".to_owned()],
        version: 3,
    })
}

pub(super) fn network_replacement() -> Value {
    json!({ "egress": { "mode": "named", "ranges": [
        { "cidr": "203.0.113.0/24", "ports": ["443", "8000-8100/UDP"], "name": "payments" },
        { "cidr": "2001:db8::/32" },
    ] } })
}

pub(super) fn suspended() -> Option<Halt> {
    let mark = Mark { at: at(-60), by: "root".to_owned(), reason: "No contact for a year".to_owned(), until: None };
    Some(Halt { kind: HaltKind::Suspended, mark })
}

pub(super) fn leaving() -> Mark {
    Mark { at: at(-60), by: "alice".to_owned(), reason: String::new(), until: Some(at(7 * 24 * 60 - 60)) }
}

pub(super) fn access_request() -> Option<AccessRequest> {
    Some(AccessRequest {
        id: id(8),
        user: named("dora")?,
        display_name: "Dora Dale".to_owned(),
        tenant: named("shop")?,
        namespace: Some(named("prod")?),
        role: TenantRole::Developer,
        reason: "I am on call this week".to_owned(),
        state: AccessState::Open,
        created_at: at(-30),
        decided_by: None,
        decided_at: None,
        comment: String::new(),
    })
}

pub(super) fn namespace_member() -> Option<NamespaceMember> {
    Some(NamespaceMember {
        user: named("dora")?,
        display_name: "Dora Dale".to_owned(),
        role: TenantRole::Developer,
        tenant_role: Some(TenantRole::Viewer),
        given: Some(TenantRole::Developer),
        created_at: at(-300),
    })
}

pub(super) fn namespace_view() -> Option<NamespaceView> {
    Some(NamespaceView {
        id: id(4),
        name: named("prod")?,
        tenant: named("shop")?,
        cluster: named("local")?,
        kube_name: "shop-prod".to_owned(),
        protected: true,
        halt: None,
        apps: AppCounts { degraded: 1, progressing: 0, ready: 11, suspended: 2 },
        pods: 37,
    })
}
