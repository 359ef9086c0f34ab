//! The role matrix: who may do what to what. One table, read by every check, printed by `berth role-matrix` and kept as a
//! reviewed snapshot. A new [`Resource`] or [`Action`] without a row does not compile.

use std::fmt::Write as _;

use berth_types::{Action, PlatformRole, Resource, Right, TenantRole};

use super::Rights;

/// The weakest tenant role that may, and the platform roles that may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// This tenant role and all stronger ones; `None`: no tenant role gives it.
    pub tenant: Option<TenantRole>,
    /// Platform admins may, in every tenant.
    pub admin: bool,
    /// Platform auditors may.
    pub auditor: bool,
}

const fn rule(tenant: Option<TenantRole>, admin: bool, auditor: bool) -> Rule {
    Rule { tenant, admin, auditor }
}

/// The rule for an action on a resource.
///
/// Platform admins keep tenants but hold no rights *inside* them beyond looking: a log or a terminal may show a tenant's
/// data, so they join the tenant first, which is audited and visible to its members.
#[must_use]
pub const fn rule_for(resource: Resource, action: Action) -> Rule {
    use Action::{Create, Delete, Read, Update};
    use TenantRole::{Admin, Developer, Owner, Viewer};
    match (resource, action) {
        (Resource::Platform | Resource::User, Read) => rule(None, true, true),
        (Resource::Platform | Resource::User, Create | Update | Delete) => rule(None, true, false),
        // Who keeps people sees what they see, and that leaves a trace; nobody changes or removes the trace.
        (Resource::View, Read) => rule(None, true, true),
        (Resource::View, Create) => rule(None, true, false),
        (Resource::View, Update | Delete) => rule(None, false, false),
        (Resource::Cluster, Read) => rule(None, true, true),
        (Resource::Cluster, Create | Update | Delete) => rule(None, true, false),
        // Machines come and go with the cluster; here they are only cordoned and drained.
        (Resource::Node, Read) => rule(None, true, true),
        (Resource::Node, Update) => rule(None, true, false),
        (Resource::Node, Create | Delete) => rule(None, false, false),
        // What is shown now, everybody sees; who keeps the platform sees what is to come, too.
        (Resource::Banner, Read) => rule(None, true, true),
        (Resource::Banner, Create | Update | Delete) => rule(None, true, false),
        (Resource::SignIn, Read) => rule(None, true, true),
        (Resource::SignIn, Create | Update | Delete) => rule(None, true, false),
        (Resource::Audit, Read) => rule(None, true, true),
        (Resource::Audit, Create | Update | Delete) => rule(None, false, false),
        (Resource::Tenant, Read) => rule(Some(Viewer), true, true),
        (Resource::Tenant, Create) => rule(None, true, false),
        (Resource::Tenant, Update) => rule(Some(Admin), true, false),
        (Resource::Tenant, Delete) => rule(Some(Owner), true, false),
        // Whose tenant rests sees why; only the platform puts to rest.
        (Resource::Suspension, Read) => rule(Some(Viewer), true, true),
        (Resource::Suspension, Create | Delete) => rule(None, true, false),
        (Resource::Suspension, Update) => rule(None, false, false),
        (Resource::Membership, Read) => rule(Some(Viewer), true, true),
        (Resource::Membership, Create | Update | Delete) => rule(Some(Admin), true, false),
        // Who has one sees what it is; who gives roles makes some.
        (Resource::Role, Read) => rule(Some(Viewer), true, true),
        (Resource::Role, Create | Update | Delete) => rule(Some(Admin), true, false),
        // Who may make members may invite some; the addresses on open invitations are for nobody else.
        (Resource::Invitation, Read) => rule(Some(Admin), true, true),
        (Resource::Invitation, Create | Delete) => rule(Some(Admin), true, false),
        (Resource::Invitation, Update) => rule(None, false, false),
        // A robot's tokens are as good as its role. Who keeps the platform looks and can remove one, but makes no way in for
        // themselves: they join the tenant first.
        (Resource::Robot, Read) => rule(Some(Admin), true, true),
        (Resource::Robot, Create | Update) => rule(Some(Admin), false, false),
        (Resource::Robot, Delete) => rule(Some(Admin), true, false),
        // Who belongs here may ask for more; who may make members decides, and sees what is asked.
        (Resource::Access, Create) => rule(Some(Viewer), false, false),
        (Resource::Access, Read) => rule(Some(Admin), true, true),
        (Resource::Access, Update) => rule(Some(Admin), true, false),
        (Resource::Access, Delete) => rule(None, false, false),
        // Where a tenant's notices go is its admins' to say; the platform's own are for who keeps it, under the same row.
        (Resource::Webhook, Read) => rule(Some(Admin), true, true),
        (Resource::Webhook, Create | Update | Delete) => rule(Some(Admin), true, false),
        (Resource::Namespace, Read) => rule(Some(Viewer), true, true),
        (Resource::Namespace, Create | Update | Delete) => rule(Some(Admin), true, false),
        // It shows and gives away what is nobody's yet: only who keeps the platform.
        (Resource::Adoption, Read) => rule(None, true, true),
        (Resource::Adoption, Create) => rule(None, true, false),
        (Resource::Adoption, Update | Delete) => rule(None, false, false),
        (Resource::Plan, Read) => rule(None, true, true),
        (Resource::Plan, Create | Update | Delete) => rule(None, true, false),
        // Members see what they have; only who keeps the platform gives more or less.
        (Resource::Quota, Read) => rule(Some(Viewer), true, true),
        (Resource::Quota, Create | Update | Delete) => rule(None, true, false),
        (Resource::Share, Read) => rule(Some(Viewer), true, true),
        (Resource::Share, Create | Update | Delete) => rule(Some(Admin), true, false),
        // There is one of it a namespace, and it is only ever changed.
        (Resource::Network, Read) => rule(Some(Viewer), true, true),
        (Resource::Network, Update) => rule(Some(Admin), true, false),
        (Resource::Network, Create | Delete) => rule(None, false, false),
        // Who deploys meets the quota, and asks for more; it is decided by who may change a quota. Changing a request is taking it
        // back or taking an offer.
        (Resource::Request, Read) => rule(Some(Viewer), true, true),
        (Resource::Request, Create | Update) => rule(Some(Developer), false, false),
        (Resource::Request, Delete) => rule(None, false, false),
        (Resource::App | Resource::Workload, Read) => rule(Some(Viewer), true, true),
        (Resource::App, Create | Update | Delete) => rule(Some(Developer), false, false),
        (Resource::Workload, Create | Update | Delete) => rule(Some(Developer), false, false),
        (Resource::Log, Read) => rule(Some(Viewer), false, false),
        (Resource::Log, Create | Update | Delete) => rule(None, false, false),
        (Resource::Exec, Create) => rule(Some(Developer), false, false),
        (Resource::Exec, Read | Update | Delete) => rule(None, false, false),
    }
}

