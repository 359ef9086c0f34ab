//! One's own mail, and the platform's, as a browser without scripts walks.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_core::{
    OpCtx,
    ports::pages::{Language, LinkChange, PageRequest, PageResponse, Pages},
    services::mailing::Post,
    testing::World,
};
use berth_types::PlatformRole;

use crate::common::{ask, get, nobody, pages, pairs, post, to};

const MAIL: &str = "/account/mail";

async fn scene() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("audrey", Some(PlatformRole::Auditor)).await;
    for name in ["olga", "vera"] {
        world.person(name, None).await;
    }
    world
}

/// What was mailed last, and the path of the link in it.
async fn mailed(world: &World) -> (String, String) {
    world.services.send_mails().await.unwrap();
    let text = world.mailer.take().pop().unwrap().text;
    let link = text.lines().find(|line| line.starts_with("https://berth.example.com/account/mail/")).unwrap();
    (text.clone(), link.strip_prefix("https://berth.example.com").unwrap().to_owned())
}

/// As a browser that opened `link`, which has put its secret aside.
async fn held(world: &World, ctx: &OpCtx, link: &str, form: Option<&str>) -> PageResponse {
    let opened = get(world, &nobody(world), link).await;
    let LinkChange::Hold(secret) = &opened.link else { panic!("{link} is not held") };
    let request = PageRequest {
        path: to(&opened).to_owned(),
        form: form.map(pairs),
        link: Some(secret.clone()),
        ..PageRequest::default()
    };
    pages(world).respond(ctx, request).await
}

#[tokio::test]
async fn an_address_is_confirmed_and_choices_are_kept() {
    let world = scene().await;
    let (olga, vera) = (world.ctx("olga").await, world.ctx("vera").await);
    let page = get(&world, &olga, MAIL).await.html;
    assert!(page.contains("no address: you get no mail") && page.contains(r#"href="/account/mail""#), "{page}");
    assert!(page.contains(r#"value="quota.high" checked"#) && !page.contains("request.waiting"), "{page}");
    let wrong = post(&world, &olga, MAIL, "do=set&email=olga").await;
    assert!(wrong.status == 422 && wrong.html.contains(r#"value="olga""#), "{}", wrong.html);
    assert!(wrong.html.contains(r#"value="quota.high" checked"#), "the other form stays as it was");
    assert_eq!(to(&post(&world, &olga, MAIL, "do=set&email=olga@example.com").await), MAIL);
    assert!(get(&world, &olga, MAIL).await.html.contains("got a link"));
    let (text, link) = mailed(&world).await;
    assert!(text.starts_with("olga wants to get mail"), "{text}");

    let signs_in = held(&world, &nobody(&world), &link, None).await;
    assert_eq!(to(&signs_in), "/sign-in?next=/account/mail/confirm");
    let other = held(&world, &vera, &link, None).await;
    assert!(other.status == 403 && other.html.contains("for another account"), "{}", other.html);
    let page = held(&world, &olga, &link, None).await;
    assert!(page.status == 200 && page.html.contains("olga@example.com"), "{}", page.html);
    let secret = link.rsplit('/').next().unwrap();
    assert!(!page.html.contains(secret), "no page holds the secret");
    let done = held(&world, &olga, &link, Some("")).await;
    assert!(to(&done) == MAIL && matches!(done.link, LinkChange::Drop));
    assert_eq!(held(&world, &olga, &link, Some("")).await.status, 403, "once");
    assert!(get(&world, &olga, MAIL).await.html.contains("confirmed"));

    assert_eq!(to(&post(&world, &olga, MAIL, "do=choose&language=zh-CN&events=quota.high").await), MAIL);
    let page = get(&world, &olga, MAIL).await.html;
    assert!(page.contains(r#"value="quota.high" checked"#) && page.contains(r#"value="loan.overdue">"#), "{page}");
    let bad = post(&world, &olga, MAIL, "do=choose&language=en&events=nonsense").await;
    assert_eq!(bad.status, 422, "{}", bad.html);
    assert_eq!(to(&post(&world, &olga, MAIL, "do=remove").await), MAIL);
    assert!(get(&world, &olga, MAIL).await.html.contains("no address"));
    let chinese = ask(&world, &olga, MAIL, None, Language::ZhCn).await.html;
    assert!(chinese.contains("没有地址，不会收到邮件"), "{chinese}");
}

#[tokio::test]
async fn who_keeps_the_platform_sees_whether_it_works() {
    let world = scene().await;
    let (root, audrey) = (world.ctx("root").await, world.ctx("audrey").await);
    assert!(get(&world, &root, "/admin").await.html.contains("/admin/mail"));
    assert_eq!(get(&world, &world.ctx("olga").await, "/admin/mail").await.status, 404);
    let page = get(&world, &root, "/admin/mail").await.html;
    assert!(page.contains("mail.example.com:587") && page.contains("Nothing sent within a week"), "{page}");
    let none = post(&world, &root, "/admin/mail", "do=test").await;
    assert!(none.status == 422 && none.html.contains("You have no confirmed address"), "{}", none.html);
    post(&world, &root, MAIL, "do=set&email=root@example.com").await;
    let (_, link) = mailed(&world).await;
    held(&world, &root, &link, Some("")).await;
    assert!(get(&world, &audrey, "/admin/mail").await.html.contains("Works"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(to(&post(&world, &root, "/admin/mail", "do=test").await), "/admin/mail");
    world.mailer.refuses("550 <b>no</b>", true);
    world.services.send_mails().await.unwrap();
    let page = get(&world, &audrey, "/admin/mail").await.html;
    assert!(page.contains("550 &lt;b>no") || page.contains("550 &lt;b&gt;no"), "{page}");
    assert!(page.contains("Does not get through") && !page.contains("Works"), "{page}");
    assert!(!page.contains("Send a test to myself"), "who only looks tests nothing");
    let tested = post(&world, &audrey, "/admin/mail", "do=test").await;
    assert_eq!(tested.status, 403);
    assert!(get(&world, &root, "/admin/people/root").await.html.contains("Gets mail"));
    assert!(get(&world, &root, "/admin/people/vera").await.html.contains("No e-mail address"));
}

#[tokio::test]
async fn where_mail_is_off_pages_say_so() {
    let mut world = scene().await;
    let (root, olga, nobody) = (world.ctx("root").await, world.ctx("olga").await, nobody(&world));
    assert!(get(&world, &nobody, "/forgot").await.html.contains("Send me a link"));
    world.services = world.services.with_mail(Post::default());
    assert!(get(&world, &nobody, "/forgot").await.html.contains("Tell the admins"));
    assert!(get(&world, &olga, MAIL).await.html.contains("sends no mail here"));
    let page = get(&world, &root, "/admin/mail").await.html;
    assert!(page.contains("smtp_url") && !page.contains("Send a test to myself"), "{page}");
    assert_eq!(post(&world, &root, "/admin/mail", "do=test").await.status, 422);
}
