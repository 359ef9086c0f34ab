//! The audit log and idempotency keys.

use std::sync::Arc;

use berth_core::ports::store::{IdempotentReply, NewAudit, Store, StoredReply};
use berth_types::{ErrorCode, ListQuery};
use serde_json::json;

use crate::fixture::{add_users, at, digest, id, platform, refused};

pub fn entry(second: i64, actor: &str, target: &str) -> NewAudit {
    NewAudit {
        id: id(u128::from(second.unsigned_abs())),
        at: at(second),
        actor: actor.to_owned(),
        via: "session".to_owned(),
        action: "app.create".to_owned(),
        target: target.to_owned(),
        tenant: target.split('/').next().filter(|tenant| !tenant.is_empty()).map(|tenant| tenant.parse().unwrap()),
        outcome: "done",
        reason: None,
        detail: None,
        request_id: format!("r{second}"),
        network: "10.0.0.1".to_owned(),
    }
}

async fn seconds(store: &dyn Store, query: &ListQuery) -> Vec<i64> {
    let page = store.list_audit(&platform(), query).await.unwrap();
    page.items.iter().map(|entry| entry.at.duration_since(at(0)).as_secs()).collect()
}

pub async fn audit(store: Arc<dyn Store>) {
    let detail = json!({ "image": ["a:1", "a:2"], "note": "Größe ≤ 5" });
    let told = NewAudit {
        via: "token:berth_ab".to_owned(),
        outcome: "failed",
        reason: Some("conflict".to_owned()),
        detail: Some(detail.clone()),
        ..entry(1, "ann", "shop/prod/web")
    };
    store.append_audit(&told).await.unwrap();
    store.append_audit(&entry(2, "system:reconciler", "")).await.unwrap();
    let page = store.list_audit(&platform(), &ListQuery::default()).await.unwrap();
    assert_eq!((page.items.len(), page.total), (2, 2));
    let (newer, older) = (&page.items[0], &page.items[1]);
    assert!(newer.id > older.id);
    assert_eq!((newer.actor.as_str(), &newer.tenant, &newer.detail), ("system:reconciler", &None, &None));
    assert_eq!((older.at, older.actor.as_str(), older.via.as_str()), (at(1), "ann", "token:berth_ab"));
    assert_eq!((older.action.as_str(), older.target.as_str()), ("app.create", "shop/prod/web"));
    assert_eq!(older.tenant.as_ref().map(|name| name.as_str()), Some("shop"));
    assert_eq!((older.outcome.as_str(), older.reason.as_deref()), ("failed", Some("conflict")));
    assert_eq!((older.detail.as_ref(), older.request_id.as_str()), (Some(&detail), "r1"));
    assert_eq!(older.network, "10.0.0.1");
}

async fn outcomes(store: &dyn Store) -> Vec<(String, String)> {
    let page = store.list_audit(&platform(), &ListQuery::default()).await.unwrap();
    page.items.into_iter().map(|entry| (entry.request_id, entry.outcome)).collect()
}

pub async fn an_end_is_told_once(store: Arc<dyn Store>) {
    let attempt = entry(1, "ann", "shop/dev/web");
    store.begin_audit(&attempt).await.unwrap();
    for _ in 0..2 {
        store.append_audit_again(&attempt).await.unwrap();
        assert_eq!(outcomes(&*store).await.len(), 1);
    }
}

pub async fn attempts_end(store: Arc<dyn Store>) {
    let told = |request: &str, outcome: &str| (request.to_owned(), outcome.to_owned());
    for second in 1..=4 {
        store.begin_audit(&entry(second, "ann", "shop/dev/web")).await.unwrap();
    }
    assert_eq!(outcomes(&*store).await, [], "an attempt is no entry");
    store.append_audit(&NewAudit { actor: "bob".to_owned(), ..entry(1, "", "shop/dev/web") }).await.unwrap();
    // Two replicas look at once.
    let (one, other) = tokio::join!(store.settle_audit(at(4)), store.settle_audit(at(4)));
    assert_eq!(one.unwrap() + other.unwrap(), 2);
    let mut found = outcomes(&*store).await;
    found.sort();
    assert_eq!(found, [told("r1", "done"), told("r2", "unknown"), told("r3", "unknown")]);
    let page = store.list_audit(&platform(), &ListQuery::default().filter("outcome", "unknown")).await.unwrap();
    let settled = page.items.iter().find(|entry| entry.request_id == "r2").unwrap();
    assert_eq!((settled.at, settled.actor.as_str(), settled.via.as_str()), (at(2), "ann", "session"));
    assert_eq!((settled.action.as_str(), settled.target.as_str()), ("app.create", "shop/dev/web"));
    assert_eq!(settled.tenant.as_ref().map(|name| name.as_str()), Some("shop"));
    assert_eq!((&settled.reason, &settled.detail, settled.network.as_str()), (&None, &None, "10.0.0.1"));
    // Who is late after all has the last word.
    store.append_audit(&entry(2, "ann", "shop/dev/web")).await.unwrap();
    assert_eq!(outcomes(&*store).await[0], told("r2", "done"));
}

