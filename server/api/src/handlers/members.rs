//! Members of a tenant.

use axum::extract::State;
use berth_core::{
    Error,
    listing::{Column, Key, Listing},
};
use berth_types::{Page, TenantRole, people::Member};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    handlers::me::ROLES,
    places::{At, InTenant, OfMember},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const MEMBERS: Columns = Columns { sorts: &["role", "user", "created"], filters: &[("role", ROLES)] };

static LISTING: Listing<Member> = Listing {
    columns: &[
        Column { name: "user", key: Some(|m| m.user.as_str().into()), value: None, facet: false },
        Column {
            name: "role",
            key: Some(|m| Key::Int(m.role as i64)),
            value: Some(|m| m.role.to_string()),
            facet: true,
        },
        Column { name: "created", key: Some(|m| m.created_at.into()), value: None, facet: false },
    ],
    search: |m| format!("{} {}", m.user, m.display_name),
    unique: "user",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_members)).routes(routes!(put_member, remove_member))
}

/// A person's role in the tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MemberRole {
    /// The role they shall have.
    pub role: TenantRole,
}

impl Input for MemberRole {}

/// List members
#[utoipa::path(get, path = "/tenants/{tenant}/members", tag = "members",
    description = "The tenant's members with their roles, strongest role first.",
    responses((status = 200, description = "Members.", body = Page<Member>)))]
pub(crate) async fn list_members(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let mut query = asked.list(&MEMBERS)?;
    if query.sort.is_empty() {
        query.sort = berth_types::ListQuery::parse_sort("role");
    }
    let members = api.services().list_members(&caller.ctx, &place.tenant).await?;
    Ok(reply::page(&asked, &LISTING.page(members, &query)?)?)
}

/// Add a member or change their role
///
/// Only owners make and unmake owners; a tenant keeps at least one. Members have no versions: the last one who sets a role
/// wins, so no `If-Match` is needed.
#[utoipa::path(put, path = "/tenants/{tenant}/members/{user}", tag = "members", request_body = MemberRole,
    responses((status = 200, description = "The member.", body = Member)))]
pub(crate) async fn put_member(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfMember>,
    Sent(wanted): Sent<MemberRole>,
) -> Reply {
    api.services().set_member(&caller.ctx, &place.tenant, &place.user, wanted.role).await?;
    let members = api.services().list_members(&caller.ctx, &place.tenant).await?;
    let member = members.iter().find(|m| m.user == place.user).ok_or_else(Error::not_found)?;
    Ok(reply::json(member)?)
}

/// Remove a member
#[utoipa::path(delete, path = "/tenants/{tenant}/members/{user}", tag = "members",
    description = "They lose all rights in the tenant at once, streams that are open included. The last owner stays.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn remove_member(State(api): State<Api>, caller: Caller, At(place): At<OfMember>) -> Reply {
    api.services().remove_member(&caller.ctx, &place.tenant, &place.user).await?;
    Ok(reply::nothing())
}
