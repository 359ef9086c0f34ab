//! The call itself: TLS to the portal, and a WebSocket in it.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use berth_core::{error::causes, ports::relay::Duplex};
use berth_tunnel::{MAX_MESSAGE, PATH, PROTOCOL, pump::Frame};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode, Uri, header};
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::{
    client::{
        legacy::connect::proxy::Tunnel,
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use tower::Service as _;

/// Most characters of what a portal's error says.
const MAX_DETAIL: usize = 300;
/// How long it may take to be connected.
const TIME: Duration = Duration::from_secs(10);

/// What comes from the portal.
pub(super) type Incoming = Pin<Box<dyn Stream<Item = Result<Frame, tungstenite::Error>> + Send>>;
/// What goes there.
pub(super) type Outgoing = Pin<Box<dyn Sink<Frame, Error = tungstenite::Error> + Send>>;

/// Whom to call, and with what.
pub struct Target {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Intercept>,
    token_file: PathBuf,
}

/// The proxy through which `portal` is called. What is said to it alone is where to go: TLS is spoken with the portal.
fn proxy(proxies: &Matcher, portal: &Uri) -> anyhow::Result<Option<Intercept>> {
    match proxies.intercept(portal) {
        Some(found) if found.uri().scheme_str() != Some("http") => {
            let scheme = found.uri().scheme_str().unwrap_or_default();
            bail!("HTTPS_PROXY: {scheme}:// is no proxy that the agent can speak with; name one as http://HOST:PORT")
        }
        found => Ok(found),
    }
}

/// The files that a path names: itself, or those in the folder that it is, but for what Kubernetes keeps there for itself (`..data`).
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Certificates of authorities in a file, or in the files of a folder; none where that is empty.
fn authorities(path: &Path) -> anyhow::Result<Option<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for file in files(path).with_context(|| format!("the authorities {}", path.display()))? {
        let text = std::fs::read(&file).with_context(|| format!("the authorities {}", file.display()))?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let one = || format!("a certificate in {}", file.display());
            roots.add(certificate.with_context(one)?).with_context(one)?;
        }
        if roots.len() == before && !text.trim_ascii().is_empty() {
            bail!("{} has no certificates in PEM", file.display());
        }
    }
    Ok((!roots.is_empty()).then_some(roots))
}

fn tls(ca_file: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let versions = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()
    };
    let config = match ca_file.map(authorities).transpose()?.flatten() {
        Some(roots) => versions()?.with_root_certificates(roots),
        // Where there is no system, as in Berth's own image, whom Mozilla trusts.
        None => match versions()?.with_native_roots() {
            Ok(config) => config,
            Err(_) => versions()?.with_webpki_roots(),
        },
    };
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

