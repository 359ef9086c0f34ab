//! Whatever somebody who can write the database does to the audit log, `verify` finds it: with SQL, on SQLite and Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use berth_core::{
    audit::{
        Head, PublicKey, Record,
        chain::hex,
        checkpoint::sign,
        verify::{Kind, Source, Whole, verify},
    },
    ports::store::{NewAudit, Store},
    testing::audit_key,
};
use berth_store::{
    Options, connect,
    testing::{Postgres, tamper},
};
use berth_types::audit::AuditCheckpoint;
use jiff::Timestamp;
use uuid::Uuid;

const ENTRIES: i64 = 12;

fn entry(number: i64) -> NewAudit {
    NewAudit {
        id: Uuid::from_u128(number.unsigned_abs().into()),
        at: Timestamp::from_second(1_800_000_000 + number).unwrap(),
        actor: format!("person-{number}"),
        via: "session".to_owned(),
        action: "app.scale".to_owned(),
        target: "shop/dev/web".to_owned(),
        tenant: Some("shop".parse().unwrap()),
        outcome: "failed",
        reason: Some("conflict".to_owned()),
        detail: Some(serde_json::json!({ "replicas": number })),
        request_id: format!("r{number}"),
        network: "192.0.2.1".to_owned(),
    }
}

/// A log of twelve entries, with checkpoints of 8 and 12 in the database and elsewhere.
struct Log {
    url: String,
    store: Arc<dyn Store>,
    keys: [PublicKey; 1],
    outside: Vec<(Source, AuditCheckpoint)>,
}

const TABLES: [&str; 4] = ["audit", "audit_head", "audit_checkpoints", "installation"];

