//! Sets of field paths, as `sigs.k8s.io/structured-merge-diff/fieldpath` has them.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Map, Value};

use crate::schema::Node;

/// A scalar with a total order.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

impl Scalar {
    fn rank(&self) -> u8 {
        match &self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Null => 3,
            Value::Array(_) => 4,
            Value::Object(_) => 5,
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (a, b) if self.rank() == other.rank() => a.to_string().cmp(&b.to_string()),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// `.name`: a field or map key.
    Field(String),
    /// `[name="x"]`: an item of a list that is a map, by its keys in order.
    Key(Vec<(String, Scalar)>),
    /// `[="x"]`: an item of a list that is a set.
    Item(Scalar),
    /// `[0]`: an item by its place.
    Index(u64),
}

impl PathElement {
    /// As conflicts show it.
    fn show(&self, out: &mut String) {
        match self {
            Self::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Self::Key(keys) => {
                let inner: Vec<_> = keys.iter().map(|(name, value)| format!("{name}={}", value.0)).collect();
                let _ = write!(out, "[{}]", inner.join(","));
            }
            Self::Item(value) => {
                let _ = write!(out, "[={}]", value.0);
            }
            Self::Index(index) => {
                let _ = write!(out, "[{index}]");
            }
        }
    }

    fn serialize(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let map: Map<String, Value> =
                    keys.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
                format!("k:{}", Value::Object(map))
            }
            Self::Item(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => {
                let map: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                Some(Self::Key(map.into_iter().map(|(name, value)| (name, Scalar(value))).collect()))
            }
            "v" => Some(Self::Item(Scalar(serde_json::from_str(rest).ok()?))),
            "i" => Some(Self::Index(rest.parse().ok()?)),
            _ => None,
        }
    }
}

/// A path as conflicts show it: `.spec.containers[name="web"].image`.
pub fn show_path(path: &[PathElement]) -> String {
    let mut out = String::new();
    for element in path {
        element.show(&mut out);
    }
    out
}

/// A set of paths, kept as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Paths that end here.
    pub members: BTreeSet<PathElement>,
    /// Paths that go on.
    pub children: BTreeMap<PathElement, Set>,
}

impl Set {
    /// A set of field paths, each given by its names.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut out = Self::default();
        for path in paths {
            let path: Vec<_> = path.iter().map(|name| PathElement::Field((*name).to_owned())).collect();
            out.insert(&path);
        }
        out
    }

    /// Adds a path. The empty path, which is the whole object, is never owned.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether no path is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Paths in either.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let own = self.children.remove(element).unwrap_or_default();
            self.children.insert(element.clone(), own.union(child));
        }
        self
    }

    /// Paths in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out =
            Self { members: self.members.intersection(&other.members).cloned().collect(), children: BTreeMap::new() };
        for (element, child) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                let both = child.intersection(theirs);
                if !both.is_empty() {
                    out.children.insert(element.clone(), both);
                }
            }
        }
        out
    }

    /// Paths in this one only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut out =
            Self { members: self.members.difference(&other.members).cloned().collect(), children: BTreeMap::new() };
        for (element, child) in &self.children {
            // Go's Children.Difference(s2): a child that s2 does not descend into stays whole.
            let rest = match other.children.get(element) {
                Some(theirs) => child.difference(theirs),
                None => child.clone(),
            };
            if !rest.is_empty() {
                out.children.insert(element.clone(), rest);
            }
        }
        out
    }

    /// Paths in this one only, dropping also what lies below the other's members.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let mut out =
            Self { members: self.members.difference(&other.members).cloned().collect(), children: BTreeMap::new() };
        for (element, child) in &self.children {
            if other.members.contains(element) {
                continue;
            }
            let rest = match other.children.get(element) {
                Some(theirs) => child.recursive_difference(theirs),
                None => child.clone(),
            };
            if !rest.is_empty() {
                out.children.insert(element.clone(), rest);
            }
        }
        out
    }

    /// The same with every named field on the way as a member of its own.
    #[must_use]
    pub fn with_named_fields(&self, node: &Node) -> Self {
        let node = node.resolve();
        let mut out = Self { members: self.members.clone(), children: BTreeMap::new() };
        for (element, child) in &self.children {
            if let PathElement::Field(name) = element
                && node.is_named_field(name)
            {
                out.members.insert(element.clone());
            }
            out.children.insert(element.clone(), child.with_named_fields(node.step(element)));
        }
        out
    }

    /// The paths below one element.
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.children.get(element).filter(|child| !child.is_empty())
    }

    /// Every path, parents before children.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        fn walk(set: &Set, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
            for element in &set.members {
                let mut path = prefix.clone();
                path.push(element.clone());
                out.push(path);
            }
            for (element, child) in &set.children {
                prefix.push(element.clone());
                walk(child, prefix, out);
                prefix.pop();
            }
        }
        let mut out = Vec::new();
        walk(self, &mut Vec::new(), &mut out);
        out
    }

    /// `fieldsV1`.
    pub fn to_fields_v1(&self) -> Value {
        let mut out = Map::new();
        let keys: BTreeSet<&PathElement> = self.members.iter().chain(self.children.keys()).collect();
        for element in keys {
            let child = self.below(element);
            let mut value = Map::new();
            if let Some(child) = child {
                if self.members.contains(element) {
                    value.insert(".".into(), Value::Object(Map::new()));
                }
                if let Value::Object(rest) = child.to_fields_v1() {
                    value.extend(rest);
                }
            } else if !self.members.contains(element) {
                continue;
            }
            out.insert(element.serialize(), Value::Object(value));
        }
        Value::Object(out)
    }

    /// Reads `fieldsV1`; `None` when it is malformed.
    pub fn from_fields_v1(value: &Value) -> Option<Self> {
        let mut out = Self::default();
        for (key, below) in value.as_object()? {
            if key == "." {
                continue;
            }
            let element = PathElement::parse(key)?;
            let below_map = below.as_object()?;
            if below_map.is_empty() || below_map.contains_key(".") {
                out.members.insert(element.clone());
            }
            if below_map.keys().any(|key| key != ".") {
                out.children.insert(element, Self::from_fields_v1(below)?);
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_v1_round_trips() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}}, "f:finalizers": {"v:\"x\"": {}}},
        });
        let set = Set::from_fields_v1(&fields).unwrap();
        assert_eq!(set.to_fields_v1(), fields);
        let shown: Vec<_> = set.paths().iter().map(|path| show_path(path)).collect();
        assert!(shown.contains(&".spec.containers[name=\"web\"].image".to_owned()), "{shown:?}");
    }

    #[test]
    fn sets_subtract_leaves() {
        let a = Set::of(&[&["a"], &["a", "b"], &["c", "d"]]);
        let b = Set::of(&[&["a", "b"], &["c"]]);
        assert_eq!(a.difference(&b), Set::of(&[&["a"], &["c", "d"]]));
        assert_eq!(a.recursive_difference(&b), Set::of(&[&["a"]]));
        assert_eq!(a.intersection(&b), Set::of(&[&["a", "b"]]));
        assert_eq!(b.clone().union(&a).paths().len(), 4);
    }
}
