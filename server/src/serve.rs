//! `berth serve`: opens the store and the cluster, wires services, pages and API, serves until told to stop.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::Router;
use berth_app::{
    AppPages,
    assets::{Assets, IslandAssets},
};
use berth_cluster::{ClusterSet, Connection, KubeCluster, Replica};
use berth_core::{
    OpCtx, Services,
    audit::AuditKey,
    env::{Clock, Random as _, SystemClock, SystemRandom},
    ports::{mail::Mailer, pages::SharedPages},
    services::{agents::BEAT, audit_log::Checkpointed, mailing::Post, outbox::Hooks},
    webauthn,
};
use berth_oidc::Oidc;
use berth_sim::Sim;
use berth_types::ClusterId;
use berth_web::{Site, WebOptions, WebState};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::ExposeSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit_key,
    config::{LogFormat, Settings},
    embedded, hooks, http, listen, logging, mail, notices, seal_key,
};

/// How often rows and clusters are made to agree where nothing says that they differ.
const RECONCILE: Duration = Duration::from_secs(30);
/// How often is asked which clusters are registered.
const FOLLOW: Duration = Duration::from_secs(2);
/// How often is looked whether this replica leads, while it does not.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often is looked at nodes that are being emptied; it asks nobody where none is.
const DRAIN_STEP: Duration = Duration::from_secs(2);
/// How often is looked whether somebody is to be told something.
const PASS_ON: Duration = Duration::from_secs(2);
/// How often what has ended is removed from the database, and what was cut off is put into the audit log.
const SWEEP: Duration = Duration::from_mins(10);
/// How often is looked whether a checkpoint of the audit log is due.
const CHECKPOINT: Duration = Duration::from_mins(1);
/// How long open requests may take once the server stops; streams end at once.
const DRAIN: Duration = Duration::from_secs(10);

/// The way to the cluster, and the embedded one where it is that.
pub struct Link {
    /// Who Berth is there.
    pub connection: Connection,
    /// Kept as long as it is used.
    pub sim: Option<Sim>,
    /// The namespace in which Berth runs, where it runs in the cluster.
    pub own_namespace: Option<String>,
}

/// Finds the cluster that the settings name.
///
/// # Errors
/// Which one it is and why it cannot be used.
pub async fn connection(settings: &Settings) -> anyhow::Result<Link> {
    if settings.sim == Some(true) {
        let sim = embedded::start(settings)?;
        let client = kube::Client::new(sim.service(), "default");
        return Ok(Link { connection: Connection::single(client), sim: Some(sim), own_namespace: None });
    }
    if let Some(path) = &settings.kubeconfig {
        let connection = Connection::from_kubeconfig(path).await?;
        return Ok(Link { connection, sim: None, own_namespace: None });
    }
    let connection = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        Connection::in_cluster(settings.identities.as_deref()).context("the pod's own cluster")?
    } else {
        bail!("no cluster: name one with --kubeconfig FILE, or use the embedded one with --sim");
    };
    // Where a pod's account is mounted, its namespace is that of its clients.
    let own_namespace = Some(connection.controller.default_namespace().to_owned());
    Ok(Link { connection, sim: None, own_namespace })
}

/// The portal with all its parts, running but not yet listening.
pub struct Portal {
    /// What can be done.
    pub services: Services,
    /// Pages, API, health.
    pub router: Router,
    /// The pages, for the test that tries each of them.
    pub pages: SharedPages,
    /// The cluster's adapter.
    pub cluster: Arc<KubeCluster>,
    /// The embedded cluster, where it is that.
    pub sim: Option<Sim>,
    /// Ends everything.
    pub stop: CancellationToken,
    tasks: TaskTracker,
}

