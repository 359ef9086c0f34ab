//! Clusters that are reached through tunnels of their agents.
//!
//! To all else such a cluster is a [`Connection`] like any other. Its requests go through the newest tunnel that there is at that moment,
//! with the credentials that came through it; TLS is spoken with the API server itself, so the agent sees nothing but bytes.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use berth_core::{
    Error, Result,
    env::Clock,
    ports::{
        agents::{Call, Told},
        clusters::Looked,
        relay::Duplex,
    },
};
use berth_tunnel::{
    mux::{self, Lane, Opener, Side},
    words::{self, Access, FromAgent, FromPortal},
};
use berth_types::{ClusterId, ErrorCode};
use futures::future::BoxFuture;
use http::{Request, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection as Connects},
    rt::TokioIo,
};
use jiff::Timestamp;
use kube::{Client, client::Body};
use parking_lot::RwLock;
use tokio::{
    io::{ReadHalf, WriteHalf},
    sync::{Notify, watch},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{connection::Connection, lease::Replica, set};

/// How long a request waits for an agent that is not there: who was just cut off calls again at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the way through a tunnel to an API server may take.
const OPENS: Duration = Duration::from_secs(5);

/// There is no tunnel.
#[derive(Debug, thiserror::Error)]
#[error("its agent does not call ({0})")]
pub(crate) struct AgentAway(String);

/// The tunnels to a cluster.
#[derive(Default)]
pub(crate) struct Slot {
    ways: RwLock<Vec<(u64, Connection)>>,
    seen: RwLock<Option<Timestamp>>,
    came: Notify,
}

impl Slot {
    fn newest(&self) -> Option<Connection> {
        self.ways.read().last().map(|(_, way)| way.clone())
    }

    async fn way(&self) -> Result<Connection, AgentAway> {
        let came = self.came.notified();
        if let Some(way) = self.newest() {
            return Ok(way);
        }
        let _ = tokio::time::timeout(PATIENCE, came).await;
        self.newest().ok_or_else(|| {
            AgentAway(
                self.seen
                    .read()
                    .map_or("not seen yet".to_owned(), |at| format!("last seen {}", at.strftime("%Y-%m-%d %H:%M UTC"))),
            )
        })
    }

    fn put(&self, number: u64, way: Connection) {
        let mut ways = self.ways.write();
        match ways.iter_mut().find(|(known, _)| *known == number) {
            Some((_, known)) => *known = way,
            None => ways.push((number, way)),
        }
        drop(ways);
        self.came.notify_waiters();
    }

    /// What reaches the cluster through whichever tunnel there is.
    pub(crate) fn connection(self: &Arc<Self>) -> Connection {
        let identity = |which: fn(Connection) -> Client| {
            let slot = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let slot = slot.clone();
                async move {
                    let way = slot.way().await.map_err(|away| kube::Error::Service(Box::new(away)))?;
                    which(way).send(request).await
                }
            });
            Client::new(service, "default")
        };
        Connection {
            reader: identity(|way| way.reader),
            releases: Some(identity(|way| way.releases.unwrap_or(way.reader))),
            controller: identity(|way| way.controller),
            writer: identity(|way| way.writer),
        }
    }
}

/// The clusters to which agents lead.
#[derive(Default)]
pub(crate) struct Hub {
    slots: RwLock<BTreeMap<ClusterId, Arc<Slot>>>,
}

impl Hub {
    /// That of a cluster, which may be new.
    pub(crate) fn slot(&self, id: &ClusterId) -> Arc<Slot> {
        self.slots.write().entry(id.clone()).or_default().clone()
    }

    /// The same, knowing when an agent was there last.
    pub(crate) fn expect(&self, id: &ClusterId, seen: Option<Timestamp>) -> Arc<Slot> {
        let slot = self.slot(id);
        let mut known = slot.seen.write();
        *known = (*known).max(seen);
        drop(known);
        slot
    }

    /// Its cluster is gone.
    pub(crate) fn remove(&self, id: &ClusterId) {
        self.slots.write().remove(id);
    }
}

/// A stream to an API server, as the HTTP client wants it.
pub(crate) struct Stream(TokioIo<Lane>);

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Connects for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Opens streams in a tunnel, whatever address is asked for: they all lead to the agent's API server, which TLS then proves.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Opener);

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, std::io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let opener = self.0.clone();
        Box::pin(async move {
            let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the tunnel takes no more streams");
            tokio::time::timeout(OPENS, opener.open()).await.map_err(late)?.map(|lane| Stream(TokioIo::new(lane)))
        })
    }
}

