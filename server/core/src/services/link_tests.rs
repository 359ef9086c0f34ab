//! Invitations and resets, over fakes: what they give, to whom, how often, and what is refused.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use berth_types::{ErrorCode, PlatformRole, TenantName, TenantRole, people::TokenScope, webhook::EventKind};
use secrecy::SecretString;

use super::invitations::{Invite, SignUp};
use crate::{
    Actor, OpCtx, Via,
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    links::Void,
    ports::{
        sign_in::SignIns as _,
        store::{People as _, Tenants as _},
    },
    testing::{Heard, World},
};

const PASSWORD: &str = "correct horse battery";

struct Scene {
    world: World,
    shop: TenantName,
}

impl Scene {
    /// `olga` owns `shop`, `adam` is its admin, `vera` looks, `root` keeps the platform, `stranger` has an account.
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        for name in ["olga", "adam", "vera", "stranger"] {
            world.person(name, None).await;
        }
        let members = [("olga", TenantRole::Owner), ("adam", TenantRole::Admin), ("vera", TenantRole::Viewer)];
        world.tenant("shop", &members).await;
        Self { world, shop: "shop".parse().unwrap() }
    }

    fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.clock.clone(), "test", "192.0.2.1")
    }

    async fn invite(&self, by: &str, role: TenantRole) -> Result<SecretString> {
        let ctx = self.world.ctx(by).await;
        let invite = Invite { role: Some(role), ..Invite::default() };
        Ok(self.world.services.invite(&ctx, Some(&self.shop), &invite).await?.1)
    }

    async fn join(&self, who: &str, secret: &SecretString) -> Result<TenantName> {
        self.world.services.join(&self.world.ctx(who).await, secret).await
    }

    async fn sign_up(&self, name: &str, secret: &SecretString) -> Result<Option<TenantName>> {
        let new = SignUp { name: name.to_owned(), display_name: String::new(), password: PASSWORD.into() };
        Ok(self.world.services.sign_up(&self.nobody(), secret, &new, "Firefox").await?.1)
    }

    async fn role(&self, who: &str) -> Option<TenantRole> {
        let user = self.world.store.find_account(&who.parse().unwrap()).await.unwrap().unwrap().user.id;
        self.world.store.find_tenant_access(user, &self.shop).await.unwrap().and_then(|access| access.role)
    }

    fn last_audit(&self) -> (String, String, String, serde_json::Value) {
        let entry = self.world.store.audit().pop().unwrap();
        (entry.actor, entry.action, entry.outcome, entry.detail.unwrap_or_default())
    }
}

#[track_caller]
fn void<T: std::fmt::Debug>(result: Result<T>) -> Void {
    Void::of(&result.unwrap_err()).unwrap()
}

#[track_caller]
fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().as_ref().map(Error::code).unwrap()
}

#[tokio::test]
async fn a_link_brings_somebody_in_once() {
    let scene = Scene::new().await;
    let link = scene.invite("adam", TenantRole::Developer).await.unwrap();
    let seen = scene.world.services.look_at_invitation(&scene.nobody(), &link).await.unwrap();
    assert_eq!((seen.tenant.unwrap().1.as_str(), seen.by.as_str()), ("shop", "adam"));
    assert_eq!(scene.join("stranger", &link).await.unwrap(), scene.shop);
    assert_eq!(scene.role("stranger").await, Some(TenantRole::Developer));
    let (actor, action, outcome, detail) = scene.last_audit();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("stranger", "invitation.accept", "done"));
    assert_eq!((&detail["after"], &detail["invitedBy"]), (&"developer".into(), &"adam".into()));

    assert_eq!(void(scene.sign_up("zoe", &link).await), Void::Used);
    let (.., outcome, detail) = scene.last_audit();
    assert_eq!((outcome.as_str(), &detail["why"]), ("denied", &"link_used".into()));
    assert!(scene.world.store.find_account(&"zoe".parse().unwrap()).await.unwrap().is_none(), "nobody was made");
}

