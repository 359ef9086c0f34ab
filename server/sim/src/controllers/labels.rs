//! Lookups by label, so that neither a changed pod asks every selector nor a selector every pod.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{
    fields::Fields,
    selector::{is_empty, matches},
};

/// `namespace/key=value`.
fn pair(namespace: &str, key: &str, value: &str) -> String {
    format!("{namespace}/{key}={value}")
}

/// The pairs of a map of labels.
fn pairs<'a>(namespace: &'a str, labels: &'a Value) -> impl Iterator<Item = String> + 'a {
    labels.as_object().into_iter().flatten().filter_map(move |(key, value)| Some(pair(namespace, key, value.as_str()?)))
}

/// Names of objects by their namespace and each of their labels.
#[derive(Default)]
pub struct Labelled {
    all: HashMap<String, BTreeSet<Arc<str>>>,
    sets: HashMap<String, BTreeSet<Arc<str>>>,
}

impl Labelled {
    /// Takes note of an object's labels.
    pub fn add(&mut self, namespace: &str, name: &str, labels: &Value) {
        let name: Arc<str> = name.into();
        for pair in pairs(namespace, labels) {
            self.sets.entry(pair).or_default().insert(name.clone());
        }
        self.all.entry(namespace.to_owned()).or_default().insert(name);
    }

    /// Forgets them.
    pub fn remove(&mut self, namespace: &str, name: &str, labels: &Value) {
        for pair in pairs(namespace, labels) {
            take(&mut self.sets, &pair, name);
        }
        take(&mut self.all, namespace, name);
    }

    /// The objects of a namespace that a `metav1.LabelSelector` may select: the fewest that one of its labels
    /// leaves, in order. The caller checks the rest of the selector.
    pub fn candidates(&self, namespace: &str, selector: &Value) -> impl Iterator<Item = &Arc<str>> {
        self.narrowest(namespace, selector.at("/matchLabels")).into_iter().flatten()
    }

    /// The same for a plain map of labels, as Services have it.
    pub fn candidates_of_map(&self, namespace: &str, wanted: &Value) -> impl Iterator<Item = &Arc<str>> {
        self.narrowest(namespace, wanted).into_iter().flatten()
    }

    fn narrowest(&self, namespace: &str, wanted: &Value) -> Option<&BTreeSet<Arc<str>>> {
        let mut best = self.all.get(namespace)?;
        for pair in pairs(namespace, wanted) {
            let set = self.sets.get(&pair)?;
            if set.len() < best.len() {
                best = set;
            }
        }
        Some(best)
    }
}

/// Selectors by one label that they ask for, the one that the fewest others ask for. Selectors without such a label are
/// candidates for everything in their namespace.
#[derive(Default)]
pub struct Selectors {
    sets: HashMap<String, BTreeSet<Arc<str>>>,
    place: HashMap<(String, Arc<str>), String>,
}

impl Selectors {
    /// Takes note of a selecting object; `wanted` are the labels that it asks for.
    pub fn add(&mut self, namespace: &str, name: &str, wanted: &Value) {
        self.remove(namespace, name);
        let size = |pair: &String| self.sets.get(pair).map_or(0, BTreeSet::len);
        let place = pairs(namespace, wanted).min_by_key(size).unwrap_or_else(|| namespace.to_owned());
        let name: Arc<str> = name.into();
        self.sets.entry(place.clone()).or_default().insert(name.clone());
        self.place.insert((namespace.to_owned(), name), place);
    }

    /// Forgets it.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(place) = self.place.remove(&(namespace.to_owned(), name.into())) {
            take(&mut self.sets, &place, name);
        }
    }

    /// The objects whose selector may select something with these labels.
    pub fn candidates<'a>(&'a self, namespace: &'a str, labels: &'a Value) -> impl Iterator<Item = &'a Arc<str>> + 'a {
        pairs(namespace, labels)
            .chain(std::iter::once(namespace.to_owned()))
            .filter_map(|place| self.sets.get(&place))
            .flatten()
    }
}

/// Whether a `metav1.LabelSelector` selects these labels; unlike in [`matches`], an empty one selects everything even
/// when it is written without a field.
#[must_use]
pub fn selects(selector: &Value, labels: &Value) -> bool {
    selector.is_object() && (is_empty(selector) || matches(selector, labels))
}

fn take(sets: &mut HashMap<String, BTreeSet<Arc<str>>>, key: &str, name: &str) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(name);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names<'a>(found: impl Iterator<Item = &'a Arc<str>>) -> Vec<&'a str> {
        found.map(|name| &**name).collect()
    }

    #[test]
    fn a_selector_looks_at_the_fewest() {
        let mut index = Labelled::default();
        for (name, app) in [("a", "web"), ("b", "web"), ("c", "db")] {
            index.add("ns", name, &json!({"app": app, "team": "x"}));
        }
        index.add("other", "a", &json!({"app": "web"}));
        let found = |selector: Value| names(index.candidates("ns", &selector));
        assert_eq!(found(json!({"matchLabels": {"team": "x", "app": "db"}})), ["c"]);
        assert_eq!(found(json!({"matchLabels": {"app": "web"}})), ["a", "b"]);
        assert_eq!(found(json!({"matchLabels": {"app": "none"}})), [""; 0]);
        assert_eq!(found(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})), ["a", "b", "c"]);
        index.remove("ns", "a", &json!({"app": "web", "team": "x"}));
        assert_eq!(names(index.candidates_of_map("ns", &json!({"app": "web"}))), ["b"]);
    }

    #[test]
    fn labels_find_the_selectors() {
        let mut index = Selectors::default();
        for name in ["a", "b", "c"] {
            index.add("ns", name, &json!({"managed-by": "berth", "app": name}));
        }
        index.add("ns", "all", &json!({}));
        let labels = json!({"managed-by": "berth", "app": "b", "hash": "1"});
        let found = names(index.candidates("ns", &labels));
        assert!(found.contains(&"b") && found.contains(&"all") && found.len() <= 3, "{found:?}");
        index.add("ns", "b", &json!({"app": "moved"}));
        assert!(!names(index.candidates("ns", &labels)).contains(&"b"));
        index.remove("ns", "all");
        assert_eq!(names(index.candidates("elsewhere", &labels)), [""; 0]);
    }
}
