//! A tenant's quota: what it may have, how that is shared out, what is used; the forms that share it out.

use berth_core::{
    Result,
    ports::{cluster::Freshness, pages::Access},
    services::{quotas::QuotaOverview, usage::Looked},
};
use berth_types::{
    Action, Quantity, QuotaKey, Resource, Resources, TenantName,
    quota::{
        NamespaceQuota, QuotaRow, TenantQuota,
        request::{QuotaLoan, QuotaRequest},
    },
    rows::UsageRow,
};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{Button, Column, Form, Meter, Tone, card, link_button, meter, note, table, tag},
    pages::{
        access::{self, Missing},
        requests, usage as used,
    },
    paths,
    request::{Answer, Cx, Page, Place, TenantNav},
    router::Entry,
    tr,
    ui::Ui,
};

pub mod fields;
mod share;
#[cfg(test)]
mod tests;
pub mod words;

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/quota", Access::Tenant, |cx| page(cx).boxed()),
    Entry::page("/t/{tenant}/quota/move", Access::Tenant, |cx| share::moving(cx, None).boxed())
        .form(|cx| share::move_part(cx).boxed()),
    Entry::page("/t/{tenant}/n/{namespace}/quota", Access::Tenant, |cx| share::edit(cx, None).boxed())
        .form(|cx| share::change(cx).boxed()),
];

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Model {
    /// The tenant.
    pub tenant: TenantName,
    /// Its quotas, by cluster.
    pub quotas: Vec<TenantQuota>,
    /// Whether the reader may share it out.
    pub may_share: bool,
    /// Whether the reader may set it.
    pub may_set: bool,
    /// Whether the reader may ask for another one.
    pub may_ask: bool,
    /// Why they may not share it out, where it is for want of a role.
    pub closed: Option<Missing>,
    /// Why they may not ask, where it is for want of a role.
    pub asking: Option<Missing>,
    /// Requests that somebody is to decide.
    pub open: Vec<QuotaRequest>,
    /// What its namespaces took and used, as its quotas.
    pub used: Vec<Looked>,
}

fn stalest(quotas: &[QuotaOverview]) -> Option<Freshness> {
    quotas.iter().map(|quota| &quota.freshness).min_by_key(|freshness| freshness.as_of).cloned()
}

async fn page(cx: Cx) -> Result<Answer> {
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &cx.tenant()?).await?;
    let overviews = cx.services.tenant_quota(&cx.ctx, &grant.name).await?;
    let could = |resource| cx.services.authz().could(&cx.ctx, &grant, resource, Action::Update);
    let requests = cx.services.list_requests(&cx.ctx, &grant.name).await?;
    let freshness = stalest(&overviews);
    let mut used = Vec::new();
    // A cluster that Berth knows no more has no history that could be shown beside what is now.
    let known = |overview: &&QuotaOverview| cx.services.clusters().get(&overview.quota.cluster).is_ok();
    for overview in overviews.iter().filter(known) {
        let (cluster, window) = (&overview.quota.cluster, used::window(&cx));
        used.push(cx.services.tenant_history(&cx.ctx, &grant.name, Some(cluster), window).await?);
    }
    let model = Model {
        tenant: grant.name.clone(),
        quotas: overviews.into_iter().map(|overview| overview.quota).collect(),
        may_share: could(Resource::Share),
        may_set: could(Resource::Quota),
        closed: access::missing(&cx, &grant, (Resource::Share, Action::Update)).await,
        asking: access::missing(&cx, &grant, (Resource::Request, Action::Create)).await,
        may_ask: cx.services.authz().could(&cx.ctx, &grant, Resource::Request, Action::Create),
        open: requests.into_iter().filter(|request| request.state.is_open()).collect(),
        used,
    };
    let place = Place::Tenant(grant.name.clone(), TenantNav::Quota);
    let mut page = Page::new(tr::quotas::quota(cx.lang()), place, view(cx.ui(), model));
    page.freshness = freshness;
    Ok(page.into())
}

