//! Network policies and ingress backends (`pkg/apis/networking/validation`).

use std::net::IpAddr;

use serde_json::Value;

use super::items;
use crate::{cluster::text, status::FieldError, strategy::workload::label_selector};

/// What is wrong with a CIDR.
pub const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address and the length of its prefix.
#[must_use]
pub fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = text.split_once('/')?;
    let (ip, length) = (ip.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    (length <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, length))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn is_strictly_inside(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    let mask = |length: u8| if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
    inner.0.is_ipv4() == outer.0.is_ipv4()
        && inner.1 > outer.1
        && bits(inner.0) & mask(outer.1) == bits(outer.0) & mask(outer.1)
}

/// Faults of a network policy's spec.
pub fn policy(spec: &Value) -> Vec<FieldError> {
    let mut out = label_selector(&spec["podSelector"], "spec.podSelector");
    for (direction, side) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, direction).iter().enumerate() {
            let path = format!("spec.{direction}[{index}]");
            for (at, port) in items(rule, "ports").iter().enumerate() {
                self::port(port, &format!("{path}.ports[{at}]"), &mut out);
            }
            for (at, own) in items(rule, side).iter().enumerate() {
                peer(own, &format!("{path}.{side}[{at}]"), &mut out);
            }
        }
    }
    let types = items(spec, "policyTypes");
    if types.len() > 2 {
        let why = "may not specify more than two policyTypes";
        out.push(FieldError::invalid("spec.policyTypes", spec["policyTypes"].clone(), why));
    }
    for (index, own) in types.iter().enumerate() {
        if !matches!(own.as_str(), Some("Ingress" | "Egress")) {
            let path = format!("spec.policyTypes[{index}]");
            out.push(FieldError::not_supported(path, own.clone(), &["Ingress", "Egress"]));
        }
    }
    out
}

fn port(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    let protocol = text(own, &["protocol"]);
    if !matches!(protocol, "" | "TCP" | "UDP" | "SCTP") {
        out.push(FieldError::not_supported(format!("{path}.protocol"), protocol, &["TCP", "UDP", "SCTP"]));
    }
    let end = own["endPort"].as_i64();
    match &own["port"] {
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or(0);
            let range = "must be between 1 and 65535, inclusive";
            if !(1..=65535).contains(&number) {
                out.push(FieldError::invalid(format!("{path}.port"), number, range));
            }
            match end {
                Some(end) if end < number => {
                    let why = "must be greater than or equal to `port`";
                    out.push(FieldError::invalid(format!("{path}.endPort"), number, why));
                }
                Some(end) if !(1..=65535).contains(&end) => {
                    out.push(FieldError::invalid(format!("{path}.endPort"), end, range));
                }
                _ => {}
            }
        }
        Value::String(_) if end.is_some() => {
            out.push(FieldError::invalid(
                format!("{path}.endPort"),
                end,
                "may not be specified when `port` is non-numeric",
            ));
        }
        Value::Null if end.is_some() => {
            out.push(FieldError::invalid(
                format!("{path}.endPort"),
                end,
                "may not be specified when `port` is not specified",
            ));
        }
        _ => {}
    }
}

fn peer(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    let mut kinds = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if own[field].is_object() {
            kinds += 1;
            out.extend(label_selector(&own[field], &format!("{path}.{field}")));
        }
    }
    let block = &own["ipBlock"];
    if block.is_object() {
        kinds += 1;
        let place = format!("{path}.ipBlock");
        let outer = cidr(text(block, &["cidr"]));
        if text(block, &["cidr"]).is_empty() {
            out.push(FieldError::required(format!("{place}.cidr"), ""));
        } else if outer.is_none() {
            out.push(FieldError::invalid(format!("{place}.cidr"), text(block, &["cidr"]), CIDR));
        }
        for (index, except) in items(block, "except").iter().enumerate() {
            let field = format!("{place}.except[{index}]");
            match (cidr(except.as_str().unwrap_or_default()), outer) {
                (None, _) => out.push(FieldError::invalid(field, except.clone(), CIDR)),
                (Some(inner), Some(outer)) if !is_strictly_inside(inner, outer) => {
                    out.push(FieldError::invalid(field, except.clone(), "must be a strict subset of `cidr`"));
                }
                _ => {}
            }
        }
        if kinds > 1 {
            let why = "may not specify both ipBlock and another peer";
            out.push(FieldError::forbidden(path, why));
        }
    }
    if kinds == 0 {
        out.push(FieldError::required(path, "must specify a peer"));
    }
}

/// Faults of an ingress backend.
pub fn backend(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    let (service, resource) = (&own["service"], &own["resource"]);
    match (service.is_object(), resource.is_object()) {
        (false, false) => {
            out.push(FieldError::invalid(path, "", "resource or service backend is required"));
        }
        (true, true) => {
            out.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (true, false) => {
            let name = text(service, &["name"]);
            if name.is_empty() {
                out.push(FieldError::required(format!("{path}.service.name"), ""));
            } else {
                let faults = crate::strategy::meta::label_1035_faults(name);
                out.extend(
                    faults.into_iter().map(|why| FieldError::invalid(format!("{path}.service.name"), name, why)),
                );
            }
            let (port, number) = (text(service, &["port", "name"]), service["port"]["number"].as_i64().unwrap_or(0));
            match (port.is_empty(), number) {
                (true, 0) => out.push(FieldError::required(path, "port name or number is required")),
                (false, 1..) => out.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
                (true, number) if !(1..=65535).contains(&number) => {
                    let why = "must be between 1 and 65535, inclusive";
                    out.push(FieldError::invalid(format!("{path}.service.port.number"), number, why));
                }
                _ => {}
            }
        }
        (false, true) => {}
    }
}
