#![allow(clippy::unwrap_used)]
use std::{sync::Arc, time::Duration};

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, TenantRole,
    quota::{
        Written,
        request::{LoanStage, QuotaRequest, RequestState},
    },
    rows::UsageRow,
    webhook::EventKind,
};

use crate::{
    OpCtx, Services,
    authz::{Grant, NamespaceRef, TenantRef},
    env::Clock as _,
    error::Error,
    ports::store::Tenants as _,
    quota::rules::Rules,
    services::{
        quotas::Wanted,
        requests::{Decision, Deed, NewAsk},
    },
    testing::{Heard, World},
};

fn amounts(text: &str) -> Written {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, amount)| (key.to_owned(), amount.to_owned())).collect()
}

fn places(error: &Error) -> Vec<String> {
    error.fields().iter().map(|e| format!("{} {}", e.field, e.code)).collect()
}

/// Tenant `shop` with `dev`, limited to 10 pods of which `dev` has 8; `olga` owns it, `dave` develops; `root` and `rita` keep
/// the platform.
struct Scene {
    world: World,
    services: Services,
    heard: Arc<Heard>,
    shop: TenantRef,
    dev: NamespaceRef,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        for admin in ["root", "rita"] {
            world.person(admin, Some(PlatformRole::Admin)).await;
        }
        world.person("olga", None).await;
        world.person("dave", None).await;
        let members = [("olga", TenantRole::Owner), ("dave", TenantRole::Developer)];
        let shop = world.tenant("shop", &members).await;
        let dev = world.namespace(&shop, "dev").await;
        let heard = Arc::new(Heard::default());
        let services = world.services.with_notices(heard.clone());
        let root = world.ctx("root").await;
        let limit = Wanted::Own(amounts("pods=10 requests.cpu=4"));
        services.set_tenant_quota(&root, &shop.name, None, &limit).await.unwrap();
        let olga = world.ctx("olga").await;
        services.set_share(&olga, &shop.name, &dev.name, Some(&amounts("pods=8"))).await.unwrap();
        Self { world, services, heard, shop, dev }
    }

    fn uses(&self, amounts_text: &str) {
        let row = |(resource, used): (String, String)| UsageRow { resource, used, limit: None };
        self.world.cluster.set_usage(&self.dev, amounts(amounts_text).into_iter().map(row).collect());
    }

    /// What was told since the last time.
    async fn heard(&self) -> Vec<EventKind> {
        self.services.spread_notices().await.unwrap();
        self.heard.take().into_iter().map(|notice| notice.event).collect()
    }

    async fn ctx(&self, who: &str) -> OpCtx {
        self.world.ctx(who).await
    }

    async fn ask(&self, who: &str, wanted: &str, until: Option<&str>) -> Result<QuotaRequest, Error> {
        let new = NewAsk {
            resources: amounts(wanted),
            until: until.map(str::to_owned),
            reason: "The sale begins".to_owned(),
            namespace: Some("dev".to_owned()),
            ..NewAsk::default()
        };
        self.services.request_quota(&self.ctx(who).await, &self.shop.name, &new).await
    }

    async fn decide(&self, who: &str, request: &QuotaRequest, deed: Deed) -> Result<QuotaRequest, Error> {
        let decision = Decision { deed, comment: "As agreed".to_owned(), version: None };
        self.services.decide_request(&self.ctx(who).await, &self.shop.name, request.id, &decision).await
    }

    /// Makes somebody a developer of the tenant.
    async fn join(&self, who: &str) {
        let grant = Grant::unchecked(self.shop.clone(), Resource::Membership, Action::Update);
        let (who, now) = (who.parse().unwrap(), self.world.clock.now());
        self.world.store.set_member(&grant, &who, TenantRole::Developer, now).await.unwrap();
    }

    /// Limit of pods, what is lent of it, and the share of `dev`.
    async fn pods(&self) -> (String, Option<String>, String) {
        let ctx = self.ctx("olga").await;
        let quota = self.services.tenant_quota(&ctx, &self.shop.name).await.unwrap().remove(0).quota;
        let row = quota.resources.iter().find(|row| row.resource == "pods").unwrap().clone();
        let share = quota.namespaces[0].share.as_ref().and_then(|share| share.get("pods")).unwrap();
        (row.limit.unwrap(), row.lent, share.to_string())
    }

    async fn stages(&self) -> Vec<LoanStage> {
        let ctx = self.ctx("olga").await;
        let quota = self.services.tenant_quota(&ctx, &self.shop.name).await.unwrap().remove(0).quota;
        quota.loans.into_iter().map(|loan| loan.stage).collect()
    }
}

