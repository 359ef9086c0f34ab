//! Providers and identities of a [`FakeStore`], and a [`FakeProtocol`] in place of providers that answer.

use async_trait::async_trait;
use berth_types::{
    ErrorCode, ProviderName, TenantName, TenantRole,
    provider::{GroupRule, Identity, IdentityProvider},
    webhook::EventKind,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Membership, Rows as AllRows, taken},
};
use crate::{
    authz::{Grant, PlatformRef, Rights},
    error::{Error, Result},
    ports::{
        sign_in::{
            Answer, Applied, Attempt, Challenge, Claims, Most, NewGroupRule, Protocol, Refused, SignIns, Standing,
            changes, last_way_in, refusal,
        },
        store::{Account, Digest, People as _},
    },
};

pub(super) struct Rows {
    pub(super) providers: Vec<IdentityProvider>,
    pub(super) attempts: Vec<Attempt>,
    identities: Vec<(Uuid, Identity)>,
    rules: Vec<(Uuid, Uuid, GroupRule)>,
    local_accounts: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            attempts: Vec::new(),
            identities: Vec::new(),
            rules: Vec::new(),
            local_accounts: true,
        }
    }
}

impl Rows {
    /// The groups whose rule gives `role` in a tenant.
    pub(super) fn groups_with(&self, tenant: &TenantName, role: TenantRole) -> Vec<String> {
        let rules = self.rules.iter().filter(|(.., rule)| rule.tenant == *tenant && rule.role == role);
        rules.map(|(.., rule)| rule.group.clone()).collect()
    }

    fn unique(&self, provider: &IdentityProvider) -> Result<()> {
        for other in self.providers.iter().filter(|other| other.id != provider.id) {
            if other.issuer == provider.issuer {
                return Err(taken("issuer", format!("“{}” has this issuer already", other.name)));
            }
            if other.name == provider.name {
                return Err(taken("name", format!("a provider called “{}” exists already", other.name)));
            }
        }
        Ok(())
    }

    /// What a provider is called.
    pub(super) fn provider_name(&self, id: Option<Uuid>) -> Option<ProviderName> {
        self.providers.iter().find(|provider| Some(provider.id) == id).map(|provider| provider.name.clone())
    }

    fn identity_is_new(&self, identity: &Identity) -> Result<()> {
        let same = |(_, known): &(Uuid, Identity)| known.issuer == identity.issuer && known.subject == identity.subject;
        match self.identities.iter().any(same) {
            true => Err(taken("identity", "this identity opens an account already".to_owned())),
            false => Ok(()),
        }
    }
}

impl AllRows {
    /// What somebody is, and whose doing it is.
    fn standing(&self, user: Uuid) -> Vec<Standing> {
        let theirs = self.members.iter().filter(|m| m.user == user);
        theirs.map(|m| Standing { tenant: m.tenant, role: m.role, provider: m.provider }).collect()
    }

    /// Makes or changes a membership that is a rule's.
    fn set_by_rule(&mut self, tenant: Uuid, user: Uuid, role: TenantRole, provider: Uuid, now: Timestamp) {
        match self.members.iter_mut().find(|m| m.tenant == tenant && m.user == user) {
            Some(member) => member.role = role,
            None => self.members.push(Membership { tenant, user, role, since: now, provider: Some(provider) }),
        }
    }
}

