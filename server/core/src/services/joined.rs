//! Clusters as this process knows them: connected as the rows say, open for what is new or not.

use std::{collections::BTreeMap, sync::Arc};

use berth_types::{Action, ClusterId, ErrorCode, Resource, TenantName, cluster::ClusterChoice};
use secrecy::ExposeSecret;

use super::{Services, clusters::of_cluster};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::{
        cluster::Cluster,
        clusters::{ClusterRow, closed, unknown},
    },
    quota::{Book, requests::Granting},
};

/// Whether a tenant may have more of anything after a change than before.
fn grows(before: &Book, after: &Book) -> bool {
    before.keys().iter().chain(&after.keys()).any(|key| match (before.limit_of(key), after.limit_of(key)) {
        (Some(had), Some(has)) => has > had,
        (Some(_), None) => true,
        (None, _) => false,
    })
}

impl Services {
    /// Connects with the clusters that the rows name, and lets go of those that they do not name any more; how many changed. What
    /// cannot be opened is tried again the next time.
    ///
    /// # Errors
    /// The store's.
    pub async fn sync_clusters(&self) -> Result<usize> {
        let _one = self.kept.looking.lock().await;
        let (grant, registrar) = (self.about_clusters()?, &self.kept.registrar);
        let rows = self.store.list_clusters(&grant).await?;
        let wanted: BTreeMap<&ClusterId, i64> =
            rows.iter().filter_map(|row| Some((&row.id, row.registered.as_ref()?.generation))).collect();
        let connected: BTreeMap<ClusterId, i64> = registrar.connected().into_iter().collect();
        let mut changed = 0;
        for id in connected.keys().filter(|id| !wanted.contains_key(id)) {
            registrar.disconnect(id).await;
            changed += 1;
        }
        self.kept.trouble.lock().retain(|id, _| wanted.contains_key(id));
        let new: Vec<_> =
            wanted.into_iter().filter(|(id, generation)| connected.get(*id) != Some(generation)).collect();
        let agents = if new.is_empty() { Vec::new() } else { self.store.list_agents(&grant).await? };
        for (id, generation) in new {
            if let Some(agent) = agents.iter().find(|agent| agent.cluster == *id) {
                registrar.expect(id, generation, agent.seen_at).await;
                changed += 1;
                continue;
            }
            match self.connect_cluster(&grant, id).await {
                Ok(()) => {
                    self.kept.trouble.lock().remove(id);
                    changed += 1;
                }
                Err(e) => {
                    let why = e.message().to_owned();
                    let known = self.kept.trouble.lock().insert(id.clone(), why.clone());
                    if known.as_ref() != Some(&why) {
                        tracing::error!(cluster = %id, error = %e, "a cluster that is registered cannot be opened here");
                    }
                }
            }
        }
        Ok(changed)
    }

    async fn connect_cluster(&self, grant: &Grant<PlatformRef>, id: &ClusterId) -> Result<()> {
        // It was removed meanwhile.
        let Some((generation, sealed)) = self.store.cluster_access(grant, id).await? else { return Ok(()) };
        let opened = self.cluster_seal()?.open(&sealed, &of_cluster(id)).ok_or_else(|| {
            let message = "its kubeconfig was sealed with another key: give this portal the key of the others, or a new kubeconfig";
            Error::new(ErrorCode::ClusterUnavailable, message)
        })?;
        let text = String::from_utf8(opened.expose_secret().to_vec()).map_err(Error::internal)?;
        self.kept.registrar.connect(id, generation, &text.into()).await
    }

    /// The clusters on which a tenant may have new namespaces, the configured one first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`; forbidden to who may make none.
    pub async fn cluster_choices(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<ClusterChoice>> {
        self.authz.tenant(ctx, tenant, Resource::Namespace, Action::Create).await?;
        let open = self.open_clusters().await?;
        Ok(open
            .into_iter()
            .map(|ClusterRow { id: name, label, labels, .. }| ClusterChoice { name, label, labels })
            .collect())
    }

    async fn open_clusters(&self) -> Result<Vec<ClusterRow>> {
        let mut rows = self.store.list_clusters(&self.about_clusters()?).await?;
        rows.retain(|row| row.state.takes_more() && self.clusters.get(&row.id).is_ok());
        Ok(rows)
    }

    /// The cluster called `id` for something new, or the first that takes such.
    ///
    /// # Errors
    /// `Invalid` at `cluster` where there is none, or it takes nothing new.
    pub(super) async fn open_cluster(&self, id: Option<&ClusterId>) -> Result<Arc<dyn Cluster>> {
        let open = self.open_clusters().await?;
        let found = match id {
            Some(id) => open.iter().find(|row| row.id == *id),
            None => open.first(),
        };
        match (found, id) {
            (Some(row), _) => self.clusters.get(&row.id),
            (None, Some(id)) => Err(if self.clusters.get(id).is_ok() { closed(id) } else { unknown(id) }),
            (None, None) => Err(closed(&ClusterId::local())),
        }
    }

    /// Refuses what lets a tenant have more on a cluster that takes nothing new.
    pub(super) async fn may_grow(&self, before: &Book, after: &Book) -> Result<()> {
        if !grows(before, after) {
            return Ok(());
        }
        let rows = self.store.list_clusters(&self.about_clusters()?).await?;
        match rows.iter().find(|row| row.id == after.cluster) {
            Some(row) if !row.state.takes_more() => Err(closed(&row.id)),
            _ => Ok(()),
        }
    }

    /// The same for what a request gives; what the ledger does not take, the store refuses.
    pub(super) async fn may_grant(&self, tenant: &TenantRef, cluster: &ClusterId, granting: &Granting) -> Result<()> {
        let books = self.store.list_books(tenant).await?;
        let Some(book) = books.iter().find(|book| book.cluster == *cluster) else { return Ok(()) };
        match book.granting(granting) {
            Ok(after) => self.may_grow(book, &after).await,
            Err(_) => Ok(()),
        }
    }
}
