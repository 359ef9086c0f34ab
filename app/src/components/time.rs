//! Times: relative where one asks “how long ago”, absolute in the tooltip and for machines. The browser part moves the
//! relative ones on and shows the absolute ones in the reader's zone; without it they are UTC.

use berth_core::ports::pages::Language;
use jiff::Timestamp;
use leptos::prelude::*;

use crate::{tr, ui::Ui};

/// The largest unit that fits, as people say it: `now`, `12 s`, `3 min`, `2 h`, `5 d`, `4 mo`, `2 y`.
#[must_use]
pub fn span_text(lang: Language, seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..=4 => tr::common::now(lang).to_owned(),
        5..=59 => tr::common::seconds(lang, seconds),
        60..=3_599 => tr::common::minutes(lang, seconds / 60),
        3_600..=86_399 => tr::common::hours(lang, seconds / 3_600),
        86_400..=2_591_999 => tr::common::days(lang, seconds / 86_400),
        2_592_000..=31_535_999 => tr::common::months(lang, seconds / 2_592_000),
        _ => tr::common::years(lang, seconds / 31_536_000),
    }
}

/// A time of two lengths: `2026-11-21T14:02:11Z` for machines, `2026-11-21 14:02:11 UTC` for people. Lists have a hundred
/// of them, hence no formatting machinery.
fn written(at: Timestamp) -> (String, String) {
    // To the second: RFC 3339 without a fraction.
    let machine = Timestamp::from_second(at.as_second()).unwrap_or(at).to_string();
    let people = machine.trim_end_matches('Z').replace('T', " ") + " UTC";
    (machine, people)
}

/// How long ago.
#[must_use]
pub fn ago(ui: Ui, at: Timestamp) -> impl IntoView + 'static {
    let seconds = ui.now.as_second() - at.as_second();
    let (machine, people) = written(at);
    view! {
        <time datetime=machine title=people data-relative>
            {span_text(ui.lang, seconds)}
        </time>
    }
}

/// The time of day, in UTC until the browser knows better.
#[must_use]
pub fn clock(at: Timestamp) -> impl IntoView + 'static {
    let (machine, people) = written(at);
    let clock = people.get(11..19).unwrap_or_default().to_owned();
    view! {
        <time datetime=machine title=people data-clock>
            {clock}
        </time>
    }
}

/// Day and time.
#[must_use]
pub fn on(at: Timestamp) -> impl IntoView + 'static {
    let (machine, people) = written(at);
    let minute = people.get(..16).unwrap_or_default().to_owned();
    view! {
        <time datetime=machine title=people data-date>
            {minute}
        </time>
    }
}

/// Day and time to the second.
#[must_use]
pub fn exactly(at: Timestamp) -> impl IntoView + 'static {
    let (machine, people) = written(at);
    let second = people.get(..19).unwrap_or_default().to_owned();
    view! {
        <time datetime=machine title=people data-second>
            {second}
        </time>
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_to_the_second() {
        let at: Timestamp = "2026-11-21T04:02:01.987Z".parse().unwrap();
        assert_eq!(written(at), ("2026-11-21T04:02:01Z".to_owned(), "2026-11-21 04:02:01 UTC".to_owned()));
        assert!(clock(at).to_html().contains(">04:02:01</time>"));
        assert!(on(at).to_html().contains(">2026-11-21 04:02</time>"));
    }

    #[test]
    fn spans() {
        for (seconds, want) in [
            (-3, "now"),
            (0, "now"),
            (12, "12 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (86_400, "1 d"),
            (40 * 86_400, "1 mo"),
            (800 * 86_400, "2 y"),
        ] {
            assert_eq!(span_text(Language::En, seconds), want, "{seconds}");
        }
    }
}
