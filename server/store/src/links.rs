//! Invitations and resets of a password.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::Result,
    links::Fate,
    ports::{
        links::{FoundInvitation, Joiner, Links, NewInvitation, NewReset, Within, link_gone},
        mail::{INVITATION, RESET_LINK},
        store::{Account, Digest},
    },
    roles::rises,
};
use berth_types::{TenantRole, people::Invitation};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    mail::adding,
    people::{account, insert_user, name_taken, setting_password, user_columns},
    roles::{giving, rights_in},
    sign_in::lock_user,
    store::{SqlStore, found},
    tenants::{tenant_columns, tenant_or_null},
};

/// The columns that [`invitation`] reads, from `invitations i`, `tenants t` and `users u`, who invites.
macro_rules! invitation_columns {
    () => {
        "i.id, t.name, i.role, i.email, u.name, i.created_at, i.expires_at"
    };
}

fn invitation(row: &mut Reader<'_>) -> Result<Invitation> {
    Ok(Invitation {
        id: row.parsed()?,
        tenant: row.parsed_or_null()?,
        role: row.word_or_null(TenantRole::from_word)?,
        email: row.text_or_null()?,
        invited_by: row.user()?,
        created_at: row.time()?,
        expires_at: row.time()?,
    })
}

/// The tenant as a column holds it: where there is none, what no id is, so that both are compared with `=`.
fn place(within: Within<'_>) -> String {
    within.tenant().map_or_else(String::new, |tenant| tenant.to_string())
}

/// Keeps a reset, in place of the person's last one, whose mail is not sent any more.
pub(crate) async fn keep_reset(transaction: &mut impl Transaction, reset: &NewReset) -> Result<()> {
    const SQL: &str = "INSERT INTO password_resets (user_id, digest, created_at, expires_at) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (user_id) DO UPDATE SET digest = excluded.digest, \
                       created_at = excluded.created_at, expires_at = excluded.expires_at, used_at = NULL";
    let row = sql(SQL).bind(reset.user).bind(&reset.digest).bind(reset.created_at).bind(reset.expires_at);
    transaction.execute(row).await?;
    transaction.execute(dropping_reset(reset.user)).await.map(drop)
}

/// Voids a reset that is under way, and its mail.
pub(crate) async fn void_reset(transaction: &mut impl Transaction, user: Uuid) -> Result<()> {
    const SQL: &str = "DELETE FROM password_resets WHERE user_id = $1 AND used_at IS NULL";
    transaction.execute(sql(SQL).bind(user)).await?;
    transaction.execute(dropping_reset(user)).await.map(drop)
}

/// Drops the mail that would bring somebody a link to a new password.
fn dropping_reset(user: Uuid) -> Statement {
    const SQL: &str = "DELETE FROM mails WHERE user_id = $1 AND state = 'waiting' AND kind = $2";
    sql(SQL).bind(user).bind(RESET_LINK)
}

/// Drops the mail that carries an invitation.
async fn drop_invitation(transaction: &mut impl Transaction, id: Uuid) -> Result<()> {
    const SQL: &str = "DELETE FROM mails WHERE id = $1 AND state = 'waiting' AND kind = $2";
    transaction.execute(sql(SQL).bind(id).bind(INVITATION)).await.map(drop)
}

/// Drops the mail of all invitations into a tenant.
pub(crate) fn dropping_invitations(tenant: Uuid) -> Statement {
    const SQL: &str = "DELETE FROM mails WHERE state = 'waiting' AND kind = $2 \
                       AND id IN (SELECT id FROM invitations WHERE tenant_id = $1)";
    sql(SQL).bind(tenant).bind(INVITATION)
}

#[async_trait]
impl<E: Engine> Links for SqlStore<E> {
    async fn create_invitation(&self, within: Within<'_>, new: &NewInvitation) -> Result<()> {
        const SQL: &str = "INSERT INTO invitations (id, digest, tenant_id, role, email, invited_by, created_at, \
                           expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let tenant = within.tenant().map(|tenant| tenant.to_string());
        let statement = sql(SQL)
            .bind(new.id)
            .bind(&new.digest)
            .bind(tenant.as_deref())
            .bind(new.role.as_ref().map(TenantRole::as_str))
            .bind(new.email.as_deref())
            .bind(new.invited_by)
            .bind(new.created_at)
            .bind(new.expires_at);
        let mut transaction = self.engine.begin().await?;
        if let (Some(tenant), Some(role)) = (within.tenant(), new.role) {
            giving(&mut transaction, tenant, role).await?;
        }
        transaction.execute(statement).await?;
        if let Some(mail) = &new.mail {
            transaction.execute(adding(mail)).await?;
        }
        transaction.commit().await
    }

    async fn list_invitations(&self, within: Within<'_>, now: Timestamp) -> Result<Vec<Invitation>> {
        const SQL: &str = concat!(
            "SELECT ",
            invitation_columns!(),
            " FROM invitations i JOIN users u ON u.id = i.invited_by LEFT JOIN tenants t ON t.id = i.tenant_id \
             WHERE COALESCE(i.tenant_id, '') = $1 AND i.expires_at > $2 AND i.accepted_at IS NULL \
             AND i.revoked_at IS NULL ORDER BY i.created_at DESC, i.id"
        );
        self.all(sql(SQL).bind(place(within).as_str()).bind(now), invitation).await
    }

