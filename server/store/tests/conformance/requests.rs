//! Requests and loans, and many who decide at once.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, TenantRef},
    ports::store::Store,
    quota::{Book, Change, Limit, RESOURCES, requests::Granting},
};
use berth_types::{
    ClusterId, ErrorCode, FieldError, Quantity, QuotaKey, Resources,
    quota::{
        ContainerDefaults, Plan,
        request::{LoanStage, QuotaAsk, QuotaEvidence, QuotaRequest, RequestMove, RequestState, RequestStep, Terms},
    },
    webhook::EventKind,
};

use crate::fixture::{add_tenant, add_users, at, id, namespace, platform, refused};

fn amounts(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    Resources::read(RESOURCES, &pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()).unwrap()
}

fn terms(text: &str, until: Option<i64>) -> Terms {
    Terms { resources: amounts(text), until: until.map(at) }
}

fn step(what: RequestMove, by: &str, terms: Option<Terms>) -> RequestStep {
    RequestStep { at: at(1), by: by.to_owned(), what, comment: format!("{by} says “{what}”"), terms }
}

fn open(number: u128, wanted: Terms) -> QuotaRequest {
    QuotaRequest {
        id: id(number),
        tenant: "shop".parse().unwrap(),
        cluster: ClusterId::local(),
        state: RequestState::Open,
        ask: QuotaAsk {
            by: "ann".parse().unwrap(),
            terms: wanted,
            reason: "The sale".to_owned(),
            namespace: Some("dev".parse().unwrap()),
            evidence: QuotaEvidence {
                as_of: Some(at(0)),
                plan: None,
                resources: Vec::new(),
                lacking: amounts("pods=2"),
                usage: Vec::new(),
                usage_hours: 0,
            },
            findings: vec![FieldError::new("resources", "request_role", "no").param("key", "pods")],
        },
        steps: vec![step(RequestMove::Ask, "ann", None)],
        created_at: at(i64::try_from(number).unwrap()),
        version: 1,
    }
}

/// The request after a step.
fn after(request: &QuotaRequest, state: RequestState, step: RequestStep) -> QuotaRequest {
    let mut next = request.clone();
    next.state = state;
    next.version += 1;
    next.steps.push(step);
    next
}

fn approved(request: &QuotaRequest) -> (QuotaRequest, Granting) {
    let terms = request.ask.terms.clone();
    let next = after(request, RequestState::Approved, step(RequestMove::Approve, "root", Some(terms.clone())));
    (
        next,
        Granting {
            request: request.id,
            namespace: request.ask.namespace.clone(),
            terms,
            judged: None,
            stood: Vec::new(),
        },
    )
}

fn own(text: &str) -> Change {
    let resources = amounts(text);
    Change::Limit(Some(Limit { plan: None, origin: None, resources, defaults: ContainerDefaults::default() }))
}

fn share(text: &str) -> Change {
    Change::Share("dev".parse().unwrap(), Some(amounts(text)))
}

/// Tenant `shop` with namespaces `dev` and `prod`, limited to 10 pods.
async fn shop(store: &dyn Store) -> Grant<TenantRef> {
    add_users(store, &["ann"]).await;
    let shop = add_tenant(store, 10, "shop", id(1)).await;
    for (number, name) in [(20, "prod"), (21, "dev")] {
        store.create_namespace(&shop, &namespace(number, "shop", name)).await.unwrap();
    }
    store.change_book(&shop, &ClusterId::local(), &own("pods=10"), at(1)).await.unwrap();
    shop
}

async fn book(store: &dyn Store, tenant: &TenantRef) -> Book {
    store.list_books(tenant).await.unwrap().remove(0)
}

fn pods() -> QuotaKey {
    "pods".parse().unwrap()
}

fn units(n: i64) -> Option<Quantity> {
    Some(Quantity::units(n))
}

