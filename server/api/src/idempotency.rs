//! `Idempotency-Key`: a POST that is sent again gets the first reply again, instead of being done twice.
//!
//! The key is claimed before the work and the reply is kept after it, both in the database, for 24 hours and for each
//! person apart. Who crashes in between leaves a claim without a reply: the same request then answers `conflict` until the
//! claim is taken to be dead ([`DEAD`]), when it is done again. That is safe, since all that is made has a unique name.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{OriginalUri, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, Result,
    ports::store::{Digest, IdempotentReply, StoredReply},
};
use berth_types::{Action, ErrorCode, Resource};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};

use crate::{
    Api,
    body::read,
    caller::Caller,
    conditional::only,
    problem::{Failure, render},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Longest key.
const MAX_KEY: usize = 255;
/// Largest reply that is kept.
const MAX_REPLY: usize = 1024 * 1024;
/// Headers that are kept with a reply.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
/// A claim without a reply that is older was left by a crash: far longer than any change takes.
const DEAD: SignedDuration = SignedDuration::from_mins(5);
/// When to ask again while the first request runs.
const RETRY: Duration = Duration::from_secs(1);

/// On a response: what is kept instead of its body, because that holds a secret which is shown only once.
#[derive(Clone)]
pub(crate) struct KeepInstead(pub Bytes);

/// The layer around all operations.
pub(crate) async fn replay(State(api): State<Api>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(&KEY) {
        return next.run(request).await;
    }
    match once(&api, request, next).await {
        Ok(response) => response,
        Err(error) => Failure(error).into_response(),
    }
}

async fn once(api: &Api, request: Request, next: Next) -> Result<Response> {
    let key = only(request.headers(), KEY)?.unwrap_or_default().to_owned();
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Error::new(ErrorCode::Malformed, format!("Idempotency-Key: 1 to {MAX_KEY} ASCII characters")));
    }
    let caller = request.extensions().get::<Caller>().cloned().ok_or_else(Error::unauthenticated)?;
    let user = caller.person()?.id;
    let (parts, body) = request.into_parts();
    let bytes = read(body).await?;
    let uri = parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.clone(), |uri| uri.0.clone());
    let digest = digest(&parts.method, &uri.to_string(), parts.headers.get(header::CONTENT_TYPE), &bytes);

    let store = api.services().store();
    let now = caller.ctx.now();
    let mut claimed = store.claim_idempotency(user, &key, &digest, now).await?;
    let left_by_crash = |known: &IdempotentReply| {
        known.request == digest && known.reply.is_none() && now.duration_since(known.claimed_at) > DEAD
    };
    if claimed.as_ref().is_some_and(left_by_crash) {
        // Only that claim: who comes at the same moment must not take the new one.
        if let Some(dead) = &claimed {
            store.release_idempotency(user, &key, dead.claimed_at).await?;
        }
        claimed = store.claim_idempotency(user, &key, &digest, now).await?;
    }
    if let Some(known) = claimed {
        if known.request != digest {
            let message = "this Idempotency-Key was used for another request; make a new key for each";
            return Err(Error::new(ErrorCode::IdempotencyMismatch, message));
        }
        return match known.reply {
            Some(reply) => {
                still_seen(api, &caller, uri.path()).await?;
                Ok(stored(reply))
            }
            None => {
                let message = "the first request with this Idempotency-Key is still being answered; ask again";
                Err(Error::new(ErrorCode::Conflict, message).retry_after(RETRY))
            }
        };
    }

    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    let claim = Claim { user, key, at: now };
    let settled = settle(api, &claim, &caller.ctx.request_id, response).await;
    if settled.is_err() {
        // Nothing is known about the reply any more; a second try then finds what the first one made.
        release(api, &claim).await;
    }
    settled
}

/// Refuses to tell again what the caller may not see any more: rights can have gone since the first reply.
async fn still_seen(api: &Api, caller: &Caller, path: &str) -> Result<()> {
    let authz = api.services().authz();
    let parts: Vec<&str> = path.split('/').skip_while(|part| *part != "tenants").collect();
    let tenant = |name: &str| name.parse().map_err(|_| Error::not_found());
    match parts.as_slice() {
        ["tenants", name, "namespaces", namespace, ..] => {
            let namespace = namespace.parse().map_err(|_| Error::not_found())?;
            authz.namespace(&caller.ctx, &tenant(name)?, &namespace, Resource::Namespace, Action::Read).await.map(drop)
        }
        ["tenants", name, ..] => {
            authz.tenant(&caller.ctx, &tenant(name)?, Resource::Tenant, Action::Read).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// A key that is ours, unless it was taken over since.
struct Claim {
    user: uuid::Uuid,
    key: String,
    at: Timestamp,
}

/// Keeps the reply, or gives the key up where trying again may end otherwise.
async fn settle(api: &Api, claim: &Claim, request_id: &str, response: Response) -> Result<Response> {
    let status = response.status();
    let lasting = status.is_success() || (status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS);
    if !lasting {
        release(api, claim).await;
        return Ok(response);
    }
    // An error has no body yet; it gets one that will be the same when it is replayed.
    let response = match response.extensions().get::<Arc<Error>>() {
        Some(error) => render(error, request_id),
        None => response,
    };
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_REPLY).await.map_err(Error::internal)?;
    let mut headers = Map::new();
    for name in &KEPT {
        if let Some(value) = parts.headers.get(name).and_then(|value| value.to_str().ok()) {
            headers.insert(name.to_string(), value.into());
        }
    }
    let kept = parts.extensions.get::<KeepInstead>().map_or_else(|| body.to_vec(), |keep| keep.0.to_vec());
    let reply = StoredReply { status: parts.status.as_u16(), headers: Value::Object(headers), body: kept };
    if let Err(error) = api.services().store().keep_reply(claim.user, &claim.key, claim.at, &reply).await {
        // The change is made and audited: the client shall know, even if a repetition will not be recognised.
        tracing::error!(request_id, error = %error, "the reply for an idempotency key could not be kept");
        release(api, claim).await;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn release(api: &Api, claim: &Claim) {
    if let Err(error) = api.services().store().release_idempotency(claim.user, &claim.key, claim.at).await {
        tracing::warn!(error = %error, "an idempotency key could not be given up; it lapses by itself");
    }
}

fn digest(method: &Method, uri: &str, kind: Option<&HeaderValue>, body: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), uri.as_bytes(), kind.map(HeaderValue::as_bytes).unwrap_or_default(), body]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn stored(reply: StoredReply) -> Response {
    let mut response = Body::from(reply.body).into_response();
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers.as_object().into_iter().flatten() {
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (name.parse::<HeaderName>(), value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
