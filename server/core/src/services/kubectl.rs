//! `kubectl` for members: kubeconfigs, and what is asked with them (docs/adr/0007-kubectl.md).
//!
//! Berth looks at what a request is about, refuses what the role matrix, a halt or a token's scope refuse, and hands the rest on as
//! the person: the cluster's own RBAC has the last word.

use std::{sync::Arc, time::Duration};

use berth_types::{
    Action, AppName, ClusterId, ErrorCode, FieldError, NamespaceName, Resource, TenantName,
    people::{TokenPurpose, TokenScope},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Done, Services, identity::after, tokens::TokenDraft};
use crate::{
    authz::{AppRef, Grant, Impersonation, NamespaceRef, impersonation},
    ctx::{OpCtx, Via},
    error::{Error, Result},
    kube_path::{KubeAsk, RequestInfo},
    kubeconfig::{KubePlace, Kubeconfig},
    ports::{
        cluster::Cluster,
        relay::{KubeBody, KubeReply, KubeRequest},
    },
};

/// Longest that a kubeconfig is good.
pub const KUBECONFIG_HOURS: u32 = 24;
/// Largest object that is looked at before it is written: the API server takes no larger ones.
const MAX_OBJECT: usize = 4 * 1024 * 1024;

/// What was admitted: as whom it is asked, and of which namespace, where it is about one.
struct Admitted {
    who: Impersonation,
    place: Option<Grant<NamespaceRef>>,
}

impl Services {
    /// Makes a kubeconfig for the asking person in a tenant, or in one of its namespaces. One that an API token asks for can do
    /// no more than that token, and ends with it.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` at `hours`, or at `tenant` where there is no namespace yet.
    pub async fn create_kubeconfig(
        &self,
        ctx: &OpCtx,
        tenant: &TenantName,
        namespace: Option<&NamespaceName>,
        hours: u32,
    ) -> Result<Kubeconfig> {
        let work = async {
            let person = self.authz.person(ctx)?;
            let grant = self.authz.tenant(ctx, tenant, Resource::Tenant, Action::Read).await?;
            let mut places = self.authz.visible_namespaces(ctx, &grant).await?;
            if let Some(only) = namespace {
                places.retain(|place| place.name == *only);
                if places.is_empty() {
                    return Err(Error::not_found());
                }
            }
            let mut wrong = Vec::new();
            if !(1..=KUBECONFIG_HOURS).contains(&hours) {
                let message = format!("1 to {KUBECONFIG_HOURS} hours");
                let error = FieldError::new("hours", "number_range", message);
                wrong.push(error.param("min", 1).param("max", KUBECONFIG_HOURS));
            }
            if places.is_empty() {
                let message = "the tenant has no namespace that you see yet: there is nothing for kubectl to reach";
                wrong.push(FieldError::new("tenant", "no_namespaces", message));
            }
            if !wrong.is_empty() {
                return Err(Error::invalid(wrong));
            }
            let mut expires_at = after(ctx.now(), Duration::from_hours(hours.into()));
            let made_by = match person.via {
                Via::Token(id, _) => Some(id),
                _ => None,
            };
            if let Some(maker) = made_by {
                let end = self.store.token_end(person.id, maker).await?.ok_or_else(Error::unauthenticated)?;
                expires_at = expires_at.min(end);
            }
            let scope = TokenScope {
                read_only: person.scope.read_only,
                tenant: Some(tenant.clone()),
                namespace: namespace.or(person.scope.namespace.as_ref()).cloned(),
                actions: person.scope.actions.clone(),
            };
            let mut chance = [0; 4];
            self.random.fill(&mut chance).map_err(Error::internal)?;
            let place = scope.namespace.as_ref().map_or_else(|| tenant.to_string(), |n| format!("{tenant}/{n}"));
            let name = format!("kubectl {place} {:08x}", u32::from_be_bytes(chance));
            let draft = TokenDraft { name: &name, purpose: TokenPurpose::Kubectl, made_by, scope, expires_at };
            let (token, secret) = self.keep_token(ctx, person, draft).await?;
            let detail = json!({ "prefix": token.prefix, "scope": token.scope, "expiresAt": token.expires_at });
            let places = places.iter().map(|place| KubePlace {
                namespace: place.name.clone(),
                cluster: place.cluster.clone(),
                kube_name: place.kube_name.to_string(),
            });
            let places = places.collect();
            let made = Kubeconfig { token, secret, user: person.name.clone(), tenant: tenant.clone(), places };
            Ok(Done::with(made, detail))
        };
        let target = namespace.map_or_else(|| tenant.to_string(), |namespace| format!("{tenant}/{namespace}"));
        self.audited(ctx, "kubeconfig.create", target, Some(tenant), work).await
    }

