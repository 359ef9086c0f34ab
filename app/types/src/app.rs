//! `App` (`berth.dev/v1alpha1`): what a team wants to run. One or more components, each a Deployment and what goes with it.
//!
//! Unknown fields are refused, so that a typing error is not silently lost. Words are those of Kubernetes where it has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// API group of Berth's custom resources.
pub const GROUP: &str = "berth.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";

macro_rules! spec {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name { $($body)* }
    };
}

fn none<T>(v: &Option<T>) -> bool {
    v.is_none()
}
fn is_false(v: &bool) -> bool {
    !v
}

spec! {
    /// What is wanted of an app.
    #[derive(Default)]
    pub struct AppSpec {
        /// The parts of the app; at least one, names unique. A single-part app calls its component `main`.
        pub components: Vec<Component>,
        /// Scaled to zero on purpose, keeping `replicas` for later.
        #[serde(default, skip_serializing_if = "is_false")]
        pub suspended: bool,
        /// How many old revisions are kept for rollback (default 10).
        #[serde(default, skip_serializing_if = "none")]
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
        pub revision_history_limit: Option<u32>,
    }
}

spec! {
    /// One part of an app: a Deployment, with its Service, Ingress and PodDisruptionBudget.
    #[derive(Default)]
    pub struct Component {
        /// Unique in the app; `main` takes the app's own name in the cluster.
        pub name: String,
        /// Image reference, best pinned by tag or digest.
        pub image: String,
        /// When the image is pulled (default: `Always` for `latest`, else `IfNotPresent`).
        #[serde(default, skip_serializing_if = "none")]
        pub image_pull_policy: Option<ImagePullPolicy>,
        /// Names of Secrets with registry credentials.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub image_pull_secrets: Vec<String>,
        /// Replaces the image's entry point.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub command: Vec<String>,
        /// Replaces the image's arguments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub args: Vec<String>,
        /// Ports that the container listens on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub ports: Vec<Port>,
        /// Environment variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub env: Vec<EnvVar>,
        /// All keys of ConfigMaps and Secrets as environment variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub env_from: Vec<EnvFrom>,
        /// Volumes and where they are mounted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub volumes: Vec<Volume>,
        /// Containers that run to their end, in order, before the main one starts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub init_containers: Vec<InitContainer>,
        /// What the container asks for and may use at most.
        #[serde(default, skip_serializing_if = "none")]
        pub resources: Option<Resources>,
        /// How the platform tells that it runs, is ready, has started.
        #[serde(default, skip_serializing_if = "none")]
        pub probes: Option<Probes>,
        /// Pods wanted (default 1). Not used while `autoscale` is set, but kept.
        #[serde(default, skip_serializing_if = "none")]
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1000)))]
        pub replicas: Option<i32>,
        /// Lets the number of pods follow the load.
        #[serde(default, skip_serializing_if = "none")]
        pub autoscale: Option<Autoscale>,
        /// How a new revision replaces the old.
        #[serde(default, skip_serializing_if = "none")]
        pub rollout: Option<Rollout>,
        /// Who can reach it (default: nobody).
        #[serde(default, skip_serializing_if = "none")]
        pub expose: Option<Expose>,
        /// Seconds between SIGTERM and SIGKILL (default 30).
        #[serde(default, skip_serializing_if = "none")]
        pub termination_grace_period_seconds: Option<i64>,
        /// Service account of the pods (default: the namespace's `default`).
        #[serde(default, skip_serializing_if = "none")]
        pub service_account_name: Option<String>,
        /// User id the container runs as, where the image does not say a non-root one itself.
        #[serde(default, skip_serializing_if = "none")]
        pub run_as_user: Option<i64>,
        /// Labels added to the pods. `berth.dev/*` and `app.kubernetes.io/name`, `instance`, `component`, `managed-by` are Berth's own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub pod_labels: BTreeMap<String, String>,
        /// Annotations added to the pods.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub pod_annotations: BTreeMap<String, String>,
        /// Nodes the pods may run on, by label.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub node_selector: BTreeMap<String, String>,
    }
}

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$v:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
        pub enum $name { $($(#[$v])* $variant),+ }

        impl $name {
            /// All choices.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As written in YAML.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}

choice! {
    /// When an image is pulled.
    ImagePullPolicy {
        /// At every start.
        Always,
        /// When the node does not have it.
        IfNotPresent,
        /// Never.
        Never,
    }
}

choice! {
    /// Transport protocol of a port.
    #[derive(Default)]
    Protocol {
        /// TCP.
        #[default]
        TCP,
        /// UDP.
        UDP,
    }
}

spec! {
    /// A port that a container listens on.
    pub struct Port {
        /// Unique in the component, at most 15 of a–z, 0–9 and - with at least one letter (default: `http` for the first).
        #[serde(default, skip_serializing_if = "none")]
        pub name: Option<String>,
        /// 1 to 65535.
        pub port: i32,
        /// TCP unless said otherwise.
        #[serde(default, skip_serializing_if = "none")]
        pub protocol: Option<Protocol>,
    }
}

spec! {
    /// One environment variable: a value, or a key of a ConfigMap or Secret.
    #[derive(Default)]
    pub struct EnvVar {
        /// Its name.
        pub name: String,
        /// The value itself.
        #[serde(default, skip_serializing_if = "none")]
        pub value: Option<String>,
        /// A key of a ConfigMap of the namespace.
        #[serde(default, skip_serializing_if = "none")]
        pub config_map: Option<KeyRef>,
        /// A key of a Secret of the namespace.
        #[serde(default, skip_serializing_if = "none")]
        pub secret: Option<KeyRef>,
    }
}

spec! {
    /// A key of a ConfigMap or Secret.
    pub struct KeyRef {
        /// The object's name.
        pub name: String,
        /// The key.
        pub key: String,
        /// Start even if it does not exist.
        #[serde(default, skip_serializing_if = "is_false")]
        pub optional: bool,
    }
}

spec! {
    /// All keys of a ConfigMap or Secret as variables. Exactly one of the two is set.
    #[derive(Default)]
    pub struct EnvFrom {
        /// A ConfigMap's name.
        #[serde(default, skip_serializing_if = "none")]
        pub config_map: Option<String>,
        /// A Secret's name.
        #[serde(default, skip_serializing_if = "none")]
        pub secret: Option<String>,
        /// Put before every key.
        #[serde(default, skip_serializing_if = "none")]
        pub prefix: Option<String>,
        /// Start even if it does not exist.
        #[serde(default, skip_serializing_if = "is_false")]
        pub optional: bool,
    }
}

spec! {
    /// A volume and its place. Exactly one source is set.
    #[derive(Default)]
    pub struct Volume {
        /// Unique in the component.
        pub name: String,
        /// Where, an absolute path.
        pub mount_path: String,
        /// A part of the volume.
        #[serde(default, skip_serializing_if = "none")]
        pub sub_path: Option<String>,
        /// Mounted so that nothing can be written.
        #[serde(default, skip_serializing_if = "is_false")]
        pub read_only: bool,
        /// A PersistentVolumeClaim's name.
        #[serde(default, skip_serializing_if = "none")]
        pub claim: Option<String>,
        /// A ConfigMap's name, each key a file.
        #[serde(default, skip_serializing_if = "none")]
        pub config_map: Option<String>,
        /// A Secret's name, each key a file.
        #[serde(default, skip_serializing_if = "none")]
        pub secret: Option<String>,
        /// Scratch space that lives as long as the pod.
        #[serde(default, skip_serializing_if = "none")]
        pub empty_dir: Option<EmptyDir>,
    }
}

spec! {
    /// Scratch space.
    #[derive(Default)]
    pub struct EmptyDir {
        /// At most this much, a quantity.
        #[serde(default, skip_serializing_if = "none")]
        pub size_limit: Option<String>,
        /// In memory instead of on disk; counts against the memory limit.
        #[serde(default, skip_serializing_if = "is_false")]
        pub memory: bool,
    }
}

spec! {
    /// A container that runs before the main one. Environment and volumes are the component's, with its own variables added.
    #[derive(Default)]
    pub struct InitContainer {
        /// Unique in the component.
        pub name: String,
        /// Image reference (default: the component's).
        #[serde(default, skip_serializing_if = "none")]
        pub image: Option<String>,
        /// Replaces the image's entry point.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub command: Vec<String>,
        /// Replaces the image's arguments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub args: Vec<String>,
        /// Further environment variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub env: Vec<EnvVar>,
        /// What it asks for and may use (default: the component's).
        #[serde(default, skip_serializing_if = "none")]
        pub resources: Option<Resources>,
    }
}

spec! {
    /// Requests are promised, limits are the most it may use.
    #[derive(Default)]
    pub struct Resources {
        /// Promised.
        #[serde(default, skip_serializing_if = "none")]
        pub requests: Option<Amounts>,
        /// At most.
        #[serde(default, skip_serializing_if = "none")]
        pub limits: Option<Amounts>,
    }
}

spec! {
    /// CPU and memory, as quantities.
    #[derive(Default)]
    pub struct Amounts {
        /// Cores: `500m`, `2`.
        #[serde(default, skip_serializing_if = "none")]
        pub cpu: Option<String>,
        /// Bytes: `256Mi`, `1Gi`.
        #[serde(default, skip_serializing_if = "none")]
        pub memory: Option<String>,
    }
}

spec! {
    /// How the platform tells how it is.
    #[derive(Default)]
    pub struct Probes {
        /// Failing means: take it out of the Service.
        #[serde(default, skip_serializing_if = "none")]
        pub readiness: Option<Probe>,
        /// Failing means: restart it.
        #[serde(default, skip_serializing_if = "none")]
        pub liveness: Option<Probe>,
        /// The other two wait until this one has succeeded once.
        #[serde(default, skip_serializing_if = "none")]
        pub startup: Option<Probe>,
    }
}

spec! {
    /// One probe. Exactly one of `http`, `tcp`, `exec`, `grpc` is set.
    #[derive(Default)]
    pub struct Probe {
        /// A GET that must answer 200 to 399.
        #[serde(default, skip_serializing_if = "none")]
        pub http: Option<HttpProbe>,
        /// A port that must accept.
        #[serde(default, skip_serializing_if = "none")]
        pub tcp: Option<i32>,
        /// A command that must exit 0.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub exec: Vec<String>,
        /// A port that must answer gRPC health checks.
        #[serde(default, skip_serializing_if = "none")]
        pub grpc: Option<i32>,
        /// Before the first try (default 0).
        #[serde(default, skip_serializing_if = "none")]
        pub initial_delay_seconds: Option<i32>,
        /// Between tries (default 10).
        #[serde(default, skip_serializing_if = "none")]
        pub period_seconds: Option<i32>,
        /// For one try (default 1).
        #[serde(default, skip_serializing_if = "none")]
        pub timeout_seconds: Option<i32>,
        /// Failures in a row that count (default 3).
        #[serde(default, skip_serializing_if = "none")]
        pub failure_threshold: Option<i32>,
        /// Successes in a row that count (default 1).
        #[serde(default, skip_serializing_if = "none")]
        pub success_threshold: Option<i32>,
    }
}

spec! {
    /// A GET request.
    #[derive(Default)]
    pub struct HttpProbe {
        /// Absolute path (default `/`).
        #[serde(default, skip_serializing_if = "none")]
        pub path: Option<String>,
        /// Port number.
        pub port: i32,
        /// Over TLS, the certificate unchecked.
        #[serde(default, skip_serializing_if = "is_false")]
        pub https: bool,
    }
}

spec! {
    /// Lets the number of pods follow the load.
    pub struct Autoscale {
        /// At least.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
        pub min: i32,
        /// At most.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
        pub max: i32,
        /// Wanted mean use of the requested CPU, percent.
        #[serde(default, skip_serializing_if = "none")]
        pub cpu_percent: Option<i32>,
        /// Wanted mean use of the requested memory, percent.
        #[serde(default, skip_serializing_if = "none")]
        pub memory_percent: Option<i32>,
    }
}

choice! {
    /// How a new revision replaces the old.
    #[derive(Default)]
    Strategy {
        /// Step by step, always some pods serving.
        #[default]
        Rolling,
        /// All old pods leave before new ones come.
        Recreate,
    }
}

spec! {
    /// How a new revision replaces the old.
    #[derive(Default)]
    pub struct Rollout {
        /// `Rolling` unless said otherwise.
        #[serde(default, skip_serializing_if = "none")]
        pub strategy: Option<Strategy>,
        /// Pods more than wanted while rolling: a number or `25%` (default 25 %).
        #[serde(default, skip_serializing_if = "none")]
        pub max_surge: Option<String>,
        /// Pods fewer than wanted while rolling: a number or `25%` (default 0, so that nothing is lost).
        #[serde(default, skip_serializing_if = "none")]
        pub max_unavailable: Option<String>,
        /// Seconds a pod must be ready before it counts (default 0).
        #[serde(default, skip_serializing_if = "none")]
        pub min_ready_seconds: Option<i32>,
        /// Seconds without progress after which a rollout counts as failed (default 600).
        #[serde(default, skip_serializing_if = "none")]
        pub progress_deadline_seconds: Option<i32>,
    }
}

choice! {
    /// Who can reach a component.
    #[derive(Default)]
    ExposeKind {
        /// Nobody: no Service is made.
        #[default]
        None,
        /// Other pods: a ClusterIP Service.
        Internal,
        /// The outside, by host and path.
        Ingress,
        /// The outside, by an address of its own.
        LoadBalancer,
    }
}

spec! {
    /// Who can reach a component, and how.
    #[derive(Default)]
    pub struct Expose {
        /// The way in.
        #[serde(rename = "type")]
        pub kind: ExposeKind,
        /// The component's port (default: its first).
        #[serde(default, skip_serializing_if = "none")]
        pub port: Option<i32>,
        /// The Service's port (default: 80 for an Ingress, else the component's).
        #[serde(default, skip_serializing_if = "none")]
        pub service_port: Option<i32>,
        /// Host name, for an Ingress.
        #[serde(default, skip_serializing_if = "none")]
        pub host: Option<String>,
        /// Path prefix, for an Ingress (default `/`).
        #[serde(default, skip_serializing_if = "none")]
        pub path: Option<String>,
        /// Secret with the TLS certificate of the host.
        #[serde(default, skip_serializing_if = "none")]
        pub tls_secret: Option<String>,
        /// Ingress class (default: the cluster's).
        #[serde(default, skip_serializing_if = "none")]
        pub ingress_class: Option<String>,
        /// Annotations for the Ingress or LoadBalancer Service. Keys that end in `-snippet` are refused.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub annotations: BTreeMap<String, String>,
    }
}

impl Component {
    /// Pods wanted when nothing scales it.
    #[must_use]
    pub fn wanted(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    /// The name of the port at `index`.
    #[must_use]
    pub fn port_name(&self, index: usize) -> String {
        self.ports.get(index).and_then(|p| p.name.clone()).unwrap_or_else(|| match index {
            0 => "http".to_owned(),
            n => format!("port-{}", n + 1),
        })
    }
}
