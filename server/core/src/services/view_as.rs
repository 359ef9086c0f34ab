//! Looking at the portal as somebody else has it, begun and ended.

use std::sync::Arc;

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, UserName,
    people::{TokenScope, User},
    view_as::{ViewEnd, ViewRecord},
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Done, Services, identity::new_id};
use crate::{
    ctx::{OpCtx, Person, Via},
    error::{Error, Result},
    ports::view_as::{NewView, OpenView, RunningView},
    view_as::{self, LONGEST, ViewAs, Viewed},
};

/// How many are shown of a person.
const SHOWN: usize = 20;

fn as_viewed(user: &User) -> Viewed {
    Viewed {
        id: user.id,
        name: user.name.clone(),
        display_name: user.display_name.clone(),
        platform_role: user.platform_role,
        disabled: user.disabled,
    }
}

/// The person as whom `viewer` looks: all of theirs, but that nothing is asked of them first, which is not theirs to answer here.
fn seen_as(viewer: &Person, session: Uuid, open: OpenView) -> Arc<Person> {
    let OpenView { id, viewed, until } = open;
    Arc::new(Person {
        id: viewed.id,
        name: viewed.name,
        display_name: viewed.display_name.into(),
        platform_role: viewed.platform_role,
        via: Via::View(Arc::new(ViewAs { id, session, viewer: viewer.id, by: viewer.name.clone(), until })),
        scope: TokenScope::default(),
        must_change_password: false,
        needs_second_factor: false,
    })
}

/// Of those who end one at once, one does.
fn over_already() -> Error {
    Error::new(ErrorCode::Conflict, "it is over already: somebody else ended it in this moment")
}

impl Services {
    /// From now on the session that asks sees the portal as `user` has it, and changes nothing.
    ///
    /// # Errors
    /// `Invalid` at `user` and `reason`; `NotFound`; `Conflict` when that has begun in another tab; forbidden to all but platform admins in
    /// the browser.
    pub async fn begin_view(&self, ctx: &OpCtx, user: &UserName, reason: &str) -> Result<Person> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::View, Action::Create)?;
            let viewer = ctx.person().ok_or_else(Error::unauthenticated)?;
            let Via::Session(session) = viewer.via else {
                return Err(Error::new(
                    ErrorCode::Forbidden,
                    "one looks as somebody else in the browser, not with a token",
                ));
            };
            let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
            let viewed = as_viewed(&account.user);
            let reason = view_as::may_begin(viewer.id, &viewed, reason)?;
            let (now, id) = (ctx.now(), new_id(ctx.now(), &*self.random)?);
            let until = now.checked_add(LONGEST).map_err(Error::internal)?;
            let new = NewView { id, session, viewer: viewer.id, viewed: viewed.id, reason, begun_at: now, until };
            self.store.begin_view(&grant, &new).await.map_err(|e| match e.code() {
                ErrorCode::AlreadyExists => {
                    Error::new(ErrorCode::Conflict, "this browser looks as somebody else already").caused_by(e)
                }
                _ => e,
            })?;
            let person = seen_as(viewer, session, OpenView { id, viewed, until });
            Ok(Done::with(Person::clone(&person), json!({ "reason": new.reason, "until": until })))
        };
        self.audited(ctx, "view.begin", user.to_string(), None, work).await
    }

    /// Ends the look in which it is asked; the person who was looked as.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Conflict` when another tab ended it in the same moment.
    pub async fn end_view(&self, ctx: &OpCtx) -> Result<UserName> {
        let person = ctx.person().ok_or_else(Error::unauthenticated)?;
        let view = person.viewed_by().ok_or_else(Error::not_found)?;
        let work = async {
            if !self.store.end_view(view.id, ctx.now(), ViewEnd::Asked).await? {
                return Err(over_already());
            }
            Ok(Done::with(person.name.clone(), json!({ "how": ViewEnd::Asked })))
        };
        // The one thing that may be done while one looks.
        self.written_down(ctx, "view.end", person.name.to_string(), None, work).await
    }

    /// Who asks in a session: `viewer`, or the person as whom they look in it. What is over is ended here.
    pub(super) async fn looking(
        &self,
        viewer: Arc<Person>,
        open: Option<OpenView>,
        now: Timestamp,
    ) -> Result<Arc<Person>> {
        let (Some(open), Via::Session(session)) = (open, &viewer.via) else { return Ok(viewer) };
        let able = viewer.platform_role == Some(PlatformRole::Admin) && viewer.is_ready();
        match view_as::over(able, &open.viewed, open.until, now) {
            None => Ok(seen_as(&viewer, *session, open)),
            Some(how) => {
                self.close_view(&open, &viewer.name, how, now).await?;
                Ok(viewer)
            }
        }
    }

    /// Ends one that is over, and writes that down; whether it is this call that did.
    async fn close_view(&self, open: &OpenView, by: &UserName, how: ViewEnd, now: Timestamp) -> Result<bool> {
        let ctx = OpCtx::system(self.clock.clone(), "views");
        let work = async {
            // It was over then, whenever that is found.
            if !self.store.end_view(open.id, open.until.min(now), how).await? {
                return Err(over_already());
            }
            Ok(Done::with((), json!({ "how": how })).by(by.clone()))
        };
        match self.written_down(&ctx, "view.end", open.viewed.name.to_string(), None, work).await {
            Ok(()) => Ok(true),
            Err(e) if e.code() == ErrorCode::Conflict => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Ends the looks that are over and that nobody has asked anything in since; how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep_views(&self) -> Result<usize> {
        let (now, mut ended) = (self.clock.now(), 0);
        for RunningView { open, by, role, disabled, session } in self.store.running_views().await? {
            let able = role == Some(PlatformRole::Admin) && !disabled;
            let gone = (!session).then_some(ViewEnd::Session);
            if let Some(how) = view_as::over(able, &open.viewed, open.until, now).or(gone) {
                ended += usize::from(self.close_view(&open, &by, how, now).await?);
            }
        }
        Ok(ended)
    }

    /// Who looked at the portal as the asking person has it, newest first.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn my_views(&self, ctx: &OpCtx) -> Result<Vec<ViewRecord>> {
        let person = self.authz.person(ctx)?;
        self.store.list_views(person.id, SHOWN).await
    }

    /// Who looked at the portal as `user` has it, newest first.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_views(&self, ctx: &OpCtx, user: &UserName) -> Result<Vec<ViewRecord>> {
        self.authz.platform(ctx, Resource::View, Action::Read)?;
        let account = self.store.find_account(user).await?.ok_or_else(Error::not_found)?;
        self.store.list_views(account.user.id, SHOWN).await
    }
}
