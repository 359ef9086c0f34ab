//! Clusters: the Kubernetes adapter of `berth-core`'s cluster port, and the controller of `App`s.
//!
//! - [`Connection`]: who Berth is in the cluster (reader, controller, writer) and how a person is impersonated.
//! - `cache`: one watch a kind fills compact rows; lists filter, sort and page over them and never call the cluster.
//! - `controller`: observe, decide with pure functions (`desired`, `decide`, [`diagnose`]), act by server-side apply.
//! - [`crds()`], [`roles`]: what Berth installs in a cluster.
//!
//! Nothing here knows whether it talks to a real API server or to the embedded one.

mod adoption;
mod agents;
mod apps;
mod cache;
pub mod check;
mod cluster;
mod connection;
mod controller;
pub mod crd;
pub mod diagnose;
mod drift;
mod error;
mod exec;
mod existing;
mod identities;
mod intern;
mod json;
mod keys;
mod lease;
mod logs;
pub mod meta;
mod namespaces;
mod network;
mod nodes;
mod policy;
mod quotas;
mod relay;
mod rest;
pub mod roles;
mod set;
pub mod trials;

pub use cluster::KubeCluster;
pub use connection::Connection;
pub use crd::crds;
pub use lease::Replica;
pub use set::ClusterSet;
