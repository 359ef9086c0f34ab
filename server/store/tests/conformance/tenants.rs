//! Tenants, members, namespaces.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    ports::store::{Store, TenantPlaces},
};
use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, TenantRole,
    network::{Egress, EgressMode, EgressRange},
    people::Namespace,
};

use crate::fixture::{add_tenant, add_users, at, grant, id, name, namespace, place, platform, refused, tenant};

/// Makes somebody an auditor of the platform.
async fn auditor(store: &dyn Store, user: &str) {
    let mut user = store.find_account(&name(user)).await.unwrap().unwrap().user;
    user.platform_role = Some(PlatformRole::Auditor);
    store.update_user(&platform(), &user).await.unwrap();
}

pub async fn tenants(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    add_tenant(&*store, 10, "shop", id(1)).await;
    add_tenant(&*store, 11, "bank", id(2)).await;
    add_tenant(&*store, 12, "club", id(1)).await;
    store.set_member(&grant(&tenant(11, "bank")), &name("ann"), TenantRole::Viewer, at(5)).await.unwrap();

    let shop = store.find_tenant_access(id(1), &"shop".parse().unwrap()).await.unwrap().expect("found");
    assert_eq!((shop.tenant, shop.role), (tenant(10, "shop"), Some(TenantRole::Owner)));
    let foreign = async || store.find_tenant_access(id(2), &"shop".parse().unwrap()).await.unwrap();
    assert!(foreign().await.is_none(), "who may not know of it is not told");
    auditor(&*store, "bob").await;
    assert_eq!(foreign().await.expect("found").role, None);
    assert!(store.find_tenant_access(id(1), &"pub".parse().unwrap()).await.unwrap().is_none());

    let list = async |user, all| -> Vec<(String, Option<TenantRole>)> {
        let rows = store.list_tenant_access(id(user), all).await.unwrap();
        rows.into_iter().map(|row| (row.tenant.name.to_string(), row.role)).collect()
    };
    let row = |name: &str, role| (name.to_owned(), role);
    let owner = Some(TenantRole::Owner);
    let viewer = Some(TenantRole::Viewer);
    assert_eq!(list(1, false).await, [row("bank", viewer), row("club", owner), row("shop", owner)]);
    assert_eq!(list(2, false).await, [row("bank", owner)]);
    assert_eq!(list(2, true).await, [row("bank", owner), row("club", None), row("shop", None)]);
    assert_eq!(list(3, false).await, []);

    let again = store.create_tenant(&platform(), &tenant(13, "shop"), id(2)).await;
    let error = refused(again, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "name");
    // Its owner does not exist: neither does the tenant.
    refused(store.create_tenant(&platform(), &tenant(14, "ghost"), id(77)).await, ErrorCode::Internal);
    assert!(store.find_tenant_access(id(1), &"ghost".parse().unwrap()).await.unwrap().is_none());
}

pub async fn tenant_versions(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    assert_eq!(store.update_tenant(&shop, "The Shop", 1).await.unwrap(), 2);
    refused(store.update_tenant(&shop, "Late", 1).await, ErrorCode::Conflict);
    assert_eq!(store.update_tenant(&shop, "Shop", 2).await.unwrap(), 3);
    let found = store.find_tenant_access(id(1), &shop.name).await.unwrap().expect("found").tenant;
    assert_eq!((found.display_name.as_str(), found.version), ("Shop", 3));
    let other = store.find_tenant_access(id(1), &bank.name).await.unwrap().expect("found").tenant;
    assert_eq!(other, tenant(11, "bank"), "untouched");
}

