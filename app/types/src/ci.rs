//! CI systems whose jobs come in as robots, without a secret that is stored anywhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::ProviderName;

/// A CI system that signs tokens for its jobs, kept by platform admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CiIssuer {
    /// Never changes.
    pub id: Uuid,
    /// What it is called here.
    pub name: ProviderName,
    /// Who signs its tokens, to the letter (`iss`).
    pub issuer: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// What must be true of a job: a claim of its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// Which claim: `sub`, `repository`, `ref`, …
    pub claim: String,
    /// What it must be; with `*` at the end, what it must begin with.
    pub value: String,
}

/// Which jobs of a CI system come in as a robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RobotTrust {
    /// Never changes.
    pub id: Uuid,
    /// The CI system.
    pub issuer: ProviderName,
    /// Who signs its tokens.
    pub issuer_url: String,
    /// For whom the job's token must be made (`aud`), and for nobody else.
    pub audience: String,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// How long a token lives that such a job gets.
    pub minutes: i64,
    /// When it was made.
    pub created_at: Timestamp,
}
