//! A WebSocket as bytes both ways, with a heartbeat.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    time::{MissedTickBehavior, interval, timeout},
};

/// Bytes that wait each way.
pub const BUFFER: usize = 64 * 1024;

/// A message of a WebSocket, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes.
    Data(Bytes),
    /// A heartbeat; the other side's library answers it.
    Ping,
    /// An answer to one, or what means nothing here: a sign of life.
    Other,
    /// It ends.
    Close,
}

/// How it is seen that the other side lives.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// How often a heartbeat is sent.
    pub every: Duration,
    /// A link that was silent, or took nothing, for so long is dead.
    pub dead: Duration,
}

impl Default for Beat {
    /// Every 8 s; dead after 20 s.
    fn default() -> Self {
        Self { every: Duration::from_secs(8), dead: Duration::from_secs(20) }
    }
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other side closed it, or broke off.
    Closed,
    /// Nothing came any more, not even a heartbeat, or nothing was taken.
    Silent,
    /// This side closed it.
    Done,
}

/// Carries bytes between a WebSocket and `io` until one of both ends.
pub async fn carry<I, O, E>(incoming: I, outgoing: O, io: DuplexStream, beat: Beat) -> End
where
    I: Stream<Item = Result<Frame, E>>,
    O: Sink<Frame>,
{
    let (mut read, mut write) = tokio::io::split(io);
    let inward = async {
        let mut incoming = pin!(incoming);
        loop {
            match timeout(beat.dead, incoming.next()).await {
                Ok(Some(Ok(Frame::Data(bytes)))) => {
                    if write.write_all(&bytes).await.is_err() {
                        return End::Done;
                    }
                }
                Ok(Some(Ok(Frame::Ping | Frame::Other))) => {}
                Ok(Some(Ok(Frame::Close) | Err(_)) | None) => return End::Closed,
                Err(_) => return End::Silent,
            }
        }
    };
    let outward = async {
        let mut outgoing = pin!(outgoing);
        let mut beats = interval(beat.every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buf = BytesMut::with_capacity(BUFFER);
        loop {
            buf.reserve(BUFFER);
            let (frame, last) = tokio::select! {
                read = read.read_buf(&mut buf) => match read {
                    Ok(1..) => (Frame::Data(buf.split().freeze()), false),
                    _ => (Frame::Close, true),
                },
                _ = beats.tick() => (Frame::Ping, false),
            };
            match timeout(beat.dead, outgoing.send(frame)).await {
                Ok(Ok(())) if !last => {}
                Ok(Ok(())) => return End::Done,
                Ok(Err(_)) => return End::Closed,
                Err(_) => return End::Silent,
            }
        }
    };
    tokio::select! { end = inward => end, end = outward => end }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use tokio::io::duplex;

    use super::*;

    type Wire = mpsc::Sender<Frame>;

    fn linked(beat: Beat) -> (DuplexStream, tokio::task::JoinHandle<End>, Wire, mpsc::Receiver<Frame>) {
        let (near, far) = duplex(BUFFER);
        let (to, incoming) = mpsc::channel(8);
        let (outgoing, from) = mpsc::channel(8);
        let incoming = incoming.map(Ok::<_, ()>);
        (near, tokio::spawn(carry(incoming, outgoing, far, beat)), to, from)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_between_heartbeats() {
        let (mut near, end, mut to, mut from) = linked(Beat::default());
        to.send(Frame::Data(Bytes::from_static(b"hello"))).await.unwrap();
        let mut said = [0; 5];
        near.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        near.write_all(b"you").await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.push(from.next().await.unwrap());
        }
        assert!(seen.contains(&Frame::Data(Bytes::from_static(b"you"))) && seen.contains(&Frame::Ping), "{seen:?}");
        drop(near);
        while from.next().await.is_some_and(|frame| frame != Frame::Close) {}
        assert_eq!(end.await.unwrap(), End::Done);
    }

    #[tokio::test]
    async fn a_link_that_died_without_a_word_is_noticed() {
        assert!(Beat::default().dead < Duration::from_secs(30) && Beat::default().every * 2 < Beat::default().dead);
        let beat = Beat { every: Duration::from_millis(5), dead: Duration::from_millis(100) };
        let (_near, end, _to, mut from) = linked(beat);
        tokio::spawn(async move { while from.next().await.is_some() {} });
        assert_eq!(end.await.unwrap(), End::Silent);
        // And one that takes nothing any more.
        let (mut near, end, mut to, _from) = linked(beat);
        let alive = tokio::spawn(async move {
            while to.send(Frame::Other).await.is_ok() {
                tokio::time::sleep(beat.every).await;
            }
        });
        tokio::spawn(async move { while near.write_all(&[0; 1024]).await.is_ok() {} });
        assert_eq!(end.await.unwrap(), End::Silent);
        alive.abort();
    }

    #[tokio::test]
    async fn what_closes_is_closed() {
        let (_near, end, mut to, _from) = linked(Beat::default());
        to.send(Frame::Close).await.unwrap();
        assert_eq!(end.await.unwrap(), End::Closed);
    }
}
