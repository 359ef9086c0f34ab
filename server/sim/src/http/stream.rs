//! exec, attach and port-forward over WebSocket (`v5.channel.k8s.io`, `v4.channel.k8s.io`): each message starts
//! with the number of its channel. kubectl's port-forward speaks SPDY instead: see `tunnel`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
};

use super::{Context, subresource::pod_and_container, tunnel};
use crate::{
    cluster::text,
    hooks::Io,
    registry::builtin::gr,
    status::{Result, Status},
};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// SPDY port forwarding inside a WebSocket.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// SPDY port forwarding on the connection itself.
const FORWARD: &str = "portforward.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5: the next byte names a channel that ends.
const CLOSE: u8 = 255;
/// Bytes that a pipe holds.
const PIPE: usize = 64 * 1024;

/// Turns the connection into a stream in both directions.
pub async fn connect(cx: Context, request: Request<Body>) -> Result<Response<Body>> {
    let (mut parts, _) = request.into_parts();
    let port_forward = cx.info.subresource == "portforward";
    let (pod, container) = if port_forward {
        (cx.api.cluster.get(&gr::PODS, &cx.info.namespace, &cx.info.name)?, String::new())
    } else {
        pod_and_container(&cx)?
    };
    if text(&pod, &["spec", "nodeName"]).is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", cx.info.name)));
    }
    if matches!(text(&pod, &["status", "phase"]), "Succeeded" | "Failed") {
        return Err(Status::bad_request(format!(
            "cannot exec into a container in a completed pod; current phase is {}",
            text(&pod, &["status", "phase"])
        )));
    }
    if port_forward && asks_for_spdy(&parts.headers) {
        return upgrade_to_spdy(cx, pod.value().clone(), &mut parts);
    }
    // Only port forwarding is spoken in SPDY: kubectl asks for a WebSocket first and falls back if that fails.
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Status::bad_request("Upgrade request required"))?;
    let upgrade = if port_forward { upgrade.protocols([TUNNEL]) } else { upgrade.protocols(PROTOCOLS) };
    let tunnelled = upgrade.selected_protocol().is_some();
    let response = if port_forward && tunnelled {
        upgrade.on_upgrade(move |socket| async move {
            let (near, far) = duplex(PIPE);
            let served = tokio::spawn(tunnel::port_forward(cx, pod.value().clone(), near));
            tunnel::bytes_of(socket, far).await;
            served.abort();
        })
    } else if port_forward {
        let ports = ports(&cx)?;
        let upgrade = upgrade.protocols(PROTOCOLS);
        upgrade.on_upgrade(move |socket| forward(cx, pod.value().clone(), ports, socket))
    } else {
        if cx.info.subresource == "exec" && cx.query.all("command").is_empty() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        upgrade.on_upgrade(move |socket| run(cx, pod.value().clone(), container, socket))
    };
    Ok(response)
}

fn asks_for_spdy(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"SPDY/3.1"))
}

