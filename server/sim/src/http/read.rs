//! get and list.

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Context,
    negotiate::{Shape, bytes_response, json_response, partial_metadata},
    selector::Selector,
};
use crate::{
    convert,
    registry::{ResourceType, Version, api_version},
    status::{Cause, Details, FieldError, Result, Status},
    store::{Object, ObjectRef, Page},
    table,
};

/// The JSON of an object in the version that was asked for.
pub fn object_bytes(resource: &ResourceType, version: &str, object: &Object) -> Bytes {
    match convert::to_version(resource, version, object) {
        Some(converted) => serde_json::to_vec(&converted).unwrap_or_default().into(),
        None => object.bytes().clone(),
    }
}

/// What a table is made of. Cells tell of the stored object, whatever the version; rows carry the one asked for.
pub fn shown(resource: &ResourceType, version: &Version, include: &str, object: &Object) -> Option<Value> {
    if convert::reshapes(resource, &version.name) && include != "Object" {
        return None;
    }
    convert::to_version(resource, &version.name, object)
}

/// Answers with one object in the shape that was asked for.
pub fn object_response(
    cx: &Context,
    resource: &ResourceType,
    version: &Version,
    code: StatusCode,
    object: &Object,
) -> Response<Body> {
    match cx.accept.shape {
        Shape::Object => bytes_response(code, "application/json", object_bytes(resource, &version.name, object)),
        Shape::Metadata => json_response(code, &partial_metadata(object)),
        Shape::Table => {
            let include = cx.query.get("includeObject");
            let converted = shown(resource, version, include, object);
            let view = converted.as_ref().unwrap_or_else(|| object.value());
            let mut out = table::render(resource, version, std::iter::once(view), include, cx.api.cluster.clock.now());
            out["metadata"] = json!({"resourceVersion": view["metadata"]["resourceVersion"]});
            json_response(code, &out)
        }
    }
}

/// get.
pub fn get(cx: &Context, resource: &ResourceType, version: &Version) -> Result<Response<Body>> {
    let (asked, current) = (parse_revision(cx.query.get("resourceVersion"))?, cx.api.cluster.store.revision());
    if asked > current {
        return Err(too_large(asked, current));
    }
    let object = match resource.id.group.as_ref() {
        "metrics.k8s.io" => super::subresource::metrics(cx, resource, &cx.info.name)?,
        _ => cx
            .api
            .cluster
            .get(convert::stored_as(&resource.id), super::write::namespace(cx, resource), &cx.info.name)
            .map_err(|_| Status::not_found(&resource.id.group, &resource.id.resource, &cx.info.name))?,
    };
    Ok(object_response(cx, resource, version, StatusCode::OK, &object))
}

/// Where a list goes on.
struct Continue {
    /// Revision of the list; `None` (-1 on the wire) for the latest one, consistent or not.
    revision: Option<u64>,
    start: String,
}

impl Continue {
    fn encode(&self) -> String {
        let revision = self.revision.map_or(json!(-1), |revision| json!(revision));
        URL_SAFE_NO_PAD
            .encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{}\u{0}", self.start)}).to_string())
    }

