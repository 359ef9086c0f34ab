//! Who set which field: managed fields and server-side apply
//! (`k8s.io/apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff/merge`).

mod set;
mod typed;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use set::{PathElement, Set, show_path};
pub use typed::{Comparison, compare, merge, remove, to_set};

use crate::{
    cluster::Cluster,
    convert,
    registry::ResourceType,
    schema::{self, Node},
    status::{Cause, Details, Result, Status},
};

/// The most `Update` entries that an object keeps; older ones are joined.
const MAX_UPDATE_MANAGERS: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// What tells one entry of `managedFields` from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    manager: String,
    operation: &'static str,
    api_version: String,
    subresource: String,
}

impl Identity {
    fn update(manager: &str, api_version: &str, subresource: Option<&str>) -> Self {
        Self {
            manager: manager.into(),
            operation: "Update",
            api_version: api_version.into(),
            subresource: subresource.unwrap_or_default().into(),
        }
    }

    /// The version that its fields are told in.
    fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }

    fn is_apply(&self) -> bool {
        self.operation == "Apply"
    }

    /// As conflicts name it.
    fn show(&self) -> String {
        let mut out = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.is_apply() {
            out.push_str(&format!(" using {}", self.api_version));
        }
        out
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Owned {
    fields: Set,
    time: String,
}

/// `metadata.managedFields`.
#[derive(Debug, Clone, Default, PartialEq)]
struct Managers(BTreeMap<Identity, Owned>);

impl Managers {
    /// Reads them from an object; malformed ones are dropped, as the API server resets them.
    fn of(object: &Value) -> Self {
        let mut out = BTreeMap::new();
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let part = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let Some(fields) = Set::from_fields_v1(&entry["fieldsV1"]) else {
                return Self::default();
            };
            let identity = Identity {
                manager: part("manager"),
                operation: if entry["operation"] == "Apply" { "Apply" } else { "Update" },
                api_version: part("apiVersion"),
                subresource: part("subresource"),
            };
            out.insert(identity, Owned { fields, time: part("time") });
        }
        Self(out)
    }

    fn write(&self, object: &mut Value) {
        let Some(meta) = object["metadata"].as_object_mut() else {
            return;
        };
        if self.0.is_empty() {
            meta.shift_remove("managedFields");
            return;
        }
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            // Apply before Update, then by time, as managedFields.go sorts them.
            (!a.is_apply(), &x.time, &a.manager, &a.api_version, &a.subresource).cmp(&(
                !b.is_apply(),
                &y.time,
                &b.manager,
                &b.api_version,
                &b.subresource,
            ))
        });
        let list: Vec<_> = entries
            .into_iter()
            .map(|(identity, owned)| {
                let mut entry = Map::new();
                entry.insert("manager".into(), json!(identity.manager));
                entry.insert("operation".into(), json!(identity.operation));
                entry.insert("apiVersion".into(), json!(identity.api_version));
                if !owned.time.is_empty() {
                    entry.insert("time".into(), json!(owned.time));
                }
                entry.insert("fieldsType".into(), json!("FieldsV1"));
                entry.insert("fieldsV1".into(), owned.fields.to_fields_v1());
                if !identity.subresource.is_empty() {
                    entry.insert("subresource".into(), json!(identity.subresource));
                }
                Value::Object(entry)
            })
            .collect();
        meta.insert("managedFields".into(), Value::Array(list));
    }

    fn drop_empty(&mut self) {
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Joins the oldest `Update` entries when there are too many.
    fn cap(&mut self) {
        let mut updates: Vec<_> = self
            .0
            .iter()
            .filter(|(id, _)| !id.is_apply())
            .map(|(id, owned)| (owned.time.clone(), id.clone()))
            .collect();
        if updates.len() <= MAX_UPDATE_MANAGERS {
            return;
        }
        updates.sort();
        let surplus = updates.len() - MAX_UPDATE_MANAGERS + 1;
        for (time, id) in updates.into_iter().take(surplus) {
            let Some(owned) = self.0.remove(&id) else {
                continue;
            };
            let bucket = Identity { manager: ANCIENT.into(), subresource: String::new(), ..id };
            let known = self.0.remove(&bucket).map(|known| known.fields).unwrap_or_default();
            self.0.insert(bucket, Owned { fields: known.union(&owned.fields), time });
        }
    }
}

