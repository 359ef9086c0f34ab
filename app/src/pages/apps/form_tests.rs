#![allow(clippy::unwrap_used)]
use super::*;

/// Everything that an app can have, so that whatever the form would drop is missed.
fn full() -> Value {
    json!({
        "suspended": true,
        "revisionHistoryLimit": 5,
        "components": [
            {
                "name": "main",
                "image": "registry.example.com/shop/web:1.4",
                "imagePullPolicy": "Always",
                "imagePullSecrets": ["pull"],
                "command": ["/web"],
                "args": ["--port", "8080"],
                "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }, { "name": "metrics", "port": 9090 }],
                "env": [
                    { "name": "A", "value": "1" },
                    { "name": "PASSWORD", "secret": { "name": "db", "key": "password" } },
                    { "name": "B", "value": "two\nlines" },
                ],
                "envFrom": [{ "configMap": "conf", "prefix": "X_" }],
                "volumes": [{ "name": "data", "mountPath": "/data", "claim": "web-data", "readOnly": true }],
                "initContainers": [{ "name": "migrate", "command": ["/migrate"] }],
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "128Mi" } },
                "probes": {
                    "readiness": { "http": { "path": "/healthz", "port": 8080, "https": true }, "periodSeconds": 5 },
                    "liveness": { "tcp": 8080 },
                    "startup": { "exec": ["/ok"] },
                },
                "replicas": 3,
                "autoscale": { "min": 2, "max": 5, "cpuPercent": 70, "memoryPercent": 80 },
                "rollout": { "strategy": "Rolling", "maxSurge": "25%", "maxUnavailable": "0", "minReadySeconds": 3 },
                "expose": {
                    "type": "Ingress", "port": 8080, "servicePort": 81, "host": "shop.example.com", "path": "/a",
                    "tlsSecret": "tls", "ingressClass": "nginx", "annotations": { "a": "b" },
                },
                "terminationGracePeriodSeconds": 20,
                "serviceAccountName": "web",
                "runAsUser": 1000,
                "podLabels": { "team": "shop" },
                "podAnnotations": { "note": "x" },
                "nodeSelector": { "disk": "ssd" },
            },
            { "name": "worker", "image": "registry.example.com/shop/worker:2" },
        ],
    })
}

/// Every pointer to a leaf of `value`, with the leaf.
fn leaves(value: &Value, at: String, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, format!("{at}/{k}"), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| leaves(v, format!("{at}/{i}"), out)),
        leaf => out.push((at, leaf.clone())),
    }
}

fn difference(before: &Value, after: &Value) -> Vec<String> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    leaves(before, String::new(), &mut a);
    leaves(after, String::new(), &mut b);
    let mut changed: Vec<String> = a.iter().filter(|leaf| !b.contains(leaf)).map(|(at, _)| at.clone()).collect();
    changed.extend(b.iter().filter(|leaf| !a.contains(leaf)).map(|(at, _)| at.clone()));
    changed.sort();
    changed.dedup();
    changed
}

#[test]
fn untouched_form_changes_nothing() {
    for component in 0..2 {
        let form = AppForm::from_spec(&full(), component);
        assert_eq!(form.to_spec(&full()), full());
        assert_eq!(form.apply(&full()).unwrap(), full());
    }
}

#[test]
fn a_browser_sends_the_same_form() {
    let form = AppForm::from_spec(&full(), 0);
    let fields: Vec<(String, String)> =
        Field::ALL.iter().map(|f| (f.name().to_owned(), form.get(*f).replace('\n', "\r\n"))).collect();
    assert_eq!(AppForm::from_fields(&fields, &full(), 0), form);
    assert_eq!(AppForm::from_fields(&fields, &blank(), 0), form);
    let half = AppForm::from_fields(&[("replicas".to_owned(), "9".to_owned())], &full(), 0);
    assert_eq!(difference(&full(), &half.apply(&full()).unwrap()), ["/components/0/replicas"]);
    let off: Vec<_> = fields.into_iter().filter(|(name, _)| name != "autoscale").collect();
    assert_eq!(AppForm::from_fields(&off, &full(), 0).get(Field::Autoscale), "");
}

