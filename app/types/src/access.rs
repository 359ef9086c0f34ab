//! Asking for a role that one does not have.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    names::{NamespaceName, TenantName, UserName},
    role::{TenantRole, words},
};

words!(
    /// Where a request for a role stands.
    AccessState {
        /// Nobody has decided yet.
        Open = "open",
        /// The role was given.
        Approved = "approved",
        /// It was not, for a reason.
        Declined = "declined",
    }
);

/// A person's request for a role, in a tenant or in one of its namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccessRequest {
    /// Never changes, never used again.
    pub id: Uuid,
    /// Who asks.
    pub user: UserName,
    /// What others see.
    pub display_name: String,
    /// Where.
    pub tenant: TenantName,
    /// In this namespace alone; none: in the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// For which role.
    pub role: TenantRole,
    /// What for, in their words.
    pub reason: String,
    /// Where it stands.
    pub state: AccessState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<UserName>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// What who decided said.
    pub comment: String,
}
