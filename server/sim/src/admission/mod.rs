//! Admission: what changes or refuses objects between decoding and storing (`plugin/pkg/admission`).

pub mod jobs;
pub mod limit_ranger;
pub mod pod_security;
pub mod pods;
pub mod quota;
pub mod storage;

use std::sync::Arc;

use serde_json::Value;

use crate::{
    cluster::Cluster,
    controllers::fields::Fields,
    hooks::{Admission, AdmissionRequest, Operation},
    rbac::EscalationGuard,
    registry::builtin::gr,
    status::{Cause, Result, Status},
};

/// The plug-ins of a default API server, in its order; quota charges last.
#[must_use]
pub fn plugins(cluster: &Cluster) -> Vec<Arc<dyn Admission>> {
    vec![
        Arc::new(NamespaceLifecycle),
        Arc::new(jobs::JobSelector),
        Arc::new(limit_ranger::LimitRanger),
        Arc::new(pods::ServiceAccount),
        Arc::new(pods::DefaultTolerations),
        Arc::new(pods::Priority),
        Arc::new(pods::Overhead),
        Arc::new(storage::DefaultStorageClass),
        Arc::new(storage::Resize),
        Arc::new(pod_security::PodSecurity),
        Arc::new(EscalationGuard::new(cluster)),
        Arc::new(quota::Quota),
    ]
}

/// 403 about the object of a request.
fn forbidden(request: &AdmissionRequest<'_>, object: &Value, why: &str) -> Status {
    let name = if request.name.is_empty() { object.name() } else { request.name };
    Status::forbidden(&request.resource.id.group, &request.resource.id.resource, name, why)
}

/// Whether a request makes a new object of the pods resource.
fn creates_pod(request: &AdmissionRequest<'_>) -> bool {
    request.operation == Operation::Create && request.subresource.is_none() && request.resource.id == gr::PODS
}

/// Refuses new objects in namespaces that do not exist or are going away, and keeps the system's own.
pub struct NamespaceLifecycle;

impl Admission for NamespaceLifecycle {
    fn admit(&self, request: &AdmissionRequest<'_>, object: &mut Value) -> Result<()> {
        if request.operation == Operation::Delete
            && request.resource.id == gr::NAMESPACES
            && matches!(request.name, "default" | "kube-system" | "kube-public")
        {
            return Err(Status::forbidden("", "namespaces", request.name, "this namespace may not be deleted"));
        }
        if request.operation != Operation::Create
            || request.namespace.is_empty()
            || request.resource.id == gr::NAMESPACES
        {
            return Ok(());
        }
        let Some(namespace) = request.cluster.find(&gr::NAMESPACES, "", request.namespace) else {
            return Err(Status::not_found("", "namespaces", request.namespace));
        };
        let access_review = request.resource.id.resource.ends_with("accessreviews");
        if access_review || !namespace.deleting() && namespace.text("/status/phase") != "Terminating" {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {} because it is being terminated", request.namespace);
        let mut status = forbidden(request, object, &why);
        if let Some(details) = status.details.as_mut() {
            details.causes.push(Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {} is being terminated", request.namespace),
                field: "metadata.namespace".to_owned(),
            });
        }
        Err(status)
    }
}
