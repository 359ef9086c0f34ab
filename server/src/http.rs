//! The outermost layer: request ids, the client's address, one log entry and the metrics of every request, panics, health.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use berth_core::{RequestMeta, Services, recheck};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, DefaultPredicate, Predicate, predicate::NotForContentType},
};
use tracing::Instrument;

const REQUEST_ID: &str = "x-request-id";

/// What this layer needs.
#[derive(Clone)]
pub struct Outer {
    /// For readiness.
    pub services: Services,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Proxies in front whose `X-Forwarded-For` entries are believed.
    pub trusted_proxies: usize,
    /// Not ready any more once it is cancelled.
    pub stop: CancellationToken,
}

/// Wraps the portal and adds `/healthz`, `/readyz` and `/metrics`. What is in `streams` is not compressed: it must come at once.
pub fn wrap(inner: Router, streams: Router, outer: Outer) -> Router {
    // Quality 4 costs a third of the default's time for a few per cent of size.
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Precise(4))
        .compress_when(DefaultPredicate::new().and(NotForContentType::new("application/wasm")));
    let own = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(|State(outer): State<Outer>| async move { outer.metrics.render() }))
        .with_state(outer.clone());
    inner
        .layer(compression)
        .merge(streams)
        .merge(own)
        .layer(CatchPanicLayer::custom(|_| {
            // The panic hook has written what and where; the client learns only that it is our fault.
            (StatusCode::INTERNAL_SERVER_ERROR, "something broke on our side; nothing was confirmed\n").into_response()
        }))
        .layer(middleware::from_fn_with_state(outer, observe))
}

/// Ready: the database answers, the caches were filled once, and the server is not stopping. A cluster that went away
/// later does not count: pages go on from the cache. Nor do clusters that were registered: one that is away keeps no replica out.
async fn readyz(State(outer): State<Outer>) -> Response {
    let mut wrong = Vec::new();
    if outer.stop.is_cancelled() {
        wrong.push("stopping".to_owned());
    }
    let asked = recheck::in_time(&**outer.services.clock(), outer.services.store().ping());
    if let Err(e) = asked.await {
        wrong.push(format!("database: {e}"));
    }
    if let Some(cluster) = outer.services.clusters().all().first()
        && cluster.freshness().read().is_err()
    {
        wrong.push(format!("cluster {}: not read yet", cluster.id()));
    }
    if wrong.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, wrong.join("\n") + "\n").into_response()
    }
}

/// A request id that a client may choose: short and harmless, or one of ours.
fn request_id(headers: &HeaderMap, services: &Services) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(|id| {
        (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    });
    if let Some(id) = given {
        return id.into();
    }
    let mut bytes = [0; 8];
    match services.random().fill(&mut bytes) {
        Ok(()) => format!("{:016x}", u64::from_be_bytes(bytes)).into(),
        Err(_) => "none".into(),
    }
}

/// The client's address: the connection's, or the entry that the outermost believed proxy added.
fn network(headers: &HeaderMap, peer: Option<SocketAddr>, trusted: usize) -> Arc<str> {
    let peer = peer.map(|p| p.ip().to_string()).unwrap_or_default();
    if trusted == 0 {
        return peer.into();
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    let entry = forwarded.len().checked_sub(trusted).and_then(|at| forwarded.get(at));
    match entry.and_then(|text| text.parse::<std::net::IpAddr>().ok()) {
        Some(address) => address.to_string().into(),
        None => peer.into(),
    }
}

/// Clients choose methods freely; the number of time series must not depend on them either.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            method.as_str()
        }
        _ => "other",
    }
}

/// A path as the log may have it: links that bring somebody in have a secret in theirs.
fn shown(path: &str) -> &str {
    ["/join/", "/reset/", "/account/mail/confirm/"].into_iter().find(|link| path.starts_with(link)).unwrap_or(path)
}

async fn observe(State(outer): State<Outer>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers(), &outer.services);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0);
    let network = network(request.headers(), peer, outer.trusted_proxies);
    request.extensions_mut().insert(RequestMeta { request_id: id.clone(), network: network.clone() });
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let method = request.method().clone();
    let path = shown(request.uri().path()).to_owned();
    // Patterns, not paths: the number of time series must not depend on the number of apps.
    let route = request.extensions().get::<MatchedPath>().map_or("page", MatchedPath::as_str).to_owned();
    // Who looks as somebody else: as whom, and who.
    let (viewed, by) = (tracing::field::Empty, tracing::field::Empty);
    let span = tracing::info_span!("request", request_id = %id, %method, path, "as" = viewed, by);
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = begun.elapsed();
    let status = response.status().as_u16();
    let labels = [("method", known(&method).to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("berth_http_requests_total", &labels).increment(1);
    metrics::histogram!("berth_http_request_seconds", &labels).record(took.as_secs_f64());
    let quiet = path.starts_with("/assets/") || matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics");
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(status, network = &*network, ms = took.as_millis(), "answered");
        } else if !quiet {
            tracing::info!(status, network = &*network, ms = took.as_millis(), "answered");
        }
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(header::HeaderName::from_static(REQUEST_ID), value);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn methods_are_counted_by_the_known_ones() {
        assert_eq!(known(&Method::PATCH), "PATCH");
        assert_eq!(known(&Method::from_bytes(b"AAA1").unwrap()), "other");
    }

    #[test]
    fn no_secret_of_a_link_is_logged() {
        for (path, want) in [
            ("/join/abc", "/join/"),
            ("/reset/abc", "/reset/"),
            ("/join", "/join"),
            ("/account/mail/confirm/abc", "/account/mail/confirm/"),
            ("/t/a", "/t/a"),
        ] {
            assert_eq!(shown(path), want);
        }
    }

    #[test]
    fn only_believed_proxies_name_the_client() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 192.0.2.7, 10.0.0.1"));
        let peer = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
        for (trusted, want) in [(0, "127.0.0.1"), (1, "10.0.0.1"), (2, "192.0.2.7"), (4, "127.0.0.1")] {
            assert_eq!(&*network(&headers, peer, trusted), want, "{trusted}");
        }
    }
}
