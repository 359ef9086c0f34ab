//! A database of the installed portal's own, on the cluster's PostgreSQL.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::PATIENCE;
use crate::{
    cluster::{layout::Cluster, process},
    needs,
    shell::{output, run},
};

const NAME: &str = "berth_install";

/// It.
pub struct Database {
    /// Of PostgreSQL's client programs.
    programs: PathBuf,
    server: String,
    /// File of the authority that the server's certificate is from.
    pub authority: PathBuf,
}

impl Database {
    /// On the cluster's PostgreSQL (`--with postgres`).
    ///
    /// # Errors
    /// It was not started.
    pub fn find(cluster: &Cluster) -> Result<Self> {
        let list = fs::read_to_string(cluster.path("services.json")).context("the cluster has no services")?;
        let list: Value = serde_json::from_str(&list)?;
        let text = |key: &str| list["postgres"][key].as_str().context("the cluster has no PostgreSQL");
        let (server, _) = text("url")?.rsplit_once("/berth?").context("another URL than expected")?;
        let programs = needs::postgres()?.parent().context("initdb is in no folder")?.to_owned();
        Ok(Self { programs, server: server.to_owned(), authority: text("ca")?.into() })
    }

    /// The URL for one who has the authority's certificate in that file.
    pub fn url(&self, authority: &str) -> String {
        self.of(NAME, authority)
    }

    fn of(&self, database: &str, authority: &str) -> String {
        format!("{}/{database}?sslmode=verify-full&sslrootcert={authority}", self.server)
    }

    fn here(&self, database: &str) -> String {
        self.of(database, &self.authority.display().to_string())
    }

    fn sql(&self, statement: &str) -> Result<()> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", &self.here("berth")]);
        run(psql.args(["--command", statement]))
    }

    /// Drops it, once nobody is connected any more: PostgreSQL's own vacuum may be, and not even `FORCE` ends that.
    ///
    /// # Errors
    /// The server refuses.
    pub fn drop(&self) -> Result<()> {
        process::wait("the database dropped", PATIENCE, || {
            Ok(self.sql(&format!("DROP DATABASE IF EXISTS {NAME}")).is_ok())
        })
    }

    /// Makes it, empty.
    ///
    /// # Errors
    /// There is one.
    pub fn create(&self) -> Result<()> {
        self.sql(&format!("CREATE DATABASE {NAME}"))
    }

    /// All that is in it, as `server/docs/operations-store.md` says.
    ///
    /// # Errors
    /// The server refuses.
    pub fn dump(&self) -> Result<Vec<u8>> {
        let mut dump = Command::new(self.programs.join("pg_dump"));
        output(dump.args(["--format=custom", "--dbname", &self.here(NAME)]))
    }

    /// Fills the empty one from a dump.
    ///
    /// # Errors
    /// The server refuses.
    pub fn restore(&self, file: &Path) -> Result<()> {
        let mut restore = Command::new(self.programs.join("pg_restore"));
        run(restore.args(["--exit-on-error", "--no-owner", "--dbname", &self.here(NAME)]).arg(file))
    }
}
