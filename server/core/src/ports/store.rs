//! Rows: people, sessions, tokens, tenants, memberships, namespaces, audit, idempotency.
//!
//! Two adapters (SQLite, Postgres) pass one conformance suite. Finders carry whose row it must be; no unscoped query is
//! public. Constraint violations come back as `AlreadyExists`, lost races as `Conflict`, all else as `Internal`.

use std::time::Duration;

use async_trait::async_trait;
use berth_types::{
    ClusterId, FieldError, ListQuery, NamespaceName, Page, TenantName, TenantRole, UserName,
    network::Egress,
    people::{ApiToken, AuditEntry, Member, Namespace, Session, Tenant, TokenPurpose, TokenScope, User},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub use super::audit::{AuditChain, Slice};
use crate::{
    authz::{Grant, NamespaceRef, PlatformRef, Rights, TenantRef},
    error::{Error, Result},
    ports::{
        access::AccessRequests, agents::AgentRows, announcements::Announcements, ci::CiStore, clusters::ClusterRows,
        drifts::Drifts, life::Lives, links::Links, mail::Mails, namespace_roles::NamespaceRoles, passkeys::Passkeys,
        quotas::Quotas, requests::Requests, robots::Robots, roles::Roles, second_factors::SecondFactors,
        sign_in::SignIns, usage::Usages, view_as::OpenView, view_as::Views, webhooks::Webhooks,
    },
};

/// A SHA-256 of a secret that is too random to be guessed: what stands in the database instead of it.
pub type Digest = [u8; 32];

/// A person with what proves who they are.
#[derive(Clone)]
pub struct Account {
    /// The person.
    pub user: User,
    /// PHC string (`$argon2id$…`); none: may not sign in with a password.
    pub password_hash: Option<String>,
}

/// Without the hash: what is logged says whose account it is.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A session as stored.
#[derive(Clone)]
pub struct NewSession {
    /// For revoking.
    pub id: Uuid,
    /// Of the cookie's secret.
    pub digest: Digest,
    /// Whose.
    pub user: Uuid,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// What the browser called itself.
    pub user_agent: String,
    /// Network address.
    pub network: String,
    /// The provider by which it began; none: with a password.
    pub provider: Option<Uuid>,
    /// The account's password hash as it was when who signs in was looked at; none where a provider vouches for them.
    pub password: Option<String>,
}

/// A token as stored.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For revoking.
    pub id: Uuid,
    /// Of the token.
    pub digest: Digest,
    /// Whose.
    pub user: Uuid,
    /// What it is for.
    pub name: String,
    /// First characters.
    pub prefix: String,
    /// What it is good for.
    pub purpose: TokenPurpose,
    /// The token that made it, with which it ends.
    pub made_by: Option<Uuid>,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A tenant, and the role of the person it was looked up for.
#[derive(Debug, Clone)]
pub struct TenantAccess {
    /// The tenant.
    pub tenant: Tenant,
    /// Their role in the whole tenant.
    pub role: Option<TenantRole>,
    /// What it gives, where it is one of the tenant's own.
    pub own: Option<Rights>,
    /// Whether they were given a role in one of its namespaces.
    pub guest: bool,
}

/// A namespace, and the role that the person it was looked up for was given in it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceAccess {
    /// The namespace.
    pub namespace: Namespace,
    /// The role.
    pub role: Option<TenantRole>,
    /// What it gives, where it is one of the tenant's own.
    pub own: Option<Rights>,
}

/// A tenant, a person's role in it, and its namespaces where they were asked for.
#[derive(Debug, Clone)]
pub struct TenantPlaces {
    /// The tenant and the role.
    pub access: TenantAccess,
    /// By name; empty for all tenants but the one that was asked for.
    pub namespaces: Vec<NamespaceAccess>,
}

/// An audit entry to be written.
#[derive(Debug, Clone)]
pub struct NewAudit {
    /// Of the attempt.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// How they came in.
    pub via: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// Which tenant.
    pub tenant: Option<TenantName>,
    /// `done`, `denied`, `failed`, `unknown`.
    pub outcome: &'static str,
    /// Error code.
    pub reason: Option<String>,
    /// What changed.
    pub detail: Option<serde_json::Value>,
    /// Request id.
    pub request_id: String,
    /// Network address.
    pub network: String,
}

