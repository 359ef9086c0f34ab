//! The audit log, and replies that may be asked for again.

use async_trait::async_trait;
use berth_core::{
    audit::{chain::hex, range::Range},
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::store::{Digest, IdempotentReply, Journal, NewAudit, StoredReply},
};
use berth_types::{ErrorCode, ListQuery, Page, people::AuditEntry};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    chain::{append, headless},
    engine::{Engine, Reader, Statement, Transaction as _, Value, sql},
    list::{Filter, Key, Listing, Sort},
    store::{SqlStore, found},
};

pub(crate) fn entry(row: &mut Reader<'_>) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.int()?,
        at: row.time()?,
        actor: row.text()?,
        via: row.text()?,
        action: row.text()?,
        target: row.text()?,
        tenant: row.parsed_or_null()?,
        outcome: row.text()?,
        reason: row.text_or_null()?,
        detail: row.json_or_null()?,
        request_id: row.text()?,
        network: row.text()?,
        hash: hex(&row.digest()?),
    })
}

/// What [`entry`] and `chain::record` read of `audit a`.
pub(crate) const AUDIT_COLUMNS: &str = "a.id, a.at, a.actor, a.via, a.action, a.target, a.tenant, a.outcome, a.reason, \
                                        a.detail, a.request_id, a.network, a.hash";

/// No facets: the log has no bound, and counting all of it for each page would take ever longer.
pub(crate) static AUDIT: Listing<AuditEntry> = Listing {
    columns: AUDIT_COLUMNS,
    from: "audit a",
    // Targets are names, hence ASCII.
    search: "LOWER(a.target)",
    filters: &[
        Filter { field: "actor", sql: "a.actor", values: &[], facet: false },
        Filter { field: "action", sql: "a.action", values: &[], facet: false },
        Filter { field: "tenant", sql: "a.tenant", values: &[], facet: false },
        Filter { field: "outcome", sql: "a.outcome", values: &["done", "denied", "failed", "unknown"], facet: false },
    ],
    // Entries get their ids in the order in which they are written, which is the order of time.
    sorts: &[Sort { field: "at", sql: "a.id", key: |entry| Key::Int(entry.id) }],
    unique: "at",
    unique_descending: true,
    read: entry,
};

fn reply(row: &mut Reader<'_>) -> Result<IdempotentReply> {
    let request = row.digest()?;
    let claimed_at = row.time()?;
    let status = row.int_or_null()?;
    let headers = row.json_or_null()?;
    let body = row.bytes_or_null()?;
    let reply = match (status, headers, body) {
        (Some(status), Some(headers), Some(body)) => {
            Some(StoredReply { status: u16::try_from(status).map_err(Error::internal)?, headers, body })
        }
        _ => None,
    };
    Ok(IdempotentReply { request, claimed_at, reply })
}

/// An attempt as the entry that it becomes when nobody tells how it ended.
fn unknown(row: &mut Reader<'_>) -> Result<NewAudit> {
    Ok(NewAudit {
        id: row.parsed()?,
        at: row.time()?,
        actor: row.text()?,
        via: row.text()?,
        action: row.text()?,
        target: row.text()?,
        tenant: row.parsed_or_null()?,
        outcome: "unknown",
        reason: None,
        detail: None,
        request_id: row.text()?,
        network: row.text()?,
    })
}

/// The conditions of entries within a range.
pub(crate) fn in_range(range: Range) -> Vec<(&'static str, Vec<Value>)> {
    let bound = |sql, at: Option<Timestamp>| at.map(|at| (sql, vec![at.into()]));
    [bound("a.at >= ?", range.since), bound("a.at < ?", range.until)].into_iter().flatten().collect()
}

fn end_attempt(id: Uuid) -> Statement {
    sql("DELETE FROM audit_begun WHERE id = $1").bind(id)
}

/// How often a claim is tried that is neither new nor there: only somebody else's giving it up in between explains that.
const CLAIM_TRIES: usize = 5;

