//! What belongs to a container: command, ports, variables, volumes, resources, probes.

use std::collections::BTreeSet;

use super::{
    Check, MAX_ARGS, MAX_ENV, MAX_PORTS, MAX_VOLUMES, Measure, check_amount,
    syntax::{is_config_key, is_env_name, is_port_name},
};
use crate::{
    app::{Amounts, Component, EnvFrom, EnvVar, KeyRef, Probe, Resources, Volume},
    error::FieldError,
};

/// `command` and `args` of a container.
pub(super) fn command(check: &mut Check, at: &str, command: &[String], args: &[String]) {
    program(check, &format!("{at}.command"), command);
    let at = format!("{at}.args");
    if check.at_most(&at, args.len(), MAX_ARGS) {
        for (i, arg) in args.iter().enumerate() {
            check.no_nul(format!("{at}[{i}]"), arg);
        }
    }
}

/// A command line of which no item may be empty.
fn program(check: &mut Check, at: &str, command: &[String]) {
    if !check.at_most(at, command.len(), MAX_ARGS) {
        return;
    }
    for (i, item) in command.iter().enumerate() {
        if item.is_empty() {
            check.push(FieldError::new(format!("{at}[{i}]"), "empty_item", "must not be empty"));
        }
        check.no_nul(format!("{at}[{i}]"), item);
    }
}

pub(super) fn ports(check: &mut Check, at: &str, c: &Component) {
    if !check.at_most(&format!("{at}.ports"), c.ports.len(), MAX_PORTS) {
        return;
    }
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (i, port) in c.ports.iter().enumerate() {
        let at = format!("{at}.ports[{i}]");
        check.range(format!("{at}.port"), Some(port.port.into()), 1, 65_535);
        if !numbers.insert((port.port, port.protocol.unwrap_or_default() as u8)) {
            check.duplicate(format!("{at}.port"), &port.port.to_string());
        }
        let name = c.port_name(i);
        if !is_port_name(&name) {
            let message =
                "1 to 15 of a–z, 0–9 and -, with at least one letter; no - at either end, and no two in a row";
            check.push(FieldError::new(format!("{at}.name"), "port_name", message).param("value", &name));
        }
        if !names.insert(name.clone()) {
            check.duplicate(format!("{at}.name"), &name);
        }
    }
}

fn env_name(check: &mut Check, field: String, name: &str) {
    if !is_env_name(name) {
        let message = "a variable's name has letters, digits, _ - . and does not begin with a digit";
        check.push(FieldError::new(field, "env_name", message).param("value", name));
    }
}

pub(super) fn env(check: &mut Check, at: &str, env: &[EnvVar]) {
    if !check.at_most(at, env.len(), MAX_ENV) {
        return;
    }
    let mut names = BTreeSet::new();
    for (i, var) in env.iter().enumerate() {
        let at = format!("{at}[{i}]");
        env_name(check, format!("{at}.name"), &var.name);
        if !names.insert(var.name.as_str()) {
            check.duplicate(format!("{at}.name"), &var.name);
        }
        if let Some(value) = &var.value {
            check.no_nul(format!("{at}.value"), value);
        }
        for (source, key) in [("configMap", &var.config_map), ("secret", &var.secret)] {
            if let Some(key) = key {
                key_ref(check, &format!("{at}.{source}"), key);
            }
        }
        let set = [var.value.is_some(), var.config_map.is_some(), var.secret.is_some()];
        if set.iter().filter(|s| **s).count() > 1 {
            check.one_of(at, 2, "value, configMap, secret");
        }
    }
}

fn key_ref(check: &mut Check, at: &str, key: &KeyRef) {
    check.object_name(format!("{at}.name"), &key.name);
    if !is_config_key(&key.key) {
        let message = "1 to 253 letters, digits, - _ and .";
        check.push(FieldError::new(format!("{at}.key"), "config_key", message).param("value", &key.key));
    }
}

pub(super) fn env_from(check: &mut Check, at: &str, all: &[EnvFrom]) {
    let at = format!("{at}.envFrom");
    if !check.at_most(&at, all.len(), MAX_VOLUMES) {
        return;
    }
    for (i, from) in all.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let set = usize::from(from.config_map.is_some()) + usize::from(from.secret.is_some());
        check.one_of(at.clone(), set, "configMap, secret");
        for (source, name) in [("configMap", &from.config_map), ("secret", &from.secret)] {
            if let Some(name) = name {
                check.object_name(format!("{at}.{source}"), name);
            }
        }
        if let Some(prefix) = from.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            env_name(check, format!("{at}.prefix"), prefix);
        }
    }
}