/// The page.
pub fn view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let movable = m.quotas.iter().any(|q| q.namespaces.iter().filter(|n| n.enforced.is_some()).count() > 1);
    let moving = (m.may_share && movable)
        .then(|| link_button(Button::Plain, None, tr::quotas::r#move(l), paths::quota_move(&m.tenant)));
    let set = m
        .may_set
        .then(|| link_button(Button::Plain, None, tr::quotas::set_quota(l), paths::admin_tenant_quota(&m.tenant)));
    let several = m.quotas.len() > 1;
    let loans: Vec<(String, QuotaLoan)> = m
        .quotas
        .iter()
        .flat_map(|quota| quota.loans.iter().map(move |loan| (quota.cluster.to_string(), loan.clone())))
        .collect();
    // Where nothing is limited there is nothing to ask for.
    let asked = m.quotas.iter().any(|quota| quota.limited) || !m.open.is_empty();
    let requests = asked.then(|| requests::on_quota_page(ui, &m.tenant, &m.open, &loans, m.may_ask));
    let clusters: Vec<_> = m.quotas.iter().map(|quota| cluster(ui, &m, quota, several)).collect();
    let there =
        |looked: &&Looked| m.quotas.iter().any(|quota| quota.cluster == looked.cluster && !quota.namespaces.is_empty());
    let taken: Vec<_> = m
        .used
        .iter()
        .filter(there)
        .map(|looked| {
            let place = if several { looked.cluster.as_str() } else { "" };
            used::section(ui, looked, place, tr::quotas::shared(l))
        })
        .collect();
    let any = m.quotas.iter().any(|quota| !quota.namespaces.is_empty());
    let closed = m.closed.as_ref().filter(|_| any);
    let closed = closed.map(|closed| access::closed(ui, tr::quotas::change_share(l), closed));
    let asking = m.asking.as_ref().filter(|_| m.quotas.iter().any(|quota| quota.limited));
    let asking = asking.map(|asking| access::closed(ui, tr::requests::ask(l), asking));
    view! {
        <div class="head">
            <h1>{tr::quotas::quota(l)}</h1>
            <p>{tr::quotas::what(l)}</p>
            <div class="do">{moving}{set}{closed}{asking}</div>
        </div>
        {clusters}
        {requests}
        {taken}
    }
}

/// A tenant's quota on one cluster; its name where there are several.
fn cluster(ui: Ui, m: &Model, quota: &TenantQuota, several: bool) -> AnyView {
    let l = ui.lang;
    let title = if several { quota.cluster.to_string() } else { tr::quotas::limits(l).to_owned() };
    let plan = match (&quota.plan, quota.limited) {
        (Some(plan), _) => tr::quotas::by_plan(l, plan),
        (None, true) if quota.origin.is_some() => {
            tr::requests::own_of_plan(l, quota.origin.as_ref().map(ToString::to_string).unwrap_or_default())
        }
        (None, true) => tr::quotas::own(l).to_owned(),
        (None, false) => tr::quotas::unlimited(l).to_owned(),
    };
    let body = if quota.resources.is_empty() {
        view! { <p class="in muted">{tr::quotas::unlimited_what(l)}</p> }.into_any()
    } else {
        let why = (!quota.limited).then(|| view! { <p class="in muted">{tr::quotas::unlimited_shares(l)}</p> });
        view! { {why}{limits(ui, &quota.resources)} }.into_any()
    };
    let namespaces: Vec<_> = quota.namespaces.iter().map(|n| namespace(ui, m, quota, n)).collect();
    let namespaces = if namespaces.is_empty() {
        view! { <p class="muted">{tr::quotas::no_namespaces(l)}</p> }.into_any()
    } else {
        namespaces.into_any()
    };
    view! { {card(title, Some(tag(plan).into_any()), body)} {namespaces} }.into_any()
}

/// Limit, shared out, left and used of each key.
pub fn limits(ui: Ui, rows: &[QuotaRow]) -> AnyView {
    let l = ui.lang;
    let row = |row: &QuotaRow| {
        let amount = |text: &Option<String>| text.as_deref().map(|text| words::amount(&row.resource, text));
        let or_none = |text: Option<String>| text.unwrap_or_else(|| tr::quotas::nothing(l).to_owned());
        view! {
            <tr>
                <td>
                    <span class="name">{words::label(l, &row.resource)}</span>
                    " "
                    <span class="muted small mono">{row.resource.clone()}</span>
                </td>
                <td class="num">
                    {amount(&row.limit).unwrap_or_else(|| tr::quotas::unlimited(l).to_owned())}
                    {amount(&row.lent).map(|lent| view! {
                        " "
                        <span class="muted small">{tr::requests::of_it_lent(l, lent)}</span>
                    })}
                </td>
                <td class="num">{words::amount(&row.resource, &row.shared)}</td>
                <td class="num">{or_none(amount(&row.left))}</td>
                <td class="num">{or_none(amount(&row.used))}</td>
                <td>{bar(row)}</td>
            </tr>
        }
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::quotas::limit(l)),
        Column::number(tr::quotas::shared(l)),
        Column::number(tr::quotas::left(l)),
        Column::number(tr::quotas::used(l)),
        Column::text(tr::quotas::how_full(l)),
    ];
    table(columns, None, rows)
}

