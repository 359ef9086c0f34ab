//! What is asked of nodes and done to them: cordon, and the look and the evictions that empty one. People do it as themselves.

use std::collections::HashMap;

use berth_core::{
    Error, OpCtx, Result,
    drain::{Guard, Owner, Tenancy},
    ports::cluster::Cluster as _,
};
use berth_types::{Action, ErrorCode, Resource, node::DrainMark};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    KubeCluster,
    apps::{pod_name, written},
    cache::{node::asks, room},
    error::{Target, from_status},
    json::{controller, is_ready, items, name, text},
    meta,
    rest::{Kind, Rest, query},
};

const RIGHT: (Resource, Action) = (Resource::Node, Action::Update);
/// On a pod that the kubelet runs by itself.
const MIRROR: &str = "kubernetes.io/config.mirror";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// How long what was seen of a node's pods is good for those who look.
const SEEN: SignedDuration = SignedDuration::from_secs(1);
/// What was seen on nodes, and when.
pub(crate) type Looked = Mutex<HashMap<String, (Timestamp, Vec<Tenancy>)>>;

/// Whether a label selector selects something with these labels. One that is absent selects nothing, an empty one everything.
fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let plain = selector.get("matchLabels").and_then(Value::as_object);
    let by_label = plain.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    let one = |rule: &Value| {
        let have = labels.get(text(rule, "/key"));
        let among = have.is_some_and(|have| items(rule, "/values").contains(have));
        match text(rule, "/operator") {
            "In" => among,
            "NotIn" => !among,
            "Exists" => have.is_some(),
            "DoesNotExist" => have.is_none(),
            _ => false,
        }
    };
    let rules = selector.get("matchExpressions").and_then(Value::as_array);
    by_label && rules.is_none_or(|rules| rules.iter().all(one))
}

/// The rules of the API server's own eviction.
fn guard(budget: &Value, pod: &Value) -> Guard {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    let healthy = count("desiredHealthy") > 0 && count("currentHealthy") >= count("desiredHealthy");
    let always = text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    let spared = !is_ready(pod) && (always || healthy);
    Guard { budget: text(budget, "/metadata/name").to_owned(), allowed: (!spared).then(|| count("disruptionsAllowed")) }
}

/// Whether a volume can be used on one node only.
fn is_of_one_node(volume: &Value) -> bool {
    let spec = &volume["spec"];
    let terms = items(spec, "/nodeAffinity/required/nodeSelectorTerms").iter();
    let mut keys = terms.flat_map(|term| items(term, "/matchExpressions")).map(|rule| text(rule, "/key"));
    spec["local"].is_object() || spec["hostPath"].is_object() || keys.any(|key| key == HOSTNAME)
}

fn owner(pod: &Value) -> Owner {
    if pod["metadata"]["annotations"][MIRROR].is_string() {
        return Owner::Node;
    }
    match controller(pod) {
        None => Owner::Nobody,
        Some(owner) => {
            let called = format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
            match text(owner, "/kind") {
                "Node" => Owner::Node,
                "DaemonSet" => Owner::Daemon(called),
                _ => Owner::Makes(called),
            }
        }
    }
}

fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    items(pod, "/spec/volumes").iter().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str())
}

fn tenancy(pod: &Value, budgets: &[Value], volumes: &[Value]) -> Tenancy {
    let (namespace, phase) = (text(pod, "/metadata/namespace"), text(pod, "/status/phase"));
    let here = budgets.iter().filter(|budget| text(budget, "/metadata/namespace") == namespace);
    let guards = here.filter(|budget| selects(&budget["spec"]["selector"], &pod["metadata"]["labels"]));
    let bound = |claim: &str| {
        let of =
            |v: &&Value| text(v, "/spec/claimRef/namespace") == namespace && text(v, "/spec/claimRef/name") == claim;
        volumes.iter().find(of).is_some_and(is_of_one_node)
    };
    Tenancy {
        namespace: namespace.to_owned(),
        name: name(pod),
        uid: text(pod, "/metadata/uid").to_owned(),
        owner: owner(pod),
        ended: matches!(phase, "Succeeded" | "Failed"),
        pending: phase == "Pending",
        leaving: pod["metadata"]["deletionTimestamp"].is_string(),
        local_data: items(pod, "/spec/volumes").iter().any(|volume| volume["emptyDir"].is_object()),
        tied: claims(pod).any(bound),
        guards: guards.map(|budget| guard(budget, pod)).collect(),
        asks: asks(&room::takes(pod).unwrap_or_default()),
    }
}

