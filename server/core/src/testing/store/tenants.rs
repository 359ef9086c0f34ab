//! The tenants of a [`FakeStore`], who belongs to them, and who to one of their namespaces.

use async_trait::async_trait;
use berth_types::{
    ClusterId, ErrorCode, NamespaceName, TenantName, TenantRole, UserName,
    network::Egress,
    people::{Guest, Member, Namespace, NamespaceMember, Tenant},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeStore, Membership, Rows, taken};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::{
        namespace_roles::NamespaceRoles,
        store::{NamespaceAccess, TenantAccess, TenantPlaces, Tenants},
    },
};

impl Rows {
    fn given(&self, namespace: Uuid, user: Uuid) -> Option<(TenantRole, Timestamp)> {
        let theirs = |(there, whose, ..): &&(Uuid, Uuid, _, _)| *there == namespace && *whose == user;
        self.given.iter().find(theirs).map(|(_, _, role, since)| (*role, *since))
    }

    fn access(&self, tenant: &Tenant, user: Uuid) -> TenantAccess {
        let guest = self.namespaces.iter().any(|(t, n)| *t == tenant.id && self.given(n.id, user).is_some());
        let role = self.role(tenant.id, user);
        TenantAccess {
            tenant: tenant.clone(),
            role,
            own: role.and_then(|role| self.own_rights(tenant.id, role)),
            guest,
        }
    }

    /// The namespaces of a tenant, by name.
    fn accesses(&self, tenant: Uuid, user: Uuid) -> Vec<NamespaceAccess> {
        let theirs = self.namespaces.iter().filter(|(t, _)| *t == tenant).map(|(_, n)| n);
        let mut all: Vec<NamespaceAccess> = theirs
            .map(|n| {
                let role = self.given(n.id, user).map(|(role, _)| role);
                NamespaceAccess { namespace: n.clone(), role, own: role.and_then(|role| self.own_rights(tenant, role)) }
            })
            .collect();
        all.sort_by(|a, b| a.namespace.name.cmp(&b.namespace.name));
        all
    }

    fn sees_all(&self, user: Uuid) -> bool {
        self.account(user).is_some_and(|account| account.user.platform_role.is_some())
    }

    fn is_there(&self, namespace: &NamespaceRef) -> Result<()> {
        let here = self.namespaces.iter().any(|(t, n)| (*t, n.id) == (namespace.tenant.id, namespace.id));
        if here { Ok(()) } else { Err(Error::not_found()) }
    }
}

#[async_trait]
impl Tenants for FakeStore {
    async fn find_tenant_access(&self, user: Uuid, name: &TenantName) -> Result<Option<TenantAccess>> {
        let rows = self.rows()?;
        let tenant = rows.tenants.iter().find(|t| t.name == *name);
        let access = tenant.map(|t| rows.access(t, user));
        Ok(access.filter(|access| access.role.is_some() || access.guest || rows.sees_all(user)))
    }

    async fn list_tenant_access(&self, user: Uuid, all: bool) -> Result<Vec<TenantAccess>> {
        let rows = self.rows()?;
        let access = rows.tenants.iter().map(|t| rows.access(t, user));
        let mut access: Vec<TenantAccess> = access.filter(|a| all || a.role.is_some() || a.guest).collect();
        access.sort_by(|a, b| a.tenant.name.cmp(&b.tenant.name));
        Ok(access)
    }

    async fn list_places(&self, user: Uuid, all: bool, tenant: &TenantName) -> Result<Vec<TenantPlaces>> {
        let mut places = Vec::new();
        for access in self.list_tenant_access(user, true).await? {
            let here = access.tenant.name == *tenant;
            if access.role.is_some() || access.guest || (all && here) {
                let namespaces = if here { self.rows()?.accesses(access.tenant.id, user) } else { Vec::new() };
                places.push(TenantPlaces { access, namespaces });
            }
        }
        Ok(places)
    }

    async fn create_tenant(&self, _: &Grant<PlatformRef>, tenant: &Tenant, owner: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        if rows.tenants.iter().any(|t| t.name == tenant.name) {
            return Err(taken("name", format!("a tenant called “{}” exists already", tenant.name)));
        }
        rows.account(owner).ok_or_else(|| Error::internal("the owner must exist"))?;
        rows.tenants.push(tenant.clone());
        let since = tenant.created_at;
        rows.members.push(Membership {
            tenant: tenant.id,
            user: owner,
            role: TenantRole::Owner,
            since,
            provider: None,
        });
        Ok(())
    }

