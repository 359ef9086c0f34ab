//! The chain: each entry's hash is taken over the entry and the hash of the one before it.
//!
//! What is hashed or signed is a sequence of bytes that another program can make as well (`docs/SECURITY.md` has the same
//! in words): the version (one byte, [`VERSION`]), the kind (one byte, [`Kind`]), then fields. A field is its length in
//! bytes as 4 bytes, most significant first, and its bytes; an absent one is the length `0xFFFFFFFF` alone. Text is UTF-8;
//! a number is a field of 8 bytes, most significant first, two's complement; times are microseconds since 1970.

use sha2::{Digest as _, Sha256};

use crate::ports::store::{Digest, NewAudit};

/// The version of the form described above.
pub const VERSION: u8 = 1;

/// What a sequence of bytes stands for, so that one can never be taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The beginning of a chain.
    Genesis,
    /// An entry.
    Entry,
    /// A checkpoint.
    Checkpoint,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Genesis => b'g',
            Self::Entry => b'e',
            Self::Checkpoint => b'c',
        }
    }
}

/// The bytes of something that is hashed or signed.
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn of(kind: Kind) -> Self {
        Self(vec![VERSION, kind.byte()])
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        // Longer than 4 GiB is nothing that we keep; were it, it would not pass for anything shorter.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn text_or_null(mut self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => {
                self.0.extend_from_slice(&u32::MAX.to_be_bytes());
                self
            }
        }
    }

    pub(super) fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    fn hash(self) -> Digest {
        Sha256::digest(self.0).into()
    }
}

/// The end of a chain: its last entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The entry's number; 0 before the first.
    pub sequence: i64,
    /// Its hash.
    pub hash: Digest,
}

impl Head {
    /// Of a chain without entries. It belongs to one installation, so that no other's log can take its place.
    #[must_use]
    pub fn genesis(installation: &str) -> Self {
        Self { sequence: 0, hash: Fields::of(Kind::Genesis).text(installation).hash() }
    }
}

/// An entry to the letter as the database keeps it, whatever stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number: 1, 2, 3, …
    pub sequence: i64,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// How they came in.
    pub via: String,
    /// What.
    pub action: String,
    /// To what.
    pub target: String,
    /// Which tenant.
    pub tenant: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// Error code.
    pub reason: Option<String>,
    /// What changed, as the text of a JSON document.
    pub detail: Option<String>,
    /// Request id.
    pub request_id: String,
    /// Network address.
    pub network: String,
    /// What is said to be its hash: 32 bytes, unless somebody changed it.
    pub hash: Vec<u8>,
}

impl Record {
    /// The entry that follows `head`.
    #[must_use]
    pub fn after(head: &Head, entry: &NewAudit) -> Self {
        // Postgres has no NUL in text; what is hashed must be what is kept.
        let kept = |text: &str| text.replace('\0', "\u{fffd}");
        let mut record = Self {
            sequence: head.sequence + 1,
            at: entry.at.as_microsecond(),
            actor: kept(&entry.actor),
            via: kept(&entry.via),
            action: kept(&entry.action),
            target: kept(&entry.target),
            tenant: entry.tenant.as_ref().map(ToString::to_string),
            outcome: entry.outcome.to_owned(),
            reason: entry.reason.as_deref().map(kept),
            detail: entry.detail.as_ref().map(ToString::to_string),
            request_id: kept(&entry.request_id),
            network: kept(&entry.network),
            hash: Vec::new(),
        };
        record.hash = record.hash_after(&head.hash).to_vec();
        record
    }

    /// What its hash must be where `previous` is the hash of the entry before it.
    #[must_use]
    pub fn hash_after(&self, previous: &Digest) -> Digest {
        self.hash_as(previous, self.sequence)
    }

    /// The same, were it the entry number `sequence`.
    #[must_use]
    pub fn hash_as(&self, previous: &Digest, sequence: i64) -> Digest {
        Fields::of(Kind::Entry)
            .bytes(previous)
            .number(sequence)
            .number(self.at)
            .text(&self.actor)
            .text(&self.via)
            .text(&self.action)
            .text(&self.target)
            .text_or_null(self.tenant.as_deref())
            .text(&self.outcome)
            .text_or_null(self.reason.as_deref())
            .text_or_null(self.detail.as_deref())
            .text(&self.request_id)
            .text(&self.network)
            .hash()
    }
}

/// Bytes in hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 32 bytes of 64 hexadecimal digits in lower case.
#[must_use]
pub fn digest_of_hex(text: &str) -> Option<Digest> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;

    pub(crate) fn entry() -> NewAudit {
        NewAudit {
            id: Uuid::nil(),
            at: "2026-11-20T08:00:00.000001Z".parse().unwrap(),
            actor: "ann".to_owned(),
            via: "session".to_owned(),
            action: "app.create".to_owned(),
            target: "shop/prod/web".to_owned(),
            tenant: Some("shop".parse().unwrap()),
            outcome: "done",
            reason: None,
            detail: Some(serde_json::json!({ "size": "Größe" })),
            request_id: "r1".to_owned(),
            network: String::new(),
        }
    }

    /// The bytes as `docs/SECURITY.md` describes them, put together by hand: what others verify with must not change.
    #[test]
    fn the_form_is_the_documented_one() {
        let installation = "0123456789abcdef0123456789abcdef";
        let genesis = Head::genesis(installation);
        let mut bytes = vec![1, b'g', 0, 0, 0, 32];
        bytes.extend(installation.as_bytes());
        assert_eq!(genesis.hash[..], Sha256::digest(&bytes)[..]);

        let record = Record::after(&genesis, &entry());
        let mut bytes = vec![1, b'e', 0, 0, 0, 32];
        bytes.extend(genesis.hash);
        for number in [1_i64, 1_795_161_600_000_001] {
            bytes.extend([0, 0, 0, 8]);
            bytes.extend(number.to_be_bytes());
        }
        for text in ["ann", "session", "app.create", "shop/prod/web", "shop", "done"] {
            bytes.extend([0, 0, 0, u8::try_from(text.len()).unwrap()]);
            bytes.extend(text.as_bytes());
        }
        bytes.extend([0xff, 0xff, 0xff, 0xff]);
        bytes.extend([0, 0, 0, 18]);
        bytes.extend(r#"{"size":"Größe"}"#.as_bytes());
        bytes.extend([0, 0, 0, 2, b'r', b'1', 0, 0, 0, 0]);
        assert_eq!(record.hash, Sha256::digest(&bytes).to_vec());
    }

    #[test]
    fn neighbouring_fields_do_not_run_into_each_other() {
        let head = Head::genesis("x");
        let one = Record::after(&head, &NewAudit { actor: "ab".into(), via: "c".into(), ..entry() });
        let other = Record::after(&head, &NewAudit { actor: "a".into(), via: "bc".into(), ..entry() });
        let absent = Record::after(&head, &NewAudit { tenant: None, ..entry() });
        assert_ne!(one.hash, other.hash);
        assert_ne!(
            absent.hash,
            Record { tenant: Some(String::new()), ..absent.clone() }.hash_after(&head.hash).to_vec()
        );
    }

    #[test]
    fn hexadecimal_digits() {
        let digest: Digest = std::array::from_fn(|i| (i * 37 % 256) as u8);
        assert_eq!(digest_of_hex(&hex(&digest)), Some(digest));
        for wrong in ["", "0", &hex(&digest)[1..], &hex(&digest).to_uppercase(), &format!("{}g0", &hex(&digest)[2..])] {
            assert_eq!(digest_of_hex(wrong), None, "{wrong}");
        }
    }
}
