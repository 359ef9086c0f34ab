//! Quotas, limits, service accounts, pod security, RBAC.

use std::time::Duration;

use crate::common::{World, deployment, pod};
use berth_sim::{
    cluster::Caller,
    controllers::fields::Fields,
    hooks::{Attributes, UserInfo},
    registry::builtin::gr,
};
use serde_json::{Value, json};

fn asking(name: &str, cpu: &str) -> Value {
    let mut pod = pod(name, "web");
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
    pod
}

fn quota(hard: Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})
}

#[tokio::test]
async fn a_quota_is_charged_refused_and_given_back() {
    let world = World::new();
    world.create(&gr::RESOURCE_QUOTAS, quota(json!({"requests.cpu": "2", "pods": "3", "count/configmaps": "2"})));
    world.settle();
    let used = |world: &World| world.get(&gr::RESOURCE_QUOTAS, "q").at("/status/used").clone();
    assert_eq!(used(&world), json!({"count/configmaps": "1", "pods": "0", "requests.cpu": "0"}));
    world.create(&gr::PODS, asking("a", "1500m"));
    assert_eq!(used(&world)["requests.cpu"], "1500m", "charged at once");
    let refused = world.try_create(&gr::PODS, asking("b", "1")).unwrap_err();
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message,
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=1500m, limited: requests.cpu=2"
    );
    let unstated = world.try_create(&gr::PODS, pod("c", "web")).unwrap_err();
    assert_eq!(unstated.message, "pods \"c\" is forbidden: failed quota: q: must specify requests.cpu for: main");
    world.create(&gr::CONFIG_MAPS, json!({"metadata": {"name": "one"}}));
    let third = world.try_create(&gr::CONFIG_MAPS, json!({"metadata": {"name": "two"}})).unwrap_err();
    assert_eq!(
        third.message,
        "configmaps \"two\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2"
    );
    world.advance(Duration::from_secs(2));
    world.delete(&gr::PODS, "a");
    world.advance(Duration::from_secs(2));
    assert_eq!(used(&world)["requests.cpu"], "0");
    world.create(&gr::PODS, asking("b", "2"));
}

#[tokio::test]
async fn parallel_creates_never_pass_a_quota() {
    let world = World::new();
    world.create(&gr::RESOURCE_QUOTAS, quota(json!({"pods": "5"})));
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cluster, made) = (world.cluster.clone(), &made);
            scope.spawn(move || {
                for number in 0..5 {
                    if cluster.create(&gr::PODS, "default", pod(&format!("p-{thread}-{number}"), "web")).is_ok() {
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 5);
}

#[tokio::test]
async fn a_refused_pod_shows_on_its_deployment() {
    let world = World::new();
    world.create(&gr::RESOURCE_QUOTAS, quota(json!({"pods": "1"})));
    world.settle();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 2));
    world.advance(Duration::from_secs(3));
    let web = world.get(&gr::DEPLOYMENTS, "web");
    let failure = web.condition("ReplicaFailure").unwrap();
    assert_eq!(failure.text("/reason"), "FailedCreate");
    assert!(
        failure
            .text("/message")
            .ends_with("is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1")
    );
    let set = world.list(&gr::REPLICA_SETS).remove(0);
    let event = world.events(set.name()).into_iter().find(|event| event.text("/reason") == "FailedCreate").unwrap();
    assert!(event.text("/message").starts_with("Error creating: pods \"web-"), "{event:?}");
}

#[tokio::test]
async fn limits_fill_in_and_refuse() {
    let world = World::new();
    world.create(
        &gr::LIMIT_RANGES,
        json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}}),
    );
    let made = world.create(&gr::PODS, pod("a", "web"));
    assert_eq!(
        made.at("/spec/containers/0/resources"),
        &json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}})
    );
    let mut big = pod("b", "web");
    big["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}});
    assert_eq!(
        world.try_create(&gr::PODS, big).unwrap_err().message,
        "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"
    );
}

#[tokio::test]
async fn pods_get_an_account_and_must_be_secure_enough() {
    let world = World::new();
    let made = world.create(&gr::PODS, pod("a", "web"));
    assert_eq!(made.text("/spec/serviceAccountName"), "default");
    assert_eq!(
        made.text("/spec/containers/0/volumeMounts/0/mountPath"),
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    let mut stranger = pod("b", "web");
    stranger["spec"]["serviceAccountName"] = json!("nobody");
    assert_eq!(
        world.try_create(&gr::PODS, stranger).unwrap_err().message,
        "pods \"b\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not found"
    );
    world.create(
        &gr::NAMESPACES,
        json!({"metadata": {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
    );
    let mut insecure = pod("c", "web");
    insecure["metadata"]["namespace"] = json!("strict");
    let refused = world.try_create(&gr::PODS, insecure).unwrap_err();
    assert!(
        refused.message.starts_with(
            "pods \"c\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false ("
        ),
        "{refused}"
    );
}

fn somebody(name: &str) -> UserInfo {
    UserInfo { name: name.into(), groups: vec!["system:authenticated".into()], ..UserInfo::default() }
}

#[tokio::test]
async fn roles_decide_and_cannot_be_outgrown() {
    let world = World::new();
    let may = |user: &str, verb: &str, resource: &str, namespace: &str| {
        world.cluster.authorizer().authorize(&Attributes {
            user: somebody(user),
            verb: verb.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            ..Attributes::default()
        })
    };
    assert!(!may("ann", "list", "pods", "default").allowed);
    world.create(
        &gr::ROLE_BINDINGS,
        json!({"metadata": {"name": "ann"}, "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}}),
    );
    world.settle();
    let decision = may("ann", "list", "pods", "default");
    assert!(decision.allowed, "aggregated rules of edit count");
    assert_eq!(decision.reason, "RBAC: allowed by RoleBinding \"ann/default\" of ClusterRole \"edit\" to User \"ann\"");
    assert!(!may("ann", "list", "pods", "kube-system").allowed);
    assert!(!may("ann", "list", "roles", "default").allowed);

    let ann = world.cluster.with_caller(Caller { user: somebody("ann"), ..Caller::component("kubectl") });
    let role = json!({"metadata": {"name": "more"}, "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["delete"]}]});
    let refused = ann.create(&gr::ROLES, "default", role).unwrap_err();
    assert_eq!(
        refused.message,
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"delete\"]}"
    );
}
