#![allow(clippy::unwrap_used)]
//! Looking at the portal as somebody else has it: who may, what can be done meanwhile, how it ends, what is left of it.

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, TenantRole, UserName, people::TokenScope, view_as::ViewEnd,
};
use serde_json::json;

use crate::{
    OpCtx,
    authz::{Grant, PlatformRef},
    env::Clock as _,
    error::{Error, Result},
    ports::store::People as _,
    testing::World,
};

const WHY: &str = "cannot find the app";

/// `ann` is a developer of `shop`, which `olga` owns; `root` and `boss` keep the platform, `eye` looks after it.
async fn world() -> World {
    let world = World::new();
    for (name, role) in [
        ("ann", None),
        ("olga", None),
        ("root", Some(PlatformRole::Admin)),
        ("boss", Some(PlatformRole::Admin)),
        ("eye", Some(PlatformRole::Auditor)),
    ] {
        world.person(name, role).await;
    }
    let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("ann", TenantRole::Developer)]).await;
    world.namespace(&shop, "dev").await;
    world
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// Changes somebody's role on the platform, and whether they may sign in.
async fn change(world: &World, name: &str, role: Option<PlatformRole>, disabled: bool) {
    let mut user = world.store.find_account(&user(name)).await.unwrap().unwrap().user;
    (user.platform_role, user.disabled) = (role, disabled);
    let grant = Grant::unchecked(PlatformRef, Resource::User, Action::Update);
    world.store.update_user(&grant, &user).await.unwrap();
}

#[track_caller]
fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().as_ref().map(Error::code).unwrap()
}

/// The last entry of the audit log: who, how they came in, what, to whom, how it ended.
fn last(world: &World) -> [String; 5] {
    let e = world.store.audit().pop().unwrap();
    [e.actor, e.via, e.action, e.target, e.outcome]
}

fn who(ctx: &OpCtx) -> (String, bool) {
    (ctx.actor.to_string(), ctx.person().is_some_and(|person| person.viewed_by().is_some()))
}

#[tokio::test]
async fn an_admin_sees_what_the_person_sees_and_both_know() {
    let world = world().await;
    let services = &world.services;
    let browser = world.browser("root").await;
    let own = world.asked_from(&browser).await;
    services.begin_view(&own, &user("ann"), WHY).await.unwrap();
    assert_eq!(last(&world), ["root", "session", "view.begin", "ann", "done"]);
    assert_eq!(world.store.audit().pop().unwrap().detail.unwrap()["reason"], WHY);

    let looking = world.asked_from(&browser).await;
    assert_eq!(who(&looking), ("ann".to_owned(), true));
    let (ann, shop, dev) = (world.ctx("ann").await, "shop".parse().unwrap(), "dev".parse().unwrap());
    // Neither more than ann has, nor less.
    assert_eq!(code(services.list_users(&looking, &Default::default()).await), ErrorCode::NotFound);
    assert_eq!(
        services.authz().visible_tenants(&looking).await.unwrap(),
        services.authz().visible_tenants(&ann).await.unwrap()
    );
    let seen = services.authz().namespace(&looking, &shop, &dev, Resource::Log, Action::Read).await.unwrap();
    assert_eq!(seen.rights, crate::authz::Rights::from(Some(TenantRole::Developer)));
    assert!(services.authz().could_in(&looking, &seen, Resource::Exec, Action::Create), "controls are as ann's");

    world.clock.advance(Duration::from_mins(5));
    assert_eq!(services.end_view(&looking).await.unwrap(), user("ann"));
    assert_eq!(last(&world), ["root", "view:ann", "view.end", "ann", "done"]);
    assert_eq!(who(&world.asked_from(&browser).await), ("root".to_owned(), false));
    assert_eq!(code(services.end_view(&world.asked_from(&browser).await).await), ErrorCode::NotFound);

    let [look] = &services.my_views(&ann).await.unwrap()[..] else { panic!("one") };
    assert_eq!((look.by.as_str(), look.reason.as_str(), look.ended), ("root", WHY, Some(ViewEnd::Asked)));
    assert_eq!(look.ended_at.unwrap().duration_since(look.begun_at).as_mins(), 5);
    let eye = world.ctx("eye").await;
    assert_eq!(services.list_views(&eye, &user("ann")).await.unwrap(), services.my_views(&ann).await.unwrap());
    assert_eq!(code(services.list_views(&ann, &user("ann")).await), ErrorCode::NotFound);
    assert_eq!(services.my_views(&world.ctx("olga").await).await.unwrap(), []);
}

