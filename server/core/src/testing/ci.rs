//! CI systems of a [`FakeStore`], and [`FakeJobs`] in place of those that sign.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use berth_types::{
    ErrorCode, FieldError, ProviderName, UserName,
    ci::{CiIssuer, RobotTrust},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::{FakeStore, store::taken};
use crate::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::{
        ci::{CiStore, JobTokens, NewTrust, Refused, refusal},
        store::{Account, Digest, NewToken},
    },
};

#[derive(Default)]
pub(super) struct Rows {
    issuers: Vec<CiIssuer>,
    trusts: Vec<(Uuid, RobotTrust)>,
    /// Which tokens a trust gave.
    pub(super) given: HashMap<Uuid, Uuid>,
    used: HashMap<Digest, Timestamp>,
}

impl Rows {
    /// Trusts that go with their robots.
    pub(super) fn forget(&mut self, robots: &[Uuid]) {
        self.trusts.retain(|(robot, _)| !robots.contains(robot));
    }

    /// Forgets tokens of jobs that ended before; how many.
    pub(super) fn sweep(&mut self, before: Timestamp) -> usize {
        let had = self.used.len();
        self.used.retain(|_, until| *until >= before);
        had - self.used.len()
    }
}

impl super::store::Rows {
    /// Removes the trusts that are gone, and what they gave.
    fn forget_trusts(&mut self, gone: impl Fn(&(Uuid, RobotTrust)) -> bool) -> usize {
        let ids: HashSet<Uuid> = self.ci.trusts.iter().filter(|trust| gone(trust)).map(|(_, t)| t.id).collect();
        self.ci.trusts.retain(|(_, trust)| !ids.contains(&trust.id));
        self.forget_given(&ids);
        ids.len()
    }

    /// Removes the tokens that trusts gave, and what was made with these.
    fn forget_given(&mut self, trusts: &HashSet<Uuid>) {
        let given = &self.ci.given;
        let gone = |token: Uuid| given.get(&token).is_some_and(|trust| trusts.contains(trust));
        self.tokens.retain(|(token, _)| !gone(token.id) && !token.made_by.is_some_and(gone));
    }

    fn is_robot_of(&self, tenant: Uuid, robot: Uuid) -> bool {
        self.robots.iter().any(|known| known.tenant == tenant && known.id() == robot)
    }
}

