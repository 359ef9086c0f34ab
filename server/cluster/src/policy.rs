//! Would the cluster take the pods of an app? Asked with a pod that is not made (`dryRun=All`).
//!
//! Pod Security, LimitRanges and most admission webhooks look at pods only: a Deployment passes them all and then never gets a
//! pod. So one pod of each template is tried. Quotas are no matter of this: they are counted beforehand, for all pods at once.

use std::time::Duration;

use berth_core::ports::cluster::PodVerdict;
use berth_types::{AppSpec, FieldError};
use futures::future::join_all;
use kube::core::{Status, response::StatusCause};
use serde_json::{Value, json};

use crate::{
    cache::room,
    controller::desired::{Wanted, desired},
    meta,
    rest::{Kind, Rest, bounded, query},
};

/// All pods together wait no longer: whoever sends a form waits with them.
const PATIENCE: Duration = Duration::from_secs(3);

/// One pod of each component, tried side by side.
pub(crate) async fn try_pods(rest: &Rest, namespace: &str, app: &str, spec: &AppSpec) -> Vec<PodVerdict> {
    // Of a suspended app there are no pods, but there will be.
    let spec = AppSpec { suspended: false, ..spec.clone() };
    let wanted = Wanted { name: app, namespace, uid: "", spec: &spec, restarted_at: None, revision: 0 };
    let pods = desired(&wanted, &|_| None).into_iter().filter(|object| object.kind == Kind::DEPLOYMENT);
    let path = query(&Kind::POD.within(namespace), &[("dryRun", "All"), ("fieldManager", meta::PORTAL)]);
    let path = path.as_str();
    join_all(pods.enumerate().map(|(index, object)| async move {
        let body = pod(&object.name, object.body);
        match bounded(PATIENCE, rest.attempt(path, &body)).await.and_then(|answer| answer) {
            Ok(Ok(made)) => PodVerdict::Taken(room::takes(&made)),
            Ok(Err(status)) => verdict(index, &status),
            Err(e) => PodVerdict::Unknown(e.message().to_owned()),
        }
    }))
    .await
}

/// A pod of a Deployment's template, named as its ReplicaSet would name it.
fn pod(name: &str, mut deployment: Value) -> Value {
    let template = &mut deployment["spec"]["template"];
    let mut metadata = template["metadata"].take();
    metadata["generateName"] = json!(format!("{name}-"));
    json!({
        "apiVersion": Kind::POD.api_version,
        "kind": Kind::POD.kind,
        "metadata": metadata,
        "spec": template["spec"].take(),
    })
}

/// What a refusal of the pod of the component at `index` means.
fn verdict(index: usize, status: &Status) -> PodVerdict {
    let at = format!("spec.components[{index}]");
    let message = status.message.as_str();
    // What comes after `is forbidden: `.
    let reason = message.split_once(" is forbidden: ").map_or(message, |(_, reason)| reason);
    match status.code {
        403 if reason.contains("exceeded quota: ") => PodVerdict::Taken(None),
        403 if reason.contains("User \"") && reason.contains("\" cannot create ") => PodVerdict::Unknown(
            "Berth may not create pods in this cluster, so its policies could not be asked".to_owned(),
        ),
        403 => PodVerdict::Refused(forbidden(&at, reason)),
        400 if message.contains("does not support dry run") => PodVerdict::Unknown(message.to_owned()),
        400 | 413 | 422 => PodVerdict::Refused(invalid(&at, status)),
        404 => PodVerdict::Unknown("the namespace is not in the cluster yet".to_owned()),
        _ => PodVerdict::Unknown("the cluster did not answer whether it would take the pods".to_owned()),
    }
}

fn forbidden(at: &str, reason: &str) -> Vec<FieldError> {
    let refused = |field: &str, code: &str, said: &str| {
        let field = if field.is_empty() { at.to_owned() } else { format!("{at}.{field}") };
        FieldError::new(field, code, format!("the cluster would refuse its pods: {said}")).param("reason", said)
    };
    if let Some((_, said)) = reason.split_once("violates PodSecurity ") {
        let field = [("runAsUser", "runAsUser"), ("volume types", "volumes"), ("seccomp", "")]
            .into_iter()
            .find_map(|(word, field)| said.contains(word).then_some(field));
        return vec![refused(field.unwrap_or_default(), "pod_security", said)];
    }
    if let Some((_, said)) = reason.split_once("must specify ") {
        // `limits.cpu for: a,b; requests.memory for: a`
        let keys = said.split("; ").filter_map(|part| part.split_once(" for: ")).map(|(key, _)| key.trim());
        return keys.map(|key| unstated(at, key)).collect();
    }
    if reason.contains("error looking up service account") {
        return vec![refused("serviceAccountName", "pod_refused", reason)];
    }
    // A LimitRange says all that it minds, as `[…, …]` where that is more than one thing.
    let sentences: Vec<&str> = reason.trim_start_matches('[').trim_end_matches(']').split(", ").collect();
    let limits: Vec<FieldError> = joined(&sentences)
        .iter()
        .filter_map(|sentence| Some(refused(&limit_field(sentence)?, "pod_limit", sentence)))
        .collect();
    if limits.is_empty() { vec![refused("", "pod_refused", reason)] } else { limits }
}

/// Sentences of a LimitRange have a comma of their own: `… is 1Gi, but limit is 2Gi`.
fn joined(pieces: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for piece in pieces {
        match out.last_mut() {
            Some(last) if piece.starts_with("but ") => {
                last.push_str(", ");
                last.push_str(piece);
            }
            _ => out.push((*piece).to_owned()),
        }
    }
    out
}

