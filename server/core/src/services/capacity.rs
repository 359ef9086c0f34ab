//! The room of a cluster: what the machines have against what tenants were promised.

use std::collections::BTreeSet;

use berth_types::{
    Action, ClusterId, Quantity, QuotaKey, Resource,
    capacity::{CapacityRow, ClusterCapacity, LargestTenant},
    node::{NodeResource, NodeRow, NodeState, PRESSED_BY, amount, written},
};

use super::{Services, usage::idle_of};
use crate::{ctx::OpCtx, error::Result, ports::cluster::Freshness, quota::Book};

/// How many of the largest tenants are named for each resource.
const LARGEST: usize = 5;

/// What a quota calls a node's resource.
fn key_of(resource: &str) -> Option<QuotaKey> {
    match resource {
        "pods" => "pods".parse().ok(),
        other => format!("requests.{other}").parse().ok(),
    }
}

/// The room that `nodes` give to the tenants of `books`.
#[must_use]
pub fn capacity(cluster: &ClusterId, nodes: &[NodeRow], books: &[Book]) -> ClusterCapacity {
    let ready: Vec<&NodeRow> = nodes.iter().filter(|node| node.state != NodeState::NotReady).collect();
    let here: Vec<&Book> = books.iter().filter(|book| book.cluster == *cluster).collect();
    let known: BTreeSet<&str> =
        nodes.iter().flat_map(|node| &node.resources).map(|resource| resource.resource.as_str()).collect();
    let others = known.into_iter().filter(|name| !PRESSED_BY.contains(name) && !name.starts_with("hugepages-"));
    let names: Vec<&str> = PRESSED_BY.into_iter().chain(others).collect();
    let largest = PRESSED_BY.into_iter().flat_map(|name| largest(name, &here)).collect();
    ClusterCapacity {
        cluster: cluster.clone(),
        nodes: nodes.len(),
        ready: ready.len(),
        tenants: here.len(),
        resources: names.into_iter().map(|name| row(name, &ready, &here)).collect(),
        largest,
        idle: Vec::new(),
    }
}

fn sum(amounts: impl Iterator<Item = Quantity>) -> Quantity {
    amounts.fold(Quantity::ZERO, Quantity::plus)
}

fn row(name: &str, ready: &[&NodeRow], books: &[&Book]) -> CapacityRow {
    let have: Vec<&NodeResource> = ready.iter().filter_map(|node| node.resource(name)).collect();
    let allocatable = sum(have.iter().map(|r| amount(&r.allocatable)));
    let measured: Option<Vec<Quantity>> = have.iter().map(|r| r.used.as_deref().map(amount)).collect();
    let key = key_of(name);
    let limits: Vec<Option<Quantity>> =
        books.iter().map(|book| key.as_ref().and_then(|key| book.limit_of(key))).collect();
    let promised = sum(limits.iter().copied().flatten());
    let mut parts: Vec<i64> = have.iter().filter_map(|r| r.pressure()).collect();
    parts.sort_unstable();
    let spread = match parts.as_slice() {
        [] => None,
        [emptiest, .., fullest] => Some([*emptiest, parts[parts.len() / 2], *fullest]),
        [only] => Some([*only; 3]),
    };
    // A node that takes no pods has room for nobody.
    let free = ready.iter().filter(|node| node.takes_pods()).filter_map(|node| node.resource(name));
    CapacityRow {
        resource: name.to_owned(),
        allocatable: written(name, allocatable),
        requested: written(name, sum(have.iter().map(|r| amount(&r.requested)))),
        used: measured.filter(|all| !all.is_empty()).map(|all| written(name, sum(all.into_iter()))),
        promised: written(name, promised),
        promised_part: promised.thousandths_of(allocatable),
        unlimited: limits.iter().filter(|limit| limit.is_none()).count(),
        headroom: written(name, allocatable.minus(promised).max(Quantity::ZERO)),
        largest_free: written(name, free.map(NodeResource::free).max().unwrap_or_default()),
        spread,
    }
}

fn largest(name: &str, books: &[&Book]) -> Vec<LargestTenant> {
    let Some(key) = key_of(name) else { return Vec::new() };
    let mut all: Vec<(Quantity, &Book)> = books
        .iter()
        .filter_map(|book| Some((book.limit_of(&key)?, *book)))
        .filter(|(n, _)| *n > Quantity::ZERO)
        .collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.tenant.cmp(&b.1.tenant)));
    let one = |(promised, book): (Quantity, &Book)| LargestTenant {
        resource: name.to_owned(),
        tenant: book.tenant.clone(),
        display_name: book.display_name.clone(),
        promised: written(name, promised),
    };
    all.into_iter().take(LARGEST).map(one).collect()
}

