//! Drift that a [`FakeStore`] was told of.

use async_trait::async_trait;
use berth_types::drift::{Drift, DriftKind};
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeCluster, FakeStore};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef},
    error::Result,
    ports::drifts::{Drifted, Drifts, KEPT, news},
};

/// Of which namespace, and what.
pub(super) type Rows = Vec<(Uuid, Drift)>;

impl FakeCluster {
    /// Somebody changed something in a namespace; it is put right when Berth looks next.
    pub fn drift(&self, namespace: &NamespaceRef, found: Vec<Drifted>) {
        self.state.lock().drift.insert(namespace.kube_name.to_string(), found);
    }

    /// Somebody else has the namespace of that name in the cluster, or it is gone.
    pub fn set_foreign(&self, namespace: &NamespaceRef, foreign: bool) {
        let namespaces = &mut self.state.lock().namespaces;
        if foreign {
            for one in namespaces.iter_mut().filter(|n| n.kube_name == *namespace.kube_name) {
                one.tenant = "another".to_owned();
            }
        } else {
            namespaces.retain(|n| n.kube_name != *namespace.kube_name);
        }
    }
}

#[async_trait]
impl Drifts for FakeStore {
    async fn note_drift(
        &self,
        _: &Grant<PlatformRef>,
        namespace: Uuid,
        found: &[Drifted],
        now: Timestamp,
    ) -> Result<Vec<Drifted>> {
        let mut rows = self.rows()?;
        if !rows.namespaces.iter().any(|(_, row)| row.id == namespace) {
            return Ok(Vec::new());
        }
        rows.drifts.retain(|(of, drift)| *of != namespace || drift.last_at >= now - KEPT);
        let own = rows.drifts.iter().filter(|(of, _)| *of == namespace);
        let known: Vec<_> = own.map(|(_, drift)| (drift.object.clone(), drift.kind, drift.last_at)).collect();
        for Drifted { object, kind, by } in found.iter().cloned() {
            let same =
                |(of, drift): &&mut (Uuid, Drift)| *of == namespace && drift.object == object && drift.kind == kind;
            if let Some((_, drift)) = rows.drifts.iter_mut().find(same) {
                (drift.by, drift.last_at, drift.times) = (by, now, drift.times + 1);
            } else {
                rows.drifts.push((namespace, Drift { object, kind, by, first_at: now, last_at: now, times: 1 }));
            }
        }
        Ok(news(found, &known, now))
    }

    async fn list_refused(&self, _: &Grant<PlatformRef>) -> Result<Vec<Uuid>> {
        let rows = self.rows()?;
        let refused = rows.drifts.iter().filter(|(_, drift)| drift.kind == DriftKind::Refused);
        let mut all: Vec<Uuid> = refused.map(|(of, _)| *of).collect();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    async fn settle_refused(&self, _: &Grant<PlatformRef>, namespace: Uuid) -> Result<()> {
        self.rows()?.drifts.retain(|(of, drift)| *of != namespace || drift.kind != DriftKind::Refused);
        Ok(())
    }

    async fn list_drift(&self, namespace: &Grant<NamespaceRef>) -> Result<Vec<Drift>> {
        let rows = self.rows()?;
        let there = |of: Uuid| rows.namespaces.iter().any(|(_, row)| row.id == of);
        let own = rows.drifts.iter().filter(|(of, _)| *of == namespace.id && there(*of));
        let mut all: Vec<Drift> = own.map(|(_, drift)| drift.clone()).collect();
        all.sort_by(|a, b| {
            let key = |d: &Drift| (d.kind != DriftKind::Refused, std::cmp::Reverse(d.last_at));
            key(a).cmp(&key(b)).then_with(|| (&a.object, a.kind.as_str()).cmp(&(&b.object, b.kind.as_str())))
        });
        Ok(all)
    }
}