#[tokio::test]
async fn who_may_not() {
    let world = world().await;
    let services = &world.services;
    let own = |name: &'static str| async { world.asked_from(&world.browser(name).await).await };
    for (who, whom, want) in [
        ("ann", "olga", ErrorCode::NotFound),
        ("eye", "ann", ErrorCode::Forbidden),
        ("root", "nobody", ErrorCode::NotFound),
        ("root", "root", ErrorCode::Invalid),
        ("root", "boss", ErrorCode::Invalid),
        ("root", "eye", ErrorCode::Invalid),
    ] {
        assert_eq!(code(services.begin_view(&own(who).await, &user(whom), WHY).await), want, "{who} {whom}");
        assert_ne!(last(&world)[4], "done");
    }
    assert_eq!(code(services.begin_view(&own("root").await, &user("ann"), "look").await), ErrorCode::Invalid);
    let nobody = OpCtx::anonymous(world.clock.clone(), "test", "192.0.2.1");
    assert_eq!(code(services.begin_view(&nobody, &user("ann"), WHY).await), ErrorCode::Unauthenticated);

    let token = world.token_for("root", TokenScope::default(), Duration::from_hours(1)).await;
    let by_token = services.authenticate_token(world.clock.now(), &token).await.unwrap().unwrap();
    let by_token = services.as_person(&nobody, by_token);
    assert_eq!(code(services.begin_view(&by_token, &user("ann"), WHY).await), ErrorCode::Forbidden);

    // Not from within another look, and one in a browser.
    let (looking, browser) = world.view_as("root", "ann").await;
    assert_eq!(code(services.begin_view(&looking, &user("olga"), WHY).await), ErrorCode::Viewing);
    assert_eq!(last(&world), ["root", "view:ann", "view.begin", "olga", "denied"]);
    // Two tabs at once: one begins.
    let (other, both) = (world.browser("root").await, [user("ann"), user("olga")]);
    let own_still = world.asked_from(&other).await;
    services.begin_view(&own_still, &both[0], WHY).await.unwrap();
    assert_eq!(code(services.begin_view(&own_still, &both[1], WHY).await), ErrorCode::Conflict);
    drop(browser);
    // Another browser of theirs is their own.
    assert_eq!(who(&own("root").await), ("root".to_owned(), false));
    let by_token = services.authenticate_token(world.clock.now(), &token).await.unwrap().unwrap();
    assert_eq!(by_token.name, user("root"), "nor does a token look");
}

#[tokio::test]
async fn nothing_is_changed_and_what_is_tried_is_written_down() {
    let world = world().await;
    let services = &world.services;
    let (looking, _) = world.view_as("root", "ann").await;
    let shop = "shop".parse().unwrap();
    let path = (&shop, &"dev".parse().unwrap());
    let spec = json!({ "components": [{ "name": "main", "image": "a:1" }] });
    let before = world.store.audit().len();
    let current = "correct horse battery".into();
    let refused = [
        code(services.create_app(&looking, path, "web", &spec).await),
        code(services.exec(&looking, path, ("web", None), &[], true).await),
        code(services.create_kubeconfig(&looking, &shop, None, 1).await),
        code(services.create_token(&looking, "mine", TokenScope::default(), Duration::from_hours(1)).await),
        code(services.sign_out_everywhere(&looking).await),
        code(services.change_password(&looking, &current, &"another horse battery".into(), "").await),
        code(services.begin_authenticator(&looking, &current, "https://berth.example.com").await),
        code(services.dismiss_announcement(&looking, uuid::Uuid::nil()).await),
    ];
    assert_eq!(refused, [ErrorCode::Viewing; 8]);
    let tried = world.store.audit().split_off(before);
    assert_eq!(tried.len(), refused.len());
    for entry in tried {
        let told = (entry.actor.as_str(), entry.via.as_str(), entry.outcome.as_str(), entry.reason.as_deref());
        assert_eq!(told, ("root", "view:ann", "denied", Some("viewing")), "{}", entry.action);
    }
    // What opens the account is nobody else's to see.
    let hidden = [
        code(services.my_sessions(&looking).await),
        code(services.my_tokens(&looking).await),
        code(services.my_identities(&looking).await),
        code(services.my_second_factors(&looking).await),
        code(services.authz().namespace(&looking, path.0, path.1, Resource::Exec, Action::Create).await),
    ];
    assert_eq!(hidden, [ErrorCode::Viewing; 5]);
}

