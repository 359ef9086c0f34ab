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

/// What came of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The tenant's roles as they are now, by name.
    pub roles: Vec<CustomRole>,
    /// Who held the edited one as it was edited.
    pub holders: Vec<RoleHolder>,
}

/// A tenant's own roles.
#[async_trait]
pub trait Roles: Send + Sync {
    /// The tenant's, by name.
    async fn list_roles(&self, tenant: &TenantRef) -> Result<Vec<CustomRole>>;
    /// Those of all tenants, by the tenant's name.
    async fn list_all_roles(&self, grant: &Grant<PlatformRef>) -> Result<Vec<(TenantName, CustomRole)>>;
    /// Who has a role, or may come to have it without anybody's doing: members, open invitations, rules for groups, open requests.
    async fn list_role_holders(&self, tenant: &TenantRef, role: RoleName, now: Timestamp) -> Result<Vec<RoleHolder>>;
    /// Edits the roles as [`crate::roles::after`] says, while nobody else changes them, gives one or takes one away. Whoever holds one
    /// that another takes the place of has that from then on: in the tenant, in namespaces, by rules, open invitations and requests.
    async fn edit_roles(&self, grant: &Grant<TenantRef>, edit: &RoleEdit, now: Timestamp) -> Result<Edited>;
}
