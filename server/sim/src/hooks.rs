//! Where admission, authorisation and the simulated kubelet plug in.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::{
    cluster::Cluster,
    registry::ResourceType,
    status::{Result, Status},
};

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// e.g. `kubernetes-admin` or `system:serviceaccount:ns:name`.
    pub name: String,
    /// Stable id, if there is one.
    pub uid: String,
    /// e.g. `system:masters`.
    pub groups: Vec<String>,
    /// What the authenticator adds.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A component of the control plane: member of `system:masters`.
    #[must_use]
    pub fn component(name: &str) -> Self {
        Self {
            name: format!("system:{name}"),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..Self::default()
        }
    }

    /// Whether the user belongs to `group`.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new object (or a subresource that only takes `create`).
    Create,
    /// A change, patches included.
    Update,
    /// A removal.
    Delete,
    /// exec, attach, port-forward.
    Connect,
}

/// What admission may look at.
pub struct AdmissionRequest<'a> {
    /// The cluster; admission runs under its write lock, so what is read here holds until the write.
    pub cluster: &'a Cluster,
    /// Create, update, delete or connect.
    pub operation: Operation,
    /// The resource.
    pub resource: &'a ResourceType,
    /// e.g. `status`.
    pub subresource: Option<&'a str>,
    /// "" for cluster-wide resources.
    pub namespace: &'a str,
    /// "" on create with generateName.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a UserInfo,
    /// The object as it is, on update and delete.
    pub old: Option<&'a Value>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Answered as `Warning` headers.
    pub warnings: &'a Mutex<Vec<String>>,
}

impl AdmissionRequest<'_> {
    /// Adds a warning that kubectl shows.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }
}

/// An admission plug-in. Plug-ins run in the order in which they are given: first every `admit`, then the
/// object's own validation, then every `validate`.
pub trait Admission: Send + Sync {
    /// Changes or refuses the object. On delete it is the object as it is.
    ///
    /// # Errors
    /// The status to answer.
    fn admit(&self, _request: &AdmissionRequest<'_>, _object: &mut Value) -> Result<()> {
        Ok(())
    }

    /// Refuses the final object. Quota charges here: after this only the store can refuse.
    ///
    /// # Errors
    /// The status to answer.
    fn validate(&self, _request: &AdmissionRequest<'_>, _object: &Value) -> Result<()> {
        Ok(())
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// Who.
    pub user: UserInfo,
    /// e.g. `list`; for paths the lower-case HTTP method.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural; "" for paths that are no resource.
    pub resource: String,
    /// e.g. `status`.
    pub subresource: String,
    /// Name of the object, if the request names one.
    pub name: String,
    /// Namespace, if the request names one.
    pub namespace: String,
    /// The path, when it is no resource.
    pub path: String,
}

/// What the authoriser says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, as reviews show it.
    pub reason: String,
}

/// Answers whether somebody may do something.
pub trait Authorizer: Send + Sync {
    /// Decides.
    fn authorize(&self, attributes: &Attributes) -> Decision;
    /// `(resourceRules, nonResourceRules)` of a SelfSubjectRulesReview.
    fn rules(&self, user: &UserInfo, namespace: &str) -> (Vec<Value>, Vec<Value>);
}

/// Lets everybody do everything. Used until an authoriser is installed.
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision { allowed: true, reason: String::new() }
    }

    fn rules(&self, _: &UserInfo, _: &str) -> (Vec<Value>, Vec<Value>) {
        let rule = serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
        (vec![rule], vec![serde_json::json!({"verbs": ["*"], "nonResourceURLs": ["*"]})])
    }
}

/// `PodLogOptions`.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Stay and send what comes.
    pub follow: bool,
    /// Of the container's last life.
    pub previous: bool,
    /// Prefix each line with its time.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only what is younger.
    pub since_seconds: Option<u64>,
    /// Only what came after.
    pub since_time: Option<jiff::Timestamp>,
    /// Stop after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// The ends of a process's pipes.
pub struct Io {
    /// What the client types, when it asked for stdin.
    pub stdin: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Standard output, when it asked for it.
    pub stdout: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Standard error, when it asked for it; with a terminal all goes to stdout.
    pub stderr: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Columns and rows, whenever they change.
    pub resize: mpsc::Receiver<(u16, u16)>,
}

/// Both directions of a forwarded port.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What runs the pods.
#[async_trait]
pub trait Kubelet: Send + Sync {
    /// A container's log. The API has checked that pod and container exist.
    async fn logs(&self, pod: &Value, container: &str, options: &LogOptions) -> Result<BoxStream<'static, Bytes>>;
    /// Runs a command; the exit code, or why it could not start.
    async fn exec(&self, pod: &Value, container: &str, command: &[String], io: Io) -> Result<i32>;
    /// Joins the container's own process.
    async fn attach(&self, pod: &Value, container: &str, io: Io) -> Result<i32>;
    /// Serves one connection to a port of the pod.
    async fn port_forward(&self, pod: &Value, port: u16, connection: Box<dyn Duplex>) -> Result<()>;
    /// `metrics.k8s.io/v1beta1` PodMetrics, `None` while there is no sample.
    fn pod_metrics(&self, pod: &Value) -> Option<Value>;
    /// `metrics.k8s.io/v1beta1` NodeMetrics.
    fn node_metrics(&self, node: &Value) -> Option<Value>;
}

/// A cluster without nodes: every question to a kubelet is refused.
pub struct NoKubelet;

fn no_kubelet<T>() -> Result<T> {
    Err(Status::internal("no kubelet is running"))
}

#[async_trait]
impl Kubelet for NoKubelet {
    async fn logs(&self, _: &Value, _: &str, _: &LogOptions) -> Result<BoxStream<'static, Bytes>> {
        no_kubelet()
    }
    async fn exec(&self, _: &Value, _: &str, _: &[String], _: Io) -> Result<i32> {
        no_kubelet()
    }
    async fn attach(&self, _: &Value, _: &str, _: Io) -> Result<i32> {
        no_kubelet()
    }
    async fn port_forward(&self, _: &Value, _: u16, _: Box<dyn Duplex>) -> Result<()> {
        no_kubelet()
    }
    fn pod_metrics(&self, _: &Value) -> Option<Value> {
        None
    }
    fn node_metrics(&self, _: &Value) -> Option<Value> {
        None
    }
}
