#![allow(clippy::unwrap_used)]
use berth_types::{headroom::LimitDefaults, rows::UsageRow};
use jiff::Timestamp;
use serde_json::json;

use super::*;

fn spec(components: Value) -> AppSpec {
    serde_json::from_value(json!({ "components": components })).unwrap()
}

/// One component of `cpu` and 100Mi a pod, with `more`.
fn app(cpu: &str, more: Value) -> AppSpec {
    let requests = json!({ "cpu": cpu, "memory": "100Mi" });
    let mut component = json!({ "name": "main", "image": "a", "resources": { "requests": requests } });
    component.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec(json!([component]))
}

fn room(rows: &[(&str, &str, &str)], counted: &[(&str, &str)]) -> Room {
    let row = |(resource, used, limit): &(&str, &str, &str)| UsageRow {
        resource: (*resource).to_owned(),
        used: (*used).to_owned(),
        limit: Some((*limit).to_owned()),
    };
    Room {
        usage: rows.iter().map(row).collect(),
        defaults: Some(LimitDefaults::default()),
        counted: counted.iter().map(|(key, amount)| ((*key).to_owned(), amount.parse().unwrap())).collect(),
    }
}

fn live() -> Freshness {
    Freshness { state: CacheState::Live, as_of: Some(Timestamp::UNIX_EPOCH), idle_since: None }
}

fn told(list: &[FieldError]) -> Vec<(&str, &str)> {
    list.iter().map(|e| (e.field.trim_start_matches("spec.components[0]."), e.code.as_str())).collect()
}

#[test]
fn what_cannot_fit_is_refused_and_what_only_waits_is_told() {
    let cpu = |used: &'static str| [("requests.cpu", used, "8")];
    let (small, none) = (app("1", json!({ "replicas": 2 })), None);
    type Row<'a> = (&'a str, Option<&'a AppSpec>, AppSpec, Room, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)]);
    let rows: &[Row<'_>] = &[
        ("room for all", none, app("1", json!({ "replicas": 3 })), room(&cpu("4"), &[]), &[], &[]),
        (
            "not at rest",
            none,
            app("1", json!({ "replicas": 5 })),
            room(&cpu("4"), &[]),
            &[("replicas", "quota_replicas")],
            &[],
        ),
        (
            "not even one",
            none,
            app("5", json!({ "replicas": 2 })),
            room(&cpu("4"), &[]),
            &[("resources.requests.cpu", "quota_lack")],
            &[],
        ),
        // No old pod may leave before a new one is there, and there is no room for that.
        (
            "a rollout would stall",
            none,
            app("1", json!({ "replicas": 4 })),
            room(&cpu("4"), &[]),
            &[],
            &[("rollout.maxSurge", "quota_stall")],
        ),
        (
            "a rollout would wait",
            none,
            app("1", json!({ "replicas": 4, "rollout": { "maxUnavailable": "1" } })),
            room(&cpu("4"), &[]),
            &[],
            &[("rollout.maxSurge", "quota_surge")],
        ),
        (
            "two extra pods, and room for one",
            none,
            app("1", json!({ "replicas": 5 })),
            room(&cpu("2"), &[]),
            &[],
            &[("rollout.maxSurge", "quota_surge")],
        ),
        (
            "an autoscaler would stop before its end",
            none,
            app("1", json!({ "autoscale": { "min": 2, "max": 10, "cpuPercent": 70 } })),
            room(&cpu("4"), &[]),
            &[],
            &[("autoscale.max", "quota_autoscale")],
        ),
        (
            "an autoscaler cannot even begin",
            none,
            app("1", json!({ "autoscale": { "min": 5, "max": 10, "cpuPercent": 70 } })),
            room(&cpu("4"), &[]),
            &[("autoscale.min", "quota_replicas")],
            &[],
        ),
        // Its own two pods are among those in use.
        (
            "in place of itself",
            Some(&small),
            app("1", json!({ "replicas": 3 })),
            room(&cpu("6"), &[("requests.cpu", "2")]),
            &[],
            &[],
        ),
        // A quota that was lowered below use keeps nobody from changing an image, or from asking for less.
        (
            "what lacked room before is told only",
            Some(&small),
            app("1", json!({ "replicas": 2, "image": "b" })),
            room(&[("requests.cpu", "6", "3")], &[("requests.cpu", "2")]),
            &[],
            &[("resources.requests.cpu", "quota_lack")],
        ),
        (
            "pods",
            none,
            app("1", json!({ "replicas": 2 })),
            room(&[("pods", "10", "10")], &[]),
            &[("replicas", "quota_replicas")],
            &[],
        ),
        (
            "an address more than there may be",
            none,
            app("1", json!({ "ports": [{ "port": 80 }], "expose": { "type": "LoadBalancer" } })),
            room(&[("services.loadbalancers", "1", "1")], &[]),
            &[("expose.type", "quota_objects")],
            &[],
        ),
        (
            "a quota for what the containers do not state",
            none,
            app("1", json!({})),
            room(&[("limits.memory", "0", "1Gi"), ("requests.cpu", "0", "8")], &[]),
            &[("resources.limits.memory", "quota_unstated")],
            &[],
        ),
        (
            "a quota that has nothing to do with it",
            none,
            app("1", json!({})),
            room(&[("count/secrets", "9", "1")], &[]),
            &[],
            &[],
        ),
    ];
    for (what, before, wanted, room, errors, warnings) in rows {
        let found = assess(room, live(), &[], *before, wanted);
        assert_eq!((told(&found.errors), told(&found.warnings)), (errors.to_vec(), warnings.to_vec()), "{what}");
    }
}

