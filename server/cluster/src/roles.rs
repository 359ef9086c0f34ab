//! What each role may do in a namespace, as ClusterRoles: the cluster's side of the role matrix.
//!
//! RoleBindings in a tenant's namespaces give them to the groups `berth:tenant:{tenant}:{role}`, and in one namespace alone to
//! `berth:namespace:{tenant}:{namespace}:{role}`. Roles that a tenant makes are bound to one ClusterRole for each right that means
//! something in a cluster: their content is the tenant's, and who may write roles of any content in a cluster could give away all.

use berth_core::{
    authz::{Rights, matrix::allows, platform_group},
    ports::cluster::{CLUSTER_RIGHTS, cluster_right, cluster_role},
};
use berth_types::{Action, PlatformRole, Resource, Right, TenantRole};
use serde_json::{Value, json};

use crate::{meta, rest::Kind};

/// ClusterRole of platform admins and auditors in tenants' namespaces: a viewer who sees no logs.
pub const PLATFORM_READER: &str = "berth-platform-reader";

/// ClusterRole of who keeps nodes, in the whole cluster.
pub const NODE_KEEPER: &str = "berth-node-keeper";

fn may(tenant: Rights, platform: Option<PlatformRole>, resource: Resource, action: Action) -> bool {
    allows(platform, tenant, resource, action)
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
}

/// The rules of a role, from the matrix.
fn rules(tenant: Rights, platform: Option<PlatformRole>) -> Vec<Value> {
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
        .map(|role| cluster_role_object(&cluster_role(*role), &rules(Some(*role).into(), None)))
        .collect();
    roles.extend(CLUSTER_RIGHTS.iter().map(|(resource, action)| {
        let right = Rights::from_iter([Right { resource: *resource, action: *action }]);
        cluster_role_object(&cluster_right((*resource, *action)), &rules(right, None))
    }));
    // What emptying a node takes: the mark and the cordon, and to ask pods to go. Looking is the reader's.
    let keep = [rule(&[""], &["nodes"], &["get", "patch"]), rule(&[""], &["pods/eviction"], &["create"])];
    roles.push(cluster_role_object(NODE_KEEPER, &keep));
    // Admin and auditor see the same inside of tenants; see the test.
    roles.push(cluster_role_object(PLATFORM_READER, &rules(Rights::NONE, Some(PlatformRole::Auditor))));
    roles
}

/// Who keeps nodes: the platform roles that may by the matrix.
#[must_use]
pub fn node_keepers() -> Value {
    let groups =
        PlatformRole::ALL.iter().filter(|role| may(Rights::NONE, Some(**role), Resource::Node, Action::Update));
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
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

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
        let platform = |role| rules(Rights::NONE, Some(role));
        assert_eq!(platform(PlatformRole::Admin), platform(PlatformRole::Auditor));
    }

    /// The ways that rules open, one by one.
    fn ways(rules: &[Value]) -> BTreeSet<String> {
        let words = |rule: &Value, key: &str| -> Vec<String> {
            rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let mut ways = BTreeSet::new();
        for rule in rules {
            for group in words(rule, "apiGroups") {
                for resource in words(rule, "resources") {
                    ways.extend(words(rule, "verbs").into_iter().map(|verb| format!("{verb} {resource}.{group}")));
                }
            }
        }
        ways
    }

    #[test]
    fn rights_one_by_one_are_the_role() {
        let roles = cluster_roles();
        let of = |name: &str| {
            let role = roles.iter().find(|role| role["metadata"]["name"] == name).unwrap();
            ways(role["rules"].as_array().unwrap())
        };
        for role in TenantRole::ALL {
            let rights = Rights::from(Some(*role));
            let held = CLUSTER_RIGHTS.into_iter().filter(|(resource, action)| rights.contains(*resource, *action));
            let together: BTreeSet<String> = held.flat_map(|right| of(&cluster_right(right))).collect();
            assert_eq!(together, of(&cluster_role(*role)), "{role}");
        }
        // All others mean nothing there.
        for resource in Resource::ALL {
            for action in Action::ALL {
                let means =
                    !rules(Rights::from_iter([Right { resource: *resource, action: *action }]), None).is_empty();
                assert_eq!(means, CLUSTER_RIGHTS.contains(&(*resource, *action)), "{resource}.{action}");
            }
        }
    }
}
