//! Who asks, on whose behalf, and whether they may.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Api, Context, request::percent_encoding_lite::decode_path};
use crate::{
    clock::format_time,
    hooks::{Attributes, UserInfo},
    registry::builtin::gr,
    status::{Result, Status},
};

/// Audience and issuer of ServiceAccount tokens.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The credentials that the API accepts.
pub struct Tokens {
    admin: String,
    key: [u8; 32],
}

impl Tokens {
    /// `admin` is the token of `kubernetes-admin`; `key` signs ServiceAccount tokens.
    #[must_use]
    pub fn new(admin: String, key: [u8; 32]) -> Self {
        Self { admin, key }
    }

    /// The administrator's token.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The administrator, as kubeadm's `admin.conf` names it.
    #[must_use]
    pub fn admin_user() -> UserInfo {
        UserInfo {
            name: "kubernetes-admin".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        }
    }

    fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.key, text.as_bytes()))
    }

    /// A token for a ServiceAccount.
    #[must_use]
    pub fn issue(&self, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.sign(&body);
        format!("{body}.{signature}")
    }

    /// The claims of a token that this signed.
    fn verify(&self, token: &str) -> Option<Value> {
        let (body, signature) = token.rsplit_once('.')?;
        if !same(self.sign(body).as_bytes(), signature.as_bytes()) {
            return None;
        }
        let claims = body.split_once('.')?.1;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// HMAC (RFC 2104) over SHA-256, for keys of one block or less.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

/// Compares without telling by the time it takes where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// The user of a bearer token, if it is good.
pub fn token_user(api: &Api, token: &str) -> Option<UserInfo> {
    if same(token.as_bytes(), api.tokens.admin.as_bytes()) {
        return Some(Tokens::admin_user());
    }
    let claims = api.tokens.verify(token)?;
    if claims["exp"].as_i64().unwrap_or(0) < api.cluster.clock.now().as_second() {
        return None;
    }
    let bound = &claims["kubernetes.io"];
    let namespace = bound["namespace"].as_str()?;
    let name = bound["serviceaccount"]["name"].as_str()?;
    let account = api.cluster.find(&gr::SERVICE_ACCOUNTS, namespace, name)?;
    if account["metadata"]["uid"] != bound["serviceaccount"]["uid"] {
        return None;
    }
    let mut user = UserInfo {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: account["metadata"]["uid"].as_str().unwrap_or_default().into(),
        groups: vec![
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".into(),
        ],
        ..UserInfo::default()
    };
    if let Some(id) = claims["jti"].as_str() {
        user.extra.insert("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]);
    }
    Some(user)
}

/// Claims and expiry of a new ServiceAccount token.
pub fn account_claims(api: &Api, account: &Value, audiences: &[Value], seconds: i64) -> (Value, String) {
    let now = api.cluster.clock.now();
    let expires = jiff::Timestamp::from_second(now.as_second() + seconds).unwrap_or(jiff::Timestamp::MAX);
    let namespace = account["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = account["metadata"]["name"].as_str().unwrap_or_default();
    let claims = json!({
        "aud": audiences,
        "exp": expires.as_second(),
        "iat": now.as_second(),
        "iss": ISSUER,
        "jti": crate::clock::new_uid().to_string(),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
        },
        "nbf": now.as_second(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    (claims, format_time(expires))
}

/// The default audience of ServiceAccount tokens.
pub fn default_audience() -> Value {
    json!(ISSUER)
}

/// Finds out who sends the request.
pub fn authenticate(api: &Api, headers: &HeaderMap, default: Option<UserInfo>) -> Result<UserInfo> {
    let Some(header) = headers.get(http::header::AUTHORIZATION) else {
        return default.ok_or_else(Status::unauthorized);
    };
    header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| token_user(api, token.trim()))
        .ok_or_else(Status::unauthorized)
}

/// Follows `Impersonate-*` headers, each of which the real user must be allowed.
pub fn impersonate(api: &Api, headers: &HeaderMap, user: UserInfo) -> Result<UserInfo> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = text("impersonate-user");
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let uid = text("impersonate-uid");
    let mut extra: Vec<(String, String)> = Vec::new();
    for (header, value) in headers {
        if let Some(key) = header.as_str().strip_prefix("impersonate-extra-") {
            extra.push((decode_path(key).to_lowercase(), value.to_str().unwrap_or_default().to_owned()));
        }
    }
    if name.is_empty() {
        if groups.is_empty() && extra.is_empty() && uid.is_empty() {
            return Ok(user);
        }
        return Err(Status::internal(format!("requested {groups:?} without impersonating a user")));
    }
    let check = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            user: user.clone(),
            verb: "impersonate".into(),
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            namespace: namespace.into(),
            path: String::new(),
        };
        decide(api, &attributes)
    };
    let mut acting = UserInfo { name: name.to_owned(), uid: uid.to_owned(), ..UserInfo::default() };
    let mut implied = Vec::new();
    if let Some((namespace, account)) =
        name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    {
        check("", "serviceaccounts", "", namespace, account)?;
        implied = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    } else {
        check("", "users", "", "", name)?;
    }
    for group in &groups {
        check("", "groups", "", "", group)?;
    }
    for (key, value) in &extra {
        check("authentication.k8s.io", "userextras", key, "", value)?;
        acting.extra.entry(key.clone()).or_default().push(value.clone());
    }
    if !uid.is_empty() {
        check("authentication.k8s.io", "uids", "", "", uid)?;
    }
    acting.groups = if groups.is_empty() { implied } else { groups };
    let everybody = if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !acting.in_group(everybody) && !acting.in_group("system:unauthenticated") {
        acting.groups.push(everybody.into());
    }
    Ok(acting)
}

/// Refuses the request unless its sender may do what it asks.
pub fn authorize(cx: &Context) -> Result<()> {
    let info = &cx.info;
    let attributes = Attributes {
        user: cx.user.clone(),
        verb: info.verb.into(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        name: info.name.clone(),
        namespace: info.namespace.clone(),
        path: if info.is_resource { String::new() } else { info.path.clone() },
    };
    decide(&cx.api, &attributes)
}

/// Asks the authoriser; a refusal is the 403 that kubectl shows.
pub fn decide(api: &Api, attributes: &Attributes) -> Result<()> {
    if attributes.user.in_group("system:masters") {
        return Ok(());
    }
    let decision = api.cluster.authorizer().authorize(attributes);
    if decision.allowed {
        return Ok(());
    }
    let why = denial(attributes, &decision.reason);
    if attributes.path.is_empty() {
        return Err(Status::forbidden(&attributes.group, &attributes.resource, &attributes.name, &why));
    }
    Err(Status::forbidden("", "", "", &why))
}

/// `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters`, forbiddenMessage.
fn denial(attributes: &Attributes, reason: &str) -> String {
    let user = &attributes.user.name;
    let verb = &attributes.verb;
    let text = if attributes.path.is_empty() {
        let resource = if attributes.subresource.is_empty() {
            attributes.resource.clone()
        } else {
            format!("{}/{}", attributes.resource, attributes.subresource)
        };
        let group = &attributes.group;
        let mut text = format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?}");
        if attributes.namespace.is_empty() {
            text.push_str(" at the cluster scope");
        } else {
            text.push_str(&format!(" in the namespace {:?}", attributes.namespace));
        }
        text
    } else {
        format!("User {user:?} cannot {verb} path {:?}", attributes.path)
    };
    if reason.is_empty() { text } else { format!("{text}: {reason}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn signed_tokens_verify_and_forged_ones_do_not() {
        let tokens = Tokens::new("admin".into(), [7; 32]);
        let token = tokens.issue(&json!({"sub": "x"}));
        assert_eq!(tokens.verify(&token).unwrap()["sub"], "x");
        let other = Tokens::new("admin".into(), [8; 32]);
        assert!(other.verify(&token).is_none());
        assert!(tokens.verify("a.b.c").is_none());
    }

    #[test]
    fn hmac_matches_a_known_vector() {
        // RFC 4231, test case 2, with its key padded to 32 bytes (HMAC pads with zeros anyway).
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = hmac_sha256(&key, b"what do ya want for nothing?");
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
