//! Pages: how a browser's request becomes HTML. `app` implements it, `web` serves it; neither knows the other.
//!
//! A page is a GET; a form is a POST to the URL of the page that shows it. A form that is refused answers 422 with the
//! same page, what was typed and what is wrong; one that is done answers with a redirect. So all works without scripts.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{ctx::OpCtx, error::Result, services::identity::SignedIn};

/// Languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// 简体中文.
    ZhCn,
}

impl Language {
    /// BCP 47.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// From a tag such as `zh`, `zh-CN`, `en-GB`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next()?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::En),
            "zh" => Some(Self::ZhCn),
            _ => None,
        }
    }
}

/// Colours of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// What the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// `system`, `light`, `dark`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark].into_iter().find(|t| t.as_str() == text)
    }
}

/// The field that every form has on a page which somebody saw as somebody else: which look it was. A form that is sent after its end, or
/// in another, is not taken for what they themselves want.
pub const VIEW_FIELD: &str = "viewing";

/// What the browser asked.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Decoded path: `/t/shop/n/dev/apps`.
    pub path: String,
    /// Decoded query, in order.
    pub query: Vec<(String, String)>,
    /// Decoded fields of a POST, in order; `None` for a GET.
    pub form: Option<Vec<(String, String)>>,
    /// Language: cookie, else `Accept-Language`.
    pub language: Language,
    /// Colours: cookie.
    pub theme: Theme,
    /// For the CSP; every script tag carries it.
    pub nonce: String,
    /// What the last action says, once.
    pub flash: Option<String>,
    /// What the browser calls itself.
    pub user_agent: String,
    /// The secret of the link that was opened last ([`LinkChange::Hold`]).
    pub link: Option<SecretString>,
    /// The secret of a sign-in that waits for a code ([`StepChange::Begin`]).
    pub step: Option<SecretString>,
    /// The portal's address as browsers know it, without a `/` at its end: for links that are handed on.
    pub base: String,
}

impl PageRequest {
    /// First value of a query parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// First value of a form field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        first(self.form.as_deref()?, name)
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What happens to the session cookie.
#[derive(Debug, Clone, Default)]
pub enum SessionChange {
    /// Nothing.
    #[default]
    Keep,
    /// A session begins.
    Begin {
        /// For the cookie.
        secret: SecretString,
        /// When it ends at the latest.
        expires_at: Timestamp,
    },
    /// The session ends.
    End,
}

/// What happens to the secret of a link that was opened. It is held in a cookie, so that it stands in no address for longer than
/// it takes to open it: neither `next=` nor the browser's history nor the next page's `Referer` has it.
#[derive(Debug, Clone, Default)]
pub enum LinkChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is held for an hour.
    Hold(SecretString),
    /// It has done what it was for.
    Drop,
}

/// What happens to the secret of a sign-in that waits for a code.
#[derive(Debug, Clone, Default)]
pub enum StepChange {
    /// Nothing.
    #[default]
    Keep,
    /// The password was right.
    Begin {
        /// For a cookie.
        secret: SecretString,
        /// When it is worth nothing any more.
        expires_at: Timestamp,
    },
    /// A code came, or none will.
    End,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct PageResponse {
    /// HTTP status.
    pub status: u16,
    /// The document; empty for a redirect.
    pub html: String,
    /// Where to go instead, a path of ours.
    pub redirect: Option<String>,
    /// An address outside of the portal to which the document leads on at once, such as a provider's that ends a session.
    pub leave: Option<String>,
    /// Shown once on the next page.
    pub flash: Option<String>,
    /// What happens to the session cookie.
    pub session: SessionChange,
    /// What happens to the secret of a link.
    pub link: LinkChange,
    /// What happens to the secret of a sign-in that waits for a code.
    pub step: StepChange,
    /// A new language to remember.
    pub language: Option<Language>,
    /// New colours to remember.
    pub theme: Option<Theme>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

impl PageResponse {
    /// A document.
    #[must_use]
    pub fn html(status: u16, html: String) -> Self {
        Self { status, html, ..Self::default() }
    }

    /// Go elsewhere (303, so that reloading repeats nothing).
    #[must_use]
    pub fn redirect(to: impl Into<String>) -> Self {
        Self { status: 303, redirect: Some(to.into()), ..Self::default() }
    }

    /// A session begins; then go elsewhere.
    #[must_use]
    pub fn begin(signed_in: SignedIn, to: impl Into<String>) -> Self {
        let session = SessionChange::Begin { secret: signed_in.secret, expires_at: signed_in.expires_at };
        Self { session, ..Self::redirect(to) }
    }
}

/// A part of a page that was rendered again. The browser puts `html` in place of what the element `id` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The element's id.
    pub id: String,
    /// Its new inner HTML.
    pub html: String,
}

/// Who may ask for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Who is signed in.
    SignedIn,
    /// Members of the tenant in the path.
    Tenant,
    /// People with a platform role.
    Platform,
}

/// A page or form, for the test that tries every entry point without rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `/t/{tenant}/n/{namespace}/apps`.
    pub pattern: &'static str,
    /// Whether it is a form's target.
    pub post: bool,
    /// Who may ask.
    pub access: Access,
}

/// The pages.
#[async_trait]
pub trait Pages: Send + Sync {
    /// Answers a GET or a form. Errors become pages with a way out, so that there is always an answer.
    async fn respond(&self, ctx: &OpCtx, request: PageRequest) -> PageResponse;
    /// A page for what `web` itself refuses (too large, wrong origin, time-out): `code` as in `ErrorCode`.
    async fn error(&self, ctx: &OpCtx, request: PageRequest, error: crate::Error) -> PageResponse;
    /// The live parts of the page at `request.path` (with its query), rendered whenever something in them changes; the
    /// first item comes at once. Rights are checked at every item and at least every 5 s; the stream ends with an error
    /// when they are gone.
    async fn live(&self, ctx: &OpCtx, request: PageRequest) -> Result<BoxStream<'static, Result<Vec<Fragment>>>>;
    /// Every page and form.
    fn routes(&self) -> Vec<Route>;
}

/// Shared pages.
pub type SharedPages = Arc<dyn Pages>;
