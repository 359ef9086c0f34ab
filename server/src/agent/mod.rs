//! The agent: one tunnel to each replica of the portal, and behind them its cluster's API server and nothing else.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::get};
use berth_core::env::{Random as _, SystemRandom};
use berth_tunnel::{
    mux::{Lane, Opener, Side, start},
    plan::{self, Luck, Step},
    pump::{BUFFER, Beat, carry},
    words::{self, FromAgent, FromPortal},
};
use tokio::{
    io::{ReadHalf, WriteHalf, copy_bidirectional},
    net::TcpStream,
    sync::{mpsc, watch},
};
use tokio_util::task::AbortOnDropHandle;

mod dial;
mod ways;

pub use dial::Target;
pub use ways::Ways;

use ways::Way;

/// How long a portal may take to say whether it takes a call: it looks at the cluster first.
const ANSWER: Duration = Duration::from_secs(45);
/// How long the API server may take to take a connection.
const CONNECT: Duration = Duration::from_secs(4);
/// A tunnel that lived for so long was no failure.
const LIVED: Duration = Duration::from_secs(30);

/// Why a call brought no tunnel, in words for the log.
type Why = String;

/// A tunnel that was taken.
struct Tunnel {
    replica: String,
    replicas: usize,
    hears: ReadHalf<Lane>,
    says: WriteHalf<Lane>,
    lanes: mpsc::Receiver<Lane>,
    /// Moves the bytes: the streams, and the WebSocket below them.
    work: AbortOnDropHandle<()>,
    /// What the portal was told of the cluster.
    told: Way,
    _opener: Opener,
}

/// What becomes of tunnels.
enum Event {
    /// There are so many replicas.
    Replicas(usize),
    /// That to this replica ended.
    Ended(String, Instant),
}

/// An agent.
pub struct Agent {
    target: Target,
    ways: watch::Receiver<Way>,
    keeper: parking_lot::Mutex<Option<ways::Keeper>>,
    tunnels: Arc<AtomicUsize>,
}

impl Agent {
    /// One that calls `target`, and leads where `ways` says.
    pub fn new(target: Target, ways: Ways) -> Self {
        let (ways, keeper) = ways.split();
        Self { target, ways, keeper: Some(keeper).into(), tunnels: Arc::default() }
    }

    /// Whether it lives, and whether a portal has taken it.
    pub fn health(&self) -> Router {
        let tunnels = self.tunnels.clone();
        let ready = move || async move {
            match tunnels.load(Ordering::Relaxed) {
                0 => (StatusCode::SERVICE_UNAVAILABLE, "no tunnel\n".to_owned()),
                n => (StatusCode::OK, format!("{n} tunnels\n")),
            }
        };
        Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
    }

