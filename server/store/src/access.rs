//! Requests for roles.

use async_trait::async_trait;
use berth_core::{
    authz::TenantRef,
    error::Result,
    notices::Notice,
    ports::access::{AccessDecision, AccessRequests, NewAccessRequest, Place, decided, gives},
};
use berth_types::{
    TenantRole,
    access::{AccessRequest, AccessState},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    quotas::finish,
    roles::{giving, rights_in},
    store::{SqlStore, taken},
    tenants::lock_tenant,
    webhooks::{called, put},
};

/// Decided ones that are listed beside the open ones.
const SHOWN: i64 = 50;

fn request(row: &mut Reader<'_>) -> Result<AccessRequest> {
    Ok(AccessRequest {
        id: row.parsed()?,
        user: row.user()?,
        display_name: row.text()?,
        tenant: row.parsed()?,
        namespace: row.parsed_or_null()?,
        role: row.word(TenantRole::from_word)?,
        reason: row.text()?,
        state: row.word(AccessState::from_word)?,
        created_at: row.time()?,
        decided_by: row.user_or_null()?,
        decided_at: row.time_or_null()?,
        comment: row.text()?,
    })
}

#[async_trait]
impl<E: Engine> AccessRequests for SqlStore<E> {
    async fn create_access_request(&self, place: &Place, new: &NewAccessRequest) -> Result<()> {
        const SQL: &str = "INSERT INTO access_requests \
                           (id, tenant_id, namespace_id, user_id, role, reason, state, created_at, comment) \
                           VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, '')";
        let row = sql(SQL).bind(new.id).bind(place.tenant().id).bind(place.namespace()).bind(new.user);
        let row = row.bind(new.role.as_str()).bind(new.reason.as_str()).bind(new.created_at);
        let named = taken("role", || "one waits already".to_owned());
        let mut transaction = self.engine.begin().await?;
        let done = async {
            giving(&mut transaction, place.tenant().id, new.role).await?;
            transaction.execute(row).await.map_err(named)?;
            let user = called(&mut transaction, new.user).await?;
            let at = (&place.tenant().name, place.namespace_name());
            let notice = Notice::of_access(at, new.id, &user, new.role, new.created_at);
            put(&mut transaction, Some(place.tenant().id), &notice).await
        }
        .await;
        finish(transaction, done).await
    }

    async fn list_access_requests(&self, tenant: &TenantRef) -> Result<Vec<AccessRequest>> {
        const SQL: &str = "SELECT a.id, u.name, u.display_name, t.name, n.name, a.role, a.reason, a.state, a.created_at, \
                           d.name, a.decided_at, a.comment FROM access_requests a \
                           JOIN users u ON u.id = a.user_id JOIN tenants t ON t.id = a.tenant_id \
                           LEFT JOIN namespaces n ON n.id = a.namespace_id LEFT JOIN users d ON d.id = a.decided_by \
                           WHERE a.tenant_id = $1 \
                           ORDER BY CASE WHEN a.state = 'open' THEN 0 ELSE 1 END, a.created_at DESC, a.id DESC LIMIT $2";
        const OPEN: &str = "SELECT COUNT(*) FROM access_requests WHERE tenant_id = $1 AND state = 'open'";
        let open = self.one(sql(OPEN).bind(tenant.id), |row| row.int()).await?.unwrap_or_default();
        self.all(sql(SQL).bind(tenant.id).bind(open + SHOWN), request).await
    }

    async fn count_access_requests(&self, user: Uuid, since: Timestamp) -> Result<i64> {
        const SQL: &str = "SELECT COUNT(*) FROM access_requests WHERE user_id = $1 AND created_at >= $2";
        Ok(self.one(sql(SQL).bind(user).bind(since), |row| row.int()).await?.unwrap_or_default())
    }

    async fn decide_access_request(&self, place: &Place, id: Uuid, decision: &AccessDecision) -> Result<()> {
        const FIND: &str = "SELECT a.state, a.user_id, a.role, CASE WHEN a.namespace_id IS NULL THEN m.role ELSE r.role END \
                            FROM access_requests a \
                            LEFT JOIN memberships m ON m.tenant_id = a.tenant_id AND m.user_id = a.user_id \
                            LEFT JOIN namespace_roles r ON r.namespace_id = a.namespace_id AND r.user_id = a.user_id \
                            WHERE a.id = $1 AND a.tenant_id = $2 AND COALESCE(a.namespace_id, '') = COALESCE($3, '')";
        const DECIDE: &str = "UPDATE access_requests SET state = $2, decided_by = $3, decided_at = $4, comment = $5 \
                              WHERE id = $1 AND state = 'open'";
        const JOIN: &str = "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) \
                            ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, provider_id = NULL";
        const GIVE: &str = "INSERT INTO namespace_roles (namespace_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) \
                            ON CONFLICT (namespace_id, user_id) DO UPDATE SET role = excluded.role";
        let mut transaction = self.engine.begin().await?;
        lock_tenant(&mut transaction, place.tenant().id).await?;
        let asked = sql(FIND).bind(id).bind(place.tenant().id).bind(place.namespace());
        let rows = transaction.fetch(asked).await?;
        let (state, user, role, have) = {
            let mut row = Reader::new(rows.first().ok_or_else(berth_core::Error::not_found)?);
            let state = row.word(AccessState::from_word)?;
            let user: Uuid = row.parsed()?;
            (state, user, row.word(TenantRole::from_word)?, row.word_or_null(TenantRole::from_word)?)
        };
        if state != AccessState::Open {
            return Err(decided());
        }
        let outcome = if decision.approved { AccessState::Approved } else { AccessState::Declined };
        let row = sql(DECIDE).bind(id).bind(outcome.as_str()).bind(decision.by).bind(decision.at);
        if transaction.execute(row.bind(decision.comment.as_str())).await? == 0 {
            return Err(decided());
        }
        let asked = rights_in(&mut transaction, place.tenant().id, role).await?;
        let held = match have {
            Some(have) => Some(rights_in(&mut transaction, place.tenant().id, have).await?),
            None => None,
        };
        if decision.approved && gives(held, asked)? {
            giving(&mut transaction, place.tenant().id, role).await?;
            let gift = match place.namespace() {
                Some(namespace) => sql(GIVE).bind(namespace),
                None => sql(JOIN).bind(place.tenant().id),
            };
            transaction.execute(gift.bind(user).bind(role.as_str()).bind(decision.at)).await?;
        }
        let (user, by) = (called(&mut transaction, user).await?, called(&mut transaction, decision.by).await?);
        let at = (&place.tenant().name, place.namespace_name());
        let notice = Notice::of_access(at, id, &user, role, decision.at).decided(decision.approved, &by);
        put(&mut transaction, Some(place.tenant().id), &notice).await?;
        transaction.commit().await
    }
}
