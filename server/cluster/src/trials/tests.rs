use super::{network::*, *};

#[test]
fn nodes_that_take_pods() {
    let node = |spec: Value, ready: &str| {
        json!({"metadata": {"labels": {"kubernetes.io/hostname": "a"}}, "spec": spec,
            "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    };
    for (node, takes) in [
        (node(json!({}), "True"), true),
        (node(json!({}), "Unknown"), false),
        (node(json!({"unschedulable": true}), "True"), false),
        (node(json!({"taints": [{"key": "x", "effect": "NoSchedule"}]}), "True"), false),
        (node(json!({"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}), "True"), true),
    ] {
        assert_eq!(takes_pods(&node), takes, "{node}");
    }
}

#[test]
fn why_a_pod_is_not_ready() {
    let pod = |status: Value| json!({"metadata": {"name": "web-0"}, "status": status});
    let ready = pod(json!({"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}));
    assert_eq!(readiness(&ready), Ok(Ready { name: "web-0".into(), address: "10.0.0.1".into() }));
    let waits =
        pod(json!({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}));
    assert_eq!(readiness(&waits), Err("not found".into()));
    let unfit = pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}));
    assert_eq!(readiness(&unfit), Err("0/3 nodes".into()));
}

#[test]
fn output_and_exit_code() {
    assert_eq!(ran("web-1\n=0\n"), Ran { code: 0, out: "web-1".into() });
    assert_eq!(ran("=127\n"), Ran { code: 127, out: String::new() });
    assert_eq!(ran("a=b\n=1\n"), Ran { code: 1, out: "a=b".into() });
    assert_eq!(ran("cut off").code, -1);
}

#[test]
fn what_answers_of_a_service_say() {
    let pods: Vec<Ready> =
        ["web-0", "web-1"].iter().map(|name| Ready { name: (*name).into(), address: String::new() }).collect();
    for (answers, verdict, told) in [
        ("web-0\nweb-1\nweb-0", Verdict::Good, "3 requests over 2 pods"),
        ("web-0\nweb-0", Verdict::Bad, "none of 2 requests reached web-1"),
        ("web-0\nfailed\nweb-1", Verdict::Bad, "1 of 3 requests failed"),
        ("", Verdict::Bad, "none of 0 requests reached web-0, web-1"),
    ] {
        let finding = spread(&pods, answers);
        assert_eq!((finding.verdict, finding.found.as_str()), (verdict, told));
    }
}

#[test]
fn megabytes_a_second() {
    let out = "100.00 1\n102.00 1";
    let rate = rate(&Ran { code: 0, out: out.into() }).expect("a rate");
    assert!((rate - 167.77).abs() < 0.01, "{rate}");
    assert_eq!(super::network::rate(&Ran { code: 1, out: out.into() }), None);
}
