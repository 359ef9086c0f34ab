//! `/agent/v1/tunnel`: where agents of clusters call. An agent's token opens nothing else, and nothing else opens it.

use axum::{
    Router,
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::IntoResponse as _,
    routing::get,
};
use berth_core::{
    Error, OpCtx, Result,
    services::agents::{Admitted, Agent},
};
use berth_tunnel::{
    MAX_MESSAGE, PATH, PROTOCOL,
    pump::{BUFFER, Beat, Frame, carry},
};
use berth_types::ErrorCode;
use futures::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Api,
    caller::bearer,
    problem::{Failure, Reply},
};

/// Its one path.
pub(crate) fn routes() -> Router<Api> {
    Router::new().route(PATH, get(tunnel))
}

async fn proven(api: &Api, token: &SecretString) -> Result<Agent> {
    let agent = api.services().authenticate_agent(token.expose_secret()).await?;
    agent.ok_or_else(|| Error::new(ErrorCode::Unauthenticated, "this is no agent's token, or it was revoked"))
}

async fn tunnel(
    State(api): State<Api>,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Reply {
    let meta = crate::problem::meta(&api, &request);
    let token = bearer(request.headers())?;
    let agent = proven(&api, &token).await?;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([PROTOCOL]),
        Err(rejection) => return Ok(rejection.into_response()),
    };
    if upgrade.selected_protocol().is_none() {
        let message = format!("this portal speaks {PROTOCOL}: take the agent of its version");
        return Err(Failure(Error::new(ErrorCode::Malformed, message)));
    }
    let admitted = api.services().admit_agent(agent)?;
    let ctx = OpCtx::anonymous(api.services().clock().clone(), meta.request_id, meta.network);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| serve(api, ctx, admitted, socket)))
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Binary(bytes) => Frame::Data(bytes),
        Message::Close(_) => Frame::Close,
        Message::Ping(_) | Message::Pong(_) | Message::Text(_) => Frame::Other,
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Data(bytes) => Message::Binary(bytes),
        Frame::Close => Message::Close(None),
        Frame::Ping | Frame::Other => Message::Ping(axum::body::Bytes::new()),
    }
}

async fn serve(api: Api, ctx: OpCtx, admitted: Admitted, socket: WebSocket) {
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.map(|message| message.map(frame));
    let outgoing = outgoing.with(|frame| std::future::ready(Ok::<_, axum::Error>(message(frame))));
    let (near, far) = tokio::io::duplex(BUFFER);
    let carried = carry(incoming, outgoing, far, Beat::default());
    let served = api.services().serve_agent(&ctx, admitted, Box::new(near));
    // When one ends, the other does: they hold the two ends of the same pipe.
    let both = async { tokio::join!(carried, served) };
    let stop = api.options().stop.clone();
    let _: Option<(_, Result<()>)> = stop.run_until_cancelled(both).await;
}
