//! Sign-in by a provider, over fakes: what is refused, what it makes, what it leaves as it is.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use berth_types::{ErrorCode, PlatformRole, TenantRole, provider::IdentityProvider};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Services,
    providers::ProviderText,
    sign_in::{Begun, Finished, Purpose},
};
use crate::{
    Actor, OpCtx, Person, Via,
    env::SystemRandom,
    error::Error,
    ports::{
        sign_in::{Answer, Claims},
        store::{People as _, Tenants as _},
    },
    testing::World,
};

const BACK: &str = "https://berth.example.com/auth/corp/callback";

pub(super) fn text() -> ProviderText {
    ProviderText {
        issuer: "https://id.example.com".to_owned(),
        client_id: "berth".to_owned(),
        secret: "corp".to_owned(),
        scopes: vec!["profile".to_owned()],
        enabled: true,
        sign_out_there: true,
        ..ProviderText::default()
    }
}

fn claims(subject: &str, groups: &[&str]) -> Claims {
    Claims {
        subject: subject.to_owned(),
        preferred_username: Some(subject.to_owned()),
        name: Some(format!("{subject} of Corp")),
        email: Some("same@example.com".to_owned()),
        email_verified: false,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

struct Scene {
    world: World,
    provider: IdentityProvider,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        let provider = world.services.create_provider(&world.ctx("root").await, "corp", &text()).await.unwrap();
        Self { world, provider }
    }

    fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.clock.clone(), "test", "192.0.2.1")
    }

    async fn begin(&self, ctx: &OpCtx, purpose: Purpose<'_>) -> (Begun, Answer) {
        let begun = self.world.services.begin_sign_in(ctx, "corp", BACK, "/t/shop", purpose).await.unwrap();
        let state = begun.address.split_once("state=").unwrap().1.to_owned();
        (begun, Answer { state, code: Some("code".to_owned()), ..Answer::default() })
    }

    async fn finish(&self, ctx: &OpCtx, secret: &SecretString, answer: &Answer) -> Result<(Finished, String), Error> {
        let secret = Some(secret.expose_secret());
        self.world.services.finish_sign_in(ctx, "corp", BACK, secret, answer, "Firefox").await
    }

    /// Signs in whom the provider says it is.
    async fn sign_in(&self, claims: Claims) -> Result<Arc<Person>, Error> {
        self.world.protocol.says(Some(claims));
        let nobody = self.nobody();
        let (begun, answer) = self.begin(&nobody, Purpose::SignIn).await;
        match self.finish(&nobody, &begun.secret, &answer).await? {
            (Finished::SignedIn(signed_in), to) => {
                assert_eq!(to, "/t/shop");
                Ok(signed_in.person)
            }
            (Finished::Connected, _) => unreachable!("nobody asked for that"),
        }
    }

    fn last_audit(&self) -> (String, String, String, serde_json::Value) {
        let entry = self.world.store.audit().pop().unwrap();
        (entry.actor, entry.action, entry.outcome, entry.detail.unwrap_or_default())
    }
}

#[track_caller]
fn why(error: &Error) -> &str {
    &error.fields()[0].code
}

#[tokio::test]
async fn the_first_sign_in_makes_a_person_and_the_next_finds_them() {
    let scene = Scene::new().await;
    scene.world.person("ada", None).await;
    let first = scene.sign_in(claims("ada", &[])).await.unwrap();
    assert_eq!(first.name.as_str(), "ada-2", "the local ada is somebody else");
    assert_eq!(&*first.display_name, "ada of Corp");
    let (actor, action, outcome, detail) = scene.last_audit();
    assert_eq!((actor.as_str(), action.as_str(), outcome.as_str()), ("ada-2", "session.begin", "done"));
    assert_eq!(detail["created"], true, "{detail}");
    assert_eq!(scene.sign_in(claims("ada", &[])).await.unwrap().id, first.id);
    // The same address does not make the same person.
    assert_ne!(scene.sign_in(claims("mallory", &[])).await.unwrap().id, first.id);
}

