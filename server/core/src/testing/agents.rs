//! Agents of a [`FakeStore`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_types::{ClusterId, ErrorCode};
use jiff::Timestamp;

use super::FakeStore;
use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::{
        agents::{AgentRow, AgentRows, AgentToken, Caller, Tunnel, met_already, unmet},
        clusters::{ClusterRow, ClusterRows as _},
        store::Digest,
    },
};

#[derive(Default)]
pub(super) struct Rows {
    all: BTreeMap<ClusterId, (Option<Digest>, AgentRow)>,
    replicas: BTreeMap<String, Timestamp>,
    tunnels: BTreeMap<(ClusterId, String), (Timestamp, Timestamp)>,
}

impl Rows {
    pub(super) fn forget(&mut self, id: &ClusterId) {
        self.all.remove(id);
        self.tunnels.retain(|(cluster, _), _| cluster != id);
    }

    fn row(&mut self, id: &ClusterId) -> Result<&mut (Option<Digest>, AgentRow)> {
        self.all.get_mut(id).ok_or_else(Error::not_found)
    }
}

#[async_trait]
impl AgentRows for FakeStore {
    async fn create_agent(&self, grant: &Grant<PlatformRef>, new: &ClusterRow, token: &AgentToken) -> Result<()> {
        self.create_cluster(grant, new, b"").await?;
        let AgentToken { digest, prefix, by, at } = token.clone();
        let row = AgentRow {
            cluster: new.id.clone(),
            prefix: Some(prefix),
            by,
            at,
            caller: None,
            seen_at: None,
            refused: None,
        };
        self.rows()?.agents.all.insert(new.id.clone(), (Some(digest), row));
        Ok(())
    }

    async fn set_agent_token(&self, _: &Grant<PlatformRef>, id: &ClusterId, token: Option<&AgentToken>) -> Result<()> {
        let mut rows = self.rows()?;
        let (digest, row) = rows.agents.row(id)?;
        *digest = token.map(|token| token.digest);
        row.prefix = token.map(|token| token.prefix.clone());
        if let Some(token) = token {
            row.by.clone_from(&token.by);
            row.at = token.at;
        }
        Ok(())
    }

    async fn find_agent(&self, digest: &Digest) -> Result<Option<ClusterId>> {
        let rows = self.rows()?;
        let mut all = rows.agents.all.iter();
        Ok(all.find(|(_, (known, _))| known.as_ref() == Some(digest)).map(|(id, _)| id.clone()))
    }

    async fn list_agents(&self, _: &Grant<PlatformRef>) -> Result<Vec<AgentRow>> {
        Ok(self.rows()?.agents.all.values().map(|(_, row)| row.clone()).collect())
    }

    async fn meet_cluster(
        &self,
        grant: &Grant<PlatformRef>,
        id: &ClusterId,
        identity: &str,
        server: &str,
    ) -> Result<()> {
        let all = self.list_clusters(grant).await?;
        let of = |row: &ClusterRow| row.registered.as_ref().map(|registered| registered.identity.clone());
        if all.iter().any(|row| of(row).as_deref() == Some(identity)) {
            return Err(met_already());
        }
        let mut rows = self.rows()?;
        match rows.clusters.registered(id) {
            Some(registered) if registered.identity == unmet(id) => {
                identity.clone_into(&mut registered.identity);
                server.clone_into(&mut registered.server);
                Ok(())
            }
            _ => Err(Error::new(ErrorCode::Conflict, "another agent was quicker")),
        }
    }

    async fn note_call(&self, _: &Grant<PlatformRef>, id: &ClusterId, who: &Caller, at: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let (_, row) = rows.agents.row(id)?;
        (row.caller, row.seen_at, row.refused) = (Some(who.clone()), Some(at), None);
        Ok(())
    }

    async fn note_refusal(&self, _: &Grant<PlatformRef>, id: &ClusterId, why: &str, at: Timestamp) -> Result<()> {
        self.rows()?.agents.row(id)?.1.refused = Some((why.to_owned(), at));
        Ok(())
    }

    async fn note_replica(
        &self,
        _: &Grant<PlatformRef>,
        name: &str,
        at: Timestamp,
        tunnels: &[(ClusterId, Timestamp)],
    ) -> Result<()> {
        let rows = &mut self.rows()?.agents;
        rows.replicas.insert(name.to_owned(), at);
        rows.tunnels.retain(|(_, replica), _| replica != name);
        for (cluster, since) in tunnels {
            if let Ok((_, row)) = rows.row(cluster) {
                row.seen_at = Some(at);
                rows.tunnels.insert((cluster.clone(), name.to_owned()), (*since, at));
            }
        }
        Ok(())
    }

    async fn remove_replica(&self, _: &Grant<PlatformRef>, name: &str) -> Result<()> {
        let rows = &mut self.rows()?.agents;
        rows.replicas.remove(name);
        rows.tunnels.retain(|(_, replica), _| replica != name);
        Ok(())
    }

    async fn list_replicas(&self, _: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<String>> {
        let rows = self.rows()?;
        Ok(rows.agents.replicas.iter().filter(|(_, at)| **at > since).map(|(name, _)| name.clone()).collect())
    }

    async fn list_tunnels(&self, _: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<Tunnel>> {
        let rows = self.rows()?;
        let live = rows.agents.tunnels.iter().filter(|(_, (_, at))| *at > since);
        let tunnel = |((cluster, replica), (since, _)): (&(ClusterId, String), &(Timestamp, Timestamp))| Tunnel {
            cluster: cluster.clone(),
            replica: replica.clone(),
            since: *since,
        };
        Ok(live.map(tunnel).collect())
    }
}
