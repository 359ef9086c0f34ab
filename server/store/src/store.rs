//! The store over an engine, and what its parts share.

use async_trait::async_trait;
use berth_core::{
    error::{Error, Result},
    ports::store::Database,
};
use berth_types::{ErrorCode, FieldError};

use crate::engine::{Columns, Engine, Reader, Statement, sql};

/// The store. All its ports are implemented once, for every engine.
pub(crate) struct SqlStore<E> {
    pub(crate) engine: E,
}

impl<E: Engine> SqlStore<E> {
    pub(crate) fn new(engine: E) -> Self {
        Self { engine }
    }

    /// All rows of a query.
    pub(crate) async fn all<T>(
        &self,
        statement: Statement,
        read: impl Fn(&mut Reader<'_>) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        decoded(&self.engine.read(statement).await?, read)
    }

    /// The row of a query that has at most one.
    pub(crate) async fn one<T>(
        &self,
        statement: Statement,
        read: impl Fn(&mut Reader<'_>) -> Result<T> + Send,
    ) -> Result<Option<T>> {
        Ok(self.all(statement, read).await?.pop())
    }

    /// Changes exactly one row, or it was not there.
    pub(crate) async fn change_one(&self, statement: Statement) -> Result<()> {
        found(self.engine.execute(statement).await?)
    }
}

/// What `read` makes of each row.
pub(crate) fn decoded<T>(rows: &[impl Columns], read: impl Fn(&mut Reader<'_>) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(|row| read(&mut Reader::new(row))).collect()
}

/// `NotFound` when no row was changed.
pub(crate) fn found(changed: u64) -> Result<()> {
    if changed == 0 { Err(Error::not_found()) } else { Ok(()) }
}

/// Says which name it was that is taken.
pub(crate) fn taken(field: &'static str, message: impl FnOnce() -> String) -> impl FnOnce(Error) -> Error {
    move |error| match error.code() {
        ErrorCode::AlreadyExists => {
            let message = message();
            Error::new(ErrorCode::AlreadyExists, message.clone())
                .with_fields(vec![FieldError::new(field, "taken", message)])
                .caused_by(error)
        }
        _ => error,
    }
}

#[async_trait]
impl<E: Engine> Database for SqlStore<E> {
    async fn describe(&self) -> Result<String> {
        self.one(sql(E::DESCRIBE), |row| row.text()).await?.ok_or_else(|| Error::internal("no version"))
    }

    async fn ping(&self) -> Result<()> {
        self.engine.read(sql("SELECT 1")).await.map(drop)
    }

    async fn installation(&self) -> Result<String> {
        let found = self.one(sql("SELECT id FROM installation"), |row| row.text()).await?;
        found.ok_or_else(|| Error::internal("the database does not say which installation it is"))
    }
}
