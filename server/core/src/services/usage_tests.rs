#![allow(clippy::unwrap_used)]
use std::{sync::Arc, time::Duration};

use berth_types::{ErrorCode, PlatformRole, TenantRole, quota::Written, rows::UsageRow, usage::UsageHistory};

use crate::{
    OpCtx, Services,
    authz::{NamespaceRef, TenantRef},
    env::{Clock as _, ManualClock, SystemRandom},
    services::{identity::Limits, quotas::Wanted, requests::NewAsk},
    testing::{BEGIN, FakeClusters, World, at},
    usage::{Taken, Window},
};

fn amounts(text: &str) -> Written {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, amount)| (key.to_owned(), amount.to_owned())).collect()
}

/// Tenant `shop` of `olga` with `dev` and `prod`, limited to 8 CPU; `root` keeps the platform.
struct Scene {
    world: World,
    shop: TenantRef,
    dev: NamespaceRef,
    prod: NamespaceRef,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        world.person("olga", None).await;
        let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
        let (dev, prod) = (world.namespace(&shop, "dev").await, world.namespace(&shop, "prod").await);
        let limit = Wanted::Own(amounts("requests.cpu=8 pods=20"));
        world.services.set_tenant_quota(&world.ctx("root").await, &shop.name, None, &limit).await.unwrap();
        Self { world, shop, dev, prod }
    }

    /// What a namespace asks for, and uses where that is measured.
    fn takes(&self, namespace: &NamespaceRef, counted: &str, used: Option<&str>) {
        let read = |text: &str| amounts(text).into_iter().map(|(key, n)| (key, n.parse().unwrap())).collect();
        self.world.cluster.set_taken(namespace, Taken { counted: read(counted), used: used.map(read) });
    }

    async fn olga(&self) -> OpCtx {
        self.world.ctx("olga").await
    }

    async fn minutes(&self, minutes: u64) -> usize {
        self.world.clock.advance(Duration::from_secs(60 * minutes));
        self.world.services.sample_usage().await.unwrap()
    }

    fn window(&self) -> Window {
        Window::last(720, 1, self.world.clock.now())
    }

    async fn of_dev(&self) -> UsageHistory {
        let (services, ctx) = (&self.world.services, self.olga().await);
        services.namespace_history(&ctx, &self.shop.name, &self.dev.name, self.window()).await.unwrap().history()
    }

    async fn of_shop(&self) -> UsageHistory {
        let (services, ctx) = (&self.world.services, self.olga().await);
        services.tenant_history(&ctx, &self.shop.name, None, self.window()).await.unwrap().history()
    }
}

/// Average, peak and requests of CPU of each step that is known.
fn cpu(history: &UsageHistory) -> Vec<String> {
    let known = history.points.iter().filter_map(|point| point.resources.get("cpu"));
    known
        .map(|cpu| {
            let level = |level: &Option<berth_types::usage::UsageLevel>| {
                level.as_ref().map_or_else(|| "?".to_owned(), |level| format!("{}/{}", level.average, level.peak))
            };
            format!("{} of {}", level(&cpu.used), level(&cpu.requests))
        })
        .collect()
}

#[tokio::test]
async fn a_sample_every_five_minutes_and_none_twice() {
    let scene = Scene::new().await;
    scene.takes(&scene.dev, "requests.cpu=2 pods=3", Some("cpu=500m memory=1Gi"));
    scene.takes(&scene.prod, "requests.cpu=4 pods=2", Some("cpu=1 memory=1Gi"));
    assert_eq!(scene.minutes(0).await, 2);
    assert_eq!(scene.minutes(4).await, 0, "not yet");
    scene.takes(&scene.dev, "requests.cpu=2 pods=3", Some("cpu=1500m memory=1Gi"));
    assert_eq!(scene.minutes(1).await, 2);
    assert_eq!(cpu(&scene.of_dev().await), ["1/1500m of 2/2"]);
    assert_eq!(cpu(&scene.of_shop().await), ["2/2500m of 6/6"], "both together");
    // Another process, which remembers nothing, leads now; then one whose clock goes wrong. What is written counts once.
    let clock = scene.world.clock.clone();
    assert_eq!(another(&scene.world, clock).sample_usage().await.unwrap(), 0);
    assert_eq!(another(&scene.world, ManualClock::new(at(BEGIN))).sample_usage().await.unwrap(), 0);
    let ahead = ManualClock::new(at("2030-01-01T00:00:00Z"));
    assert_eq!(another(&scene.world, ahead).sample_usage().await.unwrap(), 2);
    assert_eq!(cpu(&scene.of_dev().await), ["1/1500m of 2/2"], "a clock that is ahead takes nothing away");

    // A restart in the middle of an hour leaves a hole in it, no more.
    scene.minutes(20).await;
    assert_eq!(cpu(&scene.of_dev().await).len(), 1);
    scene.minutes(60).await;
    assert_eq!(cpu(&scene.of_dev().await).len(), 2);
}

