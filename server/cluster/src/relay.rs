//! Requests of people that are handed on as they came, in their name.

use std::time::Duration;

use berth_core::{
    Error, Result,
    authz::Impersonation,
    ports::relay::{KubeBody, KubeReply, KubeRequest},
};
use berth_types::ErrorCode;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use kube::client::Body;

use crate::{
    KubeCluster,
    error::{Target, from_kube, unavailable},
    rest::bounded,
};

/// How long the head of an answer may take: an API server gives up after a minute by itself.
const HEAD_TIME: Duration = Duration::from_secs(65);

impl KubeCluster {
    pub(crate) async fn hand_on(&self, who: &Impersonation, request: KubeRequest) -> Result<KubeReply> {
        let method: Method = request.method.parse().map_err(Error::internal)?;
        // Writes are few at a time; what only looks is bounded by whoever lets it in.
        let _permit = if matches!(method, Method::GET | Method::HEAD) { None } else { Some(self.permit()?) };
        let client = self.connection.impersonated(who)?;
        let limit = if request.patient { Duration::MAX } else { HEAD_TIME };
        let answer = bounded(limit, client.send(build(method, request)?)).await?;
        let answer = answer.map_err(|e| from_kube(e, &Target::new("the request", "")))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            // Not about the person, who has proven who they are.
            let message = "the cluster does not take Berth's own credentials";
            return Err(Error::new(ErrorCode::ClusterUnavailable, message));
        }
        let headers = answer.headers().iter();
        let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let headers = headers.collect();
        let body = if status == StatusCode::SWITCHING_PROTOCOLS {
            let upgraded = hyper::upgrade::on(answer).await.map_err(unavailable)?;
            KubeBody::Upgraded(Box::new(TokioIo::new(upgraded)))
        } else {
            KubeBody::Stream(answer.into_body().into_data_stream().map_err(unavailable).boxed())
        };
        Ok(KubeReply { status: status.as_u16(), headers, body })
    }
}

fn build(method: Method, request: KubeRequest) -> Result<Request<Body>> {
    let uri = if request.query.is_empty() { request.path } else { format!("{}?{}", request.path, request.query) };
    let mut built = Request::builder().method(method).uri(uri);
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    built.body(Body::from(request.body)).map_err(Error::internal)
}
