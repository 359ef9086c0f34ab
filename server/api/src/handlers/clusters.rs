//! The clusters that Berth knows, for who keeps the platform.

use axum::extract::State;
use berth_core::{
    listing::{Column, Listing},
    services::agents::MadeAgent,
};
use berth_types::{
    Page,
    cluster::{ClusterChange, ClusterChoice, ClusterProbe, ClusterRemains, ClusterView, NewAgent, NewCluster},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Api,
    body::{Input, Sent},
    caller::Caller,
    conditional::{IfMatch, failed, tag},
    handlers::{kubeconfigs::base, me::shown_once},
    places::{At, InCluster, InTenant},
    problem::Reply,
    query::{Asked, Columns},
    reply,
};

pub(crate) const CLUSTERS: Columns = Columns {
    sorts: &["name", "state", "health"],
    filters: &[
        ("state", &["open", "closed", "draining"]),
        ("health", &["locked", "away", "idle", "connecting", "live"]),
    ],
};

static LISTING: Listing<ClusterView> = Listing {
    columns: &[
        Column { name: "name", key: Some(|c| c.name.as_str().into()), value: None, facet: false },
        Column {
            name: "state",
            key: Some(|c| (c.state as i64).into()),
            value: Some(|c| c.state.to_string()),
            facet: true,
        },
        Column {
            name: "health",
            key: Some(|c| (c.health as i64).into()),
            value: Some(|c| c.health.to_string()),
            facet: true,
        },
    ],
    search: |c| {
        let labels: Vec<String> = c.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("{} {} {}", c.name, c.label, labels.join(" "))
    },
    unique: "name",
    descending: false,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(list_clusters, register_cluster))
        .routes(routes!(try_cluster))
        .routes(routes!(get_cluster, replace_cluster, remove_cluster))
        .routes(routes!(replace_kubeconfig))
        .routes(routes!(register_agent))
        .routes(routes!(renew_agent_token, revoke_agent_token))
        .routes(routes!(probe_cluster))
        .routes(routes!(get_remains))
        .routes(routes!(forget_cluster))
        .routes(routes!(list_choices))
}

impl Input for NewCluster {}
impl Input for ClusterChange {}
impl Input for NewAgent {}

/// An agent with its token, which is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MadeClusterAgent {
    /// The cluster to which it shall lead.
    pub cluster: ClusterView,
    /// Its token; absent when the reply is replayed for an idempotency key.
    pub token: Option<String>,
    /// All that its cluster is given, as YAML for `kubectl apply -f -`, the token in it; absent as the token is.
    pub manifest: Option<String>,
}

impl MadeClusterAgent {
    fn of(api: &Api, asked: &Asked, made: MadeAgent) -> berth_core::Result<Self> {
        let manifest = api.services().agent_manifest(&base(api, &asked.headers)?, &made.token)?;
        let token = made.token.expose_secret().to_owned();
        Ok(Self { cluster: made.cluster, token: Some(token), manifest: Some(manifest) })
    }

    fn without_secrets(mut self) -> Self {
        (self.token, self.manifest) = (None, None);
        self
    }
}

/// A way to a cluster.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterAccess {
    /// The kubeconfig, as YAML: with the credentials in it, no programs and no files.
    pub kubeconfig: String,
}

impl Input for ClusterAccess {}

/// That a cluster shall be forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Forgetting {
    /// The cluster's name once more.
    pub confirm: String,
}

impl Input for Forgetting {}

/// Clusters on which a tenant's new namespaces may be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterChoices {
    /// The one that is taken without a word first.
    pub items: Vec<ClusterChoice>,
}

/// List clusters
///
/// The one of Berth's own configuration, and those that were registered: what they take, how they are doing, what they have. For people
/// with a role on the platform.
#[utoipa::path(get, path = "/clusters", tag = "clusters",
    responses((status = 200, description = "Clusters.", body = Page<ClusterView>)))]
pub(crate) async fn list_clusters(State(api): State<Api>, caller: Caller, asked: Asked) -> Reply {
    let query = asked.list(&CLUSTERS)?;
    let all = api.services().list_clusters(&caller.ctx).await?;
    Ok(reply::page(&asked, &LISTING.page(all, &query)?)?)
}

