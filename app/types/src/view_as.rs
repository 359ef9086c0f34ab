//! Looking at the portal as somebody else has it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{names::UserName, role::words};

words!(
    /// How a look as somebody else came to its end.
    ViewEnd {
        /// Who looked ended it.
        Asked = "asked",
        /// Its time was over.
        Over = "over",
        /// Who looked is no platform admin any more, or may not sign in.
        Role = "role",
        /// The person may not sign in any more, or has got a role on the platform.
        Person = "person",
        /// The browser session ended in which it was.
        Session = "session",
    }
);

/// A platform admin's look at the portal as a person has it: nothing can be changed in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ViewRecord {
    /// Never used again.
    pub id: Uuid,
    /// Who looked.
    pub by: UserName,
    /// Why, in their words.
    pub reason: String,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ends, or would have ended, by itself.
    pub until: Timestamp,
    /// When it ended; absent while it lasts.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub ended: Option<ViewEnd>,
}
