//! What the client wants to read, and how answers are written.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::status::Status;

/// The shape that an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// The objects themselves.
    #[default]
    Object,
    /// `meta.k8s.io/v1 Table`.
    Table,
    /// `PartialObjectMetadata` or its list.
    Metadata,
}

/// The `Accept` header, as far as it matters.
#[derive(Debug, Clone, Default)]
pub struct Accept {
    /// What shape the client prefers.
    pub shape: Shape,
    /// Whether it wants aggregated discovery.
    pub aggregated: bool,
    /// Whether it would like YAML better than JSON.
    pub yaml: bool,
    /// Whether it asked for the schema as protobuf only.
    pub protobuf_only: bool,
    /// Set when nothing that the client accepts can be had: whether a shape is the reason.
    unreadable: Option<bool>,
}

impl Accept {
    /// Reads the header; the first acceptable alternative wins.
    pub fn parse(header: Option<&str>) -> Self {
        let mut out = Self::default();
        let Some(header) = header else { return out };
        let mut first = true;
        let (mut strange, mut odd_shape) = (!header.trim().is_empty(), false);
        out.protobuf_only = !header.is_empty();
        for clause in header.split(',') {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let mut kind = "";
            let (mut group, mut version) = ("", "");
            for part in parts {
                match part.split_once('=') {
                    Some(("as", value)) => kind = value,
                    Some(("g", value)) => group = value,
                    Some(("v", value)) => version = value,
                    _ => {}
                }
            }
            if !media.contains("protobuf") {
                out.protobuf_only = false;
            }
            let text = media.starts_with("text/") || media == "application/openapi+json";
            let known = matches!(media, "application/json" | "*/*" | "application/*" | "application/yaml");
            strange &=
                !known && !media.contains("protobuf") && !media.contains("cbor") && !(text && media != "text/html");
            let readable = known && !(kind == "Table" && version != "v1" && version != "v1beta1");
            odd_shape |= known && !readable;
            if !readable {
                continue;
            }
            if first {
                out.shape = match kind {
                    "Table" => Shape::Table,
                    "PartialObjectMetadata" | "PartialObjectMetadataList" => Shape::Metadata,
                    _ => Shape::Object,
                };
                out.aggregated = kind == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io";
                out.yaml = media == "application/yaml";
                first = false;
            }
        }
        out.unreadable = (strange || (first && odd_shape)).then_some(odd_shape);
        out
    }
}

impl Accept {
    /// 406 when there is nothing that the client would read.
    pub fn refused(&self) -> Option<Status> {
        const SPOKEN: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        let odd_shape = self.unreadable?;
        if odd_shape {
            let message = format!("only the following media types are accepted: {SPOKEN}");
            return Some(Status::new(406, "NotAcceptable", message));
        }
        let streams = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        let message = format!("406: Not Acceptable\n\nAvailable representations: {SPOKEN}, {streams}");
        let mut status = Status::new(406, "NotAcceptable", message);
        status.details = Some(Box::default());
        Some(status)
    }
}

/// A JSON answer.
pub fn json_response(code: StatusCode, value: &Value) -> Response<Body> {
    bytes_response(code, "application/json", serde_json::to_vec(value).unwrap_or_default().into())
}

/// An answer whose bytes are ready.
pub fn bytes_response(code: StatusCode, media: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A refused request.
pub fn status_response(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if code == StatusCode::NOT_FOUND && status.reason.is_empty() {
        return bytes_response(code, "text/plain; charset=utf-8", status.message.clone().into());
    }
    let mut response = json_response(code, &status.to_value());
    if let Some(seconds) = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// `metav1.Status` of success.
pub fn success(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let mut details = json!({});
    for (key, value) in [("name", name), ("group", group), ("kind", resource), ("uid", uid)] {
        if !value.is_empty() {
            details[key] = json!(value);
        }
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// An object reduced to its metadata.
pub fn partial_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