#[async_trait]
impl SignIns for FakeStore {
    async fn list_providers(&self) -> Result<Vec<IdentityProvider>> {
        let mut all = self.rows()?.sign_in.providers.clone();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn create_provider(&self, _: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<()> {
        let rows = &mut self.rows()?.sign_in;
        rows.unique(provider)?;
        rows.providers.push(provider.clone());
        Ok(())
    }

    async fn update_provider(&self, _: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<i64> {
        let rows = &mut self.rows()?.sign_in;
        rows.unique(provider)?;
        let known = rows.providers.iter_mut().find(|p| p.id == provider.id && p.version == provider.version);
        let message = "the provider has changed since it was read: read it again";
        let known = known.ok_or_else(|| Error::new(ErrorCode::Conflict, message))?;
        *known = IdentityProvider { version: provider.version + 1, ..provider.clone() };
        Ok(known.version)
    }

    async fn delete_provider(&self, _: &Grant<PlatformRef>, name: &ProviderName) -> Result<()> {
        let mut rows = self.rows()?;
        let at = rows.sign_in.providers.iter().position(|p| p.name == *name).ok_or_else(Error::not_found)?;
        let gone = rows.sign_in.providers.remove(at).id;
        rows.sign_in.attempts.retain(|attempt| attempt.provider != gone);
        rows.sign_in.rules.retain(|(provider, ..)| *provider != gone);
        rows.members.retain(|member| member.provider != Some(gone));
        Ok(())
    }

    async fn session_provider(&self, session: Uuid) -> Result<Option<IdentityProvider>> {
        let rows = self.rows()?;
        let id = rows.provider_of(session);
        Ok(rows.sign_in.providers.iter().find(|provider| Some(provider.id) == id).cloned())
    }

    async fn begin_attempt(&self, attempt: &Attempt, most: Most, now: Timestamp) -> Result<()> {
        let attempts = &mut self.rows()?.sign_in.attempts;
        attempts.retain(|known| known.expires_at > now);
        attempts.push(attempt.clone());
        attempts.sort_by_key(|known| std::cmp::Reverse(known.expires_at));
        let mut keep = |most: i64, counts: &dyn Fn(&Attempt) -> bool| {
            let mut kept = 0;
            attempts.retain(|known| {
                kept += i64::from(counts(known));
                !counts(known) || kept <= most
            });
        };
        keep(most.of_network, &|known| known.network == attempt.network);
        keep(most.of_user, &|known| attempt.user.is_some() && known.user == attempt.user);
        keep(most.overall, &|_| true);
        Ok(())
    }

    async fn take_attempt(&self, digest: &Digest) -> Result<Option<Attempt>> {
        let attempts = &mut self.rows()?.sign_in.attempts;
        let at = attempts.iter().position(|attempt| attempt.digest == *digest);
        Ok(at.map(|at| attempts.remove(at)))
    }

    async fn find_identity(&self, issuer: &str, subject: &str) -> Result<Option<(Identity, Account)>> {
        let found = {
            let rows = self.rows()?;
            let same = |(_, known): &&(Uuid, Identity)| known.issuer == issuer && known.subject == subject;
            rows.sign_in.identities.iter().find(same).cloned()
        };
        let Some((user, identity)) = found else { return Ok(None) };
        Ok(self.find_account_by_id(user).await?.map(|account| (identity, account)))
    }

    async fn add_identity(&self, user: Uuid, identity: &Identity) -> Result<()> {
        let mut rows = self.rows()?;
        rows.sign_in.identity_is_new(identity)?;
        rows.sign_in.identities.push((user, identity.clone()));
        rows.tell_owner(EventKind::ProviderConnected, user, identity.created_at)
    }

    async fn create_user_with(&self, account: &Account, identity: &Identity) -> Result<()> {
        self.rows()?.sign_in.identity_is_new(identity)?;
        self.create_user(account).await?;
        self.rows()?.sign_in.identities.push((account.user.id, identity.clone()));
        Ok(())
    }

    async fn touch_identity(&self, id: Uuid, email: Option<&str>, now: Timestamp) -> Result<()> {
        for (_, known) in self.rows()?.sign_in.identities.iter_mut().filter(|(_, known)| known.id == id) {
            known.email = email.map(str::to_owned);
            known.last_used_at = now;
        }
        Ok(())
    }

    async fn list_identities(&self, user: Uuid) -> Result<Vec<Identity>> {
        let rows = self.rows()?;
        let theirs = rows.sign_in.identities.iter().filter(|(whose, _)| *whose == user);
        Ok(theirs.map(|(_, identity)| identity.clone()).collect())
    }

    async fn remove_identity(&self, user: Uuid, id: Uuid, password_counts: bool) -> Result<()> {
        let mut rows = self.rows()?;
        let password = password_counts && rows.account(user).is_some_and(|a| a.password_hash.is_some());
        let theirs = &rows.sign_in.identities;
        let at = theirs.iter().position(|(whose, known)| *whose == user && known.id == id);
        let at = at.ok_or_else(Error::not_found)?;
        let opens = |known: &Identity| rows.sign_in.providers.iter().any(|p| p.enabled && p.issuer == known.issuer);
        if !password && !theirs.iter().any(|(whose, known)| *whose == user && known.id != id && opens(known)) {
            return Err(last_way_in());
        }
        rows.sign_in.identities.remove(at);
        Ok(())
    }

    async fn list_group_rules(&self, provider: Uuid) -> Result<Vec<GroupRule>> {
        let rows = self.rows()?;
        let of_it = rows.sign_in.rules.iter().filter(|(whose, ..)| *whose == provider);
        let mut rules: Vec<GroupRule> = of_it.map(|(.., rule)| rule.clone()).collect();
        rules.sort_by(|a, b| (&a.group, &a.tenant).cmp(&(&b.group, &b.tenant)));
        Ok(rules)
    }

    async fn create_group_rule(&self, _: &Grant<PlatformRef>, provider: Uuid, rule: &NewGroupRule) -> Result<()> {
        let mut rows = self.rows()?;
        let tenant = rows.tenants.iter().find(|t| t.name == rule.tenant).map(|t| t.id).ok_or_else(Error::not_found)?;
        rows.giving(tenant, rule.role)?;
        let same = |(of, known, other): &(Uuid, Uuid, GroupRule)| {
            *of == provider && *known == tenant && other.group == rule.group
        };
        if rows.sign_in.rules.iter().any(same) {
            return Err(taken("group", format!("“{}” has a rule for {} already", rule.group, rule.tenant)));
        }
        let NewGroupRule { id, group, tenant: name, role, created_at } = rule.clone();
        rows.sign_in.rules.push((provider, tenant, GroupRule { id, group, tenant: name, role, created_at }));
        Ok(())
    }

    async fn delete_group_rule(&self, _: &Grant<PlatformRef>, provider: Uuid, rule: Uuid) -> Result<()> {
        let rules = &mut self.rows()?.sign_in.rules;
        let at = rules.iter().position(|(whose, _, known)| *whose == provider && known.id == rule);
        rules.remove(at.ok_or_else(Error::not_found)?);
        Ok(())
    }

    async fn apply_group_rules(
        &self,
        user: Uuid,
        provider: Uuid,
        groups: &[String],
        now: Timestamp,
    ) -> Result<Applied> {
        let mut rows = self.rows()?;
        let of_them = rows.sign_in.rules.iter().filter(|(of, _, rule)| *of == provider && groups.contains(&rule.group));
        let want: Vec<(Uuid, TenantRole, Rights)> =
            of_them.map(|(_, tenant, rule)| (*tenant, rule.role, rows.rights(*tenant, rule.role))).collect();
        let changes = changes(&rows.standing(user), provider, &want);
        let mut applied = Applied::default();
        for (tenant, role) in changes.set {
            rows.set_by_rule(tenant, user, role, provider, now);
            applied.set.push((rows.tenant(tenant)?.name.clone(), role));
        }
        for tenant in changes.remove {
            rows.members.retain(|member| member.tenant != tenant || member.user != user);
            applied.removed.push(rows.tenant(tenant)?.name.clone());
        }
        Ok(applied)
    }

    async fn local_accounts(&self) -> Result<bool> {
        Ok(self.rows()?.sign_in.local_accounts)
    }

    async fn set_local_accounts(&self, _: &Grant<PlatformRef>, allowed: bool) -> Result<()> {
        self.rows()?.sign_in.local_accounts = allowed;
        Ok(())
    }
}

/// A provider that says of whoever comes what the test wants it to say.
#[derive(Default)]
pub struct FakeProtocol {
    claims: Mutex<Option<Claims>>,
}

impl FakeProtocol {
    /// From now on it says this; nothing: it does not answer.
    pub fn says(&self, claims: Option<Claims>) {
        *self.claims.lock() = claims;
    }
}

#[async_trait]
impl Protocol for FakeProtocol {
    async fn probe(&self, _: &IdentityProvider) -> Result<()> {
        Ok(())
    }

    async fn address(&self, provider: &IdentityProvider, challenge: &Challenge) -> Result<String> {
        Ok(format!("{}/authorize?state={}", provider.issuer, challenge.state))
    }

    async fn redeem(&self, _: &IdentityProvider, _: &Challenge, _: &Answer) -> Result<Claims> {
        self.claims.lock().clone().ok_or_else(|| refusal(Refused::Away))
    }

    async fn sign_out_address(&self, provider: &IdentityProvider, back: &str) -> Option<String> {
        Some(format!("{}/end?back={back}", provider.issuer))
    }
}
