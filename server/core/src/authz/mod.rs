//! Authorisation: lookup and check are one call, and what comes back is a [`Grant`].
//!
//! 401 when nobody is signed in, 404 for what one may not know of, 403 for what one may see but not do.

use std::sync::Arc;

use berth_types::{
    Action, AppName, ClusterId, ErrorCode, NamespaceName, PlatformRole, Resource, Right, TenantName, TenantRole,
    life::Halt,
};

use crate::{
    ctx::{Actor, OpCtx, Person},
    error::{Error, Result},
    ports::store::{NamespaceAccess, Store, TenantAccess, TenantPlaces},
};

pub mod grant;
mod life;
pub mod matrix;
mod rights;

pub use grant::{AppRef, Grant, NamespaceRef, PlatformRef, TenantRef};
pub use rights::Rights;

/// Makes grants.
#[derive(Clone)]
pub struct Authz {
    store: Arc<dyn Store>,
}

impl Authz {
    /// Checks against the roles that `store` holds.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The person who asks, who must have a password of their own, and a second factor where one is required.
    ///
    /// # Errors
    /// Unauthenticated; forbidden while the password must be changed, or a second factor added.
    pub fn person<'a>(&self, ctx: &'a OpCtx) -> Result<&'a Person> {
        let person = self.with_password(ctx)?;
        if person.needs_second_factor {
            return Err(Error::new(ErrorCode::Forbidden, "add a second factor to your account first"));
        }
        Ok(person)
    }

    /// The person who asks, who must have a password of their own: for what one does to get a second factor.
    ///
    /// # Errors
    /// Unauthenticated; forbidden while the password must be changed.
    pub fn with_password<'a>(&self, ctx: &'a OpCtx) -> Result<&'a Person> {
        let person = ctx.person().ok_or_else(Error::unauthenticated)?;
        if person.must_change_password {
            return Err(Error::new(ErrorCode::Forbidden, "choose a password of your own first"));
        }
        Ok(person)
    }

    /// A right on the platform.
    ///
    /// # Errors
    /// Unauthenticated, or not found: who has no platform role does not know of the admin console.
    pub fn platform(&self, ctx: &OpCtx, resource: Resource, action: Action) -> Result<Grant<PlatformRef>> {
        if let Actor::System(_) = ctx.actor {
            return Ok(Grant::new(PlatformRef, resource, action));
        }
        let person = self.person(ctx)?;
        if person.platform_role.is_none() || person.scope.tenant.is_some() {
            return Err(Error::not_found());
        }
        check(person, (Rights::NONE, None), resource, action)?;
        Ok(Grant::new(PlatformRef, resource, action))
    }

    /// A right on a tenant or what belongs to it.
    ///
    /// # Errors
    /// Unauthenticated, not found, forbidden.
    pub async fn tenant(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        resource: Resource,
        action: Action,
    ) -> Result<Grant<TenantRef>> {
        let person = self.person(ctx)?;
        if person.scope.namespace.is_some() && !matches!((resource, action), (Resource::Tenant, Action::Read)) {
            return Err(Error::forbidden(resource, action));
        }
        let tenant = self.find_tenant(person, tenant).await?;
        let names_it = (resource, action) == (Resource::Tenant, Action::Read);
        if names_it && is_guest(person, &tenant) {
            in_scope(person, resource, action)?;
            return Ok(Grant::new(tenant, resource, action));
        }
        check(person, (tenant.rights, tenant.halt.as_ref()), resource, action)?;
        Ok(Grant::new(tenant, resource, action))
    }

    /// A right on a namespace or what belongs to it.
    ///
    /// # Errors
    /// Unauthenticated, not found, forbidden.
    pub async fn namespace(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: &NamespaceName,
        resource: Resource,
        action: Action,
    ) -> Result<Grant<NamespaceRef>> {
        let person = self.person(ctx)?;
        if person.scope.namespace.as_ref().is_some_and(|only| only != namespace) {
            return Err(Error::not_found());
        }
        if person.scope.tenant.as_ref().is_some_and(|only| only != tenant) {
            return Err(Error::not_found());
        }
        let found = self.find_namespace(person, tenant, namespace).await?;
        shown(person, resource)?;
        check(person, (found.rights, found.halt.as_ref()), resource, action)?;
        Ok(Grant::new(found, resource, action))
    }

    /// A right on the namespace that `cluster` calls `kube_name`, in one lookup.
    ///
    /// # Errors
    /// Unauthenticated, not found, forbidden.
    pub async fn kube_namespace(
        &self,
        ctx: &OpCtx,
        (cluster, kube_name): (&ClusterId, &str),
        resource: Resource,
        action: Action,
    ) -> Result<Grant<NamespaceRef>> {
        let person = self.person(ctx)?;
        let found = self.store.find_kube_namespace_access(person.id, cluster, kube_name).await?;
        let (access, found) = found.ok_or_else(Error::not_found)?;
        let beyond = person.scope.tenant.as_ref().is_some_and(|only| *only != access.tenant.name)
            || person.scope.namespace.as_ref().is_some_and(|only| *only != found.namespace.name);
        if beyond {
            return Err(Error::not_found());
        }
        let found = known_namespace(person, access, found)?;
        check(person, (found.rights, found.halt.as_ref()), resource, action)?;
        Ok(Grant::new(found, resource, action))
    }

    /// As whom a person acts in a cluster where it is about no namespace: with all groups that they are in within `tenant` and
    /// the token's scope.
    ///
    /// # Errors
    /// Unauthenticated; the store's.
    pub async fn everywhere(&self, ctx: &OpCtx, tenant: &TenantName) -> Result<Impersonation> {
        let (tenants, namespaces) = self.visible_places(ctx, tenant).await?;
        let mut who = impersonation(ctx, None).ok_or_else(Error::unauthenticated)?;
        let here = tenants.iter().filter(|place| place.name == *tenant);
        who.groups.extend(here.filter_map(|place| Some(tenant_group(place.name.as_str(), place.role?))));
        let given = namespaces
            .iter()
            .filter_map(|place| Some(namespace_group(place.tenant.name.as_str(), place.name.as_str(), place.given?)));
        who.groups.extend(given);
        Ok(who)
    }

    /// Another right on a namespace that `ctx` was granted for the same answer: its lookup, which found the actor's role,
    /// need not be made again. Nothing that lives longer than an answer may keep grants.
    ///
    /// # Errors
    /// Unauthenticated, forbidden.
    pub fn also(
        &self,
        ctx: &OpCtx,
        namespace: &Grant<NamespaceRef>,
        resource: Resource,
        action: Action,
    ) -> Result<Grant<NamespaceRef>> {
        shown(self.person(ctx)?, resource)?;
        check(self.person(ctx)?, (namespace.rights, namespace.halt.as_ref()), resource, action)?;
        Ok(Grant::new((**namespace).clone(), resource, action))
    }

    /// A right on an app, existing or to be made.
    ///
    /// # Errors
    /// Unauthenticated, not found, forbidden.
    pub async fn app(
        &self,
        ctx: &OpCtx,
        (tenant, namespace, app): (&TenantName, &NamespaceName, &AppName),
        resource: Resource,
        action: Action,
    ) -> Result<Grant<AppRef>> {
        let namespace = self.namespace(ctx, tenant, namespace, resource, action).await?;
        Ok(namespace.map(|namespace| AppRef { namespace, name: app.clone() }))
    }

    /// All tenants that the actor may see, with the role in each.
    ///
    /// # Errors
    /// Unauthenticated; the store's.
    pub async fn visible_tenants(&self, ctx: &OpCtx) -> Result<Vec<Grant<TenantRef>>> {
        let person = self.person(ctx)?;
        let all = person.platform_role.is_some();
        let rows = self.store.list_tenant_access(person.id, all).await?;
        Ok(rows
            .into_iter()
            .filter(|row| names(person, &row.tenant.name))
            .map(|row| Grant::new(to_ref(row), Resource::Tenant, Action::Read))
            .collect())
    }

    /// The namespaces of a tenant that the actor may see.
    ///
    /// # Errors
    /// The store's.
    pub async fn visible_namespaces(&self, ctx: &OpCtx, tenant: &Grant<TenantRef>) -> Result<Vec<Grant<NamespaceRef>>> {
        let person = self.person(ctx)?;
        let rows = self.store.list_namespace_access(person.id, tenant).await?;
        Ok(seen(person, tenant, rows).collect())
    }

    /// The tenants that the actor belongs to, and the one called `tenant` if they may see it, with its namespaces: where
    /// one may go from a page there. One question to the store.
    ///
    /// # Errors
    /// Unauthenticated; the store's.
    pub async fn visible_places(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
    ) -> Result<(Vec<Grant<TenantRef>>, Vec<Grant<NamespaceRef>>)> {
        let person = self.person(ctx)?;
        let places = self.store.list_places(person.id, person.platform_role.is_some(), tenant).await?;
        let mut tenants = Vec::with_capacity(places.len());
        let mut namespaces = Vec::new();
        for TenantPlaces { access, namespaces: rows } in places {
            if !names(person, &access.tenant.name) {
                continue;
            }
            let tenant = to_ref(access);
            namespaces.extend(seen(person, &tenant, rows));
            tenants.push(Grant::new(tenant, Resource::Tenant, Action::Read));
        }
        Ok((tenants, namespaces))
    }

    /// Whether the person of `ctx` could do this, for showing or explaining a control. Not a check: that is made again
    /// when it is done.
    #[must_use]
    pub fn could(&self, ctx: &OpCtx, tenant: &TenantRef, resource: Resource, action: Action) -> bool {
        ctx.person()
            .is_some_and(|person| check(person, (tenant.rights, tenant.halt.as_ref()), resource, action).is_ok())
    }

    /// The same in a namespace, which may be halted where its tenant is not.
    #[must_use]
    pub fn could_in(&self, ctx: &OpCtx, namespace: &NamespaceRef, resource: Resource, action: Action) -> bool {
        let at = (namespace.rights, namespace.halt.as_ref());
        ctx.person().is_some_and(|person| check(person, at, resource, action).is_ok())
    }

    /// Whether it is for want of a role that the person of `ctx`, who has `rights` there, may not: asking for one would
    /// help, which it does not where a place is halted or a token only reads.
    #[must_use]
    pub fn lacks(&self, ctx: &OpCtx, rights: Rights, (resource, action): (Resource, Action)) -> bool {
        ctx.person().is_some_and(|person| !matrix::allows(person.platform_role, rights, resource, action))
    }

    /// The tenant, if the person may know of it: the first half of every right.
    pub(crate) async fn find_tenant(&self, person: &Person, name: &TenantName) -> Result<TenantRef> {
        if person.scope.tenant.as_ref().is_some_and(|only| only != name) {
            return Err(Error::not_found());
        }
        known(person, self.store.find_tenant_access(person.id, name).await?.ok_or_else(Error::not_found)?)
    }

    /// The namespace, if the person may know of it.
    pub(crate) async fn find_namespace(
        &self,
        person: &Person,
        tenant: &TenantName,
        name: &NamespaceName,
    ) -> Result<NamespaceRef> {
        let found = self.store.find_namespace_access(person.id, tenant, name).await?;
        let (access, found) = found.ok_or_else(Error::not_found)?;
        known_namespace(person, access, found)
    }
}

