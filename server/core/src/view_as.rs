//! Looking at the portal as somebody else has it: who may look as whom, and for how long; pure.
//!
//! Who looks is the person who is looked as, for all that is read: [`Via::View`](crate::ctx::Via::View) alone tells the two apart. Nothing is
//! changed so: [`Services::audited`](crate::Services) refuses it, in one place.

use berth_types::{ErrorCode, FieldError, PlatformRole, UserName, view_as::ViewEnd};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};

/// How long one may look at the most.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(30);
/// Shortest reason, in characters: a few words.
pub const REASON_MIN: usize = 10;
/// Longest reason, in characters.
pub const REASON_MAX: usize = 300;

/// A look as somebody else that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewAs {
    /// Which.
    pub id: Uuid,
    /// The session of who looks.
    pub session: Uuid,
    /// Who looks.
    pub viewer: Uuid,
    /// What they sign in as.
    pub by: UserName,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl ViewAs {
    /// Why nothing can be changed, and secrets are not shown.
    #[must_use]
    pub fn refused(&self) -> Error {
        let message =
            format!("you look at the portal as somebody else ({}): end that first; nothing was done", self.by);
        Error::new(ErrorCode::Viewing, message)
    }
}

/// As whom somebody looks, as the rows have them now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewed {
    /// Their account.
    pub id: Uuid,
    /// What they sign in as.
    pub name: UserName,
    /// What others see.
    pub display_name: String,
    /// Their role on the platform.
    pub platform_role: Option<PlatformRole>,
    /// Whether they may not sign in.
    pub disabled: bool,
}

/// Why nobody may look as this person, if that is so.
///
/// Who has a role on the platform sees what others do not: looking as an auditor would show an admin nothing new, but as another admin it
/// would hide who it is that does so; and both can ask each other.
fn untouchable(viewed: &Viewed) -> Option<(&'static str, &'static str)> {
    if viewed.name.as_robot().is_some() {
        return Some(("view_robot", "robots see no pages"));
    }
    if viewed.platform_role.is_some() {
        return Some(("view_platform", "not as somebody with a role on the platform: it would give you theirs"));
    }
    viewed.disabled.then_some(("view_disabled", "they may not sign in, so they see nothing"))
}

/// What was written as a reason.
fn reason(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let (length, wrong) = (text.chars().count(), text.chars().any(|c| c.is_control() && c != '\n' && c != '\r'));
    if (REASON_MIN..=REASON_MAX).contains(&length) && !wrong {
        return Ok(text.to_owned());
    }
    let message = format!("a few words, {REASON_MIN} to {REASON_MAX} characters: the person reads them");
    Err(FieldError::new("reason", "view_reason", message).param("min", REASON_MIN).param("max", REASON_MAX))
}

/// What was written as a reason, if `viewer` may look as `viewed`.
///
/// # Errors
/// `Invalid` at `user` and `reason`.
pub fn may_begin(viewer: Uuid, viewed: &Viewed, why: &str) -> Result<String> {
    let own = (viewer == viewed.id).then_some(("view_oneself", "you see that already"));
    let user = own.or_else(|| untouchable(viewed)).map(|(code, message)| FieldError::new("user", code, message));
    match (user, reason(why)) {
        (None, Ok(reason)) => Ok(reason),
        (user, reason) => Err(Error::invalid(user.into_iter().chain(reason.err()).collect())),
    }
}

/// Whether a look has come to its end at `now`, and how. `able`: who looks may sign in, and is a platform admin of whom nothing is asked first.
#[must_use]
pub fn over(able: bool, viewed: &Viewed, until: Timestamp, now: Timestamp) -> Option<ViewEnd> {
    if until <= now {
        Some(ViewEnd::Over)
    } else if !able {
        Some(ViewEnd::Role)
    } else {
        untouchable(viewed).map(|_| ViewEnd::Person)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn viewed(name: &str, platform_role: Option<PlatformRole>, disabled: bool) -> Viewed {
        let name = UserName::stored(name).unwrap();
        Viewed { id: Uuid::from_u128(2), name, display_name: String::new(), platform_role, disabled }
    }

    const WHY: &str = "Cannot find the app that Ann speaks of";

    #[test]
    fn who_may_look_as_whom() {
        let long = "x ".repeat(REASON_MAX);
        for (viewer, person, why, wrong) in [
            (1, viewed("ann", None, false), WHY, &[][..]),
            (1, viewed("ann", None, false), "安娜说她看不到应用列表", &[]),
            (2, viewed("ann", None, false), WHY, &["view_oneself"]),
            (1, viewed("ann", Some(PlatformRole::Admin), false), WHY, &["view_platform"]),
            (1, viewed("ann", Some(PlatformRole::Auditor), false), WHY, &["view_platform"]),
            (1, viewed("ann", None, true), WHY, &["view_disabled"]),
            (1, viewed("robot:shop/ci", None, false), WHY, &["view_robot"]),
            (1, viewed("ann", None, false), "", &["view_reason"]),
            (1, viewed("ann", None, false), "   look    ", &["view_reason"]),
            (1, viewed("ann", None, false), &long, &["view_reason"]),
            (1, viewed("ann", None, false), "a\u{7}bcdefghijkl", &["view_reason"]),
            (2, viewed("ann", Some(PlatformRole::Admin), true), "x", &["view_oneself", "view_reason"]),
        ] {
            let refused = may_begin(Uuid::from_u128(viewer), &person, why).err();
            let codes: Vec<&str> = refused.iter().flat_map(Error::fields).map(|field| field.code.as_str()).collect();
            assert_eq!(codes, wrong, "{viewer} {person:?} {why}");
        }
    }

    #[test]
    fn when_it_is_over() {
        let until = crate::testing::at("2026-11-20T08:30:00Z");
        let before = crate::testing::at("2026-11-20T08:29:59Z");
        for (able, person, now, want) in [
            (true, viewed("ann", None, false), before, None),
            (true, viewed("ann", None, false), until, Some(ViewEnd::Over)),
            (false, viewed("ann", None, false), before, Some(ViewEnd::Role)),
            (true, viewed("ann", None, true), before, Some(ViewEnd::Person)),
            (true, viewed("ann", Some(PlatformRole::Auditor), false), before, Some(ViewEnd::Person)),
        ] {
            assert_eq!(over(able, &person, until, now), want, "{able} {person:?} {now}");
        }
    }
}
