//! What namespaces took and used.

use std::sync::Arc;

use berth_core::{
    authz::{Grant, NamespaceRef, TenantRef},
    ports::store::Store,
    usage::{Hour, KEPT, Pair, Sample, Slot},
};
use berth_types::{Action, ClusterId, Resource};
use uuid::Uuid;

use crate::fixture::{add_tenant, add_users, id, namespace, place, platform};

/// CPU used (none: nobody measured it) and asked for; memory a thousand times as much.
fn sample(used: Option<i64>, requests: i64) -> Sample {
    let pair = |cpu: i64| Pair { cpu, memory: cpu * 1000 };
    Sample {
        used: used.map(pair),
        requests: pair(requests),
        limits: pair(2 * requests),
        quota: Pair { cpu: Some(4 * requests), memory: None },
        pods: 3,
        pods_quota: Some(10),
        ..Sample::default()
    }
}

fn slot(hour: i64, part: i64) -> Slot {
    Slot { hour, part }
}

/// Tenant `shop` with namespaces 21 and 22, `other` with 23.
struct Scene {
    store: Arc<dyn Store>,
    shop: Grant<TenantRef>,
    cluster: ClusterId,
}

impl Scene {
    async fn new(store: Arc<dyn Store>) -> Self {
        let users = add_users(&*store, &["ann"]).await;
        let shop = add_tenant(&*store, 11, "shop", users[0].id).await;
        let other = add_tenant(&*store, 12, "other", users[0].id).await;
        store.create_namespace(&shop, &namespace(21, "shop", "dev")).await.unwrap();
        store.create_namespace(&shop, &namespace(22, "shop", "prod")).await.unwrap();
        store.create_namespace(&other, &namespace(23, "other", "dev")).await.unwrap();
        Self { store, shop, cluster: ClusterId::local() }
    }

    async fn add(&self, slot: Slot, samples: &[(u128, Sample)]) -> bool {
        let samples: Vec<(Uuid, Sample)> = samples.iter().map(|(number, sample)| (id(*number), *sample)).collect();
        self.store.add_usage(&platform(), &self.cluster, slot, &samples).await.unwrap()
    }

    fn place(&self, number: u128) -> Grant<NamespaceRef> {
        let place = place(&self.shop, &namespace(number, "shop", "dev"));
        Grant::unchecked(place, Resource::Share, Action::Read)
    }

    async fn of(&self, number: u128) -> Vec<Hour> {
        self.store.namespace_usage(&self.place(number), 0..1_000_000).await.unwrap()
    }

    async fn together(&self) -> Vec<Hour> {
        self.store.tenant_usage(&self.shop, &self.cluster, 0..1_000_000).await.unwrap()
    }
}

