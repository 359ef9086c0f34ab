//! The control plane behind the API: controllers, scheduler and kubelets, all on the cluster's clock.

pub mod cron;
pub mod cronjob;
pub mod daemonset;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod engine;
pub mod event_ttl;
pub mod fields;
pub mod gc;
pub mod hpa;
pub mod index;
pub mod job;
pub mod labels;
pub mod namespaces;
pub mod nodes;
pub mod pods;
pub mod quota;
pub mod recorder;
pub mod replicaset;
pub mod resources;
pub mod revisions;
pub mod selector;
pub mod statefulset;
pub mod volumes;

use std::sync::Arc;

use parking_lot::Mutex;

use self::engine::{Controller, Engine, EngineHandle};
use crate::{
    admission,
    cluster::Cluster,
    kubelet::{Kubelets, Nodes, config::Timing, server::Server},
    rbac,
    scheduler::Scheduler,
};

/// How the simulated cluster is built.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its nodes. They are made when the cluster starts for the first time.
    pub nodes: Vec<nodes::NodeShape>,
    /// How long kubelets take for things.
    pub timing: Timing,
    /// Images that every node has from the start.
    pub images: Vec<String>,
    /// PEM of the API server's certificate authority, for `kube-root-ca.crt`. The builder puts it in.
    pub certificate: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: nodes::shapes(3), timing: Timing::default(), images: Vec::new(), certificate: String::new() }
    }
}

/// The running control plane. Dropping it stops it.
#[derive(Clone)]
pub struct ControlPlane {
    /// Drives the controllers; tests with a manual clock call [`EngineHandle::advance`].
    pub engine: EngineHandle,
}

impl ControlPlane {
    /// Brings up what every cluster has, then the controllers, on the current tokio runtime.
    #[must_use]
    pub fn start(cluster: &Cluster, options: &Options) -> Self {
        let names = options.nodes.iter().map(|node| node.name.as_str());
        let kubelets = Arc::new(Mutex::new(Nodes::with_images(names, &options.images)));
        cluster.set_admission(admission::plugins(cluster));
        cluster.set_authorizer(Arc::new(rbac::Rbac::new(cluster)));
        rbac::bootstrap(cluster);
        volumes::bootstrap(cluster);
        nodes::bootstrap(cluster, &options.nodes);
        let controllers: Vec<Box<dyn Controller>> = vec![
            Box::new(deployment::Deployments),
            Box::new(replicaset::ReplicaSets),
            Box::new(statefulset::StatefulSets),
            Box::new(daemonset::DaemonSets),
            Box::new(job::Jobs),
            Box::new(cronjob::CronJobs),
            Box::new(disruption::Disruptions),
            Box::new(hpa::Autoscalers::new(kubelets.clone())),
            Box::<Scheduler>::default(),
            Box::new(Kubelets::new(kubelets.clone(), options.timing.clone())),
            Box::new(nodes::NodeLifecycle),
            Box::new(endpoints::Endpoints),
            Box::new(gc::GarbageCollector),
            Box::new(event_ttl::EventExpiry),
            Box::new(namespaces::NamespaceDefaults { certificate: options.certificate.clone() }),
            Box::new(namespaces::NamespaceTermination),
            Box::new(quota::Quotas),
            Box::new(volumes::ClaimBinder),
            Box::new(volumes::Protection),
            Box::new(rbac::Aggregation),
        ];
        let engine = Engine::new(cluster, controllers);
        cluster.set_kubelet(Arc::new(Server::new(cluster, kubelets, engine.waker())));
        Self { engine: EngineHandle::spawn(engine) }
    }
}
