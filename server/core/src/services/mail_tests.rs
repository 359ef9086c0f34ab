//! Mail, over fakes: whose address it is, who is told what, what becomes of a mail that is not taken.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use berth_types::{ErrorCode, PlatformRole, TenantRole, UserName, people::TokenScope, webhook::EventKind};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{Services, invitations::Invite, mailing::Post, people::NewUser};
use crate::{
    OpCtx,
    error::Error,
    links::Void,
    notices::Notice,
    ports::{
        mail::{Letter, Mails as _},
        pages::Language,
        sign_in::Claims,
        store::People as _,
        webhooks::Webhooks as _,
    },
    testing::{Heard, World},
};

const PASSWORD: &str = "correct horse battery";
/// Of who comes in without one.
const NONE: &str = "";

/// `olga` owns `shop` where `vera` looks, `root` keeps the platform, `paul` has a password.
struct Scene {
    world: World,
    shop: uuid::Uuid,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        for name in ["olga", "vera", "stranger"] {
            world.person(name, None).await;
        }
        let shop = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await.id;
        let new = NewUser {
            name: "paul".to_owned(),
            display_name: String::new(),
            platform_role: None,
            password: Some(PASSWORD.into()),
        };
        let (paul, _) = world.services.create_user(&world.system(), &new).await.unwrap();
        let hash = world.store.find_account(&paul.name).await.unwrap().unwrap().password_hash.unwrap();
        world.store.set_password(paul.id, &hash, false, world.system().now()).await.unwrap();
        // Paul's password was set: nobody hears of it, as nobody has an address yet.
        world.services.spread_notices().await.unwrap();
        Self { world, shop }
    }

    fn services(&self) -> &Services {
        &self.world.services
    }

    async fn id(&self, who: &str) -> uuid::Uuid {
        self.world.store.find_account(&who.parse().unwrap()).await.unwrap().unwrap().user.id
    }

    /// What is sent now.
    async fn sent(&self) -> Vec<Letter> {
        self.services().send_mails().await.unwrap();
        self.world.mailer.take()
    }

    /// What is sent now of what happened.
    async fn told(&self) -> Vec<(String, String)> {
        self.services().spread_notices().await.unwrap();
        let mut all: Vec<_> = self.sent().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
        all.sort();
        all
    }

    /// Somebody's address, shown to be theirs.
    async fn has(&self, who: &str, address: &str) {
        assert!(self.world.store.adopt_address(self.id(who).await, address, self.now()).await.unwrap());
    }

    fn now(&self) -> Timestamp {
        self.world.system().now()
    }

    async fn asks(&self, who: &str, address: &str) -> Result<(), Error> {
        let password = if who == "paul" { PASSWORD } else { NONE };
        self.services().set_my_address(&self.world.ctx(who).await, address, &password.into(), Language::En).await
    }

    fn suspended(&self) -> Notice {
        Notice::of_tenant(EventKind::TenantSuspended, &"shop".parse().unwrap(), "root", self.now())
    }

    fn nobody(&self) -> OpCtx {
        OpCtx::anonymous(self.world.clock.clone(), "test", "192.0.2.1")
    }

    fn last_audit(&self) -> (String, String, String) {
        let entry = self.world.store.audit().pop().unwrap();
        (entry.action, entry.outcome, entry.detail.unwrap_or_default().to_string())
    }
}

/// The secret at the end of a link in a mail.
fn secret(mail: &Letter, path: &str) -> SecretString {
    let link = mail.text.lines().find(|line| line.contains(path)).unwrap_or_else(|| panic!("no link: {}", mail.text));
    link.rsplit('/').next().unwrap().into()
}

fn void<T>(result: crate::error::Result<T>) -> Void {
    Void::of(&result.err().unwrap()).unwrap()
}

fn field(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    let field = error.fields().first().unwrap();
    format!("{} {}", field.field, field.code)
}

