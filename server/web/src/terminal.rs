//! `/t/{tenant}/n/{namespace}/pods/{pod}/exec`: a shell in a container over a WebSocket.
//!
//! Query: `container`, `command` (repeated; default a shell). From the browser: binary = typed, text = `{"resize": [columns,
//! rows]}`. To the browser: binary = printed, text = `{"exit": code, "message": …}` at the end.

use std::time::Duration;

use axum::{
    extract::{
        Path, Query, Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use berth_core::{
    Error, OpCtx,
    ports::cluster::{ExecInput, ExecOutput, ExecSession},
    recheck,
};
use berth_types::{Action, NamespaceName, Resource, TenantName};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::{WebState, pages, session};

/// Most bytes of one message.
const MAX_MESSAGE: usize = 64 * 1024;

/// How long a terminal that is ended may take to hear why.
const FAREWELL: Duration = Duration::from_secs(1);

/// The best shell an image has: bash where there is one.
const SHELL: [&str; 3] = ["sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh"];

/// Opens the terminal.
pub async fn exec(
    State(state): State<WebState>,
    Path((tenant, namespace, pod)): Path<(String, String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let Some(ctx) = request.extensions().get::<OpCtx>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if ctx.person().is_none() {
        return pages::problem(&ctx, &Error::unauthenticated());
    }
    let (Ok(tenant), Ok(namespace)) = (tenant.parse::<TenantName>(), namespace.parse::<NamespaceName>()) else {
        return pages::problem(&ctx, &Error::not_found());
    };
    let path = (&tenant, &namespace);
    let may = state.services.authz().namespace(&ctx, path.0, path.1, Resource::Exec, Action::Create).await.is_ok();
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        // Who may not is told so below, and that is written down.
        Err(rejection) if may => return rejection.into_response(),
        Err(_) => return refused(&state, &ctx, path, &pod).await,
    };
    let container = query.iter().find(|(k, v)| k == "container" && !v.is_empty()).map(|(_, v)| v.as_str());
    let mut command: Vec<String> = query.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    if command.is_empty() {
        command = SHELL.map(str::to_owned).to_vec();
    }
    let running = match state.services.exec(&ctx, path, (&pod, container), &command, true).await {
        Ok(running) => running,
        Err(e) => return pages::problem(&ctx, &e),
    };
    let headers = request.headers().clone();
    let ended = async move {
        let session = session::until_ended(state.clone(), ctx.clone(), headers);
        let authz = state.services.authz();
        let rights = recheck::until_refused(&*ctx.clock, || async {
            authz.namespace(&ctx, &tenant, &namespace, Resource::Exec, Action::Create).await.map(drop)
        });
        tokio::select! { e = session => e, e = rights => e }
    };
    upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| run(socket, running, ended))
}

/// Says that there is no terminal for who asks, as the service has it.
async fn refused(state: &WebState, ctx: &OpCtx, path: (&TenantName, &NamespaceName), pod: &str) -> Response {
    match state.services.exec(ctx, path, (pod, None), &[], true).await {
        Ok(_) => StatusCode::UPGRADE_REQUIRED.into_response(),
        Err(e) => pages::problem(ctx, &e),
    }
}

fn input(message: Message) -> Option<ExecInput> {
    match message {
        Message::Binary(bytes) => Some(ExecInput::Stdin(bytes)),
        Message::Text(text) => {
            let value: Value = serde_json::from_str(&text).ok()?;
            let size = value.get("resize")?;
            let number = |i: usize| size.get(i).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
            Some(ExecInput::Resize(number(0)?.clamp(1, 1000), number(1)?.clamp(1, 1000)))
        }
        _ => None,
    }
}

/// Carries until one of both ends it, or `ended` does: also while one of them takes nothing.
async fn run(mut socket: WebSocket, mut running: ExecSession, ended: impl Future<Output = Error>) {
    let error = tokio::select! {
        biased;
        error = ended => error,
        () = carry(&mut socket, &mut running) => return,
    };
    drop(running);
    let last = json!({ "exit": null, "message": error.message() }).to_string();
    let farewell = async {
        socket.send(Message::text(last)).await?;
        socket.send(Message::Close(None)).await
    };
    // Who reads nothing is not waited for.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

async fn carry(socket: &mut WebSocket, running: &mut ExecSession) {
    loop {
        let out = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(message)) => {
                    if let Some(input) = input(message)
                        && running.input.send(input).await.is_err()
                    {
                        // The command has gone; its exit is on the way.
                        continue;
                    }
                    continue;
                }
            },
            output = running.output.next() => output,
        };
        let (message, last) = match out {
            Some(ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes)) => (Message::Binary(bytes), false),
            Some(ExecOutput::Exit(code, message)) => {
                (Message::text(json!({ "exit": code, "message": message }).to_string()), true)
            }
            None => (Message::text(json!({ "exit": null }).to_string()), true),
        };
        if socket.send(message).await.is_err() || last {
            break;
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use axum::{Router, body::Bytes, routing::any};
    use futures::stream;
    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
        sync::{mpsc, oneshot},
    };

    use super::*;

    /// More than what lies between the two takes.
    const TOO_MUCH: usize = 64 << 20;

    #[tokio::test]
    async fn a_terminal_that_nobody_reads_ends_with_its_right() {
        let (printed, prints) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        let (input, _commands) = mpsc::channel(1);
        let output = stream::once(async move {
            printed.send(()).unwrap();
            ExecOutput::Stdout(Bytes::from(vec![b'x'; TOO_MUCH]))
        });
        let running = ExecSession { input, output: output.chain(stream::pending()).boxed() };
        let once = Arc::new(Mutex::new(Some((running, over, prints))));
        let app = Router::new().route(
            "/",
            any(async move |upgrade: WebSocketUpgrade| {
                let (running, over, prints) = once.lock().unwrap().take().unwrap();
                upgrade.on_upgrade(async move |socket| {
                    let right = async {
                        prints.await.unwrap();
                        Error::unauthenticated()
                    };
                    run(socket, running, right).await;
                    over.send(()).unwrap();
                })
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let mut silent = TcpStream::connect(address).await.unwrap();
        let handshake = "GET / HTTP/1.1\r\nhost: berth\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        silent.write_all(handshake.as_bytes()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it ends").unwrap();
    }
}
