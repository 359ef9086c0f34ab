//! Clusters for who keeps the platform: registered by a kubeconfig, looked at, labelled, closed, emptied, let go of.
//!
//! The rows say which clusters there are; every portal process connects with them by itself ([`Services::sync_clusters`]), so that one
//! that was registered in one process is live in all within seconds. One stands in Berth's own configuration and always stays.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_types::{
    Action, ClusterId, ErrorCode, FieldError, Quantity, Resource,
    cluster::{
        CheckVerdict, ClusterChange, ClusterCheck, ClusterHealth, ClusterProbe, ClusterRemains, ClusterState,
        ClusterView, NamespaceRemains, NewCluster,
    },
    node::{NodeRow, NodeState, amount, written},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Done, Services, agents::Agents, life::confirmed, people::name};
use crate::{
    access_file::{self, KUBECONFIG},
    authz::{Grant, PlatformRef},
    ctx::{OpCtx, Person},
    error::{Error, Result},
    ports::{
        cluster::{CacheState, Finding, Freshness, Verdict},
        clusters::{ClusterRow, Looked, NoRegistrar, Registered, Registrar},
    },
    quota::Book,
    seal::SealKey,
};

/// Longest label, in characters.
pub const MAX_LABEL: usize = 60;
/// Most labels to choose by.
pub const MAX_LABELS: usize = 20;
/// Longest key or value of one.
const MAX_WORD: usize = 63;
/// For how long a kubeconfig that was tried can be registered without being sent again.
const TRIED_FOR: std::time::Duration = std::time::Duration::from_mins(15);

/// How clusters are connected here.
pub(super) struct Kept {
    pub(super) registrar: std::sync::Arc<dyn Registrar>,
    /// Clusters that this process cannot open, and why.
    pub(super) trouble: Mutex<BTreeMap<ClusterId, String>>,
    /// One looks at a time.
    pub(super) looking: tokio::sync::Mutex<()>,
    /// Agents that called here, each with its cluster and, where it was taken, since when.
    pub(super) calls: Mutex<BTreeMap<u64, (ClusterId, Option<Timestamp>)>>,
    /// One says which these are at a time.
    pub(super) beating: tokio::sync::Mutex<()>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            registrar: std::sync::Arc::new(NoRegistrar),
            trouble: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            calls: Mutex::default(),
            beating: tokio::sync::Mutex::default(),
        }
    }
}

/// A kubeconfig that was tried.
pub struct Tried {
    /// Where it leads.
    pub server: String,
    /// What was found there.
    pub probe: ClusterProbe,
    /// The kubeconfig, sealed for who tried it: for a page that registers it next.
    pub kept: SecretString,
}

/// What a cluster shall be like.
pub(super) struct Wanted {
    pub(super) label: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// Where what opens a cluster is sealed for.
pub(super) fn of_cluster(id: &ClusterId) -> String {
    format!("cluster {id}")
}

fn tried_by(person: &Person) -> String {
    format!("kubeconfig tried by {}", person.id)
}

/// Whether `text` may be a key or a value of a label.
fn is_word(text: &str, may_be_empty: bool) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (may_be_empty && text.is_empty())
        || (text.len() <= MAX_WORD && text.starts_with(ends) && text.ends_with(ends) && text.chars().all(inner))
}

/// Reads what people call a cluster and choose it by; what is wrong goes to `errors`.
pub(super) fn wanted(label: &str, labels: &BTreeMap<String, String>, errors: &mut Vec<FieldError>) -> Wanted {
    let label = label.trim();
    if label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
        let message = format!("at most {MAX_LABEL} characters, in one line");
        errors.push(FieldError::new("label", "name_too_long", message).param("max", MAX_LABEL));
    }
    if labels.len() > MAX_LABELS {
        let message = format!("at most {MAX_LABELS} labels");
        errors.push(FieldError::new("labels", "cluster_labels", message).param("max", MAX_LABELS));
    }
    for (key, value) in labels.iter().filter(|(key, value)| !is_word(key, false) || !is_word(value, true)) {
        let pair: String = format!("{key}={value}").chars().take(80).collect();
        let message = format!("“{pair}”: key=value, each of at most {MAX_WORD} of a–z, A–Z, 0–9, -, _, . and /");
        errors.push(FieldError::new("labels", "cluster_label", message).param("value", pair).param("max", MAX_WORD));
    }
    Wanted { label: label.to_owned(), labels: labels.clone() }
}