    async fn update_tenant(&self, grant: &Grant<TenantRef>, display_name: &str, version: i64) -> Result<i64> {
        let mut rows = self.rows()?;
        match rows.tenants.iter_mut().find(|t| t.id == grant.id && t.version == version) {
            Some(tenant) => {
                display_name.clone_into(&mut tenant.display_name);
                tenant.version += 1;
                Ok(tenant.version)
            }
            None => Err(Error::new(ErrorCode::Conflict, "the tenant has changed since it was read: read it again")),
        }
    }

    async fn list_members(&self, grant: &Grant<TenantRef>) -> Result<Vec<Member>> {
        let rows = self.rows()?;
        let mut members: Vec<Member> = rows
            .members
            .iter()
            .filter(|m| m.tenant == grant.id)
            .filter_map(|m| {
                let user = &rows.account(m.user)?.user;
                Some(Member {
                    user: user.name.clone(),
                    display_name: user.display_name.clone(),
                    role: m.role,
                    provider: rows.sign_in.provider_name(m.provider),
                    created_at: m.since,
                })
            })
            .collect();
        members.sort_by(|a, b| (a.role, &a.user).cmp(&(b.role, &b.user)));
        Ok(members)
    }

    async fn set_member(
        &self,
        grant: &Grant<TenantRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        rows.tenant(grant.id)?;
        let user = rows.user_named(user)?;
        rows.giving(grant.id, role)?;
        if role != TenantRole::Owner {
            rows.keep_an_owner(grant.id, user)?;
        }
        match rows.members.iter_mut().find(|m| m.tenant == grant.id && m.user == user) {
            Some(member) => (member.role, member.provider) = (role, None),
            None => rows.members.push(Membership { tenant: grant.id, user, role, since: now, provider: None }),
        }
        Ok(())
    }

    async fn remove_member(&self, grant: &Grant<TenantRef>, user: &UserName) -> Result<()> {
        let mut rows = self.rows()?;
        rows.tenant(grant.id)?;
        let user = rows.user_named(user)?;
        rows.keep_an_owner(grant.id, user)?;
        let had = rows.members.len() + rows.given.len();
        rows.members.retain(|m| m.tenant != grant.id || m.user != user);
        let theirs: Vec<Uuid> = rows.namespaces.iter().filter(|(t, _)| *t == grant.id).map(|(_, n)| n.id).collect();
        rows.given.retain(|(namespace, whose, ..)| *whose != user || !theirs.contains(namespace));
        if had == rows.members.len() + rows.given.len() { Err(Error::not_found()) } else { Ok(()) }
    }

