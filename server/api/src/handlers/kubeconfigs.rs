//! Kubeconfigs: how `kubectl` comes in.

use axum::{extract::State, http::HeaderMap, http::header, http::uri::Authority};
use berth_core::{Error, Result};
use berth_types::{ErrorCode, NamespaceName, TenantName, people::ApiToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    handlers::me::shown_once,
    problem::Reply,
    query::Asked,
    reply,
};

/// Hours that a kubeconfig is good when nothing is said.
const HOURS: u32 = 8;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(create_kubeconfig))
}

/// A kubeconfig to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewKubeconfig {
    /// The tenant.
    pub tenant: TenantName,
    /// One of its namespaces alone (default: all that you see).
    pub namespace: Option<NamespaceName>,
    /// Hours until it ends by itself: 1 to 24 (default 8).
    pub hours: Option<u32>,
}

impl Input for NewKubeconfig {}

/// A new kubeconfig with its secret, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeKubeconfig {
    /// Its token, among your tokens: revoke it there.
    pub token: ApiToken,
    /// The file itself, as YAML; absent when the reply is replayed for an idempotency key.
    pub kubeconfig: Option<String>,
}

/// Create a kubeconfig
///
/// For `kubectl` and whatever else speaks a cluster's own API, through Berth: with your rights in the tenant, each time as they are
/// then, and nowhere else. It has a context for each namespace that you see. Its token is good for nothing but that, and ends by
/// itself. One that is made with an API token can do no more than that token, and ends with it.
#[utoipa::path(post, path = "/me/kubeconfigs", tag = "me", request_body = NewKubeconfig,
    responses((status = 201, description = "The kubeconfig, shown only here.", body = MadeKubeconfig)))]
pub(crate) async fn create_kubeconfig(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewKubeconfig>,
) -> Reply {
    let base = base(&api, &asked.headers)?;
    let hours = new.hours.unwrap_or(HOURS);
    let made = api.services().create_kubeconfig(&caller.ctx, &new.tenant, new.namespace.as_ref(), hours).await?;
    let location = asked.uri.path().replace("/kubeconfigs", &format!("/tokens/{}", made.token.id));
    let kubeconfig = Some(made.to_yaml(&base));
    let mut made = MadeKubeconfig { token: made.token, kubeconfig };
    let response = reply::created(&made, &location)?;
    made.kubeconfig = None;
    Ok(shown_once(response, &made)?)
}

/// The address that people use, without a `/` at its end.
pub(crate) fn base(api: &Api, headers: &HeaderMap) -> Result<String> {
    let options = api.options();
    if let Some(url) = &options.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host: Authority = host.parse().map_err(|_| {
        Error::new(ErrorCode::Malformed, "the request does not say which address of Berth it is for (Host)")
    })?;
    Ok(format!("{}://{host}", if options.secure { "https" } else { "http" }))
}
