//! Identity providers, identities, what groups mean, and sign-ins under way.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef, Rights},
    error::{Error, Result},
    notices::Notice,
    ports::{
        sign_in::{Applied, Attempt, Most, NewGroupRule, SignIns, Standing, changes, last_way_in},
        store::{Account, Digest},
    },
};
use berth_types::{
    ErrorCode, FieldError, ProviderName, TenantName, TenantRole,
    provider::{GroupRule, Identity, IdentityProvider, SigningAlgorithm},
    webhook::EventKind,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    people::{account, insert_user, name_taken, user_columns},
    roles::{giving, own, own_rights},
    store::{SqlStore, found, taken},
    webhooks::{called, put},
};

/// The columns that [`identity`] reads, from `identities i`.
macro_rules! identity_columns {
    () => {
        "i.id, i.issuer, i.subject, i.email, i.created_at, i.last_used_at"
    };
}

fn list(row: &mut Reader<'_>) -> Result<Vec<String>> {
    let value = row.json_or_null()?.ok_or_else(|| Error::internal("a list that is null"))?;
    serde_json::from_value(value).map_err(Error::internal)
}

fn text(list: &[String]) -> Result<String> {
    serde_json::to_string(list).map_err(Error::internal)
}

fn algorithms(row: &mut Reader<'_>) -> Result<Vec<SigningAlgorithm>> {
    let known = |word: String| {
        SigningAlgorithm::from_word(&word).ok_or_else(|| Error::internal(format!("“{word}” is no algorithm")))
    };
    list(row)?.into_iter().map(known).collect()
}

fn provider(row: &mut Reader<'_>) -> Result<IdentityProvider> {
    Ok(IdentityProvider {
        id: row.parsed()?,
        name: row.parsed()?,
        display_name: row.text()?,
        issuer: row.text()?,
        client_id: row.text()?,
        secret: row.text_or_null()?,
        scopes: list(row)?,
        algorithms: algorithms(row)?,
        group_claim: row.text()?,
        allowed_groups: list(row)?,
        enabled: row.bool()?,
        sign_out_there: row.bool()?,
        created_at: row.time()?,
        version: row.int()?,
        oauth: row.json_or_null()?,
    })
}

/// The columns that [`provider`] reads, from `identity_providers p`.
macro_rules! provider_columns {
    () => {
        "p.id, p.name, p.display_name, p.issuer, p.client_id, p.secret, p.scopes, p.algorithms, p.group_claim, \
         p.allowed_groups, p.enabled, p.sign_out_there, p.created_at, p.version, p.oauth"
    };
}

/// All that a change may set, as `$2` to `$12`; `$1` is the id.
fn values(statement: Statement, provider: &IdentityProvider) -> Result<Statement> {
    let algorithms: Vec<String> = provider.algorithms.iter().map(|a| a.as_str().to_owned()).collect();
    let oauth = provider.oauth.as_ref().map(serde_json::to_string).transpose().map_err(Error::internal)?;
    Ok(statement
        .bind(provider.id)
        .bind(provider.display_name.as_str())
        .bind(provider.issuer.as_str())
        .bind(provider.client_id.as_str())
        .bind(provider.secret.as_deref())
        .bind(text(&provider.scopes)?.as_str())
        .bind(text(&algorithms)?.as_str())
        .bind(provider.group_claim.as_str())
        .bind(text(&provider.allowed_groups)?.as_str())
        .bind(provider.enabled)
        .bind(provider.sign_out_there)
        .bind(oauth.as_deref()))
}

fn identity(row: &mut Reader<'_>) -> Result<Identity> {
    Ok(Identity {
        id: row.parsed()?,
        issuer: row.text()?,
        subject: row.text()?,
        email: row.text_or_null()?,
        created_at: row.time()?,
        last_used_at: row.time()?,
    })
}

