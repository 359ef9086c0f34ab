//! The HTTP front door: authentication, routing, content negotiation.

mod auth;
mod body;
mod discovery;
mod eviction;
mod negotiate;
mod patch_scale;
mod read;
mod request;
mod reviews;
mod selector;
mod spdy;
mod stream;
mod subresource;
mod tokens;
mod tunnel;
mod upgrade;
mod watching;
mod write;

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;

pub(crate) use body::json_type;
pub use discovery::compare_versions;
pub use selector::Selector;
pub use tokens::Tokens;
pub(crate) use write::go_print;

use crate::{
    cluster::{Caller, Cluster},
    hooks::UserInfo,
    registry::{ResourceType, Version},
    status::{Result, Status},
};
use negotiate::Accept;
use request::{Query, RequestInfo};

/// The largest request body that is read (etcd's limit is 1.5 MiB; the API server reads 3 MiB).
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Everything that a request needs.
#[derive(Clone)]
pub struct Api {
    /// The cluster that is served.
    pub cluster: Cluster,
    /// Who is who.
    pub tokens: Arc<Tokens>,
}

/// One request, authenticated and taken apart.
pub(crate) struct Context {
    pub api: Api,
    pub info: RequestInfo,
    pub query: Query,
    pub user: UserInfo,
    pub accept: Accept,
    pub headers: http::HeaderMap,
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl Context {
    /// The resource and version that the path names.
    pub fn resource(&self) -> Result<(Arc<ResourceType>, Version)> {
        let info = &self.info;
        let resource = self
            .api
            .cluster
            .registry
            .find(&info.group, &info.version, &info.resource)
            .ok_or_else(|| self.unknown_resource())?;
        let version = resource.version(&info.version).cloned().ok_or_else(Status::no_such_resource)?;
        Ok((resource, version))
    }

    /// 404; plain text where not even the group is known, 405 for what only takes other methods.
    fn unknown_resource(&self) -> Status {
        let info = &self.info;
        let known =
            info.group.is_empty() || self.api.cluster.registry.all().iter().any(|own| own.id.group == info.group);
        match (known, info.group.as_str(), info.resource.as_str()) {
            (false, ..) => Status::no_such_page(),
            (true, "", "bindings" | "componentstatuses") if info.version == "v1" => Status::method_not_supported(),
            _ => Status::no_such_resource(),
        }
    }

    /// The name that fields set by this request are managed under.
    pub fn manager(&self) -> String {
        let asked = self.query.get("fieldManager");
        if !asked.is_empty() {
            return asked.to_owned();
        }
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        match agent.map(|agent| agent.split('/').next().unwrap_or_default()) {
            Some(prefix) if !prefix.is_empty() => prefix.chars().take(128).collect(),
            _ => "unknown".into(),
        }
    }

    /// A handle that writes as the caller.
    pub fn cluster(&self) -> Cluster {
        self.api.cluster.with_caller(Caller {
            user: self.user.clone(),
            manager: self.manager(),
            dry_run: self.query.all("dryRun").iter().any(|value| value == "All"),
            warnings: self.warnings.clone(),
        })
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().push(text.into());
    }
}

impl Api {
    /// The service for requests that come over the network: they must carry credentials.
    pub fn router(&self) -> Router {
        self.router_for(None)
    }

    /// A service whose requests speak for `user` unless they carry credentials of their own.
    pub fn router_as(&self, user: UserInfo) -> Router {
        upgrade::in_process(self.router_for(Some(user)))
    }

    fn router_for(&self, user: Option<UserInfo>) -> Router {
        let api = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let api = api.clone();
            let user = user.clone();
            async move { api.answer(request, user).await }
        })
    }

    async fn answer(&self, request: Request<Body>, user: Option<UserInfo>) -> Response<Body> {
        let warnings = Arc::<Mutex<Vec<String>>>::default();
        let head_only = request.method() == Method::HEAD;
        let mut response = match self.handle(request, user, warnings.clone()).await {
            Ok(response) => response,
            Err(status) => negotiate::status_response(&status),
        };
        for warning in warnings.lock().iter() {
            let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
                response.headers_mut().append("warning", value);
            }
        }
        response.headers_mut().insert("cache-control", HeaderValue::from_static("no-cache, private"));
        if head_only {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn handle(
        &self,
        request: Request<Body>,
        default_user: Option<UserInfo>,
        warnings: Arc<Mutex<Vec<String>>>,
    ) -> Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query);
        let user = auth::authenticate(self, &parts.headers, default_user)?;
        let user = auth::impersonate(self, &parts.headers, user)?;
        let accept = Accept::parse(parts.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()));
        let cx = Context { api: self.clone(), info, query, user, accept, headers: parts.headers.clone(), warnings };
        auth::authorize(&cx)?;
        if let Some(refused) = cx.accept.refused() {
            return Err(refused);
        }
        if !cx.info.is_resource {
            return discovery::serve(&cx);
        }
        if subresource::upgrades(&cx) {
            return subresource::connect(cx, Request::from_parts(parts, body)).await;
        }
        let read = http_body_util::Limited::new(body, MAX_BODY);
        let bytes = read.collect().await.map_err(|error| {
            if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() {
                Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
            } else {
                Status::bad_request("the request body could not be read")
            }
        })?;
        self.resource_request(&cx, &bytes.to_bytes()).await
    }

    async fn resource_request(&self, cx: &Context, body: &bytes::Bytes) -> Result<Response<Body>> {
        if let Some(answer) = reviews::serve(cx, body) {
            return answer;
        }
        let (resource, version) = cx.resource()?;
        if let Some(warning) = version.custom.as_ref().and_then(|custom| custom.warning.clone()) {
            cx.warn(warning);
        }
        if resource.id.group.is_empty() && resource.id.resource == "endpoints" {
            cx.warn("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
        }
        if resource.namespaced && cx.info.namespace.is_empty() && !matches!(cx.info.verb, "list" | "watch") {
            return Err(Status::no_such_resource());
        }
        // A collection and an object each take their own methods.
        let misplaced = match cx.info.verb {
            "create" => !cx.info.name.is_empty(),
            "update" | "patch" => cx.info.name.is_empty(),
            _ => false,
        };
        if misplaced && cx.info.subresource.is_empty() {
            return Err(Status::method_not_supported());
        }
        let include = cx.query.get("includeObject");
        if cx.accept.shape == negotiate::Shape::Table && !matches!(include, "" | "Metadata" | "Object" | "None") {
            return Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {include:?}: must be 'Metadata', 'Object', 'None', or empty"
            )));
        }
        let response = if cx.info.subresource.is_empty() {
            match cx.info.verb {
                "get" => read::get(cx, &resource, &version)?,
                "list" => read::list(cx, &resource, &version)?,
                "watch" => watching::watch(cx, &resource, &version)?,
                "create" => write::create(cx, &resource, &version, body)?,
                "update" => write::update(cx, &resource, &version, body)?,
                "patch" => write::patch(cx, &resource, &version, body)?,
                "delete" => write::delete(cx, &resource, &version, body)?,
                "deletecollection" => write::delete_collection(cx, &resource, &version, body)?,
                _ => return Err(Status::method_not_supported()),
            }
        } else {
            subresource::serve(cx, &resource, &version, body).await?
        };
        if !matches!(cx.info.verb, "get" | "list" | "watch") {
            // Whatever this request wrote is at or before the present revision.
            self.cluster.store.durable(self.cluster.store.revision()).await;
        }
        Ok(response)
    }
}
