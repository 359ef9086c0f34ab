//! What happened that people elsewhere want to hear of: requests, loans, roles, quotas, tenants, accounts.
//!
//! A notice is a row of the outbox, written in the transaction of the change that it tells of: the change and its notice, both or
//! neither. The process that leads passes it on (`Services::spread_notices`): to the log, and to the webhooks that want it.

use berth_types::{
    ClusterId, NamespaceName, TenantName, TenantRole, UserName,
    quota::request::{LoanStage, QuotaRequest, RequestState},
    webhook::EventKind,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What happened.
    pub event: EventKind,
    /// When.
    pub at: Timestamp,
    /// To what.
    #[serde(flatten)]
    pub data: Data,
}

/// What a notice is about, as far as it is about that. Names and numbers alone: no words of people, and no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Data {
    /// Which tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// Which of its namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// On which cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// The request; a loan is called by the one that it came of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Uuid>,
    /// Whom it is about: who asked, or whose account it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<TenantRole>,
    /// What was decided: `approved`, `refused`, `declined`; of a forgotten password `mailed`, where its owner got a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Who did it: a person's name, or `rule:` and which one; `berth` for what happens by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Of which quota, and how much is used in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Vec<KeyUse>>,
}

/// How much of a quota is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUse {
    /// The quota's key, `requests.cpu`.
    pub key: String,
    /// In per cent.
    pub percent: i64,
}

impl Notice {
    /// What came of a forgotten password whose owner has an address: nobody need do anything.
    pub const MAILED: &str = "mailed";

    fn new(event: EventKind, at: Timestamp, tenant: &TenantName, by: impl Into<String>) -> Self {
        Self { event, at, data: Data { tenant: Some(tenant.clone()), by: Some(by.into()), ..Data::default() } }
    }

    /// That something was done to a request: what its state says.
    #[must_use]
    pub fn of_request(request: &QuotaRequest, at: Timestamp) -> Self {
        let (event, outcome) = match request.state {
            RequestState::Open => (EventKind::RequestWaiting, None),
            RequestState::Offered => (EventKind::RequestOffered, None),
            RequestState::Approved => (EventKind::RequestDecided, Some("approved")),
            RequestState::Refused => (EventKind::RequestDecided, Some("refused")),
            RequestState::Withdrawn => (EventKind::RequestWithdrawn, None),
        };
        let by = request.steps.last().map(|step| step.by.clone()).unwrap_or_default();
        let mut notice = Self::new(event, at, &request.tenant, by);
        notice.data.cluster = Some(request.cluster.clone());
        notice.data.request = Some(request.id);
        notice.data.user = Some(request.ask.by.to_string());
        notice.data.outcome = outcome.map(str::to_owned);
        notice
    }

    /// That a loan is as near its end as `stage`; nothing to tell while it only runs.
    #[must_use]
    pub fn of_loan(
        (tenant, cluster, request): (&TenantName, &ClusterId, Uuid),
        stage: LoanStage,
        at: Timestamp,
    ) -> Option<Self> {
        let event = match stage {
            LoanStage::Running => return None,
            LoanStage::Soon => EventKind::LoanEndsSoon,
            LoanStage::Tomorrow => EventKind::LoanEndsTomorrow,
            LoanStage::Overdue => EventKind::LoanOverdue,
            LoanStage::Ended => EventKind::LoanEnded,
        };
        let mut notice = Self::new(event, at, tenant, "berth");
        notice.data.cluster = Some(cluster.clone());
        notice.data.request = Some(request);
        Some(notice)
    }

    /// That `user` asks for a role.
    #[must_use]
    pub fn of_access(
        (tenant, namespace): (&TenantName, Option<&NamespaceName>),
        request: Uuid,
        user: &UserName,
        role: TenantRole,
        at: Timestamp,
    ) -> Self {
        let mut notice = Self::new(EventKind::AccessWaiting, at, tenant, user.to_string());
        notice.data.namespace = namespace.cloned();
        notice.data.request = Some(request);
        notice.data.user = Some(user.to_string());
        notice.data.role = Some(role);
        notice
    }

    /// The same request, decided.
    #[must_use]
    pub fn decided(mut self, approved: bool, by: &UserName) -> Self {
        self.event = EventKind::AccessDecided;
        self.data.by = Some(by.to_string());
        self.data.outcome = Some(if approved { "approved" } else { "declined" }.to_owned());
        self
    }

    /// That a tenant was put to rest, or is being removed.
    #[must_use]
    pub fn of_tenant(event: EventKind, tenant: &TenantName, by: &str, at: Timestamp) -> Self {
        Self::new(event, at, tenant, by)
    }

    /// That a namespace holds nearly all of its quota.
    #[must_use]
    pub fn of_quota(
        (tenant, namespace, cluster): (&TenantName, &NamespaceName, &ClusterId),
        used: Vec<KeyUse>,
        at: Timestamp,
    ) -> Self {
        let mut notice = Self::new(EventKind::QuotaHigh, at, tenant, "berth");
        notice.data.namespace = Some(namespace.clone());
        notice.data.cluster = Some(cluster.clone());
        notice.data.used = Some(used);
        notice
    }

