//! Which jobs get a robot's token, and what the log says of them.
#![allow(clippy::unwrap_used)]

use berth_types::{
    ErrorCode, PlatformRole, RobotName, TenantName,
    TenantRole::{Admin, Developer, Owner},
    UserName,
    ci::Condition,
    people::{AuditEntry, TokenPurpose},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{ci::TrustText, robots::RobotText};
use crate::{Actor, OpCtx, ports::robots::RobotChange, testing::World};

const ISSUER: &str = "https://ci.example.com";

struct Scene {
    world: World,
    shop: TenantName,
    robot: RobotName,
}

fn trust(conditions: &[(&str, &str)]) -> TrustText {
    let conditions =
        conditions.iter().map(|(claim, value)| Condition { claim: (*claim).into(), value: (*value).into() }).collect();
    TrustText { issuer: "github".to_owned(), audience: "berth".to_owned(), conditions, minutes: 15 }
}

/// A token as it is on the way; the fake looks it up.
fn token(claims: &Value) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

impl Scene {
    /// `shop` of olga, whose robot `deploy` trusts the jobs of `acme/web` on `github`.
    async fn new() -> Self {
        let world = World::new();
        for name in ["olga", "ada", "dave"] {
            world.person(name, None).await;
        }
        world.person("root", Some(PlatformRole::Admin)).await;
        let shop = world.tenant("shop", &[("olga", Owner), ("ada", Admin), ("dave", Developer)]).await;
        world.namespace(&shop, "dev").await;
        let root = world.ctx("root").await;
        world.services.create_ci_issuer(&root, "github", ISSUER).await.unwrap();
        let ada = world.ctx("ada").await;
        let text =
            RobotText { name: "deploy".to_owned(), description: String::new(), role: Developer, namespace: None };
        let robot = world.services.create_robot(&ada, &shop.name, &text).await.unwrap().name;
        let scene = Self { world, shop: shop.name, robot };
        scene.trusts(&trust(&[("sub", "repo:acme/web:*")])).await;
        scene
    }

    async fn trusts(&self, text: &TrustText) -> uuid::Uuid {
        let ada = self.world.ctx("ada").await;
        self.world.services.create_trust(&ada, (&self.shop, &self.robot), text).await.unwrap().id
    }

    /// A job's token, with `more` in place of what it would say.
    fn job(&self, more: Value) -> String {
        let now = self.world.system().now().as_second();
        let mut claims = json!({
            "iss": ISSUER, "aud": "berth", "sub": "repo:acme/web:ref:refs/heads/main", "jti": "1", "exp": now + 300,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = token(&claims);
        self.world.jobs.sign(&token, claims);
        token
    }

    fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.system().clock, "test", "192.0.2.7")
    }

    async fn ask(&self, robot: &str, token: &str) -> Result<String, crate::Error> {
        let robot = UserName::stored(robot).unwrap();
        let made = self.world.services.redeem_job(&self.nobody(), &robot, &token.to_owned().into()).await?;
        Ok(made.1.expose_secret().to_owned())
    }

    async fn come(&self, token: &str) -> Result<String, crate::Error> {
        self.ask("robot:shop/deploy", token).await
    }

    fn last(&self) -> AuditEntry {
        self.world.store.audit().pop().unwrap()
    }
}

#[tokio::test]
async fn a_job_gets_a_short_lived_token_once() {
    let s = Scene::new().await;
    let job = s.job(json!({}));
    let token = s.come(&job).await.unwrap();
    let person = s.world.services.authenticate_token(s.world.system().now(), &token).await.unwrap().unwrap();
    assert_eq!(person.name.as_str(), "robot:shop/deploy");
    let ctx = s.nobody().with_actor(Actor::Person(person));
    assert_eq!(s.world.services.list_tenants(&ctx).await.unwrap().len(), 1);
    let entry = s.last();
    assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("robot:shop/deploy", "robot.token.redeem"));
    assert_eq!((entry.outcome.as_str(), entry.tenant.as_ref()), ("done", Some(&s.shop)));
    let detail = entry.detail.unwrap();
    assert_eq!((&detail["iss"], &detail["jti"]), (&json!(ISSUER), &json!("1")));
    assert_eq!(detail["sub"], "repo:acme/web:ref:refs/heads/main");
    assert!(!detail.to_string().contains(&token) && !detail.to_string().contains(&job));

    let again = s.come(&job).await.unwrap_err();
    assert_eq!((again.code(), again.fields().len()), (ErrorCode::Unauthenticated, 0));
    assert_eq!(s.last().detail.unwrap()["why"], "ci_used");
    // Another token with the same id is the same; another id is another.
    assert!(s.come(&s.job(json!({ "sub": "repo:acme/web:x" }))).await.is_err());
    assert!(s.come(&s.job(json!({ "jti": "2" }))).await.is_ok());
    // Without an id, the token is its own.
    let without = s.job(json!({ "jti": null }));
    assert!(s.come(&without).await.is_ok());
    assert!(s.come(&without).await.is_err());

    s.world.clock.advance(std::time::Duration::from_secs(15 * 60 - 1));
    assert!(s.world.services.authenticate_token(s.world.system().now(), &token).await.unwrap().is_some());
    s.world.clock.advance(std::time::Duration::from_secs(1));
    assert!(s.world.services.authenticate_token(s.world.system().now(), &token).await.unwrap().is_none());
}

