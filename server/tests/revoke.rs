//! Who loses a role loses what they have open: pages, streams and terminals.
//!
//! `BERTH_REVOKE=25x40` is so many people, so many times. How long it took is printed (the goal is 5 s), and only that it ends is
//! required: a busy machine proves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/open.rs"]
#[allow(dead_code, reason = "other tests hold more open")]
mod open;
#[path = "support/process.rs"]
mod process;

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use open::{NAMESPACE, Open, Person, hold, shop};
use process::{Server, admin, scale};

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
        .map(|(name, made, token)| Person {
            cookie: server.choose_password(&name, &made),
            name,
            token,
            kubectl: String::new(),
        })
        .collect();

    let until = |method: &str, path: &str, body: &str, good: &dyn Fn(u16, &str) -> bool| {
        open::until(&server, &root, (method, path, body), good)
    };
    let pod = shop(&server, &root);

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
                took.push((holder.join().unwrap().0.saturating_duration_since(at), open));
            }
        });
    }
    let late = took.iter().filter(|(took, _)| *took > Duration::from_secs(5)).count();
    let slowest = took.iter().max_by_key(|(took, _)| *took).expect("some");
    println!("{} roles taken away: {late} ended later than 5 s after; the slowest {slowest:?}", took.len());
}
