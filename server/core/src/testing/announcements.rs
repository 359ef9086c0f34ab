//! Announcements of a [`FakeStore`].

use async_trait::async_trait;
use berth_types::{ErrorCode, announcement::Announcement};
use jiff::Timestamp;
use uuid::Uuid;

use super::FakeStore;
use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::announcements::Announcements,
};

#[derive(Default)]
pub(super) struct Rows {
    all: Vec<Announcement>,
    dismissed: Vec<(Uuid, Uuid, i64)>,
}

#[async_trait]
impl Announcements for FakeStore {
    async fn list_announcements(&self, _: &Grant<PlatformRef>) -> Result<Vec<Announcement>> {
        let mut all = self.rows()?.announcements.all.clone();
        all.sort_by_key(|a| std::cmp::Reverse((a.from, a.id)));
        Ok(all)
    }

    async fn current_announcements(&self, now: Timestamp) -> Result<Vec<Announcement>> {
        let rows = self.rows()?;
        let mut all: Vec<_> = rows.announcements.all.iter().filter(|a| a.is_current(now)).cloned().collect();
        all.sort_by(|a, b| a.level.cmp(&b.level).then_with(|| (b.from, b.id).cmp(&(a.from, a.id))));
        Ok(all)
    }

    async fn dismissed_announcements(&self, user: Uuid) -> Result<Vec<Uuid>> {
        let rows = &self.rows()?.announcements;
        let as_it_is = |id: &Uuid, version: i64| rows.all.iter().any(|a| a.id == *id && a.version == version);
        let theirs = rows.dismissed.iter().filter(|(by, id, version)| *by == user && as_it_is(id, *version));
        Ok(theirs.map(|(_, id, _)| *id).collect())
    }

    async fn create_announcement(&self, _: &Grant<PlatformRef>, new: &Announcement) -> Result<()> {
        self.rows()?.announcements.all.push(new.clone());
        Ok(())
    }

    async fn update_announcement(&self, _: &Grant<PlatformRef>, wanted: &Announcement) -> Result<i64> {
        let mut rows = self.rows()?;
        let found = rows.announcements.all.iter_mut().find(|a| a.id == wanted.id).ok_or_else(Error::not_found)?;
        if found.version != wanted.version {
            return Err(Error::new(ErrorCode::Conflict, "it was changed since it was read"));
        }
        *found = Announcement { version: wanted.version + 1, ..wanted.clone() };
        Ok(found.version)
    }

    async fn delete_announcement(&self, _: &Grant<PlatformRef>, id: Uuid) -> Result<()> {
        let rows = &mut self.rows()?.announcements;
        let before = rows.all.len();
        rows.all.retain(|a| a.id != id);
        rows.dismissed.retain(|(_, of, _)| *of != id);
        if rows.all.len() < before { Ok(()) } else { Err(Error::not_found()) }
    }

    async fn dismiss_announcement(&self, user: Uuid, id: Uuid, version: i64) -> Result<()> {
        let rows = &mut self.rows()?.announcements;
        if rows.all.iter().any(|a| a.id == id && a.version == version) {
            rows.dismissed.retain(|(by, of, _)| (*by, *of) != (user, id));
            rows.dismissed.push((user, id, version));
        }
        Ok(())
    }
}
