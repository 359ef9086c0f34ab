//! What comes at once, over fakes: guesses, and a password that is changed while somebody signs in with it.
#![allow(clippy::unwrap_used)]

use berth_types::ErrorCode;
use futures::future::join_all;
use secrecy::{ExposeSecret, SecretString};

use super::{
    second_factor_tests::{PASSWORD, Scene, code, why},
    second_factors::Required,
    sign_in::Purpose,
};
use crate::{
    OpCtx,
    error::{Error, Result},
    ports::{sign_in::SignIns as _, store::People as _},
};

/// How many of them say whether the guess was right; all others say that they must wait.
#[track_caller]
fn answered<T>(all: Vec<Result<T>>) -> usize {
    let slowed = |one: &&Result<T>| one.as_ref().err().map(Error::code) == Some(ErrorCode::RateLimited);
    all.len() - all.iter().filter(slowed).count()
}

#[tokio::test]
async fn who_guesses_many_at_once_guesses_no_more() {
    let scene = Scene::new(Required::None).await;
    let mut guesses: Vec<String> = (0..40).map(|n| format!("guess number {n}")).collect();
    guesses.push(PASSWORD.to_owned());
    let all = join_all(guesses.iter().map(|guess| scene.enter("ann", guess))).await;
    assert!(all.last().unwrap().is_err(), "not the right one either, behind so many");
    assert_eq!(answered(all), 5);

    // Whoever has a session and guesses the password.
    let root = scene.session("root").await;
    let all = join_all((0..40).map(|_| async {
        let guess = SecretString::from("wrong horse battery");
        scene.services.new_recovery_codes(&root, &guess).await
    }));
    assert_eq!(answered(all.await), 5);
}

#[tokio::test]
async fn codes_are_guessed_no_quicker_in_several_sign_ins() {
    let scene = Scene::new(Required::None).await;
    let (secret, _) = scene.enrol(&scene.session("ann").await).await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(scene.begin("ann").await);
    }
    let wrong = scene.wrong_code(&secret);
    let all = join_all(begun.iter().flat_map(|begun| [begun; 4]).map(|begun| scene.finish(begun, &wrong))).await;
    assert_eq!(answered(all), 5);
}

#[tokio::test]
async fn one_network_tries_no_more_names_at_once() {
    let scene = Scene::new(Required::None).await;
    // Every address of it is somebody's who has the network.
    let from = |n: usize| OpCtx { network: format!("2001:db8::{n:x}").into(), ..scene.nobody() };
    let tried = |n: usize, name: String| {
        let (services, ctx) = (&scene.services, from(n));
        async move { services.sign_in(&ctx, &name, &PASSWORD.into(), "").await }
    };
    let all = join_all((0..100).map(|n| tried(n, format!("nobody-{n}")))).await;
    let answered = answered(all);
    // Those that are being looked at while the last that counts is counted; as many as this machine has cores for.
    assert!((30..60).contains(&answered), "{answered}");
    assert_eq!(code(tried(7, "ann".to_owned()).await), ErrorCode::RateLimited);
    let elsewhere = OpCtx { network: "2001:db8:0:1::7".into(), ..scene.nobody() };
    scene.services.sign_in(&elsewhere, "ann", &PASSWORD.into(), "").await.unwrap();
}

/// What comes of `work` when `change` is done after it has looked at the account, and before it knows whether the password is right.
async fn overtaken<T>(scene: &Scene, work: impl Future<Output = T>, change: impl Future<Output = Result<()>>) -> T {
    let busy = scene.services.passwords.busy().await;
    let mut work = std::pin::pin!(work);
    assert!(futures::poll!(work.as_mut()).is_pending());
    change.await.unwrap();
    drop(busy);
    work.await
}

#[tokio::test]
async fn a_password_that_changes_meanwhile_opens_nothing() {
    let scene = Scene::new(Required::None).await;
    let (store, now) = (scene.world.store.clone(), scene.services.clock().now());
    let id = store.find_account(&"ann".parse().unwrap()).await.unwrap().unwrap().user.id;
    let hash = async || store.find_account_by_id(id).await.unwrap().unwrap().password_hash.unwrap();
    let old = hash().await;
    // The hash is being compared when an admin sets another password.
    let entered =
        overtaken(&scene, scene.enter("ann", PASSWORD), store.set_password(id, "$argon2id$x", true, now)).await;
    assert_eq!(why(entered), "sign_in_changed");
    assert!(store.list_sessions(id, now).await.unwrap().is_empty(), "the old password opened nothing");

    // Somebody who holds a session, and the old password, does not undo the admin's.
    store.set_password(id, &old, false, now).await.unwrap();
    let ann = scene.session("ann").await;
    let (current, new) = (SecretString::from(PASSWORD), SecretString::from("another horse battery"));
    let change = scene.services.change_password(&ann, &current, &new, "");
    let changed = overtaken(&scene, change, store.set_password(id, "$argon2id$admin", true, now)).await;
    assert_eq!(why(changed), "password_wrong");
    assert_eq!(hash().await, "$argon2id$admin");
    assert!(store.list_sessions(id, now).await.unwrap().is_empty());

    // Nor does a sign-in that waits for a code begin with it.
    store.set_password(id, &old, false, now).await.unwrap();
    scene.enrol(&scene.session("ann").await).await;
    let entered =
        overtaken(&scene, scene.enter("ann", PASSWORD), store.set_password(id, "$argon2id$x", true, now)).await;
    assert_eq!(why(entered), "sign_in_changed");
}

#[tokio::test]
async fn another_way_in_takes_the_password() {
    let scene = Scene::new(Required::None).await;
    let corp = super::sign_in_tests::text();
    let root = scene.session("root").await;
    let services = &scene.services;
    services.create_provider(&root, "corp", &corp).await.unwrap();
    let ann = scene.session("ann").await;
    let connect = async |current: &str| {
        let current = SecretString::from(current);
        services.begin_sign_in(&ann, "corp", "https://b/auth/corp/callback", "/", Purpose::Connect(&current)).await
    };
    for current in ["", "wrong horse battery"] {
        assert_eq!(why(connect(current).await), "sign_in_password", "{current}");
        let entry = scene.world.store.audit().pop().unwrap();
        let said = (entry.actor.as_str(), entry.action.as_str(), entry.outcome.as_str(), entry.target.as_str());
        assert_eq!(said, ("ann", "identity.begin", "denied", "provider:corp"));
    }
    assert!(!connect(PASSWORD).await.unwrap().secret.expose_secret().is_empty());
    // Guessed no more often than anywhere else.
    let all = join_all((0..20).map(|_| connect("wrong horse battery"))).await;
    assert_eq!(answered(all), 5);
    // Where no password opens anything, none is asked.
    let grant = crate::authz::Grant::unchecked(
        crate::authz::PlatformRef,
        berth_types::Resource::SignIn,
        berth_types::Action::Update,
    );
    scene.world.store.set_local_accounts(&grant, false).await.unwrap();
    connect("").await.unwrap();
}
