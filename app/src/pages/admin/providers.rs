//! Identity providers: the list with the switch for passwords, a new one, one of them with the rules for its groups.

mod form;

use berth_core::{Error, Result};
use berth_types::{
    Action, ProviderName, Resource, TenantName, TenantRole,
    provider::{GroupRule, IdentityProvider},
};
use leptos::prelude::*;

use self::form::{FIELDS, OAUTH, PRESETS, body, first, text, values};
use super::may_change;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, empty, field, form::summary, hidden, link_button,
        status, table,
    },
    pages::{access, errors::role_name},
    paths,
    request::{AdminNav, Answer, Cx, Page, PageCx, Place, done},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::SignIn);
/// The fields of a rule.
const RULE: &[&str] = &["group", "tenant", "role"];

pub async fn list(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let providers = cx.services.list_providers(&cx.ctx).await?;
    let local = cx.services.local_accounts(&cx.ctx).await?;
    let may = may_change(&cx, Resource::SignIn, Action::Update);
    let form = refused.unwrap_or_default();
    let code = form.status();
    let closed =
        access::closed_on_platform(&cx, tr::sign_in::new_provider(cx.lang()), (Resource::SignIn, Action::Create)).await;
    let view = list_view(cx.ui(), &form, (&providers, closed), local, may);
    Ok(Page::new(tr::sign_in::providers(cx.lang()), PLACE, view).status(code).into())
}

fn list_view(
    ui: Ui,
    form: &Form,
    (providers, closed): (&[IdentityProvider], Option<AnyView>),
    local: bool,
    may: bool,
) -> impl IntoView + use<> {
    let l = ui.lang;
    let new = || link_button(Button::Go, Some(Icon::Plus), tr::sign_in::new_provider(l), paths::ADMIN_PROVIDER_NEW);
    let top = (may && !providers.is_empty()).then(new);
    let body = if providers.is_empty() {
        let step = may.then(|| new().into_any());
        empty(Icon::Lock, tr::sign_in::no_providers(l), tr::sign_in::no_providers_hint(l), step).into_any()
    } else {
        let row = |provider: &IdentityProvider| {
            let (tone, word) = on_or_off(ui, provider.enabled);
            view! {
                <tr>
                    <td>
                        <a class="name" href=paths::admin_provider(&provider.name)>{provider.display_name.clone()}</a>
                        " "
                        <span class="muted small mono">{provider.name.to_string()}</span>
                    </td>
                    <td>{status(tone, word)}</td>
                    <td class="mono muted">{provider.issuer.clone()}</td>
                </tr>
            }
        };
        let rows: Vec<_> = providers.iter().map(row).collect();
        let columns = [
            Column::text(tr::common::name(l)),
            Column::text(tr::common::status(l)),
            Column::text(tr::sign_in::issuer(l)),
        ];
        table(columns, None, rows)
    };
    let switch = may.then(|| match local {
        true => view! {
            <button class="btn danger" name="do" value="forbid" data-confirm=tr::sign_in::forbid_local_sure(l)>
                {tr::sign_in::forbid_local(l)}
            </button>
        }
        .into_any(),
        false => button(Button::Plain, None, tr::sign_in::allow_local(l), Some("allow")).into_any(),
    });
    let (tone, word) = on_or_off(ui, local);
    let what = if local { tr::sign_in::local_on(l) } else { tr::sign_in::local_off(l) };
    let passwords = view! {
        <form class="in" method="post">
            {summary(ui, form, &[])}
            <p>{status(tone, word)}" "{what}</p>
            <div class="actions">{switch}</div>
        </form>
    };
    view! {
        <div class="head">
            <h1>{tr::sign_in::providers(l)}</h1>
            <p>{tr::sign_in::providers_what(l)}</p>
            <div class="do">
                {link_button(Button::Plain, None, tr::ci::issuers(l), paths::ADMIN_CI)}{closed}{top}
            </div>
        </div>
        <section class="card" aria-label=tr::sign_in::providers(l)>{body}</section>
        {card(tr::sign_in::local(l), None, passwords.into_any())}
    }
}

fn on_or_off(ui: Ui, on: bool) -> (Tone, &'static str) {
    match on {
        true => (Tone::Ok, tr::sign_in::on(ui.lang)),
        false => (Tone::Off, tr::sign_in::off(ui.lang)),
    }
}

pub async fn set_local(cx: Cx) -> Result<Answer> {
    let allowed = cx.field("do") == "allow";
    let l = cx.lang();
    match cx.services.set_local_accounts(&cx.ctx, allowed).await {
        Ok(()) => {
            let said = if allowed { tr::sign_in::local_allowed(l) } else { tr::sign_in::local_forbidden(l) };
            Ok(done(paths::ADMIN_SIGN_IN, said))
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            list(cx, Some(form)).await
        }
    }
}

