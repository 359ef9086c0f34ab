//! Plain OAuth 2.0 against a provider in memory that answers in every way. (Against a real one: `server/tests/sign_in.rs`.)

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use berth_core::{
    Error,
    env::ManualClock,
    ports::sign_in::{Answer, Challenge, Claims, Protocol},
};
use berth_types::provider::{IdentityProvider, OAuth};
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    http::{Fetch, Trouble},
    oidc::{Oidc, Options},
};

const JSON: &str = "application/json; charset=utf-8";
const TOKEN: &str = r#"{"access_token":"gho_16C7e42F292c","token_type":"bearer","scope":"read:user"}"#;

/// What was asked: path, credentials, body.
type Asked = (String, String, String);

/// Answers by path: status, content type, body, links.
#[derive(Default)]
struct Raw {
    answers: Mutex<HashMap<&'static str, (u16, &'static str, String)>>,
    links: Mutex<HashMap<&'static str, String>>,
    asked: Mutex<Vec<Asked>>,
}

#[async_trait]
impl Fetch for Raw {
    async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble> {
        let path = request.uri().path().to_owned();
        let credentials = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let with_token = credentials.starts_with("Bearer ");
        self.asked.lock().push((path.clone(), credentials.to_owned(), body.clone()));
        let known = self.answers.lock().get(path.as_str()).cloned();
        let (status, kind, text) = match known {
            _ if path != "/token" && !with_token => (401, JSON, "{}".to_owned()),
            None => return Err(Trouble("did not answer within 10 s".to_owned())),
            Some((200, JSON, text)) if text == TOKEN && body.contains("code=berth-asks") => {
                (400, JSON, r#"{"error":"bad_verification_code"}"#.to_owned())
            }
            Some(known) => known,
        };
        let mut answer = Response::builder().status(status).header("content-type", kind);
        if let Some(link) = self.links.lock().get(path.as_str()) {
            answer = answer.header("link", link);
        }
        Ok(answer.body(text.into_bytes()).unwrap())
    }
}

struct Scene {
    oidc: Oidc,
    raw: Arc<Raw>,
    provider: IdentityProvider,
    _secrets: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join("hub"), "s3cr et\n").unwrap();
        let raw = Arc::new(Raw::default());
        let clock = ManualClock::new("2026-11-20T08:00:00Z".parse().unwrap());
        let oidc = Oidc::over(raw.clone(), clock, Options { secrets: Some(secrets.path().to_owned()) });
        let at = |path: &str| format!("https://hub.example.com/{path}");
        let oauth = OAuth {
            authorization_url: at("authorize"),
            token_url: at("token"),
            user_url: at("user"),
            groups_url: Some(at("orgs?per_page=100")),
            id_field: "id".to_owned(),
            login_field: "login".to_owned(),
            name_field: "name".to_owned(),
            basic_auth: false,
        };
        let provider = IdentityProvider {
            id: uuid::Uuid::nil(),
            name: "hub".parse().unwrap(),
            display_name: "Hub".to_owned(),
            issuer: "https://hub.example.com".to_owned(),
            client_id: "berth id".to_owned(),
            secret: Some("hub".to_owned()),
            scopes: vec!["read:user".to_owned(), "read:org".to_owned()],
            algorithms: Vec::new(),
            group_claim: "login".to_owned(),
            allowed_groups: Vec::new(),
            enabled: true,
            sign_out_there: false,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            version: 1,
            oauth: Some(oauth),
        };
        let scene = Self { oidc, raw, provider, _secrets: secrets };
        scene.answer("/token", 200, JSON, TOKEN);
        let user = json!({ "id": 583_231, "login": "octocat", "name": "The Octocat", "email": null });
        scene.answer("/user", 200, JSON, &user.to_string());
        scene.answer("/orgs", 200, JSON, r#"[{"login":"acme","id":1},{"login":"tools"},{"id":3},7]"#);
        scene
    }

    fn answer(&self, path: &'static str, status: u16, kind: &'static str, body: &str) {
        self.raw.answers.lock().insert(path, (status, kind, body.to_owned()));
    }

    fn oauth(&mut self) -> &mut OAuth {
        self.provider.oauth.as_mut().unwrap()
    }

