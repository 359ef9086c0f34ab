//! Why an app is not well, how we know, and what mends it.

use berth_types::{
    Cause, CauseCode, Quantity, QuotaKey,
    app_status::EvidenceKind,
    rows::{AppView, RevisionRow},
    text::printable,
};
use leptos::prelude::*;

use super::{head::Head, words};
use crate::{
    components::{Button, Diff, Icon, ago, diff, icon, link_button},
    paths, tr,
    ui::Ui,
};

/// Most lines of the difference that are shown here; the revision's own page has all.
const MOST_LINES: usize = 14;

/// What Berth calls the ResourceQuota that it makes.
const QUOTA: &str = "berth";

/// Something that mends a cause, as a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Make this revision the wanted one again.
    Back(i64),
    /// Change the image.
    Image,
    /// Change environment variables.
    Environment,
    /// Allow more memory.
    Memory,
    /// Ask for less.
    Resources,
    /// Change what the readiness check asks.
    Readiness,
    /// Change what the form does not show.
    Yaml,
    /// Want fewer pods.
    Scale,
    /// Ask for another quota.
    Quota,
    /// Read what it printed before it ended.
    Logs,
    /// Read what the cluster says.
    Events,
}

/// What may mend `code`, best first. `back` is the revision before this one.
#[must_use]
pub fn fixes(code: CauseCode, back: Option<i64>) -> Vec<Fix> {
    use CauseCode::{
        ConfigMissing, CrashLoop, HostNotFound, ImagePull, InitFailed, NotReady, ObjectRefused, OutOfMemory,
        PodRefused, ProbeRestarts, QuotaExceeded, Stuck, Unschedulable, Volume,
    };
    let own: &[Fix] = match code {
        ImagePull => &[Fix::Image],
        CrashLoop => &[Fix::Logs, Fix::Environment],
        OutOfMemory => &[Fix::Memory],
        NotReady | ProbeRestarts => &[Fix::Readiness, Fix::Logs],
        Unschedulable => &[Fix::Scale, Fix::Resources],
        QuotaExceeded => &[Fix::Scale, Fix::Resources, Fix::Quota],
        ConfigMissing | Volume | PodRefused | ObjectRefused => &[Fix::Yaml],
        InitFailed => &[Fix::Logs, Fix::Yaml],
        HostNotFound => &[Fix::Environment, Fix::Logs],
        Stuck => &[Fix::Events],
    };
    // What worked before works again, unless it is the place that is missing and not the app that is wrong.
    let first = match code {
        Unschedulable | QuotaExceeded => own.len(),
        _ => 0,
    };
    let mut all = own.to_vec();
    if let Some(number) = back {
        all.insert(first, Fix::Back(number));
    }
    all
}

/// Twice the memory that was not enough, as people write it.
#[must_use]
pub fn more_memory(limit: &str) -> Option<String> {
    let bytes = limit.parse::<Quantity>().ok()?.times(2).as_units();
    let (gib, mib) = (1_i64 << 30, 1_i64 << 20);
    match bytes {
        b if b >= gib && b % gib == 0 => Some(format!("{}Gi", b / gib)),
        b if b >= mib => Some(format!("{}Mi", b.div_euclid(mib) + i64::from(b % mib != 0))),
        _ => None,
    }
}

/// What a pod that the quota refuses lacks, as the form that asks for more takes it; none where another quota than Berth's refuses
/// it, of which the tenant's has no more to give.
#[must_use]
pub fn lacking(cause: &Cause) -> Option<(String, String)> {
    let param = |name: &str| cause.params.get(name).map(String::as_str);
    let amount = |name: &str| param(name)?.parse::<Quantity>().ok();
    if cause.code != CauseCode::QuotaExceeded || param("quota") != Some(QUOTA) {
        return None;
    }
    // An old name of the same.
    let key = match param("resource")? {
        "cpu" | "memory" => format!("requests.{}", param("resource")?),
        other => other.to_owned(),
    };
    let parsed: QuotaKey = key.parse().ok()?;
    let lack = amount("requested")?.plus(amount("used")?).minus(amount("limited")?);
    (lack > Quantity::ZERO).then(|| (format!("lacking[{key}]"), parsed.write(lack)))
}

/// The revision that is wanted now and the one before it.
#[must_use]
pub fn current_and_before<'a>(
    app: &AppView,
    revisions: &'a [RevisionRow],
) -> (Option<&'a RevisionRow>, Option<&'a RevisionRow>) {
    let current =
        revisions.iter().find(|r| r.current).or_else(|| revisions.iter().find(|r| r.number == app.status.revision));
    let before = current.and_then(|now| revisions.iter().filter(|r| r.number < now.number).max_by_key(|r| r.number));
    (current, before)
}

