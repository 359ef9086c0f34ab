//! What robots may, who keeps them, and what their tokens are limited to.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{
    Action::{self, Create, Delete, Read, Update},
    AppName, ErrorCode, NamespaceName, PlatformRole, Resource, RobotName, TenantName,
    TenantRole::{self, Admin, Developer, Owner, Viewer},
    people::TokenScope,
};
use secrecy::ExposeSecret;

use super::{ci::TrustText, robots::RobotText};
use crate::{Actor, OpCtx, authz::impersonation, ports::robots::RobotChange, testing::World};

const DAY: Duration = Duration::from_hours(24);

/// `shop` with `dev` and `prod`: olga owns it, ada is its admin, dev its developer; root keeps the platform.
struct Scene {
    world: World,
    shop: TenantName,
    dev: NamespaceName,
    prod: NamespaceName,
}

async fn scene() -> Scene {
    let world = World::new();
    for name in ["olga", "ada", "dave"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    let shop = world.tenant("shop", &[("olga", Owner), ("ada", Admin), ("dave", Developer)]).await;
    let dev = world.namespace(&shop, "dev").await.name;
    let prod = world.namespace(&shop, "prod").await.name;
    Scene { world, shop: shop.name, dev, prod }
}

impl Scene {
    fn text(&self, name: &str, role: TenantRole, namespace: Option<&str>) -> RobotText {
        let namespace = namespace.map(|name| name.parse().unwrap());
        RobotText { name: name.to_owned(), description: String::new(), role, namespace }
    }

    async fn robot(&self, name: &str, role: TenantRole, namespace: Option<&str>) -> RobotName {
        let ada = self.world.ctx("ada").await;
        self.world.services.create_robot(&ada, &self.shop, &self.text(name, role, namespace)).await.unwrap().name
    }

    async fn token(&self, robot: &RobotName, scope: TokenScope) -> String {
        let ada = self.world.ctx("ada").await;
        let made = self.world.services.create_robot_token(&ada, (&self.shop, robot), "ci", scope, DAY).await.unwrap();
        made.1.expose_secret().to_owned()
    }

    /// As whoever has the token; none where it is not taken.
    async fn by(&self, token: &str) -> Option<OpCtx> {
        let person = self.world.services.authenticate_token(self.world.system().now(), token).await.unwrap()?;
        Some(self.world.system().with_actor(Actor::Person(person)))
    }

    async fn as_robot(&self, robot: &RobotName, scope: TokenScope) -> OpCtx {
        self.by(&self.token(robot, scope).await).await.unwrap()
    }

    async fn may(
        &self,
        ctx: &OpCtx,
        namespace: &NamespaceName,
        resource: Resource,
        action: Action,
    ) -> Option<ErrorCode> {
        let found = self.world.services.authz().namespace(ctx, &self.shop, namespace, resource, action).await;
        found.err().map(|e| e.code())
    }
}

fn only(actions: &[&str]) -> TokenScope {
    TokenScope { actions: actions.iter().map(|a| a.parse().unwrap()).collect(), ..TokenScope::default() }
}

#[tokio::test]
async fn a_robot_may_what_its_role_gives() {
    let s = scene().await;
    let whole = s.robot("deploy", Developer, None).await;
    let ctx = s.as_robot(&whole, TokenScope::default()).await;
    assert_eq!(ctx.actor.to_string(), "robot:shop/deploy");
    for namespace in [&s.dev, &s.prod] {
        assert_eq!(s.may(&ctx, namespace, Resource::App, Create).await, None);
        assert_eq!(s.may(&ctx, namespace, Resource::Network, Update).await, Some(ErrorCode::Forbidden));
    }
    let namespace = s.world.services.get_namespace(&ctx, &s.shop, &s.dev).await.unwrap().namespace;
    let as_whom = impersonation(&ctx, Some(&namespace)).unwrap();
    assert_eq!(as_whom.user, "berth:robot:shop/deploy");
    assert_eq!(as_whom.groups, ["berth:tenant:shop:developer"]);

    let one = s.robot("watch", Viewer, Some("dev")).await;
    let ctx = s.as_robot(&one, TokenScope::default()).await;
    assert_eq!(s.may(&ctx, &s.dev, Resource::App, Read).await, None);
    assert_eq!(s.may(&ctx, &s.dev, Resource::App, Create).await, Some(ErrorCode::Forbidden));
    assert_eq!(s.may(&ctx, &s.prod, Resource::App, Read).await, Some(ErrorCode::NotFound));
    let namespace = s.world.services.get_namespace(&ctx, &s.shop, &s.dev).await.unwrap().namespace;
    assert_eq!(impersonation(&ctx, Some(&namespace)).unwrap().groups, ["berth:namespace:shop:dev:viewer"]);
}

#[tokio::test]
async fn who_keeps_robots() {
    let s = scene().await;
    let services = &s.world.services;
    let robot = s.robot("deploy", Admin, None).await;
    let change = RobotChange { description: "x".to_owned(), role: Viewer, disabled: false };
    let itself = s.as_robot(&robot, TokenScope::default()).await;
    let forbidden = |result: Option<ErrorCode>| assert_eq!(result, Some(ErrorCode::Forbidden));
    for ctx in [&s.world.ctx("dave").await, &s.world.ctx("root").await, &itself] {
        let new = s.text("other", Viewer, None);
        forbidden(services.create_robot(ctx, &s.shop, &new).await.err().map(|e| e.code()));
        forbidden(services.update_robot(ctx, &s.shop, &robot, &change).await.err().map(|e| e.code()));
        let made = services.create_robot_token(ctx, (&s.shop, &robot), "y", TokenScope::default(), DAY).await;
        forbidden(made.err().map(|e| e.code()));
    }
    forbidden(services.remove_robot(&itself, &s.shop, &robot).await.err().map(|e| e.code()));
    forbidden(services.list_robots(&s.world.ctx("dave").await, &s.shop).await.err().map(|e| e.code()));
    let watch = s.robot("watch", Viewer, None).await;
    let watch = s.as_robot(&watch, TokenScope::default()).await;
    forbidden(services.request_access(&watch, (&s.shop, None), Admin, "please").await.err().map(|e| e.code()));
    forbidden(services.create_token(&watch, "more", TokenScope::default(), DAY).await.err().map(|e| e.code()));
    // Who keeps the platform sees it, and can put an end to it.
    let root = s.world.ctx("root").await;
    assert_eq!(services.list_robots(&root, &s.shop).await.unwrap().len(), 2);
    services.remove_robot(&root, &s.shop, &robot).await.unwrap();
    assert_eq!(services.list_robots(&root, &s.shop).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_is_said_at_once_and_changes_nothing() {
    let s = scene().await;
    let (services, ada) = (&s.world.services, s.world.ctx("ada").await);
    let bad = RobotText { description: "x".repeat(61), ..s.text("Bad Name", Owner, Some("gone")) };
    let refused = services.create_robot(&ada, &s.shop, &bad).await.unwrap_err();
    let fields: Vec<&str> = refused.fields().iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["name", "description", "role", "namespace"]);
    assert_eq!(services.list_robots(&ada, &s.shop).await.unwrap(), []);

    let robot = s.robot("deploy", Developer, None).await;
    let again = services.create_robot(&ada, &s.shop, &s.text("deploy", Viewer, None)).await.unwrap_err();
    assert_eq!((again.code(), again.fields()[0].field.as_str()), (ErrorCode::AlreadyExists, "name"));
    let change = RobotChange { description: String::new(), role: Owner, disabled: true };
    let refused = services.update_robot(&ada, &s.shop, &robot, &change).await.unwrap_err();
    assert_eq!(refused.fields().iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["description", "role"]);
    assert!(!services.get_robot(&ada, &s.shop, &robot).await.unwrap().disabled);

    let elsewhere =
        TokenScope { tenant: Some("bank".parse().unwrap()), ..only(&["user.read", "app.read", "log.create"]) };
    let no_days = services.create_robot_token(&ada, (&s.shop, &robot), "ci", TokenScope::default(), DAY * 400).await;
    assert_eq!(no_days.unwrap_err().fields()[0].field, "expiresInDays");
    let refused = services.create_robot_token(&ada, (&s.shop, &robot), "ci", elsewhere, DAY).await.unwrap_err();
    let fields: Vec<&str> = refused.fields().iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["scope.tenant", "scope.actions[0]", "scope.actions[2]"]);
    assert_eq!(services.list_robot_tokens(&ada, &s.shop, &robot).await.unwrap(), []);
}

#[tokio::test]
async fn its_tokens_end_with_it() {
    let s = scene().await;
    let (services, ada) = (&s.world.services, s.world.ctx("ada").await);
    let robot = s.robot("deploy", Developer, None).await;
    let token = s.token(&robot, TokenScope::default()).await;
    assert!(s.by(&token).await.is_some());
    let mut change = RobotChange { description: "CI".to_owned(), role: Viewer, disabled: true };
    for (disabled, taken) in [(true, false), (false, true)] {
        change.disabled = disabled;
        services.update_robot(&ada, &s.shop, &robot, &change).await.unwrap();
        assert_eq!(s.by(&token).await.is_some(), taken);
    }
    let ctx = s.by(&token).await.unwrap();
    assert_eq!(s.may(&ctx, &s.dev, Resource::App, Create).await, Some(ErrorCode::Forbidden), "its new role counts");
    let known = services.list_robot_tokens(&ada, &s.shop, &robot).await.unwrap();
    assert_eq!((known.len(), known[0].scope.tenant.as_ref()), (1, Some(&s.shop)));
    services.revoke_robot_token(&ada, &s.shop, &robot, known[0].id).await.unwrap();
    assert!(s.by(&token).await.is_none());
    let token = s.token(&robot, TokenScope::default()).await;
    services.remove_robot(&ada, &s.shop, &robot).await.unwrap();
    assert!(s.by(&token).await.is_none());
    let log = s.world.store.audit();
    let actions: Vec<&str> = log.iter().map(|e| e.action.as_str()).filter(|a| a.starts_with("robot.")).collect();
    assert_eq!(
        actions,
        [
            "robot.create",
            "robot.token.create",
            "robot.update",
            "robot.update",
            "robot.token.revoke",
            "robot.token.create",
            "robot.remove"
        ]
    );
    assert!(!serde_json::to_string(&log).unwrap().contains(&token), "no secret is in the log");
}

#[tokio::test]
async fn a_token_for_some_actions_does_nothing_else() {
    let s = scene().await;
    let robot = s.robot("deploy", Developer, None).await;
    let ctx = s.as_robot(&robot, only(&["app.update", "app.update"])).await;
    assert_eq!(ctx.person().unwrap().scope.actions.len(), 1, "each once");
    for (resource, action, want) in [
        (Resource::App, Update, None),
        (Resource::App, Read, None),
        (Resource::Workload, Read, None),
        (Resource::Namespace, Read, None),
        (Resource::App, Create, Some(ErrorCode::Forbidden)),
        (Resource::App, Delete, Some(ErrorCode::Forbidden)),
        (Resource::Log, Read, Some(ErrorCode::Forbidden)),
        (Resource::Exec, Create, Some(ErrorCode::Forbidden)),
        (Resource::Share, Read, Some(ErrorCode::Forbidden)),
    ] {
        assert_eq!(s.may(&ctx, &s.dev, resource, action).await, want, "{resource} {action}");
    }
    let (services, app): (_, AppName) = (&s.world.services, "web".parse().unwrap());
    let refused = services.delete_app(&ctx, (&s.shop, &s.dev, &app), None).await.unwrap_err();
    assert!(refused.message().contains("app.delete"), "{}", refused.message());
    assert_eq!(services.list_tenants(&ctx).await.unwrap().len(), 1, "the way to it is seen");
    // Of a person, too; and what it is not for is not found either.
    let token = s.world.token_for("olga", only(&["quota.read"]), DAY).await;
    let olga = s.by(&token).await.unwrap();
    assert_eq!(s.may(&olga, &s.dev, Resource::App, Read).await, Some(ErrorCode::Forbidden));
    assert_eq!(services.search(&olga, "shop", 10).await.unwrap().len(), 1, "the tenant, none of its namespaces");
    // What needs nothing of a tenant sees none.
    let token = s.world.token_for("root", only(&["plan.read"]), DAY).await;
    let root = s.by(&token).await.unwrap();
    assert_eq!(services.list_tenants(&root).await.unwrap(), []);
    assert!(services.authz().platform(&root, Resource::Plan, Read).is_ok());
    assert!(services.authz().platform(&root, Resource::Plan, Create).is_err());
    assert!(services.authz().platform(&root, Resource::Audit, Read).is_err());
}

#[tokio::test]
async fn what_a_limited_token_makes_is_limited_alike() {
    let scene = scene().await;
    let (services, shop) = (&scene.world.services, &scene.shop);
    let deploy = scene.robot("deploy", Developer, None).await;
    let ada = scene.world.ctx("ada").await;
    let maker = async |scope: TokenScope| {
        let secret = scene.world.token_for("ada", scope, Duration::from_hours(2)).await;
        scene.by(&secret).await.unwrap()
    };
    let makes = async |ctx: &OpCtx, scope: TokenScope, name: &str| {
        services.create_robot_token(ctx, (shop, &deploy), name, scope, DAY).await
    };
    let end = ada.now() + jiff::SignedDuration::from_hours(2);
    // Nothing said: what the maker may itself, for as long.
    let keeper = maker(only(&["robot.update", "app.update"])).await;
    let (token, secret) = makes(&keeper, TokenScope::default(), "a").await.unwrap();
    assert_eq!(token.scope.actions, only(&["robot.update", "app.update"]).actions);
    assert_eq!((token.scope.tenant.as_ref(), token.expires_at), (Some(shop), end));
    let made = scene.by(secret.expose_secret()).await.unwrap();
    assert_eq!(scene.may(&made, &scene.dev, Resource::App, Update).await, None);
    assert_eq!(scene.may(&made, &scene.dev, Resource::Exec, Create).await, Some(ErrorCode::Forbidden));
    // Less may be said, more not: all that is more is said at once.
    let (token, _) = makes(&keeper, only(&["app.read"]), "b").await.unwrap();
    assert_eq!(token.scope.actions, only(&["app.read"]).actions);
    let refused = makes(&keeper, only(&["app.update", "exec.create", "log.read"]), "c").await.err().unwrap();
    let fields: Vec<_> = refused.fields().iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
    assert_eq!(fields, [("scope.actions[1]", "token_beyond"), ("scope.actions[2]", "token_beyond")]);
    // Who has all that there is, but may use it for robots alone, gives nothing else away.
    let alone = maker(only(&["robot.update"])).await;
    let (token, secret) = makes(&alone, TokenScope::default(), "d").await.unwrap();
    assert_eq!(token.scope.actions, only(&["robot.update"]).actions);
    let made = scene.by(secret.expose_secret()).await.unwrap();
    assert_eq!(scene.may(&made, &scene.dev, Resource::App, Update).await, Some(ErrorCode::Forbidden));
    // Nor lets it jobs in, who would get all that the robot may.
    let trust =
        TrustText { issuer: "nowhere".to_owned(), audience: "berth".to_owned(), conditions: Vec::new(), minutes: 5 };
    let jobs = services.create_trust(&alone, (shop, &deploy), &trust).await;
    assert_eq!(jobs.err().map(|e| e.code()), Some(ErrorCode::Forbidden));
    let jobs = services.create_trust(&ada, (shop, &deploy), &trust).await;
    assert_eq!(jobs.err().map(|e| e.code()), Some(ErrorCode::Invalid), "it is looked at");
    // It ends with the one that made it; one that an unlimited token makes is the robot's for good.
    let whole = maker(TokenScope::default()).await;
    let (lasting, lasts) = makes(&whole, only(&["exec.create"]), "e").await.unwrap();
    assert_eq!(lasting.expires_at, ada.now() + jiff::SignedDuration::from_hours(24));
    for token in services.my_tokens(&ada).await.unwrap() {
        services.revoke_token(&ada, token.id).await.unwrap();
    }
    assert!(scene.by(secret.expose_secret()).await.is_none());
    assert!(scene.by(lasts.expose_secret()).await.is_some());
}
