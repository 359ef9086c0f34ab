//! Apps: deploy, look, scale, change, roll back, delete.

use std::sync::Arc;

use berth_types::{
    Action, AppName, AppSpec, ErrorCode, FieldError, ListQuery, NamespaceName, Page, Resource, TenantName,
    app_status::EvidenceKind,
    rows::{AppRow, EventRow, LogLine, PodRow, RevisionRow},
};
use futures::stream::BoxStream;
use serde_json::{Value, json};

use super::{Done, Services, people::name};
use crate::{
    authz::{AppRef, Grant, NamespaceRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{AppObject, Cluster, ExecSession, Freshness, LogQuery},
    yaml,
};

/// Where an app is: tenant, namespace, app.
pub type AppPath<'a> = (&'a TenantName, &'a NamespaceName, &'a AppName);
/// Where a namespace is: tenant, namespace.
pub type NamespacePath<'a> = (&'a TenantName, &'a NamespaceName);

/// A list with where it is from and how fresh it is.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The namespace, as the actor may see it.
    pub namespace: Grant<NamespaceRef>,
    /// The rows.
    pub page: Page<T>,
    /// How fresh they are.
    pub freshness: Freshness,
}

/// An app with where it is and how fresh that is.
#[derive(Debug, Clone)]
pub struct Found {
    /// Which, as the actor may see it.
    pub app: Grant<AppRef>,
    /// The app.
    pub object: AppObject,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Services {
    async fn namespace_for(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
        resource: Resource,
        action: Action,
    ) -> Result<(Grant<NamespaceRef>, Arc<dyn Cluster>)> {
        let grant = self.authz.namespace(ctx, tenant, namespace, resource, action).await?;
        let cluster = self.clusters.get(&grant.cluster)?;
        Ok((grant, cluster))
    }

    pub(super) async fn app_for(
        &self,
        ctx: &OpCtx,
        path: AppPath<'_>,
        action: Action,
    ) -> Result<(Grant<AppRef>, Arc<dyn Cluster>)> {
        let grant = self.authz.app(ctx, path, Resource::App, action).await?;
        let cluster = self.clusters.get(&grant.namespace.cluster)?;
        Ok((grant, cluster))
    }

    /// Apps of a namespace.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` columns.
    pub async fn list_apps(&self, ctx: &OpCtx, path: NamespacePath<'_>, query: &ListQuery) -> Result<Listed<AppRow>> {
        let (namespace, cluster) = self.namespace_for(ctx, path, Resource::App, Action::Read).await?;
        let mut page = cluster.apps(&namespace, query)?;
        if !self.authz.could_in(ctx, &namespace, Resource::Log, Action::Read) {
            page.items.iter_mut().for_each(|row| drop(row.cause_params.remove(LAST_LINE)));
        }
        Ok(Listed { page, freshness: cluster.freshness(), namespace })
    }

    /// Pods of a namespace; filter `app` for those of an app.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` columns.
    pub async fn list_pods(&self, ctx: &OpCtx, path: NamespacePath<'_>, query: &ListQuery) -> Result<Listed<PodRow>> {
        let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Workload, Action::Read).await?;
        Ok(Listed { page: cluster.pods(&namespace, query)?, freshness: cluster.freshness(), namespace })
    }

