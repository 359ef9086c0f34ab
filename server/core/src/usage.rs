//! What namespaces take and use over time: samples every five minutes, kept as sums an hour, and what is made of these. Pure.
//!
//! An hour keeps sums, peaks, and how many samples it is made of, so that it can be written bit by bit. Use is known or not: what
//! nobody measured counts as a gap, never as nothing. CPU is in thousandths of a core here, everything else in units.

use berth_types::{
    Quantity, Resources,
    headroom::Amounts,
    rows::UsageRow,
    usage::{DAYS, Idle, UsageNow},
};
use jiff::Timestamp;

mod past;
#[cfg(test)]
mod tests;
mod window;

pub use past::Past;
pub use window::{Window, history, points, summary};

/// Seconds between two samples.
const EVERY: i64 = 300;
const HOUR: i64 = 3600;
/// Hours that are kept.
pub const KEPT: i64 = DAYS * 24;

/// One of the twelve samples of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Hours since 1970.
    pub hour: i64,
    /// Which one, from 0.
    pub part: i64,
}

impl Slot {
    /// The one that is due at `now`.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        let second = now.as_second();
        Self { hour: second.div_euclid(HOUR), part: second.rem_euclid(HOUR) / EVERY }
    }

    /// As a bit: an hour keeps which of its samples it has.
    #[must_use]
    pub fn bit(self) -> i64 {
        1 << self.part
    }
}

/// CPU and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair<T> {
    /// CPU.
    pub cpu: T,
    /// Memory.
    pub memory: T,
}

impl Pair<i64> {
    fn plus(self, other: Self) -> Self {
        Self { cpu: self.cpu.saturating_add(other.cpu), memory: self.memory.saturating_add(other.memory) }
    }
}

/// A namespace at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// What is in use, where that is measured.
    pub used: Option<Pair<i64>>,
    /// What its pods ask for.
    pub requests: Pair<i64>,
    /// What its pods can take at most, as far as they are limited.
    pub limits: Pair<i64>,
    /// What they may ask for; none: as much as they like.
    pub quota: Pair<Option<i64>>,
    /// Pods.
    pub pods: i64,
    /// Pods at most.
    pub pods_quota: Option<i64>,
    /// What its volumes claim, where a quota counts it.
    pub storage: Option<i64>,
    /// What they may claim.
    pub storage_quota: Option<i64>,
}

/// What the cluster's cache says of a namespace's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// What a quota counts of them.
    pub counted: Amounts,
    /// `cpu` and `memory` that they use; none where not all of it is measured.
    pub used: Option<Amounts>,
}

impl Sample {
    /// Of what the cluster says, and what its quota there shall be.
    #[must_use]
    pub fn of(taken: &Taken, counted: &[UsageRow], quota: Option<&Resources>) -> Self {
        let amount = |key: &str| taken.counted.get(key).copied().unwrap_or_default();
        let pair = |cpu: &str, memory: &str| Pair { cpu: amount(cpu).as_millis(), memory: amount(memory).as_units() };
        let limit = |key: &str| quota.and_then(|quota| quota.get(key));
        let used = taken.used.as_ref().map(|used| {
            let of = |name: &str| used.get(name).copied().unwrap_or_default();
            Pair { cpu: of("cpu").as_millis(), memory: of("memory").as_units() }
        });
        let claimed = counted.iter().find(|row| row.resource == "requests.storage");
        Self {
            used,
            requests: pair("requests.cpu", "requests.memory"),
            limits: pair("limits.cpu", "limits.memory"),
            quota: Pair {
                cpu: limit("requests.cpu").map(Quantity::as_millis),
                memory: limit("requests.memory").map(Quantity::as_units),
            },
            pods: amount("pods").as_units(),
            pods_quota: limit("pods").map(Quantity::as_units),
            storage: claimed.and_then(|row| row.used.parse().ok()).map(Quantity::as_units),
            storage_quota: limit("requests.storage").map(Quantity::as_units),
        }
    }

    /// Two namespaces together: what is not known of one is not known of both, and what one may have without limit, so may both.
    #[must_use]
    pub fn beside(self, other: &Self) -> Self {
        let both = |a: Option<i64>, b: Option<i64>| Some(a?.saturating_add(b?));
        Self {
            used: self.used.zip(other.used).map(|(a, b)| a.plus(b)),
            requests: self.requests.plus(other.requests),
            limits: self.limits.plus(other.limits),
            quota: Pair {
                cpu: both(self.quota.cpu, other.quota.cpu),
                memory: both(self.quota.memory, other.quota.memory),
            },
            pods: self.pods.saturating_add(other.pods),
            pods_quota: both(self.pods_quota, other.pods_quota),
            storage: both(self.storage, other.storage),
            storage_quota: both(self.storage_quota, other.storage_quota),
        }
    }

