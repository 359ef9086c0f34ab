//! When a namespace holds nearly all of its quota for so long that somebody should hear of it.

use jiff::{SignedDuration, Timestamp};

/// From so many per cent on it counts.
pub const HIGH: i64 = 90;
/// Below so many per cent it is over: what goes up and down around one line is told once.
const LOW: i64 = 85;
/// For so long it must hold: a rollout takes twice the pods for a moment.
const HELD: SignedDuration = SignedDuration::from_mins(15);

/// What is remembered of a namespace whose quota is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Since when.
    pub since: Timestamp,
    /// Whether it was told.
    pub told: bool,
}

/// What is so after a look at `now`, where the fullest key stands at `percent`.
#[must_use]
pub fn after(before: Option<Pressure>, percent: i64, now: Timestamp) -> Option<Pressure> {
    match before {
        None => (percent >= HIGH).then_some(Pressure { since: now, told: false }),
        // What was told stays so until it is over; what was not begins anew.
        Some(known) if known.told => (percent >= LOW).then_some(known),
        Some(known) => (percent >= HIGH).then(|| Pressure { told: now.duration_since(known.since) >= HELD, ..known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn told_once_until_it_is_over() {
        let minute = |n: i64| at("2026-11-20T08:00:00Z") + SignedDuration::from_mins(n);
        let mut known = None;
        for (n, percent, want) in [
            (0, 89, None),
            (1, 90, Some((1, false))),
            (10, 95, Some((1, false))),
            // A dip, and it begins anew.
            (12, 89, None),
            (13, 100, Some((13, false))),
            (27, 100, Some((13, false))),
            (28, 90, Some((13, true))),
            (40, 100, Some((13, true))),
            (50, 85, Some((13, true))),
            (51, 84, None),
            (52, 99, Some((52, false))),
        ] {
            known = after(known, percent, minute(n));
            let want = want.map(|(since, told)| Pressure { since: minute(since), told });
            assert_eq!(known, want, "minute {n}: {percent} %");
        }
    }
}
