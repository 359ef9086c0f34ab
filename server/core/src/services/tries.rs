//! Tries that may fail, and how those who try too often are slowed down: per account, per network.
//!
//! A try is counted before it is known what it is worth. Who sends a thousand guesses at once has no more of them looked at than who sends
//! one after the other, in whichever replica they arrive.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use berth_types::{ErrorCode, UserName};
use jiff::Timestamp;

use super::{
    Services,
    identity::{after, before},
};
use crate::error::{Error, Result};

/// Failures of one account after which tries are slowed down.
pub(super) const FREE_FAILURES: i64 = 5;
/// Failures from one network after which tries are slowed down; many people may share one.
pub(super) const FREE_NETWORK_FAILURES: i64 = 30;
/// Failures that are further apart are no longer in a row.
const ROW: Duration = Duration::from_hours(1);

/// How long to wait after `failures` failures in a row: 1 s, doubling to 15 minutes.
fn throttle(failures: i64, free: i64) -> Option<Duration> {
    let over = u32::try_from(failures - free).ok()?;
    Some(Duration::from_secs(1 << over.min(10)).min(Duration::from_mins(15)))
}

/// How long a try has to wait for which `seen` failures were counted when it was looked at, and which is itself the failure number
/// `counted`: others came in between, and it is as if it came after them.
fn overtaken(seen: i64, counted: i64, free: i64) -> Option<Duration> {
    let others = counted - 1;
    throttle(others, free).filter(|_| others > seen)
}

fn too_often(wait: Duration) -> Error {
    Error::new(ErrorCode::RateLimited, "too many failed tries; wait before the next").retry_after(wait)
}

/// The network that an address is of, as far as one customer has it to themselves: a `/64` of IPv6, of which a machine may use every
/// address, and one address of IPv4.
pub(super) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Ok(address) => address.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// What tries from an address are counted under.
pub(super) fn of_network(address: &str) -> String {
    format!("network:{}", network(address))
}

/// What tries to sign in as `name` are counted under. What is longer than any name is nobody's, and is not kept whole.
pub(super) fn of_account(name: &str) -> String {
    format!("account:{}", name.to_lowercase().chars().take(UserName::MAX + 1).collect::<String>())
}

impl Services {
    /// Refuses while tries under `key`, of which `free` are nobody's business, are slowed down; how many failed in a row.
    pub(super) async fn not_too_often(&self, now: Timestamp, key: &str, free: i64) -> Result<i64> {
        let Some(failures) = self.store.failures(key).await? else { return Ok(0) };
        match throttle(failures.count, free) {
            Some(wait) if after(failures.last_at, wait) > now => Err(too_often(wait)),
            _ => Ok(failures.count),
        }
    }

    /// Counts a failed try; how many there were within an hour of one another.
    pub(super) async fn count_failure(&self, now: Timestamp, key: &str) -> Result<i64> {
        self.store.count_failure(key, now, before(now, ROW)).await
    }

    /// Takes a try under `key` before it is known what it is worth: it counts as failed until who succeeds clears it.
    ///
    /// # Errors
    /// `RateLimited`.
    pub(super) async fn take_try(&self, now: Timestamp, key: &str, free: i64) -> Result<()> {
        let seen = self.not_too_often(now, key, free).await?;
        let counted = self.count_failure(now, key).await?;
        overtaken(seen, counted, free).map_or(Ok(()), |wait| Err(too_often(wait)))
    }

    /// Whether this is the first time within an hour under `key`. Those in between do not put the next one off.
    pub(super) async fn first_within_the_hour(&self, now: Timestamp, key: &str) -> Result<bool> {
        let known = self.store.failures(key).await?;
        if known.is_some_and(|known| known.last_at >= before(now, ROW)) {
            return Ok(false);
        }
        // Of those who come at once, one.
        Ok(self.count_failure(now, key).await? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_begins_late_and_grows() {
        assert_eq!(throttle(4, 5), None);
        assert_eq!(throttle(5, 5), Some(Duration::from_secs(1)));
        assert_eq!(throttle(8, 5), Some(Duration::from_secs(8)));
        assert_eq!(throttle(500, 5), Some(Duration::from_mins(15)));
    }

    #[test]
    fn who_comes_with_others_waits_as_if_after_them() {
        for (seen, counted, want) in [
            // Nobody came in between.
            (0, 1, None),
            (7, 8, None),
            // The last was more than an hour ago.
            (40, 1, None),
            // Others did, but nobody is slowed down yet.
            (0, 5, None),
            (0, 6, Some(1)),
            (3, 9, Some(8)),
            (7, 9, Some(8)),
            (0, 1000, Some(900)),
        ] {
            assert_eq!(overtaken(seen, counted, 5), want.map(Duration::from_secs), "{seen} {counted}");
        }
    }

    #[test]
    fn which_addresses_are_one_network() {
        for (address, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
            ("", ""),
            ("unknown", "unknown"),
        ] {
            assert_eq!(network(address), want, "{address}");
        }
    }

    #[test]
    fn nobody_fills_the_table_with_a_long_name() {
        assert_eq!(of_account("Ann"), "account:ann");
        let long = "N".repeat(UserName::MAX + 1);
        assert!(long.parse::<UserName>().is_err());
        assert_eq!(of_account(&"N".repeat(10_000)), of_account(&long));
    }
}
