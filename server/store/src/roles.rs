//! Roles that tenants make.

use std::str::FromStr;

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef, Rights, TenantRef},
    error::{Error, Result},
    ports::roles::{Edited, Roles},
    roles::{RoleEdit, after, gone},
};
use berth_types::{
    Right, RoleName, TenantName, TenantRole,
    custom_role::{CustomRole, Holding, RoleHolder},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Transaction, sql},
    store::{SqlStore, decoded},
    tenants::lock_tenant,
};

/// The columns that [`role`] reads, from `custom_roles c`.
macro_rules! role_columns {
    () => {
        "c.name, c.display_name, c.description, c.actions, c.includes, c.rights, c.created_at, c.version"
    };
}

/// What a role gives, where it is one of the tenant's own: of tenant `$tenant`, the role in `$role`, both columns.
macro_rules! own_rights {
    ($tenant:literal, $role:literal) => {
        concat!("(SELECT c.rights FROM custom_roles c WHERE c.tenant_id = ", $tenant, " AND c.name = ", $role, ")")
    };
}

pub(crate) use own_rights;

/// What [`own_rights`] says.
pub(crate) fn own(row: &mut Reader<'_>) -> Result<Option<Rights>> {
    Ok(row.text_or_null()?.map(|words| Rights::from_words(&words)))
}

fn words<T: FromStr>(text: &str) -> Result<Vec<T>> {
    let bad = |word: &str| Error::internal(format!("“{word}” in a role's row"));
    text.split_whitespace().map(|word| word.parse().map_err(|_| bad(word))).collect()
}

