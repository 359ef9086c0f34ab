//! Objects seen through their schema: which fields they have, how two differ, how they merge
//! (`sigs.k8s.io/structured-merge-diff/typed`).

use serde_json::{Map, Value};

use super::set::{PathElement, Scalar, Set};
use crate::schema::{ListKind, Node};

/// How a value is walked under a schema.
enum Walk<'a> {
    Leaf,
    Map,
    List(&'a [String], &'a Node),
    Bag(&'a Node),
}

/// What the schema makes of a value. A value of another type than the schema's is a leaf.
fn walk_of<'a>(node: &'a Node, value: &Value) -> Walk<'a> {
    match value {
        Value::Object(_) if node.is_granular_map() => Walk::Map,
        Value::Array(_) => match node.list_kind() {
            ListKind::Map(keys, items) => Walk::List(keys, items),
            ListKind::Set(items) => Walk::Bag(items),
            ListKind::Atomic => Walk::Leaf,
        },
        // Null goes with whatever the schema says.
        Value::Null if node.is_granular_map() => Walk::Map,
        Value::Null => match node.list_kind() {
            ListKind::Map(keys, items) => Walk::List(keys, items),
            ListKind::Set(items) => Walk::Bag(items),
            ListKind::Atomic => Walk::Leaf,
        },
        _ => Walk::Leaf,
    }
}

/// The path element of a list item, or why it has none.
fn item_element(keys: &[String], items: &Node, item: &Value) -> Result<PathElement, String> {
    let Some(object) = item.as_object() else {
        return Err("associative list with keys may not have non-map elements".into());
    };
    let mut found = Vec::new();
    for key in keys {
        if let Some(value) = object.get(key) {
            found.push((key.clone(), Scalar(value.clone())));
        } else if let Some(default) = items.field_default(key) {
            found.push((key.clone(), Scalar(default.clone())));
        }
    }
    if found.is_empty() {
        let names: Vec<_> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    found.sort();
    Ok(PathElement::Key(found))
}

/// Every item of an associative list with its path element.
fn elements<'v>(walk: &Walk<'_>, list: &'v [Value]) -> Result<Vec<(PathElement, &'v Value)>, String> {
    list.iter()
        .enumerate()
        .map(|(index, item)| {
            let element = match walk {
                Walk::List(keys, items) => item_element(keys, items, item),
                _ if item.is_object() || item.is_array() || item.is_null() => {
                    Err("associative list without keys has an element that's a map type".into())
                }
                _ => Ok(PathElement::Item(Scalar(item.clone()))),
            };
            element.map(|element| (element, item)).map_err(|why| format!("element {index}: {why}"))
        })
        .collect()
}

fn duplicated(all: &[(PathElement, &Value)], element: &PathElement) -> bool {
    all.iter().filter(|(own, _)| own == element).count() > 1
}

/// The fields that an object sets.
pub fn to_set(node: &Node, value: &Value) -> Result<Set, String> {
    let mut set = Set::default();
    fill(node.resolve(), value, &mut Vec::new(), &mut set)?;
    Ok(set)
}

fn fill(node: &Node, value: &Value, path: &mut Vec<PathElement>, set: &mut Set) -> Result<(), String> {
    match walk_of(node, value) {
        Walk::Leaf => set.insert(path),
        Walk::Map => {
            for (key, child) in value.as_object().into_iter().flatten() {
                path.push(PathElement::Field(key.clone()));
                fill(node.field(key), child, path, set)?;
                let empty = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if empty || !node.is_named_field(key) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        ref walk @ (Walk::List(_, items) | Walk::Bag(items)) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let all = elements(walk, list)?;
            for (element, item) in &all {
                path.push(element.clone());
                if !duplicated(&all, element) {
                    fill(items.resolve(), item, path, set)?;
                }
                set.insert(path);
                path.pop();
            }
        }
    }
    Ok(())
}

/// How a new object differs from an old one.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Only in the new one.
    pub added: Set,
    /// In both, different.
    pub modified: Set,
    /// Only in the old one.
    pub removed: Set,
}

impl Comparison {
    /// What the new one says that the old one did not.
    pub fn changed(&self) -> Set {
        self.added.clone().union(&self.modified)
    }

    /// Leaves out what lies under any of these fields.
    pub fn exclude(&mut self, ignored: &Set) {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            *set = set.recursive_difference(ignored);
        }
    }
}

