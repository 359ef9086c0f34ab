//! Rows of roles that tenants make.

use async_trait::async_trait;
use berth_types::{
    RoleName, TenantName,
    custom_role::{CustomRole, RoleHolder},
};
use jiff::Timestamp;

use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::Result,
    roles::RoleEdit,
};

/// A tenant's own roles.
#[async_trait]
pub trait Roles: Send + Sync {
    /// The tenant's, by name.
    async fn list_roles(&self, tenant: &TenantRef) -> Result<Vec<CustomRole>>;
    /// Those of all tenants, by the tenant's name.
    async fn list_all_roles(&self, grant: &Grant<PlatformRef>) -> Result<Vec<(TenantName, CustomRole)>>;
    /// Who has a role, or may come to have it without anybody's doing: members, open invitations, rules for groups, open requests.
    async fn list_role_holders(&self, tenant: &TenantRef, role: RoleName, now: Timestamp) -> Result<Vec<RoleHolder>>;
    /// Edits the roles as [`crate::roles::after`] says, while nobody else changes them or the tenant's members; what they are then.
    async fn edit_roles(&self, grant: &Grant<TenantRef>, edit: &RoleEdit, now: Timestamp) -> Result<Vec<CustomRole>>;
}
