//! The cluster's RBAC and Berth's role matrix agree, asked about people, verbs and objects at random.
//!
//! `BERTH_TUPLES=100000` is how many; `BERTH_SEED` which.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    Actor, OpCtx, Person, Via,
    authz::{Authz, NamespaceRef, Rights, TenantRef, impersonation},
    kube_path::RequestInfo,
    ports::cluster::Cluster as _,
    roles::{RoleEdit, RoleText, after, choices},
    testing::FakeStore,
};
use berth_types::{
    Action, PlatformRole, Resource, Right, TenantRole, custom_role::CustomRole, life::Halt, people::Namespace,
    people::TokenScope,
};
use futures::{StreamExt as _, stream};
use serde_json::json;
use uuid::Uuid;

use crate::common::{Harbour, row, unique};

const SEE: &[&str] = &["get", "list", "watch"];

/// What each of Kubernetes' verbs needs of Berth, told here a second time; what is not told, nobody may.
fn needed(group: &str, resource: &str, verb: &str) -> Option<(Resource, Action)> {
    let sees = SEE.contains(&verb);
    Some(match (group, resource, verb) {
        ("berth.dev", "apps", _) if sees => (Resource::App, Action::Read),
        ("berth.dev", "apps", "create") => (Resource::App, Action::Create),
        ("berth.dev", "apps", "update" | "patch") => (Resource::App, Action::Update),
        ("berth.dev", "apps", "delete") => (Resource::App, Action::Delete),
        ("", "pods/log", "get") => (Resource::Log, Action::Read),
        ("", "pods/exec" | "pods/attach" | "pods/portforward", "get" | "create") => (Resource::Exec, Action::Create),
        ("", "pods", "delete") => (Resource::Workload, Action::Delete),
        ("", "pods/eviction", "create") | ("", "nodes", "get" | "patch") => (Resource::Node, Action::Update),
        (
            "",
            "pods" | "services" | "events" | "configmaps" | "persistentvolumeclaims" | "resourcequotas" | "limitranges",
            _,
        )
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "controllerrevisions", _)
        | ("batch", "jobs" | "cronjobs", _)
        | ("networking.k8s.io", "ingresses" | "networkpolicies", _)
        | ("policy", "poddisruptionbudgets", _)
        | ("autoscaling", "horizontalpodautoscalers", _)
        | ("metrics.k8s.io", "pods", _)
            if sees =>
        {
            (Resource::Workload, Action::Read)
        }
        _ => return None,
    })
}

const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "bind",
    "escalate",
    "impersonate",
    "approve",
    "*",
];

