//! What a component tells the cluster besides its container: labels, annotations, nodes, rollout, the way in.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::{
    Check, MAX_REPLICAS,
    syntax::{is_host, is_label_value, is_qualified_name, is_url_path},
};
use crate::{
    app::{Component, Expose, ExposeKind, Rollout, Strategy},
    error::FieldError,
};

/// Most bytes of an object's annotations, keys and values together (Kubernetes' own limit).
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// Most labels, annotations or node labels of one map.
const MAX_ENTRIES: usize = 100;
/// Seconds without progress after which a rollout counts as failed, when nothing is said.
const PROGRESS_DEADLINE: i64 = 600;
/// Labels of pods that the controller or the Deployment sets, besides `berth.dev/…`.
const OWN_LABELS: [&str; 5] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
    "pod-template-hash",
];

fn own(check: &mut Check, at: &str, key: &str) {
    check.push(
        FieldError::new(at, "own_key", format!("“{key}” is set by Berth itself; leave it out")).param("key", key),
    );
}

fn key(check: &mut Check, at: &str, key: &str, valid: bool) {
    if !valid {
        let message = format!(
            "the key “{key}” is not allowed: up to 63 letters, digits, - _ and ., beginning and ending with a letter or digit; a domain and / may stand before it"
        );
        check.push(FieldError::new(at, "label_key", message).param("key", key));
    }
}

fn labels(check: &mut Check, at: &str, labels: &BTreeMap<String, String>) {
    if !check.at_most(at, labels.len(), MAX_ENTRIES) {
        return;
    }
    for (name, value) in labels {
        key(check, at, name, is_qualified_name(name));
        if !is_label_value(value) {
            let message = format!(
                "the value of “{name}” is not allowed: up to 63 letters, digits, - _ and ., beginning and ending with a letter or digit"
            );
            check.push(FieldError::new(at, "label_value", message).param("key", name));
        }
    }
}

/// Labels of pods.
pub(super) fn pod_labels(check: &mut Check, at: &str, all: &BTreeMap<String, String>) {
    labels(check, at, all);
    for name in all.keys().filter(|name| name.starts_with("berth.dev/") || OWN_LABELS.contains(&name.as_str())) {
        own(check, at, name);
    }
}

/// Labels of nodes.
pub(super) fn node_selector(check: &mut Check, at: &str, all: &BTreeMap<String, String>) {
    labels(check, at, all);
}

/// Annotations of whatever object.
pub(super) fn annotations(check: &mut Check, at: &str, all: &BTreeMap<String, String>) {
    if !check.at_most(at, all.len(), MAX_ENTRIES) {
        return;
    }
    for (name, value) in all {
        key(check, at, name, is_qualified_name(&name.to_ascii_lowercase()));
        check.no_nul(at.to_owned(), value);
        if name.starts_with("berth.dev/") {
            own(check, at, name);
        }
    }
    let size: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS {
        let message = format!("{size} bytes in all; at most {MAX_ANNOTATIONS} are allowed");
        check.push(FieldError::new(at, "annotations_size", message).param("max", MAX_ANNOTATIONS));
    }
}

