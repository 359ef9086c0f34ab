//! `berth doctor --deep`: what it finds, and that it leaves nothing behind.

use crate::common::Harbour;
use berth_cluster::trials;
use berth_core::ports::cluster::{Finding, Verdict};
use serde_json::Value;

async fn grounds(harbour: &Harbour) -> Vec<String> {
    let all: Value = harbour.get("/api/v1/namespaces").await.unwrap();
    let names = all["items"].as_array().unwrap().iter().map(|n| n["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("berth-doctor-")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_tried_and_left_as_it_was() {
    let harbour = Harbour::new().await;
    let mut findings: Vec<Finding> = Vec::new();
    trials::run(harbour.admin.clone(), "busybox:1", |f| findings.push(f), std::future::pending()).await.unwrap();
    let verdict = |what: &str| {
        let found = findings.iter().find(|f| f.what == what);
        found.unwrap_or_else(|| panic!("no word of {what}: {findings:#?}")).verdict
    };
    assert_eq!(verdict("pods land on every node"), Verdict::Good, "{findings:#?}");
    assert_eq!(verdict("a node that is lost is noticed, its pods move"), Verdict::Good, "{findings:#?}");
    if std::env::var_os("BERTH_TEST_KUBECONFIG").is_some() {
        for what in [
            "pods reach each other across nodes",
            "names of Services resolve",
            "a Service spreads its requests",
            "throughput",
            "NetworkPolicies are enforced",
        ] {
            assert_eq!(verdict(what), Verdict::Good, "{findings:#?}");
        }
    } else {
        // There is no network between the pods of the embedded cluster, and that is said rather than called good.
        assert_eq!(verdict("pods reach each other, names, Services, policies"), Verdict::Lacking, "{findings:#?}");
    }
    verdict("a volume follows its pod");
    verdict("metrics flow");
    assert!(findings.iter().all(|f| f.fix.is_some() == (f.verdict != Verdict::Good)), "{findings:#?}");
    assert_eq!(grounds(&harbour).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_leaves_nothing_either() {
    let harbour = Harbour::new().await;
    let (told, first) = tokio::sync::oneshot::channel();
    let mut told = Some(told);
    let tell = |_| {
        if let Some(told) = told.take() {
            told.send(()).unwrap();
        }
    };
    let stop = async { first.await.unwrap() };
    trials::run(harbour.admin.clone(), "busybox:1", tell, stop).await.unwrap();
    assert_eq!(grounds(&harbour).await, [""; 0]);
}
