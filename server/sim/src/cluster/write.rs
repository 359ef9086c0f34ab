//! Create and update: the write pipeline.

use serde_json::{Map, Value, json};

use super::{Cluster, text};
use crate::{
    fieldmanager,
    hooks::{AdmissionRequest, Operation},
    registry::{ResourceType, api_version},
    status::{FieldError, Result, Status},
    store::{GroupResource, Object, ObjectRef, WriteError},
    strategy,
};

/// How often a generated name may collide before the create is refused.
const NAME_TRIES: usize = 8;

/// Which version of the resource a write speaks, and who gets the credit.
#[derive(Clone, Copy)]
pub(crate) struct WriteContext<'a> {
    pub resource: &'a ResourceType,
    pub version: &'a str,
    pub subresource: Option<&'a str>,
    /// Managed fields are already in the object (server-side apply computed them).
    pub managed: bool,
}

/// `metadata` as an object; made when missing.
pub(crate) fn metadata(value: &mut Value) -> &mut Map<String, Value> {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    match &mut value["metadata"] {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

impl Cluster {
    /// Creates an object in the resource's storage version.
    ///
    /// # Errors
    /// 409 when the name is taken, 422 when it is invalid, or what admission says.
    pub fn create(&self, id: &GroupResource, namespace: &str, value: Value) -> Result<ObjectRef> {
        let resource = self.resource(id)?;
        let version = resource.storage_version.clone();
        self.create_with(
            WriteContext { resource: &resource, version: &version, subresource: None, managed: false },
            namespace,
            value,
        )
    }

    /// Replaces an object. A `metadata.resourceVersion` in it must be the present one.
    ///
    /// # Errors
    /// 404, 409 when it is stale, 422 when it is invalid, or what admission says.
    pub fn update(&self, id: &GroupResource, namespace: &str, value: Value) -> Result<ObjectRef> {
        self.update_in(id, namespace, None, value)
    }

    /// Replaces the status of an object; the rest of `value` is ignored.
    ///
    /// # Errors
    /// 404, 409 when it is stale, 422 when it is invalid.
    pub fn update_status(&self, id: &GroupResource, namespace: &str, value: Value) -> Result<ObjectRef> {
        self.update_in(id, namespace, Some("status"), value)
    }

    fn update_in(
        &self,
        id: &GroupResource,
        namespace: &str,
        subresource: Option<&str>,
        value: Value,
    ) -> Result<ObjectRef> {
        let resource = self.resource(id)?;
        let version = resource.storage_version.clone();
        let name = text(&value, &["metadata", "name"]).to_owned();
        self.update_with(
            WriteContext { resource: &resource, version: &version, subresource, managed: false },
            namespace,
            &name,
            value,
        )
    }

    pub(crate) fn create_with(&self, cx: WriteContext<'_>, namespace: &str, mut value: Value) -> Result<ObjectRef> {
        let resource = cx.resource;
        let id = &resource.id;
        let _guard = self.lock();
        value["apiVersion"] = json!(resource.api_version());
        value["kind"] = json!(resource.kind);
        let meta = metadata(&mut value);
        if namespace.is_empty() {
            meta.remove("namespace");
        } else {
            meta.insert("namespace".into(), json!(namespace));
        }
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            meta.remove(field);
        }
        meta.insert("uid".into(), json!(crate::clock::new_uid().to_string()));
        meta.insert("creationTimestamp".into(), json!(self.time()));
        strategy::default(resource, &mut value);
        if !cx.managed {
            fieldmanager::record_update(
                self,
                resource,
                &api_version(&id.group, cx.version),
                cx.subresource,
                None,
                &mut value,
            );
        }

        let generated = text(&value, &["metadata", "name"]).is_empty();
        let base = text(&value, &["metadata", "generateName"]).to_owned();
        let mut tries = 0;
        loop {
            tries += 1;
            let mut attempt = value.clone();
            if generated && !base.is_empty() {
                metadata(&mut attempt).insert("name".into(), json!(generate_name(&base)));
            }
            match self.create_named(cx, namespace, attempt) {
                Err(status) if generated && status.is_already_exists() && tries < NAME_TRIES => {}
                outcome => return outcome,
            }
        }
    }

    fn create_named(&self, cx: WriteContext<'_>, namespace: &str, mut value: Value) -> Result<ObjectRef> {
        let resource = cx.resource;
        let id = &resource.id;
        let name = text(&value, &["metadata", "name"]).to_owned();
        let plugins = self.plugins();
        let request = AdmissionRequest {
            cluster: self,
            operation: Operation::Create,
            resource,
            subresource: cx.subresource,
            namespace,
            name: &name,
            user: &self.caller.user,
            old: None,
            dry_run: self.caller.dry_run,
            warnings: &self.caller.warnings,
        };
        for plugin in plugins.iter() {
            plugin.admit(&request, &mut value)?;
        }
        strategy::prepare_create(self, resource, &mut value)?;
        let errors = strategy::validate_create(self, resource, &value);
        if !errors.is_empty() {
            return Err(Status::invalid(&id.group, &resource.kind, &name, &errors));
        }
        self.caller.warnings.lock().extend(strategy::rules::warnings(resource, &value));
        if self.store.get(id, namespace, &name).is_some() {
            return Err(Status::already_exists(&id.group, &id.resource, &name));
        }
        for plugin in plugins.iter() {
            plugin.validate(&request, &value)?;
        }
        if self.caller.dry_run {
            return Ok(std::sync::Arc::new(Object::unversioned(value)));
        }
        let created = self.store.create(id, namespace, &name, value).map_err(|error| write_error(id, &name, &error))?;
        strategy::after_write(self, resource, Some(&created), None);
        Ok(created)
    }

    pub(crate) fn update_with(
        &self,
        cx: WriteContext<'_>,
        namespace: &str,
        name: &str,
        mut value: Value,
    ) -> Result<ObjectRef> {
        let resource = cx.resource;
        let id = &resource.id;
        let _guard = self.lock();
        let current = self.get(id, namespace, name)?;
        check_update(resource, name, &current, &value)?;

        value["apiVersion"] = json!(resource.api_version());
        value["kind"] = json!(resource.kind);
        keep_system_metadata(&mut value, &current);
        strategy::default(resource, &mut value);
        if !cx.managed {
            fieldmanager::record_update(
                self,
                resource,
                &api_version(&id.group, cx.version),
                cx.subresource,
                Some(&current),
                &mut value,
            );
        }
        let plugins = self.plugins();
        let request = AdmissionRequest {
            cluster: self,
            operation: Operation::Update,
            resource,
            subresource: cx.subresource,
            namespace,
            name,
            user: &self.caller.user,
            old: Some(&current),
            dry_run: self.caller.dry_run,
            warnings: &self.caller.warnings,
        };
        for plugin in plugins.iter() {
            plugin.admit(&request, &mut value)?;
        }
        strategy::prepare_update(self, resource, cx.subresource, &mut value, &current)?;
        let errors = strategy::validate_update(self, resource, cx.subresource, &value, &current);
        if !errors.is_empty() {
            return Err(Status::invalid(&id.group, &resource.kind, name, &errors));
        }
        for plugin in plugins.iter() {
            plugin.validate(&request, &value)?;
        }
        metadata(&mut value).insert("resourceVersion".into(), current["metadata"]["resourceVersion"].clone());
        if value == *current.value() {
            return Ok(current);
        }
        if self.caller.dry_run {
            return Ok(std::sync::Arc::new(Object::unversioned(value)));
        }
        if is_released(resource, &value) {
            let last = self
                .store
                .update(id, namespace, name, None, value)
                .and_then(|_| self.store.remove(id, namespace, name, None))
                .map_err(|error| write_error(id, name, &error))?;
            strategy::after_write(self, resource, None, Some(&last));
            return Ok(last);
        }
        let updated = self
            .store
            .update(id, namespace, name, Some(current.revision()), value)
            .map_err(|error| write_error(id, name, &error))?;
        strategy::after_write(self, resource, Some(&updated), Some(&current));
        Ok(updated)
    }
}

impl Cluster {
    /// Binds a pod to a node, as the scheduler's Binding does.
    ///
    /// # Errors
    /// 404, or 409 when it is bound or going away.
    pub fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<ObjectRef> {
        use crate::registry::builtin::gr;
        let _guard = self.lock();
        let current = self.get(&gr::PODS, namespace, pod)?;
        let refuse = |why: String| Status::conflict("", "pods/binding", pod, &why);
        if !current["metadata"]["deletionTimestamp"].is_null() {
            return Err(refuse(format!("pod {pod} is being deleted, cannot be assigned to a host")));
        }
        let bound = text(&current, &["spec", "nodeName"]);
        if !bound.is_empty() {
            return Err(refuse(format!("pod {pod} is already assigned to node {bound:?}")));
        }
        if current["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return Err(refuse(format!("pod {pod} has non-empty .spec.schedulingGates")));
        }
        let mut value = current.value().clone();
        value["spec"]["nodeName"] = json!(node);
        let now = self.time();
        strategy::set_condition(
            &mut value["status"],
            json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
        );
        if self.caller.dry_run {
            return Ok(std::sync::Arc::new(Object::unversioned(value)));
        }
        self.store
            .update(&gr::PODS, namespace, pod, Some(current.revision()), value)
            .map_err(|error| write_error(&gr::PODS, pod, &error))
    }
}

/// Whether an object that is being deleted has nothing left that holds it.
pub(crate) fn is_released(resource: &ResourceType, value: &Value) -> bool {
    let meta = &value["metadata"];
    let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    !meta["deletionTimestamp"].is_null()
        && !held(&meta["finalizers"])
        && meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !(resource.id.group.is_empty() && resource.id.resource == "namespaces" && held(&value["spec"]["finalizers"]))
}

fn check_update(resource: &ResourceType, name: &str, current: &Object, value: &Value) -> Result<()> {
    let id = &resource.id;
    let uid = text(value, &["metadata", "uid"]);
    let stored_uid = text(current, &["metadata", "uid"]);
    if !uid.is_empty() && uid != stored_uid {
        return Err(Status::conflict(
            &id.group,
            &id.resource,
            name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {stored_uid}",
                etcd_key(resource, current)
            ),
        ));
    }
    let version = text(value, &["metadata", "resourceVersion"]);
    if version.is_empty() {
        if strategy::needs_resource_version(resource) {
            let error = FieldError::required_version();
            // The storage knows the resource, not the kind.
            return Err(Status::invalid(&id.group, &id.resource, name, &[error]));
        }
    } else if version != text(current, &["metadata", "resourceVersion"]) {
        return Err(Status::stale(&id.group, &id.resource, name));
    }
    Ok(())
}