pub async fn members(store: Arc<dyn Store>) {
    add_users(&*store, &["zoe", "bob", "cid", "ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    for (who, role) in [("bob", TenantRole::Viewer), ("cid", TenantRole::Developer), ("ann", TenantRole::Viewer)] {
        store.set_member(&shop, &name(who), role, at(5)).await.unwrap();
    }
    let list = async || -> Vec<String> {
        let members = store.list_members(&shop).await.unwrap();
        members.iter().map(|m| format!("{} {}", m.user, m.role)).collect()
    };
    assert_eq!(list().await, ["zoe owner", "cid developer", "ann viewer", "bob viewer"]);

    store.set_member(&shop, &name("bob"), TenantRole::Admin, at(9)).await.unwrap();
    let bob = store.list_members(&shop).await.unwrap().into_iter().find(|m| m.user == name("bob")).expect("there");
    assert_eq!((bob.role, bob.created_at, bob.display_name.as_str()), (TenantRole::Admin, at(5), "bob the 2."));

    refused(store.set_member(&shop, &name("nobody"), TenantRole::Viewer, at(5)).await, ErrorCode::NotFound);
    store.remove_member(&shop, &name("ann")).await.unwrap();
    refused(store.remove_member(&shop, &name("ann")).await, ErrorCode::NotFound);
    refused(store.remove_member(&shop, &name("nobody")).await, ErrorCode::NotFound);
    assert_eq!(list().await, ["zoe owner", "bob admin", "cid developer"]);
}

pub async fn members_of_another_tenant(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(2)).await;
    refused(store.remove_member(&shop, &name("bob")).await, ErrorCode::NotFound);
    assert_eq!(store.list_members(&shop).await.unwrap().len(), 1);
    assert_eq!(store.list_members(&bank).await.unwrap()[0].user, name("bob"));
    // Owners elsewhere do not count here.
    refused(store.remove_member(&shop, &name("ann")).await, ErrorCode::Invalid);
    let gone = grant(&tenant(12, "gone"));
    refused(store.set_member(&gone, &name("ann"), TenantRole::Owner, at(0)).await, ErrorCode::NotFound);
    assert_eq!(store.list_members(&gone).await.unwrap(), []);
}

pub async fn last_owner_stays(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    store.set_member(&shop, &name("bob"), TenantRole::Admin, at(5)).await.unwrap();
    refused(store.remove_member(&shop, &name("ann")).await, ErrorCode::Invalid);
    refused(store.set_member(&shop, &name("ann"), TenantRole::Admin, at(5)).await, ErrorCode::Invalid);
    store.set_member(&shop, &name("ann"), TenantRole::Owner, at(5)).await.unwrap();

    store.set_member(&shop, &name("bob"), TenantRole::Owner, at(5)).await.unwrap();
    store.set_member(&shop, &name("ann"), TenantRole::Viewer, at(5)).await.unwrap();
    store.remove_member(&shop, &name("ann")).await.unwrap();
    refused(store.remove_member(&shop, &name("bob")).await, ErrorCode::Invalid);
}

pub async fn last_two_owners_cannot_both_go(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    for round in 0..10 {
        let shop = add_tenant(&*store, 10 + round, &format!("shop{round}"), id(1)).await;
        store.set_member(&shop, &name("bob"), TenantRole::Owner, at(5)).await.unwrap();
        let (ann, bob) = (name("ann"), name("bob"));
        let (a, b) =
            tokio::join!(store.remove_member(&shop, &ann), store.set_member(&shop, &bob, TenantRole::Viewer, at(6)),);
        assert!(a.is_ok() != b.is_ok(), "one of them: {a:?} {b:?}");
        let owners = store.list_members(&shop).await.unwrap();
        assert_eq!(owners.iter().filter(|m| m.role == TenantRole::Owner).count(), 1);
    }
}

