#![allow(clippy::unwrap_used)]
use berth_types::{
    ErrorCode, NamespaceName, PlatformRole, Quantity, Resources, TenantName, TenantRole,
    quota::{ContainerDefaults, Written},
    rows::UsageRow,
};

use crate::{
    OpCtx,
    authz::{NamespaceRef, TenantRef},
    error::Error,
    ports::cluster::UnknownKey,
    services::{plans::PlanText, quotas::Wanted},
    testing::World,
    usage::Taken,
};

fn amounts(text: &str) -> Written {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(key, amount)| (key.to_owned(), amount.to_owned())).collect()
}

fn text(amounts_text: &str) -> PlanText {
    PlanText { resources: amounts(amounts_text), ..PlanText::default() }
}

/// Code, and what is wrong at which field.
fn wrong(error: &Error) -> (ErrorCode, Vec<String>) {
    (error.code(), error.fields().iter().map(|e| format!("{} {}", e.field, e.code)).collect())
}

/// Tenant `shop` of `olga` with namespaces `dev` and `prod`; `root` keeps the platform.
struct Scene {
    world: World,
    root: OpCtx,
    olga: OpCtx,
    shop: TenantRef,
    dev: NamespaceRef,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        world.person("olga", None).await;
        let shop = world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
        let dev = world.namespace(&shop, "dev").await;
        world.namespace(&shop, "prod").await;
        let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
        Self { world, root, olga, shop, dev }
    }

    async fn limit(&self, amounts_text: &str) -> Result<(), Error> {
        let wanted = Wanted::Own(amounts(amounts_text));
        self.world.services.set_tenant_quota(&self.root, &self.shop.name, None, &wanted).await.map(drop)
    }

    async fn share(&self, namespace: &str, amounts_text: &str) -> Result<(), Error> {
        let namespace: NamespaceName = namespace.parse().unwrap();
        let share = amounts(amounts_text);
        self.world.services.set_share(&self.olga, &self.shop.name, &namespace, Some(&share)).await.map(drop)
    }

    /// The cluster says that `dev` uses so much.
    fn uses(&self, amounts_text: &str) {
        let row = |(resource, used): (String, String)| UsageRow { resource, used, limit: None };
        self.world.cluster.set_usage(&self.dev, amounts(amounts_text).into_iter().map(row).collect());
    }

    /// What the cluster enforces in a namespace.
    fn enforced(&self, kube_name: &str) -> Option<Written> {
        let all = self.world.cluster.namespaces();
        let found = all.into_iter().find(|n| n.kube_name == kube_name).expect("the cluster has it");
        found.quota.map(|quota| quota.hard.written())
    }

    /// Before and after, as the log has them for the last `action`.
    fn logged(&self, action: &str) -> (String, String) {
        let log = self.world.store.audit();
        let detail = log.into_iter().rev().find(|e| e.action == action).and_then(|e| e.detail).unwrap();
        (detail["before"].to_string(), detail["after"].to_string())
    }
}

