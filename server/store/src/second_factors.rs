//! Second factors: authenticator apps, recovery codes, sign-ins that wait for a code.

use async_trait::async_trait;
use berth_core::{
    error::{Error, Result},
    notices::Notice,
    ports::{
        second_factors::{Authenticator, SecondFactors, SecondStep},
        store::{Account, Digest},
    },
};
use berth_types::webhook::EventKind;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    people::{account, ending_second_steps, ending_sessions, has_factor, user_columns},
    sign_in::lock_user,
    store::{SqlStore, found, taken},
    webhooks::{called, put},
};

fn authenticator(row: &mut Reader<'_>) -> Result<Authenticator> {
    Ok(Authenticator { sealed: row.bytes()?, created_at: row.time()?, last_step: row.int()? })
}

/// Puts these in place of all recovery codes that somebody has.
async fn set_codes(transaction: &mut impl Transaction, user: Uuid, codes: &[Digest]) -> Result<()> {
    const INSERT: &str = "INSERT INTO recovery_codes (user_id, digest) VALUES ($1, $2)";
    transaction.execute(sql("DELETE FROM recovery_codes WHERE user_id = $1").bind(user)).await?;
    for code in codes {
        transaction.execute(sql(INSERT).bind(user).bind(code)).await?;
    }
    Ok(())
}

/// What comes with a factor that somebody, who is locked, has from now on: a notice, and these recovery codes with the first.
pub(crate) async fn factor_added(
    transaction: &mut impl Transaction,
    user: Uuid,
    (first, codes): (bool, &[Digest]),
    now: Timestamp,
) -> Result<()> {
    if first {
        set_codes(transaction, user, codes).await?;
    }
    let whose = called(transaction, user).await?;
    put(transaction, None, &Notice::of_account(EventKind::SecondFactorAdded, &whose, now)).await
}

/// Whether somebody, who is locked, has no second factor yet.
pub(crate) async fn is_first_factor(transaction: &mut impl Transaction, user: Uuid) -> Result<bool> {
    const HAVE: &str = concat!("SELECT 1 FROM users u WHERE u.id = $1 AND ", has_factor!());
    Ok(transaction.fetch(sql(HAVE).bind(user)).await?.is_empty())
}

/// What goes with a factor of somebody, who is locked: sign-ins that wait, sessions but `keep`, and recovery codes with the last one. With
/// the notice of it.
pub(crate) async fn factor_removed(
    transaction: &mut impl Transaction,
    user: Uuid,
    keep: Option<Uuid>,
    now: Timestamp,
) -> Result<()> {
    if is_first_factor(transaction, user).await? {
        set_codes(transaction, user, &[]).await?;
    }
    transaction.execute(ending_second_steps(user)).await?;
    transaction.execute(ending_sessions(user, keep)).await?;
    let whose = called(transaction, user).await?;
    put(transaction, None, &Notice::of_account(EventKind::SecondFactorRemoved, &whose, now)).await
}

#[async_trait]
impl<E: Engine> SecondFactors for SqlStore<E> {
    async fn any_authenticator(&self) -> Result<Option<(Uuid, Authenticator)>> {
        // The last one: it was sealed with the newest key, if there were several.
        const SQL: &str = "SELECT user_id, sealed, created_at, last_step FROM authenticators \
                           ORDER BY created_at DESC, user_id LIMIT 1";
        self.one(sql(SQL), |row| Ok((row.parsed()?, authenticator(row)?))).await
    }

    async fn find_authenticator(&self, user: Uuid) -> Result<Option<Authenticator>> {
        const SQL: &str = "SELECT sealed, created_at, last_step FROM authenticators WHERE user_id = $1";
        self.one(sql(SQL).bind(user), authenticator).await
    }

    async fn add_authenticator(&self, user: Uuid, new: &Authenticator, codes: &[Digest]) -> Result<bool> {
        const SQL: &str = "INSERT INTO authenticators (user_id, sealed, created_at, last_step) VALUES ($1, $2, $3, $4)";
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        let first = is_first_factor(&mut transaction, user).await?;
        let insert = sql(SQL).bind(user).bind(new.sealed.as_slice()).bind(new.created_at).bind(new.last_step);
        let there = taken("authenticator", || "there is an authenticator app already".to_owned());
        transaction.execute(insert).await.map_err(there)?;
        factor_added(&mut transaction, user, (first, codes), new.created_at).await?;
        transaction.commit().await?;
        Ok(first)
    }

