//! Announcements for who keeps the platform: past, present and to come.

use berth_core::{Error, Result};
use berth_types::{
    Action, Resource,
    announcement::{Announcement, AnnouncementLevel, AnnouncementText, MAX_TEXT},
};
use jiff::Timestamp;
use leptos::prelude::*;

use super::may_change;
use crate::{
    components::{
        Button, Column, Field, Form, Icon, Tone, button, card, empty, field, fill, form::summary, hidden, link_button,
        on, status, table, tag,
    },
    pages::{access, announcements::level},
    paths,
    request::{AdminNav, Answer, Cx, Page, PageCx, Place, done},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::Announcements);
const FIELDS: [&str; 5] = ["level", "text", "from", "until", "onSignIn"];

/// GET `/admin/announcements`.
pub async fn list(cx: Cx) -> Result<Answer> {
    let all = cx.services.list_announcements(&cx.ctx).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let may = may_change(&cx, Resource::Banner, Action::Create);
    let new = || link_button(Button::Go, Some(Icon::Plus), tr::announcements::new(l), paths::ADMIN_ANNOUNCEMENT_NEW);
    let top = (may && !all.is_empty()).then(new);
    let closed = access::closed_on_platform(&cx, tr::announcements::new(l), (Resource::Banner, Action::Create)).await;
    let body = if all.is_empty() {
        let step = may.then(|| new().into_any());
        empty(Icon::Lines, tr::announcements::none(l), tr::announcements::none_hint(l), step).into_any()
    } else {
        let rows: Vec<_> = all.iter().map(|a| row(ui, a, may)).collect();
        let columns = [
            Column::text(tr::announcements::level(l)),
            Column::text(tr::announcements::when(l)),
            Column::text(tr::announcements::text(l)),
            Column::number(tr::announcements::from(l)),
            Column::number(tr::announcements::until(l)),
        ];
        table(columns, None, rows)
    };
    let title = tr::announcements::announcements(l);
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{tr::announcements::what(l)}</p><div class="do">{closed}{top}</div></div>
        <section class="card" aria-label=title>{body}</section>
    };
    Ok(Page::new(title, PLACE, view).into())
}

fn row(ui: Ui, a: &Announcement, may: bool) -> AnyView {
    let l = ui.lang;
    let (tone, word) = level(ui, a.level);
    let (when, said) = if a.is_current(ui.now) {
        (Tone::Ok, tr::announcements::shown(l))
    } else if a.from > ui.now {
        (Tone::Info, tr::announcements::to_come(l))
    } else {
        (Tone::Off, tr::announcements::over(l))
    };
    let door = a.on_sign_in.then(|| view! { " " {tag(tr::announcements::at_sign_in(l))} });
    let word = match may {
        true => view! { <a class="name" href=paths::admin_announcement(a.id)>{status(tone, word)}</a> }.into_any(),
        false => status(tone, word).into_any(),
    };
    let until = match a.until {
        Some(until) => on(until).into_any(),
        None => "–".into_any(),
    };
    view! {
        <tr>
            <td>{word}</td>
            <td>{status(when, said)}{door}</td>
            {fill(a.text.clone())}
            <td class="num">{on(a.from)}</td>
            <td class="num">{until}</td>
        </tr>
    }
    .into_any()
}

/// What was sent.
fn sent(cx: &PageCx) -> AnnouncementText {
    let some = |name: &str| Some(cx.field(name).to_owned()).filter(|text| !text.trim().is_empty());
    AnnouncementText {
        level: cx.field("level").to_owned(),
        text: cx.field("text").to_owned(),
        from: some("from"),
        until: some("until"),
        on_sign_in: cx.field("onSignIn") == "on",
    }
}

/// A time as a form's field has it, in UTC.
fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M").to_string()
}

fn fields(ui: Ui, form: &Form) -> AnyView {
    let l = ui.lang;
    let levels = AnnouncementLevel::ALL.iter().rev().map(|one| (one.as_str().to_owned(), level(ui, *one).1.to_owned()));
    let level = Field::select("level", tr::announcements::level(l), levels.collect());
    let text = Field::area("text", tr::announcements::text(l), 4).required().max(MAX_TEXT);
    let text = text.hint(tr::announcements::text_hint(l, MAX_TEXT));
    let from = Field::moment("from", tr::announcements::from(l)).hint(tr::announcements::from_hint(l));
    let until = Field::moment("until", tr::announcements::until(l)).hint(tr::announcements::until_hint(l));
    let door = Field::check("onSignIn", tr::announcements::on_sign_in(l)).hint(tr::announcements::on_sign_in_hint(l));
    view! {
        {summary(ui, form, &FIELDS)}
        {field(ui, form, level)}
        {field(ui, form, text)}
        <div class="row">{field(ui, form, from)} {field(ui, form, until)}</div>
        {field(ui, form, door)}
    }
    .into_any()
}

