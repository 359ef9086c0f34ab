//! When a message that did not arrive is tried again, and when a webhook is given up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// How long after each failed attempt the next one is made, at least: all within a day and a half.
const WAITS: &[Duration] = &[
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
];
/// A webhook to which nothing came through for so long is given up with the next message that is.
const LONG: SignedDuration = SignedDuration::from_hours(24);
/// No receiver puts a message off for longer: it would keep it from ever being given up.
const LATEST: SignedDuration = SignedDuration::from_hours(14);
/// Gone: whoever answers so wants no more (<https://www.standardwebhooks.com>, "410").
const GONE: i64 = 410;

/// When a message is tried again that failed `attempts` times, the last time at `now`; `chance` spreads those that failed together
/// over a quarter of the wait. `None`: not any more.
#[must_use]
pub fn again(attempts: i64, now: Timestamp, chance: u16) -> Option<Timestamp> {
    let wait = usize::try_from(attempts).ok()?.checked_sub(1).and_then(|at| WAITS.get(at))?;
    let spread = wait.mul_f64(f64::from(chance) / f64::from(u16::MAX) / 4.0);
    now.checked_add(wait.saturating_add(spread)).ok()
}

/// When the receiver wants to be asked again: its `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3), at most 14 hours ahead.
#[must_use]
pub fn wanted(retry_after: &str, now: Timestamp) -> Option<Timestamp> {
    let text = retry_after.trim();
    let latest = now.checked_add(LATEST).ok()?;
    let seconds = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let wanted = if seconds {
        // More digits than fit are far away, too.
        let wait = text.parse().map_or(LATEST, SignedDuration::from_secs);
        now.checked_add(wait.min(LATEST)).ok()?
    } else {
        rfc2822::parse(text).ok()?.timestamp()
    };
    Some(wanted.clamp(now, latest))
}

/// Whether an answer says that the message arrived.
#[must_use]
pub fn arrived(status: Option<i64>) -> bool {
    status.is_some_and(|status| (200..300).contains(&status))
}

/// Whether the webhook is given up: `last` is whether the message that failed now is not tried again, `failing_since` when the first
/// failed after the last that arrived.
#[must_use]
pub fn gives_up(status: Option<i64>, last: bool, failing_since: Timestamp, now: Timestamp) -> bool {
    status == Some(GONE) || (last && now.duration_since(failing_since) >= LONG)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::at;

    #[test]
    fn each_wait_is_longer_and_there_is_an_end() {
        let begin = at("2026-11-20T08:00:00Z");
        for (attempts, chance, want) in [
            (1, 0, Some("2026-11-20T08:00:05Z")),
            (2, 0, Some("2026-11-20T08:05:00Z")),
            (2, u16::MAX, Some("2026-11-20T08:06:15Z")),
            (3, 0, Some("2026-11-20T08:30:00Z")),
            (4, 0, Some("2026-11-20T10:00:00Z")),
            (5, 0, Some("2026-11-20T13:00:00Z")),
            (6, 0, Some("2026-11-20T18:00:00Z")),
            (7, 0, Some("2026-11-20T22:00:00Z")),
            (7, u16::MAX, Some("2026-11-21T01:30:00Z")),
            (8, 0, None),
            (0, 0, None),
            (-1, 0, None),
        ] {
            assert_eq!(again(attempts, begin, chance), want.map(at), "{attempts} {chance}");
        }
        let all: Duration = WAITS.iter().map(|wait| *wait * 5 / 4).sum();
        assert!(all < Duration::from_hours(48), "{all:?}");
        assert!(Duration::try_from(LONG).unwrap() < WAITS.iter().sum(), "one message alone gives a dead webhook up");
    }

    #[test]
    fn when_a_receiver_wants_it() {
        let now = at("2026-11-20T08:00:00Z");
        for (text, want) in [
            ("120", Some("2026-11-20T08:02:00Z")),
            (" 0 ", Some("2026-11-20T08:00:00Z")),
            ("Fri, 20 Nov 2026 09:00:00 GMT", Some("2026-11-20T09:00:00Z")),
            ("Thu, 19 Nov 2026 09:00:00 GMT", Some("2026-11-20T08:00:00Z")),
            ("Fri, 20 Nov 2099 09:00:00 GMT", Some("2026-11-20T22:00:00Z")),
            ("999999", Some("2026-11-20T22:00:00Z")),
            ("99999999999999999999999", Some("2026-11-20T22:00:00Z")),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("2026-11-20T09:00:00Z", None),
        ] {
            assert_eq!(wanted(text, now), want.map(at), "{text}");
        }
    }

    #[test]
    fn what_arrived_and_what_is_given_up() {
        for (status, want) in
            [(None, false), (Some(199), false), (Some(200), true), (Some(204), true), (Some(299), true)]
        {
            assert_eq!(arrived(status), want, "{status:?}");
        }
        for status in [300, 302, 400, 404, 500, 503] {
            assert!(!arrived(Some(status)), "{status}");
        }
        let (now, day, hour) = (at("2026-11-20T08:00:00Z"), at("2026-11-19T08:00:00Z"), at("2026-11-20T07:00:00Z"));
        for (status, last, since, want) in [
            (Some(500), true, day, true),
            (None, true, day, true),
            (Some(500), false, day, false),
            (Some(500), true, hour, false),
            (Some(410), false, now, true),
        ] {
            assert_eq!(gives_up(status, last, since, now), want, "{status:?} {last} {since}");
        }
    }
}
