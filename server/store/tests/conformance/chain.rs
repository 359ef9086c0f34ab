//! The audit log as a chain, and its checkpoints.

use std::sync::Arc;

use berth_core::{
    audit::{
        Head, PublicKey,
        checkpoint::sign,
        verify::{Source, verify},
    },
    ports::store::{NewAudit, Store},
    testing::audit_key,
};
use berth_types::{ErrorCode, ListQuery, audit::AuditCheckpoint};
use serde_json::json;

use crate::{
    fixture::{at, platform, refused},
    journal::entry,
};

async fn append(store: &dyn Store, seconds: std::ops::RangeInclusive<i64>) {
    for second in seconds {
        store.append_audit(&entry(second, "ann", "shop/dev/web")).await.unwrap();
    }
}

async fn head(store: &dyn Store) -> Head {
    store.audit_slice(0, 0).await.unwrap().head.expect("there is one")
}

async fn is_whole(store: &dyn Store) -> i64 {
    let whole = verify(store, Vec::new(), None).await.unwrap().expect("whole");
    assert_eq!(whole.head, head(store).await);
    whole.head.sequence
}

pub async fn the_log_is_a_chain(store: Arc<dyn Store>) {
    assert_eq!(is_whole(&*store).await, 0, "without entries");
    let told = NewAudit {
        outcome: "failed",
        reason: Some("conflict".to_owned()),
        detail: Some(json!({ "note": "Größe ≤ 5, \"quoted\"\n", "n": [1, 2.5, null] })),
        tenant: None,
        // As people send it, and as only one of the databases keeps it.
        actor: "a\0b 名前".to_owned(),
        ..entry(1, "", "")
    };
    store.append_audit(&told).await.unwrap();
    append(&*store, 2..=3).await;
    assert_eq!(is_whole(&*store).await, 3);
    let slice = store.audit_slice(1, 1).await.unwrap();
    assert_eq!((slice.first, slice.last), (Some(1), Some(3)));
    assert_eq!(slice.records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [2]);
    assert!(store.audit_slice(3, 500).await.unwrap().records.is_empty());
}

pub async fn attempts_that_are_settled_are_chained(store: Arc<dyn Store>) {
    for second in 1..=5 {
        store.begin_audit(&entry(second, "ann", "shop/dev/web")).await.unwrap();
    }
    append(&*store, 2..=2).await;
    let (one, other) = tokio::join!(store.settle_audit(at(9)), store.settle_audit(at(9)));
    assert_eq!(one.unwrap() + other.unwrap(), 4);
    assert_eq!(is_whole(&*store).await, 5);
}

pub async fn who_appends_at_once_makes_one_chain(store: Arc<dyn Store>) {
    let all = (0..8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move { append(&*store, task * 10..=task * 10 + 9).await })
    });
    futures::future::try_join_all(all).await.unwrap();
    assert_eq!(is_whole(&*store).await, 80);
}