#[tokio::test]
async fn a_new_person_gets_account_and_role_at_once() {
    let scene = Scene::new().await;
    let link = scene.invite("olga", TenantRole::Owner).await.unwrap();
    assert_eq!(code(scene.sign_up("vera", &link).await), ErrorCode::AlreadyExists);
    let new = SignUp { name: "N!".to_owned(), display_name: "x".repeat(61), password: "short".into() };
    let wrong = scene.world.services.sign_up(&scene.nobody(), &link, &new, "").await.err().unwrap();
    let fields: Vec<_> = wrong.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "displayName", "password"], "all that is wrong, at once");
    assert_eq!(scene.sign_up("zoe", &link).await.unwrap(), Some(scene.shop.clone()));
    assert_eq!(scene.role("zoe").await, Some(TenantRole::Owner));
    assert_eq!(scene.last_audit().0, "zoe");
    scene.world.services.sign_in(&scene.nobody(), "zoe", &PASSWORD.into(), "").await.unwrap();
}

#[tokio::test]
async fn who_may_invite_whom() {
    let scene = Scene::new().await;
    assert_eq!(code(scene.invite("adam", TenantRole::Owner).await), ErrorCode::Forbidden, "admins make no owners");
    assert_eq!(code(scene.invite("vera", TenantRole::Viewer).await), ErrorCode::Forbidden);
    assert_eq!(code(scene.invite("stranger", TenantRole::Viewer).await), ErrorCode::NotFound);
    assert!(scene.invite("root", TenantRole::Owner).await.is_ok());
    let services = &scene.world.services;
    let (vera, olga) = (scene.world.ctx("vera").await, scene.world.ctx("olga").await);
    assert_eq!(code(services.list_invitations(&vera, Some(&scene.shop)).await), ErrorCode::Forbidden);
    let platform = Invite { email: "ann@example.com".to_owned(), ..Invite::default() };
    assert_eq!(code(services.invite(&olga, None, &platform).await), ErrorCode::NotFound);
    let wrong = Invite { email: "ann".to_owned(), days: Some(99), ..Invite::default() };
    let wrong = services.invite(&olga, Some(&scene.shop), &wrong).await.err().unwrap();
    let fields: Vec<_> = wrong.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["role", "email", "days"]);
}

