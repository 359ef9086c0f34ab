//! Pods, events and logs.

use axum::extract::State;
use berth_core::{
    audit::chain::hex,
    ports::cluster::{ChangeKind, LogQuery},
};
use berth_types::{
    Page,
    rows::{EventRow, PodRow},
};
use futures::FutureExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    caller::Caller,
    logs,
    places::{At, InNamespace, OfApp, OfPod},
    problem::Reply,
    query::{Asked, Columns},
    reply::{self, EVENTS, JSON},
    watch::{Concern, Seen, watch},
};

const POD_PHASES: &[&str] = &["failing", "waiting", "starting", "not-ready", "running", "stopping", "done"];
pub(crate) const PODS: Columns = Columns {
    sorts: &["name", "phase", "reason", "node", "restarts", "created", "app", "component"],
    filters: &[("app", &[]), ("component", &[]), ("phase", POD_PHASES), ("reason", &[]), ("node", &[]), ("name", &[])],
};
pub(crate) const EVENT_COLUMNS: Columns = Columns {
    sorts: &["last", "kind", "reason", "object", "app", "count"],
    filters: &[("app", &[]), ("kind", &["Normal", "Warning"]), ("reason", &[]), ("object", &[])],
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_pods))
        .routes(routes!(get_pod, delete_pod))
        .routes(routes!(list_events))
        .routes(routes!(app_logs))
        .routes(routes!(pod_logs))
}

/// List pods
///
/// Of a namespace, or of one app with `app=…`. From a cache that follows the cluster. With `Accept: text/event-stream` the
/// list is watched.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/pods", tag = "workloads",
    responses((status = 200, description = "Pods.", body = Page<PodRow>)))]
pub(crate) async fn list_pods(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&PODS)?;
    if asked.accepts(&[JSON, EVENTS]) == EVENTS {
        let concern = Concern { kinds: &[ChangeKind::Pod], app: only_app(&query) };
        let services = api.services().clone();
        let read = move |ctx| {
            let (services, place, query) = (services.clone(), place.clone(), query.clone());
            async move {
                let listed = services.list_pods(&ctx, place.path(), &query).await?;
                let page = reply::aged(listed.page, &listed.freshness);
                Seen::page(&listed.namespace, &page, listed.freshness, |row| row.name.to_string())
            }
            .boxed()
        };
        return Ok(watch(&api, &caller, concern, Box::new(read)).await?);
    }
    let listed = api.services().list_pods(&caller.ctx, place.path(), &query).await?;
    listed.freshness.read()?;
    Ok(reply::page(&asked, &reply::aged(listed.page, &listed.freshness))?)
}

/// The app whose changes alone matter, if it is one.
fn only_app(query: &berth_types::ListQuery) -> Option<String> {
    match query.filters.get("app").map(Vec::as_slice) {
        Some([app]) => Some(app.clone()),
        _ => None,
    }
}

/// Get a pod
///
/// As the cluster has it, but for `managedFields`.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/pods/{pod}", tag = "workloads",
    responses((status = 200, description = "The pod, a Kubernetes object.", body = Object)))]
pub(crate) async fn get_pod(State(api): State<Api>, caller: Caller, At(place): At<OfPod>, asked: Asked) -> Reply {
    let pod: Value = api.services().get_pod(&caller.ctx, place.path(), &place.pod).await?;
    Ok(reply::tagged(&asked, &pod)?)
}

/// Delete a pod
///
/// Its app makes a new one in its place.
#[utoipa::path(delete, path = "/tenants/{tenant}/namespaces/{namespace}/pods/{pod}", tag = "workloads",
    responses((status = 204, description = "It stops, within its grace period.")))]
pub(crate) async fn delete_pod(State(api): State<Api>, caller: Caller, At(place): At<OfPod>) -> Reply {
    api.services().delete_pod(&caller.ctx, place.path(), &place.pod).await?;
    Ok(reply::nothing())
}

/// List events
///
/// What happened in the namespace, or to one app with `app=…`, newest first; the cluster forgets after about an hour. With
/// `Accept: text/event-stream` the list is watched.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/events", tag = "workloads",
    responses((status = 200, description = "Events.", body = Page<EventRow>)))]
