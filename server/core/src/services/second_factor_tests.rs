//! Second factors, over fakes: who gets one, what opens with it, what is refused, and who must have one.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{ErrorCode, PlatformRole, UserName, people::TokenScope};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    Services,
    identity::SignedIn,
    people::NewUser,
    second_factors::{Begun, Entered, Proof, RECOVERY_CODES, Required, STEP, TRIES, opens},
};
use crate::{
    Actor, OpCtx, Via,
    error::{Error, Result},
    testing::{World, seal_key},
    totp,
};

pub(super) const PASSWORD: &str = "correct horse battery";
const SITE: &str = "https://berth.example.com";

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) services: Services,
}

impl Scene {
    /// `ann` and the admin `root` have passwords.
    pub(super) async fn new(required: Required) -> Self {
        let world = World::new();
        let services = world.services.clone().with_second_factors(Some(seal_key()), required);
        let scene = Self { world, services };
        for (name, platform_role) in [("ann", None), ("root", Some(PlatformRole::Admin))] {
            let password = Some(SecretString::from("first horse battery"));
            let new = NewUser { name: name.to_owned(), display_name: String::new(), platform_role, password };
            scene.services.create_user(&scene.world.system(), &new).await.unwrap();
            let first = scene.enter(name, "first horse battery").await.unwrap().session().unwrap();
            let own = scene.as_person(&first);
            let (old, new) = ("first horse battery".into(), PASSWORD.into());
            scene.services.change_password(&own, &old, &new, "").await.unwrap();
        }
        scene
    }

    pub(super) fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.clock.clone(), "test", "192.0.2.1")
    }

    fn as_person(&self, signed_in: &SignedIn) -> OpCtx {
        self.services.as_person(&self.nobody(), signed_in.person.clone())
    }

    pub(super) async fn enter(&self, name: &str, password: &str) -> Result<Entered> {
        self.services.sign_in(&self.nobody(), name, &password.into(), "Firefox").await
    }

    /// Signs in where no code is asked.
    pub(super) async fn session(&self, name: &str) -> OpCtx {
        self.as_person(&self.enter(name, PASSWORD).await.unwrap().session().unwrap())
    }

    pub(super) async fn begin(&self, name: &str) -> Begun {
        match self.enter(name, PASSWORD).await.unwrap() {
            Entered::NeedsCode(begun) => begun,
            Entered::SignedIn(_) => panic!("no code is asked"),
        }
    }

    pub(super) async fn finish(&self, begun: &Begun, code: &str) -> Result<SignedIn> {
        self.services.finish_second_step(&self.nobody(), Some(&begun.secret), Proof::Code(code), "Firefox").await
    }

    /// Adds an app; its secret and the recovery codes. The code that was used for it is over afterwards.
    pub(super) async fn enrol(&self, ctx: &OpCtx) -> (String, Vec<SecretString>) {
        let begun = self.services.begin_authenticator(ctx, &PASSWORD.into(), SITE).await.unwrap();
        let secret = begun.secret.expose_secret().to_owned();
        let codes = self.services.confirm_authenticator(ctx, &begun.token, &self.code(&secret)).await.unwrap();
        self.world.clock.advance(Duration::from_secs(30));
        (secret, codes)
    }

    pub(super) fn code(&self, secret: &str) -> String {
        totp::code_at(secret, self.services.clock().now())
    }

    /// A code that is none of those that count.
    pub(super) fn wrong_code(&self, secret: &str) -> String {
        let near: Vec<String> = (-1..=1)
            .map(|n| totp::code_at(secret, self.services.clock().now() + jiff::SignedDuration::from_secs(30 * n)))
            .collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
    }

    /// Who did what, how it ended, what it says.
    fn last_audit(&self) -> (String, String, String, Value) {
        let entry = self.world.store.audit().pop().unwrap();
        (entry.actor, entry.action, entry.outcome, entry.detail.unwrap_or_default())
    }

    fn last(&self) -> (String, String, String) {
        let (actor, action, outcome, _) = self.last_audit();
        (actor, action, outcome)
    }

    async fn alive(&self, session: &SignedIn) -> bool {
        let now = self.services.clock().now();
        self.services.authenticate_session(now, session.secret.expose_secret()).await.unwrap().is_some()
    }
}

