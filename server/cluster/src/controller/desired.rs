//! What an App wants: the objects themselves, as bodies for server-side apply. Pure.

use berth_core::audit::chain::hex;
use berth_types::{
    app::{AppSpec, Autoscale, Component, Expose, ExposeKind, Port, Strategy},
    names::component_object,
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::template;
use crate::{meta, rest::Kind};

/// ReplicaSets a Deployment keeps: Berth has revisions of its own, so few will do.
const REPLICA_SETS: i32 = 3;
/// Seconds without progress after which a rollout counts as failed, as Kubernetes has it.
pub(crate) const PROGRESS_DEADLINE: i32 = 600;

/// An object that the controller makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Its digest is in its annotations.
    pub(crate) body: Value,
    pub(crate) digest: String,
    /// Replicas that a Deployment wants; absent where an autoscaler sets them.
    pub(crate) replicas: Option<i32>,
}

/// The App, as far as its objects depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) spec: &'a AppSpec,
    /// When its pods were last asked to restart.
    pub(crate) restarted_at: Option<&'a str>,
    /// Number of the current revision.
    pub(crate) revision: i64,
}

/// What stands in the cluster of a component's Deployment: digest of its template, and the revision that it came from.
pub(crate) type Template<'a> = dyn Fn(&str) -> Option<(String, i64)> + 'a;

/// A short digest of JSON.
pub(crate) fn digest(value: &Value) -> String {
    hex(&Sha256::digest(value.to_string())[..8])
}

/// A digest of what makes a revision: all of the spec but how many pods there are and how many revisions are kept. Scaling
/// is no new revision, as it is none of a Deployment.
pub(crate) fn revision_digest(spec: &AppSpec) -> String {
    let mut spec = spec.clone();
    spec.suspended = false;
    spec.revision_history_limit = None;
    for component in &mut spec.components {
        component.replicas = None;
    }
    digest(&json!(spec))
}

/// Name of the ControllerRevision of a spec.
pub(crate) fn revision_name(app: &str, digest: &str) -> String {
    format!("{app}-{}", &digest[..digest.len().min(10)])
}

/// The objects that the app wants, without its revisions.
pub(crate) fn desired(wanted: &Wanted<'_>, template: &Template<'_>) -> Vec<Object> {
    wanted.spec.components.iter().flat_map(|component| of_component(wanted, component, template)).collect()
}

/// The labels that find a component's pods.
pub(crate) fn selector(app: &str, component: &str) -> Value {
    json!({ meta::APP: app, meta::COMPONENT: component })
}

fn labels(app: &str, component: Option<&str>) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert("app.kubernetes.io/name".into(), app.into());
    labels.insert("app.kubernetes.io/instance".into(), app.into());
    labels.insert(meta::MANAGED_BY.into(), meta::BERTH.into());
    labels.insert(meta::APP.into(), app.into());
    if let Some(component) = component {
        labels.insert("app.kubernetes.io/component".into(), component.into());
        labels.insert(meta::COMPONENT.into(), component.into());
    }
    labels
}

/// `apiVersion`, `kind` and `metadata` of an object that belongs to the app.
pub(crate) fn frame(wanted: &Wanted<'_>, kind: Kind, name: &str, component: Option<&str>) -> Value {
    json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": wanted.namespace,
            "labels": labels(wanted.name, component),
            "annotations": {},
            "ownerReferences": [{
                "apiVersion": Kind::APP.api_version, "kind": Kind::APP.kind, "name": wanted.name, "uid": wanted.uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
    })
}

/// Closes an object: notes the digest of it all.
pub(crate) fn seal(kind: Kind, name: &str, mut body: Value, replicas: Option<i32>) -> Object {
    let digest = digest(&body);
    body["metadata"]["annotations"][meta::APPLIED] = json!(digest);
    Object { kind, name: name.to_owned(), body, digest, replicas }
}

fn of_component(wanted: &Wanted<'_>, component: &Component, template: &Template<'_>) -> Vec<Object> {
    let name = component_object(wanted.name, &component.name);
    let mut objects = vec![deployment(wanted, component, &name, template)];
    let expose = component.expose.as_ref().filter(|e| e.kind != ExposeKind::None);
    if let Some(expose) = expose
        && let Some(service) = service(wanted, component, &name, expose)
    {
        objects.push(service);
        if expose.kind == ExposeKind::Ingress {
            objects.push(ingress(wanted, component, &name, expose));
        }
    }
    if wanted.spec.suspended {
        return objects;
    }
    if component.autoscale.as_ref().map_or(component.wanted(), |a| a.min) >= 2 {
        objects.push(budget(wanted, component, &name));
    }
    if let Some(autoscale) = &component.autoscale {
        objects.push(autoscaler(wanted, component, &name, autoscale));
    }
    objects
}

