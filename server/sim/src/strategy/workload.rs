//! Validation of the built-in kinds, workloads above all (`pkg/apis/{core,apps,batch}/validation`).

use serde_json::{Value, json};

use super::{
    data::{claim, config_map, secret},
    meta::{labels, qualified_name_faults},
    network::{ingress, service},
    pod::{pod_spec, positive_int_or_percent},
    rules, selector_matches,
};
use crate::{cluster::text, registry::ResourceType, status::FieldError};

/// Faults of a new object of a built-in kind.
pub fn validate(resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let spec = &value["spec"];
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "pods") => {
            let mut out = pod_spec(spec, "spec");
            out.extend(rules::pod::on_create(spec));
            out
        }
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
            let (own, rolling) = (&spec["updateStrategy"], &spec["updateStrategy"]["rollingUpdate"]);
            let kind = text(own, &["type"]);
            if !matches!(kind, "RollingUpdate" | "OnDelete") {
                let shown = json!({"Type": kind, "RollingUpdate": rolling});
                out.push(FieldError::not_supported("spec.updateStrategy", shown, &["RollingUpdate", "OnDelete"]));
            }
            let zero =
                |field: &str| matches!(&rolling[field], Value::Null) || rolling[field] == 0 || rolling[field] == "0%";
            if kind == "RollingUpdate" && zero("maxUnavailable") && zero("maxSurge") {
                let path = "spec.updateStrategy.rollingUpdate.maxUnavailable";
                out.push(FieldError::required(path, "cannot be 0 when maxSurge is 0"));
            }
            out
        }
        ("batch", "jobs") => {
            let mut out = job_selector(value);
            out.extend(job(spec, "spec"));
            out
        }
        ("batch", "cronjobs") => cron_job(value),
        ("", "services") => service(spec),
        ("", "configmaps") => config_map(value),
        ("", "secrets") => secret(value),
        ("", "persistentvolumeclaims") => claim(spec),
        ("autoscaling", _) => rules::autoscaler(spec),
        ("policy", _) => {
            let mut out = Vec::new();
            if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
                // Go shows its internal struct.
                let shown = json!({
                    "MinAvailable": spec["minAvailable"], "Selector": spec["selector"],
                    "MaxUnavailable": spec["maxUnavailable"],
                    "UnhealthyPodEvictionPolicy": spec["unhealthyPodEvictionPolicy"],
                });
                out.push(FieldError::invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"));
            }
            for field in ["minAvailable", "maxUnavailable"] {
                out.extend(positive_int_or_percent(&spec[field], &format!("spec.{field}")));
                let percent = spec[field].as_str().and_then(|own| own.strip_suffix('%')?.parse::<i64>().ok());
                if percent.is_some_and(|percent| percent > 100) {
                    let path = format!("spec.{field}");
                    out.push(FieldError::invalid(path, spec[field].clone(), "must not be greater than 100%"));
                }
            }
            let known = ["AlwaysAllow", "IfHealthyBudget"];
            out.extend(rules::one_of(spec, "unhealthyPodEvictionPolicy", "spec.", &known));
            out
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => role_binding(resource, value),
        ("networking.k8s.io", "ingresses") => ingress(spec),
        _ => rules::validate(resource, value),
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
    let bad = !out.is_empty();
    if is_empty_selector(own) {
        out.push(FieldError::invalid("spec.selector", own.clone(), format!("empty selector is invalid for {kind}")));
    } else if bad {
        out.push(FieldError::invalid("spec.selector", without_empty(own), "invalid label selector"));
    }
    out
}

/// A selector as Go writes it: without empty lists.
fn without_empty(selector: &Value) -> Value {
    let mut out = selector.clone();
    for term in out["matchExpressions"].as_array_mut().into_iter().flatten() {
        if let Some(term) = term.as_object_mut()
            && term.get("values").is_some_and(|values| values.as_array().is_some_and(Vec::is_empty))
        {
            term.shift_remove("values");
        }
    }
    out
}