    /// That somebody says that their password is forgotten: a platform admin makes sure who it is, and sends them a link.
    #[must_use]
    pub fn of_forgotten(user: &UserName, network: String, at: Timestamp) -> Self {
        let data = Data { user: Some(user.to_string()), network: Some(network), ..Data::default() };
        Self { event: EventKind::PasswordForgotten, at, data }
    }

    /// That something was done to an account: for its owner alone.
    #[must_use]
    pub fn of_account(event: EventKind, user: &UserName, at: Timestamp) -> Self {
        Self { event, at, data: Data { user: Some(user.to_string()), ..Data::default() } }
    }

    /// That somebody tries a webhook.
    #[must_use]
    pub fn of_test(tenant: Option<&TenantName>, by: String, at: Timestamp) -> Self {
        Self { event: EventKind::Test, at, data: Data { tenant: tenant.cloned(), by: Some(by), ..Data::default() } }
    }

    /// Where one sees more of it in the portal.
    #[must_use]
    pub fn path(&self) -> String {
        let data = &self.data;
        let Some(tenant) = &data.tenant else {
            let user = data.user.as_deref().unwrap_or_default();
            return if self.event == EventKind::Test { "/admin".to_owned() } else { format!("/admin/people/{user}") };
        };
        match (self.event, data.request, &data.namespace) {
            (EventKind::AccessWaiting | EventKind::AccessDecided, ..) => format!("/t/{tenant}/members"),
            (EventKind::QuotaHigh, _, Some(namespace)) => format!("/t/{tenant}/n/{namespace}/quota"),
            (_, Some(request), _) => format!("/t/{tenant}/quota/requests/{request}"),
            _ => format!("/t/{tenant}"),
        }
    }

    /// As a webhook gets it, in the form of <https://www.standardwebhooks.com>; `site` is the portal's address.
    #[must_use]
    pub fn payload(&self, site: Option<&str>) -> Value {
        let mut data = serde_json::to_value(&self.data).unwrap_or_default();
        if let (Some(site), Some(data)) = (site, data.as_object_mut()) {
            data.insert("link".to_owned(), format!("{}{}", site.trim_end_matches('/'), self.path()).into());
        }
        json!({ "type": self.event, "timestamp": self.at, "data": data })
    }
}

/// Hands notices on, beside the webhooks.
pub trait Notices: Send + Sync {
    /// Takes a notice, at once: whoever sends it on does so in its own time. The same one may come twice.
    fn tell(&self, notice: &Notice);
}

/// Tells nobody.
pub struct Silent;

impl Notices for Silent {
    fn tell(&self, _: &Notice) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::at;

    #[test]
    fn what_a_receiver_gets() {
        let (tenant, now) = ("shop".parse().unwrap(), at("2026-11-20T08:00:00Z"));
        let loan = (&tenant, &ClusterId::local(), Uuid::nil());
        assert_eq!(Notice::of_loan(loan, LoanStage::Running, now), None);
        let soon = Notice::of_loan(loan, LoanStage::Soon, now).unwrap();
        let link = "https://berth.example.com/t/shop/quota/requests/00000000-0000-0000-0000-000000000000";
        let want = json!({
            "type": "loan.ends_soon", "timestamp": "2026-11-20T08:00:00Z",
            "data": { "tenant": "shop", "cluster": "local", "request": Uuid::nil(), "by": "berth", "link": link },
        });
        assert_eq!(soon.payload(Some("https://berth.example.com/")), want);
        assert!(soon.payload(None)["data"].get("link").is_none());
        // As it is kept.
        let kept = serde_json::to_string(&soon).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&kept).unwrap(), soon);
    }

    #[test]
    fn each_leads_somewhere() {
        let (shop, dev, now) = ("shop".parse().unwrap(), "dev".parse().unwrap(), at("2026-11-20T08:00:00Z"));
        let ann: UserName = "ann".parse().unwrap();
        let asked = Notice::of_access((&shop, Some(&dev)), Uuid::nil(), &ann, TenantRole::Developer, now);
        for (notice, want) in [
            (asked.clone(), "/t/shop/members"),
            (asked.decided(true, &ann), "/t/shop/members"),
            (Notice::of_tenant(EventKind::TenantSuspended, &shop, "root", now), "/t/shop"),
            (Notice::of_quota((&shop, &dev, &ClusterId::local()), Vec::new(), now), "/t/shop/n/dev/quota"),
            (Notice::of_forgotten(&ann, "192.0.2.1".to_owned(), now), "/admin/people/ann"),
            (Notice::of_test(None, "root".to_owned(), now), "/admin"),
            (Notice::of_test(Some(&shop), "olga".to_owned(), now), "/t/shop"),
        ] {
            assert_eq!(notice.path(), want, "{}", notice.event);
        }
    }
}
