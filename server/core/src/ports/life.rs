//! Rows of what is stopped, and of what goes.

use async_trait::async_trait;
use berth_types::life::Mark;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
};

/// It is so already, or somebody else was quicker.
#[must_use]
pub fn already() -> Error {
    Error::new(berth_types::ErrorCode::Conflict, "it is so already: look again, somebody else may have been quicker")
}

/// Where tenants and namespaces are in their lives.
#[async_trait]
pub trait Lives: Send + Sync {
    /// Puts a tenant to rest, or ends that. `Conflict` when it is so already.
    async fn set_suspended(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()>;
    /// Begins to remove a tenant, or takes that back. `Conflict` when it is so already.
    async fn set_tenant_leaving(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()>;
    /// Begins to remove a namespace, or takes that back. `Conflict` when it is so already.
    async fn set_namespace_leaving(&self, grant: &Grant<NamespaceRef>, mark: Option<&Mark>) -> Result<()>;
    /// Removes a namespace with all that hangs on it, if it, or its tenant, is to be removed by `now`. `Conflict` otherwise.
    async fn delete_namespace(&self, grant: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()>;
    /// Removes a tenant with all that hangs on it, if it is to be removed by `now` and has no namespaces any more. `Conflict`
    /// otherwise.
    async fn delete_tenant(&self, grant: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()>;
}
