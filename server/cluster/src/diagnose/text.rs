//! What messages of the cluster and lines of logs say.

/// Why an image cannot be pulled, from what the kubelet reports.
pub(super) fn pull_reason(reason: &str, message: &str) -> (&'static str, &'static str) {
    let text = message.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|n| text.contains(n));
    if reason == "InvalidImageName" {
        ("invalid name", "is not a valid name")
    } else if reason == "ErrImageNeverPull" {
        ("never pulled", "is not on the node, and may not be pulled")
    } else if has(&[
        "unauthorized",
        "authentication required",
        "access denied",
        "authorization failed",
        "403 forbidden",
        "401 ",
    ]) {
        // Registries answer alike for private and for absent repositories.
        ("access denied", "does not exist, or the registry wants credentials for it")
    } else if has(&[
        "no such host",
        "connection refused",
        "i/o timeout",
        "timeout",
        "tls",
        "x509",
        "dial tcp",
        "unreachable",
    ]) {
        ("registry unreachable", "cannot be fetched: its registry cannot be reached")
    } else if has(&["not found", "manifest unknown", "no such", "name unknown"]) {
        ("not found", "does not exist")
    } else if has(&["toomanyrequests", "rate limit"]) {
        ("rate limit", "cannot be fetched now: the registry limits how often")
    } else {
        ("unknown", "cannot be pulled")
    }
}

/// The ConfigMap, Secret or key that is missing: `Secret db`, `key PASSWORD of Secret db`.
pub(super) fn missing_config(message: &str) -> Option<String> {
    // couldn't find key PASSWORD in Secret shop-dev/db
    if let Some(rest) = message.split_once("find key ").map(|(_, r)| r) {
        let (key, rest) = rest.split_once(" in ")?;
        let (kind, name) = rest.split_once(' ')?;
        let name = name.split([' ', ',']).next()?.rsplit('/').next()?;
        return Some(format!("key {key} of {kind} {name}"));
    }
    // references non-existent config key: app.yaml
    if let Some((_, key)) = message.split_once("references non-existent ") {
        let (kind, key) = key.split_once(" key: ")?;
        let kind = if kind == "secret" { "Secret" } else { "ConfigMap" };
        return Some(format!("key {} of a {kind}", key.trim()));
    }
    // configmap "settings" not found, secret "db" not found
    for (word, kind) in [("configmap \"", "ConfigMap"), ("secret \"", "Secret")] {
        if let Some((name, tail)) = message.split_once(word).and_then(|(_, rest)| rest.split_once('"'))
            && tail.contains("not found")
        {
            return Some(format!("{kind} {name}"));
        }
    }
    None
}

/// The host that a line says cannot be found.
pub(super) fn unknown_host(line: &str) -> Option<String> {
    // Go: lookup db on 10.96.0.10:53: no such host; "server misbehaving" where the name server cannot ask further
    if ["no such host", "server misbehaving"].iter().any(|end| line.contains(end))
        && let Some(rest) = line.rsplit_once("lookup ").map(|(_, rest)| rest)
    {
        return host(rest);
    }
    for before in [
        "getaddrinfo ENOTFOUND ",                     // Node
        "getaddrinfo EAI_AGAIN ",                     // Node, musl
        "UnknownHostException: ",                     // Java
        "could not translate host name \"",           // libpq
        "Unknown MySQL server host '",                // MySQL
        "Could not resolve host: ",                   // curl
        "unable to resolve host address ",            // wget
        "php_network_getaddresses: getaddrinfo for ", // PHP
        "Failed to resolve '",                        // Python
    ] {
        if let Some((_, rest)) = line.split_once(before) {
            return host(rest);
        }
    }
    // host='db', port=5432): … [Errno -2] Name or service not known
    let vague = ["Name or service not known", "nodename nor servname provided", "Temporary failure in name resolution"];
    if vague.iter().any(|v| line.contains(v)) {
        for before in ["host='", "Host: ", "host ", "resolve "] {
            if let Some(found) = line.split_once(before).and_then(|(_, rest)| host(rest)) {
                return Some(found);
            }
        }
    }
    None
}

/// The host name at the beginning of `text`, without quotes and port.
fn host(text: &str) -> Option<String> {
    let text = text.trim_start_matches(['"', '\'', '“', '‘', ' ', '`']);
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))).unwrap_or(text.len());
    let name = text[..end].trim_end_matches('.');
    (!name.is_empty() && name.len() <= 253).then(|| name.to_owned())
}

/// The line that tells best why a program ended: the first of a stack trace at the end, the last that calls itself an error, else
/// the last.
pub(super) fn last_words(lines: &[String]) -> Option<&str> {
    let near: Vec<&str> = lines.iter().map(String::as_str).filter(|l| !l.trim().is_empty()).rev().take(NEAR).collect();
    // Rust and Go, then Python, Java and Node; what follows them are frames.
    let panics = |line: &&&str| {
        ["panicked at", "panic: ", "Traceback (most recent call last)", "Exception in thread", "Uncaught "]
            .iter()
            .any(|sign| line.contains(sign))
    };
    if let Some(line) = near.iter().find(panics) {
        if line.contains("Traceback") {
            // Python says why in the line after the frames.
            return near.iter().find(|l| !l.starts_with(' ') && l.contains("Error")).or(near.first()).copied();
        }
        return Some(line);
    }
    near.iter().find(|line| grave(line)).or(near.first()).copied()
}