pub async fn samples_add_up_and_none_counts_twice(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    assert!(scene.add(slot(100, 0), &[(21, sample(Some(100), 1000)), (22, sample(Some(300), 2000))]).await);
    let again = [(21, sample(Some(900), 9000)), (22, sample(Some(900), 9000))];
    assert!(!scene.add(slot(100, 0), &again).await, "this sample was taken by somebody else");
    assert!(scene.add(slot(100, 5), &[(21, sample(None, 500)), (22, sample(Some(100), 4000))]).await);
    assert!(scene.add(slot(100, 6), &[(21, sample(Some(200), 600)), (99, sample(Some(1), 1))]).await, "99 is gone");
    let one = sample(Some(100), 1000);
    let dev =
        Hour::of(100, &one).then(&Hour::of(100, &sample(None, 500))).then(&Hour::of(100, &sample(Some(200), 600)));
    assert_eq!(scene.of(21).await, [dev.filled()], "the database adds up as the rule says");
    assert_eq!((dev.measured, dev.samples, dev.cpu.used.peak, dev.cpu.quota), (2, 3, 200, Some(2400)));

    // Both: 21 has three samples, of which two know the use; 22 has two.
    let sum = scene.together().await;
    assert_eq!(sum.len(), 1);
    assert_eq!((sum[0].samples, sum[0].measured), (3, 2));
    assert_eq!((sum[0].cpu.used.sum, sum[0].cpu.used.peak), (450 + 400, 200 + 300));
    assert_eq!((sum[0].cpu.requests.sum, sum[0].memory.limits.sum), (2100 + 6000, 2 * (2100 + 6000) * 1000));
    assert_eq!((sum[0].cpu.quota, sum[0].memory.quota, sum[0].pods_quota), (Some(2400 + 16_000), None, Some(20)));
    assert_eq!((sum[0].stored, sum[0].storage.sum), (0, 0), "nobody counts it");

    // What is not known of one is not known of both.
    let stored = Sample { storage: Some(7), storage_quota: Some(70), ..sample(Some(1), 10) };
    assert!(scene.add(slot(101, 0), &[(21, stored), (22, Sample { used: None, ..stored })]).await);
    let both = scene.together().await[1];
    assert_eq!((both.hour, both.measured, both.stored), (101, 0, 1));
    assert_eq!((both.storage.sum, both.storage.peak, both.storage_quota), (14, 14, Some(140)));
    let part = scene.store.tenant_usage(&scene.shop, &scene.cluster, 101..102).await.unwrap();
    assert_eq!(part, [both], "only the hours that were asked for");
    let elsewhere = scene.store.tenant_usage(&scene.shop, &"moon".parse().unwrap(), 0..1000).await.unwrap();
    assert!(elsewhere.is_empty());
}

pub async fn usage_totals(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    for hour in 0..3 {
        scene.add(slot(hour, 0), &[(21, sample(Some(100), 1000)), (23, sample(Some(5), 10))]).await;
        scene.add(slot(hour, 1), &[(21, sample(Some(300), 1000)), (22, sample(None, 7))]).await;
    }
    let totals = scene.store.usage_totals(&platform(), 1..3).await.unwrap();
    let shown: Vec<_> = totals.iter().map(|(id, t)| (*id, t.measured, t.used.cpu, t.requests.memory)).collect();
    let known: Vec<_> = shown.into_iter().filter(|(_, measured, ..)| *measured > 0).collect();
    assert_eq!(known, [(id(21), 2, 400, 2_000_000), (id(23), 2, 10, 20_000)]);
    let own = scene.of(21).await;
    let sum =
        own[1..].iter().fold(berth_core::usage::Totals::default(), |s, h| s.then(&berth_core::usage::Totals::of(h)));
    assert_eq!(totals[0].1, sum, "the same as from the hours");
}

pub async fn old_hours_go(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    // A clock that was a year ahead once takes nothing away.
    scene.add(slot(9_000, 0), &[(21, sample(Some(1), 1))]).await;
    for hour in 0..KEPT - 1 {
        scene.add(slot(hour, 0), &[(21, sample(Some(1), 1))]).await;
    }
    assert_eq!(scene.of(21).await.len(), usize::try_from(KEPT).unwrap());
    scene.add(slot(KEPT, 3), &[(21, sample(Some(1), 1)), (23, sample(Some(1), 1))]).await;
    let left = scene.of(21).await;
    assert_eq!((left.len(), left[0].hour), (usize::try_from(KEPT).unwrap(), 1), "the oldest made room");
    assert!(!scene.add(slot(KEPT, 3), &[]).await);
}

pub async fn a_sample_is_written_once_by_many(store: Arc<dyn Store>) {
    let scene = Scene::new(store).await;
    let both = [(id(21), sample(Some(1), 10)), (id(22), sample(Some(2), 20))];
    let (grant, cluster) = (platform(), ClusterId::local());
    let write = || scene.store.add_usage(&grant, &cluster, slot(5, 5), &both);
    let done = futures::future::join_all((0..8).map(|_| write())).await;
    assert_eq!(done.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    assert_eq!((scene.of(21).await[0].samples, scene.of(22).await[0].cpu.requests.sum), (1, 20));
}
