//! Cron schedules: five fields, names, steps, `@daily` and its kin (as robfig/cron reads them).

use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// `*` in the days and weekdays fields: then both must match, else either.
    any_day: bool,
    any_weekday: bool,
    every: Option<i64>,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let whole = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(every) = whole.strip_prefix("@every ") {
            let duration =
                crate::kubelet::image::duration(every).ok_or_else(|| format!("failed to parse duration {whole}"))?;
            let seconds = i64::try_from(duration.as_secs()).unwrap_or(1).max(1);
            return Ok(Self {
                minutes: 0,
                hours: 0,
                days: 0,
                months: 0,
                weekdays: 0,
                any_day: true,
                any_weekday: true,
                every: Some(seconds),
            });
        }
        let fields: Vec<&str> = whole.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
        };
        let star = |field: &str| matches!(field, "*" | "?") || field.starts_with("*/");
        Ok(Self {
            minutes: set(minutes, 0, 59, &[])?,
            hours: set(hours, 0, 23, &[])?,
            days: set(days, 1, 31, &[])?,
            months: set(months, 1, 12, MONTHS)?,
            weekdays: {
                let bits = set(weekdays, 0, 7, DAYS)?;
                // 7 is Sunday, too.
                if bits & (1 << 7) != 0 { bits | 1 } else { bits }
            },
            any_day: star(days),
            any_weekday: star(weekdays),
            every: None,
        })
    }

    /// The first moment after `after` that the schedule names, in a time zone.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let Some(every) = self.every {
            return Timestamp::from_second(after.as_second() + every).ok();
        }
        let mut at: Zoned = after.to_zoned(zone.clone());
        at = at.checked_add(1.minute()).ok()?;
        at = at.with().second(0).subsec_nanosecond(0).build().ok()?;
        let limit = at.year() + 5;
        let bit = |set: u64, value: i8| set & (1 << value) != 0;
        while at.year() <= limit {
            if !bit(self.months, at.month()) {
                at = at.first_of_month().ok()?.start_of_day().ok()?.checked_add(1.month()).ok()?;
                continue;
            }
            let (day, weekday) = (bit(self.days, at.day()), bit(self.weekdays, at.weekday().to_sunday_zero_offset()));
            let fits = if self.any_day || self.any_weekday { day && weekday } else { day || weekday };
            if !fits {
                at = at.start_of_day().ok()?.checked_add(1.day()).ok()?;
                continue;
            }
            if !bit(self.hours, at.hour()) {
                at = at.with().minute(0).build().ok()?.checked_add(1.hour()).ok()?;
                continue;
            }
            if !bit(self.minutes, at.minute()) {
                at = at.checked_add(1.minute()).ok()?;
                continue;
            }
            return Some(at.timestamp());
        }
        None
    }
}

fn set(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<u32>().map_err(|_| format!("failed to parse int from {step}"))?)
            }
            None => (part, 1),
        };
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        let number = |text: &str| -> Result<u32, String> {
            if let Some(at) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
                return Ok(u32::try_from(at).unwrap_or_default() + low);
            }
            text.parse()
                .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
        };
        let (from, to) = if matches!(range, "*" | "?") {
            (low, if high == 7 { 6 } else { high })
        } else if let Some((from, to)) = range.split_once('-') {
            (number(from)?, number(to)?)
        } else {
            let from = number(range)?;
            (from, if part.contains('/') { high } else { from })
        };
        if from < low {
            return Err(format!("beginning of range ({from}) below minimum ({low}): {part}"));
        }
        if to > high {
            return Err(format!("end of range ({to}) above maximum ({high}): {part}"));
        }
        if from > to {
            return Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}"));
        }
        for value in (from..=to).step_by(step as usize) {
            bits |= 1 << value;
        }
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn next_moments() {
        for (schedule, after, expected) in [
            ("*/5 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
            ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"),
            ("@hourly", "2026-01-01T00:30:30Z", "2026-01-01T01:00:00Z"),
            ("0 0 31 * *", "2026-02-01T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("0 9 * * mon-fri", "2026-01-02T10:00:00Z", "2026-01-05T09:00:00Z"),
            ("0 0 1 * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("30 2 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T02:30:00Z"),
            ("15,45 8-9 * * *", "2026-01-01T08:20:00Z", "2026-01-01T08:45:00Z"),
        ] {
            let next = Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &TimeZone::UTC);
            assert_eq!(next, Some(expected.parse().unwrap()), "{schedule}");
        }
    }

    #[test]
    fn refused() {
        for schedule in ["", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "x * * * *", "*/0 * * * *"] {
            assert!(Schedule::parse(schedule).is_err(), "{schedule}");
        }
    }
}
