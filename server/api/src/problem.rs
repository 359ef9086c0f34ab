//! Errors on the wire: RFC 9457 `application/problem+json`, always.
//!
//! A handler returns [`Failure`], which only notes the error on the response; [`finish`], the outermost layer, writes the
//! document, since it knows the request's id. It also gives a body to what the router itself refuses.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use berth_core::{Error, RequestMeta, error::causes};
use berth_types::{ErrorCode, Problem};

use crate::Api;

/// Media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What handlers return when they do not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure(pub Error);

/// What handlers return.
pub(crate) type Reply = Result<Response, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(self.0.code()).into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Gives every request an id and every refusal a problem document.
pub(crate) async fn finish(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let meta = meta(&api, &request);
    let with_credentials = request.headers().contains_key(header::AUTHORIZATION);
    let what = format!("{} {}", request.method(), request.uri().path());
    request.extensions_mut().insert(meta.clone());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        note(&error, &what, &meta.request_id);
        response = render(&error, &meta.request_id);
    } else if let Some(error) = refused_by_router(&response) {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = render(&error, &meta.request_id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge =
            if with_credentials { "Bearer realm=\"berth\", error=\"invalid_token\"" } else { "Bearer realm=\"berth\"" };
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&meta.request_id) {
        response.headers_mut().entry(REQUEST_ID).or_insert(id);
    }
    response
}

/// What an outer layer knows of the request, or what can be found here.
pub(crate) fn meta(api: &Api, request: &Request) -> RequestMeta {
    if let Some(meta) = request.extensions().get::<RequestMeta>() {
        return meta.clone();
    }
    let sent = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let usable = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let request_id = sent.filter(usable).map_or_else(|| new_id(api), Into::into);
    let peer = request.extensions().get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    let network = peer.map_or_else(|| "".into(), |peer| peer.0.ip().to_string().into());
    RequestMeta { request_id, network }
}

fn new_id(api: &Api) -> Arc<str> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = api.services().clock().now().as_millisecond();
    format!("api-{now:x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Our faults go to the log with their causes; all else is the client's business.
pub(crate) fn note(error: &Error, what: &str, request_id: &str) {
    if error.code().status() < 500 {
        return;
    }
    let causes = std::error::Error::source(error).map(causes).unwrap_or_default();
    tracing::error!(request_id, what, code = %error.code(), error = %error, causes, "a request failed");
}

/// The error that a response without a document of its own stands for.
fn refused_by_router(response: &Response) -> Option<Error> {
    let code = match response.status() {
        status if status.is_success() || status.is_redirection() || status.is_informational() => return None,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ErrorCode::Timeout,
        status if status.is_client_error() => ErrorCode::Malformed,
        _ => ErrorCode::Internal,
    };
    let typed = response.headers().get(header::CONTENT_TYPE);
    if typed.is_some_and(|kind| kind == PROBLEM_JSON) {
        return None;
    }
    Some(match code {
        ErrorCode::NotFound => Error::new(code, "there is nothing at this path; /api/docs lists what there is"),
        ErrorCode::MethodNotAllowed => Error::new(code, "this path answers the methods that Allow names"),
        code => Error::new(code, code.title()),
    })
}

/// The document.
pub(crate) fn problem(error: &Error, request_id: &str) -> Problem {
    error.problem(request_id)
}

/// The document as a response.
pub(crate) fn render(error: &Error, request_id: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = error.wait() {
        // At least 1: clients take 0 for "at once, again and again".
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    }
    let body = serde_json::to_vec(&problem(error, request_id)).unwrap_or_default();
    (status(error.code()), headers, Body::from(body)).into_response()
}