#[tokio::test]
async fn an_address_is_somebodys_once_they_open_the_link() {
    let scene = Scene::new().await;
    let (services, olga) = (scene.services(), scene.world.ctx("olga").await);
    assert_eq!(field(scene.asks("olga", "olga").await), "email email");
    assert_eq!(field(scene.asks("olga", " ").await), "email email");
    scene.asks("olga", " olga@example.com ").await.unwrap();
    assert!(!format!("{:?}", scene.last_audit()).contains("example.com"), "the log says that, not where to");
    let mail = services.my_mail(&olga).await.unwrap();
    assert_eq!((mail.address, mail.pending.as_deref()), (None, Some("olga@example.com")));
    let letter = scene.sent().await.remove(0);
    assert_eq!((letter.to.as_str(), letter.subject.as_str()), ("olga@example.com", "[Berth] Confirm this address"));
    assert_eq!(letter.settings.as_deref(), Some("https://berth.example.com/account/mail"));
    scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    assert!(scene.told().await.is_empty(), "nothing else is sent there yet");

    let link = secret(&letter, "/account/mail/confirm/");
    let vera = scene.world.ctx("vera").await;
    assert_eq!(void(services.look_at_verification(&vera, &link).await), Void::Other);
    assert_eq!(void(services.verify_my_address(&vera, &link).await), Void::Other);
    assert_eq!(void(services.verify_my_address(&olga, &"x".into()).await), Void::Unknown);
    assert_eq!(services.look_at_verification(&olga, &link).await.unwrap(), "olga@example.com");
    assert_eq!(services.verify_my_address(&olga, &link).await.unwrap(), "olga@example.com");
    assert_eq!(void(services.verify_my_address(&olga, &link).await), Void::Unknown, "once");
    assert_eq!(services.my_mail(&olga).await.unwrap().address.as_deref(), Some("olga@example.com"));
    assert!(scene.sent().await.is_empty());
    assert_eq!(field(scene.asks("olga", "olga@example.com").await), "email mail_same");

    // Another one: the first goes on until the link is opened, and is told then.
    scene.asks("olga", "o@other.example").await.unwrap();
    let first = secret(&scene.sent().await.remove(0), "/confirm/");
    scene.asks("olga", "o@other.example").await.unwrap();
    let second = secret(&scene.sent().await.remove(0), "/confirm/");
    assert_eq!(void(services.verify_my_address(&olga, &first).await), Void::Unknown, "a newer one took its place");
    scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    assert_eq!(scene.told().await[0].0, "olga@example.com");
    services.verify_my_address(&olga, &second).await.unwrap();
    let told = scene.sent().await.remove(0);
    assert_eq!(told.to, "olga@example.com");
    assert!(told.text.contains("o…@other.example") && !told.text.contains("o@other"), "{}", told.text);
    services.remove_my_address(&olga, &NONE.into()).await.unwrap();
    assert_eq!(scene.sent().await[0].to, "o@other.example");
    let gone = services.remove_my_address(&olga, &NONE.into()).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_link_ends_and_a_token_changes_no_address() {
    let scene = Scene::new().await;
    scene.asks("olga", "olga@example.com").await.unwrap();
    let link = secret(&scene.sent().await.remove(0), "/confirm/");
    scene.world.clock.advance(Duration::from_hours(24));
    let olga = scene.world.ctx("olga").await;
    assert_eq!(void(scene.services().verify_my_address(&olga, &link).await), Void::Expired);
    let token = scene.world.token_for("olga", TokenScope::default(), Duration::from_hours(1)).await;
    let person = scene.services().authenticate_token(scene.now(), &token).await.unwrap().unwrap();
    let ctx = scene.services().as_person(&scene.nobody(), person);
    let set = scene.services().set_my_address(&ctx, "o@example.com", &NONE.into(), Language::En).await;
    assert_eq!(set.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(scene.services().verify_my_address(&ctx, &link).await.unwrap_err().code(), ErrorCode::Forbidden);
    let chosen = scene.services().choose_mail(&ctx, Language::En, &[]).await;
    assert_eq!(chosen.unwrap_err().code(), ErrorCode::Forbidden);
}

#[tokio::test]
async fn who_has_a_password_shows_it_and_nobody_floods_an_address() {
    let scene = Scene::new().await;
    let paul = scene.world.ctx("paul").await;
    let wrong = scene.services().set_my_address(&paul, "p@example.com", &"wrong".into(), Language::En).await;
    assert_eq!(field(wrong), "current password_wrong");
    assert!(scene.sent().await.is_empty());
    let mut slowed = None;
    for who in ["paul", "olga", "vera", "stranger", "root"] {
        if let Err(e) = scene.asks(who, "victim@example.com").await {
            slowed = Some((who, e.code()));
            break;
        }
    }
    assert_eq!(slowed, Some(("stranger", ErrorCode::RateLimited)), "however many ask");
}

#[tokio::test]
async fn a_forgotten_password_is_mended_by_mail() {
    let scene = Scene::new().await;
    let heard = Arc::new(Heard::default());
    let services = scene.services().with_notices(heard.clone());
    scene.has("paul", "paul@example.com").await;
    scene.has("root", "root@example.com").await;
    scene.has("olga", "olga@example.com").await;
    let forgets = async |who: &str| {
        let notice = Notice::of_forgotten(&who.parse::<UserName>().unwrap(), "192.0.2.7".to_owned(), scene.now());
        scene.world.store.put_notice(None, &notice).await.unwrap();
        services.spread_notices().await.unwrap();
        (scene.sent().await, heard.take().pop().unwrap().data.outcome)
    };
    let (mut sent, outcome) = forgets("paul").await;
    assert_eq!((sent.len(), outcome.as_deref()), (1, Some("mailed")), "nobody else need hear of it");
    let mail = sent.remove(0);
    assert!(mail.to == "paul@example.com" && mail.text.contains("192.0.2.7"), "{mail:?}");
    assert_eq!(scene.last_audit().0, "password.reset-link");
    let link = secret(&mail, "/reset/");
    let new = SecretString::from("another horse battery");
    services.finish_reset(&scene.nobody(), &link, &new).await.unwrap();
    assert!(services.sign_in(&scene.nobody(), "paul", &new, "").await.is_ok());
    let told = ("paul@example.com".to_owned(), "[Berth] Your password was changed".to_owned());
    assert_eq!(scene.told().await, [told]);

    // Who comes in by a provider alone gets no password by mail: the admins hear of it, as of who has no address.
    for who in ["olga", "vera", "nobody-of-that-name"] {
        let (sent, outcome) = forgets(who).await;
        let to: Vec<&str> = sent.iter().map(|mail| mail.to.as_str()).collect();
        assert_eq!((to, outcome), (vec!["root@example.com"], None), "{who}");
    }
    // An address that goes takes the link along that is on its way, as does one that another takes the place of.
    let (mut sent, _) = forgets("paul").await;
    let late = secret(&sent.remove(0), "/reset/");
    let paul = scene.world.ctx("paul").await;
    services.set_my_address(&paul, "p@other.example", &new, Language::En).await.unwrap();
    let confirm = secret(&scene.sent().await.remove(0), "/confirm/");
    assert!(services.look_at_reset(&scene.nobody(), &late).await.is_ok(), "nothing has changed yet");
    services.verify_my_address(&paul, &confirm).await.unwrap();
    assert_eq!(void(services.look_at_reset(&scene.nobody(), &late).await), Void::Unknown);
    assert_eq!(scene.sent().await[0].to, "paul@example.com");

    let (mut sent, _) = forgets("paul").await;
    let late = secret(&sent.remove(0), "/reset/");
    services.remove_my_address(&scene.world.ctx("paul").await, &new).await.unwrap();
    assert_eq!(void(services.look_at_reset(&scene.nobody(), &late).await), Void::Unknown);
}

/// Whoever has somebody's password and session changes the address next, while the mail server is away.
#[tokio::test]
async fn what_was_done_to_an_account_is_told_where_its_owner_was() {
    let scene = Scene::new().await;
    scene.has("paul", "paul@example.com").await;
    let (services, new) = (scene.services(), SecretString::from("another horse battery"));
    scene.world.mailer.refuses("421 busy", false);
    services.change_password(&scene.world.ctx("paul").await, &PASSWORD.into(), &new, "").await.unwrap();
    assert!(scene.told().await.is_empty());
    let paul = scene.world.ctx("paul").await;
    scene.world.mailer.accepts();
    services.set_my_address(&paul, "thief@example.com", &new, Language::En).await.unwrap();
    let link = secret(&scene.sent().await.remove(0), "/confirm/");
    services.verify_my_address(&paul, &link).await.unwrap();
    services.remove_my_address(&paul, &new).await.unwrap();
    scene.world.clock.advance(Duration::from_mins(10));
    let mut told: Vec<_> = scene.sent().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    told.sort();
    let mail = |to: &str, subject: &str| (to.to_owned(), format!("[Berth] {subject}"));
    let want = [
        mail("paul@example.com", "Your mail goes elsewhere"),
        mail("paul@example.com", "Your password was changed"),
        mail("thief@example.com", "Your mail goes elsewhere"),
    ];
    assert_eq!(told, want);
}

/// Two leaders read the same notice before either passed it on.
#[tokio::test]
async fn of_two_links_the_log_knows_the_one_that_is_kept() {
    let scene = Scene::new().await;
    scene.has("paul", "paul@example.com").await;
    let notice = Notice::of_forgotten(&"paul".parse().unwrap(), "192.0.2.7".to_owned(), scene.now());
    scene.world.store.put_notice(None, &notice).await.unwrap();
    let (ctx, grant) = scene.services().outbox().unwrap();
    let waiting = scene.world.store.waiting_notices(&grant, 9).await.unwrap().remove(0);
    assert!(scene.services().pass_on(&ctx, &grant, waiting.clone()).await.unwrap());
    assert!(!scene.services().pass_on(&ctx, &grant, waiting).await.unwrap());
    let entries = scene.world.store.audit().into_iter().filter(|entry| entry.action == "password.reset-link");
    assert_eq!(entries.map(|entry| entry.outcome).collect::<Vec<_>>(), ["done", "failed"]);
    let [mail] = &scene.sent().await[..] else { panic!("one") };
    assert!(!format!("{mail:?}").contains("/reset/"), "what opens something is not printed");
    assert!(scene.services().look_at_reset(&scene.nobody(), &secret(mail, "/reset/")).await.is_ok());
}

#[tokio::test]
async fn what_is_done_to_an_account_its_owner_hears_whatever_they_chose() {
    let scene = Scene::new().await;
    for who in ["paul", "root"] {
        scene.has(who, &format!("{who}@example.com")).await;
    }
    let (services, paul) =
        (scene.services().with_mail(Post { per_hour: 0, ..post(&scene) }), scene.world.ctx("paul").await);
    services.choose_mail(&paul, Language::En, &[]).await.unwrap();
    services.change_password(&paul, &PASSWORD.into(), &"another horse battery".into(), "").await.unwrap();
    services.spread_notices().await.unwrap();
    let mut sent = scene.sent().await;
    let mail = sent.remove(0);
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("paul@example.com", "[Berth] Your password was changed"));
    assert!(mail.text.contains("cannot be switched off") && sent.is_empty(), "{}", mail.text);
}

fn post(scene: &Scene) -> Post {
    Post { mailer: Some(scene.world.mailer.clone()), ..Post::default() }
}

#[tokio::test]
async fn an_invitation_goes_to_an_address_and_is_shown_all_the_same() {
    let scene = Scene::new().await;
    let (services, olga, shop) = (scene.services(), scene.world.ctx("olga").await, "shop".parse().unwrap());
    let invite = |email: &str| Invite {
        role: Some(TenantRole::Viewer),
        email: email.to_owned(),
        send: Some(Language::En),
        ..Invite::default()
    };
    let nowhere = services.invite(&olga, Some(&shop), &invite("")).await.map(drop);
    assert_eq!(field(nowhere), "email invite_address");
    let (_, shown) = services.invite(&olga, Some(&shop), &invite("zoe@example.com")).await.unwrap();
    let entry = scene.last_audit();
    assert!(entry.2.contains("z…@example.com") && !entry.2.contains("zoe"), "{entry:?}");
    let mail = scene.sent().await.remove(0);
    assert_eq!((mail.to.as_str(), mail.settings.as_deref()), ("zoe@example.com", None));
    assert_eq!(mail.subject, "[Berth] An invitation to shop");
    let link = secret(&mail, "/join/");
    assert_eq!(link.expose_secret(), shown.expose_secret());
    assert_eq!(services.look_at_invitation(&scene.nobody(), &link).await.unwrap().by, "olga");
    // Without it nothing is sent.
    services.invite(&olga, Some(&shop), &Invite { send: None, ..invite("zoe@example.com") }).await.unwrap();
    assert!(scene.sent().await.is_empty());
    let mut slowed = 0;
    while services.invite(&olga, Some(&shop), &invite("zoe@example.com")).await.is_ok() {
        slowed += 1;
    }
    assert_eq!(slowed, 2, "nobody is flooded with invitations");
    // One that is taken back, or used, before it was sent, is not sent.
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(services.invite(&olga, Some(&shop), &invite("yan@example.com")).await.unwrap());
    }
    services.revoke_invitation(&olga, Some(&shop), made[0].0.id).await.unwrap();
    scene.world.person("eve", None).await;
    services.join(&scene.world.ctx("eve").await, &made[1].1).await.unwrap();
    let letters: Vec<_> = scene.sent().await.into_iter().filter(|mail| mail.to.starts_with("yan")).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(secret(&letters[0], "/join/").expose_secret(), made[2].1.expose_secret());
    let off = services.with_mail(Post::default()).invite(&olga, Some(&shop), &invite("z@example.com")).await.map(drop);
    assert_eq!(field(off), "email mail_off");
}

