//! Label and field selectors (`k8s.io/apimachinery/pkg/labels`, `…/fields`).

use serde_json::Value;

use crate::{
    registry::{CustomVersion, ResourceType},
    status::{Result, Status},
    strategy::meta::{label_value_faults, qualified_name_faults},
};

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

/// A conjunction of requirements on labels and fields.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    /// Reads both query parameters.
    ///
    /// # Errors
    /// 400 when one cannot be parsed or a field cannot be selected by.
    pub fn parse(labels: &str, fields: &str, resource: &ResourceType, custom: Option<&CustomVersion>) -> Result<Self> {
        let labels = parse_labels(labels).map_err(Status::bad_request)?;
        let fields = parse_fields(fields)?;
        for (path, ..) in &fields {
            if !selectable(resource, custom, path) {
                let (group, plural) = (resource.id.group.as_ref(), resource.id.resource.as_ref());
                // Kinds that register no labels of their own get the scheme's default words.
                let generic = !matches!(group, "" | "events.k8s.io" | "batch" | "certificates.k8s.io")
                    && !(group == "apps" && plural == "replicasets");
                return Err(Status::bad_request(if resource.custom || !generic {
                    format!("field label not supported: {path}")
                } else {
                    format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                }));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Only the labels.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn labels(text: &str) -> std::result::Result<Self, String> {
        Ok(Self { labels: parse_labels(text)?, fields: Vec::new() })
    }

    /// Also asks for this name.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> Self {
        self.fields.push(("metadata.name".into(), true, name.to_owned()));
        self
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The one name that can match, if the selector pins it.
    pub fn pinned_name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|(path, equal, _)| path == "metadata.name" && *equal)
            .map(|(_, _, value)| value.as_str())
    }

    /// Whether an object matches.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|(path, equal, value)| (field(object, path) == *value) == *equal)
    }
}

impl Requirement {
    /// Whether its key and values could be a label's.
    fn check(&self) -> std::result::Result<(), String> {
        let (key, values) = match self {
            Self::In(key, values) | Self::NotIn(key, values) => (key, values.as_slice()),
            Self::Exists(key) | Self::Missing(key) | Self::Greater(key, _) | Self::Less(key, _) => (key, &[][..]),
        };
        let told = |path: &str, value: &str, faults: Vec<String>| match faults.as_slice() {
            [] => Ok(()),
            faults => {
                Err(format!("unable to parse requirement: {path}: Invalid value: {value:?}: {}", faults.join("; ")))
            }
        };
        told("<nil>", key, qualified_name_faults(key))?;
        values
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| told(&format!("values[{index}][{key}]"), value, label_value_faults(value)))
    }

    fn matches(&self, labels: &Value) -> bool {
        let get = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => get(key).is_some_and(|own| values.iter().any(|value| value == own)),
            Self::NotIn(key, values) => get(key).is_none_or(|own| values.iter().all(|value| value != own)),
            Self::Exists(key) => get(key).is_some(),
            Self::Missing(key) => get(key).is_none(),
            Self::Greater(key, than) => get(key).and_then(|own| own.parse::<i64>().ok()).is_some_and(|own| own > *than),
            Self::Less(key, than) => get(key).and_then(|own| own.parse::<i64>().ok()).is_some_and(|own| own < *than),
        }
    }
}

/// The text of a field as selectors see it: "" when missing, booleans and numbers printed.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, part| value.get(part));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ if path == "spec.unschedulable" || path == "spec.hostNetwork" => "false".into(),
        _ if path == "status.replicas" => "0".into(),
        _ => String::new(),
    }
}

fn selectable(resource: &ResourceType, custom: Option<&CustomVersion>, path: &str) -> bool {
    if path == "metadata.name" || (path == "metadata.namespace") {
        return true;
    }
    if let Some(custom) = custom {
        return custom.selectable.iter().any(|own| own.trim_start_matches('.') == path);
    }
    let known: &[&str] = match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("", "events") | ("events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    };
    known.contains(&path)
}

fn parse_fields(text: &str) -> Result<Vec<(String, bool, String)>> {
    let mut out = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
            (path, false, value)
        } else if let Some((path, value)) = term.split_once("==") {
            (path, true, value)
        } else if let Some((path, value)) = term.split_once('=') {
            (path, true, value)
        } else {
            return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
        };
        out.push((path.to_owned(), equal, value.to_owned()));
    }
    Ok(out)
}