/// An address of IPv6 stands in brackets where a port may follow.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Target {
    /// The portal at `server`.
    ///
    /// # Errors
    /// What is wrong with the address, or the authorities.
    pub fn new(server: &str, token_file: PathBuf, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        Self::by(&Matcher::from_env(), server, token_file, ca_file)
    }

    fn by(proxies: &Matcher, server: &str, token_file: PathBuf, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let base: Uri = server.parse().with_context(|| format!("“{server}” is no address"))?;
        let (Some(scheme), Some(host)) = (base.scheme_str(), base.host()) else {
            bail!("“{server}”: say https://HOST, as browsers have it");
        };
        let host = bare(host).to_owned();
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let (tls, port, scheme) = match scheme {
            "https" => {
                let name = ServerName::try_from(host.clone()).context("the portal's name")?;
                (Some((tls(ca_file.as_deref())?, name)), base.port_u16().unwrap_or(443), "wss")
            }
            "http" if local => (None, base.port_u16().unwrap_or(80), "ws"),
            "http" => bail!("“{server}”: the token would go there in plain text; use https"),
            other => bail!("“{server}”: {other} is neither https nor http"),
        };
        // In plain text it goes to this machine alone.
        let proxy = if tls.is_some() { proxy(proxies, &base)? } else { None };
        let authority = base.authority().map(ToString::to_string).unwrap_or_default();
        let path = base.path().trim_end_matches('/');
        let uri = format!("{scheme}://{authority}{path}{PATH}").parse().context("the portal's address")?;
        Ok(Self { uri, host, port, tls, proxy, token_file })
    }

    /// The proxy, for who reads the log, without what is said to it.
    #[must_use]
    pub fn through(&self) -> Option<String> {
        self.proxy.as_ref().and_then(|proxy| proxy.uri().authority()).map(ToString::to_string)
    }

    /// A connection to the portal's address.
    async fn reached(&self) -> Result<TcpStream, String> {
        let Some(proxy) = &self.proxy else {
            let reached = TcpStream::connect((self.host.as_str(), self.port)).await;
            return reached.map_err(|e| format!("no connection: {e}"));
        };
        let connect = tower::service_fn(|proxy: Uri| async move {
            let host = bare(proxy.host().unwrap_or_default());
            TcpStream::connect((host, proxy.port_u16().unwrap_or(80))).await.map(TokioIo::new)
        });
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connect);
        if let Some(secret) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(secret.clone());
        }
        let why = |e| format!("no connection through the proxy {}: {}", self.through().unwrap_or_default(), causes(&e));
        tunnel.call(self.uri.clone()).await.map(TokioIo::into_inner).map_err(why)
    }

    /// The address, for the log.
    pub(super) fn shown(&self) -> String {
        self.uri.to_string()
    }

    fn request(&self) -> Result<tungstenite::handshake::client::Request, String> {
        let read = std::fs::read_to_string(&self.token_file);
        let token = read.map_err(|e| format!("the token file {}: {e}", self.token_file.display()))?;
        let mut secret = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| format!("the token file {} holds no token", self.token_file.display()))?;
        secret.set_sensitive(true);
        let mut request = self.uri.clone().into_client_request().map_err(|e| e.to_string())?;
        request.headers_mut().insert(header::AUTHORIZATION, secret);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        Ok(request)
    }

    /// Calls.
    pub(super) async fn dial(&self) -> Result<(Incoming, Outgoing), String> {
        let late = |_| format!("no answer within {} s", TIME.as_secs());
        tokio::time::timeout(TIME, self.connected()).await.map_err(late)?
    }

    async fn connected(&self) -> Result<(Incoming, Outgoing), String> {
        let request = self.request()?;
        let tcp = self.reached().await?;
        let _ = tcp.set_nodelay(true);
        let stream: Box<dyn Duplex> = match &self.tls {
            Some((tls, name)) => {
                Box::new(tls.connect(name.clone(), tcp).await.map_err(|e| format!("no TLS connection: {e}"))?)
            }
            None => Box::new(tcp),
        };
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await.map_err(|e| said(&e))?;
        let (outgoing, incoming) = socket.split();
        let incoming = incoming.map(|message| message.map(frame));
        let outgoing = outgoing.with(|frame| std::future::ready(Ok(message(frame))));
        Ok((Box::pin(incoming), Box::pin(outgoing)))
    }
}

/// What the portal said instead of taking the call.
fn said(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            "the portal does not know this token: it was revoked or renewed, or the cluster was removed".to_owned()
        }
        tungstenite::Error::Http(answer) => {
            let detail = answer.body().as_deref().and_then(detail).map_or_else(String::new, |text| format!(": {text}"));
            format!("the portal answers {}{detail}", answer.status())
        }
        other => other.to_string(),
    }
}

