//! Requests and loans of a [`FakeStore`]: the same rules as in the databases, under its lock.

use async_trait::async_trait;
use berth_types::{
    ClusterId, Resources,
    quota::request::{LoanStage, QuotaLoan, QuotaRequest, RequestState},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeStore, store::Rows as AllRows};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::Result,
    notices::Notice,
    ports::requests::Requests,
    quota::{
        Book, Changed, refusal,
        requests::{Granting, request_changed},
    },
};

#[derive(Default)]
pub(super) struct Rows {
    /// With the tenant's id, oldest first.
    requests: Vec<(Uuid, QuotaRequest)>,
    /// With tenant and cluster.
    pub(super) loans: Vec<(Uuid, ClusterId, QuotaLoan)>,
}

impl AllRows {
    fn tell_loan(
        &mut self,
        (tenant, cluster, request): (Uuid, &ClusterId, Uuid),
        stage: LoanStage,
        now: Timestamp,
    ) -> Result<()> {
        let name = self.tenant(tenant)?.name.clone();
        if let Some(notice) = Notice::of_loan((&name, cluster, request), stage, now) {
            self.webhooks.put(Some(tenant), &notice);
        }
        Ok(())
    }

    fn book(&self, tenant: &TenantRef, cluster: &ClusterId) -> Book {
        let found = self.books(Some(tenant.id)).into_iter().find(|book| book.cluster == *cluster);
        found.unwrap_or_else(|| Book::empty(tenant, cluster))
    }

    fn grant(&mut self, tenant: &TenantRef, cluster: &ClusterId, granting: &Granting) -> Result<Changed> {
        let before = self.book(tenant, cluster);
        granting.holds(&before)?;
        let after = before.granting(granting).map_err(|lacks| refusal(&lacks))?;
        self.write_book(&after);
        for (_, _, loan) in self.requests.loans.iter_mut() {
            if before.loans.iter().any(|old| old.request == loan.request) {
                let left = after.loans.iter().find(|left| left.request == loan.request);
                loan.resources = left.map(|left| left.resources.clone()).unwrap_or_default();
                loan.stage = if left.is_some() { loan.stage } else { LoanStage::Ended };
            }
        }
        let new = after.loans.iter().filter(|loan| loan.request == granting.request).cloned();
        let rows = new.map(|loan| (tenant.id, cluster.clone(), loan));
        self.requests.loans.extend(rows);
        Ok(Changed { before, after })
    }
}

fn newest_first<'a>(rows: impl DoubleEndedIterator<Item = &'a (Uuid, QuotaRequest)>) -> Vec<QuotaRequest> {
    let mut all: Vec<QuotaRequest> = rows.map(|(_, request)| request.clone()).collect();
    all.sort_by_key(|request| std::cmp::Reverse((request.created_at, request.id)));
    all
}

#[async_trait]
impl Requests for FakeStore {
    async fn list_requests(&self, tenant: &TenantRef) -> Result<Vec<QuotaRequest>> {
        Ok(newest_first(self.rows()?.requests.requests.iter().filter(|(owner, _)| *owner == tenant.id)))
    }

    async fn list_all_requests(&self, _: &Grant<PlatformRef>) -> Result<Vec<QuotaRequest>> {
        Ok(newest_first(self.rows()?.requests.requests.iter()))
    }

    async fn count_open_requests(&self, _: &Grant<PlatformRef>) -> Result<u64> {
        let rows = self.rows()?;
        let open = rows.requests.requests.iter().filter(|(_, request)| request.state == RequestState::Open).count();
        Ok(open as u64)
    }

    async fn find_request(&self, tenant: &TenantRef, id: Uuid) -> Result<Option<QuotaRequest>> {
        let rows = self.rows()?;
        let found = rows.requests.requests.iter().find(|(owner, request)| *owner == tenant.id && request.id == id);
        Ok(found.map(|(_, request)| request.clone()))
    }

    async fn create_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
    ) -> Result<Option<Changed>> {
        let mut rows = self.rows()?;
        let changed = granting.map(|granting| rows.grant(grant, &request.cluster, granting)).transpose()?;
        rows.requests.requests.push((grant.id, request.clone()));
        rows.webhooks.put(Some(grant.id), &Notice::of_request(request, request.created_at));
        Ok(changed)
    }

    async fn step_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
        now: Timestamp,
    ) -> Result<Option<Changed>> {
        let mut rows = self.rows()?;
        let same = |(owner, known): &(Uuid, QuotaRequest)| {
            let still = known.version == request.version - 1 && known.state.is_open();
            *owner == grant.id && known.id == request.id && still
        };
        let at = rows.requests.requests.iter().position(same).ok_or_else(request_changed)?;
        let changed = granting.map(|granting| rows.grant(grant, &request.cluster, granting)).transpose()?;
        let known = &mut rows.requests.requests[at].1;
        known.state = request.state;
        known.steps.clone_from(&request.steps);
        known.version = request.version;
        rows.webhooks.put(Some(grant.id), &Notice::of_request(request, now));
        Ok(changed)
    }

    async fn note_loan(&self, _: &Grant<PlatformRef>, request: Uuid, stage: LoanStage, now: Timestamp) -> Result<bool> {
        let mut rows = self.rows()?;
        let earlier = |loan: &QuotaLoan| loan.request == request && loan.stage < stage;
        let mut loans = rows.requests.loans.iter_mut();
        let Some((tenant, cluster, loan)) = loans.find(|(_, _, loan)| earlier(loan)) else { return Ok(false) };
        loan.stage = stage;
        let (tenant, cluster) = (*tenant, cluster.clone());
        rows.tell_loan((tenant, &cluster, request), stage, now)?;
        Ok(true)
    }

    async fn give_back(
        &self,
        tenant: &Grant<TenantRef>,
        cluster: &ClusterId,
        request: Uuid,
        used: &Resources,
        now: Timestamp,
    ) -> Result<Changed> {
        let mut rows = self.rows()?;
        let before = rows.book(tenant, cluster);
        let after = before.giving_back(request, used);
        rows.write_book(&after);
        let left = after.loans.iter().find(|loan| loan.request == request);
        if let Some((_, _, loan)) = rows.requests.loans.iter_mut().find(|(_, _, loan)| loan.request == request) {
            loan.resources = left.map(|left| left.resources.clone()).unwrap_or_default();
            loan.stage = if left.is_some() { LoanStage::Overdue } else { LoanStage::Ended };
        }
        if let Some(stage) = before.told(&after, request) {
            rows.tell_loan((tenant.id, cluster, request), stage, now)?;
        }
        Ok(Changed { before, after })
    }
}
