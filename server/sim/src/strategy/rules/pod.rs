//! Rarer rules of pods (`pkg/apis/core/validation`): affinity, spreading, security, volumes in depth, warnings.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{at_least, items, one_of};
use crate::{
    cluster::text,
    quantity::Quantity,
    status::FieldError,
    strategy::{
        data::config_key_faults,
        meta::{label_faults, label_value_faults, qualified_name_faults, subdomain_faults},
    },
};

const RANGE: &str = "must be between 0 and 2147483647, inclusive";
const NOT_NONE: &str = "must be specified when `operator` is 'In' or 'NotIn'";

/// What only a new pod may not have.
pub fn on_create(spec: &Value) -> Vec<FieldError> {
    let some = !items(spec, "ephemeralContainers").is_empty();
    some.then(|| FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create")).into_iter().collect()
}

/// Faults of a pod's spec beyond its containers.
pub fn spec(spec: &Value, path: &str, out: &mut Vec<FieldError>) {
    let field = |name: &str| format!("{path}.{name}");
    if text(spec, &["dnsPolicy"]) == "None" && items(&spec["dnsConfig"], "nameservers").is_empty() {
        let why = "must provide `dnsConfig` when `dnsPolicy` is None";
        out.push(FieldError::required(field("dnsConfig"), why));
    }
    for (key, own) in spec["nodeSelector"].as_object().into_iter().flatten() {
        let own = own.as_str().unwrap_or_default();
        let faults = qualified_name_faults(key).into_iter().map(|why| (key.as_str(), why));
        let faults = faults.chain(label_value_faults(own).into_iter().map(|why| (own, why)));
        out.extend(faults.map(|(what, why)| FieldError::invalid(field("nodeSelector"), what, why)));
    }
    let hostname = text(spec, &["hostname"]);
    if !hostname.is_empty() {
        out.extend(label_faults(hostname).into_iter().map(|why| FieldError::invalid(field("hostname"), hostname, why)));
    }
    for (index, own) in items(spec, "hostAliases").iter().enumerate() {
        let ip = text(own, &["ip"]);
        if ip.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            out.push(FieldError::invalid(format!("{path}.hostAliases[{index}].ip"), ip, why));
        }
    }
    for (index, own) in items(spec, "readinessGates").iter().enumerate() {
        let kind = text(own, &["conditionType"]);
        let place = format!("{path}.readinessGates[{index}].conditionType");
        out.extend(qualified_name_faults(kind).into_iter().map(|why| FieldError::invalid(&place, kind, why)));
    }
    if let Some(os) = spec["os"]["name"].as_str().filter(|os| !matches!(*os, "linux" | "windows")) {
        out.push(FieldError::not_supported(field("os"), os, &["linux", "windows"]));
    }
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
        out.extend(at_least(&spec["securityContext"], name, &format!("{path}.securityContext."), 0, RANGE));
    }
    tolerations(spec, path, out);
    spread(spec, path, out);
    affinity(&spec["affinity"], &field("affinity"), out);
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        self::volume(volume, &format!("{path}.volumes[{index}]"), out);
    }
}

fn tolerations(spec: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (index, own) in items(spec, "tolerations").iter().enumerate() {
        let place = format!("{path}.tolerations[{index}]");
        let operator = text(own, &["operator"]);
        if text(own, &["key"]).is_empty() && operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            out.push(FieldError::invalid(format!("{place}.operator"), operator, why));
        }
        let effect = text(own, &["effect"]);
        if !own["tolerationSeconds"].is_null() && effect != "NoExecute" {
            let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            out.push(FieldError::invalid(format!("{place}.effect"), effect, why));
        }
    }
}

fn spread(spec: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (index, own) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        let place = format!("{path}.topologySpreadConstraints[{index}]");
        let skew = own["maxSkew"].as_i64().unwrap_or(0);
        if skew <= 0 {
            out.push(FieldError::invalid(format!("{place}.maxSkew"), skew, "must be greater than zero"));
        }
        if text(own, &["topologyKey"]).is_empty() {
            out.push(FieldError::required(format!("{place}.topologyKey"), "can not be empty"));
        }
        let action = text(own, &["whenUnsatisfiable"]);
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            let known = ["DoNotSchedule", "ScheduleAnyway"];
            out.push(FieldError::not_supported(format!("{place}.whenUnsatisfiable"), action, &known));
        }
    }
}

