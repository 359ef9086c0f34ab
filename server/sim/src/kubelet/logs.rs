//! Logs that are never stored: every line follows from the run that wrote it, so asking again gives the
//! same text, a restart of the simulator loses none, and a year of logs costs no memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    Nodes,
    container::{Container, Run, State, later},
    image::Voice,
};
use crate::{
    clock::Clock,
    controllers::fields::{Fields, fnv32a},
    hooks::LogOptions,
    status::{Result, Status},
};

/// About how many of the latest lines a log keeps, as rotation would.
const KEEP_LINES: i64 = 20_000;
/// How often a followed container is looked at, to notice that it ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A line and when it was written.
pub type Line = (Timestamp, String);

/// Small, seedable random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn new(parts: &[&[u8]]) -> Self {
        Self(u64::from(fnv32a(parts)) << 16)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.roll(list.len() as u64)).unwrap_or_default();
        list.get(at).copied().unwrap_or_default()
    }
}

/// Who writes: what makes one log differ from another.
pub struct Writer<'a> {
    /// The pod's uid.
    pub uid: &'a str,
    /// The container's name.
    pub container: &'a str,
    /// The image's last part.
    pub program: &'a str,
    /// Its tag.
    pub version: &'a str,
}

/// The lines of a run after `since` (all that are kept if `None`) and not after `until`, in order.
#[must_use]
pub fn lines(writer: &Writer<'_>, run: &Run, since: Option<Timestamp>, until: Timestamp) -> Vec<Line> {
    let until = run.finished.map_or(until, |finished| finished.min(until));
    let begin = run.started;
    let mut out: Vec<Line> =
        opening(writer, run).into_iter().map(|(after, line)| (later(begin, after), line)).collect();
    if let Some((length, count)) = rhythm(run) {
        let turns = |at: Timestamp| at.duration_since(begin).as_millis() / i128::from(length.as_millis() as u64).max(1);
        let last = i64::try_from(turns(until)).unwrap_or_default();
        let first = since
            .map_or(0, |since| i64::try_from(turns(since)).unwrap_or_default())
            .max(last - KEEP_LINES / count.max(1))
            .max(0);
        for turn in first..=last {
            let from = later(begin, length.saturating_mul(u32::try_from(turn).unwrap_or(u32::MAX)));
            out.extend(during(writer, run, turn, from, length));
        }
    }
    if let Some(finished) = run.finished {
        out.extend(
            closing(run)
                .into_iter()
                .map(|(before, line)| (finished.checked_sub(before).unwrap_or(finished).max(begin), line)),
        );
    }
    out.retain(|(at, _)| *at <= until && since.is_none_or(|since| *at > since));
    out.sort_by_key(|(at, _)| *at);
    out
}

/// The host that the container looks for.
fn database(run: &Run) -> &str {
    let known = |name: &str| run.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    known("DB_HOST").or_else(|| known("DATABASE_HOST")).or_else(|| known("MYSQL_HOST")).unwrap_or("db-payments")
}

fn opening(writer: &Writer<'_>, run: &Run) -> Vec<(Duration, String)> {
    let (name, version) = (writer.program, writer.version);
    let at = |millis: u64, line: String| (Duration::from_millis(millis), line);
    match &run.behaviour.voice {
        Voice::Script(script) => script.lines.clone(),
        Voice::NoDatabase => {
            let host = database(run);
            vec![
                at(0, format!("starting {name} {version}, 2 workers")),
                at(3, format!("connecting to mysql at {host}:3306")),
                at(46, format!("WARN  retry 1 of 3: lookup {host}: no such host")),
                at(1052, format!("WARN  retry 2 of 3: lookup {host}: no such host")),
                at(3063, format!("FATAL dial tcp: lookup {host}: no such host")),
            ]
        }
        Voice::Task => vec![at(0, format!("{name} {version}: started")), at(20, "reading input".to_owned())],
        Voice::Leak => {
            vec![at(0, format!("starting {name} {version}, 2 workers")), at(5, "cache: no limit configured".to_owned())]
        }
        _ => {
            let mut list = vec![
                at(0, format!("starting {name} {version}, 2 workers")),
                at(4, format!("configuration read: {} variables", run.environment.len())),
            ];
            if !run.behaviour.serves_after.is_zero() {
                list.push(at(10, "warming up".to_owned()));
            }
            if run.behaviour.never_ready {
                list.push(at(
                    30,
                    "WARN  dependency \"inventory\" is not reachable, answering 503 to /readyz".to_owned(),
                ));
            }
            if !matches!(run.behaviour.voice, Voice::Crash) {
                let ready = run.behaviour.serves_after + Duration::from_millis(20);
                list.push((ready, "listening on :8080".to_owned()));
            }
            list
        }
    }
}

