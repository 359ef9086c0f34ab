//! What can be done, each in one place: REST handlers and page actions call the same functions.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::{
    authz::Authz,
    env::{Clock, Random},
    network::Surroundings,
    notices::{Notices, Silent},
    ports::{
        ci::{JobTokens, NoJobs},
        cluster::Clusters,
        sign_in::{NoProtocol, Protocol},
        store::Store,
    },
    quota::rules::Rules,
};

pub mod access;
pub mod adoption;
#[cfg(test)]
mod adoption_tests;
#[cfg(test)]
mod agent_tests;
pub mod agents;
pub mod announcements;
pub mod apps;
#[cfg(test)]
mod at_once_tests;
mod audit;
pub mod audit_log;
pub mod capacity;
pub mod ci;
#[cfg(test)]
mod ci_tests;
mod claims;
#[cfg(test)]
mod cluster_tests;
pub mod clusters;
pub mod drift;
#[cfg(test)]
mod drift_tests;
pub mod identity;
pub mod invitations;
mod joined;
pub mod kubectl;
#[cfg(test)]
mod kubectl_tests;
pub mod life;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod link_tests;
pub mod mail;
#[cfg(test)]
mod mail_tests;
pub mod mailing;
pub mod namespace_members;
pub mod namespaces;
pub mod network;
#[cfg(test)]
mod node_tests;
pub mod nodes;
pub mod oauth;
pub mod outbox;
#[cfg(test)]
mod passkey_tests;
pub mod passkeys;
mod passwords;
pub mod people;
pub mod plans;
pub mod preflight;
pub mod preview;
pub mod protection;
pub mod providers;
mod quota_keys;
#[cfg(test)]
mod quota_tests;
pub mod quotas;
#[cfg(test)]
mod request_tests;
pub mod requests;
pub mod resets;
pub mod revisions;
#[cfg(test)]
mod robot_tests;
pub mod robots;
pub mod roles;
pub mod search;
#[cfg(test)]
mod second_factor_tests;
pub mod second_factors;
pub mod sign_in;
#[cfg(test)]
mod sign_in_tests;
pub mod tenants;
pub mod tokens;
mod tries;
pub mod usage;
#[cfg(test)]
mod usage_tests;
pub mod view_as;
#[cfg(test)]
mod view_as_tests;
#[cfg(test)]
mod webhook_tests;
pub mod webhooks;

pub(crate) use audit::Done;

/// All services over one store and its clusters. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clusters: Arc<dyn Clusters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) limits: identity::Limits,
    authz: Authz,
    passwords: Arc<passwords::Passwords>,
    /// What agents run.
    agent_image: Arc<str>,
    /// Spoken with identity providers: see [`Services::with_protocol`].
    protocol: Arc<dyn Protocol>,
    /// The tokens of CI jobs: see [`Services::with_jobs`].
    jobs: Arc<dyn JobTokens>,
    /// Apps are written without a look at quota and policies: see [`Services::without_preflight`].
    skips_preflight: bool,
    rules: Rules,
    notices: Arc<dyn Notices>,
    hooks: Arc<outbox::Hooks>,
    post: Arc<mailing::Post>,
    ways: Arc<sign_in::KnownWays>,
    factors: Arc<second_factors::Factors>,
    passkeys: Arc<passkeys::Place>,
    announcements: Arc<announcements::Known>,
    kept: Arc<clusters::Kept>,
    usage: Arc<usage::Known>,
    pub(crate) surroundings: Arc<Surroundings>,
    /// How long what is removed can be taken back.
    pub(crate) grace: SignedDuration,
}

impl Services {
    /// Services over these parts.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clusters: Arc<dyn Clusters>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        limits: identity::Limits,
    ) -> Self {
        let authz = Authz::new(store.clone());
        let passwords = Arc::new(passwords::Passwords::new(&limits));
        Self {
            store,
            clusters,
            clock,
            random,
            limits,
            authz,
            passwords,
            agent_image: "berth".into(),
            protocol: Arc::new(NoProtocol),
            jobs: Arc::new(NoJobs),
            skips_preflight: false,
            rules: Rules::default(),
            notices: Arc::new(Silent),
            hooks: Arc::default(),
            post: Arc::default(),
            surroundings: Arc::default(),
            grace: SignedDuration::from_hours(7 * 24),
            ways: Arc::default(),
            factors: Arc::default(),
            passkeys: Arc::default(),
            announcements: Arc::default(),
            kept: Arc::default(),
            usage: Arc::default(),
        }
    }

    /// The same, which signs people in by identity providers with which it speaks so.
    #[must_use]
    pub fn with_protocol(self, protocol: Arc<dyn Protocol>) -> Self {
        Self { protocol, ..self }
    }

    /// The same, which takes tokens of CI jobs where these say that they hold.
    #[must_use]
    pub fn with_jobs(self, jobs: Arc<dyn JobTokens>) -> Self {
        Self { jobs, ..self }
    }

    /// The same, for who knows better than the preflight: whether what an app needs can be had is left to the cluster.
    #[must_use]
    pub fn without_preflight(&self) -> Self {
        Self { skips_preflight: true, ..self.clone() }
    }

    /// The same, with other rules for requests that nobody need decide about.
    #[must_use]
    pub fn with_rules(&self, rules: Rules) -> Self {
        Self { rules, ..self.clone() }
    }

    /// The same, with somebody to be told what happened.
    #[must_use]
    pub fn with_notices(&self, notices: Arc<dyn Notices>) -> Self {
        Self { notices, ..self.clone() }
    }

    /// The same, in clusters where the network is like this.
    #[must_use]
    pub fn with_surroundings(&self, surroundings: Surroundings) -> Self {
        Self { surroundings: Arc::new(surroundings), ..self.clone() }
    }

    /// The same, where what is removed can be taken back for so long.
    #[must_use]
    pub fn with_grace(&self, grace: SignedDuration) -> Self {
        Self { grace, ..self.clone() }
    }

    /// The checks.
    #[must_use]
    pub fn authz(&self) -> &Authz {
        &self.authz
    }

    /// The clusters.
    #[must_use]
    pub fn clusters(&self) -> &Arc<dyn Clusters> {
        &self.clusters
    }

    /// The database, for readiness and `doctor`.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Randomness.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
