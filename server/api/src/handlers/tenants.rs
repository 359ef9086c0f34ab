//! Tenants.

use axum::extract::State;
use berth_core::{
    authz::TenantRef,
    listing::{Column, Listing},
};
use berth_types::{Page, TenantName, TenantRole, UserName, life::Halt, people::Tenant};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    handlers::me::ROLES,
    places::{At, InTenant},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const TENANTS: Columns = Columns { sorts: &["name", "displayName"], filters: &[("role", ROLES)] };

static LISTING: Listing<TenantSummary> = Listing {
    columns: &[
        Column { name: "name", key: Some(|t| t.name.as_str().into()), value: None, facet: false },
        Column { name: "displayName", key: Some(|t| t.display_name.as_str().into()), value: None, facet: false },
        Column {
            name: "role",
            key: None,
            value: Some(|t| t.role.map(|r| r.to_string()).unwrap_or_default()),
            facet: false,
        },
    ],
    search: |t| format!("{} {}", t.name, t.display_name),
    unique: "name",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_tenants, create_tenant)).routes(routes!(get_tenant, update_tenant))
}

/// A tenant in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantSummary {
    /// Never changes.
    pub id: Uuid,
    /// Stands in URLs.
    pub name: TenantName,
    /// What people call it.
    pub display_name: String,
    /// Your role in it; absent when you see it by a role on the platform.
    pub role: Option<TenantRole>,
}

impl TenantSummary {
    pub(crate) fn of(tenant: &TenantRef) -> Self {
        Self {
            id: tenant.id,
            name: tenant.name.clone(),
            display_name: tenant.display_name.to_string(),
            role: tenant.role,
        }
    }
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantView {
    /// Never changes.
    pub id: Uuid,
    /// Stands in URLs and in the names of its namespaces.
    pub name: TenantName,
    /// What people call it.
    pub display_name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Why nothing runs in it and nothing can be changed, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// Counts changes; its `ETag`.
    pub version: i64,
    /// Your role in it; absent when you see it by a role on the platform.
    pub role: Option<TenantRole>,
}

impl TenantView {
    pub(crate) fn of(tenant: Tenant, role: Option<TenantRole>) -> Self {
        let Tenant { id, name, display_name, created_at, halt, version } = tenant;
        Self { id, name, display_name, created_at, halt, version, role }
    }
}

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewTenant {
    /// 1 to 30 of a–z, 0–9 and -.
    pub name: String,
    /// What people call it (default: its name).
    #[serde(default)]
    pub display_name: String,
    /// Its first owner (default: you).
    pub owner: Option<UserName>,
}

impl Input for NewTenant {}

/// What changes of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TenantChange {
    /// What people call it; 1 to 60 characters.
    pub display_name: String,
}

impl Input for TenantChange {
    const MERGE_PATCH: bool = true;
}

/// List tenants
///
/// Those that you are a member of; all of them for people with a role on the platform.
#[utoipa::path(get, path = "/tenants", tag = "tenants",
    responses((status = 200, description = "Tenants.", body = Page<TenantSummary>)))]
pub(crate) async fn list_tenants(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&TENANTS)?;
    let tenants = api.services().list_tenants(&caller.ctx).await?;
    let page = LISTING.page(tenants.iter().map(|t| TenantSummary::of(t)).collect(), &query)?;
    Ok(reply::page(&asked, &page)?)
}

/// Create a tenant
///
/// Platform admins only.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, description = "The tenant.", body = TenantView)))]
pub(crate) async fn create_tenant(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewTenant>,
) -> Reply {
    let made = api.services().create_tenant(&caller.ctx, &new.name, &new.display_name, new.owner.as_ref()).await?;
    let role = caller.person()?.name.clone();
    let role = new.owner.is_none_or(|owner| owner == role).then_some(TenantRole::Owner);
    let (location, version) = (format!("{}/{}", asked.uri.path(), made.name), made.version);
    Ok(reply::with_tag(reply::created(&TenantView::of(made, role), &location)?, tag(version, false)))
}

/// Get a tenant
#[utoipa::path(get, path = "/tenants/{tenant}", tag = "tenants", description = "One tenant, with your role in it.",
    responses((status = 200, description = "The tenant.", body = TenantView)))]
pub(crate) async fn get_tenant(State(api): State<Api>, caller: Caller, At(place): At<InTenant>, asked: Asked) -> Reply {
    let (grant, tenant) = api.services().get_tenant(&caller.ctx, &place.tenant).await?;
    let tag = tag(tenant.version, false);
    Ok(reply::unless_known(&asked, reply::json(&TenantView::of(tenant, grant.role))?, tag))
}

/// Change a tenant
///
/// With `If-Match`, only the version that you read is changed.
#[utoipa::path(patch, path = "/tenants/{tenant}", tag = "tenants",
    request_body(content((TenantChange = "application/merge-patch+json"), (TenantChange = "application/json"))),
    responses((status = 200, description = "The tenant as it is now.", body = TenantView)))]
pub(crate) async fn update_tenant(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(change): Sent<TenantChange>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let (grant, mut tenant) = api.services().get_tenant(&caller.ctx, &place.tenant).await?;
    let version = known.unwrap_or(tenant.version);
    let changed = api.services().rename_tenant(&caller.ctx, &place.tenant, &change.display_name, version).await;
    tenant.version = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    tenant.display_name = change.display_name.trim().to_owned();
    let tag = tag(tenant.version, false);
    Ok(reply::with_tag(reply::json(&TenantView::of(tenant, grant.role))?, tag))
}
