//! Lookups that a list would make slow: dependents of an owner, owners by uid, pods of a node.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{
    fields::Fields,
    labels::{Labelled, Selectors},
};
use crate::{
    registry::builtin::gr,
    store::{Event, EventKind, GroupResource},
};

/// Where an object is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Its resource.
    pub resource: GroupResource,
    /// Its namespace, "" for cluster-wide ones.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Kept up to date from the store's events.
#[derive(Default)]
pub struct Index {
    by_uid: HashMap<String, Location>,
    dependents: HashMap<String, BTreeSet<Location>>,
    pods_by_node: HashMap<String, BTreeSet<(String, String)>>,
    /// Names of the pods without a controller, by namespace.
    orphans: HashMap<String, BTreeSet<String>>,
    /// The same for ReplicaSets.
    orphan_sets: HashMap<String, BTreeSet<String>>,
    pods: Labelled,
    services: Selectors,
    budgets: Selectors,
    sets: Selectors,
}

impl Index {
    /// Takes note of a change.
    pub fn apply(&mut self, event: &Event) {
        if event.resource == gr::EVENTS {
            return;
        }
        self.apply_labels(event);
        let at =
            Location { resource: event.resource.clone(), namespace: event.namespace.clone(), name: event.name.clone() };
        if let Some(previous) = event.previous.as_deref() {
            for owner in previous.items("/metadata/ownerReferences") {
                remove(&mut self.dependents, owner.text("/uid"), &at);
            }
            if event.resource == gr::PODS {
                remove(
                    &mut self.pods_by_node,
                    previous.text("/spec/nodeName"),
                    &(at.namespace.clone(), at.name.clone()),
                );
            }
            if self.by_uid.get(previous.uid()) == Some(&at) {
                self.by_uid.remove(previous.uid());
            }
        }
        if event.kind == EventKind::Deleted {
            for owner in event.object.items("/metadata/ownerReferences") {
                remove(&mut self.dependents, owner.text("/uid"), &at);
            }
            if event.resource == gr::PODS {
                remove(
                    &mut self.pods_by_node,
                    event.object.text("/spec/nodeName"),
                    &(at.namespace.clone(), at.name.clone()),
                );
                remove(&mut self.orphans, &at.namespace, &at.name);
            }
            if event.resource == gr::REPLICA_SETS {
                remove(&mut self.orphan_sets, &at.namespace, &at.name);
            }
            self.by_uid.remove(event.object.uid());
            return;
        }
        for owner in event.object.items("/metadata/ownerReferences") {
            self.dependents.entry(owner.text("/uid").to_owned()).or_default().insert(at.clone());
        }
        if event.resource == gr::PODS {
            if event.object.controller().is_none() {
                self.orphans.entry(at.namespace.clone()).or_default().insert(at.name.clone());
            } else {
                remove(&mut self.orphans, &at.namespace, &at.name);
            }
            let node = event.object.text("/spec/nodeName");
            if !node.is_empty() {
                self.pods_by_node.entry(node.to_owned()).or_default().insert((at.namespace.clone(), at.name.clone()));
            }
        }
        if event.resource == gr::REPLICA_SETS {
            if event.object.controller().is_none() {
                self.orphan_sets.entry(at.namespace.clone()).or_default().insert(at.name.clone());
            } else {
                remove(&mut self.orphan_sets, &at.namespace, &at.name);
            }
        }
        self.by_uid.insert(event.object.uid().to_owned(), at);
    }

    fn apply_labels(&mut self, event: &Event) {
        let (namespace, name) = (&event.namespace, &event.name);
        let gone = event.kind == EventKind::Deleted;
        if event.resource == gr::PODS {
            let labels = event.object.at("/metadata/labels");
            let before = event.previous.as_deref().map(|old| old.at("/metadata/labels"));
            if gone || before.is_some_and(|before| before != labels) {
                self.pods.remove(namespace, name, before.unwrap_or(labels));
            }
            if !gone && before != Some(labels) {
                self.pods.add(namespace, name, labels);
            }
            return;
        }
        let (selectors, wanted) = if event.resource == gr::SERVICES {
            (&mut self.services, "/spec/selector")
        } else if event.resource == gr::POD_DISRUPTION_BUDGETS {
            (&mut self.budgets, "/spec/selector/matchLabels")
        } else if event.resource == gr::REPLICA_SETS {
            (&mut self.sets, "/spec/selector/matchLabels")
        } else {
            return;
        };
        if gone {
            selectors.remove(namespace, name);
        } else if event.previous.as_deref().is_none_or(|old| old.at(wanted) != event.object.at(wanted)) {
            selectors.add(namespace, name, event.object.at(wanted));
        }
    }

    /// Names of the pods of a namespace that a `metav1.LabelSelector` may select.
    pub fn pods_for(&self, namespace: &str, selector: &Value) -> impl Iterator<Item = &str> {
        self.pods.candidates(namespace, selector).map(|name| &**name)
    }

    /// Names of the pods of a namespace that a map of labels may select.
    pub fn pods_for_map(&self, namespace: &str, wanted: &Value) -> impl Iterator<Item = &str> {
        self.pods.candidates_of_map(namespace, wanted).map(|name| &**name)
    }

    /// Names of the objects of a resource whose selector may select these labels. Known for Services,
    /// PodDisruptionBudgets and ReplicaSets; nothing for others.
    pub fn selecting<'a>(
        &'a self,
        resource: &GroupResource,
        namespace: &'a str,
        labels: &'a Value,
    ) -> impl Iterator<Item = &'a str> {
        let selectors = if *resource == gr::SERVICES {
            Some(&self.services)
        } else if *resource == gr::POD_DISRUPTION_BUDGETS {
            Some(&self.budgets)
        } else if *resource == gr::REPLICA_SETS {
            Some(&self.sets)
        } else {
            None
        };
        selectors.into_iter().flat_map(move |own| own.candidates(namespace, labels)).map(|name| &**name)
    }

    /// Names of the ReplicaSets of a namespace that no controller owns.
    pub fn orphan_sets(&self, namespace: &str) -> impl Iterator<Item = &String> {
        self.orphan_sets.get(namespace).into_iter().flatten()
    }

    /// Where the object with a uid is.
    #[must_use]
    pub fn locate(&self, uid: &str) -> Option<&Location> {
        self.by_uid.get(uid)
    }

    /// All objects that name `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Location> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// The dependents of one resource.
    pub fn dependents_of<'a>(&'a self, uid: &str, resource: &'a GroupResource) -> impl Iterator<Item = &'a Location> {
        self.dependents.get(uid).into_iter().flatten().filter(move |at| at.resource == *resource)
    }

    /// Names of the pods of a namespace that no controller owns.
    pub fn orphan_pods(&self, namespace: &str) -> impl Iterator<Item = &String> {
        self.orphans.get(namespace).into_iter().flatten()
    }

    /// `(namespace, name)` of the pods bound to a node.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &(String, String)> {
        self.pods_by_node.get(node).into_iter().flatten()
    }
}

fn remove<T: Ord>(map: &mut HashMap<String, BTreeSet<T>>, key: &str, value: &T) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}
