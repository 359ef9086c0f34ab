//! Where people get mail, and mail until it is sent.

use std::sync::Arc;

use berth_core::{
    notices::Notice,
    ports::{
        links::NewReset,
        mail::{DueMail, NewMail, Pending, TriedMail, WARNINGS},
        pages::Language,
        passkeys::StoredPasskey,
        second_factors::Authenticator,
        store::Store,
        webhooks::Spread,
    },
};
use berth_types::{ErrorCode, TenantRole, people::Passkey, provider::Identity, webhook::EventKind};

use crate::fixture::{add_tenant, add_users, admin, at, digest, id, name, platform, refused};

/// A mail that waits, of nobody or to somebody.
pub fn mail(number: u128, user: Option<u128>, kind: &'static str, seconds: i64) -> NewMail {
    NewMail {
        id: id(number),
        user: user.map(id),
        kind,
        address: format!("to{number}@example.com"),
        sealed: vec![1, 2, 3],
        created_at: at(seconds),
        until: at(seconds + 1000),
        says_dropped: false,
    }
}

fn pending(address: &str, number: u8, until: i64) -> Pending {
    Pending { address: address.to_owned(), digest: digest(number), expires_at: at(until) }
}

async fn due(store: &dyn Store, now: i64) -> Vec<DueMail> {
    store.take_mails(&platform(), at(now), at(now + 120)).await.unwrap()
}

fn tried(number: u128, seconds: i64, trouble: Option<&str>, again: Option<i64>) -> TriedMail {
    TriedMail { id: id(number), at: at(seconds), trouble: trouble.map(str::to_owned), again: again.map(at) }
}

pub async fn addresses(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    assert_eq!(store.find_mailbox(id(1)).await.unwrap(), None);
    refused(store.remove_address(id(1), None).await, ErrorCode::NotFound);
    let first = pending("ann@example.com", 1, 100);
    store.set_pending_address(id(1), &first, Language::ZhCn, &mail(20, Some(1), "address.verify", 0)).await.unwrap();
    let mailbox = store.find_mailbox(id(1)).await.unwrap().unwrap();
    assert_eq!((mailbox.verified, mailbox.language, mailbox.muted), (None, Language::ZhCn, None));
    assert_eq!(store.find_verification(&digest(1)).await.unwrap(), Some((id(1), first)));

    // Another in its place: the first link, and the mail with it, are worth nothing.
    let second = pending("a@example.com", 2, 100);
    store.set_pending_address(id(1), &second, Language::En, &mail(21, Some(1), "address.verify", 1)).await.unwrap();
    assert_eq!(store.find_verification(&digest(1)).await.unwrap(), None);
    let ids: Vec<_> = due(&*store, 2).await.into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids, [id(21)]);
    for (user, link, now) in [(2, 2, 5), (1, 1, 5), (1, 2, 100)] {
        refused(store.verify_address(id(user), &digest(link), at(now), None).await, ErrorCode::Forbidden);
    }
    store.verify_address(id(1), &digest(2), at(5), None).await.unwrap();
    refused(store.verify_address(id(1), &digest(2), at(5), None).await, ErrorCode::Forbidden);
    let mailbox = store.find_mailbox(id(1)).await.unwrap().unwrap();
    assert_eq!((mailbox.verified, mailbox.pending), (Some(("a@example.com".to_owned(), at(5))), None));

    // What waits for the old one is dropped, but what says that the account was changed; the old one is told. A link to a new password
    // that is under way is in the wrong hands, too.
    store.add_mail(&mail(22, Some(1), "quota.high", 6)).await.unwrap();
    store.add_mail(&mail(23, Some(2), "quota.high", 6)).await.unwrap();
    for (number, kind) in (26..).zip(WARNINGS) {
        store.add_mail(&mail(number, Some(1), kind, 6)).await.unwrap();
    }
    let reset = |number| NewReset { digest: digest(number), user: id(1), created_at: at(6), expires_at: at(99) };
    store.create_reset(&platform(), &reset(8)).await.unwrap();
    store
        .set_pending_address(id(1), &pending("b@x", 3, 100), Language::En, &mail(24, Some(1), "address.verify", 6))
        .await
        .unwrap();
    store.verify_address(id(1), &digest(3), at(7), Some(&mail(25, Some(1), "address.moved", 7))).await.unwrap();
    let mut ids: Vec<_> = due(&*store, 8).await.into_iter().map(|mail| mail.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [id(23), id(25), id(26), id(27), id(28), id(29), id(30)]);
    assert!(store.find_reset(&digest(8)).await.unwrap().is_none(), "it went to the old one");

    store.set_mail_choices(id(1), Language::ZhCn, &[EventKind::QuotaHigh, EventKind::LoanEnded]).await.unwrap();
    store.set_mail_choices(id(2), Language::ZhCn, &[]).await.unwrap();
    let chosen = store.find_mailbox(id(1)).await.unwrap().unwrap();
    assert_eq!(chosen.muted, Some(vec![EventKind::QuotaHigh, EventKind::LoanEnded]));
    assert_eq!((chosen.language, chosen.verified.is_some()), (Language::ZhCn, true));
    assert_eq!(store.find_mailbox(id(2)).await.unwrap().unwrap().muted, Some(Vec::new()));

    // Whoever chose a language keeps it, in whichever they look at the page.
    store
        .set_pending_address(id(1), &pending("c@x", 4, 100), Language::En, &mail(40, Some(1), "address.verify", 8))
        .await
        .unwrap();
    assert_eq!(store.find_mailbox(id(1)).await.unwrap().unwrap().language, Language::ZhCn);

    store.create_reset(&platform(), &reset(9)).await.unwrap();
    store.add_mail(&mail(41, Some(1), "address.moved", 8)).await.unwrap();
    store.remove_address(id(1), None).await.unwrap();
    refused(store.remove_address(id(1), None).await, ErrorCode::NotFound);
    let ids: Vec<_> = due(&*store, 9).await.into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids, [id(41)]);
    assert!(store.find_reset(&digest(9)).await.unwrap().is_none(), "a link that may be in the wrong hands");
    let mailbox = store.find_mailbox(id(1)).await.unwrap().unwrap();
    assert_eq!((mailbox.verified, mailbox.pending, mailbox.muted.map(|m| m.len())), (None, None, Some(2)));
}

