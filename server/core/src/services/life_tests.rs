//! A tenant's life, over stores and a cluster in memory.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use berth_types::{
    Action, ErrorCode, PlatformRole, Resource, TenantName, TenantRole, UserName,
    life::HaltKind,
    network::{EgressMode, EgressText},
};

use crate::{OpCtx, authz::NamespaceRef, testing::World};

const DAY: Duration = Duration::from_hours(24);

struct Scene {
    world: World,
    shop: TenantName,
    dev: NamespaceRef,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        for name in ["olga", "adam", "dora"] {
            world.person(name, None).await;
        }
        let members = [("olga", TenantRole::Owner), ("adam", TenantRole::Admin), ("dora", TenantRole::Developer)];
        let tenant = world.tenant("shop", &members).await;
        let dev = world.namespace(&tenant, "dev").await;
        world.services.reconcile_namespaces().await.unwrap();
        Self { world, shop: tenant.name, dev }
    }

    async fn ctx(&self, who: &str) -> OpCtx {
        self.world.ctx(who).await
    }

    /// Whether the cluster scales the namespace's apps to zero; none where it has no such namespace.
    fn rests(&self) -> Option<bool> {
        self.world.cluster.namespaces().into_iter().find(|n| n.kube_name == *self.dev.kube_name).map(|n| n.suspended)
    }

    /// What somebody gets who changes the network of the namespace.
    async fn change(&self, who: &str) -> Result<(), ErrorCode> {
        let written = EgressText { mode: "none".into(), ranges: Vec::new() };
        let set =
            self.world.services.set_network(&self.ctx(who).await, &self.shop, &self.dev.name, &written, None).await;
        set.map(|set| assert_eq!(set.egress.mode, EgressMode::None)).map_err(|e| e.code())
    }

    fn log(&self, action: &str) -> Vec<(String, String)> {
        let log = self.world.store.audit().into_iter().filter(|e| e.action == action);
        log.map(|e| (e.actor, e.outcome)).collect()
    }
}

#[tokio::test]
async fn a_suspended_tenant_rests_until_it_is_resumed() {
    let scene = Scene::new().await;
    let (root, olga) = (scene.ctx("root").await, scene.ctx("olga").await);
    let services = &scene.world.services;
    assert_eq!(scene.rests(), Some(false));
    let refused = services.suspend_tenant(&olga, &scene.shop, "x").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Forbidden, "an owner does not");
    let silent = services.suspend_tenant(&root, &scene.shop, " ").await.unwrap_err();
    assert_eq!((silent.code(), silent.fields()[0].field.as_str()), (ErrorCode::Invalid, "reason"));
    assert_eq!(scene.rests(), Some(false), "nothing was changed");

    services.suspend_tenant(&root, &scene.shop, "unpaid").await.unwrap();
    assert_eq!(scene.rests(), Some(true), "at once");
    let twice = services.suspend_tenant(&root, &scene.shop, "again").await.unwrap_err();
    assert_eq!(twice.code(), ErrorCode::Conflict);
    let (_, tenant) = services.get_tenant(&olga, &scene.shop).await.unwrap();
    let halt = tenant.halt.unwrap();
    assert_eq!((halt.kind, halt.mark.by.as_str(), halt.mark.reason.as_str()), (HaltKind::Suspended, "root", "unpaid"));
    // Nobody changes anything; everybody looks.
    for who in ["olga", "adam", "dora"] {
        services.get_namespace(&scene.ctx(who).await, &scene.shop, &scene.dev.name).await.unwrap();
        assert!(scene.change(who).await.is_err(), "{who}");
    }
    assert_eq!(scene.change("adam").await, Err(ErrorCode::Suspended));
    let owner = services.remove_tenant(&olga, &scene.shop, "").await.unwrap_err();
    assert_eq!(owner.code(), ErrorCode::Suspended, "what the platform put to rest, only the platform removes");
    let told = services.create_namespace(&olga, &scene.shop, "prod", None).await.unwrap_err();
    assert!(told.message().contains("unpaid") && told.message().contains("root"), "{}", told.message());
    let user: UserName = "dora".parse().unwrap();
    services.set_member(&root, &scene.shop, &user, TenantRole::Viewer).await.unwrap();
    assert_eq!(scene.change("root").await, Err(ErrorCode::Suspended), "not even an admin of the platform");

    services.resume_tenant(&root, &scene.shop).await.unwrap();
    assert_eq!(scene.rests(), Some(false));
    assert_eq!(scene.change("adam").await, Ok(()));
    assert_eq!(services.resume_tenant(&root, &scene.shop).await.unwrap_err().code(), ErrorCode::Conflict);
    let done = ("root".to_owned(), "done".to_owned());
    assert_eq!(scene.log("tenant.suspend").iter().filter(|entry| **entry == done).count(), 1);
    assert_eq!(scene.log("tenant.resume").iter().filter(|entry| **entry == done).count(), 1);
}

