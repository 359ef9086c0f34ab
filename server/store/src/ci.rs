//! CI systems, what robots trust of them, and which tokens of jobs were used.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef, TenantRef},
    error::Result,
    ports::{
        ci::{CiStore, NewTrust, Refused, refusal},
        store::{Account, Digest, NewToken},
    },
};
use berth_types::{
    ErrorCode, ProviderName, UserName,
    ci::{CiIssuer, RobotTrust},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    people::{account, insert_token, user_columns},
    quotas::{finish, text},
    store::{SqlStore, found, taken},
};

/// The trusts that [`trust`] reads, of robots that fit.
macro_rules! select_trusts {
    ($which:literal) => {
        concat!(
            "SELECT t.id, i.name, i.issuer, t.audience, t.conditions, t.minutes, t.created_at FROM robot_trusts t \
             JOIN ci_issuers i ON i.id = t.issuer_id JOIN users u ON u.id = t.robot_id WHERE ",
            $which,
            " ORDER BY t.created_at, t.id"
        )
    };
}

fn trust(row: &mut Reader<'_>) -> Result<RobotTrust> {
    Ok(RobotTrust {
        id: row.parsed()?,
        issuer: row.parsed()?,
        issuer_url: row.text()?,
        audience: row.text()?,
        conditions: row.json()?,
        minutes: row.int()?,
        created_at: row.time()?,
    })
}

fn issuer(row: &mut Reader<'_>) -> Result<CiIssuer> {
    Ok(CiIssuer { id: row.parsed()?, name: row.parsed()?, issuer: row.text()?, created_at: row.time()? })
}

#[async_trait]
impl<E: Engine> CiStore for SqlStore<E> {
    async fn list_ci_issuers(&self) -> Result<Vec<CiIssuer>> {
        self.all(sql("SELECT id, name, issuer, created_at FROM ci_issuers ORDER BY name"), issuer).await
    }

    async fn create_ci_issuer(&self, _: &Grant<PlatformRef>, new: &CiIssuer) -> Result<()> {
        const SQL: &str = "INSERT INTO ci_issuers (id, name, issuer, created_at) VALUES ($1, $2, $3, $4)";
        const SAME: &str = "SELECT 1 FROM ci_issuers WHERE issuer = $1";
        let row = sql(SQL).bind(new.id).bind(new.name.as_str()).bind(new.issuer.as_str()).bind(new.created_at);
        let Err(error) = self.engine.execute(row).await else { return Ok(()) };
        // Two columns are unique; which one it was is said at its field.
        let same = error.code() == ErrorCode::AlreadyExists
            && !self.engine.read(sql(SAME).bind(new.issuer.as_str())).await?.is_empty();
        let (field, value) = if same { ("issuer", new.issuer.as_str()) } else { ("name", new.name.as_str()) };
        Err(taken(field, || format!("there is a CI system “{value}” already"))(error))
    }

    async fn delete_ci_issuer(&self, _: &Grant<PlatformRef>, name: &ProviderName) -> Result<()> {
        self.change_one(sql("DELETE FROM ci_issuers WHERE name = $1").bind(name.as_str())).await
    }

    async fn list_trusts(&self, grant: &Grant<TenantRef>, robot: Uuid) -> Result<Vec<RobotTrust>> {
        const SQL: &str = select_trusts!("t.robot_id = $1 AND u.robot_of = $2");
        self.all(sql(SQL).bind(robot).bind(grant.id), trust).await
    }

    async fn create_trust(&self, grant: &Grant<TenantRef>, new: &NewTrust) -> Result<()> {
        const SQL: &str = "INSERT INTO robot_trusts (id, robot_id, issuer_id, audience, conditions, minutes, created_at) \
                           SELECT $1, u.id, i.id, $4, $5, $6, $7 FROM users u JOIN ci_issuers i ON i.name = $3 \
                           WHERE u.id = $2 AND u.robot_of = $8";
        let row = sql(SQL)
            .bind(new.id)
            .bind(new.robot)
            .bind(new.issuer.as_str())
            .bind(new.audience.as_str())
            .bind(text(&new.conditions)?.as_str())
            .bind(new.minutes)
            .bind(new.created_at)
            .bind(grant.id);
        self.change_one(row).await
    }

    async fn update_trust(&self, grant: &Grant<TenantRef>, new: &NewTrust) -> Result<()> {
        const SQL: &str = "UPDATE robot_trusts SET issuer_id = (SELECT id FROM ci_issuers WHERE name = $3), \
                           audience = $4, conditions = $5, minutes = $6 WHERE id = $1 AND robot_id = $2 \
                           AND robot_id IN (SELECT id FROM users WHERE robot_of = $7) \
                           AND EXISTS (SELECT 1 FROM ci_issuers WHERE name = $3)";
        let row = sql(SQL)
            .bind(new.id)
            .bind(new.robot)
            .bind(new.issuer.as_str())
            .bind(new.audience.as_str())
            .bind(text(&new.conditions)?.as_str())
            .bind(new.minutes)
            .bind(grant.id);
        let mut transaction = self.engine.begin().await?;
        found(transaction.execute(row).await?)?;
        transaction.execute(sql("DELETE FROM tokens WHERE trust_id = $1").bind(new.id)).await?;
        transaction.commit().await
    }

    async fn delete_trust(&self, grant: &Grant<TenantRef>, robot: Uuid, id: Uuid) -> Result<()> {
        const SQL: &str = "DELETE FROM robot_trusts WHERE id = $1 AND robot_id = $2 \
                           AND robot_id IN (SELECT id FROM users WHERE robot_of = $3)";
        self.change_one(sql(SQL).bind(id).bind(robot).bind(grant.id)).await
    }

    async fn find_trusts(&self, robot: &UserName) -> Result<Option<(Account, Vec<RobotTrust>)>> {
        const ROBOT: &str = concat!(
            "SELECT ",
            user_columns!(),
            ", u.password_hash FROM users u WHERE u.name = $1 AND u.robot_of IS NOT NULL AND NOT u.disabled"
        );
        const TRUSTS: &str = select_trusts!("t.robot_id = $1");
        let Some(account) = self.one(sql(ROBOT).bind(robot.as_str()), account).await? else { return Ok(None) };
        let trusts = self.all(sql(TRUSTS).bind(account.user.id), trust).await?;
        Ok(Some((account, trusts)))
    }

    async fn redeem_job(&self, trust: &RobotTrust, used: &Digest, until: Timestamp, token: &NewToken) -> Result<()> {
        // Who changes it waits, and takes away what this gives; who changed it before is heeded here.
        const SAME: &str = "UPDATE robot_trusts SET minutes = minutes WHERE id = $1 AND audience = $2 AND conditions = $3 \
                            AND minutes = $4 AND issuer_id = (SELECT id FROM ci_issuers WHERE issuer = $5)";
        const USE: &str = "INSERT INTO ci_used (digest, expires_at) VALUES ($1, $2)";
        let same = sql(SAME).bind(trust.id).bind(trust.audience.as_str()).bind(text(&trust.conditions)?.as_str());
        let same = same.bind(trust.minutes).bind(trust.issuer_url.as_str());
        let mut transaction = self.engine.begin().await?;
        let done = async {
            if transaction.execute(same).await? == 0 {
                return Err(refusal(Refused::Untrusted));
            }
            transaction.execute(sql(USE).bind(used).bind(until)).await?;
            transaction.execute(insert_token(token, Some(trust.id))).await.map(drop)
        }
        .await;
        finish(transaction, done).await
    }
}
