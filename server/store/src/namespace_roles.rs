//! Roles in one namespace.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    error::{Error, Result},
    ports::namespace_roles::NamespaceRoles,
};
use berth_types::{
    TenantRole, UserName,
    people::{Guest, NamespaceMember},
};
use jiff::Timestamp;

use crate::{
    engine::{Engine, Transaction, sql},
    roles::giving,
    store::{SqlStore, found},
};

#[async_trait]
impl<E: Engine> NamespaceRoles for SqlStore<E> {
    async fn list_namespace_members(&self, grant: &Grant<NamespaceRef>) -> Result<Vec<NamespaceMember>> {
        const SQL: &str = "SELECT u.name, u.display_name, m.role, r.role, COALESCE(r.created_at, m.created_at) FROM users u \
                           LEFT JOIN memberships m ON m.user_id = u.id AND m.tenant_id = $1 \
                           LEFT JOIN namespace_roles r ON r.user_id = u.id AND r.namespace_id = $2 \
                           WHERE u.id IN (SELECT user_id FROM memberships WHERE tenant_id = $1 \
                           UNION SELECT user_id FROM namespace_roles WHERE namespace_id = $2)";
        let mut members = self
            .all(sql(SQL).bind(grant.tenant.id).bind(grant.id), |row| {
                let (user, display_name) = (row.user()?, row.text()?);
                let tenant_role = row.word_or_null(TenantRole::from_word)?;
                let given = row.word_or_null(TenantRole::from_word)?;
                let role = TenantRole::strongest(tenant_role, given);
                let role = role.ok_or_else(|| Error::internal("a member without a role"))?;
                Ok(NamespaceMember { user, display_name, role, tenant_role, given, created_at: row.time()? })
            })
            .await?;
        members.sort_by(|a, b| (a.role, &a.user).cmp(&(b.role, &b.user)));
        Ok(members)
    }

    async fn list_guests(&self, grant: &Grant<TenantRef>) -> Result<Vec<Guest>> {
        const SQL: &str = "SELECT u.name, u.display_name, n.name, r.role, r.created_at FROM namespace_roles r \
                           JOIN namespaces n ON n.id = r.namespace_id JOIN users u ON u.id = r.user_id \
                           WHERE n.tenant_id = $1 AND NOT EXISTS \
                           (SELECT 1 FROM memberships m WHERE m.tenant_id = $1 AND m.user_id = r.user_id) \
                           ORDER BY u.name, n.name";
        self.all(sql(SQL).bind(grant.id), |row| {
            let (user, display_name, namespace) = (row.user()?, row.text()?, row.parsed()?);
            let role = row.word(TenantRole::from_word)?;
            Ok(Guest { user, display_name, namespace, role, created_at: row.time()? })
        })
        .await
    }

    async fn set_namespace_member(
        &self,
        grant: &Grant<NamespaceRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO namespace_roles (namespace_id, user_id, role, created_at) \
                           SELECT n.id, u.id, $4, $5 FROM namespaces n JOIN users u ON u.name = $3 \
                           WHERE n.id = $1 AND n.tenant_id = $2 \
                           ON CONFLICT (namespace_id, user_id) DO UPDATE SET role = excluded.role";
        let row = sql(SQL).bind(grant.id).bind(grant.tenant.id).bind(user.as_str()).bind(role.as_str()).bind(now);
        let mut transaction = self.engine.begin().await?;
        giving(&mut transaction, grant.tenant.id, role).await?;
        found(transaction.execute(row).await?)?;
        transaction.commit().await
    }

    async fn remove_namespace_member(&self, grant: &Grant<NamespaceRef>, user: &UserName) -> Result<()> {
        const SQL: &str = "DELETE FROM namespace_roles WHERE namespace_id = $1 \
                           AND user_id = (SELECT id FROM users WHERE name = $2)";
        found(self.engine.execute(sql(SQL).bind(grant.id).bind(user.as_str())).await?)
    }
}
