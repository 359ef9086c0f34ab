//! Namespaces that a cluster has already, and how they become a tenant's.

use axum::extract::State;
use berth_core::services::adoption::Adopted;
use berth_types::{ClusterId, Resources, adoption::Preview, people::Namespace, quota::Written};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InTenant},
    problem::Reply,
    query::Asked,
    reply,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_adoptable))
        .routes(routes!(preview_adoption))
        .routes(routes!(adopt_namespace))
}

/// Namespaces of a cluster that are nobody's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Adoptable {
    /// Their names in the cluster, in order.
    pub items: Vec<String>,
}

/// Which namespace shall be the tenant's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Adoption {
    /// Its name in the cluster.
    pub kube_name: String,
    /// Its name within the tenant: 1 to 30 of a–z, 0–9 and -.
    pub name: String,
    /// The cluster (default: the first that Berth knows).
    pub cluster: Option<ClusterId>,
    /// Its share of the tenant's quota, as quantities (default: what its pods take now).
    #[schema(value_type = Option<Resources>)]
    pub share: Option<Written>,
}

impl Input for Adoption {}

impl From<Adoption> for Adopted {
    fn from(Adoption { kube_name, name, cluster, share }: Adoption) -> Self {
        Self { kube_name, name, cluster, share }
    }
}

/// List namespaces that could be adopted
#[utoipa::path(get, path = "/tenants/{tenant}/adoptable", tag = "namespaces",
    description = "Platform admins and auditors. Names of the namespaces of the first cluster that are neither a tenant's nor the \
        cluster's own, asked of the cluster now.",
    responses((status = 200, description = "Their names in the cluster.", body = Adoptable)))]
pub(crate) async fn list_adoptable(State(api): State<Api>, caller: Caller, At(place): At<InTenant>) -> Reply {
    let items = api.services().adoptable(&caller.ctx, &place.tenant, None).await?;
    Ok(reply::json(&Adoptable { items })?)
}

/// Preview an adoption
///
/// Platform admins and auditors. What runs in the namespace, what it takes, and what becoming the tenant's would change or break;
/// nothing is changed. What Pod Security minds is what the cluster itself says of its pods.
#[utoipa::path(post, path = "/tenants/{tenant}/adoptions/preview", tag = "namespaces", request_body = Adoption,
    responses((status = 200, description = "What there is, and what would become of it.", body = Preview)))]
pub(crate) async fn preview_adoption(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    Sent(sent): Sent<Adoption>,
) -> Reply {
    let preview = api.services().preview_adoption(&caller.ctx, &place.tenant, &sent.into()).await?;
    Ok(reply::json(&preview)?)
}

/// Adopt a namespace
///
/// Platform admins only. The namespace becomes the tenant's under a name of the tenant's; what runs in it goes on running.
#[utoipa::path(post, path = "/tenants/{tenant}/adoptions", tag = "namespaces", request_body = Adoption,
    responses((status = 201, description = "The namespace.", body = Namespace)))]
pub(crate) async fn adopt_namespace(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(sent): Sent<Adoption>,
) -> Reply {
    let made = api.services().adopt_namespace(&caller.ctx, &place.tenant, &sent.into()).await?;
    let all = asked.uri.path().trim_end_matches("/adoptions");
    Ok(reply::created(&made, &format!("{all}/namespaces/{}", made.name))?)
}
