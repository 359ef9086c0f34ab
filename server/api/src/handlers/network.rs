//! Who reaches a namespace's pods, and what they reach.

use axum::extract::State;
use berth_core::services::network::NetworkOverview;
use berth_types::network::{Egress, EgressText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    places::{At, InNamespace},
    problem::Reply,
    query::Asked,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(get_network, set_network))
}

/// Who reaches a namespace's pods, and what they reach. Pods of the same tenant and names in DNS they always do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkView {
    /// What its pods may reach outside of the tenant.
    pub egress: Egress,
    /// Namespaces and address ranges of the platform that reach its pods: ingress controllers, monitoring, Berth.
    pub reached_from: Vec<String>,
    /// Address ranges that its pods reach by no list: the cluster's own, and those that give machines their credentials.
    pub never_reached: Vec<String>,
    /// Counts changes of the namespace; the `ETag`.
    pub version: i64,
}

impl NetworkView {
    fn of(overview: NetworkOverview) -> Self {
        Self {
            egress: overview.egress,
            reached_from: overview.reached_from,
            never_reached: overview.never.iter().map(ToString::to_string).collect(),
            version: overview.version,
        }
    }
}

/// What a namespace's pods shall reach.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NetworkReplacement {
    /// Outside of the tenant.
    pub egress: EgressText,
}

impl Input for NetworkReplacement {}

/// Get the network of a namespace
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/network", tag = "namespaces",
    description = "Who reaches the namespace's pods, and what they reach.",
    responses((status = 200, description = "The network.", body = NetworkView)))]
pub(crate) async fn get_network(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let (tenant, namespace) = place.path();
    let overview = api.services().get_network(&caller.ctx, tenant, namespace).await?;
    let tag = tag(overview.version, false);
    Ok(reply::unless_known(&asked, reply::json(&NetworkView::of(overview))?, tag))
}

/// Set what a namespace's pods reach
///
/// Owners and admins of the tenant. `all` is every address but those in `neverReached`; `named` the `ranges`, which are kept, but
/// without effect, while something else is chosen; `none` the tenant alone. Answers when the cluster has it; where the cluster
/// does not answer, it is made so as soon as it does. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/tenants/{tenant}/namespaces/{namespace}/network", tag = "namespaces",
    request_body = NetworkReplacement,
    responses((status = 200, description = "The network as it is now.", body = NetworkView)))]
pub(crate) async fn set_network(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
    Sent(wanted): Sent<NetworkReplacement>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let (tenant, namespace) = place.path();
    let set = api.services().set_network(&caller.ctx, tenant, namespace, &wanted.egress, known).await;
    let overview = set.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    let tag = tag(overview.version, false);
    Ok(reply::with_tag(reply::json(&NetworkView::of(overview))?, tag))
}
