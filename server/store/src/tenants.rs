//! Tenants, their members and namespaces.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    error::{Error, Result},
    ports::store::{NamespaceAccess, TenantAccess, TenantPlaces, Tenants, last_owner},
};
use berth_types::{
    ClusterId, ErrorCode, NamespaceName, TenantName, TenantRole, UserName,
    life::Halt,
    network::Egress,
    people::{Member, Namespace, Tenant},
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    clusters::takes_more,
    engine::{Engine, Reader, Statement, Transaction, sql},
    quotas::{finish, text},
    roles::{giving, own, own_rights},
    store::{SqlStore, found, taken},
};

/// The columns that [`tenant_or_null`] reads, from `tenants t`.
macro_rules! tenant_columns {
    () => {
        "t.id, t.name, t.display_name, t.created_at, t.suspended, t.leaving, t.version"
    };
}

/// The tenants in whose namespaces the person `$1` was given a role.
macro_rules! guest_of {
    () => {
        "SELECT gn.tenant_id FROM namespace_roles g JOIN namespaces gn ON gn.id = g.namespace_id WHERE g.user_id = $1"
    };
}

/// The tenants in which the person `$1` has a role, or in whose namespaces.
macro_rules! their_tenants {
    () => {
        concat!("SELECT tenant_id FROM memberships WHERE user_id = $1 UNION ", guest_of!())
    };
}

/// Makes `t` the tenant called `$2`, if the person `$1` may know of it.
///
/// From the tenants that they know to the name, which no index has in this form: were the name looked for first, a tenant that is
/// hidden would cost more time than one that is not there, and so be told from it.
macro_rules! with_known_tenant {
    () => {
        concat!(
            "WITH t AS MATERIALIZED (SELECT a.* FROM (",
            their_tenants!(),
            " UNION SELECT b.id FROM users s CROSS JOIN tenants b \
             WHERE s.id = $1 AND s.platform_role IS NOT NULL AND b.name = $2) known \
             CROSS JOIN tenants a WHERE a.id = known.tenant_id AND a.name || '' = $2) "
        )
    };
}

/// The columns that [`access`] reads, from `tenants t` and `memberships m`, for the person `$1`.
macro_rules! access_columns {
    () => {
        concat!(tenant_columns!(), ", m.role, ", own_rights!("t.id", "m.role"), ", t.id IN (", guest_of!(), ")")
    };
}

/// Whether the person `$1` has a role on the platform, and so sees every tenant.
macro_rules! sees_all {
    () => {
        "EXISTS (SELECT 1 FROM users s WHERE s.id = $1 AND s.platform_role IS NOT NULL)"
    };
}

/// The columns that [`namespace`] reads, from `namespaces n` and `tenants t`.
macro_rules! namespace_columns {
    () => {
        "n.id, n.name, t.name, n.cluster, n.kube_name, n.egress, n.protected, t.suspended, t.leaving, n.leaving, n.created_at, n.version"
    };
}

pub(crate) use {namespace_columns, tenant_columns};

/// A tenant from the far side of a join; nothing more may be read from the row where there is none.
pub(crate) fn tenant_or_null(row: &mut Reader<'_>) -> Result<Option<Tenant>> {
    let Some(id) = row.parsed_or_null()? else {
        return Ok(None);
    };
    Ok(Some(Tenant {
        id,
        name: row.parsed()?,
        display_name: row.text()?,
        created_at: row.time()?,
        halt: Halt::of(row.json_or_null()?, row.json_or_null()?, None),
        version: row.int()?,
    }))
}

fn access(row: &mut Reader<'_>) -> Result<TenantAccess> {
    Ok(TenantAccess {
        tenant: tenant_or_null(row)?.ok_or_else(|| Error::internal("a tenant without an id"))?,
        role: row.word_or_null(TenantRole::from_word)?,
        own: own(row)?,
        guest: row.bool()?,
    })
}

