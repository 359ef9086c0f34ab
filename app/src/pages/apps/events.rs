//! What the cluster says about an app.

use berth_core::{Result, ports::pages::Fragment, services::apps::Found};
use berth_types::{rows::EventRow, text::printable};
use leptos::prelude::*;

use super::{
    fragment,
    head::{self, Head, Tab},
};
use crate::{
    components::{Column, Icon, List, Tone, ago, empty, status, table},
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

async fn load(cx: &Cx) -> Result<(Head, List<EventRow>, Found)> {
    let (head, found) = head::find(cx).await?;
    let query = cx.list_query(&["kind"], "-last");
    let asked = query.clone().filter("app", head.app.name.clone());
    let listed = cx.services.list_events(&cx.ctx, head.spot.path(), &asked).await?;
    Ok((head, List::of(cx, query, listed.page).read(&listed.freshness), found))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (head, list, found) = load(&cx).await?;
    let ui = cx.ui();
    Ok(head::page(ui, &head, &found, Tab::Events, view(ui, &list)).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (head, list, _) = load(&cx).await?;
    let ui = cx.ui();
    let mut all = head::fragments(ui, &head);
    all.push(fragment("events-chips", kinds(ui, &list)));
    all.push(fragment("events-rows", rows(ui, &list)));
    Ok(all)
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, list: &List<EventRow>) -> AnyView {
    let l = ui.lang;
    list.card(l, "events", (tr::apps::events(l), tr::apps::filter_events(l)), kinds(ui, list), rows(ui, list))
}

fn kinds(ui: Ui, list: &List<EventRow>) -> AnyView {
    list.chips("kind", &["Warning", "Normal"], |kind| (kind, kind_of(ui, kind).1))
}

/// Tone and word of an event's kind.
fn kind_of(ui: Ui, kind: &str) -> (Tone, &'static str) {
    match kind {
        "Warning" => (Tone::Warn, tr::apps::warning(ui.lang)),
        _ => (Tone::Off, tr::apps::normal(ui.lang)),
    }
}

fn rows(ui: Ui, list: &List<EventRow>) -> AnyView {
    let l = ui.lang;
    if list.page.items.is_empty() {
        return list
            .empty(l, || empty(Icon::Network, tr::apps::no_events(l), tr::apps::no_events_hint(l), None).into_any());
    }
    let rows: Vec<_> = list.page.items.iter().map(|event| row(ui, event, true)).collect();
    view! { {table(columns(ui, true), list.sort(), rows)} {list.pager(l)} }.into_any()
}

fn columns(ui: Ui, with_object: bool) -> impl Iterator<Item = Column> {
    let l = ui.lang;
    [
        Some(Column::text(tr::apps::kind(l)).by("kind")),
        Some(Column::text(tr::apps::reason(l)).by("reason")),
        Some(Column::text(tr::apps::message(l))),
        with_object.then(|| Column::text(tr::apps::object(l)).by("object")),
        Some(Column::number(tr::apps::count(l)).by("count")),
        Some(Column::number(tr::apps::last_seen(l)).by("last")),
    ]
    .into_iter()
    .flatten()
}

fn row(ui: Ui, event: &EventRow, with_object: bool) -> impl IntoView + use<> {
    let (tone, word) = kind_of(ui, &event.kind);
    let message = printable(&event.message).into_owned();
    let object = with_object.then(|| view! { <td class="muted mono hide">{event.object.clone()}</td> });
    view! {
        <tr>
            <td>{status(tone, word)}</td>
            <td><b>{event.reason.clone()}</b></td>
            <td class="wrap">{message}</td>
            {object}
            <td class="num muted">{event.count}</td>
            <td class="num muted">{ago(ui, event.last_at)}</td>
        </tr>
    }
}

/// The events of one object, beside other things about it.
#[must_use]
pub fn of_one(ui: Ui, events: &[EventRow]) -> AnyView {
    let l = ui.lang;
    if events.is_empty() {
        return empty(Icon::Network, tr::apps::no_events(l), tr::apps::no_events_hint(l), None).into_any();
    }
    table(columns(ui, false), None, events.iter().map(|event| row(ui, event, false)).collect::<Vec<_>>())
}
