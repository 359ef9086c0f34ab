//! Who asks: an API token in `Authorization: Bearer`. No cookies are read, so no foreign page can ask in somebody's name.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use berth_core::{Actor, Error, OpCtx, Person, RequestMeta, Result};
use berth_types::ErrorCode;
use secrecy::{ExposeSecret, SecretString};

use crate::{Api, problem::Failure};

/// The person who asks, proven.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Their context.
    pub ctx: OpCtx,
    token: SecretString,
}

impl Caller {
    /// Proves it again, for streams that outlive the request: the token may have been revoked, the roles changed.
    pub(crate) async fn again(&self, api: &Api) -> Result<OpCtx> {
        Ok(self.ctx.with_actor(Actor::Person(prove(api, &self.ctx, &self.token).await?)))
    }

    /// The person.
    pub(crate) fn person(&self) -> Result<&Person> {
        self.ctx.person().ok_or_else(Error::unauthenticated)
    }
}

async fn prove(api: &Api, ctx: &OpCtx, token: &SecretString) -> Result<Arc<Person>> {
    let person = api.services().authenticate_token(ctx.now(), token.expose_secret()).await?;
    person.ok_or_else(|| Error::new(ErrorCode::Unauthenticated, "the token is not valid: expired, revoked or mistyped"))
}

pub(crate) fn bearer(headers: &HeaderMap) -> Result<SecretString> {
    let missing = || Error::new(ErrorCode::Unauthenticated, "send a token: Authorization: Bearer berth_…");
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let value = sent.next().and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    if sent.next().is_some() {
        return Err(missing());
    }
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    Ok(token.trim().into())
}

/// Lets only proven people through.
pub(crate) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let meta = request.extensions().get::<RequestMeta>().cloned();
    let (id, network) = meta.map_or_else(|| ("unknown".into(), "".into()), |meta| (meta.request_id, meta.network));
    let ctx = OpCtx::anonymous(api.services().clock().clone(), id as Arc<str>, network as Arc<str>);
    let token = bearer(request.headers());
    let proven = async {
        let token = token?;
        let person = prove(&api, &ctx, &token).await?;
        Ok::<_, Error>(Caller { ctx: api.services().as_person(&ctx, person), token })
    };
    match proven.await {
        Ok(caller) => {
            if let Err(error) = crate::query::acceptable(request.method(), request.uri(), request.headers()) {
                return Failure(error).into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => Failure(error).into_response(),
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Failure(Error::unauthenticated()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_one_bearer_token_is_taken() {
        for (sent, want) in [
            (vec!["Bearer berth_x"], Some("berth_x")),
            (vec!["bearer  berth_x "], Some("berth_x")),
            (vec!["Basic berth_x"], None),
            (vec!["berth_x"], None),
            (vec![], None),
            (vec!["Bearer a", "Bearer b"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).ok().as_ref().map(ExposeSecret::expose_secret), want, "{sent:?}");
        }
    }
}