pub async fn namespaces(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    let prod = namespace(20, "shop", "prod");
    let dev = namespace(21, "shop", "dev");
    let theirs = namespace(22, "bank", "prod");
    store.create_namespace(&shop, &prod).await.unwrap();
    store.create_namespace(&shop, &dev).await.unwrap();
    store.create_namespace(&bank, &theirs).await.unwrap();

    let find = async |user, tenant: &str, name| {
        let found = store.find_namespace_access(id(user), &tenant.parse().unwrap(), name).await.unwrap();
        found.map(|(access, found)| (access.tenant.name.to_string(), access.role, found.namespace))
    };
    let owner = Some(TenantRole::Owner);
    assert_eq!(find(1, "shop", &prod.name).await, Some(("shop".to_owned(), owner, prod.clone())));
    assert_eq!(find(1, "bank", &prod.name).await, Some(("bank".to_owned(), owner, theirs.clone())));
    assert_eq!(find(2, "bank", &prod.name).await, None, "no member");
    assert_eq!(find(1, "bank", &dev.name).await, None, "another tenant's");
    assert_eq!(find(1, "pub", &prod.name).await, None, "no such tenant");
    let known = async |user, cluster: &str, kube_name: &str| {
        let found = store.find_kube_namespace_access(id(user), &cluster.parse().unwrap(), kube_name).await.unwrap();
        found.map(|(access, found)| (access.tenant.name.to_string(), access.role, found.namespace))
    };
    assert_eq!(known(1, "local", &prod.kube_name).await, Some(("shop".to_owned(), owner, prod.clone())));
    assert_eq!(known(2, "local", &prod.kube_name).await, None, "no member");
    auditor(&*store, "bob").await;
    assert_eq!(find(2, "bank", &prod.name).await, Some(("bank".to_owned(), None, theirs.clone())), "sees all");
    assert_eq!(known(2, "local", &prod.kube_name).await, Some(("shop".to_owned(), None, prod.clone())), "sees all");
    assert_eq!(known(1, "other", &prod.kube_name).await, None, "another cluster's");
    assert_eq!(known(1, "local", "prod").await, None, "its name in the cluster is asked for");
    assert_eq!(store.list_namespaces(&shop).await.unwrap(), [dev.clone(), prod.clone()]);
    assert_eq!(store.list_namespaces(&bank).await.unwrap(), std::slice::from_ref(&theirs));
}

pub async fn places(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(2)).await;
    add_tenant(&*store, 12, "club", id(1)).await;
    let (prod, dev, theirs) = (namespace(20, "shop", "prod"), namespace(21, "shop", "dev"), namespace(22, "bank", "b"));
    store.create_namespace(&shop, &prod).await.unwrap();
    store.create_namespace(&shop, &dev).await.unwrap();
    store.create_namespace(&bank, &theirs).await.unwrap();

    let list = async |user, all, tenant: &str| -> Vec<(String, Option<TenantRole>, Vec<Namespace>)> {
        let rows = store.list_places(id(user), all, &tenant.parse().unwrap()).await.unwrap();
        let plain = |p: TenantPlaces| p.namespaces.into_iter().map(|access| access.namespace).collect();
        rows.into_iter().map(|p| (p.access.tenant.name.to_string(), p.access.role, plain(p))).collect()
    };
    let row = |name: &str, role, namespaces: &[&Namespace]| {
        (name.to_owned(), role, namespaces.iter().map(|n| (*n).clone()).collect())
    };
    let owner = Some(TenantRole::Owner);
    assert_eq!(list(1, false, "shop").await, [row("club", owner, &[]), row("shop", owner, &[&dev, &prod])]);
    assert_eq!(list(1, false, "club").await, [row("club", owner, &[]), row("shop", owner, &[])]);
    // Others' namespaces only for those who may see all, and then of this one tenant only.
    assert_eq!(list(2, false, "shop").await, [row("bank", owner, &[])]);
    assert_eq!(list(2, true, "shop").await, [row("bank", owner, &[]), row("shop", None, &[&dev, &prod])]);
    assert_eq!(list(3, true, "bank").await, [row("bank", None, &[&theirs])]);
    assert_eq!(list(3, false, "bank").await, []);
}

