//! Two portals on one Postgres, and many people who want the last of a quota at the same time: it is given once.
//!
//! `BERTH_RACE=1000x100` is so many people, so many times.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use berth_store::testing::Postgres;
use process::{BERTH, Process, Server, admin, scale};
use serde_json::{Value, json};

/// Namespaces of the tenant; each asker wants one more for one of them.
const NAMESPACES: usize = 8;

struct Portals {
    servers: [Server; 2],
    token: String,
}

impl Portals {
    fn ask(&self, which: usize, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/api/v1/tenants{path}");
        let (status, answer) = self.servers[which % 2].ask(method, &path, &self.token, &body);
        let said = answer.split_once("\r\n\r\n").map_or("", |(_, said)| said);
        (status, serde_json::from_str(said).unwrap_or_else(|_| json!(answer)))
    }

    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, said) = self.ask(0, method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {said:#}");
        said
    }

    /// The tenant's limit of pods, what is shared out of it, and each namespace's share and what the cluster holds it to.
    fn ledger(&self, which: usize) -> (u64, u64, BTreeMap<String, (u64, u64)>) {
        let (status, said) = self.ask(which, "GET", "/race/quota", &Value::Null);
        assert_eq!(status, 200, "{said:#}");
        let quota = &said["items"][0];
        let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let pods = quota["resources"].as_array().unwrap().iter().find(|row| row["resource"] == "pods").unwrap();
        let of = |row: &Value| {
            let name = row["namespace"].as_str().unwrap().to_owned();
            (name, (number(&row["share"]["pods"]), number(&row["enforced"]["pods"])))
        };
        let namespaces = quota["namespaces"].as_array().unwrap().iter().map(of).collect();
        (number(&pods["limit"]), number(&pods["shared"]), namespaces)
    }
}

#[tokio::test]
async fn the_last_of_a_quota_is_given_once() {
    let Some(postgres) = Postgres::start().unwrap() else { return };
    let database = postgres.database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (data, kubeconfig) = (folder.path().join("data"), folder.path().join("kubeconfig"));
    let mut sim = Command::new(BERTH);
    sim.args(["sim", "--listen", "127.0.0.1:0", "--kubeconfig-out"]).arg(&kubeconfig).stdout(Stdio::null());
    let _sim = Process(sim.spawn().unwrap());
    let begun = Instant::now();
    while !kubeconfig.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the cluster comes up");
        thread::yield_now();
    }
    let place = ["--database", database.as_str(), "--data", data.to_str().unwrap()];
    let made = admin(&["create-user", "root", "--platform-admin"], &place);
    let token = admin(&["create-token", "root"], &place).trim().to_owned();
    let serve = || Server::start(["serve", "--kubeconfig", kubeconfig.to_str().unwrap()].into_iter().chain(place));
    let portals = Portals { servers: [serve(), serve()], token };

    portals.servers[0].choose_password("root", &made);
    portals.done("POST", "", &json!({"name": "race"}));
    let limit = |pods: u64| json!({"cluster": "local", "resources": {"pods": pods.to_string()}});
    let mut pods = NAMESPACES as u64;
    portals.done("PUT", "/race/quota", &limit(pods));
    for number in 0..NAMESPACES {
        let new = json!({"name": format!("n{number}"), "share": {"pods": "1"}});
        portals.done("POST", "/race/namespaces", &new);
    }

    let (askers, rounds) = scale("BERTH_RACE", "100x3");
    for round in 0..rounds {
        // One more for all of them together.
        pods += 1;
        portals.done("PUT", "/race/quota", &limit(pods));
        let (_, _, before) = portals.ledger(0);
        let start = Barrier::new(askers);
        let answers: Vec<(String, u16, Value)> = thread::scope(|scope| {
            let asking = |asker: usize| {
                let name = format!("n{}", asker / 2 % NAMESPACES);
                let share = json!({"resources": {"pods": (before[&name].0 + 1).to_string()}});
                let (portals, start) = (&portals, &start);
                scope.spawn(move || {
                    start.wait();
                    let path = format!("/race/namespaces/{name}/quota");
                    // Busy is no answer: who is told to come back does.
                    loop {
                        let (status, said) = portals.ask(asker, "PUT", &path, &share);
                        if ![429, 503].contains(&status) {
                            return (name, status, said);
                        }
                        thread::yield_now();
                    }
                })
            };
            let all: Vec<_> = (0..askers).map(asking).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let winners: Vec<&str> =
            answers.iter().filter(|(_, status, _)| *status == 200).map(|(name, ..)| &**name).collect();
        assert!(!winners.is_empty(), "round {round}: somebody gets it: {:#}", answers[0].2);
        assert!(winners.iter().all(|name| *name == winners[0]), "round {round}: it was given to {winners:?}");
        let refused = answers.iter().filter(|(_, status, _)| *status != 200);
        for (name, status, said) in refused {
            assert_eq!(*status, 422, "round {round}, {name}: {said:#}");
        }
        for which in 0..2 {
            let (limit, shared, after) = portals.ledger(which);
            assert_eq!((limit, shared), (pods, pods), "round {round}");
            assert_eq!(after.values().map(|(share, _)| share).sum::<u64>(), pods, "round {round}: {after:?}");
        }
    }

    let begun = Instant::now();
    loop {
        let (_, _, namespaces) = portals.ledger(1);
        if namespaces.values().all(|(share, enforced)| share == enforced) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the cluster holds them to their shares: {namespaces:?}");
        thread::yield_now();
    }
}