pub async fn new(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::SignIn, Action::Create)?;
    let code = refused.as_ref().map_or(200, Form::status);
    let view = new_view(cx.ui(), &refused.unwrap_or_else(|| first(cx.query("kind"))));
    let title = tr::sign_in::new_provider(cx.lang());
    Ok(Page::new(title, PLACE, view).crumb(title, paths::ADMIN_PROVIDER_NEW).status(code).into())
}

fn new_view(ui: Ui, form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let name = Field::text("name", tr::sign_in::provider_name(l))
        .required()
        .focus()
        .max(ProviderName::MAX)
        .placeholder("corp")
        .hint(tr::sign_in::provider_name_hint(l));
    let kind = |kind: &str, label: &str| {
        let href = paths::with_query(paths::ADMIN_PROVIDER_NEW, [("kind", kind)]);
        link_button(Button::Quiet, None, label.to_owned(), href)
    };
    let kinds: Vec<_> = PRESETS.into_iter().map(|(name, called)| kind(name, called)).collect();
    view! {
        <div class="head"><h1>{tr::sign_in::new_provider(l)}</h1><p>{tr::sign_in::providers_what(l)}</p></div>
        <nav class="actions" aria-label=tr::oauth::kinds(l)>
            {kind("", "OpenID Connect")}{kinds}{kind(OAUTH, tr::oauth::other(l))}
        </nav>
        <form class="card in" method="post">
            {summary(ui, form, FIELDS)}
            {field(ui, form, name)}
            {body(ui, form)}
            <div class="actions">
                {button(Button::Go, None, tr::sign_in::new_provider(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_SIGN_IN)}
            </div>
        </form>
    }
}

pub async fn create(cx: Cx) -> Result<Answer> {
    match cx.services.create_provider(&cx.ctx, cx.field("name"), &text(&cx)).await {
        Ok(provider) => {
            let said = tr::sign_in::provider_made(cx.lang(), &provider.display_name);
            Ok(done(paths::admin_provider(&provider.name), said))
        }
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new(cx, Some(form)).await
        }
    }
}

/// What the page of a provider shows.
struct Model {
    provider: IdentityProvider,
    form: Form,
    rules: Vec<GroupRule>,
    rule: Form,
    tenants: Vec<TenantName>,
    may: bool,
}

fn find(cx: &PageCx) -> Result<ProviderName> {
    cx.param("provider")?.parse().map_err(|_| Error::not_found())
}

pub async fn one(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    let name = find(&cx)?;
    let provider = cx.services.get_provider(&cx.ctx, &name).await?;
    let code = refused.as_ref().map_or(200, Form::status);
    let shown = || Form { values: values(&provider), ..Form::default() };
    // What was refused belongs to the form that was sent; the buttons that remove send no fields.
    let (form, rule) = match refused {
        Some(form) if form.value("do") == "rule" => (shown(), form),
        Some(form) if form.values.iter().any(|(field, _)| field == "issuer") => (form, Form::default()),
        Some(form) => (Form { values: shown().values, ..form }, Form::default()),
        None => (shown(), Form::default()),
    };
    let model = Model {
        rules: cx.services.list_group_rules(&cx.ctx, &name).await?,
        tenants: cx.services.list_tenants(&cx.ctx).await?.into_iter().map(|tenant| tenant.name.clone()).collect(),
        may: may_change(&cx, Resource::SignIn, Action::Update),
        provider,
        form,
        rule,
    };
    let (title, path) = (model.provider.display_name.clone(), paths::admin_provider(&model.provider.name));
    let closed =
        access::closed_on_platform(&cx, tr::common::change(cx.lang()), (Resource::SignIn, Action::Update)).await;
    let view = one_view(cx.ui(), &model, closed);
    Ok(Page::new(title.clone(), PLACE, view).crumb(title, path).status(code).into())
}

fn one_view(ui: Ui, m: &Model, closed: Option<AnyView>) -> impl IntoView + use<> {
    let l = ui.lang;
    let edit = match m.may {
        true => view! {
            <form class="card in" method="post">
                {summary(ui, &m.form, FIELDS)}
                {hidden("version", m.form.value("version").to_owned())}
                {body(ui, &m.form)}
                <div class="actions">
                    {button(Button::Go, None, tr::common::save(l), Some("save"))}
                    {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_SIGN_IN)}
                </div>
            </form>
        }
        .into_any(),
        false => view! {
            <div class="card in">
                <dl class="facts">
                    <dt>{tr::sign_in::issuer(l)}</dt><dd class="mono">{m.provider.issuer.clone()}</dd>
                    <dt>{tr::sign_in::client_id(l)}</dt><dd class="mono">{m.provider.client_id.clone()}</dd>
                </dl>
            </div>
        }
        .into_any(),
    };
    let delete = m.may.then(|| {
        let sure = tr::sign_in::delete_provider_sure(l, &m.provider.display_name);
        let body = view! {
            <form class="in" method="post">
                <p class="small">{tr::sign_in::delete_provider_what(l)}</p>
                <div class="actions">
                    <button class="btn danger" name="do" value="delete" data-confirm=sure>
                        {tr::sign_in::delete_provider(l)}
                    </button>
                </div>
            </form>
        };
        card(tr::sign_in::delete_provider(l), None, body.into_any())
    });
    let (tone, word) = on_or_off(ui, m.provider.enabled);
    let back = view! { <p class="in mono">{paths::auth_callback(&m.provider.name)}</p> };
    view! {
        <div class="head">
            <h1>{m.provider.display_name.clone()}</h1>
            <span class="tag mono">{m.provider.name.to_string()}</span>
            {status(tone, word)}
            <div class="do">{closed}</div>
        </div>
        <div class="cols">
            <div class="stack">{edit}{card(tr::sign_in::rules(l), None, rules(ui, m))}</div>
            <div class="stack">{card(tr::sign_in::callback(l), None, back.into_any())}{delete}</div>
        </div>
    }
}

