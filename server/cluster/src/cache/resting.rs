//! Namespaces that are marked: their apps are scaled to zero, whatever they say themselves.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    pod::WireMeta,
    store::{Entry, Record},
};
use crate::intern::Interner;

/// Finds them.
pub(crate) const SELECTOR: &str = "berth.dev/suspended=true";

/// A namespace, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct WireNamespace {
    metadata: WireMeta<serde::de::IgnoredAny>,
}

/// A namespace in the cache, as the only row of the namespace that it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RestingRecord;

impl Record for RestingRecord {
    type Wire = WireNamespace;

    fn decode(namespace: WireNamespace, strings: &Interner) -> Option<Entry<Self>> {
        let meta = &namespace.metadata;
        let name: Arc<str> = (!meta.name.is_empty()).then(|| strings.get(&meta.name))?;
        let version = meta.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: name.clone(), name, version, row: Self })
    }

    fn app(&self) -> Option<&Arc<str>> {
        None
    }
}
