//! How long the database may take. One wrapper around an engine and its transactions; nothing above it waits without a limit.
//!
//! What is migrated is not limited: a step may take as long as its tables are large (docs/adr/0016-limits.md).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_core::error::Result;
use berth_types::ErrorCode;

use crate::{
    engine::{Engine, Statement, Transaction, away, unsure},
    migrations::Dialect,
};

/// As long as the database has not answered since it was last late, nobody waits longer than this for it: one statement finds
/// out that it hangs, and the pages after it say so at once.
const SILENT: Duration = Duration::from_secs(2);

/// An engine whose answers are not waited for beyond a limit.
pub(crate) struct Limited<E> {
    engine: E,
    patience: Arc<Patience>,
}

/// A transaction of it.
pub(crate) struct LimitedTransaction<T> {
    transaction: T,
    patience: Arc<Patience>,
}

struct Patience {
    limit: Duration,
    /// It was late, and has said nothing since.
    silent: AtomicBool,
}

/// What is known of a statement that was not waited for any longer.
#[derive(Clone, Copy)]
enum Cut {
    /// It changed nothing, or what it changed is undone: the transaction was not committed.
    Nothing,
    /// It may have been done.
    Perhaps,
}

impl Patience {
    /// What `work` comes to, or that the database does not answer.
    async fn wait<T>(&self, cut: Cut, work: impl Future<Output = Result<T>>) -> Result<T> {
        let silent = self.silent.load(Ordering::Relaxed);
        let limit = if silent { self.limit.min(SILENT) } else { self.limit };
        let Ok(done) = tokio::time::timeout(limit, work).await else {
            self.silent.store(true, Ordering::Relaxed);
            let late = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
            return Err(match cut {
                Cut::Nothing => away(late),
                Cut::Perhaps => unsure(late),
            });
        };
        if silent && done.as_ref().err().is_none_or(|e| e.code() != ErrorCode::StoreUnavailable) {
            self.silent.store(false, Ordering::Relaxed);
        }
        done
    }
}

impl<E: Engine> Limited<E> {
    pub(crate) fn new(engine: E, limit: Duration) -> Self {
        Self { engine, patience: Arc::new(Patience { limit, silent: AtomicBool::new(false) }) }
    }
}

impl<E: Engine> Engine for Limited<E> {
    type Row = E::Row;
    type Transaction = LimitedTransaction<E::Transaction>;

    const DIALECT: Dialect = E::DIALECT;
    const MIGRATION_LOCK: Option<&'static str> = E::MIGRATION_LOCK;
    const DESCRIBE: &'static str = E::DESCRIBE;

    async fn read(&self, statement: Statement) -> Result<Vec<E::Row>> {
        self.patience.wait(Cut::Nothing, self.engine.read(statement)).await
    }

    async fn write(&self, statement: Statement) -> Result<Vec<E::Row>> {
        self.patience.wait(Cut::Perhaps, self.engine.write(statement)).await
    }

    async fn execute(&self, statement: Statement) -> Result<u64> {
        self.patience.wait(Cut::Perhaps, self.engine.execute(statement)).await
    }

    async fn begin(&self) -> Result<Self::Transaction> {
        let transaction = self.patience.wait(Cut::Nothing, self.engine.begin()).await?;
        Ok(LimitedTransaction { transaction, patience: self.patience.clone() })
    }

    async fn close(self) {
        self.engine.close().await;
    }
}

impl<T: Transaction> Transaction for LimitedTransaction<T> {
    type Row = T::Row;

    async fn fetch(&mut self, statement: Statement) -> Result<Vec<T::Row>> {
        self.patience.wait(Cut::Nothing, self.transaction.fetch(statement)).await
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64> {
        self.patience.wait(Cut::Nothing, self.transaction.execute(statement)).await
    }

    async fn script(&mut self, text: &'static str) -> Result<()> {
        self.patience.wait(Cut::Nothing, self.transaction.script(text)).await
    }

    async fn commit(self) -> Result<()> {
        self.patience.wait(Cut::Perhaps, self.transaction.commit()).await
    }

    async fn rollback(self) -> Result<()> {
        self.patience.wait(Cut::Nothing, self.transaction.rollback()).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::{pending, ready};

    use berth_core::Error;

    use super::*;

    #[tokio::test]
    async fn who_was_late_is_waited_for_less_until_it_answers() {
        let patience = Patience { limit: Duration::from_millis(20), silent: AtomicBool::new(false) };
        let silent = || patience.silent.load(Ordering::Relaxed);
        patience.wait(Cut::Nothing, ready(Ok(()))).await.unwrap();
        assert!(!silent());

        let read = patience.wait(Cut::Nothing, pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((read.code(), read.is_uncertain()), (ErrorCode::StoreUnavailable, false));
        assert!(silent() && read.wait().is_some() && read.message().contains("nothing was changed"));

        let written = patience.wait(Cut::Perhaps, pending::<Result<()>>()).await.unwrap_err();
        assert_eq!((written.code(), written.is_uncertain()), (ErrorCode::StoreUnavailable, true));
        assert!(!written.message().contains("nothing was changed"), "{written}");

        // Others failing for the same reason is no sign of life; a refusal is.
        let away = Err::<(), _>(Error::new(ErrorCode::StoreUnavailable, "no connection"));
        patience.wait(Cut::Nothing, ready(away)).await.unwrap_err();
        assert!(silent());
        patience.wait(Cut::Nothing, ready(Err::<(), _>(Error::not_found()))).await.unwrap_err();
        assert!(!silent());
    }
}
