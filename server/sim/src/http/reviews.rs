//! Reviews: who am I, may I, what may I.

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Context, body, negotiate::json_response, tokens};
use crate::{
    cluster::text,
    hooks::{Attributes, UserInfo},
    status::{FieldError, Result, Status},
};

/// Answers a review, `None` when the request is no review.
pub fn serve(cx: &Context, body: &Bytes) -> Option<Result<Response<Body>>> {
    let info = &cx.info;
    if info.verb != "create" || info.version != "v1" || !info.name.is_empty() {
        return None;
    }
    let answer = match (info.group.as_str(), info.resource.as_str()) {
        ("authentication.k8s.io", "selfsubjectreviews") => self_subject(cx),
        ("authentication.k8s.io", "tokenreviews") => tokens::review(cx, body),
        ("authorization.k8s.io", "selfsubjectaccessreviews") => access_review(cx, body, "SelfSubjectAccessReview"),
        ("authorization.k8s.io", "subjectaccessreviews") => access_review(cx, body, "SubjectAccessReview"),
        ("authorization.k8s.io", "localsubjectaccessreviews") => access_review(cx, body, "LocalSubjectAccessReview"),
        ("authorization.k8s.io", "selfsubjectrulesreviews") => rules_review(cx, body),
        _ => return None,
    };
    Some(answer.map(|value| json_response(StatusCode::CREATED, &value)))
}

/// `authentication.k8s.io/v1 UserInfo`.
pub fn user_json(user: &UserInfo) -> Value {
    let mut out = json!({"username": user.name});
    if !user.uid.is_empty() {
        out["uid"] = json!(user.uid);
    }
    out["groups"] = json!(user.groups);
    if !user.extra.is_empty() {
        out["extra"] = json!(user.extra);
    }
    out
}

fn self_subject(cx: &Context) -> Result<Value> {
    Ok(json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": cx.api.cluster.time()},
        "status": {"userInfo": user_json(&cx.user)},
    }))
}

fn access_review(cx: &Context, body: &Bytes, kind: &str) -> Result<Value> {
    let (mut value, _) = body::parse(cx, body)?;
    let spec = &value["spec"];
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let mut errors = Vec::new();
    if resource.is_null() == path.is_null() {
        errors.push(if resource.is_null() {
            FieldError::invalid(
                "spec.resourceAttributes",
                Value::Null,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        } else {
            FieldError::invalid(
                "spec.nonResourceAttributes",
                path.clone(),
                "cannot be specified in combination with resourceAttributes",
            )
        });
    }
    let user = if kind == "SelfSubjectAccessReview" {
        cx.user.clone()
    } else {
        if text(spec, &["user"]).is_empty() && spec["groups"].as_array().is_none_or(Vec::is_empty) {
            errors.push(FieldError::invalid("spec.user", "", "at least one of user or group must be specified"));
        }
        UserInfo {
            name: text(spec, &["user"]).into(),
            uid: text(spec, &["uid"]).into(),
            groups: spec["groups"]
                .as_array()
                .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            extra: serde_json::from_value(spec["extra"].clone()).unwrap_or_default(),
        }
    };
    if kind == "LocalSubjectAccessReview" {
        let own = text(&value, &["metadata", "namespace"]);
        if !own.is_empty() && own != cx.info.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if resource.is_object() && text(resource, &["namespace"]) != cx.info.namespace {
            errors.push(FieldError::invalid(
                "spec.resourceAttributes.namespace",
                text(resource, &["namespace"]),
                "must match metadata.namespace",
            ));
        }
        if path.is_object() {
            errors.push(FieldError::invalid(
                "spec.nonResourceAttributes",
                path.clone(),
                "disallowed on this kind of request",
            ));
        }
    }
    if !errors.is_empty() {
        // The original names the group alone.
        return Err(Status::invalid("authorization.k8s.io", "", "", &errors));
    }
    let attributes = if path.is_null() {
        Attributes {
            user,
            verb: text(resource, &["verb"]).into(),
            group: text(resource, &["group"]).into(),
            version: text(resource, &["version"]).into(),
            resource: text(resource, &["resource"]).into(),
            subresource: text(resource, &["subresource"]).into(),
            name: text(resource, &["name"]).into(),
            namespace: text(resource, &["namespace"]).into(),
            path: String::new(),
        }
    } else {
        Attributes {
            user,
            verb: text(path, &["verb"]).into(),
            path: text(path, &["path"]).into(),
            ..Attributes::default()
        }
    };
    let decision = if attributes.user.in_group("system:masters") {
        crate::hooks::Decision { allowed: true, reason: String::new() }
    } else {
        cx.api.cluster.authorizer().authorize(&attributes)
    };
    value["metadata"] = json!({"namespace": cx.info.namespace});
    if cx.info.namespace.is_empty() {
        value["metadata"] = json!({});
    }
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = json!(decision.reason);
    }
    value["kind"] = json!(kind);
    value["apiVersion"] = json!("authorization.k8s.io/v1");
    value["status"] = status;
    Ok(value)
}

fn rules_review(cx: &Context, body: &Bytes) -> Result<Value> {
    let (value, _) = body::parse(cx, body)?;
    let namespace = text(&value, &["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (resources, paths) = if cx.user.in_group("system:masters") {
        crate::hooks::Authorizer::rules(&crate::hooks::AlwaysAllow, &cx.user, namespace)
    } else {
        cx.api.cluster.authorizer().rules(&cx.user, namespace)
    };
    Ok(json!({
        "kind": "SelfSubjectRulesReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {},
        "status": {"resourceRules": resources, "nonResourceRules": paths, "incomplete": false},
    }))
}
