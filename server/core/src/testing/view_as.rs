//! Looks as somebody else, in vectors.

use async_trait::async_trait;
use berth_types::{
    UserName,
    view_as::{ViewEnd, ViewRecord},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{FakeStore, World};
use crate::{
    OpCtx,
    authz::{Grant, PlatformRef},
    env::Clock as _,
    error::{Error, Result},
    ports::{
        store::{Account, NewSession, People as _},
        view_as::{NewView, OpenView, RunningView, Views},
    },
    services::identity::digest,
    view_as::Viewed,
};

/// Each with how it ended.
pub(super) type Rows = Vec<(NewView, Option<(Timestamp, ViewEnd)>)>;

impl super::store::Rows {
    /// As whom a session looks.
    pub(super) fn view_of(&self, session: Uuid) -> Option<OpenView> {
        let (view, _) = self.views.iter().find(|(view, ended)| view.session == session && ended.is_none())?;
        self.open(view)
    }

    fn open(&self, view: &NewView) -> Option<OpenView> {
        let Account { user, .. } = self.account(view.viewed)?;
        let viewed = Viewed {
            id: user.id,
            name: user.name.clone(),
            display_name: user.display_name.clone(),
            platform_role: user.platform_role,
            disabled: user.disabled,
        };
        Some(OpenView { id: view.id, viewed, until: view.until })
    }

    fn name_of(&self, user: Uuid) -> Result<UserName> {
        Ok(self.account(user).ok_or_else(Error::not_found)?.user.name.clone())
    }
}

impl World {
    /// A browser in which the person called `name` is signed in: its secret.
    pub async fn browser(&self, name: &str) -> String {
        let user = self.store.find_account(&name.parse().unwrap()).await.unwrap().unwrap().user.id;
        let (id, now) = (self.id(), self.clock.now());
        let secret = format!("secret of {id}");
        let session = NewSession {
            id,
            digest: digest(&secret),
            user,
            created_at: now,
            expires_at: now + SignedDuration::from_hours(24),
            user_agent: "Firefox".to_owned(),
            network: "192.0.2.1".to_owned(),
            provider: None,
            password: None,
        };
        self.store.create_session(&session).await.unwrap();
        secret
    }

    /// A context in which is asked from that browser now; nobody's, when it is signed out.
    pub async fn asked_from(&self, browser: &str) -> OpCtx {
        let nobody = OpCtx::anonymous(self.clock.clone(), "test", "192.0.2.1");
        match self.services.authenticate_session(self.clock.now(), browser).await.unwrap() {
            Some(person) => self.services.as_person(&nobody, person),
            None => nobody,
        }
    }

    /// A context of `root`, who is a platform admin and looks as the person called `name`; and the browser.
    pub async fn view_as(&self, root: &str, name: &str) -> (OpCtx, String) {
        let browser = self.browser(root).await;
        let (own, user) = (self.asked_from(&browser).await, name.parse().unwrap());
        self.services.begin_view(&own, &user, "cannot find the app").await.unwrap();
        (self.asked_from(&browser).await, browser)
    }
}

#[async_trait]
impl Views for FakeStore {
    async fn begin_view(&self, _: &Grant<PlatformRef>, new: &NewView) -> Result<()> {
        let mut rows = self.rows()?;
        if !rows.sessions.iter().any(|(s, _)| s.id == new.session && s.user == new.viewer) {
            return Err(Error::not_found());
        }
        if rows.view_of(new.session).is_some() {
            return Err(Error::new(berth_types::ErrorCode::AlreadyExists, "it looks as somebody else already"));
        }
        rows.views.push((new.clone(), None));
        Ok(())
    }

    async fn end_view(&self, id: Uuid, at: Timestamp, how: ViewEnd) -> Result<bool> {
        let mut rows = self.rows()?;
        let open = rows.views.iter_mut().find(|(view, ended)| view.id == id && ended.is_none());
        Ok(open.map(|(_, ended)| *ended = Some((at, how))).is_some())
    }

    async fn running_views(&self) -> Result<Vec<RunningView>> {
        let rows = self.rows()?;
        let running = rows.views.iter().filter(|(_, ended)| ended.is_none()).filter_map(|(view, _)| {
            let Account { user, .. } = rows.account(view.viewer)?;
            Some(RunningView {
                open: rows.open(view)?,
                by: user.name.clone(),
                role: user.platform_role,
                disabled: user.disabled,
                session: rows.sessions.iter().any(|(s, _)| s.id == view.session),
            })
        });
        Ok(running.collect())
    }

    async fn list_views(&self, viewed: Uuid, most: usize) -> Result<Vec<ViewRecord>> {
        let rows = self.rows()?;
        let theirs = rows.views.iter().rev().filter(|(view, _)| view.viewed == viewed).take(most);
        theirs
            .map(|(view, ended)| {
                Ok(ViewRecord {
                    id: view.id,
                    by: rows.name_of(view.viewer)?,
                    reason: view.reason.clone(),
                    begun_at: view.begun_at,
                    until: view.until,
                    ended_at: ended.map(|(at, _)| at),
                    ended: ended.map(|(_, how)| how),
                })
            })
            .collect()
    }
}
