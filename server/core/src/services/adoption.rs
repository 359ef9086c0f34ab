//! A namespace that a cluster has already becomes a tenant's, with what runs in it.

use std::sync::Arc;

use berth_types::{
    Action, ClusterId, ErrorCode, FieldError, NamespaceName, Resource, Resources, TenantName, adoption::Preview,
    people::Namespace, quota::Written,
};
use serde_json::json;

use super::{Done, Services, identity::new_id, namespaces::desired, people::name};
use crate::{
    adoption::{Strange, is_reserved},
    authz::TenantRef,
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{Cluster, DesiredNamespace},
    quota::RESOURCES,
};

/// Where the name in the cluster stands in what is sent.
const KUBE_NAME: &str = "kubeName";
/// Longest name of a namespace in a cluster (an RFC 1123 label).
pub const MAX_KUBE_NAME: usize = 63;

/// Which namespace shall be whose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Its name in the cluster.
    pub kube_name: String,
    /// The name it shall have within the tenant.
    pub name: String,
    /// The cluster; none: the first that Berth knows.
    pub cluster: Option<ClusterId>,
    /// Its share of the tenant's quota; none: what its pods take now.
    pub share: Option<Written>,
}

/// What was asked for, as far as it can be meant.
struct Plan {
    adapter: Arc<dyn Cluster>,
    row: Namespace,
    strange: Strange,
    limited: Option<Resources>,
    share: Option<Resources>,
}

fn at_kube_name(code: &str, message: &str) -> Error {
    Error::field(FieldError::new(KUBE_NAME, code, message))
}

impl Services {
    /// Names of a cluster's namespaces that a tenant could be given, in their order.
    ///
    /// # Errors
    /// `ClusterUnavailable`; not found, forbidden to all but who keeps the platform.
    pub async fn adoptable(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        cluster: Option<&ClusterId>,
    ) -> Result<Vec<String>> {
        self.authz.tenant(ctx, tenant, Resource::Adoption, Action::Read).await?;
        let mut names = self.known_cluster(cluster)?.strange_namespaces().await?;
        names.retain(|name| !is_reserved(name, &self.surroundings));
        names.sort();
        Ok(names)
    }

    /// What is in a namespace, and what would become of it. Changes nothing.
    ///
    /// # Errors
    /// `Invalid` at `kubeName`, `name`, `cluster` or a key of the share; `AlreadyExists`; forbidden.
    pub async fn preview_adoption(&self, ctx: &OpCtx, tenant: &TenantName, asked: &Adopted) -> Result<Preview> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Adoption, Action::Read).await?;
        let plan = self.plan_adoption(ctx, &grant, asked).await?;
        Ok(plan.strange.preview(plan.limited.as_ref(), plan.share.as_ref()))
    }

    /// Gives a namespace to a tenant. What runs in it goes on running.
    ///
    /// The cluster has it in writing first: killed in between, it is nobody else's, and the same call goes on where it stopped.
    ///
    /// # Errors
    /// As [`Self::preview_adoption`]; `Invalid` at each key of which there is not so much left; `Conflict` when the namespace is
    /// another one by now.
    pub async fn adopt_namespace(&self, ctx: &OpCtx, tenant: &TenantName, asked: &Adopted) -> Result<Namespace> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Adoption, Action::Create).await?;
            let Plan { adapter, row, strange, share, .. } = self.plan_adoption(ctx, &grant, asked).await?;
            let wanted = desired(&row);
            adapter.adopt_namespace(ctx, &wanted, &strange.uid).await?;
            if let Err(e) = self.insert_namespace(&grant, &row, share.as_ref()).await {
                if let Err(e) = adapter.disown_namespace(ctx, &wanted).await {
                    tracing::warn!(namespace = row.kube_name, error = %e, "a namespace that was not adopted keeps its labels");
                }
                return Err(e);
            }
            if let Err(e) = self.reconcile_now(&adapter, &grant, &row).await {
                tracing::warn!(namespace = row.kube_name, error = %e, "an adopted namespace is not kept yet");
            }
            let detail = json!({ "kubeName": row.kube_name, "pods": strange.pods.len(), "share": share });
            Ok(Done::with(row, detail))
        };
        let target = format!("{tenant}/{}", asked.name.chars().take(60).collect::<String>());
        self.audited(ctx, "namespace.adopt", target, Some(tenant), work).await
    }

    async fn plan_adoption(&self, ctx: &OpCtx, tenant: &TenantRef, asked: &Adopted) -> Result<Plan> {
        let name: NamespaceName = name("name", &asked.name, NamespaceName::MAX)?;
        let adapter = self.open_cluster(asked.cluster.as_ref()).await?;
        let kube_name = asked.kube_name.trim();
        if kube_name.is_empty() || kube_name.len() > MAX_KUBE_NAME {
            return Err(at_kube_name("required", "the name of a namespace in the cluster"));
        }
        if is_reserved(kube_name, &self.surroundings) {
            let message = "it is the cluster's or the platform's own: a tenant would reach what belongs to all";
            return Err(at_kube_name("namespace_reserved", message));
        }
        let written = asked.share.as_ref().map(|written| Resources::read(RESOURCES, written));
        let written = written.transpose().map_err(Error::invalid)?.filter(|share| !share.is_empty());
        // Every namespace is in a book.
        let books = self.store.list_books(tenant).await?;
        if books.iter().flat_map(|book| &book.shares).any(|share| share.namespace.name == name) {
            return Err(Error::new(ErrorCode::AlreadyExists, "the tenant has a namespace of that name"));
        }
        let now = ctx.now();
        let row = Namespace {
            id: new_id(now, &*self.random)?,
            kube_name: kube_name.to_owned(),
            name,
            tenant: tenant.name.clone(),
            cluster: adapter.id().clone(),
            egress: Default::default(),
            protected: false,
            halt: None,
            created_at: now,
            version: 1,
        };
        let strange = self.look(&*adapter, &desired(&row)).await?;
        let limited = books.into_iter().find(|book| book.cluster == row.cluster).and_then(|book| book.limit);
        let limited = limited.map(|limit| limit.resources);
        let share = written.or_else(|| limited.as_ref().map(|limited| strange.takes(Some(limited))));
        Ok(Plan { adapter, row, strange, limited, share })
    }

    async fn look(&self, adapter: &dyn Cluster, wanted: &DesiredNamespace) -> Result<Strange> {
        adapter.look_at_namespace(wanted).await.map_err(|e| match e.code() {
            ErrorCode::NotFound => at_kube_name("namespace_absent", "the cluster has no namespace of that name"),
            ErrorCode::Conflict => {
                at_kube_name("namespace_taken", "it belongs to a tenant already, or is being removed")
            }
            _ => e,
        })
    }
}