#[test]
fn the_numbers_are_told() {
    let wanted = app("1500m", json!({ "replicas": 4 }));
    let found = assess(&room(&[("requests.cpu", "5", "8")], &[]), live(), &[], None, &wanted);
    let error = &found.errors[0];
    assert_eq!(error.message, "4 pods need 6 of requests.cpu, and 3 of 8 is free for them: 2 fit");
    assert_eq!(error.suggestions, ["2"]);
    let params: Vec<_> = ["n", "need", "free", "limit", "fit"].iter().map(|key| error.params[*key].as_str()).collect();
    assert_eq!(params, ["4", "6", "3", "8", "2"]);
    let refused = found.passed().unwrap_err();
    assert_eq!((refused.code(), refused.fields().len()), (ErrorCode::QuotaExceeded, 1));
    assert!(refused.message().contains("spec.components[0].replicas: 4 pods need 6"), "{refused}");
}

#[test]
fn of_several_parts_the_one_that_grew_is_named() {
    let of = |web: i32, worker: i32| {
        let part = |name: &str, replicas: i32| json!({ "name": name, "image": "a", "replicas": replicas, "resources": { "requests": { "cpu": "1" } } });
        spec(json!([part("web", web), part("worker", worker)]))
    };
    let room = room(&[("requests.cpu", "6", "8")], &[("requests.cpu", "4")]);
    let found = assess(&room, live(), &[], Some(&of(2, 2)), &of(2, 6));
    assert_eq!(told(&found.errors), [("spec.components[1].replicas", "quota_replicas")]);
    assert_eq!(found.errors[0].params["fit"], "4", "6 are free, and 2 of them are the other part's");
}

#[test]
fn the_cluster_knows_best_what_a_pod_takes() {
    let wanted = app("1", json!({ "replicas": 3 }));
    let room = room(&[("requests.cpu", "4", "8"), ("limits.cpu", "0", "8")], &[]);
    let takes = |cpu: &str| Amounts::from([("requests.cpu".to_owned(), cpu.parse().unwrap())]);
    // Something adds a sidecar of half a core to each pod.
    let with = PodVerdict::Taken(Some(takes("1500m")));
    let found = assess(&room, live(), &[with], None, &wanted);
    assert_eq!(told(&found.errors), [("replicas", "quota_replicas")], "4.5 of 4");
    assert_eq!(found.policy, Policy::Asked);
    let unknown = assess(&room, live(), &[PodVerdict::Unknown("no".to_owned())], None, &wanted);
    assert_eq!(told(&unknown.errors), [("resources.limits.cpu", "quota_unstated")], "counted without the cluster");
    assert_eq!(unknown.policy, Policy::Unknown("no".to_owned()));
    let why = FieldError::new("spec.components[0].runAsUser", "pod_security", "no");
    let refused = assess(&room, live(), &[PodVerdict::Refused(vec![why])], None, &app("100m", json!({})));
    assert_eq!(refused.errors[0].code, "pod_security");
}

#[test]
fn what_is_not_known_refuses_nothing() {
    let wanted = app("100", json!({}));
    let mut room = room(&[("requests.cpu", "4", "8"), ("limits.cpu", "0", "8")], &[]);
    let loading = Freshness { state: CacheState::Loading, as_of: None, idle_since: None };
    let found = assess(&room, loading, &[], None, &wanted);
    assert!(found.headroom.is_empty() && found.errors.is_empty(), "{found:?}");
    room.defaults = None;
    let found = assess(&room, live(), &[], None, &app("100m", json!({})));
    assert!(found.errors.is_empty(), "the defaults have not been read: {:?}", found.errors);
}

#[test]
fn suspended_it_needs_no_room_and_says_what_it_will_need() {
    let mut asleep = app("1", json!({ "replicas": 9 }));
    asleep.suspended = true;
    let found = assess(&room(&[("requests.cpu", "4", "8")], &[]), live(), &[], None, &asleep);
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    assert_eq!((found.headroom[0].peak, found.resumed[0].rest), (Quantity::ZERO, Quantity::units(9)));
    let awake = AppSpec { suspended: false, ..asleep.clone() };
    let resumed = assess(&room(&[("requests.cpu", "4", "8")], &[]), live(), &[], Some(&asleep), &awake);
    assert_eq!(told(&resumed.errors), [("replicas", "quota_replicas")]);
}