impl Portal {
    /// Opens store and cluster and starts what runs in the background.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start(settings: &Settings, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = berth_store::connect(&settings.database()?, &settings.store_options()).await?;
        let audit_key = audit_key::open(settings)?;
        let seal_key = seal_key::open(settings)?;
        if seal_key.is_none() {
            tracing::warn!(
                "nobody can add an authenticator app, a webhook or a cluster: replicas need a key to share, second_factor_key_file"
            );
        }
        let link = connection(settings).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());

        let replica = Replica { name: replica(settings)?, installation: store.installation().await? };
        let clusters = Arc::new(ClusterSet::new(replica, clock.clone(), stop.clone()));
        let cluster = clusters.begin(&ClusterId::local(), link.connection, None);

        let options = berth_oidc::Options { secrets: settings.provider_secrets.clone() };
        let protocol = Arc::new(Oidc::new(clock.clone(), options).context("the way to identity providers")?);
        let guard = settings.webhook_guard()?;
        let services = Services::new(store, clusters.clone(), clock, Arc::new(SystemRandom), settings.limits())
            .with_registrar(clusters.clone())
            .with_agent_image(settings.agent_image.clone().unwrap_or_default())
            .with_protocol(protocol.clone())
            .with_jobs(protocol)
            .with_rules(settings.rules())
            .with_grace(settings.grace())
            .with_second_factors(seal_key, settings.required_second_factor())
            .with_passkeys(webauthn::Site::of(settings.public_url.as_deref()))
            .with_surroundings(settings.surroundings(link.own_namespace.as_deref())?)
            .with_notices(Arc::new(notices::Logged))
            .with_hooks(Hooks {
                sender: Arc::new(hooks::Posts::new(guard.clone()).context("the way to webhooks")?),
                guard,
                site: settings.public_url.clone(),
            })
            .with_mail(Post {
                mailer: mail::open(settings)?.map(|smtp| Arc::new(smtp) as Arc<dyn Mailer>),
                per_hour: settings.mail_per_hour.unwrap_or(20).into(),
            });
        services.sync_clusters().await.context("the clusters that were registered")?;
        tasks.spawn(follow_clusters(services.clone(), stop.clone()));
        tasks.spawn(async move { clusters.ended().await });
        services.beat_replica().await.context("this replica cannot say that it serves")?;
        tasks.spawn(beat(services.clone(), stop.clone()));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.keep_loans().await },
            (RECONCILE, "loans looked after", "loans could not be looked after"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            // Every message is in the database: nothing to tell of.
            |services| async move {
                services.spread_notices().await?;
                services.send_messages().await.map(|_| 0)
            },
            (PASS_ON, "notices passed on", "notices could not be passed on"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            // Beside the webhooks: a mail server takes its time.
            |services| async move { services.send_mails().await.map(|_| 0) },
            (PASS_ON, "mail sent", "mail could not be sent"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.watch_quotas().await },
            (RECONCILE, "namespaces begin or cease to be full", "it could not be seen which namespaces are full"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.keep_drains().await },
            (DRAIN_STEP, "pods asked to leave their nodes", "nodes could not be emptied further"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.keep_views().await },
            (RECONCILE, "looks as somebody else ended", "looks as somebody else could not be ended"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.keep_lives().await },
            (RECONCILE, "steps made to remove tenants and namespaces", "tenants and namespaces could not be removed"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            |services| async move { services.reconcile_namespaces().await },
            (RECONCILE, "namespaces reconciled", "namespaces could not be reconciled"),
        ));
        tasks.spawn(keep(
            services.clone(),
            stop.clone(),
            // Every five minutes for good: nothing to tell of.
            |services| async move { services.sample_usage().await.map(|_| 0) },
            (RECONCILE, "namespaces sampled", "what namespaces use could not be kept"),
        ));
        tasks.spawn(sweep(services.clone(), stop.clone()));
        match audit_key {
            Some(key) => {
                tasks.spawn(checkpoints(services.clone(), key, stop.clone()));
            }
            None => tracing::warn!(
                "no checkpoints of the audit log are signed: replicas need a key to share, audit_key_file"
            ),
        }
        let (router, pages) = router(settings, &services, metrics, &stop)?;
        Ok(Self { services, router, pages, cluster, sim: link.sim, stop, tasks })
    }

    /// Ends streams and background work, a while waiting for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some background work did not end; it is taken up at the next start");
        }
    }
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    logging::start(settings.log_format.unwrap_or(LogFormat::Text), settings.log.as_deref().unwrap_or("info"));
    let metrics = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let portal = Portal::start(&settings, metrics).await?;
    let listener = tokio::net::TcpListener::bind(settings.listen())
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen()))?;
    let address = listener.local_addr()?;
    let ctx = OpCtx::system(portal.services.clock().clone(), "setup");
    let first = portal.services.ensure_first_admin(&ctx).await?;

    // Scripts and `cargo xtask up` read these lines.
    println!("berth {} listens on http://{address}", env!("CARGO_PKG_VERSION"));
    if let Some((user, password)) = first {
        println!("first admin: {}\none-time password: {}", user.name, password.expose_secret());
    }

    let (signalled, drained) = (portal.stop.clone(), portal.stop.clone());
    let graceful = async move {
        stop_signal().await;
        tracing::info!("stopping: streams end, requests finish");
        signalled.cancel();
    };
    let late = async move {
        drained.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let router = portal.router.clone();
    tokio::select! {
        ((), ()) = async { tokio::join!(listen::serve(listener, router, portal.stop.clone()), graceful) } => {}
        () = late => tracing::warn!("some requests did not finish in {} s", DRAIN.as_secs()),
    }
    portal.stop().await;
    Ok(())
}