    async fn remove_authenticator(&self, user: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        found(transaction.execute(sql("DELETE FROM authenticators WHERE user_id = $1").bind(user)).await?)?;
        factor_removed(&mut transaction, user, keep, now).await?;
        transaction.commit().await
    }

    async fn take_step(&self, user: Uuid, step: i64) -> Result<bool> {
        const SQL: &str = "UPDATE authenticators SET last_step = $2 WHERE user_id = $1 AND last_step < $2";
        Ok(self.engine.execute(sql(SQL).bind(user).bind(step)).await? > 0)
    }

    async fn count_recovery_codes(&self, user: Uuid) -> Result<i64> {
        let count = sql("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1").bind(user);
        self.one(count, |row| row.int()).await?.ok_or_else(|| Error::internal("a count without a row"))
    }

    async fn replace_recovery_codes(&self, user: Uuid, codes: &[Digest]) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        found(u64::from(!is_first_factor(&mut transaction, user).await?))?;
        set_codes(&mut transaction, user, codes).await?;
        transaction.commit().await
    }

    async fn take_recovery_code(&self, user: Uuid, code: &Digest) -> Result<bool> {
        const SQL: &str = "DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2";
        Ok(self.engine.execute(sql(SQL).bind(user).bind(code)).await? > 0)
    }

    async fn remove_second_factors(&self, user: Uuid, now: Timestamp) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        let mut removed = 0;
        for text in ["DELETE FROM authenticators WHERE user_id = $1", "DELETE FROM passkeys WHERE user_id = $1"] {
            removed += transaction.execute(sql(text).bind(user)).await?;
        }
        found(removed)?;
        factor_removed(&mut transaction, user, None, now).await?;
        transaction.commit().await
    }

    async fn begin_second_step(&self, step: &SecondStep, most: i64) -> Result<bool> {
        const INSERT: &str = "INSERT INTO second_steps (digest, user_id, expires_at, tries) SELECT $1, u.id, $3, 0 \
                              FROM users u WHERE u.id = $2 AND ($4 IS NULL OR u.password_hash = $4)";
        const TRIM: &str = "DELETE FROM second_steps WHERE user_id = $1 AND digest NOT IN \
                            (SELECT digest FROM second_steps WHERE user_id = $1 ORDER BY expires_at DESC, digest LIMIT $2)";
        let mut transaction = self.engine.begin().await?;
        // One after the other, so that the limit holds for those who come at once, too.
        lock_user(&mut transaction, step.user).await?;
        let insert =
            sql(INSERT).bind(&step.digest).bind(step.user).bind(step.expires_at).bind(step.password.as_deref());
        let began = transaction.execute(insert).await? > 0;
        transaction.execute(sql(TRIM).bind(step.user).bind(most)).await?;
        transaction.commit().await?;
        Ok(began)
    }

    async fn try_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<(Account, i64)>> {
        const TRY: &str = "UPDATE second_steps SET tries = tries + 1 WHERE digest = $1 AND expires_at > $2 \
                           RETURNING user_id, tries";
        const WHOSE: &str =
            concat!("SELECT ", user_columns!(), ", u.password_hash FROM users u WHERE u.id = $1 AND NOT u.disabled");
        let rows = self.engine.write(sql(TRY).bind(digest).bind(now)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (user, tries): (Uuid, i64) = {
            let mut row = Reader::new(row);
            (row.parsed()?, row.int()?)
        };
        Ok(self.one(sql(WHOSE).bind(user), account).await?.map(|account| (account, tries)))
    }

    async fn look_at_second_step(&self, digest: &Digest, now: Timestamp) -> Result<Option<Uuid>> {
        const SQL: &str = "SELECT user_id FROM second_steps WHERE digest = $1 AND expires_at > $2";
        self.one(sql(SQL).bind(digest).bind(now), |row| row.parsed()).await
    }

    async fn end_second_step(&self, digest: &Digest) -> Result<bool> {
        Ok(self.engine.execute(sql("DELETE FROM second_steps WHERE digest = $1").bind(digest)).await? > 0)
    }
}
