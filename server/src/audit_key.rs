//! Where the key is kept that signs the audit log's checkpoints.

use std::path::{Path, PathBuf};

use anyhow::Context;
use berth_core::audit::AuditKey;
use secrecy::{ExposeSecret, SecretString};

use crate::{config::Settings, key_file::KeyFile};

const FILE: KeyFile = KeyFile { what: "audit key", name: "audit.key", new: AuditKey::new_pem };

/// The file of the key; none when the settings leave no place for it.
pub fn place(settings: &Settings) -> Option<PathBuf> {
    FILE.place(settings.audit_key_file.as_ref(), settings)
}

/// The key, made at its first use; none when the settings leave no place for it.
///
/// # Errors
/// The file cannot be read or made, or holds no key.
pub fn open(settings: &Settings) -> anyhow::Result<Option<AuditKey>> {
    place(settings).map(|path| read(&path, &FILE.open(&path)?)).transpose()
}

/// The key, if there is one yet.
///
/// # Errors
/// The file cannot be read, or holds no key.
pub fn find(settings: &Settings) -> anyhow::Result<Option<AuditKey>> {
    let Some(path) = place(settings) else { return Ok(None) };
    FILE.find(&path)?.map(|text| read(&path, &text)).transpose()
}

fn read(path: &Path, text: &SecretString) -> anyhow::Result<AuditKey> {
    AuditKey::from_pem(text.expose_secret()).with_context(|| format!("the audit key {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_made_once_and_a_file_that_holds_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data: Some(folder.path().into()), ..Settings::default() };
        assert!(find(&settings).unwrap().is_none());
        let made = open(&settings).unwrap().unwrap().public().id();
        assert_eq!(find(&settings).unwrap().unwrap().public().id(), made);
        std::fs::write(folder.path().join("audit.key"), "no key").unwrap();
        let error = format!("{:#}", open(&settings).unwrap_err());
        assert!(error.contains("audit.key") && error.contains("BEGIN PRIVATE KEY"), "{error}");
    }
}
