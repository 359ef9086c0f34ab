//! The narrow waist between the store's code and the two drivers: statements with values in, rows out.
//!
//! Everything above knows one bound, [`Engine`]; sqlx's own trait bounds end here. sqlx's `Any` driver is no way out, since
//! it lacks prepared statement types that both databases share with us (see `docs/adr/0002-sql.md`).

use std::{future::Future, str::FromStr, time::Duration};

use berth_core::{
    error::{Error, Result},
    ports::store::Digest,
};
use berth_types::{ErrorCode, UserName};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use uuid::Uuid;

use crate::migrations::Dialect;

/// A value that both databases keep alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(bool),
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

/// Postgres has no NUL in text; it is replaced, so that both databases keep the same.
impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(|text| text.replace('\0', "\u{fffd}")))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Some(value).into()
    }
}

impl From<Option<Uuid>> for Value {
    fn from(value: Option<Uuid>) -> Self {
        Self::Text(value.map(|id| id.to_string()))
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Some(value).into()
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_microsecond()))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<&Digest> for Value {
    fn from(value: &Digest) -> Self {
        value.as_slice().into()
    }
}

/// SQL with the values of `$1`, `$2`, …
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: SqlStr,
    pub(crate) values: Vec<Value>,
}

/// A statement whose text is known when Berth is built.
pub(crate) fn sql(text: &'static str) -> Statement {
    Statement { sql: text.into_sql_str(), values: Vec::new() }
}

impl Statement {
    /// A statement put together at run time. The parts of `text` must be constants of this crate: what comes from outside
    /// belongs in `values`.
    pub(crate) fn composed(text: String, values: Vec<Value>) -> Self {
        Self { sql: AssertSqlSafe(text).into_sql_str(), values }
    }

    /// Adds the next value.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }
}

/// A row of a driver, by position.
pub(crate) trait Columns {
    fn bool(&self, at: usize) -> sqlx::Result<bool>;
    fn int(&self, at: usize) -> sqlx::Result<Option<i64>>;
    fn text(&self, at: usize) -> sqlx::Result<Option<&str>>;
    fn bytes(&self, at: usize) -> sqlx::Result<Option<&[u8]>>;
}

/// A database that answers.
pub(crate) trait Engine: Send + Sync + 'static {
    type Row: Columns + Send + Sync;
    type Transaction: Transaction<Row = Self::Row>;

    /// Which text of a migration it takes.
    const DIALECT: Dialect;
    /// Taken first by the transaction that migrates, so that only one does at a time.
    const MIGRATION_LOCK: Option<&'static str>;
    /// Name and version, in one column.
    const DESCRIBE: &'static str;

    /// The rows of a statement that changes nothing.
    fn read(&self, statement: Statement) -> impl Future<Output = Result<Vec<Self::Row>>> + Send;
    /// The rows that a changing statement returns, once it is committed.
    fn write(&self, statement: Statement) -> impl Future<Output = Result<Vec<Self::Row>>> + Send;
    /// Changes rows; how many, once that is committed.
    fn execute(&self, statement: Statement) -> impl Future<Output = Result<u64>> + Send;
    /// Several statements, all of them or none. Dropped without `commit`, none; its locks go some time after.
    fn begin(&self) -> impl Future<Output = Result<Self::Transaction>> + Send;
    /// Ends all connections, in peace if that is quick.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Statements that are committed together.
pub(crate) trait Transaction: Send {
    type Row: Columns + Send + Sync;

