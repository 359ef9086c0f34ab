//! `metav1.Status` as an error: what every refused request answers.
//! Texts and reasons follow `k8s.io/apimachinery/pkg/api/errors`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A refused request, in the words of the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// CamelCase reason, e.g. `NotFound`.
    pub reason: String,
    /// What a person reads.
    pub message: String,
    /// Which object, and the causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: how to go on with an expired list.
    #[serde(skip)]
    pub continue_token: Option<String>,
}

/// `metav1.StatusDetails`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource (plural) or, for validation errors, kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry a fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, in seconds.
    #[serde(default, rename = "retryAfterSeconds", skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// `metav1.StatusCause`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// e.g. `FieldValueRequired`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong, without the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// JSON path of the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Result of an API operation.
pub type Result<T, E = Status> = std::result::Result<T, E>;

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Status {
    /// A status without details.
    #[must_use]
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None, continue_token: None }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..Details::default()
        }));
        self
    }

    /// 404 for an object.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(group, resource)))
            .about(group, resource, name)
    }

    /// 404 for a path that serves nothing.
    #[must_use]
    pub fn no_such_resource() -> Self {
        let mut status = Self::new(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Box::default());
        status
    }

    /// 409 on create.
    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", qualified(group, resource)))
            .about(group, resource, name)
    }

    /// 409 with a reason of its own.
    #[must_use]
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource)),
        )
        .about(group, resource, name)
    }

    /// 409 because somebody else wrote first.
    #[must_use]
    pub fn stale(group: &str, resource: &str, name: &str) -> Self {
        Self::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403. `resource` is the plural, `why` e.g. `exceeded quota: …`.
    #[must_use]
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let qualified = qualified(group, resource);
        let message = if group.is_empty() && resource.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{qualified} is forbidden: {why}")
        } else {
            format!("{qualified} \"{name}\" is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(group, resource, name)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 405 for a verb that the resource does not have.
    #[must_use]
    pub fn method_not_supported() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Self::new(405, "MethodNotAllowed", message);
        status.details = Some(Box::default());
        status
    }

    /// 404 for a path that no part of the server knows: told as plain text, not as a `Status`.
    #[must_use]
    pub fn no_such_page() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    /// 500 of a creation that names a version.
    #[must_use]
    pub fn version_on_create() -> Self {
        Self::new(500, "", "resourceVersion should not be set on objects to be created")
    }

    /// 410: a watch or a continue token from before what is remembered.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 410 as a watch sends it.
    #[must_use]
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// 429, e.g. an eviction that a disruption budget refuses.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut status = Self::new(429, "TooManyRequests", message);
        status.details = Some(Box::new(Details { retry_after_seconds, ..Details::default() }));
        status
    }

    /// 500.
    #[must_use]
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let mut status = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        status.details = Some(Box::new(Details {
            causes: vec![Cause { reason: String::new(), message: message.to_string(), field: String::new() }],
            ..Details::default()
        }));
        status
    }

    /// 500 of a write for which the store has no room: etcd's words, which the original passes on without a reason.
    #[must_use]
    pub fn no_space() -> Self {
        Self::new(500, "", "etcdserver: mvcc: database space exceeded")
    }

    /// 500 of a server-side apply whose object does not fit the schema. Go's server does not expect that error, hence
    /// neither reason nor details.
    #[must_use]
    pub fn untyped_patch(applied: &Value, why: &str) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (meta, api) = (&applied["metadata"], text(&applied["apiVersion"]));
        let api = if api.contains('/') { api } else { format!("/{api}") };
        let (namespace, name, kind) = (text(&meta["namespace"]), text(&meta["name"]), text(&applied["kind"]));
        let message = format!("failed to create typed patch object ({namespace}/{name}; {api}, Kind={kind}): {why}");
        Self::new(500, "", message)
    }

    /// 422 from a list of field errors. `kind` is the Kind, not the plural.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let parts: Vec<String> = {
            let mut seen = Vec::new();
            for error in errors {
                let text = error.to_string();
                if !seen.contains(&text) {
                    seen.push(text);
                }
            }
            seen
        };
        let body = match parts.as_slice() {
            [] => String::from("<nil>"),
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status = Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {body}", qualified(group, kind)))
            .about(group, kind, name);
        if let Some(details) = status.details.as_mut() {
            details.causes = errors
                .iter()
                .map(|error| Cause {
                    reason: error.kind.reason().to_owned(),
                    message: error.body(),
                    field: error.field.clone(),
                })
                .collect();
        }
        status
    }

    /// The JSON that goes over the wire.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut out = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            out["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            out["details"] = serde_json::to_value(details).unwrap_or_default();
        }
        if let Some(token) = &self.continue_token {
            out["metadata"]["continue"] = json!(token);
        }
        out["code"] = json!(self.code);
        out
    }

    /// Whether this is a 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Whether this is a 409 from a stale resourceVersion or failed precondition.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code == 409 && self.reason == "Conflict"
    }

    /// Whether this is a 409 because the name is taken.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// Kinds of `field.Error` (`k8s.io/apimachinery/pkg/util/validation/field`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A value is wrong.
    Invalid,
    /// A value is missing.
    Required,
    /// A value is not one of a fixed set.
    NotSupported,
    /// A value occurs twice.
    Duplicate,
    /// A field must not be set here.
    Forbidden,
    /// Something that is referred to does not exist.
    NotFound,
    /// Too many bytes.
    TooLong,
    /// Too many items.
    TooMany,
    /// Of another JSON type.
    TypeInvalid,
    /// The server's own fault.
    Internal,
}

