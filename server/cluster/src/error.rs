//! What the cluster answers, in Berth's words.

use std::time::Duration;

use berth_core::Error;
pub(crate) use berth_core::error::causes;
use berth_types::{Action, ErrorCode, FieldError, Resource};
use kube::core::Status;

use crate::{agents::AgentAway, lease::TermOver};

/// What a call was about, for the message of its error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// For people: `the app`, `the pod`.
    pub(crate) what: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
    /// The right that a refusal by RBAC is about.
    pub(crate) right: Option<(Resource, Action)>,
}

impl<'a> Target<'a> {
    /// A call of Berth's own, or one that no right of the matrix stands for.
    pub(crate) const fn new(what: &'a str, name: &'a str) -> Self {
        Self { what, name, right: None }
    }

    /// A call that a person's right stands for.
    pub(crate) const fn of(what: &'a str, name: &'a str, right: (Resource, Action)) -> Self {
        Self { what, name, right: Some(right) }
    }
}

/// The cluster cannot be reached or does not answer.
pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorCode::ClusterUnavailable,
        "the cluster does not answer; nothing was confirmed, try again in a moment",
    )
    .caused_by(cause)
    .retry_after(Duration::from_secs(2))
}

/// Why a call failed, in one line.
pub(crate) fn why(error: &kube::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(away) = one.downcast_ref::<AgentAway>() {
            return away.to_string();
        }
        cause = one.source();
    }
    causes(error)
}

/// An error of the client or of the API server.
pub(crate) fn from_kube(error: kube::Error, target: &Target<'_>) -> Error {
    match error {
        kube::Error::Api(status) => from_status(&status, target),
        kube::Error::SerdeError(e) => Error::internal(e),
        kube::Error::BuildRequest(e) => Error::internal(e),
        kube::Error::HttpError(e) => Error::internal(e),
        kube::Error::Service(e) if e.is::<AgentAway>() => {
            let message = format!("the cluster cannot be reached: {e}; nothing was confirmed, try again in a moment");
            Error::new(ErrorCode::ClusterUnavailable, message).caused_by(e).retry_after(Duration::from_secs(2))
        }
        kube::Error::Service(e) if e.is::<TermOver>() => {
            Error::new(ErrorCode::ClusterRefused, e.to_string()).retry_after(Duration::from_secs(2))
        }
        other => unavailable(other),
    }
}

/// A `Status` that says what went wrong.
pub(crate) fn from_status(status: &Status, target: &Target<'_>) -> Error {
    let cause = || format!("{} {}: {}", status.code, status.reason, status.message);
    let Target { what, name, right } = *target;
    match (status.code, status.reason.as_str()) {
        (_, "AlreadyExists") => {
            Error::new(ErrorCode::AlreadyExists, format!("{what} “{name}” exists already")).caused_by(cause())
        }
        (409, _) | (_, "Conflict") => {
            Error::new(ErrorCode::Conflict, format!("{what} “{name}” was changed since it was read")).caused_by(cause())
        }
        // Not the thing itself is missing, but where it should stand.
        (404, _) if status.details.as_ref().is_some_and(|d| d.kind == "namespaces" && d.name != name) => {
            Error::new(ErrorCode::ClusterRefused, "the namespace is not in the cluster yet; try again in a moment")
                .caused_by(cause())
                .retry_after(Duration::from_secs(2))
        }
        (404, _) => Error::not_found().caused_by(cause()),
        (403, _) => forbidden(status, right).caused_by(cause()),
        (422, _) | (_, "Invalid") => invalid(status).caused_by(cause()),
        (400, _) => malformed(status).caused_by(cause()),
        (413, _) => {
            Error::new(ErrorCode::TooLarge, format!("{what} is larger than the cluster takes")).caused_by(cause())
        }
        (401, _) => Error::new(
            ErrorCode::ClusterUnavailable,
            "the cluster does not accept Berth's credentials; `berth doctor` says more",
        )
        .caused_by(cause()),
        // The API server's word for objects that it cannot merge; trying again ends the same.
        (500, _) if status.message.contains("failed to create typed") => {
            let reason = status.message.trim_start_matches("Internal error occurred: ");
            refused(reason).caused_by(cause())
        }
        // etcd's word for a disk that is full: waiting mends nothing.
        (500, _) if status.message.contains("database space exceeded") => {
            refused("it takes no changes, for its storage is full").caused_by(cause())
        }
        (code, _) if code == 429 || code >= 500 => {
            let wait = status.details.as_ref().map_or(2, |d| u64::from(d.retry_after_seconds).clamp(1, 60));
            unavailable(cause()).retry_after(Duration::from_secs(wait))
        }
        _ => refused(&status.message).caused_by(cause()),
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorCode::ClusterRefused, message.to_owned())
}

