//! `cargo xtask bench --cluster`: figures that only a real cluster can give. It is started for them and removed afterwards.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    http::{Connection, Request},
    load::{each, open_loop},
    megabytes,
    portal::{Ground, Parts, Portal, Process, free_port, grouped, spawn, wait},
    report::Figure,
};
use crate::{
    cluster::{self, Addon, Part, Testbed},
    shell::say,
    workspace::Workspace,
};

/// Name of the cluster.
const NAME: &str = "bench";
/// What it has beside Kubernetes itself.
const ADDONS: &[Addon] = &[Addon::Dns, Addon::Metrics, Addon::Storage, Addon::Ingress];
/// Pods of the app that is rolled out.
const PODS: usize = 100;
/// Pods of others that are only there; each as large as a real one.
const MANY: usize = 3_000;
/// The kind that only Berth has.
const APPS: &str = "berth.dev/apps";
/// For how long the API server is away, and how long the portal is watched at rest.
const MINUTE: Duration = Duration::from_secs(60);

/// Measures it all.
///
/// # Errors
/// [`NotHere`](crate::shell::NotHere) where this machine cannot run a cluster; otherwise what could not be measured.
pub fn run(workspace: &Workspace, parts: &Parts, figures: &mut Vec<Figure>) -> Result<()> {
    // What is built is built, so that the second time shows what starting takes.
    cluster::testbed(workspace, NAME, ADDONS)?;
    cluster::clear(NAME)?;
    let start = Instant::now();
    let testbed = cluster::testbed(workspace, NAME, ADDONS)?;
    let up = "cluster up, all built: three nodes with dns, metrics, storage, ingress";
    figures.push(Figure::at_most(up, 60.0, start.elapsed().as_secs_f64(), "s"));
    let measured = on(&testbed, parts, figures);
    let cleared = cluster::clear(NAME);
    measured.and(cleared)
}

fn on(testbed: &Testbed, parts: &Parts, figures: &mut Vec<Figure>) -> Result<()> {
    let admin = Admin::start(testbed, parts)?;
    let portal = Portal::start(parts, &Ground::Real(testbed.kubeconfig.clone()))?;
    roll_out(&admin, &portal, figures)?;
    at_rest(&admin, &portal, figures)?;
    away(&portal, figures)?;
    watching(&admin, portal, figures)
}