fn three(limit: &str, lent: Option<&str>, share: &str) -> (String, Option<String>, String) {
    (limit.to_owned(), lent.map(str::to_owned), share.to_owned())
}

#[tokio::test]
async fn an_admin_approves_and_the_ledger_follows() {
    let scene = Scene::new().await;
    scene.uses("pods=3");
    let request = scene.ask("dave", "pods=14 requests.cpu=4", None).await.unwrap();
    assert_eq!(request.state, RequestState::Open);
    assert_eq!(request.ask.terms.resources.written(), amounts("pods=14"), "what is so already is left out");
    let evidence = request.ask.evidence.resources.iter().find(|row| row.resource == "pods").unwrap();
    let told = (evidence.limit.as_deref(), evidence.shared.as_str(), evidence.used.as_deref());
    assert_eq!(told, (Some("10"), "8", Some("3")));
    let codes: Vec<&str> = request.ask.findings.iter().map(|e| e.code.as_str()).collect();
    assert_eq!(codes, ["request_role", "request_idle"]);
    assert_eq!(scene.pods().await, three("10", None, "8"), "nothing changes before it is decided");

    for who in ["olga", "dave"] {
        let own = scene.decide(who, &request, Deed::Approve).await.unwrap_err();
        assert_eq!(own.code(), ErrorCode::Forbidden, "{who} keeps no quotas");
    }
    let done = scene.decide("root", &request, Deed::Approve).await.unwrap();
    assert_eq!((done.state, done.version), (RequestState::Approved, 2));
    assert_eq!(done.granted().unwrap().resources.written(), amounts("pods=14"));
    assert_eq!(scene.pods().await, three("14", None, "12"), "the share grew by as much");
    let enforced = scene.world.cluster.namespaces().remove(0).quota.unwrap().hard.written();
    assert_eq!(enforced["pods"], "12", "the cluster follows at once");
    let log = scene.world.store.audit();
    let entry = log.iter().rev().find(|e| e.action == "request.approve" && e.outcome == "done").unwrap();
    let quota = &entry.detail.as_ref().unwrap()["quota"];
    assert_eq!(quota["before"]["limit"]["resources"]["pods"], "10");
    assert_eq!(quota["after"]["limit"]["resources"]["pods"], "14");

    for deed in [Deed::Approve, Deed::Refuse, Deed::Withdraw] {
        let who = if deed == Deed::Withdraw { "dave" } else { "root" };
        assert_eq!(scene.decide(who, &request, deed).await.unwrap_err().code(), ErrorCode::Conflict);
    }
    assert_eq!(scene.heard().await, [EventKind::RequestWaiting, EventKind::RequestDecided]);
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let scene = Scene::new().await;
    let new = NewAsk {
        resources: amounts("pods=7 secrets=5"),
        namespace: Some("gone".to_owned()),
        until: Some("2027-03-01".to_owned()),
        lacking: amounts("cpu=1"),
        ..NewAsk::default()
    };
    let olga = scene.ctx("olga").await;
    let error = scene.services.request_quota(&olga, &scene.shop.name, &new).await.unwrap_err();
    let wanted =
        ["until request_until", "namespace namespace_unknown", "reason request_words", "lacking[cpu] quota_key"];
    assert_eq!(places(&error), wanted, "all at once");
    let of = async |wanted: &str| places(&scene.ask("olga", wanted, None).await.unwrap_err());
    assert_eq!(of("pods=7").await, ["resources[pods] quota_shared"], "a decrease below what is shared out");
    assert_eq!(of("secrets=7").await, ["resources[secrets] request_unlimited"]);
    assert_eq!(of("pods=10").await, ["resources request_same"]);
    assert_eq!(of("pods=-1").await, ["resources[pods] quota_negative"]);
    let past = scene.ask("olga", "pods=12", Some("2026-11-19")).await.unwrap_err();
    assert_eq!(places(&past), ["until request_until"]);
    assert!(scene.services.list_requests(&olga, &scene.shop.name).await.unwrap().is_empty());
    scene.world.person("vic", None).await;
    let stranger = scene.ask("vic", "pods=12", None).await.unwrap_err();
    assert_eq!(stranger.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn rules_approve_by_themselves() {
    let scene = Scene::new().await;
    let less = scene.ask("olga", "pods=9", None).await.unwrap();
    assert_eq!((less.state, less.steps[1].by.as_str()), (RequestState::Approved, "rule:decrease"));
    assert_eq!(scene.pods().await, three("9", None, "8"));
    scene.uses("pods=8");
    let step = scene.ask("olga", "pods=12", None).await.unwrap();
    assert_eq!((step.state, step.steps[1].by.as_str()), (RequestState::Approved, "rule:step"));
    assert_eq!(scene.pods().await, three("12", None, "11"));
    scene.uses("pods=11");
    let again = scene.ask("olga", "pods=13", None).await.unwrap();
    assert_eq!((again.state, again.ask.findings[0].code.as_str()), (RequestState::Open, "request_again"));
    scene.world.clock.advance(Duration::from_hours(24 * 31));
    let later = scene.ask("olga", "pods=13", None).await.unwrap();
    assert_eq!(later.state, RequestState::Approved);
    // Nothing is known of the use while the cluster is away: an admin decides.
    scene.world.clock.advance(Duration::from_hours(24 * 31));
    scene.world.cluster.set_down(Some("away"));
    let blind = scene.ask("olga", "pods=14", None).await.unwrap();
    assert_eq!((blind.ask.findings[0].code.as_str(), blind.ask.evidence.as_of), ("request_uncounted", None));
    let off = scene.services.with_rules(Rules { step_percent: 0, ..Rules::default() });
    let new = NewAsk { resources: amounts("pods=15"), reason: "More".to_owned(), ..NewAsk::default() };
    let waits = off.request_quota(&scene.ctx("olga").await, &scene.shop.name, &new).await.unwrap();
    assert_eq!(waits.ask.findings[0].code, "request_scarce");
}

#[tokio::test]
async fn an_offer_is_taken_or_not() {
    let scene = Scene::new().await;
    let request = scene.ask("dave", "pods=30", None).await.unwrap();
    let offer = |wanted: &str| Deed::Offer { resources: amounts(wanted), until: Some("2026-12-20".to_owned()) };
    let early = scene.decide("dave", &request, Deed::Accept).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::Conflict, "there is no offer yet");
    let offered = scene.decide("root", &request, offer("pods=15")).await.unwrap();
    assert_eq!((offered.state, scene.pods().await), (RequestState::Offered, three("10", None, "8")));
    let taken = scene.decide("dave", &request, Deed::Accept).await.unwrap();
    assert_eq!((taken.state, scene.pods().await), (RequestState::Approved, three("15", Some("5"), "13")));

    let other = scene.ask("dave", "pods=40", None).await.unwrap();
    scene.decide("root", &other, offer("pods=16")).await.unwrap();
    scene.world.person("erik", None).await;
    scene.join("erik").await;
    let foreign = scene.decide("erik", &other, Deed::Accept).await.unwrap_err();
    assert_eq!(foreign.code(), ErrorCode::Forbidden, "another developer's");
    assert_eq!(scene.decide("olga", &other, Deed::Withdraw).await.unwrap().state, RequestState::Withdrawn);
    let silent = Decision { deed: Deed::Refuse, comment: " ".to_owned(), version: None };
    let third = scene.ask("dave", "pods=40", None).await.unwrap();
    let root = scene.ctx("root").await;
    let error = scene.services.decide_request(&root, &scene.shop.name, third.id, &silent).await.unwrap_err();
    assert_eq!(places(&error), ["comment request_words"]);
    let stale = Decision { comment: "No".to_owned(), version: Some(9), ..silent };
    let error = scene.services.decide_request(&root, &scene.shop.name, third.id, &stale).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert_eq!(scene.decide("root", &third, Deed::Refuse).await.unwrap().state, RequestState::Refused);
}

/// Between asking and deciding somebody gave more than was asked for: approving it must not take that away again.
#[tokio::test]
async fn what_was_asked_as_more_takes_nothing_away() {
    let scene = Scene::new().await;
    let for_good = scene.ask("dave", "pods=12", None).await.unwrap();
    let lent = scene.ask("dave", "pods=14", Some("2026-12-20")).await.unwrap();
    let offered = scene.ask("dave", "pods=30", None).await.unwrap();
    let offer = |wanted: &str| Deed::Offer { resources: amounts(wanted), until: None };
    scene.decide("root", &offered, offer("pods=13")).await.unwrap();
    let root = scene.ctx("root").await;
    let more = Wanted::Own(amounts("pods=20 requests.cpu=4"));
    scene.services.set_tenant_quota(&root, &scene.shop.name, None, &more).await.unwrap();
    for (who, request, deed) in
        [("root", &for_good, Deed::Approve), ("root", &lent, Deed::Approve), ("dave", &offered, Deed::Accept)]
    {
        let late = scene.decide(who, request, deed).await.unwrap_err();
        assert_eq!(places(&late), ["resources[pods] request_overtaken"]);
        assert!(late.message().contains("20 by now"), "{late}");
    }
    assert_eq!((scene.pods().await, scene.stages().await), (three("20", None, "8"), vec![]));
    // Each can still be answered.
    scene.decide("root", &for_good, offer("pods=24")).await.unwrap();
    scene.decide("root", &lent, Deed::Refuse).await.unwrap();
    scene.decide("dave", &for_good, Deed::Accept).await.unwrap();
    assert_eq!(scene.pods().await, three("24", None, "12"));
}

#[tokio::test]
async fn nobody_decides_their_own_request_unless_there_is_nobody_else() {
    let scene = Scene::new().await;
    scene.join("root").await;
    let request = scene.ask("root", "pods=12", None).await.unwrap();
    let own = scene.decide("root", &request, Deed::Approve).await.unwrap_err();
    assert_eq!(own.code(), ErrorCode::Forbidden);
    assert!(own.message().contains("another platform admin"), "{own}");
    let ctx = scene.ctx("root").await;
    scene.services.update_user(&ctx, &"rita".parse().unwrap(), "Rita", Some(PlatformRole::Admin), true).await.unwrap();
    assert_eq!(scene.decide("root", &request, Deed::Approve).await.unwrap().state, RequestState::Approved);
}

#[tokio::test]
async fn a_loan_warns_ends_and_takes_only_what_is_free() {
    let scene = Scene::new().await;
    scene.uses("pods=9");
    // The clock stands at 2026-11-20T08:00.
    let lent = scene.ask("olga", "pods=16", Some("2026-12-10T08:00")).await.unwrap();
    assert_eq!(lent.state, RequestState::Approved);
    assert_eq!(scene.pods().await, three("16", Some("6"), "14"));
    assert_eq!(scene.services.keep_loans().await.unwrap(), 0);
    scene.heard().await;
    let days = |days: u64| scene.world.clock.advance(Duration::from_hours(24 * days));
    days(17);
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);
    assert_eq!(scene.services.keep_loans().await.unwrap(), 0, "warned once");
    assert_eq!(scene.stages().await, [LoanStage::Soon]);
    days(2);
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);

    scene.uses("pods=12");
    days(1);
    // Two of the pods' limit were never shared out, two of the share's are idle: four are given back, two stay overdue.
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);
    assert_eq!(scene.pods().await, three("12", Some("2"), "12"));
    assert_eq!(scene.stages().await, [LoanStage::Overdue]);
    assert_eq!(scene.services.keep_loans().await.unwrap(), 0);
    // While the cluster is away nothing is known to be free.
    scene.uses("pods=5");
    scene.world.cluster.set_down(Some("away"));
    assert_eq!(scene.services.keep_loans().await.unwrap(), 0);
    scene.world.cluster.set_down(None);
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);
    assert_eq!(scene.pods().await, three("10", None, "10"));
    assert_eq!(scene.stages().await, []);
    use EventKind::{LoanEnded, LoanEndsSoon, LoanEndsTomorrow, LoanOverdue};
    assert_eq!(scene.heard().await, [LoanEndsSoon, LoanEndsTomorrow, LoanOverdue, LoanEnded]);
    assert_eq!(scene.world.store.audit().iter().filter(|e| e.action == "loan.return").count(), 2);
}

