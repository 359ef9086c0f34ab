//! One watch a kind: a streaming list, then changes, for as long as Berth runs.
//!
//! A watch that breaks goes on from the last version it saw; one that is too old (410) lists anew and swaps the result in
//! whole. Objects are decoded line by line straight into rows.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use futures::TryStreamExt as _;
use http::Request;
use kube::{Client, client::Body, core::Status};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    health::{Health, Watch},
    store::{Changed, Entry, Record, Store, trim},
};
use crate::{
    error::why,
    intern::Interner,
    rest::{Kind, get, query},
};

/// Longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(3);
/// A watch is asked to end after this.
const WATCH_SECONDS: &str = "290";
/// One that says nothing for so long is begun anew where it was, as its connection may have died unnoticed: API servers send a bookmark
/// about once a minute.
pub(crate) const SILENCE: Duration = Duration::from_secs(90);
/// How long the head of an answer may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long one that is no stream may take from there on: a page of a list, an error.
const WHOLE: Duration = Duration::from_secs(30);
/// A single object larger than this is no object.
const MAX_LINE: usize = 8 << 20;
/// Rows of a page, where the API server knows no streaming lists.
const PAGE: &str = "500";

#[derive(Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
#[expect(clippy::large_enum_variant, reason = "one line lives at a time; a box a line would cost more")]
enum Line<T> {
    Added(T),
    Modified(T),
    Deleted(T),
    Bookmark(Bookmark),
    Error(Status),
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMeta {
    resource_version: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
struct List<T> {
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// Why a watch ended.
enum End {
    /// As it should; go on at the last version.
    Closed,
    /// The version is too old, or the server lost track: list anew.
    Gone,
    /// The server knows no streaming lists.
    NoStreaming,
    /// The server does not know the kind (yet): its definition is being installed.
    Unknown(String),
    /// The server or the way to it is broken.
    Failed(String),
}

/// Fills a [`Store`] from the cluster.
pub(crate) struct Watcher<R> {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    /// Label selector, or empty.
    pub(crate) selector: &'static str,
    pub(crate) store: Arc<Store<R>>,
    pub(crate) strings: Arc<Interner>,
    pub(crate) health: Arc<Health>,
    /// Pages show its rows.
    pub(crate) shown: bool,
    /// How long nothing may come ([`SILENCE`]).
    pub(crate) silence: Duration,
    /// Told of every row that changed.
    pub(crate) changed: Arc<dyn Fn(Changed) + Send + Sync>,
}

impl<R: Record> Watcher<R> {
    /// Watches until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let watch = self.health.watch(self.kind.plural, self.shown);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.watch(&watch) => {}
        }
    }

    async fn watch(&self, watch: &Watch) {
        let mut version: Option<u64> = None;
        let mut streaming = true;
        let mut failures = 0_u32;
        loop {
            let before = version;
            let end = match version {
                None if streaming => self.stream(watch, &mut version, true).await,
                None => match self.list().await {
                    Ok(at) => {
                        version = Some(at);
                        watch.synced();
                        End::Closed
                    }
                    Err(why) => End::Failed(why),
                },
                Some(_) => self.stream(watch, &mut version, false).await,
            };
            match end {
                End::Closed if version != before => failures = 0,
                // Closed without a word: not an error, but nothing to hurry for either.
                End::Closed => failures = failures.max(1),
                End::Gone => {
                    tracing::info!(kind = self.kind.kind, "the watch fell behind; listing anew");
                    version = None;
                    failures = failures.max(1);
                }
                End::NoStreaming => streaming = false,
                End::Unknown(why) => {
                    failures += 1;
                    tracing::debug!(kind = self.kind.kind, why, "not there yet");
                    watch.failed(&why);
                }
                End::Failed(why) => {
                    failures += 1;
                    if failures == 1 || failures.is_multiple_of(20) {
                        tracing::warn!(kind = self.kind.kind, why, "the watch broke");
                    }
                    watch.failed(&why);
                }
            }
            if failures > 0 {
                let pause = Duration::from_millis(100 << (failures - 1).min(5)).min(MAX_BACKOFF);
                tokio::select! {
                    () = super::pause(pause) => {}
                    // What made it wait is over: a server that has just come back refuses for moments, not for seconds.
                    () = watch.recovered() => failures = 0,
                }
            }
        }
    }

    async fn send(&self, pairs: &[(&str, &str)]) -> Result<http::Response<Body>, End> {
        let mut pairs = pairs.to_vec();
        if !self.selector.is_empty() {
            pairs.push(("labelSelector", self.selector));
        }
        let request: Request<Vec<u8>> =
            get(&query(&self.kind.all(), &pairs)).map_err(|e| End::Failed(e.to_string()))?;
        let sent = tokio::time::timeout(HEAD, self.client.send(request.map(Body::from))).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(End::Failed(why(&e))),
            Err(_) => Err(End::Failed("no answer within 10 s".to_owned())),
        }
    }

