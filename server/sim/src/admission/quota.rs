//! ResourceQuotas: nobody gets more than the namespace has (`apiserver/pkg/admission/plugin/resourcequota`,
//! `pkg/quota/v1/evaluator/core`). Runs under the cluster's write lock, so a check and its charge are one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::forbidden;
use crate::{
    cluster::Cluster,
    controllers::{
        fields::Fields,
        pods::is_finished,
        resources::{self, Amounts, amounts},
    },
    hooks::{Admission, AdmissionRequest, Operation},
    quantity::{Format, Quantity},
    registry::builtin::gr,
    status::Result,
    store::GroupResource,
    strategy::rules::limits::{COMPUTE, COUNTED},
};

/// The plug-in.
pub struct Quota;

/// What one object takes from a quota.
#[must_use]
pub fn usage(resource: &GroupResource, object: &Value) -> Amounts {
    let one = Quantity::from_units(1);
    let mut used = Amounts::new();
    let counted = if resource.group.is_empty() {
        resource.resource.to_string()
    } else {
        format!("{}.{}", resource.resource, resource.group)
    };
    used.insert(format!("count/{counted}"), one);
    if resource.group.is_empty() && COUNTED.contains(&&*resource.resource) && resource != &gr::PODS {
        used.insert(resource.resource.to_string(), one);
    }
    if *resource == gr::PODS {
        if is_finished(object) || expired(object) {
            return used;
        }
        used.insert("pods".to_owned(), one);
        for (name, amount) in resources::requests(object) {
            match name.as_str() {
                "cpu" | "memory" | "ephemeral-storage" => {
                    used.insert(name.clone(), amount);
                    used.insert(format!("requests.{name}"), amount);
                }
                _ if name.contains('/') || name.starts_with("hugepages-") => {
                    used.insert(format!("requests.{name}"), amount);
                    if name.starts_with("hugepages-") {
                        used.insert(name, amount);
                    }
                }
                _ => {}
            }
        }
        for (name, amount) in resources::limits(object) {
            if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                used.insert(format!("limits.{name}"), amount);
            }
        }
    } else if *resource == gr::SERVICES {
        let ports = i64::try_from(object.items("/spec/ports").len()).unwrap_or_default();
        match object.text("/spec/type") {
            "NodePort" => {
                used.insert("services.nodeports".to_owned(), Quantity::from_units(ports));
            }
            "LoadBalancer" => {
                let nodeports =
                    if object.at("/spec/allocateLoadBalancerNodePorts").as_bool() == Some(false) { 0 } else { ports };
                used.insert("services.loadbalancers".to_owned(), one);
                used.insert("services.nodeports".to_owned(), Quantity::from_units(nodeports));
            }
            _ => {}
        }
    } else if *resource == gr::PERSISTENT_VOLUME_CLAIMS {
        let class = object.text("/spec/storageClassName");
        let size = Quantity::lenient(object.at("/spec/resources/requests").get("storage"));
        used.insert("requests.storage".to_owned(), size);
        if !class.is_empty() {
            used.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one);
            used.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
        }
    }
    used
}

/// A pod past its deletion, which no longer counts.
fn expired(pod: &Value) -> bool {
    pod.deleting() && pod.int("/metadata/deletionGracePeriodSeconds") == Some(0)
}

/// Whether the scopes of a quota include an object.
#[must_use]
pub fn matches_scopes(quota: &Value, resource: &GroupResource, object: &Value) -> bool {
    let simple = quota
        .items("/spec/scopes")
        .iter()
        .filter_map(Value::as_str)
        .map(|scope| json!({"scopeName": scope, "operator": "Exists"}));
    let all: Vec<Value> = simple.chain(quota.items("/spec/scopeSelector/matchExpressions").iter().cloned()).collect();
    if all.is_empty() {
        return true;
    }
    if *resource != gr::PODS {
        return false;
    }
    all.iter().all(|scope| match scope.text("/scopeName") {
        "Terminating" => object.int("/spec/activeDeadlineSeconds").is_some(),
        "NotTerminating" => object.int("/spec/activeDeadlineSeconds").is_none(),
        "BestEffort" => resources::qos_class(object) == "BestEffort",
        "NotBestEffort" => resources::qos_class(object) != "BestEffort",
        "PriorityClass" => {
            let class = object.text("/spec/priorityClassName");
            let listed = scope.items("/values").iter().any(|value| value == class);
            match scope.text("/operator") {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => {
            let crosses =
                |term: &Value| !term.items("/namespaces").is_empty() || term.at("/namespaceSelector").is_object();
            ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
                let affinity = object.at("/spec/affinity").get(kind).cloned().unwrap_or_default();
                affinity.items("/requiredDuringSchedulingIgnoredDuringExecution").iter().any(crosses)
                    || affinity
                        .items("/preferredDuringSchedulingIgnoredDuringExecution")
                        .iter()
                        .any(|entry| crosses(entry.at("/podAffinityTerm")))
            })
        }
        _ => false,
    })
}

