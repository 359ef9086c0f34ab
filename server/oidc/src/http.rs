//! The way to a provider.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_core::{error::causes, ports::sign_in};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use openidconnect::AsyncHttpClient;
use rustls::{ClientConfig, crypto::ring};

/// A provider that takes longer does not answer.
const TIME: Duration = Duration::from_secs(10);
/// Nothing that a provider sends is larger; a key set of a hundred keys has some 50 KiB.
const MAX_BYTES: usize = 512 * 1024;

/// Why there is no answer, for the log.
#[derive(Debug)]
pub(crate) struct Trouble(pub String);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// Asks one thing of a provider.
#[async_trait]
pub(crate) trait Fetch: Send + Sync {
    async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble>;
}

/// As the library wants its client.
#[derive(Clone)]
pub(crate) struct Way(pub Arc<dyn Fetch>);

impl<'c> AsyncHttpClient<'c> for Way {
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Trouble>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        self.0.fetch(request)
    }
}

/// Whether a provider may be there.
pub(crate) fn is_private(uri: &Uri) -> bool {
    sign_in::is_private(uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

/// HTTP as it is: no redirects, no cookies, no proxy. Trusts whom the system trusts (`SSL_CERT_FILE` names others), or, where there is
/// no system, as in Berth's own image, whom Mozilla trusts.
pub(crate) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// A client.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let versions = || {
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
        };
        let config = match versions()?.with_native_roots() {
            Ok(config) => config,
            Err(_) => versions()?.with_webpki_roots(),
        }
        .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

#[async_trait]
impl Fetch for Http {
    async fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble> {
        let to = request.uri().clone();
        if !is_private(&to) {
            return Err(Trouble(format!("{to} is not https")));
        }
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(header::USER_AGENT, HeaderValue::from_static("berth"));
        let asked = async {
            let answer = self.0.request(Request::from_parts(parts, Full::from(body))).await;
            let (parts, body) = answer.map_err(|e| Trouble(format!("{to}: {}", causes(&e))))?.into_parts();
            let body = Limited::new(body, MAX_BYTES).collect().await;
            let body = body.map_err(|e| Trouble(format!("{to}: the answer breaks off, or is too large: {e}")))?;
            Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
        };
        let late = |_| Trouble(format!("{to} did not answer within {} s", TIME.as_secs()));
        tokio::time::timeout(TIME, asked).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn where_a_provider_may_be() {
        for (uri, may) in [
            ("https://id.example.com/a", true),
            ("http://127.0.0.1:9000/a", true),
            ("http://[::1]:9000/a", true),
            ("http://localhost/a", true),
            ("http://id.example.com/a", false),
            ("http://127.0.0.1.example.com/a", false),
            ("/a", false),
        ] {
            assert_eq!(is_private(&uri.parse().unwrap()), may, "{uri}");
        }
    }

    /// Answers the first request with `answer`; what it says to that.
    async fn answered(answer: Vec<u8>) -> Result<Response<Vec<u8>>, Trouble> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/x", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            assert!(asked[..n].starts_with(b"GET /x HTTP/1.1\r\n"));
            let _ = stream.write_all(&answer).await;
            // Nobody else is served: a redirect that is followed would fail the test.
        });
        let got = Http::new().unwrap().fetch(Request::get(uri).body(Vec::new()).unwrap()).await;
        server.await.unwrap();
        got
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let to = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(to.into()).await.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_read() {
        let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_BYTES + 1).into_bytes();
        answer.resize(answer.len() + MAX_BYTES + 1, b' ');
        let error = answered(answer).await.unwrap_err();
        assert!(error.0.contains("too large"), "{error}");
    }

    #[tokio::test]
    async fn plain_http_goes_nowhere_but_here() {
        let request = Request::get("http://192.0.2.1/x").body(Vec::new()).unwrap();
        let error = Http::new().unwrap().fetch(request).await.unwrap_err();
        assert!(error.0.contains("not https"), "{error}");
    }
}
