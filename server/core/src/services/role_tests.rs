#![allow(clippy::unwrap_used)]
use berth_types::{
    NamespaceName, PlatformRole, Right,
    TenantRole::{Admin, Developer, Owner, Viewer},
    UserName,
    access::AccessState,
    people::TokenScope,
};

use super::*;
use crate::{
    authz::{impersonation, matrix::rights},
    services::{invitations::Invite, robots::RobotText},
    testing::World,
};

fn text(actions: &[&str], includes: &[&str]) -> RoleText {
    RoleText {
        actions: actions.iter().map(|action| action.parse().unwrap()).collect(),
        includes: includes.iter().map(|role| TenantRole::from_word(role).unwrap()).collect(),
        ..RoleText::default()
    }
}

fn role(text: &str) -> TenantRole {
    TenantRole::from_word(text).unwrap()
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

/// `shop` of olga's with `dev` and `prod`, ada its admin, vera a viewer, dave a developer; `releaser` deploys.
async fn scene() -> (World, TenantName, NamespaceName, NamespaceName) {
    let world = World::new();
    for name in ["olga", "ada", "vera", "dave", "mia", "out"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    let members = [("olga", Owner), ("ada", Admin), ("vera", Viewer), ("dave", Developer)];
    let shop = world.tenant("shop", &members).await;
    world.tenant("other", &[("out", Owner)]).await;
    let (dev, prod) = (world.namespace(&shop, "dev").await.name, world.namespace(&shop, "prod").await.name);
    let ada = world.ctx("ada").await;
    world.services.create_role(&ada, &shop.name, "releaser", &text(&["app.update"], &[])).await.unwrap();
    (world, shop.name, dev, prod)
}

#[tokio::test]
async fn a_releaser_deploys_and_has_no_terminal() {
    let (world, shop, dev, _) = scene().await;
    let services = &world.services;
    let (ada, mia) = (world.ctx("ada").await, world.ctx("mia").await);
    services.set_member(&ada, &shop, &name("mia"), role("releaser")).await.unwrap();
    let authz = services.authz();
    let made = services.get_role(&ada, &shop, "releaser".parse().unwrap()).await.unwrap();
    assert_eq!(made.1.iter().map(|holder| holder.who.as_str()).collect::<Vec<_>>(), ["mia"]);
    // In the tenant and in its namespaces, exactly what the table says.
    for right in rights() {
        let want = made.0.rights.contains(&right);
        let Right { resource, action } = right;
        assert_eq!(authz.tenant(&mia, &shop, resource, action).await.is_ok(), want, "{right}");
        assert_eq!(authz.namespace(&mia, &shop, &dev, resource, action).await.is_ok(), want, "{right}");
    }
    let grant = authz.namespace(&mia, &shop, &dev, Resource::App, Action::Update).await.unwrap();
    assert_eq!(impersonation(&mia, Some(&grant)).unwrap().groups, ["berth:tenant:shop:releaser"]);
    // Her token is no stronger.
    let day = std::time::Duration::from_secs(86_400);
    let scope = TokenScope { actions: vec!["exec.create".parse().unwrap()], ..TokenScope::default() };
    services.create_token(&mia, "more", scope, day).await.unwrap();
    let none = authz.namespace(&mia, &shop, &dev, Resource::Exec, Action::Create).await.unwrap_err();
    assert_eq!(none.code(), ErrorCode::Forbidden);
}

#[tokio::test]
async fn what_is_changed_counts_with_the_next_question() {
    let (world, shop, dev, prod) = scene().await;
    let services = &world.services;
    let (ada, mia) = (world.ctx("ada").await, world.ctx("mia").await);
    services.set_namespace_member(&ada, (&shop, &dev), &name("mia"), role("releaser")).await.unwrap();
    let may = async |at: &NamespaceName, resource, action| {
        services.authz().namespace(&mia, &shop, at, resource, action).await.map(drop).map_err(|e| e.code())
    };
    assert_eq!(may(&dev, Resource::App, Action::Update).await, Ok(()));
    assert_eq!(may(&prod, Resource::App, Action::Read).await, Err(ErrorCode::NotFound), "there alone");
    let releaser = (&shop, "releaser".parse().unwrap());
    services.update_role(&ada, releaser, &text(&["log.read"], &[]), Some(1)).await.unwrap();
    assert_eq!(may(&dev, Resource::App, Action::Update).await, Err(ErrorCode::Forbidden));
    assert_eq!(may(&dev, Resource::Log, Action::Read).await, Ok(()));
    let stale = services.update_role(&ada, releaser, &text(&["app.update"], &[]), Some(1)).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::Conflict);
    assert_eq!(may(&dev, Resource::App, Action::Update).await, Err(ErrorCode::Forbidden), "nothing changed");
    let log = world.store.audit();
    let entry = log.iter().find(|e| e.action == "role.update" && e.outcome == "done").unwrap();
    let detail = entry.detail.clone().unwrap();
    assert_eq!(detail["before"]["actions"][0], "app.update");
    assert_eq!(detail["after"]["actions"][0], "log.read");
}

#[tokio::test]
async fn a_role_is_made_by_admins_and_given_wherever_others_are() {
    let (world, shop, dev, _) = scene().await;
    let services = &world.services;
    for (who, want) in [
        ("vera", Err(ErrorCode::Forbidden)),
        ("dave", Err(ErrorCode::Forbidden)),
        ("out", Err(ErrorCode::NotFound)),
        ("eye", Err(ErrorCode::Forbidden)),
        ("root", Ok(())),
        ("olga", Ok(())),
    ] {
        let ctx = world.ctx(who).await;
        let made = services.create_role(&ctx, &shop, &format!("by-{who}"), &text(&["log.read"], &[])).await;
        assert_eq!(made.map(drop).map_err(|e| e.code()), want, "{who}");
    }
    let ada = world.ctx("ada").await;
    let releaser = role("releaser");
    // A name that is none of the tenant's is refused at its field, everywhere.
    let unknown = |e: Error| e.fields().first().map(|f| (f.field.to_string(), f.code.to_string()));
    let want = Some(("role".to_owned(), "role_unknown".to_owned()));
    let nobody = role("nobody");
    let robot = |role| RobotText { name: "ci".to_owned(), description: String::new(), role, namespace: None };
    let invite = |role| Invite { role: Some(role), ..Invite::default() };
    assert_eq!(services.set_member(&ada, &shop, &name("mia"), nobody).await.map_err(unknown), Err(want.clone()));
    let here = services.set_namespace_member(&ada, (&shop, &dev), &name("mia"), nobody).await;
    assert_eq!(here.map(drop).map_err(unknown), Err(want.clone()));
    assert_eq!(services.create_robot(&ada, &shop, &robot(nobody)).await.map(drop).map_err(unknown), Err(want.clone()));
    assert_eq!(services.invite(&ada, Some(&shop), &invite(nobody)).await.map(drop).map_err(unknown), Err(want.clone()));
    let vera = world.ctx("vera").await;
    let asked = services.request_access(&vera, (&shop, None), nobody, "x").await;
    assert_eq!(asked.map(drop).map_err(unknown), Err(want));
    // What is, is given.
    assert_eq!(services.create_robot(&ada, &shop, &robot(releaser)).await.unwrap().role, releaser);
    let (_, secret) = services.invite(&ada, Some(&shop), &invite(releaser)).await.unwrap();
    let out = world.ctx("out").await;
    services.join(&out, &secret).await.unwrap();
    services.authz().namespace(&out, &shop, &dev, Resource::App, Action::Update).await.unwrap();
    let (_, holders) = services.get_role(&ada, &shop, "releaser".parse().unwrap()).await.unwrap();
    let who: Vec<&str> = holders.iter().map(|holder| holder.who.as_str()).collect();
    assert_eq!(who, ["out", "robot:shop/ci"]);
}

#[tokio::test]
async fn asking_for_one_never_costs_what_one_has() {
    let (world, shop, dev, _) = scene().await;
    let services = &world.services;
    let (ada, vera, dave) = (world.ctx("ada").await, world.ctx("vera").await, world.ctx("dave").await);
    let code = |e: Error| e.fields().first().map_or_else(|| e.code().to_string(), |f| f.code.to_string());
    // A viewer reads logs, which a releaser does not: it would take the viewer's place.
    let asked = services.request_access(&vera, (&shop, None), role("releaser"), "x").await;
    assert_eq!(asked.map(drop).map_err(code), Err("access_less".to_owned()));
    let asked = services.request_access(&dave, (&shop, None), role("releaser"), "x").await;
    assert_eq!(asked.map(drop).map_err(code), Err("access_has".to_owned()));
    // In a namespace it stands beside.
    let request = services.request_access(&vera, (&shop, Some(&dev)), role("releaser"), "x").await.unwrap();
    let decided = services.decide_access(&ada, &shop, request.id, true, "").await.unwrap();
    assert_eq!(decided.state, AccessState::Approved);
    let may = async |resource, action| services.authz().namespace(&vera, &shop, &dev, resource, action).await.is_ok();
    assert!(may(Resource::App, Action::Update).await && may(Resource::Log, Action::Read).await);
    assert!(!may(Resource::Exec, Action::Create).await);
    // By the time it is decided they have another.
    let text_more = text(&["app.update", "log.read", "exec.create"], &["viewer"]);
    services.create_role(&ada, &shop, "more", &text_more).await.unwrap();
    let request = services.request_access(&vera, (&shop, None), role("more"), "x").await.unwrap();
    services.set_member(&ada, &shop, &name("vera"), Developer).await.unwrap();
    let late = services.decide_access(&ada, &shop, request.id, true, "").await.unwrap();
    assert_eq!(late.state, AccessState::Approved);
    let grant = services.get_tenant(&vera, &shop).await.unwrap().0;
    assert_eq!(grant.role, Some(Developer), "who has it all keeps what they have");
}

#[tokio::test]
async fn what_is_in_use_stays() {
    let (world, shop, dev, _) = scene().await;
    let services = &world.services;
    let ada = world.ctx("ada").await;
    let releaser: RoleName = "releaser".parse().unwrap();
    services.create_role(&ada, &shop, "on-call", &text(&["exec.create"], &["releaser"])).await.unwrap();
    services.set_namespace_member(&ada, (&shop, &dev), &name("mia"), role("releaser")).await.unwrap();
    let refused = services.remove_role(&ada, &shop, releaser, None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.message().contains("mia in dev") && refused.message().contains("on-call"), "{refused}");
    let cycle = services.update_role(&ada, (&shop, releaser), &text(&[], &["on-call"]), None).await.unwrap_err();
    assert!(cycle.message().contains("releaser → on-call → releaser"), "{cycle}");
    services.remove_namespace_member(&ada, (&shop, &dev), &name("mia")).await.unwrap();
    services.remove_role(&ada, &shop, "on-call".parse().unwrap(), None).await.unwrap();
    services.remove_role(&ada, &shop, releaser, None).await.unwrap();
    assert_eq!(services.list_roles(&ada, &shop).await.unwrap(), []);
    let log = world.store.audit();
    assert!(log.iter().any(|e| e.action == "role.remove" && e.outcome != "done"), "refused attempts, too");
}

#[tokio::test]
async fn whoever_had_what_goes_has_another_in_its_place() {
    let (world, shop, dev, _) = scene().await;
    let services = &world.services;
    let (ada, vera) = (world.ctx("ada").await, world.ctx("vera").await);
    let releaser: RoleName = "releaser".parse().unwrap();
    services.create_role(&ada, &shop, "on-call", &text(&["exec.create"], &["releaser"])).await.unwrap();
    services.set_member(&ada, &shop, &name("mia"), role("releaser")).await.unwrap();
    services.set_namespace_member(&ada, (&shop, &dev), &name("out"), role("releaser")).await.unwrap();
    let ci = RobotText { name: "ci".to_owned(), description: String::new(), role: role("releaser"), namespace: None };
    services.create_robot(&ada, &shop, &ci).await.unwrap();
    let invite = Invite { role: Some(role("releaser")), email: "zoe@example.com".to_owned(), ..Invite::default() };
    services.invite(&ada, Some(&shop), &invite).await.unwrap();
    let asked = services.request_access(&vera, (&shop, Some(&dev)), role("releaser"), "x").await.unwrap();
    let change = async |who: &str, to: Option<&str>| {
        let ctx = world.ctx(who).await;
        services.remove_role(&ctx, &shop, releaser, to.map(role)).await.map_err(|e| e.code())
    };
    for (who, to, want) in [
        ("vera", Some("viewer"), ErrorCode::Forbidden),
        ("mia", Some("viewer"), ErrorCode::Forbidden),
        ("out", Some("viewer"), ErrorCode::Forbidden),
        ("eye", Some("viewer"), ErrorCode::Forbidden),
        ("ada", None, ErrorCode::Conflict),
        ("ada", Some("owner"), ErrorCode::Invalid),
        ("ada", Some("nobody"), ErrorCode::Invalid),
        ("ada", Some("releaser"), ErrorCode::Invalid),
    ] {
        assert_eq!(change(who, to).await, Err(want), "{who} {to:?}");
    }
    let before = services.get_role(&ada, &shop, releaser).await.unwrap().1;
    assert_eq!(before.len(), 6, "what was refused changed nothing: {before:?}");
    change("ada", Some("developer")).await.unwrap();
    // Nobody is left with what is not there.
    let members = services.list_members(&ada, &shop).await.unwrap();
    let of = |who: &str| members.iter().find(|m| m.user.as_str() == who).map(|m| m.role);
    assert_eq!((of("mia"), of("vera")), (Some(Developer), Some(Viewer)));
    let here = services.list_namespace_members(&ada, (&shop, &dev)).await.unwrap();
    assert_eq!(here.iter().find(|m| m.user == name("out")).and_then(|m| m.given), Some(Developer));
    assert_eq!(services.list_robots(&ada, &shop).await.unwrap()[0].role, Developer);
    assert_eq!(services.list_invitations(&ada, Some(&shop)).await.unwrap()[0].role, Some(Developer));
    let (on_call, _) = services.get_role(&ada, &shop, "on-call".parse().unwrap()).await.unwrap();
    assert_eq!(on_call.includes, [Developer]);
    services.decide_access(&ada, &shop, asked.id, true, "").await.unwrap();
    services.authz().namespace(&vera, &shop, &dev, Resource::App, Action::Create).await.unwrap();
    let log = world.store.audit();
    let entry = log.iter().find(|e| e.action == "role.remove" && e.outcome == "done").unwrap();
    let detail = entry.detail.clone().unwrap();
    assert_eq!((detail["replacement"].as_str(), detail["changed"].as_u64()), (Some("developer"), Some(5)));
    let told = detail["holders"].as_str().unwrap();
    for one in ["mia", "out in dev", "robot:shop/ci", "z…@example.com (invitation)", "vera in dev (access-request)"] {
        assert!(told.contains(one), "{one}: {told}");
    }
    assert!(!told.contains("zoe@"), "{told}");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let (world, shop, ..) = scene().await;
    let ada = world.ctx("ada").await;
    let bad = RoleText { display_name: "x".repeat(61), description: "y".repeat(301), ..text(&["log.read"], &[]) };
    let error = world.services.create_role(&ada, &shop, "Not A Name", &bad).await.unwrap_err();
    let fields: Vec<&str> = error.fields().iter().map(|field| field.field.as_ref()).collect();
    assert_eq!(fields, ["name", "displayName", "description"]);
    // Nobody learns of another tenant's roles.
    let out = world.ctx("out").await;
    assert_eq!(world.services.list_roles(&out, &shop).await.unwrap_err().code(), ErrorCode::NotFound);
}