/// The finding of a degraded app; nothing when there is no cause.
#[must_use]
pub fn view(ui: Ui, head: &Head, revisions: &[RevisionRow]) -> AnyView {
    let app = &head.app;
    if app.deleting_since.is_some() || app.status.observed_generation < app.generation {
        return ().into_any();
    }
    let Some(cause) = &app.status.cause else {
        return ().into_any();
    };
    let l = ui.lang;
    let (current, before) = current_and_before(app, revisions);
    let component = (app.spec.components.len() > 1).then(|| cause.component.clone());
    let since = cause.since.map(|at| view! { {tr::apps::since(l)}" "{ago(ui, at)} });
    let by = current.map(|r| match &r.by {
        Some(by) => tr::apps::revision_by(l, r.number, by),
        None => tr::apps::revision_n(l, r.number),
    });
    let changed = before.zip(current).and_then(|(before, now)| {
        let lines = difference(before, now);
        (!lines.is_empty()).then(|| {
            let label = tr::apps::changed_since(l, before.number);
            view! { <p class="small muted">{label.clone()}</p> {diff(lines, label)} }
        })
    });
    let fixes: Vec<_> = if head.may.update {
        let all = fixes(cause.code, before.map(|r| r.number));
        // Fewer than one is none: that is no way to mend it.
        let single = head.app.spec.components.iter().any(|c| c.name == cause.component && c.wanted() <= 1);
        let all = all.into_iter().filter(|fix| !(single && *fix == Fix::Scale));
        let all = all.filter(|fix| *fix != Fix::Quota || lacking(cause).is_some());
        all.enumerate().map(|(i, fix)| button(ui, head, cause, fix, i == 0)).collect()
    } else {
        vec![view! { <span class="small muted">{tr::apps::ask_to_fix(l)}</span> }.into_any()]
    };
    view! {
        <section class="card finding" aria-label=tr::apps::what_is_wrong(l)>
            <div class="in">
                <div class="what">
                    <span class="st bad"></span>
                    <div>
                        <h2>{words::cause(l, cause.code, &cause.params, &cause.message)}</h2>
                        <p class="small muted">
                            {component.map(|c| view! { <code>{c}</code>" · " })}
                            {since}
                            {by.map(|by| format!(" · {by}"))}
                        </p>
                    </div>
                </div>
                {evidence(ui, cause)}
                {changed}
                <div class="fixes">{fixes}</div>
            </div>
        </section>
    }
    .into_any()
}

fn evidence(ui: Ui, cause: &Cause) -> AnyView {
    let items: Vec<_> = cause
        .evidence
        .iter()
        .map(|fact| {
            let symbol = match fact.kind {
                EvidenceKind::Log => Icon::Lines,
                EvidenceKind::Event => Icon::Network,
                EvidenceKind::State | EvidenceKind::Condition => Icon::Info,
                EvidenceKind::Change => Icon::Undo,
            };
            let count = fact.count.filter(|n| *n > 1).map(|n| tr::apps::times(ui.lang, n));
            let object = fact.object.clone();
            view! {
                <li>
                    {icon(symbol)}
                    <span>
                        <code>{printable(&fact.text).into_owned()}</code>
                        {object.map(|o| view! { <span class="muted">" · "{o}</span> })}
                        {count.map(|c| view! { <span class="muted">" · "{c}</span> })}
                    </span>
                </li>
            }
        })
        .collect();
    if items.is_empty() { ().into_any() } else { view! { <ol>{items}</ol> }.into_any() }
}

/// How `now` differs from `before`, as YAML.
#[must_use]
pub fn difference(before: &RevisionRow, now: &RevisionRow) -> Vec<Diff> {
    let text = |row: &RevisionRow| berth_core::yaml::print(&row.spec).unwrap_or_default();
    let mut lines = Diff::of(&text(before), &text(now), 1);
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines.push(Diff::Same("…".to_owned()));
    }
    lines
}

