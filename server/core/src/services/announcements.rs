//! What the platform tells everybody, on every page, for a while.

use berth_types::{
    Action, FieldError, Resource,
    announcement::{Announcement, AnnouncementLevel, AnnouncementText, MAX_TEXT},
};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::json;
use uuid::Uuid;

use super::{Done, Services, identity::new_id};
use crate::{
    audit::range::moment,
    ctx::OpCtx,
    error::{Error, Result},
};

/// Most that there may be: who keeps more keeps a diary.
const MOST: usize = 50;
/// For how long what is shown is believed: every page shows it, and the database need not hear of each. What was changed in another
/// replica is seen after that.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(5);

/// What is shown, and when that was asked.
pub(super) type Known = Mutex<Option<(Timestamp, Vec<Announcement>)>>;

/// What was written.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    level: AnnouncementLevel,
    text: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// Reads what was written at `now`: all that is wrong, each at its field.
fn read(written: &AnnouncementText, now: Timestamp) -> Result<Wanted> {
    let mut errors = Vec::new();
    let level = AnnouncementLevel::from_word(written.level.trim());
    if level.is_none() {
        let known = AnnouncementLevel::ALL.iter().map(|level| level.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("“{}” is no level: one of {known}", written.level);
        errors.push(FieldError::new("level", "announcement_level", message).param("value", &written.level));
    }
    let text = written.text.trim().replace("\r\n", "\n");
    if text.is_empty() {
        errors.push(FieldError::new("text", "required", "say something"));
    } else if text.chars().count() > MAX_TEXT {
        let message = format!("at most {MAX_TEXT} characters");
        errors.push(FieldError::new("text", "name_too_long", message).param("max", MAX_TEXT));
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        errors.push(FieldError::new("text", "announcement_control", "control characters are not allowed"));
    }
    let mut time = |field: &str, text: Option<&String>| {
        let text = text.map(|text| text.trim()).filter(|text| !text.is_empty())?;
        moment(field, text).map_err(|e| errors.extend(e.fields().to_vec())).ok()
    };
    let (from, until) = (time("from", written.from.as_ref()).unwrap_or(now), time("until", written.until.as_ref()));
    if until.is_some_and(|until| until <= from || until <= now) {
        let message = "must be after it begins, and still to come";
        errors.push(FieldError::new("until", "announcement_until", message));
    }
    match level {
        Some(level) if errors.is_empty() => Ok(Wanted { level, text, from, until }),
        _ => Err(Error::invalid(errors)),
    }
}

impl Services {
    /// What the pages of who asks show now, the gravest first: to strangers what is for them, to people what they did not put away.
    /// Pages go on without where the database does not answer.
    pub async fn announced(&self, ctx: &OpCtx) -> Vec<Announcement> {
        let found = async {
            let now = ctx.now();
            let known = self.announcements.lock().clone();
            let fresh = known.filter(|(at, _)| now.duration_since(*at) < BELIEVED_FOR && now >= *at);
            let all = match fresh {
                Some((_, all)) => all,
                None => {
                    let all = self.store.current_announcements(now).await?;
                    *self.announcements.lock() = Some((now, all.clone()));
                    all
                }
            };
            let mut all: Vec<Announcement> = all.into_iter().filter(|a| a.is_current(now)).collect();
            let Some(person) = ctx.person() else {
                all.retain(|a| a.on_sign_in);
                return Ok::<_, Error>(all);
            };
            if all.iter().any(|a| a.level != AnnouncementLevel::Critical) {
                let away = self.store.dismissed_announcements(person.id).await?;
                all.retain(|a| a.level == AnnouncementLevel::Critical || !away.contains(&a.id));
            }
            Ok(all)
        };
        found.await.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "announcements are not shown");
            Vec::new()
        })
    }

    /// All announcements, past and to come.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_announcements(&self, ctx: &OpCtx) -> Result<Vec<Announcement>> {
        let grant = self.authz.platform(ctx, Resource::Banner, Action::Read)?;
        self.store.list_announcements(&grant).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Self::list_announcements`]; `NotFound`.
    pub async fn get_announcement(&self, ctx: &OpCtx, id: Uuid) -> Result<Announcement> {
        self.list_announcements(ctx).await?.into_iter().find(|a| a.id == id).ok_or_else(Error::not_found)
    }

    /// Tells everybody something.
    ///
    /// # Errors
    /// `Invalid` at each field; forbidden.
    pub async fn create_announcement(&self, ctx: &OpCtx, written: &AnnouncementText) -> Result<Announcement> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Banner, Action::Create)?;
            let now = ctx.now();
            let Wanted { level, text, from, until } = read(written, now)?;
            if self.store.list_announcements(&grant).await?.len() >= MOST {
                let message = format!("there are {MOST} already: remove old ones first");
                return Err(Error::field(FieldError::new("text", "announcement_many", message).param("max", MOST)));
            }
            let new = Announcement {
                id: new_id(now, &*self.random)?,
                level,
                text,
                from,
                until,
                on_sign_in: written.on_sign_in,
                created_by: ctx.actor.to_string(),
                created_at: now,
                version: 1,
            };
            self.store.create_announcement(&grant, &new).await?;
            *self.announcements.lock() = None;
            let detail = json!({ "after": new });
            Ok(Done::with(new, detail))
        };
        self.audited(ctx, "announcement.create", String::new(), None, work).await
    }

    /// Changes one, if it still has `version` (any, when absent). Who put it away sees it again.
    ///
    /// # Errors
    /// `Invalid` at each field; `NotFound`, `Conflict`, forbidden.
    pub async fn update_announcement(
        &self,
        ctx: &OpCtx,
        id: Uuid,
        written: &AnnouncementText,
        version: Option<i64>,
    ) -> Result<Announcement> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Banner, Action::Update)?;
            let all = self.store.list_announcements(&grant).await?;
            let before = all.into_iter().find(|a| a.id == id).ok_or_else(Error::not_found)?;
            // What began goes on from when it began.
            let begun = before.from.min(ctx.now());
            let from = written.from.as_ref().filter(|text| !text.trim().is_empty());
            let Wanted { level, text, from, until } = match from {
                Some(_) => read(written, ctx.now())?,
                None => Wanted { from: begun, ..read(written, ctx.now())? },
            };
            let version = version.unwrap_or(before.version);
            let on_sign_in = written.on_sign_in;
            let mut after = Announcement { level, text, from, until, on_sign_in, version, ..before.clone() };
            after.version = self.store.update_announcement(&grant, &after).await?;
            *self.announcements.lock() = None;
            let detail = json!({ "before": before, "after": after });
            Ok(Done::with(after, detail))
        };
        self.audited(ctx, "announcement.update", id.to_string(), None, work).await
    }

    /// Takes one away.
    ///
    /// # Errors
    /// `NotFound`, forbidden.
    pub async fn delete_announcement(&self, ctx: &OpCtx, id: Uuid) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Banner, Action::Delete)?;
            self.store.delete_announcement(&grant, id).await?;
            *self.announcements.lock() = None;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "announcement.delete", id.to_string(), None, work).await
    }

    /// Puts one away for who asks, as it is now; nothing of the platform's changes, so it is in no log. For somebody else nobody does.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` for one that is not shown; `Forbidden` for one that nobody puts away.
    pub async fn dismiss_announcement(&self, ctx: &OpCtx, id: Uuid) -> Result<()> {
        let person = self.authz.person(ctx)?;
        if person.viewed_by().is_some() {
            let refused = async { Ok(Done::plain(())) };
            return self.audited(ctx, "announcement.dismiss", id.to_string(), None, refused).await;
        }
        let all = self.store.current_announcements(ctx.now()).await?;
        let shown = all.into_iter().find(|a| a.id == id).ok_or_else(Error::not_found)?;
        if shown.level == AnnouncementLevel::Critical {
            let message = "it stays until it is over: it is critical";
            return Err(Error::new(berth_types::ErrorCode::Forbidden, message));
        }
        self.store.dismiss_announcement(person.id, id, shown.version).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use berth_types::{ErrorCode, PlatformRole};

    use super::*;
    use crate::testing::World;

    fn text(level: &str, text: &str, from: &str, until: &str) -> AnnouncementText {
        AnnouncementText {
            level: level.into(),
            text: text.into(),
            from: Some(from.into()),
            until: Some(until.into()),
            on_sign_in: false,
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let now = crate::testing::at("2026-11-20T08:00:00Z");
        let long = "x".repeat(MAX_TEXT + 1);
        for (text, want) in [
            (text("info", "hello", "", ""), &[][..]),
            (text("info", "hello", "2026-11-21T08:00", "2026-11-22T08:00:00+01:00"), &[]),
            (text("loud", " ", "soon", "later"), &["level", "text", "from", "until"]),
            (text("info", &long, "", ""), &["text"]),
            (text("info", "a\u{7}", "", ""), &["text"]),
            (text("info", "a", "", "2026-11-20T07:00"), &["until"]),
            (text("info", "a", "2026-11-22T08:00", "2026-11-21T08:00"), &["until"]),
        ] {
            let found = read(&text, now).err();
            let fields: Vec<&str> = found.iter().flat_map(Error::fields).map(|error| error.field.as_str()).collect();
            assert_eq!(fields, want, "{text:?}");
        }
        let read = read(&text("warning", " a\r\nb ", "2026-11-21T08:00", ""), now).unwrap();
        assert_eq!((read.text.as_str(), read.from.to_string().as_str()), ("a\nb", "2026-11-21T08:00:00Z"));
    }

    async fn world() -> World {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        world.person("eye", Some(PlatformRole::Auditor)).await;
        world.person("olga", None).await;
        world
    }

    async fn seen(world: &World, ctx: &OpCtx) -> Vec<String> {
        world.services.announced(ctx).await.into_iter().map(|a| a.text).collect()
    }

    #[tokio::test]
    async fn everybody_sees_it_while_it_lasts() {
        let world = world().await;
        let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
        let stranger = OpCtx::anonymous(world.clock.clone(), "test", "192.0.2.1");
        for ctx in [&olga, &world.ctx("eye").await] {
            let refused = world.services.create_announcement(ctx, &text("info", "x", "", "")).await;
            let want = if ctx.actor == olga.actor { ErrorCode::NotFound } else { ErrorCode::Forbidden };
            assert_eq!(refused.unwrap_err().code(), want);
        }
        let door = AnnouncementText { on_sign_in: true, ..text("info", "at the door", "", "2026-11-20T10:00") };
        world.services.create_announcement(&root, &door).await.unwrap();
        world.services.create_announcement(&root, &text("critical", "down", "", "")).await.unwrap();
        world.services.create_announcement(&root, &text("warning", "later", "2026-11-20T09:00", "")).await.unwrap();
        assert_eq!(seen(&world, &olga).await, ["down", "at the door"]);
        assert_eq!(seen(&world, &stranger).await, ["at the door"]);
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(seen(&world, &olga).await, ["down", "later", "at the door"]);
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(seen(&world, &olga).await, ["down", "later"]);
        assert_eq!(world.services.list_announcements(&world.ctx("eye").await).await.unwrap().len(), 3);
        // Pages go on without it.
        world.store.set_down(true);
        world.clock.advance(Duration::from_secs(6));
        assert!(seen(&world, &olga).await.is_empty());
    }

    #[tokio::test]
    async fn who_puts_it_away_sees_it_again_when_it_changes() {
        let world = world().await;
        let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
        let made = world.services.create_announcement(&root, &text("info", "one", "", "")).await.unwrap();
        let grave = world.services.create_announcement(&root, &text("critical", "down", "", "")).await.unwrap();
        world.services.dismiss_announcement(&olga, made.id).await.unwrap();
        assert_eq!(seen(&world, &olga).await, ["down"]);
        assert_eq!(seen(&world, &root).await, ["down", "one"], "others still see it");
        let refused = world.services.dismiss_announcement(&olga, grave.id).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden);
        assert_eq!(
            world.services.dismiss_announcement(&olga, Uuid::nil()).await.unwrap_err().code(),
            ErrorCode::NotFound
        );

        world.clock.advance(Duration::from_secs(60));
        let changed = text("info", "two", "", "");
        let late = world.services.update_announcement(&root, made.id, &changed, Some(7)).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::Conflict);
        let after = world.services.update_announcement(&root, made.id, &changed, Some(1)).await.unwrap();
        assert_eq!((after.version, after.from), (2, made.from));
        assert_eq!(seen(&world, &olga).await, ["down", "two"]);
        world.services.delete_announcement(&root, made.id).await.unwrap();
        assert_eq!(seen(&world, &olga).await, ["down"]);
        let gone = world.services.delete_announcement(&root, made.id).await.unwrap_err();
        assert_eq!(gone.code(), ErrorCode::NotFound);
    }
}
