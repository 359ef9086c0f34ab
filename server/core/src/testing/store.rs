//! [`FakeStore`]: the rows, in vectors.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use berth_types::{
    ErrorCode, FieldError, ListQuery, Page, TenantRole, UserName,
    audit::AuditCheckpoint,
    people::{ApiToken, AuditEntry, Namespace, Session, Tenant, User},
    webhook::EventKind,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    audit::{Head, Record, chain::hex},
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    listing::{Column, Listing},
    ports::{
        store::{
            Account, Database, Digest, Failures, IdempotentReply, Journal, NewAudit, NewSession, NewToken, People,
            StoredReply, last_owner,
        },
        view_as::OpenView,
    },
};

mod audit;
mod tenants;

use audit::{AUDIT, head, in_range};

/// Which Berth a fake is.
const INSTALLATION: &str = "memory";

/// All rows in memory. Constraints are those of the databases.
#[derive(Default)]
pub struct FakeStore {
    rows: Mutex<Rows>,
}

#[derive(Default)]
pub(super) struct Rows {
    pub(super) accounts: Vec<Account>,
    pub(super) sessions: Vec<(NewSession, Timestamp)>,
    pub(super) tokens: Vec<(NewToken, Option<Timestamp>)>,
    failures: HashMap<String, Failures>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) members: Vec<Membership>,
    /// Roles in one namespace: which, whose, what, since when.
    pub(super) given: Vec<(Uuid, Uuid, TenantRole, Timestamp)>,
    pub(super) namespaces: Vec<(Uuid, Namespace)>,
    pub(super) quotas: super::quotas::Rows,
    pub(super) lives: super::life::Rows,
    pub(super) sign_in: super::sign_in::Rows,
    pub(super) requests: super::requests::Rows,
    pub(super) links: super::links::Rows,
    pub(super) access: Vec<super::access::Kept>,
    pub(super) robots: Vec<super::robots::Kept>,
    pub(super) roles: super::roles::Rows,
    pub(super) ci: super::ci::Rows,
    pub(super) clusters: super::clusters::Rows,
    pub(super) agents: super::agents::Rows,
    pub(super) factors: super::second_factors::Rows,
    pub(super) announcements: super::announcements::Rows,
    pub(super) usage: super::usage::Rows,
    pub(super) views: super::view_as::Rows,
    pub(super) drifts: super::drifts::Rows,
    pub(super) webhooks: super::webhooks::Rows,
    pub(super) mail: super::mail::Rows,
    audit: Vec<AuditEntry>,
    checkpoints: Vec<AuditCheckpoint>,
    attempts: Vec<NewAudit>,
    keys: HashMap<(Uuid, String), IdempotentReply>,
    down: bool,
}

pub(super) struct Membership {
    pub(super) tenant: Uuid,
    pub(super) user: Uuid,
    pub(super) role: TenantRole,
    pub(super) since: Timestamp,
    /// Whose rule made it.
    pub(super) provider: Option<Uuid>,
}

impl FakeStore {
    /// From now on every call fails (`Internal`), or works again.
    pub fn set_down(&self, down: bool) {
        self.rows.lock().down = down;
    }

    /// The audit log, oldest first.
    #[must_use]
    pub fn audit(&self) -> Vec<AuditEntry> {
        self.rows.lock().audit.clone()
    }

    pub(super) fn rows(&self) -> Result<parking_lot::MutexGuard<'_, Rows>> {
        let rows = self.rows.lock();
        if rows.down { Err(Error::internal("the fake database is down")) } else { Ok(rows) }
    }
}

impl Rows {
    fn count_failure(&mut self, key: &str, now: Timestamp, since: Timestamp) -> i64 {
        let failures = self.failures.entry(key.to_owned()).or_insert(Failures { count: 0, last_at: now });
        failures.count = if failures.last_at < since { 1 } else { failures.count + 1 };
        failures.last_at = now;
        failures.count
    }

    fn append(&mut self, entry: NewAudit) {
        self.attempts.retain(|attempt| attempt.id != entry.id);
        let record = Record::after(&self.head(), &entry);
        self.audit.push(AuditEntry {
            id: record.sequence,
            at: entry.at,
            actor: record.actor,
            via: record.via,
            action: record.action,
            target: record.target,
            tenant: entry.tenant,
            outcome: record.outcome,
            reason: record.reason,
            detail: entry.detail,
            request_id: record.request_id,
            network: record.network,
            hash: hex(&record.hash),
        });
    }

    fn head(&self) -> Head {
        self.audit.last().map_or_else(|| Head::genesis(INSTALLATION), head)
    }