fn upgrade_to_spdy(cx: Context, pod: Value, parts: &mut http::request::Parts) -> Result<Response<Body>> {
    let offered = parts.headers.get_all("x-stream-protocol-version").iter();
    if !offered.into_iter().any(|version| version.as_bytes() == FORWARD.as_bytes()) {
        return Err(Status::new(403, "Forbidden", "unable to upgrade: no supported stream protocol was offered"));
    }
    let upgraded = parts
        .extensions
        .remove::<hyper::upgrade::OnUpgrade>()
        .ok_or_else(|| Status::bad_request("unable to upgrade: the connection cannot change its protocol"))?;
    tokio::spawn(async move {
        if let Ok(connection) = upgraded.await {
            tunnel::port_forward(cx, pod, TokioIo::new(connection)).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(FORWARD));
    Ok(response)
}

fn framed(channel: u8, payload: &[u8]) -> Message {
    let mut out = Vec::with_capacity(payload.len() + 1);
    out.push(channel);
    out.extend_from_slice(payload);
    Message::Binary(Bytes::from(out))
}

/// Sends what comes out of a pipe to a channel until the pipe ends.
async fn pump(mut pipe: DuplexStream, channel: u8, out: mpsc::Sender<Message>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count) = pipe.read(&mut buffer).await {
        let Some(payload) = buffer.get(..count).filter(|payload| !payload.is_empty()) else { return };
        if out.send(framed(channel, payload)).await.is_err() {
            return;
        }
    }
}

/// The status that ends an exec (`k8s.io/kubelet/pkg/cri/streaming/remotecommand`).
fn ending(outcome: &Result<i32>) -> Value {
    match outcome {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(status) => status.to_value(),
    }
}

async fn run(cx: Context, pod: Value, container: String, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let (out, mut outbox) = mpsc::channel::<Message>(64);
    let writer = tokio::spawn(async move {
        while let Some(message) = outbox.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });

    let tty = cx.query.flag("tty");
    let (mut stdin, stdin_pipe) = duplex(PIPE);
    let (stdout, stdout_pipe) = duplex(PIPE);
    let (stderr, stderr_pipe) = duplex(PIPE);
    let (resized, resize) = mpsc::channel(8);
    let wants = |name: &str| cx.query.flag(name);
    let io = Io {
        stdin: wants("stdin").then(|| Box::new(stdin_pipe) as _),
        stdout: wants("stdout").then(|| Box::new(stdout) as _),
        stderr: (wants("stderr") && !tty).then(|| Box::new(stderr) as _),
        tty,
        resize,
    };
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else { continue };
            match bytes.split_first() {
                Some((&STDIN, payload)) if stdin.write_all(payload).await.is_err() => {
                    return;
                }
                Some((&RESIZE, payload)) => {
                    let size: Value = serde_json::from_slice(payload).unwrap_or_default();
                    let part = |name: &str| size[name].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
                    let _ = resized.send((part("Width"), part("Height"))).await;
                }
                Some((&CLOSE, [STDIN])) => {
                    let _ = stdin.shutdown().await;
                }
                _ => {}
            }
        }
    });
    let pumps =
        [tokio::spawn(pump(stdout_pipe, STDOUT, out.clone())), tokio::spawn(pump(stderr_pipe, STDERR, out.clone()))];
    let kubelet = cx.api.cluster.kubelet();
    let outcome = if cx.info.subresource == "attach" {
        kubelet.attach(&pod, &container, io).await
    } else {
        kubelet.exec(&pod, &container, cx.query.all("command"), io).await
    };
    for pump in pumps {
        let _ = pump.await;
    }
    let _ = out.send(framed(ERROR, ending(&outcome).to_string().as_bytes())).await;
    let close = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    let _ = out.send(Message::Close(Some(close))).await;
    drop(out);
    reader.abort();
    let _ = writer.await;
}

fn ports(cx: &Context) -> Result<Vec<u16>> {
    let asked = cx.query.all("ports");
    let ports: Option<Vec<u16>> = asked.iter().flat_map(|list| list.split(',')).map(|port| port.parse().ok()).collect();
    match ports {
        Some(ports) if !ports.is_empty() => Ok(ports),
        _ => Err(Status::bad_request("query parameter \"ports\" is required: numbers between 1 and 65535")),
    }
}

/// Two channels a port: the even one carries data, the odd one errors; each begins with the port's number.
async fn forward(cx: Context, pod: Value, ports: Vec<u16>, socket: WebSocket) {
    let (mut sink, mut source) = socket.split();
    let (out, mut outbox) = mpsc::channel::<Message>(64);
    let writer = tokio::spawn(async move {
        while let Some(message) = outbox.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    let pod = Arc::new(pod);
    let mut inputs = Vec::new();
    let mut tasks = Vec::new();
    for (index, port) in ports.iter().copied().enumerate() {
        let Ok(data) = u8::try_from(index * 2) else { break };
        for channel in [data, data + 1] {
            let _ = out.send(framed(channel, &port.to_le_bytes())).await;
        }
        let (near, far) = duplex(PIPE);
        let (from_pod, to_pod) = tokio::io::split(near);
        inputs.push(to_pod);
        let (kubelet, pod, errors) = (cx.api.cluster.kubelet(), pod.clone(), out.clone());
        tasks.push(tokio::spawn(async move {
            if let Err(status) = kubelet.port_forward(&pod, port, Box::new(far)).await {
                let _ = errors.send(framed(data + 1, status.message.as_bytes())).await;
            }
        }));
        let replies = out.clone();
        tasks.push(tokio::spawn(async move {
            let mut from_pod = from_pod;
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count) = from_pod.read(&mut buffer).await {
                let Some(payload) = buffer.get(..count).filter(|payload| !payload.is_empty()) else { return };
                if replies.send(framed(data, payload)).await.is_err() {
                    return;
                }
            }
        }));
    }
    while let Some(Ok(message)) = source.next().await {
        let Message::Binary(bytes) = message else { continue };
        if let Some((channel, payload)) = bytes.split_first()
            && channel % 2 == 0
            && let Some(input) = inputs.get_mut(usize::from(channel / 2))
            && input.write_all(payload).await.is_err()
        {
            break;
        }
    }
    for task in tasks {
        task.abort();
    }
    writer.abort();
}
