//! Roles that tenants make.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, Rights, TenantRef},
    links::Fate,
    ports::{
        access::{AccessDecision, NewAccessRequest, Place},
        links::{Joiner, NewInvitation, Within},
        robots::{NewRobot, RobotChange},
        sign_in::NewGroupRule,
        store::Store,
    },
    roles::{Instead, RoleEdit, RoleText},
};
use berth_types::{
    ErrorCode, RoleName,
    TenantRole::{self, Developer, Viewer},
    custom_role::{Holding, RoleHolder},
};

use crate::{
    fixture::{add_tenant, add_users, at, digest, grant, id, name, namespace, platform, refused, tenant},
    namespace_roles::granted,
    providers::add_provider,
};

fn role(text: &str) -> RoleName {
    text.parse().unwrap()
}

fn own(text: &str) -> TenantRole {
    TenantRole::Custom(role(text))
}

fn text(actions: &[&str], includes: &[TenantRole]) -> RoleText {
    RoleText {
        display_name: "Called so".to_owned(),
        description: "What for".to_owned(),
        actions: actions.iter().map(|action| action.parse().unwrap()).collect(),
        includes: includes.to_vec(),
    }
}

async fn make(store: &dyn Store, tenant: &Grant<TenantRef>, named: &str, actions: &[&str], includes: &[TenantRole]) {
    let edit = RoleEdit::Make(role(named), text(actions, includes));
    store.edit_roles(tenant, &edit, at(5)).await.unwrap();
}

/// What a person may by a role of the tenant's own: in the tenant, and in `dev`.
async fn rights(store: &dyn Store, user: u128) -> (Option<Rights>, Option<Rights>) {
    let (tenant, dev) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    let whole = store.find_tenant_access(id(user), &tenant).await.unwrap().unwrap().own;
    let (access, here) = store.find_namespace_access(id(user), &tenant, &dev).await.unwrap().unwrap();
    assert_eq!(access.own, whole);
    let listed = store.list_places(id(user), true, &tenant).await.unwrap().remove(0);
    assert_eq!((listed.access.own, listed.namespaces[0].own), (whole, here.own));
    (whole, here.own)
}

pub async fn what_a_role_is(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(2)).await;
    make(&*store, &shop, "releaser", &["app.update"], &[]).await;
    make(&*store, &shop, "on-call", &["exec.create"], &[own("releaser"), Viewer]).await;
    make(&*store, &bank, "releaser", &["log.read"], &[]).await;
    let all = store.list_roles(&shop).await.unwrap();
    assert_eq!(all.iter().map(|role| role.name.to_string()).collect::<Vec<_>>(), ["on-call", "releaser"]);
    let on_call = &all[0];
    assert_eq!((on_call.display_name.as_str(), on_call.description.as_str()), ("Called so", "What for"));
    assert_eq!(on_call.includes, [own("releaser"), Viewer]);
    assert_eq!((on_call.created_at, on_call.version), (at(5), 1));
    assert!(on_call.rights.contains(&"app.update".parse().unwrap()));
    // What is said again is refused, by the database's own look as well.
    let again = RoleEdit::Make(role("releaser"), text(&["log.read"], &[]));
    refused(store.edit_roles(&shop, &again, at(6)).await, ErrorCode::AlreadyExists);
    let circle = RoleEdit::Change(role("releaser"), text(&[], &[own("on-call")]), None);
    refused(store.edit_roles(&shop, &circle, at(6)).await, ErrorCode::Invalid);
    // Another tenant's is its own affair.
    let names: Vec<String> =
        store.list_all_roles(&platform()).await.unwrap().iter().map(|(t, role)| format!("{t}/{}", role.name)).collect();
    assert_eq!(names, ["bank/releaser", "shop/on-call", "shop/releaser"]);
    let change = RoleEdit::Change(role("releaser"), text(&["share.read"], &[]), Some(1));
    store.edit_roles(&shop, &change, at(7)).await.unwrap();
    refused(store.edit_roles(&shop, &change, at(7)).await, ErrorCode::Conflict);
    let all = store.list_roles(&shop).await.unwrap();
    let gives = |at: usize, right: &str| all[at].rights.contains(&right.parse().unwrap());
    assert!(gives(1, "share.read") && !gives(1, "app.update"));
    assert!(gives(0, "share.read") && !gives(0, "app.update"), "and of the role that includes it");
    assert_eq!((all[0].version, all[1].version, all[1].created_at), (1, 2, at(5)));
    assert!(store.list_roles(&bank).await.unwrap()[0].rights.contains(&"log.read".parse().unwrap()));
}

