//! `/live?path=…&path=…`: one event stream for the live parts of one page, or of the pages of several tabs.
//!
//! Events: `fragments` with `{"page": PATH, "fragments": [{"id", "html"}]}`, `gone` with `{"page", "code", "status"}` when a
//! page may not be followed any more (the others go on; where that cannot be said, the stream ends), `hello` with `{"as": VIEW}` (as whom one looks) at the beginning, `bye` when the whole stream ends and may be opened again.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Request, State},
    http::{StatusCode, Uri},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use berth_core::{Error, OpCtx, ports::pages::Fragment};
use berth_types::ErrorCode;
use futures::{StreamExt, future, stream};
use serde::Serialize;

use crate::{WebState, guard::Nonce, pages, session};

/// Most pages of one stream.
const MAX_PAGES: usize = 16;
/// Proxies cut what is silent for long.
const BEAT: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Fragments<'a> {
    page: &'a str,
    fragments: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    html: &'a str,
}

#[derive(Serialize)]
struct Gone<'a> {
    page: &'a str,
    code: &'a str,
    status: u16,
}

/// Whether nobody can say what becomes of a page: it is not gone, and the stream may be opened again.
fn is_open(error: &Error) -> bool {
    error.code() == ErrorCode::StoreUnavailable
}

/// `None` where the stream ends.
fn event(page: &str, item: Result<Vec<Fragment>, Error>) -> Option<Event> {
    let (name, data) = match &item {
        Ok(fragments) => {
            let fragments = fragments.iter().map(|f| Item { id: &f.id, html: &f.html }).collect();
            ("fragments", serde_json::to_string(&Fragments { page, fragments }))
        }
        Err(e) if is_open(e) => return None,
        Err(e) => ("gone", serde_json::to_string(&Gone { page, code: e.code().as_str(), status: e.code().status() })),
    };
    Some(Event::default().event(name).data(data.unwrap_or_default()))
}

/// The stream.
pub async fn live(State(state): State<WebState>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if ctx.person().is_none() {
        return pages::problem(&ctx, &Error::unauthenticated());
    }
    let asked = pages::page_request(&state, request.uri(), request.headers(), request.extensions().get::<Nonce>());
    let mut followed = Vec::new();
    for (_, path) in asked.query.iter().filter(|(key, _)| key == "path").take(MAX_PAGES) {
        let Ok(uri) = path.parse::<Uri>() else { continue };
        let page = pages::page_request(&state, &uri, request.headers(), None);
        let path = path.clone();
        match state.pages.live(&ctx, page).await {
            Ok(fragments) => followed.push(fragments.map(move |item| event(&path, item)).boxed()),
            Err(e) if is_open(&e) => return pages::problem(&ctx, &e),
            Err(e) => followed.push(stream::once(async move { event(&path, Err(e)) }).boxed()),
        }
    }
    // Pages that were seen in another look as somebody else, or in none, are not kept up to date but loaded anew.
    let seen_as = serde_json::json!({ "as": pages::look(&ctx).unwrap_or_default() }).to_string();
    let ended = session::until_ended(state.clone(), ctx, request.headers().clone());
    // Opened at once, so that the browser knows it is connected before anything changes.
    let hello =
        stream::once(async move { Event::default().event("hello").retry(Duration::from_secs(1)).data(seen_as) });
    let events = hello
        .chain(
            stream::select_all(followed)
                .chain(stream::pending())
                .take_while(|event| future::ready(event.is_some()))
                .filter_map(future::ready)
                .take_until(ended),
        )
        .chain(stream::once(async { Event::default().event("bye").data("{}") }))
        .map(Ok::<_, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT)).into_response();
    // nginx and its kin would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}