#[tokio::test]
async fn who_left_hears_nothing_and_choices_hold() {
    let scene = Scene::new().await;
    for who in ["olga", "vera", "stranger", "root"] {
        scene.has(who, &format!("{who}@example.com")).await;
    }
    let happens = async || scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    let to = async || scene.told().await.into_iter().map(|(to, _)| to).collect::<Vec<_>>();
    happens().await;
    assert_eq!(to().await, ["olga@example.com", "vera@example.com"]);
    let (olga, vera) = (scene.world.ctx("olga").await, scene.world.ctx("vera").await);
    let services = scene.services();
    let bad = services.choose_mail(&vera, Language::ZhCn, &["quota.high".into(), "request.waiting".into()]).await;
    assert_eq!(field(bad), "events[1] one_of", "that is for who keeps the platform");
    services.choose_mail(&vera, Language::ZhCn, &["quota.high".into()]).await.unwrap();
    let chosen = services.my_mail(&vera).await.unwrap();
    assert_eq!((chosen.language.as_str(), chosen.events), ("zh-CN", vec![EventKind::QuotaHigh]));
    happens().await;
    assert_eq!(to().await, ["olga@example.com"]);
    services.choose_mail(&vera, Language::ZhCn, &["tenant.suspended".into()]).await.unwrap();
    happens().await;
    let all = scene.told().await;
    assert_eq!(all[0].1, "[Berth] shop is suspended");
    assert_eq!(all[1], ("vera@example.com".to_owned(), "[Berth] shop 已被暂停".to_owned()));
    // Decided when it is passed on, with the rights of then.
    happens().await;
    services.remove_member(&olga, &"shop".parse().unwrap(), &"vera".parse().unwrap()).await.unwrap();
    assert_eq!(to().await, ["olga@example.com"]);
}

