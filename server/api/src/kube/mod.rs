//! `/k8s/{cluster}/…`: a cluster's own API for `kubectl`, as the person whose kubeconfig it is (docs/adr/0007-kubectl.md).
//!
//! What is asked is read by `berth_core::kube_path` and decided by `Services::kubectl`; here it is carried. Streams (watches,
//! followed logs, `exec`, `attach`, `port-forward`) are carried until one of both ends them, or a right is gone.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
    routing::any,
};
use berth_core::{
    Error, OpCtx, RequestMeta, Result,
    kube_path::{self, KubeAsk},
    ports::relay::{Duplex, KubeBody, KubeReply, KubeRequest},
    recheck,
};
use berth_types::{ClusterId, ErrorCode, people::TokenPurpose};
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tracing::Instrument as _;

use crate::{Api, caller::bearer, streams::Place};

mod headers;
mod status;

/// Largest body that is read, as the API server has it.
const MAX_BODY: usize = 3 * 1024 * 1024;
/// A body that takes longer to arrive is not waited for.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bytes that wait each way in a stream.
const BUFFER: usize = 32 * 1024;

/// The paths below `/k8s`.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/k8s/{cluster}", any(serve))
        .route("/k8s/{cluster}/", any(serve))
        .route("/k8s/{cluster}/{*path}", any(serve))
}

/// Who asks, and for what: asked again as long as a stream lasts.
#[derive(Clone)]
struct Asker {
    api: Api,
    ctx: OpCtx,
    token: SecretString,
    cluster: ClusterId,
    ask: KubeAsk,
}

impl Asker {
    /// The same, proven (again): the token may have been revoked, the roles changed.
    async fn proven(&self) -> Result<OpCtx> {
        prove(&self.api, &self.ctx, &self.token).await
    }

    /// Waits until a stream must end: the server stops, the token or a right is gone, or nobody can say.
    async fn gone(self) {
        let may = || async {
            let ctx = self.proven().await?;
            self.api.services().kubectl_may(&ctx, &self.cluster, &self.ask).await.map(drop)
        };
        tokio::select! {
            () = self.api.options().stop.cancelled() => {}
            _ = recheck::until_refused(&*self.ctx.clock, may) => {}
        }
    }
}

async fn prove(api: &Api, ctx: &OpCtx, token: &SecretString) -> Result<OpCtx> {
    let services = api.services();
    let person = services.authenticate_for(TokenPurpose::Kubectl, ctx.now(), token.expose_secret()).await?;
    let ended =
        || Error::new(ErrorCode::Unauthenticated, "the kubeconfig has ended or was revoked: make another in Berth");
    Ok(services.as_person(ctx, person.ok_or_else(ended)?))
}