impl KubeCluster {
    /// Refuses to say anything of nodes that were never read.
    pub(crate) fn nodes_read(&self) -> Result<()> {
        if self.cache.health.all_synced(&[Kind::NODE.plural]) {
            return Ok(());
        }
        self.freshness().read()?;
        let message = "the nodes have not been read: Berth may lack the right to; `berth doctor` says more";
        Err(Error::new(ErrorCode::ClusterUnavailable, message).retry_after(std::time::Duration::from_secs(5)))
    }

    /// The pods on a node, as they were at most [`SEEN`] ago: however many look at a drain, the cluster is asked once.
    pub(crate) async fn tenancies_on(&self, node: &str) -> Result<Vec<Tenancy>> {
        let now = self.clock.now();
        let fresh = |at: Timestamp| now.duration_since(at) < SEEN;
        let mut seen = self.looked.lock().await;
        seen.retain(|_, (at, _)| fresh(*at));
        if let Some((_, found)) = seen.get(node) {
            return Ok(found.clone());
        }
        let found = self.read_tenancies(node).await?;
        seen.insert(node.to_owned(), (now, found.clone()));
        Ok(found)
    }

    async fn read_tenancies(&self, node: &str) -> Result<Vec<Tenancy>> {
        let rest = Rest::new(self.connection.reader.clone());
        let list = async |what: &str, path: String| -> Result<Vec<Value>> {
            let mut list: Value = rest.get(&Target::new(what, ""), &path).await?;
            Ok(match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            })
        };
        let on_it = format!("spec.nodeName={node}");
        let pods = list("the node's pods", query(&Kind::POD.all(), &[("fieldSelector", &on_it)])).await?;
        let budgets = list("the budgets", Kind::BUDGET.all()).await?;
        let volumes = match pods.iter().any(|pod| claims(pod).next().is_some()) {
            true => list("the volumes", Kind::VOLUME.all()).await?,
            false => Vec::new(),
        };
        Ok(pods.iter().map(|pod| tenancy(pod, &budgets, &volumes)).collect())
    }

    pub(crate) async fn write_mark(
        &self,
        ctx: &OpCtx,
        node: &str,
        cordoned: bool,
        drain: Option<&DrainMark>,
    ) -> Result<()> {
        let name = pod_name(node)?;
        let _permit = self.permit()?;
        let rest = self.connection.acting_on(ctx, None)?;
        let mark = drain.map(serde_json::to_string).transpose().map_err(Error::internal)?;
        let change = json!({
            "metadata": { "annotations": { meta::DRAIN: mark } },
            "spec": { "unschedulable": cordoned.then_some(true) },
        });
        let target = Target::of("the node", name, RIGHT);
        let object = rest.merge(&target, &written(&Kind::NODE.at("", name)), &change).await?;
        self.cache.take_node(object);
        Ok(())
    }

    pub(crate) async fn ask_to_go(&self, ctx: &OpCtx, pod: &Tenancy) -> Result<bool> {
        let name = pod_name(&pod.name)?;
        let rest = self.connection.acting_on(ctx, None)?;
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": pod.namespace },
            "deleteOptions": { "preconditions": { "uid": pod.uid } },
        });
        let path = format!("{}/eviction", Kind::POD.at(&pod.namespace, name));
        match rest.attempt(&path, &eviction).await? {
            Ok(answer) => Ok(answer["status"] != "Failure"),
            // A budget says no; the pod is gone, or another one of its name stands there.
            Err(status) if matches!(status.code, 404 | 409 | 429) => Ok(status.code != 429),
            Err(status) => Err(from_status(&status, &Target::of("the pod", name, RIGHT))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let labels = json!({ "app": "web", "tier": "front" });
        for (selector, want) in [
            (Value::Null, false),
            (json!({}), true),
            (json!({ "matchLabels": { "app": "web" } }), true),
            (json!({ "matchLabels": { "app": "web", "tier": "back" } }), false),
            (json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["a", "web"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web"] }] }), false),
            (json!({ "matchExpressions": [{ "key": "zone", "operator": "NotIn", "values": ["a"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }), true),
            (json!({ "matchExpressions": [{ "key": "tier", "operator": "DoesNotExist" }] }), false),
            (
                json!({ "matchLabels": { "app": "web" }, "matchExpressions": [{ "key": "x", "operator": "Exists" }] }),
                false,
            ),
        ] {
            assert_eq!(selects(&selector, &labels), want, "{selector}");
        }
        assert!(!selects(&json!({ "matchLabels": { "a": "b" } }), &Value::Null));
    }

    fn pod(extra: &Value) -> Value {
        let mut pod = json!({
            "metadata": {
                "name": "web-1", "namespace": "n", "uid": "u", "labels": { "app": "web" },
                "ownerReferences": [{ "kind": "ReplicaSet", "name": "web", "controller": true }],
            },
            "spec": { "containers": [{ "name": "c", "resources": { "requests": { "cpu": "250m" } } }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        for (path, value) in extra.as_object().into_iter().flatten() {
            let (parent, key) = path.rsplit_once('/').expect("a path");
            pod.pointer_mut(parent).expect("its parent")[key] = value.clone();
        }
        pod
    }

    #[test]
    fn what_a_pod_is_to_its_node() {
        let of = |extra: Value| tenancy(&pod(&extra), &[], &[]);
        let plain = of(json!({}));
        assert_eq!(plain.owner, Owner::Makes("ReplicaSet/web".into()));
        assert!(!plain.ended && !plain.leaving && !plain.local_data && !plain.tied && plain.guards.is_empty());
        let asked: Vec<String> = plain.asks.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        assert_eq!(asked, ["cpu=250m", "pods=1"]);
        let daemon = json!([{ "kind": "DaemonSet", "name": "log", "controller": true }]);
        assert_eq!(of(json!({ "/metadata/ownerReferences": daemon })).owner, Owner::Daemon("DaemonSet/log".into()));
        let beside = json!([{ "kind": "ConfigMap", "name": "x" }]);
        assert_eq!(of(json!({ "/metadata/ownerReferences": beside })).owner, Owner::Nobody);
        assert_eq!(of(json!({ "/metadata/annotations": { MIRROR: "hash" } })).owner, Owner::Node);
        assert!(of(json!({ "/metadata/deletionTimestamp": "2026-01-01T00:00:00Z" })).leaving);
        assert!(of(json!({ "/status/phase": "Failed" })).ended && of(json!({ "/status/phase": "Pending" })).pending);
        assert!(of(json!({ "/spec/volumes": [{ "name": "tmp", "emptyDir": {} }] })).local_data);
    }

    #[test]
    fn volumes_that_only_one_node_has() {
        let claimed =
            pod(&json!({ "/spec/volumes": [{ "name": "d", "persistentVolumeClaim": { "claimName": "data" } }] }));
        let volume = |spec: Value| {
            let mut volume = json!({ "spec": spec });
            volume["spec"]["claimRef"] = json!({ "namespace": "n", "name": "data" });
            volume
        };
        let affinity = |key: &str| {
            json!({ "csi": {}, "nodeAffinity": { "required": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": key, "operator": "In", "values": ["x"] }] },
        ] } } })
        };
        for (volume, want) in [
            (volume(json!({ "local": { "path": "/d" } })), true),
            (volume(json!({ "hostPath": { "path": "/d" } })), true),
            (volume(affinity(HOSTNAME)), true),
            (volume(affinity("topology.kubernetes.io/zone")), false),
            (volume(json!({ "csi": {} })), false),
            (json!({ "spec": { "local": {}, "claimRef": { "namespace": "m", "name": "data" } } }), false),
        ] {
            assert_eq!(tenancy(&claimed, &[], std::slice::from_ref(&volume)).tied, want, "{volume}");
        }
    }

    #[test]
    fn budgets_guard_as_the_api_server_says() {
        let budget = |namespace: &str, spec: Value, status: Value| json!({ "metadata": { "name": "b", "namespace": namespace }, "spec": spec, "status": status });
        let web = || json!({ "selector": { "matchLabels": { "app": "web" } } });
        let healthy = json!({ "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 2 });
        let lacking = json!({ "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2 });
        let always = json!({ "selector": {}, "unhealthyPodEvictionPolicy": "AlwaysAllow" });
        let unready = pod(&json!({ "/status/conditions": [] }));
        for (pod, budget, want) in [
            (pod(&json!({})), budget("m", web(), healthy.clone()), None),
            (pod(&json!({})), budget("n", web(), json!({ "disruptionsAllowed": 3 })), Some(Some(3))),
            (pod(&json!({})), budget("n", always.clone(), healthy.clone()), Some(Some(0))),
            (unready.clone(), budget("n", web(), healthy), Some(None)),
            (unready.clone(), budget("n", web(), lacking.clone()), Some(Some(0))),
            (unready.clone(), budget("n", always, lacking), Some(None)),
        ] {
            let got = tenancy(&pod, std::slice::from_ref(&budget), &[]);
            assert_eq!(got.guards.first().map(|guard| guard.allowed), want, "{budget}");
        }
    }
}