#[tokio::test]
async fn a_removed_tenant_can_be_taken_back_until_it_is_gone() {
    let scene = Scene::new().await;
    let services = scene.world.services.with_grace(jiff::SignedDuration::from_hours(48));
    let (olga, adam) = (scene.ctx("olga").await, scene.ctx("adam").await);
    assert_eq!(services.remove_tenant(&adam, &scene.shop, "").await.unwrap_err().code(), ErrorCode::Forbidden);
    let mark = services.remove_tenant(&olga, &scene.shop, "moved elsewhere").await.unwrap();
    assert_eq!(mark.until, Some(mark.at + jiff::SignedDuration::from_hours(48)));
    assert_eq!(scene.rests(), Some(true));
    assert_eq!(scene.change("olga").await, Err(ErrorCode::Suspended));
    scene.world.clock.advance(DAY);
    assert_eq!(services.keep_lives().await.unwrap(), 0, "not yet");
    services.restore_tenant(&olga, &scene.shop).await.unwrap();
    assert_eq!((scene.rests(), scene.change("olga").await), (Some(false), Ok(())));
    assert_eq!(services.restore_tenant(&olga, &scene.shop).await.unwrap_err().code(), ErrorCode::Conflict);

    services.remove_tenant(&olga, &scene.shop, "").await.unwrap();
    scene.world.clock.advance(2 * DAY);
    let late = services.restore_tenant(&olga, &scene.shop).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Conflict, "too late: {}", late.message());
    assert_eq!(services.reconcile_namespaces().await.unwrap(), 0, "what goes is not made again");
    assert_eq!(services.keep_lives().await.unwrap(), 0, "clocks differ a little");
    scene.world.clock.advance(Duration::from_secs(11));
    // The cluster does not answer: nothing is forgotten that is still there.
    scene.world.cluster.set_down(Some("connection refused"));
    assert_eq!(services.keep_lives().await.unwrap(), 0);
    services.get_tenant(&olga, &scene.shop).await.unwrap();
    scene.world.cluster.set_down(None);
    assert_eq!(services.keep_lives().await.unwrap(), 1, "the namespace in the cluster");
    assert_eq!(scene.rests(), None);
    assert_eq!(services.keep_lives().await.unwrap(), 2, "its row, and the tenant's");
    assert_eq!(services.get_tenant(&olga, &scene.shop).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(services.keep_lives().await.unwrap(), 0);
    for action in ["namespace.delete", "namespace.gone", "tenant.gone"] {
        assert_eq!(scene.log(action), [("system:life-keeper".to_owned(), "done".to_owned())], "{action}");
    }
    assert!(!scene.log("tenant.remove").is_empty(), "the audit log stays");
}

#[tokio::test]
async fn a_namespace_goes_alone() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let (adam, dora) = (scene.ctx("adam").await, scene.ctx("dora").await);
    let (shop, dev) = (&scene.shop, &scene.dev.name);
    assert_eq!(services.remove_namespace(&dora, shop, dev, "").await.unwrap_err().code(), ErrorCode::Forbidden);
    services.remove_namespace(&adam, shop, dev, "").await.unwrap();
    assert_eq!((scene.rests(), scene.change("adam").await), (Some(true), Err(ErrorCode::Suspended)));
    services.create_namespace(&adam, shop, "prod", None).await.unwrap();
    services.restore_namespace(&adam, shop, dev).await.unwrap();
    assert_eq!((scene.rests(), scene.change("adam").await), (Some(false), Ok(())));
    services.remove_namespace(&adam, shop, dev, "").await.unwrap();
    scene.world.clock.advance(7 * DAY + Duration::from_secs(11));
    assert_eq!((services.keep_lives().await.unwrap(), services.keep_lives().await.unwrap()), (1, 1));
    let left = services.list_namespaces(&adam, shop).await.unwrap();
    assert_eq!(left.iter().map(|n| n.namespace.name.as_str()).collect::<Vec<_>>(), ["prod"]);
}

/// A tenant that was suspended when it was removed is suspended when it is taken back.
#[tokio::test]
async fn what_rested_before_rests_again() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let (root, olga) = (scene.ctx("root").await, scene.ctx("olga").await);
    services.suspend_tenant(&root, &scene.shop, "unpaid").await.unwrap();
    services.remove_tenant(&root, &scene.shop, "").await.unwrap();
    services.restore_tenant(&root, &scene.shop).await.unwrap();
    let halt = services.get_tenant(&olga, &scene.shop).await.unwrap().1.halt.unwrap();
    assert_eq!((halt.kind, scene.rests()), (HaltKind::Suspended, Some(true)));
    let (tenant, _) = services.get_tenant(&olga, &scene.shop).await.unwrap();
    assert!(!services.authz().could(&olga, &tenant, Resource::Namespace, Action::Create), "no page offers it");
}
