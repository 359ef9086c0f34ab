//! A tenant's robots and their tokens, as a browser without scripts walks.
#![allow(clippy::unwrap_used)]

use berth_core::{
    ports::pages::{Language, PageResponse},
    testing::World,
};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, post, to};

const ROBOTS: &str = "/t/shop/robots";
const DEPLOY: &str = "/t/shop/robots/deploy";
const CI: &str = "/admin/ci";

/// `shop` of olga with `dev`, where ada is admin and vera looks; root and audrey have a role on the platform.
async fn scene() -> World {
    let world = World::new();
    for name in ["olga", "ada", "vera", "stranger"] {
        world.person(name, None).await;
    }
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    let members = [("olga", TenantRole::Owner), ("ada", TenantRole::Admin), ("vera", TenantRole::Viewer)];
    let shop = world.tenant("shop", &members).await;
    world.namespace(&shop, "dev").await;
    world
}

/// The secret that a page shows once.
#[track_caller]
fn secret(page: &PageResponse) -> String {
    let (_, rest) = page.html.split_once("data-secret").unwrap_or_else(|| panic!("no secret: {}", page.html));
    rest.split_once('>').unwrap().1.split_once('<').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_robot_from_its_making_to_its_end() {
    let world = scene().await;
    let ada = world.ctx("ada").await;
    let members = get(&world, &ada, "/t/shop/members").await;
    assert!(members.html.contains(&format!("href=\"{ROBOTS}\"")), "{}", members.html);
    assert!(get(&world, &ada, ROBOTS).await.html.contains("No robots"));
    let wrong = post(&world, &ada, ROBOTS, "do=create&name=Bad Name&description=CI&role=viewer&namespace=").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("Use a–z, 0–9 and - only.") && wrong.html.contains(r#"value="CI""#), "{}", wrong.html);
    let made = post(&world, &ada, ROBOTS, "do=create&name=deploy&description=&role=developer&namespace=dev").await;
    assert_eq!(to(&made), DEPLOY);
    let again = post(&world, &ada, ROBOTS, "do=create&name=deploy&description=&role=developer&namespace=").await;
    assert_eq!(again.status, 422);
    assert!(get(&world, &ada, ROBOTS).await.html.contains(DEPLOY));

    let page = get(&world, &ada, DEPLOY).await;
    assert!(page.html.contains("robot:shop/deploy") && page.html.contains("No tokens"), "{}", page.html);
    assert!(page.html.contains(r#"value="app.update""#), "its tokens can be limited to actions: {}", page.html);
    assert!(!page.html.contains(r#"value="user.create""#), "but to none of the platform: {}", page.html);
    let form = "do=create&name=ci&expiresInDays=30&scope.namespace=&scope.actions=app.update&scope.actions=log.read";
    let made = post(&world, &ada, DEPLOY, form).await;
    let token = secret(&made);
    assert!(made.html.contains("app.update, log.read"), "{}", made.html);
    let person = world.services.authenticate_token(world.system().now(), &token).await.unwrap().expect("taken");
    assert_eq!((person.name.as_str(), person.scope.actions.len()), ("robot:shop/deploy", 2));
    assert!(!get(&world, &ada, DEPLOY).await.html.contains(&token), "shown once");
    let taken = post(&world, &ada, DEPLOY, form).await;
    assert!(taken.status == 422 && taken.html.contains("There is a token of this name already"), "{}", taken.html);
    let unknown = post(&world, &ada, DEPLOY, "do=create&name=x&expiresInDays=30&scope.actions=apps.deploy").await;
    assert!(unknown.status == 422 && unknown.html.contains("“apps.deploy” is no action"), "{}", unknown.html);

    let members = get(&world, &ada, "/t/shop/n/dev/members").await.html;
    assert!(members.contains("robot:shop/deploy") && members.contains(">Robot<"), "{members}");
    assert_eq!(to(&post(&world, &ada, DEPLOY, "do=set&description=CI&role=viewer&disabled=on").await), DEPLOY);
    assert!(get(&world, &ada, DEPLOY).await.html.contains("disabled"));
    assert!(world.services.authenticate_token(world.system().now(), &token).await.unwrap().is_none());
    let owner = post(&world, &ada, DEPLOY, "do=set&description=CI&role=owner").await;
    assert!(owner.status == 422 && owner.html.contains("Only owners make owners"), "{}", owner.html);
    assert_eq!(to(&post(&world, &ada, DEPLOY, "do=remove").await), ROBOTS);
    assert_eq!(get(&world, &ada, DEPLOY).await.status, 404);
}

#[tokio::test]
async fn who_sees_robots() {
    let world = scene().await;
    let ada = world.ctx("ada").await;
    assert_eq!(to(&post(&world, &ada, ROBOTS, "do=create&name=deploy&role=viewer&namespace=").await), DEPLOY);
    let token = "do=create&name=ci&expiresInDays=30";
    for (who, seen, done) in
        [("olga", 200, 200), ("root", 200, 403), ("audrey", 200, 403), ("vera", 403, 403), ("stranger", 404, 404)]
    {
        let ctx = world.ctx(who).await;
        for path in [ROBOTS, DEPLOY] {
            assert_eq!(get(&world, &ctx, path).await.status, seen, "{who} {path}");
        }
        assert_eq!(post(&world, &ctx, DEPLOY, token).await.status, done, "{who}");
    }
    let root = get(&world, &world.ctx("root").await, DEPLOY).await.html;
    assert!(root.contains(r#"value="remove""#) && !root.contains(r#"value="create""#), "{root}");
    assert!(!root.contains(r#"value="revoke""#) && !root.contains(r#"value="set""#), "{root}");
    let vera = get(&world, &world.ctx("vera").await, "/t/shop/members").await.html;
    assert!(vera.contains("robot:shop/deploy") && !vera.contains(ROBOTS), "seen, and not led to: {vera}");
    let chinese = ask(&world, &ada, DEPLOY, None, Language::ZhCn).await.html;
    assert!(chinese.contains("移除机器人") && chinese.contains("仅限部分操作"), "{chinese}");
}

#[tokio::test]
async fn ones_own_tokens_can_be_limited_to_actions_too() {
    let world = scene().await;
    let (ada, root) = (world.ctx("ada").await, world.ctx("root").await);
    let form = "do=create&name=ci&expiresInDays=30&scope.tenant=shop&scope.actions=app.create";
    let made = post(&world, &ada, "/account/tokens", form).await;
    let token = secret(&made);
    let person = world.services.authenticate_token(world.system().now(), &token).await.unwrap().expect("taken");
    assert_eq!(person.scope.actions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["app.create"]);
    // Refused, the form keeps what was ticked and lies open.
    let refused = post(&world, &ada, "/account/tokens", form).await.html;
    assert!(refused.contains("<details open") && refused.contains(r#"value="app.create" checked"#), "{refused}");
    assert!(!get(&world, &ada, "/account/tokens").await.html.contains(r#"value="plan.create""#));
    assert!(get(&world, &root, "/account/tokens").await.html.contains(r#"value="plan.create""#));
}

#[tokio::test]
async fn jobs_come_in_without_a_stored_secret() {
    let world = scene().await;
    let (ada, root, audrey) = (world.ctx("ada").await, world.ctx("root").await, world.ctx("audrey").await);
    assert_eq!(to(&post(&world, &ada, ROBOTS, "do=create&name=deploy&role=developer&namespace=").await), DEPLOY);
    let page = get(&world, &ada, DEPLOY).await.html;
    assert!(page.contains("No CI system is listed yet") && page.contains("No jobs come in"), "{page}");

    assert!(get(&world, &root, "/admin/sign-in").await.html.contains(CI));
    assert!(get(&world, &audrey, CI).await.html.contains("No CI systems"));
    assert_eq!(post(&world, &audrey, CI, "do=add&name=x&issuer=https://x.example.com").await.status, 403);
    let wrong = post(&world, &root, CI, "do=add&name=Git Hub&issuer=ci.example.com").await;
    assert!(wrong.status == 422 && wrong.html.contains(r#"value="Git Hub""#), "{}", wrong.html);
    assert_eq!(to(&post(&world, &root, CI, "do=add&name=github&issuer=https://ci.example.com").await), CI);

    let form =
        |rest: &str| format!("do=trust&trust.issuer=github&trust.audience=https://berth&trust.minutes=15&{rest}");
    let wide = post(&world, &ada, DEPLOY, &form("conditions[0].claim=sub&conditions[0].value=repo:acme*")).await;
    assert!(wide.status == 422 && wide.html.contains("Any job of this CI system would come in"), "{}", wide.html);
    assert!(wide.html.contains(r#"value="repo:acme*""#), "what was typed stays: {}", wide.html);
    let third = "conditions[0].claim=sub&conditions[0].value=&conditions[2].claim=re po&conditions[2].value=x";
    let third = post(&world, &ada, DEPLOY, &form(third)).await;
    assert!(third.html.contains(r#"id="f-conditions-2--claim-err" class="errs"><p"#), "at its row: {}", third.html);
    let good =
        form("conditions[0].claim=sub&conditions[0].value=repo:acme/web:*&conditions[1].claim=&conditions[1].value=");
    assert_eq!(to(&post(&world, &ada, DEPLOY, &good).await), DEPLOY);
    let page = get(&world, &ada, DEPLOY).await.html;
    assert!(page.contains("sub = repo:acme/web:*") && page.contains("BERTH_JWT"), "{page}");
    assert!(page.contains("-d audience=robot:shop/deploy"), "{page}");
    let looks = get(&world, &audrey, DEPLOY).await.html;
    assert!(looks.contains("sub = repo:acme/web:*") && !looks.contains(r#"value="distrust""#), "{looks}");
    let id = page.split_once(r#"name="trust" value=""#).unwrap().1.split_once('"').unwrap().0;
    // It is changed where it stands.
    assert!(page.contains(&format!("{DEPLOY}?trust={id}#trust")) && !looks.contains("?trust="), "{page}");
    let edit = get(&world, &ada, &format!("{DEPLOY}?trust={id}")).await.html;
    assert!(edit.contains("Change which jobs come in") && edit.contains(r#"value="repo:acme/web:*""#), "{edit}");
    let changed = format!("{}&trust={id}", good.replace("acme/web", "acme/api"));
    let wide = post(&world, &ada, DEPLOY, &changed.replace("repo:acme/api:*", "repo:acme*")).await;
    assert!(wide.status == 422 && wide.html.contains("Change which jobs come in"), "{}", wide.html);
    assert_eq!(to(&post(&world, &ada, DEPLOY, &changed).await), DEPLOY);
    let page = get(&world, &ada, DEPLOY).await.html;
    assert!(page.contains("sub = repo:acme/api:*") && !page.contains("repo:acme/web:*<"), "{page}");
    assert_eq!(to(&post(&world, &ada, DEPLOY, &format!("do=distrust&trust={id}")).await), DEPLOY);
    assert!(get(&world, &ada, DEPLOY).await.html.contains("No jobs come in"));
    let chinese = ask(&world, &ada, DEPLOY, None, Language::ZhCn).await.html;
    assert!(chinese.contains("没有作业可以进入"), "{chinese}");
    assert_eq!(to(&post(&world, &root, CI, "do=remove&issuer=github").await), CI);
}
