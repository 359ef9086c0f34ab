//! Coming in and going out: sign-in, a password of one's own, sign-out, language and colours.

use berth_core::{
    Error, Result,
    ports::{
        pages::{Access, Language, PageResponse, SessionChange, StepChange, Theme},
        sign_in::Refused,
    },
    services::{second_factors::Entered, sign_in::WaysIn},
    webauthn::Wrong,
};
use berth_types::{ErrorCode, FieldError, ProviderName};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::SecretString;

use super::passkeys::sign_in_button;
use crate::{
    components::{
        Button, Field, Form, Icon, button, door, field,
        form::{explain, summary},
        hidden, note,
        status::Tone,
    },
    layout, paths,
    request::{Answer, Cx, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The rows of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::SIGN_IN, Access::Public, |cx| sign_in_page(cx).boxed()).form(|cx| sign_in(cx).boxed()),
    Entry::action(paths::SIGN_OUT, Access::Public, |cx| sign_out(cx).boxed()),
    Entry::page(paths::PASSWORD, Access::SignedIn, |cx| async move { Ok(password_page(&cx, Form::default())) }.boxed())
        .form(|cx| change_password(cx).boxed()),
    Entry::action(paths::PREFERENCES, Access::Public, |cx| async move { Ok(preferences(&cx)) }.boxed()),
];

/// Where to go afterwards: what the form or the query says, if it is one of our own pages.
#[must_use]
pub fn next(cx: &Cx) -> &str {
    let text = if cx.request.form.is_some() { cx.field("next") } else { cx.query("next") };
    paths::safe_next(text).unwrap_or(paths::HOME)
}

/// Whether a form's field holds a password.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    matches!(name, "password" | "current" | "new" | "again" | "code" | "enrolment")
}

/// For who sent a form and was signed out meanwhile: the way to sign in, and what was sent, to be sent again.
#[must_use]
pub fn ended(ui: Ui, path: &str, fields: &[(String, String)]) -> Page {
    let lang = ui.lang;
    let kept: Vec<_> = fields
        .iter()
        .map(|(name, value)| view! { <input type="hidden" name=name.clone() value=value.clone() /> })
        .collect();
    let view = view! {
        <form method="post" action=path.to_owned() class="card in">
            <p>{tr::session::ended_hint(lang)}</p>
            {kept}
            <p><a href=paths::SIGN_IN target="_blank">{tr::session::sign_in_beside(lang)}</a></p>
            {button(Button::Go, None, tr::session::send_again(lang), None)}
        </form>
    };
    let title = tr::session::ended(lang);
    Page::new(title, Place::Nowhere, door(title, view.into_any())).status(401)
}

async fn sign_in_page(cx: Cx) -> Result<Answer> {
    if cx.ctx.person().is_some() {
        return Ok(PageResponse::redirect(next(&cx)).into());
    }
    sign_in_form(&cx, Form::default()).await
}

/// The page where one signs in, with what came of a try.
///
/// # Errors
/// The store's.
pub async fn sign_in_form(cx: &Cx, mut form: Form) -> Result<Answer> {
    let status = form.status();
    let ways = cx.services.ways_in().await?;
    form.message = form.message.or_else(|| refused(cx));
    let view = sign_in_view(cx.ui(), form, next(cx).to_owned(), ways);
    Ok(Page::new(tr::session::sign_in(cx.lang()), Place::Nowhere, view).status(status).into())
}

/// Why a sign-in by a provider or a passkey came to nothing: `web` sends people back with the reason in the query.
#[must_use]
pub fn refused(cx: &Cx) -> Option<String> {
    let code = cx.query("refused");
    let by_provider = Refused::from_code(code).map(|why| (why.code(), why.message()));
    let by_passkey = Wrong::ALL.into_iter().find(|wrong| wrong.code() == code).map(|why| (why.code(), why.message()));
    let (code, message) = by_provider.or(by_passkey)?;
    Some(tr::field_error(cx.lang(), &FieldError::new("provider", code, message)))
}