impl FieldErrorKind {
    /// `metav1.CauseType`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Required => "Required value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One fault at one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// What sort of fault.
    pub kind: FieldErrorKind,
    /// JSON path, e.g. `spec.template.spec.containers[0].image`.
    pub field: String,
    /// The offending value, where the wording shows it.
    pub value: Option<Value>,
    /// The explanation.
    pub detail: String,
}

impl FieldError {
    fn make(kind: FieldErrorKind, field: impl Into<String>, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: field.into(), value, detail: detail.into() }
    }

    /// `Invalid value: VALUE: DETAIL`.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(FieldErrorKind::Invalid, field, Some(value.into()), detail)
    }

    /// What an update without a resourceVersion gets: the missing number reads as zero.
    #[must_use]
    pub fn required_version() -> Self {
        Self::invalid("metadata.resourceVersion", 0, "must be specified for an update")
    }

    /// `Required value` with an optional detail.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::make(FieldErrorKind::Required, field, None, detail)
    }

    /// `Unsupported value: "x": supported values: "a", "b"`.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let list = supported.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ");
        let detail = if supported.is_empty() { String::new() } else { format!("supported values: {list}") };
        Self::make(FieldErrorKind::NotSupported, field, Some(value.into()), detail)
    }

    /// `Duplicate value: VALUE`.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::make(FieldErrorKind::Duplicate, field, Some(value.into()), "")
    }

    /// `Forbidden: DETAIL`.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::make(FieldErrorKind::Forbidden, field, None, detail)
    }

    /// `Not found: VALUE`.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::make(FieldErrorKind::NotFound, field, Some(value.into()), "")
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        Self::make(FieldErrorKind::TooLong, field, None, format!("may not be more than {max} bytes"))
    }

    /// `Too many: ACTUAL: must have at most MAX items`.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::make(FieldErrorKind::TooMany, field, Some(Value::from(actual)), format!("must have at most {max} {unit}"))
    }

    /// `Invalid value: …` of the wrong JSON type (custom resources).
    pub fn type_invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::make(FieldErrorKind::TypeInvalid, field, Some(value.into()), detail)
    }

    /// The same fault told of a place further down.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{path}{dot}{}", self.field);
        self
    }

    /// The text without the field, as it stands in a cause.
    #[must_use]
    pub fn body(&self) -> String {
        let mut out = self.kind.title().to_owned();
        if let Some(value) = &self.value {
            out.push_str(": ");
            out.push_str(&go_value(value));
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.field.is_empty() {
            return f.write_str(&self.body());
        }
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// A value as `field.Error` prints it: strings quoted, null as `null`, structures as JSON.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_the_real_ones() {
        let one = Status::invalid(
            "apps",
            "Deployment",
            "x",
            &[FieldError::required("spec.template.spec.containers[0].image", "")],
        );
        assert_eq!(
            one.message,
            "Deployment.apps \"x\" is invalid: spec.template.spec.containers[0].image: Required value"
        );
        let two = Status::invalid(
            "",
            "Pod",
            "p",
            &[FieldError::invalid("spec.a", "b", "no"), FieldError::not_supported("spec.c", "d", &["e", "f"])],
        );
        assert_eq!(
            two.message,
            "Pod \"p\" is invalid: [spec.a: Invalid value: \"b\": no, spec.c: Unsupported value: \"d\": supported values: \"e\", \"f\"]"
        );
        assert_eq!(
            Status::forbidden("", "pods", "", "User \"u\" cannot list").message,
            "pods is forbidden: User \"u\" cannot list"
        );
        assert_eq!(
            Status::stale("apps", "deployments", "x").message,
            "Operation cannot be fulfilled on deployments.apps \"x\": the object has been modified; please apply your changes to the latest version and try again"
        );
    }
}
