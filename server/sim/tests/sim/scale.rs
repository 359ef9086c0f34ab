//! The work that one more app takes does not depend on how many there are. Work is counted, not timed.

use std::time::Duration;

use crate::common::{World, deployment};
use berth_sim::{
    controllers::{Options, fields::Fields, nodes::shapes},
    registry::builtin::gr,
};
use serde_json::json;

/// An app as Berth's controller makes it: Deployment, Service and PodDisruptionBudget, spread over the nodes.
fn app(world: &World, name: &str) {
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "berth"});
    let mut workload = deployment(name, "nginx:1.27", 1);
    workload["spec"]["selector"]["matchLabels"] = labels.clone();
    workload["spec"]["template"]["metadata"]["labels"] = labels.clone();
    workload["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }]);
    workload["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}});
    world.create(&gr::DEPLOYMENTS, workload);
    world.create(
        &gr::SERVICES,
        json!({"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80}]}}),
    );
    world.create(
        &gr::POD_DISRUPTION_BUDGETS,
        json!({"metadata": {"name": name}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}}),
    );
}

#[tokio::test]
async fn one_more_app_costs_the_same() {
    const BATCH: usize = 50;
    let world = World::with(Options { nodes: shapes(5), ..Options::default() });
    let mut costs = Vec::new();
    for batch in 0..4 {
        let engine = &world.sim.control.as_ref().unwrap().engine;
        let before = (world.cluster.store.listed(), engine.reconciles(), world.cluster.store.revision());
        for index in 0..BATCH {
            app(&world, &format!("app-{batch}-{index}"));
            world.settle();
        }
        // Less than a heartbeat's period, so that the nodes' own work does not count.
        world.advance(Duration::from_secs(4));
        let per_app = |after: u64, before: u64| (after - before) / BATCH as u64;
        costs.push([
            per_app(world.cluster.store.listed(), before.0),
            per_app(engine.reconciles(), before.1),
            per_app(world.cluster.store.revision(), before.2),
        ]);
    }
    let pods = world.pods("default");
    assert_eq!(pods.len(), 4 * BATCH);
    assert!(pods.iter().all(|pod| pod.condition_is_true("Ready")), "every pod got its place and runs");
    let (first, last) = (costs[0], costs[3]);
    for (what, (early, late)) in ["rows listed", "reconciles", "writes"].iter().zip(first.iter().zip(last)) {
        // A square law would make the last batch seven times as dear as the first.
        assert!(late <= early + early / 2 + 2, "{what} per app grew from {early} to {late}: {costs:?}");
    }
    let on_nodes = |node: &str| pods.iter().filter(|pod| pod.text("/spec/nodeName") == node).count();
    for node in world.list(&gr::NODES) {
        assert!((20..=70).contains(&on_nodes(node.name())), "{} has {}", node.name(), on_nodes(node.name()));
    }
}
