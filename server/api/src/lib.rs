//! REST v1 and its OpenAPI document.
//!
//! Handlers are thin: they read what was sent, call one service of `berth-core`, and write what came back. What all of
//! them share stands in layers ([`problem`], [`guard`], [`caller`], [`idempotency`]) and in small readers ([`body`],
//! [`query`], [`conditional`]). The OpenAPI document comes from the handlers' own attributes, completed by [`document`].

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use berth_core::Services;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

mod agent;
mod body;
mod caller;
mod conditional;
mod docs_page;
mod document;
mod examples;
mod guard;
mod handlers;
mod idempotency;
mod kube;
mod logs;
mod places;
mod problem;
mod query;
mod reply;
mod streams;
mod watch;

pub use document::to_json;

/// How the API is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ends all streams when the server stops.
    pub stop: CancellationToken,
    /// A request without an answer by then gets a `timeout` problem; a change that is under way is still completed.
    pub request_timeout: Duration,
    /// Most streams (watches, followed logs) at once.
    pub max_streams: usize,
    /// Most streams of one person at once.
    pub max_streams_per_person: usize,
    /// The address that people use, where it is not what they send as `Host`: kubeconfigs lead there.
    pub public_url: Option<String>,
    /// Served over TLS, by ourselves or by a proxy.
    pub secure: bool,
}

impl Default for Options {
    /// Half a minute, 1,000 streams, 50 a person.
    fn default() -> Self {
        Self {
            stop: CancellationToken::new(),
            request_timeout: Duration::from_secs(30),
            max_streams: 1000,
            max_streams_per_person: 50,
            public_url: None,
            secure: true,
        }
    }
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    services: Services,
    options: Options,
    streams: streams::Places,
}

impl Api {
    fn services(&self) -> &Services {
        &self.0.services
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn streams(&self) -> &streams::Places {
        &self.0.streams
    }
}

/// The API, with absolute paths: `/api/v1/…`, `/api/v1/openapi.json`, `/api/docs`. All other paths below `/api` are
/// answered with a problem too, so it can be merged into a router that has a fallback of its own.
pub fn router(services: Services, options: Options) -> Router {
    let streams = streams::Places::new(options.max_streams, options.max_streams_per_person);
    let api = Api(Arc::new(Shared { services, options, streams }));
    let (operations, _) = handlers::routes().split_for_parts();
    let operations = operations
        .route_layer(middleware::from_fn_with_state(api.clone(), idempotency::replay))
        .route_layer(middleware::from_fn_with_state(api.clone(), caller::authenticate));
    let (open, _) = handlers::open_routes().split_for_parts();
    Router::new()
        .nest("/api/v1", operations.merge(open))
        .merge(docs_page::routes())
        .nest("/api", Router::new().fallback(guard::nothing_here))
        .layer(middleware::from_fn_with_state(api.clone(), guard::guard))
        .layer(middleware::from_fn_with_state(api.clone(), problem::finish))
        .with_state(api)
}

/// A cluster's own API for `kubectl`, below `/k8s`. It has streams, and no time limit on them: no layer around it may have one,
/// hold bytes back or compress them.
pub fn kubectl_router(services: Services, options: Options) -> Router {
    let streams = streams::Places::new(options.max_streams, options.max_streams_per_person);
    kube::routes().with_state(Api(Arc::new(Shared { services, options, streams })))
}

/// Where agents of clusters call. A stream for as long as the agent lives: as for [`kubectl_router`], no layer around it may end it.
pub fn agent_router(services: Services, options: Options) -> Router {
    let streams = streams::Places::new(options.max_streams, options.max_streams_per_person);
    let api = Api(Arc::new(Shared { services, options, streams }));
    agent::routes().layer(middleware::from_fn_with_state(api.clone(), problem::finish)).with_state(api)
}

/// The OpenAPI 3.1 document of [`router`].
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let nested: OpenApiRouter<Api> =
        OpenApiRouter::default().nest("/api/v1", handlers::routes().merge(handlers::open_routes()));
    document::complete(nested.into_openapi())
}