/// The columns that [`namespace_access`] reads, from `namespaces n`, `tenants t` and `namespace_roles r`.
macro_rules! namespace_access_columns {
    () => {
        concat!(namespace_columns!(), ", r.role, ", own_rights!("n.tenant_id", "r.role"))
    };
}

/// A namespace from the far side of a join, and after it the role of `namespace_roles r`.
fn namespace_access_or_null(row: &mut Reader<'_>) -> Result<Option<NamespaceAccess>> {
    let Some(namespace) = namespace_or_null(row)? else {
        return Ok(None);
    };
    Ok(Some(NamespaceAccess { namespace, role: row.word_or_null(TenantRole::from_word)?, own: own(row)? }))
}

fn namespace_access(row: &mut Reader<'_>) -> Result<NamespaceAccess> {
    namespace_access_or_null(row)?.ok_or_else(|| Error::internal("a namespace without an id"))
}

pub(crate) fn namespace(row: &mut Reader<'_>) -> Result<Namespace> {
    namespace_or_null(row)?.ok_or_else(|| Error::internal("a namespace without an id"))
}

/// A namespace from the far side of a join; nothing more may be read from the row where there is none.
fn namespace_or_null(row: &mut Reader<'_>) -> Result<Option<Namespace>> {
    let Some(id) = row.parsed_or_null()? else {
        return Ok(None);
    };
    Ok(Some(Namespace {
        id,
        name: row.parsed()?,
        tenant: row.parsed()?,
        cluster: row.parsed()?,
        kube_name: row.text()?,
        egress: row.json_or_null()?.unwrap_or_default(),
        protected: row.bool()?,
        halt: Halt::of(row.json_or_null()?, row.json_or_null()?, row.json_or_null()?),
        created_at: row.time()?,
        version: row.int()?,
    }))
}

/// Nobody else changes the tenant's members or books until the transaction ends.
pub(crate) async fn lock_tenant(transaction: &mut impl Transaction, tenant: Uuid) -> Result<()> {
    found(transaction.execute(sql("UPDATE tenants SET version = version WHERE id = $1").bind(tenant)).await?)
}

/// A member's current place.
struct Place {
    user: Uuid,
    role: Option<TenantRole>,
}

/// Where the person called `user` stands in the tenant, which stays as it is until the transaction ends. Locking the
/// tenant's row makes changes of its members follow one another, so that two of its owners cannot both go at once.
async fn locked_place(transaction: &mut impl Transaction, tenant: &TenantRef, user: &UserName) -> Result<Place> {
    const FIND: &str = "SELECT u.id, m.role FROM users u \
                        LEFT JOIN memberships m ON m.user_id = u.id AND m.tenant_id = $1 WHERE u.name = $2";
    lock_tenant(transaction, tenant.id).await?;
    let rows = transaction.fetch(sql(FIND).bind(tenant.id).bind(user.as_str())).await?;
    let mut row = Reader::new(rows.first().ok_or_else(Error::not_found)?);
    Ok(Place { user: row.parsed()?, role: row.word_or_null(TenantRole::from_word)? })
}

/// Refused when the tenant has no owner but `user`.
async fn keep_an_owner(transaction: &mut impl Transaction, tenant: &TenantRef, user: Uuid) -> Result<()> {
    const OTHERS: &str = "SELECT 1 FROM memberships WHERE tenant_id = $1 AND role = 'owner' AND user_id <> $2 LIMIT 1";
    if transaction.fetch(sql(OTHERS).bind(tenant.id).bind(user)).await?.is_empty() {
        return Err(last_owner());
    }
    Ok(())
}

