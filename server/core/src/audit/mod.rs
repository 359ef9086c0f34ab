//! What makes the audit log one that shows tampering: entries are chained by hashes ([`chain`]), the chain's end is signed
//! now and then ([`checkpoint`], [`key`]), and both are checked ([`verify`]). Pure, but for the walk over the store.

pub mod chain;
pub mod checkpoint;
pub mod export;
pub mod key;
pub mod range;
pub mod verify;

pub use chain::{Head, Record};
pub use key::{AuditKey, PublicKey};

/// What the log is filtered by, besides words: four columns, and the bounds of a [`range`].
pub const FILTERS: [&str; 6] = ["actor", "action", "tenant", "outcome", range::SINCE, range::UNTIL];
