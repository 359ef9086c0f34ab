//! Announcements, and who put which away.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    ports::announcements::Announcements,
};
use berth_types::{
    ErrorCode,
    announcement::{Announcement, AnnouncementLevel},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, sql},
    store::SqlStore,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, level, text, starts_at, ends_at, on_sign_in, created_by, created_at, version FROM announcements",
            $rest
        )
    };
}

fn announcement(row: &mut Reader<'_>) -> Result<Announcement> {
    Ok(Announcement {
        id: row.parsed()?,
        level: row.word(AnnouncementLevel::from_word)?,
        text: row.text()?,
        from: row.time()?,
        until: row.time_or_null()?,
        on_sign_in: row.bool()?,
        created_by: row.text()?,
        created_at: row.time()?,
        version: row.int()?,
    })
}

#[async_trait]
impl<E: Engine> Announcements for SqlStore<E> {
    async fn list_announcements(&self, _: &Grant<PlatformRef>) -> Result<Vec<Announcement>> {
        self.all(sql(select!(" ORDER BY starts_at DESC, id DESC")), announcement).await
    }

    async fn current_announcements(&self, now: Timestamp) -> Result<Vec<Announcement>> {
        const SQL: &str = select!(
            " WHERE starts_at <= $1 AND (ends_at IS NULL OR ends_at > $1) ORDER BY CASE level WHEN 'critical' THEN 1 \
             WHEN 'warning' THEN 2 ELSE 3 END, starts_at DESC, id DESC"
        );
        self.all(sql(SQL).bind(now), announcement).await
    }

    async fn dismissed_announcements(&self, user: Uuid) -> Result<Vec<Uuid>> {
        const SQL: &str = "SELECT a.id FROM announcements a JOIN announcements_dismissed d \
                           ON d.announcement_id = a.id AND d.version = a.version WHERE d.user_id = $1 ORDER BY a.id";
        self.all(sql(SQL).bind(user), |row| row.parsed()).await
    }

    async fn create_announcement(&self, _: &Grant<PlatformRef>, new: &Announcement) -> Result<()> {
        const SQL: &str = "INSERT INTO announcements (id, level, text, starts_at, ends_at, on_sign_in, created_by, \
                           created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let statement = sql(SQL)
            .bind(new.id)
            .bind(new.level.as_str())
            .bind(new.text.as_str())
            .bind(new.from)
            .bind(new.until.map(Timestamp::as_microsecond))
            .bind(new.on_sign_in)
            .bind(new.created_by.as_str())
            .bind(new.created_at)
            .bind(new.version);
        self.engine.execute(statement).await.map(drop)
    }

    async fn update_announcement(&self, _: &Grant<PlatformRef>, wanted: &Announcement) -> Result<i64> {
        const SQL: &str = "UPDATE announcements SET level = $3, text = $4, starts_at = $5, ends_at = $6, on_sign_in = $7, \
                           version = version + 1 WHERE id = $1 AND version = $2";
        const FIND: &str = "SELECT version FROM announcements WHERE id = $1";
        let statement = sql(SQL)
            .bind(wanted.id)
            .bind(wanted.version)
            .bind(wanted.level.as_str())
            .bind(wanted.text.as_str())
            .bind(wanted.from)
            .bind(wanted.until.map(Timestamp::as_microsecond))
            .bind(wanted.on_sign_in);
        if self.engine.execute(statement).await? == 1 {
            return Ok(wanted.version + 1);
        }
        match self.one(sql(FIND).bind(wanted.id), |row| row.int()).await? {
            Some(_) => Err(Error::new(ErrorCode::Conflict, "it was changed since it was read")),
            None => Err(Error::not_found()),
        }
    }

    async fn delete_announcement(&self, _: &Grant<PlatformRef>, id: Uuid) -> Result<()> {
        self.change_one(sql("DELETE FROM announcements WHERE id = $1").bind(id)).await
    }

    async fn dismiss_announcement(&self, user: Uuid, id: Uuid, version: i64) -> Result<()> {
        const SQL: &str = "INSERT INTO announcements_dismissed (user_id, announcement_id, version) \
                           SELECT $1, a.id, a.version FROM announcements a WHERE a.id = $2 AND a.version = $3 \
                           ON CONFLICT (user_id, announcement_id) DO UPDATE SET version = excluded.version";
        self.engine.execute(sql(SQL).bind(user).bind(id).bind(version)).await.map(drop)
    }
}
