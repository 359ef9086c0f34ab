//! Passkeys of a [`FakeStore`].

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{FakeStore, store::taken};
use crate::{
    error::{Error, Result},
    ports::{
        passkeys::{Ceremony, Passkeys, StoredPasskey},
        sign_in::Most,
        store::{Account, Digest},
    },
};

#[async_trait]
impl Passkeys for FakeStore {
    async fn list_passkeys(&self, user: Uuid) -> Result<Vec<StoredPasskey>> {
        let mut all = self.rows()?.factors.passkeys.clone();
        all.retain(|passkey| passkey.user == user);
        all.sort_by_key(|passkey| (passkey.shown.created_at, passkey.shown.id));
        Ok(all)
    }

    async fn find_passkey(&self, credential: &[u8]) -> Result<Option<(StoredPasskey, Account)>> {
        let rows = self.rows()?;
        let Some(passkey) = rows.factors.passkeys.iter().find(|passkey| passkey.credential == credential) else {
            return Ok(None);
        };
        let account = rows.account(passkey.user).filter(|account| !account.user.disabled).cloned();
        Ok(account.map(|account| (passkey.clone(), account)))
    }

    async fn add_passkey(&self, new: &StoredPasskey, codes: &[Digest]) -> Result<bool> {
        let mut rows = self.rows()?;
        rows.account_mut(new.user)?;
        if rows.factors.passkeys.iter().any(|passkey| passkey.credential == new.credential) {
            return Err(taken("credential", "this passkey is known already".to_owned()));
        }
        let had = rows.factors.has_factor(new.user);
        rows.factors.passkeys.push(new.clone());
        rows.factor_added(new.user, had, codes, new.shown.created_at)
    }

    async fn rename_passkey(&self, user: Uuid, id: Uuid, name: &str) -> Result<()> {
        let passkeys = &mut self.rows()?.factors.passkeys;
        let found = passkeys.iter_mut().find(|passkey| passkey.user == user && passkey.shown.id == id);
        found.map(|passkey| name.clone_into(&mut passkey.shown.name)).ok_or_else(Error::not_found)
    }

    async fn use_passkey(&self, id: Uuid, count: u32, now: Timestamp) -> Result<bool> {
        let passkeys = &mut self.rows()?.factors.passkeys;
        let counts = |passkey: &&mut StoredPasskey| passkey.count < count || (passkey.count == 0 && count == 0);
        let found = passkeys.iter_mut().find(|passkey| passkey.shown.id == id).filter(counts);
        Ok(found.map(|passkey| (passkey.count, passkey.shown.last_used_at) = (count, Some(now))).is_some())
    }

    async fn remove_passkey(&self, user: Uuid, id: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.factors.passkeys.iter().position(|passkey| passkey.user == user && passkey.shown.id == id);
        rows.factors.passkeys.remove(at.ok_or_else(Error::not_found)?);
        rows.factor_removed(user, keep, now)
    }

    async fn begin_ceremony(&self, ceremony: &Ceremony, most: Most, now: Timestamp) -> Result<()> {
        let all = &mut self.rows()?.factors.ceremonies;
        all.retain(|known| known.expires_at > now);
        all.push(ceremony.clone());
        all.sort_by_key(|known| std::cmp::Reverse(known.expires_at));
        let mut keep = |most: i64, counts: &dyn Fn(&Ceremony) -> bool| {
            let mut kept = 0;
            all.retain(|known| {
                kept += i64::from(counts(known));
                !counts(known) || kept <= most
            });
        };
        keep(most.of_network, &|known| known.network == ceremony.network);
        keep(most.of_user, &|known| ceremony.user.is_some() && known.user == ceremony.user);
        keep(most.overall, &|_| true);
        Ok(())
    }

    async fn take_ceremony(&self, digest: &Digest) -> Result<Option<Ceremony>> {
        let all = &mut self.rows()?.factors.ceremonies;
        let at = all.iter().position(|ceremony| ceremony.digest == *digest);
        Ok(at.map(|at| all.remove(at)))
    }
}
