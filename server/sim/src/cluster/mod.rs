//! The API in process: what the HTTP front door, the controllers and the kubelet call.
//!
//! Writes go through the same pipeline as in a real API server: defaults, managed fields, mutating admission,
//! validation, validating admission, store. One re-entrant lock spans the pipeline, so admission may count
//! what is stored (quota) and read-modify-write needs no retries. Nothing here authorises: the front door does.

mod addresses;
mod delete;
mod write;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, ReentrantMutex, ReentrantMutexGuard, RwLock};
use serde_json::Value;

pub(crate) use addresses::Addresses;
pub use delete::{DeleteOptions, Deleted, Propagation};
pub(crate) use write::WriteContext;

use crate::{
    clock::{Clock, format_micro_time, format_time},
    hooks::{Admission, AlwaysAllow, Authorizer, Kubelet, NoKubelet, UserInfo},
    registry::{Registry, ResourceType},
    status::{Result, Status},
    store::{GroupResource, ObjectRef, Store},
};

/// Who writes, and how.
#[derive(Clone)]
pub struct Caller {
    /// The user, for admission and events.
    pub user: UserInfo,
    /// Field manager of the writes.
    pub manager: String,
    /// Go through the motions, store nothing.
    pub dry_run: bool,
    /// What admission wants to tell the user.
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl Caller {
    /// A component of the control plane, e.g. `kube-scheduler`.
    #[must_use]
    pub fn component(name: &str) -> Self {
        Self { user: UserInfo::component(name), manager: name.to_owned(), dry_run: false, warnings: Arc::default() }
    }
}

/// A handle to the cluster that writes as one [`Caller`]. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// The objects.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is served.
    pub registry: Arc<Registry>,
    pub(crate) caller: Arc<Caller>,
    shared: Arc<Shared>,
}

struct Shared {
    lock: ReentrantMutex<()>,
    admission: RwLock<Arc<[Arc<dyn Admission>]>>,
    authorizer: RwLock<Arc<dyn Authorizer>>,
    kubelet: RwLock<Arc<dyn Kubelet>>,
    addresses: Mutex<addresses::Addresses>,
}

impl Cluster {
    /// An empty cluster.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            registry: Arc::default(),
            caller: Arc::new(Caller::component("kube-controller-manager")),
            shared: Arc::new(Shared {
                lock: ReentrantMutex::new(()),
                admission: RwLock::new(Arc::new([])),
                authorizer: RwLock::new(Arc::new(AlwaysAllow)),
                kubelet: RwLock::new(Arc::new(NoKubelet)),
                addresses: Mutex::default(),
            }),
        }
    }

    /// Installs the admission plug-ins, in the order in which they run.
    pub fn set_admission(&self, plugins: Vec<Arc<dyn Admission>>) {
        *self.shared.admission.write() = plugins.into();
    }

    /// Installs the authoriser.
    pub fn set_authorizer(&self, authorizer: Arc<dyn Authorizer>) {
        *self.shared.authorizer.write() = authorizer;
    }

    /// Installs the kubelet.
    pub fn set_kubelet(&self, kubelet: Arc<dyn Kubelet>) {
        *self.shared.kubelet.write() = kubelet;
    }

    /// The authoriser.
    #[must_use]
    pub fn authorizer(&self) -> Arc<dyn Authorizer> {
        self.shared.authorizer.read().clone()
    }

    /// The kubelet.
    #[must_use]
    pub fn kubelet(&self) -> Arc<dyn Kubelet> {
        self.shared.kubelet.read().clone()
    }

    /// The addresses and node ports of all services, as of now.
    pub(crate) fn addresses(&self) -> MutexGuard<'_, addresses::Addresses> {
        let mut addresses = self.shared.addresses.lock();
        addresses.refresh(&self.store);
        addresses
    }

    fn plugins(&self) -> Arc<[Arc<dyn Admission>]> {
        self.shared.admission.read().clone()
    }

    /// A handle that writes as somebody else.
    #[must_use]
    pub fn with_caller(&self, caller: Caller) -> Self {
        Self { caller: Arc::new(caller), ..self.clone() }
    }

    /// A handle that writes as a component of the control plane, e.g. `kube-scheduler`.
    #[must_use]
    pub fn component(&self, name: &str) -> Self {
        self.with_caller(Caller::component(name))
    }

    /// Keeps everybody else from writing while the guard lives. Writes through this cluster on the same
    /// thread go on working. Not to be held across an await.
    pub fn lock(&self) -> ReentrantMutexGuard<'_, ()> {
        self.shared.lock.lock()
    }

    /// Now as `metav1.Time`.
    #[must_use]
    pub fn time(&self) -> String {
        format_time(self.clock.now())
    }

    /// Now as `metav1.MicroTime`.
    #[must_use]
    pub fn micro_time(&self) -> String {
        format_micro_time(self.clock.now())
    }

    /// The resource's type.
    ///
    /// # Errors
    /// 404 when nothing of that name is served.
    pub fn resource(&self, id: &GroupResource) -> Result<Arc<ResourceType>> {
        self.registry.get(id).ok_or_else(Status::no_such_resource)
    }

    /// One object, if it exists. `namespace` is "" for cluster-wide resources.
    #[must_use]
    pub fn find(&self, id: &GroupResource, namespace: &str, name: &str) -> Option<ObjectRef> {
        self.store.get(id, namespace, name)
    }

    /// One object.
    ///
    /// # Errors
    /// 404.
    pub fn get(&self, id: &GroupResource, namespace: &str, name: &str) -> Result<ObjectRef> {
        self.find(id, namespace, name).ok_or_else(|| Status::not_found(&id.group, &id.resource, name))
    }

    /// All objects, or those of one namespace, in key order.
    #[must_use]
    pub fn list(&self, id: &GroupResource, namespace: Option<&str>) -> Vec<ObjectRef> {
        self.store.list(id, namespace).items
    }

    /// Reads, changes and writes an object under the lock, so that it cannot conflict.
    ///
    /// # Errors
    /// 404, or what validation and admission say.
    pub fn modify(
        &self,
        id: &GroupResource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<ObjectRef> {
        let _guard = self.lock();
        let mut value = self.get(id, namespace, name)?.value().clone();
        change(&mut value);
        self.update(id, namespace, value)
    }

    /// Like [`Cluster::modify`], for the status subresource.
    ///
    /// # Errors
    /// 404, or what validation says.
    pub fn modify_status(
        &self,
        id: &GroupResource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<ObjectRef> {
        let _guard = self.lock();
        let mut value = self.get(id, namespace, name)?.value().clone();
        change(&mut value);
        self.update_status(id, namespace, value)
    }

    /// Applies a JSON merge patch (RFC 7396) to an object.
    ///
    /// # Errors
    /// 404, or what validation and admission say.
    pub fn patch(&self, id: &GroupResource, namespace: &str, name: &str, merge: &Value) -> Result<ObjectRef> {
        self.modify(id, namespace, name, |value| json_patch::merge(value, merge))
    }

    /// Applies a JSON merge patch, e.g. `{"status": {…}}`, to the status subresource.
    ///
    /// # Errors
    /// 404, or what validation says.
    pub fn patch_status(&self, id: &GroupResource, namespace: &str, name: &str, merge: &Value) -> Result<ObjectRef> {
        self.modify_status(id, namespace, name, |value| json_patch::merge(value, merge))
    }
}

/// The text at a path of fields, "" when it is missing.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().try_fold(value, |value, field| value.get(field)).and_then(Value::as_str).unwrap_or_default()
}
