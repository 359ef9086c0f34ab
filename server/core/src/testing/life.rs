//! Where tenants and namespaces of a [`FakeStore`] are in their lives.

use std::collections::HashMap;

use async_trait::async_trait;
use berth_types::{
    ErrorCode,
    life::{Halt, Mark},
    webhook::EventKind,
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeStore, store::Rows as AllRows};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
    notices::Notice,
    ports::life::{Lives, already},
};

#[derive(Default)]
pub(super) struct Rows {
    suspended: HashMap<Uuid, Mark>,
    leaving: HashMap<Uuid, Mark>,
}

fn put(marks: &mut HashMap<Uuid, Mark>, id: Uuid, mark: Option<&Mark>) -> Result<()> {
    if marks.contains_key(&id) == mark.is_some() {
        return Err(already());
    }
    match mark {
        Some(mark) => marks.insert(id, mark.clone()),
        None => marks.remove(&id),
    };
    Ok(())
}

impl AllRows {
    fn tell_life(&mut self, event: EventKind, tenant: &TenantRef, mark: Option<&Mark>) {
        if let Some(mark) = mark {
            let notice = Notice::of_tenant(event, &tenant.name, &mark.by, mark.at);
            self.webhooks.put(Some(tenant.id), &notice);
        }
    }

    /// What follows from the marks, as the databases' columns do.
    fn settle(&mut self) {
        let marks = &self.lives;
        let of = |marks: &HashMap<Uuid, Mark>, id: &Uuid| marks.get(id).cloned();
        for tenant in &mut self.tenants {
            tenant.halt = Halt::of(of(&marks.suspended, &tenant.id), of(&marks.leaving, &tenant.id), None);
        }
        for (tenant, namespace) in &mut self.namespaces {
            let leaves = of(&marks.leaving, &namespace.id);
            namespace.halt = Halt::of(of(&marks.suspended, tenant), of(&marks.leaving, tenant), leaves);
        }
    }
}

fn due(halt: Option<&Halt>, now: Timestamp) -> Result<()> {
    let not = || Error::new(ErrorCode::Conflict, "it is not to be removed now");
    halt.filter(|halt| halt.is_due(now)).map(|_| ()).ok_or_else(not)
}

#[async_trait]
impl Lives for FakeStore {
    async fn set_suspended(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()> {
        let mut rows = self.rows()?;
        put(&mut rows.lives.suspended, grant.id, mark)?;
        rows.settle();
        rows.tell_life(EventKind::TenantSuspended, grant, mark);
        Ok(())
    }

    async fn set_tenant_leaving(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()> {
        let mut rows = self.rows()?;
        put(&mut rows.lives.leaving, grant.id, mark)?;
        rows.settle();
        rows.tell_life(EventKind::TenantRemovalBegun, grant, mark);
        Ok(())
    }

    async fn set_namespace_leaving(&self, grant: &Grant<NamespaceRef>, mark: Option<&Mark>) -> Result<()> {
        let mut rows = self.rows()?;
        put(&mut rows.lives.leaving, grant.id, mark)?;
        rows.settle();
        Ok(())
    }

    async fn delete_namespace(&self, _: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let found = rows.namespaces.iter().find(|(_, n)| n.id == id).ok_or_else(Error::not_found)?;
        due(found.1.halt.as_ref(), now)?;
        rows.namespaces.retain(|(_, n)| n.id != id);
        rows.given.retain(|(namespace, ..)| *namespace != id);
        rows.forget_requests(|_, namespace| namespace == Some(id));
        rows.forget_robots(|robot| robot.namespace() == Some(id));
        rows.webhooks.forget_namespace(id);
        rows.lives.leaving.remove(&id);
        Ok(())
    }

    async fn delete_tenant(&self, _: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        due(rows.tenant(id)?.halt.as_ref(), now)?;
        if rows.namespaces.iter().any(|(tenant, _)| *tenant == id) {
            return due(None, now);
        }
        for invitation in rows.links.of_tenant(id) {
            rows.mail.drop_invitation(invitation);
        }
        rows.tenants.retain(|tenant| tenant.id != id);
        rows.members.retain(|member| member.tenant != id);
        rows.forget_requests(|tenant, _| tenant == id);
        rows.forget_robots(|robot| robot.tenant == id);
        rows.webhooks.forget(id);
        Ok(())
    }
}
