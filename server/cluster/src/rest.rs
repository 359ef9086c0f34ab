//! Requests to the API server: paths, bodies and a time limit on each.

use std::time::Duration;

use berth_core::{Error, Result};
use http::{Method, Request};
use kube::{Client, core::Status};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Target, from_kube, unavailable};

/// Longest that a call may take, connection included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of object: where it stands in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Kind {
    /// `v1`, `apps/v1`.
    pub(crate) api_version: &'static str,
    /// `Deployment`.
    pub(crate) kind: &'static str,
    /// `deployments`.
    pub(crate) plural: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $version:literal $kind:literal $plural:literal;)+) => {
        impl Kind {
            $(pub(crate) const $name: Self = Self { api_version: $version, kind: $kind, plural: $plural };)+
        }
    };
}

kinds! {
    APP = "berth.dev/v1alpha1" "App" "apps";
    POD = "v1" "Pod" "pods";
    EVENT = "v1" "Event" "events";
    QUOTA = "v1" "ResourceQuota" "resourcequotas";
    LIMIT_RANGE = "v1" "LimitRange" "limitranges";
    NAMESPACE = "v1" "Namespace" "namespaces";
    SERVICE = "v1" "Service" "services";
    DEPLOYMENT = "apps/v1" "Deployment" "deployments";
    REVISION = "apps/v1" "ControllerRevision" "controllerrevisions";
    INGRESS = "networking.k8s.io/v1" "Ingress" "ingresses";
    BUDGET = "policy/v1" "PodDisruptionBudget" "poddisruptionbudgets";
    AUTOSCALER = "autoscaling/v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers";
    ROLE_BINDING = "rbac.authorization.k8s.io/v1" "RoleBinding" "rolebindings";
    CLUSTER_ROLE = "rbac.authorization.k8s.io/v1" "ClusterRole" "clusterroles";
    CRD = "apiextensions.k8s.io/v1" "CustomResourceDefinition" "customresourcedefinitions";
    ACCESS_REVIEW = "authorization.k8s.io/v1" "SelfSubjectAccessReview" "selfsubjectaccessreviews";
    LEASE = "coordination.k8s.io/v1" "Lease" "leases";
    SERVICE_ACCOUNT = "v1" "ServiceAccount" "serviceaccounts";
    TOKEN_REQUEST = "authentication.k8s.io/v1" "TokenRequest" "token";
    NODE = "v1" "Node" "nodes";
    NODE_METRICS = "metrics.k8s.io/v1beta1" "NodeMetrics" "nodes";
    POD_METRICS = "metrics.k8s.io/v1beta1" "PodMetrics" "pods";
    VOLUME = "v1" "PersistentVolume" "persistentvolumes";
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "clusterrolebindings";
    CLAIM = "v1" "PersistentVolumeClaim" "persistentvolumeclaims";
    NETWORK_POLICY = "networking.k8s.io/v1" "NetworkPolicy" "networkpolicies";
    STORAGE_CLASS = "storage.k8s.io/v1" "StorageClass" "storageclasses";
    INGRESS_CLASS = "networking.k8s.io/v1" "IngressClass" "ingressclasses";
}

impl Kind {
    /// The collection over all namespaces, or of cluster-wide objects.
    pub(crate) fn all(self) -> String {
        self.root() + "/" + self.plural
    }

    /// The collection in a namespace.
    pub(crate) fn within(self, namespace: &str) -> String {
        format!("{}/namespaces/{}/{}", self.root(), encode(namespace), self.plural)
    }

    /// One object; `namespace` empty for cluster-wide ones.
    pub(crate) fn at(self, namespace: &str, name: &str) -> String {
        let collection = if namespace.is_empty() { self.all() } else { self.within(namespace) };
        format!("{collection}/{}", encode(name))
    }

    fn root(self) -> String {
        let prefix = if self.api_version.contains('/') { "/apis/" } else { "/api/" };
        prefix.to_owned() + self.api_version
    }
}

