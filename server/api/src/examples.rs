//! Examples of the OpenAPI document, made from the types themselves, so that they cannot go out of date.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::Error;
use berth_types::{
    AppPhase, AppSpec, AppStatus, Cause, CauseCode, ErrorCode, Evidence, FieldError, Page, Resources, TenantRole,
    app::{Component, EnvVar, Port},
    app_status::{ComponentStatus, EvidenceKind},
    headroom::HeadroomRow,
    list::ListFreshness,
    people::{ApiToken, Member, Namespace, TokenPurpose, TokenScope, User},
    provider::{GroupRule, IdentityProvider, SignInSettings, SigningAlgorithm},
    quota::{ContainerDefaults, NamespaceQuota, Plan, PlanEffect, PlanRow, QuotaRow, TenantPressure, TenantQuota},
    rows::{AppRow, AppView, EventRow, LogLine, PodPhase, PodRow, RevisionRow, UsageRow},
};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::handlers::{
    admin::{MadeUser, OneTimePassword},
    app_actions::RevisionDiff,
    kubeconfigs::MadeKubeconfig,
    me::{MadeToken, Me},
    preflight::PreflightReport,
    search::SearchHit,
    tenants::{TenantSummary, TenantView},
};

pub(crate) mod audit;
mod clusters;
mod mail;
mod nodes;
mod places;
mod requests;
mod usage;
mod ways_in;
mod webhooks;

use places::{
    access_request, egress, leaving, namespace_member, namespace_view, network, network_replacement, suspended,
};
use requests::{loan, quota_request};

const IMAGE: &str = "registry.example.com/checkout:1.4.2";
const POD: &str = "checkout-5d4f8c7b9-x2x7k";
const CAUSE: &str = "The image registry.example.com/checkout:1.4.2 cannot be pulled: not found.";

/// 2026-11-20T08:00:00Z and so many minutes.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_795_161_600 + minutes * 60).unwrap_or_default()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_f0a0_0000_7000_8000_0000_0000_0000 + n)
}

/// A name; the examples' own names are all good, which a test proves by reading every example back.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_value(name.into()).ok()
}

fn spec() -> AppSpec {
    AppSpec {
        components: vec![Component {
            name: "main".to_owned(),
            image: IMAGE.to_owned(),
            replicas: Some(3),
            ports: vec![Port { name: None, port: 8080, protocol: None }],
            env: vec![EnvVar { name: "LOG_LEVEL".to_owned(), value: Some("info".to_owned()), ..EnvVar::default() }],
            ..Component::default()
        }],
        ..AppSpec::default()
    }
}

fn app() -> AppView {
    AppView {
        name: "checkout".to_owned(),
        kube_namespace: "shop-prod".to_owned(),
        uid: "0b9e2c1a-6c1f-4a7e-9a3c-0d7f5b0a9e11".to_owned(),
        resource_version: "4711".to_owned(),
        generation: 3,
        created_at: at(0),
        deleting_since: None,
        spec: spec(),
        status: AppStatus {
            observed_generation: 3,
            phase: AppPhase::Degraded,
            cause: Some(Cause {
                code: CauseCode::ImagePull,
                message: CAUSE.to_owned(),
                component: "main".to_owned(),
                params: BTreeMap::from([("image".to_owned(), IMAGE.to_owned())]),
                evidence: vec![Evidence {
                    kind: EvidenceKind::State,
                    text: "ErrImagePull: manifest unknown".to_owned(),
                    object: Some(format!("Pod/{POD}")),
                    count: Some(4),
                }],
                since: Some(at(61)),
            }),
            revision: 3,
            since: Some(at(61)),
            components: vec![ComponentStatus {
                name: "main".to_owned(),
                phase: AppPhase::Degraded,
                desired: 3,
                updated: 1,
                ready: 2,
                total: 4,
                image: IMAGE.to_owned(),
            }],
            addresses: vec!["https://checkout.example.com/".to_owned()],
            ready: "2/3".to_owned(),
        },
        warnings: Vec::new(),
    }
}

/// The app as YAML, as the cluster has it.
pub(crate) fn manifest() -> String {
    let view = app();
    let object = json!({
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "App",
        "metadata": { "name": view.name, "namespace": view.kube_namespace, "resourceVersion": view.resource_version },
        "spec": view.spec,
    });
    berth_core::yaml::print(&object).unwrap_or_default()
}

