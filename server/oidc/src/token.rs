//! Whether an ID token holds, and what it says (OpenID Connect Core §3.1.3.7). Pure.
//!
//! The library checks signature, issuer, audience, expiry and nonce, with keys of the issuer's own key set alone: what a token's
//! header says of keys (`jku`, `jwk`, `x5u`, `x5c`) is never looked at. Algorithms come from the provider's settings,
//! never from the token or from what the provider announces. Here is added: `azp`, `nbf`, and a bounded difference between clocks.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_core::ports::sign_in::Claims;
use berth_types::provider::{IdentityProvider, SigningAlgorithm};
use jiff::Timestamp;
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, Nonce, SignatureVerificationError,
    core::CoreJsonWebKey,
};
use serde_json::Value;

use crate::types::{Algorithm, IdToken, Keys, TokenClaims};

/// How far the provider's clock may be from ours.
pub(crate) const SKEW: Duration = Duration::from_secs(60);
/// Groups beyond that are not looked at.
pub(crate) const MAX_GROUPS: usize = 1_000;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Signed with a key that is not in the set, which may be out of date.
    Key(String),
    /// Anything else.
    Token(String),
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(why) | Self::Token(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Bad {}

fn algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Rs256 => Algorithm::RsaSsaPkcs1V15Sha256,
        SigningAlgorithm::Rs384 => Algorithm::RsaSsaPkcs1V15Sha384,
        SigningAlgorithm::Rs512 => Algorithm::RsaSsaPkcs1V15Sha512,
        SigningAlgorithm::Ps256 => Algorithm::RsaSsaPssSha256,
        SigningAlgorithm::Ps384 => Algorithm::RsaSsaPssSha384,
        SigningAlgorithm::Ps512 => Algorithm::RsaSsaPssSha512,
        SigningAlgorithm::Es256 => Algorithm::EcdsaP256Sha256,
        SigningAlgorithm::Es384 => Algorithm::EcdsaP384Sha384,
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

/// Whether `provider` may sign so.
pub(crate) fn allows(provider: &IdentityProvider, announced: &Algorithm) -> bool {
    provider.algorithms.iter().any(|allowed| algorithm(*allowed) == *announced)
}

/// What checks signature, issuer, audience, end and begin of a token at `now`.
fn verifier(
    client: &ClientId,
    issuer: &str,
    keys: &Keys,
    algorithms: &[SigningAlgorithm],
    now: Timestamp,
) -> Result<IdTokenVerifier<'static, CoreJsonWebKey>, Bad> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|e| Bad::Token(e.to_string()))?;
    let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
    let latest = latest(now);
    // As of a public client: so tokens signed with the client's secret are refused whatever is allowed.
    Ok(IdTokenVerifier::new_public_client(client.clone(), issuer, keys.clone())
        .set_allowed_algs(algorithms.iter().map(|allowed| algorithm(*allowed)))
        .set_time_fn(move || (clock - SKEW).into())
        .set_issue_time_verifier_fn(move |issued| match issued.timestamp() <= latest {
            true => Ok(()),
            false => Err(format!("issued in the future, at {issued}")),
        }))
}

/// The latest time that a clock besides ours may show.
fn latest(now: Timestamp) -> i64 {
    now.as_second() + SKEW.as_secs().cast_signed()
}

fn refused(error: &ClaimsVerificationError) -> Bad {
    match error {
        ClaimsVerificationError::SignatureVerification(cause) => match cause {
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_) => {
                Bad::Key(format!("{error}: {cause}"))
            }
            _ => Bad::Token(format!("{error}: {cause}")),
        },
        _ => Bad::Token(error.to_string()),
    }
}

/// Refuses a token whose time has not come.
fn begun(claims: &TokenClaims, now: Timestamp) -> Result<(), Bad> {
    match claims.additional_claims().claims.get("nbf") {
        Some(from) if from.as_f64().is_none_or(|from| from > latest(now) as f64) => {
            Err(Bad::Token(format!("not before {from}")))
        }
        _ => Ok(()),
    }
}

/// The claims of a job's token that `issuer` signed and that holds at `now`. For whom it was made is for core to look at: each trust
/// has an audience of its own.
pub(crate) fn job(text: &str, issuer: &str, keys: &Keys, now: Timestamp) -> Result<Value, Bad> {
    let token: IdToken = text.parse().map_err(|e: serde_json::Error| Bad::Token(e.to_string()))?;
    let verifier = verifier(&ClientId::new(String::new()), issuer, keys, &SigningAlgorithm::DEFAULT, now)?
        .require_audience_match(false);
    // Nobody has asked for it, so there is no nonce to compare.
    let claims = token.claims(&verifier, |_: Option<&Nonce>| Ok(())).map_err(|e| refused(&e))?;
    begun(claims, now)?;
    // As they were signed: what the library reads of them is less.
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    claims.ok_or_else(|| Bad::Token("its claims cannot be read".to_owned()))
}

