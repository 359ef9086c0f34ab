//! Bearer tokens: who carries one, TokenReview, and TokenRequest for service accounts
//! (`pkg/serviceaccount`, `pkg/registry/core/serviceaccount/storage/token.go`).

use axum::body::Body;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Api, Context, body, negotiate::json_response};
use crate::{
    clock::format_time,
    cluster::text,
    hooks::UserInfo,
    registry::builtin::gr,
    status::{FieldError, Result, Status},
    store::ObjectRef,
};

/// Audience and issuer of ServiceAccount tokens.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// The shortest life of a token that may be asked for, in seconds.
const LEAST_LIFE: i64 = 600;
/// The longest, in seconds.
const MOST_LIFE: i64 = 1 << 32;
/// How long a token outlives the deletion of what it is bound to, in seconds (go-jose's leeway).
const LEEWAY: i64 = 60;

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

/// Who a token speaks for, and to whom.
pub struct Known {
    /// Its bearer.
    pub user: UserInfo,
    /// Those of the wanted audiences that the token is meant for.
    pub audiences: Vec<String>,
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Go's `%q` of a list of strings.
fn quoted(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(" "))
}

/// Looks into a bearer token that must be meant for one of `audiences` (the API server itself, if none is named).
///
/// # Errors
/// Why it is not believed, in the words of a TokenReview.
pub fn authenticate(api: &Api, token: &str, audiences: &[String]) -> std::result::Result<Known, String> {
    let own = [ISSUER.to_owned()];
    let wanted = if audiences.is_empty() { &own[..] } else { audiences };
    let refuse = |why: String| format!("[invalid bearer token, {why}]");
    if same(token.as_bytes(), api.tokens.admin.as_bytes()) {
        let audiences = wanted.iter().filter(|audience| *audience == ISSUER).cloned().collect();
        return Ok(Known { user: Tokens::admin_user(), audiences });
    }
    let claims = api.tokens.verify(token).ok_or("invalid bearer token")?;
    let given = names(&claims["aud"]);
    let audiences: Vec<String> = wanted.iter().filter(|audience| given.contains(audience)).cloned().collect();
    if audiences.is_empty() {
        return Err(refuse(format!(
            "token audiences {} is invalid for the target audiences {}",
            quoted(&given),
            quoted(wanted)
        )));
    }
    let user = account_user(api, &claims).map_err(refuse)?;
    Ok(Known { user, audiences })
}

/// The service account of verified claims, if it and what the token is bound to still exist.
fn account_user(api: &Api, claims: &Value) -> std::result::Result<UserInfo, String> {
    let now = api.cluster.clock.now().as_second();
    if claims["exp"].as_i64().unwrap_or(0) + LEEWAY < now {
        return Err("service account token has expired".to_owned());
    }
    let private = &claims["kubernetes.io"];
    let namespace = text(private, &["namespace"]);
    let name = text(private, &["serviceaccount", "name"]);
    let account = api
        .cluster
        .find(&gr::SERVICE_ACCOUNTS, namespace, name)
        .ok_or_else(|| format!("serviceaccounts \"{name}\" not found"))?;
    let (uid, claimed) = (text(&account, &["metadata", "uid"]), text(private, &["serviceaccount", "uid"]));
    if uid != claimed {
        return Err(format!("service account UID ({uid}) does not match claim ({claimed})"));
    }
    let long_gone = |object: &Value| {
        let deleted = text(object, &["metadata", "deletionTimestamp"]).parse::<jiff::Timestamp>();
        deleted.is_ok_and(|at| at.as_second() + LEEWAY < now)
    };
    let pod_bound = private["pod"].is_object();
    for (word, resource, place) in
        [("pod", &gr::PODS, namespace), ("secret", &gr::SECRETS, namespace), ("node", &gr::NODES, "")]
    {
        // The node of a pod is told, not checked.
        if !private[word].is_object() || word == "node" && pod_bound {
            continue;
        }
        let bound = api.cluster.find(resource, place, text(private, &[word, "name"]));
        match bound {
            Some(object) if object["metadata"]["uid"] == private[word]["uid"] && !long_gone(&object) => {}
            _ => return Err("service account token has been invalidated".to_owned()),
        }
    }
    let mut user = UserInfo {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        uid: uid.to_owned(),
        groups: vec![
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".into(),
        ],
        ..UserInfo::default()
    };
    let mut tell = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    tell("credential-id", format!("JTI={}", text(claims, &["jti"])));
    for word in ["pod", "node"] {
        tell(&format!("{word}-name"), text(private, &[word, "name"]).to_owned());
        tell(&format!("{word}-uid"), text(private, &[word, "uid"]).to_owned());
    }
    Ok(user)
}

