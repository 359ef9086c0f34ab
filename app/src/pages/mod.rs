//! The pages, one file or folder an area, each with its part of the table of routes.

use crate::router::Entry;

pub mod access;
pub mod account;
pub mod admin;
pub mod adopt;
pub mod announcements;
pub mod apps;
pub mod connections;
pub mod drift;
pub mod errors;
pub mod home;
pub mod invitations;
pub mod kubectl;
pub mod life;
pub mod links;
pub mod mail;
pub mod members;
pub mod namespace;
pub mod network;
pub mod passkeys;
pub mod quotas;
pub mod requests;
pub mod robots;
pub mod roles;
pub mod search;
pub mod second_factor;
pub mod session;
pub mod tenant;
pub mod tokens;
pub mod trusts;
pub mod usage;
pub mod view_as;
pub mod webhooks;

/// Every area's rows, in the order in which they are tried: a literal segment before a parameter.
pub const AREAS: &[&[Entry]] = &[
    home::ENTRIES,
    session::ENTRIES,
    second_factor::ENTRIES,
    passkeys::ENTRIES,
    links::ENTRIES,
    invitations::ENTRIES,
    account::ENTRIES,
    mail::ENTRIES,
    tokens::ENTRIES,
    connections::ENTRIES,
    search::ENTRIES,
    announcements::ENTRIES,
    admin::ENTRIES,
    quotas::ENTRIES,
    requests::ENTRIES,
    apps::ENTRIES,
    adopt::ENTRIES,
    kubectl::ENTRIES,
    life::ENTRIES,
    access::ENTRIES,
    members::ENTRIES,
    robots::ENTRIES,
    roles::ENTRIES,
    webhooks::ENTRIES,
    network::ENTRIES,
    usage::ENTRIES,
    view_as::ENTRIES,
    namespace::ENTRIES,
    tenant::ENTRIES,
];
