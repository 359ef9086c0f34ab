//! The whole platform's room: what the machines have against what tenants were promised.

use berth_core::Result;
use berth_types::{
    capacity::{CapacityRow, ClusterCapacity, LargestTenant},
    node::amount,
};
use leptos::prelude::*;

use super::nodes::{Spot, called, part, shown};
use crate::{
    components::{Column, Icon, Meter, Tone, card, empty, meter, note, table, tag},
    pages::usage,
    paths,
    request::{AdminNav, Answer, Cx, Page, Place},
    tr,
    ui::Ui,
};

/// Resources that have a strip of bars.
const SHOWN: [&str; 3] = ["cpu", "memory", "pods"];

/// GET `/admin/capacity`.
pub async fn page(cx: Cx) -> Result<Answer> {
    let spot = Spot::of(&cx)?;
    let (found, freshness) = cx.services.cluster_capacity(&cx.ctx, &spot.cluster).await?;
    let (ui, l) = (cx.ui(), cx.lang());
    let title = tr::capacity::capacity(l);
    let view = view! {
        <div class="head">
            <h1>{title}</h1>
            <p>{tr::capacity::what(l)}</p>
        </div>
        {spot.others(paths::ADMIN_CAPACITY)}
        {body(ui, &spot, &found)}
    };
    Ok(Page::new(title, Place::Admin(AdminNav::Capacity), view).fresh(freshness).into())
}

fn body(ui: Ui, spot: &Spot, m: &ClusterCapacity) -> AnyView {
    let l = ui.lang;
    if m.nodes == 0 {
        return empty(Icon::Screen, tr::nodes::none(l), tr::nodes::none_hint(l), None).into_any();
    }
    let over: Vec<_> = m
        .resources
        .iter()
        .filter(|row| row.promised_part.is_some_and(|part| part > 1000))
        .map(|row| {
            let by = row.promised_part.map_or(0, |part| part / 10);
            note(Tone::Warn, view! { <p>{tr::capacity::over(l, called(ui, &row.resource), by)}</p> }.into_any())
        })
        .collect();
    let strips: Vec<_> =
        m.resources.iter().filter(|row| SHOWN.contains(&row.resource.as_str())).map(|r| strip(ui, r)).collect();
    let counts = tr::capacity::counts(l, m.ready, m.nodes, m.tenants);
    let link = view! { <a class="btn sm" href=spot.list()>{tr::nodes::nodes(l)}</a> };
    view! {
        {over}
        {strips}
        {idle(ui, m)}
        {card(tr::capacity::in_numbers(l), Some(view! { {tag(counts)} " " {link} }.into_any()), numbers(ui, &m.resources))}
        {card(tr::capacity::largest(l), None, largest(ui, &m.largest))}
    }
    .into_any()
}

/// What tenants asked for and did not use.
fn idle(ui: Ui, m: &ClusterCapacity) -> Option<AnyView> {
    let l = ui.lang;
    let link = paths::with_query(paths::ADMIN_TENANTS, [("sort", "-idle")]);
    let link = view! { <a class="btn sm" href=link>{tr::common::tenants(l)}</a> };
    usage::idle_card(l, tr::usage::idle_whole(l).to_owned(), Some(link.into_any()), m.idle.iter(), None)
}

/// A resource in bars: promised, asked for, in use, asked for and not used.
fn strip(ui: Ui, row: &CapacityRow) -> AnyView {
    let l = ui.lang;
    let all = amount(&row.allocatable);
    let of = |label: &'static str, text: &str| {
        let some = amount(text);
        let numbers = tr::capacity::of(l, shown(&row.resource, some), shown(&row.resource, all));
        meter(Meter { label: label.into(), text: numbers.into(), used: Some(part(some, all)), asked: None }).into_any()
    };
    let mut bars = vec![of(tr::capacity::promised(l), &row.promised), of(tr::capacity::requested(l), &row.requested)];
    if let Some(used) = &row.used {
        let idle = amount(&row.requested).minus(amount(used)).max(berth_types::Quantity::ZERO);
        bars.push(of(tr::capacity::used(l), used));
        bars.push(of(tr::capacity::idle(l), &idle.to_string()));
    }
    let name = called(ui, &row.resource);
    view! {
        <section class="card">
            <header><h2>{name}</h2></header>
            <div class="strip">{bars}</div>
        </section>
    }
    .into_any()
}

fn numbers(ui: Ui, rows: &[CapacityRow]) -> AnyView {
    let l = ui.lang;
    let rows: Vec<_> = rows
        .iter()
        .map(|r| {
            let text = |text: &str| shown(&r.resource, amount(text));
            let percent = |part: i64| format!("{} %", part / 10);
            let used = r.used.as_deref().map_or_else(|| tr::nodes::not_measured(l).to_owned(), text);
            let spread = r.spread.map_or_else(|| "–".to_owned(), |all| all.map(percent).join(" · "));
            let unlimited = (r.unlimited > 0)
                .then(|| view! { <div class="muted small">{tr::capacity::unlimited(l, r.unlimited)}</div> });
            view! {
                <tr>
                    <td class="name">{called(ui, &r.resource)}</td>
                    <td class="num">{text(&r.allocatable)}</td>
                    <td class="num">{text(&r.requested)}</td>
                    <td class="num">{used}</td>
                    <td class="num">{text(&r.promised)}{unlimited}</td>
                    <td class="num">{r.promised_part.map_or_else(|| "–".to_owned(), percent)}</td>
                    <td class="num">{text(&r.headroom)}</td>
                    <td class="num">{text(&r.largest_free)}</td>
                    <td class="num">{spread}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::number(tr::capacity::allocatable(l)),
        Column::number(tr::capacity::requested(l)),
        Column::number(tr::capacity::used(l)),
        Column::number(tr::capacity::promised(l)),
        Column::number(tr::capacity::part(l)),
        Column::number(tr::capacity::headroom(l)),
        Column::number(tr::capacity::largest_free(l)),
        Column::number(tr::capacity::spread(l)),
    ];
    view! { {table(columns, None, rows)} <p class="in muted small">{tr::capacity::notes(l)}</p> }.into_any()
}

fn largest(ui: Ui, rows: &[LargestTenant]) -> AnyView {
    let l = ui.lang;
    if rows.is_empty() {
        return view! { <p class="in muted">{tr::capacity::nobody(l)}</p> }.into_any();
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|t| {
            view! {
                <tr>
                    <td>{called(ui, &t.resource)}</td>
                    <td><a class="name" href=paths::tenant_quota(&t.tenant)>{t.display_name.clone()}</a></td>
                    <td class="num">{shown(&t.resource, amount(&t.promised))}</td>
                </tr>
            }
        })
        .collect();
    let columns = [
        Column::text(tr::quotas::resource(l)),
        Column::text(tr::common::tenant(l)),
        Column::number(tr::capacity::promised(l)),
    ];
    table(columns, None, rows)
}