fn int_or_string(text: &str) -> Value {
    text.parse::<i32>().map_or_else(|_| json!(text), |n| json!(n))
}

fn deployment(wanted: &Wanted<'_>, component: &Component, name: &str, known: &Template<'_>) -> Object {
    let rollout = component.rollout.clone().unwrap_or_default();
    let strategy = match rollout.strategy.unwrap_or_default() {
        Strategy::Recreate => json!({ "type": "Recreate" }),
        Strategy::Rolling => {
            let surge = int_or_string(rollout.max_surge.as_deref().unwrap_or("25%"));
            // Nothing less than wanted, unless there is no other way to move.
            let none = matches!(rollout.max_surge.as_deref(), Some("0" | "0%"));
            let unavailable = rollout.max_unavailable.as_deref().unwrap_or(if none { "1" } else { "0" });
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": int_or_string(unavailable) } })
        }
    };
    let mut own = labels(wanted.name, Some(&component.name));
    if component.expose.as_ref().is_some_and(|e| e.kind == ExposeKind::LoadBalancer) {
        // The namespace's policies let the outside through to these.
        own.insert(meta::OUTSIDE.into(), "true".into());
    }
    let own = Value::Object(own);
    let mut template = template::template(component, &own, wanted.restarted_at);
    let template_digest = digest(&template);
    let revision = known(name).filter(|(known, _)| *known == template_digest).map_or(wanted.revision, |(_, r)| r);
    template["metadata"]["labels"][meta::REVISION] = json!(revision.to_string());

    let autoscaled = component.autoscale.is_some() && !wanted.spec.suspended;
    let replicas = match (wanted.spec.suspended, autoscaled) {
        (true, _) => Some(0),
        (_, true) => None,
        _ => Some(component.wanted()),
    };
    let mut body = frame(wanted, Kind::DEPLOYMENT, name, Some(&component.name));
    body["metadata"]["labels"][meta::REVISION] = json!(revision.to_string());
    body["metadata"]["annotations"] = json!({
        meta::TEMPLATE: template_digest,
        meta::SCALED_BY: if autoscaled { "autoscaler" } else { meta::BERTH },
    });
    body["spec"] = json!({
        "revisionHistoryLimit": REPLICA_SETS,
        "progressDeadlineSeconds": rollout.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE),
        "selector": { "matchLabels": selector(wanted.name, &component.name) },
        "strategy": strategy,
        "template": template,
    });
    if let Some(seconds) = rollout.min_ready_seconds {
        body["spec"]["minReadySeconds"] = json!(seconds);
    }
    if let Some(replicas) = replicas {
        body["spec"]["replicas"] = json!(replicas);
    }
    seal(Kind::DEPLOYMENT, name, body, replicas)
}

/// The port that `expose` means: its name, number and protocol.
fn exposed_port(component: &Component, expose: &Expose) -> Option<(usize, Port)> {
    match expose.port {
        Some(number) => component
            .ports
            .iter()
            .position(|p| p.port == number)
            .map(|i| (i, component.ports[i].clone()))
            .or(Some((0, Port { name: None, port: number, protocol: None }))),
        None => component.ports.first().map(|p| (0, p.clone())),
    }
}

/// The Service's port for the one that is exposed.
pub(crate) fn service_port(component: &Component, expose: &Expose) -> Option<i32> {
    let (_, port) = exposed_port(component, expose)?;
    Some(expose.service_port.unwrap_or(if expose.kind == ExposeKind::Ingress { 80 } else { port.port }))
}

