//! Webhooks, messages to them, and the outbox.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    notices::{KeyUse, Notice},
    ports::{
        access::{AccessDecision, NewAccessRequest, Place},
        links::Within,
        store::Store,
        webhooks::{NewDelivery, NewWebhook, Spread, Tried},
    },
    webhooks::pressure::Pressure,
};
use berth_types::{
    Action, ClusterId, ErrorCode, Resource, TenantRole,
    life::Mark,
    webhook::{Attempt, DeliveryState, EventKind, HookStop, Webhook},
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, platform, refused};

fn hook(number: u128, called: &str, events: &[EventKind]) -> NewWebhook {
    let hook = Webhook {
        id: id(number),
        name: called.to_owned(),
        url: format!("https://{called}.example.com/"),
        events: events.to_vec(),
        stopped: None,
        failing_since: None,
        old_secret_until: None,
        created_by: "ann".to_owned(),
        created_at: at(0),
        version: 1,
    };
    NewWebhook { hook, sealed: vec![1, 2] }
}

fn notice(tenant: &TenantRef) -> Notice {
    Notice::of_tenant(EventKind::TenantSuspended, &tenant.name, "root", at(0))
}

fn message(number: u128, hook: u128, seconds: i64) -> NewDelivery {
    let (id, hook, created_at) = (id(number), id(hook), at(seconds));
    NewDelivery { id, hook, event: EventKind::TenantSuspended, body: format!("{{\"n\":{number}}}"), created_at }
}

fn spread<const N: usize>(messages: [NewDelivery; N]) -> Spread {
    Spread { messages: messages.into(), ..Spread::default() }
}

