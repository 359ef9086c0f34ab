//! When the host took no processor away. A virtual machine's processor may be gone for tens of milliseconds while there is work
//! for it: that makes a p99 of tens of milliseconds, whatever the server does. So figures count what happened in between.

use std::{
    fs,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::load::Load;
use crate::shell::say;

/// How often the kernel counts what was taken: in its ticks.
const TICK: Duration = Duration::from_millis(10);
/// Left out before and after each time in which something was taken: what had to wait is worked off, and ticks are coarse.
const MARGIN: Duration = Duration::from_millis(30);
/// Quiet time that is wanted for a figure, and how many windows are tried for it.
const WANTED: Duration = Duration::from_secs(5);
const WINDOWS: usize = 6;

/// What `window` shows while the host takes nothing away; more windows are opened until [`WANTED`] is measured. Where even
/// [`WINDOWS`] have less than a second of that, it is said, and all of them count.
///
/// # Errors
/// A window could not be measured.
pub fn calm(mut window: impl FnMut() -> Result<Load>) -> Result<Load> {
    let (mut quiet, mut all) = (Load::default(), Load::default());
    for _ in 0..WINDOWS {
        let (load, spans) = watched(&mut window)?;
        quiet = quiet.then(load.within(&spans));
        all = all.then(load);
        if quiet.time >= WANTED.min(all.time / 2) {
            return Ok(quiet);
        }
    }
    let share = quiet.time.as_secs_f64() / all.time.as_secs_f64() * 100.0;
    say(&format!("The host left the processors alone for {share:.0} % of the time"));
    Ok(if quiet.time >= Duration::from_secs(1) { quiet } else { all })
}

/// Does `work`, and tells when nothing was taken meanwhile.
fn watched<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Range<Instant>>)> {
    let done = AtomicBool::new(false);
    let (value, samples) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut samples = Vec::new();
            while !done.load(Ordering::Relaxed) {
                samples.push((Instant::now(), stolen()?));
                thread::sleep(TICK);
            }
            Ok(samples)
        });
        let value = work();
        done.store(true, Ordering::Relaxed);
        let samples: Result<_> = watcher.join().unwrap_or_else(|_| bail!("a thread panicked"));
        Ok::<_, anyhow::Error>((value?, samples?))
    })?;
    Ok((value, quiet(&samples)))
}

/// Where the count stands still, without the margins.
fn quiet(samples: &[(Instant, u64)]) -> Vec<Range<Instant>> {
    samples
        .chunk_by(|(_, a), (_, b)| a == b)
        .filter_map(|same| Some(same.first()?.0 + MARGIN..same.last()?.0.checked_sub(MARGIN)?))
        .filter(|span| span.start < span.end)
        .collect()
}

/// For how many ticks the host has kept the processors from this machine although there was work, since it started.
fn stolen() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    // proc(5): `cpu user nice system idle iowait irq softirq steal …`.
    Ok(first.split_whitespace().nth(8).and_then(|ticks| ticks.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_between_what_was_taken() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let samples = [(0, 7), (50, 7), (100, 7), (110, 8), (120, 8), (130, 9), (230, 9)].map(|(ms, n)| (at(ms), n));
        assert_eq!(quiet(&samples), [at(30)..at(70), at(160)..at(200)]);
        assert_eq!(quiet(&[]), []);
    }
}
