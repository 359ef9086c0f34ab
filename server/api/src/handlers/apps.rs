//! Apps: list, get, create, replace, patch, delete; and watching them.

use axum::{extract::State, http::HeaderValue, response::Response};
use berth_core::{
    Error, Result,
    ports::cluster::{AppObject, CacheState, ChangeKind, Freshness},
    yaml,
};
use berth_types::{
    Action, AppSpec, FieldError, NamespaceName, Page, Resource, TenantName,
    rows::{AppRow, AppView},
};
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::preflight::services;
use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, InNamespace, OfApp},
    problem::Reply,
    query::{Asked, Columns},
    reply::{self, EVENTS, JSON, YAML},
    watch::{Concern, Seen, watch},
};

pub(crate) const PHASES: &[&str] = &["Degraded", "Progressing", "Ready", "Suspended"];
pub(crate) const APPS: Columns = Columns {
    sorts: &["name", "phase", "image", "ready", "created", "changed", "cause"],
    filters: &[("phase", PHASES), ("cause", &[]), ("image", &[]), ("name", &[])],
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_apps, create_app)).routes(routes!(
        get_app,
        replace_app,
        patch_app,
        delete_app
    ))
}

/// An app to be made. The whole object as `kubectl get -o yaml` shows it is taken too; its `status` is not read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewApp {
    /// 1 to 40 of a–z, 0–9 and -.
    pub name: String,
    /// What is wanted of it.
    #[schema(value_type = AppSpec)]
    pub spec: Value,
    #[serde(default, rename = "metadata.namespace")]
    #[schema(ignore)]
    namespace: Option<String>,
}

impl Input for NewApp {
    const YAML: bool = true;

    fn from_value(value: Value) -> Result<Self> {
        yaml::typed("", &short(value)?)
    }
}

/// What is wanted of an app from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AppReplacement {
    /// Must be the one in the path, where it is given.
    pub name: Option<String>,
    /// What is wanted of it.
    #[schema(value_type = AppSpec)]
    pub spec: Value,
    #[serde(default, rename = "metadata.namespace")]
    #[schema(ignore)]
    namespace: Option<String>,
}

impl Input for AppReplacement {
    const YAML: bool = true;

    fn from_value(value: Value) -> Result<Self> {
        yaml::typed("", &short(value)?)
    }
}

/// A JSON merge patch (RFC 7396): what it names is changed, `null` removes, lists are replaced whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AppPatch {
    /// Changes of the spec.
    #[schema(value_type = Object)]
    pub spec: Map<String, Value>,
}

impl Input for AppPatch {
    const YAML: bool = true;
    const MERGE_PATCH: bool = true;

    fn from_value(value: Value) -> Result<Self> {
        // It would mean that nothing is left of the app.
        if value.get("spec").is_some_and(Value::is_null) {
            return Err(Error::field(FieldError::new("spec", "required", "an app has a spec: name what is to change")));
        }
        yaml::typed("", &value)
    }
}

/// Where [`short`] notes `metadata.namespace`.
const KUBE_NAMESPACE: &str = "metadata.namespace";

/// Refuses an object that names another namespace than the path.
async fn same_namespace(
    api: &Api,
    caller: &Caller,
    named: Option<&str>,
    (tenant, namespace): (&TenantName, &NamespaceName),
) -> Result<()> {
    let Some(named) = named else { return Ok(()) };
    let authz = api.services().authz();
    let here = &authz.namespace(&caller.ctx, tenant, namespace, Resource::App, Action::Read).await?.kube_name;
    if *named == **here {
        return Ok(());
    }
    let message = format!("“{named}” is not the namespace in the path, which is “{here}”; leave it out");
    Err(Error::field(FieldError::new(KUBE_NAMESPACE, "must_be", message).param("want", here)))
}