/// Escapes a segment of a path or a value of a query. A name of dots alone can not climb: its dots are escaped too.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let dots = text.bytes().all(|b| b == b'.');
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !dots) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A path with a query.
pub(crate) fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (i, (key, value)) in pairs.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        out.push_str(key);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// A request without body.
pub(crate) fn get(path: &str) -> Result<Request<Vec<u8>>> {
    request(Method::GET, path, "application/json", Vec::new())
}

fn request(method: Method, path: &str, content_type: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::CONTENT_TYPE, content_type)
        .body(body)
        .map_err(Error::internal)
}

fn body(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::internal)
}

/// A merge patch of the object at `path`.
pub(crate) fn merging(path: &str, change: &Value) -> Result<Request<Vec<u8>>> {
    request(Method::PATCH, path, "application/merge-patch+json", body(change)?)
}

/// A client whose calls are bounded in time and whose errors are ours.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) client: Client,
}

impl Rest {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn call<T: DeserializeOwned>(&self, target: &Target<'_>, request: Request<Vec<u8>>) -> Result<T> {
        bounded(TIMEOUT, self.client.request(request)).await?.map_err(|e| from_kube(e, target))
    }

    /// Reads `path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &Target<'_>, path: &str) -> Result<T> {
        self.call(target, get(path)?).await
    }

    /// Makes an object in the collection at `path`.
    pub(crate) async fn create(&self, target: &Target<'_>, path: &str, object: &Value) -> Result<Value> {
        self.call(target, request(Method::POST, path, "application/json", body(object)?)?).await
    }

    /// Makes an object in the collection at `path`; what the API server answered where it refused, in its own words.
    pub(crate) async fn attempt(&self, path: &str, object: &Value) -> Result<std::result::Result<Value, Box<Status>>> {
        let request = request(Method::POST, path, "application/json", body(object)?)?;
        match bounded(TIMEOUT, self.client.request(request)).await? {
            Ok(made) => Ok(Ok(made)),
            Err(kube::Error::Api(status)) => Ok(Err(status)),
            Err(e) => Err(from_kube(e, &Target::new("the object", ""))),
        }
    }

    /// Replaces the object at `path`.
    pub(crate) async fn replace(&self, target: &Target<'_>, path: &str, object: &Value) -> Result<Value> {
        self.call(target, request(Method::PUT, path, "application/json", body(object)?)?).await
    }

    /// Server-side apply; `path` names the field manager and whether it takes fields over.
    pub(crate) async fn apply(&self, target: &Target<'_>, path: &str, object: &Value) -> Result<Value> {
        self.call(target, request(Method::PATCH, path, "application/apply-patch+yaml", body(object)?)?).await
    }

    /// Merges `change` into the object at `path`.
    pub(crate) async fn merge(&self, target: &Target<'_>, path: &str, change: &Value) -> Result<Value> {
        self.call(target, merging(path, change)?).await
    }

    /// Deletes the object at `path`; what the cluster answers is the object on its way out, or a `Status`.
    pub(crate) async fn delete(&self, target: &Target<'_>, path: &str, options: &Value) -> Result<Value> {
        self.call(target, request(Method::DELETE, path, "application/json", body(options)?)?).await
    }
}

/// `work`, or [`berth_types::ErrorCode::ClusterUnavailable`] when it takes longer than `limit`.
pub(crate) async fn bounded<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| unavailable(format!("it did not answer within {} s", limit.as_secs())))
}

/// What a channel receives, as a stream.
pub(crate) fn receiver_stream<T>(receiver: tokio::sync::mpsc::Receiver<T>) -> impl futures::Stream<Item = T> {
    futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(Kind::POD.within("shop-dev"), "/api/v1/namespaces/shop-dev/pods");
        assert_eq!(Kind::DEPLOYMENT.all(), "/apis/apps/v1/deployments");
        assert_eq!(Kind::NAMESPACE.at("", "a"), "/api/v1/namespaces/a");
        assert_eq!(Kind::POD.at("n", "../../secrets/x?y"), "/api/v1/namespaces/n/pods/..%2F..%2Fsecrets%2Fx%3Fy");
        assert_eq!(Kind::POD.at("n", ".."), "/api/v1/namespaces/n/pods/%2E%2E");
        assert_eq!(query("/a", &[("b", "c=d"), ("e", "1")]), "/a?b=c%3Dd&e=1");
    }
}
