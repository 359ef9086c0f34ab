//! The admin console: the platform at a glance, people, tenants and their quotas, plans, nodes, the audit log.

use berth_core::{
    Result,
    ports::{
        cluster::{CacheState, Freshness},
        pages::{Access, Language},
    },
};
use berth_types::{Action, ClusterId, ListQuery, PlatformRole, Resource, TenantName};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{
        Button, Column, Field, Form, Tone, ago, button, field, fill, form::summary, link_button, status, table,
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

mod agents;
mod announcements;
mod audit;
mod capacity;
mod ci;
mod clusters;
mod drain;
mod mail;
mod nodes;
mod people;
mod plans;
mod providers;
mod tenants;

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::ADMIN, Access::Platform, |cx| overview(cx).boxed()),
    Entry::page(paths::ADMIN_PEOPLE, Access::Platform, |cx| people::list(cx).boxed()),
    Entry::page(paths::ADMIN_PERSON_NEW, Access::Platform, |cx| people::new(cx, Form::default()).boxed())
        .form(|cx| people::create(cx).boxed()),
    Entry::page("/admin/people/{user}", Access::Platform, |cx| people::one(cx, None).boxed())
        .form(|cx| people::change(cx).boxed()),
    Entry::page(paths::ADMIN_TENANTS, Access::Platform, |cx| tenants::list(cx).boxed()),
    Entry::page(paths::ADMIN_TENANT_NEW, Access::Platform, |cx| new_tenant(cx, Form::default()).boxed())
        .form(|cx| create_tenant(cx).boxed()),
    Entry::page("/admin/tenants/{tenant}/quota", Access::Platform, |cx| tenants::quota(cx, None).boxed())
        .form(|cx| tenants::set_quota(cx).boxed()),
    Entry::page(paths::ADMIN_PLANS, Access::Platform, |cx| plans::list(cx).boxed()),
    Entry::page(paths::ADMIN_PLAN_NEW, Access::Platform, |cx| plans::new(cx, None).boxed())
        .form(|cx| plans::create(cx).boxed()),
    Entry::page("/admin/plans/{plan}", Access::Platform, |cx| plans::one(cx, None, None).boxed())
        .form(|cx| plans::change(cx).boxed()),
    Entry::page(paths::ADMIN_SIGN_IN, Access::Platform, |cx| providers::list(cx, None).boxed())
        .form(|cx| providers::set_local(cx).boxed()),
    Entry::page(paths::ADMIN_CI, Access::Platform, |cx| ci::list(cx, Form::default()).boxed())
        .form(|cx| ci::change(cx).boxed()),
    Entry::page(paths::ADMIN_PROVIDER_NEW, Access::Platform, |cx| providers::new(cx, None).boxed())
        .form(|cx| providers::create(cx).boxed()),
    Entry::page("/admin/sign-in/{provider}", Access::Platform, |cx| providers::one(cx, None).boxed())
        .form(|cx| providers::change(cx).boxed()),
    Entry::page(paths::ADMIN_CAPACITY, Access::Platform, |cx| capacity::page(cx).boxed()),
    Entry::page(paths::ADMIN_CLUSTERS, Access::Platform, |cx| clusters::list(cx).boxed())
        .live(|cx| clusters::list_live(cx).boxed()),
    Entry::page(paths::ADMIN_CLUSTER_NEW, Access::Platform, |cx| clusters::new(cx, Form::default(), None).boxed())
        .form(|cx| clusters::create(cx).boxed()),
    Entry::page(paths::ADMIN_CLUSTER_AGENT, Access::Platform, |cx| agents::new(cx, Form::default()).boxed())
        .form(|cx| agents::create(cx).boxed()),
    Entry::page("/admin/clusters/{cluster}", Access::Platform, |cx| clusters::one(cx, None).boxed())
        .form(|cx| clusters::change(cx).boxed())
        .live(|cx| clusters::one_live(cx).boxed()),
    Entry::page(paths::ADMIN_NODES, Access::Platform, |cx| nodes::list(cx).boxed())
        .live(|cx| nodes::list_live(cx).boxed()),
    Entry::page("/admin/nodes/{node}", Access::Platform, |cx| nodes::one(cx, None).boxed())
        .form(|cx| nodes::change(cx).boxed())
        .live(|cx| nodes::one_live(cx).boxed()),
    Entry::page("/admin/nodes/{node}/drain", Access::Platform, |cx| drain::page(cx, None).boxed())
        .form(|cx| drain::act(cx).boxed())
        .live(|cx| drain::live(cx).boxed()),
    Entry::page(paths::ADMIN_ANNOUNCEMENTS, Access::Platform, |cx| announcements::list(cx).boxed()),
    Entry::page(paths::ADMIN_ANNOUNCEMENT_NEW, Access::Platform, |cx| announcements::new(cx, Form::default()).boxed())
        .form(|cx| announcements::create(cx).boxed()),
    Entry::page("/admin/announcements/{announcement}", Access::Platform, |cx| announcements::one(cx, None).boxed())
        .form(|cx| announcements::change(cx).boxed()),
    Entry::page(paths::ADMIN_MAIL, Access::Platform, |cx| mail::page(cx, Form::default()).boxed())
        .form(|cx| mail::test(cx).boxed())
        .live(|cx| mail::live(cx).boxed()),
    Entry::page(paths::ADMIN_AUDIT, Access::Platform, |cx| audit::list(cx).boxed()),
    Entry::page("/admin/audit/{entry}", Access::Platform, |cx| audit::one(cx).boxed()),
];

