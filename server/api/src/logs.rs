//! Logs: as text for people and pipes, as NDJSON for programs, as server-sent events for pages.

use axum::{body::Bytes, response::Response};
use berth_core::{Error, OpCtx, Result, ports::cluster::LogQuery, recheck};
use berth_types::{Action, FieldError, Resource, rows::LogLine, text::printable};
use futures::StreamExt;
use serde_json::json;

use crate::{
    Api,
    caller::Caller,
    places::InNamespace,
    problem::problem,
    query::Asked,
    reply::{EVENTS, NDJSON},
    streams::{BEAT, COMMENT, event, response},
};

/// Parameters of a pod's logs; an app's have `component` too.
pub(crate) const PARAMS: [&str; 5] = ["container", "previous", "follow", "tail", "since"];
/// Lines of each container to begin with, when nothing is said.
const TAIL: i64 = 1000;
/// Most of them.
const MAX_TAIL: i64 = 100_000;
/// Lines that go out together when they are there together.
const TOGETHER: usize = 256;
const TEXT: &str = "text/plain; charset=utf-8";

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text { with_pod: bool },
    Ndjson,
    Events,
}

/// What is asked of the logs of `what`.
///
/// # Errors
/// `Invalid` at the parameter.
pub(crate) fn query(asked: &Asked, what: LogQuery) -> Result<LogQuery> {
    let of_app = what.app.is_some();
    let known: Vec<&str> = PARAMS.into_iter().chain(of_app.then_some("component")).collect();
    asked.only(&known)?;
    Ok(LogQuery {
        component: if of_app { asked.one("component")?.map(str::to_owned) } else { None },
        container: asked.one("container")?.map(str::to_owned),
        previous: asked.flag("previous")?,
        follow: asked.flag("follow")?,
        tail: Some(asked.number("tail", 0, MAX_TAIL)?.unwrap_or(TAIL)),
        since: asked.span("since")?,
        ..what
    })
}

/// Refuses a container that is none of `known`.
///
/// # Errors
/// `Invalid` at `container`, with those there are.
pub(crate) fn known_container<'a>(query: &LogQuery, known: impl Iterator<Item = &'a str>) -> Result<()> {
    among("container", query.container.as_deref(), known)
}

/// The same for a component.
///
/// # Errors
/// `Invalid` at `component`, with those there are.
pub(crate) fn known_component<'a>(query: &LogQuery, known: impl Iterator<Item = &'a str>) -> Result<()> {
    among("component", query.component.as_deref(), known)
}

fn among<'a>(what: &str, wanted: Option<&str>, known: impl Iterator<Item = &'a str>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let mut known: Vec<&str> = known.collect();
    known.dedup();
    if known.is_empty() || known.contains(&wanted) {
        return Ok(());
    }
    let known = known.join(", ");
    let message = format!("there is no {what} “{wanted}”; there are {known}");
    Err(Error::field(FieldError::new(what, format!("{what}_unknown"), message).param("known", known)))
}

/// The lines.
///
/// # Errors
/// What the service says; `RateLimited` when there are too many streams.
pub(crate) async fn respond(
    api: &Api,
    caller: &Caller,
    asked: &Asked,
    namespace: InNamespace,
    query: LogQuery,
) -> Result<Response> {
    let (kind, form) = match asked.accepts(&["text/plain", NDJSON, EVENTS]) {
        EVENTS => (EVENTS, Form::Events),
        NDJSON => (NDJSON, Form::Ndjson),
        _ => (TEXT, Form::Text { with_pod: query.pod.is_none() }),
    };
    let place = api.streams().take(caller.person()?.id)?;
    let lines = api.services().logs(&caller.ctx, namespace.path(), &query).await?;
    let mut lines = Box::pin(lines.ready_chunks(TOGETHER).peekable());
    // Who does not wait for more lines learns by the status that there is no log: it was not written, or is gone.
    if !query.follow
        && form != Form::Events
        && let Some(Err(_)) = lines.as_mut().peek().await.and_then(|chunk| chunk.first())
        && let Some(Err(error)) = lines.next().await.and_then(|chunk| chunk.into_iter().next())
    {
        return Err(error);
    }
    let (api, mut caller) = (api.clone(), caller.clone());
    let body = async_stream::stream! {
        let _place = place;
        let clock = api.services().clock().clone();
        let stop = api.options().stop.clone();
        let request_id = caller.ctx.request_id.clone();
        let mut tick = clock.sleep(recheck::EVERY);
        let mut silent = 0;
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break None,
                () = &mut tick => {
                    tick = clock.sleep(recheck::EVERY);
                    match recheck::in_time(&*clock, may(&api, &caller, &namespace)).await {
                        Ok(ctx) => caller.ctx = ctx,
                        Err(error) => break Some(error),
                    }
                    silent += 1;
                    if silent >= BEAT && form == Form::Events {
                        silent = 0;
                        yield COMMENT;
                    }
                }
                chunk = lines.next() => {
                    let Some(chunk) = chunk else { break None };
                    silent = 0;
                    let mut out = Vec::new();
                    let mut failed = None;
                    for line in chunk {
                        match line {
                            Ok(line) => write(&mut out, form, &line),
                            Err(error) => failed = Some(error),
                        }
                    }
                    yield Bytes::from(out);
                    if failed.is_some() {
                        break failed;
                    }
                }
            }
        };
        yield end(form, ended.as_ref(), &request_id);
    };
    Ok(response(kind, body))
}

/// Whether the person may still read these logs.
async fn may(api: &Api, caller: &Caller, namespace: &InNamespace) -> Result<OpCtx> {
    let ctx = caller.again(api).await?;
    let (tenant, namespace) = namespace.path();
    api.services().authz().namespace(&ctx, tenant, namespace, Resource::Log, Action::Read).await?;
    Ok(ctx)
}

fn write(out: &mut Vec<u8>, form: Form, line: &LogLine) {
    match form {
        // Escape sequences that a container printed must not drive the terminal of who reads its logs.
        Form::Text { with_pod } => {
            if with_pod {
                out.extend_from_slice(format!("[{}/{}] ", line.pod, line.container).as_bytes());
            }
            out.extend_from_slice(printable(&line.text).as_bytes());
            out.push(b'\n');
        }
        Form::Ndjson => {
            if serde_json::to_writer(&mut *out, line).is_ok() {
                out.push(b'\n');
            }
        }
        Form::Events => out.extend_from_slice(&event("line", line)),
    }
}

/// The last words: that it ended, or why it broke off.
fn end(form: Form, error: Option<&Error>, request_id: &str) -> Bytes {
    match (form, error) {
        (Form::Events, None) => event("end", &json!({})),
        (Form::Events, Some(error)) => event("error", &problem(error, request_id)),
        (Form::Ndjson, Some(error)) => Bytes::from(format!("{}\n", json!({ "error": problem(error, request_id) }))),
        (Form::Text { .. }, Some(error)) => Bytes::from(format!("berth: the log broke off: {error}\n")),
        (_, None) => Bytes::new(),
    }
}
