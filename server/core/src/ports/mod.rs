//! What the services need from outside: rows ([`store`], [`quotas`]) and clusters ([`cluster`]); and how pages are asked for ([`pages`]). Adapters live in crates of their own.

pub mod access;
pub mod agents;
pub mod announcements;
pub mod audit;
pub mod ci;
pub mod cluster;
pub mod clusters;
pub mod drifts;
pub mod life;
pub mod links;
pub mod mail;
pub mod namespace_roles;
pub mod pages;
pub mod passkeys;
pub mod quotas;
pub mod relay;
pub mod requests;
pub mod robots;
pub mod roles;
pub mod second_factors;
pub mod sign_in;
pub mod store;
pub mod usage;
pub mod view_as;
pub mod webhooks;
