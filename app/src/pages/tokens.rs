//! API tokens: one's own page, and what robots' pages show of theirs.

use std::{str::FromStr, time::Duration};

use berth_core::{
    Error, Result,
    authz::matrix::{needs, rights, rule_for},
    ports::pages::{Access, Language},
};
use berth_types::{
    Action, ErrorCode, FieldError, Resource, Right, TenantName,
    people::{ApiToken, TokenPurpose, TokenScope},
};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::access::noun;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, empty, field, form::summary, hidden, icon, note,
        on, table, tone_tag,
    },
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] =
    &[Entry::page(paths::TOKENS, Access::SignedIn, |cx| tokens(cx, Form::default(), None).boxed())
        .form(|cx| change(cx).boxed())];

/// The form's field for actions, which may be there many times.
const ACTIONS: &str = "scope.actions";

/// Lifetimes to choose from, in days.
const DAYS: [u64; 4] = [7, 30, 90, 365];

/// Whose tokens are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The reader's own.
    Own,
    /// A robot's, which the reader keeps.
    Robot,
    /// A robot's, at which the reader only looks.
    Seen,
}

/// A token that was just made: shown once.
#[derive(Clone)]
pub struct Fresh {
    /// What it is for.
    pub name: String,
    /// The secret.
    pub secret: String,
}

impl From<(ApiToken, SecretString)> for Fresh {
    fn from((token, secret): (ApiToken, SecretString)) -> Self {
        Self { name: token.name, secret: secret.expose_secret().to_owned() }
    }
}

async fn tokens(cx: Cx, form: Form, fresh: Option<Fresh>) -> Result<Answer> {
    let status = form.status();
    let (ui, l) = (cx.ui(), cx.lang());
    let tokens = cx.services.my_tokens(&cx.ctx).await?;
    let tenants: Vec<TenantName> =
        cx.services.list_tenants(&cx.ctx).await?.iter().map(|tenant| tenant.name.clone()).collect();
    let platform = cx.ctx.person().is_some_and(|person| person.platform_role.is_some());
    let view = view! {
        <div class="head"><h1>{tr::common::tokens(l)}</h1><p>{tr::shell::tokens_what(l)}</p></div>
        {fresh.map(|fresh| made(ui, fresh))}
        <section class="card" aria-label=tr::common::tokens(l)>{list(ui, tokens, Whose::Own)}</section>
        {card(tr::shell::new_token(l), None, new(ui, form, Some(tenants), platform))}
    };
    Ok(Page::new(tr::common::tokens(l), Place::Home(HomeNav::Tokens), view).status(status).into())
}

async fn change(cx: Cx) -> Result<Answer> {
    if let Some(id) = revoked(&cx)? {
        cx.services.revoke_token(&cx.ctx, id).await?;
        return Ok(done(paths::TOKENS, tr::shell::revoked(cx.lang())));
    }
    let made = async {
        let (scope, lives) = wanted(&cx)?;
        cx.services.create_token(&cx.ctx, cx.field("name"), scope, lives).await
    }
    .await;
    match made {
        // Shown in the answer itself: a secret has no place in a redirect or a flash.
        Ok(made) => tokens(cx, Form::default(), Some(made.into())).await,
        Err(e) => {
            let form = refused(&cx, e)?;
            tokens(cx, form, None).await
        }
    }
}

/// The token that a form wants revoked, if it does.
///
/// # Errors
/// `NotFound` for what is no token's id.
pub fn revoked<T: FromStr>(cx: &Cx) -> Result<Option<T>> {
    if cx.field("do") != "revoke" {
        return Ok(None);
    }
    cx.field("token").parse().map(Some).map_err(|_| Error::not_found())
}

/// What a form for a new token wants: what it may do, and how long it lives.
///
/// # Errors
/// `Invalid` at each name that cannot be one.
pub fn wanted(cx: &Cx) -> Result<(TokenScope, Duration)> {
    fn name<T: FromStr<Err = berth_types::NameError>>(cx: &Cx, field: &str) -> Result<Option<T>> {
        let text = cx.field(field).trim();
        if text.is_empty() {
            return Ok(None);
        }
        let refused =
            |e: berth_types::NameError| Error::field(FieldError::new(field, e.code(), e.to_string()).param("max", 30));
        text.parse().map(Some).map_err(refused)
    }
    let days: u64 = cx.field("expiresInDays").trim().parse().unwrap_or(0);
    let actions = actions_sent(cx, ACTIONS)?;
    let scope = TokenScope {
        read_only: cx.field("scope.readOnly") == "on",
        tenant: name(cx, "scope.tenant")?,
        namespace: name(cx, "scope.namespace")?,
        actions,
    };
    Ok((scope, Duration::from_secs(days.saturating_mul(86_400))))
}

