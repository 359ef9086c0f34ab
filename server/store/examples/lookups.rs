//! How many pages a second the two lookups of every page allow: session, and namespace with tenant and role.
//!
//! `cargo run --release -p berth-store --example lookups [DATABASE-URL]`; without a URL a SQLite file of its own. The
//! database is filled with 10,000 people (a session each), 1,000 tenants of 10 members and 3 namespaces. Then what it takes to
//! see which of a tenant's 1,000 namespaces somebody may see who was given a role in each second of them.

use std::{sync::Arc, time::Instant};

use berth_core::{
    authz::{Grant, NamespaceRef, PlatformRef, TenantRef},
    ports::store::{Account, NewSession, Store},
};
use berth_store::{Options, connect};
use berth_types::{
    Action, ClusterId, Resource, TenantName, TenantRole, UserName,
    people::{Namespace, Tenant, User},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PEOPLE: u32 = 10_000;
const TENANTS: u32 = 1_000;
const MEMBERS: u32 = 10;
const PAGES: u32 = 5_000;

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(480_000)
}

fn id(kind: u32, number: u32) -> Uuid {
    Uuid::from_u64_pair(kind.into(), number.into())
}

fn digest(number: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&number.to_le_bytes());
    digest
}

fn user_name(number: u32) -> Result<UserName, Failure> {
    Ok(format!("user-{number}").parse()?)
}

fn tenant_name(number: u32) -> Result<TenantName, Failure> {
    Ok(format!("tenant-{number}").parse()?)
}

async fn fill(store: &dyn Store) -> Result<(), Failure> {
    let platform = Grant::unchecked(PlatformRef, Resource::Platform, Action::Create);
    for number in 0..PEOPLE {
        let user = User {
            id: id(1, number),
            name: user_name(number)?,
            display_name: format!("Person {number}"),
            platform_role: None,
            disabled: false,
            must_change_password: false,
            second_factor: false,
            created_at: start(),
        };
        store.create_user(&Account { user, password_hash: Some("$argon2id$".repeat(10)) }).await?;
        let session = NewSession {
            id: id(2, number),
            digest: digest(number),
            user: id(1, number),
            created_at: start(),
            expires_at: start() + SignedDuration::from_hours(24),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            network: "192.0.2.1".to_owned(),
            provider: None,
            password: None,
        };
        store.create_session(&session).await?;
    }
    for number in 0..TENANTS {
        let name = tenant_name(number)?;
        let tenant = Tenant {
            id: id(3, number),
            name: name.clone(),
            display_name: format!("Tenant {number}"),
            created_at: start(),
            halt: None,
            version: 1,
        };
        store.create_tenant(&platform, &tenant, id(1, number * MEMBERS)).await?;
        let tenant = TenantRef {
            id: tenant.id,
            name: name.clone(),
            display_name: tenant.display_name.into(),
            role: Some(TenantRole::Owner),
            rights: berth_core::authz::Rights::from(Some(TenantRole::Owner)),
            halt: None,
        };
        let grant = Grant::unchecked(tenant, Resource::Tenant, Action::Update);
        for member in 1..MEMBERS {
            let user = user_name(number * MEMBERS + member)?;
            store.set_member(&grant, &user, TenantRole::Developer, start()).await?;
        }
        for (at, stage) in (0..).zip(["dev", "staging", "prod"]) {
            let namespace = Namespace {
                id: id(4, number * 3 + at),
                name: stage.parse()?,
                tenant: name.clone(),
                cluster: ClusterId::local(),
                kube_name: format!("{name}-{stage}"),
                egress: Default::default(),
                protected: false,
                halt: None,
                created_at: start(),
                version: 1,
            };
            store.create_namespace(&grant, &namespace).await?;
        }
    }
    Ok(())
}

