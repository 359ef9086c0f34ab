//! [`Oidc`]: the protocol as core wants it spoken.

use std::{io, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use berth_core::{
    Error, Result,
    env::Clock,
    error::causes,
    ports::sign_in::{Answer, Challenge, Claims, Protocol, Refused, refusal},
};
use berth_types::{
    FieldError,
    provider::{IdentityProvider, SigningAlgorithm},
};
use http::{HeaderValue, Request, Uri, header};
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _,
    core::{CoreClientAuthMethod, CoreResponseType},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::{
    http::{Fetch, Http, Trouble, Way, is_private},
    jobs::Signers,
    known::{Issuers, Known},
    plain,
    token::{Bad, add, allows, check, is_elsewhere, said},
    types::{Client, Tokens},
};

/// No client secret is longer.
const SECRET_MAX: usize = 4096;

/// Where things are.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder with the client secrets, a file each.
    pub secrets: Option<PathBuf>,
}

/// OpenID Connect, and plain OAuth 2.0.
pub struct Oidc {
    issuers: Issuers,
    pub(crate) signers: Signers,
    pub(crate) way: Way,
    pub(crate) clock: Arc<dyn Clock>,
    options: Options,
}

/// Where sessions end, if a provider may be there.
fn end_of(endpoint: &str, client: &str, back: &str) -> Option<String> {
    let uri: Uri = endpoint.parse().ok().filter(is_private)?;
    let mark = if uri.query().is_some() { '&' } else { '?' };
    let query = openidconnect::url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client)
        .append_pair("post_logout_redirect_uri", back)
        .finish();
    Some(format!("{endpoint}{mark}{query}"))
}

/// The log's line for what nobody else is told.
pub(crate) fn away(provider: &IdentityProvider, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    tracing::warn!(provider = %provider.name, error = %cause, "an identity provider does not answer as it should");
    refusal(Refused::Away).caused_by(cause)
}

pub(crate) fn wrong(provider: &IdentityProvider, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let cause = cause.into();
    tracing::warn!(provider = %provider.name, error = %cause, "an identity provider's answer was refused");
    refusal(Refused::Answer).caused_by(cause)
}

/// The code of an answer, if it has one and comes from the provider that was asked.
pub(crate) fn code<'a>(provider: &IdentityProvider, says_who: bool, answer: &'a Answer) -> Result<&'a str> {
    match &answer.issuer {
        Some(issuer) if *issuer != provider.issuer => {
            return Err(wrong(provider, format!("the answer is {issuer}'s (iss)")));
        }
        None if says_who => return Err(wrong(provider, "the answer does not say whose it is (iss)")),
        _ => {}
    }
    match (answer.error.as_deref(), answer.code.as_deref()) {
        (Some("access_denied"), _) => Err(refusal(Refused::Denied)),
        (Some(error @ ("server_error" | "temporarily_unavailable")), _) => Err(away(provider, error)),
        (Some(error), _) => Err(wrong(provider, error.chars().take(100).collect::<String>())),
        (None, Some(code)) if !code.is_empty() => Ok(code),
        (None, _) => Err(wrong(provider, "the answer has neither code nor error")),
    }
}

impl Oidc {
    /// Speaks over the network.
    ///
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(clock: Arc<dyn Clock>, options: Options) -> io::Result<Self> {
        Ok(Self::over(Arc::new(Http::new().map_err(io::Error::other)?), clock, options))
    }

    pub(crate) fn over(fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>, options: Options) -> Self {
        let way = Way(fetch);
        Self { issuers: Issuers::new(way.clone(), clock.clone()), signers: Signers::default(), way, clock, options }
    }

    /// The client secret, read anew each time, so that it can be changed without a restart.
    pub(crate) async fn secret(&self, provider: &IdentityProvider) -> Result<Option<ClientSecret>, Trouble> {
        let Some(name) = &provider.secret else { return Ok(None) };
        let folder = self.options.secrets.as_ref();
        let folder = folder.ok_or_else(|| Trouble("the setting provider_secrets names no directory".to_owned()))?;
        let text = tokio::fs::read_to_string(folder.join(name)).await;
        let text = text.map_err(|e| Trouble(format!("{}/{name}: {e}", folder.display())))?;
        // Editors end files with a line break.
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || text.len() > SECRET_MAX {
            return Err(Trouble(format!("{}/{name} is empty, or longer than {SECRET_MAX} bytes", folder.display())));
        }
        Ok(Some(ClientSecret::new(text.to_owned())))
    }

