//! A code or a passkey besides the password: asked for at sign-in; added and removed in one's own account.

use berth_core::{
    Error, Result,
    ports::{
        pages::{Access, PageResponse, StepChange},
        sign_in::Refused,
    },
    services::{
        passkeys::{NewPasskey, Waiting},
        second_factors::{Enrolment, Proof},
    },
    webauthn::Unavailable,
};
use berth_types::{ErrorCode, people::SecondFactors};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{
    passkeys::{self, Ask, ask_form},
    session::next,
    tokens::secret,
};
use crate::{
    components::{
        Button, Field, Form, Icon, button, card, door, empty, field,
        form::{explain, summary},
        hidden, link_button, note, on, qr,
        status::Tone,
    },
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::SIGN_IN_CODE, Access::Public, |cx| async move { code_page(&cx, Form::default()).await }.boxed())
        .form(|cx| finish(cx).boxed()),
    Entry::page(paths::SECOND_FACTOR, Access::SignedIn, |cx| page(cx, Form::default()).boxed())
        .form(|cx| change(cx).boxed()),
];

/// Recovery codes of which one is told that they are few.
const FEW: i64 = 3;
/// Longest thing that is a code: a recovery code with some spaces.
const CODE_MAX: usize = 40;

async fn code_page(cx: &Cx, form: Form) -> Result<Answer> {
    if cx.ctx.person().is_some() {
        return Ok(PageResponse::redirect(next(cx)).into());
    }
    let waiting = match &cx.request.step {
        Some(secret) => cx.services.look_at_second_step(&cx.ctx, secret).await?,
        None => None,
    };
    let Some(waiting) = waiting else { return Ok(PageResponse::redirect(paths::sign_in(next(cx))).into()) };
    let status = form.status();
    let title = tr::factors::code_title(cx.lang());
    let view = code_view(cx.ui(), &form, &waiting, next(cx).to_owned());
    Ok(Page::new(title, Place::Nowhere, view).status(status).into())
}

fn code_view(ui: Ui, form: &Form, waiting: &Waiting, next: String) -> impl IntoView + use<> {
    let l = ui.lang;
    let passkey = waiting.passkey.as_ref().map(|options| {
        let fields = hidden("next", next.clone()).into_any();
        let label = tr::passkeys::go_on(l);
        let ask = Ask { kind: "get", options, action: paths::SIGN_IN_CODE, fields, label, at_once: false };
        view! { <section class="card in"><p>{tr::passkeys::second_what(l)}</p>{ask_form(ui, ask)}</section> }
    });
    // Who has passkeys alone types recovery codes alone.
    let (what, label, hint) = match waiting.app {
        true => (Some(tr::factors::code_what(l)), tr::factors::code(l), tr::factors::code_hint(l)),
        false => (None, tr::factors::recovery_code(l), tr::factors::recovery_code_hint(l)),
    };
    let mut code = Field::text("code", label).required().mono().max(CODE_MAX).hint(hint);
    if waiting.app {
        code = code.autocomplete("one-time-code");
    }
    if passkey.is_none() {
        code = code.focus();
    }
    let go = if passkey.is_some() { Button::Plain } else { Button::Go };
    let or = passkey.is_some().then(|| view! { <p class="muted">{tr::sign_in::or(l)}</p> });
    let again = paths::sign_in(&next);
    let body = view! {
        {summary(ui, form, &["code"])}
        {passkey}
        {or}
        <form method="post" action=paths::SIGN_IN_CODE class="card in">
            {what.map(|what| view! { <p>{what}</p> })}
            {hidden("next", next)}
            {field(ui, form, code)}
            {button(go, None, tr::factors::go_on(l), None)}
        </form>
        <p class="small"><a href=again>{tr::factors::begin_again(l)}</a></p>
    };
    door(tr::factors::code_title(l), body.into_any())
}

