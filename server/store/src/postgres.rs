//! Postgres: a pool, for installations with more than one replica.

use std::time::Duration;

use berth_core::error::Result;
use sqlx::{
    Connection, PgConnection, PgPool, Postgres,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};

use crate::{
    Options,
    engine::{Engine, Statement, driver, failure},
    migrations::Dialect,
};

/// A connection that rested for longer is tried before it is used; asking each time would double the round trips.
const TRUSTED_FOR: Duration = Duration::from_secs(5);

/// Connections kept open even while nobody asks: making one takes the processor longer than most statements do.
const WARM: u32 = 4;

/// A process that stops in the midst of a transaction, with its connection open, must not keep its locks: everybody waits for
/// the end of the audit log.
const LET_GO: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// A Postgres database. Statements run at READ COMMITTED; where a decision rests on rows it read, the transaction first
/// takes the row lock that serialises it (by an update that changes nothing, which SQLite understands too).
pub(crate) struct PgEngine {
    pool: PgPool,
    answer_timeout: Duration,
}

impl PgEngine {
    pub(crate) async fn open(connect: PgConnectOptions, options: &Options) -> sqlx::Result<Self> {
        // The pool would try until its time is over, and then tell of that only: the first try says what is wrong.
        let first = tokio::time::timeout(options.acquire_timeout, PgConnection::connect_with(&connect)).await;
        match first {
            Ok(connection) => connection?.close().await?,
            Err(_) => return Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections.max(1))
            .min_connections(options.max_connections.clamp(1, WARM))
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move { sqlx::raw_sql(LET_GO).execute(connection).await.map(drop) })
            })
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect.application_name("berth"))
            .await?;
        Ok(Self { pool, answer_timeout: options.answer_timeout })
    }

    /// What the driver says, or that the server does not answer.
    async fn answered<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(self.answer_timeout, work).await.map_err(late).flatten().map_err(failure)
    }
}

driver!(Postgres, PgRow);

impl Engine for PgEngine {
    type Row = PgRow;
    type Transaction = sqlx::Transaction<'static, Postgres>;

    const DIALECT: Dialect = Dialect::Postgres;
    /// The number is "berth" in ASCII; let go when the transaction ends, however it ends.
    const MIGRATION_LOCK: Option<&'static str> = Some("SELECT pg_advisory_xact_lock(422608794728)");
    const DESCRIBE: &'static str = "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)";

    async fn read(&self, statement: Statement) -> Result<Vec<PgRow>> {
        self.answered(bound(statement).fetch_all(&self.pool)).await
    }

    async fn write(&self, statement: Statement) -> Result<Vec<PgRow>> {
        self.answered(bound(statement).fetch_all(&self.pool)).await
    }

    async fn execute(&self, statement: Statement) -> Result<u64> {
        Ok(self.answered(bound(statement).execute(&self.pool)).await?.rows_affected())
    }

    async fn begin(&self) -> Result<Self::Transaction> {
        self.answered(self.pool.begin()).await
    }

    async fn close(self) {
        self.pool.close().await;
    }
}
