//! The audit log: who did what, when, and what was refused. The list with its filters, and one entry.

use berth_core::{
    Error, Result,
    audit::{FILTERS, export::Format},
    ports::pages::Language,
};
use berth_types::{Page as Rows, people::AuditEntry};
use leptos::prelude::*;

use crate::{
    components::{
        Button, Column, Diff, Field, Form, Icon, List, ListUrl, Tone, button, card, code, diff, empty, exactly, field,
        form::summary, hidden, link_button, list::chip, status, table,
    },
    paths,
    request::{AdminNav, Answer, Cx, Page, Place},
    tr,
    ui::Ui,
};

const PLACE: Place = Place::Admin(AdminNav::Audit);
/// Filters that are a field of the form; outcomes are chips.
const FIELDS: [&str; 6] = ["actor", "action", "tenant", "since", "until", "q"];

pub async fn list(cx: Cx) -> Result<Answer> {
    let query = cx.list_query(&FILTERS, "");
    let in_form = |e: &Error| e.fields().iter().all(|wrong| FIELDS.contains(&wrong.field.as_str()));
    let (rows, errors) = match cx.services.list_audit(&cx.ctx, &query).await {
        Ok(rows) => (rows, Vec::new()),
        // A time that is none stands in the form, as it was typed.
        Err(e) if !e.fields().is_empty() && in_form(&e) => (Rows::whole(Vec::new()), e.fields().to_vec()),
        Err(e) => return Err(e),
    };
    let form = Form { values: cx.request.query.clone(), errors, ..Form::default() };
    let status = form.status();
    let view = view(cx.ui(), List::of(&cx, query, rows), form);
    Ok(Page::new(tr::common::audit(cx.lang()), PLACE, view).status(status).into())
}

/// The log. `form` holds what was filtered by.
pub fn view(ui: Ui, list: List<AuditEntry>, form: Form) -> impl IntoView + 'static {
    let l = ui.lang;
    let export = |format: Format, label: &'static str| {
        let kept = list.url.others(&[]).filter(|(name, _)| *name == "q" || FILTERS.contains(name));
        let href = paths::with_query(paths::ADMIN_AUDIT_EXPORT, kept.chain([("format", format.as_str())]));
        link_button(Button::Plain, None, label, href)
    };
    let exports = (list.page.total > 0).then(|| {
        view! { {export(Format::Csv, tr::audit::export_csv(l))} {export(Format::Ndjson, tr::audit::export_ndjson(l))} }
    });
    let outcomes = ["done", "denied", "failed", "unknown"].map(|outcome| (outcome, judged(l, outcome).1));
    let outcomes: Vec<_> =
        outcomes.into_iter().map(|(value, label)| chip(&list.url, "outcome", value, label, None)).collect();
    // Filters that were set by clicking a value; each can be taken off.
    let clicked = list.chosen(&["actor", "action", "tenant"]);
    let columns = [
        Column::text(tr::shell::when(l)),
        Column::text(tr::shell::who(l)),
        Column::text(tr::shell::what(l)),
        Column::text(tr::shell::target(l)),
        Column::text(tr::shell::outcome(l)),
        Column::text(tr::shell::network(l)),
    ];
    let body = if list.page.items.is_empty() {
        list.empty(l, || empty(Icon::Journal, tr::shell::no_entries(l), tr::shell::no_entries_hint(l), None).into_any())
    } else {
        let rows: Vec<_> = list.page.items.iter().map(|entry| row(ui, &list.url, entry)).collect();
        view! { {table(columns, None, rows)} {list.pager(l)} }.into_any()
    };
    view! {
        <div class="head">
            <h1>{tr::common::audit(l)}</h1>
            <p>{tr::audit::intro(l)}</p>
            <div class="do">{exports}</div>
        </div>
        <section class="card" aria-label=tr::common::filter(l)>{filters(ui, &list, &form)}</section>
        <section class="card" aria-label=tr::common::audit(l)>
            <header><div class="chips" id="audit-chips">{outcomes} {clicked}</div></header>
            <div id="audit-rows">{body}</div>
        </section>
    }
}

