//! What happened that people elsewhere want to hear of: the events of requests and loans, and of accounts; and the port through which
//! they leave.

use berth_types::{ClusterId, TenantName, UserName, quota::request::QuotaRequest};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Notice {
    /// Of a request or a loan.
    Quota(QuotaNotice),
    /// Of somebody's account.
    Account(AccountNotice),
}

/// What happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountEvent {
    /// Somebody says that the password is forgotten: a platform admin makes sure who it is, and sends them a link.
    PasswordForgotten,
}

/// An event of an account, as it is told. Holds no secret: whoever reads it makes the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountNotice {
    /// What happened.
    pub event: AccountEvent,
    /// When.
    pub at: Timestamp,
    /// Whose account it is.
    pub user: UserName,
    /// Where it was asked from.
    pub network: String,
}

/// What happened to a request or a loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A request waits for an admin.
    RequestOpen,
    /// A request was approved, by an admin, a rule, or by taking an offer.
    RequestApproved,
    /// A request was refused.
    RequestRefused,
    /// An admin offered something else.
    RequestOffered,
    /// A request was taken back.
    RequestWithdrawn,
    /// A loan ends within 72 hours.
    LoanEndsSoon,
    /// A loan ends within 24 hours.
    LoanEndsTomorrow,
    /// A loan has ended, and not all of it is given back.
    LoanOverdue,
    /// All of a loan is given back.
    LoanEnded,
}

/// An event of a request or a loan, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaNotice {
    /// What happened.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub tenant: TenantName,
    /// Where.
    pub cluster: ClusterId,
    /// The request; a loan is called by the one that it came of.
    pub request: Uuid,
    /// Who did it: a person's name, or `rule:` and which one; `berth` for what happens by itself.
    pub by: String,
}

impl Notice {
    /// That something was done to a request.
    #[must_use]
    pub fn of(request: &QuotaRequest, event: Event, at: Timestamp) -> Self {
        Self::Quota(QuotaNotice {
            event,
            at,
            tenant: request.tenant.clone(),
            cluster: request.cluster.clone(),
            request: request.id,
            by: request.steps.last().map(|step| step.by.clone()).unwrap_or_default(),
        })
    }
}

/// Hands notices on.
pub trait Notices: Send + Sync {
    /// Takes a notice, at once: whoever sends it on does so in its own time. What was done is done whether it arrives or not.
    fn tell(&self, notice: Notice);
}

/// Tells nobody.
pub struct Silent;

impl Notices for Silent {
    fn tell(&self, _: Notice) {}
}
