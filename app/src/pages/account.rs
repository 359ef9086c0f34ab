//! One's own account: password, sessions, API tokens.

use std::time::Duration;

use berth_core::{
    Error, Result,
    ports::pages::{Access, Language},
};
use berth_types::{
    ErrorCode, FieldError, TenantName, UserName,
    people::{ApiToken, Session, TokenPurpose, TokenScope},
};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::ExposeSecret;

use super::session::{password_fields, set_password};
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, ago, button, card, empty, field, form::summary, hidden, icon, note,
        on, table, tag, tone_tag,
    },
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::ACCOUNT, Access::SignedIn, |cx| profile(cx, Form::default()).boxed())
        .form(|cx| change_password(cx).boxed()),
    Entry::page(paths::SESSIONS, Access::SignedIn, |cx| sessions(cx).boxed()).form(|cx| end_session(cx).boxed()),
    Entry::page(paths::TOKENS, Access::SignedIn, |cx| tokens(cx, Form::default(), None).boxed())
        .form(|cx| change_tokens(cx).boxed()),
];

/// Who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What others see.
    pub display_name: String,
    /// What one signs in as.
    pub name: UserName,
    /// Role on the platform, in words.
    pub platform: Option<&'static str>,
    /// Whether they have a password, and passwords are taken.
    pub password: bool,
}

async fn profile(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let person = cx.ctx.person().ok_or_else(Error::unauthenticated)?;
    let model = Profile {
        display_name: person.display_name.to_string(),
        name: person.name.clone(),
        platform: person.platform_role.map(|r| super::admin::platform_role_name(cx.lang(), r)),
        password: cx.services.has_password(&cx.ctx).await?,
    };
    let view = profile_view(cx.ui(), model, form);
    Ok(Page::new(tr::common::account(cx.lang()), Place::Home(HomeNav::Account), view).status(status).into())
}

/// Profile and password.
pub fn profile_view(ui: Ui, m: Profile, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let password = m.password.then(|| {
        let form = view! {
            <form class="in" method="post">
                {summary(ui, &form, &["current", "new", "again"])}
                <input class="sr" type="text" name="username" autocomplete="username" value=m.name.to_string() tabindex="-1" aria-hidden="true" readonly />
                {password_fields(ui, &form, false)}
                <div class="actions">{button(Button::Go, None, tr::session::set_password(l), None)}</div>
            </form>
        };
        view! { <div class="narrow-wrap">{card(tr::shell::change_password(l), None, form.into_any())}</div> }
    });
    let without = (!m.password).then(|| {
        view! { <p>{tr::sign_in::no_password(l)}" "<a href=paths::CONNECTIONS>{tr::sign_in::ways(l)}</a></p> }
    });
    view! {
        <div class="head"><h1>{m.display_name}</h1>{m.platform.map(tag)}</div>
        <div class="card narrow in">
            <dl class="facts">
                <dt>{tr::shell::user_name(l)}</dt><dd class="mono">{m.name.to_string()}</dd>
            </dl>
        </div>
        {password}
        {without}
    }
}

async fn change_password(cx: Cx) -> Result<Answer> {
    match set_password(&cx, paths::ACCOUNT).await? {
        Ok(changed) => Ok(changed),
        Err(form) => profile(cx, form).await,
    }
}

async fn sessions(cx: Cx) -> Result<Answer> {
    let sessions = cx.services.my_sessions(&cx.ctx).await?;
    let view = sessions_view(cx.ui(), sessions);
    Ok(Page::new(tr::common::sessions(cx.lang()), Place::Home(HomeNav::Sessions), view).into())
}

/// A browser and its system, from what it calls itself: the few words that people recognise.
#[must_use]
pub fn browser(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Every browser claims to be its forerunners too, so the newest claims come first.
    let name = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name}, {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => user_agent.chars().take(40).collect(),
    }
}

