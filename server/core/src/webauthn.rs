//! Passkeys: what a browser and an authenticator answer (Web Authentication, level 3), checked. Pure.
//!
//! Who made an authenticator is not asked (attestation `none`), so nothing of its statement is looked at.

use std::net::IpAddr;

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};
use ring::signature::{self, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use url::{Host, Url};

mod cbor;

/// Longest id of a passkey (section 7.1, step 25).
const ID_MAX: usize = 1023;
/// Longest answer that is read.
pub const ANSWER_MAX: usize = 64 * 1024;
/// How long the browser asks for: as long as the shortest of what waits for it.
const TIMEOUT_MS: u32 = 5 * 60 * 1000;

/// Signature algorithms (RFC 9053, RFC 8812): ES256, which all know, EdDSA, and RS256 for the computers that know no other.
const ALGORITHMS: [i64; 3] = [-7, -8, -257];

/// What an authenticator is asked to sign.
pub type Challenge = [u8; 32];

/// The site that passkeys are for: they never open another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The domain, which a passkey is bound to for ever.
    pub id: String,
    /// Scheme, host and port as the browser says them.
    pub origin: String,
}

/// Why there are no passkeys here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The settings do not say what the portal's address is (`public_url`), and passkeys are bound to it.
    NoAddress,
    /// It is an address of plain http, where browsers know no passkeys.
    Http,
    /// It is a number (`https://192.0.2.1`): browsers want a name.
    Number,
}

impl Site {
    /// The site at the portal's address.
    ///
    /// # Errors
    /// Where browsers know no passkeys.
    pub fn of(public_url: Option<&str>) -> Result<Self, Unavailable> {
        let url = public_url.and_then(|url| Url::parse(url).ok()).ok_or(Unavailable::NoAddress)?;
        let Some(Host::Domain(id)) = url.host() else {
            // IPv6 in brackets; some schemes leave IPv4 addresses as they are.
            return Err(Unavailable::Number);
        };
        if id.parse::<IpAddr>().is_ok() {
            return Err(Unavailable::Number);
        }
        let local = id == "localhost" || id.ends_with(".localhost");
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(Unavailable::Http);
        }
        Ok(Self { id: id.to_owned(), origin: url.origin().ascii_serialization() })
    }
}

/// Why an answer is not taken. Each is a translation key of a field's error, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It cannot be read, or answers something else.
    Answer,
    /// It answers another question: an old one, or another person's.
    Challenge,
    /// It was given to another site.
    Origin,
    /// The authenticator did not see whom it belongs to: no touch; or no PIN, finger or face where that is needed.
    Person,
    /// Its key is of a kind that is not taken.
    Key,
    /// It is not signed with the passkey.
    Signature,
    /// It counts no higher than before: there may be a copy of it.
    Count,
    /// Nobody knows such a passkey, or it is somebody else's.
    Unknown,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Answer,
        Self::Challenge,
        Self::Origin,
        Self::Person,
        Self::Key,
        Self::Signature,
        Self::Count,
        Self::Unknown,
    ];

    /// The translation key.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Answer => "passkey_answer",
            Self::Challenge => "passkey_challenge",
            Self::Origin => "passkey_origin",
            Self::Person => "passkey_person",
            Self::Key => "passkey_key",
            Self::Signature => "passkey_signature",
            Self::Count => "passkey_count",
            Self::Unknown => "passkey_unknown",
        }
    }

    /// In English.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Answer => "the passkey's answer cannot be read",
            Self::Challenge => "this answers another question; begin again",
            Self::Origin => "the passkey was used on another site",
            Self::Person => "the passkey did not check that it is you",
            Self::Key => "the passkey's kind of key is not taken",
            Self::Signature => "the passkey's signature does not hold",
            Self::Count => "the passkey counts no higher than before: there may be a copy of it",
            Self::Unknown => "there is no such passkey of yours",
        }
    }
}

/// Bytes as browsers write them: base64url, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn bytes(text: &str) -> Result<Vec<u8>, Wrong> {
    BASE64.decode(text).map_err(|_| Wrong::Answer)
}

/// What the browser hands on, as `PublicKeyCredential.toJSON()` writes it; what is not needed is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    raw_id: String,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: Option<String>,
    authenticator_data: Option<String>,
    signature: Option<String>,
    user_handle: Option<String>,
}