pub async fn requests_and_what_is_done_to_them(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let bank = add_tenant(&*store, 11, "bank", id(1)).await;
    let (first, second) = (open(40, terms("pods=12", Some(90))), open(41, terms("pods=11", None)));
    for request in [&first, &second] {
        assert_eq!(store.create_request(&shop, request, None).await.unwrap(), None);
    }
    assert_eq!(store.list_requests(&shop).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.list_all_requests(&platform()).await.unwrap().len(), 2);
    assert_eq!(store.count_open_requests(&platform()).await.unwrap(), 2);
    assert_eq!(store.find_request(&shop, first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.find_request(&bank, first.id).await.unwrap(), None, "of another tenant");
    assert_eq!(store.list_requests(&bank).await.unwrap(), []);

    let offer = step(RequestMove::Offer, "root", Some(terms("pods=11", None)));
    let offered = after(&first, RequestState::Offered, offer);
    store.step_request(&shop, &offered, None, at(2)).await.unwrap();
    assert_eq!(store.find_request(&shop, first.id).await.unwrap(), Some(offered.clone()));
    assert_eq!(store.count_open_requests(&platform()).await.unwrap(), 1, "an offer waits for who asked");
    refused(store.step_request(&shop, &offered, None, at(2)).await, ErrorCode::Conflict);
    let withdrawn = after(&offered, RequestState::Withdrawn, step(RequestMove::Withdraw, "ann", None));
    refused(store.step_request(&bank, &withdrawn, None, at(2)).await, ErrorCode::Conflict);
    store.step_request(&shop, &withdrawn, None, at(2)).await.unwrap();
    let again = after(&withdrawn, RequestState::Approved, step(RequestMove::Approve, "root", None));
    refused(store.step_request(&shop, &again, None, at(2)).await, ErrorCode::Conflict);
    assert_eq!(store.find_request(&shop, first.id).await.unwrap(), Some(withdrawn), "what is decided stays");
}

pub async fn what_is_granted_comes_with_the_decision(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let small = Plan {
        id: id(30),
        name: "small".parse().unwrap(),
        display_name: "Small".to_owned(),
        resources: amounts("pods=10"),
        defaults: ContainerDefaults { cpu_request: "50m".to_owned(), ..ContainerDefaults::default() },
        created_at: at(0),
        version: 1,
    };
    store.create_plan(&platform(), &small).await.unwrap();
    let by_plan = Limit {
        plan: Some(small.name.clone()),
        origin: None,
        resources: amounts(""),
        defaults: small.defaults.clone(),
    };
    store.change_book(&shop, &ClusterId::local(), &Change::Limit(Some(by_plan)), at(1)).await.unwrap();
    let request = open(40, terms("pods=14", None));
    store.create_request(&shop, &request, None).await.unwrap();
    let (next, granting) = approved(&request);
    let changed = store.step_request(&shop, &next, Some(&granting), at(2)).await.unwrap().unwrap();
    assert_eq!((changed.before.limit_of(&pods()), changed.after.limit_of(&pods())), (units(10), units(14)));
    let now = book(&*store, &shop).await;
    assert_eq!(now, changed.after);
    assert_eq!(now.shared(&pods()), units(4), "dev's share grew by as much");
    let limit = now.limit.unwrap();
    assert_eq!((limit.plan, limit.origin, limit.defaults), (None, Some(small.name.clone()), small.defaults));
    store.delete_plan(&platform(), &small.name).await.unwrap();

    // What the ledger does not take changes neither: nor does what a rule decided by other limits.
    let less = open(41, terms("pods=3", None));
    store.create_request(&shop, &less, None).await.unwrap();
    let (next, mut granting) = approved(&less);
    refused(store.step_request(&shop, &next, Some(&granting), at(2)).await, ErrorCode::Invalid);
    granting.terms = terms("pods=20", None);
    granting.judged = Some(amounts("pods=10"));
    refused(store.step_request(&shop, &next, Some(&granting), at(2)).await, ErrorCode::Conflict);
    refused(store.create_request(&shop, &open(42, terms("pods=20", None)), Some(&granting)).await, ErrorCode::Conflict);
    assert_eq!(store.find_request(&shop, less.id).await.unwrap(), Some(less));
    assert_eq!(store.list_requests(&shop).await.unwrap().len(), 2);
    granting.judged = Some(amounts("pods=14"));
    let at_once = QuotaRequest { state: RequestState::Approved, ..open(43, granting.terms.clone()) };
    granting.request = at_once.id;
    store.create_request(&shop, &at_once, Some(&granting)).await.unwrap();
    assert_eq!(book(&*store, &shop).await.limit_of(&pods()), units(20));
}

pub async fn loans_end_once(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let request = open(40, terms("pods=16", Some(90)));
    store.create_request(&shop, &request, None).await.unwrap();
    let (next, granting) = approved(&request);
    store.step_request(&shop, &next, Some(&granting), at(2)).await.unwrap();
    let lent = book(&*store, &shop).await;
    let loan = &lent.loans[0];
    assert_eq!((loan.ends_at, loan.stage, &loan.resources), (at(90), LoanStage::Running, &amounts("pods=6")));
    assert_eq!((lent.limit_of(&pods()), lent.base_of(&pods()), lent.shared(&pods())), (units(16), units(10), units(6)));
    assert_eq!(store.list_all_books(&platform()).await.unwrap()[0].loans, lent.loans);

    let note = async |stage| store.note_loan(&platform(), request.id, stage, at(0)).await.unwrap();
    assert!(note(LoanStage::Soon).await && !note(LoanStage::Soon).await, "once");
    assert!(note(LoanStage::Overdue).await && !note(LoanStage::Tomorrow).await, "never back");
    let cluster = ClusterId::local();
    store.change_book(&shop, &cluster, &share("pods=6"), at(3)).await.unwrap();
    let more = store.change_book(&shop, &cluster, &share("pods=11"), at(3)).await;
    refused(more, ErrorCode::Invalid);
    let give = async |used: &str| store.give_back(&shop, &cluster, request.id, &amounts(used), at(4)).await.unwrap();
    // Six are shared out of sixteen: all six that were lent are free.
    let changed = give("pods=6").await;
    assert_eq!(changed.after.limit_of(&pods()), units(10));
    let now = book(&*store, &shop).await;
    assert_eq!((now.loans.len(), now.limit_of(&pods()), now.shared(&pods())), (0, units(10), units(6)));
    assert_eq!(give("").await.after, now, "what is given back is given back once");
    assert!(!note(LoanStage::Overdue).await);

    // What is not free when it ends is overdue from then on, which is told once.
    let request = open(41, terms("pods=16", Some(95)));
    store.create_request(&shop, &request, None).await.unwrap();
    let (next, granting) = approved(&request);
    store.step_request(&shop, &next, Some(&granting), at(5)).await.unwrap();
    store.change_book(&shop, &cluster, &share("pods=14"), at(5)).await.unwrap();
    for used in ["pods=14", "pods=13"] {
        store.give_back(&shop, &cluster, request.id, &amounts(used), at(96)).await.unwrap();
        assert_eq!(book(&*store, &shop).await.loans[0].stage, LoanStage::Overdue, "{used} in use");
    }
    store.give_back(&shop, &cluster, request.id, &amounts("pods=1"), at(97)).await.unwrap();
    let told = store.waiting_notices(&platform(), 100).await.unwrap().into_iter().map(|waiting| waiting.notice);
    let told: Vec<EventKind> = told
        .filter(|n| n.data.request == Some(request.id) && n.event.as_str().starts_with("loan."))
        .map(|n| n.event)
        .collect();
    assert_eq!(told, [EventKind::LoanOverdue, EventKind::LoanEnded]);
}

pub async fn loans_are_kept_for_longer(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    for (number, wanted, end) in [(40, "pods=16", 90), (41, "pods=14", 95), (42, "pods=16", 95)] {
        let request = open(number, terms(wanted, Some(end)));
        store.create_request(&shop, &request, None).await.unwrap();
        let (next, granting) = approved(&request);
        store.step_request(&shop, &next, Some(&granting), at(2)).await.unwrap();
        let now = book(&*store, &shop).await;
        assert_eq!((now.limit_of(&pods()), now.shared(&pods())), (units(16), units(6)), "no more than before");
        let loans: Vec<_> =
            now.loans.iter().map(|loan| (loan.request, loan.resources.of(&pods()).as_units())).collect();
        let want = match number {
            40 => vec![(id(40), 6)],
            41 => vec![(id(40), 2), (id(41), 4)],
            _ => vec![(id(41), 4), (id(42), 2)],
        };
        assert_eq!(loans, want);
    }
    let note = store.note_loan(&platform(), id(40), LoanStage::Overdue, at(91)).await.unwrap();
    assert!(!note, "it is over, and nothing is told of it");
}

/// Several admins decide several requests, all at once, while the tenant shares its quota out: each request is decided once, what
/// was granted stands in the ledger, and the sum never passes it.
pub async fn deciders_at_once(store: Arc<dyn Store>) {
    let shop = shop(&*store).await;
    let cluster = ClusterId::local();
    for round in 0..5_u128 {
        store.change_book(&shop, &cluster, &share("pods=0"), at(1)).await.unwrap();
        store.change_book(&shop, &cluster, &own("pods=10"), at(1)).await.unwrap();
        let loans: Vec<QuotaRequest> = (0..4).map(|n| open(100 + round * 10 + n, terms("pods=14", Some(90)))).collect();
        for request in &loans {
            store.create_request(&shop, request, None).await.unwrap();
        }
        let mut tasks = Vec::new();
        for request in loans.iter().flat_map(|request| std::iter::repeat_n(request, 5)) {
            let (store, shop, (next, granting)) = (store.clone(), shop.clone(), approved(request));
            tasks.push(tokio::spawn(async move {
                store.step_request(&shop, &next, Some(&granting), at(2)).await.map(drop)
            }));
        }
        for n in 0..10 {
            let (store, shop, cluster) = (store.clone(), shop.clone(), cluster.clone());
            let change = if n % 2 == 0 { share("pods=13") } else { own("pods=9") };
            tasks.push(tokio::spawn(async move { store.change_book(&shop, &cluster, &change, at(2)).await.map(drop) }));
        }
        let mut answers = futures::future::join_all(tasks).await;
        let of_book = answers.split_off(20);
        let mut decided = 0;
        for answer in answers {
            match answer.expect("no panic") {
                Ok(()) => decided += 1,
                Err(e) => assert_eq!(e.code(), ErrorCode::Conflict, "{e}"),
            }
        }
        assert_eq!(decided, loans.len(), "each once, in round {round}");
        for answer in of_book {
            if let Err(e) = answer.expect("no panic") {
                assert_eq!(e.code(), ErrorCode::Invalid, "{e}");
            }
        }
        let now = book(&*store, &shop).await;
        assert_eq!(now.lacks(), [], "round {round}");
        // All four asked for 14 in all: who came first got what was lacking, and once the limit was lowered, the next the rest.
        let whole = now.limit_of(&pods()).unwrap();
        assert!(whole <= Quantity::units(14), "round {round}: {whole}");
        for request in &loans {
            store.change_book(&shop, &cluster, &share("pods=0"), at(3)).await.unwrap();
            store.give_back(&shop, &cluster, request.id, &Resources::default(), at(3)).await.unwrap();
        }
        assert_eq!(book(&*store, &shop).await.loans, []);
    }
}