pub async fn an_entry_is_found_by_its_number(store: Arc<dyn Store>) {
    append(&*store, 1..=3).await;
    let page = store.list_audit(&platform(), &ListQuery::default()).await.unwrap();
    assert_eq!(page.items.iter().map(|entry| entry.id).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(page.items[0].hash, berth_core::audit::chain::hex(&head(&*store).await.hash));
    for entry in page.items {
        assert_eq!(store.find_audit(&platform(), entry.id).await.unwrap(), Some(entry));
    }
    for none in [0, 4, -1, i64::MAX] {
        assert_eq!(store.find_audit(&platform(), none).await.unwrap(), None);
    }
}

pub async fn entries_are_read_on(store: Arc<dyn Store>) {
    append(&*store, 1..=7).await;
    store.append_audit(&entry(8, "bob", "shop/dev/web")).await.unwrap();
    let read = async |query: &ListQuery, numbers, limit| {
        let entries = store.audit_after(&platform(), query, numbers, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    let all = ListQuery::default();
    assert_eq!(read(&all, (0, 100), 3).await, [1, 2, 3]);
    assert_eq!(read(&all, (3, 100), 3).await, [4, 5, 6]);
    assert_eq!(read(&all, (6, 7), 3).await, [7]);
    assert_eq!(read(&all, (8, 100), 3).await, [] as [i64; 0]);
    assert_eq!(read(&all.clone().filter("actor", "bob"), (0, 100), 3).await, [8]);
    let wrong = store.audit_after(&platform(), &all.filter("colour", "red"), (0, 9), 3).await;
    refused(wrong, ErrorCode::Invalid);
}

pub async fn the_log_is_read_from_when_to_when(store: Arc<dyn Store>) {
    append(&*store, 1..=6).await;
    let seconds = async |query: ListQuery| {
        let page = store.list_audit(&platform(), &query).await.unwrap();
        assert_eq!(page.total, page.items.len());
        let after = store.audit_after(&platform(), &query, (0, 100), 100).await.unwrap();
        assert_eq!(after.len(), page.total, "the same filters");
        page.items.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    let (from, to) = (at(3).to_string(), at(5).to_string());
    let all = ListQuery::default;
    assert_eq!(seconds(all().filter("since", &from)).await, [6, 5, 4, 3]);
    assert_eq!(seconds(all().filter("until", &to)).await, [4, 3, 2, 1]);
    assert_eq!(seconds(all().filter("since", &from).filter("until", &to).filter("actor", "ann")).await, [4, 3]);
    assert_eq!(seconds(all().filter("since", at(9).to_string())).await, [] as [i64; 0]);
    for (query, field) in
        [(all().filter("since", "soon"), "since"), (all().filter("since", &to).filter("until", &from), "until")]
    {
        let error = refused(store.list_audit(&platform(), &query).await, ErrorCode::Invalid);
        assert_eq!(error.fields()[0].field, field);
    }
}

pub async fn checkpoints(store: Arc<dyn Store>) {
    let (key, installation) = (audit_key(), store.installation().await.unwrap());
    let keys: [PublicKey; 1] = [key.public().clone()];
    assert_eq!(store.last_checkpoint().await.unwrap(), None);
    let mut made: Vec<AuditCheckpoint> = Vec::new();
    for place in 1..=3 {
        append(&*store, place * 10..=place * 10 + 4).await;
        let one = sign(&key, &installation, &head(&*store).await, at(place));
        let (first, second) = tokio::join!(store.add_checkpoint(place, &one), store.add_checkpoint(place, &one));
        assert!(first.unwrap() != second.unwrap(), "one of them");
        assert_eq!(store.last_checkpoint().await.unwrap(), Some((place, one.clone())));
        made.push(one);
    }
    let places = |from: i64, these: &[AuditCheckpoint]| (from..).zip(these.iter().cloned()).collect::<Vec<_>>();
    assert_eq!(store.checkpoints_after(0, 2).await.unwrap(), places(1, &made[..2]));
    assert_eq!(store.checkpoints_after(2, 2).await.unwrap(), places(3, &made[2..]));
    assert_eq!(store.checkpoints_after(3, 2).await.unwrap(), []);
    let newest = store.list_checkpoints(&platform(), &ListQuery { limit: 2, ..ListQuery::default() }).await.unwrap();
    assert_eq!((newest.total, newest.items), (3, vec![made[2].clone(), made[1].clone()]));
    let oldest = ListQuery { sort: ListQuery::parse_sort("sequence"), ..ListQuery::default() };
    assert_eq!(store.list_checkpoints(&platform(), &oldest).await.unwrap().items, made);

    append(&*store, 90..=91).await;
    let outside = made.iter().cloned().map(|one| (Source::File(1), one)).collect();
    let whole = verify(&*store, outside, Some(&keys)).await.unwrap().expect("whole");
    assert_eq!((whole.checkpoints, whole.covered, whole.head.sequence), (6, 15, 17));
}
