//! What each of Berth's identities may do in the cluster, and what not: asked of the API server.

use std::process::Stdio;

use anyhow::{Result, bail};

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
            (EVERYWHERE, ("list", "storageclasses.storage.k8s.io", "")),
        ],
        must_not: &[
            (EVERYWHERE, ("get", "secrets", "")),
            (EVERYWHERE, ("get", "pods", "log")),
            (EVERYWHERE, ("create", "pods", "exec")),
            (EVERYWHERE, ("get", "configmaps", "")),
            (EVERYWHERE, ("delete", "pods", "")),
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
            (EVERYWHERE, ("patch", "rolebindings.rbac.authorization.k8s.io", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/berth-owner", "")),
            (EVERYWHERE, ("get", "pods", "log")),
            (EVERYWHERE, ("patch", "customresourcedefinitions.apiextensions.k8s.io/apps.berth.dev", "")),
            (SYSTEM, ("update", "leases.coordination.k8s.io/berth-controller", "")),
        ],
        must_not: &[
            (EVERYWHERE, ("get", "secrets", "")),
            (EVERYWHERE, ("create", "pods", "")),
            (EVERYWHERE, ("create", "pods", "exec")),
            (EVERYWHERE, ("delete", "pods", "")),
            (EVERYWHERE, ("delete", "namespaces", "")),
            (EVERYWHERE, ("delete", "apps.berth.dev", "")),
            (EVERYWHERE, ("patch", "apps.berth.dev", "")),
            (EVERYWHERE, ("bind", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("escalate", "clusterroles.rbac.authorization.k8s.io/admin", "")),
            (EVERYWHERE, ("patch", "clusterroles.rbac.authorization.k8s.io/cluster-admin", "")),
            (EVERYWHERE, ("create", "clusterrolebindings.rbac.authorization.k8s.io", "")),
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
            (OWN, ("create", "serviceaccounts/berth-controller", "token")),
        ],
    },
];

/// Asks all; how many questions that were.
///
/// # Errors
/// An identity lacks a right, or has one too many.
pub fn check(cluster: &Cluster) -> Result<usize> {
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for identity in IDENTITIES {
        let account = format!("system:serviceaccount:{OWN}:berth{}", identity.suffix);
        let rows = identity.may.iter().map(|row| (row, true)).chain(identity.must_not.iter().map(|row| (row, false)));
        for ((namespace, right), wanted) in rows {
            asked += 1;
            if can(cluster, &account, namespace, *right)? != wanted {
                let (verb, resource, subresource) = right;
                let word = if wanted { "may not" } else { "may" };
                wrong.push(format!("berth{} {word} {verb} {resource} {subresource} ({namespace})", identity.suffix));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("identities have other rights than they should:\n  {}", wrong.join("\n  "));
    }
    Ok(asked)
}

fn can(cluster: &Cluster, account: &str, namespace: &str, (verb, resource, subresource): Right) -> Result<bool> {
    let mut command = kubectl::kubectl(cluster);
    command.args(["auth", "can-i", "--quiet", "--as", account, verb, resource]);
    if !subresource.is_empty() {
        command.args(["--subresource", subresource]);
    }
    match namespace {
        EVERYWHERE => command.arg("--all-namespaces"),
        namespace => command.args(["--namespace", namespace]),
    };
    // It warns that a resource belongs to no namespace.
    let answer = command.stdin(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(answer.success())
}
