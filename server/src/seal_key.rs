//! Where the key is kept that seals the secrets of authenticator apps.

use std::path::{Path, PathBuf};

use anyhow::Context;
use berth_core::seal::SealKey;
use secrecy::{ExposeSecret, SecretString};

use crate::{config::Settings, key_file::KeyFile};

const FILE: KeyFile = KeyFile { what: "key of second factors", name: "second-factor.key", new: SealKey::new_text };

/// The file of the key; none when the settings leave no place for it.
pub fn place(settings: &Settings) -> Option<PathBuf> {
    FILE.place(settings.second_factor_key_file.as_ref(), settings)
}

/// The key, made at its first use; none when the settings leave no place for it.
///
/// # Errors
/// The file cannot be read or made, or holds no key.
pub fn open(settings: &Settings) -> anyhow::Result<Option<SealKey>> {
    place(settings).map(|path| read(&path, &FILE.open(&path)?)).transpose()
}

/// The key, if there is one yet.
///
/// # Errors
/// The file cannot be read, or holds no key.
pub fn find(settings: &Settings) -> anyhow::Result<Option<SealKey>> {
    let Some(path) = place(settings) else { return Ok(None) };
    FILE.find(&path)?.map(|text| read(&path, &text)).transpose()
}

fn read(path: &Path, text: &SecretString) -> anyhow::Result<SealKey> {
    SealKey::from_text(text.expose_secret()).with_context(|| format!("the key of second factors {}", path.display()))
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
        let sealed = open(&settings).unwrap().unwrap().seal(b"x", "here", &berth_core::env::SystemRandom).unwrap();
        assert!(open(&settings).unwrap().unwrap().open(&sealed, "here").is_some(), "the same key again");
        assert!(find(&settings).unwrap().unwrap().open(&sealed, "here").is_some());
        std::fs::write(folder.path().join("second-factor.key"), "no key").unwrap();
        let error = format!("{:#}", open(&settings).unwrap_err());
        assert!(error.contains("second-factor.key") && error.contains("openssl rand"), "{error}");
    }
}
