//! Delete: preconditions, grace, finalizers and propagation.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Cluster, text};
use crate::{
    clock::format_time,
    cluster::write::{is_released, metadata, write_error},
    hooks::{AdmissionRequest, Operation},
    registry::{ResourceType, builtin::gr},
    status::{Result, Status},
    store::{GroupResource, ObjectRef},
    strategy,
};

/// What happens to the objects that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without their owner.
    Orphan,
    /// The garbage collector removes them afterwards.
    Background,
    /// The object goes after them.
    Foreground,
}

impl Propagation {
    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "Orphan" => Some(Self::Orphan),
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            _ => None,
        }
    }
}

/// `metav1.DeleteOptions`.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Seconds that a pod gets to stop; `None` for the object's own.
    pub grace_period_seconds: Option<i64>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub resource_version: Option<String>,
    /// What happens to dependents; `None` for the resource's default.
    pub propagation: Option<Propagation>,
    /// Go through the motions, delete nothing.
    pub dry_run: bool,
}

/// How a delete ended.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// The object is gone; this was its last state.
    Gone(ObjectRef),
    /// The object is marked and waits for its grace period or finalizers.
    Marked(ObjectRef),
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

impl Cluster {
    /// Deletes an object, or marks it when something holds it.
    ///
    /// # Errors
    /// 404, 409 when a precondition fails, or what admission says.
    pub fn delete(&self, id: &GroupResource, namespace: &str, name: &str, options: &DeleteOptions) -> Result<Deleted> {
        let resource = self.resource(id)?;
        let dry_run = self.caller.dry_run || options.dry_run;
        let _guard = self.lock();
        let current = self.get(id, namespace, name)?;
        check_preconditions(&resource, name, &current, options)?;

        let plugins = self.plugins();
        let request = AdmissionRequest {
            cluster: self,
            operation: Operation::Delete,
            resource: &resource,
            subresource: None,
            namespace,
            name,
            user: &self.caller.user,
            old: Some(&current),
            dry_run,
            warnings: &self.caller.warnings,
        };
        let mut value = current.value().clone();
        for plugin in plugins.iter() {
            plugin.admit(&request, &mut value.clone())?;
        }
        for plugin in plugins.iter() {
            plugin.validate(&request, &value)?;
        }

        set_propagation_finalizers(&resource, &mut value, options.propagation);
        let definition = resource.id == gr::CUSTOM_RESOURCE_DEFINITIONS;
        if definition && current["metadata"]["deletionTimestamp"].is_null() {
            crate::crd::prepare_delete(&mut value);
        }
        let grace = grace_period(&resource, &current, options);
        let marked_before = !current["metadata"]["deletionTimestamp"].is_null();
        let held = !released_if_marked(&resource, &value);
        if grace == 0 && !held {
            return self.remove_now(&resource, namespace, name, current, dry_run);
        }

        let is_pod = resource.id == gr::PODS;
        if marked_before {
            // A second delete may only shorten the wait.
            let remaining = current["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
            if is_pod && grace < remaining {
                self.stamp(&mut value, &current, grace);
            }
        } else {
            self.stamp(&mut value, &current, grace);
            let meta = metadata(&mut value);
            let generation = meta.get("generation").and_then(Value::as_i64);
            if let Some(generation) = generation.filter(|generation| *generation > 0 && !definition) {
                meta.insert("generation".into(), json!(generation + 1));
            }
            if resource.id == gr::NAMESPACES {
                value["status"]["phase"] = json!("Terminating");
            }
        }
        if is_released(&resource, &value) {
            return self.remove_now(&resource, namespace, name, current, dry_run);
        }
        if dry_run || value == *current.value() {
            return Ok(Deleted::Marked(current));
        }
        let updated = self
            .store
            .update(id, namespace, name, Some(current.revision()), value)
            .map_err(|error| write_error(id, name, &error))?;
        strategy::after_write(self, &resource, Some(&updated), Some(&current));
        Ok(Deleted::Marked(updated))
    }

    fn stamp(&self, value: &mut Value, current: &Value, grace: i64) {
        let started =
            current["metadata"]["deletionTimestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let began = match (started, current["metadata"]["deletionGracePeriodSeconds"].as_i64()) {
            (Some(at), Some(old)) => at.checked_sub(Duration::from_secs(old.unsigned_abs())).unwrap_or(at),
            _ => self.clock.now(),
        };
        let at = began.checked_add(Duration::from_secs(grace.unsigned_abs())).unwrap_or(began);
        let meta = metadata(value);
        meta.insert("deletionTimestamp".into(), json!(format_time(at)));
        // A namespace has nothing that would stop gracefully.
        if current["kind"] != "Namespace" && current["kind"] != "CustomResourceDefinition" {
            meta.insert("deletionGracePeriodSeconds".into(), json!(grace));
        }
    }

    fn remove_now(
        &self,
        resource: &ResourceType,
        namespace: &str,
        name: &str,
        current: ObjectRef,
        dry_run: bool,
    ) -> Result<Deleted> {
        if dry_run {
            return Ok(Deleted::Gone(current));
        }
        let id = &resource.id;
        let last = self
            .store
            .remove(id, namespace, name, Some(current.revision()))
            .map_err(|error| write_error(id, name, &error))?;
        strategy::after_write(self, resource, None, Some(&last));
        if *id == gr::PODS && last["metadata"]["deletionTimestamp"].is_null() {
            // The answer shows how it went.
            let mut shown = last.value().clone();
            let meta = metadata(&mut shown);
            meta.insert("deletionTimestamp".into(), json!(format_time(self.clock.now())));
            meta.insert("deletionGracePeriodSeconds".into(), json!(0));
            return Ok(Deleted::Gone(std::sync::Arc::new(crate::store::Object::new(shown, last.revision()))));
        }
        Ok(Deleted::Gone(last))
    }
}

fn check_preconditions(resource: &ResourceType, name: &str, current: &Value, options: &DeleteOptions) -> Result<()> {
    // The original names the kind here, not the resource.
    let conflict = |why: &str| Status::conflict(&resource.id.group, &resource.kind, name, why);
    let uid = text(current, &["metadata", "uid"]);
    if let Some(expected) = options.uid.as_deref().filter(|expected| *expected != uid) {
        return Err(conflict(&format!(
            "the UID in the precondition ({expected}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )));
    }
    let version = text(current, &["metadata", "resourceVersion"]);
    if let Some(expected) = options.resource_version.as_deref().filter(|expected| *expected != version) {
        return Err(conflict(&format!(
            "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        )));
    }
    Ok(())
}

/// Whether the object would go at once if it were marked without grace.
fn released_if_marked(resource: &ResourceType, value: &Value) -> bool {
    let held = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    !held(&value["metadata"]["finalizers"]) && !(resource.id == gr::NAMESPACES && held(&value["spec"]["finalizers"]))
}

fn set_propagation_finalizers(resource: &ResourceType, value: &mut Value, propagation: Option<Propagation>) {
    let mut finalizers: Vec<String> = value["metadata"]["finalizers"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let before = finalizers.clone();
    let has = |name: &str| before.iter().any(|own| own == name);
    let propagation = propagation.unwrap_or_else(|| {
        if has(ORPHAN) {
            Propagation::Orphan
        } else if has(FOREGROUND) {
            Propagation::Foreground
        } else {
            strategy::default_propagation(resource)
        }
    });
    finalizers.retain(|name| name != ORPHAN && name != FOREGROUND);
    match propagation {
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Background => {}
    }
    if finalizers == before {
        return;
    }
    let meta = metadata(value);
    if finalizers.is_empty() {
        meta.remove("finalizers");
    } else {
        meta.insert("finalizers".into(), json!(finalizers));
    }
}

/// Only pods stop gracefully (`pkg/registry/core/pod/strategy.go`, CheckGracefulDelete).
fn grace_period(resource: &ResourceType, current: &Value, options: &DeleteOptions) -> i64 {
    if resource.id != gr::PODS {
        return 0;
    }
    let asked = options
        .grace_period_seconds
        .or_else(|| current["spec"]["terminationGracePeriodSeconds"].as_i64())
        .unwrap_or(30)
        .max(0);
    let unscheduled = text(current, &["spec", "nodeName"]).is_empty();
    let finished = matches!(text(current, &["status", "phase"]), "Failed" | "Succeeded");
    if unscheduled || finished { 0 } else { asked }
}
