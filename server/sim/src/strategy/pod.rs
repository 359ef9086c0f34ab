//! Validation of pods and their templates (`pkg/apis/core/validation`).

use serde_json::{Value, json};

use super::{
    meta::{label_faults, subdomain_faults},
    rules,
};
use crate::{cluster::text, quantity::Quantity, status::FieldError};

/// Faults of a pod's spec at `path`.
pub fn pod_spec(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut out = Vec::new();
    let volumes = volumes(spec, path, &mut out);
    let containers = list(spec, "containers");
    if containers.is_empty() {
        out.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    let mut check = |field: &str, init: bool, out: &mut Vec<FieldError>| {
        for (index, own) in list(spec, field).iter().enumerate() {
            let place = format!("{path}.{field}[{index}]");
            container(own, &place, &volumes, init, out);
            let name = text(own, &["name"]);
            if !name.is_empty() && names.contains(&name) {
                out.push(FieldError::duplicate(format!("{place}.name"), name));
            }
        }
        names.extend(list(spec, field).iter().map(|own| text(own, &["name"])));
    };
    // Names within one list are told apart as the list is read.
    duplicate_names(spec, path, "containers", &mut out);
    check("containers", false, &mut out);
    duplicate_names(spec, path, "initContainers", &mut out);
    check("initContainers", true, &mut out);
    let restart = text(spec, &["restartPolicy"]);
    if restart.is_empty() {
        out.push(FieldError::required(format!("{path}.restartPolicy"), ""));
    } else if !matches!(restart, "Always" | "OnFailure" | "Never") {
        out.push(FieldError::not_supported(
            format!("{path}.restartPolicy"),
            restart,
            &["Always", "OnFailure", "Never"],
        ));
    }
    let dns = text(spec, &["dnsPolicy"]);
    if !matches!(dns, "ClusterFirst" | "ClusterFirstWithHostNet" | "Default" | "None") {
        let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
        out.push(FieldError::not_supported(format!("{path}.dnsPolicy"), dns, &known));
    }
    // A negative grace period is taken for the shortest there is.
    for (field, least) in [("terminationGracePeriodSeconds", i64::MIN), ("activeDeadlineSeconds", 1)] {
        if let Some(own) = spec[field].as_i64().filter(|own| *own < least) {
            let detail = if least == 0 {
                "must be greater than or equal to 0"
            } else {
                "must be between 1 and 2147483647, inclusive"
            };
            out.push(FieldError::invalid(format!("{path}.{field}"), own, detail));
        }
    }
    let account = text(spec, &["serviceAccountName"]);
    if !account.is_empty() {
        let field = format!("{path}.serviceAccountName");
        out.extend(subdomain_faults(account).into_iter().map(|why| FieldError::invalid(&field, account, why)));
    }
    for (index, own) in list(spec, "tolerations").iter().enumerate() {
        let place = format!("{path}.tolerations[{index}]");
        let operator = text(own, &["operator"]);
        if !matches!(operator, "" | "Equal" | "Exists") {
            out.push(FieldError::not_supported(format!("{place}.operator"), operator, &["Equal", "Exists"]));
        }
        if operator == "Exists" && !text(own, &["value"]).is_empty() {
            out.push(FieldError::invalid(
                format!("{place}.operator"),
                text(own, &["value"]),
                "value must be empty when `operator` is 'Exists'",
            ));
        }
        let effect = text(own, &["effect"]);
        if !matches!(effect, "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
            let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            out.push(FieldError::not_supported(format!("{place}.effect"), effect, &known));
        }
    }
    rules::pod::spec(spec, path, &mut out);
    out
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn duplicate_names(spec: &Value, path: &str, field: &str, out: &mut Vec<FieldError>) {
    let all = list(spec, field);
    for (index, own) in all.iter().enumerate() {
        let name = text(own, &["name"]);
        if !name.is_empty() && all.iter().take(index).any(|other| other["name"] == name) {
            out.push(FieldError::duplicate(format!("{path}.{field}[{index}].name"), name));
        }
    }
}

fn volumes<'a>(spec: &'a Value, path: &str, out: &mut Vec<FieldError>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let place = format!("{path}.volumes[{index}]");
        let name = text(volume, &["name"]);
        if name.is_empty() {
            out.push(FieldError::required(format!("{place}.name"), ""));
        } else {
            let faults = label_faults(name);
            let bad = !faults.is_empty();
            out.extend(faults.into_iter().map(|why| FieldError::invalid(format!("{place}.name"), name, why)));
            if names.contains(&name) {
                out.push(FieldError::duplicate(format!("{place}.name"), name));
            }
            if !bad {
                names.push(name);
            }
        }
        let sources: Vec<_> = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .filter(|key| *key != "name")
            .collect();
        for source in sources.iter().skip(1) {
            out.push(FieldError::forbidden(format!("{place}.{source}"), "may not specify more than 1 volume type"));
        }
        for (source, field) in [("secret", "secretName"), ("configMap", "name"), ("persistentVolumeClaim", "claimName")]
        {
            if volume[source].is_object() && text(volume, &[source, field]).is_empty() {
                out.push(FieldError::required(format!("{place}.{source}.{field}"), ""));
            }
        }
        if volume["hostPath"].is_object() && text(volume, &["hostPath", "path"]).is_empty() {
            out.push(FieldError::required(format!("{place}.hostPath.path"), ""));
        }
    }
    names
}