/// A new namespace of the tenant that was granted.
pub(crate) fn insert_namespace(grant: &Grant<TenantRef>, namespace: &Namespace) -> Result<Statement> {
    const SQL: &str = "INSERT INTO namespaces (id, tenant_id, name, cluster, kube_name, egress, created_at, version) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    if namespace.tenant != grant.name {
        return Err(Error::internal(format!("a namespace of {} granted for {}", namespace.tenant, grant.name)));
    }
    Ok(sql(SQL)
        .bind(namespace.id)
        .bind(grant.id)
        .bind(namespace.name.as_str())
        .bind(namespace.cluster.as_str())
        .bind(namespace.kube_name.as_str())
        .bind(text(&namespace.egress)?.as_str())
        .bind(namespace.created_at)
        .bind(namespace.version))
}

#[async_trait]
impl<E: Engine> Tenants for SqlStore<E> {
    async fn find_tenant_access(&self, user: Uuid, name: &TenantName) -> Result<Option<TenantAccess>> {
        const SQL: &str = concat!(
            with_known_tenant!(),
            "SELECT ",
            access_columns!(),
            " FROM t LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1"
        );
        self.one(sql(SQL).bind(user).bind(name.as_str()), access).await
    }

    async fn list_tenant_access(&self, user: Uuid, all: bool) -> Result<Vec<TenantAccess>> {
        const ALL: &str = concat!(
            "SELECT ",
            access_columns!(),
            " FROM tenants t LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1 ORDER BY t.name"
        );
        const THEIRS: &str = concat!(
            "SELECT ",
            access_columns!(),
            " FROM tenants t LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1 \
             WHERE t.id IN (",
            their_tenants!(),
            ") ORDER BY t.name"
        );
        self.all(sql(if all { ALL } else { THEIRS }).bind(user), access).await
    }

    async fn list_places(&self, user: Uuid, all: bool, tenant: &TenantName) -> Result<Vec<TenantPlaces>> {
        /// `$1` is the person, `$2` the tenant; `$also` which tenants they see besides their own.
        macro_rules! places {
            ($also:literal) => {
                concat!(
                    "SELECT ",
                    access_columns!(),
                    ", ",
                    namespace_access_columns!(),
                    " FROM tenants t LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1 \
                     LEFT JOIN namespaces n ON n.tenant_id = t.id AND t.name = $2 \
                     LEFT JOIN namespace_roles r ON r.namespace_id = n.id AND r.user_id = $1 \
                     WHERE t.id IN (",
                    their_tenants!(),
                    $also,
                    ") ORDER BY t.name, n.name"
                )
            };
        }
        const ALL: &str = places!(" UNION SELECT id FROM tenants WHERE name = $2");
        const THEIRS: &str = places!("");
        let query = sql(if all { ALL } else { THEIRS }).bind(user).bind(tenant.as_str());
        let rows = self.all(query, |row| Ok((access(row)?, namespace_access_or_null(row)?))).await?;
        let mut places: Vec<TenantPlaces> = Vec::new();
        for (access, namespace) in rows {
            match places.last_mut().filter(|last| last.access.tenant.id == access.tenant.id) {
                Some(last) => last.namespaces.extend(namespace),
                None => places.push(TenantPlaces { access, namespaces: namespace.into_iter().collect() }),
            }
        }
        Ok(places)
    }

    async fn create_tenant(&self, _: &Grant<PlatformRef>, tenant: &Tenant, owner: Uuid) -> Result<()> {
        const TENANT: &str =
            "INSERT INTO tenants (id, name, display_name, created_at, version) VALUES ($1, $2, $3, $4, $5)";
        const OWNER: &str =
            "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, 'owner', $3)";
        let row = sql(TENANT)
            .bind(tenant.id)
            .bind(tenant.name.as_str())
            .bind(tenant.display_name.as_str())
            .bind(tenant.created_at)
            .bind(tenant.version);
        let named = taken("name", || format!("a tenant called “{}” exists already", tenant.name));
        let mut transaction = self.engine.begin().await?;
        transaction.execute(row).await.map_err(named)?;
        transaction.execute(sql(OWNER).bind(tenant.id).bind(owner).bind(tenant.created_at)).await?;
        transaction.commit().await
    }

