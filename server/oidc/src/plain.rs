//! Plain OAuth 2.0 (RFC 6749, with PKCE), for providers that know no OpenID Connect: a code becomes a token, the token is used at once
//! to ask who somebody is, and thrown away. Who that is says the provider itself, over TLS, at an address that an admin wrote down.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_core::{
    Error, Result,
    ports::sign_in::{Answer, Challenge, Claims},
};
use berth_types::{
    FieldError,
    provider::{IdentityProvider, OAuth},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use openidconnect::{
    PkceCodeChallenge, PkceCodeVerifier,
    url::{Url, form_urlencoded::Serializer},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{
    http::Trouble,
    oidc::{Oidc, away, code, wrong},
    token::{MAX_GROUPS, short},
};

/// Longest token that is used.
const TOKEN_MAX: usize = 16 * 1024;
/// Longest id of a person, as of an OpenID subject.
const ID_MAX: usize = 255;
/// Pages of a list of groups that are asked for: who has more of them is told so, rather than that roles go.
const PAGES: usize = 10;
/// What is redeemed to see whether a provider answers: no code looks so.
const NO_CODE: &str = "berth-asks-whether-this-is-the-address";
/// What providers say of a client that they do not know, or whose secret is another one. The last is GitHub's.
const CLIENT_REFUSED: [&str; 3] = ["invalid_client", "unauthorized_client", "incorrect_client_credentials"];

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is none: too late, broken, of another kind.
    Away(String),
    /// It says no, or what cannot be.
    Wrong(String),
}

/// The JSON of an answer.
fn json(answer: &Response<Vec<u8>>, from: &str) -> Result<Value, String> {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !kind.ends_with("+json") {
        return Err(format!("{from} answers {} with “{kind}” where JSON is wanted", answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|e| format!("{from}: {e}"))
}

/// An error that an answer names (RFC 6749 §5.2); some name it with a status of success.
fn error_of(said: &Value) -> Option<String> {
    let error = said.get("error")?;
    Some(error.as_str().map_or_else(|| "an error".to_owned(), |text| text.chars().take(100).collect()))
}

/// The token of an answer (RFC 6749 §5.1).
fn token_of(answer: &Response<Vec<u8>>, from: &str) -> Result<SecretString, Bad> {
    if answer.status().is_server_error() {
        return Err(Bad::Away(format!("{from} answers {}", answer.status())));
    }
    let said = json(answer, from).map_err(Bad::Away)?;
    if let Some(error) = error_of(&said) {
        return Err(Bad::Wrong(format!("the code was not taken: {error}")));
    }
    if answer.status() != StatusCode::OK {
        return Err(Bad::Away(format!("{from} answers {}", answer.status())));
    }
    let kind = said.get("token_type").and_then(Value::as_str).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(Bad::Wrong(format!("the token is no bearer token, but “{}”", short(kind).unwrap_or_default())));
    }
    let token = said.get("access_token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() || token.len() > TOKEN_MAX || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Bad::Wrong("there is no token, or one that cannot be used".to_owned()));
    }
    Ok(token.into())
}

/// What a field holds, or the one that a path leads to.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// What never changes of a person: a whole number or a text, which are the same where they read the same.
fn id_of(user: &Value, field: &str) -> Result<String, Bad> {
    let id = match at(user, field) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    };
    let fits = |id: &String| !id.trim().is_empty() && id.len() <= ID_MAX && !id.chars().any(char::is_control);
    id.filter(fits)
        .ok_or_else(|| Bad::Wrong(format!("“{field}” is no text and no whole number: nobody is known by it")))
}

/// The groups of a list: of texts, or of things of which `field` is one.
fn groups_of(list: &Value, field: &str) -> Result<Vec<String>, Bad> {
    let Value::Array(all) = list else { return Err(Bad::Wrong("the groups are no list".to_owned())) };
    let name = |group: &Value| group.as_str().or_else(|| at(group, field)?.as_str()).map(str::to_owned);
    Ok(all.iter().take(MAX_GROUPS).filter_map(name).collect())
}

/// Where there is more of an answer (RFC 8288).
fn next_page(answer: &Response<Vec<u8>>) -> Option<String> {
    let links = answer.headers().get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|text| text.split('<').skip(1)).find_map(|link| {
        let (to, parameters) = link.split_once('>')?;
        let mut kinds = parameters.split([';', ',']).filter_map(|one| one.trim().strip_prefix("rel="));
        kinds.any(|kind| kind.trim_matches('"').split(' ').any(|one| one == "next")).then(|| to.to_owned())
    })
}