/// GET `/admin/announcements/new`.
pub async fn new(cx: Cx, form: Form) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Banner, Action::Create)?;
    let (ui, l) = (cx.ui(), cx.lang());
    let title = tr::announcements::new(l);
    let status = form.status();
    let view = view! {
        <div class="head"><h1>{title}</h1></div>
        <form class="card narrow in" method="post" novalidate>
            {fields(ui, &form)}
            <div class="actions">
                {button(Button::Go, None, tr::announcements::publish(l), None)}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_ANNOUNCEMENTS)}
            </div>
        </form>
    };
    Ok(Page::new(title, PLACE, view).crumb(title, paths::ADMIN_ANNOUNCEMENT_NEW).status(status).into())
}

/// POST `/admin/announcements/new`.
pub async fn create(cx: Cx) -> Result<Answer> {
    match cx.services.create_announcement(&cx.ctx, &sent(&cx)).await {
        Ok(_) => Ok(done(paths::ADMIN_ANNOUNCEMENTS, tr::announcements::made(cx.lang()))),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            new(cx, form).await
        }
    }
}

/// GET `/admin/announcements/{announcement}`.
pub async fn one(cx: Cx, refused: Option<Form>) -> Result<Answer> {
    cx.services.authz().platform(&cx.ctx, Resource::Banner, Action::Update)?;
    let found = cx.services.get_announcement(&cx.ctx, id(&cx)?).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let form = refused.unwrap_or_else(|| {
        let door = if found.on_sign_in { "on" } else { "" };
        Form::with([
            ("level", found.level.to_string()),
            ("text", found.text.clone()),
            ("from", written(found.from)),
            ("until", found.until.map(written).unwrap_or_default()),
            ("onSignIn", door.to_owned()),
        ])
    });
    let title = tr::announcements::change(l);
    let remove = view! {
        <form class="in" method="post">
            <p>{tr::announcements::remove_what(l)}</p>
            <div class="actions">{button(Button::Danger, Some(Icon::Bin), tr::announcements::remove(l), Some("delete"))}</div>
        </form>
    };
    let status = form.status();
    let view = view! {
        <div class="head"><h1>{title}</h1><p>{tr::announcements::by(l, &found.created_by)} " " {on(found.created_at)}</p></div>
        <form class="card narrow in" method="post" novalidate>
            {hidden("version", found.version.to_string())}
            {fields(ui, &form)}
            <div class="actions">
                {button(Button::Go, None, tr::common::save(l), Some("save"))}
                {link_button(Button::Quiet, None, tr::common::cancel(l), paths::ADMIN_ANNOUNCEMENTS)}
            </div>
        </form>
        {card(tr::announcements::remove(l), None, remove.into_any())}
    };
    let page = Page::new(title, PLACE, view).crumb(tr::announcements::announcements(l), paths::ADMIN_ANNOUNCEMENTS);
    Ok(page.crumb(title, paths::admin_announcement(found.id)).status(status).into())
}

fn id<T: std::str::FromStr>(cx: &Cx) -> Result<T> {
    cx.param("announcement")?.parse().map_err(|_| Error::not_found())
}

/// POST `/admin/announcements/{announcement}`.
pub async fn change(cx: Cx) -> Result<Answer> {
    let (id, l) = (id(&cx)?, cx.lang());
    let outcome = match cx.field("do") {
        "delete" => cx.services.delete_announcement(&cx.ctx, id).await.map(|()| tr::announcements::removed(l)),
        _ => {
            let version = cx.field("version").parse().ok();
            let changed = cx.services.update_announcement(&cx.ctx, id, &sent(&cx), version).await;
            changed.map(|_| tr::announcements::changed(l))
        }
    };
    match outcome {
        Ok(said) => Ok(done(paths::ADMIN_ANNOUNCEMENTS, said)),
        Err(e) => {
            let form = Form::refused(&cx, &[], e)?;
            one(cx, Some(form)).await
        }
    }
}
