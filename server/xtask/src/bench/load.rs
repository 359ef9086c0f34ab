//! Load: open-loop (a fixed rate, whether or not the server keeps up), and how much a server can do at most.
//!
//! In an open loop, a request's latency counts from when it was *meant* to be sent: a server that stalls is charged for all
//! who would have come meanwhile, not only for the one that waited.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::http::{Connection, Request};

/// An answer: when its request was meant to be sent, and how long it took from then.
#[derive(Debug, Clone, Copy)]
struct Answer {
    meant: Instant,
    took: Duration,
}

/// What a load showed.
#[derive(Debug, Default, Clone)]
pub struct Load {
    answers: Vec<Answer>,
    /// Answers that were not 200.
    pub refused: usize,
    /// How long it was looked at: from the first request to the last answer, or parts of that.
    pub time: Duration,
}

impl Load {
    /// The latency that this share of the answers did not pass; `None` without answers.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let last = self.answers.len().checked_sub(1)?;
        let mut latencies: Vec<_> = self.answers.iter().map(|answer| answer.took).collect();
        latencies.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (share.clamp(0.0, 1.0) * last as f64).ceil() as usize;
        latencies.get(at).copied()
    }

    /// How many answers.
    pub fn count(&self) -> u32 {
        u32::try_from(self.answers.len()).unwrap_or(u32::MAX)
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.count()) / self.time.as_secs_f64().max(f64::EPSILON)
    }

    /// The part of it whose requests were meant to be sent in one of these times; all that was refused.
    pub fn within(&self, times: &[Range<Instant>]) -> Self {
        let is_in = |answer: &&Answer| times.iter().any(|time| time.contains(&answer.meant));
        Self {
            answers: self.answers.iter().filter(is_in).copied().collect(),
            refused: self.refused,
            time: times.iter().map(|time| time.end - time.start).sum(),
        }
    }

    /// One after the other.
    pub fn then(self, next: Self) -> Self {
        let time = self.time + next.time;
        Self { time, ..self.beside(next) }
    }

    /// Both at the same time.
    fn beside(mut self, other: Self) -> Self {
        self.answers.extend(other.answers);
        Self { refused: self.refused + other.refused, ..self }
    }
}

/// Sends `request` at `rate` a second for `time`, over at most `connections` at once.
///
/// # Errors
/// The server cannot be reached, or closes a connection.
pub fn open_loop(port: u16, request: &Request, rate: u32, time: Duration, connections: usize) -> Result<Load> {
    let next = AtomicU64::new(0);
    let total = u64::from(rate) * time.as_secs();
    let start = Instant::now() + Duration::from_millis(50);
    on_connections(port, connections, start, |connection, load| {
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= total {
                return Ok(());
            }
            let meant = start + Duration::from_secs_f64(turn as f64 / f64::from(rate));
            thread::sleep(meant.saturating_duration_since(Instant::now()));
            ask(connection, request, meant, load)?;
        }
    })
}

/// Sends `request` as often as the server answers, for `time`.
///
/// # Errors
/// The server cannot be reached, or closes a connection.
pub fn closed_loop(port: u16, request: &Request, time: Duration, connections: usize) -> Result<Load> {
    let start = Instant::now();
    on_connections(port, connections, start, |connection, load| {
        while start.elapsed() < time {
            ask(connection, request, Instant::now(), load)?;
        }
        Ok(())
    })
}

/// Does `work` with each number below `count`, over so many connections at once.
///
/// # Errors
/// Those of `work`, or the server cannot be reached.
pub fn each(
    port: u16,
    connections: usize,
    count: usize,
    work: impl Fn(&mut Connection, usize) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let all = on_connections(port, connections, Instant::now(), |connection, _| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(connection, number)?;
        }
    });
    all.map(drop)
}

fn ask(connection: &mut Connection, request: &Request, since: Instant, load: &mut Load) -> Result<()> {
    let answer = connection.send(request)?;
    load.answers.push(Answer { meant: since, took: since.elapsed() });
    load.refused += usize::from(answer.status != 200);
    Ok(())
}

fn on_connections(
    port: u16,
    connections: usize,
    start: Instant,
    work: impl Fn(&mut Connection, &mut Load) -> Result<()> + Sync,
) -> Result<Load> {
    let parts = thread::scope(|scope| {
        let one = || {
            let mut load = Load::default();
            work(&mut Connection::open(port)?, &mut load)?;
            Ok(load)
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect::<Result<Vec<_>>>()
    })?;
    let all = parts.into_iter().fold(Load::default(), Load::beside);
    Ok(Load { time: start.elapsed(), ..all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(from: Instant, millis: impl IntoIterator<Item = u64>) -> Load {
        let answer = |ms| Answer { meant: from + Duration::from_millis(ms), took: Duration::from_millis(ms) };
        Load { answers: millis.into_iter().map(answer).collect(), time: Duration::from_millis(100), refused: 1 }
    }

    #[test]
    fn quantiles() {
        let load = load(Instant::now(), (1..=100).rev());
        assert_eq!(load.quantile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(load.quantile(0.5), Some(Duration::from_millis(51)));
        assert_eq!(load.quantile(0.99), Some(Duration::from_millis(100)));
        assert_eq!(load.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(Load::default().quantile(0.5), None);
    }

    #[test]
    fn parts_of_a_load() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let part = load(start, 1..=100).within(&[at(10)..at(20), at(50)..at(60)]);
        assert_eq!((part.answers.len(), part.time, part.refused), (20, Duration::from_millis(20), 1));
        assert!((part.rate() - 1_000.0).abs() < 1e-6);
        let both = part.clone().then(part);
        assert_eq!((both.answers.len(), both.time, both.refused), (40, Duration::from_millis(40), 2));
    }
}
