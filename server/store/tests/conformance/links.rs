//! Invitations and resets of a password.

use std::sync::Arc;

use berth_core::{
    notices::Notice,
    ports::{
        links::{Joiner, NewInvitation, NewReset, Within},
        mail::{INVITATION, RESET_LINK},
        store::{Account, Store},
        webhooks::Spread,
    },
};
use berth_types::{ErrorCode, TenantRole, life::Mark};

use crate::{
    fixture::{add_tenant, add_users, at, digest, id, name, platform, refused, session, user},
    mail::mail,
};

fn invitation(number: u8, role: Option<TenantRole>) -> NewInvitation {
    NewInvitation {
        id: id(number.into()),
        digest: digest(number),
        role,
        email: (number == 1).then(|| "zoe@example.com".to_owned()),
        invited_by: id(1),
        created_at: at(number.into()),
        expires_at: at(100),
        mail: None,
    }
}

fn reset(number: u8, user: u128) -> NewReset {
    NewReset { digest: digest(number), user: id(user), created_at: at(0), expires_at: at(100) }
}

pub async fn invitations(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let blog = add_tenant(&*store, 11, "blog", id(2)).await;
    let grant = platform();
    let (shop, blog, all) = (Within::Tenant(&shop), Within::Tenant(&blog), Within::Platform(&grant));
    for (number, within, role) in [
        (1, shop, Some(TenantRole::Developer)),
        (2, shop, Some(TenantRole::Owner)),
        (3, blog, Some(TenantRole::Viewer)),
        (4, all, None),
    ] {
        store.create_invitation(within, &invitation(number, role)).await.unwrap();
    }
    let ids = async |within, now| {
        let all = store.list_invitations(within, at(now)).await.unwrap();
        all.iter().map(|i| i.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(ids(shop, 10).await, [2, 1], "newest first");
    assert_eq!((ids(blog, 10).await, ids(all, 10).await), (vec![3], vec![4]));
    assert!(ids(shop, 100).await.is_empty(), "they have ended");
    let first = store.list_invitations(shop, at(10)).await.unwrap().pop().unwrap();
    assert_eq!((first.tenant.unwrap().as_str(), first.role), ("shop", Some(TenantRole::Developer)));
    assert_eq!((first.email.as_deref(), first.invited_by), (Some("zoe@example.com"), name("ann")));
    assert_eq!((first.created_at, first.expires_at), (at(1), at(100)));

    let found = store.find_invitation(&digest(2)).await.unwrap().expect("found");
    assert_eq!((found.inviter.user.name, found.inviter_role), (name("ann"), Some(TenantRole::Owner)));
    assert_eq!(found.tenant.unwrap().display_name, "The shop team");
    assert_eq!((found.fate.used_at, found.fate.revoked_at, found.fate.expires_at), (None, None, at(100)));
    let found = store.find_invitation(&digest(4)).await.unwrap().expect("found");
    assert!(found.tenant.is_none() && found.inviter_role.is_none() && found.invitation.role.is_none());
    assert!(store.find_invitation(&digest(9)).await.unwrap().is_none());

    for (within, number, now) in [(blog, 1, 10), (all, 1, 10), (shop, 4, 10), (shop, 1, 100)] {
        refused(store.revoke_invitation(within, id(number), at(now)).await, ErrorCode::NotFound);
    }
    store.revoke_invitation(shop, id(1), at(20)).await.unwrap();
    store.revoke_invitation(all, id(4), at(20)).await.unwrap();
    refused(store.revoke_invitation(shop, id(1), at(21)).await, ErrorCode::NotFound);
    assert_eq!(ids(shop, 30).await, [2]);
    let found = store.find_invitation(&digest(1)).await.unwrap().expect("its end is known");
    assert_eq!(found.fate.revoked_at, Some(at(20)));
    refused(store.accept_invitation(&digest(1), Joiner::Person(id(2)), at(30)).await, ErrorCode::Forbidden);
}

pub async fn invitations_are_accepted(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let within = Within::Tenant(&shop);
    for (number, role) in
        [(1, TenantRole::Developer), (2, TenantRole::Viewer), (3, TenantRole::Admin), (4, TenantRole::Viewer)]
    {
        store.create_invitation(within, &invitation(number, Some(role))).await.unwrap();
    }
    let role =
        async |user: u128| store.find_tenant_access(id(user), &shop.name).await.unwrap().expect("the tenant").role;
    for (number, now, want) in
        [(1, 10, TenantRole::Developer), (2, 20, TenantRole::Developer), (3, 30, TenantRole::Admin)]
    {
        store.accept_invitation(&digest(number), Joiner::Person(id(2)), at(now)).await.unwrap();
        assert_eq!(role(2).await, Some(want), "never weaker than before");
    }
    let used = store.find_invitation(&digest(1)).await.unwrap().expect("its end is known");
    assert_eq!(used.fate.used_at, Some(at(10)));
    refused(store.accept_invitation(&digest(1), Joiner::Person(id(1)), at(40)).await, ErrorCode::Forbidden);

    // A name that is taken uses nothing up; an invitation that is used makes nobody.
    let account =
        |number, called| Account { user: user(number, called), password_hash: Some("$argon2id$1".to_owned()) };
    let error = refused(
        store.accept_invitation(&digest(4), Joiner::New(&account(5, "bob")), at(40)).await,
        ErrorCode::AlreadyExists,
    );
    assert_eq!(error.fields()[0].field, "name");
    store.accept_invitation(&digest(4), Joiner::New(&account(5, "zoe")), at(40)).await.unwrap();
    assert_eq!(role(5).await, Some(TenantRole::Viewer));
    refused(store.accept_invitation(&digest(4), Joiner::New(&account(6, "yan")), at(40)).await, ErrorCode::Forbidden);
    assert!(store.find_account(&name("yan")).await.unwrap().is_none());
    refused(store.accept_invitation(&digest(9), Joiner::Person(id(1)), at(40)).await, ErrorCode::Forbidden);
}

pub async fn one_of_many_accepts(store: Arc<dyn Store>) {
    let names: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let users = add_users(&*store, &names).await;
    let shop = add_tenant(&*store, 100, "shop", id(1)).await;
    store.create_invitation(Within::Tenant(&shop), &invitation(1, Some(TenantRole::Admin))).await.unwrap();
    let all = users[1..].iter().map(|user| {
        let (store, user) = (store.clone(), user.id);
        tokio::spawn(async move { store.accept_invitation(&digest(1), Joiner::Person(user), at(10)).await.is_ok() })
    });
    let done = futures::future::try_join_all(all).await.unwrap();
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    assert_eq!(store.list_members(&shop).await.unwrap().len(), 2);
}

pub async fn resets(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    for (number, user) in [(1, 1), (2, 2)] {
        store.create_session(&session(number, id(user))).await.unwrap();
        store.create_reset(&platform(), &reset(number, user)).await.unwrap();
    }
    store.create_reset(&platform(), &reset(3, 1)).await.unwrap();
    assert!(store.find_reset(&digest(1)).await.unwrap().is_none(), "a newer one took its place");
    let (fate, account) = store.find_reset(&digest(3)).await.unwrap().expect("found");
    assert_eq!((fate.used_at, fate.expires_at, account.user.name), (None, at(100), name("ann")));

    refused(store.use_reset(&digest(3), "$argon2id$2", at(100)).await, ErrorCode::Forbidden);
    refused(store.use_reset(&digest(9), "$argon2id$2", at(10)).await, ErrorCode::Forbidden);
    store.use_reset(&digest(3), "$argon2id$2", at(10)).await.unwrap();
    let ann = store.find_account(&name("ann")).await.unwrap().expect("ann");
    assert_eq!(ann.password_hash.as_deref(), Some("$argon2id$2"));
    assert!(store.find_session(&digest(1), at(10), at(0)).await.unwrap().is_none());
    assert!(store.find_session(&digest(2), at(10), at(0)).await.unwrap().is_some(), "another's");
    refused(store.use_reset(&digest(3), "$argon2id$3", at(11)).await, ErrorCode::Forbidden);
    assert_eq!(store.find_reset(&digest(3)).await.unwrap().expect("its end is known").0.used_at, Some(at(10)));

    // Who has a new password by another way needs no link, and nobody else may use it.
    store.set_password(id(2), "$argon2id$4", true, at(5)).await.unwrap();
    assert!(store.find_reset(&digest(2)).await.unwrap().is_none());
}

pub async fn mail_goes_with_its_link(store: Arc<dyn Store>) {
    add_users(&*store, &["ann", "bob"]).await;
    let shop = add_tenant(&*store, 10, "shop", id(1)).await;
    let left = add_tenant(&*store, 11, "left", id(1)).await;
    let (within, other) = (Within::Tenant(&shop), Within::Tenant(&left));
    for number in 1..=5 {
        let mail = (number != 5).then(|| mail(number.into(), None, INVITATION, 0));
        let new = NewInvitation { mail, ..invitation(number, Some(TenantRole::Viewer)) };
        store.create_invitation(if number == 4 { other } else { within }, &new).await.unwrap();
    }
    // Something else that goes to who was invited, or bears the id of an invitation.
    store.add_mail(&mail(5, None, "quota.high", 0)).await.unwrap();
    for (number, user, kind) in [(20, 1, RESET_LINK), (21, 1, "quota.high"), (22, 2, RESET_LINK)] {
        store.add_mail(&mail(number, Some(user), kind, 0)).await.unwrap();
    }
    let mut second = 0;
    let mut waiting = async || {
        second += 10;
        let due = store.take_mails(&platform(), at(second), at(second + 10)).await.unwrap();
        let mut ids: Vec<u128> = due.iter().map(|mail| mail.id.as_u128()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(waiting().await, [1, 2, 3, 4, 5, 20, 21, 22]);
    // What is refused drops nothing; what is taken to be sent, but not sent yet, goes too.
    refused(store.revoke_invitation(other, id(1), at(10)).await, ErrorCode::NotFound);
    refused(store.accept_invitation(&digest(9), Joiner::Person(id(2)), at(10)).await, ErrorCode::Forbidden);
    assert_eq!(waiting().await, [1, 2, 3, 4, 5, 20, 21, 22]);
    store.revoke_invitation(within, id(1), at(10)).await.unwrap();
    store.accept_invitation(&digest(2), Joiner::Person(id(2)), at(10)).await.unwrap();
    store.revoke_invitation(within, id(5), at(10)).await.unwrap();
    assert_eq!(waiting().await, [3, 4, 5, 20, 21, 22]);
    let until = at(5);
    let mark = Mark { by: "root".to_owned(), at: at(1), reason: String::new(), until: Some(until) };
    store.set_tenant_leaving(&left, Some(&mark)).await.unwrap();
    store.delete_tenant(&platform(), left.id, at(10)).await.unwrap();
    assert_eq!(waiting().await, [3, 5, 20, 21, 22]);

    // A link to a new password: another in its place, by hand or by mail, and one that is used.
    store.create_reset(&platform(), &reset(7, 1)).await.unwrap();
    assert_eq!(waiting().await, [3, 5, 21, 22]);
    let notice = Notice::of_forgotten(&name("ann"), "192.0.2.1".to_owned(), at(0));
    store.put_notice(None, &notice).await.unwrap();
    for number in [23, 24] {
        store.put_notice(None, &notice).await.unwrap();
        let notice = store.waiting_notices(&platform(), 9).await.unwrap().remove(0);
        let mails = vec![mail(number, Some(1), RESET_LINK, 0)];
        let reset = Some(reset(u8::try_from(number).unwrap(), 1));
        let spread = Spread { mails, reset, ..Spread::default() };
        assert!(store.spread_notice(&platform(), notice.id, &spread).await.unwrap());
    }
    assert_eq!(waiting().await, [3, 5, 21, 22, 24], "its own stays");
    store.use_reset(&digest(24), "$argon2id$2", at(10)).await.unwrap();
    assert_eq!(waiting().await, [3, 5, 21, 22]);
    store.set_password(id(2), "$argon2id$3", true, at(10)).await.unwrap();
    assert_eq!(waiting().await, [3, 5, 21], "who got one by another way needs none");
}

pub async fn links_are_swept_a_month_later(store: Arc<dyn Store>) {
    add_users(&*store, &["ann"]).await;
    store.create_invitation(Within::Platform(&platform()), &invitation(1, None)).await.unwrap();
    store.create_reset(&platform(), &reset(2, 1)).await.unwrap();
    let month = 30 * 86_400;
    assert_eq!(store.sweep(at(100 + month)).await.unwrap(), 0);
    assert!(store.find_invitation(&digest(1)).await.unwrap().is_some());
    assert_eq!(store.sweep(at(101 + month)).await.unwrap(), 2);
    assert!(store.find_invitation(&digest(1)).await.unwrap().is_none());
}
