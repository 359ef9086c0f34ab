//! A tenant: its namespaces, what it is called.

use std::sync::Arc;

use berth_core::{
    Result,
    authz::{Grant, TenantRef},
    ports::{
        cluster::{Freshness, NamespaceSummary},
        pages::{Access, Fragment},
    },
};
use berth_types::{
    Action, ClusterId, NamespaceName, Resource, TenantName, TenantRole, cluster::ClusterChoice, people::Tenant,
};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    access::{self, Missing},
    errors::role_name,
    home::{glance, stalest},
    life,
    quotas::{fields, words},
    webhooks,
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, button, card, empty, field, form::summary, hidden, link_button, on, table,
        tag,
    },
    layout::stale_banner,
    paths,
    request::{Answer, Cx, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}", Access::Tenant, |cx| page(cx).boxed()).live(|cx| live(cx).boxed()),
    Entry::page("/t/{tenant}/settings", Access::Tenant, |cx| settings(cx, None).boxed()).form(|cx| rename(cx).boxed()),
    Entry::page("/t/{tenant}/namespaces/new", Access::Tenant, |cx| new_namespace(cx, Form::default()).boxed())
        .form(|cx| create_namespace(cx).boxed()),
];

/// A namespace in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: NamespaceName,
    /// Its name in the cluster.
    pub kube_name: Arc<str>,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its apps.
    pub summary: NamespaceSummary,
}

/// What the tenant's page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub tenant: TenantName,
    /// What people call it.
    pub display_name: Arc<str>,
    /// The reader's role.
    pub role: Option<TenantRole>,
    /// Its namespaces, by name.
    pub namespaces: Vec<Row>,
    /// Whether the reader may make namespaces.
    pub may_create: bool,
    /// Why not, where it is for want of a role.
    pub closed: Option<Missing>,
    /// Whether the reader may give the tenant namespaces that a cluster has already.
    pub may_adopt: bool,
    /// How fresh that is.
    pub freshness: Option<Freshness>,
}

fn could(cx: &Cx, tenant: &Grant<TenantRef>, resource: Resource, action: Action) -> bool {
    cx.services.authz().could(&cx.ctx, tenant, resource, action)
}

async fn load(cx: &Cx) -> Result<Model> {
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let overviews = cx.services.list_namespaces(&cx.ctx, &grant.name).await?;
    Ok(Model {
        tenant: grant.name.clone(),
        display_name: grant.display_name.clone(),
        role: grant.role,
        may_create: could(cx, &grant, Resource::Namespace, Action::Create),
        closed: access::missing(cx, &grant, (Resource::Namespace, Action::Create)).await,
        may_adopt: could(cx, &grant, Resource::Adoption, Action::Create),
        freshness: stalest(&overviews),
        namespaces: overviews
            .into_iter()
            .map(|o| Row {
                name: o.namespace.name.clone(),
                kube_name: o.namespace.kube_name.clone(),
                cluster: o.namespace.cluster.clone(),
                summary: o.summary,
            })
            .collect(),
    })
}

async fn page(cx: Cx) -> Result<Answer> {
    let model = load(&cx).await?;
    let (title, freshness) = (model.display_name.to_string(), model.freshness.clone());
    let place = Place::Tenant(model.tenant.clone(), TenantNav::Namespaces);
    let given_up = webhooks::banner(&cx, Some(&model.tenant)).await;
    let mut page = Page::new(title, place, view! { {given_up} {view(cx.ui(), model)} });
    page.freshness = freshness;
    Ok(page.into())
}

async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let model = load(&cx).await?;
    let stale = model.freshness.as_ref().and_then(|f| stale_banner(cx.lang(), f));
    Ok(vec![
        Fragment { id: "stale".to_owned(), html: stale.to_html() },
        Fragment { id: "namespaces".to_owned(), html: namespaces(cx.ui(), &model).to_html() },
    ])
}

