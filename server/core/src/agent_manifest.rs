//! What an agent's cluster is given: its accounts with their rights, its token, itself. For `kubectl apply -f -`.
//!
//! The rights are those that the chart gives the portal in its own cluster, read from the chart's own templates: there is one list of
//! them, and an agent can have no other.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::error::{Error, Result};

const RBAC: &str = include_str!("../../../deploy/chart/templates/rbac.yaml");
const ACCOUNTS: &str = include_str!("../../../deploy/chart/templates/serviceaccounts.yaml");
const HELPERS: &str = include_str!("../../../deploy/chart/templates/_helpers.tpl");

/// What everything of an agent is called, and the namespace that it is in.
pub const NAME: &str = "berth-agent";
/// Where its Secret is mounted.
const FOLDER: &str = "/etc/berth/agent";
/// A ConfigMap that who needs it makes: the authority of the portal's certificate, where it is one that the world does not know. It is
/// no part of the manifest, which is applied again with each new token and would empty it.
const AUTHORITIES: &str = "berth-agent-ca";
/// Where that is mounted, empty where there is none.
const AUTHORITIES_FOLDER: &str = "/etc/berth/authorities";
const LABELS: &str = "{app.kubernetes.io/name: berth-agent, app.kubernetes.io/managed-by: berth}";

/// What an agent needs to know.
pub struct Wanted<'a> {
    /// The portal's address, without a `/` at its end.
    pub server: &'a str,
    /// The image, that of the portal.
    pub image: &'a str,
    /// Its token.
    pub token: &'a SecretString,
}

/// All of it, as YAML.
///
/// # Errors
/// When the chart's templates say something that is not understood here; a test shows that they do not.
pub fn yaml(wanted: &Wanted<'_>) -> Result<String> {
    let roles = cluster_roles().ok_or_else(|| Error::internal("the chart names no cluster roles"))?;
    let rights = [ACCOUNTS, RBAC].map(|text| rendered(text, roles).map_err(Error::internal));
    let [accounts, rights] = rights;
    let mut all = format!(
        "# The agent of Berth at {}. It holds a secret: kubectl apply -f -, and keep no copy.\n",
        wanted.server
    );
    let document = |value: &Value| serde_json::to_string_pretty(value).map_err(Error::internal);
    for part in
        [document(&namespace())?, accounts?, rights?, document(&secret(wanted.token))?, document(&deployment(wanted))?]
    {
        all.push_str("---\n");
        all.push_str(part.trim_end());
        all.push('\n');
    }
    Ok(all)
}

/// The names of the roles that Berth may make for people, as the chart has them.
fn cluster_roles() -> Option<&'static str> {
    let (_, after) = HELPERS.split_once("define \"berth.clusterRoles\"")?;
    after.lines().find(|line| line.starts_with('['))
}

/// A template of the chart, with the little of Helm's language that is in these two.
fn rendered(template: &str, roles: &str) -> Result<String, String> {
    let mut out = String::new();
    // What is repeated for each of these words.
    let mut repeated: Option<(Vec<&str>, String)> = None;
    let mut off = false;
    for line in template.lines() {
        let tag = line.trim().strip_prefix("{{-").and_then(|tag| tag.strip_suffix("}}")).map(str::trim);
        match tag {
            Some(tag) if tag.starts_with("/*") || tag.starts_with('$') => {}
            // What is off unless somebody turns it on.
            Some("if .Values.preflight.tryPods") => off = true,
            Some(tag) if tag.starts_with("range list ") => {
                let words = tag.split('"').skip(1).step_by(2).collect();
                repeated = Some((words, String::new()));
            }
            Some("end") if off => off = false,
            _ if off => {}
            Some("end") => {
                let (words, body) = repeated.take().ok_or("an end without a beginning")?;
                for word in words {
                    out.push_str(&body.replace("{{ . }}", word));
                }
            }
            Some(other) => return Err(format!("“{other}” is not understood")),
            None => {
                let line = line
                    .replace("{{- include \"berth.labels\" . | nindent 4 }}", LABELS)
                    .replace("{{- include \"berth.labels\" $ | nindent 4 }}", LABELS)
                    .replace("{{ $name }}", NAME)
                    .replace("{{ $namespace }}", NAME)
                    .replace("{{ .Release.Namespace }}", NAME)
                    .replace("{{ $.Release.Namespace }}", NAME)
                    .replace("{{ $roles }}", roles);
                let into = repeated.as_mut().map_or(&mut out, |(_, body)| body);
                into.push_str(&line);
                into.push('\n');
            }
        }
    }
    match out.find("{{") {
        None if repeated.is_none() && !off => Ok(out),
        at => Err(format!("not all of it is understood: {}", out.get(at.unwrap_or_default()..).unwrap_or_default())),
    }
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "berth" })
}

fn namespace() -> Value {
    let mut labels = labels();
    labels["pod-security.kubernetes.io/enforce"] = "restricted".into();
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAME, "labels": labels } })
}

fn secret(token: &SecretString) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": NAME, "namespace": NAME, "labels": labels() },
        "stringData": { "token": token.expose_secret() },
    })
}