/// Register a cluster
///
/// By a kubeconfig with its credentials in it; programs (`exec`), files, proxies and `insecure-skip-tls-verify` are refused at the line
/// that names them. Berth looks at the cluster first, and keeps nothing of one that it cannot work on: each check that is bad is an
/// error at `kubeconfig`. Contexts called `berth-reader`, `berth-releases`, `berth-controller` and `berth-writer` are used for what their
/// names say. Every replica of Berth works with it within seconds.
#[utoipa::path(post, path = "/clusters", tag = "clusters", request_body = NewCluster,
    responses((status = 201, description = "The cluster.", body = ClusterView)))]
pub(crate) async fn register_cluster(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewCluster>,
) -> Reply {
    let made = api.services().register_cluster(&caller.ctx, &new).await?;
    let location = format!("{}/{}", asked.uri.path(), made.name);
    Ok(reply::with_tag(reply::created(&made, &location)?, tag(made.version, false)))
}

/// Try a kubeconfig
///
/// What registering it would find. Nothing is kept, and nothing is changed in the cluster.
#[utoipa::path(post, path = "/clusters/try", tag = "clusters", request_body = ClusterAccess,
    responses((status = 200, description = "What was found.", body = ClusterProbe)))]
pub(crate) async fn try_cluster(State(api): State<Api>, caller: Caller, Sent(access): Sent<ClusterAccess>) -> Reply {
    let tried = api.services().try_cluster(&caller.ctx, &access.kubeconfig.into()).await?;
    Ok(reply::json(&tried.probe)?)
}

/// Get a cluster
#[utoipa::path(get, path = "/clusters/{cluster}", tag = "clusters", description = "One of them, with what was found last.",
    responses((status = 200, description = "The cluster.", body = ClusterView)))]
pub(crate) async fn get_cluster(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    Ok(reply::tagged(&asked, &api.services().get_cluster(&caller.ctx, &place.cluster).await?)?)
}

/// Change a cluster
///
/// What people call it, what they choose it by, and what it takes: a cluster that is `closed` or `draining` gets no new namespaces and no
/// larger quotas; what is there stays and works, and nothing is moved. With `If-Match`, only the version that you read is changed.
#[utoipa::path(put, path = "/clusters/{cluster}", tag = "clusters", request_body = ClusterChange,
    responses((status = 200, description = "The cluster as it is now.", body = ClusterView)))]
pub(crate) async fn replace_cluster(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
    Sent(change): Sent<ClusterChange>,
) -> Reply {
    let known = IfMatch::read(&asked.headers)?.number();
    let changed = api.services().update_cluster(&caller.ctx, &place.cluster, &change, known).await;
    let after = changed.map_err(|e| if known.is_some() { failed(e) } else { e })?;
    let tag = tag(after.version, false);
    Ok(reply::with_tag(reply::json(&after)?, tag))
}

/// Remove a cluster
///
/// Only while no tenant has a namespace there; quotas on it go with it. What Berth installed in it stays: see `berth crds`. The cluster of
/// Berth's own configuration is changed there.
#[utoipa::path(delete, path = "/clusters/{cluster}", tag = "clusters",
    responses((status = 204, description = "Berth knows of it no more.")))]
pub(crate) async fn remove_cluster(State(api): State<Api>, caller: Caller, At(place): At<InCluster>) -> Reply {
    api.services().remove_cluster(&caller.ctx, &place.cluster).await?;
    Ok(reply::nothing())
}

/// Replace a cluster's kubeconfig
///
/// When its credentials end, or its address moves. It must lead to the same cluster, and is looked at first.
#[utoipa::path(put, path = "/clusters/{cluster}/kubeconfig", tag = "clusters", request_body = ClusterAccess,
    responses((status = 200, description = "The cluster.", body = ClusterView)))]
pub(crate) async fn replace_kubeconfig(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    Sent(access): Sent<ClusterAccess>,
) -> Reply {
    let kubeconfig = access.kubeconfig.into();
    Ok(reply::json(&api.services().replace_cluster_access(&caller.ctx, &place.cluster, &kubeconfig).await?)?)
}