    /// As it is shown; `quota` says what limits a key.
    #[must_use]
    pub fn now(&self, quota: impl Fn(&str) -> Option<Quantity>) -> Vec<UsageNow> {
        let row = |resource: &str, used: Option<i64>, asks: Option<(i64, i64)>| UsageNow {
            resource: resource.to_owned(),
            used: used.map(|n| written(resource, n)),
            requests: asks.map(|(requests, _)| written(resource, requests)),
            limits: asks.map(|(_, limits)| written(resource, limits)),
            quota: quota(key_of(resource)).map(|n| write(resource, n)),
        };
        let asks = |f: fn(Pair<i64>) -> i64| Some((f(self.requests), f(self.limits)));
        vec![
            row("cpu", self.used.map(|used| used.cpu), asks(|pair| pair.cpu)),
            row("memory", self.used.map(|used| used.memory), asks(|pair| pair.memory)),
            row("pods", Some(self.pods), None),
            row("storage", self.storage, None),
        ]
    }
}

/// The key of a quota by which a resource is limited.
#[must_use]
pub fn key_of(resource: &str) -> &'static str {
    match resource {
        "cpu" => "requests.cpu",
        "memory" => "requests.memory",
        "storage" => "requests.storage",
        _ => "pods",
    }
}

fn quantity(resource: &str, n: i64) -> Quantity {
    if resource == "cpu" { Quantity::millis(n) } else { Quantity::units(n) }
}

fn write(resource: &str, amount: Quantity) -> String {
    if matches!(resource, "memory" | "storage") { amount.binary() } else { amount.to_string() }
}

fn written(resource: &str, n: i64) -> String {
    write(resource, quantity(resource, n))
}

/// A sum over samples, and the most that one of them had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Of all samples.
    pub sum: i64,
    /// Of one.
    pub peak: i64,
}

impl Level {
    fn one(n: i64) -> Self {
        Self { sum: n, peak: n }
    }

    fn then(self, other: Self) -> Self {
        Self { sum: self.sum.saturating_add(other.sum), peak: self.peak.max(other.peak) }
    }
}

/// CPU or memory in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compute {
    /// In use.
    pub used: Level,
    /// Asked for.
    pub requests: Level,
    /// At most.
    pub limits: Level,
    /// What might be asked for.
    pub quota: Option<i64>,
}

/// An hour of a namespace, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970.
    pub hour: i64,
    /// Samples that it is made of.
    pub samples: i64,
    /// Those of them that know what was in use.
    pub measured: i64,
    /// CPU.
    pub cpu: Compute,
    /// Memory.
    pub memory: Compute,
    /// Pods.
    pub pods: Level,
    /// Pods at most.
    pub pods_quota: Option<i64>,
    /// Samples that know what volumes claim.
    pub stored: i64,
    /// That.
    pub storage: Level,
    /// What they might claim.
    pub storage_quota: Option<i64>,
}

impl Hour {
    /// Of one sample.
    #[must_use]
    pub fn of(hour: i64, sample: &Sample) -> Self {
        let used = sample.used.unwrap_or_default();
        let compute = |used, requests, limits, quota| Compute {
            used: Level::one(used),
            requests: Level::one(requests),
            limits: Level::one(limits),
            quota,
        };
        Self {
            hour,
            samples: 1,
            measured: i64::from(sample.used.is_some()),
            cpu: compute(used.cpu, sample.requests.cpu, sample.limits.cpu, sample.quota.cpu),
            memory: compute(used.memory, sample.requests.memory, sample.limits.memory, sample.quota.memory),
            pods: Level::one(sample.pods),
            pods_quota: sample.pods_quota,
            stored: i64::from(sample.storage.is_some()),
            storage: Level::one(sample.storage.unwrap_or_default()),
            storage_quota: sample.storage_quota,
        }
    }

