//! Load: open-loop (a fixed rate, whether or not the server keeps up), and how much a server can do at most.
//!
//! In an open loop, a request's latency counts from when it was *meant* to be sent: a server that stalls is charged for all
//! who would have come meanwhile, not only for the one that waited.

use std::{
    fs,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::http::{Connection, Request};
use crate::shell::say;

/// What a load showed.
#[derive(Debug, Default, Clone)]
pub struct Load {
    /// Sorted.
    latencies: Vec<Duration>,
    /// Answers that were not 200.
    pub refused: usize,
    /// From the first request to the last answer.
    pub time: Duration,
}

impl Load {
    /// The latency that this share of the answers did not pass; `None` without answers.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let last = self.latencies.len().checked_sub(1)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (share.clamp(0.0, 1.0) * last as f64).ceil() as usize;
        self.latencies.get(at).copied()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)]
        let answers = self.latencies.len() as f64;
        answers / self.time.as_secs_f64().max(f64::EPSILON)
    }

    fn join(mut self, other: Self) -> Self {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        Self { refused: self.refused + other.refused, ..self }
    }
}

/// Most of a window that the host may take from this machine, of one processor. A window in which it takes more is measured
/// again: a processor that is away for 10 ms makes a p99 of 10 ms, whatever the server does.
const STOLEN: f64 = 0.002;
/// How many windows are tried.
const WINDOWS: usize = 6;

/// The calmest of up to [`WINDOWS`] windows: the first in which the host takes less than [`STOLEN`], else the one in which it
/// takes least.
///
/// # Errors
/// A window could not be measured.
pub fn calm(mut window: impl FnMut() -> Result<Load>) -> Result<Load> {
    let mut calmest: Option<(f64, Load)> = None;
    for _ in 0..WINDOWS {
        let (before, start) = (stolen()?, Instant::now());
        let load = window()?;
        let share = (stolen()? - before).as_secs_f64() / start.elapsed().as_secs_f64();
        if calmest.as_ref().is_none_or(|(least, _)| share < *least) {
            calmest = Some((share, load));
        }
        if share <= STOLEN {
            break;
        }
        say(&format!("The host took {:.1} % of a processor away; measured again", share * 100.0));
    }
    calmest.map(|(_, load)| load).context("no window")
}

/// The time that the host has kept the processors from this machine although there was work, since it started.
///
/// # Errors
/// `/proc/stat` cannot be read.
fn stolen() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    // proc(5): `cpu user nice system idle iowait irq softirq steal …`, in hundredths of a second.
    let ticks = first.split_whitespace().nth(8).and_then(|ticks| ticks.parse::<u64>().ok());
    Ok(Duration::from_millis(ticks.unwrap_or(0) * 10))
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
    load.latencies.push(since.elapsed());
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
    let all = parts.into_iter().fold(Load::default(), Load::join);
    Ok(Load { time: start.elapsed(), ..all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let load = Load { latencies: (1..=100).map(Duration::from_millis).collect(), ..Load::default() };
        assert_eq!(load.quantile(0.0), Some(Duration::from_millis(1)));
        assert_eq!(load.quantile(0.5), Some(Duration::from_millis(51)));
        assert_eq!(load.quantile(0.99), Some(Duration::from_millis(100)));
        assert_eq!(load.quantile(1.0), Some(Duration::from_millis(100)));
        assert_eq!(Load::default().quantile(0.5), None);
    }
}
