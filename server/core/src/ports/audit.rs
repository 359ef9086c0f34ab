//! The audit log's rows as proof needs them: entries to the letter, the chain's end, checkpoints.

use async_trait::async_trait;
use berth_types::{ListQuery, Page, audit::AuditCheckpoint, people::AuditEntry};

use crate::{
    audit::{Head, Record},
    authz::{Grant, PlatformRef},
    error::Result,
};

/// A part of the log, and how long the log is, both of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// What the log says its last entry is; absent when somebody removed that row.
    pub head: Option<Head>,
    /// The smallest number that an entry has.
    pub first: Option<i64>,
    /// The largest.
    pub last: Option<i64>,
    /// The entries with the numbers asked for that are there, by number.
    pub records: Vec<Record>,
}

/// The chain and its checkpoints. [`Journal::append_audit`](super::store::Journal::append_audit) makes it longer.
#[async_trait]
pub trait AuditChain: Send + Sync {
    /// The entries `after + 1` to `after + count`, to the letter.
    async fn audit_slice(&self, after: i64, count: i64) -> Result<Slice>;
    /// The entry with this number; none when there is none.
    async fn find_audit(&self, grant: &Grant<PlatformRef>, sequence: i64) -> Result<Option<AuditEntry>>;
    /// Up to `limit` entries that fit, from after the number `after` to `to`, in the order of their numbers, without counting
    /// all of them. Words and filters of `query` as in [`Journal::list_audit`](super::store::Journal::list_audit); the rest of
    /// it does not count.
    async fn audit_after(
        &self,
        grant: &Grant<PlatformRef>,
        query: &ListQuery,
        (after, to): (i64, i64),
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
    /// The newest checkpoint, with its place among them: 1, 2, 3, …
    async fn last_checkpoint(&self) -> Result<Option<(i64, AuditCheckpoint)>>;
    /// Keeps a checkpoint at `place`; whether that was free: of several who try, one succeeds.
    async fn add_checkpoint(&self, place: i64, checkpoint: &AuditCheckpoint) -> Result<bool>;
    /// Up to `limit` checkpoints after the place `after`, with their places, in order.
    async fn checkpoints_after(&self, after: i64, limit: usize) -> Result<Vec<(i64, AuditCheckpoint)>>;
    /// A part of all checkpoints, newest first; sort: `sequence`.
    async fn list_checkpoints(&self, grant: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditCheckpoint>>;
}
