//! Deployments: rollouts over ReplicaSets (`pkg/controller/deployment`).

pub mod decide;
pub mod status;

use serde_json::{Map, Value, json};

use self::decide::{DESIRED_REPLICAS, MAX_REPLICAS, Resize, Set, Wanted};
use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, controller_reference, object_mut, semantically_equal, set, template_hash, unset},
    pods,
    selector::{is_empty, matches},
};
use crate::{
    cluster::DeleteOptions,
    registry::builtin::gr,
    status::{Result, Status},
    store::{Event, ObjectRef},
};

const COMPONENT: &str = "deployment-controller";
const HASH_LABEL: &str = "pod-template-hash";
/// Annotation that counts the templates a Deployment has had.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Annotations of the Deployment that its ReplicaSets do not inherit.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The controller.
#[derive(Default)]
pub struct Deployments;

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::DEPLOYMENTS {
            wake.push(Key::of(event));
        } else if event.resource == gr::REPLICA_SETS {
            super::replicaset::wake_owners_of_pod(event, cx, "Deployment", &gr::DEPLOYMENTS, wake);
        } else if event.resource == gr::PODS && event.object.deleting()
            || event.resource == gr::PODS && event.kind == crate::store::EventKind::Deleted
        {
            // Recreate waits for the last old pod.
            if let Some(owner) = event.object.controller()
                && let Some(set) = cx.cluster.find(&gr::REPLICA_SETS, &event.namespace, owner.text("/name"))
                && let Some(deployment) = set.controller()
            {
                wake.push(Key::new(&event.namespace, deployment.text("/name")));
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(deployment) = cx.cluster.find(&gr::DEPLOYMENTS, &key.namespace, &key.name) else { return Ok(None) };
        let mut rollout = Rollout { cx, deployment: deployment.value().clone(), sets: Vec::new() };
        rollout.sync()
    }
}

/// One look at one Deployment.
struct Rollout<'a> {
    cx: &'a Context<'a>,
    /// The Deployment, kept current through our own writes.
    deployment: Value,
    /// Its ReplicaSets, oldest first.
    sets: Vec<ObjectRef>,
}

