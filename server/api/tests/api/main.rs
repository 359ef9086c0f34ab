//! The API over fakes of store and cluster, asked as a client asks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agents;
mod audit;
mod document;
mod fixture;
mod idempotency;
mod kubectl;
mod lists;
mod logs;
mod main_job;
mod preflight;
mod problems;
mod quotas;
mod requests;
mod unauthorized;
mod usage;
mod watches;