/// Where one signs in: with name and password, or by a provider.
pub fn sign_in_view(ui: Ui, form: Form, next: String, ways: WaysIn) -> impl IntoView + 'static {
    let lang = ui.lang;
    let nowhere = (!ways.local_accounts && ways.providers.is_empty())
        .then(|| note(Tone::Warn, tr::sign_in::nowhere(lang).into_any()));
    // What went wrong stands where one tries again.
    let trouble = (!ways.local_accounts).then(|| summary(ui, &form, &[]));
    let or = (ways.passkeys || (ways.local_accounts && !ways.providers.is_empty()))
        .then(|| view! { <p class="muted">{tr::sign_in::or(lang)}</p> });
    let providers = provider_forms(ui, ways.providers, &next);
    let passkey = ways.passkeys.then(|| sign_in_button(ui, &next));
    let local = ways.local_accounts.then(|| local_form(ui, form, next));
    let body = view! {
        {nowhere}
        {trouble}
        {local}
        {or}
        {passkey}
        {providers}
        {ways.local_accounts.then(|| view! {
            <p class="small"><a href=paths::FORGOT>{tr::links::forgot(lang)}</a></p>
            <p class="small muted">{tr::session::no_account(lang)}</p>
        })}
    };
    door(tr::session::sign_in_to(lang), body.into_any())
}

/// A button for each provider, by which one comes in and goes on to `next`.
pub fn provider_forms(ui: Ui, providers: Vec<(ProviderName, String)>, next: &str) -> Vec<AnyView> {
    let form = |(name, called): (ProviderName, String)| {
        view! {
            <form method="post" action=paths::auth_start(name) class="in">
                {hidden("next", next.to_owned())}
                {button(Button::Plain, Some(Icon::Lock), tr::sign_in::by(ui.lang, called), None)}
            </form>
        }
        .into_any()
    };
    providers.into_iter().map(form).collect()
}

/// The form with name and password.
fn local_form(ui: Ui, form: Form, next: String) -> impl IntoView + 'static {
    let lang = ui.lang;
    let mut name = Field::text("name", tr::session::name(lang)).required().autocomplete("username").max(40);
    let mut password = Field::password("password", tr::session::password(lang), "current-password").required();
    // The name stands there already: the password is what is typed again.
    if form.value("name").is_empty() {
        name = name.focus();
    } else {
        password = password.focus();
    }
    view! {
        <form method="post" action=paths::SIGN_IN class="card in">
            {summary(ui, &form, &["name", "password"])}
            {hidden("next", next)}
            {field(ui, &form, name)}
            {field(ui, &form, password)}
            {button(Button::Go, None, tr::session::sign_in(lang), None)}
        </form>
    }
}

async fn sign_in(cx: Cx) -> Result<Answer> {
    let password = SecretString::from(cx.field("password"));
    match cx.services.sign_in(&cx.ctx, cx.field("name").trim(), &password, &cx.request.user_agent).await {
        Ok(Entered::NeedsCode(begun)) => {
            let step = StepChange::Begin { secret: begun.secret, expires_at: begun.expires_at };
            Ok(PageResponse { step, ..PageResponse::redirect(paths::sign_in_code(next(&cx))) }.into())
        }
        Ok(Entered::SignedIn(signed_in)) => {
            let to = if signed_in.person.must_change_password {
                paths::with_query(paths::PASSWORD, [("next", next(&cx))])
            } else {
                next(&cx).to_owned()
            };
            Ok(PageResponse::begin(signed_in, to).into())
        }
        Err(e) if matches!(e.code(), ErrorCode::Unauthenticated | ErrorCode::RateLimited) => {
            let mut form = Form::sent(&cx, &["password"]);
            let text = match (e.code(), e.fields().first()) {
                (ErrorCode::Unauthenticated, Some(why)) => tr::field_error(cx.lang(), why),
                (ErrorCode::Unauthenticated, None) => tr::session::wrong(cx.lang()).to_owned(),
                _ => explain(&cx, &e),
            };
            form.message = Some(text);
            form.code = Some(e.code());
            Ok(sign_in_form(&cx, form).await?.retry_after(&e))
        }
        Err(e) => Err(e),
    }
}

