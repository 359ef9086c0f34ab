//! One's own mail: where it goes, and what one is told.

use berth_core::{
    Person, Result,
    links::Void,
    mail::who::choices,
    ports::pages::{Access, Language, LinkChange, PageResponse},
};
use berth_types::{
    mail::{MAX_ADDRESS, MyMail},
    webhook::EventKind,
};
use futures::FutureExt;
use leptos::prelude::*;
use secrecy::SecretString;

use super::{
    links::{held, nothing, opened},
    webhooks::event,
};
use crate::{
    components::{Button, Field, Form, Icon, button, card, exactly, field, form::summary, note, on, status::Tone},
    paths,
    request::{Answer, Cx, HomeNav, Page, Place, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page(paths::MAIL, Access::SignedIn, |cx| page(cx, Form::default()).boxed()).form(|cx| change(cx).boxed()),
    Entry::page(paths::MAIL_CONFIRM, Access::SignedIn, |cx| confirm(cx).boxed()).form(|cx| confirmed(cx).boxed()),
    Entry::page("/account/mail/confirm/{secret}", Access::Public, |cx| {
        async move { opened(&cx, paths::MAIL_CONFIRM) }.boxed()
    }),
];

const PLACE: Place = Place::Home(HomeNav::Mail);
/// The boxes of what one is told.
const EVENTS: &str = "events";

/// Where mail goes, and what of it can be chosen.
struct Model {
    mail: MyMail,
    offered: Vec<EventKind>,
    /// Whether a password is asked for.
    password: bool,
}

async fn page(cx: Cx, form: Form) -> Result<Answer> {
    let l = cx.lang();
    let model = Model {
        mail: cx.services.my_mail(&cx.ctx).await?,
        offered: choices(cx.ctx.person().and_then(|person| person.platform_role)).collect(),
        password: cx.services.has_password(&cx.ctx).await?,
    };
    let status = form.status();
    let title = tr::mail::mail(l);
    Ok(Page::new(title, PLACE, view(cx.ui(), model, form)).status(status).into())
}

fn view(ui: Ui, model: Model, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let off = (!model.mail.available).then(|| note(Tone::Info, view! { <p>{tr::mail::off(l)}</p> }.into_any()));
    // Each form shows its own errors.
    let (address, choice) =
        if form.value("do") == "choose" { (Form::default(), form) } else { (form, Form::default()) };
    let choice = if choice.is_refused() { choice } else { chosen(&model.mail) };
    view! {
        <div class="head"><h1>{tr::mail::mail(l)}</h1><p>{tr::mail::what(l)}</p></div>
        {off}
        <div class="cols"><div class="stack">
            {card(tr::mail::address(l), None, address_form(ui, &model, &address))}
            {card(tr::mail::told(l), None, choice_form(ui, &model.offered, &choice))}
        </div></div>
    }
}

fn address_form(ui: Ui, model: &Model, form: &Form) -> AnyView {
    let l = ui.lang;
    let mail = &model.mail;
    let now = match (&mail.address, mail.verified_at) {
        (Some(address), Some(since)) => {
            view! { <dd><span class="mono">{address.clone()}</span>" · "{tr::mail::since(l)}" "{on(since)}</dd> }
                .into_any()
        }
        _ => view! { <dd class="muted">{tr::mail::none(l)}</dd> }.into_any(),
    };
    let pending = mail.pending.clone().zip(mail.pending_until).map(|(address, until)| {
        let over = until <= ui.now;
        let text = if over { tr::mail::link_over(l) } else { tr::mail::link_sent(l) };
        let tone = if over { Tone::Warn } else { Tone::Info };
        let until = (!over).then(|| view! { " " {tr::links::until(l)} " " {exactly(until)} });
        note(tone, view! { <p><strong class="mono">{address}</strong>" "{text}{until}</p> }.into_any())
    });
    let email = Field::text("email", tr::mail::new_address(l))
        .max(MAX_ADDRESS)
        .autocomplete("email")
        .placeholder("ann@example.com")
        .hint(tr::mail::new_address_hint(l));
    let current = model.password.then(|| {
        let current = Field::password("current", tr::session::current_password(l), "current-password").required();
        field(ui, form, current.hint(tr::mail::current_hint(l)))
    });
    let has = mail.address.is_some() || mail.pending.is_some();
    let remove = has.then(|| {
        view! {
            <button class="btn danger" name="do" value="remove" data-confirm=tr::mail::remove_sure(l)>
                {tr::mail::remove(l)}
            </button>
        }
    });
    let set = mail.available.then(|| {
        view! { {field(ui, form, email)} }
    });
    let send = mail.available.then(|| button(Button::Go, None, tr::mail::send_link(l), Some("set")));
    let body = (mail.available || has).then(|| {
        view! {
            <form class="in" method="post" action=paths::MAIL>
                {summary(ui, form, &["email", "current"])}
                {set}
                {current}
                <div class="actions">{send}{remove}</div>
            </form>
        }
    });
    view! {
        <div class="in">
            <dl class="facts"><dt>{tr::mail::goes_to(l)}</dt>{now}</dl>
            {pending}
        </div>
        {body}
    }
    .into_any()
}

/// What was chosen, as the form shows it.
fn chosen(mail: &MyMail) -> Form {
    let mut form = Form::with([("language", mail.language.clone())]);
    form.values.extend(mail.events.iter().map(|kind| (EVENTS.to_owned(), kind.to_string())));
    form
}

fn choice_form(ui: Ui, offered: &[EventKind], form: &Form) -> AnyView {
    let l = ui.lang;
    let boxes: Vec<_> = offered
        .iter()
        .map(|kind| {
            let word = kind.as_str();
            let ticked = form.values.iter().any(|(key, value)| key == EVENTS && value == word);
            view! {
                <label class="tick">
                    <input type="checkbox" name=EVENTS value=word checked=ticked />
                    " "{event(l, *kind)}
                </label>
            }
        })
        .collect();
    // Each in its own words, so that it is found by who reads no other.
    let languages = vec![("en".to_owned(), "English".to_owned()), ("zh-CN".to_owned(), "简体中文".to_owned())];
    let language = Field::select("language", tr::mail::language(l), languages);
    view! {
        <form class="in" method="post" action=paths::MAIL>
            {summary(ui, form, &["language"])}
            <p class="small">{tr::mail::told_what(l)}</p>
            {field(ui, form, language)}
            <fieldset class="ticks"><legend>{tr::mail::events(l)}</legend>{boxes}</fieldset>
            <p class="small muted">{tr::mail::always(l)}</p>
            <div class="actions">{button(Button::Go, None, tr::common::save(l), Some("choose"))}</div>
        </form>
    }
    .into_any()
}

async fn change(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    let current = SecretString::from(cx.field("current"));
    let (changed, said) = match cx.field("do") {
        "remove" => (cx.services.remove_my_address(&cx.ctx, &current).await, tr::mail::removed(l)),
        "choose" => {
            let picked = cx.request.form.iter().flatten().filter(|(key, _)| key == EVENTS);
            let events: Vec<String> = picked.map(|(_, word)| word.clone()).collect();
            let language = Language::from_tag(cx.field("language")).unwrap_or(l);
            (cx.services.choose_mail(&cx.ctx, language, &events).await, tr::shell::saved(l))
        }
        _ => {
            let set = cx.services.set_my_address(&cx.ctx, cx.field("email"), &current, l).await;
            (set, tr::mail::sent(l))
        }
    };
    match changed {
        Ok(()) => Ok(done(paths::MAIL, said)),
        Err(e) => {
            let answer = Form::refused(&cx, &["current"], e)?;
            page(cx, answer).await
        }
    }
}

async fn confirm(cx: Cx) -> Result<Answer> {
    // Whoever looks as somebody else is told so before anything is said of a link.
    cx.ctx.person().map(Person::themselves).transpose()?;
    let title = tr::mail::confirm(cx.lang());
    let address = match held(&cx) {
        Ok(secret) => cx.services.look_at_verification(&cx.ctx, secret).await,
        Err(e) => Err(e),
    };
    match address {
        Ok(address) => Ok(Page::new(title, PLACE, confirm_view(cx.ui(), address)).into()),
        Err(e) => nothing(&cx, title, e),
    }
}

fn confirm_view(ui: Ui, address: String) -> impl IntoView + 'static {
    let l = ui.lang;
    view! {
        <div class="head"><h1>{tr::mail::confirm(l)}</h1></div>
        <form class="card narrow in" method="post" action=paths::MAIL_CONFIRM>
            <p>{tr::mail::confirm_what(l)}</p>
            <p class="mono"><strong>{address}</strong></p>
            <div class="actions">{button(Button::Go, Some(Icon::Ok), tr::mail::confirm_do(l), None)}</div>
        </form>
    }
}

async fn confirmed(cx: Cx) -> Result<Answer> {
    let l = cx.lang();
    let address = match held(&cx) {
        Ok(secret) => cx.services.verify_my_address(&cx.ctx, secret).await,
        Err(e) => Err(e),
    };
    match address {
        Ok(address) => {
            let flash = Some(tr::mail::confirmed(l, address));
            Ok(PageResponse { link: LinkChange::Drop, flash, ..PageResponse::redirect(paths::MAIL) }.into())
        }
        Err(e) if Void::of(&e).is_some() => nothing(&cx, tr::mail::confirm(l), e),
        Err(e) => Err(e),
    }
}
