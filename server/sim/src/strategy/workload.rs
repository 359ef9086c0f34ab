//! Validation of the built-in kinds, workloads above all (`pkg/apis/{core,apps,batch}/validation`).

use serde_json::{Value, json};

use super::{
    data::{claim, config_map, secret},
    meta::{labels, qualified_name_faults},
    network::{ingress, service},
    pod::{pod_spec, positive_int_or_percent},
    selector_matches,
};
use crate::{cluster::text, registry::ResourceType, status::FieldError};

/// Faults of a new object of a built-in kind.
pub fn validate(resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let spec = &value["spec"];
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "pods") => pod_spec(spec, "spec"),
        ("apps", "deployments") => deployment(spec),
        ("apps", "replicasets") => {
            let mut out = non_negative(spec, "spec", &["replicas", "minReadySeconds"]);
            out.extend(selector(spec, "deployment"));
            out.extend(template(spec, &["Always"]));
            out
        }
        ("apps", "statefulsets") => stateful_set(spec),
        ("apps", "daemonsets") => {
            let mut out = selector(spec, "daemonset");
            out.extend(template(spec, &["Always"]));
            out.extend(non_negative(spec, "spec", &["minReadySeconds", "revisionHistoryLimit"]));
            out
        }
        ("batch", "jobs") => job(spec, "spec"),
        ("batch", "cronjobs") => cron_job(value),
        ("", "services") => service(spec),
        ("", "configmaps") => config_map(value),
        ("", "secrets") => secret(value),
        ("", "persistentvolumeclaims") => claim(spec),
        ("autoscaling", _) => autoscaler(spec),
        ("policy", _) => {
            let mut out = Vec::new();
            if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
                out.push(FieldError::invalid(
                    "spec",
                    spec.clone(),
                    "minAvailable and maxUnavailable cannot be both set",
                ));
            }
            for field in ["minAvailable", "maxUnavailable"] {
                out.extend(positive_int_or_percent(&spec[field], &format!("spec.{field}")));
            }
            out
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => role_binding(resource, value),
        ("networking.k8s.io", "ingresses") => ingress(spec),
        _ => Vec::new(),
    }
}

fn non_negative(value: &Value, path: &str, fields: &[&str]) -> Vec<FieldError> {
    fields
        .iter()
        .filter_map(|field| {
            let own = value[*field].as_i64().filter(|own| *own < 0)?;
            Some(FieldError::invalid(format!("{path}.{field}"), own, "must be greater than or equal to 0"))
        })
        .collect()
}

