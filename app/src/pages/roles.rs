//! Roles that a tenant makes for itself.

use std::collections::BTreeMap;

use berth_core::{
    Error, Result,
    ports::pages::{Access, Language},
    roles::{INCLUDED, RoleText, Why, choices, reasons},
};
use berth_types::{
    Action, FieldError, Resource, Right, RoleName, TenantName, TenantRole,
    custom_role::{CustomRole, Holding, RoleHolder},
};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    access::{self, Missing, noun},
    errors::role_name,
    members::options,
    tokens::{action_table, actions_sent},
};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, button, card, empty, field,
        form::{error_lines, summary},
        table, tag,
    },
    paths,
    request::{Answer, Cx, Page, Place, TenantNav, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/roles", Access::Tenant, |cx| list(cx, Form::default()).boxed())
        .form(|cx| create(cx).boxed()),
    Entry::page("/t/{tenant}/roles/{role}", Access::Tenant, |cx| one(cx, None).boxed()).form(|cx| change(cx).boxed()),
];

/// The form's fields that may be there many times.
const ACTIONS: &str = "actions";
const INCLUDES: &str = "includes";
/// The field with the role that takes the place of one that is removed.
const REPLACEMENT: &str = "replacement";

/// The tenant's own roles, for a form that gives one; none for who may not see them.
pub async fn own(cx: &Cx, tenant: &TenantName) -> Vec<CustomRole> {
    cx.services.list_roles(&cx.ctx, tenant).await.unwrap_or_default()
}

/// What one of a tenant's own roles is called where it is chosen.
#[must_use]
pub fn label(role: &CustomRole) -> String {
    if role.display_name == role.name.as_str() {
        role.display_name.clone()
    } else {
        format!("{} ({})", role.display_name, role.name)
    }
}

/// What the list shows.
struct Model {
    tenant: TenantName,
    roles: Vec<CustomRole>,
    /// Whether the reader may make some.
    may: bool,
    /// Why not, where it is for want of a role.
    closed: Option<Missing>,
    form: Form,
}

async fn list(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let tenant = cx.tenant()?;
    let roles = cx.services.list_roles(&cx.ctx, &tenant).await?;
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &tenant).await?;
    let may = cx.services.authz().could(&cx.ctx, &grant, Resource::Role, Action::Create);
    let closed = access::missing(&cx, &grant, (Resource::Role, Action::Create)).await;
    let view = list_view(cx.ui(), Model { tenant: tenant.clone(), roles, may, closed, form });
    let title = tr::roles::roles(cx.lang());
    let page = Page::new(title, Place::Tenant(tenant.clone(), TenantNav::Members), view);
    Ok(page.crumb(title, paths::roles(&tenant)).status(status).into())
}

fn list_view(ui: Ui, m: Model) -> impl IntoView + 'static {
    let l = ui.lang;
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::roles::new(l), closed));
    let make = m.may.then(|| card(tr::roles::new(l), None, role_form(ui, &m.form, &m.roles, None)));
    view! {
        <div class="head">
            <h1>{tr::roles::roles(l)}</h1>
            <p>{tr::roles::what(l)}</p>
            <div class="do">{closed}</div>
        </div>
        <section class="card" aria-label=tr::roles::roles(l)>{role_table(ui, &m.tenant, &m.roles)}</section>
        {make}
    }
}