/// The portal as one router: pages, API, health.
///
/// # Errors
/// When the site directory cannot be read.
fn router(
    settings: &Settings,
    services: &Services,
    metrics: PrometheusHandle,
    stop: &CancellationToken,
) -> anyhow::Result<(Router, SharedPages)> {
    let site = site(settings)?;
    let asset = |path: &str| format!("/assets/{path}");
    let islands = site.manifest.js.as_deref().zip(site.manifest.wasm.as_deref());
    let assets = Assets {
        css: asset(&site.manifest.css),
        islands: islands.map(|(js, wasm)| IslandAssets { js: asset(js), wasm: asset(wasm) }),
    };
    let pages: SharedPages = Arc::new(AppPages::new(services.clone(), assets));
    let web = berth_web::router(WebState {
        services: services.clone(),
        pages: pages.clone(),
        site: Arc::new(site),
        options: WebOptions {
            secure: settings.secure(),
            max_form_bytes: 512 * 1024,
            public_url: settings.public_url.clone(),
        },
        stop: stop.clone(),
    });
    let options = berth_api::Options {
        stop: stop.clone(),
        public_url: settings.public_url.clone(),
        secure: settings.secure(),
        ..berth_api::Options::default()
    };
    let kubectl = berth_api::kubectl_router(services.clone(), options.clone());
    let streams = kubectl.merge(berth_api::agent_router(services.clone(), options.clone()));
    let api = berth_api::router(services.clone(), options);
    let outer = http::Outer {
        services: services.clone(),
        metrics,
        trusted_proxies: settings.trusted_proxies.unwrap_or(0),
        stop: stop.clone(),
    };
    Ok((http::wrap(web.merge(api), streams, outer), pages))
}

/// The style sheet and browser part: where the settings say, else beside the binary. Without them pages are plain but work.
fn site(settings: &Settings) -> anyhow::Result<Site> {
    let beside = || -> Option<PathBuf> { Some(std::env::current_exe().ok()?.parent()?.join("site")) };
    match &settings.site {
        Some(dir) => Site::load(dir).with_context(|| format!("the site directory {}", dir.display())),
        None => match beside().filter(|dir| dir.join("site.json").exists()) {
            Some(dir) => Site::load(&dir).with_context(|| format!("the site directory {}", dir.display())),
            None => {
                tracing::warn!(
                    "no site directory: pages have no style; build it with `cargo xtask up`, or name it with --site"
                );
                Ok(Site::default())
            }
        },
    }
}

/// What this process is called among those that work on the same cluster: nobody else ever is.
pub fn replica(settings: &Settings) -> anyhow::Result<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if settings.sim == Some(true) {
        // The embedded cluster has one process: who killed the last one need not wait for its lease to end.
        return Ok(host);
    }
    let mut random = [0; 8];
    SystemRandom.fill(&mut random)?;
    Ok(format!("{host}_{:016x}", u64::from_be_bytes(random)))
}