#[async_trait]
impl<E: Engine> Journal for SqlStore<E> {
    async fn begin_audit(&self, attempt: &NewAudit) -> Result<()> {
        // Where the log has no end that could be moved on, nothing is begun whose end could not be written down.
        const SQL: &str = "INSERT INTO audit_begun (id, at, actor, via, action, target, tenant, request_id, network) \
                           SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM audit_head WHERE one = 1";
        let statement = sql(SQL)
            .bind(attempt.id)
            .bind(attempt.at)
            .bind(attempt.actor.as_str())
            .bind(attempt.via.as_str())
            .bind(attempt.action.as_str())
            .bind(attempt.target.as_str())
            .bind(attempt.tenant.as_ref().map(|name| name.as_str()))
            .bind(attempt.request_id.as_str())
            .bind(attempt.network.as_str());
        if self.engine.execute(statement).await? == 1 { Ok(()) } else { Err(headless()) }
    }

    async fn append_audit(&self, entry: &NewAudit) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        transaction.execute(end_attempt(entry.id)).await?;
        append(&mut transaction, entry).await?;
        transaction.commit().await
    }

    async fn append_audit_again(&self, entry: &NewAudit) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        if transaction.execute(end_attempt(entry.id)).await? == 1 {
            append(&mut transaction, entry).await?;
        }
        transaction.commit().await
    }

    async fn settle_audit(&self, before: Timestamp) -> Result<u64> {
        const SQL: &str = "SELECT id, at, actor, via, action, target, tenant, request_id, network FROM audit_begun \
                           WHERE at < $1 ORDER BY at, id";
        let mut settled = 0;
        for entry in self.all(sql(SQL).bind(before), unknown).await? {
            let mut transaction = self.engine.begin().await?;
            // Whoever takes the attempt away writes the entry.
            if transaction.execute(end_attempt(entry.id)).await? == 1 {
                append(&mut transaction, &entry).await?;
                settled += 1;
            }
            transaction.commit().await?;
        }
        Ok(settled)
    }

    async fn list_audit(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditEntry>> {
        let mut query = query.clone();
        let range = in_range(Range::take(&mut query)?);
        AUDIT.page_of(&self.engine, &query, range).await
    }

    async fn claim_idempotency(
        &self,
        user: Uuid,
        key: &str,
        request: &Digest,
        now: Timestamp,
    ) -> Result<Option<IdempotentReply>> {
        const CLAIM: &str = "INSERT INTO idempotency_keys (user_id, key, request, created_at) VALUES ($1, $2, $3, $4) \
                             ON CONFLICT (user_id, key) DO NOTHING";
        const FIND: &str =
            "SELECT request, created_at, status, headers, body FROM idempotency_keys WHERE user_id = $1 AND key = $2";
        for _ in 0..CLAIM_TRIES {
            let claim = sql(CLAIM).bind(user).bind(key).bind(request).bind(now);
            if self.engine.execute(claim).await? == 1 {
                return Ok(None);
            }
            if let Some(known) = self.one(sql(FIND).bind(user).bind(key), reply).await? {
                return Ok(Some(known));
            }
        }
        Err(Error::new(ErrorCode::Conflict, "another request with this idempotency key keeps failing: try again"))
    }

    async fn keep_reply(&self, user: Uuid, key: &str, claimed_at: Timestamp, reply: &StoredReply) -> Result<()> {
        const SQL: &str = "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5 \
                           WHERE user_id = $1 AND key = $2 AND created_at = $6 AND status IS NULL";
        let statement = sql(SQL)
            .bind(user)
            .bind(key)
            .bind(i64::from(reply.status))
            .bind(reply.headers.to_string().as_str())
            .bind(reply.body.as_slice())
            .bind(claimed_at);
        found(self.engine.execute(statement).await?)
    }

    async fn release_idempotency(&self, user: Uuid, key: &str, claimed_at: Timestamp) -> Result<()> {
        // A reply that was kept stays.
        const SQL: &str =
            "DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL";
        self.engine.execute(sql(SQL).bind(user).bind(key).bind(claimed_at)).await.map(drop)
    }
}