/// An agent that called.
pub(crate) struct Called {
    version: String,
    server: String,
    connection: Connection,
    opener: Opener,
    hears: ReadHalf<Lane>,
    says: WriteHalf<Lane>,
    /// Moves the bytes; dropping it closes the tunnel.
    work: AbortOnDropHandle<()>,
    hub: Arc<Hub>,
    replica: Replica,
    clock: Arc<dyn Clock>,
}

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorCode::Malformed, why)
}

impl Called {
    /// Hears out who calls.
    pub(crate) async fn hear(
        call: Box<dyn Duplex>,
        hub: Arc<Hub>,
        (replica, clock): (Replica, Arc<dyn Clock>),
    ) -> Result<Self> {
        let (opener, mut lanes, work) = mux::start(call, Side::Called);
        let work = AbortOnDropHandle::new(tokio::spawn(work));
        let first = lanes.recv().await.ok_or_else(|| malformed("it went without a word"))?;
        let (mut hears, mut says) = tokio::io::split(first);
        let hello =
            words::hear(&mut hears).await.map_err(|e| malformed("it does not speak as agents do").caused_by(e))?;
        let Some(FromAgent::Hello { version, access }) = hello else {
            return Err(malformed("it did not say who it is"));
        };
        let way = async {
            let endpoint = berth_core::access_file::read(&access.kubeconfig)?;
            Ok::<_, Error>((endpoint.server, Connection::through(&access, &opener).await?))
        };
        match way.await {
            Ok((server, connection)) => {
                Ok(Self { version, server, connection, opener, hears, says, work, hub, replica, clock })
            }
            Err(e) => {
                let why = e.fields().first().map_or_else(|| e.message().to_owned(), |field| field.message.clone());
                let _ = words::say(&mut says, &FromPortal::Refused { reason: format!("its kubeconfig: {why}") }).await;
                // It closes when it has heard.
                let _ = words::hear::<FromAgent>(&mut hears).await;
                Err(e)
            }
        }
    }
}

/// Takes one of a cluster's tunnels away when it ends, however it ends.
struct Placed {
    slot: Arc<Slot>,
    number: u64,
    clock: Arc<dyn Clock>,
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.slot.ways.write().retain(|(number, _)| *number != self.number);
        *self.slot.seen.write() = Some(self.clock.now());
    }
}

#[async_trait]
impl Call for Called {
    fn version(&self) -> &str {
        &self.version
    }

    fn server(&self) -> &str {
        &self.server
    }

    async fn identity(&self) -> Result<String> {
        set::identity(&self.connection).await
    }

    async fn look(&self) -> Looked {
        set::look(&self.connection, Some(&self.replica.installation), self.clock.now()).await
    }

    async fn refuse(mut self: Box<Self>, why: &str) {
        if words::say(&mut self.says, &FromPortal::Refused { reason: why.to_owned() }).await.is_ok() {
            // It closes when it has heard.
            let _ = words::hear::<FromAgent>(&mut self.hears).await;
        }
    }

    async fn serve(self: Box<Self>, id: &ClusterId, identity: &str, mut told: watch::Receiver<Told>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Self { connection, opener, mut hears, mut says, mut work, hub, clock, .. } = *self;
        let placed = Placed { slot: hub.slot(id), number: NEXT.fetch_add(1, Ordering::Relaxed), clock };
        placed.slot.put(placed.number, connection);
        let listens = async {
            while let Ok(Some(FromAgent::Access { access })) = words::hear(&mut hears).await {
                match renewed(&access, &opener, identity).await {
                    Ok(way) => placed.slot.put(placed.number, way),
                    Err(e) => {
                        tracing::warn!(cluster = %id, error = %e, "an agent's new credentials lead nowhere: it is let go of");
                        return;
                    }
                }
            }
        };
        let speaks = async {
            loop {
                let Told { replica, replicas } = told.borrow_and_update().clone();
                let welcome = FromPortal::Welcome { replica, replicas };
                if words::say(&mut says, &welcome).await.is_err() || told.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = listens => {}
            () = speaks => {}
            _ = &mut work => {}
        }
    }
}

/// The way with other credentials, if it leads to the same cluster.
async fn renewed(access: &Access, opener: &Opener, identity: &str) -> Result<Connection> {
    let way = Connection::through(access, opener).await?;
    if set::identity(&way).await? == identity {
        Ok(way)
    } else {
        Err(Error::new(ErrorCode::Conflict, "they lead to another cluster"))
    }
}
