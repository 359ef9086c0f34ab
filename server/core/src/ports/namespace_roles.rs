//! Roles in one namespace, beside those in the whole tenant.

use async_trait::async_trait;
use berth_types::{
    TenantRole, UserName,
    people::{Guest, NamespaceMember},
};
use jiff::Timestamp;

use crate::{
    authz::{Grant, NamespaceRef, TenantRef},
    error::Result,
};

/// Who was given what in a namespace alone.
#[async_trait]
pub trait NamespaceRoles: Send + Sync {
    /// All who have a role in the namespace, by the tenant or given here; strongest first, then by name.
    async fn list_namespace_members(&self, grant: &Grant<NamespaceRef>) -> Result<Vec<NamespaceMember>>;
    /// Who was given a role in a namespace of the tenant and has none in the whole of it; by name, then namespace.
    async fn list_guests(&self, grant: &Grant<TenantRef>) -> Result<Vec<Guest>>;
    /// Gives somebody a role here, or changes what they were given. `NotFound` when there is no such person, or the namespace
    /// is gone.
    async fn set_namespace_member(
        &self,
        grant: &Grant<NamespaceRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()>;
    /// Takes away what they were given here. `NotFound` when that is nothing.
    async fn remove_namespace_member(&self, grant: &Grant<NamespaceRef>, user: &UserName) -> Result<()>;
}