#[tokio::test]
async fn what_is_shared_out_is_enforced_and_logged() {
    let scene = Scene::new().await;
    scene.limit("pods=10 requests.cpu=2").await.unwrap();
    let none = Some(amounts("pods=0 requests.cpu=0"));
    assert_eq!((scene.enforced("shop-dev"), scene.enforced("shop-prod")), (none.clone(), none));
    scene.share("dev", "pods=4").await.unwrap();
    assert_eq!(scene.enforced("shop-dev"), Some(amounts("pods=4 requests.cpu=0")));
    assert_eq!(scene.logged("share.set"), ("null".to_owned(), r#"{"pods":"4"}"#.to_owned()));
    let error = scene.share("prod", "pods=7 cpu=1").await.unwrap_err();
    assert_eq!(wrong(&error), (ErrorCode::Invalid, vec!["resources[cpu] quota_key".to_owned()]));
    let error = scene.share("prod", "pods=7").await.unwrap_err();
    assert_eq!(wrong(&error), (ErrorCode::Invalid, vec!["resources[pods] quota_left".to_owned()]));
    assert_eq!(scene.share("gone", "pods=1").await.unwrap_err().code(), ErrorCode::NotFound);

    let services = &scene.world.services;
    let (shop, part) = (&scene.shop.name, amounts("pods=3"));
    services.move_share(&scene.olga, shop, "dev", "prod", &part).await.unwrap();
    assert_eq!(scene.enforced("shop-dev"), Some(amounts("pods=1 requests.cpu=0")));
    assert_eq!(scene.enforced("shop-prod"), Some(amounts("pods=3 requests.cpu=0")));
    let wrongly = async |from, to, part: &str| {
        wrong(&services.move_share(&scene.olga, shop, from, to, &amounts(part)).await.unwrap_err()).1
    };
    assert_eq!(wrongly("gone", "nowhere", "x=1").await.len(), 3, "all that is wrong is said at once");
    assert_eq!(wrongly("dev", "dev", "pods=1").await, ["to quota_same"]);
    assert_eq!(wrongly("dev", "prod", "pods=0").await, ["resources quota_nothing"]);
    assert_eq!(wrongly("dev", "prod", "pods=2").await, ["resources[pods] quota_gives"]);

    services.set_tenant_quota(&scene.root, shop, None, &Wanted::Unlimited).await.unwrap();
    assert_eq!(scene.enforced("shop-dev"), Some(amounts("pods=1 requests.cpu=0")), "its share stays its limit");
    // What was done while the cluster was away is made up for.
    scene.world.cluster.set_down(Some("away"));
    scene.share("dev", "pods=9 requests.cpu=0").await.unwrap();
    scene.world.cluster.set_down(None);
    assert_eq!(services.reconcile_namespaces().await.unwrap(), 1);
    assert_eq!(scene.enforced("shop-dev"), Some(amounts("pods=9 requests.cpu=0")));
    assert_eq!(services.reconcile_namespaces().await.unwrap(), 0);
}

#[tokio::test]
async fn a_namespace_in_a_limited_tenant_has_its_share_or_nothing() {
    let scene = Scene::new().await;
    scene.limit("pods=10").await.unwrap();
    let services = &scene.world.services;
    let make = async |name: &str, share: Option<&Written>| {
        services.create_namespace_with(&scene.olga, &scene.shop.name, name, None, share).await
    };
    make("one", Some(&amounts("pods=6"))).await.unwrap();
    make("two", None).await.unwrap();
    assert_eq!(scene.enforced("shop-one"), Some(amounts("pods=6")));
    assert_eq!(scene.enforced("shop-two"), Some(amounts("pods=0")));
    let error = make("three", Some(&amounts("pods=5"))).await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[pods] quota_left"]);
    assert_eq!(make("three", Some(&amounts("pods="))).await.unwrap().name.as_str(), "three");
}

#[tokio::test]
async fn nothing_is_lowered_below_its_use() {
    let scene = Scene::new().await;
    scene.share("dev", "pods=8 requests.cpu=2").await.unwrap();
    scene.limit("pods=10 requests.cpu=4").await.unwrap();
    scene.uses("pods=5 requests.cpu=1500m");
    let error = scene.share("dev", "pods=4 requests.cpu=1").await.unwrap_err();
    let both = ["resources[requests.cpu] quota_below_use", "resources[pods] quota_below_use"];
    assert_eq!(wrong(&error), (ErrorCode::Invalid, both.map(str::to_owned).to_vec()));
    assert!(error.fields()[1].message.contains("dev uses 5: it cannot have 4"), "{error:?}");
    scene.share("dev", "pods=5 requests.cpu=1500m").await.unwrap();

    // A key that nobody counted before: pods that run take some of it.
    let error = scene.limit("pods=10 requests.cpu=4 requests.memory=8Gi").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[requests.memory] quota_below_running"]);

    // Nor what its pods ask for, which no quota there counts yet: neither as a share nor as a limit of the tenant alone.
    let read = |text: &str| amounts(text).into_iter().map(|(key, n)| (key, n.parse().unwrap())).collect();
    let counted = read("pods=5 requests.cpu=1500m requests.memory=6Gi requests.nvidia.com/gpu=2");
    scene.world.cluster.set_taken(&scene.dev, Taken { counted, used: None });
    let error = scene.share("dev", "pods=5 requests.cpu=1500m requests.memory=4Gi").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[requests.memory] quota_below_use"]);
    assert!(error.message().contains("dev uses 6Gi: it cannot have 4Gi"), "{error}");
    let error = scene.limit("pods=10 requests.cpu=4 requests.nvidia.com/gpu=4").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[requests.nvidia.com/gpu] quota_below_use"]);
    scene.uses("requests.cpu=1500m");
    let error = scene.limit("requests.cpu=4 pods=10 services=3 requests.memory=9Gi").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[requests.memory] quota_below_running"], "its pods are known to run");
    scene.world.cluster.set_taken(&scene.dev, Taken::default());
    scene.uses("pods=5 requests.cpu=1500m");

    // Nor what is there of volumes and objects, which no quota there counts yet.
    let there = "persistentvolumeclaims=3 requests.storage=20Gi services.loadbalancers=0 count/jobs.batch=7";
    let there = Resources::read("r", &amounts(there)).unwrap();
    scene.world.cluster.set_existing(&scene.dev, there);
    let error = scene.limit("pods=10 requests.cpu=4 requests.storage=50Gi services.loadbalancers=1").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[requests.storage] quota_below_use"], "what is not there may be limited");
    assert!(error.message().contains("dev uses 20Gi: it cannot have 0"), "{error}");
    let error = scene.share("dev", "pods=5 requests.cpu=1500m persistentvolumeclaims=2").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[persistentvolumeclaims] quota_below_use"]);
    let error = scene.limit("pods=10 requests.cpu=4 count/jobs.batch=9").await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[count/jobs.batch] quota_below_use"]);
    // Where a quota counts it, that is what counts.
    scene.uses("pods=5 requests.cpu=1500m persistentvolumeclaims=1");
    scene.share("dev", "pods=5 requests.cpu=1500m persistentvolumeclaims=2").await.unwrap();
    scene.share("dev", "pods=5 requests.cpu=1500m").await.unwrap();
    scene.uses("pods=5 requests.cpu=1500m");

    // What is in use is not known while the cluster is away. To give more, it need not be.
    scene.world.cluster.set_down(Some("away"));
    let error = scene.share("dev", "pods=5 requests.cpu=1").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ClusterUnavailable);
    assert!(error.message().contains("not known now"), "{error}");
    scene.share("dev", "pods=6 requests.cpu=2").await.unwrap();
}

#[tokio::test]
async fn plans_say_what_their_tenants_may_have() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let name = "small".parse().unwrap();
    let wrongly = PlanText {
        display_name: "x".repeat(61),
        resources: amounts("gpu=1"),
        defaults: ContainerDefaults { cpu_limit: "0".to_owned(), ..ContainerDefaults::default() },
    };
    let error = services.create_plan(&scene.root, "Small", &wrongly).await.unwrap_err();
    let fields =
        ["name name_character", "displayName label", "resources[gpu] quota_key", "defaults.cpuLimit quantity_positive"];
    let mut told = wrong(&error).1;
    told.sort();
    let mut wanted = fields.to_vec();
    wanted.sort_unstable();
    assert_eq!(told, wanted);
    let plan = services.create_plan(&scene.root, "small", &text("pods=10")).await.unwrap();
    let wanted = Wanted::Plan("small".to_owned());
    services.set_tenant_quota(&scene.root, &scene.shop.name, None, &wanted).await.unwrap();
    let unknown = Wanted::Plan("No Plan".to_owned());
    let error = services.set_tenant_quota(&scene.root, &scene.shop.name, None, &unknown).await.unwrap_err();
    assert_eq!(wrong(&error).1, ["plan plan_unknown"]);
    scene.share("dev", "pods=8").await.unwrap();
    scene.uses("pods=3");

    let effects = services.preview_plan(&scene.root, &name, &text("pods=7")).await.unwrap();
    assert_eq!((effects.len(), effects[0].tenant.as_str()), (1, "shop"));
    assert_eq!(effects[0].problems[0].code, "plan_shared");
    let error = services.update_plan(&scene.root, &name, &text("pods=7"), Some(plan.version)).await.unwrap_err();
    assert_eq!(wrong(&error).1, ["resources[pods] plan_shared"]);
    let wider = services.update_plan(&scene.root, &name, &text("pods=12"), Some(plan.version)).await.unwrap();
    let late = services.update_plan(&scene.root, &name, &text("pods=13"), Some(plan.version)).await.unwrap_err();
    assert_eq!((wider.version, late.code()), (2, ErrorCode::Conflict));
    let error = services.delete_plan(&scene.root, &name).await.unwrap_err();
    assert_eq!(wrong(&error).1, ["plan plan_used"]);

    // A tenant's own people neither see plans nor set their own limit.
    assert_eq!(services.list_plans(&scene.olga).await.unwrap_err().code(), ErrorCode::NotFound);
    let own = services.set_tenant_quota(&scene.olga, &scene.shop.name, None, &Wanted::Unlimited).await;
    assert_eq!(own.unwrap_err().code(), ErrorCode::Forbidden);
    services.set_tenant_quota(&scene.root, &scene.shop.name, None, &Wanted::Unlimited).await.unwrap();
    services.delete_plan(&scene.root, &name).await.unwrap();
}

