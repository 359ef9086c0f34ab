//! How it is with mail: whether it is sent, what waits, why it does not arrive.

use berth_core::{Result, ports::pages::Fragment};
use berth_types::{Action, Resource, mail::MailStatus};
use leptos::prelude::*;

use super::may_change;
use crate::{
    components::{Button, Form, Tone, ago, button, card, form::summary, link_button, note, on, status},
    paths,
    request::{AdminNav, Answer, Cx, Page, Place, done},
    tr,
    ui::Ui,
};

pub async fn page(cx: Cx, form: Form) -> Result<Answer> {
    let l = cx.lang();
    let mail = cx.services.mail_status(&cx.ctx).await?;
    let may = may_change(&cx, Resource::Platform, Action::Update);
    let answer = form.status();
    let title = tr::mail::mail(l);
    let page = Page::new(title, Place::Admin(AdminNav::Mail), view(cx.ui(), mail, form, may));
    Ok(page.crumb(title, paths::ADMIN_MAIL).status(answer).into())
}

pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let mail = cx.services.mail_status(&cx.ctx).await?;
    Ok(vec![Fragment { id: "mail-state".to_owned(), html: state(cx.ui(), mail).to_html() }])
}

fn state(ui: Ui, mail: MailStatus) -> AnyView {
    let l = ui.lang;
    let now = match (mail.on, &mail.trouble) {
        (false, _) => status(Tone::Off, tr::mail::is_off(l)).into_any(),
        (true, Some(trouble)) if mail.last_delivered_at.is_none_or(|last| last < trouble.at) => {
            status(Tone::Bad, tr::mail::failing(l)).into_any()
        }
        (true, None) if mail.last_delivered_at.is_none() => status(Tone::Off, tr::mail::untried(l)).into_any(),
        (true, _) => status(Tone::Ok, tr::mail::works(l)).into_any(),
    };
    let trouble = mail.trouble.map(|trouble| {
        let again = match trouble.again_at {
            Some(at) => view! { {tr::mail::again(l)} " " {on(at)} }.into_any(),
            None => tr::mail::given_up(l).into_any(),
        };
        let body = view! {
            <p><strong>{tr::mail::last_trouble(l)}</strong>" "{ago(ui, trouble.at)}</p>
            <p class="mono">{trouble.reason}</p>
            <p>{again}</p>
        };
        note(Tone::Warn, body.into_any())
    });
    let last = mail.last_delivered_at.map(|at| view! { " · " {tr::mail::last(l)} " " {ago(ui, at)} });
    view! {
        <div class="in">
            {now}
            {trouble}
            <dl class="facts">
                {mail.server.map(|server| view! { <dt>{tr::mail::server(l)}</dt><dd class="mono">{server}</dd> })}
                {mail.from.map(|from| view! { <dt>{tr::mail::from(l)}</dt><dd class="mono">{from}</dd> })}
                <dt>{tr::mail::waiting(l)}</dt><dd>{mail.waiting}</dd>
                <dt>{tr::mail::delivered(l)}</dt><dd>{mail.delivered}{last}</dd>
                <dt>{tr::mail::failed(l)}</dt><dd>{mail.failed}</dd>
            </dl>
        </div>
    }
    .into_any()
}

fn view(ui: Ui, mail: MailStatus, form: Form, may: bool) -> impl IntoView + 'static {
    let l = ui.lang;
    let off = (!mail.on).then(|| note(Tone::Info, view! { <p>{tr::mail::how(l)}</p> }.into_any()));
    let test = (may && mail.on).then(|| {
        let body = view! {
            <form class="in" method="post">
                {summary(ui, &form, &[])}
                <p class="small">{tr::mail::test_what(l)}</p>
                <div class="actions">
                    {button(Button::Go, None, tr::mail::test(l), Some("test"))}
                    {link_button(Button::Quiet, None, tr::mail::own(l), paths::MAIL)}
                </div>
            </form>
        };
        card(tr::mail::test_title(l), None, body.into_any())
    });
    view! {
        <div class="head"><h1>{tr::mail::mail(l)}</h1><p>{tr::mail::admin_what(l)}</p></div>
        {off}
        <div class="card" id="mail-state">{state(ui, mail)}</div>
        {test}
    }
}

pub async fn test(cx: Cx) -> Result<Answer> {
    match cx.services.test_mail(&cx.ctx).await {
        Ok(()) => Ok(done(paths::ADMIN_MAIL, tr::mail::tested(cx.lang()))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            page(cx, form).await
        }
    }
}