#[test]
fn each_field_changes_its_place_alone() {
    let main = "/components/0";
    for (field, text, places) in [
        (Field::Image, "nginx:1", vec!["/image"]),
        (Field::Replicas, "4", vec!["/replicas"]),
        (Field::Replicas, "", vec!["/replicas"]),
        (Field::CpuRequest, "200m", vec!["/resources/requests/cpu"]),
        (Field::CpuLimit, "", vec!["/resources/limits/cpu"]),
        (Field::MemoryRequest, "100Mi", vec!["/resources/requests/memory"]),
        (Field::MemoryLimit, "1Gi", vec!["/resources/limits/memory"]),
        (
            Field::Port,
            "8081",
            vec!["/expose/port", "/ports/0/port", "/probes/liveness/tcp", "/probes/readiness/http/port"],
        ),
        (Field::ReadinessPath, "/ready", vec!["/probes/readiness/http/path"]),
        (
            Field::ReadinessPath,
            "",
            vec![
                "/probes/readiness/http/https",
                "/probes/readiness/http/path",
                "/probes/readiness/http/port",
                "/probes/readiness/periodSeconds",
            ],
        ),
        (Field::Expose, "Internal", vec!["/expose/type"]),
        (Field::Host, "new.example.com", vec!["/expose/host"]),
        (Field::Path, "", vec!["/expose/path"]),
        (Field::Env, "A=9\nB=\"two\\nlines\"", vec!["/env/0/value"]),
        (
            Field::Autoscale,
            "",
            vec!["/autoscale/cpuPercent", "/autoscale/max", "/autoscale/memoryPercent", "/autoscale/min"],
        ),
        (Field::AutoscaleMin, "3", vec!["/autoscale/min"]),
        (Field::AutoscaleMax, "9", vec!["/autoscale/max"]),
        (Field::AutoscaleCpu, "60", vec!["/autoscale/cpuPercent"]),
        (Field::AutoscaleMemory, "", vec!["/autoscale/memoryPercent"]),
        (Field::MaxSurge, "1", vec!["/rollout/maxSurge"]),
        (Field::MaxUnavailable, "1", vec!["/rollout/maxUnavailable"]),
    ] {
        let mut form = AppForm::from_spec(&full(), 0);
        form.set(field, text);
        let after = form.apply(&full()).unwrap();
        let want: Vec<String> = places.iter().map(|place| format!("{main}{place}")).collect();
        assert_eq!(difference(&full(), &after), want, "{field:?} = {text:?}");
    }
}

#[test]
fn recreating_knows_no_surge() {
    let mut form = AppForm::from_spec(&full(), 0);
    form.set(Field::Strategy, "Recreate");
    let fields: Vec<String> = form.apply(&full()).unwrap_err().into_iter().map(|e| e.field).collect();
    assert_eq!(fields, ["max_surge", "max_unavailable"]);
    form.set(Field::MaxSurge, "");
    form.set(Field::MaxUnavailable, "");
    assert!(form.apply(&full()).is_ok());
}

#[test]
fn a_new_app_needs_only_an_image() {
    let mut form = AppForm::from_spec(&blank(), 0);
    form.set(Field::Image, "nginx:1.27");
    assert_eq!(form.apply(&blank()).unwrap(), json!({ "components": [{ "name": "main", "image": "nginx:1.27" }] }));
}

#[test]
fn a_new_app_with_all_of_it() {
    let mut form = AppForm::from_spec(&blank(), 0);
    for (field, text) in [
        (Field::Image, "nginx:1.27"),
        (Field::Replicas, "2"),
        (Field::CpuRequest, "100m"),
        (Field::MemoryLimit, "128Mi"),
        (Field::Port, "8080"),
        (Field::ReadinessPath, "/healthz"),
        (Field::Expose, "Ingress"),
        (Field::Host, "shop.example.com"),
        (Field::Env, "A=1\nexport B=two words"),
        (Field::Autoscale, "on"),
        (Field::AutoscaleMin, "2"),
        (Field::AutoscaleMax, "4"),
        (Field::AutoscaleCpu, "70"),
        (Field::MaxSurge, "1"),
    ] {
        form.set(field, text);
    }
    assert_eq!(
        form.apply(&blank()).unwrap(),
        json!({ "components": [{
            "name": "main",
            "image": "nginx:1.27",
            "replicas": 2,
            "resources": { "requests": { "cpu": "100m" }, "limits": { "memory": "128Mi" } },
            "ports": [{ "port": 8080 }],
            "probes": { "readiness": { "http": { "port": 8080, "path": "/healthz" } } },
            "expose": { "type": "Ingress", "host": "shop.example.com" },
            "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "two words" }],
            "autoscale": { "min": 2, "max": 4, "cpuPercent": 70 },
            "rollout": { "maxSurge": "1" },
        }] })
    );
}