    fn client(
        &self,
        provider: &IdentityProvider,
        known: &Known,
        secret: Option<ClientSecret>,
        redirect_uri: &str,
    ) -> Result<Client> {
        let id = ClientId::new(provider.client_id.clone());
        // OpenID Connect Discovery §3: basic, where it does not say.
        let methods = known.metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let how = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        let redirect = RedirectUrl::new(redirect_uri.to_owned()).map_err(Error::internal)?;
        let client = Client::from_provider_metadata(known.metadata.clone(), id, secret);
        Ok(client.set_auth_type(how).set_redirect_uri(redirect))
    }

    async fn exchange(
        &self,
        provider: &IdentityProvider,
        known: &Known,
        challenge: &Challenge,
        code: &str,
    ) -> Result<Tokens> {
        let secret = self.secret(provider).await.map_err(|e| away(provider, e))?;
        let client = self.client(provider, known, secret, &challenge.redirect_uri)?;
        let verifier = PkceCodeVerifier::new(challenge.verifier.expose_secret().to_owned());
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|e| away(provider, e))?.set_pkce_verifier(verifier);
        request.request_async(&self.way).await.map_err(|e| match &e {
            RequestTokenError::Request(_) => away(provider, causes(&e)),
            RequestTokenError::ServerResponse(said) => wrong(provider, format!("the code was not taken: {said}")),
            _ => wrong(provider, causes(&e)),
        })
    }

    /// The claims at the provider's `userinfo`.
    async fn userinfo(&self, known: &Known, tokens: &Tokens) -> Result<Option<Value>, Trouble> {
        let Some(endpoint) = known.metadata.userinfo_endpoint() else { return Ok(None) };
        let bearer = HeaderValue::try_from(format!("Bearer {}", tokens.access_token().secret()));
        let mut bearer = bearer.map_err(|e| Trouble(e.to_string()))?;
        bearer.set_sensitive(true);
        let request = Request::get(endpoint.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|e| Trouble(e.to_string()))?;
        let answer = self.way.0.fetch(request).await?;
        if !answer.status().is_success() {
            return Err(Trouble(format!("{} answers {}", endpoint.as_str(), answer.status())));
        }
        let info = serde_json::from_slice(answer.body());
        info.map(Some).map_err(|e| Trouble(format!("{}: {e}", endpoint.as_str())))
    }
}

#[async_trait]
impl Protocol for Oidc {
    async fn probe(&self, provider: &IdentityProvider) -> Result<()> {
        if let Some(oauth) = &provider.oauth {
            return self.probe_plain(provider, oauth).await;
        }
        let at = |field, code, why: String| Error::field(FieldError::new(field, code, why.clone()).param("why", why));
        if let Err(Trouble(why)) = self.secret(provider).await {
            return Err(at("secret", "secret_missing", why));
        }
        let known = match self.issuers.ask(&provider.issuer).await {
            Ok(known) => known,
            Err(Trouble(why)) => return Err(at("issuer", "issuer_away", why)),
        };
        let announced = known.metadata.id_token_signing_alg_values_supported();
        if !announced.iter().any(|algorithm| allows(provider, algorithm)) {
            let known: Vec<&str> = SigningAlgorithm::ALL
                .iter()
                .filter(|one| {
                    let only = IdentityProvider { algorithms: vec![**one], ..provider.clone() };
                    announced.iter().any(|algorithm| allows(&only, algorithm))
                })
                .map(|one| one.as_str())
                .collect();
            let known = known.join(", ");
            let error = FieldError::new("algorithms", "word_unknown", format!("the provider signs with: {known}"));
            return Err(Error::field(error.param("known", known)));
        }
        if known.metadata.token_endpoint().is_none() {
            return Err(at("issuer", "issuer_away", "it has no token_endpoint".to_owned()));
        }
        Ok(())
    }

