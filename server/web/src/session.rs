//! From a cookie to a person.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use berth_core::{Error, OpCtx, RequestMeta, Result, recheck};

use crate::{WebState, cookies, pages};

/// The context of a request before anybody is known.
#[must_use]
pub fn anonymous(state: &WebState, meta: Option<&RequestMeta>) -> OpCtx {
    let (request_id, network) =
        meta.map_or_else(|| ("unknown".into(), "".into()), |m| (m.request_id.clone(), m.network.clone()));
    OpCtx::anonymous(state.services.clock().clone(), request_id as Arc<str>, network as Arc<str>)
}

/// The context of a request with these headers: a person's, or nobody's.
///
/// # Errors
/// The store's.
pub async fn context(state: &WebState, meta: Option<&RequestMeta>, headers: &HeaderMap) -> Result<OpCtx> {
    let ctx = anonymous(state, meta);
    let Some(secret) = cookies::get(headers, cookies::session_name(state.options.secure)) else { return Ok(ctx) };
    Ok(match state.services.authenticate_session(ctx.now(), secret).await? {
        Some(person) => state.services.as_person(&ctx, person),
        None => ctx,
    })
}

/// Puts an [`OpCtx`] into every request.
pub async fn authenticate(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    match context(&state, request.extensions().get::<RequestMeta>(), request.headers()).await {
        Ok(ctx) => {
            if let Some(person) = ctx.person()
                && let Some(view) = person.viewed_by()
            {
                // All that is asked so is found in the log.
                tracing::Span::current().record("as", person.name.as_str()).record("by", view.by.as_str());
            }
            request.extensions_mut().insert(ctx);
            next.run(request).await
        }
        Err(e) => pages::refusal(&state, request, e).await,
    }
}

/// Waits until the session of a stream has ended, asking every [`recheck::EVERY`], or until the server stops. A store that
/// does not answer ends the stream too: the browser opens it again.
pub async fn until_ended(state: WebState, ctx: OpCtx, headers: HeaderMap) -> Error {
    let meta = RequestMeta { request_id: ctx.request_id.clone(), network: ctx.network.clone() };
    let same = || async {
        let now = context(&state, Some(&meta), &headers).await?;
        let is_same = now.person().map(|p| p.id) == ctx.person().map(|p| p.id);
        is_same.then_some(()).ok_or_else(Error::unauthenticated)
    };
    tokio::select! {
        () = state.stop.cancelled() => {
            Error::new(berth_types::ErrorCode::ClusterUnavailable, "the portal is restarting")
        }
        ended = recheck::until_refused(&*ctx.clock, same) => ended,
    }
}
