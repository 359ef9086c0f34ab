//! Passkeys, and questions that wait for one.

use std::sync::Arc;

use berth_core::ports::{
    passkeys::{Ceremony, StoredPasskey},
    second_factors::{Authenticator, SecondStep},
    sign_in::Most,
    store::Store,
};
use berth_types::{
    ErrorCode,
    people::{Passkey, User},
};
use futures::future::join_all;

use crate::fixture::{add_users, at, digest, id, name, platform, refused, session};

fn passkey(number: u8, user: u128, count: u32) -> StoredPasskey {
    StoredPasskey {
        user: id(user),
        credential: vec![number, 0, 255],
        key: vec![1, 0, number],
        count,
        shown: Passkey {
            id: id(1000 + u128::from(number)),
            name: format!("key {number}"),
            created_at: at(i64::from(number)),
            last_used_at: None,
        },
    }
}

async fn codes(store: &dyn Store, user: u128) -> i64 {
    store.count_recovery_codes(id(user)).await.unwrap()
}

pub async fn passkeys(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob"]).await;
    let (one, two, bobs) = (passkey(1, 1, 0), passkey(2, 1, 7), passkey(3, 2, 0));
    assert!(store.find_passkey(&one.credential).await.unwrap().is_none());
    // Later ones first: they come back in order.
    assert!(store.add_passkey(&two, &[digest(1), digest(2)]).await.unwrap(), "the first factor");
    assert!(!store.add_passkey(&one, &[digest(3)]).await.unwrap());
    assert_eq!(codes(&*store, 1).await, 2, "those of the first");
    assert!(store.add_passkey(&bobs, &[]).await.unwrap());
    assert_eq!(store.list_passkeys(id(1)).await.unwrap(), [one.clone(), two.clone()]);
    let (found, account) = store.find_passkey(&two.credential).await.unwrap().expect("hers");
    assert_eq!((found, account.user), (two.clone(), User { second_factor: true, ..users[0].clone() }));
    assert!(account.password_hash.is_some());
    let taken = StoredPasskey { credential: one.credential.clone(), ..passkey(9, 2, 0) };
    refused(store.add_passkey(&taken, &[]).await, ErrorCode::AlreadyExists);
    refused(store.add_passkey(&passkey(9, 9, 0), &[]).await, ErrorCode::NotFound);

    store.rename_passkey(id(1), one.shown.id, "Blue").await.unwrap();
    refused(store.rename_passkey(id(2), one.shown.id, "Mine").await, ErrorCode::NotFound);
    assert_eq!(store.list_passkeys(id(1)).await.unwrap()[0].shown.name, "Blue");
    store.update_user(&platform(), &User { disabled: true, ..users[1].clone() }).await.unwrap();
    assert!(store.find_passkey(&bobs.credential).await.unwrap().is_none(), "suspended");
}

pub async fn passkeys_count_upwards(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let (silent, counting) = (passkey(1, 1, 0), passkey(2, 1, 7));
    store.add_passkey(&silent, &[]).await.unwrap();
    store.add_passkey(&counting, &[]).await.unwrap();
    for (id, count, taken) in [
        (silent.shown.id, 0, true),
        (silent.shown.id, 0, true),
        (counting.shown.id, 7, false),
        (counting.shown.id, 0, false),
        (counting.shown.id, 8, true),
        (counting.shown.id, 8, false),
        (counting.shown.id, u32::MAX, true),
        (silent.shown.id, 1, true),
        (silent.shown.id, 0, false),
        (id(9), 1, false),
    ] {
        assert_eq!(store.use_passkey(id, count, at(50)).await.unwrap(), taken, "{id} {count}");
    }
    let all = store.list_passkeys(id(1)).await.unwrap();
    assert_eq!(all.iter().map(|passkey| passkey.count).collect::<Vec<_>>(), [1, u32::MAX]);
    assert!(all.iter().all(|passkey| passkey.shown.last_used_at == Some(at(50))));
    store.add_passkey(&passkey(3, 1, 1), &[]).await.unwrap();
    let all = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.use_passkey(id(1003), 2, at(60)).await.unwrap() })
    });
    let taken = join_all(all).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(taken, 1, "of those who come with the same count at once, one");
}

