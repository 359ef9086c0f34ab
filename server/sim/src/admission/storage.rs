//! Admission of volume claims: the default class, and growing.

use serde_json::{Value, json};

use super::forbidden;
use crate::{
    controllers::fields::{Fields, add_finalizer},
    hooks::{Admission, AdmissionRequest, Operation},
    quantity::Quantity,
    registry::builtin::gr,
    status::Result,
};

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Names the default storage class in claims that name none, and protects claims and volumes in use.
pub struct DefaultStorageClass;

impl Admission for DefaultStorageClass {
    fn admit(&self, request: &AdmissionRequest<'_>, object: &mut Value) -> Result<()> {
        if request.operation != Operation::Create {
            return Ok(());
        }
        if request.resource.id == gr::PERSISTENT_VOLUMES {
            add_finalizer(object, "kubernetes.io/pv-protection");
        }
        if request.resource.id != gr::PERSISTENT_VOLUME_CLAIMS {
            return Ok(());
        }
        add_finalizer(object, "kubernetes.io/pvc-protection");
        if !object.at("/spec/storageClassName").is_null() {
            return Ok(());
        }
        let default = request
            .cluster
            .list(&gr::STORAGE_CLASSES, None)
            .into_iter()
            .filter(|class| class.annotation(DEFAULT_CLASS) == Some("true"))
            .max_by(|a, b| a.created().cmp(&b.created()).then_with(|| b.name().cmp(a.name())));
        if let Some(class) = default {
            object["spec"]["storageClassName"] = json!(class.name());
        }
        Ok(())
    }
}

/// Lets only bound claims of a class that allows it grow.
pub struct Resize;

impl Admission for Resize {
    fn validate(&self, request: &AdmissionRequest<'_>, claim: &Value) -> Result<()> {
        if request.resource.id != gr::PERSISTENT_VOLUME_CLAIMS
            || request.operation != Operation::Update
            || request.subresource.is_some()
        {
            return Ok(());
        }
        let Some(old) = request.old else { return Ok(()) };
        let asked = |claim: &Value| Quantity::lenient(claim.at("/spec/resources/requests").get("storage"));
        if asked(claim) <= asked(old) {
            return Ok(());
        }
        if old.text("/status/phase") != "Bound" {
            return Err(forbidden(request, claim, "Only bound persistent volume claims can be expanded"));
        }
        let allowed = request
            .cluster
            .find(&gr::STORAGE_CLASSES, "", claim.text("/spec/storageClassName"))
            .is_some_and(|class| class.flag("/allowVolumeExpansion"));
        if allowed {
            return Ok(());
        }
        let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
        Err(forbidden(request, claim, why))
    }
}