/// The actions that were chosen in the form's `field`.
///
/// # Errors
/// `Invalid` at `field` for what is no action.
pub fn actions_sent(cx: &Cx, field: &'static str) -> Result<Vec<Right>> {
    let sent = cx.request.form.iter().flatten().filter(|(key, _)| key == field);
    sent.map(|(_, text)| {
        let refused = |e: berth_types::role::NoRight| {
            Error::field(FieldError::new(field, "action_unknown", e.to_string()).param("value", text))
        };
        text.parse().map_err(refused)
    })
    .collect()
}

/// The form again, with what was wrong.
///
/// # Errors
/// What no form mends.
pub fn refused(cx: &Cx, error: Error) -> Result<Form> {
    let taken = error.code() == ErrorCode::AlreadyExists;
    let mut form = Form::refused(cx, &[], error)?;
    if taken {
        form.message = Some(tr::shell::token_taken(cx.lang()).to_owned());
    }
    Ok(form)
}

/// A token that was just made, with its secret.
#[must_use]
pub fn made(ui: Ui, fresh: Fresh) -> AnyView {
    let l = ui.lang;
    let body = view! {
        <p><strong>{tr::shell::token_made(l, fresh.name)}</strong></p>
        <p>{tr::shell::shown_once(l)}</p>
        {secret(ui, fresh.secret)}
    };
    view! { <div role="status">{note(Tone::Ok, body.into_any())}</div> }.into_any()
}

/// The form for a new token; `tenants`: those to choose from, where its owner may be in several.
#[must_use]
pub fn new(ui: Ui, mut form: Form, tenants: Option<Vec<TenantName>>, platform: bool) -> AnyView {
    let l = ui.lang;
    if form.value("expiresInDays").is_empty() {
        form.values.push(("expiresInDays".to_owned(), "30".to_owned()));
    }
    let name = Field::text("name", tr::shell::token_for(l)).required().max(60).placeholder("ci");
    let days = DAYS.iter().map(|d| (d.to_string(), tr::common::days(l, d))).collect();
    let days = Field::select("expiresInDays", tr::shell::lives(l), days);
    let tenant = tenants.map(|tenants| {
        let mut places = vec![(String::new(), tr::shell::all_mine(l).to_owned())];
        places.extend(tenants.iter().map(|t| (t.to_string(), t.to_string())));
        field(ui, &form, Field::select("scope.tenant", tr::shell::only_tenant(l), places))
    });
    let namespace = Field::text("scope.namespace", tr::shell::only_namespace(l)).max(30).checked_as("namespace");
    let read_only = Field::check("scope.readOnly", tr::shell::read_only(l)).hint(tr::shell::read_only_hint(l));
    let fields = ["name", "expiresInDays", "scope.tenant", "scope.namespace", "scope.readOnly"];
    view! {
        <form class="in" method="post">
            {summary(ui, &form, &fields)}
            <div class="row">{field(ui, &form, name)}{field(ui, &form, days)}</div>
            <div class="row">{tenant}{field(ui, &form, namespace)}</div>
            {field(ui, &form, read_only)}
            {actions(ui, &form, platform)}
            <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::shell::make_token(l), Some("create"))}</div>
        </form>
    }
    .into_any()
}

/// The actions that a token can be limited to: those of the platform, too, for who has a role on it.
fn actions(ui: Ui, form: &Form, platform: bool) -> AnyView {
    let l = ui.lang;
    let all: Vec<Right> =
        rights().filter(|right| platform || rule_for(right.resource, right.action).tenant.is_some()).collect();
    let open = form.values.iter().any(|(key, _)| key == ACTIONS);
    view! {
        <details open=open>
            <summary>{tr::tokens::only_actions(l)}</summary>
            <p class="hint">{tr::tokens::only_actions_hint(l)}</p>
            {action_table(ui, form, ACTIONS, &all)}
        </details>
    }
    .into_any()
}