    /// Calls, and calls again.
    ///
    /// # Errors
    /// When there is no chance on this machine.
    pub async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        let keeper = self.keeper.lock().take();
        let _keeper = keeper.map(|keeper| AbortOnDropHandle::new(tokio::spawn(keeper.keep())));
        let (tell, mut events) = mpsc::channel(16);
        let mut held: BTreeMap<String, AbortOnDropHandle<()>> = BTreeMap::new();
        let (mut replicas, mut luck, mut flaps) = (0, Luck::default(), 0_u32);
        loop {
            self.tunnels.store(held.len(), Ordering::Relaxed);
            let step = plan::next(held.len(), replicas, luck, chance()?);
            let event = match step {
                Step::Rest => events.recv().await,
                Step::Call(after) => tokio::select! {
                    event = events.recv() => event,
                    () = tokio::time::sleep(after) => None,
                },
            };
            match event {
                Some(Event::Replicas(now)) => {
                    if now > replicas {
                        luck.surplus = 0;
                    }
                    replicas = now;
                    continue;
                }
                Some(Event::Ended(replica, begun)) => {
                    tracing::warn!(replica, "a tunnel ended");
                    held.remove(&replica);
                    flaps = if begun.elapsed() > LIVED { 0 } else { flaps.saturating_add(1) };
                    luck = Luck { failed: flaps.max(1), surplus: 0 };
                    continue;
                }
                None => {}
            }
            match tokio::time::timeout(ANSWER, self.call(held.keys().cloned().collect())).await {
                Ok(Ok(tunnel)) if held.contains_key(&tunnel.replica) => {
                    // How many there are, its own tunnel says, and again only when that changes: what it said last counts.
                    luck = Luck { failed: 0, surplus: luck.surplus.saturating_add(1) };
                }
                Ok(Ok(tunnel)) => {
                    tracing::info!(replica = tunnel.replica, "a tunnel is there");
                    (replicas, luck) = (tunnel.replicas, Luck::default());
                    let (agent, tell, replica) = (self.clone(), tell.clone(), tunnel.replica.clone());
                    let serve = async move {
                        let (replica, begun) = (tunnel.replica.clone(), Instant::now());
                        agent.serve(tunnel, &tell).await;
                        let _ = tell.send(Event::Ended(replica, begun)).await;
                    };
                    held.insert(replica, AbortOnDropHandle::new(tokio::spawn(serve)));
                }
                failed => {
                    let why = failed.map_or_else(
                        |_| "the portal did not answer in time".to_owned(),
                        |r| r.err().unwrap_or_default(),
                    );
                    tracing::warn!(portal = self.target.shown(), why, "a call failed");
                    luck = Luck { failed: luck.failed.saturating_add(1), surplus: 0 };
                }
            }
        }
    }

    /// Calls once: a tunnel that was taken, or one to a replica of `held`, which took none besides.
    async fn call(&self, held: Vec<String>) -> Result<Tunnel, Why> {
        let (incoming, outgoing) = self.target.dial().await?;
        let (near, far) = tokio::io::duplex(BUFFER);
        let (opener, lanes, streams) = start(near, Side::Caller);
        let work = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::select! {
                _ = carry(incoming, outgoing, far, Beat::default()) => {}
                () = streams => {}
            }
        }));
        let broken = |e: std::io::Error| format!("the tunnel broke: {e}");
        let (hears, mut says) = tokio::io::split(opener.open().await.map_err(broken)?);
        let told = self.ways.borrow().clone();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let hello = FromAgent::Hello { version, access: told.access.clone(), held };
        words::say(&mut says, &hello).await.map_err(broken)?;
        // The portal looks at the cluster before it says a word.
        let mut tunnel =
            Tunnel { replica: String::new(), replicas: 0, hears, says, lanes, work, told, _opener: opener };
        let answer = {
            let Tunnel { hears, lanes, .. } = &mut tunnel;
            let leads = self.lead(lanes);
            tokio::select! {
                answer = words::hear::<FromPortal>(hears) => answer.map_err(broken)?,
                () = leads => None,
            }
        };
        match answer {
            Some(FromPortal::Welcome { replica, replicas }) => Ok(Tunnel { replica, replicas, ..tunnel }),
            Some(FromPortal::Refused { reason }) => Err(format!("the portal sends it away: {reason}")),
            None => Err("the portal closed the tunnel".to_owned()),
        }
    }

    /// Leads each stream to the API server.
    async fn lead(&self, lanes: &mut mpsc::Receiver<Lane>) {
        while let Some(lane) = lanes.recv().await {
            let address = self.ways.borrow().address.clone();
            tokio::spawn(pipe(lane, address));
        }
    }

    /// Serves a tunnel until it ends.
    async fn serve(&self, tunnel: Tunnel, tell: &mpsc::Sender<Event>) {
        let Tunnel { mut hears, mut says, mut lanes, mut work, told, .. } = tunnel;
        let mut ways = self.ways.clone();
        let listens = async {
            while let Ok(Some(word)) = words::hear(&mut hears).await {
                match word {
                    FromPortal::Welcome { replicas, .. } => {
                        if tell.send(Event::Replicas(replicas)).await.is_err() {
                            return;
                        }
                    }
                    FromPortal::Refused { reason } => {
                        tracing::warn!(reason, "the portal lets go of this agent");
                        return;
                    }
                }
            }
        };
        let renews = async {
            let mut told = told.access;
            loop {
                let now = ways.borrow_and_update().access.clone();
                if now != told {
                    tracing::info!("new credentials are handed on");
                    if words::say(&mut says, &FromAgent::Access { access: now.clone() }).await.is_err() {
                        return;
                    }
                    told = now;
                }
                if ways.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            () = listens => {}
            () = renews => {}
            () = self.lead(&mut lanes) => {}
            _ = &mut work => {}
        }
    }
}

/// Bytes between a stream and the API server.
async fn pipe(mut lane: Lane, address: (String, u16)) {
    match tokio::time::timeout(CONNECT, TcpStream::connect(address.clone())).await {
        Ok(Ok(mut server)) => {
            let _ = server.set_nodelay(true);
            let _ = copy_bidirectional(&mut lane, &mut server).await;
        }
        Ok(Err(e)) => {
            tracing::warn!(host = address.0, port = address.1, error = %e, "the API server takes no connection")
        }
        Err(_) => tracing::warn!(host = address.0, port = address.1, "the API server does not answer"),
    }
}

/// Between 0 and 1.
fn chance() -> anyhow::Result<f64> {
    let mut bytes = [0; 4];
    SystemRandom.fill(&mut bytes)?;
    Ok(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}
