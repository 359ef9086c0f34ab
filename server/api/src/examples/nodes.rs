//! Machines, and what is announced.

use berth_types::{
    announcement::{Announcement, AnnouncementLevel},
    capacity::{CapacityRow, ClusterCapacity, LargestTenant},
    node::{
        DrainConsent, DrainMark, DrainPlan, DrainStep, NodeCondition, NodePod, NodeResource, NodeRow, NodeState,
        NodeSystem, NodeView, PodFate,
    },
    rows::PodPhase,
};
use serde_json::{Value, json};

use super::{POD, at, id, named, to_value};

const NODE: &str = "node-1";

fn mark() -> DrainMark {
    let consent = DrainConsent { lose_pods: false, lose_data: true };
    DrainMark { by: "root".to_owned(), at: at(0), pods: 12, consent, done: None }
}

fn row() -> NodeRow {
    let resource =
        |resource: &str, capacity: &str, allocatable: &str, requested: &str, used: Option<&str>| NodeResource {
            resource: resource.to_owned(),
            capacity: capacity.to_owned(),
            allocatable: allocatable.to_owned(),
            requested: requested.to_owned(),
            used: used.map(str::to_owned),
        };
    NodeRow {
        name: NODE.to_owned(),
        state: NodeState::Draining,
        reason: None,
        message: None,
        cordoned: true,
        roles: vec!["worker".to_owned()],
        version: "v1.35.4".to_owned(),
        zone: Some("zone-1".to_owned()),
        taints: vec!["node.kubernetes.io/unschedulable:NoSchedule".to_owned()],
        resources: vec![
            resource("cpu", "4", "3800m", "1900m", Some("640m")),
            resource("memory", "8Gi", "7Gi", "3Gi", Some("2500Mi")),
            resource("pods", "110", "110", "12", None),
        ],
        pressure: Some(500),
        measured_at: Some(at(66)),
        drain: Some(mark()),
        created_at: at(-9000),
    }
}

fn view() -> Option<NodeView> {
    let condition = NodeCondition {
        kind: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "KubeletReady".to_owned(),
        message: "kubelet is posting ready status".to_owned(),
        since: Some(at(-9000)),
    };
    let pod = NodePod {
        tenant: Some(named("shop")?),
        namespace: Some(named("prod")?),
        kube_namespace: "shop-prod".to_owned(),
        name: POD.to_owned(),
        phase: PodPhase::Running,
        requests: [("cpu".to_owned(), "250m".to_owned())].into(),
    };
    let system = NodeSystem {
        os_image: "Ubuntu 24.04 LTS".to_owned(),
        kernel_version: "6.8.0".to_owned(),
        container_runtime_version: "containerd://2.1.4".to_owned(),
        architecture: "amd64".to_owned(),
    };
    Some(NodeView { node: row(), conditions: vec![condition], system, pods: vec![pod] })
}

fn plan() -> Option<DrainPlan> {
    let step = DrainStep {
        tenant: Some(named("shop")?),
        namespace: Some(named("prod")?),
        kube_namespace: "shop-prod".to_owned(),
        name: POD.to_owned(),
        fate: PodFate::Blocked,
        owner: Some("ReplicaSet/checkout-5d4f8c7b9".to_owned()),
        budgets: vec!["checkout".to_owned()],
        loses_data: false,
        tied: false,
        held: false,
        fits: Some(true),
    };
    Some(DrainPlan { node: NODE.to_owned(), drain: Some(mark()), stalled: false, pods: vec![step] })
}

fn capacity() -> Option<ClusterCapacity> {
    let cpu = CapacityRow {
        resource: "cpu".to_owned(),
        allocatable: "12".to_owned(),
        requested: "5700m".to_owned(),
        used: Some("1900m".to_owned()),
        promised: "10".to_owned(),
        promised_part: Some(833),
        unlimited: 0,
        headroom: "2".to_owned(),
        largest_free: "2500m".to_owned(),
        spread: Some([375, 450, 600]),
    };
    let largest = LargestTenant {
        resource: "cpu".to_owned(),
        tenant: named("shop")?,
        display_name: "Web shop".to_owned(),
        promised: "6".to_owned(),
    };
    Some(ClusterCapacity {
        cluster: named("local")?,
        nodes: 3,
        ready: 3,
        tenants: 2,
        resources: vec![cpu],
        largest: vec![largest],
        idle: vec![super::usage::idle()],
    })
}

pub(super) fn of(schema: &str) -> Option<Value> {
    match schema {
        "Announcement" => to_value(Announcement {
            id: id(11),
            level: AnnouncementLevel::Warning,
            text: "Maintenance on Sunday from 6 to 8: https://status.example.com/42".to_owned(),
            from: at(0),
            until: Some(at(600)),
            on_sign_in: true,
            created_by: "root".to_owned(),
            created_at: at(-60),
            version: 1,
        }),
        "AnnouncementText" => Some(json!({
            "level": "warning", "text": "Maintenance on Sunday from 6 to 8: https://status.example.com/42",
            "from": "2026-11-20T08:00:00Z", "until": "2026-11-20T18:00:00Z", "onSignIn": true,
        })),
        "ClusterCapacity" => to_value(capacity()?),
        "NodeRow" => to_value(row()),
        "NodeView" => to_value(view()?),
        "DrainMark" => to_value(mark()),
        "DrainPlan" => to_value(plan()?),
        "DrainOrder" => Some(json!({ "confirm": NODE, "losePods": false, "loseData": true })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_sent_can_be_read() {
        serde_json::from_value::<crate::handlers::nodes::DrainOrder>(of("DrainOrder").unwrap()).unwrap();
        serde_json::from_value::<berth_types::announcement::AnnouncementText>(of("AnnouncementText").unwrap()).unwrap();
    }
}
