//! Namespaces: rows here, kept in the cluster by a level-triggered reconciler.

use std::{collections::HashSet, sync::Arc};

use berth_types::{
    Action, ClusterId, ErrorCode, NamespaceName, PlatformRole, Resource, Resources, Right, TenantName, TenantRole,
    custom_role::CustomRole,
    names::{kube_namespace, kube_namespace_apart},
    network::Egress,
    people::Namespace,
    quota::Written,
    rows::UsageRow,
};
use uuid::Uuid;

use super::{Done, Services, identity::new_id, people::name, quotas::desired_quota};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef, namespace_group, platform_group, tenant_group},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{
        CLUSTER_RIGHTS, Cluster, DesiredNamespace, DesiredNetwork, DesiredQuota, Freshness, NamespaceSummary,
        cluster_right, cluster_role,
    },
    quota::{Book, RESOURCES},
};

/// A namespace and how it is.
#[derive(Debug, Clone)]
pub struct NamespaceOverview {
    /// Which.
    pub namespace: Grant<NamespaceRef>,
    /// Its apps at a glance.
    pub summary: NamespaceSummary,
    /// Its quota.
    pub usage: Vec<UsageRow>,
    /// How fresh that is.
    pub freshness: Freshness,
}

impl Services {
    /// The namespaces of a tenant, by name, each with its apps at a glance.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn list_namespaces(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<NamespaceOverview>> {
        let tenant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Read).await?;
        let namespaces = self.authz.visible_namespaces(ctx, &tenant).await?;
        Ok(namespaces.into_iter().map(|namespace| self.overview(namespace)).collect())
    }

    /// One namespace at a glance.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn get_namespace(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
    ) -> Result<NamespaceOverview> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Namespace, Action::Read).await?;
        Ok(self.overview(grant))
    }

    /// The quota of a namespace that the actor was granted for the same answer.
    ///
    /// # Errors
    /// Forbidden.
    pub fn namespace_usage(&self, ctx: &OpCtx, namespace: &Grant<NamespaceRef>) -> Result<Vec<UsageRow>> {
        let grant = self.authz.also(ctx, namespace, Resource::Namespace, Action::Read)?;
        Ok(self.clusters.get(&grant.cluster)?.usage(&grant))
    }

    /// Where its cluster is not known here (yet), nothing is known of it: that keeps nobody from the others.
    fn overview(&self, namespace: Grant<NamespaceRef>) -> NamespaceOverview {
        let cluster = self.clusters.get(&namespace.cluster).ok();
        NamespaceOverview {
            summary: cluster.as_ref().map(|cluster| cluster.summary(&namespace)).unwrap_or_default(),
            usage: cluster.as_ref().map(|cluster| cluster.usage(&namespace)).unwrap_or_default(),
            freshness: cluster.map_or_else(Freshness::never, |cluster| cluster.freshness()),
            namespace,
        }
    }

    /// Makes a namespace and waits until the cluster has it; where the cluster does not answer, the reconciler makes it later.
    ///
    /// # Errors
    /// `Invalid` at `name` or `cluster`; `AlreadyExists`; forbidden.
    pub async fn create_namespace(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &str,
        cluster: Option<&ClusterId>,
    ) -> Result<Namespace> {
        self.create_namespace_with(ctx, tenant, namespace, cluster, None).await
    }

    /// The same with its share of the tenant's quota; without one, it has nothing of what that limits.
    ///
    /// # Errors
    /// Also `Invalid` at each key of which there is not so much left.
    pub async fn create_namespace_with(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &str,
        cluster: Option<&ClusterId>,
        share: Option<&Written>,
    ) -> Result<Namespace> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Namespace, Action::Create).await?;
            let name: NamespaceName = name("name", namespace, NamespaceName::MAX)?;
            let adapter = self.open_cluster(cluster).await?;
            let cluster = adapter.id().clone();
            let share = share.map(|written| Resources::read(RESOURCES, written)).transpose().map_err(Error::invalid)?;
            let share = share.filter(|share| !share.is_empty());
            let now = ctx.now();
            let id = new_id(now, &*self.random)?;
            let kube_name = kube_namespace(tenant, &name);
            let mut row = Namespace {
                id,
                kube_name,
                name,
                tenant: tenant.clone(),
                cluster,
                egress: Egress::default(),
                protected: false,
                halt: None,
                created_at: now,
                version: 1,
            };
            // Where the cluster does not say that a name is free, another is taken: it could be anybody's.
            if adapter.namespace_taken(&desired(&row)).await.unwrap_or(true) {
                row.kube_name = kube_namespace_apart(&row.kube_name, id);
            }
            let taken = match self.insert_namespace(&grant, &row, share.as_ref()).await {
                Err(e) if e.code() == ErrorCode::AlreadyExists => Some(e),
                done => done.map(|()| None)?,
            };
            if let Some(error) = taken {
                // Either this tenant has the name, or `a-b` of tenant `c` has the same one in the cluster as `b` of `c-a`.
                if self.store.list_namespaces(&grant).await?.iter().any(|n| n.name == row.name) {
                    return Err(error);
                }
                row.kube_name = kube_namespace_apart(&row.kube_name, id);
                self.insert_namespace(&grant, &row, share.as_ref()).await?;
            }
            if let Err(e) = self.reconcile_now(&adapter, &grant, &row).await {
                tracing::warn!(namespace = row.kube_name, error = %e, "the cluster does not have the namespace yet");
            }
            Ok(Done { detail: share.map(|share| serde_json::json!({ "share": share })), ..Done::plain(row) })
        };
        let target = format!("{tenant}/{}", namespace.chars().take(60).collect::<String>());
        self.audited(ctx, "namespace.create", target, Some(tenant), work).await
    }

    /// Makes every namespace in every cluster agree with its row; how many had to change. Failures are logged and tried
    /// again next time.
    ///
    /// # Errors
    /// The store's.
    pub async fn reconcile_namespaces(&self) -> Result<usize> {
        let ctx = OpCtx::system(self.clock.clone(), "namespace-reconciler");
        let grant = self.authz.platform(&ctx, Resource::Namespace, Action::Update)?;
        // Every namespace is in a book.
        let books = self.store.list_all_books(&grant).await?;
        let refused: HashSet<Uuid> = self.store.list_refused(&grant).await?.into_iter().collect();
        let own = self.store.list_all_roles(&grant).await?;
        let ours = self.clusters.all().into_iter().filter(|cluster| cluster.leads());
        // Side by side: one that is slow to answer holds up no other.
        let each = ours.map(|cluster| self.reconcile_on(&ctx, &grant, cluster, (&books, &own, &refused)));
        Ok(futures::future::join_all(each).await.into_iter().sum())
    }

    async fn reconcile_on(
        &self,
        ctx: &OpCtx,
        grant: &Grant<PlatformRef>,
        cluster: Arc<dyn Cluster>,
        (books, own, refused): (&[Book], &[(TenantName, CustomRole)], &HashSet<Uuid>),
    ) -> usize {
        let (now, mut changed) = (ctx.now(), 0);
        for book in books.iter().filter(|book| book.cluster == *cluster.id()) {
            let theirs = own.iter().filter(|(tenant, _)| *tenant == book.tenant).map(|(_, role)| role.clone());
            let theirs: Vec<CustomRole> = theirs.collect();
            for share in &book.shares {
                let row = &share.namespace;
                // What goes is not made again.
                if row.halt.as_ref().is_some_and(|halt| halt.is_due(now)) {
                    continue;
                }
                let noted = match self.reconcile_namespace(&cluster, row, &theirs, desired_quota(book, share)).await {
                    Ok(kept) => {
                        changed += usize::from(kept);
                        match refused.contains(&row.id) {
                            true => self.store.settle_refused(grant, row.id).await,
                            false => Ok(()),
                        }
                    }
                    Err(e) => {
                        tracing::warn!(namespace = row.kube_name, error = %e, "namespace could not be reconciled");
                        self.note_refusal(grant, row, &e, now).await
                    }
                };
                if let Err(e) = noted {
                    tracing::warn!(namespace = row.kube_name, error = %e, "whether it is kept could not be noted");
                }
            }
        }
        changed
    }

    async fn reconcile_namespace(
        &self,
        cluster: &Arc<dyn Cluster>,
        row: &Namespace,
        own: &[CustomRole],
        quota: Option<DesiredQuota>,
    ) -> Result<bool> {
        let ctx = OpCtx::system(self.clock.clone(), "namespace-reconciler");
        let network = DesiredNetwork { egress: row.egress.clone(), surroundings: self.surroundings.clone() };
        let kept =
            cluster.ensure_namespace(&ctx, &DesiredNamespace { quota, network, ..desired_with(row, own) }).await?;
        self.mended(&ctx, row, &kept.drift).await;
        Ok(kept.changed)
    }

    /// Makes a namespace agree with what the store says now.
    pub(crate) async fn reconcile_now(
        &self,
        cluster: &Arc<dyn Cluster>,
        tenant: &TenantRef,
        row: &Namespace,
    ) -> Result<bool> {
        let books = self.store.list_books(tenant).await?;
        let quota = books.iter().find_map(|book| desired_quota(book, book.share(&row.name)?));
        let own = self.store.list_roles(tenant).await?;
        self.reconcile_namespace(cluster, row, &own, quota).await
    }

    pub(crate) async fn insert_namespace(
        &self,
        grant: &Grant<TenantRef>,
        row: &Namespace,
        share: Option<&Resources>,
    ) -> Result<()> {
        match share {
            Some(share) => self.store.create_namespace_with(grant, row, share, row.created_at).await,
            None => self.store.create_namespace(grant, row).await,
        }
    }
}

