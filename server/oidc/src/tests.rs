//! The whole protocol against a provider in memory that lies on demand. (Against a real one: `server/tests/sign_in.rs`.)

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_core::{
    Error,
    env::{Clock as _, ManualClock},
    ports::sign_in::{Answer, Challenge, Claims, Protocol},
};
use berth_types::provider::{IdentityProvider, SigningAlgorithm};
use http::{Request, Response};
use parking_lot::Mutex;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use crate::{
    http::{Fetch, Trouble},
    oidc::{Oidc, Options},
};

const ISSUER: &str = "https://id.example.com/realms/corp";
const NOW: i64 = 1_795_161_600;

/// A key that signs.
pub(crate) enum Key {
    Ed(Ed25519KeyPair),
    Es(EcdsaKeyPair),
    /// The client's secret, which must not count as one.
    Shared,
    Nothing,
}

impl Key {
    pub(crate) fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(crate) fn es() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Es(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Es(_) => "ES256",
            Self::Shared => "HS256",
            Self::Nothing => "none",
        }
    }

    pub(crate) fn public(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": text(key.public_key().as_ref()) })
            }
            Self::Es(key) => {
                // An uncompressed point: 4, x, y.
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y })
            }
            Self::Shared => json!({ "kty": "oct", "kid": id, "k": text(b"secret-of-berth") }),
            Self::Nothing => json!({}),
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed(key) => key.sign(text).as_ref().to_vec(),
            Self::Es(key) => key.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
            Self::Shared => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret-of-berth");
                ring::hmac::sign(&key, text).as_ref().to_vec()
            }
            Self::Nothing => Vec::new(),
        }
    }

    pub(crate) fn token(&self, id: &str, header: &Value, claims: &Value) -> String {
        let mut all = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": id });
        for (name, value) in header.as_object().unwrap() {
            all[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&all), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

/// Answers by path; counts who asks.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) answers: Mutex<HashMap<String, (u16, Value)>>,
    pub(crate) asked: Mutex<Vec<(String, String, String)>>,
    pub(crate) keys_asked: AtomicUsize,
}

#[async_trait]
impl Fetch for Fake {
    async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble> {
        let path = request.uri().path().to_owned();
        if path.ends_with("/keys") {
            self.keys_asked.fetch_add(1, Ordering::Relaxed);
        }
        let credentials = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(request.body()).into_owned();
        self.asked.lock().push((path.clone(), credentials.to_owned(), body));
        let (status, body) = self.answers.lock().get(&path).cloned().ok_or_else(|| Trouble("gone".to_owned()))?;
        let answer = Response::builder().status(status).header("content-type", "application/json");
        Ok(answer.body(body.to_string().into_bytes()).unwrap())
    }
}

struct Scene {
    oidc: Oidc,
    fake: Arc<Fake>,
    clock: Arc<ManualClock>,
    provider: IdentityProvider,
    key: Key,
    _secrets: tempfile::TempDir,
}

fn challenge() -> Challenge {
    Challenge {
        state: "the-state".to_owned(),
        nonce: "the-nonce".to_owned(),
        verifier: "v".repeat(43).into(),
        redirect_uri: "https://berth.example.com/auth/corp/callback".to_owned(),
    }
}

fn answer() -> Answer {
    Answer { state: "the-state".to_owned(), code: Some("the-code".to_owned()), ..Answer::default() }
}

impl Scene {
    fn new() -> Self {
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("corp"), "secret-of-berth\n").unwrap();
        let provider = IdentityProvider {
            id: uuid(),
            name: "corp".parse().unwrap(),
            display_name: "Corp".to_owned(),
            issuer: ISSUER.to_owned(),
            client_id: "berth".to_owned(),
            secret: Some("corp".to_owned()),
            scopes: vec!["profile".to_owned(), "groups".to_owned()],
            algorithms: SigningAlgorithm::DEFAULT.to_vec(),
            group_claim: "groups".to_owned(),
            allowed_groups: Vec::new(),
            enabled: true,
            sign_out_there: true,
            created_at: jiff::Timestamp::from_second(NOW).unwrap(),
            version: 1,
            oauth: None,
        };
        let (fake, clock) = (Arc::new(Fake::default()), ManualClock::new(provider.created_at));
        let options = Options { secrets: Some(secrets.path().to_owned()) };
        let oidc = Oidc::over(fake.clone(), clock.clone(), options);
        let scene = Self { oidc, fake, clock, provider, key: Key::ed(), _secrets: secrets };
        scene.describes(&json!({}));
        scene.has_keys(&[scene.key.public("k1")]);
        scene
    }

    fn answers(&self, path: &str, status: u16, body: Value) {
        self.fake.answers.lock().insert(path.to_owned(), (status, body));
    }

    /// The provider describes itself with `more` in place of what it would say.
    fn describes(&self, more: &Value) {
        let mut all = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "userinfo_endpoint": format!("{ISSUER}/me"),
            "jwks_uri": format!("{ISSUER}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "HS256", "none"],
        });
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.answers("/realms/corp/.well-known/openid-configuration", 200, all);
    }

    fn has_keys(&self, keys: &[Value]) {
        self.answers("/realms/corp/keys", 200, json!({ "keys": keys }));
    }

    fn gives(&self, token: String) {
        let body = json!({ "access_token": "access", "token_type": "Bearer", "id_token": token });
        self.answers("/realms/corp/token", 200, body);
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().as_second();
        json!({
            "iss": ISSUER, "aud": "berth", "sub": "ada-1", "nonce": "the-nonce", "iat": now, "exp": now + 300,
            "preferred_username": "ada", "name": "Ada Lovelace", "email": "ada@example.com", "groups": ["team-a"],
        })
    }

    async fn redeem(&self) -> Result<Claims, Error> {
        self.oidc.redeem(&self.provider, &challenge(), &answer()).await
    }

    async fn refused(&self) -> &'static str {
        let error = self.redeem().await.expect_err("refused");
        berth_core::ports::sign_in::Refused::from_code(&error.fields()[0].code).unwrap().code()
    }
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::nil()
}

