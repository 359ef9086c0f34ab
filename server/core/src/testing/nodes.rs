//! The machines of a [`super::FakeCluster`]. Nothing schedules: a pod that is evicted is gone.

use berth_types::{
    node::{DrainMark, NodePod, NodeResource, NodeRow, NodeState, NodeSystem, NodeView, PRESSED_BY},
    rows::PodRow,
};

use crate::{
    drain::{Owner, Tenancy},
    error::{Error, Result},
};

/// A cluster's nodes, and who is on them.
#[derive(Debug, Default)]
pub struct Nodes {
    /// By name, in the order in which they were put.
    pub rows: Vec<NodeRow>,
    /// Node and pod.
    pub pods: Vec<(String, Tenancy)>,
    /// Which pod was asked to go, by whom.
    pub evicted: Vec<(String, String)>,
}

/// A node of 4 CPU, 8 GiB and 110 pods, with so many CPU asked for.
#[must_use]
pub fn node(name: &str, requested: &str) -> NodeRow {
    let resource = |resource: &str, all: &str, requested: &str| NodeResource {
        resource: resource.into(),
        capacity: all.into(),
        allocatable: all.into(),
        requested: requested.into(),
        used: None,
    };
    let resources =
        vec![resource("cpu", "4", requested), resource("memory", "8Gi", "1Gi"), resource("pods", "110", "2")];
    let pressing = resources.iter().filter(|r| PRESSED_BY.contains(&r.resource.as_str()));
    NodeRow {
        name: name.into(),
        state: NodeState::Ready,
        reason: None,
        message: None,
        cordoned: false,
        roles: vec!["worker".into()],
        version: "v1.35.4".into(),
        zone: Some("zone-1".into()),
        taints: Vec::new(),
        pressure: pressing.filter_map(NodeResource::pressure).max(),
        resources,
        measured_at: None,
        drain: None,
        created_at: super::at(super::BEGIN),
    }
}

/// A pod of a ReplicaSet that nothing guards.
#[must_use]
pub fn tenancy(namespace: &str, name: &str) -> Tenancy {
    Tenancy {
        namespace: namespace.into(),
        name: name.into(),
        uid: name.into(),
        owner: Owner::Makes("ReplicaSet/web".into()),
        ended: false,
        pending: false,
        leaving: false,
        local_data: false,
        tied: false,
        guards: Vec::new(),
        asks: [("cpu".to_owned(), "1".parse().unwrap()), ("pods".to_owned(), "1".parse().unwrap())].into(),
    }
}

impl Nodes {
    pub(super) fn rows(&self) -> Vec<NodeRow> {
        self.rows.clone()
    }

    pub(super) fn drains(&self) -> Vec<(String, DrainMark)> {
        self.rows.iter().filter_map(|row| Some((row.name.clone(), row.drain.clone()?))).collect()
    }

    pub(super) fn view<'a>(&self, name: &str, pods: impl Iterator<Item = &'a PodRow>) -> Result<NodeView> {
        let node = self.rows.iter().find(|row| row.name == name).cloned().ok_or_else(Error::not_found)?;
        let here = pods.filter(|pod| pod.node.as_deref() == Some(name));
        let pod = |pod: &PodRow| NodePod {
            tenant: None,
            namespace: None,
            kube_namespace: pod.kube_namespace.to_string(),
            name: pod.name.to_string(),
            phase: pod.phase,
            requests: [("cpu".to_owned(), "100m".to_owned())].into(),
        };
        Ok(NodeView { node, conditions: Vec::new(), system: NodeSystem::default(), pods: here.map(pod).collect() })
    }

    pub(super) fn tenancies(&self, node: &str) -> Vec<Tenancy> {
        self.pods.iter().filter(|(on, _)| on == node).map(|(_, pod)| pod.clone()).collect()
    }

    pub(super) fn mark(&mut self, node: &str, cordoned: bool, drain: Option<&DrainMark>) -> Result<()> {
        let row = self.rows.iter_mut().find(|row| row.name == node).ok_or_else(Error::not_found)?;
        (row.cordoned, row.drain) = (cordoned, drain.cloned());
        row.state = match drain {
            Some(mark) if mark.done.is_some() => NodeState::Drained,
            Some(_) => NodeState::Draining,
            None if cordoned => NodeState::Cordoned,
            None => NodeState::Ready,
        };
        Ok(())
    }

    pub(super) fn evict(&mut self, pod: &Tenancy, by: &str) -> bool {
        let before = self.pods.len();
        self.pods.retain(|(_, known)| known.uid != pod.uid);
        self.evicted.push((pod.name.clone(), by.to_owned()));
        self.pods.len() < before
    }
}
