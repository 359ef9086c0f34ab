//! A cluster that calls in: two portals behind one address, an agent that is a process of its own and has the only kubeconfig.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/harbour.rs"]
mod harbour;
#[path = "support/process.rs"]
mod process;

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _};
use harbour::{Cluster, PATIENCE, SECONDS, app, ask, deploy, done, harbour, until};
use process::{BERTH, Process, Server};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

/// One address for several portals: each connection goes to the next.
fn balancer(addresses: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let next = AtomicUsize::new(0);
        for near in listener.incoming().map_while(Result::ok) {
            let to = &addresses[next.fetch_add(1, Ordering::Relaxed) % addresses.len()];
            let Ok(far) = TcpStream::connect(to) else { continue };
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    address
}

fn agent(folder: &Path, server: &str, token: &str, kubeconfig: &Path) -> Process {
    let file = folder.join("agent.token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let mut command = Command::new(BERTH);
    command.args(["agent", "--server", &format!("http://{server}"), "--log", "error", "--token-file"]).arg(&file);
    command.arg("--kubeconfig").arg(kubeconfig).stdout(Stdio::null());
    Process(command.spawn().unwrap())
}

/// What a shell in a container says to `typed`, until it said `wanted`.
async fn terminal(server: &Server, cookie: &str, path: &str, typed: &str, wanted: &str) {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", format!("http://{}", server.address).parse().unwrap());
    let stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::Binary(typed.as_bytes().to_vec().into())).await.unwrap();
    let mut said = String::new();
    let all = async {
        while let Some(Ok(message)) = socket.next().await {
            said.push_str(&String::from_utf8_lossy(&message.into_data()));
            if said.contains(wanted) {
                return;
            }
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok() && said.contains(wanted), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_calls_in_is_one_like_any_other() {
    let Some(harbour) = harbour().await else { return };
    let token = harbour.token.as_str();
    let portals = [Server::start(&harbour.arguments), Server::start(&harbour.arguments)];
    let [one, two] = &portals;
    let cookie = one.choose_password("root", &harbour.password);
    let folder = harbour.folder.path();
    let moon = Cluster::start(folder, "moon");
    let front = balancer(portals.iter().map(|portal| portal.address.clone()).collect());

    let made = done(one, token, "POST", "/agent-clusters", &json!({"name": "moon", "label": "Far side"}));
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(made["manifest"].as_str().unwrap().contains(&secret));
    until((two, token, "/clusters/moon"), SECONDS, "expected", |cluster| {
        cluster["reason"].as_str().is_some_and(|why| why.contains("does not call (not seen yet)"))
    });

    // It has a tunnel to each portal, though each call reaches whichever it likes.
    let called = agent(folder, &front, &secret, &moon.kubeconfig);
    let live = |cluster: &Value| cluster["health"] == "live" && cluster["agent"]["tunnels"] == 2;
    for portal in &portals {
        until((portal, token, "/clusters/moon"), PATIENCE, "live", live);
    }
    let seen = done(two, token, "GET", "/clusters/moon", &Value::Null);
    assert_eq!((&seen["agent"]["replicas"], &seen["agent"]["address"]), (&json!(2), &json!("127.0.0.1")), "{seen:#}");
    assert_eq!(seen["probe"]["checks"][0]["verdict"], "good", "{seen:#}");
    let probe = done(two, token, "POST", "/clusters/moon/probe", &Value::Null);
    assert!(probe["latencyMs"].is_number(), "{probe:#}");
    // The same cluster is registered by no kubeconfig besides.
    let (status, said) = ask(one, token, "POST", "/clusters", &json!({"name": "sun", "kubeconfig": moon.text()}));
    assert_eq!((status, &said["errors"][0]["code"]), (409, &json!("cluster_known")), "{said:#}");

    // A namespace, an app, its log, a shell in it: at both.
    done(one, token, "POST", "/tenants", &json!({"name": "shop"}));
    done(two, token, "POST", "/tenants/shop/namespaces", &json!({"name": "dev", "cluster": "moon"}));
    let apps = "/tenants/shop/namespaces/dev/apps";
    deploy(one, token, apps, &app("registry.example/web:1", 1));
    let path = format!("{apps}/web");
    for portal in &portals {
        until((portal, token, &path), PATIENCE, "ready", |app| app["status"]["phase"] == "Ready");
        let (status, log) = portal.ask("GET", &format!("/api/v1{path}/logs?tail=5"), token, "");
        assert_eq!(status, 200, "{log}");
        let pods = done(portal, token, "GET", "/tenants/shop/namespaces/dev/pods", &Value::Null);
        let pod = pods["items"][0]["name"].as_str().unwrap();
        let shell = format!("/t/shop/n/dev/pods/{pod}/exec");
        terminal(portal, &cookie, &shell, "echo through the tunnel\n", "through the tunnel").await;
    }

    // kill -9: away at both, though the cluster itself is there; and back by itself.
    drop(called);
    for portal in &portals {
        until((portal, token, "/clusters/moon"), Duration::from_secs(30), "away, for this reason", |cluster| {
            let why = cluster["reason"].as_str().unwrap_or_default();
            let told = why.contains("does not call (last seen 20");
            cluster["health"] == "away" && cluster["agent"]["tunnels"] == 0 && told
        });
        until((portal, token, "/clusters/local"), PATIENCE, "live", |cluster| cluster["health"] == "live");
    }
    let _called = agent(folder, &front, &secret, &moon.kubeconfig);
    for portal in &portals {
        until((portal, token, "/clusters/moon"), PATIENCE, "live again", live);
    }
    done(two, token, "POST", &format!("{path}/scale"), &json!({"replicas": 2}));
    until((one, token, &path), PATIENCE, "a second pod", |app| app["status"]["ready"] == "2/2");

    // The token is good for no other cluster, and who tries is told of.
    let sun = Cluster::start(folder, "sun");
    let stranger = agent(folder, &front, &secret, &sun.kubeconfig);
    until((one, token, "/clusters/moon"), PATIENCE, "refused", |cluster| {
        cluster["agent"]["refused"].as_str().is_some_and(|why| why.contains("another cluster"))
    });
    drop(stranger);

    // Revoked: closed at both within 5 s.
    let begun = Instant::now();
    let (status, _) = ask(one, token, "DELETE", "/clusters/moon/agent-token", &Value::Null);
    assert_eq!(status, 204);
    for portal in &portals {
        until((portal, token, "/clusters/moon"), PATIENCE, "away", |cluster| cluster["health"] == "away");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5) + Duration::from_secs(3), "{took:?}: 5 s, and what a slow machine adds");
    let log = done(two, token, "GET", "/admin/audit?limit=200", &Value::Null);
    let entries = log["items"].as_array().unwrap().iter().rev().filter(|entry| entry["target"] == "moon");
    let said: Vec<(&str, &str)> = entries
        .map(|entry| (entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
        .filter(|(action, _)| *action != "cluster.probe")
        .collect();
    let want = [
        ("cluster.register", "done"),
        ("cluster.connect", "done"),
        ("cluster.connect", "failed"),
        ("cluster.agent.revoke", "done"),
    ];
    assert_eq!(said, want, "{log:#}");
}
