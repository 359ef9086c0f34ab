//! One pod: its containers, what the cluster checked, what happened to it.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
    ports::{cluster::Freshness, pages::Fragment},
};
use berth_types::{Action, ListQuery, Resource, rows::EventRow};
use leptos::prelude::*;

use super::{
    May, Spot, events, fragment,
    pod_facts::{ConditionFacts, ContainerFacts, Ended, PodFacts, State},
};
use crate::{
    components::{Button, Column, Icon, Tone, ago, button, card, link_button, pod_status, status, table},
    pages::access::{self, Missing},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place, done},
    tr,
    ui::Ui,
};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct PodPage {
    /// Where.
    pub spot: Spot,
    /// The pod.
    pub pod: PodFacts,
    /// What happened to it.
    pub events: Vec<EventRow>,
    /// What the reader may do.
    pub may: May,
    /// Why not, where it is for want of a role.
    pub closed: Closed,
}

/// The controls that the reader may not use for want of a role, each with why.
#[derive(Debug, Clone, Default)]
pub struct Closed {
    logs: Option<Missing>,
    terminal: Option<Missing>,
    delete: Option<Missing>,
}

impl Closed {
    async fn of(cx: &Cx, namespace: &NamespaceRef) -> Self {
        Self {
            logs: access::missing_in(cx, namespace, (Resource::Log, Action::Read)).await,
            terminal: access::missing_in(cx, namespace, (Resource::Exec, Action::Create)).await,
            delete: access::missing_in(cx, namespace, (Resource::Workload, Action::Delete)).await,
        }
    }
}

async fn load(cx: &Cx) -> Result<(PodPage, Grant<NamespaceRef>, Freshness)> {
    let spot = Spot::of(cx)?;
    let name = cx.param("pod")?;
    let pod = PodFacts::of(&cx.services.get_pod(&cx.ctx, spot.path(), name).await?);
    let query = ListQuery { limit: 100, ..ListQuery::default() }.filter("object", format!("Pod/{name}"));
    let listed = cx.services.list_events(&cx.ctx, spot.path(), &query).await?;
    let may = May::of(cx, &listed.namespace);
    let closed = Closed::default();
    Ok((PodPage { spot, pod, events: listed.page.items, may, closed }, listed.namespace, listed.freshness))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (mut m, namespace, freshness) = load(&cx).await?;
    m.closed = Closed::of(&cx, &namespace).await;
    let ui = cx.ui();
    let page = Page::new(m.pod.name.clone(), Place::namespace(&namespace, NamespaceNav::Pods), view(ui, &m));
    let page = page.crumb(tr::apps::pods(ui.lang), m.spot.pods_url()).fresh(freshness);
    Ok(page.crumb(m.pod.name.clone(), m.spot.pod_url(&m.pod.name)).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (m, ..) = load(&cx).await?;
    let ui = cx.ui();
    Ok(vec![
        fragment("pod-state", state(ui, &m)),
        fragment("pod-containers", containers(ui, &m)),
        fragment("pod-conditions", conditions(ui, &m)),
        fragment("pod-events", events::of_one(ui, &m.events)),
    ])
}

/// POST `…/delete`.
pub async fn delete(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let name = cx.param("pod")?.to_owned();
    let app = cx.field("app").to_owned();
    cx.services.delete_pod(&cx.ctx, spot.path(), &name).await?;
    let known: Result<berth_types::AppName, _> = app.parse();
    let to = known.map_or_else(|_| spot.pods_url(), |app| spot.tab_url(app.as_str(), "pods"));
    Ok(done(to, tr::apps::flash_pod_deleted(cx.lang(), name)))
}

/// The page.
#[must_use]
pub fn view(ui: Ui, m: &PodPage) -> AnyView {
    let l = ui.lang;
    let pod = &m.pod;
    let logs = pod.app.as_ref().filter(|_| m.may.logs).map(|app| {
        let href = paths::with_query(&m.spot.tab_url(app, "logs"), [("pod", pod.name.as_str())]);
        link_button(Button::Plain, Some(Icon::Lines), tr::apps::logs(l), href)
    });
    let terminal = m.may.exec.then(|| {
        let href = paths::terminal(&m.spot.tenant, &m.spot.namespace, &pod.name);
        link_button(Button::Plain, Some(Icon::Terminal), tr::apps::terminal(l), href)
    });
    let delete = (m.may.delete_pods && pod.deleting_since.is_none()).then(|| {
        let action = format!("{}/delete", m.spot.pod_url(&pod.name));
        view! {
            <details class="menu">
                <summary class="btn danger">{tr::apps::delete_dots(l)}</summary>
                <form class="items" method="post" action=action>
                    <p class="small">{tr::apps::delete_pod_hint(l)}</p>
                    <input type="hidden" name="app" value=pod.app.clone().unwrap_or_default() />
                    {button(Button::Danger, Some(Icon::Bin), tr::apps::delete_pod(l), None)}
                </form>
            </details>
        }
    });
    let closed = [
        (tr::apps::logs(l), &m.closed.logs),
        (tr::apps::terminal(l), &m.closed.terminal),
        (tr::apps::delete_pod(l), &m.closed.delete),
    ];
    let closed: Vec<_> =
        closed.iter().filter_map(|(label, why)| Some(access::closed(ui, label, why.as_ref()?))).collect();
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "—".to_owned());
    let app = match &pod.app {
        Some(app) => view! { <a href=m.spot.app_url(app)>{app.clone()}</a> }.into_any(),
        None => "—".into_any(),
    };
    let facts = view! {
        <dl class="in small facts">
            <dt>{tr::apps::app(l)}</dt>
            <dd>{app}</dd>
            <dt>{tr::apps::node(l)}</dt>
            <dd>{or_none(&pod.node)}</dd>
            <dt>{tr::apps::address(l)}</dt>
            <dd class="mono">{or_none(&pod.ip)}</dd>
            <dt>{tr::apps::component(l)}</dt>
            <dd>{or_none(&pod.component)}</dd>
            <dt>{tr::apps::age(l)}</dt>
            <dd>{pod.created_at.map(|at| ago(ui, at))}</dd>
        </dl>
    };
    view! {
        <div class="head">
            <h1 class="mono">{pod.name.clone()}</h1>
            <span class="state" id="pod-state">{state(ui, m)}</span>
            <div class="do">{logs}{terminal}{delete}{closed}</div>
        </div>
        <div class="cols">
            <div class="stack">
                <section class="card">
                    <header><h2>{tr::apps::containers(l)}</h2></header>
                    <div id="pod-containers">{containers(ui, m)}</div>
                </section>
                <section class="card">
                    <header><h2>{tr::apps::events(l)}</h2></header>
                    <div id="pod-events">{events::of_one(ui, &m.events)}</div>
                </section>
            </div>
            <aside class="stack">
                {card(tr::apps::facts(l), None, facts.into_any())}
                <section class="card">
                    <header><h2>{tr::apps::conditions(l)}</h2></header>
                    <div class="in" id="pod-conditions">{conditions(ui, m)}</div>
                </section>
            </aside>
        </div>
    }
    .into_any()
}

