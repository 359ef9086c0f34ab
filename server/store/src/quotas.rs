//! Plans, tenants' quotas, namespaces' shares: the ledger.
//!
//! Changes of one tenant's books follow one another: each locks the tenant's row first (a quota's own may not be there yet), reads
//! what then is, and asks the rule. Where a plan is concerned its row is locked before, and tenants in the order of their ids,
//! so that no two wait for each other.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::quotas::Quotas,
    quota::{Book, Change, Changed, Lack, Limit, Share, plan_changed, plan_refusal, plan_unknown, plan_used, refusal},
};
use berth_types::{
    ClusterId, PlanName, Resources, TenantName,
    people::Namespace,
    quota::{ContainerDefaults, Plan, PlanRow},
};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    clusters::takes_more,
    engine::{Columns, Engine, Reader, Statement, Transaction, sql},
    requests::{loan, loans},
    store::{SqlStore, decoded, found, taken},
    tenants::{insert_namespace, lock_tenant, namespace, namespace_columns},
};

/// The columns that [`plan`] reads, from `plans p`.
macro_rules! plan_columns {
    () => {
        "p.id, p.name, p.display_name, p.resources, p.defaults, p.created_at, p.version"
    };
}

const FIND_PLAN: &str = concat!("SELECT ", plan_columns!(), " FROM plans p WHERE p.name = $1");

pub(crate) fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

fn plan(row: &mut Reader<'_>) -> Result<Plan> {
    Ok(Plan {
        id: row.parsed()?,
        name: row.parsed()?,
        display_name: row.text()?,
        resources: row.json()?,
        defaults: row.json()?,
        created_at: row.time()?,
        version: row.int()?,
    })
}

/// Limits, of one tenant or of all.
fn limits(tenant: Option<Uuid>) -> Statement {
    macro_rules! limits {
        ($which:literal) => {
            concat!(
                "SELECT t.id, t.name, t.display_name, q.cluster, p.name, q.origin, COALESCE(p.resources, q.resources), \
                 COALESCE(p.defaults, q.defaults) \
                 FROM tenant_quotas q JOIN tenants t ON t.id = q.tenant_id LEFT JOIN plans p ON p.id = q.plan_id",
                $which
            )
        };
    }
    match tenant {
        Some(tenant) => sql(limits!(" WHERE q.tenant_id = $1")).bind(tenant),
        None => sql(limits!("")),
    }
}

/// Namespaces with their shares, of one tenant or of all.
fn shares(tenant: Option<Uuid>) -> Statement {
    macro_rules! shares {
        ($which:literal) => {
            concat!(
                "SELECT t.id, t.display_name, s.resources, ",
                namespace_columns!(),
                " FROM namespaces n JOIN tenants t ON t.id = n.tenant_id \
                 LEFT JOIN namespace_quotas s ON s.namespace_id = n.id",
                $which,
                " ORDER BY t.name, n.cluster, n.name"
            )
        };
    }
    match tenant {
        Some(tenant) => sql(shares!(" WHERE n.tenant_id = $1")).bind(tenant),
        None => sql(shares!("")),
    }
}

/// Books from the rows of [`limits`], [`shares`] and [`loans`].
fn books(limits: &[impl Columns], shares: &[impl Columns], loans: &[impl Columns]) -> Result<Vec<Book>> {
    let mut books: BTreeMap<(TenantName, ClusterId), Book> = BTreeMap::new();
    let empty = |id: Uuid, called: String, (tenant, cluster): &(TenantName, ClusterId)| Book {
        tenant: tenant.clone(),
        tenant_id: id,
        display_name: called,
        cluster: cluster.clone(),
        limit: None,
        loans: Vec::new(),
        shares: Vec::new(),
    };
    for (id, tenant, called, cluster, limit) in decoded(limits, |row| {
        let (id, tenant, called, cluster) = (row.parsed()?, row.parsed()?, row.text()?, row.parsed()?);
        let (plan, origin) = (row.parsed_or_null()?, row.parsed_or_null()?);
        let resources = row.json()?;
        let defaults: Option<ContainerDefaults> = row.json_or_null()?;
        Ok((id, tenant, called, cluster, Limit { plan, origin, resources, defaults: defaults.unwrap_or_default() }))
    })? {
        books.entry((tenant, cluster)).or_insert_with_key(|at| empty(id, called, at)).limit = Some(limit);
    }
    for (id, called, share) in decoded(shares, |row| {
        let (id, called): (Uuid, String) = (row.parsed()?, row.text()?);
        let resources = row.json_or_null()?;
        Ok((id, called, Share { namespace: namespace(row)?, resources }))
    })? {
        let at = (share.namespace.tenant.clone(), share.namespace.cluster.clone());
        books.entry(at).or_insert_with_key(|at| empty(id, called, at)).shares.push(share);
    }
    // What is lent comes on top of a limit: where there is none any more, so is the loan.
    for (place, loan) in decoded(loans, |row| Ok(((row.parsed()?, row.parsed()?), loan(row)?)))? {
        if let Some(book) = books.get_mut(&place) {
            book.loans.push(loan);
        }
    }
    Ok(books.into_values().collect())
}