/// The claims of a token that holds at `now`.
pub(crate) fn check<'t>(
    token: &'t IdToken,
    provider: &IdentityProvider,
    keys: &Keys,
    nonce: &str,
    now: Timestamp,
) -> Result<&'t TokenClaims, Bad> {
    let other = |why: String| Bad::Token(why);
    let client = ClientId::new(provider.client_id.clone());
    // Other audiences are no harm where `azp` says that the token was made for us, which is checked below.
    let verifier =
        verifier(&client, &provider.issuer, keys, &provider.algorithms, now)?.set_other_audience_verifier_fn(|_| true);
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned())).map_err(|e| refused(&e))?;
    match claims.authorized_party() {
        Some(party) if *party != client => return Err(other(format!("made for {}, not for us", party.as_str()))),
        None if claims.audiences().len() > 1 => return Err(other("several audiences, and no azp".to_owned())),
        _ => {}
    }
    begun(claims, now)?;
    let subject = claims.subject().as_str();
    // OpenID Connect Core §2: at most 255 characters.
    if subject.is_empty() || subject.len() > 255 {
        return Err(other("a subject of no or more than 255 characters".to_owned()));
    }
    Ok(claims)
}

/// Text that may be shown and kept.
pub(crate) fn short(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!text.is_empty()).then_some(text)
}

/// The groups that a claim lists: of that name, or on that path (`realm_access.roles`). `None` when there is no such claim.
pub(crate) fn groups(claim: &str, get: impl Fn(&str) -> Option<Value>) -> Option<Vec<String>> {
    let on_path = || {
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(get(first)?, |value, key| value.get(key).cloned())
    };
    let own = |value: &Value| value.as_str().map(str::to_owned);
    Some(match get(claim).or_else(on_path)? {
        Value::Array(all) => all.iter().filter_map(own).take(MAX_GROUPS).collect(),
        one => own(&one).into_iter().collect(),
    })
}

/// Whether a claim is said to stand elsewhere (OpenID Connect Core §5.6.2), as providers do where somebody has too many groups for a token.
/// What does not come is not nothing.
pub(crate) fn is_elsewhere(claim: &str, get: impl Fn(&str) -> Option<Value>) -> bool {
    let first = claim.split('.').next().unwrap_or_default();
    get("_claim_names").is_some_and(|names| [claim, first].iter().any(|name| names.get(name).is_some()))
}

/// What a token says of a person; groups are missing where it does not list them.
pub(crate) fn said(claims: &TokenClaims, group_claim: &str) -> (Claims, Option<Vec<String>>) {
    let name = claims.name().and_then(|name| name.get(None)).and_then(|name| short(name.as_str()));
    let said = Claims {
        subject: claims.subject().to_string(),
        preferred_username: claims.preferred_username().and_then(|name| short(name.as_str())),
        name,
        email: claims.email().and_then(|email| short(email.as_str())),
        email_verified: claims.email_verified() == Some(true),
        groups: Vec::new(),
    };
    (said, groups(group_claim, |claim| claims.additional_claims().claims.get(claim).cloned()))
}

/// Adds what the provider says at `userinfo`, if it is of the same person (OpenID Connect Core §5.3.2); whether it lists groups.
pub(crate) fn add(claims: &mut Claims, info: &Value, group_claim: &str) -> Result<bool, Bad> {
    if info.get("sub").and_then(Value::as_str) != Some(claims.subject.as_str()) {
        return Err(Bad::Token("userinfo is of somebody else".to_owned()));
    }
    let text = |claim: &str| info.get(claim).and_then(Value::as_str).and_then(short);
    claims.preferred_username = claims.preferred_username.take().or_else(|| text("preferred_username"));
    claims.name = claims.name.take().or_else(|| text("name"));
    if claims.email.is_none() {
        claims.email = text("email");
        claims.email_verified = info.get("email_verified") == Some(&Value::Bool(true));
    }
    let listed = groups(group_claim, |claim| info.get(claim).cloned());
    let lists = listed.is_some();
    claims.groups = listed.unwrap_or_default();
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_stand_in_a_claim_or_on_a_path() {
        let token = json!({
            "groups": ["a", 7, "b"], "one": "a", "https://x.example/groups": ["c"],
            "realm_access": { "roles": ["admin"] }, "number": 7,
        });
        for (claim, want) in [
            ("groups", Some(vec!["a", "b"])),
            ("one", Some(vec!["a"])),
            ("https://x.example/groups", Some(vec!["c"])),
            ("realm_access.roles", Some(vec!["admin"])),
            ("realm_access.none", None),
            ("none", None),
            ("number", Some(vec![])),
        ] {
            let got = groups(claim, |name| token.get(name).cloned());
            assert_eq!(got, want.map(|all| all.into_iter().map(str::to_owned).collect()), "{claim}");
        }
    }

    #[test]
    fn userinfo_is_of_the_same_person() {
        let mut claims = Claims { subject: "ada".to_owned(), name: Some("Ada".to_owned()), ..Claims::default() };
        let before = claims.clone();
        for other in [json!({}), json!({ "sub": "mallory", "groups": ["admins"] }), json!({ "sub": 7 })] {
            assert!(add(&mut claims, &other, "groups").is_err());
            assert_eq!(claims, before);
        }
        let info = json!({ "sub": "ada", "name": "Countess", "preferred_username": " ada\n", "groups": ["team-a"] });
        add(&mut claims, &info, "groups").unwrap();
        assert_eq!(claims.name.as_deref(), Some("Ada"), "the signed token has the first word");
        assert_eq!(claims.preferred_username.as_deref(), Some("ada"));
        assert_eq!(claims.groups, ["team-a"]);
    }
}
