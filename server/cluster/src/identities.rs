//! In a pod: a service account an identity. The pod's own account may do nothing but ask for their tokens, which live an hour.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{Error, Result};
use http::{HeaderValue, Request, StatusCode, header::AUTHORIZATION};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    error::{Target, unavailable},
    rest::{Kind, Rest},
};

/// How long a token shall live.
const LIFE: Duration = Duration::from_hours(1);

/// A token, and when it is to be renewed and has ended.
#[derive(Clone)]
struct Token {
    header: HeaderValue,
    renew: Instant,
    end: Instant,
}

/// A service account whose tokens the pod's own account may ask for.
struct Account {
    /// As the pod's own account.
    asks: Rest,
    namespace: String,
    name: String,
    token: Mutex<Option<Token>>,
}

impl Account {
    /// What stands in the header of a request: asked for when there is none, and in good time before it ends.
    async fn header(&self) -> Result<HeaderValue> {
        // Held while asking: those who come meanwhile wait for the same answer.
        let mut token = self.token.lock().await;
        let now = Instant::now();
        if let Some(have) = token.as_ref().filter(|have| now < have.renew) {
            return Ok(have.header.clone());
        }
        match self.ask(now).await {
            Ok(new) => Ok(token.insert(new).header.clone()),
            Err(e) => match token.as_ref().filter(|have| now < have.end) {
                Some(have) => {
                    tracing::warn!(account = self.name, error = %e, "the token could not be renewed; the old one goes on");
                    Ok(have.header.clone())
                }
                None => Err(e),
            },
        }
    }

    async fn ask(&self, now: Instant) -> Result<Token> {
        let path = Kind::SERVICE_ACCOUNT.at(&self.namespace, &self.name) + "/token";
        let wanted = json!({
            "apiVersion": Kind::TOKEN_REQUEST.api_version,
            "kind": Kind::TOKEN_REQUEST.kind,
            "spec": { "expirationSeconds": LIFE.as_secs() },
        });
        let answer = self.asks.create(&Target::new("the service account", &self.name), &path, &wanted).await?;
        read(&answer, now).ok_or_else(|| unavailable(format!("no token came for the account {}", self.name)))
    }

    /// The cluster does not take it any more: the account was made anew, say.
    async fn refused(&self, header: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|have| have.header == header) {
            *token = None;
        }
    }
}

/// The token of an answer; renewed after four fifths of its life, as the kubelet does.
fn read(answer: &Value, now: Instant) -> Option<Token> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", answer["status"]["token"].as_str()?)).ok()?;
    header.set_sensitive(true);
    let life = answer["spec"]["expirationSeconds"].as_u64().map_or(LIFE, Duration::from_secs);
    Some(Token { header, renew: now + life * 4 / 5, end: now + life })
}

/// A client that acts as the service account `name`, whose tokens `own` may ask for; `nobody` has no credentials.
pub(crate) fn client(own: &Client, nobody: &Client, name: String) -> Client {
    let namespace = own.default_namespace().to_owned();
    let account =
        Arc::new(Account { asks: Rest::new(own.clone()), namespace: namespace.clone(), name, token: Mutex::default() });
    let nobody = nobody.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let (account, nobody) = (account.clone(), nobody.clone());
        async move {
            let header = account.header().await.map_err(failed)?;
            request.headers_mut().insert(AUTHORIZATION, header.clone());
            let answer = nobody.send(request).await?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                account.refused(&header).await;
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, namespace)
}

fn failed(e: Error) -> kube::Error {
    kube::Error::Service(Box::new(e))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    use http::Response;
    use parking_lot::Mutex as Lock;

    use super::*;

    /// A cluster that hands out `t1`, `t2` … and takes only the one in `good`.
    struct Fake {
        asked: AtomicU32,
        good: Lock<String>,
    }

    fn clients(life: u64) -> (Client, Arc<Fake>) {
        let fake = Arc::new(Fake { asked: AtomicU32::new(0), good: Lock::new("Bearer t1".to_owned()) });
        let giver = fake.clone();
        let own = tower::service_fn(move |request: Request<Body>| {
            let number = giver.asked.fetch_add(1, Ordering::Relaxed) + 1;
            assert_eq!(request.uri().path(), "/api/v1/namespaces/berth/serviceaccounts/berth-reader/token");
            let answer = json!({"spec": {"expirationSeconds": life}, "status": {"token": format!("t{number}")}});
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes()))) }
        });
        let taker = fake.clone();
        let nobody = tower::service_fn(move |request: Request<Body>| {
            let given = request.headers().get(AUTHORIZATION).and_then(|h| h.to_str().ok()).map(str::to_owned);
            let ok = given.as_ref() == Some(&*taker.good.lock());
            let answer = json!({"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "no"});
            let body = if ok { "{}".to_owned() } else { answer.to_string() };
            let status = if ok { 200 } else { 401 };
            async move {
                let body = Body::from(body.into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).expect("a response"))
            }
        });
        let client = client(&Client::new(own, "berth"), &Client::new(nobody, "berth"), "berth-reader".to_owned());
        (client, fake)
    }

    async fn ask(client: &Client) -> bool {
        let request = crate::rest::get("/version").expect("a request");
        client.request::<Value>(request).await.is_ok()
    }

    #[tokio::test]
    async fn one_token_for_many_requests() {
        let (client, fake) = clients(3600);
        for _ in 0..3 {
            assert!(ask(&client).await);
        }
        assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_that_has_ended_is_renewed() {
        let (client, fake) = clients(0);
        assert!(ask(&client).await);
        "Bearer t2".clone_into(&mut fake.good.lock());
        assert!(ask(&client).await);
        assert_eq!(fake.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn one_that_is_refused_is_dropped() {
        let (client, fake) = clients(3600);
        "Bearer t2".clone_into(&mut fake.good.lock());
        assert!(!ask(&client).await);
        assert!(ask(&client).await);
        assert_eq!(fake.asked.load(Ordering::Relaxed), 2);
    }
}
