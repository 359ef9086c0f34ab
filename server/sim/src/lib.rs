//! An embedded Kubernetes API with its controllers and a simulated kubelet.

pub mod clock;
pub mod cluster;
pub mod controllers;
pub mod fieldmanager;
pub mod hooks;
pub mod kubelet;
pub mod quantity;
pub mod registry;
pub mod scheduler;
pub mod status;
pub mod store;
pub mod strategy;
