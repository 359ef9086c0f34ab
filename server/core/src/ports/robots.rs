//! Rows of robots: accounts that are a tenant's own.

use async_trait::async_trait;
use berth_types::{RobotName, TenantRole, people::Robot};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    authz::{Grant, NamespaceRef, TenantRef},
    error::Result,
};

/// A robot to be made.
#[derive(Debug, Clone)]
pub struct NewRobot {
    /// Its id, among those of people.
    pub id: Uuid,
    /// Its name within the tenant.
    pub name: RobotName,
    /// What it is for.
    pub description: String,
    /// Its role.
    pub role: TenantRole,
    /// In this namespace of the tenant alone; it goes with it.
    pub namespace: Option<NamespaceRef>,
    /// When.
    pub created_at: Timestamp,
}

/// What can be changed of a robot. Where it works cannot: its tokens were given for that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RobotChange {
    /// What it is for.
    pub description: String,
    /// Its role, where it is.
    pub role: TenantRole,
    /// Whether its tokens are refused.
    pub disabled: bool,
}

/// A tenant's robots. Their tokens are kept as people's are.
#[async_trait]
pub trait Robots: Send + Sync {
    /// A new robot with its role, both or neither. `AlreadyExists` at `name`.
    async fn create_robot(&self, grant: &Grant<TenantRef>, robot: &NewRobot) -> Result<()>;
    /// The tenant's robots, by name; with the tokens that have not ended at `now`.
    async fn list_robots(&self, grant: &Grant<TenantRef>, now: Timestamp) -> Result<Vec<Robot>>;
    /// Changes one. `NotFound` when it is not the tenant's.
    async fn update_robot(&self, grant: &Grant<TenantRef>, id: Uuid, change: &RobotChange) -> Result<()>;
    /// Removes one with its tokens and its role. `NotFound` when it is not the tenant's.
    async fn delete_robot(&self, grant: &Grant<TenantRef>, id: Uuid) -> Result<()>;
}
