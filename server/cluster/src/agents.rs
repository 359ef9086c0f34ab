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
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use berth_core::{
    Error, Result,
    env::Clock,
    ports::{
        agents::{Call, Met, Told},
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
    io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf},
    sync::{Notify, watch},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{connection::Connection, error::causes, lease::Replica, set};

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
    /// By handle and generation: who has the handle of one that was removed is reached through no tunnel of that.
    slots: RwLock<BTreeMap<(ClusterId, i64), Arc<Slot>>>,
}

impl Hub {
    /// That of a cluster, which may be new: an agent may call before it is known here that there is such a cluster.
    pub(crate) fn slot(&self, id: &ClusterId, generation: i64) -> Arc<Slot> {
        self.slots.write().entry((id.clone(), generation)).or_default().clone()
    }

    /// The same, knowing when an agent was there last.
    pub(crate) fn expect(&self, id: &ClusterId, generation: i64, seen: Option<Timestamp>) -> Arc<Slot> {
        let slot = self.slot(id, generation);
        let mut known = slot.seen.write();
        *known = (*known).max(seen);
        drop(known);
        slot
    }

    /// Its cluster is gone.
    pub(crate) fn remove(&self, id: &ClusterId, generation: i64) {
        self.slots.write().remove(&(id.clone(), generation));
    }
}

/// A stream to an API server that tells when nobody is at its other end: all that an agent can do is to close it.
struct Answered {
    lane: Lane,
    heard: bool,
}

impl Answered {
    fn nobody() -> std::io::Error {
        let why = "its agent got no answer from its API server: the agent's log says why";
        std::io::Error::new(std::io::ErrorKind::ConnectionRefused, why)
    }
}

impl AsyncRead for Answered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let read = ready!(Pin::new(&mut self.lane).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.heard = true;
        } else if room > 0 && !self.heard {
            return Poll::Ready(Err(Self::nobody()));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Answered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.lane).poll_write(cx, bytes));
        Poll::Ready(written.map_err(|e| if self.heard { e } else { Self::nobody() }))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.lane).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.lane).poll_shutdown(cx)
    }
}

/// The same, as the HTTP client wants it.
pub(crate) struct Stream(TokioIo<Answered>);

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
            tokio::time::timeout(OPENS, opener.open())
                .await
                .map_err(late)?
                .map(|lane| Stream(TokioIo::new(Answered { lane, heard: false })))
        })
    }
}

/// An agent that called.
pub(crate) struct Called {
    version: String,
    server: String,
    held: Vec<String>,
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
        let Some(FromAgent::Hello { version, access, held }) = hello else {
            return Err(malformed("it did not say who it is"));
        };
        let way = async {
            let endpoint = berth_core::access_file::read(&access.kubeconfig)?;
            Ok::<_, Error>((endpoint.server, Connection::through(&access, &opener).await?))
        };
        match way.await {
            Ok((server, connection)) => {
                Ok(Self { version, server, held, connection, opener, hears, says, work, hub, replica, clock })
            }
            Err(e) => {
                let why = e.fields().first().map_or_else(|| e.message().to_owned(), |field| field.message.clone());
                let why = format!("its kubeconfig: {why}");
                last_word(&mut says, &mut hears, &FromPortal::Refused { reason: why.clone() }).await;
                Err(Error::new(e.code(), why).caused_by(e))
            }
        }
    }
}

/// Says something to who is not taken, who closes the tunnel when it has heard.
async fn last_word(says: &mut WriteHalf<Lane>, hears: &mut ReadHalf<Lane>, word: &FromPortal) {
    if words::say(says, word).await.is_ok() {
        let _ = words::hear::<FromAgent>(hears).await;
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

    fn held(&self) -> &[String] {
        &self.held
    }

    async fn identity(&self) -> Result<String> {
        set::identity(&self.connection).await.map_err(|e| {
            // Whoever set it up is told what it failed at: it is their cluster.
            let why = std::error::Error::source(&e).map_or_else(|| e.message().to_owned(), causes);
            Error::new(e.code(), format!("its API server cannot be asked: {why}")).caused_by(e)
        })
    }

    async fn look(&self) -> Looked {
        set::look(&self.connection, Some(&self.replica.installation), self.clock.now()).await
    }

    async fn refuse(mut self: Box<Self>, why: &str) {
        last_word(&mut self.says, &mut self.hears, &FromPortal::Refused { reason: why.to_owned() }).await;
    }

    async fn spare(mut self: Box<Self>, Told { replica, replicas }: Told) {
        last_word(&mut self.says, &mut self.hears, &FromPortal::Welcome { replica, replicas }).await;
    }

    async fn serve(self: Box<Self>, met: &Met, mut told: watch::Receiver<Told>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Met { id, generation, identity } = met;
        let Self { connection, opener, mut hears, mut says, mut work, hub, clock, .. } = *self;
        let placed = Placed { slot: hub.slot(id, *generation), number: NEXT.fetch_add(1, Ordering::Relaxed), clock };
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tower::Service as _;

    use super::*;

    fn way() -> Connection {
        let service = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        Connection::single(Client::new(service, "default"))
    }

    #[tokio::test]
    async fn who_has_a_handle_later_is_reached_through_no_tunnel_of_before() {
        let (hub, moon) = (Hub::default(), "moon".parse::<ClusterId>().expect("a handle"));
        hub.slot(&moon, 1).put(7, way());
        assert!(hub.expect(&moon, 2, None).newest().is_none());
        // An agent that called before it was known here that there is such a cluster is there.
        hub.slot(&moon, 3).put(8, way());
        hub.remove(&moon, 2);
        assert!(hub.expect(&moon, 3, None).newest().is_some());
    }

    #[tokio::test]
    async fn an_api_server_that_the_agent_does_not_reach_is_told_from_one_that_closes() {
        let (near, far) = tokio::io::duplex(1024);
        let (opener, _, work) = mux::start(near, Side::Called);
        let (_opener, mut lanes, other) = mux::start(far, Side::Caller);
        let _work = (AbortOnDropHandle::new(tokio::spawn(work)), AbortOnDropHandle::new(tokio::spawn(other)));
        for says in [&b""[..], b"x"] {
            let mut stream = Connector(opener.clone()).call(Uri::from_static("https://api")).await.expect("a stream").0;
            stream.inner_mut().write_all(b"hello").await.expect("it is sent");
            let mut lane = lanes.recv().await.expect("the other side's");
            lane.read_exact(&mut [0; 5]).await.expect("a hello");
            lane.write_all(says).await.expect("an answer");
            drop(lane);
            let read = stream.inner_mut().read_to_end(&mut Vec::new()).await;
            match read {
                Ok(heard) => assert_eq!((heard, says.len()), (1, 1)),
                Err(e) => assert!(says.is_empty() && e.to_string().contains("the agent's log says why"), "{e}"),
            }
        }
    }
}
