//! Who is told what by mail: of what concerns them, with the rights that they have when it is passed on, and as they chose.

use berth_types::{Action, PlatformRole, Resource, webhook::EventKind};

use crate::{
    authz::{Rights, matrix::allows},
    notices::Notice,
    ports::mail::Receiver,
};

/// Why somebody gets a mail: the mail says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They keep the platform.
    Platform,
    /// They asked for it.
    Asked,
    /// They share the tenant's quota out.
    Quota,
    /// They decide who has which role in the tenant.
    Roles,
    /// They are a member of the tenant.
    Member,
    /// It is about their own account, and cannot be switched off.
    Account,
}

/// Of what nobody hears who did not choose otherwise: there is nothing to be done then.
pub const MUTED: &[EventKind] = &[EventKind::LoanEnded];

/// Of what somebody can choose to hear.
pub fn choices(platform: Option<PlatformRole>) -> impl Iterator<Item = EventKind> {
    let fits = move |kind: &EventKind| match kind {
        EventKind::RequestWithdrawn
        | EventKind::Test
        | EventKind::PasswordChanged
        | EventKind::SecondFactorAdded
        | EventKind::SecondFactorRemoved
        | EventKind::ProviderConnected => false,
        EventKind::RequestWaiting | EventKind::PasswordForgotten => platform == Some(PlatformRole::Admin),
        _ => true,
    };
    EventKind::ALL.iter().copied().filter(fits)
}

/// Whether they hear of `kind` where it concerns them.
#[must_use]
pub fn wants(muted: Option<&[EventKind]>, kind: EventKind) -> bool {
    !muted.unwrap_or(MUTED).contains(&kind)
}

