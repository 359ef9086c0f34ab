#![allow(clippy::unwrap_used)]
use berth_types::{ClusterId, Quantity, Resources, rows::UsageRow};

use super::*;
use crate::testing::at;

/// An hour of one sample: CPU used (none: not known) and asked for, in thousandths of a core.
fn hour(hour: i64, used: Option<i64>, requests: i64) -> Hour {
    let pair = |cpu: i64| Pair { cpu, memory: cpu * 1024 };
    let sample = Sample {
        used: used.map(pair),
        requests: pair(requests),
        limits: pair(requests * 2),
        quota: Pair { cpu: Some(8000), memory: None },
        pods: 3,
        ..Sample::default()
    };
    Hour::of(hour, &sample)
}

fn resources(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, amount)| (key.parse().unwrap(), amount.parse().unwrap())).collect()
}

#[test]
fn a_sample_belongs_to_a_slot() {
    for (text, hour, part) in [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1970-01-01T01:04:59Z", 1, 0),
        ("1970-01-01T01:05:00Z", 1, 1),
        ("1970-01-01T01:59:59Z", 1, 11),
        ("1969-12-31T23:59:59Z", -1, 11),
    ] {
        assert_eq!(Slot::of(at(text)), Slot { hour, part }, "{text}");
    }
    let all = (0..12).fold(0, |all, part| all | Slot { hour: 0, part }.bit());
    assert_eq!(all, 0xfff);
}

#[test]
fn a_sample_says_what_the_cluster_says() {
    let amounts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), v.parse().unwrap())).collect();
    let taken = Taken {
        counted: amounts(&[("requests.cpu", "1500m"), ("limits.memory", "1Gi"), ("pods", "3"), ("count/pods", "3")]),
        used: Some(amounts(&[("cpu", "120m"), ("memory", "100Mi")])),
    };
    let row = |resource: &str, used: &str| UsageRow { resource: resource.into(), used: used.into(), limit: None };
    let counted = [row("requests.storage", "10Gi"), row("pods", "3")];
    let quota = resources("requests.cpu=4 pods=10");
    let sample = Sample::of(&taken, &counted, Some(&quota));
    assert_eq!(sample.used, Some(Pair { cpu: 120, memory: 100 << 20 }));
    assert_eq!((sample.requests, sample.limits), (Pair { cpu: 1500, memory: 0 }, Pair { cpu: 0, memory: 1 << 30 }));
    assert_eq!((sample.quota, sample.pods, sample.pods_quota), (Pair { cpu: Some(4000), memory: None }, 3, Some(10)));
    assert_eq!((sample.storage, sample.storage_quota), (Some(10 << 30), None));
    // What nobody measured or counts is not known.
    let blind = Sample::of(&Taken { used: None, ..taken }, &[], None);
    assert_eq!((blind.used, blind.storage, blind.quota.cpu), (None, None, None));
    let both = sample.beside(&blind);
    assert_eq!((both.used, both.requests.cpu, both.quota.cpu, both.pods), (None, 3000, None, 6));
    let shown = sample.now(|key| (key == "requests.cpu").then(|| Quantity::units(4)));
    let text: Vec<String> =
        shown.iter().map(|row| format!("{} {:?} {:?} {:?}", row.resource, row.used, row.requests, row.quota)).collect();
    assert_eq!(
        text,
        [
            r#"cpu Some("120m") Some("1500m") Some("4")"#,
            r#"memory Some("100Mi") Some("0") None"#,
            r#"pods Some("3") None None"#,
            r#"storage Some("10Gi") None None"#,
        ]
    );
}

#[test]
fn samples_of_an_hour_add_up_and_those_that_know_nothing_weigh_nothing() {
    let sum = hour(7, Some(100), 1000).then(&hour(7, None, 1000)).then(&hour(7, Some(300), 2000));
    assert_eq!((sum.samples, sum.measured), (3, 2));
    assert_eq!(
        (sum.cpu.used.sum, sum.cpu.used.peak, sum.cpu.requests.sum, sum.cpu.requests.peak),
        (400, 300, 4000, 2000)
    );
    let filled = sum.filled();
    assert_eq!(filled.average(filled.cpu.used), 200, "the mean of the two that know it");
    assert_eq!(filled.average(filled.cpu.requests), 1333);
    assert_eq!(hour(7, None, 5).filled().cpu.used.sum, 0);
}

#[test]
fn what_is_idle() {
    for (hours, want) in [
        // 8 CPU reserved, a quarter of it used.
        (&[(Some(2000), 8000), (Some(2000), 8000)][..], Some("8 6 750 never 6")),
        // What was used once was not idle for ever.
        (&[(Some(1000), 8000), (Some(3000), 8000)], Some("8 6 750 never 5")),
        // Hours without measures count on neither side.
        (&[(Some(2000), 8000), (None, 100_000)], Some("8 6 750 never 6")),
        // More used than asked for: nothing idle.
        (&[(Some(900), 500)], Some("500m 0 0 never 0")),
        (&[(Some(0), 500)], Some("500m 500m 1000 never 500m")),
        // The mean over time, not of the shares.
        (&[(Some(1000), 1000), (Some(0), 3000)], Some("2 1500m 750 never 0")),
        // Nothing asked for, nothing measured, nothing at all.
        (&[(Some(100), 0)], None),
        (&[(None, 100)], None),
        (&[], None),
    ] {
        let hours: Vec<Hour> = (0..).zip(hours).map(|(at, (used, asks))| hour(at, *used, *asks)).collect();
        let told = idle("cpu", &hours).map(|idle| {
            format!("{} {} {} never {}", idle.reserved, idle.idle, idle.part, idle.never.unwrap_or_default())
        });
        assert_eq!(told.as_deref(), want, "{hours:?}");
        let totals = hours.iter().fold(Totals::default(), |sum, hour| sum.then(&Totals::of(hour)));
        assert_eq!(totals.idle("cpu").map(|i| i.part), idle("cpu", &hours).map(|i| i.part), "both ways say the same");
    }
    assert_eq!(idle("pods", &[hour(0, Some(1), 2)]), None);
    let (a, b) = (Totals::of(&hour(0, Some(1000), 4000)), Totals::of(&hour(0, Some(1000), 1000)));
    let both = a.beside(&b).idle("cpu").unwrap();
    assert_eq!((both.reserved.as_str(), both.idle.as_str(), both.part), ("5", "3", 600));
}

