//! Berth's heart: who may do what ([`authz`]), what can be done ([`services`]), and what that needs from outside ([`ports`]).
//!
//! No SQL, no Kubernetes client, no HTTP. Every service function takes an [`OpCtx`]; store and cluster functions take
//! [`authz::Grant`]s, which only `authz` makes, so that nothing is reached without having been asked for.

pub mod access_file;
pub mod adoption;
pub mod agent_manifest;
pub mod audit;
pub mod authz;
pub mod ci;
pub mod ctx;
pub mod drain;
pub mod env;
pub mod error;
pub mod kube_path;
pub mod kubeconfig;
pub mod links;
pub mod listing;
pub mod mail;
pub mod network;
pub mod notices;
pub mod ports;
pub mod quota;
pub mod recheck;
pub mod roles;
pub mod seal;
pub mod services;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod totp;
pub mod usage;
pub mod view_as;
pub mod webauthn;
pub mod webhooks;
pub mod yaml;

pub use ctx::{Actor, OpCtx, Person, RequestMeta, Via};
pub use error::{Error, Result};
pub use services::Services;
