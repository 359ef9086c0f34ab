//! Authenticator apps, recovery codes, and sign-ins that wait for a code.

use std::sync::Arc;

use berth_core::ports::{
    second_factors::{Authenticator, SecondStep},
    store::Store,
};
use berth_types::{ErrorCode, ListQuery, people::User};
use futures::future::join_all;

use crate::fixture::{add_users, at, digest, id, name, platform, refused, session};

fn authenticator() -> Authenticator {
    Authenticator { sealed: vec![1, 0, 255, 7], created_at: at(5), last_step: 100 }
}

fn step(number: u8, user: u128, ends: i64) -> SecondStep {
    SecondStep { digest: digest(number), user: id(user), expires_at: at(ends), password: None }
}

pub async fn authenticators(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    assert_eq!(store.find_authenticator(id(1)).await.unwrap(), None);
    assert_eq!(store.any_authenticator().await.unwrap(), None);
    store.add_authenticator(id(1), &authenticator(), &[digest(1)]).await.unwrap();
    assert_eq!(store.find_authenticator(id(1)).await.unwrap(), Some(authenticator()));
    assert_eq!(store.any_authenticator().await.unwrap(), Some((id(1), authenticator())));
    assert_eq!(store.find_authenticator(id(2)).await.unwrap(), None);
    let again = store.add_authenticator(id(1), &authenticator(), &[digest(2), digest(3)]).await;
    refused(again, ErrorCode::AlreadyExists);
    assert_eq!(store.count_recovery_codes(id(1)).await.unwrap(), 1, "nothing of it was done");
    refused(store.add_authenticator(id(9), &authenticator(), &[]).await, ErrorCode::NotFound);

    // Wherever somebody is looked up it shows who has one.
    store.create_session(&session(1, id(1))).await.unwrap();
    let (_, account, _) = store.find_session(&digest(1), at(10), at(0)).await.unwrap().expect("found");
    assert!(account.user.second_factor);
    let has = async |user: &str| store.find_account(&name(user)).await.unwrap().expect("found").user.second_factor;
    assert!(has("ann").await && !has("bob").await);
    let listed = store.list_users(&platform(), &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.items.iter().map(|user: &User| user.second_factor).collect::<Vec<_>>(), [true, false]);
}

pub async fn codes_count_once(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    assert!(!store.take_step(id(1), 101).await.unwrap(), "there is no app");
    store.add_authenticator(id(1), &authenticator(), &[]).await.unwrap();
    for (step, taken) in [(100, false), (102, true), (102, false), (101, false), (103, true)] {
        assert_eq!(store.take_step(id(1), step).await.unwrap(), taken, "{step}");
    }
    let all = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.take_step(id(1), 200).await.unwrap() })
    });
    let taken = join_all(all).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(taken, 1, "of those who come at once, one");
}

pub async fn recovery_codes(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    refused(store.replace_recovery_codes(id(1), &[digest(1)]).await, ErrorCode::NotFound);
    for user in [1, 2] {
        store.add_authenticator(id(user), &authenticator(), &[digest(1), digest(2)]).await.unwrap();
    }
    let all = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.take_recovery_code(id(1), &digest(1)).await.unwrap() })
    });
    let taken = join_all(all).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
    assert_eq!(taken, 1, "of those who come at once, one");
    assert!(!store.take_recovery_code(id(1), &digest(9)).await.unwrap());
    assert_eq!(store.count_recovery_codes(id(1)).await.unwrap(), 1);
    assert_eq!(store.count_recovery_codes(id(2)).await.unwrap(), 2, "another's");
    store.replace_recovery_codes(id(1), &[digest(3), digest(4), digest(5)]).await.unwrap();
    assert_eq!(store.count_recovery_codes(id(1)).await.unwrap(), 3);
    assert!(!store.take_recovery_code(id(1), &digest(2)).await.unwrap(), "one from before");
    assert!(store.take_recovery_code(id(1), &digest(3)).await.unwrap());
}