    async fn address(&self, provider: &IdentityProvider, challenge: &Challenge) -> Result<String> {
        if let Some(oauth) = &provider.oauth {
            return Ok(plain::address(provider, oauth, challenge));
        }
        let known = self.issuers.get(&provider.issuer).await.map_err(|e| away(provider, e))?;
        let client = self.client(provider, &known, None, &challenge.redirect_uri)?;
        let (state, nonce) = (challenge.state.clone(), challenge.nonce.clone());
        let verifier = PkceCodeVerifier::new(challenge.verifier.expose_secret().to_owned());
        let (url, ..) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(provider.scopes.iter().map(|scope| Scope::new(scope.clone())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url.into())
    }

    async fn sign_out_address(&self, provider: &IdentityProvider, back: &str) -> Option<String> {
        if provider.oauth.is_some() {
            return None;
        }
        match self.issuers.get(&provider.issuer).await {
            Ok(known) => {
                let endpoint = known.metadata.additional_metadata().end_session_endpoint.as_deref()?;
                end_of(endpoint, &provider.client_id, back)
            }
            Err(e) => {
                tracing::warn!(provider = %provider.name, error = %e, "a session at an identity provider could not be ended");
                None
            }
        }
    }

    async fn redeem(&self, provider: &IdentityProvider, challenge: &Challenge, answer: &Answer) -> Result<Claims> {
        if let Some(oauth) = &provider.oauth {
            return self.redeem_plain(provider, oauth, challenge, answer).await;
        }
        let mut known = self.issuers.get(&provider.issuer).await.map_err(|e| away(provider, e))?;
        let says_who = known.metadata.additional_metadata().authorization_response_iss_parameter_supported;
        let code = code(provider, says_who, answer)?;
        let tokens = self.exchange(provider, &known, challenge, code).await?;
        let token = tokens.id_token().ok_or_else(|| wrong(provider, "there is no ID token"))?;
        let now = self.clock.now();
        let mut checked = check(token, provider, &known.keys, &challenge.nonce, now);
        if let Err(Bad::Key(_)) = checked {
            // It may have new keys.
            let again = self.issuers.with_new_keys(&provider.issuer, &known).await;
            if let Some(newer) = again.map_err(|e| away(provider, e))? {
                known = newer;
                checked = check(token, provider, &known.keys, &challenge.nonce, now);
            }
        }
        let token = checked.map_err(|e| wrong(provider, e))?;
        let (mut claims, groups) = said(token, &provider.group_claim);
        match groups {
            Some(groups) if claims.preferred_username.is_some() => claims.groups = groups,
            // Many put only the subject into the token.
            groups => {
                let info = self.userinfo(&known, &tokens).await.map_err(|e| away(provider, e))?;
                let mut listed = groups.is_some();
                if let Some(info) = info {
                    listed |= add(&mut claims, &info, &provider.group_claim).map_err(|e| wrong(provider, e))?;
                }
                if let Some(groups) = groups {
                    claims.groups = groups;
                }
                let more = |claim: &str| token.additional_claims().claims.get(claim).cloned();
                if !listed && is_elsewhere(&provider.group_claim, more) {
                    return Err(wrong(
                        provider,
                        "the groups are too many for the token, and stand elsewhere (_claim_names)",
                    ));
                }
            }
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_sessions_end() {
        let back = "https://berth.example.com/sign-in";
        let query = "client_id=my+berth&post_logout_redirect_uri=https%3A%2F%2Fberth.example.com%2Fsign-in";
        for (endpoint, want) in [
            ("https://id.example.com/end", Some(format!("https://id.example.com/end?{query}"))),
            ("https://id.example.com/end?x=1", Some(format!("https://id.example.com/end?x=1&{query}"))),
            ("http://127.0.0.1:9/end", Some(format!("http://127.0.0.1:9/end?{query}"))),
            ("http://id.example.com/end", None),
            ("javascript:alert(1)", None),
            ("/end", None),
            ("", None),
        ] {
            assert_eq!(end_of(endpoint, "my berth", back), want, "{endpoint}");
        }
    }
}
