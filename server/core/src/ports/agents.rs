//! Agents: what stands in the database of them and of their tunnels, and what takes their calls.

use async_trait::async_trait;
use berth_types::{ClusterId, ErrorCode, FieldError};
use jiff::Timestamp;

use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::{
        clusters::{ClusterRow, Looked},
        store::Digest,
    },
};

/// What stands in the place of a cluster's identity before its agent called for the first time.
#[must_use]
pub fn unmet(id: &ClusterId) -> String {
    format!("agent:{id}")
}

/// Why a cluster whose agent calls is not taken: it is there already under another name.
#[must_use]
pub fn met_already() -> Error {
    let message = "this cluster is registered already, under another name: an agent's token is good for one cluster";
    Error::new(ErrorCode::AlreadyExists, message).with_fields(vec![FieldError::new("agent", "cluster_known", message)])
}

/// A token of an agent, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentToken {
    /// Of the token.
    pub digest: Digest,
    /// First characters.
    pub prefix: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Who called from a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The agent's version.
    pub version: String,
    /// From where.
    pub address: String,
}

/// What is known of a cluster's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Its cluster.
    pub cluster: ClusterId,
    /// First characters of its token; none: it was revoked.
    pub prefix: Option<String>,
    /// Who made the token.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Who called last.
    pub caller: Option<Caller>,
    /// When it was there last.
    pub seen_at: Option<Timestamp>,
    /// Why who called was sent away, and when, if nobody was taken since.
    pub refused: Option<(String, Timestamp)>,
}

/// A tunnel to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// Whose.
    pub cluster: ClusterId,
    /// The replica.
    pub replica: String,
    /// Since when there is one.
    pub since: Timestamp,
}

/// Agents, their tunnels, and the replicas to which these lead.
#[async_trait]
pub trait AgentRows: Send + Sync {
    /// A new cluster that an agent leads to. `AlreadyExists` where its handle is taken.
    async fn create_agent(&self, grant: &Grant<PlatformRef>, new: &ClusterRow, token: &AgentToken) -> Result<()>;
    /// Gives an agent another token, or none any more. `NotFound` where no agent leads to the cluster.
    async fn set_agent_token(
        &self,
        grant: &Grant<PlatformRef>,
        id: &ClusterId,
        token: Option<&AgentToken>,
    ) -> Result<()>;
    /// The cluster whose agent has this token.
    async fn find_agent(&self, digest: &Digest) -> Result<Option<ClusterId>>;
    /// All agents, by their cluster.
    async fn list_agents(&self, grant: &Grant<PlatformRef>) -> Result<Vec<AgentRow>>;
    /// Fixes which cluster an agent calls from, and how that calls its API server. [`met_already`] where it is there under another name;
    /// `Conflict` where it is fixed.
    async fn meet_cluster(
        &self,
        grant: &Grant<PlatformRef>,
        id: &ClusterId,
        identity: &str,
        server: &str,
    ) -> Result<()>;
    /// Keeps who was taken. `NotFound`.
    async fn note_call(&self, grant: &Grant<PlatformRef>, id: &ClusterId, who: &Caller, at: Timestamp) -> Result<()>;
    /// Keeps why somebody was sent away. `NotFound`.
    async fn note_refusal(&self, grant: &Grant<PlatformRef>, id: &ClusterId, why: &str, at: Timestamp) -> Result<()>;
    /// Keeps that a replica serves, and which tunnels it has: others that it had are over.
    async fn note_replica(
        &self,
        grant: &Grant<PlatformRef>,
        name: &str,
        at: Timestamp,
        tunnels: &[(ClusterId, Timestamp)],
    ) -> Result<()>;
    /// A replica serves no more.
    async fn remove_replica(&self, grant: &Grant<PlatformRef>, name: &str) -> Result<()>;
    /// Replicas that said after `since` that they serve, by name.
    async fn list_replicas(&self, grant: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<String>>;
    /// Tunnels of these, by cluster and replica.
    async fn list_tunnels(&self, grant: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<Tunnel>>;
}

/// What a replica tells the agents that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which replica it is.
    pub replica: String,
    /// How many there are.
    pub replicas: usize,
}

/// As which cluster a call is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// Its handle.
    pub id: ClusterId,
    /// That of the row: another that has the handle later is another cluster.
    pub generation: i64,
    /// Which cluster it is.
    pub identity: String,
}

/// An agent that called and said who it is, not yet taken. Dropping it closes the tunnel.
#[async_trait]
pub trait Call: Send + Sync {
    /// The agent's version.
    fn version(&self) -> &str;
    /// How it calls its API server.
    fn server(&self) -> &str;
    /// Replicas to which it has a tunnel, as it says.
    fn held(&self) -> &[String];
    /// Which cluster is behind it.
    ///
    /// # Errors
    /// `ClusterUnavailable` and the like, as it answers.
    async fn identity(&self) -> Result<String>;
    /// Looks at that cluster.
    async fn look(&self) -> Looked;
    /// Sends it away.
    async fn refuse(self: Box<Self>, why: &str);
    /// Tells it how things are and takes it not: it has a tunnel here.
    async fn spare(self: Box<Self>, told: Told);
    /// Takes it: from now on the cluster is reached through it, until it ends.
    async fn serve(self: Box<Self>, met: &Met, told: tokio::sync::watch::Receiver<Told>);
}
