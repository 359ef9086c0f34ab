//! Home: the tenants one belongs to, what needs attention first.

use std::sync::Arc;

use berth_core::{
    Result,
    ports::{
        cluster::{Freshness, NamespaceSummary},
        pages::{Access, Fragment},
    },
    services::namespaces::NamespaceOverview,
};
use berth_types::{NamespaceName, TenantName, TenantRole};
use futures::{FutureExt, future::try_join_all};
use leptos::prelude::*;

use super::errors::role_name;
use crate::{
    components::{Button, Icon, Tone, empty, icon, link_button, status, tag},
    layout::stale_banner,
    paths,
    request::{Answer, Cx, HomeNav, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page(paths::HOME, Access::SignedIn, |cx| page(cx).boxed()).live(|cx| live(cx).boxed())];

/// A namespace at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Its name.
    pub name: NamespaceName,
    /// Its apps.
    pub summary: NamespaceSummary,
}

/// A tenant with its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantCard {
    /// Its name.
    pub name: TenantName,
    /// What people call it.
    pub display_name: Arc<str>,
    /// The reader's role in it.
    pub role: Option<TenantRole>,
    /// Its namespaces.
    pub namespaces: Vec<Glance>,
}

impl TenantCard {
    fn degraded(&self) -> usize {
        self.namespaces.iter().map(|n| n.summary.degraded).sum()
    }
}

/// What the page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Who reads it.
    pub name: String,
    /// What needs attention first.
    pub tenants: Vec<TenantCard>,
    /// Whether the reader may make tenants.
    pub may_create: bool,
    /// The stalest of what is shown.
    pub freshness: Option<Freshness>,
}

/// The stalest of several; `None` when nothing comes from a cluster.
#[must_use]
pub fn stalest(overviews: &[NamespaceOverview]) -> Option<Freshness> {
    use berth_core::ports::cluster::CacheState::{Live, Loading, Stale};
    let rank = |f: &Freshness| match f.state {
        Stale { .. } => 0,
        Loading => 1,
        Live if f.idle_since.is_some() => 2,
        Live => 3,
    };
    overviews.iter().map(|o| o.freshness.clone()).min_by_key(|f| (rank(f), f.as_of))
}

async fn load(cx: &Cx) -> Result<Model> {
    let tenants = cx.services.list_tenants(&cx.ctx).await?;
    let lists = try_join_all(tenants.iter().map(|t| cx.services.list_namespaces(&cx.ctx, &t.name))).await?;
    let freshness = stalest(&lists.concat());
    let mut cards: Vec<TenantCard> = tenants
        .iter()
        .zip(lists)
        .map(|(tenant, namespaces)| TenantCard {
            name: tenant.name.clone(),
            display_name: tenant.display_name.clone(),
            role: tenant.role,
            namespaces: namespaces
                .into_iter()
                .map(|n| Glance { name: n.namespace.name.clone(), summary: n.summary })
                .collect(),
        })
        .collect();
    // What needs attention comes first, then one's own; the order by name is kept within.
    cards.sort_by_key(|t| (std::cmp::Reverse(t.degraded()), t.role.is_none()));
    let person = cx.ctx.person();
    Ok(Model {
        name: person.map(|p| p.display_name.to_string()).unwrap_or_default(),
        tenants: cards,
        may_create: person.is_some_and(|p| p.platform_role == Some(berth_types::PlatformRole::Admin)),
        freshness,
    })
}

async fn page(cx: Cx) -> Result<Answer> {
    let model = load(&cx).await?;
    let freshness = model.freshness.clone();
    let mut page = Page::new(tr::shell::tenants(cx.lang()), Place::Home(HomeNav::Tenants), view(cx.ui(), model));
    page.freshness = freshness;
    Ok(page.into())
}

async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let model = load(&cx).await?;
    let stale = model.freshness.as_ref().and_then(|f| stale_banner(cx.lang(), f));
    Ok(vec![
        Fragment { id: "stale".to_owned(), html: stale.to_html() },
        Fragment { id: "tenants".to_owned(), html: tenants(cx.ui(), &model).to_html() },
    ])
}

/// The page.
pub fn view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let create = (m.may_create && !m.tenants.is_empty())
        .then(|| link_button(Button::Plain, Some(Icon::Plus), tr::shell::new_tenant(l), paths::ADMIN_TENANT_NEW));
    view! {
        <div class="head"><h1>{tr::shell::tenants(l)}</h1><div class="do">{create}</div></div>
        <div id="tenants">{tenants(ui, &m)}</div>
    }
}

fn tenants(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    if m.tenants.is_empty() {
        let step = m.may_create.then(|| {
            link_button(Button::Go, Some(Icon::Plus), tr::shell::new_tenant(l), paths::ADMIN_TENANT_NEW).into_any()
        });
        let text = if m.may_create { tr::shell::no_tenants_admin(l) } else { tr::shell::no_tenants(l) };
        let body = empty(Icon::Tenant, tr::shell::no_tenants_title(l), text, step);
        return view! { <section class="card">{body}</section> }.into_any();
    }
    let cards: Vec<_> = m.tenants.iter().map(|t| tenant_card(ui, t)).collect();
    view! { <ul class="tiles">{cards}</ul> }.into_any()
}

fn tenant_card(ui: Ui, t: &TenantCard) -> AnyView {
    let l = ui.lang;
    let role = t.role.map(|r| tag(role_name(l, r)));
    let rows: Vec<_> = t
        .namespaces
        .iter()
        .map(|n| {
            let href = paths::namespace(&t.name, &n.name);
            view! { <li class="line"><a href=href>{n.name.to_string()}</a>{glance(ui, &n.summary)}</li> }
        })
        .collect();
    let none = rows.is_empty().then(|| view! { <p class="muted small">{tr::shell::no_namespaces_yet(l)}</p> });
    view! {
        <li class="card tile">
            <div class="line">
                <h2>{icon(Icon::Tenant)}" "<a href=paths::tenant(&t.name)>{t.display_name.to_string()}</a></h2>
                {role}
            </div>
            <ul class="lines">{rows}</ul>
            {none}
        </li>
    }
    .into_any()
}

/// A namespace's apps in a few words, the worst first.
pub fn glance(ui: Ui, s: &NamespaceSummary) -> impl IntoView + use<> {
    let l = ui.lang;
    let part = |n: usize, tone: Tone, text: fn(berth_core::ports::pages::Language, usize) -> String| {
        (n > 0).then(|| status(tone, text(l, n)))
    };
    let none = s.degraded + s.progressing + s.ready + s.suspended == 0;
    view! {
        <span class="sts">
            {part(s.degraded, Tone::Bad, tr::common::degraded_n)}
            {part(s.progressing, Tone::Info, tr::common::progressing_n)}
            {part(s.ready, Tone::Ok, tr::common::ready_n)}
            {part(s.suspended, Tone::Off, tr::common::suspended_n)}
            {none.then(|| view! { <span class="muted small">{tr::shell::no_apps(l)}</span> })}
        </span>
    }
}