/// One's sessions.
pub fn sessions_view(ui: Ui, sessions: Vec<Session>) -> impl IntoView + 'static {
    let l = ui.lang;
    let several = sessions.len() > 1;
    let rows: Vec<_> = sessions
        .into_iter()
        .map(|s| {
            let act = if s.current {
                tone_tag(Tone::Ok, tr::shell::this_one(l)).into_any()
            } else {
                view! {
                    <form method="post">
                        {hidden("session", s.id.to_string())}
                        <button class="btn sm danger" name="do" value="end">{tr::shell::end_session(l)}</button>
                    </form>
                }
                .into_any()
            };
            let called = browser(&s.user_agent);
            view! {
                <tr>
                    <td class="name" title=s.user_agent>{called}</td>
                    <td class="mono muted">{s.network}</td>
                    <td class="muted">{ago(ui, s.last_seen_at)}</td>
                    <td class="muted hide">{on(s.created_at)}</td>
                    <td class="muted hide">{on(s.expires_at)}</td>
                    <td class="act">{act}</td>
                </tr>
            }
        })
        .collect();
    let all = several.then(|| {
        view! {
            <form method="post">
                <button class="btn danger" name="do" value="end-others">{tr::shell::end_others(l)}</button>
            </form>
        }
    });
    view! {
        <div class="head"><h1>{tr::common::sessions(l)}</h1><p>{tr::shell::sessions_what(l)}</p><div class="do">{all}</div></div>
        <section class="card" aria-label=tr::common::sessions(l)>
            {table(
                [Column::text(tr::shell::browser(l)),
                 Column::text(tr::shell::network(l)),
                 Column::text(tr::shell::last_used(l)),
                 Column::text(tr::shell::since(l)),
                 Column::text(tr::shell::ends(l)),
                 Column::actions(l)],
                None,
                rows,
            )}
        </section>
    }
}

async fn end_session(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    if cx.field("do") == "end-others" {
        let ended = cx.services.sign_out_everywhere(&cx.ctx).await?;
        return Ok(done(paths::SESSIONS, tr::shell::sessions_ended(l, ended)));
    }
    let id = cx.field("session").parse().map_err(|_| Error::not_found())?;
    cx.services.end_session(&cx.ctx, id).await?;
    Ok(done(paths::SESSIONS, tr::shell::session_ended(l)))
}

/// A token that was just made: shown once.
#[derive(Clone)]
pub struct Fresh {
    /// What it is for.
    pub name: String,
    /// The secret.
    pub secret: String,
}

async fn tokens(cx: Cx, form: Form, fresh: Option<Fresh>) -> Result<Answer> {
    let status = form.status();
    let tokens = cx.services.my_tokens(&cx.ctx).await?;
    let tenants = cx.services.list_tenants(&cx.ctx).await?.iter().map(|t| t.name.clone()).collect();
    let view = tokens_view(cx.ui(), tokens, tenants, form, fresh);
    Ok(Page::new(tr::common::tokens(cx.lang()), Place::Home(HomeNav::Tokens), view).status(status).into())
}

fn scope_text(l: Language, purpose: TokenPurpose, scope: &TokenScope) -> String {
    let rights = if scope.read_only { tr::shell::scope_read(l) } else { tr::shell::scope_all(l) };
    let rights = match purpose {
        TokenPurpose::Api => rights.to_owned(),
        TokenPurpose::Kubectl => format!("{}, {rights}", tr::kubectl::alone(l)),
    };
    match (&scope.tenant, &scope.namespace) {
        (Some(t), Some(n)) => format!("{rights}, {t} / {n}"),
        (Some(t), None) => format!("{rights}, {t}"),
        (None, _) => rights,
    }
}

/// Lifetimes to choose from, in days.
const DAYS: [u64; 4] = [7, 30, 90, 365];