fn container(own: &Value, path: &str, volumes: &[&str], init: bool, out: &mut Vec<FieldError>) {
    let name = text(own, &["name"]);
    if name.is_empty() {
        out.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        out.extend(label_faults(name).into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)));
    }
    let image = text(own, &["image"]);
    if image.is_empty() {
        out.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        out.push(FieldError::invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace"));
    }
    ports(own, path, out);
    environment(own, path, out);
    mounts(own, path, volumes, out);
    let policy = text(own, &["imagePullPolicy"]);
    if policy.is_empty() {
        out.push(FieldError::required(format!("{path}.imagePullPolicy"), ""));
    } else if !matches!(policy, "Always" | "IfNotPresent" | "Never") {
        out.push(FieldError::not_supported(
            format!("{path}.imagePullPolicy"),
            policy,
            &["Always", "IfNotPresent", "Never"],
        ));
    }
    resources(&own["resources"], &format!("{path}.resources"), out);
    rules::pod::container(own, path, out);
    let sidecar = own["restartPolicy"] == "Always";
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if own[field].is_null() {
            continue;
        }
        if init && !sidecar {
            out.push(FieldError::forbidden(
                format!("{path}.{field}"),
                "may not be set for init containers without restartPolicy=Always",
            ));
        } else {
            probe(&own[field], &format!("{path}.{field}"), field != "readinessProbe", out);
        }
    }
}