impl Rollout<'_> {
    fn sync(&mut self) -> Outcome {
        if self.deployment.at("/spec/selector").is_object() && is_empty(self.deployment.at("/spec/selector")) {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.cx.recorder.event(&self.deployment, "Warning", "SelectingAll", message, COMPONENT);
            let generation = self.deployment.generation();
            return self.write_status(|status| status["observedGeneration"] = json!(generation)).map(|()| None);
        }
        self.sets = self.claim_sets()?;
        if self.deployment.deleting() {
            return self.sync_counts();
        }
        self.sync_paused_condition()?;
        let paused = self.deployment.flag("/spec/paused");
        if paused || self.is_scaling() {
            let (new, old) = self.split();
            if let Some(new) = &new {
                self.refresh_new(new)?;
            }
            let (new, old) = if new.is_some() { self.split() } else { (new, old) };
            let steps = decide::scale(&self.wanted(), new.as_deref().map(|set| Set::of(set)).as_ref(), &views(&old));
            self.resize(&steps)?;
            self.refresh_annotations()?;
            if paused {
                self.clean_up()?;
            }
            return self.sync_counts();
        }
        if self.deployment.text("/spec/strategy/type") == "Recreate" { self.recreate() } else { self.roll() }
    }

    fn wanted(&self) -> Wanted {
        Wanted::of(&self.deployment)
    }

    fn roll(&mut self) -> Outcome {
        let new = match self.split().0 {
            Some(new) => self.refresh_new(&new)?,
            None => self.create_new()?,
        };
        let old = self.split().1;
        let steps = decide::rolling(&self.wanted(), &Set::of(&new), &views(&old));
        if !steps.is_empty() {
            self.resize(&steps)?;
        } else if status::complete(&self.deployment, self.deployment.at("/status")) {
            self.clean_up()?;
        }
        self.sync_rollout()
    }

    fn recreate(&mut self) -> Outcome {
        let (mut new, old) = self.split();
        if let Some(found) = &new {
            new = Some(self.refresh_new(found)?);
        }
        let steps = decide::empty_old(&views(&old));
        if !steps.is_empty() {
            self.resize(&steps)?;
            return self.sync_rollout();
        }
        if self.old_pods_exist(new.as_ref().map(|set| set.value()), &old) {
            return self.sync_rollout();
        }
        let new = match new {
            Some(new) => new,
            None => self.create_new()?,
        };
        let replicas = self.wanted().replicas;
        if new.int("/spec/replicas") != Some(replicas) {
            self.resize(&[Resize { name: new.name().to_owned(), to: replicas }])?;
        }
        if status::complete(&self.deployment, self.deployment.at("/status")) {
            self.clean_up()?;
        }
        self.sync_rollout()
    }

    fn old_pods_exist(&self, new: Option<&Value>, old: &[ObjectRef]) -> bool {
        if old.iter().any(|set| set.int("/status/replicas").unwrap_or_default() > 0) {
            return true;
        }
        self.sets.iter().filter(|set| new.is_none_or(|new| new.uid() != set.uid())).any(|set| {
            self.cx
                .index
                .dependents_of(set.uid(), &gr::PODS)
                .filter_map(|at| self.cx.cluster.find(&gr::PODS, &at.namespace, &at.name))
                .any(|pod| !pods::is_finished(&pod))
        })
    }

    /// The ReplicaSets that belong to the Deployment, orphans that match adopted, oldest first.
    fn claim_sets(&self) -> Result<Vec<ObjectRef>> {
        let deployment = &self.deployment;
        let namespace = deployment.namespace();
        let selector = deployment.at("/spec/selector");
        let mut sets = Vec::new();
        let index = self.cx.index;
        let kind = gr::REPLICA_SETS;
        let own = index.dependents_of(deployment.uid(), &kind).map(|at| &at.name);
        let names: std::collections::BTreeSet<&String> = own.chain(index.orphan_sets(namespace)).collect();
        for candidate in names.into_iter().filter_map(|name| self.cx.cluster.find(&kind, namespace, name)) {
            let fits = matches(selector, candidate.at("/metadata/labels"));
            if candidate.controlled_by(deployment.uid()) {
                if fits {
                    sets.push(candidate);
                } else if !deployment.deleting() && !candidate.deleting() {
                    let kept: Vec<Value> = candidate
                        .items("/metadata/ownerReferences")
                        .iter()
                        .filter(|owner| owner.text("/uid") != deployment.uid())
                        .cloned()
                        .collect();
                    self.cx.cluster.modify(&gr::REPLICA_SETS, namespace, candidate.name(), |value| {
                        set(value, &["metadata", "ownerReferences"], kept);
                    })?;
                }
            } else if fits && candidate.controller().is_none() && !candidate.deleting() && !deployment.deleting() {
                let reference = controller_reference("apps/v1", "Deployment", deployment);
                sets.push(self.cx.cluster.modify(&gr::REPLICA_SETS, namespace, candidate.name(), |value| {
                    set(value, &["metadata", "ownerReferences"], json!([reference]));
                })?);
            }
        }
        sets.sort_by(|a, b| Set::of(a).created.cmp(&Set::of(b).created));
        Ok(sets)
    }

    /// The ReplicaSet of the present template, if there is one, and the others.
    fn split(&self) -> (Option<ObjectRef>, Vec<ObjectRef>) {
        let template = without_hash(self.deployment.at("/spec/template"));
        let new = self
            .sets
            .iter()
            .find(|set| semantically_equal(&without_hash(set.at("/spec/template")), &template))
            .cloned();
        let old =
            self.sets.iter().filter(|set| new.as_ref().is_none_or(|new| new.uid() != set.uid())).cloned().collect();
        (new, old)
    }

    fn is_scaling(&self) -> bool {
        let replicas = self.wanted().replicas;
        self.sets
            .iter()
            .map(|set| Set::of(set))
            .any(|set| set.spec > 0 && set.desired.is_some_and(|desired| desired != replicas))
    }

    fn next_revision(&self, new: Option<&Value>) -> i64 {
        self.sets
            .iter()
            .filter(|set| new.is_none_or(|new| new.uid() != set.uid()))
            .filter_map(|set| revision(set))
            .max()
            .unwrap_or_default()
            + 1
    }

    /// Brings annotations and minReadySeconds of the present ReplicaSet up to date, and its revision when a
    /// rollback made an old one present again.
    fn refresh_new(&mut self, new: &ObjectRef) -> Result<ObjectRef> {
        let mut value = new.value().clone();
        annotate(&self.deployment, &mut value, self.next_revision(Some(new)));
        if value.int("/spec/minReadySeconds").unwrap_or_default()
            != self.deployment.int("/spec/minReadySeconds").unwrap_or_default()
        {
            value["spec"]["minReadySeconds"] = self.deployment.at("/spec/minReadySeconds").clone();
        }
        let mut new = new.clone();
        if value != *new.value() {
            new = self.cx.cluster.update(&gr::REPLICA_SETS, new.namespace(), value)?;
            self.replace(&new);
        }
        self.write_revision(new.annotation(REVISION).unwrap_or_default())?;
        if status::progress_deadline(&self.deployment).is_some() && self.deployment.condition("Progressing").is_none() {
            let message = format!("Found new replica set \"{}\"", new.name());
            self.put_condition("Progressing", "True", "FoundNewReplicaSet", &message)?;
        }
        Ok(new)
    }

    fn create_new(&mut self) -> Result<ObjectRef> {
        let deployment = &self.deployment;
        let hash = template_hash(deployment.at("/spec/template"), deployment.int("/status/collisionCount"));
        let keep = 253 - 1 - hash.len();
        let name = format!("{}-{hash}", deployment.name().get(..keep).unwrap_or(deployment.name()));
        let mut template = deployment.at("/spec/template").clone();
        set(&mut template, &["metadata", "labels", HASH_LABEL], hash.as_str());
        let mut selector = deployment.at("/spec/selector").clone();
        set(&mut selector, &["matchLabels", HASH_LABEL], hash.as_str());
        let wanted = self.wanted();
        let replicas = decide::new_replicas(&wanted, 0, &views(&self.sets));
        let mut value = json!({
            "metadata": {
                "name": name,
                "namespace": deployment.namespace(),
                "labels": template["metadata"]["labels"],
                "ownerReferences": [controller_reference("apps/v1", "Deployment", deployment)],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        });
        if let Some(seconds) = deployment.int("/spec/minReadySeconds").filter(|seconds| *seconds > 0) {
            value["spec"]["minReadySeconds"] = json!(seconds);
        }
        annotate(deployment, &mut value, self.next_revision(None));
        annotate_replicas(&mut value, &wanted);

        let created = match self.cx.cluster.create(&gr::REPLICA_SETS, deployment.namespace(), value) {
            Ok(created) => created,
            Err(status) if status.is_already_exists() => {
                // A ReplicaSet of that name that is not of this template: the hash collided.
                let count = self.deployment.int("/status/collisionCount").unwrap_or_default() + 1;
                self.write_status(|status| status["collisionCount"] = json!(count))?;
                return Err(status);
            }
            Err(status) if pods::namespace_is_terminating(&status) => return Err(status),
            Err(status) => return Err(self.report_refused_set(&name, status)),
        };
        self.sets.push(created.clone());
        if replicas > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {replicas}");
            self.cx.recorder.event(&self.deployment, "Normal", "ScalingReplicaSet", &message, COMPONENT);
        }
        self.write_revision(created.annotation(REVISION).unwrap_or_default())?;
        if status::progress_deadline(&self.deployment).is_some() {
            self.put_condition(
                "Progressing",
                "True",
                "NewReplicaSetCreated",
                &format!("Created new replica set \"{name}\""),
            )?;
        }
        Ok(created)
    }

    fn report_refused_set(&mut self, name: &str, refused: Status) -> Status {
        let message = format!("Failed to create new replica set \"{name}\": {refused}");
        self.cx.recorder.event(&self.deployment, "Warning", "ReplicaSetCreateError", &message, COMPONENT);
        if status::progress_deadline(&self.deployment).is_some()
            && let Err(error) = self.put_condition("Progressing", "False", "ReplicaSetCreateError", &message)
        {
            return error;
        }
        refused
    }

    fn replace(&mut self, changed: &ObjectRef) {
        if let Some(slot) = self.sets.iter_mut().find(|set| set.uid() == changed.uid()) {
            *slot = changed.clone();
        }
    }

    fn resize(&mut self, steps: &[Resize]) -> Result<()> {
        let wanted = self.wanted();
        for step in steps {
            let Some(current) = self.sets.iter().find(|set| set.name() == step.name).cloned() else { continue };
            let from = current.int("/spec/replicas").unwrap_or(1);
            let mut value = current.value().clone();
            value["spec"]["replicas"] = json!(step.to);
            annotate_replicas(&mut value, &wanted);
            if value == *current.value() {
                continue;
            }
            let changed = self.cx.cluster.update(&gr::REPLICA_SETS, current.namespace(), value)?;
            self.replace(&changed);
            if from != step.to {
                let direction = if from < step.to { "up" } else { "down" };
                let message = format!("Scaled {direction} replica set {} from {from} to {}", step.name, step.to);
                self.cx.recorder.event(&self.deployment, "Normal", "ScalingReplicaSet", &message, COMPONENT);
            }
        }
        Ok(())
    }

    /// After a scale every active ReplicaSet carries the new totals, or the next look would scale again.
    fn refresh_annotations(&mut self) -> Result<()> {
        let wanted = self.wanted();
        for current in self.sets.clone() {
            let mut value = current.value().clone();
            if current.int("/spec/replicas").unwrap_or(1) == 0 {
                continue;
            }
            annotate_replicas(&mut value, &wanted);
            if value != *current.value() {
                let changed = self.cx.cluster.update(&gr::REPLICA_SETS, current.namespace(), value)?;
                self.replace(&changed);
            }
        }
        Ok(())
    }

    fn sync_paused_condition(&mut self) -> Result<()> {
        if status::progress_deadline(&self.deployment).is_none() {
            return Ok(());
        }
        let reason = self.deployment.condition("Progressing").map_or("", |condition| condition.text("/reason"));
        if reason == "ProgressDeadlineExceeded" {
            return Ok(());
        }
        match (self.deployment.flag("/spec/paused"), reason == "DeploymentPaused") {
            (true, false) => self.put_condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"),
            (false, true) => self.put_condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed"),
            _ => Ok(()),
        }
    }

    /// Removes the oldest empty ReplicaSets beyond `revisionHistoryLimit`.
    fn clean_up(&self) -> Result<()> {
        let Some(limit) =
            self.deployment.int("/spec/revisionHistoryLimit").filter(|limit| *limit != i64::from(i32::MAX))
        else {
            return Ok(());
        };
        let mut old: Vec<_> = self.split().1.into_iter().filter(|set| !set.deleting()).collect();
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        old.sort_by_key(|set| (revision(set).unwrap_or_default(), Set::of(set).created));
        for set in old.iter().take(excess) {
            let count = |field| set.int(field).unwrap_or_default();
            if count("/status/replicas") == 0
                && count("/spec/replicas") == 0
                && count("/status/observedGeneration") >= set.generation()
            {
                match self.cx.cluster.delete(&gr::REPLICA_SETS, set.namespace(), set.name(), &DeleteOptions::default())
                {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn sync_counts(&mut self) -> Outcome {
        let (new, _) = self.split();
        let all: Vec<&Value> = self.sets.iter().map(|set| set.value()).collect();
        let fresh = status::counts(&self.deployment, &all, new.as_ref().map(|set| set.value()), self.cx.now);
        self.write_status(|status| *status = fresh)?;
        Ok(None)
    }

    fn sync_rollout(&mut self) -> Outcome {
        let (new, _) = self.split();
        let all: Vec<&Value> = self.sets.iter().map(|set| set.value()).collect();
        let (fresh, again) = status::rollout(&self.deployment, &all, new.as_ref().map(|set| set.value()), self.cx.now);
        self.write_status(|status| *status = fresh)?;
        Ok(again)
    }

    fn put_condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) -> Result<()> {
        let fresh = status::condition(kind, status, reason, message, self.cx.now);
        self.write_status(|status| {
            let mut conditions = status.items("/conditions").to_vec();
            status::put(&mut conditions, fresh);
            status["conditions"] = json!(conditions);
        })
    }

    fn write_status(&mut self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut status = self.deployment.at("/status").clone();
        if !status.is_object() {
            status = json!({});
        }
        change(&mut status);
        if status == *self.deployment.at("/status") {
            return Ok(());
        }
        let name = self.deployment.name().to_owned();
        let written = self
            .cx
            .cluster
            .modify_status(&gr::DEPLOYMENTS, self.deployment.namespace(), &name, |value| value["status"] = status)?;
        // The spec stays as this reconcile read it: a change since then wakes it again.
        self.deployment["status"] = written.at("/status").clone();
        Ok(())
    }

    fn write_revision(&mut self, revision: &str) -> Result<()> {
        if revision.is_empty() || self.deployment.annotation(REVISION) == Some(revision) {
            return Ok(());
        }
        self.cx.cluster.modify(&gr::DEPLOYMENTS, self.deployment.namespace(), self.deployment.name(), |value| {
            set(value, &["metadata", "annotations", REVISION], revision);
        })?;
        set(&mut self.deployment, &["metadata", "annotations", REVISION], revision);
        Ok(())
    }
}

fn views(sets: &[ObjectRef]) -> Vec<Set> {
    sets.iter().map(|set| Set::of(set)).collect()
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    unset(&mut template, &["metadata", "labels", HASH_LABEL]);
    unset(&mut template, &["metadata", "creationTimestamp"]);
    template
}

fn revision(set: &Value) -> Option<i64> {
    set.annotation(REVISION)?.parse().ok()
}

/// Copies the Deployment's annotations and moves the revision forward, keeping the revisions it had.
fn annotate(deployment: &Value, set: &mut Value, newest: i64) {
    let old = revision(set);
    let annotations: &mut Map<String, Value> = object_mut(set, &["metadata", "annotations"]);
    for (key, value) in deployment.pairs("/metadata/annotations") {
        if !NOT_COPIED.contains(&key) {
            annotations.insert(key.to_owned(), json!(value));
        }
    }
    if old.unwrap_or_default() < newest {
        annotations.insert(REVISION.to_owned(), json!(newest.to_string()));
        if let Some(old) = old {
            let history = annotations.get(REVISION_HISTORY).and_then(Value::as_str).unwrap_or_default();
            let mut entries: Vec<String> = history
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .chain([old.to_string()])
                .collect();
            while entries.join(",").len() > 2000 {
                entries.remove(0);
            }
            annotations.insert(REVISION_HISTORY.to_owned(), json!(entries.join(",")));
        }
    }
}

fn annotate_replicas(replica_set: &mut Value, wanted: &Wanted) {
    set(replica_set, &["metadata", "annotations", DESIRED_REPLICAS], wanted.replicas.to_string());
    set(replica_set, &["metadata", "annotations", MAX_REPLICAS], wanted.max_replicas().to_string());
}