#[tokio::test]
async fn pressure_is_the_fullest_key() {
    let scene = Scene::new().await;
    scene.world.person("carl", None).await;
    scene.world.tenant("club", &[("carl", TenantRole::Owner)]).await;
    scene.limit("pods=10 requests.cpu=4").await.unwrap();
    scene.uses("pods=5 requests.cpu=3 secrets=9");
    let rows = scene.world.services.tenant_pressure(&scene.root).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.tenant.as_str(), row.limited, row.pressure)).collect();
    assert_eq!(told, [("shop", true, Some(750)), ("club", false, None)]);
    let quota = scene.world.services.tenant_quota(&scene.olga, &scene.shop.name).await.unwrap().remove(0).quota;
    let cpu = &quota.resources[0];
    assert_eq!(
        (cpu.resource.as_str(), cpu.used.as_deref(), cpu.left.as_deref()),
        ("requests.cpu", Some("3"), Some("4"))
    );
    assert_eq!(quota.namespaces[0].used.get("pods"), Some(Quantity::units(5)));
    let unlimited: TenantName = "club".parse().unwrap();
    let none = scene.world.services.tenant_quota(&scene.root, &unlimited).await.unwrap().remove(0).quota;
    assert_eq!((none.limited, none.resources, none.namespaces), (false, vec![], vec![]));
}

