//! watch.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    Context,
    negotiate::{Shape, partial_metadata},
    read::{object_bytes, parse_revision, shown, too_large},
    selector::Selector,
};
use crate::{
    clock::Clock,
    convert,
    registry::{ResourceType, Version, api_version},
    status::{FieldError, Result, Status},
    store::{Event, EventKind, Object, Page, Watch},
    table,
};

/// How often a quiet watch says how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts when the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// How events are written.
struct Encoder {
    resource: Arc<ResourceType>,
    version: Version,
    shape: Shape,
    include: String,
    clock: Arc<dyn Clock>,
    first: bool,
}

impl Encoder {
    fn line(&mut self, kind: &str, object: &Object) -> Bytes {
        let body = match self.shape {
            Shape::Object => object_bytes(&self.resource, &self.version.name, object),
            Shape::Metadata => serde_json::to_vec(&partial_metadata(object)).unwrap_or_default().into(),
            Shape::Table => {
                let converted = shown(&self.resource, &self.version, &self.include, object);
                let view = converted.as_ref().unwrap_or_else(|| object.value());
                let mut out = table::render(
                    &self.resource,
                    &self.version,
                    std::iter::once(view),
                    &self.include,
                    self.clock.now(),
                );
                out["metadata"] = json!({"resourceVersion": view["metadata"]["resourceVersion"]});
                if !std::mem::take(&mut self.first) {
                    out["columnDefinitions"] = Value::Null;
                }
                serde_json::to_vec(&out).unwrap_or_default().into()
            }
        };
        wrap(kind, &body)
    }

    fn bookmark(&mut self, revision: u64, end_of_initial: bool) -> Bytes {
        let mut meta = json!({"resourceVersion": revision.to_string()});
        if end_of_initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let body = match self.shape {
            Shape::Object => json!({
                "kind": self.resource.kind,
                "apiVersion": api_version(&self.resource.id.group, &self.version.name),
                "metadata": meta,
            }),
            Shape::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta})
            }
            Shape::Table => json!({
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": revision.to_string()},
                "columnDefinitions": null,
                "rows": [{"cells": [], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}}],
            }),
        };
        wrap("BOOKMARK", body.to_string().as_bytes())
    }

    fn error(status: &Status) -> Bytes {
        wrap("ERROR", status.to_value().to_string().as_bytes())
    }
}

fn wrap(kind: &str, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 40);
    out.put(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    out.put(body);
    out.put(&b"}\n"[..]);
    out.freeze()
}

/// What an event means to somebody who sees only what matches.
fn seen_as(event: &Event, selector: &Selector, namespace: &str) -> Option<&'static str> {
    if !namespace.is_empty() && event.namespace != namespace {
        return None;
    }
    let now = event.kind != EventKind::Deleted && selector.matches(&event.object);
    let before = event.previous.as_ref().is_some_and(|previous| selector.matches(previous));
    match (before, now) {
        (false, true) => Some("ADDED"),
        (true, true) => Some("MODIFIED"),
        (true, false) => Some("DELETED"),
        (false, false) => None,
    }
}