/// Why the last owner of a tenant stays one.
#[must_use]
pub fn last_owner() -> Error {
    let message = "a tenant needs an owner, and this is the last one: make somebody else an owner first";
    Error::field(FieldError::new("owners", "last_owner", message))
}

/// What an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentReply {
    /// Of method, path and body.
    pub request: Digest,
    /// When the key was claimed: a claim that is old and has no reply was left by a crash.
    pub claimed_at: Timestamp,
    /// Absent while the first request is still being answered.
    pub reply: Option<StoredReply>,
}

/// A reply that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// HTTP status.
    pub status: u16,
    /// Headers worth repeating (`Location`, `ETag`, `Content-Type`), as JSON object.
    pub headers: serde_json::Value,
    /// The body.
    pub body: Vec<u8>,
}

/// Failed sign-ins counted under a key (an account's or a network's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many in a row.
    pub count: i64,
    /// When the last one was.
    pub last_at: Timestamp,
}

impl Failures {
    /// How long whoever tries again waits for it, of the time they are slowed down by after these, of which `free` are nobody's
    /// business; none: they may at `now`.
    #[must_use]
    pub fn wait(&self, free: i64, now: Timestamp) -> Option<Duration> {
        let wait = throttle(self.count, free)?;
        let over = self.last_at.checked_add(SignedDuration::try_from(wait).ok()?).unwrap_or(Timestamp::MAX);
        (over > now).then_some(wait)
    }
}

/// How long to wait after `failures` failures in a row: 1 s, doubling to 15 minutes.
fn throttle(failures: i64, free: i64) -> Option<Duration> {
    let over = u32::try_from(failures - free).ok()?;
    Some(Duration::from_secs(1 << over.min(10)).min(Duration::from_mins(15)))
}

