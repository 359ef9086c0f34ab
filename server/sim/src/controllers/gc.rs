//! Garbage collection by owner references (`pkg/controller/garbagecollector`).

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, remove_finalizer, unset},
    index::Location,
};
use crate::{
    cluster::{DeleteOptions, Propagation},
    registry::builtin::gr,
    status::{Result, Status},
    store::{Event, EventKind, GroupResource, ObjectRef},
};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The collector. Its keys carry the resource in front of the name.
#[derive(Default)]
pub struct GarbageCollector;

fn key(at: &Location) -> Key {
    Key::new(&at.namespace, &format!("{}/{}/{}", at.resource.group, at.resource.resource, at.name))
}

fn location(key: &Key) -> Option<Location> {
    let mut parts = key.name.splitn(3, '/');
    let (group, resource, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Location {
        resource: GroupResource::owned(group, resource),
        namespace: key.namespace.to_string(),
        name: name.to_owned(),
    })
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::EVENTS {
            return;
        }
        let own =
            Location { resource: event.resource.clone(), namespace: event.namespace.clone(), name: event.name.clone() };
        if event.kind == EventKind::Deleted {
            wake.extend(cx.index.dependents(event.object.uid()).map(key));
            // Owners that wait for this one.
            for owner in event.object.items("/metadata/ownerReferences") {
                wake.extend(cx.index.locate(owner.text("/uid")).map(key));
            }
            return;
        }
        let owned = !event.object.items("/metadata/ownerReferences").is_empty();
        let waits =
            event.object.deleting() && (event.object.has_finalizer(FOREGROUND) || event.object.has_finalizer(ORPHAN));
        let owners_changed = event
            .previous
            .as_deref()
            .is_none_or(|old| old.at("/metadata/ownerReferences") != event.object.at("/metadata/ownerReferences"));
        if waits || owned && owners_changed {
            wake.push(key(&own));
        }
        if waits {
            wake.extend(cx.index.dependents(event.object.uid()).map(key));
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(at) = location(key) else { return Ok(None) };
        let Some(object) = cx.cluster.find(&at.resource, &at.namespace, &at.name) else { return Ok(None) };
        if object.deleting() {
            if object.has_finalizer(ORPHAN) {
                return orphan_dependents(cx, &at, &object).map(|()| None);
            }
            if object.has_finalizer(FOREGROUND) {
                return finish_foreground(cx, &at, &object).map(|()| None);
            }
        }
        collect(cx, &at, &object).map(|()| None)
    }
}

/// How an owner reference stands.
#[derive(PartialEq, Eq)]
enum Standing {
    /// The owner exists.
    Solid,
    /// The owner is gone, or another object has its name now.
    Dangling,
    /// The owner is deleted in the foreground and waits for its dependents.
    Waiting,
}

fn standing(cx: &Context<'_>, at: &Location, reference: &Value) -> Standing {
    let owner = cx
        .index
        .locate(reference.text("/uid"))
        .and_then(|place| cx.cluster.find(&place.resource, &place.namespace, &place.name).map(|object| (place, object)))
        .filter(|(_, object)| object.uid() == reference.text("/uid"));
    match owner {
        // A namespaced owner counts only in its own namespace.
        Some((place, _)) if !place.namespace.is_empty() && place.namespace != at.namespace => Standing::Dangling,
        Some((_, object)) if object.deleting() && object.has_finalizer(FOREGROUND) => Standing::Waiting,
        Some(_) => Standing::Solid,
        None => Standing::Dangling,
    }
}

/// Deletes an object that has no owner left (`attemptToDeleteItem`).
fn collect(cx: &Context<'_>, at: &Location, object: &ObjectRef) -> Result<()> {
    let references = object.items("/metadata/ownerReferences");
    if references.is_empty() || object.deleting() {
        return Ok(());
    }
    let (mut solid, mut dangling, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for reference in references {
        match standing(cx, at, reference) {
            Standing::Solid => solid.push(reference),
            Standing::Dangling => dangling.push(reference),
            Standing::Waiting => waiting.push(reference),
        }
    }
    if !solid.is_empty() {
        if dangling.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        let kept: Vec<Value> = solid.into_iter().cloned().collect();
        return ignore_missing(cx.cluster.modify(&at.resource, &at.namespace, &at.name, |value| {
            value["metadata"]["ownerReferences"] = json!(kept)
        }));
    }
    let has_dependents = cx.index.dependents(object.uid()).next().is_some();
    let propagation = if !waiting.is_empty() && has_dependents || object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    let options = DeleteOptions {
        uid: Some(object.uid().to_owned()),
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    ignore_missing(cx.cluster.delete(&at.resource, &at.namespace, &at.name, &options))
}

/// Lets go of an owner whose blocking dependents are gone (`processDeletingDependentsItem`).
fn finish_foreground(cx: &Context<'_>, at: &Location, owner: &ObjectRef) -> Result<()> {
    let mut blocked = false;
    for place in cx.index.dependents(owner.uid()) {
        let Some(dependent) = cx.cluster.find(&place.resource, &place.namespace, &place.name) else { continue };
        blocked |= dependent
            .items("/metadata/ownerReferences")
            .iter()
            .any(|reference| reference.text("/uid") == owner.uid() && reference.flag("/blockOwnerDeletion"));
    }
    if blocked {
        return Ok(());
    }
    release(cx, at, FOREGROUND)
}

fn orphan_dependents(cx: &Context<'_>, at: &Location, owner: &ObjectRef) -> Result<()> {
    let places: Vec<Location> = cx.index.dependents(owner.uid()).cloned().collect();
    for place in places {
        ignore_missing(cx.cluster.modify(&place.resource, &place.namespace, &place.name, |value| {
            let kept: Vec<Value> = value
                .items("/metadata/ownerReferences")
                .iter()
                .filter(|reference| reference.text("/uid") != owner.uid())
                .cloned()
                .collect();
            if kept.is_empty() {
                unset(value, &["metadata", "ownerReferences"]);
            } else {
                value["metadata"]["ownerReferences"] = json!(kept);
            }
        }))?;
    }
    release(cx, at, ORPHAN)
}

fn release(cx: &Context<'_>, at: &Location, finalizer: &str) -> Result<()> {
    ignore_missing(cx.cluster.modify(&at.resource, &at.namespace, &at.name, |value| {
        remove_finalizer(value, finalizer);
    }))
}

fn ignore_missing<T>(outcome: Result<T, Status>) -> Result<()> {
    match outcome {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