#[tokio::test]
async fn an_answer_that_holds() {
    let scene = Scene::new();
    scene.gives(scene.key.token("k1", &json!({}), &scene.claims()));
    let want = Claims {
        subject: "ada-1".to_owned(),
        preferred_username: Some("ada".to_owned()),
        name: Some("Ada Lovelace".to_owned()),
        email: Some("ada@example.com".to_owned()),
        email_verified: false,
        groups: vec!["team-a".to_owned()],
    };
    assert_eq!(scene.redeem().await.unwrap(), want);
    let asked = scene.fake.asked.lock().clone();
    let (_, credentials, body) = asked.iter().find(|(path, ..)| path.ends_with("/token")).unwrap();
    // The file's last line break is no part of the secret.
    let basic = base64::engine::general_purpose::STANDARD.encode("berth:secret-of-berth");
    assert_eq!(*credentials, format!("Basic {basic}"));
    for part in ["grant_type=authorization_code", "code=the-code", "code_verifier=vvvv", "redirect_uri=https%3A%2F%2F"]
    {
        assert!(body.contains(part), "{body}");
    }
    assert!(!asked.iter().any(|(path, ..)| path.ends_with("/me")), "the token says all");
}

#[tokio::test]
async fn where_the_browser_goes() {
    let scene = Scene::new();
    let address = scene.oidc.address(&scene.provider, &challenge()).await.unwrap();
    let url = url::Url::parse(&address).unwrap();
    assert_eq!(url.as_str().split('?').next(), Some("https://id.example.com/realms/corp/authorize"));
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    for (name, want) in [
        ("response_type", "code"),
        ("client_id", "berth"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("scope", "openid profile groups"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "https://berth.example.com/auth/corp/callback"),
    ] {
        assert_eq!(query.get(name).map(String::as_str), Some(want), "{name}");
    }
    assert_eq!(query["code_challenge"].len(), 43);
    assert!(!address.contains("vvvv") && !address.contains("secret"), "{address}");
}

#[tokio::test]
async fn tokens_that_do_not_hold() {
    let foreign = Key::ed();
    let (es, ed) = (Key::es(), Key::ed());
    let changed = |claims: &Value, name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let scene = Scene::new();
    // All keys are the provider's own: what is refused is not refused for want of a key.
    scene.has_keys(&[scene.key.public("k1"), es.public("k2"), ed.public("k3"), Key::Shared.public("k4")]);
    let claims = scene.claims();
    let ours = |claims: Value| scene.key.token("k1", &json!({}), &claims);
    let mut without_nonce = claims.clone();
    without_nonce.as_object_mut().unwrap().remove("nonce");
    let jwk = json!({ "jwk": foreign.public("k1"), "jku": "https://evil.example/keys", "x5u": "https://evil.example" });
    let mut strict = scene.provider.clone();
    strict.algorithms = vec![SigningAlgorithm::Rs256];

    let good = ours(claims.clone());
    let (head, _) = good.rsplit_once('.').unwrap();
    let cases = [
        ("another issuer", ours(changed(&claims, "iss", json!("https://evil.example")))),
        ("the issuer with a slash", ours(changed(&claims, "iss", json!(format!("{ISSUER}/"))))),
        ("another audience", ours(changed(&claims, "aud", json!("other")))),
        ("no audience", ours(changed(&claims, "aud", json!([])))),
        ("several audiences, no azp", ours(changed(&claims, "aud", json!(["berth", "other"])))),
        ("made for another", ours(changed(&claims, "azp", json!("other")))),
        ("another nonce", ours(changed(&claims, "nonce", json!("other")))),
        ("no nonce", ours(without_nonce)),
        ("expired", ours(changed(&claims, "exp", json!(NOW - 60)))),
        ("issued in the future", ours(changed(&claims, "iat", json!(NOW + 61)))),
        ("not yet", ours(changed(&claims, "nbf", json!(NOW + 61)))),
        ("not yet, in words", ours(changed(&claims, "nbf", json!("never")))),
        ("no subject", ours(changed(&claims, "sub", json!("")))),
        ("a stranger's key", foreign.token("k1", &json!({}), &claims)),
        ("a stranger's key in the header", foreign.token("k1", &jwk, &claims)),
        ("another of the keys", ed.token("k1", &json!({}), &claims)),
        ("a key that is not there", scene.key.token("k9", &json!({}), &claims)),
        ("the client's secret", Key::Shared.token("k4", &json!({}), &claims)),
        ("not signed", Key::Nothing.token("k1", &json!({}), &claims)),
        ("signature cut off", format!("{head}.")),
        ("claims of another", format!("{}.{}", ours(claims.clone()).split('.').next().unwrap(), "e30.AAAA")),
        ("parts that must be understood", scene.key.token("k1", &json!({ "crit": ["exp"] }), &claims)),
        ("no token at all", "nonsense".to_owned()),
    ];
    for (name, token) in cases {
        scene.gives(token);
        assert_eq!(scene.refused().await, "sign_in_answer", "{name}");
    }

    for (name, token) in [
        ("within the clocks' difference", ours(changed(&claims, "exp", json!(NOW - 59)))),
        ("issued a minute ahead", ours(changed(&claims, "iat", json!(NOW + 60)))),
        ("several audiences, ours by azp", {
            ours(changed(&changed(&claims, "aud", json!(["berth", "other"])), "azp", json!("berth")))
        }),
        ("ECDSA", es.token("k2", &json!({}), &claims)),
    ] {
        scene.gives(token);
        assert!(scene.redeem().await.is_ok(), "{name}");
    }
    // A good signature, but not one of the algorithms that this provider may use.
    scene.gives(good);
    assert!(scene.oidc.redeem(&strict, &challenge(), &answer()).await.is_err());
}

#[tokio::test]
async fn keys_are_rotated_and_asked_for_at_most_once_a_minute() {
    let scene = Scene::new();
    scene.gives(scene.key.token("k1", &json!({}), &scene.claims()));
    scene.redeem().await.unwrap();
    assert_eq!(scene.fake.keys_asked.load(Ordering::Relaxed), 1);

    let new = Key::ed();
    scene.has_keys(&[new.public("k2")]);
    scene.clock.advance(Duration::from_secs(61));
    scene.gives(new.token("k2", &json!({}), &scene.claims()));
    scene.redeem().await.unwrap();
    assert_eq!(scene.fake.keys_asked.load(Ordering::Relaxed), 2);

    // Whoever sends keys that nobody has makes us ask no more than so often.
    for _ in 0..5 {
        scene.gives(new.token("k3", &json!({}), &scene.claims()));
        assert_eq!(scene.refused().await, "sign_in_answer");
    }
    assert_eq!(scene.fake.keys_asked.load(Ordering::Relaxed), 2);
    // The old one counts no more.
    scene.clock.advance(Duration::from_secs(61));
    scene.gives(scene.key.token("k1", &json!({}), &scene.claims()));
    assert_eq!(scene.refused().await, "sign_in_answer");
    assert_eq!(scene.fake.keys_asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn answers_without_a_code_and_answers_of_others() {
    let scene = Scene::new();
    scene.gives(scene.key.token("k1", &json!({}), &scene.claims()));
    let given = |error: Option<&str>, code: Option<&str>, issuer: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Answer { state: "the-state".to_owned(), code: own(code), error: own(error), issuer: own(issuer) }
    };
    let cases = [
        (given(Some("access_denied"), None, None), "sign_in_denied"),
        (given(Some("server_error"), None, None), "sign_in_away"),
        (given(Some("invalid_request"), Some("the-code"), None), "sign_in_answer"),
        (given(None, None, None), "sign_in_answer"),
        (given(None, Some(""), None), "sign_in_answer"),
        (given(None, Some("the-code"), Some("https://evil.example")), "sign_in_answer"),
        (given(Some("access_denied"), None, Some("https://evil.example")), "sign_in_answer"),
    ];
    for (answer, want) in &cases {
        let error = scene.oidc.redeem(&scene.provider, &challenge(), answer).await.unwrap_err();
        assert_eq!(error.fields()[0].code, *want, "{answer:?}");
    }
    let asked = |scene: &Scene| scene.fake.asked.lock().iter().any(|(path, ..)| path.ends_with("/token"));
    assert!(!asked(&scene), "no code of a stranger is redeemed");
    let own = given(None, Some("the-code"), Some(ISSUER));
    assert!(scene.oidc.redeem(&scene.provider, &challenge(), &own).await.is_ok());

    // One that says that it says who answers, says it.
    let strict = Scene::new();
    strict.describes(&json!({ "authorization_response_iss_parameter_supported": true }));
    strict.gives(strict.key.token("k1", &json!({}), &strict.claims()));
    assert_eq!(strict.refused().await, "sign_in_answer");
    assert!(strict.oidc.redeem(&strict.provider, &challenge(), &own).await.is_ok());
}

#[tokio::test]
async fn a_code_that_the_provider_does_not_take() {
    let scene = Scene::new();
    scene.answers("/realms/corp/token", 400, json!({ "error": "invalid_grant" }));
    assert_eq!(scene.refused().await, "sign_in_answer");
    scene.fake.answers.lock().remove("/realms/corp/token");
    assert_eq!(scene.refused().await, "sign_in_away");
    scene.answers("/realms/corp/token", 200, json!({ "access_token": "access", "token_type": "Bearer" }));
    assert_eq!(scene.refused().await, "sign_in_answer");
}

#[tokio::test]
async fn what_the_token_leaves_out_userinfo_says() {
    let scene = Scene::new();
    let mut claims = scene.claims();
    for gone in ["groups", "preferred_username", "name", "email"] {
        claims.as_object_mut().unwrap().remove(gone);
    }
    scene.gives(scene.key.token("k1", &json!({}), &claims));
    let me = |sub: &str| json!({ "sub": sub, "preferred_username": "ada", "groups": ["team-a", "leads"] });
    scene.answers("/realms/corp/me", 200, me("ada-1"));
    let got = scene.redeem().await.unwrap();
    assert_eq!((got.preferred_username.as_deref(), got.groups.len()), (Some("ada"), 2));
    scene.answers("/realms/corp/me", 200, me("mallory"));
    assert_eq!(scene.refused().await, "sign_in_answer");
    // Groups that cannot be read are not no groups.
    scene.answers("/realms/corp/me", 500, json!({}));
    assert_eq!(scene.refused().await, "sign_in_away");
}

#[tokio::test]
async fn groups_that_stand_elsewhere_are_not_none() {
    let scene = Scene::new();
    let mut claims = scene.claims();
    claims.as_object_mut().unwrap().remove("groups");
    scene.gives(scene.key.token("k1", &json!({}), &claims));
    let me = |more: Value| {
        let mut me = json!({ "sub": "ada-1" });
        me.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        me
    };
    scene.answers("/realms/corp/me", 200, me(json!({})));
    assert!(scene.redeem().await.unwrap().groups.is_empty(), "who is in none is in none");
    // As Entra ID does from 200 groups on.
    claims["_claim_names"] = json!({ "groups": "src1" });
    claims["_claim_sources"] = json!({ "src1": { "endpoint": "https://graph.example.com/me/getMemberObjects" } });
    scene.gives(scene.key.token("k1", &json!({}), &claims));
    assert_eq!(scene.refused().await, "sign_in_answer", "roles do not go because somebody has many");
    scene.answers("/realms/corp/me", 200, me(json!({ "groups": ["team-a"] })));
    assert_eq!(scene.redeem().await.unwrap().groups, ["team-a"]);
}

#[tokio::test]
async fn a_provider_is_tried_before_it_is_kept() {
    let field = async |scene: &Scene, provider: &IdentityProvider| {
        let error = scene.oidc.probe(provider).await.err()?;
        Some((error.fields()[0].field.clone(), error.fields()[0].message.clone()))
    };
    let scene = Scene::new();
    assert_eq!(field(&scene, &scene.provider).await, None);

    let none = IdentityProvider { secret: Some("none".to_owned()), ..scene.provider.clone() };
    assert_eq!(field(&scene, &none).await.unwrap().0, "secret");
    let weak = IdentityProvider { algorithms: vec![SigningAlgorithm::Es384], ..scene.provider.clone() };
    let (at, message) = field(&scene, &weak).await.unwrap();
    assert_eq!((at.as_str(), message.as_str()), ("algorithms", "the provider signs with: RS256, EdDSA"));

    for (more, part) in [
        (json!({ "issuer": "https://id.example.com" }), "unexpected issuer"),
        (json!({ "authorization_endpoint": "http://id.example.com/a" }), "not https"),
        (json!({ "token_endpoint": null }), "token_endpoint"),
    ] {
        scene.describes(&more);
        let (at, message) = field(&scene, &scene.provider).await.unwrap();
        assert!(at == "issuer" && message.contains(part), "{more}: {message}");
    }
    scene.fake.answers.lock().clear();
    assert_eq!(field(&scene, &scene.provider).await.unwrap(), ("issuer".to_owned(), "Request failed: gone".to_owned()));
}
