//! What decoding fills in for the built-in kinds (`pkg/apis/*/v1/defaults.go` of Kubernetes).

mod pod;

use serde_json::{Value, json};

pub use self::pod::pod_spec;
use self::pod::{pod, template};
use crate::registry::ResourceType;

/// Sets a field that is missing.
fn set(value: &mut Value, field: &str, default: impl Into<Value>) {
    if let Some(object) = value.as_object_mut()
        && object.get(field).is_none_or(Value::is_null)
    {
        object.insert(field.into(), default.into());
    }
}

/// Sets a text that is missing or empty.
fn set_text(value: &mut Value, field: &str, default: &str) {
    if let Some(object) = value.as_object_mut()
        && object.get(field).is_none_or(|own| own.is_null() || own == "")
    {
        object.insert(field.into(), default.into());
    }
}

fn each(value: &mut Value, field: &str, mut change: impl FnMut(&mut Value)) {
    if let Some(list) = value.get_mut(field).and_then(Value::as_array_mut) {
        list.iter_mut().for_each(&mut change);
    }
}

fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|own| !own.is_null())
}

/// Fills in a built-in object.
pub fn apply(resource: &ResourceType, value: &mut Value) {
    let id = &resource.id;
    if resource.id.group.is_empty() && !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    match (id.group.as_ref(), id.resource.as_ref()) {
        ("", "pods") => pod(value),
        ("", "podtemplates") => template(&mut value["template"]),
        ("", "services") => service(value),
        ("", "secrets") => secret(value),
        ("", "namespaces") => namespace(value),
        ("", "nodes") => {}
        ("", "endpoints") => each(value, "subsets", |subset| {
            each(subset, "ports", |port| set_text(port, "protocol", "TCP"));
        }),
        ("", "persistentvolumes") => persistent_volume(value),
        ("", "persistentvolumeclaims") => claim(value),
        ("", "limitranges") => limit_range(value),
        ("", "replicationcontrollers") => replication_controller(value),
        ("apps", "deployments") => deployment(value),
        ("apps", "replicasets") => replica_set(value),
        ("apps", "statefulsets") => stateful_set(value),
        ("apps", "daemonsets") => daemon_set(value),
        ("batch", "jobs") => job(value),
        ("batch", "cronjobs") => cron_job(value),
        ("autoscaling", "horizontalpodautoscalers") => autoscaler(value),
        ("networking.k8s.io", "networkpolicies") => network_policy(value),
        ("networking.k8s.io", "ingressclasses") if has(&value["spec"], "parameters") => {
            set_text(&mut value["spec"]["parameters"], "scope", "Cluster");
        }
        ("storage.k8s.io", "storageclasses") => {
            set_text(value, "reclaimPolicy", "Delete");
            set_text(value, "volumeBindingMode", "Immediate");
        }
        ("scheduling.k8s.io", "priorityclasses") => set_text(value, "preemptionPolicy", "PreemptLowerPriority"),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") if !has(value, "rules") => value["rules"] = Value::Null,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => role_binding(value),
        ("discovery.k8s.io", "endpointslices") => each(value, "ports", |port| {
            set(port, "name", "");
            set_text(port, "protocol", "TCP");
        }),
        _ => {}
    }
}