    /// With later samples of the same hour. The databases do the same.
    #[must_use]
    pub fn then(self, later: &Self) -> Self {
        let compute = |a: Compute, b: Compute| Compute {
            used: a.used.then(b.used),
            requests: a.requests.then(b.requests),
            limits: a.limits.then(b.limits),
            quota: b.quota,
        };
        Self {
            hour: self.hour,
            samples: self.samples + later.samples,
            measured: self.measured + later.measured,
            cpu: compute(self.cpu, later.cpu),
            memory: compute(self.memory, later.memory),
            pods: self.pods.then(later.pods),
            pods_quota: later.pods_quota,
            stored: self.stored + later.stored,
            storage: self.storage.then(later.storage),
            storage_quota: later.storage_quota,
        }
    }

    /// As if every sample knew what those know that know it: of hours that are added up, each then weighs as it lasted.
    #[must_use]
    pub fn filled(mut self) -> Self {
        let fill = |sum: &mut i64, known: i64| {
            *sum = if known > 0 { sum.saturating_mul(self.samples) / known } else { 0 };
        };
        fill(&mut self.cpu.used.sum, self.measured);
        fill(&mut self.memory.used.sum, self.measured);
        fill(&mut self.storage.sum, self.stored);
        self
    }

    fn average(&self, level: Level) -> i64 {
        level.sum / self.samples.max(1)
    }

    fn compute(&self, resource: &str) -> Option<&Compute> {
        match resource {
            "cpu" => Some(&self.cpu),
            "memory" => Some(&self.memory),
            _ => None,
        }
    }
}

/// What was asked for and used of CPU and memory, added up over the hours in which both are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hours in which both are known.
    pub measured: i64,
    /// The hours' averages of use, added up.
    pub used: Pair<i64>,
    /// The hours' averages of requests.
    pub requests: Pair<i64>,
}

impl Totals {
    /// Of an hour as [`Hour::filled`] gives it; nothing where use is not known.
    #[must_use]
    pub fn of(hour: &Hour) -> Self {
        if hour.measured == 0 {
            return Self::default();
        }
        Self {
            measured: 1,
            used: Pair { cpu: hour.average(hour.cpu.used), memory: hour.average(hour.memory.used) },
            requests: Pair { cpu: hour.average(hour.cpu.requests), memory: hour.average(hour.memory.requests) },
        }
    }

    fn plus(self, other: &Self, measured: i64) -> Self {
        Self { measured, used: self.used.plus(other.used), requests: self.requests.plus(other.requests) }
    }

    /// With other hours of the same.
    #[must_use]
    pub fn then(self, other: &Self) -> Self {
        self.plus(other, self.measured + other.measured)
    }

    /// With the same hours of another namespace.
    #[must_use]
    pub fn beside(self, other: &Self) -> Self {
        self.plus(other, self.measured.max(other.measured))
    }

    /// What was asked for and not used: `1 − use ÷ requests`. None where nothing was asked for or nothing is known. Who used
    /// more than they asked for left nothing idle.
    #[must_use]
    pub fn idle(&self, resource: &str) -> Option<Idle> {
        let (used, reserved) = match resource {
            "cpu" => (self.used.cpu, self.requests.cpu),
            "memory" => (self.used.memory, self.requests.memory),
            _ => return None,
        };
        if self.measured == 0 || reserved <= 0 {
            return None;
        }
        let idle = reserved.saturating_sub(used).max(0);
        let part = quantity(resource, idle).thousandths_of(quantity(resource, reserved))?;
        let mean = |sum: i64| written(resource, sum / self.measured);
        Some(Idle { resource: resource.to_owned(), reserved: mean(reserved), idle: mean(idle), part, never: None })
    }

    /// Of CPU and memory.
    #[must_use]
    pub fn idles(&self) -> Vec<Idle> {
        ["cpu", "memory"].into_iter().filter_map(|resource| self.idle(resource)).collect()
    }
}

/// The idle share of `hours`, with what was not even used at the peak.
fn idle(resource: &str, hours: &[Hour]) -> Option<Idle> {
    let totals = hours.iter().fold(Totals::default(), |sum, hour| sum.then(&Totals::of(hour)));
    let known = hours.iter().filter(|hour| hour.measured > 0);
    let spare = known.filter_map(|hour| {
        let compute = hour.compute(resource)?;
        Some((hour.average(compute.requests) - compute.used.peak).max(0))
    });
    let never = spare.min().map(|n| written(resource, n));
    totals.idle(resource).map(|idle| Idle { never, ..idle })
}