fn state(ui: Ui, m: &PodPage) -> AnyView {
    let reason = (!matches!(m.pod.reason.as_str(), "" | "Running")).then(|| {
        view! { <span class="tag">{m.pod.reason.clone()}</span> }
    });
    view! { {pod_status(ui.lang, m.pod.phase)} {reason} }.into_any()
}

fn containers(ui: Ui, m: &PodPage) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = m.pod.containers.iter().map(|c| container(ui, c)).collect();
    let columns = [
        Column::text(tr::apps::name(l)),
        Column::text(tr::apps::status(l)),
        Column::text(tr::apps::why(l)),
        Column::text(tr::apps::image(l)),
        Column::number(tr::apps::restarts(l)),
    ];
    table(columns, None, rows)
}

fn ended_text(ui: Ui, end: &Ended) -> String {
    let mut parts = vec![tr::apps::exit_code(ui.lang, end.exit_code)];
    parts.extend(Some(end.reason.clone()).filter(|r| !r.is_empty() && r != "Completed"));
    parts.extend(end.message.clone());
    parts.join(" · ")
}

fn container(ui: Ui, c: &ContainerFacts) -> impl IntoView + use<> {
    let l = ui.lang;
    let (tone, word, why, since) = match &c.state {
        State::Running(since) if c.ready || c.init => (Tone::Ok, tr::apps::state_running(l), None, *since),
        State::Running(since) => (Tone::Warn, tr::apps::state_not_ready(l), None, *since),
        State::Waiting(reason, message) => {
            let text = [Some(reason.clone()), message.clone()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
            (Tone::Warn, tr::apps::state_waiting(l), Some(text), None)
        }
        State::Ended(end) if end.exit_code == 0 => (Tone::Off, tr::apps::state_done(l), None, end.at),
        State::Ended(end) => (Tone::Bad, tr::apps::state_failed(l), Some(ended_text(ui, end)), end.at),
    };
    let last = c.last.as_ref().map(|end| {
        let when = end.at.map(|at| view! { " · "{ago(ui, at)} });
        view! { <div class="small">{tr::apps::last_run(l)}" "{ended_text(ui, end)}{when}</div> }
    });
    let init = c.init.then(|| view! { " "<span class="tag">{tr::apps::init(l)}</span> });
    view! {
        <tr>
            <td><span class="name mono">{c.name.clone()}</span>{init}</td>
            <td>{status(tone, word)}</td>
            <td class="wrap muted">{why}{since.map(|at| ago(ui, at))}{last}</td>
            <td class="mono muted hide" title=c.image.clone()>{super::words::image_short(&c.image)}</td>
            <td class="num">{c.restarts}</td>
        </tr>
    }
}

fn conditions(ui: Ui, m: &PodPage) -> AnyView {
    let items: Vec<_> = m.pod.conditions.iter().map(|c| condition(ui, c)).collect();
    view! { <ul class="stack small">{items}</ul> }.into_any()
}

fn condition(ui: Ui, c: &ConditionFacts) -> impl IntoView + use<> {
    let tone = match c.status.as_str() {
        "True" => Tone::Ok,
        "False" => Tone::Warn,
        _ => Tone::Off,
    };
    // The word says what the colour says.
    let text = match c.status.as_str() {
        "True" => c.kind.clone(),
        "False" => format!("{}{}", c.kind, tr::apps::colon(ui.lang, tr::common::no(ui.lang))),
        other => format!("{}: {other}", c.kind),
    };
    let more = [c.reason.clone(), c.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let since = c.since.map(|at| ago(ui, at));
    view! {
        <li>
            {status(tone, text)}
            " "
            <span class="muted">{since}</span>
            {(!more.is_empty()).then(|| view! { <div class="muted">{more}</div> })}
        </li>
    }
}
