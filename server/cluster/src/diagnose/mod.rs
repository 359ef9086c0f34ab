//! How an app is, and why: from what stands in the cluster to one sentence with its evidence. Pure.
//!
//! A rollout that cannot succeed is never called progress: crash loops, images that cannot be pulled, quotas, pods that no
//! node takes make an app `Degraded` at once or after seconds, and it mends by itself when they do.

use std::collections::BTreeMap;

use berth_types::{
    app::{AppSpec, Component},
    app_status::{AppPhase, AppStatus, Cause, CauseCode, ComponentStatus, Evidence, EvidenceKind},
    names::component_object,
    rows::EventRow,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::{cache::child::ChildRecord, error::Quota};

mod pods;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use pods::{crashed_lately, is_suspect};

/// Last lines that a container printed, by pod and container.
pub type Logs = BTreeMap<(String, String), Vec<String>>;

/// An object of the app's own that the cluster refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `Kind/name`.
    pub object: String,
    /// The cluster's words.
    pub reason: String,
}

/// What is known of an app.
pub(crate) struct Facts<'a> {
    pub(crate) name: &'a str,
    pub(crate) generation: i64,
    pub(crate) revision: i64,
    pub(crate) spec: &'a AppSpec,
    /// Its Deployments, by name.
    pub(crate) deployments: &'a BTreeMap<String, ChildRecord>,
    /// Those of its pods that may have something to tell.
    pub(crate) pods: &'a [Pod],
    /// Events of the app's objects.
    pub(crate) events: &'a [EventRow],
    pub(crate) logs: &'a Logs,
    pub(crate) refused: &'a [Refused],
    pub(crate) now: Timestamp,
}

/// A possible cause, with its weight.
#[derive(Debug, Clone)]
struct Finding {
    cause: Cause,
    /// It stands on a pod of the newest revision, or on no pod at all.
    newest: bool,
    /// Pods that show it.
    pods: i32,
}

/// How near to the root a cause is: the first is what to mend first.
fn rank(code: CauseCode) -> u8 {
    match code {
        CauseCode::ObjectRefused => 0,
        CauseCode::ConfigMissing => 1,
        CauseCode::ImagePull => 2,
        CauseCode::InitFailed => 3,
        CauseCode::HostNotFound => 4,
        CauseCode::OutOfMemory => 5,
        CauseCode::ProbeRestarts => 6,
        CauseCode::CrashLoop => 7,
        CauseCode::Volume => 8,
        CauseCode::PodRefused => 9,
        CauseCode::QuotaExceeded => 10,
        CauseCode::Unschedulable => 11,
        CauseCode::NotReady => 12,
        CauseCode::Stuck => 13,
    }
}

fn cause(code: CauseCode, component: &str, message: String) -> Cause {
    Cause { code, message, component: component.to_owned(), params: BTreeMap::new(), evidence: Vec::new(), since: None }
}

fn evidence(kind: EvidenceKind, text: impl Into<String>, object: Option<String>) -> Evidence {
    Evidence { kind, text: text.into(), object, count: None }
}

/// Whether the numbers of all Deployments say that all is well, so that nobody needs to look at pods.
pub(crate) fn settled(name: &str, spec: &AppSpec, deployments: &BTreeMap<String, ChildRecord>) -> bool {
    spec.components.iter().all(|component| {
        let deployment = deployments.get(&component_object(name, &component.name));
        matches!(numbers(spec, component, deployment).phase, AppPhase::Ready | AppPhase::Suspended)
    })
}

/// The status of an app. `since` is not set: see [`carry_over`].
pub(crate) fn diagnose(facts: &Facts<'_>) -> AppStatus {
    let mut components = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    for component in &facts.spec.components {
        let deployment = facts.deployments.get(&component_object(facts.name, &component.name));
        let mut status = numbers(facts.spec, component, deployment);
        if !facts.spec.suspended {
            let mut found = match status.phase {
                AppPhase::Progressing => of_component(facts, component, deployment),
                // All are ready, but some may have been for a moment only, between two crashes.
                AppPhase::Ready => pods::findings(facts, component, &who(facts, component)),
                AppPhase::Degraded | AppPhase::Suspended => Vec::new(),
            };
            if !found.is_empty() {
                status.phase = AppPhase::Degraded;
                findings.append(&mut found);
            }
        }
        components.push(status);
    }
    for refused in facts.refused {
        let Refused { object, reason } = refused;
        // A field of the spec was refused by Berth itself, before anything was made of it.
        let message = if object.starts_with("spec") {
            format!("{} cannot be run as it is written: {object}: {reason}", facts.name)
        } else {
            format!("the cluster refused {object} of {}: {reason}", facts.name)
        };
        let mut cause = cause(CauseCode::ObjectRefused, "", message);
        cause.params.insert("object".into(), refused.object.clone());
        cause.params.insert("reason".into(), refused.reason.clone());
        findings.push(Finding { cause, newest: true, pods: 0 });
    }
    findings.sort_by_key(|f| (!f.newest, rank(f.cause.code), -f.pods));
    let cause = findings.into_iter().next().map(|f| f.cause);
    let worst = components.iter().map(|c| c.phase).min().unwrap_or(AppPhase::Progressing);
    let (ready, desired) = components.iter().fold((0, 0), |(r, d), c| (r + c.ready, d + c.desired));
    AppStatus {
        observed_generation: facts.generation,
        phase: if cause.is_some() { AppPhase::Degraded } else { worst },
        cause,
        revision: facts.revision,
        since: None,
        components,
        addresses: Vec::new(),
        ready: format!("{ready}/{desired}"),
    }
}

