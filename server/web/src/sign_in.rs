//! `/auth/{provider}/start` and `/auth/{provider}/callback`: to an identity provider and back.
//!
//! The start is a form's target, so it has the same-origin rule of everything that changes something. It answers with a page that leads
//! on by itself (`Refresh`) rather than with a redirect: browsers hold redirects of forms against `form-action`, along all of
//! the provider's own redirects, whose addresses nobody knows beforehand.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, OpCtx, Result,
    ports::{
        pages::PageResponse,
        sign_in::{Answer, Refused},
    },
    services::sign_in::{Begun, Finished, Purpose},
};
use berth_types::ErrorCode;
use secrecy::{ExposeSecret, SecretString};

use crate::{WebState, cookies, pages};

/// Where people begin to sign in, and where they see what opens their account.
const SIGN_IN: &str = "/sign-in";
const CONNECTIONS: &str = "/account/connections";

/// What a provider is told to send the browser back to: below the address that the settings name, or that the browser used.
/// Providers compare it with the addresses that they were told, so that a forged `Host` leads nowhere.
fn redirect_uri(state: &WebState, headers: &HeaderMap, provider: &str) -> Result<String> {
    Ok(format!("{}/auth/{provider}/callback", pages::base(state, headers)?))
}

/// The refusal of an error, if it is one of a sign-in: it is told on the page where one tries again.
fn refused(error: &Error) -> Option<Refused> {
    error.fields().first().and_then(|field| Refused::from_code(&field.code))
}

/// Back to where a sign-in was begun, with the reason why it came to nothing.
fn back(ctx: &OpCtx, why: Refused) -> PageResponse {
    let page = if ctx.person().is_some() { CONNECTIONS } else { SIGN_IN };
    PageResponse::redirect(format!("{page}?refused={}", why.code()))
}

/// Sends the browser to the provider. Fields of the form: `next`, a path of ours; `do=connect` for another way into one's account, with
/// `current`, its password.
pub async fn start(State(state): State<WebState>, Path(provider): Path<String>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = request.headers().clone();
    let asked = pages::page_request(&state, request.uri(), &headers, request.extensions().get());
    let begun = async {
        let form = pages::read_form(&state, request).await?;
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let current = SecretString::from(field("current"));
        let purpose = if field("do") == "connect" { Purpose::Connect(&current) } else { Purpose::SignIn };
        let back = redirect_uri(&state, &headers, &provider)?;
        state.services.begin_sign_in(&ctx, &provider, &back, field("next"), purpose).await
    };
    match begun.await {
        Ok(begun) => onwards(&state, &ctx, asked.language.tag(), &begun),
        Err(e) => match refused(&e) {
            Some(why) => pages::into_response(&state, &ctx, back(&ctx, why), false, false),
            // Nobody is signed in to what should be connected; this address is none to come back to.
            None if e.code() == ErrorCode::Unauthenticated => {
                let to = PageResponse::redirect(format!("{SIGN_IN}?next={CONNECTIONS}"));
                pages::into_response(&state, &ctx, to, false, false)
            }
            None => pages::error(&state, &ctx, asked, e).await,
        },
    }
}

/// `text` as it stands between tags and in attributes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

/// A page that leads to the provider at once; its link is for browsers that do not go by themselves.
fn onwards(state: &WebState, ctx: &OpCtx, language: &str, begun: &Begun) -> Response {
    let (name, address) = (escaped(&begun.provider), escaped(&begun.address));
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n</head>\n\
         <body>\n<main><h1><a href=\"{address}\">{name}</a></h1></main>\n</body>\n</html>\n"
    );
    let mut response = pages::into_response(state, ctx, PageResponse::html(200, html), false, false);
    let secret = begun.secret.expose_secret();
    let cookie = cookies::set_attempt(secret, ctx.now(), begun.expires_at, state.options.secure);
    let refresh = HeaderValue::try_from(format!("0; url={}", begun.address)).ok();
    let headers = response.headers_mut();
    if let Some(refresh) = refresh {
        headers.insert(header::REFRESH, refresh);
    }
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// Where the provider sends the browser back to.
pub async fn callback(State(state): State<WebState>, Path(provider): Path<String>, request: Request) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let asked = pages::page_request(&state, request.uri(), request.headers(), request.extensions().get());
    let given = |name: &str| asked.param(name).filter(|text| text.len() <= 4096).map(str::to_owned);
    let answer = Answer {
        state: given("state").unwrap_or_default(),
        code: given("code"),
        error: given("error"),
        issuer: given("iss"),
    };
    let headers = request.headers();
    let finished = async {
        let back = redirect_uri(&state, headers, &provider)?;
        let secret = cookies::get(headers, cookies::attempt_name(state.options.secure));
        state.services.finish_sign_in(&ctx, &provider, &back, secret, &answer, &asked.user_agent).await
    };
    let (response, over) = match finished.await {
        Ok((Finished::SignedIn(signed_in), to)) => (PageResponse::begin(signed_in, to), true),
        Ok((Finished::Connected, to)) => (PageResponse::redirect(to), true),
        Err(e) => match refused(&e) {
            // The sign-in that this answer has nothing to do with may go on.
            Some(why) => (back(&ctx, why), why != Refused::State),
            None => return pages::error(&state, &ctx, asked, e).await,
        },
    };
    let mut response = pages::into_response(&state, &ctx, response, false, false);
    if over && let Some(cookie) = cookies::end_attempt(state.options.secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped(r#"<b a="1">&'</b>"#), "&lt;b a=&quot;1&quot;&gt;&amp;'&lt;/b&gt;");
    }
}
