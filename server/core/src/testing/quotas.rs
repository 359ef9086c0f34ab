//! Plans, quotas and shares of a [`FakeStore`]: the same rule as in the databases, under its lock.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_types::{
    ClusterId, PlanName, QuotaKey, Resources,
    people::Namespace,
    quota::{
        Plan, PlanRow,
        request::{LoanStage, QuotaLoan},
    },
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    FakeCluster, FakeStore,
    store::{Rows as AllRows, taken},
};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::{cluster::UnknownKey, quotas::Quotas},
    quota::{Book, Change, Changed, Limit, Share, plan_changed, plan_refusal, plan_unknown, plan_used, refusal},
};

#[derive(Default)]
pub(super) struct Rows {
    plans: Vec<Plan>,
    limits: BTreeMap<(Uuid, ClusterId), Limit>,
    shares: BTreeMap<Uuid, Resources>,
}

impl FakeCluster {
    /// From now on it knows none of these keys.
    pub fn set_lacks(&self, lacks: Vec<UnknownKey>) {
        self.state.lock().lacks = lacks;
    }

    pub(super) fn unknown(&self, keys: &[QuotaKey]) -> Result<Vec<UnknownKey>> {
        self.up()?;
        let state = self.state.lock();
        Ok(state.lacks.iter().filter(|one| keys.contains(&one.key)).cloned().collect())
    }
}

impl AllRows {
    pub(super) fn books(&self, only: Option<Uuid>) -> Vec<Book> {
        let mut books = Vec::new();
        let mut tenants: Vec<_> = self.tenants.iter().filter(|t| only.is_none_or(|only| only == t.id)).collect();
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        for tenant in tenants {
            let theirs = || self.namespaces.iter().filter(|(owner, _)| *owner == tenant.id).map(|(_, n)| n);
            let limited = self.quotas.limits.keys().filter(|(owner, _)| *owner == tenant.id).map(|(_, c)| c);
            let clusters: std::collections::BTreeSet<&ClusterId> =
                theirs().map(|n| &n.cluster).chain(limited).collect();
            for cluster in clusters {
                let share =
                    |n: &Namespace| Share { namespace: n.clone(), resources: self.quotas.shares.get(&n.id).cloned() };
                let mut shares: Vec<Share> = theirs().filter(|n| n.cluster == *cluster).map(share).collect();
                shares.sort_by(|a, b| a.namespace.name.cmp(&b.namespace.name));
                let limit = self.quotas.limits.get(&(tenant.id, cluster.clone()));
                let lent = |(owner, place, loan): &&(Uuid, ClusterId, QuotaLoan)| {
                    *owner == tenant.id && *place == *cluster && loan.stage != LoanStage::Ended
                };
                let mut loans: Vec<QuotaLoan> =
                    self.requests.loans.iter().filter(lent).map(|(_, _, loan)| loan.clone()).collect();
                loans.sort_by_key(|loan| (loan.ends_at, loan.request));
                books.push(Book {
                    tenant: tenant.name.clone(),
                    tenant_id: tenant.id,
                    display_name: tenant.display_name.clone(),
                    cluster: cluster.clone(),
                    limit: limit.map(|limit| self.quotas.given(limit)),
                    loans,
                    shares,
                });
            }
        }
        books
    }

    /// Namespaces and limits on a cluster are no more.
    pub(super) fn forget_cluster(&mut self, id: &ClusterId) {
        self.namespaces.retain(|(_, namespace)| namespace.cluster != *id);
        self.quotas.limits.retain(|(_, cluster), _| cluster != id);
    }

    fn change(&mut self, tenant: &TenantRef, cluster: &ClusterId, change: &Change) -> Result<Changed> {
        let found = self.books(Some(tenant.id)).into_iter().find(|book| book.cluster == *cluster);
        let before = found.unwrap_or_else(|| Book::empty(tenant, cluster));
        let change = match change {
            Change::Limit(Some(Limit { plan: Some(name), .. })) => {
                let plan = self.quotas.plans.iter().find(|plan| plan.name == *name);
                Change::Limit(Some(limit_of(plan.ok_or_else(|| plan_unknown(name.as_str()))?)))
            }
            other => other.clone(),
        };
        let after = before.after(&change).map_err(|lacks| refusal(&lacks))?;
        self.write_book(&after);
        Ok(Changed { before, after })
    }

    /// Writes limit and shares.
    pub(super) fn write_book(&mut self, book: &Book) {
        let place = (book.tenant_id, book.cluster.clone());
        match &book.limit {
            Some(limit) => drop(self.quotas.limits.insert(place, limit.clone())),
            None => drop(self.quotas.limits.remove(&place)),
        }
        for share in &book.shares {
            match &share.resources {
                Some(own) => drop(self.quotas.shares.insert(share.namespace.id, own.clone())),
                None => drop(self.quotas.shares.remove(&share.namespace.id)),
            }
        }
    }
}

