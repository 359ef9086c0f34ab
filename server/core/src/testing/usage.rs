//! The history of use of a [`FakeStore`].

use std::{collections::BTreeMap, ops::Range};

use async_trait::async_trait;
use berth_types::{ClusterId, QuotaKey, Resources, rows::UsageRow};
use uuid::Uuid;

use super::{FakeCluster, FakeStore};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::Result,
    ports::{cluster::ChangeKind, usage::Usages},
    usage::{Compute, Hour, KEPT, Level, Sample, Slot, Taken, Totals},
};

#[derive(Default)]
pub(super) struct Rows {
    /// Which samples each hour of a cluster has.
    passes: BTreeMap<(ClusterId, i64), i64>,
    hours: BTreeMap<(Uuid, i64), Hour>,
}

impl Rows {
    fn of(&self, namespaces: &[Uuid], hours: &Range<i64>) -> impl Iterator<Item = (Uuid, Hour)> {
        let within = |((id, at), _): &(&(Uuid, i64), &Hour)| namespaces.contains(id) && hours.contains(at);
        self.hours.iter().filter(within).map(|((id, _), hour)| (*id, hour.filled())).collect::<Vec<_>>().into_iter()
    }

    fn together(&self, namespaces: &[Uuid], hours: &Range<i64>) -> Vec<Hour> {
        let mut all: BTreeMap<i64, Hour> = BTreeMap::new();
        for (_, hour) in self.of(namespaces, hours) {
            all.entry(hour.hour).and_modify(|sum| *sum = beside(*sum, &hour)).or_insert(hour);
        }
        all.into_values().collect()
    }
}

/// The same hour of two namespaces.
fn beside(a: Hour, b: &Hour) -> Hour {
    let level = |a: Level, b: Level| Level { sum: a.sum + b.sum, peak: a.peak + b.peak };
    let both = |a: Option<i64>, b: Option<i64>| Some(a? + b?);
    let compute = |a: Compute, b: Compute| Compute {
        used: level(a.used, b.used),
        requests: level(a.requests, b.requests),
        limits: level(a.limits, b.limits),
        quota: both(a.quota, b.quota),
    };
    Hour {
        hour: a.hour,
        samples: a.samples.max(b.samples),
        measured: a.measured.min(b.measured),
        cpu: compute(a.cpu, b.cpu),
        memory: compute(a.memory, b.memory),
        pods: level(a.pods, b.pods),
        pods_quota: both(a.pods_quota, b.pods_quota),
        stored: a.stored.min(b.stored),
        storage: level(a.storage, b.storage),
        storage_quota: both(a.storage_quota, b.storage_quota),
    }
}

impl FakeCluster {
    /// Sets the quota of a namespace and its use.
    pub fn set_usage(&self, namespace: &NamespaceRef, usage: Vec<UsageRow>) {
        self.state.lock().usage.insert(namespace.kube_name.to_string(), usage);
        self.tell(ChangeKind::Usage, &namespace.kube_name, None);
    }

    /// What a namespace has of keys that count objects; of other keys nothing is known.
    pub fn set_existing(&self, namespace: &NamespaceRef, existing: Resources) {
        self.state.lock().existing.insert(namespace.kube_name.to_string(), existing);
    }

    pub(super) fn existing_of(&self, namespaces: &[Grant<NamespaceRef>], keys: &[QuotaKey]) -> Result<Vec<Resources>> {
        self.up()?;
        let state = self.state.lock();
        let of = |namespace: &Grant<NamespaceRef>| {
            let known = state.existing.get(&*namespace.kube_name).cloned().unwrap_or_default();
            let mut found = Resources::default();
            keys.iter().filter(|key| known.has(key)).for_each(|key| found.set(key.clone(), known.of(key)));
            found
        };
        Ok(namespaces.iter().map(of).collect())
    }

    /// From now on nobody carries out what is wanted, or somebody does again.
    pub fn set_idle(&self, idle: bool) {
        self.state.lock().idle_since = idle.then(|| self.clock.now());
        self.tell(ChangeKind::Freshness, "", None);
    }

    /// What the pods of a namespace ask for and use.
    pub fn set_taken(&self, namespace: &NamespaceRef, taken: Taken) {
        self.state.lock().taken.insert(namespace.kube_name.to_string(), taken);
    }
}

#[async_trait]
impl Usages for FakeStore {
    async fn add_usage(
        &self,
        _: &Grant<PlatformRef>,
        cluster: &ClusterId,
        slot: Slot,
        samples: &[(Uuid, Sample)],
    ) -> Result<bool> {
        let mut rows = self.rows()?;
        let here: Vec<Uuid> =
            rows.namespaces.iter().map(|(_, n)| n).filter(|n| n.cluster == *cluster).map(|n| n.id).collect();
        let parts = rows.usage.passes.entry((cluster.clone(), slot.hour)).or_default();
        if *parts & slot.bit() != 0 {
            return Ok(false);
        }
        *parts |= slot.bit();
        for (id, sample) in samples.iter().filter(|(id, _)| here.contains(id)) {
            let new = Hour::of(slot.hour, sample);
            rows.usage.hours.entry((*id, slot.hour)).and_modify(|hour| *hour = hour.then(&new)).or_insert(new);
        }
        let known = rows.usage.passes.keys().rev().filter(|(place, _)| place == cluster).map(|(_, hour)| *hour);
        let old = known.into_iter().nth(usize::try_from(KEPT).unwrap_or_default());
        if let Some(old) = old {
            rows.usage.passes.retain(|(place, hour), _| place != cluster || *hour > old);
            rows.usage.hours.retain(|(id, hour), _| !here.contains(id) || *hour > old);
        }
        Ok(true)
    }

    async fn namespace_usage(&self, namespace: &Grant<NamespaceRef>, hours: Range<i64>) -> Result<Vec<Hour>> {
        Ok(self.rows()?.usage.together(&[namespace.id], &hours))
    }

    async fn tenant_usage(&self, tenant: &TenantRef, cluster: &ClusterId, hours: Range<i64>) -> Result<Vec<Hour>> {
        let rows = self.rows()?;
        let theirs = rows.namespaces.iter().filter(|(owner, n)| *owner == tenant.id && n.cluster == *cluster);
        let theirs: Vec<Uuid> = theirs.map(|(_, n)| n.id).collect();
        Ok(rows.usage.together(&theirs, &hours))
    }

    async fn usage_totals(&self, _: &Grant<PlatformRef>, hours: Range<i64>) -> Result<Vec<(Uuid, Totals)>> {
        let rows = self.rows()?;
        let there: Vec<Uuid> = rows.namespaces.iter().map(|(_, n)| n.id).collect();
        let mut all: BTreeMap<Uuid, Totals> = BTreeMap::new();
        for (id, hour) in rows.usage.of(&there, &hours) {
            let sum = all.entry(id).or_default();
            *sum = sum.then(&Totals::of(&hour));
        }
        Ok(all.into_iter().collect())
    }
}
