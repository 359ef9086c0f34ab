//! What an app once was: its revisions, how any two differ, and the way back to one.

use berth_core::{Error, Result, services::apps::rolled_back, yaml};
use berth_types::{Action, FieldError, Resource, rows::RevisionRow};
use leptos::prelude::*;

use super::{
    demand,
    head::{self, Head, Tab},
    headroom::{self, Outlook},
    history, words,
};
use crate::{
    components::{
        Button, Column, Diff, Icon, ago, button, diff, empty, fill,
        form::{explain, refusal},
        icon, link_button, table,
    },
    paths,
    request::{Answer, Cx, done},
    tr,
    ui::Ui,
};

/// Lines around a change.
const CONTEXT: usize = 3;

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Revisions {
    /// The app and what stands above it.
    pub head: Head,
    /// Newest first; or why they cannot be read.
    pub rows: Result<Vec<RevisionRow>, String>,
    /// The two that are compared: older, newer.
    pub compared: Option<(i64, i64)>,
}

/// GET.
pub async fn page(cx: Cx) -> Result<Answer> {
    let (head, found) = head::find(&cx).await?;
    let app = cx.app()?;
    let rows = match cx.services.app_revisions(&cx.ctx, head.spot.app(&app)).await {
        Ok(rows) => Ok(rows),
        Err(e) if e.code().status() >= 500 => Err(explain(&cx, &e)),
        Err(e) => return Err(e),
    };
    let number = |name: &str| cx.query(name).parse::<i64>().ok();
    let compared = number("a").zip(number("b")).map(|(a, b)| (a.min(b), a.max(b)));
    let ui = cx.ui();
    let model = Revisions { head, rows, compared };
    Ok(head::page(ui, &model.head, &found, Tab::Revisions, view(ui, &model)).into())
}

/// The page below its head.
#[must_use]
pub fn view(ui: Ui, m: &Revisions) -> AnyView {
    let l = ui.lang;
    let rows = match &m.rows {
        Err(why) => return crate::components::note(crate::components::Tone::Warn, why.clone().into_any()).into_any(),
        Ok(rows) if rows.is_empty() => {
            return empty(Icon::Undo, tr::apps::no_revisions(l), tr::apps::no_revisions_hint(l), None).into_any();
        }
        Ok(rows) => rows,
    };
    // Without a choice, the last change is what one wants to see.
    let (old, new) = m.compared.unwrap_or(match rows.as_slice() {
        [new, old, ..] => (old.number, new.number),
        [only] => (only.number, only.number),
        [] => (0, 0),
    });
    // One alone has nothing to be compared with.
    let comparable = rows.len() > 1;
    let lines: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(i, row)| {
            let changes = match rows.get(i + 1) {
                Some(before) => words::changes(l, &history::changes(&before.spec, &row.spec)),
                None if row.number == 1 => tr::apps::first_revision(l).to_owned(),
                None => String::new(),
            };
            revision(ui, m, row, changes, comparable.then_some((old, new)))
        })
        .collect();
    let find = |number: i64| rows.iter().find(|row| row.number == number);
    let difference = match (find(old), find(new)) {
        (Some(a), Some(b)) if a.number != b.number => comparison(ui, a, b),
        _ => ().into_any(),
    };
    let picks = comparable.then(|| [Column::text(tr::apps::old(l)), Column::text(tr::apps::new(l))]);
    let columns = picks.into_iter().flatten().chain([
        Column::text(tr::apps::revision(l)),
        Column::text(tr::apps::what_changed(l)),
        Column::text(tr::apps::image(l)),
        Column::text(tr::apps::by(l)),
        Column::number(tr::apps::when(l)),
        Column::actions(l),
    ]);
    let compare =
        comparable.then(|| view! { <div class="do">{button(Button::Plain, None, tr::apps::compare(l), None)}</div> });
    view! {
        <section class="card" aria-label=tr::apps::revisions(l)>
            <form method="get">
                <header>
                    <h2>{tr::apps::revisions(l)}</h2>
                    {compare}
                </header>
                {table(columns, None, lines)}
            </form>
        </section>
        {difference}
    }
    .into_any()
}