/// The books of a tenant as a transaction sees them.
async fn books_of(transaction: &mut impl Transaction, tenant: Uuid) -> Result<Vec<Book>> {
    let limits = transaction.fetch(limits(Some(tenant))).await?;
    let shares = transaction.fetch(shares(Some(tenant))).await?;
    let loans = transaction.fetch(loans(Some(tenant))).await?;
    books(&limits, &shares, &loans)
}

/// The book of a tenant on a cluster, which nobody else changes until the transaction ends.
pub(crate) async fn locked_book(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    cluster: &ClusterId,
) -> Result<Book> {
    lock_tenant(transaction, tenant.id).await?;
    let known = books_of(transaction, tenant.id).await?.into_iter().find(|book| book.cluster == *cluster);
    Ok(known.unwrap_or_else(|| Book::empty(tenant, cluster)))
}

/// Writes what is otherwise in `after`, but for loans. A limit that changes is the tenant's own.
pub(crate) async fn write_difference(
    transaction: &mut impl Transaction,
    before: &Book,
    after: &Book,
    now: Timestamp,
) -> Result<()> {
    if after.limit != before.limit {
        write_limit(transaction, after, None, now).await?;
    }
    for (share, old) in after.shares.iter().zip(&before.shares) {
        if share != old {
            write_share(transaction, share, now).await?;
        }
    }
    Ok(())
}

/// The plan called `name`, which stays as it is until the transaction ends.
async fn locked_plan(transaction: &mut impl Transaction, name: &PlanName) -> Result<Option<Plan>> {
    const LOCK: &str = "UPDATE plans SET version = version WHERE name = $1";
    if transaction.execute(sql(LOCK).bind(name.as_str())).await? == 0 {
        return Ok(None);
    }
    let rows = transaction.fetch(sql(FIND_PLAN).bind(name.as_str())).await?;
    Ok(decoded(&rows, plan)?.pop())
}

/// Ids and names of the tenants that have a plan, by id.
async fn tenants_of(transaction: &mut impl Transaction, plan: Uuid) -> Result<Vec<(Uuid, String)>> {
    const SQL: &str = "SELECT DISTINCT t.id, t.name FROM tenant_quotas q JOIN tenants t ON t.id = q.tenant_id \
                       WHERE q.plan_id = $1 ORDER BY t.id";
    let rows = transaction.fetch(sql(SQL).bind(plan)).await?;
    decoded(&rows, |row| Ok((row.parsed()?, row.text()?)))
}

