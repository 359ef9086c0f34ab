//! A database, clusters and portals, each a process of its own.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use berth_store::testing::Postgres;
use serde_json::{Value, json};

use crate::process::{BERTH, Process, Server, admin};

/// Longest that is waited for a condition.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// What the platform promises: what was registered elsewhere is here within seconds. Machines that run tests are slow.
pub const SECONDS: Duration = Duration::from_secs(15);

/// An embedded cluster in a process of its own.
pub struct Cluster {
    _process: Process,
    pub kubeconfig: PathBuf,
}

impl Cluster {
    pub fn start(folder: &Path, name: &str) -> Self {
        let kubeconfig = folder.join(name);
        let mut sim = Command::new(BERTH);
        sim.args(["sim", "--listen", "127.0.0.1:0", "--kubeconfig-out"]).arg(&kubeconfig).stdout(Stdio::null());
        let process = Process(sim.stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while std::fs::read_to_string(&kubeconfig).map_or(0, |text| text.len()) == 0 {
            assert!(begun.elapsed() < PATIENCE, "the cluster comes up");
            thread::yield_now();
        }
        Self { _process: process, kubeconfig }
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.kubeconfig).unwrap()
    }
}

pub fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = server.ask(method, &format!("/api/v1{path}"), token, &body);
    let said = answer.split_once("\r\n\r\n").map_or("", |(_, said)| said);
    (status, serde_json::from_str(said).unwrap_or_else(|_| json!(answer)))
}

pub fn done(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Value {
    let (status, said) = ask(server, token, method, path, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {said:#}");
    said
}

/// Asks until the answer is as `wanted` says.
pub fn until(
    (server, token, path): (&Server, &str, &str),
    limit: Duration,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let begun = Instant::now();
    loop {
        let (_, said) = ask(server, token, "GET", path, &Value::Null);
        if wanted(&said) {
            return said;
        }
        assert!(begun.elapsed() < limit, "never {what}: {said:#}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A database, a cluster and a way to start portals on both.
pub struct Harbour {
    _postgres: Postgres,
    pub folder: tempfile::TempDir,
    pub local: Cluster,
    pub arguments: Vec<String>,
    pub token: String,
    pub password: String,
}

pub async fn harbour() -> Option<Harbour> {
    let postgres = Postgres::start().unwrap()?;
    let database = postgres.database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let local = Cluster::start(folder.path(), "local");
    let key = folder.path().join("seal.key");
    std::fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let data = text(&folder.path().join("data"));
    let place = ["--database", database.as_str(), "--data", data.as_str()];
    let password = admin(&["create-user", "root", "--platform-admin"], &place);
    let token = admin(&["create-token", "root"], &place).trim().to_owned();
    let mut arguments: Vec<String> = ["serve", "--kubeconfig", &text(&local.kubeconfig)].map(str::to_owned).to_vec();
    arguments.extend(["--second-factor-key-file".to_owned(), text(&key)]);
    arguments.extend(place.map(str::to_owned));
    Some(Harbour { _postgres: postgres, folder, local, arguments, token, password })
}

pub fn app(image: &str, replicas: u32) -> Value {
    json!({"name": "web", "spec": {"components": [{"name": "main", "image": image, "replicas": replicas}]}})
}

/// Makes an app once the roles of people are there: these may still be on their way in a cluster that is new.
pub fn deploy(server: &Server, token: &str, apps: &str, app: &Value) {
    let begun = Instant::now();
    loop {
        let (status, said) = ask(server, token, "POST", apps, app);
        if status == 201 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{apps}: {status} {said:#}");
        thread::sleep(Duration::from_millis(200));
    }
}