#[tokio::test]
async fn an_answer_is_worth_something_once_and_in_one_browser() {
    let scene = Scene::new().await;
    scene.world.protocol.says(Some(claims("ada", &[])));
    let nobody = scene.nobody();
    let (begun, answer) = scene.begin(&nobody, Purpose::SignIn).await;
    let (other, _) = scene.begin(&nobody, Purpose::SignIn).await;

    let foreign = scene.finish(&nobody, &other.secret, &answer).await.err().unwrap();
    assert_eq!((foreign.code(), why(&foreign)), (ErrorCode::Unauthenticated, "sign_in_state"));
    let (_, action, outcome, detail) = scene.last_audit();
    assert_eq!((action.as_str(), outcome.as_str()), ("session.begin", "denied"));
    assert_eq!(detail["why"], "sign_in_state");
    let none = scene.world.services.finish_sign_in(&nobody, "corp", BACK, None, &answer, "").await.err().unwrap();
    assert_eq!(why(&none), "sign_in_state");

    // Neither of them ended it.
    assert!(scene.finish(&nobody, &begun.secret, &answer).await.is_ok());
    let replayed = scene.finish(&nobody, &begun.secret, &answer).await.err().unwrap();
    assert_eq!(why(&replayed), "sign_in_state");

    let (late, answer) = scene.begin(&nobody, Purpose::SignIn).await;
    scene.world.clock.advance(Duration::from_mins(10));
    let late = scene.finish(&nobody, &late.secret, &answer).await.err().unwrap();
    assert_eq!(why(&late), "sign_in_expired");
}

#[tokio::test]
async fn an_answer_belongs_to_the_provider_that_was_asked() {
    let scene = Scene::new().await;
    let root = scene.world.ctx("root").await;
    let other = ProviderText { issuer: "https://other.example.com".to_owned(), ..text() };
    scene.world.services.create_provider(&root, "other", &other).await.unwrap();
    scene.world.protocol.says(Some(claims("ada", &[])));
    let nobody = scene.nobody();
    let (begun, answer) = scene.begin(&nobody, Purpose::SignIn).await;
    let secret = Some(begun.secret.expose_secret());
    let mixed = scene.world.services.finish_sign_in(&nobody, "other", BACK, secret, &answer, "").await.err().unwrap();
    assert_eq!(why(&mixed), "sign_in_state");
}

#[tokio::test]
async fn who_is_not_let_in() {
    let scene = Scene::new().await;
    let root = scene.world.ctx("root").await;
    let ada = scene.sign_in(claims("ada", &[])).await.unwrap();
    scene.world.services.update_user(&root, &ada.name, "Ada", None, true).await.unwrap();
    assert_eq!(why(&scene.sign_in(claims("ada", &[])).await.err().unwrap()), "sign_in_suspended");

    let only = ProviderText { allowed_groups: vec!["staff".to_owned()], ..text() };
    scene.world.services.update_provider(&root, &scene.provider.name, &only, None).await.unwrap();
    assert_eq!(why(&scene.sign_in(claims("bob", &["guests"])).await.err().unwrap()), "sign_in_group");
    assert!(scene.world.store.find_account(&"bob".parse().unwrap()).await.unwrap().is_none(), "nobody was made");
    assert!(scene.sign_in(claims("bob", &["staff"])).await.is_ok());

    let off = ProviderText { enabled: false, ..text() };
    scene.world.services.update_provider(&root, &scene.provider.name, &off, None).await.unwrap();
    let begun = scene.world.services.begin_sign_in(&scene.nobody(), "corp", BACK, "/", Purpose::SignIn).await;
    assert_eq!(why(&begun.err().unwrap()), "sign_in_unknown");
}

#[tokio::test]
async fn return_addresses_are_ours() {
    let scene = Scene::new().await;
    scene.world.protocol.says(Some(claims("ada", &[])));
    for to in ["https://evil.example.com", "//evil.example.com", "/\\evil.example.com", ""] {
        let nobody = scene.nobody();
        let begun = scene.world.services.begin_sign_in(&nobody, "corp", BACK, to, Purpose::SignIn).await.unwrap();
        let state = begun.address.split_once("state=").unwrap().1.to_owned();
        let answer = Answer { state, code: Some("code".to_owned()), ..Answer::default() };
        assert_eq!(scene.finish(&nobody, &begun.secret, &answer).await.unwrap().1, "/", "{to}");
    }
}