/// Fields that nobody owns.
fn unowned() -> Set {
    Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

/// Fields that this endpoint resets, so that a write through it owns none of them.
fn ignored(resource: &ResourceType, subresource: Option<&str>) -> Set {
    match subresource {
        Some("status") if resource.custom => Set::of(&[
            &["spec"],
            &["metadata", "labels"],
            &["metadata", "annotations"],
            &["metadata", "finalizers"],
            &["metadata", "ownerReferences"],
        ]),
        Some("status") => Set::of(&[&["spec"]]),
        None if resource.has_subresource("status") => Set::of(&[&["status"]]),
        _ => Set::default(),
    }
}

/// The object without its managed fields, which take no part in comparisons.
fn stripped(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(meta) = out["metadata"].as_object_mut() {
        meta.shift_remove("managedFields");
    }
    out
}

/// Whether two versions of a resource tell the same fields by other names.
fn told_otherwise(resource: &ResourceType, one: &str, other: &str) -> bool {
    convert::reshapes(resource, one) != convert::reshapes(resource, other)
}

/// What changed between two stored objects, as a version of the resource sees it.
fn compare_in(
    resource: &ResourceType,
    version: &str,
    subresource: Option<&str>,
    old: Option<&Value>,
    new: &Value,
) -> std::result::Result<Comparison, String> {
    let node = schema::of(resource, version);
    let zero = || if resource.custom { json!({}) } else { schema::zero(&node) };
    let mut comparison = if convert::reshapes(resource, version) {
        let shaped = |object: &Value| convert::to_version(resource, version, object).unwrap_or_else(|| object.clone());
        compare(&node, &old.map_or_else(zero, shaped), &shaped(new))?
    } else {
        match old {
            Some(old) => compare(&node, old, new)?,
            None => compare(&node, &zero(), new)?,
        }
    };
    comparison.exclude(&ignored(resource, subresource));
    Ok(comparison)
}

/// Gives the caller the fields that its create or update changes. An object that sets `managedFields` to an empty
/// list resets them.
pub fn record_update(
    cluster: &Cluster,
    resource: &ResourceType,
    api_version: &str,
    subresource: Option<&str>,
    current: Option<&Value>,
    value: &mut Value,
) {
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let given = &value["metadata"]["managedFields"];
    let reset = given.as_array().is_some_and(|list| {
        list.is_empty()
            || (list.len() == 1 && list.first().is_some_and(|entry| entry.as_object().is_none_or(Map::is_empty)))
    });
    let mut managers = match current {
        None => Managers::default(),
        Some(_) if reset => Managers::default(),
        Some(_) if given.is_array() => Managers::of(value),
        Some(current) => Managers::of(current),
    };
    if reset && current.is_some() {
        managers.write(value);
        return;
    }
    let (old, new) = (current.map(stripped), stripped(value));
    let Ok(comparison) = compare_in(resource, version, subresource, old.as_ref(), &new) else {
        managers.write(value);
        return;
    };
    let changed = comparison.changed();
    let gone = changed.clone().union(&comparison.removed);
    for (own, owned) in &mut managers.0 {
        let theirs = own.version();
        let seen = told_otherwise(resource, theirs, version)
            .then(|| compare_in(resource, theirs, subresource, old.as_ref(), &new).ok())
            .flatten();
        owned.fields = match seen {
            Some(seen) => owned.fields.difference(&seen.changed().union(&seen.removed)),
            None => owned.fields.difference(&gone),
        };
    }
    managers.drop_empty();
    let mine = changed.difference(&unowned());
    if !mine.is_empty() {
        let identity = Identity::update(&cluster.caller.manager, api_version, subresource);
        let known = managers.0.remove(&identity).map(|known| known.fields).unwrap_or_default();
        managers.0.insert(identity, Owned { fields: mine.union(&known), time: cluster.time() });
        managers.cap();
    }
    managers.write(value);
}

fn conflict_status(conflicts: &[(Identity, Vec<Vec<PathElement>>)]) -> Status {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
    let mut causes = Vec::new();
    for (identity, paths) in conflicts {
        for path in paths {
            causes.push(Cause {
                reason: "FieldManagerConflict".into(),
                message: format!("conflict with {}", identity.show()),
                field: show_path(path),
            });
        }
    }
    let text = match causes.as_slice() {
        [only] => format!("{}: {}", only.message, only.field),
        _ => conflicts
            .iter()
            .map(|(identity, paths)| {
                let mut lines = vec![format!("conflicts with {}:", identity.show())];
                lines.extend(paths.iter().map(|path| format!("- {}", show_path(path))));
                lines.join("\n")
            })
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let noun = if count == 1 { "conflict" } else { "conflicts" };
    let mut status = Status::new(409, "Conflict", format!("Apply failed with {count} {noun}: {text}"));
    status.details = Some(Box::new(Details { causes, ..Details::default() }));
    status
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether all that conflicts is what kubectl itself applied on the client's side and nobody changed since
/// (`lastappliedmanager.go`): then it may take over.
fn was_kubectl_s_own(node: &Node, live: &Value, conflicts: &[(Identity, Set)]) -> bool {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let Some(last) = last.and_then(|last| serde_json::from_str::<Value>(last).ok()) else { return false };
    let (Ok(mut allowed), Ok(comparison)) = (to_set(node, &last), compare(node, &last, live)) else { return false };
    for gone in [&comparison.modified, &comparison.added, &comparison.removed] {
        allowed = allowed.difference(gone);
    }
    conflicts.iter().all(|(_, fields)| fields.difference(&allowed).is_empty())
}

/// The annotation that the client's side of kubectl apply compares with, kept up by its server side, too.
fn keep_last_applied(applied: &Value, out: &mut Value) {
    if !out["metadata"]["annotations"][LAST_APPLIED].is_string() {
        return;
    }
    let mut shown = applied.clone();
    shown.sort_all_objects();
    if let Some(annotations) = shown["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(LAST_APPLIED);
    }
    out["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{shown}\n"));
}

/// The object after server-side apply, with its managed fields, in the version of the request.
///
/// `applied` is the document as decoded and as given.
///
/// # Errors
/// 409 when somebody else manages a field, unless `force`; 500 when a list cannot be told apart.
pub fn apply(
    cluster: &Cluster,
    resource: &ResourceType,
    api_version: &str,
    subresource: Option<&str>,
    current: Option<&Value>,
    (applied, given): (&Value, &Value),
    force: bool,
) -> Result<Value> {
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let node = schema::of(resource, version);
    let node: &Node = &node;
    let fault = |why: String| Status::untyped_patch(applied, &why);
    let empty = json!({"apiVersion": applied["apiVersion"], "kind": applied["kind"], "metadata": {}});
    let shaped = |object: &Value| convert::to_version(resource, version, object);
    let live =
        current.map_or_else(|| empty.clone(), |current| stripped(&shaped(current).unwrap_or_else(|| current.clone())));
    let mut managers = current.map(Managers::of).unwrap_or_default();
    let identity = Identity {
        manager: cluster.caller.manager.clone(),
        operation: "Apply",
        api_version: api_version.to_owned(),
        subresource: subresource.unwrap_or_default().to_owned(),
    };
    // The same manager's entry under another version of the resource is the same applier's.
    let known = managers
        .0
        .keys()
        .find(|own| own.is_apply() && own.manager == identity.manager && own.subresource == identity.subresource)
        .cloned();
    let last = known.and_then(|known| managers.0.remove(&known));

    let ignore = ignored(resource, subresource);
    // What was given counts, not what a decoder adds to it.
    let set = to_set(node, given).map_err(&fault)?.recursive_difference(&ignore);
    let merged = merge(node, &live, applied).map_err(&fault)?;
    let all_owned = managers.0.values().fold(set.clone(), |all, owned| all.union(&owned.fields));
    let pruned = match &last {
        Some(last) if !last.fields.is_empty() => prune(node, &merged, &last.fields, &all_owned).map_err(&fault)?,
        _ => merged,
    };

    let mut comparison = compare(node, &live, &pruned).map_err(&fault)?;
    comparison.exclude(&ignore);
    // Other managers may tell their fields in another version than this one.
    let stored = |object: &Value| convert::from_version(resource, version, object.clone());
    let seen_by = |own: &Identity| -> std::result::Result<Option<Comparison>, String> {
        told_otherwise(resource, own.version(), version)
            .then(|| compare_in(resource, own.version(), subresource, current.map(stripped).as_ref(), &stored(&pruned)))
            .transpose()
    };
    let mut views = BTreeMap::new();
    for own in managers.0.keys() {
        if let Some(view) = seen_by(own).map_err(&fault)? {
            views.insert(own.clone(), view);
        }
    }
    let view = |own: &Identity| views.get(own).unwrap_or(&comparison);
    let conflicts: Vec<_> = managers
        .0
        .iter()
        .map(|(own, owned)| (own.clone(), owned.fields.intersection(&view(own).changed())))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    let is_kubectl = identity.manager == "kubectl";
    if !force && !conflicts.is_empty() && !(is_kubectl && was_kubectl_s_own(node, &live, &conflicts)) {
        let listed: Vec<_> = conflicts.into_iter().map(|(own, fields)| (own, fields.paths())).collect();
        return Err(conflict_status(&listed));
    }
    for (own, taken) in conflicts {
        if let Some(owned) = managers.0.get_mut(&own) {
            owned.fields = owned.fields.difference(&taken);
        }
    }
    for (own, owned) in &mut managers.0 {
        owned.fields = owned.fields.difference(&view(own).removed);
    }
    managers.drop_empty();
    let mine = set.difference(&unowned());
    let unchanged = current.is_some() && pruned == live;
    // An apply that changes nothing has no time of its own.
    let time = match (&last, unchanged) {
        (Some(last), true) => last.time.clone(),
        (None, true) => String::new(),
        _ => cluster.time(),
    };
    if !mine.is_empty() {
        managers.0.insert(identity, Owned { fields: mine, time });
    }
    let mut out = pruned;
    if is_kubectl {
        keep_last_applied(applied, &mut out);
    }
    managers.write(&mut out);
    Ok(out)
}

/// Takes away what the applier set the last time, does not set now, and nobody else owns.
fn prune(node: &Node, merged: &Value, last: &Set, owned: &Set) -> std::result::Result<Value, String> {
    let last_named = last.with_named_fields(node);
    let mut pruned = remove(node, merged, &last_named);
    // Put back what others, or the new configuration, own.
    let merged_set = to_set(node, merged)?.with_named_fields(node);
    let kept = to_set(node, &pruned)?.with_named_fields(node).union(&owned.with_named_fields(node));
    pruned = remove(node, merged, &merged_set.difference(&kept));
    // Put back what was never this applier's.
    let pruned_set = to_set(node, &pruned)?.with_named_fields(node);
    Ok(remove(node, merged, &merged_set.difference(&pruned_set).intersection(&last_named)))
}
