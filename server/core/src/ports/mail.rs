//! Rows of people's addresses and of mail; and the way by which mail leaves.

use async_trait::async_trait;
use berth_types::{PlatformRole, TenantRole, UserName, mail::MailTrouble, webhook::EventKind};
use jiff::Timestamp;
use uuid::Uuid;

use super::{pages::Language, store::Digest};
use crate::{
    authz::{Grant, PlatformRef, Rights},
    error::Result,
};

/// Where a person gets mail, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The address that they have shown to be theirs, and when.
    pub verified: Option<(String, Timestamp)>,
    /// One that they have yet to show to be theirs.
    pub pending: Option<Pending>,
    /// In which language they are written to.
    pub language: Language,
    /// Of what they do not want to hear; none: what is left out where nobody chose.
    pub muted: Option<Vec<EventKind>>,
}

/// An address to which a link was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The address.
    pub address: String,
    /// Of the link's secret.
    pub digest: Digest,
    /// When the link ends.
    pub expires_at: Timestamp,
}

/// Mail that says that something was done to an account. It goes where it was to go when it was made, whatever becomes of the address
/// since: who takes an account over would else keep it from its owner by changing that, too.
pub const WARNINGS: [&str; 5] = [
    "address.moved",
    "account.password_changed",
    "account.second_factor_added",
    "account.second_factor_removed",
    "account.provider_connected",
];

/// A mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// Its id, of which its Message-ID is made: the same with every try.
    pub id: Uuid,
    /// To whom; none: somebody who has no account.
    pub user: Option<Uuid>,
    /// What it is about: an event's word, or `address.verify`, ….
    pub kind: &'static str,
    /// Where to.
    pub address: String,
    /// Subject and text, sealed.
    pub sealed: Vec<u8>,
    /// When it was made; it is sent at once.
    pub created_at: Timestamp,
    /// It is not tried again after that.
    pub until: Timestamp,
    /// It says how many others were left out: they need not be said again.
    pub says_dropped: bool,
}

/// A mail that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// Its id.
    pub id: Uuid,
    /// To whom; none: somebody who has no account.
    pub user: Option<Uuid>,
    /// Where to.
    pub address: String,
    /// Subject and text, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// It is not tried again after that.
    pub until: Timestamp,
    /// How often it was tried.
    pub attempts: i64,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedMail {
    /// Of which mail.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Why it was not taken; none: it was.
    pub trouble: Option<String>,
    /// When it is tried again; none: not any more.
    pub again: Option<Timestamp>,
}

/// How many there are, and what was last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailCounts {
    /// That wait.
    pub waiting: i64,
    /// That were taken.
    pub delivered: i64,
    /// That were given up.
    pub failed: i64,
    /// When the last one was taken.
    pub last_delivered_at: Option<Timestamp>,
    /// The last try that failed, of a mail that was not taken since.
    pub trouble: Option<MailTrouble>,
}

/// Somebody who may want to hear of something: they have an address of their own and may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Their id.
    pub id: Uuid,
    /// What they sign in as.
    pub name: UserName,
    /// Their role on the platform.
    pub platform_role: Option<PlatformRole>,
    /// Their role in the tenant that it is about.
    pub role: Option<TenantRole>,
    /// What it gives, where it is one of the tenant's own.
    pub own: Option<Rights>,
    /// They have a role there, or in one of its namespaces.
    pub inside: bool,
    /// Where to.
    pub address: String,
    /// In which language they are written to.
    pub language: Language,
    /// Of what they do not want to hear.
    pub muted: Option<Vec<EventKind>>,
    /// How much mail was made for them since the time that was asked for.
    pub recent: i64,
    /// How much was left out since they were told last.
    pub dropped: i64,
}

/// Addresses and mail.
#[async_trait]
pub trait Mails: Send + Sync {
    /// Where a person gets mail.
    async fn find_mailbox(&self, user: Uuid) -> Result<Option<Mailbox>>;
    /// An address that they say is theirs, in the place of another that they have not shown to be, with the mail that holds the link;
    /// in `language` they are written to, where they chose none.
    async fn set_pending_address(
        &self,
        user: Uuid,
        pending: &Pending,
        language: Language,
        mail: &NewMail,
    ) -> Result<()>;
    /// Whose address a link's secret shows to be theirs, whatever became of it.
    async fn find_verification(&self, digest: &Digest) -> Result<Option<(Uuid, Pending)>>;
    /// The address of a link that is good at `now` is theirs from now on; what waits for another one is dropped, but for [`WARNINGS`], a
    /// link to a new password void, and `told` sent. Of those who come at once, one; [`link_gone`](super::links::link_gone).
    async fn verify_address(&self, user: Uuid, digest: &Digest, now: Timestamp, told: Option<&NewMail>) -> Result<()>;
    /// Takes over an address that a provider vouches for, where they never had one, nor chose what they want to hear; whether it did.
    async fn adopt_address(&self, user: Uuid, address: &str, now: Timestamp) -> Result<bool>;
    /// Removes all addresses of theirs, what waits for them, but for [`WARNINGS`], and a link to a new password; sends `told`. `NotFound`
    /// when there is none.
    async fn remove_address(&self, user: Uuid, told: Option<&NewMail>) -> Result<()>;
    /// In which language, and of what, they do not want to hear.
    async fn set_mail_choices(&self, user: Uuid, language: Language, muted: &[EventKind]) -> Result<()>;

    /// A mail to be sent, beside the outbox.
    async fn add_mail(&self, mail: &NewMail) -> Result<()>;
    /// Who has an address and a role in `tenant` or on the platform, or is called `who`; by name. `since` is from when their mail is
    /// counted.
    async fn mail_receivers(
        &self,
        grant: &Grant<PlatformRef>,
        tenant: Option<Uuid>,
        who: Option<&UserName>,
        since: Timestamp,
    ) -> Result<Vec<Receiver>>;
    /// Mail that is due at `now`; nobody else gets it before `until`.
    async fn take_mails(&self, grant: &Grant<PlatformRef>, now: Timestamp, until: Timestamp) -> Result<Vec<DueMail>>;
    /// Writes down what came of a try. Of what is done with, neither address nor text is kept.
    async fn note_mail(&self, grant: &Grant<PlatformRef>, tried: &TriedMail) -> Result<()>;
    /// How it is with mail.
    async fn count_mails(&self, grant: &Grant<PlatformRef>) -> Result<MailCounts>;
}

/// A mail as it is handed over.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// Of which its Message-ID is made.
    pub id: Uuid,
    /// Where to.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// When it was made.
    pub at: Timestamp,
    /// Where who gets it chooses what they get.
    pub settings: Option<String>,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may hold a link that opens something.
        f.debug_struct("Letter").field("id", &self.id).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// In words for who keeps the platform; without secrets, and without the address.
    pub reason: String,
    /// The server takes this mail never: trying again changes nothing.
    pub for_good: bool,
}

/// The way by which mail leaves.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// From whom it comes.
    fn from(&self) -> String;
    /// By which server, host and port.
    fn server(&self) -> String;
    /// Hands a mail over.
    async fn send(&self, letter: &Letter) -> Result<(), Unsent>;
}