    async fn update_tenant(&self, grant: &Grant<TenantRef>, display_name: &str, version: i64) -> Result<i64> {
        const SQL: &str = "UPDATE tenants SET display_name = $3, version = version + 1 \
                           WHERE id = $1 AND version = $2 RETURNING version";
        let rows = self.engine.write(sql(SQL).bind(grant.id).bind(version).bind(display_name)).await?;
        match rows.first() {
            Some(row) => Reader::new(row).int(),
            None => Err(Error::new(ErrorCode::Conflict, "the tenant has changed since it was read: read it again")),
        }
    }

    async fn list_members(&self, grant: &Grant<TenantRef>) -> Result<Vec<Member>> {
        const SQL: &str = "SELECT u.name, u.display_name, m.role, p.name, m.created_at FROM memberships m \
                           JOIN users u ON u.id = m.user_id LEFT JOIN identity_providers p ON p.id = m.provider_id \
                           WHERE m.tenant_id = $1";
        let mut members = self
            .all(sql(SQL).bind(grant.id), |row| {
                Ok(Member {
                    user: row.user()?,
                    display_name: row.text()?,
                    role: row.word(TenantRole::from_word)?,
                    provider: row.parsed_or_null()?,
                    created_at: row.time()?,
                })
            })
            .await?;
        members.sort_by(|a, b| (a.role, &a.user).cmp(&(b.role, &b.user)));
        Ok(members)
    }

