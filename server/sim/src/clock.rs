//! Time as the simulation sees it: the machine's, or one that a test drives.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Where "now" comes from. Everything in this crate that waits or stamps asks this.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
    /// Completes at `deadline`, at once when it has passed.
    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()>;
}

/// `metav1.Time`: RFC 3339 with whole seconds.
#[must_use]
pub fn format_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 with exactly six fractional digits.
#[must_use]
pub fn format_micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one injected real clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let wait = deadline.duration_since(self.now());
        Box::pin(async move {
            if let Ok(wait) = std::time::Duration::try_from(wait) {
                tokio::time::sleep(wait).await;
            }
        })
    }
}

/// A clock that stands still until [`ManualClock::advance`] moves it.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<ManualState>>);

struct ManualState {
    now: Timestamp,
    next_id: u64,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl ManualClock {
    /// A clock standing at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(ManualState { now: start, next_id: 0, sleepers: BTreeMap::new() })))
    }

    /// Moves time forward and wakes, in order, every sleeper whose deadline has come.
    pub fn advance(&self, by: std::time::Duration) {
        let target = {
            let state = self.0.lock();
            state.now.checked_add(by).unwrap_or(Timestamp::MAX)
        };
        self.advance_to(target);
    }

    /// Moves time forward to `target`; never back.
    pub fn advance_to(&self, target: Timestamp) {
        let mut state = self.0.lock();
        state.now = state.now.max(target);
        let now = state.now;
        while let Some(entry) = state.sleepers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            // A sleeper that was dropped no longer cares.
            let _ = entry.remove().send(());
        }
    }

    /// The earliest instant that somebody waits for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let mut state = self.0.lock();
        state.sleepers.retain(|_, sender| !sender.is_closed());
        state.sleepers.first_key_value().map(|((at, _), _)| *at)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().now
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        let mut state = self.0.lock();
        if deadline <= state.now {
            return Box::pin(std::future::ready(()));
        }
        let (sender, receiver) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.sleepers.insert((deadline, id), sender);
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

/// A new uid. The simulated cluster has no injected randomness: nothing that is decided depends on an id.
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub(crate) fn new_uid() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// Fills a buffer with bytes that cannot be guessed, for tokens.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), getrandom::Error> {
    getrandom::fill(buffer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn manual_clock_wakes_only_what_is_due() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let soon = clock.sleep_until(Timestamp::from_second(5).unwrap());
        let late = clock.sleep_until(Timestamp::from_second(50).unwrap());
        clock.advance(Duration::from_secs(10));
        soon.await;
        assert_eq!(clock.next_deadline(), Some(Timestamp::from_second(50).unwrap()));
        drop(late);
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn times_print_as_kubernetes_prints_them() {
        let at = Timestamp::from_microsecond(1_700_000_000_120_000).unwrap();
        assert_eq!(format_time(at), "2023-11-14T22:13:20Z");
        assert_eq!(format_micro_time(at), "2023-11-14T22:13:20.120000Z");
    }
}