/// Connects with clusters as the rows say: what another replica registered is here within seconds.
async fn follow_clusters(services: Services, stop: CancellationToken) {
    let clock = services.clock().clone();
    let work = || async { services.sync_clusters().await.map(drop) };
    until_stopped(&*clock, &stop, work, (FOLLOW, "which clusters are registered could not be asked")).await;
}

/// Says again and again that this replica serves, and at the end that it does no more.
async fn beat(services: Services, stop: CancellationToken) {
    let clock = services.clock().clone();
    let work = || async { services.beat_replica().await };
    until_stopped(&*clock, &stop, work, (BEAT, "it could not be said that this replica serves")).await;
    if let Err(e) = services.end_replica().await {
        tracing::warn!(error = %e, "it could not be said that this replica ends");
    }
}

/// Waits until this replica works on one of the clusters.
async fn leads_one(services: &Services) {
    while !services.clusters().all().iter().any(|cluster| cluster.leads()) {
        services.clock().sleep(LOOK_AGAIN).await;
    }
}

/// Looks after something again and again while this replica leads on some cluster; `work` says how much of it changed, and leaves
/// alone the clusters on which another replica leads.
async fn keep<F>(
    services: Services,
    stop: CancellationToken,
    work: impl Fn(Services) -> F,
    (every, done, trouble): (Duration, &str, &str),
) where
    F: Future<Output = berth_core::Result<usize>>,
{
    let clock = services.clock().clone();
    let work = || {
        let (services, work) = (services.clone(), work(services.clone()));
        async move {
            leads_one(&services).await;
            let changed = work.await?;
            if changed > 0 {
                tracing::info!(changed, "{done}");
            }
            Ok(())
        }
    };
    until_stopped(&*clock, &stop, work, (every, trouble)).await;
}

/// Does it every so often, sooner after a failure, until told to stop.
async fn until_stopped<F>(
    clock: &dyn Clock,
    stop: &CancellationToken,
    work: impl Fn() -> F,
    (every, trouble): (Duration, &str),
) where
    F: Future<Output = berth_core::Result<()>>,
{
    let first = Duration::from_millis(500);
    let mut wait = first;
    let forever = async {
        loop {
            let next = match work().await {
                Ok(()) => {
                    wait = first;
                    every
                }
                Err(e) => {
                    tracing::warn!(error = %e, "{trouble}");
                    wait = (wait * 2).min(Duration::from_secs(15));
                    wait
                }
            };
            clock.sleep(next).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = forever => {}
    }
}

/// Removes sessions, tokens, counters and idempotency keys that have ended.
async fn sweep(services: Services, stop: CancellationToken) {
    loop {
        let before = services.clock().now() - jiff::SignedDuration::from_hours(24);
        match services.store().sweep(before).await {
            Ok(rows) => tracing::debug!(rows, "swept"),
            Err(e) => tracing::warn!(error = %e, "ended sessions could not be removed"),
        }
        match services.settle_audit().await {
            Ok(0) => {}
            Ok(cut) => tracing::warn!(cut, "changes were cut off; the audit log has them with an unknown outcome"),
            Err(e) => tracing::warn!(error = %e, "changes that were cut off could not be put into the audit log"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = services.clock().sleep(SWEEP) => {}
        }
    }
}

/// Signs checkpoints of the audit log. Each stands in this log as well: what collects it keeps them elsewhere.
async fn checkpoints(services: Services, key: AuditKey, stop: CancellationToken) {
    let forever = async {
        loop {
            match services.checkpoint_audit(&key, false).await {
                Ok(Checkpointed::Made(made)) => {
                    let line = serde_json::to_string(&made).unwrap_or_default();
                    tracing::info!(checkpoint = line, "audit log: a checkpoint");
                }
                Ok(Checkpointed::NotDue(_)) => {}
                Ok(Checkpointed::Broken(found)) => {
                    tracing::error!(entry = found.sequence, %found, "THE AUDIT LOG WAS TAMPERED WITH; see `berth audit verify`");
                }
                Err(e) => tracing::warn!(error = %e, "no checkpoint of the audit log could be made"),
            }
            services.clock().sleep(CHECKPOINT).await;
        }
    };
    // Verifying a long log takes long: it is left off, too.
    tokio::select! {
        () = stop.cancelled() => {}
        () = forever => {}
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}
