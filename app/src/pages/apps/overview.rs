//! An app at a glance: is it well, why not, what can be done.

use std::{pin::pin, time::Duration};

use berth_core::{Result, ports::pages::Fragment, services::apps::Found};
use berth_types::{
    AppSpec, ListQuery,
    rows::{EventRow, LogLine, PodRow, RevisionRow},
    text::printable,
};
use futures::future::{Either, select};
use leptos::prelude::*;

use super::{
    finding, fragment,
    head::{self, Head, Tab},
    history::{self, Moment, Tone, What},
    logs, pods, words,
};
use crate::{
    components::{Button, Icon, ago, card, icon, link_button, note, timeline},
    paths,
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

/// Most pods that are shown here; the pods' own page has all.
const MOST_PODS: usize = 10;
/// Last lines that are shown here.
const LOG_LINES: i64 = 12;
/// So long the page waits for them.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The app and what stands above it.
    pub head: Head,
    /// Pods, those that need help first.
    pub pods: Vec<PodRow>,
    /// How many there are.
    pub pods_total: usize,
    /// What the cluster says.
    pub events: Vec<EventRow>,
    /// What was wanted, newest first; `None` when the cluster does not answer.
    pub revisions: Option<Vec<RevisionRow>>,
}

async fn load(cx: &Cx) -> Result<(Overview, Found)> {
    let (head, found) = head::find(cx).await?;
    let of_app = |limit, sort: &str| {
        ListQuery { limit, sort: ListQuery::parse_sort(sort), ..ListQuery::default() }
            .filter("app", head.app.name.clone())
    };
    let path = head.spot.path();
    let app = cx.app()?;
    let pods = cx.services.list_pods(&cx.ctx, path, &of_app(MOST_PODS, "phase,name")).await?.page;
    let events = cx.services.list_events(&cx.ctx, path, &of_app(50, "-last")).await?.page.items;
    // A page about what is wrong does not fail with what it tells of.
    let revisions = cx.services.app_revisions(&cx.ctx, head.spot.app(&app)).await.ok();
    Ok((Overview { head, pods: pods.items, pods_total: pods.total, events, revisions }, found))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (model, found) = load(&cx).await?;
    let log = last_lines(&cx, &model).await;
    let ui = cx.ui();
    let body = view(ui, &model, &log);
    Ok(head::page(ui, &model.head, &found, Tab::Overview, body).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (model, _) = load(&cx).await?;
    let ui = cx.ui();
    let mut all = head::fragments(ui, &model.head);
    all.push(fragment("app-finding", remarks(ui, &model)));
    all.push(fragment("app-pods", pods_body(ui, &model)));
    // Lines come by a stream of their own; only whose they are is told here.
    all.push(fragment("app-lines", log_card(ui, &model, Some(&[]))));
    all.push(fragment("app-history", moments(ui, &model)));
    all.push(fragment("app-addresses", addresses(ui, &model)));
    Ok(all)
}

/// The last lines of the pod that needs help most: one call, however many pods there are.
async fn last_lines(cx: &Cx, model: &Overview) -> Option<Vec<LogLine>> {
    let pod = model.pods.first().filter(|_| model.head.may.logs)?;
    let query = berth_core::ports::cluster::LogQuery {
        app: Some(model.head.app.name.clone()),
        pod: Some(pod.name.to_string()),
        tail: Some(LOG_LINES),
        ..Default::default()
    };
    let lines = pin!(logs::collect(cx, &model.head.spot, &query, usize::try_from(LOG_LINES).unwrap_or(12)));
    // A node that is slow to tell does not hold up the page; where the browser can, lines come by themselves.
    let waited = pin!(cx.ctx.clock.sleep(LOG_PATIENCE));
    match select(lines, waited).await {
        Either::Left((lines, _)) => lines.ok(),
        Either::Right(_) => None,
    }
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, m: &Overview, log: &Option<Vec<LogLine>>) -> AnyView {
    let l = ui.lang;
    let name = &m.head.app.name;
    let to = |tab: &'static str, label: &'static str, symbol: Icon| {
        link_button(Button::Quiet, Some(symbol), label, m.head.spot.tab_url(name, tab)).into_any()
    };
    view! {
        <div id="app-finding" class="stack">{remarks(ui, m)}</div>
        <div class="cols">
            <div class="stack">
                <section class="card" aria-label=tr::apps::pods(l)>
                    <header>
                        <h2>{tr::apps::pods(l)}</h2>
                        <div class="do">{to("pods", tr::apps::all(l), Icon::Right)}</div>
                    </header>
                    <div id="app-pods">{pods_body(ui, m)}</div>
                </section>
                <div id="app-lines">{log_card(ui, m, log.as_deref())}</div>
            </div>
            <aside class="stack">
                <section class="card">
                    <header>
                        <h2>{tr::apps::what_happened(l)}</h2>
                        <div class="do">{to("events", tr::apps::all(l), Icon::Right)}</div>
                    </header>
                    <div class="in" id="app-history">{moments(ui, m)}</div>
                </section>
                {card(tr::apps::resources(l), None, resources(ui, &m.head.app.spec))}
                <section class="card">
                    <header><h2>{tr::apps::addresses(l)}</h2></header>
                    <div class="in small" id="app-addresses">{addresses(ui, m)}</div>
                </section>
            </aside>
        </div>
    }
    .into_any()
}

/// What stands above all else: that it is being deleted, what is wrong, what is on its way.
fn remarks(ui: Ui, m: &Overview) -> AnyView {
    let l = ui.lang;
    if let Some(since) = m.head.app.deleting_since {
        let body = view! { {tr::apps::being_deleted(l)}" "{ago(ui, since)} }.into_any();
        return note(crate::components::Tone::Info, body).into_any();
    }
    if m.head.app.spec.suspended {
        return note(crate::components::Tone::Off, tr::apps::is_suspended(l).into_any()).into_any();
    }
    finding::view(ui, &m.head, m.revisions.as_deref().unwrap_or_default())
}

fn pods_body(ui: Ui, m: &Overview) -> AnyView {
    let more = (m.pods_total > m.pods.len()).then(|| {
        let href = m.head.spot.tab_url(&m.head.app.name, "pods");
        view! { <p class="in small"><a href=href>{tr::apps::all_n_pods(ui.lang, m.pods_total)}</a></p> }
    });
    view! { {pods::some(ui, &m.head.spot, &m.pods)} {more} }.into_any()
}

fn log_card(ui: Ui, m: &Overview, lines: Option<&[LogLine]>) -> AnyView {
    let l = ui.lang;
    let Some(pod) = m.pods.first().filter(|_| m.head.may.logs) else {
        return ().into_any();
    };
    let href = m.head.spot.tab_url(&m.head.app.name, "logs");
    let stream = paths::with_query(
        &paths::log_stream(&m.head.spot.tenant, &m.head.spot.namespace),
        [("app", m.head.app.name.as_str()), ("pod", &pod.name), ("tail", &LOG_LINES.to_string())],
    );
    let several = m.head.app.spec.components.len() > 1;
    let body = match lines {
        None => view! { <p class="none small muted">{tr::apps::log_unreadable(l)}</p> }.into_any(),
        Some([]) => view! { <p class="none small muted">{tr::apps::log_empty(l)}</p> }.into_any(),
        Some(lines) => logs::block(ui, lines, several),
    };
    view! {
        <section class="card" aria-label=tr::apps::last_lines(l)>
            <header>
                <h2>{tr::apps::last_lines(l)}</h2>
                <span class="muted small mono">{pod.name.to_string()}</span>
                <div class="do">{link_button(Button::Quiet, Some(Icon::Lines), tr::apps::logs(l), href)}</div>
            </header>
            <div data-island="log" data-src=stream data-last=LOG_LINES data-several=several.then_some("")>{body}</div>
        </section>
    }
    .into_any()
}

fn moments(ui: Ui, m: &Overview) -> AnyView {
    let l = ui.lang;
    let revisions = m.revisions.as_deref().unwrap_or_default();
    let all = history::moments(&m.head.app, revisions, &m.events);
    if all.is_empty() {
        return view! { <p class="small muted">{tr::apps::nothing_happened(l)}</p> }.into_any();
    }
    let items = all.iter().map(|moment| {
        let class = match moment.tone {
            Tone::Bad => "now",
            Tone::Good => "good",
            Tone::Plain => "",
        };
        (class, moment_view(ui, m, moment))
    });
    timeline(items.collect()).into_any()
}

fn moment_view(ui: Ui, m: &Overview, moment: &Moment) -> AnyView {
    let l = ui.lang;
    let (title, detail) = match &moment.what {
        What::Phase(phase) => {
            let word = crate::components::status::app_phase(l, *phase).1;
            (view! { <b>{word}</b> }.into_any(), None)
        }
        What::Revision { number, by, changes } => {
            let href = m.head.spot.tab_url(&m.head.app.name, "revisions");
            let what = words::changes(l, changes);
            let what = (!what.is_empty()).then(|| tr::apps::colon(l, what));
            let title = view! { <a href=href>{tr::apps::revision_n(l, *number)}</a>{what} }.into_any();
            (title, by.clone())
        }
        What::Event { reason, message, count } => {
            let reason = view! { <b>{reason.clone()}</b> }.into_any();
            let times = (*count > 1).then(|| tr::apps::times(l, *count));
            let text = printable(message).into_owned();
            let title = view! { {reason}" "<span>{text}</span> }.into_any();
            (title, times)
        }
    };
    view! {
        {title}
        <br />
        <span class="muted">{ago(ui, moment.at)}{detail.map(|d| format!(" · {d}"))}</span>
    }
    .into_any()
}

fn resources(ui: Ui, spec: &AppSpec) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = spec
        .components
        .iter()
        .map(|component| {
            let part = |limits: bool, cpu: bool| {
                let resources = component.resources.as_ref()?;
                let amounts = if limits { resources.limits.as_ref() } else { resources.requests.as_ref() }?;
                if cpu { amounts.cpu.clone() } else { amounts.memory.clone() }
            };
            let line = |cpu: bool| match (part(false, cpu).or_else(|| part(true, cpu)), part(true, cpu)) {
                (Some(asked), Some(most)) => tr::apps::asks_and_most(l, asked, most),
                (Some(asked), None) => tr::apps::asks_no_limit(l, asked),
                (None, _) => tr::apps::unset(l).to_owned(),
            };
            let name = (spec.components.len() > 1).then(|| {
                view! { <dt><code>{component.name.clone()}</code></dt><dd></dd> }
            });
            view! {
                {name}
                <dt>{tr::apps::cpu(l)}</dt>
                <dd>{line(true)}</dd>
                <dt>{tr::apps::memory(l)}</dt>
                <dd>{line(false)}</dd>
            }
        })
        .collect();
    view! { <dl class="in small facts">{rows}</dl> }.into_any()
}

fn addresses(ui: Ui, m: &Overview) -> AnyView {
    if m.head.app.status.addresses.is_empty() {
        return view! { <p class="muted">{tr::apps::no_address(ui.lang)}</p> }.into_any();
    }
    let all: Vec<_> = m
        .head
        .app
        .status
        .addresses
        .iter()
        .map(|address| {
            if address.starts_with("http://") || address.starts_with("https://") {
                let href = address.clone();
                view! {
                    <div>
                        <a href=href target="_blank" rel="noopener noreferrer">{address.clone()}" "{icon(Icon::Open)}</a>
                    </div>
                }
                .into_any()
            } else {
                view! { <div class="mono muted">{address.clone()}</div> }.into_any()
            }
        })
        .collect();
    all.into_any()
}
