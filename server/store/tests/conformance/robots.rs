//! Robots: accounts that are a tenant's own.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    ports::{
        robots::{NewRobot, RobotChange},
        store::Store,
    },
};
use berth_types::{
    ErrorCode, ListQuery,
    TenantRole::{self, Admin, Developer, Viewer},
    UserName,
    life::Mark,
    people::Robot,
};

use crate::fixture::{add_tenant, add_users, at, digest, id, name, namespace, place, platform, refused, token};

fn robot(number: u128, called: &str, role: TenantRole, namespace: Option<NamespaceRef>) -> NewRobot {
    let created_at = at(i64::try_from(number).unwrap());
    let description = format!("{called}s");
    NewRobot { id: id(number), name: called.parse().unwrap(), description, role, namespace, created_at }
}

/// `shop` with `dev`, and `bank`; ann owns both. Robots of `shop`: `deploy` (40, the whole) and `watch` (41, in `dev`).
async fn scene(store: &dyn Store) -> (Grant<TenantRef>, Grant<TenantRef>, NamespaceRef) {
    add_users(store, &["ann"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    let bank = add_tenant(store, 11, "bank", id(1)).await;
    let row = namespace(20, "shop", "dev");
    store.create_namespace(&shop, &row).await.unwrap();
    let dev = place(&shop, &row);
    store.create_robot(&shop, &robot(40, "deploy", Developer, None)).await.unwrap();
    store.create_robot(&shop, &robot(41, "watch", Viewer, Some(dev.clone()))).await.unwrap();
    (shop, bank, dev)
}

fn lines(robots: &[Robot]) -> Vec<String> {
    let place = |robot: &Robot| robot.namespace.as_ref().map_or("-".to_owned(), ToString::to_string);
    robots
        .iter()
        .map(|r| format!("{} {} {} {} {} {}", r.user, r.description, r.role, place(r), r.disabled, r.tokens))
        .collect()
}

pub async fn robots(store: Arc<dyn Store>) {
    let (shop, bank, _) = scene(&*store).await;
    store.create_token(&token(1, id(40), "ci")).await.unwrap();
    store.touch_token(id(1), at(60)).await.unwrap();
    let all = store.list_robots(&shop, at(100)).await.unwrap();
    assert_eq!(
        lines(&all),
        ["robot:shop/deploy deploys developer - false 1", "robot:shop/watch watchs viewer dev false 0"]
    );
    assert_eq!((all[0].last_used_at, all[0].created_at, all[1].last_used_at), (Some(at(60)), at(40), None));
    assert_eq!(store.list_robots(&shop, at(1000)).await.unwrap()[0].tokens, 0, "it has ended");
    assert_eq!(store.list_robots(&bank, at(100)).await.unwrap(), []);

    // A name is taken in its tenant, and not in another.
    let again = store.create_robot(&shop, &robot(42, "deploy", Viewer, None)).await;
    assert_eq!(refused(again, ErrorCode::AlreadyExists).fields()[0].field, "name");
    store.create_robot(&bank, &robot(43, "deploy", Admin, None)).await.unwrap();
    // Nobody changes another tenant's.
    let change = RobotChange { description: "x".to_owned(), role: Admin, disabled: true };
    refused(store.update_robot(&bank, id(40), &change).await, ErrorCode::NotFound);
    refused(store.delete_robot(&bank, id(40)).await, ErrorCode::NotFound);
    refused(store.update_robot(&shop, id(1), &change).await, ErrorCode::NotFound);
    refused(store.delete_robot(&shop, id(1)).await, ErrorCode::NotFound);

    let found = store.find_token(&digest(1), at(100)).await.unwrap().expect("found");
    assert_eq!(found.1.user.name.as_str(), "robot:shop/deploy");
    let change = RobotChange { description: "Releases".to_owned(), role: Viewer, disabled: true };
    for robot in [40, 41] {
        store.update_robot(&shop, id(robot), &change).await.unwrap();
    }
    assert_eq!(
        lines(&store.list_robots(&shop, at(100)).await.unwrap()),
        ["robot:shop/deploy Releases viewer - true 1", "robot:shop/watch Releases viewer dev true 0"]
    );
    assert!(store.find_token(&digest(1), at(100)).await.unwrap().is_none(), "disabled");
    store.delete_robot(&shop, id(40)).await.unwrap();
    refused(store.delete_robot(&shop, id(40)).await, ErrorCode::NotFound);
    assert!(store.find_account_by_id(id(40)).await.unwrap().is_none());
    assert_eq!(store.list_tokens(id(40)).await.unwrap(), []);
}

pub async fn robots_are_members_but_not_people(store: Arc<dyn Store>) {
    let (shop, _, dev) = scene(&*store).await;
    let people = store.list_users(&platform(), &ListQuery::default()).await.unwrap();
    assert_eq!((people.total, people.items[0].name.as_str()), (1, "ann"));
    let members: Vec<String> =
        store.list_members(&shop).await.unwrap().iter().map(|m| format!("{} {}", m.user, m.role)).collect();
    assert_eq!(members, ["ann owner", "robot:shop/deploy developer"]);
    let here = Grant::unchecked(dev.clone(), berth_types::Resource::Membership, berth_types::Action::Read);
    let members: Vec<String> =
        store.list_namespace_members(&here).await.unwrap().iter().map(|m| m.user.to_string()).collect();
    assert_eq!(members, ["ann", "robot:shop/deploy", "robot:shop/watch"]);

    let access = store.find_tenant_access(id(41), &shop.name).await.unwrap().unwrap();
    assert_eq!((access.role, access.guest), (None, true));
    let access = store.find_tenant_access(id(40), &shop.name).await.unwrap().unwrap();
    assert_eq!((access.role, access.guest), (Some(Developer), false));
    assert_eq!(store.list_tenant_access(id(40), false).await.unwrap().len(), 1);
    // It can be found by its whole name, which nobody can type.
    let whole = UserName::robot(&shop.name, &"deploy".parse().unwrap());
    let found = store.find_account(&whole).await.unwrap().expect("found");
    assert_eq!((found.user.id, found.password_hash), (id(40), None));
    assert!(store.find_account(&name("deploy")).await.unwrap().is_none());
}

pub async fn robots_go_with_their_place(store: Arc<dyn Store>) {
    let (shop, _, dev) = scene(&*store).await;
    for (number, robot) in [(1, 40), (2, 41)] {
        store.create_token(&token(number, id(robot), "ci")).await.unwrap();
    }
    let leaving = Mark { at: at(0), by: "ann".to_owned(), reason: String::new(), until: Some(at(5)) };
    let here = Grant::unchecked(dev, berth_types::Resource::Namespace, berth_types::Action::Delete);
    store.set_namespace_leaving(&here, Some(&leaving)).await.unwrap();
    store.delete_namespace(&platform(), id(20), at(6)).await.unwrap();
    assert_eq!(store.list_robots(&shop, at(6)).await.unwrap().len(), 1);
    assert!(store.find_token(&digest(2), at(6)).await.unwrap().is_none());
    assert!(store.find_account_by_id(id(41)).await.unwrap().is_none());

    store.set_tenant_leaving(&shop, Some(&leaving)).await.unwrap();
    store.delete_tenant(&platform(), id(10), at(6)).await.unwrap();
    assert!(store.find_token(&digest(1), at(6)).await.unwrap().is_none());
    assert!(store.find_account_by_id(id(40)).await.unwrap().is_none());
    assert!(store.find_account_by_id(id(1)).await.unwrap().is_some(), "people stay");
}