    /// Events of a namespace; filter `app` for those of an app.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`, `Invalid` columns.
    pub async fn list_events(
        &self,
        ctx: &OpCtx,
        path: NamespacePath<'_>,
        query: &ListQuery,
    ) -> Result<Listed<EventRow>> {
        let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Workload, Action::Read).await?;
        Ok(Listed { page: cluster.events(&namespace, query)?, freshness: cluster.freshness(), namespace })
    }

    /// One app, from the cache.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn get_app(&self, ctx: &OpCtx, path: AppPath<'_>) -> Result<Found> {
        let (app, cluster) = self.app_for(ctx, path, Action::Read).await?;
        let mut object = cluster.app(&app).ok_or_else(|| absent(&cluster))?;
        if !self.authz.could_in(ctx, &app.namespace, Resource::Log, Action::Read) {
            without_log_lines(&mut object);
        }
        Ok(Found { app, object, freshness: cluster.freshness() })
    }

    /// Makes an app from its name and `spec`.
    ///
    /// # Errors
    /// `Invalid` at `name` and in `spec`, all of them at once; `AlreadyExists`; forbidden; what the cluster says.
    pub async fn create_app(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
        app: &str,
        spec: &Value,
    ) -> Result<AppObject> {
        let target = format!("{tenant}/{namespace}/{}", app.chars().take(60).collect::<String>());
        let work = async {
            let (namespace_grant, _) =
                self.namespace_for(ctx, (tenant, namespace), Resource::App, Action::Create).await?;
            let (app, ()) = both(name::<AppName>("name", app, AppName::MAX), yaml::app_spec(spec).map(|_| ()))?;
            let grant = self.authz.app(ctx, (tenant, namespace, &app), Resource::App, Action::Create).await?;
            let cluster = self.clusters.get(&namespace_grant.cluster)?;
            Self::stays(&grant, &cluster, "still ")?;
            self.fits(ctx, &grant, &cluster, spec).await?;
            // One that is there already is refused as such.
            let weighed = async {
                if cluster.app(&grant).is_some() { Ok(Vec::new()) } else { self.weighed(&grant, &cluster, spec).await }
            };
            let warnings = weighed.await?;
            let object = cluster.create_app(ctx, &grant, spec).await?.warned(warnings);
            Ok(Done::with(object, json!({ "spec": redact(spec) })))
        };
        self.audited(ctx, "app.create", target, Some(tenant), work).await
    }

    /// Replaces an app's `spec`, if it still has `resource_version`.
    ///
    /// # Errors
    /// `Invalid` in `spec`; `Conflict`; `NotFound`; forbidden; what the cluster says.
    pub async fn update_app(
        &self,
        ctx: &OpCtx,
        path: AppPath<'_>,
        spec: &Value,
        resource_version: Option<&str>,
    ) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            Self::stays(&app, &cluster, "")?;
            self.fits(ctx, &app, &cluster, spec).await?;
            let warnings = self.weighed(&app, &cluster, spec).await?;
            let before = cluster.app(&app).map(|a| redact(&a.object["spec"]));
            let object = cluster.replace_app(ctx, &app, spec, resource_version).await?.warned(warnings);
            Ok(Done::with(object, json!({ "before": before, "after": redact(spec) })))
        };
        self.audited(ctx, "app.update", target(path), Some(path.0), work).await
    }

    /// Changes an app's `spec` by a JSON merge patch (RFC 7396), if it still has `resource_version`; without one the
    /// newest is changed.
    ///
    /// # Errors
    /// `Invalid` in what comes out; `Conflict`; `NotFound`; forbidden; what the cluster says.
    pub async fn patch_app(
        &self,
        ctx: &OpCtx,
        path: AppPath<'_>,
        patch: &Value,
        resource_version: Option<&str>,
    ) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            let before = cluster.app(&app).ok_or_else(|| absent(&cluster))?;
            Self::stays(&app, &cluster, "")?;
            let object = match resource_version {
                Some(version) => {
                    let mut spec = before.object["spec"].clone();
                    merge(&mut spec, patch);
                    self.fits(ctx, &app, &cluster, &spec).await?;
                    let warnings = self.weighed(&app, &cluster, &spec).await?;
                    cluster.replace_app(ctx, &app, &spec, Some(version)).await?.warned(warnings)
                }
                None => {
                    let change = |spec: &mut Value| {
                        merge(spec, patch);
                        Ok(())
                    };
                    self.change_spec(ctx, &app, &cluster, change).await?
                }
            };
            let (before, after) = (redact(&before.object["spec"]), redact(&object.object["spec"]));
            Ok(Done::with(object, json!({ "before": before, "after": after })))
        };
        self.audited(ctx, "app.update", target(path), Some(path.0), work).await
    }

    /// Changes an app's newest `spec` by `change`, trying again when somebody else was faster.
    async fn change_spec(
        &self,
        ctx: &OpCtx,
        app: &Grant<AppRef>,
        cluster: &Arc<dyn Cluster>,
        change: impl Fn(&mut Value) -> Result<()>,
    ) -> Result<AppObject> {
        let mut last = None;
        Self::stays(app, cluster, "")?;
        for _ in 0..4 {
            let current = cluster.app(app).ok_or_else(Error::not_found)?;
            let mut spec = current.object["spec"].clone();
            change(&mut spec)?;
            self.fits(ctx, app, cluster, &spec).await?;
            let warnings = self.weighed(app, cluster, &spec).await?;
            match cluster.replace_app(ctx, app, &spec, Some(&current.view.resource_version)).await {
                Err(e) if e.code() == ErrorCode::Conflict => {
                    // The cache follows the cluster; give it the time of one change.
                    ctx.clock.sleep(std::time::Duration::from_millis(100)).await;
                    last = Some(e);
                }
                other => return other.map(|object| object.warned(warnings)),
            }
        }
        Err(last.unwrap_or_else(Error::not_found))
    }

    /// Sets the number of pods of a component (its only one when absent).
    ///
    /// # Errors
    /// `Invalid` at `component` or `replicas`; `NotFound`; forbidden; what the cluster says.
    pub async fn scale_app(
        &self,
        ctx: &OpCtx,
        path: AppPath<'_>,
        component: Option<&str>,
        replicas: i32,
    ) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            let changed = self.change_spec(ctx, &app, &cluster, |spec| set_replicas(spec, component, replicas)).await;
            let object = changed.map_err(at_replicas)?;
            Ok(Done::with(object, json!({ "component": component, "replicas": replicas })))
        };
        self.audited(ctx, "app.scale", target(path), Some(path.0), work).await
    }

    /// Scales all of an app to zero, or back to what it was.
    ///
    /// # Errors
    /// `NotFound`; forbidden; what the cluster says.
    pub async fn suspend_app(&self, ctx: &OpCtx, path: AppPath<'_>, suspended: bool) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            let change = |spec: &mut Value| {
                if let Some(spec) = spec.as_object_mut() {
                    if suspended {
                        spec.insert("suspended".to_owned(), true.into())
                    } else {
                        spec.remove("suspended")
                    };
                }
                Ok(())
            };
            Ok(Done::plain(self.change_spec(ctx, &app, &cluster, change).await?))
        };
        self.audited(ctx, if suspended { "app.suspend" } else { "app.resume" }, target(path), Some(path.0), work).await
    }

    /// Replaces all pods, step by step, by new ones of the same revision.
    ///
    /// # Errors
    /// `NotFound`; forbidden; what the cluster says.
    pub async fn restart_app(&self, ctx: &OpCtx, path: AppPath<'_>) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            Self::stays(&app, &cluster, "")?;
            let warnings = match cluster.app(&app) {
                Some(found) => self.weighed(&app, &cluster, &found.object["spec"]).await?,
                None => Vec::new(),
            };
            Ok(Done::plain(cluster.restart_app(ctx, &app).await?.warned(warnings)))
        };
        self.audited(ctx, "app.restart", target(path), Some(path.0), work).await
    }

    /// Makes an old revision's `spec` the wanted one again, as a new revision.
    ///
    /// # Errors
    /// `Invalid` at `revision`; `NotFound`; forbidden; what the cluster says.
    pub async fn rollback_app(&self, ctx: &OpCtx, path: AppPath<'_>, revision: i64) -> Result<AppObject> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
            Self::stays(&app, &cluster, "")?;
            let revisions = cluster.revisions(ctx, &app).await?;
            let old = revisions.iter().find(|r| r.number == revision).ok_or_else(|| {
                let known: Vec<String> = revisions.iter().map(|r| r.number.to_string()).collect();
                let message = format!("there is no revision {revision}; there are {}", known.join(", "));
                Error::field(FieldError::new("revision", "revision_unknown", message).param("value", revision))
            })?;
            let now = cluster.app(&app).and_then(|now| serde_json::from_value(now.object["spec"].clone()).ok());
            let spec = serde_json::to_value(rolled_back(&old.spec, now.as_ref())).map_err(Error::internal)?;
            self.fits(ctx, &app, &cluster, &spec).await?;
            let warnings = self.weighed(&app, &cluster, &spec).await?;
            let object = cluster.replace_app(ctx, &app, &spec, None).await?.warned(warnings);
            Ok(Done::with(object, json!({ "revision": revision })))
        };
        self.audited(ctx, "app.rollback", target(path), Some(path.0), work).await
    }

    /// Removes an app and all that was made from it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict`; forbidden; what the cluster says.
    pub async fn delete_app(&self, ctx: &OpCtx, path: AppPath<'_>, resource_version: Option<&str>) -> Result<()> {
        let work = async {
            let (app, cluster) = self.app_for(ctx, path, Action::Delete).await?;
            let before = cluster.app(&app).map(|a| redact(&a.object["spec"]));
            cluster.delete_app(ctx, &app, resource_version).await?;
            Ok(Done::with((), json!({ "before": before })))
        };
        self.audited(ctx, "app.delete", target(path), Some(path.0), work).await
    }

    /// An app's revisions, newest first.
    ///
    /// # Errors
    /// `NotFound`; what the cluster says.
    pub async fn app_revisions(&self, ctx: &OpCtx, path: AppPath<'_>) -> Result<Vec<RevisionRow>> {
        let (app, cluster) = self.app_for(ctx, path, Action::Read).await?;
        if cluster.app(&app).is_none() {
            return Err(Error::not_found());
        }
        cluster.revisions(ctx, &app).await
    }

    /// A pod as the cluster has it.
    ///
    /// # Errors
    /// `NotFound`; what the cluster says.
    pub async fn get_pod(&self, ctx: &OpCtx, path: NamespacePath<'_>, pod: &str) -> Result<Value> {
        let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Workload, Action::Read).await?;
        cluster.pod(ctx, &namespace, pod).await
    }

    /// Removes a pod, which is then replaced.
    ///
    /// # Errors
    /// `NotFound`; forbidden; what the cluster says.
    pub async fn delete_pod(&self, ctx: &OpCtx, path: NamespacePath<'_>, pod: &str) -> Result<()> {
        let work = async {
            let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Workload, Action::Delete).await?;
            cluster.delete_pod(ctx, &namespace, pod).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "pod.delete", format!("{}/{}/{pod}", path.0, path.1), Some(path.0), work).await
    }

    /// What containers of a namespace print.
    ///
    /// # Errors
    /// `NotFound`; forbidden; what the cluster says.
    pub async fn logs(
        &self,
        ctx: &OpCtx,
        path: NamespacePath<'_>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Log, Action::Read).await?;
        cluster.logs(ctx, &namespace, query).await
    }

    /// Runs a command in a container.
    ///
    /// # Errors
    /// `NotFound`; forbidden; what the cluster says.
    pub async fn exec(
        &self,
        ctx: &OpCtx,
        path: NamespacePath<'_>,
        (pod, container): (&str, Option<&str>),
        command: &[String],
        tty: bool,
    ) -> Result<ExecSession> {
        let work = async {
            let (namespace, cluster) = self.namespace_for(ctx, path, Resource::Exec, Action::Create).await?;
            let session = cluster.exec(ctx, &namespace, pod, container, command, tty).await?;
            Ok(Done::with(session, json!({ "container": container, "command": command })))
        };
        self.audited(ctx, "pod.exec", format!("{}/{}/{pod}", path.0, path.1), Some(path.0), work).await
    }
}

