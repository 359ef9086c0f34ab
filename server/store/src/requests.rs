//! Requests for another quota, and loans. What is granted is written under the tenant's lock: see [`crate::quotas`].

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef, TenantRef},
    error::{Error, Result},
    notices::Notice,
    ports::requests::Requests,
    quota::{
        Book, Changed, refusal,
        requests::{Granting, request_changed},
    },
};
use berth_types::{
    ClusterId, NamespaceName, Resources, TenantName,
    quota::request::{LoanStage, QuotaLoan, QuotaRequest, RequestState},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    quotas::{finish, locked_book, text, write_difference},
    store::{SqlStore, decoded},
    webhooks::put,
};

/// The columns that [`request`] reads, from `quota_requests r JOIN tenants t`.
macro_rules! select_requests {
    ($which:literal) => {
        concat!(
            "SELECT r.id, t.name, r.cluster, r.state, r.ask, r.steps, r.created_at, r.version \
             FROM quota_requests r JOIN tenants t ON t.id = r.tenant_id",
            $which,
            " ORDER BY r.created_at DESC, r.id DESC"
        )
    };
}

fn request(row: &mut Reader<'_>) -> Result<QuotaRequest> {
    Ok(QuotaRequest {
        id: row.parsed()?,
        tenant: row.parsed()?,
        cluster: row.parsed()?,
        state: row.word(RequestState::from_word)?,
        ask: row.json()?,
        steps: row.json()?,
        created_at: row.time()?,
        version: row.int()?,
    })
}

/// Loans that are not given back whole, of one tenant or of all: tenant and cluster, then what [`loan`] reads.
pub(crate) fn loans(tenant: Option<Uuid>) -> Statement {
    macro_rules! loans {
        ($which:literal) => {
            concat!(
                "SELECT t.name, l.cluster, l.request_id, l.namespace, l.resources, l.ends_at, l.stage \
                 FROM quota_loans l JOIN tenants t ON t.id = l.tenant_id WHERE l.stage < 4",
                $which,
                " ORDER BY l.ends_at, l.request_id"
            )
        };
    }
    match tenant {
        Some(tenant) => sql(loans!(" AND l.tenant_id = $1")).bind(tenant),
        None => sql(loans!("")),
    }
}

/// A loan.
pub(crate) fn loan(row: &mut Reader<'_>) -> Result<QuotaLoan> {
    Ok(QuotaLoan {
        request: row.parsed()?,
        namespace: row.parsed_or_null()?,
        resources: row.json()?,
        ends_at: row.time()?,
        stage: stage(row.int()?)?,
    })
}

/// Stages are kept as their ranks, so that a later one is a larger number.
fn rank(stage: LoanStage) -> i64 {
    LoanStage::ALL.iter().zip(0..).find(|(known, _)| **known == stage).map_or(0, |(_, rank)| rank)
}

fn stage(rank: i64) -> Result<LoanStage> {
    let known = usize::try_from(rank).ok().and_then(|rank| LoanStage::ALL.get(rank));
    known.copied().ok_or_else(|| Error::internal(format!("{rank} is no stage of a loan")))
}

/// Writes what is granted into the tenant's locked book.
async fn grant_in(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    book: Book,
    granting: &Granting,
    now: Timestamp,
) -> Result<Changed> {
    granting.holds(&book)?;
    let after = book.granting(granting).map_err(|lacks| refusal(&lacks))?;
    write_difference(transaction, &book, &after, now).await?;
    // What ended before is a part of the new loan from now on.
    for old in &book.loans {
        match after.loans.iter().find(|loan| loan.request == old.request) {
            Some(loan) if loan == old => {}
            Some(loan) => write_loan(transaction, tenant, loan.request, (&loan.resources, loan.stage)).await?,
            None => write_loan(transaction, tenant, old.request, (&Resources::default(), LoanStage::Ended)).await?,
        }
    }
    if let Some(loan) = after.loans.iter().find(|loan| loan.request == granting.request) {
        const SQL: &str = "INSERT INTO quota_loans (request_id, tenant_id, cluster, namespace, resources, ends_at, stage) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let statement = sql(SQL)
            .bind(loan.request)
            .bind(tenant.id)
            .bind(book.cluster.as_str())
            .bind(loan.namespace.as_ref().map(NamespaceName::as_str))
            .bind(text(&loan.resources)?.as_str())
            .bind(loan.ends_at)
            .bind(rank(loan.stage));
        transaction.execute(statement).await?;
    }
    Ok(Changed { before: book, after })
}

async fn create(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    request: &QuotaRequest,
    granting: Option<&Granting>,
) -> Result<Option<Changed>> {
    const SQL: &str = "INSERT INTO quota_requests (id, tenant_id, cluster, state, ask, steps, created_at, version) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let book = locked_book(transaction, tenant, &request.cluster).await?;
    let statement = sql(SQL)
        .bind(request.id)
        .bind(tenant.id)
        .bind(request.cluster.as_str())
        .bind(request.state.as_str())
        .bind(text(&request.ask)?.as_str())
        .bind(text(&request.steps)?.as_str())
        .bind(request.created_at)
        .bind(request.version);
    transaction.execute(statement).await?;
    put(transaction, Some(tenant.id), &Notice::of_request(request, request.created_at)).await?;
    match granting {
        Some(granting) => grant_in(transaction, tenant, book, granting, request.created_at).await.map(Some),
        None => Ok(None),
    }
}

