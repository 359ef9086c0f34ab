//! What each of Berth's identities may do in the cluster, and what not: asked of the API server.

use std::fmt;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cluster::{kubectl, layout::Cluster};

/// Verb, resource (`TYPE`, `TYPE/NAME`, `TYPE.GROUP/NAME`; in `NAME`, `~` is what the accounts' names begin with), subresource.
type Right = (&'static str, &'static str, &'static str);

/// An account's suffix, where it is asked about (`*`: everywhere), what it may, what it must not.
struct Identity {
    suffix: &'static str,
    may: &'static [(&'static str, Right)],
    must_not: &'static [(&'static str, Right)],
}

const EVERYWHERE: &str = "*";
const SYSTEM: &str = "kube-system";
/// Where the accounts are.
const OWN: &str = "";

/// The accounts of one Berth, or of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Accounts {
    /// Where they are.
    pub namespace: &'static str,
    /// What their names begin with.
    pub prefix: &'static str,
}

const IDENTITIES: &[Identity] = &[
    Identity {
        suffix: "",
        may: &[
            (OWN, ("create", "serviceaccounts/~-reader", "token")),
            (OWN, ("create", "serviceaccounts/~-releases", "token")),
            (OWN, ("create", "serviceaccounts/~-controller", "token")),
            (OWN, ("create", "serviceaccounts/~-writer", "token")),
        ],
        must_not: &[
            (OWN, ("create", "serviceaccounts", "token")),
            (OWN, ("create", "serviceaccounts/default", "token")),
            (SYSTEM, ("create", "serviceaccounts/~-controller", "token")),
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
            (OWN, ("create", "serviceaccounts/~-writer", "token")),
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
            (EVERYWHERE, ("patch", "serviceaccounts/~-writer", "")),
            (EVERYWHERE, ("create", "serviceaccounts", "")),
            (EVERYWHERE, ("delete", "apps.berth.dev", "")),
            (EVERYWHERE, ("patch", "apps.berth.dev", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("escalate", "clusterroles.rbac.authorization.k8s.io/admin", "")),
            (EVERYWHERE, ("patch", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("create", "clusterrolebindings.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("patch", "clusterrolebindings.rbac.authorization.k8s.io/~-reader", "")),
            (EVERYWHERE, ("patch", "nodes", "")),
            (EVERYWHERE, ("create", "pods", "eviction")),
            (EVERYWHERE, ("create", "roles.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("patch", "customresourcedefinitions.apiextensions.k8s.io/other.example.com", "")),
            (EVERYWHERE, ("delete", "customresourcedefinitions.apiextensions.k8s.io/apps.berth.dev", "")),
            (SYSTEM, ("update", "leases.coordination.k8s.io/kube-scheduler", "")),
            (OWN, ("update", "leases.coordination.k8s.io/berth-controller", "")),
            (EVERYWHERE, ("impersonate", "users", "")),
            (OWN, ("create", "serviceaccounts/~-writer", "token")),
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
            (OWN, ("create", "serviceaccounts/~-controller", "token")),
        ],
    },
];

/// Asks all; how many questions that were.
///
/// # Errors
/// An identity lacks a right, or has one too many.
pub fn check(cluster: &Cluster, accounts: Accounts) -> Result<usize> {
    let questions: Vec<_> = IDENTITIES.iter().flat_map(|identity| questions(accounts, identity)).collect();
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
    accounts: Accounts,
    suffix: &'static str,
    namespace: &'static str,
    right: Right,
    wanted: bool,
}

fn questions(accounts: Accounts, identity: &Identity) -> impl Iterator<Item = Question> {
    let suffix = identity.suffix;
    let one = move |wanted| move |&(namespace, right)| Question { accounts, suffix, namespace, right, wanted };
    identity.may.iter().map(one(true)).chain(identity.must_not.iter().map(one(false)))
}

impl Question {
    /// As the API server is asked it.
    fn review(&self) -> Value {
        let (verb, resource, subresource) = self.right;
        let (kind, name) = resource.split_once('/').unwrap_or((resource, ""));
        let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
        let Accounts { namespace: own, prefix } = self.accounts;
        let namespace = match self.namespace {
            EVERYWHERE => "",
            OWN => own,
            other => other,
        };
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{own}:{prefix}{}", self.suffix),
                "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{own}"), "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "subresource": subresource,
                    "name": name.replace('~', prefix),
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
        let Accounts { namespace: own, prefix } = self.accounts;
        let place = if self.namespace == OWN { own } else { self.namespace };
        write!(f, "{prefix}{} {word} {verb} {resource} {subresource} ({place})", self.suffix)
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
            (
                ("create", "serviceaccounts/~-writer", "token"),
                ["create", "", "serviceaccounts", "token", "moon-writer"],
            ),
        ] {
            let accounts = Accounts { namespace: "far", prefix: "moon" };
            let review = Question { accounts, suffix: "-reader", namespace: EVERYWHERE, right, wanted: true }.review();
            let attributes = &review["spec"]["resourceAttributes"];
            let got = ["verb", "group", "resource", "subresource", "name"].map(|key| attributes[key].as_str().unwrap());
            assert_eq!(got, want);
            assert_eq!(attributes["namespace"], "");
            assert_eq!(review["spec"]["user"], "system:serviceaccount:far:moon-reader");
        }
    }
}
