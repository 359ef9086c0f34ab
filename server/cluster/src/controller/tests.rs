//! What is wanted, and what is done about it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    decide::{Action, Child, decide, plan_revision},
    desired::{Object, Wanted, addresses, desired},
};
use crate::{
    cache::{child::ChildRecord, store::Record as _},
    intern::Interner,
    meta,
    rest::Kind,
};
use berth_types::app::AppSpec;

fn spec(value: Value) -> AppSpec {
    serde_json::from_value(value).expect("a spec")
}

fn small() -> Value {
    json!({"components": [{"name": "main", "image": "nginx:1.27", "ports": [{"port": 8080}], "replicas": 2,
        "expose": {"type": "Ingress", "host": "shop.example.com"}}]})
}

fn wanted(spec: &AppSpec) -> Wanted<'_> {
    Wanted { name: "shop", namespace: "shop-dev", uid: "u1", spec, restarted_at: None, revision: 4 }
}

fn objects(spec: &AppSpec) -> Vec<Object> {
    desired(&wanted(spec), &|_| None)
}

fn find(objects: &[Object], kind: Kind) -> &Object {
    objects.iter().find(|o| o.kind == kind).expect("an object of that kind")
}

/// A child as the watch would bring it.
fn child(object: &Object, version: u64, change: impl FnOnce(&mut Value)) -> Child {
    let mut body = object.body.clone();
    body["metadata"]["resourceVersion"] = json!(version.to_string());
    body["metadata"]["generation"] = json!(1);
    change(&mut body);
    let wire = serde_json::from_value(body).expect("a child");
    let entry = ChildRecord::decode(wire, &Interner::default()).expect("a record");
    Child { kind: object.kind, name: entry.name, version, record: entry.row }
}

fn said(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::Apply { object, force } => format!("apply {}/{} {force}", object.kind.kind, object.name),
            Action::HandOver { name, replicas } => format!("hand over {name} {replicas}"),
            Action::Delete { kind, name } => format!("delete {}/{name}", kind.kind),
        })
        .collect()
}

#[test]
fn all_that_an_app_may_say() {
    let spec = spec(json!({"components": [
        {"name": "main", "image": "registry.example/shop:2", "imagePullPolicy": "Always", "imagePullSecrets": ["pull"],
         "command": ["/srv"], "args": ["--port", "8080"],
         "ports": [{"port": 8080}, {"name": "metrics", "port": 9090}],
         "env": [{"name": "A", "value": "1"}, {"name": "B", "configMap": {"name": "c", "key": "k"}}, {"name": "C", "secret": {"name": "s", "key": "k", "optional": true}}],
         "envFrom": [{"configMap": "settings", "prefix": "X_"}, {"secret": "keys", "optional": true}],
         "volumes": [{"name": "data", "mountPath": "/data", "claim": "data"}, {"name": "conf", "mountPath": "/etc/shop", "configMap": "c", "readOnly": true, "subPath": "x"},
                     {"name": "certs", "mountPath": "/certs", "secret": "tls"}, {"name": "tmp", "mountPath": "/tmp", "emptyDir": {"sizeLimit": "1Gi", "memory": true}}],
         "initContainers": [{"name": "migrate", "command": ["/migrate"], "env": [{"name": "A", "value": "2"}]}],
         "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
         "probes": {"readiness": {"http": {"path": "/ready", "port": 8080}}, "liveness": {"tcp": 8080, "periodSeconds": 20}, "startup": {"exec": ["/ok"]}},
         "autoscale": {"min": 2, "max": 5, "cpuPercent": 70},
         "rollout": {"maxSurge": "1", "maxUnavailable": "50%", "minReadySeconds": 5, "progressDeadlineSeconds": 120},
         "expose": {"type": "Ingress", "host": "shop.example.com", "path": "/api", "tlsSecret": "tls", "ingressClass": "nginx", "annotations": {"a": "b"}},
         "terminationGracePeriodSeconds": 60, "serviceAccountName": "shop", "runAsUser": 1000,
         "podLabels": {"team": "a", "berth.dev/app": "forged"}, "podAnnotations": {"scrape": "true"}, "nodeSelector": {"disk": "ssd"}},
        {"name": "worker", "image": "registry.example/worker:2", "replicas": 1, "rollout": {"strategy": "Recreate"},
         "ports": [{"port": 53, "protocol": "UDP", "name": "dns"}], "expose": {"type": "LoadBalancer", "servicePort": 5353}}
    ]}));
    let bodies: Vec<Value> = objects(&spec).into_iter().map(|o| o.body).collect();
    insta::assert_json_snapshot!("objects", bodies);
}