    fn fetch(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Self::Row>>> + Send;
    fn execute(&mut self, statement: Statement) -> impl Future<Output = Result<u64>> + Send;
    /// Several statements in one text, without values.
    fn script(&mut self, text: &'static str) -> impl Future<Output = Result<()>> + Send;
    fn commit(self) -> impl Future<Output = Result<()>> + Send;
    /// Undoes it and lets its locks go, now.
    fn rollback(self) -> impl Future<Output = Result<()>> + Send;
}

/// What a driver's error means to the caller: a value that is taken, or our fault.
pub(crate) fn failure(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => {
            Error::new(ErrorCode::AlreadyExists, "something of that name exists already").caused_by(error)
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => away(error),
        sqlx::Error::Database(cause) if cause.code().is_some_and(|code| is_away(&code)) => away(error),
        _ => Error::internal(error),
    }
}

/// The same for what is committed when it is done: where the connection broke off first, nobody knows whether it was.
pub(crate) fn commit_failure(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => unsure(error),
        sqlx::Error::Database(cause) if cause.code().is_some_and(|code| is_ended(&code)) => unsure(error),
        _ => failure(error),
    }
}

/// When to try again.
const RETRY: Duration = Duration::from_secs(5);

/// The database does not serve, and what was asked is not done.
pub(crate) fn away(error: sqlx::Error) -> Error {
    tracing::error!(%error, "the database does not serve");
    Error::new(ErrorCode::StoreUnavailable, "the database does not answer or takes nothing more; nothing was changed")
        .retry_after(RETRY)
        .caused_by(error)
}

/// The database does not serve, and what was asked may have been done.
pub(crate) fn unsure(error: sqlx::Error) -> Error {
    tracing::error!(%error, "the database did not say whether it made a change");
    let message = "the database did not say in time whether this was done; look before you send it again";
    Error::new(ErrorCode::StoreUnavailable, message).retry_after(RETRY).uncertain().caused_by(error)
}

/// Whether a driver's code says that the database cannot serve, whatever is asked of it.
///
/// SQLite (<https://sqlite.org/rescode.html>): busy, an I/O error, full, cannot be opened, each with more in its upper bytes.
/// PostgreSQL (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): connection, resources, intervention, a
/// lock that somebody holds for too long, a statement that took too long, a transaction in which we did.
fn is_away(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 10 | 13 | 14),
        _ => is_ended(code) || code.starts_with("53") || matches!(code, "55P03" | "57014"),
    }
}

/// Whether a code of PostgreSQL says that the connection has ended, whatever was under way.
fn is_ended(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P") || code == "25P03"
}

/// What the two adapters share, for one sqlx driver: the same words, since sqlx's traits differ only in the types they name.
macro_rules! driver {
    ($db:ty, $row:ty) => {
        impl $crate::engine::Columns for $row {
            fn bool(&self, at: usize) -> sqlx::Result<bool> {
                sqlx::Row::try_get(self, at)
            }
            fn int(&self, at: usize) -> sqlx::Result<Option<i64>> {
                sqlx::Row::try_get(self, at)
            }
            fn text(&self, at: usize) -> sqlx::Result<Option<&str>> {
                sqlx::Row::try_get(self, at)
            }
            fn bytes(&self, at: usize) -> sqlx::Result<Option<&[u8]>> {
                sqlx::Row::try_get(self, at)
            }
        }

        /// The statement as sqlx takes it; prepared once a connection, then kept.
        fn bound(statement: Statement) -> sqlx::query::Query<'static, $db, <$db as sqlx::Database>::Arguments> {
            let mut query = sqlx::query::<$db>(statement.sql);
            for value in statement.values {
                query = match value {
                    $crate::engine::Value::Bool(v) => query.bind(v),
                    $crate::engine::Value::Int(v) => query.bind(v),
                    $crate::engine::Value::Text(v) => query.bind(v),
                    $crate::engine::Value::Bytes(v) => query.bind(v),
                };
            }
            query
        }
    };
}
pub(crate) use driver;

/// Reads a row from left to right; a clone looks ahead. An unexpected value is our fault: the schema checks what is written.
#[derive(Clone)]
pub(crate) struct Reader<'r> {
    row: &'r dyn Columns,
    at: usize,
}

impl<'r> Reader<'r> {
    pub(crate) fn new(row: &'r impl Columns) -> Self {
        Self { row, at: 0 }
    }

