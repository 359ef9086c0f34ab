//! Sets of rights: what a role gives, whether every tenant has that role or made it for itself.

use berth_types::{Action, Resource, Right, TenantRole};

use super::matrix::given_by;

/// A set of rows of the role matrix.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u128);

// A row has a bit: more than 32 resources need a wider set.
const _: () = assert!(Resource::ALL.len() * Action::ALL.len() <= 128, "the set is too small");

const fn bit(resource: Resource, action: Action) -> u128 {
    1 << (resource as u32 * 4 + action as u32)
}

/// All that a role gives that every tenant has.
const fn of_role(role: TenantRole) -> Rights {
    use Action::{Create, Delete, Read, Update};
    let mut set = 0;
    let mut at = 0;
    while at < Resource::ALL.len() {
        let resource = Resource::ALL[at];
        let actions = [Create, Delete, Read, Update];
        let mut which = 0;
        while which < actions.len() {
            if given_by(role, resource, actions[which]) {
                set |= bit(resource, actions[which]);
            }
            which += 1;
        }
        at += 1;
    }
    Rights(set)
}

const OWNER: Rights = of_role(TenantRole::Owner);
const ADMIN: Rights = of_role(TenantRole::Admin);
const DEVELOPER: Rights = of_role(TenantRole::Developer);
const VIEWER: Rights = of_role(TenantRole::Viewer);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// What a role gives that every tenant has; none for a tenant's own, which only the tenant's rows know.
    #[must_use]
    pub const fn built_in(role: TenantRole) -> Option<Self> {
        match role {
            TenantRole::Owner => Some(OWNER),
            TenantRole::Admin => Some(ADMIN),
            TenantRole::Developer => Some(DEVELOPER),
            TenantRole::Viewer => Some(VIEWER),
            TenantRole::Custom(_) => None,
        }
    }

    /// What a role gives, where `own` is what the tenant's rows say of one of its own. A role that is gone gives nothing.
    #[must_use]
    pub fn of(role: Option<TenantRole>, own: Option<Self>) -> Self {
        role.and_then(|role| Self::built_in(role).or(own)).unwrap_or_default()
    }

    /// What is written as [`Self::words`]. What is no right (any more), or may be in no role that a tenant makes, is left out.
    #[must_use]
    pub fn from_words(text: &str) -> Self {
        let rights = text.split_whitespace().filter_map(|word| word.parse::<Right>().ok());
        rights.filter(|right| crate::roles::may_be_given(*right)).collect()
    }

    /// `app.read app.update`, in the order of the matrix.
    #[must_use]
    pub fn words(self) -> String {
        self.iter().map(|right| right.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn contains(self, resource: Resource, action: Action) -> bool {
        self.0 & bit(resource, action) != 0
    }

    /// Whether these are all that `other` has, or more.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// All of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// In the order of the matrix.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        let all = Resource::ALL.iter().flat_map(|r| Action::ALL.iter().map(|a| Right { resource: *r, action: *a }));
        all.filter(move |right| self.contains(right.resource, right.action))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |set, right| set | bit(right.resource, right.action)))
    }
}

/// Of a role that every tenant has. One of a tenant's own is nothing here: say what it gives with [`Rights::of`].
impl From<Option<TenantRole>> for Rights {
    fn from(role: Option<TenantRole>) -> Self {
        Self::of(role, None)
    }
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]", self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::matrix::{allows, rights};

    #[test]
    fn a_set_is_what_was_put_in() {
        for resource in Resource::ALL {
            for action in Action::ALL {
                let right = Right { resource: *resource, action: *action };
                let set = Rights::from_iter([right]);
                assert_eq!(set.iter().collect::<Vec<_>>(), [right]);
                assert!(set.contains(*resource, *action) && !Rights::NONE.contains(*resource, *action));
            }
        }
    }

    #[test]
    fn roles_are_the_matrix_s() {
        for role in TenantRole::ALL {
            for right in rights() {
                let want = allows(None, Some(*role), right.resource, right.action);
                let have = Rights::from(Some(*role)).contains(right.resource, right.action);
                assert_eq!(have, want, "{role} {right}");
            }
        }
        assert!(OWNER.covers(ADMIN) && ADMIN.covers(DEVELOPER) && DEVELOPER.covers(VIEWER));
        assert!(!ADMIN.covers(OWNER) && !VIEWER.covers(DEVELOPER) && VIEWER.covers(Rights::NONE));
    }

    #[test]
    fn a_role_that_is_gone_gives_nothing() {
        let own = TenantRole::from_word("releaser");
        assert_eq!(Rights::of(own, None), Rights::NONE);
        assert_eq!(Rights::of(own, Some(VIEWER)), VIEWER);
        assert_eq!(Rights::of(Some(TenantRole::Viewer), Some(DEVELOPER)), VIEWER);
    }

    #[test]
    fn words() {
        let set = Rights::from_words("log.read app.update nonsense app.fly tenant.delete membership.update");
        assert_eq!(set.words(), "app.update log.read", "what may be in no role is left out");
        assert_eq!(Rights::from_words(&set.words()), set);
    }
}
