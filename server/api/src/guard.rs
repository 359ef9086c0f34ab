//! Time limits, and care for changes under way.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use berth_core::Error;
use berth_types::ErrorCode;
use futures::FutureExt;
use tracing::Instrument;

use crate::{Api, problem::Failure};

/// Answers in time. A change goes on to its end even when its client is gone or the time is up: what was begun is also
/// written down in the audit log, and a reply that an idempotency key stands for is kept.
pub(crate) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let work = AssertUnwindSafe(next.run(request)).catch_unwind().in_current_span();
    let limit = api.options().request_timeout;
    let done = if reads {
        tokio::time::timeout(limit, work).await.ok()
    } else {
        let task = tokio::spawn(work);
        match tokio::time::timeout(limit, task).await {
            Ok(Ok(done)) => Some(done),
            Ok(Err(e)) => return Failure(Error::internal(e)).into_response(),
            Err(_) => None,
        }
    };
    match done {
        Some(Ok(response)) => response,
        // The panic itself is in the log; its text may hold anything.
        Some(Err(_)) => Failure(Error::internal("a handler panicked")).into_response(),
        None => {
            let message = if reads {
                "this took too long; try again, or ask for less"
            } else {
                "this took too long; the change may still be made: look before you try again"
            };
            Failure(Error::new(ErrorCode::Timeout, message)).into_response()
        }
    }
}

/// For paths below `/api` that do not exist.
pub(crate) async fn nothing_here() -> axum::http::StatusCode {
    axum::http::StatusCode::NOT_FOUND
}