/// The tenant's page.
pub fn view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let new = (m.may_create && !m.namespaces.is_empty()).then(|| {
        link_button(Button::Plain, Some(Icon::Plus), tr::shell::new_namespace(l), paths::namespace_new(&m.tenant))
    });
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::shell::new_namespace(l), closed));
    let kubectl = (!m.namespaces.is_empty()).then(|| {
        link_button(Button::Plain, Some(Icon::Terminal), tr::kubectl::title(l), paths::kubectl(&m.tenant, None))
    });
    let adopt = m.may_adopt.then(|| link_button(Button::Plain, None, tr::adopt::title(l), paths::adopt(&m.tenant)));
    view! {
        <div class="head">
            <h1>{m.display_name.to_string()}</h1>
            {m.role.map(|r| tag(role_name(l, r)))}
            <span class="tag mono">{m.tenant.to_string()}</span>
            <div class="do">{kubectl}{adopt}{new}{closed}</div>
        </div>
        <section class="card" id="namespaces" aria-label=tr::common::namespaces(l)>{namespaces(ui, &m)}</section>
    }
}

fn namespaces(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    if m.namespaces.is_empty() {
        let step = m.may_create.then(|| {
            let href = paths::namespace_new(&m.tenant);
            link_button(Button::Go, Some(Icon::Plus), tr::shell::new_namespace(l), href).into_any()
        });
        let text = if m.may_create { tr::shell::no_namespaces(l) } else { tr::shell::no_namespaces_ask(l) };
        return empty(Icon::Box, tr::shell::no_namespaces_title(l), text, step).into_any();
    }
    let rows: Vec<_> = m
        .namespaces
        .iter()
        .map(|n| {
            view! {
                <tr>
                    <td><a class="name" href=paths::namespace(&m.tenant, &n.name)>{n.name.to_string()}</a></td>
                    <td>{glance(ui, &n.summary)}</td>
                    <td class="num">{n.summary.pods}</td>
                    <td class="mono muted hide">{n.kube_name.clone()}</td>
                    <td class="muted hide">{n.cluster.to_string()}</td>
                </tr>
            }
        })
        .collect();
    table(
        [
            Column::text(tr::common::namespace(l)),
            Column::text(tr::common::apps(l)),
            Column::number(tr::common::pods(l)),
            Column::text(tr::shell::in_cluster(l)),
            Column::text(tr::shell::cluster(l)),
        ],
        None,
        rows,
    )
}

async fn settings(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (grant, tenant) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| {
        Form::with([("displayName", tenant.display_name.clone()), ("version", tenant.version.to_string())])
    });
    let may = could(&cx, &grant, Resource::Tenant, Action::Update);
    let stop = life::MayStop {
        suspend: could(&cx, &grant, Resource::Suspension, Action::Create),
        remove: could(&cx, &grant, Resource::Tenant, Action::Delete),
    };
    let stop = life::in_settings(cx.ui(), &grant.name, grant.halt.as_ref(), stop);
    let place = Place::Tenant(grant.name.clone(), TenantNav::Settings);
    let hooks = could(&cx, &grant, Resource::Webhook, Action::Read).then(|| {
        let l = cx.lang();
        let link = link_button(Button::Plain, Some(Icon::Out), tr::webhooks::webhooks(l), paths::webhooks(&grant.name));
        let body = view! { <div class="in"><p>{tr::webhooks::what(l)}</p><div class="actions">{link}</div></div> };
        card(tr::webhooks::webhooks(l), None, body.into_any())
    });
    let view = view! { {settings_view(cx.ui(), tenant, form, may)} {hooks} {stop} };
    Ok(Page::new(tr::common::settings(cx.lang()), place, view).status(status).into())
}

/// What a tenant is called.
pub fn settings_view(ui: Ui, tenant: Tenant, form: Form, may: bool) -> impl IntoView + 'static {
    let l = ui.lang;
    let called = Field::text("displayName", tr::shell::display_name(l)).required().max(60);
    let body = if may {
        view! {
            <form class="in" method="post">
                {summary(ui, &form, &["displayName"])}
                {hidden("version", form.value("version"))}
                {field(ui, &form, called)}
                <div class="actions">{button(Button::Go, None, tr::common::save(l), None)}</div>
            </form>
        }
        .into_any()
    } else {
        view! { <div class="in small">{tenant.display_name.clone()}</div> }.into_any()
    };
    view! {
        <div class="head"><h1>{tr::common::settings(l)}</h1></div>
        <div class="card narrow">
            {body}
            <footer>
                <dl class="facts">
                    <dt>{tr::shell::tenant_name(l)}</dt><dd class="mono">{tenant.name.to_string()}</dd>
                    <dt>{tr::common::created(l)}</dt><dd>{on(tenant.created_at)}</dd>
                </dl>
            </footer>
        </div>
    }
}

