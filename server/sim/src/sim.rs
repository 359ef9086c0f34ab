//! The simulated cluster as a whole: how it is built, reached and stopped.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::Router;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock::{Clock, SystemClock},
    cluster::Cluster,
    controllers::{ControlPlane, Options, nodes::shapes},
    crd,
    hooks::UserInfo,
    http::{Api, Tokens},
    registry::builtin::gr,
    serve::Authority,
    store::{GroupResource, Object, Store, journal},
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
    pub fn build(mut self) -> Result<Sim, Error> {
        let store = Store::new();
        let mut credentials = Credentials::generate()?;
        if let Some(folder) = &self.data {
            let fault = |error: std::io::Error| Error(format!("data folder {}: {error}", folder.display()));
            journal::open(folder, &store).map_err(fault)?;
            credentials = credentials.keep(&folder.join("credentials.json")).map_err(fault)?;
        }
        let cluster = Cluster::new(store, self.clock);
        for definition in cluster.list(&gr::CUSTOM_RESOURCE_DEFINITIONS, None) {
            cluster.registry.insert(crd::resource_type(&definition));
        }
        let tokens = Tokens::new(credentials.admin_token, credentials.signing_key);
        let authority = credentials.authority;
        self.options.certificate.clone_from(&authority.certificate_pem);
        bootstrap(&cluster);
        let control = self.controllers.then(|| ControlPlane::start(&cluster, &self.options));
        let api = Api { cluster: cluster.clone(), tokens: Arc::new(tokens) };
        Ok(Sim { cluster, control, api, authority })
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
    authority: Authority,
}

impl Sim {
    /// A cluster of three nodes in memory, unless the builder is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { data: None, options: Options::default(), controllers: true, clock: Arc::new(SystemClock) }
    }

    /// The API for `kube::Client::new(sim.service(), "default")`. Requests speak for the administrator unless
    /// they carry credentials or impersonate.
    pub fn service(&self) -> Router {
        self.api.router_as(Tokens::admin_user())
    }

    /// The same for another user.
    pub fn service_as(&self, user: UserInfo) -> Router {
        self.api.router_as(user)
    }

    /// Writes out what is confirmed and lets go of the data folder. Later writes are not kept.
    pub fn stop(&self) {
        self.cluster.store.detach();
    }

    /// Puts whole objects in place, as they are: no defaults, no validation, no events, nothing on disk. They need
    /// `apiVersion`, `kind`, `metadata.name` and, if namespaced, `metadata.namespace`; a missing uid and
    /// resourceVersion are added. For benches. Watches that are open see it as a gap (410).
    ///
    /// # Errors
    /// When the kind of an object is not served; nothing is stored then.
    pub fn seed(&self, objects: Vec<Value>) -> Result<(), Error> {
        let _guard = self.cluster.lock();
        let mut revision = self.cluster.store.revision();
        let mut rows: Vec<(GroupResource, String, Object)> = Vec::with_capacity(objects.len());
        for mut value in objects {
            let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
            let (api_version, kind) = (text(&value, "apiVersion"), text(&value, "kind"));
            let resource = self
                .cluster
                .registry
                .by_kind(&api_version, &kind)
                .ok_or_else(|| Error(format!("no kind {kind:?} in {api_version:?}")))?;
            let meta = &mut value["metadata"];
            if meta["uid"].is_null() {
                meta["uid"] = json!(crate::clock::new_uid().to_string());
            }
            let name = text(meta, "name");
            let key = if resource.namespaced { format!("{}/{name}", text(meta, "namespace")) } else { name };
            revision += 1;
            meta["resourceVersion"] = json!(revision.to_string());
            let bytes = serde_json::to_vec(&value).map_err(|error| Error(error.to_string()))?;
            rows.push((resource.id.clone(), key, Object::from_bytes(bytes.into(), revision)));
        }
        self.cluster.store.load(revision, rows);
        Ok(())
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
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

/// What the API believes in; kept beside the state.
#[derive(Serialize, Deserialize)]
struct Credentials {
    admin_token: String,
    signing_key: [u8; 32],
    authority: Authority,
}

impl Credentials {
    fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 56];
        crate::clock::random(&mut bytes).map_err(|error| Error(format!("no random numbers: {error}")))?;
        let (token, key) = bytes.split_at(24);
        let mut signing_key = [0; 32];
        signing_key.copy_from_slice(key);
        let admin_token = token.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { admin_token, signing_key, authority: Authority::generate()? })
    }

    /// Reads those of an earlier start, or writes these, readable by their owner alone.
    fn keep(self, path: &Path) -> std::io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let mut kept: serde_json::Value = serde_json::from_slice(&bytes).map_err(std::io::Error::other)?;
                if !kept["authority"].is_null() {
                    return serde_json::from_value(kept).map_err(std::io::Error::other);
                }
                // Written before the authority was kept: tokens stay good, the certificate is new.
                kept["authority"] = serde_json::to_value(&self.authority)?;
                let kept: Self = serde_json::from_value(kept).map_err(std::io::Error::other)?;
                return kept.write(path);
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        self.write(path)
    }

    fn write(self, path: &Path) -> std::io::Result<Self> {
        let draft = path.with_extension("tmp");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(&serde_json::to_vec(&self)?)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        Ok(self)
    }
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
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    // Its address is the first of the range, as pods' KUBERNETES_SERVICE_HOST says.
    let service = json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    });
    if system.find(&gr::SERVICES, "default", "kubernetes").is_none()
        && let Err(status) = system.create(&gr::SERVICES, "default", service)
    {
        tracing::error!(%status, "service of the API server not made");
    }
}