fn check(finding: Finding) -> ClusterCheck {
    let verdict = match finding.verdict {
        Verdict::Good => CheckVerdict::Good,
        Verdict::Lacking => CheckVerdict::Lacking,
        Verdict::Bad => CheckVerdict::Bad,
    };
    ClusterCheck { what: finding.what, verdict, found: finding.found, fix: finding.fix }
}

pub(super) fn probe(looked: Looked, at: Timestamp) -> ClusterProbe {
    let Looked { findings, version, latency_ms, .. } = looked;
    ClusterProbe { at, version, latency_ms, checks: findings.into_iter().map(check).collect() }
}

/// What keeps a cluster from being registered, each check that is bad at the kubeconfig.
fn refused(probe: &ClusterProbe) -> Vec<FieldError> {
    let bad = probe.checks.iter().filter(|check| check.verdict == CheckVerdict::Bad);
    bad.map(|ClusterCheck { what, found, fix, .. }| {
        let fix = fix.clone().unwrap_or_default();
        let error = FieldError::new(KUBECONFIG, "cluster_check", format!("{what}: {found}; {fix}"));
        error.param("what", what).param("found", found).param("fix", fix)
    })
    .collect()
}

/// How a cluster is doing, and why it is not live.
#[must_use]
pub fn health(freshness: &Freshness) -> (ClusterHealth, Option<String>) {
    match &freshness.state {
        CacheState::Stale { reason, .. } => (ClusterHealth::Away, Some(reason.to_string())),
        CacheState::Loading => (ClusterHealth::Connecting, None),
        CacheState::Live if freshness.idle_since.is_some() => (ClusterHealth::Idle, None),
        CacheState::Live => (ClusterHealth::Live, None),
    }
}

fn sum(nodes: &[&NodeRow], resource: &str) -> String {
    let all = nodes.iter().filter_map(|node| node.resource(resource)).map(|r| amount(&r.allocatable));
    written(resource, all.fold(Quantity::ZERO, Quantity::plus))
}

impl Services {
    /// The same, which connects with clusters that are registered by `registrar`.
    #[must_use]
    pub fn with_registrar(self, registrar: std::sync::Arc<dyn Registrar>) -> Self {
        Self { kept: Kept { registrar, ..Kept::default() }.into(), ..self }
    }

    pub(super) fn cluster_seal(&self) -> Result<&SealKey> {
        self.seal_key().ok_or_else(|| {
            let message =
                "Berth has no key to seal kubeconfigs with: replicas need one to share, second_factor_key_file";
            Error::field(FieldError::new(KUBECONFIG, "cluster_no_key", message))
        })
    }

    /// As Berth itself, for what everybody may know of.
    pub(super) fn about_clusters(&self) -> Result<Grant<PlatformRef>> {
        self.authz.platform(&OpCtx::system(self.clock.clone(), "clusters"), Resource::Cluster, Action::Read)
    }

