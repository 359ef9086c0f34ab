//! The identity provider of the test cluster (npm's certified oidc-provider), here as a process on loopback, and a browser
//! without a screen that goes from the portal to it and back.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::ServiceExt as _;

/// `skip`: without the tests that need the provider.
const VARIABLE: &str = "BERTH_TEST_OIDC";
const FILES: [&str; 4] = ["package.json", "accounts.json", "pages.mjs", "provider.mjs"];
pub const CLIENT: &str = "berth";
pub const SECRET: &str = "oidc-for-tests";

/// A provider that answers until it is dropped.
pub struct Provider {
    pub issuer: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where `cargo xtask test` installs the provider's packages, if they are there.
fn packages(source: &Path) -> Option<PathBuf> {
    Some(source.join("node_modules")).filter(|place| place.join("oidc-provider").exists())
}

impl Provider {
    /// Starts it. `None`, with the reason on standard error, where Node.js or its packages are missing or [`VARIABLE`] is `skip`.
    pub fn start() -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../end2end/cluster/services/oidc");
        let skip = |why: &str| {
            eprintln!("SKIPPED, the sign-in with a real provider was not tried: {why}");
            None
        };
        if std::env::var(VARIABLE).is_ok_and(|value| value == "skip") {
            return skip("BERTH_TEST_OIDC=skip");
        }
        let Some(packages) = packages(&source) else {
            return skip("no packages; run `npm ci --ignore-scripts` in end2end/cluster/services/oidc");
        };
        let folder = tempfile::tempdir().unwrap();
        for name in FILES {
            fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(packages.canonicalize().unwrap(), folder.path().join("node_modules")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let issuer = format!("http://127.0.0.1:{port}");
        let started = Command::new("node")
            .current_dir(folder.path())
            .args(["provider.mjs", "--issuer", &issuer, "--client", CLIENT, "--secret", SECRET])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(e) => return skip(&format!("Node.js cannot be started: {e}")),
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let up = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("listening at"));
        // Goes on reading, so that it never waits for somebody to.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        assert!(up, "the provider ended before it listened");
        Some(Self { issuer, process, _folder: folder })
    }
}

/// What a browser got.
pub struct Got {
    pub url: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// Cookies by site; the portal is asked over its router, all else over the network. Follows nothing by itself.
pub struct Browser {
    portal: Router,
    cookies: HashMap<String, HashMap<String, String>>,
    network: Client<HttpConnector, Full<Bytes>>,
}

/// Where the portal seems to be.
pub const PORTAL: &str = "http://127.0.0.1:8080";

impl Browser {
    pub fn new(portal: &Router) -> Self {
        let network = Client::builder(TokioExecutor::new()).build_http();
        Self { portal: portal.clone(), cookies: HashMap::new(), network }
    }

    /// A cookie of the portal.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(PORTAL)?.get(name).map(String::as_str)
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.entry(PORTAL.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&mut self, url: &str) -> Got {
        self.ask(Method::GET, url, String::new()).await
    }

    pub async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Got {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.ask(Method::POST, url, form).await
    }

    async fn ask(&mut self, method: Method, url: &str, body: String) -> Got {
        let uri: Uri = url.parse().unwrap();
        let site = format!("{}://{}", uri.scheme_str().unwrap(), uri.authority().unwrap());
        let cookies = self.cookies.entry(site.clone()).or_default();
        let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = Request::builder()
            .method(method)
            .header(header::COOKIE, cookie)
            .header(header::HOST, uri.authority().unwrap().as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (parts, text) = if site == PORTAL {
            let path = uri.path_and_query().unwrap().as_str();
            let request = request.uri(path).body(Body::from(body)).unwrap();
            let (parts, body) = self.portal.clone().oneshot(request).await.unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        } else {
            let request = request.uri(url).body(Full::from(body)).unwrap();
            let (parts, body) = self.network.request(request).await.unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        };
        for set in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let gone = value.is_empty() || rest.to_lowercase().contains("max-age=0");
            match gone {
                true => drop(cookies.remove(name)),
                false => drop(cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        Got { url: url.to_owned(), status: parts.status, headers: parts.headers, text }
    }

    /// Follows redirects until a page comes, or one leads back to the portal.
    pub async fn follow(&mut self, mut got: Got) -> Got {
        for _ in 0..20 {
            let Some(to) = got.headers.get(header::LOCATION) else { return got };
            let to = url::Url::parse(&got.url).unwrap().join(to.to_str().unwrap()).unwrap().to_string();
            if to.starts_with(PORTAL) {
                return Got { url: to, ..got };
            }
            got = self.get(&to).await;
        }
        panic!("redirects without end, the last to {}", got.url);
    }

    /// Begins to sign in at the portal: the address that it leads to.
    pub async fn start(&mut self, form: &[(&str, &str)]) -> String {
        let got = self.post(&format!("{PORTAL}/auth/corp/start"), form).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
        let refresh = got.headers["refresh"].to_str().unwrap();
        let address = refresh.strip_prefix("0; url=").unwrap().to_owned();
        assert!(got.text.contains("<a href="), "a link for browsers that do not go on by themselves: {}", got.text);
        address
    }

    /// Signs in at the provider as `name`: the address at the portal that it sends the browser back to.
    pub async fn at_provider(&mut self, address: &str, name: &str) -> String {
        let page = self.get(address).await;
        let page = self.follow(page).await;
        if page.url.starts_with(PORTAL) {
            // It knows the browser still.
            return page.url;
        }
        assert!(page.text.contains("<label for=\"name\">"), "{} {}", page.status, page.text);
        let password = format!("{name}-for-tests");
        let sent = self.post(&page.url, &[("name", name), ("password", &password)]).await;
        self.follow(sent).await.url
    }

    /// All of it: what the portal answers at the end.
    pub async fn sign_in(&mut self, name: &str, form: &[(&str, &str)]) -> Got {
        let address = self.start(form).await;
        let back = self.at_provider(&address, name).await;
        assert!(back.starts_with(&format!("{PORTAL}/auth/corp/callback?")), "{back}");
        self.get(&back).await
    }
}

/// Where an answer redirects to.
pub fn to(got: &Got) -> &str {
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
    got.headers[header::LOCATION].to_str().unwrap()
}
