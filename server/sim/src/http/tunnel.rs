//! Port forwarding as kubectl does it: SPDY streams, inside a WebSocket (`SPDY/3.1+portforward.k8s.io`, since 1.31)
//! or on the upgraded connection itself. Each forwarded connection is a pair of streams, one for data and one for errors.

use std::{collections::HashMap, sync::Arc};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, WriteHalf, duplex},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    Context,
    spdy::{self, Decoder, Frame},
};

/// Bytes that a pipe holds.
const PIPE: usize = 64 * 1024;

/// What one frame of the client carries at most.
const CHUNK: usize = 32 * 1024;

/// Carries bytes between a WebSocket and a pipe until either ends.
pub async fn bytes_of(socket: WebSocket, pipe: DuplexStream) {
    let (mut sink, mut source) = socket.split();
    let (mut from, mut to) = tokio::io::split(pipe);
    let out = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if sink.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
        let _ = sink.send(Message::Close(None)).await;
    };
    let inwards = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) if to.write_all(&bytes).await.is_err() => return,
                Message::Close(_) => return,
                _ => {}
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = inwards => {}
    }
}

/// The streams of one forwarded connection, as far as they have been opened.
#[derive(Default)]
struct Pair {
    data: Option<u32>,
    errors: Option<u32>,
}

/// Serves SPDY port forwarding until the client leaves.
pub async fn port_forward(cx: Context, pod: Value, connection: impl AsyncRead + AsyncWrite + Send + 'static) {
    let pod = Arc::new(pod);
    let (mut from, mut to) = tokio::io::split(connection);
    let (out, mut outbox) = mpsc::channel::<Bytes>(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(bytes) = outbox.recv().await {
            if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    });
    let Ok(mut decoder) = Decoder::new() else { return };
    let mut pairs: HashMap<String, Pair> = HashMap::new();
    let mut inputs: HashMap<u32, WriteHalf<DuplexStream>> = HashMap::new();
    let mut first = true;
    let mut buffer = vec![0; CHUNK];
    'connection: while let Ok(count @ 1..) = from.read(&mut buffer).await {
        decoder.push(buffer.get(..count).unwrap_or_default());
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(fault) => {
                    tracing::debug!(?fault, "port forwarding ended");
                    break 'connection;
                }
            };
            match frame {
                Frame::Open { stream, headers } => {
                    if out.send(spdy::accept(stream, std::mem::take(&mut first))).await.is_err() {
                        break 'connection;
                    }
                    let header = |name: &str| {
                        headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
                    };
                    let pair = pairs.entry(header("requestid").to_owned()).or_default();
                    match header("streamtype") {
                        "data" => pair.data = Some(stream),
                        _ => pair.errors = Some(stream),
                    }
                    let port = header("port").parse::<u16>().unwrap_or_default();
                    if let Pair { data: Some(data), errors: Some(errors) } = *pair {
                        pairs.remove(header("requestid"));
                        let (near, far) = duplex(PIPE);
                        let (from_pod, to_pod) = tokio::io::split(near);
                        inputs.insert(data, to_pod);
                        let (kubelet, pod, out) = (cx.api.cluster.kubelet(), pod.clone(), out.clone());
                        tasks.spawn(async move {
                            let served = kubelet.port_forward(&pod, port, Box::new(far));
                            let (outcome, ()) = tokio::join!(served, pump(from_pod, data, out.clone()));
                            let words = outcome.err().map_or(String::new(), |status| status.message);
                            let _ = out.send(spdy::data(errors, words.as_bytes(), true)).await;
                        });
                    }
                }
                Frame::Data { stream, bytes, last } => {
                    if let Some(input) = inputs.get_mut(&stream) {
                        let _ = input.write_all(&bytes).await;
                        if last {
                            let _ = input.shutdown().await;
                            inputs.remove(&stream);
                        }
                    }
                }
                Frame::Reset { stream } => drop(inputs.remove(&stream)),
                Frame::Ping(id) => drop(out.send(spdy::pong(id)).await),
                Frame::GoAway => break 'connection,
                Frame::Other => {}
            }
        }
    }
}

/// Sends what the pod says, and that it has nothing more to say.
async fn pump(mut from: impl AsyncRead + Unpin, stream: u32, out: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if out.send(spdy::data(stream, buffer.get(..count).unwrap_or_default(), false)).await.is_err() {
            return;
        }
    }
    let _ = out.send(spdy::data(stream, &[], true)).await;
}
