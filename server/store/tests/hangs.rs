//! A database that takes connections and does not answer: the way to it is lost, or somebody holds its locks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Arc, time::Duration};

use berth_core::ports::store::Store;
use berth_store::{
    Options, connect,
    testing::{Held, Postgres, Way, entry},
};
use berth_types::ErrorCode;
use futures::future::join_all;

/// As production has it, but in a twentieth of the time.
fn options() -> Options {
    Options { max_connections: 2, answer_timeout: Duration::from_millis(500), ..Options::default() }
}

async fn entries(store: &dyn Store) -> usize {
    store.audit_slice(0, 100).await.unwrap().records.len()
}

/// A store by a way that can be lost, and the database's own URL.
async fn by_a_way(server: &Postgres) -> (Arc<dyn Store>, Way, String) {
    let url = server.database().await.unwrap();
    let (way, by) = Way::to(&url).unwrap();
    (connect(&by, &options()).await.expect("opens"), way, url)
}

#[tokio::test]
async fn a_server_that_is_lost_is_given_up_and_found_again() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let (store, way, _) = by_a_way(&server).await;
    store.ping().await.unwrap();

    for round in 0..3_u128 {
        way.lose();
        // More than there are connections: none of them is waited for in vain.
        let asked = join_all((0..8).map(|_| store.ping())).await;
        assert!(asked.iter().all(|a| a.as_ref().is_err_and(|e| e.code() == ErrorCode::StoreUnavailable)), "{asked:?}");
        let read = store.audit_slice(0, 1).await.unwrap_err();
        assert!(read.message().contains("nothing was changed") && read.wait().is_some(), "{round}: {read:?}");
        let begun = store.begin_audit(&entry(1)).await.unwrap_err();
        assert!(begun.code() == ErrorCode::StoreUnavailable && begun.is_uncertain(), "{round}: {begun:?}");
        let transaction = store.append_audit(&entry(1)).await.unwrap_err();
        assert!(!transaction.is_uncertain(), "it was never committed: {transaction:?}");

        way.find();
        for asked in join_all((0..8).map(|_| store.ping())).await {
            asked.expect("no connection of before is used again");
        }
        store.append_audit(&entry(round)).await.expect("serves again");
    }
    assert_eq!(entries(&*store).await, 3);
}

#[tokio::test]
async fn a_connection_that_was_cut_off_is_not_used_again() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let (store, way, _) = by_a_way(&server).await;
    store.ping().await.unwrap();
    way.lose();
    // Outside a transaction: nothing is undone in which its end would be seen.
    store.ping().await.unwrap_err();
    way.find();
    store.ping().await.expect("the next is asked by another");
}

#[tokio::test]
async fn who_does_not_wait_takes_no_connection_with_them() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let (store, way, _) = by_a_way(&server).await;
    way.lose();
    let entry = entry(1);
    for _ in 0..4 {
        let impatient = tokio::time::timeout(Duration::from_millis(50), store.append_audit(&entry));
        assert!(impatient.await.is_err());
    }
    way.find();
    for asked in join_all((0..8).map(|_| store.ping())).await {
        asked.expect("there are connections");
    }
}

#[tokio::test]
async fn an_entry_whose_commit_was_not_heard_of_is_there_once() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let (store, way, _) = by_a_way(&server).await;
    store.begin_audit(&entry(1)).await.unwrap();
    way.lose_after("COMMIT");
    let unknown = store.append_audit(&entry(1)).await.unwrap_err();
    assert!(unknown.is_uncertain() && !unknown.message().contains("nothing was changed"), "{unknown:?}");
    assert!(way.is_lost());
    way.find();
    store.append_audit_again(&entry(1)).await.unwrap();
    assert_eq!(entries(&*store).await, 1);
}

async fn locks_are_not_waited_for_long(url: &str, script: &'static str) {
    let store = connect(url, &options()).await.expect("opens");
    store.append_audit(&entry(1)).await.unwrap();
    let held = Held::by(url, script).await.unwrap();
    let second = entry(2);
    let waited = join_all((0..4).map(|_| store.append_audit(&second))).await;
    for refused in waited {
        let refused = refused.unwrap_err();
        assert_eq!((refused.code(), refused.is_uncertain()), (ErrorCode::StoreUnavailable, false), "{refused:?}");
        assert!(refused.message().contains("nothing was changed") && refused.wait().is_some(), "{refused:?}");
    }
    store.ping().await.expect("what needs no such lock is served");
    drop(held);
    // The one who held it is gone as soon as the database notices.
    let begun = std::time::Instant::now();
    while let Err(e) = store.append_audit(&entry(3)).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{e:?}");
    }
    assert_eq!(entries(&*store).await, 2, "nothing that was given up is done afterwards");
}

#[tokio::test]
async fn locks_of_postgres_are_not_waited_for_long() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let url = server.database().await.unwrap();
    locks_are_not_waited_for_long(&url, "BEGIN; LOCK TABLE audit_head IN ACCESS EXCLUSIVE MODE").await;
}

#[tokio::test]
async fn locks_of_sqlite_are_not_waited_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("berth.db").display());
    locks_are_not_waited_for_long(&url, "BEGIN IMMEDIATE").await;
}

#[tokio::test]
async fn a_migration_waits_for_another() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let url = server.database().await.unwrap();
    let held = Held::by(&url, "BEGIN; SELECT pg_advisory_xact_lock(422608794728)").await.unwrap();
    let options = options();
    let opened = connect(&url, &options);
    tokio::pin!(opened);
    let longer = options.answer_timeout * 3;
    assert!(tokio::time::timeout(longer, &mut opened).await.is_err(), "however long the other takes");
    drop(held);
    opened.await.expect("then it is its turn").ping().await.unwrap();
}
