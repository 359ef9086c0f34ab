//! What is there of what no quota counts yet: volumes, services, and objects by their number, asked of the cluster as a quota is
//! lowered, which is seldom.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::Result;
use berth_types::{ErrorCode, Quantity, QuotaKey, Resources};
use serde_json::Value;

use crate::{
    KubeCluster,
    error::Target,
    json::{items, listed, text},
    rest::{Rest, encode},
};

/// Of more namespaces than that, all objects of a kind are read at once.
const ONE_BY_ONE: usize = 8;

/// Amounts by key.
type Sum = BTreeMap<String, Quantity>;

/// What a quota counts of an object; as the API server's own evaluators do.
fn counts(resource: &str, group: &str, object: &Value) -> Sum {
    let one = Quantity::units(1);
    let whole = if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") };
    let mut sum = Sum::from([(whole, one)]);
    match (resource, group) {
        ("persistentvolumeclaims", "") => {
            let size = text(object, "/spec/resources/requests/storage").parse().unwrap_or(Quantity::ZERO);
            let class = match text(object, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class") {
                "" => text(object, "/spec/storageClassName"),
                class => class,
            };
            sum.extend([("persistentvolumeclaims".to_owned(), one), ("requests.storage".to_owned(), size)]);
            if !class.is_empty() {
                let of = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
                sum.extend([(of("persistentvolumeclaims"), one), (of("requests.storage"), size)]);
            }
        }
        ("services", "") => {
            let kind = text(object, "/spec/type");
            let ports = i64::try_from(items(object, "/spec/ports").len()).unwrap_or_default();
            let has_ports = match kind {
                "NodePort" => true,
                "LoadBalancer" => object["spec"]["allocateLoadBalancerNodePorts"] != false,
                _ => false,
            };
            sum.insert("services".to_owned(), one);
            sum.insert("services.loadbalancers".to_owned(), Quantity::units((kind == "LoadBalancer").into()));
            sum.insert("services.nodeports".to_owned(), Quantity::units(if has_ports { ports } else { 0 }));
        }
        (plain, "") => {
            sum.insert(plain.to_owned(), one);
        }
        _ => {}
    }
    sum
}

/// Where the objects of a kind stand in the API; none where the cluster has none of that kind.
async fn root(rest: &Rest, group: &str) -> Result<Option<String>> {
    if group.is_empty() {
        return Ok(Some("/api/v1".to_owned()));
    }
    let groups: Value = rest.get(&Target::new("the API", group), "/apis").await?;
    let found = items(&groups, "/groups").iter().find(|one| one["name"] == group);
    let version = found.map(|found| text(found, "/preferredVersion/version"));
    Ok(version.map(|version| format!("/apis/{}/{}", encode(group), encode(version))))
}

/// What must not be listed, or is not there, is not counted.
fn known<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(e) if matches!(e.code(), ErrorCode::ClusterRefused | ErrorCode::Forbidden | ErrorCode::NotFound) => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

impl KubeCluster {
    /// The objects of a kind in these namespaces, as the reader or else as the controller; none where neither may list them.
    async fn objects(&self, (resource, group): (&str, &str), namespaces: &[&str]) -> Result<Option<Vec<Value>>> {
        let target = Target::new("the objects", resource);
        'identity: for rest in [Rest::new(self.connection.reader.clone()), self.controller_rest()] {
            let Some(root) = root(&rest, group).await? else { return Ok(None) };
            let paths: Vec<String> = match namespaces.len() {
                ..=ONE_BY_ONE => {
                    let within = |ns: &&str| format!("{root}/namespaces/{}/{}", encode(ns), encode(resource));
                    namespaces.iter().map(within).collect()
                }
                _ => vec![format!("{root}/{}", encode(resource))],
            };
            let mut all = Vec::new();
            for path in paths {
                match known(rest.get::<Value>(&target, &path).await)? {
                    Some(list) => all.extend_from_slice(listed(&list)),
                    None => continue 'identity,
                }
            }
            return Ok(Some(all));
        }
        Ok(None)
    }

    /// What each namespace has of the keys that can be counted.
    pub(crate) async fn existing_of(&self, namespaces: &[&str], keys: &[QuotaKey]) -> Result<Vec<Resources>> {
        let mut found = vec![Resources::default(); namespaces.len()];
        let kinds: BTreeSet<(&str, &str)> = keys.iter().filter_map(QuotaKey::objects).collect();
        for kind in kinds {
            let Some(all) = self.objects(kind, namespaces).await? else { continue };
            for (namespace, found) in namespaces.iter().zip(&mut found) {
                let mut sum = Sum::new();
                for object in all.iter().filter(|object| text(object, "/metadata/namespace") == *namespace) {
                    for (key, amount) in counts(kind.0, kind.1, object) {
                        let total = sum.entry(key).or_insert(Quantity::ZERO);
                        *total = total.plus(amount);
                    }
                }
                for key in keys.iter().filter(|key| key.objects() == Some(kind)) {
                    found.set(key.clone(), sum.get(key.as_str()).copied().unwrap_or(Quantity::ZERO));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_quota_would_count() {
        let claim =
            json!({ "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "2Gi" } } } });
        let plain = json!({ "spec": { "resources": { "requests": { "storage": "1Gi" } } } });
        let service = |spec: Value| json!({ "spec": spec });
        let ports = json!([{ "port": 80 }, { "port": 443 }]);
        for (kind, object, want) in [
            (
                ("persistentvolumeclaims", ""),
                claim,
                "count/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
                 fast.storageclass.storage.k8s.io/requests.storage=2147483648 persistentvolumeclaims=1 \
                 requests.storage=2147483648",
            ),
            (
                ("persistentvolumeclaims", ""),
                plain,
                "count/persistentvolumeclaims=1 persistentvolumeclaims=1 requests.storage=1073741824",
            ),
            (
                ("services", ""),
                service(json!({ "type": "ClusterIP", "ports": ports })),
                "count/services=1 services=1 services.loadbalancers=0 services.nodeports=0",
            ),
            (
                ("services", ""),
                service(json!({ "type": "LoadBalancer", "ports": ports })),
                "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2",
            ),
            (
                ("services", ""),
                service(json!({ "type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": false })),
                "count/services=1 services=1 services.loadbalancers=1 services.nodeports=0",
            ),
            (("jobs", "batch"), json!({}), "count/jobs.batch=1"),
            (("configmaps", ""), json!({}), "configmaps=1 count/configmaps=1"),
        ] {
            let got = counts(kind.0, kind.1, &object);
            let got: Vec<String> = got.iter().map(|(key, amount)| format!("{key}={amount}")).collect();
            assert_eq!(got.join(" "), want, "{kind:?}");
        }
    }
}
