//! The pages around the apps, asked as `web` asks them, over services that keep everything in memory.

use berth_core::{
    Actor, OpCtx,
    ports::{
        cluster::CacheState,
        pages::{Access, Language, PageRequest, Pages, SessionChange, Theme},
    },
    services::people::NewUser,
    testing::World,
};
use berth_types::{PlatformRole, TenantRole};
use secrecy::ExposeSecret;

use crate::common::{concrete, get, nobody, pages, pairs, post, to};

#[tokio::test]
async fn a_one_time_password_opens_the_door_once() {
    let world = World::new();
    let new = NewUser { name: "alice".into(), display_name: "Alice Chen".into(), platform_role: None, password: None };
    let (_, password) = world.services.create_user(&world.system(), &new).await.unwrap();
    let password = password.expose_secret().to_owned();
    let anonymous = nobody(&world);

    let wrong = post(&world, &anonymous, "/sign-in", "name=alice&password=nonsense&next=/t/shop").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("Name or password is wrong"));
    assert!(wrong.html.contains(r#"value="alice""#), "what was typed stays");
    assert!(wrong.html.contains(r#"value="/t/shop""#), "and where to go");
    assert!(!wrong.html.contains("nonsense"), "a password does not come back");

    let right = post(&world, &anonymous, "/sign-in", &format!("name=alice&password={password}&next=/t/shop")).await;
    assert_eq!(to(&right), "/password?next=/t/shop");
    let SessionChange::Begin { secret, .. } = right.session else { panic!("no session") };

    let person = world.services.authenticate_session(world.services.clock().now(), secret.expose_secret()).await;
    let ctx = anonymous.with_actor(Actor::Person(person.unwrap().unwrap()));
    assert_eq!(to(&get(&world, &ctx, "/account?x=1").await), "/password?next=/account%3Fx%3D1");

    let differs = format!("current={password}&new=correct horse battery&again=other&next=/t/shop");
    let differs = post(&world, &ctx, "/password", &differs).await;
    assert_eq!(differs.status, 422);
    assert!(differs.html.contains("The two do not agree"));
    let short = post(&world, &ctx, "/password", &format!("current={password}&new=short&again=short")).await;
    assert!(short.html.contains("At least 12 characters"), "{}", short.html);
    let good = format!("current={password}&new=correct horse battery&again=correct horse battery&next=/t/shop");
    assert_eq!(to(&post(&world, &ctx, "/password", &good).await), "/t/shop");
}

#[tokio::test]
async fn tries_are_slowed_down() {
    let world = World::new();
    let anonymous = nobody(&world);
    for _ in 0..5 {
        assert_eq!(post(&world, &anonymous, "/sign-in", "name=alice&password=x").await.status, 422);
    }
    let slowed = post(&world, &anonymous, "/sign-in", "name=alice&password=x").await;
    assert_eq!(slowed.status, 429);
    assert!(slowed.html.contains("Too many tries. Wait 1 s"), "{}", slowed.html);
}

#[tokio::test]
async fn from_nothing_to_a_namespace() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    let ctx = world.ctx("root").await;
    let home = get(&world, &ctx, "/").await;
    assert_eq!(home.status, 200);
    assert!(home.html.contains("No tenants yet") && home.html.contains(r#"href="/admin/tenants/new""#));

    let wrong = post(&world, &ctx, "/admin/tenants/new", "name=My Team&displayName=Payments <b>").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains(r#"value="My Team""#) && wrong.html.contains("Use a–z, 0–9 and - only"));
    assert!(wrong.html.contains("Payments &lt;b&gt;"), "{}", wrong.html);
    assert!(wrong.html.contains(r#"aria-invalid="true""#));
    let owner = post(&world, &ctx, "/admin/tenants/new", "name=payments&owner=ghost").await;
    assert!(owner.html.contains("There is nobody called “ghost”"), "{}", owner.html);

    assert_eq!(to(&post(&world, &ctx, "/admin/tenants/new", "name=payments").await), "/t/payments");
    let taken = post(&world, &ctx, "/admin/tenants/new", "name=payments").await;
    assert_eq!(taken.status, 422);
    assert!(taken.html.contains("This name is taken"));

    assert!(get(&world, &ctx, "/t/payments").await.html.contains("/t/payments/namespaces/new"));
    let wrong = post(&world, &ctx, "/t/payments/namespaces/new", "name=new").await;
    assert!(wrong.html.contains("This name is reserved"), "{}", wrong.html);
    assert_eq!(to(&post(&world, &ctx, "/t/payments/namespaces/new", "name=staging").await), "/t/payments/n/staging");
    let made = get(&world, &ctx, "/t/payments/n/staging").await;
    assert_eq!(made.status, 200);
    assert!(made.html.contains("No apps yet"));
    assert!(made.html.contains(r#"href="/t/payments/n/staging/apps/new""#), "the owner may deploy at once");
}

#[tokio::test]
async fn members_come_change_and_go() {
    let world = World::new();
    for name in ["olga", "dev"] {
        world.person(name, None).await;
    }
    world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    let ctx = world.ctx("olga").await;
    let ghost = post(&world, &ctx, "/t/shop/members", "do=add&user=ghost&role=viewer").await;
    assert_eq!(ghost.status, 422);
    assert!(ghost.html.contains("There is nobody called “ghost”"));
    let role = post(&world, &ctx, "/t/shop/members", "do=add&user=dev&role=king").await;
    assert_eq!(role.status, 422);
    assert_eq!(to(&post(&world, &ctx, "/t/shop/members", "do=add&user=dev&role=admin").await), "/t/shop/members");
    let last = post(&world, &ctx, "/t/shop/members", "do=remove&user=olga").await;
    assert_eq!(last.status, 422);
    assert!(last.html.contains("at least one owner"), "{}", last.html);
    let admin = world.ctx("dev").await;
    let rise = post(&world, &admin, "/t/shop/members", "do=set&user=dev&role=owner").await;
    assert_eq!(rise.status, 403, "an admin does not rise by themselves");
    to(&post(&world, &ctx, "/t/shop/members", "do=remove&user=dev").await);
    assert_eq!(get(&world, &admin, "/t/shop").await.status, 404);
}

#[tokio::test]
async fn a_token_is_shown_once() {
    let world = World::new();
    world.person("alice", None).await;
    let ctx = world.ctx("alice").await;
    let wrong = post(&world, &ctx, "/account/tokens", "do=create&name=&expiresInDays=30").await;
    assert_eq!(wrong.status, 422);
    let made = post(&world, &ctx, "/account/tokens", "do=create&name=ci&expiresInDays=30&scope.readOnly=on").await;
    assert_eq!(made.status, 200);
    let secret = made.html.split("data-secret>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(secret.starts_with("berth_") && secret.len() > 40, "{secret}");
    assert!(world.services.authenticate_token(ctx.now(), &secret).await.unwrap().is_some());
    let later = get(&world, &ctx, "/account/tokens").await;
    assert!(later.html.contains("ci") && !later.html.contains(&secret));
    let same = post(&world, &ctx, "/account/tokens", "do=create&name=ci&expiresInDays=30").await;
    assert!(same.html.contains("a token of this name already"), "{}", same.html);
}

#[tokio::test]
async fn a_cluster_that_is_down_leaves_its_last_state() {
    let world = World::new();
    world.person("olga", None).await;
    let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.namespace(&tenant, "dev").await;
    let ctx = world.ctx("olga").await;
    for url in ["/", "/t/shop", "/t/shop/n/dev"] {
        assert!(!get(&world, &ctx, url).await.html.contains("does not answer"), "{url}");
    }
    world.cluster.set_down(Some("connection refused"));
    let down = world.services.clusters().all()[0].freshness();
    assert!(matches!(down.state, CacheState::Stale { .. }));
    for url in ["/", "/t/shop", "/t/shop/n/dev"] {
        let page = get(&world, &ctx, url).await;
        assert_eq!(page.status, 200, "{url}");
        assert!(page.html.contains("The cluster does not answer"), "{url}");
        assert!(!page.html.contains("connection refused"), "why is for the admins: {url}");
        assert!(page.html.contains("as of"), "{url}");
    }
}

#[tokio::test]
async fn preferences_come_back_to_their_page_and_nowhere_else() {
    let world = World::new();
    let ctx = nobody(&world);
    let here = post(&world, &ctx, "/preferences", "theme=dark&language=zh-CN&next=/t/shop").await;
    assert_eq!(to(&here), "/t/shop");
    assert_eq!((here.theme, here.language), (Some(Theme::Dark), Some(Language::ZhCn)));
    for evil in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        assert_eq!(to(&post(&world, &ctx, "/preferences", &format!("next={evil}")).await), "/");
    }
}

#[tokio::test]
async fn both_languages_and_the_frame() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    let tenant = world.tenant("shop", &[("root", TenantRole::Owner)]).await;
    world.namespace(&tenant, "dev").await;
    let ctx = world.ctx("root").await;
    for route in pages(&world).routes().iter().filter(|r| !r.post && !r.pattern.contains("{app}")) {
        let path = route.pattern.replace("{tenant}", "shop").replace("{namespace}", "dev").replace("{user}", "root");
        if path.contains('{') {
            continue;
        }
        for language in [Language::En, Language::ZhCn] {
            let request = PageRequest { path: path.clone(), language, theme: Theme::Dark, ..PageRequest::default() };
            let page = pages(&world).respond(&ctx, request).await;
            if page.status == 303 {
                continue;
            }
            // Pages of links without a link say so.
            let want = if ["/join", "/reset", "/account/mail/confirm"].contains(&path.as_str()) { 403 } else { 200 };
            assert_eq!(page.status, want, "{path}: {}", page.html);
            let head = format!(r#"<!doctype html><html lang="{}" data-theme="dark">"#, language.tag());
            assert!(page.html.starts_with(&head), "{path}: {}", &page.html[..80]);
            assert_eq!(page.html.matches("<h1").count(), 1, "{path}: one heading");
            assert_eq!(page.html.matches(r#"id="main""#).count(), 1, "{path}");
            if language == Language::ZhCn {
                assert!(!page.html.contains("Skip to content"), "{path}");
            }
        }
    }
}

/// Every page and form is tried as nobody, as a stranger, and as too weak a role. A route that is added is tried too.
#[tokio::test]
async fn nothing_opens_without_rights() {
    let world = World::new();
    world.person("olga", None).await;
    world.person("vera", None).await;
    world.person("stranger", None).await;
    let tenant = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    world.tenant("other", &[("stranger", TenantRole::Owner)]).await;
    world.namespace(&tenant, "dev").await;
    let (stranger, viewer) = (world.ctx("stranger").await, world.ctx("vera").await);
    let routes = pages(&world).routes();
    assert!(routes.len() > 30, "the table is empty");
    for route in routes {
        let path = concrete(route.pattern);
        let ask = async |ctx: &OpCtx| match route.post {
            true => post(&world, ctx, &path, "name=x&user=vera&role=owner&do=set").await,
            false => get(&world, ctx, &path).await,
        };
        let what = format!("{} {path}", if route.post { "POST" } else { "GET" });
        if route.access != Access::Public {
            let answer = ask(&nobody(&world)).await;
            if route.post {
                // What was typed is kept for when they have signed in.
                assert_eq!(answer.status, 401, "{what} as nobody");
                assert!(answer.html.contains("href=\"/sign-in\""), "{what} as nobody: {}", answer.html);
            } else {
                assert!(to(&answer).starts_with("/sign-in"), "{what} as nobody");
            }
        }
        match route.access {
            Access::Public | Access::SignedIn => {}
            Access::Tenant => {
                assert_eq!(ask(&stranger).await.status, 404, "{what} as a stranger");
                if route.post {
                    let status = ask(&viewer).await.status;
                    // Who belongs to a tenant may ask for a role; this form asks for one that nobody gets by asking.
                    let refused = if path == "/t/shop/access" { [422, 422] } else { [403, 404] };
                    assert!(refused.contains(&status), "{what} as a viewer: {status}");
                }
            }
            Access::Platform => {
                assert_eq!(ask(&stranger).await.status, 404, "{what} as a stranger");
                assert_eq!(ask(&viewer).await.status, 404, "{what} as a viewer");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_names_who_can_grant_it() {
    let world = World::new();
    world.person("olga", None).await;
    world.person("vera", None).await;
    world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    let page = get(&world, &world.ctx("vera").await, "/t/shop/namespaces/new").await;
    assert_eq!(page.status, 403);
    assert!(page.html.contains("This needs the role Admin. Ask olga (olga)."), "{}", page.html);
    assert!(
        page.html.contains("request-1") || page.html.contains("<code>test</code>"),
        "the request's number is there"
    );
    let lost = get(&world, &world.ctx("vera").await, "/t/shop/nonsense").await;
    assert_eq!(lost.status, 404);
    assert!(lost.html.contains(r#"href="/t/shop""#), "the way up");
}

#[tokio::test]
async fn search_finds_places_and_pages() {
    let world = World::new();
    world.person("olga", None).await;
    let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.namespace(&tenant, "staging").await;
    let ctx = world.ctx("olga").await;
    let page = get(&world, &ctx, "/search?q=stag").await;
    assert!(page.html.contains(r#"href="/t/shop/n/staging""#));
    let part = get(&world, &ctx, "/search?q=token&part=hits").await;
    assert!(part.html.starts_with("<ul") && part.html.contains("/account/tokens"), "{}", part.html);
    let none = get(&world, &ctx, "/search?q=<zzz>").await;
    assert!(none.html.contains("Nothing is called “&lt;zzz&gt;”"), "{}", none.html);
    for (q, href) in [("pods", "/t/shop/n/staging/pods"), ("stag apps", "/t/shop/n/staging/apps")] {
        let page = get(&world, &ctx, &format!("/search?q={q}")).await;
        assert!(page.html.contains(&format!("href=\"{href}\"")), "{q}: {}", page.html);
    }
    // Who reads Chinese may well type English.
    let query = pairs("q=pods");
    let request = PageRequest { path: "/search".into(), query, language: Language::ZhCn, ..PageRequest::default() };
    let page = pages(&world).respond(&ctx, request).await;
    assert!(page.html.contains(r#"href="/t/shop/n/staging/pods""#), "{}", page.html);
    assert!(!get(&world, &ctx, "/search?q=audit").await.html.contains("/admin/audit"), "not for members");
}

#[tokio::test]
async fn the_audit_log_is_filtered_read_and_exported() {
    let world = World::new();
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    let ctx = world.ctx("audrey").await;
    for name in ["ann", "bob"] {
        let new = NewUser { name: name.into(), display_name: String::new(), platform_role: None, password: None };
        world.services.create_user(&world.system(), &new).await.unwrap();
    }
    assert_eq!(post(&world, &ctx, "/admin/tenants/new", "name=shop").await.status, 403);
    let all = get(&world, &ctx, "/admin/audit").await;
    assert!(
        all.html.contains("Denied") && all.html.contains("tenant.create"),
        "what was refused is seen: {}",
        all.html
    );

    let some = get(&world, &ctx, "/admin/audit?action=user.create&since=2026-11-20T07:00&q=bob").await;
    assert!(some.html.contains(r#"href="/admin/audit/2""#) && !some.html.contains(r#"href="/admin/audit/1""#));
    assert!(some.html.contains(r#"value="2026-11-20T07:00""#) && some.html.contains(r#"type="datetime-local""#));
    assert!(some.html.contains("/admin/audit/export?action=user.create&amp;since="), "{}", some.html);
    assert!(some.html.contains("format=csv") && some.html.contains("format=ndjson"));
    let later = get(&world, &ctx, "/admin/audit?since=2026-11-21").await;
    assert!(later.html.contains("Nothing fits this filter") && !later.html.contains("format=csv"));

    let wrong = get(&world, &ctx, "/admin/audit?since=soon&actor=ann").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("“soon” is no time"), "{}", wrong.html);
    assert!(wrong.html.contains(r#"value="soon""#) && wrong.html.contains(r#"value="ann""#), "what was typed stays");

    let entry = get(&world, &ctx, "/admin/audit/2").await;
    assert_eq!(entry.status, 200);
    let hash = &world.store.audit()[1].hash;
    assert!(entry.html.contains(hash.as_str()) && entry.html.contains("user.create"), "{}", entry.html);
    for absent in ["/admin/audit/99", "/admin/audit/x", "/admin/audit/0"] {
        assert_eq!(get(&world, &ctx, absent).await.status, 404, "{absent}");
    }
}

#[tokio::test]
async fn a_quota_is_set_shared_out_and_moved_by_forms() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("olga", None).await;
    let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    for name in ["dev", "prod"] {
        world.namespace(&tenant, name).await;
    }
    let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
    let free = get(&world, &olga, "/t/shop/quota").await;
    assert!(free.html.contains("Nothing limits this tenant here"), "{}", free.html);
    assert!(!free.html.contains("/admin/"), "only admins set it");
    assert!(get(&world, &root, "/admin/plans").await.html.contains("No plans yet"));

    let defaults = "defaults.cpuRequest=100m&defaults.cpuLimit=1&defaults.memoryRequest=128Mi&defaults.memoryLimit=512Mi\
         &defaults.ephemeralStorageRequest=128Mi&defaults.ephemeralStorageLimit=1Gi";
    let wrong = format!("name=small&resources[pods]=-3&more=nonsense: 4\nhalf&{defaults}");
    let wrong = post(&world, &root, "/admin/plans/new", &wrong).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("write one a line, as key: amount"), "{}", wrong.html);
    let wrong = format!("name=small&resources[pods]=-3&more=nonsense: 4&{defaults}");
    let wrong = post(&world, &root, "/admin/plans/new", &wrong).await;
    assert!(wrong.html.contains("0 or more. Leave it empty"), "{}", wrong.html);
    assert!(wrong.html.contains("“nonsense” is nothing that a quota can limit"), "{}", wrong.html);
    assert!(wrong.html.contains(r#"value="-3""#) && wrong.html.contains("nonsense: 4"), "what was typed stays");
    let good = format!("name=small&displayName=Small&resources[pods]=10&more=count/jobs.batch: 5&{defaults}");
    assert_eq!(to(&post(&world, &root, "/admin/plans/new", &good).await), "/admin/plans");
    let list = get(&world, &root, "/admin/plans").await.html;
    assert!(list.contains("Pods 10 · Objects: jobs.batch 5"), "{list}");

    let given = post(&world, &root, "/admin/tenants/shop/quota", "plan=small&cluster=local").await;
    assert_eq!(to(&given), "/t/shop/quota");
    let limited = get(&world, &olga, "/t/shop/quota").await.html;
    assert!(limited.contains("Plan small") && limited.contains("It was given nothing"), "{limited}");
    let much = post(&world, &olga, "/t/shop/n/dev/quota", "do=set&resources[pods]=11").await;
    assert_eq!(much.status, 422);
    assert!(much.html.contains("11 is more than there is") && much.html.contains(r#"value="11""#), "{}", much.html);
    let fixed = post(&world, &olga, "/t/shop/n/dev/quota", "resources[pods]=11&fix=resources[pods]=10").await;
    assert!(fixed.html.contains(r#"value="10""#), "a suggestion is taken over without scripts: {}", fixed.html);
    assert_eq!(to(&post(&world, &olga, "/t/shop/n/dev/quota", "do=set&resources[pods]=6").await), "/t/shop/quota");
    assert!(get(&world, &olga, "/t/shop/n/prod/quota").await.html.contains("Up to 4."));

    let none = post(&world, &olga, "/t/shop/quota/move", "from=dev&to=dev&resources[pods]=1").await;
    assert!(none.html.contains("Choose another namespace"), "{}", none.html);
    let moved = post(&world, &olga, "/t/shop/quota/move", "from=dev&to=prod&resources[pods]=2").await;
    assert_eq!(to(&moved), "/t/shop/quota");
    let new = get(&world, &olga, "/t/shop/namespaces/new").await.html;
    assert!(new.contains("Share of the quota") && new.contains("Up to 4."), "{new}");
    let made = post(&world, &olga, "/t/shop/namespaces/new", "name=test&resources[pods]=4").await;
    assert_eq!(to(&made), "/t/shop/n/test");

    let lower = format!("version=1&resources[pods]=9&{defaults}");
    let preview = post(&world, &root, "/admin/plans/small", &format!("do=preview&{lower}")).await;
    assert!(
        preview.status == 200 && preview.html.contains("9 is less than its namespaces have: 10"),
        "{}",
        preview.html
    );
    let kept = post(&world, &root, "/admin/plans/small", &format!("do=save&{lower}")).await;
    assert_eq!(kept.status, 422);
    assert!(kept.html.contains("shop: 9 is less"), "{}", kept.html);
    let used = post(&world, &root, "/admin/plans/small", "do=delete").await;
    assert!(used.status == 422 && used.html.contains("Tenants have this plan: shop"), "{}", used.html);
    assert_eq!(to(&post(&world, &olga, "/t/shop/n/dev/quota", "do=clear").await), "/t/shop/quota");
    let free = post(&world, &root, "/admin/tenants/shop/quota", "plan=&cluster=local").await;
    assert_eq!(to(&free), "/t/shop/quota");
    assert_eq!(to(&post(&world, &root, "/admin/plans/small", "do=delete").await), "/admin/plans");
    let tenants = get(&world, &root, "/admin/tenants?sort=-pressure&limited=false").await;
    assert!(tenants.status == 200 && tenants.html.contains("Not limited"), "{}", tenants.html);
}
