//! Roles in one namespace.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    ports::store::{NamespaceAccess, Store},
};
use berth_types::{
    Action, ErrorCode, Resource,
    TenantRole::{self, Admin, Developer, Viewer},
    life::Mark,
    people::Namespace,
};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::fixture::{add_tenant, add_users, at, id, name, namespace, place, platform, refused};

pub fn granted(tenant: &Grant<TenantRef>, row: &Namespace) -> Grant<NamespaceRef> {
    Grant::unchecked(place(tenant, row), Resource::Membership, Action::Update)
}

/// `shop` of ann's with `dev` and `prod`, `bank` of bob's with `prod`; cid is nobody anywhere.
async fn scene(store: &dyn Store) -> (Grant<TenantRef>, [Grant<NamespaceRef>; 3]) {
    add_users(store, &["ann", "bob", "cid"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    let bank = add_tenant(store, 11, "bank", id(2)).await;
    let mut places = Vec::new();
    for (tenant, number, called) in [(&shop, 20, "dev"), (&shop, 21, "prod"), (&bank, 22, "prod")] {
        let row = namespace(number, tenant.name.as_str(), called);
        store.create_namespace(tenant, &row).await.unwrap();
        places.push(granted(tenant, &row));
    }
    (shop, places.try_into().unwrap())
}

fn roles(rows: &[NamespaceAccess]) -> Vec<(&str, Option<TenantRole>)> {
    rows.iter().map(|row| (row.namespace.name.as_str(), row.role)).collect()
}

/// The tenants that somebody sees, with their role and whether they are a guest.
async fn tenants(store: &dyn Store, user: Uuid) -> Vec<(String, Option<TenantRole>, bool)> {
    let rows = store.list_tenant_access(user, false).await.unwrap();
    rows.into_iter().map(|row| (row.tenant.name.to_string(), row.role, row.guest)).collect()
}

pub async fn guests_of_a_tenant(store: Arc<dyn Store>) {
    let (shop, [dev, prod, theirs]) = scene(&*store).await;
    for (place, who, role) in
        [(&dev, "cid", Developer), (&prod, "cid", Viewer), (&prod, "ann", Admin), (&theirs, "cid", Admin)]
    {
        store.set_namespace_member(place, &name(who), role, at(3)).await.unwrap();
    }
    let guests = store.list_guests(&shop).await.unwrap();
    let seen: Vec<_> = guests.iter().map(|g| (g.user.as_str(), g.namespace.as_str(), g.role, g.created_at)).collect();
    assert_eq!(seen, [("cid", "dev", Developer, at(3)), ("cid", "prod", Viewer, at(3))], "a member is none");
    store.set_member(&shop, &name("cid"), Viewer, at(4)).await.unwrap();
    assert_eq!(store.list_guests(&shop).await.unwrap(), []);
}

pub async fn who_sees_what(store: Arc<dyn Store>) {
    let (shop, [dev, prod, theirs]) = scene(&*store).await;
    for (place, who, role) in [(&dev, "cid", Developer), (&dev, "ann", Viewer), (&theirs, "ann", Admin)] {
        store.set_namespace_member(place, &name(who), role, at(5)).await.unwrap();
    }
    assert_eq!(tenants(&*store, id(3)).await, [("shop".to_owned(), None, true)]);
    assert_eq!(
        tenants(&*store, id(1)).await,
        [("bank".to_owned(), None, true), ("shop".to_owned(), Some(TenantRole::Owner), true)]
    );
    assert_eq!(tenants(&*store, id(2)).await, [("bank".to_owned(), Some(TenantRole::Owner), false)]);
    let found = store.find_tenant_access(id(3), &shop.name).await.unwrap().unwrap();
    assert_eq!((found.role, found.guest), (None, true));

    let find = async |user, place: &Grant<NamespaceRef>| {
        let found = store.find_namespace_access(id(user), &place.tenant.name, &place.name).await.unwrap();
        found.map(|(access, found)| (access.role, access.guest, found.role))
    };
    assert_eq!(find(3, &dev).await, Some((None, true, Some(Developer))));
    assert_eq!(find(3, &prod).await, None, "a sibling");
    assert_eq!(find(3, &theirs).await, None, "another tenant's of the same name");
    assert_eq!(find(1, &dev).await, Some((Some(TenantRole::Owner), true, Some(Viewer))));

    assert_eq!(
        roles(&store.list_namespace_access(id(3), &shop).await.unwrap()),
        [("dev", Some(Developer)), ("prod", None)]
    );
    let places = store.list_places(id(3), false, &shop.name).await.unwrap();
    assert_eq!(places.len(), 1);
    assert_eq!(roles(&places[0].namespaces), [("dev", Some(Developer)), ("prod", None)]);
    assert_eq!(store.list_places(id(3), false, &theirs.tenant.name).await.unwrap()[0].namespaces, []);
}

pub async fn who_is_in_a_namespace(store: Arc<dyn Store>) {
    let (shop, [dev, prod, _]) = scene(&*store).await;
    store.set_member(&shop, &name("bob"), Viewer, at(5)).await.unwrap();
    store.set_namespace_member(&dev, &name("bob"), Admin, at(6)).await.unwrap();
    store.set_namespace_member(&dev, &name("cid"), Viewer, at(7)).await.unwrap();
    let list = async |place: &Grant<NamespaceRef>| -> Vec<String> {
        let members = store.list_namespace_members(place).await.unwrap();
        let word = |role: Option<TenantRole>| role.map_or("-".to_owned(), |role| role.to_string());
        let line = |m: &berth_types::people::NamespaceMember| {
            format!("{} {} {} {} {}", m.user, m.role, word(m.tenant_role), word(m.given), m.created_at)
        };
        members.iter().map(line).collect()
    };
    let line = |who: &str, since: i64| format!("{who} {}", at(since));
    let ann = line("ann owner owner -", 0);
    assert_eq!(list(&dev).await, [ann.clone(), line("bob admin viewer admin", 6), line("cid viewer - viewer", 7)]);
    assert_eq!(list(&prod).await, [ann.clone(), line("bob viewer viewer -", 5)]);

    // Changed, it is the same; who is nobody, or in a place that is not there, is not found.
    store.set_namespace_member(&dev, &name("cid"), Developer, at(9)).await.unwrap();
    assert_eq!(list(&dev).await[2], line("cid developer - developer", 7));
    refused(store.set_namespace_member(&dev, &name("zoe"), Viewer, at(9)).await, ErrorCode::NotFound);
    let gone = granted(&shop, &namespace(29, "shop", "gone"));
    refused(store.set_namespace_member(&gone, &name("cid"), Viewer, at(9)).await, ErrorCode::NotFound);
    let mut foreign = (*dev).clone();
    foreign.tenant.id = id(11);
    let foreign = Grant::unchecked(foreign, Resource::Membership, Action::Update);
    refused(store.set_namespace_member(&foreign, &name("cid"), Admin, at(9)).await, ErrorCode::NotFound);
}

pub async fn what_ends_them(store: Arc<dyn Store>) {
    let (shop, [dev, prod, theirs]) = scene(&*store).await;
    let cid = name("cid");
    let give = async || {
        for place in [&dev, &prod, &theirs] {
            store.set_namespace_member(place, &cid, Viewer, at(5)).await.unwrap();
        }
    };
    let has = async |place: &Grant<NamespaceRef>| {
        store.list_namespace_members(place).await.unwrap().iter().any(|m| m.user == cid)
    };
    give().await;
    store.remove_namespace_member(&dev, &cid).await.unwrap();
    refused(store.remove_namespace_member(&dev, &cid).await, ErrorCode::NotFound);
    refused(store.remove_namespace_member(&dev, &name("zoe")).await, ErrorCode::NotFound);
    assert_eq!((has(&dev).await, has(&prod).await, has(&theirs).await), (false, true, true));

    // Leaving the tenant, a member or a guest.
    for member in [false, true] {
        give().await;
        if member {
            store.set_member(&shop, &cid, Viewer, at(6)).await.unwrap();
        }
        store.remove_member(&shop, &cid).await.unwrap();
        assert_eq!((has(&dev).await, has(&prod).await, has(&theirs).await), (false, false, true), "{member}");
        refused(store.remove_member(&shop, &cid).await, ErrorCode::NotFound);
    }

    // With its namespace.
    give().await;
    let mark = Mark { at: at(8), by: "ann".into(), reason: String::new(), until: Some(at(9)) };
    store.set_namespace_leaving(&dev, Some(&mark)).await.unwrap();
    store.delete_namespace(&platform(), dev.id, at(9) + SignedDuration::from_secs(1)).await.unwrap();
    assert!(!has(&dev).await);
    assert!(has(&prod).await);
}
