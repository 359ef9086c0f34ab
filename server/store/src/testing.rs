//! A throw-away Postgres server, for tests of this crate and of others; databases of older versions, that are held, that hang.

use std::{
    io::{self, Write as _},
    net::TcpListener,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

mod way;

pub use way::Way;

use berth_core::ports::store::NewAudit;
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use uuid::Uuid;

/// An entry of the audit log; its number is its id, and in its target.
#[must_use]
pub fn entry(number: u128) -> NewAudit {
    NewAudit {
        id: Uuid::from_u128(number),
        at: Timestamp::constant(1_750_000_000, 0),
        actor: "ann".to_owned(),
        via: "cli".to_owned(),
        action: "test".to_owned(),
        target: format!("n{number}"),
        tenant: None,
        outcome: "done",
        reason: None,
        detail: None,
        request_id: String::new(),
        network: String::new(),
    }
}

/// The variable that names a server to use instead (`postgres://…`, whose user may create databases), or `skip`.
pub const VARIABLE: &str = "BERTH_TEST_POSTGRES";

/// A server for tests: a fresh one, stopped and removed with this value, or the one that [`VARIABLE`] names.
#[derive(Debug)]
pub struct Postgres {
    /// Without the database's name.
    url: String,
    /// Ends the server when its standard input closes, so when this process ends, however it does.
    keeper: Option<Child>,
    made: AtomicU32,
}

impl Postgres {
    /// A server that answers; `None` when [`VARIABLE`] is `skip`.
    ///
    /// # Errors
    /// There is no PostgreSQL here, or it does not start; says what to do.
    pub fn start() -> io::Result<Option<Self>> {
        match std::env::var(VARIABLE) {
            Ok(skip) if skip == "skip" => Ok(None),
            Ok(url) if !url.is_empty() => {
                let end = url.rfind('/').filter(|at| *at > url.find("://").map_or(0, |scheme| scheme + 2));
                let url = url[..end.unwrap_or(url.len())].to_owned();
                Ok(Some(Self { url, keeper: None, made: AtomicU32::new(0) }))
            }
            _ => Self::own().map(Some),
        }
    }

    fn own() -> io::Result<Self> {
        let bin = binaries().ok_or_else(|| {
            io::Error::other(format!(
                "the store's tests need PostgreSQL: apt-get install postgresql (or set {VARIABLE} to postgres://… or skip)"
            ))
        })?;
        // /tmp and not TMPDIR, since the server's user must reach it. Removed on the way out unless all goes well.
        let folder = tempfile::Builder::new().prefix("berth-pg-").tempdir_in("/tmp")?;
        let data = folder.path().join("data");
        if as_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        run(server_command(&bin.join("initdb"))
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username=berth", "-D"])
            .arg(&data))?;
        let port = start_server(&bin, folder.path(), &data)?;
        let mut stop = server_command(&bin.join("pg_ctl"));
        stop.args(["stop", "--mode=immediate", "--silent", "-D"]).arg(&data);
        let keeper = Command::new("sh")
            .args(["-c", r#"cat; "$@"; rm -rf "$0""#])
            .arg(folder.path())
            .arg(stop.get_program())
            .args(stop.get_args())
            // In a group of its own: what interrupts the tests must not keep it from cleaning up after them.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // From here on the keeper removes it.
        let _ = folder.keep();
        let url = format!("postgres://berth@127.0.0.1:{port}");
        Ok(Self { url, keeper: Some(keeper), made: AtomicU32::new(0) })
    }

    /// The URL of a new, empty database.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn database(&self) -> Result<String, sqlx::Error> {
        let name = format!("berth_{}_{}", std::process::id(), self.made.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&format!("{}/postgres", self.url)).await?;
        // A name left behind by an earlier process with this id, on a server that lives on.
        for text in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut admin).await?;
        }
        admin.close().await?;
        Ok(format!("{}/{name}", self.url))
    }
}

/// Brings the database at `url` to `version`, as an older program would have left it.
///
/// # Errors
/// See [`OpenError`](crate::OpenError).
pub async fn at_version(url: &str, version: i64) -> Result<(), crate::OpenError> {
    crate::migrate_to(url, &crate::Options::default(), version).await.map(drop)
}

/// Runs `script` on the database at `url` behind Berth's back.
///
/// # Errors
/// The database's.
pub async fn tamper(url: &str, script: &str) -> sqlx::Result<()> {
    let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned()));
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await?;
        script.execute(&mut connection).await?;
        connection.close().await
    } else {
        let mut connection = PgConnection::connect(url).await?;
        script.execute(&mut connection).await?;
        connection.close().await
    }
}

/// Somebody's open transaction, with the locks that it holds; let go when dropped.
#[derive(Debug)]
pub enum Held {
    /// In Postgres.
    Postgres(PgConnection),
    /// In SQLite.
    Sqlite(SqliteConnection),
}

impl Held {
    /// Runs `script`, which begins a transaction, on the database at `url`.
    ///
    /// # Errors
    /// The database's.
    pub async fn by(url: &str, script: &'static str) -> sqlx::Result<Self> {
        Ok(if url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(url).await?;
            sqlx::raw_sql(script).execute(&mut connection).await?;
            Self::Sqlite(connection)
        } else {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(script).execute(&mut connection).await?;
            Self::Postgres(connection)
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            if let Err(error) = keeper.wait() {
                // Nobody else can be told any more.
                let _ = writeln!(io::stderr(), "the test server could not be stopped: {error}");
            }
        }
    }
}

/// Where `initdb` and `pg_ctl` are: on the path, or where Debian puts the newest version.
fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .rev()
        .map(|(_, bin)| bin)
        .chain(std::env::split_paths(&path))
        .find(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
}

fn as_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// `program`, run as `postgres` when we are root, since the server refuses to be.
fn server_command(program: &Path) -> Command {
    let mut command = if as_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

/// Starts it on a free port, which somebody else may take between our look and its start: hence a few tries.
fn start_server(bin: &Path, folder: &Path, data: &Path) -> io::Result<u16> {
    let log = folder.join("log");
    let mut failed = io::Error::other("not tried");
    for _ in 0..3 {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // Durability is not what is tested here, and costs time.
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
             -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB"
        );
        let mut start = server_command(&bin.join("pg_ctl"));
        start.args(["start", "--wait", "--silent", "-o", &settings, "-l"]).arg(&log).arg("-D").arg(data);
        match run(&mut start) {
            Ok(()) => return Ok(port),
            Err(error) => {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                failed = io::Error::other(format!("{error}\n{said}"));
            }
        }
    }
    Err(failed)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{command:?} failed: {}", said.trim())))
}
