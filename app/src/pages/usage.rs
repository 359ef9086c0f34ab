//! What namespaces take and use: as it is now, over 30 days, and what of it lies idle.

use berth_core::{
    Result,
    ports::pages::{Access, Language},
    services::usage::Looked,
    usage::{KEPT, Window, points, summary},
};
use berth_types::{
    Quantity,
    node::amount,
    usage::{DAYS, Idle, UsageAmounts, UsageLevel, UsageNow, UsagePoint, UsageSummary},
};
use futures::FutureExt;
use jiff::Timestamp;
use leptos::prelude::*;

use super::quotas::words;
use crate::{
    components::{
        Button, Column, Icon, Tone, card,
        chart::{Chart, Line, Series, chart, highest},
        empty, link_button, note, on, table,
    },
    paths,
    request::{Answer, Cx, NamespaceNav, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[Entry::page("/t/{tenant}/n/{namespace}/usage", Access::Tenant, |cx| page(cx).boxed())];

/// Hours of a step of a chart.
const STEP: i64 = 6;
/// Hours of a row of its table.
const DAY: i64 = 24;

/// The last 30 days.
#[must_use]
pub fn window(cx: &Cx) -> Window {
    Window::last(KEPT, STEP, cx.ctx.now())
}

async fn page(cx: Cx) -> Result<Answer> {
    let (tenant, namespace) = (cx.tenant()?, cx.namespace()?);
    let looked = cx.services.namespace_history(&cx.ctx, &tenant, &namespace, window(&cx)).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let place = Place::Namespace(tenant.clone(), namespace.clone(), NamespaceNav::Usage);
    let title = tr::usage::of_namespace(l, &namespace);
    // Who sees one namespace only does not see what the tenant has.
    let whole = cx.services.authz().tenant(&cx.ctx, &tenant, berth_types::Resource::Quota, berth_types::Action::Read);
    let quota = whole
        .await
        .is_ok()
        .then(|| link_button(Button::Plain, None, tr::usage::quota_of_tenant(l), paths::tenant_quota(&tenant)));
    let view = view! {
        <div class="head"><h1>{title.clone()}</h1><p>{tr::usage::what(l)}</p><div class="do">{quota}</div></div>
        {section(ui, &looked, "", tr::quotas::quota(l))}
    };
    let page = Page::new(title, place, view).fresh(looked.freshness);
    Ok(page.crumb(tr::usage::usage(l), paths::namespace_usage(&tenant, &namespace)).into())
}

/// What a resource is called.
pub fn called(l: Language, resource: &str) -> String {
    match resource {
        "cpu" => tr::nodes::cpu(l).to_owned(),
        "memory" => tr::nodes::memory(l).to_owned(),
        "pods" => tr::common::pods(l).to_owned(),
        "storage" => tr::usage::storage(l).to_owned(),
        other => other.to_owned(),
    }
}

fn shown(resource: &str, text: &str) -> String {
    words::amount(berth_core::usage::key_of(resource), text)
}

fn or_none(l: Language, text: Option<String>) -> String {
    text.unwrap_or_else(|| tr::quotas::nothing(l).to_owned())
}

/// What is idle, in a sentence.
#[must_use]
pub fn idle_text(l: Language, idle: &Idle) -> String {
    let amount = |text: &str| shown(&idle.resource, text);
    let (resource, percent) = (called(l, &idle.resource), idle.part / 10);
    let (reserved, unused) = (amount(&idle.reserved), amount(&idle.idle));
    match &idle.never {
        Some(never) => tr::usage::idle_never(l, resource, reserved, unused, percent, amount(never)),
        None => tr::usage::idle_text(l, resource, reserved, unused, percent),
    }
}

/// What is idle, in a card that says what the word means; nothing where nothing is known. `over` says of when.
pub fn idle_card<'a>(
    l: Language,
    title: String,
    link: Option<AnyView>,
    idle: impl Iterator<Item = &'a Idle>,
    over: Option<String>,
) -> Option<AnyView> {
    let lines: Vec<_> = idle.map(|idle| view! { <li>{idle_text(l, idle)}</li> }).collect();
    (!lines.is_empty()).then(|| {
        let over = over.map(|text| view! { <p class="small muted">{text}</p> });
        let body = view! { <div class="in"><ul class="plain">{lines}</ul>{over}<p class="small muted">{tr::usage::idle_what(l)}</p></div> };
        card(title, link, body.into_any()).into_any()
    })
}

/// All of it, in cards; `place` stands in their headings where there are several. `quota`: what the quota of the past is called,
/// which of a tenant is what was shared out.
pub fn section(ui: Ui, looked: &Looked, place: &str, quota: &'static str) -> AnyView {
    let l = ui.lang;
    let titled = |title: &str| if place.is_empty() { title.to_owned() } else { format!("{title} · {place}") };
    let all = summary(&looked.hours);
    let known = looked.hours.len();
    let measured = looked.hours.iter().filter(|hour| hour.measured > 0).count();
    let idle = all.iter().filter_map(|row| row.idle.as_ref());
    let idle = idle_card(l, titled(tr::usage::idle(l)), None, idle, Some(tr::usage::over(l, measured, KEPT)));
    let blind =
        (known > 0 && measured == 0).then(|| note(Tone::Info, view! { <p>{tr::usage::no_metrics(l)}</p> }.into_any()));
    let charts = if known == 0 {
        let none = empty(Icon::Clock, tr::usage::no_history(l), tr::usage::no_history_hint(l), None);
        view! { <section class="card">{none}</section> }.into_any()
    } else {
        let window = Window { step: DAY, ..looked.window };
        let (steps, days) = (points(&looked.hours, &looked.window), points(&looked.hours, &window));
        let one = |resource| over_time(ui, looked.window, (&steps, &days), (resource, quota), &titled);
        ["cpu", "memory"].map(one).collect_view().into_any()
    };
    view! {
        {card(titled(tr::usage::side_by_side(l)), None, numbers(ui, &looked.now, &all))}
        {blind}
        {idle}
        {charts}
    }
    .into_any()
}

/// Now and in the mean, side by side.
fn numbers(ui: Ui, now: &[UsageNow], all: &[UsageSummary]) -> AnyView {
    let l = ui.lang;
    if now.is_empty() && all.is_empty() {
        return view! { <p class="in muted">{tr::usage::nothing(l)}</p> }.into_any();
    }
    let row = |resource: &&str| {
        let now = now.iter().find(|row| row.resource == *resource);
        let mean = all.iter().find(|row| row.resource == *resource).and_then(|row| row.amounts.used.as_ref());
        let text = |of: fn(&UsageNow) -> &Option<String>| {
            or_none(l, now.and_then(|row| of(row).as_deref()).map(|text| shown(resource, text)))
        };
        // What nobody counts is nothing to wonder about; use that nobody measures is.
        let used = match now {
            Some(UsageNow { used: None, .. }) if matches!(*resource, "cpu" | "memory") => {
                tr::nodes::not_measured(l).to_owned()
            }
            _ => text(|row| &row.used),
        };
        let limits = now.and_then(|row| row.limits.as_deref()).filter(|text| limited(text));
        let limits = or_none(l, limits.map(|text| shown(resource, text)));
        let of_mean = |of: fn(&UsageLevel) -> &str| or_none(l, mean.map(|level| shown(resource, of(level))));
        view! {
            <tr>
                <td class="name">{called(l, resource)}</td>
                <td class="num">{used}</td>
                <td class="num">{text(|row| &row.requests)}</td>
                <td class="num">{limits}</td>
                <td class="num">{text(|row| &row.quota)}</td>
                <td class="num">{of_mean(|level| &level.average)}</td>
                <td class="num">{of_mean(|level| &level.peak)}</td>
            </tr>
        }
    };
    let rows: Vec<_> = berth_types::usage::RESOURCES.iter().map(row).collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::usage::now(l)),
        Column::number(tr::usage::requests(l)),
        Column::number(tr::usage::limits(l)),
        Column::number(tr::quotas::quota(l)),
        Column::number(tr::usage::mean(l, DAYS)),
        Column::number(tr::usage::peak(l, DAYS)),
    ];
    table(columns, None, rows)
}

