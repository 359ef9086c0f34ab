//! Pods reach each other, names resolve, a Service spreads its requests, policies hold, and how fast it all is.

use std::{collections::BTreeSet, time::Duration};

use berth_core::{
    Result,
    ports::cluster::{Finding, Verdict},
};
use serde_json::{Value, json};

use super::{COMMAND, Ground, PATIENCE, Ran, Ready, found, objects};
use crate::{error::Target, rest::Kind};

/// How often a blob is fetched for a throughput.
const FETCHES: u32 = 10;
/// How long a policy may take to hold.
const ENFORCED: Duration = Duration::from_secs(20);

pub(super) async fn all(ground: &Ground, pods: &[Ready], tell: &mut impl FnMut(Finding)) -> Result<()> {
    let Some(first) = pods.first() else { return Ok(()) };
    let probe = ground.sh(&first.name, &page(&first.address)).await?;
    if probe.out != first.name {
        let what = "pods reach each other, names, Services, policies";
        let fix = "name an image with a shell, httpd, wget and nslookup with --image: busybox, say";
        let told = format!("not tried, as a pod does not even reach itself: {}", last_line(&probe.out));
        tell(found(what, Verdict::Lacking, told, fix));
        return Ok(());
    }
    tell(reach(ground, pods).await?);
    let service = ground.make(Kind::SERVICE, &objects::service("web", json!({ objects::TRIAL: "web" }))).await?;
    let address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    tell(names(ground, first, &address).await?);
    tell(spreads(ground, first, pods, &address).await?);
    let last = pods.last().unwrap_or(first);
    tell(throughput(ground, first, last).await?);
    tell(policies(ground, first, last).await?);
    Ok(())
}

/// Fetches `path` of a pod into the file `into`; busybox's own `-T` is not to be trusted everywhere.
fn fetch(address: &str, path: &str, into: &str, within: Duration) -> String {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("timeout {} wget -q -O {into} http://{host}:{}/{path}", within.as_secs(), objects::PORT)
}

/// What a pod says at `/`: its name.
fn page(address: &str) -> String {
    fetch(address, "", "-", Duration::from_secs(5))
}

async fn reach(ground: &Ground, pods: &[Ready]) -> Result<Finding> {
    let mut lost = Vec::new();
    for (from, to) in pods.iter().zip(pods.iter().cycle().skip(1)) {
        let got = ground.sh(&from.name, &page(&to.address)).await?;
        if got.out != to.name {
            lost.push(format!("{} does not reach {} ({})", from.name, to.name, to.address));
        }
    }
    let what = "pods reach each other across nodes";
    Ok(match (lost.is_empty(), pods.len()) {
        (true, 1) => found(what, Verdict::Good, "there is one node", ""),
        (true, many) => found(what, Verdict::Good, format!("{many} of {many} pairs"), ""),
        (false, _) => {
            found(what, Verdict::Bad, lost.join("; "), "look at the network plug-in and at firewalls between the nodes")
        }
    })
}

async fn names(ground: &Ground, from: &Ready, address: &str) -> Result<Finding> {
    // The first search domain is the namespace's: with it, the name does not depend on the cluster's domain.
    let script = r#"nslookup "web.$(sed -n 's/^search  *\([^ ]*\).*/\1/p' /etc/resolv.conf)""#;
    let resolved = |ran: &Ran| ran.code == 0 && ran.out.contains(address);
    let last = ground.sh_until(&from.name, script, PATIENCE, resolved).await?;
    let what = "names of Services resolve";
    if resolved(&last) {
        return Ok(found(what, Verdict::Good, address, ""));
    }
    let fix = "look at the cluster's DNS (CoreDNS, in kube-system) and at the way from pods to it";
    Ok(found(what, Verdict::Bad, last_line(&last.out), fix))
}

async fn spreads(ground: &Ground, from: &Ready, pods: &[Ready], address: &str) -> Result<Finding> {
    let requests = 30 * pods.len();
    let script = format!("for i in $(seq {requests}); do {} || echo failed; done", page(address));
    // A Service takes a moment to reach every node.
    let good = |ran: &Ran| spread(pods, &ran.out).verdict == Verdict::Good;
    let last = ground.sh_until(&from.name, &script, PATIENCE, good).await?;
    Ok(spread(pods, &last.out))
}

