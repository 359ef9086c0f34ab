//! Times: relative where one asks “how long ago”, absolute in the tooltip and for machines. The browser part moves the
//! relative ones on and shows the absolute ones in the reader's zone; without it they are UTC.

use berth_core::ports::pages::Language;
use jiff::{Timestamp, tz::TimeZone};
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

/// `2026-11-21 14:02:11 UTC`.
#[must_use]
pub fn absolute(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long ago.
#[must_use]
pub fn ago(ui: Ui, at: Timestamp) -> impl IntoView + 'static {
    let seconds = ui.now.as_second() - at.as_second();
    view! {
        <time datetime=at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() title=absolute(at) data-relative>
            {span_text(ui.lang, seconds)}
        </time>
    }
}

/// The time of day, in UTC until the browser knows better.
#[must_use]
pub fn clock(at: Timestamp) -> impl IntoView + 'static {
    view! {
        <time datetime=at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() title=absolute(at) data-clock>
            {at.strftime("%H:%M:%S").to_string()}
        </time>
    }
}

/// Day and time.
#[must_use]
pub fn on(at: Timestamp) -> impl IntoView + 'static {
    view! {
        <time datetime=at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() title=absolute(at) data-date>
            {at.strftime("%Y-%m-%d %H:%M").to_string()}
        </time>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