/// What was true before and still is keeps its beginning.
pub(crate) fn carry_over(new: &mut AppStatus, old: &AppStatus, now: Timestamp) {
    new.since = if new.phase == old.phase { old.since.or(Some(now)) } else { Some(now) };
    if let Some(cause) = &mut new.cause {
        let before = old.cause.as_ref().filter(|o| o.code == cause.code && o.component == cause.component);
        cause.since = before.and_then(|o| o.since).or(cause.since).or(Some(now));
    }
}

fn numbers(spec: &AppSpec, component: &Component, deployment: Option<&ChildRecord>) -> ComponentStatus {
    let mut status = ComponentStatus {
        name: component.name.clone(),
        image: component.image.clone(),
        desired: if spec.suspended { 0 } else { component.wanted() },
        ..ComponentStatus::default()
    };
    let Some(deployment) = deployment else { return status };
    if component.autoscale.is_some() && !spec.suspended {
        status.desired = deployment.replicas.unwrap_or(1);
    }
    let n = deployment.numbers;
    (status.updated, status.ready, status.total) = (n.updated, n.ready, n.total);
    let current = n.observed_generation >= deployment.generation && deployment.replicas == Some(status.desired);
    let complete = n.updated == status.desired && n.total == status.desired && n.available == status.desired;
    status.phase = match (current && complete, status.desired) {
        (true, 0) => AppPhase::Suspended,
        (true, _) => AppPhase::Ready,
        _ => AppPhase::Progressing,
    };
    status
}

/// Who is meant, in a sentence.
fn who(facts: &Facts<'_>, component: &Component) -> String {
    match facts.spec.components.as_slice() {
        [_] => facts.name.to_owned(),
        _ => format!("{} of {}", component.name, facts.name),
    }
}

fn of_component(facts: &Facts<'_>, component: &Component, deployment: Option<&ChildRecord>) -> Vec<Finding> {
    let name = component_object(facts.name, &component.name);
    let who = who(facts, component);
    let mut findings = Vec::new();
    if let Some(condition) = deployment.and_then(|d| d.condition("ReplicaFailure")).filter(|c| c.status == "True") {
        findings.push(Finding {
            cause: refused_pod(component, &who, &name, &condition.message),
            newest: true,
            pods: 0,
        });
    }
    findings.extend(pods::findings(facts, component, &who));
    if findings.is_empty()
        && let Some(condition) = deployment.and_then(|d| d.condition("Progressing"))
        && condition.status == "False"
        && condition.reason == "ProgressDeadlineExceeded"
    {
        let seconds = component.rollout.as_ref().and_then(|r| r.progress_deadline_seconds).unwrap_or(600);
        let message = format!("{who} made no progress within {seconds} s, and nothing in the cluster says why");
        let mut cause = cause(CauseCode::Stuck, &component.name, message);
        cause.params.insert("seconds".into(), seconds.to_string());
        cause.evidence.push(evidence(EvidenceKind::Condition, &condition.message, Some(format!("Deployment/{name}"))));
        findings.push(Finding { cause, newest: true, pods: 0 });
    }
    findings
}

/// The Deployment's ReplicaSet cannot make pods.
fn refused_pod(component: &Component, who: &str, name: &str, message: &str) -> Cause {
    let proof = evidence(EvidenceKind::Condition, message, Some(format!("Deployment/{name}")));
    let mut out = if let Some(quota) = Quota::parse(message) {
        let mut cause = cause(
            CauseCode::QuotaExceeded,
            &component.name,
            format!("{who} cannot have more pods: {}", quota.sentence()),
        );
        let Quota { quota, resource, requested, used, limited } = quota;
        let params =
            [("quota", quota), ("resource", resource), ("requested", requested), ("used", used), ("limited", limited)];
        cause.params.extend(params.map(|(k, v)| (k.to_owned(), v)));
        cause
    } else {
        let reason = message.split_once("is forbidden: ").map_or(message, |(_, reason)| reason);
        let mut cause =
            cause(CauseCode::PodRefused, &component.name, format!("the cluster refuses the pods of {who}: {reason}"));
        cause.params.insert("reason".into(), reason.to_owned());
        cause
    };
    out.evidence.push(proof);
    out
}

/// The revision in which a component's pods were last changed: its Deployment's, and that of its newest pods.
fn newest_revision(facts: &Facts<'_>, component: &Component) -> Option<i64> {
    let deployment = facts.deployments.get(&component_object(facts.name, &component.name))?;
    Some(deployment.revision).filter(|revision| *revision > 0)
}

fn label<'a>(labels: &'a Option<BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    labels.as_ref().and_then(|l| l.get(key)).map(String::as_str)
}