/// The namespace, if the person may know of it.
fn known_namespace(person: &Person, access: TenantAccess, found: NamespaceAccess) -> Result<NamespaceRef> {
    let tenant = to_ref(access);
    if is_guest(person, &tenant) && found.role.is_none() {
        return Err(Error::not_found());
    }
    Ok(namespace_ref(&tenant, found))
}

/// The tenant, if the person may know of it.
fn known(person: &Person, access: TenantAccess) -> Result<TenantRef> {
    if access.role.is_none() && !access.guest && person.platform_role.is_none() {
        return Err(Error::not_found());
    }
    Ok(to_ref(access))
}

/// Whether a person who may know of the tenant sees no more than its name, and the namespaces that they were given a role in.
fn is_guest(person: &Person, tenant: &TenantRef) -> bool {
    tenant.role.is_none() && person.platform_role.is_none()
}

/// Whether a person's token is for the tenant called `name`, and for seeing tenants at all.
fn names(person: &Person, name: &TenantName) -> bool {
    person.scope.tenant.as_ref().is_none_or(|only| only == name)
        && in_scope(person, Resource::Tenant, Action::Read).is_ok()
}

/// Those of a tenant's namespaces that the person may know of.
fn seen<'a>(
    person: &'a Person,
    tenant: &'a TenantRef,
    rows: Vec<NamespaceAccess>,
) -> impl Iterator<Item = Grant<NamespaceRef>> + 'a {
    let guest = is_guest(person, tenant);
    let sees = in_scope(person, Resource::Namespace, Action::Read).is_ok();
    rows.into_iter()
        .filter(move |_| sees)
        .filter(move |row| !guest || row.role.is_some())
        .filter(|row| person.scope.namespace.as_ref().is_none_or(|only| *only == row.namespace.name))
        .map(|row| Grant::new(namespace_ref(tenant, row), Resource::Namespace, Action::Read))
}