#[tokio::test]
async fn it_ends_by_itself() {
    for (what, how, then) in [
        ("time", ViewEnd::Over, Some("root")),
        ("role", ViewEnd::Role, Some("root")),
        ("away", ViewEnd::Role, None),
        ("disabled", ViewEnd::Person, Some("root")),
        ("raised", ViewEnd::Person, Some("root")),
        ("sign out", ViewEnd::Asked, None),
        ("session", ViewEnd::Session, None),
    ] {
        let world = world().await;
        let (looking, browser) = world.view_as("root", "ann").await;
        assert_eq!(world.services.keep_views().await.unwrap(), 0, "it goes on");
        match what {
            "time" => world.clock.advance(Duration::from_mins(30)),
            "role" => change(&world, "root", None, false).await,
            "away" => change(&world, "root", Some(PlatformRole::Admin), true).await,
            "disabled" => change(&world, "ann", None, true).await,
            "raised" => change(&world, "ann", Some(PlatformRole::Auditor), false).await,
            "sign out" => drop(world.services.sign_out(&looking, "").await.unwrap()),
            _ => {
                let root = world.ctx("root").await.person().unwrap().id;
                world.store.end_sessions(root, None).await.unwrap();
            }
        }
        let now = world.asked_from(&browser).await;
        assert_eq!(now.person().map(|person| person.name.as_str()), then, "{what}");
        assert!(!who(&now).1, "{what}");
        let found = world.services.keep_views().await.unwrap();
        assert_eq!(found, usize::from(matches!(what, "away" | "session")), "{what}: nobody asks in it any more");
        assert_eq!(world.services.keep_views().await.unwrap(), 0, "{what}: once");
        let ends: Vec<_> = world.store.audit().into_iter().filter(|e| e.action == "view.end").collect();
        let [end] = &ends[..] else { panic!("{what}: {ends:?}") };
        assert_eq!((end.actor.as_str(), end.target.as_str(), end.outcome.as_str()), ("root", "ann", "done"), "{what}");
        assert_eq!(end.detail.as_ref().unwrap()["how"], json!(how), "{what}");
        let ann = world.store.find_account(&user("ann")).await.unwrap().unwrap().user.id;
        let looks = crate::ports::view_as::Views::list_views(&*world.store, ann, 9).await.unwrap();
        assert_eq!((looks.len(), looks[0].ended), (1, Some(how)), "{what}");
    }
}

#[tokio::test]
async fn of_those_who_end_it_at_once_one_does() {
    let ends = |world: &World| {
        let all = world.store.audit().into_iter().filter(|e| e.action == "view.end");
        all.map(|e| e.outcome).collect::<Vec<_>>()
    };
    let (ends_it, finds_it) = (world().await, world().await);
    // Two tabs.
    let (looking, _) = ends_it.view_as("root", "ann").await;
    assert_eq!(ends_it.services.end_view(&looking).await.unwrap(), user("ann"));
    assert_eq!(code(ends_it.services.end_view(&looking).await), ErrorCode::Conflict);
    assert_eq!(ends(&ends_it), ["done", "failed"]);
    ends_it.services.sign_out(&looking, "").await.unwrap();

    // Two requests that find that it is over: what is to be done is written down before it is done, by both.
    let (looking, browser) = finds_it.view_as("root", "ann").await;
    let open = crate::ports::view_as::Views::running_views(&*finds_it.store).await.unwrap().remove(0).open;
    let session = looking.person().unwrap().viewed_by().unwrap().session;
    finds_it.clock.advance(Duration::from_mins(30));
    let now = finds_it.clock.now();
    let mut root = finds_it.ctx("root").await.person().unwrap().clone();
    root.via = crate::ctx::Via::Session(session);
    for _ in 0..2 {
        let found = finds_it.services.looking(root.clone().into(), Some(open.clone()), now).await.unwrap();
        assert_eq!(found.name, user("root"));
    }
    assert_eq!(ends(&finds_it), ["done", "failed"]);
    assert_eq!(who(&finds_it.asked_from(&browser).await), ("root".to_owned(), false));
}

#[tokio::test]
async fn what_nobody_asked_in_ends_when_its_time_was_over() {
    let world = world().await;
    drop(world.view_as("root", "ann").await);
    world.clock.advance(Duration::from_mins(95));
    assert_eq!(world.services.keep_views().await.unwrap(), 1);
    let look = world.services.my_views(&world.ctx("ann").await).await.unwrap().remove(0);
    assert_eq!(look.ended_at, Some(look.until));
    assert_eq!(last(&world), ["root", "system", "view.end", "ann", "done"]);
}
