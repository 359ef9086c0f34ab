//! Validation of services and ingresses (`pkg/apis/{core,networking}/validation`).

use serde_json::{Value, json};

use super::meta::{label_faults, labels, subdomain_faults};
use crate::{cluster::text, status::FieldError};

/// Faults of a service's spec.
pub fn service(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let kind = text(spec, &["type"]);
    let ports: Vec<_> = spec["ports"].as_array().cloned().unwrap_or_default();
    let headless = text(spec, &["clusterIP"]) == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        out.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" {
        let name = text(spec, &["externalName"]).trim_end_matches('.');
        if name.is_empty() {
            out.push(FieldError::required("spec.externalName", ""));
        } else {
            out.extend(
                subdomain_faults(name).into_iter().map(|why| FieldError::invalid("spec.externalName", name, why)),
            );
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, &["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                out.push(FieldError::required(format!("{path}.name"), ""));
            }
        } else {
            out.extend(
                label_faults(name).into_iter().map(|why| FieldError::invalid(format!("{path}.name"), name, why)),
            );
            if names.contains(&name) {
                out.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            names.push(name);
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if !(1..=65535).contains(&number) {
            out.push(FieldError::invalid(format!("{path}.port"), number, "must be between 1 and 65535, inclusive"));
        }
        let protocol = text(port, &["protocol"]);
        if !matches!(protocol, "TCP" | "UDP" | "SCTP") {
            out.push(FieldError::not_supported(format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
        if let Some(target) = port["targetPort"].as_i64()
            && !(1..=65535).contains(&target)
        {
            out.push(FieldError::invalid(
                format!("{path}.targetPort"),
                target,
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let same = |other: &Value| other["port"] == port["port"] && other["protocol"] == port["protocol"];
        if ports.iter().take(index).any(same) {
            out.push(FieldError::duplicate(
                format!("spec.ports[{index}]"),
                json!({"port": port["port"], "protocol": port["protocol"]}),
            ));
        }
    }
    out.extend(labels(&spec["selector"], "spec.selector"));
    if !matches!(text(spec, &["sessionAffinity"]), "ClientIP" | "None") {
        out.push(FieldError::not_supported(
            "spec.sessionAffinity",
            spec["sessionAffinity"].clone(),
            &["ClientIP", "None"],
        ));
    }
    if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
        out.push(FieldError::not_supported(
            "spec.type",
            kind,
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ));
    }
    out
}

/// Faults of an ingress's spec.
pub fn ingress(spec: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let rules = spec["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() && spec["defaultBackend"].is_null() {
        out.push(FieldError::invalid(
            "spec",
            Value::from(Vec::<Value>::new()),
            "either `defaultBackend` or `rules` must be specified",
        ));
    }
    for (index, rule) in rules.iter().enumerate() {
        let host = text(rule, &["host"]);
        if !host.is_empty() {
            let probe = host.strip_prefix("*.").unwrap_or(host);
            let path = format!("spec.rules[{index}].host");
            out.extend(subdomain_faults(probe).into_iter().map(|why| FieldError::invalid(&path, host, why)));
        }
        for (at, entry) in rule["http"]["paths"].as_array().into_iter().flatten().enumerate() {
            let path = format!("spec.rules[{index}].http.paths[{at}]");
            let kind = text(entry, &["pathType"]);
            let own = text(entry, &["path"]);
            if kind.is_empty() {
                out.push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
            } else if !matches!(kind, "Exact" | "Prefix" | "ImplementationSpecific") {
                let known = ["Exact", "ImplementationSpecific", "Prefix"];
                out.push(FieldError::not_supported(format!("{path}.pathType"), kind, &known));
            } else if kind != "ImplementationSpecific" && !own.starts_with('/') {
                out.push(FieldError::invalid(format!("{path}.path"), own, "must be an absolute path"));
            }
        }
    }
    out
}