fn check_options(cx: &Context) -> Result<()> {
    let matching = cx.query.get("resourceVersionMatch");
    let initial = cx.query.get("sendInitialEvents");
    let mut errors = Vec::new();
    let mut forbid = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
    let known = matching == "NotOlderThan";
    if !initial.is_empty() && !known {
        forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if initial.is_empty() && !matching.is_empty() {
        forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    }
    if !matching.is_empty() {
        if !known {
            errors.push(FieldError::not_supported("resourceVersionMatch", matching, &["NotOlderThan"]));
        }
        if !cx.query.get("continue").is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden("resourceVersionMatch", why));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// watch.
pub fn watch(cx: &Context, resource: &Arc<ResourceType>, version: &Version) -> Result<Response<Body>> {
    check_options(cx)?;
    let mut selector = Selector::parse(
        cx.query.get("labelSelector"),
        cx.query.get("fieldSelector"),
        resource,
        version.custom.as_deref(),
    )?;
    if !cx.info.name.is_empty() {
        selector = selector.and_name(&cx.info.name);
    }
    let asked = cx.query.get("resourceVersion");
    // The storage finds this one, too late for a reason.
    let revision = parse_revision(asked).map_err(|status| {
        Status::new(500, "", status.message.trim_start_matches("invalid resource version: ").to_owned())
    })?;
    let bookmarks = cx.query.flag("allowWatchBookmarks");
    let streaming_list = cx.query.flag("sendInitialEvents");
    let declined_list = cx.query.get("sendInitialEvents") == "false";
    let store = &cx.api.cluster.store;
    let id = convert::stored_as(&resource.id);
    let current = store.revision();
    let mut encoder = Encoder {
        resource: resource.clone(),
        version: version.clone(),
        shape: cx.accept.shape,
        include: cx.query.get("includeObject").to_owned(),
        clock: cx.api.cluster.clock.clone(),
        first: true,
    };
    if revision > current {
        return Ok(stream_response(futures::stream::iter([Ok(Encoder::error(&too_large(revision, current)))])));
    }
    let wants_state = streaming_list || (revision == 0 && !declined_list);
    let (page, watch) = if wants_state {
        let (page, watch) = store.list_and_watch(id);
        (Some(page), watch)
    } else {
        let from = if revision == 0 { current } else { revision };
        match store.watch(id, from) {
            Ok(watch) => (None, watch),
            Err(expired) => {
                let status =
                    Status::expired(format!("too old resource version: {} ({})", expired.requested, expired.oldest));
                return Ok(stream_response(futures::stream::iter([Ok(Encoder::error(&status))])));
            }
        }
    };
    let timeout = match cx.query.get("timeoutSeconds").parse::<u64>() {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => DEFAULT_TIMEOUT,
    };
    let namespace = cx.info.namespace.clone();
    let mut initial = Vec::new();
    if let Some(Page { revision, items }) = page {
        for object in &items {
            let inside = namespace.is_empty() || object["metadata"]["namespace"] == *namespace;
            if inside && selector.matches(object) {
                initial.push(encoder.line("ADDED", object));
            }
        }
        if streaming_list && bookmarks {
            initial.push(encoder.bookmark(revision, true));
        }
    }
    Ok(stream_response(follow(watch, encoder, selector, namespace, initial, bookmarks, timeout)))
}

fn follow(
    mut watch: Watch,
    mut encoder: Encoder,
    selector: Selector,
    namespace: String,
    initial: Vec<Bytes>,
    bookmarks: bool,
    timeout: Duration,
) -> impl Stream<Item = std::result::Result<Bytes, std::convert::Infallible>> + Send {
    async_stream::stream! {
        for chunk in join(initial) {
            yield Ok(chunk);
        }
        let end = tokio::time::sleep(timeout);
        tokio::pin!(end);
        let mut tick = tokio::time::interval(BOOKMARK_EVERY);
        tick.reset();
        let mut last_bookmark = watch.position();
        loop {
            tokio::select! {
                () = &mut end => {
                    if bookmarks {
                        yield Ok(encoder.bookmark(watch.position(), false));
                    }
                    return;
                }
                _ = tick.tick(), if bookmarks => {
                    if watch.position() > last_bookmark {
                        last_bookmark = watch.position();
                        yield Ok(encoder.bookmark(last_bookmark, false));
                    }
                }
                batch = watch.next_batch() => match batch {
                    Ok(events) => {
                        let lines = events
                            .iter()
                            .filter_map(|event| {
                                let kind = seen_as(event, &selector, &namespace)?;
                                if kind == "DELETED" && event.kind != EventKind::Deleted {
                                    // It left the selection: the client sees what it knew, at this revision.
                                    let known = event.previous.as_ref()?;
                                    return Some(encoder.line(kind, &Object::new(known.value().clone(), event.revision)));
                                }
                                Some(encoder.line(kind, &event.object))
                            })
                            .collect();
                        for chunk in join(lines) {
                            yield Ok(chunk);
                        }
                    }
                    Err(expired) => {
                        let status = Status::expired(format!(
                            "too old resource version: {} ({})",
                            expired.requested, expired.oldest
                        ));
                        yield Ok(Encoder::error(&status));
                        return;
                    }
                },
            }
        }
    }
}

/// Joins lines into chunks of some 64 KiB, so that long replays need few writes.
fn join(lines: Vec<Bytes>) -> Vec<Bytes> {
    const CHUNK: usize = 64 * 1024;
    let mut out = Vec::new();
    let mut chunk = BytesMut::new();
    for line in lines {
        chunk.put(line);
        if chunk.len() >= CHUNK {
            out.push(std::mem::take(&mut chunk).freeze());
        }
    }
    if !chunk.is_empty() {
        out.push(chunk.freeze());
    }
    out
}

fn stream_response(
    stream: impl Stream<Item = std::result::Result<Bytes, std::convert::Infallible>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(stream));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
