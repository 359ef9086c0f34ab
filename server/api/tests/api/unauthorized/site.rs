//! The platform that everybody asks.

use berth_core::{
    adoption::Strange,
    authz::{Grant, PlatformRef},
    ports::{
        access::{AccessRequests as _, NewAccessRequest, Place},
        announcements::Announcements as _,
        ci::{CiStore as _, NewTrust},
        links::{Links as _, NewInvitation, Within},
        mail::Mails as _,
        requests::Requests as _,
        robots::{NewRobot, Robots as _},
        second_factors::{Authenticator, SecondFactors as _},
        sign_in::{NewGroupRule, SignIns as _},
        store::{NewToken, People as _, Tenants as _},
        webhooks::{NewWebhook, Webhooks as _},
    },
    roles::RoleText,
    services::{plans::PlanText, providers::ProviderText, quotas::Wanted, robots::RobotText},
    testing::FakeRegistrar,
};
use berth_types::{
    Action, ListQuery, Resource, TenantRole,
    announcement::{Announcement, AnnouncementLevel},
    cluster::{NewAgent, NewCluster},
    people::TokenScope,
    quota::request::QuotaRequest,
    webhook::{EventKind, Webhook},
};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::own::own_actions;
use crate::fixture::{POD, Site};

/// Makes somebody a member of `shop`.
pub(super) async fn member(site: &Site, user: &str, role: TenantRole) {
    let grant = Grant::unchecked(site.shop.clone(), Resource::Membership, Action::Update);
    let now = site.world.system().now();
    site.world.store.set_member(&grant, &user.parse().unwrap(), role, now).await.unwrap();
}

/// Gives somebody new a role in a namespace of `shop`, and maybe one in the whole; their token.
pub(super) async fn given(
    site: &Site,
    user: &str,
    whole: Option<TenantRole>,
    namespace: &str,
    role: TenantRole,
) -> String {
    let world = &site.world;
    world.person(user, None).await;
    if let Some(whole) = whole {
        member(site, user, whole).await;
    }
    let (root, namespace) = (world.ctx("root").await, namespace.parse().unwrap());
    let path = (&site.shop.name, &namespace);
    world.services.set_namespace_member(&root, path, &user.parse().unwrap(), role).await.unwrap();
    world.token(user).await
}

/// A platform with somebody in `shop` who is none of those who ask.
pub(super) async fn platform() -> Site {
    let site = Site::new().await;
    site.world.cluster.with_nodes(|nodes| nodes.rows.push(berth_core::testing::node("node-1", "1")));
    site.world.cluster.stranger(strange());
    site.world.elsewhere.put("https://moon.example", None);
    site.world.elsewhere.put("https://sun.example", None);
    let moon = NewCluster {
        name: "moon".to_owned(),
        kubeconfig: FakeRegistrar::kubeconfig("https://moon.example"),
        ..NewCluster::default()
    };
    site.world.services.register_cluster(&site.world.ctx("root").await, &moon).await.unwrap();
    let mars = NewAgent { name: "mars".to_owned(), ..NewAgent::default() };
    site.world.services.register_agent(&site.world.ctx("root").await, &mars).await.unwrap();
    site.world.person("bystander", None).await;
    member(&site, "bystander", TenantRole::Viewer).await;
    let root = site.world.ctx("root").await;
    for role in ["releaser", "splitter", "chance", "spare"] {
        let text = RoleText { actions: own_actions(role), ..RoleText::default() };
        site.world.services.create_role(&root, &site.shop.name, role, &text).await.unwrap();
    }
    let (prod, bystander) = ("prod".parse().unwrap(), "bystander".parse().unwrap());
    let path = (&site.shop.name, &prod);
    site.world.services.set_namespace_member(&root, path, &bystander, TenantRole::Developer).await.unwrap();
    announcement(&site).await;
    let amounts = |text: &str| [("secrets".to_owned(), text.to_owned())].into();
    let small = PlanText { resources: amounts("9"), ..PlanText::default() };
    site.world.services.create_plan(&root, "small", &small).await.unwrap();
    let corp = ProviderText {
        issuer: "https://id.example.com".to_owned(),
        client_id: "berth".to_owned(),
        enabled: true,
        ..ProviderText::default()
    };
    let corp = site.world.services.create_provider(&root, "corp", &corp).await.unwrap();
    let rule = NewGroupRule {
        id: uuid::Uuid::from_u128(2),
        group: "team-a".to_owned(),
        tenant: "shop".parse().unwrap(),
        role: TenantRole::Viewer,
        created_at: site.world.system().now(),
    };
    let grant = Grant::unchecked(PlatformRef, Resource::SignIn, Action::Create);
    site.world.store.create_group_rule(&grant, corp.id, &rule).await.unwrap();
    invitations(&site).await;
    deploy(&site).await;
    webhooks(&site).await;
    addresses(&site).await;
    let id = uuid::Uuid::parse_str(REQUEST).unwrap();
    let user = site.world.store.find_account(&bystander).await.unwrap().unwrap().user.id;
    let created_at = site.world.system().now();
    let asked = NewAccessRequest { id, user, role: TenantRole::Admin, reason: "x".to_owned(), created_at };
    let place = Place::Tenant(Grant::unchecked(site.shop.clone(), Resource::Access, Action::Create));
    site.world.store.create_access_request(&place, &asked).await.unwrap();
    second_factor(&site).await;
    for namespace in ["prod", "staging"] {
        let (tenant, namespace) = ("shop".parse().unwrap(), namespace.parse().unwrap());
        site.world.services.set_share(&root, &tenant, &namespace, Some(&amounts("2"))).await.unwrap();
    }
    let limit = Wanted::Own(amounts("9"));
    site.world.services.set_tenant_quota(&root, &site.shop.name, None, &limit).await.unwrap();
    let grant = Grant::unchecked(site.shop.clone(), Resource::Request, Action::Create);
    site.world.store.create_request(&grant, &offered(), None).await.unwrap();
    site
}

