//! Which clusters there are, and what goes with one.

use std::sync::Arc;

use berth_core::{
    ports::{
        clusters::{ClusterRow, Registered},
        store::Store,
    },
    quota::{Change, Limit},
};
use berth_types::{
    ClusterId, ErrorCode, Resources,
    cluster::{CheckVerdict, ClusterCheck, ClusterProbe, ClusterState},
    people::Namespace,
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, platform, refused};

fn called(text: &str) -> ClusterId {
    text.parse().unwrap()
}

/// A cluster that was registered.
pub fn cluster(name: &str, identity: &str) -> ClusterRow {
    ClusterRow {
        id: called(name),
        label: format!("The {name}"),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        state: ClusterState::Open,
        registered: Some(Registered {
            server: format!("https://{name}.example"),
            identity: identity.to_owned(),
            generation: 7,
            by: "root".to_owned(),
            at: at(3),
        }),
        probe: None,
        version: 1,
    }
}

pub async fn clusters(store: Arc<dyn Store>) {
    let grant = platform();
    let own = store.list_clusters(&grant).await.unwrap();
    assert_eq!(own.iter().map(|row| (row.id.as_str(), row.state)).collect::<Vec<_>>(), [("local", ClusterState::Open)]);
    assert!(own[0].registered.is_none());
    assert_eq!(store.cluster_access(&grant, &called("local")).await.unwrap(), None);
    let (west, east) = (cluster("west", "uid-1"), cluster("east", "uid-2"));
    store.create_cluster(&grant, &west, b"sealed west").await.unwrap();
    store.create_cluster(&grant, &east, b"sealed \x00east").await.unwrap();
    assert_eq!(store.list_clusters(&grant).await.unwrap(), [own[0].clone(), east.clone(), west.clone()]);
    assert_eq!(store.cluster_access(&grant, &east.id).await.unwrap(), Some((7, b"sealed \x00east".to_vec())));
    // Neither twice under one name, nor one under two, nor in the place of the configured one.
    for (other, field) in [
        (cluster("east", "uid-3"), "name"),
        (cluster("north", "uid-1"), "kubeconfig"),
        (cluster("local", "uid-3"), "name"),
    ] {
        let error = refused(store.create_cluster(&grant, &other, b"x").await, ErrorCode::AlreadyExists);
        assert_eq!(error.fields()[0].field, field);
    }

    let changed = ClusterRow { label: String::new(), state: ClusterState::Closed, ..east.clone() };
    assert_eq!(store.update_cluster(&grant, &changed).await.unwrap(), 2);
    refused(store.update_cluster(&grant, &changed).await, ErrorCode::Conflict);
    refused(store.update_cluster(&grant, &cluster("north", "x")).await, ErrorCode::NotFound);
    let check =
        ClusterCheck { what: "x".into(), verdict: CheckVerdict::Lacking, found: "y".into(), fix: Some("z".into()) };
    let probe = ClusterProbe { at: at(9), version: Some("v1.35.4".into()), latency_ms: Some(12), checks: vec![check] };
    store.note_probe(&grant, &east.id, &probe).await.unwrap();
    store.note_probe(&grant, &called("local"), &probe).await.unwrap();
    refused(store.note_probe(&grant, &called("north"), &probe).await, ErrorCode::NotFound);
    store.set_cluster_access(&grant, &east.id, "https://new.example", b"new").await.unwrap();
    refused(store.set_cluster_access(&grant, &called("local"), "https://x", b"x").await, ErrorCode::NotFound);
    assert_eq!(store.cluster_access(&grant, &east.id).await.unwrap(), Some((8, b"new".to_vec())));
    let registered =
        Registered { server: "https://new.example".into(), generation: 8, ..east.registered.clone().unwrap() };
    let want = ClusterRow { registered: Some(registered), probe: Some(probe), version: 2, ..changed };
    assert_eq!(store.list_clusters(&grant).await.unwrap()[1], want);
}

