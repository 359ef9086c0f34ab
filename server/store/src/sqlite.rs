//! SQLite: one connection writes, a few read.

use std::{path::Path, time::Duration};

use berth_core::error::Result;
use sqlx::{
    Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use crate::{
    Options,
    engine::{Engine, Statement, driver, failure},
    migrations::Dialect,
};

/// How long a write waits for another process that writes, such as `berth admin` beside `berth serve`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this after a burst.
const WAL_LIMIT_BYTES: &str = "16777216";

/// A SQLite database. Writers queue for the one connection that writes instead of meeting `SQLITE_BUSY`; in WAL mode,
/// readers neither wait for them nor stop them.
#[derive(Clone)]
pub(crate) struct SqliteEngine {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteEngine {
    /// Opens the file, making it if it is missing (readable by its owner only: it holds password hashes).
    pub(crate) async fn open(path: &Path, options: &Options) -> sqlx::Result<Self> {
        create_private(path).map_err(sqlx::Error::Io)?;
        let connect = settings().filename(path).journal_mode(SqliteJournalMode::Wal);
        let writer = pool(1, options).connect_with(connect.clone()).await?;
        let readers = pool(options.max_connections.max(1), options)
            .connect_with(connect.pragma("query_only", "ON").create_if_missing(false))
            .await?;
        Ok(Self { writer, readers })
    }

    /// A database that lasts as long as the process: every connection has its own, so there is only one.
    pub(crate) async fn in_memory(options: &Options) -> sqlx::Result<Self> {
        let only = pool(1, options).connect_with(settings().in_memory(true)).await?;
        Ok(Self { writer: only.clone(), readers: only })
    }
}

fn settings() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // NORMAL survives a killed process but not a lost machine: its last commits may only be in the system's cache.
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_LIMIT_BYTES)
        .pragma("trusted_schema", "OFF")
}

/// Connections stay open: they hold prepared statements, and a memory database itself.
fn pool(connections: u32, options: &Options) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}

driver!(Sqlite, SqliteRow);

impl Engine for SqliteEngine {
    type Row = SqliteRow;
    type Transaction = sqlx::Transaction<'static, Sqlite>;

    const DIALECT: Dialect = Dialect::Sqlite;
    /// None: every transaction that writes begins by taking the one write lock.
    const MIGRATION_LOCK: Option<&'static str> = None;
    const DESCRIBE: &'static str = "SELECT 'SQLite ' || sqlite_version()";

    async fn read(&self, statement: Statement) -> Result<Vec<SqliteRow>> {
        bound(statement).fetch_all(&self.readers).await.map_err(failure)
    }

    async fn write(&self, statement: Statement) -> Result<Vec<SqliteRow>> {
        bound(statement).fetch_all(&self.writer).await.map_err(failure)
    }

    async fn execute(&self, statement: Statement) -> Result<u64> {
        let done = bound(statement).execute(&self.writer).await.map_err(failure)?;
        Ok(done.rows_affected())
    }

    /// IMMEDIATE: a transaction that reads first and writes later could otherwise fail at the write.
    async fn begin(&self) -> Result<Self::Transaction> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failure)
    }
}