fn revision(
    ui: Ui,
    m: &Revisions,
    row: &RevisionRow,
    changes: String,
    compared: Option<(i64, i64)>,
) -> impl IntoView + use<> {
    let l = ui.lang;
    let number = row.number;
    // The column's heading is not seen where rows are cards.
    let pick = |name: &'static str, word: &'static str, checked: bool, label: String| {
        view! {
            <td class="pick">
                <label>
                    <input type="radio" name=name value=number.to_string() checked=checked aria-label=label />
                    <span class="in-card" aria-hidden="true">{word}</span>
                </label>
            </td>
        }
    };
    let back = if row.current {
        view! { <span class="tag">{tr::apps::current(l)}</span> }.into_any()
    } else if m.head.may.update {
        link_button(Button::Quiet, Some(Icon::Undo), tr::apps::go_back(l), rollback_url(&m.head, number)).into_any()
    } else {
        ().into_any()
    };
    let images: Vec<String> = row.images.iter().map(|image| words::image_short(image)).collect();
    view! {
        <tr>
            {compared.map(|(old, _)| pick("a", tr::apps::old(l), number == old, tr::apps::compare_from(l, number)))}
            {compared.map(|(_, new)| pick("b", tr::apps::new(l), number == new, tr::apps::compare_to(l, number)))}
            <td><b>{number}</b></td>
            {fill(changes)}
            <td class="mono muted" title=row.images.join(", ")>{images.join(", ")}</td>
            <td>{row.by.clone().unwrap_or_else(|| "—".to_owned())}</td>
            <td class="num muted">{ago(ui, row.created_at)}</td>
            <td class="act">{back}</td>
        </tr>
    }
}

fn rollback_url(head: &Head, number: i64) -> String {
    paths::with_query(&head.spot.tab_url(&head.app.name, "rollback"), [("revision", number.to_string().as_str())])
}

/// How two revisions differ, whole.
fn comparison(ui: Ui, old: &RevisionRow, new: &RevisionRow) -> AnyView {
    let l = ui.lang;
    let label = tr::apps::from_to(l, old.number, new.number);
    let text = |row: &RevisionRow| yaml::print(&row.spec).unwrap_or_default();
    let lines = Diff::of(&text(old), &text(new), CONTEXT);
    let body = if lines.is_empty() {
        view! { <p class="in small muted">{tr::apps::no_difference(l)}</p> }.into_any()
    } else {
        diff(lines, label.clone()).into_any()
    };
    view! { <section class="card"><header><h2>{label}</h2></header>{body}</section> }.into_any()
}

/// GET `…/rollback?revision=N`: what would change, and the button.
pub async fn rollback_page(cx: Cx) -> Result<Answer> {
    ask(&cx, cx.query("revision"), None).await
}

/// POST `…/rollback`.
pub async fn rollback(cx: Cx) -> Result<Answer> {
    let app = cx.app()?;
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let typed = cx.field("revision").to_owned();
    let number: i64 = typed.parse().unwrap_or(0);
    if matches!(cx.field("to"), headroom::COUNT | headroom::CHECK) {
        return ask(&cx, &typed, None).await;
    }
    match cx.services.rollback_app(&cx.ctx, (&tenant, &namespace, &app), number).await {
        Ok(made) => {
            let flash = tr::apps::flash_rolled_back(cx.lang(), &app, number);
            Ok(done(paths::app(&tenant, &namespace, &app), headroom::told(cx.ui(), flash, &made)))
        }
        Err(e) => refused(&cx, &typed, e).await,
    }
}

async fn refused(cx: &Cx, typed: &str, error: Error) -> Result<Answer> {
    if matches!(error.code().status(), 401 | 404) || error.missing().is_some() {
        return Err(error);
    }
    ask(cx, typed, Some(error)).await
}

