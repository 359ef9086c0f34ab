//! Time and chance, injected so that tests drive them. Direct calls are banned in `clippy.toml`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

/// Where the time comes from.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        // Microseconds are what every database keeps: what was answered is what will be read.
        Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
    moved: tokio::sync::Notify,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now), moved: tokio::sync::Notify::new() })
    }

    /// Moves it on and wakes the sleepers.
    pub fn advance(&self, by: Duration) {
        {
            let mut now = self.now.lock();
            *now = now
                .saturating_add(jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX))
                .unwrap_or(*now);
        }
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }
    async fn sleep(&self, duration: Duration) {
        let span = jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
        let until = self.now().saturating_add(span).unwrap_or(Timestamp::MAX);
        loop {
            let moved = self.moved.notified();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }
}

/// Where chance comes from.
pub trait Random: Send + Sync {
    /// Fills the buffer with bytes that cannot be guessed.
    ///
    /// # Errors
    /// When the system has none.
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()>;
}

/// The system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(buffer).map_err(std::io::Error::other)
    }
}
