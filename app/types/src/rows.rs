//! Rows: what lists of cluster objects show. Made from small cached records, never from whole objects.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    app::AppSpec,
    app_status::{AppPhase, AppStatus, CauseCode},
    error::FieldError,
    role::words,
};

macro_rules! row {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        pub struct $name { $($body)* }
    };
}

row! {
    /// An app in a list. Sort and filter columns: `name`, `phase`, `image`, `ready`, `created`, `changed`, `cause`.
    pub struct AppRow {
        /// Its name.
        pub name: Arc<str>,
        /// Its namespace in the cluster.
        pub kube_namespace: Arc<str>,
        /// How it is.
        pub phase: AppPhase,
        /// Why, in English.
        pub cause: Option<Arc<str>>,
        /// Why, as a code.
        pub cause_code: Option<CauseCode>,
        /// What the translated sentence names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub cause_params: BTreeMap<String, String>,
        /// Image of the first component.
        pub image: Arc<str>,
        /// Number of components.
        pub components: usize,
        /// Pods that are ready.
        pub ready: i32,
        /// Pods that are wanted.
        pub desired: i32,
        /// Current revision.
        pub revision: i64,
        /// When it was made.
        pub created_at: Timestamp,
        /// When its phase last changed.
        pub changed_at: Timestamp,
        /// It is being deleted.
        #[serde(default)]
        pub deleting: bool,
    }
}

words!(
    /// How a pod is, in one word for people; `reason` has the cluster's own.
    PodPhase {
        /// Fails: crashes, cannot be pulled, was killed.
        Failing = "failing",
        /// Waits: for a node, a volume, its next start.
        Waiting = "waiting",
        /// Starts: pulls its image, runs its init containers.
        Starting = "starting",
        /// Runs but is not ready.
        NotReady = "not-ready",
        /// Runs and is ready.
        Running = "running",
        /// Is being stopped.
        Stopping = "stopping",
        /// Ended as it should.
        Done = "done",
    }
);

row! {
    /// A pod in a list. Sort and filter columns: `name`, `phase`, `reason`, `node`, `restarts`, `created`, `app`, `component`.
    pub struct PodRow {
        /// Its name.
        pub name: Arc<str>,
        /// Its namespace in the cluster.
        pub kube_namespace: Arc<str>,
        /// Which app it belongs to.
        pub app: Option<Arc<str>>,
        /// Which component.
        pub component: Option<Arc<str>>,
        /// How it is.
        pub phase: PodPhase,
        /// The cluster's own word: `CrashLoopBackOff`, `Running`, `Completed`, …
        pub reason: Arc<str>,
        /// Details: a waiting or terminated message, the scheduler's reason.
        pub message: Option<Arc<str>>,
        /// Containers that are ready.
        pub ready: u16,
        /// Containers.
        pub containers: u16,
        /// Restarts of all containers.
        pub restarts: u32,
        /// Exit code of the last termination.
        pub last_exit_code: Option<i32>,
        /// When a container last ended.
        pub last_exit_at: Option<Timestamp>,
        /// The node it is on.
        pub node: Option<Arc<str>>,
        /// Its address.
        pub ip: Option<Arc<str>>,
        /// The app's revision it was made from.
        pub revision: Option<i64>,
        /// When it was made.
        pub created_at: Timestamp,
    }
}

row! {
    /// Something that happened to an object.
    pub struct EventRow {
        /// `Warning` or `Normal`.
        pub kind: Arc<str>,
        /// One word: `FailedScheduling`.
        pub reason: Arc<str>,
        /// A sentence.
        pub message: Arc<str>,
        /// `Kind/name`.
        pub object: Arc<str>,
        /// The app concerned, where it is known.
        pub app: Option<Arc<str>>,
        /// How often.
        pub count: i32,
        /// First seen.
        pub first_at: Timestamp,
        /// Last seen.
        pub last_at: Timestamp,
    }
}

row! {
    /// An app, whole.
    pub struct AppView {
        /// Its name.
        pub name: String,
        /// Its namespace in the cluster.
        pub kube_namespace: String,
        /// Never used again.
        pub uid: String,
        /// For `If-Match`.
        pub resource_version: String,
        /// Counts changes of the spec.
        pub generation: i64,
        /// When it was made.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub created_at: Timestamp,
        /// Being deleted since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub deleting_since: Option<Timestamp>,
        /// What is wanted.
        pub spec: AppSpec,
        /// What is true.
        pub status: AppStatus,
        /// What would not go smoothly about the change that was just made; only in the answer to one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<FieldError>,
    }
}

row! {
    /// A revision of an app: what its spec once was.
    pub struct RevisionRow {
        /// From 1, growing.
        pub number: i64,
        /// When it began.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub created_at: Timestamp,
        /// Who made it.
        pub by: Option<String>,
        /// Images of its components.
        pub images: Vec<String>,
        /// The one that is wanted now.
        pub current: bool,
        /// What was wanted.
        pub spec: AppSpec,
    }
}

row! {
    /// A line that a container printed.
    pub struct LogLine {
        /// When.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub at: Option<Timestamp>,
        /// The pod.
        pub pod: Arc<str>,
        /// The container.
        pub container: Arc<str>,
        /// Without its line end. Control characters are still in it: whoever shows it strips them.
        pub text: String,
    }
}

row! {
    /// One resource of a namespace's quota. CPU in cores, memory and storage in bytes, else counts.
    pub struct UsageRow {
        /// `requests.cpu`, `pods`, …
        pub resource: String,
        /// In use, a quantity.
        pub used: String,
        /// Allowed, a quantity; absent when nothing limits it.
        pub limit: Option<String>,
    }
}
