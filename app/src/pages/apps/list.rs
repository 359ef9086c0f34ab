//! The apps of a namespace.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
    ports::{cluster::Freshness, pages::Fragment},
};
use berth_types::{
    AppPhase, ListQuery,
    rows::{AppRow, UsageRow},
};
use leptos::prelude::*;

use super::{May, Spot, fragment, place, quota, words};
use crate::{
    components::{Button, Icon, ListUrl, ago, app_status, empty, link_button, list, pager, sort_header, status},
    paths,
    request::{Answer, Cx, Page},
    tr,
    ui::Ui,
};

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Apps {
    /// Where.
    pub spot: Spot,
    /// The rows.
    pub page: berth_types::Page<AppRow>,
    /// What was asked for.
    pub query: ListQuery,
    /// The list's own URL.
    pub url: ListUrl,
    /// The quota.
    pub usage: Vec<UsageRow>,
    /// What the reader may do.
    pub may: May,
}

async fn load(cx: &Cx) -> Result<(Apps, Grant<NamespaceRef>, Freshness)> {
    let spot = Spot::of(cx)?;
    let mut query = cx.list_query(&["phase"]);
    if query.sort.is_empty() {
        // Who needs help comes first.
        query.sort = ListQuery::parse_sort("phase,name");
    }
    let listed = cx.services.list_apps(&cx.ctx, spot.path(), &query).await?;
    let usage = cx.services.get_namespace(&cx.ctx, &spot.tenant, &spot.namespace).await?.usage;
    let may = May::of(cx, &listed.namespace);
    let url = ListUrl::of(cx);
    Ok((Apps { spot, page: listed.page, query, url, usage, may }, listed.namespace, listed.freshness))
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (model, namespace, freshness) = load(&cx).await?;
    let ui = cx.ui();
    let crumb = model.spot.apps_url();
    let page = Page::new(tr::apps::apps(ui.lang), place(&namespace), view(ui, &model));
    Ok(page.crumb(tr::apps::apps(ui.lang), crumb).fresh(freshness).into())
}

/// The parts that move.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (model, ..) = load(&cx).await?;
    let ui = cx.ui();
    Ok(vec![
        fragment("apps-quota", quota::strip(ui.lang, &model.usage)),
        fragment("apps-phases", phases(ui, &model)),
        fragment("apps-rows", rows(ui, &model)),
    ])
}

/// The page.
#[must_use]
pub fn view(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
    let filtered = !m.query.q.is_empty() || !m.query.filters.is_empty();
    let deploy = m.may.create.then(|| {
        let href = paths::app_new(&m.spot.tenant, &m.spot.namespace);
        link_button(Button::Go, Some(Icon::Plus), tr::apps::deploy_an_app(l), href)
    });
    let quota = (!m.usage.is_empty()).then(|| {
        view! {
            <section class="card strip" id="apps-quota" aria-label=tr::apps::quota_of_namespace(l)>
                {quota::strip(l, &m.usage)}
            </section>
        }
    });
    let tools = (m.page.total > 0 || filtered).then(|| {
        view! {
            <header>
                {list::filter_box(l, &m.url, &m.query.q, tr::apps::filter_apps(l))}
                <div class="chips" id="apps-phases">{phases(ui, m)}</div>
            </header>
        }
    });
    view! {
        <div class="head"><h1>{tr::apps::apps(l)}</h1><div class="do">{deploy}</div></div>
        {quota}
        <section class="card" aria-label=tr::apps::apps(l)>{tools}<div id="apps-rows">{rows(ui, m)}</div></section>
    }
    .into_any()
}

/// A chip for each phase, with how many apps are in it.
fn phases(ui: Ui, m: &Apps) -> AnyView {
    let counts = m.page.facets.get("phase");
    let count = |phase: &str| counts.and_then(|c| c.get(phase)).copied().unwrap_or(0);
    let chips: Vec<_> = AppPhase::ALL
        .iter()
        .filter(|phase| count(phase.as_str()) > 0 || m.url.has("phase", phase.as_str()))
        .map(|phase| {
            let word = crate::components::status::app_phase(ui.lang, *phase).1;
            list::chip(&m.url, "phase", phase.as_str(), word, Some(count(phase.as_str())))
        })
        .collect();
    chips.into_any()
}

/// The table, or what to do when it is empty.
fn rows(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
    if m.page.items.is_empty() {
        return nothing(ui, m);
    }
    let head = |column: &'static str, label: &'static str, numeric: bool| {
        sort_header(&m.url, &m.query, column, label, numeric)
    };
    let rows: Vec<_> = m.page.items.iter().map(|row| app_row(ui, &m.spot, row)).collect();
    view! {
        <div class="scroll">
            <table class="cards">
                <thead>
                    <tr>
                        {head("name", tr::apps::name(l), false)}
                        {head("phase", tr::apps::status(l), false)}
                        <th scope="col">{tr::apps::why(l)}</th>
                        {head("image", tr::apps::image(l), false)}
                        {head("ready", tr::apps::pods(l), true)}
                        {head("changed", tr::apps::changed(l), true)}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {pager(l, &m.url, &m.query, m.page.items.len(), m.page.total)}
    }
    .into_any()
}

fn app_row(ui: Ui, spot: &Spot, row: &AppRow) -> impl IntoView + use<> {
    let why = words::why(ui.lang, row);
    let image = words::image_short(&row.image);
    let more = (row.components > 1).then(|| format!(" +{}", row.components - 1));
    view! {
        <tr>
            <td><a class="name" href=spot.app_url(&row.name)>{row.name.to_string()}</a></td>
            <td>{app_status(ui.lang, row.phase)}</td>
            <td class="fill muted" title=why.clone()>{why.clone()}</td>
            <td class="mono muted hide" title=row.image.to_string()>{image}{more}</td>
            <td class="num">{format!("{}/{}", row.ready, row.desired)}</td>
            <td class="num muted">{ago(ui, row.changed_at)}</td>
        </tr>
    }
}

fn nothing(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
    if !m.query.q.is_empty() || !m.query.filters.is_empty() {
        let all = link_button(Button::Plain, None, tr::apps::show_all(l), m.url.path().to_owned()).into_any();
        return empty(Icon::Search, tr::apps::none_fit(l), tr::apps::none_fit_hint(l), Some(all)).into_any();
    }
    if !m.may.create {
        return empty(Icon::Apps, tr::apps::no_apps(l), tr::apps::no_apps_viewer(l), None).into_any();
    }
    let href = paths::app_new(&m.spot.tenant, &m.spot.namespace);
    let step = link_button(Button::Go, Some(Icon::Plus), tr::apps::deploy_first(l), href).into_any();
    empty(Icon::Apps, tr::apps::no_apps(l), tr::apps::no_apps_hint(l), Some(step)).into_any()
}

/// A word for how ready something is: `2 of 3 ready`.
#[must_use]
pub fn ready_tag(ui: Ui, ready: i32, desired: i32) -> AnyView {
    if desired == 0 {
        return ().into_any();
    }
    view! { <span class="tag">{tr::apps::n_of_m_ready(ui.lang, ready, desired)}</span> }.into_any()
}

/// Being deleted is no phase, but what one sees first.
#[must_use]
pub fn deleting_status(ui: Ui) -> AnyView {
    status(crate::components::Tone::Info, tr::apps::deleting(ui.lang)).into_any()
}
