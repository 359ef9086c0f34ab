//! The replica that works on the cluster is killed: another goes on, soon, where that one stopped, and does nothing again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::{APP, Check, PATIENCE, Pod, in_cluster};
use crate::{
    cluster::{cgroups, kubectl, layout::Cluster, process},
    shell::{self, say, seconds, step},
};

/// How often: one figure says little.
const TIMES: usize = 3;
/// Within which another replica takes over.
const LIMIT: Duration = Duration::from_secs(10);
/// What the controller makes of an app, and what follows from that.
const MADE: &str = "deployments,replicasets,services,controllerrevisions,poddisruptionbudgets";

/// Which replica works on the cluster.
#[derive(Debug, Default)]
struct Lease {
    holder: String,
    acquired: Option<Timestamp>,
    /// Grows with each holder.
    epoch: i64,
}

/// An object that the controller made, or that follows from one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    uid: String,
    /// Grows with each change of what is wanted; Services and the like have none.
    generation: Option<u64>,
    owner: String,
}

/// By kind and name.
type Objects = BTreeMap<(String, String), Made>;

impl Check<'_> {
    /// Kills the leader, several times.
    pub(super) fn failover(&self, tenant: &str) -> Result<()> {
        let before = self.made(tenant)?;
        let mut apps = Vec::new();
        let mut figures = Vec::new();
        for time in 1..=TIMES {
            let ([half, after], taken_over) = step(&format!("Killing the leader, {time} of {TIMES}"), || {
                let apps = [format!("half-{time}"), format!("after-{time}")];
                let taken_over = self.kill_leader(tenant, &apps)?;
                say(&format!("another holds the lease {} after the kill", seconds(taken_over)));
                Ok((apps, taken_over))
            })?;
            apps.extend([half, after]);
            figures.push(taken_over);
        }
        step("All that was asked meanwhile is done, and once", || {
            apps.iter().try_for_each(|app| self.portal.until_ready(tenant, app))?;
            let wrong = again(&before, &self.made(tenant)?);
            if wrong.is_empty() { Ok(()) } else { bail!("something was done again:\n  {}", wrong.join("\n  ")) }
        })?;
        match figures.iter().max() {
            Some(longest) if *longest > LIMIT => bail!("{} is later than {}", seconds(*longest), seconds(LIMIT)),
            _ => Ok(()),
        }
    }

    /// Kills it with one app just asked for, asks for another, and waits for two good replicas: when the lease was another's.
    fn kill_leader(&self, tenant: &str, [half, after]: &[String; 2]) -> Result<Duration> {
        let old = self.lease()?;
        let replicas = self.replicas()?;
        let leads = |pod: &&Pod| old.holder.starts_with(&format!("{}_", pod.name));
        let leader = replicas.iter().find(leads).with_context(|| format!("{old:?} is none of {replicas:?}"))?;
        let other = replicas.iter().find(|pod| !leads(pod)).context("there is no other replica")?;
        let other = self.by(other)?;
        other.deploy(tenant, half)?;
        let killed = now();
        kill(self.cluster, leader)?;
        other.deploy(tenant, after)?;
        let mut acquired = None;
        process::wait("another holds the lease", PATIENCE, || {
            let lease = self.lease()?;
            let another = !lease.holder.is_empty() && lease.holder != old.holder && lease.epoch > old.epoch;
            acquired = lease.acquired.filter(|_| another);
            Ok(acquired.is_some())
        })?;
        process::wait("two replicas again", PATIENCE, || {
            let now = self.replicas()?;
            Ok(now.len() == 2
                && !now.iter().any(|pod| pod.container == leader.container)
                && self.ready_replicas()? == 2)
        })?;
        let after = acquired.context("the lease has no time")?.duration_since(killed);
        Duration::try_from(after).context("the lease was taken before the kill")
    }

    fn lease(&self) -> Result<Lease> {
        let lease = kubectl::get(self.cluster, &["lease", "berth-controller", "--namespace", "kube-system"])?;
        let text = |field: &str| lease["spec"][field].as_str().unwrap_or_default();
        let epoch = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        Ok(Lease { holder: text("holderIdentity").to_owned(), acquired: text("acquireTime").parse().ok(), epoch })
    }

    fn made(&self, tenant: &str) -> Result<Objects> {
        let namespace = in_cluster(tenant);
        let objects = kubectl::get(self.cluster, &[MADE, "--namespace", &namespace])?;
        let objects: Objects = objects["items"].as_array().into_iter().flatten().map(made).collect();
        if !objects.keys().any(|(_, name)| name.starts_with(APP)) {
            bail!("the controller made nothing of {APP} in {namespace}");
        }
        Ok(objects)
    }
}

