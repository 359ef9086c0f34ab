//! People, sessions, tokens, failed sign-ins.

use async_trait::async_trait;
use berth_core::{
    authz::{Grant, PlatformRef},
    error::{Error, Result},
    notices::Notice,
    ports::{
        store::{Account, Digest, Failures, NewSession, NewToken, People},
        view_as::OpenView,
    },
};
use berth_types::{
    ListQuery, Page, PlatformRole, Right, UserName,
    people::{ApiToken, Session, TokenPurpose, TokenScope, User},
    webhook::EventKind,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    engine::{Engine, Reader, Statement, Transaction, sql},
    links::voiding_reset,
    list::{Filter, Key, Listing, Sort},
    sign_in::lock_user,
    store::{SqlStore, found, taken},
    view_as::{open_view, open_view_columns},
    webhooks::{called, put},
};

/// Whether `users u` has a second factor.
macro_rules! has_factor {
    () => {
        "(EXISTS (SELECT 1 FROM authenticators f WHERE f.user_id = u.id) \
         OR EXISTS (SELECT 1 FROM passkeys k WHERE k.user_id = u.id))"
    };
}
pub(crate) use has_factor;

/// The columns that [`user`] reads, from `users u`; a macro, since `concat!` takes only literals.
macro_rules! user_columns {
    () => {
        concat!(
            "u.id, u.name, u.display_name, u.platform_role, u.disabled, u.must_change_password, ",
            $crate::people::has_factor!(),
            ", u.created_at"
        )
    };
}
pub(crate) use user_columns;

macro_rules! session_columns {
    () => {
        "s.id, s.created_at, s.last_seen_at, s.expires_at, s.user_agent, s.network"
    };
}

macro_rules! token_columns {
    () => {
        "t.id, t.name, t.prefix, t.purpose, t.read_only, t.tenant, t.namespace, t.actions, t.created_at, t.expires_at, t.last_used_at"
    };
}

fn user(row: &mut Reader<'_>) -> Result<User> {
    Ok(User {
        id: row.parsed()?,
        name: row.user()?,
        display_name: row.text()?,
        platform_role: row.word_or_null(PlatformRole::from_word)?,
        disabled: row.bool()?,
        must_change_password: row.bool()?,
        second_factor: row.bool()?,
        created_at: row.time()?,
    })
}

/// Reads `user_columns!()` and `u.password_hash`.
pub(crate) fn account(row: &mut Reader<'_>) -> Result<Account> {
    Ok(Account { user: user(row)?, password_hash: row.text_or_null()? })
}

fn session(row: &mut Reader<'_>) -> Result<Session> {
    Ok(Session {
        id: row.parsed()?,
        created_at: row.time()?,
        last_seen_at: row.time()?,
        expires_at: row.time()?,
        user_agent: row.text()?,
        network: row.text()?,
        // Which one asks is for the service to say.
        current: false,
    })
}

fn actions(row: &mut Reader<'_>) -> Result<Vec<Right>> {
    let text = row.text_or_null()?.unwrap_or_default();
    text.split_whitespace().map(|right| right.parse().map_err(Error::internal)).collect()
}

fn token(row: &mut Reader<'_>) -> Result<ApiToken> {
    Ok(ApiToken {
        id: row.parsed()?,
        name: row.text()?,
        prefix: row.text()?,
        purpose: row.word(TokenPurpose::from_word)?,
        scope: TokenScope {
            read_only: row.bool()?,
            tenant: row.parsed_or_null()?,
            namespace: row.parsed_or_null()?,
            actions: actions(row)?,
        },
        created_at: row.time()?,
        expires_at: row.time()?,
        last_used_at: row.time_or_null()?,
    })
}

/// What `q` is searched in: folded here, where both databases fold alike.
pub(crate) fn search_text(name: &UserName, display_name: &str) -> String {
    format!("{name} {display_name}").to_lowercase()
}

static USERS: Listing<User> = Listing {
    columns: user_columns!(),
    // Robots are their tenants' business.
    from: "(SELECT * FROM users WHERE robot_of IS NULL) u",
    search: "u.search",
    filters: &[
        Filter {
            field: "role",
            sql: "COALESCE(u.platform_role, 'none')",
            values: &["admin", "auditor", "none"],
            facet: true,
        },
        Filter {
            field: "disabled",
            sql: "CASE WHEN u.disabled THEN 'true' ELSE 'false' END",
            values: &["true", "false"],
            facet: true,
        },
    ],
    sorts: &[
        Sort { field: "name", sql: "u.name", key: |user| Key::Text(user.name.to_string()) },
        Sort { field: "created", sql: "u.created_at", key: |user| Key::Int(user.created_at.as_microsecond()) },
    ],
    unique: "name",
    unique_descending: false,
    read: user,
};

