//! What people hold open: pages, streams and terminals; and a tenant in which they do.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::process::Server;

pub const NAMESPACE: &str = "/api/v1/tenants/shop/namespaces/dev";

/// Somebody, by both ways in.
pub struct Person {
    pub name: String,
    pub token: String,
    pub cookie: String,
    /// Of a kubeconfig; empty where nobody needs it.
    pub kubectl: String,
}

/// What can be held open.
#[derive(Debug, Clone, Copy)]
pub enum Open {
    Watch,
    Logs,
    Page,
    Terminal,
    Kubectl,
}

impl Open {
    /// All that needs no kubeconfig.
    pub const ALL: [Self; 4] = [Self::Watch, Self::Logs, Self::Page, Self::Terminal];

    fn request(self, person: &Person, pod: &str) -> String {
        let token = format!("authorization: Bearer {}\r\naccept: text/event-stream", person.token);
        let cookie = format!("cookie: {}", person.cookie);
        let (path, headers) = match self {
            Self::Watch => (format!("{NAMESPACE}/apps"), token),
            Self::Logs => (format!("{NAMESPACE}/pods/{pod}/logs?follow=true"), token),
            Self::Page => ("/live?path=/t/shop/n/dev/apps".to_owned(), cookie),
            Self::Kubectl => (
                "/k8s/local/api/v1/namespaces/shop-dev/pods?watch=true".to_owned(),
                format!("authorization: Bearer {}", person.kubectl),
            ),
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
            Self::Logs | Self::Kubectl => said.starts_with("HTTP/1.1 200"),
            Self::Watch | Self::Page => said.starts_with("HTTP/1.1 200") && said.contains("event: "),
        }
    }

    /// Whether what came since is the end of it: a page's stream is also that of other pages, so it stays.
    fn is_over(self, said: &str) -> bool {
        matches!(self, Self::Page) && said.contains("event: gone")
    }
}

/// Holds it open, says when it is, and comes back with the moment at which it ended and all that was said.
pub fn hold(address: &str, open: Open, person: &Person, pod: &str, ready: &mpsc::Sender<()>) -> (Instant, String) {
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
            return (Instant::now(), said);
        }
    }
}

/// Asks until the answer is good.
pub fn until(
    server: &Server,
    token: &str,
    (method, path, body): (&str, &str, &str),
    good: &dyn Fn(u16, &str) -> bool,
) -> String {
    let begun = Instant::now();
    loop {
        let (status, said) = server.ask(method, path, token, body);
        if good(status, &said) {
            return said;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{method} {path}: {said}");
        thread::yield_now();
    }
}

/// Makes tenant `shop` with an app in its namespace `dev`; the name of a pod that runs.
pub fn shop(server: &Server, root: &str) -> String {
    let made = |path: &str, body: &str| until(server, root, ("POST", path, body), &|status, _| status == 201);
    made("/api/v1/tenants", r#"{"name":"shop"}"#);
    made("/api/v1/tenants/shop/namespaces", r#"{"name":"dev"}"#);
    let app = r#"{"name":"web","spec":{"components":[{"name":"main","image":"registry.example.com/shop/web:1"}]}}"#;
    made(&format!("{NAMESPACE}/apps"), app);
    let runs = |_, said: &str| said.contains(r#""phase":"running""#);
    let pods = until(server, root, ("GET", &format!("{NAMESPACE}/pods"), ""), &runs);
    pods.split(r#""name":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a pod").to_owned()
}
