//! Agents, their tunnels, and replicas.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::{
        agents::{AgentRow, AgentRows, AgentToken, Caller, Tunnel, met_already, unmet},
        clusters::ClusterRow,
        store::Digest,
    },
};
use berth_types::{ClusterId, ErrorCode};
use jiff::Timestamp;

use crate::{
    clusters::insert,
    engine::{Engine, Reader, Transaction, sql},
    quotas::finish,
    store::SqlStore,
};

fn agent(row: &mut Reader<'_>) -> Result<AgentRow> {
    let (cluster, prefix, by, at) = (row.parsed()?, row.text_or_null()?, row.text()?, row.time()?);
    let caller = row.text_or_null()?.zip(row.text_or_null()?).map(|(version, address)| Caller { version, address });
    let seen_at = row.time_or_null()?;
    let refused = row.text_or_null()?.zip(row.time_or_null()?);
    Ok(AgentRow { cluster, prefix, by, at, caller, seen_at, refused })
}

async fn create(transaction: &mut impl Transaction, new: &ClusterRow, token: &AgentToken) -> Result<()> {
    const SQL: &str =
        "INSERT INTO cluster_agents (cluster, digest, prefix, made_by, made_at) VALUES ($1, $2, $3, $4, $5)";
    transaction.execute(insert(new, b"")?).await?;
    let agent = sql(SQL).bind(new.id.as_str()).bind(&token.digest).bind(token.prefix.as_str());
    transaction.execute(agent.bind(token.by.as_str()).bind(token.at)).await.map(drop)
}

async fn note(
    transaction: &mut impl Transaction,
    name: &str,
    at: Timestamp,
    tunnels: &[(ClusterId, Timestamp)],
) -> Result<()> {
    const REPLICA: &str = "INSERT INTO replicas (name, seen_at) VALUES ($1, $2) \
                           ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at";
    const OVER: &str = "DELETE FROM cluster_tunnels WHERE replica = $1";
    // A cluster that was removed meanwhile has none.
    const TUNNEL: &str = "INSERT INTO cluster_tunnels (cluster, replica, since, seen_at) \
                          SELECT id, $2, $3, $4 FROM clusters WHERE id = $1";
    const SEEN: &str = "UPDATE cluster_agents SET seen_at = $2 WHERE cluster = $1";
    transaction.execute(sql(REPLICA).bind(name).bind(at)).await?;
    transaction.execute(sql(OVER).bind(name)).await?;
    for (cluster, since) in tunnels {
        transaction.execute(sql(TUNNEL).bind(cluster.as_str()).bind(name).bind(*since).bind(at)).await?;
        transaction.execute(sql(SEEN).bind(cluster.as_str()).bind(at)).await?;
    }
    Ok(())
}

#[async_trait]
impl<E: Engine> AgentRows for SqlStore<E> {
    async fn create_agent(&self, _: &Grant<PlatformRef>, new: &ClusterRow, token: &AgentToken) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = create(&mut transaction, new, token).await;
        match finish(transaction, done).await {
            Err(e) if e.code() == ErrorCode::AlreadyExists => {
                Err(berth_core::ports::clusters::registered_already(true))
            }
            done => done,
        }
    }

    async fn set_agent_token(&self, _: &Grant<PlatformRef>, id: &ClusterId, token: Option<&AgentToken>) -> Result<()> {
        const NEW: &str =
            "UPDATE cluster_agents SET digest = $2, prefix = $3, made_by = $4, made_at = $5 WHERE cluster = $1";
        const NONE: &str = "UPDATE cluster_agents SET digest = NULL, prefix = NULL WHERE cluster = $1";
        let statement = match token {
            Some(token) => sql(NEW)
                .bind(id.as_str())
                .bind(&token.digest)
                .bind(token.prefix.as_str())
                .bind(token.by.as_str())
                .bind(token.at),
            None => sql(NONE).bind(id.as_str()),
        };
        self.change_one(statement).await
    }

    async fn find_agent(&self, digest: &Digest) -> Result<Option<ClusterId>> {
        const SQL: &str = "SELECT cluster FROM cluster_agents WHERE digest = $1";
        self.one(sql(SQL).bind(digest), |row| row.parsed()).await
    }

    async fn list_agents(&self, _: &Grant<PlatformRef>) -> Result<Vec<AgentRow>> {
        const SQL: &str = "SELECT cluster, prefix, made_by, made_at, version, address, seen_at, refused, refused_at \
                           FROM cluster_agents ORDER BY cluster";
        self.all(sql(SQL), agent).await
    }

    async fn meet_cluster(&self, _: &Grant<PlatformRef>, id: &ClusterId, identity: &str, server: &str) -> Result<()> {
        const SQL: &str = "UPDATE clusters SET identity = $2, server = $3 WHERE id = $1 AND identity = $4";
        let statement = sql(SQL).bind(id.as_str()).bind(identity).bind(server).bind(unmet(id).as_str());
        match self.engine.execute(statement).await {
            Ok(0) => Err(Error::new(ErrorCode::Conflict, "another agent was quicker")),
            Err(e) if e.code() == ErrorCode::AlreadyExists => Err(met_already()),
            done => done.map(drop),
        }
    }

    async fn note_call(&self, _: &Grant<PlatformRef>, id: &ClusterId, who: &Caller, at: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE cluster_agents SET version = $2, address = $3, seen_at = $4, refused = NULL, \
                           refused_at = NULL WHERE cluster = $1";
        let statement = sql(SQL).bind(id.as_str()).bind(who.version.as_str()).bind(who.address.as_str()).bind(at);
        self.change_one(statement).await
    }

    async fn note_refusal(&self, _: &Grant<PlatformRef>, id: &ClusterId, why: &str, at: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE cluster_agents SET refused = $2, refused_at = $3 WHERE cluster = $1";
        self.change_one(sql(SQL).bind(id.as_str()).bind(why).bind(at)).await
    }

    async fn note_replica(
        &self,
        _: &Grant<PlatformRef>,
        name: &str,
        at: Timestamp,
        tunnels: &[(ClusterId, Timestamp)],
    ) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = note(&mut transaction, name, at, tunnels).await;
        finish(transaction, done).await
    }

    async fn remove_replica(&self, _: &Grant<PlatformRef>, name: &str) -> Result<()> {
        self.engine.execute(sql("DELETE FROM cluster_tunnels WHERE replica = $1").bind(name)).await?;
        self.engine.execute(sql("DELETE FROM replicas WHERE name = $1").bind(name)).await.map(drop)
    }

    async fn list_replicas(&self, _: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<String>> {
        const SQL: &str = "SELECT name FROM replicas WHERE seen_at > $1 ORDER BY name";
        self.all(sql(SQL).bind(since), |row| row.text()).await
    }

    async fn list_tunnels(&self, _: &Grant<PlatformRef>, since: Timestamp) -> Result<Vec<Tunnel>> {
        const SQL: &str =
            "SELECT cluster, replica, since FROM cluster_tunnels WHERE seen_at > $1 ORDER BY cluster, replica";
        let read =
            |row: &mut Reader<'_>| Ok(Tunnel { cluster: row.parsed()?, replica: row.text()?, since: row.time()? });
        self.all(sql(SQL).bind(since), read).await
    }
}