/// `shop` and `bank` of ann; `chat` (50) of `shop`, `pager` (51) of the platform, `till` (52) of `bank`.
async fn scene(store: &dyn Store) -> (Grant<TenantRef>, Grant<TenantRef>) {
    use EventKind::{LoanEnded, LoanEndsSoon, TenantSuspended};
    add_users(store, &["ann", "bob"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    let bank = add_tenant(store, 11, "bank", id(1)).await;
    store.create_webhook(Within::Tenant(&shop), &hook(50, "chat", &[LoanEndsSoon, TenantSuspended])).await.unwrap();
    store.create_webhook(Within::Platform(&platform()), &hook(51, "pager", &[TenantSuspended])).await.unwrap();
    store.create_webhook(Within::Tenant(&bank), &hook(52, "till", &[LoanEnded, TenantSuspended])).await.unwrap();
    (shop, bank)
}

async fn kinds(store: &dyn Store) -> Vec<EventKind> {
    let all = store.waiting_notices(&platform(), 100).await.unwrap();
    all.into_iter().map(|waiting| waiting.notice.event).collect()
}

pub async fn webhooks(store: Arc<dyn Store>) {
    let (shop, bank) = scene(&*store).await;
    let (shops, banks) = (Within::Tenant(&shop), Within::Tenant(&bank));
    let again = store.create_webhook(shops, &hook(60, "chat", &[])).await;
    assert_eq!(refused(again, ErrorCode::AlreadyExists).fields()[0].field, "name");
    store.create_webhook(banks, &hook(60, "chat", &[EventKind::LoanEnded])).await.unwrap();
    let names: Vec<String> = store.list_webhooks(banks).await.unwrap().into_iter().map(|h| h.name).collect();
    assert_eq!(names, ["chat", "till"]);
    assert_eq!(
        store.list_webhooks(shops).await.unwrap(),
        [hook(50, "chat", &[EventKind::LoanEndsSoon, EventKind::TenantSuspended]).hook]
    );

    let mut changed = store.list_webhooks(banks).await.unwrap().remove(0);
    changed.name = "till".to_owned();
    changed.version = 2;
    assert_eq!(
        refused(store.update_webhook(banks, &changed).await, ErrorCode::AlreadyExists).fields()[0].field,
        "name"
    );
    changed.name = "bell".to_owned();
    changed.stopped = Some(HookStop { at: at(5), by: "ann".to_owned(), reason: String::new() });
    changed.failing_since = Some(at(4));
    refused(store.update_webhook(shops, &changed).await, ErrorCode::Conflict);
    store.update_webhook(banks, &changed).await.unwrap();
    refused(store.update_webhook(banks, &changed).await, ErrorCode::Conflict);
    assert_eq!(store.list_webhooks(banks).await.unwrap()[0], changed);
    // Nobody touches another's.
    refused(store.set_webhook_secret(shops, id(52), &[3], at(9)).await, ErrorCode::NotFound);
    refused(store.delete_webhook(shops, id(52)).await, ErrorCode::NotFound);
    refused(store.delete_webhook(shops, id(51)).await, ErrorCode::NotFound);
    refused(store.add_delivery(shops, &message(70, 52, 0)).await, ErrorCode::NotFound);
    store.add_delivery(banks, &message(70, 52, 0)).await.unwrap();
    assert!(store.list_deliveries(shops, id(52), 10).await.unwrap().is_empty());
    assert_eq!(store.list_deliveries(banks, id(52), 10).await.unwrap().len(), 1);
    store.delete_webhook(banks, id(52)).await.unwrap();
    assert!(store.take_deliveries(&platform(), at(9), at(10)).await.unwrap().is_empty(), "its messages go with it");

    let leaving = Mark { at: at(0), by: "ann".to_owned(), reason: String::new(), until: Some(at(5)) };
    store.set_tenant_leaving(&bank, Some(&leaving)).await.unwrap();
    assert_eq!(kinds(&*store).await, [EventKind::TenantRemovalBegun]);
    store.delete_tenant(&platform(), id(11), at(6)).await.unwrap();
    assert_eq!(kinds(&*store).await, []);
    assert_eq!(store.list_webhooks(Within::Platform(&platform())).await.unwrap().len(), 1);
}

pub async fn a_notice_comes_with_what_it_tells_of(store: Arc<dyn Store>) {
    let (shop, bank) = scene(&*store).await;
    let mark = Mark { at: at(1), by: "root".to_owned(), reason: "unpaid".to_owned(), until: None };
    store.set_suspended(&shop, Some(&mark)).await.unwrap();
    refused(store.set_suspended(&shop, Some(&mark)).await, ErrorCode::Conflict);
    store.set_suspended(&shop, None).await.unwrap();
    let place = Place::Tenant(Grant::unchecked((*shop).clone(), Resource::Access, Action::Create));
    let new = NewAccessRequest {
        id: id(30),
        user: id(2),
        role: TenantRole::Developer,
        reason: "x".to_owned(),
        created_at: at(2),
    };
    store.create_access_request(&place, &new).await.unwrap();
    refused(
        store.create_access_request(&place, &NewAccessRequest { id: id(31), ..new }).await,
        ErrorCode::AlreadyExists,
    );
    let decision = AccessDecision { approved: true, by: id(1), comment: String::new(), at: at(3) };
    store.decide_access_request(&place, id(30), &decision).await.unwrap();
    refused(store.decide_access_request(&place, id(30), &decision).await, ErrorCode::Conflict);
    let all = store.waiting_notices(&platform(), 100).await.unwrap();
    let told: Vec<_> = all.iter().map(|waiting| (waiting.tenant, waiting.notice.event)).collect();
    let shops = Some(id(10));
    use EventKind::{AccessDecided, AccessWaiting, TenantSuspended};
    assert_eq!(
        told,
        [(shops, TenantSuspended), (shops, AccessWaiting), (shops, AccessDecided)],
        "what failed tells nothing"
    );
    assert_eq!(all[0].notice, Notice { at: at(1), ..notice(&shop) });
    let data = &all[2].notice.data;
    assert_eq!(
        (data.user.as_deref(), data.by.as_deref(), data.outcome.as_deref()),
        (Some("bob"), Some("ann"), Some("approved"))
    );
    assert_eq!(store.waiting_notices(&platform(), 1).await.unwrap().len(), 1);

    let hears = async |tenant, kind| store.hooks_for(&platform(), tenant, kind).await.unwrap();
    assert_eq!(hears(shops, TenantSuspended).await, [id(50), id(51)]);
    assert_eq!(hears(Some(bank.id), TenantSuspended).await, [id(51), id(52)]);
    assert_eq!(hears(None, TenantSuspended).await, [id(51)]);
    assert_eq!(hears(shops, EventKind::LoanEndsSoon).await, [id(50)]);
    assert!(hears(shops, EventKind::LoanEnded).await.is_empty());

    let first = all[0].id;
    assert!(store.spread_notice(&platform(), first, &spread([message(70, 50, 5), message(71, 99, 5)])).await.unwrap());
    assert!(!store.spread_notice(&platform(), first, &spread([message(72, 50, 5)])).await.unwrap(), "once");
    let made = store.list_deliveries(Within::Tenant(&shop), id(50), 10).await.unwrap();
    assert_eq!((made.len(), made[0].id, made[0].state), (1, id(70), DeliveryState::Waiting));
    assert_eq!(kinds(&*store).await, [AccessWaiting, AccessDecided]);
}

fn tried(number: u128, hook: u128, status: Option<i64>, again: Option<i64>) -> Tried {
    let arrived = status == Some(200);
    let attempt = Attempt { at: at(20), millis: 7, status, answer: "x".to_owned() };
    Tried { delivery: id(number), hook: id(hook), attempt, arrived, again: again.map(at), stop: None }
}

pub async fn messages(store: Arc<dyn Store>) {
    let (shop, _) = scene(&*store).await;
    let shops = Within::Tenant(&shop);
    for n in 0..6 {
        store.add_delivery(shops, &message(70 + n, 50, i64::try_from(n).unwrap())).await.unwrap();
    }
    store.add_delivery(Within::Platform(&platform()), &message(80, 51, 9)).await.unwrap();
    let take = async |now, until| {
        let mut due = store.take_deliveries(&platform(), at(now), at(until)).await.unwrap();
        due.sort_by_key(|due| due.message.id);
        due
    };
    let due = take(8, 100).await;
    let ids: Vec<_> = due.iter().map(|due| due.message.id).collect();
    assert_eq!(ids, [id(70), id(71), id(72), id(73)], "a few of each, oldest first, none before its time");
    assert_eq!((due[0].url.as_str(), due[0].sealed.as_slice()), ("https://chat.example.com/", &[1, 2][..]));
    assert_eq!((due[0].message.body.as_str(), due[0].attempts, due[0].old_sealed.as_ref()), ("{\"n\":70}", 0, None));
    let ids: Vec<_> = take(9, 100).await.iter().map(|due| due.message.id).collect();
    assert_eq!(ids, [id(74), id(75), id(80)]);
    assert!(take(99, 200).await.is_empty(), "taken");

    store.note_attempt(&platform(), &tried(70, 50, Some(500), Some(30))).await.unwrap();
    let state = async || store.list_webhooks(shops).await.unwrap()[0].failing_since;
    assert_eq!(state().await, Some(at(20)));
    store.note_attempt(&platform(), &tried(71, 50, None, None)).await.unwrap();
    let shown = store.list_deliveries(shops, id(50), 10).await.unwrap();
    let last = shown.last().unwrap();
    assert_eq!((last.id, last.state, last.attempts, last.next_at), (id(70), DeliveryState::Waiting, 1, Some(at(30))));
    assert_eq!(last.last, Some(tried(70, 50, Some(500), None).attempt));
    assert_eq!((shown[4].state, shown[4].next_at), (DeliveryState::Failed, None));
    assert_eq!(store.list_deliveries(shops, id(50), 2).await.unwrap().len(), 2);
    store.note_attempt(&platform(), &tried(72, 50, Some(200), None)).await.unwrap();
    assert_eq!(state().await, None, "something came through");

    store.set_webhook_secret(shops, id(50), &[9], at(40)).await.unwrap();
    let due = take(30, 100).await;
    assert_eq!(
        (due[0].sealed.as_slice(), due[0].old_sealed.as_deref(), due[0].attempts),
        (&[9][..], Some(&[1, 2][..]), 1)
    );
    store.note_attempt(&platform(), &tried(70, 50, Some(500), Some(41))).await.unwrap();
    let due = take(41, 100).await;
    assert_eq!((due[0].message.id, due[0].old_sealed.as_ref(), due[0].failing_since), (id(70), None, Some(at(20))));

    // What is done with is kept for a week.
    let day = 86_400;
    store.sweep(at(5 * day)).await.unwrap();
    assert_eq!(store.list_deliveries(shops, id(50), 10).await.unwrap().len(), 6);
    store.sweep(at(6 * day + 10)).await.unwrap();
    let left: Vec<_> = store.list_deliveries(shops, id(50), 10).await.unwrap().into_iter().map(|m| m.state).collect();
    assert_eq!(left, [DeliveryState::Waiting; 4]);
}

pub async fn one_that_is_given_up(store: Arc<dyn Store>) {
    let (shop, _) = scene(&*store).await;
    let shops = Within::Tenant(&shop);
    for n in [70, 71] {
        store.add_delivery(shops, &message(n, 50, 0)).await.unwrap();
    }
    let stop = HookStop { at: at(20), by: HookStop::BERTH.to_owned(), reason: "HTTP 410".to_owned() };
    let last = Tried { stop: Some(stop.clone()), ..tried(70, 50, Some(410), None) };
    store.note_attempt(&platform(), &last).await.unwrap();
    let hook = store.list_webhooks(shops).await.unwrap().remove(0);
    assert_eq!((hook.stopped, hook.failing_since, hook.version), (Some(stop), Some(at(20)), 2));
    let states: Vec<_> = store.list_deliveries(shops, id(50), 10).await.unwrap().into_iter().map(|m| m.state).collect();
    assert_eq!(states, [DeliveryState::Failed, DeliveryState::Failed]);
    assert_eq!(store.hooks_for(&platform(), Some(id(10)), EventKind::TenantSuspended).await.unwrap(), [id(51)]);
}

pub async fn many_at_once_pass_on_once(store: Arc<dyn Store>) {
    let (shop, _) = scene(&*store).await;
    store.put_notice(Some(id(10)), &notice(&shop)).await.unwrap();
    let number = store.waiting_notices(&platform(), 1).await.unwrap()[0].id;
    let spread = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store.spread_notice(&platform(), number, &spread([message(70 + n, 50, 0)])).await.unwrap()
        })
    });
    let mut won = 0;
    for one in spread.collect::<Vec<_>>() {
        won += usize::from(one.await.unwrap());
    }
    assert_eq!(won, 1);
    let taken = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.take_deliveries(&platform(), at(1), at(100)).await.unwrap().len() })
    });
    let mut all = 0;
    for one in taken.collect::<Vec<_>>() {
        all += one.await.unwrap();
    }
    assert_eq!(all, 1);
}

