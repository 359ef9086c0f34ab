//! Namespaces of a tenant.

use axum::extract::State;
use berth_core::{
    listing::{Column, Listing},
    services::namespaces::NamespaceOverview,
};
use berth_types::{
    ClusterId, NamespaceName, Page, Resources, TenantName, drift::Drift, life::Halt, people::Namespace, quota::Written,
    rows::UsageRow,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InNamespace, InTenant},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const NAMESPACES: Columns = Columns { sorts: &["name", "degraded", "pods"], filters: &[("cluster", &[])] };
pub(crate) const USAGE: Columns = Columns { sorts: &["resource"], filters: &[] };

static LISTING: Listing<NamespaceView> = Listing {
    columns: &[
        Column { name: "name", key: Some(|n| n.name.as_str().into()), value: None, facet: false },
        Column { name: "cluster", key: None, value: Some(|n| n.cluster.to_string()), facet: true },
        Column { name: "degraded", key: Some(|n| count(n.apps.degraded)), value: None, facet: false },
        Column { name: "pods", key: Some(|n| count(n.pods)), value: None, facet: false },
    ],
    search: |n| format!("{} {}", n.name, n.kube_name),
    unique: "name",
    descending: false,
};

static USAGE_LISTING: Listing<UsageRow> = Listing {
    columns: &[Column { name: "resource", key: Some(|u| u.resource.as_str().into()), value: None, facet: false }],
    search: |u| u.resource.clone(),
    unique: "resource",
    descending: false,
};

fn count(n: usize) -> berth_core::listing::Key {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_namespaces, create_namespace))
        .routes(routes!(get_namespace))
        .routes(routes!(protect_namespace))
        .routes(routes!(get_usage))
        .routes(routes!(list_drift))
}

/// A namespace, with its apps at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamespaceView {
    /// Never changes.
    pub id: Uuid,
    /// Its name within the tenant.
    pub name: NamespaceName,
    /// The tenant.
    pub tenant: TenantName,
    /// The cluster it is on.
    pub cluster: ClusterId,
    /// Its name in the cluster.
    pub kube_name: String,
    /// It is changed in Berth alone: `kubectl` only reads there.
    pub protected: bool,
    /// Why nothing runs in it and nothing can be changed, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halt: Option<Halt>,
    /// Its apps.
    pub apps: AppCounts,
    /// Its pods.
    pub pods: usize,
}

/// Apps of a namespace, counted by phase.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppCounts {
    /// Something is wrong.
    pub degraded: usize,
    /// On their way.
    pub progressing: usize,
    /// As wanted.
    pub ready: usize,
    /// Scaled to zero on purpose.
    pub suspended: usize,
}

impl NamespaceView {
    fn of(overview: &NamespaceOverview) -> Self {
        let NamespaceOverview { namespace, summary, .. } = overview;
        Self {
            id: namespace.id,
            name: namespace.name.clone(),
            tenant: namespace.tenant.name.clone(),
            cluster: namespace.cluster.clone(),
            kube_name: namespace.kube_name.to_string(),
            protected: namespace.protected,
            halt: namespace.halt.clone(),
            apps: AppCounts {
                degraded: summary.degraded,
                progressing: summary.progressing,
                ready: summary.ready,
                suspended: summary.suspended,
            },
            pods: summary.pods,
        }
    }
}

/// What in a namespace was not as Berth keeps it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drifts {
    /// What cannot be kept at the moment first, then the latest.
    pub items: Vec<Drift>,
}

/// How a namespace is protected.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Protection {
    /// It is changed in Berth alone: `kubectl` only reads there.
    pub protected: bool,
}

impl Input for Protection {}

/// A namespace to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewNamespace {
    /// 1 to 30 of a–z, 0–9 and -.
    pub name: String,
    /// The cluster it shall be on (default: the first that Berth knows).
    pub cluster: Option<ClusterId>,
    /// Its share of the tenant's quota, as quantities (default: nothing of what that limits).
    #[schema(value_type = Option<Resources>)]
    pub share: Option<Written>,
}

