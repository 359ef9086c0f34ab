//! What Berth needs of a cluster, each with its fix: for `berth doctor`.

use berth_core::{
    Error,
    ports::cluster::{Finding, Verdict},
};
use berth_types::ErrorCode;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    connection::Connection,
    crd::{APPS, SCHEMA_VERSION, schema_version},
    error::{Target, causes},
    json::{is_ready, listed, name},
    lease::{self, Record},
    rest::{Kind, Rest},
    roles::{NODE_KEEPER, PLATFORM_READER},
};

/// Oldest minor version that is known to work.
const MINOR: u32 = 33;

/// A right that an identity needs: verb, group, resource with subresource; everywhere, unless [`narrowest`] says where.
type Right = (&'static str, &'static str, &'static str);

const REACH_IT: &str = "check the kubeconfig's server address, the network, and that the API server runs";
const LEASE: &str = "lease of the controller";
const FORMER_BERTH: &str = "nobody's now; another Berth, with a database of its own, worked on this cluster before";
const FORMER_BERTH_FIX: &str = "look at namespaces with the label berth.dev/tenant: a tenant and namespace of the same names here would take them over";
const NEW_CREDENTIALS: &str = "the credentials of the kubeconfig are wrong or have expired: get new ones";

const READER: &[Right] = &[
    ("watch", "berth.dev", "apps"),
    ("watch", "", "pods"),
    ("watch", "", "events"),
    ("watch", "", "resourcequotas"),
    ("watch", "", "limitranges"),
    ("watch", "", "nodes"),
    ("list", "metrics.k8s.io", "nodes"),
    ("list", "metrics.k8s.io", "pods"),
    ("list", "policy", "poddisruptionbudgets"),
    ("list", "", "persistentvolumes"),
    ("list", "", "persistentvolumeclaims"),
    ("list", "", "services"),
];
const CONTROLLER: &[Right] = &[
    ("patch", "berth.dev", "apps/status"),
    ("patch", "apps", "deployments"),
    ("patch", "apps", "controllerrevisions"),
    ("patch", "", "services"),
    ("patch", "networking.k8s.io", "ingresses"),
    ("patch", "policy", "poddisruptionbudgets"),
    ("patch", "autoscaling", "horizontalpodautoscalers"),
    ("patch", "", "resourcequotas"),
    ("patch", "", "limitranges"),
    ("patch", "networking.k8s.io", "networkpolicies"),
    ("patch", "", "serviceaccounts"),
    ("list", "", "pods"),
    ("get", "", "pods/log"),
    ("patch", "", "namespaces"),
    ("watch", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("patch", "rbac.authorization.k8s.io", "rolebindings"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ("patch", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("update", "coordination.k8s.io", "leases"),
];
const WRITER: &[Right] = &[("impersonate", "", "users"), ("impersonate", "", "groups")];

fn finding(what: &str, ok: bool, found: impl Into<String>, fix: &str) -> Finding {
    let verdict = if ok { Verdict::Good } else { Verdict::Bad };
    Finding { what: what.to_owned(), verdict, found: found.into(), fix: (!ok).then(|| fix.to_owned()) }
}

/// What the cluster said itself, where it said something.
fn why(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.message().to_owned(), causes)
}

/// What only some apps need.
fn optional(finding: Finding) -> Finding {
    let verdict = if finding.verdict == Verdict::Bad { Verdict::Lacking } else { finding.verdict };
    Finding { verdict, ..finding }
}

/// Asks the cluster.
pub(crate) async fn check(connection: &Connection, installation: Option<&str>, now: Timestamp) -> Vec<Finding> {
    let rest = Rest::new(connection.reader.clone());
    let version: Value = match rest.get(&Target::new("the version", ""), "/version").await {
        Ok(version) => version,
        Err(e) => {
            let why = why(&e);
            let fix = if why.starts_with("401 ") { NEW_CREDENTIALS } else { REACH_IT };
            return vec![finding("cluster answers", false, why, fix)];
        }
    };
    let mut findings = vec![finding("cluster answers", true, version["gitVersion"].as_str().unwrap_or("yes"), "")];
    findings.push(check_version(&version));
    findings.push(check_crd(&Rest::new(connection.controller.clone())).await);
    findings.push(check_lease(&connection.controller, installation, now).await);
    for (who, client, rights) in [
        ("reader", &connection.reader, READER),
        ("controller", &connection.controller, CONTROLLER),
        ("writer", &connection.writer, WRITER),
    ] {
        findings.push(check_rights(who, client, rights).await);
    }
    findings.push(
        check_default(
            &rest,
            Kind::STORAGE_CLASS,
            "default storage class",
            DEFAULT_STORAGE_CLASS,
            "volumes without a class",
        )
        .await,
    );
    findings.push(
        check_default(
            &rest,
            Kind::INGRESS_CLASS,
            "default ingress class",
            "ingressclass.kubernetes.io/is-default-class",
            "Ingresses without a class",
        )
        .await,
    );
    findings.push(check_nodes(&rest).await);
    findings.push(check_network(&Rest::new(connection.controller.clone())).await);
    let metrics = rest.get::<Value>(&Target::new("metrics", ""), "/apis/metrics.k8s.io/v1beta1").await.is_ok();
    let found = if metrics { "served" } else { "not served" };
    findings.push(optional(finding(
        "metrics API",
        metrics,
        found,
        "install metrics-server; without it there is no CPU and memory use, and no autoscaling",
    )));
    findings
}

/// Machines to run on.
async fn check_nodes(rest: &Rest) -> Finding {
    let fix = "add nodes, or look why they are not ready: without one nothing runs";
    match rest.get::<Value>(&Target::new("the nodes", ""), &Kind::NODE.all()).await {
        Ok(list) => {
            let (all, ready) = (listed(&list).len(), listed(&list).iter().filter(|node| is_ready(node)).count());
            optional(finding("nodes", ready > 0, format!("{ready} of {all} ready"), fix))
        }
        Err(e) => optional(finding("nodes", false, why(&e), fix)),
    }
}

/// Network plug-ins by what their pods are called, and whether they enforce NetworkPolicies.
const PLUG_INS: &[(&str, &str, bool)] = &[
    ("calico-node", "Calico", true),
    ("cilium", "Cilium", true),
    ("antrea-agent", "Antrea", true),
    ("kube-router", "kube-router", true),
    ("weave-net", "Weave Net", true),
    ("ovnkube-node", "OVN-Kubernetes", true),
    ("kindnet", "kindnet", true),
    ("aws-node", "Amazon VPC CNI", false),
    ("kube-flannel", "flannel", false),
];
/// Namespaces in which they run.
const PLUG_IN_PLACES: &[&str] = &["kube-system", "calico-system", "cilium", "kube-flannel", "ovn-kubernetes"];

/// The plug-in that pods of these names are of; one that enforces policies before one that does not, as some are put on top.
fn plug_in<'a>(pods: impl Iterator<Item = &'a str> + Clone) -> Option<(&'static str, bool)> {
    let there = |begin: &str| pods.clone().any(|pod| pod.strip_prefix(begin).is_some_and(|rest| rest.starts_with('-')));
    let known = PLUG_INS.iter().find(|(begin, _, _)| there(begin));
    known.map(|(_, name, enforces)| (*name, *enforces))
}

/// What keeps tenants' networks apart: told by its pods, which says less than a trial.
async fn check_network(rest: &Rest) -> Finding {
    let mut pods = Vec::new();
    for place in PLUG_IN_PLACES {
        let list = rest.get::<Value>(&Target::new("the pods", place), &Kind::POD.within(place)).await;
        pods.extend(list.iter().flat_map(listed).map(name));
    }
    let fix = "without one that enforces NetworkPolicies tenants reach each other: `berth doctor --deep` tries it";
    let found = match plug_in(pods.iter().map(String::as_str)) {
        Some((name, true)) => return finding("network plug-in", true, name, ""),
        Some((name, false)) => format!("{name}, which enforces no NetworkPolicies by itself"),
        None => "none that Berth knows by its pods".to_owned(),
    };
    optional(finding("network plug-in", false, found, fix))
}

fn check_version(version: &Value) -> Finding {
    let number = |key: &str| version[key].as_str().map(|v| v.trim_end_matches('+')).and_then(|v| v.parse::<u32>().ok());
    let (major, minor) = (number("major").unwrap_or(0), number("minor").unwrap_or(0));
    let ok = (major, minor) >= (1, MINOR);
    finding(
        "version",
        ok,
        format!("{major}.{minor}"),
        &format!("Berth is tried with Kubernetes 1.{MINOR} and later; update the cluster"),
    )
}

async fn check_crd(rest: &Rest) -> Finding {
    let definition = rest.get::<Value>(&Target::new("the definition", APPS), &Kind::CRD.at("", APPS)).await;
    let version = definition.ok().and_then(|d| schema_version(&d)).filter(|version| *version > SCHEMA_VERSION);
    if let Some(version) = version {
        let found = format!("of version {version}, made by a newer Berth; this one knows up to {SCHEMA_VERSION}");
        return finding("App definition", false, found, "run the newer Berth: an older one does not change it back");
    }
    let path = format!("/apis/{}", Kind::APP.api_version);
    let served = rest.get::<Value>(&Target::new("the definitions", ""), &path).await;
    let found = match &served {
        Ok(_) => "served".to_owned(),
        // So it is in every new cluster; the rights to install it are looked at below.
        Err(e) if e.code() == ErrorCode::NotFound => {
            let found = "not there yet: `berth serve` installs it when it starts";
            return finding("App definition", true, found, "");
        }
        Err(e) => why(e),
    };
    finding(
        "App definition",
        served.is_ok(),
        found,
        "start `berth serve` with the right to install it, or `berth crds | kubectl apply -f -`",
    )
}

/// Namespace and name that a right may be limited to, as it is in the chart: Berth needs it for these alone.
fn narrowest(resource: &str) -> (&'static str, &'static str) {
    match resource {
        "leases" => (lease::NAMESPACE, lease::NAME),
        "clusterroles" => ("", PLATFORM_READER),
        "clusterrolebindings" => ("", NODE_KEEPER),
        "customresourcedefinitions" => ("", APPS),
        "serviceaccounts" => ("", "default"),
        _ => ("", ""),
    }
}

/// Who works on the cluster.
async fn check_lease(controller: &Client, installation: Option<&str>, now: Timestamp) -> Finding {
    let path = Kind::LEASE.at(lease::NAMESPACE, lease::NAME);
    match Rest::new(controller.clone()).get::<Value>(&Target::new("the lease", lease::NAME), &path).await {
        Ok(found) => judge_lease(&Record::of(&found), installation, now),
        Err(e) if e.code() == ErrorCode::NotFound => finding(LEASE, true, "nobody's yet", ""),
        Err(e) => finding(LEASE, false, why(&e), "give the controller's account the right to read it"),
    }
}

/// One that was renewed a minute ago is held by nobody any more, even where clocks differ a little.
fn judge_lease(record: &Record, installation: Option<&str>, now: Timestamp) -> Finding {
    let renewed = record.renewed.parse::<Timestamp>().ok();
    let lives = renewed.is_some_and(|at| now.duration_since(at) < SignedDuration::from_mins(1));
    let stranger = installation.is_some_and(|own| own != record.installation);
    if record.holder.is_empty() || !lives {
        // What it made there carries its tenants' names, which may be ours as well.
        return match stranger && !record.installation.is_empty() {
            true => optional(finding(LEASE, false, FORMER_BERTH, FORMER_BERTH_FIX)),
            false => finding(LEASE, true, "nobody's", ""),
        };
    }
    let found = if stranger { format!("{}: {}", record.holder, lease::OTHER_BERTH) } else { record.holder.clone() };
    finding(LEASE, !stranger, found, lease::OTHER_BERTH_FIX)
}

async fn check_rights(who: &str, client: &Client, rights: &[Right]) -> Finding {
    let rest = Rest::new(client.clone());
    let mut missing = Vec::new();
    for (verb, group, resource) in rights {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (namespace, name) = narrowest(resource);
        let review = json!({
            "apiVersion": Kind::ACCESS_REVIEW.api_version,
            "kind": Kind::ACCESS_REVIEW.kind,
            "spec": { "resourceAttributes": { "namespace": namespace, "name": name, "verb": verb, "group": group, "resource": resource, "subresource": subresource } },
        });
        let answer = rest.create(&Target::new("the review", ""), &Kind::ACCESS_REVIEW.all(), &review).await;
        if !answer.is_ok_and(|a| a["status"]["allowed"] == true) {
            let slash = if subresource.is_empty() { "" } else { "/" };
            missing.push(format!("{verb} {resource}{slash}{subresource}"));
        }
    }
    let found = if missing.is_empty() { "all there".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    let fix = format!("give the {who}'s account these rights; Berth's Helm chart has a ClusterRole for each identity");
    finding(&format!("rights of the {who}"), missing.is_empty(), found, &fix)
}

/// The annotation of the class that claims without one get.
pub(crate) const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The class that is used where none is named.
pub(crate) fn default_class<'a>(classes: &'a [Value], annotation: &str) -> Option<&'a Value> {
    classes.iter().find(|class| class["metadata"]["annotations"][annotation] == "true")
}

async fn check_default(rest: &Rest, kind: Kind, what: &str, annotation: &str, who: &str) -> Finding {
    let list = rest.get::<Value>(&Target::new(what, ""), &kind.all()).await.unwrap_or_default();
    let items = listed(&list);
    let default = default_class(items, annotation).map(name);
    let found = default.clone().unwrap_or_else(|| match items {
        [] => "there are no classes".to_owned(),
        some => format!("none of {}", some.iter().map(name).collect::<Vec<_>>().join(", ")),
    });
    let fix = format!("mark a class with {annotation}=true; until then {who} do not work");
    optional(finding(what, default.is_some(), found, &fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_berth_is_told_from_another_replica() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let lease = |holder: &str, installation: &str, renewed: &str| {
            Record::of(&json!({
                "metadata": {"annotations": {"berth.dev/installation": installation}},
                "spec": {"holderIdentity": holder, "renewTime": renewed},
            }))
        };
        let fresh = "2026-11-21T09:59:58.000000Z";
        let old = "2026-11-21T09:00:00.000000Z";
        for (record, installation, verdict) in [
            (Record::default(), Some("ours"), Verdict::Good),
            (lease("a", "ours", fresh), Some("ours"), Verdict::Good),
            (lease("a", "theirs", fresh), Some("ours"), Verdict::Bad),
            (lease("a", "ours", old), Some("ours"), Verdict::Good),
            (lease("a", "theirs", old), Some("ours"), Verdict::Lacking),
            (lease("", "theirs", fresh), Some("ours"), Verdict::Lacking),
            (lease("a", "theirs", fresh), None, Verdict::Good),
        ] {
            let got = judge_lease(&record, installation, now);
            assert_eq!(got.verdict, verdict, "{record:?} {got:?}");
            assert_eq!(got.fix.is_some(), verdict != Verdict::Good);
        }
    }

    #[test]
    fn plug_ins_are_known_by_their_pods() {
        for (pods, want) in [
            (&["coredns-1", "calico-node-x7k2p"][..], Some(("Calico", true))),
            (&["kube-flannel-ds-1"], Some(("flannel", false))),
            (&["kube-flannel-ds-1", "kube-router-2"], Some(("kube-router", true))),
            (&["cilium-operator-1", "cilium-2"], Some(("Cilium", true))),
            (&["ciliumlike", "coredns-1"], None),
            (&[], None),
        ] {
            assert_eq!(plug_in(pods.iter().copied()), want, "{pods:?}");
        }
    }

    #[test]
    fn versions() {
        for (major, minor, ok) in [("1", "35", true), ("1", "33+", true), ("1", "32", false), ("", "", false)] {
            let got = check_version(&json!({"major": major, "minor": minor})).verdict == Verdict::Good;
            assert_eq!(got, ok, "{major}.{minor}");
        }
    }
}
