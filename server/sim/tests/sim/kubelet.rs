//! Logs, exec, restarts, probes and what keeps containers from starting.

use std::time::Duration;

use crate::common::{World, pod, pod_spec};
use berth_sim::{
    controllers::{fields::Fields, resources::qos_class},
    hooks::{Io, LogOptions},
    registry::builtin::gr,
};
use futures::StreamExt;
use serde_json::json;
use tokio::io::AsyncReadExt;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn log(world: &World, name: &str, options: LogOptions) -> Result<String, String> {
    let pod = world.get(&gr::PODS, name);
    let mut stream = world.cluster.kubelet().logs(&pod, "main", &options).await.map_err(|status| status.message)?;
    let mut out = Vec::new();
    while let Some(bytes) = stream.next().await {
        out.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8(out).unwrap())
}

async fn exec(world: &World, name: &str, command: &[&str]) -> (i32, String, String) {
    let pod = world.get(&gr::PODS, name);
    let (mut out, stdout) = tokio::io::duplex(65_536);
    let (mut err, stderr) = tokio::io::duplex(65_536);
    let (_resize, receiver) = tokio::sync::mpsc::channel(1);
    let io = Io {
        stdin: None,
        stdout: Some(Box::new(stdout)),
        stderr: Some(Box::new(stderr)),
        tty: false,
        resize: receiver,
    };
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let code = match world.cluster.kubelet().exec(&pod, "main", &command, io).await {
        Ok(code) => code,
        Err(status) => return (-1, String::new(), status.message),
    };
    let (mut text, mut errors) = (String::new(), String::new());
    out.read_to_string(&mut text).await.unwrap();
    err.read_to_string(&mut errors).await.unwrap();
    (code, text, errors)
}

fn shell(name: &str, script: &str) -> serde_json::Value {
    let mut pod = pod(name, "busybox");
    pod["spec"]["containers"][0]["command"] = json!(["sh", "-c", script]);
    pod
}

#[tokio::test]
async fn logs_are_read_in_every_way() {
    let world = World::new();
    world.create(&gr::PODS, shell("talk", "for i in 1 2 3; do echo line $i; sleep 10; done; sleep infinity"));
    let waiting = log(&world, "talk", LogOptions::default()).await.unwrap_err();
    assert_eq!(waiting, "container \"main\" in pod \"talk\" is waiting to start: ContainerCreating");
    world.advance(seconds(15));
    assert_eq!(log(&world, "talk", LogOptions::default()).await.unwrap(), "line 1\nline 2\n");
    let tail = LogOptions { tail_lines: Some(1), timestamps: true, ..LogOptions::default() };
    let last = log(&world, "talk", tail).await.unwrap();
    assert!(last.starts_with("2026-01-01T00:00:1") && last.ends_with("Z line 2\n"), "{last}");
    let recent = LogOptions { since_seconds: Some(8), ..LogOptions::default() };
    assert_eq!(log(&world, "talk", recent).await.unwrap(), "line 2\n");
    let short = LogOptions { limit_bytes: Some(4), ..LogOptions::default() };
    assert_eq!(log(&world, "talk", short).await.unwrap(), "line");
    let previous = LogOptions { previous: true, ..LogOptions::default() };
    assert_eq!(
        log(&world, "talk", previous).await.unwrap_err(),
        "previous terminated container \"main\" in pod \"talk\" not found"
    );
}

#[tokio::test]
async fn a_followed_log_ends_with_its_container() {
    let world = World::new();
    let mut pod = shell("brief", "echo begun; sleep 5; echo ended");
    pod["spec"]["restartPolicy"] = json!("Never");
    world.create(&gr::PODS, pod);
    world.advance(seconds(2));
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let reading = log(&world, "brief", follow);
    tokio::pin!(reading);
    let text = loop {
        tokio::select! {
            biased;
            text = &mut reading => break text.unwrap(),
            () = tokio::task::yield_now() => world.advance(Duration::from_millis(100)),
        }
    };
    assert_eq!(text, "begun\nended\n");
    assert_eq!(world.get(&gr::PODS, "brief").text("/status/phase"), "Succeeded");
}

