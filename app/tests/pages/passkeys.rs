//! Passkeys, as pages.

use berth_core::{
    Actor, OpCtx,
    ports::pages::{PageRequest, PageResponse, Pages, SessionChange, StepChange},
    services::people::NewUser,
    testing::{Authenticator, World},
    webauthn::{Site, Unavailable},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::common::{get, nobody, pages, pairs, post, to};

const PASSWORD: &str = "correct horse battery";
const SITE: &str = "https://berth.example.com";

/// `ann`, with a password of her own, at a portal that knows its address.
async fn scene() -> World {
    let mut world = World::new();
    world.services = world.services.clone().with_passkeys(Site::of(Some(SITE)));
    let password = Some(SecretString::from("first horse battery"));
    let new = NewUser { name: "ann".into(), display_name: String::new(), platform_role: None, password };
    world.services.create_user(&world.system(), &new).await.unwrap();
    let entered = world.services.sign_in(&nobody(&world), "ann", &"first horse battery".into(), "").await;
    let own = world.services.as_person(&nobody(&world), entered.unwrap().session().unwrap().person);
    world.services.change_password(&own, &"first horse battery".into(), &PASSWORD.into(), "").await.unwrap();
    world
}

/// The person whose session a page began.
async fn person(world: &World, page: &PageResponse) -> OpCtx {
    let SessionChange::Begin { secret, .. } = &page.session else { panic!("no session: {}", page.html) };
    let person = world.services.authenticate_session(world.services.clock().now(), secret.expose_secret()).await;
    nobody(world).with_actor(Actor::Person(person.unwrap().unwrap()))
}

async fn enter(world: &World) -> PageResponse {
    post(world, &nobody(world), "/sign-in", &format!("name=ann&password={PASSWORD}&next=/t/shop")).await
}

/// Goes on in the browser that was told to wait.
async fn go_on(world: &World, begun: &PageResponse, form: Option<&[(&str, &str)]>) -> PageResponse {
    let StepChange::Begin { secret, .. } = &begun.step else { panic!("nothing is asked: {}", begun.html) };
    let (path, query) = to(begun).split_once('?').unwrap_or((to(begun), ""));
    let request = PageRequest {
        path: path.to_owned(),
        query: pairs(query),
        form: form.map(|pairs| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
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

/// The question that a page asks the browser.
#[track_caller]
fn question(html: &str) -> Value {
    let text = between(html, "data-options=\"", "\"").replace("&quot;", "\"").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Adds a passkey on the page: what keeps it, and what came of it.
async fn enrol(world: &World, ctx: &OpCtx) -> (Authenticator, PageResponse) {
    let url = "/account/second-factor";
    let page = post(world, ctx, url, &format!("do=begin-passkey&current={PASSWORD}")).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains("data-needs-script") && page.html.contains("Passkeys need JavaScript"));
    let mut authenticator = Authenticator::new(SITE);
    let answer = authenticator.create(&question(&page.html)).to_string();
    let token = between(&page.html, "name=\"enrolment\" value=\"", "\"").to_owned();
    let form = |name: &str| {
        let pairs = [("do", "confirm-passkey"), ("enrolment", &token), ("name", name), ("credential", &answer)];
        Some(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec())
    };
    let send = async |name: &str| {
        let request = PageRequest { path: url.to_owned(), form: form(name), ..PageRequest::default() };
        pages(world).respond(ctx, request).await
    };
    let unnamed = send("").await;
    assert_eq!(unnamed.status, 422);
    assert_eq!(question(&unnamed.html), question(&page.html), "the same question");
    (authenticator, send("Blue <key>").await)
}

#[tokio::test]
async fn a_passkey_is_added_used_renamed_and_removed() {
    let world = scene().await;
    let ann = person(&world, &enter(&world).await).await;
    let page = get(&world, &ann, "/account/second-factor").await;
    assert!(page.html.contains("value=\"begin-passkey\"") && page.html.contains("value=\"begin\""), "{}", page.html);
    let (mut phone, made) = enrol(&world, &ann).await;
    assert!(made.status == 200 && made.html.contains("These are your recovery codes"), "{}", made.html);
    let page = get(&world, &ann, "/account/second-factor").await.html;
    assert!(page.contains("Blue &lt;key&gt;") && page.contains("10 left") && page.contains("Never"), "{page}");

    // As the second factor.
    let begun = enter(&world).await;
    assert_eq!(to(&begun), "/sign-in/code?next=/t/shop");
    let page = go_on(&world, &begun, None).await.html;
    assert!(page.contains("Use the passkey that you added") && page.contains("Recovery code"), "{page}");
    assert!(!page.contains("authenticator app shows"), "there is none");
    let options = question(&page);
    let mut other = Authenticator::new(SITE);
    let wrong = other.get(&options).to_string();
    let refused = go_on(&world, &begun, Some(&[("credential", &wrong), ("next", "/t/shop")])).await;
    assert!(refused.status == 422 && refused.html.contains("There is no such passkey of yours"), "{}", refused.html);
    let right = phone.get(&options).to_string();
    let entered = go_on(&world, &begun, Some(&[("credential", &right), ("next", "/t/shop")])).await;
    assert_eq!(to(&entered), "/t/shop");
    let ann = person(&world, &entered).await;

    // Without name and password.
    let page = get(&world, &nobody(&world), "/sign-in?next=/t/shop").await;
    assert!(page.html.contains("action=\"/sign-in/passkey\""), "{}", page.html);
    let begun = post(&world, &nobody(&world), "/sign-in/passkey", "do=begin&next=/t/shop").await;
    assert_eq!(to(&begun), "/sign-in/passkey?next=/t/shop");
    let page = go_on(&world, &begun, None).await.html;
    assert!(page.contains("data-at-once") && page.contains("No name and no password"), "{page}");
    let answer = phone.get(&question(&page)).to_string();
    let form = [("do", "finish"), ("credential", answer.as_str()), ("next", "/t/shop")];
    let entered = go_on(&world, &begun, Some(&form)).await;
    assert_eq!(to(&entered), "/t/shop");
    assert_eq!(person(&world, &entered).await.person().unwrap().name.as_str(), "ann");
    let replayed = go_on(&world, &begun, Some(&form)).await;
    assert_eq!(to(&replayed), "/sign-in?refused=passkey_challenge&next=/t/shop");
    assert!(matches!(replayed.step, StepChange::End));
    let page = get(&world, &nobody(&world), to(&replayed)).await;
    assert!(page.html.contains("answers a question that is over"), "{}", page.html);
    assert_eq!(to(&get(&world, &nobody(&world), "/sign-in/passkey").await), "/sign-in");

    // Its own page.
    let page = get(&world, &ann, "/account/second-factor").await.html;
    let own = format!("/account/second-factor/{}", between(&page, "href=\"/account/second-factor/", "\""));
    assert!(get(&world, &ann, &own).await.html.contains("value=\"Blue &lt;key&gt;\""));
    let unnamed = post(&world, &ann, &own, "do=rename&name=").await;
    assert!(unnamed.status == 422 && unnamed.html.contains("aria-invalid"), "{}", unnamed.html);
    assert_eq!(to(&post(&world, &ann, &own, "do=rename&name=Phone").await), "/account/second-factor");
    assert!(get(&world, &ann, &own).await.html.contains("<h1>Phone</h1>"));
    let wrong = post(&world, &ann, &own, "do=remove&current=wrong").await;
    assert!(wrong.status == 422 && wrong.html.contains("This is not your password"), "{}", wrong.html);
    let gone = post(&world, &ann, &own, &format!("do=remove&current={PASSWORD}")).await;
    assert_eq!(to(&gone), "/account/second-factor");
    assert_eq!(get(&world, &ann, &own).await.status, 404);
    assert!(matches!(enter(&world).await.session, SessionChange::Begin { .. }));
}

#[tokio::test]
async fn where_there_are_none_the_page_says_why() {
    for (why, said) in [
        (Unavailable::NoAddress, "has not set (public_url)"),
        (Unavailable::Http, "by https only"),
        (Unavailable::Number, "address is a number"),
    ] {
        let mut world = scene().await;
        world.services = world.services.clone().with_passkeys(Err(why));
        let ann = person(&world, &enter(&world).await).await;
        let page = get(&world, &ann, "/account/second-factor").await.html;
        assert!(page.contains(said) && !page.contains("begin-passkey"), "{why:?}: {page}");
        assert!(!get(&world, &nobody(&world), "/sign-in").await.html.contains("/sign-in/passkey"));
        let begun = post(&world, &ann, "/account/second-factor", &format!("do=begin-passkey&current={PASSWORD}")).await;
        assert_eq!(begun.status, 403);
        assert_eq!(post(&world, &nobody(&world), "/sign-in/passkey", "do=begin").await.status, 403);
    }
}