/// Commits what was done, or undoes it at once, so that nobody waits for its locks.
pub(crate) async fn finish<T>(transaction: impl Transaction, done: Result<T>) -> Result<T> {
    match done {
        Ok(value) => transaction.commit().await.map(|()| value),
        Err(error) => {
            // That it fails too changes nothing: the connection is given up then.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

async fn change(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    cluster: &ClusterId,
    change: &Change,
    now: Timestamp,
) -> Result<Changed> {
    let (change, plan_id) = match change {
        Change::Limit(Some(Limit { plan: Some(name), .. })) => {
            let Plan { id, resources, defaults, .. } =
                locked_plan(transaction, name).await?.ok_or_else(|| plan_unknown(name.as_str()))?;
            (Change::Limit(Some(Limit { plan: Some(name.clone()), origin: None, resources, defaults })), Some(id))
        }
        other => (other.clone(), None),
    };
    let before = locked_book(transaction, tenant, cluster).await?;
    let after = before.after(&change).map_err(|lacks| refusal(&lacks))?;
    if matches!(change, Change::Limit(_)) {
        write_limit(transaction, &after, plan_id, now).await?;
    }
    for (share, old) in after.shares.iter().zip(&before.shares) {
        if share != old {
            write_share(transaction, share, now).await?;
        }
    }
    Ok(Changed { before, after })
}

async fn write_limit(
    transaction: &mut impl Transaction,
    book: &Book,
    plan: Option<Uuid>,
    now: Timestamp,
) -> Result<()> {
    const SET: &str = "INSERT INTO tenant_quotas (tenant_id, cluster, plan_id, resources, updated_at, origin, defaults) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant_id, cluster) DO UPDATE \
                       SET plan_id = excluded.plan_id, resources = excluded.resources, updated_at = excluded.updated_at, \
                       origin = excluded.origin, defaults = excluded.defaults";
    const CLEAR: &str = "DELETE FROM tenant_quotas WHERE tenant_id = $1 AND cluster = $2";
    let statement = match &book.limit {
        Some(limit) => {
            let own = if plan.is_none() { Some(text(&limit.resources)?) } else { None };
            // A plan says itself what containers get.
            let defaults = if plan.is_none() { Some(text(&limit.defaults)?) } else { None };
            let plan = plan.map(|id| id.to_string());
            let set = sql(SET).bind(book.tenant_id).bind(book.cluster.as_str());
            let set = set.bind(plan.as_deref()).bind(own.as_deref()).bind(now);
            set.bind(limit.origin.as_ref().map(PlanName::as_str)).bind(defaults.as_deref())
        }
        None => sql(CLEAR).bind(book.tenant_id).bind(book.cluster.as_str()),
    };
    transaction.execute(statement).await.map(drop)
}

async fn write_share(transaction: &mut impl Transaction, share: &Share, now: Timestamp) -> Result<()> {
    const SET: &str = "INSERT INTO namespace_quotas (namespace_id, resources, updated_at) VALUES ($1, $2, $3) \
                       ON CONFLICT (namespace_id) DO UPDATE \
                       SET resources = excluded.resources, updated_at = excluded.updated_at";
    const CLEAR: &str = "DELETE FROM namespace_quotas WHERE namespace_id = $1";
    let statement = match &share.resources {
        Some(own) => sql(SET).bind(share.namespace.id).bind(text(own)?.as_str()).bind(now),
        None => sql(CLEAR).bind(share.namespace.id),
    };
    transaction.execute(statement).await.map(drop)
}

async fn update(transaction: &mut impl Transaction, plan: &Plan) -> Result<i64> {
    const SQL: &str = "UPDATE plans SET display_name = $3, resources = $4, defaults = $5, version = version + 1 \
                       WHERE id = $1 AND version = $2 RETURNING version";
    let (resources, defaults) = (text(&plan.resources)?, text(&plan.defaults)?);
    let statement = sql(SQL).bind(plan.id).bind(plan.version).bind(plan.display_name.as_str());
    let rows = transaction.fetch(statement.bind(resources.as_str()).bind(defaults.as_str())).await?;
    let version = Reader::new(rows.first().ok_or_else(plan_changed)?).int()?;
    let mut lacks: Vec<(TenantName, Lack)> = Vec::new();
    for (tenant, _) in tenants_of(transaction, plan.id).await? {
        lock_tenant(transaction, tenant).await?;
        let of_plan = |book: &Book| book.limit.as_ref().is_some_and(|limit| limit.plan.as_ref() == Some(&plan.name));
        for book in books_of(transaction, tenant).await?.into_iter().filter(of_plan) {
            lacks.extend(book.lacks().into_iter().map(|lack| (book.tenant.clone(), lack)));
        }
    }
    if lacks.is_empty() { Ok(version) } else { Err(plan_refusal(&lacks)) }
}

async fn delete(transaction: &mut impl Transaction, name: &PlanName) -> Result<()> {
    let plan = locked_plan(transaction, name).await?.ok_or_else(Error::not_found)?;
    let users: Vec<String> = tenants_of(transaction, plan.id).await?.into_iter().map(|(_, name)| name).collect();
    if !users.is_empty() {
        return Err(plan_used(&users));
    }
    found(transaction.execute(sql("DELETE FROM plans WHERE id = $1").bind(plan.id)).await?)
}

#[async_trait]
impl<E: Engine> Quotas for SqlStore<E> {
    async fn list_plans(&self, _: &Grant<PlatformRef>) -> Result<Vec<PlanRow>> {
        const SQL: &str = concat!(
            "SELECT ",
            plan_columns!(),
            ", (SELECT COUNT(*) FROM tenant_quotas q WHERE q.plan_id = p.id) FROM plans p ORDER BY p.name"
        );
        let row = |row: &mut Reader<'_>| {
            let plan = plan(row)?;
            Ok(PlanRow { plan, tenants: usize::try_from(row.int()?).unwrap_or_default() })
        };
        self.all(sql(SQL), row).await
    }

    async fn find_plan(&self, _: &Grant<PlatformRef>, name: &PlanName) -> Result<Option<Plan>> {
        self.one(sql(FIND_PLAN).bind(name.as_str()), plan).await
    }

    async fn create_plan(&self, _: &Grant<PlatformRef>, plan: &Plan) -> Result<()> {
        const SQL: &str = "INSERT INTO plans (id, name, display_name, resources, defaults, created_at, version) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (resources, defaults) = (text(&plan.resources)?, text(&plan.defaults)?);
        let statement = sql(SQL)
            .bind(plan.id)
            .bind(plan.name.as_str())
            .bind(plan.display_name.as_str())
            .bind(resources.as_str())
            .bind(defaults.as_str())
            .bind(plan.created_at)
            .bind(plan.version);
        let named = taken("name", || format!("a plan called “{}” exists already", plan.name));
        self.engine.execute(statement).await.map(drop).map_err(named)
    }

    async fn update_plan(&self, _: &Grant<PlatformRef>, plan: &Plan) -> Result<i64> {
        let mut transaction = self.engine.begin().await?;
        let done = update(&mut transaction, plan).await;
        finish(transaction, done).await
    }

    async fn delete_plan(&self, _: &Grant<PlatformRef>, name: &PlanName) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        let done = delete(&mut transaction, name).await;
        finish(transaction, done).await
    }

    async fn list_books(&self, tenant: &TenantRef) -> Result<Vec<Book>> {
        let limits = self.engine.read(limits(Some(tenant.id))).await?;
        let shares = self.engine.read(shares(Some(tenant.id))).await?;
        books(&limits, &shares, &self.engine.read(loans(Some(tenant.id))).await?)
    }

    async fn list_all_books(&self, _: &Grant<PlatformRef>) -> Result<Vec<Book>> {
        let limits = self.engine.read(limits(None)).await?;
        let shares = self.engine.read(shares(None)).await?;
        books(&limits, &shares, &self.engine.read(loans(None)).await?)
    }

    async fn change_book(
        &self,
        grant: &Grant<TenantRef>,
        cluster: &ClusterId,
        wanted: &Change,
        now: Timestamp,
    ) -> Result<Changed> {
        let mut transaction = self.engine.begin().await?;
        let done = change(&mut transaction, grant, cluster, wanted, now).await;
        finish(transaction, done).await
    }

    async fn create_namespace_with(
        &self,
        grant: &Grant<TenantRef>,
        namespace: &Namespace,
        share: &Resources,
        now: Timestamp,
    ) -> Result<()> {
        let named = taken("name", || format!("a namespace called “{}” exists already", namespace.name));
        let insert = insert_namespace(grant, namespace)?;
        let mut transaction = self.engine.begin().await?;
        let done = async {
            lock_tenant(&mut transaction, grant.id).await?;
            takes_more(&mut transaction, &namespace.cluster).await?;
            transaction.execute(insert).await.map_err(named)?;
            let shared = Change::Share(namespace.name.clone(), Some(share.clone()));
            change(&mut transaction, grant, &namespace.cluster, &shared, now).await.map(drop)
        }
        .await;
        finish(transaction, done).await
    }
}
