//! The one error type: a stable code and a public message outside, the cause inside.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use berth_types::{Action, ErrorCode, FieldError, Problem, Resource};

/// Result of everything in core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. `Display` is the public message; the cause is for the log only.
#[derive(Debug)]
pub struct Error {
    code: ErrorCode,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    missing: Option<(Resource, Action)>,
    uncertain: bool,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// An error with all that lies below it, each said once: what a connection failed at stands at the bottom.
#[must_use]
pub fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        below = cause.source();
    }
    text
}

impl Error {
    /// An error with a public message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
            missing: None,
            uncertain: false,
            cause: None,
        }
    }

    /// No or bad credentials.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "sign in or send a valid token")
    }

    /// Absent, or not to be known of: the two answer alike.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is nothing here, or it is not yours to see")
    }

    /// Visible, but not theirs to do.
    #[must_use]
    pub fn forbidden(resource: Resource, action: Action) -> Self {
        let mut error = Self::new(ErrorCode::Forbidden, format!("your role does not allow you to {action} {resource}"));
        error.missing = Some((resource, action));
        error
    }

    /// Wrong fields.
    #[must_use]
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [one] => Cow::Owned(format!("{}: {}", one.field, one.message)),
            many => Cow::Owned(format!("{} fields need another value", many.len())),
        };
        Self { fields, ..Self::new(ErrorCode::Invalid, message) }
    }

    /// One wrong field.
    #[must_use]
    pub fn field(error: FieldError) -> Self {
        Self::invalid(vec![error])
    }

    /// Our fault.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorCode::Internal, "something broke on our side; nothing was confirmed").caused_by(cause)
    }

    /// With what the log shall know.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// With wrong fields.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        self.fields = fields;
        self
    }

    /// With the time after which trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Of a change of which nobody knows whether it was made.
    #[must_use]
    pub fn uncertain(mut self) -> Self {
        self.uncertain = true;
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The public message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Wrong fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }

    /// When to try again.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether what was tried may have been done all the same.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    /// The permission that was missing, for a page that says who can grant it.
    #[must_use]
    pub fn missing(&self) -> Option<(Resource, Action)> {
        self.missing
    }

    /// Its RFC 9457 form.
    #[must_use]
    pub fn problem(&self, request_id: &str) -> Problem {
        Problem {
            kind: format!("https://berth.dev/problems/{}", self.code),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: Some(self.message.clone().into_owned()),
            code: self.code,
            request_id: request_id.to_owned(),
            errors: self.fields.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}
