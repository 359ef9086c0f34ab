//! A history as it is asked for and shown.

use std::{collections::BTreeMap, ops::Range};

use berth_types::{
    ClusterId, FieldError,
    usage::{DAYS, RESOURCES, UsageAmounts, UsageHistory, UsageLevel, UsageNow, UsagePoint, UsageSummary},
};
use jiff::Timestamp;

use super::{HOUR, Hour, KEPT, Level, Slot, idle, written};
use crate::audit::range::moment;

/// Of which time something is asked, and in which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first hour.
    pub from: i64,
    /// The first hour that is not part of it.
    pub to: i64,
    /// Hours of a step.
    pub step: i64,
}

impl Window {
    /// The last so many hours, the one that is not over yet among them.
    #[must_use]
    pub fn last(hours: i64, step: i64, now: Timestamp) -> Self {
        let to = Slot::of(now).hour + 1;
        Self { from: to - hours, to, step }
    }

    /// What was written: times, or days; a step of whole hours (`1h`, `6h`, `24h`). Without a word the last 30 days, in steps
    /// of six hours; of hours where it is a week or less.
    ///
    /// # Errors
    /// All that is wrong, at `from`, `to` and `step`.
    pub fn read(
        from: Option<&str>,
        to: Option<&str>,
        step: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Vec<FieldError>> {
        let default = Self::last(KEPT, 6, now);
        let mut errors = Vec::new();
        let mut time = |name: &str, text: Option<&str>| -> Option<i64> {
            let read = moment(name, text?);
            read.map_err(|e| errors.extend(e.fields().iter().cloned())).ok().map(Timestamp::as_second)
        };
        let (begin, end) = (time("from", from), time("to", to));
        let steps = step.map(|text| {
            let span = text.parse::<jiff::SignedDuration>().ok().map(|span| span.as_secs());
            let whole = span.filter(|seconds| seconds % HOUR == 0 && (1..=KEPT).contains(&(seconds / HOUR)));
            whole.map(|seconds| seconds / HOUR).ok_or_else(|| {
                let message = format!("“{text}” is no step: write whole hours, such as 1h, 6h or 24h");
                FieldError::new("step", "usage_step", message).param("value", text)
            })
        });
        let step = match steps {
            Some(Err(e)) => {
                errors.push(e);
                None
            }
            Some(Ok(step)) => Some(step),
            None => None,
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let to = end.map_or(default.to, |second| second.div_euclid(HOUR) + i64::from(second.rem_euclid(HOUR) > 0));
        let from = begin.map_or(to - KEPT, |second| second.div_euclid(HOUR));
        if !(1..=KEPT).contains(&(to - from)) {
            let message = format!("later than from, and at most {DAYS} days after it");
            return Err(vec![FieldError::new("to", "usage_window", message).param("max", DAYS)]);
        }
        let usual = if to - from > 7 * 24 { 6 } else { 1 };
        Ok(Self { from, to, step: step.unwrap_or(usual) })
    }

    /// The hours of it.
    #[must_use]
    pub fn hours(&self) -> Range<i64> {
        self.from..self.to
    }
}

fn time(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(HOUR)).unwrap_or_default()
}

/// What hours come to, by resource; nothing of none.
fn amounts(hours: &[Hour]) -> BTreeMap<String, UsageAmounts> {
    let Some(last) = hours.last() else { return BTreeMap::new() };
    let level = |resource: &str, of: &dyn Fn(&Hour) -> Option<Level>| {
        let known: Vec<(i64, i64)> =
            hours.iter().filter_map(|hour| of(hour).map(|level| (hour.average(level), level.peak))).collect();
        let n = i64::try_from(known.len()).ok().filter(|n| *n > 0)?;
        let sum = known.iter().fold(0_i64, |sum, (average, _)| sum.saturating_add(*average));
        let peak = known.iter().map(|(_, peak)| *peak).max()?;
        Some(UsageLevel { average: written(resource, sum / n), peak: written(resource, peak) })
    };
    let compute = |resource: &'static str| {
        let of = move |hour: &Hour| hour.compute(resource).copied().unwrap_or_default();
        UsageAmounts {
            used: level(resource, &|hour| (hour.measured > 0).then(|| of(hour).used)),
            requests: level(resource, &|hour| Some(of(hour).requests)),
            limits: level(resource, &|hour| Some(of(hour).limits)),
            quota: of(last).quota.map(|n| written(resource, n)),
        }
    };
    let counted = |resource: &str, used, quota: Option<i64>| UsageAmounts {
        used,
        requests: None,
        limits: None,
        quota: quota.map(|n| written(resource, n)),
    };
    let pods = level("pods", &|hour| Some(hour.pods));
    let storage = level("storage", &|hour| (hour.stored > 0).then_some(hour.storage));
    [
        ("cpu".to_owned(), compute("cpu")),
        ("memory".to_owned(), compute("memory")),
        ("pods".to_owned(), counted("pods", pods, last.pods_quota)),
        ("storage".to_owned(), counted("storage", storage, last.storage_quota)),
    ]
    .into()
}

/// `hours` step by step, gaps among them. They are in order, and as [`Hour::filled`] gives them.
#[must_use]
pub fn points(hours: &[Hour], window: &Window) -> Vec<UsagePoint> {
    let step = window.step.max(1);
    let begins = (window.from..window.to).step_by(usize::try_from(step).unwrap_or(1));
    let point = |from: i64| {
        let to = (from + step).min(window.to);
        let first = hours.partition_point(|hour| hour.hour < from);
        let last = hours.partition_point(|hour| hour.hour < to);
        let part = hours.get(first..last).unwrap_or_default();
        UsagePoint { at: time(from), hours: i64::try_from(part.len()).unwrap_or_default(), resources: amounts(part) }
    };
    begins.map(point).collect()
}

/// `hours` as a whole, by resource.
#[must_use]
pub fn summary(hours: &[Hour]) -> Vec<UsageSummary> {
    let mut all = amounts(hours);
    let row = |resource: &str| {
        let amounts = all.remove(resource)?;
        Some(UsageSummary { resource: resource.to_owned(), amounts, idle: idle(resource, hours) })
    };
    RESOURCES.into_iter().filter_map(row).collect()
}

/// All of it.
#[must_use]
pub fn history(cluster: &ClusterId, hours: &[Hour], window: &Window, now: Vec<UsageNow>) -> UsageHistory {
    let count = |some: usize| i64::try_from(some).unwrap_or_default();
    UsageHistory {
        cluster: cluster.clone(),
        from: time(window.from),
        to: time(window.to),
        step_hours: window.step,
        hours: count(hours.len()),
        measured_hours: count(hours.iter().filter(|hour| hour.measured > 0).count()),
        now,
        summary: summary(hours),
        points: points(hours, window),
    }
}