/// One's API tokens.
pub fn tokens_view(
    ui: Ui,
    tokens: Vec<ApiToken>,
    tenants: Vec<TenantName>,
    mut form: Form,
    fresh: Option<Fresh>,
) -> impl IntoView + 'static {
    let l = ui.lang;
    if form.value("expiresInDays").is_empty() {
        form.values.push(("expiresInDays".to_owned(), "30".to_owned()));
    }
    let shown = fresh.map(|f| {
        let body = view! {
            <p><strong>{tr::shell::token_made(l, f.name)}</strong></p>
            <p>{tr::shell::shown_once(l)}</p>
            {secret(ui, f.secret)}
        };
        view! { <div role="status">{note(Tone::Ok, body.into_any())}</div> }
    });
    let name = Field::text("name", tr::shell::token_for(l)).required().max(60).placeholder("ci");
    let days = DAYS.iter().map(|d| (d.to_string(), tr::common::days(l, d))).collect();
    let days = Field::select("expiresInDays", tr::shell::lives(l), days);
    let mut places = vec![(String::new(), tr::shell::all_mine(l).to_owned())];
    places.extend(tenants.iter().map(|t| (t.to_string(), t.to_string())));
    let tenant = Field::select("scope.tenant", tr::shell::only_tenant(l), places);
    let namespace = Field::text("scope.namespace", tr::shell::only_namespace(l)).max(30).checked_as("namespace");
    let read_only = Field::check("scope.readOnly", tr::shell::read_only(l)).hint(tr::shell::read_only_hint(l));
    let fields = ["name", "expiresInDays", "scope.tenant", "scope.namespace", "scope.readOnly"];
    let make = view! {
        <form class="in" method="post">
            {summary(ui, &form, &fields)}
            <div class="row">{field(ui, &form, name)}{field(ui, &form, days)}</div>
            <div class="row">{field(ui, &form, tenant)}{field(ui, &form, namespace)}</div>
            {field(ui, &form, read_only)}
            <div class="actions">{button(Button::Go, Some(Icon::Plus), tr::shell::make_token(l), Some("create"))}</div>
        </form>
    };
    view! {
        <div class="head"><h1>{tr::common::tokens(l)}</h1><p>{tr::shell::tokens_what(l)}</p></div>
        {shown}
        <section class="card" aria-label=tr::common::tokens(l)>{token_table(ui, tokens)}</section>
        {card(tr::shell::new_token(l), None, make.into_any())}
    }
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

fn token_table(ui: Ui, tokens: Vec<ApiToken>) -> AnyView {
    let l = ui.lang;
    if tokens.is_empty() {
        return empty(Icon::Key, tr::shell::no_tokens(l), tr::shell::no_tokens_hint(l), None).into_any();
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
            let sure = tr::shell::revoke_sure(l, &t.name);
            view! {
                <tr>
                    <td class="name">{t.name}</td>
                    <td class="mono muted">{format!("{}…", t.prefix)}</td>
                    <td>{scope_text(l, t.purpose, &t.scope)}</td>
                    <td class="muted hide">{used}</td>
                    <td class="muted">{ends}</td>
                    <td class="act">
                        <form method="post">
                            {hidden("token", t.id.to_string())}
                            <button class="btn sm danger" name="do" value="revoke" data-confirm=sure>
                                {tr::shell::revoke(l)}
                            </button>
                        </form>
                    </td>
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

fn scope_of(cx: &Cx) -> Result<TokenScope> {
    fn name<T: std::str::FromStr<Err = berth_types::NameError>>(cx: &Cx, field: &str) -> Result<Option<T>> {
        let text = cx.field(field).trim();
        if text.is_empty() {
            return Ok(None);
        }
        let refused =
            |e: berth_types::NameError| Error::field(FieldError::new(field, e.code(), e.to_string()).param("max", 30));
        text.parse().map(Some).map_err(refused)
    }
    Ok(TokenScope {
        read_only: cx.field("scope.readOnly") == "on",
        tenant: name(cx, "scope.tenant")?,
        namespace: name(cx, "scope.namespace")?,
    })
}

async fn change_tokens(cx: Cx) -> Result<Answer> {
    if cx.field("do") == "revoke" {
        let id = cx.field("token").parse().map_err(|_| Error::not_found())?;
        cx.services.revoke_token(&cx.ctx, id).await?;
        return Ok(done(paths::TOKENS, tr::shell::revoked(cx.lang())));
    }
    let made = async {
        let days: u64 = cx.field("expiresInDays").trim().parse().unwrap_or(0);
        let lives = Duration::from_secs(days.saturating_mul(86_400));
        cx.services.create_token(&cx.ctx, cx.field("name"), scope_of(&cx)?, lives).await
    }
    .await;
    match made {
        // Shown in the answer itself: a secret has no place in a redirect or a flash.
        Ok((token, secret)) => {
            let fresh = Fresh { name: token.name, secret: secret.expose_secret().to_owned() };
            tokens(cx, Form::default(), Some(fresh)).await
        }
        Err(e) => {
            let taken = e.code() == ErrorCode::AlreadyExists;
            let mut form = Form::refused(&cx, &[], e)?;
            if taken {
                form.message = Some(tr::shell::token_taken(cx.lang()).to_owned());
            }
            tokens(cx, form, None).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers() {
        for (agent, want) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
                "Chrome, Linux",
            ),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18 Safari/605", "Safari, macOS"),
            ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Windows"),
            ("curl/8.5.0", "curl"),
            ("", ""),
        ] {
            assert_eq!(browser(agent), want);
        }
    }
}
