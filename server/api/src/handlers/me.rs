//! The person who asks, and their tokens.

use std::time::Duration;

use axum::extract::State;
use berth_core::listing::{Column, Listing};
use berth_types::{
    PlatformRole, UserName,
    list::Page,
    people::{ApiToken, SecondFactors, TokenScope},
    view_as::ViewRecord,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    handlers::tenants::TenantSummary,
    idempotency::KeepInstead,
    places::{At, OfToken},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

/// Days a token lives when nothing is said.
const TOKEN_DAYS: u32 = 90;

pub(crate) const TOKENS: Columns = Columns { sorts: &["created", "name", "expires"], filters: &[] };

pub(crate) static LISTING: Listing<ApiToken> = Listing {
    columns: &[
        Column { name: "created", key: Some(|t| t.created_at.into()), value: None, facet: false },
        Column { name: "name", key: Some(|t| t.name.as_str().into()), value: None, facet: false },
        Column { name: "expires", key: Some(|t| t.expires_at.into()), value: None, facet: false },
        Column { name: "id", key: Some(|t| t.id.to_string().as_str().into()), value: None, facet: false },
    ],
    search: |t| t.name.clone(),
    unique: "id",
    descending: true,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(get_me))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(get_second_factors))
        .routes(routes!(list_my_views))
}

/// The person that a token belongs to, and what it may do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// What they sign in as.
    pub name: UserName,
    /// What others see.
    pub display_name: String,
    /// Role on the platform, if any.
    pub platform_role: Option<PlatformRole>,
    /// How they came in: `token:PREFIX`.
    pub via: String,
    /// What the token may do.
    pub scope: TokenScope,
    /// Everything else is refused until they have chosen a password of their own in the browser.
    pub must_change_password: bool,
    /// Tenants they may see.
    pub tenants: Vec<TenantSummary>,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewToken {
    /// What it is for; 1 to 60 characters.
    pub name: String,
    /// Days until it ends by itself (default 90).
    pub expires_in_days: Option<u32>,
    /// What it may do (default: all that its owner may).
    #[serde(default)]
    pub scope: TokenScope,
}

impl Input for NewToken {}

impl NewToken {
    /// How many days it shall live.
    pub(crate) fn days(&self) -> u32 {
        self.expires_in_days.unwrap_or(TOKEN_DAYS)
    }
}

/// A new token with its secret, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeToken {
    /// The token.
    pub token: ApiToken,
    /// `berth_…`; absent when the reply is replayed for an idempotency key.
    pub secret: Option<String>,
}

/// Who am I?
///
/// The person that the token belongs to, what the token may do, and the tenants they may see.
#[utoipa::path(get, path = "/me", tag = "me",
    responses((status = 200, description = "The person who asks.", body = Me)))]
pub(crate) async fn get_me(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let person = caller.person()?;
    let tenants = if person.must_change_password {
        Vec::new()
    } else {
        api.services().list_tenants(&caller.ctx).await?.iter().map(|t| TenantSummary::of(t)).collect()
    };
    let me = Me {
        name: person.name.clone(),
        display_name: person.display_name.to_string(),
        platform_role: person.platform_role,
        via: person.via.to_string(),
        scope: person.scope.clone(),
        must_change_password: person.must_change_password,
        tenants,
    };
    Ok(reply::tagged(&asked, &me)?)
}

/// List your tokens
///
/// Without their secrets, newest first.
#[utoipa::path(get, path = "/me/tokens", tag = "me",
    responses((status = 200, description = "Your tokens.", body = Page<ApiToken>)))]
pub(crate) async fn list_tokens(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&TOKENS)?;
    let tokens = api.services().my_tokens(&caller.ctx).await?;
    Ok(reply::page(&asked, &LISTING.page(tokens, &query)?)?)
}

/// Create a token
///
/// Tokens are made in the browser (Account, API tokens) or on the server's command line: a token cannot make another, so
/// this answers 403 to every token.
#[utoipa::path(post, path = "/me/tokens", tag = "me", request_body = NewToken,
    responses((status = 201, description = "The token; its secret is shown only here.", body = MadeToken)))]
pub(crate) async fn create_token(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewToken>,
) -> Reply {
    let lives = Duration::from_secs(u64::from(new.days()) * 86_400);
    made(&asked, api.services().create_token(&caller.ctx, &new.name, new.scope, lives).await?)
}

/// A new token with its secret, once.
pub(crate) fn made(asked: &Asked, (token, secret): (ApiToken, SecretString)) -> Reply {
    let location = format!("{}/{}", asked.uri.path(), token.id);
    let mut made = MadeToken { token, secret: Some(secret.expose_secret().to_owned()) };
    let response = reply::created(&made, &location)?;
    made.secret = None;
    Ok(shown_once(response, &made)?)
}

/// Revoke a token
///
/// It stops working at once. A token cannot change the account it belongs to, so this answers 403 to every token: revoke
/// it in the browser.
#[utoipa::path(delete, path = "/me/tokens/{token}", tag = "me",
    responses((status = 204, description = "Revoked.")))]
pub(crate) async fn revoke_token(State(api): State<Api>, caller: Caller, At(place): At<OfToken>) -> Reply {
    api.services().revoke_token(&caller.ctx, place.token).await?;
    Ok(reply::nothing())
}

/// Read what is asked of you besides your password
///
/// Second factors are added and removed in the browser (Account, Second factor), with the password: a token cannot change the account
/// it belongs to.
#[utoipa::path(get, path = "/me/second-factors", tag = "me",
    responses((status = 200, description = "Your second factors.", body = SecondFactors)))]
pub(crate) async fn get_second_factors(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    Ok(reply::tagged(&asked, &api.services().my_second_factors(&caller.ctx).await?)?)
}

/// Looks at the portal as a person has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Views {
    /// Newest first, the last 20; all are in the audit log.
    pub items: Vec<ViewRecord>,
}

/// List who looked as you
///
/// Platform admins can look at the portal as you have it, in the browser: read-only, for half an hour at most, with a reason.
#[utoipa::path(get, path = "/me/views", tag = "me",
    responses((status = 200, description = "Who looked, when, for how long and why.", body = Views)))]
pub(crate) async fn list_my_views(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    asked.only(&[])?;
    Ok(reply::tagged(&asked, &Views { items: api.services().my_views(&caller.ctx).await? })?)
}

/// A reply with a secret: not cached anywhere, and replayed as `without`.
pub(crate) fn shown_once(
    mut response: axum::response::Response,
    without: &impl Serialize,
) -> berth_core::Result<axum::response::Response> {
    let kept = serde_json::to_vec(without).map_err(berth_core::Error::internal)?;
    response.extensions_mut().insert(KeepInstead(kept.into()));
    let no_store = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// Words of the roles in a tenant, for filters.
pub(crate) const ROLES: &[&str] = &["owner", "admin", "developer", "viewer"];

#[cfg(test)]
mod tests {
    use super::*;
    use berth_types::TenantRole;

    #[test]
    fn roles_are_all_there() {
        assert!(TenantRole::ALL.iter().map(|r| r.as_str()).eq(ROLES.iter().copied()));
    }
}