    async fn redeem(&self, answer: &Answer) -> Result<Claims, Error> {
        self.oidc.redeem(&self.provider, &challenge(), answer).await
    }

    async fn probe(&self) -> Result<(), Error> {
        self.oidc.probe(&self.provider).await
    }
}

fn challenge() -> Challenge {
    Challenge {
        state: "the-state".to_owned(),
        nonce: "unused".to_owned(),
        verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
        redirect_uri: "https://berth.example.com/auth/hub/callback".to_owned(),
    }
}

fn answer() -> Answer {
    Answer { state: "the-state".to_owned(), code: Some("the code".to_owned()), ..Answer::default() }
}

#[track_caller]
fn why<T>(result: Result<T, Error>) -> (String, String) {
    let error = result.err().unwrap();
    let field = error.fields().first().unwrap();
    (field.field.clone(), field.code.clone())
}

#[tokio::test]
async fn a_code_becomes_a_person() {
    let scene = Scene::new();
    let address = scene.oidc.address(&scene.provider, &challenge()).await.unwrap();
    // The challenge is RFC 7636's own (appendix B).
    assert_eq!(
        address,
        "https://hub.example.com/authorize?response_type=code&client_id=berth+id\
         &redirect_uri=https%3A%2F%2Fberth.example.com%2Fauth%2Fhub%2Fcallback&state=the-state\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&scope=read%3Auser+read%3Aorg"
    );
    let claims = scene.redeem(&answer()).await.unwrap();
    assert_eq!((claims.subject.as_str(), claims.preferred_username.as_deref()), ("583231", Some("octocat")));
    assert_eq!((claims.name.as_deref(), claims.email), (Some("The Octocat"), None));
    assert_eq!(claims.groups, ["acme", "tools"]);
    let asked = scene.raw.asked.lock().clone();
    let paths: Vec<&str> = asked.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["/token", "/user", "/orgs"]);
    assert_eq!(asked[0].1, "", "the secret is in the form");
    assert!(asked[0].2.contains("client_secret=s3cr+et") && asked[0].2.contains("code=the+code"), "{}", asked[0].2);
    assert!(asked[0].2.contains("code_verifier=dBjft") && asked[0].2.contains("redirect_uri=https"), "{}", asked[0].2);
    assert_eq!(asked[1].1, "Bearer gho_16C7e42F292c");

    let mut basic = Scene::new();
    basic.oauth().basic_auth = true;
    basic.redeem(&answer()).await.unwrap();
    let asked = basic.raw.asked.lock()[0].clone();
    // base64 of “berth+id:s3cr+et”.
    assert_eq!(asked.1, "Basic YmVydGgraWQ6czNjcitldA==");
    assert!(!asked.2.contains("client_secret"), "{}", asked.2);
    // A query that the address has stays.
    basic.oauth().authorization_url = "https://hub.example.com/authorize?tenant=a".to_owned();
    let address = basic.oidc.address(&basic.provider, &challenge()).await.unwrap();
    assert!(address.starts_with("https://hub.example.com/authorize?tenant=a&response_type=code&"), "{address}");
    assert!(basic.oidc.sign_out_address(&basic.provider, "https://berth.example.com/").await.is_none());
}

#[tokio::test]
async fn answers_of_the_browser() {
    let scene = Scene::new();
    let with = |code: Option<&str>, error: Option<&str>, issuer: Option<&str>| Answer {
        code: code.map(str::to_owned),
        error: error.map(str::to_owned),
        issuer: issuer.map(str::to_owned),
        ..answer()
    };
    scene.redeem(&with(Some("c"), None, Some("https://hub.example.com"))).await.unwrap();
    for (answer, want) in [
        (with(Some("c"), None, Some("https://evil.example")), "sign_in_answer"),
        (with(None, Some("access_denied"), None), "sign_in_denied"),
        (with(None, Some("temporarily_unavailable"), None), "sign_in_away"),
        (with(Some("c"), Some("invalid_scope"), None), "sign_in_answer"),
        (with(None, None, None), "sign_in_answer"),
        (with(Some(""), None, None), "sign_in_answer"),
    ] {
        assert_eq!(why(scene.redeem(&answer).await).1, want, "{answer:?}");
    }
}

