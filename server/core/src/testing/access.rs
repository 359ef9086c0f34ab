//! Requests for roles of a [`FakeStore`].

use async_trait::async_trait;
use berth_types::{
    TenantRole,
    access::{AccessRequest, AccessState},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Membership, Rows as AllRows, taken},
};
use crate::{
    authz::TenantRef,
    error::{Error, Result},
    notices::Notice,
    ports::access::{AccessDecision, AccessRequests, NewAccessRequest, Place, decided, gives},
};

pub(super) struct Kept {
    tenant: Uuid,
    namespace: Option<Uuid>,
    new: NewAccessRequest,
    decision: Option<AccessDecision>,
}

impl Kept {
    /// One that waits asks for another role.
    pub(super) fn replace_role(&mut self, tenant: Uuid, gone: TenantRole, role: TenantRole) {
        if self.tenant == tenant && self.decision.is_none() && self.new.role == gone {
            self.new.role = role;
        }
    }

    fn state(&self) -> AccessState {
        match &self.decision {
            None => AccessState::Open,
            Some(decision) if decision.approved => AccessState::Approved,
            Some(_) => AccessState::Declined,
        }
    }
}

impl AllRows {
    /// Those of places that are gone.
    pub(super) fn forget_requests(&mut self, gone: impl Fn(Uuid, Option<Uuid>) -> bool) {
        self.access.retain(|kept| !gone(kept.tenant, kept.namespace));
    }

    /// A tenant's.
    pub(super) fn shown_requests(&self, tenant: Uuid) -> Vec<AccessRequest> {
        let theirs = self.access.iter().filter(|kept| kept.tenant == tenant);
        theirs.filter_map(|kept| self.shown_request(kept).ok()).collect()
    }

    fn shown_request(&self, kept: &Kept) -> Result<AccessRequest> {
        let user = &self.account(kept.new.user).ok_or_else(|| Error::internal("nobody asked"))?.user;
        let namespace = self.namespaces.iter().find(|(_, n)| Some(n.id) == kept.namespace).map(|(_, n)| n.name.clone());
        let decision = kept.decision.as_ref();
        Ok(AccessRequest {
            id: kept.new.id,
            user: user.name.clone(),
            display_name: user.display_name.clone(),
            tenant: self.tenant(kept.tenant)?.name.clone(),
            namespace,
            role: kept.new.role,
            reason: kept.new.reason.clone(),
            state: kept.state(),
            created_at: kept.new.created_at,
            decided_by: decision.and_then(|d| Some(self.account(d.by)?.user.name.clone())),
            decided_at: decision.map(|d| d.at),
            comment: decision.map_or_else(String::new, |d| d.comment.clone()),
        })
    }
}

#[async_trait]
impl AccessRequests for FakeStore {
    async fn create_access_request(&self, place: &Place, new: &NewAccessRequest) -> Result<()> {
        let mut rows = self.rows()?;
        let (tenant, namespace) = (place.tenant().id, place.namespace());
        let same = |kept: &Kept| kept.new.user == new.user && (kept.tenant, kept.namespace) == (tenant, namespace);
        if rows.access.iter().any(|kept| same(kept) && kept.decision.is_none()) {
            return Err(taken("role", "one waits already".to_owned()));
        }
        rows.giving(tenant, new.role)?;
        let user = rows.called(new.user)?;
        let at = (&place.tenant().name, place.namespace_name());
        let notice = Notice::of_access(at, new.id, &user, new.role, new.created_at);
        rows.webhooks.put(Some(tenant), &notice);
        rows.access.push(Kept { tenant, namespace, new: new.clone(), decision: None });
        Ok(())
    }

    async fn list_access_requests(&self, tenant: &TenantRef) -> Result<Vec<AccessRequest>> {
        let rows = self.rows()?;
        let theirs = rows.access.iter().filter(|kept| kept.tenant == tenant.id);
        let mut all = theirs.map(|kept| rows.shown_request(kept)).collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|r| (r.state != AccessState::Open, std::cmp::Reverse((r.created_at, r.id))));
        Ok(all)
    }

    async fn count_access_requests(&self, user: Uuid, since: Timestamp) -> Result<i64> {
        let rows = self.rows()?;
        let theirs = rows.access.iter().filter(|kept| kept.new.user == user && kept.new.created_at >= since);
        Ok(i64::try_from(theirs.count()).unwrap_or(i64::MAX))
    }

    async fn decide_access_request(&self, place: &Place, id: Uuid, decision: &AccessDecision) -> Result<()> {
        let mut rows = self.rows()?;
        let (tenant, namespace) = (place.tenant().id, place.namespace());
        let there = |kept: &&mut Kept| kept.new.id == id && (kept.tenant, kept.namespace) == (tenant, namespace);
        let kept = rows.access.iter_mut().find(there).ok_or_else(Error::not_found)?;
        if kept.decision.is_some() {
            return Err(decided());
        }
        let (user, role, since) = (kept.new.user, kept.new.role, decision.at);
        let have = match namespace {
            None => rows.members.iter().find(|m| m.tenant == tenant && m.user == user).map(|m| m.role),
            Some(namespace) => rows.given.iter().find(|g| g.0 == namespace && g.1 == user).map(|given| given.2),
        };
        let rises = decision.approved && gives(have.map(|have| rows.rights(tenant, have)), rows.rights(tenant, role))?;
        if let Some(kept) = rows.access.iter_mut().find(there) {
            kept.decision = Some(decision.clone());
        }
        let (name, by) = (rows.called(user)?, rows.called(decision.by)?);
        let at = (&place.tenant().name, place.namespace_name());
        let notice = Notice::of_access(at, id, &name, role, since).decided(decision.approved, &by);
        rows.webhooks.put(Some(tenant), &notice);
        if !rises {
            return Ok(());
        }
        match namespace {
            None => {
                rows.members.retain(|m| m.tenant != tenant || m.user != user);
                rows.members.push(Membership { tenant, user, role, since, provider: None });
            }
            Some(namespace) => {
                rows.given.retain(|g| g.0 != namespace || g.1 != user);
                rows.given.push((namespace, user, role, since));
            }
        }
        Ok(())
    }
}
