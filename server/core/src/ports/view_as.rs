//! Who looked at the portal as whom.

use async_trait::async_trait;
use berth_types::{
    PlatformRole, UserName,
    view_as::{ViewEnd, ViewRecord},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, PlatformRef},
    error::Result,
    view_as::Viewed,
};

/// One that begins.
#[derive(Debug, Clone)]
pub struct NewView {
    /// Which.
    pub id: Uuid,
    /// The browser session that looks.
    pub session: Uuid,
    /// Whose session it is.
    pub viewer: Uuid,
    /// As whom they look.
    pub viewed: Uuid,
    /// Why.
    pub reason: String,
    /// When it begins.
    pub begun_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// One that has not ended, as it is found with its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenView {
    /// Which.
    pub id: Uuid,
    /// As whom.
    pub viewed: Viewed,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// One that has not ended, with all that decides whether it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningView {
    /// As the session has it.
    pub open: OpenView,
    /// Who looks.
    pub by: UserName,
    /// Their role on the platform.
    pub role: Option<PlatformRole>,
    /// Whether they may not sign in.
    pub disabled: bool,
    /// Whether the session is still there.
    pub session: bool,
}

/// Looks as somebody else. None is ever removed: the person sees who looked.
#[async_trait]
pub trait Views: Send + Sync {
    /// Begins one. `AlreadyExists` while there is one in that session; `NotFound` when the session is gone.
    async fn begin_view(&self, grant: &Grant<PlatformRef>, new: &NewView) -> Result<()>;
    /// Ends one; whether it is this call that did: of many, one.
    async fn end_view(&self, id: Uuid, at: Timestamp, how: ViewEnd) -> Result<bool>;
    /// Those that have not ended.
    async fn running_views(&self) -> Result<Vec<RunningView>>;
    /// The last `most` looks as a person, newest first.
    async fn list_views(&self, viewed: Uuid, most: usize) -> Result<Vec<ViewRecord>>;
}
