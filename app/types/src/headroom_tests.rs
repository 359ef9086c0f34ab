#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

fn spec(components: Value) -> AppSpec {
    serde_json::from_value(json!({ "components": components })).unwrap()
}

fn amounts(pairs: &[(&str, &str)]) -> Amounts {
    pairs.iter().map(|(key, amount)| ((*key).to_owned(), amount.parse().unwrap())).collect()
}

fn defaults() -> LimitDefaults {
    LimitDefaults {
        requests: amounts(&[("cpu", "100m"), ("memory", "128Mi")]),
        limits: amounts(&[("cpu", "500m"), ("memory", "256Mi")]),
    }
}

fn cpu(amounts: &Amounts) -> String {
    amounts.get("requests.cpu").copied().unwrap_or_default().to_string()
}

fn pods(amounts: &Amounts) -> i64 {
    amounts.get("pods").copied().unwrap_or_default().as_units()
}

/// One component of 1 CPU a pod, with `more`.
fn sized(more: Value) -> Value {
    let mut component = json!({ "name": "main", "image": "a", "resources": { "requests": { "cpu": "1" } } });
    component.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    component
}

#[test]
fn rest_and_peak_by_hand() {
    // (what, component, pods at rest, at most, at the peak)
    for (what, more, rest, most, peak) in [
        ("one pod and one more while it is replaced", json!({}), 1, 1, 2),
        ("25 % of 3 is 1", json!({ "replicas": 3 }), 3, 3, 4),
        ("25 % of 4 is 1", json!({ "replicas": 4 }), 4, 4, 5),
        ("25 % of 5 is 2: rounded up", json!({ "replicas": 5 }), 5, 5, 7),
        ("a number", json!({ "replicas": 4, "rollout": { "maxSurge": "3" } }), 4, 4, 7),
        ("more surge than pods to replace", json!({ "replicas": 2, "rollout": { "maxSurge": "10" } }), 2, 2, 4),
        ("100 %", json!({ "replicas": 4, "rollout": { "maxSurge": "100%" } }), 4, 4, 8),
        ("none", json!({ "replicas": 4, "rollout": { "maxSurge": "0" } }), 4, 4, 4),
        ("old ones leave first", json!({ "replicas": 4, "rollout": { "strategy": "Recreate" } }), 4, 4, 4),
        ("an autoscaler's ends", json!({ "replicas": 9, "autoscale": { "min": 2, "max": 10 } }), 2, 10, 13),
        ("nothing", json!({ "replicas": 0, "rollout": { "maxSurge": "3" } }), 0, 0, 0),
    ] {
        let spec = spec(json!([sized(more)]));
        let load = Load::of(&spec, &LimitDefaults::default());
        let got = load.footprint(None);
        assert_eq!((pods(&got.rest), pods(&got.most), pods(&got.peak)), (rest, most, peak), "{what}");
        assert_eq!(cpu(&got.peak), peak.to_string(), "{what}");
        assert_eq!(peak_of(&spec), got.peak, "{what}");
    }
}

fn peak_of(spec: &AppSpec) -> Amounts {
    peak(spec, &LimitDefaults::default())
}

#[test]
fn a_change_counts_old_and_new_pods_side_by_side() {
    let of = |cpu: &str, replicas: i32, rollout: Value| {
        spec(json!([{ "name": "main", "image": "a", "replicas": replicas, "rollout": rollout,
            "resources": { "requests": { "cpu": cpu } } }]))
    };
    for (what, old, new, peak) in [
        // 4 new ones of 1, and 1 old one of 2; or 4 old ones of 2 and 1 new one of 1.
        ("smaller pods", of("2", 4, json!({})), of("1", 4, json!({})), "9"),
        // 4 of 2 and 1 of 1 while it changes; 5 of 2 the next time.
        ("larger pods", of("1", 4, json!({})), of("2", 4, json!({})), "10"),
        // 3 pods at most: the last 2 old ones of 2, and the first new one of 1.
        ("fewer and smaller", of("2", 4, json!({})), of("1", 2, json!({})), "5"),
        ("no overlap", of("2", 4, json!({})), of("1", 4, json!({ "strategy": "Recreate" })), "4"),
        ("one at a time", of("2", 4, json!({})), of("1", 4, json!({ "maxSurge": "0" })), "7"),
    ] {
        let defaults = LimitDefaults::default();
        let (old, new) = (Load::of(&old, &defaults), Load::of(&new, &defaults));
        assert_eq!(cpu(&new.footprint(Some(&old)).peak), peak, "{what}");
    }
}

