//! The platform: people and the audit log. Who has no role on the platform does not know of it.

use axum::extract::State;
use berth_core::services::people;
use berth_types::{
    Page, PlatformRole,
    people::{AuditEntry, User},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::me::{Views, shown_once};
use crate::{
    Api,
    body::{Input, Sent, given},
    caller::Caller,
    handlers::app_actions::Nothing,
    places::{At, OfUser},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const USERS: Columns = Columns {
    sorts: &["name", "created"],
    filters: &[("role", &["admin", "auditor", "none"]), ("disabled", &["true", "false"])],
};
pub(crate) const AUDIT: Columns = Columns {
    sorts: &["at"],
    filters: &[
        ("actor", &[]),
        ("action", &[]),
        ("tenant", &[]),
        ("outcome", &["done", "denied", "failed", "unknown"]),
        ("since", &[]),
        ("until", &[]),
    ],
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_users, create_user))
        .routes(routes!(update_user))
        .routes(routes!(reset_password))
        .routes(routes!(create_reset_link))
        .routes(routes!(remove_second_factors))
        .routes(routes!(list_user_views))
        .routes(routes!(list_audit))
}

/// A person to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewUser {
    /// What they sign in as: 1 to 40 of a–z, 0–9 and -.
    pub name: String,
    /// What others see (default: the name).
    #[serde(default)]
    pub display_name: String,
    /// Role on the platform, if any.
    pub platform_role: Option<PlatformRole>,
}

impl Input for NewUser {}

/// A person with their one-time password, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeUser {
    /// The person.
    pub user: User,
    /// To be changed at the first sign-in; absent when the reply is replayed for an idempotency key.
    pub password: Option<String>,
}

/// A one-time password, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneTimePassword {
    /// To be changed at the next sign-in; absent when the reply is replayed for an idempotency key.
    pub password: Option<String>,
}

/// A link to a new password, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetLink {
    /// The link, below the portal's address; absent when the reply is replayed for an idempotency key.
    pub path: Option<String>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What is to be true of a person from now on; all three are needed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct UserReplacement {
    /// What others see; 1 to 60 characters.
    pub display_name: String,
    /// Role on the platform; `null` for none.
    #[serde(deserialize_with = "given", default)]
    #[schema(required, value_type = Option<PlatformRole>)]
    pub platform_role: Option<Option<PlatformRole>>,
    /// May not sign in, and their tokens do not work.
    pub disabled: bool,
}

impl Input for UserReplacement {}

fn shown(password: &SecretString) -> Option<String> {
    Some(password.expose_secret().to_owned())
}

/// List people
#[utoipa::path(get, path = "/admin/users", tag = "admin",
    description = "All people on the platform.",
    responses((status = 200, description = "People.", body = Page<User>)))]
pub(crate) async fn list_users(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&USERS)?;
    let users = api.services().list_users(&caller.ctx, &query).await?;
    Ok(reply::page(&asked, &users)?)
}

/// Create a person
///
/// They sign in with the one-time password and then choose their own.
#[utoipa::path(post, path = "/admin/users", tag = "admin", request_body = NewUser,
    responses((status = 201, description = "The person, and their one-time password.", body = MadeUser)))]
pub(crate) async fn create_user(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewUser>,
) -> Reply {
    let NewUser { name, display_name, platform_role } = new;
    let new = people::NewUser { name, display_name, platform_role, password: None };
    let (user, password) = api.services().create_user(&caller.ctx, &new).await?;
    let location = format!("{}/{}", asked.uri.path(), user.name);
    let mut made = MadeUser { user, password: shown(&password) };
    let response = reply::created(&made, &location)?;
    made.password = None;
    Ok(shown_once(response, &made)?)
}

/// Change a person
///
/// Takes effect at once, on open streams too. You cannot take away your own role or sign-in. People have no versions: the
/// last one who changes them wins, so no `If-Match` is needed.
#[utoipa::path(put, path = "/admin/users/{user}", tag = "admin", request_body = UserReplacement,
    responses((status = 200, description = "The person as they are now.", body = User)))]
pub(crate) async fn update_user(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfUser>,
    Sent(wanted): Sent<UserReplacement>,
) -> Reply {
    let Some(role) = wanted.platform_role else {
        let message = "is needed; null takes the role away";
        let error = berth_types::FieldError::new("platformRole", "required", message);
        return Err(berth_core::Error::field(error).into());
    };
    let UserReplacement { display_name, disabled, .. } = wanted;
    let user = api.services().update_user(&caller.ctx, &place.user, &display_name, role, disabled).await?;
    Ok(reply::json(&user)?)
}

/// Reset a person's password
///
/// Gives them a new one-time password and ends their sessions.
#[utoipa::path(post, path = "/admin/users/{user}/reset-password", tag = "admin", request_body = Nothing,
    responses((status = 200, description = "The one-time password.", body = OneTimePassword)))]
pub(crate) async fn reset_password(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfUser>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Reply {
    let password = api.services().reset_password(&caller.ctx, &place.user).await?;
    let response = reply::json(&OneTimePassword { password: shown(&password) })?;
    Ok(shown_once(response, &OneTimePassword { password: None })?)
}

/// Make a link to a new password
///
/// Whoever opens it chooses the person's new password, once, within an hour; then all their sessions end. Until then the old password
/// stays good. A newer link takes the place of the last.
#[utoipa::path(post, path = "/admin/users/{user}/reset-link", tag = "admin", request_body = Nothing,
    responses((status = 200, description = "The link.", body = ResetLink)))]
pub(crate) async fn create_reset_link(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfUser>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Reply {
    let (secret, expires_at) = api.services().reset_link(&caller.ctx, &place.user).await?;
    let response = reply::json(&ResetLink { path: Some(format!("/reset/{}", secret.expose_secret())), expires_at })?;
    Ok(shown_once(response, &ResetLink { path: None, expires_at })?)
}

/// Remove a person's second factors
///
/// For who lost their phone and their recovery codes. All their sessions end; with their password alone they come in again, and add
/// another second factor where one is required. Your own you remove in the browser, with your password.
#[utoipa::path(delete, path = "/admin/users/{user}/second-factors", tag = "admin",
    responses((status = 204, description = "Removed.")))]
pub(crate) async fn remove_second_factors(State(api): State<Api>, caller: Caller, At(place): At<OfUser>) -> Reply {
    api.services().remove_second_factors(&caller.ctx, &place.user).await?;
    Ok(reply::nothing())
}

/// List who looked as a person
///
/// Looks at the portal as they have it, which platform admins begin in the browser alone: no token can.
#[utoipa::path(get, path = "/admin/users/{user}/views", tag = "admin",
    responses((status = 200, description = "Who looked, when, for how long and why.", body = Views)))]
pub(crate) async fn list_user_views(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfUser>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    Ok(reply::tagged(&asked, &Views { items: api.services().list_views(&caller.ctx, &place.user).await? })?)
}

/// Read the audit log
///
/// Every change and every refused attempt, newest first. `q` looks in targets.
#[utoipa::path(get, path = "/admin/audit", tag = "admin",
    responses((status = 200, description = "Entries.", body = Page<AuditEntry>)))]
pub(crate) async fn list_audit(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&AUDIT)?;
    let entries = api.services().list_audit(&caller.ctx, &query).await?;
    Ok(reply::page(&asked, &entries)?)
}