/// What a namespace of a tenant without roles of its own must be like: see [`desired_with`].
#[must_use]
pub fn desired(row: &Namespace) -> DesiredNamespace {
    desired_with(row, &[])
}

/// What a namespace must be like in its cluster, its quota and what is around it aside; `own`: its tenant's own roles.
#[must_use]
pub fn desired_with(row: &Namespace, own: &[CustomRole]) -> DesiredNamespace {
    let (tenant, name) = (row.tenant.as_str(), row.name.as_str());
    // Who has which role is not written here: people are in groups as they ask, so what is taken away counts at once.
    let tenant_roles = TenantRole::ALL.iter().map(|role| {
        let given = TenantRole::IN_NAMESPACE.contains(role).then(|| namespace_group(tenant, name, *role));
        (cluster_role(*role), [tenant_group(tenant, *role)].into_iter().chain(given).collect())
    });
    let own_roles = CLUSTER_RIGHTS.into_iter().filter_map(|(resource, action)| {
        let having = own.iter().filter(|role| role.rights.contains(&Right { resource, action }));
        let groups = having.map(|role| TenantRole::Custom(role.name));
        let groups: Vec<String> =
            groups.flat_map(|role| [tenant_group(tenant, role), namespace_group(tenant, name, role)]).collect();
        (!groups.is_empty()).then(|| (cluster_right((resource, action)), groups))
    });
    let platform_roles =
        ("berth-platform-reader".to_owned(), PlatformRole::ALL.iter().map(|role| platform_group(*role)).collect());
    DesiredNamespace {
        kube_name: row.kube_name.clone(),
        tenant: row.tenant.to_string(),
        name: row.name.to_string(),
        labels: vec![
            ("app.kubernetes.io/managed-by".to_owned(), "berth".to_owned()),
            ("berth.dev/tenant".to_owned(), row.tenant.to_string()),
            ("berth.dev/namespace".to_owned(), row.name.to_string()),
            ("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned()),
            ("pod-security.kubernetes.io/warn".to_owned(), "restricted".to_owned()),
        ],
        bindings: tenant_roles.chain(own_roles).chain([platform_roles]).collect(),
        quota: None,
        network: DesiredNetwork { egress: row.egress.clone(), ..DesiredNetwork::default() },
        suspended: row.halt.is_some(),
    }
}
