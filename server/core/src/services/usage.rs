//! What namespaces take and use: sampled by the one process that leads, shown to who may see the quota.

use std::{collections::HashMap, sync::Arc};

use berth_types::{
    Action, ClusterId, NamespaceName, Quantity, QuotaKey, Resource, TenantName,
    usage::{Idle, UsageHistory, UsageNow},
};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use uuid::Uuid;

use super::Services;
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{CacheState, Cluster, Freshness},
    quota::{Book, Share},
    usage::{Hour, KEPT, Sample, Slot, Totals, Window, history},
};

/// How long what all namespaces came to is taken for true: a new sample every so often hardly changes it, and adding it all up
/// takes a while.
const KEEP_TOTALS: SignedDuration = SignedDuration::from_mins(5);

type ByNamespace = Arc<HashMap<Uuid, Totals>>;

/// What one process remembers.
#[derive(Default)]
pub(super) struct Known {
    /// The last sample of each cluster, whoever wrote it.
    sampled: Mutex<HashMap<ClusterId, Slot>>,
    totals: Mutex<Option<(Timestamp, ByNamespace)>>,
}

/// A part of a history.
#[derive(Debug, Clone)]
pub struct Looked {
    /// On which cluster.
    pub cluster: ClusterId,
    /// Of when.
    pub window: Window,
    /// Hour by hour.
    pub hours: Vec<Hour>,
    /// As it is now; nothing while the cluster was never read.
    pub now: Vec<UsageNow>,
    /// How fresh that is.
    pub freshness: Freshness,
}

impl Looked {
    /// As the API says it.
    #[must_use]
    pub fn history(&self) -> UsageHistory {
        history(&self.cluster, &self.hours, &self.window, self.now.clone())
    }
}

/// A namespace as it is now.
fn sample(cluster: &dyn Cluster, book: &Book, share: &Share) -> Sample {
    let namespace = book.namespace(share);
    Sample::of(&cluster.taken(&namespace), &cluster.usage(&namespace), book.enforced(share).as_ref())
}

/// The limit of a key.
fn limit(key: &str, of: impl Fn(&QuotaKey) -> Option<Quantity>) -> Option<Quantity> {
    of(&key.parse().ok()?)
}

impl Services {
    /// Samples all namespaces of the clusters whose cache follows them, unless that was done within the last five minutes; how
    /// many. For the one process that leads; two that do it at once do it once.
    ///
    /// # Errors
    /// The store's.
    pub async fn sample_usage(&self) -> Result<usize> {
        let ctx = OpCtx::system(self.clock.clone(), "usage");
        let slot = Slot::of(ctx.now());
        let done = |id: &ClusterId| self.usage.sampled.lock().get(id) == Some(&slot);
        // What a cluster that is away was like then is not known: a gap.
        let follows = |cluster: &Arc<dyn Cluster>| cluster.freshness().state == CacheState::Live;
        let mut due = self.clusters.all();
        due.retain(|cluster| !done(cluster.id()) && follows(cluster));
        if due.is_empty() {
            return Ok(0);
        }
        let grant = self.authz.platform(&ctx, Resource::Platform, Action::Update)?;
        let books = self.store.list_all_books(&grant).await?;
        let mut added = 0;
        for cluster in due {
            let here = books.iter().filter(|book| book.cluster == *cluster.id());
            let all = here.flat_map(|book| book.shares.iter().map(move |share| (book, share)));
            let samples: Vec<(Uuid, Sample)> =
                all.map(|(book, share)| (share.namespace.id, sample(&*cluster, book, share))).collect();
            if self.store.add_usage(&grant, cluster.id(), slot, &samples).await? {
                added += samples.len();
            }
            self.usage.sampled.lock().insert(cluster.id().clone(), slot);
        }
        Ok(added)
    }

    /// What a namespace took and used.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn namespace_history(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        window: Window,
    ) -> Result<Looked> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Share, Action::Read).await?;
        let cluster = self.clusters.get(&grant.cluster)?;
        let hours = self.store.namespace_usage(&grant, window.hours()).await?;
        let books = self.store.list_books(&grant.tenant).await?;
        let found = books.iter().find_map(|book| Some((book, book.share(namespace)?)));
        let (book, share) = found.ok_or_else(Error::not_found)?;
        let freshness = cluster.freshness();
        let enforced = book.enforced(share).unwrap_or_default();
        let quota = |key: &str| limit(key, |key| enforced.has(key).then(|| enforced.of(key)));
        let now = freshness.as_of.map(|_| sample(&*cluster, book, share).now(quota));
        Ok(Looked { cluster: grant.cluster.clone(), window, hours, now: now.unwrap_or_default(), freshness })
    }

    /// What a tenant's namespaces on a cluster (the first that Berth knows, when none is named) took and used together.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`; `Invalid` at `cluster`.
    pub async fn tenant_history(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        cluster: Option<&ClusterId>,
        window: Window,
    ) -> Result<Looked> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Quota, Action::Read).await?;
        let cluster = self.known_cluster(cluster)?;
        let hours = self.store.tenant_usage(&grant, cluster.id(), window.hours()).await?;
        let known = self.store.list_books(&grant).await?.into_iter().find(|book| book.cluster == *cluster.id());
        let book = known.unwrap_or_else(|| Book::empty(&grant, cluster.id()));
        let freshness = cluster.freshness();
        let samples = book.shares.iter().map(|share| sample(&*cluster, &book, share));
        let all = samples.reduce(|sum, one| sum.beside(&one)).filter(|_| freshness.as_of.is_some());
        let now = all.map(|sample| sample.now(|key| limit(key, |key| book.limit_of(key))));
        Ok(Looked { cluster: cluster.id().clone(), window, hours, now: now.unwrap_or_default(), freshness })
    }

    /// The last 30 days of a tenant on a cluster: the evidence of a request.
    pub(super) async fn past(
        &self,
        tenant: &Grant<TenantRef>,
        cluster: &ClusterId,
        now: Timestamp,
    ) -> Result<Vec<Hour>> {
        self.store.tenant_usage(tenant, cluster, Window::last(KEPT, 6, now).hours()).await
    }

    /// What each namespace came to in the last 30 days.
    pub(super) async fn totals(&self, grant: &Grant<PlatformRef>, now: Timestamp) -> Result<ByNamespace> {
        let fresh = |at: &Timestamp| (SignedDuration::ZERO..KEEP_TOTALS).contains(&now.duration_since(*at));
        if let Some((_, known)) = self.usage.totals.lock().as_ref().filter(|(at, _)| fresh(at)) {
            return Ok(known.clone());
        }
        let all = self.store.usage_totals(grant, Window::last(KEPT, 6, now).hours()).await?;
        let all: ByNamespace = Arc::new(all.into_iter().collect());
        *self.usage.totals.lock() = Some((now, all.clone()));
        Ok(all)
    }
}

/// What the namespaces of `books` left idle together.
pub(super) fn idle_of<'a>(books: impl Iterator<Item = &'a Book>, totals: &HashMap<Uuid, Totals>) -> Vec<Idle> {
    let theirs = books.flat_map(|book| &book.shares).filter_map(|share| totals.get(&share.namespace.id));
    theirs.fold(Totals::default(), |sum, one| sum.beside(one)).idles()
}
