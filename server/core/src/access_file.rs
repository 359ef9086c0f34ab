//! A kubeconfig that somebody gives Berth, so that it works on their cluster: read before anything is done with it.
//!
//! What is in it was written on another machine. Programs that it would run, files that it names and servers whose identity it
//! does not check are refused, each at the line that names it, with what to do instead.

use std::collections::BTreeMap;

use berth_types::FieldError;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    yaml,
};

/// Where it stands in what is sent.
pub const KUBECONFIG: &str = "kubeconfig";
/// Contexts that Berth uses for an identity each, where there are such.
pub const CONTEXTS: [&str; 4] = ["berth-reader", "berth-releases", "berth-controller", "berth-writer"];

/// Longest address of a server: pages show it.
const MAX_SERVER: usize = 500;

/// Where a kubeconfig leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The API server's address.
    pub server: String,
}

/// A key that is refused: where it stands, its code in the translations, and why.
struct Refused {
    key: &'static str,
    code: &'static str,
    why: &'static str,
}

const TOKEN: &str = "kubeconfig_file";
const OF_USERS: &[Refused] = &[
    Refused {
        key: "exec",
        code: "kubeconfig_exec",
        why: "it runs a program (exec), which Berth never does: put the token of a service account in its place (kubectl create token)",
    },
    Refused {
        key: "auth-provider",
        code: "kubeconfig_exec",
        why: "it needs a plug-in of kubectl (auth-provider), which Berth does not have: put the token of a service account in its place (kubectl create token)",
    },
    Refused {
        key: "tokenFile",
        code: TOKEN,
        why: "it names a file, which is on another machine: put what is in it here, as token",
    },
    Refused {
        key: "client-certificate",
        code: TOKEN,
        why: "it names a file, which is on another machine: put what is in it here, in base64, as client-certificate-data (kubectl config view --raw --flatten)",
    },
    Refused {
        key: "client-key",
        code: TOKEN,
        why: "it names a file, which is on another machine: put what is in it here, in base64, as client-key-data (kubectl config view --raw --flatten)",
    },
    Refused {
        key: "username",
        code: "kubeconfig_password",
        why: "API servers take no passwords any more: put the token of a service account in its place",
    },
    Refused {
        key: "as",
        code: "kubeconfig_as",
        why: "Berth says itself as whom it acts: name an account that has the rights, without as",
    },
    Refused {
        key: "as-groups",
        code: "kubeconfig_as",
        why: "Berth says itself as whom it acts: name an account that has the rights, without as-groups",
    },
];
const OF_CLUSTERS: &[Refused] = &[
    Refused {
        key: "certificate-authority",
        code: TOKEN,
        why: "it names a file, which is on another machine: put what is in it here, in base64, as certificate-authority-data (kubectl config view --raw --flatten)",
    },
    Refused {
        key: "insecure-skip-tls-verify",
        code: "kubeconfig_insecure",
        why: "it leaves unchecked who answers, and Berth would hand its credentials to anybody: give certificate-authority-data instead",
    },
    Refused {
        key: "proxy-url",
        code: "kubeconfig_proxy",
        why: "Berth goes to API servers directly: make the server reachable for it without a proxy",
    },
];

/// Reads a kubeconfig: where it leads.
///
/// # Errors
/// `Invalid` at `kubeconfig`, everything that is wrong at once, with the lines where there are some; `TooLarge`.
pub fn read(text: &str) -> Result<Endpoint> {
    if text.trim().is_empty() {
        return Err(Error::field(wrong("required", "paste the kubeconfig")));
    }
    let file = yaml::parse(text).map_err(|e| {
        let here = |mut error: FieldError| {
            KUBECONFIG.clone_into(&mut error.field);
            error
        };
        let fields = e.fields().iter().cloned().map(here).collect::<Vec<_>>();
        if fields.is_empty() { e } else { Error::invalid(fields) }
    })?;
    if file["kind"] != "Config" {
        let message = "this is no kubeconfig: it does not say kind: Config";
        return Err(Error::field(wrong("kubeconfig_kind", message)));
    }
    let mut errors = Vec::new();
    let (clusters, users) = (named(&file, "clusters", "cluster"), named(&file, "users", "user"));
    let mut lines = Lines::of(text);
    for (parts, refused) in [(&clusters, OF_CLUSTERS), (&users, OF_USERS)] {
        for part in parts.iter().map(|(_, part)| part) {
            for Refused { key, code, why } in refused {
                // Off is as good as absent.
                let there = part.get(*key).is_some_and(|value| !value.is_null());
                let line = there.then(|| lines.next(key)).flatten();
                if there && part[*key] != false {
                    errors.push(at_line(line, code, why));
                }
            }
        }
    }
    let server = leads(&file, &clusters, &users, &mut lines, &mut errors);
    match server {
        Some(server) if errors.is_empty() => Ok(Endpoint { server }),
        _ => Err(Error::invalid(errors)),
    }
}