fn role_table(ui: Ui, tenant: &TenantName, roles: &[CustomRole]) -> AnyView {
    let l = ui.lang;
    if roles.is_empty() {
        return empty(Icon::People, tr::roles::none(l), tr::roles::none_hint(l), None).into_any();
    }
    let rows: Vec<_> = roles
        .iter()
        .map(|role| {
            view! {
                <tr>
                    <td class="name">
                        <a href=paths::role(tenant, role.name)>{role.display_name.clone()}</a>
                        " "<span class="mono muted">{role.name.to_string()}</span>
                    </td>
                    <td>{role.description.clone()}</td>
                    <td class="mono muted">{words(&role.actions)}</td>
                    <td>{names(l, &role.includes)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::common::name(l)),
        Column::text(tr::roles::description(l)),
        Column::text(tr::roles::chosen(l)),
        Column::text(tr::roles::includes(l)),
    ];
    table(columns, None, rows)
}

fn words(rights: &[Right]) -> String {
    rights.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn names(l: Language, roles: &[TenantRole]) -> String {
    roles.iter().map(|role| role_name(l, *role)).collect::<Vec<_>>().join(", ")
}

/// The form for a role; `known`: the one that is changed.
fn role_form(ui: Ui, form: &Form, roles: &[CustomRole], known: Option<&CustomRole>) -> AnyView {
    let l = ui.lang;
    let name = known.is_none().then(|| {
        let name = Field::text("name", tr::common::name(l)).required().max(RoleName::MAX).mono();
        field(ui, form, name.placeholder("releaser").hint(tr::roles::name_hint(l)))
    });
    let shown = Field::text("displayName", tr::roles::called(l)).max(60).placeholder("Releaser");
    let description = Field::text("description", tr::roles::description(l)).max(300);
    let others = roles.iter().filter(|role| known.is_none_or(|known| known.name != role.name));
    let offered = INCLUDED.iter().map(|role| (*role, role_name(l, *role)));
    let offered = offered.chain(others.map(|role| (TenantRole::Custom(role.name), label(role))));
    let includes: Vec<_> = offered
        .map(|(role, called)| {
            let word = role.to_string();
            let on = form.values.iter().any(|(key, value)| key == INCLUDES && *value == word);
            view! {
                <div class="field check">
                    <label><input type="checkbox" name=INCLUDES value=word checked=on />{called}</label>
                </div>
            }
        })
        .collect();
    let wrong = |name: &'static str| {
        let told = form.errors.iter().filter(|e| e.field.split('[').next() == Some(name));
        let told: Vec<FieldError> = told.cloned().collect();
        (!told.is_empty()).then(|| {
            view! { <div class="field"><div class="errs" role="alert">{error_lines(ui, told)}</div></div> }
        })
    };
    let shown_fields = ["name", "displayName", "description", INCLUDES, ACTIONS];
    let action = if known.is_some() { ("set", tr::common::save(l)) } else { ("create", tr::roles::make(l)) };
    view! {
        <form class="in" method="post">
            {summary(ui, form, &shown_fields)}
            <div class="row">{name}{field(ui, form, shown)}</div>
            {field(ui, form, description)}
            <fieldset>
                <legend>{tr::roles::includes(l)}</legend>
                <p class="small muted">{tr::roles::includes_hint(l)}</p>
                {wrong(INCLUDES)}
                {includes}
            </fieldset>
            <fieldset>
                <legend>{tr::roles::actions(l)}</legend>
                <p class="small muted">{tr::roles::actions_hint(l)}</p>
                {wrong(ACTIONS)}
                {action_table(ui, form, ACTIONS, &choices().collect::<Vec<_>>())}
            </fieldset>
            <div class="actions">{button(Button::Go, None, action.1, Some(action.0))}</div>
        </form>
    }
    .into_any()
}

/// What a form wants a role to be.
fn sent(cx: &Cx) -> Result<RoleText> {
    let mut includes = Vec::new();
    for (_, text) in cx.request.form.iter().flatten().filter(|(key, _)| key == INCLUDES) {
        let unknown = || {
            let error = FieldError::new(INCLUDES, "role_unknown", "there is no such role");
            Error::field(error.param("value", text).param("choices", ""))
        };
        includes.push(TenantRole::from_word(text).ok_or_else(unknown)?);
    }
    Ok(RoleText {
        display_name: cx.field("displayName").to_owned(),
        description: cx.field("description").to_owned(),
        actions: actions_sent(cx, ACTIONS)?,
        includes,
    })
}

async fn create(cx: Cx) -> Result<Answer> {
    let tenant = cx.tenant()?;
    let made = async { cx.services.create_role(&cx.ctx, &tenant, cx.field("name"), &sent(&cx)?).await }.await;
    match made {
        Ok(role) => Ok(done(paths::role(&tenant, role.name), tr::roles::made(cx.lang(), label(&role)))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, form).await
        }
    }
}

/// Which role shall take the place of one that is removed, if any.
fn replacement_sent(cx: &Cx) -> Result<Option<TenantRole>> {
    let word = cx.field(REPLACEMENT).trim();
    let unknown = || {
        let error = FieldError::new(REPLACEMENT, "role_unknown", format!("“{word}” is no role"));
        Error::field(error.param("value", word))
    };
    (!word.is_empty()).then(|| TenantRole::from_word(word).ok_or_else(unknown)).transpose()
}

/// What a role's page shows.
struct OneModel {
    tenant: TenantName,
    role: CustomRole,
    all: Vec<CustomRole>,
    holders: Vec<RoleHolder>,
    may: bool,
    may_remove: bool,
    closed: Option<Missing>,
    form: Option<Form>,
}

fn role_named(cx: &Cx) -> Result<RoleName> {
    cx.param("role")?.parse().map_err(|_| Error::not_found())
}

async fn one(cx: Cx, form: Option<Form>) -> Result<Answer> {
    let status = form.as_ref().map_or(200, Form::status);
    let (tenant, name) = (cx.tenant()?, role_named(&cx)?);
    let (role, holders) = cx.services.get_role(&cx.ctx, &tenant, name).await?;
    let all = cx.services.list_roles(&cx.ctx, &tenant).await?;
    let (grant, _) = cx.services.get_tenant(&cx.ctx, &tenant).await?;
    let could = |action| cx.services.authz().could(&cx.ctx, &grant, Resource::Role, action);
    let (may, may_remove) = (could(Action::Update), could(Action::Delete));
    let closed = access::missing(&cx, &grant, (Resource::Role, Action::Update)).await;
    let title = role.display_name.clone();
    let model = OneModel { tenant: tenant.clone(), role, all, holders, may, may_remove, closed, form };
    let page = Page::new(title.clone(), Place::Tenant(tenant.clone(), TenantNav::Members), one_view(cx.ui(), model));
    let page = page.crumb(tr::roles::roles(cx.lang()), paths::roles(&tenant));
    Ok(page.crumb(title, paths::role(&tenant, name)).status(status).into())
}

/// Why a role gives a right, in words.
fn why(l: Language, why: &Why) -> String {
    match why {
        Why::Chosen => tr::roles::why_chosen(l).to_owned(),
        Why::Included(role) => tr::roles::why_included(l, role_name(l, *role)),
        Why::Needed(right) => tr::roles::why_needed(l, right),
        Why::Belonging => tr::roles::why_belonging(l).to_owned(),
    }
}

fn gives(ui: Ui, reasons: &BTreeMap<Right, Why>) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = reasons
        .iter()
        .map(|(right, reason)| {
            view! {
                <tr>
                    <td class="mono">{right.to_string()}</td>
                    <td>{verb(l, right.action)}" "{noun(l, right.resource)}</td>
                    <td class="muted">{why(l, reason)}</td>
                </tr>
            }
        })
        .collect();
    let columns =
        [Column::text(tr::roles::action(l)), Column::text(tr::roles::means(l)), Column::text(tr::roles::why(l))];
    table(columns, None, rows)
}

