//! The way to a provider.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_core::ports::sign_in;
use berth_outbound::{Bounds, Client, Excess};
use http::{HeaderValue, Request, Response, Uri, header};
use openidconnect::AsyncHttpClient;

/// A provider that takes longer does not answer, and nothing that one sends is larger: a key set of a hundred keys has some 50 KiB.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), bytes: 512 * 1024, excess: Excess::Refused };

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

/// The way out that all of Berth shares. Where a provider is, platform admins say, so any address may be one.
pub(crate) struct Http(Client);

impl Http {
    /// A client.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        Client::new().map(Self)
    }
}

#[async_trait]
impl Fetch for Http {
    async fn fetch(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble> {
        let to = request.uri().clone();
        if !is_private(&to) {
            return Err(Trouble(format!("{to} is not https")));
        }
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("berth"));
        self.0.send(request, &|_| true, BOUNDS).await.map_err(|trouble| Trouble(format!("{to}: {trouble}")))
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn plain_http_goes_nowhere_but_here() {
        let request = Request::get("http://192.0.2.1/x").body(Vec::new()).unwrap();
        let error = Http::new().unwrap().fetch(request).await.unwrap_err();
        assert!(error.0.contains("not https"), "{error}");
    }
}
