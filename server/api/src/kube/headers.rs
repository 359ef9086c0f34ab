//! Which headers pass. Only those that are named here do: whatever says who asks (`Authorization`, `Cookie`, `Impersonate-*`,
//! `X-Remote-*`, certificates that proxies vouch for) stays outside.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::text;

/// Towards the cluster.
const INWARDS: [HeaderName; 4] = [header::ACCEPT, header::CONTENT_TYPE, header::USER_AGENT, header::IF_NONE_MATCH];
/// The same of a request that becomes a stream. SPDY's version stands in a header of Kubernetes' own.
const UPGRADING: [HeaderName; 5] = [
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
    STREAM_PROTOCOL,
];
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// Towards the client.
const OUTWARDS: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CACHE_CONTROL,
    header::ETAG,
    header::RETRY_AFTER,
    header::WARNING,
    HeaderName::from_static("audit-id"),
];
/// The same of a stream both ways.
const UPGRADED: [HeaderName; 5] = [
    header::UPGRADE,
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    STREAM_PROTOCOL,
];
/// WebSockets carry tokens among their protocols, for browsers, which cannot send headers.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// What the cluster sees.
pub(super) fn inwards(sent: &HeaderMap, upgrades: bool) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let more: &[HeaderName] = if upgrades { &UPGRADING } else { &[] };
    for name in INWARDS.iter().chain(more) {
        out.extend(text(sent, name).map(|value| (name.to_string(), value.to_owned())));
    }
    if upgrades {
        out.push((header::CONNECTION.to_string(), "Upgrade".to_owned()));
        let offered = text(sent, &header::SEC_WEBSOCKET_PROTOCOL).flat_map(|value| value.split(',')).map(str::trim);
        let offered: Vec<&str> =
            offered.filter(|one| !one.is_empty() && !one.to_ascii_lowercase().starts_with(TOKEN_PROTOCOL)).collect();
        if !offered.is_empty() {
            out.push((header::SEC_WEBSOCKET_PROTOCOL.to_string(), offered.join(", ")));
        }
    }
    out
}

/// What the client sees.
pub(super) fn outwards(answered: &[(String, String)], upgraded: bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    let more: &[HeaderName] = if upgraded { &UPGRADED } else { &[] };
    for (name, value) in answered {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) else {
            continue;
        };
        if OUTWARDS.contains(&name) || more.contains(&name) {
            out.append(name, value);
        }
    }
    if upgraded {
        out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "application/json"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("impersonate-user", "system:admin"),
            ("impersonate-group", "system:masters"),
            ("impersonate-uid", "1"),
            ("impersonate-extra-scopes", "all"),
            ("x-remote-user", "root"),
            ("x-remote-group", "system:masters"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-http-method-override", "DELETE"),
            ("connection", "Upgrade, Impersonate-User"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.dG9rZW4"),
            ("sec-websocket-protocol", "Base64url.Bearer.Authorization.k8s.io.x,v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v3.channel.k8s.io"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn nothing_that_says_who_asks_passes() {
        assert_eq!(inwards(&sent(), false), [("accept".to_owned(), "application/json".to_owned())]);
        let mut got = inwards(&sent(), true);
        got.sort();
        let want = [
            ("accept", "application/json"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "v5.channel.k8s.io, v4.channel.k8s.io"),
            ("upgrade", "websocket"),
            ("x-stream-protocol-version", "v3.channel.k8s.io"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ];
        assert_eq!(got, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_cluster_sets_no_cookies_and_sends_nobody_elsewhere() {
        let answered = [
            ("content-type", "application/json"),
            ("set-cookie", "a=b"),
            ("location", "https://evil.example.com"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("warning", "299 - \"old\""),
            ("warning", "299 - \"older\""),
            ("sec-websocket-accept", "x"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let names = |upgraded| -> Vec<String> {
            outwards(&answered, upgraded).iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(names(false), ["content-type", "warning", "warning"]);
        let upgraded = names(true);
        assert!(upgraded.contains(&"sec-websocket-accept".to_owned()) && upgraded.contains(&"connection".to_owned()));
    }
}
