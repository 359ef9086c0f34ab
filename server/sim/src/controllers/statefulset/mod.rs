//! StatefulSets: pods with names, order and volumes of their own (`pkg/controller/statefulset`).

pub mod decide;

use serde_json::{Value, json};

use self::decide::{Step, Wanted, next};
use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, controller_reference, set},
    pods,
    replicaset::{next_availability, wake_owners_of_pod},
    revisions::{self, REVISION_LABEL},
};
use crate::{
    cluster::DeleteOptions,
    registry::builtin::gr,
    status::Result,
    store::{Event, ObjectRef},
};

const COMPONENT: &str = "statefulset-controller";

/// The controller.
#[derive(Default)]
pub struct StatefulSets;

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::STATEFUL_SETS {
            wake.push(Key::of(event));
        } else if event.resource == gr::PODS {
            wake_owners_of_pod(event, cx, "StatefulSet", &gr::STATEFUL_SETS, wake);
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let Some(set) = cx.cluster.find(&gr::STATEFUL_SETS, &key.namespace, &key.name) else { return Ok(None) };
        if set.deleting() {
            return Ok(None);
        }
        let update = revisions::present(cx, &set, "apps/v1", "StatefulSet")?;
        let all = revisions::list(cx, &set);
        let named = set.text("/status/currentRevision");
        let current = all.iter().find(|revision| revision.name() == named).cloned().unwrap_or_else(|| update.clone());
        let own = claim(cx, &set)?;
        let sync = Sync { cx, set: &set, current: &current, update: &update };
        let mut own = own;
        for step in next(&sync.wanted(), &sync.views(&own)) {
            match step {
                Step::Create(ordinal) => {
                    if let Some(pod) = sync.create(ordinal)? {
                        own.push(pod);
                    }
                }
                Step::Delete(ordinal) => sync.delete(&own, ordinal)?,
            }
        }
        sync.write_status(&own)?;
        revisions::trim(cx, &set, &[current.name(), update.name()])?;
        Ok(next_availability(&own, set.int("/spec/minReadySeconds").unwrap_or_default(), cx.now))
    }
}

/// The set's pods: those it controls whose names are its own.
fn claim(cx: &Context<'_>, set: &Value) -> Result<Vec<ObjectRef>> {
    let claimed = pods::claim(cx, set, "apps/v1", "StatefulSet")?;
    Ok(claimed.into_iter().filter(|pod| ordinal(set, pod).is_some()).collect())
}

fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    pod.name().strip_prefix(set.name())?.strip_prefix('-')?.parse().ok()
}

struct Sync<'a> {
    cx: &'a Context<'a>,
    set: &'a ObjectRef,
    current: &'a ObjectRef,
    update: &'a ObjectRef,
}