pub async fn what_goes_with_a_passkey(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let has = async |user: &str| store.find_account(&name(user)).await.unwrap().expect("found").user.second_factor;
    let app = Authenticator { sealed: vec![1], created_at: at(5), last_step: 100 };
    store.add_passkey(&passkey(1, 1, 0), &[digest(1), digest(2)]).await.unwrap();
    store.add_passkey(&passkey(2, 2, 0), &[digest(1)]).await.unwrap();
    assert!(!store.add_authenticator(id(1), &app, &[digest(7)]).await.unwrap(), "not the first");
    store.replace_recovery_codes(id(2), &[digest(3), digest(4)]).await.unwrap();
    assert_eq!((codes(&*store, 1).await, codes(&*store, 2).await), (2, 2));
    for (number, user) in [(1, 1), (2, 1), (3, 2)] {
        store.create_session(&session(number, id(user))).await.unwrap();
        let step = SecondStep { digest: digest(number), user: id(user), expires_at: at(100), password: None };
        store.begin_second_step(&step, 5).await.unwrap();
    }
    assert_eq!(store.look_at_second_step(&digest(1), at(99)).await.unwrap(), Some(id(1)));
    assert_eq!(store.look_at_second_step(&digest(1), at(100)).await.unwrap(), None);
    refused(store.remove_passkey(id(1), id(1002), None, at(5)).await, ErrorCode::NotFound);
    store.remove_passkey(id(1), id(1001), Some(id(2)), at(5)).await.unwrap();
    assert!(has("ann").await, "by the app");
    assert_eq!(codes(&*store, 1).await, 2, "for the app");
    for (number, alive) in [(1, false), (2, true), (3, true)] {
        assert_eq!(store.find_session(&digest(number), at(10), at(0)).await.unwrap().is_some(), alive, "{number}");
    }
    assert!(!store.end_second_step(&digest(1)).await.unwrap(), "begun with what is gone");
    store.add_passkey(&passkey(1, 1, 0), &[digest(8)]).await.unwrap();
    store.remove_authenticator(id(1), None, at(5)).await.unwrap();
    assert!(has("ann").await, "by the passkey");
    refused(store.remove_authenticator(id(1), None, at(5)).await, ErrorCode::NotFound);
    assert_eq!(codes(&*store, 1).await, 2);
    store.remove_passkey(id(1), id(1001), None, at(5)).await.unwrap();
    assert!(!has("ann").await);
    assert_eq!(codes(&*store, 1).await, 0);
    assert!(has("bob").await);
    store.remove_second_factors(id(2), at(5)).await.unwrap();
    assert!(!has("bob").await && store.list_passkeys(id(2)).await.unwrap().is_empty());
}

pub async fn questions_for_passkeys(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let most = Most { of_network: 3, of_user: 2, overall: 6 };
    let question = |number: u8, network: &str, user: Option<u128>| Ceremony {
        digest: digest(number),
        user: user.map(id),
        network: network.to_owned(),
        expires_at: at(100 + i64::from(number)),
    };
    let begin = async |number: u8, network: &str, user: Option<u128>| {
        store.begin_ceremony(&question(number, network, user), most, at(i64::from(number))).await.unwrap();
    };
    let left = async |numbers: &[u8]| {
        let mut left = Vec::new();
        for number in numbers {
            left.extend(store.take_ceremony(&digest(*number)).await.unwrap().map(|_| *number));
        }
        left
    };
    begin(1, "a", Some(1)).await;
    assert_eq!(store.take_ceremony(&digest(1)).await.unwrap(), Some(question(1, "a", Some(1))));
    assert_eq!(store.take_ceremony(&digest(1)).await.unwrap(), None, "once");
    for number in 1..=5 {
        begin(number, "a", None).await;
    }
    assert_eq!(left(&[1, 2, 3, 4, 5]).await, [3, 4, 5], "of one network");
    for (number, user) in [(1, 1), (2, 2), (3, 1), (4, 1)] {
        begin(number, &format!("n{number}"), Some(user)).await;
    }
    assert_eq!(left(&[1, 2, 3, 4]).await, [2, 3, 4], "of one person");
    for number in 1..=8 {
        begin(number, &format!("n{number}"), None).await;
    }
    assert_eq!(left(&[1, 2, 3, 4, 5, 6, 7, 8]).await, [3, 4, 5, 6, 7, 8], "in all");
    begin(1, "a", None).await;
    begin(101, "b", None).await;
    assert_eq!(left(&[1, 101]).await, [101], "what is over goes with the next");
    begin(1, "a", None).await;
    assert_eq!(store.sweep(at(101)).await.unwrap(), 0, "what ends just now stays");
    assert_eq!(store.sweep(at(102)).await.unwrap(), 1);
}