async fn finish(cx: Cx) -> Result<Answer> {
    let step = cx.request.step.as_ref();
    let proof = match cx.field("credential") {
        "" => Proof::Code(cx.field("code")),
        answer => Proof::Passkey(answer),
    };
    let finished = cx.services.finish_second_step(&cx.ctx, step, proof, &cx.request.user_agent).await;
    let e = match finished {
        Ok(signed_in) => {
            let begun = PageResponse::begin(signed_in, next(&cx));
            return Ok(PageResponse { step: StepChange::End, ..begun }.into());
        }
        Err(e) => e,
    };
    if let Some(why) = e.fields().first().and_then(|field| Refused::from_code(&field.code)) {
        let query = [("refused", why.code()), ("next", if next(&cx) == paths::HOME { "" } else { next(&cx) })];
        let to = PageResponse::redirect(paths::with_query(paths::SIGN_IN, query));
        return Ok(PageResponse { step: StepChange::End, ..to }.into());
    }
    match e.code() {
        ErrorCode::Unauthenticated => {
            let (at_code, others): (Vec<_>, Vec<_>) = e.fields().iter().cloned().partition(|why| why.field == "code");
            // A passkey is no field that anybody fills in.
            let message = others.first().map(|why| tr::field_error(cx.lang(), why));
            code_page(&cx, Form { errors: at_code, message, ..Form::default() }).await
        }
        ErrorCode::RateLimited => {
            let form = Form { message: Some(explain(&cx, &e)), code: Some(e.code()), ..Form::default() };
            Ok(code_page(&cx, form).await?.retry_after(&e))
        }
        _ => Err(e),
    }
}