pub(super) fn volumes(check: &mut Check, at: &str, volumes: &[Volume]) {
    if !check.at_most(&format!("{at}.volumes"), volumes.len(), MAX_VOLUMES) {
        return;
    }
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (i, volume) in volumes.iter().enumerate() {
        let at = format!("{at}.volumes[{i}]");
        check.name(format!("{at}.name"), &volume.name, 63);
        if !names.insert(volume.name.as_str()) {
            check.duplicate(format!("{at}.name"), &volume.name);
        }
        let path = volume.mount_path.as_str();
        if !path.starts_with('/') || path.contains([':', '\0']) || climbs(path) {
            let message = "write an absolute path without : and .., such as /data";
            check.push(FieldError::new(format!("{at}.mountPath"), "mount_path", message).param("value", path));
        } else if path.trim_end_matches('/').is_empty() {
            let message = "a volume cannot take the place of the whole image: write a folder, such as /data";
            check.push(FieldError::new(format!("{at}.mountPath"), "mount_path_root", message).param("value", path));
        }
        if !paths.insert(path.trim_end_matches('/')) {
            check.duplicate(format!("{at}.mountPath"), path);
        }
        if let Some(sub) = &volume.sub_path
            && (sub.starts_with('/') || sub.contains('\0') || climbs(sub))
        {
            let message = "write a path within the volume: not beginning with / and without ..";
            check.push(FieldError::new(format!("{at}.subPath"), "sub_path", message).param("value", sub));
        }
        let set =
            [volume.claim.is_some(), volume.config_map.is_some(), volume.secret.is_some(), volume.empty_dir.is_some()];
        check.one_of(at.clone(), set.iter().filter(|s| **s).count(), "claim, configMap, secret, emptyDir");
        for (source, name) in [("claim", &volume.claim), ("configMap", &volume.config_map), ("secret", &volume.secret)]
        {
            if let Some(name) = name {
                check.object_name(format!("{at}.{source}"), name);
            }
        }
        if let Some(size) = volume.empty_dir.as_ref().and_then(|e| e.size_limit.as_deref())
            && let Err(error) = check_amount(&format!("{at}.emptyDir.sizeLimit"), size, Measure::Bytes)
        {
            check.push(error);
        }
    }
}

/// Whether a path leads upwards.
fn climbs(path: &str) -> bool {
    path.split('/').any(|step| step == "..")
}

pub(super) fn resources(check: &mut Check, at: &str, resources: &Resources) {
    let amount = |part: &Option<Amounts>, measure: Measure| {
        part.as_ref().and_then(|a| if measure == Measure::Cpu { a.cpu.clone() } else { a.memory.clone() })
    };
    for (resource, measure) in [("cpu", Measure::Cpu), ("memory", Measure::Bytes)] {
        let mut parsed = [None, None];
        for (slot, (part, value)) in parsed
            .iter_mut()
            .zip([("requests", amount(&resources.requests, measure)), ("limits", amount(&resources.limits, measure))])
        {
            let Some(value) = value else { continue };
            match check_amount(&format!("{at}.{part}.{resource}"), &value, measure) {
                Ok(quantity) => *slot = Some((quantity, value)),
                Err(error) => check.push(error),
            }
        }
        if let [Some((request, request_text)), Some((limit, limit_text))] = &parsed
            && request > limit
        {
            let message = format!("{request_text} is more than the limit of {limit_text}");
            check.push(
                FieldError::new(format!("{at}.requests.{resource}"), "request_over_limit", message)
                    .param("limit", limit_text)
                    .suggest(limit_text.clone()),
            );
        }
    }
}

pub(super) fn probe(check: &mut Check, at: &str, probe: &Probe, kind: &str) {
    let set = [probe.http.is_some(), probe.tcp.is_some(), !probe.exec.is_empty(), probe.grpc.is_some()];
    check.one_of(at.to_owned(), set.iter().filter(|s| **s).count(), "http, tcp, exec, grpc");
    program(check, &format!("{at}.exec"), &probe.exec);
    if let Some(http) = &probe.http {
        check.range(format!("{at}.http.port"), Some(http.port.into()), 1, 65_535);
        let wrong = |p: &&str| !p.starts_with('/') || p.contains(|c: char| c.is_control() || c == ' ');
        if let Some(path) = http.path.as_deref().filter(wrong) {
            let message = "write an absolute path without spaces, such as /healthz";
            check.push(FieldError::new(format!("{at}.http.path"), "absolute_path", message).param("value", path));
        }
    }
    check.range(format!("{at}.tcp"), probe.tcp.map(i64::from), 1, 65_535);
    check.range(format!("{at}.grpc"), probe.grpc.map(i64::from), 1, 65_535);
    check.range(format!("{at}.initialDelaySeconds"), probe.initial_delay_seconds.map(i64::from), 0, 3600);
    check.range(format!("{at}.periodSeconds"), probe.period_seconds.map(i64::from), 1, 3600);
    check.range(format!("{at}.timeoutSeconds"), probe.timeout_seconds.map(i64::from), 1, 3600);
    check.range(format!("{at}.failureThreshold"), probe.failure_threshold.map(i64::from), 1, 1000);
    // Kubernetes demands 1 of liveness and startup probes.
    let most = if kind == "readiness" { 1000 } else { 1 };
    check.range(format!("{at}.successThreshold"), probe.success_threshold.map(i64::from), 1, most);
}
