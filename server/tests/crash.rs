//! `kill -9` at once after an answer: what was confirmed is there after the next start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/process.rs"]
mod process;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use process::{Server, admin};

fn start(data: &Path) -> Server {
    Server::start(["serve", "--sim", "--data", data.to_str().unwrap()])
}

/// Sends a form that must be answered by a redirect; the session cookie that it sets.
fn form(server: &Server, path: &str, cookie: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(&server.address).unwrap();
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

#[test]
fn nothing_confirmed_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let admin = |args: &[&str]| admin(args, &["--data", data.path().to_str().unwrap()]);
    let made = admin(&["create-user", "ops", "--platform-admin"]);
    let password = made.trim().rsplit(' ').next().unwrap().to_owned();
    let token = admin(&["create-token", "ops"]).trim().to_owned();
    let spec = r#"{"components":[{"name":"main","image":"registry.example.com/shop/web:1"}]}"#;

    let server = start(data.path());
    let cookie = form(&server, "/sign-in", "", &format!("name=ops&password={password}"));
    form(
        &server,
        "/password",
        &cookie,
        &format!("current={password}&new=correct+horse+battery&again=correct+horse+battery"),
    );
    server.kill();
    let server = start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants", &token, r#"{"name":"shop"}"#).0, 201);
    server.kill();
    let server = start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants/shop/namespaces", &token, r#"{"name":"dev"}"#).0, 201);
    server.kill();
    let apps = "/api/v1/tenants/shop/namespaces/dev/apps";
    for round in 0..4 {
        let server = start(data.path());
        let begun = Instant::now();
        // The custom resource may not be served in the first moments of a start.
        let body = format!(r#"{{"name":"app-{round}","spec":{spec}}}"#);
        while server.ask("POST", apps, &token, &body).0 != 201 {
            assert!(begun.elapsed() < Duration::from_secs(30), "an app can be made");
        }
        server.kill();
    }
    let server = start(data.path());
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
