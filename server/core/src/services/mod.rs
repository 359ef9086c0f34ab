//! What can be done, each in one place: REST handlers and page actions call the same functions.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use berth_types::{ErrorCode, TenantName, UserName};

use crate::{
    authz::Authz,
    ctx::{Actor, OpCtx},
    env::{Clock, Random},
    error::{Error, Result},
    ports::{
        cluster::Clusters,
        store::{NewAudit, Store},
    },
};

pub mod apps;
mod claims;
pub mod identity;
pub mod namespaces;
pub mod people;
pub mod preview;
pub mod revisions;
pub mod search;
pub mod tenants;

/// How often an entry that the audit log did not take is tried again.
const RETRY_AUDIT: Duration = Duration::from_secs(5);

/// All services over one store and its clusters. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clusters: Arc<dyn Clusters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) limits: identity::Limits,
    authz: Authz,
    passwords: Arc<identity::Passwords>,
    /// Entries of the audit log that wait for the database.
    unwritten: Arc<AtomicUsize>,
}

/// What a change did, for the audit log.
pub struct Done<T> {
    /// The result.
    pub value: T,
    /// What changed, as JSON without secrets.
    pub detail: Option<serde_json::Value>,
    /// Who did it, where that is known only now: who signs in is nobody before.
    pub by: Option<UserName>,
}

impl<T> Done<T> {
    /// A result with what changed.
    pub fn with(value: T, detail: serde_json::Value) -> Self {
        Self { value, detail: Some(detail), by: None }
    }

    /// A result that says all.
    pub fn plain(value: T) -> Self {
        Self { value, detail: None, by: None }
    }

    /// The same, done by `user`.
    #[must_use]
    pub fn by(self, user: UserName) -> Self {
        Self { by: Some(user), ..self }
    }
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
        let passwords = Arc::new(identity::Passwords::new(&limits));
        Self { store, clusters, clock, random, limits, authz, passwords, unwritten: Arc::default() }
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

    /// Tries again and again to write an entry of something that is done.
    fn write_later(&self, entry: NewAudit) {
        const TRIES: u32 = 100;
        // Without a runtime (a test's executor) there is nobody to try.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (store, clock, unwritten) = (self.store.clone(), self.clock.clone(), self.unwritten.clone());
        unwritten.fetch_add(1, Ordering::Relaxed);
        runtime.spawn(async move {
            for _ in 0..TRIES {
                clock.sleep(RETRY_AUDIT).await;
                if store.append_audit(&entry).await.is_ok() {
                    unwritten.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
            }
            unwritten.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(?entry, "an entry could not be written to the audit log");
        });
    }

    /// Every change goes through here: authorise and do (`work`), then write down what came of it, refusals too. A change
    /// is confirmed only when its entry is written.
    pub(crate) async fn audited<T>(
        &self,
        ctx: &OpCtx,
        action: &str,
        target: String,
        tenant: Option<&TenantName>,
        work: impl Future<Output = Result<Done<T>>>,
    ) -> Result<T> {
        // What cannot be written down is not done: only the first change that finds the log closed is done without its entry.
        if self.unwritten.load(Ordering::Relaxed) > 0 {
            return Err(Error::new(
                ErrorCode::StoreUnavailable,
                "the audit log cannot be written; nothing was changed",
            )
            .retry_after(RETRY_AUDIT));
        }
        let result = work.await;
        let (outcome, reason, detail) = match &result {
            Ok(done) => ("done", None, done.detail.clone()),
            Err(e) => match e.code() {
                ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::NotFound => {
                    ("denied", Some(e.code().to_string()), None)
                }
                code => ("failed", Some(code.to_string()), Some(serde_json::json!({ "message": e.message() }))),
            },
        };
        let via = match &ctx.actor {
            Actor::Person(person) => person.via.to_string(),
            Actor::System(_) => "system".to_owned(),
            Actor::Anonymous => String::new(),
        };
        let by = result.as_ref().ok().and_then(|done| done.by.as_ref());
        let entry = NewAudit {
            at: ctx.now(),
            actor: by.map_or_else(|| ctx.actor.to_string(), UserName::to_string),
            via,
            action: action.to_owned(),
            target,
            tenant: tenant.cloned(),
            outcome,
            reason,
            detail,
            request_id: ctx.request_id.to_string(),
            network: ctx.network.to_string(),
        };
        let written = self.store.append_audit(&entry).await;
        match (result, written) {
            (Ok(done), Ok(())) => Ok(done.value),
            // It is done, and cannot be undone by saying that it is not; but nothing is confirmed that is not written down.
            (Ok(_), Err(unwritten)) => {
                tracing::error!(action, error = %unwritten, "a change is done, but not in the audit log yet");
                self.write_later(entry);
                let message = "it is done, but the database does not take the entry for the audit log yet; look before you \
                               send it again";
                Err(Error::new(ErrorCode::StoreUnavailable, message).retry_after(RETRY_AUDIT).caused_by(unwritten))
            }
            (Err(e), written) => {
                if let Err(unwritten) = written {
                    tracing::error!(error = %unwritten, "a refusal could not be written to the audit log");
                }
                Err(e)
            }
        }
    }
}
