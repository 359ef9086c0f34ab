//! JSON Patch (RFC 6902), JSON merge patch (RFC 7396) and strategic merge patch.

mod strategic;

use serde_json::Value;

use crate::{
    registry::ResourceType,
    status::{Result, Status},
};

/// The media types of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// `application/apply-patch+yaml`.
    Apply,
}

impl PatchKind {
    /// The kind of a media type.
    #[must_use]
    pub fn of(media: &str) -> Option<Self> {
        match media {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }
}

/// The most operations that a JSON Patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// The object after the patch.
///
/// # Errors
/// 400 when the patch cannot be read, 422 when it cannot be applied.
pub fn apply(kind: PatchKind, resource: &ResourceType, version: &str, current: &Value, body: &[u8]) -> Result<Value> {
    let parsed: Value = serde_json::from_slice(body).map_err(|error| {
        let why = crate::go_json::fault(body).unwrap_or_else(|| error.to_string());
        Status::bad_request(format!("error decoding patch: {why}"))
    })?;
    let mut out = current.clone();
    match kind {
        PatchKind::Json => {
            if !parsed.is_array() {
                let found = crate::http::json_type(&parsed);
                let why = format!("json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp");
                return Err(Status::bad_request(format!("error decoding patch: {why}")));
            }
            let patch: json_patch::Patch = serde_json::from_value(parsed).map_err(|_| json_patch_refused())?;
            if patch.0.len() > MAX_OPERATIONS {
                return Err(Status::new(
                    413,
                    "RequestEntityTooLarge",
                    format!(
                        "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                        patch.0.len()
                    ),
                ));
            }
            json_patch::patch(&mut out, &patch).map_err(|_| json_patch_refused())?;
        }
        PatchKind::Merge => {
            if !parsed.is_object() {
                return Err(Status::bad_request("error decoding patch: the patch is no object"));
            }
            json_patch::merge(&mut out, &parsed);
        }
        PatchKind::Strategic | PatchKind::Apply => {
            if !parsed.is_object() {
                return Err(Status::bad_request("error decoding patch: the patch is no object"));
            }
            strategic::merge(resource, version, &mut out, &parsed)?;
        }
    }
    Ok(out)
}

/// The real server keeps to itself which operation failed (`NewGenericServerResponse`).
fn json_patch_refused() -> Status {
    let mut status = Status::new(422, "Invalid", "the server rejected our request due to an error in our request");
    status.details = Some(Box::default());
    status
}