fn is_empty_selector(selector: &Value) -> bool {
    let none = |field: &str| match &selector[field] {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    none("matchLabels") && none("matchExpressions")
}

fn selector(spec: &Value, kind: &str) -> Vec<FieldError> {
    let own = &spec["selector"];
    if own.is_null() {
        return vec![FieldError::required("spec.selector", "")];
    }
    let mut out = label_selector(own, "spec.selector");
    if is_empty_selector(own) {
        out.push(FieldError::invalid("spec.selector", own.clone(), format!("empty selector is invalid for {kind}")));
    }
    out
}

/// `k8s.io/apimachinery/pkg/apis/meta/v1/validation`, ValidateLabelSelector.
fn label_selector(own: &Value, path: &str) -> Vec<FieldError> {
    let mut out = labels(&own["matchLabels"], &format!("{path}.matchLabels"));
    for (index, term) in own["matchExpressions"].as_array().into_iter().flatten().enumerate() {
        let place = format!("{path}.matchExpressions[{index}]");
        let values = term["values"].as_array().map_or(0, Vec::len);
        match text(term, &["operator"]) {
            "In" | "NotIn" if values == 0 => out.push(FieldError::required(
                format!("{place}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if values > 0 => out.push(FieldError::forbidden(
                format!("{place}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => out.push(FieldError::invalid(format!("{place}.operator"), other, "not a valid selector operator")),
        }
        let key = text(term, &["key"]);
        out.extend(
            qualified_name_faults(key).into_iter().map(|why| FieldError::invalid(format!("{place}.key"), key, why)),
        );
    }
    out
}

/// The pod template of a controller whose pods' labels its selector must match.
fn template(spec: &Value, restart: &[&str]) -> Vec<FieldError> {
    let own = &spec["template"];
    let mut out = Vec::new();
    if !spec["selector"].is_null() && !is_empty_selector(&spec["selector"]) && !selector_matches(&spec["selector"], own)
    {
        out.push(FieldError::invalid(
            "spec.template.metadata.labels",
            own["metadata"]["labels"].clone(),
            "`selector` does not match template `labels`",
        ));
    }
    out.extend(pod_template(own, "spec.template"));
    let policy = text(own, &["spec", "restartPolicy"]);
    if !restart.contains(&policy) {
        out.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, restart));
    }
    if restart == ["Always"] && !own["spec"]["activeDeadlineSeconds"].is_null() {
        out.push(FieldError::forbidden(
            "spec.template.spec.activeDeadlineSeconds",
            "activeDeadlineSeconds in ReplicaSet is not Supported",
        ));
    }
    out
}

fn pod_template(own: &Value, path: &str) -> Vec<FieldError> {
    let mut out = labels(&own["metadata"]["labels"], &format!("{path}.labels"));
    out.extend(pod_spec(&own["spec"], &format!("{path}.spec")));
    out
}

fn deployment(spec: &Value) -> Vec<FieldError> {
    let mut out = non_negative(spec, "spec", &["replicas"]);
    out.extend(selector(spec, "deployment"));
    out.extend(template(spec, &["Always"]));
    let strategy = &spec["strategy"];
    let rolling = &strategy["rollingUpdate"];
    match text(strategy, &["type"]) {
        "Recreate" if !rolling.is_null() => out.push(FieldError::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        )),
        "Recreate" => {}
        "RollingUpdate" => {
            let path = "spec.strategy.rollingUpdate";
            for field in ["maxUnavailable", "maxSurge"] {
                out.extend(positive_int_or_percent(&rolling[field], &format!("{path}.{field}")));
            }
            let zero = |value: &Value| *value == 0 || *value == "0%";
            if zero(&rolling["maxUnavailable"]) && zero(&rolling["maxSurge"]) {
                out.push(FieldError::invalid(
                    format!("{path}.maxUnavailable"),
                    rolling["maxUnavailable"].clone(),
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
            let percent = rolling["maxUnavailable"].as_str().and_then(|own| own.strip_suffix('%')?.parse::<i64>().ok());
            if percent.is_some_and(|percent| percent > 100) {
                out.push(FieldError::invalid(
                    format!("{path}.maxUnavailable"),
                    rolling["maxUnavailable"].clone(),
                    "must not be greater than 100%",
                ));
            }
        }
        _ => out.push(FieldError::not_supported("spec.strategy", strategy.clone(), &["Recreate", "RollingUpdate"])),
    }
    out.extend(non_negative(spec, "spec", &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"]));
    if let Some(deadline) = spec["progressDeadlineSeconds"].as_i64()
        && deadline <= spec["minReadySeconds"].as_i64().unwrap_or(0)
    {
        out.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
    }
    out
}

fn stateful_set(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let policy = text(spec, &["podManagementPolicy"]);
    if !matches!(policy, "OrderedReady" | "Parallel") {
        out.push(FieldError::invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
    }
    let kind = text(spec, &["updateStrategy", "type"]);
    if !matches!(kind, "RollingUpdate" | "OnDelete") {
        out.push(FieldError::invalid(
            "spec.updateStrategy",
            spec["updateStrategy"].clone(),
            "must be 'RollingUpdate' or 'OnDelete'",
        ));
    }
    out.extend(non_negative(spec, "spec", &["replicas", "minReadySeconds"]));
    out.extend(selector(spec, "statefulset"));
    out.extend(template(&with_claims(spec), &["Always"]));
    out
}

/// A StatefulSet's spec with the volumes that its pods will have: each claim template becomes one of its name.
fn with_claims(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let templates = spec["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
    let claims: Vec<Value> =
        templates.iter().map(|claim| json!({"name": claim["metadata"]["name"], "emptyDir": {}})).collect();
    if let Some(pod) = spec["template"]["spec"].as_object_mut() {
        let volumes = pod.entry("volumes").or_insert_with(|| json!([]));
        if let Some(volumes) = volumes.as_array_mut() {
            volumes.extend(claims);
        }
    }
    spec
}

fn job(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut out = non_negative(
        spec,
        path,
        &["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"],
    );
    let own = &spec["template"];
    out.extend(pod_template(own, &format!("{path}.template")));
    let policy = text(own, &["spec", "restartPolicy"]);
    let field = format!("{path}.template.spec.restartPolicy");
    if policy == "Always" {
        out.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\""));
    } else if !matches!(policy, "OnFailure" | "Never") {
        out.push(FieldError::not_supported(field, policy, &["OnFailure", "Never"]));
    }
    out
}

fn cron_job(value: &Value) -> Vec<FieldError> {
    let spec = &value["spec"];
    let mut out = Vec::new();
    let schedule = text(spec, &["schedule"]);
    if schedule.is_empty() {
        out.push(FieldError::required("spec.schedule", ""));
    } else if let Some(why) = schedule_fault(schedule) {
        out.push(FieldError::invalid("spec.schedule", schedule, why));
    }
    out.extend(non_negative(
        spec,
        "spec",
        &["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
    ));
    let policy = text(spec, &["concurrencyPolicy"]);
    if !matches!(policy, "Allow" | "Forbid" | "Replace") {
        out.push(FieldError::not_supported("spec.concurrencyPolicy", policy, &["Allow", "Forbid", "Replace"]));
    }
    out.extend(job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec"));
    // Eleven characters are kept for the jobs' own suffix.
    let name = text(value, &["metadata", "name"]);
    if name.len() > 52 {
        out.push(FieldError::invalid("metadata.name", name, "must be no more than 52 characters"));
    }
    out
}

fn schedule_fault(schedule: &str) -> Option<String> {
    if schedule.starts_with('@') {
        let known = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
        let fine = known.contains(&schedule) || schedule.starts_with("@every ");
        return (!fine).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let parts: Vec<_> = schedule.split_whitespace().collect();
    if parts.len() != 5 {
        let shown = format!("[{}]", parts.join(" "));
        return Some(format!("expected exactly 5 fields, found {}: {shown}", parts.len()));
    }
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    for (part, (low, high)) in parts.iter().zip(bounds) {
        for piece in part.split(',') {
            let range = piece.split('/').next().unwrap_or_default();
            for number in range.split('-').filter_map(|word| word.parse::<i64>().ok()) {
                if number < low {
                    return Some(format!("beginning of range ({number}) below minimum ({low}): {piece}"));
                }
                if number > high {
                    return Some(format!("end of range ({number}) above maximum ({high}): {piece}"));
                }
            }
        }
    }
    None
}

fn autoscaler(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let (least, most) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if least.is_some_and(|least| least < 1) {
        out.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
    }
    for field in ["kind", "name"] {
        if text(spec, &["scaleTargetRef", field]).is_empty() {
            out.push(FieldError::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    out
}

fn role_binding(resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let role = &value["roleRef"];
    let kinds: &[&str] = if resource.namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&text(role, &["kind"])) {
        out.push(FieldError::not_supported("roleRef.kind", text(role, &["kind"]), kinds));
    }
    if text(role, &["name"]).is_empty() {
        out.push(FieldError::required("roleRef.name", ""));
    }
    for (index, subject) in value["subjects"].as_array().into_iter().flatten().enumerate() {
        let path = format!("subjects[{index}]");
        if text(subject, &["name"]).is_empty() {
            out.push(FieldError::required(format!("{path}.name"), ""));
        }
        match text(subject, &["kind"]) {
            "ServiceAccount" => {
                if text(subject, &["namespace"]).is_empty() {
                    out.push(FieldError::required(format!("{path}.namespace"), ""));
                }
            }
            "User" | "Group" => {}
            other => {
                out.push(FieldError::not_supported(format!("{path}.kind"), other, &["Group", "ServiceAccount", "User"]))
            }
        }
    }
    out
}

fn immutable(value: &Value, old: &Value, path: &str, field: &str) -> Option<FieldError> {
    (value[field] != old[field])
        .then(|| FieldError::invalid(format!("{path}.{field}"), value[field].clone(), "field is immutable"))
}

/// Faults of a change of a built-in kind.
pub fn validate_update(resource: &ResourceType, value: &Value, old: &Value) -> Vec<FieldError> {
    let (spec, before) = (&value["spec"], &old["spec"]);
    if resource.id == crate::registry::builtin::gr::PODS {
        return super::pod::validate_update(value, old);
    }
    let mut out = validate(resource, value);
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("apps", "deployments" | "replicasets" | "daemonsets") => {
            out.extend(immutable(spec, before, "spec", "selector"))
        }
        ("apps", "statefulsets") => {
            let allowed = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ];
            if without(spec, &allowed) != without(before, &allowed) {
                out.push(FieldError::forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
            }
        }
        ("batch", "jobs") => {
            for field in ["completions", "selector", "template", "completionMode"] {
                out.extend(immutable(spec, before, "spec", field));
            }
        }
        ("", "services") => {
            let fixed = |own: &Value| !matches!(text(own, &["clusterIP"]), "");
            let kept = text(spec, &["type"]) != "ExternalName" && text(before, &["type"]) != "ExternalName";
            if kept && fixed(before) && spec["clusterIP"] != before["clusterIP"] {
                out.push(FieldError::invalid(
                    "spec.clusterIPs[0]",
                    json!([spec["clusterIP"]]),
                    "may not change once set",
                ));
            }
        }
        ("", "persistentvolumeclaims") => {
            let allowed = ["resources", "volumeName", "volumeAttributesClassName"];
            let bound_now = text(before, &["volumeName"]).is_empty();
            let own = |value: &Value| {
                if bound_now {
                    without(value, &allowed)
                } else {
                    without(value, &["resources", "volumeAttributesClassName"])
                }
            };
            if own(spec) != own(before) {
                out.push(FieldError::forbidden("spec", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"));
            }
        }
        _ => {}
    }
    out
}

fn without(value: &Value, fields: &[&str]) -> Value {
    let mut out = value.clone();
    if let Some(map) = out.as_object_mut() {
        for field in fields {
            map.shift_remove(*field);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_deployment_is_told_where() {
        let spec = json!({
            "replicas": -1,
            "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"a": "c"}}, "spec": {
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
                "containers": [{"name": "x", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}],
            }},
        });
        let shown: Vec<_> = deployment(&spec).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
                "spec.template.spec.containers[0].image: Required value",
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ]
        );
    }

    #[test]
    fn schedules_are_read() {
        assert_eq!(schedule_fault("*/5 * * * *"), None);
        assert!(schedule_fault("61 * * * *").is_some());
        assert!(schedule_fault("* * *").is_some_and(|why| why.starts_with("expected exactly 5 fields, found 3")));
    }

    #[test]
    fn a_claim_template_is_a_volume_of_its_pods() {
        let mut spec = json!({
            "replicas": 1, "serviceName": "db", "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate"},
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
                "containers": [{"name": "db", "image": "mysql:9", "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "volumeMounts": [{"name": "data", "mountPath": "/var/lib/mysql"}]}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
        });
        let wrong = |spec: &Value| stateful_set(spec).iter().map(|e| e.field.clone()).collect::<Vec<_>>();
        assert_eq!(wrong(&spec), Vec::<String>::new());
        spec["volumeClaimTemplates"] = json!([]);
        assert_eq!(wrong(&spec), ["spec.template.spec.containers[0].volumeMounts[0].name"]);
    }
}
