//! What happened that people elsewhere want to hear of, and the webhooks by which they do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::role::words;

/// Most webhooks of a tenant, and of the platform.
pub const MAX_HOOKS: usize = 64;
/// Longest address, in characters.
pub const MAX_URL: usize = 2_000;
/// Bytes of an answer that are kept.
pub const MAX_ANSWER: usize = 200;

words!(
    /// What is told.
    EventKind {
        /// A request for another quota waits for an admin of the platform.
        #[serde(rename = "request.waiting")]
        RequestWaiting = "request.waiting",
        /// Something else was offered.
        #[serde(rename = "request.offered")]
        RequestOffered = "request.offered",
        /// It was approved or refused, by an admin, a rule, or by taking the offer.
        #[serde(rename = "request.decided")]
        RequestDecided = "request.decided",
        /// It was taken back.
        #[serde(rename = "request.withdrawn")]
        RequestWithdrawn = "request.withdrawn",
        /// A loan ends within 72 hours.
        #[serde(rename = "loan.ends_soon")]
        LoanEndsSoon = "loan.ends_soon",
        /// A loan ends within 24 hours.
        #[serde(rename = "loan.ends_tomorrow")]
        LoanEndsTomorrow = "loan.ends_tomorrow",
        /// A loan has ended, and not all of it is given back.
        #[serde(rename = "loan.overdue")]
        LoanOverdue = "loan.overdue",
        /// All of a loan is given back.
        #[serde(rename = "loan.ended")]
        LoanEnded = "loan.ended",
        /// A namespace holds 90 % of its quota or more, for a while.
        #[serde(rename = "quota.high")]
        QuotaHigh = "quota.high",
        /// Somebody asks for a role.
        #[serde(rename = "access.waiting")]
        AccessWaiting = "access.waiting",
        /// The role was given, or not.
        #[serde(rename = "access.decided")]
        AccessDecided = "access.decided",
        /// The tenant was put to rest.
        #[serde(rename = "tenant.suspended")]
        TenantSuspended = "tenant.suspended",
        /// The tenant is being removed; that can be taken back for a while.
        #[serde(rename = "tenant.removal_begun")]
        TenantRemovalBegun = "tenant.removal_begun",
        /// Somebody says that their password is forgotten: the platform's hooks alone hear of it.
        #[serde(rename = "password.forgotten")]
        PasswordForgotten = "password.forgotten",
        /// A password was changed: by mail to its owner alone, as the next three.
        #[serde(rename = "account.password_changed")]
        PasswordChanged = "account.password_changed",
        /// An account has one more second factor.
        #[serde(rename = "account.second_factor_added")]
        SecondFactorAdded = "account.second_factor_added",
        /// A second factor of an account was removed, or all of them.
        #[serde(rename = "account.second_factor_removed")]
        SecondFactorRemoved = "account.second_factor_removed",
        /// An identity provider opens an account from now on.
        #[serde(rename = "account.provider_connected")]
        ProviderConnected = "account.provider_connected",
        /// Somebody tries whether the webhook works.
        #[serde(rename = "webhook.test")]
        Test = "webhook.test",
    }
);

impl EventKind {
    /// Those that a webhook can pick: `platform` for the platform's own.
    pub fn choices(platform: bool) -> impl Iterator<Item = Self> {
        let fits = move |kind: &Self| match kind {
            Self::Test
            | Self::PasswordChanged
            | Self::SecondFactorAdded
            | Self::SecondFactorRemoved
            | Self::ProviderConnected => false,
            Self::PasswordForgotten => platform,
            _ => true,
        };
        Self::ALL.iter().copied().filter(fits)
    }
}

/// Why nothing is sent to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HookStop {
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who switched it off; `berth` where nothing reached it for long.
    pub by: String,
    /// Why, where Berth did.
    pub reason: String,
}

impl HookStop {
    /// Who that is when Berth gave up.
    pub const BERTH: &'static str = "berth";

    /// Whether Berth gave up, so that somebody should look.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.by == Self::BERTH
    }
}

/// An address that is told what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub id: Uuid,
    /// What it is called; no other of the tenant (or the platform) is called so.
    pub name: String,
    /// Where it is. Who may not change it sees scheme and host alone: paths often hold secrets.
    pub url: String,
    /// What it is told.
    pub events: Vec<EventKind>,
    /// Why nothing is sent; absent: it is on.
    pub stopped: Option<HookStop>,
    /// Since when nothing has reached it; absent: the last delivery did, or there was none.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub failing_since: Option<Timestamp>,
    /// Until when messages are signed with the secret before this one as well.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub old_secret_until: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Counts changes.
    pub version: i64,
}

impl Webhook {
    /// As who may not change it sees it.
    #[must_use]
    pub fn veiled(mut self) -> Self {
        let after_scheme = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[after_scheme..].find(['/', '?']).map_or(self.url.len(), |at| after_scheme + at);
        if end < self.url.len() {
            self.url.truncate(end);
            self.url.push_str("/…");
        }
        self
    }
}

words!(
    /// What became of a message.
    DeliveryState {
        /// It is sent as soon as its time has come.
        Waiting = "waiting",
        /// It arrived.
        Delivered = "delivered",
        /// It did not, and is not tried again.
        Failed = "failed",
    }
);

/// A message to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its id: the receiver gets it as `webhook-id`, the same with every attempt.
    pub id: Uuid,
    /// What it tells.
    pub event: EventKind,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was made.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it is tried (again); absent: not any more.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub next_at: Option<Timestamp>,
    /// What came of the last attempt.
    pub last: Option<Attempt>,
}

/// What came of sending a message once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it began.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// The status of the answer; absent: there was none.
    pub status: Option<i64>,
    /// The first 200 bytes of the answer; where there was none, why not.
    pub answer: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_alike_everywhere() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()), "{kind}");
        }
        assert!(!EventKind::choices(false).any(|kind| kind == EventKind::PasswordForgotten));
        assert!(EventKind::choices(true).any(|kind| kind == EventKind::PasswordForgotten));
        assert!(!EventKind::choices(true).any(|kind| kind == EventKind::Test));
    }

    #[test]
    fn what_may_be_secret_is_veiled() {
        for (url, want) in [
            ("https://hooks.example.com/T0/B0/xyz", "https://hooks.example.com/…"),
            ("https://hooks.example.com:8443/a?b=c", "https://hooks.example.com:8443/…"),
            ("https://hooks.example.com?token=x", "https://hooks.example.com/…"),
            ("https://hooks.example.com", "https://hooks.example.com"),
        ] {
            let hook = Webhook {
                id: Uuid::nil(),
                name: "x".to_owned(),
                url: url.to_owned(),
                events: Vec::new(),
                stopped: None,
                failing_since: None,
                old_secret_until: None,
                created_by: String::new(),
                created_at: Timestamp::UNIX_EPOCH,
                version: 1,
            };
            assert_eq!(hook.veiled().url, want);
        }
    }
}
