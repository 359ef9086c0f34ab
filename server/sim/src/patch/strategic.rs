//! Strategic merge patch (`k8s.io/apimachinery/pkg/util/strategicpatch`).

use serde_json::{Map, Value};

use crate::{
    registry::ResourceType,
    schema::{self, Node, Shape},
    status::{Result, Status},
};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PRIMITIVE: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// Merges `patch` into `object`.
///
/// # Errors
/// 400 for a directive that makes no sense, 500 as the real server answers a missing merge key.
pub fn merge(resource: &ResourceType, version: &str, object: &mut Value, patch: &Value) -> Result<()> {
    let node = schema::of(resource, version);
    let node: &Node = &node;
    let (Value::Object(target), Value::Object(patch)) = (&mut *object, patch) else {
        return Err(Status::bad_request("error decoding patch: the patch is no object"));
    };
    merge_map(node.resolve(), target, patch)
}

/// How a field merges.
struct Strategy<'a> {
    merge: bool,
    replace: bool,
    key: Option<&'a str>,
}

fn strategy(field: Option<&Node>) -> Strategy<'_> {
    let has = |word: &str| field.is_some_and(|field| field.strategies.iter().any(|own| own == word));
    Strategy { merge: has("merge"), replace: has("replace"), key: field.and_then(|field| field.merge_key.as_deref()) }
}

fn merge_map(node: &Node, target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<()> {
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            *target = patch.iter().filter(|(key, _)| *key != PATCH).map(|(k, v)| (k.clone(), v.clone())).collect();
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(Status::bad_request(format!("Unknown patch type found: {other}")));
        }
    }
    if let Some(keep) = patch.get(RETAIN_KEYS) {
        let Some(keep) = keep.as_array() else {
            return Err(Status::bad_request("invalid patch format of retainKeys"));
        };
        target.retain(|key, _| keep.iter().any(|own| own == key.as_str()));
    }
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_PRIMITIVE) {
            if let (Some(Value::Array(list)), Some(gone)) = (target.get_mut(field), value.as_array()) {
                list.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if value.is_null() {
            target.shift_remove(key);
            continue;
        }
        let declared = node.known_field(key);
        let inner = declared.map_or(&schema::ANY, Node::resolve);
        let strategy = strategy(declared);
        let order = patch.get(&format!("{ELEMENT_ORDER}{key}")).and_then(Value::as_array);
        match (target.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(theirs)) if !strategy.replace => {
                merge_map(inner, own, theirs)?;
                if theirs.get(PATCH).is_some_and(|word| word == "delete") {
                    target.shift_remove(key);
                }
            }
            (Some(Value::Array(own)), Value::Array(theirs)) if strategy.merge => {
                let merged = merge_list(inner, strategy.key, std::mem::take(own), theirs, order)?;
                *own = merged;
            }
            (_, fresh) => {
                if let Some(clean) = without_directives(inner, strategy.key, fresh)? {
                    target.insert(key.clone(), clean);
                } else {
                    target.shift_remove(key);
                }
            }
        }
    }
    // An order without a list only sorts what is there.
    for (key, order) in patch {
        let Some(field) = key.strip_prefix(ELEMENT_ORDER) else {
            continue;
        };
        if patch.contains_key(field) {
            continue;
        }
        let merge_key = strategy(node.known_field(field)).key.map(str::to_owned);
        if let (Some(Value::Array(list)), Some(order)) = (target.get_mut(field), order.as_array()) {
            let server = list.clone();
            sort(list, order, &server, merge_key.as_deref());
        }
    }
    Ok(())
}

/// A patch for something that is not there yet: the value without its directives.
#[expect(clippy::only_used_in_recursion, reason = "the key says which node a list's items have")]
fn without_directives(node: &Node, key: Option<&str>, value: &Value) -> Result<Option<Value>> {
    match value {
        Value::Object(map) => {
            if map.get(PATCH).is_some_and(|word| word == "delete") {
                return Ok(None);
            }
            let mut out = Map::new();
            merge_map(node, &mut out, map)?;
            Ok(Some(Value::Object(out)))
        }
        Value::Array(list) => {
            let items = match &node.shape {
                Shape::List { items, .. } => items.resolve(),
                _ => &schema::ANY,
            };
            let mut out = Vec::new();
            for item in list {
                let lone = item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
                if !lone {
                    out.extend(without_directives(items, key, item)?);
                }
            }
            Ok(Some(Value::Array(out)))
        }
        other => Ok(Some(other.clone())),
    }
}

