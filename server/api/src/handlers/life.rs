//! Tenants and namespaces that are suspended, removed and taken back.

use axum::extract::State;
use berth_types::life::Mark;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InNamespace, InTenant},
    problem::Reply,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(suspend_tenant))
        .routes(routes!(resume_tenant))
        .routes(routes!(remove_tenant))
        .routes(routes!(restore_tenant))
        .routes(routes!(remove_namespace))
        .routes(routes!(restore_namespace))
}

/// Why a tenant is put to rest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Suspension {
    /// What its members read; at most 500 characters.
    pub reason: String,
}

impl Input for Suspension {}

/// Suspend a tenant
///
/// Platform admins only. All its apps are scaled to zero, while their specs stay as they are; nothing in it can be changed until it
/// is resumed. Volumes and other data stay.
#[utoipa::path(post, path = "/tenants/{tenant}/suspend", tag = "tenants", request_body = Suspension,
    responses((status = 202, description = "Who suspended it, when and why. The apps stop one by one.", body = Mark)))]
pub(crate) async fn suspend_tenant(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    Sent(sent): Sent<Suspension>,
) -> Reply {
    let mark = api.services().suspend_tenant(&caller.ctx, &place.tenant, &sent.reason).await?;
    Ok(reply::accepted(&mark)?)
}

/// Resume a tenant
///
/// Platform admins only. Its apps run again as their specs say.
#[utoipa::path(post, path = "/tenants/{tenant}/resume", tag = "tenants",
    responses((status = 204, description = "It is resumed. The apps start one by one.")))]
pub(crate) async fn resume_tenant(State(api): State<Api>, caller: Caller, At(place): At<InTenant>) -> Reply {
    api.services().resume_tenant(&caller.ctx, &place.tenant).await?;
    Ok(reply::nothing())
}

/// Remove a tenant
///
/// Its owners and platform admins. It is suspended at once, can be taken back until `until`, and is then gone with its namespaces
/// and all that is in them. The audit log stays.
#[utoipa::path(delete, path = "/tenants/{tenant}", tag = "tenants",
    responses((status = 202, description = "When it is gone for good.", body = Mark)))]
pub(crate) async fn remove_tenant(State(api): State<Api>, caller: Caller, At(place): At<InTenant>) -> Reply {
    let mark = api.services().remove_tenant(&caller.ctx, &place.tenant, "").await?;
    Ok(reply::accepted(&mark)?)
}

/// Take a tenant back
///
/// One that was removed, before its time is over. One that was suspended before is so again.
#[utoipa::path(post, path = "/tenants/{tenant}/restore", tag = "tenants",
    responses((status = 204, description = "It is not removed any more.")))]
pub(crate) async fn restore_tenant(State(api): State<Api>, caller: Caller, At(place): At<InTenant>) -> Reply {
    api.services().restore_tenant(&caller.ctx, &place.tenant).await?;
    Ok(reply::nothing())
}

/// Remove a namespace
///
/// Owners and admins of the tenant. Its apps stop at once; it can be taken back until `until`, and is then gone with all that is in
/// it. What it has of the tenant's quota is free when it is gone.
#[utoipa::path(delete, path = "/tenants/{tenant}/namespaces/{namespace}", tag = "namespaces",
    responses((status = 202, description = "When it is gone for good.", body = Mark)))]
pub(crate) async fn remove_namespace(State(api): State<Api>, caller: Caller, At(place): At<InNamespace>) -> Reply {
    let (tenant, namespace) = place.path();
    let mark = api.services().remove_namespace(&caller.ctx, tenant, namespace, "").await?;
    Ok(reply::accepted(&mark)?)
}

/// Take a namespace back
///
/// One that was removed, before its time is over.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces/{namespace}/restore", tag = "namespaces",
    responses((status = 204, description = "It is not removed any more.")))]
pub(crate) async fn restore_namespace(State(api): State<Api>, caller: Caller, At(place): At<InNamespace>) -> Reply {
    let (tenant, namespace) = place.path();
    api.services().restore_namespace(&caller.ctx, tenant, namespace).await?;
    Ok(reply::nothing())
}