fn verb(l: Language, action: Action) -> &'static str {
    tr::template(l, "access", &format!("action_{action}")).unwrap_or_default()
}

fn holding(ui: Ui, tenant: &TenantName, holder: &RoleHolder) -> AnyView {
    let l = ui.lang;
    let word = match holder.holding {
        Holding::Member => tr::access::whole_tenant(l).to_owned(),
        Holding::NamespaceMember => holder.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
        Holding::Invitation => tr::roles::by_invitation(l).to_owned(),
        Holding::GroupRule => tr::roles::by_group(l).to_owned(),
        Holding::AccessRequest => tr::roles::by_request(l).to_owned(),
        Holding::Role => tr::roles::by_role(l).to_owned(),
    };
    let who = match holder.holding {
        Holding::Role => view! { <a href=paths::role(tenant, &holder.who)>{holder.who.clone()}</a> }.into_any(),
        _ => holder.who.clone().into_any(),
    };
    view! { <tr><td class="name">{who}</td><td>{word}</td></tr> }.into_any()
}

fn one_view(ui: Ui, m: OneModel) -> impl IntoView + 'static {
    let l = ui.lang;
    let role = &m.role;
    let held = m.holders.len();
    let remove = (m.may_remove && held == 0).then(|| {
        let sure = tr::roles::remove_sure(l, label(role));
        view! {
            <form method="post">
                <button class="btn danger" name="do" value="remove" data-confirm=sure>{tr::roles::remove(l)}</button>
            </form>
        }
    });
    let closed = m.closed.as_ref().map(|closed| access::closed(ui, tr::roles::change(l), closed));
    let form = m.form.unwrap_or_else(|| Form { values: as_sent(role), ..Form::default() });
    // What was refused stands at the form that was sent.
    let (form, removing) = if form.value("do") == "remove" && held > 0 {
        (Form { values: as_sent(role), ..Form::default() }, form)
    } else {
        (form, Form::default())
    };
    let replace = (m.may_remove && held > 0).then(|| replace_form(ui, &removing, &m.all, role, held));
    let settings = m.may.then(|| {
        let hint = (held > 0).then(|| view! { <p class="in small">{tr::roles::affected(l, held)}</p> });
        let body = view! { {hint}{role_form(ui, &form, &m.all, Some(role))} };
        card(tr::roles::change(l), None, body.into_any())
    });
    let holders = if m.holders.is_empty() {
        empty(Icon::People, tr::roles::nobody(l), tr::roles::nobody_hint(l), None).into_any()
    } else {
        let rows: Vec<_> = m.holders.iter().map(|holder| holding(ui, &m.tenant, holder)).collect();
        table([Column::text(tr::common::name(l)), Column::text(tr::access::place(l))], None, rows)
    };
    view! {
        <div class="head">
            <h1>{role.display_name.clone()}</h1>{tag(role.name.to_string())}
            <p>{role.description.clone()}</p>
            <div class="do">{closed}{remove}</div>
        </div>
        <section class="card" aria-label=tr::roles::gives(l)>
            <header><h2>{tr::roles::gives(l)}</h2></header>
            {gives(ui, &reasons(&m.all, role))}
        </section>
        <section class="card" aria-label=tr::roles::holders(l)>
            <header><h2>{tr::roles::holders(l)}</h2></header>
            {holders}
        </section>
        {settings}
        {replace}
    }
}

