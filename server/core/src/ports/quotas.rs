//! Rows: plans, tenants' quotas, namespaces' shares.
//!
//! Every change of the ledger is checked and written in one transaction, in which no other touches the same tenant's: the rule
//! itself is [`Book::after`], alike for all adapters.

use async_trait::async_trait;
use berth_types::{
    ClusterId, PlanName, Resources,
    people::Namespace,
    quota::{Plan, PlanRow},
};
use jiff::Timestamp;

use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::Result,
    quota::{Book, Change, Changed},
};

/// Plans, quotas and shares.
#[async_trait]
pub trait Quotas: Send + Sync {
    /// All plans, by name, with how many quotas each gives.
    async fn list_plans(&self, grant: &Grant<PlatformRef>) -> Result<Vec<PlanRow>>;
    /// The plan called `name`.
    async fn find_plan(&self, grant: &Grant<PlatformRef>, name: &PlanName) -> Result<Option<Plan>>;
    /// A new plan. `AlreadyExists` when the name is taken.
    async fn create_plan(&self, grant: &Grant<PlatformRef>, plan: &Plan) -> Result<()>;
    /// Sets all but name and time, if the version is still `plan.version`; the new version. `Conflict` otherwise; `Invalid`
    /// where a tenant that has it has shared out more than it would then give.
    async fn update_plan(&self, grant: &Grant<PlatformRef>, plan: &Plan) -> Result<i64>;
    /// Removes a plan. `NotFound`; `Invalid` at `plan` while a tenant has it.
    async fn delete_plan(&self, grant: &Grant<PlatformRef>, name: &PlanName) -> Result<()>;

    /// The books of a tenant, one a cluster where it has a namespace or a limit, by cluster.
    async fn list_books(&self, tenant: &TenantRef) -> Result<Vec<Book>>;
    /// The books of all tenants that have a namespace or a limit, by tenant and cluster: every namespace there is stands in one.
    async fn list_all_books(&self, grant: &Grant<PlatformRef>) -> Result<Vec<Book>>;
    /// Changes a book, if the rule admits it. Of a limit that a plan gives, only the plan's name is looked at.
    ///
    /// `NotFound` for a namespace that is not on the cluster, `Invalid` at `plan` for one that there is not, `Invalid` at each
    /// key that lacks something.
    async fn change_book(
        &self,
        grant: &Grant<TenantRef>,
        cluster: &ClusterId,
        change: &Change,
        now: Timestamp,
    ) -> Result<Changed>;
    /// A new namespace with its share, both or neither. Refusals of both kinds.
    async fn create_namespace_with(
        &self,
        grant: &Grant<TenantRef>,
        namespace: &Namespace,
        share: &Resources,
        now: Timestamp,
    ) -> Result<()>;
}
