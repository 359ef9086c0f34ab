//! What is left of the quota after a change: beside every form that changes an app, counted by the same function that decides
//! about the change.
//!
//! Without scripts the panel is as the page was made; “Check” and every refusal count again. With scripts the island `headroom`
//! sends the form as one types, and this answers the panel alone.

use berth_core::{
    Result,
    ports::{
        cluster::{AppObject, CacheState},
        pages::PageResponse,
    },
    services::preflight::{Depth, Policy, Preflight},
};
use berth_types::{AppName, FieldError, Quantity, QuotaKey, headroom::Headroom};
use leptos::prelude::*;
use serde_json::Value;

use super::Spot;
use crate::{
    components::{Icon, ago, icon},
    paths,
    request::{Answer, Cx},
    tr,
    ui::Ui,
};

/// What a form sends instead of its deed: the numbers alone, or all that can be found out.
pub const COUNT: &str = "headroom";
/// See [`COUNT`].
pub const CHECK: &str = "check";

/// What the panel shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// What was found, and where one asks for the quota that is lacking, where any is.
    Found(Box<Preflight>, Option<String>),
    /// What was typed cannot be read yet.
    Unreadable,
}

/// Counts for `spec`, which need not be right yet; `app` is the one that is there already.
///
/// # Errors
/// Those of the services, but for what is wrong with the spec.
pub async fn look(cx: &Cx, spot: &Spot, app: Option<&AppName>, spec: &Value, depth: Depth) -> Result<Outlook> {
    let found = match app {
        Some(app) => cx.services.preflight_app(&cx.ctx, spot.app(app), spec, depth).await,
        None => cx.services.preflight_new_app(&cx.ctx, spot.path(), spec, depth).await,
    };
    match found {
        Ok(found) => {
            let ask = ask_for(spot, &found);
            Ok(Outlook::Found(Box::new(found), ask))
        }
        Err(e) if e.code() == berth_types::ErrorCode::Invalid => Ok(Outlook::Unreadable),
        Err(e) => Err(e),
    }
}

/// The form that asks for what is lacking at rest, with the amounts; none where nothing is.
fn ask_for(spot: &Spot, found: &Preflight) -> Option<String> {
    let keys = if found.suspended { &found.resumed } else { &found.headroom };
    let lacks = keys.iter().filter_map(|key| {
        let left = key.left(key.rest);
        // An old name of the same.
        let name = match key.resource.as_str() {
            "cpu" | "memory" => format!("requests.{}", key.resource),
            other => other.to_owned(),
        };
        let parsed: QuotaKey = name.parse().ok()?;
        left.is_negative().then(|| (format!("lacking[{name}]"), parsed.write(Quantity::ZERO.minus(left))))
    });
    let lacks: Vec<(String, String)> = lacks.collect();
    let pairs = lacks.iter().map(|(name, amount)| (name.as_str(), amount.as_str()));
    let namespace = [("namespace", spot.namespace.as_str())];
    (!lacks.is_empty())
        .then(|| paths::with_query(&paths::quota_request_new(&spot.tenant), namespace.into_iter().chain(pairs)))
}

/// How much of a check a form asked for.
#[must_use]
pub fn depth(to: &str) -> Depth {
    if to == CHECK { Depth::Whole } else { Depth::Numbers }
}

impl Outlook {
    /// Why it would be refused.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        match self {
            Self::Found(found, _) => &found.errors,
            Self::Unreadable => &[],
        }
    }

    /// The panel's inside alone, for the island.
    #[must_use]
    pub fn fragment(&self, ui: Ui) -> Answer {
        PageResponse::html(200, inside(ui, self).to_html()).into()
    }
}

/// What is said when it is done, with what would not go smoothly about it.
#[must_use]
pub fn told(ui: Ui, done: String, made: &AppObject) -> String {
    match made.view.warnings.first() {
        Some(warning) => format!("{done} {}", tr::field_error(ui.lang, warning)),
        None => done,
    }
}