fn entry(actor: &str, action: &str, outcome: &str) -> (String, String, String) {
    (actor.to_owned(), action.to_owned(), outcome.to_owned())
}

#[track_caller]
pub(super) fn why<T>(result: Result<T>) -> String {
    let error = result.err().unwrap();
    error.fields().first().map_or_else(|| error.code().to_string(), |field| field.code.clone())
}

#[track_caller]
pub(super) fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().as_ref().map(Error::code).unwrap()
}

#[tokio::test]
async fn an_app_is_added_with_the_password_and_a_first_code() {
    let scene = Scene::new(Required::None).await;
    let ann = scene.session("ann").await;
    let before = scene.services.my_second_factors(&ann).await.unwrap();
    assert!(before.authenticator_since.is_none() && before.available && !before.required);

    assert_eq!(why(scene.services.begin_authenticator(&ann, &"wrong".into(), SITE).await), "password_wrong");
    assert_eq!(scene.last(), entry("ann", "second-factor.begin", "failed"));
    let begun = scene.services.begin_authenticator(&ann, &PASSWORD.into(), SITE).await.unwrap();
    assert!(begun.uri.expose_secret().starts_with("otpauth://totp/Berth:ann@berth.example.com?secret="));
    let secret = begun.secret.expose_secret().to_owned();
    assert!(scene.enter("ann", PASSWORD).await.unwrap().session().is_some(), "nothing counts before it is confirmed");

    let wrong = scene.wrong_code(&secret);
    assert_eq!(why(scene.services.confirm_authenticator(&ann, &begun.token, &wrong).await), "code_wrong");
    assert_eq!(scene.services.look_at_enrolment(&ann, &begun.token, SITE).unwrap().secret.expose_secret(), secret);
    // In another session of the same person, and in another's, it is worth nothing.
    for other in [scene.session("ann").await, scene.session("root").await] {
        let refused = scene.services.confirm_authenticator(&other, &begun.token, &scene.code(&secret)).await;
        assert_eq!(why(refused), "enrolment_over");
    }
    let codes = scene.services.confirm_authenticator(&ann, &begun.token, &scene.code(&secret)).await.unwrap();
    assert_eq!(scene.last(), entry("ann", "second-factor.add", "done"));
    assert_eq!(codes.len(), RECOVERY_CODES);
    let after = scene.services.my_second_factors(&ann).await.unwrap();
    assert_eq!((after.authenticator_since, after.recovery_codes_left), (Some(ann.now()), 10));
    for text in [&secret, codes[0].expose_secret()] {
        let log = serde_json::to_string(&scene.world.store.audit()).unwrap();
        assert!(!log.contains(text), "the log knows no secret");
    }

    let again = scene.services.begin_authenticator(&ann, &PASSWORD.into(), SITE).await;
    assert_eq!(code(again), ErrorCode::AlreadyExists);
    let replayed = scene.services.confirm_authenticator(&ann, &begun.token, &scene.code(&secret)).await;
    assert_eq!(code(replayed), ErrorCode::AlreadyExists);
    let root = scene.session("root").await;
    let begun = scene.services.begin_authenticator(&root, &PASSWORD.into(), SITE).await.unwrap();
    scene.world.clock.advance(Duration::from_mins(15));
    let late = scene.code(begun.secret.expose_secret());
    assert_eq!(why(scene.services.confirm_authenticator(&root, &begun.token, &late).await), "enrolment_over");
}

