//! What the cluster says about an app.

use berth_core::{Result, ports::pages::Fragment, services::apps::Found};
use berth_types::{ListQuery, rows::EventRow, text::printable};
use leptos::prelude::*;

use super::{
    fragment,
    head::{self, Head, Tab},
};
use crate::{
    components::{Icon, ListUrl, Tone, ago, empty, list, pager, sort_header, status},
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Events {
    /// The app and what stands above it.
    pub head: Head,
    /// The rows.
    pub page: berth_types::Page<EventRow>,
    /// What was asked for.
    pub query: ListQuery,
    /// The list's own URL.
    pub url: ListUrl,
}

async fn load(cx: &Cx) -> Result<(Events, Found)> {
    let (head, found) = head::find(cx).await?;
    let query = cx.list_query(&["kind"]);
    let asked = query.clone().filter("app", head.app.name.clone());
    let page = cx.services.list_events(&cx.ctx, head.spot.path(), &asked).await?.page;
    Ok((Events { head, page, query, url: ListUrl::of(cx) }, found))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (model, found) = load(&cx).await?;
    let ui = cx.ui();
    Ok(head::page(ui, &model.head, &found, Tab::Events, view(ui, &model)).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (model, _) = load(&cx).await?;
    let ui = cx.ui();
    let mut all = head::fragments(ui, &model.head);
    all.push(fragment("events-rows", rows(ui, &model)));
    Ok(all)
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, m: &Events) -> AnyView {
    let l = ui.lang;
    view! {
        <section class="card" aria-label=tr::apps::events(l)>
            <header>
                {list::filter_box(l, &m.url, &m.query.q, tr::apps::filter_events(l))}
                <div class="chips">
                    {list::chip(&m.url, "kind", "Warning", tr::apps::warnings(l), None)}
                </div>
            </header>
            <div id="events-rows">{rows(ui, m)}</div>
        </section>
    }
    .into_any()
}

fn rows(ui: Ui, m: &Events) -> AnyView {
    let l = ui.lang;
    if m.page.items.is_empty() {
        return empty(Icon::Network, tr::apps::no_events(l), tr::apps::no_events_hint(l), None).into_any();
    }
    view! {
        {table(ui, &m.page.items, Some((&m.url, &m.query)))}
        {pager(l, &m.url, &m.query, m.page.items.len(), m.page.total)}
    }
    .into_any()
}

/// A table of events; its headings sort where `sort` is given.
#[must_use]
pub fn table(ui: Ui, events: &[EventRow], sort: Option<(&ListUrl, &ListQuery)>) -> AnyView {
    let l = ui.lang;
    let head = |column: &'static str, label: &'static str, numeric: bool| match sort {
        Some((url, query)) => sort_header(url, query, column, label, numeric).into_any(),
        None => view! { <th scope="col" class=if numeric { "num" } else { "" }>{label}</th> }.into_any(),
    };
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let (tone, word) = match &*event.kind {
                "Warning" => (Tone::Warn, tr::apps::warning(l)),
                _ => (Tone::Off, tr::apps::normal(l)),
            };
            let message = printable(&event.message).into_owned();
            view! {
                <tr>
                    <td>{status(tone, word)}</td>
                    <td><b>{event.reason.to_string()}</b></td>
                    <td class="text">{message}</td>
                    <td class="muted mono hide">{event.object.to_string()}</td>
                    <td class="num muted">{event.count}</td>
                    <td class="num muted">{ago(ui, event.last_at)}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <div class="scroll">
            <table class="cards">
                <thead>
                    <tr>
                        {head("kind", tr::apps::kind(l), false)}
                        {head("reason", tr::apps::reason(l), false)}
                        <th scope="col">{tr::apps::message(l)}</th>
                        {head("object", tr::apps::object(l), false)}
                        {head("count", tr::apps::count(l), true)}
                        {head("last", tr::apps::last_seen(l), true)}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
