//! Plans: the list, a new one, one of them.

use berth_core::{Error, Result, services::plans::PlanText};
use berth_types::{
    Action, FieldError, PlanName, Resource, TenantName,
    quota::{COMMON, ContainerDefaults, Plan, PlanEffect, PlanRow, Written},
};
use leptos::prelude::*;

use super::may_change;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, empty, field, form::summary, hidden, link_button,
        status, table,
    },
    pages::{
        access,
        quotas::{fields, words},
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, PageCx, Place, done},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::Plans);
/// The fields of the containers' defaults.
const DEFAULTS: [&str; 6] = [
    "defaults.cpuRequest",
    "defaults.cpuLimit",
    "defaults.memoryRequest",
    "defaults.memoryLimit",
    "defaults.ephemeralStorageRequest",
    "defaults.ephemeralStorageLimit",
];

pub fn common() -> Vec<String> {
    COMMON.iter().map(ToString::to_string).collect()
}

pub async fn list(cx: Cx) -> Result<Answer> {
    let plans = cx.services.list_plans(&cx.ctx).await?;
    let may = may_change(&cx, Resource::Plan, Action::Create);
    let closed =
        access::closed_on_platform(&cx, tr::quotas::new_plan(cx.lang()), (Resource::Plan, Action::Create)).await;
    let view = list_view(cx.ui(), &plans, may, closed);
    Ok(Page::new(tr::quotas::plans(cx.lang()), PLACE, view).into())
}

/// The list.
pub fn list_view(ui: Ui, plans: &[PlanRow], may: bool, closed: Option<AnyView>) -> impl IntoView + use<> {
    let l = ui.lang;
    let new = || link_button(Button::Go, Some(Icon::Plus), tr::quotas::new_plan(l), paths::ADMIN_PLAN_NEW);
    let top = (may && !plans.is_empty()).then(new);
    let body = if plans.is_empty() {
        let step = may.then(|| new().into_any());
        empty(Icon::Gauge, tr::quotas::no_plans(l), tr::quotas::no_plans_hint(l), step).into_any()
    } else {
        let row = |PlanRow { plan, tenants }: &PlanRow| {
            let limits = plan.resources.iter().map(|(key, amount)| {
                format!("{} {}", words::label(l, key.as_str()), words::amount(key.as_str(), &key.write(amount)))
            });
            let limits = limits.collect::<Vec<_>>().join(" · ");
            view! {
                <tr>
                    <td>
                        <a class="name" href=paths::admin_plan(&plan.name)>{plan.display_name.clone()}</a>
                        " "
                        <span class="muted small mono">{plan.name.to_string()}</span>
                    </td>
                    <td class="muted">{limits}</td>
                    <td class="num">{*tenants}</td>
                </tr>
            }
        };
        let rows: Vec<_> = plans.iter().map(row).collect();
        let columns = [
            Column::text(tr::quotas::plan(l)),
            Column::text(tr::quotas::limits(l)),
            Column::number(tr::quotas::tenants_with(l)),
        ];
        table(columns, None, rows)
    };
    view! {
        <div class="head">
            <h1>{tr::quotas::plans(l)}</h1>
            <p>{tr::quotas::plan_what(l)}</p>
            <div class="do">{closed}{top}</div>
        </div>
        <section class="card" aria-label=tr::quotas::plans(l)>{body}</section>
    }
}

/// What a form shows first.
fn values(display_name: &str, resources: &Written, defaults: &ContainerDefaults) -> Vec<(String, String)> {
    let amounts = [
        &defaults.cpu_request,
        &defaults.cpu_limit,
        &defaults.memory_request,
        &defaults.memory_limit,
        &defaults.ephemeral_storage_request,
        &defaults.ephemeral_storage_limit,
    ];
    let defaults = DEFAULTS.into_iter().zip(amounts.map(String::clone));
    let mut values = vec![("displayName".to_owned(), display_name.to_owned())];
    values.extend(defaults.map(|(field, amount)| (field.to_owned(), amount)));
    values.extend(fields::values(resources, &common()));
    values
}

/// What was sent.
fn text(cx: &PageCx) -> Result<PlanText> {
    let [cpu_request, cpu_limit, memory_request, memory_limit, ephemeral_storage_request, ephemeral_storage_limit] =
        DEFAULTS.map(|name| cx.field(name).trim().to_owned());
    Ok(PlanText {
        display_name: cx.field("displayName").to_owned(),
        resources: fields::sent(cx)?,
        defaults: ContainerDefaults {
            cpu_request,
            cpu_limit,
            memory_request,
            memory_limit,
            ephemeral_storage_request,
            ephemeral_storage_limit,
        },
    })
}

/// The names of all fields, for the summary of what is wrong elsewhere.
fn names() -> Vec<String> {
    let keys = common().into_iter().map(|key| fields::name(&key));
    let others = ["name", "displayName", fields::MORE].into_iter().chain(DEFAULTS).map(str::to_owned);
    keys.chain(others).collect()
}

