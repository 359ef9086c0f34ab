//! Validation of services and ingresses (`pkg/apis/{core,networking}/validation`).

use serde_json::{Value, json};

use super::{
    meta::{label_faults, labels, subdomain_faults},
    rules,
};
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
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && !matches!(kind, "NodePort" | "LoadBalancer") {
            let why = format!("may not be used when `type` is '{kind}'");
            out.push(FieldError::forbidden(format!("{path}.nodePort"), why));
        }
        if let Some(target) = port["targetPort"].as_str() {
            let faults = super::pod::port_name_faults(target).into_iter();
            out.extend(faults.map(|why| FieldError::invalid(format!("{path}.targetPort"), target, why)));
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
                // Go shows its internal struct, of which these two tell ports apart.
                json!({
                    "Name": "", "Protocol": port["protocol"], "AppProtocol": null, "Port": port["port"],
                    "TargetPort": 0, "NodePort": 0,
                }),
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
    let timeout = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_i64();
    if let Some(timeout) = timeout.filter(|own| spec["sessionAffinity"] == "ClientIP" && !(1..=86400).contains(own)) {
        let why = "must be greater than 0 and less than 86400";
        out.push(FieldError::invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", timeout, why));
    }
    for (index, ip) in spec["externalIPs"].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
        let path = format!("spec.externalIPs[{index}]");
        match ip.parse::<std::net::IpAddr>() {
            Err(_) => {
                let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                out.push(FieldError::invalid(path, ip, why));
            }
            Ok(parsed) if parsed.is_loopback() => {
                let why = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
                out.push(FieldError::invalid(path, ip, why));
            }
            Ok(_) => {}
        }
    }
    for (index, own) in spec["loadBalancerSourceRanges"].as_array().into_iter().flatten().enumerate() {
        let own = own.as_str().unwrap_or_default().trim();
        if rules::cidr(own).is_none() {
            let path = format!("spec.LoadBalancerSourceRanges[{index}]");
            out.push(FieldError::invalid(path, own, rules::CIDR));
        }
    }
    let outside = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && spec["externalIPs"].as_array().is_some_and(|list| !list.is_empty()));
    if let Some(policy) = spec["externalTrafficPolicy"].as_str().filter(|own| !own.is_empty() && !outside) {
        let why = "may only be set for externally-accessible services";
        out.push(FieldError::invalid("spec.externalTrafficPolicy", policy, why));
    } else {
        out.extend(rules::one_of(spec, "externalTrafficPolicy", "spec.", &["Cluster", "Local"]));
    }
    out.extend(rules::one_of(spec, "internalTrafficPolicy", "spec.", &["Cluster", "Local"]));
    if spec["ipFamilyPolicy"] == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        out.push(FieldError::invalid("spec.ipFamilyPolicy", "RequireDualStack", why));
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
        out.push(FieldError::invalid("spec", Value::Null, "either `defaultBackend` or `rules` must be specified"));
    }
    for (index, rule) in rules.iter().enumerate() {
        let host = text(rule, &["host"]);
        if !host.is_empty() {
            let path = format!("spec.rules[{index}].host");
            if host.parse::<std::net::IpAddr>().is_ok() {
                out.push(FieldError::invalid(&path, host, "must be a DNS name, not an IP address"));
            } else {
                out.extend(host_faults(host).into_iter().map(|why| FieldError::invalid(&path, host, why)));
            }
        }
        if rule["http"].is_object() && rule["http"]["paths"].as_array().is_none_or(Vec::is_empty) {
            out.push(FieldError::required(format!("spec.rules[{index}].http.paths"), ""));
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
            } else if kind != "ImplementationSpecific" {
                for part in ["//", "/./", "/../", "%2f", "%2F"] {
                    if own.contains(part) {
                        let why = format!("must not contain '{part}'");
                        out.push(FieldError::invalid(format!("{path}.path"), own, why));
                    }
                }
            }
            rules::backend(&entry["backend"], &format!("{path}.backend"), &mut out);
        }
    }
    if spec["defaultBackend"].is_object() {
        rules::backend(&spec["defaultBackend"], "spec.defaultBackend", &mut out);
    }
    for (index, own) in spec["tls"].as_array().into_iter().flatten().enumerate() {
        for (at, host) in own["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate() {
            let path = format!("spec.tls[{index}].hosts[{at}]");
            out.extend(host_faults(host).into_iter().map(|why| FieldError::invalid(&path, host, why)));
        }
    }
    let class = text(spec, &["ingressClassName"]);
    if !class.is_empty() {
        let path = "spec.ingressClassName";
        out.extend(subdomain_faults(class).into_iter().map(|why| FieldError::invalid(path, class, why)));
    }
    out
}

/// What is wrong with a host, which may begin with a wildcard.
fn host_faults(host: &str) -> Vec<String> {
    const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    if !host.contains('*') {
        return subdomain_faults(host);
    }
    let good = host.strip_prefix("*.").is_some_and(|rest| subdomain_faults(rest).is_empty());
    if good { Vec::new() } else { vec![WILDCARD.to_owned()] }
}
