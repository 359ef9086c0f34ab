//! Rows: requests for another quota, and loans.
//!
//! What a request grants is written in the transaction that decides it, in which no other touches the same tenant's book: two
//! who decide at once, or a decision and a change of the quota, never give the same twice. So is the notice of it. The rules themselves are
//! [`Book::granting`](crate::quota::Book::granting) and [`Book::giving_back`](crate::quota::Book::giving_back).

use async_trait::async_trait;
use berth_types::{
    ClusterId, Resources,
    quota::request::{LoanStage, QuotaRequest},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::Result,
    quota::{Changed, requests::Granting},
};

/// Requests and loans.
#[async_trait]
pub trait Requests: Send + Sync {
    /// A tenant's requests, newest first.
    async fn list_requests(&self, tenant: &TenantRef) -> Result<Vec<QuotaRequest>>;
    /// All tenants' requests, newest first.
    async fn list_all_requests(&self, grant: &Grant<PlatformRef>) -> Result<Vec<QuotaRequest>>;
    /// How many requests wait for an admin. Asked for by every page of the admin console, hence a question of its own.
    async fn count_open_requests(&self, grant: &Grant<PlatformRef>) -> Result<u64>;
    /// One of a tenant's requests.
    async fn find_request(&self, tenant: &TenantRef, id: Uuid) -> Result<Option<QuotaRequest>>;
    /// A new request, with what it grants at once, both or neither. `Conflict` where a rule decided by limits that are others
    /// by now; `Invalid` at each key that lacks something.
    async fn create_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
    ) -> Result<Option<Changed>>;
    /// Sets state and steps, with what is granted, both or neither, if the version is still one less than `request.version`.
    /// `Conflict` otherwise; `Invalid` at each key that lacks something.
    async fn step_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
        now: Timestamp,
    ) -> Result<Option<Changed>>;
    /// Notes that a loan is as near its end as `stage`, with the notice of it; whether it was not noted before.
    async fn note_loan(
        &self,
        grant: &Grant<PlatformRef>,
        request: Uuid,
        stage: LoanStage,
        now: Timestamp,
    ) -> Result<bool>;
    /// Gives back what is free of a loan, `used` being what its namespace uses of what it has.
    async fn give_back(
        &self,
        tenant: &Grant<TenantRef>,
        cluster: &ClusterId,
        request: Uuid,
        used: &Resources,
        now: Timestamp,
    ) -> Result<Changed>;
}