pub async fn who_has_it_may_what_it_says(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob", "cid"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let dev = namespace(20, "shop", "dev");
    store.create_namespace(&shop, &dev).await.unwrap();
    make(&*store, &shop, "releaser", &["app.update"], &[]).await;
    let releaser = Rights::from_iter(store.list_roles(&shop).await.unwrap()[0].rights.clone());
    assert!(releaser.words().contains("app.update"));
    let releaser = Some(releaser);
    store.set_member(&shop, &name("bob"), own("releaser"), at(1)).await.unwrap();
    store.set_namespace_member(&granted(&shop, &dev), &name("cid"), own("releaser"), at(1)).await.unwrap();
    assert_eq!(rights(&*store, 1).await, (None, None), "an owner's is no role of the tenant's own");
    assert_eq!(rights(&*store, 2).await, (releaser, None));
    assert_eq!(rights(&*store, 3).await, (None, releaser));
    let kube = store.find_kube_namespace_access(id(3), &dev.cluster, "shop-dev").await.unwrap().unwrap();
    assert_eq!(kube.1.own, releaser);
    let listed = store.list_namespace_access(id(3), &shop).await.unwrap();
    assert_eq!(listed[0].own, releaser);
    let all = store.list_tenant_access(id(2), false).await.unwrap();
    assert_eq!((all[0].role, all[0].own), (Some(own("releaser")), releaser));
    // Changed, it counts with the next question.
    let change = RoleEdit::Change(role("releaser"), text(&["log.read"], &[]), None);
    store.edit_roles(&shop, &change, at(7)).await.unwrap();
    let now = rights(&*store, 2).await.0.unwrap().words();
    assert!(now.contains("log.read") && !now.contains("app.update"), "{now}");
}

pub async fn what_is_held_stays(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob", "cid"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let dev = namespace(20, "shop", "dev");
    store.create_namespace(&shop, &dev).await.unwrap();
    make(&*store, &shop, "releaser", &["app.update"], &[]).await;
    let releaser = own("releaser");
    let here = granted(&shop, &dev);
    store.set_member(&shop, &name("bob"), releaser, at(1)).await.unwrap();
    store.set_namespace_member(&here, &name("cid"), releaser, at(1)).await.unwrap();
    let robot = NewRobot {
        id: id(40),
        name: "ci".parse().unwrap(),
        description: "x".to_owned(),
        role: releaser,
        namespace: None,
        created_at: at(1),
    };
    store.create_robot(&shop, &robot).await.unwrap();
    assert_eq!(store.list_robots(&shop, at(2)).await.unwrap()[0].role, releaser);
    let invitation = NewInvitation {
        id: id(50),
        digest: digest(50),
        role: Some(releaser),
        email: Some("dora@example.com".to_owned()),
        invited_by: id(1),
        created_at: at(1),
        expires_at: at(100),
        mail: None,
    };
    store.create_invitation(Within::Tenant(&shop), &invitation).await.unwrap();
    let asked = NewAccessRequest { id: id(60), user: id(2), role: releaser, reason: "x".to_owned(), created_at: at(1) };
    store.create_access_request(&Place::Namespace(here.clone()), &asked).await.unwrap();
    let holder = |holding, who: &str, namespace: Option<&str>| RoleHolder {
        holding,
        who: who.to_owned(),
        namespace: namespace.map(|n| n.parse().unwrap()),
    };
    let want = [
        holder(Holding::Member, "bob", None),
        holder(Holding::Member, "robot:shop/ci", None),
        holder(Holding::NamespaceMember, "cid", Some("dev")),
        holder(Holding::Invitation, "dora@example.com", None),
        holder(Holding::AccessRequest, "bob", Some("dev")),
    ];
    assert_eq!(store.list_role_holders(&shop, role("releaser"), at(2)).await.unwrap(), want);
    let remove = RoleEdit::Remove(role("releaser"), None);
    let error = refused(store.edit_roles(&shop, &remove, at(2)).await, ErrorCode::Conflict);
    assert!(error.message().contains("bob") && error.message().contains("dev"), "{error}");
    assert_eq!(store.list_roles(&shop).await.unwrap().len(), 1);
    // What is over holds nothing.
    assert!(Fate { expires_at: at(100), used_at: None, revoked_at: None }.void(at(100)).is_some());
    store.remove_member(&shop, &name("bob")).await.unwrap();
    store.remove_namespace_member(&here, &name("cid")).await.unwrap();
    store.delete_robot(&shop, id(40)).await.unwrap();
    let no = AccessDecision { approved: false, by: id(1), comment: "so".to_owned(), at: at(90) };
    store.decide_access_request(&Place::Namespace(here), id(60), &no).await.unwrap();
    assert_eq!(store.list_role_holders(&shop, role("releaser"), at(100)).await.unwrap(), []);
    assert_eq!(store.edit_roles(&shop, &remove, at(100)).await.unwrap().roles, []);
}