/// The form of the filters. What it has no field for goes along.
fn filters(ui: Ui, list: &List<AuditEntry>, form: &Form) -> impl IntoView + use<> {
    let l = ui.lang;
    let distinct = |of: fn(&AuditEntry) -> &str| {
        let mut values: Vec<String> = list.page.items.iter().map(|e| of(e).to_owned()).collect();
        values.sort();
        values.dedup();
        values
    };
    let moment = |name: &'static str, label: &'static str| {
        // The browser's own control holds nothing but a day and a time to the minute.
        let text = form.value(name);
        if text.is_empty() || text.len() == "2026-11-21T14:00".len() && form.errors_of(name).next().is_none() {
            Field::moment(name, label)
        } else {
            Field::text(name, label)
        }
    };
    let fields = [
        Field::text("actor", tr::shell::who(l)).choices(distinct(|e| &e.actor)),
        Field::text("action", tr::shell::what(l)).choices(distinct(|e| &e.action)),
        Field::text("tenant", tr::common::tenant(l))
            .choices(distinct(|e| e.tenant.as_ref().map_or("", |tenant| tenant.as_str()))),
        Field::text("q", tr::shell::target(l)),
        moment("since", tr::audit::since(l)),
        moment("until", tr::audit::until(l)),
    ];
    let fields: Vec<_> = fields.into_iter().map(|one| field(ui, form, one)).collect();
    let mut shown: Vec<&str> = Vec::new();
    let others = list.url.others(&["page"]).filter(|(name, _)| {
        // A field shows the first of its values.
        let first = FIELDS.contains(name) && !shown.contains(name);
        shown.push(name);
        !first
    });
    let others: Vec<_> = others.map(|(name, value)| hidden(name.to_owned(), value.to_owned())).collect();
    let all = list.is_filtered().then(|| link_button(Button::Quiet, None, tr::common::show_all(l), paths::ADMIN_AUDIT));
    view! {
        <form class="in" method="get" action=paths::ADMIN_AUDIT role="search">
            {summary(ui, form, &FIELDS)}
            {others}
            <div class="row">{fields}</div>
            <div class="actions">{button(Button::Plain, Some(Icon::Search), tr::common::filter(l), None)}{all}</div>
        </form>
    }
}

/// An outcome in words.
fn judged(l: Language, outcome: &str) -> (Tone, &'static str) {
    match outcome {
        "done" => (Tone::Ok, tr::shell::done(l)),
        "denied" => (Tone::Warn, tr::shell::denied(l)),
        "unknown" => (Tone::Warn, tr::shell::unknown(l)),
        _ => (Tone::Bad, tr::shell::failed(l)),
    }
}

/// Who, as people read it.
fn actor(e: &AuditEntry) -> String {
    if e.actor.is_empty() { "–".to_owned() } else { e.actor.clone() }
}

/// How they came in; as whom, where they looked at the portal as somebody else has it.
fn came_in(l: Language, via: &str) -> String {
    via.strip_prefix("view:").map_or_else(|| via.to_owned(), |whom| tr::view_as::as_whom(l, whom))
}

fn row(ui: Ui, url: &ListUrl, e: &AuditEntry) -> AnyView {
    let l = ui.lang;
    let (tone, word) = judged(l, &e.outcome);
    let reason = e.reason.clone().map(|r| view! { " " <span class="muted small">{r}</span> });
    view! {
        <tr>
            <td><a class="name" href=paths::admin_audit_entry(e.id)>{exactly(e.at)}</a></td>
            <td><a href=url.toggle("actor", &e.actor)>{actor(e)}</a>" "<span class="muted small">{came_in(l, &e.via)}</span></td>
            <td class="mono"><a href=url.toggle("action", &e.action)>{e.action.clone()}</a></td>
            <td class="fill mono" title=e.target.clone()>{e.target.clone()}</td>
            <td>{status(tone, word)}{reason}</td>
            <td class="muted mono hide">{e.network.clone()}</td>
        </tr>
    }
    .into_any()
}

pub async fn one(cx: Cx) -> Result<Answer> {
    let sequence: i64 = cx.param("entry")?.parse().map_err(|_| Error::not_found())?;
    let entry = cx.services.find_audit(&cx.ctx, sequence).await?;
    let title = tr::audit::entry(cx.lang(), sequence);
    let view = entry_view(cx.ui(), entry);
    Ok(Page::new(title.clone(), PLACE, view).crumb(title, paths::admin_audit_entry(sequence)).into())
}