fn ports(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in list(own, "ports").iter().enumerate() {
        let place = format!("{path}.ports[{index}]");
        let name = text(port, &["name"]);
        if !name.is_empty() {
            let faults = port_name_faults(name);
            if faults.is_empty() && names.contains(&name) {
                out.push(FieldError::duplicate(format!("{place}.name"), name));
            }
            out.extend(faults.into_iter().map(|why| FieldError::invalid(format!("{place}.name"), name, why)));
            names.push(name);
        }
        let number = port["containerPort"].as_i64().unwrap_or(0);
        let range = "must be between 1 and 65535, inclusive";
        if number == 0 {
            out.push(FieldError::required(format!("{place}.containerPort"), ""));
        } else if !(1..=65535).contains(&number) {
            out.push(FieldError::invalid(format!("{place}.containerPort"), number, range));
        }
        let host = port["hostPort"].as_i64().unwrap_or(0);
        if host != 0 && !(1..=65535).contains(&host) {
            out.push(FieldError::invalid(format!("{place}.hostPort"), host, range));
        }
        let protocol = text(port, &["protocol"]);
        if protocol.is_empty() {
            out.push(FieldError::required(format!("{place}.protocol"), ""));
        } else if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            out.push(FieldError::not_supported(format!("{place}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
    }
}

/// What is wrong with a port's name.
pub fn port_name_faults(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if name.len() > 15 {
        out.push("must be no more than 15 characters".to_owned());
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.chars().any(|c| c.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        out.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        out.push("must not begin or end with a hyphen".to_owned());
    }
    out
}

fn environment(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (index, variable) in list(own, "env").iter().enumerate() {
        let place = format!("{path}.env[{index}]");
        let name = text(variable, &["name"]);
        if name.is_empty() {
            out.push(FieldError::required(format!("{place}.name"), ""));
        } else if !name.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
            out.push(FieldError::invalid(
                format!("{place}.name"),
                name,
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            ));
        }
        let from = &variable["valueFrom"];
        if !from.is_object() {
            continue;
        }
        let sources = from.as_object().map_or(0, serde_json::Map::len);
        if !text(variable, &["value"]).is_empty() {
            out.push(FieldError::invalid(
                format!("{place}.valueFrom"),
                "",
                "may not be specified when `value` is not empty",
            ));
        } else if sources == 0 {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            out.push(FieldError::invalid(format!("{place}.valueFrom"), "", detail));
        } else if sources > 1 {
            out.push(FieldError::invalid(
                format!("{place}.valueFrom"),
                "",
                "may not have more than one field specified at a time",
            ));
        }
    }
}

fn mounts(own: &Value, path: &str, volumes: &[&str], out: &mut Vec<FieldError>) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, mount) in list(own, "volumeMounts").iter().enumerate() {
        let place = format!("{path}.volumeMounts[{index}]");
        let name = text(mount, &["name"]);
        if name.is_empty() {
            out.push(FieldError::required(format!("{place}.name"), ""));
        }
        if !volumes.contains(&name) {
            out.push(FieldError::not_found(format!("{place}.name"), name));
        }
        let at = text(mount, &["mountPath"]);
        if at.is_empty() {
            out.push(FieldError::required(format!("{place}.mountPath"), ""));
        }
        if seen.contains(&at) {
            out.push(FieldError::invalid(format!("{place}.mountPath"), at, "must be unique"));
        }
        seen.push(at);
    }
}

fn resources(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for part in ["limits", "requests"] {
        for (name, quantity) in own[part].as_object().into_iter().flatten() {
            let place = format!("{path}.{part}[{name}]");
            let known = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
                || name.starts_with("hugepages-")
                || name.contains('/');
            if !known {
                out.push(FieldError::invalid(
                    &place,
                    name.as_str(),
                    "must be a standard resource type or fully qualified",
                ));
                out.push(FieldError::invalid(&place, name.as_str(), "must be a standard resource for containers"));
            }
            let amount = Quantity::lenient(Some(quantity));
            if amount.sign() < 0 {
                out.push(FieldError::invalid(&place, quantity.clone(), "must be greater than or equal to 0"));
            }
            let limit = &own["limits"][name];
            if part == "requests" && !limit.is_null() && amount.nanos() > Quantity::lenient(Some(limit)).nanos() {
                let detail =
                    format!("must be less than or equal to {name} limit of {}", limit.as_str().unwrap_or_default());
                out.push(FieldError::invalid(format!("{path}.requests"), quantity.clone(), detail));
            }
        }
    }
}

fn probe(own: &Value, path: &str, once: bool, out: &mut Vec<FieldError>) {
    let handlers: Vec<_> =
        ["exec", "httpGet", "tcpSocket", "grpc"].into_iter().filter(|name| own[*name].is_object()).collect();
    if handlers.is_empty() {
        out.push(FieldError::required(path, "must specify a handler type"));
    }
    for more in handlers.iter().skip(1) {
        out.push(FieldError::forbidden(format!("{path}.{more}"), "may not specify more than 1 handler type"));
    }
    if handlers.first() == Some(&"exec") && list(&own["exec"], "command").is_empty() {
        out.push(FieldError::required(format!("{path}.exec.command"), ""));
    }
    for name in ["httpGet", "tcpSocket"] {
        if handlers.first() != Some(&name) {
            continue;
        }
        let place = format!("{path}.{name}.port");
        match &own[name]["port"] {
            Value::String(port) => {
                out.extend(
                    port_name_faults(port).into_iter().map(|why| FieldError::invalid(&place, port.as_str(), why)),
                );
            }
            port if !port.as_i64().is_some_and(|port| (1..=65535).contains(&port)) => {
                let shown = if port.is_null() { json!(0) } else { port.clone() };
                out.push(FieldError::invalid(place, shown, "must be between 1 and 65535, inclusive"));
            }
            _ => {}
        }
    }
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        if let Some(number) = own[field].as_i64().filter(|number| *number < 0) {
            out.push(FieldError::invalid(format!("{path}.{field}"), number, "must be greater than or equal to 0"));
        }
    }
    if once && own["successThreshold"].as_i64().is_some_and(|number| number != 1) {
        out.push(FieldError::invalid(format!("{path}.successThreshold"), own["successThreshold"].clone(), "must be 1"));
    }
}

/// A number that is not negative, or a percentage.
pub fn positive_int_or_percent(value: &Value, path: &str) -> Vec<FieldError> {
    match value {
        Value::String(text) => {
            let fine = text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            if fine { Vec::new() } else { vec![FieldError::invalid(path, text.as_str(), detail)] }
        }
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            vec![FieldError::invalid(path, value.clone(), "must be greater than or equal to 0")]
        }
        _ => Vec::new(),
    }
}

/// Faults of a change of a pod: next to nothing of its spec may change.
pub fn validate_update(value: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let names = |pod: &Value, field: &str| list(&pod["spec"], field).len();
    for field in ["containers", "initContainers"] {
        if names(value, field) != names(old, field) {
            out.push(FieldError::forbidden(format!("spec.{field}"), "pod updates may not add or remove containers"));
            return out;
        }
    }
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        for field in ["containers", "initContainers"] {
            for own in spec[field].as_array_mut().into_iter().flatten() {
                own["image"] = Value::Null;
                own["resources"] = Value::Null;
            }
        }
        for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"] {
            spec[field] = Value::Null;
        }
        // A binding names the node, once.
        if text(old, &["spec", "nodeName"]).is_empty() {
            spec["nodeName"] = Value::Null;
        }
        spec
    };
    if fixed(value) != fixed(old) {
        out.push(FieldError::forbidden("spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"));
    }
    for (index, own) in list(&value["spec"], "containers").iter().enumerate() {
        if text(own, &["image"]).is_empty() {
            out.push(FieldError::required(format!("spec.containers[{index}].image"), ""));
        }
    }
    out
}
