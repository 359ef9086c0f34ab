//! Namespaces: what each has from the start, and how one ends (`pkg/controller/namespace`,
//! `pkg/controller/serviceaccount`, `pkg/controller/certificates/rootcacertpublisher`).

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, set_condition},
};
use crate::{
    cluster::DeleteOptions,
    registry::builtin::gr,
    status::Result,
    store::{Event, EventKind, ObjectRef},
};

/// Name of the ConfigMap with the cluster's certificate authority.
const ROOT_CA: &str = "kube-root-ca.crt";

/// Gives each namespace its `default` service account and the cluster's certificate.
pub struct NamespaceDefaults {
    /// The certificate authority in PEM.
    pub certificate: String,
}

impl Controller for NamespaceDefaults {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn observe(&mut self, event: &Event, _: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::NAMESPACES && event.kind != EventKind::Deleted {
            wake.push(Key::of(event));
        } else if event.kind == EventKind::Deleted && event.resource == gr::SERVICE_ACCOUNTS && event.name == "default"
            || event.resource == gr::CONFIG_MAPS && event.name == ROOT_CA
        {
            wake.push(Key::new("", &event.namespace));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let namespace = &*key.name;
        let active = cx
            .cluster
            .find(&gr::NAMESPACES, "", namespace)
            .is_some_and(|object| !object.deleting() && object.text("/status/phase") != "Terminating");
        if !active {
            return Ok(None);
        }
        if cx.cluster.find(&gr::SERVICE_ACCOUNTS, namespace, "default").is_none() {
            cx.cluster.create(&gr::SERVICE_ACCOUNTS, namespace, json!({"metadata": {"name": "default"}}))?;
        }
        let data = json!({"ca.crt": self.certificate});
        match cx.cluster.find(&gr::CONFIG_MAPS, namespace, ROOT_CA) {
            Some(map) if *map.at("/data") == data => {}
            Some(_) => {
                cx.cluster.modify(&gr::CONFIG_MAPS, namespace, ROOT_CA, |map| map["data"] = data)?;
            }
            None => {
                let about = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
                cx.cluster.create(
                    &gr::CONFIG_MAPS,
                    namespace,
                    json!({"metadata": {"name": ROOT_CA, "annotations": {"kubernetes.io/description": about}}, "data": data}),
                )?;
            }
        }
        Ok(None)
    }
}

/// Empties namespaces that are being deleted, then lets them go.
#[derive(Default)]
pub struct NamespaceTermination;

impl Controller for NamespaceTermination {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::NAMESPACES {
            if event.object.deleting() && event.kind != EventKind::Deleted {
                wake.push(Key::of(event));
            }
        } else if !event.namespace.is_empty()
            && (event.kind == EventKind::Deleted || event.object.deleting())
            && cx.cluster.find(&gr::NAMESPACES, "", &event.namespace).is_some_and(|namespace| namespace.deleting())
        {
            wake.push(Key::new("", &event.namespace));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let name = &*key.name;
        let Some(namespace) = cx.cluster.find(&gr::NAMESPACES, "", name).filter(|namespace| namespace.deleting())
        else {
            return Ok(None);
        };
        if !namespace.items("/spec/finalizers").iter().any(|finalizer| finalizer == "kubernetes") {
            return Ok(None);
        }
        let mut failures = Vec::new();
        for (resource, object) in contents(cx, name) {
            if object.deleting() {
                continue;
            }
            // Pods keep their grace; everything else goes at once, dependents after it.
            match cx.cluster.delete(&resource, name, object.name(), &DeleteOptions::default()) {
                Err(status) if !status.is_not_found() => failures.push(status.message),
                _ => {}
            }
        }
        let left = contents(cx, name);
        report(cx, &namespace, &left, &failures)?;
        if left.is_empty() && failures.is_empty() {
            let finalized = cx.cluster.modify(&gr::NAMESPACES, "", name, |value| {
                let kept: Vec<Value> = value
                    .items("/spec/finalizers")
                    .iter()
                    .filter(|finalizer| *finalizer != "kubernetes")
                    .cloned()
                    .collect();
                value["spec"]["finalizers"] = json!(kept);
            });
            return match finalized {
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(None),
            };
        }
        Ok(cx.now.checked_add(std::time::Duration::from_secs(5)).ok())
    }
}

/// Everything in a namespace, pods last so that their owners do not make new ones.
fn contents(cx: &Context<'_>, namespace: &str) -> Vec<(crate::store::GroupResource, ObjectRef)> {
    let mut out: Vec<_> = cx
        .cluster
        .registry
        .all()
        .into_iter()
        .filter(|resource| resource.namespaced)
        .flat_map(|resource| {
            let id = resource.id.clone();
            cx.cluster
                .list(&id, Some(namespace))
                .into_iter()
                .map(move |object| (id.clone(), object))
                .collect::<Vec<_>>()
        })
        .collect();
    out.sort_by_key(|(resource, _)| *resource == gr::PODS);
    out
}

fn report(
    cx: &Context<'_>,
    namespace: &Value,
    left: &[(crate::store::GroupResource, ObjectRef)],
    failures: &[String],
) -> Result<()> {
    let mut conditions = namespace.items("/status/conditions").to_vec();
    let mut put = |kind: &str, bad: Option<(&str, String)>, good: (&str, &str)| match bad {
        Some((reason, message)) => set_condition(&mut conditions, kind, "True", reason, &message, cx.now),
        None => set_condition(&mut conditions, kind, "False", good.0, good.1, cx.now),
    };
    put("NamespaceDeletionDiscoveryFailure", None, ("ResourcesDiscovered", "All resources successfully discovered"));
    put(
        "NamespaceDeletionGroupVersionParsingFailure",
        None,
        ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    );
    put(
        "NamespaceDeletionContentFailure",
        (!failures.is_empty()).then(|| {
            (
                "ContentDeletionFailed",
                format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", ")),
            )
        }),
        ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    );
    let count = |pick: &dyn Fn(&(crate::store::GroupResource, ObjectRef)) -> Vec<String>| {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for name in left.iter().flat_map(pick) {
            *counts.entry(name).or_default() += 1;
        }
        counts
    };
    let remaining: Vec<String> = count(&|(resource, _)| {
        vec![if resource.group.is_empty() { format!("{}.", resource.resource) } else { resource.to_string() }]
    })
    .into_iter()
    .map(|(name, count)| format!("{name} has {count} resource instances"))
    .collect();
    put(
        "NamespaceContentRemaining",
        (!remaining.is_empty())
            .then(|| ("SomeResourcesRemain", format!("Some resources are remaining: {}", remaining.join(", ")))),
        ("ContentRemoved", "All content successfully removed"),
    );
    let finalizers: Vec<String> = count(&|(_, object)| {
        object.items("/metadata/finalizers").iter().filter_map(Value::as_str).map(str::to_owned).collect()
    })
    .into_iter()
    .map(|(name, count)| format!("{name} in {count} resource instances"))
    .collect();
    put(
        "NamespaceFinalizersRemaining",
        (!finalizers.is_empty()).then(|| {
            (
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {}", finalizers.join(", ")),
            )
        }),
        ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    );
    if namespace.items("/status/conditions") == conditions.as_slice() {
        return Ok(());
    }
    match cx
        .cluster
        .modify_status(&gr::NAMESPACES, "", namespace.name(), |value| value["status"]["conditions"] = json!(conditions))
    {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
