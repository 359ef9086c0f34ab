//! Errors as the outside sees them: a stable code, a message, and fields that are wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::role::words;

words!(
    /// A stable code: part of the API, and the translation key (`error.{code}`) of the pages.
    ErrorCode {
        /// No or bad credentials.
        Unauthenticated = "unauthenticated",
        /// Visible, but not yours to do.
        Forbidden = "forbidden",
        /// Absent, or not yours to know of.
        NotFound = "not-found",
        /// The path exists, this method does not.
        MethodNotAllowed = "method-not-allowed",
        /// None of the media types that `Accept` names.
        NotAcceptable = "not-acceptable",
        /// Something of that name exists.
        AlreadyExists = "already-exists",
        /// It changed since it was read.
        Conflict = "conflict",
        /// It is not the version that `If-Match` names.
        PreconditionFailed = "precondition-failed",
        /// `If-Match` is needed.
        PreconditionRequired = "precondition-required",
        /// One or more fields are wrong; `errors` names them.
        Invalid = "invalid",
        /// The body cannot be read at all.
        Malformed = "malformed",
        /// The body is too large.
        TooLarge = "too-large",
        /// A media type that is not understood.
        UnsupportedMediaType = "unsupported-media-type",
        /// Too many tries; `Retry-After` says when.
        RateLimited = "rate-limited",
        /// An idempotency key was used before with another request.
        IdempotencyMismatch = "idempotency-mismatch",
        /// Who asks looks at the portal as somebody else has it, or did on the page that asks: nothing can be changed so.
        Viewing = "viewing",
        /// The tenant is suspended or being removed: nothing in it can be changed. The message says by whom and why.
        Suspended = "suspended",
        /// The cluster would pass its quota.
        QuotaExceeded = "quota-exceeded",
        /// The cluster refused, with its own reason.
        ClusterRefused = "cluster-refused",
        /// The cluster does not answer; reads come from the cache, writes are refused.
        ClusterUnavailable = "cluster-unavailable",
        /// Berth's own database does not answer, or takes nothing more.
        StoreUnavailable = "store-unavailable",
        /// The request was not answered in time.
        Timeout = "timeout",
        /// Our fault; the request id finds it in the log.
        Internal = "internal",
    }
);

impl ErrorCode {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::Viewing | Self::Suspended | Self::QuotaExceeded => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid | Self::IdempotencyMismatch | Self::ClusterRefused => 422,
            Self::PreconditionRequired => 428,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::ClusterUnavailable | Self::StoreUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// A short title in English, for RFC 9457's `title`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Sign in first",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::NotAcceptable => "Not in this form",
            Self::AlreadyExists => "Exists already",
            Self::Conflict => "Changed meanwhile",
            Self::PreconditionFailed => "Not the version that If-Match names",
            Self::PreconditionRequired => "If-Match is needed",
            Self::Invalid => "Some fields need another value",
            Self::Malformed => "The request cannot be read",
            Self::TooLarge => "Too large",
            Self::UnsupportedMediaType => "Media type not understood",
            Self::RateLimited => "Too many tries",
            Self::IdempotencyMismatch => "Idempotency key was used for another request",
            Self::Viewing => "Only to be looked at",
            Self::Suspended => "At rest",
            Self::QuotaExceeded => "Not enough quota",
            Self::ClusterRefused => "The cluster refused",
            Self::ClusterUnavailable => "The cluster does not answer",
            Self::StoreUnavailable => "The database does not answer",
            Self::Timeout => "Took too long",
            Self::Internal => "Something broke on our side",
        }
    }
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// Where, as a path: `spec.components[0].image`.
    pub field: String,
    /// Translation key within `field_error.*`, e.g. `name_character`.
    pub code: String,
    /// What is wrong and what is allowed, in English.
    pub message: String,
    /// What the translated message names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// A value that would be accepted and is likely meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
}

impl FieldError {
    /// An error at `field` with a translation `code` and an English message.
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            code: code.into(),
            message: message.into(),
            params: BTreeMap::new(),
            suggestions: Vec::new(),
        }
    }

    /// Adds what the message names.
    #[must_use]
    pub fn param(mut self, key: &str, value: impl ToString) -> Self {
        self.params.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds a likely value.
    #[must_use]
    pub fn suggest(mut self, value: impl Into<String>) -> Self {
        self.suggestions.push(value.into());
        self
    }
}

/// An RFC 9457 problem document (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `https://berth.dev/problems/{code}`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code's title.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The stable code.
    pub code: ErrorCode,
    /// Finds the request in the log.
    pub request_id: String,
    /// Wrong fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}