fn affinity(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    let node = &own["nodeAffinity"];
    let required = &node["requiredDuringSchedulingIgnoredDuringExecution"];
    let place = format!("{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    if required.is_object() && items(required, "nodeSelectorTerms").is_empty() {
        out.push(FieldError::required(&place, "must have at least one node selector term"));
    }
    for (index, term) in items(required, "nodeSelectorTerms").iter().enumerate() {
        expressions(term, &format!("{place}[{index}]"), out);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let own = &own[kind];
        for (index, term) in items(own, "requiredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
            let place = format!("{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{index}]");
            pod_term(term, &place, out);
        }
        for (index, term) in items(own, "preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
            let place = format!("{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{index}]");
            let weight = term["weight"].as_i64().unwrap_or(0);
            if !(1..=100).contains(&weight) {
                out.push(FieldError::invalid(format!("{place}.weight"), weight, "must be in the range 1-100"));
            }
            pod_term(&term["podAffinityTerm"], &format!("{place}.podAffinityTerm"), out);
        }
    }
}

fn expressions(term: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (index, own) in items(term, "matchExpressions").iter().enumerate() {
        let place = format!("{path}.matchExpressions[{index}]");
        let count = items(own, "values").len();
        let values = format!("{place}.values");
        match text(own, &["operator"]) {
            "In" | "NotIn" if count == 0 => out.push(FieldError::required(values, NOT_NONE)),
            "Exists" | "DoesNotExist" if count > 0 => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                out.push(FieldError::forbidden(values, why));
            }
            "Gt" | "Lt" if count != 1 => {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                out.push(FieldError::required(values, why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => out.push(FieldError::invalid(format!("{place}.operator"), other, "not a valid selector operator")),
        }
    }
}

fn pod_term(term: &Value, path: &str, out: &mut Vec<FieldError>) {
    let key = text(term, &["topologyKey"]);
    let place = format!("{path}.topologyKey");
    if key.is_empty() {
        out.push(FieldError::required(&place, "can not be empty"));
    }
    out.extend(qualified_name_faults(key).into_iter().map(|why| FieldError::invalid(&place, key, why)));
}

fn volume(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        let (own, place) = (&own[source], format!("{path}.{source}"));
        if let Some(mode) = own["defaultMode"].as_i64().filter(|mode| !(0..=0o777).contains(mode)) {
            let why = "must be a number between 0 and 0777 (octal), both inclusive";
            out.push(FieldError::invalid(format!("{place}.defaultMode"), mode, why));
        }
        for (index, item) in items(own, "items").iter().enumerate() {
            let target = text(item, &["path"]);
            let field = format!("{place}.items[{index}].path");
            if target.is_empty() {
                out.push(FieldError::required(field, ""));
            } else if target.starts_with('/') {
                out.push(FieldError::invalid(field, target, "must be a relative path"));
            } else if target.split('/').any(|part| part == "..") {
                out.push(FieldError::invalid(field, target, "must not contain '..'"));
            }
        }
        for (index, part) in items(own, "sources").iter().enumerate() {
            if let Some(seconds) = part["serviceAccountToken"]["expirationSeconds"].as_i64().filter(|own| *own < 600) {
                let field = format!("{place}.sources[{index}].serviceAccountToken.expirationSeconds");
                out.push(FieldError::invalid(field, seconds, "may not specify a duration less than 10 minutes"));
            }
        }
    }
}

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Faults of a container beyond the usual ones.
pub fn container(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (index, variable) in items(own, "env").iter().enumerate() {
        source(&variable["valueFrom"], &format!("{path}.env[{index}].valueFrom"), out);
    }
    for from in items(own, "envFrom") {
        if !from["configMapRef"].is_object() && !from["secretRef"].is_object() {
            let why = "must specify one of: `configMapRef` or `secretRef`";
            out.push(FieldError::invalid(format!("{path}.envFrom"), "", why));
        }
    }
    if let Some(policy) =
        one_of(own, "terminationMessagePolicy", &format!("{path}."), &["File", "FallbackToLogsOnError"])
    {
        out.push(policy);
    }
    let hook = &own["lifecycle"];
    for name in ["postStart", "preStop"] {
        if hook[name].as_object().is_some_and(serde_json::Map::is_empty) {
            out.push(FieldError::required(format!("{path}.lifecycle.{name}"), "must specify a handler type"));
        }
    }
    for (name, amount) in own["resources"]["requests"].as_object().into_iter().flatten() {
        // Devices cannot be shared: what is requested is the limit.
        if name.contains('/') && own["resources"]["limits"][name].is_null() && !amount.is_null() {
            let why = "Limit must be set for non overcommitable resources";
            out.push(FieldError::required(format!("{path}.resources.limits"), why));
        }
    }
    security(&own["securityContext"], &format!("{path}.securityContext"), out);
}

fn source(from: &Value, path: &str, out: &mut Vec<FieldError>) {
    let field = text(from, &["fieldRef", "fieldPath"]);
    let subscript = |name: &str| field.starts_with(&format!("{name}['")) && field.ends_with("']");
    let known = FIELDS.contains(&field) || subscript("metadata.labels") || subscript("metadata.annotations");
    if from["fieldRef"].is_object() {
        let place = format!("{path}.fieldRef.fieldPath");
        if field.is_empty() {
            out.push(FieldError::required(place, ""));
        } else if !known {
            let why = format!("error converting fieldPath: field label not supported: {field}");
            out.push(FieldError::invalid(place, field, why));
        }
    }
    let resource = text(from, &["resourceFieldRef", "resource"]);
    if from["resourceFieldRef"].is_object() && !resource.contains("hugepages-") {
        let place = format!("{path}.resourceFieldRef.resource");
        if resource.is_empty() {
            out.push(FieldError::required(place, ""));
        } else if !RESOURCES.contains(&resource) {
            out.push(FieldError::not_supported(place, resource, &RESOURCES));
        }
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let (key, name) = (text(from, &[kind, "key"]), text(from, &[kind, "name"]));
        if !from[kind].is_object() {
            continue;
        }
        // An absent name has always been let through; an empty one is not.
        if from[kind]["name"].is_string() {
            let place = format!("{path}.{kind}.name");
            out.extend(subdomain_faults(name).into_iter().map(|why| FieldError::invalid(&place, name, why)));
        }
        let place = format!("{path}.{kind}.key");
        if key.is_empty() {
            out.push(FieldError::required(place, ""));
        } else {
            out.extend(config_key_faults(key).into_iter().map(|why| FieldError::invalid(&place, key, why)));
        }
    }
}

fn security(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for name in ["runAsUser", "runAsGroup"] {
        out.extend(at_least(own, name, &format!("{path}."), 0, RANGE));
    }
    if text(own, &["seccompProfile", "type"]) == "Localhost"
        && text(own, &["seccompProfile", "localhostProfile"]).is_empty()
    {
        let why = "must be set when seccomp type is Localhost";
        out.push(FieldError::required(format!("{path}.seccompProfile.localhostProfile"), why));
    }
    if own["allowPrivilegeEscalation"] == false {
        let mut fault = |why: &str| out.push(FieldError::invalid(path, internal_context(own), why));
        if own["privileged"] == true {
            fault("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if items(&own["capabilities"], "add").iter().any(|own| own == "CAP_SYS_ADMIN") {
            fault("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
}

/// A security context as Go's internal type is shown.
fn internal_context(own: &Value) -> Value {
    let names = [
        "capabilities",
        "privileged",
        "seLinuxOptions",
        "windowsOptions",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "procMount",
        "seccompProfile",
        "appArmorProfile",
    ];
    let mut out = json!({});
    for name in names {
        let shown = match name {
            "seLinuxOptions" => "SELinuxOptions".to_owned(),
            name => format!("{}{}", name[..1].to_uppercase(), &name[1..]),
        };
        out[shown] = own[name].clone();
    }
    out
}

/// What is accepted with a warning.
pub fn warnings(spec: &Value, path: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (index, own) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        if own["labelSelector"].is_null() {
            let field = format!("{path}.topologySpreadConstraints[{index}].labelSelector");
            out.push(format!("{field}: a null labelSelector results in matching no pod"));
        }
    }
    for field in ["initContainers", "containers"] {
        for (index, own) in items(spec, field).iter().enumerate() {
            for part in ["limits", "requests"] {
                for name in ["memory", "ephemeral-storage"] {
                    let Some(amount) = own["resources"][part].get(name) else { continue };
                    let shown = Quantity::lenient(Some(amount));
                    if shown.nanos() % 1_000_000_000 != 0 {
                        out.push(format!(
                            "{path}.{field}[{index}].resources.{part}[{name}]: fractional byte value \"{shown}\" is invalid, must be an integer"
                        ));
                    }
                }
            }
        }
    }
    out
}