    fn view(&self, grant: &Grant<PlatformRef>, row: ClusterRow, books: &[Book], agents: &Agents) -> ClusterView {
        let here: Vec<&Book> = books.iter().filter(|book| book.cluster == row.id && !book.shares.is_empty()).collect();
        let adapter = self.clusters.get(&row.id).ok();
        let nodes = adapter.as_ref().and_then(|adapter| adapter.nodes(grant).ok());
        let ready: Option<Vec<&NodeRow>> =
            nodes.as_ref().map(|nodes| nodes.iter().filter(|node| node.state != NodeState::NotReady).collect());
        let freshness = adapter.map(|adapter| adapter.freshness());
        let (health, reason) = match &freshness {
            Some(freshness) => health(freshness),
            None => match self.kept.trouble.lock().get(&row.id) {
                Some(why) => (ClusterHealth::Locked, Some(why.clone())),
                None => (ClusterHealth::Connecting, None),
            },
        };
        let registered = row.registered.as_ref();
        ClusterView {
            configured: registered.is_none(),
            // An agent's says it only when it calls.
            server: registered.map(|registered| registered.server.clone()).filter(|server| !server.is_empty()),
            agent: agents.of(&row.id),
            created_by: registered.map(|registered| registered.by.clone()),
            created_at: registered.map(|registered| registered.at),
            health,
            reason,
            as_of: freshness.and_then(|freshness| freshness.as_of),
            nodes: nodes.as_ref().map(Vec::len),
            ready: ready.as_ref().map(Vec::len),
            cpu: ready.as_ref().map(|ready| sum(ready, "cpu")),
            memory: ready.as_ref().map(|ready| sum(ready, "memory")),
            namespaces: here.iter().map(|book| book.shares.len()).sum(),
            tenants: here.len(),
            name: row.id,
            label: row.label,
            labels: row.labels,
            state: row.state,
            probe: row.probe,
            version: row.version,
        }
    }

    pub(super) async fn cluster_row(&self, grant: &Grant<PlatformRef>, id: &ClusterId) -> Result<ClusterRow> {
        let all = self.store.list_clusters(grant).await?;
        all.into_iter().find(|row| row.id == *id).ok_or_else(Error::not_found)
    }

    pub(super) async fn cluster_view(&self, grant: &Grant<PlatformRef>, id: &ClusterId) -> Result<ClusterView> {
        let row = self.cluster_row(grant, id).await?;
        let (books, agents) = (self.store.list_all_books(grant).await?, self.agents(grant).await?);
        Ok(self.view(grant, row, &books, &agents))
    }

