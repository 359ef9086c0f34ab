//! The pages of identity providers, asked as `web` asks them, over services whose providers say what the test wants.

use berth_core::{
    ports::{
        pages::{Language, PageResponse},
        sign_in::{Answer, Claims},
        store::People as _,
    },
    services::sign_in::Purpose,
    testing::World,
};
use berth_types::{PlatformRole, TenantRole};
use secrecy::ExposeSecret;

use crate::common::{ask, get, nobody, post, to};

const CORP: &str = "name=corp&displayName=Corp&issuer=https://id.example.com&clientId=berth&secret=corp&scopes=profile groups\
                    &algorithms=RS256&groupClaim=groups&allowedGroups=&enabled=on";

#[tokio::test]
async fn a_provider_is_added_changed_and_removed() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.tenant("shop", &[("root", TenantRole::Owner)]).await;
    let root = world.ctx("root").await;
    let none = get(&world, &root, "/admin/sign-in").await;
    assert!(none.html.contains("No identity provider yet") && none.html.contains("Switch passwords off"));

    let wrong = "name=My Corp&issuer=http://id.example.com&clientId=&secret=../audit.key&algorithms=HS256&enabled=on";
    let wrong = post(&world, &root, "/admin/sign-in/new", wrong).await;
    assert_eq!(wrong.status, 422);
    for part in [
        "Use a–z, 0–9 and - only",
        "An https:// address",
        "This is needed",
        "Not the secret itself",
        "Use: RS256, ES256, EdDSA",
        r#"value="../audit.key""#,
        r#"value="http://id.example.com""#,
    ] {
        assert!(wrong.html.contains(part), "{part}: {}", wrong.html);
    }

    assert_eq!(to(&post(&world, &root, "/admin/sign-in/new", CORP).await), "/admin/sign-in/corp");
    let taken = post(&world, &root, "/admin/sign-in/new", &CORP.replace("name=corp", "name=other")).await;
    assert_eq!(taken.status, 422);
    let page = get(&world, &root, "/admin/sign-in/corp").await;
    assert!(page.html.contains("/auth/corp/callback") && page.html.contains("No group has a role yet"));

    let rule = "do=rule&group=team a&tenant=shop&role=developer";
    assert_eq!(to(&post(&world, &root, "/admin/sign-in/corp", rule).await), "/admin/sign-in/corp");
    let again = post(&world, &root, "/admin/sign-in/corp", rule).await;
    assert_eq!(again.status, 422);
    assert!(again.html.contains(r#"value="team a""#), "what was typed stays: {}", again.html);
    assert!(again.html.contains(r#"value="https://id.example.com""#), "the other form shows what is");
    let owner = post(&world, &root, "/admin/sign-in/corp", "do=rule&group=g&tenant=nowhere&role=owner").await;
    assert!(owner.html.contains("Use: admin, developer, viewer"), "{}", owner.html);
    let gone = post(&world, &root, "/admin/sign-in/corp", "do=unrule&rule=x").await;
    assert_eq!(gone.status, 404);

    let saved = format!("{}&version=1", CORP.replace("&enabled=on", ""));
    assert_eq!(to(&post(&world, &root, "/admin/sign-in/corp", &saved).await), "/admin/sign-in/corp");
    let late = post(&world, &root, "/admin/sign-in/corp", &saved).await;
    assert_eq!(late.status, 422, "somebody else saved meanwhile");
    assert!(!get(&world, &nobody(&world), "/sign-in").await.html.contains("Sign in with Corp"), "it is switched off");
    assert_eq!(to(&post(&world, &root, "/admin/sign-in/corp", "do=delete").await), "/admin/sign-in");
    assert_eq!(get(&world, &root, "/admin/sign-in/corp").await.status, 404);
}

#[tokio::test]
async fn who_may_not_keep_providers() {
    let world = World::new();
    for (name, role) in [("root", Some(PlatformRole::Admin)), ("audrey", Some(PlatformRole::Auditor)), ("bob", None)] {
        world.person(name, role).await;
    }
    let (root, auditor, bob) = (world.ctx("root").await, world.ctx("audrey").await, world.ctx("bob").await);
    to(&post(&world, &root, "/admin/sign-in/new", CORP).await);
    for url in ["/admin/sign-in", "/admin/sign-in/corp"] {
        let seen = get(&world, &auditor, url).await;
        assert_eq!(seen.status, 200);
        assert!(!seen.html.contains(r#"class="btn danger""#), "an auditor is offered no change: {}", seen.html);
        assert_eq!(get(&world, &bob, url).await.status, 404);
    }
    assert_eq!(get(&world, &auditor, "/admin/sign-in/new").await.status, 403);
    assert_eq!(post(&world, &auditor, "/admin/sign-in/new", CORP).await.status, 403);
    assert_eq!(post(&world, &auditor, "/admin/sign-in", "do=forbid").await.status, 403);
    assert_eq!(post(&world, &auditor, "/admin/sign-in/corp", "do=delete").await.status, 403);
}

#[tokio::test]
async fn where_one_signs_in() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    let (root, nobody) = (world.ctx("root").await, nobody(&world));
    let plain = get(&world, &nobody, "/sign-in").await;
    assert!(plain.html.contains(r#"name="password""#) && !plain.html.contains("/auth/"));
    to(&post(&world, &root, "/admin/sign-in/new", CORP).await);
    let page = get(&world, &nobody, "/sign-in?next=/t/shop&refused=sign_in_expired").await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains(r#"action="/auth/corp/start""#) && page.html.contains("Sign in with Corp"));
    assert!(page.html.contains("more than ten minutes") && page.html.contains(r#"value="/t/shop""#), "{}", page.html);
    let foreign = get(&world, &nobody, "/sign-in?refused=You are hacked").await;
    let alerts = |page: &PageResponse| page.html.matches(r#"role="alert""#).count();
    assert!(alerts(&page) > alerts(&plain), "{}", page.html);
    assert_eq!(alerts(&foreign), alerts(&plain), "only reasons of ours are told");
    let chinese = ask(&world, &nobody, "/sign-in?refused=sign_in_group", None, Language::ZhCn).await;
    assert!(chinese.html.contains("用 Corp 登录") && chinese.html.contains("请联系平台管理员"), "{}", chinese.html);
}

#[tokio::test]
async fn ways_into_one_s_account() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    let root = world.ctx("root").await;
    to(&post(&world, &root, "/admin/sign-in/new", CORP).await);
    let none = get(&world, &root, "/account/connections").await;
    assert!(none.html.contains("No provider is connected") && none.html.contains("Connect Corp"), "{}", none.html);
    assert!(!none.html.contains(r#"name="current""#), "who has no password is asked for none: {}", none.html);

    world.protocol.says(Some(Claims { subject: "boss-1".to_owned(), ..Claims::default() }));
    let begun = world
        .services
        .begin_sign_in(&root, "corp", "https://b/auth/corp/callback", "/", Purpose::Connect(&"".into()))
        .await;
    let begun = begun.unwrap();
    let state = begun.address.split_once("state=").unwrap().1.to_owned();
    let answer = Answer { state, code: Some("code".to_owned()), ..Answer::default() };
    let secret = Some(begun.secret.expose_secret());
    let back = "https://b/auth/corp/callback";
    world.services.finish_sign_in(&root, "corp", back, secret, &answer, "Firefox").await.unwrap();
    let one = get(&world, &root, "/account/connections").await;
    assert!(one.html.contains("boss-1") && one.html.contains("https://id.example.com"), "{}", one.html);
    let id = world.services.my_identities(&root).await.unwrap()[0].id;
    let last = post(&world, &root, "/account/connections", &format!("do=disconnect&identity={id}")).await;
    assert_eq!(last.status, 422);
    assert!(last.html.contains("your only way in"), "{}", last.html);

    // Who has a password knows it; what went wrong is said where one tries again.
    let (id, now) = (root.person().unwrap().id, root.now());
    world.store.set_password(id, "$argon2id$x", false, now).await.unwrap();
    let asked = get(&world, &root, "/account/connections?refused=sign_in_password").await;
    assert!(asked.html.contains(r#"name="current""#), "{}", asked.html);
    assert!(asked.html.contains(r#"formaction="/auth/corp/start""#), "{}", asked.html);
    assert!(asked.html.contains("That was not your password"), "{}", asked.html);
    let chinese = ask(&world, &root, "/account/connections?refused=sign_in_changed", None, Language::ZhCn).await;
    assert!(chinese.html.contains("账户发生了变更") && chinese.html.contains("第二验证因素"), "{}", chinese.html);
}

#[tokio::test]
async fn a_provider_of_plain_oauth_is_filled_in_and_checked() {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    let root = world.ctx("root").await;
    let plain = get(&world, &root, "/admin/sign-in/new").await.html;
    assert!(plain.contains("href=\"/admin/sign-in/new?kind=github\"") && !plain.contains("oauth.tokenUrl"), "{plain}");
    for (kind, parts) in [
        ("github", ["https://api.github.com/user/orgs?per_page=100", "read:user read:org", "login"]),
        ("gitea", ["https://git.example.com/api/v1/user", "full_name", "username"]),
    ] {
        let page = get(&world, &root, &format!("/admin/sign-in/new?kind={kind}")).await.html;
        assert!(page.contains("name=\"kind\" value=\"oauth\"") && !page.contains("Signing algorithms"), "{page}");
        for part in parts {
            assert!(page.contains(&format!("value=\"{part}\"")), "{kind}: {part}: {page}");
        }
    }
    let wrong = "kind=oauth&name=hub&issuer=https://hub.example.com&clientId=berth&groupClaim=login\
                 &oauth.authorizationUrl=http://hub.example.com/a&oauth.tokenUrl=&oauth.userUrl=https://hub.example.com/u\
                 &oauth.idField=email&enabled=on";
    let page = post(&world, &root, "/admin/sign-in/new", wrong).await;
    assert_eq!(page.status, 422);
    for part in ["Not the e-mail address", "without “#”, name and password", "value=\"http://hub.example.com/a\""] {
        assert!(page.html.contains(part), "{part}: {}", page.html);
    }
    let good = wrong
        .replace("http://hub", "https://hub")
        .replace("oauth.tokenUrl=", "oauth.tokenUrl=https://hub.example.com/t")
        .replace("idField=email", "idField=data.id");
    assert_eq!(to(&post(&world, &root, "/admin/sign-in/new", &good).await), "/admin/sign-in/hub");
    let page = get(&world, &root, "/admin/sign-in/hub").await.html;
    assert!(page.contains("value=\"data.id\"") && page.contains("value=\"https://hub.example.com/t\""), "{page}");
    assert!(!page.contains("Signing out ends the session there"), "OAuth 2.0 knows no such thing");
    // What it is, it stays.
    let other = post(&world, &root, "/admin/sign-in/hub", &good.replace("kind=oauth&", "version=1&")).await;
    assert!(other.status == 422 && other.html.contains("Add another provider"), "{}", other.html);
}
