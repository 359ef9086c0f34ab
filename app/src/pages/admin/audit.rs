//! The audit log: who did what, when, and what was refused.

use berth_core::{Result, ports::pages::Language};
use berth_types::people::AuditEntry;
use leptos::prelude::*;

use crate::{
    components::{Column, Icon, List, ListUrl, Tone, empty, exactly, list::chip, status, table},
    request::{AdminNav, Answer, Cx, Page, Place},
    tr,
    ui::Ui,
};

pub async fn list(cx: Cx) -> Result<Answer> {
    let query = cx.list_query(&["actor", "action", "tenant", "outcome"], "");
    let rows = cx.services.list_audit(&cx.ctx, &query).await?;
    let view = view(cx.ui(), List::of(&cx, query, rows));
    Ok(Page::new(tr::common::audit(cx.lang()), Place::Admin(AdminNav::Audit), view).into())
}

/// The log.
pub fn view(ui: Ui, list: List<AuditEntry>) -> impl IntoView + 'static {
    let l = ui.lang;
    let outcomes = ["done", "denied", "failed", "unknown"].map(|outcome| (outcome, judged(l, outcome).1));
    let outcomes: Vec<_> =
        outcomes.into_iter().map(|(value, label)| chip(&list.url, "outcome", value, label, None)).collect();
    // Filters that were set by clicking a value; each can be taken off.
    let clicked = list.chosen(&["actor", "action", "tenant"]);
    let columns = [
        Column::text(tr::shell::when(l)),
        Column::text(tr::shell::who(l)),
        Column::text(tr::shell::what(l)),
        Column::text(tr::shell::target(l)),
        Column::text(tr::shell::outcome(l)),
        Column::text(tr::shell::network(l)),
    ];
    let body = if list.page.items.is_empty() {
        list.empty(l, || empty(Icon::Journal, tr::shell::no_entries(l), tr::shell::no_entries_hint(l), None).into_any())
    } else {
        let rows: Vec<_> = list.page.items.iter().map(|entry| row(ui, &list.url, entry)).collect();
        view! { {table(columns, None, rows)} {list.pager(l)} }.into_any()
    };
    let chips = view! { {outcomes} {clicked} }.into_any();
    view! {
        <div class="head"><h1>{tr::common::audit(l)}</h1><p>{tr::shell::audit_what(l)}</p></div>
        {list.card(l, "audit", (tr::common::audit(l), tr::shell::filter_target(l)), chips, body)}
    }
}

/// An outcome in words.
fn judged(l: Language, outcome: &str) -> (Tone, &'static str) {
    match outcome {
        "done" => (Tone::Ok, tr::shell::done(l)),
        "denied" => (Tone::Warn, tr::shell::denied(l)),
        "unknown" => (Tone::Warn, tr::shell::unknown(l)),
        _ => (Tone::Bad, tr::shell::failed(l)),
    }
}

fn row(ui: Ui, url: &ListUrl, e: &AuditEntry) -> AnyView {
    let l = ui.lang;
    let (tone, word) = judged(l, &e.outcome);
    let reason = e.reason.clone().map(|r| view! { " " <span class="muted small">{r}</span> });
    let detail = e.detail.as_ref().map(ToString::to_string);
    let actor = if e.actor.is_empty() { "–".to_owned() } else { e.actor.clone() };
    view! {
        <tr>
            <td class="muted">{exactly(e.at)}</td>
            <td><a href=url.toggle("actor", &e.actor)>{actor}</a>" "<span class="muted small">{e.via.clone()}</span></td>
            <td class="mono"><a href=url.toggle("action", &e.action)>{e.action.clone()}</a></td>
            <td class="fill mono" title=detail>{e.target.clone()}</td>
            <td>{status(tone, word)}{reason}</td>
            <td class="muted mono hide" title=e.request_id.clone()>{e.network.clone()}</td>
        </tr>
    }
    .into_any()
}
