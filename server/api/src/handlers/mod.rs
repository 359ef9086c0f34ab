//! The operations, one file an area. Each is: read, call one service, write.

use utoipa_axum::router::OpenApiRouter;

use crate::Api;

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod adoption;
pub(crate) mod announcements;
pub(crate) mod app_actions;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod ci;
pub(crate) mod clusters;
pub(crate) mod invitations;
pub(crate) mod kubeconfigs;
pub(crate) mod life;
pub(crate) mod mail;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod nodes;
pub(crate) mod preflight;
pub(crate) mod providers;
pub(crate) mod quotas;
pub(crate) mod requests;
pub(crate) mod robots;
pub(crate) mod roles;
pub(crate) mod search;
pub(crate) mod tenants;
pub(crate) mod usage;
pub(crate) mod webhooks;
pub(crate) mod workloads;

/// Operations that need no token of Berth's, below `/api/v1`.
pub(crate) fn open_routes() -> OpenApiRouter<Api> {
    ci::open_routes()
}

/// All others.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    [
        me::routes(),
        kubeconfigs::routes(),
        tenants::routes(),
        members::routes(),
        roles::routes(),
        access::routes(),
        invitations::routes(),
        robots::routes(),
        ci::routes(),
        webhooks::routes(),
        mail::routes(),
        namespaces::routes(),
        adoption::routes(),
        life::routes(),
        network::routes(),
        clusters::routes(),
        nodes::routes(),
        quotas::routes(),
        requests::routes(),
        usage::routes(),
        apps::routes(),
        app_actions::routes(),
        preflight::routes(),
        workloads::routes(),
        search::routes(),
        admin::routes(),
        announcements::routes(),
        providers::routes(),
        audit::routes(),
    ]
    .into_iter()
    .fold(OpenApiRouter::default(), OpenApiRouter::merge)
}
