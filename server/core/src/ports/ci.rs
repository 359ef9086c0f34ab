//! CI systems whose jobs come in as robots: their rows ([`CiStore`]), and their tokens ([`JobTokens`]).

use async_trait::async_trait;
use berth_types::{
    ErrorCode, FieldError, ProviderName, UserName,
    ci::{CiIssuer, Condition, RobotTrust},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use uuid::Uuid;

use super::store::{Account, Digest, NewToken};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
};

/// A trust to be made.
#[derive(Debug, Clone)]
pub struct NewTrust {
    /// Its id.
    pub id: Uuid,
    /// The robot's id.
    pub robot: Uuid,
    /// The CI system.
    pub issuer: ProviderName,
    /// For whom the job's token must be made.
    pub audience: String,
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// How long the robot's token lives.
    pub minutes: i64,
    /// When.
    pub created_at: Timestamp,
}

/// CI systems, and which of their jobs robots trust.
#[async_trait]
pub trait CiStore: Send + Sync {
    /// All CI systems, by name.
    async fn list_ci_issuers(&self) -> Result<Vec<CiIssuer>>;
    /// A new one. `AlreadyExists` when its name, or its issuer, is taken.
    async fn create_ci_issuer(&self, grant: &Grant<PlatformRef>, issuer: &CiIssuer) -> Result<()>;
    /// Removes one with all that trusts it, and the tokens that its jobs got. `NotFound`.
    async fn delete_ci_issuer(&self, grant: &Grant<PlatformRef>, name: &ProviderName) -> Result<()>;

    /// A robot's trusts, oldest first.
    async fn list_trusts(&self, grant: &Grant<TenantRef>, robot: Uuid) -> Result<Vec<RobotTrust>>;
    /// A new one. `NotFound` when there is no such CI system, or the robot is not the tenant's.
    async fn create_trust(&self, grant: &Grant<TenantRef>, trust: &NewTrust) -> Result<()>;
    /// Sets all of one but its time, and removes the tokens that it gave. `NotFound` when it is not the robot's, that not the tenant's, or
    /// there is no such CI system.
    async fn update_trust(&self, grant: &Grant<TenantRef>, trust: &NewTrust) -> Result<()>;
    /// Removes one, and the tokens that it gave. `NotFound` when it is not the robot's, or that not the tenant's.
    async fn delete_trust(&self, grant: &Grant<TenantRef>, robot: Uuid, id: Uuid) -> Result<()>;

    /// A robot that is not disabled, by its whole name, and all that it trusts, oldest first: for who comes with a job's token.
    async fn find_trusts(&self, robot: &UserName) -> Result<Option<(Account, Vec<RobotTrust>)>>;
    /// Gives a job, whose token has the digest `used` and is worth nothing after `until`, a robot's token: both or neither.
    /// `AlreadyExists` when the job's token was used before; of those who come with it at once, one gets something.
    /// A [`refusal`] when the trust is not any more as it was read: its keys were asked for meanwhile, which takes a while.
    async fn redeem_job(&self, trust: &RobotTrust, used: &Digest, until: Timestamp, token: &NewToken) -> Result<()>;
}

/// The tokens of jobs.
#[async_trait]
pub trait JobTokens: Send + Sync {
    /// Whether a CI system is there and says with which keys it signs.
    ///
    /// # Errors
    /// `Invalid` at `issuer`.
    async fn probe(&self, issuer: &str) -> Result<()>;
    /// The claims of a token that `issuer` signed and whose time it is. For whom it was made is not looked at.
    ///
    /// # Errors
    /// [`refusal`].
    async fn claims(&self, issuer: &str, token: &SecretString) -> Result<Value>;
}

/// Why a job got nothing. Only the logs say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no token.
    Malformed,
    /// There is no such robot, it is disabled, or it trusts nobody who signs so.
    Untrusted,
    /// The CI system does not answer as it should.
    Away,
    /// The token does not hold: signature, algorithm, time.
    Token,
    /// It was made for somebody else.
    Audience,
    /// It is of a job that is not trusted.
    Claims,
    /// It was used already.
    Used,
}

impl Refused {
    /// The word in the audit log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "ci_malformed",
            Self::Untrusted => "ci_untrusted",
            Self::Away => "ci_away",
            Self::Token => "ci_token",
            Self::Audience => "ci_for_others",
            Self::Claims => "ci_claims",
            Self::Used => "ci_used",
        }
    }
}

/// The job gets nothing; what the log shall know is for `caused_by`.
#[must_use]
pub fn refusal(why: Refused) -> Error {
    let message = "the job's token was not taken; Berth's audit log says why";
    Error::new(ErrorCode::Unauthenticated, message).with_fields(vec![FieldError::new(
        "subject_token",
        why.code(),
        message,
    )])
}

/// For a portal that speaks with no CI system, such as the command line.
pub struct NoJobs;

#[async_trait]
impl JobTokens for NoJobs {
    async fn probe(&self, _: &str) -> Result<()> {
        Err(refusal(Refused::Away))
    }
    async fn claims(&self, _: &str, _: &SecretString) -> Result<Value> {
        Err(refusal(Refused::Away))
    }
}
