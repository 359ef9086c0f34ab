//! What containers print: several pods in one stream, in the order of time as far as it has come.
//!
//! Each container has a reader with a small buffer; a slow viewer slows the readers down, never fills the memory. The
//! merger waits a moment for silent containers, so that lines which were printed one after the other are shown so.

use std::{collections::HashSet, sync::Arc, time::Duration};

use berth_core::{
    Error, OpCtx, Result,
    authz::{Grant, NamespaceRef},
    ports::cluster::{ChangeKind, LogQuery},
};
use berth_types::{
    Action, ErrorCode, Resource,
    rows::{LogLine, PodPhase},
};
use futures::{AsyncBufRead, AsyncBufReadExt as _, StreamExt as _, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tokio::{
    sync::{Notify, broadcast, mpsc},
    time::Instant,
};

use crate::{
    KubeCluster,
    apps::pod_name,
    cache::{Cache, pause},
    error::{Target, from_kube},
    meta,
    rest::{Kind, Rest, TIMEOUT, bounded, get, query, receiver_stream},
};

/// Longest line; what is longer is cut.
const MAX_LINE: usize = 16 * 1024;
/// Lines of a container that wait for the viewer.
const BUFFER: usize = 128;
/// Containers that are read at a time.
const MOST: usize = 60;
/// How long a line waits for an earlier one of another container.
const WINDOW: Duration = Duration::from_millis(150);
/// Between two tries to open the log of a container that is not there yet, or has ended.
const REOPEN: Duration = Duration::from_millis(700);

#[derive(Deserialize)]
struct PodList {
    items: Vec<Pod>,
}

/// What every reader needs.
#[derive(Clone)]
struct Reader {
    rest: Rest,
    cache: Arc<Cache>,
    namespace: Arc<str>,
    query: LogQuery,
    wake: Arc<Notify>,
}

/// One container's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Source {
    pod: Arc<str>,
    container: Arc<str>,
    init: bool,
}

/// The merger's end of a reader.
struct Feed {
    lines: mpsc::Receiver<Result<LogLine>>,
    head: Option<(LogLine, Instant)>,
    open: bool,
}

impl KubeCluster {
    pub(crate) async fn read_logs(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        if let Some(pod) = &query.pod {
            pod_name(pod)?;
        }
        let reader = Reader {
            rest: self.connection.acting(ctx, namespace)?,
            cache: self.cache.clone(),
            namespace: namespace.kube_name.clone(),
            query: query.clone(),
            wake: Arc::new(Notify::new()),
        };
        let changes = self.cache.subscribe();
        let sources = reader.sources().await?;
        if let (true, Some(container)) = (sources.is_empty() && query.pod.is_some(), &query.container) {
            let message = format!("the pod has no container “{container}”");
            return Err(Error::field(berth_types::FieldError::new("container", "container_unknown", message)));
        }
        let (sender, receiver) = mpsc::channel(BUFFER);
        tokio::spawn(merge(reader, sources, changes, sender));
        Ok(receiver_stream(receiver).boxed())
    }
}

impl Reader {
    /// The containers that the query means, as they are now.
    async fn sources(&self) -> Result<Vec<Source>> {
        let target =
            Target::of("the log of", self.query.pod.as_deref().unwrap_or("the app"), (Resource::Log, Action::Read));
        let mut pods = match &self.query.pod {
            Some(pod) => vec![self.rest.get::<Pod>(&target, &Kind::POD.at(&self.namespace, pod)).await?],
            None => {
                let mut selector: Vec<String> = Vec::new();
                selector.extend(self.query.app.as_ref().map(|app| format!("{}={app}", meta::APP)));
                selector.extend(self.query.component.as_ref().map(|c| format!("{}={c}", meta::COMPONENT)));
                let path = query(&Kind::POD.within(&self.namespace), &[("labelSelector", &selector.join(","))]);
                self.rest.get::<PodList>(&target, &path).await?.items
            }
        };
        // Where there are too many, the newest are of most interest.
        pods.sort_by(|a, b| b.metadata.creation_timestamp.cmp(&a.metadata.creation_timestamp));
        let mut sources: Vec<Source> = pods.iter().flat_map(|pod| self.containers(pod)).collect();
        sources.truncate(MOST);
        Ok(sources)
    }