impl Sync<'_> {
    fn start(&self) -> i64 {
        self.set.int("/spec/ordinals/start").unwrap_or_default()
    }

    fn replicas(&self) -> i64 {
        self.set.int("/spec/replicas").unwrap_or(1)
    }

    fn partition(&self) -> i64 {
        self.set.int("/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default()
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            start: self.start(),
            replicas: self.replicas(),
            parallel: self.set.text("/spec/podManagementPolicy") == "Parallel",
            update_from: (self.set.text("/spec/updateStrategy/type") != "OnDelete")
                .then(|| self.start() + self.partition()),
        }
    }

    fn views(&self, own: &[ObjectRef]) -> Vec<decide::Pod> {
        let min_ready = self.set.int("/spec/minReadySeconds").unwrap_or_default();
        own.iter()
            .filter_map(|pod| {
                Some(decide::Pod {
                    ordinal: ordinal(self.set, pod)?,
                    finished: pods::is_finished(pod),
                    terminating: pod.deleting(),
                    ready: pods::is_ready(pod),
                    available: pods::is_available(pod, min_ready, self.cx.now),
                    updated: pod.label(REVISION_LABEL) == Some(self.update.name()),
                })
            })
            .collect()
    }

    /// Which revision a new pod of an ordinal gets: below the partition, or while an update is under way, the old.
    fn revision_for(&self, ordinal: i64) -> &ObjectRef {
        if self.current.name() == self.update.name() {
            return self.update;
        }
        let partition = self.partition();
        let kept = if partition > 0 { partition } else { self.set.int("/status/currentReplicas").unwrap_or_default() };
        if ordinal < self.start() + kept { self.current } else { self.update }
    }

    fn create(&self, ordinal: i64) -> Result<Option<ObjectRef>> {
        let (set, cx) = (self.set, self.cx);
        let name = format!("{}-{ordinal}", set.name());
        let revision = self.revision_for(ordinal);
        let template = revisions::template(revision);
        let mut pod = pods::from_template(&template, "apps/v1", "StatefulSet", set);
        super::fields::unset(&mut pod, &["metadata", "generateName"]);
        self::set(&mut pod, &["metadata", "name"], name.as_str());
        for (label, value) in [
            ("statefulset.kubernetes.io/pod-name", name.as_str()),
            ("apps.kubernetes.io/pod-index", &ordinal.to_string()),
            (REVISION_LABEL, revision.name()),
        ] {
            self::set(&mut pod, &["metadata", "labels", label], value);
        }
        pod["spec"]["hostname"] = json!(name);
        if !set.text("/spec/serviceName").is_empty() {
            pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
        }
        let mut volumes = Vec::new();
        for claim in set.items("/spec/volumeClaimTemplates") {
            let claim_name = format!("{}-{name}", claim.name());
            self.ensure_claim(claim, &claim_name, &name)?;
            volumes.push(json!({"name": claim.name(), "persistentVolumeClaim": {"claimName": claim_name}}));
        }
        let others = pod
            .items("/spec/volumes")
            .iter()
            .filter(|volume| !volumes.iter().any(|own| own["name"] == volume["name"]))
            .cloned();
        let volumes: Vec<Value> = volumes.iter().cloned().chain(others).collect();
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = json!(volumes);
        }
        match cx.cluster.create(&gr::PODS, set.namespace(), pod) {
            Ok(pod) => {
                let message = format!("Create Pod {name} in StatefulSet {} successful", set.name());
                cx.recorder.event(set, "Normal", "SuccessfulCreate", &message, COMPONENT);
                Ok(Some(pod))
            }
            Err(status) if status.is_already_exists() || pods::namespace_is_terminating(&status) => Ok(None),
            Err(status) => {
                let message = format!("create Pod {name} in StatefulSet {} failed error: {status}", set.name());
                cx.recorder.event(set, "Warning", "FailedCreate", &message, COMPONENT);
                Err(status)
            }
        }
    }

    fn ensure_claim(&self, template: &Value, name: &str, pod: &str) -> Result<()> {
        let (set, cx) = (self.set, self.cx);
        if cx.cluster.find(&gr::PERSISTENT_VOLUME_CLAIMS, set.namespace(), name).is_some() {
            return Ok(());
        }
        let mut metadata = template.at("/metadata").clone();
        metadata["name"] = json!(name);
        let mut labels = set.at("/spec/selector/matchLabels").clone();
        for (key, value) in template.pairs("/metadata/labels") {
            labels[key] = json!(value);
        }
        metadata["labels"] = labels;
        if set.text("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete" {
            metadata["ownerReferences"] = json!([controller_reference("apps/v1", "StatefulSet", set)]);
        }
        let claim = json!({"metadata": metadata, "spec": template["spec"]});
        match cx.cluster.create(&gr::PERSISTENT_VOLUME_CLAIMS, set.namespace(), claim) {
            Ok(_) => {
                let message = format!("create Claim {name} Pod {pod} in StatefulSet {} success", set.name());
                cx.recorder.event(set, "Normal", "SuccessfulCreate", &message, COMPONENT);
                Ok(())
            }
            Err(status) => {
                let message =
                    format!("create Claim {name} for Pod {pod} in StatefulSet {} failed error: {status}", set.name());
                cx.recorder.event(set, "Warning", "FailedCreate", &message, COMPONENT);
                Err(status)
            }
        }
    }

    fn delete(&self, own: &[ObjectRef], wanted: i64) -> Result<()> {
        let Some(pod) = own.iter().find(|pod| ordinal(self.set, pod) == Some(wanted)) else { return Ok(()) };
        match self.cx.cluster.delete(&gr::PODS, pod.namespace(), pod.name(), &DeleteOptions::default()) {
            Ok(_) => {
                let message = format!("delete Pod {} in StatefulSet {} successful", pod.name(), self.set.name());
                self.cx.recorder.event(self.set, "Normal", "SuccessfulDelete", &message, COMPONENT);
                Ok(())
            }
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => Err(status),
        }
    }

    fn write_status(&self, own: &[ObjectRef]) -> Result<()> {
        let min_ready = self.set.int("/spec/minReadySeconds").unwrap_or_default();
        let of = |revision: &ObjectRef| {
            own.iter().filter(|pod| !pod.deleting() && pod.label(REVISION_LABEL) == Some(revision.name())).count()
        };
        let count = |pick: &dyn Fn(&ObjectRef) -> bool| own.iter().filter(|pod| pick(pod)).count();
        let (mut current, update) = (self.current, self.update);
        let ready = count(&|pod| pods::is_ready(pod) && !pod.deleting());
        let replicas = usize::try_from(self.replicas()).unwrap_or_default();
        if of(update) == replicas && ready == replicas && own.len() == replicas {
            // The update is complete: what was new is current.
            current = update;
        }
        let mut status =
            json!({"observedGeneration": self.set.generation(), "replicas": count(&|pod| !pods::is_finished(pod))});
        for (field, number) in
            [("readyReplicas", ready), ("currentReplicas", of(current)), ("updatedReplicas", of(update))]
        {
            if number > 0 {
                status[field] = json!(number);
            }
        }
        status["currentRevision"] = json!(current.name());
        status["updateRevision"] = json!(update.name());
        status["collisionCount"] = json!(self.set.int("/status/collisionCount").unwrap_or_default());
        status["availableReplicas"] =
            json!(count(&|pod| pods::is_available(pod, min_ready, self.cx.now) && !pod.deleting()));
        if status != *self.set.at("/status") {
            self.cx.cluster.modify_status(&gr::STATEFUL_SETS, self.set.namespace(), self.set.name(), |value| {
                value["status"] = status
            })?;
        }
        Ok(())
    }
}
