//! Invitations and resets of a [`FakeStore`].

use async_trait::async_trait;
use berth_types::{TenantRole, people::Invitation};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    FakeStore,
    store::{Membership, Rows as AllRows},
};
use crate::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    links::Fate,
    ports::{
        links::{FoundInvitation, Joiner, Links, NewInvitation, NewReset, Within, link_gone},
        store::{Account, Digest, People as _},
    },
    roles::rises,
};

struct Kept {
    tenant: Option<Uuid>,
    new: NewInvitation,
    fate: Fate,
}

#[derive(Default)]
pub(super) struct Rows {
    invitations: Vec<Kept>,
    resets: Vec<(NewReset, Fate)>,
}

impl Rows {
    pub(super) fn sweep(&mut self, before: Timestamp) -> usize {
        let late = |at: Timestamp| at < before - jiff::SignedDuration::from_hours(30 * 24);
        let had = self.invitations.len() + self.resets.len();
        self.invitations.retain(|kept| !late(kept.fate.expires_at));
        self.resets.retain(|(_, fate)| !late(fate.expires_at));
        had - self.invitations.len() - self.resets.len()
    }

    pub(super) fn keep_reset(&mut self, reset: &NewReset) {
        self.resets.retain(|(known, _)| known.user != reset.user);
        self.resets.push((reset.clone(), Fate { expires_at: reset.expires_at, used_at: None, revoked_at: None }));
    }

    /// Open invitations into a tenant give another role.
    pub(super) fn replace_role(&mut self, tenant: Uuid, gone: TenantRole, role: TenantRole) {
        let open = |kept: &&mut Kept| kept.fate.used_at.is_none() && kept.fate.revoked_at.is_none();
        for kept in self.invitations.iter_mut().filter(|kept| kept.tenant == Some(tenant)).filter(open) {
            kept.new.role = kept.new.role.map(|known| if known == gone { role } else { known });
        }
    }

    /// The ids of a tenant's invitations.
    pub(super) fn of_tenant(&self, tenant: Uuid) -> Vec<Uuid> {
        self.invitations.iter().filter(|kept| kept.tenant == Some(tenant)).map(|kept| kept.new.id).collect()
    }

    /// Links that would set another password are void.
    pub(super) fn password_set(&mut self, user: Uuid) {
        self.resets.retain(|(reset, fate)| reset.user != user || fate.used_at.is_some());
    }
}

impl AllRows {
    fn shown(&self, kept: &Kept) -> Result<Invitation> {
        let by = self.account(kept.new.invited_by).ok_or_else(|| Error::internal("nobody invited"))?;
        let tenant = kept.tenant.map(|tenant| self.tenant(tenant)).transpose()?;
        Ok(Invitation {
            id: kept.new.id,
            tenant: tenant.map(|tenant| tenant.name.clone()),
            role: kept.new.role,
            email: kept.new.email.clone(),
            invited_by: by.user.name.clone(),
            created_at: kept.new.created_at,
            expires_at: kept.new.expires_at,
        })
    }

    /// The open invitations with a role: for whom, and who invites.
    pub(super) fn open_invitations(
        &self,
        tenant: Uuid,
        role: TenantRole,
        now: Timestamp,
    ) -> Vec<(Option<String>, Uuid)> {
        let open = self.links.invitations.iter().filter(|k| k.fate.void(now).is_none());
        let theirs = open.filter(|k| k.tenant == Some(tenant) && k.new.role == Some(role));
        theirs.map(|k| (k.new.email.clone(), k.new.invited_by)).collect()
    }

    fn role_in(&self, tenant: Uuid, user: Uuid) -> Option<TenantRole> {
        self.members.iter().find(|m| m.tenant == tenant && m.user == user).map(|m| m.role)
    }
}

#[async_trait]
impl Links for FakeStore {
    async fn create_invitation(&self, within: Within<'_>, new: &NewInvitation) -> Result<()> {
        let fate = Fate { expires_at: new.expires_at, used_at: None, revoked_at: None };
        let mut rows = self.rows()?;
        if let (Some(tenant), Some(role)) = (within.tenant(), new.role) {
            rows.giving(tenant, role)?;
        }
        rows.links.invitations.push(Kept { tenant: within.tenant(), new: new.clone(), fate });
        new.mail.iter().for_each(|mail| rows.mail.add(mail));
        Ok(())
    }