fn preflight() -> PreflightReport {
    let text = str::to_owned;
    let said = "a rollout needs 1200m of requests.cpu at its peak, and 1 of 8 is free for this app: it will wait for old pods to stop";
    let warning = FieldError::new("spec.components[0].rollout.maxSurge", "quota_surge", said)
        .param("resource", "requests.cpu")
        .param("need", "1200m")
        .param("free", "1")
        .param("limit", "8");
    PreflightReport {
        passes: true,
        headroom: vec![HeadroomRow {
            resource: text("requests.cpu"),
            limit: text("8"),
            others: text("7"),
            now: text("600m"),
            rest: text("900m"),
            peak: text("1200m"),
            left: text("-200m"),
        }],
        resumed: Vec::new(),
        errors: Vec::new(),
        warnings: vec![warning],
        policy_asked: true,
        policy_unknown: None,
        as_of: Some(at(62)),
        freshness: ListFreshness { state: text("live"), since: None, reason: None, idle_since: None },
    }
}

fn app_row() -> AppRow {
    AppRow {
        name: "checkout".into(),
        kube_namespace: "shop-prod".into(),
        phase: AppPhase::Degraded,
        cause: Some(CAUSE.into()),
        cause_code: Some(CauseCode::ImagePull),
        cause_params: BTreeMap::from([("image".to_owned(), IMAGE.to_owned())]),
        image: IMAGE.into(),
        components: 1,
        ready: 2,
        desired: 3,
        revision: 3,
        created_at: at(0),
        changed_at: at(61),
        deleting: false,
    }
}

fn pod_row() -> PodRow {
    PodRow {
        name: POD.into(),
        kube_namespace: "shop-prod".into(),
        app: Some("checkout".into()),
        component: Some("main".into()),
        phase: PodPhase::Failing,
        reason: "ErrImagePull".into(),
        message: Some("manifest unknown".into()),
        ready: 0,
        containers: 1,
        restarts: 0,
        last_exit_code: None,
        last_exit_at: None,
        node: Some("node-1".into()),
        ip: Some("10.42.0.17".into()),
        revision: Some(3),
        created_at: at(60),
    }
}

/// A pod as the cluster has it.
pub(crate) fn pod_object() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": POD, "namespace": "shop-prod", "labels": { "app.kubernetes.io/name": "checkout" } },
        "spec": { "containers": [{ "name": "main", "image": IMAGE }] },
        "status": { "phase": "Pending" },
    })
}

fn event_row() -> EventRow {
    EventRow {
        kind: "Warning".into(),
        reason: "Failed".into(),
        message: format!("Failed to pull image \"{IMAGE}\": manifest unknown").into(),
        object: format!("Pod/{POD}").into(),
        app: Some("checkout".into()),
        count: 4,
        first_at: at(61),
        last_at: at(65),
    }
}

/// A line of a log.
pub(crate) fn log_line() -> LogLine {
    let (pod, container): (Arc<str>, Arc<str>) = (POD.into(), "main".into());
    LogLine { at: Some(at(5)), pod, container, text: "listening on 0.0.0.0:8080".to_owned() }
}

fn revision() -> RevisionRow {
    RevisionRow {
        number: 3,
        created_at: at(60),
        by: Some("alice".to_owned()),
        images: vec![IMAGE.to_owned()],
        current: true,
        spec: spec(),
    }
}

fn tenant() -> Option<TenantSummary> {
    Some(TenantSummary {
        id: id(1),
        name: named("shop")?,
        display_name: "Web shop".to_owned(),
        role: Some(TenantRole::Owner),
    })
}

fn user() -> Option<User> {
    Some(User {
        id: id(2),
        name: named("alice")?,
        display_name: "Alice Archer".to_owned(),
        platform_role: None,
        disabled: false,
        must_change_password: false,
        second_factor: true,
        created_at: at(-600),
    })
}

fn deploying() -> Vec<berth_types::Right> {
    ["app.create", "app.update"].iter().filter_map(|action| action.parse().ok()).collect()
}

fn token() -> Option<ApiToken> {
    Some(ApiToken {
        id: id(3),
        name: "deploy pipeline".to_owned(),
        prefix: "berth_Zm9vYm".to_owned(),
        purpose: TokenPurpose::Api,
        scope: TokenScope { read_only: false, tenant: named("shop"), namespace: named("prod"), actions: deploying() },
        created_at: at(-60),
        expires_at: at(129_540),
        last_used_at: Some(at(59)),
    })
}

/// The example of a problem with this code.
pub(crate) fn problem(code: ErrorCode) -> Value {
    let mut error = Error::new(code, code.title());
    if code == ErrorCode::Invalid {
        let message = "“Checkout” has a character that is not allowed: use a–z, 0–9 and -";
        error = Error::field(FieldError::new("name", "name_character", message).param("max", 40));
    }
    to_value(error.problem("0193f0a0-1")).unwrap_or_default()
}