    pub(super) fn add_namespace(&mut self, tenant: &TenantRef, namespace: &Namespace) -> Result<()> {
        if namespace.tenant != tenant.name {
            return Err(Error::internal(format!("a namespace of {} granted for {}", namespace.tenant, tenant.name)));
        }
        self.clusters.takes_more(&namespace.cluster)?;
        let same_place = |n: &Namespace| n.cluster == namespace.cluster && n.kube_name == namespace.kube_name;
        if self.namespaces.iter().any(|(t, n)| (*t == tenant.id && n.name == namespace.name) || same_place(n)) {
            return Err(taken("name", format!("a namespace called “{}” exists already", namespace.name)));
        }
        self.namespaces.push((tenant.id, namespace.clone()));
        Ok(())
    }

    pub(super) fn account(&self, id: Uuid) -> Option<&Account> {
        self.accounts.iter().find(|a| a.user.id == id)
    }

    /// The provider by which a session began.
    pub(super) fn provider_of(&self, session: Uuid) -> Option<Uuid> {
        self.sessions.iter().find(|(s, _)| s.id == session)?.0.provider
    }

    fn user_named(&self, name: &UserName) -> Result<Uuid> {
        self.accounts.iter().find(|a| a.user.name == *name).map(|a| a.user.id).ok_or_else(Error::not_found)
    }

    pub(super) fn tenant(&self, id: Uuid) -> Result<&Tenant> {
        self.tenants.iter().find(|t| t.id == id).ok_or_else(Error::not_found)
    }

    fn role(&self, tenant: Uuid, user: Uuid) -> Option<TenantRole> {
        self.members.iter().find(|m| m.tenant == tenant && m.user == user).map(|m| m.role)
    }

    fn keep_an_owner(&self, tenant: Uuid, user: Uuid) -> Result<()> {
        let another = |m: &Membership| m.tenant == tenant && m.user != user && m.role == TenantRole::Owner;
        if self.role(tenant, user) == Some(TenantRole::Owner) && !self.members.iter().any(another) {
            return Err(last_owner());
        }
        Ok(())
    }
}

pub(super) fn taken(field: &str, message: String) -> Error {
    let error = FieldError::new(field, "taken", message.clone());
    Error::new(ErrorCode::AlreadyExists, message).with_fields(vec![error])
}

static USERS: Listing<User> = Listing {
    columns: &[
        Column { name: "name", key: Some(|u| u.name.as_str().into()), value: None, facet: false },
        Column { name: "created", key: Some(|u| u.created_at.into()), value: None, facet: false },
        Column {
            name: "role",
            key: None,
            value: Some(|u| u.platform_role.map_or_else(|| "none".to_owned(), |r| r.to_string())),
            facet: true,
        },
        Column { name: "disabled", key: None, value: Some(|u| u.disabled.to_string()), facet: true },
    ],
    search: |u| format!("{} {}", u.name, u.display_name),
    unique: "name",
    descending: false,
};

#[async_trait]
impl People for FakeStore {
    async fn any_user(&self) -> Result<bool> {
        Ok(!self.rows()?.accounts.is_empty())
    }

    async fn find_account(&self, name: &UserName) -> Result<Option<Account>> {
        Ok(self.rows()?.accounts.iter().find(|a| a.user.name == *name).cloned())
    }

    async fn find_account_by_id(&self, id: Uuid) -> Result<Option<Account>> {
        Ok(self.rows()?.account(id).cloned())
    }

