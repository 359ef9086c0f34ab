//! HTTP as it is, towards others: no redirects, no cookies, no proxy; bounded in time and size. A name is resolved here, its addresses
//! are looked at, and the connection goes to one of exactly these: who answers for the name cannot lead it elsewhere in between.
//!
//! Trusts whom the system trusts (`SSL_CERT_FILE` names others), or, where there is no system, as in Berth's own image, whom Mozilla
//! trusts. Knows nothing of Berth.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_rustls::ConfigBuilderExt;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Why there is no answer, in words without secrets: of an address no more than its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// What becomes of an answer that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// There is none then.
    Refused,
    /// It ends there, and what follows is not read.
    Cut,
}

/// How much is waited for and read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For all of it.
    pub time: Duration,
    /// Of the answer's body.
    pub bytes: usize,
    /// What becomes of more.
    pub excess: Excess,
}

/// Whether a connection may go to an address.
pub type May<'a> = &'a (dyn Fn(IpAddr) -> bool + Send + Sync);

/// Asks.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
}

fn trouble(what: &str, error: &dyn std::error::Error) -> Trouble {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    Trouble(text)
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new() -> Result<Self, rustls::Error> {
        let versions = || {
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
        };
        let config = match versions()?.with_native_roots() {
            Ok(config) => config,
            Err(_) => versions()?.with_webpki_roots(),
        };
        Ok(Self { tls: TlsConnector::from(Arc::new(config.with_no_client_auth())) })
    }

    /// Sends a request and reads the answer, whatever its status: a redirect is an answer.
    ///
    /// # Errors
    /// [`Trouble`]: no address of the host may be reached, nobody answers in time, the answer breaks off or is too large.
    pub async fn send(
        &self,
        request: Request<Vec<u8>>,
        may: May<'_>,
        bounds: Bounds,
    ) -> Result<Response<Vec<u8>>, Trouble> {
        let late = |_| Trouble(format!("no answer within {} s", bounds.time.as_secs()));
        tokio::time::timeout(bounds.time, self.asked(request, may, bounds)).await.map_err(late)?
    }

    async fn asked(
        &self,
        mut request: Request<Vec<u8>>,
        may: May<'_>,
        bounds: Bounds,
    ) -> Result<Response<Vec<u8>>, Trouble> {
        let uri = request.uri().clone();
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(Trouble("the address names no host".to_owned()));
        };
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !encrypted && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(Trouble("the address is neither https nor http".to_owned()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        // As servers want it: host and path, not the whole address.
        let named = HeaderValue::from_str(&match authority.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        });
        request.headers_mut().insert(header::HOST, named.map_err(|e| trouble("the host's name", &e))?);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse::<Uri>().map_err(|e| trouble("the path", &e))?;

        let stream = connected((&bare, port), may, bounds.time).await?;
        let request = request.map(|body| Full::from(Bytes::from(body)));
        if encrypted {
            let name = ServerName::try_from(bare).map_err(|e| trouble("the host's name", &e))?;
            let stream = self.tls.connect(name, stream).await.map_err(|e| trouble("TLS", &e))?;
            answered(stream, request, bounds).await
        } else {
            answered(stream, request, bounds).await
        }
    }
}

/// A connection to one of the addresses of a host, all of which must be such as may be reached: one that is not says that the name
/// leads where it should not. An address that does not answer takes no more than its part of `time`, so that the others are tried.
async fn connected((host, port): (&str, u16), may: May<'_>, time: Duration) -> Result<TcpStream, Trouble> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|e| trouble(&format!("{host} cannot be found"), &e))?.collect()
        }
    };
    if let Some(closed) = found.iter().find(|address| !may(address.ip())) {
        return Err(Trouble(format!("nothing is sent to {host}, which is {}", closed.ip())));
    }
    let mut last = Trouble(format!("{host} has no address"));
    let part = time / u32::try_from(found.len() + 1).unwrap_or(u32::MAX);
    for address in found {
        match tokio::time::timeout(part, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = trouble(&format!("{host} ({address})"), &e),
            Err(_) => last = Trouble(format!("{host} ({address}) does not answer")),
        }
    }
    Err(last)
}

async fn answered(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    bounds: Bounds,
) -> Result<Response<Vec<u8>>, Trouble> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| trouble("the connection", &e))?;
    let read = async {
        let answer = sender.send_request(request).await.map_err(|e| trouble("no answer", &e))?;
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(parts, bounded(body, bounds).await?))
    };
    // The connection lives as long as it is read from: whoever stops waiting closes it.
    tokio::pin!(connection);
    tokio::pin!(read);
    tokio::select! {
        answer = &mut read => answer,
        ended = &mut connection => match ended {
            // What came before the end is still there.
            Ok(()) => read.await,
            Err(e) => Err(trouble("the connection broke off", &e)),
        },
    }
}

