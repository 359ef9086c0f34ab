//! How long the simulated node takes for things.

use std::time::Duration;

/// Durations of the simulated kubelet. The defaults let a demo feel alive.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From binding to the sandbox with its address.
    pub sandbox: Duration,
    /// Pulling an image that the node does not have.
    pub pull: Duration,
    /// Until a pull that cannot work is refused.
    pub pull_refused: Duration,
    /// From a pulled image to a running process.
    pub start: Duration,
    /// Until the kubelet notices that a process ended.
    pub notice: Duration,
    /// What a well-behaved process takes to stop after SIGTERM.
    pub stop: Duration,
    /// First back-off of a crashing container or a refused pull; doubles up to [`Timing::back_off_max`].
    pub back_off: Duration,
    /// The longest back-off.
    pub back_off_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sandbox: Duration::from_millis(100),
            pull: Duration::from_millis(300),
            pull_refused: Duration::from_millis(200),
            start: Duration::from_millis(100),
            notice: Duration::from_millis(500),
            stop: Duration::from_millis(300),
            back_off: Duration::from_secs(10),
            back_off_max: Duration::from_secs(300),
        }
    }
}

/// A back-off as `flowcontrol.Backoff` keeps it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackOff {
    /// The present delay; zero before the first failure.
    pub delay: Duration,
    last: Option<jiff::Timestamp>,
}

impl BackOff {
    /// Notes a failure at `now`: the delay starts, doubles, or, after a long calm, starts anew.
    pub fn next(&mut self, now: jiff::Timestamp, timing: &Timing) {
        let calm = self.last.is_none_or(|last| {
            now.duration_since(last) > jiff::SignedDuration::try_from(timing.back_off_max * 2).unwrap_or_default()
        });
        self.delay =
            if calm || self.delay.is_zero() { timing.back_off } else { (self.delay * 2).min(timing.back_off_max) };
        self.last = Some(now);
    }

    /// When something that failed at `failed` may be tried again.
    #[must_use]
    pub fn until(&self, failed: jiff::Timestamp, timing: &Timing) -> jiff::Timestamp {
        let expired = self.last.is_none_or(|last| {
            failed.duration_since(last) > jiff::SignedDuration::try_from(timing.back_off_max * 2).unwrap_or_default()
        });
        if expired { failed } else { failed.checked_add(self.delay).unwrap_or(failed) }
    }
}

/// A duration as Go prints it: `10s`, `1m20s`, `300ms`, `1.5s`.
#[must_use]
pub fn go_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        if duration.is_zero() {
            return "0s".to_owned();
        }
        let micros = duration.as_micros();
        return if micros.is_multiple_of(1000) || micros >= 1000 {
            format!("{}ms", trim(micros, 1000))
        } else {
            format!("{micros}µs")
        };
    }
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = trim(u128::from(seconds % 60) * 1000 + u128::from(duration.subsec_millis()), 1000);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `value / unit` with at most three decimals and no trailing zeros.
fn trim(value: u128, unit: u128) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{fraction:03}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        for (millis, text) in [
            (0, "0s"),
            (300, "300ms"),
            (1000, "1s"),
            (1500, "1.5s"),
            (10_000, "10s"),
            (80_000, "1m20s"),
            (300_000, "5m0s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn back_off_doubles_to_its_maximum_and_forgets_after_a_calm() {
        let timing = Timing::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut back_off = BackOff::default();
        assert_eq!(back_off.until(at(0), &timing), at(0), "the first restart is immediate");
        let mut seen = Vec::new();
        for second in 0..7 {
            back_off.next(at(second), &timing);
            seen.push(back_off.delay.as_secs());
        }
        assert_eq!(seen, [10, 20, 40, 80, 160, 300, 300]);
        back_off.next(at(10_000), &timing);
        assert_eq!(back_off.delay.as_secs(), 10);
    }
}