#[tokio::test]
async fn a_password_opens_nothing_but_the_next_question() {
    let scene = Scene::new(Required::None).await;
    let (secret, _) = scene.enrol(&scene.session("ann").await).await;

    // Who guesses learns nothing.
    let (with, without) = (scene.enter("ann", "wrong").await, scene.enter("root", "wrong").await);
    let (with, without) = (with.err().unwrap(), without.err().unwrap());
    assert_eq!((with.code(), with.message()), (without.code(), without.message()));

    let begun = scene.begin("ann").await;
    assert_eq!(scene.last(), entry("ann", "session.password", "done"));
    let now = scene.services.clock().now();
    let opened = scene.services.authenticate_session(now, begun.secret.expose_secret()).await.unwrap();
    assert!(opened.is_none(), "it is no session");

    assert_eq!(why(scene.finish(&begun, &scene.wrong_code(&secret)).await), "code_wrong");
    let (_, action, outcome, detail) = scene.last_audit();
    assert_eq!((action.as_str(), outcome.as_str(), &detail["why"]), ("session.begin", "denied", &"code_wrong".into()));
    let right = scene.code(&secret);
    let signed_in = scene.finish(&begun, &right).await.unwrap();
    assert_eq!(signed_in.person.name.as_str(), "ann");
    let (actor, action, outcome, detail) = scene.last_audit();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ann", "session.begin", "done"));
    assert_eq!(detail["secondFactor"], "authenticator");
    assert!(scene.alive(&signed_in).await);

    // Neither the sign-in nor the code counts twice.
    assert_eq!(why(scene.finish(&begun, &right).await), "sign_in_step");
    assert_eq!(why(scene.finish(&scene.begin("ann").await, &right).await), "code_used");
    let none = scene.services.finish_second_step(&scene.nobody(), None, Proof::Code(&right), "").await;
    assert_eq!(why(none), "sign_in_step");
    assert_eq!(why(scene.finish(&Begun { secret: "forged".into(), ..begun }, &right).await), "sign_in_step");

    let late = scene.begin("ann").await;
    scene.world.clock.advance(STEP);
    assert_eq!(why(scene.finish(&late, &scene.code(&secret)).await), "sign_in_step");
}

#[tokio::test]
async fn tries_are_few_and_slow() {
    let scene = Scene::new(Required::None).await;
    let (secret, codes) = scene.enrol(&scene.session("ann").await).await;
    let begun = scene.begin("ann").await;
    for n in 1..=TRIES {
        let want = if n == TRIES { "sign_in_step" } else { "code_wrong" };
        assert_eq!(why(scene.finish(&begun, &scene.wrong_code(&secret)).await), want, "{n}");
    }
    assert_eq!(why(scene.finish(&begun, &scene.code(&secret)).await), "sign_in_step", "it is gone");
    // Beginning anew gives no more of them at once…
    let again = scene.begin("ann").await;
    assert_eq!(code(scene.finish(&again, &scene.code(&secret)).await), ErrorCode::RateLimited);
    // …but who has a recovery code is not kept out by somebody who guesses.
    scene.finish(&again, codes[0].expose_secret()).await.unwrap();
    scene.world.clock.advance(Duration::from_mins(1));
    scene.finish(&scene.begin("ann").await, &scene.code(&secret)).await.unwrap();

    // Of those that wait, five stay.
    let first = scene.begin("ann").await;
    for _ in 0..5 {
        scene.world.clock.advance(Duration::from_secs(1));
        scene.begin("ann").await;
    }
    scene.world.clock.advance(Duration::from_secs(30));
    assert_eq!(why(scene.finish(&first, &scene.code(&secret)).await), "sign_in_step");
}

#[tokio::test]
async fn recovery_codes_count_once_and_are_made_anew() {
    let scene = Scene::new(Required::None).await;
    let ann = scene.session("ann").await;
    assert_eq!(code(scene.services.new_recovery_codes(&ann, &PASSWORD.into()).await), ErrorCode::NotFound);
    let (_, codes) = scene.enrol(&ann).await;
    let typed = codes[3].expose_secret().to_lowercase();
    let signed_in = scene.finish(&scene.begin("ann").await, &typed).await.unwrap();
    let (_, action, _, detail) = scene.last_audit();
    assert_eq!(
        (action.as_str(), &detail["secondFactor"], &detail["left"]),
        ("session.begin", &"recovery-code".into(), &9.into())
    );
    assert_eq!(why(scene.finish(&scene.begin("ann").await, &typed).await), "recovery_wrong");

    let ann = scene.as_person(&signed_in);
    assert_eq!(why(scene.services.new_recovery_codes(&ann, &"wrong".into()).await), "password_wrong");
    let new = scene.services.new_recovery_codes(&ann, &PASSWORD.into()).await.unwrap();
    assert_eq!(scene.services.my_second_factors(&ann).await.unwrap().recovery_codes_left, 10);
    assert_eq!(why(scene.finish(&scene.begin("ann").await, codes[4].expose_secret()).await), "recovery_wrong");
    scene.finish(&scene.begin("ann").await, new[0].expose_secret()).await.unwrap();
}

