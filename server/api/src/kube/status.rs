//! Refusals as `metav1.Status`: of anything else `kubectl` prints nothing that helps.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use berth_core::Error;
use berth_types::ErrorCode;
use serde_json::{Value, json};

/// Kubernetes' word for it.
fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => "Unauthorized",
        ErrorCode::Forbidden | ErrorCode::Viewing | ErrorCode::Suspended | ErrorCode::QuotaExceeded => "Forbidden",
        ErrorCode::NotFound => "NotFound",
        ErrorCode::MethodNotAllowed => "MethodNotAllowed",
        ErrorCode::NotAcceptable => "NotAcceptable",
        ErrorCode::AlreadyExists => "AlreadyExists",
        ErrorCode::Conflict | ErrorCode::PreconditionFailed | ErrorCode::PreconditionRequired => "Conflict",
        ErrorCode::Invalid | ErrorCode::IdempotencyMismatch | ErrorCode::ClusterRefused => "Invalid",
        ErrorCode::Malformed => "BadRequest",
        ErrorCode::TooLarge => "RequestEntityTooLarge",
        ErrorCode::UnsupportedMediaType => "UnsupportedMediaType",
        ErrorCode::RateLimited => "TooManyRequests",
        ErrorCode::ClusterUnavailable | ErrorCode::StoreUnavailable => "ServiceUnavailable",
        ErrorCode::Timeout => "Timeout",
        ErrorCode::Internal => "InternalError",
    }
}

fn document(error: &Error) -> Value {
    let code = error.code();
    let causes = error.fields().iter();
    let causes: Vec<Value> = causes
        .map(|field| json!({ "reason": "FieldValueInvalid", "message": field.message, "field": field.field }))
        .collect();
    let mut status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message(),
        "reason": reason(code),
        "code": code.status(),
    });
    if !causes.is_empty() {
        // kubectl prints the message alone.
        let said = error.fields().iter().map(|field| format!("{}: {}", field.field, field.message));
        status["message"] = said.collect::<Vec<_>>().join("; ").into();
        status["details"] = json!({ "causes": causes });
    }
    status
}

/// The answer to what is not done.
pub(super) fn refusal(error: &Error) -> Response {
    let mut response = Response::new(Body::from(document(error).to_string()));
    *response.status_mut() = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Clients send again by themselves what says when to: only where nothing was done.
    if let Some(wait) = error.wait().filter(|_| error.code() == ErrorCode::RateLimited) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
    }
    response
}