/// The panel, within the form that it is about.
#[must_use]
pub fn panel(ui: Ui, outlook: &Outlook) -> AnyView {
    let l = ui.lang;
    let title = tr::headroom::title(l);
    view! {
        <section class="card headroom" aria-label=title>
            <header>
                <h2>{title}</h2>
                <div class="do">
                    <button class="btn" type="submit" name="to" value=CHECK formnovalidate>{tr::headroom::check(l)}</button>
                </div>
            </header>
            <div class="in" id="headroom" data-island="headroom">{inside(ui, outlook)}</div>
        </section>
    }
    .into_any()
}

fn muted(text: impl Into<String>) -> AnyView {
    view! { <p class="small muted">{text.into()}</p> }.into_any()
}

/// Said as the verdict, where there is none.
fn instead(text: impl Into<String>) -> AnyView {
    view! { <p class="small muted" role="status">{text.into()}</p> }.into_any()
}

fn inside(ui: Ui, outlook: &Outlook) -> AnyView {
    let l = ui.lang;
    let (found, ask) = match outlook {
        Outlook::Found(found, ask) => (found, ask.clone()),
        Outlook::Unreadable => return instead(tr::headroom::unreadable(l)),
    };
    if found.freshness.as_of.is_none() {
        return instead(tr::headroom::unread(l));
    }
    let stale = match (&found.freshness.state, found.freshness.as_of) {
        (CacheState::Stale { .. }, Some(as_of)) => Some(view! {
            <p class="small warned">{icon(Icon::Warn)}<span>{tr::headroom::stale(l)}" "{ago(ui, as_of)}</span></p>
        }),
        _ => None,
    };
    let limited = !found.headroom.is_empty();
    let keys = if found.suspended { &found.resumed } else { &found.headroom };
    let suspended = (found.suspended && limited).then(|| muted(tr::headroom::suspended(l)));
    let rows: Vec<_> = keys.iter().map(|key| row(ui, key)).collect();
    let warnings: Vec<_> = found
        .warnings
        .iter()
        .map(|warning| view! { <li>{icon(Icon::Warn)}<span>{tr::field_error(l, warning)}</span></li> })
        .collect();
    let warnings = (!warnings.is_empty()).then(|| {
        view! { <ul class="mind small" aria-label=tr::headroom::mind(l)>{warnings}</ul> }
    });
    let policy = match &found.policy {
        Policy::Unasked => None,
        Policy::Asked if found.errors.is_empty() => Some(muted(tr::headroom::policy_asked(l))),
        Policy::Asked => None,
        Policy::Unknown(_) => Some(muted(tr::headroom::policy_unknown(l))),
    };
    view! {
        {stale}
        {summary(ui, found)}
        {ask.map(|href| view! {
            // Elsewhere, so that nothing of what was typed is lost.
            <p class="small"><a href=href target="_blank" rel="noopener">{tr::headroom::ask(l)}</a></p>
        })}
        {suspended}
        {rows}
        {warnings}
        {policy}
        {limited.then(|| view! { <p class="small muted">{tr::headroom::legend(l)}</p> })}
    }
    .into_any()
}

/// The verdict in a sentence, which is also what a screen reader hears as one types.
fn summary(ui: Ui, found: &Preflight) -> AnyView {
    let l = ui.lang;
    let keys = if found.suspended { &found.resumed } else { &found.headroom };
    let least = |a: &&Headroom, b: &&Headroom| part(a, a.peak).total_cmp(&part(b, b.peak));
    let Some(tightest) = keys.iter().max_by(least) else {
        return instead(tr::headroom::no_quota(l));
    };
    let told = |key: &Headroom| (label(ui, &key.resource), peaks(ui, key), rest(ui, key));
    let (class, symbol, text) = match tone(tightest) {
        Tone::Bad => {
            let (resource, peaks, lack) = told(keys.iter().find(|key| tone(key) == Tone::Bad).unwrap_or(tightest));
            ("verdict bad", Icon::Bad, tr::headroom::over(l, resource, peaks, lack))
        }
        tone => match keys.iter().find(|key| self::tone(key) == Tone::Bad) {
            Some(worse) => {
                let (resource, peaks, lack) = told(worse);
                ("verdict bad", Icon::Bad, tr::headroom::over(l, resource, peaks, lack))
            }
            None if !found.errors.is_empty() => ("verdict bad", Icon::Bad, tr::headroom::refused(l).to_owned()),
            None if tone == Tone::Warn => {
                let (resource, peaks, lack) = told(tightest);
                ("verdict warn", Icon::Warn, tr::headroom::tight(l, resource, peaks, lack))
            }
            None => {
                let (resource, peaks, left) = told(tightest);
                ("verdict", Icon::Ok, tr::headroom::fits(l, resource, peaks, left))
            }
        },
    };
    view! { <p class=class role="status">{icon(symbol)}<span>{text}</span></p> }.into_any()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Good,
    /// It fits at rest, but not at its peak.
    Warn,
    Bad,
}

