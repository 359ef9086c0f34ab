//! Roles that a tenant makes for itself: what they may hold, what follows from what was chosen, and what cannot be; pure.

use std::collections::BTreeMap;

use berth_types::{
    Action, ErrorCode, FieldError, Resource, Right, RoleName, TenantRole,
    custom_role::{CustomRole, Holding, RoleHolder},
};

use crate::{
    authz::{
        Rights,
        matrix::{needs, rule_for},
    },
    error::{Error, Result},
    mail::address::veiled,
};

/// Holders who are named in a refusal.
const TOLD: usize = 5;
/// Roles of a tenant's own at most.
pub const MOST: usize = 50;

/// What everybody may who belongs to a tenant, by whatever role: see that it is there, and ask for more.
const BELONGING: [Right; 2] = [
    Right { resource: Resource::Tenant, action: Action::Read },
    Right { resource: Resource::Access, action: Action::Create },
];

/// Whether a role that a tenant makes may hold `right`.
///
/// What owners and the platform alone may, is theirs; and who belongs to a tenant, and with which role, stays with its owners and
/// admins: so nobody rises by a role of the tenant's own.
#[must_use]
pub fn may_be_given(right: Right) -> bool {
    let by_role = matches!(
        rule_for(right.resource, right.action).tenant,
        Some(TenantRole::Admin | TenantRole::Developer | TenantRole::Viewer)
    );
    let kept = match right.resource {
        Resource::Tenant | Resource::Membership | Resource::Role | Resource::Invitation | Resource::Robot => {
            right.action != Action::Read
        }
        Resource::Access => right.action == Action::Update,
        Resource::Namespace => right.action == Action::Delete,
        _ => false,
    };
    by_role && !kept
}

/// All that may be in such a role, in the order of the matrix.
pub fn choices() -> impl Iterator<Item = Right> {
    crate::authz::matrix::rights().filter(|right| may_be_given(*right))
}

/// Roles that every tenant has and that a tenant's own may include.
pub const INCLUDED: [TenantRole; 2] = [TenantRole::Developer, TenantRole::Viewer];

/// Why a role gives a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was chosen.
    Chosen,
    /// This role gives it, which is included.
    Included(TenantRole),
    /// This right makes no sense without it.
    Needed(Right),
    /// Whoever belongs to the tenant may.
    Belonging,
}

/// What is wanted of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleText {
    /// What people call it; its name when empty.
    pub display_name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// What is chosen.
    pub actions: Vec<Right>,
    /// What it includes.
    pub includes: Vec<TenantRole>,
}

/// A change of a tenant's roles.
#[derive(Debug, Clone)]
pub enum RoleEdit {
    /// A new one.
    Make(RoleName, RoleText),
    /// Another content, where the version is still this one.
    Change(RoleName, RoleText, Option<i64>),
    /// Takes one away: with another in its place, or where nobody holds it.
    Remove(RoleName, Option<Instead>),
}

/// What whoever holds a role that goes has from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instead {
    /// The role.
    pub role: TenantRole,
    /// Whether it may come in the place of the other in rules for groups, too: these are the platform's.
    pub rules: bool,
}

impl RoleEdit {
    /// Which role.
    #[must_use]
    pub fn name(&self) -> RoleName {
        match self {
            Self::Make(name, _) | Self::Change(name, ..) | Self::Remove(name, _) => *name,
        }
    }
}

fn own(all: &[CustomRole], role: TenantRole) -> Option<&CustomRole> {
    let TenantRole::Custom(name) = role else { return None };
    all.iter().find(|known| known.name == name)
}