    /// Whether what was asked for may (still) be asked for: streams ask again and again.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub async fn kubectl_may(&self, ctx: &OpCtx, cluster: &ClusterId, ask: &KubeAsk) -> Result<()> {
        self.admit(ctx, cluster, ask).await.map(drop)
    }

    async fn admit(&self, ctx: &OpCtx, cluster: &ClusterId, ask: &KubeAsk) -> Result<Admitted> {
        let person = self.authz.person(ctx)?;
        if !self.clusters.all().iter().any(|known| known.id() == cluster) {
            return Err(Error::new(ErrorCode::NotFound, format!("there is no cluster “{cluster}”")));
        }
        let user = format!("berth:{}", person.name);
        let refused = |message: String| Err(Error::new(ErrorCode::Forbidden, message));
        match ask {
            KubeAsk::ClusterWide(info) => refused(format!(
                "{}: through Berth you reach namespaces, one at a time (--namespace NAME)",
                info.refusal(&user)
            )),
            KubeAsk::Other(verb, path) => refused(format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"")),
            KubeAsk::Discovery | KubeAsk::SelfReview => {
                let tenant = person.scope.tenant.as_ref().ok_or_else(Error::unauthenticated)?;
                let who = self.authz.everywhere(ctx, tenant).await?;
                Ok(Admitted { who, place: None })
            }
            KubeAsk::Within(info) => {
                let (resource, action) = info.right();
                let place = (cluster, info.namespace.as_str());
                match self.authz.kube_namespace(ctx, place, resource, action).await {
                    // Such a change is made in Berth, by whomever.
                    Ok(place) if place.protected && info.changes() => refused(format!(
                        "{}: {}/{} is protected, and is changed in Berth alone",
                        info.refusal(&user),
                        place.tenant.name,
                        place.name
                    )),
                    Ok(place) => {
                        let who = impersonation(ctx, Some(&place)).ok_or_else(Error::unauthenticated)?;
                        Ok(Admitted { who, place: Some(place) })
                    }
                    // Absent and not theirs to know of: what a cluster says of every namespace that one has no role in.
                    Err(e) if e.code() == ErrorCode::NotFound => refused(info.refusal(&user)),
                    Err(e) if matches!(e.code(), ErrorCode::Forbidden | ErrorCode::Suspended) => {
                        Err(Error::new(e.code(), format!("{}: {}", info.refusal(&user), e.message())))
                    }
                    Err(e) => Err(e),
                }
            }
        }
    }

    /// Hands a request on to a cluster, if the person may. What changes something is in the audit log, with what came of it.
    ///
    /// # Errors
    /// Unauthenticated; forbidden and suspended, in an API server's words; `NotFound` for a cluster that is not there; `Invalid`
    /// for an app that Berth would refuse, too. What the cluster refuses is an answer, not an error.
    pub async fn kubectl(
        &self,
        ctx: &OpCtx,
        cluster: &ClusterId,
        ask: &KubeAsk,
        request: KubeRequest,
    ) -> Result<KubeReply> {
        let info = match ask {
            KubeAsk::Within(info) | KubeAsk::ClusterWide(info) if info.changes() => info,
            _ => {
                let admitted = self.admit(ctx, cluster, ask).await?;
                return self.clusters.get(cluster)?.relay(&admitted.who, request).await;
            }
        };
        let tenant = ctx.person().and_then(|person| person.scope.tenant.clone());
        let detail = detail(cluster, &request);
        let target = target(info, &request.body);
        let mut answered = None;
        let work = async {
            let admitted = self.admit(ctx, cluster, ask).await?;
            let cluster = self.clusters.get(cluster)?;
            if let Some(place) = admitted.place.as_ref().filter(|_| info.writes_app())
                && let Some(refused) = self.try_app(ctx, place, &cluster, &admitted.who, &request).await?
            {
                return Err(failure(answered.insert(refused).status));
            }
            let reply = cluster.relay(&admitted.who, request).await?;
            if reply.status >= 400 {
                return Err(failure(answered.insert(reply).status));
            }
            Ok(Done::with(reply, detail))
        };
        let done = self.audited(ctx, &info.audited_as(), target, tenant.as_ref(), work).await;
        match (done, answered) {
            (Err(_), Some(refused)) => Ok(refused),
            (done, _) => done,
        }
    }

    /// Tries the write of an app, and looks at what would become of it as at one that is written in the portal: its fields, and
    /// whether it takes a host or a name that another app has. What the cluster answers where it refuses.
    async fn try_app(
        &self,
        ctx: &OpCtx,
        place: &Grant<NamespaceRef>,
        cluster: &Arc<dyn Cluster>,
        who: &Impersonation,
        request: &KubeRequest,
    ) -> Result<Option<KubeReply>> {
        let mut tried = request.clone();
        tried.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
        tried.headers.push(("accept".to_owned(), "application/json".to_owned()));
        let pairs = form_urlencoded::parse(request.query.as_bytes());
        let asked: Vec<String> =
            pairs.filter(|(key, _)| key == "dryRun").map(|(_, value)| value.into_owned()).collect();
        // With anything else in it, the cluster refuses the whole.
        if asked != ["All"] {
            let with = if tried.query.is_empty() { "" } else { "&" };
            tried.query = format!("{}{with}dryRun=All", tried.query);
        }
        let KubeReply { status, headers, body } = cluster.relay(who, tried).await?;
        let KubeBody::Stream(mut body) = body else {
            return Err(Error::internal("the write of an app became a stream"));
        };
        let mut bytes = BytesMut::new();
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part?);
            if bytes.len() > MAX_OBJECT {
                return Err(Error::new(ErrorCode::TooLarge, "the app is too large"));
            }
        }
        if !(200..300).contains(&status) {
            let body = stream::once(std::future::ready(Ok(bytes.freeze()))).boxed();
            return Ok(Some(KubeReply { status, headers, body: KubeBody::Stream(body) }));
        }
        let object: Value = serde_json::from_slice(&bytes).map_err(Error::internal)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let name: AppName = name.parse().map_err(|e: berth_types::NameError| {
            Error::field(FieldError::new("metadata.name", e.code(), e.to_string()))
        })?;
        let app = place.clone().map(|namespace| AppRef { namespace, name });
        self.fits(ctx, &app, cluster, &object["spec"]).await?;
        Ok(None)
    }
}

