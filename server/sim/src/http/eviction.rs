//! Evicting a pod unless a disruption budget forbids it (`pkg/registry/core/pod/storage/eviction.go`).

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Context, body, negotiate::json_response, write};
use crate::{
    cluster::{Cluster, DeleteOptions, WriteContext, text},
    controllers::{fields::Fields, pods::is_ready},
    registry::builtin::gr,
    status::{Cause, Details, Result, Status},
    store::ObjectRef,
    strategy,
};

/// Most evictions that a budget keeps in mind before its controller confirms them.
const MOST_DISRUPTED: usize = 2000;

/// Answers `POST …/pods/NAME/eviction`.
pub fn create(cx: &Context, body: &Bytes) -> Result<Response<Body>> {
    let (value, _) = body::parse(cx, body)?;
    if text(&value, &["metadata", "name"]) != cx.info.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let given = if value["deleteOptions"].is_object() { value["deleteOptions"].clone() } else { json!({}) };
    let mut options = write::delete_options(cx, &Bytes::from(given.to_string()))?;
    let cluster = cx.cluster();
    options.dry_run |= cluster.caller.dry_run;
    let (namespace, name) = (&cx.info.namespace, &cx.info.name);
    let _guard = cluster.lock();
    let pod = cluster.get(&gr::PODS, namespace, name)?;
    let free = matches!(pod.text("/status/phase"), "Succeeded" | "Failed" | "Pending") || pod.deleting();
    if !free {
        match budget_of(&cluster, &pod) {
            Err(several) => return Ok(several),
            Ok(Some(budget)) if !spares(&budget, &pod) => take(&cluster, &budget, name, options.dry_run)?,
            Ok(_) => {}
        }
    }
    mark_and_delete(&cluster, &pod, options)?;
    Ok(json_response(
        StatusCode::CREATED,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// The budget that guards a pod; the answer when there are several.
fn budget_of(cluster: &Cluster, pod: &Value) -> std::result::Result<Option<ObjectRef>, Response<Body>> {
    let mut budgets: Vec<_> = cluster
        .list(&gr::POD_DISRUPTION_BUDGETS, Some(pod.namespace()))
        .into_iter()
        .filter(|budget| strategy::selector_matches(&budget["spec"]["selector"], pod))
        .collect();
    if budgets.len() < 2 {
        return Ok(budgets.pop());
    }
    // The real server returns this as the object that was created, hence 201 outside and 500 inside.
    Err(json_response(
        StatusCode::CREATED,
        &json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            "code": 500,
        }),
    ))
}

/// Whether an unhealthy pod may go without counting as a disruption.
fn spares(budget: &Value, pod: &Value) -> bool {
    let amount = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    !is_ready(pod)
        && (budget.text("/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
            || amount("desiredHealthy") > 0 && amount("currentHealthy") >= amount("desiredHealthy"))
}

fn refusal(message: String, retry: u32) -> Status {
    let mut status =
        Status::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
    status.details = Some(Box::new(Details {
        causes: vec![Cause { reason: "DisruptionBudget".into(), message, field: String::new() }],
        retry_after_seconds: retry,
        ..Details::default()
    }));
    status
}

/// Why a budget lets no pod go, in its own words.
fn exhausted(budget: &Value) -> String {
    let name = budget.name();
    let amount = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let condition = budget.condition("DisruptionAllowed").filter(|condition| condition.text("/status") == "False");
    let (reason, message) = condition.map_or(("", ""), |own| (own.text("/reason"), own.text("/message")));
    if reason == "SyncFailed" && !message.is_empty() {
        return format!(
            "The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
        );
    }
    if amount("currentHealthy") <= amount("desiredHealthy") {
        return format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            amount("desiredHealthy"),
            amount("currentHealthy")
        );
    }
    if message.is_empty() {
        return format!("The disruption budget {name} does not allow evicting pods currently");
    }
    format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
}

/// Takes one disruption from a budget (`checkAndDecrement`).
fn take(cluster: &Cluster, budget: &Value, pod: &str, dry_run: bool) -> Result<()> {
    let name = budget.name();
    if budget["status"]["observedGeneration"].as_i64().unwrap_or(0) < budget.generation() {
        let message = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refusal(message, 10));
    }
    let allowed = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
    let forbidden = |why: &str| Status::forbidden("policy", "poddisruptionbudget", name, why);
    if allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    if budget["status"]["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_DISRUPTED) {
        return Err(forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(refusal(exhausted(budget), 0));
    }
    if dry_run {
        return Ok(());
    }
    let now = cluster.time();
    cluster.component("kube-apiserver").modify_status(
        &gr::POD_DISRUPTION_BUDGETS,
        budget.namespace(),
        name,
        |value| {
            value["status"]["disruptionsAllowed"] = json!(allowed - 1);
            if !value["status"]["disruptedPods"].is_object() {
                value["status"]["disruptedPods"] = json!({});
            }
            value["status"]["disruptedPods"][pod] = json!(now);
            if allowed == 1 {
                let generation = value.generation();
                for condition in value["status"]["conditions"].as_array_mut().into_iter().flatten() {
                    if condition.text("/type") == "DisruptionAllowed" {
                        condition["status"] = json!("False");
                        condition["reason"] = json!("InsufficientPods");
                        condition["lastTransitionTime"] = json!(now);
                        condition["observedGeneration"] = json!(generation);
                    }
                }
            }
        },
    )?;
    Ok(())
}

/// Says on the pod why it goes, then deletes it.
fn mark_and_delete(cluster: &Cluster, pod: &ObjectRef, mut options: DeleteOptions) -> Result<()> {
    let (namespace, name) = (pod.namespace(), pod.name());
    if !options.dry_run {
        let record = |field: &str| text(pod, &["metadata", field]).to_owned();
        let stale = |what: &str, given: &str, own: &str, why: &str| {
            let why = format!(
                "the {what} in the precondition ({given}) does not match the {what} in record ({own}). The object might have been {why}"
            );
            Status::conflict("", "Pod", name, &why)
        };
        if let Some(given) = options.uid.as_deref().filter(|given| !given.is_empty() && *given != record("uid")) {
            return Err(stale("UID", given, &record("uid"), "deleted and then recreated"));
        }
        let version = record("resourceVersion");
        if let Some(given) = options.resource_version.as_deref().filter(|given| !given.is_empty() && *given != version)
        {
            return Err(stale("ResourceVersion", given, &version, "modified"));
        }
        let mut value = pod.value().clone();
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": null,
            "lastTransitionTime": cluster.time(),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        });
        strategy::set_condition(&mut value["status"], condition);
        let resource = cluster.resource(&gr::PODS)?;
        let version = resource.storage_version.clone();
        let write = WriteContext { resource: &resource, version: &version, subresource: Some("status"), managed: true };
        let marked = cluster.update_with(write, namespace, name, value)?;
        if options.resource_version.is_some() {
            options.resource_version = Some(marked.revision().to_string());
        }
    }
    cluster.delete(&gr::PODS, namespace, name, &options).map(drop)
}