/// Compares two objects.
pub fn compare(node: &Node, old: &Value, new: &Value) -> Result<Comparison, String> {
    let mut out = Comparison::default();
    compare_at(node.resolve(), Some(old), Some(new), &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>, path: &[PathElement], out: &mut Comparison) {
    match (old, new) {
        (None, _) => out.added.insert(path),
        (_, None) => out.removed.insert(path),
        (Some(old), Some(new)) if old != new => out.modified.insert(path),
        _ => {}
    }
}

fn compare_at(
    node: &Node,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<PathElement>,
    out: &mut Comparison,
) -> Result<(), String> {
    let Some(shape) = new.filter(|new| !new.is_null()).or(old).or(new) else {
        return Ok(());
    };
    let walk = walk_of(node, shape);
    let comparable = match (&walk, old, new) {
        (Walk::Map, old, new) => [old, new].into_iter().flatten().all(|side| side.is_object() || side.is_null()),
        (Walk::List(..) | Walk::Bag(_), old, new) => {
            [old, new].into_iter().flatten().all(|side| side.is_array() || side.is_null())
        }
        _ => false,
    };
    if !comparable || (is_empty(old) && is_empty(new)) {
        leaf(old, new, path, out);
        return Ok(());
    }
    match &walk {
        Walk::Map => {
            let empty = Map::new();
            let olds = old.and_then(Value::as_object).unwrap_or(&empty);
            let news = new.and_then(Value::as_object).unwrap_or(&empty);
            for key in olds.keys().chain(news.keys().filter(|key| !olds.contains_key(*key))) {
                path.push(PathElement::Field(key.clone()));
                compare_at(node.field(key), olds.get(key), news.get(key), path, out)?;
                path.pop();
            }
        }
        Walk::List(_, items) | Walk::Bag(items) => {
            let olds = elements(&walk, old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default())?;
            let news = elements(&walk, new.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default())?;
            let mut seen = Vec::new();
            for (element, _) in olds.iter().chain(&news) {
                if seen.contains(&element) {
                    continue;
                }
                seen.push(element);
                let of = |all: &[(PathElement, &Value)]| -> Vec<Value> {
                    all.iter().filter(|(own, _)| own == element).map(|(_, item)| (*item).clone()).collect()
                };
                let (old, new) = (of(&olds), of(&news));
                path.push(element.clone());
                match (old.as_slice(), new.as_slice()) {
                    ([] | [_], [] | [_]) => compare_at(items.resolve(), old.first(), new.first(), path, out)?,
                    ([_, _, ..], [_, _, ..]) => {
                        if old != new {
                            out.modified.insert(path);
                        }
                    }
                    ([_, _, ..], _) => {
                        if let Some(new) = new.first() {
                            compare_at(items.resolve(), None, Some(new), path, out)?;
                        }
                        out.removed.insert(path);
                    }
                    (_, _) => {
                        if let Some(old) = old.first() {
                            compare_at(items.resolve(), Some(old), None, path, out)?;
                        }
                        out.added.insert(path);
                    }
                }
                path.pop();
            }
        }
        Walk::Leaf => {}
    }
    // An item, map or struct that came or went as a whole is itself a member, too.
    match (old, new) {
        (None, Some(_)) => out.added.insert(path),
        (Some(_), None) => out.removed.insert(path),
        _ => {}
    }
    Ok(())
}

/// Merges an applied configuration into an object: what it says wins, the rest stays.
pub fn merge(node: &Node, live: &Value, applied: &Value) -> Result<Value, String> {
    Ok(merge_at(node.resolve(), Some(live), Some(applied), "")?.unwrap_or(Value::Null))
}

fn merge_at(node: &Node, live: Option<&Value>, applied: Option<&Value>, at: &str) -> Result<Option<Value>, String> {
    let Some(new) = applied else {
        return Ok(live.cloned());
    };
    let Some(old) = live else {
        // Still walked, so that duplicate keys are found.
        return merge_items(node, &Value::Null, new, at);
    };
    merge_items(node, old, new, at)
}

fn merge_items(node: &Node, old: &Value, new: &Value, at: &str) -> Result<Option<Value>, String> {
    let walk = walk_of(node, new);
    let matching = match &walk {
        Walk::Map => old.is_object() || old.is_null(),
        Walk::List(..) | Walk::Bag(_) => old.is_array() || old.is_null(),
        Walk::Leaf => false,
    };
    if !matching || (is_empty(Some(old)) && is_empty(Some(new))) {
        return Ok(Some(new.clone()));
    }
    match &walk {
        Walk::Map => {
            let empty = Map::new();
            let olds = old.as_object().unwrap_or(&empty);
            let news = new.as_object().unwrap_or(&empty);
            let mut out = Map::new();
            for key in olds.keys().chain(news.keys().filter(|key| !olds.contains_key(*key))) {
                let path = format!("{at}.{key}");
                if let Some(value) = merge_at(node.field(key), olds.get(key), news.get(key), &path)? {
                    out.insert(key.clone(), value);
                }
            }
            Ok((!out.is_empty()).then_some(Value::Object(out)))
        }
        Walk::List(_, items) | Walk::Bag(items) => {
            let olds = elements(&walk, old.as_array().map(Vec::as_slice).unwrap_or_default())
                .map_err(|why| format!("{at}: {why}"))?;
            let news = elements(&walk, new.as_array().map(Vec::as_slice).unwrap_or_default())
                .map_err(|why| format!("{at}: {why}"))?;
            for (element, _) in &news {
                if duplicated(&news, element) {
                    let shown = super::set::show_path(std::slice::from_ref(element));
                    return Err(format!("{at}: duplicate entries for key {shown}"));
                }
            }
            let list = merge_lists(items.resolve(), &olds, &news, at)?;
            Ok((!list.is_empty()).then_some(Value::Array(list)))
        }
        Walk::Leaf => Ok(Some(new.clone())),
    }
}

/// The order of structured-merge-diff: shared items follow the applied order, others keep their place.
fn merge_lists(
    items: &Node,
    olds: &[(PathElement, &Value)],
    news: &[(PathElement, &Value)],
    at: &str,
) -> Result<Vec<Value>, String> {
    let in_old = |element: &PathElement| olds.iter().any(|(own, _)| own == element);
    let in_new = |element: &PathElement| news.iter().any(|(own, _)| own == element);
    let old_value = |element: &PathElement| {
        // Duplicated items are not merged with the new value.
        (!duplicated(olds, element))
            .then(|| olds.iter().find(|(own, _)| own == element).map(|(_, item)| *item))
            .flatten()
    };
    let mut shared = news.iter().map(|(element, _)| element).filter(|element| in_old(element)).peekable();
    let mut next_shared = shared.next();
    let mut merged: Vec<&PathElement> = Vec::new();
    let mut out = Vec::new();
    let (mut l, mut r) = (0, 0);
    while l < olds.len() || r < news.len() {
        if let (Some((old, _)), Some((new, value))) = (olds.get(l), news.get(r)) {
            if old == new {
                merged.push(old);
                out.extend(merge_at(items, old_value(old), Some(value), at)?);
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if in_new(old) && next_shared.is_some_and(|next| next != old) {
                l += 1;
                continue;
            }
        }
        if let Some((old, value)) = olds.get(l) {
            if !in_new(old) {
                out.push((*value).clone());
                l += 1;
                continue;
            }
            if merged.contains(&old) {
                l += 1;
            }
        }
        if let Some((new, value)) = news.get(r) {
            merged.push(new);
            out.extend(merge_at(items, old_value(new), Some(value), at)?);
            r += 1;
            if next_shared == Some(new) {
                next_shared = shared.next();
            }
        }
    }
    Ok(out)
}

/// The object without the paths of a set.
pub fn remove(node: &Node, value: &Value, gone: &Set) -> Value {
    remove_at(node.resolve(), value, gone).unwrap_or(Value::Null)
}

fn remove_at(node: &Node, value: &Value, gone: &Set) -> Option<Value> {
    let walk = walk_of(node, value);
    match (&walk, value) {
        (Walk::Map, Value::Object(map)) if !map.is_empty() => {
            let mut out = Map::new();
            for (key, child) in map {
                let element = PathElement::Field(key.clone());
                if gone.members.contains(&element) {
                    continue;
                }
                let kept = match gone.below(&element) {
                    Some(below) => remove_at(node.field(key), child, below).unwrap_or(Value::Null),
                    None => child.clone(),
                };
                out.insert(key.clone(), kept);
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        (Walk::List(_, items) | Walk::Bag(items), Value::Array(list)) if !list.is_empty() => {
            let Ok(all) = elements(&walk, list) else {
                return Some(value.clone());
            };
            let mut out = Vec::new();
            for (element, item) in all {
                if gone.members.contains(&element) {
                    continue;
                }
                out.push(match gone.below(&element) {
                    Some(below) => remove_at(items.resolve(), item, below).unwrap_or(Value::Null),
                    None => item.clone(),
                });
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
        (Walk::Leaf, Value::Object(_) | Value::Array(_)) | (_, Value::Object(_) | Value::Array(_)) => None,
        _ => Some(value.clone()),
    }
}
