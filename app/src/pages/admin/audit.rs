//! The audit log: who did what, when, and what was refused.

use berth_core::Result;
use berth_types::{ListQuery, Page as Rows, people::AuditEntry};
use leptos::prelude::*;

use crate::{
    components::{
        Icon, ListUrl, Tone, empty,
        list::{chip, filter_box, pager},
        on, status,
    },
    request::{AdminNav, Answer, Cx, Page, Place},
    tr,
    ui::Ui,
};

pub async fn list(cx: Cx) -> Result<Answer> {
    let query = cx.list_query(&["actor", "action", "tenant", "outcome"]);
    let rows = cx.services.list_audit(&cx.ctx, &query).await?;
    let view = view(cx.ui(), ListUrl::of(&cx), query, rows);
    Ok(Page::new(tr::common::audit(cx.lang()), Place::Admin(AdminNav::Audit), view).into())
}

/// Filters that were set by clicking a value; each can be taken off.
fn set_filters(url: &ListUrl, query: &ListQuery) -> Vec<AnyView> {
    let clicked = ["actor", "action", "tenant"];
    clicked
        .into_iter()
        .flat_map(|key| query.filters.get(key).into_iter().flatten().map(move |value| (key, value)))
        .map(|(key, value)| chip(url, key, value, format!("{value} ✕"), None))
        .collect()
}

/// The log.
pub fn view(ui: Ui, url: ListUrl, query: ListQuery, page: Rows<AuditEntry>) -> impl IntoView + 'static {
    let l = ui.lang;
    let shown = page.items.len();
    let rows: Vec<_> = page.items.into_iter().map(|e| row(ui, &url, e)).collect();
    let outcomes = [("done", tr::shell::done(l)), ("denied", tr::shell::denied(l)), ("failed", tr::shell::failed(l))];
    let outcomes: Vec<_> =
        outcomes.into_iter().map(|(value, label)| chip(&url, "outcome", value, label, None)).collect();
    let body = if shown == 0 {
        empty(Icon::Journal, tr::shell::no_entries(l), tr::shell::no_entries_hint(l), None).into_any()
    } else {
        view! {
            <div class="scroll">
                <table class="cards">
                    <thead>
                        <tr>
                            <th scope="col">{tr::shell::when(l)}</th>
                            <th scope="col">{tr::shell::who(l)}</th>
                            <th scope="col">{tr::shell::what(l)}</th>
                            <th scope="col">{tr::shell::target(l)}</th>
                            <th scope="col">{tr::shell::outcome(l)}</th>
                            <th scope="col">{tr::shell::network(l)}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <div class="head"><h1>{tr::common::audit(l)}</h1><p>{tr::shell::audit_what(l)}</p></div>
        <section class="card" aria-label=tr::common::audit(l)>
            <header>
                {filter_box(l, &url, &query.q, tr::shell::filter_target(l))}
                <div class="chips">{outcomes}{set_filters(&url, &query)}</div>
            </header>
            {body}
            {pager(l, &url, &query, shown, page.total)}
        </section>
    }
}

fn row(ui: Ui, url: &ListUrl, e: AuditEntry) -> AnyView {
    let l = ui.lang;
    let (tone, word) = match e.outcome.as_str() {
        "done" => (Tone::Ok, tr::shell::done(l)),
        "denied" => (Tone::Warn, tr::shell::denied(l)),
        _ => (Tone::Bad, tr::shell::failed(l)),
    };
    let reason = e.reason.map(|r| view! { " " <span class="muted small">{r}</span> });
    let detail = e.detail.map(|d| d.to_string()).unwrap_or_default();
    let actor = if e.actor.is_empty() { "–".to_owned() } else { e.actor.clone() };
    view! {
        <tr>
            <td class="muted">{on(e.at)}</td>
            <td><a href=url.toggle("actor", &e.actor)>{actor}</a>" "<span class="muted small">{e.via}</span></td>
            <td class="mono"><a href=url.toggle("action", &e.action)>{e.action.clone()}</a></td>
            <td class="fill mono" title=detail>{e.target}</td>
            <td>{status(tone, word)}{reason}</td>
            <td class="muted mono hide" title=e.request_id>{e.network}</td>
        </tr>
    }
    .into_any()
}
