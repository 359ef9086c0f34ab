//! What a pod asks of its neighbours, worked out once and then asked of every node: topology spread, affinity and
//! anti-affinity between pods. The work grows with the pods that the terms select, not with all pods.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    filter::{Rejection, matches_node_affinity},
    node::{Nodes, Placed},
};
use crate::controllers::{fields::Fields, selector::matches};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Pods by the value of a topology key.
type Domains = BTreeMap<String, i64>;

/// A topology spread constraint with the present counts.
struct Spread<'a> {
    constraint: &'a Value,
    key: &'a str,
    counts: Domains,
    least: i64,
    own: i64,
}

/// A term about other pods: where those are that it selects.
struct Company {
    key: String,
    domains: Domains,
    weight: i64,
}

impl Company {
    fn here(&self, node: &Value) -> i64 {
        node.label(&self.key).and_then(|own| self.domains.get(own)).copied().unwrap_or_default()
    }
}

/// The pod's wishes.
pub struct Quest<'a> {
    hard: Vec<Spread<'a>>,
    soft: Vec<Spread<'a>>,
    affinity: Vec<Company>,
    /// Nobody whom the pod wants near exists, and it would do itself.
    may_start: bool,
    anti: Vec<Company>,
    /// Topology keys and values where somebody refuses the pod.
    refused: BTreeSet<(String, String)>,
    preferred: Vec<Company>,
}

impl<'a> Quest<'a> {
    /// Looks around once.
    #[must_use]
    pub fn new(pod: &'a Value, all: &Nodes) -> Self {
        let (soft, hard): (Vec<_>, Vec<_>) = pod
            .items("/spec/topologySpreadConstraints")
            .iter()
            .map(|constraint| spread(pod, constraint, all))
            .partition(|spread| spread.constraint.text("/whenUnsatisfiable") == "ScheduleAnyway");
        let required = |kind: &str| pod.items(&format!("/spec/affinity/{kind}/{REQUIRED}"));
        let terms = |list: &[Value]| -> Vec<Company> { list.iter().map(|term| company(pod, term, 0, all)).collect() };
        let wanted = required("podAffinity");
        let affinity = terms(wanted);
        let itself = Placed::new(pod);
        let may_start = affinity.iter().all(|term| term.domains.is_empty())
            && wanted.iter().all(|term| term_selects(term, pod.namespace(), &itself));
        let refused = all
            .refusing()
            .flat_map(|(node, placed)| placed.refuses.iter().map(move |term| (node, placed, term)))
            .filter(|(_, placed, term)| term_selects(term, &placed.namespace, &itself))
            .filter_map(|(node, _, term)| {
                let key = term.text("/topologyKey");
                Some((key.to_owned(), node.label(key)?.to_owned()))
            })
            .collect();
        let preferred = [("podAffinity", 1), ("podAntiAffinity", -1)]
            .into_iter()
            .flat_map(|(kind, sign)| {
                pod.items(&format!("/spec/affinity/{kind}/{PREFERRED}")).iter().map(move |entry| (entry, sign))
            })
            .map(|(entry, sign)| {
                company(pod, entry.at("/podAffinityTerm"), sign * entry.int("/weight").unwrap_or_default(), all)
            })
            .collect();
        Self { hard, soft, affinity, may_start, anti: terms(required("podAntiAffinity")), refused, preferred }
    }

    /// Whether the neighbours allow a node.
    ///
    /// # Errors
    /// The rejection.
    pub fn check(&self, node: &Value) -> Result<(), Rejection> {
        for spread in &self.hard {
            let Some(own) = node.label(spread.key) else {
                return Err(Rejection::fixed(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let here = spread.counts.get(own).copied().unwrap_or_default();
            if here + spread.own - spread.least > spread.constraint.int("/maxSkew").unwrap_or(1) {
                return Err(Rejection::other_pods("node(s) didn't match pod topology spread constraints"));
            }
        }
        let near = self.affinity.iter().all(|term| term.here(node) > 0);
        let may_start = self.may_start && self.affinity.iter().all(|term| node.label(&term.key).is_some());
        if !near && !may_start {
            return Err(Rejection::fixed("node(s) didn't match pod affinity rules"));
        }
        if self.anti.iter().any(|term| term.here(node) > 0) {
            return Err(Rejection::other_pods("node(s) didn't match pod anti-affinity rules"));
        }
        if self.refused.iter().any(|(key, value)| node.label(key) == Some(value)) {
            return Err(Rejection::other_pods("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }

    /// How the pod likes the neighbours of a node. Higher is better.
    #[must_use]
    pub fn score(&self, node: &Value) -> i64 {
        let company: i64 = self.preferred.iter().map(|term| term.weight * term.here(node).min(10)).sum();
        let crowd: i64 = self
            .soft
            .iter()
            .map(|spread| node.label(spread.key).and_then(|own| spread.counts.get(own)).copied().unwrap_or_default())
            .sum();
        company - 20 * crowd
    }
}

/// Matching pods by value of the constraint's topology key, over the nodes that the pod could use.
fn spread<'a>(pod: &Value, constraint: &'a Value, all: &Nodes) -> Spread<'a> {
    let (key, selector) = (constraint.text("/topologyKey"), constraint.at("/labelSelector"));
    let mut counts = Domains::new();
    let mut usable = BTreeSet::new();
    for (node, _) in all.iter() {
        if let Some(domain) = node.label(key).filter(|_| matches_node_affinity(pod, node)) {
            counts.entry(domain.to_owned()).or_insert(0);
            usable.insert(node.name());
        }
    }
    for (node, placed) in all.candidates(Some(pod.namespace()), selector) {
        if !placed.deleting
            && usable.contains(node.name())
            && matches(selector, &placed.labels)
            && let Some(count) = node.label(key).and_then(|domain| counts.get_mut(domain))
        {
            *count += 1;
        }
    }
    let few = i64::try_from(counts.len()).unwrap_or_default() < constraint.int("/minDomains").unwrap_or(1);
    let least = if few { 0 } else { counts.values().copied().min().unwrap_or_default() };
    let own = i64::from(matches(selector, pod.at("/metadata/labels")));
    Spread { constraint, key, counts, least, own }
}

fn company(pod: &Value, term: &Value, weight: i64, all: &Nodes) -> Company {
    let (key, selector) = (term.text("/topologyKey"), term.at("/labelSelector"));
    let mut domains = Domains::new();
    let own = [pod.namespace()];
    let places: Vec<Option<&str>> = if everywhere(term) {
        vec![None]
    } else if term.items("/namespaces").is_empty() {
        own.into_iter().map(Some).collect()
    } else {
        term.items("/namespaces").iter().filter_map(Value::as_str).map(Some).collect()
    };
    for place in places {
        for (node, placed) in all.candidates(place, selector) {
            if let Some(domain) = node.label(key).filter(|_| term_selects(term, pod.namespace(), placed)) {
                *domains.entry(domain.to_owned()).or_insert(0) += 1;
            }
        }
    }
    Company { key: key.to_owned(), domains, weight }
}

fn everywhere(term: &Value) -> bool {
    term.at("/namespaceSelector").as_object().is_some_and(serde_json::Map::is_empty)
}

/// Whether an affinity term of a pod in `namespace` selects another pod.
fn term_selects(term: &Value, namespace: &str, other: &Placed) -> bool {
    let namespaces = term.items("/namespaces");
    let reaches = everywhere(term)
        || if namespaces.is_empty() {
            namespace == other.namespace
        } else {
            namespaces.iter().any(|name| *name == other.namespace)
        };
    reaches && !other.deleting && matches(term.at("/labelSelector"), &other.labels)
}