#[tokio::test]
async fn what_no_cluster_knows_is_refused() {
    let scene = Scene::new().await;
    let services = &scene.world.services;
    let gpu = "requests.nvidia.com/gpu";
    let lack = UnknownKey { key: gpu.parse().unwrap(), known: vec!["amd.com/gpu".to_owned()] };
    let refused = (ErrorCode::Invalid, vec![format!("resources[{gpu}] quota_device_unknown")]);
    services.create_plan(&scene.root, "before", &text("pods=5 requests.nvidia.com/gpu=1")).await.unwrap();
    scene.world.cluster.set_lacks(vec![lack]);
    let plan = services.create_plan(&scene.root, "gpus", &text("pods=5 requests.nvidia.com/gpu=1")).await.unwrap_err();
    assert_eq!(wrong(&plan), refused);
    assert!(plan.message().contains("amd.com/gpu"), "{}", plan.message());
    assert_eq!(wrong(&scene.limit("requests.nvidia.com/gpu=1").await.unwrap_err()), refused);
    // None of it can be said of everything; what is in force already stays; who cannot be asked may know it.
    scene.limit("requests.nvidia.com/gpu=0").await.unwrap();
    let before = "before".parse().unwrap();
    services.update_plan(&scene.root, &before, &text("pods=6 requests.nvidia.com/gpu=2"), None).await.unwrap();
    scene.world.cluster.set_down(Some("gone"));
    services.create_plan(&scene.root, "gpus", &text("pods=5 requests.nvidia.com/gpu=1")).await.unwrap();
}
