//! The way to webhooks.

use async_trait::async_trait;
use berth_core::{
    ports::webhooks::{Answered, Sender, TIME},
    webhooks::guard::Guard,
};
use berth_outbound::{Bounds, Client, Excess};
use berth_types::webhook::MAX_ANSWER;
use http::{HeaderName, Request};

/// Sends to the internet, and where the settings let it.
pub struct Posts {
    client: Client,
    guard: Guard,
}

impl Posts {
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(guard: Guard) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new()?, guard })
    }
}

#[async_trait]
impl Sender for Posts {
    async fn post(&self, url: &str, headers: &[(&'static str, String)], body: String) -> Result<Answered, String> {
        let mut request = Request::post(url).header(http::header::USER_AGENT, "Berth");
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), value);
        }
        let request = request.body(body.into_bytes()).map_err(|e| e.to_string())?;
        let encrypted = request.uri().scheme_str() == Some("https");
        let bounds = Bounds { time: TIME, bytes: MAX_ANSWER, excess: Excess::Cut };
        let may = |address| self.guard.lets(encrypted, address);
        let answer = self.client.send(request, &may, bounds).await.map_err(|trouble| trouble.0)?;
        let retry_after = answer.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        Ok(Answered { status: answer.status().as_u16(), body: answer.into_body(), retry_after })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_the_machine_gets_nothing() {
        // Nobody listens there: who tried to connect would say something else.
        for (ranges, url, closed) in [
            ("", "https://localhost:1/", true),
            ("", "http://127.0.0.1:1/", true),
            ("10.99.0.0/24", "http://localhost:1/", true),
            ("127.0.0.0/8 ::1/128", "http://localhost:1/", false),
        ] {
            let posts = Posts::new(Guard::new(berth_core::network::ranges(ranges).unwrap(), Vec::new())).unwrap();
            let why = posts.post(url, &[], String::new()).await.unwrap_err();
            assert_eq!(why.starts_with("nothing is sent to "), closed, "{ranges} {url}: {why}");
        }
    }
}