type Of = fn(&UsageAmounts) -> Option<&str>;

fn used(amounts: &UsageAmounts) -> Option<&str> {
    amounts.used.as_ref().map(|level| level.average.as_str())
}

fn requests(amounts: &UsageAmounts) -> Option<&str> {
    amounts.requests.as_ref().map(|level| level.average.as_str())
}

fn limits(amounts: &UsageAmounts) -> Option<&str> {
    amounts.limits.as_ref().map(|level| level.average.as_str()).filter(|text| limited(text))
}

/// Whether a sum of limits says anything: what nothing limits is not limited to nothing.
fn limited(text: &str) -> bool {
    amount(text) > Quantity::ZERO
}

fn quota(amounts: &UsageAmounts) -> Option<&str> {
    amounts.quota.as_deref()
}

/// A resource over 30 days: the chart, and its table.
fn over_time(
    ui: Ui,
    window: Window,
    (steps, by_day): (&[UsagePoint], &[UsagePoint]),
    (resource, limited_by): (&str, &'static str),
    titled: &impl Fn(&str) -> String,
) -> AnyView {
    let l = ui.lang;
    let of = |point: &UsagePoint, of: Of| Some(amount(of(point.resources.get(resource)?)?).as_f64());
    let series =
        |line, label, one: Of| Series { line, label, values: steps.iter().map(|point| of(point, one)).collect() };
    let series = vec![
        series(Line::Used, tr::usage::used(l), used),
        series(Line::Asked, tr::usage::requests(l), requests),
        series(Line::Limit, tr::usage::limits(l), limits),
        series(Line::Quota, limited_by, quota),
    ];
    let top = top(resource, highest(&series));
    let name = called(l, resource);
    let ends = (window.from, window.to);
    let drawn = chart(Chart {
        says: tr::usage::chart_says(l, &name, DAYS, &top),
        top,
        ends: (on(hour(ends.0)).into_any(), on(hour(ends.1)).into_any()),
        series,
    });
    let body = view! {
        {drawn}
        <details class="more in-card-foot">
            <summary>{tr::usage::as_table(l)}</summary>
            {days(ui, by_day, (resource, limited_by))}
        </details>
    };
    card(titled(&tr::usage::over_days(l, name, DAYS)), None, body.into_any()).into_any()
}

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(3600)).unwrap_or_default()
}

