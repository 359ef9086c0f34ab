//! Plans, quotas, shares, and the ledger under load.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    ports::store::Store,
    quota::{Book, Change, Limit, RESOURCES},
};
use berth_types::{
    ClusterId, ErrorCode, NamespaceName, PlanName, Quantity, QuotaKey, Resources,
    quota::{ContainerDefaults, Plan},
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, platform, refused};

/// Requests for the last of a quota that come at once, and how often that is tried.
const REQUESTS: usize = 100;
const ROUNDS: usize = 10;

fn amounts(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    Resources::read(RESOURCES, &pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()).unwrap()
}

fn called(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

fn own(text: &str) -> Change {
    let (plan, resources, defaults) = (None, amounts(text), ContainerDefaults::default());
    Change::Limit(Some(Limit { plan, origin: None, resources, defaults }))
}

fn by_plan(name: &str) -> Change {
    let (plan, resources, defaults) = (Some(name.parse().unwrap()), Resources::default(), ContainerDefaults::default());
    Change::Limit(Some(Limit { plan, origin: None, resources, defaults }))
}

fn share(namespace: &str, text: &str) -> Change {
    Change::Share(called(namespace), Some(amounts(text)))
}

fn plan(number: u128, name: &str, text: &str) -> Plan {
    Plan {
        id: id(number),
        name: name.parse().unwrap(),
        display_name: format!("The {name} one"),
        resources: amounts(text),
        defaults: ContainerDefaults { cpu_request: "50m".to_owned(), ..ContainerDefaults::default() },
        created_at: at(0),
        version: 1,
    }
}

/// A tenant with namespaces `dev` and `prod`.
async fn shop(store: &dyn Store) -> Grant<TenantRef> {
    add_users(store, &["ann"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    for (number, name) in [(20, "prod"), (21, "dev")] {
        store.create_namespace(&shop, &namespace(number, "shop", name)).await.unwrap();
    }
    shop
}

async fn book(store: &dyn Store, tenant: &TenantRef) -> Book {
    let mut books = store.list_books(tenant).await.unwrap();
    assert_eq!(books.len(), 1, "{books:?}");
    books.remove(0)
}

/// Limit and shares as text.
fn said(book: &Book) -> (Option<String>, Vec<String>) {
    let text = |resources: &Resources| serde_json::to_string(resources).unwrap();
    let shares = book.shares.iter().map(|share| {
        let own = share.resources.as_ref().map_or_else(|| "–".to_owned(), text);
        format!("{} {own}", share.namespace.name)
    });
    (book.limit.as_ref().map(|limit| text(&limit.resources)), shares.collect())
}

pub async fn plans(store: Arc<dyn Store>) {
    assert_eq!(store.list_plans(&platform()).await.unwrap(), []);
    let (small, large) = (plan(30, "small", "pods=10 requests.memory=1Gi"), plan(31, "large", "pods=99"));
    store.create_plan(&platform(), &small).await.unwrap();
    store.create_plan(&platform(), &large).await.unwrap();
    let error = refused(store.create_plan(&platform(), &plan(32, "small", "pods=1")).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "name");
    let name = |text: &str| text.parse::<PlanName>().unwrap();
    assert_eq!(store.find_plan(&platform(), &name("small")).await.unwrap(), Some(small.clone()));
    assert_eq!(store.find_plan(&platform(), &name("tiny")).await.unwrap(), None);
    let rows = store.list_plans(&platform()).await.unwrap();
    let rows: Vec<_> = rows.into_iter().map(|row| (row.plan.name.to_string(), row.tenants)).collect();
    assert_eq!(rows, [("large".to_owned(), 0), ("small".to_owned(), 0)]);

    let wider = Plan { display_name: "Small".to_owned(), resources: amounts("pods=12"), ..small.clone() };
    assert_eq!(store.update_plan(&platform(), &wider).await.unwrap(), 2);
    refused(store.update_plan(&platform(), &wider).await, ErrorCode::Conflict);
    let now = store.find_plan(&platform(), &name("small")).await.unwrap();
    assert_eq!(now, Some(Plan { version: 2, ..wider }));

    store.delete_plan(&platform(), &name("small")).await.unwrap();
    refused(store.delete_plan(&platform(), &name("small")).await, ErrorCode::NotFound);
}

pub async fn a_plan_that_is_used(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let cluster = ClusterId::local();
    let small = plan(30, "small", "pods=10");
    store.create_plan(&platform(), &small).await.unwrap();
    let unknown = store.change_book(&shop, &cluster, &by_plan("tiny"), at(1)).await;
    assert_eq!(refused(unknown, ErrorCode::Invalid).fields()[0].field, "plan");
    let changed = store.change_book(&shop, &cluster, &by_plan("small"), at(1)).await.unwrap();
    assert_eq!(said(&changed.before).0, None);
    assert_eq!(said(&changed.after).0.as_deref(), Some(r#"{"pods":"10"}"#));
    let limit = book(&*store, &shop).await.limit.unwrap();
    assert_eq!((limit.plan, limit.defaults), (Some(small.name.clone()), small.defaults.clone()));
    assert_eq!(store.list_plans(&platform()).await.unwrap()[0].tenants, 1);
    store.change_book(&shop, &cluster, &share("dev", "pods=8"), at(2)).await.unwrap();

    let used = refused(store.delete_plan(&platform(), &small.name).await, ErrorCode::Invalid);
    assert!(used.message().contains("shop"), "{used}");
    let tighter = Plan { resources: amounts("pods=7"), ..small.clone() };
    let error = refused(store.update_plan(&platform(), &tighter).await, ErrorCode::Invalid);
    assert!(error.message().contains("shop: 7 is less than the namespaces have: 8 (dev 8)"), "{error}");
    assert_eq!(store.find_plan(&platform(), &small.name).await.unwrap(), Some(small.clone()), "nothing changed");
    let fits = Plan { resources: amounts("pods=8"), ..small.clone() };
    assert_eq!(store.update_plan(&platform(), &fits).await.unwrap(), 2);
    assert_eq!(said(&book(&*store, &shop).await).0.as_deref(), Some(r#"{"pods":"8"}"#));

    store.change_book(&shop, &cluster, &own("pods=9"), at(3)).await.unwrap();
    store.delete_plan(&platform(), &small.name).await.unwrap();
    assert_eq!(said(&book(&*store, &shop).await).0.as_deref(), Some(r#"{"pods":"9"}"#));
}

pub async fn shares(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let cluster = ClusterId::local();
    let change = async |change: Change| store.change_book(&shop, &cluster, &change, at(1)).await;
    assert_eq!(said(&book(&*store, &shop).await), (None, vec!["dev –".to_owned(), "prod –".to_owned()]));
    change(share("dev", "pods=4")).await.unwrap();
    refused(change(own("pods=3")).await, ErrorCode::Invalid);
    change(own("pods=10 requests.cpu=2")).await.unwrap();
    change(share("prod", "pods=6 requests.cpu=500m")).await.unwrap();
    let error = refused(change(share("dev", "pods=5 requests.cpu=3")).await, ErrorCode::Invalid);
    let fields: Vec<&str> = error.fields().iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["resources[requests.cpu]", "resources[pods]"]);
    refused(change(share("gone", "pods=1")).await, ErrorCode::NotFound);

    let resources = amounts("pods=2");
    let moved = change(Change::Move { from: called("dev"), to: called("prod"), resources }).await.unwrap();
    assert_eq!(said(&moved.before).1[0], r#"dev {"pods":"4"}"#);
    let now = book(&*store, &shop).await;
    assert_eq!(now, moved.after);
    let (dev, prod) = (r#"dev {"requests.cpu":"0","pods":"2"}"#, r#"prod {"requests.cpu":"500m","pods":"8"}"#);
    assert_eq!(said(&now).1, [dev, prod]);
    change(Change::Share(called("dev"), None)).await.unwrap();
    change(Change::Limit(None)).await.unwrap();
    assert_eq!(said(&book(&*store, &shop).await), (None, vec!["dev –".to_owned(), prod.to_owned()]));
}

pub async fn books_of_all(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    let east: ClusterId = "east".parse().unwrap();
    // Limited where it has no namespace yet.
    store.change_book(&bank, &east, &own("pods=1"), at(1)).await.unwrap();
    store.change_book(&shop, &ClusterId::local(), &share("dev", "pods=1"), at(1)).await.unwrap();
    // A share on one cluster takes nothing of another's limit, and is not found there.
    store.change_book(&shop, &east, &own("pods=1"), at(1)).await.unwrap();
    refused(store.change_book(&shop, &east, &share("dev", "pods=1"), at(1)).await, ErrorCode::NotFound);
    let all = store.list_all_books(&platform()).await.unwrap();
    let places: Vec<String> = all.iter().map(|b| format!("{} {} {}", b.tenant, b.cluster, b.shares.len())).collect();
    assert_eq!(places, ["bank east 0", "shop east 0", "shop local 2"]);
    assert_eq!(store.list_books(&bank).await.unwrap(), all[..1]);
    assert_eq!(all[2].display_name, "The shop team");
}

pub async fn a_namespace_comes_with_its_share_or_not_at_all(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    store.change_book(&shop, &ClusterId::local(), &own("pods=5"), at(1)).await.unwrap();
    let test = namespace(22, "shop", "test");
    let much = store.create_namespace_with(&shop, &test, &amounts("pods=6"), at(1)).await;
    assert_eq!(refused(much, ErrorCode::Invalid).fields()[0].field, "resources[pods]");
    assert_eq!(store.list_namespaces(&shop).await.unwrap().len(), 2);
    store.create_namespace_with(&shop, &test, &amounts("pods=5"), at(1)).await.unwrap();
    assert_eq!(said(&book(&*store, &shop).await).1[2], r#"test {"pods":"5"}"#);
    let again = namespace(23, "shop", "test");
    refused(store.create_namespace_with(&shop, &again, &amounts("pods=0"), at(1)).await, ErrorCode::AlreadyExists);
}

/// Many want the last of a quota at once, through several stores: as many get it as there is, and the ledger says so.
pub async fn race(stores: &[Arc<dyn Store>], rounds: usize, requests: usize) {
    let store = &*stores[0];
    add_users(store, &["ann"]).await;
    let pods: QuotaKey = "pods".parse().unwrap();
    let limit = requests / 3 + 1;
    for round in 0..rounds as u128 {
        let name = format!("shop{round}");
        let shop = add_tenant(store, 1000 + round, &name, id(1)).await;
        let places: Vec<String> = (0..requests).map(|n| format!("n{n}")).collect();
        for (number, place) in (0..).zip(&places) {
            let number = 100_000 + round * 10_000 + number;
            store.create_namespace(&shop, &namespace(number, &name, place)).await.unwrap();
        }
        let cluster = ClusterId::local();
        store.change_book(&shop, &cluster, &own(&format!("pods={limit}")), at(1)).await.unwrap();
        let asked = places.iter().enumerate().map(|(n, place)| {
            let (store, shop, cluster) = (stores[n % stores.len()].clone(), shop.clone(), cluster.clone());
            let change = share(place, "pods=1");
            tokio::spawn(async move { store.change_book(&shop, &cluster, &change, at(2)).await })
        });
        let (mut given, mut denied) = (0, 0);
        for answer in futures::future::join_all(asked).await {
            match answer.expect("no panic") {
                Ok(_) => given += 1,
                Err(e) if e.code() == ErrorCode::Invalid => denied += 1,
                Err(e) => panic!("{e}: {:?}", std::error::Error::source(&e)),
            }
        }
        assert_eq!((given, denied), (limit, requests - limit), "round {round}");
        let book = book(store, &shop).await;
        assert_eq!(book.shared(&pods), Some(Quantity::units(i64::try_from(limit).unwrap())), "round {round}");
        assert_eq!(book.lacks(), []);
    }
}

pub async fn the_last_of_a_quota_is_given_once(store: Arc<dyn Store>) {
    race(&[store], 2, 20).await;
}

/// Limits shrink and plans change while shares grow: whoever comes first, the sum never passes the limit.
pub async fn limits_and_shares_at_once(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let cluster = ClusterId::local();
    let small = plan(30, "small", "pods=10");
    store.create_plan(&platform(), &small).await.unwrap();
    store.change_book(&shop, &cluster, &by_plan("small"), at(1)).await.unwrap();
    let mut version = 1;
    for _ in 0..10 {
        store.change_book(&shop, &cluster, &share("dev", "pods=4"), at(1)).await.unwrap();
        store.change_book(&shop, &cluster, &share("prod", "pods=0"), at(1)).await.unwrap();
        let tighter = Plan { resources: amounts("pods=6"), version, ..small.clone() };
        let (more, platform) = (share("prod", "pods=4"), platform());
        let (a, b) =
            tokio::join!(store.update_plan(&platform, &tighter), store.change_book(&shop, &cluster, &more, at(2)),);
        assert!(a.is_ok() != b.is_ok(), "one of them: {a:?} {b:?}");
        assert_eq!(book(&*store, &shop).await.lacks(), []);
        if let Ok(new) = a {
            version = new;
            store.update_plan(&platform, &Plan { version, ..small.clone() }).await.unwrap();
            version += 1;
        }
    }
}

pub const FULL: (usize, usize) = (ROUNDS, REQUESTS);