async fn step(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    request: &QuotaRequest,
    granting: Option<&Granting>,
    now: Timestamp,
) -> Result<Option<Changed>> {
    const SQL: &str = "UPDATE quota_requests SET state = $4, steps = $5, version = version + 1 \
                       WHERE id = $1 AND tenant_id = $2 AND version = $3 AND state IN ('open', 'offered')";
    let book = locked_book(transaction, tenant, &request.cluster).await?;
    let statement = sql(SQL).bind(request.id).bind(tenant.id).bind(request.version - 1).bind(request.state.as_str());
    if transaction.execute(statement.bind(text(&request.steps)?.as_str())).await? == 0 {
        return Err(request_changed());
    }
    put(transaction, Some(tenant.id), &Notice::of_request(request, now)).await?;
    match granting {
        Some(granting) => grant_in(transaction, tenant, book, granting, now).await.map(Some),
        None => Ok(None),
    }
}

/// What is left of a loan.
async fn write_loan(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    request: Uuid,
    (resources, stage): (&Resources, LoanStage),
) -> Result<()> {
    // A warning may come meanwhile: never back.
    const SQL: &str = "UPDATE quota_loans SET resources = $3, stage = CASE WHEN stage > $4 THEN stage ELSE $4 END \
                       WHERE request_id = $1 AND tenant_id = $2";
    let statement = sql(SQL).bind(request).bind(tenant.id).bind(text(resources)?.as_str()).bind(rank(stage));
    transaction.execute(statement).await.map(drop)
}

async fn give_back(
    transaction: &mut impl Transaction,
    tenant: &TenantRef,
    (cluster, request): (&ClusterId, Uuid),
    used: &Resources,
    now: Timestamp,
) -> Result<Changed> {
    let before = locked_book(transaction, tenant, cluster).await?;
    let after = before.giving_back(request, used);
    write_difference(transaction, &before, &after, now).await?;
    let left = after.loans.iter().find(|loan| loan.request == request);
    let (resources, stage) = match left {
        Some(loan) => (&loan.resources, LoanStage::Overdue),
        None => (&Resources::default(), LoanStage::Ended),
    };
    write_loan(transaction, tenant, request, (resources, stage)).await?;
    let told = before.told(&after, request);
    if let Some(notice) = told.and_then(|stage| Notice::of_loan((&before.tenant, cluster, request), stage, now)) {
        put(transaction, Some(tenant.id), &notice).await?;
    }
    Ok(Changed { before, after })
}

async fn note_loan(
    transaction: &mut impl Transaction,
    request: Uuid,
    stage: LoanStage,
    now: Timestamp,
) -> Result<bool> {
    const SQL: &str = "UPDATE quota_loans SET stage = $2 WHERE request_id = $1 AND stage < $2";
    const WHOSE: &str = "SELECT t.id, t.name, l.cluster FROM quota_loans l JOIN tenants t ON t.id = l.tenant_id \
                         WHERE l.request_id = $1";
    if transaction.execute(sql(SQL).bind(request).bind(rank(stage))).await? == 0 {
        return Ok(false);
    }
    let rows = transaction.fetch(sql(WHOSE).bind(request)).await?;
    let whose = |row: &mut Reader<'_>| Ok((row.parsed()?, row.parsed()?, row.parsed()?));
    let found: Option<(Uuid, TenantName, ClusterId)> = decoded(&rows, whose)?.pop();
    let (id, tenant, cluster) = found.ok_or_else(|| Error::internal("a loan to nobody"))?;
    if let Some(notice) = Notice::of_loan((&tenant, &cluster, request), stage, now) {
        put(transaction, Some(id), &notice).await?;
    }
    Ok(true)
}

#[async_trait]
impl<E: Engine> Requests for SqlStore<E> {
    async fn list_requests(&self, tenant: &TenantRef) -> Result<Vec<QuotaRequest>> {
        self.all(sql(select_requests!(" WHERE r.tenant_id = $1")).bind(tenant.id), request).await
    }

    async fn list_all_requests(&self, _: &Grant<PlatformRef>) -> Result<Vec<QuotaRequest>> {
        self.all(sql(select_requests!("")), request).await
    }

    async fn count_open_requests(&self, _: &Grant<PlatformRef>) -> Result<u64> {
        let count = sql("SELECT COUNT(*) FROM quota_requests WHERE state = 'open'");
        let found = self.one(count, |row| row.int()).await?;
        Ok(found.and_then(|count| count.try_into().ok()).unwrap_or_default())
    }

    async fn find_request(&self, tenant: &TenantRef, id: Uuid) -> Result<Option<QuotaRequest>> {
        const SQL: &str = select_requests!(" WHERE r.tenant_id = $1 AND r.id = $2");
        self.one(sql(SQL).bind(tenant.id).bind(id), request).await
    }

    async fn create_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
    ) -> Result<Option<Changed>> {
        let mut transaction = self.engine.begin().await?;
        let done = create(&mut transaction, grant, request, granting).await;
        finish(transaction, done).await
    }

    async fn step_request(
        &self,
        grant: &Grant<TenantRef>,
        request: &QuotaRequest,
        granting: Option<&Granting>,
        now: Timestamp,
    ) -> Result<Option<Changed>> {
        let mut transaction = self.engine.begin().await?;
        let done = step(&mut transaction, grant, request, granting, now).await;
        finish(transaction, done).await
    }

    async fn note_loan(&self, _: &Grant<PlatformRef>, request: Uuid, stage: LoanStage, now: Timestamp) -> Result<bool> {
        let mut transaction = self.engine.begin().await?;
        let done = note_loan(&mut transaction, request, stage, now).await;
        finish(transaction, done).await
    }

    async fn give_back(
        &self,
        tenant: &Grant<TenantRef>,
        cluster: &ClusterId,
        request: Uuid,
        used: &Resources,
        now: Timestamp,
    ) -> Result<Changed> {
        let mut transaction = self.engine.begin().await?;
        let done = give_back(&mut transaction, tenant, (cluster, request), used, now).await;
        finish(transaction, done).await
    }
}
