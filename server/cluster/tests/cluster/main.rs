//! Berth at work on a cluster: the embedded one, or the real one of `BERTH_TEST_KUBECONFIG`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod adoption;
mod agreement;
mod apps;
mod common;
mod drift;
mod headroom;
mod leader;
mod life;
mod network;
mod nodes;
mod outage;
mod quotas;
mod several;
mod trials;
