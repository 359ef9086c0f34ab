//! SQLite: one connection writes, a few read.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use berth_core::error::Result;
use sqlx::{
    ConnectOptions as _, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Options,
    engine::{Engine, Statement, Transaction, commit_failure, driver, failure},
    migrations::Dialect,
};

/// How long a write waits for another process that writes, such as `berth admin` beside `berth serve`.
/// Less than [`Options::answer_timeout`] together with the queue before it, so that SQLite itself says that nothing was changed.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// As many rows as a page's lists have, but for the longest.
const ROWS: usize = 1024;
/// Between two tries to open a file that others are opening.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The write-ahead log is cut back to this after a burst.
const WAL_LIMIT_BYTES: &str = "16777216";

/// A SQLite database. Writers queue for the one connection that writes instead of meeting `SQLITE_BUSY`; in WAL mode,
/// readers neither wait for them nor stop them.
pub(crate) struct SqliteEngine {
    writer: SqlitePool,
    readers: Option<Readers>,
}

impl SqliteEngine {
    /// Opens the file, making it if it is missing (readable by its owner only: it holds password hashes).
    pub(crate) async fn open(path: &Path, options: &Options) -> sqlx::Result<Self> {
        create_private(path).map_err(sqlx::Error::Io)?;
        let begun = Instant::now();
        loop {
            match Self::connect(path, options).await {
                // The switch to WAL of processes that start together does not wait for its turn, as all else does
                // (<https://sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode>).
                Err(e) if is_busy(&e) && begun.elapsed() < BUSY_TIMEOUT => tokio::time::sleep(BUSY_PAUSE).await,
                done => return done,
            }
        }
    }

    async fn connect(path: &Path, options: &Options) -> sqlx::Result<Self> {
        let connect = settings().filename(path).journal_mode(SqliteJournalMode::Wal);
        let writer = pool(options).connect_with(connect.clone()).await?;
        let readers = Readers::open(&connect.pragma("query_only", "ON"), options.max_connections.max(1)).await?;
        Ok(Self { writer, readers: Some(readers) })
    }

    /// A database that lasts as long as the process: every connection has its own, so there is only one.
    pub(crate) async fn in_memory(options: &Options) -> sqlx::Result<Self> {
        Ok(Self { writer: pool(options).connect_with(settings().in_memory(true)).await?, readers: None })
    }
}

/// Connections that only read, each with its prepared statements. Every page makes several reads of a few microseconds:
/// sqlx's pool, which tries a connection whenever it is given back, would take longer than they do.
struct Readers {
    connections: Vec<Mutex<SqliteConnection>>,
    next: AtomicUsize,
}

impl Readers {
    async fn open(connect: &SqliteConnectOptions, count: u32) -> sqlx::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(Mutex::new(connect.connect().await?));
        }
        Ok(Self { connections, next: AtomicUsize::new(0) })
    }

    /// The first that is free (so that few are in use, with warm caches); when all are busy, one after the other.
    async fn acquire(&self) -> MutexGuard<'_, SqliteConnection> {
        match self.connections.iter().find_map(|connection| connection.try_lock().ok()) {
            Some(free) => free,
            None => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                self.connections[turn % self.connections.len()].lock().await
            }
        }
    }
}

/// `SQLITE_BUSY`, with or without more in its upper bytes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

fn settings() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // By default SQLite's thread waits for ours, and ours for it, every 50 rows.
        .row_buffer_size(ROWS)
        // NORMAL survives a killed process but not a lost machine: its last commits may only be in the system's cache.
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_LIMIT_BYTES)
        .pragma("trusted_schema", "OFF")
}

/// The connection that writes. It stays open: it holds prepared statements, and a memory database itself.
fn pool(options: &Options) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
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
        match &self.readers {
            Some(readers) => bound(statement).fetch_all(&mut *readers.acquire().await).await,
            None => bound(statement).fetch_all(&self.writer).await,
        }
        .map_err(failure)
    }

    async fn write(&self, statement: Statement) -> Result<Vec<SqliteRow>> {
        bound(statement).fetch_all(&self.writer).await.map_err(commit_failure)
    }

    async fn execute(&self, statement: Statement) -> Result<u64> {
        let done = bound(statement).execute(&self.writer).await.map_err(commit_failure)?;
        Ok(done.rows_affected())
    }

    /// IMMEDIATE: a transaction that reads first and writes later could otherwise fail at the write.
    async fn begin(&self) -> Result<Self::Transaction> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failure)
    }

    async fn close(self) {
        drop(self.readers);
        self.writer.close().await;
    }
}

impl Transaction for sqlx::Transaction<'static, Sqlite> {
    type Row = SqliteRow;

    async fn fetch(&mut self, statement: Statement) -> Result<Vec<SqliteRow>> {
        bound(statement).fetch_all(&mut **self).await.map_err(failure)
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64> {
        let done = bound(statement).execute(&mut **self).await.map_err(failure)?;
        Ok(done.rows_affected())
    }

    async fn script(&mut self, text: &'static str) -> Result<()> {
        sqlx::raw_sql(text).execute(&mut **self).await.map_err(failure)?;
        Ok(())
    }

    async fn commit(self) -> Result<()> {
        sqlx::Transaction::commit(self).await.map_err(commit_failure)
    }

    async fn rollback(self) -> Result<()> {
        sqlx::Transaction::rollback(self).await.map_err(failure)
    }
}