/// An announcement that is shown.
async fn announcement(site: &Site) {
    let grant = Grant::unchecked(PlatformRef, Resource::Banner, Action::Create);
    let now = site.world.system().now();
    let shown = Announcement {
        id: uuid::Uuid::from_u128(9),
        level: AnnouncementLevel::Info,
        text: "x".to_owned(),
        from: now,
        until: None,
        on_sign_in: false,
        created_by: "root".to_owned(),
        created_at: now,
        version: 1,
    };
    site.world.store.create_announcement(&grant, &shown).await.unwrap();
}

/// Everybody gets mail.
async fn addresses(site: &Site) {
    let everybody = ListQuery { limit: 100, ..ListQuery::default() };
    let grant = Grant::unchecked(PlatformRef, Resource::User, Action::Read);
    for user in site.world.store.list_users(&grant, &everybody).await.unwrap().items {
        let (address, now) = (format!("{}@example.com", user.name), site.world.system().now());
        site.world.store.adopt_address(user.id, &address, now).await.unwrap();
    }
}

/// A webhook of `shop`, and one of the platform.
async fn webhooks(site: &Site) {
    let tenant = Grant::unchecked(site.shop.clone(), Resource::Webhook, Action::Create);
    let platform = Grant::unchecked(PlatformRef, Resource::Webhook, Action::Create);
    for (id, within) in [(14, Within::Tenant(&tenant)), (15, Within::Platform(&platform))] {
        let hook = Webhook {
            id: uuid::Uuid::from_u128(id),
            name: "x".to_owned(),
            url: "https://hooks.example.com/".to_owned(),
            events: vec![EventKind::LoanEnded],
            stopped: None,
            failing_since: None,
            old_secret_until: None,
            created_by: "root".to_owned(),
            created_at: site.world.system().now(),
            version: 1,
        };
        site.world.store.create_webhook(within, &NewWebhook { hook, sealed: vec![1] }).await.unwrap();
    }
}

/// An open invitation into `shop`, and one onto the platform.
async fn invitations(site: &Site) {
    let now = site.world.system().now();
    let root = site.world.store.find_account(&"root".parse().unwrap()).await.unwrap().unwrap().user.id;
    let tenant = Grant::unchecked(site.shop.clone(), Resource::Invitation, Action::Create);
    let all = Grant::unchecked(PlatformRef, Resource::User, Action::Create);
    for (number, within, role) in
        [(3, Within::Tenant(&tenant), Some(TenantRole::Viewer)), (4, Within::Platform(&all), None)]
    {
        let id = uuid::Uuid::from_u128(number.into());
        let expires_at = now + jiff::SignedDuration::from_hours(24);
        let new = NewInvitation {
            id,
            digest: [number; 32],
            role,
            email: None,
            invited_by: root,
            created_at: now,
            expires_at,
            mail: None,
        };
        site.world.store.create_invitation(within, &new).await.unwrap();
    }
}

/// A new robot of `shop`; its token.
pub(super) async fn robot(site: &Site, name: &str, role: TenantRole) -> String {
    let (owner, services) = (site.world.ctx("owner").await, &site.world.services);
    let text = RobotText { name: name.to_owned(), description: String::new(), role, namespace: None };
    let robot = services.create_robot(&owner, &site.shop.name, &text).await.unwrap().name;
    let (scope, day) = (TokenScope::default(), std::time::Duration::from_hours(24));
    let made = services.create_robot_token(&owner, (&site.shop.name, &robot), "ci", scope, day).await.unwrap();
    made.1.expose_secret().to_owned()
}

