//! Rows of announcements, and who put which away.

use async_trait::async_trait;
use berth_types::announcement::Announcement;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, PlatformRef},
    error::Result,
};

/// What the platform tells everybody.
#[async_trait]
pub trait Announcements: Send + Sync {
    /// All, what begins last first.
    async fn list_announcements(&self, grant: &Grant<PlatformRef>) -> Result<Vec<Announcement>>;
    /// Those that are shown at `now`, the gravest first: they are for everybody.
    async fn current_announcements(&self, now: Timestamp) -> Result<Vec<Announcement>>;
    /// Those that `user` put away as they are now.
    async fn dismissed_announcements(&self, user: Uuid) -> Result<Vec<Uuid>>;
    /// Makes one.
    async fn create_announcement(&self, grant: &Grant<PlatformRef>, new: &Announcement) -> Result<()>;
    /// Replaces one, if it still has the version in `wanted`; the version that it has then. `NotFound`, `Conflict`.
    async fn update_announcement(&self, grant: &Grant<PlatformRef>, wanted: &Announcement) -> Result<i64>;
    /// Removes one. `NotFound`.
    async fn delete_announcement(&self, grant: &Grant<PlatformRef>, id: Uuid) -> Result<()>;
    /// Notes that `user` put one away as it is in `version`; nothing happens where it is another by now, or gone.
    async fn dismiss_announcement(&self, user: Uuid, id: Uuid, version: i64) -> Result<()>;
}
