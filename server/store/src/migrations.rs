//! Migrations: embedded, numbered alike for both databases, applied in one transaction.

use berth_core::error::Result;
use sha2::{Digest as _, Sha256};

use crate::{
    OpenError, chain,
    engine::{Engine, Reader, Transaction, sql},
};

/// Which text of a migration a database takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
    work: Option<Work>,
}

/// What a migration does beside its text, after it, in the same transaction: what SQL cannot.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// Hashes the audit log.
    ChainAudit,
}

impl Work {
    async fn act(self, transaction: &mut impl Transaction) -> Result<()> {
        match self {
            Self::ChainAudit => chain::chain_all(transaction).await,
        }
    }
}

impl Migration {
    fn text(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }

    fn checksum(&self, dialect: Dialect) -> Vec<u8> {
        Sha256::digest(self.text(dialect)).to_vec()
    }
}

/// Both files of one step, `migrations/{sqlite,postgres}/{file}.sql`: the build fails when one is missing.
macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        migration!($version, $name, $file, None)
    };
    ($version:literal, $name:literal, $file:literal, $work:expr) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $file, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $file, ".sql")),
            work: $work,
        }
    };
}

/// In order, without gaps. What has been released is never changed: a checksum refuses a database that took another text.
const ALL: &[Migration] = &[
    migration!(1, "people", "0001_people"),
    migration!(2, "tenants", "0002_tenants"),
    migration!(3, "journal", "0003_journal"),
    migration!(4, "installation", "0004_installation"),
    migration!(5, "attempts", "0005_attempts"),
    migration!(6, "audit_chain", "0006_audit_chain", Some(Work::ChainAudit)),
    migration!(7, "quotas", "0007_quotas"),
    migration!(8, "sign_in", "0008_sign_in"),
    migration!(9, "requests", "0009_requests"),
    migration!(10, "life", "0010_life"),
    migration!(11, "ways_in", "0011_ways_in"),
    migration!(12, "second_factors", "0012_second_factors"),
    migration!(13, "announcements", "0013_announcements"),
    migration!(14, "namespace_roles", "0014_namespace_roles"),
    migration!(15, "kubeconfigs", "0015_kubeconfigs"),
    migration!(16, "robots", "0016_robots"),
    migration!(17, "usage", "0017_usage"),
    migration!(18, "sign_out", "0018_sign_out"),
    migration!(19, "drift", "0019_drift"),
    migration!(20, "passkeys", "0020_passkeys"),
    migration!(21, "custom_roles", "0021_custom_roles"),
    migration!(22, "webhooks", "0022_webhooks"),
    migration!(23, "clusters", "0023_clusters"),
    migration!(24, "oauth", "0024_oauth"),
    migration!(25, "views", "0025_views"),
    migration!(26, "mail", "0026_mail"),
    migration!(27, "agents", "0027_agents"),
    migration!(28, "protected", "0028_protected"),
];

/// The version that this program wants.
#[must_use]
pub fn latest() -> i64 {
    ALL.last().map_or(0, |last| last.version)
}

/// A step that brings a database forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub name: String,
}

impl From<&Migration> for Step {
    fn from(migration: &Migration) -> Self {
        Self { version: migration.version, name: migration.name.to_owned() }
    }
}

/// What an empty database lacks.
pub(crate) fn all() -> Vec<Step> {
    ALL.iter().map(Step::from).collect()
}

struct Applied {
    version: i64,
    name: String,
    checksum: Vec<u8>,
}

/// The steps that are missing from what was `applied`, or why this program must not touch the database.
fn plan(applied: &[Applied], dialect: Dialect) -> Result<Vec<&'static Migration>, OpenError> {
    if let Some(newest) = applied.iter().max_by_key(|row| row.version).filter(|row| row.version > latest()) {
        return Err(OpenError::TooNew { found: newest.version, name: newest.name.clone(), known: latest() });
    }
    let mut missing = Vec::new();
    for migration in ALL {
        match applied.iter().find(|row| row.version == migration.version) {
            None => missing.push(migration),
            Some(row) if row.checksum == migration.checksum(dialect) => {}
            Some(_) => return Err(OpenError::Altered { version: migration.version, name: migration.name.to_owned() }),
        }
    }
    Ok(missing)
}

async fn applied(transaction: &mut impl Transaction) -> Result<Vec<Applied>> {
    let rows = transaction.fetch(sql("SELECT version, name, checksum FROM migrations ORDER BY version")).await?;
    rows.iter()
        .map(|row| {
            let mut row = Reader::new(row);
            Ok(Applied { version: row.int()?, name: row.text()?, checksum: row.bytes_or_null()?.unwrap_or_default() })
        })
        .collect()
}