    fn containers(&self, pod: &Pod) -> Vec<Source> {
        let name: Arc<str> = pod.metadata.name.as_deref().unwrap_or_default().into();
        let Some(spec) = &pod.spec else { return Vec::new() };
        let init = spec.init_containers.iter().flatten().map(|c| (c, true));
        init.chain(spec.containers.iter().map(|c| (c, false)))
            .filter(|(c, _)| self.query.container.as_ref().is_none_or(|only| *only == c.name))
            .map(|(c, init)| Source { pod: name.clone(), container: c.name.as_str().into(), init })
            .collect()
    }

    /// Whether more may come from a container whose log has ended.
    fn may_go_on(&self, source: &Source) -> bool {
        let phase = self.cache.pods.with(&self.namespace, &source.pod, |s| s.row.0.phase);
        match phase {
            None | Some(PodPhase::Done) => false,
            Some(PodPhase::Running | PodPhase::NotReady) => !source.init,
            Some(_) => true,
        }
    }

    /// Reads a container's log to its end, or for as long as it goes on.
    async fn read(self, source: Source, sender: mpsc::Sender<Result<LogLine>>, fresh: bool) {
        let mut last: Option<Timestamp> = None;
        loop {
            match self.open(&source, last, fresh).await {
                Ok(stream) => {
                    let mut lines = Lines::new(stream);
                    while let Some(line) = lines.next().await {
                        let (at, text) = split(line);
                        if at.is_some() && at <= last {
                            continue; // told before the log was opened again
                        }
                        last = at.or(last);
                        let line = LogLine { at, pod: source.pod.clone(), container: source.container.clone(), text };
                        if sender.send(Ok(line)).await.is_err() {
                            return;
                        }
                        self.wake.notify_one();
                    }
                }
                // Not started yet, or gone.
                Err(e)
                    if self.query.follow
                        && matches!(
                            e.code(),
                            ErrorCode::NotFound | ErrorCode::ClusterRefused | ErrorCode::ClusterUnavailable
                        ) => {}
                Err(e) => {
                    let _ = sender.send(Err(e)).await;
                    break;
                }
            }
            if !self.query.follow || self.query.previous {
                break;
            }
            tokio::select! {
                () = pause(REOPEN) => {}
                () = sender.closed() => return,
            }
            if !self.may_go_on(&source) {
                break;
            }
        }
        drop(sender);
        self.wake.notify_one();
    }

    async fn open(
        &self,
        source: &Source,
        last: Option<Timestamp>,
        fresh: bool,
    ) -> Result<impl AsyncBufRead + Unpin + use<>> {
        let (tail, since, at);
        let mut pairs = vec![("container", &*source.container), ("timestamps", "true")];
        if self.query.follow && !self.query.previous {
            pairs.push(("follow", "true"));
        }
        if self.query.previous {
            pairs.push(("previous", "true"));
        }
        if let Some(last) = last {
            at = last.to_string();
            pairs.push(("sinceTime", &at));
        } else if !fresh {
            if let Some(n) = self.query.tail {
                tail = n.max(0).to_string();
                pairs.push(("tailLines", &tail));
            }
            if let Some(age) = self.query.since {
                since = age.as_secs().max(1).to_string();
                pairs.push(("sinceSeconds", &since));
            }
        }
        let path = query(&(Kind::POD.at(&self.namespace, &source.pod) + "/log"), &pairs);
        let target = Target::of("the log of", &source.pod, (Resource::Log, Action::Read));
        let opened = bounded(TIMEOUT, self.rest.client.request_stream(get(&path)?)).await?;
        opened.map(Box::pin).map_err(|e| from_kube(e, &target))
    }

    fn start(&self, source: Source, fresh: bool) -> Feed {
        let (sender, lines) = mpsc::channel(BUFFER);
        tokio::spawn(self.clone().read(source, sender, fresh));
        Feed { lines, head: None, open: true }
    }
}

