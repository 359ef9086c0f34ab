//! Requests for another quota: the form that asks, a request with its evidence and what was done, the lists of a tenant and of
//! the platform, and loans.

use berth_core::{
    ports::pages::{Access, Fragment, Language},
    quota::requests::Stood,
};
use berth_types::{
    Quantity,
    quota::request::{LoanStage, QuotaLoan, QuotaRequest, RequestState, Terms},
};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{Button, Column, Tone, card, link_button, on, status, table},
    pages::quotas::words,
    paths,
    router::Entry,
    tr,
    ui::Ui,
};

mod ask;
mod lists;
mod one;
mod today;

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/quota/requests", Access::Tenant, |cx| lists::page(cx).boxed())
        .live(|cx| lists::live(cx).boxed()),
    Entry::page("/t/{tenant}/quota/requests/new", Access::Tenant, |cx| ask::page(cx, None).boxed())
        .form(|cx| ask::send(cx).boxed()),
    Entry::page("/t/{tenant}/quota/requests/{request}", Access::Tenant, |cx| one::page(cx, None).boxed())
        .form(|cx| one::decide(cx).boxed())
        .live(|cx| one::live(cx).boxed()),
    Entry::page(paths::ADMIN_REQUESTS, Access::Platform, |cx| lists::page(cx).boxed())
        .live(|cx| lists::live(cx).boxed()),
];

/// A part of a page that moves.
fn fragment(id: &str, view: AnyView) -> Fragment {
    Fragment { id: id.to_owned(), html: view.to_html() }
}

/// Tone and word of a state.
#[must_use]
pub fn state_word(l: Language, state: RequestState) -> (Tone, &'static str) {
    match state {
        RequestState::Open => (Tone::Info, tr::requests::state_open(l)),
        RequestState::Offered => (Tone::Warn, tr::requests::state_offered(l)),
        RequestState::Approved => (Tone::Ok, tr::requests::state_approved(l)),
        RequestState::Refused => (Tone::Bad, tr::requests::state_refused(l)),
        RequestState::Withdrawn => (Tone::Off, tr::requests::state_withdrawn(l)),
    }
}

fn amount(key: &berth_types::QuotaKey, amount: Quantity) -> String {
    words::amount(key.as_str(), &key.write(amount))
}

/// `CPU requests 12 · Pods 60`.
#[must_use]
pub fn terms_text(l: Language, terms: &Terms) -> String {
    let parts = terms.resources.iter().map(|(key, n)| format!("{} {}", words::label(l, key.as_str()), amount(key, n)));
    parts.collect::<Vec<_>>().join(" · ")
}

/// What is asked, of how much there was: `CPU requests 8 → 12`. What is wanted for good is apart from what is lent.
#[must_use]
pub fn asked_text(l: Language, request: &QuotaRequest) -> String {
    let lends = request.ask.terms.until.is_some();
    let parts = request.ask.terms.resources.iter().map(|(key, wanted)| {
        let row = request.ask.evidence.resources.iter().find(|row| row.resource == key.as_str());
        let stood = row.and_then(Stood::of).map(|stood| if lends { stood.whole } else { stood.base });
        let was = stood.map(|was| amount(key, was)).unwrap_or_default();
        format!("{} {was} → {}", words::label(l, key.as_str()), amount(key, wanted))
    });
    parts.collect::<Vec<_>>().join(" · ")
}

/// Until when, or for good.
#[must_use]
pub fn until(ui: Ui, terms: &Terms) -> AnyView {
    match terms.until {
        Some(end) => view! { {tr::requests::until_word(ui.lang)} " " {on(end)} }.into_any(),
        None => tr::requests::for_good(ui.lang).into_any(),
    }
}

/// What the quota page shows of requests and loans.
#[must_use]
pub fn on_quota_page(
    ui: Ui,
    tenant: &berth_types::TenantName,
    open: &[QuotaRequest],
    loans: &[(String, QuotaLoan)],
    may_ask: bool,
) -> AnyView {
    let l = ui.lang;
    let ask = may_ask
        .then(|| link_button(Button::Plain, None, tr::requests::ask(l), paths::quota_request_new(tenant)).into_any());
    let rows: Vec<_> = open.iter().map(|request| lists::row(ui, request, false)).collect();
    let body = if rows.is_empty() {
        view! { <p class="in muted">{tr::requests::none_open(l)}</p> }.into_any()
    } else {
        table(lists::columns(l, false), None, rows)
    };
    let all = view! { <a class="btn quiet" href=paths::quota_requests(tenant)>{tr::requests::all(l)}</a> };
    let requests = card(tr::requests::requests(l), Some(view! { {ask} {all} }.into_any()), body);
    let lent = (!loans.is_empty()).then(|| {
        let rows: Vec<_> = loans.iter().map(|(cluster, loan)| loan_row(ui, tenant, cluster, loan, may_ask)).collect();
        let columns = [
            Column::text(tr::requests::lent(l)),
            Column::text(tr::common::namespace(l)),
            Column::text(tr::requests::ends(l)),
            Column::text(tr::common::status(l)),
            Column::actions(l),
        ];
        card(tr::requests::loans(l), None, table(columns, None, rows))
    });
    view! { {lent} {requests} }.into_any()
}

fn loan_row(ui: Ui, tenant: &berth_types::TenantName, cluster: &str, loan: &QuotaLoan, may_ask: bool) -> AnyView {
    let l = ui.lang;
    let terms = Terms { resources: loan.resources.clone(), until: None };
    // The stage as it is now: what is kept is as old as the last look.
    let now = berth_core::quota::requests::stage(loan.ends_at, ui.now);
    let (tone, word) = match now {
        LoanStage::Running | LoanStage::Ended => (Tone::Ok, tr::requests::loan_running(l)),
        LoanStage::Soon => (Tone::Warn, tr::requests::loan_soon(l)),
        LoanStage::Tomorrow => (Tone::Warn, tr::requests::loan_tomorrow(l)),
        LoanStage::Overdue => (Tone::Bad, tr::requests::loan_overdue(l)),
    };
    let what =
        (now == LoanStage::Overdue).then(|| view! { <p class="small muted">{tr::requests::loan_overdue_what(l)}</p> });
    let place = loan.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    let longer = may_ask.then(|| {
        let id = loan.request.to_string();
        let href = paths::with_query(&paths::quota_request_new(tenant), [("cluster", cluster), ("loan", &id)]);
        view! { <a class="btn sm" href=href>{tr::requests::longer(l)}</a> }
    });
    view! {
        <tr>
            <td>
                <a class="name" href=paths::quota_request(tenant, loan.request)>{terms_text(l, &terms)}</a>
                " "
                <span class="muted small">{cluster.to_owned()}</span>
            </td>
            <td>{place}</td>
            <td>{on(loan.ends_at)}</td>
            <td>{status(tone, word)}{what}</td>
            <td class="act">{longer}</td>
        </tr>
    }
    .into_any()
}
