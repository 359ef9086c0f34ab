//! First trials of a cluster, for `berth doctor --deep`: what an operator tries on a new one. In a namespace of their own, which is
//! removed in any case.
//!
//! Each trial is a decision on what was seen, apart from the seeing.

mod lost;
mod network;
mod objects;
mod storage;

use std::time::Duration;

use berth_core::{
    Error, Result,
    ports::cluster::{Finding, Verdict},
};
use berth_types::ErrorCode;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::AttachParams};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, time::Instant};

use crate::{
    cache::pause,
    error::{Target, from_kube},
    json::{is_ready, items, listed, name},
    rest::{Kind, Rest, bounded},
};

/// How long pods may take to get ready, names to resolve, a Service to reach its pods.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long one command in a pod may take.
const COMMAND: Duration = Duration::from_secs(60);
/// On how many nodes it is tried; a large cluster is not filled.
const MOST_NODES: usize = 20;

/// Where the trials happen.
struct Ground {
    client: Client,
    rest: Rest,
    namespace: String,
    image: String,
}

/// A trial's pod that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    name: String,
    address: String,
}

/// What a command in a pod printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: i32,
    out: String,
}

fn found(what: &str, verdict: Verdict, found: impl Into<String>, fix: &str) -> Finding {
    let fix = (verdict != Verdict::Good).then(|| fix.to_owned());
    Finding { what: what.to_owned(), verdict, found: found.into(), fix }
}

/// Tries everything as `client`, which needs an administrator's rights, with pods of `image` (a shell, `httpd`, `wget`, `nslookup`:
/// busybox). Each finding is told as soon as it is there. Ends early when `stop` does; what was made is removed.
///
/// # Errors
/// The namespace cannot be made or removed.
pub async fn run(
    client: Client,
    image: &str,
    mut tell: impl FnMut(Finding),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let rest = Rest::new(client.clone());
    let made = rest.create(&Target::new("the namespace", ""), &Kind::NAMESPACE.all(), &objects::namespace()).await?;
    let namespace = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let ground = Ground { client, rest, namespace, image: image.to_owned() };
    let tried = tokio::select! {
        tried = ground.all(&mut tell) => tried,
        () = stop => Ok(()),
    };
    ground.clear().await?;
    tried
}

impl Ground {
    async fn all(&self, tell: &mut impl FnMut(Finding)) -> Result<()> {
        let heartbeats = lost::heartbeats(self).await?;
        let nodes = self.nodes().await?;
        let pods = self.servers(&nodes).await?;
        tell(landed(&nodes, &pods));
        let ready: Vec<Ready> = pods.into_iter().filter_map(std::result::Result::ok).collect();
        if !ready.is_empty() {
            network::all(self, &ready, tell).await?;
        }
        tell(storage::follows(self, &nodes).await?);
        tell(self.metrics().await);
        if let Some(pod) = ready.first() {
            // Last: by now they were heard again.
            tell(lost::noticed(self, &heartbeats, pod).await?);
        }
        Ok(())
    }

    /// The nodes that take any pod.
    async fn nodes(&self) -> Result<Vec<String>> {
        let list: Value = self.rest.get(&Target::new("the nodes", ""), &Kind::NODE.all()).await?;
        Ok(listed(&list).iter().filter(|node| takes_pods(node)).filter_map(hostname).take(MOST_NODES).collect())
    }

    /// A pod on each node: ready, or why not.
    async fn servers(&self, nodes: &[String]) -> Result<Vec<std::result::Result<Ready, String>>> {
        for (number, node) in nodes.iter().enumerate() {
            self.make(Kind::POD, &objects::server(&format!("web-{number}"), &self.image, node)).await?;
        }
        let names: Vec<String> = (0..nodes.len()).map(|number| format!("web-{number}")).collect();
        let mut all = Vec::new();
        let end = Instant::now() + PATIENCE;
        for name in names {
            all.push(self.until_ready(&name, end).await?);
        }
        Ok(all)
    }