fn deployment(wanted: &Wanted<'_>) -> Value {
    let selector = json!({ "app.kubernetes.io/name": NAME });
    let probe =
        |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": 5, "timeoutSeconds": 3 });
    let container = json!({
        "name": "agent",
        "image": wanted.image,
        "args": [
            "agent", "--server", wanted.server, "--token-file", format!("{FOLDER}/token"),
            "--ca-file", AUTHORITIES_FOLDER, "--identities", NAME, "--listen", "0.0.0.0:8081",
        ],
        "ports": [{ "name": "http", "containerPort": 8081 }],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "resources": { "requests": { "cpu": "20m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [
            { "name": "agent", "mountPath": FOLDER, "readOnly": true },
            { "name": "authorities", "mountPath": AUTHORITIES_FOLDER, "readOnly": true },
        ],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": NAME, "namespace": NAME, "labels": labels() },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 3,
            "selector": { "matchLabels": selector },
            "template": {
                "metadata": { "labels": labels() },
                "spec": {
                    "serviceAccountName": NAME,
                    "automountServiceAccountToken": true,
                    "enableServiceLinks": false,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [container],
                    "volumes": [
                        { "name": "agent", "secret": { "secretName": NAME } },
                        { "name": "authorities", "configMap": { "name": AUTHORITIES, "optional": true } },
                    ],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn documents() -> Vec<Value> {
        let token = SecretString::from("berth_agent_x");
        let wanted = Wanted { server: "https://berth.example", image: "berth:1", token: &token };
        let text = yaml(&wanted).unwrap();
        text.split("\n---\n").skip(1).map(|part| crate::yaml::parse(part).unwrap()).collect()
    }

    fn find<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
        let found = all.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    #[test]
    fn the_rights_are_those_of_the_chart() {
        let all = documents();
        for account in ["", "-reader", "-releases", "-controller", "-writer"] {
            let account = find(&all, "ServiceAccount", &format!("{NAME}{account}"));
            assert_eq!(
                (&account["metadata"]["namespace"], &account["automountServiceAccountToken"]),
                (&NAME.into(), &false.into())
            );
        }
        // As many rules as the chart's templates have, and the same verbs and resources in the same order.
        let rules: Vec<&Value> = all.iter().flat_map(|one| one["rules"].as_array().into_iter().flatten()).collect();
        let verbs = |text: &str| text.matches("verbs: [").count();
        // … but for the one that is off.
        assert_eq!(rules.len() + 1, verbs(RBAC));
        assert!(
            rules.iter().all(|rule| **rule != json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}))
        );
        assert!(rules.len() > 25, "{}", rules.len());
        for rule in &rules {
            for verb in rule["verbs"].as_array().unwrap() {
                assert!(RBAC.contains(verb.as_str().unwrap()), "{verb}");
            }
        }
        let roles = find(&all, "ClusterRole", "berth-agent-controller")["rules"].as_array().unwrap();
        let bind = roles.iter().find(|rule| rule["verbs"].as_array().unwrap().contains(&"bind".into())).unwrap();
        let names: Vec<&str> = bind["resourceNames"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        for role in berth_types::TenantRole::ALL {
            assert!(names.contains(&crate::ports::cluster::cluster_role(*role).as_str()), "{role}");
        }
        for role in ["reader", "controller", "writer"] {
            let binding = find(&all, "ClusterRoleBinding", &format!("{NAME}-{role}"));
            assert_eq!(binding["subjects"][0]["namespace"], NAME);
        }
        assert!(
            all.iter()
                .all(|one| one["kind"] != "ClusterRoleBinding" || one["roleRef"]["name"] != "berth-agent-releases")
        );
        let own = find(&all, "Role", NAME);
        assert_eq!(own["rules"].as_array().unwrap().len(), 1);
        assert_eq!(own["rules"][0]["resources"][0], "serviceaccounts/token");
    }

    #[test]
    fn what_runs_is_restricted_and_has_the_token() {
        let all = documents();
        assert_eq!(
            find(&all, "Namespace", NAME)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
            "restricted"
        );
        // And nothing else: what somebody puts beside it stays when a manifest with a new token is applied.
        assert_eq!(find(&all, "Secret", NAME)["stringData"], json!({ "token": "berth_agent_x" }));
        assert!(all.iter().all(|one| one["metadata"]["name"] != AUTHORITIES));
        let pod = &find(&all, "Deployment", NAME)["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], NAME);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let authorities = json!({ "name": "authorities", "configMap": { "name": "berth-agent-ca", "optional": true } });
        assert!(pod["volumes"].as_array().unwrap().contains(&authorities));
        let container = &pod["containers"][0];
        assert_eq!(container["args"][2], "https://berth.example");
        assert!(!container.to_string().contains("berth_agent_x"), "the token stands in the Secret alone");
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    }

    #[test]
    fn what_is_not_understood_is_no_manifest() {
        for (text, why) in [
            ("{{- if .Values.other }}\na\n{{- end }}\n", "“if .Values.other” is not understood"),
            ("a: {{ .Values.b }}\n", "not all of it is understood: {{ .Values.b }}"),
            ("{{- end }}\n", "an end without a beginning"),
            ("{{- range list \"a\" }}\n", "not all of it is understood"),
        ] {
            let error = rendered(text, "[]").unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
        let text = "{{- /* x */}}\n{{- $name := include \"y\" . }}\n{{- range list \"a\" \"b\" }}\n{{ $name }}-{{ . }}\n{{- end }}\n";
        assert_eq!(rendered(text, "[]").unwrap(), "berth-agent-a\nberth-agent-b\n");
    }
}
