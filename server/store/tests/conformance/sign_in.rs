//! Sessions, tokens, failed sign-ins.

use std::sync::Arc;

use berth_core::ports::store::{Failures, NewToken, Store};
use berth_types::{
    ErrorCode,
    people::{Session, TokenPurpose, TokenScope, User},
};
use jiff::{SignedDuration, Timestamp};

use crate::fixture::{add_users, at, digest, id, platform, refused, session, token};

fn micros(time: Timestamp, by: i64) -> Timestamp {
    time + SignedDuration::from_micros(by)
}

pub async fn sessions(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    for (number, user) in [(1, &users[0]), (2, &users[0]), (3, &users[1])] {
        store.create_session(&session(number, user.id)).await.unwrap();
    }
    let (found, account, _) = store.find_session(&digest(2), at(10), at(0)).await.unwrap().expect("found");
    let want = Session {
        id: id(2),
        created_at: at(2),
        last_seen_at: at(2),
        expires_at: at(1000),
        user_agent: "Firefox".to_owned(),
        network: "10.0.0.1".to_owned(),
        current: false,
    };
    assert_eq!((found, &account.user), (want, &users[0]));
    assert_eq!(account.password_hash.as_deref(), Some("$argon2id$1"));
    assert!(store.find_session(&digest(9), at(10), at(0)).await.unwrap().is_none());

    let ids = |sessions: Vec<Session>| sessions.iter().map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_sessions(id(1), at(10)).await.unwrap()), [id(2), id(1)], "newest first");
    assert!(store.list_sessions(id(1), at(1000)).await.unwrap().is_empty());

    refused(store.end_session(id(1), id(3)).await, ErrorCode::NotFound);
    assert!(store.find_session(&digest(3), at(10), at(0)).await.unwrap().is_some(), "not theirs to end");
    store.end_session(id(1), id(2)).await.unwrap();
    assert!(store.find_session(&digest(2), at(10), at(0)).await.unwrap().is_none());
    refused(store.end_session(id(1), id(2)).await, ErrorCode::NotFound);

    store.create_session(&session(4, id(1))).await.unwrap();
    assert_eq!(store.end_sessions(id(1), Some(id(4))).await.unwrap(), 1);
    assert_eq!(ids(store.list_sessions(id(1), at(10)).await.unwrap()), [id(4)]);
    assert_eq!(store.end_sessions(id(1), None).await.unwrap(), 1);
    assert_eq!(ids(store.list_sessions(id(2), at(10)).await.unwrap()), [id(3)]);
}

pub async fn sessions_end(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    store.create_session(&session(1, id(1))).await.unwrap();
    let alive = async |now, idle_before| store.find_session(&digest(1), now, idle_before).await.unwrap().is_some();
    // Absolute limit: expires at 1000 s.
    assert!(alive(micros(at(1000), -1), at(0)).await);
    assert!(!alive(at(1000), at(0)).await);
    // Idle limit: last seen at 1 s.
    assert!(alive(at(500), micros(at(1), -1)).await);
    assert!(!alive(at(500), at(1)).await);

    store.touch_session(id(1), at(400)).await.unwrap();
    assert!(alive(at(500), at(399)).await);
    // A touch that comes late does not turn the time back.
    store.touch_session(id(1), at(300)).await.unwrap();
    assert_eq!(store.list_sessions(id(1), at(500)).await.unwrap()[0].last_seen_at, at(400));
    // One that has ended meanwhile is no error.
    store.touch_session(id(9), at(300)).await.unwrap();
}

pub async fn disabled_people_are_out(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    for (number, user) in [(1, &users[0]), (2, &users[1])] {
        store.create_session(&session(number, user.id)).await.unwrap();
        store.create_token(&token(number, user.id, "ci")).await.unwrap();
    }
    store.update_user(&platform(), &User { disabled: true, ..users[0].clone() }).await.unwrap();
    for (number, in_) in [(1, false), (2, true)] {
        assert_eq!(store.find_session(&digest(number), at(10), at(0)).await.unwrap().is_some(), in_);
        assert_eq!(store.find_token(&digest(number), at(10)).await.unwrap().is_some(), in_);
    }
    // A sign-in that was under way when the account was disabled.
    assert!(!store.create_session(&session(3, id(1))).await.unwrap());
    // Let in again: the sessions are gone for good, the tokens are theirs still.
    store.update_user(&platform(), &users[0]).await.unwrap();
    for number in [1, 3] {
        assert!(store.find_session(&digest(number), at(10), at(0)).await.unwrap().is_none(), "{number}");
    }
    assert!(store.find_token(&digest(1), at(10)).await.unwrap().is_some());
}

