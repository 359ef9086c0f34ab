//! The SQL: SQLite and Postgres adapters of core's store ports.
//!
//! [`connect`] opens, migrates and hands out `Arc<dyn Store>`; nothing else needs to know which database it is. The store's
//! code stands once, over [`engine::Engine`], which both databases implement; statements are portable (`$1`), and one
//! conformance suite runs on both (`tests/`). Times are kept in microseconds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use berth_core::{
    error::Error,
    ports::store::{Database, Store},
};
use sqlx::postgres::PgConnectOptions;

mod access;
mod agents;
mod announcements;
mod chain;
mod ci;
mod clusters;
mod drifts;
mod engine;
mod journal;
mod life;
mod limits;
mod links;
mod list;
mod mail;
mod migrations;
mod namespace_roles;
mod passkeys;
mod people;
mod pool;
mod postgres;
mod quotas;
mod requests;
mod robots;
mod roles;
mod second_factors;
mod sign_in;
mod sqlite;
mod store;
mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
mod usage;
mod view_as;
mod webhooks;

use engine::Engine;
use limits::Limited;
pub use migrations::{Step, latest};
use postgres::PgEngine;
use sqlite::SqliteEngine;
use store::SqlStore;

/// How to use the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most connections of the pool (with SQLite: that read, beside the one that writes).
    pub max_connections: u32,
    /// How long a request waits for a connection before it fails.
    pub acquire_timeout: Duration,
    /// How long the database may take for one statement, the wait for a connection and for others' locks included: one that
    /// takes longer hangs. PostgreSQL itself is told to give up before that. What is migrated is not limited.
    pub answer_timeout: Duration,
    /// Whether [`connect`] applies what is missing; otherwise it refuses ([`OpenError::Pending`]).
    pub migrate: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 8,
            acquire_timeout: Duration::from_secs(5),
            // Nothing that Berth asks takes a tenth of it.
            answer_timeout: Duration::from_secs(10),
            migrate: true,
        }
    }
}

/// Why a database cannot be used. `Display` says what to do and never shows a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not understood.
    #[error("database: {0}; use sqlite://PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Url(String),
    /// It cannot be opened.
    #[error("cannot open the database {place}: {cause}")]
    Unreachable {
        /// Where it should be, without credentials.
        place: String,
        /// Why not.
        cause: sqlx::Error,
    },
    /// A newer Berth migrated it.
    #[error(
        "the database is at version {found} ({name}), but this berth knows versions up to {known}: \
         run the newer berth, or restore the backup made before it was upgraded"
    )]
    TooNew {
        /// The database's version.
        found: i64,
        /// What that version is about.
        name: String,
        /// This program's version.
        known: i64,
    },
    /// A migration that was applied had another text.
    #[error(
        "migration {version} ({name}) was applied with another text than this berth has: \
         the database was made by a development build; start with a new one"
    )]
    Altered {
        /// Its number.
        version: i64,
        /// What it is about.
        name: String,
    },
    /// A migration failed; nothing was changed.
    #[error("migration {version} ({name}) failed and nothing was changed: {}", cause_of(cause))]
    Step {
        /// Its number.
        version: i64,
        /// What it is about.
        name: String,
        /// Why.
        cause: Error,
    },
    /// Migrations are missing, and [`Options::migrate`] is off.
    #[error("the database lacks {0} migrations: run `berth migrate`")]
    Pending(usize),
    /// It does not answer as it should.
    #[error("the database does not answer: {}", cause_of(.0))]
    Broken(#[from] Error),
}

/// The private cause, which whoever opens a database may see.
fn cause_of(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Opens the database at `url` and brings it up to date.
///
/// # Errors
/// See [`OpenError`].
pub async fn connect(url: &str, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    match Place::parse(url)? {
        Place::Postgres(to) => ready(open_postgres(to, options).await?, options).await,
        place => ready(open_sqlite(place, options).await?, options).await,
    }
}

async fn ready<E: Engine>(engine: E, options: &Options) -> Result<Arc<dyn Store>, OpenError> {
    if options.migrate {
        for step in migrations::apply(&engine).await? {
            tracing::info!(version = step.version, name = step.name, "database migrated");
        }
    } else {
        let missing = migrations::pending(&engine).await?.len();
        if missing > 0 {
            return Err(OpenError::Pending(missing));
        }
    }
    let store = SqlStore::new(Limited::new(engine, options.answer_timeout));
    tracing::info!(database = store.describe().await?, version = latest(), "database opened");
    Ok(Arc::new(store))
}

/// Applies what is missing and says what that was.
///
/// # Errors
/// See [`OpenError`].
pub async fn migrate(url: &str, options: &Options) -> Result<Vec<Step>, OpenError> {
    migrate_to(url, options, latest()).await
}

async fn migrate_to(url: &str, options: &Options, version: i64) -> Result<Vec<Step>, OpenError> {
    match Place::parse(url)? {
        Place::Postgres(to) => migrate_and_close(open_postgres(to, options).await?, version).await,
        place => migrate_and_close(open_sqlite(place, options).await?, version).await,
    }
}

async fn migrate_and_close<E: Engine>(engine: E, version: i64) -> Result<Vec<Step>, OpenError> {
    let applied = migrations::apply_to(&engine, version).await;
    engine.close().await;
    applied
}

/// What [`migrate`] would do; changes nothing.
///
/// # Errors
/// See [`OpenError`].
pub async fn pending(url: &str, options: &Options) -> Result<Vec<Step>, OpenError> {
    match Place::parse(url)? {
        Place::Postgres(to) => look_and_close(open_postgres(to, options).await?).await,
        Place::File(path) if !path.exists() => Ok(migrations::all()),
        place => look_and_close(open_sqlite(place, options).await?).await,
    }
}

async fn look_and_close<E: Engine>(engine: E) -> Result<Vec<Step>, OpenError> {
    let missing = migrations::pending(&engine).await;
    engine.close().await;
    missing
}

/// Where a database is.
#[derive(Debug)]
enum Place {
    Memory,
    File(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    fn parse(url: &str) -> Result<Self, OpenError> {
        match url.split_once(':') {
            Some(("sqlite", ":memory:" | "//:memory:")) => Ok(Self::Memory),
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(OpenError::Url("the path of the SQLite file is missing".to_owned())),
                path if path.contains('?') => Err(OpenError::Url("a SQLite URL takes no options after ?".to_owned())),
                path => Ok(Self::File(path.into())),
            },
            Some(("postgres" | "postgresql", _)) => match url.parse() {
                Ok(to) => Ok(Self::Postgres(Box::new(to))),
                Err(e) => Err(OpenError::Url(e.to_string())),
            },
            Some((scheme, _)) => Err(OpenError::Url(format!("“{scheme}:” is no database that Berth knows"))),
            None => Err(OpenError::Url("this is no URL".to_owned())),
        }
    }
}

async fn open_sqlite(place: Place, options: &Options) -> Result<SqliteEngine, OpenError> {
    let (opened, place) = match place {
        Place::File(path) => (SqliteEngine::open(&path, options).await, path.display().to_string()),
        _ => (SqliteEngine::in_memory(options).await, ":memory:".to_owned()),
    };
    opened.map_err(|cause| OpenError::Unreachable { place, cause })
}

async fn open_postgres(to: Box<PgConnectOptions>, options: &Options) -> Result<PgEngine, OpenError> {
    let place =
        format!("{} on {}:{}", to.get_database().unwrap_or_else(|| to.get_username()), to.get_host(), to.get_port());
    PgEngine::open(*to, options).await.map_err(|cause| OpenError::Unreachable { place, cause })
}
