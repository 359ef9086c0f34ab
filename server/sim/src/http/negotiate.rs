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
}

impl Accept {
    /// Reads the header; the first acceptable alternative wins.
    pub fn parse(header: Option<&str>) -> Self {
        let mut out = Self::default();
        let Some(header) = header else { return out };
        let mut first = true;
        out.protobuf_only = !header.is_empty();
        for clause in header.split(',') {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let mut kind = "";
            let mut group = "";
            for part in parts {
                match part.split_once('=') {
                    Some(("as", value)) => kind = value,
                    Some(("g", value)) => group = value,
                    _ => {}
                }
            }
            if !media.contains("protobuf") {
                out.protobuf_only = false;
            }
            let readable = matches!(media, "application/json" | "*/*" | "application/*" | "application/yaml");
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
        out
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
