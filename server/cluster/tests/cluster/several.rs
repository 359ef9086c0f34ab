//! Two clusters in one process: an app in each, and what becomes of one when the other goes.

use std::sync::Arc;

use berth_cluster::{ClusterSet, Connection, KubeCluster, Replica};
use berth_core::{
    authz::{AppRef, Grant, NamespaceRef},
    env::SystemClock,
    ports::{
        cluster::{CacheState, Cluster as _, Clusters as _},
        clusters::Registrar as _,
    },
};
use berth_sim::Sim;
use berth_types::{Action, ClusterId, Resource, app_status::AppPhase, people::Namespace};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::common::{Harbour, PATIENCE, row, until};

fn set(stop: &CancellationToken) -> ClusterSet {
    let replica = Replica { name: "several".to_owned(), installation: "berth".to_owned() };
    ClusterSet::new(replica, Arc::new(SystemClock), stop.clone())
}

/// A namespace `shop-dev` of a cluster, with an app in it that gets ready.
async fn deploy(harbour: &Harbour, cluster: &Arc<KubeCluster>) -> Grant<AppRef> {
    let namespace = NamespaceRef { cluster: cluster.id().clone(), ..(*harbour.dev()).clone() };
    let wanted = Namespace { kube_name: namespace.kube_name.to_string(), ..row("shop", "dev") };
    let desired = berth_core::services::namespaces::desired(&wanted);
    let system = harbour.berth();
    until("a namespace", async || cluster.ensure_namespace(&system, &desired).await.ok().filter(|kept| !kept.changed))
        .await;
    let app = AppRef { namespace, name: "web".parse().unwrap() };
    let app = Grant::unchecked(app, Resource::App, Action::Update);
    let spec = json!({"components": [{"name": "main", "image": "registry.example/web:1", "replicas": 1}]});
    // The definition and the roles may still be on their way.
    let ada = harbour.person("ada");
    until("an app", async || cluster.create_app(&ada, &app, &spec).await.ok()).await;
    until("ready", async || cluster.app(&app).filter(|a| a.view.status.phase == AppPhase::Ready)).await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cluster_lives_by_itself() {
    // Its person and names only: it has a cluster of its own, beside these.
    let harbour = Harbour::new().await;
    let stop = CancellationToken::new();
    let set = set(&stop);
    let (east, west) = (Sim::builder().build().unwrap(), Sim::builder().nodes(1).build().unwrap());
    let single = |sim: &Sim| Connection::single(kube::Client::new(sim.service(), "default"));
    let local = set.begin(&ClusterId::local(), single(&west), None);
    let moon = set.begin(&"a-moon".parse().unwrap(), single(&east), Some(1));
    let order: Vec<String> = set.all().iter().map(|cluster| cluster.id().to_string()).collect();
    assert_eq!(order, ["local", "a-moon"], "the configured one first, whatever others are called");
    assert_eq!(set.connected(), [("a-moon".parse().unwrap(), 1)]);
    let (here, there) = (deploy(&harbour, &local).await, deploy(&harbour, &moon).await);
    assert!(local.leads() && moon.leads(), "it works on both");
    assert_ne!(local.identity().await.unwrap(), moon.identity().await.unwrap());

    // One is let go of: what ran for it ends, the other goes on.
    set.disconnect(moon.id()).await;
    assert!(set.get(moon.id()).is_err() && !moon.leads());
    assert!(set.get(local.id()).is_ok() && local.leads());
    let spec = json!({"components": [{"name": "main", "image": "registry.example/web:2", "replicas": 1}]});
    local.replace_app(&harbour.person("ada"), &here, &spec, None).await.unwrap();
    let done = |a: &berth_core::ports::cluster::AppObject| {
        a.view.status.revision == 2 && a.view.status.phase == AppPhase::Ready
    };
    until("a second revision", async || local.app(&here).filter(done)).await;
    // It comes back as it was.
    let again = set.begin(&"a-moon".parse().unwrap(), single(&east), Some(2));
    until("the app again", async || again.app(&there).filter(|a| a.view.status.phase == AppPhase::Ready)).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, set.ended()).await.expect("all ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_is_looked_at_and_connected() {
    let stop = CancellationToken::new();
    let set = set(&stop);
    let sim = Sim::builder().build().unwrap();
    let server = sim.serve_tls("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let file = std::env::temp_dir().join(format!("berth-several-{}", crate::common::unique()));
    server.write_kubeconfig(&file).unwrap();
    let kubeconfig = std::fs::read_to_string(&file).unwrap().into();
    std::fs::remove_file(&file).unwrap();

    let looked = set.look(&kubeconfig).await.unwrap();
    let bad: Vec<_> =
        looked.findings.iter().filter(|f| f.verdict == berth_core::ports::cluster::Verdict::Bad).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(looked.identity.is_some() && looked.version.is_some() && looked.latency_ms.is_some());
    let what: Vec<&str> = looked.findings.iter().map(|f| f.what.as_str()).collect();
    for check in ["version", "rights of the writer", "nodes", "network plug-in", "default storage class", "metrics API"]
    {
        assert!(what.contains(&check), "{check}: {what:?}");
    }
    let moon: ClusterId = "moon".parse().unwrap();
    set.connect(&moon, 1, &kubeconfig).await.unwrap();
    let cluster = set.get(&moon).unwrap();
    until("live", async || (cluster.freshness().state == CacheState::Live).then_some(())).await;
    assert_eq!(cluster.identity().await.ok(), looked.identity);

    // A server that is gone is one finding, not an error; another installation's lease is one, too.
    let stranger = Replica { name: "other".to_owned(), installation: "another".to_owned() };
    let other = ClusterSet::new(stranger, Arc::new(SystemClock), stop.clone());
    until("the lease", async || cluster.leads().then_some(())).await;
    let theirs = other.look(&kubeconfig).await.unwrap();
    let lease = theirs.findings.iter().find(|f| f.what == "lease of the controller").unwrap();
    assert!(lease.found.contains("another Berth"), "{lease:?}");
    stop.cancel();
    drop(server);
}