fn closing(run: &Run) -> Vec<(Duration, String)> {
    let before = |millis: u64, line: &str| (Duration::from_millis(millis), line.to_owned());
    let ended_itself = run.behaviour.end.is_some_and(|(after, _)| Some(later(run.started, after)) == run.finished);
    match &run.behaviour.voice {
        Voice::Script(_) | Voice::NoDatabase | Voice::Leak => Vec::new(),
        Voice::Crash if ended_itself => vec![
            before(6, "ERROR unhandled exception in worker 1"),
            before(5, "panic: runtime error: invalid memory address or nil pointer dereference"),
            before(4, "goroutine 1 [running]:"),
            before(3, "main.(*Server).handleOrder(0x0, {0xc000124000, 0x2a})"),
            before(2, "\t/src/server/orders.go:118 +0x1f4"),
            before(1, "main.main()"),
            before(0, "\t/src/main.go:41 +0x85"),
        ],
        Voice::Task if ended_itself => match run.behaviour.end {
            Some((_, super::image::Cause::Exit(0))) => vec![before(0, "done")],
            _ => vec![before(0, "ERROR giving up")],
        },
        _ => vec![before(250, "received SIGTERM, finishing 2 requests"), before(5, "bye")],
    }
}

/// Length of a turn and about how many lines it has; `None` for containers that stay silent.
fn rhythm(run: &Run) -> Option<(Duration, i64)> {
    match &run.behaviour.voice {
        Voice::Chatty => Some((Duration::from_secs(1), 25)),
        Voice::Service | Voice::Crash => Some((Duration::from_secs(60), 9)),
        Voice::Leak => Some((Duration::from_secs(1), 1)),
        Voice::Script(script) => {
            let round = script.round.as_ref()?;
            Some((round.period, i64::try_from(round.lines.len()).unwrap_or(1).max(1)))
        }
        Voice::NoDatabase | Voice::Task => None,
    }
}

fn during(writer: &Writer<'_>, run: &Run, turn: i64, from: Timestamp, length: Duration) -> Vec<Line> {
    if let Voice::Script(script) = &run.behaviour.voice {
        let Some(round) = &script.round else { return Vec::new() };
        return round
            .lines
            .iter()
            .map(|(after, line)| (later(later(from, round.from), *after), line.clone()))
            .collect();
    }
    let mut dice = Dice::new(&[
        writer.uid.as_bytes(),
        writer.container.as_bytes(),
        &run.attempt.to_le_bytes(),
        &turn.to_le_bytes(),
    ]);
    if matches!(run.behaviour.voice, Voice::Leak) {
        let used = 64 + turn * 61;
        return vec![(
            later(from, Duration::from_millis(400)),
            format!("cache: {used} MiB used, {} entries", turn * 40_000 + 1),
        )];
    }
    let chatty = matches!(run.behaviour.voice, Voice::Chatty);
    let count = if chatty { 20 + dice.roll(11) } else { 6 + dice.roll(7) };
    let mut offsets: Vec<u64> = (0..count).map(|_| dice.roll(length.as_millis() as u64)).collect();
    offsets.sort_unstable();
    offsets
        .into_iter()
        .map(|offset| {
            let at = later(from, Duration::from_millis(offset));
            // Nothing is served before the process is up.
            let up = at >= later(run.started, run.behaviour.serves_after + Duration::from_millis(20));
            let line = if up { request(&mut dice) } else { "waiting for dependencies".to_owned() };
            (at, line)
        })
        .collect()
}

