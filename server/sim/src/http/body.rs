//! Reading request bodies: JSON, YAML and protobuf, strictly or leniently.

use bytes::Bytes;
use serde_json::Value;

use super::Context;
use crate::{
    registry::{ResourceType, Version, api_version},
    status::{Result, Status},
    strict,
};

/// How unknown and duplicate fields are met (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Dropped without a word.
    Ignore,
    /// Dropped with a warning.
    Warn,
    /// Refused.
    Strict,
}

impl FieldValidation {
    /// Reads the query parameter.
    ///
    /// # Errors
    /// 422 for an unknown word.
    pub fn of(cx: &Context) -> Result<Self> {
        match cx.query.get("fieldValidation") {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            other => Err(Status::invalid(
                "meta.k8s.io",
                "CreateOptions",
                "",
                &[crate::status::FieldError::not_supported(
                    "fieldValidation",
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                )],
            )),
        }
    }

    /// Deals with what a strict decoder found; `refuse` words the refusal around it.
    ///
    /// # Errors
    /// What `refuse` makes of it when strict.
    pub fn settle(self, cx: &Context, faults: &[String], refuse: impl FnOnce(String) -> Status) -> Result<()> {
        match self {
            Self::Strict if !faults.is_empty() => Err(refuse(format!("strict decoding error: {}", faults.join(", ")))),
            Self::Warn => {
                for fault in faults {
                    cx.warn(fault.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The media type of the body, without parameters.
pub fn content_type(cx: &Context) -> &str {
    cx.headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map_or("application/json", str::trim)
}

/// Parses a body that holds an object, with the faults that a strict decoder would find in its syntax.
///
/// # Errors
/// 400 when it cannot be parsed, 415 for another media type.
pub fn parse(cx: &Context, body: &Bytes) -> Result<(Value, Vec<String>)> {
    match content_type(cx) {
        "application/json" | "" => strict::parse_json(body).map_err(|error| {
            // The decoder first looks for kind and version, and fails there.
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {error} ({})",
                kind_of(cx),
                summary(body)
            ))
        }),
        "application/yaml" | "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
            parse_yaml(body).map(|value| (value, Vec::new()))
        }
        "application/vnd.kubernetes.protobuf" => crate::protobuf::decode(body).map(|value| (value, Vec::new())),
        _ => Err(unsupported(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// The beginning of a body that cannot be read, as text if it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = body.get(..SHOWN).unwrap_or(body);
    let dots = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{dots}", head.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// YAML with aliases bounded by the parser's budget.
///
/// # Errors
/// 400 when it cannot be parsed.
pub fn parse_yaml(body: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(body).map_err(|_| Status::bad_request("error decoding YAML: invalid UTF-8"))?;
    serde_saphyr::from_str(text).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))
}

fn kind_of(cx: &Context) -> String {
    cx.resource().map(|(resource, _)| resource.kind.clone()).unwrap_or_default()
}

/// 415.
pub fn unsupported(supported: &str) -> Status {
    Status::new(
        415,
        "UnsupportedMediaType",
        format!("the body of the request was in an unknown format - accepted media types include: {supported}"),
    )
}

/// Parses the body of a create or update: the object, checked against the path and the schema.
///
/// # Errors
/// 400 when it is not such an object.
pub fn object(cx: &Context, resource: &ResourceType, version: &Version, body: &Bytes) -> Result<Value> {
    let validation = FieldValidation::of(cx)?;
    let (mut value, mut faults) = parse(cx, body)?;
    if !value.is_object() {
        let why = not_an_object(&value);
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            resource.kind,
            summary(body)
        )));
    }
    let given = value["apiVersion"].as_str().unwrap_or_default();
    let (group, given) = crate::registry::split_api_version(given);
    let here = value["kind"] == resource.kind.as_str() && group == resource.id.group;
    if here && !resource.custom && !given.is_empty() && resource.version(given).is_none() {
        let kind = &resource.kind;
        let api = api_version(group, given);
        return Err(Status::bad_request(format!(
            "{kind} in version \"{given}\" cannot be handled as a {kind}: no kind \"{kind}\" is registered for version \"{api}\" in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    check_kind(resource, &version.name, &mut value)?;
    let found = strict::check(&cx.api.cluster, resource, version, &mut value)?;
    faults.extend(found);
    validation.settle(cx, &faults, |why| {
        let (kind, version) = (&resource.kind, &version.name);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    })?;
    Ok(value)
}

/// Checks `apiVersion` and `kind`; missing ones are filled in, as the real decoder's defaults do.
///
/// # Errors
/// 400 for those of something else.
pub fn check_kind(resource: &ResourceType, version: &str, value: &mut Value) -> Result<()> {
    let expected = api_version(&resource.id.group, version);
    if !value.is_object() {
        return Err(Status::bad_request(not_an_object(value)));
    }
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let api = value["apiVersion"].as_str().unwrap_or_default().to_owned();
    if !kind.is_empty() && kind != resource.kind {
        let (group, given) = crate::registry::split_api_version(&api);
        let given = if given.is_empty() { version } else { given };
        if resource.custom && api == expected {
            let fault = crate::status::FieldError::invalid("kind", kind.as_str(), format!("must be {}", resource.kind));
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            return Err(Status::invalid(&resource.id.group, &kind, name, &[fault]));
        }
        if resource.custom || group != resource.id.group {
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): no kind \"{kind}\" is registered for version \"{api}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
                resource.kind
            )));
        }
        return Err(Status::bad_request(format!(
            "{kind} in version \"{given}\" cannot be handled as a {}: converting ({given}.{kind}) to ({}.{}): unknown conversion",
            resource.kind,
            if resource.id.group.is_empty() { "core" } else { resource.id.group.as_ref() },
            resource.kind
        )));
    }
    // Built-in kinds have a default, custom ones have not.
    if api != expected && (resource.custom || !api.is_empty()) {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api}) does not match the expected API version ({expected})"
        )));
    }
    if let Some(object) = value.as_object_mut() {
        object.insert("apiVersion".into(), expected.into());
        object.insert("kind".into(), resource.kind.clone().into());
    }
    Ok(())
}

fn not_an_object(value: &Value) -> String {
    format!(
        "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
        json_type(value)
    )
}

/// Go's word for a JSON type.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
