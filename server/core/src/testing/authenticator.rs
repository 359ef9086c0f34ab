//! An authenticator in software, with the browser around it: makes passkeys and uses them, rightly or in any wrong way.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Keeps one passkey.
pub struct Authenticator {
    /// What the browser says it is at.
    pub origin: String,
    /// For which domain it signs; none: for the one that is asked.
    pub site: Option<String>,
    /// What it signs in place of the challenge.
    pub challenge: Option<Vec<u8>>,
    /// What the browser says is done, in place of what is.
    pub kind: Option<&'static str>,
    /// Somebody touches it.
    pub touched: bool,
    /// It checks who that is.
    pub verifies: bool,
    /// It says that the passkey is backed up and cannot be.
    pub backed_up_only: bool,
    /// Says that its key is for this algorithm.
    pub algorithm: i64,
    /// How often the passkey was used.
    pub count: u32,
    /// What stands behind all that it says.
    pub extra_data: Vec<u8>,
    /// What it calls the passkey.
    pub credential: Vec<u8>,
    /// Whose it is; says nothing of it where it is empty.
    pub user: Vec<u8>,
    key: EcdsaKeyPair,
}

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap()
}

impl Authenticator {
    /// One without a passkey, in a browser at `origin`.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        let key = new_key();
        Self {
            origin: origin.to_owned(),
            site: None,
            challenge: None,
            kind: None,
            touched: true,
            verifies: true,
            backed_up_only: false,
            algorithm: -7,
            count: 0,
            extra_data: Vec::new(),
            credential: Sha256::digest(key.public_key()).to_vec(),
            user: Vec::new(),
            key,
        }
    }

    /// Signs with another key from now on.
    pub fn change_key(&mut self) {
        self.key = new_key();
    }

    fn client_data(&self, kind: &'static str, options: &Value) -> Vec<u8> {
        let challenge = match &self.challenge {
            Some(bytes) => URL_SAFE_NO_PAD.encode(bytes),
            None => options["challenge"].as_str().unwrap().to_owned(),
        };
        let kind = self.kind.unwrap_or(kind);
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string().into()
    }

    fn data(&self, site: &str, made: bool) -> Vec<u8> {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = flag(self.touched, 1) | flag(self.verifies, 4) | flag(self.backed_up_only, 16) | flag(made, 64);
        let mut data = Sha256::digest(self.site.as_deref().unwrap_or(site)).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    /// The answer to `navigator.credentials.create`, as the browser part sends it.
    pub fn create(&mut self, options: &Value) -> Value {
        self.user = URL_SAFE_NO_PAD.decode(options["user"]["id"].as_str().unwrap()).unwrap();
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), true);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential.len()).unwrap().to_be_bytes());
        data.extend(&self.credential);
        let point = self.key.public_key().as_ref();
        let algorithm = u8::try_from(-1 - self.algorithm).unwrap();
        // kty: EC2, alg, crv: P-256, x, y
        data.extend([0xa5, 1, 2, 3]);
        data.extend(if algorithm < 24 { vec![0x20 | algorithm] } else { vec![0x38, algorithm] });
        data.extend([0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..]);
        data.extend(&self.extra_data);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        self.answer(json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(self.client_data("webauthn.create", options)),
            "attestationObject": URL_SAFE_NO_PAD.encode(object),
        }))
    }

    /// The answer to `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> Value {
        self.count += 1;
        let mut data = self.data(options["rpId"].as_str().unwrap(), false);
        data.extend(&self.extra_data);
        let client_data = self.client_data("webauthn.get", options);
        let message = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &message).unwrap();
        self.answer(json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
            "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature),
            "userHandle": (!self.user.is_empty()).then(|| URL_SAFE_NO_PAD.encode(&self.user)),
        }))
    }

    fn answer(&self, response: Value) -> Value {
        let id = URL_SAFE_NO_PAD.encode(&self.credential);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {} })
    }
}
