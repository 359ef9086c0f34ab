//! `kill -9` at once after an answer: what was confirmed is there after the next start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/process.rs"]
mod process;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use process::{Server, admin};

fn start(data: &Path) -> Server {
    Server::start(["serve", "--sim", "--data", data.to_str().unwrap()])
}

#[test]
fn nothing_confirmed_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let admin = |args: &[&str]| admin(args, &["--data", data.path().to_str().unwrap()]);
    let made = admin(&["create-user", "ops", "--platform-admin"]);
    let token = admin(&["create-token", "ops"]).trim().to_owned();
    let spec = r#"{"components":[{"name":"main","image":"registry.example.com/shop/web:1"}]}"#;

    let server = start(data.path());
    server.choose_password("ops", &made);
    drop(server);
    let server = start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants", &token, r#"{"name":"shop"}"#).0, 201);
    drop(server);
    let server = start(data.path());
    assert_eq!(server.ask("POST", "/api/v1/tenants/shop/namespaces", &token, r#"{"name":"dev"}"#).0, 201);
    drop(server);
    let apps = "/api/v1/tenants/shop/namespaces/dev/apps";
    for round in 0..4 {
        let server = start(data.path());
        let begun = Instant::now();
        // The custom resource may not be served in the first moments of a start.
        let body = format!(r#"{{"name":"app-{round}","spec":{spec}}}"#);
        while server.ask("POST", apps, &token, &body).0 != 201 {
            assert!(begun.elapsed() < Duration::from_secs(30), "an app can be made");
        }
        drop(server);
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
