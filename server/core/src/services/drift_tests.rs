//! What somebody changed by hand is noted, audited once an hour, and shown to who sees the namespace.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{ErrorCode, TenantName, TenantRole, drift::DriftKind};

use crate::{authz::NamespaceRef, ports::drifts::Drifted, testing::World};

struct Scene {
    world: World,
    shop: TenantName,
    dev: NamespaceRef,
}

fn policy(kind: DriftKind, by: Option<&str>) -> Drifted {
    Drifted { object: "NetworkPolicy berth-deny".to_owned(), kind, by: by.map(str::to_owned) }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        for name in ["olga", "vera", "otto"] {
            world.person(name, None).await;
        }
        let tenant = world.tenant("shop", &[("olga", TenantRole::Owner), ("vera", TenantRole::Viewer)]).await;
        let dev = world.namespace(&tenant, "dev").await;
        world.services.reconcile_namespaces().await.unwrap();
        Self { world, shop: tenant.name, dev }
    }

    /// Somebody changes this, and Berth looks.
    async fn drift(&self, found: Drifted) {
        self.world.cluster.drift(&self.dev, vec![found]);
        assert_eq!(self.world.services.reconcile_namespaces().await.unwrap(), 1);
        assert_eq!(self.world.services.reconcile_namespaces().await.unwrap(), 0, "put right");
    }

    /// What a viewer sees: way, hand, how often.
    async fn seen(&self) -> Vec<(DriftKind, Option<String>, i64)> {
        let vera = self.world.ctx("vera").await;
        let seen = self.world.services.namespace_drift(&vera, &self.shop, &self.dev.name).await.unwrap();
        seen.into_iter().map(|one| (one.kind, one.by, one.times)).collect()
    }

    fn audited(&self) -> Vec<serde_json::Value> {
        let log = self.world.store.audit().into_iter().filter(|entry| entry.action == "namespace.mend");
        log.map(|entry| entry.detail.unwrap()["objects"].clone()).collect()
    }
}

#[tokio::test]
async fn what_was_changed_by_hand_is_shown_and_audited() {
    let scene = Scene::new().await;
    assert!(scene.seen().await.is_empty() && scene.audited().is_empty(), "making it is no drift");
    scene.drift(policy(DriftKind::Changed, Some("kubectl-edit"))).await;
    assert_eq!(scene.seen().await, [(DriftKind::Changed, Some("kubectl-edit".to_owned()), 1)]);
    let object = serde_json::json!([{ "object": "NetworkPolicy berth-deny", "kind": "changed", "by": "kubectl-edit" }]);
    assert_eq!(scene.audited(), [object]);

    // A tool that does it again and again is counted, and fills no log.
    scene.world.clock.advance(Duration::from_mins(1));
    scene.drift(policy(DriftKind::Changed, Some("flux"))).await;
    scene.drift(policy(DriftKind::Missing, None)).await;
    let changed = (DriftKind::Changed, Some("flux".to_owned()), 2);
    assert_eq!(scene.seen().await, [changed, (DriftKind::Missing, None, 1)]);
    assert_eq!(scene.audited().len(), 2, "the other way is news");
    scene.world.clock.advance(Duration::from_hours(2));
    scene.drift(policy(DriftKind::Changed, Some("flux"))).await;
    assert_eq!(scene.audited().len(), 3);

    let otto = scene.world.ctx("otto").await;
    let refused = scene.world.services.namespace_drift(&otto, &scene.shop, &scene.dev.name).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_namespace_that_cannot_be_kept_says_why_until_it_can() {
    let scene = Scene::new().await;
    scene.world.cluster.set_foreign(&scene.dev, true);
    scene.world.services.reconcile_namespaces().await.unwrap();
    let seen = scene.seen().await;
    assert!(matches!(&seen[..], [(DriftKind::Refused, Some(why), 1)] if why.contains("not Berth's")), "{seen:?}");
    scene.world.cluster.set_down(Some("gone"));
    scene.world.services.reconcile_namespaces().await.unwrap();
    assert_eq!(scene.seen().await, seen, "an outage says nothing of a namespace");
    scene.world.cluster.set_down(None);
    scene.world.cluster.set_foreign(&scene.dev, false);
    scene.world.services.reconcile_namespaces().await.unwrap();
    assert!(scene.seen().await.is_empty());
}
