//! Tenants and namespaces that are stopped, and those that go.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
    notices::Notice,
    ports::life::{Lives, already},
};
use berth_types::{
    ErrorCode,
    life::{Halt, Mark},
    webhook::EventKind,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    links::dropping_invitations,
    quotas::{finish, text},
    store::{SqlStore, decoded},
    tenants::lock_tenant,
    webhooks::put,
};

/// A mark is set where there is none, and taken away where there is one: of two at once, one does it.
macro_rules! marking {
    ($table:literal, $column:literal) => {
        (
            concat!(
                "UPDATE ",
                $table,
                " SET ",
                $column,
                " = $2, version = version + 1 WHERE id = $1 AND ",
                $column,
                " IS NULL"
            ),
            concat!(
                "UPDATE ",
                $table,
                " SET ",
                $column,
                " = NULL, version = version + 1 WHERE id = $1 AND ",
                $column,
                " IS NOT NULL"
            ),
        )
    };
}

fn marking((set, clear): (&'static str, &'static str), id: Uuid, mark: Option<&Mark>) -> Result<Statement> {
    Ok(match mark {
        Some(mark) => sql(set).bind(id).bind(text(mark)?.as_str()),
        None => sql(clear).bind(id),
    })
}

/// A tenant's id, and whether it, or its namespace, is to be removed by `now`.
fn due(row: &mut Reader<'_>, now: Timestamp) -> Result<(Uuid, bool)> {
    let tenant = row.parsed()?;
    let halt = Halt::of(None, row.json_or_null()?, row.json_or_null()?);
    Ok((tenant, halt.is_some_and(|halt| halt.is_due(now))))
}

fn not_due() -> Error {
    Error::new(ErrorCode::Conflict, "it is not to be removed now")
}

impl<E: Engine> SqlStore<E> {
    /// With the notice that it begins.
    async fn mark_tenant(
        &self,
        statement: Statement,
        (event, tenant): (EventKind, &TenantRef),
        mark: Option<&Mark>,
    ) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = async {
            marked(transaction.execute(statement).await?)?;
            match mark {
                Some(mark) => {
                    let notice = Notice::of_tenant(event, &tenant.name, &mark.by, mark.at);
                    put(&mut transaction, Some(tenant.id), &notice).await
                }
                None => Ok(()),
            }
        }
        .await;
        finish(transaction, done).await
    }
}

fn marked(changed: u64) -> Result<()> {
    if changed == 0 { Err(already()) } else { Ok(()) }
}

async fn delete_namespace(transaction: &mut impl Transaction, id: Uuid, now: Timestamp) -> Result<()> {
    const WHOSE: &str = "SELECT tenant_id FROM namespaces WHERE id = $1";
    const FIND: &str = "SELECT t.id, t.leaving, n.leaving FROM namespaces n JOIN tenants t ON t.id = n.tenant_id \
                        WHERE n.id = $1";
    let rows = transaction.fetch(sql(WHOSE).bind(id)).await?;
    let tenant: Uuid = decoded(&rows, |row| row.parsed())?.pop().ok_or_else(Error::not_found)?;
    // Who takes it back meanwhile waits, and finds it gone.
    lock_tenant(transaction, tenant).await?;
    let rows = transaction.fetch(sql(FIND).bind(id)).await?;
    match decoded(&rows, |row| due(row, now))?.pop() {
        Some((_, true)) => transaction.execute(sql("DELETE FROM namespaces WHERE id = $1").bind(id)).await.map(drop),
        _ => Err(not_due()),
    }
}

async fn delete_tenant(transaction: &mut impl Transaction, id: Uuid, now: Timestamp) -> Result<()> {
    const FIND: &str = "SELECT id, leaving, NULL FROM tenants WHERE id = $1";
    const LEFT: &str = "SELECT 1 FROM namespaces WHERE tenant_id = $1 LIMIT 1";
    lock_tenant(transaction, id).await?;
    let rows = transaction.fetch(sql(FIND).bind(id)).await?;
    let is_due = decoded(&rows, |row| due(row, now))?.pop().is_some_and(|(_, due)| due);
    if !is_due || !transaction.fetch(sql(LEFT).bind(id)).await?.is_empty() {
        return Err(not_due());
    }
    transaction.execute(dropping_invitations(id)).await?;
    transaction.execute(sql("DELETE FROM tenants WHERE id = $1").bind(id)).await.map(drop)
}

#[async_trait]
impl<E: Engine> Lives for SqlStore<E> {
    async fn set_suspended(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()> {
        let statement = marking(marking!("tenants", "suspended"), grant.id, mark)?;
        self.mark_tenant(statement, (EventKind::TenantSuspended, grant), mark).await
    }

    async fn set_tenant_leaving(&self, grant: &Grant<TenantRef>, mark: Option<&Mark>) -> Result<()> {
        let statement = marking(marking!("tenants", "leaving"), grant.id, mark)?;
        self.mark_tenant(statement, (EventKind::TenantRemovalBegun, grant), mark).await
    }

    async fn set_namespace_leaving(&self, grant: &Grant<NamespaceRef>, mark: Option<&Mark>) -> Result<()> {
        marked(self.engine.execute(marking(marking!("namespaces", "leaving"), grant.id, mark)?).await?)
    }

    async fn delete_namespace(&self, _: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = delete_namespace(&mut transaction, id, now).await;
        finish(transaction, done).await
    }

    async fn delete_tenant(&self, _: &Grant<PlatformRef>, id: Uuid, now: Timestamp) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = delete_tenant(&mut transaction, id, now).await;
        finish(transaction, done).await
    }
}
