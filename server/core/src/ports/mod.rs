//! What the services need from outside: rows ([`store`]) and clusters ([`cluster`]). Adapters live in crates of their own.

pub mod cluster;
pub mod store;
