//! Endpoints and EndpointSlices of Services (`pkg/controller/endpoint`, `staging/…/endpointslice`).

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, controller_reference},
    pods,
    selector::matches_map,
};
use crate::{
    clock::format_time,
    cluster::DeleteOptions,
    registry::builtin::gr,
    status::Status,
    store::{Event, EventKind, ObjectRef},
};

const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The controller of both.
#[derive(Default)]
pub struct Endpoints;

impl Controller for Endpoints {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::SERVICES {
            wake.push(Key::of(event));
        } else if event.resource == gr::PODS {
            let relevant = |pod: &Value| {
                (
                    pod.text("/status/podIP").to_owned(),
                    pods::is_ready(pod),
                    pods::is_finished(pod),
                    pod.deleting(),
                    pod.at("/metadata/labels").clone(),
                )
            };
            if event.kind == EventKind::Modified
                && event.previous.as_deref().is_some_and(|old| relevant(old) == relevant(&event.object))
            {
                return;
            }
            let states = [Some(&event.object), event.previous.as_ref()];
            for labels in states.into_iter().flatten().map(|pod| pod.at("/metadata/labels")) {
                for name in cx.index.selecting(&gr::SERVICES, &event.namespace, labels) {
                    let service = cx.cluster.find(&gr::SERVICES, &event.namespace, name);
                    if service.is_some_and(|service| {
                        has_selector(&service) && matches_map(service.at("/spec/selector"), labels)
                    }) {
                        wake.push(Key::new(&event.namespace, name));
                    }
                }
            }
        } else if event.kind == EventKind::Deleted && event.resource == gr::ENDPOINTS {
            wake.push(Key::of(event));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(service) = cx.cluster.find(&gr::SERVICES, &key.namespace, &key.name) else {
            ignore_missing(cx.cluster.delete(&gr::ENDPOINTS, &key.namespace, &key.name, &DeleteOptions::default()))?;
            return Ok(None);
        };
        if !has_selector(&service) || service.deleting() || service.text("/spec/type") == "ExternalName" {
            return Ok(None);
        }
        let mut chosen: Vec<ObjectRef> = cx
            .index
            .pods_for_map(&key.namespace, service.at("/spec/selector"))
            .filter_map(|name| cx.cluster.find(&gr::PODS, &key.namespace, name))
            .filter(|pod| {
                matches_map(service.at("/spec/selector"), pod.at("/metadata/labels"))
                    && !pod.text("/status/podIP").is_empty()
                    && !pods::is_finished(pod)
            })
            .collect();
        chosen.sort_by(|a, b| a.text("/status/podIP").cmp(b.text("/status/podIP")));
        write_endpoints(cx, &service, &chosen)?;
        write_slice(cx, &service, &chosen)?;
        Ok(None)
    }
}

fn has_selector(service: &Value) -> bool {
    service.at("/spec/selector").as_object().is_some_and(|selector| !selector.is_empty())
}

/// Whether a pod's address is published as ready.
fn serves(service: &Value, pod: &Value) -> bool {
    service.flag("/spec/publishNotReadyAddresses") || pods::is_ready(pod) && !pod.deleting()
}

/// A service port as it is on a pod: name, number, protocol. `None` when the pod has no port of that name.
fn target(port: &Value, pod: &Value) -> Option<Value> {
    let number = match port.at("/targetPort") {
        Value::Number(number) => number.as_i64()?,
        Value::String(name) => pod
            .items("/spec/containers")
            .iter()
            .flat_map(|container| container.items("/ports"))
            .find(|own| own.text("/name") == name)
            .and_then(|own| own.int("/containerPort"))?,
        _ => port.int("/port")?,
    };
    let protocol = if port.text("/protocol").is_empty() { "TCP" } else { port.text("/protocol") };
    let mut out = json!({"port": number, "protocol": protocol});
    if !port.text("/name").is_empty() {
        out["name"] = port["name"].clone();
    }
    if !port.text("/appProtocol").is_empty() {
        out["appProtocol"] = port["appProtocol"].clone();
    }
    Some(out)
}

fn reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()})
}