#[tokio::test]
async fn a_link_that_counts_no_more_says_why() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let olga = scene.world.ctx("olga").await;
    assert_eq!(void(scene.join("stranger", &"no such secret".into()).await), Void::Unknown);

    let revoked = scene.invite("olga", TenantRole::Viewer).await.unwrap();
    let open = services.list_invitations(&olga, Some(&scene.shop)).await.unwrap();
    let root = scene.world.ctx("root").await;
    let elsewhere = services.revoke_invitation(&root, None, open[0].id).await;
    assert_eq!(code(elsewhere), ErrorCode::NotFound, "it is not the platform's");
    services.revoke_invitation(&olga, Some(&scene.shop), open[0].id).await.unwrap();
    assert!(services.list_invitations(&olga, Some(&scene.shop)).await.unwrap().is_empty());
    assert_eq!(void(scene.join("stranger", &revoked).await), Void::Revoked);
    assert_eq!(code(services.revoke_invitation(&olga, Some(&scene.shop), open[0].id).await), ErrorCode::NotFound);

    let late = scene.invite("olga", TenantRole::Viewer).await.unwrap();
    scene.world.clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(void(scene.join("stranger", &late).await), Void::Expired);
    assert!(services.list_invitations(&olga, Some(&scene.shop)).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_has_left_does_not_come_back_by_a_link_of_their_own() {
    let scene = Scene::new().await;
    let olga = scene.world.ctx("olga").await;
    let link = scene.invite("adam", TenantRole::Admin).await.unwrap();
    scene.world.services.remove_member(&olga, &scene.shop, &"adam".parse().unwrap()).await.unwrap();
    assert_eq!(void(scene.join("adam", &link).await), Void::Inviter);
    assert_eq!(void(scene.sign_up("adam-2", &link).await), Void::Inviter);
}

#[tokio::test]
async fn a_link_takes_no_role_away_and_is_not_used_up_in_vain() {
    let scene = Scene::new().await;
    let link = scene.invite("olga", TenantRole::Developer).await.unwrap();
    assert_eq!(void(scene.join("adam", &link).await), Void::Member);
    assert_eq!(scene.role("adam").await, Some(TenantRole::Admin));
    scene.join("vera", &link).await.unwrap();
    assert_eq!(scene.role("vera").await, Some(TenantRole::Developer));

    let root = scene.world.ctx("root").await;
    let (invitation, link) = scene.world.services.invite(&root, None, &Invite::default()).await.unwrap();
    assert_eq!((invitation.tenant, invitation.role), (None, None));
    assert_eq!(void(scene.join("stranger", &link).await), Void::Account);
    assert_eq!(scene.sign_up("zoe", &link).await.unwrap(), None);
}

#[tokio::test]
async fn no_token_joins_and_no_password_is_made_where_none_is_taken() {
    let scene = Scene::new().await;
    let link = scene.invite("olga", TenantRole::Viewer).await.unwrap();
    let mut person = scene.world.ctx("stranger").await.person().unwrap().clone();
    person.via = Via::Token(uuid::Uuid::nil(), "berth_x".into());
    let token = scene.nobody().with_actor(Actor::Person(Arc::new(person)));
    assert_eq!(code(scene.world.services.join(&token, &link).await), ErrorCode::Forbidden);
    assert_eq!(code(scene.world.services.join(&scene.nobody(), &link).await), ErrorCode::Unauthenticated);

    let grant = Grant::unchecked(PlatformRef, berth_types::Resource::SignIn, berth_types::Action::Update);
    scene.world.store.set_local_accounts(&grant, false).await.unwrap();
    let refused = scene.sign_up("zoe", &link).await.unwrap_err();
    assert_eq!(refused.fields()[0].code, "sign_in_local");
    assert!(scene.join("stranger", &link).await.is_ok(), "who has an account comes in");
}

/// A person with a password.
async fn with_password(world: &World, name: &str) {
    let new = super::people::NewUser {
        name: name.to_owned(),
        display_name: String::new(),
        platform_role: None,
        password: Some(PASSWORD.into()),
    };
    world.services.create_user(&world.system(), &new).await.unwrap();
}

#[tokio::test]
async fn a_reset_sets_a_password_once_and_ends_sessions() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    with_password(&scene.world, "ann").await;
    let ann = "ann".parse().unwrap();
    let session = services.sign_in(&scene.nobody(), "ann", &PASSWORD.into(), "").await.unwrap().session().unwrap();
    let alive = async || {
        let secret = secrecy::ExposeSecret::expose_secret(&session.secret);
        services.authenticate_session(scene.nobody().now(), secret).await.unwrap().is_some()
    };
    let root = scene.world.ctx("root").await;
    assert_eq!(code(services.reset_link(&scene.world.ctx("olga").await, &ann).await), ErrorCode::NotFound);
    let (old, _) = services.reset_link(&root, &ann).await.unwrap();
    let (link, _) = services.reset_link(&root, &ann).await.unwrap();
    assert_eq!(void(services.look_at_reset(&scene.nobody(), &old).await), Void::Unknown, "a newer one took its place");
    assert_eq!(services.look_at_reset(&scene.nobody(), &link).await.unwrap(), ann);
    assert!(alive().await, "nothing happened yet");

    let weak = services.finish_reset(&scene.nobody(), &link, &"short".into()).await.err().unwrap();
    assert_eq!(weak.fields()[0].field, "new");
    let new = SecretString::from("another horse battery");
    services.finish_reset(&scene.nobody(), &link, &new).await.unwrap();
    assert!(!alive().await);
    let (actor, action, outcome, _) = scene.last_audit();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ann", "password.reset", "done"));
    assert_eq!(void(services.finish_reset(&scene.nobody(), &link, &new).await), Void::Used);
    assert_eq!(code(services.sign_in(&scene.nobody(), "ann", &PASSWORD.into(), "").await), ErrorCode::Unauthenticated);
    let session = services.sign_in(&scene.nobody(), "ann", &new, "").await.unwrap().session().unwrap();
    assert!(!session.person.must_change_password);

    let (late, _) = services.reset_link(&root, &ann).await.unwrap();
    scene.world.clock.advance(Duration::from_hours(1));
    assert_eq!(void(services.finish_reset(&scene.nobody(), &late, &new).await), Void::Expired);
    assert_eq!(scene.last_audit().3["why"], "link_expired");

    // Another way to a new password leaves no link behind.
    let (link, _) = services.reset_link(&root, &ann).await.unwrap();
    services.reset_password(&root, &ann).await.unwrap();
    assert_eq!(void(services.look_at_reset(&scene.nobody(), &link).await), Void::Unknown);
    let (link, _) = services.reset_link(&root, &ann).await.unwrap();
    services.update_user(&root, &ann, "Ann", None, true).await.unwrap();
    assert_eq!(void(services.finish_reset(&scene.nobody(), &link, &new).await), Void::Suspended);
    assert_eq!(void(services.reset_link(&root, &ann).await), Void::Suspended);
}