/// Where etcd would have the object, as errors of its storage say.
fn etcd_key(resource: &ResourceType, object: &Value) -> String {
    let plural = match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "nodes") => "minions",
        ("", "replicationcontrollers") => "controllers",
        ("networking.k8s.io", "ingresses") => "ingress",
        (_, plural) => plural,
    };
    let group = if resource.custom { format!("{}/", resource.id.group) } else { String::new() };
    let namespace = text(object, &["metadata", "namespace"]);
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("/registry/{group}{plural}/{namespace}{slash}{}", text(object, &["metadata", "name"]))
}

/// What an update cannot change.
fn keep_system_metadata(value: &mut Value, current: &Value) {
    let meta = metadata(value);
    for field in [
        "name",
        "namespace",
        "generateName",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        match current["metadata"].get(field) {
            Some(kept) => {
                meta.insert(field.into(), kept.clone());
            }
            None => {
                meta.remove(field);
            }
        }
    }
    meta.remove("selfLink");
}

pub(crate) fn write_error(id: &GroupResource, name: &str, error: &WriteError) -> Status {
    match error {
        WriteError::Exists => Status::already_exists(&id.group, &id.resource, name),
        WriteError::Missing => Status::not_found(&id.group, &id.resource, name),
        WriteError::Stale { .. } => Status::stale(&id.group, &id.resource, name),
        WriteError::Full => Status::no_space(),
    }
}

/// A name as `k8s.io/apiserver/pkg/storage/names` makes it: at most 63 characters, five of them random.
fn generate_name(base: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    const RANDOM: usize = 5;
    let keep = base.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 63 - RANDOM).last();
    let mut name = base.get(..keep.unwrap_or(0)).unwrap_or_default().to_owned();
    let bytes = crate::clock::new_uid().into_bytes();
    name.extend(
        bytes
            .iter()
            .take(RANDOM)
            .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map(|letter| char::from(*letter))),
    );
    name
}