/// A pipeline that has no secret stored uses `kubectl`, too: for no longer than its token, and not after its trust.
#[tokio::test]
async fn a_job_makes_a_kubeconfig_that_ends_with_its_token() {
    let s = Scene::new().await;
    let (services, now) = (&s.world.services, s.world.system().now());
    let token = s.come(&s.job(json!({}))).await.unwrap();
    let job = services.authenticate_token(now, &token).await.unwrap().unwrap();
    let job = s.nobody().with_actor(Actor::Person(job));
    let made = services.create_kubeconfig(&job, &s.shop, None, 8).await.unwrap();
    assert_eq!(made.token.expires_at, now + jiff::SignedDuration::from_mins(15));
    let secret = made.secret.expose_secret();
    let alive = async || services.authenticate_for(TokenPurpose::Kubectl, now, secret).await.unwrap().is_some();
    assert!(alive().await);
    let ada = s.world.ctx("ada").await;
    let known = services.list_trusts(&ada, &s.shop, &s.robot).await.unwrap().remove(0);
    services.update_trust(&ada, (&s.shop, &s.robot), known.id, &trust(&[("repository", "acme/web")])).await.unwrap();
    assert!(!alive().await);
}

#[tokio::test]
async fn refusals_are_alike_and_the_log_knows() {
    let s = Scene::new().await;
    let forged = token(&json!({ "iss": ISSUER, "aud": "berth", "sub": "repo:acme/web:x" }));
    let elsewhere = token(&json!({ "iss": "https://evil.example.com", "aud": "berth" }));
    let long = s.job(json!({ "exp": null }));
    let mut words = std::collections::BTreeSet::new();
    for (robot, token, why) in [
        ("robot:shop/deploy", "nonsense".to_owned(), "ci_malformed"),
        ("robot:shop/deploy", forged, "ci_token"),
        ("robot:shop/deploy", elsewhere, "ci_untrusted"),
        ("robot:shop/other", s.job(json!({})), "ci_untrusted"),
        ("robot:bank/deploy", s.job(json!({})), "ci_untrusted"),
        ("robot:shop/deploy", s.job(json!({ "aud": "other" })), "ci_for_others"),
        ("robot:shop/deploy", s.job(json!({ "aud": ["berth", "other"] })), "ci_for_others"),
        ("robot:shop/deploy", s.job(json!({ "sub": "repo:acme/other:x" })), "ci_claims"),
        ("robot:shop/deploy", long, "ci_token"),
    ] {
        let refused = s.ask(robot, &token).await.unwrap_err();
        assert_eq!((refused.code(), refused.fields().len()), (ErrorCode::Unauthenticated, 0), "{why}");
        words.insert(refused.message().to_owned());
        let entry = s.last();
        assert_eq!((entry.outcome.as_str(), &entry.detail.unwrap()["why"]), ("denied", &json!(why)));
        assert_eq!(entry.tenant.is_some(), robot == "robot:shop/deploy", "no log for names that are made up: {robot}");
    }
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(s.come(&s.job(json!({}))).await.is_ok(), "what was refused did not use it up");
}

#[tokio::test]
async fn who_tries_often_waits() {
    let s = Scene::new().await;
    for _ in 0..60 {
        assert_eq!(s.come("nonsense").await.unwrap_err().code(), ErrorCode::Unauthenticated);
    }
    assert_eq!(s.come(&s.job(json!({}))).await.unwrap_err().code(), ErrorCode::RateLimited);
    s.world.clock.advance(std::time::Duration::from_secs(2));
    assert!(s.come(&s.job(json!({}))).await.is_ok());
}