/// How a new revision replaces the old.
pub(super) fn rollout(check: &mut Check, at: &str, rollout: &Rollout) {
    check.range(format!("{at}.minReadySeconds"), rollout.min_ready_seconds.map(i64::from), 0, 3600);
    let deadline = rollout.progress_deadline_seconds.map(i64::from);
    check.range(format!("{at}.progressDeadlineSeconds"), deadline, 1, 86_400);
    let (ready, deadline) = (rollout.min_ready_seconds.map(i64::from), deadline.unwrap_or(PROGRESS_DEADLINE));
    if let Some(ready) = ready.filter(|ready| *ready >= deadline) {
        let message = format!("{ready} is not less than progressDeadlineSeconds, which is {deadline}");
        check.push(
            FieldError::new(format!("{at}.minReadySeconds"), "under_deadline", message).param("deadline", deadline),
        );
    }
    let mut zero = 0;
    for (field, value) in [("maxSurge", &rollout.max_surge), ("maxUnavailable", &rollout.max_unavailable)] {
        let Some(value) = value else { continue };
        if rollout.strategy == Some(Strategy::Recreate) {
            let message = "means nothing with the strategy Recreate, which stops all old pods first; leave it out";
            check.push(FieldError::new(format!("{at}.{field}"), "not_with_recreate", message));
            continue;
        }
        let number = value.strip_suffix('%').unwrap_or(value);
        let most = if value.ends_with('%') { 100 } else { MAX_REPLICAS };
        let plain = number.bytes().all(|b| b.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        match number.parse::<i32>() {
            Ok(n) if plain && (0..=most).contains(&n) => zero += i32::from(n == 0),
            _ => check.push(
                FieldError::new(
                    format!("{at}.{field}"),
                    "number_or_percent",
                    "write a number or a percentage, such as 1 or 25%",
                )
                .param("value", value),
            ),
        }
    }
    if zero == 2 {
        let message = "one of maxSurge and maxUnavailable must be more than 0, or nothing could ever be replaced";
        check.push(FieldError::new(format!("{at}.maxSurge"), "rollout_stuck", message));
    }
}

/// Who can reach it.
pub(super) fn expose(check: &mut Check, at: &str, expose: &Expose, c: &Component) {
    names(check, at, expose);
    if expose.kind == ExposeKind::None {
        return;
    }
    match expose.port {
        None if c.ports.is_empty() => check.push(FieldError::new(
            format!("{at}.port"),
            "expose_port",
            "there is no port to reach: add one to ports",
        )),
        Some(port) if !c.ports.iter().any(|p| p.port == port) => {
            let known: Vec<String> = c.ports.iter().map(|p| p.port.to_string()).collect();
            let message = format!("{port} is none of the component's ports ({})", known.join(", "));
            let mut error = FieldError::new(format!("{at}.port"), "expose_port_unknown", message).param("value", port);
            error.suggestions = known;
            check.push(error);
        }
        _ => {}
    }
    check.range(format!("{at}.servicePort"), expose.service_port.map(i64::from), 1, 65_535);
    if expose.kind == ExposeKind::Ingress && expose.host.as_deref().is_none_or(str::is_empty) {
        check.push(FieldError::new(format!("{at}.host"), "required", "an Ingress needs a host name"));
    }
}

/// What is written, whether it is used now or kept for later.
fn names(check: &mut Check, at: &str, expose: &Expose) {
    if let Some(host) = expose.host.as_deref().filter(|host| !host.is_empty()) {
        if host.parse::<Ipv4Addr>().is_ok() {
            let message = "an Ingress needs a host name, not an address, such as shop.example.com";
            check.push(FieldError::new(format!("{at}.host"), "host_address", message).param("value", host));
        } else if !is_host(host) {
            let message = "write a host name in lower case, such as shop.example.com, without scheme or path";
            check.push(FieldError::new(format!("{at}.host"), "host_name", message).param("value", host));
        }
    }
    if let Some(path) = expose.path.as_deref().filter(|path| !is_url_path(path)) {
        let message =
            "write an absolute path of letters, digits and -._~%!*+,=:@&() without //, . and .., such as /shop";
        check.push(FieldError::new(format!("{at}.path"), "url_path", message).param("value", path));
    }
    for (field, name) in [("tlsSecret", &expose.tls_secret), ("ingressClass", &expose.ingress_class)] {
        if let Some(name) = name {
            check.object_name(format!("{at}.{field}"), name);
        }
    }
    let at = format!("{at}.annotations");
    annotations(check, &at, &expose.annotations);
    for name in expose.annotations.keys() {
        let lower = name.to_ascii_lowercase();
        if lower.ends_with("-snippet") || lower.ends_with("-snippets") {
            let message = format!(
                "“{name}” is refused: a snippet becomes a part of the ingress controller's own configuration, with which one tenant could read the secrets and the traffic of all others"
            );
            check.push(FieldError::new(&at, "snippet", message).param("key", name));
        }
    }
}