fn button(ui: Ui, head: &Head, cause: &Cause, fix: Fix, first: bool) -> AnyView {
    let l = ui.lang;
    let app = &head.app.name;
    let look = if first { Button::Go } else { Button::Plain };
    let at = |tab: &str, query: &[(&str, &str)], field: &str| {
        let url = paths::with_query(&head.spot.tab_url(app, tab), query.iter().copied());
        if field.is_empty() { url } else { format!("{url}#{}", crate::components::form::field_id(field)) }
    };
    let component = cause.component.as_str();
    let edit = |field: &'static str| at("configuration", &[("component", component)], field);
    let (symbol, label, href) = match fix {
        Fix::Back(number) => {
            (Icon::Undo, tr::apps::back_to(l, number), at("rollback", &[("revision", &number.to_string())], ""))
        }
        Fix::Image => (Icon::Edit, tr::apps::change_the_image(l).to_owned(), edit("image")),
        Fix::Environment => (Icon::Edit, tr::apps::change_environment(l).to_owned(), edit("env")),
        Fix::Memory => {
            let more = cause.params.get("limit").and_then(|limit| more_memory(limit));
            let label = match &more {
                Some(more) => tr::apps::raise_memory_to(l, more),
                None => tr::apps::raise_memory(l).to_owned(),
            };
            let query = [("component", component), ("memory_limit", more.as_deref().unwrap_or_default())];
            (Icon::Edit, label, at("configuration", &query, "memory_limit"))
        }
        Fix::Resources => (Icon::Edit, tr::apps::ask_for_less(l).to_owned(), edit("cpu_request")),
        Fix::Readiness => (Icon::Edit, tr::apps::change_readiness(l).to_owned(), edit("readiness_path")),
        Fix::Yaml => (Icon::Edit, tr::apps::edit_yaml(l).to_owned(), at("yaml", &[], "")),
        Fix::Scale => {
            (Icon::Scale, tr::apps::fewer_pods(l).to_owned(), at("scale", &[("component", component)], "replicas"))
        }
        Fix::Quota => {
            let (name, amount) = lacking(cause).unwrap_or_default();
            let query = [("namespace", head.spot.namespace.as_str()), (name.as_str(), amount.as_str())];
            let href = paths::with_query(&paths::quota_request_new(&head.spot.tenant), query);
            (Icon::Gauge, tr::requests::ask(l).to_owned(), href)
        }
        Fix::Logs => {
            let query = [("component", component), ("previous", "on")];
            let query = if cause.code == CauseCode::CrashLoop { &query[..] } else { &query[..1] };
            (Icon::Lines, tr::apps::read_the_log(l).to_owned(), at("logs", query, ""))
        }
        Fix::Events => (Icon::Network, tr::apps::read_events(l).to_owned(), at("events", &[], "")),
    };
    link_button(look, Some(symbol), label, href).into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_way_out() {
        for code in CauseCode::ALL {
            assert!(!fixes(*code, None).is_empty(), "{code}");
            assert!(fixes(*code, Some(3)).contains(&Fix::Back(3)), "{code}");
        }
        assert_eq!(fixes(CauseCode::ImagePull, Some(3)), [Fix::Back(3), Fix::Image]);
        assert_eq!(fixes(CauseCode::QuotaExceeded, Some(3)), [Fix::Scale, Fix::Resources, Fix::Quota, Fix::Back(3)]);
    }

    #[test]
    fn what_a_quota_lacks_is_asked_for() {
        for (quota, resource, requested, used, limited, want) in [
            ("berth", "requests.cpu", "500m", "8", "8", Some(("lacking[requests.cpu]", "500m"))),
            ("berth", "cpu", "1", "1500m", "2", Some(("lacking[requests.cpu]", "500m"))),
            ("berth", "pods", "1", "10", "10", Some(("lacking[pods]", "1"))),
            ("team", "pods", "1", "10", "10", None),
            ("berth", "pods", "1", "5", "10", None),
            ("berth", "pods", "one", "10", "10", None),
            ("berth", "no such key!", "1", "10", "10", None),
        ] {
            let params = [
                ("quota", quota),
                ("resource", resource),
                ("requested", requested),
                ("used", used),
                ("limited", limited),
            ];
            let cause = Cause {
                code: CauseCode::QuotaExceeded,
                component: "web".to_owned(),
                message: String::new(),
                params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect(),
                evidence: Vec::new(),
                since: None,
            };
            let want = want.map(|(key, amount)| (key.to_owned(), amount.to_owned()));
            assert_eq!(lacking(&cause), want, "{quota} {resource} {requested}");
        }
    }

    #[test]
    fn memory_is_doubled_in_whole_units() {
        for (limit, want) in [
            ("64Mi", Some("128Mi")),
            ("1Gi", Some("2Gi")),
            ("512Mi", Some("1Gi")),
            ("100M", Some("191Mi")),
            ("x", None),
        ] {
            assert_eq!(more_memory(limit).as_deref(), want, "{limit}");
        }
    }
}
