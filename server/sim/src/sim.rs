//! The simulated cluster as a whole: how it is built, reached and stopped.

use std::{path::PathBuf, sync::Arc};

use axum::Router;
use serde_json::{Value, json};

use crate::{
    clock::{Clock, SystemClock},
    cluster::Cluster,
    controllers::{ControlPlane, Options, nodes::shapes},
    hooks::UserInfo,
    http::{Api, Tokens},
    registry::builtin::gr,
    store::Store,
};

/// Why a cluster could not be built or served.
#[derive(Debug)]
pub struct Error(pub String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// How a cluster is built.
pub struct Builder {
    data: Option<PathBuf>,
    options: Options,
    controllers: bool,
    clock: Arc<dyn Clock>,
}

impl Builder {
    /// Keeps the state in a folder, so that a restart finds it. Without one it lives in memory.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// How many nodes there are; 3 unless told.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.options.nodes = shapes(nodes);
        self
    }

    /// The nodes' shapes and the kubelets' timing in full.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Only the API: no nodes, no controllers, no kubelets. For tests of the API itself and for seeding.
    #[must_use]
    pub fn api_only(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Where the time comes from; the machine unless told.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the cluster. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the data folder cannot be read or written.
    pub fn build(self) -> Result<Sim, Error> {
        let store = Store::new();
        let cluster = Cluster::new(store, self.clock);
        let tokens = Tokens::new(random_token()?, random_key()?);
        bootstrap(&cluster);
        let control = self.controllers.then(|| ControlPlane::start(&cluster, &self.options));
        let api = Api { cluster: cluster.clone(), tokens: Arc::new(tokens) };
        Ok(Sim { cluster, control, api })
    }
}

/// A running cluster. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    /// The API in process.
    pub cluster: Cluster,
    /// Controllers, scheduler and kubelets, unless there is only the API.
    pub control: Option<ControlPlane>,
    api: Api,
}

impl Sim {
    /// A cluster of three nodes in memory, unless the builder is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { data: None, options: Options::default(), controllers: true, clock: Arc::new(SystemClock) }
    }

    /// The API for `kube::Client::new(sim.service(), "default")`. Requests speak for the administrator unless
    /// they carry credentials or impersonate.
    #[must_use]
    pub fn service(&self) -> Router {
        self.api.router_as(Tokens::admin_user())
    }

    /// The same for another user.
    #[must_use]
    pub fn service_as(&self, user: UserInfo) -> Router {
        self.api.router_as(user)
    }

    pub(crate) fn network_service(&self) -> Router {
        self.api.router()
    }

    /// The administrator's bearer token.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.api.tokens.admin()
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

fn random_key() -> Result<[u8; 32], Error> {
    random_bytes()
}

fn random_token() -> Result<String, Error> {
    Ok(random_bytes::<24>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a fresh cluster has before anybody asks for it.
fn bootstrap(cluster: &Cluster) {
    let system = cluster.component("kube-apiserver");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        if system.find(&gr::NAMESPACES, "", name).is_none() {
            let value: Value = json!({
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            });
            if let Err(status) = system.create(&gr::NAMESPACES, "", value) {
                tracing::error!(%status, name, "namespace not made");
            }
        }
    }
}