/// The way by which `from` includes itself, if it does: `a → b → a`.
fn circle(all: &[CustomRole], from: RoleName) -> Option<Vec<RoleName>> {
    fn walk(all: &[CustomRole], from: RoleName, path: &mut Vec<RoleName>) -> bool {
        let Some(here) = path.last().and_then(|last| own(all, TenantRole::Custom(*last))) else { return false };
        for next in &here.includes {
            let TenantRole::Custom(next) = next else { continue };
            if *next == from {
                path.push(*next);
                return true;
            }
            if !path.contains(next) {
                path.push(*next);
                if walk(all, from, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    let mut path = vec![from];
    walk(all, from, &mut path).then_some(path)
}

/// What a role gives, among `all`, which include each other in no circle; one that does is left where it closes.
fn gives(all: &[CustomRole], role: &CustomRole, above: &[RoleName]) -> Rights {
    let above: Vec<RoleName> = above.iter().copied().chain([role.name]).collect();
    let chosen = Rights::from_iter(role.actions.iter().copied().filter(|right| may_be_given(*right)));
    let included = role.includes.iter().map(|included| match own(all, *included) {
        Some(own) if above.contains(&own.name) => Rights::NONE,
        Some(own) => gives(all, own, &above),
        None => Rights::built_in(*included).filter(|_| INCLUDED.contains(included)).unwrap_or_default(),
    });
    let whole = included.fold(chosen, Rights::and);
    let along = Rights::from_iter(whole.iter().flat_map(needs).chain(BELONGING));
    whole.and(along)
}

/// Why `role` gives each of its rights, among `all`.
#[must_use]
pub fn reasons(all: &[CustomRole], role: &CustomRole) -> BTreeMap<Right, Why> {
    let by = |right: Right| {
        if role.actions.contains(&right) {
            return Why::Chosen;
        }
        let giving = role.includes.iter().find(|included| {
            let rights = match own(all, **included) {
                Some(own) => gives(all, own, &[role.name]),
                None => Rights::built_in(**included).unwrap_or_default(),
            };
            rights.contains(right.resource, right.action)
        });
        if BELONGING.contains(&right) {
            return Why::Belonging;
        }
        let needing = || role.actions.iter().find(|chosen| needs(**chosen).contains(&right));
        match (giving, needing()) {
            (_, Some(needing)) => Why::Needed(*needing),
            (Some(giving), None) => Why::Included(*giving),
            (None, None) => Why::Belonging,
        }
    };
    role.rights.iter().map(|right| (*right, by(*right))).collect()
}

/// What is wrong with the content of `role`, for which `text` was sent, among `all`, itself among them.
fn faults(all: &[CustomRole], role: &CustomRole, text: &RoleText) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if role.actions.is_empty() && role.includes.is_empty() {
        wrong.push(FieldError::new("actions", "role_empty", "choose an action, or a role that it includes"));
    }
    for (at, right) in text.actions.iter().enumerate().filter(|(_, right)| !may_be_given(**right)) {
        let message = format!("{right} stays with owners, admins or the platform: no role of a tenant's own holds it");
        wrong.push(FieldError::new(format!("actions[{at}]"), "role_action", message).param("value", right));
    }
    for included in &role.includes {
        let known = INCLUDED.contains(included) || own(all, *included).is_some();
        if !known {
            let message = match included {
                TenantRole::Custom(_) => format!("there is no role “{included}” in this tenant"),
                _ => format!("{included} holds what no role of a tenant's own may hold; it is given as it is"),
            };
            let code = if included.is_custom() { "role_unknown" } else { "role_include" };
            wrong.push(FieldError::new("includes", code, message).param("value", included));
        }
    }
    if let Some(path) = circle(all, role.name) {
        let path = path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
        let message = format!("a role cannot include itself: {path}");
        wrong.push(FieldError::new("includes", "role_cycle", message).param("path", path));
    }
    wrong
}

/// Who holds a role, for the audit log and for refusals, which are in it: `most` of them.
#[must_use]
pub fn told(holders: &[RoleHolder], most: usize) -> String {
    let told = holders.iter().take(most).map(|holder| match (&holder.namespace, holder.holding) {
        (Some(namespace), Holding::AccessRequest) => format!("{} in {namespace} ({})", holder.who, holder.holding),
        (Some(namespace), _) => format!("{} in {namespace}", holder.who),
        (None, Holding::Member | Holding::NamespaceMember) => holder.who.clone(),
        // It is kept for good; no address is.
        (None, Holding::Invitation) if holder.who.contains('@') => {
            format!("{} ({})", veiled(&holder.who), holder.holding)
        }
        (None, holding) => format!("{} ({holding})", holder.who),
    });
    let mut names = told.collect::<Vec<_>>().join(", ");
    if holders.len() > most {
        names.push_str(&format!(" and {} more", holders.len() - most));
    }
    names
}

/// Puts another role in the place of `gone`, which `all` still has and which others of them include.
///
/// One that includes it and takes its place takes over what was chosen for it, so that nobody loses by it.
fn replace(all: &mut [CustomRole], gone: RoleName, holders: &[RoleHolder], instead: Instead) -> Result<()> {
    let at = |code: &str, message: String| FieldError::new("replacement", code, message);
    let role = instead.role;
    let fits = TenantRole::IN_NAMESPACE.contains(&role) || own(all, role).is_some_and(|own| own.name != gone);
    if !fits {
        let others = all.iter().map(|own| own.name).filter(|name| *name != gone);
        let choices = TenantRole::IN_NAMESPACE.iter().map(ToString::to_string).chain(others.map(|own| own.to_string()));
        let choices = choices.collect::<Vec<_>>().join(", ");
        let error = at("role_unknown", format!("“{role}” is no role to have instead; one of {choices}"));
        return Err(Error::field(error.param("value", role).param("choices", choices)));
    }
    let rules: Vec<RoleHolder> = holders.iter().filter(|one| one.holding == Holding::GroupRule).cloned().collect();
    if !instead.rules && !rules.is_empty() {
        let names = told(&rules, TOLD);
        let message = format!("{gone} is given by rules for groups, which a platform admin changes first: {names}");
        let field = at("role_rules", message.clone()).param("names", names);
        return Err(Error::new(ErrorCode::Conflict, message).with_fields(vec![field]));
    }
    let content = own(all, TenantRole::Custom(gone)).map(|own| (own.actions.clone(), own.includes.clone()));
    let (actions, includes) = content.unwrap_or_default();
    let mut changed = Vec::new();
    for other in all.iter_mut().filter(|other| other.includes.contains(&TenantRole::Custom(gone))) {
        other.includes.retain(|included| *included != TenantRole::Custom(gone));
        if TenantRole::Custom(other.name) == role {
            other.actions = deduplicated(&[other.actions.as_slice(), &actions].concat());
            other.includes.extend(&includes);
        } else if role.is_custom() || INCLUDED.contains(&role) {
            other.includes.push(role);
        } else {
            let message = format!("{} includes {gone}, and no role of a tenant's own includes {role}", other.name);
            return Err(Error::field(at("role_include", message).param("value", role)));
        }
        other.includes = deduplicated(&other.includes);
        other.version += 1;
        changed.push(other.name);
    }
    if let Some(path) = changed.iter().find_map(|name| circle(all, *name)) {
        let path = path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
        let message = format!("a role cannot include itself: {path}");
        return Err(Error::field(at("role_cycle", message).param("path", path)));
    }
    Ok(())
}

/// Why a role is not removed: who holds it.
fn in_use(role: RoleName, holders: &[RoleHolder]) -> Error {
    let names = told(holders, TOLD);
    let message = format!("{role} is in use: {names}; say which role they shall have instead");
    let field = FieldError::new("role", "role_in_use", message.clone()).param("names", names);
    Error::new(ErrorCode::Conflict, message).with_fields(vec![field])
}

/// Why a role is not given: it was removed in the moment in which it was to be.
#[must_use]
pub fn gone(role: TenantRole) -> Error {
    let message = format!("the role “{role}” was removed a moment ago");
    Error::field(FieldError::new("role", "role_gone", message).param("value", role))
}

fn deduplicated<T: Ord + Copy>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// A tenant's roles after `edit`, each with what it gives then. `holders`: who holds the one that it is about.
///
/// # Errors
/// `Invalid` at `actions`, `includes`, `name`; `AlreadyExists` at `name`; `NotFound`; `Conflict` when the version is another, or who
/// would be left without a role.
pub fn after(
    all: &[CustomRole],
    edit: &RoleEdit,
    holders: &[RoleHolder],
    now: jiff::Timestamp,
) -> Result<Vec<CustomRole>> {
    let mut all = all.to_vec();
    let place = all.iter().position(|role| role.name == edit.name());
    match (edit, place.and_then(|at| all.get_mut(at))) {
        (RoleEdit::Make(name, _), Some(_)) => {
            let message = format!("a role called “{name}” exists already");
            let field = FieldError::new("name", "taken", message.clone());
            return Err(Error::new(ErrorCode::AlreadyExists, message).with_fields(vec![field]));
        }
        (RoleEdit::Make(name, text), None) => {
            if all.len() >= MOST {
                let message = format!("a tenant has {MOST} roles of its own at most");
                return Err(Error::field(FieldError::new("name", "too_many", message).param("max", MOST)));
            }
            all.push(CustomRole {
                name: *name,
                display_name: text.display_name.clone(),
                description: text.description.clone(),
                actions: deduplicated(&text.actions),
                includes: deduplicated(&text.includes),
                rights: Vec::new(),
                created_at: now,
                version: 1,
            });
            all.sort_by_key(|role| role.name);
        }
        (RoleEdit::Change(_, text, version), Some(role)) => {
            if version.is_some_and(|version| version != role.version) {
                let message = "the role has changed since it was read: read it again";
                return Err(Error::new(ErrorCode::Conflict, message));
            }
            role.display_name.clone_from(&text.display_name);
            role.description.clone_from(&text.description);
            role.actions = deduplicated(&text.actions);
            role.includes = deduplicated(&text.includes);
            role.version += 1;
        }
        (RoleEdit::Remove(name, Some(instead)), Some(_)) => {
            replace(&mut all, *name, holders, *instead)?;
            all.retain(|role| role.name != *name);
        }
        (RoleEdit::Remove(name, None), Some(_)) => {
            let including = all.iter().filter(|role| role.includes.contains(&TenantRole::Custom(*name)));
            let including = including.map(|role| RoleHolder {
                holding: Holding::Role,
                who: role.name.to_string(),
                namespace: None,
            });
            let holders: Vec<RoleHolder> = holders.iter().cloned().chain(including).collect();
            if !holders.is_empty() {
                return Err(in_use(*name, &holders));
            }
            all.retain(|role| role.name != *name);
        }
        (RoleEdit::Change(..) | RoleEdit::Remove(..), None) => return Err(Error::not_found()),
    }
    if let (Some(role), RoleEdit::Make(_, text) | RoleEdit::Change(_, text, _)) =
        (all.iter().find(|role| role.name == edit.name()), edit)
    {
        let wrong = faults(&all, role, text);
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
    }
    let given: Vec<Vec<Right>> = all.iter().map(|role| gives(&all, role, &[]).iter().collect()).collect();
    for (role, rights) in all.iter_mut().zip(given) {
        role.rights = rights;
    }
    Ok(all)
}

/// Whether somebody who has `have` by their role in a place loses nothing and gains something by `role`'s rights in its place.
#[must_use]
pub fn rises(have: Option<Rights>, role: Rights) -> bool {
    have.is_none_or(|have| role.covers(have) && role != have)
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
