//! Roles that a tenant makes for itself.

use axum::extract::State;
use berth_core::{
    Error, Result,
    listing::{Column, Listing},
    roles::RoleText,
};
use berth_types::{
    FieldError, Page, Right, TenantRole,
    custom_role::{CustomRole, RoleHolder},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, InTenant, OfRole},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const OWN: Columns = Columns { sorts: &["name", "created"], filters: &[] };

static LISTING: Listing<CustomRole> = Listing {
    columns: &[
        Column { name: "name", key: Some(|r| r.name.as_str().into()), value: None, facet: false },
        Column { name: "created", key: Some(|r| r.created_at.into()), value: None, facet: false },
    ],
    search: |r| format!("{} {} {}", r.name, r.display_name, r.description),
    unique: "name",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_roles, create_role)).routes(routes!(
        get_role,
        replace_role,
        delete_role
    ))
}

/// A role and whom it concerns.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleView {
    /// The role.
    #[serde(flatten)]
    pub role: CustomRole,
    /// Who has it, or may come to have it, as far as you may know: a change concerns them, and it is not removed before they have
    /// another.
    pub holders: Vec<RoleHolder>,
}

/// The parameter that says which role takes the place of one that goes.
const REPLACEMENT: &str = "replacement";

fn no_role(word: &str) -> Error {
    let error = FieldError::new(REPLACEMENT, "role_unknown", format!("“{word}” is no role"));
    Error::field(error.param("value", word))
}

/// A role to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRole {
    /// Its name within the tenant, by which it is given; it never changes.
    pub name: String,
    /// What people call it; 1 to 60 characters (default: its name).
    #[serde(default)]
    pub display_name: String,
    /// What it is for; at most 300 characters.
    #[serde(default)]
    pub description: String,
    /// The actions that it gives, as `GET /api/v1/actions` lists them; what they need comes along.
    #[serde(default)]
    pub actions: Vec<Right>,
    /// Roles all of whose actions it gives, too: `viewer`, `developer`, or others of the tenant's own.
    #[serde(default)]
    pub includes: Vec<TenantRole>,
}

impl Input for NewRole {}

/// What a role shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RoleReplacement {
    /// What people call it; 1 to 60 characters (default: its name).
    #[serde(default)]
    pub display_name: String,
    /// What it is for; at most 300 characters.
    #[serde(default)]
    pub description: String,
    /// The actions that it gives; what they need comes along.
    #[serde(default)]
    pub actions: Vec<Right>,
    /// Roles all of whose actions it gives, too.
    #[serde(default)]
    pub includes: Vec<TenantRole>,
}

impl Input for RoleReplacement {}

/// List a tenant's own roles
#[utoipa::path(get, path = "/tenants/{tenant}/roles", tag = "members",
    description = "The roles that the tenant made, each with all that it gives. `owner`, `admin`, `developer` and `viewer` are not \
        among them: `GET /api/v1/actions` says what these give.",
    responses((status = 200, description = "Roles.", body = Page<CustomRole>)))]
pub(crate) async fn list_roles(State(api): State<Api>, caller: Caller, At(place): At<InTenant>, asked: Asked) -> Reply {
    let query = asked.list(&OWN)?;
    let roles = api.services().list_roles(&caller.ctx, &place.tenant).await?;
    Ok(reply::page(&asked, &LISTING.page(roles, &query)?)?)
}

/// Create a role
///
/// Owners and admins. It is given as other roles are: to members, in one namespace, to robots, by invitations, rules for groups
/// and requests. What only owners or the platform may, and who belongs to the tenant with which role, is in no role of a tenant's own.
#[utoipa::path(post, path = "/tenants/{tenant}/roles", tag = "members", request_body = NewRole,
    responses((status = 201, description = "The role.", body = CustomRole)))]
pub(crate) async fn create_role(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewRole>,
) -> Reply {
    let NewRole { name, display_name, description, actions, includes } = new;
    let text = RoleText { display_name, description, actions, includes };
    let role = api.services().create_role(&caller.ctx, &place.tenant, &name, &text).await?;
    let made = reply::created(&role, &format!("{}/{}", asked.uri.path(), role.name))?;
    Ok(reply::with_tag(made, tag(role.version, false)))
}

/// Get a role
#[utoipa::path(get, path = "/tenants/{tenant}/roles/{role}", tag = "members",
    description = "What it gives, and whom a change of it concerns.",
    responses((status = 200, description = "The role.", body = RoleView)))]
pub(crate) async fn get_role(State(api): State<Api>, caller: Caller, At(place): At<OfRole>, asked: Asked) -> Reply {
    let (role, holders) = api.services().get_role(&caller.ctx, &place.tenant, place.role).await?;
    let tag = tag(role.version, false);
    Ok(reply::with_tag(reply::unless_known(&asked, reply::json(&RoleView { role, holders })?, None), tag))
}

/// Change a role
///
/// Counts at once for all who have it, streams that are open included. A role that would include itself is refused at `includes`,
/// with the way it would. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/tenants/{tenant}/roles/{role}", tag = "members", request_body = RoleReplacement,
    responses((status = 200, description = "The role as it is now.", body = CustomRole)))]
pub(crate) async fn replace_role(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfRole>,
    asked: Asked,
    Sent(wanted): Sent<RoleReplacement>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let RoleReplacement { display_name, description, actions, includes } = wanted;
    let text = RoleText { display_name, description, actions, includes };
    let set: Result<CustomRole> =
        api.services().update_role(&caller.ctx, (&place.tenant, place.role), &text, known).await;
    let role = set.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    let tag = tag(role.version, false);
    Ok(reply::with_tag(reply::json(&role)?, tag))
}

/// Delete a role
///
/// One that somebody has, or may come to have, is refused with 409, which names them, unless `replacement` says which role they have
/// from then on, all of them or none: members, guests of namespaces, robots, roles that include it, open invitations and requests.
/// Rules for groups are the platform's: where one gives the role, a platform admin removes it.
/// `GET` names beforehand whom it concerns.
#[utoipa::path(delete, path = "/tenants/{tenant}/roles/{role}", tag = "members",
    params(("replacement" = Option<String>, Query, description = "`admin`, `developer`, `viewer`, or another role of the tenant's own.",
        example = "developer")),
    responses((status = 204, description = "Deleted.")))]
pub(crate) async fn delete_role(State(api): State<Api>, caller: Caller, At(place): At<OfRole>, asked: Asked) -> Reply {
    asked.only(&[REPLACEMENT])?;
    let replacement =
        asked.one(REPLACEMENT)?.map(|word| TenantRole::from_word(word).ok_or_else(|| no_role(word))).transpose()?;
    api.services().remove_role(&caller.ctx, &place.tenant, place.role, replacement).await?;
    Ok(reply::nothing())
}
