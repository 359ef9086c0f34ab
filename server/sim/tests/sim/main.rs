//! The embedded cluster from outside: one program, as each one costs ten seconds to build.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod admission;
mod api;
mod apply;
mod common;
mod controllers;
mod full_disk;
mod kubectl;
mod kubelet;
mod lifecycle;
mod requests;
mod restart;
mod scale;
mod workloads;
