//! An embedded Kubernetes API with its controllers and a simulated kubelet.

pub mod admission;
pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod convert;
pub mod crd;
pub mod fieldmanager;
mod go_json;
pub mod hooks;
pub mod http;
pub mod kubelet;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod registry;
pub mod scheduler;
pub mod schema;
mod serve;
mod sim;
pub mod status;
pub mod store;
pub mod strategy;
pub mod strict;
pub mod table;

pub use serve::Serving;
pub use sim::{Builder, Error, Sim};