/// Part of `limit` in per cent, at most 100.
fn percent(amount: Quantity, limit: Quantity) -> i64 {
    let full = if amount > Quantity::ZERO { 100 } else { 0 };
    amount.thousandths_of(limit).map_or(full, |part| (part / 10).clamp(0, 100))
}

/// Used (solid) and shared out (hatched) of a limit. Says nothing that the numbers beside it do not.
fn bar(row: &QuotaRow) -> Option<AnyView> {
    let amount = |text: &str| text.parse::<Quantity>().unwrap_or_default();
    let limit = amount(row.limit.as_deref()?);
    let shared = percent(amount(&row.shared), limit);
    let used = percent(row.used.as_deref().map(amount).unwrap_or_default(), limit);
    let class = match used {
        100.. => "bar bad",
        90.. => "bar warn",
        _ => "bar",
    };
    Some(
        view! {
            <span class=class aria-hidden="true">
                <i class="ask" style=format!("width:{shared}%")></i>
                <i style=format!("width:{used}%")></i>
            </span>
        }
        .into_any(),
    )
}

/// A namespace's share and what it uses of it.
fn namespace(ui: Ui, m: &Model, quota: &TenantQuota, n: &NamespaceQuota) -> AnyView {
    let l = ui.lang;
    let change = m.may_share.then(|| {
        let href = paths::namespace_quota(&m.tenant, &n.namespace);
        let label = tr::quotas::change_share_of(l, &n.namespace);
        view! { <a class="btn sm" href=href aria-label=label>{tr::quotas::change_share(l)}</a> }
    });
    let href = paths::namespace_usage(&m.tenant, &n.namespace);
    let label = tr::usage::of_namespace(l, &n.namespace);
    let change = view! { <a class="btn sm" href=href aria-label=label>{tr::usage::usage(l)}</a> {change} };
    let bars = n
        .enforced
        .as_ref()
        .map(|enforced| view! { <div class="strip">{meters(ui, enforced, &n.used)}</div> }.into_any());
    let none = (quota.limited && n.share.is_none())
        .then(|| note(Tone::Warn, view! { <p>{tr::quotas::no_share(l)}</p> }.into_any()));
    let free = n.enforced.is_none().then(|| view! { <p class="in muted">{tr::quotas::no_limit(l)}</p> });
    card(n.namespace.to_string(), Some(change.into_any()), view! { {none}{bars}{free} }.into_any()).into_any()
}

/// A bar for each key that is limited.
pub fn meters(ui: Ui, limits: &Resources, used: &Resources) -> Vec<AnyView> {
    let one = |(key, limit): (&QuotaKey, Quantity)| {
        let text = |amount: Quantity| words::amount(key.as_str(), &key.write(amount));
        let now = used.of(key);
        #[expect(clippy::cast_precision_loss, reason = "a bar needs no more than 52 bits")]
        let part = now.thousandths_of(limit).map_or(f64::from(now > Quantity::ZERO), |part| part as f64 / 1000.0);
        let numbers = tr::quotas::of(ui.lang, text(now), text(limit));
        let label = words::label(ui.lang, key.as_str());
        meter(Meter { label: label.into(), text: numbers.into(), used: Some(part), asked: None }).into_any()
    };
    limits.iter().map(one).collect()
}

/// A bar for each key that a namespace is limited in; none where nothing limits it.
pub fn usage(ui: Ui, rows: &[UsageRow]) -> AnyView {
    let amounts = |amount: fn(&UsageRow) -> Option<&str>| -> Resources {
        rows.iter().filter_map(|row| Some((row.resource.parse().ok()?, amount(row)?.parse().ok()?))).collect()
    };
    meters(ui, &amounts(|row| row.limit.as_deref()), &amounts(|row| Some(row.used.as_str()))).into_any()
}

/// What a form of amounts shows first: what there is.
fn written(resources: &Resources) -> Form {
    let values = resources.written().into_iter();
    Form { values: values.map(|(key, amount)| (fields::name(&key), amount)).collect(), ..Form::default() }
}
