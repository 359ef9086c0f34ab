//! The quota of a namespace as bars, and what an app would take of it.

use berth_core::ports::pages::Language;
use berth_types::{AppSpec, Quantity, app::Component, rows::UsageRow};
use leptos::prelude::*;

use crate::{
    components::{Meter, meter},
    tr,
};

/// Resources that are shown, in this order.
const SHOWN: &[&str] = &["requests.cpu", "requests.memory", "pods", "requests.storage"];

/// A card with the bars of a quota, in `#{id}`; nothing where nothing is limited.
#[must_use]
pub fn card(lang: Language, id: &'static str, usage: &[UsageRow]) -> Option<AnyView> {
    limited(usage).next()?;
    let label = tr::apps::quota_of_namespace(lang);
    Some(view! { <section class="card strip" id=id aria-label=label>{strip(lang, usage)}</section> }.into_any())
}

/// The rows of what is shown and limited: how much is used of no limit needs no bar.
fn limited(usage: &[UsageRow]) -> impl Iterator<Item = &UsageRow> {
    SHOWN.iter().filter_map(|resource| usage.iter().find(|row| row.resource == *resource && row.limit.is_some()))
}

/// The bars of a quota; empty when there is none.
#[must_use]
pub fn strip(lang: Language, usage: &[UsageRow]) -> AnyView {
    let bars: Vec<_> = limited(usage).map(|row| meter(bar(lang, row, Quantity::ZERO))).collect();
    bars.into_any()
}

/// A row as a bar, with `more` asked for on top of what is used.
fn bar(lang: Language, row: &UsageRow, more: Quantity) -> Meter {
    let used: Quantity = row.used.parse().unwrap_or_default();
    let limit: Option<Quantity> = row.limit.as_deref().and_then(|text| text.parse().ok());
    let after = used.plus(more);
    let part = |amount: Quantity| {
        let limit = limit?.as_f64();
        Some(if limit > 0.0 { amount.as_f64() / limit } else { 1.0 })
    };
    Meter {
        label: label(lang, &row.resource).into(),
        text: amounts(lang, &row.resource, after, limit).into(),
        used: part(used),
        asked: part(after).filter(|_| more > Quantity::ZERO),
    }
}

fn label(lang: Language, resource: &str) -> String {
    match resource {
        "requests.cpu" => tr::apps::cpu(lang).to_owned(),
        "requests.memory" => tr::apps::memory(lang).to_owned(),
        "requests.storage" => tr::apps::storage(lang).to_owned(),
        "pods" => tr::apps::pods(lang).to_owned(),
        other => other.to_owned(),
    }
}

/// `5.1 of 8 cores`.
fn amounts(lang: Language, resource: &str, used: Quantity, limit: Option<Quantity>) -> String {
    let text = |amount: Quantity| match resource {
        "requests.cpu" => amount.cores(),
        "requests.memory" | "requests.storage" => amount.bytes(),
        _ => amount.as_units().to_string(),
    };
    match (limit, resource) {
        (Some(limit), "requests.cpu") => tr::apps::of_cores(lang, text(used), text(limit)),
        (None, "requests.cpu") => tr::apps::cores(lang, text(used)),
        (Some(limit), _) => tr::apps::of_limit(lang, text(used), text(limit)),
        (None, _) => text(used),
    }
}

/// What an app asks for when it has as many pods as it may have, the extra ones of a rollout aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// CPU that is promised.
    pub cpu: Quantity,
    /// Memory that is promised.
    pub memory: Quantity,
    /// Pods.
    pub pods: i64,
}

impl Demand {
    /// Of a spec.
    #[must_use]
    pub fn of(spec: &AppSpec) -> Self {
        if spec.suspended {
            return Self::default();
        }
        spec.components.iter().fold(Self::default(), |sum, component| {
            let pods = component.autoscale.as_ref().map_or_else(|| component.wanted(), |auto| auto.max).max(0).into();
            let (cpu, memory) = asked(component);
            Self {
                cpu: sum.cpu.plus(cpu.times(pods)),
                memory: sum.memory.plus(memory.times(pods)),
                pods: sum.pods + pods,
            }
        })
    }
}

/// CPU and memory that one pod of a component asks for; a limit without request is its request.
fn asked(component: &Component) -> (Quantity, Quantity) {
    let resources = component.resources.as_ref();
    let requests = resources.and_then(|r| r.requests.as_ref());
    let limits = resources.and_then(|r| r.limits.as_ref());
    let pick = |get: fn(&berth_types::app::Amounts) -> Option<&String>| {
        let text = requests.and_then(get).or_else(|| limits.and_then(get));
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    (pick(|a| a.cpu.as_ref()), pick(|a| a.memory.as_ref()))
}

/// What is left of the quota after a change from `before` to `after`; nothing where nothing is limited.
#[must_use]
pub fn after(lang: Language, usage: &[UsageRow], before: Demand, after: Demand) -> Option<AnyView> {
    let more = |resource: &str| match resource {
        "requests.cpu" => Some(after.cpu.minus(before.cpu)),
        "requests.memory" => Some(after.memory.minus(before.memory)),
        "pods" => Some(Quantity::units(after.pods - before.pods)),
        _ => None,
    };
    let bars: Vec<_> = limited(usage).filter_map(|row| Some(meter(bar(lang, row, more(&row.resource)?)))).collect();
    (!bars.is_empty()).then(|| bars.into_any())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn demand_counts_every_pod_that_may_come() {
        for (spec, cpu, memory, pods) in [
            (r#"{"components":[{"name":"main","image":"a"}]}"#, "0", "0", 1),
            (
                r#"{"components":[{"name":"main","image":"a","replicas":3,"resources":{"requests":{"cpu":"100m"},"limits":{"memory":"64Mi"}}},
                    {"name":"b","image":"a","autoscale":{"min":1,"max":4},"resources":{"requests":{"cpu":"1"}}}]}"#,
                "4.3",
                "192Mi",
                7,
            ),
            (r#"{"suspended":true,"components":[{"name":"main","image":"a","replicas":3}]}"#, "0", "0", 0),
        ] {
            let demand = Demand::of(&serde_json::from_str(spec).unwrap());
            assert_eq!(demand, Demand { cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap(), pods }, "{spec}");
        }
    }

    #[test]
    fn bars_say_number_unit_and_limit() {
        let row = |resource: &str, used: &str, limit: Option<&str>| UsageRow {
            resource: resource.to_owned(),
            used: used.to_owned(),
            limit: limit.map(str::to_owned),
        };
        for (row, text, used) in [
            (row("requests.cpu", "5100m", Some("8")), "5.1 of 8 cores", Some(0.6375)),
            (row("requests.memory", "512Mi", Some("2Gi")), "512 MiB of 2 GiB", Some(0.25)),
            (row("pods", "3", None), "3", None),
            (row("pods", "0", Some("0")), "0 of 0", Some(1.0)),
        ] {
            let got = bar(Language::En, &row, Quantity::ZERO);
            assert_eq!((got.text.as_ref(), got.used), (text, used));
        }
    }
}
