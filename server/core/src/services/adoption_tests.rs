//! A namespace that was there before becomes a tenant's, over stores and a cluster in memory.
#![allow(clippy::unwrap_used)]

use berth_types::{ErrorCode, PlatformRole, TenantName, TenantRole, adoption::EffectKind, quota::Written};

use super::adoption::Adopted;
use crate::{
    OpCtx,
    adoption::{Strange, StrangePod},
    services::quotas::Wanted,
    testing::World,
};

struct Scene {
    world: World,
    shop: TenantName,
    root: OpCtx,
}

fn strange(kube_name: &str) -> Strange {
    let takes = [("requests.cpu", "500m"), ("pods", "1")].map(|(key, q)| (key.to_owned(), q.parse().unwrap()));
    let owner = Some(("Deployment".to_owned(), "web".to_owned()));
    let pod = StrangePod { name: "web-1".into(), owner, token: false, takes: takes.into_iter().collect() };
    Strange {
        kube_name: kube_name.into(),
        uid: "1".into(),
        pods: vec![pod],
        refused: Vec::new(),
        policies: Vec::new(),
        bindings: Vec::new(),
        quotas: Vec::new(),
    }
}

fn asked(kube_name: &str, name: &str) -> Adopted {
    Adopted { kube_name: kube_name.into(), name: name.into(), ..Adopted::default() }
}

fn amounts(text: &str) -> Written {
    text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        world.person("vera", Some(PlatformRole::Auditor)).await;
        world.person("olga", None).await;
        let tenant = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
        world.namespace(&tenant, "dev").await;
        world.services.reconcile_namespaces().await.unwrap();
        for name in ["legacy", "kube-system", "other"] {
            world.cluster.stranger(strange(name));
        }
        let root = world.ctx("root").await;
        Self { world, shop: tenant.name, root }
    }

    async fn limit(&self, text: &str) {
        let wanted = Wanted::Own(amounts(text));
        self.world.services.set_tenant_quota(&self.root, &self.shop, None, &wanted).await.unwrap();
    }

    async fn adopt(&self, asked: &Adopted) -> Result<String, (ErrorCode, Vec<String>)> {
        let done = self.world.services.adopt_namespace(&self.root, &self.shop, asked).await;
        let fields = |e: &crate::Error| e.fields().iter().map(|f| format!("{} {}", f.field, f.code)).collect();
        done.map(|row| row.kube_name).map_err(|e| (e.code(), fields(&e)))
    }

    /// Whose a namespace is in the cluster.
    fn owner(&self, kube_name: &str) -> Option<(String, String)> {
        let all = self.world.cluster.namespaces();
        all.into_iter().find(|n| n.kube_name == kube_name).map(|n| (n.tenant, n.name))
    }
}

#[tokio::test]
async fn it_is_looked_at_and_becomes_the_tenants() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    scene.limit("requests.cpu=2 pods=10").await;
    assert_eq!(services.adoptable(&scene.root, &scene.shop, None).await.unwrap(), ["legacy", "other"]);
    let preview = services.preview_adoption(&scene.root, &scene.shop, &asked("legacy", "old")).await.unwrap();
    assert_eq!(preview.holds[0].name, "web");
    assert_eq!(preview.takes.written(), amounts("requests.cpu=500m pods=1"));
    assert_eq!(preview.effects.iter().map(|e| e.kind).collect::<Vec<_>>(), [EffectKind::Closed]);
    assert_eq!(scene.owner("legacy"), None, "a look changes nothing");

    assert_eq!(scene.adopt(&asked("legacy", "old")).await.unwrap(), "legacy");
    assert_eq!(scene.owner("legacy"), Some(("shop".into(), "old".into())));
    let row = services.get_namespace(&scene.root, &scene.shop, &"old".parse().unwrap()).await.unwrap();
    assert_eq!(&*row.namespace.kube_name, "legacy");
    // Its share is what it takes.
    let kept = scene.world.cluster.namespaces().into_iter().find(|n| n.kube_name == "legacy").unwrap();
    assert_eq!(kept.quota.unwrap().hard.written(), amounts("requests.cpu=500m pods=1"));
    let log = scene.world.store.audit();
    assert!(log.iter().any(|e| e.action == "namespace.adopt" && e.outcome == "done"), "{log:?}");
    assert_eq!(services.adoptable(&scene.root, &scene.shop, None).await.unwrap(), ["other"]);
}

#[tokio::test]
async fn what_cannot_be_is_said_where_it_stands() {
    let scene = Scene::new().await;
    scene.limit("requests.cpu=1 pods=10").await;
    let at = |place: &str| vec![place.to_owned()];
    for (asked, code, fields) in [
        (asked("legacy", "No Name"), ErrorCode::Invalid, at("name name_character")),
        (asked("", "old"), ErrorCode::Invalid, at("kubeName required")),
        (asked("kube-system", "old"), ErrorCode::Invalid, at("kubeName namespace_reserved")),
        (asked("nowhere", "old"), ErrorCode::Invalid, at("kubeName namespace_absent")),
        (asked("shop-dev", "old"), ErrorCode::Invalid, at("kubeName namespace_taken")),
        (asked("legacy", "dev"), ErrorCode::AlreadyExists, Vec::new()),
        (
            Adopted { share: Some(amounts("gpu=1")), ..asked("legacy", "old") },
            ErrorCode::Invalid,
            at("resources[gpu] quota_key"),
        ),
        (
            Adopted { share: Some(amounts("requests.cpu=2")), ..asked("legacy", "old") },
            ErrorCode::Invalid,
            at("resources[requests.cpu] quota_left"),
        ),
    ] {
        assert_eq!(scene.adopt(&asked).await, Err((code, fields)), "{asked:?}");
        assert_eq!(scene.owner("legacy"), None, "{asked:?}");
    }
}

#[tokio::test]
async fn only_who_keeps_the_platform_may() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let asked = asked("legacy", "old");
    let olga = scene.world.ctx("olga").await;
    let vera = scene.world.ctx("vera").await;
    let refused = services.adopt_namespace(&olga, &scene.shop, &asked).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden);
    assert_eq!(services.preview_adoption(&olga, &scene.shop, &asked).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert!(services.preview_adoption(&vera, &scene.shop, &asked).await.is_ok(), "auditors look");
    assert_eq!(services.adopt_namespace(&vera, &scene.shop, &asked).await.unwrap_err().code(), ErrorCode::Forbidden);
    scene.world.cluster.set_down(Some("away"));
    assert_eq!(scene.adopt(&asked).await.unwrap_err().0, ErrorCode::ClusterUnavailable);
}
