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
        self.add_at(key, Instant::now() + delay);
    }

    fn add_at(&self, key: K, at: Instant) {
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
            match self.take(Instant::now()) {
                Ok(key) => return key,
                Err(Some(at)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.wake.notified() => {}
                    }
                }
                Err(None) => self.wake.notified().await,
            }
        }
    }

    /// The key that is due at `now`, or when the next one will be.
    fn take(&self, now: Instant) -> Result<K, Option<Instant>> {
        let mut inner = self.inner.lock();
        match inner.due.first() {
            None => Err(None),
            Some((at, _)) if *at > now => Err(Some(*at)),
            Some(_) => {
                let (_, key) = inner.due.pop_first().ok_or(None)?;
                let slot = inner.keys.entry(key.clone()).or_default();
                slot.due = None;
                slot.working = true;
                Ok(key)
            }
        }
    }

    /// The work on `key` is over. After a failure it comes again, each time later; else after `again`, if given.
    pub(crate) fn done(&self, key: K, failed: bool, again: Option<Duration>) {
        self.done_at(Instant::now(), key, failed, again);
    }

    fn done_at(&self, now: Instant, key: K, failed: bool, again: Option<Duration>) {
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
            self.add_at(key, now + delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn once_and_soonest_first() {
        let (queue, start) = (Queue::new(), Instant::now());
        queue.add_at("b", start + SECOND * 5);
        queue.add_at("a", start + SECOND * 9);
        queue.add_at("b", start + SECOND * 7);
        queue.add_at("a", start + SECOND);
        assert_eq!(queue.take(start), Err(Some(start + SECOND)));
        assert_eq!(queue.take(start + SECOND * 9), Ok("a"));
        assert_eq!(queue.take(start + SECOND * 9), Ok("b"));
        assert_eq!(queue.take(start + SECOND * 9), Err(None));
        queue.done("a", false, None);
        queue.done("b", false, None);
        assert!(queue.inner.lock().keys.is_empty());
    }

    #[test]
    fn never_twice_at_a_time() {
        let (queue, start) = (Queue::new(), Instant::now());
        queue.add_at("a", start);
        assert_eq!(queue.take(start), Ok("a"));
        queue.add_at("a", start);
        assert_eq!(queue.take(start), Err(None), "it is being worked on");
        queue.done_at(start, "a", false, None);
        assert_eq!(queue.take(start), Ok("a"), "it came again meanwhile");
    }

    #[test]
    fn backs_off() {
        let (queue, start) = (Queue::new(), Instant::now());
        queue.add_at("a", start);
        let mut now = start;
        for pause in [1, 2, 4, 8] {
            assert_eq!(queue.take(now), Ok("a"));
            queue.done_at(now, "a", true, None);
            assert_eq!(queue.take(now), Err(Some(now + BACKOFF * pause)));
            now += BACKOFF * pause;
        }
        assert_eq!(queue.take(now), Ok("a"));
        queue.done_at(now, "a", false, Some(SECOND * 3));
        assert_eq!(queue.take(now), Err(Some(now + SECOND * 3)));
        assert_eq!(queue.inner.lock().keys["a"].failures, 0);
    }

    #[tokio::test]
    async fn wakes_who_waits() {
        let queue = std::sync::Arc::new(Queue::new());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        queue.add("a", Duration::from_millis(1));
        assert_eq!(waiting.await.expect("a key"), "a");
    }
}