async fn sign_out(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    let back = format!("{}{}", cx.request.base, paths::SIGN_IN);
    let leave = match cx.ctx.person() {
        Some(_) => cx.services.sign_out(&cx.ctx, &back).await?,
        None => None,
    };
    let response = match &leave {
        // The provider's session ends there; the link is for browsers that do not go by themselves.
        Some(address) => {
            let on = view! { <p><a href=address.clone()>{tr::sign_in::sign_out_there(l)}</a></p> };
            let title = tr::session::signed_out(l);
            layout::respond(&cx, Page::new(title, Place::Nowhere, door(title, on.into_any())), false).await
        }
        None => PageResponse::redirect(paths::SIGN_IN),
    };
    let flash = Some(tr::session::signed_out(l).to_owned());
    Ok(PageResponse { session: SessionChange::End, flash, leave, ..response }.into())
}

fn password_page(cx: &Cx, form: Form) -> Answer {
    let status = form.status();
    let first = cx.ctx.person().is_some_and(|p| p.must_change_password);
    let view = password_view(cx.ui(), form, next(cx).to_owned(), first);
    Page::new(tr::session::new_password(cx.lang()), Place::Nowhere, view).status(status).into()
}

/// The form for a password of one's own; `first` when it replaces a one-time password.
pub fn password_view(ui: Ui, form: Form, next: String, first: bool) -> impl IntoView + 'static {
    let lang = ui.lang;
    let why = first.then(|| note(Tone::Info, tr::session::one_time(lang).into_any()));
    view! {
        <section class="door">
            <h1>{tr::session::new_password(lang)}</h1>
            <form method="post" action=paths::PASSWORD class="card in">
                {why}
                {summary(ui, &form, &["current", "new", "again"])}
                {hidden("next", next)}
                {password_fields(ui, &form, first)}
                {button(Button::Go, Some(Icon::Ok), tr::session::set_password(lang), None)}
            </form>
        </section>
    }
}

/// Current, new, and new once more.
pub fn password_fields(ui: Ui, form: &Form, first: bool) -> impl IntoView + use<> {
    let lang = ui.lang;
    let label = if first { tr::session::one_time_password(lang) } else { tr::session::current_password(lang) };
    let current = Field::password("current", label, "current-password").required();
    let new = Field::password("new", tr::session::new_password(lang), "new-password")
        .required()
        .hint(tr::session::password_hint(lang, berth_core::services::identity::PASSWORD_MIN));
    let again = Field::password("again", tr::session::once_more(lang), "new-password").required();
    view! { {field(ui, form, current)}{field(ui, form, new)}{field(ui, form, again)} }
}

/// The password that was typed into the field `name` and once more into `again`.
///
/// # Errors
/// `Invalid` at `again` where the two do not agree.
pub fn agreed(cx: &Cx, name: &str) -> Result<SecretString> {
    if cx.field(name) != cx.field("again") {
        return Err(Error::field(FieldError::new("again", "password_differs", "the two do not agree")));
    }
    Ok(cx.field(name).into())
}

/// Changes the password from the fields of [`password_fields`], and goes on to the page `to` in a new session.
///
/// # Errors
/// What no form mends.
pub async fn set_password(cx: &Cx, to: &str) -> Result<Result<Answer, Form>> {
    const SECRET: &[&str] = &["current", "new", "again"];
    let current = SecretString::from(cx.field("current"));
    let changed = match agreed(cx, "new") {
        Ok(new) => cx.services.change_password(&cx.ctx, &current, &new, &cx.request.user_agent).await,
        Err(e) => Err(e),
    };
    match changed {
        Ok(begun) => {
            let flash = Some(tr::session::password_set(cx.lang()).to_owned());
            Ok(Ok(PageResponse { flash, ..PageResponse::begin(begun, to) }.into()))
        }
        Err(e) => Ok(Err(Form::refused(cx, SECRET, e)?)),
    }
}

async fn change_password(cx: Cx) -> Result<Answer> {
    Ok(match set_password(&cx, next(&cx)).await? {
        Ok(changed) => changed,
        Err(form) => password_page(&cx, form),
    })
}

fn preferences(cx: &Cx) -> Answer {
    PageResponse {
        language: Language::from_tag(cx.field("language")),
        theme: Theme::from_word(cx.field("theme")),
        ..PageResponse::redirect(next(cx))
    }
    .into()
}