/// A platform role's name.
#[must_use]
pub fn platform_role_name(lang: Language, role: PlatformRole) -> &'static str {
    match role {
        PlatformRole::Admin => tr::common::platform_admin(lang),
        PlatformRole::Auditor => tr::common::platform_auditor(lang),
    }
}

/// Whether the reader, who may look, may also change.
fn may_change(cx: &Cx, resource: Resource, action: Action) -> bool {
    cx.services.authz().platform(&cx.ctx, resource, action).is_ok()
}

/// What the overview shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// How many tenants there are.
    pub tenants: usize,
    /// How many people.
    pub people: usize,
    /// The clusters and how fresh what is known of each is.
    pub clusters: Vec<(ClusterId, Freshness)>,
}

async fn overview(cx: Cx) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Platform, Action::Read)?;
    let one = ListQuery { limit: 1, ..ListQuery::default() };
    let model = Model {
        tenants: cx.services.list_tenants(&cx.ctx).await?.len(),
        people: cx.services.list_users(&cx.ctx, &one).await?.total,
        clusters: cx.services.clusters().all().iter().map(|c| (c.id().clone(), c.freshness())).collect(),
    };
    let given_up = super::webhooks::banner(&cx, None).await;
    let view = view! { {given_up} {overview_view(cx.ui(), model)} };
    Ok(Page::new(tr::common::platform(cx.lang()), Place::Admin(AdminNav::Overview), view).into())
}

/// The platform at a glance.
pub fn overview_view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let rows: Vec<_> = m
        .clusters
        .into_iter()
        .map(|(id, freshness)| {
            let (tone, word, why) = match &freshness.state {
                CacheState::Live if freshness.idle_since.is_some() => {
                    (Tone::Warn, tr::common::idle(l), tr::common::idle_hint(l).to_owned())
                }
                CacheState::Live => (Tone::Ok, tr::shell::cluster_live(l), String::new()),
                CacheState::Loading => (Tone::Info, tr::common::loading(l), String::new()),
                CacheState::Stale { reason, .. } => (Tone::Bad, tr::shell::cluster_stale(l), reason.to_string()),
            };
            view! {
                <tr>
                    <td><a class="name" href=paths::admin_cluster(&id)>{id.to_string()}</a></td>
                    <td>{status(tone, word)}</td>
                    {fill(why)}
                    <td class="num muted">{freshness.as_of.map(|at| ago(ui, at))}</td>
                </tr>
            }
        })
        .collect();
    let number = |label: &'static str, n: usize, href: &'static str| {
        view! { <a class="card tile number" href=href><span class="muted small">{label}</span><b>{n}</b></a> }
    };
    view! {
        <div class="head"><h1>{tr::common::platform(l)}</h1></div>
        <div class="tiles">
            {number(tr::common::tenants(l), m.tenants, paths::ADMIN_TENANTS)}
            {number(tr::common::people(l), m.people, paths::ADMIN_PEOPLE)}
        </div>
        <section class="card" aria-label=tr::shell::clusters(l)>
            <header><h2>{tr::shell::clusters(l)}</h2></header>
            {table(
                [Column::text(tr::common::name(l)),
                 Column::text(tr::common::status(l)),
                 Column::text(tr::shell::why(l)),
                 Column::number(tr::shell::last_heard(l))],
                None,
                rows,
            )}
        </section>
    }
}

async fn new_tenant(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    cx.services.authz().platform(&cx.ctx, Resource::Tenant, Action::Create)?;
    let me = cx.ctx.person().map(|p| p.name.to_string()).unwrap_or_default();
    let title = tr::shell::new_tenant(cx.lang());
    let view = new_tenant_view(cx.ui(), form, me);
    Ok(Page::new(title, Place::Admin(AdminNav::Tenants), view)
        .crumb(title, paths::ADMIN_TENANT_NEW)
        .status(status)
        .into())
}

/// The form for a tenant; `me` owns it unless another owner is named.
pub fn new_tenant_view(ui: Ui, form: Form, me: String) -> impl IntoView + 'static {
    let l = ui.lang;
    let name = Field::text("name", tr::shell::tenant_name(l))
        .required()
        .focus()
        .max(TenantName::MAX)
        .checked_as("tenant")
        .placeholder("payments")
        .hint(tr::shell::tenant_name_hint(l, TenantName::MAX));
    let called = Field::text("displayName", tr::shell::display_name(l)).max(60).placeholder("Payments");
    let owner =
        Field::text("owner", tr::shell::owner(l)).placeholder(me).checked_as("user").hint(tr::shell::owner_hint(l));
    view! {
        <div class="head"><h1>{tr::shell::new_tenant(l)}</h1><p>{tr::shell::tenant_what(l)}</p></div>
        <form class="card narrow in" method="post">
            {summary(ui, &form, &["name", "displayName", "owner"])}
            {field(ui, &form, name)}
            {field(ui, &form, called)}
            {field(ui, &form, owner)}
            <div class="actions">
                {button(Button::Go, None, tr::shell::create_tenant(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_TENANTS)}
            </div>
        </form>
    }
}

async fn create_tenant(cx: Cx) -> Result<Answer> {
    let made = async {
        let owner = match cx.field("owner").trim() {
            "" => None,
            text => Some(berth_core::services::people::name("owner", text, berth_types::UserName::MAX)?),
        };
        cx.services.create_tenant(&cx.ctx, cx.field("name"), cx.field("displayName"), owner.as_ref()).await
    }
    .await;
    match made {
        Ok(tenant) => Ok(done(paths::tenant(&tenant.name), tr::shell::tenant_made(cx.lang(), &tenant.display_name))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new_tenant(cx, form).await
        }
    }
}