    async fn find_namespace_access(
        &self,
        user: Uuid,
        tenant: &TenantName,
        name: &NamespaceName,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>> {
        let access = self.find_tenant_access(user, tenant).await?;
        let rows = self.rows()?;
        let found = |id| rows.accesses(id, user).into_iter().find(|access| access.namespace.name == *name);
        let found = access.and_then(|access| found(access.tenant.id).map(|namespace| (access, namespace)));
        Ok(found.filter(|(tenant, here)| tenant.role.is_some() || here.role.is_some() || rows.sees_all(user)))
    }

    async fn find_kube_namespace_access(
        &self,
        user: Uuid,
        cluster: &ClusterId,
        kube_name: &str,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>> {
        let here = |n: &Namespace| n.cluster == *cluster && n.kube_name == kube_name;
        let place =
            self.rows()?.namespaces.iter().find(|(_, n)| here(n)).map(|(_, n)| (n.tenant.clone(), n.name.clone()));
        let Some((tenant, name)) = place else { return Ok(None) };
        self.find_namespace_access(user, &tenant, &name).await
    }

    async fn list_namespace_access(&self, user: Uuid, tenant: &TenantRef) -> Result<Vec<NamespaceAccess>> {
        Ok(self.rows()?.accesses(tenant.id, user))
    }

    async fn list_namespaces(&self, tenant: &TenantRef) -> Result<Vec<Namespace>> {
        let rows = self.rows()?;
        let theirs = rows.namespaces.iter().filter(|(t, _)| *t == tenant.id);
        let mut namespaces: Vec<Namespace> = theirs.map(|(_, n)| n.clone()).collect();
        namespaces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(namespaces)
    }

    async fn create_namespace(&self, grant: &Grant<TenantRef>, namespace: &Namespace) -> Result<()> {
        let mut rows = self.rows()?;
        rows.add_namespace(grant, namespace)
    }

    async fn set_egress(&self, grant: &Grant<NamespaceRef>, egress: &Egress, version: Option<i64>) -> Result<i64> {
        let mut rows = self.rows()?;
        let theirs = |(tenant, n): &&mut (Uuid, Namespace)| *tenant == grant.tenant.id && n.id == grant.id;
        let found = rows.namespaces.iter_mut().find(theirs).map(|(_, namespace)| namespace);
        let Some(namespace) = found.filter(|n| version.is_none_or(|version| version == n.version)) else {
            return Err(Error::new(ErrorCode::Conflict, "the namespace has changed since it was read: read it again"));
        };
        namespace.egress = egress.clone();
        namespace.version += 1;
        Ok(namespace.version)
    }

    async fn protect_namespace(&self, grant: &Grant<NamespaceRef>, protected: bool) -> Result<()> {
        let mut rows = self.rows()?;
        let theirs = |(tenant, n): &&mut (Uuid, Namespace)| *tenant == grant.tenant.id && n.id == grant.id;
        let (_, namespace) = rows.namespaces.iter_mut().find(theirs).ok_or_else(Error::not_found)?;
        namespace.protected = protected;
        namespace.version += 1;
        Ok(())
    }
}

#[async_trait]
impl NamespaceRoles for FakeStore {
    async fn list_namespace_members(&self, grant: &Grant<NamespaceRef>) -> Result<Vec<NamespaceMember>> {
        let rows = self.rows()?;
        let members = rows.accounts.iter().filter_map(|account| {
            let user = &account.user;
            let tenant = rows.members.iter().find(|m| m.tenant == grant.tenant.id && m.user == user.id);
            let given = rows.given(grant.id, user.id);
            let (tenant_role, given_role) = (tenant.map(|m| m.role), given.map(|(role, _)| role));
            Some(NamespaceMember {
                user: user.name.clone(),
                display_name: user.display_name.clone(),
                role: TenantRole::strongest(tenant_role, given_role)?,
                tenant_role,
                given: given_role,
                created_at: given.map(|(_, since)| since).or(tenant.map(|m| m.since))?,
            })
        });
        let mut members: Vec<NamespaceMember> = members.collect();
        members.sort_by(|a, b| (a.role, &a.user).cmp(&(b.role, &b.user)));
        Ok(members)
    }

    async fn list_guests(&self, grant: &Grant<TenantRef>) -> Result<Vec<Guest>> {
        let rows = self.rows()?;
        let mut guests = Vec::new();
        for (there, user, role, since) in &rows.given {
            let place = rows.namespaces.iter().find(|(tenant, n)| *tenant == grant.id && n.id == *there);
            let (Some((_, namespace)), None) = (place, rows.role(grant.id, *user)) else { continue };
            let Some(account) = rows.account(*user) else { continue };
            guests.push(Guest {
                user: account.user.name.clone(),
                display_name: account.user.display_name.clone(),
                namespace: namespace.name.clone(),
                role: *role,
                created_at: *since,
            });
        }
        guests.sort_by(|a, b| (&a.user, &a.namespace).cmp(&(&b.user, &b.namespace)));
        Ok(guests)
    }

    async fn set_namespace_member(
        &self,
        grant: &Grant<NamespaceRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()> {
        let mut rows = self.rows()?;
        rows.is_there(grant)?;
        let user = rows.user_named(user)?;
        rows.giving(grant.tenant.id, role)?;
        match rows.given.iter_mut().find(|(there, whose, ..)| *there == grant.id && *whose == user) {
            Some(given) => given.2 = role,
            None => rows.given.push((grant.id, user, role, now)),
        }
        Ok(())
    }

    async fn remove_namespace_member(&self, grant: &Grant<NamespaceRef>, user: &UserName) -> Result<()> {
        let mut rows = self.rows()?;
        let user = rows.user_named(user)?;
        let had = rows.given.len();
        rows.given.retain(|(there, whose, ..)| *there != grant.id || *whose != user);
        if rows.given.len() == had { Err(Error::not_found()) } else { Ok(()) }
    }
}