/// What every form of a plan has: label, limits, defaults.
fn body(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let called = Field::text("displayName", tr::shell::display_name(l)).max(60);
    let labels = [
        tr::quotas::cpu_request(l),
        tr::quotas::cpu_limit(l),
        tr::quotas::memory_request(l),
        tr::quotas::memory_limit(l),
        tr::quotas::disk_request(l),
        tr::quotas::disk_limit(l),
    ];
    let amount = |(name, label)| field(ui, form, Field::text(name, label).mono().max(40).required());
    let defaults: Vec<_> = DEFAULTS.into_iter().zip(labels).map(amount).collect();
    view! {
        {field(ui, form, called)}
        <fieldset>
            <legend>{tr::quotas::limits(l)}</legend>
            <p class="small muted">{tr::quotas::limits_what(l)}</p>
            {fields::amounts(ui, form, &common(), |_| None)}
            {fields::more(ui, form)}
        </fieldset>
        <fieldset>
            <legend>{tr::quotas::defaults(l)}</legend>
            <p class="small muted">{tr::quotas::defaults_what(l)}</p>
            <div class="row">{defaults}</div>
        </fieldset>
    }
    .into_any()
}

fn wrong(ui: Ui, form: &Form) -> AnyView {
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    summary(ui, form, &names).into_any()
}

pub async fn new(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Plan, Action::Create)?;
    let status = refused.as_ref().map_or(200, Form::status);
    let first = || Form { values: values("", &Written::new(), &ContainerDefaults::default()), ..Form::default() };
    let view = new_view(cx.ui(), &refused.unwrap_or_else(first));
    let title = tr::quotas::new_plan(cx.lang());
    Ok(Page::new(title, PLACE, view).crumb(title, paths::ADMIN_PLAN_NEW).status(status).into())
}

fn new_view(ui: Ui, form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let name = Field::text("name", tr::quotas::plan_name(l))
        .required()
        .focus()
        .max(PlanName::MAX)
        .placeholder("small")
        .hint(tr::quotas::plan_name_hint(l));
    view! {
        <div class="head"><h1>{tr::quotas::new_plan(l)}</h1><p>{tr::quotas::plan_what(l)}</p></div>
        <form class="card in" method="post">
            {wrong(ui, form)}
            {field(ui, form, name)}
            {body(ui, form)}
            <div class="actions">
                {button(Button::Go, None, tr::quotas::create_plan(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_PLANS)}
            </div>
        </form>
    }
}

pub async fn create(cx: Cx) -> Result<Answer> {
    if let Some(form) = fields::fixed(&cx) {
        return new(cx, Some(form)).await;
    }
    let made = async { cx.services.create_plan(&cx.ctx, cx.field("name"), &text(&cx)?).await }.await;
    match made {
        Ok(plan) => Ok(done(paths::ADMIN_PLANS, tr::quotas::plan_made(cx.lang(), &plan.name))),
        Err(e) => {
            let form = fields::refused(&cx, &common(), e)?;
            new(cx, Some(form)).await
        }
    }
}

/// What the page of a plan shows.
struct Model {
    plan: Plan,
    form: Form,
    /// The tenants that have it, each with its cluster.
    tenants: Vec<(TenantName, String)>,
    /// What a change would do.
    effects: Option<Vec<PlanEffect>>,
    may: bool,
}

fn find(cx: &PageCx) -> Result<PlanName> {
    cx.param("plan")?.parse().map_err(|_| Error::not_found())
}

pub async fn one(cx: Cx, refused: Option<Form>, effects: Option<Vec<PlanEffect>>) -> Result<Answer> {
    let plan = cx.services.get_plan(&cx.ctx, &find(&cx)?).await?;
    let status = refused.as_ref().map_or(200, Form::status);
    let first = || {
        let mut values = values(&plan.display_name, &plan.resources.written(), &plan.defaults);
        values.push(("version".to_owned(), plan.version.to_string()));
        Form { values, ..Form::default() }
    };
    let form = match refused {
        // The button that deletes sends no fields.
        Some(form) if form.values.iter().all(|(field, _)| field != "displayName") => {
            Form { values: first().values, ..form }
        }
        Some(form) => form,
        None => first(),
    };
    let has_it = cx.services.tenants_of_plan(&cx.ctx, &plan.name).await?;
    let model = Model {
        tenants: has_it.into_iter().map(|(tenant, cluster)| (tenant, cluster.to_string())).collect(),
        may: may_change(&cx, Resource::Plan, Action::Update),
        plan,
        form,
        effects,
    };
    let (title, path) = (model.plan.display_name.clone(), paths::admin_plan(&model.plan.name));
    let closed = access::closed_on_platform(&cx, tr::common::change(cx.lang()), (Resource::Plan, Action::Update)).await;
    let view = one_view(cx.ui(), &model, closed);
    Ok(Page::new(title.clone(), PLACE, view).crumb(title, path).status(status).into())
}

fn one_view(ui: Ui, m: &Model, closed: Option<AnyView>) -> impl IntoView + use<> {
    let l = ui.lang;
    let effects = m.effects.as_ref().map(|effects| {
        let row = |effect: &PlanEffect| {
            let problems: Vec<String> = effect.problems.iter().map(|e| tr::field_error(l, e)).collect();
            let (tone, word) = match problems.is_empty() {
                true => (Tone::Ok, tr::quotas::effect_ok(l)),
                false => (Tone::Bad, tr::quotas::effect_bad(l)),
            };
            view! {
                <tr>
                    <td><a class="name" href=paths::tenant_quota(&effect.tenant)>{effect.tenant.to_string()}</a></td>
                    <td class="muted">{effect.cluster.to_string()}</td>
                    <td>{status(tone, word)}</td>
                    <td>{problems.into_iter().map(|text| view! { <p>{text}</p> }).collect::<Vec<_>>()}</td>
                </tr>
            }
        };
        let rows: Vec<_> = effects.iter().map(row).collect();
        let columns = [
            Column::text(tr::common::tenant(l)),
            Column::text(tr::shell::cluster(l)),
            Column::text(tr::common::status(l)),
            Column::text(tr::shell::why(l)),
        ];
        let body = match effects.is_empty() {
            true => view! { <p class="in muted">{tr::quotas::effects_none(l)}</p> }.into_any(),
            false => table(columns, None, rows),
        };
        view! { <div role="status">{card(tr::quotas::effects(l), None, body)}</div> }
    });
    let edit = m.may.then(|| {
        view! {
            <form class="card in" method="post">
                {wrong(ui, &m.form)}
                {hidden("version", m.form.value("version").to_owned())}
                {body(ui, &m.form)}
                <div class="actions">
                    {button(Button::Go, None, tr::common::save(l), Some("save"))}
                    {button(Button::Plain, None, tr::quotas::preview(l), Some("preview"))}
                    {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_PLANS)}
                </div>
            </form>
        }
    });
    let users: Vec<_> = m
        .tenants
        .iter()
        .map(|(tenant, cluster)| {
            view! {
                <li>
                    <a href=paths::tenant_quota(tenant)>{tenant.to_string()}</a>
                    " "
                    <span class="muted small">{cluster.clone()}</span>
                </li>
            }
        })
        .collect();
    let users = match users.is_empty() {
        true => view! { <p class="in muted">{tr::quotas::effects_none(l)}</p> }.into_any(),
        false => view! { <ul class="in">{users}</ul> }.into_any(),
    };
    let delete = (m.may && m.tenants.is_empty()).then(|| {
        let sure = tr::quotas::delete_plan_sure(l, &m.plan.name);
        let body = view! {
            <form class="in" method="post">
                <p class="small">{tr::quotas::delete_plan_what(l)}</p>
                <div class="actions">
                    <button class="btn danger" name="do" value="delete" data-confirm=sure>
                        {tr::quotas::delete_plan(l)}
                    </button>
                </div>
            </form>
        };
        card(tr::quotas::delete_plan(l), None, body.into_any())
    });
    view! {
        <div class="head">
            <h1>{m.plan.display_name.clone()}</h1>
            <span class="tag mono">{m.plan.name.to_string()}</span>
            <div class="do">{closed}</div>
        </div>
        {effects}
        <div class="cols">
            <div class="stack">{edit}</div>
            <div class="stack">{card(tr::quotas::has_plan(l), None, users)}{delete}</div>
        </div>
    }
}

