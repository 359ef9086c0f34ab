//! Requests for another quota, what came of them, and loans.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{QuotaRow, Resources};
use crate::{
    error::FieldError,
    names::{ClusterId, NamespaceName, PlanName, TenantName, UserName},
    role::words,
    usage::UsageSummary,
};

/// Most days until which anything is lent.
pub const MAX_LOAN_DAYS: i64 = 90;
/// Longest reason and comment, in characters.
pub const MAX_WORDS: usize = 1000;

words!(
    /// Where a request is. The last three are for good.
    RequestState {
        /// An admin is to decide.
        Open = "open",
        /// An admin offered something else: who asked is to take it or not.
        Offered = "offered",
        /// The quota follows.
        Approved = "approved",
        /// It stays as it is.
        Refused = "refused",
        /// Nobody wants it any more.
        Withdrawn = "withdrawn",
    }
);

words!(
    /// What was done to a request.
    RequestMove {
        /// Made.
        Ask = "ask",
        /// Granted as it was asked for, by an admin or a rule.
        Approve = "approve",
        /// Turned down, with a reason.
        Refuse = "refuse",
        /// Answered with other amounts or another end.
        Offer = "offer",
        /// The offer was taken.
        Accept = "accept",
        /// Taken back.
        Withdraw = "withdraw",
    }
);

words!(
    /// How near a loan is to its end. Each stage comes after the one before.
    LoanStage {
        /// It ends in more than three days.
        Running = "running",
        /// It ends within 72 hours.
        Soon = "soon",
        /// It ends within 24 hours.
        Tomorrow = "tomorrow",
        /// It has ended, and what is not free yet is not given back.
        Overdue = "overdue",
        /// All is given back.
        Ended = "ended",
    }
);

impl RequestState {
    /// Whether somebody is still to decide.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Offered)
    }
}

macro_rules! dto {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name { $($body)* }
    };
}

dto! {
    /// What a quota shall be.
    pub struct Terms {
        /// The limit of each key that changes. Without an end it is the limit apart from loans, with one the limit as a whole.
        pub resources: Resources,
        /// What is more than there is for good is lent until then, with what was lent for less long; what is less, is less from
        /// then on. Absent: for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub until: Option<Timestamp>,
    }
}

dto! {
    /// How things stood when a request was made.
    pub struct QuotaEvidence {
        /// When the use was read; absent where it was not known.
        pub as_of: Option<Timestamp>,
        /// The plan that gave the quota, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub plan: Option<PlanName>,
        /// Limit, shares and use of each key.
        pub resources: Vec<QuotaRow>,
        /// What was lacking where the request was begun: as the form that was refused said it.
        pub lacking: Resources,
        /// What was taken and used in the 30 days before, as far as that is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub usage: Vec<UsageSummary>,
        /// How many hours of these are known.
        #[serde(default)]
        pub usage_hours: i64,
    }
}

dto! {
    /// What was asked. Never changes.
    pub struct QuotaAsk {
        /// Who asked.
        #[serde(deserialize_with = "crate::names::stored_user")]
        pub by: UserName,
        /// What shall be.
        pub terms: Terms,
        /// Why.
        pub reason: String,
        /// The namespace whose share grows by as much, once it is approved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub namespace: Option<NamespaceName>,
        /// How things stood.
        pub evidence: QuotaEvidence,
        /// Why no rule approved it: at keys. Empty where one did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub findings: Vec<FieldError>,
    }
}

dto! {
    /// Something that was done to a request.
    pub struct RequestStep {
        /// When.
        pub at: Timestamp,
        /// Who: a person's name, or `rule:` and which one.
        pub by: String,
        /// What.
        pub what: RequestMove,
        /// What they said; may be empty.
        pub comment: String,
        /// What was offered or granted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub terms: Option<Terms>,
    }
}

dto! {
    /// A tenant's request for another quota.
    pub struct QuotaRequest {
        /// Never changes.
        pub id: Uuid,
        /// Whose quota.
        pub tenant: TenantName,
        /// On which cluster.
        pub cluster: ClusterId,
        /// Where it is.
        pub state: RequestState,
        /// What was asked.
        pub ask: QuotaAsk,
        /// What was done, oldest first.
        pub steps: Vec<RequestStep>,
        /// When it was made.
        pub created_at: Timestamp,
        /// Counts changes.
        pub version: i64,
    }
}

impl QuotaRequest {
    /// What an admin offered last, while that may be taken.
    #[must_use]
    pub fn offer(&self) -> Option<&Terms> {
        let last = self.steps.iter().rev().find(|step| step.what == RequestMove::Offer);
        last.filter(|_| self.state == RequestState::Offered).and_then(|step| step.terms.as_ref())
    }

    /// What was granted.
    #[must_use]
    pub fn granted(&self) -> Option<&Terms> {
        let last = self.steps.last().filter(|_| self.state == RequestState::Approved);
        last.and_then(|step| step.terms.as_ref())
    }
}

dto! {
    /// A part of a quota that ends by itself.
    pub struct QuotaLoan {
        /// The request that it came of.
        pub request: Uuid,
        /// The namespace whose share grew with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub namespace: Option<NamespaceName>,
        /// How much is not given back yet.
        pub resources: Resources,
        /// When it ends.
        pub ends_at: Timestamp,
        /// How near that is.
        pub stage: LoanStage,
    }
}
