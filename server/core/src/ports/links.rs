//! Rows of links that bring somebody in once.

use async_trait::async_trait;
use berth_types::{
    TenantRole,
    people::{Invitation, Tenant},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    mail::NewMail,
    store::{Account, Digest},
};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    links::Fate,
};

/// Whose invitations: a tenant's, or those onto the platform alone.
#[derive(Debug, Clone, Copy)]
pub enum Within<'a> {
    /// This tenant's.
    Tenant(&'a Grant<TenantRef>),
    /// The platform's.
    Platform(&'a Grant<PlatformRef>),
}

impl Within<'_> {
    /// The tenant's id.
    #[must_use]
    pub fn tenant(&self) -> Option<Uuid> {
        match self {
            Self::Tenant(tenant) => Some(tenant.id),
            Self::Platform(_) => None,
        }
    }
}

/// An invitation to be kept.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// For revoking.
    pub id: Uuid,
    /// Of the link's secret.
    pub digest: Digest,
    /// The role in the tenant; none for the platform's.
    pub role: Option<TenantRole>,
    /// Whom it is meant for.
    pub email: Option<String>,
    /// Who invites.
    pub invited_by: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The mail that carries the link, with the same id, where it is sent.
    pub mail: Option<NewMail>,
}

/// An invitation with all that decides whether it counts.
#[derive(Debug, Clone)]
pub struct FoundInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// What has become of it.
    pub fate: Fate,
    /// The tenant.
    pub tenant: Option<Tenant>,
    /// Who invites, as they are now.
    pub inviter: Account,
    /// Their role in the tenant now.
    pub inviter_role: Option<TenantRole>,
}

/// Who comes in.
#[derive(Debug, Clone, Copy)]
pub enum Joiner<'a> {
    /// Somebody with an account.
    Person(Uuid),
    /// Somebody whose account is made with it.
    New(&'a Account),
}

/// A reset to be kept.
#[derive(Debug, Clone)]
pub struct NewReset {
    /// Of the link's secret.
    pub digest: Digest,
    /// Whose password.
    pub user: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a link that was good a moment ago was not taken.
#[must_use]
pub fn link_gone() -> Error {
    crate::links::Void::Used.error()
}

/// Invitations and resets. Finders go by a secret's digest: who knows the secret may know what it is for.
#[async_trait]
pub trait Links: Send + Sync {
    /// Keeps an invitation, and has its mail sent, both or neither.
    async fn create_invitation(&self, within: Within<'_>, invitation: &NewInvitation) -> Result<()>;
    /// Those that are open at `now`, newest first.
    async fn list_invitations(&self, within: Within<'_>, now: Timestamp) -> Result<Vec<Invitation>>;
    /// Takes one back, with its mail that waits. `NotFound` when it is not open there.
    async fn revoke_invitation(&self, within: Within<'_>, id: Uuid, now: Timestamp) -> Result<()>;
    /// The invitation of a secret, whatever became of it.
    async fn find_invitation(&self, digest: &Digest) -> Result<Option<FoundInvitation>>;
    /// Uses an invitation that is open at `now`: the account is made where there is none, and has at least the role from now on, by
    /// hand, and its mail that waits goes. All of it or nothing; of those who come at once, one. `AlreadyExists` at `name`; [`link_gone`].
    async fn accept_invitation(&self, digest: &Digest, who: Joiner<'_>, now: Timestamp) -> Result<()>;

    /// Keeps a reset, in place of the person's last one, of which the mail that waits goes.
    async fn create_reset(&self, grant: &Grant<PlatformRef>, reset: &NewReset) -> Result<()>;
    /// The reset of a secret, whatever became of it, and the account it is for.
    async fn find_reset(&self, digest: &Digest) -> Result<Option<(Fate, Account)>>;
    /// Uses a reset that is open at `now`: sets the password and ends all sessions. Of those who come at once, one; [`link_gone`].
    async fn use_reset(&self, digest: &Digest, hash: &str, now: Timestamp) -> Result<()>;
}
