//! A simulated cluster whose clock stands still until a test moves it.

use std::{sync::Arc, time::Duration};

use berth_sim::{
    Sim,
    clock::ManualClock,
    cluster::{Cluster, DeleteOptions},
    controllers::{Options, fields::Fields},
    registry::builtin::gr,
    status::Status,
    store::{GroupResource, ObjectRef},
};
use serde_json::{Value, json};

pub struct World {
    pub sim: Sim,
    pub clock: ManualClock,
    pub cluster: Cluster,
}

impl World {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let sim = Sim::builder().clock(Arc::new(clock.clone())).options(options).build().unwrap();
        let cluster = sim.cluster.component("kubernetes-admin");
        let world = Self { sim, clock, cluster };
        world.settle();
        world
    }

    pub fn settle(&self) {
        self.sim.control.as_ref().unwrap().engine.settle();
    }

    pub fn advance(&self, by: Duration) {
        self.sim.control.as_ref().unwrap().engine.advance(&self.clock, by);
    }

    pub fn create(&self, resource: &GroupResource, value: Value) -> ObjectRef {
        self.try_create(resource, value).unwrap()
    }

    pub fn try_create(&self, resource: &GroupResource, value: Value) -> Result<ObjectRef, Status> {
        let namespaced = self.cluster.resource(resource).unwrap().namespaced;
        let namespace = match (namespaced, value.namespace()) {
            (false, _) => "",
            (true, "") => "default",
            (true, namespace) => namespace,
        }
        .to_owned();
        self.cluster.create(resource, &namespace, value)
    }

    pub fn find(&self, resource: &GroupResource, name: &str) -> Option<ObjectRef> {
        self.cluster.find(resource, "default", name).or_else(|| self.cluster.find(resource, "", name))
    }

    pub fn get(&self, resource: &GroupResource, name: &str) -> ObjectRef {
        self.find(resource, name).unwrap_or_else(|| panic!("no {resource} {name}"))
    }

    pub fn list(&self, resource: &GroupResource) -> Vec<ObjectRef> {
        self.cluster.list(resource, None)
    }

    pub fn modify(&self, resource: &GroupResource, name: &str, change: impl FnOnce(&mut Value)) {
        let namespace = self.get(resource, name).namespace().to_owned();
        self.cluster.modify(resource, &namespace, name, change).unwrap();
        self.settle();
    }

    pub fn delete(&self, resource: &GroupResource, name: &str) {
        self.delete_with(resource, name, &DeleteOptions::default());
    }

    pub fn delete_with(&self, resource: &GroupResource, name: &str, options: &DeleteOptions) {
        let namespace = self.get(resource, name).namespace().to_owned();
        self.cluster.delete(resource, &namespace, name, options).unwrap();
        self.settle();
    }

    pub fn pods(&self, namespace: &str) -> Vec<ObjectRef> {
        self.cluster.list(&gr::PODS, Some(namespace))
    }

    /// Reasons of the events about an object, in the order in which they were first recorded.
    pub fn event_reasons(&self, name: &str) -> Vec<String> {
        self.events(name).iter().map(|event| event.text("/reason").to_owned()).collect()
    }

    pub fn events(&self, name: &str) -> Vec<ObjectRef> {
        let mut events: Vec<_> = self
            .cluster
            .list(&gr::EVENTS, None)
            .into_iter()
            .filter(|event| event.text("/involvedObject/name") == name)
            .collect();
        // An event's name ends with the nanosecond at which it was first recorded.
        events.sort_by(|a, b| a.name().rsplit('.').next().cmp(&b.name().rsplit('.').next()));
        events
    }
}

/// A Deployment as the API would default it.
pub fn deployment(name: &str, image: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec(image)},
        },
    })
}

/// A pod's spec with one container.
pub fn pod_spec(image: &str) -> Value {
    json!({
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}],
    })
}

/// A bare pod.
pub fn pod(name: &str, image: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": pod_spec(image)})
}