/// `k8s.io/apimachinery/pkg/apis/meta/v1/validation`, ValidateLabelSelector.
pub fn label_selector(own: &Value, path: &str) -> Vec<FieldError> {
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
    // A missing selector selects nothing, a faulty one is not tried.
    let tried = !is_empty_selector(&spec["selector"]) && label_selector(&spec["selector"], "").is_empty();
    if spec["selector"].is_null() || (tried && !selector_matches(&spec["selector"], own)) {
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
        kind => {
            let shown = json!({"Type": kind, "RollingUpdate": strategy["rollingUpdate"]});
            out.push(FieldError::not_supported("spec.strategy", shown, &["Recreate", "RollingUpdate"]));
        }
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
        let shown = json!({"Type": kind, "RollingUpdate": spec["updateStrategy"]["rollingUpdate"]});
        out.push(FieldError::invalid("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'"));
    }
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    if kind == "OnDelete" && !rolling.is_null() {
        let shown = json!({"Partition": rolling["partition"], "MaxUnavailable": rolling["maxUnavailable"]});
        let why = "only allowed for updateStrategy 'RollingUpdate'";
        out.push(FieldError::invalid("spec.updateStrategy.rollingUpdate", shown, why));
    } else {
        out.extend(non_negative(rolling, "spec.updateStrategy.rollingUpdate", &["partition"]));
    }
    for when in ["whenDeleted", "whenScaled"] {
        let path = "spec.persistentVolumeClaimRetentionPolicy.";
        out.extend(rules::one_of(&spec["persistentVolumeClaimRetentionPolicy"], when, path, &["Retain", "Delete"]));
    }
    out.extend(non_negative(&spec["ordinals"], "spec.ordinals", &["start"]));
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

/// The selector of a Job is made by the API, unless one asks to choose it.
fn job_selector(value: &Value) -> Vec<FieldError> {
    let (spec, uid) = (&value["spec"], text(value, &["metadata", "uid"]));
    let mut out = Vec::new();
    let made = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    if spec["manualSelector"] != true && spec["selector"] != made && !uid.is_empty() {
        let why = "`selector` not auto-generated";
        out.push(FieldError::invalid("spec.selector", spec["selector"].clone(), why));
    }
    if !spec["selector"].is_null() && !selector_matches(&spec["selector"], &spec["template"]) {
        let labels = spec["template"]["metadata"]["labels"].clone();
        let why = "`selector` does not match template `labels`";
        out.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
    }
    out
}

fn job(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut out = non_negative(
        spec,
        path,
        &["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"],
    );
    out.extend(rules::one_of(spec, "completionMode", &format!("{path}."), &["NonIndexed", "Indexed"]));
    if !spec["backoffLimitPerIndex"].is_null() && spec["completionMode"] != "Indexed" {
        let field = format!("{path}.backoffLimitPerIndex");
        out.push(FieldError::invalid(field, spec["backoffLimitPerIndex"].clone(), "requires indexed completion mode"));
    }
    for (index, rule) in spec["podFailurePolicy"]["rules"].as_array().into_iter().flatten().enumerate() {
        let codes = &rule["onExitCodes"];
        for (at, code) in codes["values"].as_array().into_iter().flatten().enumerate() {
            if codes["operator"] == "In" && *code == 0 {
                let field = format!("{path}.podFailurePolicy.rules[{index}].onExitCodes.values[{at}]");
                out.push(FieldError::invalid(field, 0, "must not be 0 for the In operator"));
            }
        }
    }
    out.extend(rules::one_of(spec, "podReplacementPolicy", &format!("{path}."), &["Failed", "TerminatingOrFailed"]));
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
    } else if schedule.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        out.push(FieldError::invalid("spec.schedule", schedule, why));
    } else if let Some(why) = schedule_fault(schedule) {
        out.push(FieldError::invalid("spec.schedule", schedule, why));
    }
    if let Some(zone) = spec["timeZone"].as_str() {
        if zone.is_empty() {
            let why = "timeZone must be nil or non-empty string";
            out.push(FieldError::invalid("spec.timeZone", zone, why));
        } else if jiff::tz::TimeZone::get(zone).is_err() {
            out.push(FieldError::invalid("spec.timeZone", zone, format!("unknown time zone {zone}")));
        }
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

fn role_binding(resource: &ResourceType, value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let role = &value["roleRef"];
    let kinds: &[&str] = if resource.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    const GROUP: &str = "rbac.authorization.k8s.io";
    if !role["apiGroup"].is_null() && role["apiGroup"] != GROUP {
        out.push(FieldError::not_supported("roleRef.apiGroup", role["apiGroup"].clone(), &[GROUP]));
    }
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
                let name = text(subject, &["name"]);
                if !name.is_empty() {
                    let faults = super::meta::subdomain_faults(name);
                    out.extend(faults.into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
                }
                // Within a namespace a missing one is let through, though it names nobody.
                if !resource.namespaced && text(subject, &["namespace"]).is_empty() {
                    out.push(FieldError::required(format!("{path}.namespace"), ""));
                }
            }
            "User" | "Group" => {
                if !subject["apiGroup"].is_null() && subject["apiGroup"] != GROUP {
                    let own = subject["apiGroup"].clone();
                    out.push(FieldError::not_supported(format!("{path}.apiGroup"), own, &[GROUP]));
                }
            }
            other => {
                out.push(FieldError::not_supported(format!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]))
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
            // Only what is bound can grow.
            let early = text(before, &["volumeName"]).is_empty() && spec["resources"] != before["resources"];
            if early || own(spec) != own(before) {
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
