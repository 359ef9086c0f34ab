//! Tokens of CI jobs: the same keys, signatures and clocks as people's, without a sign-in around them.
//!
//! What CI systems publish is less than what the library wants of a provider (GitHub has no `authorization_endpoint`), so only the two
//! fields that matter are read.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use berth_core::{
    Error, Result,
    error::causes,
    ports::ci::{JobTokens, Refused, refusal},
};
use berth_types::FieldError;
use http::{Request, header};
use jiff::{SignedDuration, Timestamp};
use openidconnect::JsonWebKeySetUrl;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    http::{Trouble, Way},
    known::{KEPT, KEYS_AGAIN},
    oidc::Oidc,
    token::{Bad, job},
    types::Keys,
};

/// A CI system that did not answer is asked again after so long, however many jobs come.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// What is read of a CI system's description.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: JsonWebKeySetUrl,
}

/// A CI system's keys.
struct Signer {
    place: JsonWebKeySetUrl,
    keys: Keys,
    since: Timestamp,
    keys_since: Timestamp,
}

/// All CI systems that were asked.
#[derive(Default)]
pub(crate) struct Signers {
    known: Mutex<HashMap<String, Arc<Signer>>>,
    silent: Mutex<HashMap<String, Timestamp>>,
}

impl Signers {
    fn keep(&self, issuer: &str, signer: Signer) -> Arc<Signer> {
        let signer = Arc::new(signer);
        self.known.lock().insert(issuer.to_owned(), signer.clone());
        signer
    }

    async fn ask(&self, way: &Way, issuer: &str, now: Timestamp) -> Result<Arc<Signer>, Trouble> {
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let request = Request::get(&place).header(header::ACCEPT, "application/json").body(Vec::new());
        let answer = way.0.fetch(request.map_err(|e| Trouble(format!("{place}: {e}")))?).await?;
        if !answer.status().is_success() {
            return Err(Trouble(format!("{place} answers {}", answer.status())));
        }
        let said: Description = serde_json::from_slice(answer.body()).map_err(|e| Trouble(format!("{place}: {e}")))?;
        if said.issuer != issuer {
            return Err(Trouble(format!("{place} is of {}", said.issuer)));
        }
        let keys = Keys::fetch_async(&said.jwks_uri, way).await.map_err(|e| Trouble(causes(&e)))?;
        Ok(self.keep(issuer, Signer { place: said.jwks_uri, keys, since: now, keys_since: now }))
    }

    /// What is known of a CI system, asked for where it is not known or not any more.
    async fn get(&self, way: &Way, issuer: &str, now: Timestamp) -> Result<Arc<Signer>, Trouble> {
        let known = self.known.lock().get(issuer).cloned();
        if let Some(known) = known.filter(|known| now.duration_since(known.since) < KEPT) {
            return Ok(known);
        }
        let silent = self.silent.lock().get(issuer).copied();
        if silent.is_some_and(|since| now.duration_since(since) < AGAIN) {
            return Err(Trouble(format!("{issuer} did not answer a moment ago")));
        }
        let asked = self.ask(way, issuer, now).await;
        let mut silent = self.silent.lock();
        match asked.is_ok() {
            true => silent.remove(issuer),
            false => silent.insert(issuer.to_owned(), now),
        };
        drop(silent);
        asked
    }

    /// The same with its keys of now, if they were not asked for a moment ago.
    async fn with_new_keys(
        &self,
        way: &Way,
        issuer: &str,
        known: &Signer,
        now: Timestamp,
    ) -> Result<Option<Arc<Signer>>, Trouble> {
        if now.duration_since(known.keys_since) < KEYS_AGAIN {
            return Ok(None);
        }
        let again = |keys: Keys| Signer { place: known.place.clone(), keys, since: known.since, keys_since: now };
        // Whoever comes while they are asked for does not ask, too.
        self.keep(issuer, again(known.keys.clone()));
        let keys = Keys::fetch_async(&known.place, way).await.map_err(|e| Trouble(causes(&e)))?;
        Ok(Some(self.keep(issuer, again(keys))))
    }
}

fn away(issuer: &str, Trouble(why): Trouble) -> Error {
    tracing::warn!(issuer, error = why, "a CI system does not answer as it should");
    refusal(Refused::Away).caused_by(Trouble(why))
}

#[async_trait]
impl JobTokens for Oidc {
    async fn probe(&self, issuer: &str) -> Result<()> {
        match self.signers.ask(&self.way, issuer, self.clock.now()).await {
            Ok(_) => Ok(()),
            Err(Trouble(why)) => {
                Err(Error::field(FieldError::new("issuer", "issuer_away", why.clone()).param("why", why)))
            }
        }
    }

    async fn claims(&self, issuer: &str, token: &SecretString) -> Result<Value> {
        let now = self.clock.now();
        let signer = self.signers.get(&self.way, issuer, now).await.map_err(|e| away(issuer, e))?;
        let mut checked = job(token.expose_secret(), issuer, &signer.keys, now);
        if let Err(Bad::Key(_)) = checked {
            // It may have new keys.
            let again = self.signers.with_new_keys(&self.way, issuer, &signer, now).await;
            if let Some(newer) = again.map_err(|e| away(issuer, e))? {
                checked = job(token.expose_secret(), issuer, &newer.keys, now);
            }
        }
        checked.map_err(|bad| {
            tracing::warn!(issuer, error = %bad, "a job's token was refused");
            refusal(Refused::Token).caused_by(bad)
        })
    }
}