pub async fn audit_is_filtered(store: Arc<dyn Store>) {
    let rows = [
        entry(1, "ann", "shop/prod/web"),
        NewAudit { outcome: "denied", ..entry(2, "bob", "shop/dev/web") },
        NewAudit { action: "app.delete".to_owned(), ..entry(3, "ann", "bank/prod/core_api") },
        entry(4, "ann", ""),
    ];
    for row in &rows {
        store.append_audit(row).await.unwrap();
    }
    let all = ListQuery::default;
    let searched = |q: &str| ListQuery { q: q.to_owned(), ..all() };
    for (query, want) in [
        (all(), vec![4, 3, 2, 1]),
        (ListQuery { sort: ListQuery::parse_sort("at"), ..all() }, vec![1, 2, 3, 4]),
        (all().filter("actor", "ann"), vec![4, 3, 1]),
        (all().filter("actor", "ann").filter("tenant", "shop"), vec![1]),
        (all().filter("tenant", "shop").filter("tenant", "bank"), vec![3, 2, 1]),
        (all().filter("action", "app.delete"), vec![3]),
        (all().filter("outcome", "denied"), vec![2]),
        (searched("WEB"), vec![2, 1]),
        (searched("web prod"), vec![1]),
        (searched("e_a"), vec![3]),
        (searched("%"), vec![]),
    ] {
        assert_eq!(seconds(&*store, &query).await, want, "{query:?}");
    }
    for (query, field) in
        [(all().filter("detail", "x"), "filter"), (ListQuery { sort: ListQuery::parse_sort("actor"), ..all() }, "sort")]
    {
        let error = refused(store.list_audit(&platform(), &query).await, ErrorCode::Invalid);
        assert_eq!(error.fields()[0].field, field);
    }
}

pub async fn audit_refuses_unknown_values(store: Arc<dyn Store>) {
    let query = ListQuery::default().filter("outcome", "maybe");
    let error = refused(store.list_audit(&platform(), &query).await, ErrorCode::Invalid);
    assert_eq!(error.fields()[0].field, "outcome");
}

pub async fn audit_is_paged_while_it_grows(store: Arc<dyn Store>) {
    for second in 1..=5 {
        store.append_audit(&entry(second, "ann", "shop")).await.unwrap();
    }
    let mut query = ListQuery { limit: 2, ..ListQuery::default() };
    let mut seen = Vec::new();
    for second in 6.. {
        let page = store.list_audit(&platform(), &query).await.unwrap();
        seen.extend(page.items.iter().map(|entry| entry.at.duration_since(at(0)).as_secs()));
        store.append_audit(&entry(second, "ann", "shop")).await.unwrap();
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1], "each once, new ones not at all");
}

pub async fn replies_are_kept(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let claim =
        async |user, key, request| store.claim_idempotency(id(user), key, &digest(request), at(0)).await.unwrap();
    assert_eq!(claim(1, "k", 1).await, None);
    assert_eq!(
        claim(1, "k", 2).await,
        Some(IdempotentReply { request: digest(1), claimed_at: at(0), reply: None }),
        "being answered"
    );
    assert_eq!(claim(2, "k", 3).await, None, "everybody has their own keys");

    let reply = StoredReply { status: 201, headers: json!({ "etag": "\"1\"" }), body: vec![0, 159, 146, 150] };
    store.keep_reply(id(1), "k", at(0), &reply).await.unwrap();
    let kept = Some(IdempotentReply { request: digest(1), claimed_at: at(0), reply: Some(reply.clone()) });
    assert_eq!(claim(1, "k", 2).await, kept);
    store.release_idempotency(id(1), "k", at(0)).await.unwrap();
    assert_eq!(claim(1, "k", 2).await, kept, "what was answered stays answered");
    let other = StoredReply { status: 500, headers: json!({}), body: vec![] };
    refused(store.keep_reply(id(1), "k", at(0), &other).await, ErrorCode::NotFound);
    refused(store.keep_reply(id(1), "unclaimed", at(0), &other).await, ErrorCode::NotFound);
    assert_eq!(claim(1, "k", 2).await, kept);

    store.release_idempotency(id(2), "k", at(0)).await.unwrap();
    assert_eq!(claim(2, "k", 4).await, None, "given up, so free");
    let empty = StoredReply { status: 204, headers: json!({}), body: vec![] };
    store.keep_reply(id(2), "k", at(0), &empty).await.unwrap();
    assert_eq!(
        claim(2, "k", 4).await,
        Some(IdempotentReply { request: digest(4), claimed_at: at(0), reply: Some(empty) })
    );
}

pub async fn a_claim_taken_over_is_lost(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let claim = async |second| store.claim_idempotency(id(1), "k", &digest(1), at(second)).await.unwrap();
    assert_eq!(claim(0).await, None);
    // Somebody takes the claim for dead, gives it up in its owner's place and makes one of their own.
    store.release_idempotency(id(1), "k", at(0)).await.unwrap();
    assert_eq!(claim(9).await, None);
    // Whoever else thought so, or the slow owner, changes nothing any more.
    let later = Some(IdempotentReply { request: digest(1), claimed_at: at(9), reply: None });
    store.release_idempotency(id(1), "k", at(0)).await.unwrap();
    assert_eq!(claim(10).await, later);
    let reply = StoredReply { status: 201, headers: json!({}), body: vec![] };
    refused(store.keep_reply(id(1), "k", at(0), &reply).await, ErrorCode::NotFound);
    assert_eq!(claim(10).await, later);
    store.keep_reply(id(1), "k", at(9), &reply).await.unwrap();
}

pub async fn one_claim_wins(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    for round in 0..5 {
        let all = (0..8).map(|number| {
            let store = store.clone();
            let key = format!("k{round}");
            tokio::spawn(async move {
                store.claim_idempotency(id(1), &key, &digest(number), at(0)).await.unwrap().map(|known| known.request)
            })
        });
        let answers = futures::future::try_join_all(all).await.unwrap();
        let winner = answers.iter().position(Option::is_none).expect("somebody wins");
        for (number, answer) in answers.into_iter().enumerate() {
            let want = (number != winner).then(|| digest(u8::try_from(winner).unwrap()));
            assert_eq!(answer, want, "the others learn who");
        }
    }
}
