//! Checkpoints: the chain's end, signed. What is signed are the bytes of [`chain`](super::chain) with the kind `c`: the
//! installation, the number of the last entry, its hash (32 bytes), the time.

use berth_types::audit::AuditCheckpoint;
use jiff::{SignedDuration, Timestamp};

use super::{
    chain::{Fields, Head, Kind, VERSION, digest_of_hex, hex},
    key::{AuditKey, PublicKey},
};
use crate::ports::store::Digest;

/// After so many new entries there is a checkpoint…
pub const EVERY_ENTRIES: i64 = 1000;
/// …and when there is at least one, after this time.
pub const EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Whether the chain that ends with `head` should get a checkpoint, where `last` is its newest one.
#[must_use]
pub fn is_due(last: Option<&AuditCheckpoint>, head: &Head, now: Timestamp) -> bool {
    let (sequence, at) = last.map_or((0, Timestamp::MIN), |last| (last.sequence, last.at));
    let new = head.sequence - sequence;
    new >= EVERY_ENTRIES || (new > 0 && now.duration_since(at) >= EVERY)
}

fn signed(installation: &str, sequence: i64, hash: &Digest, at: Timestamp) -> Vec<u8> {
    Fields::of(Kind::Checkpoint).text(installation).number(sequence).bytes(hash).number(at.as_microsecond()).done()
}

/// Signs the end of a chain.
#[must_use]
pub fn sign(key: &AuditKey, installation: &str, head: &Head, at: Timestamp) -> AuditCheckpoint {
    AuditCheckpoint {
        version: VERSION,
        installation: installation.to_owned(),
        sequence: head.sequence,
        hash: hex(&head.hash),
        at,
        key: key.public().id(),
        signature: key.sign(&signed(installation, head.sequence, &head.hash, at)),
    }
}

/// What is wrong with a checkpoint by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Of a form that this program does not know.
    #[error("it has version {0}; this berth knows version {VERSION}")]
    Version(u8),
    /// The hash is none.
    #[error("its hash is not 64 hexadecimal digits")]
    Hash,
    /// Another Berth's.
    #[error("it is of the installation {0}")]
    Installation(String),
    /// Signed with a key that is not among the given ones.
    #[error("it was signed with the key {0}, which is none of those to be trusted")]
    Key(String),
    /// What it says is not what was signed.
    #[error("its signature is wrong: it was changed after it was signed, or forged")]
    Signature,
}

/// The hash that a checkpoint of `installation` states; `keys` check the signature, where they are known.
///
/// # Errors
/// Why it proves nothing.
pub fn check(checkpoint: &AuditCheckpoint, installation: &str, keys: Option<&[PublicKey]>) -> Result<Digest, Fault> {
    if checkpoint.version != VERSION {
        return Err(Fault::Version(checkpoint.version));
    }
    let hash = digest_of_hex(&checkpoint.hash).ok_or(Fault::Hash)?;
    if checkpoint.installation != installation {
        return Err(Fault::Installation(checkpoint.installation.clone()));
    }
    if let Some(keys) = keys {
        let key = keys.iter().find(|key| key.id() == checkpoint.key);
        let key = key.ok_or_else(|| Fault::Key(checkpoint.key.clone()))?;
        let message = signed(installation, checkpoint.sequence, &hash, checkpoint.at);
        if !key.verifies(&message, &checkpoint.signature) {
            return Err(Fault::Signature);
        }
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::audit_key;

    fn now() -> Timestamp {
        "2026-11-20T08:00:00.123456Z".parse().unwrap()
    }

    fn head(sequence: i64) -> Head {
        Head { sequence, hash: [7; 32] }
    }

    #[test]
    fn one_is_due_after_entries_or_time() {
        let last = |sequence, ago: SignedDuration| sign(&audit_key(), "x", &head(sequence), now() - ago);
        let hour = SignedDuration::from_hours(1);
        let minute = SignedDuration::from_mins(1);
        for (last, sequence, due) in [
            (None, 0, false),
            (None, 1, true),
            (Some(last(5, minute)), 6, false),
            (Some(last(5, minute)), 1004, false),
            (Some(last(5, minute)), 1005, true),
            (Some(last(5, hour)), 6, true),
            (Some(last(5, hour * 1000)), 5, false),
        ] {
            assert_eq!(is_due(last.as_ref(), &head(sequence), now()), due, "{last:?} {sequence}");
        }
    }

    #[test]
    fn every_part_is_signed() {
        let key = audit_key();
        let keys = [key.public().clone()];
        let good = sign(&key, "x", &head(4711), now());
        assert_eq!(check(&good, "x", Some(&keys)), Ok([7; 32]));
        let line = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<AuditCheckpoint>(&line).unwrap(), good, "whole after its way through JSON");

        let with = |change: fn(&mut AuditCheckpoint)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed
        };
        for (changed, fault) in [
            (with(|c| c.sequence += 1), Fault::Signature),
            (with(|c| c.hash = hex(&[8; 32])), Fault::Signature),
            (with(|c| c.at += SignedDuration::from_micros(1)), Fault::Signature),
            (with(|c| c.signature.replace_range(0..4, "AAAA")), Fault::Signature),
            (with(|c| c.hash.push('0')), Fault::Hash),
            (with(|c| c.version = 2), Fault::Version(2)),
            (with(|c| c.installation = "y".to_owned()), Fault::Installation("y".to_owned())),
            (with(|c| c.key = "0".to_owned()), Fault::Key("0".to_owned())),
        ] {
            assert_eq!(check(&changed, "x", Some(&keys)), Err(fault), "{changed:?}");
        }
        let forged = AuditCheckpoint { key: good.key.clone(), ..sign(&audit_key(), "x", &head(4711), now()) };
        assert_eq!(check(&forged, "x", Some(&keys)), Err(Fault::Signature), "another's key under our name");
        assert_eq!(check(&forged, "x", None), Ok([7; 32]), "nobody looked");
    }
}