pub(crate) async fn list_events(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&EVENT_COLUMNS)?;
    if asked.accepts(&[JSON, EVENTS]) == EVENTS {
        let concern = Concern { kinds: &[ChangeKind::Event], app: only_app(&query) };
        let services = api.services().clone();
        let read = move |ctx| {
            let (services, place, query) = (services.clone(), place.clone(), query.clone());
            async move {
                let listed = services.list_events(&ctx, place.path(), &query).await?;
                let page = reply::aged(listed.page, &listed.freshness);
                Seen::page(&listed.namespace, &page, listed.freshness, event_key)
            }
            .boxed()
        };
        return Ok(watch(&api, &caller, concern, Box::new(read)).await?);
    }
    let listed = api.services().list_events(&caller.ctx, place.path(), &query).await?;
    listed.freshness.read()?;
    Ok(reply::page(&asked, &reply::aged(listed.page, &listed.freshness))?)
}

/// Rows of events have no name: what stays the same while an event repeats is its key.
fn event_key(event: &EventRow) -> String {
    let mut hash = Sha256::new();
    for part in [&event.kind, &event.reason, &event.object, &event.message] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(event.first_at.to_string());
    hex(&hash.finalize()[..8])
}

/// Read the logs of an app
///
/// Of all its pods, merged by time. As text each line begins with `[pod/container]`; NDJSON and server-sent events have
/// whole `LogLine`s. With `follow=true` it goes on as lines come, also from pods that come later.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/logs", tag = "workloads",
    params(("component" = Option<String>, Query, description = "Only pods of this component.", example = "main")),
    responses((status = 200, description = "Lines.", body = String, content_type = "text/plain")))]
pub(crate) async fn app_logs(State(api): State<Api>, caller: Caller, At(place): At<OfApp>, asked: Asked) -> Reply {
    let query = logs::query(&asked, LogQuery { app: Some(place.app.to_string()), ..LogQuery::default() })?;
    // An app without pods has empty logs; one that does not exist has none.
    let found = api.services().get_app(&caller.ctx, place.path()).await?;
    let components = found.object.view.spec.components.iter();
    logs::known_component(&query, components.clone().map(|c| c.name.as_str()))?;
    logs::known_container(
        &query,
        components.flat_map(|c| {
            std::iter::once(c.name.as_str()).chain(c.init_containers.iter().map(|init| init.name.as_str()))
        }),
    )?;
    let namespace = InNamespace { tenant: place.tenant, namespace: place.namespace };
    Ok(logs::respond(&api, &caller, &asked, namespace, query).await?)
}

/// Read the logs of a pod
///
/// As text only what its containers printed; NDJSON and server-sent events have whole `LogLine`s. With `follow=true` it
/// goes on as lines come.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/pods/{pod}/logs", tag = "workloads",
    responses((status = 200, description = "Lines.", body = String, content_type = "text/plain")))]
pub(crate) async fn pod_logs(State(api): State<Api>, caller: Caller, At(place): At<OfPod>, asked: Asked) -> Reply {
    let query = logs::query(&asked, LogQuery { pod: Some(place.pod.clone()), ..LogQuery::default() })?;
    if query.container.is_some() {
        let pod = api.services().get_pod(&caller.ctx, place.path(), &place.pod).await?;
        let lists = ["initContainers", "containers", "ephemeralContainers"].into_iter().map(|list| &pod["spec"][list]);
        let containers = lists.filter_map(Value::as_array).flatten().filter_map(|c| c["name"].as_str());
        logs::known_container(&query, containers)?;
    }
    let namespace = InNamespace { tenant: place.tenant, namespace: place.namespace };
    Ok(logs::respond(&api, &caller, &asked, namespace, query).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_types::rows::PodPhase;

    #[test]
    fn phases_are_all_there() {
        assert!(PodPhase::ALL.iter().map(|p| p.as_str()).eq(POD_PHASES.iter().copied()));
    }
}
