#![allow(clippy::unwrap_used)]
use berth_types::TenantRole::{Admin, Developer, Owner, Viewer};

use super::*;
use crate::authz::matrix::{allows, rights};

const NOW: jiff::Timestamp = jiff::Timestamp::UNIX_EPOCH;

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

fn role(text: &str) -> TenantRole {
    TenantRole::from_word(text).unwrap()
}

fn text(actions: &[&str], includes: &[&str]) -> RoleText {
    RoleText {
        actions: actions.iter().map(|action| action.parse().unwrap()).collect(),
        includes: includes.iter().map(|included| role(included)).collect(),
        ..RoleText::default()
    }
}

/// The roles made one after the other.
fn made(of: &[(&str, &[&str], &[&str])]) -> Vec<CustomRole> {
    of.iter().fold(Vec::new(), |all, (named, actions, includes)| {
        after(&all, &RoleEdit::Make(name(named), text(actions, includes)), &[], NOW).unwrap()
    })
}

fn words(all: &[CustomRole], named: &str) -> String {
    let role = all.iter().find(|role| role.name == name(named)).unwrap();
    Rights::from_iter(role.rights.iter().copied()).words()
}

fn code(result: Result<Vec<CustomRole>>) -> String {
    let error = result.unwrap_err();
    error.fields().first().map_or_else(|| error.code().to_string(), |field| format!("{} {}", field.field, field.code))
}

#[test]
fn who_belongs_to_a_tenant_stays_with_its_admins() {
    for right in rights() {
        let admin = allows(None, Some(Admin), right.resource, right.action);
        assert!(admin || !may_be_given(right), "{right}: nobody below an owner may give it");
        let weaker = allows(None, Some(Developer), right.resource, right.action);
        assert!(may_be_given(right) || !weaker, "{right}: developers have it");
        if may_be_given(right) {
            assert!(needs(right).into_iter().all(may_be_given), "{right} needs what cannot be given");
        }
    }
    for never in [
        "tenant.update",
        "tenant.delete",
        "tenant.create",
        "membership.create",
        "membership.update",
        "membership.delete",
        "invitation.create",
        "robot.create",
        "robot.update",
        "role.create",
        "role.update",
        "access.update",
        "quota.update",
        "plan.update",
        "suspension.delete",
        "namespace.delete",
        "node.update",
        "user.create",
        "audit.read",
    ] {
        assert!(!may_be_given(never.parse().unwrap()), "{never}");
    }
    assert!(BELONGING.into_iter().all(may_be_given));
}

#[test]
fn what_comes_along() {
    let all = made(&[
        ("releaser", &["app.update"], &[]),
        ("looker", &[], &["viewer"]),
        ("on-call", &["exec.create"], &["releaser"]),
        ("chief", &["share.update"], &["on-call", "looker"]),
    ]);
    assert_eq!(words(&all, "releaser"), "tenant.read access.create namespace.read app.read app.update workload.read");
    let on_call = words(&all, "on-call");
    assert_eq!(
        on_call, "tenant.read access.create namespace.read app.read app.update workload.read exec.create",
        "no logs: a terminal does not need them"
    );
    let of = |named: &str| Rights::from_words(&words(&all, named));
    assert!(of("chief").covers(of("on-call")) && of("chief").covers(Rights::from(Some(Viewer))));
    assert!(!of("looker").covers(of("releaser")));
    let on_call = all.iter().find(|role| role.name == name("on-call")).unwrap();
    let why = reasons(&all, on_call);
    let why = |right: &str| why[&right.parse().unwrap()].clone();
    assert_eq!(why("exec.create"), Why::Chosen);
    assert_eq!(why("app.update"), Why::Included(role("releaser")));
    assert_eq!(why("workload.read"), Why::Needed("exec.create".parse().unwrap()));
    assert_eq!(why("access.create"), Why::Belonging);
}

