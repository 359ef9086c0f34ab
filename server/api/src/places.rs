//! What stands in a path: tenant, namespace, app, pod, … A name that can be nobody's is as absent as any other.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use berth_core::Error;
use berth_types::{
    AppName, ClusterId, NamespaceName, PlanName, ProviderName, RobotName, RoleName, TenantName, UserName,
};
use serde::{Deserialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::problem::Failure;

/// The parameters of the path, as `T`.
pub(crate) struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(place)) => Ok(Self(place)),
            Err(_) => Err(Failure(Error::not_found())),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct InTenant {
    pub tenant: TenantName,
}

#[derive(Deserialize)]
pub(crate) struct OfMember {
    pub tenant: TenantName,
    pub user: UserName,
}

#[derive(Deserialize)]
pub(crate) struct OfRole {
    pub tenant: TenantName,
    pub role: RoleName,
}

#[derive(Deserialize)]
pub(crate) struct OfRobot {
    pub tenant: TenantName,
    pub robot: RobotName,
}

#[derive(Deserialize)]
pub(crate) struct OfTrust {
    pub tenant: TenantName,
    pub robot: RobotName,
    pub trust: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfRobotToken {
    pub tenant: TenantName,
    pub robot: RobotName,
    pub token: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfInvitation {
    pub tenant: TenantName,
    pub invitation: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfWebhook {
    pub tenant: TenantName,
    pub webhook: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfPlatformWebhook {
    pub webhook: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfPlatformInvitation {
    pub invitation: Uuid,
}

#[derive(Deserialize, Clone)]
pub(crate) struct InNamespace {
    pub tenant: TenantName,
    pub namespace: NamespaceName,
}

impl InNamespace {
    pub(crate) fn path(&self) -> (&TenantName, &NamespaceName) {
        (&self.tenant, &self.namespace)
    }
}

#[derive(Deserialize)]
pub(crate) struct OfNamespaceMember {
    pub tenant: TenantName,
    pub namespace: NamespaceName,
    pub user: UserName,
}

#[derive(Deserialize, Clone)]
pub(crate) struct OfApp {
    pub tenant: TenantName,
    pub namespace: NamespaceName,
    pub app: AppName,
}

impl OfApp {
    pub(crate) fn path(&self) -> (&TenantName, &NamespaceName, &AppName) {
        (&self.tenant, &self.namespace, &self.app)
    }
}

#[derive(Deserialize)]
pub(crate) struct OfRevision {
    pub tenant: TenantName,
    pub namespace: NamespaceName,
    pub app: AppName,
    pub revision: i64,
}

impl OfRevision {
    pub(crate) fn path(&self) -> (&TenantName, &NamespaceName, &AppName) {
        (&self.tenant, &self.namespace, &self.app)
    }
}

#[derive(Deserialize)]
pub(crate) struct OfPod {
    pub tenant: TenantName,
    pub namespace: NamespaceName,
    pub pod: String,
}

impl OfPod {
    pub(crate) fn path(&self) -> (&TenantName, &NamespaceName) {
        (&self.tenant, &self.namespace)
    }
}

#[derive(Deserialize)]
pub(crate) struct OfAnnouncement {
    pub announcement: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct InCluster {
    pub cluster: ClusterId,
}

#[derive(Deserialize)]
pub(crate) struct OfNode {
    pub cluster: ClusterId,
    pub node: String,
}

#[derive(Deserialize)]
pub(crate) struct OfUser {
    pub user: UserName,
}

#[derive(Deserialize)]
pub(crate) struct OfPlan {
    pub plan: PlanName,
}

#[derive(Deserialize)]
pub(crate) struct OfProvider {
    pub provider: ProviderName,
}

#[derive(Deserialize)]
pub(crate) struct OfRule {
    pub provider: ProviderName,
    pub rule: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfRequest {
    pub tenant: TenantName,
    pub request: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfToken {
    pub token: Uuid,
}

#[derive(Deserialize)]
pub(crate) struct OfEntry {
    pub entry: i64,
}
