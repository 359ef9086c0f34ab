//! What in namespaces was not as Berth keeps it.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef},
    error::Result,
    ports::drifts::{Drifted, Drifts, KEPT, news},
};
use berth_types::drift::{Drift, DriftKind};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    quotas::finish,
    store::{SqlStore, decoded},
};

#[async_trait]
impl<E: Engine> Drifts for SqlStore<E> {
    async fn note_drift(
        &self,
        _: &Grant<PlatformRef>,
        namespace: Uuid,
        found: &[Drifted],
        now: Timestamp,
    ) -> Result<Vec<Drifted>> {
        const SQL: &str = "INSERT INTO drifts (namespace_id, object, kind, by_whom, first_at, last_at, times) \
                           SELECT id, $2, $3, $4, $5, $5, 1 FROM namespaces WHERE id = $1 \
                           ON CONFLICT (namespace_id, object, kind) DO UPDATE SET by_whom = excluded.by_whom, \
                           last_at = excluded.last_at, times = drifts.times + 1";
        const OLD: &str = "DELETE FROM drifts WHERE namespace_id = $1 AND last_at < $2";
        const KNOWN: &str = "SELECT object, kind, last_at FROM drifts WHERE namespace_id = $1";
        let old = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        let mut tx = self.engine.begin().await?;
        let noted = async {
            tx.execute(sql(OLD).bind(namespace).bind(old)).await?;
            let read = |row: &mut Reader<'_>| Ok((row.text()?, row.word(DriftKind::from_word)?, row.time()?));
            let known = decoded(&tx.fetch(sql(KNOWN).bind(namespace)).await?, read)?;
            for one in found {
                let (object, kind) = (one.object.as_str(), one.kind.as_str());
                tx.execute(sql(SQL).bind(namespace).bind(object).bind(kind).bind(one.by.as_deref()).bind(now)).await?;
            }
            Ok(news(found, &known, now))
        };
        let noted = noted.await;
        finish(tx, noted).await
    }

    async fn list_refused(&self, _: &Grant<PlatformRef>) -> Result<Vec<Uuid>> {
        const SQL: &str = "SELECT DISTINCT namespace_id FROM drifts WHERE kind = $1 ORDER BY namespace_id";
        self.all(sql(SQL).bind(DriftKind::Refused.as_str()), |row| row.parsed()).await
    }

    async fn settle_refused(&self, _: &Grant<PlatformRef>, namespace: Uuid) -> Result<()> {
        const SQL: &str = "DELETE FROM drifts WHERE namespace_id = $1 AND kind = $2";
        self.engine.execute(sql(SQL).bind(namespace).bind(DriftKind::Refused.as_str())).await.map(drop)
    }

    async fn list_drift(&self, namespace: &Grant<NamespaceRef>) -> Result<Vec<Drift>> {
        const SQL: &str = "SELECT object, kind, by_whom, first_at, last_at, times FROM drifts WHERE namespace_id = $1 \
                           ORDER BY CASE kind WHEN 'refused' THEN 1 ELSE 2 END, last_at DESC, object, kind";
        self.all(sql(SQL).bind(namespace.id), |row| {
            Ok(Drift {
                object: row.text()?,
                kind: row.word(DriftKind::from_word)?,
                by: row.text_or_null()?,
                first_at: row.time()?,
                last_at: row.time()?,
                times: row.int()?,
            })
        })
        .await
    }
}