/// The value at a chart's top.
#[expect(clippy::cast_possible_truncation, reason = "cores and bytes are far below 2^53")]
fn top(resource: &str, highest: f64) -> String {
    if resource == "cpu" {
        Quantity::millis((highest * 1000.0).round() as i64).cores()
    } else {
        Quantity::units(highest.round() as i64).bytes()
    }
}

/// Day by day, the latest first.
fn days(ui: Ui, by_day: &[UsagePoint], (resource, limited_by): (&str, &'static str)) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = by_day
        .iter()
        .rev()
        .map(|point| {
            let amounts = point.resources.get(resource);
            let text = |of: Of| or_none(l, amounts.and_then(of).map(|text| shown(resource, text)));
            let peak = amounts.and_then(|amounts| amounts.used.as_ref()).map(|level| shown(resource, &level.peak));
            let used = match amounts {
                Some(UsageAmounts { used: None, .. }) => tr::nodes::not_measured(l).to_owned(),
                None => tr::usage::gap(l).to_owned(),
                Some(_) => text(used),
            };
            view! {
                <tr>
                    <td>{on(point.at)}</td>
                    <td class="num">{used}</td>
                    <td class="num">{or_none(l, peak)}</td>
                    <td class="num">{text(requests)}</td>
                    <td class="num">{text(limits)}</td>
                    <td class="num">{text(quota)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::usage::from(l)),
        Column::number(tr::usage::used(l)),
        Column::number(tr::usage::most(l)),
        Column::number(tr::usage::requests(l)),
        Column::number(tr::usage::limits(l)),
        Column::number(limited_by),
    ];
    table(columns, None, rows)
}

/// What a request says of the time before it.
pub fn evidence(ui: Ui, all: &[UsageSummary], hours: i64) -> Option<AnyView> {
    let l = ui.lang;
    if all.is_empty() {
        return None;
    }
    let rows: Vec<_> = all
        .iter()
        .map(|row| {
            let level = |level: &Option<UsageLevel>, of: fn(&UsageLevel) -> &str| {
                or_none(l, level.as_ref().map(|level| shown(&row.resource, of(level))))
            };
            let idle = row.idle.as_ref().map(|idle| format!("{} %", idle.part / 10));
            view! {
                <tr>
                    <td class="name">{called(l, &row.resource)}</td>
                    <td class="num">{level(&row.amounts.used, |level| &level.average)}</td>
                    <td class="num">{level(&row.amounts.used, |level| &level.peak)}</td>
                    <td class="num">{level(&row.amounts.requests, |level| &level.average)}</td>
                    <td class="num">{or_none(l, idle)}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::usage::used(l)),
        Column::number(tr::usage::most(l)),
        Column::number(tr::usage::requests(l)),
        Column::number(tr::usage::idle(l)),
    ];
    Some(
        view! {
            <p class="in small muted">{tr::usage::before(l, hours, KEPT)}</p>
            {table(columns, None, rows)}
        }
        .into_any(),
    )
}

/// Idle shares in a cell: `CPU 64 % · Memory 20 %`.
#[must_use]
pub fn shares(l: Language, idle: &[Idle]) -> String {
    let all: Vec<String> =
        idle.iter().map(|idle| format!("{} {} %", called(l, &idle.resource), idle.part / 10)).collect();
    if all.is_empty() { tr::quotas::nothing(l).to_owned() } else { all.join(" · ") }
}