/// Why `one` is told of `notice`; none: they are not.
#[must_use]
pub fn why(notice: &Notice, one: &Receiver) -> Option<Why> {
    let data = &notice.data;
    let inside = Rights::of(one.role, one.own);
    let may = |resource, action| allows(one.platform_role, inside, resource, action);
    let theirs = data.user.as_deref() == Some(one.name.as_str());
    let did_it = data.by.as_deref() == Some(one.name.as_str());
    let why = match notice.event {
        EventKind::RequestWaiting if may(Resource::Quota, Action::Update) => Why::Platform,
        EventKind::RequestOffered | EventKind::RequestDecided if theirs && may(Resource::Request, Action::Read) => {
            Why::Asked
        }
        EventKind::LoanEndsSoon
        | EventKind::LoanEndsTomorrow
        | EventKind::LoanOverdue
        | EventKind::LoanEnded
        | EventKind::QuotaHigh
            if inside.contains(Resource::Share, Action::Update) =>
        {
            Why::Quota
        }
        EventKind::AccessWaiting if inside.contains(Resource::Access, Action::Update) => Why::Roles,
        EventKind::AccessDecided if theirs && (one.inside || may(Resource::Tenant, Action::Read)) => Why::Asked,
        EventKind::TenantSuspended | EventKind::TenantRemovalBegun if one.role.is_some() => Why::Member,
        // Who gets a link by mail needs nobody's help.
        EventKind::PasswordForgotten if data.outcome.is_none() && may(Resource::User, Action::Update) => Why::Platform,
        EventKind::PasswordChanged
        | EventKind::SecondFactorAdded
        | EventKind::SecondFactorRemoved
        | EventKind::ProviderConnected
            if theirs =>
        {
            return Some(Why::Account);
        }
        _ => return None,
    };
    // Nobody is told what they did themselves.
    (!did_it && wants(one.muted.as_deref(), notice.event)).then_some(why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::TenantRole::{Admin, Custom, Developer, Owner, Viewer};
    use uuid::Uuid;

    use super::*;
    use crate::{
        notices::Data,
        ports::{mail::WARNINGS, pages::Language},
        testing::{BEGIN, at},
    };

    fn notice(event: EventKind, user: &str, by: &str, outcome: Option<&str>) -> Notice {
        let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let data = Data {
            tenant: Some("shop".parse().unwrap()),
            user: own(user),
            by: own(by),
            outcome: outcome.map(str::to_owned),
            ..Data::default()
        };
        Notice { event, at: at(BEGIN), data }
    }

    fn one(platform_role: Option<PlatformRole>, role: Option<berth_types::TenantRole>) -> Receiver {
        Receiver {
            id: Uuid::nil(),
            name: "ann".parse().unwrap(),
            platform_role,
            role,
            own: None,
            inside: role.is_some(),
            address: "ann@example.com".to_owned(),
            language: Language::En,
            muted: None,
            recent: 0,
            dropped: 0,
        }
    }

    #[test]
    fn who_hears_of_what() {
        use EventKind as K;
        let (admin, auditor) = (Some(PlatformRole::Admin), Some(PlatformRole::Auditor));
        for (event, user, by, platform, role, want) in [
            (K::RequestWaiting, "bob", "bob", admin, None, Some(Why::Platform)),
            (K::RequestWaiting, "ann", "ann", admin, Some(Owner), None),
            (K::RequestWaiting, "bob", "bob", auditor, Some(Owner), None),
            (K::RequestWaiting, "bob", "bob", None, Some(Owner), None),
            (K::RequestDecided, "ann", "root", None, Some(Developer), Some(Why::Asked)),
            (K::RequestDecided, "ann", "rule:decrease", None, Some(Developer), Some(Why::Asked)),
            // They took the offer themselves.
            (K::RequestDecided, "ann", "ann", None, Some(Developer), None),
            // They left the tenant.
            (K::RequestDecided, "ann", "root", None, None, None),
            (K::RequestDecided, "bob", "root", None, Some(Owner), None),
            (K::RequestOffered, "ann", "root", None, Some(Developer), Some(Why::Asked)),
            (K::RequestWithdrawn, "bob", "bob", admin, Some(Owner), None),
            (K::LoanEndsSoon, "", "berth", None, Some(Admin), Some(Why::Quota)),
            (K::LoanEndsSoon, "", "berth", None, Some(Developer), None),
            // Platform admins may everywhere, and would hear of every tenant.
            (K::LoanEndsSoon, "", "berth", admin, None, None),
            (K::LoanEnded, "", "berth", None, Some(Owner), None),
            (K::QuotaHigh, "", "berth", None, Some(Owner), Some(Why::Quota)),
            (K::QuotaHigh, "", "berth", None, Some(Viewer), None),
            (K::AccessWaiting, "bob", "bob", None, Some(Admin), Some(Why::Roles)),
            (K::AccessWaiting, "ann", "ann", None, Some(Admin), None),
            (K::AccessWaiting, "bob", "bob", None, Some(Developer), None),
            (K::AccessDecided, "ann", "olga", None, Some(Viewer), Some(Why::Asked)),
            (K::AccessDecided, "ann", "olga", None, None, None),
            (K::TenantSuspended, "", "root", None, Some(Viewer), Some(Why::Member)),
            (K::TenantSuspended, "", "root", admin, None, None),
            (K::TenantRemovalBegun, "", "ann", None, Some(Owner), None),
            (K::PasswordForgotten, "bob", "", admin, None, Some(Why::Platform)),
            (K::PasswordForgotten, "bob", "", auditor, None, None),
            (K::PasswordForgotten, "ann", "", None, None, None),
            (K::PasswordChanged, "ann", "ann", None, None, Some(Why::Account)),
            (K::SecondFactorAdded, "ann", "ann", None, None, Some(Why::Account)),
            (K::SecondFactorAdded, "bob", "bob", admin, None, None),
            (K::SecondFactorRemoved, "ann", "root", None, None, Some(Why::Account)),
            (K::ProviderConnected, "bob", "bob", admin, None, None),
            (K::Test, "ann", "ann", admin, Some(Owner), None),
        ] {
            let got = why(&notice(event, user, by, None), &one(platform, role));
            assert_eq!(got, want, "{event} of {user} by {by} to {platform:?} {role:?}");
        }
    }

    #[test]
    fn rights_count_not_names() {
        let told = |rights: &[(Resource, Action)], event| {
            let rights =
                rights.iter().map(|(resource, action)| berth_types::Right { resource: *resource, action: *action });
            let own = Some(rights.collect());
            let custom = Some(Custom("keeper".parse().unwrap()));
            why(&notice(event, "bob", "bob", None), &Receiver { own, ..one(None, custom) })
        };
        let keeps = [(Resource::Share, Action::Update)];
        assert_eq!(told(&keeps, EventKind::QuotaHigh), Some(Why::Quota));
        assert_eq!(told(&keeps, EventKind::AccessWaiting), None);
        assert_eq!(told(&[], EventKind::QuotaHigh), None);
    }

    #[test]
    fn as_they_chose() {
        let owner = one(None, Some(Owner));
        let high = notice(EventKind::QuotaHigh, "", "berth", None);
        let muted = |kinds: &[EventKind]| Receiver { muted: Some(kinds.to_vec()), ..owner.clone() };
        assert_eq!(why(&high, &muted(&[EventKind::QuotaHigh])), None);
        assert_eq!(why(&high, &muted(&[EventKind::LoanOverdue])), Some(Why::Quota));
        assert_eq!(why(&notice(EventKind::LoanEnded, "", "berth", None), &muted(&[])), Some(Why::Quota));
        // What is about the account itself is not asked.
        let all = muted(EventKind::ALL);
        assert_eq!(why(&notice(EventKind::PasswordChanged, "ann", "ann", None), &all), Some(Why::Account));
        // A guest of one namespace may know of the tenant.
        let guest = Receiver { inside: true, ..one(None, None) };
        assert_eq!(why(&notice(EventKind::AccessDecided, "ann", "olga", None), &guest), Some(Why::Asked));
        let mailed = notice(EventKind::PasswordForgotten, "bob", "", Some("mailed"));
        assert_eq!(why(&mailed, &one(Some(PlatformRole::Admin), None)), None);
    }

    #[test]
    fn what_can_be_chosen_can_be_heard() {
        let all: Vec<_> = choices(Some(PlatformRole::Admin)).collect();
        let few: Vec<_> = choices(None).collect();
        assert!(few.iter().all(|kind| all.contains(kind)) && few.len() + 2 == all.len());
        assert!(MUTED.iter().all(|kind| few.contains(kind)));
        assert!(!all.contains(&EventKind::PasswordChanged), "that cannot be switched off");
        for kind in EventKind::ALL {
            let about = why(&notice(*kind, "ann", "ann", None), &one(None, None)) == Some(Why::Account);
            assert_eq!(
                WARNINGS.contains(&kind.as_str()),
                about,
                "{kind}: what cannot be switched off is not dropped either"
            );
        }
    }
}
