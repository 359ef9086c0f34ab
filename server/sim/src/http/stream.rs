//! exec, attach and port-forward over WebSocket.

use axum::body::Body;
use http::{Request, Response};

use super::Context;
use crate::status::{Result, Status};

/// Turns the connection into a stream in both directions.
pub async fn connect(_cx: Context, _request: Request<Body>) -> Result<Response<Body>> {
    Err(Status::bad_request("Upgrade request required"))
}
