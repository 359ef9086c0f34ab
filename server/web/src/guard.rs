//! Security headers on every answer.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use berth_core::audit::chain::hex;

use crate::WebState;

/// The nonce of one answer's scripts.
#[derive(Debug, Clone)]
pub struct Nonce(pub String);

/// The policy: scripts by nonce only, nothing from elsewhere, never in a frame. `style` attributes are allowed, since bars
/// are drawn with them; style sheets only from here. WebAssembly is needed by the islands.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'; style-src 'self'; \
         style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
         manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// Makes the nonce before and sets the headers after.
pub async fn security_headers(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    let mut bytes = [0; 16];
    let nonce = match state.services.random().fill(&mut bytes) {
        Ok(()) => hex(&bytes),
        // Without randomness no script runs; the pages work without.
        Err(_) => String::new(),
    };
    request.extensions_mut().insert(Nonce(nonce.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let csp = if nonce.is_empty() { "default-src 'none'; style-src 'self'".to_owned() } else { policy(&nonce) };
    if let Ok(csp) = HeaderValue::try_from(csp) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(csp);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=()"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if state.options.secure {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    response
}
