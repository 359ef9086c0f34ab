//! What an entry of the audit log costs, and how fast a log is verified.
//!
//! `cargo run --release -p berth-store --example append [DATABASE-URL]`; without a URL a SQLite file of its own. An attempt
//! is one statement in a commit of its own, for comparison; an entry is appended to the chain and ends its attempt.

use std::{sync::Arc, time::Instant};

use berth_core::{
    audit::verify::verify,
    ports::store::{NewAudit, Store},
};
use berth_store::{Options, connect};
use jiff::Timestamp;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ENTRIES: u32 = 4_000;

fn entry(number: u32) -> Result<NewAudit, Failure> {
    Ok(NewAudit {
        id: Uuid::from_u128(number.into()),
        at: Timestamp::from_second(1_800_000_000 + i64::from(number))?,
        actor: "alice".to_owned(),
        via: "token:berth_Zm9vYm".to_owned(),
        action: "app.scale".to_owned(),
        target: "shop/prod/checkout".to_owned(),
        tenant: Some("shop".parse()?),
        outcome: "done",
        reason: None,
        detail: Some(serde_json::json!({ "component": null, "replicas": { "before": 2, "after": number } })),
        request_id: "0193f0a0-0000-7000-8000-000000000001".to_owned(),
        network: "192.0.2.7".to_owned(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let url =
        std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}", folder.path().join("berth.db").display()));
    let store = connect(&url, &Options::default()).await?;
    println!("{}", store.describe().await?);
    let mut next = 0;
    for tasks in [1, 8] {
        for what in ["attempt", "entry"] {
            let begun = Instant::now();
            let work = (0..tasks).map(|task| {
                let store: Arc<dyn Store> = store.clone();
                tokio::spawn(async move {
                    for number in (next + task..next + ENTRIES).step_by(tasks as usize) {
                        match what {
                            "attempt" => store.begin_audit(&entry(number)?).await?,
                            _ => store.append_audit(&entry(number)?).await?,
                        }
                    }
                    Ok::<(), Failure>(())
                })
            });
            for done in futures::future::try_join_all(work).await? {
                done?;
            }
            let seconds = begun.elapsed().as_secs_f64();
            let each = seconds * f64::from(tasks) * 1e6 / f64::from(ENTRIES);
            println!("{tasks} at once: {:>6.0} a second, {each:>6.0} µs an {what}", f64::from(ENTRIES) / seconds);
        }
        next += ENTRIES;
    }
    let begun = Instant::now();
    let whole = verify(&*store, Vec::new(), None).await?.map_err(|found| found.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("verified {} entries: {:.0} a second", whole.head.sequence, whole.head.sequence as f64 / seconds);
    Ok(())
}
