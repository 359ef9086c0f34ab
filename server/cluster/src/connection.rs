//! Who Berth is in a cluster, and how it acts as a person.
//!
//! Three identities (design.md, rule 11): the *reader* fills the cache and cannot read Secrets; the *controller* makes what
//! Apps want; the *writer* may do nothing but impersonate. A person's call carries their user and groups in headers, so that
//! the cluster's own RBAC has the last word.

use std::{fmt::Display, path::Path, time::Duration};

use berth_core::{
    Error, OpCtx, Result,
    authz::{Impersonation, NamespaceRef, impersonation},
    ctx::Actor,
};
use berth_tunnel::{mux::Opener, words::Access};
use berth_types::ErrorCode;
use http::{HeaderName, HeaderValue, Request};
use hyper_util::rt::TokioExecutor;
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::{
    agents::Connector,
    error::{causes, unavailable},
    identities,
    rest::Rest,
};

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
const IMPERSONATE_GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Clients for one cluster, one an identity.
#[derive(Clone)]
pub struct Connection {
    /// Lists and watches; no Secrets, no logs.
    pub reader: Client,
    /// Reads Helm's release Secrets, where releases are wanted.
    pub releases: Option<Client>,
    /// Makes and removes what Apps want; keeps namespaces and roles.
    pub controller: Client,
    /// Impersonates people, nothing else.
    pub writer: Client,
}

impl Connection {
    /// One identity for all: a developer's own cluster, or a test.
    #[must_use]
    pub fn single(client: Client) -> Self {
        Self { reader: client.clone(), releases: Some(client.clone()), controller: client.clone(), writer: client }
    }

    /// From a kubeconfig file. Contexts called `berth-reader`, `berth-releases`, `berth-controller` and `berth-writer` are
    /// used for what their names say; where one is missing, the current context stands in.
    ///
    /// # Errors
    /// `Invalid` when the file cannot be read or used.
    pub async fn from_kubeconfig(path: &Path) -> Result<Self> {
        Self::of(read(path)?, &path.display(), None).await
    }

    /// The same from a text that [`berth_core::access_file`] has taken.
    ///
    /// # Errors
    /// `Invalid` when it cannot be used.
    pub async fn from_text(text: &str) -> Result<Self> {
        let place = "the kubeconfig";
        berth_core::access_file::read(text)?;
        // Made of the very values that were looked at: another parser might read another file.
        let file: Kubeconfig = berth_core::yaml::typed("kubeconfig", &berth_core::yaml::parse(text)?)?;
        Self::of(file, &place, None).await
    }