/// From the click to pods that are ready, and what of it the portal adds.
fn roll_out(admin: &Admin, portal: &Portal, figures: &mut Vec<Figure>) -> Result<()> {
    say(&format!("{PODS} pods of a small image"));
    let mut cluster = Connection::open(admin.port)?;
    let namespace = portal.kube_namespace()?;
    let list = Request::of_cluster(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"));
    let mut deployment = |ready: &dyn Fn(&Value) -> bool| -> Result<bool> {
        let found: Value = serde_json::from_str(&cluster.send(&list)?.text()?)?;
        Ok(found["items"].as_array().is_some_and(|all| all.iter().any(ready)))
    };
    // A portal that has just started for the first time installs its definitions and waits to lead.
    portal.deploy("first", 1)?;
    wait("the first app", 2 * MINUTE, || Ok(portal.app("first")?["status"]["phase"] == "Ready"))?;
    let begun = Instant::now();
    portal.deploy("hundred", PODS)?;
    wait("the Deployment", MINUTE, || deployment(&|d| d["metadata"]["name"] == "hundred"))?;
    let made = begun.elapsed();
    wait("ready pods in the cluster", 5 * MINUTE, || deployment(&|d| d["status"]["readyReplicas"] == PODS))?;
    let ready = begun.elapsed();
    wait("the portal says so", MINUTE, || Ok(portal.app("hundred")?["status"]["phase"] == "Ready"))?;
    let told = begun.elapsed();
    let name = format!("{PODS} pods ready, from the request to the portal");
    figures.push(Figure::at_most(&name, 90.0, told.as_secs_f64(), "s"));
    let own = (made + (told - ready)).as_secs_f64() / told.as_secs_f64() * 100.0;
    figures.push(Figure::at_most("the portal's own part of that", 2.0, own, "%"));
    figures.push(Figure::noted("of it, from the request to the Deployment", made.as_secs_f64(), "s"));
    figures.push(Figure::noted("of it, from ready pods to a portal that says so", (told - ready).as_secs_f64(), "s"));
    Ok(())
}

/// Memory and work of a portal that nobody uses, over many pods.
fn at_rest(admin: &Admin, portal: &Portal, figures: &mut Vec<Figure>) -> Result<()> {
    let many = grouped(MANY);
    say(&format!("{many} pods that are only there"));
    admin.fill(&portal.kube_namespace()?)?;
    wait("all pods in the portal", 2 * MINUTE, || Ok(portal.count("pods")? >= MANY + PODS))?;
    let memory = portal.settled_memory()?;
    let whole = format!("whole process at {many} pods on a real cluster, resting");
    figures.push(Figure::at_most(&whole, 150.0, megabytes(memory.resting), "MB"));
    let (worked, start) = (portal.worked()?, Instant::now());
    thread::sleep(MINUTE);
    let share = (portal.worked()? - worked).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    figures.push(Figure::at_most("its work at rest, of one core, in a minute", 1.0, share, "%"));
    Ok(())
}

/// The API server is away for a minute; people go on looking.
fn away(portal: &Portal, figures: &mut Vec<Figure>) -> Result<()> {
    say("The API server is away for a minute");
    let page = portal.page("apps");
    let (seen, back) = thread::scope(|scope| -> Result<_> {
        let people = scope.spawn(|| open_loop(portal.port, &page, 20, MINUTE + Duration::from_secs(30), 8));
        cluster::stop(NAME, Part::ApiServer)?;
        thread::sleep(MINUTE);
        cluster::start(NAME, Part::ApiServer)?;
        let back = Instant::now();
        wait("fresh data", 2 * MINUTE, || Ok(portal.freshness()? == "live"))?;
        let back = back.elapsed();
        let seen = people.join().unwrap_or_else(|_| bail!("a thread panicked"))?;
        Ok((seen, back))
    })?;
    #[allow(clippy::cast_precision_loss)]
    let failed = seen.refused as f64;
    figures.push(Figure::at_most("pages that fail while the API server is away for 60 s, of 1,800", 0.0, failed, ""));
    figures.push(Figure::at_most("from its return (ready) to fresh data", 3.0, back.as_secs_f64(), "s"));
    Ok(())
}

/// What goes away with the portal: the cluster's own controllers watch, too, and also kinds that came with Berth.
fn watching(admin: &Admin, portal: Portal, figures: &mut Vec<Figure>) -> Result<()> {
    let with = admin.watches()?;
    drop(portal);
    let mut without = Vec::new();
    wait("the portal's watches to end", MINUTE, || {
        let last = std::mem::replace(&mut without, admin.watches()?);
        Ok(count(&with, APPS) > count(&without, APPS) && last == without)
    })?;
    let (kind, most) = most_added(&without, &with);
    figures.push(Figure::at_most(
        &format!("its watches of one kind in the whole cluster (most: {kind})"),
        1.0,
        most,
        "",
    ));
    Ok(())
}

fn count(watches: &[(String, f64)], kind: &str) -> f64 {
    watches.iter().find(|(known, _)| known == kind).map_or(0.0, |(_, count)| *count)
}

/// The kind of which most watches were added, and how many.
fn most_added(before: &[(String, f64)], after: &[(String, f64)]) -> (String, f64) {
    let added = after.iter().map(|(kind, now)| (kind.clone(), now - count(before, kind)));
    added.max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or_default()
}

/// An administrator's plain way to the API server: `kubectl proxy`.
struct Admin {
    port: u16,
    _proxy: Process,
}

impl Admin {
    fn start(testbed: &Testbed, parts: &Parts) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(testbed.programs.join("kubectl"));
        command.arg("--kubeconfig").arg(&testbed.kubeconfig).args(["proxy", "--port", &port.to_string()]);
        let proxy = spawn(&mut command, &parts.folder.join("bench-kubectl-proxy.log"))?;
        let admin = Self { port, _proxy: proxy };
        wait("kubectl proxy", MINUTE, || Ok(Connection::open(port).is_ok()))?;
        Ok(admin)
    }

    /// Open watches over the whole cluster, by kind.
    fn watches(&self) -> Result<Vec<(String, f64)>> {
        let text = Connection::open(self.port)?.send(&Request::of_cluster("/metrics"))?.text()?;
        Ok(watches(&text))
    }

    /// Makes the pods that are only there: none is ever scheduled, as a gate keeps it.
    fn fill(&self, namespace: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        each(self.port, 4, MANY, |connection, number| {
            let answer = connection.send(&Request::json("POST", &path, "", &pod(number)))?;
            if answer.status == 201 { Ok(()) } else { bail!("pod {number}: {} {}", answer.status, answer.text()?) }
        })
    }
}

/// A pod of about 9 KB.
fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("filler-{number:04}"),
            "annotations": { "example.com/padding": "x".repeat(8_000) },
        },
        "spec": {
            "schedulingGates": [{ "name": "example.com/never" }],
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main",
                "image": "registry.example/filler:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

/// Cluster-wide watches in the API server's metrics, by group and resource.
fn watches(metrics: &str) -> Vec<(String, f64)> {
    let label = |line: &str, name: &str| -> Option<String> {
        let rest = line.split_once(&format!("{name}=\""))?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let lines = metrics.lines().filter(|line| line.starts_with("apiserver_longrunning_requests{"));
    let watches = lines.filter(|line| line.contains("verb=\"WATCH\"") && line.contains("scope=\"cluster\""));
    watches
        .filter_map(|line| {
            let kind = format!("{}/{}", label(line, "group")?, label(line, "resource")?);
            Some((kind, line.rsplit_once(' ')?.1.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_counted_by_kind() {
        let line = |scope: &str, group: &str, resource: &str, count: u32| {
            format!(
                "apiserver_longrunning_requests{{component=\"apiserver\",group=\"{group}\",resource=\"{resource}\",\
                 scope=\"{scope}\",subresource=\"\",verb=\"WATCH\",version=\"v1\"}} {count}\n"
            )
        };
        let before = watches(&line("cluster", "", "pods", 3));
        let after =
            line("cluster", "", "pods", 4) + &line("namespace", "", "pods", 9) + &line("cluster", "apps", "x", 2);
        let after = watches(&after);
        assert_eq!(after, [("/pods".to_owned(), 4.0), ("apps/x".to_owned(), 2.0)]);
        assert_eq!(most_added(&before, &after), ("apps/x".to_owned(), 2.0));
    }
}