#[test]
fn wrong_fields_are_named_all_at_once() {
    let mut form = AppForm::from_spec(&blank(), 0);
    for (field, text) in [
        (Field::Image, "https://nginx"),
        (Field::Replicas, "many"),
        (Field::MemoryRequest, "1Gb"),
        (Field::Env, "1A=x\nB\n2A=y"),
        (Field::Expose, "Ingress"),
        (Field::Autoscale, "on"),
        (Field::AutoscaleMax, "4"),
        (Field::Strategy, "Blue"),
        (Field::MaxSurge, "a lot"),
    ] {
        form.set(field, text);
    }
    let errors = form.apply(&blank()).unwrap_err();
    let mut got: Vec<(&str, &str)> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
    got.sort_unstable();
    assert_eq!(
        got,
        [
            ("autoscale_cpu", "required"),
            ("autoscale_min", "required"),
            ("env", "env_line"),
            ("env", "env_name"),
            ("env", "env_name"),
            ("host", "required"),
            ("image", "image_scheme"),
            ("max_surge", "number_or_percent"),
            ("memory_request", "quantity_unit"),
            ("port", "expose_port"),
            ("replicas", "number"),
            ("strategy", "choice"),
        ]
    );
}

#[test]
fn what_is_wrong_is_carried_to_yaml_and_back() {
    let mut form = AppForm::from_spec(&blank(), 0);
    for (field, text) in [
        (Field::Image, "Not an image"),
        (Field::Replicas, "many"),
        (Field::Port, "http"),
        (Field::Expose, "Everyone"),
        (Field::Env, "NOVALUE\nA=1"),
        (Field::Autoscale, "on"),
        (Field::AutoscaleMin, "few"),
        (Field::AutoscaleMax, "4"),
    ] {
        form.set(field, text);
    }
    let carried = form.to_spec(&blank());
    let back = AppForm::from_spec(&carried, 0);
    assert_eq!(back, form);
    assert!(back.apply(&carried).is_err());
}

#[test]
fn a_readiness_path_replaces_another_kind_of_check_and_keeps_its_timing() {
    let base = json!({ "components": [{ "name": "main", "image": "a", "ports": [{ "port": 80 }],
        "probes": { "readiness": { "tcp": 80, "periodSeconds": 3 } } }] });
    let mut form = AppForm::from_spec(&base, 0);
    assert_eq!(form.get(Field::ReadinessPath), "");
    assert_eq!(form.apply(&base).unwrap(), base);
    form.set(Field::ReadinessPath, "/ok");
    assert_eq!(
        form.apply(&base).unwrap()["components"][0]["probes"],
        json!({ "readiness": { "periodSeconds": 3, "http": { "port": 80, "path": "/ok" } } })
    );
}

#[test]
fn a_readiness_path_needs_a_port() {
    let mut form = AppForm::from_spec(&blank(), 0);
    form.set(Field::Image, "a");
    form.set(Field::ReadinessPath, "/ok");
    let errors = form.apply(&blank()).unwrap_err();
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("port", "readiness_port"));
}

#[test]
fn errors_outside_the_form_keep_their_path() {
    let mut base = full();
    base["components"][0]["runAsUser"] = 0.into();
    base["components"][1]["image"] = "".into();
    let errors = AppForm::from_spec(&base, 0).apply(&base).unwrap_err();
    let got: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(got, ["spec.components[0].runAsUser", "spec.components[1].image"]);
}

#[test]
fn suggestions_are_taken() {
    let mut form = AppForm::from_spec(&blank(), 0);
    assert!(form.take("memory_request=1Gi"));
    assert!(form.take("name=web"));
    assert!(!form.take("nothing=1"));
    assert_eq!((form.get(Field::MemoryRequest), form.name.as_str()), ("1Gi", "web"));
}

#[test]
fn what_others_changed_meanwhile_is_kept() {
    let mut form = AppForm::from_spec(&full(), 0);
    form.set(Field::Replicas, "7");
    let mut newer = full();
    newer["components"][0]["image"] = "nginx:2".into();
    newer["components"][0]["replicas"] = 5.into();
    let rebased = form.rebase(&full(), &newer);
    assert_eq!((rebased.get(Field::Image), rebased.get(Field::Replicas)), ("nginx:2", "7"));
    assert_eq!(difference(&newer, &rebased.apply(&newer).unwrap()), ["/components/0/replicas"]);
}