/// Also what nobody may, above all what would give more.
const OBJECTS: &[(&str, &str)] = &[
    ("berth.dev", "apps"),
    ("berth.dev", "apps/status"),
    ("berth.dev", "*"),
    ("", "pods"),
    ("", "pods/log"),
    ("", "pods/exec"),
    ("", "pods/attach"),
    ("", "pods/portforward"),
    ("", "pods/eviction"),
    ("", "pods/ephemeralcontainers"),
    ("", "pods/status"),
    ("", "pods/binding"),
    ("", "services"),
    ("", "services/proxy"),
    ("", "events"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "persistentvolumeclaims"),
    ("", "resourcequotas"),
    ("", "resourcequotas/status"),
    ("", "limitranges"),
    ("", "endpoints"),
    ("", "namespaces"),
    ("", "namespaces/finalize"),
    ("", "nodes"),
    ("", "nodes/proxy"),
    ("", "persistentvolumes"),
    ("", "users"),
    ("", "groups"),
    ("apps", "deployments"),
    ("apps", "deployments/scale"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "controllerrevisions"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("metrics.k8s.io", "pods"),
    ("metrics.k8s.io", "nodes"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("certificates.k8s.io", "certificatesigningrequests/approval"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
];

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of these roles, one of the tenant's own as often, or none as often as one.
    fn role(&mut self, of: &[TenantRole], own: &[CustomRole]) -> Option<TenantRole> {
        (self.below(2) == 0).then(|| match self.below(2) {
            0 => *self.one(of),
            _ => TenantRole::Custom(self.one(own).name),
        })
    }

    /// Roles of a tenant's own, of actions at random; each includes one that was made before.
    fn own_roles(&mut self) -> Vec<CustomRole> {
        let choices: Vec<Right> = choices().collect();
        let mut all = Vec::new();
        for number in 0..12 {
            let actions = (0..=self.below(3)).map(|_| *self.one(&choices)).collect();
            let before: Vec<TenantRole> = all.iter().map(|role: &CustomRole| TenantRole::Custom(role.name)).collect();
            let includes = if before.is_empty() || self.below(2) == 0 { Vec::new() } else { vec![*self.one(&before)] };
            let text = RoleText { actions, includes, ..RoleText::default() };
            let name = format!("own-{number}").parse().unwrap();
            all = after(&all, &RoleEdit::Make(name, text), &[], jiff::Timestamp::UNIX_EPOCH).unwrap();
        }
        all
    }
}

/// The roles that each tenant made.
type Own = BTreeMap<String, Vec<CustomRole>>;

/// What a role gives in a tenant.
fn rights(own: &[CustomRole], role: Option<TenantRole>) -> Rights {
    let named = |known: &&CustomRole| role == Some(TenantRole::Custom(known.name));
    Rights::of(role, own.iter().find(named).map(|known| Rights::from_iter(known.rights.iter().copied())))
}

/// Somebody, with the roles that they have anywhere.
struct Someone<'a> {
    ctx: OpCtx,
    own: &'a Own,
    tenants: BTreeMap<String, Option<TenantRole>>,
    given: BTreeMap<String, Option<TenantRole>>,
}

impl<'a> Someone<'a> {
    fn new((harbour, own): (&Harbour, &'a Own), number: usize, namespaces: &[Namespace], chance: &mut Chance) -> Self {
        let platform = [None, None, None, None, Some(PlatformRole::Admin), Some(PlatformRole::Auditor)];
        let person = Person {
            id: Uuid::nil(),
            name: format!("person-{number}").parse().unwrap(),
            display_name: "Somebody".into(),
            platform_role: *chance.one(&platform),
            via: Via::Cli,
            scope: TokenScope { read_only: chance.below(5) == 0, ..TokenScope::default() },
            must_change_password: false,
            needs_second_factor: false,
        };
        Self {
            ctx: harbour.berth().with_actor(Actor::Person(Arc::new(person))),
            own,
            tenants: namespaces
                .iter()
                .map(|row| (row.tenant.to_string(), chance.role(TenantRole::ALL, &own[row.tenant.as_str()])))
                .collect(),
            given: namespaces
                .iter()
                .map(|row| (row.kube_name.clone(), chance.role(TenantRole::IN_NAMESPACE, &own[row.tenant.as_str()])))
                .collect(),
        }
    }

    fn at(&self, row: &Namespace) -> NamespaceRef {
        let own = &self.own[row.tenant.as_str()];
        let (role, given) = (self.tenants[row.tenant.as_str()], self.given[&row.kube_name]);
        let tenant = TenantRef {
            id: row.id,
            name: row.tenant.clone(),
            display_name: "".into(),
            role,
            rights: rights(own, role),
            halt: None,
        };
        NamespaceRef {
            rights: tenant.rights.and(rights(own, given)),
            tenant,
            id: row.id,
            name: row.name.clone(),
            cluster: row.cluster.clone(),
            kube_name: row.kube_name.as_str().into(),
            given,
            protected: row.protected,
            halt: row.halt.clone(),
        }
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_s_rights_are_the_matrix_s() {
    let harbour = Harbour::new().await;
    let suffix = unique();
    let halt: Halt = serde_json::from_value(
        json!({"kind": "suspended", "at": "2026-01-01T00:00:00Z", "by": "root", "reason": "unpaid"}),
    )
    .unwrap();
    let (seed, count) = (number("BERTH_SEED", 1), number("BERTH_TUPLES", 2_000));
    let mut chance = Chance(seed as u64);
    let own: Own = ["north", "south"].map(|tenant| (tenant.to_owned(), chance.own_roles())).into();
    let mut namespaces = Vec::new();
    for (tenant, name, halt) in
        [("north", "dev", None), ("north", "prod", None), ("south", "dev", None), ("south", "rest", Some(halt))]
    {
        let kube_name = format!("{tenant}-{name}-{suffix}");
        let row = Namespace { kube_name, halt, protected: name == "prod", ..row(tenant, name) };
        let desired = berth_core::services::namespaces::desired_with(&row, &own[tenant]);
        harbour.cluster.ensure_namespace(&harbour.berth(), &desired).await.unwrap();
        namespaces.push(row);
    }
    let people: Vec<_> =
        (0..200).map(|number| Someone::new((&harbour, &own), number, &namespaces, &mut chance)).collect();
    let authz = Authz::new(Arc::new(FakeStore::default()));

    let tuples: Vec<_> = (0..count)
        .map(|_| {
            let (someone, object) = (chance.one(&people), chance.one(&namespaces));
            // Half of them come with the groups that they have elsewhere.
            let by = if chance.below(2) == 0 { object } else { chance.one(&namespaces) };
            (someone, object, by, *chance.one(OBJECTS), *chance.one(VERBS))
        })
        .collect();
    let asked = stream::iter(tuples).map(|(someone, object, by, (group, resource), verb)| {
        let admin = harbour.admin.clone();
        let (at, authz) = (someone.at(object), &authz);
        async move {
            let needs = needed(group, resource, verb);
            let person = someone.ctx.person().unwrap();
            let by_role = needs.is_some_and(|needs| !authz.lacks(&someone.ctx, at.rights, needs));
            let (resource_name, sub) = resource.split_once('/').unwrap_or((resource, ""));
            let info = RequestInfo {
                verb,
                group: group.to_owned(),
                resource: resource_name.to_owned(),
                subresource: sub.to_owned(),
                ..RequestInfo::default()
            };
            // What is asked with kubectl in a namespace that is changed in Berth alone.
            let guarded = at.protected && info.changes();
            let berth = !guarded && needs.is_some_and(|(what, action)| authz.could_in(&someone.ctx, &at, what, action));
            let who = impersonation(&someone.ctx, Some(&someone.at(by))).unwrap();
            let mut groups = who.groups.clone();
            groups.push("system:authenticated".to_owned());
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": who.user, "groups": groups, "resourceAttributes": {
                    "namespace": at.kube_name, "verb": verb, "group": group, "resource": resource_name, "subresource": sub}},
            });
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let request = http::Request::post(path).header("content-type", "application/json");
            let said = admin.request::<serde_json::Value>(request.body(review.to_string().into_bytes()).unwrap()).await;
            let cluster = said.unwrap()["status"]["allowed"] == true;
            let what = format!("{verb} {group}/{resource} in {} as {who:?}", at.kube_name);
            if cluster {
                assert!(by_role, "the cluster allows what Berth does not: {what}");
                // Where Berth denies more, it says for which of these.
                let reason = person.scope.read_only || at.halt.is_some() || guarded;
                assert!(berth || reason, "refused for no reason: {what}");
            } else if object.kube_name == by.kube_name {
                assert!(!berth, "Berth allows what the cluster denies: {what}");
            }
            (cluster, berth)
        }
    });
    let answers: Vec<(bool, bool)> = asked.buffer_unordered(16).collect().await;
    let both = answers.iter().filter(|answer| **answer == (true, true)).count();
    let more = answers.iter().filter(|answer| **answer == (true, false)).count();
    println!(
        "{count} asked: {both} allowed by both, {more} refused by Berth alone (read-only tokens, resting and protected namespaces)"
    );
    assert!(both > count / 50 && more > 0, "chance asked too little of what is allowed: {both}, {more}");
    for row in &namespaces {
        let path = format!("/api/v1/namespaces/{}", row.kube_name);
        harbour.send("DELETE", &path, "application/json", &json!({})).await;
    }
}
