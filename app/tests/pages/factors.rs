//! Second factors, as pages.

use berth_core::{
    Actor, OpCtx,
    ports::pages::{PageRequest, PageResponse, Pages, SessionChange, StepChange},
    services::{people::NewUser, second_factors::Required},
    testing::{World, seal_key},
    totp,
};
use berth_types::PlatformRole;
use secrecy::{ExposeSecret, SecretString};

use crate::common::{get, nobody, pages, pairs, post, to};

const PASSWORD: &str = "correct horse battery";

/// `ann` and the admin `root`, with passwords of their own.
async fn scene(required: Required) -> World {
    let mut world = World::new();
    world.services = world.services.clone().with_second_factors(Some(seal_key()), required);
    for (name, platform_role) in [("ann", None), ("root", Some(PlatformRole::Admin))] {
        let password = Some(SecretString::from("first horse battery"));
        let new = NewUser { name: name.into(), display_name: String::new(), platform_role, password };
        world.services.create_user(&world.system(), &new).await.unwrap();
        let entered = world.services.sign_in(&nobody(&world), name, &"first horse battery".into(), "").await;
        let own = world.services.as_person(&nobody(&world), entered.unwrap().session().unwrap().person);
        world.services.change_password(&own, &"first horse battery".into(), &PASSWORD.into(), "").await.unwrap();
    }
    world
}

/// The person whose session a page began.
async fn person(world: &World, page: &PageResponse) -> OpCtx {
    let SessionChange::Begin { secret, .. } = &page.session else { panic!("no session: {}", page.html) };
    let person = world.services.authenticate_session(world.services.clock().now(), secret.expose_secret()).await;
    nobody(world).with_actor(Actor::Person(person.unwrap().unwrap()))
}

async fn enter(world: &World, name: &str) -> PageResponse {
    post(world, &nobody(world), "/sign-in", &format!("name={name}&password={PASSWORD}&next=/t/shop")).await
}

/// As a browser whose password was right.
async fn code(world: &World, begun: &PageResponse, form: Option<&str>) -> PageResponse {
    let StepChange::Begin { secret, .. } = &begun.step else { panic!("no code is asked: {}", begun.html) };
    let (path, query) = to(begun).split_once('?').unwrap();
    let request = PageRequest {
        path: path.to_owned(),
        query: pairs(query),
        form: form.map(pairs),
        step: Some(secret.clone()),
        ..PageRequest::default()
    };
    pages(world).respond(&nobody(world), request).await
}

/// What stands between two parts of a page.
#[track_caller]
fn between<'a>(html: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = html.split_once(before).unwrap_or_else(|| panic!("no {before} in {html}"));
    rest.split_once(after).unwrap().0
}

fn shown(world: &World, secret: &str) -> String {
    totp::code_at(secret, world.services.clock().now())
}

/// Adds an app on the page; its secret and the first recovery code.
async fn enrol(world: &World, ctx: &OpCtx, next: &str) -> (String, String) {
    let page = post(world, ctx, "/account/second-factor", &format!("do=begin&current={PASSWORD}&next={next}")).await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("class=\"qr\"") && page.html.contains("href=\"otpauth://totp/Berth:"), "{}", page.html);
    let secret = between(&page.html, "data-secret>", "<").to_owned();
    let token = between(&page.html, "name=\"enrolment\" value=\"", "\"").to_owned();
    let form = |code: &str| format!("do=confirm&enrolment={token}&code={code}&next={next}");
    let wrong = post(world, ctx, "/account/second-factor", &form("nonsense")).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("This is not the code that the app shows now"), "{}", wrong.html);
    assert!(wrong.html.contains(&secret), "the same is tried again");
    let codes = post(world, ctx, "/account/second-factor", &form(&shown(world, &secret))).await;
    assert_eq!(codes.status, 200, "{}", codes.html);
    let listed = between(&codes.html, "data-secret>", "<");
    assert_eq!(listed.lines().count(), 10, "{listed}");
    let first = listed.lines().next().unwrap().to_owned();
    world.clock.advance(std::time::Duration::from_secs(30));
    (secret, first)
}