/// One entry.
pub fn entry_view(ui: Ui, e: AuditEntry) -> impl IntoView + 'static {
    let l = ui.lang;
    let (tone, word) = judged(l, &e.outcome);
    let only = |key: &str, value: &str| ListUrl::new(paths::ADMIN_AUDIT, Vec::new()).set(key, value);
    let fact = |label: &'static str, value: String| {
        (!value.is_empty()).then(|| view! { <dt>{label}</dt><dd class="mono">{value}</dd> })
    };
    let link = |label: &'static str, value: String, href: String| {
        (!value.is_empty()).then(|| view! { <dt>{label}</dt><dd><a href=href>{value}</a></dd> })
    };
    let tenant = e.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    let facts = view! {
        <dl class="in facts">
            <dt>{tr::shell::when(l)}</dt><dd>{exactly(e.at)}</dd>
            {link(tr::shell::who(l), actor(&e), only("actor", &e.actor))}
            {fact(tr::audit::via(l), came_in(l, &e.via))}
            {link(tr::shell::what(l), e.action.clone(), only("action", &e.action))}
            {fact(tr::shell::target(l), e.target.clone())}
            {link(tr::common::tenant(l), tenant.clone(), only("tenant", &tenant))}
            {fact(tr::shell::network(l), e.network.clone())}
            {fact(tr::common::request_id(l), e.request_id.clone())}
            {fact(tr::audit::number(l), e.id.to_string())}
            {fact(tr::audit::hash(l), e.hash.clone())}
        </dl>
    };
    let facts = view! { {facts} <p class="in muted small">{tr::audit::hash_hint(l)}</p> };
    let reason = e.reason.clone().map(|r| view! { <span class="tag mono">{r}</span> });
    let label = tr::audit::change(l);
    view! {
        <div class="head"><h1>{tr::audit::entry(l, e.id)}</h1>{status(tone, word)}{reason}</div>
        <div class="stack">
            {card(tr::audit::details(l), None, facts.into_any())}
            {card(label, None, change(ui, e.detail.as_ref(), label))}
        </div>
    }
}

/// What changed: the lines that differ where the entry holds both states, else what it holds.
fn change(ui: Ui, detail: Option<&serde_json::Value>, label: &'static str) -> AnyView {
    let printed = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let Some(detail) = detail else {
        return view! { <p class="in muted">{tr::audit::change_none(ui.lang)}</p> }.into_any();
    };
    match (detail.get("before"), detail.get("after")) {
        (Some(before), Some(after)) if before != after => {
            diff(Diff::of(&printed(before), &printed(after), 3), label).into_any()
        }
        _ => code(printed(detail), label).into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(detail: Option<serde_json::Value>) -> AuditEntry {
        AuditEntry {
            id: 7,
            at: jiff::Timestamp::UNIX_EPOCH,
            actor: "ann".to_owned(),
            via: "session".to_owned(),
            action: "user.update".to_owned(),
            target: "<b>bob</b>".to_owned(),
            tenant: None,
            outcome: "done".to_owned(),
            reason: None,
            detail,
            request_id: "r-1".to_owned(),
            network: "192.0.2.1".to_owned(),
            hash: "ab".repeat(32),
        }
    }

    fn html(detail: Option<serde_json::Value>) -> String {
        let ui = Ui { lang: Language::En, now: jiff::Timestamp::UNIX_EPOCH };
        entry_view(ui, entry(detail)).to_html()
    }

    #[test]
    fn an_entry_shows_all_it_holds() {
        let page = html(None);
        for part in ["Entry 7", "user.update", "r-1", "192.0.2.1", "&lt;b&gt;bob", &"ab".repeat(32), "no more"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<b>bob"), "{page}");
        assert!(page.contains(r#"href="/admin/audit?actor=ann""#), "{page}");
    }

    #[test]
    fn two_states_are_compared() {
        let page = html(Some(serde_json::json!({
            "before": { "role": "viewer", "disabled": false }, "after": { "role": "owner", "disabled": false }
        })));
        assert!(page.contains("- ") && page.contains("+ "), "{page}");
        assert!(page.contains(r#"class="del""#) && page.contains(r#"class="add""#), "{page}");
        let plain = html(Some(serde_json::json!({ "replicas": 3 })));
        assert!(plain.contains("replicas") && !plain.contains("class=\"diff\""), "{plain}");
    }
}
