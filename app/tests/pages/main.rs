//! Pages of the whole app, over services that keep everything in memory: one program, as each costs a while to build.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod access;
mod adopt;
mod agents;
mod announcements;
mod around;
mod auditor;
mod clusters;
mod common;
mod drift;
mod factors;
mod kubectl;
mod life;
mod links;
mod mail;
mod nodes;
mod passkeys;
mod providers;
mod requests;
mod robots;
mod roles;
mod usage;
mod view_as;
mod webhooks;