/// A box to tick for each of `all`, in the form's `name`; a row a resource, with what comes along.
#[must_use]
pub fn action_table(ui: Ui, form: &Form, name: &'static str, all: &[Right]) -> AnyView {
    let l = ui.lang;
    let chosen = |right: &Right| {
        let word = right.to_string();
        form.values.iter().any(|(key, value)| key == name && *value == word)
    };
    let rows: Vec<_> = Resource::ALL
        .iter()
        .filter_map(|resource| {
            let own: Vec<Right> = all.iter().copied().filter(|right| right.resource == *resource).collect();
            let mut along: Vec<String> = own
                .iter()
                .flat_map(|right| needs(*right))
                .filter(|right| right.resource != *resource)
                .map(|right| right.to_string())
                .collect();
            along.sort_unstable();
            along.dedup();
            let boxes: Vec<_> = Action::ALL
                .iter()
                .map(|action| {
                    let there = own.iter().find(|right| right.action == *action);
                    let tick = there.map(|right| {
                        let (word, on) = (right.to_string(), chosen(right));
                        view! { <input type="checkbox" name=name value=word.clone() checked=on aria-label=word /> }
                    });
                    view! { <td>{tick}</td> }
                })
                .collect();
            (!own.is_empty()).then(|| {
                view! {
                    <tr>
                        <td>{noun(l, *resource)}" "<span class="mono muted small hide">{resource.as_str()}</span></td>
                        {boxes}
                        <td class="mono muted small hide">{along.join(", ")}</td>
                    </tr>
                }
            })
        })
        .collect();
    let columns = [
        Column::text(tr::tokens::resource(l)),
        Column::text(tr::tokens::read(l)),
        Column::text(tr::tokens::create(l)),
        Column::text(tr::tokens::update(l)),
        Column::text(tr::tokens::delete(l)),
        Column::text(tr::tokens::along(l)),
    ];
    table(columns, None, rows)
}

/// A secret that is shown once, with a button to copy it where the browser part runs.
pub fn secret(ui: Ui, secret: String) -> impl IntoView + 'static {
    let l = ui.lang;
    view! {
        <p class="secret">
            <code data-secret>{secret.clone()}</code>
            <button type="button" class="btn sm" data-island="copy" data-copy=secret data-done=tr::common::copied(l) hidden>
                {icon(Icon::Copy)}
                <span>{tr::common::copy(l)}</span>
            </button>
        </p>
    }
}

fn scope_text(l: Language, purpose: TokenPurpose, scope: &TokenScope, whose: Whose) -> String {
    let own = whose == Whose::Own;
    let all = if own { tr::shell::scope_all(l) } else { tr::tokens::scope_robot(l) };
    let rights = match (scope.read_only, scope.actions.as_slice()) {
        (true, []) => tr::shell::scope_read(l).to_owned(),
        (false, []) => all.to_owned(),
        (only, actions) => {
            let words = actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if only { format!("{}: {words}", tr::shell::scope_read(l)) } else { words }
        }
    };
    let rights = match purpose {
        TokenPurpose::Api => rights,
        TokenPurpose::Kubectl => format!("{}, {rights}", tr::kubectl::alone(l)),
    };
    match (&scope.tenant, &scope.namespace) {
        (Some(t), Some(n)) => format!("{rights}, {t} / {n}"),
        (Some(t), None) if own => format!("{rights}, {t}"),
        _ => rights,
    }
}

/// Tokens, each with a button to revoke it where the reader may.
#[must_use]
pub fn list(ui: Ui, tokens: Vec<ApiToken>, whose: Whose) -> AnyView {
    let l = ui.lang;
    if tokens.is_empty() {
        let hint = if whose == Whose::Own { tr::shell::no_tokens_hint(l) } else { tr::tokens::no_robot_tokens(l) };
        return empty(Icon::Key, tr::shell::no_tokens(l), hint, None).into_any();
    }
    let rows: Vec<_> = tokens
        .into_iter()
        .map(|t| {
            let used = match t.last_used_at {
                Some(at) => ago(ui, at).into_any(),
                None => tr::shell::never(l).into_any(),
            };
            let ended = t.expires_at <= ui.now;
            let ends =
                if ended { tone_tag(Tone::Warn, tr::shell::ended(l)).into_any() } else { on(t.expires_at).into_any() };
            let revoke = (whose != Whose::Seen).then(|| {
                let sure = tr::shell::revoke_sure(l, &t.name);
                view! {
                    <form method="post">
                        {hidden("token", t.id.to_string())}
                        <button class="btn sm danger" name="do" value="revoke" data-confirm=sure>
                            {tr::shell::revoke(l)}
                        </button>
                    </form>
                }
            });
            view! {
                <tr>
                    <td class="name">{t.name}</td>
                    <td class="mono muted">{format!("{}…", t.prefix)}</td>
                    <td>{scope_text(l, t.purpose, &t.scope, whose)}</td>
                    <td class="muted hide">{used}</td>
                    <td class="muted">{ends}</td>
                    <td class="act">{revoke}</td>
                </tr>
            }
        })
        .collect();
    table(
        [
            Column::text(tr::shell::token_for(l)),
            Column::text(tr::shell::begins_with(l)),
            Column::text(tr::shell::scope(l)),
            Column::text(tr::shell::last_used(l)),
            Column::text(tr::shell::ends(l)),
            Column::actions(l),
        ],
        None,
        rows,
    )
}