fn instead(gone: &str, role_instead: TenantRole) -> RoleEdit {
    RoleEdit::Remove(role(gone), Some(Instead { role: role_instead, rules: true }))
}

pub async fn what_is_held_is_replaced(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob", "cid"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    let dev = namespace(20, "shop", "dev");
    store.create_namespace(&shop, &dev).await.unwrap();
    let robot = NewRobot {
        id: id(40),
        name: "ci".parse().unwrap(),
        description: "x".to_owned(),
        role: Viewer,
        namespace: None,
        created_at: at(1),
    };
    store.create_robot(&shop, &robot).await.unwrap();
    add_provider(&*store, 50, "corp").await;
    for tenant in [&shop, &bank] {
        make(&*store, tenant, "releaser", &["app.update"], &[]).await;
        make(&*store, tenant, "looker", &["log.read"], &[]).await;
    }
    // Another tenant's of the same name stays with whoever has it.
    store.set_member(&bank, &name("bob"), own("releaser"), at(1)).await.unwrap();
    for way in 0..7 {
        give(&*store, way, 0, own("releaser")).await.unwrap();
    }
    let held = store.list_role_holders(&shop, role("releaser"), at(2)).await.unwrap();
    assert!(held.len() >= 5, "{held:?}");
    let edited = store.edit_roles(&shop, &instead("releaser", own("looker")), at(2)).await.unwrap();
    assert_eq!(edited.holders, held);
    assert_eq!(edited.roles.iter().map(|role| role.name.to_string()).collect::<Vec<_>>(), ["looker"]);
    assert_eq!(store.list_roles(&shop).await.unwrap(), edited.roles);
    assert_eq!(store.list_role_holders(&shop, role("releaser"), at(2)).await.unwrap(), []);
    assert_eq!(store.list_role_holders(&shop, role("looker"), at(2)).await.unwrap(), held, "each of them");
    assert_eq!(store.list_robots(&shop, at(2)).await.unwrap()[0].role, own("looker"));
    let theirs = store.list_role_holders(&bank, role("releaser"), at(2)).await.unwrap();
    assert_eq!(theirs.len(), 1, "{theirs:?}");
}

