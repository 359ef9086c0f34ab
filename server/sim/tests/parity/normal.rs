//! What may differ from one cluster or run to another is replaced by a name for it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

/// Letters of generated names.
const LETTERS: &str = "[bcdfghjklmnpqrstvwxz2456789]";

static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let list = [
        (r"/tmp/(LIVE|MERGED)-\d+".to_owned(), "/tmp/$1"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}".to_owned(), "<uid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z".to_owned(), "<micro>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)".to_owned(), "<time>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( UTC)?".to_owned(), "<time>"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}".to_owned(), "<time>"),
        (r"\b(10|172|127)\.\d{1,3}\.\d{1,3}\.\d{1,3}\b(:\d+)?".to_owned(), "<ip>"),
        (r"\bnode-?[1-9a-c]\b".to_owned(), "<node>"),
        (r"\b[0-9a-f]{64}\b".to_owned(), "<id>"),
        // pod-template-hash and the like, then the five letters of generateName.
        (format!("-{LETTERS}{{6,10}}-{LETTERS}{{5}}\\b"), "-<hash>-<rand>"),
        (format!("-{LETTERS}{{8,10}}\\b"), "-<hash>"),
        (format!("-{LETTERS}{{5}}(\\b|_)"), "-<rand>$1"),
        // Events are named after the nanosecond of their first occurrence.
        (r"\.1[0-9a-f]{15}\b".to_owned(), ".<nanos>"),
        (r"\b2\d{7}\b".to_owned(), "<minute>"),
        (r"(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?".to_owned(), "<certificate>"),
        (r"\bey[\w-]+\.[\w-]+\.[\w-]+".to_owned(), "<jwt>"),
        (r"current: \d+".to_owned(), "current: <rv>"),
        (r#"(resourceVersion\\?"?: ?\\?")\d+"#.to_owned(), "${1}<rv>"),
        (r"pod-template-hash=\w+".to_owned(), "pod-template-hash=<hash>"),
        (r"(?m)^ *topology\.kubernetes\.io/(zone|region)=\S+\n".to_owned(), ""),
        (r"tolerationSeconds: 20\b".to_owned(), "tolerationSeconds: 300"),
        (r"\bkubernetes-admin\b".to_owned(), "admin"),
        // The test's own image, under one of its names.
        (r"\bberth\.test/fixture:1\b".to_owned(), "docker.io/library/nginx:1.27"),
        (r"(Image ID: +)(\S+@)?sha256:\S+".to_owned(), "${1}<id>"),
        (
            r"in \d+(\.\d+)?(ms|s) \(\d+(\.\d+)?(ms|s) including waiting\)\. Image size: \d+ bytes".to_owned(),
            "in <took>",
        ),
    ];
    list.into_iter().map(|(pattern, name)| (Regex::new(&pattern).unwrap(), name)).collect()
});

static AGES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"(?m)\b\d+m?s?\d*s ago\b", "<age> ago"),
        (r"(?m)(^|[ (])(\d+m)?\d+s\b", "$1<age>"),
        (r"<invalid>( ago)?", "<age>"),
        (r" \(x\d+ over <age>\)", ""),
        // Columns are as wide as their widest cell.
        (r"[ \t]{2,}", "  "),
        (r"(?m)[ \t]+$", ""),
    ]
    .into_iter()
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    .collect()
});

/// Names of this run that stand for the same thing in every run.
pub struct Names<'a> {
    pub namespace: &'a str,
    pub id: &'a str,
}

/// A text without what is of this run.
pub fn text(text: &str, names: &Names<'_>) -> String {
    let mut out = text.replace(names.namespace, "<ns>").replace(names.id, "<id>");
    for (mask, name) in MASKS.iter() {
        out = mask.replace_all(&out, *name).into_owned();
    }
    out
}

/// What a command printed.
pub fn printed(printed: &str, names: &Names<'_>) -> String {
    let mut out = text(printed, names);
    for (mask, name) in AGES.iter() {
        out = mask.replace_all(&out, *name).into_owned();
    }
    out.trim_end().to_owned()
}

/// JSON without what is of this run, its keys in order.
pub fn value(value: &Value, names: &Names<'_>) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| key.as_str());
            let mut out = Map::new();
            // Where a pod happens to run.
            for (key, item) in pairs.into_iter().filter(|(key, _)| !key.starts_with("topology.kubernetes.io/")) {
                out.insert(text(key, names), field(key, item, names));
            }
            Value::Object(out)
        }
        Value::Array(list) => list.iter().map(|item| self::value(item, names)).collect(),
        Value::String(content) => json!(text(content, names)),
        other => other.clone(),
    }
}

fn field(key: &str, item: &Value, names: &Names<'_>) -> Value {
    match (key, item) {
        ("resourceVersion", Value::String(version)) if version.len() > 1 => json!("<rv>"),
        ("continue", Value::String(token)) if !token.is_empty() => json!("<continue>"),
        // In order of the second in which each wrote.
        ("managedFields", Value::Array(list)) => {
            let mut list: Vec<Value> = list.iter().map(|entry| value(entry, names)).collect();
            list.sort_by_key(|entry| {
                ["operation", "manager", "subresource", "apiVersion"].map(|field| entry[field].to_string())
            });
            list.into()
        }
        ("cells", Value::Array(list)) => list
            .iter()
            .map(|cell| cell.as_str().map_or_else(|| value(cell, names), |cell| json!(printed(cell, names))))
            .collect(),
        ("nodePort" | "healthCheckNodePort", Value::Number(port)) if port.as_i64() >= Some(30_000) => json!("<port>"),
        ("imageID" | "containerID", Value::String(id)) if !id.is_empty() => json!("<id>"),
        ("pod-template-hash" | "controller-revision-hash", Value::String(_)) => json!("<hash>"),
        ("controller.kubernetes.io/hash", Value::String(_)) => json!("<hash>"),
        ("storageVersionHash", Value::String(_)) => json!("<hash>"),
        ("zone", Value::String(_)) => json!("<zone>"),
        ("serverAddress", Value::String(_)) => json!("<address>"),
        // The real cluster of the tests notices a dead node sooner than the default.
        ("tolerationSeconds", Value::Number(seconds)) if seconds.as_i64() == Some(20) => json!(300),
        _ => value(item, names),
    }
}
