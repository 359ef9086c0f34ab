//! Every operation of the OpenAPI document, asked by everybody, answers exactly as the role matrix says. An operation
//! without a case fails the test; so does a case without an operation.

use std::{collections::BTreeMap, time::Duration};

use berth_core::{
    authz::{
        Grant, PlatformRef, Rights,
        matrix::{allows, covers},
    },
    ports::store::{Account, People as _},
};
use berth_types::{Action, PlatformRole, Resource, Right, TenantRole, people::TokenScope};
use serde_json::Value;

use crate::{
    document::{document, operations},
    fixture::Site,
};

mod alike;
mod cases;
mod own;
mod site;

use cases::cases;
use own::{gives, own};
use site::{given, member, platform, robot, uri};

/// What an operation needs.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// To be known.
    SignedIn,
    /// To be known; even before one has chosen a password.
    Known,
    /// A right in a tenant, on the tenant itself.
    Tenant(Resource, Action),
    /// A right in a tenant, on something in a namespace.
    Namespace(Resource, Action),
    /// A right on the platform.
    Platform(Resource, Action),
    /// A CI job's own token, which none of them has.
    Job,
    /// A browser: no token may.
    Browser,
}

struct Case {
    id: &'static str,
    need: Need,
    body: Option<Value>,
    if_match: bool,
    stream: bool,
    /// What somebody did before, where it is done.
    before: Before,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    TenantSuspended,
    TenantRemoved,
    NamespaceRemoved,
    Draining,
}

fn case(id: &'static str, need: Need) -> Case {
    Case { id, need, body: None, if_match: false, stream: false, before: Before::Nothing }
}

impl Case {
    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
    fn if_match(mut self) -> Self {
        self.if_match = true;
        self
    }
    fn stream(mut self) -> Self {
        self.stream = true;
        self
    }
    fn after(mut self, before: Before) -> Self {
        self.before = before;
        self
    }
    /// Whether it is allowed and makes no sense: who has a role need not ask for it.
    fn needless(&self, who: Who) -> bool {
        let all = matches!(who, Who::Member(TenantRole::Owner | TenantRole::Admin));
        all && self.id == "create_access_request"
    }
    async fn prepare(&self, site: &Site) {
        let (root, shop) = (site.world.ctx("root").await, &site.shop.name);
        let services = &site.world.services;
        match self.before {
            Before::Nothing => {}
            Before::Draining => {
                let consent = berth_types::node::DrainConsent::default();
                drop(services.drain_node(&root, &"local".parse().unwrap(), "node-1", "node-1", consent).await.unwrap());
            }
            Before::TenantSuspended => drop(services.suspend_tenant(&root, shop, "x").await.unwrap()),
            Before::TenantRemoved => drop(services.remove_tenant(&root, shop, "").await.unwrap()),
            Before::NamespaceRemoved => {
                drop(services.remove_namespace(&root, shop, &"prod".parse().unwrap(), "").await.unwrap());
            }
        }
    }
}

