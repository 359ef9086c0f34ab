//! The quota of a namespace as bars. What a change would take of it: see `headroom`.

use berth_core::ports::pages::Language;
use berth_types::{Quantity, rows::UsageRow};
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
    let bars: Vec<_> = limited(usage).map(|row| meter(bar(lang, row))).collect();
    bars.into_any()
}

/// A row as a bar.
fn bar(lang: Language, row: &UsageRow) -> Meter {
    let used: Quantity = row.used.parse().unwrap_or_default();
    let limit: Option<Quantity> = row.limit.as_deref().and_then(|text| text.parse().ok());
    let part = |limit: Quantity| if limit > Quantity::ZERO { used.as_f64() / limit.as_f64() } else { 1.0 };
    Meter {
        label: label(lang, &row.resource).into(),
        text: amounts(lang, &row.resource, used, limit).into(),
        used: limit.map(part),
        asked: None,
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

#[cfg(test)]
mod tests {
    use super::*;

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
            let got = bar(Language::En, &row);
            assert_eq!((got.text.as_ref(), got.used), (text, used));
        }
    }
}