/// How strong a role is that every tenant has; larger is stronger. A tenant's own has no place among them.
const fn rank(role: TenantRole) -> u8 {
    match role {
        TenantRole::Custom(_) => 0,
        TenantRole::Viewer => 1,
        TenantRole::Developer => 2,
        TenantRole::Admin => 3,
        TenantRole::Owner => 4,
    }
}

/// Whether a role that every tenant has gives this: the matrix itself, of which [`Rights`] are made.
pub(super) const fn given_by(role: TenantRole, resource: Resource, action: Action) -> bool {
    match rule_for(resource, action).tenant {
        Some(need) => rank(role) >= rank(need),
        None => false,
    }
}

/// Whether somebody may who has `rights` there, or the role that gives them, and a role on the platform.
#[must_use]
pub fn allows(platform: Option<PlatformRole>, rights: impl Into<Rights>, resource: Resource, action: Action) -> bool {
    let rule = rule_for(resource, action);
    rights.into().contains(resource, action)
        || match platform {
            Some(PlatformRole::Admin) => rule.admin,
            Some(PlatformRole::Auditor) => rule.auditor,
            None => false,
        }
}

/// Whether anybody may do it: the other rows are there so that nothing is forgotten.
#[must_use]
pub fn is_ever_allowed(right: Right) -> bool {
    let rule = rule_for(right.resource, right.action);
    rule.tenant.is_some() || rule.admin || rule.auditor
}

/// All that somebody may be allowed.
pub fn rights() -> impl Iterator<Item = Right> {
    let all = Resource::ALL.iter().flat_map(|r| Action::ALL.iter().map(|a| Right { resource: *r, action: *a }));
    all.filter(|right| is_ever_allowed(*right))
}

