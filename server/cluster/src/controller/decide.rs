//! From what an App wants and what stands in the cluster to what is to be done. Pure.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use super::desired::{Object, Wanted, frame, revision_digest, revision_name, seal};
use crate::{cache::child::ChildRecord, meta, rest::Kind};

/// Revisions kept when the app does not say.
const HISTORY: usize = 10;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Make it so. `force` where it is known to be ours: taking over what is not would be theft.
    Apply { object: Object, force: bool },
    /// Hold a Deployment's replicas while its autoscaler takes them over: giving them up alone would set them to 1.
    HandOver { name: String, replicas: i32 },
    /// Not wanted any more.
    Delete { kind: Kind, name: Arc<str> },
}

/// A child that stands in the cluster.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
    pub(crate) version: u64,
    pub(crate) record: ChildRecord,
}

/// Whether somebody else changed a child since it was applied.
pub(crate) type Drifted<'a> = dyn Fn(&Child) -> bool + 'a;

/// What is to be done so that `desired` stands in the cluster and nothing else of the app does.
pub(crate) fn decide(desired: Vec<Object>, observed: &[Child], drifted: &Drifted<'_>) -> Vec<Action> {
    let wanted: BTreeSet<(Kind, String)> = desired.iter().map(|o| (o.kind, o.name.clone())).collect();
    let mut actions = Vec::new();
    for object in desired {
        let child = observed.iter().find(|c| c.kind == object.kind && *c.name == *object.name);
        let Some(child) = child else {
            actions.push(Action::Apply { object, force: false });
            continue;
        };
        if child.record.deleting {
            continue; // made anew once it is gone
        }
        if object.kind == Kind::DEPLOYMENT && object.replicas.is_none() && !child.record.autoscaled {
            let replicas = child.record.replicas.unwrap_or(1);
            actions.push(Action::HandOver { name: object.name.clone(), replicas });
        }
        let same = child.record.applied.as_deref() == Some(&object.digest);
        let scaled = object.replicas.is_some() && object.replicas != child.record.replicas;
        if !same || scaled || drifted(child) {
            actions.push(Action::Apply { object, force: true });
        }
    }
    for child in observed {
        let kept = child.kind == Kind::REVISION || wanted.contains(&(child.kind, child.name.to_string()));
        if !kept && !child.record.deleting {
            actions.push(Action::Delete { kind: child.kind, name: child.name.clone() });
        }
    }
    actions
}

/// The current revision of an app, and what is to be done about its history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RevisionPlan {
    /// Its number.
    pub(crate) number: i64,
    /// Its ControllerRevision, where it must be made or moved to the front.
    pub(crate) apply: Option<Object>,
    /// Revisions that are too many.
    pub(crate) prune: Vec<Arc<str>>,
}

/// Plans the revisions. A spec that was wanted before gets a new number and keeps its object, as a Deployment's
/// ReplicaSets do.
pub(crate) fn plan_revision(wanted: &Wanted<'_>, observed: &[Child], by: Option<&str>, now: &str) -> RevisionPlan {
    let mut revisions: Vec<&Child> =
        observed.iter().filter(|c| c.kind == Kind::REVISION && !c.record.deleting).collect();
    revisions.sort_by_key(|c| std::cmp::Reverse(c.record.revision));
    let name = revision_name(wanted.name, &revision_digest(wanted.spec));
    let newest = revisions.first().map_or(0, |c| c.record.revision);
    let current = revisions.first().is_some_and(|c| *c.name == *name);
    let number = if current { newest } else { newest + 1 };
    let apply = (!current).then(|| {
        let mut body = frame(&Wanted { revision: number, ..*wanted }, Kind::REVISION, &name, None);
        let mut annotations = json!({ meta::BEGAN_AT: now });
        if let Some(by) = by {
            annotations[meta::BY] = json!(by);
        }
        body["metadata"]["annotations"] = annotations;
        body["revision"] = json!(number);
        body["data"] = json!({ "spec": wanted.spec });
        seal(Kind::REVISION, &name, body, None)
    });
    let keep = wanted.spec.revision_history_limit.map_or(HISTORY, |n| n as usize).max(1);
    // The one that is wanted now comes on top of the old ones that are kept for going back.
    let old = revisions.iter().filter(|c| *c.name != *name);
    let prune = old.skip(keep).map(|c| c.name.clone()).collect();
    RevisionPlan { number, apply, prune }
}