pub(crate) fn to_ref(access: TenantAccess) -> TenantRef {
    TenantRef {
        id: access.tenant.id,
        name: access.tenant.name,
        display_name: access.tenant.display_name.into(),
        role: access.role,
        rights: Rights::of(access.role, access.own),
        halt: access.tenant.halt,
    }
}

fn namespace_ref(tenant: &TenantRef, NamespaceAccess { namespace: row, role, own }: NamespaceAccess) -> NamespaceRef {
    NamespaceRef {
        tenant: tenant.clone(),
        given: role,
        rights: tenant.rights.and(Rights::of(role, own)),
        id: row.id,
        name: row.name,
        cluster: row.cluster,
        kube_name: row.kube_name.into(),
        protected: row.protected,
        halt: row.halt,
    }
}

/// Refuses what a token that is limited to some actions was not made for.
fn in_scope(person: &Person, resource: Resource, action: Action) -> Result<()> {
    let right = Right { resource, action };
    if matrix::covers(&person.scope.actions, right) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Forbidden, format!("this token is limited to other actions than {right}")))
}

/// Refuses a shell to who looks as somebody else: what is typed there no rule reads.
fn shown(person: &Person, resource: Resource) -> Result<()> {
    if resource == Resource::Exec { person.themselves().map(drop) } else { Ok(()) }
}

