//! Fakes in memory for the ports, faithful enough for tests of API and pages, and a [`World`] that puts them together.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "for tests only")]

use std::{sync::Arc, time::Duration};

use berth_types::{
    Action, ClusterId, ErrorCode, PlatformRole, Resource, TenantRole,
    names::kube_namespace,
    people::{Namespace, Tenant, TokenScope, User},
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::{
    Actor, OpCtx, Person, Services, Via,
    audit::AuditKey,
    authz::{AppRef, Grant, NamespaceRef, PlatformRef, Rights, TenantRef},
    env::{Clock, ManualClock, SystemRandom},
    error::{Error, Result},
    ports::{
        cluster::{Cluster, Clusters},
        store::{Account, People, Tenants},
    },
    seal::SealKey,
    services::{identity::Limits, mailing::Post, outbox::Hooks, second_factors::Required},
};

mod access;
mod adoption;
mod agents;
mod announcements;
mod app;
mod authenticator;
mod ci;
mod cluster;
mod clusters;
mod drifts;
mod life;
mod links;
mod lists;
mod mail;
mod nodes;
mod passkeys;
mod quotas;
mod relay;
mod requests;
mod robots;
mod roles;
mod second_factors;
mod sign_in;
mod store;
mod streams;
mod usage;
mod view_as;
mod webhooks;

pub use authenticator::Authenticator;
pub use ci::FakeJobs;
pub use cluster::FakeCluster;
pub use clusters::FakeRegistrar;
pub use mail::FakeMailer;
pub use nodes::{Nodes, node, tenancy};
pub use sign_in::FakeProtocol;
pub use store::FakeStore;
pub use webhooks::{FakeReceiver, Heard, Posted};

/// Where a [`World`]'s clock begins.
pub const BEGIN: &str = "2026-11-20T08:00:00Z";

/// Services over fakes, with short cuts that set the scene. All of them panic on bad input.
pub struct World {
    /// The services.
    pub services: Services,
    /// Their rows.
    pub store: Arc<FakeStore>,
    /// Their only cluster, `local`.
    pub cluster: Arc<FakeCluster>,
    /// Their clock, which stands until it is moved.
    pub clock: Arc<ManualClock>,
    /// What identity providers say.
    pub protocol: Arc<FakeProtocol>,
    /// What CI systems sign.
    pub jobs: Arc<FakeJobs>,
    /// Where webhooks lead.
    pub receiver: Arc<FakeReceiver>,
    /// Where mail goes.
    pub mailer: Arc<FakeMailer>,
    /// Clusters that can be registered.
    pub elsewhere: Arc<FakeRegistrar>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// A new key to sign checkpoints of the audit log with.
#[must_use]
pub fn audit_key() -> AuditKey {
    AuditKey::from_pem(AuditKey::new_pem(&SystemRandom).unwrap().expose_secret()).unwrap()
}

/// A new key to seal secrets with.
#[must_use]
pub fn seal_key() -> SealKey {
    SealKey::from_text(SealKey::new_text(&SystemRandom).unwrap().expose_secret()).unwrap()
}

impl World {
    /// Nobody and nothing, at [`BEGIN`].
    #[must_use]
    pub fn new() -> Self {
        let clock = ManualClock::new(BEGIN.parse().unwrap());
        let store = Arc::new(FakeStore::default());
        let cluster = FakeCluster::new(ClusterId::local(), clock.clone());
        let clusters = Arc::new(FakeClusters::new([cluster.clone()]));
        let elsewhere = Arc::new(FakeRegistrar::new(clusters.clone(), clock.clone()));
        let services = Services::new(
            store.clone(),
            clusters.clone(),
            clock.clone(),
            Arc::new(SystemRandom),
            // A hash that costs nothing: what it protects is made up.
            Limits { argon2_memory_kib: 64, argon2_passes: 1, ..Limits::default() },
        );
        let protocol = Arc::new(FakeProtocol::default());
        let jobs = Arc::new(FakeJobs::default());
        let receiver = Arc::new(FakeReceiver::default());
        let hooks =
            Hooks { sender: receiver.clone(), site: Some("https://berth.example.com".to_owned()), ..Hooks::default() };
        let mailer = Arc::new(FakeMailer::default());
        let post = Post { mailer: Some(mailer.clone()), ..Post::default() };
        let services =
            services.with_mail(post).with_jobs(jobs.clone()).with_registrar(elsewhere.clone()).with_hooks(hooks);
        let services =
            services.with_protocol(protocol.clone()).with_second_factors(Some(seal_key()), Required::default());
        Self { services, store, cluster, clock, protocol, jobs, receiver, mailer, elsewhere }
    }

    /// A context of Berth's own.
    #[must_use]
    pub fn system(&self) -> OpCtx {
        OpCtx::system(self.clock.clone(), "test")
    }

    /// A person without a password, who need not change one.
    pub async fn person(&self, name: &str, platform_role: Option<PlatformRole>) -> User {
        let user = User {
            id: self.id(),
            name: name.parse().unwrap(),
            display_name: name.to_owned(),
            platform_role,
            disabled: false,
            must_change_password: false,
            second_factor: false,
            created_at: self.clock.now(),
        };
        self.store.create_user(&Account { user: user.clone(), password_hash: None }).await.unwrap();
        user
    }

    /// A context in which the person called `name` asks, as from a browser.
    pub async fn ctx(&self, name: &str) -> OpCtx {
        let user = self.store.find_account(&name.parse().unwrap()).await.unwrap().unwrap().user;
        let person = Person {
            id: user.id,
            name: user.name,
            display_name: user.display_name.into(),
            platform_role: user.platform_role,
            via: Via::Session(Uuid::nil()),
            scope: TokenScope::default(),
            must_change_password: user.must_change_password,
            needs_second_factor: false,
        };
        OpCtx::anonymous(self.clock.clone(), "test", "192.0.2.1").with_actor(Actor::Person(Arc::new(person)))
    }

    /// A token of a person, for `lives`.
    pub async fn token_for(&self, user: &str, scope: TokenScope, lives: Duration) -> String {
        let user = user.parse().unwrap();
        let name = format!("test {}", self.id());
        let made = self.services.create_token_for(&self.system(), &user, &name, scope, lives).await.unwrap();
        made.1.expose_secret().to_owned()
    }

    /// A token of a person that may do all they may, for a day.
    pub async fn token(&self, user: &str) -> String {
        self.token_for(user, TokenScope::default(), Duration::from_hours(24)).await
    }

    /// A tenant; the first of `members` must be an owner.
    pub async fn tenant(&self, name: &str, members: &[(&str, TenantRole)]) -> TenantRef {
        let now = self.clock.now();
        let tenant = Tenant {
            id: self.id(),
            name: name.parse().unwrap(),
            display_name: name.to_owned(),
            created_at: now,
            halt: None,
            version: 1,
        };
        let owner = self.store.find_account(&members[0].0.parse().unwrap()).await.unwrap().unwrap().user.id;
        let platform = Grant::unchecked(PlatformRef, Resource::Tenant, Action::Create);
        self.store.create_tenant(&platform, &tenant, owner).await.unwrap();
        let tenant = TenantRef {
            id: tenant.id,
            name: tenant.name,
            display_name: tenant.display_name.into(),
            role: Some(TenantRole::Owner),
            rights: Rights::from(Some(TenantRole::Owner)),
            halt: None,
        };
        let grant = Grant::unchecked(tenant.clone(), Resource::Membership, Action::Update);
        for (user, role) in members {
            self.store.set_member(&grant, &user.parse().unwrap(), *role, now).await.unwrap();
        }
        tenant
    }

    /// A namespace of `tenant`.
    pub async fn namespace(&self, tenant: &TenantRef, name: &str) -> NamespaceRef {
        let name = name.parse().unwrap();
        let row = Namespace {
            id: self.id(),
            kube_name: kube_namespace(&tenant.name, &name),
            egress: Default::default(),
            protected: false,
            halt: None,
            name,
            tenant: tenant.name.clone(),
            cluster: ClusterId::local(),
            created_at: self.clock.now(),
            version: 1,
        };
        let grant = Grant::unchecked(tenant.clone(), Resource::Namespace, Action::Create);
        self.store.create_namespace(&grant, &row).await.unwrap();
        NamespaceRef {
            tenant: tenant.clone(),
            id: row.id,
            name: row.name,
            cluster: row.cluster,
            kube_name: row.kube_name.into(),
            given: None,
            rights: tenant.rights,
            protected: false,
            halt: None,
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        crate::services::identity::new_id(self.clock.now(), &SystemRandom).unwrap()
    }
}

/// Clusters in memory.
pub struct FakeClusters(parking_lot::Mutex<Vec<Arc<dyn Cluster>>>);

impl FakeClusters {
    /// These.
    #[must_use]
    pub fn new<C: Cluster + 'static>(clusters: impl IntoIterator<Item = Arc<C>>) -> Self {
        Self(parking_lot::Mutex::new(clusters.into_iter().map(|c| c as Arc<dyn Cluster>).collect()))
    }

    /// One more, or one in the place of another of its name.
    fn put(&self, cluster: Arc<dyn Cluster>) {
        self.remove(cluster.id());
        self.0.lock().push(cluster);
    }

    /// One less.
    fn remove(&self, id: &ClusterId) {
        self.0.lock().retain(|known| known.id() != id);
    }
}

impl Clusters for FakeClusters {
    fn get(&self, id: &ClusterId) -> Result<Arc<dyn Cluster>> {
        let found = self.0.lock().iter().find(|c| c.id() == id).cloned();
        found.ok_or_else(|| Error::new(ErrorCode::ClusterUnavailable, format!("there is no cluster “{id}”")))
    }

    fn all(&self) -> Vec<Arc<dyn Cluster>> {
        self.0.lock().clone()
    }
}

/// An app of a namespace, as somebody who may do anything sees it.
#[must_use]
pub fn app_of(namespace: &NamespaceRef, app: &str) -> Grant<AppRef> {
    let app = AppRef { namespace: namespace.clone(), name: app.parse().unwrap() };
    Grant::unchecked(app, Resource::App, Action::Update)
}

/// A time, from RFC 3339.
#[must_use]
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
