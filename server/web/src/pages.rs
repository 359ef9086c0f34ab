//! Requests to pages and back.

use std::time::Duration;

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, OpCtx, RequestMeta,
    ports::pages::{LinkChange, PageRequest, PageResponse, SessionChange, StepChange, VIEW_FIELD},
};
use berth_types::ErrorCode;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use crate::{WebState, cookies, guard::Nonce, session};

/// A form that takes longer to arrive is not waited for.
const FORM_TIME: Duration = Duration::from_secs(30);
/// A page that takes longer than this answers 504.
const PAGE_TIME: Duration = Duration::from_secs(20);

/// Names and values of a query, or of a form that was sent.
pub fn pairs(text: &[u8]) -> Vec<(String, String)> {
    text.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let mut half = || {
                let plus = halves.next().unwrap_or_default().iter().map(|b| if *b == b'+' { b' ' } else { *b });
                let bytes: Vec<u8> = plus.collect();
                percent_encoding::percent_decode(&bytes).decode_utf8_lossy().into_owned()
            };
            (half(), half())
        })
        .collect()
}

/// The portal's address, without a `/` at its end: the one that the settings name, or that the browser used.
///
/// # Errors
/// Malformed without either.
pub fn base(state: &WebState, headers: &HeaderMap) -> Result<String, Error> {
    if let Some(url) = &state.options.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host: Authority = host.parse().map_err(|_| {
        Error::new(ErrorCode::Malformed, "the request does not say which address of the portal it is for")
    })?;
    Ok(format!("{}://{host}", if state.options.secure { "https" } else { "http" }))
}

/// What the browser asked, without its form.
pub fn page_request(state: &WebState, uri: &Uri, headers: &HeaderMap, nonce: Option<&Nonce>) -> PageRequest {
    let held = |name: &str| cookies::get(headers, name).filter(|secret| !secret.is_empty()).map(Into::into);
    PageRequest {
        path: percent_decode_str(uri.path()).decode_utf8_lossy().into_owned(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        form: None,
        language: cookies::language(headers),
        theme: cookies::theme(headers),
        nonce: nonce.map(|n| n.0.clone()).unwrap_or_default(),
        flash: cookies::flash(headers),
        user_agent: headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        link: held(cookies::link_name(state.options.secure)),
        step: held(cookies::step_name(state.options.secure)),
        base: base(state, headers).unwrap_or_default(),
    }
}

/// An error page for a request that is known to be `ctx`'s.
pub async fn error(state: &WebState, ctx: &OpCtx, asked: PageRequest, error: Error) -> Response {
    let answer = state.pages.error(ctx, asked, error).await;
    into_response(state, ctx, answer, false, false)
}

/// Every path that nobody else answers.
pub async fn page(State(state): State<WebState>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut asked = page_request(&state, request.uri(), request.headers(), request.extensions().get::<Nonce>());
    let had_flash = asked.flash.is_some();
    let head = request.method() == Method::HEAD;
    let refused = match *request.method() {
        Method::GET | Method::HEAD => None,
        Method::POST => match read_form(&state, request).await {
            Ok(form) => {
                asked.form = Some(form);
                None
            }
            Err(e) => {
                // What was sent is not there to be shown again, but it was to change something.
                asked.form = Some(Vec::new());
                Some(e)
            }
        },
        _ => Some(Error::new(ErrorCode::MethodNotAllowed, "pages are read with GET and changed with POST")),
    };
    let answer = match refused {
        Some(error) => state.pages.error(&ctx, asked, error).await,
        None => match tokio::time::timeout(PAGE_TIME, state.pages.respond(&ctx, asked.clone())).await {
            Ok(answer) => answer,
            Err(_) => {
                let error = Error::new(
                    ErrorCode::Timeout,
                    "this took too long; it may still have been done: look before trying again",
                );
                state.pages.error(&ctx, asked, error).await
            }
        },
    };
    into_response(&state, &ctx, answer, had_flash, head)
}

/// An error page for a request that never reached the pages.
pub async fn refusal(state: &WebState, request: Request, error: Error) -> Response {
    let (ctx, asked) = {
        let extensions = request.extensions();
        let ctx = extensions.get::<OpCtx>().cloned();
        let ctx = ctx.unwrap_or_else(|| session::anonymous(state, extensions.get::<RequestMeta>()));
        (ctx, page_request(state, request.uri(), request.headers(), extensions.get::<Nonce>()))
    };
    drop(request);
    let answer = state.pages.error(&ctx, asked, error).await;
    into_response(state, &ctx, answer, false, false)
}

/// The fields of a form.
///
/// # Errors
/// Not a form, too large, or not whole; `Viewing` for one of a page that was seen as somebody else, when that is over.
pub async fn read_form(state: &WebState, request: Request) -> Result<Vec<(String, String)>, Error> {
    let looks = request.extensions().get::<OpCtx>().and_then(look);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().to_ascii_lowercase().starts_with(form.as_bytes()));
    if !is_form {
        return Err(Error::new(ErrorCode::UnsupportedMediaType, "forms are sent as application/x-www-form-urlencoded"));
    }
    let max = state.options.max_form_bytes;
    let body = Limited::new(request.into_body(), max).collect();
    let Ok(body) = tokio::time::timeout(FORM_TIME, body).await else {
        return Err(Error::new(ErrorCode::Timeout, "the form did not arrive in time; nothing was changed"));
    };
    match body {
        Ok(body) => {
            let bytes: Bytes = body.to_bytes();
            same_look(pairs(&bytes), looks.as_deref())
        }
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(Error::new(
            ErrorCode::TooLarge,
            format!("at most {} KiB are accepted; nothing was changed", max / 1024),
        )),
        Err(e) => {
            Err(Error::new(ErrorCode::Malformed, "the form did not arrive whole; nothing was changed").caused_by(e))
        }
    }
}