pub async fn what_goes_with_them(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    refused(store.remove_second_factors(id(1), at(5)).await, ErrorCode::NotFound);
    for (number, user) in [(1, 1), (2, 1), (3, 2)] {
        store.create_session(&session(number, id(user))).await.unwrap();
        store.begin_second_step(&step(number, user, 100), 5).await.unwrap();
    }
    store.add_authenticator(id(1), &authenticator(), &[digest(1)]).await.unwrap();
    store.remove_authenticator(id(1), Some(id(2)), at(5)).await.unwrap();
    assert_eq!(store.find_authenticator(id(1)).await.unwrap(), None);
    assert_eq!(store.count_recovery_codes(id(1)).await.unwrap(), 0);
    assert!(!store.find_account(&name("ann")).await.unwrap().expect("ann").user.second_factor);
    for (number, alive) in [(1, false), (2, true), (3, true)] {
        assert_eq!(store.find_session(&digest(number), at(10), at(0)).await.unwrap().is_some(), alive, "{number}");
    }
    for (number, waits) in [(1, false), (2, false), (3, true)] {
        assert_eq!(store.end_second_step(&digest(number)).await.unwrap(), waits, "{number}");
    }
    store.add_authenticator(id(1), &authenticator(), &[digest(1)]).await.unwrap();
    store.remove_second_factors(id(1), at(5)).await.unwrap();
    assert!(store.find_session(&digest(2), at(10), at(0)).await.unwrap().is_none());
}

pub async fn sign_ins_that_wait(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob", "carl"]).await;
    for (number, user) in [(1, 1), (2, 2), (3, 3)] {
        store.begin_second_step(&step(number, user, 100), 5).await.unwrap();
    }
    for tries in 1..=3 {
        let (account, counted) = store.try_second_step(&digest(1), at(99)).await.unwrap().expect("it waits");
        assert_eq!((account.user, counted), (users[0].clone(), tries));
    }
    assert!(store.try_second_step(&digest(1), at(100)).await.unwrap().is_none(), "over");
    assert!(store.try_second_step(&digest(9), at(1)).await.unwrap().is_none());
    let all = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.try_second_step(&digest(2), at(1)).await.unwrap().expect("it waits").1 })
    });
    let mut counts: Vec<i64> = join_all(all).await.into_iter().map(|count| count.unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=8).collect::<Vec<_>>(), "each is counted before it is known what it is worth");

    store.update_user(&platform(), &User { disabled: true, ..users[2].clone() }).await.unwrap();
    assert!(store.try_second_step(&digest(3), at(1)).await.unwrap().is_none(), "suspended meanwhile");
    assert!(store.end_second_step(&digest(1)).await.unwrap());
    assert!(!store.end_second_step(&digest(1)).await.unwrap(), "once");
    assert!(store.try_second_step(&digest(1), at(1)).await.unwrap().is_none());
    store.set_password(id(2), "$argon2id$2", false, at(5)).await.unwrap();
    assert!(store.try_second_step(&digest(2), at(1)).await.unwrap().is_none(), "begun with another password");
    let late = SecondStep { password: Some("$argon2id$1".to_owned()), ..step(4, 2, 100) };
    assert!(!store.begin_second_step(&late, 5).await.unwrap(), "looked at before it was changed");
    assert!(store.try_second_step(&digest(4), at(1)).await.unwrap().is_none());
    let now = SecondStep { password: Some("$argon2id$2".to_owned()), ..late };
    assert!(store.begin_second_step(&now, 5).await.unwrap());
}

pub async fn few_wait_and_none_for_ever(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    store.begin_second_step(&step(9, 2, 50), 3).await.unwrap();
    for number in 1..=5 {
        store.begin_second_step(&step(number, 1, 100 + i64::from(number)), 3).await.unwrap();
    }
    for (number, waits) in [(1, false), (2, false), (3, true), (4, true), (5, true), (9, true)] {
        assert_eq!(store.try_second_step(&digest(number), at(1)).await.unwrap().is_some(), waits, "{number}");
    }
    assert_eq!(store.sweep(at(103)).await.unwrap(), 1, "what ends just now stays");
    assert_eq!(store.sweep(at(200)).await.unwrap(), 3);
}