pub async fn egress(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    store.create_namespace(&bank, &namespace(21, "bank", "dev")).await.unwrap();
    let dev = |tenant: &Grant<TenantRef>, number| {
        let row = namespace(number, tenant.name.as_str(), "dev");
        Grant::unchecked(place(tenant, &row), Resource::Network, Action::Update)
    };
    let range = EgressRange {
        cidr: "203.0.113.0/24".parse().unwrap(),
        ports: vec!["443/TCP".parse().unwrap(), "8000-8100/UDP".parse().unwrap()],
        name: "payments “1”".to_owned(),
    };
    let named = Egress { mode: EgressMode::Named, ranges: vec![range] };
    assert_eq!(store.set_egress(&dev(&shop, 20), &named, None).await.unwrap(), 2);
    refused(store.set_egress(&dev(&shop, 20), &Egress::default(), Some(1)).await, ErrorCode::Conflict);
    let found =
        store.find_namespace_access(id(1), &shop.name, &"dev".parse().unwrap()).await.unwrap().unwrap().1.namespace;
    assert_eq!((found.egress, found.version), (named.clone(), 2));
    // It is in the rows that the reconciler reads, too; the other tenant's is as it was.
    let books = store.list_all_books(&platform()).await.unwrap();
    let rows: Vec<_> = books.iter().flat_map(|book| &book.shares).map(|share| &share.namespace.egress).collect();
    assert_eq!(rows, [&Egress::default(), &named]);
    // A namespace of another tenant is none of this one.
    refused(store.set_egress(&dev(&shop, 21), &named, None).await, ErrorCode::Conflict);
    assert_eq!(store.set_egress(&dev(&shop, 20), &Egress::default(), Some(2)).await.unwrap(), 3);
}

pub async fn protection(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    store.create_namespace(&bank, &namespace(21, "bank", "dev")).await.unwrap();
    let grant = |tenant: &Grant<TenantRef>, number, name: &str| {
        Grant::unchecked(place(tenant, &namespace(number, name, "dev")), Resource::Namespace, Action::Update)
    };
    store.protect_namespace(&grant(&shop, 20, "shop"), true).await.unwrap();
    let found = async |cluster: &str, name: &str| {
        let at = store.find_kube_namespace_access(id(1), &cluster.parse().unwrap(), name).await.unwrap();
        at.map(|(_, access)| (access.namespace.protected, access.namespace.version))
    };
    assert_eq!(found("local", "shop-dev").await, Some((true, 2)));
    assert_eq!(found("local", "bank-dev").await, Some((false, 1)), "the other tenant's is as it was");
    // A namespace of another tenant is none of this one.
    refused(store.protect_namespace(&grant(&shop, 21, "shop"), true).await, ErrorCode::NotFound);
    store.protect_namespace(&grant(&shop, 20, "shop"), false).await.unwrap();
    assert_eq!(found("local", "shop-dev").await, Some((false, 3)));
}

pub async fn namespace_names_are_unique(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let a = add_tenant(&*store, 10, "a", id(1)).await;
    let ab = add_tenant(&*store, 11, "a-b", id(1)).await;
    store.create_namespace(&a, &namespace(20, "a", "b-c")).await.unwrap();
    let error = refused(store.create_namespace(&a, &namespace(21, "a", "b-c")).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "name");
    // `a` + `b-c` and `a-b` + `c` would be the same namespace of the cluster.
    refused(store.create_namespace(&ab, &namespace(22, "a-b", "c")).await, ErrorCode::AlreadyExists);
    assert_eq!(store.list_namespaces(&ab).await.unwrap(), []);
    let elsewhere = Namespace { cluster: "east".parse().unwrap(), ..namespace(23, "a-b", "c") };
    store.create_cluster(&platform(), &crate::clusters::cluster("east", "uid-1"), b"x").await.unwrap();
    store.create_namespace(&ab, &elsewhere).await.unwrap();
    // A grant for one tenant makes no namespace of another.
    refused(store.create_namespace(&a, &namespace(24, "a-b", "d")).await, ErrorCode::Internal);
    assert_eq!(store.list_namespaces(&ab).await.unwrap(), [elsewhere]);
}
