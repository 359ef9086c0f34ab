//! A portal whose database hangs: what is open ends, pages and probes say so, and all goes on when it answers again.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/open.rs"]
mod open;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use berth_store::testing::{Held, Postgres, Way};
use open::{NAMESPACE, Open, Person, hold, shop, until};
use process::{Server, admin};

/// Far longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);
/// After so long the store gives a statement up; whether a stream may go on is not waited for as long.
const STATEMENT: Duration = Duration::from_secs(10);
const PAGE: &str = "/t/shop/n/dev/apps";

struct Scene {
    server: Server,
    root: String,
    dan: Person,
    pod: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A portal that reaches its database at `by`, which is at `url`; dan develops in `shop`.
    fn open(url: &str, by: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap().to_owned();
        let admin = |args: &[&str]| admin(args, &["--database", url, "--data", &data]);
        let made = admin(&["create-user", "root", "--platform-admin"]);
        let root = admin(&["create-token", "root"]).trim().to_owned();
        let dans = admin(&["create-user", "dan"]);
        let token = admin(&["create-token", "dan"]).trim().to_owned();
        let server = Server::start(["serve", "--sim", "--database", by, "--data", &data]);
        server.choose_password("root", &made);
        let cookie = server.choose_password("dan", &dans);
        let pod = shop(&server, &root);
        let role = ("PUT", "/api/v1/tenants/shop/members/dan", r#"{"role":"developer"}"#);
        until(&server, &root, role, &|status, _| (200..300).contains(&status));
        let asked = ("POST", "/api/v1/me/kubeconfigs", r#"{"tenant":"shop","hours":1}"#);
        let file = until(&server, &token, asked, &|status, _| status == 201);
        let kubectl = file.split("token: ").nth(1).and_then(|rest| {
            let rest = rest.trim_start_matches(['\\', '"']);
            rest.split(['\\', '"']).next()
        });
        let kubectl = kubectl.expect(&file);
        let dan = Person { name: "dan".to_owned(), kubectl: kubectl.to_owned(), token, cookie };
        Self { server, root, dan, pod, _folder: folder }
    }

    /// Holds all of it open, makes the database hang, and returns when all has ended.
    fn ends(&self, what: &str, hang: impl FnOnce()) {
        let (ready, opened) = mpsc::channel();
        thread::scope(|scope| {
            let (address, dan, pod) = (&self.server.address, &self.dan, &self.pod);
            let held: Vec<_> = Open::ALL
                .into_iter()
                .chain([Open::Kubectl])
                .map(|open| {
                    let ready = ready.clone();
                    (open, scope.spawn(move || hold(address, open, dan, pod, &ready)))
                })
                .collect();
            for _ in &held {
                opened.recv_timeout(LONG).expect("all are open");
            }
            hang();
            let at = Instant::now();
            for (open, holder) in held {
                let (ended, said) = holder.join().unwrap();
                let took = ended.saturating_duration_since(at);
                println!("{what}: {open:?} ended after {took:?}");
                assert!(took < STATEMENT, "{open:?} waited for a statement to be given up: {took:?}");
                match open {
                    Open::Watch => assert!(said.contains("store-unavailable"), "{said}"),
                    // Nobody knows that it is gone: the browser comes back.
                    Open::Page => assert!(said.contains("event: bye") && !said.contains("event: gone"), "{said}"),
                    Open::Logs | Open::Terminal | Open::Kubectl => {}
                }
            }
        });
    }

    /// Asks until the answer has this status and says `part`.
    fn says(&self, path: &str, token: &str, status: u16, part: &str) -> String {
        until(&self.server, token, ("GET", path, ""), &|got, said| got == status && said.contains(part))
    }

    /// The page as dan's browser gets it.
    fn page(&self, status: u16, part: &str) {
        let begun = Instant::now();
        loop {
            let (got, said) = self.server.get(PAGE, &self.dan.cookie);
            if got == status && said.contains(part) {
                println!("the page says {status} after {:?}", begun.elapsed());
                return;
            }
            assert!(begun.elapsed() < LONG, "{got}: {said}");
        }
    }

    /// Everything says what is wrong.
    fn is_away(&self) {
        self.says("/readyz", "", 503, "database");
        self.says("/healthz", "", 200, "ok");
        let said = self.says(&format!("{NAMESPACE}/apps"), &self.dan.token, 503, "store-unavailable");
        assert!(said.to_ascii_lowercase().contains("retry-after: "), "{said}");
        self.page(503, "The database does not answer");
    }

    /// Everything is served again, to many at once.
    fn is_back(&self) {
        self.says("/readyz", "", 200, "ready");
        self.page(200, "web");
        thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let (status, said) = self.server.ask("GET", &format!("{NAMESPACE}/apps"), &self.dan.token, "");
                    assert_eq!(status, 200, "{said}");
                });
            }
        });
        let label = ("PUT", "/api/v1/tenants/shop/members/dan", r#"{"role":"developer"}"#);
        until(&self.server, &self.root, label, &|status, _| (200..300).contains(&status));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_lost_ends_what_is_open() {
    let Some(postgres) = Postgres::start().unwrap() else { return };
    let url = postgres.database().await.unwrap();
    let (way, by) = Way::to(&url).unwrap();
    let scene = Scene::open(&url, &by);
    scene.ends("lost", || way.lose());
    scene.is_away();
    way.find();
    scene.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_ends_what_is_open() {
    let Some(postgres) = Postgres::start().unwrap() else { return };
    let url = postgres.database().await.unwrap();
    let scene = Scene::open(&url, &url);
    let mut held = None;
    let runtime = tokio::runtime::Handle::current();
    let lock = "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
    tokio::task::block_in_place(|| {
        scene.ends("locked", || held = Some(runtime.block_on(Held::by(&url, lock)).unwrap()));
    });
    let said = scene.says(&format!("{NAMESPACE}/apps"), &scene.dan.token, 503, "store-unavailable");
    assert!(said.contains("nothing was changed"), "{said}");
    scene.page(503, "The database does not answer");
    drop(held);
    scene.is_back();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_sqlite_lets_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("berth.db").display());
    let scene = Scene::open(&url, &url);
    let held = Held::by(&url, "BEGIN IMMEDIATE").await.unwrap();
    scene.page(200, "web");
    scene.says("/readyz", "", 200, "ready");
    let (status, said) = scene.server.ask("POST", "/api/v1/tenants", &scene.root, r#"{"name":"more"}"#);
    assert!(status == 503 && said.contains("nothing was changed"), "{status}: {said}");
    drop(held);
    until(&scene.server, &scene.root, ("POST", "/api/v1/tenants", r#"{"name":"more"}"#), &|status, _| status == 201);
    scene.is_back();
}
