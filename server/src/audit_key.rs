//! Where the key is kept that signs the audit log's checkpoints.

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use berth_core::{
    audit::AuditKey,
    env::{Random as _, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Settings;

/// The file of the key: what the settings say; without that the data directory's, where the database is one for this machine
/// alone. Replicas on Postgres must share a key, hence have none before they are given one.
pub fn place(settings: &Settings) -> Option<PathBuf> {
    match (&settings.audit_key_file, &settings.database) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(url)) if !url.starts_with("sqlite:") => None,
        (None, _) => Some(settings.data().join("audit.key")),
    }
}

/// The key, made at its first use; none when the settings leave no place for it.
///
/// # Errors
/// The file cannot be read or made, or holds no key.
pub fn open(settings: &Settings) -> anyhow::Result<Option<AuditKey>> {
    place(settings).map(|path| open_at(&path)).transpose()
}

/// The key, if there is one yet.
///
/// # Errors
/// The file cannot be read, or holds no key.
pub fn find(settings: &Settings) -> anyhow::Result<Option<AuditKey>> {
    place(settings).map_or(Ok(None), |path| find_at(&path))
}

fn find_at(path: &Path) -> anyhow::Result<Option<AuditKey>> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        done => SecretString::from(done.with_context(|| format!("cannot read the audit key {}", path.display()))?),
    };
    AuditKey::from_pem(text.expose_secret()).map(Some).with_context(|| format!("the audit key {}", path.display()))
}

fn open_at(path: &Path) -> anyhow::Result<AuditKey> {
    if let Some(key) = find_at(path)? {
        return Ok(key);
    }
    make(path).with_context(|| format!("cannot make the audit key {}", path.display()))?;
    find_at(path)?.with_context(|| format!("the audit key {} was made and is gone again", path.display()))
}

/// Makes the file, whole or not at all. Whoever comes second finds the first one's key.
fn make(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let pem = AuditKey::new_pem(&SystemRandom)?;
    let mut random = [0; 8];
    SystemRandom.fill(&mut random)?;
    let unfinished = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(random)));
    let mut file = private(&unfinished)?;
    let done = file.write_all(pem.expose_secret().as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        match std::fs::hard_link(&unfinished, path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => std::fs::File::open(folder)?.sync_all(),
        }
    });
    std::fs::remove_file(&unfinished)?;
    if done.is_ok() {
        tracing::info!(file = %path.display(), "a key for the audit log's checkpoints was made");
    }
    done
}

/// A new file that only its owner reads.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn where_it_is() {
        let settings = |key: Option<&str>, database: Option<&str>| Settings {
            audit_key_file: key.map(Into::into),
            database: database.map(Into::into),
            data: Some("d".into()),
            ..Settings::default()
        };
        for (key, database, want) in [
            (None, None, Some("d/audit.key")),
            (None, Some("sqlite://x/berth.db"), Some("d/audit.key")),
            (None, Some("postgres://db/berth"), None),
            (Some("/etc/k"), Some("postgres://db/berth"), Some("/etc/k")),
            (Some("/etc/k"), None, Some("/etc/k")),
        ] {
            assert_eq!(place(&settings(key, database)), want.map(PathBuf::from), "{key:?} {database:?}");
        }
    }

    #[test]
    fn it_is_made_once_and_is_its_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/audit.key");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(|| open_at(&path).unwrap().public().id())).collect();
            made.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
        std::fs::write(&path, "no key").unwrap();
        let error = format!("{:#}", open_at(&path).unwrap_err());
        assert!(error.contains("audit.key") && error.contains("BEGIN PRIVATE KEY"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no key", "what is there is never replaced");
    }
}