pub async fn what_a_cluster_takes(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let (grant, shop) = (platform(), add_tenant(&*store, 10, "shop", id(1)).await);
    let east = cluster("east", "uid-1");
    store.create_cluster(&grant, &east, b"x").await.unwrap();
    let on = |number, name| Namespace { cluster: called("east"), ..namespace(number, "shop", name) };
    store.create_namespace(&shop, &on(20, "dev")).await.unwrap();
    store.update_cluster(&grant, &ClusterRow { state: ClusterState::Draining, ..east.clone() }).await.unwrap();
    let pods: Resources = [("pods".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
    for refusal in [
        store.create_namespace(&shop, &on(21, "more")).await,
        store.create_namespace_with(&shop, &on(21, "more"), &pods, at(1)).await,
    ] {
        assert_eq!(refused(refusal, ErrorCode::Invalid).fields()[0].code, "cluster_closed");
    }
    let nowhere = Namespace { cluster: called("north"), ..namespace(22, "shop", "lost") };
    assert_eq!(
        refused(store.create_namespace(&shop, &nowhere).await, ErrorCode::Invalid).fields()[0].code,
        "cluster_unknown"
    );
    assert_eq!(store.list_namespaces(&shop).await.unwrap().len(), 1);
}

pub async fn what_goes_with_a_cluster(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let (grant, shop) = (platform(), add_tenant(&*store, 10, "shop", id(1)).await);
    refused(store.remove_cluster(&grant, &called("local"), true).await, ErrorCode::NotFound);
    refused(store.remove_cluster(&grant, &called("east"), true).await, ErrorCode::NotFound);
    for (name, identity) in [("east", "uid-1"), ("west", "uid-2")] {
        store.create_cluster(&grant, &cluster(name, identity), b"x").await.unwrap();
    }
    store.create_namespace(&shop, &namespace(20, "shop", "prod")).await.unwrap();
    let dev = Namespace { cluster: called("east"), ..namespace(21, "shop", "dev") };
    store.create_namespace(&shop, &dev).await.unwrap();
    let pods: Resources = [("pods".parse().unwrap(), "9".parse().unwrap())].into_iter().collect();
    let limit = Limit { plan: None, origin: None, resources: pods, defaults: Default::default() };
    for cluster in ["east", "west", "local"] {
        store.change_book(&shop, &called(cluster), &Change::Limit(Some(limit.clone())), at(1)).await.unwrap();
    }
    refused(store.remove_cluster(&grant, &called("east"), false).await, ErrorCode::Conflict);
    assert_eq!(store.list_namespaces(&shop).await.unwrap().len(), 2, "nothing went");
    assert_eq!(store.remove_cluster(&grant, &called("west"), false).await.unwrap(), 0);
    assert_eq!(store.remove_cluster(&grant, &called("east"), true).await.unwrap(), 1);
    let books = store.list_books(&shop).await.unwrap();
    let places: Vec<_> = books.iter().map(|book| (book.cluster.as_str(), book.shares.len())).collect();
    assert_eq!(places, [("local", 1)]);
    assert_eq!(store.list_clusters(&grant).await.unwrap().len(), 1);
    // Both names are free again.
    store.create_cluster(&grant, &cluster("east", "uid-1"), b"x").await.unwrap();
}

/// Namespaces are made while their cluster goes: either they are there and it stays, or neither.
pub async fn a_cluster_goes_while_namespaces_come(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let (grant, shop) = (platform(), add_tenant(&*store, 10, "shop", id(1)).await);
    for round in 0..10_u128 {
        store.create_cluster(&grant, &cluster("east", "uid-1"), b"x").await.unwrap();
        let row = Namespace { cluster: called("east"), ..namespace(100 + round, "shop", &format!("n{round}")) };
        let (making, shop_too, east) = (store.clone(), shop.clone(), called("east"));
        let (made, gone) = tokio::join!(
            async move { making.create_namespace(&shop_too, &row).await },
            store.remove_cluster(&grant, &east, false),
        );
        assert_ne!(made.is_ok(), gone.is_ok(), "{made:?} {gone:?}");
        if gone.is_err() {
            store.remove_cluster(&grant, &called("east"), true).await.unwrap();
        }
        assert!(store.list_namespaces(&shop).await.unwrap().is_empty());
    }
}
