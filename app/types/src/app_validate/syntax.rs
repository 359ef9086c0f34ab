//! The spellings that Kubernetes demands of names, keys and labels (`k8s.io/apimachinery/pkg/util/validation`).

fn alnum(c: Option<u8>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphanumeric())
}

fn edges(text: &str) -> bool {
    alnum(text.bytes().next()) && alnum(text.bytes().next_back())
}

/// A DNS-1123 subdomain: the name of a Secret, ConfigMap, claim, service account or class.
pub(super) fn is_object_name(name: &str) -> bool {
    name.len() <= 253
        && name
            .split('.')
            .all(|part| edges(part) && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
}

/// A key of a ConfigMap or Secret.
pub(super) fn is_config_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && key != "."
        && !key.starts_with("..")
}

/// A port's name (`IANA_SVC_NAME`, RFC 6335).
pub(super) fn is_port_name(name: &str) -> bool {
    name.len() <= 15
        && edges(name)
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.contains("--")
}

fn is_word(text: &str) -> bool {
    text.len() <= 63
        && edges(text)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A qualified name: the key of a label or, in whatever case its prefix is, of an annotation.
pub(super) fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_word(name),
        None => is_word(key),
    }
}

/// A label's value.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

/// A variable's name.
pub(super) fn is_env_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && name != "."
        && !name.starts_with("..")
}

/// A host of an Ingress, `*.` before it or not.
pub(super) fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    host.len() <= 253
        && host.split('.').all(|part| {
            part.len() <= 63
                && edges(part)
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Characters that a path of an Ingress may have: those of RFC 3986 without the ones that ingress controllers' own
/// configuration files give a meaning (`;`, `$`, quotes).
pub(super) fn is_url_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 1024
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!*+,=:@&()".contains(&b))
        && !["//", "/./", "/../", "%2f", "%2F"].iter().any(|bad| path.contains(bad))
        && !path.ends_with("/.")
        && !path.ends_with("/..")
}