/// `shop` with all that a role can be given to: somebody in it, its namespace `dev`, a robot, the groups of a provider.
async fn whom_roles_are_given(store: &dyn Store) -> Grant<TenantRef> {
    add_users(store, &["ann", "bob"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    let robot = NewRobot {
        id: id(40),
        name: "ci".parse().unwrap(),
        description: "x".to_owned(),
        role: Viewer,
        namespace: None,
        created_at: at(1),
    };
    store.create_robot(&shop, &robot).await.unwrap();
    add_provider(store, 50, "corp").await;
    shop
}

/// A role goes, with another in its place, in the moment in which it is given: whoever was quicker, nobody has what is not there.
pub async fn none_keeps_what_goes(store: Arc<dyn Store>) {
    let shop = whom_roles_are_given(&*store).await;
    for round in 1..=4 {
        for way in 0..7 {
            let named = format!("role-{round}-{way}");
            make(&*store, &shop, &named, &["app.update"], &[]).await;
            let (first, second) = (store.clone(), store.clone());
            let giving = tokio::spawn({
                let role = own(&named);
                async move { give(&*first, way, round, role).await }
            });
            let removing = tokio::spawn({
                let (shop, remove) = (shop.clone(), instead(&named, Developer));
                async move { second.edit_roles(&shop, &remove, at(2)).await }
            });
            let (given, removed) = (giving.await.unwrap(), removing.await.unwrap().unwrap());
            assert_eq!(given.is_ok(), !removed.holders.is_empty(), "{way}: {given:?} {:?}", removed.holders);
            let holders = store.list_role_holders(&shop, role(&named), at(2)).await.unwrap();
            assert_eq!(holders, [], "{way}");
            if way == 5 && given.is_ok() {
                // One request waits at a time.
                let here = granted(&shop, &namespace(20, "shop", "dev"));
                let no = AccessDecision { approved: false, by: id(1), comment: "so".to_owned(), at: at(3) };
                let number = 1000 + round * 10 + 5;
                store.decide_access_request(&Place::Namespace(here), id(number), &no).await.unwrap();
            }
        }
    }
}

pub async fn nobody_loses_by_a_gift(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    make(&*store, &shop, "releaser", &["app.update"], &[]).await;
    make(&*store, &shop, "looker", &["exec.create"], &[Viewer]).await;
    let whole = Place::Tenant(Grant::unchecked((*shop).clone(), shop.right().0, shop.right().1));
    store.set_member(&shop, &name("bob"), Viewer, at(1)).await.unwrap();
    let ask = async |number: u128, role| {
        let reason = "x".to_owned();
        let asked = NewAccessRequest { id: id(number), user: id(2), role, reason, created_at: at(1) };
        store.create_access_request(&whole, &asked).await.unwrap();
        let yes = AccessDecision { approved: true, by: id(1), comment: String::new(), at: at(2) };
        store.decide_access_request(&whole, id(number), &yes).await
    };
    let now = async || store.find_tenant_access(id(2), &shop.name).await.unwrap().unwrap().role;
    // A viewer reads logs; who releases does not.
    refused(ask(30, own("releaser")).await, ErrorCode::Conflict);
    assert_eq!(now().await, Some(Viewer));
    let no = AccessDecision { approved: false, by: id(1), comment: "so".to_owned(), at: at(2) };
    store.decide_access_request(&whole, id(30), &no).await.unwrap();
    ask(31, own("looker")).await.unwrap();
    assert_eq!(now().await, Some(own("looker")));
    ask(32, Developer).await.unwrap();
    assert_eq!(now().await, Some(Developer));
    ask(33, own("looker")).await.unwrap();
    assert_eq!(now().await, Some(Developer), "who has it all keeps it");
    // An invitation neither.
    let invitation = NewInvitation {
        id: id(50),
        digest: digest(50),
        role: Some(own("releaser")),
        email: None,
        invited_by: id(1),
        created_at: at(1),
        expires_at: at(100),
        mail: None,
    };
    store.create_invitation(Within::Tenant(&shop), &invitation).await.unwrap();
    store.accept_invitation(&digest(50), Joiner::Person(id(2)), at(3)).await.unwrap();
    assert_eq!(now().await, Some(Developer));
}

/// Ways to give a role of `shop`, of which `dev` is a namespace; each leaves a trace that a later one does not trip over.
async fn give(store: &dyn Store, way: usize, round: u128, role: TenantRole) -> berth_core::Result<()> {
    let shop = grant(&tenant(10, "shop"));
    let here = granted(&shop, &namespace(20, "shop", "dev"));
    let number = 1000 + round * 10 + way as u128;
    match way {
        0 => store.set_member(&shop, &name("bob"), role, at(1)).await,
        1 => store.set_namespace_member(&here, &name("bob"), role, at(1)).await,
        2 => {
            let (id, created_at) = (id(number), at(1));
            let name = format!("ci-{number}").parse().unwrap();
            let robot = NewRobot { id, name, description: "x".to_owned(), role, namespace: None, created_at };
            store.create_robot(&shop, &robot).await
        }
        3 => {
            let change = RobotChange { description: "x".to_owned(), role, disabled: false };
            store.update_robot(&shop, id(40), &change).await
        }
        4 => {
            let mut digest = [0; 32];
            digest[..16].copy_from_slice(&number.to_be_bytes());
            let (role, email, expires_at) = (Some(role), None, at(100));
            let (mail, created_at) = (None, at(1));
            let new =
                NewInvitation { id: id(number), digest, role, email, invited_by: id(1), created_at, expires_at, mail };
            store.create_invitation(Within::Tenant(&shop), &new).await
        }
        5 => {
            let asked =
                NewAccessRequest { id: id(number), user: id(2), role, reason: "x".to_owned(), created_at: at(1) };
            store.create_access_request(&Place::Namespace(here), &asked).await
        }
        _ => {
            let (id, group, tenant) = (id(number), format!("g-{number}"), "shop".parse().unwrap());
            let rule = NewGroupRule { id, group, tenant, role, created_at: at(1) };
            store.create_group_rule(&platform(), crate::fixture::id(50), &rule).await
        }
    }
}

/// A role is removed in the moment in which it is given: one of the two comes first, and whoever has one has one that is there.
pub async fn none_is_given_that_goes(store: Arc<dyn Store>) {
    let shop = whom_roles_are_given(&*store).await;
    for way in 0..7 {
        let error = refused(give(&*store, way, 0, own("nobody-made-it")).await, ErrorCode::Invalid);
        assert_eq!(error.fields()[0].code, "role_gone", "{way}");
    }
    // A tenant has 50 of its own at most, and each that was given stays.
    for round in 1..=7 {
        for way in 0..7 {
            let named = format!("role-{round}-{way}");
            make(&*store, &shop, &named, &["app.update"], &[]).await;
            let remove = RoleEdit::Remove(role(&named), None);
            let (first, second) = (store.clone(), store.clone());
            let giving = tokio::spawn({
                let role = own(&named);
                async move { give(&*first, way, round, role).await }
            });
            let removing = tokio::spawn({
                let shop = shop.clone();
                async move { second.edit_roles(&shop, &remove, at(2)).await.map(drop) }
            });
            let (given, removed) = (giving.await.unwrap(), removing.await.unwrap());
            let there = store.list_roles(&shop).await.unwrap().iter().any(|known| known.name == role(&named));
            let holders = store.list_role_holders(&shop, role(&named), at(2)).await.unwrap();
            assert_ne!(given.is_ok(), removed.is_ok(), "{way}: {given:?} {removed:?}");
            assert_eq!((there, holders.is_empty()), (given.is_ok(), given.is_err()), "{way}: {holders:?}");
            if way == 5 && given.is_ok() {
                // One request waits at a time.
                let here = granted(&shop, &namespace(20, "shop", "dev"));
                let no = AccessDecision { approved: false, by: id(1), comment: "so".to_owned(), at: at(3) };
                let number = 1000 + round * 10 + 5;
                store.decide_access_request(&Place::Namespace(here), id(number), &no).await.unwrap();
            }
        }
    }
}
