//! Sign-in by identity providers: OpenID Connect's authorization code flow with PKCE, behind core's port
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
#[cfg(test)]
mod tests;
mod token;
mod types;

pub use oidc::{Oidc, Options};