async fn bounded(mut body: Incoming, bounds: Bounds) -> Result<Vec<u8>, Trouble> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| trouble("the answer breaks off", &e))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = bounds.bytes - all.len();
        match (data.len() > room, bounds.excess) {
            (false, _) => all.extend_from_slice(data),
            (true, Excess::Cut) => {
                all.extend_from_slice(&data[..room]);
                return Ok(all);
            }
            (true, Excess::Refused) => return Err(Trouble("the answer is too large".to_owned())),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), bytes: 1_000, excess: Excess::Refused };

    fn loopback(address: IpAddr) -> bool {
        address.is_loopback()
    }

    /// Answers one request at `host` with `answer`; what was asked, and what came of it.
    async fn ask(host: &str, answer: Vec<u8>, bounds: Bounds) -> (String, Result<Response<Vec<u8>>, Trouble>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{host}:{}/x?y=z", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            let _ = stream.write_all(&answer).await;
            // Nobody else is served: a redirect that is followed would fail the test.
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let request = Request::post(uri).header("webhook-id", "msg_1").body(b"hello".to_vec()).unwrap();
        let got = Client::new().unwrap().send(request, &loopback, bounds).await;
        (server.await.unwrap(), got)
    }

    #[tokio::test]
    async fn what_is_asked_and_what_comes_back() {
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok".to_vec();
        let (asked, got) = ask("127.0.0.1", answer, BOUNDS).await;
        let asked = asked.to_ascii_lowercase();
        assert!(asked.starts_with("post /x?y=z http/1.1\r\n") && asked.contains("\r\nhost: 127.0.0.1:"), "{asked}");
        assert!(asked.contains("\r\nwebhook-id: msg_1\r\n") && asked.contains("\r\ncontent-length: 5\r\n"), "{asked}");
        let got = got.unwrap();
        assert_eq!((got.status().as_u16(), got.body().as_slice()), (201, &b"ok"[..]));
        // An answer without a length ends with the connection.
        let (_, got) = ask("localhost", b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec(), BOUNDS).await;
        assert_eq!(got.unwrap().into_body(), b"until the end");
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let to = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
        assert_eq!(ask("127.0.0.1", to, BOUNDS).await.1.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_read() {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 100_000, b'a');
        let (_, got) = ask("127.0.0.1", answer.clone(), BOUNDS).await;
        assert_eq!(got.unwrap_err().0, "the answer is too large");
        let (_, got) = ask("127.0.0.1", answer, Bounds { excess: Excess::Cut, ..BOUNDS }).await;
        assert_eq!(got.unwrap().body().len(), 1_000);
    }

    #[tokio::test]
    async fn nothing_goes_where_it_may_not() {
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            // Nobody listens: who tried to connect would say something else.
            let request = Request::get(format!("http://{host}:1/")).body(Vec::new()).unwrap();
            let got = Client::new().unwrap().send(request, &|_| false, BOUNDS).await.unwrap_err();
            assert!(got.0.starts_with("nothing is sent to "), "{got}");
        }
        let request = Request::get("http://127.0.0.1:1/").body(Vec::new()).unwrap();
        let got = Client::new().unwrap().send(request, &loopback, BOUNDS).await.unwrap_err();
        assert!(got.0.contains("127.0.0.1:1") && !got.0.starts_with("nothing"), "{got}");
        for uri in ["ftp://localhost/", "/x"] {
            let request = Request::get(uri).body(Vec::new()).unwrap();
            assert!(Client::new().unwrap().send(request, &loopback, BOUNDS).await.is_err(), "{uri}");
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let request = Request::get(uri).body(Vec::new()).unwrap();
        let bounds = Bounds { time: Duration::from_millis(50), ..BOUNDS };
        let got = Client::new().unwrap().send(request, &loopback, bounds).await.unwrap_err();
        assert!(got.0.contains("no answer within"), "{got}");
        // Plain text is no TLS.
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.shutdown().await.unwrap();
        let uri = format!("https://{}/", listener.local_addr().unwrap());
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let request = Request::get(uri).body(Vec::new()).unwrap();
        let got = Client::new().unwrap().send(request, &loopback, BOUNDS).await.unwrap_err();
        assert!(got.0.starts_with("TLS"), "{got}");
        serve.await.unwrap();
    }
}
