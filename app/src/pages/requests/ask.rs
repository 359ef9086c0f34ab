//! The form that asks for another quota. Whoever comes from a form that was refused finds what is lacking filled in.

use berth_core::{Error, Result, quota::requests::Stood, services::requests::NewAsk};
use berth_types::{
    Action, ClusterId, Quantity, QuotaKey, Resource, Resources, TenantName,
    quota::{
        TenantQuota, Written,
        request::{MAX_LOAN_DAYS, QuotaLoan},
    },
};
use leptos::prelude::*;

use crate::{
    components::{
        Button, Field, Form, Icon, Tone, button, card, empty, field, form::summary, hidden, link_button, note, on,
    },
    pages::quotas::{fields, words},
    paths,
    request::{Answer, Cx, Page, PageCx, Place, TenantNav, done},
    tr,
    ui::Ui,
};

/// What a page brings along that lacks something: `lacking[requests.cpu]=1500m`.
const LACKING: &str = "lacking[";

/// What the form shows.
struct Model {
    tenant: TenantName,
    quota: Option<TenantQuota>,
    clusters: Vec<ClusterId>,
    lacking: Written,
    /// The loan that shall be kept for longer.
    loan: Option<QuotaLoan>,
    form: Form,
}

/// What was lacking, from the link or from the form itself.
fn lacking(cx: &PageCx) -> Written {
    let sent = cx.request.form.as_deref().unwrap_or(&cx.request.query);
    let pairs = sent.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(LACKING)?.strip_suffix(']')?;
        Some((key.to_owned(), value.clone()))
    });
    pairs.collect()
}

fn amount(text: &str) -> Quantity {
    text.parse().unwrap_or_default()
}

/// The loan that shall be kept for longer.
fn kept<'a>(cx: &PageCx, quota: Option<&'a TenantQuota>) -> Option<&'a QuotaLoan> {
    let asked = cx.query("loan");
    quota?.loans.iter().find(|loan| loan.request.to_string() == asked)
}

/// What the form shows first: the limits as they are, and where something is lacking, as they would have to be; of a loan that
/// shall be kept for longer as a whole.
fn first(cx: &PageCx, quota: Option<&TenantQuota>, lacking: &Written) -> Form {
    let lacks = Resources::read("lacking", lacking).unwrap_or_default();
    let loan = kept(cx, quota);
    let rows = quota.into_iter().flat_map(|quota| &quota.resources);
    let mut values: Vec<(String, String)> = rows
        .filter_map(|row| {
            let Stood { key, base, whole } = Stood::of(row)?;
            let base = if loan.is_some_and(|loan| loan.resources.has(&key)) { whole } else { base };
            let (lack, left) = (lacks.of(&key), row.left.as_deref().map(amount).unwrap_or_default());
            let more = if lack > left { lack.minus(left) } else { Quantity::ZERO };
            Some((fields::name(key.as_str()), key.write(base.plus(more))))
        })
        .collect();
    let namespace = loan.and_then(|loan| loan.namespace.as_ref()).map(ToString::to_string);
    values.push(("namespace".to_owned(), namespace.unwrap_or_else(|| cx.query("namespace").to_owned())));
    Form { values, ..Form::default() }
}

fn keys(quota: &TenantQuota) -> Vec<String> {
    quota.resources.iter().filter(|row| row.limit.is_some()).map(|row| row.resource.clone()).collect()
}

async fn quotas(cx: &PageCx) -> Result<(TenantName, Vec<TenantQuota>)> {
    let tenant = cx.tenant()?;
    cx.services.authz().tenant(&cx.ctx, &tenant, Resource::Request, Action::Create).await?;
    let quotas = cx.services.tenant_quota(&cx.ctx, &tenant).await?;
    Ok((tenant, quotas.into_iter().map(|overview| overview.quota).collect()))
}