#[test]
fn a_component_that_goes_is_there_until_it_has_gone() {
    let none = LimitDefaults::default();
    let (old, new) = (spec(json!([sized(json!({ "name": "old", "replicas": 2 }))])), spec(json!([sized(json!({}))])));
    let footprint = Load::of(&new, &none).footprint(Some(&Load::of(&old, &none)));
    assert_eq!((pods(&footprint.rest), pods(&footprint.peak)), (1, 4));
    assert_eq!(footprint.peak["count/deployments.apps"], Quantity::units(2));
    assert_eq!(footprint.rest["count/deployments.apps"], Quantity::units(1));
}

#[test]
fn suspended_it_takes_no_pods_but_keeps_its_objects() {
    let mut spec =
        spec(json!([sized(json!({ "replicas": 3, "ports": [{ "port": 80 }], "expose": { "type": "LoadBalancer" },
        "autoscale": { "min": 2, "max": 3 } }))]));
    let awake = peak_of(&spec);
    spec.suspended = true;
    let asleep = Load::of(&spec, &LimitDefaults::default()).footprint(None);
    assert_eq!((pods(&awake), pods(&asleep.rest), pods(&asleep.peak)), (4, 0, 0));
    assert_eq!(cpu(&asleep.peak), "0");
    let count = |amounts: &Amounts, key: &str| amounts.get(key).map(|q| q.as_units());
    for key in ["services.loadbalancers", "services", "count/services", "services.nodeports", "count/deployments.apps"]
    {
        assert_eq!(count(&asleep.peak, key), Some(1), "{key}");
    }
    for key in ["count/poddisruptionbudgets.policy", "count/horizontalpodautoscalers.autoscaling"] {
        assert_eq!((count(&awake, key), count(&asleep.peak, key)), (Some(1), None), "{key}");
    }
}

#[test]
fn init_containers_count_by_their_peak_and_sidecars_stay() {
    let ask = |cpu: &str, sidecar| ContainerAsk { requests: amounts(&[("cpu", cpu)]), limits: Amounts::new(), sidecar };
    let main = || vec![ask("100m", false)];
    for (inits, overhead, want) in [
        (vec![], "0", "100m"),
        (vec![ask("500m", false), ask("400m", false)], "0", "500m"),
        (vec![ask("50m", true)], "0", "150m"),
        (vec![ask("50m", true), ask("200m", false)], "0", "250m"),
        // One that begins after the init container does not run beside it.
        (vec![ask("200m", false), ask("50m", true)], "0", "200m"),
        (vec![], "10m", "110m"),
    ] {
        let overhead = amounts(&[("cpu", overhead)]);
        let pod = PodAsk { containers: main(), inits: inits.clone(), overhead, ..PodAsk::default() };
        assert_eq!(cpu(&pod.takes()), want, "{inits:?}");
    }
    let whole = ask("2", false);
    assert_eq!(cpu(&PodAsk { containers: main(), whole, ..PodAsk::default() }.takes()), "2");
}