/// People and what proves who they are.
#[async_trait]
pub trait People: Send + Sync {
    /// Whether anybody has an account yet.
    async fn any_user(&self) -> Result<bool>;
    /// The account called `name`.
    async fn find_account(&self, name: &UserName) -> Result<Option<Account>>;
    /// The account with `id`.
    async fn find_account_by_id(&self, id: Uuid) -> Result<Option<Account>>;
    /// A part of all people; sort: `name`, `created`; filters: `role`, `disabled`; `q` in name and display name.
    async fn list_users(&self, grant: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<User>>;
    /// A new account. `AlreadyExists` when the name is taken.
    async fn create_user(&self, account: &Account) -> Result<()>;
    /// Sets display name, platform role and whether they may sign in; ends their sessions when they may not. `NotFound` when there is none.
    async fn update_user(&self, grant: &Grant<PlatformRef>, user: &User) -> Result<()>;
    /// Replaces the password hash, ends all sessions and sign-ins that wait for a code, and makes links that would set another
    /// password void; with the notice of it.
    async fn set_password(&self, user: Uuid, hash: &str, must_change: bool, now: Timestamp) -> Result<()>;
    /// The same for who knows the password whose hash is `old`, if it still is; whether it was.
    async fn change_password(&self, user: Uuid, old: &str, hash: &str, now: Timestamp) -> Result<bool>;
    /// Replaces the hash alone, when the parameters have become stronger.
    async fn rehash_password(&self, user: Uuid, old: &str, new: &str) -> Result<()>;

    /// A new session; whether it began: not where the account was disabled, or its password changed, since it was looked at. Whoever
    /// ends a person's sessions ends those that are about to begin, too. `NotFound` when there is no such person.
    async fn create_session(&self, session: &NewSession) -> Result<bool>;
    /// The session of a secret, its account, and as whom it looks, unless it has ended by `now`, was idle since `idle_before`, or the
    /// account is disabled.
    async fn find_session(
        &self,
        digest: &Digest,
        now: Timestamp,
        idle_before: Timestamp,
    ) -> Result<Option<(Session, Account, Option<OpenView>)>>;
    /// Notes that it was used.
    async fn touch_session(&self, id: Uuid, now: Timestamp) -> Result<()>;
    /// A person's sessions, newest first.
    async fn list_sessions(&self, user: Uuid, now: Timestamp) -> Result<Vec<Session>>;
    /// Ends one of a person's sessions. `NotFound` when it is not theirs.
    async fn end_session(&self, user: Uuid, id: Uuid) -> Result<()>;
    /// Ends all of a person's sessions but `keep`; how many.
    async fn end_sessions(&self, user: Uuid, keep: Option<Uuid>) -> Result<u64>;

    /// A new token. `AlreadyExists` when the person has one of that name.
    async fn create_token(&self, token: &NewToken) -> Result<()>;
    /// The token of a secret and its account, unless it has ended by `now` or the account is disabled.
    async fn find_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<(ApiToken, Account)>>;
    /// Notes that it was used.
    async fn touch_token(&self, id: Uuid, now: Timestamp) -> Result<()>;
    /// A person's tokens, newest first.
    async fn list_tokens(&self, user: Uuid) -> Result<Vec<ApiToken>>;
    /// When one of a person's tokens ends, of a job's too; `None` when there is none.
    async fn token_end(&self, user: Uuid, id: Uuid) -> Result<Option<Timestamp>>;
    /// Revokes one of a person's tokens, and those that were made with it. `NotFound` when it is not theirs.
    async fn revoke_token(&self, user: Uuid, id: Uuid) -> Result<()>;

    /// Failed sign-ins under `key`.
    async fn failures(&self, key: &str) -> Result<Option<Failures>>;
    /// Counts one more failure, starting again at 1 when the last is older than `since`; the new count.
    async fn count_failure(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<i64>;
    /// Counts one more try under each key, of which so many are free, all or none; how long to wait where there were too many of one.
    /// Of those who come at once no more pass than of those who come one after the other.
    async fn count_tries(&self, keys: &[(&str, i64)], now: Timestamp, since: Timestamp) -> Result<Option<Duration>>;
    /// Forgets the failures under `key`.
    async fn clear_failures(&self, key: &str) -> Result<()>;
    /// Removes sessions, tokens (of jobs, too), failures and idempotency keys that ended before `before`, and links a month after; how many rows.
    async fn sweep(&self, before: Timestamp) -> Result<u64>;
}

/// Tenants, their members and namespaces.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// The tenant called `name`, with the person's role in it; none where they may not know of it. The database itself says so:
    /// what is read and thrown away takes time, by which one could tell it from what is not there.
    async fn find_tenant_access(&self, user: Uuid, name: &TenantName) -> Result<Option<TenantAccess>>;
    /// The tenants in which the person has a role, in the whole or in a namespace, or `all`; by name.
    async fn list_tenant_access(&self, user: Uuid, all: bool) -> Result<Vec<TenantAccess>>;
    /// The tenants in which the person has a role, and the one called `tenant` if they have or may see `all`, with its
    /// namespaces and what they were given in each; by name. Asked for by every page, hence one question.
    async fn list_places(&self, user: Uuid, all: bool, tenant: &TenantName) -> Result<Vec<TenantPlaces>>;
    /// A new tenant with its first owner. `AlreadyExists` when the name is taken.
    async fn create_tenant(&self, grant: &Grant<PlatformRef>, tenant: &Tenant, owner: Uuid) -> Result<()>;
    /// Sets the display name if the version is still `tenant.version`; the new version. `Conflict` otherwise.
    async fn update_tenant(&self, grant: &Grant<TenantRef>, display_name: &str, version: i64) -> Result<i64>;

    /// The members, strongest role first, then by name.
    async fn list_members(&self, grant: &Grant<TenantRef>) -> Result<Vec<Member>>;
    /// Adds a member or changes their role. `NotFound` when there is no such person; `Conflict` when the last owner would go.
    async fn set_member(
        &self,
        grant: &Grant<TenantRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()>;
    /// Takes away a person's role in the tenant and all they were given in its namespaces. `NotFound` when they have none;
    /// `Conflict` when they are the last owner.
    async fn remove_member(&self, grant: &Grant<TenantRef>, user: &UserName) -> Result<()>;

    /// The namespace called `name` of the tenant called `tenant`, with the person's role in that and what they were given
    /// here; none where they may not know of it, as [`Self::find_tenant_access`]. Asked for by every page and request, hence one question.
    async fn find_namespace_access(
        &self,
        user: Uuid,
        tenant: &TenantName,
        name: &NamespaceName,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>>;
    /// The namespace that `cluster` calls `kube_name`, as [`Self::find_namespace_access`].
    async fn find_kube_namespace_access(
        &self,
        user: Uuid,
        cluster: &ClusterId,
        kube_name: &str,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>>;
    /// The tenant's namespaces with what the person was given in each, by name.
    async fn list_namespace_access(&self, user: Uuid, tenant: &TenantRef) -> Result<Vec<NamespaceAccess>>;
    /// The tenant's namespaces, by name.
    async fn list_namespaces(&self, tenant: &TenantRef) -> Result<Vec<Namespace>>;
    /// A new namespace. `AlreadyExists` when the name, or its name in the cluster, is taken.
    async fn create_namespace(&self, grant: &Grant<TenantRef>, namespace: &Namespace) -> Result<()>;
    /// Sets what its pods may reach, if its version is still `version` (when given); the new version. `Conflict` otherwise.
    async fn set_egress(&self, grant: &Grant<NamespaceRef>, egress: &Egress, version: Option<i64>) -> Result<i64>;
    /// Sets whether it is changed in Berth alone.
    async fn protect_namespace(&self, grant: &Grant<NamespaceRef>, protected: bool) -> Result<()>;
}

/// What was done, and replies that may be asked for again.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes down what is about to be tried.
    async fn begin_audit(&self, attempt: &NewAudit) -> Result<()>;
    /// Appends an entry, with which its attempt ends, to the chain: of those who append at once, one after the other.
    async fn append_audit(&self, entry: &NewAudit) -> Result<()>;
    /// The same once more, after the answer to it was lost: where the attempt has ended, it was done.
    async fn append_audit_again(&self, entry: &NewAudit) -> Result<()>;
    /// Ends the attempts from before `before` with an outcome that is `unknown`; how many. Two that do it at once do it once.
    async fn settle_audit(&self, before: Timestamp) -> Result<u64>;
    /// A part of the log, newest first; filters: `actor`, `action`, `tenant`, `outcome`, and `since` and `until`
    /// (see [`Range`](crate::audit::range::Range)); `q` in target.
    async fn list_audit(&self, grant: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditEntry>>;
    /// Claims an idempotency key for `user`: `None` when it is new and now ours, else what it stands for.
    async fn claim_idempotency(
        &self,
        user: Uuid,
        key: &str,
        request: &Digest,
        now: Timestamp,
    ) -> Result<Option<IdempotentReply>>;
    /// Keeps the reply for the claim made at `claimed_at`; `NotFound` when that claim was taken over.
    async fn keep_reply(&self, user: Uuid, key: &str, claimed_at: Timestamp, reply: &StoredReply) -> Result<()>;
    /// Gives the claim made at `claimed_at` up, so that the request may be tried again. A later claim stays.
    async fn release_idempotency(&self, user: Uuid, key: &str, claimed_at: Timestamp) -> Result<()>;
}

/// The database itself.
#[async_trait]
pub trait Database: Send + Sync {
    /// `SQLite 3.50` or `PostgreSQL 15.18`, and whether it answers.
    async fn describe(&self) -> Result<String>;
    /// A trivial query, for readiness.
    async fn ping(&self) -> Result<()>;
    /// Which Berth this is: the same for all processes on this database and for no other.
    async fn installation(&self) -> Result<String>;
}

/// All of it.
pub trait Store:
    People
    + SignIns
    + SecondFactors
    + Passkeys
    + Links
    + Tenants
    + NamespaceRoles
    + Roles
    + Robots
    + CiStore
    + Drifts
    + AccessRequests
    + Lives
    + Quotas
    + Requests
    + Usages
    + Views
    + Announcements
    + Webhooks
    + Mails
    + ClusterRows
    + AgentRows
    + Journal
    + AuditChain
    + Database
{
}
impl<
    T: People
        + SignIns
        + SecondFactors
        + Passkeys
        + Links
        + Tenants
        + NamespaceRoles
        + Roles
        + Robots
        + CiStore
        + Drifts
        + AccessRequests
        + Lives
        + Quotas
        + Requests
        + Usages
        + Views
        + Announcements
        + Webhooks
        + Mails
        + ClusterRows
        + AgentRows
        + Journal
        + AuditChain
        + Database,
> Store for T
{
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn slowing_down_begins_late_grows_and_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (count, last, now, want) in [
            (4, 0, 0, None),
            (5, 0, 0, Some(1)),
            (5, 0, 1, None),
            (8, 0, 7, Some(8)),
            (8, 0, 8, None),
            (500, 0, 0, Some(900)),
            (500, 0, 900, None),
        ] {
            let wait = Failures { count, last_at: at(last) }.wait(5, at(now));
            assert_eq!(wait, want.map(Duration::from_secs), "{count} at {now}");
        }
    }
}