fn target((tenant, namespace, app): AppPath<'_>) -> String {
    format!("{tenant}/{namespace}/{app}")
}

/// Both results, or the wrong fields of both.
fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) if a.code() == ErrorCode::Invalid && b.code() == ErrorCode::Invalid => {
            Err(Error::invalid(a.fields().iter().chain(b.fields()).cloned().collect()))
        }
        (Err(e), _) | (_, Err(e)) => Err(e),
    }
}

/// A `spec` for the audit log: values of environment variables may be secrets that somebody did not put into a Secret.
fn redact(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for component in spec["components"].as_array_mut().into_iter().flatten() {
        redact_env(component);
        for init in component["initContainers"].as_array_mut().into_iter().flatten() {
            redact_env(init);
        }
    }
    spec
}

fn redact_env(container: &mut Value) {
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else {
        return;
    };
    for var in env {
        if let Some(value) = var.get_mut("value") {
            *value = json!("…");
        }
    }
}

/// The parameter of a cause that quotes a log.
const LAST_LINE: &str = "lastLine";

/// Takes out what a container printed: not everybody who may see an app may read its logs.
fn without_log_lines(app: &mut AppObject) {
    let Some(cause) = &mut app.view.status.cause else { return };
    let lines = cause.evidence.len();
    cause.evidence.retain(|evidence| evidence.kind != EvidenceKind::Log);
    if cause.params.remove(LAST_LINE).is_none() && cause.evidence.len() == lines {
        return;
    }
    let cause = serde_json::to_value(&*cause).unwrap_or_default();
    Arc::make_mut(&mut app.object)["status"]["cause"] = cause;
}

