//! Links that bring somebody in once: invitations, and resets of a password. What makes one void, and why; pure.

use berth_types::{Action, ErrorCode, FieldError, Resource, TenantRole, people::User};
use jiff::Timestamp;

use crate::{authz::matrix::allows, error::Error};

/// Why a link does nothing. Each is a translation key of a field's error, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// There never was such a link, or a newer one took its place.
    Unknown,
    /// Somebody used it.
    Used,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
    /// Who made it may not invite so any more.
    Inviter,
    /// They are a member with this role, or a stronger one, already.
    Member,
    /// They have an account already, and the link gives no more than one.
    Account,
    /// It was sent for somebody else's account.
    Other,
    /// The account is suspended.
    Suspended,
    /// The tenant is halted: why, is not for strangers.
    Halted,
}

impl Void {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unknown,
        Self::Used,
        Self::Revoked,
        Self::Expired,
        Self::Inviter,
        Self::Member,
        Self::Account,
        Self::Other,
        Self::Suspended,
        Self::Halted,
    ];

    /// The translation key.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "link_unknown",
            Self::Used => "link_used",
            Self::Revoked => "link_revoked",
            Self::Expired => "link_expired",
            Self::Inviter => "link_inviter",
            Self::Member => "link_member",
            Self::Account => "link_account",
            Self::Other => "link_other",
            Self::Suspended => "link_suspended",
            Self::Halted => "link_halted",
        }
    }

    /// In English.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Unknown => "there is no such link; it was not copied whole, or a newer one took its place",
            Self::Used => "this link was used; each counts once",
            Self::Revoked => "this link was taken back; ask who sent it for another",
            Self::Expired => "the time of this link is over; ask who sent it for another",
            Self::Inviter => "who sent this link may not invite any more; ask somebody else of the team for one",
            Self::Member => {
                "you have this role or a stronger one already, or one with rights that it lacks; the link stays good for \
                 somebody else"
            }
            Self::Account => "you have an account already; the link stays good for somebody else",
            Self::Other => "this link is for another account; sign in as whom it was sent for",
            Self::Suspended => "this account is suspended; ask a platform admin",
            Self::Halted => "nobody can join this team at the moment; ask who sent the link",
        }
    }

    /// The one whose translation key this is.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|void| void.code() == code)
    }

    /// The reason of an error, if it is one of a link.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        error.fields().first().and_then(|field| Self::from_code(&field.code))
    }

    /// The refusal.
    #[must_use]
    pub fn error(self) -> Error {
        let field = FieldError::new("link", self.code(), self.message());
        Error::new(ErrorCode::Forbidden, self.message()).with_fields(vec![field])
    }
}

/// What has become of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl Fate {
    /// Why the link is void at `now`. What was used or taken back stays so for who comes later.
    #[must_use]
    pub fn void(&self, now: Timestamp) -> Option<Void> {
        if self.used_at.is_some() {
            Some(Void::Used)
        } else if self.revoked_at.is_some() {
            Some(Void::Revoked)
        } else if self.expires_at <= now {
            Some(Void::Expired)
        } else {
            None
        }
    }
}

/// Whether somebody with these rights may invite with `role`; without one, onto the platform alone. Asked when an invitation is made
/// and again when it is used: who has left must not come back by a link of their own.
#[must_use]
pub fn may_invite(by: &User, in_tenant: Option<TenantRole>, role: Option<TenantRole>) -> bool {
    let may = |resource, action| allows(by.platform_role, in_tenant, resource, action);
    !by.disabled
        && match role {
            None => may(Resource::User, Action::Create),
            // Owners are made by owners.
            Some(TenantRole::Owner) => {
                may(Resource::Invitation, Action::Create) && may(Resource::Tenant, Action::Delete)
            }
            Some(_) => may(Resource::Invitation, Action::Create),
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use TenantRole::{Admin, Developer, Owner, Viewer};
    use berth_types::PlatformRole;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_makes_a_link_void() {
        for (used, revoked, now, want) in [
            (None, None, 9, None),
            (None, None, 10, Some(Void::Expired)),
            (None, Some(5), 9, Some(Void::Revoked)),
            (None, Some(5), 11, Some(Void::Revoked)),
            (Some(5), None, 9, Some(Void::Used)),
            (Some(5), None, 11, Some(Void::Used)),
        ] {
            let fate = Fate { expires_at: at(10), used_at: used.map(at), revoked_at: revoked.map(at) };
            assert_eq!(fate.void(at(now)), want, "{used:?} {revoked:?} {now}");
        }
    }

    #[test]
    fn who_may_invite() {
        let platform_admin = Some(PlatformRole::Admin);
        for (platform, tenant, disabled, role, want) in [
            (None, Some(Owner), false, Some(Owner), true),
            (None, Some(Admin), false, Some(Admin), true),
            (None, Some(Admin), false, Some(Owner), false),
            (None, Some(Developer), false, Some(Viewer), false),
            (None, None, false, Some(Viewer), false),
            (None, Some(Owner), true, Some(Viewer), false),
            (None, Some(Owner), false, None, false),
            (platform_admin, None, false, Some(Owner), true),
            (platform_admin, None, false, None, true),
            (platform_admin, None, true, None, false),
            (Some(PlatformRole::Auditor), None, false, Some(Viewer), false),
            (Some(PlatformRole::Auditor), None, false, None, false),
        ] {
            let by = User {
                id: uuid::Uuid::nil(),
                name: "ann".parse().unwrap(),
                display_name: "Ann".to_owned(),
                platform_role: platform,
                disabled,
                must_change_password: false,
                second_factor: false,
                created_at: at(0),
            };
            assert_eq!(may_invite(&by, tenant, role), want, "{platform:?} {tenant:?} {disabled} {role:?}");
        }
    }

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        for void in Void::ALL {
            assert_eq!(Void::of(&void.error()), Some(void));
        }
        assert_eq!(Void::from_code("link"), None);
    }
}