pub async fn change(cx: Cx) -> Result<Answer> {
    let name = find(&cx)?;
    let l = cx.lang();
    if let Some(form) = fields::fixed(&cx) {
        return one(cx, Some(form), None).await;
    }
    let outcome: Result<Result<Answer, Vec<PlanEffect>>> = async {
        match cx.field("do") {
            "delete" => {
                cx.services.delete_plan(&cx.ctx, &name).await?;
                Ok(Ok(done(paths::ADMIN_PLANS, tr::quotas::plan_deleted(l, &name))))
            }
            "preview" => Ok(Err(cx.services.preview_plan(&cx.ctx, &name, &text(&cx)?).await?)),
            _ => {
                let version = cx.field("version").parse().unwrap_or(0);
                cx.services.update_plan(&cx.ctx, &name, &text(&cx)?, Some(version)).await?;
                Ok(Ok(done(paths::ADMIN_PLANS, tr::quotas::plan_saved(l, &name))))
            }
        }
    }
    .await;
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(effects)) => {
            let form = Form::sent(&cx, &[]);
            one(cx, Some(form), Some(effects)).await
        }
        Err(e) => {
            let form = refused(&cx, e)?;
            one(cx, Some(form), None).await
        }
    }
}

/// Errors of tenants that have the plan are said above the form: several may stand at one key.
fn refused(cx: &PageCx, error: Error) -> Result<Form> {
    let mut form = fields::refused(cx, &common(), error)?;
    let of_tenants = |e: &FieldError| e.params.contains_key("tenant");
    let said: Vec<String> =
        form.errors.iter().filter(|e| of_tenants(e)).map(|e| tr::field_error(cx.lang(), e)).collect();
    form.errors.retain(|e| !of_tenants(e));
    if !said.is_empty() {
        form.message = Some(said.join(" "));
    }
    Ok(form)
}
