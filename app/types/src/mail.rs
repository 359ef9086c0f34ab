//! Mail: a person's address and choices, and how it is with mail on the platform.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::webhook::EventKind;

/// Longest address (RFC 5321 §4.5.3.1.3).
pub const MAX_ADDRESS: usize = 254;

/// Where a person gets mail, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MyMail {
    /// Whether Berth sends mail here at all.
    pub available: bool,
    /// The address that they have shown to be theirs; nothing is sent without one.
    pub address: Option<String>,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub verified_at: Option<Timestamp>,
    /// Another one, to which a link was sent that shows whether it is theirs.
    pub pending: Option<String>,
    /// Until when that link is good.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub pending_until: Option<Timestamp>,
    /// In which language they are written to: `en`, `zh-CN`.
    pub language: String,
    /// Of what they are told, where it concerns them.
    pub events: Vec<EventKind>,
}

/// Whether somebody can be reached by mail; not where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reachable {
    /// They have shown that an address is theirs.
    pub verified: bool,
}

/// How it is with mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MailStatus {
    /// Whether mail is sent: `smtp_url` is set.
    pub on: bool,
    /// From whom it comes.
    pub from: Option<String>,
    /// By which server: its host and port.
    pub server: Option<String>,
    /// Messages that wait to be sent, those that are tried again among them.
    pub waiting: i64,
    /// Those of the last week that the server took.
    pub delivered: i64,
    /// Those of the last week that were given up.
    pub failed: i64,
    /// When the server took one last.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub last_delivered_at: Option<Timestamp>,
    /// The last of those that wait or were given up, after a try that failed.
    pub trouble: Option<MailTrouble>,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MailTrouble {
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What the server said, or why there was none.
    pub reason: String,
    /// When it is tried again; absent: not any more.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub again_at: Option<Timestamp>,
}