/// The field that a LimitRange's sentence is about: `maximum cpu usage per Container is 1, but limit is 2`.
fn limit_field(sentence: &str) -> Option<String> {
    let of = |rest: &str| rest.split_whitespace().next().map(str::to_owned);
    let (resource, ratio) = match sentence.split_once(" max limit to request ratio per ") {
        Some((resource, _)) => (of(resource)?, true),
        None => {
            let rest = sentence.strip_prefix("minimum ").or_else(|| sentence.strip_prefix("maximum "))?;
            (rest.contains(" usage per ").then(|| of(rest))??, false)
        }
    };
    if !matches!(resource.as_str(), "cpu" | "memory") {
        return None;
    }
    let request = ["but request is", "No request", "no request"].iter().any(|word| sentence.contains(word));
    let list = if request && !ratio { "requests" } else { "limits" };
    Some(format!("resources.{list}.{resource}"))
}

/// A quota counts `key`, and the containers do not say how much.
fn unstated(at: &str, key: &str) -> FieldError {
    berth_core::services::preflight::unstated(at, key)
}

fn invalid(at: &str, status: &Status) -> Vec<FieldError> {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let told = |cause: &StatusCause| {
        let said = cause.message.as_str();
        FieldError::new(place(at, &cause.field), "pod_refused", format!("the cluster would refuse its pods: {said}"))
            .param("reason", said)
    };
    if causes.is_empty() {
        let said = &status.message;
        return vec![
            FieldError::new(at, "pod_refused", format!("the cluster would refuse its pods: {said}"))
                .param("reason", said),
        ];
    }
    causes.iter().map(told).collect()
}

/// A field of the pod as one of the component: `spec.containers[0].resources.requests` is its `resources.requests`.
fn place(at: &str, field: &str) -> String {
    let same = ["resources", "image", "command", "args"];
    let own = field.strip_prefix("spec.containers[0].").filter(|rest| same.iter().any(|name| rest.starts_with(name)));
    let init = field.strip_prefix("spec.").filter(|rest| rest.starts_with("initContainers["));
    match own.or(init) {
        Some(rest) => format!("{at}.{rest}"),
        None if field.starts_with("spec.serviceAccountName") => format!("{at}.serviceAccountName"),
        None if field.starts_with("spec.nodeSelector") => format!("{at}.nodeSelector"),
        None => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str, causes: Value) -> Status {
        let body = json!({ "status": "Failure", "code": code, "reason": "Forbidden", "message": message,
            "details": { "causes": causes } });
        serde_json::from_value(body).expect("a status")
    }

    fn fields(verdict: PodVerdict) -> Vec<(String, String)> {
        match verdict {
            PodVerdict::Refused(errors) => errors.into_iter().map(|e| (e.field, e.code)).collect(),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn refusals_stand_at_fields() {
        for (reason, want) in [
            (
                "violates PodSecurity \"restricted:latest\": runAsUser=0 (pod must not set runAsUser=0)",
                &[("spec.components[1].runAsUser", "pod_security")][..],
            ),
            (
                "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"a\" …)",
                &[("spec.components[1]", "pod_security")],
            ),
            (
                "failed quota: q: must specify limits.cpu for: main; requests.memory for: main",
                &[
                    ("spec.components[1].resources.limits.cpu", "quota_unstated"),
                    ("spec.components[1].resources.requests.memory", "quota_unstated"),
                ],
            ),
            (
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
                &[("spec.components[1].resources.limits.memory", "pod_limit")],
            ),
            (
                "[minimum cpu usage per Container is 100m, but request is 50m, maximum memory usage per Pod is 1Gi.  No limit is specified]",
                &[
                    ("spec.components[1].resources.requests.cpu", "pod_limit"),
                    ("spec.components[1].resources.limits.memory", "pod_limit"),
                ],
            ),
            (
                "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
                &[("spec.components[1].resources.limits.cpu", "pod_limit")],
            ),
            (
                "error looking up service account shop-dev/x: serviceaccount \"x\" not found",
                &[("spec.components[1].serviceAccountName", "pod_refused")],
            ),
            ("admission webhook \"v\" denied the request: no, never", &[("spec.components[1]", "pod_refused")]),
        ] {
            let message = format!("pods \"web-\" is forbidden: {reason}");
            let got = fields(verdict(1, &status(403, &message, json!([]))));
            let got: Vec<_> = got.iter().map(|(field, code)| (field.as_str(), code.as_str())).collect();
            assert_eq!(got, want, "{reason}");
        }
        let causes = json!([
            { "field": "spec.containers[0].resources.requests", "message": "must be less than or equal to cpu limit" },
            { "field": "spec.initContainers[1].image", "message": "Required value" },
            { "field": "spec.volumes[0]", "message": "no" },
        ]);
        let got = fields(verdict(0, &status(422, "Pod is invalid", causes)));
        let got: Vec<_> = got.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            got,
            [
                "spec.components[0].resources.requests",
                "spec.components[0].initContainers[1].image",
                "spec.components[0]"
            ]
        );
    }

    #[test]
    fn what_is_no_refusal() {
        let said = |code: u16, message: &str| verdict(0, &status(code, message, json!([])));
        let quota = "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
        assert_eq!(said(403, quota), PodVerdict::Taken(None), "quotas are counted elsewhere");
        let rbac = "pods is forbidden: User \"system:serviceaccount:berth:berth-controller\" cannot create resource \"pods\" in API group \"\"";
        let webhook = "admission webhook \"v\" does not support dry run";
        let missing = "namespaces \"n\" not found";
        for (code, message) in
            [(403, rbac), (404, missing), (400, webhook), (503, ""), (401, "Unauthorized"), (500, "")]
        {
            assert!(matches!(said(code, message), PodVerdict::Unknown(_)), "{code} {message}");
        }
    }
}