#[test]
fn containers_that_say_nothing_get_defaults() {
    let key = |amounts: &Amounts, key: &str| amounts.get(key).map(|a| print(key, *a));
    for (resources, want) in [
        (json!({}), ["100m", "500m", "128Mi", "256Mi"]),
        (json!({ "requests": { "cpu": "1" } }), ["1", "500m", "128Mi", "256Mi"]),
        // The limit is the request where none is stated, before any default.
        (json!({ "limits": { "cpu": "2", "memory": "1Gi" } }), ["2", "2", "1Gi", "1Gi"]),
    ] {
        let spec = spec(json!([{ "name": "main", "image": "a", "resources": resources }]));
        let takes = PodAsk::of(&spec.components[0], &defaults()).takes();
        let got = ["requests.cpu", "limits.cpu", "requests.memory", "limits.memory"].map(|k| key(&takes, k).unwrap());
        assert_eq!(got, want, "{resources}");
        assert_eq!((&takes["cpu"], &takes["memory"]), (&takes["requests.cpu"], &takes["requests.memory"]));
    }
    // An init container has the component's resources, or its own.
    let spec = spec(json!([{ "name": "main", "image": "a", "resources": { "requests": { "cpu": "100m" } },
        "initContainers": [{ "name": "a" }, { "name": "b", "resources": { "requests": { "cpu": "300m" } } }] }]));
    assert_eq!(cpu(&PodAsk::of(&spec.components[0], &defaults()).takes()), "300m");
}

#[test]
fn what_a_quota_wants_stated() {
    let spec = spec(json!([{ "name": "main", "image": "a", "resources": { "requests": { "cpu": "1" } } }]));
    let (without, with) =
        (PodAsk::of(&spec.components[0], &LimitDefaults::default()), PodAsk::of(&spec.components[0], &defaults()));
    for (key, left_out) in [
        ("requests.cpu", false),
        ("cpu", false),
        ("limits.cpu", true),
        ("memory", true),
        ("limits.memory", true),
        ("pods", false),
        ("requests.storage", false),
        ("requests.nvidia.com/gpu", false),
    ] {
        assert_eq!((without.leaves_out(key), with.leaves_out(key)), (left_out, false), "{key}");
    }
}

#[test]
fn what_is_left() {
    let footprint = |rest: &str, peak: &str| Footprint {
        rest: amounts(&[("requests.cpu", rest)]),
        most: amounts(&[("requests.cpu", rest)]),
        peak: amounts(&[("requests.cpu", peak)]),
    };
    let quantity = |text: &str| text.parse::<Quantity>().unwrap();
    for (limit, used, now, rest, peak, others, left, fits) in [
        ("8", "7", "900m", "900m", "1200m", "6100m", "700m", true),
        ("8", "7", "0", "1", "1250m", "7", "-250m", true),
        ("8", "8", "2", "2500m", "3", "6", "-1", false),
        // The app's pods are known before the quota has counted them.
        ("8", "0", "2", "2", "2", "0", "6", true),
        ("0", "0", "0", "0", "0", "0", "0", true),
    ] {
        let now = amounts(&[("requests.cpu", now)]);
        let key = Headroom::new("requests.cpu", quantity(limit), quantity(used), &now, &footprint(rest, peak));
        assert_eq!((key.others, key.left(key.peak)), (quantity(others), quantity(left)), "{used} of {limit}");
        assert_eq!(key.has_room(key.rest), fits, "{used} of {limit}");
    }
}

#[test]
fn amounts_are_printed_as_people_write_them() {
    for (resource, amount, text) in [
        ("requests.memory", "256Mi", "256Mi"),
        ("requests.memory", "1024Mi", "1Gi"),
        ("requests.storage", "2048Gi", "2Ti"),
        ("limits.memory", "100M", "100000000"),
        ("requests.storage", "-512Ki", "-512Ki"),
        ("requests.memory", "0", "0"),
        ("requests.cpu", "1.5", "1500m"),
        ("pods", "12", "12"),
    ] {
        assert_eq!(print(resource, amount.parse().unwrap()), text, "{amount}");
    }
}
