//! Passkeys: how a page asks for one, sign-in with nothing but one, and each one's own page.

use berth_core::{
    Error, Result,
    ports::pages::{Access, Language, PageResponse, StepChange},
    services::passkeys::NewPasskey,
    webauthn::Unavailable,
};
use berth_types::{ErrorCode, people::Passkey};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::session::next;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, ago, button, card, door, field,
        form::{explain, summary},
        hidden, icon, link_button, on, table,
    },
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

const PASSKEY: &str = "/account/second-factor/{passkey}";

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::SIGN_IN_PASSKEY, Access::Public, |cx| async move { sign_in_page(&cx, Form::default()) }.boxed())
        .form(|cx| sign_in(cx).boxed()),
    Entry::page(PASSKEY, Access::SignedIn, |cx| page(cx, Form::default()).boxed()).form(|cx| change(cx).boxed()),
];

/// Longest name that can be typed.
const NAME_MAX: usize = 60;

/// Why there are no passkeys here.
#[must_use]
pub fn unavailable(l: Language, why: Unavailable) -> &'static str {
    match why {
        Unavailable::NoAddress => tr::passkeys::no_address(l),
        Unavailable::Http => tr::passkeys::http(l),
        Unavailable::Number => tr::passkeys::number(l),
    }
}

/// What a form asks the browser for.
pub struct Ask<'a> {
    /// `create` or `get`.
    pub kind: &'static str,
    /// As the service made it.
    pub options: &'a Value,
    /// Where the answer goes.
    pub action: &'static str,
    /// What the form carries besides.
    pub fields: AnyView,
    /// What its button says.
    pub label: &'static str,
    /// Whether the browser is asked at once, as somebody came for nothing else.
    pub at_once: bool,
}

/// A form whose button asks the browser for a passkey and sends what it answers. That it needs scripts stands there until they run.
#[must_use]
pub fn ask_form(ui: Ui, ask: Ask<'_>) -> impl IntoView + use<> {
    let l = ui.lang;
    view! {
        <form
            method="post"
            action=ask.action
            class="in"
            data-island="passkey"
            data-kind=ask.kind
            data-options=ask.options.to_string()
            data-at-once=ask.at_once.then_some("")
            data-failed=tr::passkeys::failed(l)
            data-known=tr::passkeys::known(l)
            data-unable=tr::passkeys::unable(l)
        >
            {ask.fields}
            {hidden("credential", "")}
            <p class="muted" data-needs-script>{tr::passkeys::needs_script(l)}</p>
            <p class="err" role="alert" data-said hidden></p>
            <div class="actions">
                <button class="btn go" type="submit" hidden>{icon(Icon::Key)}{ask.label}</button>
            </div>
        </form>
    }
}

/// The form on the page where one signs in.
#[must_use]
pub fn sign_in_button(ui: Ui, next: &str) -> impl IntoView + use<> {
    view! {
        <form method="post" action=paths::SIGN_IN_PASSKEY class="in">
            {hidden("next", next.to_owned())}
            {button(Button::Plain, Some(Icon::Key), tr::passkeys::sign_in(ui.lang), Some("begin"))}
        </form>
    }
}

fn sign_in_page(cx: &Cx, form: Form) -> Result<Answer> {
    if cx.ctx.person().is_some() {
        return Ok(PageResponse::redirect(next(cx)).into());
    }
    let Some(secret) = &cx.request.step else { return Ok(PageResponse::redirect(paths::sign_in(next(cx))).into()) };
    let (ui, l, status) = (cx.ui(), cx.lang(), form.status());
    let ask = Ask {
        kind: "get",
        options: &cx.services.passkey_question(secret)?,
        action: paths::SIGN_IN_PASSKEY,
        fields: view! { {hidden("do", "finish")}{hidden("next", next(cx).to_owned())} }.into_any(),
        label: tr::passkeys::go_on(l),
        at_once: !form.is_refused(),
    };
    let otherwise = paths::sign_in(next(cx));
    let body = view! {
        <section class="card in">
            {summary(ui, &form, &[])}
            <p>{tr::passkeys::sign_in_what(l)}</p>
            {ask_form(ui, ask)}
        </section>
        <p class="small"><a href=otherwise>{tr::passkeys::otherwise(l)}</a></p>
    };
    let title = tr::passkeys::sign_in(l);
    Ok(Page::new(title, Place::Nowhere, door(title, body.into_any())).status(status).into())
}

/// Begins anew, and asks at the page itself.
async fn begin(cx: &Cx) -> Result<Answer> {
    let begun = cx.services.begin_passkey_sign_in(&cx.ctx).await?;
    let step = StepChange::Begin { secret: begun.secret, expires_at: begun.expires_at };
    Ok(PageResponse { step, ..PageResponse::redirect(paths::sign_in_passkey(next(cx))) }.into())
}

async fn sign_in(cx: Cx) -> Result<Answer> {
    let finished = match cx.field("do") {
        "finish" => {
            let (step, answer) = (cx.request.step.as_ref(), cx.field("credential"));
            cx.services.finish_passkey_sign_in(&cx.ctx, step, answer, &cx.request.user_agent).await
        }
        _ => match begin(&cx).await {
            Ok(begun) => return Ok(begun),
            Err(e) => Err(e),
        },
    };
    let e = match finished {
        Ok(signed_in) => {
            let begun = PageResponse::begin(signed_in, next(&cx));
            return Ok(PageResponse { step: StepChange::End, ..begun }.into());
        }
        Err(e) => e,
    };
    // What was asked is over, whatever was wrong with the answer: it is begun anew where one signs in, which says why.
    match (e.code(), e.fields().first()) {
        (ErrorCode::Unauthenticated, Some(why)) => {
            let query =
                [("refused", why.code.as_str()), ("next", if next(&cx) == paths::HOME { "" } else { next(&cx) })];
            let to = PageResponse::redirect(paths::with_query(paths::SIGN_IN, query));
            Ok(PageResponse { step: StepChange::End, ..to }.into())
        }
        (ErrorCode::RateLimited, _) => {
            let form = Form { message: Some(explain(&cx, &e)), code: Some(e.code()), ..Form::default() };
            Ok(super::session::sign_in_form(&cx, form).await?.retry_after(&e))
        }
        _ => Err(e),
    }
}

