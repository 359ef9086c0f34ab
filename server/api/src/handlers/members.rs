//! Members of a tenant, and who has which role in a namespace.

use axum::extract::State;
use berth_core::{
    Error,
    listing::{Column, Key, Listing},
};
use berth_types::{
    Page, TenantRole,
    people::{Member, NamespaceMember},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InNamespace, InTenant, OfMember, OfNamespaceMember},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const MEMBERS: Columns = Columns { sorts: &["role", "user", "created"], filters: &[("role", &[])] };

/// A listing of people with a role, whichever place gives it.
macro_rules! with_role {
    ($person:ty) => {
        Listing::<$person> {
            columns: &[
                Column { name: "user", key: Some(|m| m.user.as_str().into()), value: None, facet: false },
                Column {
                    name: "role",
                    key: Some(|m| Key::Int(m.role.place())),
                    value: Some(|m| m.role.to_string()),
                    facet: true,
                },
                Column { name: "created", key: Some(|m| m.created_at.into()), value: None, facet: false },
            ],
            search: |m| format!("{} {}", m.user, m.display_name),
            unique: "user",
            descending: false,
        }
    };
}

static LISTING: Listing<Member> = with_role!(Member);
static HERE: Listing<NamespaceMember> = with_role!(NamespaceMember);

/// The list that was asked for, the strongest role first where nothing else was.
fn by_role(asked: &Asked) -> Result<berth_types::ListQuery, Error> {
    let mut query = asked.list(&MEMBERS)?;
    if query.sort.is_empty() {
        query.sort = berth_types::ListQuery::parse_sort("role");
    }
    Ok(query)
}

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_members))
        .routes(routes!(put_member, remove_member))
        .routes(routes!(list_namespace_members))
        .routes(routes!(put_namespace_member, remove_namespace_member))
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
    let query = by_role(&asked)?;
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
    description = "They lose all rights in the tenant and in its namespaces at once, streams that are open included. The last \
        owner stays.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn remove_member(State(api): State<Api>, caller: Caller, At(place): At<OfMember>) -> Reply {
    api.services().remove_member(&caller.ctx, &place.tenant, &place.user).await?;
    Ok(reply::nothing())
}

/// List who has a role in a namespace
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/members", tag = "members",
    description = "All who have a role in the namespace, by the whole tenant or given here alone. `role` is what counts: the \
        stronger of the two. Strongest first.",
    responses((status = 200, description = "Members.", body = Page<NamespaceMember>)))]
pub(crate) async fn list_namespace_members(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let query = by_role(&asked)?;
    let members = api.services().list_namespace_members(&caller.ctx, place.path()).await?;
    Ok(reply::page(&asked, &HERE.page(members, &query)?)?)
}

/// Give a role in a namespace
///
/// Or change the one that was given. They need not belong to the tenant: who does not sees its name and this namespace, nothing
/// else. A namespace has no owner, and nobody gives more than they have; a role that gives no more than the person has in the
/// whole tenant is refused.
#[utoipa::path(put, path = "/tenants/{tenant}/namespaces/{namespace}/members/{user}", tag = "members",
    request_body = MemberRole,
    responses((status = 200, description = "The member.", body = NamespaceMember)))]
pub(crate) async fn put_namespace_member(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfNamespaceMember>,
    Sent(wanted): Sent<MemberRole>,
) -> Reply {
    let path = (&place.tenant, &place.namespace);
    let member = api.services().set_namespace_member(&caller.ctx, path, &place.user, wanted.role).await?;
    Ok(reply::json(&member)?)
}

/// Take a role in a namespace away
#[utoipa::path(delete, path = "/tenants/{tenant}/namespaces/{namespace}/members/{user}", tag = "members",
    description = "What they were given here alone ends at once, streams that are open included. What they may in the whole \
        tenant stays.",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn remove_namespace_member(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfNamespaceMember>,
) -> Reply {
    let path = (&place.tenant, &place.namespace);
    api.services().remove_namespace_member(&caller.ctx, path, &place.user).await?;
    Ok(reply::nothing())
}