/// Whether somebody with `rights` in a place that may be halted may.
fn check(person: &Person, (rights, halt): (Rights, Option<&Halt>), resource: Resource, action: Action) -> Result<()> {
    let writes = action != Action::Read;
    if !matrix::allows(person.platform_role, rights, resource, action) {
        return Err(Error::forbidden(resource, action));
    }
    if writes && person.scope.read_only {
        return Err(Error::new(ErrorCode::Forbidden, "this token is read-only"));
    }
    in_scope(person, resource, action)?;
    match halt.filter(|halt| life::stops(halt, person.platform_role, resource, action)) {
        Some(halt) => Err(life::halted(halt)),
        None => Ok(()),
    }
}

/// As whom Berth acts in a cluster for a person: a user and groups, to which RoleBindings give the matrix's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonation {
    /// `berth:{name}`; of a robot `berth:robot:{tenant}/{name}`.
    pub user: String,
    /// `berth:tenant:{tenant}:{role}`, `berth:namespace:{tenant}:{namespace}:{role}`, `berth:platform:{role}`.
    pub groups: Vec<String>,
}

/// As whom the actor of `ctx` acts in a namespace; without one, on what belongs to the whole cluster. `None` for Berth itself and for
/// nobody.
#[must_use]
pub fn impersonation(ctx: &OpCtx, namespace: Option<&NamespaceRef>) -> Option<Impersonation> {
    let person = ctx.person()?;
    let mut groups = Vec::new();
    if let Some(namespace) = namespace {
        let tenant = &namespace.tenant;
        groups.extend(tenant.role.map(|role| tenant_group(tenant.name.as_str(), role)));
        let given = |role| namespace_group(tenant.name.as_str(), namespace.name.as_str(), role);
        groups.extend(namespace.given.map(given));
    }
    if let Some(role) = person.platform_role {
        groups.push(platform_group(role));
    }
    Some(Impersonation { user: format!("berth:{}", person.name), groups })
}

/// The group of a tenant's members with `role`.
#[must_use]
pub fn tenant_group(tenant: &str, role: TenantRole) -> String {
    format!("berth:tenant:{tenant}:{role}")
}

/// The group of those who were given `role` in one namespace of a tenant.
#[must_use]
pub fn namespace_group(tenant: &str, namespace: &str, role: TenantRole) -> String {
    format!("berth:namespace:{tenant}:{namespace}:{role}")
}

/// The group of people with a platform role.
#[must_use]
pub fn platform_group(role: PlatformRole) -> String {
    format!("berth:platform:{role}")
}