/// What the browser itself says, which the authenticator signs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// What an authenticator says (section 6.1).
struct Spoken<'a> {
    flags: u8,
    count: u32,
    /// The id of a new passkey, and its key as COSE writes it.
    made: Option<(&'a [u8], &'a [u8])>,
}

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const MADE: u8 = 0x40;
const EXTENDED: u8 = 0x80;

/// A passkey that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What the authenticator calls it.
    pub credential: Vec<u8>,
    /// Its key, as COSE writes it.
    pub key: Vec<u8>,
    /// How often it was used; always 0 for those that do not count.
    pub count: u32,
}

/// What came with an answer, before it is known whose passkey it is.
pub struct Assertion {
    /// What the authenticator calls the passkey.
    pub credential: Vec<u8>,
    /// Whose it is, as it was told when it was made; not every authenticator says so.
    pub user: Option<Vec<u8>>,
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
}

/// A passkey that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// How often; always 0 for those that do not count.
    pub count: u32,
    /// The authenticator checked who it was: by PIN, finger or face.
    pub verified: bool,
}

fn sent(answer: &str) -> Result<Sent, Wrong> {
    if answer.len() > ANSWER_MAX {
        return Err(Wrong::Answer);
    }
    serde_json::from_str(answer).map_err(|_| Wrong::Answer)
}

/// Whether the browser asked what we asked, for this site.
fn check_client(data: &[u8], site: &Site, kind: &str, challenge: &Challenge) -> Result<(), Wrong> {
    let data: ClientData = serde_json::from_slice(data).map_err(|_| Wrong::Answer)?;
    if data.r#type != kind {
        return Err(Wrong::Answer);
    }
    if !bool::from(bytes(&data.challenge)?.as_slice().ct_eq(challenge)) {
        return Err(Wrong::Challenge);
    }
    if data.origin != site.origin || data.cross_origin {
        return Err(Wrong::Origin);
    }
    Ok(())
}

/// Reads what an authenticator says, all of it, for this site and somebody who is there.
fn spoken<'a>(mut data: &'a [u8], site: &Site) -> Result<Spoken<'a>, Wrong> {
    let data = &mut data;
    let mut take = |count| cbor::take(data, count).ok_or(Wrong::Answer);
    if take(32)? != Sha256::digest(site.id.as_bytes()).as_slice() {
        return Err(Wrong::Origin);
    }
    let flags = take(1)?.iter().fold(0, |_, flags| *flags);
    let count = take(4)?.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let mut made = None;
    if flags & MADE != 0 {
        // Which model it is.
        take(16)?;
        let length = take(2)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        let id = take(length)?;
        let before = *data;
        cbor::read(data).ok_or(Wrong::Answer)?;
        made = Some((id, before.get(..before.len() - data.len()).ok_or(Wrong::Answer)?));
    }
    if flags & EXTENDED != 0 {
        cbor::read(data).ok_or(Wrong::Answer)?;
    }
    let contradicts = flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0;
    if !data.is_empty() || contradicts {
        return Err(Wrong::Answer);
    }
    if flags & PRESENT == 0 {
        return Err(Wrong::Person);
    }
    Ok(Spoken { flags, count, made })
}

/// A key that signatures are checked with.
enum Key<'a> {
    P256(Vec<u8>),
    Ed25519(&'a [u8]),
    Rsa(&'a [u8], &'a [u8]),
}

/// Reads a key (RFC 9053).
fn key<'a>(mut cose: &'a [u8]) -> Option<Key<'a>> {
    let map = cbor::read(&mut cose).filter(|_| cose.is_empty())?;
    let int = |label| map.numbered(label).and_then(cbor::Value::int);
    let bytes = |label, length: std::ops::RangeInclusive<usize>| {
        map.numbered(label)?.bytes().filter(|bytes| length.contains(&bytes.len()))
    };
    match (int(1)?, int(3)?) {
        (2, -7) if int(-1) == Some(1) => Some(Key::P256([&[4], bytes(-2, 32..=32)?, bytes(-3, 32..=32)?].concat())),
        (1, -8) if int(-1) == Some(6) => Some(Key::Ed25519(bytes(-2, 32..=32)?)),
        (3, -257) => Some(Key::Rsa(bytes(-1, 256..=512)?, bytes(-2, 1..=8)?)),
        _ => None,
    }
}

impl Key<'_> {
    fn verify(&self, message: &[u8], signed: &[u8]) -> Result<(), Wrong> {
        let held = match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point).verify(message, signed)
            }
            Self::Ed25519(point) => UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signed),
            Self::Rsa(n, e) => {
                let key = signature::RsaPublicKeyComponents { n, e };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signed)
            }
        };
        held.map_err(|_| Wrong::Signature)
    }
}