/// What `right` makes no sense without, itself not among it: who changes a thing sees it, who sees a thing finds the way to it.
#[must_use]
pub fn needs(right: Right) -> Vec<Right> {
    use Action::{Create, Read, Update};
    let reads = |resources: &[Resource]| resources.iter().map(|r| Right { resource: *r, action: Read }).collect();
    let way: Vec<Right> = reads(match right.resource {
        // The platform's own, to which no tenant leads.
        Resource::Platform
        | Resource::Cluster
        | Resource::Node
        | Resource::User
        | Resource::View
        | Resource::Banner
        | Resource::SignIn
        | Resource::Audit
        | Resource::Plan
        | Resource::Tenant => &[],
        Resource::Suspension
        | Resource::Membership
        | Resource::Role
        | Resource::Invitation
        | Resource::Robot
        | Resource::Access
        | Resource::Webhook
        | Resource::Namespace
        | Resource::Quota => &[Resource::Tenant],
        Resource::Adoption | Resource::Share | Resource::Network | Resource::Workload | Resource::App => {
            &[Resource::Tenant, Resource::Namespace]
        }
        Resource::Log | Resource::Exec => &[Resource::Tenant, Resource::Namespace, Resource::App, Resource::Workload],
        Resource::Request => &[Resource::Tenant, Resource::Quota],
    });
    let also: Vec<Right> = match (right.resource, right.action) {
        (Resource::Share, Update | Create) => reads(&[Resource::Quota]),
        (Resource::App, _) => reads(&[Resource::Workload]),
        _ => Vec::new(),
    };
    // One asks for a role without seeing what others asked for.
    let itself = Right { resource: right.resource, action: Read };
    let sees = right.action != Read && right.resource != Resource::Access && is_ever_allowed(itself);
    let mut all: Vec<Right> = way.into_iter().chain(also).chain(sees.then_some(itself)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a token that is limited to `actions` may do `right`: it is one of them, or one of them needs it.
#[must_use]
pub fn covers(actions: &[Right], right: Right) -> bool {
    actions.is_empty() || actions.iter().any(|one| *one == right || needs(*one).contains(&right))
}

/// The whole matrix as a table for people, one row a resource and action.
#[must_use]
pub fn print() -> String {
    let mut out =
        String::from("resource    action  owner  admin  developer  viewer  | platform-admin  platform-auditor\n");
    for resource in Resource::ALL {
        for action in Action::ALL {
            let tenant = |role| {
                if allows(None, Some(role), *resource, *action) { "yes" } else { "-" }
            };
            let platform = |role| {
                if allows(Some(role), Rights::NONE, *resource, *action) { "yes" } else { "-" }
            };
            let _ = writeln!(
                out,
                "{:<11} {:<7} {:<6} {:<6} {:<10} {:<7} | {:<15} {}",
                resource.as_str(),
                action.as_str(),
                tenant(TenantRole::Owner),
                tenant(TenantRole::Admin),
                tenant(TenantRole::Developer),
                tenant(TenantRole::Viewer),
                platform(PlatformRole::Admin),
                platform(PlatformRole::Auditor),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix() {
        insta::assert_snapshot!("role_matrix", print());
    }

    #[test]
    fn stronger_roles_may_all_that_weaker_may() {
        for resource in Resource::ALL {
            for action in Action::ALL {
                for (strong, weak) in [
                    (TenantRole::Owner, TenantRole::Admin),
                    (TenantRole::Admin, TenantRole::Developer),
                    (TenantRole::Developer, TenantRole::Viewer),
                ] {
                    assert!(
                        allows(None, Some(strong), *resource, *action) || !allows(None, Some(weak), *resource, *action),
                        "{resource} {action}: {weak} may, {strong} may not"
                    );
                }
            }
        }
    }

    fn right(text: &str) -> Right {
        text.parse().expect("a right")
    }

    #[test]
    fn what_is_needed_is_complete_and_nobody_is_refused_it() {
        for one in rights() {
            let needed = needs(one);
            assert!(!needed.contains(&one), "{one} needs itself");
            for other in &needed {
                assert!(is_ever_allowed(*other), "{one} needs {other}, which nobody may");
                assert_eq!(other.action, Action::Read, "{one} needs {other}");
                let missing: Vec<Right> = needs(*other).into_iter().filter(|r| !needed.contains(r)).collect();
                assert_eq!(missing, [], "{one} needs {other}, and that needs more");
                for role in TenantRole::ALL {
                    let may = |r: Right| allows(None, Some(*role), r.resource, r.action);
                    assert!(!may(one) || may(*other), "{role} may {one} but not {other}");
                }
            }
        }
    }

    #[test]
    fn a_token_for_actions() {
        for (actions, wanted, covered) in [
            (&[][..], "app.delete", true),
            (&["app.update"], "app.update", true),
            (&["app.update"], "app.read", true),
            (&["app.update"], "workload.read", true),
            (&["app.update"], "tenant.read", true),
            (&["app.update"], "app.create", false),
            (&["app.update"], "log.read", false),
            (&["app.update"], "exec.create", false),
            (&["app.update"], "membership.read", false),
            (&["app.update", "log.read"], "log.read", true),
            (&["access.create"], "access.read", false),
            (&["plan.read"], "tenant.read", false),
        ] {
            let actions: Vec<Right> = actions.iter().map(|text| right(text)).collect();
            assert_eq!(covers(&actions, right(wanted)), covered, "{actions:?} {wanted}");
        }
    }

    #[test]
    fn auditors_change_nothing() {
        for resource in Resource::ALL {
            for action in [Action::Create, Action::Update, Action::Delete] {
                assert!(!allows(Some(PlatformRole::Auditor), Rights::NONE, *resource, action));
            }
        }
    }
}
