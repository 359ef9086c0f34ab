//! The call itself: TLS to the portal, and a WebSocket in it.

use std::{path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use berth_core::ports::relay::Duplex;
use berth_tunnel::{MAX_MESSAGE, PATH, PROTOCOL, pump::Frame};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::{HeaderValue, StatusCode, Uri, header};
use hyper_rustls::ConfigBuilderExt as _;
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
    token_file: PathBuf,
}

/// Certificates of authorities in a file; none where it is empty.
fn authorities(path: &PathBuf) -> anyhow::Result<Option<RootCertStore>> {
    let text = std::fs::read(path).with_context(|| format!("the authorities {}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.context("a certificate")?)?;
    }
    if roots.is_empty() && !text.trim_ascii().is_empty() {
        bail!("{} has no certificates in PEM", path.display());
    }
    Ok((!roots.is_empty()).then_some(roots))
}

fn tls(ca_file: Option<&PathBuf>) -> anyhow::Result<TlsConnector> {
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

impl Target {
    /// The portal at `server`.
    ///
    /// # Errors
    /// What is wrong with the address, or the authorities.
    pub fn new(server: &str, token_file: PathBuf, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let base: Uri = server.parse().with_context(|| format!("“{server}” is no address"))?;
        let (Some(scheme), Some(host)) = (base.scheme_str(), base.host()) else {
            bail!("“{server}”: say https://HOST, as browsers have it");
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let (tls, port, scheme) = match scheme {
            "https" => {
                let name = ServerName::try_from(host.clone()).context("the portal's name")?;
                (Some((tls(ca_file.as_ref())?, name)), base.port_u16().unwrap_or(443), "wss")
            }
            "http" if local => (None, base.port_u16().unwrap_or(80), "ws"),
            "http" => bail!("“{server}”: the token would go there in plain text; use https"),
            other => bail!("“{server}”: {other} is neither https nor http"),
        };
        let authority = base.authority().map(ToString::to_string).unwrap_or_default();
        let path = base.path().trim_end_matches('/');
        let uri = format!("{scheme}://{authority}{path}{PATH}").parse().context("the portal's address")?;
        Ok(Self { uri, host, port, tls, token_file })
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
        let tcp =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| format!("no connection: {e}"))?;
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
        tungstenite::Error::Http(answer) => format!("the portal answers {}", answer.status()),
        other => other.to_string(),
    }
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
    }
}
