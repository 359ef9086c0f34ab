//! Looking at the portal as somebody else has it: how it begins, the bar that says so on every page, and who looked.

use berth_core::{
    Person, Result,
    ports::pages::{Access, Language, VIEW_FIELD},
    view_as::{REASON_MAX, ViewAs},
};
use berth_types::{
    people::User,
    view_as::{ViewEnd, ViewRecord},
};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{
        Button, Column, Field, Form, Icon, button, card, field, form::summary, icon, on, table, time::span_text,
    },
    paths,
    request::{Answer, Cx, done},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[Entry::action(paths::VIEW_END, Access::SignedIn, |cx| end(cx).boxed())];

/// POST `/view/end`: back to the page of the person.
async fn end(cx: Cx) -> Result<Answer> {
    let user = cx.services.end_view(&cx.ctx).await?;
    Ok(done(paths::admin_person(&user), tr::view_as::ended_done(cx.lang(), &user)))
}

/// Begins to look as `user`, and shows what they see first; the form again where that cannot be.
///
/// # Errors
/// What no form mends.
pub async fn begin(cx: &Cx, user: &User) -> Result<Result<Answer, Form>> {
    match cx.services.begin_view(&cx.ctx, &user.name, cx.field("reason")).await {
        Ok(_) => Ok(Ok(berth_core::ports::pages::PageResponse::redirect(paths::HOME).into())),
        Err(e) => Ok(Err(Form::refused(cx, &[], e)?)),
    }
}

/// The form by which it begins, or why it cannot.
#[must_use]
pub fn begin_card(ui: Ui, user: &User, form: &Form) -> AnyView {
    let l = ui.lang;
    let title = tr::view_as::title(l, &user.name);
    if user.platform_role.is_some() {
        let body = view! { <p class="in small">{tr::view_as::not_platform(l)}</p> };
        return card(title, None, body.into_any()).into_any();
    }
    let reason = Field::text("reason", tr::view_as::reason(l))
        .required()
        .max(REASON_MAX)
        .hint(tr::view_as::reason_hint(l, &user.name));
    let body = view! {
        <form class="in" method="post">
            {summary(ui, form, &["reason"])}
            <p class="small">{tr::view_as::what(l)}</p>
            {field(ui, form, reason)}
            <div class="actions">{button(Button::Plain, Some(Icon::Person), tr::view_as::begin(l), Some("view-as"))}</div>
        </form>
    };
    card(title, None, body.into_any()).into_any()
}

/// The bar of a page that is seen so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// As whom.
    pub name: String,
    /// Which look, by whom and until when.
    pub view: ViewAs,
}

impl Bar {
    /// The bar for what `person` is shown, where somebody else looks.
    #[must_use]
    pub fn of(person: &Person) -> Option<Self> {
        let called = if *person.display_name == *person.name.as_str() {
            person.name.to_string()
        } else {
            format!("{} ({})", person.display_name, person.name)
        };
        Some(Self { name: called, view: person.viewed_by()?.clone() })
    }
}

/// The bar: above all else, wherever one scrolls.
pub fn bar(ui: Ui, bar: &Bar) -> impl IntoView + use<> {
    let l = ui.lang;
    let left = (bar.view.until.as_second() - ui.now.as_second()).max(0);
    view! {
        <section class="viewing-bar" aria-label=tr::view_as::bar_label(l) data-seconds-left=left.to_string()>
            {icon(Icon::Person)}
            <p>
                <strong>{tr::view_as::bar(l, &bar.name)}</strong>
                " "
                <span>{tr::view_as::bar_by(l, &bar.view.by)}" "{crate::components::clock(bar.view.until)}</span>
            </p>
            <form method="post" action=paths::VIEW_END>
                <button class="btn sm" type="submit">{tr::view_as::end(l)}</button>
            </form>
        </section>
    }
}

/// How it ended, in words.
fn ended(l: Language, how: ViewEnd) -> &'static str {
    match how {
        ViewEnd::Asked => tr::view_as::how_asked(l),
        ViewEnd::Over => tr::view_as::how_over(l),
        ViewEnd::Role => tr::view_as::how_role(l),
        ViewEnd::Person => tr::view_as::how_person(l),
        ViewEnd::Session => tr::view_as::how_session(l),
    }
}

/// Who looked, when, for how long and why.
#[must_use]
pub fn records(ui: Ui, title: &'static str, what: &'static str, all: Vec<ViewRecord>) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = all
        .into_iter()
        .map(|view| {
            let seconds = view.ended_at.unwrap_or(ui.now).as_second() - view.begun_at.as_second();
            let how = view.ended.map_or_else(|| tr::view_as::goes_on(l), |how| ended(l, how));
            view! {
                <tr>
                    <td class="name">{view.by.to_string()}</td>
                    <td class="muted">{on(view.begun_at)}</td>
                    <td>{span_text(l, seconds.max(1))}" "<span class="muted small">{how}</span></td>
                    <td class="fill wrap">{view.reason}</td>
                </tr>
            }
            .into_any()
        })
        .collect();
    let body = if rows.is_empty() {
        view! { <p class="in small muted">{tr::view_as::nobody(l)}</p> }.into_any()
    } else {
        let columns = [
            Column::text(tr::shell::who(l)),
            Column::text(tr::shell::when(l)),
            Column::text(tr::view_as::how_long(l)),
            Column::text(tr::view_as::reason(l)),
        ];
        table(columns, None, rows).into_any()
    };
    let body = view! { <p class="in small">{what}</p> {body} };
    view! { <div class="looks">{card(title, None, body.into_any())}</div> }.into_any()
}

/// The document, or a part of it, with [`VIEW_FIELD`] in each form that is sent.
#[must_use]
pub fn marked(html: &str, view: &ViewAs) -> String {
    let field = format!("<input type=\"hidden\" name=\"{VIEW_FIELD}\" value=\"{}\">", view.id);
    let mut out = String::with_capacity(html.len() + 1024);
    let mut rest = html;
    while let Some(at) = rest.find("<form") {
        let tag = &rest[at..];
        let end = tag_end(tag);
        out.push_str(&rest[..at + end]);
        if tag[..end].contains("method=\"post\"") {
            out.push_str(&field);
        }
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

/// Where the tag ends with which `text` begins: behind the first `>` that is in no value.
fn tag_end(text: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_that_is_sent_says_in_which_look_it_was_seen() {
        let view = ViewAs {
            id: uuid::Uuid::from_u128(7),
            session: uuid::Uuid::nil(),
            viewer: uuid::Uuid::nil(),
            by: "root".parse().unwrap(),
            until: "2026-11-20T08:30:00Z".parse().unwrap(),
        };
        let mark = "<input type=\"hidden\" name=\"viewing\" value=\"00000000-0000-0000-0000-000000000007\">";
        for (html, want) in [
            ("<p>a</p>", "<p>a</p>".to_owned()),
            ("<form method=\"get\"><b></form>", "<form method=\"get\"><b></form>".to_owned()),
            (
                "<form class=\"a>b\" method=\"post\"><b></form>",
                format!("<form class=\"a>b\" method=\"post\">{mark}<b></form>"),
            ),
            (
                "<form method=\"post\">x</form>é<form action=\"/a\" method=\"post\"></form>",
                format!("<form method=\"post\">{mark}x</form>é<form action=\"/a\" method=\"post\">{mark}</form>"),
            ),
            ("<form method=\"post\"", format!("<form method=\"post\"{mark}")),
        ] {
            assert_eq!(marked(html, &view), want);
        }
    }
}
