//! What people do to apps and pods: as themselves, and seen at once.

use std::time::Duration;

use berth_core::{
    Error, OpCtx, Result,
    authz::{AppRef, Grant, NamespaceRef},
    ports::cluster::{AppObject, ChangeKind},
};
use berth_types::{Action, ErrorCode, Resource, app::AppSpec, rows::RevisionRow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use crate::{
    KubeCluster,
    cache::app::{entry, strip, view},
    error::Target,
    meta,
    rest::{Kind, Rest, query},
};

/// Tries of a change that somebody else's change keeps getting ahead of.
const TRIES: usize = 4;

/// `fieldManager` and strict checking of fields, for every change of a person.
pub(crate) fn written(path: &str) -> String {
    query(path, &[("fieldManager", meta::PORTAL), ("fieldValidation", "Strict")])
}

/// Names of pods come from outside and become part of a path.
pub(crate) fn pod_name(name: &str) -> Result<&str> {
    let valid = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if valid { Ok(name) } else { Err(Error::not_found()) }
}

impl KubeCluster {
    pub(crate) fn permit(&self) -> Result<SemaphorePermit<'_>> {
        self.writes.try_acquire().map_err(|_| {
            Error::new(
                ErrorCode::ClusterUnavailable,
                "too many changes are under way in this cluster; try again in a moment",
            )
            .retry_after(Duration::from_secs(1))
        })
    }

    fn path(app: &Grant<AppRef>) -> String {
        Kind::APP.at(&app.namespace.kube_name, app.name.as_str())
    }

    /// Takes in the answer to a write, so that who reads next reads it.
    fn seen(&self, object: Value) -> Result<AppObject> {
        if let Some(entry) = entry(object.clone(), &self.cache.strings)
            && let Some(changed) = self.cache.apps.put_own(entry)
        {
            self.cache.changes.push(ChangeKind::App, changed);
        }
        view(object).map_err(Error::internal)
    }

    pub(crate) async fn make(&self, ctx: &OpCtx, app: &Grant<AppRef>, spec: &Value) -> Result<AppObject> {
        let _permit = self.permit()?;
        let rest = self.connection.acting(ctx, &app.namespace)?;
        let name = app.name.as_str();
        let object = json!({
            "apiVersion": Kind::APP.api_version,
            "kind": Kind::APP.kind,
            "metadata": {
                "name": name,
                "namespace": &*app.namespace.kube_name,
                "annotations": { meta::CHANGED_BY: ctx.actor.to_string() },
            },
            "spec": spec,
        });
        let target = Target::of("the app", name, (Resource::App, Action::Create));
        self.seen(rest.create(&target, &written(&Kind::APP.within(&app.namespace.kube_name)), &object).await?)
    }

    /// Changes the app as `edit` says, if it is still the one that was read at `expected`, else as it is now.
    async fn edit(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        expected: Option<&str>,
        edit: impl Fn(&mut Value) + Send + Sync,
    ) -> Result<AppObject> {
        let _permit = self.permit()?;
        let rest = self.connection.acting(ctx, &app.namespace)?;
        let name = app.name.as_str();
        let target = Target::of("the app", name, (Resource::App, Action::Update));
        let path = Self::path(app);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut object: Value = rest.get(&target, &path).await?;
            strip(&mut object);
            if let Some(expected) = expected {
                self.unchanged(app, &object, expected)?;
            }
            edit(&mut object);
            note(&mut object, meta::CHANGED_BY, &ctx.actor.to_string());
            match rest.replace(&target, &written(&path), &object).await {
                Ok(object) => return self.seen(object),
                // Most often the controller wrote a status meanwhile; what the edit is about is checked anew.
                Err(e) if e.code() == ErrorCode::Conflict && tries < TRIES => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether the spec is still what it was at version `expected`. A status that was written since is no reason to refuse.
    fn unchanged(&self, app: &Grant<AppRef>, object: &Value, expected: &str) -> Result<()> {
        let now = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        if now == expected {
            return Ok(());
        }
        let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
        let uid = object.pointer("/metadata/uid").and_then(Value::as_str);
        let since = self.cache.apps.with(&app.namespace.kube_name, app.name.as_str(), |s| {
            (Some(s.row.generation) == generation && Some(&*s.row.uid) == uid).then_some(s.row.spec_version)
        });
        match (since.flatten(), expected.parse::<u64>(), now.parse::<u64>()) {
            (Some(since), Ok(expected), Ok(now)) if since <= expected && expected <= now => Ok(()),
            _ => Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "the app “{}” was changed since it was read; read it again and repeat what you want to change",
                    app.name
                ),
            )),
        }
    }

    pub(crate) async fn replace(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        spec: &Value,
        expected: Option<&str>,
    ) -> Result<AppObject> {
        self.edit(ctx, app, expected, |object| object["spec"] = spec.clone()).await
    }

    pub(crate) async fn restart(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<AppObject> {
        let now = ctx.now().to_string();
        self.edit(ctx, app, None, |object| note(object, meta::RESTARTED_AT, &now)).await
    }

    pub(crate) async fn remove(&self, ctx: &OpCtx, app: &Grant<AppRef>, expected: Option<&str>) -> Result<()> {
        let _permit = self.permit()?;
        let rest = self.connection.acting(ctx, &app.namespace)?;
        let target = Target::of("the app", app.name.as_str(), (Resource::App, Action::Delete));
        let path = Self::path(app);
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground" });
        let mut tries = 0;
        loop {
            tries += 1;
            if let Some(expected) = expected {
                let object: Value = rest.get(&target, &path).await?;
                self.unchanged(app, &object, expected)?;
                let at = |path: &str| object.pointer(path).cloned().unwrap_or_default();
                options["preconditions"] =
                    json!({ "uid": at("/metadata/uid"), "resourceVersion": at("/metadata/resourceVersion") });
            }
            match rest.delete(&target, &path, &options).await {
                Ok(answer) => {
                    if answer["kind"] == Kind::APP.kind {
                        self.seen(answer)?;
                    }
                    return Ok(());
                }
                Err(e) if e.code() == ErrorCode::Conflict && expected.is_some() && tries < TRIES => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) async fn history(&self, ctx: &OpCtx, app: &Grant<AppRef>) -> Result<Vec<RevisionRow>> {
        let rest = self.connection.acting(ctx, &app.namespace)?;
        let target = Target::of("the app", app.name.as_str(), (Resource::App, Action::Read));
        let selector = format!("{}={}", meta::APP, app.name);
        let path = query(&Kind::REVISION.within(&app.namespace.kube_name), &[("labelSelector", &selector)]);
        let list: RevisionList = rest.get(&target, &path).await?;
        Ok(list.rows())
    }

    pub(crate) async fn remove_pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<()> {
        let pod = pod_name(pod)?;
        let _permit = self.permit()?;
        let rest = self.connection.acting(ctx, namespace)?;
        let target = Target::of("the pod", pod, (Resource::Workload, Action::Delete));
        rest.delete(&target, &Kind::POD.at(&namespace.kube_name, pod), &json!({})).await.map(drop)
    }

    pub(crate) async fn read_pod(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>, pod: &str) -> Result<Value> {
        let pod = pod_name(pod)?;
        let rest: Rest = self.connection.acting(ctx, namespace)?;
        let target = Target::of("the pod", pod, (Resource::Workload, Action::Read));
        let mut object: Value = rest.get(&target, &Kind::POD.at(&namespace.kube_name, pod)).await?;
        strip(&mut object);
        Ok(object)
    }
}

fn note(object: &mut Value, key: &str, value: &str) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let notes = metadata.entry("annotations").or_insert_with(|| json!({}));
        if notes.is_null() {
            *notes = json!({});
        }
        notes[key] = json!(value);
    }
}

