//! Who loses a role loses what they have open: pages, streams and terminals.
//!
//! `BERTH_REVOKE=25x40` is so many people, so many times. How long it took is printed (the goal is 5 s), and only that it ends is
//! required: a busy machine proves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/process.rs"]
mod process;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use process::{Server, admin, scale};

const NAMESPACE: &str = "/api/v1/tenants/shop/namespaces/dev";

/// Somebody, by both ways in.
struct Person {
    name: String,
    token: String,
    cookie: String,
}

/// What can be held open.
#[derive(Debug, Clone, Copy)]
enum Open {
    Watch,
    Logs,
    Page,
    Terminal,
}

impl Open {
    const ALL: [Self; 4] = [Self::Watch, Self::Logs, Self::Page, Self::Terminal];

    fn request(self, person: &Person, pod: &str) -> String {
        let token = format!("authorization: Bearer {}\r\naccept: text/event-stream", person.token);
        let cookie = format!("cookie: {}", person.cookie);
        let (path, headers) = match self {
            Self::Watch => (format!("{NAMESPACE}/apps"), token),
            Self::Logs => (format!("{NAMESPACE}/pods/{pod}/logs?follow=true"), token),
            Self::Page => ("/live?path=/t/shop/n/dev/apps".to_owned(), cookie),
            Self::Terminal => (
                format!("/t/shop/n/dev/pods/{pod}/exec?command=sh"),
                format!(
                    "{cookie}\r\nsec-fetch-site: same-origin\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nconnection: upgrade"
                ),
            ),
        };
        format!("GET {path} HTTP/1.1\r\nhost: berth\r\n{headers}\r\n\r\n")
    }

    /// What the first of an answer says when it is open.
    fn is_open(self, said: &str) -> bool {
        match self {
            Self::Terminal => said.starts_with("HTTP/1.1 101"),
            Self::Logs => said.starts_with("HTTP/1.1 200"),
            Self::Watch | Self::Page => said.starts_with("HTTP/1.1 200") && said.contains("event: "),
        }
    }

    /// Whether what came since is the end of it: a page's stream is also that of other pages, so it stays.
    fn is_over(self, said: &str) -> bool {
        matches!(self, Self::Page) && said.contains("event: gone")
    }
}

/// Holds it open, says when it is, and comes back with the moment at which it ended.
fn hold(address: &str, open: Open, person: &Person, pod: &str, ready: &mpsc::Sender<()>) -> Instant {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(open.request(person, pod).as_bytes()).unwrap();
    // Far longer than it may take: it ends the test where nothing else does.
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let (mut said, mut opened, mut buffer) = (String::new(), false, [0; 4096]);
    loop {
        let got = stream.read(&mut buffer).unwrap_or_else(|e| panic!("{open:?} is never ended: {e}; {said}"));
        said.push_str(&String::from_utf8_lossy(&buffer[..got]));
        if !opened && open.is_open(&said) {
            opened = true;
            ready.send(()).unwrap();
        }
        if got == 0 || open.is_over(&said) || said.ends_with("\r\n0\r\n\r\n") {
            assert!(opened, "{open:?} for {} was never open: {said}", person.name);
            return Instant::now();
        }
    }
}

#[test]
fn what_is_open_ends_with_the_role() {
    let (people, rounds) = scale("BERTH_REVOKE", "8x1");
    let data = tempfile::tempdir().unwrap();
    let admin = |args: &[&str]| admin(args, &["--data", data.path().to_str().unwrap()]);
    let made = admin(&["create-user", "root", "--platform-admin"]);
    let root = admin(&["create-token", "root"]).trim().to_owned();
    let accounts: Vec<_> = (0..people)
        .map(|number| {
            let name = format!("person-{number}");
            let made = admin(&["create-user", &name]);
            let token = admin(&["create-token", &name]).trim().to_owned();
            (name, made, token)
        })
        .collect();
    let server = Server::start(["serve", "--sim", "--data", data.path().to_str().unwrap()]);
    server.choose_password("root", &made);
    let people: Vec<_> = accounts
        .into_iter()
        .map(|(name, made, token)| Person { cookie: server.choose_password(&name, &made), name, token })
        .collect();

    let until = |method: &str, path: &str, body: &str, good: &dyn Fn(u16, &str) -> bool| {
        let begun = Instant::now();
        loop {
            let (status, said) = server.ask(method, path, &root, body);
            if good(status, &said) {
                return said;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{method} {path}: {said}");
            thread::yield_now();
        }
    };
    let created = |status: u16, _: &str| status == 201;
    until("POST", "/api/v1/tenants", r#"{"name":"shop"}"#, &created);
    until("POST", "/api/v1/tenants/shop/namespaces", r#"{"name":"dev"}"#, &created);
    let app = r#"{"name":"web","spec":{"components":[{"name":"main","image":"registry.example.com/shop/web:1"}]}}"#;
    until("POST", &format!("{NAMESPACE}/apps"), app, &created);
    let pods = until("GET", &format!("{NAMESPACE}/pods"), "", &|_, said| said.contains(r#""phase":"running""#));
    let pod = pods.split(r#""name":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a pod").to_owned();

    let mut took = Vec::new();
    for round in 0..rounds {
        for person in &people {
            let path = format!("/api/v1/tenants/shop/members/{}", person.name);
            until("PUT", &path, r#"{"role":"developer"}"#, &|status, _| (200..300).contains(&status));
        }
        thread::scope(|scope| {
            let (ready, opened) = mpsc::channel();
            let (address, pod) = (&server.address, &pod);
            let held: Vec<_> = people
                .iter()
                .enumerate()
                .map(|(number, person)| {
                    let (ready, open) = (ready.clone(), Open::ALL[(number + round) % Open::ALL.len()]);
                    (person, open, scope.spawn(move || hold(address, open, person, pod, &ready)))
                })
                .collect();
            for _ in &held {
                opened.recv_timeout(Duration::from_secs(60)).expect("all are open");
            }
            let revoked: Vec<_> = held
                .into_iter()
                .map(|(person, open, holder)| {
                    let path = format!("/api/v1/tenants/shop/members/{}", person.name);
                    until("DELETE", &path, "", &|status, _| status == 204);
                    let at = Instant::now();
                    // What is asked for after the answer is refused at once.
                    let (status, said) = server.ask("GET", &format!("{NAMESPACE}/apps"), &person.token, "");
                    assert_eq!(status, 404, "{}: {said}", person.name);
                    (open, at, holder)
                })
                .collect();
            for (open, at, holder) in revoked {
                took.push((holder.join().unwrap().saturating_duration_since(at), open));
            }
        });
    }
    let late = took.iter().filter(|(took, _)| *took > Duration::from_secs(5)).count();
    let slowest = took.iter().max_by_key(|(took, _)| *took).expect("some");
    println!("{} roles taken away: {late} ended later than 5 s after; the slowest {slowest:?}", took.len());
}