#[async_trait]
impl CiStore for FakeStore {
    async fn list_ci_issuers(&self) -> Result<Vec<CiIssuer>> {
        let mut all = self.rows()?.ci.issuers.clone();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn create_ci_issuer(&self, _: &Grant<PlatformRef>, issuer: &CiIssuer) -> Result<()> {
        let rows = &mut self.rows()?.ci;
        for known in &rows.issuers {
            if known.issuer == issuer.issuer {
                return Err(taken("issuer", format!("there is a CI system “{}” already", issuer.issuer)));
            }
            if known.name == issuer.name {
                return Err(taken("name", format!("there is a CI system “{}” already", issuer.name)));
            }
        }
        rows.issuers.push(issuer.clone());
        Ok(())
    }

    async fn delete_ci_issuer(&self, _: &Grant<PlatformRef>, name: &ProviderName) -> Result<()> {
        let mut rows = self.rows()?;
        let had = rows.ci.issuers.len();
        rows.ci.issuers.retain(|known| known.name != *name);
        rows.forget_trusts(|(_, trust)| trust.issuer == *name);
        if rows.ci.issuers.len() == had { Err(Error::not_found()) } else { Ok(()) }
    }

    async fn list_trusts(&self, grant: &Grant<TenantRef>, robot: Uuid) -> Result<Vec<RobotTrust>> {
        let rows = self.rows()?;
        let theirs = rows.ci.trusts.iter().filter(|(whose, _)| *whose == robot && rows.is_robot_of(grant.id, robot));
        Ok(theirs.map(|(_, trust)| trust.clone()).collect())
    }

    async fn create_trust(&self, grant: &Grant<TenantRef>, new: &NewTrust) -> Result<()> {
        let mut rows = self.rows()?;
        let issuer = rows.ci.issuers.iter().find(|known| known.name == new.issuer).map(|known| known.issuer.clone());
        let Some(issuer_url) = issuer.filter(|_| rows.is_robot_of(grant.id, new.robot)) else {
            return Err(Error::not_found());
        };
        let trust = RobotTrust {
            id: new.id,
            issuer: new.issuer.clone(),
            issuer_url,
            audience: new.audience.clone(),
            conditions: new.conditions.clone(),
            minutes: new.minutes,
            created_at: new.created_at,
        };
        rows.ci.trusts.push((new.robot, trust));
        Ok(())
    }

    async fn update_trust(&self, grant: &Grant<TenantRef>, new: &NewTrust) -> Result<()> {
        let mut rows = self.rows()?;
        let issuer = rows.ci.issuers.iter().find(|known| known.name == new.issuer).map(|known| known.issuer.clone());
        let theirs = rows.is_robot_of(grant.id, new.robot);
        let mut all = rows.ci.trusts.iter_mut();
        let found = all.find(|(whose, trust)| theirs && *whose == new.robot && trust.id == new.id);
        let (Some(issuer_url), Some((_, trust))) = (issuer, found) else { return Err(Error::not_found()) };
        *trust = RobotTrust {
            issuer: new.issuer.clone(),
            issuer_url,
            audience: new.audience.clone(),
            conditions: new.conditions.clone(),
            minutes: new.minutes,
            ..trust.clone()
        };
        rows.forget_given(&HashSet::from([new.id]));
        Ok(())
    }

    async fn delete_trust(&self, grant: &Grant<TenantRef>, robot: Uuid, id: Uuid) -> Result<()> {
        let mut rows = self.rows()?;
        let theirs = rows.is_robot_of(grant.id, robot);
        match rows.forget_trusts(|(whose, trust)| theirs && *whose == robot && trust.id == id) {
            0 => Err(Error::not_found()),
            _ => Ok(()),
        }
    }

    async fn find_trusts(&self, robot: &UserName) -> Result<Option<(Account, Vec<RobotTrust>)>> {
        let rows = self.rows()?;
        let known =
            |account: &&Account| account.user.name == *robot && !account.user.disabled && robot.as_robot().is_some();
        Ok(rows.accounts.iter().find(known).map(|account| {
            let theirs = rows.ci.trusts.iter().filter(|(whose, _)| *whose == account.user.id);
            (account.clone(), theirs.map(|(_, trust)| trust.clone()).collect())
        }))
    }

    async fn redeem_job(&self, trust: &RobotTrust, used: &Digest, until: Timestamp, token: &NewToken) -> Result<()> {
        let mut rows = self.rows()?;
        if !rows.ci.trusts.iter().any(|(_, known)| known == trust) {
            return Err(refusal(Refused::Untrusted));
        }
        if rows.ci.used.contains_key(used) {
            return Err(Error::new(ErrorCode::AlreadyExists, "something of that name exists already"));
        }
        rows.ci.used.insert(*used, until);
        rows.ci.given.insert(token.id, trust.id);
        rows.tokens.push((token.clone(), None));
        Ok(())
    }
}

/// CI systems that answer, and for which tokens what they say; all others are refused.
#[derive(Default)]
pub struct FakeJobs {
    holds: Mutex<HashMap<String, Value>>,
}

impl FakeJobs {
    /// From now on this token holds.
    pub fn sign(&self, token: &str, claims: Value) {
        self.holds.lock().insert(token.to_owned(), claims);
    }
}

#[async_trait]
impl JobTokens for FakeJobs {
    async fn probe(&self, issuer: &str) -> Result<()> {
        match issuer.contains("away") {
            true => Err(Error::field(FieldError::new("issuer", "issuer_away", "away").param("why", "away"))),
            false => Ok(()),
        }
    }

    async fn claims(&self, issuer: &str, token: &SecretString) -> Result<Value> {
        let claims = self.holds.lock().get(token.expose_secret()).cloned();
        claims.filter(|claims| claims["iss"] == issuer).ok_or_else(|| refusal(Refused::Token))
    }
}