fn forbidden(status: &Status, right: Option<(Resource, Action)>) -> Error {
    let message = &status.message;
    if let Some(quota) = Quota::parse(message) {
        return Error::new(ErrorCode::QuotaExceeded, quota.sentence());
    }
    let by_rbac = message.contains("\" cannot ") && message.contains("User \"");
    // Said of Berth, before anybody looks at what the person may do.
    let of_berth = message.contains("\" cannot impersonate ");
    match right {
        Some((resource, action)) if by_rbac && !of_berth => Error::forbidden(resource, action),
        _ if by_rbac => Error::new(
            ErrorCode::ClusterRefused,
            "Berth itself lacks a right in the cluster; `berth doctor` says which and how to give it",
        ),
        _ => refused(message),
    }
}

fn invalid(status: &Status) -> Error {
    let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
    let fields: Vec<FieldError> = causes
        .iter()
        .map(|cause| {
            let field = match cause.field.trim() {
                "" | "<nil>" => "spec",
                field => field,
            };
            FieldError::new(field, "cluster", strip_value(&cause.message)).param("reason", &cause.reason)
        })
        .collect();
    if fields.is_empty() { refused(&status.message) } else { Error::invalid(fields) }
}

/// `strict decoding error: unknown field "spec.foo", unknown field "spec.bar"` names fields; anything else is quoted.
fn malformed(status: &Status) -> Error {
    let fields: Vec<FieldError> = status
        .message
        .split("unknown field \"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(field, _)| FieldError::new(field, "unknown_field", "there is no such field"))
        .collect();
    if fields.is_empty() { refused(&status.message) } else { Error::invalid(fields) }
}

/// Kubernetes writes `Invalid value: 5: must be at most 3`; the value stands beside the message already.
fn strip_value(message: &str) -> String {
    match message.strip_prefix("Invalid value: ").and_then(|rest| rest.rsplit_once(": ")) {
        Some((_, rule)) => rule.to_owned(),
        None => message.to_owned(),
    }
}

/// What a quota's refusal says: `exceeded quota: Q, requested: a=1,b=2, used: a=3,b=4, limited: a=3,b=5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quota {
    /// The ResourceQuota's name.
    pub(crate) quota: String,
    /// The first resource that does not fit.
    pub(crate) resource: String,
    /// Asked for.
    pub(crate) requested: String,
    /// In use.
    pub(crate) used: String,
    /// Allowed.
    pub(crate) limited: String,
}

