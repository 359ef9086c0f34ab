//! Postgres, for installations with more than one replica.

use std::time::Duration;

use berth_core::error::Result;
use sqlx::{
    Postgres,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{
    Options,
    engine::{Engine, Statement, Transaction, commit_failure, driver, failure},
    migrations::Dialect,
    pool::{Lent, Pool},
};

/// What every connection is told, so that the server gives up before we do (`answer` is how long we wait) and says so: what it
/// has cancelled is certainly not done.
///
/// A statement whose client is gone would wait for its lock all the same, and then be done. A process that stops in the
/// midst of a transaction, with its connection open, must not keep its locks: everybody waits for the end of the audit log.
/// A connection that is dead without a word takes one of the server's places until keepalives find out.
fn settings(answer: Duration) -> String {
    let answer = answer.as_millis();
    format!(
        "SET idle_in_transaction_session_timeout = {answer}; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
        answer * 4 / 5,
        answer * 2 / 5
    )
}

/// A Postgres database. Statements run at READ COMMITTED; where a decision rests on rows it read, the transaction first
/// takes the row lock that serialises it (by an update that changes nothing, which SQLite understands too).
pub(crate) struct PgEngine {
    pool: Pool,
}

impl PgEngine {
    pub(crate) async fn open(connect: PgConnectOptions, options: &Options) -> sqlx::Result<Self> {
        let connect = connect.application_name("berth");
        let pool =
            Pool::new(connect, settings(options.answer_timeout), options.max_connections, options.acquire_timeout);
        // The first says what is wrong.
        pool.lend().await.map(drop)?;
        Ok(Self { pool })
    }
}

driver!(Postgres, PgRow);

impl Engine for PgEngine {
    type Row = PgRow;
    type Transaction = Lent;

    const DIALECT: Dialect = Dialect::Postgres;
    /// The number is "berth" in ASCII; let go when the transaction ends, however it ends. A migration takes its time.
    const MIGRATION_LOCK: Option<&'static str> =
        Some("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(422608794728)");
    const DESCRIBE: &'static str = "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)";

    async fn read(&self, statement: Statement) -> Result<Vec<PgRow>> {
        let mut lent = self.pool.lend().await.map_err(failure)?;
        Transaction::fetch(&mut lent, statement).await
    }

    async fn write(&self, statement: Statement) -> Result<Vec<PgRow>> {
        let mut lent = self.pool.lend().await.map_err(failure)?;
        let rows = bound(statement).fetch_all(lent.ask().map_err(failure)?).await;
        lent.heard(rows).map_err(commit_failure)
    }

    async fn execute(&self, statement: Statement) -> Result<u64> {
        let mut lent = self.pool.lend().await.map_err(failure)?;
        let done = bound(statement).execute(lent.ask().map_err(failure)?).await;
        Ok(lent.heard(done).map_err(commit_failure)?.rows_affected())
    }

    async fn begin(&self) -> Result<Lent> {
        let mut lent = self.pool.lend().await.map_err(failure)?;
        lent.open = true;
        lent.say("BEGIN").await.map_err(failure)?;
        Ok(lent)
    }

    async fn close(self) {
        self.pool.close().await;
    }
}

impl Transaction for Lent {
    type Row = PgRow;

    async fn fetch(&mut self, statement: Statement) -> Result<Vec<PgRow>> {
        let rows = bound(statement).fetch_all(self.ask().map_err(failure)?).await;
        self.heard(rows).map_err(failure)
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64> {
        let done = bound(statement).execute(self.ask().map_err(failure)?).await;
        Ok(self.heard(done).map_err(failure)?.rows_affected())
    }

    async fn script(&mut self, text: &'static str) -> Result<()> {
        self.say(text).await.map_err(failure)
    }

    async fn commit(mut self) -> Result<()> {
        self.say("COMMIT").await.map_err(commit_failure)?;
        self.open = false;
        Ok(())
    }

    async fn rollback(mut self) -> Result<()> {
        self.say("ROLLBACK").await.map_err(failure)?;
        self.open = false;
        Ok(())
    }
}
