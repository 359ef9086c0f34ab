//! What is true of an app, as its controller observed it: the `status` of an `App`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::role::words;

/// How an app is. Never "updating" for a rollout that is dead: that is [`AppPhase::Degraded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
pub enum AppPhase {
    /// Something is wrong and does not mend itself; `cause` says what.
    Degraded,
    /// On its way: pods come and go as they should.
    #[default]
    Progressing,
    /// All that is wanted is there and ready.
    Ready,
    /// Scaled to zero on purpose.
    Suspended,
}

impl AppPhase {
    /// All, worst first.
    pub const ALL: &'static [Self] = &[Self::Degraded, Self::Progressing, Self::Ready, Self::Suspended];

    /// As written in the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "Degraded",
            Self::Progressing => "Progressing",
            Self::Ready => "Ready",
            Self::Suspended => "Suspended",
        }
    }

    /// The one called `text`.
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.as_str() == text)
    }
}

words!(
    /// Why an app is not well. The pages translate it (`cause.{code}`), with the cause's `params`.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    CauseCode {
        /// The image cannot be pulled: no such image, or no right to it. `image`, `reason`.
        ImagePull = "image-pull",
        /// The container exits again and again. `exitCode`, `restarts`, `lastLine`.
        CrashLoop = "crash-loop",
        /// It used more memory than its limit. `limit`.
        OutOfMemory = "out-of-memory",
        /// It runs but its readiness probe fails. `probe`, `answer`.
        NotReady = "not-ready",
        /// Its liveness or startup probe fails, so it is restarted. `probe`, `answer`.
        ProbeRestarts = "probe-restarts",
        /// No node has room or fits. `reason`.
        Unschedulable = "unschedulable",
        /// The namespace's quota is used up. `quota`, `resource`, `requested`, `used`, `limited`.
        QuotaExceeded = "quota-exceeded",
        /// A ConfigMap, Secret or key that it names does not exist. `object`.
        ConfigMissing = "config-missing",
        /// A volume cannot be mounted or its claim is not bound. `volume`, `reason`.
        Volume = "volume",
        /// An init container fails. `container`, `exitCode`, `lastLine`.
        InitFailed = "init-failed",
        /// A host that its log names cannot be found. `host`, `lastLine`.
        HostNotFound = "host-not-found",
        /// The cluster refused a pod for another reason (Pod Security, admission). `reason`.
        PodRefused = "pod-refused",
        /// The cluster refused one of the app's own objects. `object`, `reason`.
        ObjectRefused = "object-refused",
        /// It made no progress in time, and nothing says why. `seconds`.
        Stuck = "stuck",
    }
);

/// The cause of a degraded app, in a sentence, with what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Which kind.
    pub code: CauseCode,
    /// In English, for people: names the thing, not the mechanism.
    pub message: String,
    /// The component concerned.
    pub component: String,
    /// What the translated sentence names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// What proves it, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"), schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
}

words!(
    /// Where a piece of evidence comes from.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    EvidenceKind {
        /// A container's state.
        State = "state",
        /// An event.
        Event = "event",
        /// A line that a container printed.
        Log = "log",
        /// A condition of an object.
        Condition = "condition",
        /// A change of the app itself.
        Change = "change",
    }
);

/// A fact, quoted from the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Its source.
    pub kind: EvidenceKind,
    /// Quoted.
    pub text: String,
    /// `Kind/name` of the object it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// How often it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
}

/// Pods of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// The component's name.
    pub name: String,
    /// How it is.
    pub phase: AppPhase,
    /// Pods wanted.
    pub desired: i32,
    /// Of the newest revision.
    pub updated: i32,
    /// Ready to serve.
    pub ready: i32,
    /// All that exist, old ones too.
    pub total: i32,
    /// The image that runs.
    pub image: String,
}

/// The `status` of an `App`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppStatus {
    /// The `metadata.generation` that this describes.
    #[serde(default)]
    pub observed_generation: i64,
    /// The worst of its components.
    #[serde(default)]
    pub phase: AppPhase,
    /// Why, when it is degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Number of the current revision, from 1.
    #[serde(default)]
    pub revision: i64,
    /// Since when the phase is what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"), schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// Each component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentStatus>,
    /// Where it can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Pods of all components that are ready, for `kubectl get`.
    #[serde(default)]
    pub ready: String,
}