#[tokio::test]
async fn a_loan_is_kept_for_longer_by_asking_again() {
    let scene = Scene::new().await;
    scene.uses("pods=9");
    let lent = scene.ask("olga", "pods=16", Some("2026-12-10T08:00")).await.unwrap();
    assert_eq!(lent.state, RequestState::Approved);
    scene.uses("pods=14");
    let sooner = scene.ask("olga", "pods=16", Some("2026-12-01")).await.unwrap_err();
    assert_eq!(places(&sooner), ["resources request_same"]);
    // It is no decrease that needs nobody: a rule gave it a moment ago.
    let longer = scene.ask("olga", "pods=16", Some("2026-12-24T08:00")).await.unwrap();
    assert_eq!((longer.state, longer.ask.findings[0].code.as_str()), (RequestState::Open, "request_again"));
    scene.decide("root", &longer, Deed::Approve).await.unwrap();
    assert_eq!(scene.pods().await, three("16", Some("6"), "14"), "no more than before");
    scene.heard().await;
    scene.world.clock.advance(Duration::from_hours(24 * 20));
    assert_eq!(scene.services.keep_loans().await.unwrap(), 0, "it ends later now");
    assert_eq!((scene.stages().await, scene.heard().await), (vec![LoanStage::Running], vec![]));
    scene.uses("pods=5");
    scene.world.clock.advance(Duration::from_hours(24 * 14));
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);
    assert_eq!(scene.pods().await, three("10", None, "10"));
}