fn wrong(code: &str, message: impl Into<String>) -> FieldError {
    FieldError::new(KUBECONFIG, code, message)
}

fn at_line(line: Option<usize>, code: &str, why: &str) -> FieldError {
    match line {
        Some(line) => wrong(code, format!("line {line}: {why}")).param("line", line),
        None => wrong(code, why).param("line", "?"),
    }
}

/// The parts of a list such as `users`, by name.
fn named<'a>(file: &'a Value, list: &str, part: &str) -> Vec<(&'a str, &'a Value)> {
    let all = file[list].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|one| (one["name"].as_str().unwrap_or_default(), &one[part])).collect()
}

/// Lines on which a key stands, handed out in their order.
struct Lines<'a> {
    all: Vec<(usize, &'a str)>,
    seen: BTreeMap<&'static str, usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { all: (1..).zip(text.lines()).collect(), seen: BTreeMap::new() }
    }

    /// The next line that has `key`, after the one that was handed out last for it.
    fn next(&mut self, key: &'static str) -> Option<usize> {
        let after = self.seen.get(key).copied().unwrap_or_default();
        let has = |text: &str| {
            let plain = text.trim_start_matches(['-', ' ', '\t', '{', ',']);
            plain.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
                || text.contains(&format!("\"{key}\""))
                || text.contains(&format!("{{{key}:"))
                || text.contains(&format!(" {key}: "))
        };
        let line = self.all.iter().find(|(number, text)| *number > after && has(text)).map(|(number, _)| *number)?;
        self.seen.insert(key, line);
        Some(line)
    }
}