/// What the audit log says of an answer.
fn failure(status: u16) -> Error {
    let code = match status {
        401 | 403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        409 => ErrorCode::Conflict,
        500.. => ErrorCode::ClusterUnavailable,
        _ => ErrorCode::ClusterRefused,
    };
    Error::new(code, format!("the cluster answered {status}"))
}

/// `shop-dev/apps.berth.dev/web`, with what is below the object. Of one that is made, the name stands in it.
fn target(info: &RequestInfo, body: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Named {
        metadata: Meta,
    }
    #[derive(serde::Deserialize)]
    struct Meta {
        name: String,
    }
    let mut target = format!("{}/{}", info.namespace, info.qualified());
    let named = || serde_json::from_slice::<Named>(body).ok().map(|named| named.metadata.name);
    let name = if info.name.is_empty() { named().unwrap_or_default() } else { info.name.clone() };
    for part in [name, info.subresource.clone()].iter().filter(|part| !part.is_empty()) {
        target = format!("{target}/{part}");
    }
    target.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What else the audit log has: the cluster, which container and command, and whether it was a trial.
fn detail(cluster: &ClusterId, request: &KubeRequest) -> Value {
    let mut detail = json!({ "cluster": cluster });
    let mut command = Vec::new();
    for (key, value) in form_urlencoded::parse(request.query.as_bytes()) {
        match &*key {
            "command" => command.push(value.into_owned()),
            "container" => detail["container"] = value.into(),
            "dryRun" => detail["dryRun"] = true.into(),
            _ => {}
        }
    }
    if !command.is_empty() {
        detail["command"] = command.into();
    }
    detail
}
