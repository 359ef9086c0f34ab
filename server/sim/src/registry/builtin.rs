//! The built-in resources, as Kubernetes 1.35 serves them.

use super::{ResourceType, Subresource, Version};
use crate::store::GroupResource;

/// Group and plural of the built-in resources that code names.
pub mod gr {
    use crate::store::GroupResource;

    macro_rules! resources {
        ($($name:ident = $group:literal $resource:literal;)*) => {
            $(#[allow(missing_docs, reason = "the names say it")] pub const $name: GroupResource = GroupResource::new($group, $resource);)*
        };
    }

    resources! {
        NAMESPACES = "" "namespaces";
        PODS = "" "pods";
        SERVICES = "" "services";
        ENDPOINTS = "" "endpoints";
        CONFIG_MAPS = "" "configmaps";
        SECRETS = "" "secrets";
        SERVICE_ACCOUNTS = "" "serviceaccounts";
        EVENTS = "" "events";
        NODES = "" "nodes";
        PERSISTENT_VOLUMES = "" "persistentvolumes";
        PERSISTENT_VOLUME_CLAIMS = "" "persistentvolumeclaims";
        REPLICATION_CONTROLLERS = "" "replicationcontrollers";
        RESOURCE_QUOTAS = "" "resourcequotas";
        LIMIT_RANGES = "" "limitranges";
        POD_TEMPLATES = "" "podtemplates";
        DEPLOYMENTS = "apps" "deployments";
        REPLICA_SETS = "apps" "replicasets";
        STATEFUL_SETS = "apps" "statefulsets";
        DAEMON_SETS = "apps" "daemonsets";
        CONTROLLER_REVISIONS = "apps" "controllerrevisions";
        JOBS = "batch" "jobs";
        CRON_JOBS = "batch" "cronjobs";
        HORIZONTAL_POD_AUTOSCALERS = "autoscaling" "horizontalpodautoscalers";
        INGRESSES = "networking.k8s.io" "ingresses";
        INGRESS_CLASSES = "networking.k8s.io" "ingressclasses";
        NETWORK_POLICIES = "networking.k8s.io" "networkpolicies";
        POD_DISRUPTION_BUDGETS = "policy" "poddisruptionbudgets";
        ROLES = "rbac.authorization.k8s.io" "roles";
        ROLE_BINDINGS = "rbac.authorization.k8s.io" "rolebindings";
        CLUSTER_ROLES = "rbac.authorization.k8s.io" "clusterroles";
        CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" "clusterrolebindings";
        STORAGE_CLASSES = "storage.k8s.io" "storageclasses";
        VOLUME_ATTACHMENTS = "storage.k8s.io" "volumeattachments";
        CSI_DRIVERS = "storage.k8s.io" "csidrivers";
        CSI_NODES = "storage.k8s.io" "csinodes";
        PRIORITY_CLASSES = "scheduling.k8s.io" "priorityclasses";
        LEASES = "coordination.k8s.io" "leases";
        ENDPOINT_SLICES = "discovery.k8s.io" "endpointslices";
        CUSTOM_RESOURCE_DEFINITIONS = "apiextensions.k8s.io" "customresourcedefinitions";
    }
}

/// Verbs of an ordinary resource, in the order in which discovery lists them.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
const CREATE: &[&str] = &["create"];

const fn scale() -> Subresource {
    Subresource { name: "scale", kind: ("autoscaling", "v1", "Scale"), verbs: GET_PATCH_UPDATE }
}

const fn own(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, kind: (group, version, kind), verbs }
}

/// One line of the table below.
struct Row {
    group: &'static str,
    versions: &'static [&'static str],
    resource: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
    categories: &'static [&'static str],
    status: bool,
    verbs: &'static [&'static str],
}

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn row(
    group: &'static str,
    versions: &'static [&'static str],
    resource: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
    categories: &'static [&'static str],
    status: bool,
) -> Row {
    Row { group, versions, resource, singular, kind, namespaced, short, categories, status, verbs: ALL_VERBS }
}