#[test]
fn fits_pod_security_restricted() {
    let spec = spec(small());
    let objects = objects(&spec);
    let pod = &find(&objects, Kind::DEPLOYMENT).body["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    assert_eq!(
        pod["containers"][0]["securityContext"],
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
    );
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
}

#[test]
fn nothing_is_lost_while_rolling() {
    for (rollout, want) in [
        (json!(null), json!({"maxSurge": "25%", "maxUnavailable": 0})),
        (json!({"maxSurge": "0"}), json!({"maxSurge": 0, "maxUnavailable": 1})),
        (json!({"maxUnavailable": "50%"}), json!({"maxSurge": "25%", "maxUnavailable": "50%"})),
    ] {
        let mut value = small();
        value["components"][0]["rollout"] = rollout;
        let spec = spec(value);
        let objects = objects(&spec);
        assert_eq!(find(&objects, Kind::DEPLOYMENT).body["spec"]["strategy"]["rollingUpdate"], want);
    }
}

#[test]
fn which_objects() {
    for (change, want) in [
        (json!({}), "Deployment Service Ingress PodDisruptionBudget"),
        (json!({"replicas": 1}), "Deployment Service Ingress"),
        (json!({"expose": {"type": "Internal"}}), "Deployment Service PodDisruptionBudget"),
        (json!({"expose": {"type": "None"}}), "Deployment PodDisruptionBudget"),
        (
            json!({"replicas": 1, "autoscale": {"min": 2, "max": 3, "cpuPercent": 50}}),
            "Deployment Service Ingress PodDisruptionBudget HorizontalPodAutoscaler",
        ),
    ] {
        let mut value = small();
        for (key, part) in change.as_object().expect("an object") {
            value["components"][0][key] = part.clone();
        }
        let spec = spec(value);
        let kinds: Vec<&str> = objects(&spec).iter().map(|o| o.kind.kind).collect();
        assert_eq!(kinds.join(" "), want, "{change}");
    }
    let mut asleep = small();
    asleep["suspended"] = json!(true);
    let spec = spec(asleep);
    let objects = objects(&spec);
    assert_eq!(find(&objects, Kind::DEPLOYMENT).body["spec"]["replicas"], json!(0));
    assert!(!objects.iter().any(|o| o.kind == Kind::BUDGET));
}

#[test]
fn scaling_rolls_no_pods() {
    let one = spec(small());
    let two = {
        let mut value = small();
        value["components"][0]["replicas"] = json!(9);
        spec(value)
    };
    let before = objects(&one);
    let deployment = &find(&before, Kind::DEPLOYMENT).body;
    let template = deployment["metadata"]["annotations"][meta::TEMPLATE].as_str().expect("a digest").to_owned();
    // Seen at revision 4; whatever the revision is now, the template's label stays.
    let known = |_: &str| Some((template.clone(), 4));
    let after = desired(&Wanted { revision: 6, ..wanted(&two) }, &known);
    let after = &find(&after, Kind::DEPLOYMENT).body;
    assert_eq!(after["spec"]["template"], deployment["spec"]["template"]);
    let restarted =
        desired(&Wanted { restarted_at: Some("2026-01-01T00:00:00Z"), revision: 6, ..wanted(&one) }, &known);
    assert_ne!(find(&restarted, Kind::DEPLOYMENT).body["spec"]["template"], deployment["spec"]["template"]);
}

#[test]
fn decisions() {
    let spec = spec(small());
    let wanted = objects(&spec);
    let never = |_: &Child| false;
    assert_eq!(
        said(&decide(wanted.clone(), &[], &never)),
        [
            "apply Deployment/shop false",
            "apply Service/shop false",
            "apply Ingress/shop false",
            "apply PodDisruptionBudget/shop false"
        ],
        "what is not known to be ours is not taken by force"
    );
    let standing: Vec<Child> = wanted.iter().map(|o| child(o, 10, |_| {})).collect();
    assert_eq!(said(&decide(wanted.clone(), &standing, &never)), Vec::<String>::new(), "nothing to do");
    assert_eq!(
        said(&decide(wanted.clone(), &standing, &|c: &Child| c.kind == Kind::SERVICE)),
        ["apply Service/shop true"],
        "somebody changed it"
    );
    let scaled: Vec<Child> = wanted
        .iter()
        .map(|o| {
            child(o, 10, |b| {
                if o.kind == Kind::DEPLOYMENT {
                    b["spec"]["replicas"] = json!(7)
                }
            })
        })
        .collect();
    assert_eq!(said(&decide(wanted.clone(), &scaled, &never)), ["apply Deployment/shop true"], "kubectl scale");
    let only_deployment = vec![find(&wanted, Kind::DEPLOYMENT).clone()];
    assert_eq!(
        said(&decide(only_deployment, &standing, &never)),
        ["delete Service/shop", "delete Ingress/shop", "delete PodDisruptionBudget/shop"]
    );
    let leaving: Vec<Child> = wanted
        .iter()
        .map(|o| child(o, 10, |b| b["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")))
        .collect();
    assert_eq!(said(&decide(wanted, &leaving, &never)), Vec::<String>::new(), "it is made anew once it is gone");
}

