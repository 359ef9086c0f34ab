//! A namespace at a glance: what needs attention, its quota, the way to its apps.

use berth_core::{
    Result,
    ports::{
        cluster::{Freshness, NamespaceSummary},
        pages::{Access, Fragment},
    },
};
use berth_types::{Action, AppPhase, ListQuery, Resource, drift::Drift, life::Halt, rows::AppRow};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    access::{self, Missing},
    apps::words,
    drift,
    home::glance,
    life,
    quotas::usage,
};
use crate::{
    components::{Button, Column, Icon, ago, app_status, empty, fill, link_button, table},
    layout::stale_banner,
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page("/t/{tenant}/n/{namespace}", Access::Tenant, |cx| page(cx).boxed()).live(|cx| live(cx).boxed())];

/// Apps that are shown here; all of them are a click away.
const SHOWN: usize = 8;

/// What the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The tenant's name.
    pub tenant: String,
    /// The namespace's.
    pub name: String,
    /// Its name in the cluster.
    pub kube_name: String,
    /// Its apps at a glance.
    pub summary: NamespaceSummary,
    /// Its quota.
    pub usage: Vec<berth_types::rows::UsageRow>,
    /// The worst apps, then those that changed last.
    pub apps: Vec<AppRow>,
    /// Whether the reader may deploy.
    pub may_create: bool,
    /// Why not, where it is for want of a role.
    pub closed: Option<Missing>,
    /// Whether the reader may remove it, or take that back.
    pub may_remove: bool,
    /// Why nothing in it can be changed.
    pub halt: Option<Halt>,
    /// `kubectl` only reads in it.
    pub protected: bool,
    /// How fresh that is.
    pub freshness: Freshness,
}

async fn load(cx: &Cx) -> Result<Model> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let overview = cx.services.get_namespace(&cx.ctx, &tenant, &namespace).await?;
    let query = ListQuery { limit: SHOWN, sort: ListQuery::parse_sort("phase,-changed"), ..ListQuery::default() };
    let apps = cx.services.list_apps(&cx.ctx, (&tenant, &namespace), &query).await?.page.items;
    let grant = &overview.namespace;
    Ok(Model {
        tenant: tenant.to_string(),
        name: namespace.to_string(),
        kube_name: grant.kube_name.to_string(),
        closed: access::missing_in(cx, grant, (Resource::App, Action::Create)).await,
        may_create: cx.services.authz().could_in(&cx.ctx, grant, Resource::App, Action::Create),
        may_remove: cx.services.authz().could_in(&cx.ctx, grant, Resource::Namespace, Action::Delete),
        halt: grant.halt.clone(),
        protected: grant.protected,
        summary: overview.summary,
        usage: overview.usage,
        apps,
        freshness: overview.freshness,
    })
}

async fn page(cx: Cx) -> Result<Answer> {
    let model = load(&cx).await?;
    let drift = cx.services.namespace_drift(&cx.ctx, &cx.tenant()?, &cx.namespace()?).await?;
    let place = Place::Namespace(cx.tenant()?, cx.namespace()?, NamespaceNav::Overview);
    let (title, freshness) = (model.name.clone(), model.freshness.clone());
    Ok(Page::new(title, place, view(cx.ui(), model, &drift)).fresh(freshness).into())
}

async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let m = load(&cx).await?;
    let ui = cx.ui();
    let part = |id: &str, html: String| Fragment { id: id.to_owned(), html };
    Ok(vec![
        part("stale", stale_banner(ui.lang, &m.freshness).to_html()),
        part("ns-state", glance(ui, &m.summary).to_html()),
        part("ns-quota", usage(ui, &m.usage).to_html()),
        part("ns-apps", apps(ui, &m).to_html()),
    ])
}

/// The page; `drift` is what was not as Berth keeps it.
pub fn view(ui: Ui, m: Model, drift: &[Drift]) -> impl IntoView + use<> {
    let l = ui.lang;
    let deploy = (m.may_create && !m.apps.is_empty())
        .then(|| link_button(Button::Go, Some(Icon::Plus), tr::shell::deploy(l), paths::app_new(&m.tenant, &m.name)));
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::shell::deploy(l), closed));
    let kubectl = paths::kubectl(&m.tenant, Some(&m.name));
    let kubectl = link_button(Button::Plain, Some(Icon::Terminal), tr::kubectl::title(l), kubectl);
    let out = m.may_remove.then(|| life::of_namespace(ui, &m.tenant, &m.name, m.halt.as_ref()));
    let protected = m.protected.then(|| view! { <span class="tag">{tr::kubectl::protected(l)}</span> });
    let limits = m.usage.iter().any(|row| row.limit.is_some()).then(|| {
        let label = tr::apps::quota_of_namespace(l);
        view! { <section class="card strip" id="ns-quota" aria-label=label>{usage(ui, &m.usage)}</section> }
    });
    view! {
        <div class="head">
            <h1>{m.name.clone()}</h1>
            <span class="tag mono">{m.kube_name.clone()}</span>
            {protected}
            <span class="state" id="ns-state">{glance(ui, &m.summary)}</span>
            <div class="do">{kubectl}{out}{deploy}{closed}</div>
        </div>
        {drift::refused(ui, drift)}
        {limits}
        <section class="card" id="ns-apps" aria-label=tr::common::apps(l)>{apps(ui, &m)}</section>
        {drift::mended(ui, drift)}
    }
}

fn apps(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    if m.apps.is_empty() {
        let step = m.may_create.then(|| {
            let href = paths::app_new(&m.tenant, &m.name);
            link_button(Button::Go, Some(Icon::Plus), tr::shell::deploy(l), href).into_any()
        });
        let text = if m.may_create { tr::shell::no_apps_step(l) } else { tr::shell::no_apps_ask(l) };
        return empty(Icon::Apps, tr::shell::no_apps_title(l), text, step).into_any();
    }
    let attention = m.apps.iter().any(|a| a.phase == AppPhase::Degraded);
    let title = if attention { tr::shell::attention_first(l) } else { tr::shell::changed_last(l) };
    let total = m.summary.degraded + m.summary.progressing + m.summary.ready + m.summary.suspended;
    let rows: Vec<_> = m
        .apps
        .iter()
        .map(|a| {
            let why = words::why(l, a);
            view! {
                <tr>
                    <td><a class="name" href=paths::app(&m.tenant, &m.name, &a.name)>{a.name.clone()}</a></td>
                    <td>{app_status(l, a.phase)}</td>
                    {fill(why)}
                    <td class="num">{format!("{}/{}", a.ready, a.desired)}</td>
                    <td class="num muted hide">{ago(ui, a.changed_at)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::common::status(l)),
        Column::text(tr::shell::why(l)),
        Column::number(tr::common::pods(l)),
        Column::number(tr::shell::changed(l)),
    ];
    view! {
        <header>
            <h2>{title}</h2>
            <div class="do"><a class="small" href=paths::apps(&m.tenant, &m.name)>{tr::shell::all_apps(l, total)}</a></div>
        </header>
        {table(columns, None, rows)}
    }
    .into_any()
}
