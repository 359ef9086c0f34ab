//! The audit log as a chain (`berth_core::audit`).

use async_trait::async_trait;
use berth_core::{
    audit::{
        Head, Record,
        chain::{VERSION, digest_of_hex, hex},
        range::Range,
    },
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::store::{AuditChain, NewAudit, Slice},
};
use berth_types::{ListQuery, Page, audit::AuditCheckpoint, people::AuditEntry};

use crate::{
    engine::{Engine, Reader, Statement, Transaction, Value, sql},
    journal::{AUDIT, AUDIT_COLUMNS, entry, in_range},
    list::{Key, Listing, Sort},
    store::SqlStore,
};

/// Entries that are chained at a time when a database is brought up to date: two values each, of which SQLite takes 32,766.
const BATCH: i64 = 500;

/// Somebody removed the row of the chain's end.
pub(crate) fn headless() -> Error {
    Error::internal("the row that tells where the audit log ends is missing")
}

/// Appends to the chain: locks its end, so that whoever else appends waits, and moves it on.
pub(crate) async fn append(transaction: &mut impl Transaction, entry: &NewAudit) -> Result<()> {
    const LOCK: &str = "UPDATE audit_head SET id = id + 1 WHERE one = 1 RETURNING id - 1, hash";
    const INSERT: &str = "INSERT INTO audit (id, at, actor, via, action, target, tenant, outcome, reason, detail, \
                          request_id, network, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    const MOVE: &str = "UPDATE audit_head SET hash = $1 WHERE one = 1";
    let locked = transaction.fetch(sql(LOCK)).await?;
    let head = locked.first().map(|row| head(&mut Reader::new(row))).transpose()?;
    let head = head.ok_or_else(headless)?;
    let record = Record::after(&head, entry);
    let insert = sql(INSERT)
        .bind(record.sequence)
        .bind(record.at)
        .bind(record.actor.as_str())
        .bind(record.via.as_str())
        .bind(record.action.as_str())
        .bind(record.target.as_str())
        .bind(record.tenant.as_deref())
        .bind(record.outcome.as_str())
        .bind(record.reason.as_deref())
        .bind(record.detail.as_deref())
        .bind(record.request_id.as_str())
        .bind(record.network.as_str())
        .bind(record.hash.as_slice());
    transaction.execute(insert).await?;
    transaction.execute(sql(MOVE).bind(record.hash.as_slice())).await.map(drop)
}

/// Gives the entries of a log that was none yet their hashes, in the transaction that migrates. What it holds in memory is
/// bounded; killed in between, it begins anew.
pub(crate) async fn chain_all(transaction: &mut impl Transaction) -> Result<()> {
    let rows = transaction.fetch(sql("SELECT id FROM installation")).await?;
    let row = rows.first().ok_or_else(|| Error::internal("the database does not say which installation it is"))?;
    let mut head = Head::genesis(&Reader::new(row).text()?);
    loop {
        // Not `AUDIT_COLUMNS`: the table is here as it was at this step, whatever columns it gets later.
        let text = "SELECT a.id, a.at, a.actor, a.via, a.action, a.target, a.tenant, a.outcome, a.reason, a.detail, \
                    a.request_id, a.network, a.hash FROM audit a WHERE a.id > $1 AND a.id <= $2 ORDER BY a.id";
        let rows = transaction.fetch(sql(text).bind(head.sequence).bind(head.sequence + BATCH)).await?;
        if rows.is_empty() {
            break;
        }
        let mut places = Vec::with_capacity(rows.len());
        let mut values = Vec::with_capacity(rows.len() * 2);
        for row in &rows {
            let record = record(&mut Reader::new(row))?;
            head = Head { sequence: record.sequence, hash: record.hash_after(&head.hash) };
            places.push(format!("(${}, ${})", values.len() + 1, values.len() + 2));
            values.extend([Value::from(head.sequence), Value::from(&head.hash)]);
        }
        // Both databases call the columns of VALUES so.
        let text = format!(
            "UPDATE audit SET hash = v.column2 FROM (VALUES {}) AS v WHERE audit.id = v.column1",
            places.join(", ")
        );
        transaction.execute(Statement::composed(text, values)).await?;
    }
    let end = sql("UPDATE audit_head SET id = $1, hash = $2 WHERE one = 1").bind(head.sequence).bind(&head.hash);
    transaction.execute(end).await.map(drop)
}

fn head(row: &mut Reader<'_>) -> Result<Head> {
    Ok(Head { sequence: row.int()?, hash: row.digest()? })
}

fn record(row: &mut Reader<'_>) -> Result<Record> {
    Ok(Record {
        sequence: row.int()?,
        at: row.int()?,
        actor: row.text()?,
        via: row.text()?,
        action: row.text()?,
        target: row.text()?,
        tenant: row.text_or_null()?,
        outcome: row.text()?,
        reason: row.text_or_null()?,
        detail: row.text_or_null()?,
        request_id: row.text()?,
        network: row.text()?,
        hash: row.bytes_or_null()?.unwrap_or_default(),
    })
}