/// Merges all containers, and takes up new ones as they come.
async fn merge(
    reader: Reader,
    sources: Vec<Source>,
    mut changes: broadcast::Receiver<berth_core::ports::cluster::Change>,
    sender: mpsc::Sender<Result<LogLine>>,
) {
    let mut known: HashSet<Source> = sources.iter().cloned().collect();
    let mut feeds: Vec<Feed> = sources.into_iter().map(|source| reader.start(source, false)).collect();
    let follow = reader.query.follow && !reader.query.previous;
    let several = follow && reader.query.pod.is_none();
    let mut told = false;
    let mut failed: Option<Error> = None;
    loop {
        match step(&mut feeds, follow, Instant::now()) {
            Step::Line(line) => {
                told = true;
                if sender.send(Ok(line)).await.is_err() {
                    return;
                }
            }
            // One container that cannot be read does not end the others.
            Step::Failed(e) if e.code() == ErrorCode::Forbidden => {
                let _ = sender.send(Err(e)).await;
                return;
            }
            Step::Failed(e) => failed = failed.or(Some(e)),
            Step::Ended if !several => break,
            Step::Ended | Step::Wait => {
                feeds.retain(|feed| feed.open || feed.head.is_some());
                let deadline =
                    step_deadline(&feeds, follow).unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                tokio::select! {
                    () = reader.wake.notified() => {}
                    () = tokio::time::sleep_until(deadline) => {}
                    () = sender.closed() => return,
                    () = pod_changes(&mut changes, &reader.namespace), if several => {
                        for source in reader.sources().await.unwrap_or_default() {
                            if known.len() < MOST * 20 && feeds.len() < MOST && known.insert(source.clone()) {
                                feeds.push(reader.start(source, true));
                            }
                        }
                    }
                }
            }
        }
    }
    if let (false, Some(e)) = (told, failed) {
        let _ = sender.send(Err(e)).await;
    }
}

enum Step {
    Line(LogLine),
    Failed(Error),
    Wait,
    Ended,
}

/// When the oldest waiting line has waited long enough.
fn step_deadline(feeds: &[Feed], follow: bool) -> Option<Instant> {
    let arrived = feeds.iter().filter_map(|f| f.head.as_ref().map(|(_, at)| *at)).min();
    arrived.filter(|_| follow).map(|at| at + WINDOW)
}

/// The next line, if it is sure to be the next or has waited long enough.
fn step(feeds: &mut [Feed], follow: bool, now: Instant) -> Step {
    let mut silent = false;
    for feed in feeds.iter_mut().filter(|f| f.head.is_none() && f.open) {
        match feed.lines.try_recv() {
            Ok(Ok(line)) => feed.head = Some((line, now)),
            Ok(Err(e)) => return Step::Failed(e),
            Err(mpsc::error::TryRecvError::Empty) => silent = true,
            Err(mpsc::error::TryRecvError::Disconnected) => feed.open = false,
        }
    }
    let due = follow && step_deadline(feeds, follow).is_some_and(|at| at <= now);
    let next =
        feeds.iter_mut().filter(|f| f.head.is_some()).min_by_key(|f| f.head.as_ref().and_then(|(line, _)| line.at));
    match next.and_then(|feed| if !silent || due { feed.head.take() } else { None }) {
        Some((line, _)) => Step::Line(line),
        None if feeds.iter().any(|f| f.open || f.head.is_some()) => Step::Wait,
        None => Step::Ended,
    }
}