/// A new account.
pub(crate) fn insert_user(account: &Account) -> Statement {
    const SQL: &str = "INSERT INTO users (id, name, display_name, search, platform_role, password_hash, disabled, \
                       must_change_password, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let Account { user, password_hash } = account;
    sql(SQL)
        .bind(user.id)
        .bind(user.name.as_str())
        .bind(user.display_name.as_str())
        .bind(search_text(&user.name, &user.display_name).as_str())
        .bind(user.platform_role.map(PlatformRole::as_str))
        .bind(password_hash.as_deref())
        .bind(user.disabled)
        .bind(user.must_change_password)
        .bind(user.created_at)
}

/// Says that the account's name is taken, where [`insert_user`] found so.
pub(crate) fn name_taken(account: &Account) -> impl FnOnce(Error) -> Error {
    taken("name", || format!("a person called “{}” exists already", account.user.name))
}

/// Ends all of a person's sessions but `keep`.
pub(crate) fn ending_sessions(user: Uuid, keep: Option<Uuid>) -> Statement {
    // The nil id is nobody's session.
    sql("DELETE FROM sessions WHERE user_id = $1 AND id <> $2").bind(user).bind(keep.unwrap_or_default())
}

/// Ends all of a person's sign-ins that wait for a code.
pub(crate) fn ending_second_steps(user: Uuid) -> Statement {
    sql("DELETE FROM second_steps WHERE user_id = $1").bind(user)
}

/// Replaces the password hash, ends all sessions and what would become one, and makes links that would set another password void.
pub(crate) async fn setting_password(
    transaction: &mut impl Transaction,
    user: Uuid,
    hash: &str,
    must_change: bool,
    now: Timestamp,
) -> Result<()> {
    const SET: &str = "UPDATE users SET password_hash = $2, must_change_password = $3 WHERE id = $1";
    found(transaction.execute(sql(SET).bind(user).bind(hash).bind(must_change)).await?)?;
    password_set(transaction, user, now).await
}

/// What goes with a password that was replaced. The row of its owner is locked by that: who comes with the old one waits, and is refused.
async fn password_set(transaction: &mut impl Transaction, user: Uuid, now: Timestamp) -> Result<()> {
    transaction.execute(voiding_reset(user)).await?;
    transaction.execute(ending_second_steps(user)).await?;
    transaction.execute(ending_sessions(user, None)).await?;
    let whose = called(transaction, user).await?;
    put(transaction, None, &Notice::of_account(EventKind::PasswordChanged, &whose, now)).await
}

/// A new token; of a job, with the trust that gives it.
pub(crate) fn insert_token(token: &NewToken, trust: Option<Uuid>) -> Statement {
    const SQL: &str = "INSERT INTO tokens (id, digest, user_id, name, prefix, purpose, made_by, read_only, tenant, \
                       namespace, actions, created_at, expires_at, trust_id) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let actions = token.scope.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    sql(SQL)
        .bind(token.id)
        .bind(&token.digest)
        .bind(token.user)
        .bind(token.name.as_str())
        .bind(token.prefix.as_str())
        .bind(token.purpose.as_str())
        .bind(token.made_by)
        .bind(token.scope.read_only)
        .bind(token.scope.tenant.as_ref().map(|name| name.as_str()))
        .bind(token.scope.namespace.as_ref().map(|name| name.as_str()))
        .bind(Some(actions.as_str()).filter(|actions| !actions.is_empty()))
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(trust)
}

#[async_trait]
impl<E: Engine> People for SqlStore<E> {
    async fn any_user(&self) -> Result<bool> {
        Ok(!self.engine.read(sql("SELECT 1 FROM users LIMIT 1")).await?.is_empty())
    }

    async fn find_account(&self, name: &UserName) -> Result<Option<Account>> {
        const SQL: &str = concat!("SELECT ", user_columns!(), ", u.password_hash FROM users u WHERE u.name = $1");
        self.one(sql(SQL).bind(name.as_str()), account).await
    }

    async fn find_account_by_id(&self, id: Uuid) -> Result<Option<Account>> {
        const SQL: &str = concat!("SELECT ", user_columns!(), ", u.password_hash FROM users u WHERE u.id = $1");
        self.one(sql(SQL).bind(id), account).await
    }

    async fn list_users(&self, _: &Grant<PlatformRef>, query: &ListQuery) -> Result<Page<User>> {
        USERS.page(&self.engine, query).await
    }