    async fn make(&self, kind: Kind, object: &Value) -> Result<Value> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        self.rest.create(&Target::new(kind.kind, name), &kind.within(&self.namespace), object).await
    }

    async fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        let path = kind.at(&self.namespace, name);
        self.rest.delete(&Target::new(kind.kind, name), &path, &json!({})).await.map(drop)
    }

    async fn until_ready(&self, name: &str, end: Instant) -> Result<std::result::Result<Ready, String>> {
        loop {
            let pod: Value = self.rest.get(&Target::new("the pod", name), &Kind::POD.at(&self.namespace, name)).await?;
            match readiness(&pod) {
                Ok(ready) => return Ok(Ok(ready)),
                // One that ended twice says what it has to say.
                Err(why) if Instant::now() > end || restarts(&pod) >= 2 => return Ok(Err(why)),
                Err(_) => pause(Duration::from_millis(300)).await,
            }
        }
    }

    /// Runs a script in a pod.
    async fn sh(&self, pod: &str, script: &str) -> Result<Ran> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = AttachParams::default().stdout(true).stderr(true);
        // The code comes with the output: how the stream itself ends differs from version to version.
        let command = ["sh", "-c", &format!("{{ {script}\n}} 2>&1; echo \"=$?\"")];
        let work = async {
            let mut process =
                api.exec(pod, command, &params).await.map_err(|e| from_kube(e, &Target::new("the pod", pod)))?;
            let mut out = String::new();
            if let Some(mut stdout) = process.stdout() {
                stdout.read_to_string(&mut out).await.map_err(Error::internal)?;
            }
            Ok(ran(&out))
        };
        bounded(COMMAND, work).await?
    }

    /// Runs a script in a pod again and again until it is `enough`; its last run.
    async fn sh_until(
        &self,
        pod: &str,
        script: &str,
        patience: Duration,
        enough: impl Fn(&Ran) -> bool,
    ) -> Result<Ran> {
        let end = Instant::now() + patience;
        loop {
            let ran = self.sh(pod, script).await?;
            if enough(&ran) || Instant::now() > end {
                return Ok(ran);
            }
            pause(Duration::from_millis(500)).await;
        }
    }

    async fn metrics(&self) -> Finding {
        let what = "metrics flow";
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods", self.namespace);
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.rest.get::<Value>(&Target::new("the metrics", ""), &path).await;
            match answer {
                Ok(list) if list["items"].as_array().is_some_and(|items| !items.is_empty()) => {
                    return found(what, Verdict::Good, "use of CPU and memory is there", "");
                }
                Ok(_) if Instant::now() < end => pause(Duration::from_secs(1)).await,
                Ok(_) => {
                    let fix = "look at metrics-server's log: it cannot read the kubelets, most likely";
                    return found(what, Verdict::Lacking, "the API is there, but says nothing of pods", fix);
                }
                Err(e) => {
                    let fix = "install metrics-server; without it there is no CPU and memory use, and no autoscaling";
                    return found(what, Verdict::Lacking, e.message(), fix);
                }
            }
        }
    }

    /// Removes the namespace and waits until it is gone with all that is in it.
    async fn clear(&self) -> Result<()> {
        let (target, path) = (Target::new("the namespace", &self.namespace), Kind::NAMESPACE.at("", &self.namespace));
        self.rest.delete(&target, &path, &json!({})).await?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.rest.get::<Value>(&target, &path).await {
                Err(e) if e.code() == ErrorCode::NotFound => return Ok(()),
                _ if Instant::now() > end => {
                    let message = format!("the namespace {} is not gone yet: delete it", self.namespace);
                    return Err(Error::new(ErrorCode::ClusterRefused, message));
                }
                _ => pause(Duration::from_millis(500)).await,
            }
        }
    }
}

fn takes_pods(node: &Value) -> bool {
    let kept_out = items(node, "/spec/taints").iter().any(|taint| taint["effect"] != "PreferNoSchedule");
    is_ready(node) && !kept_out && node["spec"]["unschedulable"] != true
}

fn hostname(node: &Value) -> Option<String> {
    node["metadata"]["labels"]["kubernetes.io/hostname"].as_str().map(str::to_owned)
}

/// Its address once it is ready, or what stands in the way.
fn readiness(pod: &Value) -> std::result::Result<Ready, String> {
    let address = pod["status"]["podIP"].as_str();
    if let Some(address) = address.filter(|_| is_ready(pod)) {
        return Ok(Ready { name: name(pod), address: address.to_owned() });
    }
    let waiting = items(pod, "/status/containerStatuses").iter().find_map(|c| {
        let state = &c["state"]["waiting"];
        Some(state["message"].as_str().or_else(|| state["reason"].as_str())?.to_owned())
    });
    let refused =
        items(pod, "/status/conditions").iter().find(|c| c["status"] == "False").and_then(|c| c["message"].as_str());
    Err(waiting.or_else(|| refused.map(str::to_owned)).unwrap_or_else(|| "it does not get ready".to_owned()))
}

fn restarts(pod: &Value) -> i64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(0)
}

fn ran(out: &str) -> Ran {
    match out.trim_end().rsplit_once('=') {
        Some((out, code)) if code.parse::<i32>().is_ok() => {
            Ran { code: code.parse().unwrap_or(-1), out: out.trim_end().to_owned() }
        }
        _ => Ran { code: -1, out: out.to_owned() },
    }
}

fn landed(nodes: &[String], pods: &[std::result::Result<Ready, String>]) -> Finding {
    let what = "pods land on every node";
    if nodes.is_empty() {
        return found(
            what,
            Verdict::Bad,
            "no node takes pods",
            "look at `kubectl get nodes`: ready, not cordoned, no taint",
        );
    }
    let lost: Vec<String> = nodes
        .iter()
        .zip(pods)
        .filter_map(|(node, pod)| pod.as_ref().err().map(|why| format!("not on {node}: {why}")))
        .collect();
    let verdict = if lost.is_empty() { Verdict::Good } else { Verdict::Bad };
    let told = if lost.is_empty() { format!("on {} of {}", pods.len(), nodes.len()) } else { lost.join("; ") };
    found(what, verdict, told, "look at these nodes; where the image cannot be pulled, name another with --image")
}

#[cfg(test)]
mod tests;