impl Dialect {
    /// The table that says what was done. The time is the database's own, for people to read.
    fn table(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "CREATE TABLE IF NOT EXISTS migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
                 checksum BLOB NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT"
            }
            Self::Postgres => {
                "CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
                 checksum BYTEA NOT NULL, applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            }
        }
    }
}

/// Opens the transaction in which to look and act: nobody else migrates until it ends.
async fn locked<E: Engine>(engine: &E) -> Result<E::Transaction> {
    let mut transaction = engine.begin().await?;
    if let Some(lock) = E::MIGRATION_LOCK {
        transaction.script(lock).await?;
    }
    Ok(transaction)
}

/// What is missing.
async fn look(transaction: &mut impl Transaction, dialect: Dialect) -> Result<Vec<&'static Migration>, OpenError> {
    transaction.script(dialect.table()).await?;
    plan(&applied(transaction).await?, dialect)
}

/// Applies what is missing of the steps up to `to`, and says what that was.
async fn act(
    transaction: &mut impl Transaction,
    dialect: Dialect,
    to: i64,
) -> Result<Vec<&'static Migration>, OpenError> {
    let mut missing = look(transaction, dialect).await?;
    missing.retain(|migration| migration.version <= to);
    for migration in &missing {
        let failed = |cause| OpenError::Step { version: migration.version, name: migration.name.to_owned(), cause };
        transaction.script(migration.text(dialect)).await.map_err(failed)?;
        if let Some(work) = migration.work {
            work.act(transaction).await.map_err(failed)?;
        }
        let row = sql("INSERT INTO migrations (version, name, checksum) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.checksum(dialect).as_slice());
        transaction.execute(row).await?;
    }
    Ok(missing)
}

fn steps(migrations: Vec<&'static Migration>) -> Vec<Step> {
    migrations.into_iter().map(Step::from).collect()
}

/// Applies what is missing, all of it or nothing; what was applied.
pub(crate) async fn apply<E: Engine>(engine: &E) -> Result<Vec<Step>, OpenError> {
    apply_to(engine, latest()).await
}

/// Brings a database forward to the version `to`, as an older program would leave it.
pub(crate) async fn apply_to<E: Engine>(engine: &E, to: i64) -> Result<Vec<Step>, OpenError> {
    let mut transaction = locked(engine).await?;
    match act(&mut transaction, E::DIALECT, to).await {
        Ok(applied) => {
            transaction.commit().await?;
            Ok(steps(applied))
        }
        Err(error) => {
            // Not left to drop, which would hold the lock for a while. That it fails too changes nothing.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// What [`apply`] would do. Changes nothing.
pub(crate) async fn pending<E: Engine>(engine: &E) -> Result<Vec<Step>, OpenError> {
    let mut transaction = locked(engine).await?;
    let missing = look(&mut transaction, E::DIALECT).await;
    transaction.rollback().await?;
    missing.map(steps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    fn rows(versions: impl IntoIterator<Item = i64>) -> Vec<Applied> {
        versions
            .into_iter()
            .map(|version| {
                let known = ALL.iter().find(|m| m.version == version);
                Applied {
                    version,
                    name: known.map_or("later", |m| m.name).to_owned(),
                    checksum: known.map(|m| m.checksum(Dialect::Sqlite)).unwrap_or_default(),
                }
            })
            .collect()
    }

    fn versions(applied: &[Applied]) -> Result<Vec<i64>, String> {
        plan(applied, Dialect::Sqlite).map(|steps| steps.iter().map(|m| m.version).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn plans() {
        assert_eq!(versions(&[]), Ok((1..=latest()).collect()));
        assert_eq!(versions(&rows([1])), Ok((2..=latest()).collect()));
        assert_eq!(versions(&rows(1..=latest())), Ok(vec![]));
        let newer = versions(&rows(1..=latest() + 2)).expect_err("refused");
        assert!(newer.contains(&format!("version {} (later)", latest() + 2)), "{newer}");
        assert!(newer.contains(&format!("up to {}", latest())), "{newer}");
        let mut altered = rows([1]);
        altered[0].checksum[0] ^= 1;
        assert!(versions(&altered).expect_err("refused").contains("migration 1 (people)"));
    }

    #[test]
    fn every_file_is_a_step() {
        assert!(
            ALL.iter().enumerate().all(|(i, m)| m.version == i64::try_from(i).unwrap() + 1),
            "numbered without gaps"
        );
        let steps: BTreeSet<String> = ALL.iter().map(|m| format!("{:04}_{}.sql", m.version, m.name)).collect();
        for folder in ["sqlite", "postgres"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
            let files: BTreeSet<String> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(files, steps, "{folder}");
        }
    }
}