/// Tokens of the label selector grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let sign = match c {
            '(' => Some("("),
            ')' => Some(")"),
            ',' => Some(","),
            '>' => Some(">"),
            '<' => Some("<"),
            '!' if chars.peek() == Some(&'=') => {
                chars.next();
                Some("!=")
            }
            '!' => Some("!"),
            '=' if chars.peek() == Some(&'=') => {
                chars.next();
                Some("==")
            }
            '=' => Some("="),
            _ => None,
        };
        if sign.is_some() || c.is_whitespace() {
            if !word.is_empty() {
                out.push(Token::Word(std::mem::take(&mut word)));
            }
            out.extend(sign.map(Token::Sign));
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(Token::Word(word));
    }
    out
}

fn parse_labels(text: &str) -> std::result::Result<Vec<Requirement>, String> {
    let mut out = Vec::new();
    let tokens = tokens(text);
    let mut rest = tokens.iter().peekable();
    let number = |text: &str| {
        text.parse::<i64>().map_err(|_| {
            format!("unable to parse requirement: values[0]: Invalid value: {text:?}: for 'Gt', 'Lt' operators, the value must be an integer")
        })
    };
    while rest.peek().is_some() {
        let found = match rest.next() {
            Some(Token::Sign("!")) => match rest.next() {
                Some(Token::Word(key)) => Requirement::Missing(key.clone()),
                other => return Err(format!("found '{}', expected: identifier", show(other))),
            },
            Some(Token::Word(key)) => {
                let key = key.clone();
                match rest.peek() {
                    None | Some(Token::Sign(",")) => Requirement::Exists(key),
                    Some(Token::Sign(sign @ ("=" | "==" | "!=" | ">" | "<"))) => {
                        rest.next();
                        let value = match rest.peek() {
                            Some(Token::Word(value)) => {
                                rest.next();
                                value.clone()
                            }
                            None | Some(Token::Sign(",")) => String::new(),
                            other => {
                                return Err(format!("found '{}', expected: identifier", show(other.copied())));
                            }
                        };
                        match *sign {
                            "=" | "==" => Requirement::In(key, vec![value]),
                            "!=" => Requirement::NotIn(key, vec![value]),
                            ">" => Requirement::Greater(key, number(&value)?),
                            _ => Requirement::Less(key, number(&value)?),
                        }
                    }
                    Some(Token::Word(word)) if matches!(word.as_str(), "in" | "notin") => {
                        let negated = word == "notin";
                        rest.next();
                        let values = value_list(&mut rest)?;
                        if negated { Requirement::NotIn(key, values) } else { Requirement::In(key, values) }
                    }
                    Some(other) => {
                        return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", show(Some(other))));
                    }
                }
            }
            other => {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", show(other)));
            }
        };
        found.check()?;
        out.push(found);
        match rest.next() {
            None => break,
            Some(Token::Sign(",")) if rest.peek().is_some() => {}
            Some(Token::Sign(",")) => return Err("found '', expected: identifier after ','".into()),
            other => {
                return Err(format!("found '{}', expected: ',' or 'end of string'", show(other)));
            }
        }
    }
    Ok(out)
}

fn value_list<'a>(
    rest: &mut std::iter::Peekable<impl Iterator<Item = &'a Token>>,
) -> std::result::Result<Vec<String>, String> {
    match rest.next() {
        Some(Token::Sign("(")) => {}
        other => return Err(format!("unable to parse requirement: found '{}' expected: '('", show(other))),
    }
    let mut values = Vec::new();
    let mut expect_value = true;
    loop {
        match rest.next() {
            Some(Token::Word(word)) => {
                values.push(word.clone());
                expect_value = false;
            }
            Some(Token::Sign(",")) => {
                if expect_value {
                    values.push(String::new());
                }
                expect_value = true;
            }
            Some(Token::Sign(")")) => {
                if expect_value {
                    values.push(String::new());
                }
                return Ok(values);
            }
            other => {
                return Err(format!("found '{}', expected: ',', ')' or identifier", show(other)));
            }
        }
    }
}

fn show(token: Option<&Token>) -> String {
    match token {
        Some(Token::Word(word)) => word.clone(),
        Some(Token::Sign(sign)) => (*sign).to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "2", "env": ""}}});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=3", true),
            ("app in (web, db)", true),
            ("app notin (web)", false),
            ("!missing", true),
            ("!app", false),
            ("tier>1,tier<3", true),
            ("env=", true),
            ("app", true),
            ("other", false),
            ("other!=x", true),
        ] {
            assert_eq!(Selector::labels(selector).unwrap().matches(&object), expected, "{selector}");
        }
        assert!(Selector::labels("a in").is_err());
        assert!(Selector::labels("a=b,").is_err());
    }
}
