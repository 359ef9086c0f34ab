//! Tenants for admins: how near each is to its quota, and the form that sets one.

use berth_core::{
    Error, Result,
    listing::{Column as ListColumn, Key, Listing},
    services::quotas::{BEYOND, Wanted},
};
use berth_types::{
    Action, ClusterId, PlanName, Quantity, QuotaKey, Resource, TenantName,
    life::HaltKind,
    quota::{QuotaRow, TenantPressure, TenantQuota},
};
use leptos::prelude::*;

use super::{may_change, plans::common};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, List, button, card, empty, field,
        form::summary,
        hidden, link_button,
        list::chip,
        status::{Tone, tone_tag},
        table, tag,
    },
    pages::{
        access,
        quotas::{fields, limits},
        usage,
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::Tenants);
/// Values of the field `plan` that are no plan's name.
const UNLIMITED: &str = "";
const OWN: &str = "=own";

static LISTING: Listing<TenantPressure> = Listing {
    columns: &[
        ListColumn {
            name: "place",
            key: Some(|t| Key::Text(format!("{}/{}", t.tenant, t.cluster))),
            value: None,
            facet: false,
        },
        ListColumn { name: "name", key: Some(|t| t.tenant.as_str().into()), value: None, facet: false },
        ListColumn { name: "pressure", key: Some(|t| t.pressure.unwrap_or(-1).into()), value: None, facet: false },
        ListColumn { name: "idle", key: Some(|t| t.idle_part().unwrap_or(-1).into()), value: None, facet: false },
        ListColumn { name: "limited", key: None, value: Some(|t| t.limited.to_string()), facet: true },
    ],
    search: |t| format!("{} {} {}", t.tenant, t.display_name, t.cluster),
    unique: "place",
    descending: false,
};

pub async fn list(cx: Cx) -> Result<Answer> {
    let rows = cx.services.tenant_pressure(&cx.ctx).await?;
    let query = cx.list_query(&["limited"], "name");
    let several = cx.services.clusters().all().len() > 1;
    let page = LISTING.page(rows, &query)?;
    let may = (may_change(&cx, Resource::Tenant, Action::Create), may_change(&cx, Resource::Quota, Action::Update));
    let l = cx.lang();
    let closed = [
        access::closed_on_platform(&cx, tr::quotas::change_quota(l), (Resource::Quota, Action::Update)).await,
        access::closed_on_platform(&cx, tr::shell::new_tenant(l), (Resource::Tenant, Action::Create)).await,
    ];
    let view = list_view(cx.ui(), &List::of(&cx, query, page), several, may, closed);
    Ok(Page::new(tr::common::tenants(cx.lang()), PLACE, view).into())
}

/// All tenants; the cluster where there are `several`; `may`: make tenants, set quotas.
pub fn list_view(
    ui: Ui,
    list: &List<TenantPressure>,
    several: bool,
    (may_make, may_set): (bool, bool),
    closed: [Option<AnyView>; 2],
) -> impl IntoView + use<> {
    let l = ui.lang;
    let new = || link_button(Button::Go, Some(Icon::Plus), tr::shell::new_tenant(l), paths::ADMIN_TENANT_NEW);
    let top = (may_make && list.page.total > 0).then(new);
    let body = if list.page.items.is_empty() {
        list.empty(l, || {
            let step = may_make.then(|| new().into_any());
            empty(Icon::Tenant, tr::shell::no_tenants_title(l), tr::shell::no_tenants_admin(l), step).into_any()
        })
    } else {
        let rows: Vec<_> = list.page.items.iter().map(|tenant| row(ui, tenant, several, may_set)).collect();
        let columns = [
            Column::text(tr::shell::display_name(l)).by("name"),
            Column::text(tr::quotas::quota(l)),
            Column::number(tr::quotas::pressure(l)).by("pressure"),
            Column::text(tr::quotas::how_full(l)),
            Column::number(tr::usage::idle(l)).by("idle"),
            Column::actions(l),
        ];
        view! { {table(columns, list.sort(), rows)} {list.pager(l)} }.into_any()
    };
    let chips = chip(&list.url, "limited", "false", tr::quotas::unlimited(l), None);
    view! {
        <div class="head"><h1>{tr::common::tenants(l)}</h1><div class="do">{closed.into_iter().flatten().collect::<Vec<_>>()}{top}</div></div>
        {list.card(l, "tenants", (tr::common::tenants(l), tr::quotas::filter_tenants(l)), chips, body)}
    }
}