    /// The same through a tunnel, as its agent says.
    ///
    /// # Errors
    /// As [`Self::from_text`].
    pub(crate) async fn through(access: &Access, tunnel: &Opener) -> Result<Self> {
        let place = "the agent's kubeconfig";
        berth_core::access_file::read(&access.kubeconfig)?;
        let file: Kubeconfig = berth_core::yaml::typed("kubeconfig", &berth_core::yaml::parse(&access.kubeconfig)?)?;
        let Some(prefix) = &access.identities else { return Self::of(file, &place, Some(tunnel)).await };
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(unusable(&place, "identities are called by a-z, 0-9 and -"));
        }
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await.map_err(|e| unusable(&place, causes(&e)))?;
        Self::by_accounts(config, prefix, Some(tunnel)).map_err(|e| unusable(&place, causes(&e)))
    }

    async fn of(file: Kubeconfig, place: &impl Display, tunnel: Option<&Opener>) -> Result<Self> {
        let identity = async |context: &str| -> Result<Client> {
            let named = file.contexts.iter().any(|c| c.name == context).then(|| context.to_owned());
            knows_user(&file, named.as_ref()).map_err(|why| unusable(place, why))?;
            open(place, file.clone(), named, tunnel).await
        };
        Ok(Self {
            reader: identity("berth-reader").await?,
            releases: Some(identity("berth-releases").await?),
            controller: identity("berth-controller").await?,
            writer: identity("berth-writer").await?,
        })
    }

    /// The kubeconfig's current context: whoever calls us, not one of Berth's identities.
    ///
    /// # Errors
    /// As [`Self::from_kubeconfig`].
    pub async fn caller(path: &Path) -> Result<Client> {
        open(&path.display(), read(path)?, None, None).await
    }

    /// In a pod. With a `prefix`, the identities are the service accounts `{prefix}-reader`, `{prefix}-releases`,
    /// `{prefix}-controller` and `{prefix}-writer` of the pod's namespace, for whose tokens the pod's own account asks; without
    /// one, they are all the pod's own account.
    ///
    /// # Errors
    /// `ClusterUnavailable` outside of a cluster.
    pub fn in_cluster(prefix: Option<&str>) -> Result<Self> {
        let config = Config::incluster().map_err(unavailable)?;
        match prefix {
            None => Ok(Self::single(client(config, None).map_err(unavailable)?)),
            Some(prefix) => Self::by_accounts(config, prefix, None).map_err(unavailable),
        }
    }

    fn by_accounts(config: Config, prefix: &str, tunnel: Option<&Opener>) -> Result<Self, kube::Error> {
        let own = client(config.clone(), tunnel)?;
        let mut bare = config;
        bare.auth_info = AuthInfo::default();
        let nobody = client(bare, tunnel)?;
        let identity = |name: &str| identities::client(&own, &nobody, format!("{prefix}-{name}"));
        Ok(Self {
            reader: identity("reader"),
            releases: Some(identity("releases")),
            controller: identity("controller"),
            writer: identity("writer"),
        })
    }

    /// A client that acts as `who`.
    ///
    /// # Errors
    /// `Forbidden` when there is no user or no group: such a call would be made with Berth's own rights.
    pub fn impersonated(&self, who: &Impersonation) -> Result<Client> {
        let refused = || Error::new(ErrorCode::Forbidden, "you hold no role that the cluster knows");
        let groups: Vec<HeaderValue> =
            who.groups.iter().map(|g| header(g)).collect::<Option<_>>().ok_or_else(refused)?;
        let user = header(&who.user).ok_or_else(refused)?;
        if groups.is_empty() {
            return Err(refused());
        }
        let base = self.writer.clone();
        let namespace = base.default_namespace().to_owned();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let headers = request.headers_mut();
            headers.insert(IMPERSONATE_USER, user.clone());
            headers.remove(IMPERSONATE_GROUP);
            for group in &groups {
                headers.append(IMPERSONATE_GROUP, group.clone());
            }
            let base = base.clone();
            async move { base.send(request).await }
        });
        Ok(Client::new(service, namespace))
    }

    /// A client that acts as the actor of `ctx` in `namespace`: the person, or the controller for Berth itself.
    ///
    /// # Errors
    /// Unauthenticated for nobody; as [`Self::impersonated`].
    pub(crate) fn acting(&self, ctx: &OpCtx, namespace: &NamespaceRef) -> Result<Rest> {
        self.acting_on(ctx, Some(namespace))
    }

    /// The same on what belongs to the whole cluster, where there is no namespace.
    ///
    /// # Errors
    /// As [`Self::acting`].
    pub(crate) fn acting_on(&self, ctx: &OpCtx, namespace: Option<&NamespaceRef>) -> Result<Rest> {
        match ctx.actor {
            Actor::System(_) => Ok(Rest::new(self.controller.clone())),
            Actor::Anonymous => Err(Error::unauthenticated()),
            Actor::Person(_) => {
                let who = impersonation(ctx, namespace).ok_or_else(Error::unauthenticated)?;
                Ok(Rest::new(self.impersonated(&who)?))
            }
        }
    }
}

fn unusable(place: &impl Display, why: impl Display) -> Error {
    let message = format!("{place} cannot be used: {why}");
    Error::field(berth_types::FieldError::new("kubeconfig", "unusable", message))
}

fn read(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map_err(|e| match e {
        // Its own words name the file once more.
        KubeconfigError::ReadConfig(e, _) => unusable(&path.display(), e),
        e => unusable(&path.display(), causes(&e)),
    })
}

/// A client as a context says, the current one where none is named.
async fn open(
    place: &impl Display,
    file: Kubeconfig,
    context: Option<String>,
    tunnel: Option<&Opener>,
) -> Result<Client> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await.map_err(|e| unusable(place, causes(&e)))?;
    client(config, tunnel).map_err(|e| unusable(place, causes(&e)))
}

