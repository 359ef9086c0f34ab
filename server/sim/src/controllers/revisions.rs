//! ControllerRevisions: the templates that a StatefulSet or DaemonSet has had (`pkg/controller/history`).

use serde_json::{Value, json};

use super::{
    engine::Context,
    fields::{Fields, controller_reference, semantically_equal, template_hash},
};
use crate::{cluster::DeleteOptions, registry::builtin::gr, status::Result, store::ObjectRef};

/// Label of a pod with the name or hash of its revision.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// The revisions of an owner, oldest first.
#[must_use]
pub fn list(cx: &Context<'_>, owner: &Value) -> Vec<ObjectRef> {
    let mut revisions: Vec<ObjectRef> = cx
        .index
        .dependents_of(owner.uid(), &gr::CONTROLLER_REVISIONS)
        .filter_map(|at| cx.cluster.find(&gr::CONTROLLER_REVISIONS, &at.namespace, &at.name))
        .collect();
    revisions.sort_by_key(|revision| revision.int("/revision").unwrap_or_default());
    revisions
}

/// The template that a revision holds.
#[must_use]
pub fn template(revision: &Value) -> Value {
    let mut template = revision.at("/data/spec/template").clone();
    super::fields::unset(&mut template, &["$patch"]);
    template
}

/// The revision of the owner's present template, made or moved to the top as needed.
///
/// # Errors
/// What the API refused.
pub fn present(cx: &Context<'_>, owner: &Value, api_version: &str, kind: &str) -> Result<ObjectRef> {
    let wanted = owner.at("/spec/template");
    let existing = list(cx, owner);
    let newest = existing.last().and_then(|revision| revision.int("/revision")).unwrap_or_default();
    if let Some(same) = existing.iter().rev().find(|revision| semantically_equal(&template(revision), wanted)) {
        if same.int("/revision") == Some(newest) {
            return Ok(same.clone());
        }
        return cx.cluster.modify(&gr::CONTROLLER_REVISIONS, owner.namespace(), same.name(), |value| {
            value["revision"] = json!(newest + 1);
        });
    }
    let hash = template_hash(wanted, owner.int("/status/collisionCount"));
    let mut data = wanted.clone();
    data["$patch"] = json!("replace");
    let mut labels = owner.at("/spec/selector/matchLabels").clone();
    if !labels.is_object() {
        labels = json!({});
    }
    // Stateful sets and daemon sets never agreed on its name.
    let label = if kind == "StatefulSet" { "controller.kubernetes.io/hash" } else { REVISION_LABEL };
    labels[label] = json!(hash);
    cx.cluster.create(
        &gr::CONTROLLER_REVISIONS,
        owner.namespace(),
        json!({
            "metadata": {
                "name": format!("{}-{hash}", owner.name()),
                "labels": labels,
                "ownerReferences": [controller_reference(api_version, kind, owner)],
            },
            "data": {"spec": {"template": data}},
            "revision": newest + 1,
        }),
    )
}

/// Removes the oldest revisions beyond the limit that nobody uses.
///
/// # Errors
/// What the API refused.
pub fn trim(cx: &Context<'_>, owner: &Value, used: &[&str]) -> Result<()> {
    let limit = usize::try_from(owner.int("/spec/revisionHistoryLimit").unwrap_or(10)).unwrap_or(10);
    let idle: Vec<ObjectRef> =
        list(cx, owner).into_iter().filter(|revision| !used.contains(&revision.name())).collect();
    for revision in idle.iter().take(idle.len().saturating_sub(limit)) {
        match cx.cluster.delete(
            &gr::CONTROLLER_REVISIONS,
            owner.namespace(),
            revision.name(),
            &DeleteOptions::default(),
        ) {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}
