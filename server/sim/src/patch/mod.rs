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
    let parsed: Value =
        serde_json::from_slice(body).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let mut out = current.clone();
    match kind {
        PatchKind::Json => {
            let patch: json_patch::Patch = serde_json::from_value(parsed)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
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
            json_patch::patch(&mut out, &patch)
                .map_err(|error| Status::new(422, "Invalid", json_patch_error(&patch, &error)))?;
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

/// As evanphx/json-patch words it.
fn json_patch_error(patch: &json_patch::Patch, error: &json_patch::PatchError) -> String {
    use json_patch::{PatchErrorKind, PatchOperation};
    let path = error.path.to_string();
    let why = match (&error.kind, patch.0.get(error.operation)) {
        (PatchErrorKind::TestFailed, _) => format!("testing value {path} failed: test failed"),
        (_, Some(PatchOperation::Remove(_))) => {
            format!("remove operation does not apply: doc is missing path: {path}: missing value")
        }
        (_, Some(PatchOperation::Replace(_))) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        (_, Some(PatchOperation::Add(_))) => {
            format!("add operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        (_, Some(PatchOperation::Test(_))) => format!("testing value {path} failed: test failed"),
        _ => format!("{path}: {}", error.kind),
    };
    format!("the server rejected our request due to an error in our request: {why}")
}