/// Refuses a context (the current one where none is named) whose user the file does not have: the library would go on as
/// nobody, as kubectl does, and the cluster's answer would speak of credentials.
fn knows_user(file: &Kubeconfig, context: Option<&String>) -> Result<(), String> {
    let Some(name) = context.or(file.current_context.as_ref()) else { return Ok(()) };
    let context = file.contexts.iter().find(|c| c.name == *name).and_then(|c| c.context.as_ref());
    let user = context.and_then(|c| c.user.as_deref()).filter(|user| !user.is_empty());
    match user {
        Some(user) if file.auth_infos.iter().all(|known| known.name != user) => {
            Err(format!("its context “{name}” is for the user “{user}”, which it does not have"))
        }
        _ => Ok(()),
    }
}

fn header(text: &str) -> Option<HeaderValue> {
    let text = text.trim();
    if text.is_empty() { None } else { HeaderValue::from_str(text).ok() }
}

/// Retrying is ours to decide: a write is never repeated behind its caller's back, and a cluster that is down is told within
/// seconds.
fn client(mut config: Config, tunnel: Option<&Opener>) -> Result<Client, kube::Error> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    let Some(tunnel) = tunnel else { return Client::try_from(config) };
    let connector = config.rustls_https_connector_with_connector(Connector(tunnel.clone()))?;
    let service = tower::ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(tower::BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use http::Response;
    use parking_lot::Mutex;

    use super::*;

    /// A connection to a cluster that notes the headers it gets.
    fn recording() -> (Connection, Arc<Mutex<Vec<http::HeaderMap>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            log.lock().push(request.headers().clone());
            async { Ok::<_, Infallible>(Response::new(Body::from(b"{}".to_vec()))) }
        });
        (Connection::single(Client::new(service, "default")), seen)
    }

    #[test]
    fn a_context_without_its_user_is_told() {
        let file = |user: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: ann, user: {{token: t}}}}],
                  contexts: [{{name: a, context: {{cluster: c, user: {user}}}}}, {{name: b, context: {{cluster: c}}}}]}}"
            );
            Kubeconfig::from_yaml(&text).expect("a kubeconfig")
        };
        for (user, context, known) in [
            ("ann", None, true),
            ("bob", None, false),
            ("bob", Some("a"), false),
            ("bob", Some("b"), true),
            ("\"\"", None, true),
            ("bob", Some("missing"), true),
        ] {
            let got = knows_user(&file(user), context.map(str::to_owned).as_ref());
            assert_eq!(got.is_ok(), known, "{user} {context:?}: {got:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_once() {
        let error = read(Path::new("/nowhere/config")).expect_err("no file");
        assert_eq!(error.to_string().matches("/nowhere/config").count(), 1, "{error}");
    }

    #[tokio::test]
    async fn acts_as_the_person() {
        let (connection, seen) = recording();
        let who =
            Impersonation { user: "berth:ada".into(), groups: vec!["berth:tenant:shop:viewer".into(), "g2".into()] };
        let client = connection.impersonated(&who).expect("a client");
        let request = crate::rest::get("/version").expect("a request");
        client.request::<serde_json::Value>(request).await.expect("an answer");
        let headers = seen.lock().pop().expect("one request");
        assert_eq!(headers.get("impersonate-user").map(HeaderValue::as_bytes), Some(&b"berth:ada"[..]));
        let groups: Vec<&[u8]> = headers.get_all("impersonate-group").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(groups, [&b"berth:tenant:shop:viewer"[..], b"g2"]);
    }

    #[tokio::test]
    async fn never_as_nobody() {
        let (connection, seen) = recording();
        for (user, groups) in
            [("", vec!["g"]), ("berth:ada", vec![]), ("berth:ada", vec!["g", " "]), ("a\nb", vec!["g"])]
        {
            let who = Impersonation { user: user.into(), groups: groups.into_iter().map(str::to_owned).collect() };
            let error = connection.impersonated(&who).err().expect("a refusal");
            assert_eq!(error.code(), ErrorCode::Forbidden, "{who:?}");
        }
        assert!(seen.lock().is_empty());
    }
}
