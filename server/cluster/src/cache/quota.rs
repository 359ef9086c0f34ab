//! ResourceQuotas: what a namespace may use, and uses.

use std::{collections::BTreeMap, sync::Arc};

use berth_types::{Quantity, rows::UsageRow};
use serde::Deserialize;

use super::{
    pod::WireMeta,
    store::{Entry, Record},
};
use crate::intern::Interner;

/// A quota, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct WireQuota {
    metadata: WireMeta<serde::de::IgnoredAny>,
    #[serde(default)]
    spec: WireHard,
    #[serde(default)]
    status: WireHard,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireHard {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
    scopes: Vec<String>,
    scope_selector: Option<serde::de::IgnoredAny>,
}

/// A quota in the cache.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuotaRecord {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
    /// It counts a part of the pods only.
    scoped: bool,
}

impl Record for QuotaRecord {
    type Wire = WireQuota;

    fn decode(quota: WireQuota, strings: &Interner) -> Option<Entry<Self>> {
        let meta = &quota.metadata;
        let name: Arc<str> = (!meta.name.is_empty()).then(|| meta.name.as_str().into())?;
        let row = Self {
            hard: quota.spec.hard,
            used: quota.status.used,
            scoped: !quota.spec.scopes.is_empty() || quota.spec.scope_selector.is_some(),
        };
        let version = meta.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: strings.get(&meta.namespace), name, version, row })
    }

    fn app(&self) -> Option<&Arc<str>> {
        None
    }
}

/// What the quotas of a namespace come to: of several limits on a resource, the one with least room.
pub(crate) fn usage<'a>(quotas: impl Iterator<Item = &'a QuotaRecord>) -> Vec<UsageRow> {
    let parse = |text: &str| text.parse::<Quantity>().unwrap_or_default();
    let mut rows: BTreeMap<&str, UsageRow> = BTreeMap::new();
    for quota in quotas.filter(|q| !q.scoped) {
        for (resource, limit) in &quota.hard {
            let used = quota.used.get(resource).map_or("0", String::as_str);
            let room = parse(limit).minus(parse(used));
            let tighter = rows
                .get(resource.as_str())
                .is_none_or(|row| room < parse(row.limit.as_deref().unwrap_or("0")).minus(parse(&row.used)));
            if tighter {
                let row = UsageRow { resource: resource.clone(), used: used.to_owned(), limit: Some(limit.clone()) };
                rows.insert(resource, row);
            }
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tightest_counts() {
        let quota = |hard: serde_json::Value, used: serde_json::Value, scopes: serde_json::Value| {
            let object = json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"hard": hard, "scopes": scopes}, "status": {"hard": hard, "used": used}});
            QuotaRecord::decode(serde_json::from_value(object).expect("a quota"), &Interner::default())
                .expect("a row")
                .row
        };
        let quotas = [
            quota(json!({"requests.cpu": "4", "pods": "10"}), json!({"requests.cpu": "500m", "pods": "9"}), json!([])),
            quota(json!({"requests.cpu": "2"}), json!({"requests.cpu": "500m"}), json!([])),
            quota(json!({"pods": "1"}), json!({"pods": "1"}), json!(["BestEffort"])),
        ];
        let rows: Vec<(String, String, Option<String>)> =
            usage(quotas.iter()).into_iter().map(|r| (r.resource, r.used, r.limit)).collect();
        assert_eq!(
            rows,
            [("pods".into(), "9".into(), Some("10".into())), ("requests.cpu".into(), "500m".into(), Some("2".into())),]
        );
    }
}