/// The table of somebody's passkeys.
#[must_use]
pub fn listed(ui: Ui, passkeys: &[Passkey]) -> AnyView {
    let l = ui.lang;
    let rows = passkeys.iter().map(|passkey| {
        let used = match passkey.last_used_at {
            Some(at) => ago(ui, at).into_any(),
            None => tr::passkeys::never(l).into_any(),
        };
        view! {
            <tr>
                <td class="name"><a href=paths::passkey(passkey.id)>{passkey.name.clone()}</a></td>
                <td class="muted">{used}</td>
                <td class="muted">{on(passkey.created_at)}</td>
            </tr>
        }
    });
    let columns = [
        Column::text(tr::passkeys::name(l)),
        Column::text(tr::shell::last_used(l)),
        Column::text(tr::factors::since(l)),
    ];
    table(columns, None, rows.collect::<Vec<_>>())
}

/// A passkey that is to be added.
#[must_use]
pub fn new_view(ui: Ui, form: &Form, new: &NewPasskey, next: &str) -> AnyView {
    let l = ui.lang;
    let name =
        Field::text("name", tr::passkeys::name(l)).required().focus().max(NAME_MAX).hint(tr::passkeys::name_hint(l));
    let fields = view! {
        {summary(ui, form, &["name"])}
        {hidden("do", "confirm-passkey")}
        {hidden("enrolment", new.token.expose_secret().to_owned())}
        {hidden("next", next.to_owned())}
        {field(ui, form, name)}
    };
    let ask = Ask {
        kind: "create",
        options: &new.options,
        action: paths::SECOND_FACTOR,
        fields: fields.into_any(),
        label: tr::passkeys::make(l),
        at_once: false,
    };
    view! {
        <section class="card narrow">
            <header><h2>{tr::passkeys::new(l)}</h2></header>
            <div class="in"><p>{tr::passkeys::new_what(l)}</p></div>
            {ask_form(ui, ask)}
            <div class="in">{link_button(Button::Quiet, None, tr::common::cancel(l), paths::SECOND_FACTOR)}</div>
        </section>
    }
    .into_any()
}

async fn page(cx: Cx, form: Form) -> Result<Answer> {
    let id = cx.param("passkey")?.parse().map_err(|_| Error::not_found())?;
    let passkey = cx.services.my_passkey(&cx.ctx, id).await?;
    let (ui, l, status) = (cx.ui(), cx.lang(), form.status());
    let called = passkey.name.clone();
    let named = if form.is_refused() { form.clone() } else { Form::with([("name", passkey.name.clone())]) };
    let name = Field::text("name", tr::passkeys::name(l)).required().max(NAME_MAX);
    let current = Field::password("current", tr::factors::your_password(l), "current-password").required();
    let rename = view! {
        <form class="in" method="post">
            {field(ui, &named, name)}
            <div class="actions">{button(Button::Plain, None, tr::passkeys::rename(l), Some("rename"))}</div>
        </form>
    };
    let remove = view! {
        <form class="in" method="post">
            <p>{tr::passkeys::remove_what(l)}</p>
            {field(ui, &form, current)}
            <div class="actions">
                <button class="btn danger" name="do" value="remove" data-confirm=tr::passkeys::remove_sure(l, &called)>
                    {tr::passkeys::remove(l)}
                </button>
            </div>
        </form>
    };
    let used = passkey.last_used_at.map(|at| view! { <dt>{tr::shell::last_used(l)}</dt><dd>{ago(ui, at)}</dd> });
    let view = view! {
        <div class="head"><h1>{called.clone()}</h1><p>{tr::passkeys::one_what(l)}</p></div>
        {summary(ui, &form, &["name", "current"])}
        <div class="card narrow in">
            <dl class="facts"><dt>{tr::factors::since(l)}</dt><dd>{on(passkey.created_at)}</dd>{used}</dl>
        </div>
        <div class="narrow-wrap">
            {card(tr::passkeys::rename(l), None, rename.into_any())}
            {card(tr::passkeys::remove(l), None, remove.into_any())}
        </div>
    };
    let here = paths::passkey(passkey.id);
    let page = Page::new(called.clone(), Place::Home(HomeNav::SecondFactor), view).status(status);
    Ok(page.crumb(tr::factors::title(l), paths::SECOND_FACTOR).crumb(called, here).into())
}

async fn change(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    let id = cx.param("passkey")?.parse().map_err(|_| Error::not_found())?;
    let changed = match cx.field("do") {
        "remove" => {
            let current = SecretString::from(cx.field("current"));
            let removed = cx.services.remove_passkey(&cx.ctx, id, &current).await;
            removed.map(|()| done(paths::SECOND_FACTOR, tr::passkeys::removed(l)))
        }
        _ => {
            let renamed = cx.services.rename_passkey(&cx.ctx, id, cx.field("name")).await;
            renamed.map(|()| done(paths::SECOND_FACTOR, tr::passkeys::renamed(l)))
        }
    };
    match changed {
        Ok(answer) => Ok(answer),
        Err(e) => {
            let form = Form::refused(&cx, &["current"], e)?;
            page(cx, form).await
        }
    }
}
