//! The same-origin rule for everything that changes something, and for WebSockets, which browsers open across origins.
//!
//! `Sec-Fetch-Site`, else `Origin` against `Host`; without either it is no browser, or one that sends no cookies along
//! (the scheme of Go 1.25's CrossOriginProtection). `SameSite=Lax` stands behind it.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::Response,
};
use berth_core::Error;
use berth_types::ErrorCode;

use crate::{WebState, pages};

/// Whether a request with these headers comes from a page of ours, or from no page at all.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let authority = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, authority)| authority);
            authority.is_some() && authority == text(header::HOST)
        }
    }
}

/// Refuses what comes from elsewhere.
pub async fn same_origin(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrade = request.headers().contains_key(header::UPGRADE);
    if (!safe || upgrade) && !is_same_origin(request.headers()) {
        let error = Error::new(ErrorCode::Forbidden, "this was sent from another site; nothing was done");
        return pages::refusal(&state, request, error).await;
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn rule() {
        for (fetch, origin, want) in [
            (None, None, true),
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (Some("same-site"), None, false),
            (Some("cross-site"), Some("https://berth.example"), false),
            (None, Some("https://berth.example"), true),
            (None, Some("https://evil.example"), false),
            (None, Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("berth.example"));
            if let Some(fetch) = fetch {
                headers.insert("sec-fetch-site", HeaderValue::from_static(fetch));
            }
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_same_origin(&headers), want, "{fetch:?} {origin:?}");
        }
    }
}