    /// A watch, from the version or from the beginning.
    async fn stream(&self, watch: &Watch, version: &mut Option<u64>, initial: bool) -> End {
        let at = version.map(|v| v.to_string());
        let mut pairs = vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", WATCH_SECONDS)];
        match &at {
            Some(at) => pairs.push(("resourceVersion", at)),
            None => pairs.extend([("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")]),
        }
        let response = match self.send(&pairs).await {
            Ok(response) => response,
            Err(end) => return end,
        };
        let status = response.status();
        if !status.is_success() {
            let body = whole(response).await.unwrap_or_default();
            let said = serde_json::from_slice::<Status>(&body).map_or_else(|_| status.to_string(), |s| s.message);
            return match status.as_u16() {
                404 => End::Unknown(said),
                410 => End::Gone,
                // Before 1.32, or switched off: `sendInitialEvents is forbidden for watch`.
                400 | 422 if initial => End::NoStreaming,
                _ => End::Failed(said),
            };
        }
        if !initial {
            watch.connected();
        }
        let mut list: Option<Vec<Entry<R>>> = initial.then(Vec::new);
        let mut body = chunks(response.into_body());
        let mut buffer = BytesMut::new();
        let mut searched = 0;
        let mut restarts = watch.restarts();
        loop {
            let chunk = tokio::select! {
                chunk = body.try_next() => chunk,
                _ = restarts.changed() => return End::Closed,
                () = super::pause(self.silence) => return match list {
                    Some(_) => End::Failed("the list stopped coming".to_owned()),
                    None => End::Closed,
                },
            };
            match chunk {
                Ok(Some(chunk)) => buffer.extend_from_slice(&chunk),
                Ok(None) if list.is_some() => return End::Failed("the list ended early".to_owned()),
                Ok(None) => return End::Closed,
                Err(why) => return End::Failed(why),
            }
            while let Some(at) = memchr::memchr(b'\n', &buffer[searched..]) {
                let line = buffer.split_to(searched + at);
                buffer.advance(1);
                searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                if let Err(end) = self.line(&line, &mut list, version, watch) {
                    return end;
                }
            }
            searched = buffer.len();
            if searched > MAX_LINE {
                return End::Failed("an object is too large to be one".to_owned());
            }
        }
    }

    fn line(
        &self,
        line: &[u8],
        list: &mut Option<Vec<Entry<R>>>,
        version: &mut Option<u64>,
        watch: &Watch,
    ) -> Result<(), End> {
        let parsed: Line<R::Wire> = match serde_json::from_slice(line) {
            Ok(parsed) => parsed,
            Err(e) => {
                // One object that cannot be read must not stop the others; listing again would only meet it again.
                tracing::warn!(kind = self.kind.kind, error = %e, "an object was skipped");
                return Ok(());
            }
        };
        watch.heard();
        match parsed {
            Line::Added(wire) | Line::Modified(wire) => {
                if let Some(entry) = R::decode(wire, &self.strings) {
                    match list {
                        Some(list) => {
                            list.push(entry);
                            if R::MOST.is_some() && list.len() == list.capacity() {
                                trim(list);
                                // Not again before it has doubled.
                                list.reserve(list.len());
                            }
                        }
                        None => {
                            *version = Some(entry.version);
                            if let Some(changed) = self.store.apply(entry) {
                                (self.changed)(changed);
                            }
                        }
                    }
                }
            }
            Line::Deleted(wire) => {
                if let Some(entry) = R::decode(wire, &self.strings) {
                    match list {
                        Some(list) => list.retain(|e| e.name != entry.name || e.namespace != entry.namespace),
                        None => {
                            *version = Some(entry.version);
                            if let Some(changed) = self.store.remove(&entry) {
                                (self.changed)(changed);
                            }
                        }
                    }
                }
            }
            Line::Bookmark(bookmark) => {
                let at = bookmark.metadata.resource_version.parse().unwrap_or(0);
                let ends = bookmark.metadata.annotations.get("k8s.io/initial-events-end").is_some_and(|v| v == "true");
                if list.is_none() {
                    *version = Some(at);
                    self.store.seen(at);
                } else if ends && let Some(entries) = list.take() {
                    *version = Some(at);
                    self.swap(entries, at);
                    watch.synced();
                }
            }
            Line::Error(status) if status.code == 410 || status.reason == "Expired" => return Err(End::Gone),
            Line::Error(status) => return Err(End::Failed(status.message)),
        }
        Ok(())
    }