impl Services {
    /// The room of a cluster.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform, or for a cluster that is not known; `ClusterUnavailable` before its
    /// nodes were read.
    pub async fn cluster_capacity(&self, ctx: &OpCtx, cluster: &ClusterId) -> Result<(ClusterCapacity, Freshness)> {
        let grant = self.authz.platform(ctx, Resource::Platform, Action::Read)?;
        let found = self.cluster_at(cluster)?;
        let nodes = found.nodes(&grant)?;
        let books = self.store.list_all_books(&grant).await?;
        let totals = self.totals(&grant, ctx.now()).await?;
        let idle = idle_of(books.iter().filter(|book| book.cluster == *cluster), &totals);
        Ok((ClusterCapacity { idle, ..capacity(cluster, &nodes, &books) }, found.freshness()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use berth_types::{ErrorCode, PlatformRole, TenantRole};

    use super::*;
    use crate::{
        quota::Limit,
        testing::{World, node},
    };

    fn book(tenant: &str, limits: Option<&[(&str, &str)]>) -> Book {
        let read = |pairs: &[(&str, &str)]| {
            let written = pairs.iter().map(|(key, amount)| ((*key).to_owned(), (*amount).to_owned())).collect();
            berth_types::Resources::read("resources", &written).unwrap()
        };
        Book {
            tenant: tenant.parse().unwrap(),
            tenant_id: uuid::Uuid::nil(),
            display_name: tenant.to_owned(),
            cluster: ClusterId::local(),
            limit: limits.map(|limits| Limit {
                plan: None,
                origin: None,
                resources: read(limits),
                defaults: Default::default(),
            }),
            loans: Vec::new(),
            shares: Vec::new(),
        }
    }

    #[test]
    fn what_was_promised_against_what_there_is() {
        let mut dead = node("node-3", "4");
        dead.state = NodeState::NotReady;
        let mut cordoned = node("node-2", "0");
        cordoned.cordoned = true;
        let books = [
            book("small", Some(&[("requests.cpu", "1"), ("pods", "10")])),
            book("large", Some(&[("requests.cpu", "9"), ("requests.memory", "4Gi")])),
            book("free", None),
            Book { cluster: "moon".parse().unwrap(), ..book("elsewhere", Some(&[("requests.cpu", "99")])) },
        ];
        let found = capacity(&ClusterId::local(), &[node("node-1", "3"), cordoned, dead], &books);
        assert_eq!((found.nodes, found.ready, found.tenants), (3, 2, 3));
        let text: Vec<String> = found
            .resources
            .iter()
            .map(|r| {
                format!(
                    "{} {}/{} promised {} {:?} left {} free {} unlimited {} {:?}",
                    r.resource,
                    r.requested,
                    r.allocatable,
                    r.promised,
                    r.promised_part,
                    r.headroom,
                    r.largest_free,
                    r.unlimited,
                    r.spread
                )
            })
            .collect();
        assert_eq!(
            text,
            [
                "cpu 3/8 promised 10 Some(1250) left 0 free 1 unlimited 1 Some([0, 750, 750])",
                "memory 2Gi/16Gi promised 4Gi Some(250) left 12Gi free 7Gi unlimited 2 Some([125, 125, 125])",
                "pods 4/220 promised 10 Some(45) left 210 free 108 unlimited 2 Some([18, 18, 18])",
            ]
        );
        assert!(found.resources.iter().all(|r| r.used.is_none()), "nothing is measured");
        let largest: Vec<_> =
            found.largest.iter().map(|t| format!("{} {} {}", t.resource, t.tenant, t.promised)).collect();
        assert_eq!(largest, ["cpu large 9", "cpu small 1", "memory large 4Gi", "pods small 10"]);
    }

    #[test]
    fn without_machines_there_is_no_room() {
        let found = capacity(&ClusterId::local(), &[], &[book("a", Some(&[("requests.cpu", "1")]))]);
        let cpu = &found.resources[0];
        assert_eq!((cpu.promised_part, cpu.headroom.as_str(), cpu.spread, cpu.used.as_ref()), (None, "0", None, None));
    }

    #[test]
    fn use_is_told_only_where_all_is_measured() {
        let measured = |name: &str, used: Option<&str>| {
            let mut node = node(name, "1");
            node.resources[0].used = used.map(str::to_owned);
            node
        };
        let of = |nodes: &[NodeRow]| capacity(&ClusterId::local(), nodes, &[]).resources[0].used.clone();
        assert_eq!(of(&[measured("a", Some("500m")), measured("b", Some("250m"))]).as_deref(), Some("750m"));
        assert_eq!(of(&[measured("a", Some("500m")), measured("b", None)]), None);
    }

    #[tokio::test]
    async fn the_room_is_for_the_platform() {
        let world = World::new();
        world.person("eye", Some(PlatformRole::Auditor)).await;
        world.person("olga", None).await;
        world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
        world.cluster.with_nodes(|nodes| nodes.rows.push(node("node-1", "1")));
        let seen = world.services.cluster_capacity(&world.ctx("eye").await, &ClusterId::local()).await.unwrap().0;
        assert_eq!(seen.ready, 1);
        let refused = world.services.cluster_capacity(&world.ctx("olga").await, &ClusterId::local()).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
    }
}
