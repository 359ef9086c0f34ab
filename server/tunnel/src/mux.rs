//! Many streams in one: yamux, driven by a future of ours.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead as _, AsyncWrite as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};
use yamux::{Config, Connection, Mode};

/// Streams that one side has open at a time; more wait.
pub const MAX_STREAMS: usize = 256;
/// Streams that are taken at a time, with those that are still being closed.
const MOST_TAKEN: usize = 2 * MAX_STREAMS;
/// Bytes that all streams together may have waiting; yamux wants 256 KiB for each.
const WINDOW: usize = MOST_TAKEN * 256 * 1024;
/// Streams that were opened by the other side and not yet looked at.
const WAITING: usize = 32;

/// Who called whom: streams are numbered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The agent.
    Caller,
    /// The portal.
    Called,
}

type Answer = oneshot::Sender<yamux::Stream>;

/// Opens streams.
#[derive(Clone)]
pub struct Opener {
    asks: mpsc::Sender<Answer>,
    places: Arc<Semaphore>,
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the tunnel is closed")
}

impl Opener {
    /// A new stream; waits while there are too many.
    ///
    /// # Errors
    /// When the tunnel is closed.
    pub async fn open(&self) -> io::Result<Lane> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| over())?;
        let (answer, opened) = oneshot::channel();
        self.asks.send(answer).await.map_err(|_| over())?;
        let stream = opened.await.map_err(|_| over())?;
        Ok(Lane { stream, _place: Some(place) })
    }
}

/// One stream.
pub struct Lane {
    stream: yamux::Stream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Lane {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lane {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// What carries all streams, as yamux wants it.
struct Carrier<T>(T);

impl<T: AsyncRead + Unpin> futures::io::AsyncRead for Carrier<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<T: AsyncWrite + Unpin> futures::io::AsyncWrite for Carrier<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Puts streams into `carrier`: what opens them, those that the other side opens, and the work, which ends with the tunnel. Dropping
/// the work closes the tunnel and every stream in it.
pub fn start<T>(carrier: T, side: Side) -> (Opener, mpsc::Receiver<Lane>, impl Future<Output = ()> + Send)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut config = Config::default();
    config.set_max_num_streams(MOST_TAKEN).set_max_connection_receive_window(Some(WINDOW));
    let mode = match side {
        Side::Caller => Mode::Client,
        Side::Called => Mode::Server,
    };
    let connection = Connection::new(Carrier(carrier), config, mode);
    let (asks, asked) = mpsc::channel(WAITING);
    let (found, lanes) = mpsc::channel(WAITING);
    let opener = Opener { asks, places: Arc::new(Semaphore::new(MAX_STREAMS)) };
    (opener, lanes, drive(connection, asked, found))
}

async fn drive<T>(mut connection: Connection<Carrier<T>>, mut asked: mpsc::Receiver<Answer>, found: mpsc::Sender<Lane>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut waiting: Option<Answer> = None;
    poll_fn(|cx| {
        loop {
            // Who asked may have gone: the next is asked for only then.
            if waiting.as_ref().is_none_or(Answer::is_closed) {
                waiting = match asked.poll_recv(cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending => None,
                };
            }
            if waiting.is_some() {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => {
                        if let Some(answer) = waiting.take() {
                            let _ = answer.send(stream);
                        }
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            match connection.poll_next_inbound(cx) {
                // One that nobody takes is dropped, which tells the other side.
                Poll::Ready(Some(Ok(stream))) => drop(found.try_send(Lane { stream, _place: None })),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Two sides, the called one answering in capitals.
    fn pair() -> (Opener, tokio::task::JoinHandle<()>, tokio::task::JoinHandle<()>) {
        let (here, there) = duplex(1024);
        let (opener, _, work) = start(here, Side::Called);
        let (_, mut lanes, other) = start(there, Side::Caller);
        tokio::spawn(async move {
            while let Some(mut lane) = lanes.recv().await {
                tokio::spawn(async move {
                    let mut buf = vec![0; 4096];
                    while let Ok(read @ 1..) = lane.read(&mut buf).await {
                        buf[..read].make_ascii_uppercase();
                        lane.write_all(&buf[..read]).await.unwrap();
                    }
                    lane.shutdown().await.unwrap();
                });
            }
        });
        (opener, tokio::spawn(work), tokio::spawn(other))
    }

    #[tokio::test]
    async fn streams_are_apart_and_one_that_is_not_read_holds_no_other_back() {
        let (opener, _work, _other) = pair();
        let mut slow = opener.open().await.unwrap();
        // More than any window: it waits for a reader that never comes.
        let stuck = tokio::spawn(async move { slow.write_all(&vec![b'x'; 4 << 20]).await });
        for text in ["one", "two"] {
            let mut lane = opener.open().await.unwrap();
            lane.write_all(text.as_bytes()).await.unwrap();
            lane.shutdown().await.unwrap();
            let mut said = String::new();
            lane.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, text.to_uppercase());
        }
        assert!(!stuck.is_finished());
        stuck.abort();
    }

    #[tokio::test]
    async fn more_streams_than_there_may_be_wait() {
        let (opener, _work, _other) = pair();
        let mut held = Vec::new();
        for _ in 0..MAX_STREAMS {
            let mut lane = opener.open().await.unwrap();
            // Opened for good once the other side has heard of it.
            lane.write_all(b"a").await.unwrap();
            let mut said = [0];
            lane.read_exact(&mut said).await.unwrap();
            held.push(lane);
        }
        let more = opener.clone();
        let one_more = tokio::spawn(async move { more.open().await.map(drop) });
        tokio::task::yield_now().await;
        assert!(!one_more.is_finished());
        held.pop();
        one_more.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn when_a_side_ends_every_stream_ends() {
        let (opener, work, other) = pair();
        let mut lane = opener.open().await.unwrap();
        lane.write_all(b"a").await.unwrap();
        let mut said = [0];
        lane.read_exact(&mut said).await.unwrap();
        other.abort();
        work.await.unwrap();
        assert_ne!(lane.read(&mut said).await.unwrap_or_default(), 1);
        assert!(opener.open().await.is_err());
    }
}