impl Input for NewNamespace {}

/// List namespaces
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces", tag = "namespaces",
    description = "The tenant's namespaces, each with its apps at a glance.",
    responses((status = 200, description = "Namespaces.", body = Page<NamespaceView>)))]
pub(crate) async fn list_namespaces(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&NAMESPACES)?;
    let overviews = api.services().list_namespaces(&caller.ctx, &place.tenant).await?;
    let page = LISTING.page(overviews.iter().map(NamespaceView::of).collect(), &query)?;
    Ok(reply::page(&asked, &page)?)
}

/// Create a namespace
///
/// Answers when the cluster has it; where the cluster does not answer, it is made as soon as it does.
#[utoipa::path(post, path = "/tenants/{tenant}/namespaces", tag = "namespaces", request_body = NewNamespace,
    responses((status = 201, description = "The namespace.", body = Namespace)))]
pub(crate) async fn create_namespace(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
    Sent(new): Sent<NewNamespace>,
) -> Reply {
    let NewNamespace { name, cluster, share } = new;
    let services = api.services();
    let made =
        services.create_namespace_with(&caller.ctx, &place.tenant, &name, cluster.as_ref(), share.as_ref()).await?;
    Ok(reply::created(&made, &format!("{}/{}", asked.uri.path(), made.name))?)
}

/// Get a namespace
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}", tag = "namespaces",
    description = "One namespace, with its apps at a glance.",
    responses((status = 200, description = "The namespace.", body = NamespaceView)))]
pub(crate) async fn get_namespace(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let overview = api.services().get_namespace(&caller.ctx, &place.tenant, &place.namespace).await?;
    Ok(reply::tagged(&asked, &NamespaceView::of(&overview))?)
}

/// Protect a namespace
///
/// Owners and admins of the tenant. A protected namespace is changed in Berth alone, by its pages and this API: with `kubectl` one
/// reads there, whatever one's role, and opens no terminal. Connections that are open to change something end within 5 s.
#[utoipa::path(put, path = "/tenants/{tenant}/namespaces/{namespace}/protection", tag = "namespaces",
    request_body = Protection, responses((status = 200, description = "How it is protected now.", body = Protection)))]
pub(crate) async fn protect_namespace(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    Sent(Protection { protected }): Sent<Protection>,
) -> Reply {
    let (tenant, namespace) = place.path();
    let now = api.services().protect_namespace(&caller.ctx, tenant, namespace, protected).await?;
    Ok(reply::json(&Protection { protected: now.protected })?)
}

/// Get the quota of a namespace
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/usage", tag = "namespaces",
    description = "Each resource of the namespace's quota, and what of it is in use. Amounts are Kubernetes quantities.",
    responses((status = 200, description = "The quota and its use.", body = Page<UsageRow>)))]
pub(crate) async fn get_usage(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&USAGE)?;
    let overview = api.services().get_namespace(&caller.ctx, &place.tenant, &place.namespace).await?;
    let page = USAGE_LISTING.page(overview.usage, &query)?;
    Ok(reply::page(&asked, &reply::aged(page, &overview.freshness))?)
}

/// List what was put right in a namespace
///
/// What Berth keeps in a namespace (labels, role bindings, network policies, quotas) and found changed by somebody else in the last
/// 30 days. It puts that right within half a minute; `times` tells how often, `by` whose hand it was as the cluster noted it. `refused`
/// is a namespace that cannot be kept at the moment, with the reason.
#[utoipa::path(get, path = "/tenants/{tenant}/namespaces/{namespace}/drift", tag = "namespaces",
    responses((status = 200, description = "What was found.", body = Drifts)))]
pub(crate) async fn list_drift(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InNamespace>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    let (tenant, namespace) = place.path();
    let items = api.services().namespace_drift(&caller.ctx, tenant, namespace).await?;
    Ok(reply::tagged(&asked, &Drifts { items })?)
}