/// Where the next page is, which is where the one before was: the token goes nowhere else.
fn following(page: &str, next: &str) -> Result<String, Bad> {
    let away = |e: openidconnect::url::ParseError| Bad::Away(e.to_string());
    let here = Url::parse(page).map_err(away)?;
    let there = here.join(next).map_err(away)?;
    if there.origin() != here.origin() {
        return Err(Bad::Wrong(format!(
            "the next page after {page} is elsewhere, at {}",
            there.origin().ascii_serialization()
        )));
    }
    Ok(there.into())
}

/// What is said of a person; the groups are elsewhere where `oauth` says so.
fn said(user: &Value, provider: &IdentityProvider, oauth: &OAuth) -> Result<Claims, Bad> {
    let text = |field: &str| at(user, field).and_then(Value::as_str).and_then(short);
    let groups = match at(user, &provider.group_claim) {
        Some(list @ Value::Array(_)) if oauth.groups_url.is_none() => groups_of(list, "name")?,
        _ => Vec::new(),
    };
    Ok(Claims {
        subject: id_of(user, &oauth.id_field)?,
        preferred_username: text(&oauth.login_field),
        name: text(&oauth.name_field),
        email: text("email"),
        // Nothing says so in a way that all of them share.
        email_verified: false,
        groups,
    })
}

/// Where the browser is sent to (RFC 6749 §4.1.1, RFC 7636 §4.3).
pub(crate) fn address(provider: &IdentityProvider, oauth: &OAuth, challenge: &Challenge) -> String {
    let verifier = PkceCodeVerifier::new(challenge.verifier.expose_secret().to_owned());
    let code_challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", &challenge.redirect_uri)
        .append_pair("state", &challenge.state)
        .append_pair("code_challenge", code_challenge.as_str())
        .append_pair("code_challenge_method", "S256");
    if !provider.scopes.is_empty() {
        query.append_pair("scope", &provider.scopes.join(" "));
    }
    let mark = if oauth.authorization_url.contains('?') { '&' } else { '?' };
    format!("{}{mark}{}", oauth.authorization_url, query.finish())
}

/// The request that redeems a code (RFC 6749 §4.1.3).
fn token_request(
    provider: &IdentityProvider,
    oauth: &OAuth,
    secret: Option<&str>,
    pairs: &[(&str, &str)],
) -> Result<Request<Vec<u8>>, Trouble> {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("client_id", &provider.client_id)
        .extend_pairs(pairs);
    let mut request = Request::post(&oauth.token_url)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match secret {
        Some(secret) if oauth.basic_auth => {
            let part =
                |text: &str| openidconnect::url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let both = STANDARD.encode(format!("{}:{}", part(&provider.client_id), part(secret)));
            let basic = HeaderValue::try_from(format!("Basic {both}"));
            let mut basic = basic.map_err(|e| Trouble(e.to_string()))?;
            basic.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, basic);
        }
        Some(secret) => drop(form.append_pair("client_secret", secret)),
        None => {}
    }
    request.body(form.finish().into_bytes()).map_err(|e| Trouble(e.to_string()))
}

