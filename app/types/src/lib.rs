//! Berth's vocabulary, shared by server, API and browser: names, roles, actions, the `App` object, rows of lists,
//! error codes. No I/O; builds for wasm.
//!
//! Everything that is serialised uses `camelCase`, as Kubernetes does. Times are RFC 3339 in UTC.

pub mod access;
pub mod adoption;
pub mod announcement;
pub mod app;
pub mod app_status;
pub mod app_validate;
pub mod audit;
pub mod capacity;
pub mod ci;
pub mod cluster;
pub mod custom_role;
pub mod drift;
pub mod error;
pub mod headroom;
pub mod image;
pub mod life;
pub mod list;
pub mod mail;
pub mod names;
pub mod network;
pub mod node;
pub mod people;
pub mod provider;
pub mod quantity;
pub mod quota;
pub mod role;
pub mod rows;
pub mod text;
pub mod usage;
pub mod view_as;
pub mod webhook;

pub use app::{AppSpec, Component};
pub use app_status::{AppPhase, AppStatus, Cause, CauseCode, Evidence};
pub use custom_role::RoleName;
pub use error::{ErrorCode, FieldError, Problem};
pub use list::{ListQuery, Page, SortKey};
pub use names::{
    AppName, ClusterId, NameError, NamespaceName, PlanName, ProviderName, RobotName, TenantName, UserName,
};
pub use quantity::{Quantity, QuantityError};
pub use quota::{QuotaKey, Resources};
pub use role::{Action, PlatformRole, Resource, Right, TenantRole};