/// Lines from the end among which the reason is looked for.
const NEAR: usize = 30;

/// Whether a line calls itself an error: by its level, not in passing.
fn grave(line: &str) -> bool {
    let words = line.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).take(8);
    for word in words {
        if ["error", "fatal", "panic", "critical", "emerg"].iter().any(|w| word.eq_ignore_ascii_case(w))
            || word == "ERR"
        {
            return true;
        }
        if ["info", "debug", "warn", "warning", "trace", "notice"].iter().any(|w| word.eq_ignore_ascii_case(w)) {
            return false;
        }
    }
    false
}

/// One line for people: no control characters, not too long.
pub(super) fn line(text: &str) -> String {
    let mut out: String = text.trim().chars().filter(|c| !c.is_control()).take(300).collect();
    if text.trim().chars().count() > 300 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (line, want) in [
            ("dial tcp: lookup db-payments on 10.96.0.10:53: no such host", Some("db-payments")),
            ("FATAL dial tcp: lookup db-payments: no such host", Some("db-payments")),
            ("dial tcp: lookup db-payments on 10.97.0.10:53: server misbehaving", Some("db-payments")),
            ("Error: getaddrinfo ENOTFOUND db.shop.svc", Some("db.shop.svc")),
            ("java.net.UnknownHostException: redis: Name or service not known", Some("redis")),
            (
                "psycopg2.OperationalError: could not translate host name \"pg\" to address: Name or service not known",
                Some("pg"),
            ),
            ("ERROR 2005 (HY000): Unknown MySQL server host 'mysql' (-2)", Some("mysql")),
            ("curl: (6) Could not resolve host: api.internal", Some("api.internal")),
            ("HTTPConnectionPool(host='auth', port=80): [Errno -2] Name or service not known", Some("auth")),
            ("no such file or directory", None),
            ("started", None),
        ] {
            assert_eq!(unknown_host(line).as_deref(), want, "{line}");
        }
    }

    #[test]
    fn the_line_that_tells_why() {
        for (lines, want) in [
            (&["starting", "ERROR no config", "bye"][..], Some("ERROR no config")),
            (&["starting", "listening", ""], Some("listening")),
            (
                &["thread 'main' panicked at src/main.rs:4:5:", "no config", "note: run with `RUST_BACKTRACE=1`"],
                Some("thread 'main' panicked at src/main.rs:4:5:"),
            ),
            (
                &["panic: runtime error: index out of range", "", "goroutine 1 [running]:", "main.main()"],
                Some("panic: runtime error: index out of range"),
            ),
            (
                &["Traceback (most recent call last):", "  File \"a.py\", line 1", "ValueError: bad port", "closing"],
                Some("ValueError: bad port"),
            ),
            (&["INFO 0 errors", "level=info error=nil", "done"], Some("done")),
            (&[], None),
        ] {
            let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
            assert_eq!(last_words(&lines), want, "{lines:?}");
        }
    }

    #[test]
    fn config() {
        for (message, want) in [
            ("secret \"db\" not found", Some("Secret db")),
            ("configmap \"settings\" not found", Some("ConfigMap settings")),
            ("couldn't find key PASSWORD in Secret shop-dev/db", Some("key PASSWORD of Secret db")),
            ("couldn't find key a.b in ConfigMap shop-dev/settings", Some("key a.b of ConfigMap settings")),
            (
                "MountVolume.SetUp failed for volume \"c\" : configmap \"settings\" not found",
                Some("ConfigMap settings"),
            ),
            (
                "MountVolume.SetUp failed for volume \"c\" : references non-existent config key: app.yaml",
                Some("key app.yaml of a ConfigMap"),
            ),
            ("container has runAsNonRoot and image will run as root", None),
        ] {
            assert_eq!(missing_config(message).as_deref(), want, "{message}");
        }
    }

    #[test]
    fn pulls() {
        for (reason, message, want) in [
            (
                "ErrImagePull",
                "failed to resolve reference \"docker.io/a/b:c\": docker.io/a/b:c: not found",
                "not found",
            ),
            (
                "ErrImagePull",
                "pull access denied, repository does not exist or may require authorization",
                "access denied",
            ),
            ("ImagePullBackOff", "Back-off pulling image \"x\"", "unknown"),
            ("InvalidImageName", "couldn't parse image name", "invalid name"),
            ("ErrImagePull", "dial tcp: lookup registry.example: no such host", "registry unreachable"),
            ("ErrImagePull", "dial tcp 10.0.0.1:443: connect: connection refused", "registry unreachable"),
        ] {
            assert_eq!(pull_reason(reason, message).0, want, "{message}");
        }
    }
}