/// What a portal's error says, where all of it is there; what else may answer has nothing to say.
fn detail(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    problem["detail"].as_str().map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect())
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Binary(bytes) => Frame::Data(bytes),
        Message::Close(_) => Frame::Close,
        _ => Frame::Other,
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Data(bytes) => Message::Binary(bytes),
        Frame::Close => Message::Close(None),
        Frame::Ping | Frame::Other => Message::Ping(bytes::Bytes::new()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_goes_to_nobody_in_plain_text() {
        for (server, want) in [
            ("https://berth.example", Ok("wss://berth.example/agent/v1/tunnel")),
            ("https://berth.example:8443/", Ok("wss://berth.example:8443/agent/v1/tunnel")),
            ("https://example.com/berth/", Ok("wss://example.com/berth/agent/v1/tunnel")),
            ("http://127.0.0.1:8080", Ok("ws://127.0.0.1:8080/agent/v1/tunnel")),
            ("http://[::1]:8080", Ok("ws://[::1]:8080/agent/v1/tunnel")),
            ("http://berth.example", Err("plain text")),
            ("http://127.0.0.1.example", Err("plain text")),
            ("berth.example", Err("say https://HOST")),
            ("ftp://berth.example", Err("neither https nor http")),
        ] {
            let got = Target::new(server, "token".into(), None).map(|target| target.shown());
            match want {
                Ok(uri) => assert_eq!(got.unwrap(), uri, "{server}"),
                Err(why) => assert!(got.unwrap_err().to_string().contains(why), "{server}"),
            }
        }
    }

    #[test]
    fn a_proxy_is_gone_through_where_the_environment_says_so() {
        let all = "http://user:word@proxy.example:3128";
        for (proxies, server, want) in [
            (Matcher::builder().https(all), "https://berth.example", Ok(Some("proxy.example:3128"))),
            (Matcher::builder().all("proxy:3128"), "https://berth.example", Ok(Some("proxy:3128"))),
            (Matcher::builder().https(all).no("other.example,.example"), "https://berth.example", Ok(None)),
            (Matcher::builder().https(all).no("10.0.0.0/8"), "https://10.1.2.3", Ok(None)),
            // The token would go to it in plain text.
            (Matcher::builder().all(all), "http://127.0.0.1:8080", Ok(None)),
            (Matcher::builder().http(all), "https://berth.example", Ok(None)),
            (Matcher::builder().https("socks5://proxy:1080"), "https://berth.example", Err("socks5:// is no proxy")),
            (Matcher::builder().https("https://proxy"), "https://berth.example", Err("https:// is no proxy")),
        ] {
            let got = Target::by(&proxies.build(), server, "token".into(), None);
            match want {
                Ok(through) => assert_eq!(got.unwrap().through().as_deref(), through, "{server}"),
                Err(why) => assert!(got.err().unwrap().to_string().contains(why), "{server}"),
            }
        }
    }

    #[test]
    fn a_file_without_authorities_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        std::fs::write(&path, "\n").unwrap();
        assert!(authorities(&path).unwrap().is_none());
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(authorities(&path).is_err());
        let key = rcgen::generate_simple_self_signed(["berth.example".to_owned()]).unwrap();
        std::fs::write(&path, key.cert.pem()).unwrap();
        assert_eq!(authorities(&path).unwrap().unwrap().len(), 1);
        assert!(authorities(&folder.path().join("typo.crt")).is_err());
    }

    #[test]
    fn a_folder_of_authorities_is_read_as_kubernetes_mounts_it() {
        let folder = tempfile::tempdir().unwrap();
        // A ConfigMap that is not there.
        assert!(authorities(folder.path()).unwrap().is_none());
        let key = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem();
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        for name in ["a.example", "b.example"] {
            std::fs::write(folder.path().join("..data").join(name), key(name)).unwrap();
            std::os::unix::fs::symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
        }
        assert_eq!(authorities(folder.path()).unwrap().unwrap().len(), 2);
        std::fs::write(folder.path().join("c"), "no certificate").unwrap();
        assert!(authorities(folder.path()).is_err());
    }

    #[test]
    fn what_a_portal_says_is_handed_on() {
        let answer = |body: &str| {
            let answer = http::Response::builder().status(429).body(Some(body.as_bytes().to_vec())).unwrap();
            said(&tungstenite::Error::Http(answer.into()))
        };
        let problem = r#"{"title":"Too many","detail":"8 tunnels\n already"}"#;
        assert_eq!(answer(problem), "the portal answers 429 Too Many Requests: 8 tunnels already");
        for other in ["<html>", "{}", ""] {
            assert_eq!(answer(other), "the portal answers 429 Too Many Requests");
        }
    }
}