    fn decode(token: &str) -> Result<Self> {
        let bad = |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(token.trim_end_matches('='))
            .or_else(|_| STANDARD_NO_PAD.decode(token.trim_end_matches('=')))
            .map_err(|error| bad(&error.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| bad(&crate::go_json::fault(&bytes).unwrap_or_else(|| error.to_string())))?;
        if value["v"] != "meta.k8s.io/v1" {
            return Err(bad(&format!(
                "server does not recognize this encoded version {}",
                value["v"].as_str().unwrap_or_default()
            )));
        }
        let revision = value["rv"].as_i64().unwrap_or(0);
        if revision == 0 {
            return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let start = value["start"].as_str().unwrap_or_default();
        if start.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
        }
        Ok(Self { revision: u64::try_from(revision).ok(), start: start.trim_end_matches('\u{0}').to_owned() })
    }
}

/// The error for a resourceVersion from the future.
pub fn too_large(requested: u64, current: u64) -> Status {
    let mut status =
        Status::new(504, "Timeout", format!("Timeout: Too large resource version: {requested}, current: {current}"));
    status.details = Some(Box::new(Details {
        causes: vec![Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..Details::default()
    }));
    status
}

/// Reads a resourceVersion parameter.
pub fn parse_revision(text: &str) -> Result<u64> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        Status::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

fn check_match(cx: &Context) -> Result<()> {
    let rv = cx.query.get("resourceVersion");
    let matching = cx.query.get("resourceVersionMatch");
    let mut errors = Vec::new();
    if !matching.is_empty() {
        let mut forbid = |why: &str| errors.push(FieldError::forbidden("resourceVersionMatch", why));
        if rv.is_empty() {
            forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !cx.query.get("continue").is_empty() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if matching != "Exact" && matching != "NotOlderThan" {
            errors.push(FieldError::not_supported("resourceVersionMatch", matching, &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && rv == "0" {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if !cx.query.get("sendInitialEvents").is_empty() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// The page of objects that a list asks for: its items, revision, continue token and remaining count.
struct Listing {
    items: Vec<ObjectRef>,
    revision: u64,
    next: Option<String>,
    remaining: Option<usize>,
}

/// `limit` as the API server reads it: nothing and less than one are all.
fn limit(text: &str) -> Result<usize> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: i64 = text.parse().map_err(|_| {
        Status::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", serde_json::Value::from(text)))
    })?;
    Ok(usize::try_from(number).unwrap_or(0))
}

fn collect(cx: &Context, resource: &ResourceType, selector: &Selector) -> Result<Listing> {
    check_match(cx)?;
    let store = &cx.api.cluster.store;
    let id = convert::stored_as(&resource.id);
    let namespace = (!cx.info.namespace.is_empty()).then_some(cx.info.namespace.as_str());
    limit(cx.query.get("timeoutSeconds"))?;
    let limit = limit(cx.query.get("limit"))?;
    let token = cx.query.get("continue");
    let asked = parse_revision(cx.query.get("resourceVersion"))?;

    let mut start = None;
    let Page { revision, items } = if token.is_empty() {
        let exact = cx.query.get("resourceVersionMatch") == "Exact"
            || (limit > 0 && asked > 0 && cx.query.get("resourceVersionMatch").is_empty());
        let current = store.revision();
        if asked > current {
            return Err(too_large(asked, current));
        }
        if exact {
            store
                .list_at(id, namespace, asked)
                .map_err(|_| Status::expired("The resourceVersion for the provided list is too old."))?
        } else {
            store.list(id, namespace)
        }
    } else {
        if !cx.query.get("resourceVersion").is_empty() && cx.query.get("resourceVersion") != "0" {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let from = Continue::decode(token)?;
        let page = match from.revision {
            None => store.list(id, namespace),
            Some(revision) => store.list_at(id, namespace, revision).map_err(|_| too_old_to_continue(&from))?,
        };
        start = Some(from.start);
        page
    };
    let pinned = selector.pinned_name();
    // Lists are in the order of their keys.
    let begin = start.map_or(0, |start| items.partition_point(|object| list_key(object, namespace) <= start));
    let mut items: Vec<_> = items
        .into_iter()
        .skip(begin)
        .filter(|object| {
            selector.is_empty()
                || (pinned.is_none_or(|name| object["metadata"]["name"] == name) && selector.matches(object))
        })
        .collect();
    if limit == 0 || items.len() <= limit {
        return Ok(Listing { items, revision, next: None, remaining: None });
    }
    let remaining = selector.is_empty().then(|| items.len() - limit);
    items.truncate(limit);
    let next =
        items.last().map(|last| Continue { revision: Some(revision), start: list_key(last, namespace) }.encode());
    Ok(Listing { items, revision, next, remaining })
}

/// Order of a list: `namespace/name` over everything, the name within a namespace.
fn list_key(object: &Value, namespace: Option<&str>) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match (namespace, object["metadata"]["namespace"].as_str()) {
        (None, Some(own)) => format!("{own}/{name}"),
        _ => name.to_owned(),
    }
}

fn too_old_to_continue(from: &Continue) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.continue_token = Some(Continue { revision: None, start: from.start.clone() }.encode());
    status
}

/// An item of a list of a built-in kind: the list says what it is.
fn item(out: &mut BytesMut, bytes: &Bytes) {
    // Stored objects begin with kind and apiVersion, whose texts need no escapes.
    let plain = bytes.strip_prefix(b"{\"kind\":\"").and_then(|rest| {
        let rest = rest.get(rest.iter().position(|byte| *byte == b'"')? + 1..)?.strip_prefix(b",\"apiVersion\":\"")?;
        rest.get(rest.iter().position(|byte| *byte == b'"')? + 1..)?.strip_prefix(b",")
    });
    if let Some(rest) = plain {
        out.put_u8(b'{');
        out.put(rest);
        return;
    }
    let mut value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.shift_remove("kind");
        object.shift_remove("apiVersion");
    }
    out.put(serde_json::to_vec(&value).unwrap_or_default().as_slice());
}

/// list.
pub fn list(cx: &Context, resource: &ResourceType, version: &Version) -> Result<Response<Body>> {
    let selector = Selector::parse(
        cx.query.get("labelSelector"),
        cx.query.get("fieldSelector"),
        resource,
        version.custom.as_deref(),
    )?;
    let listing = if resource.id.group == "metrics.k8s.io" {
        let items = super::subresource::all_metrics(cx, resource, &selector);
        Listing { items, revision: 0, next: None, remaining: None }
    } else {
        collect(cx, resource, &selector)?
    };
    let mut meta = json!({});
    if listing.revision > 0 {
        meta["resourceVersion"] = json!(listing.revision.to_string());
    }
    if resource.custom && cx.accept.shape == Shape::Object {
        // Lists without a Go type say that they do not go on.
        meta["continue"] = json!("");
    }
    if let Some(next) = &listing.next {
        meta["continue"] = json!(next);
    }
    if let Some(remaining) = listing.remaining {
        meta["remainingItemCount"] = json!(remaining);
    }
    let response = match cx.accept.shape {
        Shape::Object => {
            let kind = json!(resource.list_kind);
            let api = json!(api_version(&resource.id.group, &version.name));
            let mut out =
                BytesMut::with_capacity(256 + listing.items.iter().map(|o| o.bytes().len() + 1).sum::<usize>());
            out.put(format!("{{\"kind\":{kind},\"apiVersion\":{api},\"metadata\":{meta},\"items\":[").as_bytes());
            for (index, object) in listing.items.iter().enumerate() {
                if index > 0 {
                    out.put_u8(b',');
                }
                let bytes = object_bytes(resource, &version.name, object);
                if resource.custom {
                    out.put(bytes);
                } else {
                    item(&mut out, &bytes);
                }
            }
            out.put(&b"]}"[..]);
            bytes_response(StatusCode::OK, "application/json", out.freeze())
        }
        Shape::Metadata => {
            let items: Vec<_> = listing.items.iter().map(|object| partial_metadata(object)).collect();
            json_response(
                StatusCode::OK,
                &json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items}),
            )
        }
        Shape::Table => {
            let include = cx.query.get("includeObject");
            let converted: Vec<_> =
                listing.items.iter().map(|object| (shown(resource, version, include, object), object)).collect();
            let views =
                converted.iter().map(|(converted, object)| converted.as_ref().unwrap_or_else(|| object.value()));
            let mut out = table::render(resource, version, views, include, cx.api.cluster.clock.now());
            out["metadata"] = meta;
            json_response(StatusCode::OK, &out)
        }
    };
    Ok(response)
}