fn insert_identity(user: Uuid, identity: &Identity) -> Statement {
    const SQL: &str = "INSERT INTO identities (id, issuer, subject, user_id, email, created_at, last_used_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sql(SQL)
        .bind(identity.id)
        .bind(identity.issuer.as_str())
        .bind(identity.subject.as_str())
        .bind(user)
        .bind(identity.email.as_deref())
        .bind(identity.created_at)
        .bind(identity.last_used_at)
}

fn identity_taken() -> impl FnOnce(Error) -> Error {
    taken("identity", || "this identity opens an account already".to_owned())
}

/// A provider's name or issuer is another's: which, only the message of each database would tell, so it is looked up.
fn same_provider(others: &[IdentityProvider], provider: &IdentityProvider, error: Error) -> Error {
    let same = |other: &&IdentityProvider| other.id != provider.id && other.issuer == provider.issuer;
    let (field, message) = match others.iter().find(same) {
        Some(other) => ("issuer", format!("“{}” has this issuer already", other.name)),
        None => ("name", format!("a provider called “{}” exists already", provider.name)),
    };
    Error::new(ErrorCode::AlreadyExists, message.clone())
        .with_fields(vec![FieldError::new(field, "taken", message)])
        .caused_by(error)
}

/// Locks the account, so that changes of what opens it follow one another.
pub(crate) async fn lock_user(transaction: &mut impl Transaction, user: Uuid) -> Result<()> {
    found(transaction.execute(sql("UPDATE users SET name = name WHERE id = $1").bind(user)).await?)
}

/// What makes room in a table of things that strangers begin: those that are over go, and those beyond the limits of a network, of a
/// person, and in all.
macro_rules! making_room {
    ($table:literal) => {
        [
            concat!("DELETE FROM ", $table, " WHERE expires_at <= $1"),
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE digest IN (SELECT digest FROM ",
                $table,
                " WHERE network = $1 ORDER BY expires_at DESC, digest LIMIT 1000 OFFSET $2)"
            ),
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE digest IN (SELECT digest FROM ",
                $table,
                " WHERE user_id = $1 ORDER BY expires_at DESC, digest LIMIT 1000 OFFSET $2)"
            ),
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE digest IN (SELECT digest FROM ",
                $table,
                " ORDER BY expires_at DESC, digest LIMIT 1000 OFFSET $1)"
            ),
        ]
    };
}
pub(crate) use making_room;