async fn rename(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let version = cx.field("version").parse().unwrap_or(0);
    match cx.services.rename_tenant(&cx.ctx, &tenant, cx.field("displayName"), version).await {
        Ok(_) => Ok(done(paths::tenant_settings(&tenant), tr::shell::saved(cx.lang()))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            settings(cx, Some(form)).await
        }
    }
}

/// The keys that a new namespace may have a share of, each with how much is left of it where that is one number.
async fn shareable(cx: &Cx, tenant: &TenantName) -> Result<Vec<(String, Option<String>)>> {
    let quotas = cx.services.tenant_quota(&cx.ctx, tenant).await?;
    let several = quotas.len() > 1;
    let mut keys: Vec<(String, Option<String>)> = Vec::new();
    for row in quotas.into_iter().flat_map(|overview| overview.quota.resources) {
        if let Some(left) = row.left.filter(|_| !keys.iter().any(|(key, _)| *key == row.resource)) {
            let left = (!several).then(|| words::amount(&row.resource, &left));
            keys.push((row.resource, left));
        }
    }
    Ok(keys)
}

async fn new_namespace(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let tenant = cx.tenant()?;
    cx.services.authz().tenant(&cx.ctx, &tenant, Resource::Namespace, Action::Create).await?;
    let clusters = cx.services.cluster_choices(&cx.ctx, &tenant).await?;
    let shares = shareable(&cx, &tenant).await?;
    let place = Place::Tenant(tenant.clone(), TenantNav::Namespaces);
    let title = tr::shell::new_namespace(cx.lang());
    let view = new_namespace_view(cx.ui(), tenant, clusters, shares, form);
    Ok(Page::new(title, place, view).crumb(title, cx.request.path.clone()).status(status).into())
}

/// The form for a namespace; `shares`: the keys it may have a share of, and how much is left of each.
pub fn new_namespace_view(
    ui: Ui,
    tenant: TenantName,
    clusters: Vec<ClusterChoice>,
    shares: Vec<(String, Option<String>)>,
    form: Form,
) -> impl IntoView + 'static {
    let l = ui.lang;
    let name = Field::text("name", tr::common::name(l))
        .required()
        .focus()
        .max(NamespaceName::MAX)
        .checked_as("namespace")
        .placeholder("staging")
        .hint(tr::shell::namespace_hint(l, &tenant));
    let cluster = (clusters.len() > 1).then(|| {
        let options = clusters.iter().map(|c| (c.name.to_string(), c.line())).collect();
        field(ui, &form, Field::select("cluster", tr::shell::cluster(l), options))
    });
    let keys: Vec<String> = shares.iter().map(|(key, _)| key.clone()).collect();
    let mut names: Vec<String> = keys.iter().map(|key| fields::name(key)).collect();
    names.extend(["name".to_owned(), "cluster".to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let share = (!keys.is_empty()).then(|| {
        let left = |key: &str| {
            let left = shares.iter().find(|(one, _)| one == key).and_then(|(_, left)| left.as_deref());
            left.map(|left| tr::quotas::up_to_uncounted(l, left))
        };
        view! {
            <fieldset>
                <legend>{tr::quotas::share_at_creation(l)}</legend>
                <p class="small muted">{tr::quotas::share_at_creation_what(l)}</p>
                {fields::amounts(ui, &form, &keys, left)}
            </fieldset>
        }
    });
    view! {
        <div class="head"><h1>{tr::shell::new_namespace(l)}</h1><p>{tr::shell::namespace_what(l)}</p></div>
        <form class="card narrow in" method="post">
            {summary(ui, &form, &names)}
            {field(ui, &form, name)}
            {cluster}
            {share}
            <div class="actions">
                {button(Button::Go, None, tr::shell::create_namespace(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::tenant(&tenant))}
            </div>
        </form>
    }
}

async fn create_namespace(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    if let Some(form) = fields::fixed(&cx) {
        return new_namespace(cx, form).await;
    }
    let cluster = cx.field("cluster").parse::<ClusterId>().ok();
    let share = fields::sent(&cx)?;
    let services = &cx.services;
    match services.create_namespace_with(&cx.ctx, &tenant, cx.field("name"), cluster.as_ref(), Some(&share)).await {
        Ok(made) => {
            let flash = tr::shell::namespace_made(cx.lang(), &made.name);
            Ok(done(paths::namespace(&tenant, &made.name), flash))
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new_namespace(cx, form).await
        }
    }
}