    async fn revoke_invitation(&self, within: Within<'_>, id: Uuid, now: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE invitations SET revoked_at = $3 WHERE id = $1 AND COALESCE(tenant_id, '') = $2 \
                           AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $3";
        let mut transaction = self.engine.begin().await?;
        found(transaction.execute(sql(SQL).bind(id).bind(place(within).as_str()).bind(now)).await?)?;
        drop_invitation(&mut transaction, id).await?;
        transaction.commit().await
    }

    async fn find_invitation(&self, digest: &Digest) -> Result<Option<FoundInvitation>> {
        const SQL: &str = concat!(
            "SELECT ",
            invitation_columns!(),
            ", i.accepted_at, i.revoked_at, m.role, ",
            user_columns!(),
            ", u.password_hash, ",
            tenant_columns!(),
            " FROM invitations i JOIN users u ON u.id = i.invited_by LEFT JOIN tenants t ON t.id = i.tenant_id \
             LEFT JOIN memberships m ON m.tenant_id = i.tenant_id AND m.user_id = i.invited_by WHERE i.digest = $1"
        );
        self.one(sql(SQL).bind(digest), |row| {
            let invitation = invitation(row)?;
            let fate = Fate {
                expires_at: invitation.expires_at,
                used_at: row.time_or_null()?,
                revoked_at: row.time_or_null()?,
            };
            let inviter_role = row.word_or_null(TenantRole::from_word)?;
            let inviter = account(row)?;
            let tenant = tenant_or_null(row)?;
            Ok(FoundInvitation { invitation, fate, tenant, inviter, inviter_role })
        })
        .await
    }

    async fn accept_invitation(&self, digest: &Digest, who: Joiner<'_>, now: Timestamp) -> Result<()> {
        const TAKE: &str = "UPDATE invitations SET accepted_at = $2, accepted_by = $3 WHERE digest = $1 \
                            AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2 \
                            RETURNING id, tenant_id, role";
        const HAVE: &str = "SELECT role FROM memberships WHERE tenant_id = $1 AND user_id = $2";
        const JOIN: &str = "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) \
                            ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, provider_id = NULL";
        let mut transaction = self.engine.begin().await?;
        let user = match who {
            Joiner::Person(user) => {
                lock_user(&mut transaction, user).await?;
                user
            }
            Joiner::New(account) => {
                transaction.execute(insert_user(account)).await.map_err(name_taken(account))?;
                account.user.id
            }
        };
        let taken = transaction.fetch(sql(TAKE).bind(digest).bind(now).bind(user)).await?;
        let Some(row) = taken.first() else {
            // What was done so far is undone with the transaction.
            return Err(link_gone());
        };
        let (id, tenant, role) = {
            let mut row = Reader::new(row);
            (row.parsed()?, row.parsed_or_null::<Uuid>()?, row.word_or_null(TenantRole::from_word)?)
        };
        drop_invitation(&mut transaction, id).await?;
        if let (Some(tenant), Some(role)) = (tenant, role) {
            let rows = transaction.fetch(sql(HAVE).bind(tenant).bind(user)).await?;
            let have = rows.first().map(|row| Reader::new(row).word(TenantRole::from_word)).transpose()?;
            let given = rights_in(&mut transaction, tenant, role).await?;
            let held = match have {
                Some(have) => Some(rights_in(&mut transaction, tenant, have).await?),
                None => None,
            };
            if rises(held, given) {
                giving(&mut transaction, tenant, role).await?;
                transaction.execute(sql(JOIN).bind(tenant).bind(user).bind(role.as_str()).bind(now)).await?;
            }
        }
        transaction.commit().await
    }

    async fn create_reset(&self, _: &Grant<PlatformRef>, reset: &NewReset) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        keep_reset(&mut transaction, reset).await?;
        transaction.commit().await
    }

    async fn find_reset(&self, digest: &Digest) -> Result<Option<(Fate, Account)>> {
        const SQL: &str = concat!(
            "SELECT r.expires_at, r.used_at, ",
            user_columns!(),
            ", u.password_hash FROM password_resets r JOIN users u ON u.id = r.user_id WHERE r.digest = $1"
        );
        self.one(sql(SQL).bind(digest), |row| {
            let fate = Fate { expires_at: row.time()?, used_at: row.time_or_null()?, revoked_at: None };
            Ok((fate, account(row)?))
        })
        .await
    }

    async fn use_reset(&self, digest: &Digest, hash: &str, now: Timestamp) -> Result<()> {
        const TAKE: &str = "UPDATE password_resets SET used_at = $2 \
                            WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_id";
        let mut transaction = self.engine.begin().await?;
        let taken = transaction.fetch(sql(TAKE).bind(digest).bind(now)).await?;
        let Some(row) = taken.first() else { return Err(link_gone()) };
        let user = Reader::new(row).parsed()?;
        setting_password(&mut transaction, user, hash, false, now).await?;
        transaction.commit().await
    }
}
