//! The pods of an app.

use berth_core::{Result, ports::pages::Fragment, services::apps::Found};
use berth_types::{
    ListQuery,
    rows::{PodPhase, PodRow},
    text::printable,
};
use leptos::prelude::*;

use super::{
    Spot, fragment,
    head::{self, Head, Tab},
};
use crate::{
    components::{Icon, ListUrl, ago, empty, list, pager, pod_status, sort_header},
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Pods {
    /// The app and what stands above it.
    pub head: Head,
    /// The rows.
    pub page: berth_types::Page<PodRow>,
    /// What was asked for.
    pub query: ListQuery,
    /// The list's own URL.
    pub url: ListUrl,
}

async fn load(cx: &Cx) -> Result<(Pods, Found)> {
    let (head, found) = head::find(cx).await?;
    let mut query = cx.list_query(&["phase", "component", "node"]);
    if query.sort.is_empty() {
        query.sort = ListQuery::parse_sort("phase,name");
    }
    let asked = query.clone().filter("app", head.app.name.clone());
    let page = cx.services.list_pods(&cx.ctx, head.spot.path(), &asked).await?.page;
    Ok((Pods { head, page, query, url: ListUrl::of(cx) }, found))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (model, found) = load(&cx).await?;
    let ui = cx.ui();
    Ok(head::page(ui, &model.head, &found, Tab::Pods, view(ui, &model)).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (model, _) = load(&cx).await?;
    let ui = cx.ui();
    let mut all = head::fragments(ui, &model.head);
    all.push(fragment("pods-phases", phases(ui, &model)));
    all.push(fragment("pods-rows", rows(ui, &model)));
    Ok(all)
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, m: &Pods) -> AnyView {
    let l = ui.lang;
    view! {
        <section class="card" aria-label=tr::apps::pods(l)>
            <header>
                {list::filter_box(l, &m.url, &m.query.q, tr::apps::filter_pods(l))}
                <div class="chips" id="pods-phases">{phases(ui, m)}</div>
            </header>
            <div id="pods-rows">{rows(ui, m)}</div>
        </section>
    }
    .into_any()
}

fn phases(ui: Ui, m: &Pods) -> AnyView {
    let counts = m.page.facets.get("phase");
    let count = |phase: &str| counts.and_then(|c| c.get(phase)).copied().unwrap_or(0);
    let chips: Vec<_> = PodPhase::ALL
        .iter()
        .filter(|phase| count(phase.as_str()) > 0 || m.url.has("phase", phase.as_str()))
        .map(|phase| {
            let word = crate::components::status::pod_phase(ui.lang, *phase).1;
            list::chip(&m.url, "phase", phase.as_str(), word, Some(count(phase.as_str())))
        })
        .collect();
    chips.into_any()
}

fn rows(ui: Ui, m: &Pods) -> AnyView {
    view! {
        {table(ui, &m.head.spot, &m.page.items, Some((&m.url, &m.query)))}
        {pager(ui.lang, &m.url, &m.query, m.page.items.len(), m.page.total)}
    }
    .into_any()
}

/// A table of pods; its headings sort where `sort` is given.
#[must_use]
pub fn table(ui: Ui, spot: &Spot, pods: &[PodRow], sort: Option<(&ListUrl, &ListQuery)>) -> AnyView {
    let l = ui.lang;
    if pods.is_empty() {
        return empty(Icon::Box, tr::apps::no_pods(l), tr::apps::no_pods_hint(l), None).into_any();
    }
    let head = |column: &'static str, label: &'static str, numeric: bool| match sort {
        Some((url, query)) => sort_header(url, query, column, label, numeric).into_any(),
        None => view! { <th scope="col" class=if numeric { "num" } else { "" }>{label}</th> }.into_any(),
    };
    let rows: Vec<_> = pods.iter().map(|pod| row(ui, spot, pod)).collect();
    view! {
        <div class="scroll">
            <table class="cards">
                <thead>
                    <tr>
                        {head("name", tr::apps::name(l), false)}
                        {head("phase", tr::apps::status(l), false)}
                        <th scope="col">{tr::apps::why(l)}</th>
                        {head("restarts", tr::apps::restarts(l), true)}
                        {head("node", tr::apps::node(l), false)}
                        {head("created", tr::apps::age(l), true)}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Why a pod is not simply running: the cluster's word, its message, how the last run ended.
#[must_use]
pub fn why(ui: Ui, pod: &PodRow) -> String {
    let mut parts = Vec::new();
    if !matches!(&*pod.reason, "Running" | "Completed" | "") {
        parts.push(pod.reason.to_string());
    }
    if let Some(message) = pod.message.as_deref().filter(|m| !m.is_empty()) {
        parts.push(printable(message).into_owned());
    }
    if let Some(code) = pod.last_exit_code.filter(|_| pod.phase != PodPhase::Running) {
        parts.push(tr::apps::exit_code(ui.lang, code));
    }
    parts.join(" · ")
}

fn row(ui: Ui, spot: &Spot, pod: &PodRow) -> impl IntoView + use<> {
    let why = why(ui, pod);
    let node = pod.node.as_deref().unwrap_or("—").to_owned();
    view! {
        <tr>
            <td><a class="name mono" href=spot.pod_url(&pod.name)>{pod.name.to_string()}</a></td>
            <td>{pod_status(ui.lang, pod.phase)}</td>
            <td class="fill muted" title=why.clone()>{why.clone()}</td>
            <td class="num">{pod.restarts}</td>
            <td class="muted hide">{node}</td>
            <td class="num muted">{ago(ui, pod.created_at)}</td>
        </tr>
    }
}