#[tokio::test]
async fn a_decrease_can_be_scheduled_below_what_is_shared_out() {
    let scene = Scene::new().await;
    scene.uses("pods=5");
    assert!(scene.ask("olga", "pods=6", None).await.is_err());
    let later = scene.ask("olga", "pods=6", Some("2026-11-30")).await.unwrap();
    assert_eq!((later.state, scene.pods().await), (RequestState::Approved, three("10", Some("4"), "8")));
    scene.world.clock.advance(Duration::from_hours(24 * 11));
    scene.heard().await;
    assert_eq!(scene.services.keep_loans().await.unwrap(), 1);
    assert_eq!(scene.pods().await, three("6", None, "6"));
    assert_eq!(scene.heard().await, [EventKind::LoanEnded], "all of it was free: nothing is overdue");
}

#[tokio::test]
async fn what_is_left_waiting_has_an_end() {
    let scene = Scene::new().await;
    let request = scene.ask("dave", "pods=12", Some("2026-11-21")).await.unwrap();
    scene.world.clock.advance(Duration::from_hours(48));
    let late = scene.decide("root", &request, Deed::Approve).await.unwrap_err();
    assert_eq!(places(&late), ["until request_past"]);
    for n in 0..19 {
        scene.ask("dave", &format!("pods={}", 20 + n), None).await.unwrap();
    }
    let many = scene.ask("dave", "pods=90", None).await.unwrap_err();
    assert_eq!(places(&many), ["resources request_many"]);
}
