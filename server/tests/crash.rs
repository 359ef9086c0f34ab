//! `kill -9` at once after an answer: what was confirmed is there after the next start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const BERTH: &str = env!("CARGO_BIN_EXE_berth");

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(BERTH)
            .args(["serve", "--sim", "--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let address = first.split("http://").nth(1).unwrap().to_owned();
        // Read to the end, so that it never blocks on what nobody reads.
        std::thread::spawn(move || for _ in lines {});
        Self { child, address }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    /// Sends a form that must be answered by a redirect; the session cookie that it sets.
    fn form(&self, path: &str, cookie: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: berth\r\nconnection: close\r\ncookie: {cookie}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 303"), "{path}: {answer}");
        let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: berth-plain="));
        set.and_then(|value| value.split(';').next()).map(|value| format!("berth-plain={value}")).unwrap_or_default()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_confirmed_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let admin = |args: &[&str]| {
        let out = Command::new(BERTH).arg("admin").args(args).arg("--data").arg(data.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let made = admin(&["create-user", "ops", "--platform-admin"]);
    let password = made.trim().rsplit(' ').next().unwrap().to_owned();
    let token = admin(&["create-token", "ops"]).trim().to_owned();
    let spec = r#"{"components":[{"name":"main","image":"registry.example.com/shop/web:1"}]}"#;

    let server = Server::start(data.path());
    let cookie = server.form("/sign-in", "", &format!("name=ops&password={password}"));
    server.form(
        "/password",
        &cookie,
        &format!("current={password}&new=correct+horse+battery&again=correct+horse+battery"),
    );
    server.kill();
    let server = Server::start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants", &token, r#"{"name":"shop"}"#).0, 201);
    server.kill();
    let server = Server::start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants/shop/namespaces", &token, r#"{"name":"dev"}"#).0, 201);
    server.kill();
    let apps = "/api/v1/tenants/shop/namespaces/dev/apps";
    for round in 0..4 {
        let server = Server::start(data.path());
        let begun = Instant::now();
        // The custom resource may not be served in the first moments of a start.
        let body = format!(r#"{{"name":"app-{round}","spec":{spec}}}"#);
        while server.ask("POST", apps, &token, &body).0 != 201 {
            assert!(begun.elapsed() < Duration::from_secs(30), "an app can be made");
        }
        server.kill();
    }
    let server = Server::start(data.path());
    let begun = Instant::now();
    loop {
        let (_, list) = server.ask("GET", &format!("{apps}?phase=Ready"), &token, "");
        if list.contains(r#""total":4"#) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "all four come up: {list}");
        std::thread::yield_now();
    }
}
