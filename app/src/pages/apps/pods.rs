//! Pods: those of an app, and all of a namespace.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
    ports::{cluster::Freshness, pages::Fragment},
    services::apps::Found,
};
use berth_types::{
    rows::{PodPhase, PodRow},
    text::printable,
};
use leptos::prelude::*;

use super::{
    May, Spot, fragment,
    head::{self, Head, Tab},
    words,
};
use crate::{
    components::{Button, Column, Icon, List, ago, empty, fill, link_button, pod_status, status::pod_phase, table},
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place},
    tr,
    ui::Ui,
};

/// What one filters pods by.
const FILTERS: &[&str] = &["phase", "app", "component", "node", "reason"];

/// A list of pods, of an app or of a namespace.
#[derive(Debug, Clone)]
pub struct Pods {
    /// Where.
    pub spot: Spot,
    /// The pods.
    pub list: List<PodRow>,
    /// Whether they are those of one app, whose name need not stand beside each.
    pub one_app: bool,
    /// Whether the reader may deploy apps.
    pub may_deploy: bool,
}

async fn load(cx: &Cx, spot: Spot, app: Option<&str>) -> Result<(Pods, Grant<NamespaceRef>, Freshness)> {
    // Who needs help comes first.
    let query = cx.list_query(FILTERS, "phase,name");
    let mut asked = query.clone();
    if let Some(app) = app {
        asked.filters.insert("app".to_owned(), vec![app.to_owned()]);
    }
    let listed = cx.services.list_pods(&cx.ctx, spot.path(), &asked).await?;
    let list = List::of(cx, query, listed.page).read(&listed.freshness);
    let may_deploy = May::of(cx, &listed.namespace).create;
    Ok((Pods { spot, list, one_app: app.is_some(), may_deploy }, listed.namespace, listed.freshness))
}

async fn of_app(cx: &Cx) -> Result<(Head, Pods, Found)> {
    let (head, found) = head::find(cx).await?;
    let (pods, ..) = load(cx, head.spot.clone(), Some(&head.app.name)).await?;
    Ok((head, pods, found))
}

/// GET `…/apps/{app}/pods`.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (head, model, found) = of_app(&cx).await?;
    let ui = cx.ui();
    Ok(head::page(ui, &head, &found, Tab::Pods, view(ui, &model)).into())
}

/// The parts of an app's pods that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (head, model, _) = of_app(&cx).await?;
    let ui = cx.ui();
    let mut all = head::fragments(ui, &head);
    all.extend(fragments(ui, &model));
    Ok(all)
}

/// GET `…/n/{namespace}/pods`.
pub async fn all_page(cx: Cx) -> Result<Answer> {
    let (model, namespace, freshness) = load(&cx, Spot::of(&cx)?, None).await?;
    let (ui, title) = (cx.ui(), tr::apps::pods(cx.lang()));
    let body = view! { <div class="head"><h1>{title}</h1></div> {view(ui, &model)} };
    let page = Page::new(title, Place::namespace(&namespace, NamespaceNav::Pods), body);
    Ok(page.crumb(title, model.spot.pods_url()).fresh(freshness).into())
}

/// The parts of a namespace's pods that move.
pub async fn all_live(cx: Cx) -> Result<Vec<Fragment>> {
    let (model, ..) = load(&cx, Spot::of(&cx)?, None).await?;
    Ok(fragments(cx.ui(), &model))
}

fn fragments(ui: Ui, m: &Pods) -> Vec<Fragment> {
    vec![fragment("pods-chips", phases(ui, m)), fragment("pods-rows", rows(ui, m))]
}

/// The list, in a card.
#[must_use]
pub fn view(ui: Ui, m: &Pods) -> AnyView {
    let l = ui.lang;
    m.list.card(l, "pods", (tr::apps::pods(l), tr::apps::filter_pods(l)), phases(ui, m), rows(ui, m))
}