async fn serve(State(api): State<Api>, request: Request) -> Response {
    let head = request.method() == axum::http::Method::HEAD;
    let meta = meta(&request);
    let what = format!("{} {}", request.method(), request.uri().path());
    let mut response = match answer(api, request, &meta).await {
        Ok(response) => response,
        Err(error) => {
            crate::problem::note(&error, &what, &meta.request_id);
            status::refusal(&error)
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // nginx would hold watches back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

/// What an outer layer knows of the request.
fn meta(request: &Request) -> RequestMeta {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    request.extensions().get::<RequestMeta>().cloned().unwrap_or_else(|| RequestMeta {
        request_id: format!("kubectl-{:x}", NEXT.fetch_add(1, Ordering::Relaxed)).into(),
        network: "".into(),
    })
}

async fn answer(api: Api, mut request: Request, meta: &RequestMeta) -> Result<Response> {
    let clock = api.services().clock().clone();
    let ctx = OpCtx::anonymous(clock, Arc::clone(&meta.request_id), Arc::clone(&meta.network));
    let token = bearer(request.headers())?;
    let ctx = prove(&api, &ctx, &token).await?;
    let (cluster, path) = split(request.uri().path())?;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let ask = kube_path::read(request.method().as_str(), &path, &query)?;
    let person = ctx.person().ok_or_else(Error::unauthenticated)?.id;
    let place = api.streams().take(person)?;

    let upgrades = matches!(&ask, KubeAsk::Within(info) if info.upgrades());
    let patient = matches!(&ask, KubeAsk::Within(info) if info.goes_on());
    let upgrade = if upgrades && request.headers().contains_key(header::UPGRADE) {
        request.extensions_mut().remove::<OnUpgrade>()
    } else {
        None
    };
    let sent = KubeRequest {
        method: request.method().to_string(),
        path,
        query,
        headers: headers::inwards(request.headers(), upgrade.is_some()),
        body: if upgrade.is_some() { Bytes::new() } else { read(request.into_body()).await? },
        patient,
    };
    let asker = Asker { api: api.clone(), ctx, token, cluster, ask };
    let reply = ask_cluster(&asker, sent).await?;
    Ok(carry(asker, reply, upgrade, place))
}

/// The cluster, and the path as it sees it. Neither is decoded: what is escaped is refused later.
fn split(path: &str) -> Result<(ClusterId, String)> {
    let rest = path.strip_prefix("/k8s/").ok_or_else(Error::not_found)?;
    let (cluster, path) = rest.split_once('/').unwrap_or((rest, ""));
    let cluster = cluster.parse().map_err(|_| Error::new(ErrorCode::NotFound, "there is no cluster of that name"))?;
    Ok((cluster, format!("/{path}")))
}

async fn read(body: Body) -> Result<Bytes> {
    let whole = tokio::time::timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await;
    let whole = whole.map_err(|_| Error::new(ErrorCode::Timeout, "the body did not arrive in time"))?;
    match whole {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(Error::new(ErrorCode::TooLarge, format!("the body is larger than {} MiB", MAX_BODY / 1024 / 1024)))
        }
        Err(e) => Err(Error::new(ErrorCode::Malformed, "the body did not arrive whole").caused_by(e)),
    }
}

/// Asks. What changes something goes on to its end even when its client is gone, so that what came of it is written down.
async fn ask_cluster(asker: &Asker, sent: KubeRequest) -> Result<KubeReply> {
    let changes = matches!(&asker.ask, KubeAsk::Within(info) if info.changes());
    let patient = sent.patient;
    let ended = asker.clone().gone();
    let asker = asker.clone();
    let work = async move { asker.api.services().kubectl(&asker.ctx, &asker.cluster, &asker.ask, sent).await };
    if changes {
        return tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?;
    }
    tokio::select! {
        reply = work => reply,
        // What waits for its first words is a stream already.
        () = ended, if patient => Err(Error::new(ErrorCode::Unauthenticated, "what you began has ended: its right is gone")),
    }
}

/// The answer on its way to the client, ended when it must be; it takes its place among streams as long as it lasts.
fn carry(asker: Asker, reply: KubeReply, upgrade: Option<OnUpgrade>, place: Place) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let passed = headers::outwards(&reply.headers, status == StatusCode::SWITCHING_PROTOCOLS);
    let body = match (reply.body, upgrade) {
        (KubeBody::Stream(stream), _) => {
            let ended = Box::pin(asker.gone());
            Body::from_stream(stream.take_until(ended).inspect(move |_| {
                // Held as long as the stream is.
                let _ = &place;
            }))
        }
        (KubeBody::Upgraded(far), Some(near)) => {
            tokio::spawn(tunnel(asker, near, far, place).in_current_span());
            Body::empty()
        }
        (KubeBody::Upgraded(_), None) => {
            return status::refusal(&Error::internal("the cluster made a stream of what was none"));
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = passed;
    response
}

/// Bytes both ways until one end closes, or the right is gone.
async fn tunnel(asker: Asker, near: OnUpgrade, mut far: Box<dyn Duplex>, place: Place) {
    let gone = pin!(asker.gone());
    let carried = async {
        let near = match near.await {
            Ok(near) => near,
            Err(e) => return tracing::debug!(error = %e, "a stream of kubectl did not begin"),
        };
        let mut near = TokioIo::new(near);
        let copied = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER);
        if let Err(e) = copied.await {
            tracing::debug!(error = %e, "a stream of kubectl broke");
        }
    };
    tokio::select! {
        () = carried => {}
        () = gone => tracing::info!("a stream of kubectl was ended: its right is gone"),
    }
    drop(place);
}

/// A header's value, where it is text.
fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}