/// The resources whose objects a quota counts.
fn counted_resources(cluster: &Cluster, hard: &Amounts) -> BTreeSet<GroupResource> {
    let mut out = BTreeSet::new();
    for name in hard.keys() {
        if let Some(counted) = name.strip_prefix("count/") {
            let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
            let id = GroupResource::owned(group, resource);
            if cluster.registry.get(&id).is_some() {
                out.insert(id);
            }
        } else if name.starts_with("services") {
            out.insert(gr::SERVICES);
        } else if name.ends_with("persistentvolumeclaims") || name.ends_with("requests.storage") {
            out.insert(gr::PERSISTENT_VOLUME_CLAIMS);
        } else if COUNTED.contains(&name.as_str()) {
            out.insert(GroupResource::owned("", name.clone()));
        } else {
            out.insert(gr::PODS);
        }
    }
    out
}

/// What a quota's namespace uses of what it limits, from the objects that exist.
#[must_use]
pub fn recount(cluster: &Cluster, quota: &Value) -> Amounts {
    let hard = amounts(quota.at("/spec/hard"));
    let mut used: Amounts = hard.keys().map(|name| (name.clone(), resources::zero_of(name))).collect();
    for resource in counted_resources(cluster, &hard) {
        for object in cluster.list(&resource, Some(quota.namespace())) {
            if !matches_scopes(quota, &resource, &object) {
                continue;
            }
            for (name, amount) in usage(&resource, &object) {
                if let Some(total) = used.get_mut(&name) {
                    *total += amount;
                }
            }
        }
    }
    used
}

impl Admission for Quota {
    fn validate(&self, request: &AdmissionRequest<'_>, object: &Value) -> Result<()> {
        if !matches!(request.operation, Operation::Create | Operation::Update)
            || request.subresource.is_some_and(|subresource| subresource != "resize")
            || request.namespace.is_empty()
        {
            return Ok(());
        }
        // Only these change what they take after they were made.
        let resource = &request.resource.id;
        let changes = [gr::PODS, gr::SERVICES, gr::PERSISTENT_VOLUME_CLAIMS].contains(resource);
        if request.operation == Operation::Update && !changes {
            return Ok(());
        }
        let quotas = request.cluster.list(&gr::RESOURCE_QUOTAS, Some(request.namespace));
        if quotas.is_empty() {
            return Ok(());
        }
        let asked = usage(resource, object);
        let before = request.old.map(|old| usage(resource, old)).unwrap_or_default();
        let mut charges = Vec::new();
        for quota in quotas {
            let hard = amounts(quota.at("/spec/hard"));
            if !hard
                .keys()
                .any(|name| asked.contains_key(name) || resource == &gr::PODS && COMPUTE.contains(&name.as_str()))
                || !matches_scopes(&quota, resource, object)
            {
                continue;
            }
            if *resource == gr::PODS && request.operation == Operation::Create {
                let unstated = unstated(&hard, object);
                if !unstated.is_empty() {
                    return Err(forbidden(
                        request,
                        object,
                        &format!("failed quota: {}: must specify {unstated}", quota.name()),
                    ));
                }
            }
            let counted_before = request.old.is_some_and(|old| matches_scopes(&quota, resource, old));
            let mut delta = Amounts::new();
            for (name, amount) in asked.iter().filter(|(name, _)| hard.contains_key(*name)) {
                let old = if counted_before { before.get(name).copied().unwrap_or_default() } else { Quantity::ZERO };
                if *amount > old {
                    delta.insert(name.clone(), *amount - old);
                }
            }
            if delta.is_empty() {
                continue;
            }
            let known = quota.at("/status/used").is_object() && quota.at("/status/hard") == quota.at("/spec/hard");
            let used = if known { amounts(quota.at("/status/used")) } else { recount(request.cluster, &quota) };
            let mut after = used.clone();
            resources::add(&mut after, &delta);
            let exceeded: BTreeSet<&String> = delta.keys().filter(|name| after.get(*name) > hard.get(*name)).collect();
            if !exceeded.is_empty() {
                let only = |list: &Amounts| {
                    let some: BTreeMap<String, Quantity> = list
                        .iter()
                        .filter(|(name, _)| exceeded.contains(name))
                        .map(|(name, amount)| (name.clone(), *amount))
                        .collect();
                    resources::print(&some)
                };
                let why = format!(
                    "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                    quota.name(),
                    only(&delta),
                    only(&used),
                    only(&hard)
                );
                return Err(forbidden(request, object, &why));
            }
            charges.push((quota, after));
        }
        if request.dry_run {
            return Ok(());
        }
        let writer = request.cluster.component("kube-apiserver");
        for (quota, after) in charges {
            let hard = quota.at("/spec/hard").clone();
            writer.modify_status(&gr::RESOURCE_QUOTAS, quota.namespace(), quota.name(), |value| {
                value["status"] = json!({"hard": hard, "used": tidy(&after)});
            })?;
        }
        Ok(())
    }
}