pub async fn tokens(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    let scope = TokenScope {
        read_only: true,
        tenant: Some("shop".parse().unwrap()),
        namespace: Some("prod".parse().unwrap()),
        actions: vec!["app.update".parse().unwrap(), "log.read".parse().unwrap()],
    };
    let mut scoped = token(1, id(1), "ci");
    scoped.scope = scope.clone();
    store.create_token(&scoped).await.unwrap();
    store.create_token(&token(2, id(1), "laptop")).await.unwrap();
    store.create_token(&token(3, id(2), "ci")).await.unwrap();
    let error = refused(store.create_token(&token(4, id(1), "ci")).await, ErrorCode::AlreadyExists);
    assert_eq!(error.fields()[0].field, "name");

    let (found, account) = store.find_token(&digest(1), at(10)).await.unwrap().expect("found");
    assert_eq!((found.id, found.name.as_str(), found.prefix.as_str()), (id(1), "ci", "berth_1"));
    assert_eq!((found.scope, found.created_at, found.expires_at), (scope, at(1), at(1000)));
    assert_eq!((found.last_used_at, account.user), (None, users[0].clone()));
    assert!(store.find_token(&digest(1), micros(at(1000), -1)).await.unwrap().is_some());
    assert!(store.find_token(&digest(1), at(1000)).await.unwrap().is_none(), "expired");
    assert!(store.find_token(&digest(4), at(10)).await.unwrap().is_none());

    for (touched, seen) in [(50, 50), (40, 50), (60, 60)] {
        store.touch_token(id(1), at(touched)).await.unwrap();
        let (found, _) = store.find_token(&digest(1), at(100)).await.unwrap().expect("found");
        assert_eq!(found.last_used_at, Some(at(seen)));
    }

    let names = |tokens: Vec<berth_types::people::ApiToken>| tokens.into_iter().map(|t| t.name).collect::<Vec<_>>();
    assert_eq!(names(store.list_tokens(id(1)).await.unwrap()), ["laptop", "ci"], "newest first");
    refused(store.revoke_token(id(1), id(3)).await, ErrorCode::NotFound);
    assert!(store.find_token(&digest(3), at(10)).await.unwrap().is_some(), "not theirs to revoke");
    store.revoke_token(id(1), id(1)).await.unwrap();
    assert!(store.find_token(&digest(1), at(10)).await.unwrap().is_none());
    refused(store.revoke_token(id(1), id(1)).await, ErrorCode::NotFound);
    store.create_token(&token(4, id(1), "ci")).await.unwrap();

    // One that a token made ends with it, and with nothing else.
    let kubectl = |number, made_by| NewToken {
        purpose: TokenPurpose::Kubectl,
        made_by,
        ..token(number, id(1), &format!("kubectl {number}"))
    };
    store.create_token(&kubectl(5, Some(id(4)))).await.unwrap();
    store.create_token(&kubectl(6, None)).await.unwrap();
    let purpose =
        async |number| store.find_token(&digest(number), at(10)).await.unwrap().map(|(token, _)| token.purpose);
    assert_eq!(purpose(4).await, Some(TokenPurpose::Api));
    assert_eq!(purpose(5).await, Some(TokenPurpose::Kubectl));
    store.revoke_token(id(1), id(4)).await.unwrap();
    assert_eq!((purpose(5).await, purpose(6).await), (None, Some(TokenPurpose::Kubectl)));
}

pub async fn failures(store: Arc<dyn Store>) {
    assert_eq!(store.failures("ann").await.unwrap(), None);
    for (second, since, want) in [(0, -60, 1), (10, -50, 2), (20, -40, 3), (100, 20, 4), (200, 101, 1)] {
        assert_eq!(store.count_failure("ann", at(second), at(since)).await.unwrap(), want, "at {second}");
        assert_eq!(store.failures("ann").await.unwrap(), Some(Failures { count: want, last_at: at(second) }));
    }
    assert_eq!(store.count_failure("10.0.0.0/24", at(0), at(-60)).await.unwrap(), 1);
    store.clear_failures("ann").await.unwrap();
    assert_eq!(store.failures("ann").await.unwrap(), None);
    assert!(store.failures("10.0.0.0/24").await.unwrap().is_some());
}

pub async fn failures_at_once(store: Arc<dyn Store>) {
    let all = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.count_failure("ann", at(0), at(-60)).await.unwrap() })
    });
    let mut counts: Vec<i64> = futures::future::try_join_all(all).await.unwrap();
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).collect::<Vec<_>>(), "none is lost, none counted twice");
}

pub async fn sweep(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    for number in [1, 2] {
        let ends = at(100 * i64::from(number));
        let mut session = session(number, id(1));
        session.expires_at = ends;
        store.create_session(&session).await.unwrap();
        let mut token = token(number, id(1), &format!("t{number}"));
        token.expires_at = ends;
        store.create_token(&token).await.unwrap();
        store.count_failure(&format!("k{number}"), ends, at(0)).await.unwrap();
        store.claim_idempotency(id(1), &format!("k{number}"), &digest(1), ends).await.unwrap();
    }
    assert_eq!(store.sweep(at(100)).await.unwrap(), 0, "what ends just now stays");
    assert_eq!(store.sweep(at(150)).await.unwrap(), 4);
    assert_eq!(store.list_tokens(id(1)).await.unwrap().len(), 1);
    assert_eq!(store.list_sessions(id(1), at(0)).await.unwrap().len(), 1);
    assert_eq!(store.failures("k1").await.unwrap(), None);
    assert!(store.failures("k2").await.unwrap().is_some());
    let claim = async |key| store.claim_idempotency(id(1), key, &digest(1), at(150)).await;
    assert!(claim("k1").await.unwrap().is_none(), "free again");
    assert!(claim("k2").await.unwrap().is_some());
}