    fn next<T>(&mut self, get: impl FnOnce(&'r dyn Columns, usize) -> sqlx::Result<T>) -> Result<T> {
        let at = self.at;
        self.at += 1;
        get(self.row, at).map_err(Error::internal)
    }

    /// The column just read does not hold what it should.
    fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::internal(format!("column {} of a row: {what}", self.at))
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        self.next(|row, at| row.bool(at))
    }

    pub(crate) fn int_or_null(&mut self) -> Result<Option<i64>> {
        self.next(|row, at| row.int(at))
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        self.int_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    fn str_or_null(&mut self) -> Result<Option<&'r str>> {
        self.next(|row, at| row.text(at))
    }

    fn str(&mut self) -> Result<&'r str> {
        self.str_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    pub(crate) fn text_or_null(&mut self) -> Result<Option<String>> {
        Ok(self.str_or_null()?.map(str::to_owned))
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        Ok(self.str()?.to_owned())
    }

    pub(crate) fn bytes_or_null(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.next(|row, at| row.bytes(at))?.map(<[u8]>::to_vec))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        self.bytes_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest> {
        let bytes = self.next(|row, at| row.bytes(at))?.unwrap_or_default();
        bytes.try_into().map_err(|_| self.bad("is no digest of 32 bytes"))
    }

    /// A name, an id: what is kept as text and checked when parsed.
    pub(crate) fn parsed_or_null<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<Option<T>> {
        self.str_or_null()?.map(|text| text.parse().map_err(|e| self.bad(format!("“{text}”: {e}")))).transpose()
    }

    pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T> {
        self.parsed_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    /// The name of a person or a robot.
    pub(crate) fn user_or_null(&mut self) -> Result<Option<UserName>> {
        self.str_or_null()?
            .map(|text| UserName::stored(text).map_err(|e| self.bad(format!("“{text}”: {e}"))))
            .transpose()
    }

    pub(crate) fn user(&mut self) -> Result<UserName> {
        self.user_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    /// One of a list of words, such as a role.
    pub(crate) fn word_or_null<T>(&mut self, from: fn(&str) -> Option<T>) -> Result<Option<T>> {
        self.str_or_null()?
            .map(|text| from(text).ok_or_else(|| self.bad(format!("“{text}” is no known word"))))
            .transpose()
    }

    pub(crate) fn word<T>(&mut self, from: fn(&str) -> Option<T>) -> Result<T> {
        self.word_or_null(from)?.ok_or_else(|| self.bad("is null"))
    }

    pub(crate) fn time_or_null(&mut self) -> Result<Option<Timestamp>> {
        self.int_or_null()?.map(|micros| Timestamp::from_microsecond(micros).map_err(|e| self.bad(e))).transpose()
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp> {
        self.time_or_null()?.ok_or_else(|| self.bad("is null"))
    }

    /// What is kept as JSON.
    pub(crate) fn json_or_null<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.str_or_null()?.map(|text| serde_json::from_str(text).map_err(|e| self.bad(e))).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.json_or_null()?.ok_or_else(|| self.bad("is null"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_a_database_that_cannot_serve() {
        for (code, away) in [
            ("13", true),     // SQLITE_FULL
            ("778", true),    // SQLITE_IOERR_WRITE
            ("5", true),      // SQLITE_BUSY
            ("1", false),     // SQLITE_ERROR
            ("2067", false),  // SQLITE_CONSTRAINT_UNIQUE
            ("53100", true),  // disk_full
            ("57P01", true),  // admin_shutdown
            ("08006", true),  // connection_failure
            ("55P03", true),  // lock_not_available
            ("57014", true),  // query_canceled
            ("25P03", true),  // idle_in_transaction_session_timeout
            ("25P02", false), // in_failed_sql_transaction
            ("42601", false), // syntax_error
            ("23505", false), // unique_violation
        ] {
            assert_eq!(is_away(code), away, "{code}");
        }
    }
}
