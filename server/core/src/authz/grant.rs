//! Grants: proof that somebody asked and was allowed.

use std::{ops::Deref, sync::Arc};

use berth_types::{Action, AppName, ClusterId, NamespaceName, Resource, TenantName, TenantRole, life::Halt};
use uuid::Uuid;

use super::Rights;

/// A thing that an actor was allowed to act on, with the right that was checked. Only [`super::Authz`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<T> {
    inner: T,
    resource: Resource,
    action: Action,
}

impl<T> Grant<T> {
    pub(crate) fn new(inner: T, resource: Resource, action: Action) -> Self {
        Self { inner, resource, action }
    }

    /// A grant nobody checked, for the tests of adapters.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn unchecked(inner: T, resource: Resource, action: Action) -> Self {
        Self::new(inner, resource, action)
    }

    /// What was checked.
    #[must_use]
    pub fn right(&self) -> (Resource, Action) {
        (self.resource, self.action)
    }

    /// The same right on something within.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Grant<U> {
        Grant { inner: f(self.inner), resource: self.resource, action: self.action }
    }
}

impl<T> Deref for Grant<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

/// The platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformRef;

/// A tenant that the actor may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRef {
    /// Its row.
    pub id: Uuid,
    /// Its name.
    pub name: TenantName,
    /// What people call it.
    pub display_name: Arc<str>,
    /// The actor's role in it; none for platform roles and Berth itself.
    pub role: Option<TenantRole>,
    /// What that gives: of a role that the tenant made, what its row says.
    pub rights: Rights,
    /// Why nothing in it can be changed, where that is so.
    pub halt: Option<Halt>,
}

/// A namespace that the actor may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRef {
    /// Its tenant.
    pub tenant: TenantRef,
    /// Its row.
    pub id: Uuid,
    /// Its name within the tenant.
    pub name: NamespaceName,
    /// The cluster it is on.
    pub cluster: ClusterId,
    /// Its name there.
    pub kube_name: Arc<str>,
    /// The role that the actor was given here alone, beside the tenant's.
    pub given: Option<TenantRole>,
    /// What the actor may here: what the tenant's role gives, and what this one gives.
    pub rights: Rights,
    /// It is changed in Berth alone: `kubectl` only reads there.
    pub protected: bool,
    /// Why nothing in it can be changed, where that is so; the tenant's reason counts, too.
    pub halt: Option<Halt>,
}

impl NamespaceRef {
    /// The actor's role here to be shown: the stronger of the tenant's and its own. What counts is `rights`.
    #[must_use]
    pub fn role(&self) -> Option<TenantRole> {
        TenantRole::strongest(self.tenant.role, self.given)
    }
}

/// An app, which may or may not exist, in a namespace that the actor may know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRef {
    /// Its namespace.
    pub namespace: NamespaceRef,
    /// Its name.
    pub name: AppName,
}

impl Grant<AppRef> {
    /// The same right, seen from the app's namespace.
    #[must_use]
    pub fn namespace(&self) -> Grant<NamespaceRef> {
        self.clone().map(|app| app.namespace)
    }
}
