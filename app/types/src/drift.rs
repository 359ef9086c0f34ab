//! What in a namespace was not as Berth keeps it: changed by hand or by a tool, and put right again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::role::words;

words!(
    /// In which way.
    DriftKind {
        /// It was not there; Berth made it again.
        Missing = "missing",
        /// It said something else; Berth wrote over it.
        Changed = "changed",
        /// It bore Berth's label and is none of Berth's; Berth removed it.
        Surplus = "surplus",
        /// The namespace cannot be kept at the moment; Berth goes on trying.
        Refused = "refused",
    }
);

/// An object that was not as Berth keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Its kind and name, as in `NetworkPolicy berth-default-deny`.
    pub object: String,
    /// In which way.
    pub kind: DriftKind,
    /// Who had a hand in it last, as the cluster notes it (`kubectl-edit`); for what is refused, why. Absent where nobody knows: of
    /// what is gone the cluster keeps no trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was found first.
    pub first_at: Timestamp,
    /// When it was found last.
    pub last_at: Timestamp,
    /// How often it was found. More than a few: something goes on writing what Berth takes back.
    pub times: i64,
}