#[tokio::test]
async fn the_log_of_the_last_life_stays_readable() {
    let world = World::new();
    world.create(&gr::PODS, pod("shop", "sim.berth.dev/no-db"));
    world.advance(seconds(8));
    let previous = LogOptions { previous: true, ..LogOptions::default() };
    let text = log(&world, "shop", previous).await.unwrap();
    assert!(text.ends_with("FATAL dial tcp: lookup db-payments: no such host\n"), "{text}");
}

#[tokio::test]
async fn exec_looks_around() {
    let world = World::new();
    world.create(&gr::CONFIG_MAPS, json!({"metadata": {"name": "settings"}, "data": {"app.conf": "port=80\n"}}));
    let mut web = pod("web", "nginx:1");
    web["spec"]["containers"][0]["env"] = json!([{"name": "COLOUR", "value": "blue"}]);
    web["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "c", "mountPath": "/etc/app"}]);
    web["spec"]["volumes"] = json!([{"name": "c", "configMap": {"name": "settings"}}]);
    world.create(&gr::PODS, web);
    world.advance(seconds(2));
    assert_eq!(exec(&world, "web", &["hostname"]).await, (0, "web\n".into(), String::new()));
    assert_eq!(exec(&world, "web", &["cat", "/etc/app/app.conf"]).await.1, "port=80\n");
    assert_eq!(
        exec(&world, "web", &["sh", "-c", "cd /etc && ls app; echo $COLOUR | wc -l; exit 4"]).await,
        (4, "app.conf\n1\n".into(), String::new())
    );
    assert_eq!(
        exec(&world, "web", &["sh", "-c", "cut -d: -f1 /etc/passwd | sort | tr a-z A-Z | sed s/P/b/"]).await.1,
        "AbP\nROOT\n"
    );
    assert_eq!(exec(&world, "web", &["grep", "-c", "sh", "/etc/passwd"]).await.1, "2\n");
    assert_eq!(
        exec(&world, "web", &["sed", "w x", "/etc/passwd"]).await,
        (1, String::new(), "sed: unsupported command w\n".into())
    );
    for absent in ["perl", "python3", "curl", "xargs"] {
        let (code, _, errors) = exec(&world, "web", &["sh", "-c", &format!("echo x | {absent}")]).await;
        assert_eq!((code, errors), (127, format!("sh: {absent}: not found\n")));
    }
    let (code, _, errors) = exec(&world, "web", &["sh", "-c", "frobnicate"]).await;
    assert_eq!((code, errors.as_str()), (127, "sh: frobnicate: not found\n"));
    assert!(
        exec(&world, "web", &["frobnicate"])
            .await
            .2
            .ends_with("exec: \"frobnicate\": executable file not found in $PATH: unknown")
    );
}

#[tokio::test]
async fn missing_things_keep_containers_from_starting() {
    let world = World::new();
    let mut needy = pod("needy", "web");
    needy["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "absent"}}]);
    world.create(&gr::PODS, needy);
    let mut mounts = pod("mounts", "web");
    mounts["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "absent"}}]);
    world.create(&gr::PODS, mounts);
    let mut wrong = pod("wrong", "UPPER");
    wrong["spec"]["containers"][0]["image"] = json!("Registry/UPPER:1");
    world.create(&gr::PODS, wrong);
    world.advance(seconds(3));
    let waiting = |name: &str| {
        let pod = world.get(&gr::PODS, name);
        let state = pod.at("/status/containerStatuses/0/state/waiting").clone();
        (state.text("/reason").to_owned(), state.text("/message").to_owned())
    };
    assert_eq!(waiting("needy"), ("CreateContainerConfigError".into(), "configmap \"absent\" not found".into()));
    assert_eq!(waiting("mounts").0, "ContainerCreating");
    assert!(world.events("mounts").iter().any(
        |event| event.text("/message") == "MountVolume.SetUp failed for volume \"s\" : secret \"absent\" not found"
    ));
    assert_eq!(waiting("wrong").0, "InvalidImageName");
    world.create(&gr::CONFIG_MAPS, json!({"metadata": {"name": "absent"}, "data": {}}));
    world.advance(seconds(15));
    assert!(world.get(&gr::PODS, "needy").condition_is_true("Ready"));
}

#[tokio::test]
async fn a_pull_that_is_tried_again_shows_how_it_failed_meanwhile() {
    let world = World::new();
    world.create(&gr::PODS, pod("lost", "registry.example/web:missing"));
    world.advance(seconds(2));
    let reason = || world.get(&gr::PODS, "lost").text("/status/containerStatuses/0/state/waiting/reason").to_owned();
    let pulls = || {
        let events = world.events("lost");
        events
            .iter()
            .filter(|event| event.text("/reason") == "Pulling")
            .filter_map(|event| event.int("/count"))
            .sum::<i64>()
    };
    assert_eq!((reason().as_str(), pulls()), ("ImagePullBackOff", 1));
    let mut seen = Vec::new();
    for _ in 0..600 {
        world.advance(Duration::from_millis(50));
        let now = reason();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert!(pulls() > 1, "it was tried again");
    assert!(seen.iter().all(|reason| matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff")), "{seen:?}");
}

#[tokio::test]
async fn init_containers_run_in_order_and_sidecars_stay() {
    let world = World::new();
    let mut spec = pod_spec("web");
    spec["initContainers"] = json!([
        {"name": "first", "image": "busybox", "command": ["sleep", "5"]},
        {"name": "proxy", "image": "proxy", "restartPolicy": "Always"},
        {"name": "second", "image": "busybox", "command": ["sleep", "5"]},
    ]);
    world.create(&gr::PODS, json!({"metadata": {"name": "p"}, "spec": spec}));
    world.advance(seconds(3));
    let p = world.get(&gr::PODS, "p");
    assert_eq!(p.text("/status/phase"), "Pending");
    assert_eq!(
        p.condition("Initialized").unwrap().text("/message"),
        "containers with incomplete status: [first proxy second]"
    );
    assert_eq!(p.text("/status/containerStatuses/0/state/waiting/reason"), "PodInitializing");
    world.advance(seconds(15));
    let p = world.get(&gr::PODS, "p");
    assert_eq!(p.text("/status/phase"), "Running", "{p:?}");
    assert!(p.condition_is_true("Ready"));
    assert!(p.at("/status/initContainerStatuses/1/state/running").is_object());
    assert_eq!(p.text("/status/initContainerStatuses/0/state/terminated/reason"), "Completed");
    assert_eq!(qos_class(&p), "BestEffort");
}

#[tokio::test]
async fn a_hanging_container_is_restarted_and_a_leaking_one_killed() {
    let world = World::new();
    let mut hang = pod("hang", "sim.berth.dev/hang-after:20s");
    hang["spec"]["containers"][0]["livenessProbe"] =
        json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 2});
    world.create(&gr::PODS, hang);
    world.create(&gr::PODS, pod("leak", "sim.berth.dev/oom"));
    world.advance(seconds(9));
    let leak = world.get(&gr::PODS, "leak");
    let ended = leak.at("/status/containerStatuses/0");
    let terminated = [ended.at("/state/terminated"), ended.at("/lastState/terminated")]
        .into_iter()
        .find(|at| at.is_object())
        .unwrap();
    assert_eq!((terminated.text("/reason"), terminated.int("/exitCode")), ("OOMKilled", Some(137)));
    world.advance(seconds(25));
    let hang = world.get(&gr::PODS, "hang");
    assert_eq!(hang.int("/status/containerStatuses/0/restartCount"), Some(1), "{hang:?}");
    let messages: Vec<String> = world.events("hang").iter().map(|event| event.text("/message").to_owned()).collect();
    assert!(messages.contains(&"Container main failed liveness probe, will be restarted".to_owned()), "{messages:?}");
    assert!(messages.iter().any(|message| message.starts_with("Liveness probe failed: Get \"http://10.244.")));
}