/// `{name, spec}` of an object as the cluster has it; anything else stays as it is.
fn short(value: Value) -> Result<Value> {
    if value.get("kind").is_none() && value.get("apiVersion").is_none() {
        return Ok(value);
    }
    for (field, want) in [("apiVersion", "berth.dev/v1alpha1"), ("kind", "App")] {
        if value[field] != want {
            let message = format!("must be “{want}”");
            return Err(Error::field(FieldError::new(field, "value", message).param("value", want)));
        }
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(field) = value.as_object().and_then(|object| object.keys().find(|key| !known.contains(&key.as_str()))) {
        let message = format!("unknown field; known: {}", known.join(", "));
        return Err(Error::field(FieldError::new(field, "unknown_field", message)));
    }
    // What would be dropped is refused; what the cluster and Berth write themselves comes back with every object.
    let dropped = |part: &str, own: fn(&str) -> bool| {
        let entries = &value["metadata"][part];
        let listed = entries.as_array().is_some_and(|list| !list.is_empty());
        listed || entries.as_object().is_some_and(|map| map.keys().any(|key| !own(key)))
    };
    let berths = |key: &str| key.starts_with("berth.dev/") || key.starts_with("kubectl.kubernetes.io/");
    let foreground = value["metadata"]["finalizers"] == serde_json::json!(["foregroundDeletion"]);
    for (part, lost) in [
        ("labels", dropped("labels", |_| false)),
        ("annotations", dropped("annotations", berths)),
        ("finalizers", dropped("finalizers", |_| false) && !foreground),
        ("ownerReferences", dropped("ownerReferences", |_| false)),
    ] {
        if lost {
            let message = "Berth does not keep this on an app; leave it out";
            return Err(Error::field(FieldError::new(format!("metadata.{part}"), "metadata_dropped", message)));
        }
    }
    let mut short = Map::new();
    if let Some(namespace) = value.pointer("/metadata/namespace") {
        short.insert(KUBE_NAMESPACE.to_owned(), namespace.clone());
    }
    for (key, found) in [("name", value.pointer("/metadata/name")), ("spec", value.get("spec"))] {
        if let Some(found) = found {
            short.insert(key.to_owned(), found.clone());
        }
    }
    Ok(Value::Object(short))
}

/// List apps
///
/// From a cache that follows the cluster: `asOf` is its age. With `Accept: text/event-stream` the list is watched.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps", tag = "apps",
    responses((status = 200, description = "Apps.", body = Page<AppRow>)))]
pub(crate) async fn list_apps(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&APPS)?;
    if asked.accepts(&[JSON, EVENTS]) == EVENTS {
        let services = api.services().clone();
        let read = move |ctx| {
            let (services, place, query) = (services.clone(), place.clone(), query.clone());
            async move {
                let listed = services.list_apps(&ctx, place.path(), &query).await?;
                let page = reply::aged(listed.page, &listed.freshness);
                Seen::page(&listed.namespace, &page, listed.freshness, |row| row.name.to_string())
            }
            .boxed()
        };
        let concern = Concern { kinds: &[ChangeKind::App], app: None };
        return Ok(watch(&api, &caller, concern, Box::new(read)).await?);
    }
    let listed = api.services().list_apps(&caller.ctx, place.path(), &query).await?;
    listed.freshness.read()?;
    Ok(reply::page(&asked, &reply::aged(listed.page, &listed.freshness))?)
}

/// Create an app
///
/// Answers when the cluster has taken it; its pods then come up, which `status` tells. JSON or YAML.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps", tag = "apps",
    request_body(content((NewApp = "application/json"), (NewApp = "application/yaml"))),
    responses((status = 201, description = "The app.", body = AppView)))]
pub(crate) async fn create_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
    Sent(new): Sent<NewApp>,
) -> Reply {
    same_namespace(&api, &caller, new.namespace.as_deref(), place.path()).await?;
    let made = services(&api, &asked)?.create_app(&caller.ctx, place.path(), &new.name, &new.spec).await?;
    let response = reply::created(&made.view, &format!("{}/{}", asked.uri.path(), made.view.name))?;
    Ok(reply::with_tag(response, tag(&made.view.resource_version, false)))
}

/// Get an app
///
/// As YAML it is the object of the cluster, which `PUT` and `kubectl apply` take. With `Accept: text/event-stream` it is
/// watched.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}", tag = "apps",
    responses((status = 200, description = "The app.", body = AppView)))]
pub(crate) async fn get_app(State(api): State<Api>, caller: Caller, At(place): At<OfApp>, asked: Asked) -> Reply {
    let kind = asked.accepts(&[JSON, YAML, EVENTS]);
    if kind == EVENTS {
        return Ok(watch_app(&api, &caller, place).await?);
    }
    let found = api.services().get_app(&caller.ctx, place.path()).await?;
    let version = &found.object.view.resource_version;
    let response = if kind == YAML {
        reply::text(YAML, yaml::print(&found.object.object)?)
    } else {
        reply::json(&found.object.view)?
    };
    let response = reply::unless_known(&asked, response, tag(version, kind == YAML));
    Ok(with_age(response, &found.freshness))
}

/// What a cluster that does not answer last said is old: says so.
fn with_age(mut response: Response, freshness: &Freshness) -> Response {
    let headers = response.headers_mut();
    headers.insert("vary", HeaderValue::from_static("accept"));
    if let (CacheState::Stale { .. }, Some(as_of)) = (&freshness.state, freshness.as_of)
        && let Ok(as_of) = HeaderValue::from_str(&as_of.to_string())
    {
        headers.insert("berth-as-of", as_of);
    }
    response
}