/// Register a cluster by an agent
///
/// For one that Berth cannot reach. The answer has the agent's token and all that the cluster is given: its accounts with the rights that
/// the chart gives Berth in its own cluster, and the agent. Once it runs there, it calls; which cluster that is, its first call says.
#[utoipa::path(post, path = "/agent-clusters", tag = "clusters", request_body = NewAgent,
    responses((status = 201, description = "The agent, its token shown only here.", body = MadeClusterAgent)))]
pub(crate) async fn register_agent(
    State(api): State<Api>,
    caller: Caller,
    asked: Asked,
    Sent(new): Sent<NewAgent>,
) -> Reply {
    let made = api.services().register_agent(&caller.ctx, &new).await?;
    let location = asked.uri.path().replace("/agent-clusters", &format!("/clusters/{}", made.cluster.name));
    let made = MadeClusterAgent::of(&api, &asked, made)?;
    Ok(shown_once(reply::created(&made, &location)?, &made.without_secrets())?)
}

/// Renew an agent's token
///
/// The one that it had is over: what has it is let go of within 5 s. Also for one that was revoked.
#[utoipa::path(post, path = "/clusters/{cluster}/agent-token", tag = "clusters",
    responses((status = 200, description = "The agent, its token shown only here.", body = MadeClusterAgent)))]
pub(crate) async fn renew_agent_token(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
) -> Reply {
    let made = api.services().renew_agent(&caller.ctx, &place.cluster).await?;
    let made = MadeClusterAgent::of(&api, &asked, made)?;
    Ok(shown_once(reply::json(&made)?, &made.without_secrets())?)
}

/// Revoke an agent's token
///
/// Its tunnels are closed within 5 s. The cluster is away from then on, until its agent has another token.
#[utoipa::path(delete, path = "/clusters/{cluster}/agent-token", tag = "clusters",
    responses((status = 204, description = "It is revoked.")))]
pub(crate) async fn revoke_agent_token(State(api): State<Api>, caller: Caller, At(place): At<InCluster>) -> Reply {
    api.services().revoke_agent(&caller.ctx, &place.cluster).await?;
    Ok(reply::nothing())
}

/// Probe a cluster
///
/// What `berth doctor` would say of it, asked of the cluster now and kept as what was found last.
#[utoipa::path(post, path = "/clusters/{cluster}/probe", tag = "clusters",
    responses((status = 200, description = "What was found.", body = ClusterProbe)))]
pub(crate) async fn probe_cluster(State(api): State<Api>, caller: Caller, At(place): At<InCluster>) -> Reply {
    Ok(reply::json(&api.services().probe_cluster(&caller.ctx, &place.cluster).await?)?)
}

/// List what is left on a cluster
///
/// The namespaces that tenants have there, with apps, pods and volumes, and tenants that have but a quota there. Nothing of it is moved by
/// itself.
#[utoipa::path(get, path = "/clusters/{cluster}/remains", tag = "clusters",
    responses((status = 200, description = "What is left.", body = ClusterRemains)))]
pub(crate) async fn get_remains(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    Ok(reply::tagged(&asked, &api.services().cluster_remains(&caller.ctx, &place.cluster).await?)?)
}

/// Forget a cluster
///
/// With all that tenants have there: for one that is lost. In the cluster everything stays and runs on; Berth knows of it no more.
#[utoipa::path(post, path = "/clusters/{cluster}/forget", tag = "clusters", request_body = Forgetting,
    responses((status = 204, description = "It is forgotten.")))]
pub(crate) async fn forget_cluster(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InCluster>,
    Sent(forgetting): Sent<Forgetting>,
) -> Reply {
    api.services().forget_cluster(&caller.ctx, &place.cluster, &forgetting.confirm).await?;
    Ok(reply::nothing())
}

/// List clusters for new namespaces
///
/// Those that take some, with their labels; for people who may make namespaces in the tenant.
#[utoipa::path(get, path = "/tenants/{tenant}/clusters", tag = "namespaces",
    responses((status = 200, description = "The clusters.", body = ClusterChoices)))]
pub(crate) async fn list_choices(
    State(api): State<Api>,
    caller: Caller,
    At(place): At<InTenant>,
    asked: Asked,
) -> Reply {
    asked.only(&[])?;
    let items = api.services().cluster_choices(&caller.ctx, &place.tenant).await?;
    Ok(reply::tagged(&asked, &ClusterChoices { items })?)
}