#[test]
fn a_change_reaches_the_roles_that_include_it() {
    let all = made(&[("a", &["app.update"], &[]), ("b", &[], &["a"]), ("c", &[], &["b"])]);
    assert!(words(&all, "c").contains("app.update"));
    let all = after(&all, &RoleEdit::Change(name("a"), text(&["log.read"], &[]), Some(1)), &[], NOW).unwrap();
    for named in ["a", "b", "c"] {
        let words = words(&all, named);
        assert!(words.contains("log.read") && !words.contains("app.update"), "{named}: {words}");
    }
    assert_eq!(all.iter().map(|role| role.version).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn what_cannot_be() {
    let all = made(&[("a", &["app.update"], &[]), ("b", &[], &["a"]), ("c", &[], &["b", "viewer"])]);
    let make = |named, actions: &[&str], includes: &[&str]| RoleEdit::Make(name(named), text(actions, includes));
    let change = |named, includes: &[&str], version| RoleEdit::Change(name(named), text(&[], includes), version);
    for (edit, want) in [
        (make("d", &[], &[]), "actions role_empty"),
        (make("d", &["app.read", "tenant.delete"], &[]), "actions[1] role_action"),
        (make("d", &["plan.read"], &[]), "actions[0] role_action"),
        (make("d", &[], &["admin"]), "includes role_include"),
        (make("d", &[], &["owner"]), "includes role_include"),
        (make("d", &[], &["nobody"]), "includes role_unknown"),
        (make("d", &[], &["d"]), "includes role_cycle"),
        (make("a", &["app.read"], &[]), "name taken"),
        (change("a", &["c"], None), "includes role_cycle"),
        (change("a", &["a"], None), "includes role_cycle"),
        (change("a", &["viewer"], Some(2)), "conflict"),
        (change("d", &["viewer"], None), "not_found"),
        (RoleEdit::Remove(name("d"), None), "not_found"),
        (RoleEdit::Remove(name("a"), None), "role role_in_use"),
    ] {
        assert_eq!(code(after(&all, &edit, &[], NOW)).replace('-', "_"), want, "{edit:?}");
    }
    let error = after(&all, &change("a", &["c"], None), &[], NOW).unwrap_err();
    assert!(error.message().contains("a → c → b → a"), "{error}");
    // All at once.
    let error = after(&all, &make("d", &["tenant.delete"], &["owner"]), &[], NOW).unwrap_err();
    assert_eq!(error.fields().len(), 2);
    let full: Vec<CustomRole> =
        (0..MOST).map(|at| CustomRole { name: name(&format!("r{at}")), ..all[0].clone() }).collect();
    assert_eq!(code(after(&full, &make("d", &["app.read"], &[]), &[], NOW)), "name too_many");
}

#[test]
fn what_is_in_use_stays_and_says_where() {
    let all = made(&[("a", &["app.update"], &[])]);
    let holder = |holding, who: &str, namespace: Option<&str>| RoleHolder {
        holding,
        who: who.to_owned(),
        namespace: namespace.map(|n| n.parse().unwrap()),
    };
    let holders = [
        holder(Holding::Member, "ann", None),
        holder(Holding::NamespaceMember, "bob", Some("dev")),
        holder(Holding::GroupRule, "team-a", None),
    ];
    let error = after(&all, &RoleEdit::Remove(name("a"), None), &holders, NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.message().contains("ann, bob in dev, team-a (group-rule)"), "{error}");
    // What is refused is in the audit log for good, and no address is.
    let invited = [holder(Holding::Invitation, "zoe@example.com", None), holder(Holding::Invitation, "olga", None)];
    let error = after(&all, &RoleEdit::Remove(name("a"), None), &invited, NOW).unwrap_err();
    assert!(error.message().contains("z…@example.com (invitation), olga (invitation)"), "{error}");
    assert_eq!(after(&all, &RoleEdit::Remove(name("a"), None), &[], NOW).unwrap(), []);
}

#[test]
fn another_takes_the_place_of_one_that_goes() {
    // `b` includes it, `c` includes `b`, `d` has nothing to do with it.
    let all = made(&[
        ("a", &["app.update"], &["viewer"]),
        ("b", &["exec.create"], &["a"]),
        ("c", &[], &["b"]),
        ("d", &["share.read"], &[]),
    ]);
    let holder = |holding, who: &str| RoleHolder { holding, who: who.to_owned(), namespace: None };
    let people = [holder(Holding::Member, "ann"), holder(Holding::Invitation, "zoe@example.com")];
    let go = |named, instead: &str, rules| RoleEdit::Remove(name(named), Some(Instead { role: role(instead), rules }));
    let left = after(&all, &go("a", "d", false), &people, NOW).unwrap();
    let shown = |all: &[CustomRole]| {
        all.iter().map(|role| (role.name.to_string(), role.includes.clone(), role.version)).collect::<Vec<_>>()
    };
    let (b, c, d) = ("b".to_owned(), "c".to_owned(), "d".to_owned());
    assert_eq!(
        shown(&left),
        [(b.clone(), vec![role("d")], 2), (c.clone(), vec![role("b")], 1), (d.clone(), vec![], 1)]
    );
    assert!(words(&left, "c").contains("share.read") && !words(&left, "c").contains("app.update"), "what follows, too");
    let left = after(&all, &go("a", "developer", false), &people, NOW).unwrap();
    assert_eq!(shown(&left)[0], (b.clone(), vec![Developer], 2));
    // One that includes it gives afterwards what it gave before.
    let left = after(&all, &go("a", "b", false), &people, NOW).unwrap();
    assert_eq!(shown(&left)[0], (b, vec![Viewer], 2));
    assert_eq!(words(&left, "b"), words(&all, "b"));
    assert_eq!(words(&left, "c"), words(&all, "c"));
    // What cannot be.
    let rule = [holder(Holding::GroupRule, "team-a")];
    for (edit, holders, want) in [
        (go("a", "a", true), &people[..], "replacement role_unknown"),
        (go("a", "e", true), &people, "replacement role_unknown"),
        (go("a", "owner", true), &people, "replacement role_unknown"),
        (go("e", "d", true), &people, "not_found"),
        // `b` would include `admin`, which no role does; `c`, which includes `b`.
        (go("a", "admin", true), &people, "replacement role_include"),
        (go("a", "c", true), &people, "replacement role_cycle"),
        (go("d", "viewer", false), &rule, "replacement role_rules"),
    ] {
        assert_eq!(code(after(&all, &edit, holders, NOW)).replace('-', "_"), want, "{edit:?}");
    }
    assert_eq!(after(&all, &go("d", "viewer", true), &rule, NOW).unwrap().len(), 3, "the platform's admins");
    assert_eq!(after(&all, &go("d", "admin", true), &[], NOW).unwrap().len(), 3);
}

#[test]
fn who_rises() {
    let of = |role| Rights::from(Some(role));
    let own = Rights::from_iter(made(&[("a", &["app.update"], &[])])[0].rights.clone());
    for (have, role, want) in [
        (None, of(Viewer), true),
        (Some(of(Viewer)), of(Developer), true),
        (Some(of(Viewer)), of(Viewer), false),
        (Some(of(Developer)), of(Viewer), false),
        (Some(of(Viewer)), own, false),
        (Some(own), of(Viewer), false),
        (Some(own), of(Developer), true),
        (Some(Rights::NONE), own, true),
        (Some(of(Admin)), of(Owner), true),
    ] {
        assert_eq!(rises(have, role), want, "{have:?} {role:?}");
    }
}

/// Sets of actions at random: each gives what was chosen and what that needs, and nothing else.
#[test]
fn any_choice_gives_what_the_table_says() {
    let choices: Vec<Right> = choices().collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..2_000 {
        let mut chosen = Vec::new();
        for right in &choices {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (seed >> 33).is_multiple_of(1 + round % 9) {
                chosen.push(*right);
            }
        }
        if chosen.is_empty() {
            continue;
        }
        let edit = RoleEdit::Make(name("a"), RoleText { actions: chosen.clone(), ..RoleText::default() });
        let all = after(&[], &edit, &[], NOW).unwrap();
        let has = Rights::from_iter(all[0].rights.iter().copied());
        assert!(Rights::from(Some(Admin)).covers(has), "nobody rises above an admin");
        for right in rights() {
            let want = chosen.contains(&right)
                || BELONGING.contains(&right)
                || chosen.iter().any(|one| needs(*one).contains(&right));
            assert_eq!(allows(None, has, right.resource, right.action), want, "{chosen:?}: {right}");
        }
        assert_eq!(Rights::from_words(&has.words()), has);
        assert_eq!(reasons(&all, &all[0]).len(), all[0].rights.len());
    }
}
