//! What is to be looked at, once each, soonest first.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// First pause after a failure; doubled each time.
const BACKOFF: Duration = Duration::from_millis(250);
/// Longest pause after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// A work queue: a key waits in it once however often it is added, and is never worked on twice at a time.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    inner: Mutex<Inner<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct Inner<K> {
    due: BTreeSet<(Instant, K)>,
    keys: HashMap<K, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    due: Option<Instant>,
    working: bool,
    /// When it came again while it was worked on.
    again: Option<Instant>,
    failures: u32,
}

impl<K: Clone + Ord + Hash> Queue<K> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { due: BTreeSet::new(), keys: HashMap::new() }), wake: Notify::new() }
    }

    /// Wants `key` looked at after `delay`, or earlier if that was wanted already.
    pub(crate) fn add(&self, key: K, delay: Duration) {
        let at = Instant::now() + delay;
        let mut inner = self.inner.lock();
        let Inner { due, keys } = &mut *inner;
        let slot = keys.entry(key.clone()).or_default();
        if slot.working {
            slot.again = Some(slot.again.map_or(at, |again| again.min(at)));
            return;
        }
        match slot.due {
            Some(before) if before <= at => return,
            Some(before) => {
                due.remove(&(before, key.clone()));
            }
            None => {}
        }
        slot.due = Some(at);
        due.insert((at, key));
        drop(inner);
        self.wake.notify_one();
    }

    /// The next key that is due; give it back with [`Self::done`].
    pub(crate) async fn next(&self) -> K {
        loop {
            let wait = {
                let mut inner = self.inner.lock();
                let now = Instant::now();
                match inner.due.first() {
                    Some((at, _)) if *at <= now => {
                        if let Some((_, key)) = inner.due.pop_first() {
                            let slot = inner.keys.entry(key.clone()).or_default();
                            slot.due = None;
                            slot.working = true;
                            return key;
                        }
                        continue;
                    }
                    Some((at, _)) => Some(*at),
                    None => None,
                }
            };
            match wait {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.wake.notified() => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// The work on `key` is over. After a failure it comes again, each time later; else after `again`, if given.
    pub(crate) fn done(&self, key: K, failed: bool, again: Option<Duration>) {
        let now = Instant::now();
        let next = {
            let mut inner = self.inner.lock();
            let Some(slot) = inner.keys.get_mut(&key) else { return };
            slot.working = false;
            slot.failures = if failed { slot.failures + 1 } else { 0 };
            let backoff = failed.then(|| (BACKOFF * 2_u32.saturating_pow(slot.failures - 1)).min(MAX_BACKOFF));
            let came = slot.again.take().map(|at| at.saturating_duration_since(now));
            // News do not shorten the pause after a failure by more than to its first step.
            let came = came.map(|came| if failed { came.max(BACKOFF) } else { came });
            let next = [backoff, again.filter(|_| !failed), came].into_iter().flatten().min();
            if next.is_none() && slot.failures == 0 {
                inner.keys.remove(&key);
            }
            next
        };
        if let Some(delay) = next {
            self.add(key, delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_and_soonest_first() {
        let queue = Queue::new();
        queue.add("b", Duration::from_secs(5));
        queue.add("a", Duration::from_secs(9));
        queue.add("b", Duration::from_secs(7));
        queue.add("a", Duration::from_secs(1));
        assert_eq!(queue.next().await, "a");
        assert_eq!(queue.next().await, "b");
        queue.done("a", false, None);
        queue.done("b", false, None);
        assert!(queue.inner.lock().keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn comes_again_when_it_came_meanwhile() {
        let queue = Queue::new();
        queue.add("a", Duration::ZERO);
        let key = queue.next().await;
        queue.add("a", Duration::ZERO);
        let two = tokio::time::timeout(Duration::from_secs(1), queue.next()).await;
        assert!(two.is_err(), "never twice at a time");
        queue.done(key, false, None);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn backs_off() {
        let queue = Queue::new();
        queue.add("a", Duration::ZERO);
        let start = Instant::now();
        for _ in 0..4 {
            let key = queue.next().await;
            queue.done(key, true, None);
        }
        queue.next().await;
        let took = start.elapsed();
        assert!(took >= BACKOFF * 15 && took < BACKOFF * 16, "{took:?}");
        queue.done("a", false, Some(Duration::from_secs(3)));
        let start = Instant::now();
        queue.next().await;
        assert!(start.elapsed() >= Duration::from_secs(3));
    }
}