/// The form that removes a role which somebody has: the list above it says who.
fn replace_form(ui: Ui, form: &Form, all: &[CustomRole], role: &CustomRole, held: usize) -> AnyView {
    let l = ui.lang;
    let others: Vec<CustomRole> = all.iter().filter(|other| other.name != role.name).cloned().collect();
    let mut choices = vec![(String::new(), tr::roles::choose(l).to_owned())];
    choices.extend(options(l, TenantRole::IN_NAMESPACE, &others));
    let instead = Field::select(REPLACEMENT, tr::roles::instead(l), choices).hint(tr::roles::instead_hint(l));
    let sure = tr::roles::replace_sure(l, label(role), held);
    let body = view! {
        <form class="in" method="post">
            {summary(ui, form, &[REPLACEMENT])}
            <p class="small">{tr::roles::replace_hint(l, held)}</p>
            {field(ui, form, instead)}
            <div class="actions">
                <button class="btn danger" name="do" value="remove" data-confirm=sure>{tr::roles::remove(l)}</button>
            </div>
        </form>
    };
    card(tr::roles::remove(l), None, body.into_any()).into_any()
}

async fn change(cx: Cx) -> Result<Answer> {
    let (tenant, name, l) = (cx.tenant()?, role_named(&cx)?, cx.lang());
    let outcome: Result<Answer> = async {
        if cx.field("do") == "remove" {
            let replacement = replacement_sent(&cx)?;
            cx.services.remove_role(&cx.ctx, &tenant, name, replacement).await?;
            let told = match replacement {
                Some(role) => tr::roles::replaced(l, name, role_name(l, role)),
                None => tr::roles::removed(l, name),
            };
            return Ok(done(paths::roles(&tenant), told));
        }
        let role = cx.services.update_role(&cx.ctx, (&tenant, name), &sent(&cx)?, None).await?;
        Ok(done(paths::role(&tenant, name), tr::roles::changed(l, label(&role))))
    }
    .await;
    match outcome {
        Ok(answer) => Ok(answer),
        Err(e) => {
            let removing = cx.field("do") == "remove";
            let mut form = Form::refused(&cx, &[], e)?;
            if removing {
                // The form below the refusal is the role's own.
                let (role, _) = cx.services.get_role(&cx.ctx, &tenant, name).await?;
                form.values.extend(as_sent(&role));
            }
            one(cx, Some(form)).await
        }
    }
}

/// A role as a form sends it.
fn as_sent(role: &CustomRole) -> Vec<(String, String)> {
    let one = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    [one("displayName", &role.display_name), one("description", &role.description)]
        .into_iter()
        .chain(role.actions.iter().map(|right| one(ACTIONS, &right.to_string())))
        .chain(role.includes.iter().map(|included| one(INCLUDES, included.as_str())))
        .collect()
}