/// What an app becomes that goes back to `old` from `now`. How many pods it has is no part of a revision (as with a
/// Deployment): going back at night must not shrink what was scaled up since.
#[must_use]
pub fn rolled_back(old: &AppSpec, now: Option<&AppSpec>) -> AppSpec {
    let mut spec = old.clone();
    let Some(now) = now else { return spec };
    spec.suspended = now.suspended;
    spec.revision_history_limit = now.revision_history_limit;
    for component in &mut spec.components {
        if let Some(same) = now.components.iter().find(|c| c.name == component.name) {
            component.replicas = same.replicas;
        }
    }
    spec
}

/// Applies a JSON merge patch (RFC 7396): objects are merged, `null` removes, all else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Some(target) = target.as_object_mut() {
        for (key, value) in patch {
            if value.is_null() {
                target.shift_remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

fn set_replicas(spec: &mut Value, component: Option<&str>, replicas: i32) -> Result<()> {
    let typed: AppSpec = yaml::typed("spec", spec)?;
    let index = match component {
        Some(name) => typed.components.iter().position(|c| c.name == name),
        None if typed.components.len() == 1 => Some(0),
        None => None,
    };
    let Some(index) = index else {
        let names: Vec<&str> = typed.components.iter().map(|c| c.name.as_str()).collect();
        let message = format!("name one of the components: {}", names.join(", "));
        return Err(Error::field(
            FieldError::new("component", "component_unknown", message).param("known", names.join(", ")),
        ));
    };
    if typed.components[index].autoscale.is_some() {
        let message = "the autoscaler sets the number of pods; change its bounds instead";
        return Err(Error::field(FieldError::new("replicas", "autoscaled", message)));
    }
    if !(0..=berth_types::app_validate::MAX_REPLICAS).contains(&replicas) {
        let max = berth_types::app_validate::MAX_REPLICAS;
        let message = format!("{replicas} is not between 0 and {max}");
        return Err(Error::field(
            FieldError::new("replicas", "number_range", message).param("min", 0).param("max", max),
        ));
    }
    spec["components"][index]["replicas"] = replicas.into();
    Ok(())
}

/// Whoever only says how many pods there shall be has no other field.
fn at_replicas(error: Error) -> Error {
    let fields = error.fields().iter().cloned().map(|mut field| {
        if field.code.starts_with("quota_") {
            "replicas".clone_into(&mut field.field);
        }
        field
    });
    let fields = fields.collect();
    error.with_fields(fields)
}

/// Why an app is not in the cache.
pub(super) fn absent(cluster: &Arc<dyn Cluster>) -> Error {
    cluster.freshness().read().err().unwrap_or_else(Error::not_found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scaling_keeps_all_else() {
        let mut spec = json!({ "components": [
            { "name": "main", "image": "a", "env": [{ "name": "A", "value": "b" }] },
            { "name": "worker", "image": "b" },
        ]});
        set_replicas(&mut spec, Some("worker"), 3).unwrap();
        assert_eq!(spec["components"][1], json!({ "name": "worker", "image": "b", "replicas": 3 }));
        assert_eq!(set_replicas(&mut spec, None, 3).unwrap_err().fields()[0].field, "component");
        assert_eq!(set_replicas(&mut spec, Some("main"), -1).unwrap_err().fields()[0].field, "replicas");
    }

    #[test]
    fn going_back_keeps_how_many() {
        let spec = |image: &str, replicas: i32| -> AppSpec {
            let main = json!({ "name": "main", "image": image, "replicas": replicas });
            let other = json!({ "name": image, "image": "b", "replicas": replicas });
            serde_json::from_value(json!({ "components": [main, other] })).unwrap()
        };
        let back = rolled_back(&spec("one", 2), Some(&spec("two", 20)));
        assert_eq!((&*back.components[0].image, back.components[0].replicas), ("one", Some(20)));
        assert_eq!((&*back.components[1].name, back.components[1].replicas), ("one", Some(2)), "it has none now");
        assert_eq!(rolled_back(&spec("one", 2), None), spec("one", 2));
    }

    #[test]
    fn merge_patches() {
        // RFC 7396, appendix A.
        for (target, patch, want) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut got = target.clone();
            merge(&mut got, &patch);
            assert_eq!(got, want, "{target} patched by {patch}");
        }
    }

    #[test]
    fn audit_holds_no_values() {
        let spec = json!({ "components": [{ "name": "main", "env": [{ "name": "A", "value": "hunter2" }],
            "initContainers": [{ "env": [{ "name": "B", "value": "hunter3" }] }] }] });
        assert!(!redact(&spec).to_string().contains("hunter"));
    }
}
