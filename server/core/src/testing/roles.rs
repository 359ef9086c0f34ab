//! Roles that tenants make, of a [`FakeStore`].

use std::collections::HashMap;

use async_trait::async_trait;
use berth_types::{
    NamespaceName, RoleName, TenantName, TenantRole,
    access::AccessState,
    custom_role::{CustomRole, Holding, RoleHolder},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeStore, store::Rows as AllRows};
use crate::{
    authz::{Grant, PlatformRef, Rights, TenantRef},
    error::Result,
    ports::roles::{Edited, Roles},
    roles::{RoleEdit, after, gone},
};

/// The roles of each tenant.
pub(super) type Rows = HashMap<Uuid, Vec<CustomRole>>;

impl AllRows {
    /// What one of a tenant's own roles gives.
    pub(super) fn own_rights(&self, tenant: Uuid, role: TenantRole) -> Option<Rights> {
        let known = self.roles.get(&tenant)?.iter().find(|known| TenantRole::Custom(known.name) == role)?;
        Some(Rights::from_iter(known.rights.iter().copied()))
    }

    /// What any role gives there.
    pub(super) fn rights(&self, tenant: Uuid, role: TenantRole) -> Rights {
        Rights::of(Some(role), self.own_rights(tenant, role))
    }

    /// Refuses a role that is none there.
    pub(super) fn giving(&self, tenant: Uuid, role: TenantRole) -> Result<()> {
        let known = !role.is_custom() || self.own_rights(tenant, role).is_some();
        if known { Ok(()) } else { Err(gone(role)) }
    }

    fn replace_role(&mut self, tenant: &TenantRef, gone: TenantRole, role: TenantRole) {
        for member in self.members.iter_mut().filter(|m| m.tenant == tenant.id && m.role == gone) {
            member.role = role;
        }
        let theirs: Vec<Uuid> =
            self.namespaces.iter().filter(|(of, _)| *of == tenant.id).map(|(_, namespace)| namespace.id).collect();
        for given in self.given.iter_mut().filter(|given| theirs.contains(&given.0) && given.2 == gone) {
            given.2 = role;
        }
        self.links.replace_role(tenant.id, gone, role);
        self.sign_in.replace_role(&tenant.name, gone, role);
        for kept in &mut self.access {
            kept.replace_role(tenant.id, gone, role);
        }
        for robot in self.robots.iter_mut().filter(|robot| robot.tenant == tenant.id) {
            robot.replace_role(gone, role);
        }
    }

    fn holders(&self, tenant: Uuid, role: RoleName, now: Timestamp) -> Vec<RoleHolder> {
        let role = TenantRole::Custom(role);
        let named = |user| self.account(user).map(|account| account.user.name.to_string()).unwrap_or_default();
        let holder = |holding, who, namespace: Option<NamespaceName>| RoleHolder { holding, who, namespace };
        let mut all = Vec::new();
        let members = self.members.iter().filter(|m| m.tenant == tenant && m.role == role);
        all.extend(members.map(|m| holder(Holding::Member, named(m.user), None)));
        for (_, namespace) in self.namespaces.iter().filter(|(of, _)| *of == tenant) {
            let given = self.given.iter().filter(|(there, _, given, _)| *there == namespace.id && *given == role);
            let there = Some(namespace.name.clone());
            all.extend(given.map(|(_, user, ..)| holder(Holding::NamespaceMember, named(*user), there.clone())));
        }
        let invited = self.open_invitations(tenant, role, now).into_iter();
        all.extend(invited.map(|(email, by)| holder(Holding::Invitation, email.unwrap_or_else(|| named(by)), None)));
        if let Ok(tenant) = self.tenant(tenant) {
            let groups = self.sign_in.groups_with(&tenant.name, role).into_iter();
            all.extend(groups.map(|group| holder(Holding::GroupRule, group, None)));
        }
        let asked = self.shown_requests(tenant).into_iter().filter(|r| r.state == AccessState::Open && r.role == role);
        all.extend(asked.map(|r| holder(Holding::AccessRequest, r.user.to_string(), r.namespace)));
        all.sort();
        all
    }
}

#[async_trait]
impl Roles for FakeStore {
    async fn list_roles(&self, tenant: &TenantRef) -> Result<Vec<CustomRole>> {
        Ok(self.rows()?.roles.get(&tenant.id).cloned().unwrap_or_default())
    }

    async fn list_all_roles(&self, _: &Grant<PlatformRef>) -> Result<Vec<(TenantName, CustomRole)>> {
        let rows = self.rows()?;
        let mut all = Vec::new();
        for tenant in &rows.tenants {
            let own = rows.roles.get(&tenant.id).into_iter().flatten();
            all.extend(own.map(|role| (tenant.name.clone(), role.clone())));
        }
        all.sort_by(|a, b| (&a.0, a.1.name).cmp(&(&b.0, b.1.name)));
        Ok(all)
    }

    async fn list_role_holders(&self, tenant: &TenantRef, role: RoleName, now: Timestamp) -> Result<Vec<RoleHolder>> {
        Ok(self.rows()?.holders(tenant.id, role, now))
    }

    async fn edit_roles(&self, grant: &Grant<TenantRef>, edit: &RoleEdit, now: Timestamp) -> Result<Edited> {
        let mut rows = self.rows()?;
        rows.tenant(grant.id)?;
        let holders = rows.holders(grant.id, edit.name(), now);
        let roles = after(rows.roles.get(&grant.id).map_or(&[], Vec::as_slice), edit, &holders, now)?;
        rows.roles.insert(grant.id, roles.clone());
        if let RoleEdit::Remove(gone, Some(instead)) = edit {
            rows.replace_role(grant, TenantRole::Custom(*gone), instead.role);
        }
        Ok(Edited { roles, holders })
    }
}
