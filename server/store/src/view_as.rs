//! Looks at the portal as somebody else has it.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::Result,
    ports::view_as::{NewView, OpenView, RunningView, Views},
    view_as::Viewed,
};
use berth_types::{
    PlatformRole,
    view_as::{ViewEnd, ViewRecord},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, sql},
    store::{SqlStore, found},
};

/// The columns that [`open_view`] reads, from `views w` and `users v` who is looked as.
macro_rules! open_view_columns {
    () => {
        "w.id, w.until_at, v.id, v.name, v.display_name, v.platform_role, v.disabled"
    };
}
pub(crate) use open_view_columns;

/// A look that goes on, if there is one.
pub(crate) fn open_view(row: &mut Reader<'_>) -> Result<Option<OpenView>> {
    let Some(id) = row.parsed_or_null()? else { return Ok(None) };
    let until = row.time()?;
    let viewed = Viewed {
        id: row.parsed()?,
        name: row.user()?,
        display_name: row.text()?,
        platform_role: row.word_or_null(PlatformRole::from_word)?,
        disabled: row.bool()?,
    };
    Ok(Some(OpenView { id, viewed, until }))
}

#[async_trait]
impl<E: Engine> Views for SqlStore<E> {
    async fn begin_view(&self, _: &Grant<PlatformRef>, new: &NewView) -> Result<()> {
        const SQL: &str = "INSERT INTO views (id, session_id, viewer_id, viewed_id, reason, begun_at, until_at) \
                           SELECT $1, s.id, s.user_id, $4, $5, $6, $7 FROM sessions s WHERE s.id = $2 AND s.user_id = $3";
        let statement = sql(SQL)
            .bind(new.id)
            .bind(new.session)
            .bind(new.viewer)
            .bind(new.viewed)
            .bind(new.reason.as_str())
            .bind(new.begun_at)
            .bind(new.until);
        found(self.engine.execute(statement).await?)
    }

    async fn end_view(&self, id: Uuid, at: Timestamp, how: ViewEnd) -> Result<bool> {
        const SQL: &str = "UPDATE views SET ended_at = $2, ended_how = $3 WHERE id = $1 AND ended_at IS NULL";
        Ok(self.engine.execute(sql(SQL).bind(id).bind(at).bind(how.as_str())).await? > 0)
    }

    async fn running_views(&self) -> Result<Vec<RunningView>> {
        const SQL: &str = concat!(
            "SELECT u.name, u.platform_role, u.disabled, \
             EXISTS (SELECT 1 FROM sessions s WHERE s.id = w.session_id), ",
            open_view_columns!(),
            " FROM views w JOIN users u ON u.id = w.viewer_id JOIN users v ON v.id = w.viewed_id \
             WHERE w.ended_at IS NULL ORDER BY w.begun_at"
        );
        let running = self.all(sql(SQL), |row| {
            let (by, role) = (row.user()?, row.word_or_null(PlatformRole::from_word)?);
            let (disabled, session) = (row.bool()?, row.bool()?);
            Ok(open_view(row)?.map(|open| RunningView { open, by, role, disabled, session }))
        });
        Ok(running.await?.into_iter().flatten().collect())
    }

    async fn list_views(&self, viewed: Uuid, most: usize) -> Result<Vec<ViewRecord>> {
        const SQL: &str = "SELECT w.id, u.name, w.reason, w.begun_at, w.until_at, w.ended_at, w.ended_how FROM views w \
                           JOIN users u ON u.id = w.viewer_id WHERE w.viewed_id = $1 ORDER BY w.begun_at DESC, w.id DESC LIMIT $2";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.all(sql(SQL).bind(viewed).bind(most), |row| {
            Ok(ViewRecord {
                id: row.parsed()?,
                by: row.user()?,
                reason: row.text()?,
                begun_at: row.time()?,
                until: row.time()?,
                ended_at: row.time_or_null()?,
                ended: row.word_or_null(ViewEnd::from_word)?,
            })
        })
        .await
    }
}
