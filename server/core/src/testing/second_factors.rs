//! Second factors of a [`FakeStore`].

use async_trait::async_trait;
use berth_types::webhook::EventKind;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Rows as AllRows, taken},
};
use crate::{
    error::{Error, Result},
    ports::{
        passkeys::{Ceremony, StoredPasskey},
        second_factors::{Authenticator, SecondFactors, SecondStep},
        store::{Account, Digest},
    },
};

#[derive(Default)]
pub(super) struct Rows {
    authenticators: Vec<(Uuid, Authenticator)>,
    codes: Vec<(Uuid, Digest)>,
    steps: Vec<(SecondStep, i64)>,
    pub(super) passkeys: Vec<StoredPasskey>,
    pub(super) ceremonies: Vec<Ceremony>,
}

impl Rows {
    /// Sign-ins with the old password are over.
    pub(super) fn password_set(&mut self, user: Uuid) {
        self.steps.retain(|(step, _)| step.user != user);
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> usize {
        let had = self.steps.len() + self.ceremonies.len();
        self.steps.retain(|(step, _)| step.expires_at >= before);
        self.ceremonies.retain(|ceremony| ceremony.expires_at >= before);
        had - self.steps.len() - self.ceremonies.len()
    }

    pub(super) fn has_factor(&self, user: Uuid) -> bool {
        self.authenticators.iter().any(|(whose, _)| *whose == user)
            || self.passkeys.iter().any(|passkey| passkey.user == user)
    }

    pub(super) fn set_codes(&mut self, user: Uuid, codes: &[Digest]) {
        self.codes.retain(|(whose, _)| *whose != user);
        self.codes.extend(codes.iter().map(|code| (user, *code)));
    }
}

impl AllRows {
    pub(super) fn account_mut(&mut self, id: Uuid) -> Result<&mut Account> {
        self.accounts.iter_mut().find(|a| a.user.id == id).ok_or_else(Error::not_found)
    }

    pub(super) fn end_sessions_of(&mut self, user: Uuid, keep: Option<Uuid>) -> u64 {
        let before = self.sessions.len();
        self.sessions.retain(|(s, _)| s.user != user || Some(s.id) == keep);
        (before - self.sessions.len()) as u64
    }

    /// A factor was added, with these codes if it is the first; whether it is.
    pub(super) fn factor_added(&mut self, user: Uuid, had: bool, codes: &[Digest], now: Timestamp) -> Result<bool> {
        self.tell_owner(EventKind::SecondFactorAdded, user, now)?;
        self.account_mut(user)?.user.second_factor = true;
        if !had {
            self.factors.set_codes(user, codes);
        }
        Ok(!had)
    }

    /// One was removed.
    pub(super) fn factor_removed(&mut self, user: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()> {
        self.tell_owner(EventKind::SecondFactorRemoved, user, now)?;
        let has = self.factors.has_factor(user);
        if !has {
            self.factors.set_codes(user, &[]);
        }
        self.factors.password_set(user);
        self.account_mut(user)?.user.second_factor = has;
        self.end_sessions_of(user, keep);
        Ok(())
    }
}

#[async_trait]
impl SecondFactors for FakeStore {
    async fn any_authenticator(&self) -> Result<Option<(Uuid, Authenticator)>> {
        Ok(self.rows()?.factors.authenticators.first().cloned())
    }

    async fn find_authenticator(&self, user: Uuid) -> Result<Option<Authenticator>> {
        let rows = self.rows()?;
        Ok(rows.factors.authenticators.iter().find(|(whose, _)| *whose == user).map(|(_, known)| known.clone()))
    }

    async fn add_authenticator(&self, user: Uuid, new: &Authenticator, codes: &[Digest]) -> Result<bool> {
        let mut rows = self.rows()?;
        if rows.factors.authenticators.iter().any(|(whose, _)| *whose == user) {
            return Err(taken("authenticator", "there is an authenticator app already".to_owned()));
        }
        rows.account_mut(user)?;
        let had = rows.factors.has_factor(user);
        rows.factors.authenticators.push((user, new.clone()));
        rows.factor_added(user, had, codes, new.created_at)
    }

    async fn remove_authenticator(&self, user: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.factors.authenticators.iter().position(|(whose, _)| *whose == user);
        rows.factors.authenticators.remove(at.ok_or_else(Error::not_found)?);
        rows.factor_removed(user, keep, now)
    }

    async fn take_step(&self, user: Uuid, step: i64) -> Result<bool> {
        let mut rows = self.rows()?;
        let mut all = rows.factors.authenticators.iter_mut();
        let found = all.find(|(whose, known)| *whose == user && known.last_step < step);
        Ok(found.map(|(_, known)| known.last_step = step).is_some())
    }

    async fn count_recovery_codes(&self, user: Uuid) -> Result<i64> {
        let count = self.rows()?.factors.codes.iter().filter(|(whose, _)| *whose == user).count();
        i64::try_from(count).map_err(Error::internal)
    }

    async fn replace_recovery_codes(&self, user: Uuid, codes: &[Digest]) -> Result<()> {
        let rows = &mut self.rows()?.factors;
        if !rows.has_factor(user) {
            return Err(Error::not_found());
        }
        rows.set_codes(user, codes);
        Ok(())
    }

    async fn take_recovery_code(&self, user: Uuid, code: &Digest) -> Result<bool> {
        let codes = &mut self.rows()?.factors.codes;
        let at = codes.iter().position(|known| *known == (user, *code));
        Ok(at.map(|at| codes.remove(at)).is_some())
    }

    async fn remove_second_factors(&self, user: Uuid, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        if !rows.factors.has_factor(user) {
            return Err(Error::not_found());
        }
        rows.factors.authenticators.retain(|(whose, _)| *whose != user);
        rows.factors.passkeys.retain(|passkey| passkey.user != user);
        rows.factor_removed(user, None, now)
    }

    async fn begin_second_step(&self, step: &SecondStep, most: i64) -> Result<bool> {
        let mut rows = self.rows()?;
        if step.password.is_some() && rows.account_mut(step.user)?.password_hash != step.password {
            return Ok(false);
        }
        let steps = &mut rows.factors.steps;
        steps.push((step.clone(), 0));
        steps.sort_by_key(|(step, _)| std::cmp::Reverse(step.expires_at));
        let mut kept = 0;
        steps.retain(|(known, _)| {
            kept += i64::from(known.user == step.user);
            known.user != step.user || kept <= most
        });
        Ok(true)
    }

    async fn try_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<(Account, i64)>> {
        let mut rows = self.rows()?;
        let mut all = rows.factors.steps.iter_mut();
        let Some((step, tries)) = all.find(|(step, _)| step.digest == *digest && step.expires_at > now) else {
            return Ok(None);
        };
        *tries += 1;
        let (user, tries) = (step.user, *tries);
        let account = rows.account(user).filter(|account| !account.user.disabled).cloned();
        Ok(account.map(|account| (account, tries)))
    }

    async fn look_at_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<Uuid>> {
        let rows = self.rows()?;
        let mut open = rows.factors.steps.iter().map(|(step, _)| step);
        Ok(open.find(|step| step.digest == *digest && step.expires_at > now).map(|step| step.user))
    }

    async fn end_second_step(&self, digest: &Digest) -> Result<bool> {
        let steps = &mut self.rows()?.factors.steps;
        let at = steps.iter().position(|(step, _)| step.digest == *digest);
        Ok(at.map(|at| steps.remove(at)).is_some())
    }
}
