//! What handlers answer with.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, Result,
    ports::cluster::{CacheState, Freshness},
};
use berth_types::{Page, list::ListFreshness};
use serde::Serialize;

use crate::{
    conditional::{known, tag_of},
    query::Asked,
};

/// JSON.
pub(crate) const JSON: &str = "application/json";
/// YAML (RFC 9512).
pub(crate) const YAML: &str = "application/yaml";
/// One JSON document a line.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// Comma-separated values (RFC 4180).
pub(crate) const CSV: &str = "text/csv";
/// Server-sent events.
pub(crate) const EVENTS: &str = "text/event-stream";

fn typed(kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // What one person sees is nobody else's, and is old at once.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// JSON.
///
/// # Errors
/// Internal: what we answer with can always be written.
pub(crate) fn json(value: &impl Serialize) -> Result<Response> {
    Ok(typed(JSON, serde_json::to_vec(value).map_err(Error::internal)?))
}

/// Text of another kind.
pub(crate) fn text(kind: &'static str, text: String) -> Response {
    typed(kind, text.into_bytes())
}

/// What has begun.
///
/// # Errors
/// Internal.
pub(crate) fn accepted(value: &impl Serialize) -> Result<Response> {
    let mut response = json(value)?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// What was made, with where it is.
///
/// # Errors
/// Internal.
pub(crate) fn created(value: &impl Serialize, location: &str) -> Result<Response> {
    let mut response = json(value)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Done, nothing to say.
pub(crate) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// With its entity tag.
pub(crate) fn with_tag(mut response: Response, tag: Option<HeaderValue>) -> Response {
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// With its entity tag, or 304 when the client has it already.
pub(crate) fn unless_known(asked: &Asked, response: Response, tag: Option<HeaderValue>) -> Response {
    let Some(tag) = tag else { return response };
    if !known(&asked.headers, &tag) {
        return with_tag(response, Some(tag));
    }
    let mut unchanged = StatusCode::NOT_MODIFIED.into_response();
    if let Some(caching) = response.headers().get(header::CACHE_CONTROL) {
        unchanged.headers_mut().insert(header::CACHE_CONTROL, caching.clone());
    }
    with_tag(unchanged, Some(tag))
}

/// JSON tagged by its content, or 304.
///
/// # Errors
/// Internal.
pub(crate) fn tagged(asked: &Asked, value: &impl Serialize) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    let tag = tag_of(&body);
    Ok(unless_known(asked, typed(JSON, body), tag))
}

/// A page of a list, with a link to the next; or 304.
///
/// # Errors
/// Internal.
pub(crate) fn page<T: Serialize>(asked: &Asked, page: &Page<T>) -> Result<Response> {
    // The age of unchanged rows is no change.
    let tag = tag_of(&serde_json::to_vec(&(&page.items, page.total, &page.next)).map_err(Error::internal)?);
    let mut response = unless_known(asked, json(page)?, tag);
    let link = page.next.as_deref().map(|cursor| format!("<{}>; rel=\"next\"", asked.next(cursor)));
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A page of what a cluster's cache shows, with its age.
pub(crate) fn aged<T>(mut page: Page<T>, freshness: &Freshness) -> Page<T> {
    page.as_of = page.as_of.or(freshness.as_of);
    page.freshness = Some(told(freshness));
    page
}

/// Whether a cluster's cache follows it, as the API says it.
pub(crate) fn told(freshness: &Freshness) -> ListFreshness {
    let (state, since, reason) = match &freshness.state {
        CacheState::Loading => ("loading", None, None),
        CacheState::Live => ("live", None, None),
        CacheState::Stale { since, reason } => ("stale", Some(*since), Some(reason.to_string())),
    };
    ListFreshness { state: state.to_owned(), since, reason, idle_since: freshness.idle_since }
}