fn row(ui: Ui, t: &TenantPressure, several: bool, may_set: bool) -> AnyView {
    let l = ui.lang;
    let cluster = several.then(|| view! { " " {tag(t.cluster.to_string())} });
    let quota = match (&t.plan, t.limited) {
        (Some(plan), _) => tr::quotas::by_plan(l, plan),
        (None, true) => tr::quotas::own(l).to_owned(),
        (None, false) => tr::quotas::unlimited(l).to_owned(),
    };
    let fullest = t.pressure.map_or_else(
        || tr::quotas::pressure_none(l).to_owned(),
        |part| if part >= BEYOND { ">100 %".to_owned() } else { format!("{} %", part / 10) },
    );
    let bars: Vec<_> = t.resources.iter().filter_map(|row| pressed(ui, row)).take(3).collect();
    let halted = t.halt.as_ref().map(|halt| {
        let (tone, label) = match halt.kind {
            HaltKind::Suspended => (Tone::Warn, tr::life::suspended_tag(l)),
            HaltKind::TenantLeaving | HaltKind::NamespaceLeaving => (Tone::Bad, tr::life::leaving_tag(l)),
        };
        view! { " " {tone_tag(tone, label)} }
    });
    let set = may_set.then(|| {
        view! { <a class="btn sm quiet" href=paths::admin_tenant_quota(&t.tenant)>{tr::quotas::change_quota(l)}</a> }
    });
    view! {
        <tr>
            <td>
                <a class="name" href=paths::tenant_quota(&t.tenant)>{t.display_name.clone()}</a>
                " "
                <span class="muted small mono">{t.tenant.to_string()}</span>
                {cluster}
                {halted}
            </td>
            <td>{quota}</td>
            <td class="num">{fullest}</td>
            <td>{bars}</td>
            <td class="num">{usage::shares(l, &t.idle)}</td>
            <td class="act">
                {set}
                <a class="btn sm quiet" href=paths::members(&t.tenant)>{tr::common::members(l)}</a>
                <a class="btn sm quiet" href=paths::tenant_settings(&t.tenant)>{tr::common::settings(l)}</a>
            </td>
        </tr>
    }
    .into_any()
}

/// A bar of what is used of a key's limit.
fn pressed(ui: Ui, row: &QuotaRow) -> Option<AnyView> {
    let amount = |text: &str| text.parse::<Quantity>().unwrap_or_default();
    let limits = [(row.resource.parse().ok()?, amount(row.limit.as_deref()?))].into_iter().collect();
    let used = [(row.resource.parse().ok()?, amount(row.used.as_deref()?))].into_iter().collect();
    crate::pages::quotas::meters(ui, &limits, &used).into_iter().next()
}

/// What the form of a tenant's quota shows.
struct Model {
    tenant: TenantName,
    display_name: String,
    quotas: Vec<TenantQuota>,
    cluster: ClusterId,
    clusters: Vec<ClusterId>,
    plans: Vec<(PlanName, String)>,
    form: Form,
}

pub async fn quota(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let platform = cx.services.authz();
    platform.platform(&cx.ctx, Resource::Quota, Action::Update)?;
    let tenant = cx.tenant()?;
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &tenant).await?;
    let quotas = cx.services.tenant_quota(&cx.ctx, &tenant).await?;
    let clusters: Vec<ClusterId> = cx.services.clusters().all().iter().map(|c| c.id().clone()).collect();
    let asked = if refused.is_some() { cx.field("cluster") } else { cx.query("cluster") };
    let chosen = clusters.iter().find(|id| id.as_str() == asked).or_else(|| clusters.first());
    let cluster = chosen.cloned().ok_or_else(Error::not_found)?;
    let quotas: Vec<TenantQuota> = quotas.into_iter().map(|overview| overview.quota).collect();
    let now = quotas.iter().find(|quota| quota.cluster == cluster);
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| first(now));
    let plans = cx.services.list_plans(&cx.ctx).await?.into_iter();
    let model = Model {
        tenant: tenant.clone(),
        display_name: grant.display_name.to_string(),
        plans: plans.map(|row| (row.plan.name, row.plan.display_name)).collect(),
        quotas,
        cluster,
        clusters,
        form,
    };
    let title = tr::quotas::quota_of(cx.lang(), &model.display_name);
    let view = quota_view(cx.ui(), &model);
    let page = Page::new(title, PLACE, view);
    let crumb = (tenant.to_string(), paths::admin_tenant_quota(&tenant));
    Ok(page.crumb(crumb.0, crumb.1).status(status).into())
}

