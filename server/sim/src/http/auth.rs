//! Who asks, on whose behalf, and whether they may.

use http::HeaderMap;

use super::{Api, Context, request::percent_encoding_lite::decode_path, tokens};
use crate::{
    hooks::{Attributes, UserInfo},
    status::{Result, Status},
};

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
        .and_then(|(_, token)| tokens::authenticate(api, token.trim(), &[]).ok())
        .map(|known| known.user)
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
        let asked: Vec<String> = groups.iter().map(|group| format!("{{Group  {group}    }}")).collect();
        let asked = asked.join(" ");
        return Err(Status::bad_request(format!("requested [{asked}] without impersonating a user")));
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
