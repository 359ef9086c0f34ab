//! Nodes for who keeps the platform: what they have and what is promised of it, whether they take pods, and emptying them.
//!
//! A drain is a mark on the node itself. Whoever leads goes on with it, again and again until the node is empty or the mark is gone:
//! a portal that dies in between loses nothing. It acts as the person who wants it, with the rights that they have now.

use std::{collections::HashMap, sync::Arc};

use berth_types::{
    Action, ClusterId, ErrorCode, FieldError, ListQuery, NamespaceName, Page, Resource, TenantName, UserName,
    headroom::Amounts,
    node::{DrainConsent, DrainMark, DrainPlan, NodeRow, NodeView, PodFate},
};
use serde_json::json;

use super::{Done, Services, life::confirmed};
use crate::{
    Via,
    authz::{Grant, PlatformRef},
    ctx::{Actor, OpCtx},
    drain::{Spare, Tenancy, evictable, plan},
    error::{Error, Result},
    listing::{Column, Key, Listing},
    ports::cluster::{Cluster, Freshness},
    services::identity::to_person,
};

/// How nodes are listed.
pub static NODES: Listing<NodeRow> = Listing {
    columns: &[
        Column { name: "name", key: Some(|n| n.name.as_str().into()), value: None, facet: false },
        Column {
            name: "state",
            key: Some(|n| (n.state as i64).into()),
            value: Some(|n| n.state.to_string()),
            facet: true,
        },
        Column { name: "pressure", key: Some(|n| n.pressure.unwrap_or(-1).into()), value: None, facet: false },
        Column { name: "cpu", key: Some(|n| part(n, "cpu")), value: None, facet: false },
        Column { name: "memory", key: Some(|n| part(n, "memory")), value: None, facet: false },
        Column { name: "pods", key: Some(|n| part(n, "pods")), value: None, facet: false },
        Column {
            name: "version",
            key: Some(|n| n.version.as_str().into()),
            value: Some(|n| n.version.clone()),
            facet: true,
        },
        Column { name: "role", key: None, value: Some(|n| n.roles.join(",")), facet: true },
        Column { name: "created", key: Some(|n| n.created_at.into()), value: None, facet: false },
    ],
    search: |n| format!("{} {} {} {}", n.name, n.roles.join(" "), n.zone.as_deref().unwrap_or_default(), n.version),
    unique: "name",
    descending: false,
};

fn part(node: &NodeRow, resource: &str) -> Key {
    node.resource(resource).and_then(berth_types::node::NodeResource::pressure).unwrap_or(-1).into()
}

/// Some of a cluster's nodes.
#[derive(Debug, Clone)]
pub struct ListedNodes {
    /// The part that was asked for.
    pub page: Page<NodeRow>,
    /// How fresh it is.
    pub freshness: Freshness,
}

/// What the other nodes that take pods have left.
fn spares(nodes: &[NodeRow], but: &str) -> Vec<Spare> {
    let others = nodes.iter().filter(|node| node.name != but && node.takes_pods());
    let free = |node: &NodeRow| -> Amounts { node.resources.iter().map(|r| (r.resource.clone(), r.free())).collect() };
    others.map(|node| Spare { node: node.name.clone(), free: free(node) }).collect()
}

/// What a consent leaves out of what is needed.
fn unheard(needs: DrainConsent, consent: DrainConsent) -> Vec<FieldError> {
    let ask = |needed: bool, given: bool, field: &str, message: &str| {
        (needed && !given).then(|| FieldError::new(field, "drain_consent", message))
    };
    let pods = "pods on it are made anew by nobody: agree that they are lost, or move them yourself first";
    let data = "pods on it keep data in emptyDir volumes: agree that it is lost";
    let asked = [
        ask(needs.lose_pods, consent.lose_pods, "losePods", pods),
        ask(needs.lose_data, consent.lose_data, "loseData", data),
    ];
    asked.into_iter().flatten().collect()
}

impl Services {
    /// The cluster called `id`; for a place in a path: one that is not known is not found.
    pub(super) fn cluster_at(&self, id: &ClusterId) -> Result<Arc<dyn Cluster>> {
        self.clusters.get(id).map_err(|_| Error::not_found())
    }

    /// Whose a namespace of the cluster is, by its name there.
    async fn places(
        &self,
        platform: &Grant<PlatformRef>,
        cluster: &ClusterId,
    ) -> Result<impl Fn(&str) -> (Option<TenantName>, Option<NamespaceName>) + use<>> {
        let books = self.store.list_all_books(platform).await?;
        let here = books.into_iter().filter(|book| book.cluster == *cluster);
        let place =
            |namespace: berth_types::people::Namespace| (namespace.kube_name, (namespace.tenant, namespace.name));
        let places: HashMap<_, _> = here.flat_map(|book| book.shares).map(|share| place(share.namespace)).collect();
        Ok(move |name: &str| places.get(name).cloned().unzip())
    }

