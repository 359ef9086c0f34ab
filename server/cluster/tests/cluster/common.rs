//! A portal's cluster adapter over a cluster, with a switch that cuts the line between them. The cluster is an embedded one of
//! the test's own, or the real one that `BERTH_TEST_KUBECONFIG` leads to (`cargo xtask test --cluster`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use berth_cluster::{Connection, KubeCluster};
use berth_core::{
    Actor, OpCtx, Person, Via,
    authz::{AppRef, Grant, NamespaceRef, TenantRef},
    env::SystemClock,
    ports::cluster::{AppObject, Cluster},
};
use berth_sim::Sim;
use berth_types::{
    Action, ClusterId, ListQuery, Resource, TenantRole, people::Namespace, people::TokenScope, rows::PodRow,
};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

/// Longest that a test waits for a condition. The machine may be busy; what is fast is measured elsewhere.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Harbour {
    pub cluster: Arc<KubeCluster>,
    pub namespace: NamespaceRef,
    /// `true`: nothing comes through, and open connections break.
    pub cut: watch::Sender<bool>,
    /// An administrator's client, past the switch.
    pub admin: kube::Client,
    pub shutdown: CancellationToken,
    /// The embedded cluster ends with this.
    _sim: Option<Sim>,
    /// The real cluster, whose namespace must be removed.
    real: Option<String>,
}

impl Drop for Harbour {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(kubeconfig) = &self.real {
            let mut kubectl = std::process::Command::new("kubectl");
            kubectl.args([
                "--kubeconfig",
                kubeconfig,
                "delete",
                "namespace",
                "--wait=false",
                &self.namespace.kube_name,
            ]);
            assert!(kubectl.stdout(std::process::Stdio::null()).status().is_ok(), "kubectl is needed to clean up");
        }
    }
}

/// A cluster's API behind a switch.
fn client<S, B>(service: S, cut: &watch::Sender<bool>) -> kube::Client
where
    S: tower::Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug,
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    let cut = cut.clone();
    let switched = tower::service_fn(move |request: Request<Body>| {
        let (service, mut line) = (service.clone(), cut.subscribe());
        async move {
            let refused = || std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
            if *line.borrow() {
                return Err(refused());
            }
            let (parts, body) = service.oneshot(request).await.map_err(|_| refused())?.into_parts();
            let chunks = axum_body::Body::new(body).into_data_stream();
            let broken = async move {
                let _ = line.wait_for(|cut| *cut).await;
            };
            let chunks =
                chunks.map_err(std::io::Error::other).take_until(Box::pin(broken)).chain(futures::stream::empty());
            Ok::<_, std::io::Error>(Response::from_parts(parts, axum_body::Body::from_stream(chunks)))
        }
    });
    kube::Client::new(switched, "default")
}

/// The same as `admin`, behind a switch.
fn through(admin: &kube::Client, cut: &watch::Sender<bool>) -> kube::Client {
    let admin = admin.clone();
    let service = tower::service_fn(move |request| {
        let admin = admin.clone();
        async move { admin.send(request).await }
    });
    client(service, cut)
}

use axum::body as axum_body;