/// What the answers of a Service over `pods` say, a pod's name a line.
pub(super) fn spread(pods: &[Ready], answers: &str) -> Finding {
    let what = "a Service spreads its requests";
    let seen: BTreeSet<&str> = answers.lines().collect();
    let total = answers.lines().count();
    let failed = answers.lines().filter(|line| pods.iter().all(|pod| pod.name != *line)).count();
    let silent: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).filter(|name| !seen.contains(name)).collect();
    if failed > 0 {
        let fix = "look at kube-proxy, or what stands in its place, on the node of the pod that asks";
        return found(what, Verdict::Bad, format!("{failed} of {total} requests failed"), fix);
    }
    if !silent.is_empty() {
        let fix = "look at kube-proxy and at the Service's EndpointSlices";
        return found(what, Verdict::Bad, format!("none of {total} requests reached {}", silent.join(", ")), fix);
    }
    found(what, Verdict::Good, format!("{total} requests over {} pods", pods.len()), "")
}

async fn throughput(ground: &Ground, from: &Ready, to: &Ready) -> Result<Finding> {
    let only = json!({ objects::ONLY: "yes" });
    label(ground, &to.name, &only).await?;
    let service = ground.make(Kind::SERVICE, &objects::service("only", only)).await?;
    let through = service["spec"]["clusterIP"].as_str().unwrap_or_default();
    ground.sh_until(&from.name, &page(through), PATIENCE, |ran| ran.code == 0).await?;
    let straight = measure(ground, from, &to.address).await?;
    Ok(speed(straight, measure(ground, from, through).await?))
}

async fn measure(ground: &Ground, from: &Ready, address: &str) -> Result<Option<f64>> {
    let blob = fetch(address, "blob", "/dev/null", COMMAND);
    let script = format!("cat /proc/uptime; for i in $(seq {FETCHES}); do {blob} || exit 1; done; cat /proc/uptime");
    Ok(rate(&ground.sh(&from.name, &script).await?))
}

/// MB/s, from the machine's uptime before and after.
pub(super) fn rate(ran: &Ran) -> Option<f64> {
    let mut times = ran.out.lines().filter_map(|line| line.split(' ').next()?.parse::<f64>().ok());
    let (begin, end) = (times.next()?, times.next()?);
    let megabytes = f64::from(objects::BLOB * FETCHES) * 1.048_576;
    (ran.code == 0 && end > begin).then(|| megabytes / (end - begin))
}

fn speed(straight: Option<f64>, through: Option<f64>) -> Finding {
    let what = "throughput";
    match (straight, through) {
        (Some(straight), Some(through)) => {
            let share = through / straight * 100.0;
            let told = format!(
                "{straight:.0} MB/s straight to a pod, {through:.0} MB/s through its Service ({share:.0} %), one connection"
            );
            found(what, Verdict::Good, told, "")
        }
        _ => found(what, Verdict::Lacking, "could not be measured", "look at the trials above"),
    }
}

async fn policies(ground: &Ground, from: &Ready, to: &Ready) -> Result<Finding> {
    let what = "NetworkPolicies are enforced";
    if from == to {
        return Ok(found(what, Verdict::Lacking, "not tried: there is one node", "try it by hand with two pods"));
    }
    label(ground, &to.name, &json!({ objects::CLOSED: "yes" })).await?;
    ground.make(Kind::NETWORK_POLICY, &objects::closing("closed")).await?;
    if ground.sh_until(&from.name, &page(&to.address), ENFORCED, |ran| ran.code != 0).await?.code == 0 {
        let fix = "use a network plug-in that enforces them (Calico, Cilium); until then every pod reaches every other, \
                   of other tenants too";
        return Ok(found(what, Verdict::Lacking, "a pod that nobody may reach is reached", fix));
    }
    Ok(found(what, Verdict::Good, "a pod that nobody may reach is not reached", ""))
}

async fn label(ground: &Ground, pod: &str, labels: &Value) -> Result<()> {
    let path = Kind::POD.at(&ground.namespace, pod);
    let change = json!({ "metadata": { "labels": labels } });
    ground.rest.merge(&Target::new("the pod", pod), &path, &change).await.map(drop)
}

fn last_line(out: &str) -> String {
    out.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no answer").to_owned()
}