/// The one server to which all contexts lead that Berth uses.
fn leads(
    file: &Value,
    clusters: &[(&str, &Value)],
    users: &[(&str, &Value)],
    lines: &mut Lines<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<String> {
    let contexts = named(file, "contexts", "context");
    let current = file["current-context"].as_str().filter(|name| !name.is_empty());
    let special: Vec<&str> =
        CONTEXTS.into_iter().filter(|name| contexts.iter().any(|(known, _)| known == name)).collect();
    let used: Vec<&str> = match current {
        // Each identity has a context of its own: the current one is for nobody.
        _ if special.len() == CONTEXTS.len() => special,
        Some(current) => special.into_iter().chain([current]).collect(),
        None => {
            errors.push(wrong("kubeconfig_context", "it names no current-context: say which one Berth shall use"));
            return None;
        }
    };
    let mut servers: Vec<&str> = Vec::new();
    for name in used {
        let Some((_, context)) = contexts.iter().find(|(known, _)| *known == name) else {
            let message = format!("it has no context “{name}”");
            errors.push(wrong("kubeconfig_context", message).param("value", name));
            continue;
        };
        let (cluster, user) =
            (context["cluster"].as_str().unwrap_or_default(), context["user"].as_str().unwrap_or_default());
        match clusters.iter().find(|(known, _)| *known == cluster) {
            Some((_, cluster)) => servers.push(cluster["server"].as_str().unwrap_or_default()),
            None => {
                let message = format!("its context “{name}” is for the cluster “{cluster}”, which it does not have");
                errors.push(wrong("kubeconfig_part", message).param("value", cluster));
            }
        }
        match users.iter().find(|(known, _)| *known == user) {
            Some((_, user)) => errors.extend(without_credentials(name, user)),
            None => {
                let message = format!("its context “{name}” is for the user “{user}”, which it does not have");
                errors.push(wrong("kubeconfig_part", message).param("value", user));
            }
        }
    }
    servers.sort_unstable();
    servers.dedup();
    match servers.as_slice() {
        [] => None,
        [server] => match address(server) {
            Ok(()) => Some((*server).to_owned()),
            Err(why) => {
                errors.push(at_line(lines.next("server"), "kubeconfig_server", why).param("value", server));
                None
            }
        },
        several => {
            let several = several.join(", ");
            let message = format!("its contexts lead to several clusters: {several}. Register each by itself");
            errors.push(wrong("kubeconfig_several", message).param("value", several));
            None
        }
    }
}

/// What is wrong with a user whom a context needs, where it is not refused already.
fn without_credentials(context: &str, user: &Value) -> Option<FieldError> {
    let has = |key: &str| user[key].as_str().is_some_and(|text| !text.trim().is_empty());
    let refused = OF_USERS.iter().any(|refused| user.get(refused.key).is_some_and(|value| !value.is_null()));
    if has("token") || (has("client-certificate-data") && has("client-key-data")) || refused {
        return None;
    }
    let message = format!(
        "its context “{context}” has no credentials: a token, or client-certificate-data and client-key-data (kubectl config \
         view --raw --flatten shows them)"
    );
    Some(wrong("kubeconfig_nobody", message).param("value", context))
}

/// Whether Berth goes to a server: over TLS, and not to the address at which machines get their own credentials.
fn address(server: &str) -> Result<(), &'static str> {
    let Some(rest) = server.strip_prefix("https://") else {
        return Err("its server must be reached over https://: credentials would be readable on the way");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if authority.is_empty() || authority.contains('@') || server.len() > MAX_SERVER || server.chars().any(odd) {
        return Err("its server is no address such as https://10.0.0.1:6443");
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let metadata = match host.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => ip.is_link_local() || ip.is_unspecified(),
        Ok(std::net::IpAddr::V6(ip)) => {
            ip.is_unspecified()
                || (ip.segments()[0] & 0xffc0) == 0xfe80
                || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local())
        }
        Err(_) => host.eq_ignore_ascii_case("metadata.google.internal"),
    };
    if metadata {
        return Err("its server is an address at which machines get their own credentials: no cluster is there");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A kubeconfig with these lines in its cluster and its user.
    fn file(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    {cluster}\nusers:\n- name: u\n  user:\n    \
             {user}\ncontexts:\n- name: x\n  context: {{cluster: c, user: u}}\ncurrent-context: x\n"
        )
    }

    const SERVER: &str = "server: https://k8s.example:6443";

    fn refused(text: &str) -> Vec<(String, String)> {
        let error = read(text).unwrap_err();
        assert!(error.fields().iter().all(|e| e.field == KUBECONFIG), "{error:?}");
        error.fields().iter().map(|e| (e.code.clone(), e.message.clone())).collect()
    }

    #[test]
    fn what_carries_all_it_needs_is_taken() {
        for user in ["token: t", "client-certificate-data: Yw==\n    client-key-data: aw=="] {
            assert_eq!(read(&file(SERVER, user)).unwrap().server, "https://k8s.example:6443");
        }
        let off = format!("{SERVER}\n    insecure-skip-tls-verify: false");
        assert!(read(&file(&off, "token: t")).is_ok(), "off is as good as absent");
        let json = r#"{"kind":"Config","clusters":[{"name":"c","cluster":{"server":"https://[::1]:6443/k"}}],
            "users":[{"name":"u","user":{"token":"t"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
            "current-context":"x"}"#;
        assert_eq!(read(json).unwrap().server, "https://[::1]:6443/k");
    }

    #[test]
    fn what_is_of_another_machine_is_refused_at_its_line() {
        for (cluster, user, line, code, says) in [
            (SERVER, "exec: {command: aws}", 10, "kubeconfig_exec", "kubectl create token"),
            (SERVER, "auth-provider: {name: gcp}", 10, "kubeconfig_exec", "auth-provider"),
            (SERVER, "tokenFile: /run/token", 10, "kubeconfig_file", "as token"),
            (SERVER, "client-certificate: /a.crt", 10, "kubeconfig_file", "client-certificate-data"),
            (SERVER, "token: t\n    client-key: /a.key", 11, "kubeconfig_file", "client-key-data"),
            (SERVER, "username: root\n    password: x", 10, "kubeconfig_password", "no passwords"),
            (SERVER, "token: t\n    as: system:admin", 11, "kubeconfig_as", "as whom"),
            (
                "server: https://a\n    insecure-skip-tls-verify: true",
                "token: t",
                7,
                "kubeconfig_insecure",
                "certificate-authority-data",
            ),
            ("server: https://a\n    certificate-authority: /ca", "token: t", 7, "kubeconfig_file", "another machine"),
            ("server: https://a\n    proxy-url: http://p", "token: t", 7, "kubeconfig_proxy", "directly"),
            ("server: http://a", "token: t", 6, "kubeconfig_server", "https://"),
            ("server: https://169.254.169.254", "token: t", 6, "kubeconfig_server", "credentials"),
            ("server: https://[fe80::1]:1", "token: t", 6, "kubeconfig_server", "credentials"),
            ("server: https://me@a", "token: t", 6, "kubeconfig_server", "no address"),
            (&format!("server: https://{}", "a".repeat(MAX_SERVER)), "token: t", 6, "kubeconfig_server", "no address"),
        ] {
            let got = refused(&file(cluster, user));
            assert_eq!(got.len(), 1, "{got:?}");
            assert_eq!(got[0].0, code, "{got:?}");
            assert!(got[0].1.starts_with(&format!("line {line}: ")) && got[0].1.contains(says), "{got:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = file("server: https://a\n    proxy-url: http://p", "exec: {command: x}\n    tokenFile: /t");
        let codes: Vec<String> = refused(&text).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, ["kubeconfig_proxy", "kubeconfig_exec", "kubeconfig_file"]);
    }

    #[test]
    fn lines_of_several_users_are_told_apart() {
        let text = "kind: Config\nclusters: [{name: c, cluster: {server: 'https://a'}}]\nusers:\n- name: a\n  user:\n    exec:\n      \
                    command: x\n- name: b\n  user: {token: t}\n- name: d\n  user:\n    exec:\n      command: y\ncontexts:\n- {name: \
                    x, context: {cluster: c, user: b}}\ncurrent-context: x\n";
        let lines: Vec<String> = refused(text).into_iter().map(|(_, message)| message).collect();
        assert!(lines[0].starts_with("line 6: ") && lines[1].starts_with("line 12: "), "{lines:?}");
    }

    #[test]
    fn what_does_not_hang_together() {
        let (good, parts) =
            (file(SERVER, "token: t"), |from: &str, to: &str| file(SERVER, "token: t").replace(from, to));
        for (text, code) in [
            (String::new(), "required"),
            ("a: [".to_owned(), "yaml"),
            ("a: &x 1\nb: *x".to_owned(), "yaml_alias"),
            (good.replace("kind: Config", "kind: Pod"), "kubeconfig_kind"),
            (parts("current-context: x", ""), "kubeconfig_context"),
            (parts("current-context: x", "current-context: y"), "kubeconfig_context"),
            (parts("cluster: c,", "cluster: d,"), "kubeconfig_part"),
            (parts("user: u}", "user: v}"), "kubeconfig_part"),
            (parts("token: t", "token: ''"), "kubeconfig_nobody"),
        ] {
            let got = refused(&text);
            assert_eq!(got.first().map(|(code, _)| code.as_str()), Some(code), "{text}: {got:?}");
        }
    }

    #[test]
    fn identities_of_their_own_lead_to_one_cluster() {
        let two = "kind: Config\nclusters:\n- {name: c, cluster: {server: 'https://a'}}\n- {name: d, cluster: {server: \
                   'https://b'}}\nusers: [{name: u, user: {token: t}}]\ncontexts:\n- {name: x, context: {cluster: c, user: u}}\n- \
                   {name: berth-reader, context: {cluster: d, user: u}}\ncurrent-context: x\n";
        assert_eq!(refused(two)[0].0, "kubeconfig_several");
        assert!(read(&two.replace("cluster: d,", "cluster: c,")).is_ok());
        let all = CONTEXTS.map(|name| format!("- {{name: {name}, context: {{cluster: c, user: u}}}}\n")).concat();
        let four = format!(
            "kind: Config\nclusters: [{{name: c, cluster: {{server: 'https://a'}}}}]\nusers: [{{name: u, user: {{token: \
             t}}}}]\ncontexts:\n{all}"
        );
        assert!(read(&four).is_ok(), "nobody needs a current context then");
    }
}