/// The services of another process over the same rows.
fn another(world: &World, clock: Arc<ManualClock>) -> Services {
    let clusters = Arc::new(FakeClusters::new([world.cluster.clone()]));
    Services::new(world.store.clone(), clusters, clock, Arc::new(SystemRandom), Limits::default())
}

#[tokio::test]
async fn what_is_not_known_is_a_gap() {
    let scene = Scene::new().await;
    scene.takes(&scene.dev, "requests.cpu=2", Some("cpu=500m"));
    scene.minutes(0).await;
    // Without metrics: what is asked for is known, use is not. A tenant's is known where all of its namespaces' is.
    assert_eq!(cpu(&scene.of_shop().await), ["? of 2/2"]);
    scene.takes(&scene.dev, "requests.cpu=2", None);
    scene.minutes(60).await;
    assert_eq!(cpu(&scene.of_dev().await), ["500m/500m of 2/2", "? of 2/2"]);
    // The cluster is away: nothing is.
    scene.world.cluster.set_down(Some("away"));
    assert_eq!(scene.minutes(60).await, 0);
    scene.world.cluster.set_down(None);
    assert_eq!(scene.minutes(60).await, 2);
    let history = scene.of_dev().await;
    assert_eq!((history.hours, history.measured_hours, history.points.len()), (3, 1, 720));
    let idle = history.summary[0].idle.clone().unwrap();
    assert_eq!((idle.reserved.as_str(), idle.idle.as_str(), idle.part), ("2", "1500m", 750));
    let now = &history.now[0];
    assert_eq!((now.used.as_deref(), now.requests.as_deref(), now.quota.as_deref()), (None, Some("2"), Some("0")));
    assert_eq!(scene.of_shop().await.now[0].quota.as_deref(), Some("8"));
}

#[tokio::test]
async fn the_platform_sees_who_leaves_what_idle() {
    let scene = Scene::new().await;
    scene.takes(&scene.dev, "requests.cpu=4 requests.memory=4Gi", Some("cpu=1 memory=3Gi"));
    scene.takes(&scene.prod, "requests.cpu=4 requests.memory=4Gi", Some("cpu=1 memory=3Gi"));
    scene.minutes(0).await;
    let root = scene.world.ctx("root").await;
    let rows = scene.world.services.tenant_pressure(&root).await.unwrap();
    let idle: Vec<String> =
        rows[0].idle.iter().map(|i| format!("{} {} of {}", i.resource, i.idle, i.reserved)).collect();
    assert_eq!((idle, rows[0].idle_part()), (vec!["cpu 6 of 8".to_owned(), "memory 2Gi of 8Gi".to_owned()], Some(750)));
    let room = scene.world.services.cluster_capacity(&root, &"local".parse().unwrap()).await.unwrap().0;
    assert_eq!(room.idle, rows[0].idle);
    // It is added up now and then only.
    scene.takes(&scene.dev, "requests.cpu=4", Some("cpu=4"));
    scene.minutes(4).await;
    assert_eq!(scene.world.services.tenant_pressure(&root).await.unwrap()[0].idle, rows[0].idle);
    scene.minutes(1).await;
    assert_ne!(scene.world.services.tenant_pressure(&root).await.unwrap()[0].idle, rows[0].idle);
    scene.world.person("vic", None).await;
    let stranger = scene.world.ctx("vic").await;
    let refused = scene.world.services.tenant_history(&stranger, &scene.shop.name, None, scene.window()).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_request_carries_what_was_used_and_rules_look_at_it() {
    let scene = Scene::new().await;
    let olga = scene.olga().await;
    scene.takes(&scene.dev, "requests.cpu=8 pods=3", Some("cpu=800m memory=1Gi"));
    scene.takes(&scene.prod, "pods=0", Some("cpu=0 memory=0"));
    let row = UsageRow { resource: "requests.cpu".into(), used: "8".into(), limit: Some("8".into()) };
    scene.world.cluster.set_usage(&scene.dev, vec![row]);
    let ask = |cpu: &str| NewAsk {
        resources: amounts(&format!("requests.cpu={cpu}")),
        reason: "More".to_owned(),
        ..NewAsk::default()
    };
    for _ in 0..30 {
        scene.minutes(60).await;
    }
    let waits = scene.world.services.request_quota(&olga, &scene.shop.name, &ask("16")).await.unwrap();
    assert_eq!(waits.ask.findings[0].code, "request_busy", "a tenth of what is reserved is in use");
    let evidence = &waits.ask.evidence;
    let idle = evidence.usage[0].idle.as_ref().unwrap();
    assert_eq!((evidence.usage_hours, idle.idle.as_str(), idle.part), (30, "7200m", 900));

    // In use by now: after two weeks a rule approves.
    scene.takes(&scene.dev, "requests.cpu=8 pods=3", Some("cpu=6 memory=1Gi"));
    for _ in 0..14 * 24 {
        scene.minutes(60).await;
    }
    let approved = scene.world.services.request_quota(&olga, &scene.shop.name, &ask("16")).await.unwrap();
    assert_eq!(approved.steps.last().unwrap().by, "rule:step", "{:?}", approved.ask.findings);
}
