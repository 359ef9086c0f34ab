//! Invitations into a tenant and onto the platform. They are accepted in the browser: a token changes no account.

use axum::extract::State;
use berth_core::{
    listing::{Column, Listing},
    ports::pages::Language,
    services::invitations::Invite,
};
use berth_types::{FieldError, Page, TenantRole, people::Invitation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::me::shown_once;
use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InTenant, OfInvitation, OfPlatformInvitation},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const INVITATIONS: Columns = Columns { sorts: &["created", "expires"], filters: &[] };

static LISTING: Listing<Invitation> = Listing {
    columns: &[
        Column { name: "created", key: Some(|i| i.created_at.into()), value: None, facet: false },
        Column { name: "expires", key: Some(|i| i.expires_at.into()), value: None, facet: false },
        Column { name: "id", key: Some(|i| i.id.to_string().as_str().into()), value: None, facet: false },
    ],
    search: |i| format!("{} {}", i.email.as_deref().unwrap_or_default(), i.invited_by),
    unique: "id",
    descending: true,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_invitations, create_invitation))
        .routes(routes!(revoke_invitation))
        .routes(routes!(list_platform_invitations, create_platform_invitation))
        .routes(routes!(revoke_platform_invitation))
}

/// An invitation into a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// The role that whoever accepts has from then on, unless they have a stronger one.
    pub role: TenantRole,
    /// Whom it is meant for. Nothing is sent there unless `send` says so.
    #[serde(default)]
    pub email: String,
    /// Days until it ends by itself, 1 to 30 (default 7).
    pub days: Option<u32>,
    /// Whether the link goes to `email` by mail, too: in which language, `en` or `zh-CN`.
    pub send: Option<String>,
}

impl Input for NewInvitation {}

/// An invitation onto the platform.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewPlatformInvitation {
    /// Whom it is meant for. Nothing is sent there unless `send` says so.
    #[serde(default)]
    pub email: String,
    /// Days until it ends by itself, 1 to 30 (default 7).
    pub days: Option<u32>,
    /// Whether the link goes to `email` by mail, too: in which language, `en` or `zh-CN`.
    pub send: Option<String>,
}

impl Input for NewPlatformInvitation {}

/// An invitation with its link, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// The link, below the portal's address; absent when the reply is replayed for an idempotency key.
    pub path: Option<String>,
}

/// The language that was named.
fn language(text: Option<&str>) -> berth_core::Result<Option<Language>> {
    let known = |text: &str| {
        let choices = "en, zh-CN";
        let wrong = FieldError::new("send", "one_of", format!("one of {choices}")).param("choices", choices);
        Language::from_tag(text).ok_or_else(|| berth_core::Error::field(wrong))
    };
    text.map(known).transpose()
}

fn made(asked: &Asked, (invitation, secret): (Invitation, SecretString)) -> Reply {
    let location = format!("{}/{}", asked.uri.path(), invitation.id);
    let mut made = MadeInvitation { invitation, path: Some(format!("/join/{}", secret.expose_secret())) };
    let response = reply::created(&made, &location)?;
    made.path = None;
    Ok(shown_once(response, &made)?)
}

/// List a tenant's open invitations
#[utoipa::path(get, path = "/tenants/{tenant}/invitations", tag = "members",
    description = "Those that were neither used nor taken back and whose time is not over, newest first.",
    responses((status = 200, description = "Open invitations.", body = Page<Invitation>)))]
pub(crate) async fn list_invitations(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&INVITATIONS)?;
    let open = api.services().list_invitations(&caller.ctx, Some(&place.tenant)).await?;
    Ok(reply::page(&asked, &LISTING.page(open, &query)?)?)
}

/// Invite somebody into a tenant
///
/// The link brings one person in, once, with or without an account so far. Only owners invite owners. It counts only as long as who
/// invited may still do so.
#[utoipa::path(post, path = "/tenants/{tenant}/invitations", tag = "members", request_body = NewInvitation,
    responses((status = 201, description = "The invitation; its link is shown only here.", body = MadeInvitation)))]
pub(crate) async fn create_invitation(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewInvitation>,
) -> Reply {
    let send = language(new.send.as_deref())?;
    let invite = Invite { role: Some(new.role), email: new.email, days: new.days, send };
    made(&asked, api.services().invite(&caller.ctx, Some(&place.tenant), &invite).await?)
}

/// Take an invitation back
#[utoipa::path(delete, path = "/tenants/{tenant}/invitations/{invitation}", tag = "members",
    description = "Its link does nothing from then on.",
    responses((status = 204, description = "Taken back.")))]
pub(crate) async fn revoke_invitation(State(api): State<Api>, caller: Caller, At(place): At<OfInvitation>) -> Reply {
    api.services().revoke_invitation(&caller.ctx, Some(&place.tenant), place.invitation).await?;
    Ok(reply::nothing())
}

/// List open invitations onto the platform
#[utoipa::path(get, path = "/admin/invitations", tag = "admin",
    description = "Those that make an account and nothing more; invitations into tenants are the tenants'.",
    responses((status = 200, description = "Open invitations.", body = Page<Invitation>)))]
pub(crate) async fn list_platform_invitations(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&INVITATIONS)?;
    let open = api.services().list_invitations(&caller.ctx, None).await?;
    Ok(reply::page(&asked, &LISTING.page(open, &query)?)?)
}

/// Invite somebody onto the platform
#[utoipa::path(post, path = "/admin/invitations", tag = "admin", request_body = NewPlatformInvitation,
    description = "The link makes one account, without any role.",
    responses((status = 201, description = "The invitation; its link is shown only here.", body = MadeInvitation)))]
pub(crate) async fn create_platform_invitation(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewPlatformInvitation>,
) -> Reply {
    let send = language(new.send.as_deref())?;
    let invite = Invite { role: None, email: new.email, days: new.days, send };
    made(&asked, api.services().invite(&caller.ctx, None, &invite).await?)
}

/// Take an invitation onto the platform back
#[utoipa::path(delete, path = "/admin/invitations/{invitation}", tag = "admin",
    description = "Its link does nothing from then on.",
    responses((status = 204, description = "Taken back.")))]
pub(crate) async fn revoke_platform_invitation(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfPlatformInvitation>,
) -> Reply {
    api.services().revoke_invitation(&caller.ctx, None, place.invitation).await?;
    Ok(reply::nothing())
}
