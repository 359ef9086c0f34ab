//! Search over all that one may see.

use axum::extract::State;
use berth_core::services::search::Hit;
use berth_types::{NamespaceName, Page, TenantName};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Api, caller::Caller, problem::Reply, query::Asked, reply};

/// Hits when nothing is said.
const LIMIT: usize = 20;
/// Most hits.
const MAX_LIMIT: usize = 100;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(search))
}

/// Something that was found: a tenant, a namespace, or an app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchHit {
    /// `tenant`, `namespace` or `app`.
    pub kind: String,
    /// The tenant.
    pub tenant: TenantName,
    /// The namespace, unless it is the tenant itself.
    pub namespace: Option<NamespaceName>,
    /// The app, if it is one.
    pub app: Option<String>,
    /// Where it is in this API.
    pub href: String,
}

impl From<Hit> for SearchHit {
    fn from(hit: Hit) -> Self {
        let mut href = format!("/api/v1/tenants/{}", hit.tenant);
        let mut kind = "tenant";
        if let Some(namespace) = &hit.namespace {
            href.push_str(&format!("/namespaces/{namespace}"));
            kind = "namespace";
        }
        if let Some(app) = &hit.app {
            href.push_str(&format!("/apps/{app}"));
            kind = "app";
        }
        Self {
            kind: kind.to_owned(),
            tenant: hit.tenant,
            namespace: hit.namespace,
            app: hit.app.map(|app| app.to_string()),
            href,
        }
    }
}

/// Search
///
/// Tenants, namespaces and apps that you may see, best first. All words of `q` must occur; a tenant's or namespace's name
/// may answer some of them.
#[utoipa::path(get, path = "/search", tag = "search",
    params(
        ("q" = String, Query, description = "Words to look for.", example = "shop checkout"),
        ("limit" = Option<usize>, Query, description = "Most hits, 1 to 100 (default 20).", example = 10),
    ),
    responses((status = 200, description = "What was found.", body = Page<SearchHit>)))]
pub(crate) async fn search(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    asked.only(&["q", "limit"])?;
    let limit = asked.number("limit", 1, MAX_LIMIT)?.unwrap_or(LIMIT);
    let hits = api.services().search(&caller.ctx, asked.one("q")?.unwrap_or_default(), limit).await?;
    Ok(reply::page(&asked, &Page::whole(hits.into_iter().map(SearchHit::from).collect()))?)
}