impl Oidc {
    /// What stands at an address for who has the token; where there is more of it.
    async fn read(&self, url: &str, token: &SecretString) -> Result<(Value, Option<String>), Bad> {
        let away = |e: String| Bad::Away(e);
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut bearer = bearer.map_err(|e| away(e.to_string()))?;
        bearer.set_sensitive(true);
        let request = Request::get(url)
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|e| away(e.to_string()))?;
        let answer = self.way.0.fetch(request).await.map_err(|e| away(e.0))?;
        if answer.status() != StatusCode::OK {
            return Err(away(format!("{url} answers {}", answer.status())));
        }
        json(&answer, url).map(|value| (value, next_page(&answer))).map_err(away)
    }

    /// All groups that are listed from an address on.
    async fn groups(&self, first: &str, token: &SecretString, field: &str) -> Result<Vec<String>, Bad> {
        let (mut groups, mut page) = (Vec::new(), first.to_owned());
        for _ in 0..PAGES {
            let (list, next) = self.read(&page, token).await?;
            groups.extend(groups_of(&list, field)?);
            match next {
                Some(next) => page = following(&page, &next)?,
                None => return Ok(groups),
            }
        }
        Err(Bad::Wrong(format!("{first} has more than {PAGES} pages of groups: ask for longer ones in groupsUrl")))
    }

    /// Whether all that Berth needs of the provider is there: a code that is none is refused as one, and nobody is told who somebody
    /// is without a token.
    pub(crate) async fn probe_plain(&self, provider: &IdentityProvider, oauth: &OAuth) -> Result<()> {
        let refused =
            |field, code, why: String| Error::field(FieldError::new(field, code, why.clone()).param("why", why));
        let secret = self.secret(provider).await.map_err(|e| refused("secret", "secret_missing", e.0))?;
        let no_token = |why| refused("oauth.tokenUrl", "issuer_away", why);
        let secret = secret.as_ref().map(|secret| secret.secret().as_str());
        let request = token_request(provider, oauth, secret, &[("code", NO_CODE), ("code_verifier", NO_CODE)]);
        let answer = self.way.0.fetch(request.map_err(|e| no_token(e.0))?).await.map_err(|e| no_token(e.0))?;
        let said = json(&answer, &oauth.token_url).map_err(no_token)?;
        match error_of(&said) {
            Some(error) if CLIENT_REFUSED.contains(&error.as_str()) => {
                return Err(refused("clientId", "client_refused", error));
            }
            Some(_) if !answer.status().is_server_error() => {}
            _ => return Err(no_token(format!("{} answers {} without an error", oauth.token_url, answer.status()))),
        }
        for (field, url) in [("oauth.userUrl", Some(&oauth.user_url)), ("oauth.groupsUrl", oauth.groups_url.as_ref())] {
            let Some(url) = url else { continue };
            let request = Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new());
            let request = request.map_err(|e| refused(field, "issuer_away", e.to_string()))?;
            let answer = self.way.0.fetch(request).await.map_err(|e| refused(field, "issuer_away", e.0))?;
            let status = answer.status();
            let wants_a_token =
                matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if !wants_a_token {
                let why = format!("{url} answers {status} to who has no token; 401 is wanted");
                return Err(refused(field, "issuer_away", why));
            }
        }
        Ok(())
    }

    /// Redeems the code of an answer whose state was checked, and asks who that is.
    pub(crate) async fn redeem_plain(
        &self,
        provider: &IdentityProvider,
        oauth: &OAuth,
        challenge: &Challenge,
        answer: &Answer,
    ) -> Result<Claims> {
        let code = code(provider, false, answer)?;
        let bad = |bad| match bad {
            Bad::Away(why) => away(provider, why),
            Bad::Wrong(why) => wrong(provider, why),
        };
        let secret = self.secret(provider).await.map_err(|e| away(provider, e))?;
        let secret = secret.as_ref().map(|secret| secret.secret().as_str());
        let verifier = challenge.verifier.expose_secret();
        let pairs = [("code", code), ("redirect_uri", &challenge.redirect_uri), ("code_verifier", verifier)];
        let request = token_request(provider, oauth, secret, &pairs).map_err(|e| away(provider, e))?;
        let answer = self.way.0.fetch(request).await.map_err(|e| away(provider, e))?;
        let token = token_of(&answer, &oauth.token_url).map_err(bad)?;
        let (user, _) = self.read(&oauth.user_url, &token).await.map_err(bad)?;
        let mut claims = said(&user, provider, oauth).map_err(bad)?;
        if let Some(url) = &oauth.groups_url {
            claims.groups = self.groups(url, &token, &provider.group_claim).await.map_err(bad)?;
        }
        Ok(claims)
    }
}
