//! Each wrong value stands at its field.
#![allow(clippy::unwrap_used)]

use super::*;

fn app(component: &str) -> AppSpec {
    serde_json::from_str(&format!(r#"{{"components":[{component}]}}"#)).unwrap()
}

#[test]
fn a_full_one_passes() {
    let spec = app(r#"{"name":"main","image":"registry.example.com/shop/web:1.4","replicas":3,
        "ports":[{"port":8080},{"name":"metrics","port":9090}],
        "env":[{"name":"A","value":"b"},{"name":"S","secret":{"name":"s","key":"k"}}],
        "volumes":[{"name":"data","mountPath":"/data","claim":"web-data"}],
        "resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}},
        "probes":{"readiness":{"http":{"path":"/healthz","port":8080}}},
        "autoscale":{"min":2,"max":5,"cpuPercent":70},
        "rollout":{"maxSurge":"25%","maxUnavailable":"0"},
        "expose":{"type":"Ingress","host":"shop.example.com"}}"#);
    assert_eq!(spec.validate(), vec![]);
}

#[test]
fn each_error_stands_at_its_field() {
    for (component, field, code) in [
        (r#"{"name":"Main","image":"a"}"#, "name", "name_character"),
        (r#"{"name":"main","image":"A"}"#, "image", "image_repository"),
        (r#"{"name":"main","image":"a","replicas":-1}"#, "replicas", "number_range"),
        (r#"{"name":"main","image":"a","ports":[{"port":0}]}"#, "ports[0].port", "number_range"),
        (r#"{"name":"main","image":"a","env":[{"name":"1"}]}"#, "env[0].name", "env_name"),
        (r#"{"name":"main","image":"a","env":[{"name":"A"},{"name":"A"}]}"#, "env[1].name", "duplicate"),
        (
            r#"{"name":"main","image":"a","volumes":[{"name":"v","mountPath":"x","claim":"c"}]}"#,
            "volumes[0].mountPath",
            "mount_path",
        ),
        (r#"{"name":"main","image":"a","volumes":[{"name":"v","mountPath":"/x"}]}"#, "volumes[0]", "one_of"),
        (
            r#"{"name":"main","image":"a","resources":{"requests":{"memory":"1Gb"}}}"#,
            "resources.requests.memory",
            "quantity_unit",
        ),
        (
            r#"{"name":"main","image":"a","resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}}"#,
            "resources.requests.cpu",
            "request_over_limit",
        ),
        (
            r#"{"name":"main","image":"a","probes":{"liveness":{"tcp":80,"successThreshold":2}}}"#,
            "probes.liveness.successThreshold",
            "number_range",
        ),
        (
            r#"{"name":"main","image":"a","autoscale":{"min":1,"max":2,"cpuPercent":70}}"#,
            "autoscale.cpuPercent",
            "needs_request",
        ),
        (
            r#"{"name":"main","image":"a","rollout":{"maxSurge":"0","maxUnavailable":"0%"}}"#,
            "rollout.maxSurge",
            "rollout_stuck",
        ),
        (r#"{"name":"main","image":"a","expose":{"type":"Internal"}}"#, "expose.port", "expose_port"),
        (
            r#"{"name":"main","image":"a","ports":[{"port":80}],"expose":{"type":"Ingress","host":"https://a"}}"#,
            "expose.host",
            "host_name",
        ),
    ] {
        let errors = app(component).validate();
        let got: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
        assert_eq!(got, [(format!("spec.components[0].{field}").as_str(), code)], "{component}");
    }
}

#[test]
fn unknown_fields_are_refused() {
    assert!(serde_json::from_str::<AppSpec>(r#"{"components":[],"replica":1}"#).is_err());
}

/// A component that is right but for `extra`.
fn with(extra: serde_json::Value) -> AppSpec {
    let mut component = serde_json::json!({ "name": "main", "image": "a", "ports": [{ "port": 80 }] });
    for (key, value) in extra.as_object().unwrap() {
        component[key] = value.clone();
    }
    serde_json::from_value(serde_json::json!({ "components": [component] })).unwrap()
}

/// What the cluster, or the node later, would refuse is refused here, at its field.
#[test]
fn what_the_cluster_would_refuse() {
    use serde_json::json;
    let ingress =
        |field: &str, value: &str| json!({ "expose": { "type": "Ingress", "host": "a.example.com", field: value } });
    let note = |key: &str| json!({ "expose": { "type": "LoadBalancer", "annotations": { key: "x" } } });
    let env = |env: serde_json::Value| json!({ "env": [env] });
    let volume = |field: &str, value: &str| {
        let mut volume = json!({ "name": "v", "mountPath": "/v", "claim": "c" });
        volume[field] = value.into();
        json!({ "volumes": [volume] })
    };
    let amounts = |resource: &str, amount: &str| json!({ "resources": { "requests": { resource: amount } } });
    let big: serde_json::Map<String, serde_json::Value> =
        (0..3).map(|i| (format!("a{i}"), "x".repeat(100_000).into())).collect();
    for (extra, field, code) in [
        (json!({ "ports": [{ "port": 80, "name": "a--b" }] }), "ports[0].name", "port_name"),
        (json!({ "ports": [{ "port": 80, "name": "-a" }] }), "ports[0].name", "port_name"),
        (json!({ "ports": [{ "port": 80, "name": "80" }] }), "ports[0].name", "port_name"),
        (json!({ "ports": [{ "port": 80, "name": "sixteencharacter" }] }), "ports[0].name", "port_name"),
        (json!({ "ports": [{ "port": 80 }, { "port": 80 }] }), "ports[1].port", "duplicate"),
        (
            env(json!({ "name": "A", "secret": { "name": "Bad_Name", "key": "k" } })),
            "env[0].secret.name",
            "object_name",
        ),
        (env(json!({ "name": "A", "secret": { "name": "s", "key": "" } })), "env[0].secret.key", "config_key"),
        (env(json!({ "name": "A", "configMap": { "name": "", "key": "k" } })), "env[0].configMap.name", "object_name"),
        (env(json!({ "name": "A", "configMap": { "name": "c", "key": ".." } })), "env[0].configMap.key", "config_key"),
        (env(json!({ "name": "A", "value": "a\u{0}b" })), "env[0].value", "nul"),
        (json!({ "envFrom": [{ "secret": "Bad_Name" }] }), "envFrom[0].secret", "object_name"),
        (json!({ "envFrom": [{ "configMap": "" }] }), "envFrom[0].configMap", "object_name"),
        (json!({ "envFrom": [{ "configMap": "c", "prefix": "1=" }] }), "envFrom[0].prefix", "env_name"),
        (
            json!({ "initContainers": [{ "name": "i", "env": [{ "name": "A", "secret": { "name": "s", "key": "a b" } }] }] }),
            "initContainers[0].env[0].secret.key",
            "config_key",
        ),
        (json!({ "initContainers": [{ "name": "main" }] }), "initContainers[0].name", "duplicate"),
        (volume("claim", ""), "volumes[0].claim", "object_name"),
        (volume("claim", "Bad Name"), "volumes[0].claim", "object_name"),
        (volume("subPath", "../../etc"), "volumes[0].subPath", "sub_path"),
        (volume("subPath", "/abs"), "volumes[0].subPath", "sub_path"),
        (volume("mountPath", "/"), "volumes[0].mountPath", "mount_path_root"),
        (volume("mountPath", "/a:b"), "volumes[0].mountPath", "mount_path"),
        (volume("mountPath", "/a/../b"), "volumes[0].mountPath", "mount_path"),
        (json!({ "podLabels": { "a b": "x" } }), "podLabels", "label_key"),
        (json!({ "podLabels": { "": "x" } }), "podLabels", "label_key"),
        (json!({ "podLabels": { "Bad.com_/a": "x" } }), "podLabels", "label_key"),
        (json!({ "podLabels": { "a": "x".repeat(64) } }), "podLabels", "label_value"),
        (json!({ "podLabels": { "a": "-x" } }), "podLabels", "label_value"),
        (json!({ "podLabels": { "berth.dev/app": "other" } }), "podLabels", "own_key"),
        (json!({ "podLabels": { "app.kubernetes.io/managed-by": "me" } }), "podLabels", "own_key"),
        (json!({ "podLabels": { "app.kubernetes.io/name": "me" } }), "podLabels", "own_key"),
        (json!({ "podAnnotations": { "a//b": "x" } }), "podAnnotations", "label_key"),
        (json!({ "podAnnotations": { "berth.dev/restarted-at": "x" } }), "podAnnotations", "own_key"),
        (json!({ "podAnnotations": big }), "podAnnotations", "annotations_size"),
        (json!({ "nodeSelector": { "disk": "s s d" } }), "nodeSelector", "label_value"),
        (json!({ "serviceAccountName": "Bad_Name" }), "serviceAccountName", "object_name"),
        (json!({ "serviceAccountName": "" }), "serviceAccountName", "object_name"),
        (json!({ "imagePullSecrets": [""] }), "imagePullSecrets[0]", "object_name"),
        (json!({ "imagePullSecrets": ["a", "a"] }), "imagePullSecrets[1]", "duplicate"),
        (json!({ "rollout": { "maxSurge": "+5%" } }), "rollout.maxSurge", "number_or_percent"),
        (json!({ "rollout": { "maxUnavailable": "-0" } }), "rollout.maxUnavailable", "number_or_percent"),
        (json!({ "rollout": { "maxUnavailable": "%" } }), "rollout.maxUnavailable", "number_or_percent"),
        (json!({ "rollout": { "minReadySeconds": 600 } }), "rollout.minReadySeconds", "under_deadline"),
        (
            json!({ "rollout": { "minReadySeconds": 30, "progressDeadlineSeconds": 30 } }),
            "rollout.minReadySeconds",
            "under_deadline",
        ),
        (json!({ "rollout": { "strategy": "Recreate", "maxSurge": "1" } }), "rollout.maxSurge", "not_with_recreate"),
        (ingress("path", "shop"), "expose.path", "url_path"),
        (ingress("path", "/a b"), "expose.path", "url_path"),
        (ingress("path", "/a//b"), "expose.path", "url_path"),
        (ingress("path", "/a/.."), "expose.path", "url_path"),
        (ingress("path", "/a;b{"), "expose.path", "url_path"),
        (ingress("host", "10.0.0.1"), "expose.host", "host_address"),
        (ingress("host", "-a.com"), "expose.host", "host_name"),
        (ingress("tlsSecret", "Bad_Name"), "expose.tlsSecret", "object_name"),
        (ingress("ingressClass", ""), "expose.ingressClass", "object_name"),
        (note("a b"), "expose.annotations", "label_key"),
        (note("nginx.ingress.kubernetes.io/configuration-snippet"), "expose.annotations", "snippet"),
        (note("nginx.org/Server-Snippets"), "expose.annotations", "snippet"),
        (json!({ "command": [""] }), "command[0]", "empty_item"),
        (json!({ "command": ["a\u{0}"] }), "command[0]", "nul"),
        (json!({ "args": ["a\u{0}"] }), "args[0]", "nul"),
        (json!({ "probes": { "liveness": { "exec": ["sh", ""] } } }), "probes.liveness.exec[1]", "empty_item"),
        (amounts("memory", "500m"), "resources.requests.memory", "whole_bytes"),
        (amounts("memory", "1.5"), "resources.requests.memory", "whole_bytes"),
        (amounts("cpu", "1gb"), "resources.requests.cpu", "quantity_unit"),
        (json!({ "image": "a..b/c" }), "image", "image_registry"),
    ] {
        let errors = with(extra.clone()).validate();
        let got: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
        let text: String = extra.to_string().chars().take(120).collect();
        assert_eq!(got, [(format!("spec.components[0].{field}").as_str(), code)], "{text}");
    }
}

#[test]
fn what_is_right_stays_right() {
    use serde_json::json;
    for extra in [
        json!({ "ports": [{ "port": 80, "name": "8080-tcp" }, { "port": 80, "protocol": "UDP" }] }),
        json!({ "args": ["", "--x"], "command": ["sh", "-c"] }),
        json!({ "podLabels": { "example.com/team": "a.B_c-1", "app.kubernetes.io/version": "", "tier": "web" } }),
        json!({ "podAnnotations": { "Example.com/Note": "anything {} at\nall" } }),
        json!({ "volumes": [{ "name": "v", "mountPath": "/v/..data", "claim": "a.b", "subPath": "a/..b" }] }),
        json!({ "env": [{ "name": "A", "secret": { "name": "s.1", "key": "tls.crt" } }, { "name": "B", "value": "\u{1b}" }] }),
        json!({ "rollout": { "minReadySeconds": 599, "maxSurge": "100%", "maxUnavailable": "0" } }),
        json!({ "rollout": { "strategy": "Recreate" } }),
        json!({ "expose": { "type": "Ingress", "host": "*.example.com", "path": "/a.b/~c/%41", "tlsSecret": "t", "ingressClass": "nginx" } }),
        json!({ "expose": { "type": "Ingress", "host": "1.2.3.4.nip.io", "annotations": { "nginx.ingress.kubernetes.io/ssl-redirect": "false" } } }),
        json!({ "resources": { "requests": { "memory": "0.5Gi", "cpu": "1m" }, "limits": { "memory": "1E" } } }),
    ] {
        assert_eq!(with(extra.clone()).validate(), vec![], "{extra}");
    }
}

#[test]
fn lists_are_bounded_and_told_of_once() {
    use serde_json::{Value, json};
    let many = |n: usize, item: &dyn Fn(usize) -> Value| Value::Array((0..n).map(item).collect());
    let port = |i: usize| json!({ "port": 80 + i });
    let env = |i: usize| json!({ "name": format!("A{i}") });
    let volume = |i: usize| json!({ "name": format!("v{i}"), "mountPath": format!("/v{i}"), "emptyDir": {} });
    let init = |i: usize| json!({ "name": format!("i{i}") });
    let text = |i: usize| json!(format!("a{i}"));
    for (field, max, item) in [
        ("ports", 100, &port as &dyn Fn(usize) -> Value),
        ("env", 500, &env),
        ("volumes", 100, &volume),
        ("args", 200, &text),
        ("command", 200, &text),
        ("initContainers", 20, &init),
        ("imagePullSecrets", 20, &text),
    ] {
        assert_eq!(with(json!({ field: many(max, item) })).validate(), vec![], "{field}");
        let errors = with(json!({ field: many(max + 1, item) })).validate();
        let got: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
        assert_eq!(got, [(format!("spec.components[0].{field}").as_str(), "too_many")]);
    }
}

#[test]
fn likely_amounts_fit_what_is_measured() {
    let cpu = check_amount("cpu", "1gb", Measure::Cpu).unwrap_err();
    assert_eq!(cpu.suggestions, Vec::<String>::new());
    assert_eq!(check_amount("cpu", "2cores", Measure::Cpu).unwrap_err().suggestions, ["2"]);
    assert_eq!(check_amount("memory", "1gb", Measure::Bytes).unwrap_err().suggestions, ["1Gi", "1G"]);
    assert_eq!(check_amount("memory", "500m", Measure::Bytes).unwrap_err().suggestions, ["500Mi"]);
}

#[test]
fn one_host_and_path_leads_to_one_component() {
    use serde_json::json;
    let at = |name: &str, host: &str, path: &str| {
        json!({ "name": name, "image": "a", "ports": [{ "port": 80 }],
            "expose": { "type": "Ingress", "host": host, "path": path } })
    };
    for (second, wrong) in [
        (at("b", "x.example.com", "/"), true),
        (at("b", "x.example.com", "/api"), false),
        (at("b", "y.example.com", "/"), false),
    ] {
        let spec: AppSpec =
            serde_json::from_value(json!({ "components": [at("a", "x.example.com", "/"), second] })).unwrap();
        let got: Vec<String> = spec.validate().into_iter().map(|e| format!("{} {}", e.field, e.code)).collect();
        let want: &[&str] = if wrong { &["spec.components[1].expose.host duplicate"] } else { &[] };
        assert_eq!(got, want, "{second}");
    }
}