/// What its groups mean, and the form for one more.
fn rules(ui: Ui, m: &Model) -> AnyView {
    let l = ui.lang;
    let row = |rule: &GroupRule| {
        let remove = m.may.then(|| {
            view! {
                <form method="post">
                    {hidden("rule", rule.id.to_string())}
                    <button class="btn sm danger" name="do" value="unrule" data-confirm=tr::sign_in::rule_sure(l, &rule.group)>
                        {tr::common::remove(l)}
                    </button>
                </form>
            }
        });
        view! {
            <tr>
                <td class="name">{rule.group.clone()}</td>
                <td>{rule.tenant.to_string()}</td>
                <td>{role_name(l, rule.role)}</td>
                <td class="act">{remove}</td>
            </tr>
        }
    };
    let rows: Vec<_> = m.rules.iter().map(row).collect();
    let columns = [
        Column::text(tr::sign_in::group(l)),
        Column::text(tr::common::tenant(l)),
        Column::text(tr::common::role(l)),
        Column::actions(l),
    ];
    let list = match rows.is_empty() {
        true => view! { <p class="in muted">{tr::sign_in::no_rules(l)}</p> }.into_any(),
        false => table(columns, None, rows),
    };
    let add = m.may.then(|| {
        let mut form = m.rule.clone();
        if form.value("role").is_empty() {
            form.values.push(("role".to_owned(), TenantRole::Developer.to_string()));
        }
        let roles = TenantRole::IN_NAMESPACE.iter().map(ToString::to_string).collect();
        let tenant = Field::text("tenant", tr::common::tenant(l))
            .required()
            .max(TenantName::MAX)
            .choices(m.tenants.iter().map(ToString::to_string).collect());
        view! {
            <form class="in" method="post">
                {summary(ui, &form, RULE)}
                {field(ui, &form, Field::text("group", tr::sign_in::group(l)).required().max(300))}
                <div class="row">
                    {field(ui, &form, tenant)}
                    {field(ui, &form, Field::text("role", tr::common::role(l)).choices(roles).hint(tr::sign_in::rule_role_hint(l)))}
                </div>
                <div class="actions">{button(Button::Plain, Some(Icon::Plus), tr::sign_in::add_rule(l), Some("rule"))}</div>
            </form>
        }
    });
    view! { <p class="in small muted">{tr::sign_in::rules_what(l)}</p>{list}{add} }.into_any()
}

pub async fn change(cx: Cx) -> Result<Answer> {
    let name = find(&cx)?;
    let l = cx.lang();
    let page = paths::admin_provider(&name);
    let outcome: Result<Answer> = async {
        match cx.field("do") {
            "delete" => {
                cx.services.delete_provider(&cx.ctx, &name).await?;
                Ok(done(paths::ADMIN_SIGN_IN, tr::sign_in::provider_deleted(l, &name)))
            }
            "rule" => {
                let (group, tenant) = (cx.field("group"), cx.field("tenant").trim());
                let made = cx.services.create_group_rule(&cx.ctx, &name, group, tenant, cx.field("role")).await?;
                let role = role_name(l, made.role);
                Ok(done(page, tr::sign_in::rule_made(l, &made.group, role, &made.tenant)))
            }
            "unrule" => {
                let rule = cx.field("rule").parse().map_err(|_| Error::not_found())?;
                cx.services.delete_group_rule(&cx.ctx, &name, rule).await?;
                Ok(done(page, tr::sign_in::rule_deleted(l)))
            }
            _ => {
                let version = cx.field("version").parse().unwrap_or(0);
                let saved = cx.services.update_provider(&cx.ctx, &name, &text(&cx), Some(version)).await?;
                Ok(done(page, tr::sign_in::provider_saved(l, &saved.display_name)))
            }
        }
    }
    .await;
    match outcome {
        Ok(answer) => Ok(answer),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            one(cx, Some(form)).await
        }
    }
}
