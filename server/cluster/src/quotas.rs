//! What limits a tenant's namespace: ResourceQuota `berth`, and LimitRange `berth` with defaults for containers.
//!
//! A quota of CPU, memory or the node's disk refuses pods whose containers do not say how much they want, and many charts do not: so what is limited
//! gets a default, and only that (a default limit would refuse containers that ask for more than it and name no limit).

use berth_core::{Error, Result, ports::cluster::DesiredQuota};
use berth_types::{ErrorCode, Quantity, Resources};
use serde_json::{Map, Value, json};

use crate::{
    drift::Notes,
    error::Target,
    meta,
    namespaces::{agrees, applied, find},
    rest::{Kind, Rest},
};

/// Both objects are called so.
const NAME: &str = "berth";

fn resource_quota(namespace: &str, hard: &Resources) -> Value {
    json!({
        "apiVersion": Kind::QUOTA.api_version,
        "kind": Kind::QUOTA.kind,
        "metadata": { "name": NAME, "namespace": namespace, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "spec": { "hard": hard },
    })
}

/// Defaults for what `quota` limits of CPU, memory and the node's disk; `None` when it limits nothing of these.
fn limit_range(namespace: &str, quota: &DesiredQuota) -> Option<Value> {
    let DesiredQuota { hard, defaults } = quota;
    let kinds = [
        ("cpu", &defaults.cpu_request, &defaults.cpu_limit),
        ("memory", &defaults.memory_request, &defaults.memory_limit),
        ("ephemeral-storage", &defaults.ephemeral_storage_request, &defaults.ephemeral_storage_limit),
    ];
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for (resource, request, limit) in kinds {
        let is_limited = |of: &str| hard.get(&format!("{of}.{resource}")).is_some();
        // The cluster would take a default limit for the default request too: so it is said wherever there is a limit.
        if is_limited("requests") || is_limited("limits") {
            requests.insert(resource.to_owned(), json!(request));
        }
        if is_limited("limits") {
            limits.insert(resource.to_owned(), json!(limit));
        }
    }
    if requests.is_empty() {
        return None;
    }
    let mut rule = json!({ "type": "Container", "defaultRequest": requests });
    if !limits.is_empty() {
        rule["default"] = Value::Object(limits);
    }
    Some(json!({
        "apiVersion": Kind::LIMIT_RANGE.api_version,
        "kind": Kind::LIMIT_RANGE.kind,
        "metadata": { "name": NAME, "namespace": namespace, "labels": { meta::MANAGED_BY: meta::BERTH } },
        "spec": { "limits": [rule] },
    }))
}

/// Makes the cluster enforce `quota` in a namespace, or nothing.
pub(crate) async fn keep_quota(
    rest: &Rest,
    notes: &mut Notes,
    namespace: &str,
    quota: Option<&DesiredQuota>,
) -> Result<()> {
    let range = quota.and_then(|quota| limit_range(namespace, quota));
    let wanted = quota.map(|quota| resource_quota(namespace, &quota.hard));
    // Defaults are there before the quota demands them, and gone only after it.
    if wanted.is_some() {
        keep(rest, notes, Kind::LIMIT_RANGE, namespace, range.as_ref()).await?;
        return keep(rest, notes, Kind::QUOTA, namespace, wanted.as_ref()).await;
    }
    keep(rest, notes, Kind::QUOTA, namespace, None).await?;
    keep(rest, notes, Kind::LIMIT_RANGE, namespace, None).await
}

/// Makes the object of a kind what is wanted; without one, removes what is Berth's.
async fn keep(rest: &Rest, notes: &mut Notes, kind: Kind, namespace: &str, wanted: Option<&Value>) -> Result<()> {
    let target = Target::new(kind.kind, NAME);
    let path = kind.at(namespace, NAME);
    let have = find(rest, kind, namespace, NAME).await?;
    let Some(wanted) = wanted else {
        let ours = have.filter(|have| have["metadata"]["labels"][meta::MANAGED_BY] == meta::BERTH);
        if let Some(ours) = ours
            && gone(rest.delete(&target, &path, &json!({})).await)?
        {
            notes.removed(kind, NAME, &ours);
        }
        return Ok(());
    };
    notes.wants(wanted);
    if let Some(have) = &have {
        if have["metadata"]["labels"][meta::MANAGED_BY] == meta::BERTH && same(&wanted["spec"], &have["spec"]) {
            return Ok(());
        }
        // Which pods a quota counts cannot be changed: one made by hand gives way.
        if have["spec"]["scopes"].is_array() || have["spec"]["scopeSelector"].is_object() {
            gone(rest.delete(&target, &path, &json!({})).await)?;
        } else if let Some(surplus) = surplus(&wanted["spec"], &have["spec"]) {
            rest.merge(&target, &path, &surplus).await?;
        }
    }
    rest.apply(&target, &applied(kind, namespace, NAME), wanted).await?;
    notes.wrote(kind, NAME, have.as_ref());
    Ok(())
}

pub(crate) fn gone(deleted: Result<Value>) -> Result<bool, Error> {
    match deleted {
        Ok(_) => Ok(true),
        Err(e) if e.code() == ErrorCode::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether two specs say the same. The cluster writes quantities its own way (`1Gi` for `1024Mi`), and nothing may stand there
/// besides: what Berth does not limit is not limited.
fn same(wanted: &Value, have: &Value) -> bool {
    match (wanted, have) {
        (Value::Object(wanted), Value::Object(have)) => {
            wanted.len() == have.len()
                && wanted.iter().all(|(key, value)| have.get(key).is_some_and(|have| same(value, have)))
        }
        (Value::Array(wanted), Value::Array(have)) => {
            wanted.len() == have.len() && wanted.iter().zip(have).all(|(wanted, have)| same(wanted, have))
        }
        (Value::String(wanted), Value::String(have)) => {
            let amount = |text: &str| text.parse::<Quantity>().ok();
            wanted == have || amount(wanted).is_some_and(|wanted| amount(have) == Some(wanted))
        }
        _ => agrees(wanted, have),
    }
}

/// The merge patch that takes away what stands in a quota's `have` and is not `wanted`: server-side apply removes only fields of
/// its own.
fn surplus(wanted: &Value, have: &Value) -> Option<Value> {
    let keys = have["hard"].as_object()?.keys().filter(|key| wanted["hard"].get(key.as_str()).is_none());
    let nulls: Map<String, Value> = keys.map(|key| (key.clone(), Value::Null)).collect();
    (!nulls.is_empty()).then(|| json!({ "spec": { "hard": nulls } }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quota(pairs: &[(&str, &str)]) -> DesiredQuota {
        let written = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        DesiredQuota { hard: Resources::read("r", &written).unwrap(), defaults: Default::default() }
    }

    #[test]
    fn defaults_only_of_what_is_limited() {
        for (hard, want) in [
            (&[("pods", "3")][..], None),
            (&[("requests.cpu", "1")], Some(json!({"type": "Container", "defaultRequest": {"cpu": "100m"}}))),
            (
                &[("limits.ephemeral-storage", "10Gi"), ("requests.storage", "1Ti")],
                Some(json!({
                    "type": "Container",
                    "defaultRequest": {"ephemeral-storage": "128Mi"},
                    "default": {"ephemeral-storage": "1Gi"},
                })),
            ),
            (
                &[("requests.cpu", "1"), ("limits.memory", "1Gi")],
                Some(json!({
                    "type": "Container",
                    "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                    "default": {"memory": "512Mi"},
                })),
            ),
        ] {
            let range = limit_range("n", &quota(hard)).map(|range| range["spec"]["limits"][0].clone());
            assert_eq!(range, want, "{hard:?}");
        }
    }

    #[test]
    fn what_says_the_same() {
        for (have, want) in [
            (json!({"hard": {"requests.memory": "1Gi", "pods": "2k"}}), true),
            (json!({"hard": {"requests.memory": "1Gi", "pods": "2001"}}), false),
            (json!({"hard": {"requests.memory": "1Gi"}}), false),
            (json!({"hard": {"requests.memory": "1Gi", "pods": "2k", "secrets": "1"}}), false),
            (json!({}), false),
        ] {
            let wanted = json!({"hard": {"requests.memory": "1024Mi", "pods": "2000"}});
            assert_eq!(same(&wanted, &have), want, "{have}");
        }
        let (wanted, have) = (json!({"hard": {"pods": "1"}}), json!({"hard": {"pods": "1", "secrets": "1"}}));
        assert_eq!(surplus(&wanted, &have), Some(json!({"spec": {"hard": {"secrets": null}}})));
        assert_eq!(surplus(&wanted, &wanted), None);
    }
}
