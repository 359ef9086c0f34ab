//! Which keys of quotas the cluster knows.

use std::collections::BTreeSet;

use berth_core::{Result, ports::cluster::UnknownKey};
use berth_types::{QuotaKey, quota::Needs};
use serde_json::Value;

use crate::{
    KubeCluster,
    error::Target,
    json::{listed, name},
    rest::{Kind, Rest, encode},
};

/// Devices are what has a domain, and is none of Kubernetes' own.
fn is_device(resource: &str) -> bool {
    resource.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

/// Whether a list of an API's resources has `resource`, itself and no part of one (`pods/log`).
fn serves(list: &Value, resource: &str) -> bool {
    list["resources"].as_array().into_iter().flatten().any(|one| one["name"] == resource)
}

impl KubeCluster {
    pub(crate) async fn keys_unknown(&self, keys: &[QuotaKey]) -> Result<Vec<UnknownKey>> {
        let rest = Rest::new(self.connection.reader.clone());
        let mut classes: Option<Vec<String>> = None;
        let mut unknown = Vec::new();
        for key in keys {
            let missing = match key.needs() {
                None => None,
                Some(Needs::Class(class)) => {
                    let known = match &classes {
                        Some(known) => known,
                        None => {
                            let target = Target::new("the storage classes", "");
                            let list: Value = rest.get(&target, &Kind::STORAGE_CLASS.all()).await?;
                            classes.insert(listed(&list).iter().map(name).collect())
                        }
                    };
                    (!known.iter().any(|known| known == class)).then(|| known.clone())
                }
                Some(Needs::Device(device)) => {
                    self.nodes_read()?;
                    let known = self.devices();
                    (!known.contains(device)).then(|| known.into_iter().collect())
                }
                Some(Needs::Counted { resource, group }) => (!counts(&rest, resource, group).await?).then(Vec::new),
            };
            unknown.extend(missing.map(|known| UnknownKey { key: key.clone(), known }));
        }
        Ok(unknown)
    }

    fn devices(&self) -> BTreeSet<String> {
        let nodes = self.cache.nodes(self.clock.now());
        let all = nodes.into_iter().flat_map(|node| node.resources).map(|one| one.resource);
        all.filter(|resource| is_device(resource)).collect()
    }
}

/// Whether there are objects of that kind, in any version of its group.
async fn counts(rest: &Rest, resource: &str, group: &str) -> Result<bool> {
    let target = Target::new("the API", group);
    if group.is_empty() {
        return Ok(serves(&rest.get(&target, "/api/v1").await?, resource));
    }
    // Of a group that there is not, the cluster says that nothing is found; asking for all of them tells it from a failure.
    let groups: Value = rest.get(&target, "/apis").await?;
    let Some(found) = groups["groups"].as_array().into_iter().flatten().find(|one| one["name"] == group) else {
        return Ok(false);
    };
    for version in found["versions"].as_array().into_iter().flatten() {
        let path = format!("/apis/{}/{}", encode(group), encode(version["version"].as_str().unwrap_or_default()));
        if serves(&rest.get(&target, &path).await?, resource) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_a_device() {
        for (resource, device) in [
            ("nvidia.com/gpu", true),
            ("cpu", false),
            ("hugepages-2Mi", false),
            ("attachable-volumes.kubernetes.io/x", false),
        ] {
            assert_eq!(is_device(resource), device, "{resource}");
        }
    }

    #[test]
    fn what_an_api_serves() {
        let list = json!({ "resources": [{ "name": "pods" }, { "name": "pods/log" }] });
        assert!(serves(&list, "pods") && !serves(&list, "log") && !serves(&json!({}), "pods"));
    }
}
