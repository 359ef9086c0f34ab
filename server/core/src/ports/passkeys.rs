//! Rows of passkeys, and of questions that wait for one.

use async_trait::async_trait;
use berth_types::people::Passkey;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    sign_in::Most,
    store::{Account, Digest},
};
use crate::error::Result;

/// Somebody's passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPasskey {
    /// Whose.
    pub user: Uuid,
    /// What the authenticator calls it.
    pub credential: Vec<u8>,
    /// Its public key, as COSE writes it.
    pub key: Vec<u8>,
    /// How often it was used, by its own counting.
    pub count: u32,
    /// What its owner sees.
    pub shown: Passkey,
}

/// A question that waits for a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceremony {
    /// Of the browser's secret.
    pub digest: Digest,
    /// Who adds one; nobody for a sign-in.
    pub user: Option<Uuid>,
    /// Where it was begun.
    pub network: String,
    /// Worth nothing from then on.
    pub expires_at: Timestamp,
}

/// Passkeys. Whoever may ask for a person's is for the services to say.
#[async_trait]
pub trait Passkeys: Send + Sync {
    /// A person's, oldest first.
    async fn list_passkeys(&self, user: Uuid) -> Result<Vec<StoredPasskey>>;
    /// The one that an authenticator calls so, and whose account it opens, unless that is disabled.
    async fn find_passkey(&self, credential: &[u8]) -> Result<Option<(StoredPasskey, Account)>>;
    /// Adds one, with the notice of it; whether it is the person's first second factor, with which these recovery codes come.
    /// `AlreadyExists` when the authenticator's name for it is taken, whosever it is.
    async fn add_passkey(&self, new: &StoredPasskey, codes: &[Digest]) -> Result<bool>;
    /// Renames one of a person's. `NotFound` when it is not theirs.
    async fn rename_passkey(&self, user: Uuid, id: Uuid, name: &str) -> Result<()>;
    /// Notes that one was used, if it counts higher than before, or does not count at all; whether it does.
    async fn use_passkey(&self, id: Uuid, count: u32, now: Timestamp) -> Result<bool>;
    /// Removes one of a person's, with the notice of it, ends sign-ins that wait, and all of the person's sessions but `keep`; recovery
    /// codes go with the last factor. `NotFound` when it is not theirs.
    async fn remove_passkey(&self, user: Uuid, id: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()>;

    /// Keeps a question, and of all no more than `most`; those that are over at `now` go.
    async fn begin_ceremony(&self, ceremony: &Ceremony, most: Most, now: Timestamp) -> Result<()>;
    /// Takes a question away, over or not: of those who come with it at once, one gets it.
    async fn take_ceremony(&self, digest: &Digest) -> Result<Option<Ceremony>>;
}
