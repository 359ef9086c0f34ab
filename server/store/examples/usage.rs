//! What the history of use costs: how large 30 days of 1,000 namespaces are, how long a sample takes to be written, and a
//! namespace's, a tenant's and the platform's history to be read.
//!
//! `cargo run --release -p berth-store --example usage [DATABASE-URL]`; without a URL a SQLite file of its own. The database has
//! to be empty. Hours are filled with one sample each: a row is as large whatever it is made of.

use std::{ops::Range, time::Instant};

use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    ports::store::{Account, Store},
    usage::{KEPT, Pair, Sample, Slot},
};
use berth_store::{Options, connect};
use berth_types::{
    Action, ClusterId, Resource,
    people::{Namespace, Tenant, User},
};
use jiff::Timestamp;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TENANTS: u32 = 100;
const NAMESPACES: u32 = 10;
/// Some hour of 2026.
const FIRST: i64 = 498_000;

fn id(kind: u32, number: u32) -> Uuid {
    // As ids are: not in the order in which they are asked for.
    Uuid::from_u64_pair(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15), u64::from(kind))
}

fn sample(number: u32, hour: i64) -> Sample {
    let seed = i64::from(number) * 7919 + hour * 104_729;
    let pair = |cpu: i64, memory: i64| Pair { cpu, memory };
    Sample {
        used: Some(pair(200 + seed % 1800, (1 << 30) + seed % (1 << 29))),
        requests: pair(2000, 4 << 30),
        limits: pair(4000, 8 << 30),
        quota: Pair { cpu: Some(4000), memory: Some(8 << 30) },
        pods: 5 + seed % 9,
        pods_quota: Some(40),
        storage: Some(50 << 30),
        storage_quota: Some(100 << 30),
    }
}

async fn fill(store: &dyn Store) -> Result<Vec<Uuid>, Failure> {
    let platform = Grant::unchecked(PlatformRef, Resource::Platform, Action::Create);
    let user = User {
        id: id(1, 1),
        name: "ann".parse()?,
        display_name: "Ann".to_owned(),
        platform_role: None,
        disabled: false,
        must_change_password: false,
        second_factor: false,
        created_at: Timestamp::UNIX_EPOCH,
    };
    store.create_user(&Account { user, password_hash: None }).await?;
    let mut all = Vec::new();
    for number in 0..TENANTS {
        let tenant = tenant(number)?;
        let row = Tenant {
            id: tenant.id,
            name: tenant.name.clone(),
            display_name: tenant.display_name.to_string(),
            created_at: Timestamp::UNIX_EPOCH,
            halt: None,
            version: 1,
        };
        store.create_tenant(&platform, &row, id(1, 1)).await?;
        let grant = Grant::unchecked(tenant, Resource::Namespace, Action::Create);
        for at in 0..NAMESPACES {
            let namespace = Namespace {
                id: id(3, number * NAMESPACES + at),
                name: format!("n{at}").parse()?,
                tenant: grant.name.clone(),
                cluster: ClusterId::local(),
                kube_name: format!("{}-n{at}", grant.name),
                egress: Default::default(),
                protected: false,
                halt: None,
                created_at: Timestamp::UNIX_EPOCH,
                version: 1,
            };
            store.create_namespace(&grant, &namespace).await?;
            all.push(namespace.id);
        }
    }
    Ok(all)
}

fn tenant(number: u32) -> Result<TenantRef, Failure> {
    Ok(TenantRef {
        id: id(2, number),
        name: format!("tenant-{number}").parse()?,
        display_name: format!("Tenant {number}").into(),
        role: None,
        rights: Default::default(),
        halt: None,
    })
}

fn millis(begun: Instant, times: u32) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0 / f64::from(times)
}

async fn read(store: &dyn Store, all: &[Uuid]) -> Result<(), Failure> {
    let hours: Range<i64> = FIRST..FIRST + KEPT + 1;
    let begun = Instant::now();
    for number in 0..20 {
        let place = NamespaceRef {
            tenant: tenant(0)?,
            id: all[number * 7],
            name: "n0".parse()?,
            cluster: ClusterId::local(),
            kube_name: "n0".into(),
            given: None,
            rights: Default::default(),
            protected: false,
            halt: None,
        };
        let rows =
            store.namespace_usage(&Grant::unchecked(place, Resource::Share, Action::Read), hours.clone()).await?;
        assert!(rows.len() as i64 >= KEPT - 1);
    }
    println!("a namespace's 30 days: {:.1} ms", millis(begun, 20));
    let begun = Instant::now();
    for number in 0..20 {
        let rows = store.tenant_usage(&tenant(number * 3)?, &ClusterId::local(), hours.clone()).await?;
        assert!(rows.len() as i64 >= KEPT - 1);
    }
    println!("a tenant's of {NAMESPACES} namespaces: {:.1} ms", millis(begun, 20));
    let platform = Grant::unchecked(PlatformRef, Resource::Platform, Action::Read);
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(store.usage_totals(&platform, hours.clone()).await?.len(), all.len());
    }
    println!("what all {} came to: {:.0} ms", all.len(), millis(begun, 3));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("berth.db");
    let url = std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}", file.display()));
    let store = connect(&url, &Options::default()).await?;
    let all = fill(&*store).await?;
    let (cluster, grant) = (ClusterId::local(), Grant::unchecked(PlatformRef, Resource::Platform, Action::Update));
    let samples = |hour: i64| -> Vec<(Uuid, Sample)> {
        (0..).zip(&all).map(|(number, id)| (*id, sample(number, hour))).collect()
    };
    let begun = Instant::now();
    for hour in FIRST..FIRST + KEPT {
        store.add_usage(&grant, &cluster, Slot { hour, part: 0 }, &samples(hour)).await?;
    }
    println!("{}: a sample of {} in a new hour {:.1} ms", store.describe().await?, all.len(), millis(begun, 720));
    if file.exists() {
        let size = |path: &std::path::Path| std::fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
        println!("the database: {} MB", size(&file) / 1_000_000);
    }
    let mut times = Vec::new();
    for part in 0..11 {
        let begun = Instant::now();
        store.add_usage(&grant, &cluster, Slot { hour: FIRST + KEPT, part }, &samples(part)).await?;
        times.push(format!("{:.0}", millis(begun, 1)));
    }
    println!("a sample in full tables: {} ms (the first makes room)", times.join(", "));
    read(&*store, &all).await
}
