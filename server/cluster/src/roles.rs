//! What each role may do in a namespace, as ClusterRoles: the cluster's side of the role matrix.
//!
//! RoleBindings in a tenant's namespaces give them to the groups `berth:tenant:{tenant}:{role}`, and in one namespace alone to
//! `berth:namespace:{tenant}:{namespace}:{role}`.

use berth_core::{
    authz::{matrix::allows, platform_group},
    ports::cluster::cluster_role,
};
use berth_types::{Action, PlatformRole, Resource, TenantRole};
use serde_json::{Value, json};

use crate::{meta, rest::Kind};

/// ClusterRole of platform admins and auditors in tenants' namespaces: a viewer who sees no logs.
pub const PLATFORM_READER: &str = "berth-platform-reader";

/// ClusterRole of who keeps nodes, in the whole cluster.
pub const NODE_KEEPER: &str = "berth-node-keeper";

fn may(tenant: Option<TenantRole>, platform: Option<PlatformRole>, resource: Resource, action: Action) -> bool {
    allows(platform, tenant, resource, action)
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
}

/// The rules of a role, from the matrix.
fn rules(tenant: Option<TenantRole>, platform: Option<PlatformRole>) -> Vec<Value> {
    let may = |resource, action| may(tenant, platform, resource, action);
    let mut rules = Vec::new();
    let mut verbs = Vec::new();
    for (action, words) in [
        (Action::Read, &["get", "list", "watch"][..]),
        (Action::Create, &["create"]),
        (Action::Update, &["update", "patch"]),
        (Action::Delete, &["delete"]),
    ] {
        if may(Resource::App, action) {
            verbs.extend_from_slice(words);
        }
    }
    if !verbs.is_empty() {
        rules.push(rule(&["berth.dev"], &["apps"], &verbs));
    }
    if may(Resource::Workload, Action::Read) {
        let see = ["get", "list", "watch"];
        let core =
            ["pods", "services", "events", "configmaps", "persistentvolumeclaims", "resourcequotas", "limitranges"];
        rules.push(rule(&[""], &core, &see));
        rules.push(rule(
            &["apps"],
            &["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"],
            &see,
        ));
        rules.push(rule(&["batch"], &["jobs", "cronjobs"], &see));
        rules.push(rule(&["networking.k8s.io"], &["ingresses", "networkpolicies"], &see));
        rules.push(rule(&["policy"], &["poddisruptionbudgets"], &see));
        rules.push(rule(&["autoscaling"], &["horizontalpodautoscalers"], &see));
        rules.push(rule(&["metrics.k8s.io"], &["pods"], &see));
    }
    if may(Resource::Workload, Action::Delete) {
        rules.push(rule(&[""], &["pods"], &["delete"]));
    }
    if may(Resource::Log, Action::Read) {
        rules.push(rule(&[""], &["pods/log"], &["get"]));
    }
    if may(Resource::Exec, Action::Create) {
        // The WebSocket begins with a GET, older clients with a POST. Who may run commands in a container reaches its input and its
        // ports by them, too.
        rules.push(rule(&[""], &["pods/exec", "pods/attach", "pods/portforward"], &["get", "create"]));
    }
    rules
}

fn cluster_role_object(name: &str, rules: &[Value]) -> Value {
    json!({
        "apiVersion": Kind::CLUSTER_ROLE.api_version,
        "kind": Kind::CLUSTER_ROLE.kind,
        "metadata": { "name": name, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "rules": rules,
    })
}

/// All ClusterRoles, as bodies for server-side apply.
#[must_use]
pub fn cluster_roles() -> Vec<Value> {
    let mut roles: Vec<Value> = TenantRole::ALL
        .iter()
        .map(|role| cluster_role_object(&cluster_role(*role), &rules(Some(*role), None)))
        .collect();
    // What emptying a node takes: the mark and the cordon, and to ask pods to go. Looking is the reader's.
    let keep = [rule(&[""], &["nodes"], &["get", "patch"]), rule(&[""], &["pods/eviction"], &["create"])];
    roles.push(cluster_role_object(NODE_KEEPER, &keep));
    // Admin and auditor see the same inside of tenants; see the test.
    roles.push(cluster_role_object(PLATFORM_READER, &rules(None, Some(PlatformRole::Auditor))));
    roles
}

/// Who keeps nodes: the platform roles that may by the matrix.
#[must_use]
pub fn node_keepers() -> Value {
    let groups = PlatformRole::ALL.iter().filter(|role| may(None, Some(**role), Resource::Node, Action::Update));
    let subject = |role: &PlatformRole| json!({ "apiGroup": RBAC, "kind": "Group", "name": platform_group(*role) });
    json!({
        "apiVersion": Kind::CLUSTER_ROLE_BINDING.api_version,
        "kind": Kind::CLUSTER_ROLE_BINDING.kind,
        "metadata": { "name": NODE_KEEPER, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": NODE_KEEPER },
        "subjects": groups.map(subject).collect::<Vec<_>>(),
    })
}

const RBAC: &str = "rbac.authorization.k8s.io";

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(role: &Value, group: &str, resource: &str, verb: &str) -> bool {
        let has =
            |rule: &Value, key: &str, word: &str| rule[key].as_array().is_some_and(|a| a.iter().any(|v| v == word));
        role["rules"].as_array().is_some_and(|rules| {
            rules.iter().any(|r| has(r, "apiGroups", group) && has(r, "resources", resource) && has(r, "verbs", verb))
        })
    }

    #[test]
    fn nodes_are_kept_by_platform_admins_alone() {
        let binding = node_keepers();
        assert_eq!(binding["subjects"].as_array().map(Vec::len), Some(1), "{binding}");
        assert_eq!(binding["subjects"][0]["name"], "berth:platform:admin");
        for role in cluster_roles() {
            let keeper = role["metadata"]["name"] == NODE_KEEPER;
            assert_eq!(grants(&role, "", "nodes", "patch"), keeper, "{role}");
            assert_eq!(grants(&role, "", "pods/eviction", "create"), keeper, "{role}");
            assert!(
                !grants(&role, "", "nodes", "delete") && !(keeper && grants(&role, "", "pods", "delete")),
                "{role}"
            );
        }
    }

    #[test]
    fn exactly_what_the_matrix_gives() {
        let roles = cluster_roles();
        let named = |name: &str| roles.iter().find(|r| r["metadata"]["name"] == name).expect("a role");
        for (role, create, exec, logs) in [
            ("berth-owner", true, true, true),
            ("berth-admin", true, true, true),
            ("berth-developer", true, true, true),
            ("berth-viewer", false, false, true),
            (PLATFORM_READER, false, false, false),
        ] {
            let role = named(role);
            assert!(grants(role, "berth.dev", "apps", "list"), "{role}");
            assert_eq!(grants(role, "berth.dev", "apps", "create"), create, "{role}");
            assert_eq!(grants(role, "", "pods", "delete"), create, "{role}");
            for way in ["pods/exec", "pods/attach", "pods/portforward"] {
                assert_eq!(grants(role, "", way, "create"), exec, "{role}");
            }
            assert_eq!(grants(role, "", "pods/log", "get"), logs, "{role}");
            for never in ["secrets", "serviceaccounts", "rolebindings", "ephemeralcontainers", "proxy", "impersonate"] {
                assert!(!role.to_string().contains(never), "{role}");
            }
            assert!(!role.to_string().contains('*'), "{role}");
        }
        assert_eq!(rules(None, Some(PlatformRole::Admin)), rules(None, Some(PlatformRole::Auditor)));
    }
}