    async fn list_invitations(&self, within: Within<'_>, now: Timestamp) -> Result<Vec<Invitation>> {
        let rows = self.rows()?;
        let open = rows.links.invitations.iter().rev();
        open.filter(|k| k.tenant == within.tenant() && k.fate.void(now).is_none()).map(|k| rows.shown(k)).collect()
    }

    async fn revoke_invitation(&self, within: Within<'_>, id: Uuid, now: Timestamp) -> Result<()> {
        let mut rows = self.rows()?;
        let mut all = rows.links.invitations.iter_mut();
        let found = all.find(|k| k.new.id == id && k.tenant == within.tenant() && k.fate.void(now).is_none());
        found.ok_or_else(Error::not_found)?.fate.revoked_at = Some(now);
        rows.mail.drop_invitation(id);
        Ok(())
    }

    async fn find_invitation(&self, digest: &Digest) -> Result<Option<FoundInvitation>> {
        let rows = self.rows()?;
        let Some(kept) = rows.links.invitations.iter().find(|k| k.new.digest == *digest) else { return Ok(None) };
        let inviter = rows.account(kept.new.invited_by).cloned().ok_or_else(|| Error::internal("nobody invited"))?;
        Ok(Some(FoundInvitation {
            invitation: rows.shown(kept)?,
            fate: kept.fate,
            tenant: kept.tenant.map(|tenant| rows.tenant(tenant).cloned()).transpose()?,
            inviter_role: kept.tenant.and_then(|tenant| rows.role_in(tenant, kept.new.invited_by)),
            inviter,
        }))
    }

    async fn accept_invitation(&self, digest: &Digest, who: Joiner<'_>, now: Timestamp) -> Result<()> {
        let open = |k: &Kept| k.new.digest == *digest && k.fate.void(now).is_none();
        if !self.rows()?.links.invitations.iter().any(open) {
            return Err(link_gone());
        }
        let user = match who {
            Joiner::Person(user) => user,
            Joiner::New(account) => {
                self.create_user(account).await?;
                account.user.id
            }
        };
        let mut rows = self.rows()?;
        let kept = rows.links.invitations.iter_mut().find(|k| open(k)).ok_or_else(link_gone)?;
        kept.fate.used_at = Some(now);
        let (id, into) = (kept.new.id, (kept.tenant, kept.new.role));
        rows.mail.drop_invitation(id);
        if let (Some(tenant), Some(role)) = into
            && rises(rows.role_in(tenant, user).map(|have| rows.rights(tenant, have)), rows.rights(tenant, role))
        {
            rows.members.retain(|m| m.tenant != tenant || m.user != user);
            rows.members.push(Membership { tenant, user, role, since: now, provider: None });
        }
        Ok(())
    }

    async fn create_reset(&self, _: &Grant<PlatformRef>, reset: &NewReset) -> Result<()> {
        let mut rows = self.rows()?;
        rows.links.keep_reset(reset);
        rows.mail.drop_reset(reset.user);
        Ok(())
    }

    async fn find_reset(&self, digest: &Digest) -> Result<Option<(Fate, Account)>> {
        let rows = self.rows()?;
        let found = rows.links.resets.iter().find(|(reset, _)| reset.digest == *digest);
        Ok(found.and_then(|(reset, fate)| Some((*fate, rows.account(reset.user)?.clone()))))
    }

    async fn use_reset(&self, digest: &Digest, hash: &str, now: Timestamp) -> Result<()> {
        let user = {
            let mut rows = self.rows()?;
            let mut all = rows.links.resets.iter_mut();
            let found = all.find(|(reset, fate)| reset.digest == *digest && fate.void(now).is_none());
            let (reset, fate) = found.ok_or_else(link_gone)?;
            fate.used_at = Some(now);
            reset.user
        };
        self.set_password(user, hash, false, now).await
    }
}
