//! Rows of second factors: authenticator apps, recovery codes, and sign-ins that wait for a code. Passkeys have rows of their own.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::store::{Account, Digest};
use crate::error::Result;

/// Somebody's authenticator app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticator {
    /// Its secret, sealed for the person.
    pub sealed: Vec<u8>,
    /// When it was added.
    pub created_at: Timestamp,
    /// The last step whose code was taken.
    pub last_step: i64,
}

/// A sign-in whose password was right: no session, and nothing opens with it but the page that asks for a code.
#[derive(Clone)]
pub struct SecondStep {
    /// Of the browser's secret.
    pub digest: Digest,
    /// Whose password it was.
    pub user: Uuid,
    /// Worth nothing from then on.
    pub expires_at: Timestamp,
    /// The hash of that password.
    pub password: Option<String>,
}

/// Second factors. Whoever may ask for a person's is for the services to say.
#[async_trait]
pub trait SecondFactors: Send + Sync {
    /// Somebody's, and whose: for who wants to know whether the key opens it.
    async fn any_authenticator(&self) -> Result<Option<(Uuid, Authenticator)>>;
    /// A person's authenticator.
    async fn find_authenticator(&self, user: Uuid) -> Result<Option<Authenticator>>;
    /// Adds one, with the notice of it; whether it is the person's first second factor, with which these recovery codes come.
    /// `AlreadyExists` when the person has an authenticator.
    async fn add_authenticator(&self, user: Uuid, new: &Authenticator, codes: &[Digest]) -> Result<bool>;
    /// Removes it, with the notice of it, ends sign-ins that wait, and all of the person's sessions but `keep`; recovery codes go with
    /// the last factor. `NotFound` when there is none.
    async fn remove_authenticator(&self, user: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()>;
    /// Takes the code of a step: of those who come with it at once, one does. Not when it or a later one was taken.
    async fn take_step(&self, user: Uuid, step: i64) -> Result<bool>;

    /// How many recovery codes a person has left.
    async fn count_recovery_codes(&self, user: Uuid) -> Result<i64>;
    /// New recovery codes in place of all from before. `NotFound` for who has no second factor.
    async fn replace_recovery_codes(&self, user: Uuid, codes: &[Digest]) -> Result<()>;
    /// Uses a recovery code up: of those who come with it at once, one does.
    async fn take_recovery_code(&self, user: Uuid, code: &Digest) -> Result<bool>;

    /// Removes all of it, passkeys too, ends sign-ins that wait for a code, and all of the person's sessions. `NotFound` when there is
    /// nothing.
    async fn remove_second_factors(&self, user: Uuid, now: Timestamp) -> Result<()>;

    /// Keeps a step, if the password is still that one; whether it is. Of one person the `most` that end last stay.
    async fn begin_second_step(&self, step: &SecondStep, most: i64) -> Result<bool>;
    /// The account of a step that is open at `now`, unless it is disabled, and how many tries were made of it, this one counted: before
    /// it is known what it is worth, so that who tries many at once has no more of them.
    async fn try_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<(Account, i64)>>;
    /// Whose step that is, if it is open at `now`.
    async fn look_at_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<Uuid>>;
    /// Ends a step; whether it was there.
    async fn end_second_step(&self, digest: &Digest) -> Result<bool>;
}
