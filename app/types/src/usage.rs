//! What namespaces take and use, over time. Amounts are quantities.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ClusterId;

/// What is looked at, in the order in which it is shown.
pub const RESOURCES: [&str; 4] = ["cpu", "memory", "pods", "storage"];
/// Days that are shown, and kept.
pub const DAYS: i64 = 30;

macro_rules! dto {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name { $($body)* }
    };
}

dto! {
    /// How much it was over a while.
    pub struct UsageLevel {
        /// In the mean.
        pub average: String,
        /// At most. Of several namespaces together: the sum of what each had at most, so they may never have had it at once.
        pub peak: String,
    }
}

dto! {
    /// A resource over a while.
    pub struct UsageAmounts {
        /// What was in use: CPU and memory as measured, pods as counted, storage as claimed. Absent where that was not known,
        /// which is not the same as nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub used: Option<UsageLevel>,
        /// What pods asked for, and was thus kept free for them. CPU and memory only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub requests: Option<UsageLevel>,
        /// What pods could take at most. CPU and memory only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limits: Option<UsageLevel>,
        /// The quota at the end of it: a namespace's share, or the sum of the shares. Absent where nothing limited it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub quota: Option<String>,
    }
}

dto! {
    /// What was asked for and not used, of CPU or memory, in the hours for which both are known.
    pub struct Idle {
        /// `cpu` or `memory`.
        pub resource: String,
        /// What was asked for, in the mean.
        pub reserved: String,
        /// What of it was not in use, in the mean.
        pub idle: String,
        /// The same in thousandths of what was asked for.
        pub part: i64,
        /// What was not even in use when it was used most. Absent where that was not looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub never: Option<String>,
    }
}

dto! {
    /// A resource over the whole time that was asked for.
    pub struct UsageSummary {
        /// `cpu`, `memory`, `pods` or `storage`.
        pub resource: String,
        /// How much.
        #[serde(flatten)]
        pub amounts: UsageAmounts,
        /// What was asked for and not used; absent where nothing was asked for, or nothing measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub idle: Option<Idle>,
    }
}

dto! {
    /// A step of a history.
    pub struct UsagePoint {
        /// When it begins.
        pub at: Timestamp,
        /// Hours of it that are known; 0: a gap.
        pub hours: i64,
        /// By resource; empty in a gap.
        pub resources: BTreeMap<String, UsageAmounts>,
    }
}

dto! {
    /// A resource as it is now.
    pub struct UsageNow {
        /// `cpu`, `memory`, `pods` or `storage`.
        pub resource: String,
        /// What is in use; absent where that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub used: Option<String>,
        /// What pods ask for. CPU and memory only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub requests: Option<String>,
        /// What pods can take at most. CPU and memory only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub limits: Option<String>,
        /// What may be asked for; absent where nothing limits it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub quota: Option<String>,
    }
}

dto! {
    /// What a namespace, or a tenant on a cluster, took and used.
    pub struct UsageHistory {
        /// The cluster.
        pub cluster: ClusterId,
        /// When it begins.
        pub from: Timestamp,
        /// Before when it ends.
        pub to: Timestamp,
        /// Hours of a step.
        pub step_hours: i64,
        /// Hours that are known.
        pub hours: i64,
        /// Hours for which the use of CPU and memory is known, too.
        pub measured_hours: i64,
        /// As it is now, as far as Berth knows.
        pub now: Vec<UsageNow>,
        /// The whole time, by resource.
        pub summary: Vec<UsageSummary>,
        /// Step by step, gaps among them.
        pub points: Vec<UsagePoint>,
    }
}
