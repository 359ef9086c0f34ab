//! Keys in files: named by a setting, or made in the data directory at their first use.

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use berth_core::env::{Random, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Settings;

/// A kind of key.
pub struct KeyFile {
    /// What people call it: `audit key`.
    pub what: &'static str,
    /// Its file in the data directory.
    pub name: &'static str,
    /// The text of a new one.
    pub new: fn(&dyn Random) -> std::io::Result<SecretString>,
}

impl KeyFile {
    /// The file of the key: what its setting says; without that the data directory's, where the database is one for this machine
    /// alone. Replicas on Postgres must share a key, hence have none before they are given one.
    pub fn place(&self, setting: Option<&PathBuf>, settings: &Settings) -> Option<PathBuf> {
        match (setting, &settings.database) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(url)) if !url.starts_with("sqlite:") => None,
            (None, _) => Some(settings.data().join(self.name)),
        }
    }

    /// The text of the file, if it is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(&self, path: &Path) -> anyhow::Result<Option<SecretString>> {
        match std::fs::read_to_string(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            done => {
                let text = done.with_context(|| format!("cannot read the {} {}", self.what, path.display()))?;
                Ok(Some(text.into()))
            }
        }
    }

    /// The text of the file, made at its first use.
    ///
    /// # Errors
    /// It cannot be read or made.
    pub fn open(&self, path: &Path) -> anyhow::Result<SecretString> {
        if let Some(text) = self.find(path)? {
            return Ok(text);
        }
        self.make(path).with_context(|| format!("cannot make the {} {}", self.what, path.display()))?;
        self.find(path)?.with_context(|| format!("the {} {} was made and is gone again", self.what, path.display()))
    }

    /// Makes the file, whole or not at all. Whoever comes second finds the first one's key.
    fn make(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let text = (self.new)(&SystemRandom)?;
        let mut random = [0; 8];
        SystemRandom.fill(&mut random)?;
        let unfinished = path.with_extension(format!("new-{:016x}", u64::from_be_bytes(random)));
        let mut file = private(&unfinished)?;
        let done = file.write_all(text.expose_secret().as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
            match std::fs::hard_link(&unfinished, path) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
                _ => std::fs::File::open(folder)?.sync_all(),
            }
        });
        std::fs::remove_file(&unfinished)?;
        if done.is_ok() {
            tracing::info!(file = %path.display(), "a new {} was made", self.what);
        }
        done
    }
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

    fn key() -> KeyFile {
        KeyFile { what: "test key", name: "test.key", new: berth_core::seal::SealKey::new_text }
    }

    #[test]
    fn where_it_is() {
        let path = PathBuf::from("/etc/k");
        for (setting, database, want) in [
            (None, None, Some("d/test.key")),
            (None, Some("sqlite://x/berth.db"), Some("d/test.key")),
            (None, Some("postgres://db/berth"), None),
            (Some(&path), Some("postgres://db/berth"), Some("/etc/k")),
            (Some(&path), None, Some("/etc/k")),
        ] {
            let database = database.map(str::to_owned);
            let settings = Settings { database: database.clone(), data: Some("d".into()), ..Settings::default() };
            assert_eq!(key().place(setting, &settings), want.map(PathBuf::from), "{setting:?} {database:?}");
        }
    }

    #[test]
    fn it_is_made_once_and_is_its_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/test.key");
        let texts: Vec<SecretString> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4).map(|_| scope.spawn(|| key().open(&path).unwrap())).collect();
            made.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| text.expose_secret() == texts[0].expose_secret()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
        std::fs::write(&path, "no key").unwrap();
        assert_eq!(key().open(&path).unwrap().expose_secret(), "no key", "what is there is never replaced");
    }
}
