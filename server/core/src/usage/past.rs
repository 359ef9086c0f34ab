//! What rules look at of the time before a request.

use berth_types::{QuotaKey, Resources, quota::Measure};
use jiff::Timestamp;

use super::{Hour, Level, Pair, Slot, Totals, quantity};

/// Hours of which most must be known, so that an average of the last day says something.
const DAY: i64 = 24;
const MOST_OF_A_DAY: usize = 20;
/// Hours over which real use is looked at.
const WEEKS: i64 = 14 * 24;
/// Hours that must be measured of them.
const MEASURED: i64 = 24;

/// What rules look at of the time before a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// What was counted in the mean of the last day, by key; nothing of what most of a day is not known of.
    pub held: Resources,
    /// What was really in use in the mean of two weeks, in thousandths of what was asked for; none where less than a day of
    /// them is measured.
    pub busy: Pair<Option<i64>>,
}

impl Past {
    /// Of hours as [`Hour::filled`] gives them.
    #[must_use]
    pub fn of(hours: &[Hour], now: Timestamp) -> Self {
        let end = Slot::of(now).hour;
        let within = |span: i64| hours.iter().filter(move |hour| (end - span + 1..=end).contains(&hour.hour));
        let totals = within(WEEKS).fold(Totals::default(), |sum, hour| sum.then(&Totals::of(hour)));
        let busy = |resource: &str| {
            let idle = totals.idle(resource).filter(|_| totals.measured >= MEASURED)?;
            Some(1000 - idle.part)
        };
        let day: Vec<&Hour> = within(DAY).collect();
        let mean = |key: &str, scale: &str, of: &dyn Fn(&Hour) -> Option<Level>| {
            let known: Vec<i64> = day.iter().filter_map(|hour| Some(hour.average(of(hour)?))).collect();
            let n = i64::try_from(known.len()).ok().filter(|_| known.len() >= MOST_OF_A_DAY)?;
            let sum = known.iter().fold(0_i64, |sum, one| sum.saturating_add(*one));
            Some((key.parse::<QuotaKey>().ok()?, quantity(scale, sum / n)))
        };
        let held = [
            mean("requests.cpu", "cpu", &|hour| Some(hour.cpu.requests)),
            mean("limits.cpu", "cpu", &|hour| Some(hour.cpu.limits)),
            mean("requests.memory", "memory", &|hour| Some(hour.memory.requests)),
            mean("limits.memory", "memory", &|hour| Some(hour.memory.limits)),
            mean("pods", "pods", &|hour| Some(hour.pods)),
            mean("requests.storage", "storage", &|hour| (hour.stored > 0).then_some(hour.storage)),
        ];
        let held = held.into_iter().flatten().collect();
        Self { held, busy: Pair { cpu: busy("cpu"), memory: busy("memory") } }
    }

    /// How much of what `key` limits was really in use; none for keys that nobody measures.
    #[must_use]
    pub fn busy_of(&self, key: &QuotaKey) -> Option<i64> {
        match (key.measure(), key.as_str()) {
            (Measure::Cores, _) => self.busy.cpu,
            (_, "requests.memory" | "limits.memory") => self.busy.memory,
            _ => None,
        }
    }
}
