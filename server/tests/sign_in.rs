//! Signing in by an identity provider that is none of ours: npm's certified oidc-provider as its own process, the portal whole over
//! its router, a browser's cookies and redirects between them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/people.rs"]
mod people;
#[path = "support/provider.rs"]
mod provider;

use berth::{config, serve::Portal};
use berth_core::{
    OpCtx,
    services::{oauth::OAuthText, providers::ProviderText},
};
use berth_types::{PlatformRole, ProviderName, TenantRole, UserName};
use metrics_exporter_prometheus::PrometheusBuilder;
use people::{nobody, person};
use provider::{Browser, CLIENT, PORTAL, Provider, SECRET, to};
use secrecy::ExposeSecret as _;

const SESSION: &str = "berth-plain";
const ATTEMPT: &str = "berth-plain-sign-in";
/// Of people with one (`support/people.rs`).
const PASSWORD: &str = "correct horse battery";

/// The portal with `root`, the tenant `shop` of theirs, and the provider `corp`.
struct Scene {
    portal: Portal,
    provider: Provider,
    root: OpCtx,
    root_cookie: String,
    data: tempfile::TempDir,
}

impl Scene {
    async fn start() -> Option<Self> {
        Self::start_with(config::Flags::default()).await
    }

    async fn start_with(flags: config::Flags) -> Option<Self> {
        let provider = Provider::start()?;
        let data = tempfile::tempdir().unwrap();
        let secrets = data.path().join("secrets");
        std::fs::create_dir(&secrets).unwrap();
        std::fs::write(secrets.join("corp"), format!("{SECRET}\n")).unwrap();
        let flags = config::Flags {
            data: Some(data.path().to_owned()),
            sim: Some(true),
            provider_secrets: Some(secrets),
            ..flags
        };
        let settings = config::load(&flags).unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let portal = Portal::start(&settings, metrics).await.unwrap();
        let services = &portal.services;
        let (_, session) = person(services, "root", Some(PlatformRole::Admin)).await;
        let root_cookie = session.secret.expose_secret().to_owned();
        let root = services.as_person(&nobody(services), session.person);
        services.create_tenant(&root, "shop", "Shop", None).await.unwrap();
        let text = ProviderText {
            display_name: "Corp".to_owned(),
            issuer: provider.issuer.clone(),
            client_id: CLIENT.to_owned(),
            secret: "corp".to_owned(),
            scopes: ["profile", "email", "groups"].map(str::to_owned).to_vec(),
            enabled: true,
            sign_out_there: true,
            ..ProviderText::default()
        };
        services.create_provider(&root, "corp", &text).await.unwrap();
        Some(Self { portal, provider, root, root_cookie, data })
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.portal.router)
    }

    async fn role(&self, user: &str) -> Option<TenantRole> {
        let user: UserName = user.parse().unwrap();
        let user = self.portal.services.store().find_account(&user).await.unwrap().unwrap().user;
        let shop = "shop".parse().unwrap();
        self.portal.services.store().find_tenant_access(user.id, &shop).await.unwrap().and_then(|access| access.role)
    }

    /// Who is in, according to a page of the portal.
    async fn is_in(&self, browser: &mut Browser, name: &str) -> bool {
        let account = browser.get(&format!("{PORTAL}/account")).await;
        account.status == 200 && account.text.contains(&format!("<dd class=\"mono\">{name}</dd>"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_with_their_groups() {
    let Some(scene) = Scene::start().await else { return };
    let services = scene.portal.services.clone();
    let corp = "corp".parse().unwrap();
    services.create_group_rule(&scene.root, &corp, "team-a", "shop", "developer").await.unwrap();

    let mut ada = scene.browser();
    let page = ada.get(&format!("{PORTAL}/sign-in?next=/t/shop")).await;
    assert!(
        page.text.contains("Sign in with Corp") && page.text.contains("action=\"/auth/corp/start\""),
        "{}",
        page.text
    );
    let answer = ada.sign_in("ada", &[("next", "/t/shop")]).await;
    assert_eq!(to(&answer), "/t/shop");
    assert!(ada.cookie(SESSION).is_some() && ada.cookie(ATTEMPT).is_none());
    assert!(scene.is_in(&mut ada, "ada").await);
    assert_eq!(ada.get(&format!("{PORTAL}/t/shop")).await.status, 200);
    assert_eq!(scene.role("ada").await, Some(TenantRole::Developer));

    // The answer was used; it is worth nothing here nor elsewhere.
    let used = answer.url.clone();
    assert_eq!(to(&ada.get(&used).await), "/account/connections?refused=sign_in_state");
    assert_eq!(to(&scene.browser().get(&used).await), "/sign-in?refused=sign_in_state");

    // Whoever has the same address is somebody else, and has another name.
    let mut mallory = scene.browser();
    to(&mallory.sign_in("mallory", &[]).await);
    assert!(scene.is_in(&mut mallory, "mallory").await);
    assert_eq!(scene.role("mallory").await, None);

    // The rule goes, and with the next sign-in what it gave.
    let rule = services.list_group_rules(&scene.root, &corp).await.unwrap().remove(0);
    services.delete_group_rule(&scene.root, &corp, rule.id).await.unwrap();
    assert_eq!(scene.role("ada").await, Some(TenantRole::Developer));
    let mut again = scene.browser();
    assert_eq!(to(&again.sign_in("ada", &[("next", "https://evil.example")]).await), "/");
    assert!(scene.is_in(&mut again, "ada").await, "the same account");
    assert_eq!(scene.role("ada").await, None);

    // Suspended here, whatever the provider says.
    services.update_user(&scene.root, &"ada".parse().unwrap(), "Ada", None, true).await.unwrap();
    let mut out = scene.browser();
    assert_eq!(to(&out.sign_in("ada", &[]).await), "/sign-in?refused=sign_in_suspended");
    assert!(out.cookie(SESSION).is_none());
    let page = out.get(&format!("{PORTAL}/sign-in?refused=sign_in_suspended")).await;
    assert!(page.text.contains("This account is suspended"), "{}", page.text);
    scene.portal.stop().await;
}

/// Where mail is sent, an address that a provider vouches for is taken over, and still says nothing of who somebody is.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_over_and_finds_nobody() {
    let flags = config::Flags {
        secure: Some(false),
        public_url: Some(PORTAL.to_owned()),
        smtp_url: Some("smtp://127.0.0.1:1".to_owned()),
        smtp_from: Some("berth@berth.test".to_owned()),
        smtp_without_tls: Some("127.0.0.1".to_owned()),
        ..config::Flags::default()
    };
    let Some(scene) = Scene::start_with(flags).await else { return };
    let services = scene.portal.services.clone();
    let store = services.store().clone();
    let address = async |user: &str| {
        let account = store.find_account(&user.parse().unwrap()).await.unwrap().unwrap();
        let mailbox = store.find_mailbox(account.user.id).await.unwrap();
        (account.user.id, mailbox.and_then(|mailbox| mailbox.verified).map(|(address, _)| address))
    };
    // Somebody with a password has shown that it is theirs.
    let (lovelace, _) = person(&services, "lovelace", None).await;
    assert!(store.adopt_address(lovelace.id, "ada@berth.test", services.clock().now()).await.unwrap());

    // Two people may have one address: who comes in by the provider is somebody of their own.
    let mut ada = scene.browser();
    to(&ada.sign_in("ada", &[]).await);
    assert!(scene.is_in(&mut ada, "ada").await);
    let (id, taken) = address("ada").await;
    assert_ne!(id, lovelace.id);
    assert_eq!(taken.as_deref(), Some("ada@berth.test"));
    assert_eq!(
        address("lovelace").await,
        (lovelace.id, Some("ada@berth.test".to_owned())),
        "nothing is taken from them"
    );
    // The provider does not vouch for mallory's.
    let mut mallory = scene.browser();
    to(&mallory.sign_in("mallory", &[]).await);
    assert!(scene.is_in(&mut mallory, "mallory").await);
    assert_eq!(address("mallory").await.1, None);

    // Who has a password says where a link to another one goes; what a provider says of them changes nothing.
    let mut root = scene.browser();
    root.set_cookie(SESSION, &scene.root_cookie);
    assert_eq!(to(&root.sign_in("grace", &[("do", "connect"), ("current", PASSWORD)]).await), "/");
    let mut grace = scene.browser();
    to(&grace.sign_in("grace", &[]).await);
    assert!(scene.is_in(&mut grace, "root").await);
    assert_eq!(address("root").await.1, None);
    scene.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_hold() {
    let Some(scene) = Scene::start().await else { return };
    // The answer to one browser in another that has begun, too.
    let (mut one, mut other) = (scene.browser(), scene.browser());
    let address = one.start(&[]).await;
    let back = one.at_provider(&address, "ada").await;
    other.start(&[]).await;
    let kept = other.cookie(ATTEMPT).map(str::to_owned);
    assert_eq!(to(&other.get(&back).await), "/sign-in?refused=sign_in_state");
    assert_eq!(other.cookie(ATTEMPT).map(str::to_owned), kept, "what it began may go on");
    // Somebody's code under one's own state: PKCE and the nonce are the other browser's.
    let stolen = url::Url::parse(&back).unwrap();
    let code = stolen.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut mine = scene.browser();
    let own = url::Url::parse(&mine.start(&[]).await).unwrap();
    let state = own.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let issuer = scene.provider.issuer.clone();
    let with = |pairs: &[(&str, &str)]| {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("{PORTAL}/auth/corp/callback?{query}")
    };
    let injected = mine.get(&with(&[("code", &code), ("state", &state), ("iss", &issuer)])).await;
    assert_eq!(to(&injected), "/sign-in?refused=sign_in_answer");
    assert!(mine.cookie(SESSION).is_none() && mine.cookie(ATTEMPT).is_none());

    // Another provider's answer (RFC 9207), none at all, and a refusal.
    for (pairs, why) in [
        (vec![("code", "x"), ("iss", "https://evil.example")], "sign_in_answer"),
        (vec![("code", "x")], "sign_in_answer"),
        (vec![("error", "access_denied"), ("iss", issuer.as_str())], "sign_in_denied"),
    ] {
        let mut browser = scene.browser();
        let own = url::Url::parse(&browser.start(&[]).await).unwrap();
        let state = own.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let pairs = [vec![("state", state.as_str())], pairs].concat();
        assert_eq!(to(&browser.get(&with(&pairs)).await), format!("/sign-in?refused={why}"));
    }

    // Providers that there are not; another account without being signed in; a form of another site.
    let unknown = scene.browser().post(&format!("{PORTAL}/auth/none/start"), &[]).await;
    assert_eq!(to(&unknown), "/sign-in?refused=sign_in_unknown");
    let connect = scene.browser().post(&format!("{PORTAL}/auth/corp/start"), &[("do", "connect")]).await;
    assert_eq!(to(&connect), "/sign-in?next=/account/connections");

    // The client secret is no more the one that the provider knows.
    std::fs::write(scene.data.path().join("secrets/corp"), "another").unwrap();
    let mut browser = scene.browser();
    assert_eq!(to(&browser.sign_in("ada", &[]).await), "/sign-in?refused=sign_in_answer");
    std::fs::remove_file(scene.data.path().join("secrets/corp")).unwrap();
    let mut browser = scene.browser();
    assert_eq!(to(&browser.sign_in("ada", &[]).await), "/sign-in?refused=sign_in_away");
    let ada: UserName = "ada".parse().unwrap();
    assert!(scene.portal.services.store().find_account(&ada).await.unwrap().is_none(), "nobody was made");
    scene.portal.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_connects_and_closes_the_other_door() {
    let Some(scene) = Scene::start().await else { return };
    let mut root = scene.browser();
    root.set_cookie(SESSION, &scene.root_cookie);
    let url = |path: &str| format!("{PORTAL}{path}");
    let early = root.post(&url("/admin/sign-in"), &[("do", "forbid")]).await;
    assert_eq!(early.status, 422);
    assert!(early.text.contains("Connect your own account"), "{}", early.text);

    // A session that was left open, or stolen, opens no other way in.
    let form = [("do", "connect"), ("next", "/account/connections"), ("current", "wrong horse battery")];
    let start = format!("{PORTAL}/auth/corp/start");
    let refused = to(&root.post(&start, &form).await).to_owned();
    assert_eq!(refused, "/account/connections?refused=sign_in_password");
    let page = root.get(&url(&refused)).await;
    assert!(page.text.contains("That was not your password"), "{}", page.text);
    assert_eq!(to(&root.post(&start, &form[..2]).await), refused, "none at all");

    let form = [("do", "connect"), ("next", "/account/connections"), ("current", PASSWORD)];
    assert_eq!(to(&root.sign_in("grace", &form).await), "/account/connections");
    let page = root.get(&url("/account/connections")).await;
    assert!(page.text.contains(&scene.provider.issuer) && page.text.contains("grace"), "{}", page.text);
    assert_eq!(to(&root.post(&url("/admin/sign-in"), &[("do", "forbid")]).await), "/admin/sign-in");

    let mut browser = scene.browser();
    let page = browser.get(&url("/sign-in")).await;
    assert!(page.text.contains("Sign in with Corp") && !page.text.contains("name=\"password\""), "{}", page.text);
    let password = [("name", "root"), ("password", PASSWORD)];
    let refused = browser.post(&url("/sign-in"), &password).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("Passwords are switched off"), "{}", refused.text);
    // Grace of Corp is root here.
    to(&browser.sign_in("grace", &[]).await);
    assert!(scene.is_in(&mut browser, "root").await);

    // Neither the last way into the account nor the last one into the portal goes.
    let identity = scene.portal.services.my_identities(&scene.root).await.unwrap().remove(0).id.to_string();
    let last = root.post(&url("/account/connections"), &[("do", "disconnect"), ("identity", &identity)]).await;
    assert_eq!(last.status, 422);
    assert!(last.text.contains("your only way in"), "{}", last.text);
    let last = root.post(&url("/admin/sign-in/corp"), &[("do", "delete")]).await;
    assert_eq!(last.status, 422);
    assert!(last.text.contains("nobody could sign in any more"), "{}", last.text);

    assert_eq!(to(&root.post(&url("/admin/sign-in"), &[("do", "allow")]).await), "/admin/sign-in");
    assert_eq!(to(&root.post(&url("/admin/sign-in/corp"), &[("do", "delete")]).await), "/admin/sign-in");
    scene.portal.stop().await;
}

/// What stands between two parts of a page.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_at_the_provider() {
    let Some(scene) = Scene::start().await else { return };
    let url = |path: &str| format!("{PORTAL}{path}");
    let mut ada = scene.browser();
    to(&ada.sign_in("ada", &[]).await);
    // The provider knows the browser still: it asks for no password.
    let address = ada.start(&[]).await;
    let known = ada.get(&address).await;
    assert!(ada.follow(known).await.url.starts_with(PORTAL));

    let out = ada.post(&url("/sign-out"), &[]).await;
    assert!(out.status == 200 && ada.cookie(SESSION).is_none(), "{} {}", out.status, out.text);
    let address = out.headers["refresh"].to_str().unwrap().strip_prefix("0; url=").unwrap().to_owned();
    assert!(address.starts_with(&scene.provider.issuer), "{address}");
    let page = ada.get(&address).await;
    let page = ada.follow(page).await;
    assert!(page.text.contains("Sign out?"), "{} {}", page.status, page.text);
    let (action, xsrf) = (between(&page.text, "action=\"", "\""), between(&page.text, "name=\"xsrf\" value=\"", "\""));
    let sent = ada.post(action, &[("xsrf", xsrf), ("logout", "yes")]).await;
    assert_eq!(ada.follow(sent).await.url, url("/sign-in"));
    let address = ada.start(&[]).await;
    let asked = ada.get(&address).await;
    assert!(ada.follow(asked).await.text.contains("<label for=\"name\">"), "it asks who one is");

    // Who came with a password, or where it is not wanted, is signed out here alone.
    let mut root = scene.browser();
    root.set_cookie(SESSION, &scene.root_cookie);
    assert_eq!(to(&root.post(&url("/sign-out"), &[]).await), "/sign-in");
    scene.portal.stop().await;
}

/// The same process speaks plain OAuth 2.0: opaque tokens, and an address that says who somebody is.
#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_by_plain_oauth() {
    let Some(scene) = Scene::start().await else { return };
    let services = scene.portal.services.clone();
    let corp: ProviderName = "corp".parse().unwrap();
    services.delete_provider(&scene.root, &corp).await.unwrap();
    let at = |path: &str| format!("{}{path}", scene.provider.issuer);
    let oauth = OAuthText {
        authorization_url: at("/auth"),
        token_url: at("/token"),
        user_url: at("/me"),
        groups_url: String::new(),
        id_field: "sub".to_owned(),
        login_field: "preferred_username".to_owned(),
        name_field: "name".to_owned(),
        basic_auth: true,
    };
    let text = |oauth: OAuthText| ProviderText {
        display_name: "Corp".to_owned(),
        issuer: scene.provider.issuer.clone(),
        client_id: CLIENT.to_owned(),
        secret: "corp".to_owned(),
        // Its account answers only who asked for OpenID.
        scopes: ["openid", "profile", "email", "groups"].map(str::to_owned).to_vec(),
        enabled: true,
        oauth: Some(oauth),
        ..ProviderText::default()
    };

    // What does not work is said before it is saved, at its field.
    std::fs::write(scene.data.path().join("secrets").join("other"), "not the secret").unwrap();
    let other_secret = ProviderText { secret: "other".to_owned(), ..text(oauth.clone()) };
    let error = services.create_provider(&scene.root, "corp", &other_secret).await.err().unwrap();
    assert_eq!(error.fields().first().map(|e| e.code.as_str()), Some("client_refused"), "{error}");
    let other = |change: fn(&mut OAuthText, String)| {
        let mut other = oauth.clone();
        change(&mut other, scene.provider.issuer.clone());
        other
    };
    for (field, wrong) in [
        ("oauth.tokenUrl", other(|oauth, issuer| oauth.token_url = format!("{issuer}/nowhere"))),
        ("oauth.tokenUrl", other(|oauth, _| oauth.token_url = "http://127.0.0.1:9/token".to_owned())),
        ("oauth.userUrl", other(|oauth, issuer| oauth.user_url = format!("{issuer}/nowhere"))),
        ("oauth.groupsUrl", other(|oauth, issuer| oauth.groups_url = format!("{issuer}/nowhere"))),
    ] {
        let error = services.create_provider(&scene.root, "corp", &text(wrong)).await.err().unwrap();
        assert_eq!(error.fields().first().map(|e| e.field.as_str()), Some(field), "{error}");
    }
    let made = services.create_provider(&scene.root, "corp", &text(oauth.clone())).await.unwrap();
    services.create_group_rule(&scene.root, &corp, "team-a", "shop", "developer").await.unwrap();

    let mut ada = scene.browser();
    let answer = ada.sign_in("ada", &[("next", "/t/shop")]).await;
    assert_eq!(to(&answer), "/t/shop");
    assert!(scene.is_in(&mut ada, "ada").await);
    assert_eq!(scene.role("ada").await, Some(TenantRole::Developer));
    let known = services.store().find_identity(&scene.provider.issuer, "ada").await.unwrap();
    assert!(known.is_some(), "by what never changes");
    // Again: the same account, no second one.
    let mut again = scene.browser();
    again.sign_in("ada", &[("next", "/")]).await;
    assert!(scene.is_in(&mut again, "ada").await);

    // An answer counts once, and in the browser that asked.
    let mut grace = scene.browser();
    let address = grace.start(&[]).await;
    let back = grace.at_provider(&address, "grace").await;
    assert_eq!(to(&scene.browser().get(&back).await), "/sign-in?refused=sign_in_state");
    grace.get(&back).await;
    assert!(scene.is_in(&mut grace, "grace").await);
    assert_eq!(to(&scene.browser().get(&back).await), "/sign-in?refused=sign_in_state");

    // What it is, it stays.
    let openid = ProviderText { oauth: None, ..text(oauth) };
    let error = services.update_provider(&scene.root, &corp, &openid, Some(made.version)).await.err().unwrap();
    assert_eq!(error.fields().first().map(|e| e.code.as_str()), Some("provider_kind"));
}
