//! The machines of a cluster, for who keeps the platform.

use axum::extract::State;
use berth_types::{
    Page,
    capacity::ClusterCapacity,
    node::{DrainConsent, DrainMark, DrainPlan, NodeRow, NodeView},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    places::{At, InCluster, OfNode},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const NODES: Columns = Columns {
    sorts: &["name", "state", "pressure", "cpu", "memory", "pods", "version", "created"],
    filters: &[
        ("state", &["not-ready", "pressed", "draining", "drained", "cordoned", "ready"]),
        ("role", &[]),
        ("version", &[]),
    ],
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(get_capacity))
        .routes(routes!(list_nodes))
        .routes(routes!(get_node))
        .routes(routes!(cordon_node))
        .routes(routes!(uncordon_node))
        .routes(routes!(plan_drain, drain_node, stop_drain))
}

/// That a node shall be emptied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DrainOrder {
    /// The node's name once more: what goes does not come back by itself.
    pub confirm: String,
    /// Pods that nothing makes anew may be lost.
    #[serde(default)]
    pub lose_pods: bool,
    /// What pods keep in `emptyDir` volumes may be lost.
    #[serde(default)]
    pub lose_data: bool,
}

impl Input for DrainOrder {}

/// Get a cluster's room
///
/// What its nodes have, what pods ask for and use, and what tenants were promised by their quotas: `promisedPart` above 1000 says that
/// not everybody can have what they may have. For people with a role on the platform.
#[utoipa::path(get, path = "/clusters/{cluster}/capacity", tag = "clusters",
    responses((status = 200, description = "Its room.", body = ClusterCapacity)))]
pub(crate) async fn get_capacity(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    let (capacity, _) = api.services().cluster_capacity(&caller.ctx, &place.cluster).await?;
    Ok(reply::tagged(&asked, &capacity)?)
}

/// List nodes
///
/// What each has, what its pods ask for and, where metrics-server measures it, what is in use. From a cache that follows the cluster.
/// `pressure` is the fullest of CPU, memory and pods, in thousandths. For people with a role on the platform.
#[utoipa::path(get, path = "/clusters/{cluster}/nodes", tag = "clusters",
    responses((status = 200, description = "Nodes.", body = Page<NodeRow>)))]
pub(crate) async fn list_nodes(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
) -> Reply {
    let query = asked.list(&NODES)?;
    let listed = api.services().list_nodes(&caller.ctx, &place.cluster, &query).await?;
    Ok(reply::page(&asked, &reply::aged(listed.page, &listed.freshness))?)
}

/// Get a node
///
/// With what it says of itself, and the pods on it by tenant.
#[utoipa::path(get, path = "/clusters/{cluster}/nodes/{node}", tag = "clusters",
    responses((status = 200, description = "The node.", body = NodeView)))]
pub(crate) async fn get_node(State(api): State<Api>, caller: Caller, At(place): At<OfNode>, asked: Asked) -> Reply {
    let (view, _) = api.services().get_node(&caller.ctx, &place.cluster, &place.node).await?;
    Ok(reply::tagged(&asked, &view)?)
}

/// Cordon a node
///
/// It takes no new pods; those on it stay.
#[utoipa::path(post, path = "/clusters/{cluster}/nodes/{node}/cordon", tag = "clusters",
    responses((status = 204, description = "It takes no new pods.")))]
pub(crate) async fn cordon_node(State(api): State<Api>, caller: Caller, At(place): At<OfNode>) -> Reply {
    api.services().cordon_node(&caller.ctx, &place.cluster, &place.node, true).await?;
    Ok(reply::nothing())
}

/// Uncordon a node
///
/// It takes new pods again. Ends a drain.
#[utoipa::path(post, path = "/clusters/{cluster}/nodes/{node}/uncordon", tag = "clusters",
    responses((status = 204, description = "It takes new pods.")))]
pub(crate) async fn uncordon_node(State(api): State<Api>, caller: Caller, At(place): At<OfNode>) -> Reply {
    api.services().cordon_node(&caller.ctx, &place.cluster, &place.node, false).await?;
    Ok(reply::nothing())
}

/// Preview or follow a drain
///
/// What becomes of each pod on the node: it moves, is lost, stays, or a budget forbids it; and whether other nodes have room for it.
/// While the node is being emptied: what is left, and what it waits for. Asked of the cluster, not of the cache.
#[utoipa::path(get, path = "/clusters/{cluster}/nodes/{node}/drain", tag = "clusters",
    responses((status = 200, description = "What emptying it does now.", body = DrainPlan)))]
pub(crate) async fn plan_drain(State(api): State<Api>, caller: Caller, At(place): At<OfNode>, asked: Asked) -> Reply {
    let plan = api.services().plan_drain(&caller.ctx, &place.cluster, &place.node).await?;
    Ok(reply::tagged(&asked, &plan)?)
}

/// Drain a node
///
/// It takes no new pods, and the pods on it are asked to go as their PodDisruptionBudgets let them. Berth goes on with it in the
/// background, with your rights, until the node is empty or you stop it. What would be lost needs your consent.
#[utoipa::path(post, path = "/clusters/{cluster}/nodes/{node}/drain", tag = "clusters", request_body = DrainOrder,
    responses((status = 202, description = "It has begun.", body = DrainMark)))]
pub(crate) async fn drain_node(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<OfNode>,
    Sent(order): Sent<DrainOrder>,
) -> Reply {
    let DrainOrder { confirm, lose_pods, lose_data } = order;
    let consent = DrainConsent { lose_pods, lose_data };
    let mark = api.services().drain_node(&caller.ctx, &place.cluster, &place.node, &confirm, consent).await?;
    Ok(reply::accepted(&mark)?)
}

/// Stop a drain
///
/// What went does not come back by itself, and the node still takes no new pods: uncordon it.
#[utoipa::path(delete, path = "/clusters/{cluster}/nodes/{node}/drain", tag = "clusters",
    responses((status = 204, description = "No more pods are asked to go.")))]
pub(crate) async fn stop_drain(State(api): State<Api>, caller: Caller, At(place): At<OfNode>) -> Reply {
    api.services().stop_drain(&caller.ctx, &place.cluster, &place.node).await?;
    Ok(reply::nothing())
}
