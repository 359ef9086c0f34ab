//! What is known of each issuer: its description and its keys, kept for a while.

use std::{collections::HashMap, sync::Arc};

use berth_core::{env::Clock, error::causes};
use jiff::{SignedDuration, Timestamp};
use openidconnect::IssuerUrl;
use parking_lot::Mutex;

use crate::{
    http::{Trouble, Way, is_private},
    types::{Keys, Metadata},
};

/// A provider's description is asked for again after so long.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_mins(60);
/// Its keys are asked for again at most so often, however many tokens come with keys that it does not have.
pub(crate) const KEYS_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// What an issuer says of itself.
pub(crate) struct Known {
    pub metadata: Metadata,
    pub keys: Keys,
    since: Timestamp,
    keys_since: Timestamp,
}

/// All issuers that were asked.
pub(crate) struct Issuers {
    way: Way,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

impl Issuers {
    pub(crate) fn new(way: Way, clock: Arc<dyn Clock>) -> Self {
        Self { way, clock, known: Mutex::default() }
    }

    fn keep(&self, issuer: &str, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        self.known.lock().insert(issuer.to_owned(), known.clone());
        known
    }

    /// What is known of an issuer, asked for where it is not known or not any more.
    pub(crate) async fn get(&self, issuer: &str) -> Result<Arc<Known>, Trouble> {
        let now = self.clock.now();
        let known = self.known.lock().get(issuer).cloned();
        match known.filter(|known| now.duration_since(known.since) < KEPT) {
            Some(known) => Ok(known),
            None => self.ask(issuer).await,
        }
    }

    /// Asks the issuer.
    pub(crate) async fn ask(&self, issuer: &str) -> Result<Arc<Known>, Trouble> {
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|e| Trouble(format!("{issuer}: {e}")))?;
        let metadata = Metadata::discover_async(url, &self.way).await.map_err(|e| Trouble(causes(&e)))?;
        // What is fetched is looked at when it is fetched; this is where the browser goes, and it takes no body along.
        let authorize = metadata.authorization_endpoint().as_str();
        if !authorize.parse().is_ok_and(|uri| is_private(&uri)) {
            return Err(Trouble(format!("its authorization_endpoint {authorize} is not https")));
        }
        let now = self.clock.now();
        let keys = metadata.jwks().clone();
        Ok(self.keep(issuer, Known { metadata, keys, since: now, keys_since: now }))
    }

    /// The same with its keys of now, if they were not asked for a moment ago: for a token with a key that is not known.
    pub(crate) async fn with_new_keys(&self, issuer: &str, known: &Known) -> Result<Option<Arc<Known>>, Trouble> {
        let now = self.clock.now();
        if now.duration_since(known.keys_since) < KEYS_AGAIN {
            return Ok(None);
        }
        let again = |keys: Keys| Known { metadata: known.metadata.clone(), keys, since: known.since, keys_since: now };
        // Whoever comes while they are asked for does not ask, too.
        self.keep(issuer, again(known.keys.clone()));
        let keys = Keys::fetch_async(known.metadata.jwks_uri(), &self.way).await.map_err(|e| Trouble(causes(&e)))?;
        Ok(Some(self.keep(issuer, again(keys))))
    }
}
