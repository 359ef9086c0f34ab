//! People who use the portal all the while that something is done to it.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::portal::Portal;
use crate::bench::http::{Connection, Request};

/// Requests a second.
pub const RATE: u32 = 100;
/// Who sends them. Each waits for its answers: so many may be slow before the rate falls.
const SENDERS: usize = 16;
/// A sender takes a new connection after so many requests, as people come and go.
const REQUESTS_A_CONNECTION: u32 = 10;

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Traffic {
    /// All that were sent.
    pub sent: usize,
    /// Those that were not answered with 200, each with what came instead.
    pub failed: Vec<String>,
    /// The longest that one took.
    pub slowest: Duration,
    /// From the first to the last.
    pub time: Duration,
}

/// Sends [`RATE`] requests a second while `work` is done: pages, and calls of the API. What became of them, and of the work.
///
/// # Errors
/// A sender panicked.
pub fn during(portal: &Portal, work: impl FnOnce() -> Result<()>) -> Result<(Traffic, Result<()>)> {
    let requests = [
        Request::get("/sign-in", "").with_host(&portal.host),
        Request::get_json("/api/v1/tenants", &portal.token).with_host(&portal.host),
    ];
    let (over, next, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let sender = || {
        let (mut traffic, mut connection, mut used) = (Traffic::default(), None, 0);
        while !over.load(Ordering::Relaxed) {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            #[allow(clippy::cast_precision_loss)]
            let meant = start + Duration::from_secs_f64(turn as f64 / f64::from(RATE));
            thread::sleep(meant.saturating_duration_since(Instant::now()));
            if used == REQUESTS_A_CONNECTION {
                (connection, used) = (None, 0);
            }
            used += 1;
            traffic.sent += 1;
            let request = &requests[usize::from(turn % 3 == 0)];
            if let Err(error) = send(&mut connection, portal, request) {
                connection = None;
                traffic.failed.push(format!("after {:.1} s: {error:#}", start.elapsed().as_secs_f64()));
            }
            traffic.slowest = traffic.slowest.max(meant.elapsed());
        }
        traffic
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(sender)).collect();
        let done = work();
        over.store(true, Ordering::Relaxed);
        let mut all = Traffic { time: start.elapsed(), ..Traffic::default() };
        for sender in senders {
            let Ok(one) = sender.join() else { bail!("a sender panicked") };
            all.sent += one.sent;
            all.failed.extend(one.failed);
            all.slowest = all.slowest.max(one.slowest);
        }
        Ok((all, done))
    })
}

fn send(connection: &mut Option<Connection>, portal: &Portal, request: &Request) -> Result<()> {
    let open = match connection.take() {
        Some(open) => open,
        None => Connection::to(portal.address)?,
    };
    let answer = connection.insert(open).send(request)?;
    if answer.status != 200 {
        bail!("{} {}", answer.status, answer.text().unwrap_or_default().chars().take(200).collect::<String>());
    }
    Ok(())
}
