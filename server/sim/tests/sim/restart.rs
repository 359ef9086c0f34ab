//! What a restart of the simulator keeps: objects, running pods, restart counts, logs; and what a kill cannot break.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::common::{World, deployment};
use berth_sim::{
    Sim,
    clock::{Clock, ManualClock},
    controllers::fields::Fields,
    hooks::LogOptions,
    registry::builtin::gr,
    store::{Store, journal},
};
use futures::StreamExt;
use serde_json::{Value, json};

fn world(folder: &Path, now: &str) -> World {
    let clock = ManualClock::new(now.parse().unwrap());
    let sim = Sim::builder().clock(Arc::new(clock.clone())).data_dir(folder).build().unwrap();
    let cluster = sim.cluster.component("kubernetes-admin");
    let world = World { sim, clock, cluster };
    world.settle();
    world
}

async fn log(world: &World, pod: &Value) -> String {
    let options = LogOptions::default();
    let mut stream = world.cluster.kubelet().logs(pod, "main", &options).await.unwrap();
    let mut out = Vec::new();
    while let Some(bytes) = stream.next().await {
        out.extend_from_slice(&bytes);
    }
    String::from_utf8(out).unwrap()
}

/// Name, uid, container id and restarts of every pod.
fn census(world: &World) -> BTreeMap<String, (String, String, i64)> {
    world
        .pods("default")
        .iter()
        .map(|pod| {
            let container = pod.at("/status/containerStatuses/0");
            let restarts = container.int("/restartCount").unwrap();
            (pod.name().to_owned(), (pod.uid().to_owned(), container.text("/containerID").to_owned(), restarts))
        })
        .collect()
}

#[tokio::test]
async fn pods_go_on_running() {
    let folder = tempfile::tempdir().unwrap();
    let (before, text, now) = {
        let world = world(folder.path(), "2026-01-01T00:00:00Z");
        world.create(&gr::DEPLOYMENTS, deployment("web", "nginx", 3));
        let mut weak = deployment("weak", "nginx", 1);
        weak["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "SIM_FAIL_TIMES", "value": "2"}]);
        world.create(&gr::DEPLOYMENTS, weak);
        world.create(&gr::STATEFUL_SETS, {
            let mut set = deployment("db", "mysql", 2);
            set["spec"]["serviceName"] = json!("db");
            set["spec"].as_object_mut().unwrap().remove("strategy");
            set["spec"].as_object_mut().unwrap().remove("progressDeadlineSeconds");
            set
        });
        world.advance(Duration::from_secs(90));
        let before = census(&world);
        assert_eq!(before.values().map(|(_, _, restarts)| *restarts).max(), Some(2), "{before:?}");
        let weak = world.pods("default").into_iter().find(|pod| pod.name().starts_with("weak-")).unwrap();
        let text = log(&world, &weak).await;
        world.sim.stop();
        (before, text, world.clock.now())
    };
    assert_eq!(before.len(), 6);
    assert!(!text.is_empty());

    // A night later.
    let later = now.checked_add(Duration::from_secs(8 * 3600)).unwrap();
    let world = world(folder.path(), &later.to_string());
    world.advance(Duration::from_secs(60));
    assert_eq!(census(&world), before, "no pod is new, restarted or gone");
    for pod in world.pods("default") {
        assert!(pod.condition_is_true("Ready"), "{pod:?}");
    }
    let weak = world.pods("default").into_iter().find(|pod| pod.name().starts_with("weak-")).unwrap();
    let now = log(&world, &weak).await;
    let first = text.lines().next().unwrap();
    assert!(now.starts_with(first), "the log begins as it did: {first}\n{}", &now[..now.len().min(200)]);

    // And they are still governed: one that goes is replaced, under the same owner.
    let gone = before.keys().find(|name| name.starts_with("web-")).unwrap();
    world.delete(&gr::PODS, gone);
    world.advance(Duration::from_secs(40));
    let after = census(&world);
    assert_eq!(after.len(), 6);
    assert!(!after.contains_key(gone));
    assert_eq!(world.list(&gr::REPLICA_SETS).len(), 2);
}

#[tokio::test]
async fn a_crash_loop_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let restarts = |world: &World| census(world).values().next().unwrap().2;
    let before = {
        let world = world(folder.path(), "2026-01-01T00:00:00Z");
        world.create(&gr::DEPLOYMENTS, deployment("bad", "sim.berth.dev/crash", 1));
        world.advance(Duration::from_secs(60));
        let before = restarts(&world);
        world.sim.stop();
        before
    };
    assert!(before >= 2, "{before}");
    let world = world(folder.path(), "2026-01-01T00:01:01Z");
    assert_eq!(world.pods("default").len(), 1);
    assert!(restarts(&world) >= before);
    world.advance(Duration::from_secs(600));
    assert!(restarts(&world) > before, "it is started again");
}

#[tokio::test]
async fn yesterday_s_kubeconfig_still_works() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = async |sim: &Sim| {
        let serving = sim.serve_tls(([127, 0, 0, 1], 0).into()).await.unwrap();
        let line = |prefix: &str| {
            let text = serving.kubeconfig();
            text.lines().find(|line| line.trim().starts_with(prefix)).unwrap().to_owned()
        };
        (line("certificate-authority-data:"), line("token:"))
    };
    let first = {
        let sim = Sim::builder().data_dir(folder.path()).api_only().build().unwrap();
        let first = trusted(&sim).await;
        sim.stop();
        first
    };
    let sim = Sim::builder().data_dir(folder.path()).api_only().build().unwrap();
    assert_eq!(trusted(&sim).await, first);
}

const CHILD: &str = "BERTH_SIM_TEST_WRITER";

/// Not a test of its own: the process that [`a_kill_loses_nothing_confirmed`] kills.
#[tokio::test]
async fn writer() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let store = Store::new();
    journal::open(Path::new(&folder), &store).unwrap();
    let padding = "x".repeat(2000);
    for turn in 0_u64.. {
        let name = format!("pod-{}", turn % 50);
        let value = json!({"metadata": {"name": name}, "turn": turn, "padding": padding});
        if store.update(&gr::PODS, "ns", &name, None, value.clone()).is_err() {
            store.create(&gr::PODS, "ns", &name, value).unwrap();
        }
        if turn % 7 == 0 {
            store.durable(store.revision()).await;
            println!("confirmed {turn}");
        }
    }
}

#[test]
fn a_kill_loses_nothing_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restart::writer", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut confirmed = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // The harness prints on the same line before the first word.
            let line = line.unwrap();
            let Some((_, turn)) = line.split_once("confirmed ") else { continue };
            confirmed = turn.parse::<u64>().unwrap();
            if confirmed >= 70 * round + 3 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::new();
        journal::open(folder.path(), &store).expect("a killed writer leaves a readable folder");
        let pods = store.list(&gr::PODS, Some("ns")).items;
        assert_eq!(pods.len(), 50);
        let turns: Vec<u64> = pods.iter().map(|pod| pod["turn"].as_u64().unwrap()).collect();
        let newest = *turns.iter().max().unwrap();
        assert!(newest >= confirmed, "{newest} < {confirmed}");
        for (name, turn) in pods.iter().map(|pod| pod.name()).zip(&turns) {
            assert!(name.ends_with(&format!("-{}", turn % 50)) && newest - turn < 50, "{name} {turn} {newest}");
        }
        store.detach();
    }
}
