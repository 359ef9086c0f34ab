//! A cluster that calls in: two portals behind one address, an agent that is a process of its own and has the only kubeconfig.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/front.rs"]
mod front;
#[path = "support/harbour.rs"]
mod harbour;
#[path = "support/process.rs"]
mod process;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
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
            join(near, far);
        }
    });
    address
}

fn join(near: TcpStream, far: TcpStream) {
    for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

/// A proxy through which everything leads to `to`, whatever it is asked for; what it is asked.
fn proxy(to: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, asked) = mpsc::channel();
    thread::spawn(move || {
        for mut near in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if near.read_exact(&mut byte).is_err() {
                    break;
                }
                head.extend(byte);
            }
            let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
            let Ok(far) = TcpStream::connect(&to) else { continue };
            near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            join(near, far);
        }
    });
    (address, asked)
}

/// An agent that calls `server`, which nothing in the surroundings of the test leads elsewhere.
fn calls(folder: &Path, server: &str, token: &str, kubeconfig: &Path) -> Command {
    let file = folder.join("agent.token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let mut command = Command::new(BERTH);
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.args(["agent", "--server", server, "--token-file"]).arg(&file);
    command.arg("--kubeconfig").arg(kubeconfig).stdout(Stdio::null());
    command
}

fn agent(folder: &Path, server: &str, token: &str, kubeconfig: &Path) -> Process {
    let mut command = calls(folder, &format!("http://{server}"), token, kubeconfig);
    Process(command.args(["--log", "error"]).spawn().unwrap())
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
    // Not each in its turn: who calls is answered by one that it has more often than not.
    let front = balancer([one, one, one, two].map(|portal| portal.address.clone()).to_vec());

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

/// What an agent's log says first of why a call failed.
fn complains(mut command: Command) -> String {
    let mut child = command.args(["--log", "warn"]).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let _process = Process(child);
    let mut lines = log.lines().map_while(Result::ok);
    lines.find(|line| line.contains("a call failed")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_trusts_whom_it_is_told_to_and_goes_through_a_proxy() {
    let Some(harbour) = harbour().await else { return };
    let token = harbour.token.as_str();
    let portal = Server::start(&harbour.arguments);
    portal.choose_password("root", &harbour.password);
    let folder = harbour.folder.path();
    let moon = Cluster::start(folder, "moon");
    let made = done(&portal, token, "POST", "/agent-clusters", &json!({"name": "moon"}));
    let secret = made["token"].as_str().unwrap();
    let (port, listener, acceptor) = front::tls_front(folder).await;
    tokio::spawn(front::carry(listener, acceptor, portal.address.clone()));
    let authorities = folder.join("authorities");
    std::fs::create_dir(&authorities).unwrap();
    std::fs::copy(folder.join("ca.pem"), authorities.join("ca.crt")).unwrap();
    let direct = || calls(folder, &format!("https://127.0.0.1:{port}"), secret, &moon.kubeconfig);
    let trusting = |mut command: Command, file: PathBuf| {
        command.args(["--log", "error", "--ca-file"]).arg(file);
        command
    };

    // Signed by itself: nobody's authority, and none of its token goes there.
    let why = complains(direct());
    assert!(why.contains("no TLS connection") && why.contains("UnknownIssuer"), "{why}");
    let seen = done(&portal, token, "GET", "/clusters/moon", &Value::Null);
    assert!(seen["agent"]["seenAt"].is_null() && seen["health"] != "live", "{seen:#}");
    // Told to trust it, by a file or by a folder as Kubernetes mounts one.
    let live = |cluster: &Value| cluster["health"] == "live" && cluster["agent"]["tunnels"] == 1;
    let away = |cluster: &Value| cluster["health"] == "away" && cluster["agent"]["tunnels"] == 0;
    for file in [folder.join("ca.pem"), authorities.clone()] {
        let called = Process(trusting(direct(), file).spawn().unwrap());
        until((&portal, token, "/clusters/moon"), PATIENCE, "live", live);
        drop(called);
        until((&portal, token, "/clusters/moon"), PATIENCE, "away", away);
    }

    // A name that only the proxy can find, and that the proxy is told; TLS is spoken with the portal all the same.
    let (through, asked) = proxy(format!("127.0.0.1:{port}"));
    let named = || {
        let mut command = calls(folder, "https://portal.invalid", secret, &moon.kubeconfig);
        command.env("HTTPS_PROXY", format!("http://user:word@{through}"));
        command
    };
    let why = complains(named());
    assert!(why.contains("UnknownIssuer"), "{why}");
    let _called = Process(trusting(named(), authorities).spawn().unwrap());
    until((&portal, token, "/clusters/moon"), PATIENCE, "live through the proxy", live);
    for head in asked.try_iter() {
        assert!(head.starts_with("CONNECT portal.invalid:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n") && !head.contains(secret), "{head}");
    }
}
