//! Sign-in by identity providers: OpenID Connect's authorization code flow with PKCE, and plain OAuth 2.0's (`plain`), behind core's port
//! [`Protocol`](berth_core::ports::sign_in::Protocol); and the tokens of CI jobs, behind
//! [`JobTokens`](berth_core::ports::ci::JobTokens). Knows nothing of rows and pages.
//!
//! [`Oidc`] finds out what a provider offers and keeps it for a while, `token` says whether an ID token holds, `http` is the way
//! to the provider: encrypted, bounded in time and size, without redirects.

mod http;
#[cfg(test)]
mod job_tests;
mod jobs;
mod known;
mod oidc;
mod plain;
#[cfg(test)]
mod plain_tests;
#[cfg(test)]
mod tests;
mod token;
mod types;

pub use oidc::{Oidc, Options};
