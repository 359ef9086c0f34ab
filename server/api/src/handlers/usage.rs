//! What namespaces and tenants took and used over time.

use axum::extract::State;
use berth_core::{Error, ports::clusters::unknown, usage::Window};
use berth_types::{ClusterId, usage::UsageHistory};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    caller::Caller,
    places::{At, InNamespace, InTenant},
    problem::{Failure, Reply},
    query::Asked,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(get_namespace_history)).routes(routes!(get_tenant_history))
}

fn window(asked: &Asked, caller: &Caller) -> Result<Window, Failure> {
    let (from, to, step) = (asked.one("from")?, asked.one("to")?, asked.one("step")?);
    Ok(Window::read(from, to, step, caller.ctx.now()).map_err(Error::invalid)?)
}

/// Get what a namespace took and used
///
/// As it is now, over the whole time, and step by step: what was in use (as metrics-server measures it), what pods asked for, their
/// limits, and the quota then. Sampled every five minutes, kept for 30 days; times are taken to the hour. `used` is absent where
/// it was not measured, and a step with `hours` 0 is a gap: neither is nothing. `idle` is what was asked for and not used.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/usage/history", tag = "quotas",
    params(
        ("from" = Option<String>, Query, description = "The first hour (default: 30 days before `to`).", example = "2026-11-13T08:00:00Z"),
        ("to" = Option<String>, Query, description = "Up to this hour, at most 30 days after `from` (default: now).", example = "2026-11-20T08:00:00Z"),
        ("step" = Option<String>, Query, description = "Whole hours: `1h`, `6h`, `24h` (default: `6h`, or `1h` for a week and less).", example = "6h"),
    ),
    responses((status = 200, description = "The history.", body = UsageHistory)))]
pub(crate) async fn get_namespace_history(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    asked.only(&["from", "to", "step"])?;
    let (tenant, namespace) = place.path();
    let window = window(&asked, &caller)?;
    let looked = api.services().namespace_history(&caller.ctx, tenant, namespace, window).await?;
    Ok(reply::tagged(&asked, &looked.history())?)
}

/// Get what a tenant took and used
///
/// The same of all its namespaces on a cluster together. Where the use of one is not known, that of all is not. A namespace that was
/// removed has no history any more, neither here.
#[utoipa::path(get, path = "/tenants/{tenant}/usage/history", tag = "quotas",
    params(
        ("cluster" = Option<String>, Query, description = "The cluster (default: the first that Berth knows).", example = "local"),
        ("from" = Option<String>, Query, description = "The first hour (default: 30 days before `to`).", example = "2026-11-13T08:00:00Z"),
        ("to" = Option<String>, Query, description = "Up to this hour, at most 30 days after `from` (default: now).", example = "2026-11-20T08:00:00Z"),
        ("step" = Option<String>, Query, description = "Whole hours: `1h`, `6h`, `24h` (default: `6h`, or `1h` for a week and less).", example = "6h"),
    ),
    responses((status = 200, description = "The history.", body = UsageHistory)))]
pub(crate) async fn get_tenant_history(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    asked.only(&["cluster", "from", "to", "step"])?;
    let cluster = asked.one("cluster")?.map(|id| id.parse::<ClusterId>().map_err(|_| unknown(id))).transpose()?;
    let window = window(&asked, &caller)?;
    let looked = api.services().tenant_history(&caller.ctx, &place.tenant, cluster.as_ref(), window).await?;
    Ok(reply::tagged(&asked, &looked.history())?)
}