/// A robot of `shop` with a token that can be revoked.
async fn deploy(site: &Site) {
    let grant = Grant::unchecked(site.shop.clone(), Resource::Robot, Action::Create);
    let created_at = site.world.system().now();
    let id = uuid::Uuid::from_u128(8);
    let (name, role) = ("deploy".parse().unwrap(), TenantRole::Viewer);
    let robot = NewRobot { id, name, description: "x".to_owned(), role, namespace: None, created_at };
    site.world.store.create_robot(&grant, &robot).await.unwrap();
    let token = NewToken {
        id: uuid::Uuid::from_u128(1),
        digest: [8; 32],
        user: id,
        name: "ci".to_owned(),
        prefix: "berth_8".to_owned(),
        purpose: berth_types::people::TokenPurpose::Api,
        made_by: None,
        scope: TokenScope::default(),
        created_at,
        expires_at: created_at + jiff::SignedDuration::from_hours(24),
    };
    site.world.store.create_token(&token).await.unwrap();
    let root = site.world.ctx("root").await;
    site.world.services.create_ci_issuer(&root, "corp", "https://ci.example.com").await.unwrap();
    let trust = NewTrust {
        id: uuid::Uuid::from_u128(12),
        robot: id,
        issuer: "corp".parse().unwrap(),
        audience: "x".to_owned(),
        conditions: Vec::new(),
        minutes: 15,
        created_at,
    };
    site.world.store.create_trust(&grant, &trust).await.unwrap();
}

/// A namespace that is nobody's.
fn strange() -> Strange {
    Strange {
        kube_name: "legacy".to_owned(),
        uid: "1".to_owned(),
        pods: Vec::new(),
        refused: Vec::new(),
        policies: Vec::new(),
        bindings: Vec::new(),
        quotas: Vec::new(),
    }
}

/// Somebody with a second factor that may be lost.
async fn second_factor(site: &Site) {
    let user = site.world.store.find_account(&"bystander".parse().unwrap()).await.unwrap().unwrap().user.id;
    let new = Authenticator { sealed: vec![1], created_at: site.world.system().now(), last_step: 0 };
    site.world.store.add_authenticator(user, &new, &[]).await.unwrap();
}

/// A request of the developer's, with an offer: whatever may be done to a request can be done to it.
fn offered() -> QuotaRequest {
    let terms = json!({ "resources": { "secrets": "12" } });
    let at = "2026-11-20T08:00:00Z";
    let step = |by, what| json!({ "at": at, "by": by, "what": what, "comment": "", "terms": terms });
    let request = json!({
        "id": REQUEST, "tenant": "shop", "cluster": "local", "state": "offered", "createdAt": at, "version": 1,
        "ask": {
            "by": "developer", "terms": terms, "reason": "x",
            "evidence": { "asOf": null, "resources": [], "lacking": {} },
        },
        "steps": [step("developer", "ask"), step("root", "offer")],
    });
    serde_json::from_value(request).unwrap()
}

const REQUEST: &str = "00000000-0000-0000-0000-000000000007";

pub(super) fn uri(path: &str) -> String {
    if path.contains("/agent-token") {
        return path.replace("{cluster}", "mars");
    }
    // A cluster that was registered: the configured one cannot go.
    let of_moon = ["/clusters/{cluster}", "/kubeconfig", "/probe", "/remains", "/forget"];
    if path.contains("/clusters/{cluster}") && of_moon.iter().any(|end| path.ends_with(end)) {
        return path.replace("{cluster}", "moon");
    }
    let uri = [
        ("{tenant}", "shop"),
        ("{namespace}", "prod"),
        ("{app}", "checkout"),
        ("{pod}", POD),
        ("{revision}", "1"),
        ("{entry}", "1"),
        ("{announcement}", "00000000-0000-0000-0000-000000000009"),
        ("{cluster}", "local"),
        ("{node}", "node-1"),
        ("{plan}", "small"),
        ("{provider}", "corp"),
        ("{rule}", "00000000-0000-0000-0000-000000000002"),
        ("{request}", REQUEST),
        ("/tenants/shop/invitations/{invitation}", "/tenants/shop/invitations/00000000-0000-0000-0000-000000000003"),
        ("/admin/invitations/{invitation}", "/admin/invitations/00000000-0000-0000-0000-000000000004"),
        ("/tenants/shop/webhooks/{webhook}", "/tenants/shop/webhooks/00000000-0000-0000-0000-00000000000e"),
        ("/admin/webhooks/{webhook}", "/admin/webhooks/00000000-0000-0000-0000-00000000000f"),
        ("{trust}", "00000000-0000-0000-0000-00000000000c"),
        ("{role}", "spare"),
        ("{robot}", "deploy"),
        ("{token}", "00000000-0000-0000-0000-000000000001"),
    ]
    .iter()
    .fold(path.to_owned(), |uri, (name, value)| uri.replace(name, value));
    uri.replace("{user}", "bystander")
}