impl Log {
    async fn new(url: String) -> Self {
        let store = connect(&url, &Options::default()).await.expect("opens");
        let (key, installation) = (audit_key(), store.installation().await.unwrap());
        let mut log = Self { url, store, keys: [key.public().clone()], outside: Vec::new() };
        for number in 1..=ENTRIES {
            log.store.append_audit(&entry(number)).await.unwrap();
            if [8, ENTRIES].contains(&number) {
                let one = sign(&key, &installation, &log.head().await, entry(number).at);
                let place = log.outside.len() + 1;
                assert!(log.store.add_checkpoint(i64::try_from(place).unwrap(), &one).await.unwrap());
                log.outside.push((Source::File(place), one));
            }
        }
        for table in TABLES {
            tamper(&log.url, &format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")).await.unwrap();
        }
        log
    }

    async fn head(&self) -> Head {
        self.store.audit_slice(0, 0).await.unwrap().head.expect("there is one")
    }

    async fn verify(&self, outside: bool) -> Result<Whole, (Kind, i64)> {
        let outside = if outside { self.outside.clone() } else { Vec::new() };
        let found = verify(&*self.store, outside, Some(&self.keys)).await.unwrap();
        found.map_err(|found| (found.kind, found.sequence))
    }

    /// All as it was.
    async fn restore(&self) {
        for table in TABLES {
            tamper(&self.url, &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table}"))
                .await
                .unwrap();
        }
        assert_eq!(self.verify(true).await.expect("whole again").checkpoints, 4);
    }

    /// Tampers, looks what is found, and puts all back.
    async fn found(&self, how: &str, outside: bool) -> Result<Whole, (Kind, i64)> {
        tamper(&self.url, how).await.unwrap();
        let found = self.verify(outside).await;
        self.restore().await;
        found
    }

    /// Bytes in SQL.
    fn bytes(&self, bytes: &[u8]) -> String {
        match self.url.starts_with("sqlite") {
            true => format!("x'{}'", hex(bytes)),
            false => format!("'\\x{}'", hex(bytes)),
        }
    }

    /// SQL that writes the log anew, with another actor and all hashes right, as anybody can who knows how.
    async fn anew(&self) -> String {
        use std::fmt::Write as _;
        let mut head = Head::genesis(&self.store.installation().await.unwrap());
        let mut text = String::new();
        for number in 1..=ENTRIES {
            let record = Record::after(&head, &NewAudit { actor: "nobody".to_owned(), ..entry(number) });
            let hash = self.bytes(&record.hash);
            let _ = write!(text, "UPDATE audit SET actor = 'nobody', hash = {hash} WHERE id = {number};");
            head = Head { sequence: number, hash: record.hash.try_into().unwrap() };
        }
        let _ = write!(text, "UPDATE audit_head SET hash = {};", self.bytes(&head.hash));
        text
    }
}

async fn everything_is_found(log: &Log) {
    use Kind::{Changed, Checkpoint, CutOff, Head, Inserted, Removed, Reordered, Rewritten};
    for (what, outside) in [("with", true), ("without", false)] {
        let whole = log.verify(outside).await.expect("untouched");
        assert_eq!((whole.head.sequence, whole.covered), (ENTRIES, ENTRIES), "{what} checkpoints from outside");
    }
    let shift = |from: i64, by: i64| {
        format!("UPDATE audit SET id = -(id + {by}) WHERE id >= {from}; UPDATE audit SET id = -id WHERE id < 0;")
    };
    let swap = |a: i64, b: i64| {
        format!(
            "UPDATE audit SET id = 1000 WHERE id = {a}; UPDATE audit SET id = {a} WHERE id = {b}; \
             UPDATE audit SET id = {b} WHERE id = 1000;"
        )
    };
    let copy = |to: i64, from: i64| {
        format!(
            "INSERT INTO audit SELECT {to}, at, 'mallory', via, action, target, tenant, outcome, reason, detail, \
             request_id, network, hash FROM audit WHERE id = {from};"
        )
    };
    let cases: Vec<(String, Kind, i64)> = [
        "at = at + 1",
        "actor = 'mallory'",
        "via = 'cli'",
        "action = 'app.create'",
        "target = 'shop/dev/we'",
        "tenant = 'bank'",
        "tenant = NULL",
        "outcome = 'done'",
        "reason = 'conflict '",
        "reason = NULL",
        "reason = ''",
        "detail = '{\"replicas\": 5}'",
        "detail = NULL",
        "request_id = 'r6'",
        "network = ''",
        "hash = (SELECT hash FROM audit WHERE id = 4)",
    ]
    .into_iter()
    .map(|set| (format!("UPDATE audit SET {set} WHERE id = 5"), Changed, 5))
    .chain([
        ("UPDATE audit SET actor = 'x' WHERE id = 1".to_owned(), Changed, 1),
        (format!("UPDATE audit SET actor = 'x' WHERE id = {ENTRIES}"), Changed, ENTRIES),
        ("UPDATE audit SET id = 100 WHERE id = 5".to_owned(), Reordered, 5),
        ("UPDATE audit SET id = 0 WHERE id = 1".to_owned(), Inserted, 0),
        ("DELETE FROM audit WHERE id = 1".to_owned(), Removed, 1),
        ("DELETE FROM audit WHERE id = 5".to_owned(), Removed, 5),
        ("DELETE FROM audit WHERE id BETWEEN 5 AND 7".to_owned(), Removed, 5),
        (format!("DELETE FROM audit WHERE id = 5; {}", shift(6, -1)), Changed, 5),
        (format!("DELETE FROM audit WHERE id = {ENTRIES}"), CutOff, ENTRIES),
        ("DELETE FROM audit WHERE id > 9".to_owned(), CutOff, 10),
        ("DELETE FROM audit".to_owned(), CutOff, 1),
        (swap(5, 6), Reordered, 5),
        (swap(3, 9), Reordered, 3),
        (swap(1, ENTRIES), Reordered, 1),
        (format!("{}{}", shift(5, 1), copy(5, 9)), Inserted, 5),
        (copy(ENTRIES + 1, 5), Inserted, ENTRIES + 1),
        (copy(ENTRIES + 50, 5), Inserted, ENTRIES + 50),
        ("DELETE FROM audit_head".to_owned(), Head, ENTRIES),
        ("UPDATE audit_head SET hash = (SELECT hash FROM audit WHERE id = 4)".to_owned(), Head, ENTRIES),
        ("UPDATE audit_head SET id = id + 1".to_owned(), CutOff, ENTRIES + 1),
        ("UPDATE audit_head SET id = id - 1".to_owned(), Inserted, ENTRIES),
        // Checkpoints of the database.
        ("UPDATE audit_checkpoints SET sequence = 9 WHERE place = 1".to_owned(), Checkpoint, 9),
        ("UPDATE audit_checkpoints SET at = at + 1 WHERE place = 1".to_owned(), Checkpoint, 8),
        ("UPDATE audit_checkpoints SET key = 'x' WHERE place = 1".to_owned(), Checkpoint, 8),
        ("UPDATE audit_checkpoints SET signature = 'AAAA' WHERE place = 1".to_owned(), Checkpoint, 8),
        (
            "UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit WHERE id = 9) WHERE place = 1".to_owned(),
            Checkpoint,
            8,
        ),
        (
            "UPDATE audit_checkpoints SET signature = (SELECT signature FROM audit_checkpoints WHERE place = 2) \
             WHERE place = 1"
                .to_owned(),
            Checkpoint,
            8,
        ),
        (log.anew().await, Rewritten, 8),
    ])
    .collect();
    for (how, kind, sequence) in cases {
        for outside in [false, true] {
            let found = log.found(&how, outside).await;
            assert_eq!(found, Err((kind, sequence)), "{how} (checkpoints from outside: {outside})");
        }
    }
    let other = "UPDATE installation SET id = '00000000000000000000000000000000'";
    assert!(log.found(other, false).await.is_err());
}

/// What the database alone cannot show: the checkpoints elsewhere do.
async fn what_leaves_no_trace_inside(log: &Log) {
    let forget = "DELETE FROM audit_checkpoints;";
    let cut = "DELETE FROM audit WHERE id > 10; \
               UPDATE audit_head SET id = 10, hash = (SELECT hash FROM audit WHERE id = 10);";
    assert_eq!(log.found(cut, false).await, Err((Kind::CutOff, 11)), "the database's own checkpoints");
    let genesis = self::Head::genesis(&log.store.installation().await.unwrap());
    let empty = format!("DELETE FROM audit; UPDATE audit_head SET id = 0, hash = {};", log.bytes(&genesis.hash));
    for (how, found) in
        [(cut.to_owned(), (Kind::CutOff, 11)), (empty, (Kind::CutOff, 1)), (log.anew().await, (Kind::Rewritten, 8))]
    {
        let how = format!("{how} {forget}");
        assert!(log.found(&how, false).await.is_ok(), "nothing inside tells: {how}");
        assert_eq!(log.found(&how, true).await, Err(found), "{how}");
    }

    tamper(&log.url, "DELETE FROM audit_head").await.unwrap();
    assert!(log.store.begin_audit(&entry(99)).await.is_err(), "what could not be written down is not begun");
    assert!(log.store.append_audit(&entry(99)).await.is_err());
    log.restore().await;
    log.store.begin_audit(&entry(99)).await.unwrap();

    // With checkpoints that somebody else signed, under the name of our key.
    tamper(&log.url, &format!("{} {forget}", log.anew().await)).await.unwrap();
    let forged = sign(&audit_key(), &log.store.installation().await.unwrap(), &log.head().await, entry(1).at);
    let forged = AuditCheckpoint { key: log.keys[0].id(), ..forged };
    assert!(log.store.add_checkpoint(1, &forged).await.unwrap());
    assert_eq!(log.verify(false).await, Err((Kind::Checkpoint, ENTRIES)));
    log.restore().await;
}

#[tokio::test]
async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(format!("sqlite://{}", folder.path().join("berth.db").display())).await;
    everything_is_found(&log).await;
    what_leaves_no_trace_inside(&log).await;
}

