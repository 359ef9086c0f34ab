//! Owners and dependents, namespaces that end, endpoints.

use std::time::Duration;

use crate::common::{World, deployment};
use berth_sim::{
    cluster::{DeleteOptions, Propagation},
    controllers::fields::Fields,
    registry::builtin::gr,
};
use serde_json::json;

fn deleting(propagation: Propagation) -> DeleteOptions {
    DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() }
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 2));
    world.advance(Duration::from_secs(3));
    world.delete(&gr::DEPLOYMENTS, "web");
    assert!(world.list(&gr::REPLICA_SETS).is_empty());
    assert!(world.pods("default").iter().all(|pod| pod.deleting()));
    world.advance(Duration::from_secs(2));
    assert!(world.pods("default").is_empty());
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 2));
    world.advance(Duration::from_secs(3));
    world.delete_with(&gr::DEPLOYMENTS, "web", &deleting(Propagation::Foreground));
    assert!(world.get(&gr::DEPLOYMENTS, "web").deleting());
    assert_eq!(world.list(&gr::REPLICA_SETS).len(), 1);
    world.advance(Duration::from_secs(2));
    assert!(world.pods("default").is_empty());
    assert!(world.list(&gr::REPLICA_SETS).is_empty());
    assert!(world.find(&gr::DEPLOYMENTS, "web").is_none());
}

#[tokio::test]
async fn orphans_stay_and_are_adopted_again() {
    let world = World::new();
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 2));
    world.advance(Duration::from_secs(3));
    world.delete_with(&gr::DEPLOYMENTS, "web", &deleting(Propagation::Orphan));
    assert!(world.find(&gr::DEPLOYMENTS, "web").is_none());
    let sets = world.list(&gr::REPLICA_SETS);
    assert_eq!(sets.len(), 1);
    assert!(sets[0].controller().is_none());
    assert_eq!(world.pods("default").len(), 2);
    world.create(&gr::DEPLOYMENTS, deployment("web", "web", 2));
    world.advance(Duration::from_secs(3));
    assert_eq!(world.list(&gr::REPLICA_SETS).len(), 1, "adopted, not replaced");
    assert_eq!(world.pods("default").len(), 2);
}

#[tokio::test]
async fn a_namespace_begins_with_its_account_and_ends_with_its_contents() {
    let world = World::new();
    world.create(&gr::NAMESPACES, json!({"metadata": {"name": "team"}}));
    world.settle();
    assert!(world.cluster.find(&gr::SERVICE_ACCOUNTS, "team", "default").is_some());
    assert!(world.cluster.find(&gr::CONFIG_MAPS, "team", "kube-root-ca.crt").is_some());
    let mut web = deployment("web", "web", 2);
    web["metadata"]["namespace"] = json!("team");
    world.create(&gr::DEPLOYMENTS, web);
    world.advance(Duration::from_secs(3));
    assert_eq!(world.pods("team").len(), 2);
    world.delete(&gr::NAMESPACES, "team");
    let team = world.get(&gr::NAMESPACES, "team");
    assert_eq!(team.text("/status/phase"), "Terminating");
    assert_eq!(
        team.condition("NamespaceContentRemaining").unwrap().text("/message"),
        "Some resources are remaining: pods. has 2 resource instances"
    );
    world.advance(Duration::from_secs(2));
    assert!(world.find(&gr::NAMESPACES, "team").is_none());
    assert!(world.pods("team").is_empty());
}

#[tokio::test]
async fn endpoints_name_ready_pods() {
    let world = World::new();
    let mut web = deployment("web", "sim.berth.dev/slow-start:20s", 2);
    web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 5});
    world.create(&gr::DEPLOYMENTS, web);
    world.create(
        &gr::SERVICES,
        json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]}}),
    );
    world.advance(Duration::from_secs(5));
    let endpoints = world.get(&gr::ENDPOINTS, "web");
    assert_eq!(endpoints.items("/subsets/0/notReadyAddresses").len(), 2);
    world.advance(Duration::from_secs(25));
    let endpoints = world.get(&gr::ENDPOINTS, "web");
    assert_eq!(endpoints.items("/subsets/0/addresses").len(), 2);
    assert_eq!(endpoints.int("/subsets/0/ports/0/port"), Some(8080));
    let slices = world.list(&gr::ENDPOINT_SLICES);
    assert_eq!(slices.len(), 1);
    assert!(slices[0].items("/endpoints").iter().all(|endpoint| endpoint.flag("/conditions/ready")));
}