/// TokenReview.
pub fn review(cx: &Context, body: &Bytes) -> Result<Value> {
    let (mut value, _) = body::parse(cx, body)?;
    let token = text(&value, &["spec", "token"]).to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    value["kind"] = json!("TokenReview");
    value["apiVersion"] = json!("authentication.k8s.io/v1");
    value["metadata"] = json!({});
    value["status"] = match authenticate(&cx.api, &token, &names(&value["spec"]["audiences"])) {
        Ok(known) => json!({
            "authenticated": true,
            "user": super::reviews::user_json(&known.user),
            "audiences": known.audiences,
        }),
        Err(why) => json!({"user": {}, "error": why}),
    };
    Ok(value)
}

/// What a token is bound to: its kind in claims, the object, and, for pods, the node.
type Bound = Option<(&'static str, ObjectRef, Option<Value>)>;

fn bound_object(cx: &Context, account: &str, reference: &Value) -> Result<Bound> {
    if !reference.is_object() {
        return Ok(None);
    }
    let cluster = &cx.api.cluster;
    let (api, kind, name) = (text(reference, &["apiVersion"]), text(reference, &["kind"]), text(reference, &["name"]));
    let (word, object, node) = match (api, kind) {
        ("v1", "Pod") => {
            let pod = cluster.get(&gr::PODS, &cx.info.namespace, name)?;
            if text(&pod, &["spec", "serviceAccountName"]) != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount \"{account}\" to pod running with different serviceaccount name."
                )));
            }
            let on = text(&pod, &["spec", "nodeName"]);
            let node = (!on.is_empty()).then(|| {
                let uid = cluster.find(&gr::NODES, "", on).map(|node| node["metadata"]["uid"].clone());
                json!({"name": on, "uid": uid})
            });
            ("pod", pod, node)
        }
        ("v1", "Node") => ("node", cluster.get(&gr::NODES, "", name)?, None),
        ("v1", "Secret") => ("secret", cluster.get(&gr::SECRETS, &cx.info.namespace, name)?, None),
        _ => {
            let (group, version) = crate::registry::split_api_version(api);
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    };
    let uid = text(reference, &["uid"]);
    if !uid.is_empty() && uid != text(&object, &["metadata", "uid"]) {
        return Err(Status::conflict(
            "",
            kind,
            name,
            &format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            ),
        ));
    }
    Ok(Some((word, object, node)))
}

/// TokenRequest, the `token` subresource of service accounts.
pub fn request(cx: &Context, body: &Bytes) -> Result<Response<Body>> {
    const GROUP: &str = "authentication.k8s.io";
    let (mut value, _) = body::parse(cx, body)?;
    let (namespace, name) = (&cx.info.namespace, &cx.info.name);
    for (field, own) in [("name", name), ("namespace", namespace)] {
        let given = text(&value, &["metadata", field]);
        if !given.is_empty() && given != own {
            let detail = format!("must match the service account {field} if specified");
            let error = FieldError::invalid(format!("metadata.{field}"), given, detail);
            return Err(Status::invalid(GROUP, "TokenRequest", name, &[error]));
        }
    }
    let account = cx.api.cluster.get(&gr::SERVICE_ACCOUNTS, namespace, name)?;
    let uid = text(&account, &["metadata", "uid"]).to_owned();
    let given = text(&value, &["metadata", "uid"]);
    if !given.is_empty() && given != uid {
        let why =
            format!("the UID in the token request ({given}) does not match the UID of the service account ({uid})");
        return Err(Status::conflict(GROUP, "TokenRequest", name, &why));
    }
    let seconds = value["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let bounds = [(seconds < LEAST_LIFE, "less than 10 minutes"), (seconds > MOST_LIFE, "larger than 2^32 seconds")];
    let errors: Vec<FieldError> = bounds
        .into_iter()
        .filter(|(broken, _)| *broken)
        .map(|(_, than)| {
            FieldError::invalid("spec.expirationSeconds", seconds, format!("may not specify a duration {than}"))
        })
        .collect();
    if !errors.is_empty() {
        return Err(Status::invalid(GROUP, "TokenRequest", "", &errors));
    }
    let mut audiences = names(&value["spec"]["audiences"]);
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let bound = bound_object(cx, name, &value["spec"]["boundObjectRef"])?;
    let now = cx.api.cluster.clock.now();
    let expires = jiff::Timestamp::from_second(now.as_second() + seconds).unwrap_or(jiff::Timestamp::MAX);
    let mut private = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}});
    if let Some((word, object, node)) = &bound {
        private[*word] = json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]});
        if let Some(node) = node {
            private["node"] = node.clone();
        }
    }
    let claims = json!({
        "aud": audiences,
        "exp": expires.as_second(),
        "iat": now.as_second(),
        "iss": ISSUER,
        "jti": crate::clock::new_uid().to_string(),
        "kubernetes.io": private,
        "nbf": now.as_second(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    let reference = value["spec"]["boundObjectRef"].take();
    let answer = json!({
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": format_time(now)},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
        "status": {"token": cx.api.tokens.issue(&claims), "expirationTimestamp": format_time(expires)},
    });
    Ok(json_response(StatusCode::CREATED, &answer))
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