    async fn list_users(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<User>> {
        let people = |a: &&Account| a.user.name.as_robot().is_none();
        let users = self.rows()?.accounts.iter().filter(people).map(|a| a.user.clone()).collect();
        USERS.page(users, query)
    }

    async fn create_user(&self, account: &Account) -> Result<()> {
        let mut rows = self.rows()?;
        let name = &account.user.name;
        if rows.accounts.iter().any(|a| a.user.name == *name) {
            return Err(taken("name", format!("a person called “{name}” exists already")));
        }
        rows.accounts.push(account.clone());
        Ok(())
    }

    async fn update_user(&self, _: &Grant<PlatformRef>, user: &User) -> Result<()> {
        let mut rows = self.rows()?;
        let account = rows.account_mut(user.id)?;
        account.user.display_name.clone_from(&user.display_name);
        account.user.platform_role = user.platform_role;
        account.user.disabled = user.disabled;
        if user.disabled {
            rows.end_sessions_of(user.id, None);
        }
        Ok(())
    }

    async fn set_password(&self, user: Uuid, hash: &str, must_change: bool, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let account = rows.account_mut(user)?;
        account.password_hash = Some(hash.to_owned());
        account.user.must_change_password = must_change;
        rows.links.password_set(user);
        rows.mail.drop_reset(user);
        rows.factors.password_set(user);
        rows.end_sessions_of(user, None);
        rows.tell_owner(EventKind::PasswordChanged, user, now)
    }

    async fn change_password(&self, user: Uuid, old: &str, hash: &str, now: Timestamp) -> Result<bool> {
        if self.rows()?.account_mut(user)?.password_hash.as_deref() != Some(old) {
            return Ok(false);
        }
        self.set_password(user, hash, false, now).await.map(|()| true)
    }

    async fn rehash_password(&self, user: Uuid, old: &str, new: &str) -> Result<()> {
        let mut rows = self.rows()?;
        let account = rows.accounts.iter_mut().find(|a| a.user.id == user);
        if let Some(account) = account.filter(|a| a.password_hash.as_deref() == Some(old)) {
            account.password_hash = Some(new.to_owned());
        }
        Ok(())
    }

    async fn create_session(&self, session: &NewSession) -> Result<bool> {
        let mut rows = self.rows()?;
        let account = rows.account_mut(session.user)?;
        let same = session.password.is_none() || session.password == account.password_hash;
        if account.user.disabled || !same {
            return Ok(false);
        }
        rows.sessions.push((session.clone(), session.created_at));
        Ok(true)
    }

    async fn find_session(
        &self,
        digest: &Digest,
        now: Timestamp,
        idle_before: Timestamp,
    ) -> Result<Option<(Session, Account, Option<OpenView>)>> {
        let rows = self.rows()?;
        let found =
            rows.sessions.iter().find(|(s, seen)| s.digest == *digest && s.expires_at > now && *seen > idle_before);
        Ok(found.and_then(|(session, seen)| {
            let account = rows.account(session.user).filter(|a| !a.user.disabled)?;
            Some((shown(session, *seen), account.clone(), rows.view_of(session.id)))
        }))
    }

    async fn touch_session(&self, id: Uuid, now: Timestamp) -> Result<()> {
        for (_, seen) in self.rows()?.sessions.iter_mut().filter(|(s, _)| s.id == id) {
            *seen = now.max(*seen);
        }
        Ok(())
    }

    async fn list_sessions(&self, user: Uuid, now: Timestamp) -> Result<Vec<Session>> {
        let rows = self.rows()?;
        let theirs = rows.sessions.iter().rev().filter(|(s, _)| s.user == user && s.expires_at > now);
        Ok(theirs.map(|(session, seen)| shown(session, *seen)).collect())
    }

    async fn end_session(&self, user: Uuid, id: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.sessions.iter().position(|(s, _)| s.user == user && s.id == id);
        rows.sessions.remove(at.ok_or_else(Error::not_found)?);
        Ok(())
    }

    async fn end_sessions(&self, user: Uuid, keep: Option<Uuid>) -> Result<u64> {
        Ok(self.rows()?.end_sessions_of(user, keep))
    }

    async fn create_token(&self, token: &NewToken) -> Result<()> {
        let mut rows = self.rows()?;
        if rows.tokens.iter().any(|(t, _)| t.user == token.user && t.name == token.name) {
            return Err(taken("name", format!("there is a token called “{}” already", token.name)));
        }
        rows.tokens.push((token.clone(), None));
        Ok(())
    }

    async fn find_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<(ApiToken, Account)>> {
        let rows = self.rows()?;
        let found = rows.tokens.iter().find(|(t, _)| t.digest == *digest && t.expires_at > now);
        Ok(found.and_then(|(token, used)| {
            let account = rows.account(token.user).filter(|a| !a.user.disabled)?;
            Some((api_token(token, *used), account.clone()))
        }))
    }

    async fn touch_token(&self, id: Uuid, now: Timestamp) -> Result<()> {
        for (_, used) in self.rows()?.tokens.iter_mut().filter(|(t, _)| t.id == id) {
            *used = Some(now).max(*used);
        }
        Ok(())
    }

    async fn list_tokens(&self, user: Uuid) -> Result<Vec<ApiToken>> {
        let rows = self.rows()?;
        let own = |t: &NewToken| t.user == user && !rows.ci.given.contains_key(&t.id);
        Ok(rows.tokens.iter().rev().filter(|(t, _)| own(t)).map(|(t, used)| api_token(t, *used)).collect())
    }

    async fn token_end(&self, user: Uuid, id: Uuid) -> Result<Option<Timestamp>> {
        let rows = self.rows()?;
        Ok(rows.tokens.iter().find(|(t, _)| t.user == user && t.id == id).map(|(t, _)| t.expires_at))
    }

    async fn revoke_token(&self, user: Uuid, id: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.tokens.iter().position(|(t, _)| t.user == user && t.id == id);
        rows.tokens.remove(at.ok_or_else(Error::not_found)?);
        rows.tokens.retain(|(t, _)| t.made_by != Some(id));
        Ok(())
    }

    async fn failures(&self, key: &str) -> Result<Option<Failures>> {
        Ok(self.rows()?.failures.get(key).copied())
    }

    async fn count_failure(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<i64> {
        Ok(self.rows()?.count_failure(key, now, since))
    }

    async fn count_tries(&self, keys: &[(&str, i64)], now: Timestamp, since: Timestamp) -> Result<Option<Duration>> {
        let mut rows = self.rows()?;
        for (key, free) in keys {
            if let Some(wait) = rows.failures.get(*key).and_then(|failures| failures.wait(*free, now)) {
                return Ok(Some(wait));
            }
        }
        for (key, _) in keys {
            rows.count_failure(key, now, since);
        }
        Ok(None)
    }

    async fn clear_failures(&self, key: &str) -> Result<()> {
        self.rows()?.failures.remove(key);
        Ok(())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64> {
        let mut rows = self.rows()?;
        let count =
            |r: &Rows| r.sessions.len() + r.tokens.len() + r.failures.len() + r.keys.len() + r.sign_in.attempts.len();
        let had = count(&rows);
        rows.sessions.retain(|(s, _)| s.expires_at >= before);
        rows.tokens.retain(|(t, _)| t.expires_at >= before);
        rows.failures.retain(|_, f| f.last_at >= before);
        rows.keys.retain(|_, claim| claim.claimed_at >= before);
        rows.sign_in.attempts.retain(|attempt| attempt.expires_at >= before);
        let jobs = rows.ci.sweep(before) + rows.webhooks.sweep(before) + rows.mail.sweep(before);
        Ok((had - count(&rows) + jobs + rows.links.sweep(before) + rows.factors.sweep(before)) as u64)
    }
}

fn shown(session: &NewSession, seen: Timestamp) -> Session {
    Session {
        id: session.id,
        created_at: session.created_at,
        last_seen_at: seen,
        expires_at: session.expires_at,
        user_agent: session.user_agent.clone(),
        network: session.network.clone(),
        current: false,
    }
}

fn api_token(token: &NewToken, last_used_at: Option<Timestamp>) -> ApiToken {
    ApiToken {
        id: token.id,
        name: token.name.clone(),
        prefix: token.prefix.clone(),
        purpose: token.purpose,
        scope: token.scope.clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at,
    }
}

#[async_trait]
impl Journal for FakeStore {
    async fn begin_audit(&self, attempt: &NewAudit) -> Result<()> {
        self.rows()?.attempts.push(attempt.clone());
        Ok(())
    }

    async fn append_audit(&self, entry: &NewAudit) -> Result<()> {
        self.rows()?.append(entry.clone());
        Ok(())
    }

    async fn append_audit_again(&self, entry: &NewAudit) -> Result<()> {
        let mut rows = self.rows()?;
        if rows.attempts.iter().any(|attempt| attempt.id == entry.id) {
            rows.append(entry.clone());
        }
        Ok(())
    }

    async fn settle_audit(&self, before: Timestamp) -> Result<u64> {
        let mut rows = self.rows()?;
        let old: Vec<NewAudit> = rows.attempts.iter().filter(|attempt| attempt.at < before).cloned().collect();
        for attempt in &old {
            rows.append(NewAudit { outcome: "unknown", ..attempt.clone() });
        }
        Ok(old.len() as u64)
    }

    async fn list_audit(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<AuditEntry>> {
        let (entries, query) = in_range(&self.rows()?.audit, query)?;
        AUDIT.page(entries, &query)
    }

    async fn claim_idempotency(
        &self,
        user: Uuid,
        key: &str,
        request: &Digest,
        now: Timestamp,
    ) -> Result<Option<IdempotentReply>> {
        let mut rows = self.rows()?;
        let at = (user, key.to_owned());
        if let Some(known) = rows.keys.get(&at) {
            return Ok(Some(known.clone()));
        }
        rows.keys.insert(at, IdempotentReply { request: *request, claimed_at: now, reply: None });
        Ok(None)
    }

    async fn keep_reply(&self, user: Uuid, key: &str, claimed_at: Timestamp, reply: &StoredReply) -> Result<()> {
        let mut rows = self.rows()?;
        let claim = rows
            .keys
            .get_mut(&(user, key.to_owned()))
            .filter(|claim| claim.reply.is_none() && claim.claimed_at == claimed_at);
        claim.ok_or_else(Error::not_found)?.reply = Some(reply.clone());
        Ok(())
    }

    async fn release_idempotency(&self, user: Uuid, key: &str, claimed_at: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let at = (user, key.to_owned());
        if rows.keys.get(&at).is_some_and(|claim| claim.reply.is_none() && claim.claimed_at == claimed_at) {
            rows.keys.remove(&at);
        }
        Ok(())
    }
}

#[async_trait]
impl Database for FakeStore {
    async fn describe(&self) -> Result<String> {
        self.rows().map(|_| "memory".to_owned())
    }

    async fn ping(&self) -> Result<()> {
        self.rows().map(drop)
    }

    async fn installation(&self) -> Result<String> {
        self.rows().map(|_| INSTALLATION.to_owned())
    }
}
