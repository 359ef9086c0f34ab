//! Passkeys, over fakes and an authenticator in software: who gets one, what it opens, what is refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{ErrorCode, PlatformRole, UserName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    Services,
    identity::SignedIn,
    passkeys::{NewPasskey, PASSKEYS, Waiting},
    people::NewUser,
    second_factor_tests::{code, why},
    second_factors::{Begun, Entered, Proof, RECOVERY_CODES, Required, STEP, TRIES},
};
use crate::{
    OpCtx,
    error::Result,
    testing::{Authenticator, World, seal_key},
    webauthn::{Site, Unavailable},
};

const PASSWORD: &str = "correct horse battery";
const SITE: &str = "https://berth.example.com";

struct Scene {
    world: World,
    services: Services,
}

impl Scene {
    /// `ann` and the admin `root` have passwords.
    async fn new(required: Required) -> Self {
        let world = World::new();
        let services = world.services.clone().with_second_factors(Some(seal_key()), required);
        let services = services.with_passkeys(Site::of(Some(SITE)));
        let scene = Self { world, services };
        for (name, platform_role) in [("ann", None), ("root", Some(PlatformRole::Admin))] {
            let password = Some(SecretString::from("first horse battery"));
            let new = NewUser { name: name.to_owned(), display_name: String::new(), platform_role, password };
            scene.services.create_user(&scene.world.system(), &new).await.unwrap();
            let first = scene.services.sign_in(&scene.nobody(), name, &"first horse battery".into(), "").await;
            let own = scene.as_person(&first.unwrap().session().unwrap());
            let (old, new) = ("first horse battery".into(), PASSWORD.into());
            scene.services.change_password(&own, &old, &new, "").await.unwrap();
        }
        scene
    }

    fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.clock.clone(), "test", "192.0.2.1")
    }

    fn as_person(&self, signed_in: &SignedIn) -> OpCtx {
        self.services.as_person(&self.nobody(), signed_in.person.clone())
    }

    async fn enter(&self, name: &str) -> Entered {
        self.services.sign_in(&self.nobody(), name, &PASSWORD.into(), "Firefox").await.unwrap()
    }

    /// Signs in where nothing more is asked.
    async fn session(&self, name: &str) -> OpCtx {
        self.as_person(&self.enter(name).await.session().unwrap())
    }

    async fn begin(&self, name: &str) -> Begun {
        match self.enter(name).await {
            Entered::NeedsCode(begun) => begun,
            Entered::SignedIn(_) => panic!("nothing more is asked"),
        }
    }

    async fn waiting(&self, begun: &Begun) -> Waiting {
        self.services.look_at_second_step(&self.nobody(), &begun.secret).await.unwrap().unwrap()
    }

    async fn finish(&self, begun: &Begun, answer: &Value) -> Result<SignedIn> {
        let answer = answer.to_string();
        let proof = Proof::Passkey(&answer);
        self.services.finish_second_step(&self.nobody(), Some(&begun.secret), proof, "Firefox").await
    }

    async fn ask(&self, ctx: &OpCtx) -> NewPasskey {
        self.services.begin_passkey(ctx, &PASSWORD.into()).await.unwrap()
    }

    async fn confirm(&self, ctx: &OpCtx, asked: &NewPasskey, answer: &Value) -> Result<Vec<SecretString>> {
        self.services.confirm_passkey(ctx, &asked.token, "Phone", &answer.to_string()).await
    }

    /// Adds a passkey: what keeps it, and the recovery codes.
    async fn enrol(&self, ctx: &OpCtx) -> (Authenticator, Vec<SecretString>) {
        let mut authenticator = Authenticator::new(SITE);
        let asked = self.ask(ctx).await;
        let codes = self.confirm(ctx, &asked, &authenticator.create(&asked.options)).await.unwrap();
        (authenticator, codes)
    }

    /// Signs in with nothing but a passkey.
    async fn without_password(&self, authenticator: &mut Authenticator) -> Result<SignedIn> {
        let begun = self.services.begin_passkey_sign_in(&self.nobody()).await.unwrap();
        let answer = authenticator.get(&self.services.passkey_question(&begun.secret).unwrap());
        self.answer(&begun, &answer).await
    }

    async fn answer(&self, begun: &Begun, answer: &Value) -> Result<SignedIn> {
        let answer = answer.to_string();
        self.services.finish_passkey_sign_in(&self.nobody(), Some(&begun.secret), &answer, "Firefox").await
    }

    /// Who did what, how it ended, and why or by what.
    fn last(&self) -> (String, String, String, Value) {
        let entry = self.world.store.audit().pop().unwrap();
        (entry.actor, entry.action, entry.outcome, entry.detail.unwrap_or_default())
    }

    #[track_caller]
    fn assert_denied(&self, why: &str) {
        let (_, action, outcome, detail) = self.last();
        assert_eq!((action.as_str(), outcome.as_str(), &detail["why"]), ("session.begin", "denied", &why.into()));
    }

    async fn alive(&self, session: &SignedIn) -> bool {
        let now = self.services.clock().now();
        self.services.authenticate_session(now, session.secret.expose_secret()).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_passkey_is_added_with_the_password() {
    let scene = Scene::new(Required::None).await;
    let services = &scene.services;
    let (ann, root) = (scene.session("ann").await, scene.session("root").await);
    assert_eq!(why(services.begin_passkey(&ann, &"wrong".into()).await), "password_wrong");
    let mut phone = Authenticator::new(SITE);
    let asked = scene.ask(&ann).await;
    assert_eq!(asked.options["user"]["name"], "ann");
    let answer = phone.create(&asked.options);
    // A wrong name asks nothing of the authenticator a second time.
    let unnamed = services.confirm_passkey(&ann, &asked.token, " ", &answer.to_string()).await;
    assert_eq!(why(unnamed), "label");
    let again = services.look_at_passkey(&ann, asked.token.clone()).await.unwrap();
    assert_eq!(again.options, asked.options);
    let codes = scene.confirm(&ann, &asked, &answer).await.unwrap();
    assert_eq!(codes.len(), RECOVERY_CODES);
    let (actor, action, outcome, detail) = scene.last();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ann", "second-factor.add", "done"));
    assert_eq!((&detail["secondFactor"], &detail["name"]), (&"passkey".into(), &"Phone".into()));
    let state = services.my_second_factors(&ann).await.unwrap();
    assert_eq!((state.passkeys.len(), state.recovery_codes_left, state.passkeys_available), (1, 10, true));

    // An answer counts once, in time, for who was asked.
    assert_eq!(why(scene.confirm(&ann, &asked, &answer).await), "passkey_challenge");
    let asked = scene.ask(&ann).await;
    assert_eq!(asked.options["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(why(scene.confirm(&ann, &asked, &answer).await), "passkey_challenge", "an answer to another question");
    let (asked, mut stick) = (scene.ask(&ann).await, Authenticator::new(SITE));
    let answer = stick.create(&asked.options);
    assert_eq!(why(scene.confirm(&root, &asked, &answer).await), "passkey_challenge", "somebody else's");
    let asked = scene.ask(&ann).await;
    let answer = stick.create(&asked.options);
    scene.world.clock.advance(Duration::from_mins(15));
    assert_eq!(why(scene.confirm(&ann, &asked, &answer).await), "passkey_challenge", "late");
    let asked = scene.ask(&ann).await;
    stick.origin = "https://berth.example.com.evil.example".to_owned();
    let answer = stick.create(&asked.options);
    assert_eq!(why(scene.confirm(&ann, &asked, &answer).await), "passkey_origin");

    // The same passkey for another account is none.
    let asked = scene.ask(&root).await;
    let answer = phone.create(&asked.options);
    assert_eq!(code(scene.confirm(&root, &asked, &answer).await), ErrorCode::AlreadyExists);
    // A second factor more brings no codes more.
    let (_, codes) = scene.enrol(&ann).await;
    assert!(codes.is_empty());
    for _ in 2..PASSKEYS {
        scene.enrol(&ann).await;
    }
    assert_eq!(code(services.begin_passkey(&ann, &PASSWORD.into()).await), ErrorCode::Conflict);
}

#[tokio::test]
async fn it_opens_what_the_password_alone_does_not() {
    let scene = Scene::new(Required::None).await;
    let (mut phone, codes) = scene.enrol(&scene.session("ann").await).await;
    let (mut roots, _) = scene.enrol(&scene.session("root").await).await;
    let begun = scene.begin("ann").await;
    let waiting = scene.waiting(&begun).await;
    let options = waiting.passkey.unwrap();
    assert!(!waiting.app);
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1, "hers alone");

    assert_eq!(why(scene.finish(&begun, &roots.get(&options)).await), "passkey_unknown", "another's");
    scene.assert_denied("passkey_unknown");
    assert_eq!(why(scene.finish(&begun, &Value::Null).await), "passkey_answer");
    let waits = scene.begin("ann").await;
    let elsewhere = phone.get(&scene.waiting(&waits).await.passkey.unwrap());
    assert_eq!(why(scene.finish(&begun, &elsewhere).await), "passkey_challenge", "of another sign-in");
    let good = phone.get(&options);
    let signed_in = scene.finish(&begun, &good).await.unwrap();
    assert_eq!(signed_in.person.name.as_str(), "ann");
    let (actor, action, outcome, detail) = scene.last();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ann", "session.begin", "done"));
    assert_eq!((&detail["secondFactor"], &detail["name"]), (&"passkey".into(), &"Phone".into()));
    assert_eq!(why(scene.finish(&begun, &good).await), "sign_in_step", "a sign-in ends once");
    let used = scene.services.my_second_factors(&scene.as_person(&signed_in)).await.unwrap();
    assert_eq!(used.passkeys[0].last_used_at, Some(scene.services.clock().now()));

    // A copy of it counts as it did before.
    let begun = scene.begin("ann").await;
    phone.count -= 1;
    let copied = phone.get(&scene.waiting(&begun).await.passkey.unwrap());
    assert_eq!(why(scene.finish(&begun, &copied).await), "passkey_count");
    scene.assert_denied("passkey_count");
    // Without PIN or finger, too: the password was the other factor.
    phone.verifies = false;
    let next = phone.get(&scene.waiting(&begun).await.passkey.unwrap());
    scene.finish(&begun, &next).await.unwrap();

    // Who has passkeys alone has recovery codes besides; digits of an app are none.
    let begun = scene.begin("ann").await;
    let typed = |code: &str| {
        let (services, nobody, secret, code) = (&scene.services, scene.nobody(), &begun.secret, code.to_owned());
        async move { services.finish_second_step(&nobody, Some(secret), Proof::Code(&code), "").await }
    };
    assert_eq!(why(typed("123456").await), "recovery_wrong");
    typed(codes[0].expose_secret()).await.unwrap();

    // Late, and tried too often.
    let begun = scene.begin("ann").await;
    let answer = phone.get(&scene.waiting(&begun).await.passkey.unwrap());
    scene.world.clock.advance(STEP);
    assert_eq!(why(scene.finish(&begun, &answer).await), "sign_in_step");
    assert!(scene.services.look_at_second_step(&scene.nobody(), &begun.secret).await.unwrap().is_none());
    let begun = scene.begin("ann").await;
    for n in 1..=TRIES {
        let want = if n == TRIES { "sign_in_step" } else { "passkey_answer" };
        assert_eq!(why(scene.finish(&begun, &Value::Null).await), want, "{n}");
    }
}

#[tokio::test]
async fn it_opens_the_account_by_itself() {
    let scene = Scene::new(Required::All).await;
    let (mut phone, _) = scene.enrol(&scene.session("ann").await).await;
    let signed_in = scene.without_password(&mut phone).await.unwrap();
    assert_eq!(signed_in.person.name.as_str(), "ann");
    assert!(signed_in.person.is_ready(), "it is the second factor that is required");
    let (actor, action, outcome, detail) = scene.last();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ann", "session.begin", "done"));
    assert_eq!((&detail["by"], &detail["name"]), (&"passkey".into(), &"Phone".into()));

    // It has to check who uses it, and to say whose it is.
    phone.verifies = false;
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_person");
    scene.assert_denied("passkey_person");
    phone.verifies = true;
    let handle = std::mem::take(&mut phone.user);
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_unknown");
    phone.user = vec![0; 16];
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_unknown");
    phone.user = handle;
    phone.origin = "https://evil.example".to_owned();
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_origin");
    phone.origin = SITE.to_owned();
    let mut stranger = Authenticator::new(SITE);
    assert_eq!(why(scene.without_password(&mut stranger).await), "passkey_unknown");

    // An answer counts once, in time, in the browser that was asked.
    let begun = scene.services.begin_passkey_sign_in(&scene.nobody()).await.unwrap();
    let answer = phone.get(&scene.services.passkey_question(&begun.secret).unwrap());
    let other = scene.services.begin_passkey_sign_in(&scene.nobody()).await.unwrap();
    assert_eq!(why(scene.answer(&other, &answer).await), "passkey_challenge");
    scene.answer(&begun, &answer).await.unwrap();
    assert_eq!(why(scene.answer(&begun, &answer).await), "passkey_challenge", "replayed");
    let none = scene.services.finish_passkey_sign_in(&scene.nobody(), None, &answer.to_string(), "").await;
    assert_eq!(why(none), "passkey_challenge");
    let begun = scene.services.begin_passkey_sign_in(&scene.nobody()).await.unwrap();
    let answer = phone.get(&scene.services.passkey_question(&begun.secret).unwrap());
    scene.world.clock.advance(STEP);
    assert_eq!(why(scene.answer(&begun, &answer).await), "passkey_challenge", "late");
    // What was asked to add a passkey opens nothing.
    let asked = scene.ask(&scene.as_person(&signed_in)).await;
    let begun = Begun { secret: asked.token, expires_at: begun.expires_at };
    let answer = phone.get(&scene.services.passkey_question(&begun.secret).unwrap());
    assert_eq!(why(scene.answer(&begun, &answer).await), "passkey_challenge");

    // Suspended, and where passwords are switched off.
    let root = scene.session("root").await;
    scene.enrol(&root).await;
    let entered = scene.services.authenticate_session(root.now(), scene_secret(&scene).await.expose_secret()).await;
    let root = scene.services.as_person(&scene.nobody(), entered.unwrap().unwrap());
    let ann: UserName = "ann".parse().unwrap();
    scene.services.update_user(&root, &ann, "Ann", None, true).await.unwrap();
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_unknown");
}

/// The secret of a session of root's, who has a passkey, begun by a recovery code's way in.
async fn scene_secret(scene: &Scene) -> SecretString {
    let root: UserName = "root".parse().unwrap();
    let account = scene.services.store().find_account(&root).await.unwrap().unwrap();
    scene.services.begin_session(&scene.nobody(), &account, "", None).await.unwrap().secret
}

#[tokio::test]
async fn it_is_renamed_and_removed() {
    let scene = Scene::new(Required::None).await;
    let services = &scene.services;
    let (ann, root) = (scene.session("ann").await, scene.session("root").await);
    let (mut phone, _) = scene.enrol(&ann).await;
    scene.world.clock.advance(Duration::from_secs(1));
    scene.enrol(&ann).await;
    let ids: Vec<_> =
        services.my_second_factors(&ann).await.unwrap().passkeys.into_iter().map(|passkey| passkey.id).collect();
    assert_eq!(code(services.rename_passkey(&root, ids[0], "Mine").await), ErrorCode::NotFound);
    assert_eq!(code(services.remove_passkey(&root, ids[0], &PASSWORD.into()).await), ErrorCode::NotFound);
    assert_eq!(why(services.rename_passkey(&ann, ids[0], "").await), "label");
    services.rename_passkey(&ann, ids[0], " Blue stick ").await.unwrap();
    assert_eq!(services.my_passkey(&ann, ids[0]).await.unwrap().name, "Blue stick");
    assert_eq!(scene.last().3["before"], "Phone");

    let other = scene.without_password(&mut phone).await.unwrap();
    let waits = scene.begin("ann").await;
    assert_eq!(why(services.remove_passkey(&ann, ids[0], &"wrong".into()).await), "password_wrong");
    services.remove_passkey(&ann, ids[0], &PASSWORD.into()).await.unwrap();
    assert!(!scene.alive(&other).await, "other sessions ended");
    assert_eq!(why(scene.finish(&waits, &Value::Null).await), "sign_in_step");
    assert_eq!(why(scene.without_password(&mut phone).await), "passkey_unknown");
    assert_eq!(services.my_second_factors(&ann).await.unwrap().recovery_codes_left, 10, "there is another factor");
    services.remove_passkey(&ann, ids[1], &PASSWORD.into()).await.unwrap();
    let state = services.my_second_factors(&ann).await.unwrap();
    assert_eq!((state.passkeys.len(), state.recovery_codes_left), (0, 0), "codes go with the last factor");
    assert!(scene.enter("ann").await.session().is_some());

    // What an admin removes, passkeys are part of.
    scene.enrol(&ann).await;
    services.remove_second_factors(&root, &"ann".parse().unwrap()).await.unwrap();
    assert!(scene.enter("ann").await.session().is_some());
}

#[tokio::test]
async fn who_must_have_a_factor_has_one_with_a_passkey() {
    let scene = Scene::new(Required::Admins).await;
    let signed_in = scene.enter("root").await.session().unwrap();
    assert!(signed_in.person.needs_second_factor);
    scene.enrol(&scene.as_person(&signed_in)).await;
    let now = scene.services.clock().now();
    let person = scene.services.authenticate_session(now, signed_in.secret.expose_secret()).await.unwrap().unwrap();
    assert!(person.is_ready());
}

#[tokio::test]
async fn where_there_are_none() {
    let scene = Scene::new(Required::None).await;
    let ann = scene.session("ann").await;
    let (_, codes) = scene.enrol(&ann).await;
    let without = scene.services.clone().with_passkeys(Err(Unavailable::Http));
    assert!(!without.my_second_factors(&ann).await.unwrap().passkeys_available);
    assert_eq!(code(without.begin_passkey(&ann, &PASSWORD.into()).await), ErrorCode::Forbidden);
    assert_eq!(code(without.begin_passkey_sign_in(&scene.nobody()).await), ErrorCode::Forbidden);
    let begun = scene.begin("ann").await;
    let waiting = without.look_at_second_step(&scene.nobody(), &begun.secret).await.unwrap().unwrap();
    assert!(waiting.passkey.is_none(), "nothing is asked that could not be answered");
    let typed = Proof::Code(codes[0].expose_secret());
    without.finish_second_step(&scene.nobody(), Some(&begun.secret), typed, "").await.unwrap();
}