#[tokio::test]
async fn tokens_that_are_none() {
    let html = "<html>Sign in</html>";
    let long = json!({ "access_token": "x".repeat(20_000), "token_type": "bearer" }).to_string();
    for (status, kind, body, want) in [
        (200, "text/html", html, "sign_in_away"),
        (200, "application/x-www-form-urlencoded", "access_token=x&token_type=bearer", "sign_in_away"),
        (200, JSON, html, "sign_in_away"),
        (200, "", TOKEN, "sign_in_away"),
        (302, JSON, TOKEN, "sign_in_away"),
        (500, JSON, TOKEN, "sign_in_away"),
        (503, "text/html", html, "sign_in_away"),
        (400, JSON, r#"{"error":"invalid_grant"}"#, "sign_in_answer"),
        (200, JSON, r#"{"error":"bad_verification_code"}"#, "sign_in_answer"),
        (200, JSON, r#"{"error":{"code":7},"access_token":"x","token_type":"bearer"}"#, "sign_in_answer"),
        (200, JSON, r#"{"access_token":"x"}"#, "sign_in_answer"),
        (200, JSON, r#"{"access_token":"x","token_type":"mac"}"#, "sign_in_answer"),
        (200, JSON, r#"{"token_type":"bearer"}"#, "sign_in_answer"),
        (200, JSON, r#"{"access_token":"","token_type":"bearer"}"#, "sign_in_answer"),
        (200, JSON, r#"{"access_token":"a\r\nX: y","token_type":"bearer"}"#, "sign_in_answer"),
        (200, JSON, r#"{"access_token":7,"token_type":"bearer"}"#, "sign_in_answer"),
        (200, JSON, &long, "sign_in_answer"),
        (200, JSON, "[]", "sign_in_answer"),
    ] {
        let scene = Scene::new();
        scene.answer("/token", status, kind, body);
        assert_eq!(why(scene.redeem(&answer()).await).1, want, "{status} {kind} {body:.80}");
        assert_eq!(scene.raw.asked.lock().len(), 1, "nobody is asked with it");
    }
}

#[tokio::test]
async fn people_who_cannot_be_known() {
    for (body, want) in [
        (r#"{"id":7}"#, Ok("7")),
        (r#"{"id":-7}"#, Ok("-7")),
        (r#"{"id":18446744073709551615}"#, Ok("18446744073709551615")),
        (r#"{"id":"u-7"}"#, Ok("u-7")),
        (r#"{"id":7.5}"#, Err("sign_in_answer")),
        (r#"{"id":1e3}"#, Err("sign_in_answer")),
        (r#"{"id":null}"#, Err("sign_in_answer")),
        (r#"{"id":true}"#, Err("sign_in_answer")),
        (r#"{"id":["7"]}"#, Err("sign_in_answer")),
        (r#"{"id":""}"#, Err("sign_in_answer")),
        (r#"{"id":" "}"#, Err("sign_in_answer")),
        (r#"{"id":"a\u0000b"}"#, Err("sign_in_answer")),
        (r#"{"login":"octocat"}"#, Err("sign_in_answer")),
        ("[]", Err("sign_in_answer")),
        ("", Err("sign_in_away")),
    ] {
        let scene = Scene::new();
        scene.answer("/user", 200, JSON, body);
        let got = scene.redeem(&answer()).await.map(|claims| claims.subject);
        match want {
            Ok(id) => assert_eq!(got.ok().as_deref(), Some(id), "{body}"),
            Err(code) => assert_eq!(why(got).1, code, "{body}"),
        }
    }
    let long = json!({ "id": "x".repeat(256) }).to_string();
    for (status, kind, body) in [(200, "text/html", "{}"), (401, JSON, "{}"), (302, JSON, "{}"), (500, JSON, "{}")] {
        let scene = Scene::new();
        scene.answer("/user", status, kind, body);
        assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_away", "{status} {kind}");
    }
    let scene = Scene::new();
    scene.answer("/user", 200, JSON, &long);
    assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_answer");
    // A path leads to it, and the numbers of groups do, too.
    let mut scene = Scene::new();
    scene.oauth().id_field = "data.id".to_owned();
    scene.oauth().groups_url = None;
    scene.provider.group_claim = "data.teams".to_owned();
    scene.answer("/user", 200, JSON, r#"{"data":{"id":7,"teams":["a",{"name":"b"},{"id":1}]}}"#);
    let claims = scene.redeem(&answer()).await.unwrap();
    assert_eq!((claims.subject.as_str(), claims.groups), ("7", vec!["a".to_owned(), "b".to_owned()]));
}

#[tokio::test]
async fn groups_that_do_not_come() {
    for (status, kind, body, want) in [
        (200, JSON, r#"{"login":"acme"}"#, "sign_in_answer"),
        (403, JSON, "[]", "sign_in_away"),
        (200, "text/html", "[]", "sign_in_away"),
    ] {
        let scene = Scene::new();
        scene.answer("/orgs", status, kind, body);
        assert_eq!(why(scene.redeem(&answer()).await).1, want, "{status} {kind} {body}");
    }
    let scene = Scene::new();
    scene.raw.answers.lock().remove("/orgs");
    assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_away", "roles do not go because somebody is slow");
}

#[tokio::test]
async fn groups_on_several_pages() {
    let scene = Scene::new();
    let leads = |from, to: &str| drop(scene.raw.links.lock().insert(from, to.to_owned()));
    scene.answer("/orgs2", 200, JSON, r#"["third"]"#);
    scene.answer("/orgs3", 200, JSON, r#"["fourth"]"#);
    leads(
        "/orgs",
        "<https://hub.example.com/orgs2?a=1,2>; rel=\"next\", <https://hub.example.com/orgs9>; rel=\"last\"",
    );
    leads("/orgs2", "</orgs>; rel=\"prev first\", </orgs3>; title=\"x\"; rel=next");
    leads("/orgs3", "</orgs>; rel=\"first\"");
    assert_eq!(scene.redeem(&answer()).await.unwrap().groups, ["acme", "tools", "third", "fourth"]);
    let asked: Vec<String> = scene.raw.asked.lock().iter().map(|(path, ..)| path.clone()).collect();
    assert_eq!(asked, ["/token", "/user", "/orgs", "/orgs2", "/orgs3"]);

    // One that does not come takes no roles away.
    scene.answer("/orgs3", 502, JSON, "{}");
    assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_away");
    // Nor does a list that goes on for ever, and the token goes to nobody else.
    leads("/orgs2", "</orgs>; rel=\"next\"");
    scene.raw.asked.lock().clear();
    assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_answer");
    assert_eq!(scene.raw.asked.lock().len(), 2 + 10);
    for elsewhere in
        ["https://evil.example/orgs2", "http://hub.example.com/orgs2", "https://hub.example.com:8443/orgs2"]
    {
        leads("/orgs", &format!("<{elsewhere}>; rel=\"next\""));
        scene.raw.asked.lock().clear();
        assert_eq!(why(scene.redeem(&answer()).await).1, "sign_in_answer", "{elsewhere}");
        assert_eq!(scene.raw.asked.lock().len(), 3, "{elsewhere}");
    }
}

#[tokio::test]
async fn it_is_asked_before_it_is_saved() {
    Scene::new().probe().await.unwrap();
    for (status, kind, body, want) in [
        (401, JSON, r#"{"error":"invalid_client"}"#, ("clientId", "client_refused")),
        (200, JSON, r#"{"error":"incorrect_client_credentials"}"#, ("clientId", "client_refused")),
        (404, "text/html", "<html>", ("oauth.tokenUrl", "issuer_away")),
        (200, JSON, r#"{"access_token":"x","token_type":"bearer"}"#, ("oauth.tokenUrl", "issuer_away")),
        (500, JSON, r#"{"error":"server_error"}"#, ("oauth.tokenUrl", "issuer_away")),
    ] {
        let scene = Scene::new();
        scene.answer("/token", status, kind, body);
        let (field, code) = why(scene.probe().await);
        assert_eq!((field.as_str(), code.as_str()), want, "{status} {body}");
    }
    let mut scene = Scene::new();
    // There nobody asks for a token.
    scene.oauth().user_url = "https://hub.example.com/token".to_owned();
    assert_eq!(why(scene.probe().await).0, "oauth.userUrl");
    let mut scene = Scene::new();
    scene.provider.secret = Some("none".to_owned());
    assert_eq!(why(scene.probe().await), ("secret".to_owned(), "secret_missing".to_owned()));
}