impl Quota {
    /// Reads the refusal out of a message.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        let rest = message.split_once("exceeded quota: ")?.1;
        let (quota, rest) = rest.split_once(", requested: ")?;
        let (requested, rest) = rest.split_once(", used: ")?;
        let (used, limited) = rest.split_once(", limited: ")?;
        let (resource, asked) = requested.split(',').next()?.split_once('=')?;
        let value = |list: &str| {
            list.split(',')
                .filter_map(|pair| pair.trim().split_once('='))
                .find(|(key, _)| *key == resource)
                .map(|(_, value)| value.trim().to_owned())
        };
        Some(Self {
            quota: quota.trim().to_owned(),
            resource: resource.trim().to_owned(),
            requested: asked.trim().to_owned(),
            used: value(used)?,
            limited: value(limited)?,
        })
    }

    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let Self { resource, requested, used, limited, quota } = self;
        format!("the quota “{quota}” has no room: {requested} of {resource} asked for, {used} of {limited} in use")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(code: u16, reason: &str, message: &str, details: serde_json::Value) -> Status {
        serde_json::from_value(json!({
            "status": "Failure", "code": code, "reason": reason, "message": message, "details": details
        }))
        .expect("a status")
    }

    #[test]
    fn the_bottom_of_an_error_is_told_and_nothing_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{said}")]
        struct Layer {
            said: &'static str,
            source: Option<Box<Layer>>,
        }
        let layer = |said, source: Option<Layer>| Layer { said, source: source.map(Box::new) };
        let refused = layer("tcp connect error: Connection refused", Some(layer("Connection refused", None)));
        let error = layer("client error (Connect)", Some(refused));
        assert_eq!(causes(&error), "client error (Connect): tcp connect error: Connection refused");
    }

    #[test]
    fn a_right_that_berth_lacks_is_not_the_persons() {
        let target = Target::of("the app", "shop", (Resource::App, Action::Create));
        let of = |message: &str| from_status(&status(403, "Forbidden", message, json!({})), &target);
        let berths = "users \"berth:eve\" is forbidden: User \"berth-writer\" cannot impersonate resource \"users\" in API \
                      group \"\" at the cluster scope";
        let error = of(berths);
        assert_eq!(error.code(), ErrorCode::ClusterRefused);
        assert!(error.message().contains("Berth itself lacks a right"), "{}", error.message());
        let persons = "apps.berth.dev is forbidden: User \"berth:eve\" cannot create resource \"apps\" in API group \
                       \"berth.dev\" in the namespace \"n\"";
        assert_eq!(of(persons).code(), ErrorCode::Forbidden);
        // The same said of a call of Berth's own is Berth's, too.
        let own = from_status(&status(403, "Forbidden", persons, json!({})), &Target::new("the app", "shop"));
        assert_eq!(own.code(), ErrorCode::ClusterRefused);
    }

    #[test]
    fn codes() {
        let target = Target::of("the app", "shop", (Resource::App, Action::Create));
        let quota = "apps.berth.dev \"shop\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4";
        let rbac = "apps.berth.dev is forbidden: User \"berth:eve\" cannot create resource \"apps\" in API group \"berth.dev\" in the namespace \"n\"";
        let security = "pods \"shop\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
        for (code, reason, message, details, want) in [
            (409, "AlreadyExists", "exists", json!({}), ErrorCode::AlreadyExists),
            (409, "Conflict", "the object has been modified", json!({}), ErrorCode::Conflict),
            (404, "NotFound", "not found", json!({"kind": "apps"}), ErrorCode::NotFound),
            (
                404,
                "NotFound",
                "namespaces \"n\" not found",
                json!({"kind": "namespaces", "name": "n"}),
                ErrorCode::ClusterRefused,
            ),
            (
                404,
                "NotFound",
                "namespaces \"shop\" not found",
                json!({"kind": "namespaces", "name": "shop"}),
                ErrorCode::NotFound,
            ),
            (403, "Forbidden", quota, json!({}), ErrorCode::QuotaExceeded),
            (403, "Forbidden", rbac, json!({}), ErrorCode::Forbidden),
            (403, "Forbidden", security, json!({}), ErrorCode::ClusterRefused),
            (400, "BadRequest", "strict decoding error: unknown field \"spec.foo\"", json!({}), ErrorCode::Invalid),
            (400, "BadRequest", "what", json!({}), ErrorCode::ClusterRefused),
            (413, "RequestEntityTooLarge", "too large", json!({}), ErrorCode::TooLarge),
            (429, "TooManyRequests", "slow down", json!({"retryAfterSeconds": 7}), ErrorCode::ClusterUnavailable),
            (503, "ServiceUnavailable", "etcd", json!({}), ErrorCode::ClusterUnavailable),
            (401, "Unauthorized", "Unauthorized", json!({}), ErrorCode::ClusterUnavailable),
        ] {
            let error = from_status(&status(code, reason, message, details), &target);
            assert_eq!(error.code(), want, "{code} {reason} {message}");
        }
        let wait = from_status(&status(429, "TooManyRequests", "", json!({"retryAfterSeconds": 7})), &target).wait();
        assert_eq!(wait, Some(Duration::from_secs(7)));
    }

    #[test]
    fn fields() {
        let causes = json!({"causes": [
            {"reason": "FieldValueInvalid", "message": "Invalid value: 5000: spec.components[0].replicas in body should be less than or equal to 1000", "field": "spec.components[0].replicas"},
            {"reason": "FieldValueRequired", "message": "Required value", "field": "<nil>"},
        ]});
        let target = Target::new("the app", "shop");
        let error = from_status(&status(422, "Invalid", "invalid", causes), &target);
        assert_eq!(error.code(), ErrorCode::Invalid);
        assert_eq!(error.fields()[0].field, "spec.components[0].replicas");
        assert_eq!(
            error.fields()[0].message,
            "spec.components[0].replicas in body should be less than or equal to 1000"
        );
        assert_eq!(error.fields()[1].field, "spec");
        let unknown = from_status(
            &status(
                400,
                "BadRequest",
                "strict decoding error: unknown field \"spec.a\", unknown field \"spec.b\"",
                json!({}),
            ),
            &target,
        );
        let fields: Vec<&str> = unknown.fields().iter().map(|f| f.field.as_str()).collect();
        assert_eq!(fields, ["spec.a", "spec.b"]);
    }

    #[test]
    fn quota() {
        let message = "pods \"a\" is forbidden: exceeded quota: compute, requested: requests.cpu=1,pods=1, used: pods=4,requests.cpu=2, limited: pods=9,requests.cpu=2";
        let quota = Quota::parse(message).expect("a quota");
        assert_eq!((quota.resource.as_str(), quota.used.as_str(), quota.limited.as_str()), ("requests.cpu", "2", "2"));
        assert!(Quota::parse("exceeded quota: broken").is_none());
    }
}