/// The look as somebody else in which `ctx` asks, if it is one.
pub fn look(ctx: &OpCtx) -> Option<String> {
    Some(ctx.person()?.viewed_by()?.id.to_string())
}

/// The fields of a form without [`VIEW_FIELD`], if that names the look in which they were sent.
fn same_look(mut form: Vec<(String, String)>, looks: Option<&str>) -> Result<Vec<(String, String)>, Error> {
    let seen_so = form.iter().position(|(name, _)| name == VIEW_FIELD).map(|at| form.remove(at).1);
    if seen_so.is_some() && seen_so.as_deref() != looks {
        let message = "this page was shown to you as somebody else has it, and that is over; nothing was done";
        return Err(Error::new(ErrorCode::Viewing, message));
    }
    Ok(form)
}

/// The answer as HTTP has it; `had_flash`: what was to be said once was said.
pub fn into_response(state: &WebState, ctx: &OpCtx, answer: PageResponse, had_flash: bool, head: bool) -> Response {
    let secure = state.options.secure;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut cookies_set = Vec::new();
    match &answer.session {
        SessionChange::Keep => {}
        SessionChange::Begin { secret, expires_at } => {
            cookies_set.extend(cookies::set_session(secret.expose_secret(), ctx.now(), *expires_at, secure));
        }
        SessionChange::End => cookies_set.extend(cookies::end_session(secure)),
    }
    match &answer.link {
        LinkChange::Keep => {}
        LinkChange::Hold(secret) => cookies_set.extend(cookies::set_link(secret.expose_secret(), secure)),
        LinkChange::Drop => cookies_set.extend(cookies::end_link(secure)),
    }
    match &answer.step {
        StepChange::Keep => {}
        StepChange::Begin { secret, expires_at } => {
            cookies_set.extend(cookies::set_step(secret.expose_secret(), ctx.now(), *expires_at, secure));
        }
        StepChange::End => cookies_set.extend(cookies::end_step(secure)),
    }
    match &answer.flash {
        Some(text) => cookies_set.extend(cookies::set_flash(text, secure)),
        None if had_flash && answer.redirect.is_none() => cookies_set.extend(cookies::clear_flash(secure)),
        None => {}
    }
    cookies_set.extend(answer.language.and_then(|l| cookies::set_language(l, secure)));
    cookies_set.extend(answer.theme.and_then(|t| cookies::set_theme(t, secure)));

    let location =
        answer.redirect.as_deref().map(|to| if to.starts_with('/') && !to.starts_with("//") { to } else { "/" });
    let body = if head || location.is_some() { String::new() } else { answer.html };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::VARY, HeaderValue::from_static("Cookie, Accept-Language"));
    if let Some(location) = location.and_then(|to| HeaderValue::try_from(to).ok()) {
        headers.insert(header::LOCATION, location);
    }
    // Not by a redirect: browsers hold those of forms against `form-action`.
    if let Some(refresh) = answer.leave.and_then(|to| HeaderValue::try_from(format!("0; url={to}")).ok()) {
        headers.insert(header::REFRESH, refresh);
    }
    if let Some(wait) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    for cookie in cookies_set {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// An error of something that is no page, for scripts of ours.
pub fn problem(ctx: &OpCtx, error: &Error) -> Response {
    let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(error.problem(&ctx.request_id))).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let got = pairs("a=1+2&b=%E4%B8%AD&c&=x&a=3".as_bytes());
        let want = [("a", "1 2"), ("b", "中"), ("c", ""), ("", "x"), ("a", "3")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn forms_of_a_page_seen_as_somebody_else_are_worth_nothing_afterwards() {
        for (sent, looks, taken) in [
            ("a=1", None, true),
            ("a=1&viewing=x", Some("x"), true),
            // A page of one's own, in a tab that was open before: what is read only refuses it.
            ("a=1", Some("x"), true),
            ("a=1&viewing=x", None, false),
            ("viewing=x&a=1", Some("y"), false),
            ("a=1&viewing=", None, false),
        ] {
            let got = same_look(pairs(sent.as_bytes()), looks);
            assert_eq!(got.is_ok(), taken, "{sent} {looks:?}");
            let refused = got.as_ref().err().map(Error::code);
            assert_eq!(refused, (!taken).then_some(ErrorCode::Viewing));
            assert!(got.is_err() || got.is_ok_and(|form| form == [("a".to_owned(), "1".to_owned())]));
        }
    }
}