#[tokio::test]
async fn an_app_is_added_and_asked_for() {
    let world = scene(Required::None).await;
    let ann = person(&world, &enter(&world, "ann").await).await;
    let page = get(&world, &ann, "/account/second-factor").await;
    assert!(page.html.contains("No second factor yet") && page.html.contains("href=\"/account/second-factor\""));
    let wrong = post(&world, &ann, "/account/second-factor", "do=begin&current=wrong").await;
    assert!(wrong.status == 422 && wrong.html.contains("This is not your password"), "{}", wrong.html);
    assert!(!wrong.html.contains("qr"));
    let (secret, recovery) = enrol(&world, &ann, "").await;
    let page = get(&world, &ann, "/account/second-factor").await;
    assert!(page.html.contains("10 left") && !page.html.contains(&secret) && !page.html.contains(&recovery));

    let guessed = post(&world, &nobody(&world), "/sign-in", "name=ann&password=wrong").await;
    assert!(guessed.status == 422 && guessed.html.contains("Name or password is wrong"), "as for everybody");
    assert!(matches!(guessed.step, StepChange::Keep));
    let begun = enter(&world, "ann").await;
    assert_eq!(to(&begun), "/sign-in/code?next=/t/shop");
    assert!(matches!(begun.session, SessionChange::Keep));
    let page = code(&world, &begun, None).await;
    assert!(
        page.html.contains("autocomplete=\"one-time-code\"") && page.html.contains("value=\"/t/shop\""),
        "{}",
        page.html
    );
    let wrong = code(&world, &begun, Some("code=000&next=/t/shop")).await;
    assert!(wrong.status == 422 && wrong.html.contains("This is not the code"), "{}", wrong.html);
    let right = code(&world, &begun, Some(&format!("code={}&next=/t/shop", shown(&world, &secret)))).await;
    assert_eq!(to(&right), "/t/shop");
    assert!(matches!(right.step, StepChange::End));
    assert_eq!(person(&world, &right).await.person().unwrap().name.as_str(), "ann");

    // Over: back to where it begins, which says why.
    let over = code(&world, &begun, Some("code=123456&next=/t/shop")).await;
    assert_eq!(to(&over), "/sign-in?refused=sign_in_step&next=/t/shop");
    assert!(matches!(over.step, StepChange::End));
    let page = get(&world, &nobody(&world), to(&over)).await;
    assert!(page.html.contains("This took more than five minutes, or five codes were wrong"), "{}", page.html);
    assert_eq!(to(&get(&world, &nobody(&world), "/sign-in/code?next=/t/shop").await), "/sign-in?next=/t/shop");

    let by_recovery = code(&world, &enter(&world, "ann").await, Some(&format!("code={recovery}&next=/t/shop"))).await;
    let ann = person(&world, &by_recovery).await;
    assert!(get(&world, &ann, "/account/second-factor").await.html.contains("9 left"));
    let anew = post(&world, &ann, "/account/second-factor", &format!("do=codes&current={PASSWORD}")).await;
    assert!(anew.html.contains("Those from before open nothing any more") && !anew.html.contains(&recovery));
    let gone = post(&world, &ann, "/account/second-factor", &format!("do=remove&current={PASSWORD}")).await;
    assert_eq!(to(&gone), "/account/second-factor");
    assert!(matches!(enter(&world, "ann").await.session, SessionChange::Begin { .. }));
}

#[tokio::test]
async fn too_many_codes_are_slowed_down() {
    let world = scene(Required::None).await;
    let ann = person(&world, &enter(&world, "ann").await).await;
    let (secret, _) = enrol(&world, &ann, "").await;
    let begun = enter(&world, "ann").await;
    for n in 0..5 {
        let wrong = code(&world, &begun, Some("code=nonsense&next=")).await;
        assert_eq!(wrong.status, if n == 4 { 303 } else { 422 }, "{n}");
    }
    let slowed = code(&world, &enter(&world, "ann").await, Some(&format!("code={}", shown(&world, &secret)))).await;
    assert_eq!((slowed.status, slowed.retry_after), (429, Some(1)), "{}", slowed.html);
    assert!(slowed.html.contains("Too many tries. Wait 1 s"), "{}", slowed.html);
}

#[tokio::test]
async fn who_must_have_one_is_led_there_first() {
    let world = scene(Required::Admins).await;
    let entered = enter(&world, "root").await;
    assert_eq!(to(&entered), "/t/shop");
    let root = person(&world, &entered).await;
    for page in ["/", "/admin/people", "/account/tokens"] {
        let away = get(&world, &root, page).await;
        assert!(to(&away).starts_with("/account/second-factor"), "{page}: {:?}", away.redirect);
    }
    assert_eq!(
        to(&post(&world, &root, "/admin/people/ann", "do=reset").await),
        "/account/second-factor?next=/admin/people/ann"
    );
    let page = get(&world, &root, "/account/second-factor?next=/admin/people").await;
    assert!(page.html.contains("Berth asks this of you before anything else opens"), "{}", page.html);
    assert!(!page.html.contains("with-nav"), "nothing beside it leads elsewhere");
    enrol(&world, &root, "/admin/people").await;
    let StepChange::Begin { .. } = enter(&world, "root").await.step else { panic!("no code is asked") };
    let SessionChange::Begin { secret, .. } = &entered.session else { panic!("no session") };
    let now = world.services.clock().now();
    let ready = world.services.authenticate_session(now, secret.expose_secret()).await.unwrap().unwrap();
    let root = nobody(&world).with_actor(Actor::Person(ready));
    assert_eq!(get(&world, &root, "/admin/people").await.status, 200);
    assert!(matches!(enter(&world, "ann").await.session, SessionChange::Begin { .. }), "of her it is not required");
}

#[tokio::test]
async fn an_admin_removes_what_was_lost() {
    let world = scene(Required::None).await;
    let ann = person(&world, &enter(&world, "ann").await).await;
    let root = person(&world, &enter(&world, "root").await).await;
    let before = get(&world, &root, "/admin/people/ann").await.html;
    assert!(!before.contains("remove-factors"), "{before}");
    enrol(&world, &ann, "").await;
    assert!(get(&world, &root, "/admin/people").await.html.contains("second factor"));
    assert!(get(&world, &root, "/admin/people/ann").await.html.contains("value=\"remove-factors\""));
    let done = post(&world, &root, "/admin/people/ann", "do=remove-factors").await;
    assert_eq!(to(&done), "/admin/people/ann");
    assert_eq!(done.flash.as_deref(), Some("ann has no second factor any more."));
    assert!(matches!(enter(&world, "ann").await.session, SessionChange::Begin { .. }));
}

#[tokio::test]
async fn without_password_or_key_the_page_says_so() {
    let mut world = scene(Required::None).await;
    world.person("by-provider", None).await;
    let page = get(&world, &world.ctx("by-provider").await, "/account/second-factor").await;
    assert!(page.html.contains("a second factor is asked for there"), "{}", page.html);
    world.services = world.services.clone().with_second_factors(None, Required::None);
    let ann = person(&world, &enter(&world, "ann").await).await;
    let page = get(&world, &ann, "/account/second-factor").await;
    assert!(page.html.contains("second_factor_key_file"), "{}", page.html);
    assert_eq!(post(&world, &ann, "/account/second-factor", &format!("do=begin&current={PASSWORD}")).await.status, 403);
}
