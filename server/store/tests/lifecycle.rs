//! A database from its first start to its upgrades: migrations, refusals, several processes, sudden ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    audit::verify::verify,
    authz::{Grant, PlatformRef},
    ports::store::Store,
};
use berth_store::{
    OpenError, Options, Step, connect, latest, migrate, pending,
    testing::{Postgres, VARIABLE, at_version, entry, tamper},
};
use berth_types::{Action, ErrorCode, ListQuery, Resource, TenantRole};
use jiff::Timestamp;
use uuid::Uuid;

async fn open(url: &str) -> Arc<dyn Store> {
    connect(url, &Options::default()).await.expect("opens")
}

async fn entries(store: &dyn Store) -> Vec<String> {
    let grant = Grant::unchecked(PlatformRef, Resource::Audit, Action::Read);
    let mut query = ListQuery { sort: ListQuery::parse_sort("at"), limit: 500, ..ListQuery::default() };
    let mut targets = Vec::new();
    loop {
        let page = store.list_audit(&grant, &query).await.unwrap();
        targets.extend(page.items.into_iter().map(|entry| entry.target));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return targets,
        }
    }
}

fn file_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("berth.db").display())
}

/// Tells a test that it runs in a process of its own, on this database.
const CHILD: &str = "BERTH_STORE_TEST_CHILD";