async fn watch_app(api: &Api, caller: &Caller, place: OfApp) -> Result<Response> {
    // What is not there cannot be watched; what goes away while it is watched is a `delete`.
    api.services().get_app(&caller.ctx, place.path()).await?;
    let app = Some(place.app.to_string());
    let services = api.services().clone();
    let read = move |ctx| {
        let (services, place) = (services.clone(), place.clone());
        async move {
            let grant = services.authz().app(&ctx, place.path(), Resource::App, Action::Read).await?;
            let cluster = services.clusters().get(&grant.namespace.cluster)?;
            let view = cluster.app(&grant).map(|found| serde_json::to_value(&found.view)).transpose();
            let view = view.map_err(Error::internal)?;
            Ok(Seen {
                namespace: grant.namespace.clone(),
                snapshot: view.clone().unwrap_or(Value::Null),
                total: usize::from(view.is_some()),
                rows: view.into_iter().map(|view| (grant.name.to_string(), view)).collect(),
                freshness: cluster.freshness(),
            })
        }
        .boxed()
    };
    watch(api, caller, Concern { kinds: &[ChangeKind::App], app }, Box::new(read)).await
}

/// Replace an app
///
/// Needs `If-Match`: the `ETag` of the version that you read, or `*`. JSON or YAML.
#[utoipa::path(put, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}", tag = "apps",
    request_body(content((AppReplacement = "application/json"), (AppReplacement = "application/yaml"))),
    responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn replace_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(wanted): Sent<AppReplacement>,
) -> Reply {
    let version = IfMatch::read(&asked.headers)?.required()?;
    if let Some(name) = wanted.name.filter(|name| name != place.app.as_str()) {
        let message = format!("“{name}” is not the app in the path, which is “{}”; an app keeps its name", place.app);
        return Err(Error::field(FieldError::new("name", "name_differs", message).param("value", &place.app)).into());
    }
    same_namespace(&api, &caller, wanted.namespace.as_deref(), (&place.tenant, &place.namespace)).await?;
    let changed = services(&api, &asked)?.update_app(&caller.ctx, place.path(), &wanted.spec, version.as_deref()).await;
    changed_app(changed.map_err(failed))
}

/// Change an app
///
/// A JSON merge patch (RFC 7396) of `{"spec": …}`: what it names is changed, `null` removes, lists are replaced whole. With
/// `If-Match`, only the version that you read is changed.
#[utoipa::path(patch, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}", tag = "apps",
    request_body(content((AppPatch = "application/merge-patch+json"), (AppPatch = "application/json"),
        (AppPatch = "application/yaml"))),
    responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn patch_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(patch): Sent<AppPatch>,
) -> Reply {
    let version = IfMatch::read(&asked.headers)?.version();
    let patch = Value::Object(patch.spec);
    let changed = services(&api, &asked)?.patch_app(&caller.ctx, place.path(), &patch, version.as_deref()).await;
    changed_app(changed.map_err(|e| if version.is_some() { failed(e) } else { e }))
}

/// An app after a change.
pub(crate) fn changed_app(changed: Result<AppObject>) -> Reply {
    let view = changed?.view;
    Ok(reply::with_tag(reply::json(&view)?, tag(&view.resource_version, false)))
}

/// Delete an app
///
/// Its pods and all that was made from it go too. With `If-Match`, only the version that you read is deleted.
#[utoipa::path(delete, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}", tag = "apps",
    responses((status = 204, description = "Deleted; its pods may take a moment to stop.")))]
pub(crate) async fn delete_app(State(api): State<Api>, caller: Caller, At(place): At<OfApp>, asked: Asked) -> Reply {
    asked.only(&[])?;
    let version = IfMatch::read(&asked.headers)?.version();
    let deleted = api.services().delete_app(&caller.ctx, place.path(), version.as_deref()).await;
    deleted.map_err(|e| if version.is_some() { failed(e) } else { e })?;
    Ok(reply::nothing())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use berth_types::{AppPhase, ErrorCode};
    use serde_json::json;

    #[test]
    fn phases_are_all_there() {
        assert!(AppPhase::ALL.iter().map(|p| p.as_str()).eq(PHASES.iter().copied()));
    }

    #[test]
    fn manifests_are_understood() {
        let manifest = json!({ "apiVersion": "berth.dev/v1alpha1", "kind": "App",
            "metadata": { "name": "shop", "namespace": "a-b" }, "spec": { "components": [] }, "status": {} });
        let new = NewApp::from_value(manifest.clone()).unwrap();
        assert_eq!((new.name.as_str(), new.spec), ("shop", json!({ "components": [] })));
        for (field, value) in [("kind", json!("Deployment")), ("apiVersion", json!("apps/v1")), ("data", json!({}))] {
            let mut wrong = manifest.clone();
            wrong[field] = value;
            let error = NewApp::from_value(wrong).unwrap_err();
            assert_eq!((error.code(), error.fields()[0].field.as_str()), (ErrorCode::Invalid, field));
        }
        let error = NewApp::from_value(json!({ "name": "shop" })).unwrap_err();
        assert_eq!(error.fields()[0].field, "spec", "{error}");
    }
}
