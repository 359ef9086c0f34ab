//! CustomResourceDefinitions (`apiextensions-apiserver/pkg/apis/apiextensions/validation`).

use serde_json::{Value, json};

use super::{items, one_of};
use crate::{
    cluster::text,
    status::FieldError,
    strategy::{
        custom,
        meta::{label_1035_faults, subdomain_faults},
    },
};

/// Faults of a definition.
pub fn definition(value: &Value) -> Vec<FieldError> {
    let mut out = Vec::new();
    let spec = &value["spec"];
    let (group, plural) = (text(spec, &["group"]), text(spec, &["names", "plural"]));
    let name = text(value, &["metadata", "name"]);
    if name != format!("{plural}.{group}") {
        out.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        out.push(FieldError::required("spec.group", ""));
    } else if !group.contains('.') {
        let faults = subdomain_faults(group);
        out.extend(faults.into_iter().map(|why| FieldError::invalid("spec.group", group, why)));
        out.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    out.extend(one_of(spec, "scope", "spec.", &["Cluster", "Namespaced"]));
    let versions = items(spec, "versions");
    let (single, mut stored) = (versions.len() == 1, 0);
    for (index, version) in versions.iter().enumerate() {
        let own = format!("spec.versions[{index}]");
        stored += usize::from(version["storage"] == true);
        let called = text(version, &["name"]);
        out.extend(
            label_1035_faults(called).into_iter().map(|why| FieldError::invalid(format!("{own}.name"), called, why)),
        );
        // What a single version says is told as if it stood at the top, as in v1beta1.
        let place = |field: &str| match (single, field) {
            (true, "schema") => "spec.validation".to_owned(),
            (true, field) => format!("spec.{field}"),
            (false, field) => format!("{own}.{field}"),
        };
        match &version["schema"]["openAPIV3Schema"] {
            Value::Object(_) => {
                let path = format!("{}.openAPIV3Schema", place("schema"));
                schema(&version["schema"]["openAPIV3Schema"], &path, true, &mut out);
            }
            _ => out.push(FieldError::required(format!("{own}.schema.openAPIV3Schema"), "")),
        }
        for (at, column) in items(version, "additionalPrinterColumns").iter().enumerate() {
            self::column(column, &format!("{}[{at}]", place("additionalPrinterColumns")), &mut out);
        }
        if version["subresources"]["scale"].is_object() {
            scale(&version["subresources"]["scale"], &format!("{}.scale", place("subresources")), &mut out);
        }
    }
    if stored != 1 && versions.iter().all(|version| version["schema"]["openAPIV3Schema"].is_object()) {
        // Go shows its internal struct here, with what a single version says moved to the top.
        let shown: Vec<Value> = versions
            .iter()
            .map(|version| {
                json!({
                    "Name": version["name"], "Served": version["served"], "Storage": version["storage"],
                    "Deprecated": version["deprecated"] == true, "DeprecationWarning": version["deprecationWarning"],
                    "Schema": null, "Subresources": null, "AdditionalPrinterColumns": null, "SelectableFields": null,
                })
            })
            .collect();
        let why = "must have exactly one version marked as storage version";
        out.push(FieldError::invalid("spec.versions", Value::Array(shown), why));
    }
    names(&spec["names"], &mut out);
    if stored == 0 {
        let why = "must have at least one stored version";
        out.push(FieldError::invalid("status.storedVersions", Value::Null, why));
    }
    out.extend(one_of(&spec["conversion"], "strategy", "spec.conversion.", &["None", "Webhook"]));
    out
}

fn names(own: &Value, out: &mut Vec<FieldError>) {
    for (field, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let (path, name) = (format!("spec.names.{field}"), text(own, &[field]));
        if name.is_empty() {
            out.push(FieldError::required(path, ""));
            continue;
        }
        let probe = if mixed { name.to_lowercase() } else { name.to_owned() };
        let faults = label_1035_faults(&probe);
        if !mixed {
            out.extend(faults.into_iter().map(|why| FieldError::invalid(&path, name, why)));
        } else if !faults.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
            out.push(FieldError::invalid(path, name, why));
        }
    }
}

fn column(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for field in ["name", "type", "jsonPath"] {
        let value = text(own, &[field]);
        let place = format!("{path}.{field}");
        if value.is_empty() {
            out.push(FieldError::required(place, ""));
        } else if field == "type" && !matches!(value, "boolean" | "date" | "integer" | "number" | "string") {
            out.push(FieldError::invalid(place, value, "must be one of boolean,date,integer,number,string"));
        }
    }
}

fn scale(own: &Value, path: &str, out: &mut Vec<FieldError>) {
    for (field, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let (place, value) = (format!("{path}.{field}"), text(own, &[field]));
        if value.is_empty() {
            out.push(FieldError::required(place, ""));
        } else if !value.starts_with('.') {
            out.push(FieldError::invalid(place, value, "must be a simple json path starting with ."));
        } else if !value.starts_with(&format!("{root}.")) {
            out.push(FieldError::invalid(place, value, format!("should be a json path under {root}")));
        }
    }
}

/// Structural rules: every field has a type, patterns are regular expressions, defaults fit.
fn schema(own: &Value, path: &str, root: bool, out: &mut Vec<FieldError>) {
    let known = ["array", "boolean", "integer", "number", "object", "string"];
    let free = own["x-kubernetes-int-or-string"] == true || own["x-kubernetes-preserve-unknown-fields"] == true;
    let kind = text(own, &["type"]);
    if kind.is_empty() {
        if root {
            out.push(FieldError::required(format!("{path}.type"), "must not be empty at the root"));
        } else if !free {
            out.push(FieldError::required(format!("{path}.type"), "must not be empty for specified object fields"));
        }
    } else if !known.contains(&kind) {
        out.push(FieldError::not_supported(format!("{path}.type"), kind, &known));
    }
    if let Some(pattern) = own["pattern"].as_str()
        && let Some(why) = pattern_fault(pattern)
    {
        out.push(FieldError::invalid(format!("{path}.pattern"), pattern, why));
    }
    if let Some(default) = own.get("default").filter(|default| !default.is_null()) {
        for fault in custom::validate_at(default, own, "") {
            out.push(fault.below(&format!("{path}.default")));
        }
    }
    for (name, field) in own["properties"].as_object().into_iter().flatten() {
        schema(field, &format!("{path}.properties[{name}]"), false, out);
    }
    for part in ["items", "additionalProperties"] {
        if own[part].is_object() {
            schema(&own[part], &format!("{path}.{part}"), false, out);
        }
    }
}

/// What Go's regexp says of a pattern, for its commonest faults.
fn pattern_fault(pattern: &str) -> Option<String> {
    regex::Regex::new(pattern).err()?;
    let why = if pattern.matches('[').count() > pattern.matches(']').count() {
        let at = pattern.find('[').unwrap_or(0);
        format!("missing closing ]: `{}`", pattern.get(at..).unwrap_or_default())
    } else if pattern.matches('(').count() > pattern.matches(')').count() {
        format!("missing closing ): `{pattern}`")
    } else {
        format!("invalid or unsupported Perl syntax: `{pattern}`")
    };
    Some(format!("must be a valid regular expression, but isn't: error parsing regexp: {why}"))
}