/// A resource list with byte counts printed in binary units.
#[must_use]
pub fn tidy(list: &Amounts) -> Value {
    let printed: Amounts = list
        .iter()
        .map(|(name, amount)| {
            let bytes = resources::zero_of(name).format() == Format::BinarySi && amount.is_zero();
            (name.clone(), if bytes { Quantity::ZERO } else { *amount })
        })
        .collect();
    resources::to_json(&printed)
}

/// `limits.cpu for: a,b; limits.memory for: a`: what containers must state but do not.
fn unstated(hard: &Amounts, pod: &Value) -> String {
    let mut missing = BTreeMap::<&str, BTreeSet<&str>>::new();
    for container in pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers")) {
        for name in hard.keys().map(String::as_str).filter(|name| COMPUTE.contains(name)) {
            let (list, resource) = name.split_once('.').unwrap_or(("requests", name));
            if container.at("/resources").get(list).and_then(|list| list.get(resource)).is_none() {
                missing.entry(name).or_default().insert(container.text("/name"));
            }
        }
    }
    missing
        .into_iter()
        .map(|(name, containers)| format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(",")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_objects_take() {
        let pod = json!({"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}}]}});
        let printed = |resource: &GroupResource, object: &Value| resources::print(&usage(resource, object));
        assert_eq!(
            printed(&gr::PODS, &pod),
            "count/pods=1,cpu=1,limits.cpu=2,memory=1Gi,pods=1,requests.cpu=1,requests.memory=1Gi"
        );
        let mut done = pod;
        done["status"] = json!({"phase": "Succeeded"});
        assert_eq!(printed(&gr::PODS, &done), "count/pods=1");
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "5Gi"}}}});
        assert_eq!(
            printed(&gr::PERSISTENT_VOLUME_CLAIMS, &claim),
            "count/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/persistentvolumeclaims=1,fast.storageclass.storage.k8s.io/requests.storage=5Gi,persistentvolumeclaims=1,requests.storage=5Gi"
        );
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        assert_eq!(
            printed(&gr::SERVICES, &service),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
        );
        assert_eq!(printed(&gr::DEPLOYMENTS, &json!({})), "count/deployments.apps=1");
    }

    #[test]
    fn what_pods_must_state() {
        let hard = amounts(&json!({"limits.cpu": "1", "requests.memory": "1Gi", "pods": "3"}));
        let pod =
            json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "resources": {"limits": {"cpu": "1"}}}]}});
        assert_eq!(unstated(&hard, &pod), "limits.cpu for: b; requests.memory for: a,b");
    }
}