/// What the page of one's second factor shows.
enum Shown {
    /// What there is.
    State(SecondFactors),
    /// An app that is to be added.
    Enrolment(Enrolment),
    /// A passkey that is to be added.
    Passkey(NewPasskey),
    /// Recovery codes, once; and what is said of them.
    Codes(Vec<SecretString>, &'static str),
}

async fn page(cx: Cx, form: Form) -> Result<Answer> {
    let state = cx.services.my_second_factors(&cx.ctx).await?;
    show(&cx, form, Shown::State(state)).await
}

async fn show(cx: &Cx, form: Form, shown: Shown) -> Result<Answer> {
    let (ui, l, status) = (cx.ui(), cx.lang(), form.status());
    let body = match shown {
        Shown::State(state) => {
            let password = cx.services.has_password(&cx.ctx).await?;
            state_view(ui, &form, &state, password, cx.services.passkey_site().err(), next(cx))
        }
        Shown::Passkey(new) => passkeys::new_view(ui, &form, &new, next(cx)),
        Shown::Enrolment(enrolment) => enrolment_view(ui, &form, &enrolment, next(cx)),
        Shown::Codes(codes, said) => codes_view(ui, &codes, said, next(cx)),
    };
    let view = view! {
        <div class="head"><h1>{tr::factors::title(l)}</h1><p>{tr::factors::what(l)}</p></div>
        {body}
    };
    // Who must have one before anything else opens goes nowhere from here.
    let ready = cx.ctx.person().is_some_and(|person| person.is_ready());
    let place = if ready { Place::Home(HomeNav::SecondFactor) } else { Place::Nowhere };
    Ok(Page::new(tr::factors::title(l), place, view).status(status).into())
}

fn state_view(
    ui: Ui,
    form: &Form,
    state: &SecondFactors,
    password: bool,
    no_passkeys: Option<Unavailable>,
    next: &str,
) -> AnyView {
    let l = ui.lang;
    let has_any = state.authenticator_since.is_some() || !state.passkeys.is_empty();
    if !password && !has_any {
        return note(Tone::Info, view! { <p>{tr::factors::provider(l)}</p> }.into_any()).into_any();
    }
    let current = Field::password("current", tr::factors::your_password(l), "current-password").required();
    let next = hidden("next", next.to_owned());
    let lacks = |text: &'static str| note(Tone::Info, view! { <p>{text}</p> }.into_any());
    let no_app = (!state.available && state.authenticator_since.is_none()).then(|| lacks(tr::factors::unavailable(l)));
    let no_passkeys = no_passkeys.map(|why| lacks(passkeys::unavailable(l, why)));
    let add_passkey = state.passkeys_available.then(|| {
        let look = if has_any { Button::Plain } else { Button::Go };
        button(look, Some(Icon::Key), tr::passkeys::add(l), Some("begin-passkey"))
    });
    let add_app = (state.available && state.authenticator_since.is_none()).then(|| {
        let look = if has_any || state.passkeys_available { Button::Plain } else { Button::Go };
        button(look, Some(Icon::Plus), tr::factors::add(l), Some("begin"))
    });
    let adding = add_passkey.is_some() || add_app.is_some();
    if !has_any {
        let required = state.required.then(|| note(Tone::Warn, view! { <p>{tr::factors::required(l)}</p> }.into_any()));
        let add = adding.then(|| {
            view! {
                <form class="in" method="post">
                    {summary(ui, form, &["current"])}
                    {next}
                    {field(ui, form, current)}
                    <div class="actions">{add_passkey}{add_app}</div>
                </form>
            }
        });
        return view! {
            {required}
            {no_app}
            <section class="card narrow">
                {empty(Icon::Lock, tr::factors::none(l), tr::factors::none_hint(l), None)}
                {add}
            </section>
            {no_passkeys}
        }
        .into_any();
    }
    let left = state.recovery_codes_left;
    let few = (left <= FEW).then(|| note(Tone::Warn, view! { <p>{tr::factors::few(l)}</p> }.into_any()));
    let since = state.authenticator_since.map(|since| {
        view! { <dt>{tr::factors::app(l)}</dt><dd>{tr::factors::since(l)}" "{on(since)}</dd> }
    });
    let remove = state.authenticator_since.map(|_| {
        view! {
            <button class="btn danger" name="do" value="remove" data-confirm=tr::factors::remove_sure(l)>
                {tr::factors::remove(l)}
            </button>
        }
    });
    let listed = (!state.passkeys.is_empty()).then(|| {
        let table = passkeys::listed(ui, &state.passkeys);
        view! { <div class="narrow-wrap">{card(tr::passkeys::title(l), None, table)}</div> }
    });
    let change = view! {
        <form class="in" method="post">
            {summary(ui, form, &["current"])}
            {next}
            {field(ui, form, current)}
            <div class="actions">
                {add_passkey}
                {add_app}
                {button(Button::Plain, None, tr::factors::new_codes(l), Some("codes"))}
                {remove}
            </div>
        </form>
    };
    view! {
        {few}
        <div class="card narrow in">
            <dl class="facts">{since}<dt>{tr::factors::codes(l)}</dt><dd>{tr::factors::left(l, left)}</dd></dl>
        </div>
        {listed}
        <div class="narrow-wrap">{card(tr::factors::change(l), None, change.into_any())}</div>
        {no_app}
        {no_passkeys}
    }
    .into_any()
}

fn enrolment_view(ui: Ui, form: &Form, enrolment: &Enrolment, next: &str) -> AnyView {
    let l = ui.lang;
    let uri = enrolment.uri.expose_secret().to_owned();
    let picture = qr(&uri, tr::factors::qr(l));
    let code = Field::text("code", tr::factors::first_code(l))
        .required()
        .focus()
        .mono()
        .autocomplete("one-time-code")
        .max(CODE_MAX)
        .hint(tr::factors::first_code_hint(l));
    view! {
        <section class="card narrow">
            <header><h2>{tr::factors::scan(l)}</h2></header>
            <div class="in">
                {picture}
                <p>{tr::factors::or_type(l)}</p>
                {secret(ui, enrolment.secret.expose_secret().to_owned())}
                <p class="small"><a href=uri>{tr::factors::open_app(l)}</a></p>
            </div>
            <form class="in" method="post">
                {summary(ui, form, &["code"])}
                {hidden("enrolment", enrolment.token.expose_secret().to_owned())}
                {hidden("next", next.to_owned())}
                {field(ui, form, code)}
                <div class="actions">
                    {button(Button::Go, Some(Icon::Ok), tr::factors::confirm(l), Some("confirm"))}
                    {link_button(Button::Quiet, None, tr::common::cancel(l), paths::SECOND_FACTOR)}
                </div>
            </form>
        </section>
    }
    .into_any()
}

fn codes_view(ui: Ui, codes: &[SecretString], said: &'static str, next: &str) -> AnyView {
    let l = ui.lang;
    let on = if next == paths::HOME { paths::SECOND_FACTOR } else { next }.to_owned();
    let codes = codes.iter().map(|code| code.expose_secret()).collect::<Vec<_>>().join("\n");
    let body = view! {
        <p><strong>{said}</strong></p>
        <p>{tr::factors::codes_hint(l)}</p>
        {secret(ui, codes)}
    };
    view! {
        <div role="status">{note(Tone::Ok, body.into_any())}</div>
        <div class="actions">{link_button(Button::Go, None, tr::factors::kept(l), on)}</div>
    }
    .into_any()
}

/// Shows the recovery codes that came with a first factor, or goes back to what there is.
async fn added(cx: &Cx, codes: Vec<SecretString>) -> Result<Answer> {
    let l = cx.lang();
    if codes.is_empty() {
        return Ok(done(paths::SECOND_FACTOR, tr::factors::added(l)));
    }
    show(cx, Form::default(), Shown::Codes(codes, tr::factors::made(l))).await
}

async fn change(cx: Cx) -> Result<Answer> {
    const SECRET: &[&str] = &["current", "code", "enrolment", "credential"];
    let l = cx.lang();
    let current = SecretString::from(cx.field("current"));
    let token = SecretString::from(cx.field("enrolment"));
    let refused: Error = match cx.field("do") {
        "confirm" => match cx.services.confirm_authenticator(&cx.ctx, &token, cx.field("code")).await {
            Ok(codes) => return added(&cx, codes).await,
            Err(e) => e,
        },
        "confirm-passkey" => {
            let (name, answer) = (cx.field("name"), cx.field("credential"));
            match cx.services.confirm_passkey(&cx.ctx, &token, name, answer).await {
                Ok(codes) => return added(&cx, codes).await,
                Err(e) => e,
            }
        }
        "begin-passkey" => match cx.services.begin_passkey(&cx.ctx, &current).await {
            Ok(new) => return show(&cx, Form::default(), Shown::Passkey(new)).await,
            Err(e) => e,
        },
        "codes" => match cx.services.new_recovery_codes(&cx.ctx, &current).await {
            Ok(codes) => return show(&cx, Form::default(), Shown::Codes(codes, tr::factors::made_anew(l))).await,
            Err(e) => e,
        },
        "remove" => match cx.services.remove_my_authenticator(&cx.ctx, &current).await {
            Ok(()) => return Ok(done(paths::SECOND_FACTOR, tr::factors::removed(l))),
            Err(e) => e,
        },
        // The answer itself shows the secret: it has no place in a redirect.
        _ => match cx.services.begin_authenticator(&cx.ctx, &current, &cx.request.base).await {
            Ok(enrolment) => return show(&cx, Form::default(), Shown::Enrolment(enrolment)).await,
            Err(e) => e,
        },
    };
    let mut form = Form::refused(&cx, SECRET, refused)?;
    // A passkey is no field that anybody fills in: what is wrong with it is said without one.
    if let Some(at) = form.errors.iter().position(|why| why.field == "credential" && why.code != "taken") {
        form.message = Some(tr::field_error(l, &form.errors.remove(at)));
    }
    match cx.field("do") {
        // A code that was wrong is typed again, for the same secret; a name for the same question.
        "confirm" => match cx.services.look_at_enrolment(&cx.ctx, &token, &cx.request.base) {
            Ok(enrolment) => show(&cx, form, Shown::Enrolment(enrolment)).await,
            Err(_) => page(cx, form).await,
        },
        "confirm-passkey" if form.errors_of("name").next().is_some() => {
            let new = cx.services.look_at_passkey(&cx.ctx, token).await?;
            show(&cx, form, Shown::Passkey(new)).await
        }
        _ => page(cx, form).await,
    }
}
