//! What a namespace's pods may reach. The list stands in the store; the reconciler makes NetworkPolicies of it.

use berth_types::{
    Action, NamespaceName, Resource, TenantName,
    network::{Cidr, Egress, EgressText},
    people::Namespace,
};
use serde_json::json;

use super::{Done, Services};
use crate::{
    authz::{Grant, NamespaceRef},
    ctx::OpCtx,
    error::{Error, Result},
    network::Surroundings,
};

/// Where the list stands in what is sent.
pub const EGRESS: &str = "egress";

/// Who reaches a namespace's pods, and what they reach.
#[derive(Debug, Clone)]
pub struct NetworkOverview {
    /// Which namespace.
    pub namespace: Grant<NamespaceRef>,
    /// What its pods may reach outside of the tenant.
    pub egress: Egress,
    /// Counts changes of the namespace's row.
    pub version: i64,
    /// Namespaces and addresses of the platform that reach its pods.
    pub reached_from: Vec<String>,
    /// Addresses that its pods never reach by the list.
    pub never: Vec<Cidr>,
}

impl NetworkOverview {
    fn of(namespace: Grant<NamespaceRef>, row: Namespace, around: &Surroundings) -> Self {
        let sources = around.sources.iter().map(ToString::to_string);
        Self {
            egress: row.egress,
            version: row.version,
            reached_from: around.namespaces.iter().cloned().chain(sources).collect(),
            never: around.never().collect(),
            namespace,
        }
    }
}

impl Services {
    /// Who reaches a namespace's pods, and what they reach.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn get_network(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
    ) -> Result<NetworkOverview> {
        let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Network, Action::Read).await?;
        let row = self.row_of(&grant).await?;
        Ok(NetworkOverview::of(grant, row, &self.surroundings))
    }

    /// Sets what a namespace's pods may reach, if its row still has `version` (when given), and waits until the cluster has it;
    /// where the cluster does not answer, the reconciler does it later.
    ///
    /// # Errors
    /// `Invalid` at each field that is wrong; `Conflict`, `NotFound`, forbidden.
    pub async fn set_network(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        written: &EgressText,
        version: Option<i64>,
    ) -> Result<NetworkOverview> {
        let work = async {
            let grant = self.authz.namespace(ctx, tenant, namespace, Resource::Network, Action::Update).await?;
            let egress = Egress::read(EGRESS, written, &self.surroundings.cluster).map_err(Error::invalid)?;
            let mut row = self.row_of(&grant).await?;
            let detail = json!({ "before": row.egress, "after": egress });
            row.version = self.store.set_egress(&grant, &egress, version).await?;
            row.egress = egress;
            let followed = async {
                let cluster = self.clusters.get(&row.cluster)?;
                self.reconcile_now(&cluster, &grant.tenant, &row).await
            };
            if let Err(e) = followed.await {
                tracing::warn!(namespace = row.kube_name, error = %e, "the cluster does not enforce the egress list yet");
            }
            Ok(Done::with(NetworkOverview::of(grant, row, &self.surroundings), detail))
        };
        self.audited(ctx, "network.set", format!("{tenant}/{namespace}"), Some(tenant), work).await
    }

    async fn row_of(&self, namespace: &NamespaceRef) -> Result<Namespace> {
        let rows = self.store.list_namespaces(&namespace.tenant).await?;
        rows.into_iter().find(|row| row.id == namespace.id).ok_or_else(Error::not_found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::{
        ErrorCode, TenantRole,
        network::{EgressMode, RangeText},
    };

    use super::*;
    use crate::testing::World;

    fn named(cidr: &str) -> EgressText {
        let range = RangeText { cidr: cidr.into(), ports: vec!["443".into()], name: "payments".into() };
        EgressText { mode: "named".into(), ranges: vec![range] }
    }

    #[tokio::test]
    async fn a_list_is_set_by_admins_and_enforced_at_once() {
        let world = World::new();
        for name in ["olga", "adam", "dev"] {
            world.person(name, None).await;
        }
        let members = [("olga", TenantRole::Owner), ("adam", TenantRole::Admin), ("dev", TenantRole::Developer)];
        let tenant = world.tenant("shop", &members).await;
        let namespace = world.namespace(&tenant, "dev").await;
        let around = Surroundings::read("ingress-nginx", "10.42.0.0/16", Some("berth")).unwrap();
        let services = world.services.with_surroundings(around);
        let (shop, dev) = (tenant.name, namespace.name);

        let seen = services.get_network(&world.ctx("dev").await, &shop, &dev).await.unwrap();
        assert_eq!((seen.egress, seen.version), (Egress::default(), 1));
        assert_eq!(seen.reached_from, ["berth", "ingress-nginx"]);
        assert!(seen.never.contains(&"10.42.0.0/16".parse().unwrap()));
        let refused = services.set_network(&world.ctx("dev").await, &shop, &dev, &named("8.8.8.8/32"), None).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Forbidden);

        let admin = world.ctx("adam").await;
        let cluster = services.set_network(&admin, &shop, &dev, &named("10.42.1.0/24"), None).await.unwrap_err();
        assert_eq!((cluster.code(), cluster.fields()[0].code.as_str()), (ErrorCode::Invalid, "cidr_cluster"));
        assert!(world.cluster.namespaces().is_empty(), "nothing was changed");
        let set = services.set_network(&admin, &shop, &dev, &named("8.8.8.8/32"), Some(1)).await.unwrap();
        assert_eq!((set.egress.mode, set.version), (EgressMode::Named, 2));
        let enforced = world.cluster.namespaces().pop().unwrap().network;
        assert_eq!(enforced.egress, set.egress);
        assert_eq!(enforced.surroundings.namespaces, ["berth", "ingress-nginx"]);
        // Who read it before does not overwrite it.
        let late = services.set_network(&admin, &shop, &dev, &named("9.9.9.9/32"), Some(1)).await;
        assert_eq!(late.unwrap_err().code(), ErrorCode::Conflict);
        assert_eq!(services.get_network(&admin, &shop, &dev).await.unwrap().egress, set.egress);

        let said = world.store.audit().into_iter().filter(|e| e.action == "network.set" && e.outcome == "done");
        let said: Vec<_> = said.collect();
        assert_eq!(said.len(), 1);
        let detail = said[0].detail.clone().unwrap();
        assert_eq!(detail["before"]["mode"], "all");
        assert_eq!(detail["after"]["ranges"][0]["cidr"], "8.8.8.8/32");
    }

    #[tokio::test]
    async fn a_cluster_that_is_away_follows_later() {
        let world = World::new();
        world.person("olga", None).await;
        let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
        let namespace = world.namespace(&tenant, "dev").await;
        world.cluster.set_down(Some("connection refused"));
        let ctx = world.ctx("olga").await;
        world.services.set_network(&ctx, &tenant.name, &namespace.name, &named("8.8.8.8/32"), None).await.unwrap();
        world.cluster.set_down(None);
        world.services.reconcile_namespaces().await.unwrap();
        assert_eq!(world.cluster.namespaces().pop().unwrap().network.egress.mode, EgressMode::Named);
    }
}