const V1: &[&str] = &["v1"];
const ALL: &[&str] = &["all"];
const NO: &[&str] = &[];
const RBAC: &str = "rbac.authorization.k8s.io";
const NET: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const AUTHN: &str = "authentication.k8s.io";

/// A resource that only takes `create` (reviews).
const fn review(
    group: &'static str,
    resource: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> Row {
    let mut out = row(group, V1, resource, singular, kind, namespaced, NO, NO, false);
    out.verbs = CREATE;
    out
}

const fn metrics(resource: &'static str, kind: &'static str, namespaced: bool) -> Row {
    let mut out = row("metrics.k8s.io", &["v1beta1"], resource, "", kind, namespaced, NO, NO, false);
    out.verbs = &["get", "list"];
    out
}

const fn namespaces() -> Row {
    let mut out = row("", V1, "namespaces", "namespace", "Namespace", false, &["ns"], NO, true);
    out.verbs = &["create", "delete", "get", "list", "patch", "update", "watch"];
    out
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    namespaces(),
    row("", V1, "pods", "pod", "Pod", true, &["po"], ALL, true),
    row("", V1, "services", "service", "Service", true, &["svc"], ALL, true),
    row("", V1, "endpoints", "endpoints", "Endpoints", true, &["ep"], NO, false),
    row("", V1, "configmaps", "configmap", "ConfigMap", true, &["cm"], NO, false),
    row("", V1, "secrets", "secret", "Secret", true, NO, NO, false),
    row("", V1, "serviceaccounts", "serviceaccount", "ServiceAccount", true, &["sa"], NO, false),
    row("", V1, "events", "event", "Event", true, &["ev"], NO, false),
    row("", V1, "nodes", "node", "Node", false, &["no"], NO, true),
    row("", V1, "persistentvolumes", "persistentvolume", "PersistentVolume", false, &["pv"], NO, true),
    row("", V1, "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", true, &["pvc"], NO, true),
    row("", V1, "replicationcontrollers", "replicationcontroller", "ReplicationController", true, &["rc"], ALL, true),
    row("", V1, "resourcequotas", "resourcequota", "ResourceQuota", true, &["quota"], NO, true),
    row("", V1, "limitranges", "limitrange", "LimitRange", true, &["limits"], NO, false),
    row("", V1, "podtemplates", "podtemplate", "PodTemplate", true, NO, NO, false),
    row("apps", V1, "deployments", "deployment", "Deployment", true, &["deploy"], ALL, true),
    row("apps", V1, "replicasets", "replicaset", "ReplicaSet", true, &["rs"], ALL, true),
    row("apps", V1, "statefulsets", "statefulset", "StatefulSet", true, &["sts"], ALL, true),
    row("apps", V1, "daemonsets", "daemonset", "DaemonSet", true, &["ds"], ALL, true),
    row("apps", V1, "controllerrevisions", "controllerrevision", "ControllerRevision", true, NO, NO, false),
    row("batch", V1, "jobs", "job", "Job", true, NO, ALL, true),
    row("batch", V1, "cronjobs", "cronjob", "CronJob", true, &["cj"], ALL, true),
    row("autoscaling", &["v2", "v1"], "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", true, &["hpa"], ALL, true),
    row(NET, V1, "ingresses", "ingress", "Ingress", true, &["ing"], NO, true),
    row(NET, V1, "ingressclasses", "ingressclass", "IngressClass", false, NO, NO, false),
    row(NET, V1, "networkpolicies", "networkpolicy", "NetworkPolicy", true, &["netpol"], NO, false),
    row("policy", V1, "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", true, &["pdb"], NO, true),
    row(RBAC, V1, "roles", "role", "Role", true, NO, NO, false),
    row(RBAC, V1, "rolebindings", "rolebinding", "RoleBinding", true, NO, NO, false),
    row(RBAC, V1, "clusterroles", "clusterrole", "ClusterRole", false, NO, NO, false),
    row(RBAC, V1, "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", false, NO, NO, false),
    row(STORAGE, V1, "storageclasses", "storageclass", "StorageClass", false, &["sc"], NO, false),
    row(STORAGE, V1, "volumeattachments", "volumeattachment", "VolumeAttachment", false, NO, NO, true),
    row(STORAGE, V1, "csidrivers", "csidriver", "CSIDriver", false, NO, NO, false),
    row(STORAGE, V1, "csinodes", "csinode", "CSINode", false, NO, NO, false),
    row(STORAGE, V1, "csistoragecapacities", "csistoragecapacity", "CSIStorageCapacity", true, NO, NO, false),
    row("scheduling.k8s.io", V1, "priorityclasses", "priorityclass", "PriorityClass", false, &["pc"], NO, false),
    row("coordination.k8s.io", V1, "leases", "lease", "Lease", true, NO, NO, false),
    row("discovery.k8s.io", V1, "endpointslices", "endpointslice", "EndpointSlice", true, NO, NO, false),
    row("events.k8s.io", V1, "events", "event", "Event", true, &["ev"], NO, false),
    row("apiextensions.k8s.io", V1, "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition", false, &["crd", "crds"], &["api-extensions"], true),
    review(AUTHN, "tokenreviews", "tokenreview", "TokenReview", false),
    review(AUTHN, "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", false),
    review(AUTHZ, "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", true),
    review(AUTHZ, "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", false),
    review(AUTHZ, "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", false),
    review(AUTHZ, "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", false),
    metrics("nodes", "NodeMetrics", false),
    metrics("pods", "PodMetrics", true),
];

fn subresources(row: &Row, version: &'static str) -> Vec<Subresource> {
    let mut out = match (row.group, row.resource) {
        ("", "namespaces") => vec![own("finalize", "", "v1", "Namespace", &["update"])],
        ("", "pods") => vec![
            own("attach", "", "v1", "PodAttachOptions", &["create", "get"]),
            own("binding", "", "v1", "Binding", CREATE),
            own("ephemeralcontainers", "", "v1", "Pod", GET_PATCH_UPDATE),
            own("eviction", "policy", "v1", "Eviction", CREATE),
            own("exec", "", "v1", "PodExecOptions", &["create", "get"]),
            own("log", "", "v1", "Pod", &["get"]),
            own("portforward", "", "v1", "PodPortForwardOptions", &["create", "get"]),
            own("resize", "", "v1", "Pod", GET_PATCH_UPDATE),
        ],
        ("", "serviceaccounts") => vec![own("token", "authentication.k8s.io", "v1", "TokenRequest", CREATE)],
        ("", "replicationcontrollers") | ("apps", "deployments" | "replicasets" | "statefulsets") => vec![scale()],
        _ => Vec::new(),
    };
    if row.status {
        out.push(own("status", row.group, version, row.kind, GET_PATCH_UPDATE));
    }
    out
}

/// The built-in resources.
#[must_use]
pub fn resource_types() -> Vec<ResourceType> {
    ROWS.iter()
        .map(|row| ResourceType {
            id: GroupResource::new(row.group, row.resource),
            kind: row.kind.to_owned(),
            list_kind: format!("{}List", row.kind),
            singular: row.singular.to_owned(),
            short_names: row.short.iter().map(|&name| name.to_owned()).collect(),
            categories: row.categories.iter().map(|&name| name.to_owned()).collect(),
            namespaced: row.namespaced,
            versions: row
                .versions
                .iter()
                .map(|&name| Version { name: name.to_owned(), subresources: subresources(row, name), custom: None })
                .collect(),
            storage_version: row.versions.first().map_or_else(String::new, |&name| name.to_owned()),
            custom: false,
            verbs: row.verbs.to_vec(),
        })
        .collect()
}
