//! What can be done with an app besides changing its spec: scale, restart, suspend, resume, roll back; its revisions.

use axum::extract::State;
use berth_core::{
    Error,
    listing::{Column, Listing},
};
use berth_types::{
    Page,
    rows::{AppView, RevisionRow},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{apps::changed_app, preflight::services};
use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, OfApp, OfRevision},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const REVISIONS: Columns = Columns { sorts: &["number", "created"], filters: &[("by", &[])] };

static LISTING: Listing<RevisionRow> = Listing {
    columns: &[
        Column { name: "number", key: Some(|r| r.number.into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column { name: "by", key: None, value: Some(|r| r.by.clone().unwrap_or_default()), facet: true },
    ],
    search: |r| r.images.join(" "),
    unique: "number",
    descending: true,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(scale_app))
        .routes(routes!(restart_app))
        .routes(routes!(suspend_app))
        .routes(routes!(resume_app))
        .routes(routes!(rollback_app))
        .routes(routes!(list_revisions))
        .routes(routes!(get_revision))
        .routes(routes!(diff_revision))
}

/// How many pods a component shall have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Scale {
    /// The component; may be left out when the app has only one.
    pub component: Option<String>,
    /// Pods wanted, 0 to 1000.
    #[schema(minimum = 0, maximum = 1000)]
    pub replicas: i32,
}

impl Input for Scale {}

/// Nothing needs to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

impl Input for Nothing {}

/// Which revision shall be wanted again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rollback {
    /// Its number.
    pub revision: i64,
}

impl Input for Rollback {}

/// What differs between two revisions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionDiff {
    /// The older text.
    pub from: i64,
    /// The newer text; absent: what is wanted now.
    pub to: Option<i64>,
    /// A unified diff of their specs as YAML; empty when they do not differ.
    pub unified: String,
}

/// Scale an app
///
/// Sets the number of pods of one component. An autoscaled component is refused: change its bounds instead.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/scale", tag = "apps",
    request_body = Scale, responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn scale_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(scale): Sent<Scale>,
) -> Reply {
    let (component, replicas) = (scale.component.as_deref(), scale.replicas);
    changed_app(services(&api, &asked)?.scale_app(&caller.ctx, place.path(), component, replicas).await)
}

/// Restart an app
///
/// Replaces all pods, step by step, by new ones of the same revision.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/restart", tag = "apps",
    request_body = Nothing, responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn restart_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(Nothing {}): Sent<Nothing>,
) -> Reply {
    changed_app(services(&api, &asked)?.restart_app(&caller.ctx, place.path()).await)
}

/// Suspend an app
///
/// Scales all of it to zero and remembers what it was.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/suspend", tag = "apps",
    request_body = Nothing, responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn suspend_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(Nothing {}): Sent<Nothing>,
) -> Reply {
    asked.only(&[])?;
    changed_app(api.services().suspend_app(&caller.ctx, place.path(), true).await)
}

/// Resume an app
///
/// Scales a suspended app back to what it was.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/resume", tag = "apps",
    request_body = Nothing, responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn resume_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(Nothing {}): Sent<Nothing>,
) -> Reply {
    changed_app(services(&api, &asked)?.suspend_app(&caller.ctx, place.path(), false).await)
}

/// Roll an app back
///
/// Makes an old revision's spec the wanted one again, as a new revision. How many pods there are stays as it is.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/rollback", tag = "apps",
    request_body = Rollback, responses((status = 200, description = "The app as it is now.", body = AppView)))]
pub(crate) async fn rollback_app(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
    Sent(wanted): Sent<Rollback>,
) -> Reply {
    changed_app(services(&api, &asked)?.rollback_app(&caller.ctx, place.path(), wanted.revision).await)
}

/// List revisions
///
/// What was wanted of the app before, newest first, as far as `revisionHistoryLimit` reaches.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/revisions", tag = "revisions",
    responses((status = 200, description = "Revisions.", body = Page<RevisionRow>)))]
pub(crate) async fn list_revisions(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfApp>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&REVISIONS)?;
    let revisions = api.services().app_revisions(&caller.ctx, place.path()).await?;
    Ok(reply::page(&asked, &LISTING.page(revisions, &query)?)?)
}

/// Get a revision
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/revisions/{revision}", tag = "revisions",
    description = "What was wanted of the app in one revision.",
    responses((status = 200, description = "The revision.", body = RevisionRow)))]
pub(crate) async fn get_revision(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRevision>,
    asked: Asked,
) -> Reply {
    let revisions = api.services().app_revisions(&caller.ctx, place.path()).await?;
    let revision = revisions.iter().find(|r| r.number == place.revision).ok_or_else(Error::not_found)?;
    Ok(reply::tagged(&asked, revision)?)
}

/// Compare a revision
///
/// With another revision (`to`), or with what is wanted now.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/apps/{app}/revisions/{revision}/diff",
    tag = "revisions",
    params(("to" = Option<i64>, Query, description = "The other revision (default: what is wanted now).", example = 3)),
    responses((status = 200, description = "What differs.", body = RevisionDiff)))]
pub(crate) async fn diff_revision(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRevision>,
    asked: Asked,
) -> Reply {
    asked.only(&["to"])?;
    let (from, to) = (place.revision, asked.number("to", 1, i64::MAX)?);
    let unified = api.services().diff_revisions(&caller.ctx, place.path(), from, to).await?;
    Ok(reply::tagged(&asked, &RevisionDiff { from, to, unified })?)
}
