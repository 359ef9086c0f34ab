//! The proof of the audit log, as it is handed out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A signed statement of how long the audit log was and what it held. Who keeps these elsewhere finds out when the log is
/// cut off or written anew, which its chain of hashes alone cannot show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditCheckpoint {
    /// The form of this object and of what is signed: 1.
    pub version: u8,
    /// Which Berth: 32 hexadecimal digits.
    pub installation: String,
    /// The number of the last entry.
    pub sequence: i64,
    /// That entry's hash: SHA-256, 64 hexadecimal digits.
    pub hash: String,
    /// When it was signed, to the microsecond.
    pub at: Timestamp,
    /// Which key signed: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
    pub key: String,
    /// Ed25519, base64.
    pub signature: String,
}