fn service(wanted: &Wanted<'_>, component: &Component, name: &str, expose: &Expose) -> Option<Object> {
    let (index, port) = exposed_port(component, expose)?;
    let main = service_port(component, expose)?;
    let entry = |name: String, number: i32, port: &Port| json!({ "name": name, "port": number, "targetPort": port.port, "protocol": port.protocol.unwrap_or_default().as_str() });
    let mut ports = vec![entry(component.port_name(index), main, &port)];
    // An address of its own opens what was asked for and no more.
    if expose.kind != ExposeKind::LoadBalancer {
        for (i, other) in component.ports.iter().enumerate() {
            if i != index && other.port != main {
                ports.push(entry(component.port_name(i), other.port, other));
            }
        }
    }
    let mut body = frame(wanted, Kind::SERVICE, name, Some(&component.name));
    let balancer = expose.kind == ExposeKind::LoadBalancer;
    if balancer {
        body["metadata"]["annotations"] = json!(expose.annotations);
    }
    body["spec"] = json!({
        "type": if balancer { "LoadBalancer" } else { "ClusterIP" },
        "selector": selector(wanted.name, &component.name),
        "ports": ports,
    });
    Some(seal(Kind::SERVICE, name, body, None))
}

fn ingress(wanted: &Wanted<'_>, component: &Component, name: &str, expose: &Expose) -> Object {
    let mut body = frame(wanted, Kind::INGRESS, name, Some(&component.name));
    body["metadata"]["annotations"] = json!(expose.annotations);
    let port = service_port(component, expose).unwrap_or(80);
    let mut rule = json!({ "http": { "paths": [{
        "path": expose.path.as_deref().unwrap_or("/"),
        "pathType": "Prefix",
        "backend": { "service": { "name": name, "port": { "number": port } } },
    }] } });
    if let Some(host) = &expose.host {
        rule["host"] = json!(host);
    }
    body["spec"] = json!({ "rules": [rule] });
    if let Some(class) = &expose.ingress_class {
        body["spec"]["ingressClassName"] = json!(class);
    }
    if let Some(secret) = &expose.tls_secret {
        let hosts: Vec<&String> = expose.host.iter().collect();
        body["spec"]["tls"] = json!([{ "hosts": hosts, "secretName": secret }]);
    }
    seal(Kind::INGRESS, name, body, None)
}

fn budget(wanted: &Wanted<'_>, component: &Component, name: &str) -> Object {
    let mut body = frame(wanted, Kind::BUDGET, name, Some(&component.name));
    body["spec"] = json!({
        "maxUnavailable": 1,
        "selector": { "matchLabels": selector(wanted.name, &component.name) },
        // A pod that never gets ready must not keep a node from being drained.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    });
    seal(Kind::BUDGET, name, body, None)
}

fn autoscaler(wanted: &Wanted<'_>, component: &Component, name: &str, autoscale: &Autoscale) -> Object {
    let metrics: Vec<Value> = [("cpu", autoscale.cpu_percent), ("memory", autoscale.memory_percent)]
        .into_iter()
        .filter_map(|(resource, percent)| {
            let target = json!({ "type": "Utilization", "averageUtilization": percent? });
            Some(json!({ "type": "Resource", "resource": { "name": resource, "target": target } }))
        })
        .collect();
    let mut body = frame(wanted, Kind::AUTOSCALER, name, Some(&component.name));
    body["spec"] = json!({
        "scaleTargetRef": { "apiVersion": Kind::DEPLOYMENT.api_version, "kind": Kind::DEPLOYMENT.kind, "name": name },
        "minReplicas": autoscale.min,
        "maxReplicas": autoscale.max,
        "metrics": metrics,
    });
    seal(Kind::AUTOSCALER, name, body, None)
}

/// Where the app can be reached, as far as the spec says; `balancer` knows the address of a LoadBalancer Service.
pub(crate) fn addresses(wanted: &Wanted<'_>, balancer: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::new();
    for component in &wanted.spec.components {
        let Some(expose) = &component.expose else { continue };
        let Some(port) = service_port(component, expose) else { continue };
        let name = component_object(wanted.name, &component.name);
        match expose.kind {
            ExposeKind::None => {}
            ExposeKind::Internal => out.push(format!("{name}.{}:{port}", wanted.namespace)),
            ExposeKind::LoadBalancer => out.extend(balancer(&name).map(|host| format!("{host}:{port}"))),
            ExposeKind::Ingress => {
                if let Some(host) = &expose.host {
                    let scheme = if expose.tls_secret.is_some() { "https" } else { "http" };
                    let path = expose.path.as_deref().filter(|p| *p != "/").unwrap_or_default();
                    out.push(format!("{scheme}://{host}{path}"));
                }
                out.push(format!("{name}.{}:{port}", wanted.namespace));
            }
        }
    }
    out
}