/// A checkpoint with its place.
fn placed(row: &mut Reader<'_>) -> Result<(i64, AuditCheckpoint)> {
    let place = row.int()?;
    let checkpoint = AuditCheckpoint {
        version: VERSION,
        sequence: row.int()?,
        hash: hex(&row.bytes_or_null()?.unwrap_or_default()),
        at: row.time()?,
        key: row.text()?,
        signature: row.text()?,
        installation: row.text()?,
    };
    Ok((place, checkpoint))
}

const CHECKPOINT_COLUMNS: &str = "c.place, c.sequence, c.hash, c.at, c.key, c.signature, i.id";
const CHECKPOINTS_FROM: &str = "audit_checkpoints c CROSS JOIN installation i";

static CHECKPOINTS: Listing<AuditCheckpoint> = Listing {
    columns: CHECKPOINT_COLUMNS,
    from: CHECKPOINTS_FROM,
    search: "c.key",
    filters: &[],
    sorts: &[Sort { field: "sequence", sql: "c.sequence", key: |checkpoint| Key::Int(checkpoint.sequence) }],
    unique: "sequence",
    unique_descending: true,
    read: |row| placed(row).map(|(_, checkpoint)| checkpoint),
};

#[async_trait]
impl<E: Engine> AuditChain for SqlStore<E> {
    async fn audit_slice(&self, after: i64, count: i64) -> Result<Slice> {
        // One statement, so that all of it is of one moment: entries may be appended meanwhile. There is always a row, as
        // the log's length is told even when no entry is.
        let text = format!(
            "SELECT h.id, h.hash, (SELECT MIN(id) FROM audit), (SELECT MAX(id) FROM audit), {AUDIT_COLUMNS} \
             FROM (SELECT 1 AS one) o LEFT JOIN audit_head h ON h.one = o.one \
             LEFT JOIN audit a ON a.id > $1 AND a.id <= $2 ORDER BY a.id"
        );
        let values = vec![after.into(), after.saturating_add(count).into()];
        let rows = self.engine.read(Statement::composed(text, values)).await?;
        let mut slice = Slice { head: None, first: None, last: None, records: Vec::with_capacity(rows.len()) };
        for row in &rows {
            let mut row = Reader::new(row);
            let sequence = row.int_or_null()?;
            let hash = row.bytes_or_null()?.and_then(|hash| hash.try_into().ok());
            slice.head = sequence.zip(hash).map(|(sequence, hash)| Head { sequence, hash });
            slice.first = row.int_or_null()?;
            slice.last = row.int_or_null()?;
            if row.clone().int_or_null()?.is_some() {
                slice.records.push(record(&mut row)?);
            }
        }
        Ok(slice)
    }

    async fn find_audit(&self, _: &Grant<PlatformRef>, sequence: i64) -> Result<Option<AuditEntry>> {
        let text = format!("SELECT {AUDIT_COLUMNS} FROM audit a WHERE a.id = $1");
        self.one(Statement::composed(text, vec![sequence.into()]), entry).await
    }

    async fn audit_after(
        &self,
        _: &Grant<PlatformRef>,
        query: &ListQuery,
        (after, to): (i64, i64),
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let mut query = query.clone();
        let mut conditions = in_range(Range::take(&mut query)?);
        conditions.push(("a.id > ?", vec![after.into()]));
        conditions.push(("a.id <= ?", vec![to.into()]));
        query.sort = ListQuery::parse_sort("at");
        AUDIT.first(&self.engine, &query, conditions, limit).await
    }

    async fn last_checkpoint(&self) -> Result<Option<(i64, AuditCheckpoint)>> {
        let text = format!("SELECT {CHECKPOINT_COLUMNS} FROM {CHECKPOINTS_FROM} ORDER BY c.place DESC LIMIT 1");
        self.one(Statement::composed(text, Vec::new()), placed).await
    }

    async fn add_checkpoint(&self, place: i64, checkpoint: &AuditCheckpoint) -> Result<bool> {
        const SQL: &str = "INSERT INTO audit_checkpoints (place, sequence, hash, at, key, signature) \
                           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (place) DO NOTHING";
        let hash = digest_of_hex(&checkpoint.hash).ok_or_else(|| Error::internal("a checkpoint without a hash"))?;
        let statement = sql(SQL)
            .bind(place)
            .bind(checkpoint.sequence)
            .bind(&hash)
            .bind(checkpoint.at)
            .bind(checkpoint.key.as_str())
            .bind(checkpoint.signature.as_str());
        Ok(self.engine.execute(statement).await? == 1)
    }

    async fn checkpoints_after(&self, after: i64, limit: usize) -> Result<Vec<(i64, AuditCheckpoint)>> {
        let text =
            format!("SELECT {CHECKPOINT_COLUMNS} FROM {CHECKPOINTS_FROM} WHERE c.place > $1 ORDER BY c.place LIMIT $2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(Statement::composed(text, vec![after.into(), limit.into()]), placed).await
    }

    async fn list_checkpoints(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditCheckpoint>> {
        CHECKPOINTS.page(&self.engine, query).await
    }
}