fn chosen<'a>(cx: &PageCx, quotas: &'a [TenantQuota]) -> Option<&'a TenantQuota> {
    let asked = if cx.request.form.is_some() { cx.field("cluster") } else { cx.query("cluster") };
    let namespace = cx.query("namespace");
    let holds = |quota: &&TenantQuota| quota.namespaces.iter().any(|n| n.namespace.as_str() == namespace);
    let named = quotas.iter().find(|quota| quota.cluster.as_str() == asked);
    named.or_else(|| quotas.iter().find(holds)).or_else(|| quotas.iter().find(|q| q.limited)).or(quotas.first())
}

pub async fn page(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let (tenant, quotas) = quotas(&cx).await?;
    let quota = chosen(&cx, &quotas).cloned();
    let lacking = lacking(&cx);
    let status = refused.as_ref().map_or(200, Form::status);
    let form = refused.unwrap_or_else(|| first(&cx, quota.as_ref(), &lacking));
    let clusters = quotas.iter().map(|quota| quota.cluster.clone()).collect();
    let loan = kept(&cx, quota.as_ref()).cloned();
    let model = Model { tenant: tenant.clone(), quota: quota.filter(|q| q.limited), clusters, lacking, loan, form };
    let title = tr::requests::ask(cx.lang());
    let view = view(cx.ui(), &model);
    let list = paths::quota_requests(&tenant);
    let page = Page::new(title, Place::Tenant(tenant.clone(), TenantNav::Quota), view);
    let page = page.crumb(tr::requests::requests(cx.lang()), list).crumb(title, paths::quota_request_new(&tenant));
    Ok(page.status(status).into())
}

fn view(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    let head = view! { <div class="head"><h1>{tr::requests::ask(l)}</h1><p>{tr::requests::ask_what(l)}</p></div> };
    let body = match &m.quota {
        Some(quota) => form(ui, m, quota),
        None => {
            let back = link_button(Button::Plain, None, tr::quotas::quota(l), paths::tenant_quota(&m.tenant));
            let free =
                empty(Icon::Gauge, tr::quotas::unlimited(l), tr::requests::nothing_to_ask(l), Some(back.into_any()));
            view! { <section class="card">{free}</section> }.into_any()
        }
    };
    view! { {head} {body} }.into_any()
}

/// What is lacking, and whether asking is needed at all: what is not shared out yet can be had at once.
fn came_from(ui: Ui, m: &Model, quota: &TenantQuota) -> Option<AnyView> {
    let l = ui.lang;
    let lacks = Resources::read("lacking", &m.lacking).ok().filter(|lacks| !lacks.is_empty())?;
    let left = |key: &QuotaKey| {
        let row = quota.resources.iter().find(|row| row.resource == key.as_str());
        row.and_then(|row| row.left.as_deref()).map(amount)
    };
    let text = |key: &QuotaKey, n: Quantity| words::amount(key.as_str(), &key.write(n));
    let said: Vec<_> = lacks
        .iter()
        .map(|(key, lack)| {
            let label = words::label(l, key.as_str());
            let left = left(key).unwrap_or_default();
            view! { <li>{tr::requests::lacks(l, label, text(key, lack), text(key, left))}</li> }
        })
        .collect();
    let enough = lacks.iter().all(|(key, lack)| left(key).is_none_or(|left| left >= lack));
    let namespace = m.form.value("namespace").to_owned();
    let share = (enough && !namespace.is_empty()).then(|| {
        let href = paths::namespace_quota(&m.tenant, &namespace);
        view! { <p>{tr::requests::enough_left(l)} " " <a href=href>{tr::quotas::share_of(l, namespace)}</a></p> }
    });
    Some(note(Tone::Info, view! { <p>{tr::requests::came_from(l)}</p><ul>{said}</ul>{share} }.into_any()).into_any())
}