    async fn create_user(&self, account: &Account) -> Result<()> {
        self.engine.execute(insert_user(account)).await.map(drop).map_err(name_taken(account))
    }

    async fn update_user(&self, _: &Grant<PlatformRef>, user: &User) -> Result<()> {
        const SQL: &str =
            "UPDATE users SET display_name = $2, search = $3, platform_role = $4, disabled = $5 WHERE id = $1";
        let statement = sql(SQL)
            .bind(user.id)
            .bind(user.display_name.as_str())
            .bind(search_text(&user.name, &user.display_name).as_str())
            .bind(user.platform_role.map(PlatformRole::as_str))
            .bind(user.disabled);
        let mut transaction = self.engine.begin().await?;
        found(transaction.execute(statement).await?)?;
        if user.disabled {
            transaction.execute(ending_sessions(user.id, None)).await?;
        }
        transaction.commit().await
    }

    async fn set_password(&self, user: Uuid, hash: &str, must_change: bool, now: Timestamp) -> Result<()> {
        let mut transaction = self.engine.begin().await?;
        setting_password(&mut transaction, user, hash, must_change, now).await?;
        transaction.commit().await
    }

    async fn change_password(&self, user: Uuid, old: &str, hash: &str, now: Timestamp) -> Result<bool> {
        const SET: &str = "UPDATE users SET password_hash = $3, must_change_password = $4 \
                           WHERE id = $1 AND password_hash = $2";
        let mut transaction = self.engine.begin().await?;
        if transaction.execute(sql(SET).bind(user).bind(old).bind(hash).bind(false)).await? == 0 {
            return Ok(false);
        }
        password_set(&mut transaction, user, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn rehash_password(&self, user: Uuid, old: &str, new: &str) -> Result<()> {
        const SQL: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
        // None changed: the password is another one by now, and its hash is fresh.
        self.engine.execute(sql(SQL).bind(user).bind(old).bind(new)).await.map(drop)
    }

    async fn create_session(&self, session: &NewSession) -> Result<bool> {
        const SQL: &str = "INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, expires_at, user_agent, \
                           network, provider_id) SELECT $1, $2, u.id, $4, $4, $5, $6, $7, $8 FROM users u \
                           WHERE u.id = $3 AND NOT u.disabled AND ($9 IS NULL OR u.password_hash = $9)";
        let provider = session.provider.map(|provider| provider.to_string());
        let statement = sql(SQL)
            .bind(session.id)
            .bind(&session.digest)
            .bind(session.user)
            .bind(session.created_at)
            .bind(session.expires_at)
            .bind(session.user_agent.as_str())
            .bind(session.network.as_str())
            .bind(provider.as_deref())
            .bind(session.password.as_deref());
        let mut transaction = self.engine.begin().await?;
        // Who changes the password meanwhile is waited for, and ends what is there, or is seen.
        lock_user(&mut transaction, session.user).await?;
        let began = transaction.execute(statement).await? > 0;
        transaction.commit().await?;
        Ok(began)
    }

    async fn find_session(
        &self,
        digest: &Digest,
        now: Timestamp,
        idle_before: Timestamp,
    ) -> Result<Option<(Session, Account, Option<OpenView>)>> {
        const SQL: &str = concat!(
            "SELECT ",
            session_columns!(),
            ", ",
            user_columns!(),
            ", u.password_hash, ",
            open_view_columns!(),
            " FROM sessions s JOIN users u ON u.id = s.user_id \
             LEFT JOIN views w ON w.session_id = s.id AND w.viewer_id = u.id AND w.ended_at IS NULL \
             LEFT JOIN users v ON v.id = w.viewed_id \
             WHERE s.digest = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND NOT u.disabled"
        );
        let statement = sql(SQL).bind(digest).bind(now).bind(idle_before);
        self.one(statement, |row| Ok((session(row)?, account(row)?, open_view(row)?))).await
    }

    async fn touch_session(&self, id: Uuid, now: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";
        self.engine.execute(sql(SQL).bind(id).bind(now)).await.map(drop)
    }

    async fn list_sessions(&self, user: Uuid, now: Timestamp) -> Result<Vec<Session>> {
        const SQL: &str = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions s WHERE s.user_id = $1 AND s.expires_at > $2 ORDER BY s.created_at DESC, s.id"
        );
        self.all(sql(SQL).bind(user).bind(now), session).await
    }

    async fn end_session(&self, user: Uuid, id: Uuid) -> Result<()> {
        self.change_one(sql("DELETE FROM sessions WHERE user_id = $1 AND id = $2").bind(user).bind(id)).await
    }

    async fn end_sessions(&self, user: Uuid, keep: Option<Uuid>) -> Result<u64> {
        self.engine.execute(ending_sessions(user, keep)).await
    }

    async fn create_token(&self, token: &NewToken) -> Result<()> {
        let named = taken("name", || format!("there is a token called “{}” already", token.name));
        self.engine.execute(insert_token(token, None)).await.map(drop).map_err(named)
    }

    async fn find_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<(ApiToken, Account)>> {
        const SQL: &str = concat!(
            "SELECT ",
            token_columns!(),
            ", ",
            user_columns!(),
            ", u.password_hash FROM tokens t JOIN users u ON u.id = t.user_id \
             WHERE t.digest = $1 AND t.expires_at > $2 AND NOT u.disabled"
        );
        self.one(sql(SQL).bind(digest).bind(now), |row| Ok((token(row)?, account(row)?))).await
    }

    async fn touch_token(&self, id: Uuid, now: Timestamp) -> Result<()> {
        const SQL: &str = "UPDATE tokens SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2";
        self.engine.execute(sql(SQL).bind(id).bind(now)).await.map(drop)
    }

    async fn list_tokens(&self, user: Uuid) -> Result<Vec<ApiToken>> {
        const SQL: &str = concat!(
            "SELECT ",
            token_columns!(),
            " FROM tokens t WHERE t.user_id = $1 AND t.trust_id IS NULL ORDER BY t.created_at DESC, t.id"
        );
        self.all(sql(SQL).bind(user), token).await
    }

    async fn token_end(&self, user: Uuid, id: Uuid) -> Result<Option<Timestamp>> {
        let end = sql("SELECT expires_at FROM tokens WHERE user_id = $1 AND id = $2").bind(user).bind(id);
        self.one(end, |row| row.time()).await
    }

    async fn revoke_token(&self, user: Uuid, id: Uuid) -> Result<()> {
        self.change_one(sql("DELETE FROM tokens WHERE user_id = $1 AND id = $2").bind(user).bind(id)).await
    }

    async fn failures(&self, key: &str) -> Result<Option<Failures>> {
        const SQL: &str = "SELECT count, last_at FROM sign_in_failures WHERE key = $1";
        self.one(sql(SQL).bind(key), |row| Ok(Failures { count: row.int()?, last_at: row.time()? })).await
    }

    async fn count_failure(&self, key: &str, now: Timestamp, since: Timestamp) -> Result<i64> {
        const SQL: &str = "INSERT INTO sign_in_failures (key, count, last_at) VALUES ($1, 1, $2) \
                           ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at, \
                           count = CASE WHEN sign_in_failures.last_at < $3 THEN 1 ELSE sign_in_failures.count + 1 END \
                           RETURNING count";
        let rows = self.engine.write(sql(SQL).bind(key).bind(now).bind(since)).await?;
        let row = rows.first().ok_or_else(|| Error::internal("an upsert returned no row"))?;
        Reader::new(row).int()
    }

    async fn clear_failures(&self, key: &str) -> Result<()> {
        self.engine.execute(sql("DELETE FROM sign_in_failures WHERE key = $1").bind(key)).await.map(drop)
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64> {
        let mut rows = 0;
        // One statement each, no transaction around: locks are short, and what one leaves the next sweep takes.
        for text in [
            "DELETE FROM sessions WHERE expires_at < $1",
            "DELETE FROM tokens WHERE expires_at < $1",
            "DELETE FROM sign_in_failures WHERE last_at < $1",
            "DELETE FROM idempotency_keys WHERE created_at < $1",
            "DELETE FROM sign_in_attempts WHERE expires_at < $1",
            "DELETE FROM second_steps WHERE expires_at < $1",
            "DELETE FROM passkey_ceremonies WHERE expires_at < $1",
            "DELETE FROM ci_used WHERE expires_at < $1",
            "DELETE FROM cluster_tunnels WHERE seen_at < $1",
            "DELETE FROM replicas WHERE seen_at < $1",
            // Messages that are done with are kept for a week; mail that nobody sends any more is no use then either.
            "DELETE FROM webhook_messages WHERE next_at IS NULL AND created_at < $1 - 518400000000",
            "DELETE FROM mails WHERE created_at < $1 - 518400000000",
            // Kept for a month, so that who comes late with a link is told why it does nothing.
            "DELETE FROM invitations WHERE expires_at < $1 - 2592000000000",
            "DELETE FROM password_resets WHERE expires_at < $1 - 2592000000000",
        ] {
            rows += self.engine.execute(sql(text).bind(before)).await?;
        }
        Ok(rows)
    }
}