pub async fn addresses_that_are_vouched_for(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    assert!(store.adopt_address(id(1), "ann@example.com", at(1)).await.unwrap());
    assert!(!store.adopt_address(id(1), "other@example.com", at(2)).await.unwrap());
    // Who wants none, or another one, is asked.
    store.set_mail_choices(id(2), Language::En, &[]).await.unwrap();
    assert!(!store.adopt_address(id(2), "bob@example.com", at(1)).await.unwrap());
    assert_eq!(store.find_mailbox(id(1)).await.unwrap().unwrap().verified.unwrap().0, "ann@example.com");
}

pub async fn who_may_hear(store: Arc<dyn Store>) {
    let users = add_users(&*store, &["ann", "bob", "cid", "dan", "eve"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    add_tenant(&*store, 11, "bank", id(2)).await;
    store.set_member(&shop, &name("cid"), TenantRole::Viewer, at(0)).await.unwrap();
    for (n, user) in (1..).zip(&users) {
        if n != 3 {
            store.adopt_address(user.id, &format!("{}@example.com", user.name), at(0)).await.unwrap();
        }
    }
    let heard = async |tenant, who: Option<&str>| {
        let who = who.map(name);
        let all = store.mail_receivers(&platform(), tenant, who.as_ref(), at(50)).await.unwrap();
        all.into_iter().map(|one| (one.name.to_string(), one.role, one.inside)).collect::<Vec<_>>()
    };
    let owner = ("ann".to_owned(), Some(TenantRole::Owner), true);
    assert_eq!(heard(Some(id(10)), None).await, std::slice::from_ref(&owner), "no address, no mail");
    store.adopt_address(id(3), "cid@example.com", at(0)).await.unwrap();
    let viewer = ("cid".to_owned(), Some(TenantRole::Viewer), true);
    assert_eq!(heard(Some(id(10)), None).await, [owner.clone(), viewer.clone()]);
    let asked = ("dan".to_owned(), None, false);
    assert_eq!(heard(Some(id(10)), Some("dan")).await, [owner.clone(), viewer.clone(), asked.clone()]);
    assert_eq!(heard(None, Some("dan")).await, [asked]);
    store.update_user(&platform(), &admin(users[4].clone())).await.unwrap();
    assert_eq!(heard(None, None).await, [("eve".to_owned(), None, false)]);
    let mut gone = users[0].clone();
    gone.disabled = true;
    store.update_user(&platform(), &gone).await.unwrap();
    assert_eq!(heard(Some(id(10)), None).await, [viewer, ("eve".to_owned(), None, false)]);

    // How much they got of late, and how much was left out.
    for (number, seconds) in [(20, 49), (21, 50), (22, 60)] {
        store.add_mail(&mail(number, Some(3), "quota.high", seconds)).await.unwrap();
    }
    let cid = async || {
        let all = store.mail_receivers(&platform(), Some(id(10)), None, at(50)).await.unwrap();
        all.into_iter().find(|one| one.id == id(3)).map(|one| (one.recent, one.dropped)).unwrap()
    };
    assert_eq!(cid().await, (2, 0));
    let notice = Notice::of_tenant(EventKind::TenantSuspended, &shop.name, "root", at(0));
    for spread in
        [Spread { dropped: vec![id(3)], ..Spread::default() }, Spread { dropped: vec![id(3)], ..Spread::default() }]
    {
        store.put_notice(Some(id(10)), &notice).await.unwrap();
        let waiting = store.waiting_notices(&platform(), 9).await.unwrap().remove(0);
        assert!(store.spread_notice(&platform(), waiting.id, &spread).await.unwrap());
        assert!(!store.spread_notice(&platform(), waiting.id, &spread).await.unwrap(), "of many at once one");
    }
    assert_eq!(cid().await, (2, 2));
    store.put_notice(Some(id(10)), &notice).await.unwrap();
    let waiting = store.waiting_notices(&platform(), 9).await.unwrap().remove(0);
    let reset = NewReset { digest: digest(7), user: id(3), created_at: at(70), expires_at: at(99) };
    let mails = vec![NewMail { says_dropped: true, ..mail(30, Some(3), "tenant.suspended", 70) }];
    let spread = Spread { mails, reset: Some(reset), ..Spread::default() };
    assert!(store.spread_notice(&platform(), waiting.id, &spread).await.unwrap());
    assert_eq!(cid().await, (3, 0));
    assert!(store.find_reset(&digest(7)).await.unwrap().is_some());
}

pub async fn who_owns_an_account_is_told(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    let identity = Identity {
        id: id(40),
        issuer: "https://id.example.com".to_owned(),
        subject: "ann-1".to_owned(),
        email: None,
        created_at: at(1),
        last_used_at: at(1),
    };
    store.add_identity(id(1), &identity).await.unwrap();
    refused(store.add_identity(id(1), &identity).await, ErrorCode::AlreadyExists);
    store.set_password(id(1), "$argon2id$2", false, at(2)).await.unwrap();
    refused(store.remove_second_factors(id(1), at(3)).await, ErrorCode::NotFound);
    let reset = NewReset { digest: digest(9), user: id(1), created_at: at(3), expires_at: at(99) };
    store.create_reset(&platform(), &reset).await.unwrap();
    store.use_reset(&digest(9), "$argon2id$3", at(4)).await.unwrap();
    // Whoever has a session and the password adds a way in that outlives both; and whoever keeps the platform takes them away.
    let app = Authenticator { sealed: vec![1], created_at: at(5), last_step: 1 };
    store.add_authenticator(id(1), &app, &[digest(1)]).await.unwrap();
    refused(store.add_authenticator(id(1), &app, &[]).await, ErrorCode::AlreadyExists);
    let shown = Passkey { id: id(50), name: "Phone".to_owned(), created_at: at(6), last_used_at: None };
    let passkey = StoredPasskey { user: id(1), credential: vec![1], key: vec![2], count: 0, shown };
    store.add_passkey(&passkey, &[]).await.unwrap();
    store.remove_passkey(id(1), id(50), None, at(7)).await.unwrap();
    refused(store.remove_passkey(id(1), id(50), None, at(7)).await, ErrorCode::NotFound);
    store.remove_authenticator(id(1), None, at(8)).await.unwrap();
    store.add_authenticator(id(1), &app, &[digest(1)]).await.unwrap();
    store.remove_second_factors(id(1), at(9)).await.unwrap();
    let told = store.waiting_notices(&platform(), 20).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|one| (one.tenant, one.notice)).collect();
    let ann = name("ann");
    let want = [
        (EventKind::ProviderConnected, 1),
        (EventKind::PasswordChanged, 2),
        (EventKind::PasswordChanged, 4),
        (EventKind::SecondFactorAdded, 5),
        (EventKind::SecondFactorAdded, 6),
        (EventKind::SecondFactorRemoved, 7),
        (EventKind::SecondFactorRemoved, 8),
        (EventKind::SecondFactorAdded, 5),
        (EventKind::SecondFactorRemoved, 9),
    ];
    assert_eq!(told, want.map(|(event, second)| (None, Notice::of_account(event, &ann, at(second)))));
}

pub async fn mail_until_it_is_sent(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    store.add_mail(&mail(20, Some(1), "quota.high", 0)).await.unwrap();
    store.add_mail(&mail(21, None, "invitation", 0)).await.unwrap();
    store.add_mail(&mail(22, Some(1), "quota.high", 50)).await.unwrap();
    let first = due(&*store, 10).await;
    assert_eq!(first.iter().map(|mail| mail.id).collect::<Vec<_>>(), [id(20), id(21)]);
    assert_eq!(first[1].user, None);
    assert_eq!(
        (first[0].address.as_str(), &first[0].sealed[..], first[0].until),
        ("to20@example.com", &[1, 2, 3][..], at(1000))
    );
    assert!(due(&*store, 10).await.is_empty(), "taken");
    store.note_mail(&platform(), &tried(20, 11, Some("450 later"), Some(300))).await.unwrap();
    store.note_mail(&platform(), &tried(21, 12, None, None)).await.unwrap();
    let counts = store.count_mails(&platform()).await.unwrap();
    assert_eq!((counts.waiting, counts.delivered, counts.failed, counts.last_delivered_at), (2, 1, 0, Some(at(12))));
    let trouble = counts.trouble.unwrap();
    assert_eq!((trouble.at, trouble.reason.as_str(), trouble.again_at), (at(11), "450 later", Some(at(300))));

    let ids: Vec<_> = due(&*store, 100).await.into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids, [id(22)]);
    // Who took it was killed: it is due again.
    let again = due(&*store, 400).await;
    assert_eq!(again.iter().map(|mail| (mail.id, mail.attempts)).collect::<Vec<_>>(), [(id(20), 1), (id(22), 0)]);
    store.note_mail(&platform(), &tried(20, 401, Some("550 never"), None)).await.unwrap();
    store.note_mail(&platform(), &tried(22, 402, None, None)).await.unwrap();
    // Twice is once.
    store.note_mail(&platform(), &tried(22, 403, Some("late"), None)).await.unwrap();
    let counts = store.count_mails(&platform()).await.unwrap();
    assert_eq!((counts.waiting, counts.delivered, counts.failed), (0, 2, 1));
    assert_eq!(counts.trouble.unwrap().again_at, None);
    assert!(due(&*store, 9_000).await.is_empty());
    store.sweep(at(0) + jiff::SignedDuration::from_hours(7 * 24)).await.unwrap();
    assert_eq!(store.count_mails(&platform()).await.unwrap(), Default::default());
}
