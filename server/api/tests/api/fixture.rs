//! A platform with a few people, tenants and apps, and a client.

use std::{collections::HashMap, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use berth_api::Options;
use berth_core::{
    authz::{AppRef, Grant, NamespaceRef, TenantRef},
    ports::cluster::Cluster as _,
    testing::{World, app_of},
};
use berth_types::{PlatformRole, TenantRole};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub const APPS: &str = "/api/v1/tenants/shop/namespaces/prod/apps";
pub const CHECKOUT: &str = "/api/v1/tenants/shop/namespaces/prod/apps/checkout";
pub const PODS: &str = "/api/v1/tenants/shop/namespaces/prod/pods";
/// A pod of `checkout`, as the fake cluster names it.
pub const POD: &str = "checkout-5d4f8c7b9-00000";

/// The platform.
///
/// Tenant `shop` has namespaces `prod` (with the settled app `checkout`, two revisions) and `staging`; tenant `other` has
/// nothing. People: `owner`, `developer` and `viewer` of `shop`, `outsider` (owner of `other`), `root` (platform admin),
/// `auditor`.
pub struct Site {
    pub world: World,
    pub router: Router,
    pub shop: TenantRef,
    pub other: TenantRef,
    pub prod: NamespaceRef,
    tokens: HashMap<String, String>,
}

pub fn spec(image: &str) -> Value {
    json!({ "components": [{ "name": "main", "image": image, "replicas": 2 }] })
}

impl Site {
    pub async fn new() -> Self {
        let public_url = Some("https://berth.example.com".to_owned());
        Self::with(Options { public_url, ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        let world = World::new();
        world.person("root", Some(PlatformRole::Admin)).await;
        world.person("auditor", Some(PlatformRole::Auditor)).await;
        for name in ["owner", "developer", "viewer", "outsider"] {
            world.person(name, None).await;
        }
        let members =
            [("owner", TenantRole::Owner), ("developer", TenantRole::Developer), ("viewer", TenantRole::Viewer)];
        let shop = world.tenant("shop", &members).await;
        let other = world.tenant("other", &[("outsider", TenantRole::Owner)]).await;
        let prod = world.namespace(&shop, "prod").await;
        world.namespace(&shop, "staging").await;
        let mut tokens = HashMap::new();
        for name in ["root", "auditor", "owner", "developer", "viewer", "outsider"] {
            tokens.insert(name.to_owned(), world.token(name).await);
        }
        let router = berth_api::router(world.services.clone(), options.clone())
            .merge(berth_api::kubectl_router(world.services.clone(), options.clone()))
            .merge(berth_api::agent_router(world.services.clone(), options));
        let site = Self { world, router, shop, other, prod, tokens };
        let (ctx, app) = (site.world.ctx("developer").await, site.checkout());
        site.world.cluster.create_app(&ctx, &app, &spec("example.com/checkout:1")).await.unwrap();
        site.world.cluster.replace_app(&ctx, &app, &spec("example.com/checkout:2"), None).await.unwrap();
        site.world.cluster.settle(&app);
        site
    }

    pub fn checkout(&self) -> Grant<AppRef> {
        app_of(&self.prod, "checkout")
    }

    pub fn token(&self, who: &str) -> &str {
        &self.tokens[who]
    }

    /// A request of `who` (nobody when empty).
    pub fn ask(&self, who: &str, method: &str, uri: &str) -> Ask {
        let mut ask = Ask {
            router: self.router.clone(),
            method: method.parse().unwrap(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        if !who.is_empty() {
            ask = ask.header("authorization", &format!("Bearer {}", self.token(who)));
        }
        ask
    }

    /// A GET that must succeed, as JSON.
    pub async fn get(&self, who: &str, uri: &str) -> Value {
        let answer = self.ask(who, "GET", uri).send().await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
        answer.json()
    }
}

/// A request to be.
pub struct Ask {
    router: Router,
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub fn raw(mut self, kind: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub async fn open(self) -> axum::response::Response {
        let mut request = Request::builder().method(self.method).uri(self.uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        self.router.oneshot(request.body(Body::from(self.body)).unwrap()).await.unwrap()
    }

    pub async fn send(self) -> Answer {
        let (parts, body) = self.open().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer, whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem it must be: its code, and the fields it names.
    pub fn problem(&self) -> (String, Vec<String>) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert!(!problem["requestId"].as_str().unwrap().is_empty(), "{problem}");
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("https://berth.dev/problems/{code}"));
        let fields = problem["errors"].as_array().into_iter().flatten();
        (code, fields.map(|field| field["field"].as_str().unwrap().to_owned()).collect())
    }
}

/// Events of a stream, read while the world's clock runs.
pub struct Events {
    body: Body,
    text: String,
}

impl Events {
    pub async fn open(ask: Ask) -> Self {
        let response = ask.header("accept", "text/event-stream").open().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next block of the stream, moving the clock on as long as nothing comes; `None` at its end.
    async fn block(&mut self, world: &World) -> Option<String> {
        for _ in 0..20_000 {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            tokio::select! {
                biased;
                frame = self.body.frame() => match frame {
                    Some(frame) => self.text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap()),
                    None => return None,
                },
                () = tokio::task::yield_now() => world.clock.advance(Duration::from_millis(10)),
            }
        }
        panic!("nothing came in 200 s");
    }

    /// The next event: its name and data. Comments are passed over.
    pub async fn next(&mut self, world: &World) -> Option<(String, Value)> {
        loop {
            let block = self.block(world).await?;
            if block.starts_with(':') {
                continue;
            }
            let (name, data) = block.split_once("\ndata: ").unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            return Some((name, serde_json::from_str(data).unwrap()));
        }
    }

    /// Whether the next thing that comes is a comment.
    pub async fn comment(&mut self, world: &World) -> bool {
        self.block(world).await.unwrap().starts_with(':')
    }

    /// The next event, which must be called `name`.
    pub async fn expect(&mut self, world: &World, name: &str) -> Value {
        let (got, data) = self.next(world).await.expect("the stream goes on");
        assert_eq!(got, name, "{data}");
        data
    }
}
