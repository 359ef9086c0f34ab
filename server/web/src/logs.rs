//! `/t/{tenant}/n/{namespace}/logs/stream`: lines as they come, for the log view.
//!
//! Query: `app`, `component`, `pod`, `container`, `previous`, `tail`, `since` (seconds), `follow` (default yes).
//! Events: `lines` with `[{at, pod, container, text}]`, `end` with a problem or `null`.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, Query, Request, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use berth_core::{Error, OpCtx, Result, ports::cluster::LogQuery, recheck};
use berth_types::{Action, NamespaceName, Resource, TenantName, rows::LogLine, text::printable};
use futures::{Stream, StreamExt, stream::BoxStream};
use serde::Deserialize;

use crate::{WebState, pages, session};

/// Most lines of one event.
const BATCH: usize = 200;
/// Most lines to begin with.
const MAX_TAIL: i64 = 5000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LogParams {
    app: Option<String>,
    component: Option<String>,
    pod: Option<String>,
    container: Option<String>,
    previous: bool,
    tail: Option<i64>,
    since: Option<u64>,
    follow: Option<bool>,
}

impl LogParams {
    fn query(self) -> LogQuery {
        let some = |text: Option<String>| text.filter(|t| !t.is_empty());
        LogQuery {
            app: some(self.app),
            component: some(self.component),
            pod: some(self.pod),
            container: some(self.container),
            previous: self.previous,
            follow: self.follow.unwrap_or(!self.previous),
            tail: Some(self.tail.unwrap_or(500).clamp(0, MAX_TAIL)),
            since: self.since.map(Duration::from_secs),
        }
    }
}

/// Whether the person may still read these logs.
async fn may(state: &WebState, ctx: &OpCtx, tenant: &TenantName, namespace: &NamespaceName) -> Result<()> {
    state.services.authz().namespace(ctx, tenant, namespace, Resource::Log, Action::Read).await.map(|_| ())
}

fn events(lines: BoxStream<'static, Result<LogLine>>) -> impl Stream<Item = Event> {
    // What is there already goes out together; nothing waits for more.
    lines.ready_chunks(BATCH).flat_map(|chunk| {
        let mut batch = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for line in chunk {
            match line {
                Ok(line) => batch.push(LogLine { text: printable(&line.text).into_owned(), ..line }),
                Err(e) => failed = Some(e),
            }
        }
        let mut out = Vec::new();
        if !batch.is_empty() {
            out.push(Event::default().event("lines").data(serde_json::to_string(&batch).unwrap_or_default()));
        }
        if let Some(e) = failed {
            out.push(end(Some(&e)));
        }
        futures::stream::iter(out)
    })
}

fn end(error: Option<&Error>) -> Event {
    let data = error.map_or_else(
        || "null".to_owned(),
        |e| serde_json::json!({ "code": e.code(), "message": e.message() }).to_string(),
    );
    Event::default().event("end").data(data)
}

/// The stream.
pub async fn stream(
    State(state): State<WebState>,
    Path((tenant, namespace)): Path<(String, String)>,
    Query(params): Query<LogParams>,
    request: Request,
) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if ctx.person().is_none() {
        return pages::problem(&ctx, &Error::unauthenticated());
    }
    let (Ok(tenant), Ok(namespace)) = (tenant.parse::<TenantName>(), namespace.parse::<NamespaceName>()) else {
        return pages::problem(&ctx, &Error::not_found());
    };
    let lines = match state.services.logs(&ctx, (&tenant, &namespace), &params.query()).await {
        Ok(lines) => lines,
        Err(e) => return pages::problem(&ctx, &e),
    };
    let session = session::until_ended(state.clone(), ctx.clone(), request.headers().clone());
    let rights = {
        let (state, ctx) = (state.clone(), ctx.clone());
        async move { recheck::until_refused(&*ctx.clock, || may(&state, &ctx, &tenant, &namespace)).await }
    };
    let ended = async move {
        tokio::select! { e = session => e, e = rights => e }
    };
    let body = async_stream::stream! {
        let lines = events(lines);
        futures::pin_mut!(lines, ended);
        loop {
            tokio::select! {
                event = lines.next() => match event {
                    Some(event) => yield Ok::<_, Infallible>(event),
                    None => { yield Ok(end(None)); break; }
                },
                error = &mut ended => { yield Ok(end(Some(&error))); break; }
            }
        }
    };
    let mut response = Sse::new(body).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}