#[tokio::test]
async fn factors_are_removed_by_their_owner_or_an_admin() {
    let scene = Scene::new(Required::None).await;
    let (services, ann_is): (_, UserName) = (&scene.services, "ann".parse().unwrap());
    let ann = scene.session("ann").await;
    let root = scene.session("root").await;
    assert_eq!(code(services.remove_second_factors(&root, &ann_is).await), ErrorCode::NotFound);
    let (secret, codes) = scene.enrol(&ann).await;
    let other = scene.finish(&scene.begin("ann").await, &scene.code(&secret)).await.unwrap();

    assert_eq!(why(services.remove_my_authenticator(&ann, &"wrong".into()).await), "password_wrong");
    let waiting = scene.begin("ann").await;
    services.remove_my_authenticator(&ann, &PASSWORD.into()).await.unwrap();
    assert_eq!(scene.last(), entry("ann", "second-factor.remove", "done"));
    assert!(!scene.alive(&other).await, "other sessions ended");
    assert_eq!(why(scene.finish(&waiting, codes[0].expose_secret()).await), "sign_in_step");
    assert!(scene.enter("ann", PASSWORD).await.unwrap().session().is_some());

    // A phone was lost.
    let session = scene.enter("ann", PASSWORD).await.unwrap().session().unwrap();
    scene.enrol(&scene.as_person(&session)).await;
    assert_eq!(code(services.remove_second_factors(&ann, &ann_is).await), ErrorCode::NotFound, "no admin");
    services.remove_second_factors(&root, &ann_is).await.unwrap();
    assert_eq!(scene.last(), entry("root", "second-factor.remove", "done"));
    assert!(!scene.alive(&session).await);
    assert!(scene.enter("ann", PASSWORD).await.unwrap().session().is_some());
    // One's own go with one's password alone.
    scene.enrol(&root).await;
    assert_eq!(why(services.remove_second_factors(&root, &"root".parse().unwrap()).await), "own_account");
}

#[tokio::test]
async fn a_new_password_by_a_link_leaves_the_second_factor() {
    let scene = Scene::new(Required::None).await;
    let (services, root) = (&scene.services, scene.session("root").await);
    let (secret, _) = scene.enrol(&scene.session("ann").await).await;
    let waiting = scene.begin("ann").await;
    let (link, _) = services.reset_link(&root, &"ann".parse().unwrap()).await.unwrap();
    services.finish_reset(&scene.nobody(), &link, &"another horse battery".into()).await.unwrap();
    assert_eq!(why(scene.finish(&waiting, &scene.code(&secret)).await), "sign_in_step", "with the old password");
    let entered = scene.enter("ann", "another horse battery").await.unwrap();
    let Entered::NeedsCode(begun) = entered else { panic!("no code is asked") };
    scene.finish(&begun, &scene.code(&secret)).await.unwrap();

    // Who is suspended meanwhile does not come in.
    let begun = match scene.enter("ann", "another horse battery").await.unwrap() {
        Entered::NeedsCode(begun) => begun,
        Entered::SignedIn(_) => panic!("no code is asked"),
    };
    services.update_user(&root, &"ann".parse().unwrap(), "Ann", None, true).await.unwrap();
    scene.world.clock.advance(Duration::from_secs(30));
    assert_eq!(why(scene.finish(&begun, &scene.code(&secret)).await), "sign_in_step");
}

