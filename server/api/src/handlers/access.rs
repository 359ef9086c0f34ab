//! Asking for a role, and giving it.

use axum::extract::State;
use berth_core::listing::{Column, Listing};
use berth_types::{NamespaceName, Page, TenantRole, access::AccessRequest};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InTenant, OfRequest},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

const STATES: &[&str] = &["open", "approved", "declined"];
pub(crate) const ACCESS: Columns =
    Columns { sorts: &["created", "user"], filters: &[("state", STATES), ("namespace", &[])] };

static LISTING: Listing<AccessRequest> = Listing {
    columns: &[
        Column { name: "id", key: Some(|r| r.id.to_string().as_str().into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
        Column { name: "user", key: Some(|r| r.user.as_str().into()), value: None, facet: false },
        Column { name: "state", key: None, value: Some(|r| r.state.to_string()), facet: true },
        Column {
            name: "namespace",
            key: None,
            value: Some(|r| r.namespace.as_ref().map(ToString::to_string).unwrap_or_default()),
            facet: true,
        },
    ],
    search: |r| format!("{} {} {}", r.user, r.display_name, r.reason),
    // Ids begin with the time.
    unique: "id",
    descending: true,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_access_requests, create_access_request))
        .routes(routes!(approve_access_request))
        .routes(routes!(decline_access_request))
}

/// A role that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewAccessRequest {
    /// `admin`, `developer`, `viewer` or a role of the tenant's own.
    pub role: TenantRole,
    /// In this namespace alone; absent: in the whole tenant.
    #[serde(default)]
    pub namespace: Option<NamespaceName>,
    /// What for: who decides reads it.
    pub reason: String,
}

impl Input for NewAccessRequest {}

/// What is said with a decision.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccessComment {
    /// For who asked; a refusal must have one.
    #[serde(default)]
    pub comment: String,
}

impl Input for AccessComment {}

/// List requests for roles
#[utoipa::path(get, path = "/tenants/{tenant}/access-requests", tag = "members",
    description = "Those that you may decide, in the tenant or in its namespaces, and your own; newest first.",
    responses((status = 200, description = "Requests.", body = Page<AccessRequest>)))]
pub(crate) async fn list_access_requests(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&ACCESS)?;
    let all = api.services().list_access(&caller.ctx, &place.tenant).await?;
    Ok(reply::page(&asked, &LISTING.page(all, &query)?)?)
}

/// Ask for a role
///
/// In the tenant, or in one of its namespaces. It reaches who can give it: the owners and admins there. One open request a person
/// and place, and 20 a day.
#[utoipa::path(post, path = "/tenants/{tenant}/access-requests", tag = "members", request_body = NewAccessRequest,
    responses((status = 201, description = "The request.", body = AccessRequest)))]
pub(crate) async fn create_access_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewAccessRequest>,
) -> Reply {
    let at = (&place.tenant, new.namespace.as_ref());
    let made = api.services().request_access(&caller.ctx, at, new.role, &new.reason).await?;
    Ok(reply::created(&made, asked.uri.path())?)
}

/// Give the role that is asked for
///
/// Gives it, and notes who did. Never weakens what the person has by now.
#[utoipa::path(post, path = "/tenants/{tenant}/access-requests/{request}/approve", tag = "members",
    request_body = AccessComment,
    responses((status = 200, description = "The request as it is now.", body = AccessRequest)))]
pub(crate) async fn approve_access_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(said): Sent<AccessComment>,
) -> Reply {
    let decided = api.services().decide_access(&caller.ctx, &place.tenant, place.request, true, &said.comment).await?;
    Ok(reply::json(&decided)?)
}

/// Decline a request for a role
#[utoipa::path(post, path = "/tenants/{tenant}/access-requests/{request}/decline", tag = "members",
    request_body = AccessComment, description = "With a reason, which who asked reads.",
    responses((status = 200, description = "The request as it is now.", body = AccessRequest)))]
pub(crate) async fn decline_access_request(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRequest>,
    Sent(said): Sent<AccessComment>,
) -> Reply {
    let decided = api.services().decide_access(&caller.ctx, &place.tenant, place.request, false, &said.comment).await?;
    Ok(reply::json(&decided)?)
}
