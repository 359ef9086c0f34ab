//! Invitations, resets and a forgotten password, as pages.
#![allow(clippy::unwrap_used)]

use berth_core::{
    OpCtx,
    ports::{
        pages::{Language, LinkChange, PageRequest, PageResponse, Pages, SessionChange},
        store::People as _,
    },
    testing::World,
};
use berth_types::{PlatformRole, TenantRole};
use secrecy::ExposeSecret;

use crate::common::{get, nobody, pages, pairs, post, to};

/// The link that a page shows once, below the portal's address.
#[track_caller]
fn link(page: &PageResponse) -> String {
    let (_, rest) = page.html.split_once("data-secret").unwrap_or_else(|| panic!("no link: {}", page.html));
    let (_, rest) = rest.split_once("https://berth.example.com").unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

/// As a browser that opened `link`, which has put its secret aside.
async fn held(world: &World, ctx: &OpCtx, link: &str, form: Option<&str>) -> PageResponse {
    let opened = get(world, ctx, link).await;
    let LinkChange::Hold(secret) = &opened.link else { panic!("{link} is not held") };
    assert!(link.ends_with(secret.expose_secret()));
    let request = PageRequest {
        path: to(&opened).to_owned(),
        form: form.map(pairs),
        link: Some(secret.clone()),
        ..PageRequest::default()
    };
    pages(world).respond(ctx, request).await
}

async fn make(world: &World, who: &str, path: &str, form: &str) -> PageResponse {
    let request = PageRequest {
        path: path.to_owned(),
        form: Some(pairs(form)),
        base: "https://berth.example.com".to_owned(),
        language: Language::En,
        ..PageRequest::default()
    };
    pages(world).respond(&world.ctx(who).await, request).await
}

async fn scene() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    for name in ["olga", "vera", "stranger"] {
        world.person(name, None).await;
    }
    world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
    world
}

