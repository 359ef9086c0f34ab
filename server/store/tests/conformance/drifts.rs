//! What was not as Berth keeps it.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    ports::{
        drifts::{Drifted, KEPT},
        store::Store,
    },
};
use berth_types::{
    Action, Resource,
    drift::{Drift, DriftKind},
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, place, platform};

fn granted(shop: &TenantRef, number: u128, name: &str) -> Grant<NamespaceRef> {
    Grant::unchecked(place(shop, &namespace(number, "shop", name)), Resource::Namespace, Action::Read)
}

fn drifted(object: &str, kind: DriftKind, by: Option<&str>) -> Drifted {
    Drifted { object: object.to_owned(), kind, by: by.map(str::to_owned) }
}

pub async fn drift_is_counted(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann"]).await;
    let shop = add_tenant(&*store, 11, "shop", users[0].id).await;
    for (number, name) in [(21, "dev"), (22, "prod")] {
        store.create_namespace(&shop, &namespace(number, "shop", name)).await.unwrap();
    }
    let (grant, dev, prod) = (platform(), granted(&shop, 21, "dev"), granted(&shop, 22, "prod"));
    let changed = drifted("NetworkPolicy berth-deny", DriftKind::Changed, Some("kubectl-edit"));
    let gone = drifted("NetworkPolicy berth-deny", DriftKind::Missing, None);
    store.note_drift(&grant, dev.id, std::slice::from_ref(&changed), at(100)).await.unwrap();
    store
        .note_drift(&grant, dev.id, &[Drifted { by: Some("helm".to_owned()), ..changed }, gone], at(200))
        .await
        .unwrap();
    let row = |kind, by: Option<&str>, first: i64, last: i64, times| Drift {
        object: "NetworkPolicy berth-deny".to_owned(),
        kind,
        by: by.map(str::to_owned),
        first_at: at(first),
        last_at: at(last),
        times,
    };
    let want = [row(DriftKind::Changed, Some("helm"), 100, 200, 2), row(DriftKind::Missing, None, 200, 200, 1)];
    assert_eq!(store.list_drift(&dev).await.unwrap(), want);
    assert_eq!(store.list_drift(&prod).await.unwrap(), [], "another namespace's");

    // What cannot be kept stands first, until it is kept again.
    let refused = drifted("Namespace shop-dev", DriftKind::Refused, Some("it is another's"));
    store.note_drift(&grant, dev.id, &[refused], at(150)).await.unwrap();
    assert_eq!(store.list_drift(&dev).await.unwrap()[0].kind, DriftKind::Refused);
    assert_eq!(store.list_refused(&grant).await.unwrap(), [dev.id]);
    store.settle_refused(&grant, prod.id).await.unwrap();
    assert_eq!(store.list_refused(&grant).await.unwrap(), [dev.id]);
    store.settle_refused(&grant, dev.id).await.unwrap();
    assert!(store.list_refused(&grant).await.unwrap().is_empty());
    assert_eq!(store.list_drift(&dev).await.unwrap(), want);

    // Old drift is forgotten, of this namespace; what is nowhere is not noted.
    let later = at(201) + KEPT;
    store.note_drift(&grant, prod.id, &[], later).await.unwrap();
    assert_eq!(store.list_drift(&dev).await.unwrap().len(), 2);
    store.note_drift(&grant, dev.id, &[drifted("ResourceQuota berth", DriftKind::Surplus, None)], later).await.unwrap();
    let left = store.list_drift(&dev).await.unwrap();
    assert_eq!(left.iter().map(|d| d.kind).collect::<Vec<_>>(), [DriftKind::Surplus]);
    store.note_drift(&grant, id(99), &[drifted("x", DriftKind::Missing, None)], later).await.unwrap();
}
