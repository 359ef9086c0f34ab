//! Columns of the built-in kinds.

use super::Column;
use crate::registry::ResourceType;

/// Columns by resource: `Name` is a string called name, `#` marks whole numbers, `?` booleans, `+` those of
/// `-o wide`.
fn spec(resource: &ResourceType) -> &'static str {
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "pods") => "Name|Ready|Status|Restarts|Age|IP+|Node+|Nominated Node+|Readiness Gates+",
        ("", "podtemplates") => "Name|Containers|Images|Pod Labels",
        ("policy", _) => "Name|Min Available|Max Unavailable|Allowed Disruptions#|Age",
        ("", "replicationcontrollers") | ("apps", "replicasets") => {
            "Name|Desired#|Current#|Ready#|Age|Containers+|Images+|Selector+"
        }
        ("apps", "daemonsets") => {
            "Name|Desired#|Current#|Ready#|Up-to-date#|Available#|Node Selector|Age|Containers+|Images+|Selector+"
        }
        ("batch", "jobs") => "Name|Status|Completions|Duration|Age|Containers+|Images+|Selector+",
        ("batch", "cronjobs") => {
            "Name|Schedule|Timezone|Suspend?|Active#|Last Schedule|Age|Containers+|Images+|Selector+"
        }
        ("", "services") => "Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector+",
        ("networking.k8s.io", "ingresses") => "Name|Class|Hosts|Address|Ports|Age",
        ("networking.k8s.io", "ingressclasses") => "Name|Controller|Parameters|Age",
        ("networking.k8s.io", "networkpolicies") => "Name|Pod-Selector|Age",
        ("apps", "statefulsets") => "Name|Ready|Age|Containers+|Images+",
        ("apps", "deployments") => "Name|Ready|Up-to-date|Available|Age|Containers+|Images+|Selector+",
        ("apps", "controllerrevisions") => "Name|Controller|Revision|Age",
        ("", "endpoints") => "Name|Endpoints|Age",
        ("discovery.k8s.io", _) => "Name|AddressType|Ports|Endpoints|Age",
        ("", "nodes") => {
            "Name|Status|Roles|Age|Version|Internal-IP+|External-IP+|OS-Image+|Kernel-Version+|Container-Runtime+"
        }
        ("" | "events.k8s.io", "events") => {
            "Last Seen|Type|Reason|Object|Subobject+|Source+|Message|First Seen+|Count+|Name+"
        }
        ("", "namespaces") => "Name|Status|Age",
        ("", "secrets") => "Name|Type|Data|Age",
        ("", "persistentvolumes") => {
            "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode+"
        }
        ("", "persistentvolumeclaims") => {
            "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode+"
        }
        ("autoscaling", _) => "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age",
        ("", "configmaps") => "Name|Data|Age",
        ("", "resourcequotas") => "Name|Request|Limit|Age",
        ("", "limitranges") => "Name|Created At",
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            "Name|Role|Age|Users+|Groups+|ServiceAccounts+"
        }
        ("rbac.authorization.k8s.io", _) => "Name|Created At",
        ("storage.k8s.io", "storageclasses") => {
            "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age"
        }
        ("scheduling.k8s.io", _) => "Name|Value#|Global-Default?|Age|PreemptionPolicy",
        ("coordination.k8s.io", _) => "Name|Holder|Age",
        ("apiextensions.k8s.io", _) => "Name|Created At",
        _ => "Name|Age",
    }
}

pub fn columns(resource: &ResourceType) -> Vec<Column> {
    spec(resource)
        .split('|')
        .map(|word| {
            let name = word.trim_end_matches(['#', '?', '+']);
            let kind = if word.contains('#') {
                "integer"
            } else if word.contains('?') {
                "boolean"
            } else if name == "Created At" {
                "date"
            } else {
                "string"
            };
            Column {
                name: name.to_owned(),
                kind: kind.to_owned(),
                format: if name == "Name" && !word.ends_with('+') { "name".into() } else { String::new() },
                description: String::new(),
                priority: i64::from(word.ends_with('+')),
            }
        })
        .collect()
}
