//! Upgrades without a socket: a request that wants to become a stream is carried over a pipe in memory, because
//! only a real HTTP/1.1 connection can change its protocol.

use axum::{Router, body::Body, extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};

use crate::status::Status;

/// Bytes that the pipe holds.
const PIPE: usize = 256 * 1024;

fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

/// Serves `inner`; requests that ask for an upgrade reach it over a connection in memory.
pub fn in_process(inner: Router) -> Router {
    let target = inner.clone();
    inner.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let target = target.clone();
        async move {
            if wants_upgrade(request.headers()) && request.extensions().get::<hyper::upgrade::OnUpgrade>().is_none() {
                return carry(target, request)
                    .await
                    .unwrap_or_else(|error| super::negotiate::status_response(&Status::internal(error)));
            }
            next.run(request).await
        }
    }))
}

async fn carry(target: Router, request: Request) -> Result<Response, hyper::Error> {
    let (near, far) = tokio::io::duplex(PIPE);
    tokio::spawn(async move {
        let service = TowerToHyperService::new(target);
        let builder = auto::Builder::new(TokioExecutor::new());
        if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(far), service).await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    });
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(near)).await?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let (mut parts, body) = request.into_parts();
    // HTTP/1.1 needs the path alone and a host.
    if let Some(path) = parts.uri.path_and_query().cloned() {
        parts.uri = http::Uri::from(path);
    }
    parts.headers.entry(header::HOST).or_insert(http::HeaderValue::from_static("berth-sim"));
    let response = sender.send_request(http::Request::from_parts(parts, body)).await?;
    Ok(response.map(Body::new))
}