/// Resolves when pods of the namespace changed.
async fn pod_changes(changes: &mut broadcast::Receiver<berth_core::ports::cluster::Change>, namespace: &str) {
    loop {
        match changes.recv().await {
            Ok(change) if change.kind == ChangeKind::Pod && *change.namespace == *namespace => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Takes the time off the front of a line.
fn split(line: String) -> (Option<Timestamp>, String) {
    match line.split_once(' ') {
        Some((at, text)) => match at.parse() {
            Ok(at) => (Some(at), text.to_owned()),
            Err(_) => (None, line),
        },
        // An empty line still has its time.
        None => match line.parse() {
            Ok(at) => (Some(at), String::new()),
            Err(_) => (None, line),
        },
    }
}

/// Lines of bounded length.
struct Lines<S> {
    stream: S,
}

impl<S: AsyncBufRead + Unpin> Lines<S> {
    fn new(stream: S) -> Self {
        Self { stream }
    }

    async fn next(&mut self) -> Option<String> {
        let mut line: Vec<u8> = Vec::new();
        let mut cut = false;
        loop {
            // A connection that breaks ends the log; who follows opens it again.
            let chunk = self.stream.fill_buf().await.unwrap_or_default();
            if chunk.is_empty() {
                return (!line.is_empty()).then(|| finish(&line, cut));
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let text = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_LINE.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            cut |= text.len() > room;
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.stream.consume_unpin(used);
            if end.is_some() {
                return Some(finish(&line, cut));
            }
        }
    }
}

fn finish(line: &[u8], cut: bool) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = String::from_utf8_lossy(line).into_owned();
    if cut {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, pod: &str) -> LogLine {
        LogLine { at: Timestamp::from_second(at).ok(), pod: pod.into(), container: "main".into(), text: at.to_string() }
    }

    fn feed(lines: Vec<LogLine>, open: bool) -> (Feed, Option<mpsc::Sender<Result<LogLine>>>) {
        let (sender, receiver) = mpsc::channel(16);
        for line in lines {
            sender.try_send(Ok(line)).expect("room");
        }
        (Feed { lines: receiver, head: None, open: true }, open.then_some(sender))
    }

    #[test]
    fn in_the_order_of_time() {
        let (a, _) = feed(vec![line(1, "a"), line(4, "a"), line(5, "a")], false);
        let (b, _) = feed(vec![line(2, "b"), line(3, "b"), line(6, "b")], false);
        let (mut feeds, now) = ([a, b], Instant::now());
        let mut got = Vec::new();
        loop {
            match step(&mut feeds, false, now) {
                Step::Line(line) => got.push(line.text),
                Step::Ended => break,
                _ => panic!("nothing to wait for"),
            }
        }
        assert_eq!(got.join(" "), "1 2 3 4 5 6");
    }

    #[test]
    fn waits_a_moment_for_the_silent() {
        let (a, _keep_a) = feed(vec![line(5, "a")], true);
        let (b, keep_b) = feed(vec![], true);
        let (mut feeds, now) = ([a, b], Instant::now());
        assert!(matches!(step(&mut feeds, true, now), Step::Wait));
        keep_b.expect("open").try_send(Ok(line(4, "b"))).expect("room");
        assert!(matches!(step(&mut feeds, true, now), Step::Line(l) if l.text == "4"), "the earlier one first");
        // `b` is closed now: nothing to wait for.
        assert!(matches!(step(&mut feeds, true, now), Step::Line(l) if l.text == "5"));
        let (c, _keep_c) = feed(vec![line(7, "c")], true);
        let (d, _keep_d) = feed(vec![], true);
        let mut feeds = [c, d];
        assert!(matches!(step(&mut feeds, true, now), Step::Wait));
        assert!(matches!(step(&mut feeds, true, now + WINDOW), Step::Line(l) if l.text == "7"), "but only a moment");
        assert!(matches!(step(&mut feeds, false, now), Step::Wait));
    }

    #[tokio::test]
    async fn lines_are_bounded() {
        let text = format!("short\r\n{}\n\nlast", "x".repeat(MAX_LINE + 5));
        let mut lines = Lines::new(futures::io::Cursor::new(text.into_bytes()));
        assert_eq!(lines.next().await.as_deref(), Some("short"));
        let long = lines.next().await.expect("a line");
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_LINE + 1, true));
        assert_eq!(lines.next().await.as_deref(), Some(""));
        assert_eq!(lines.next().await.as_deref(), Some("last"));
        assert_eq!(lines.next().await, None);
    }

    #[test]
    fn times() {
        let (at, text) = split(String::from("2026-01-01T00:00:00.123456789Z hello  world"));
        assert_eq!((at, text.as_str()), ("2026-01-01T00:00:00.123456789Z".parse().ok(), "hello  world"));
        assert_eq!(split(String::from("no time here")), (None, "no time here".to_owned()));
        assert_eq!(split(String::from("2026-01-01T00:00:00Z")).1, "");
    }
}
