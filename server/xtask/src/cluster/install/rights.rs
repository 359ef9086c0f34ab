//! What each of Berth's identities may do in the cluster, and what not: asked of the API server.

use std::fmt;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cluster::{kubectl, layout::Cluster};

/// Verb, resource (`TYPE`, `TYPE/NAME`, `TYPE.GROUP/NAME`), subresource.
type Right = (&'static str, &'static str, &'static str);

/// An account's suffix, where it is asked about (`*`: everywhere), what it may, what it must not.
struct Identity {
    suffix: &'static str,
    may: &'static [(&'static str, Right)],
    must_not: &'static [(&'static str, Right)],
}

const EVERYWHERE: &str = "*";
const SYSTEM: &str = "kube-system";
const OWN: &str = "berth-system";

const IDENTITIES: &[Identity] = &[
    Identity {
        suffix: "",
        may: &[
            (OWN, ("create", "serviceaccounts/berth-reader", "token")),
            (OWN, ("create", "serviceaccounts/berth-releases", "token")),
            (OWN, ("create", "serviceaccounts/berth-controller", "token")),
            (OWN, ("create", "serviceaccounts/berth-writer", "token")),
        ],
        must_not: &[
            (OWN, ("create", "serviceaccounts", "token")),
            (OWN, ("create", "serviceaccounts/default", "token")),
            (SYSTEM, ("create", "serviceaccounts/berth-controller", "token")),
            (OWN, ("get", "secrets", "")),
            (OWN, ("get", "pods", "")),
            (EVERYWHERE, ("impersonate", "users", "")),
            (SYSTEM, ("get", "leases.coordination.k8s.io/berth-controller", "")),
        ],
    },
    Identity {
        suffix: "-reader",
        may: &[
            (EVERYWHERE, ("watch", "apps.berth.dev", "")),
            (EVERYWHERE, ("watch", "pods", "")),
            (EVERYWHERE, ("watch", "events", "")),
            (EVERYWHERE, ("watch", "resourcequotas", "")),
            (EVERYWHERE, ("watch", "limitranges", "")),
            (EVERYWHERE, ("list", "storageclasses.storage.k8s.io", "")),
            (EVERYWHERE, ("watch", "nodes", "")),
            (EVERYWHERE, ("list", "nodes.metrics.k8s.io", "")),
            (EVERYWHERE, ("list", "pods.metrics.k8s.io", "")),
            (EVERYWHERE, ("list", "poddisruptionbudgets.policy", "")),
            (EVERYWHERE, ("list", "persistentvolumes", "")),
        ],
        must_not: &[
            (EVERYWHERE, ("get", "secrets", "")),
            (EVERYWHERE, ("get", "pods", "log")),
            (EVERYWHERE, ("create", "pods", "exec")),
            (EVERYWHERE, ("get", "configmaps", "")),
            (EVERYWHERE, ("delete", "pods", "")),
            (EVERYWHERE, ("create", "pods", "eviction")),
            (EVERYWHERE, ("patch", "nodes", "")),
            (EVERYWHERE, ("patch", "apps.berth.dev", "")),
            (EVERYWHERE, ("impersonate", "users", "")),
            (OWN, ("create", "serviceaccounts/berth-writer", "token")),
        ],
    },
    Identity {
        suffix: "-releases",
        may: &[],
        must_not: &[
            (EVERYWHERE, ("get", "secrets", "")),
            (OWN, ("get", "secrets", "")),
            (SYSTEM, ("get", "secrets", "")),
            (EVERYWHERE, ("list", "pods", "")),
            (EVERYWHERE, ("impersonate", "users", "")),
        ],
    },
    Identity {
        suffix: "-controller",
        may: &[
            (EVERYWHERE, ("patch", "apps.berth.dev", "status")),
            (EVERYWHERE, ("patch", "deployments.apps", "")),
            (EVERYWHERE, ("create", "namespaces", "")),
            (EVERYWHERE, ("delete", "namespaces", "")),
            (EVERYWHERE, ("watch", "namespaces", "")),
            (EVERYWHERE, ("patch", "rolebindings.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("patch", "resourcequotas", "")),
            (EVERYWHERE, ("delete", "limitranges", "")),
            (EVERYWHERE, ("patch", "networkpolicies.networking.k8s.io", "")),
            (EVERYWHERE, ("delete", "networkpolicies.networking.k8s.io", "")),
            (EVERYWHERE, ("patch", "serviceaccounts/default", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/berth-owner", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/berth-node-keeper", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/berth-may-exec-create", "")),
            (EVERYWHERE, ("patch", "clusterrolebindings.rbac.authorization.k8s.io/berth-node-keeper", "")),
            (EVERYWHERE, ("get", "pods", "log")),
            (EVERYWHERE, ("patch", "customresourcedefinitions.apiextensions.k8s.io/apps.berth.dev", "")),
            (SYSTEM, ("update", "leases.coordination.k8s.io/berth-controller", "")),
        ],
        must_not: &[
            (EVERYWHERE, ("get", "secrets", "")),
            (EVERYWHERE, ("create", "pods", "")),
            (EVERYWHERE, ("create", "pods", "exec")),
            (EVERYWHERE, ("delete", "pods", "")),
            (EVERYWHERE, ("patch", "resourcequotas", "status")),
            (EVERYWHERE, ("patch", "serviceaccounts/berth-writer", "")),
            (EVERYWHERE, ("create", "serviceaccounts", "")),
            (EVERYWHERE, ("delete", "apps.berth.dev", "")),
            (EVERYWHERE, ("patch", "apps.berth.dev", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("escalate", "clusterroles.rbac.authorization.k8s.io/admin", "")),
            (EVERYWHERE, ("patch", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("create", "clusterrolebindings.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("patch", "clusterrolebindings.rbac.authorization.k8s.io/berth-reader", "")),
            (EVERYWHERE, ("patch", "nodes", "")),
            (EVERYWHERE, ("create", "pods", "eviction")),
            (EVERYWHERE, ("create", "roles.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("patch", "customresourcedefinitions.apiextensions.k8s.io/other.example.com", "")),
            (EVERYWHERE, ("delete", "customresourcedefinitions.apiextensions.k8s.io/apps.berth.dev", "")),
            (SYSTEM, ("update", "leases.coordination.k8s.io/kube-scheduler", "")),
            (OWN, ("update", "leases.coordination.k8s.io/berth-controller", "")),
            (EVERYWHERE, ("impersonate", "users", "")),
            (OWN, ("create", "serviceaccounts/berth-writer", "token")),
        ],
    },
    Identity {
        suffix: "-writer",
        may: &[(EVERYWHERE, ("impersonate", "users", "")), (EVERYWHERE, ("impersonate", "groups", ""))],
        must_not: &[
            (EVERYWHERE, ("impersonate", "serviceaccounts", "")),
            (EVERYWHERE, ("get", "secrets", "")),
            (EVERYWHERE, ("list", "pods", "")),
            (EVERYWHERE, ("get", "apps.berth.dev", "")),
            (EVERYWHERE, ("create", "apps.berth.dev", "")),
            (EVERYWHERE, ("list", "namespaces", "")),
            (EVERYWHERE, ("patch", "nodes", "")),
            (EVERYWHERE, ("create", "pods", "eviction")),
            (OWN, ("create", "serviceaccounts/berth-controller", "token")),
        ],
    },
];

/// Asks all; how many questions that were.
///
/// # Errors
/// An identity lacks a right, or has one too many.
pub fn check(cluster: &Cluster) -> Result<usize> {
    let questions: Vec<_> = IDENTITIES.iter().flat_map(questions).collect();
    let reviews: Vec<_> = questions.iter().map(Question::review).collect();
    let answers = kubectl::create(cluster, &reviews)?;
    if answers.len() != questions.len() {
        bail!("{} questions, but {} answers", questions.len(), answers.len());
    }
    let allowed = |answer: &Value| answer["status"]["allowed"] == true;
    let wrong = questions.iter().zip(&answers).filter(|(question, answer)| allowed(answer) != question.wanted);
    let wrong: Vec<_> = wrong.map(|(question, _)| question.to_string()).collect();
    if !wrong.is_empty() {
        bail!("identities have other rights than they should:\n  {}", wrong.join("\n  "));
    }
    Ok(questions.len())
}

/// Whether an identity may do something, and whether it should.
struct Question {
    suffix: &'static str,
    namespace: &'static str,
    right: Right,
    wanted: bool,
}

fn questions(identity: &Identity) -> impl Iterator<Item = Question> {
    let suffix = identity.suffix;
    let one = move |wanted| move |&(namespace, right)| Question { suffix, namespace, right, wanted };
    identity.may.iter().map(one(true)).chain(identity.must_not.iter().map(one(false)))
}

impl Question {
    /// As the API server is asked it.
    fn review(&self) -> Value {
        let (verb, resource, subresource) = self.right;
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
        let namespace = if self.namespace == EVERYWHERE { "" } else { self.namespace };
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{OWN}:berth{}", self.suffix),
                "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{OWN}"), "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "subresource": subresource,
                    "name": name,
                    "namespace": namespace,
                },
            },
        })
    }
}

impl fmt::Display for Question {
    /// What is wrong, where the answer is not what it should be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, resource, subresource) = self.right;
        let word = if self.wanted { "may not" } else { "may" };
        write!(f, "berth{} {word} {verb} {resource} {subresource} ({})", self.suffix, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_asked_as_the_api_server_understands_them() {
        for (right, want) in [
            (("get", "secrets", ""), ["get", "", "secrets", "", ""]),
            (("get", "pods", "log"), ["get", "", "pods", "log", ""]),
            (
                ("update", "leases.coordination.k8s.io/berth-controller", ""),
                ["update", "coordination.k8s.io", "leases", "", "berth-controller"],
            ),
            (("create", "serviceaccounts/default", "token"), ["create", "", "serviceaccounts", "token", "default"]),
        ] {
            let review = Question { suffix: "-reader", namespace: EVERYWHERE, right, wanted: true }.review();
            let attributes = &review["spec"]["resourceAttributes"];
            let got = ["verb", "group", "resource", "subresource", "name"].map(|key| attributes[key].as_str().unwrap());
            assert_eq!(got, want);
            assert_eq!(attributes["namespace"], "");
            assert_eq!(review["spec"]["user"], "system:serviceaccount:berth-system:berth-reader");
        }
    }
}
