//! Passkeys, and questions that wait for one.

use async_trait::async_trait;
use berth_core::{
    error::Result,
    ports::{
        passkeys::{Ceremony, Passkeys, StoredPasskey},
        sign_in::Most,
        store::{Account, Digest},
    },
};
use berth_types::people::Passkey;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    people::{account, user_columns},
    second_factors::{factor_added, factor_removed, is_first_factor},
    sign_in::{lock_user, make_room, making_room},
    store::{SqlStore, found, taken},
};

/// The columns that [`passkey`] reads, from `passkeys p`.
macro_rules! passkey_columns {
    () => {
        "p.user_id, p.credential, p.public_key, p.uses, p.id, p.name, p.created_at, p.last_used_at"
    };
}

fn passkey(row: &mut Reader<'_>) -> Result<StoredPasskey> {
    Ok(StoredPasskey {
        user: row.parsed()?,
        credential: row.bytes()?,
        key: row.bytes()?,
        count: u32::try_from(row.int()?).map_err(berth_core::Error::internal)?,
        shown: Passkey {
            id: row.parsed()?,
            name: row.text()?,
            created_at: row.time()?,
            last_used_at: row.time_or_null()?,
        },
    })
}

#[async_trait]
impl<E: Engine> Passkeys for SqlStore<E> {
    async fn list_passkeys(&self, user: Uuid) -> Result<Vec<StoredPasskey>> {
        const SQL: &str =
            concat!("SELECT ", passkey_columns!(), " FROM passkeys p WHERE p.user_id = $1 ORDER BY p.created_at, p.id");
        self.all(sql(SQL).bind(user), passkey).await
    }

    async fn find_passkey(&self, credential: &[u8]) -> Result<Option<(StoredPasskey, Account)>> {
        const SQL: &str = concat!(
            "SELECT ",
            passkey_columns!(),
            ", ",
            user_columns!(),
            ", u.password_hash FROM passkeys p JOIN users u ON u.id = p.user_id WHERE p.credential = $1 AND NOT u.disabled"
        );
        self.one(sql(SQL).bind(credential), |row| Ok((passkey(row)?, account(row)?))).await
    }

    async fn add_passkey(&self, new: &StoredPasskey, codes: &[Digest]) -> Result<bool> {
        const SQL: &str = "INSERT INTO passkeys (id, user_id, credential, public_key, uses, name, created_at, last_used_at) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, new.user).await?;
        let first = is_first_factor(&mut transaction, new.user).await?;
        let insert = sql(SQL)
            .bind(new.shown.id)
            .bind(new.user)
            .bind(new.credential.as_slice())
            .bind(new.key.as_slice())
            .bind(i64::from(new.count))
            .bind(new.shown.name.as_str())
            .bind(new.shown.created_at)
            .bind(new.shown.last_used_at.map(Timestamp::as_microsecond));
        let there = taken("credential", || "this passkey is known already".to_owned());
        transaction.execute(insert).await.map_err(there)?;
        factor_added(&mut transaction, new.user, (first, codes), new.shown.created_at).await?;
        transaction.commit().await?;
        Ok(first)
    }

    async fn rename_passkey(&self, user: Uuid, id: Uuid, name: &str) -> Result<()> {
        const SQL: &str = "UPDATE passkeys SET name = $3 WHERE user_id = $1 AND id = $2";
        self.change_one(sql(SQL).bind(user).bind(id).bind(name)).await
    }

    async fn use_passkey(&self, id: Uuid, count: u32, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE passkeys SET uses = $2, last_used_at = $3 \
                           WHERE id = $1 AND (uses < $2 OR (uses = 0 AND $2 = 0))";
        Ok(self.engine.execute(sql(SQL).bind(id).bind(i64::from(count)).bind(now)).await? > 0)
    }

    async fn remove_passkey(&self, user: Uuid, id: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<()> {
        const SQL: &str = "DELETE FROM passkeys WHERE user_id = $1 AND id = $2";
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        found(transaction.execute(sql(SQL).bind(user).bind(id)).await?)?;
        factor_removed(&mut transaction, user, keep, now).await?;
        transaction.commit().await
    }

    async fn begin_ceremony(&self, ceremony: &Ceremony, most: Most, now: Timestamp) -> Result<()> {
        const SQL: &str =
            "INSERT INTO passkey_ceremonies (digest, user_id, network, expires_at) VALUES ($1, $2, $3, $4)";
        let insert = sql(SQL)
            .bind(&ceremony.digest)
            .bind(ceremony.user)
            .bind(ceremony.network.as_str())
            .bind(ceremony.expires_at);
        let mut transaction = self.engine.begin().await?;
        make_room(
            &mut transaction,
            making_room!("passkey_ceremonies"),
            insert,
            (&ceremony.network, ceremony.user),
            most,
            now,
        )
        .await?;
        transaction.commit().await
    }

    async fn take_ceremony(&self, digest: &Digest) -> Result<Option<Ceremony>> {
        const SQL: &str =
            "DELETE FROM passkey_ceremonies WHERE digest = $1 RETURNING digest, user_id, network, expires_at";
        let rows = self.engine.write(sql(SQL).bind(digest)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut row = Reader::new(row);
        Ok(Some(Ceremony {
            digest: row.digest()?,
            user: row.parsed_or_null()?,
            network: row.text()?,
            expires_at: row.time()?,
        }))
    }
}
