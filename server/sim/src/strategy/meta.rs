//! Names, labels and the rest of every object's metadata (`k8s.io/apimachinery/pkg/api/validation`).

use serde_json::{Value, json};

use crate::{
    cluster::text,
    registry::{ResourceType, builtin::gr},
    status::FieldError,
};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty() && text.chars().all(|c| inner(c) || c == '-') && text.starts_with(inner) && text.ends_with(inner)
}

/// What is wrong with an RFC 1123 label.
#[must_use]
pub fn label_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !is_label(text) {
        out.push(LABEL.to_owned());
    }
    out
}

/// What is wrong with an RFC 1035 label.
#[must_use]
pub fn label_1035_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !(is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())) {
        out.push(LABEL_1035.to_owned());
    }
    out
}

/// What is wrong with an RFC 1123 subdomain.
#[must_use]
pub fn subdomain_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 253 {
        out.push(too_long(253));
    }
    if text.is_empty() || !text.split('.').all(is_label) {
        out.push(SUBDOMAIN.to_owned());
    }
    out
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// What is wrong with a label's value.
#[must_use]
pub fn label_value_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    if text.len() > 63 {
        out.push(too_long(63));
    }
    if !text.is_empty() && !is_word(text) {
        out.push(LABEL_VALUE.to_owned());
    }
    out
}

/// What is wrong with a label's or annotation's key.
#[must_use]
pub fn qualified_name_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                out.push("prefix part must be non-empty".to_owned());
            } else {
                out.extend(subdomain_faults(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                QUALIFIED.trim_start_matches("name part ")
            )];
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        out.push(format!("name part {}", too_long(63)));
    }
    if !is_word(name) {
        out.push(QUALIFIED.to_owned());
    }
    out
}

/// Faults of a map of labels.
#[must_use]
pub fn labels(value: &Value, path: &str) -> Vec<FieldError> {
    let mut out = Vec::new();
    for (key, own) in value.as_object().into_iter().flatten() {
        out.extend(qualified_name_faults(key).into_iter().map(|why| FieldError::invalid(path, key.as_str(), why)));
        let own = own.as_str().unwrap_or_default();
        out.extend(label_value_faults(own).into_iter().map(|why| FieldError::invalid(path, own, why)));
    }
    out
}

/// Faults of a name of this resource.
fn name_faults(resource: &ResourceType, name: &str) -> Vec<String> {
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "namespaces") if name.contains('.') => vec!["must not contain dots".to_owned()],
        ("", "namespaces") => label_faults(name),
        ("", "services") => label_1035_faults(name),
        ("rbac.authorization.k8s.io", _) => path_segment_faults(name),
        ("apps", "statefulsets") => label_faults(name),
        _ => subdomain_faults(name),
    }
}