/// Reads the answer to [`creation`]: the passkey that was made (section 7.1).
///
/// # Errors
/// What is wrong with it.
pub fn made(site: &Site, challenge: &Challenge, answer: &str) -> Result<Made, Wrong> {
    let sent = sent(answer)?;
    let client_data = bytes(&sent.response.client_data)?;
    check_client(&client_data, site, "webauthn.create", challenge)?;
    let object = bytes(&sent.response.attestation_object.ok_or(Wrong::Answer)?)?;
    let mut rest = object.as_slice();
    let object = cbor::read(&mut rest).filter(|_| rest.is_empty()).ok_or(Wrong::Answer)?;
    let data = object.named("authData").and_then(cbor::Value::bytes).ok_or(Wrong::Answer)?;
    let spoken = spoken(data, site)?;
    let (id, cose) = spoken.made.ok_or(Wrong::Answer)?;
    if id.is_empty() || id.len() > ID_MAX || id != bytes(&sent.raw_id)? {
        return Err(Wrong::Answer);
    }
    key(cose).ok_or(Wrong::Key)?;
    Ok(Made { credential: id.to_vec(), key: cose.to_vec(), count: spoken.count })
}

impl Assertion {
    /// Reads the answer to [`request`], of which nothing is checked yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(answer: &str) -> Result<Self, Wrong> {
        let Sent { raw_id, response } = sent(answer)?;
        let needed = |text: Option<String>| bytes(&text.ok_or(Wrong::Answer)?);
        let user = response.user_handle.filter(|text| !text.is_empty()).map(|text| bytes(&text)).transpose()?;
        Ok(Self {
            credential: bytes(&raw_id)?,
            user,
            client_data: bytes(&response.client_data)?,
            authenticator_data: needed(response.authenticator_data)?,
            signature: needed(response.signature)?,
        })
    }

    /// Checks it (section 7.2) with the passkey's own key. Whether it counts higher than before, the store knows.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, site: &Site, challenge: &Challenge, cose: &[u8]) -> Result<Used, Wrong> {
        check_client(&self.client_data, site, "webauthn.get", challenge)?;
        let spoken = spoken(&self.authenticator_data, site)?;
        let message = [self.authenticator_data.as_slice(), &Sha256::digest(&self.client_data)].concat();
        key(cose).ok_or(Wrong::Key)?.verify(&message, &self.signature)?;
        Ok(Used { count: spoken.count, verified: spoken.flags & VERIFIED != 0 })
    }
}

fn listed(credentials: &[Vec<u8>]) -> Vec<Json> {
    credentials.iter().map(|id| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(id) })).collect()
}

/// Who gets a passkey.
pub struct Owner<'a> {
    /// Comes back with an answer. Says nothing to who reads it.
    pub handle: &'a [u8],
    /// What they sign in as.
    pub name: &'a str,
    /// What others see.
    pub display_name: &'a str,
    /// Passkeys that they have: no authenticator makes a second one.
    pub have: &'a [Vec<u8>],
}

/// What the browser is asked for a new passkey: `PublicKeyCredentialCreationOptionsJSON`.
#[must_use]
pub fn creation(site: &Site, challenge: &Challenge, owner: &Owner<'_>) -> Json {
    json!({
        "rp": { "id": site.id, "name": "Berth" },
        "user": { "id": URL_SAFE_NO_PAD.encode(owner.handle), "name": owner.name, "displayName": owner.display_name },
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "pubKeyCredParams": ALGORITHMS.map(|alg| json!({ "type": "public-key", "alg": alg })),
        "excludeCredentials": listed(owner.have),
        "authenticatorSelection": { "residentKey": "preferred", "userVerification": "preferred" },
        "attestation": "none",
        "timeout": TIMEOUT_MS,
    })
}

/// What the browser is asked for a passkey that is there: one of `allowed`, or, where that is empty, any that the authenticator finds
/// by itself and that checks who it is (`PublicKeyCredentialRequestOptionsJSON`).
#[must_use]
pub fn request(site: &Site, challenge: &Challenge, allowed: &[Vec<u8>]) -> Json {
    json!({
        "rpId": site.id,
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "allowCredentials": listed(allowed),
        "userVerification": if allowed.is_empty() { "required" } else { "preferred" },
        "timeout": TIMEOUT_MS,
    })
}

#[cfg(test)]
mod tests;