fn form(ui: Ui, m: &Model, quota: &TenantQuota) -> AnyView {
    let l = ui.lang;
    let keys = keys(quota);
    let mut names: Vec<String> = keys.iter().map(|key| fields::name(key)).collect();
    names.extend(["namespace", "until", "reason"].map(str::to_owned));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = |key: &str| {
        let row = quota.resources.iter().find(|row| row.resource == key)?;
        let text = |n: &str| words::amount(key, n);
        let now = words::amount(key, row.limit.as_deref()?);
        let shared = text(&row.shared);
        Some(match &row.used {
            Some(used) => tr::requests::hint(l, now, shared, text(used)),
            None => tr::requests::hint_uncounted(l, now, shared),
        })
    };
    let mut places = vec![(String::new(), tr::requests::no_namespace(l).to_owned())];
    places.extend(quota.namespaces.iter().map(|n| (n.namespace.to_string(), n.namespace.to_string())));
    let several = m.clusters.len() > 1;
    let others: Vec<_> = m
        .clusters
        .iter()
        .filter(|_| several)
        .map(|id| {
            let here = (*id == quota.cluster).then_some("true");
            let href = paths::with_query(&paths::quota_request_new(&m.tenant), [("cluster", id.as_str())]);
            view! { <a class="chip" href=href aria-current=here>{id.to_string()}</a> }
        })
        .collect();
    let carried: Vec<_> = m
        .lacking
        .iter()
        .map(|(key, n)| view! { <input type="hidden" name=format!("{LACKING}{key}]") value=n.clone() /> })
        .collect();
    let grows = Field::select("namespace", tr::requests::namespace(l), places).hint(tr::requests::namespace_hint(l));
    let end = Field::moment("until", tr::requests::until(l)).hint(tr::requests::until_hint(l, MAX_LOAN_DAYS));
    let why = Field::area("reason", tr::requests::reason(l), 4).required().hint(tr::requests::reason_hint(l));
    let lends = quota.resources.iter().any(|row| row.lent.is_some());
    let lent = (lends && m.loan.is_none()).then(|| view! { <p class="small muted">{tr::requests::lent_what(l)}</p> });
    let body = view! {
        <form class="in" method="post">
            {summary(ui, &m.form, &names)}
            {hidden("cluster", quota.cluster.to_string())}
            {carried}
            <fieldset>
                <legend>{tr::requests::limits(l)}</legend>
                <p class="small muted">{tr::requests::limits_what(l)}</p>
                {lent}
                {fields::amounts(ui, &m.form, &keys, hint)}
            </fieldset>
            <div class="row">{field(ui, &m.form, grows)}{field(ui, &m.form, end)}</div>
            {field(ui, &m.form, why)}
            <div class="actions">
                {button(Button::Go, None, tr::requests::send(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::tenant_quota(&m.tenant))}
            </div>
        </form>
    };
    let longer = m.loan.as_ref().map(|loan| {
        note(Tone::Info, view! { <p>{tr::requests::longer_what(l)} " " {on(loan.ends_at)}</p> }.into_any())
    });
    view! {
        {came_from(ui, m, quota)}
        {longer}
        {several.then(|| view! { <div class="chips">{others}</div> })}
        {card(tr::requests::ask_card(l), None, body.into_any())}
    }
    .into_any()
}

pub async fn send(cx: Cx) -> Result<Answer> {
    if let Some(form) = fields::fixed(&cx) {
        return page(cx, Some(form)).await;
    }
    let (tenant, all) = quotas(&cx).await?;
    let made = async {
        let filled = |name: &str| Some(cx.field(name).trim().to_owned()).filter(|text| !text.is_empty());
        let cluster =
            filled("cluster").map(|id| id.parse::<ClusterId>().map_err(|_| Error::not_found())).transpose()?;
        let new = NewAsk {
            cluster,
            namespace: filled("namespace"),
            resources: fields::sent(&cx)?,
            until: filled("until"),
            reason: cx.field("reason").to_owned(),
            lacking: lacking(&cx),
        };
        cx.services.request_quota(&cx.ctx, &tenant, &new).await
    }
    .await;
    match made {
        Ok(request) => {
            let said = if request.state.is_open() {
                tr::requests::sent(cx.lang())
            } else {
                tr::requests::sent_approved(cx.lang())
            };
            Ok(done(paths::quota_request(&tenant, request.id), said))
        }
        Err(e) => {
            let keys = chosen(&cx, &all).map(keys).unwrap_or_default();
            let form = fields::refused(&cx, &keys, e)?;
            page(cx, Some(form)).await
        }
    }
}