fn request(dice: &mut Dice) -> String {
    let path = dice.pick(&[
        "/api/orders",
        "/api/orders/7f3a",
        "/api/cart",
        "/api/products?page=2",
        "/healthz",
        "/api/session",
        "/metrics",
    ]);
    let method = if path == "/api/cart" { "POST" } else { "GET" };
    let (status, level) = match dice.roll(60) {
        0 => (500, "ERROR"),
        1..=3 => (404, "WARN "),
        _ => (200, "INFO "),
    };
    format!("{level} {method} {path} {status} {}ms", 1 + dice.roll(if status == 500 { 900 } else { 60 }))
}

/// The run whose log is asked for, with the container's name.
fn find_run(container: &Container, pod: &Value, previous: bool) -> Result<Run> {
    let name = &container.name;
    let waits = |why: &str| {
        Status::bad_request(format!("container \"{name}\" in pod \"{}\" is waiting to start: {why}", pod.name()))
    };
    let present = container.is_running() || matches!(container.state, State::Ended { .. });
    let runs = &container.runs;
    if previous {
        let before = if present { runs.len().checked_sub(2) } else { runs.len().checked_sub(1) };
        return before.and_then(|at| runs.get(at)).cloned().ok_or_else(|| {
            Status::bad_request(format!("previous terminated container \"{name}\" in pod \"{}\" not found", pod.name()))
        });
    }
    if let Some(run) = runs.last() {
        return Ok(run.clone());
    }
    Err(match &container.state {
        State::NoImage { reason: "ErrImagePull", .. } => waits("image can't be pulled"),
        State::NoImage { reason: "ImagePullBackOff", .. } => waits("trying and failing to pull image"),
        State::NoImage { reason, .. } => waits(reason),
        State::Misconfigured { .. } => waits("CreateContainerConfigError"),
        _ if pod.items("/spec/initContainers").is_empty() => waits("ContainerCreating"),
        _ => waits("PodInitializing"),
    })
}

/// What a stream of log lines needs to go on.
struct Follower {
    nodes: Arc<Mutex<Nodes>>,
    clock: Arc<dyn Clock>,
    pod: Value,
    container: String,
    image: (String, String),
    run: Run,
    options: LogOptions,
    position: Option<Timestamp>,
    sent: u64,
    first: bool,
}

/// A container's log as the API streams it.
///
/// # Errors
/// 400 when there is nothing to read yet, in the kubelet's words.
pub fn stream(
    nodes: Arc<Mutex<Nodes>>,
    clock: Arc<dyn Clock>,
    pod: &Value,
    container: &str,
    options: &LogOptions,
) -> Result<BoxStream<'static, Bytes>> {
    let spec = pod
        .items("/spec/containers")
        .iter()
        .chain(pod.items("/spec/initContainers"))
        .find(|spec| spec.text("/name") == container)
        .ok_or_else(|| super::no_such_container(pod, container))?;
    let run = {
        let nodes = nodes.lock();
        let state = nodes
            .pod(pod.namespace(), pod.name())
            .and_then(|state| state.containers.iter().find(|own| own.name == container));
        match state {
            Some(state) => find_run(state, pod, options.previous)?,
            None => find_run(&Container::new(spec, super::container::Role::Main), pod, options.previous)?,
        }
    };
    let reference = super::image::Reference::parse(spec.text("/image"));
    let image = reference.map(|reference| (reference.short().to_owned(), reference.tag)).unwrap_or_default();
    let now = clock.now();
    let since = options.since_time.or_else(|| {
        let seconds = options.since_seconds?;
        now.checked_sub(Duration::from_secs(seconds)).ok()
    });
    let follower = Follower {
        nodes,
        clock,
        pod: pod.clone(),
        container: container.to_owned(),
        image,
        run,
        options: options.clone(),
        position: since,
        sent: 0,
        first: true,
    };
    Ok(Box::pin(futures::stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        let (bytes, more) = follower.next().await;
        Some((bytes, more.then_some(follower)))
    })))
}