#[tokio::test]
async fn a_link_is_shown_once_and_makes_an_account_with_a_role() {
    let world = scene().await;
    let olga = world.ctx("olga").await;
    assert!(get(&world, &olga, "/t/shop/members").await.html.contains("/t/shop/invitations"));
    assert!(get(&world, &olga, "/t/shop/invitations").await.html.contains("No open invitations"));
    let wrong = make(&world, "olga", "/t/shop/invitations", "do=invite&role=viewer&email=zoe&days=7").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("An address such as ann@example.com") && wrong.html.contains(r#"value="zoe""#));
    let made =
        make(&world, "olga", "/t/shop/invitations", "do=invite&role=developer&email=zoe@example.com&days=3").await;
    let link = link(&made);
    assert!(link.starts_with("/join/"), "{link}");
    let again = get(&world, &olga, "/t/shop/invitations").await.html;
    assert!(again.contains("zoe@example.com") && !again.contains("data-secret"), "{again}");

    let nobody = nobody(&world);
    let page = held(&world, &nobody, &link, None).await;
    assert!(page.html.contains("Join shop") && page.html.contains("Your role will be: Developer"), "{}", page.html);
    assert!(!page.html.contains(&link[6..]), "no page holds the secret");
    assert!(page.html.contains("/sign-in?next=/join"), "who has an account comes back");
    let unequal = "do=sign-up&name=zoe&displayName=Zoe&password=correct horse battery&again=other";
    let unequal = held(&world, &nobody, &link, Some(unequal)).await;
    assert_eq!(unequal.status, 422);
    assert!(unequal.html.contains("The two do not agree") && unequal.html.contains(r#"value="zoe""#));
    assert!(!unequal.html.contains("correct horse"), "no page holds a password");
    let taken = "do=sign-up&name=vera&password=correct horse battery&again=correct horse battery";
    let taken = held(&world, &nobody, &link, Some(taken)).await;
    assert!(taken.status == 422 && taken.html.contains("Somebody has this name already"), "{}", taken.html);
    let good = "do=sign-up&name=zoe&displayName=Zoe&password=correct horse battery&again=correct horse battery";
    let good = held(&world, &nobody, &link, Some(good)).await;
    assert_eq!(to(&good), "/t/shop");
    assert!(matches!(good.session, SessionChange::Begin { .. }) && matches!(good.link, LinkChange::Drop));
    assert_eq!(get(&world, &world.ctx("zoe").await, "/t/shop").await.status, 200);

    let used = held(&world, &nobody, &link, None).await;
    assert!(used.status == 403 && used.html.contains("This link was used already"), "{}", used.html);
    assert!(get(&world, &olga, "/t/shop/invitations").await.html.contains("No open invitations"));
}

#[tokio::test]
async fn who_is_signed_in_joins_with_a_button() {
    let world = scene().await;
    let made = make(&world, "olga", "/t/shop/invitations", "do=invite&role=viewer&email=&days=7").await;
    let (link, stranger) = (link(&made), world.ctx("stranger").await);
    let vera = held(&world, &world.ctx("vera").await, &link, Some("do=join")).await;
    assert!(vera.status == 403 && vera.html.contains("You have this role or a stronger one already"), "{}", vera.html);
    let page = held(&world, &stranger, &link, None).await;
    assert!(page.html.contains("You are signed in as stranger (stranger)"), "{}", page.html);
    assert_eq!(to(&held(&world, &stranger, &link, Some("do=join")).await), "/t/shop");
    assert_eq!(get(&world, &stranger, "/t/shop").await.status, 200);
}

#[tokio::test]
async fn links_are_taken_back() {
    let world = scene().await;
    let made = make(&world, "root", "/admin/invitations", "do=invite&email=&days=7").await;
    let (link, root) = (link(&made), world.ctx("root").await);
    let page = held(&world, &nobody(&world), &link, None).await;
    assert!(page.html.contains("Make your account") && !page.html.contains("/sign-in?next"), "{}", page.html);
    let open = get(&world, &root, "/admin/invitations").await.html;
    let (_, id) = open.split_once(r#"name="invitation" value=""#).unwrap();
    let form = format!("do=revoke&invitation={}", id.split_once('"').unwrap().0);
    assert_eq!(to(&post(&world, &root, "/admin/invitations", &form).await), "/admin/invitations");
    let revoked = held(&world, &nobody(&world), &link, None).await;
    assert!(revoked.status == 403 && revoked.html.contains("This link was taken back"), "{}", revoked.html);
    let nothing = get(&world, &nobody(&world), "/join").await;
    assert!(nothing.status == 403 && nothing.html.contains("There is no such link"), "{}", nothing.html);
}

#[tokio::test]
async fn a_new_password_by_a_link() {
    let world = scene().await;
    let person = get(&world, &world.ctx("root").await, "/admin/people/vera").await.html;
    assert!(person.contains(r#"value="reset-link""#), "{person}");
    let link = link(&make(&world, "root", "/admin/people/vera", "do=reset-link").await);
    let nobody = nobody(&world);
    let page = held(&world, &nobody, &link, None).await;
    assert!(page.html.contains("Choose a new password for vera"), "{}", page.html);
    let weak = held(&world, &nobody, &link, Some("new=short&again=short")).await;
    assert!(weak.status == 422 && weak.html.contains("At least 12 characters"), "{}", weak.html);
    let set = held(&world, &nobody, &link, Some("new=correct horse battery&again=correct horse battery")).await;
    assert_eq!(to(&set), "/sign-in");
    assert!(matches!(set.session, SessionChange::Keep), "nobody is signed in by a link alone");
    let account = world.store.find_account(&"vera".parse().unwrap()).await.unwrap().unwrap();
    assert!(account.password_hash.is_some());
}

#[tokio::test]
async fn a_forgotten_password_answers_everybody_alike() {
    let world = scene().await;
    let nobody = nobody(&world);
    assert!(get(&world, &nobody, "/sign-in").await.html.contains(r#"href="/forgot""#));
    let known = post(&world, &nobody, "/forgot", "name=vera").await;
    let unknown = post(&world, &nobody, "/forgot", "name=nobody-of-that-name").await;
    for answer in [&known, &unknown] {
        assert_eq!(to(answer), "/sign-in");
    }
    assert_eq!((known.flash, known.html), (unknown.flash, unknown.html));
    let mut slowed = known.status;
    for n in 0..60 {
        slowed = post(&world, &nobody, "/forgot", &format!("name=guess-{n}")).await.status;
    }
    assert_eq!(slowed, 429);
}