    /// A cluster's nodes.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform; `Invalid` in the query; `ClusterUnavailable` before they were read.
    pub async fn list_nodes(&self, ctx: &OpCtx, cluster: &ClusterId, query: &ListQuery) -> Result<ListedNodes> {
        let grant = self.authz.platform(ctx, Resource::Node, Action::Read)?;
        let cluster = self.cluster_at(cluster)?;
        let page = NODES.page(cluster.nodes(&grant)?, query)?;
        Ok(ListedNodes { page, freshness: cluster.freshness() })
    }

    /// One node, with what is on it.
    ///
    /// # Errors
    /// As [`Self::list_nodes`].
    pub async fn get_node(&self, ctx: &OpCtx, cluster: &ClusterId, node: &str) -> Result<(NodeView, Freshness)> {
        let grant = self.authz.platform(ctx, Resource::Node, Action::Read)?;
        let found = self.cluster_at(cluster)?;
        let mut view = found.node(&grant, node)?;
        let whose = self.places(&grant, cluster).await?;
        for pod in &mut view.pods {
            (pod.tenant, pod.namespace) = whose(&pod.kube_namespace);
        }
        Ok((view, found.freshness()))
    }

    /// Lets a node take new pods (`cordoned` is false) or none. One that takes pods again is not emptied any more.
    ///
    /// # Errors
    /// `NotFound`, forbidden, `ClusterUnavailable`.
    pub async fn cordon_node(&self, ctx: &OpCtx, cluster: &ClusterId, node: &str, cordoned: bool) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Node, Action::Update)?;
            let found = self.cluster_at(cluster)?;
            let before = found.node(&grant, node)?.node;
            let drain = before.drain.filter(|_| cordoned);
            found.mark_node(ctx, &grant, node, cordoned, drain.as_ref()).await?;
            Ok(Done::with((), json!({ "before": { "cordoned": before.cordoned }, "after": { "cordoned": cordoned } })))
        };
        let action = if cordoned { "node.cordon" } else { "node.uncordon" };
        self.audited(ctx, action, format!("{cluster}/{node}"), None, work).await
    }

    /// What emptying a node does, or still has to do, as things are now.
    ///
    /// # Errors
    /// `NotFound`, `ClusterUnavailable`.
    pub async fn plan_drain(&self, ctx: &OpCtx, cluster: &ClusterId, node: &str) -> Result<DrainPlan> {
        let grant = self.authz.platform(ctx, Resource::Node, Action::Read)?;
        let found = self.cluster_at(cluster)?;
        let mut plan = self.planned(&*found, &grant, node, DrainConsent::default()).await?.0;
        let whose = self.places(&grant, cluster).await?;
        for pod in &mut plan.pods {
            (pod.tenant, pod.namespace) = whose(&pod.kube_namespace);
        }
        if let Some(mark) = plan.drain.as_ref().filter(|mark| mark.done.is_none()) {
            plan.stalled = self.begun_by(ctx, mark).await?.is_none();
        }
        Ok(plan)
    }

    /// The plan for a node with the consent of its mark, where it has one, else with `consent`.
    async fn planned(
        &self,
        cluster: &dyn Cluster,
        grant: &Grant<PlatformRef>,
        node: &str,
        consent: DrainConsent,
    ) -> Result<(DrainPlan, Vec<Tenancy>)> {
        let nodes = cluster.nodes(grant)?;
        let row = nodes.iter().find(|row| row.name == node).ok_or_else(Error::not_found)?;
        let consent = row.drain.as_ref().map_or(consent, |mark| mark.consent);
        let pods = cluster.tenancies(grant, node).await?;
        Ok((plan(node, row.drain.as_ref(), &pods, &spares(&nodes, node), consent), pods))
    }

    /// Begins to empty a node: it takes no new pods, and the pods on it go as budgets let them. `typed` is the node's name.
    ///
    /// # Errors
    /// `Invalid` at `confirm`, and at what is lost without consent; `NotFound`, forbidden, `ClusterUnavailable`.
    pub async fn drain_node(
        &self,
        ctx: &OpCtx,
        cluster: &ClusterId,
        node: &str,
        typed: &str,
        consent: DrainConsent,
    ) -> Result<DrainMark> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Node, Action::Update)?;
            let found = self.cluster_at(cluster)?;
            let (plan, _) = self.planned(&*found, &grant, node, consent).await?;
            if plan.drain.as_ref().is_some_and(|mark| mark.done.is_none()) {
                return Err(Error::new(ErrorCode::Conflict, "it is being emptied already"));
            }
            let mut errors = unheard(plan.needs(), consent);
            errors.extend(confirmed(typed, node).err().iter().flat_map(|e| e.fields().to_vec()));
            if !errors.is_empty() {
                return Err(Error::invalid(errors));
            }
            let mark = DrainMark { by: ctx.actor.to_string(), at: ctx.now(), pods: plan.left(), consent, done: None };
            found.mark_node(ctx, &grant, node, true, Some(&mark)).await?;
            let detail = json!({ "pods": mark.pods, "consent": consent });
            Ok(Done::with(mark, detail))
        };
        self.audited(ctx, "node.drain", format!("{cluster}/{node}"), None, work).await
    }

    /// Stops emptying a node. What went does not come back by itself, and it still takes no new pods.
    ///
    /// # Errors
    /// `Conflict` when it is not being emptied; `NotFound`, forbidden, `ClusterUnavailable`.
    pub async fn stop_drain(&self, ctx: &OpCtx, cluster: &ClusterId, node: &str) -> Result<()> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Node, Action::Update)?;
            let found = self.cluster_at(cluster)?;
            let row = found.node(&grant, node)?.node;
            if row.drain.is_none_or(|mark| mark.done.is_some()) {
                return Err(Error::new(ErrorCode::Conflict, "it is not being emptied"));
            }
            found.mark_node(ctx, &grant, node, row.cordoned, None).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "node.drain-stop", format!("{cluster}/{node}"), None, work).await
    }

    /// Who began a drain, as who they are now; `None` when they may not any more.
    async fn begun_by(&self, ctx: &OpCtx, mark: &DrainMark) -> Result<Option<OpCtx>> {
        let Ok(name) = mark.by.parse::<UserName>() else { return Ok(None) };
        let Some(account) = self.store.find_account(&name).await?.filter(|account| !account.user.disabled) else {
            return Ok(None);
        };
        let person = to_person(&account, Via::Begun, berth_types::people::TokenScope::default());
        let theirs = ctx.with_actor(Actor::Person(person));
        Ok(self.authz.platform(&theirs, Resource::Node, Action::Update).is_ok().then_some(theirs))
    }

    /// Goes on with what is being emptied, where this process leads; how many pods were asked to go.
    ///
    /// # Errors
    /// Only the store's: a node that makes trouble holds up no other.
    pub async fn keep_drains(&self) -> Result<usize> {
        let ctx = OpCtx::system(self.clock.clone(), "drain");
        let grant = self.authz.platform(&ctx, Resource::Node, Action::Update)?;
        let mut gone = 0;
        for cluster in self.clusters.all().into_iter().filter(|cluster| cluster.leads()) {
            // Not read yet: later.
            let Ok(drains) = cluster.drains(&grant) else { continue };
            for (node, mark) in drains.into_iter().filter(|(_, mark)| mark.done.is_none()) {
                let Some(theirs) = self.begun_by(&ctx, &mark).await? else { continue };
                match self.drain_on(&theirs, &cluster, &node, &mark).await {
                    Ok(pods) => gone += pods,
                    Err(e) => tracing::warn!(node, error = %e, "a node could not be emptied further"),
                }
            }
        }
        Ok(gone)
    }

    /// One round for one node.
    async fn drain_on(&self, ctx: &OpCtx, cluster: &Arc<dyn Cluster>, node: &str, mark: &DrainMark) -> Result<usize> {
        let grant = self.authz.platform(ctx, Resource::Node, Action::Update)?;
        let (plan, pods) = self.planned(&**cluster, &grant, node, mark.consent).await?;
        let place = format!("{}/{node}", cluster.id());
        if plan.left() == 0 {
            let done = DrainMark { done: Some(ctx.now()), ..mark.clone() };
            let work = async {
                cluster.mark_node(ctx, &grant, node, true, Some(&done)).await?;
                Ok(Done::with((), json!({ "pods": mark.pods })))
            };
            self.audited(ctx, "node.drained", place, None, work).await?;
            return Ok(0);
        }
        let mut gone = 0;
        for step in evictable(&plan) {
            let known = |pod: &&Tenancy| pod.namespace == step.kube_namespace && pod.name == step.name;
            let Some(pod) = pods.iter().find(known) else { continue };
            let work = async {
                let goes = cluster.evict(ctx, &grant, pod).await?;
                Ok(Done::with(goes, json!({ "node": node, "goes": goes, "lost": step.fate == PodFate::Lost })))
            };
            let target = format!("{}/{}/{}", cluster.id(), pod.namespace, pod.name);
            // The budget may have been used up meanwhile: the next round sees.
            gone += usize::from(self.audited(ctx, "pod.evict", target, None, work).await?);
        }
        Ok(gone)
    }
}