fn phases(ui: Ui, m: &Pods) -> AnyView {
    let phases = m.list.chips("phase", PodPhase::ALL, |phase| (phase.as_str(), pod_phase(ui.lang, phase).1));
    view! { {phases} {m.list.chosen(&FILTERS[1..])} }.into_any()
}

fn rows(ui: Ui, m: &Pods) -> AnyView {
    let l = ui.lang;
    if m.list.page.items.is_empty() {
        let (title, hint) = match m.one_app {
            true => (tr::apps::no_pods(l), tr::apps::no_pods_hint(l)),
            false => (tr::apps::no_pods_here(l), tr::apps::no_pods_here_hint(l)),
        };
        let deploy = (m.may_deploy && !m.one_app).then(|| {
            let href = paths::app_new(&m.spot.tenant, &m.spot.namespace);
            link_button(Button::Go, Some(Icon::Plus), tr::apps::deploy_an_app(l), href).into_any()
        });
        return m.list.empty(l, || empty(Icon::Pods, title, hint, deploy).into_any());
    }
    let rows: Vec<_> = m.list.page.items.iter().map(|pod| row(ui, &m.spot, pod, !m.one_app)).collect();
    view! { {table(columns(ui, !m.one_app), m.list.sort(), rows)} {m.list.pager(l)} }.into_any()
}

fn columns(ui: Ui, with_app: bool) -> impl Iterator<Item = Column> {
    let l = ui.lang;
    [
        Some(Column::text(tr::apps::name(l)).by("name")),
        Some(Column::text(tr::apps::status(l)).by("phase")),
        Some(Column::text(tr::apps::why(l)).by("reason")),
        with_app.then(|| Column::text(tr::apps::app(l)).by("app")),
        Some(Column::number(tr::apps::restarts(l)).by("restarts")),
        Some(Column::text(tr::apps::node(l)).by("node")),
        Some(Column::number(tr::apps::age(l)).by("created")),
    ]
    .into_iter()
    .flatten()
}

/// A few pods of one app, beside other things.
#[must_use]
pub fn some(ui: Ui, spot: &Spot, pods: &[PodRow]) -> AnyView {
    let l = ui.lang;
    if pods.is_empty() {
        return empty(Icon::Pods, tr::apps::no_pods(l), tr::apps::no_pods_hint(l), None).into_any();
    }
    let rows: Vec<_> = pods.iter().map(|pod| row(ui, spot, pod, false)).collect();
    table(columns(ui, false), None, rows)
}

/// Why a pod is not simply running: the cluster's word, its message, how the last run ended.
#[must_use]
pub fn why(ui: Ui, pod: &PodRow) -> String {
    let mut parts = Vec::new();
    if !matches!(&*pod.reason, "Running" | "Completed" | "") {
        parts.push(pod.reason.to_string());
    }
    if let Some(message) = pod.message.as_deref().filter(|m| !m.is_empty()) {
        parts.push(printable(&words::scheduling(ui.lang, message)).into_owned());
    }
    if let Some(code) = pod.last_exit_code.filter(|_| pod.phase != PodPhase::Running) {
        parts.push(tr::apps::exit_code(ui.lang, code));
    }
    parts.join(" · ")
}

fn row(ui: Ui, spot: &Spot, pod: &PodRow, with_app: bool) -> impl IntoView + use<> {
    let app = with_app.then(|| {
        let link = pod.app.as_deref().map(|app| view! { <a href=spot.app_url(app)>{app.to_owned()}</a> });
        view! { <td>{link}</td> }
    });
    view! {
        <tr>
            <td><a class="name mono" href=spot.pod_url(&pod.name)>{pod.name.clone()}</a></td>
            <td>{pod_status(ui.lang, pod.phase)}</td>
            {fill(why(ui, pod))}
            {app}
            <td class="num">{pod.restarts}</td>
            <td class="muted hide">{pod.node.clone().unwrap_or_else(|| "—".into())}</td>
            <td class="num muted">{ago(ui, pod.created_at)}</td>
        </tr>
    }
}
