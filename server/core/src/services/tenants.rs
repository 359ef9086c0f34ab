//! Tenants and their members.

use berth_types::{
    Action, FieldError, Resource, TenantName, TenantRole, UserName,
    people::{Guest, Member, Tenant},
};

use super::{
    Done, Services,
    identity::new_id,
    namespace_members::{check_gift, giver},
    people::{label, name},
    roles::{held_rights, known_rights},
};
use crate::{
    authz::{Grant, TenantRef},
    ctx::OpCtx,
    error::{Error, Result},
};

/// A person whom nobody knows, named at `field`.
pub(super) fn no_such_person(field: &str, user: &UserName) -> Error {
    Error::field(FieldError::new(field, "user_unknown", "there is no such person").param("value", user))
}

impl Services {
    /// The tenants that the actor may see, by name, with their role in each.
    ///
    /// # Errors
    /// Unauthenticated.
    pub async fn list_tenants(&self, ctx: &OpCtx) -> Result<Vec<Grant<TenantRef>>> {
        self.authz.visible_tenants(ctx).await
    }

    /// One tenant, whole.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn get_tenant(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<(Grant<TenantRef>, Tenant)> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Read).await?;
        let person = self.authz.person(ctx)?;
        let access = self.store.find_tenant_access(person.id, tenant).await?.ok_or_else(Error::not_found)?;
        Ok((grant, access.tenant))
    }

    /// Makes a tenant; `owner` (the actor when absent) becomes its first owner.
    ///
    /// # Errors
    /// `Invalid` at `name`, `displayName`, `owner`; `AlreadyExists`.
    pub async fn create_tenant(
        &self,
        ctx: &OpCtx,
        tenant_name: &str,
        display_name: &str,
        owner: Option<&UserName>,
    ) -> Result<Tenant> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Tenant, Action::Create)?;
            let name: TenantName = name("name", tenant_name, TenantName::MAX)?;
            let display = if display_name.trim().is_empty() { name.as_str() } else { display_name };
            let owner = match owner {
                Some(owner) => {
                    let unknown = || no_such_person("owner", owner);
                    self.store.find_account(owner).await?.ok_or_else(unknown)?.user.id
                }
                None => self.authz.person(ctx)?.id,
            };
            let now = ctx.now();
            let tenant = Tenant {
                id: new_id(now, &*self.random)?,
                display_name: label("displayName", display)?,
                name,
                created_at: now,
                halt: None,
                version: 1,
            };
            self.store.create_tenant(&grant, &tenant, owner).await?;
            Ok(Done::plain(tenant))
        };
        self.audited(ctx, "tenant.create", tenant_name.chars().take(60).collect(), None, work).await
    }

    /// Changes what people call it, if it still has `version`.
    ///
    /// # Errors
    /// `Invalid`, `Conflict`, `NotFound`, forbidden.
    pub async fn rename_tenant(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        display_name: &str,
        version: i64,
    ) -> Result<i64> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Update).await?;
            let display_name = label("displayName", display_name)?;
            let version = self.store.update_tenant(&grant, &display_name, version).await?;
            Ok(Done::with(version, serde_json::json!({ "before": &*grant.display_name, "after": display_name })))
        };
        self.audited(ctx, "tenant.update", tenant.to_string(), Some(tenant), work).await
    }

    /// The members, strongest role first.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`.
    pub async fn list_members(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<Member>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Membership, Action::Read).await?;
        self.store.list_members(&grant).await
    }

    /// Who was given a role in a namespace alone, by name.
    ///
    /// # Errors
    /// Unauthenticated, `NotFound`; forbidden.
    pub async fn list_guests(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Vec<Guest>> {
        let grant = self.authz.tenant(ctx, tenant, Resource::Membership, Action::Read).await?;
        self.store.list_guests(&grant).await
    }

    /// Adds a member or changes their role. Only owners make owners.
    ///
    /// # Errors
    /// `Invalid` at `user`, at `owners` when the last one would go; forbidden.
    pub async fn set_member(&self, ctx: &OpCtx, tenant: &TenantName, user: &UserName, role: TenantRole) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Membership, Action::Update).await?;
            let before = self.store.list_members(&grant).await?.into_iter().find(|m| m.user == *user).map(|m| m.role);
            self.check_owner_change(ctx, &grant, before, Some(role))?;
            let own = self.store.list_roles(&grant).await?;
            let rights = known_rights(&own, role)?;
            check_gift(giver(ctx, grant.rights), before.map(|before| held_rights(&own, before)), Some(rights))?;
            self.store.set_member(&grant, user, role, ctx.now()).await.map_err(|e| match e.code() {
                berth_types::ErrorCode::NotFound => no_such_person("user", user),
                _ => e,
            })?;
            Ok(Done::with((), serde_json::json!({ "user": user, "before": before, "after": role })))
        };
        self.audited(ctx, "member.set", format!("{tenant}/{user}"), Some(tenant), work).await
    }

    /// Takes away a person's role in the tenant, and all they were given in its namespaces.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `owners` for the last one; forbidden.
    pub async fn remove_member(&self, ctx: &OpCtx, tenant: &TenantName, user: &UserName) -> Result<()> {
        let work = async {
            let grant = self.authz.tenant(ctx, tenant, Resource::Membership, Action::Delete).await?;
            let before = self.store.list_members(&grant).await?.into_iter().find(|m| m.user == *user).map(|m| m.role);
            self.check_owner_change(ctx, &grant, before, None)?;
            let own = self.store.list_roles(&grant).await?;
            check_gift(giver(ctx, grant.rights), before.map(|before| held_rights(&own, before)), None)?;
            self.store.remove_member(&grant, user).await?;
            Ok(Done::with((), serde_json::json!({ "user": user, "before": before })))
        };
        self.audited(ctx, "member.remove", format!("{tenant}/{user}"), Some(tenant), work).await
    }

    /// Owners are made and unmade by owners and platform admins only: an admin must not rise by themselves.
    pub(super) fn check_owner_change(
        &self,
        ctx: &OpCtx,
        tenant: &TenantRef,
        before: Option<TenantRole>,
        after: Option<TenantRole>,
    ) -> Result<()> {
        let touches_owner = before != after && (before == Some(TenantRole::Owner) || after == Some(TenantRole::Owner));
        let may = self.authz.could(ctx, tenant, Resource::Tenant, Action::Delete);
        if touches_owner && !may {
            let message = "only an owner or a platform admin makes or changes owners";
            return Err(Error::new(berth_types::ErrorCode::Forbidden, message));
        }
        Ok(())
    }
}