pub async fn quotas_that_are_nearly_used_up(store: Arc<dyn Store>) {
    let (shop, _) = scene(&*store).await;
    store.create_namespace(&shop, &namespace(20, "shop", "dev")).await.unwrap();
    let used = vec![KeyUse { key: "pods".to_owned(), percent: 95 }];
    let notice = Notice::of_quota((&shop.name, &"dev".parse().unwrap(), &ClusterId::local()), used, at(9));
    let known = async || store.list_pressures(&platform()).await.unwrap();
    let (begun, told) = (Pressure { since: at(1), told: false }, Pressure { since: at(1), told: true });
    store.set_pressure(&platform(), id(20), Some(begun), None).await.unwrap();
    assert_eq!(known().await, [(id(20), begun)]);
    for _ in 0..2 {
        store.set_pressure(&platform(), id(20), Some(told), Some((id(10), &notice))).await.unwrap();
    }
    assert_eq!(known().await, [(id(20), told)]);
    let waiting = store.waiting_notices(&platform(), 9).await.unwrap();
    assert_eq!(waiting.len(), 1, "of two at once one tells");
    assert_eq!((waiting[0].tenant, &waiting[0].notice), (Some(id(10)), &notice));
    store.set_pressure(&platform(), id(20), None, None).await.unwrap();
    assert_eq!(known().await, []);
    // A namespace that is gone has none.
    store.set_pressure(&platform(), id(21), Some(begun), None).await.unwrap();
    assert_eq!(known().await, []);
}