fn namespace(value: &mut Value) {
    // The label that selects a namespace by its name (SetDefaults_Namespace).
    let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !name.is_empty() {
        if !value["metadata"]["labels"].is_object() {
            value["metadata"]["labels"] = json!({});
        }
        value["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    }
}

fn service(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    set_text(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        if let Some(object) = spec.as_object_mut() {
            object.shift_remove("sessionAffinityConfig");
        }
    } else if spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null() {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
    }
    set_text(spec, "type", "ClusterIP");
    each(spec, "ports", |port| {
        set_text(port, "protocol", "TCP");
        let number = port["port"].clone();
        let target = &port["targetPort"];
        if target.is_null() || *target == 0 || *target == "" {
            port["targetPort"] = number;
        }
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set_text(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn secret(value: &mut Value) {
    // `stringData` is write-only: it lands in `data`.
    if let Some(text) = value.as_object_mut().and_then(|object| object.shift_remove("stringData")) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        if !value["data"].is_object() {
            value["data"] = json!({});
        }
        for (key, plain) in text.as_object().into_iter().flatten() {
            value["data"][key] = json!(STANDARD.encode(plain.as_str().unwrap_or_default()));
        }
    }
    set_text(value, "type", "Opaque");
}

fn persistent_volume(value: &mut Value) {
    let spec = &mut value["spec"];
    if spec.is_object() {
        set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_text(spec, "volumeMode", "Filesystem");
        if has(spec, "hostPath") {
            set(&mut spec["hostPath"], "type", "");
        }
    }
}

/// A claim, alone or in a StatefulSet's templates.
fn claim(value: &mut Value) {
    if value["spec"].is_object() {
        set_text(&mut value["spec"], "volumeMode", "Filesystem");
    }
}

/// A source is written in both fields; one that is none is dropped (`NormalizeDataSources`).
pub fn data_source(spec: &mut Value) {
    let source = &spec.get("dataSource").cloned().unwrap_or_default();
    if !source.is_object() {
        return;
    }
    let group = source["apiGroup"].as_str().unwrap_or_default();
    let kind = source["kind"].as_str().unwrap_or_default();
    let known = (group.is_empty() && kind == "PersistentVolumeClaim")
        || (group == "snapshot.storage.k8s.io" && kind == "VolumeSnapshot");
    if !known {
        if let Some(spec) = spec.as_object_mut() {
            spec.shift_remove("dataSource");
        }
        return;
    }
    let mut source = source.clone();
    if source["apiGroup"].is_null() {
        source["apiGroup"] = Value::Null;
    }
    spec["dataSource"] = source.clone();
    if spec["dataSourceRef"].is_null() {
        spec["dataSourceRef"] = source;
    }
}

fn limit_range(value: &mut Value) {
    each(&mut value["spec"], "limits", |item| {
        if item["type"] != "Container" {
            return;
        }
        let part = |field: &str| item[field].as_object().cloned().unwrap_or_default();
        let (max, min) = (part("max"), part("min"));
        if !max.is_empty() && !item["default"].is_object() {
            item["default"] = json!({});
        }
        for (name, quantity) in &max {
            set(&mut item["default"], name, quantity.clone());
        }
        let limits = item["default"].as_object().cloned().unwrap_or_default();
        if !(limits.is_empty() && min.is_empty()) && !item["defaultRequest"].is_object() {
            item["defaultRequest"] = json!({});
        }
        for (name, quantity) in limits.iter().chain(&min) {
            set(&mut item["defaultRequest"], name, quantity.clone());
        }
    });
}

fn replication_controller(value: &mut Value) {
    let labels = value["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        set(&mut value["spec"], "selector", labels.clone());
        if value["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) {
            value["metadata"]["labels"] = labels;
        }
    }
    set(&mut value["spec"], "replicas", 1);
    template(&mut value["spec"]["template"]);
}

fn deployment(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    set(spec, "replicas", 1);
    if !spec["strategy"].is_object() {
        spec["strategy"] = json!({});
    }
    set_text(&mut spec["strategy"], "type", "RollingUpdate");
    if spec["strategy"]["type"] == "RollingUpdate" {
        if !spec["strategy"]["rollingUpdate"].is_object() {
            spec["strategy"]["rollingUpdate"] = json!({});
        }
        set(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", "25%");
        set(&mut spec["strategy"]["rollingUpdate"], "maxSurge", "25%");
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
    template(&mut spec["template"]);
}

fn replica_set(value: &mut Value) {
    if value["spec"].is_object() {
        set(&mut value["spec"], "replicas", 1);
        if value["spec"]["template"].is_object() {
            template(&mut value["spec"]["template"]);
        }
    }
}

fn stateful_set(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    set_text(spec, "podManagementPolicy", "OrderedReady");
    if !spec["updateStrategy"].is_object() {
        spec["updateStrategy"] = json!({});
    }
    if spec["updateStrategy"]["type"].as_str().unwrap_or_default().is_empty() {
        spec["updateStrategy"]["type"] = json!("RollingUpdate");
        set(&mut spec["updateStrategy"], "rollingUpdate", json!({"partition": 0}));
    }
    if has(&spec["updateStrategy"], "rollingUpdate") {
        set(&mut spec["updateStrategy"]["rollingUpdate"], "partition", 0);
    }
    set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    set_text(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenDeleted", "Retain");
    set_text(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenScaled", "Retain");
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    template(&mut spec["template"]);
    each(spec, "volumeClaimTemplates", |template| {
        set(template, "apiVersion", "v1");
        set(template, "kind", "PersistentVolumeClaim");
        claim(template);
        set(template, "status", json!({"phase": "Pending"}));
        if template["status"]["phase"].is_null() {
            template["status"]["phase"] = json!("Pending");
        }
    });
}

/// Counts the templates of a daemon set for clients from before `metadata.generation`.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn daemon_set(value: &mut Value) {
    if !value["metadata"]["annotations"][TEMPLATE_GENERATION].is_string() {
        value["metadata"]["annotations"][TEMPLATE_GENERATION] = json!("1");
    }
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    if !spec["updateStrategy"].is_object() {
        spec["updateStrategy"] = json!({});
    }
    set_text(&mut spec["updateStrategy"], "type", "RollingUpdate");
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(&mut spec["updateStrategy"], "rollingUpdate", json!({}));
        set(&mut spec["updateStrategy"]["rollingUpdate"], "maxUnavailable", 1);
        set(&mut spec["updateStrategy"]["rollingUpdate"], "maxSurge", 0);
    }
    set(spec, "revisionHistoryLimit", 10);
    template(&mut spec["template"]);
}

fn job(value: &mut Value) {
    job_spec(&mut value["spec"]);
    let labels = value["spec"]["template"]["metadata"]["labels"].clone();
    if value["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) && labels.is_object() {
        value["metadata"]["labels"] = labels;
    }
}

fn job_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    if !has(spec, "completions") && !has(spec, "parallelism") {
        spec["completions"] = json!(1);
        spec["parallelism"] = json!(1);
    }
    set(spec, "parallelism", 1);
    if has(spec, "backoffLimitPerIndex") {
        set(spec, "backoffLimit", i32::MAX);
    }
    set(spec, "backoffLimit", 6);
    set_text(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    if !has(spec, "podReplacementPolicy") {
        let policy = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
        spec["podReplacementPolicy"] = json!(policy);
    }
    set(spec, "manualSelector", false);
    if has(spec, "podFailurePolicy") {
        each(&mut spec["podFailurePolicy"], "rules", |rule| {
            each(rule, "onPodConditions", |pattern| set_text(pattern, "status", "True"));
        });
    }
    template(&mut spec["template"]);
}

fn cron_job(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    // The job's own defaults come when it is made; only its pod template's are filled in here.
    template(&mut spec["jobTemplate"]["spec"]["template"]);
}

fn autoscaler(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    set(spec, "minReplicas", 1);
    if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
        }]);
    }
    if !has(spec, "behavior") {
        return;
    }
    let up = json!([
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    for (direction, policies, window) in [("scaleUp", up, Some(0)), ("scaleDown", down, None)] {
        set(&mut spec["behavior"], direction, json!({}));
        let rules = &mut spec["behavior"][direction];
        if let Some(window) = window {
            set(rules, "stabilizationWindowSeconds", window);
        }
        set_text(rules, "selectPolicy", "Max");
        if rules["policies"].as_array().is_none_or(Vec::is_empty) {
            rules["policies"] = policies;
        }
    }
}

fn network_policy(value: &mut Value) {
    let spec = &mut value["spec"];
    if !spec.is_object() {
        return;
    }
    for direction in ["ingress", "egress"] {
        each(spec, direction, |rule| each(rule, "ports", |port| set_text(port, "protocol", "TCP")));
    }
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
        spec["policyTypes"] = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

fn role_binding(value: &mut Value) {
    set_text(&mut value["roleRef"], "apiGroup", "rbac.authorization.k8s.io");
    each(value, "subjects", |subject| {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            set_text(subject, "apiGroup", "rbac.authorization.k8s.io");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_gets_its_defaults() {
        let mut value = json!({"spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {}, "spec": {"containers": [{
                "name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
                "readinessProbe": {"httpGet": {"port": 80}},
            }]}},
        }});
        deployment(&mut value);
        let spec = &value["spec"];
        assert_eq!(
            spec["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        assert_eq!(spec["progressDeadlineSeconds"], 600);
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "Always");
        let container = &pod["containers"][0];
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["readinessProbe"]["periodSeconds"], 10);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/");
        assert!(pod.get("enableServiceLinks").is_none(), "only pods themselves get it");
    }
}