/// Two replicas, eight at once each, some of whose attempts nobody ends.
async fn replicas_make_one_chain(url: &str, each: i64) {
    let open = async || connect(url, &Options { max_connections: 8, ..Options::default() }).await.expect("opens");
    let stores = [open().await, open().await];
    let work = (0..16_i64).map(|task| {
        let store = stores[usize::try_from(task % 2).unwrap()].clone();
        tokio::spawn(async move {
            for number in task * 100..task * 100 + each {
                store.begin_audit(&entry(number)).await.unwrap();
                match number % 10 {
                    3 => drop(store.settle_audit(entry(number).at).await.unwrap()),
                    7 => {}
                    _ => store.append_audit(&entry(number)).await.unwrap(),
                }
            }
        })
    });
    futures::future::try_join_all(work).await.unwrap();
    let rest = stores[0].settle_audit(entry(1_000_000).at);
    let (one, other) = tokio::join!(rest, stores[1].settle_audit(entry(1_000_000).at));
    one.unwrap();
    other.unwrap();
    for store in &stores {
        let whole = verify(&**store, Vec::new(), None).await.unwrap().expect("whole");
        // An attempt may be settled by somebody else before it ends: then both are written.
        assert!(whole.head.sequence >= 16 * each, "{}", whole.head.sequence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    replicas_make_one_chain(&format!("sqlite://{}", folder.path().join("berth.db").display()), 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    replicas_make_one_chain(&server.database().await.unwrap(), 40).await;
    let log = Log::new(server.database().await.unwrap()).await;
    everything_is_found(&log).await;
    what_leaves_no_trace_inside(&log).await;
}
