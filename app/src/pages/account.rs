//! One's own account: password, sessions.

use berth_core::{Error, Result, ports::pages::Access};
use berth_types::{UserName, people::Session, view_as::ViewRecord};
use futures::FutureExt;
use leptos::prelude::*;

use super::{
    session::{password_fields, set_password},
    view_as,
};
use crate::{
    components::{Button, Column, Form, Tone, ago, button, card, form::summary, hidden, on, table, tag, tone_tag},
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
    /// Whether they have a password, and passwords are taken; what opens the account is nobody else's to see.
    pub password: Option<bool>,
    /// Who looked at the portal as they have it.
    pub looks: Vec<ViewRecord>,
}

async fn profile(cx: Cx, form: Form) -> Result<Answer> {
    let status = form.status();
    let person = cx.ctx.person().ok_or_else(Error::unauthenticated)?;
    let model = Profile {
        display_name: person.display_name.to_string(),
        name: person.name.clone(),
        platform: person.platform_role.map(|r| super::admin::platform_role_name(cx.lang(), r)),
        password: match person.themselves() {
            Ok(_) => Some(cx.services.has_password(&cx.ctx).await?),
            Err(_) => None,
        },
        looks: cx.services.my_views(&cx.ctx).await?,
    };
    let view = profile_view(cx.ui(), model, form);
    Ok(Page::new(tr::common::account(cx.lang()), Place::Home(HomeNav::Account), view).status(status).into())
}

/// Profile and password.
pub fn profile_view(ui: Ui, m: Profile, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let password = (m.password == Some(true)).then(|| {
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
    let without = (m.password == Some(false)).then(|| {
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
        {view_as::records(ui, tr::view_as::mine(l), tr::view_as::mine_what(l), m.looks)}
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