fn write_endpoints(cx: &Context<'_>, service: &Value, chosen: &[ObjectRef]) -> Result<(), Status> {
    // Pods whose ports come out the same share a subset.
    let mut subsets: Vec<(Vec<Value>, Vec<Value>, Vec<Value>)> = Vec::new();
    for pod in chosen {
        let ports: Vec<Value> = service.items("/spec/ports").iter().filter_map(|port| target(port, pod)).collect();
        let headless = service.text("/spec/clusterIP") == "None";
        if ports.is_empty() && !headless {
            continue;
        }
        let mut address = json!({"ip": pod.text("/status/podIP"), "nodeName": pod.text("/spec/nodeName"), "targetRef": reference(pod)});
        if !pod.text("/spec/hostname").is_empty() && pod.text("/spec/subdomain") == service.name() {
            address["hostname"] = pod.at("/spec/hostname").clone();
        }
        let ready = serves(service, pod);
        let at = subsets.iter().position(|(own, _, _)| *own == ports).unwrap_or_else(|| {
            subsets.push((ports, Vec::new(), Vec::new()));
            subsets.len() - 1
        });
        if let Some((_, good, bad)) = subsets.get_mut(at) {
            if ready {
                good.push(address)
            } else if !pod.deleting() {
                bad.push(address)
            }
        }
    }
    let subsets: Vec<Value> = subsets
        .into_iter()
        .filter(|(_, good, bad)| !(good.is_empty() && bad.is_empty()))
        .map(|(ports, good, bad)| {
            let mut subset = json!({});
            for (field, list) in [("addresses", good), ("notReadyAddresses", bad), ("ports", ports)] {
                if !list.is_empty() {
                    subset[field] = json!(list);
                }
            }
            subset
        })
        .collect();
    let (namespace, name) = (service.namespace(), service.name());
    let mut labels = service.at("/metadata/labels").clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels["endpoints.kubernetes.io/managed-by"] = json!("endpoint-controller");
    if service.text("/spec/clusterIP") == "None" {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    match cx.cluster.find(&gr::ENDPOINTS, namespace, name) {
        Some(old) if old.items("/subsets") == subsets.as_slice() && *old.at("/metadata/labels") == labels => Ok(()),
        Some(_) => cx
            .cluster
            .modify(&gr::ENDPOINTS, namespace, name, |value| {
                value["metadata"]["labels"] = labels;
                set_last_change(value, cx);
                value["subsets"] = json!(subsets);
            })
            .map(drop),
        None => {
            let mut value = json!({"metadata": {"name": name, "labels": labels}, "subsets": subsets});
            set_last_change(&mut value, cx);
            let written = cx.cluster.create(&gr::ENDPOINTS, namespace, value);
            written.map(drop).or_else(forgive_termination)
        }
    }
}

fn set_last_change(value: &mut Value, cx: &Context<'_>) {
    super::fields::set(
        value,
        &["metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"],
        format_time(cx.now),
    );
}

fn write_slice(cx: &Context<'_>, service: &Value, chosen: &[ObjectRef]) -> Result<(), Status> {
    let namespace = service.namespace();
    let endpoints: Vec<Value> = chosen
        .iter()
        .map(|pod| {
            let serving = pods::is_ready(pod);
            let mut endpoint = json!({
                "addresses": [pod.text("/status/podIP")],
                "conditions": {"ready": serves(service, pod), "serving": serving, "terminating": pod.deleting()},
                "nodeName": pod.text("/spec/nodeName"),
                "targetRef": reference(pod),
            });
            if let Some(zone) = cx
                .cluster
                .find(&gr::NODES, "", pod.text("/spec/nodeName"))
                .and_then(|node| node.label("topology.kubernetes.io/zone").map(str::to_owned))
            {
                endpoint["zone"] = json!(zone);
            }
            if !pod.text("/spec/hostname").is_empty() && pod.text("/spec/subdomain") == service.name() {
                endpoint["hostname"] = pod.at("/spec/hostname").clone();
            }
            endpoint
        })
        .collect();
    let ports: Vec<Value> = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut out = chosen
                .iter()
                .find_map(|pod| target(port, pod))
                .or_else(|| chosen.is_empty().then(|| target(port, &Value::Null)).flatten())?;
            if out.get("name").is_none() {
                out["name"] = json!("");
            }
            Some(out)
        })
        .collect();
    let mut labels = service.at("/metadata/labels").clone();
    if !labels.is_object() {
        labels = json!({});
    }
    labels["endpointslice.kubernetes.io/managed-by"] = json!(MANAGED_BY);
    labels[SERVICE_NAME] = json!(service.name());
    if service.text("/spec/clusterIP") == "None" {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    let existing = cx
        .index
        .dependents_of(service.uid(), &gr::ENDPOINT_SLICES)
        .filter_map(|at| cx.cluster.find(&gr::ENDPOINT_SLICES, &at.namespace, &at.name))
        .find(|slice| slice.label("endpointslice.kubernetes.io/managed-by") == Some(MANAGED_BY));
    match existing {
        Some(slice)
            if slice.items("/endpoints") == endpoints.as_slice()
                && slice.items("/ports") == ports.as_slice()
                && *slice.at("/metadata/labels") == labels =>
        {
            Ok(())
        }
        Some(slice) => cx
            .cluster
            .modify(&gr::ENDPOINT_SLICES, namespace, slice.name(), |value| {
                value["metadata"]["labels"] = labels;
                value["endpoints"] = json!(endpoints);
                value["ports"] = json!(ports);
            })
            .map(drop),
        None => {
            let value = json!({
                "metadata": {
                    "generateName": format!("{}-", service.name()),
                    "labels": labels,
                    "ownerReferences": [controller_reference("v1", "Service", service)],
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports,
            });
            cx.cluster.create(&gr::ENDPOINT_SLICES, namespace, value).map(drop).or_else(forgive_termination)
        }
    }
}

fn forgive_termination(status: Status) -> Result<(), Status> {
    if pods::namespace_is_terminating(&status) { Ok(()) } else { Err(status) }
}

fn ignore_missing<T>(outcome: Result<T, Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