#[tokio::test]
async fn an_account_is_connected_by_who_is_signed_in_to_it() {
    let scene = Scene::new().await;
    scene.world.person("local", None).await;
    let (ctx, root) = (scene.world.ctx("local").await, scene.world.ctx("root").await);
    scene.world.protocol.says(Some(claims("ada", &[])));

    let anonymous = scene
        .world
        .services
        .begin_sign_in(&scene.nobody(), "corp", BACK, "/", Purpose::Connect(&"".into()))
        .await
        .err()
        .unwrap();
    assert_eq!(anonymous.code(), ErrorCode::Unauthenticated);
    // Begun by one, ended by another in the same browser.
    let (begun, answer) = scene.begin(&ctx, Purpose::Connect(&"".into())).await;
    assert_eq!(why(&scene.finish(&root, &begun.secret, &answer).await.err().unwrap()), "sign_in_state");
    let (begun, answer) = scene.begin(&ctx, Purpose::Connect(&"".into())).await;
    assert_eq!(why(&scene.finish(&scene.nobody(), &begun.secret, &answer).await.err().unwrap()), "sign_in_state");

    let (begun, answer) = scene.begin(&ctx, Purpose::Connect(&"".into())).await;
    assert!(matches!(scene.finish(&ctx, &begun.secret, &answer).await.unwrap().0, Finished::Connected));
    assert_eq!(scene.sign_in(claims("ada", &[])).await.unwrap().name.as_str(), "local");
    // What opens one account opens no other.
    let (begun, answer) = scene.begin(&root, Purpose::Connect(&"".into())).await;
    assert_eq!(why(&scene.finish(&root, &begun.secret, &answer).await.err().unwrap()), "sign_in_taken");

    // This person has no password: it is the only way in.
    let identity = scene.world.services.my_identities(&ctx).await.unwrap().remove(0);
    let last = scene.world.services.disconnect_identity(&ctx, identity.id).await.err().unwrap();
    assert_eq!(why(&last), "last_way_in");
    let theirs = scene.world.services.disconnect_identity(&root, identity.id).await.err().unwrap();
    assert_eq!(theirs.code(), ErrorCode::NotFound);
    let id = ctx.person().unwrap().id;
    scene.world.store.set_password(id, "$argon2id$x", false, scene.world.system().now()).await.unwrap();
    scene.world.services.disconnect_identity(&ctx, identity.id).await.unwrap();
    assert_ne!(scene.sign_in(claims("ada", &[])).await.unwrap().name.as_str(), "local");
}

#[tokio::test]
async fn groups_become_roles_and_go_again() {
    let scene = Scene::new().await;
    let (world, root) = (&scene.world, scene.world.ctx("root").await);
    world.person("olga", None).await;
    for tenant in ["shop", "blog"] {
        world.tenant(tenant, &[("olga", TenantRole::Owner)]).await;
    }
    let corp = &scene.provider.name;
    let rule = async |group: &str, tenant: &str, role: &str| {
        world.services.create_group_rule(&root, corp, group, tenant, role).await
    };
    rule("team-a", "shop", "developer").await.unwrap();
    rule("leads", "shop", "admin").await.unwrap();
    rule("team-a", "blog", "viewer").await.unwrap();
    assert_eq!(rule("team-a", "shop", "admin").await.err().unwrap().code(), ErrorCode::AlreadyExists);
    for (group, tenant, role, field) in
        [("", "shop", "admin", "group"), ("g", "nowhere", "admin", "tenant"), ("g", "shop", "owner", "role")]
    {
        assert_eq!(rule(group, tenant, role).await.err().unwrap().fields()[0].field, field);
    }

    let roles = async |person: &Person| {
        let all = world.store.list_tenant_access(person.id, false).await.unwrap();
        all.into_iter().map(|access| (access.tenant.name.to_string(), access.role.unwrap())).collect::<Vec<_>>()
    };
    let role = |tenant: &str, role| (tenant.to_owned(), role);
    let ada = scene.sign_in(claims("ada", &["team-a", "leads"])).await.unwrap();
    assert_eq!(roles(&ada).await, [role("blog", TenantRole::Viewer), role("shop", TenantRole::Admin)]);
    let (.., detail) = scene.last_audit();
    assert_eq!(detail["memberships"]["set"].as_array().unwrap().len(), 2, "{detail}");

    // An owner makes one of them theirs to keep.
    let olga = world.ctx("olga").await;
    let blog = "blog".parse().unwrap();
    world.services.set_member(&olga, &blog, &ada.name, TenantRole::Developer).await.unwrap();
    scene.sign_in(claims("ada", &["team-a"])).await.unwrap();
    assert_eq!(roles(&ada).await, [role("blog", TenantRole::Developer), role("shop", TenantRole::Developer)]);
    scene.sign_in(claims("ada", &[])).await.unwrap();
    assert_eq!(roles(&ada).await, [role("blog", TenantRole::Developer)]);

    scene.sign_in(claims("ada", &["team-a"])).await.unwrap();
    world.services.delete_provider(&root, corp).await.unwrap();
    assert_eq!(roles(&ada).await, [role("blog", TenantRole::Developer)], "its rules went with it");
}

