//! Cluster IPs and node ports.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::{
    cluster::{Addresses, Cluster, text},
    status::{FieldError, Result, Status},
};

/// `--service-cluster-ip-range`: 10.96.0.0/16. The first address is the API's own.
const FIRST: u32 = u32::from_be_bytes([10, 96, 0, 2]);
const LAST: u32 = u32::from_be_bytes([10, 96, 255, 254]);
/// `--service-node-port-range`.
const PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

fn invalid(value: &Value, errors: &[FieldError]) -> Status {
    Status::invalid("", "Service", text(value, &["metadata", "name"]), errors)
}

/// Gives a service its addresses and ports. `current` is the service as it is, on update.
///
/// # Errors
/// 422 when an address or port is taken or out of range.
pub fn allocate(cluster: &Cluster, value: &mut Value, current: Option<&Value>) -> Result<()> {
    let kind = text(value, &["spec", "type"]).to_owned();
    if !value["spec"].is_object() {
        return Ok(());
    }
    if kind == "ExternalName" {
        if let Some(spec) = value["spec"].as_object_mut() {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
                spec.shift_remove(field);
            }
        }
        return Ok(());
    }
    if let Some(current) = current {
        keep_addresses(value, current);
    }
    let own = format!("{}/{}", text(value, &["metadata", "namespace"]), text(value, &["metadata", "name"]));
    let addresses = cluster.addresses();
    address(value, &addresses, &own, current)?;
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        node_ports(value, &addresses, &own, &kind, cluster.caller.dry_run)?;
    } else if current.is_some_and(|current| matches!(text(current, &["spec", "type"]), "NodePort" | "LoadBalancer")) {
        for port in value["spec"]["ports"].as_array_mut().into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.shift_remove("nodePort");
            }
        }
    }
    Ok(())
}

/// What an update leaves out stays (`patchAllocatedValues`).
fn keep_addresses(value: &mut Value, current: &Value) {
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if value["spec"][field].is_null() && !current["spec"][field].is_null() {
            value["spec"][field] = current["spec"][field].clone();
        }
    }
    let known = current["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in value["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let same = known.iter().find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"]);
        if let Some(node_port) = same.and_then(|old| old["nodePort"].as_i64()) {
            port["nodePort"] = json!(node_port);
        }
    }
}

fn address(value: &mut Value, addresses: &Addresses, own: &str, current: Option<&Value>) -> Result<()> {
    let asked = match text(value, &["spec", "clusterIP"]) {
        "" => value["spec"]["clusterIPs"][0].as_str().unwrap_or_default().to_owned(),
        asked => asked.to_owned(),
    };
    let taken = |ip: &str| addresses.has_ip(ip, own);
    let chosen = if asked == "None" {
        asked
    } else if asked.is_empty() {
        // The same service gets the same address each time the world begins anew.
        let seed: u32 = text(value, &["metadata", "uid"])
            .bytes()
            .fold(17, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let span = LAST - FIRST + 1;
        let free = (0..span)
            .map(|step| Ipv4Addr::from(FIRST + (seed.wrapping_add(step)) % span).to_string())
            .find(|ip| !taken(ip));
        free.ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?
    } else {
        let kept = current.is_some_and(|current| text(current, &["spec", "clusterIP"]) == asked);
        let range = asked.parse::<Ipv4Addr>().map(u32::from).ok();
        let field = "spec.clusterIPs";
        match range {
            None => {
                return Err(invalid(
                    value,
                    &[FieldError::invalid(
                        "spec.clusterIPs[0]",
                        asked,
                        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                    )],
                ));
            }
            Some(ip) if !kept && !(FIRST - 1..=LAST).contains(&ip) => {
                let detail = "failed to allocate IP ".to_owned()
                    + &asked
                    + ": the provided IP ("
                    + &asked
                    + ") is not in the valid range. The range of valid IPs is 10.96.0.0/16";
                return Err(invalid(value, &[FieldError::invalid(field, json!([asked]), detail)]));
            }
            Some(_) if !kept && taken(&asked) => {
                let detail = format!("failed to allocate IP {asked}: provided IP is already allocated");
                return Err(invalid(value, &[FieldError::invalid(field, json!([asked]), detail)]));
            }
            Some(_) => asked,
        }
    };
    let spec = &mut value["spec"];
    spec["clusterIP"] = json!(chosen);
    spec["clusterIPs"] = json!([chosen]);
    if spec["ipFamilies"].is_null() {
        spec["ipFamilies"] = json!(["IPv4"]);
    }
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = json!("SingleStack");
    }
    Ok(())
}

fn node_ports(value: &mut Value, addresses: &Addresses, own: &str, kind: &str, dry_run: bool) -> Result<()> {
    if kind == "LoadBalancer" && value["spec"]["allocateLoadBalancerNodePorts"] == false {
        return Ok(());
    }
    // Those of this very service.
    let mut taken: Vec<(i64, String)> = Vec::new();
    let mut errors = Vec::new();
    let ports = value["spec"]["ports"].as_array_mut();
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let protocol = text(port, &["protocol"]).to_owned();
        let asked = port["nodePort"].as_i64().unwrap_or(0);
        let used = |number: i64| {
            addresses.has_port(number, Some(&protocol), own)
                || taken.iter().any(|(mine, with)| *mine == number && *with == protocol)
        };
        let field = format!("spec.ports[{index}].nodePort");
        if asked == 0 {
            let free =
                |number: &i64| !addresses.has_port(*number, None, own) && !taken.iter().any(|(mine, _)| mine == number);
            match PORTS.clone().find(free) {
                Some(free) => {
                    port["nodePort"] = json!(free);
                    taken.push((free, protocol));
                }
                None => errors.push(FieldError::invalid(field, 0, "failed to allocate a nodePort: range is full")),
            }
        } else if dry_run {
            // A rehearsal allocates nothing, so nothing is out of range.
            taken.push((asked, protocol));
        } else if !PORTS.contains(&asked) {
            errors.push(FieldError::invalid(
                field,
                asked,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            ));
        } else if used(asked) {
            errors.push(FieldError::invalid(field, asked, "provided port is already allocated"));
        } else {
            taken.push((asked, protocol));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(invalid(value, &errors)) }
}
