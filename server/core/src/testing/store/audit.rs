//! The audit log of a [`FakeStore`]: chained like the real one.

use async_trait::async_trait;
use berth_types::{ListQuery, Page, audit::AuditCheckpoint, people::AuditEntry};

use super::FakeStore;
use crate::{
    audit::{Head, Record, chain::digest_of_hex, range::Range},
    authz::{Grant, PlatformRef},
    error::Result,
    listing::{Column, Key, Listing},
    ports::store::{AuditChain, Slice},
};

pub(super) static AUDIT: Listing<AuditEntry> = Listing {
    columns: &[
        Column { name: "at", key: Some(|e| Key::Int(e.id)), value: None, facet: false },
        Column { name: "actor", key: None, value: Some(|e| e.actor.clone()), facet: false },
        Column { name: "action", key: None, value: Some(|e| e.action.clone()), facet: false },
        Column {
            name: "tenant",
            key: None,
            value: Some(|e| e.tenant.as_ref().map(ToString::to_string).unwrap_or_default()),
            facet: false,
        },
        Column { name: "outcome", key: None, value: Some(|e| e.outcome.clone()), facet: false },
    ],
    search: |e| e.target.clone(),
    unique: "at",
    descending: true,
};

pub(super) fn head(entry: &AuditEntry) -> Head {
    Head { sequence: entry.id, hash: digest_of_hex(&entry.hash).unwrap() }
}

/// The entries in the range that the query's filters name, and the query without it.
pub(super) fn in_range(entries: &[AuditEntry], query: &ListQuery) -> Result<(Vec<AuditEntry>, ListQuery)> {
    let mut query = query.clone();
    let range = Range::take(&mut query)?;
    Ok((entries.iter().filter(|entry| range.holds(entry.at)).cloned().collect(), query))
}

fn record(entry: &AuditEntry) -> Record {
    let e = entry.clone();
    Record {
        sequence: e.id,
        at: e.at.as_microsecond(),
        actor: e.actor,
        via: e.via,
        action: e.action,
        target: e.target,
        tenant: e.tenant.map(|tenant| tenant.to_string()),
        outcome: e.outcome,
        reason: e.reason,
        detail: e.detail.map(|detail| detail.to_string()),
        request_id: e.request_id,
        network: e.network,
        hash: head(entry).hash.to_vec(),
    }
}

static CHECKPOINTS: Listing<AuditCheckpoint> = Listing {
    columns: &[Column { name: "sequence", key: Some(|c| Key::Int(c.sequence)), value: None, facet: false }],
    search: |c| c.key.clone(),
    unique: "sequence",
    descending: true,
};

#[async_trait]
impl AuditChain for FakeStore {
    async fn audit_slice(&self, after: i64, count: i64) -> Result<Slice> {
        let rows = self.rows()?;
        Ok(Slice {
            head: Some(rows.head()),
            first: rows.audit.first().map(|entry| entry.id),
            last: rows.audit.last().map(|entry| entry.id),
            records: rows.audit.iter().filter(|e| e.id > after && e.id <= after + count).map(record).collect(),
        })
    }

    async fn find_audit(&self, _: &Grant<PlatformRef>, sequence: i64) -> Result<Option<AuditEntry>> {
        Ok(self.rows()?.audit.iter().find(|entry| entry.id == sequence).cloned())
    }

    async fn audit_after(
        &self,
        _: &Grant<PlatformRef>,
        query: &ListQuery,
        (after, to): (i64, i64),
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        let (mut entries, query) = in_range(&self.rows()?.audit, query)?;
        entries.retain(|entry| entry.id > after && entry.id <= to);
        let query = ListQuery { sort: ListQuery::parse_sort("at"), limit, ..query };
        Ok(AUDIT.page(entries, &query)?.items)
    }

    async fn last_checkpoint(&self) -> Result<Option<(i64, AuditCheckpoint)>> {
        let rows = self.rows()?;
        Ok(rows.checkpoints.last().map(|last| (rows.checkpoints.len() as i64, last.clone())))
    }

    async fn add_checkpoint(&self, place: i64, checkpoint: &AuditCheckpoint) -> Result<bool> {
        let mut rows = self.rows()?;
        let free = rows.checkpoints.len() as i64 + 1 == place;
        if free {
            rows.checkpoints.push(checkpoint.clone());
        }
        Ok(free)
    }

    async fn checkpoints_after(&self, after: i64, limit: usize) -> Result<Vec<(i64, AuditCheckpoint)>> {
        let rows = self.rows()?;
        Ok((1..).zip(rows.checkpoints.iter().cloned()).filter(|(place, _)| *place > after).take(limit).collect())
    }

    async fn list_checkpoints(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditCheckpoint>> {
        CHECKPOINTS.page(self.rows()?.checkpoints.clone(), query)
    }
}