#[test]
fn steps_and_gaps() {
    let window = Window { from: 10, to: 15, step: 2 };
    let hours = [hour(10, Some(100), 1000), hour(11, None, 2000), hour(14, Some(50), 500)];
    let points = points(&hours, &window);
    let text: Vec<String> = points
        .iter()
        .map(|point| {
            let cpu = point.resources.get("cpu");
            let level = |level: Option<&berth_types::usage::UsageLevel>| {
                level.map_or_else(|| "?".to_owned(), |level| format!("{}/{}", level.average, level.peak))
            };
            let of = cpu.map(|cpu| format!(" {} {}", level(cpu.used.as_ref()), level(cpu.requests.as_ref())));
            format!("{} {}{}", point.at, point.hours, of.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        text,
        [
            "1970-01-01T10:00:00Z 2 100m/100m 1500m/2",
            "1970-01-01T12:00:00Z 0",
            "1970-01-01T14:00:00Z 1 50m/50m 500m/500m",
        ]
    );
    let blind = history(&ClusterId::local(), &[hour(11, None, 1)], &window, Vec::new());
    assert_eq!((blind.hours, blind.measured_hours, blind.summary.len()), (1, 0, 4));
    assert_eq!((&blind.summary[0].amounts.used, &blind.summary[0].idle), (&None, &None), "not known is not nothing");
    assert_eq!(blind.summary[2].amounts.used.as_ref().unwrap().average, "3");
    assert_eq!(blind.summary[0].amounts.quota.as_deref(), Some("8"));
    let none = history(&ClusterId::local(), &[], &window, Vec::new());
    assert!(none.summary.is_empty() && none.points.iter().all(|point| point.resources.is_empty()));
}

#[test]
fn windows_are_read() {
    let now = at("2026-11-20T08:30:00Z");
    let end = Slot::of(now).hour + 1;
    let read = |from: &str, to: &str, step: &str| {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let own = |text: &str| some(Box::leak(text.to_owned().into_boxed_str()));
        let window = Window::read(own(from), own(to), own(step), now);
        window
            .map(|w| (end - w.from, end - w.to, w.step))
            .map_err(|errors| errors.iter().map(|e| format!("{} {}", e.field, e.code)).collect::<Vec<_>>().join(", "))
    };
    for (from, to, step, want) in [
        ("", "", "", Ok((720, 0, 6))),
        ("2026-11-20", "", "", Ok((9, 0, 1))),
        ("2026-11-13T08:00", "2026-11-20T08:00:01Z", "6h", Ok((169, 0, 6))),
        ("2026-11-01", "2026-11-02", "24h", Ok((465, 441, 24))),
        ("", "2026-11-02", "", Ok((1161, 441, 6))),
        ("2026-11-02", "2026-11-01", "", Err("to usage_window")),
        ("2026-09-01", "2026-11-01", "", Err("to usage_window")),
        ("2026-11-02", "2026-11-02", "", Err("to usage_window")),
        ("soon", "late", "90m", Err("from time, to time, step usage_step")),
        ("", "", "0h", Err("step usage_step")),
        ("", "", "-1h", Err("step usage_step")),
        ("", "", "721h", Err("step usage_step")),
        ("", "", "often", Err("step usage_step")),
    ] {
        assert_eq!(read(from, to, step), want.map_err(str::to_owned), "{from} {to} {step}");
    }
}

#[test]
fn what_rules_see_of_the_past() {
    let now = at("1970-03-01T00:30:00Z");
    let end = Slot::of(now).hour;
    let since = |hours: i64, used: Option<i64>| -> Vec<Hour> {
        (end - hours + 1..=end).map(|at| hour(at, used, 1000)).collect()
    };
    let key = |text: &str| text.parse().unwrap();
    let long = Past::of(&since(400, Some(250)), now);
    assert_eq!(long.held.get("requests.cpu"), Some(Quantity::units(1)));
    assert_eq!(
        (long.held.get("limits.cpu"), long.held.get("pods")),
        (Some(Quantity::units(2)), Some(Quantity::units(3)))
    );
    assert_eq!(long.held.get("requests.storage"), None, "nobody counts it");
    assert_eq!((long.busy_of(&key("requests.cpu")), long.busy_of(&key("limits.memory"))), (Some(250), Some(250)));
    assert_eq!((long.busy_of(&key("pods")), long.busy_of(&key("requests.storage"))), (None, None));
    assert_eq!(Past::of(&since(400, None), now).busy_of(&key("requests.cpu")), None, "without metrics");
    let day = Past::of(&since(19, Some(250)), now);
    assert_eq!((day.held.get("requests.cpu"), day.busy.cpu), (None, None), "too short a time says nothing");
    let before: Vec<Hour> = (end - 100..end - 30).map(|at| hour(at, Some(250), 1000)).collect();
    let away = Past::of(&before, now);
    assert_eq!((away.held.get("pods"), away.busy.cpu), (None, Some(250)), "nothing is known of the last day");
}
