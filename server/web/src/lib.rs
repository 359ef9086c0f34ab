//! What stands between a browser and the pages: sessions, same-origin rule, security headers, assets, live streams,
//! terminals. The pages themselves come through [`berth_core::ports::pages::Pages`].

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};
use berth_core::{Services, ports::pages::SharedPages};
use tokio_util::sync::CancellationToken;

pub mod assets;
pub mod cookies;
mod export;
mod guard;
mod kubeconfig;
mod live;
mod logs;
mod origin;
mod pages;
mod session;
mod sign_in;
mod terminal;

pub use assets::Site;

/// How the browser's side is served.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// Served over TLS, by ourselves or by a proxy: cookies are `Secure` with the `__Host-` prefix, and HSTS is sent. Off
    /// only for plain http on loopback.
    pub secure: bool,
    /// Most bytes of a form.
    pub max_form_bytes: usize,
    /// The address that browsers use, where it is not what they send as `Host`: identity providers send people back there.
    pub public_url: Option<String>,
}

/// What every handler of this crate sees.
#[derive(Clone)]
pub struct WebState {
    /// What can be done.
    pub services: Services,
    /// The pages.
    pub pages: SharedPages,
    /// Style sheet and browser part.
    pub site: Arc<Site>,
    /// How it is served.
    pub options: WebOptions,
    /// Ends all streams when the server stops.
    pub stop: CancellationToken,
}

/// Entry points of this crate that are no pages, for the test that tries every one without rights: path and right.
pub const STREAMS: &[&str] = &[
    "/live",
    "/t/{tenant}/n/{namespace}/logs/stream",
    "/t/{tenant}/n/{namespace}/pods/{pod}/exec",
    "/admin/audit/export",
    "/auth/{provider}/start",
    "/t/{tenant}/kubectl/file",
    "/auth/{provider}/callback",
];

/// The browser's side. Everything that nobody else answers is a page.
pub fn router(state: WebState) -> Router {
    let streams = Router::new()
        .route("/live", get(live::live))
        .route("/admin/audit/export", get(export::export))
        .route("/auth/{provider}/start", post(sign_in::start))
        .route("/auth/{provider}/callback", get(sign_in::callback))
        .route("/t/{tenant}/kubectl/file", post(kubeconfig::file))
        .route("/t/{tenant}/n/{namespace}/logs/stream", get(logs::stream))
        .route("/t/{tenant}/n/{namespace}/pods/{pod}/exec", get(terminal::exec));
    Router::new()
        .merge(streams)
        .fallback(pages::page)
        .layer(middleware::from_fn_with_state(state.clone(), session::authenticate))
        .layer(middleware::from_fn_with_state(state.clone(), origin::same_origin))
        .route("/assets/{*path}", get(assets::asset))
        .route("/favicon.ico", get(assets::favicon))
        .layer(middleware::from_fn_with_state(state.clone(), guard::security_headers))
        .with_state(state)
}