fn path_segment_faults(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|part| name.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// Faults of a new object's metadata.
#[must_use]
pub fn validate(resource: &ResourceType, meta: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let base = text(meta, &["generateName"]);
    let name = text(meta, &["name"]);
    if !base.is_empty() {
        // Only the prefix counts, with something after it.
        let probe = format!("{}a", base.trim_end_matches('-'));
        for why in name_faults(resource, &probe) {
            out.push(FieldError::invalid("metadata.generateName", base, why));
        }
    }
    if name.is_empty() {
        out.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        out.extend(name_faults(resource, name).into_iter().map(|why| FieldError::invalid("metadata.name", name, why)));
    }
    out.extend(common(meta));
    out
}

fn common(meta: &Value) -> Vec<FieldError> {
    let mut out = labels(&meta["labels"], "metadata.labels");
    let mut size = 0;
    for (key, own) in meta["annotations"].as_object().into_iter().flatten() {
        let faults = qualified_name_faults(&key.to_lowercase());
        out.extend(faults.into_iter().map(|why| FieldError::invalid("metadata.annotations", key.as_str(), why)));
        size += key.len() + own.as_str().map_or(0, str::len);
    }
    if size > 256 * 1024 {
        out.push(FieldError::too_long("metadata.annotations", 256 * 1024));
    }
    out.extend(owner_faults(&meta["ownerReferences"]));
    for finalizer in meta["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let faults = qualified_name_faults(finalizer);
        out.extend(faults.into_iter().map(|why| FieldError::invalid("metadata.finalizers", finalizer, why)));
    }
    out
}

/// What only built-in kinds ask of finalizers (`ValidateFinalizerName` of core).
#[must_use]
pub fn finalizer_faults(meta: &Value) -> Vec<FieldError> {
    let all = meta["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).enumerate();
    let fault =
        |(index, own)| Some(FieldError::invalid(format!("metadata.finalizers[{index}]"), own, unknown_finalizer(own)?));
    all.filter_map(fault).collect()
}

/// Why a name is no finalizer that Kubernetes knows.
pub fn unknown_finalizer(name: &str) -> Option<&'static str> {
    let known = name.contains('/') || matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
    (!known).then_some("name is neither a standard finalizer name nor is it fully qualified")
}

/// `ValidateOwnerReferences`; it names fields without the reference's index.
fn owner_faults(references: &Value) -> Vec<FieldError> {
    const PATH: &str = "metadata.ownerReferences";
    let mut out = Vec::new();
    let mut first: Option<String> = None;
    for owner in references.as_array().into_iter().flatten() {
        let api = text(owner, &["apiVersion"]);
        if api.is_empty() {
            out.push(FieldError::invalid(format!("{PATH}.apiVersion"), "", "version must not be empty"));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, &[field]).is_empty() {
                out.push(FieldError::invalid(format!("{PATH}.{field}"), "", "must not be empty"));
            }
        }
        if api == "v1" && text(owner, &["kind"]) == "Event" {
            let why = "/v1, Kind=Event is disallowed from being an owner";
            out.push(FieldError::invalid(PATH, owner.clone(), why));
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text(owner, &["kind"]), text(owner, &["name"]));
            match &first {
                None => first = Some(name),
                Some(first) => out.push(FieldError::invalid(
                    PATH,
                    references.clone(),
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    ),
                )),
            }
        }
    }
    out
}

/// Faults of a change of metadata.
#[must_use]
pub fn validate_update(meta: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = common(meta);
    if !old["deletionTimestamp"].is_null() {
        let known: Vec<_> = old["finalizers"].as_array().cloned().unwrap_or_default();
        let added: Vec<_> =
            meta["finalizers"].as_array().into_iter().flatten().filter(|own| !known.contains(own)).cloned().collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {}",
                go_strings(&added)
            );
            // Told twice: the generic part of an update and the kind's own both look.
            let fault = FieldError::forbidden("metadata.finalizers", why);
            out.extend([fault.clone(), fault]);
        }
    }
    out
}

/// `[]string{"a", "b"}`, as Go's `%#v` prints it.
fn go_strings(list: &[Value]) -> String {
    let inner: Vec<_> = list.iter().map(ToString::to_string).collect();
    format!("[]string{{{}}}", inner.join(", "))
}

/// Whether the resource's data may never change once it says so.
#[must_use]
pub fn immutable_faults(resource: &ResourceType, value: &Value, old: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    if (resource.id == gr::CONFIG_MAPS || resource.id == gr::SECRETS) && old["immutable"] == true {
        if value["immutable"] != true {
            out.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for field in ["data", "binaryData"] {
            if value.get(field) != old.get(field) {
                out.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    if resource.id == gr::SECRETS && value["type"] != old["type"] {
        out.push(FieldError::invalid("type", value["type"].clone(), "field is immutable"));
    }
    if resource.id.group == "rbac.authorization.k8s.io"
        && resource.id.resource.ends_with("bindings")
        && value["roleRef"] != old["roleRef"]
    {
        out.push(FieldError::invalid("roleRef", role_ref(&value["roleRef"]), "cannot change roleRef"));
    }
    out
}

fn role_ref(value: &Value) -> Value {
    json!({"APIGroup": value["apiGroup"], "Kind": value["kind"], "Name": value["name"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        assert!(subdomain_faults("a.b-c").is_empty());
        assert_eq!(subdomain_faults("A"), [SUBDOMAIN]);
        assert_eq!(label_1035_faults("1a"), [LABEL_1035]);
        assert!(qualified_name_faults("app.kubernetes.io/name").is_empty());
        assert_eq!(qualified_name_faults("/x"), ["prefix part must be non-empty"]);
        assert_eq!(label_value_faults("a b"), [LABEL_VALUE]);
        assert!(label_value_faults("").is_empty());
    }
}