    fn swap(&self, entries: Vec<Entry<R>>, version: u64) {
        for changed in self.store.replace(entries, version) {
            (self.changed)(changed);
        }
    }

    /// A list in pages, for API servers without streaming lists.
    async fn list(&self) -> Result<u64, String> {
        let (mut entries, mut next) = (Vec::new(), String::new());
        loop {
            let mut pairs = vec![("limit", PAGE)];
            if !next.is_empty() {
                pairs.push(("continue", &next));
            }
            let response = match self.send(&pairs).await {
                Ok(response) => response,
                Err(End::Failed(why)) => return Err(why),
                Err(_) => return Err("no list".to_owned()),
            };
            let status = response.status();
            let body = whole(response).await?;
            if !status.is_success() {
                return Err(serde_json::from_slice::<Status>(&body).map_or_else(|_| status.to_string(), |s| s.message));
            }
            let page: List<R::Wire> = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
            entries.extend(page.items.into_iter().filter_map(|wire| R::decode(wire, &self.strings)));
            match page.metadata.next.filter(|n| !n.is_empty()) {
                Some(token) => next = token,
                None => {
                    let version = page.metadata.resource_version.parse().unwrap_or(0);
                    self.swap(entries, version);
                    return Ok(version);
                }
            }
        }
    }
}

/// The body of an answer that ends.
async fn whole(response: http::Response<Body>) -> Result<bytes::Bytes, String> {
    let body = tokio::time::timeout(WHOLE, response.into_body().collect_bytes()).await;
    body.map_err(|_| "the answer stopped coming".to_owned())?.map_err(|e| e.to_string())
}

fn chunks(body: Body) -> impl futures::Stream<Item = Result<bytes::Bytes, String>> + Unpin {
    use http_body_util::BodyExt as _;
    Box::pin(body.into_data_stream().map_err(|e| e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;

    use berth_core::env::SystemClock;
    use futures::StreamExt as _;
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::cache::pod::PodRecord;

    fn line(kind: &str, object: &Value) -> String {
        json!({ "type": kind, "object": object }).to_string() + "\n"
    }

    fn pod(name: &str, version: &str) -> String {
        let metadata = json!({ "name": name, "namespace": "shop-dev", "resourceVersion": version });
        line("ADDED", &json!({ "metadata": metadata, "status": { "phase": "Running" } }))
    }

    #[tokio::test]
    async fn a_watch_that_falls_silent_is_begun_anew_where_it_was() {
        let ended = json!({ "k8s.io/initial-events-end": "true" });
        let bookmark = json!({ "metadata": { "resourceVersion": "5", "annotations": ended } });
        let script = Mutex::new(vec![pod("b", "6"), pod("a", "3") + &line("BOOKMARK", &bookmark)]);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            log.lock().push(request.uri().query().unwrap_or_default().to_owned());
            let said = bytes::Bytes::from(script.lock().pop().unwrap_or_default());
            let body = futures::stream::iter([Ok::<_, Infallible>(said)]).chain(futures::stream::pending());
            let body = axum::body::Body::from_stream(body);
            async move { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let store = Arc::new(Store::<PodRecord>::default());
        let watcher = Watcher {
            client: Client::new(service, "default"),
            kind: Kind::POD,
            selector: "",
            store: store.clone(),
            strings: Arc::default(),
            health: Health::new(Arc::new(SystemClock), Box::new(|| {})),
            shown: true,
            silence: Duration::from_millis(20),
            changed: Arc::new(|_| {}),
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(watcher.run(shutdown.clone()));
        let both = async {
            while store.len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
        shutdown.cancel();
        running.await.unwrap();
        let asked = asked.lock();
        assert!(asked[0].contains("sendInitialEvents=true") && asked[1].contains("resourceVersion=5"), "{asked:?}");
    }
}