async fn ask(cx: &Cx, typed: &str, error: Option<Error>) -> Result<Answer> {
    let (head, found) = head::find(cx).await?;
    demand(head.may.update, Resource::App, Action::Update)?;
    let app = cx.app()?;
    let rows = cx.services.app_revisions(&cx.ctx, head.spot.app(&app)).await?;
    let ui = cx.ui();
    let wanted = typed.parse::<i64>().ok().and_then(|n| rows.iter().find(|row| row.number == n));
    let current = rows.iter().find(|row| row.current).or(rows.first());
    let status = error.as_ref().map_or(200, |e| refusal(e.code()));
    let message = error.map(|e| match e.fields() {
        [] => explain(cx, &e),
        fields => told(ui, fields),
    });
    let mut message = message;
    let mut status = status;
    let body = match wanted {
        Some(wanted) => {
            let spec =
                serde_json::to_value(rolled_back(&wanted.spec, Some(&head.app.spec))).map_err(Error::internal)?;
            let to = cx.field("to");
            let outlook = headroom::look(cx, &head.spot, Some(&app), &spec, headroom::depth(to)).await?;
            if to == headroom::COUNT {
                return Ok(outlook.fragment(ui));
            }
            if to == headroom::CHECK && !outlook.errors().is_empty() {
                message = Some(told(ui, outlook.errors()));
                status = 422;
            }
            confirm(ui, &head, wanted, current, message, &outlook)
        }
        None => {
            let unknown =
                FieldError::new("revision", "revision_unknown", "there is no such revision").param("value", typed);
            let list = link_button(
                Button::Plain,
                None,
                tr::apps::revisions(ui.lang),
                head.spot.tab_url(&head.app.name, "revisions"),
            );
            let text = tr::field_error(ui.lang, &unknown);
            empty(Icon::Undo, tr::apps::no_such_revision(ui.lang), text, Some(list.into_any())).into_any()
        }
    };
    let status = if wanted.is_none() { 404.max(status) } else { status };
    Ok(head::page(ui, &head, &found, Tab::Other, body).status(status).into())
}

fn told(ui: Ui, errors: &[FieldError]) -> String {
    errors.iter().map(|error| tr::field_error(ui.lang, error)).collect::<Vec<_>>().join(" ")
}

/// What going back would change, and the button.
#[must_use]
pub fn confirm(
    ui: Ui,
    head: &Head,
    wanted: &RevisionRow,
    current: Option<&RevisionRow>,
    message: Option<String>,
    outlook: &Outlook,
) -> AnyView {
    let l = ui.lang;
    let text = |row: &RevisionRow| yaml::print(&row.spec).unwrap_or_default();
    let lines = current.map(|now| Diff::of(&text(now), &text(wanted), CONTEXT)).unwrap_or_default();
    let change = if lines.is_empty() {
        view! { <p class="small muted">{tr::apps::no_difference(l)}</p> }.into_any()
    } else {
        diff(lines, tr::apps::what_would_change(l)).into_any()
    };
    let message = message.map(|text| {
        view! { <div class="note bad" role="alert">{icon(Icon::Bad)}<div>{text}</div></div> }
    });
    view! {
        <form class="cols" method="post">
            <section class="card">
                <header><h2>{tr::apps::rollback_title(l, wanted.number)}</h2></header>
                <div class="in">
                    {message}
                    <p>{tr::apps::rollback_hint(l)}</p>
                    {change}
                    <input type="hidden" name="revision" value=wanted.number.to_string() />
                    <div class="fixes">
                        {button(Button::Go, Some(Icon::Undo), tr::apps::back_to(l, wanted.number), None)}
                        {link_button(Button::Quiet, None, tr::apps::cancel(l), head.spot.app_url(&head.app.name))}
                    </div>
                </div>
            </section>
            <aside class="stack follow">{headroom::panel(ui, outlook)}</aside>
        </form>
    }
    .into_any()
}