    async fn set_member(
        &self,
        grant: &Grant<TenantRef>,
        user: &UserName,
        role: TenantRole,
        now: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) \
                           ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role, \
                           provider_id = NULL";
        let mut transaction = self.engine.begin().await?;
        let place = locked_place(&mut transaction, grant, user).await?;
        if place.role == Some(TenantRole::Owner) && role != TenantRole::Owner {
            keep_an_owner(&mut transaction, grant, place.user).await?;
        }
        giving(&mut transaction, grant.id, role).await?;
        transaction.execute(sql(SQL).bind(grant.id).bind(place.user).bind(role.as_str()).bind(now)).await?;
        transaction.commit().await
    }

    async fn remove_member(&self, grant: &Grant<TenantRef>, user: &UserName) -> Result<()> {
        const SQL: &str = "DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2";
        const GIVEN: &str = "DELETE FROM namespace_roles WHERE user_id = $2 \
                             AND namespace_id IN (SELECT id FROM namespaces WHERE tenant_id = $1)";
        let mut transaction = self.engine.begin().await?;
        let place = locked_place(&mut transaction, grant, user).await?;
        if place.role == Some(TenantRole::Owner) {
            keep_an_owner(&mut transaction, grant, place.user).await?;
        }
        let given = transaction.execute(sql(GIVEN).bind(grant.id).bind(place.user)).await?;
        found(given + transaction.execute(sql(SQL).bind(grant.id).bind(place.user)).await?)?;
        transaction.commit().await
    }

    async fn find_namespace_access(
        &self,
        user: Uuid,
        tenant: &TenantName,
        name: &NamespaceName,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>> {
        const SQL: &str = concat!(
            with_known_tenant!(),
            "SELECT ",
            access_columns!(),
            ", ",
            namespace_access_columns!(),
            " FROM t JOIN namespaces n ON n.tenant_id = t.id AND n.name = $3 \
             LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1 \
             LEFT JOIN namespace_roles r ON r.namespace_id = n.id AND r.user_id = $1 \
             WHERE (m.role IS NOT NULL OR r.role IS NOT NULL OR ",
            sees_all!(),
            ")"
        );
        let query = sql(SQL).bind(user).bind(tenant.as_str()).bind(name.as_str());
        self.one(query, |row| Ok((access(row)?, namespace_access(row)?))).await
    }

    async fn find_kube_namespace_access(
        &self,
        user: Uuid,
        cluster: &ClusterId,
        kube_name: &str,
    ) -> Result<Option<(TenantAccess, NamespaceAccess)>> {
        // From the namespaces that they may know of, for the reason that `with_known_tenant` has.
        const SQL: &str = concat!(
            "WITH n AS MATERIALIZED (SELECT a.* FROM (\
             SELECT d.id FROM memberships c JOIN namespaces d ON d.tenant_id = c.tenant_id WHERE c.user_id = $1 \
             UNION SELECT namespace_id FROM namespace_roles WHERE user_id = $1 \
             UNION SELECT b.id FROM users s CROSS JOIN namespaces b \
             WHERE s.id = $1 AND s.platform_role IS NOT NULL AND b.cluster = $2 AND b.kube_name = $3) known \
             CROSS JOIN namespaces a WHERE a.id = known.id AND a.cluster || '' = $2 AND a.kube_name || '' = $3) SELECT ",
            access_columns!(),
            ", ",
            namespace_access_columns!(),
            " FROM n JOIN tenants t ON t.id = n.tenant_id \
             LEFT JOIN memberships m ON m.tenant_id = t.id AND m.user_id = $1 \
             LEFT JOIN namespace_roles r ON r.namespace_id = n.id AND r.user_id = $1"
        );
        let query = sql(SQL).bind(user).bind(cluster.as_str()).bind(kube_name);
        self.one(query, |row| Ok((access(row)?, namespace_access(row)?))).await
    }

    async fn list_namespace_access(&self, user: Uuid, tenant: &TenantRef) -> Result<Vec<NamespaceAccess>> {
        const SQL: &str = concat!(
            "SELECT ",
            namespace_access_columns!(),
            " FROM namespaces n JOIN tenants t ON t.id = n.tenant_id \
             LEFT JOIN namespace_roles r ON r.namespace_id = n.id AND r.user_id = $1 \
             WHERE n.tenant_id = $2 ORDER BY n.name"
        );
        self.all(sql(SQL).bind(user).bind(tenant.id), namespace_access).await
    }

    async fn list_namespaces(&self, tenant: &TenantRef) -> Result<Vec<Namespace>> {
        const SQL: &str = concat!(
            "SELECT ",
            namespace_columns!(),
            " FROM namespaces n JOIN tenants t ON t.id = n.tenant_id WHERE n.tenant_id = $1 ORDER BY n.name"
        );
        self.all(sql(SQL).bind(tenant.id), namespace).await
    }

    async fn create_namespace(&self, grant: &Grant<TenantRef>, namespace: &Namespace) -> Result<()> {
        let statement = insert_namespace(grant, namespace)?;
        let named = taken("name", || format!("a namespace called “{}” exists already", namespace.name));
        let mut transaction = self.engine.begin().await?;
        let done = async {
            takes_more(&mut transaction, &namespace.cluster).await?;
            transaction.execute(statement).await.map(drop).map_err(named)
        }
        .await;
        finish(transaction, done).await
    }

    async fn set_egress(&self, grant: &Grant<NamespaceRef>, egress: &Egress, version: Option<i64>) -> Result<i64> {
        const SQL: &str = "UPDATE namespaces SET egress = $3, version = version + 1 \
                           WHERE id = $1 AND tenant_id = $2 AND version = COALESCE($4, version) RETURNING version";
        let statement = sql(SQL).bind(grant.id).bind(grant.tenant.id).bind(text(egress)?.as_str());
        let rows = self.engine.write(statement.bind(version)).await?;
        match rows.first() {
            Some(row) => Reader::new(row).int(),
            None => Err(Error::new(ErrorCode::Conflict, "the namespace has changed since it was read: read it again")),
        }
    }

    async fn protect_namespace(&self, grant: &Grant<NamespaceRef>, protected: bool) -> Result<()> {
        const SQL: &str =
            "UPDATE namespaces SET protected = $3, version = version + 1 WHERE id = $1 AND tenant_id = $2";
        self.change_one(sql(SQL).bind(grant.id).bind(grant.tenant.id).bind(protected)).await
    }
}