/// This program again, running only `test`, which finds `url` in [`CHILD`].
fn child(test: &str, url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn confirmed_writes_survive_kill_nine() {
    if let Ok(url) = std::env::var(CHILD) {
        let store = open(&url).await;
        for number in 0.. {
            store.append_audit(&entry(number)).await.unwrap();
            println!("confirmed n{number}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let url = file_url(folder.path());
    for round in 1..=3 {
        let mut writer = child("confirmed_writes_survive_kill_nine", &url);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut confirmed = Vec::new();
        for line in lines {
            // The harness may have begun the line.
            if let Some((_, target)) = line.unwrap().split_once("confirmed ") {
                confirmed.push(target.to_owned());
            }
            if confirmed.len() == 40 * round {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(confirmed.len() >= 40 * round, "the writer ended by itself");
        let store = open(&url).await;
        let kept = entries(&*store).await;
        let last = kept.iter().rposition(|target| target == "n0").unwrap();
        let kept = &kept[last..];
        assert_eq!(kept[..confirmed.len()], confirmed[..], "round {round}");
        assert!(kept.len() <= confirmed.len() + 1, "at most the one under way is there unconfirmed");
    }
}

#[tokio::test]
async fn a_store_dropped_without_a_word_keeps_what_it_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let url = file_url(folder.path());
    let store = open(&url).await;
    store.append_audit(&entry(1)).await.unwrap();
    // The log alone, as another process would find it now.
    let copy = tempfile::tempdir().unwrap();
    for file in ["berth.db", "berth.db-wal"] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    drop(store);
    for folder in [folder.path(), copy.path()] {
        assert_eq!(entries(&*open(&file_url(folder)).await).await, ["n1"]);
    }
}

#[tokio::test]
async fn two_processes_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let url = file_url(folder.path());
    let (a, b) = (open(&url).await, open(&url).await);
    let write = |store: Arc<dyn Store>| async move {
        for number in 0..100 {
            store.append_audit(&entry(number)).await.expect("waits for its turn");
        }
    };
    tokio::join!(write(a.clone()), write(b.clone()));
    assert_eq!(entries(&*a).await.len(), 200);
    assert_eq!(entries(&*b).await.len(), 200);
}

/// Replicas start on an empty database, and on one of an older version, whose log was no chain and has a gap.
async fn start_and_upgrade_together(test: &str, empty: &str, older: &str) {
    start_together(test, empty, 4).await;
    at_version(older, 5).await.unwrap();
    for chunk in (1..=1200).collect::<Vec<i64>>().chunks(300) {
        let rows: Vec<String> = chunk
            .iter()
            .map(|n| format!("({n}, 'ann', 'cli', 'test', 'old{n}', 'shop', 'done', NULL, '{{\"n\":{n}}}', '', '')"))
            .collect();
        let columns = "at, actor, via, action, target, tenant, outcome, reason, detail, request_id, network";
        tamper(older, &format!("INSERT INTO audit ({columns}) VALUES {}", rows.join(", "))).await.unwrap();
    }
    tamper(older, "DELETE FROM audit WHERE id IN (1, 700)").await.unwrap();
    assert!(!pending(older, &Options::default()).await.unwrap().is_empty());
    start_together(test, older, 1198 + 4).await;
    let found = entries(&*open(older).await).await;
    assert_eq!((found[0].as_str(), found[697].as_str(), found[698].as_str()), ("old2", "old699", "old701"));
}

/// Starts four processes, lets them go at once, and looks whether all of them got a store, and made one chain.
async fn start_together(test: &str, url: &str, want: usize) {
    let mut children: Vec<Child> = (0..4).map(|_| child(test, url)).collect();
    let mut ready: Vec<_> = children.iter_mut().map(|c| BufReader::new(c.stdout.take().unwrap()).lines()).collect();
    for lines in &mut ready {
        assert!(lines.any(|line| line.unwrap().contains("ready")), "the child has come up");
    }
    for child in &mut children {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    for (mut child, lines) in children.into_iter().zip(ready) {
        let said: Vec<String> = lines.map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{said:?}");
    }
    assert_eq!(pending(url, &Options::default()).await.unwrap(), []);
    let store = open(url).await;
    assert_eq!(entries(&*store).await.len(), want);
    let whole = verify(&*store, Vec::new(), None).await.unwrap().expect("whole");
    assert_eq!(usize::try_from(whole.head.sequence).unwrap(), want);
}

/// What such a process does.
async fn start_when_told(url: &str) {
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    open(url).await.append_audit(&entry(0)).await.unwrap();
}

#[tokio::test]
async fn replicas_start_together_on_sqlite() {
    if let Ok(url) = std::env::var(CHILD) {
        return start_when_told(&url).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let older = format!("sqlite://{}", folder.path().join("older.db").display());
    start_and_upgrade_together("replicas_start_together_on_sqlite", &file_url(folder.path()), &older).await;
}

#[tokio::test]
async fn life_on_postgres() {
    if let Ok(url) = std::env::var(CHILD) {
        return start_when_told(&url).await;
    }
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let (empty, older) = (server.database().await.unwrap(), server.database().await.unwrap());
    start_and_upgrade_together("life_on_postgres", &empty, &older).await;
    newer_is_refused(&server.database().await.unwrap()).await;
    altered_is_refused(&server.database().await.unwrap()).await;
    a_failed_step_changes_nothing(&server.database().await.unwrap()).await;
    pending_is_told(&server.database().await.unwrap()).await;
    roles_stay(&server.database().await.unwrap()).await;
}

#[tokio::test]
async fn life_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    newer_is_refused(&url("newer")).await;
    altered_is_refused(&url("altered")).await;
    a_failed_step_changes_nothing(&url("failed")).await;
    pending_is_told(&url("pending")).await;
    roles_stay(&url("roles")).await;
    assert_eq!(pending(&url("missing"), &Options::default()).await.unwrap().len(), steps());
    assert!(!folder.path().join("missing").exists(), "looking makes no file");
}

/// What people were given before tenants could make roles is theirs afterwards: the tables that hold it are made anew.
async fn roles_stay(url: &str) {
    at_version(url, 18).await.unwrap();
    let [ann, shop, dev] = [1, 2, 3].map(|n| Uuid::from_u128(n).to_string());
    let digest = if url.starts_with("sqlite") { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    let script = format!(
        "INSERT INTO users (id, name, display_name, search, disabled, must_change_password, created_at) \
         VALUES ('{ann}', 'ann', 'Ann', 'ann', FALSE, FALSE, 1); \
         INSERT INTO tenants (id, name, display_name, created_at, version) VALUES ('{shop}', 'shop', 'Shop', 1, 1); \
         INSERT INTO namespaces (id, tenant_id, name, cluster, kube_name, created_at, version) \
         VALUES ('{dev}', '{shop}', 'dev', 'local', 'shop-dev', 1, 1); \
         INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ('{shop}', '{ann}', 'viewer', 1); \
         INSERT INTO namespace_roles (namespace_id, user_id, role, created_at) VALUES ('{dev}', '{ann}', 'admin', 1); \
         INSERT INTO access_requests (id, tenant_id, user_id, role, reason, state, created_at, comment) \
         VALUES ('{ann}', '{shop}', '{ann}', 'developer', 'x', 'open', 1, ''); \
         INSERT INTO invitations (id, digest, tenant_id, role, invited_by, created_at, expires_at) \
         VALUES ('{ann}', {digest}, '{shop}', 'viewer', '{ann}', 1, 9)"
    );
    tamper(url, &script).await.unwrap();
    let store = open(url).await;
    let (id, shop, dev) = (Uuid::from_u128(1), "shop".parse().unwrap(), "dev".parse().unwrap());
    let (tenant, namespace) = store.find_namespace_access(id, &shop, &dev).await.unwrap().unwrap();
    assert_eq!((tenant.role, namespace.role), (Some(TenantRole::Viewer), Some(TenantRole::Admin)));
    let found = store.find_invitation(&[0; 32]).await.unwrap().unwrap();
    assert_eq!(found.invitation.role, Some(TenantRole::Viewer));
    assert_eq!(store.count_access_requests(id, Timestamp::UNIX_EPOCH).await.unwrap(), 1);
}

fn steps() -> usize {
    usize::try_from(latest()).unwrap()
}

async fn newer_is_refused(url: &str) {
    let options = Options::default();
    drop(open(url).await);
    let newer = latest() + 3;
    let row = format!("SELECT {newer}, 'loans', checksum FROM migrations WHERE version = 1");
    tamper(url, &format!("INSERT INTO migrations (version, name, checksum) {row}")).await.unwrap();
    let checked = Options { migrate: false, ..options.clone() };
    for refusal in [
        connect(url, &options).await.err(),
        connect(url, &checked).await.err(),
        migrate(url, &options).await.err(),
        pending(url, &options).await.err(),
    ] {
        let message = refusal.expect("refused").to_string();
        for part in [format!("version {newer} (loans)"), format!("up to {}", latest())] {
            assert!(message.contains(&part), "{message}");
        }
    }
}

async fn altered_is_refused(url: &str) {
    drop(open(url).await);
    tamper(
        url,
        "UPDATE migrations SET checksum = (SELECT checksum FROM migrations WHERE version = 1) WHERE version = 2",
    )
    .await
    .unwrap();
    let error = connect(url, &Options::default()).await.err().expect("refused");
    assert!(matches!(error, OpenError::Altered { version: 2, .. }), "{error}");
}

async fn a_failed_step_changes_nothing(url: &str) {
    let options = Options::default();
    tamper(url, "CREATE TABLE tenants (mine TEXT)").await.unwrap();
    let error = connect(url, &options).await.err().expect("refused");
    assert!(matches!(error, OpenError::Step { version: 2, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("nothing was changed") && message.contains("tenants"), "{message}");
    assert_eq!(pending(url, &options).await.unwrap().len(), steps(), "not even the first");
    tamper(url, "DROP TABLE tenants").await.unwrap();
    assert_eq!(migrate(url, &options).await.unwrap().len(), steps());
}

async fn pending_is_told(url: &str) {
    let options = Options::default();
    let checked = Options { migrate: false, ..options.clone() };
    let error = connect(url, &checked).await.err().expect("refused");
    assert!(matches!(error, OpenError::Pending(missing) if missing == steps()), "{error}");
    assert!(error.to_string().contains("berth migrate"), "{error}");
    assert_eq!(pending(url, &options).await.unwrap().len(), steps(), "looking changes nothing");

    let done = migrate(url, &options).await.unwrap();
    assert_eq!(done[0], Step { version: 1, name: "people".to_owned() });
    assert_eq!((done.len(), done.last().unwrap().version), (steps(), latest()));
    assert_eq!(pending(url, &options).await.unwrap(), []);
    assert_eq!(migrate(url, &options).await.unwrap(), []);
    connect(url, &checked).await.expect("up to date").ping().await.unwrap();
}

#[tokio::test]
async fn bad_urls_say_what_to_do() {
    let options = Options { acquire_timeout: std::time::Duration::from_millis(500), ..Options::default() };
    for (url, part) in [
        ("", "no URL"),
        ("berth.db", "no URL"),
        ("mysql://root:hunter2@db/berth", "“mysql:”"),
        ("sqlite://", "path"),
        ("sqlite:///tmp/x.db?mode=ro", "no options"),
        ("sqlite:///no/such/folder/berth.db", "/no/such/folder/berth.db"),
        ("postgres://ann:hunter2@127.0.0.1:1/berth", "berth on 127.0.0.1:1"),
        ("postgres://ann:hunter2@127.0.0.1:port/berth", "port"),
        ("postgres://ann:hunter2@127.0.0.1:1/berth?sslmode=perhaps", "perhaps"),
    ] {
        let error = connect(url, &options).await.err().expect("refused").to_string();
        assert!(error.contains(part), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&file_url(folder.path())).await;
    store.append_audit(&entry(1)).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and the log's index");
}

#[tokio::test]
async fn a_server_that_stops_is_said_to_be_away() {
    if std::env::var(VARIABLE).is_ok_and(|chosen| !chosen.is_empty()) {
        return; // a server that is not ours to stop
    }
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let url = server.database().await.unwrap();
    let options = Options { acquire_timeout: Duration::from_millis(500), ..Options::default() };
    let store = connect(&url, &options).await.expect("opens");
    store.ping().await.unwrap();
    drop(server);
    let away = store.append_audit(&entry(1)).await.unwrap_err();
    assert_eq!((away.code(), away.wait().is_some()), (ErrorCode::StoreUnavailable, true), "{away:?}");
}