/// Gives person 1 a role in each second of the 1,000 namespaces of a tenant; what is asked of the database then, 100 times.
async fn wide(store: &dyn Store) -> Result<(), Failure> {
    let name: TenantName = "wide".parse()?;
    let row = Tenant {
        id: id(5, 0),
        name: name.clone(),
        display_name: "Wide".to_owned(),
        created_at: start(),
        halt: None,
        version: 1,
    };
    let platform = Grant::unchecked(PlatformRef, Resource::Tenant, Action::Create);
    store.create_tenant(&platform, &row, id(1, 0)).await?;
    let tenant = TenantRef {
        id: row.id,
        name: name.clone(),
        display_name: row.display_name.into(),
        role: None,
        rights: Default::default(),
        halt: None,
    };
    let grant = Grant::unchecked(tenant.clone(), Resource::Namespace, Action::Create);
    for number in 0..1_000 {
        let namespace = Namespace {
            id: id(6, number),
            name: format!("n{number}").parse()?,
            tenant: name.clone(),
            cluster: ClusterId::local(),
            kube_name: format!("wide-n{number}"),
            egress: Default::default(),
            protected: false,
            halt: None,
            created_at: start(),
            version: 1,
        };
        store.create_namespace(&grant, &namespace).await?;
        if number % 2 == 0 {
            let place = NamespaceRef {
                tenant: tenant.clone(),
                id: namespace.id,
                name: namespace.name,
                cluster: namespace.cluster,
                kube_name: namespace.kube_name.into(),
                given: None,
                rights: Default::default(),
                protected: false,
                halt: None,
            };
            let place = Grant::unchecked(place, Resource::Membership, Action::Update);
            store.set_namespace_member(&place, &user_name(1)?, TenantRole::Developer, start()).await?;
        }
    }
    let begun = Instant::now();
    for number in 0..100 {
        let at = format!("n{}", number * 8).parse()?;
        store.find_namespace_access(id(1, 1), &name, &at).await?.ok_or("no namespace")?;
    }
    println!("one of 1,000 namespaces: {:.0} µs", begun.elapsed().as_secs_f64() * 1e4);
    let begun = Instant::now();
    for _ in 0..100 {
        let rows = store.list_namespace_access(id(1, 1), &tenant).await?;
        assert_eq!(rows.iter().filter(|row| row.role.is_some()).count(), 500);
    }
    println!("all of 1,000 namespaces: {:.2} ms", begun.elapsed().as_secs_f64() * 10.0);
    Ok(())
}

async fn page(store: &dyn Store, number: u32) -> Result<(), Failure> {
    let user = number.wrapping_mul(7919) % PEOPLE;
    let now = start() + SignedDuration::from_mins(1);
    let idle_before = start() - SignedDuration::from_hours(1);
    let (_, account, _) = store.find_session(&digest(user), now, idle_before).await?.ok_or("no session")?;
    let name = tenant_name(user / MEMBERS)?;
    store.find_namespace_access(account.user.id, &name, &"prod".parse()?).await?.ok_or("no namespace")?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let url =
        std::env::args().nth(1).unwrap_or_else(|| format!("sqlite://{}", folder.path().join("berth.db").display()));
    let store = connect(&url, &Options::default()).await?;
    let begun = Instant::now();
    if !store.any_user().await? {
        fill(&*store).await?;
        println!("{}: filled in {:.1} s", store.describe().await?, begun.elapsed().as_secs_f64());
        wide(&*store).await?;
    }
    for tasks in [1, 8] {
        let begun = Instant::now();
        let work = (0..tasks).map(|task| {
            let store: Arc<dyn Store> = store.clone();
            tokio::spawn(async move {
                for number in (task..PAGES).step_by(tasks as usize) {
                    page(&*store, number).await?;
                }
                Ok::<(), Failure>(())
            })
        });
        for done in futures::future::try_join_all(work).await? {
            done?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{tasks} at once: {:.0} pages/s, {:.0} µs of lookups a page",
            f64::from(PAGES) / seconds,
            seconds * f64::from(tasks) * 1e6 / f64::from(PAGES)
        );
    }
    Ok(())
}
