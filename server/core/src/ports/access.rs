//! Requests for roles.

use async_trait::async_trait;
use berth_types::{NamespaceName, TenantRole, access::AccessRequest};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, Rights, TenantRef},
    error::{Error, Result},
    roles::rises,
};

/// Where a role is asked for or given.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one at a time, for as long as an answer takes")]
pub enum Place {
    /// In a whole tenant.
    Tenant(Grant<TenantRef>),
    /// In one of its namespaces.
    Namespace(Grant<NamespaceRef>),
}

impl Place {
    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantRef {
        match self {
            Self::Tenant(tenant) => tenant,
            Self::Namespace(namespace) => &namespace.tenant,
        }
    }

    /// The namespace's row, where it is one.
    #[must_use]
    pub fn namespace(&self) -> Option<Uuid> {
        match self {
            Self::Tenant(_) => None,
            Self::Namespace(namespace) => Some(namespace.id),
        }
    }

    /// The namespace's name, where it is one.
    #[must_use]
    pub fn namespace_name(&self) -> Option<&NamespaceName> {
        match self {
            Self::Tenant(_) => None,
            Self::Namespace(namespace) => Some(&namespace.name),
        }
    }
}

/// A request as it is made.
#[derive(Debug, Clone)]
pub struct NewAccessRequest {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub user: Uuid,
    /// For which role.
    pub role: TenantRole,
    /// What for.
    pub reason: String,
    /// When.
    pub created_at: Timestamp,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub struct AccessDecision {
    /// Whether the role is given.
    pub approved: bool,
    /// Who decides.
    pub by: Uuid,
    /// What they say.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// Why a request cannot be decided any more.
#[must_use]
pub fn decided() -> Error {
    Error::new(berth_types::ErrorCode::Conflict, "it is decided already: look again, somebody else was quicker")
}

/// Whether a role that gives `asked` is given to somebody who has `held` in its place by now: not where they have all of it.
///
/// # Errors
/// `Conflict` where they would lose something by it.
pub fn gives(held: Option<Rights>, asked: Rights) -> Result<bool> {
    if held.is_some_and(|held| held.covers(asked)) {
        return Ok(false);
    }
    if rises(held, asked) {
        return Ok(true);
    }
    let lost = held.unwrap_or_default().without(asked).words();
    let message = format!("they have another role by now, and would lose {lost}: give them a role that holds both");
    Err(Error::new(berth_types::ErrorCode::Conflict, message))
}

/// Requests for roles, and what becomes of them.
#[async_trait]
pub trait AccessRequests: Send + Sync {
    /// A new one. `AlreadyExists` when the person has an open one for the same place.
    async fn create_access_request(&self, place: &Place, new: &NewAccessRequest) -> Result<()>;
    /// The tenant's, those for its namespaces among them: open ones first, then newest first; not all that ever were.
    async fn list_access_requests(&self, tenant: &TenantRef) -> Result<Vec<AccessRequest>>;
    /// How many the person made since `since`, wherever.
    async fn count_access_requests(&self, user: Uuid, since: Timestamp) -> Result<i64>;
    /// Decides one for this very place, and gives the role with it; never a weaker one than they have by now. `NotFound` when
    /// there is none for it; `Conflict` when it is decided.
    async fn decide_access_request(&self, place: &Place, id: Uuid, decision: &AccessDecision) -> Result<()>;
}