#[derive(Deserialize)]
struct RevisionList {
    items: Vec<RevisionObject>,
}

#[derive(Deserialize)]
struct RevisionObject {
    metadata: RevisionMeta,
    revision: i64,
    data: RevisionData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionMeta {
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RevisionData {
    spec: AppSpec,
}

impl RevisionList {
    fn rows(self) -> Vec<RevisionRow> {
        let mut rows: Vec<RevisionRow> = self
            .items
            .into_iter()
            .map(|item| {
                let notes = &item.metadata.annotations;
                let began = notes.get(meta::BEGAN_AT).and_then(|at| at.parse().ok());
                RevisionRow {
                    number: item.revision,
                    created_at: began.or(item.metadata.creation_timestamp).unwrap_or_default(),
                    by: notes.get(meta::BY).cloned(),
                    images: item.data.spec.components.iter().map(|c| c.image.clone()).collect(),
                    current: false,
                    spec: item.data.spec,
                }
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.number));
        if let Some(first) = rows.first_mut() {
            first.current = true;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_names() {
        for (name, ok) in [
            ("web-7c9f-x2kqp", true),
            ("a.b", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("A", false),
            ("-a", false),
        ] {
            assert_eq!(pod_name(name).is_ok(), ok, "{name}");
        }
    }

    #[test]
    fn notes_on_objects_without_any() {
        for mut object in [
            json!({"metadata": {}}),
            json!({"metadata": {"annotations": null}}),
            json!({"metadata": {"annotations": {"a": "b"}}}),
        ] {
            note(&mut object, "k", "v");
            assert_eq!(object["metadata"]["annotations"]["k"], "v");
        }
    }
}