#[tokio::test]
async fn what_is_taken_back_ends_at_once() {
    let s = Scene::new().await;
    let (services, ada, root) = (&s.world.services, s.world.ctx("ada").await, s.world.ctx("root").await);
    let alive = async |token: &str| services.authenticate_token(s.world.system().now(), token).await.unwrap().is_some();
    let job = |id: &str| s.job(json!({ "jti": id }));
    let token = s.come(&job("a")).await.unwrap();
    let known = services.list_trusts(&ada, &s.shop, &s.robot).await.unwrap();
    services.delete_trust(&ada, &s.shop, &s.robot, known[0].id).await.unwrap();
    assert!(!alive(&token).await && s.come(&job("b")).await.is_err());
    s.trusts(&trust(&[("repository", "acme/web"), ("ref", "refs/heads/main")])).await;
    let both = || s.job(json!({ "jti": "c", "repository": "acme/web", "ref": "refs/heads/main" }));
    let token = s.come(&both()).await.unwrap();
    let mut change = RobotChange { description: "x".to_owned(), role: Developer, disabled: true };
    services.update_robot(&ada, &s.shop, &s.robot, &change).await.unwrap();
    let next = || s.job(json!({ "jti": "d", "repository": "acme/web", "ref": "refs/heads/main" }));
    assert!(!alive(&token).await && s.come(&next()).await.is_err());
    change.disabled = false;
    services.update_robot(&ada, &s.shop, &s.robot, &change).await.unwrap();
    assert!(alive(&token).await);
    services.delete_ci_issuer(&root, &"github".parse().unwrap()).await.unwrap();
    assert!(!alive(&token).await && s.come(&next()).await.is_err());
}

#[tokio::test]
async fn a_trust_is_changed() {
    let s = Scene::new().await;
    let (services, ada, dave) = (&s.world.services, s.world.ctx("ada").await, s.world.ctx("dave").await);
    let alive = async |token: &str| services.authenticate_token(s.world.system().now(), token).await.unwrap().is_some();
    let token = s.come(&s.job(json!({ "jti": "a" }))).await.unwrap();
    let before = services.list_trusts(&ada, &s.shop, &s.robot).await.unwrap().remove(0);
    let main = TrustText { minutes: 5, ..trust(&[("sub", "repo:acme/web:*"), ("ref", "refs/heads/main")]) };
    let change = async |who: &crate::OpCtx, id, text: &TrustText| {
        services.update_trust(who, (&s.shop, &s.robot), id, text).await
    };
    assert_eq!(change(&dave, before.id, &main).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(change(&ada, uuid::Uuid::nil(), &main).await.unwrap_err().code(), ErrorCode::NotFound);
    let wide = change(&ada, before.id, &trust(&[("ref", "refs/heads/main")])).await.unwrap_err();
    assert_eq!(wide.fields()[0].field, "conditions");
    assert!(alive(&token).await, "what was refused changed nothing");
    let after = change(&ada, before.id, &main).await.unwrap();
    assert_eq!((after.id, after.created_at, after.minutes), (before.id, before.created_at, 5));
    let entry = s.last();
    let detail = entry.detail.unwrap();
    assert_eq!((entry.action.as_str(), &detail["before"]["minutes"]), ("robot.trust.update", &before.minutes.into()));
    assert!(!alive(&token).await, "it was given to a job that may come in no more");
    assert!(s.come(&s.job(json!({ "jti": "b" }))).await.is_err());
    assert!(s.come(&s.job(json!({ "jti": "c", "ref": "refs/heads/main" }))).await.is_ok());
}

#[tokio::test]
async fn who_says_which_jobs() {
    let s = Scene::new().await;
    let (services, ada, root, dave) =
        (&s.world.services, s.world.ctx("ada").await, s.world.ctx("root").await, s.world.ctx("dave").await);
    let robot = (&s.shop, &s.robot);
    for (who, code) in [(&dave, ErrorCode::Forbidden), (&root, ErrorCode::Forbidden)] {
        let refused = services.create_trust(who, robot, &trust(&[("sub", "repo:acme/web:*")])).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    for (what, text, fields) in [
        ("any job", trust(&[("ref", "refs/heads/main")]), &["conditions"][..]),
        ("all of an owner's likes", trust(&[("sub", "repo:acme*")]), &["conditions"]),
        (
            "all of it",
            TrustText { issuer: "jenkins".into(), audience: String::new(), minutes: 61, ..trust(&[]) },
            &["issuer", "audience", "conditions", "minutes"],
        ),
    ] {
        let refused = services.create_trust(&ada, robot, &text).await.unwrap_err();
        assert_eq!(refused.fields().iter().map(|e| &*e.field).collect::<Vec<_>>(), fields, "{what}");
    }
    assert_eq!(services.list_trusts(&ada, &s.shop, &s.robot).await.unwrap().len(), 1);
    // Only who keeps the platform lists CI systems.
    let refused = services.create_ci_issuer(&ada, "mine", "https://mine.example.com").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound);
    for (name, issuer, field) in [
        ("Bad Name", "http://ci.example.com", "name"),
        ("ok", "http://169.254.169.254/", "issuer"),
        ("ok", "https://away.example.com", "issuer"),
        ("ok", ISSUER, "issuer"),
        ("github", "https://other.example.com", "name"),
    ] {
        let refused = services.create_ci_issuer(&root, name, issuer).await.unwrap_err();
        assert_eq!(refused.fields()[0].field, field, "{name} {issuer}");
    }
    assert_eq!(services.list_ci_issuers(&ada).await.unwrap().len(), 1);
}