#[test]
fn an_autoscaler_takes_over_without_a_dip() {
    let fixed = spec(small());
    let mut value = small();
    value["components"][0]["autoscale"] = json!({"min": 2, "max": 9, "cpuPercent": 60});
    let scaled = spec(value);
    let deployment = find(&objects(&fixed), Kind::DEPLOYMENT).clone();
    let standing = [child(&deployment, 10, |_| {})];
    let actions = said(&decide(vec![find(&objects(&scaled), Kind::DEPLOYMENT).clone()], &standing, &|_| false));
    assert_eq!(actions, ["hand over shop 2", "apply Deployment/shop true"]);
    // Once it has, what it sets is not corrected.
    let deployment = find(&objects(&scaled), Kind::DEPLOYMENT).clone();
    let standing = [child(&deployment, 10, |b| b["spec"]["replicas"] = json!(6))];
    assert_eq!(said(&decide(vec![deployment], &standing, &|_| false)), Vec::<String>::new());
}

#[test]
fn revisions() {
    let a = spec(small());
    let b = {
        let mut value = small();
        value["components"][0]["image"] = json!("nginx:1.28");
        spec(value)
    };
    let scaled = {
        let mut value = small();
        value["components"][0]["replicas"] = json!(5);
        spec(value)
    };
    let now = "2026-01-01T00:00:00Z";
    let first = plan_revision(&wanted(&a), &[], Some("ada"), now);
    assert_eq!(first.number, 1);
    let first = first.apply.expect("a revision");
    assert_eq!(first.body["revision"], json!(1));
    assert_eq!(first.body["metadata"]["annotations"][meta::BY], json!("ada"));
    let mut standing = vec![child(&first, 1, |_| {})];
    let again = plan_revision(&wanted(&a), &standing, None, now);
    assert_eq!((again.number, again.apply), (1, None));
    assert_eq!(plan_revision(&wanted(&scaled), &standing, None, now).apply, None, "scaling is no revision");

    let second = plan_revision(&wanted(&b), &standing, None, now);
    assert_eq!(second.number, 2);
    standing.push(child(&second.apply.expect("a revision"), 2, |_| {}));
    let back = plan_revision(&wanted(&a), &standing, None, now);
    assert_eq!((back.number, back.apply.map(|o| o.name)), (3, Some(first.name)), "a new number for the old object");
}

#[test]
fn old_revisions_go() {
    let spec = spec(json!({"components": [{"name": "main", "image": "nginx:1"}], "revisionHistoryLimit": 2}));
    let revision = |n: i64| {
        let object = json!({"metadata": {"name": format!("shop-{n}"), "namespace": "shop-dev"}, "revision": n});
        let entry = ChildRecord::decode(serde_json::from_value(object).expect("a child"), &Interner::default())
            .expect("a record");
        Child { kind: Kind::REVISION, name: entry.name, version: 1, record: entry.row }
    };
    let standing: Vec<Child> = (1..=4).map(revision).collect();
    let plan = plan_revision(&wanted(&spec), &standing, None, "2026-01-01T00:00:00Z");
    assert_eq!(plan.number, 5);
    let pruned: Vec<&str> = plan.prune.iter().map(|name: &Arc<str>| &**name).collect();
    assert_eq!(pruned, ["shop-2", "shop-1"]);
}

#[test]
fn where_it_can_be_reached() {
    let spec = spec(json!({"components": [
        {"name": "main", "image": "a:1", "ports": [{"port": 8080}], "expose": {"type": "Ingress", "host": "shop.example.com", "tlsSecret": "t", "path": "/api"}},
        {"name": "api", "image": "a:1", "ports": [{"port": 9000}], "expose": {"type": "Internal"}},
        {"name": "lb", "image": "a:1", "ports": [{"port": 443}], "expose": {"type": "LoadBalancer"}},
        {"name": "worker", "image": "a:1", "ports": [{"port": 1}]},
    ]}));
    let known = addresses(&wanted(&spec), |name| (name == "shop-lb").then(|| "203.0.113.7".to_owned()));
    assert_eq!(
        known,
        ["https://shop.example.com/api", "shop.shop-dev:80", "shop-api.shop-dev:9000", "203.0.113.7:443"]
    );
}
