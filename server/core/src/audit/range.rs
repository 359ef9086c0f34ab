//! From when to when: a filter of the audit log that is no list of values.

use berth_types::{FieldError, ListQuery};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::error::{Error, Result};

/// The filters of a [`ListQuery`] that hold the bounds.
pub const SINCE: &str = "since";
/// See [`SINCE`].
pub const UNTIL: &str = "until";

/// Entries of `since` and later, and from before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// The first moment that counts.
    pub since: Option<Timestamp>,
    /// The first moment that counts no more.
    pub until: Option<Timestamp>,
}

impl Range {
    /// Takes the bounds out of `query`.
    ///
    /// # Errors
    /// `Invalid` at `since` or `until`.
    pub fn take(query: &mut ListQuery) -> Result<Self> {
        let mut bound = |name: &'static str| {
            let values: Vec<String> =
                query.filters.remove(name).into_iter().flatten().filter(|text| !text.is_empty()).collect();
            match values.as_slice() {
                [] => Ok(None),
                [one] => moment(name, one).map(Some),
                _ => Err(Error::field(FieldError::new(name, "once", "send it once"))),
            }
        };
        let (since, until) = (bound(SINCE)?, bound(UNTIL)?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            let message = "must be later than since";
            return Err(Error::field(FieldError::new(UNTIL, "until_before_since", message)));
        }
        Ok(Self { since, until })
    }

    /// Whether a moment counts.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

/// `2026-11-21T14:00:00Z` with any offset; a day, or a day and a time (what a form's field sends), are taken as UTC.
pub(crate) fn moment(field: &str, text: &str) -> Result<Timestamp> {
    let text = text.trim();
    let utc = |local: civil::DateTime| local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let read = text
        .parse::<Timestamp>()
        .or_else(|_| text.parse::<civil::DateTime>().and_then(utc))
        // What the database keeps.
        .and_then(|at| Timestamp::from_microsecond(at.as_microsecond()));
    read.map_err(|_| {
        let message = format!("“{text}” is no time: write 2026-11-21T14:00:00Z, 2026-11-21T14:00 or 2026-11-21 (UTC)");
        Error::field(FieldError::new(field, "time", message).param("value", text))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn take(since: &[&str], until: &str) -> Result<(Range, ListQuery)> {
        let mut query = ListQuery::default().filter("actor", "ann").filter(UNTIL, until);
        for text in since {
            query = query.filter(SINCE, *text);
        }
        Range::take(&mut query).map(|range| (range, query))
    }

    #[test]
    fn times_as_people_and_programs_write_them() {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for text in ["2026-11-21T12:00:00Z", "2026-11-21T14:00+02:00", "2026-11-21T12:00", " 2026-11-21T12:00:00 "] {
            let (range, query) = take(&[text], "").unwrap();
            assert_eq!(range, Range { since: Some(noon), until: None }, "{text}");
            assert_eq!(query.filters.keys().collect::<Vec<_>>(), ["actor"], "the other filters stay");
        }
        let (day, _) = take(&["2026-11-21"], "2026-11-22").unwrap();
        assert!(day.holds(noon) && day.holds("2026-11-21T00:00:00Z".parse().unwrap()));
        assert!(!day.holds("2026-11-22T00:00:00Z".parse().unwrap()));
        assert!(!day.holds("2026-11-20T23:59:59.999999Z".parse().unwrap()));
    }

    #[test]
    fn wrong_times_are_named() {
        for (since, until, field, code) in [
            (&["soon"][..], "", "since", "time"),
            (&[], "2026-02-30", "until", "time"),
            (&["2026-11-21", "2026-11-22"], "", "since", "once"),
            (&["2026-11-21"], "2026-11-21", "until", "until_before_since"),
        ] {
            let error = take(since, until).unwrap_err();
            assert_eq!((error.fields()[0].field.as_str(), error.fields()[0].code.as_str()), (field, code));
        }
    }
}