/// Inserts something that somebody began in a network, for a person where there is one, and makes room with [`making_room`].
pub(crate) async fn make_room(
    transaction: &mut impl Transaction,
    [over, of_network, of_user, overall]: [&'static str; 4],
    insert: Statement,
    (network, user): (&str, Option<Uuid>),
    most: Most,
    now: Timestamp,
) -> Result<()> {
    // One after the other, so that the limits hold for those who begin at once, too, and nobody waits for anybody in a circle.
    const LOCK: &str = "UPDATE sign_in_settings SET local_accounts = local_accounts";
    transaction.execute(sql(LOCK)).await?;
    transaction.execute(sql(over).bind(now)).await?;
    transaction.execute(insert).await?;
    transaction.execute(sql(of_network).bind(network).bind(most.of_network)).await?;
    if let Some(user) = user {
        transaction.execute(sql(of_user).bind(user).bind(most.of_user)).await?;
    }
    transaction.execute(sql(overall).bind(most.overall)).await?;
    Ok(())
}

#[async_trait]
impl<E: Engine> SignIns for SqlStore<E> {
    async fn list_providers(&self) -> Result<Vec<IdentityProvider>> {
        const SQL: &str = concat!("SELECT ", provider_columns!(), " FROM identity_providers p ORDER BY p.name");
        self.all(sql(SQL), provider).await
    }

    async fn create_provider(&self, _: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<()> {
        const SQL: &str = "INSERT INTO identity_providers (id, display_name, issuer, client_id, secret, scopes, \
                           algorithms, group_claim, allowed_groups, enabled, sign_out_there, oauth, name, created_at, \
                           version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let statement =
            values(sql(SQL), provider)?.bind(provider.name.as_str()).bind(provider.created_at).bind(provider.version);
        match self.engine.execute(statement).await {
            Err(e) if e.code() == ErrorCode::AlreadyExists => {
                Err(same_provider(&self.list_providers().await?, provider, e))
            }
            done => done.map(drop),
        }
    }

    async fn update_provider(&self, _: &Grant<PlatformRef>, provider: &IdentityProvider) -> Result<i64> {
        const SQL: &str = "UPDATE identity_providers SET display_name = $2, issuer = $3, client_id = $4, secret = $5, \
                           scopes = $6, algorithms = $7, group_claim = $8, allowed_groups = $9, enabled = $10, \
                           sign_out_there = $11, oauth = $12, version = version + 1 WHERE id = $1 AND version = $13 RETURNING version";
        match self.engine.write(values(sql(SQL), provider)?.bind(provider.version)).await {
            Err(e) if e.code() == ErrorCode::AlreadyExists => {
                Err(same_provider(&self.list_providers().await?, provider, e))
            }
            Err(e) => Err(e),
            Ok(rows) => match rows.first() {
                Some(row) => Reader::new(row).int(),
                None => {
                    let message = "the provider has changed since it was read: read it again";
                    Err(Error::new(ErrorCode::Conflict, message))
                }
            },
        }
    }

    async fn delete_provider(&self, _: &Grant<PlatformRef>, name: &ProviderName) -> Result<()> {
        self.change_one(sql("DELETE FROM identity_providers WHERE name = $1").bind(name.as_str())).await
    }

    async fn session_provider(&self, session: Uuid) -> Result<Option<IdentityProvider>> {
        const SQL: &str = concat!(
            "SELECT ",
            provider_columns!(),
            " FROM sessions s JOIN identity_providers p ON p.id = s.provider_id WHERE s.id = $1"
        );
        self.one(sql(SQL).bind(session), provider).await
    }

    async fn begin_attempt(&self, attempt: &Attempt, most: Most, now: Timestamp) -> Result<()> {
        const SQL: &str = "INSERT INTO sign_in_attempts (digest, provider_id, user_id, return_to, network, expires_at) \
                           VALUES ($1, $2, $3, $4, $5, $6)";
        let user = attempt.user.map(|user| user.to_string());
        let insert = sql(SQL)
            .bind(&attempt.digest)
            .bind(attempt.provider)
            .bind(user.as_deref())
            .bind(attempt.return_to.as_str())
            .bind(attempt.network.as_str())
            .bind(attempt.expires_at);
        let mut transaction = self.engine.begin().await?;
        let whose = (attempt.network.as_str(), attempt.user);
        make_room(&mut transaction, making_room!("sign_in_attempts"), insert, whose, most, now).await?;
        transaction.commit().await
    }

    async fn take_attempt(&self, digest: &Digest) -> Result<Option<Attempt>> {
        const SQL: &str = "DELETE FROM sign_in_attempts WHERE digest = $1 \
                           RETURNING digest, provider_id, user_id, return_to, network, expires_at";
        let rows = self.engine.write(sql(SQL).bind(digest)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut row = Reader::new(row);
        Ok(Some(Attempt {
            digest: row.digest()?,
            provider: row.parsed()?,
            user: row.parsed_or_null()?,
            return_to: row.text()?,
            network: row.text()?,
            expires_at: row.time()?,
        }))
    }

    async fn find_identity(&self, issuer: &str, subject: &str) -> Result<Option<(Identity, Account)>> {
        const SQL: &str = concat!(
            "SELECT ",
            identity_columns!(),
            ", ",
            user_columns!(),
            ", u.password_hash FROM identities i JOIN users u ON u.id = i.user_id WHERE i.issuer = $1 AND i.subject = $2"
        );
        self.one(sql(SQL).bind(issuer).bind(subject), |row| Ok((identity(row)?, account(row)?))).await
    }

    async fn add_identity(&self, user: Uuid, identity: &Identity) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        transaction.execute(insert_identity(user, identity)).await.map_err(identity_taken())?;
        let whose = called(&mut transaction, user).await?;
        let notice = Notice::of_account(EventKind::ProviderConnected, &whose, identity.created_at);
        put(&mut transaction, None, &notice).await?;
        transaction.commit().await
    }

    async fn create_user_with(&self, account: &Account, identity: &Identity) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        transaction.execute(insert_user(account)).await.map_err(name_taken(account))?;
        transaction.execute(insert_identity(account.user.id, identity)).await.map_err(identity_taken())?;
        transaction.commit().await
    }

    async fn touch_identity(&self, id: Uuid, email: Option<&str>, now: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE identities SET email = $2, last_used_at = $3 WHERE id = $1";
        self.engine.execute(sql(SQL).bind(id).bind(email).bind(now)).await.map(drop)
    }

    async fn list_identities(&self, user: Uuid) -> Result<Vec<Identity>> {
        const SQL: &str = concat!(
            "SELECT ",
            identity_columns!(),
            " FROM identities i WHERE i.user_id = $1 ORDER BY i.created_at, i.id"
        );
        self.all(sql(SQL).bind(user), identity).await
    }

    async fn remove_identity(&self, user: Uuid, id: Uuid, password_counts: bool) -> Result<()> {
        // One of a provider that is gone or switched off opens nothing.
        const OTHERS: &str = "SELECT 1 FROM identities i JOIN identity_providers p ON p.issuer = i.issuer \
                              WHERE i.user_id = $1 AND i.id <> $2 AND p.enabled LIMIT 1";
        const PASSWORD: &str = "SELECT 1 FROM users WHERE id = $1 AND password_hash IS NOT NULL";
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        let mut ways = transaction.fetch(sql(OTHERS).bind(user).bind(id)).await?.len();
        if password_counts {
            ways += transaction.fetch(sql(PASSWORD).bind(user)).await?.len();
        }
        let gone = sql("DELETE FROM identities WHERE user_id = $1 AND id = $2").bind(user).bind(id);
        found(transaction.execute(gone).await?)?;
        if ways == 0 {
            // What was done so far is undone with the transaction.
            return Err(last_way_in());
        }
        transaction.commit().await
    }

    async fn list_group_rules(&self, provider: Uuid) -> Result<Vec<GroupRule>> {
        const SQL: &str = "SELECT r.id, r.group_name, t.name, r.role, r.created_at FROM group_rules r \
                           JOIN tenants t ON t.id = r.tenant_id WHERE r.provider_id = $1 ORDER BY r.group_name, t.name";
        self.all(sql(SQL).bind(provider), |row| {
            Ok(GroupRule {
                id: row.parsed()?,
                group: row.text()?,
                tenant: row.parsed()?,
                role: row.word(TenantRole::from_word)?,
                created_at: row.time()?,
            })
        })
        .await
    }

    async fn create_group_rule(&self, _: &Grant<PlatformRef>, provider: Uuid, rule: &NewGroupRule) -> Result<()> {
        const SQL: &str = "INSERT INTO group_rules (id, provider_id, group_name, tenant_id, role, created_at) \
                           VALUES ($1, $2, $3, $4, $5, $6)";
        const TENANT: &str = "SELECT id FROM tenants WHERE name = $1";
        let mut transaction = self.engine.begin().await?;
        let rows = transaction.fetch(sql(TENANT).bind(rule.tenant.as_str())).await?;
        let tenant: Uuid = Reader::new(rows.first().ok_or_else(Error::not_found)?).parsed()?;
        giving(&mut transaction, tenant, rule.role).await?;
        let statement = sql(SQL)
            .bind(rule.id)
            .bind(provider)
            .bind(rule.group.as_str())
            .bind(tenant)
            .bind(rule.role.as_str())
            .bind(rule.created_at);
        let named = taken("group", || format!("“{}” has a rule for {} already", rule.group, rule.tenant));
        transaction.execute(statement).await.map_err(named)?;
        transaction.commit().await
    }

    async fn delete_group_rule(&self, _: &Grant<PlatformRef>, provider: Uuid, rule: Uuid) -> Result<()> {
        const SQL: &str = "DELETE FROM group_rules WHERE provider_id = $1 AND id = $2";
        self.change_one(sql(SQL).bind(provider).bind(rule)).await
    }

    async fn apply_group_rules(
        &self,
        user: Uuid,
        provider: Uuid,
        groups: &[String],
        now: Timestamp,
    ) -> Result<Applied> {
        const RULES: &str = concat!(
            "SELECT r.group_name, r.tenant_id, t.name, r.role, ",
            own_rights!("r.tenant_id", "r.role"),
            " FROM group_rules r JOIN tenants t ON t.id = r.tenant_id WHERE r.provider_id = $1 \
             ORDER BY r.tenant_id"
        );
        const STANDING: &str = "SELECT m.tenant_id, t.name, m.role, m.provider_id FROM memberships m \
                                JOIN tenants t ON t.id = m.tenant_id WHERE m.user_id = $1";
        // What a person gives by hand in between stays theirs.
        const SET: &str = "INSERT INTO memberships (tenant_id, user_id, role, created_at, provider_id) \
                           VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, user_id) DO UPDATE \
                           SET role = excluded.role WHERE memberships.provider_id = excluded.provider_id";
        const LEAVE: &str = "DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2 AND provider_id = $3";
        let mut transaction = self.engine.begin().await?;
        lock_user(&mut transaction, user).await?;
        let (mut names, mut want, mut standing) = (Vec::<(Uuid, TenantName)>::new(), Vec::new(), Vec::new());
        for row in &transaction.fetch(sql(RULES).bind(provider)).await? {
            let mut row = Reader::new(row);
            let (group, tenant, name) = (row.text()?, row.parsed()?, row.parsed()?);
            if groups.contains(&group) {
                let role = row.word(TenantRole::from_word)?;
                want.push((tenant, role, Rights::of(Some(role), own(&mut row)?)));
                names.push((tenant, name));
            }
        }
        for row in &transaction.fetch(sql(STANDING).bind(user)).await? {
            let mut row = Reader::new(row);
            let (tenant, name) = (row.parsed()?, row.parsed()?);
            names.push((tenant, name));
            standing.push(Standing { tenant, role: row.word(TenantRole::from_word)?, provider: row.parsed_or_null()? });
        }
        let named = |tenant: Uuid| names.iter().find(|(id, _)| *id == tenant).map(|(_, name)| name.clone());
        // In the order of the tenants, which are locked: so no two who sign in wait for each other.
        let changes = changes(&standing, provider, &want);
        let mut applied = Applied::default();
        for (tenant, role) in changes.set {
            match giving(&mut transaction, tenant, role).await {
                Ok(()) => {}
                // Its rule went a moment ago, and then the role: who signs in comes in without it.
                Err(e) if e.code() == ErrorCode::Invalid => continue,
                Err(e) => return Err(e),
            }
            let set = sql(SET).bind(tenant).bind(user).bind(role.as_str()).bind(now).bind(provider);
            if transaction.execute(set).await? > 0 {
                applied.set.extend(named(tenant).map(|name| (name, role)));
            }
        }
        for tenant in changes.remove {
            if transaction.execute(sql(LEAVE).bind(tenant).bind(user).bind(provider)).await? > 0 {
                applied.removed.extend(named(tenant));
            }
        }
        transaction.commit().await?;
        Ok(applied)
    }

    async fn local_accounts(&self) -> Result<bool> {
        let found = self.one(sql("SELECT local_accounts FROM sign_in_settings"), |row| row.bool()).await?;
        found.ok_or_else(|| Error::internal("the settings of sign-in are gone"))
    }

    async fn set_local_accounts(&self, _: &Grant<PlatformRef>, allowed: bool) -> Result<()> {
        self.change_one(sql("UPDATE sign_in_settings SET local_accounts = $1").bind(allowed)).await
    }
}