#[tokio::test]
async fn more_than_enough_is_left_out_and_counted() {
    let scene = Scene::new().await;
    scene.has("olga", "olga@example.com").await;
    let post = Post { mailer: Some(scene.world.mailer.clone()), per_hour: 2 };
    let services = scene.services().with_mail(post);
    let tell = async || {
        scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
        services.spread_notices().await.unwrap();
        scene.sent().await
    };
    for sent in [1, 1, 0, 0, 0] {
        assert_eq!(tell().await.len(), sent);
    }
    scene.world.clock.advance(Duration::from_mins(61));
    let mail = tell().await.remove(0);
    assert!(mail.text.contains("3 more notices were not sent"), "{}", mail.text);
    assert!(!tell().await[0].text.contains("more notices"), "said once");
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_with_the_same_id() {
    let scene = Scene::new().await;
    let (services, root) = (scene.services(), scene.world.ctx("root").await);
    scene.has("olga", "olga@example.com").await;
    scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    services.spread_notices().await.unwrap();
    scene.world.mailer.refuses("450 greylisted", false);
    assert!(scene.sent().await.is_empty());
    let status = services.mail_status(&root).await.unwrap();
    let trouble = status.trouble.unwrap();
    assert_eq!((status.waiting, status.delivered, trouble.reason.as_str()), (1, 0, "450 greylisted"));
    assert!(trouble.again_at.is_some());
    scene.world.mailer.accepts();
    assert!(scene.sent().await.is_empty(), "not yet");
    scene.world.clock.advance(Duration::from_secs(10));
    assert_eq!(scene.sent().await.len(), 1);
    let status = services.mail_status(&root).await.unwrap();
    assert_eq!((status.waiting, status.delivered, status.failed, status.trouble), (0, 1, 0, None));

    // 5xx: never again.
    scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    services.spread_notices().await.unwrap();
    scene.world.mailer.refuses("550 no such user", true);
    scene.sent().await;
    scene.world.mailer.accepts();
    scene.world.clock.advance(Duration::from_hours(30));
    assert!(scene.sent().await.is_empty());
    let status = services.mail_status(&root).await.unwrap();
    assert_eq!((status.waiting, status.failed, status.trouble.unwrap().again_at), (0, 1, None));

    // Killed between sending and noting: sent again, as the same mail.
    scene.world.store.put_notice(Some(scene.shop), &scene.suspended()).await.unwrap();
    services.spread_notices().await.unwrap();
    let (_, grant) = services.outbox().unwrap();
    let now = scene.now();
    let taken = scene.world.store.take_mails(&grant, now, now + jiff::SignedDuration::from_mins(2)).await.unwrap();
    assert!(scene.sent().await.is_empty(), "somebody else has it");
    scene.world.clock.advance(Duration::from_mins(3));
    assert_eq!(scene.sent().await[0].id, taken[0].id);
}

#[tokio::test]
async fn a_link_is_not_sent_after_it_has_ended() {
    let scene = Scene::new().await;
    scene.has("paul", "paul@example.com").await;
    let notice = Notice::of_forgotten(&"paul".parse().unwrap(), "192.0.2.7".to_owned(), scene.now());
    scene.world.store.put_notice(None, &notice).await.unwrap();
    scene.services().spread_notices().await.unwrap();
    scene.world.mailer.refuses("421 busy", false);
    for minutes in [0, 1, 7, 40] {
        scene.world.clock.advance(Duration::from_mins(minutes));
        scene.sent().await;
    }
    let status = scene.services().mail_status(&scene.world.ctx("root").await).await.unwrap();
    assert_eq!((status.waiting, status.failed), (0, 1), "the next try would come when the link is over");
}

#[tokio::test]
async fn what_nobody_sent_in_time_is_not_sent() {
    let scene = Scene::new().await;
    let (services, root) = (scene.services(), scene.world.ctx("root").await);
    scene.has("root", "root@example.com").await;
    scene.asks("olga", "olga@example.com").await.unwrap();
    services.test_mail(&root).await.unwrap();
    // Mail was switched off meanwhile, or nobody led.
    scene.world.clock.advance(Duration::from_hours(24));
    assert!(scene.sent().await.is_empty(), "its link is void");
    let status = services.mail_status(&root).await.unwrap();
    assert_eq!((status.waiting, status.failed), (0, 2));
    assert!(status.trouble.unwrap().reason.contains("its time was over"));
}

#[tokio::test]
async fn a_test_goes_to_who_wants_it() {
    let scene = Scene::new().await;
    let (services, root) = (scene.services(), scene.world.ctx("root").await);
    let none = services.test_mail(&root).await;
    assert_eq!(field(none), "email mail_none");
    scene.has("root", "root@example.com").await;
    services.test_mail(&root).await.unwrap();
    assert_eq!(scene.sent().await[0].subject, "[Berth] A test");
    scene.world.mailer.refuses("550 no", false);
    services.test_mail(&root).await.unwrap();
    scene.sent().await;
    assert_eq!(services.mail_status(&root).await.unwrap().failed, 1, "tried once");
    scene.has("olga", "olga@example.com").await;
    assert_eq!(services.test_mail(&scene.world.ctx("olga").await).await.unwrap_err().code(), ErrorCode::NotFound);
    assert!(services.mail_status(&scene.world.ctx("olga").await).await.is_err());
    let reach = async |who: &str| services.is_reachable(&root, &who.parse().unwrap()).await.unwrap().verified;
    assert!(reach("olga").await && !reach("vera").await);
}

#[tokio::test]
async fn what_a_provider_vouches_for_is_taken_where_there_is_none() {
    let scene = Scene::new().await;
    let (services, stranger) = (scene.services(), scene.id("stranger").await);
    let claims =
        |email: &str, email_verified| Claims { email: Some(email.to_owned()), email_verified, ..Claims::default() };
    let adopt = async |claims| services.adopt_address(stranger, &claims, scene.now()).await.unwrap();
    assert!(!adopt(claims("s@example.com", false)).await, "the provider did not look");
    assert!(!adopt(claims("s@example.com\r\nBcc: x@example.com", true)).await);
    assert!(adopt(claims("s@example.com", true)).await);
    assert!(!adopt(claims("other@example.com", true)).await, "there is one");
    let off = services.with_mail(Post::default());
    assert!(!off.sends_mail() && off.my_mail(&scene.world.ctx("stranger").await).await.is_ok());
    let set = off.set_my_address(&scene.world.ctx("vera").await, "v@example.com", &NONE.into(), Language::En).await;
    assert_eq!(field(set), "email mail_off");
}