fn to_value(value: impl Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// The example of a schema, by its name; `Page_X` is a page with one X.
pub(crate) fn of(schema: &str) -> Option<Value> {
    if let Some(row) = schema.strip_prefix("Page_") {
        let mut page = Page::whole(vec![of(row)?]);
        if matches!(row, "AppRow" | "PodRow" | "EventRow" | "NodeRow") {
            page.as_of = Some(at(66));
        }
        return to_value(page);
    }
    let diff = "--- revision 2\n+++ now\n@@ -1,3 +1,3 @@\n components:\n - name: main\n-  image: registry.example.com/checkout:1.4.1\n\
                +  image: registry.example.com/checkout:1.4.2\n";
    match schema {
        "AppView" => to_value(app()),
        "AppRow" => to_value(app_row()),
        "PodRow" => to_value(pod_row()),
        "EventRow" => to_value(event_row()),
        "RevisionRow" => to_value(revision()),
        "RevisionDiff" => to_value(RevisionDiff { from: 2, to: None, unified: diff.to_owned() }),
        "UsageRow" => to_value(UsageRow {
            resource: "requests.cpu".to_owned(),
            used: "1500m".to_owned(),
            limit: Some("4".to_owned()),
        }),
        "TenantSummary" => to_value(tenant()?),
        "TenantView" => to_value(TenantView {
            id: id(1),
            name: named("shop")?,
            display_name: "Web shop".to_owned(),
            created_at: at(-500),
            halt: suspended(),
            version: 2,
            role: Some(TenantRole::Owner),
        }),
        "Member" => to_value(Member {
            user: named("alice")?,
            display_name: "Alice Archer".to_owned(),
            role: TenantRole::Owner,
            provider: None,
            created_at: at(-500),
        }),
        "AccessRequest" => to_value(access_request()?),
        "NamespaceMember" => to_value(namespace_member()?),
        "Namespace" => to_value(Namespace {
            id: id(4),
            name: named("prod")?,
            tenant: named("shop")?,
            cluster: named("local")?,
            kube_name: "shop-prod".to_owned(),
            egress: egress()?,
            protected: false,
            halt: None,
            created_at: at(-400),
            version: 1,
        }),
        "NamespaceView" => to_value(namespace_view()?),
        "Mark" => to_value(leaving()),
        "NetworkView" => to_value(network()?),
        "PreflightReport" => to_value(preflight()),
        "HeadroomRow" => to_value(preflight().headroom.first()),
        "Me" => to_value(Me {
            name: named("alice")?,
            display_name: "Alice Archer".to_owned(),
            platform_role: None,
            via: "token:berth_Zm9vYm".to_owned(),
            scope: TokenScope::default(),
            must_change_password: false,
            tenants: vec![tenant()?],
        }),
        "ApiToken" => to_value(token()?),
        "MadeToken" => to_value(MadeToken { token: token()?, secret: Some("berth_Zm9vYmFy…".to_owned()) }),
        "MadeKubeconfig" => to_value(MadeKubeconfig {
            token: ApiToken { purpose: TokenPurpose::Kubectl, ..token()? },
            kubeconfig: Some("apiVersion: v1\nkind: Config\n…".to_owned()),
        }),
        "SearchHit" => to_value(SearchHit {
            kind: "app".to_owned(),
            tenant: named("shop")?,
            namespace: named("prod"),
            app: Some("checkout".to_owned()),
            href: "/api/v1/tenants/shop/namespaces/prod/apps/checkout".to_owned(),
        }),
        "User" => to_value(user()?),
        "MadeUser" => to_value(MadeUser { user: user()?, password: Some("u7Kd2-pQ0xB-9sWmT-4hVcE".to_owned()) }),
        "OneTimePassword" => to_value(OneTimePassword { password: Some("u7Kd2-pQ0xB-9sWmT-4hVcE".to_owned()) }),
        "Adoptable" => json!({ "items": ["legacy-shop"] }).into(),
        "AdoptionPreview" => to_value(places::adoption()),
        "Plan" => to_value(plan()?),
        "IdentityProvider" => to_value(provider()?),
        "GroupRule" => to_value(GroupRule {
            id: id(9),
            group: "team-a".to_owned(),
            tenant: named("shop")?,
            role: TenantRole::Developer,
            created_at: at(0),
        }),
        "SignInSettings" => to_value(SignInSettings { local_accounts: true }),
        "PlanRow" => to_value(PlanRow { plan: plan()?, tenants: 4 }),
        "PlanEffect" => to_value(PlanEffect { tenant: named("shop")?, cluster: named("local")?, problems: Vec::new() }),
        "TenantQuota" => to_value(TenantQuota {
            cluster: named("local")?,
            limited: true,
            plan: named("small"),
            origin: None,
            resources: vec![quota_row()],
            loans: vec![loan()?],
            namespaces: vec![namespace_quota()?],
        }),
        "NamespaceQuota" => to_value(namespace_quota()?),
        "QuotaRequest" => to_value(quota_request()?),
        "TenantPressure" => to_value(TenantPressure {
            tenant: named("shop")?,
            display_name: "Web shop".to_owned(),
            cluster: named("local")?,
            limited: true,
            plan: named("small"),
            pressure: Some(750),
            resources: vec![quota_row()],
            halt: None,
            idle: vec![usage::idle()],
        }),
        other => ways_in::of(other)
            .or_else(|| webhooks::of(other))
            .or_else(|| mail::of(other))
            .or_else(|| nodes::of(other))
            .or_else(|| clusters::of(other))
            .or_else(|| usage::of(other))
            .or_else(|| audit::of(other))
            .or_else(|| request(other)),
    }
}

fn amounts(pairs: &[(&str, &str)]) -> Resources {
    let written = pairs.iter().map(|(key, amount)| ((*key).to_owned(), (*amount).to_owned())).collect();
    Resources::read("resources", &written).unwrap_or_default()
}

fn provider() -> Option<IdentityProvider> {
    Some(IdentityProvider {
        id: id(8),
        name: named("corp")?,
        display_name: "Corp".to_owned(),
        issuer: "https://id.example.com/realms/corp".to_owned(),
        client_id: "berth".to_owned(),
        secret: Some("corp".to_owned()),
        scopes: ["profile", "email", "groups"].map(str::to_owned).to_vec(),
        algorithms: SigningAlgorithm::DEFAULT.to_vec(),
        group_claim: "groups".to_owned(),
        allowed_groups: Vec::new(),
        enabled: true,
        sign_out_there: true,
        created_at: at(0),
        version: 1,
        oauth: None,
    })
}

fn plan() -> Option<Plan> {
    Some(Plan {
        id: id(5),
        name: named("small")?,
        display_name: "Small".to_owned(),
        resources: amounts(&[("requests.cpu", "4"), ("requests.memory", "8Gi"), ("pods", "40")]),
        defaults: ContainerDefaults::default(),
        created_at: at(-700),
        version: 1,
    })
}

fn quota_row() -> QuotaRow {
    QuotaRow {
        resource: "requests.cpu".to_owned(),
        limit: Some("4".to_owned()),
        lent: Some("1".to_owned()),
        shared: "3500m".to_owned(),
        left: Some("500m".to_owned()),
        used: Some("3".to_owned()),
    }
}

fn namespace_quota() -> Option<NamespaceQuota> {
    Some(NamespaceQuota {
        namespace: named("prod")?,
        share: Some(amounts(&[("requests.cpu", "3500m")])),
        enforced: Some(amounts(&[("requests.cpu", "3500m"), ("requests.memory", "0"), ("pods", "0")])),
        used: amounts(&[("requests.cpu", "3")]),
    })
}

/// What is sent; a test reads each of them as the operation does.
fn request(schema: &str) -> Option<Value> {
    Some(match schema {
        "NewApp" => json!({ "name": "checkout", "spec": spec() }),
        "AppReplacement" => json!({ "spec": spec() }),
        "AppPatch" => json!({ "spec": { "suspended": null, "revisionHistoryLimit": 20 } }),
        "Scale" => json!({ "component": "main", "replicas": 3 }),
        "WantedSpec" => json!({ "spec": spec() }),
        "Rollback" => json!({ "revision": 2 }),
        "Nothing" => json!({}),
        "NewTenant" => json!({ "name": "shop", "displayName": "Web shop", "owner": "alice" }),
        "TenantChange" => json!({ "displayName": "Web shop" }),
        "NewAccessRequest" => json!({ "role": "developer", "namespace": "prod", "reason": "I am on call this week" }),
        "AccessComment" => json!({ "comment": "Until the end of the month" }),
        "MemberRole" => json!({ "role": "developer" }),
        "NewNamespace" => json!({ "name": "prod", "share": { "requests.cpu": "2", "requests.memory": "4Gi" } }),
        "NewPlan" => {
            json!({ "name": "small", "displayName": "Small", "resources": { "requests.cpu": "4", "requests.memory": "8Gi", "pods": "40" } })
        }
        "PlanReplacement" => {
            json!({ "displayName": "Small", "resources": { "requests.cpu": "6", "requests.memory": "8Gi" } })
        }
        "NewProvider" => json!({
            "name": "corp", "displayName": "Corp", "issuer": "https://id.example.com/realms/corp", "clientId": "berth",
            "secret": "corp", "scopes": ["profile", "email", "groups"], "allowedGroups": ["staff"],
        }),
        "ProviderReplacement" => json!({
            "displayName": "Corp", "issuer": "https://id.example.com/realms/corp", "clientId": "berth", "secret": "corp",
            "scopes": ["profile", "email", "groups"], "enabled": false,
        }),
        "NewRule" => json!({ "group": "team-a", "tenant": "shop", "role": "developer" }),
        "SignInReplacement" => json!({ "localAccounts": false }),
        "QuotaReplacement" => json!({ "cluster": "local", "plan": "small" }),
        "ShareReplacement" => json!({ "resources": { "requests.cpu": "2", "requests.memory": "4Gi", "pods": "20" } }),
        "NewQuotaRequest" => json!({
            "resources": { "requests.cpu": "6" }, "until": "2027-01-03", "namespace": "prod",
            "reason": "The sale begins on Friday", "lacking": { "requests.cpu": "1500m" }
        }),
        "RequestComment" => json!({ "comment": "Until the sale ends", "version": 1 }),
        "RequestOffer" => {
            json!({ "resources": { "requests.cpu": "5" }, "until": "2026-12-15", "comment": "As much as is free", "version": 1 })
        }
        "Adoption" => json!({ "kubeName": "legacy-shop", "name": "legacy" }),
        "Suspension" => json!({ "reason": "No contact for a year" }),
        "NetworkReplacement" => network_replacement(),
        "Protection" => json!({ "protected": true }),
        "QuotaMove" => json!({ "from": "staging", "to": "prod", "resources": { "requests.cpu": "500m" } }),
        "NewToken" => {
            json!({ "name": "deploy pipeline", "expiresInDays": 90, "scope": { "readOnly": false, "tenant": "shop" } })
        }
        "NewKubeconfig" => json!({ "tenant": "shop", "namespace": "prod", "hours": 8 }),
        "NewUser" => json!({ "name": "alice", "displayName": "Alice Archer", "platformRole": null }),
        "UserReplacement" => json!({ "displayName": "Alice Archer", "platformRole": "auditor", "disabled": false }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        body::Input,
        handlers::{
            access, admin, adoption, app_actions, apps, kubeconfigs, life, me, members, namespaces, network, preflight,
            quotas, requests, tenants,
        },
    };

    fn read<T: Input>(name: &str) {
        let example = of(name).unwrap();
        assert!(T::from_value(example.clone()).is_ok(), "{name}: {example}");
    }

    #[test]
    fn examples_can_be_sent() {
        read::<apps::NewApp>("NewApp");
        read::<apps::AppReplacement>("AppReplacement");
        read::<apps::AppPatch>("AppPatch");
        read::<app_actions::Scale>("Scale");
        read::<app_actions::Rollback>("Rollback");
        read::<preflight::WantedSpec>("WantedSpec");
        read::<app_actions::Nothing>("Nothing");
        read::<tenants::NewTenant>("NewTenant");
        read::<tenants::TenantChange>("TenantChange");
        read::<access::NewAccessRequest>("NewAccessRequest");
        read::<access::AccessComment>("AccessComment");
        read::<members::MemberRole>("MemberRole");
        read::<namespaces::NewNamespace>("NewNamespace");
        read::<quotas::NewPlan>("NewPlan");
        read::<quotas::PlanReplacement>("PlanReplacement");
        read::<quotas::QuotaReplacement>("QuotaReplacement");
        read::<quotas::ShareReplacement>("ShareReplacement");
        read::<quotas::QuotaMove>("QuotaMove");
        read::<network::NetworkReplacement>("NetworkReplacement");
        read::<namespaces::Protection>("Protection");
        read::<adoption::Adoption>("Adoption");
        read::<life::Suspension>("Suspension");
        read::<requests::NewQuotaRequest>("NewQuotaRequest");
        read::<requests::RequestComment>("RequestComment");
        read::<requests::RequestOffer>("RequestOffer");
        read::<me::NewToken>("NewToken");
        read::<kubeconfigs::NewKubeconfig>("NewKubeconfig");
        read::<admin::NewUser>("NewUser");
        read::<admin::UserReplacement>("UserReplacement");
        assert!(spec().validate().is_empty());
        let object = berth_core::yaml::parse(&manifest()).unwrap();
        assert_eq!(apps::AppReplacement::from_value(object).unwrap().name.as_deref(), Some("checkout"));
    }
}