#[tokio::test]
async fn who_forbids_passwords_has_another_way_in() {
    let scene = Scene::new().await;
    let (services, corp) = (&scene.world.services, &scene.provider.name);
    let root = scene.world.ctx("root").await;
    let locked_out = services.set_local_accounts(&root, false).await.err().unwrap();
    assert_eq!(why(&locked_out), "local_accounts_first");

    scene.world.protocol.says(Some(claims("boss", &[])));
    let (begun, answer) = scene.begin(&root, Purpose::Connect(&"".into())).await;
    scene.finish(&root, &begun.secret, &answer).await.unwrap();
    services.set_local_accounts(&root, false).await.unwrap();
    assert!(!services.ways_in().await.unwrap().local_accounts);
    let refused = services.sign_in(&scene.nobody(), "root", &"correct horse battery".into(), "").await.err().unwrap();
    assert_eq!(why(&refused), "sign_in_local");
    assert!(scene.sign_in(claims("boss", &[])).await.is_ok());

    // Now the provider is what keeps the door open.
    let off = ProviderText { enabled: false, ..text() };
    assert_eq!(why(&services.update_provider(&root, corp, &off, None).await.err().unwrap()), "last_provider");
    assert_eq!(why(&services.delete_provider(&root, corp).await.err().unwrap()), "last_provider");
    // On the machine itself the door opens always.
    services.set_local_accounts(&scene.world.system(), true).await.unwrap();
    services.delete_provider(&root, corp).await.unwrap();
}

#[tokio::test]
async fn what_another_replica_changed_is_seen_soon() {
    let scene = Scene::new().await;
    let World { services, store, clock, .. } = &scene.world;
    let clusters = services.clusters().clone();
    let other = Services::new(store.clone(), clusters, clock.clone(), Arc::new(SystemRandom), services.limits.clone());
    assert_eq!(other.ways_in().await.unwrap().providers.len(), 1);
    let off = ProviderText { enabled: false, ..text() };
    services.update_provider(&scene.world.ctx("root").await, &scene.provider.name, &off, None).await.unwrap();
    assert!(services.ways_in().await.unwrap().providers.is_empty(), "who changed it sees it at once");
    assert_eq!(other.ways_in().await.unwrap().providers.len(), 1, "the database is not asked each time");
    clock.advance(Duration::from_secs(2));
    assert!(other.ways_in().await.unwrap().providers.is_empty());
}

#[tokio::test]
async fn who_came_by_a_provider_leaves_there_too() {
    let scene = Scene::new().await;
    let (services, root) = (&scene.world.services, scene.world.ctx("root").await);
    let leave = async || {
        let ada = scene.sign_in(claims("ada", &[])).await.unwrap();
        let ctx = services.as_person(&scene.nobody(), ada);
        let leads = services.sign_out(&ctx, "https://berth.example.com/sign-in").await.unwrap();
        assert!(services.my_sessions(&ctx).await.unwrap().is_empty());
        leads
    };
    let there = "https://id.example.com/end?back=https://berth.example.com/sign-in";
    assert_eq!(leave().await.as_deref(), Some(there));
    let stays = ProviderText { sign_out_there: false, ..text() };
    services.update_provider(&root, &scene.provider.name, &stays, None).await.unwrap();
    assert_eq!(leave().await, None);
}

#[tokio::test]
async fn tokens_connect_nothing() {
    let scene = Scene::new().await;
    let mut person = scene.world.ctx("root").await.person().unwrap().clone();
    person.via = Via::Token(uuid::Uuid::nil(), "berth_x".into());
    let ctx = scene.nobody().with_actor(Actor::Person(Arc::new(person)));
    let begun = scene.world.services.begin_sign_in(&ctx, "corp", BACK, "/", Purpose::Connect(&"".into())).await;
    assert_eq!(begun.err().unwrap().code(), ErrorCode::Forbidden);
}