impl Rows {
    /// A limit with what its plan says now.
    fn given(&self, limit: &Limit) -> Limit {
        let plan = self.plans.iter().find(|plan| Some(&plan.name) == limit.plan.as_ref());
        plan.map_or_else(|| limit.clone(), limit_of)
    }

    fn users(&self, name: &PlanName) -> impl Iterator<Item = &(Uuid, ClusterId)> {
        self.limits.iter().filter(move |(_, limit)| limit.plan.as_ref() == Some(name)).map(|(place, _)| place)
    }
}

fn limit_of(plan: &Plan) -> Limit {
    Limit {
        plan: Some(plan.name.clone()),
        origin: None,
        resources: plan.resources.clone(),
        defaults: plan.defaults.clone(),
    }
}

#[async_trait]
impl Quotas for FakeStore {
    async fn list_plans(&self, _: &Grant<PlatformRef>) -> Result<Vec<PlanRow>> {
        let rows = self.rows()?;
        let row = |plan: &Plan| PlanRow { plan: plan.clone(), tenants: rows.quotas.users(&plan.name).count() };
        let mut plans: Vec<PlanRow> = rows.quotas.plans.iter().map(row).collect();
        plans.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
        Ok(plans)
    }

    async fn find_plan(&self, _: &Grant<PlatformRef>, name: &PlanName) -> Result<Option<Plan>> {
        Ok(self.rows()?.quotas.plans.iter().find(|plan| plan.name == *name).cloned())
    }

    async fn create_plan(&self, _: &Grant<PlatformRef>, plan: &Plan) -> Result<()> {
        let plans = &mut self.rows()?.quotas.plans;
        if plans.iter().any(|known| known.name == plan.name) {
            return Err(taken("name", format!("a plan called “{}” exists already", plan.name)));
        }
        plans.push(plan.clone());
        Ok(())
    }

    async fn update_plan(&self, _: &Grant<PlatformRef>, plan: &Plan) -> Result<i64> {
        let mut rows = self.rows()?;
        let at = rows.quotas.plans.iter().position(|known| known.id == plan.id && known.version == plan.version);
        let at = at.ok_or_else(plan_changed)?;
        let old = std::mem::replace(&mut rows.quotas.plans[at], Plan { version: plan.version + 1, ..plan.clone() });
        let having = |book: &Book| book.limit.as_ref().is_some_and(|limit| limit.plan.as_ref() == Some(&plan.name));
        let books = rows.books(None).into_iter().filter(having);
        let lacks: Vec<_> =
            books.flat_map(|book| book.lacks().into_iter().map(move |lack| (book.tenant.clone(), lack))).collect();
        if !lacks.is_empty() {
            rows.quotas.plans[at] = old;
            return Err(plan_refusal(&lacks));
        }
        Ok(plan.version + 1)
    }

    async fn delete_plan(&self, _: &Grant<PlatformRef>, name: &PlanName) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.quotas.plans.iter().position(|plan| plan.name == *name).ok_or_else(Error::not_found)?;
        let of = |id: &Uuid| rows.tenants.iter().find(|t| t.id == *id).map(|t| t.name.to_string());
        let mut users: Vec<String> = rows.quotas.users(name).filter_map(|(id, _)| of(id)).collect();
        users.sort();
        users.dedup();
        if !users.is_empty() {
            return Err(plan_used(&users));
        }
        rows.quotas.plans.remove(at);
        Ok(())
    }

    async fn list_books(&self, tenant: &TenantRef) -> Result<Vec<Book>> {
        Ok(self.rows()?.books(Some(tenant.id)))
    }

    async fn list_all_books(&self, _: &Grant<PlatformRef>) -> Result<Vec<Book>> {
        Ok(self.rows()?.books(None))
    }

    async fn change_book(
        &self,
        grant: &Grant<TenantRef>,
        cluster: &ClusterId,
        change: &Change,
        _: Timestamp,
    ) -> Result<Changed> {
        self.rows()?.change(grant, cluster, change)
    }

    async fn create_namespace_with(
        &self,
        grant: &Grant<TenantRef>,
        namespace: &Namespace,
        share: &Resources,
        _: Timestamp,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        rows.add_namespace(grant, namespace)?;
        let change = Change::Share(namespace.name.clone(), Some(share.clone()));
        let shared = rows.change(grant, &namespace.cluster, &change);
        if shared.is_err() {
            rows.namespaces.retain(|(_, n)| n.id != namespace.id);
        }
        shared.map(drop)
    }
}