fn role(row: &mut Reader<'_>) -> Result<CustomRole> {
    Ok(CustomRole {
        name: row.parsed()?,
        display_name: row.text()?,
        description: row.text()?,
        actions: words::<Right>(&row.text()?)?,
        includes: row
            .text()?
            .split_whitespace()
            .map(|word| TenantRole::from_word(word).ok_or_else(|| Error::internal("no role")))
            .collect::<Result<_>>()?,
        rights: Rights::from_words(&row.text()?).iter().collect(),
        created_at: row.time()?,
        version: row.int()?,
    })
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// What `role` gives in a tenant.
pub(crate) async fn rights_in(transaction: &mut impl Transaction, tenant: Uuid, role: TenantRole) -> Result<Rights> {
    const SQL: &str = "SELECT rights FROM custom_roles WHERE tenant_id = $1 AND name = $2";
    if let Some(rights) = Rights::built_in(role) {
        return Ok(rights);
    }
    let rows = transaction.fetch(sql(SQL).bind(tenant).bind(role.as_str())).await?;
    let own = rows.first().map(|row| own(&mut Reader::new(row))).transpose()?.flatten();
    Ok(Rights::of(Some(role), own))
}

/// Refuses a role that is none in the tenant. Who gives one of its own holds the tenant's lock from here on, as does who removes it: so
/// none is given that goes in the same moment.
pub(crate) async fn giving(transaction: &mut impl Transaction, tenant: Uuid, role: TenantRole) -> Result<()> {
    const SQL: &str = "SELECT 1 FROM custom_roles WHERE tenant_id = $1 AND name = $2";
    if !role.is_custom() {
        return Ok(());
    }
    lock_tenant(transaction, tenant).await?;
    match transaction.fetch(sql(SQL).bind(tenant).bind(role.as_str())).await?.is_empty() {
        true => Err(gone(role)),
        false => Ok(()),
    }
}

const THEIRS: &str = concat!("SELECT ", role_columns!(), " FROM custom_roles c WHERE c.tenant_id = $1 ORDER BY c.name");

const HOLDERS: &str = "SELECT 'member', u.name, CAST(NULL AS TEXT) FROM memberships m JOIN users u ON u.id = m.user_id \
    WHERE m.tenant_id = $1 AND m.role = $2 \
    UNION ALL SELECT 'namespace-member', u.name, n.name FROM namespace_roles r JOIN users u ON u.id = r.user_id \
    JOIN namespaces n ON n.id = r.namespace_id WHERE n.tenant_id = $1 AND r.role = $2 \
    UNION ALL SELECT 'invitation', COALESCE(i.email, u.name), NULL FROM invitations i JOIN users u ON u.id = i.invited_by \
    WHERE i.tenant_id = $1 AND i.role = $2 AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $3 \
    UNION ALL SELECT 'group-rule', g.group_name, NULL FROM group_rules g WHERE g.tenant_id = $1 AND g.role = $2 \
    UNION ALL SELECT 'access-request', u.name, n.name FROM access_requests a JOIN users u ON u.id = a.user_id \
    LEFT JOIN namespaces n ON n.id = a.namespace_id \
    WHERE a.tenant_id = $1 AND a.role = $2 AND a.state = 'open'";

/// What gives [`HOLDERS`] the role `$2` gives them `$3` instead. Robots' roles stand among people's.
const REPLACED: [&str; 5] = [
    "UPDATE memberships SET role = $3 WHERE tenant_id = $1 AND role = $2",
    "UPDATE namespace_roles SET role = $3 WHERE role = $2 \
     AND namespace_id IN (SELECT id FROM namespaces WHERE tenant_id = $1)",
    "UPDATE invitations SET role = $3 WHERE tenant_id = $1 AND role = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
    "UPDATE group_rules SET role = $3 WHERE tenant_id = $1 AND role = $2",
    "UPDATE access_requests SET role = $3 WHERE tenant_id = $1 AND role = $2 AND state = 'open'",
];

fn holder(row: &mut Reader<'_>) -> Result<RoleHolder> {
    Ok(RoleHolder { holding: row.word(Holding::from_word)?, who: row.text()?, namespace: row.parsed_or_null()? })
}

#[async_trait]
impl<E: Engine> Roles for SqlStore<E> {
    async fn list_roles(&self, tenant: &TenantRef) -> Result<Vec<CustomRole>> {
        self.all(sql(THEIRS).bind(tenant.id), role).await
    }

    async fn list_all_roles(&self, _: &Grant<PlatformRef>) -> Result<Vec<(TenantName, CustomRole)>> {
        const SQL: &str = concat!(
            "SELECT t.name, ",
            role_columns!(),
            " FROM custom_roles c JOIN tenants t ON t.id = c.tenant_id ORDER BY t.name, c.name"
        );
        self.all(sql(SQL), |row| Ok((row.parsed()?, role(row)?))).await
    }

    async fn list_role_holders(&self, tenant: &TenantRef, role: RoleName, now: Timestamp) -> Result<Vec<RoleHolder>> {
        let mut holders = self.all(sql(HOLDERS).bind(tenant.id).bind(role.as_str()).bind(now), holder).await?;
        holders.sort();
        Ok(holders)
    }

    async fn edit_roles(&self, grant: &Grant<TenantRef>, edit: &RoleEdit, now: Timestamp) -> Result<Edited> {
        const REMOVE: &str = "DELETE FROM custom_roles WHERE tenant_id = $1 AND name = $2";
        const PUT: &str = "INSERT INTO custom_roles (tenant_id, name, display_name, description, actions, includes, rights, \
                           created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                           ON CONFLICT (tenant_id, name) DO UPDATE SET display_name = excluded.display_name, \
                           description = excluded.description, actions = excluded.actions, includes = excluded.includes, \
                           rights = excluded.rights, version = excluded.version";
        let mut transaction = self.engine.begin().await?;
        lock_tenant(&mut transaction, grant.id).await?;
        let before = decoded(&transaction.fetch(sql(THEIRS).bind(grant.id)).await?, role)?;
        let asked = sql(HOLDERS).bind(grant.id).bind(edit.name().as_str()).bind(now);
        let mut holders = decoded(&transaction.fetch(asked).await?, holder)?;
        holders.sort();
        let roles = after(&before, edit, &holders, now)?;
        if let RoleEdit::Remove(gone, Some(instead)) = edit {
            for text in REPLACED {
                let row = sql(text).bind(grant.id).bind(gone.as_str()).bind(instead.role.as_str());
                transaction.execute(row).await?;
            }
        }
        for gone in before.iter().filter(|role| !roles.iter().any(|other| other.name == role.name)) {
            transaction.execute(sql(REMOVE).bind(grant.id).bind(gone.name.as_str())).await?;
        }
        for role in roles.iter().filter(|role| !before.contains(role)) {
            let row = sql(PUT)
                .bind(grant.id)
                .bind(role.name.as_str())
                .bind(role.display_name.as_str())
                .bind(role.description.as_str())
                .bind(joined(&role.actions).as_str())
                .bind(joined(&role.includes).as_str())
                .bind(Rights::from_iter(role.rights.iter().copied()).words().as_str())
                .bind(role.created_at)
                .bind(role.version);
            transaction.execute(row).await?;
        }
        transaction.commit().await?;
        Ok(Edited { roles, holders })
    }
}