fn made(object: &Value) -> ((String, String), Made) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let made = Made {
        uid: text("/metadata/uid"),
        generation: object.pointer("/metadata/generation").and_then(Value::as_u64),
        owner: text("/metadata/ownerReferences/0/uid"),
    };
    ((text("/kind"), text("/metadata/name")), made)
}

/// What was made or changed more than once, where nobody has asked for a change of what was there `before`.
fn again(before: &Objects, now: &Objects) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((kind, name), was) in before {
        match now.get(&(kind.clone(), name.clone())) {
            None => wrong.push(format!("{kind} {name} is gone")),
            Some(is) if is.uid != was.uid => wrong.push(format!("{kind} {name} was made anew")),
            Some(is) if is.generation != was.generation => wrong.push(format!("{kind} {name} was changed")),
            Some(_) => {}
        }
    }
    let mut rolled_out = BTreeSet::new();
    for (key @ (kind, name), is) in now {
        if !before.contains_key(key) && is.generation.is_some_and(|generation| generation > 1) {
            wrong.push(format!("{kind} {name} was changed after it was made"));
        }
        // A second one is a second roll-out.
        if kind == "ReplicaSet" && !rolled_out.insert(&is.owner) {
            wrong.push(format!("{kind} {name} is not the only one of its Deployment"));
        }
    }
    wrong
}

/// Ends a pod's program as a crash would: nobody is told before, and it cannot give anything back.
fn kill(cluster: &Cluster, pod: &Pod) -> Result<()> {
    let ours = |process: &u32| {
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        !pod.container.is_empty() && groups.contains(&pod.container)
    };
    let processes = cgroups::processes(&cluster.node(&pod.node)?.cgroup())?;
    let processes: Vec<u32> = processes.into_iter().filter(ours).collect();
    if processes.is_empty() {
        bail!("{} has no process on {}", pod.name, pod.node);
    }
    shell::kill("KILL", &processes)
}

/// The machine's clock is the pods', too.
#[expect(clippy::disallowed_methods, reason = "what is measured is the time between two processes")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(all: &[(&str, &str, &str, u64, &str)]) -> Objects {
        let object = |(kind, name, uid, generation, owner): &(&str, &str, &str, u64, &str)| {
            made(&json!({
                "kind": kind,
                "metadata": {"name": name, "uid": uid, "generation": generation, "ownerReferences": [{"uid": owner}]},
            }))
        };
        all.iter().map(object).collect()
    }

    #[test]
    fn what_is_done_again_is_seen() {
        let web = ("Deployment", "web-main", "1", 3, "app");
        let set = ("ReplicaSet", "web-main-a", "2", 1, "1");
        let new = ("Deployment", "new-main", "3", 1, "other");
        let before = objects(&[web, set]);
        for (now, want) in [
            (objects(&[web, set]), vec![]),
            (objects(&[web, set, new, ("ReplicaSet", "new-main-a", "4", 1, "3")]), vec![]),
            (objects(&[web]), vec!["ReplicaSet web-main-a is gone"]),
            (objects(&[("Deployment", "web-main", "9", 3, "app"), set]), vec!["Deployment web-main was made anew"]),
            (objects(&[("Deployment", "web-main", "1", 4, "app"), set]), vec!["Deployment web-main was changed"]),
            (
                objects(&[web, set, ("Deployment", "new-main", "3", 2, "other")]),
                vec!["Deployment new-main was changed after it was made"],
            ),
            (
                objects(&[web, set, ("ReplicaSet", "web-main-b", "5", 1, "1")]),
                vec!["ReplicaSet web-main-b is not the only one of its Deployment"],
            ),
        ] {
            assert_eq!(again(&before, &now), want);
        }
    }
}