/// What the form shows first.
fn first(now: Option<&TenantQuota>) -> Form {
    let plan = match now {
        Some(quota) if quota.limited => quota.plan.as_ref().map_or(OWN, PlanName::as_str),
        _ => UNLIMITED,
    };
    let rows = now.iter().flat_map(|quota| &quota.resources);
    // What is lent comes on top of what is set here.
    let base = |row: &QuotaRow| {
        let (limit, lent) = (row.limit.as_ref()?, row.lent.as_ref());
        let Some(lent) = lent else { return Some(limit.clone()) };
        let key: QuotaKey = row.resource.parse().ok()?;
        Some(key.write(limit.parse::<Quantity>().ok()?.minus(lent.parse().ok()?)))
    };
    let own = rows.filter_map(|row| Some((row.resource.clone(), base(row)?))).collect();
    let mut values = fields::values(&own, &common());
    values.push(("plan".to_owned(), plan.to_owned()));
    Form { values, ..Form::default() }
}

fn quota_view(ui: Ui, m: &Model) -> impl IntoView + use<> {
    let l = ui.lang;
    let mut names: Vec<String> = common().iter().map(|key| fields::name(key)).collect();
    names.extend(["plan".to_owned(), fields::MORE.to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut choices = vec![
        (UNLIMITED.to_owned(), tr::quotas::unlimited(l).to_owned()),
        (OWN.to_owned(), tr::quotas::amounts(l).to_owned()),
    ];
    choices.extend(m.plans.iter().map(|(name, called)| (name.to_string(), tr::quotas::by_plan(l, called))));
    let others: Vec<_> = m
        .clusters
        .iter()
        .filter(|_| m.clusters.len() > 1)
        .map(|id| {
            let here = (*id == m.cluster).then_some("true");
            let href = paths::with_query(&paths::admin_tenant_quota(&m.tenant), [("cluster", id.as_str())]);
            view! { <a class="chip" href=href aria-current=here>{id.to_string()}</a> }
        })
        .collect();
    let now = m.quotas.iter().find(|quota| quota.cluster == m.cluster);
    let shown = now.filter(|quota| !quota.resources.is_empty()).map(|quota| limits(ui, &quota.resources));
    let shown = shown.map(|table| card(tr::quotas::used(l), None, table));
    view! {
        <div class="head">
            <h1>{tr::quotas::quota_of(l, &m.display_name)}</h1>
            <p>{tr::quotas::quota_of_what(l)}</p>
            <div class="chips">{others}</div>
        </div>
        {shown}
        <form class="card in" method="post">
            {summary(ui, &m.form, &names)}
            {hidden("cluster", m.cluster.to_string())}
            {field(ui, &m.form, Field::select("plan", tr::quotas::kind(l), choices))}
            <fieldset>
                <legend>{tr::quotas::amounts(l)}</legend>
                <p class="small muted">{tr::quotas::amounts_what(l)}</p>
                {fields::amounts(ui, &m.form, &common(), |_| None)}
                {fields::more(ui, &m.form)}
            </fieldset>
            <div class="actions">
                {button(Button::Go, None, tr::quotas::set_quota(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_TENANTS)}
            </div>
        </form>
    }
}

pub async fn set_quota(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    if let Some(form) = fields::fixed(&cx) {
        return quota(cx, Some(form)).await;
    }
    let set = async {
        // Who has no role on the platform does not know of this page.
        cx.services.authz().platform(&cx.ctx, Resource::Quota, Action::Update)?;
        let wanted = match cx.field("plan") {
            UNLIMITED => Wanted::Unlimited,
            OWN => Wanted::Own(fields::sent(&cx)?),
            plan => Wanted::Plan(plan.to_owned()),
        };
        let cluster = cx.field("cluster").parse::<ClusterId>().ok();
        cx.services.set_tenant_quota(&cx.ctx, &tenant, cluster.as_ref(), &wanted).await
    }
    .await;
    match set {
        Ok(_) => Ok(done(paths::tenant_quota(&tenant), tr::quotas::quota_saved(cx.lang(), &tenant))),
        Err(e) => {
            let form = fields::refused(&cx, &common(), e)?;
            quota(cx, Some(form)).await
        }
    }
}