/// Who asks: what they may on `shop`, in `prod`, on the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Sends no token.
    Nobody,
    /// A token nobody has.
    Forged,
    /// A token that has ended, of the owner.
    Expired,
    /// A token of an owner and platform admin whose account is disabled.
    Disabled,
    /// A person who must choose a password first.
    Fresh,
    /// Another tenant's owner.
    Outsider,
    /// A token of the owner of `shop`, for another tenant.
    ElsewhereTenant,
    /// A token of the owner of `shop`, for its namespace `staging`.
    ElsewhereNamespace,
    /// A token of the owner of `shop`, for its namespace `prod`.
    OnlyProd,
    /// A token of the owner of `shop`, for reading.
    ReadOnly,
    /// A token of the owner of `shop`, for changing apps.
    OnlyUpdates,
    /// A robot of `shop` that may what a developer may.
    Robot,
    /// A token of a platform admin, for reading.
    ReadOnlyAdmin,
    /// A member of `shop`.
    Member(TenantRole),
    /// Somebody who was given a role in `prod` alone.
    Guest(TenantRole),
    /// An admin of `staging` alone: of the sibling.
    Neighbour,
    /// A viewer of `shop` who was given more in `prod`.
    Raised(TenantRole),
    /// A member of `shop` with a role that the tenant made.
    Own(&'static str),
    /// Somebody who was given such a role in `prod` alone.
    OwnGuest(&'static str),
    /// A viewer of `shop` who was given such a role in `prod`.
    OwnRaised(&'static str),
    /// Somebody with a role on the platform.
    Platform(PlatformRole),
}

/// A job's token that nobody signed.
const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=x&audience=robot:shop/deploy\
                        &subject_token_type=urn:ietf:params:oauth:token-type:jwt";

/// What a token that is limited to actions may.
const UPDATES: &[Right] = &[Right { resource: Resource::App, action: Action::Update }];

const EVERYBODY: &[Who] = &[
    Who::Nobody,
    Who::Forged,
    Who::Expired,
    Who::Disabled,
    Who::Fresh,
    Who::Outsider,
    Who::ElsewhereTenant,
    Who::ElsewhereNamespace,
    Who::OnlyProd,
    Who::ReadOnly,
    Who::ReadOnlyAdmin,
    Who::OnlyUpdates,
    Who::Robot,
    Who::Member(TenantRole::Owner),
    Who::Member(TenantRole::Admin),
    Who::Member(TenantRole::Developer),
    Who::Member(TenantRole::Viewer),
    Who::Guest(TenantRole::Admin),
    Who::Guest(TenantRole::Developer),
    Who::Guest(TenantRole::Viewer),
    Who::Neighbour,
    Who::Raised(TenantRole::Admin),
    Who::Raised(TenantRole::Developer),
    Who::Own("releaser"),
    Who::Own("splitter"),
    Who::Own("chance"),
    Who::OwnGuest("releaser"),
    Who::OwnGuest("chance"),
    Who::OwnRaised("chance"),
    Who::Platform(PlatformRole::Admin),
    Who::Platform(PlatformRole::Auditor),
];

impl Who {
    /// Their token on `site`; none for nobody.
    async fn token(self, site: &Site) -> Option<String> {
        let day = Duration::from_secs(86_400);
        let shop = |namespace: &str| TokenScope {
            tenant: Some("shop".parse().unwrap()),
            namespace: Some(namespace.parse().unwrap()),
            ..TokenScope::default()
        };
        let read_only = TokenScope { read_only: true, ..TokenScope::default() };
        let world = &site.world;
        Some(match self {
            Self::Nobody => return None,
            Self::Forged => "berth_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            Self::Expired => {
                let token = world.token_for("owner", TokenScope::default(), Duration::from_secs(60)).await;
                world.clock.advance(Duration::from_secs(61));
                token
            }
            Self::Disabled => {
                let mut user = world.person("gone", Some(PlatformRole::Admin)).await;
                member(site, "gone", TenantRole::Owner).await;
                let token = world.token("gone").await;
                user.disabled = true;
                let grant = Grant::unchecked(PlatformRef, Resource::User, Action::Update);
                world.store.update_user(&grant, &user).await.unwrap();
                token
            }
            Self::Fresh => {
                let mut user = world.store.find_account(&"owner".parse().unwrap()).await.unwrap().unwrap().user;
                user.id = uuid::Uuid::from_u128(1);
                user.name = "fresh".parse().unwrap();
                user.platform_role = Some(PlatformRole::Admin);
                user.must_change_password = true;
                world.store.create_user(&Account { user, password_hash: None }).await.unwrap();
                world.token("fresh").await
            }
            Self::Outsider => site.token("outsider").to_owned(),
            Self::ElsewhereTenant => {
                world.tenant("elsewhere", &[("owner", TenantRole::Owner)]).await;
                let scope = TokenScope { tenant: Some("elsewhere".parse().unwrap()), ..TokenScope::default() };
                world.token_for("owner", scope, day).await
            }
            Self::ElsewhereNamespace => world.token_for("owner", shop("staging"), day).await,
            Self::OnlyProd => world.token_for("owner", shop("prod"), day).await,
            Self::ReadOnly => world.token_for("owner", read_only, day).await,
            Self::OnlyUpdates => {
                let scope = TokenScope { actions: UPDATES.to_vec(), ..TokenScope::default() };
                world.token_for("owner", scope, day).await
            }
            Self::Robot => robot(site, "worker", TenantRole::Developer).await,
            Self::ReadOnlyAdmin => world.token_for("root", read_only, day).await,
            Self::Member(TenantRole::Owner) => site.token("owner").to_owned(),
            Self::Member(TenantRole::Admin) => {
                world.person("admin2", None).await;
                member(site, "admin2", TenantRole::Admin).await;
                world.token("admin2").await
            }
            Self::Member(TenantRole::Developer) => site.token("developer").to_owned(),
            // Who has a role of the tenant's own is `Own`.
            Self::Member(_) => site.token("viewer").to_owned(),
            Self::Guest(role) => given(site, &format!("guest-{role}"), None, "prod", role).await,
            Self::Neighbour => given(site, "neighbour", None, "staging", TenantRole::Admin).await,
            Self::Raised(role) => given(site, &format!("raised-{role}"), Some(TenantRole::Viewer), "prod", role).await,
            Self::Own(role) => {
                let name = format!("own-{role}");
                world.person(&name, None).await;
                member(site, &name, own(role)).await;
                world.token(&name).await
            }
            Self::OwnGuest(role) => given(site, &format!("own-guest-{role}"), None, "prod", own(role)).await,
            Self::OwnRaised(role) => {
                given(site, &format!("own-raised-{role}"), Some(TenantRole::Viewer), "prod", own(role)).await
            }
            Self::Platform(PlatformRole::Admin) => site.token("root").to_owned(),
            Self::Platform(PlatformRole::Auditor) => site.token("auditor").to_owned(),
        })
    }

    /// The role that they were given in `prod` alone.
    fn given(self) -> Option<TenantRole> {
        match self {
            Self::Guest(role) | Self::Raised(role) => Some(role),
            Self::OwnGuest(role) | Self::OwnRaised(role) => Some(own(role)),
            _ => None,
        }
    }

    /// Their role in `shop` and on the platform.
    fn roles(self) -> (Option<TenantRole>, Option<PlatformRole>) {
        match self {
            Self::Member(role) => (Some(role), None),
            Self::Own(role) => (Some(own(role)), None),
            Self::Raised(_) | Self::OwnRaised(_) => (Some(TenantRole::Viewer), None),
            Self::ElsewhereTenant | Self::ElsewhereNamespace | Self::OnlyProd | Self::ReadOnly | Self::OnlyUpdates => {
                (Some(TenantRole::Owner), None)
            }
            Self::Robot => (Some(TenantRole::Developer), None),
            Self::Platform(role) => (None, Some(role)),
            Self::ReadOnlyAdmin => (None, Some(PlatformRole::Admin)),
            _ => (None, None),
        }
    }

    /// The refusal they get; `None`: it is done.
    fn refusal(self, need: Need) -> Option<u16> {
        if matches!(need, Need::Job) {
            return Some(401);
        }
        if matches!(self, Self::Nobody | Self::Forged | Self::Expired | Self::Disabled) {
            return Some(401);
        }
        if self == Self::Fresh {
            return if matches!(need, Need::Known) { None } else { Some(403) };
        }
        let (tenant, platform) = self.roles();
        let reader = matches!(self, Self::ReadOnly | Self::ReadOnlyAdmin);
        let checked = |roles: [Option<TenantRole>; 2], resource, action| {
            let rights = roles.into_iter().flatten().map(gives).fold(Rights::NONE, Rights::and);
            let writes = action != Action::Read;
            let covered = self != Self::OnlyUpdates || covers(UPDATES, Right { resource, action });
            let may = allows(platform, rights, resource, action) && !(writes && reader) && covered;
            if may { None } else { Some(403) }
        };
        let guest = matches!(self, Self::Guest(_) | Self::OwnGuest(_) | Self::Neighbour);
        let knows = (tenant.is_some() && self != Self::ElsewhereTenant) || platform.is_some();
        match need {
            Need::Known | Need::SignedIn => None,
            Need::Job => Some(401),
            Need::Browser => Some(403),
            Need::Platform(resource, action) => {
                if platform.is_none() {
                    Some(404)
                } else {
                    checked([tenant, None], resource, action)
                }
            }
            // Of the tenant, a guest sees the name.
            Need::Tenant(Resource::Tenant, Action::Read) if guest => None,
            Need::Tenant(..) if guest => Some(403),
            Need::Namespace(..) if self == Self::Neighbour => Some(404),
            Need::Tenant(..) | Need::Namespace(..) if !knows && !guest => Some(404),
            Need::Tenant(resource, action) => {
                let scoped = matches!(self, Self::OnlyProd | Self::ElsewhereNamespace);
                let beyond = scoped && (resource, action) != (Resource::Tenant, Action::Read);
                if beyond { Some(403) } else { checked([tenant, None], resource, action) }
            }
            Need::Namespace(..) if self == Self::ElsewhereNamespace => Some(404),
            Need::Namespace(resource, action) => checked([tenant, self.given()], resource, action),
        }
    }
}

#[tokio::test]
async fn every_operation_answers_everybody_as_the_matrix_says() {
    let mut cases: BTreeMap<&str, Case> = cases().into_iter().map(|case| (case.id, case)).collect();
    // Refusals and reads leave it as it is; what does change something gets a platform of its own.
    let shared = platform().await;
    let mut tokens = Vec::new();
    for who in EVERYBODY {
        tokens.push(who.token(&shared).await);
    }
    let mut wrong = Vec::new();
    let mut asked = 0;
    for (path, method, operation) in operations(&document()) {
        let id = operation["operationId"].as_str().unwrap();
        let Some(case) = cases.remove(id) else {
            wrong.push(format!("{method} {path} ({id}) has no case"));
            continue;
        };
        let forms: &[&str] =
            if case.stream { &["application/json", "text/event-stream"] } else { &["application/json"] };
        for ((who, token), form) in
            EVERYBODY.iter().zip(&tokens).flat_map(|one| forms.iter().map(move |form| (one, form)))
        {
            // A robot asks for no roles, and the request for another quota is somebody else's.
            let others = matches!(id, "create_access_request" | "accept_request" | "withdraw_request");
            let kept = *who == Who::Robot && others;
            let refusal = who.refusal(case.need).or_else(|| case.needless(*who).then_some(422));
            let refusal = if kept { Some(403) } else { refusal };
            let own = if refusal.is_none() && method != "get" { Some(platform().await) } else { None };
            if let Some(own) = &own {
                case.prepare(own).await;
            }
            let token = match &own {
                Some(site) => who.token(site).await,
                None => token.clone(),
            };
            let site = own.as_ref().unwrap_or(&shared);
            let mut ask = site.ask("", &method.to_uppercase(), &uri(&path)).header("accept", form);
            if let Some(token) = token {
                ask = ask.header("authorization", &format!("Bearer {token}"));
            }
            if matches!(case.need, Need::Job) {
                ask = ask.raw("application/x-www-form-urlencoded", EXCHANGE);
            }
            if let Some(body) = &case.body {
                ask = ask.json(body);
            }
            if case.if_match {
                ask = ask.header("if-match", "*");
            }
            let status = ask.open().await.status().as_u16();
            let as_wanted = match refusal {
                Some(refusal) => status == refusal,
                None => (200..300).contains(&status),
            };
            asked += 1;
            if !as_wanted {
                let want = refusal.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
                wrong.push(format!("{method} {path} by {who:?} as {form}: {status} instead of {want}"));
            }
        }
    }
    wrong.extend(cases.into_keys().map(|id| format!("there is no operation {id}")));
    assert!(wrong.is_empty(), "{} of {asked} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 600, "{asked}");
    assert_eq!(shared.get("viewer", crate::fixture::APPS).await["total"], 1, "refusals changed nothing");
}
