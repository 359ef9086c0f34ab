//! Robots: rows of `users` that are a tenant's own.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, TenantRef},
    error::{Error, Result},
    ports::robots::{NewRobot, RobotChange, Robots},
};
use berth_types::{TenantRole, UserName, people::Robot};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    people::search_text,
    roles::giving,
    store::{SqlStore, found, taken},
};

fn robot(row: &mut Reader<'_>) -> Result<Robot> {
    let (id, user): (Uuid, UserName) = (row.parsed()?, row.user()?);
    let name = user.as_robot().ok_or_else(|| Error::internal(format!("{user} is no robot's name")))?;
    let description = row.text()?;
    let whole = row.word_or_null(TenantRole::from_word)?;
    let given = row.word_or_null(TenantRole::from_word)?;
    Ok(Robot {
        id,
        name,
        user,
        description,
        role: whole.or(given).ok_or_else(|| Error::internal("a robot without a role"))?,
        namespace: row.parsed_or_null()?,
        disabled: row.bool()?,
        tokens: row.int()?,
        last_used_at: row.time_or_null()?,
        created_at: row.time()?,
    })
}

#[async_trait]
impl<E: Engine> Robots for SqlStore<E> {
    async fn create_robot(&self, grant: &Grant<TenantRef>, new: &NewRobot) -> Result<()> {
        const SQL: &str = "INSERT INTO users (id, name, display_name, search, disabled, must_change_password, created_at, \
                           robot_of, robot_in) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)";
        const WHOLE: &str = "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)";
        const GIVEN: &str =
            "INSERT INTO namespace_roles (namespace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)";
        let name = UserName::robot(&grant.name, &new.name);
        let row = sql(SQL)
            .bind(new.id)
            .bind(name.as_str())
            .bind(new.description.as_str())
            .bind(search_text(&name, &new.description).as_str())
            .bind(false)
            .bind(new.created_at)
            .bind(grant.id)
            .bind(new.namespace.as_ref().map(|namespace| namespace.id));
        let role = match &new.namespace {
            Some(namespace) => sql(GIVEN).bind(namespace.id),
            None => sql(WHOLE).bind(grant.id),
        };
        let named = taken("name", || format!("a robot called “{}” exists already", new.name));
        let mut transaction = self.engine.begin().await?;
        giving(&mut transaction, grant.id, new.role).await?;
        transaction.execute(row).await.map_err(named)?;
        transaction.execute(role.bind(new.id).bind(new.role.as_str()).bind(new.created_at)).await?;
        transaction.commit().await
    }

    async fn list_robots(&self, grant: &Grant<TenantRef>, now: Timestamp) -> Result<Vec<Robot>> {
        const SQL: &str = "SELECT u.id, u.name, u.display_name, m.role, r.role, n.name, u.disabled, \
                           (SELECT COUNT(*) FROM tokens t WHERE t.user_id = u.id AND t.expires_at > $2 AND t.trust_id IS NULL), \
                           (SELECT MAX(t.last_used_at) FROM tokens t WHERE t.user_id = u.id AND t.expires_at > $2), \
                           u.created_at FROM users u \
                           LEFT JOIN memberships m ON m.user_id = u.id AND m.tenant_id = u.robot_of \
                           LEFT JOIN namespace_roles r ON r.user_id = u.id AND r.namespace_id = u.robot_in \
                           LEFT JOIN namespaces n ON n.id = u.robot_in \
                           WHERE u.robot_of = $1 ORDER BY u.name";
        self.all(sql(SQL).bind(grant.id).bind(now), robot).await
    }

    async fn update_robot(&self, grant: &Grant<TenantRef>, id: Uuid, change: &RobotChange) -> Result<()> {
        const SQL: &str = "UPDATE users SET display_name = $3, search = LOWER(name) || ' ' || $4, disabled = $5 \
                           WHERE id = $1 AND robot_of = $2";
        let row = sql(SQL)
            .bind(id)
            .bind(grant.id)
            .bind(change.description.as_str())
            .bind(change.description.to_lowercase().as_str())
            .bind(change.disabled);
        let mut transaction = self.engine.begin().await?;
        giving(&mut transaction, grant.id, change.role).await?;
        found(transaction.execute(row).await?)?;
        // It has one of them.
        for role in [
            "UPDATE memberships SET role = $2 WHERE user_id = $1",
            "UPDATE namespace_roles SET role = $2 WHERE user_id = $1",
        ] {
            transaction.execute(sql(role).bind(id).bind(change.role.as_str())).await?;
        }
        transaction.commit().await
    }

    async fn delete_robot(&self, grant: &Grant<TenantRef>, id: Uuid) -> Result<()> {
        self.change_one(sql("DELETE FROM users WHERE id = $1 AND robot_of = $2").bind(id).bind(grant.id)).await
    }
}
