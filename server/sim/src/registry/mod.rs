//! Which resources the API serves: the built-in ones and those that CustomResourceDefinitions add.

pub mod builtin;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;
use serde_json::Value;

use crate::store::GroupResource;

/// A resource: its names and what can be done with it.
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// Group and plural.
    pub id: GroupResource,
    /// e.g. `Deployment`.
    pub kind: String,
    /// e.g. `DeploymentList`.
    pub list_kind: String,
    /// e.g. `deployment`.
    pub singular: String,
    /// e.g. `deploy`.
    pub short_names: Vec<String>,
    /// e.g. `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Served versions, the preferred first.
    pub versions: Vec<Version>,
    /// The version in which objects are stored.
    pub storage_version: String,
    /// Whether CustomResourceDefinitions define it.
    pub custom: bool,
    /// Kubernetes verbs that collections and objects answer.
    pub verbs: Vec<&'static str>,
}

/// One served version of a resource.
#[derive(Debug, Clone)]
pub struct Version {
    /// e.g. `v1`.
    pub name: String,
    /// e.g. `status`, `scale`, `log`.
    pub subresources: Vec<Subresource>,
    /// The entry of `spec.versions` that defines it, for custom resources.
    pub custom: Option<Arc<CustomVersion>>,
}

/// What a CustomResourceDefinition says of one version.
#[derive(Debug, Clone)]
pub struct CustomVersion {
    /// `schema.openAPIV3Schema`.
    pub schema: Value,
    /// The same, compiled.
    pub node: Arc<crate::schema::Node>,
    /// `additionalPrinterColumns`.
    pub columns: Vec<Value>,
    /// `subresources.scale`, when there is one.
    pub scale: Option<Value>,
    /// Whether there is a status subresource.
    pub status: bool,
    /// `deprecationWarning`, or the default text, when the version is deprecated.
    pub warning: Option<String>,
    /// `selectableFields` as JSON paths.
    pub selectable: Vec<String>,
}

/// A subresource as discovery lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    /// e.g. `scale`.
    pub name: &'static str,
    /// Group, version and kind of what it reads and writes.
    pub kind: (&'static str, &'static str, &'static str),
    /// Verbs that it answers.
    pub verbs: &'static [&'static str],
}

impl ResourceType {
    /// The version called `name`, if it is served.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// `apiVersion` of stored objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.id.group, &self.storage_version)
    }

    /// Whether some version has the subresource.
    #[must_use]
    pub fn has_subresource(&self, name: &str) -> bool {
        self.versions.iter().any(|version| version.subresources.iter().any(|sub| sub.name == name))
    }
}

/// `group/version`, or the version alone for core.
#[must_use]
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `(group, version)` of an `apiVersion`.
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// All resources that are served now.
pub struct Registry {
    types: RwLock<BTreeMap<GroupResource, Arc<ResourceType>>>,
}

impl Default for Registry {
    fn default() -> Self {
        let types = builtin::resource_types().into_iter().map(|kind| (kind.id.clone(), Arc::new(kind))).collect();
        Self { types: RwLock::new(types) }
    }
}

impl Registry {
    /// A resource by group and plural.
    #[must_use]
    pub fn get(&self, id: &GroupResource) -> Option<Arc<ResourceType>> {
        self.types.read().get(id).cloned()
    }

    /// A resource by group and plural, if it serves `version`.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, resource: &str) -> Option<Arc<ResourceType>> {
        let found = self.get(&GroupResource::owned(group, resource))?;
        found.version(version).is_some().then_some(found)
    }

    /// A resource by `apiVersion` and kind, as owner references and scale targets name it.
    #[must_use]
    pub fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<ResourceType>> {
        let (group, version) = split_api_version(api_version);
        let types = self.types.read();
        types
            .values()
            .find(|found| found.id.group == group && found.kind == kind && found.version(version).is_some())
            .cloned()
    }

    /// Every resource, ordered by group and plural.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ResourceType>> {
        self.types.read().values().cloned().collect()
    }

    /// Adds or replaces a custom resource.
    pub fn insert(&self, resource: ResourceType) {
        self.types.write().insert(resource.id.clone(), Arc::new(resource));
    }

    /// Stops serving a custom resource.
    pub fn remove(&self, id: &GroupResource) {
        self.types.write().remove(id);
    }
}
