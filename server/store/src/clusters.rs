//! Clusters, and what opens them.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::clusters::{ClusterRow, ClusterRows, Registered, closed, in_use, registered_already, unknown},
};
use berth_types::{
    ClusterId, ErrorCode,
    cluster::{ClusterProbe, ClusterState},
};

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    quotas::{finish, text},
    store::{SqlStore, decoded, found},
};

fn cluster(row: &mut Reader<'_>) -> Result<ClusterRow> {
    let (id, label, labels, state) = (row.parsed()?, row.text()?, row.json()?, row.word(ClusterState::from_word)?);
    let (probe, version) = (row.json_or_null()?, row.int()?);
    let registered = match row.text_or_null()? {
        Some(server) => {
            Some(Registered { server, identity: row.text()?, generation: row.int()?, by: row.text()?, at: row.time()? })
        }
        None => None,
    };
    Ok(ClusterRow { id, label, labels, state, registered, probe, version })
}

/// Refuses a new namespace on a cluster that takes none; one that takes some stays so until the transaction ends.
pub(crate) async fn takes_more(transaction: &mut impl Transaction, id: &ClusterId) -> Result<()> {
    const LOCK: &str = "UPDATE clusters SET version = version WHERE id = $1";
    const FIND: &str = "SELECT state FROM clusters WHERE id = $1";
    if transaction.execute(sql(LOCK).bind(id.as_str())).await? == 0 {
        return Err(unknown(id));
    }
    let rows = transaction.fetch(sql(FIND).bind(id.as_str())).await?;
    match decoded(&rows, |row| row.word(ClusterState::from_word))?.pop() {
        Some(state) if state.takes_more() => Ok(()),
        _ => Err(closed(id)),
    }
}

/// The statement that adds a cluster.
pub(crate) fn insert(new: &ClusterRow, sealed: &[u8]) -> Result<Statement> {
    const SQL: &str = "INSERT INTO clusters (id, label, labels, state, probe, version, server, identity, generation, \
                       created_by, created_at, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let registered = new.registered.as_ref().ok_or_else(|| Error::internal("a cluster that nothing leads to"))?;
    let probe = new.probe.as_ref().map(text).transpose()?;
    Ok(sql(SQL)
        .bind(new.id.as_str())
        .bind(new.label.as_str())
        .bind(text(&new.labels)?.as_str())
        .bind(new.state.as_str())
        .bind(probe.as_deref())
        .bind(new.version)
        .bind(registered.server.as_str())
        .bind(registered.identity.as_str())
        .bind(registered.generation)
        .bind(registered.by.as_str())
        .bind(registered.at)
        .bind(sealed))
}

async fn remove(transaction: &mut impl Transaction, id: &ClusterId, forget: bool) -> Result<usize> {
    const LOCK: &str = "UPDATE clusters SET version = version WHERE id = $1 AND server IS NOT NULL";
    const THERE: &str = "SELECT COUNT(*) FROM namespaces WHERE cluster = $1";
    // Who makes a namespace waits for the row, and finds it gone.
    found(transaction.execute(sql(LOCK).bind(id.as_str())).await?)?;
    let rows = transaction.fetch(sql(THERE).bind(id.as_str())).await?;
    let there = decoded(&rows, |row| row.int())?.pop().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    if there > 0 && !forget {
        return Err(in_use(there));
    }
    for statement in [
        "DELETE FROM namespaces WHERE cluster = $1",
        "DELETE FROM tenant_quotas WHERE cluster = $1",
        "DELETE FROM quota_loans WHERE cluster = $1",
        "DELETE FROM usage_passes WHERE cluster = $1",
        "DELETE FROM cluster_tunnels WHERE cluster = $1",
        "DELETE FROM cluster_agents WHERE cluster = $1",
        "DELETE FROM clusters WHERE id = $1",
    ] {
        transaction.execute(sql(statement).bind(id.as_str())).await?;
    }
    Ok(there)
}

#[async_trait]
impl<E: Engine> ClusterRows for SqlStore<E> {
    async fn list_clusters(&self, _: &Grant<PlatformRef>) -> Result<Vec<ClusterRow>> {
        const SQL: &str = "SELECT id, label, labels, state, probe, version, server, identity, generation, created_by, \
                           created_at FROM clusters ORDER BY CASE WHEN server IS NULL THEN 1 ELSE 2 END, id";
        self.all(sql(SQL), cluster).await
    }

    async fn cluster_access(&self, _: &Grant<PlatformRef>, id: &ClusterId) -> Result<Option<(i64, Vec<u8>)>> {
        const SQL: &str = "SELECT generation, sealed FROM clusters WHERE id = $1 AND server IS NOT NULL";
        let read = |row: &mut Reader<'_>| Ok((row.int()?, row.bytes_or_null()?.unwrap_or_default()));
        self.one(sql(SQL).bind(id.as_str()), read).await
    }

    async fn create_cluster(&self, _: &Grant<PlatformRef>, new: &ClusterRow, sealed: &[u8]) -> Result<()> {
        const FIND: &str = "SELECT version FROM clusters WHERE id = $1";
        let statement = insert(new, sealed)?;
        match self.engine.execute(statement).await {
            Err(e) if e.code() == ErrorCode::AlreadyExists => {
                let named = self.one(sql(FIND).bind(new.id.as_str()), |row| row.int()).await?;
                Err(registered_already(named.is_some()))
            }
            done => done.map(drop),
        }
    }

    async fn update_cluster(&self, _: &Grant<PlatformRef>, wanted: &ClusterRow) -> Result<i64> {
        const SQL: &str = "UPDATE clusters SET label = $3, labels = $4, state = $5, version = version + 1 \
                           WHERE id = $1 AND version = $2";
        const FIND: &str = "SELECT version FROM clusters WHERE id = $1";
        let statement = sql(SQL)
            .bind(wanted.id.as_str())
            .bind(wanted.version)
            .bind(wanted.label.as_str())
            .bind(text(&wanted.labels)?.as_str())
            .bind(wanted.state.as_str());
        if self.engine.execute(statement).await? == 1 {
            return Ok(wanted.version + 1);
        }
        match self.one(sql(FIND).bind(wanted.id.as_str()), |row| row.int()).await? {
            Some(_) => Err(Error::new(ErrorCode::Conflict, "it was changed since it was read")),
            None => Err(Error::not_found()),
        }
    }

    async fn set_cluster_access(
        &self,
        _: &Grant<PlatformRef>,
        id: &ClusterId,
        server: &str,
        sealed: &[u8],
    ) -> Result<()> {
        const SQL: &str = "UPDATE clusters SET server = $2, sealed = $3, generation = generation + 1 \
                           WHERE id = $1 AND server IS NOT NULL";
        self.change_one(sql(SQL).bind(id.as_str()).bind(server).bind(sealed)).await
    }

    async fn note_probe(&self, _: &Grant<PlatformRef>, id: &ClusterId, probe: &ClusterProbe) -> Result<()> {
        let probe = text(probe)?;
        self.change_one(sql("UPDATE clusters SET probe = $2 WHERE id = $1").bind(id.as_str()).bind(probe.as_str()))
            .await
    }

    async fn remove_cluster(&self, _: &Grant<PlatformRef>, id: &ClusterId, forget: bool) -> Result<usize> {
        let mut transaction = self.engine.begin().await?;
        let done = remove(&mut transaction, id, forget).await;
        finish(transaction, done).await
    }
}