impl Follower {
    fn writer(&self) -> Writer<'_> {
        Writer { uid: self.pod.uid(), container: &self.container, program: &self.image.0, version: &self.image.1 }
    }

    /// The next piece, and whether there may be more.
    async fn next(&mut self) -> (Bytes, bool) {
        loop {
            let now = self.clock.now();
            let mut fresh = lines(&self.writer(), &self.run, self.position, now);
            if self.first
                && let Some(tail) = self.options.tail_lines
            {
                let skip = fresh.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
                fresh.drain(..skip);
            }
            self.first = false;
            self.position = Some(now);
            let (bytes, full) = self.print(&fresh);
            let over = full || !self.options.follow || self.run.finished.is_some();
            if over || !bytes.is_empty() {
                return (bytes, !over);
            }
            let soon = later(now, LOOK_EVERY);
            let next = lines(&self.writer(), &self.run, self.position, soon).first().map_or(soon, |(at, _)| *at);
            self.clock.sleep_until(next.max(later(now, Duration::from_millis(1)))).await;
            self.refresh();
        }
    }

    /// Learns whether the run has ended meanwhile.
    fn refresh(&mut self) {
        let nodes = self.nodes.lock();
        let container = nodes
            .pod(self.pod.namespace(), self.pod.name())
            .filter(|state| state.uid == self.pod.uid())
            .and_then(|state| state.containers.iter().find(|own| own.name == self.container));
        match container.and_then(|container| container.runs.iter().find(|run| run.attempt == self.run.attempt)) {
            Some(run) => self.run.finished = run.finished,
            None => self.run.finished = Some(self.clock.now()),
        }
    }

    fn print(&mut self, fresh: &[Line]) -> (Bytes, bool) {
        let mut out = String::new();
        for (at, line) in fresh {
            if self.options.timestamps {
                out.push_str(&at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string());
            }
            out.push_str(line);
            out.push('\n');
        }
        let mut bytes = out.into_bytes();
        let mut full = false;
        if let Some(limit) = self.options.limit_bytes {
            let left = usize::try_from(limit - self.sent.min(limit)).unwrap_or(usize::MAX);
            if bytes.len() >= left {
                bytes.truncate(left);
                full = true;
            }
        }
        self.sent += bytes.len() as u64;
        (bytes.into(), full)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::kubelet::image::behaviour;

    fn run(image: &str, finished: Option<i64>) -> Run {
        Run {
            started: Timestamp::from_second(1000).unwrap(),
            finished: finished.map(|second| Timestamp::from_second(second).unwrap()),
            behaviour: behaviour(&json!({"image": image}), &Vec::new(), "u", 0),
            attempt: 0,
            environment: Vec::new(),
            files: Default::default(),
        }
    }

    fn texts(image: &str, finished: Option<i64>, since: Option<i64>, until: i64) -> Vec<Line> {
        let at = |second| Timestamp::from_second(second).unwrap();
        let writer = Writer { uid: "u", container: "c", program: "web", version: "1" };
        lines(&writer, &run(image, finished), since.map(at), at(until))
    }

    #[test]
    fn asking_twice_or_in_pieces_gives_the_same_lines() {
        for image in ["web", "x/chatty"] {
            let whole = texts(image, None, None, 1300);
            assert!(whole.len() > 20);
            assert_eq!(whole, texts(image, None, None, 1300));
            let mut pieces = texts(image, None, None, 1100);
            pieces.extend(texts(image, None, Some(1100), 1300));
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn a_year_of_chatter_is_bounded() {
        let lines = texts("x/chatty", None, None, 1000 + 365 * 86_400);
        assert!(lines.len() < 40_000, "{}", lines.len());
    }

    #[test]
    fn a_crash_ends_with_its_trace_and_a_missing_database_says_so() {
        let crash = texts("x/crash", Some(1002), None, 2000);
        assert!(crash.iter().any(|(_, line)| line.starts_with("panic: runtime error")));
        assert!(crash.last().unwrap().1.contains("main.go"));
        let database = texts("x/no-db", Some(1004), None, 2000);
        assert_eq!(database.last().unwrap().1, "FATAL dial tcp: lookup db-payments: no such host");
    }
}