fn tone(key: &Headroom) -> Tone {
    match (key.has_room(key.rest), key.has_room(key.peak)) {
        (false, _) => Tone::Bad,
        (true, false) => Tone::Warn,
        (true, true) => Tone::Good,
    }
}

/// Which part of the limit is taken when the app takes `amount`.
fn part(key: &Headroom, amount: Quantity) -> f64 {
    let (taken, limit) = (key.others.plus(amount).as_f64(), key.limit.as_f64());
    if limit > 0.0 {
        taken / limit
    } else if taken > 0.0 {
        f64::MAX
    } else {
        0.0
    }
}

fn row(ui: Ui, key: &Headroom) -> AnyView {
    let l = ui.lang;
    let percent = |part: f64| format!("width:{:.1}%", (part * 100.0).clamp(0.0, 100.0));
    let (bar, symbol) = match tone(key) {
        Tone::Good => ("bar", None),
        Tone::Warn => ("bar warn", Some(icon(Icon::Warn))),
        Tone::Bad => ("bar bad", Some(icon(Icon::Bad))),
    };
    let text = |amount| amount_text(&key.resource, amount);
    let parts = tr::headroom::parts(l, text(key.others), text(key.now), text(key.rest));
    view! {
        <div class="meter">
            <span>{label(ui, &key.resource)}</span>
            <b>{peaks(ui, key)}</b>
            <span class=bar aria-hidden="true">
                <i class="ask" style=percent(part(key, key.peak))></i>
                <i style=percent(part(key, key.now.min(key.peak)))></i>
                <i class="others" style=percent(part(key, Quantity::ZERO))></i>
            </span>
            <span class="small muted">{parts}</span>
            <span class="small rest">{symbol}{rest(ui, key)}</span>
        </div>
    }
    .into_any()
}

/// `peaks at 7.2 of 8 cores`.
fn peaks(ui: Ui, key: &Headroom) -> String {
    let l = ui.lang;
    let limit = amount_text(&key.resource, key.limit);
    let limit = if is_cpu(&key.resource) { tr::headroom::cores(l, limit) } else { limit };
    tr::headroom::peaks_at(l, amount_text(&key.resource, key.others.plus(key.peak)), limit)
}

/// What is left at the peak, or lacking.
fn rest(ui: Ui, key: &Headroom) -> String {
    let left = key.left(key.peak);
    if left.is_negative() {
        tr::headroom::lacking(ui.lang, amount_text(&key.resource, Quantity::ZERO.minus(left)))
    } else {
        tr::headroom::left(ui.lang, amount_text(&key.resource, left))
    }
}

fn is_cpu(resource: &str) -> bool {
    resource == "cpu" || resource.ends_with(".cpu")
}

fn amount_text(resource: &str, amount: Quantity) -> String {
    if is_cpu(resource) {
        amount.cores()
    } else if resource.ends_with("memory") || resource.ends_with("storage") {
        amount.bytes()
    } else {
        amount.as_units().to_string()
    }
}

fn label(ui: Ui, resource: &str) -> String {
    let l = ui.lang;
    match resource {
        "requests.cpu" | "cpu" => tr::headroom::cpu(l),
        "requests.memory" | "memory" => tr::headroom::memory(l),
        "limits.cpu" => tr::headroom::cpu_limit(l),
        "limits.memory" => tr::headroom::memory_limit(l),
        "pods" => tr::headroom::pods(l),
        "requests.storage" => tr::headroom::storage(l),
        "services.loadbalancers" => tr::headroom::balancers(l),
        "services" => tr::headroom::services(l),
        other => other,
    }
    .to_owned()
}