fn merge_list(
    node: &Node,
    key: Option<&str>,
    own: Vec<Value>,
    theirs: &[Value],
    order: Option<&Vec<Value>>,
) -> Result<Vec<Value>> {
    let Shape::List { items, .. } = &node.shape else {
        return Ok(theirs.to_vec());
    };
    let items = items.resolve();
    let server = own.clone();
    let objects = theirs.iter().chain(&own).any(Value::is_object);
    if !objects {
        let mut out = own;
        for item in theirs {
            if !out.contains(item) {
                out.push(item.clone());
            }
        }
        // Without an order, the patch is one.
        sort(&mut out, order.map_or(theirs, Vec::as_slice), &server, None);
        return Ok(out);
    }
    let Some(key) = key else {
        return Ok(theirs.to_vec());
    };
    if theirs
        .iter()
        .any(|item| item.as_object().is_some_and(|map| map.get(PATCH).is_some_and(|word| word == "replace")))
    {
        let lone = |item: &&Value| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
        return Ok(theirs
            .iter()
            .filter(|item| !lone(item))
            .map(|item| {
                let mut item = item.clone();
                if let Some(map) = item.as_object_mut() {
                    map.shift_remove(PATCH);
                }
                item
            })
            .collect());
    }
    let mut out = own;
    for item in theirs {
        let Some(map) = item.as_object() else {
            return Err(Status::bad_request("expected map, found something else in a list that merges by key"));
        };
        let Some(wanted) = map.get(key) else {
            let shown = crate::http::go_print(item);
            // Go's server does not expect this error, hence no reason.
            return Err(Status::new(500, "", format!("map: {shown} does not contain declared merge key: {key}")));
        };
        let place = out.iter().position(|own| own.get(key) == Some(wanted));
        if map.get(PATCH).is_some_and(|word| word == "delete") {
            out.retain(|own| own.get(key) != Some(wanted));
            continue;
        }
        match place.and_then(|place| out.get_mut(place)) {
            Some(Value::Object(own)) => merge_map(items, own, map)?,
            _ => out.extend(without_directives(items, None, item)?),
        }
    }
    sort(&mut out, order.map_or(theirs, Vec::as_slice), &server, Some(key));
    Ok(out)
}

/// Orders a list as `$setElementOrder` says; items that only the server has keep their place relative to the
/// server's neighbours (`mergeSortedSlice`).
fn sort(list: &mut Vec<Value>, order: &[Value], server: &[Value], key: Option<&str>) {
    let id = |item: &Value| -> Value {
        match key {
            Some(key) => item.get(key).cloned().unwrap_or(Value::Null),
            None => item.clone(),
        }
    };
    let rank = |item: &Value| order.iter().position(|own| id(own) == id(item));
    let place = |item: &Value| server.iter().position(|own| id(own) == id(item));
    let (mut ordered, rest): (Vec<Value>, Vec<Value>) = list.drain(..).partition(|item| rank(item).is_some());
    ordered.sort_by_key(|item| rank(item));
    let mut rest: Vec<Value> = rest;
    rest.sort_by_key(|item| place(item).unwrap_or(usize::MAX));
    let (mut left, mut right) = (ordered.into_iter().peekable(), rest.into_iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => {
                // A server-only item goes first when the server had it before this one.
                let server_first = matches!((place(a), place(b)), (Some(a), Some(b)) if b < a);
                list.extend(if server_first { right.next() } else { left.next() });
            }
            (Some(_), None) => list.extend(left.next()),
            (None, Some(_)) => list.extend(right.next()),
            (None, None) => return,
        }
    }
}
