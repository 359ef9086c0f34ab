//! Several replicas on one cluster: one works on it at a time, and another soon when that one is gone.

use std::sync::Arc;

use crate::common::{Harbour, PATIENCE};
use berth_cluster::KubeCluster;
use berth_core::ports::cluster::Cluster as _;
use berth_types::app_status::AppPhase;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/berth-controller";

/// A Berth process on the harbour's cluster, as far as it concerns others.
struct Replica {
    cluster: Arc<KubeCluster>,
    /// `true`: it reaches nobody.
    cut: watch::Sender<bool>,
    stop: CancellationToken,
    /// Its own, so that it can be killed between any two steps.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Replica {
    fn start(harbour: &Harbour, me: &str) -> Self {
        let (cluster, cut) = harbour.another();
        cluster.elect(berth_cluster::Replica { name: me.to_owned(), installation: "berth".to_owned() });
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(cluster.clone().run(stop.clone()));
        runtime.spawn(cluster.clone().run_controller(stop.clone()));
        Self { cluster, cut, stop, runtime: Some(runtime) }
    }

    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    async fn led(&self) {
        tokio::time::timeout(PATIENCE, self.cluster.led()).await.expect("it leads");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn spec(image: &str) -> Value {
    json!({"components": [{"name": "main", "image": image, "replicas": 1}]})
}

async fn lease(harbour: &Harbour) -> (Option<String>, i64) {
    let spec = harbour.get(LEASE).await.unwrap()["spec"].clone();
    (spec["holderIdentity"].as_str().map(str::to_owned), spec["leaseTransitions"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_goes_on_where_one_was_killed() {
    let harbour = Harbour::new().await;
    let mut first = Replica::start(&harbour, "first");
    first.led().await;
    let second = Replica::start(&harbour, "second");
    assert!(second.cluster.wait_until_live(PATIENCE).await, "who does not lead shows the cluster, too");
    harbour.create("web", &spec("registry.example/web:1")).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    assert!(first.cluster.leads() && !second.cluster.leads());
    let (holder, epoch) = lease(&harbour).await;
    assert_eq!(holder.as_deref(), Some("first"));

    // Killed with a change half done: the other finishes it, and once.
    let app = harbour.app("web");
    harbour.cluster.replace_app(&harbour.person("ada"), &app, &spec("registry.example/web:2"), None).await.unwrap();
    first.kill();
    second.led().await;
    assert_eq!(lease(&harbour).await, (Some("second".to_owned()), epoch + 1));
    let done = |a: &berth_core::ports::cluster::AppObject| {
        a.view.status.revision == 2 && a.view.status.phase == AppPhase::Ready
    };
    harbour.wait_app("web", "the second revision", done).await;
    let revisions = harbour.cluster.revisions(&harbour.person("ada"), &app).await.unwrap();
    assert_eq!(revisions.iter().map(|r| r.number).collect::<Vec<_>>(), [2, 1]);

    // One that ends in good order gives the lease back: the next begins at once, and its own does not outlive it.
    second.stop.cancel();
    let third = Replica::start(&harbour, "third");
    third.led().await;
    assert!(!second.cluster.leads());
    assert_eq!(lease(&harbour).await, (Some("third".to_owned()), epoch + 2));
    harbour.cluster.delete_app(&harbour.person("ada"), &app, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_learn_that_nobody_works_on_the_cluster() {
    let harbour = Harbour::new().await;
    // Held by a Berth with another database, for which nobody here may step in.
    // MicroTime wants all six digits.
    let now = format!("{:.6}", harbour.berth().now());
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "berth-controller", "namespace": "kube-system",
            "annotations": {"berth.dev/installation": "another"}},
        "spec": {"holderIdentity": "stranger", "leaseDurationSeconds": 60, "leaseTransitions": 1, "renewTime": now},
    });
    // Applied: on a cluster that others have used there is one already.
    let applied = format!("{LEASE}?fieldManager=stranger&force=true");
    harbour.send("PATCH", &applied, "application/apply-patch+yaml", &body).await;
    let replica = Replica::start(&harbour, "first");
    assert!(replica.cluster.wait_until_live(PATIENCE).await);
    let idle = |cluster: &KubeCluster| cluster.freshness().idle_since.is_some();
    harbour.wait("idle", || idle(&replica.cluster).then_some(())).await.expect("it is told");
    assert!(!replica.cluster.leads());

    harbour.send("DELETE", LEASE, "application/json", &json!({})).await;
    replica.led().await;
    assert!(!idle(&replica.cluster));
    // Nor does anybody else believe it.
    let second = Replica::start(&harbour, "second");
    assert!(second.cluster.wait_until_live(PATIENCE).await && !idle(&second.cluster));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_never_lead_at_a_time() {
    let harbour = Harbour::new().await;
    let first = Replica::start(&harbour, "first");
    first.led().await;
    let second = Replica::start(&harbour, "second");
    assert!(second.cluster.wait_until_live(PATIENCE).await);

    // The first reaches nobody any more: it has to find out by itself, before the second begins.
    first.cut.send_replace(true);
    let looking = async {
        loop {
            let (one, other) = (first.cluster.leads(), second.cluster.leads());
            assert!(!(one && other), "both lead");
            if other {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("the second leads");

    // When it is back it does not, for the lease is somebody's.
    first.cut.send_replace(false);
    assert!(first.cluster.wait_until_live(PATIENCE).await);
    harbour.create("web", &spec("registry.example/web:1")).await;
    harbour.wait_app("web", "ready", |a| a.view.status.phase == AppPhase::Ready).await;
    assert!(!first.cluster.leads() && second.cluster.leads());
}
