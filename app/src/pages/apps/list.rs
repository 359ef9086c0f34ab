//! The apps of a namespace.

use berth_core::{
    Result,
    authz::{Grant, NamespaceRef},
    ports::{cluster::Freshness, pages::Fragment},
};
use berth_types::{
    Action, AppPhase, Resource,
    rows::{AppRow, UsageRow},
};
use leptos::prelude::*;

use super::{May, Spot, fragment, place, quota, words};
use crate::{
    components::{
        Button, Column, Icon, List, ago, app_status, empty, fill, link_button,
        status::{app_phase, status},
        table,
    },
    pages::access::{self, Missing},
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
    /// The apps.
    pub list: List<AppRow>,
    /// The quota.
    pub usage: Vec<UsageRow>,
    /// What the reader may do.
    pub may: May,
    /// Why not deploy, where it is for want of a role.
    pub closed: Option<Missing>,
}

async fn load(cx: &Cx) -> Result<(Apps, Grant<NamespaceRef>, Freshness)> {
    let spot = Spot::of(cx)?;
    // Who needs help comes first.
    let query = cx.list_query(&["phase"], "phase,name");
    let listed = cx.services.list_apps(&cx.ctx, spot.path(), &query).await?;
    let usage = cx.services.namespace_usage(&cx.ctx, &listed.namespace)?;
    let may = May::of(cx, &listed.namespace);
    let list = List::of(cx, query, listed.page).read(&listed.freshness);
    let closed = access::missing_in(cx, &listed.namespace, (Resource::App, Action::Create)).await;
    Ok((Apps { spot, list, usage, may, closed }, listed.namespace, listed.freshness))
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
        fragment("apps-chips", phases(ui, &model)),
        fragment("apps-rows", rows(ui, &model)),
    ])
}

/// The page.
#[must_use]
pub fn view(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
    let deploy = m.may.create.then(|| {
        let href = paths::app_new(&m.spot.tenant, &m.spot.namespace);
        link_button(Button::Go, Some(Icon::Plus), tr::apps::deploy_an_app(l), href)
    });
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::apps::deploy_an_app(l), closed));
    let labels = (tr::apps::apps(l), tr::apps::filter_apps(l));
    view! {
        <div class="head"><h1>{tr::apps::apps(l)}</h1><div class="do">{deploy}{closed}</div></div>
        {quota::card(l, "apps-quota", &m.usage)}
        {m.list.card(l, "apps", labels, phases(ui, m), rows(ui, m))}
    }
    .into_any()
}

/// A chip for each phase, with how many apps are in it.
fn phases(ui: Ui, m: &Apps) -> AnyView {
    m.list.chips("phase", AppPhase::ALL, |phase| (phase.as_str(), app_phase(ui.lang, phase).1))
}

/// The table, or what to do when it is empty.
fn rows(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
    if m.list.page.items.is_empty() {
        return m.list.empty(l, || nothing(ui, m));
    }
    let columns = [
        Column::text(tr::apps::name(l)).by("name"),
        Column::text(tr::apps::status(l)).by("phase"),
        Column::text(tr::apps::why(l)),
        Column::text(tr::apps::image(l)).by("image"),
        Column::number(tr::apps::pods(l)).by("ready"),
        Column::number(tr::apps::changed(l)).by("changed"),
    ];
    let rows: Vec<_> = m.list.page.items.iter().map(|row| app_row(ui, &m.spot, row)).collect();
    view! { {table(columns, m.list.sort(), rows)} {m.list.pager(l)} }.into_any()
}

fn app_row(ui: Ui, spot: &Spot, row: &AppRow) -> impl IntoView + use<> {
    let why = words::why(ui.lang, row);
    let image = words::image_short(&row.image);
    let more = (row.components > 1).then(|| format!(" +{}", row.components - 1));
    view! {
        <tr>
            <td><a class="name" href=spot.app_url(&row.name)>{row.name.clone()}</a></td>
            <td>{if row.deleting { deleting_status(ui) } else { app_status(ui.lang, row.phase).into_any() }}</td>
            {fill(why)}
            <td class="mono muted hide" title=row.image.to_string()>{image}{more}</td>
            <td class="num">{format!("{}/{}", row.ready, row.desired)}</td>
            <td class="num muted">{ago(ui, row.changed_at)}</td>
        </tr>
    }
}

fn nothing(ui: Ui, m: &Apps) -> AnyView {
    let l = ui.lang;
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