/// Something that no other test has.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A namespace as the store has it.
pub fn row(tenant: &str, name: &str) -> Namespace {
    Namespace {
        id: Uuid::nil(),
        name: name.parse().unwrap(),
        tenant: tenant.parse().unwrap(),
        cluster: ClusterId::local(),
        kube_name: format!("{tenant}-{name}"),
        egress: Default::default(),
        protected: false,
        halt: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

/// Waits for a condition of the cluster, asked again and again.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}

impl Harbour {
    /// A cluster with everything running and one namespace, `shop-dev`.
    pub async fn open() -> Self {
        let harbour = Self::new().await;
        let (cluster, shutdown) = (harbour.cluster.clone(), harbour.shutdown.clone());
        tokio::spawn(cluster.run_controller(shutdown));
        harbour
    }

    /// The same without a controller.
    pub async fn new() -> Self {
        let cut = watch::Sender::new(false);
        let real = std::env::var("BERTH_TEST_KUBECONFIG").ok();
        let (switched, admin, sim) = match &real {
            None => {
                let sim = Sim::builder().build().unwrap();
                (client(sim.service(), &cut), kube::Client::new(sim.service(), "default"), Some(sim))
            }
            Some(path) => {
                let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
                let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
                // As Berth's own clients: an eviction that a budget refuses is answered, not tried for minutes.
                config.default_retry = false;
                let admin = kube::Client::try_from(config).unwrap();
                (through(&admin, &cut), admin, None)
            }
        };
        let connection = Connection::single(switched);
        let cluster = KubeCluster::new(ClusterId::local(), connection, Arc::new(SystemClock));
        cluster.ensure_crds().await.unwrap();
        cluster.ensure_cluster_roles().await.unwrap();
        let tenant = TenantRef {
            id: Uuid::nil(),
            name: "shop".parse().unwrap(),
            display_name: "Shop".into(),
            role: Some(TenantRole::Developer),
            rights: berth_core::authz::Rights::from(Some(TenantRole::Developer)),
            halt: None,
        };
        let namespace = NamespaceRef {
            tenant,
            id: Uuid::nil(),
            name: "dev".parse().unwrap(),
            cluster: ClusterId::local(),
            // A real cluster is shared with tests before and beside this one.
            kube_name: real.as_ref().map_or("shop-dev".into(), |_| format!("shop-dev-{}", unique()).into()),
            given: None,
            rights: Default::default(),
            protected: false,
            halt: None,
        };
        let shutdown = CancellationToken::new();
        let harbour = Self { cluster, namespace, cut, admin, shutdown, _sim: sim, real };
        let row = Namespace { kube_name: harbour.namespace.kube_name.to_string(), ..row("shop", "dev") };
        let desired = berth_core::services::namespaces::desired(&row);
        assert!(harbour.cluster.ensure_namespace(&harbour.berth(), &desired).await.unwrap().changed, "made");
        // The cluster gives it an account a moment later, of which Berth takes the token.
        let account = harbour.path("v1", "serviceaccounts/default");
        until("an account", async || harbour.get(&account).await).await;
        harbour.cluster.ensure_namespace(&harbour.berth(), &desired).await.unwrap();
        assert!(
            !harbour.cluster.ensure_namespace(&harbour.berth(), &desired).await.unwrap().changed,
            "nothing left to do"
        );
        tokio::spawn(harbour.cluster.clone().run(harbour.shutdown.clone()));
        assert!(harbour.cluster.wait_until_live(PATIENCE).await, "{:?}", harbour.cluster.freshness());
        harbour
    }

    /// What another process has of the same cluster, with a switch of its own.
    pub fn another(&self) -> (Arc<KubeCluster>, watch::Sender<bool>) {
        let cut = watch::Sender::new(false);
        let connection = Connection::single(through(&self.admin, &cut));
        (KubeCluster::new(ClusterId::local(), connection, Arc::new(SystemClock)), cut)
    }

    /// Berth itself.
    pub fn berth(&self) -> OpCtx {
        OpCtx::system(Arc::new(SystemClock), "test")
    }

    /// A person.
    pub fn person(&self, name: &str) -> OpCtx {
        let person = Person {
            id: Uuid::nil(),
            name: name.parse().unwrap(),
            display_name: name.into(),
            platform_role: None,
            via: Via::Cli,
            scope: TokenScope::default(),
            must_change_password: false,
            needs_second_factor: false,
        };
        self.berth().with_actor(Actor::Person(Arc::new(person)))
    }

    /// The namespace, for whoever has `role`.
    pub fn as_role(&self, role: TenantRole) -> Grant<NamespaceRef> {
        let mut namespace = self.namespace.clone();
        namespace.tenant.role = Some(role);
        Grant::unchecked(namespace, Resource::Namespace, Action::Read)
    }

    pub fn dev(&self) -> Grant<NamespaceRef> {
        self.as_role(TenantRole::Developer)
    }

    pub fn app_as(&self, name: &str, role: TenantRole) -> Grant<AppRef> {
        let namespace = (*self.as_role(role)).clone();
        Grant::unchecked(AppRef { namespace, name: name.parse().unwrap() }, Resource::App, Action::Update)
    }

    pub fn app(&self, name: &str) -> Grant<AppRef> {
        self.app_as(name, TenantRole::Developer)
    }

    pub async fn create(&self, name: &str, spec: &Value) -> AppObject {
        self.cluster.create_app(&self.person("ada"), &self.app(name), spec).await.unwrap()
    }

    /// Waits until the app in the cache is as `wanted` says.
    pub async fn wait_app(&self, name: &str, what: &str, wanted: impl Fn(&AppObject) -> bool) -> AppObject {
        let app = self.app(name);
        self.wait(what, || self.cluster.app(&app).filter(&wanted)).await.unwrap_or_else(|| {
            let now = self.cluster.app(&app).map(|a| a.view.status);
            panic!("never {what}: {now:#?}; pods: {:#?}", self.pods())
        })
    }

    /// Waits for something in the cache.
    pub async fn wait<T>(&self, _what: &str, look: impl Fn() -> Option<T>) -> Option<T> {
        let mut changes = self.cluster.subscribe();
        let found = async {
            loop {
                if let Some(found) = look() {
                    return Some(found);
                }
                // A change may have been told before the subscription.
                let _ = tokio::time::timeout(Duration::from_millis(500), changes.recv()).await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.ok().flatten()
    }

    pub fn pods(&self) -> Vec<PodRow> {
        self.cluster.pods(&self.dev(), &ListQuery::default()).unwrap().items
    }

    /// The path of something in the namespace: `/api/v1/…` for `v1`, `/apis/apps/v1/…` for `apps/v1`.
    pub fn path(&self, version: &str, name: &str) -> String {
        let api = if version == "v1" { "api" } else { "apis" };
        format!("/{api}/{version}/namespaces/{}/{name}", self.namespace.kube_name)
    }

    /// An object as the cluster has it.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let request = Request::get(path).body(Vec::new()).unwrap();
        match self.admin.request(request).await {
            Ok(value) => Some(value),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(e) => panic!("{path}: {e}"),
        }
    }

    /// The same, where it may be refused: with what is said then.
    pub async fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.admin.request(request.body(body.to_string().into_bytes()).unwrap()).await.map_err(|e| e.to_string())
    }

    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content_type)
            .body(body.to_string().into_bytes())
            .unwrap();
        self.admin.request(request).await.unwrap()
    }
}
