//! What a URL asks for, as `k8s.io/apiserver/pkg/endpoints/request` reads it.

use std::collections::HashMap;

use http::Method;
use percent_encoding_lite::decode;

/// A request taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource (`/api/v1/…`, `/apis/g/v/…`).
    pub is_resource: bool,
    /// The whole path.
    pub path: String,
    /// Kubernetes verb, or the lower-case method for other paths.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, "" for none.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    /// Name, "" for collections.
    pub name: String,
    /// e.g. `status`.
    pub subresource: String,
    /// What follows the subresource (proxy paths).
    pub rest: Vec<String>,
}

/// The query string; repeated keys keep all their values.
#[derive(Debug, Clone, Default)]
pub struct Query(HashMap<String, Vec<String>>);

impl Query {
    /// Reads `a=1&b=2`.
    pub fn parse(query: &str) -> Self {
        let mut out: HashMap<String, Vec<String>> = HashMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            out.entry(decode(key)).or_default().push(decode(value));
        }
        Self(out)
    }

    /// The first value of a key, "" when it is missing.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// Whether a key is there, with a value or without.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Every value of a key.
    pub fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Go's idea of a true parameter: present and neither `false` nor `0`.
    pub fn flag(&self, key: &str) -> bool {
        self.0
            .get(key)
            .and_then(|values| values.first())
            .is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"))
    }
}

/// Percent-decoding of paths and queries.
pub mod percent_encoding_lite {
    /// Decodes `%XX` and, for queries, `+`. Broken escapes stay as they are.
    pub fn decode(text: &str) -> String {
        decode_with(text, true)
    }

    /// Decodes `%XX` only.
    pub fn decode_path(text: &str) -> String {
        decode_with(text, false)
    }

    fn decode_with(text: &str, plus: bool) -> String {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let escaped = (byte == b'%')
                .then(|| bytes.get(at + 1..at + 3))
                .flatten()
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            match escaped {
                Some(value) => {
                    out.push(value);
                    at += 3;
                }
                None => {
                    out.push(if plus && byte == b'+' { b' ' } else { byte });
                    at += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl RequestInfo {
    /// Takes a request apart.
    pub fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let mut info = Self {
            path: path.to_owned(),
            verb: match *method {
                Method::GET => "get",
                Method::HEAD => "head",
                Method::POST => "post",
                Method::PUT => "put",
                Method::PATCH => "patch",
                Method::DELETE => "delete",
                Method::OPTIONS => "options",
                _ => "",
            },
            ..Self::default()
        };
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(percent_encoding_lite::decode_path).collect();
        let mut rest = match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                info.version = (*version).to_owned();
                rest.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                info.group = (*group).to_owned();
                info.version = (*version).to_owned();
                rest.iter().map(|part| (*part).to_owned()).collect()
            }
            _ => return info,
        };
        info.is_resource = true;
        let mut watching_path = false;
        if rest.first().is_some_and(|part| part == "watch") {
            watching_path = true;
            rest.remove(0);
        }
        if rest.len() > 1 && rest.first().is_some_and(|part| part == "namespaces") {
            info.namespace.clone_from(&rest[1]);
            if rest.len() > 2 && !matches!(rest[2].as_str(), "status" | "finalize") {
                rest.drain(..2);
            }
        }
        let mut rest = rest.into_iter();
        info.resource = rest.next().unwrap_or_default();
        info.name = rest.next().unwrap_or_default();
        info.subresource = rest.next().unwrap_or_default();
        info.rest = rest.collect();
        info.verb = match info.verb {
            "post" => "create",
            "put" => "update",
            "patch" => "patch",
            "delete" if info.name.is_empty() => "deletecollection",
            "delete" => "delete",
            "get" | "head" if watching_path => "watch",
            "get" | "head" if info.name.is_empty() => {
                if query.flag("watch") {
                    "watch"
                } else {
                    "list"
                }
            }
            "get" | "head" => "get",
            other => other,
        };
        info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: Method, uri: &str) -> RequestInfo {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        RequestInfo::parse(&method, path, &Query::parse(query))
    }

    #[test]
    fn urls_are_taken_apart() {
        let list = info(Method::GET, "/api/v1/namespaces/default/pods?watch=true");
        assert_eq!((list.verb, list.namespace.as_str(), list.resource.as_str()), ("watch", "default", "pods"));
        let namespace = info(Method::GET, "/api/v1/namespaces/default");
        assert_eq!(
            (namespace.verb, namespace.namespace.as_str(), namespace.resource.as_str(), namespace.name.as_str()),
            ("get", "default", "namespaces", "default")
        );
        let finalize = info(Method::PUT, "/api/v1/namespaces/x/finalize");
        assert_eq!((finalize.resource.as_str(), finalize.subresource.as_str()), ("namespaces", "finalize"));
        let scale = info(Method::PATCH, "/apis/apps/v1/namespaces/d/deployments/web/scale");
        assert_eq!((scale.group.as_str(), scale.name.as_str(), scale.subresource.as_str()), ("apps", "web", "scale"));
        assert!(!info(Method::GET, "/apis/apps/v1").is_resource);
    }
}
