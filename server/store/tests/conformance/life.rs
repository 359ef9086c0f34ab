//! Tenants and namespaces that are stopped, and those that go.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    ports::store::Store,
};
use berth_types::{
    Action, ErrorCode, Resource,
    life::{Halt, HaltKind, Mark},
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, place, platform, refused};

fn mark(reason: &str, until: Option<i64>) -> Mark {
    Mark { at: at(5), by: "root".to_owned(), reason: reason.to_owned(), until: until.map(at) }
}

fn granted(tenant: &Grant<TenantRef>, number: u128) -> Grant<NamespaceRef> {
    let row = namespace(number, tenant.name.as_str(), "dev");
    Grant::unchecked(place(tenant, &row), Resource::Namespace, Action::Delete)
}

/// What halts the tenant, and its namespace `dev` as each finder tells it.
async fn halts(store: &dyn Store, tenant: &Grant<TenantRef>) -> (Option<Halt>, Option<Halt>) {
    let (access, found) =
        store.find_namespace_access(id(1), &tenant.name, &"dev".parse().unwrap()).await.unwrap().expect("found");
    let row = found.namespace;
    let known = store.find_tenant_access(id(1), &tenant.name).await.unwrap().expect("found").tenant.halt;
    assert_eq!(access.tenant.halt, known);
    assert_eq!(store.list_namespaces(tenant).await.unwrap()[0].halt, row.halt);
    let books = store.list_all_books(&platform()).await.unwrap();
    let book = books.iter().find(|book| book.tenant == tenant.name).expect("a book");
    assert_eq!(book.shares[0].namespace.halt, row.halt);
    let places = store.list_places(id(1), false, &tenant.name).await.unwrap();
    let here = places.iter().find(|place| place.access.tenant.name == tenant.name).expect("a place");
    assert_eq!((&here.access.tenant.halt, &here.namespaces[0].namespace.halt), (&known, &row.halt));
    (known, row.halt)
}

pub async fn marks(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    store.create_namespace(&bank, &namespace(21, "bank", "dev")).await.unwrap();
    let halt = |kind, mark: &Mark| Some(Halt { kind, mark: mark.clone() });
    let (rests, goes, leaves) = (mark("unpaid “1”", None), mark("", Some(900)), mark("old", Some(800)));

    assert_eq!(halts(&*store, &shop).await, (None, None));
    refused(store.set_suspended(&shop, None).await, ErrorCode::Conflict);
    store.set_suspended(&shop, Some(&rests)).await.unwrap();
    refused(store.set_suspended(&shop, Some(&goes)).await, ErrorCode::Conflict);
    let suspended = halt(HaltKind::Suspended, &rests);
    assert_eq!(halts(&*store, &shop).await, (suspended.clone(), suspended.clone()));
    assert_eq!(halts(&*store, &bank).await, (None, None), "another tenant's");

    store.set_namespace_leaving(&granted(&shop, 20), Some(&leaves)).await.unwrap();
    refused(store.set_namespace_leaving(&granted(&shop, 20), Some(&leaves)).await, ErrorCode::Conflict);
    assert_eq!(halts(&*store, &shop).await, (suspended.clone(), halt(HaltKind::NamespaceLeaving, &leaves)));
    store.set_tenant_leaving(&shop, Some(&goes)).await.unwrap();
    let gone = halt(HaltKind::TenantLeaving, &goes);
    assert_eq!(halts(&*store, &shop).await, (gone.clone(), gone));
    store.set_tenant_leaving(&shop, None).await.unwrap();
    store.set_namespace_leaving(&granted(&shop, 20), None).await.unwrap();
    assert_eq!(halts(&*store, &shop).await, (suspended.clone(), suspended), "as it was before");
    store.set_suspended(&shop, None).await.unwrap();
    assert_eq!(halts(&*store, &shop).await, (None, None));
}

pub async fn what_is_due_goes(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    let grant = platform();
    refused(store.delete_namespace(&grant, id(20), at(999)).await, ErrorCode::Conflict);
    refused(store.delete_tenant(&grant, id(10), at(999)).await, ErrorCode::Conflict);
    store.set_suspended(&shop, Some(&mark("unpaid", None))).await.unwrap();
    refused(store.delete_tenant(&grant, id(10), at(999)).await, ErrorCode::Conflict);
    store.set_tenant_leaving(&shop, Some(&mark("", Some(900)))).await.unwrap();
    refused(store.delete_namespace(&grant, id(20), at(899)).await, ErrorCode::Conflict);
    refused(store.delete_tenant(&grant, id(10), at(900)).await, ErrorCode::Conflict);
    store.delete_namespace(&grant, id(20), at(900)).await.unwrap();
    refused(store.delete_namespace(&grant, id(20), at(900)).await, ErrorCode::NotFound);
    refused(store.delete_tenant(&grant, id(10), at(899)).await, ErrorCode::Conflict);
    store.delete_tenant(&grant, id(10), at(900)).await.unwrap();
    refused(store.delete_tenant(&grant, id(10), at(900)).await, ErrorCode::NotFound);
    assert!(store.find_tenant_access(id(1), &shop.name).await.unwrap().is_none());
    assert_eq!(store.list_tenant_access(id(1), false).await.unwrap().len(), 0, "no membership is left");
    // The name is free again.
    add_tenant(&*store, 12, "shop", id(1)).await;
}

/// Who takes something back and who removes it are at it at once: one of them does.
pub async fn taken_back_or_gone(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let grant = platform();
    for round in 0..10 {
        let shop = add_tenant(&*store, 100 + round, &format!("shop{round}"), id(1)).await;
        store.set_tenant_leaving(&shop, Some(&mark("", Some(900)))).await.unwrap();
        let (back, gone) =
            tokio::join!(store.set_tenant_leaving(&shop, None), store.delete_tenant(&grant, shop.id, at(900)));
        let there = store.find_tenant_access(id(1), &shop.name).await.unwrap().is_some();
        assert_eq!((back.is_ok(), gone.is_ok()), (there, !there), "{back:?} {gone:?}");
    }
}