#[tokio::test]
async fn who_must_have_one_is_let_in_nowhere_else_first() {
    let scene = Scene::new(Required::Admins).await;
    assert!(!scene.session("ann").await.person().unwrap().needs_second_factor);
    let signed_in = scene.enter("root", PASSWORD).await.unwrap().session().unwrap();
    let root = scene.as_person(&signed_in);
    assert!(root.person().unwrap().needs_second_factor);
    let refused = scene.services.list_tenants(&root).await.err().unwrap();
    assert_eq!(
        (refused.code(), refused.message()),
        (ErrorCode::Forbidden, "add a second factor to your account first")
    );
    assert_eq!(code(scene.services.my_sessions(&root).await), ErrorCode::Forbidden);
    assert!(scene.services.my_second_factors(&root).await.unwrap().required);

    scene.enrol(&root).await;
    let now = scene.services.clock().now();
    let person = scene.services.authenticate_session(now, signed_in.secret.expose_secret()).await.unwrap().unwrap();
    assert!(person.is_ready());
    assert!(scene.services.list_tenants(&scene.services.as_person(&root, person)).await.is_ok());

    // API tokens go on, and change nothing of it.
    let scene = Scene::new(Required::All).await;
    let ann = scene.session("ann").await;
    assert!(ann.person().unwrap().needs_second_factor);
    let token = scene.world.token_for("ann", TokenScope::default(), Duration::from_hours(1)).await;
    let by_token = scene.services.authenticate_token(ann.now(), &token).await.unwrap().unwrap();
    assert!(by_token.is_ready() && matches!(by_token.via, Via::Token(..)));
    let ctx = scene.nobody().with_actor(Actor::Person(by_token));
    assert!(scene.services.list_tenants(&ctx).await.is_ok());
    let begun = scene.services.begin_authenticator(&ctx, &PASSWORD.into(), SITE).await;
    assert_eq!(code(begun), ErrorCode::Forbidden);
    assert_eq!(code(scene.services.new_recovery_codes(&ctx, &PASSWORD.into()).await), ErrorCode::Forbidden);
    assert_eq!(code(scene.services.remove_my_authenticator(&ctx, &PASSWORD.into()).await), ErrorCode::Forbidden);
}

#[tokio::test]
async fn without_the_key_nothing_is_added_and_recovery_codes_open() {
    let scene = Scene::new(Required::None).await;
    let ann = scene.session("ann").await;
    let (secret, codes) = scene.enrol(&ann).await;
    let none = Scene { services: scene.services.clone().with_second_factors(None, Required::None), ..scene };
    assert!(!none.services.my_second_factors(&ann).await.unwrap().available);
    let root = none.session("root").await;
    assert_eq!(code(none.services.begin_authenticator(&root, &PASSWORD.into(), SITE).await), ErrorCode::Forbidden);
    let other = Scene { services: none.services.clone().with_second_factors(Some(seal_key()), Required::None), ..none };
    let begun = other.begin("ann").await;
    assert_eq!(code(other.finish(&begun, &other.code(&secret)).await), ErrorCode::Internal, "another key");
    let (user, app) = other.services.store().any_authenticator().await.unwrap().unwrap();
    assert!(!opens(&seal_key(), user, &app), "doctor sees that, too");
    other.finish(&begun, codes[0].expose_secret()).await.unwrap();
}

#[tokio::test]
async fn sessions_that_nobody_used_for_long_are_not_listed() {
    let scene = Scene::new(Required::None).await;
    let forgotten = scene.enter("ann", PASSWORD).await.unwrap().session().unwrap();
    scene.world.clock.advance(Duration::from_hours(7));
    let ann = scene.session("ann").await;
    assert_eq!(scene.services.my_sessions(&ann).await.unwrap().len(), 3, "with the one in which the password was set");
    scene.world.clock.advance(Duration::from_hours(5));
    assert!(!scene.alive(&forgotten).await);
    let listed = scene.services.my_sessions(&ann).await.unwrap();
    assert_eq!(listed.iter().map(|session| session.current).collect::<Vec<_>>(), [true]);
}
