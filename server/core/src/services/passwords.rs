//! Hashes of passwords: Argon2id on the blocking pool.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::identity::Limits;
use crate::{
    env::Random,
    error::{Error, Result},
};

/// Hashes and verifies passwords, a few at a time: each takes memory and a core.
pub struct Passwords {
    argon2: Argon2<'static>,
    at_once: Semaphore,
}

impl Passwords {
    /// With the parameters of `limits`, or the library's where those are out of its bounds.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let params = Params::new(limits.argon2_memory_kib, limits.argon2_passes, 1, None).unwrap_or_default();
        let at_once = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), at_once: Semaphore::new(at_once) }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(Argon2<'static>) -> T + Send + 'static) -> Result<T> {
        let _permit = self.at_once.acquire().await.map_err(Error::internal)?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || work(argon2)).await.map_err(Error::internal)
    }

    /// Keeps all others waiting.
    #[cfg(test)]
    pub(super) async fn busy(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = u32::try_from(self.at_once.available_permits()).unwrap_or(u32::MAX);
        self.at_once.acquire_many(all).await.unwrap_or_else(|_| unreachable!("never closed"))
    }

    /// A PHC string for `password`.
    ///
    /// # Errors
    /// Internal, when the system has no randomness.
    pub async fn hash(&self, password: &SecretString, random: &dyn Random) -> Result<String> {
        let mut salt = [0; 16];
        random.fill(&mut salt).map_err(Error::internal)?;
        let password = password.clone();
        self.blocking(move |argon2| hash_with(&argon2, &password, &salt)).await?
    }

    /// Whether `password` fits `hash`. Without a hash it works as long and says no.
    ///
    /// # Errors
    /// Internal.
    pub(super) async fn verify(&self, password: &SecretString, hash: Option<String>) -> Result<bool> {
        let password = password.clone();
        self.blocking(move |argon2| match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => argon2.verify_password(password.expose_secret().as_bytes(), &hash).is_ok(),
            _ => {
                let _ = hash_with(&argon2, &password, &[0; 16]);
                false
            }
        })
        .await
    }

    pub(super) fn is_weaker(&self, hash: &str) -> bool {
        let Ok(parsed) = PasswordHash::new(hash) else {
            return true;
        };
        Params::try_from(&parsed).map_or(true, |have| {
            have.m_cost() < self.argon2.params().m_cost() || have.t_cost() < self.argon2.params().t_cost()
        })
    }
}

fn hash_with(argon2: &Argon2<'_>, password: &SecretString, salt: &[u8; 16]) -> Result<String> {
    argon2
        .hash_password_with_salt(password.expose_secret().as_bytes(), salt)
        .map(|hash| hash.to_string())
        .map_err(|e| Error::internal(e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_hash_verifies_only_its_password() {
        let passwords = Passwords::new(&Limits { argon2_memory_kib: 64, argon2_passes: 1, ..Limits::default() });
        let hash = passwords.hash(&"correct horse".into(), &crate::env::SystemRandom).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify(&"correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(&"wrong".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(&"correct horse".into(), None).await.unwrap());
        assert!(!passwords.is_weaker(&hash));
        assert!(Passwords::new(&Limits::default()).is_weaker(&hash));
    }
}