    /// All clusters, the configured one first.
    ///
    /// # Errors
    /// Unauthenticated; `NotFound` without a role on the platform.
    pub async fn list_clusters(&self, ctx: &OpCtx) -> Result<Vec<ClusterView>> {
        let grant = self.authz.platform(ctx, Resource::Cluster, Action::Read)?;
        let (rows, books) = (self.store.list_clusters(&grant).await?, self.store.list_all_books(&grant).await?);
        let agents = self.agents(&grant).await?;
        Ok(rows.into_iter().map(|row| self.view(&grant, row, &books, &agents)).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Self::list_clusters`]; `NotFound`.
    pub async fn get_cluster(&self, ctx: &OpCtx, id: &ClusterId) -> Result<ClusterView> {
        let grant = self.authz.platform(ctx, Resource::Cluster, Action::Read)?;
        self.cluster_view(&grant, id).await
    }

    /// What of Berth's is still on a cluster.
    ///
    /// # Errors
    /// As [`Self::get_cluster`].
    pub async fn cluster_remains(&self, ctx: &OpCtx, id: &ClusterId) -> Result<ClusterRemains> {
        let grant = self.authz.platform(ctx, Resource::Cluster, Action::Read)?;
        let row = self.cluster_row(&grant, id).await?;
        let adapter = self.clusters.get(&row.id).ok();
        let read = adapter.as_ref().filter(|adapter| adapter.freshness().as_of.is_some());
        let mut remains = ClusterRemains::default();
        let books = self.store.list_all_books(&grant).await?;
        let here: Vec<&Book> = books.iter().filter(|book| book.cluster == row.id).collect();
        let volumes = match &adapter {
            Some(adapter) if here.iter().any(|book| !book.shares.is_empty()) => adapter.volumes(&grant).await.ok(),
            _ => None,
        };
        for book in here {
            if book.shares.is_empty() {
                remains.quotas.push(book.tenant.clone());
            }
            remains.namespaces.extend(book.shares.iter().map(|share| {
                let namespace = &share.namespace;
                let glance = read.map(|adapter| adapter.summary(&book.namespace(share)));
                NamespaceRemains {
                    tenant: book.tenant.clone(),
                    namespace: namespace.name.clone(),
                    kube_name: namespace.kube_name.clone(),
                    apps: glance.as_ref().map(|g| g.degraded + g.progressing + g.ready + g.suspended),
                    pods: glance.as_ref().map(|g| g.pods),
                    volumes: volumes.as_ref().map(|all| all.get(&namespace.kube_name).copied().unwrap_or_default()),
                    leaving: namespace.halt.as_ref().is_some_and(|halt| halt.mark.until.is_some()),
                }
            }));
        }
        Ok(remains)
    }

    /// Looks at the cluster to which a kubeconfig leads; nothing is kept or changed.
    ///
    /// # Errors
    /// `Invalid` at `kubeconfig`; forbidden.
    pub async fn try_cluster(&self, ctx: &OpCtx, kubeconfig: &SecretString) -> Result<Tried> {
        let read = access_file::read(kubeconfig.expose_secret());
        let target = read.as_ref().map(|endpoint| endpoint.server.clone()).unwrap_or_default();
        let work = async {
            self.authz.platform(ctx, Resource::Cluster, Action::Create)?;
            let person = self.authz.person(ctx)?;
            let server = read?.server;
            let ends = ctx.now().as_second() + TRIED_FOR.as_secs().cast_signed();
            let keeps = [&ends.to_be_bytes(), kubeconfig.expose_secret().as_bytes()].concat();
            let sealed = self.cluster_seal()?.seal(&keeps, &tried_by(person), &*self.random)?;
            let probe = probe(self.kept.registrar.look(kubeconfig).await?, ctx.now());
            let detail = json!({ "verdict": probe.verdict() });
            Ok(Done::with(Tried { server, probe, kept: URL_SAFE_NO_PAD.encode(sealed).into() }, detail))
        };
        self.audited(ctx, "cluster.try", target, None, work).await
    }

    /// The kubeconfig that who asks tried not long ago.
    ///
    /// # Errors
    /// `Invalid` at `kubeconfig` when it is over.
    pub fn tried_kubeconfig(&self, ctx: &OpCtx, kept: &str) -> Result<SecretString> {
        let person = self.authz.person(ctx)?;
        let over = || {
            let message = "it took too long, or was tried elsewhere: paste the kubeconfig again";
            Error::field(FieldError::new(KUBECONFIG, "cluster_tried_over", message))
        };
        let sealed = URL_SAFE_NO_PAD.decode(kept).map_err(|_| over())?;
        let opened = self.cluster_seal()?.open(&sealed, &tried_by(person)).ok_or_else(over)?;
        let (ends, text) = opened.expose_secret().split_first_chunk::<8>().ok_or_else(over)?;
        if i64::from_be_bytes(*ends) <= ctx.now().as_second() {
            return Err(over());
        }
        String::from_utf8(text.to_vec()).map(Into::into).map_err(|_| over())
    }

    /// Which cluster a kubeconfig leads to, if Berth can work on it; with what was found.
    async fn usable(&self, ctx: &OpCtx, kubeconfig: &SecretString) -> Result<(String, ClusterProbe)> {
        let looked = self.kept.registrar.look(kubeconfig).await?;
        let identity = looked.identity.clone();
        let probe = probe(looked, ctx.now());
        let errors = refused(&probe);
        match identity {
            Some(identity) if errors.is_empty() => Ok((identity, probe)),
            _ if !errors.is_empty() => Err(Error::invalid(errors)),
            _ => {
                let message = "which cluster it is cannot be told: the controller's account may not read kube-system";
                Err(Error::field(FieldError::new(KUBECONFIG, "cluster_unnamed", message)))
            }
        }
    }

    /// Registers a cluster. It is looked at first: what Berth cannot work on is not kept.
    ///
    /// # Errors
    /// `Invalid` at `name`, `label`, `labels` and `kubeconfig`, there for each check that is bad; `AlreadyExists` where the name is
    /// taken or the cluster known; `ClusterUnavailable` where the configured one does not answer, so that nobody can tell whether it
    /// is the same; forbidden.
    pub async fn register_cluster(&self, ctx: &OpCtx, new: &NewCluster) -> Result<ClusterView> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Create)?;
            let mut errors = Vec::new();
            let named = name::<ClusterId>("name", &new.name, ClusterId::MAX);
            errors.extend(named.as_ref().err().into_iter().flat_map(|e| e.fields().to_vec()));
            let Wanted { label, labels } = wanted(&new.label, &new.labels, &mut errors);
            let read = access_file::read(&new.kubeconfig);
            errors.extend(read.as_ref().err().into_iter().flat_map(|e| e.fields().to_vec()));
            let (id, endpoint) = match (named, read) {
                (Ok(id), Ok(endpoint)) if errors.is_empty() => (id, endpoint),
                (_, Err(e)) if errors.is_empty() => return Err(e),
                _ => return Err(Error::invalid(errors)),
            };
            let seal = self.cluster_seal()?;
            let all = self.store.list_clusters(&grant).await?;
            if all.iter().any(|row| row.id == id) {
                return Err(crate::ports::clusters::registered_already(true));
            }
            let kubeconfig = SecretString::from(new.kubeconfig.clone());
            let (identity, found) = self.usable(ctx, &kubeconfig).await?;
            for configured in all.iter().filter(|row| row.registered.is_none()) {
                if self.clusters.get(&configured.id)?.identity().await? == identity {
                    return Err(crate::ports::clusters::registered_already(false));
                }
            }
            let sealed = seal.seal(new.kubeconfig.as_bytes(), &of_cluster(&id), &*self.random)?;
            let registered = Registered {
                server: endpoint.server,
                identity,
                // Of no other that had the name before.
                generation: ctx.now().as_microsecond(),
                by: ctx.actor.to_string(),
                at: ctx.now(),
            };
            let detail = json!({ "server": registered.server, "label": label, "labels": labels });
            let row = ClusterRow {
                id: id.clone(),
                label,
                labels,
                state: ClusterState::Open,
                registered: Some(registered),
                probe: Some(found),
                version: 1,
            };
            self.store.create_cluster(&grant, &row, &sealed).await?;
            self.sync_clusters().await?;
            Ok(Done::with(self.cluster_view(&grant, &id).await?, detail))
        };
        let target = new.name.chars().take(60).collect::<String>();
        self.audited(ctx, "cluster.register", target, None, work).await
    }

    /// Changes what people call a cluster, what they choose it by, and what it takes; if it still has `version` (any, when absent).
    ///
    /// # Errors
    /// `Invalid` at `label`, `labels`, `state`; `NotFound`, `Conflict`, forbidden.
    pub async fn update_cluster(
        &self,
        ctx: &OpCtx,
        id: &ClusterId,
        change: &ClusterChange,
        version: Option<i64>,
    ) -> Result<ClusterView> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Update)?;
            let before = self.cluster_row(&grant, id).await?;
            let mut errors = Vec::new();
            let Wanted { label, labels } = wanted(&change.label, &change.labels, &mut errors);
            let state = ClusterState::from_word(change.state.trim());
            if state.is_none() {
                let known = ClusterState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
                let message = format!("“{}” is none of {known}", change.state);
                errors.push(FieldError::new("state", "cluster_state", message).param("value", &change.state));
            }
            let Some(state) = state.filter(|_| errors.is_empty()) else { return Err(Error::invalid(errors)) };
            let said = |row: &ClusterRow| json!({ "label": row.label, "labels": row.labels, "state": row.state });
            let after =
                ClusterRow { label, labels, state, version: version.unwrap_or(before.version), ..before.clone() };
            self.store.update_cluster(&grant, &after).await?;
            let detail = json!({ "before": said(&before), "after": said(&after) });
            Ok(Done::with(self.cluster_view(&grant, id).await?, detail))
        };
        self.audited(ctx, "cluster.update", id.to_string(), None, work).await
    }

    /// Replaces the kubeconfig of a cluster, when its credentials end or its address moves. It must lead to the same cluster.
    ///
    /// # Errors
    /// `Invalid` at `kubeconfig`; `NotFound`; `Conflict` for the configured one; forbidden.
    pub async fn replace_cluster_access(
        &self,
        ctx: &OpCtx,
        id: &ClusterId,
        kubeconfig: &SecretString,
    ) -> Result<ClusterView> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Update)?;
            let row = self.cluster_row(&grant, id).await?;
            let known = row.registered.ok_or_else(its_own)?;
            if self.store.list_agents(&grant).await?.iter().any(|agent| agent.cluster == *id) {
                return Err(Error::new(ErrorCode::Conflict, "its agent leads to it: give that another token instead"));
            }
            let endpoint = access_file::read(kubeconfig.expose_secret())?;
            let (seal, (identity, found)) = (self.cluster_seal()?, self.usable(ctx, kubeconfig).await?);
            if identity != known.identity {
                let message = "it leads to another cluster: register that one by itself";
                return Err(Error::field(FieldError::new(KUBECONFIG, "cluster_other", message)));
            }
            let sealed = seal.seal(kubeconfig.expose_secret().as_bytes(), &of_cluster(id), &*self.random)?;
            self.store.set_cluster_access(&grant, id, &endpoint.server, &sealed).await?;
            self.store.note_probe(&grant, id, &found).await?;
            self.sync_clusters().await?;
            let detail = json!({ "before": known.server, "after": endpoint.server });
            Ok(Done::with(self.cluster_view(&grant, id).await?, detail))
        };
        self.audited(ctx, "cluster.access", id.to_string(), None, work).await
    }

    /// Looks at a cluster again; what was found is kept.
    ///
    /// # Errors
    /// `NotFound`; `ClusterUnavailable` where this process cannot open it; forbidden.
    pub async fn probe_cluster(&self, ctx: &OpCtx, id: &ClusterId) -> Result<ClusterProbe> {
        let work = async {
            let grant = self.authz.platform(ctx, Resource::Cluster, Action::Update)?;
            self.cluster_row(&grant, id).await?;
            let found = probe(self.clusters.get(id)?.look().await, ctx.now());
            self.store.note_probe(&grant, id, &found).await?;
            let detail = json!({ "verdict": found.verdict() });
            Ok(Done::with(found, detail))
        };
        self.audited(ctx, "cluster.probe", id.to_string(), None, work).await
    }

    /// Removes a cluster on which nothing of Berth's is left.
    ///
    /// # Errors
    /// `Conflict` while there is something, and for the configured one; `NotFound`, forbidden.
    pub async fn remove_cluster(&self, ctx: &OpCtx, id: &ClusterId) -> Result<()> {
        let work = async {
            self.let_go(ctx, id, false).await?;
            Ok(Done::plain(()))
        };
        self.audited(ctx, "cluster.remove", id.to_string(), None, work).await
    }

    /// Forgets a cluster with all that tenants have there. In the cluster everything stays and runs on; Berth knows of it no more.
    ///
    /// # Errors
    /// `Invalid` at `confirm` where `typed` is not its name; `Conflict` for the configured one; `NotFound`, forbidden.
    pub async fn forget_cluster(&self, ctx: &OpCtx, id: &ClusterId, typed: &str) -> Result<()> {
        let work = async {
            self.authz.platform(ctx, Resource::Cluster, Action::Delete)?;
            confirmed(typed, id.as_str())?;
            let namespaces = self.let_go(ctx, id, true).await?;
            Ok(Done::with((), json!({ "namespaces": namespaces })))
        };
        self.audited(ctx, "cluster.forget", id.to_string(), None, work).await
    }

    async fn let_go(&self, ctx: &OpCtx, id: &ClusterId, forget: bool) -> Result<usize> {
        let grant = self.authz.platform(ctx, Resource::Cluster, Action::Delete)?;
        self.cluster_row(&grant, id).await?.registered.ok_or_else(its_own)?;
        let namespaces = self.store.remove_cluster(&grant, id, forget).await?;
        self.sync_clusters().await?;
        Ok(namespaces)
    }
}

fn its_own() -> Error {
    Error::new(ErrorCode::Conflict, "it stands in Berth's own configuration: change it there")
}