#[tokio::test]
async fn no_token_makes_a_password_of_its_owner() {
    let scene = Scene::new().await;
    let secret = scene.world.token_for("root", TokenScope::default(), Duration::from_hours(1)).await;
    let now = scene.nobody().now();
    let person = scene.world.services.authenticate_token(now, &secret).await.unwrap().unwrap();
    let ctx = scene.world.services.as_person(&scene.nobody(), person);
    assert_eq!(code(scene.world.services.reset_link(&ctx, &"root".parse().unwrap()).await), ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_forgotten_password_is_told_once_and_the_answer_is_the_same_for_all() {
    let scene = Scene::new().await;
    let heard = Arc::new(Heard::default());
    let services = scene.world.services.with_notices(heard.clone());
    for name in ["olga", "nobody-of-that-name", "Not a Name!", "olga", "vera"] {
        services.forgot_password(&scene.nobody(), name).await.unwrap();
        let (actor, action, outcome, detail) = scene.last_audit();
        assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("anonymous", "password.forgotten", "done"));
        assert!(detail.is_null(), "{detail}");
    }
    let told = async {
        let mut told = Vec::new();
        while told.len() < 2 {
            services.spread_notices().await.unwrap();
            told.extend(heard.take());
            tokio::task::yield_now().await;
        }
        told
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert!(told.iter().all(|notice| notice.event == EventKind::PasswordForgotten), "{told:?}");
    assert_eq!(told.into_iter().filter_map(|notice| notice.data.user).collect::<Vec<_>>(), ["olga", "vera"]);

    let slowed = async {
        for n in 0..60 {
            if let Err(e) = services.forgot_password(&scene.nobody(), &format!("guess-{n}")).await {
                return e.code();
            }
        }
        ErrorCode::Internal
    };
    assert_eq!(slowed.await, ErrorCode::RateLimited);
}

#[tokio::test]
async fn who_asks_again_and_again_keeps_nobody_from_a_new_password() {
    let scene = Scene::new().await;
    let heard = Arc::new(Heard::default());
    let services = scene.world.services.with_notices(heard.clone());
    let mut told = Vec::new();
    // Somebody else asks every fifty minutes.
    for minute in [0, 50, 100, 150] {
        services.tell_forgotten(&scene.nobody(), "olga".parse().unwrap()).await.unwrap();
        services.spread_notices().await.unwrap();
        told.extend(heard.take().into_iter().map(|_| minute));
        scene.world.clock.advance(Duration::from_mins(50));
    }
    assert_eq!(told, [0, 100], "once an hour, and again in the next");
}

#[tokio::test]
async fn nobody_comes_into_a_suspended_tenant() {
    let scene = Scene::new().await;
    let link = scene.invite("olga", TenantRole::Viewer).await.unwrap();
    let (services, root) = (&scene.world.services, scene.world.ctx("root").await);
    services.suspend_tenant(&root, &scene.shop, "unpaid").await.unwrap();
    let seen = services.look_at_invitation(&scene.nobody(), &link).await;
    assert_eq!(void(seen), Void::Halted, "why is not told to who is not in it");
    assert_eq!(void(scene.join("stranger", &link).await), Void::Halted);
    assert_eq!(void(scene.sign_up("zoe", &link).await), Void::Halted);
    assert_eq!(code(scene.invite("olga", TenantRole::Viewer).await), ErrorCode::Suspended);
    services.resume_tenant(&root, &scene.shop).await.unwrap();
    assert_eq!(scene.join("stranger", &link).await.unwrap(), scene.shop);
}
