//! Volume claims: binding, provisioning, growing, reclaiming, protection (`pkg/controller/volume`).

use serde_json::{Value, json};

use super::{
    engine::{Context, Controller, Key, Outcome},
    fields::{Fields, remove_finalizer},
    pods,
};
use crate::{
    cluster::{Cluster, DeleteOptions},
    quantity::Quantity,
    registry::builtin::gr,
    scheduler::SELECTED_NODE,
    status::Result,
    store::{Event, EventKind, ObjectRef},
};

const COMPONENT: &str = "persistentvolume-controller";
/// The provisioner of the classes that the simulator brings.
const PROVISIONER: &str = "sim.berth.dev/volumes";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const PVC_PROTECTION: &str = "kubernetes.io/pvc-protection";
const PV_PROTECTION: &str = "kubernetes.io/pv-protection";

/// Creates the storage classes `standard` (default, binds at once) and `local` (binds when a pod needs it), and
/// the system's priority classes.
pub fn bootstrap(cluster: &Cluster) {
    let class = |name: &str, default: bool, mode: &str| {
        json!({
            "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default.to_string()}},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": mode,
            "allowVolumeExpansion": true,
        })
    };
    let priority = |name: &str, value: i64, about: &str| json!({"metadata": {"name": name}, "value": value, "description": about, "preemptionPolicy": "PreemptLowerPriority"});
    let system = cluster.component("kube-apiserver");
    for (resource, object) in [
        (gr::STORAGE_CLASSES, class("standard", true, "Immediate")),
        (gr::STORAGE_CLASSES, class("local", false, "WaitForFirstConsumer")),
        (
            gr::PRIORITY_CLASSES,
            priority(
                "system-cluster-critical",
                2_000_000_000,
                "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
            ),
        ),
        (
            gr::PRIORITY_CLASSES,
            priority(
                "system-node-critical",
                2_000_001_000,
                "Used for system critical pods that must not be moved from their current node.",
            ),
        ),
    ] {
        if system.find(&resource, "", object.name()).is_none()
            && let Err(status) = system.create(&resource, "", object)
        {
            tracing::error!(%status, "default class not made");
        }
    }
}

/// Binds claims to volumes and provisions what is missing.
#[derive(Default)]
pub struct ClaimBinder;

impl Controller for ClaimBinder {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::PERSISTENT_VOLUME_CLAIMS {
            wake.push(Key::of(event));
            if event.kind == EventKind::Deleted && !event.object.text("/spec/volumeName").is_empty() {
                wake.push(Key::new("", event.object.text("/spec/volumeName")));
            }
        } else if event.resource == gr::PERSISTENT_VOLUMES {
            wake.push(Key::new("", &event.name));
            for claim in cx.cluster.list(&gr::PERSISTENT_VOLUME_CLAIMS, None) {
                let waits = claim.text("/status/phase") != "Bound";
                if waits || event.kind == EventKind::Deleted && claim.text("/spec/volumeName") == event.name {
                    wake.push(Key::new(claim.namespace(), claim.name()));
                }
            }
        } else if event.resource == gr::STORAGE_CLASSES {
            for claim in cx.cluster.list(&gr::PERSISTENT_VOLUME_CLAIMS, None) {
                if claim.text("/status/phase") != "Bound" {
                    wake.push(Key::new(claim.namespace(), claim.name()));
                }
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        if key.namespace.is_empty() {
            return reclaim(cx, &key.name).map(|()| None);
        }
        let Some(claim) = cx.cluster.find(&gr::PERSISTENT_VOLUME_CLAIMS, &key.namespace, &key.name) else {
            return Ok(None);
        };
        if claim.annotation(BIND_COMPLETED).is_some() || claim.text("/status/phase") == "Bound" {
            return bound(cx, &claim).map(|()| None);
        }
        if claim.deleting() {
            return Ok(None);
        }
        let named = claim.text("/spec/volumeName");
        if !named.is_empty() {
            if let Some(volume) = cx.cluster.find(&gr::PERSISTENT_VOLUMES, "", named) {
                let taken = volume.at("/spec/claimRef").is_object() && !is_for(&volume, &claim);
                if !taken {
                    return bind(cx, &claim, &volume).map(|()| None);
                }
            }
            return set_phase(cx, &claim, "Pending").map(|()| None);
        }
        let chosen = best_match(cx, &claim);
        if let Some(volume) = chosen {
            return bind(cx, &claim, &volume).map(|()| None);
        }
        provision(cx, &claim)?;
        Ok(None)
    }
}

fn is_for(volume: &Value, claim: &Value) -> bool {
    let reference = volume.at("/spec/claimRef");
    reference.text("/name") == claim.name()
        && reference.text("/namespace") == claim.namespace()
        && matches!(reference.text("/uid"), uid if uid.is_empty() || uid == claim.uid())
}

fn asked(claim: &Value) -> Quantity {
    Quantity::lenient(claim.at("/spec/resources/requests").get("storage"))
}

fn capacity(volume: &Value) -> Quantity {
    Quantity::lenient(volume.at("/spec/capacity").get("storage"))
}

/// The smallest free volume that serves the claim; one reserved for it first.
fn best_match(cx: &Context<'_>, claim: &Value) -> Option<ObjectRef> {
    let mut fitting: Vec<ObjectRef> = cx
        .cluster
        .list(&gr::PERSISTENT_VOLUMES, None)
        .into_iter()
        .filter(|volume| {
            let reserved = volume.at("/spec/claimRef").is_object();
            let modes =
                claim.items("/spec/accessModes").iter().all(|mode| volume.items("/spec/accessModes").contains(mode));
            let selected = claim.at("/spec/selector").is_null()
                || super::selector::matches(claim.at("/spec/selector"), volume.at("/metadata/labels"));
            !volume.deleting()
                && (reserved && is_for(volume, claim) || !reserved)
                && matches!(volume.text("/status/phase"), "" | "Available" | "Pending" | "Bound")
                && volume.text("/spec/storageClassName") == claim.text("/spec/storageClassName")
                && modes
                && selected
                && capacity(volume) >= asked(claim)
        })
        .collect();
    fitting
        .sort_by_key(|volume| (!volume.at("/spec/claimRef").is_object(), capacity(volume), volume.name().to_owned()));
    fitting.into_iter().next()
}

fn bind(cx: &Context<'_>, claim: &Value, volume: &Value) -> Result<()> {
    let reference = json!({
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": claim.namespace(),
        "name": claim.name(),
        "uid": claim.uid(),
        "resourceVersion": claim["metadata"]["resourceVersion"],
    });
    let dynamic = volume.annotation(PROVISIONED_BY).is_some();
    cx.cluster.modify(&gr::PERSISTENT_VOLUMES, "", volume.name(), |value| {
        if !value.at("/spec/claimRef").is_object() || value.text("/spec/claimRef/uid").is_empty() {
            value["spec"]["claimRef"] = reference;
            if !dynamic {
                super::fields::set(value, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
            }
        }
    })?;
    cx.cluster.modify_status(&gr::PERSISTENT_VOLUMES, "", volume.name(), |value| {
        value["status"] = json!({"phase": "Bound", "lastPhaseTransitionTime": crate::clock::format_time(cx.now)});
    })?;
    cx.cluster.modify(&gr::PERSISTENT_VOLUME_CLAIMS, claim.namespace(), claim.name(), |value| {
        value["spec"]["volumeName"] = json!(volume.name());
        super::fields::set(value, &["metadata", "annotations", BIND_COMPLETED], "yes");
        super::fields::set(value, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
    })?;
    let status = json!({
        "phase": "Bound",
        "accessModes": volume["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    });
    cx.cluster.modify_status(&gr::PERSISTENT_VOLUME_CLAIMS, claim.namespace(), claim.name(), |value| {
        value["status"] = status
    })?;
    Ok(())
}

fn set_phase(cx: &Context<'_>, claim: &Value, phase: &str) -> Result<()> {
    if claim.text("/status/phase") != phase {
        cx.cluster.modify_status(&gr::PERSISTENT_VOLUME_CLAIMS, claim.namespace(), claim.name(), |value| {
            value["status"]["phase"] = json!(phase);
        })?;
    }
    Ok(())
}

fn provision(cx: &Context<'_>, claim: &ObjectRef) -> Result<()> {
    set_phase(cx, claim, "Pending")?;
    let say = |kind: &str, reason: &str, message: &str| cx.recorder.event(claim, kind, reason, message, COMPONENT);
    let name = claim.text("/spec/storageClassName");
    if name.is_empty() {
        say("Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set");
        return Ok(());
    }
    let Some(class) = cx.cluster.find(&gr::STORAGE_CLASSES, "", name) else {
        say("Warning", "ProvisioningFailed", &format!("storageclass.storage.k8s.io \"{name}\" not found"));
        return Ok(());
    };
    if class.text("/volumeBindingMode") == "WaitForFirstConsumer" && claim.annotation(SELECTED_NODE).is_none() {
        say("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
        return Ok(());
    }
    let provisioner = class.text("/provisioner");
    if provisioner != PROVISIONER {
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        say("Normal", "ExternalProvisioning", &message);
        return Ok(());
    }
    let source = format!("{PROVISIONER}_sim");
    let narrate = |reason: &str, message: &str| cx.recorder.event(claim, "Normal", reason, message, &source);
    narrate(
        "Provisioning",
        &format!("External provisioner is provisioning volume for claim \"{}/{}\"", claim.namespace(), claim.name()),
    );
    let volume_name = format!("pvc-{}", claim.uid());
    let mut spec = json!({
        "capacity": {"storage": asked(claim).to_string()},
        "csi": {"driver": PROVISIONER, "volumeHandle": volume_name},
        "accessModes": claim["spec"]["accessModes"],
        "claimRef": {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.namespace(), "name": claim.name(),
            "uid": claim.uid(), "resourceVersion": claim["metadata"]["resourceVersion"],
        },
        "persistentVolumeReclaimPolicy": if class.text("/reclaimPolicy").is_empty() { "Delete" } else { class.text("/reclaimPolicy") },
        "storageClassName": name,
        "volumeMode": if claim.text("/spec/volumeMode").is_empty() { "Filesystem" } else { claim.text("/spec/volumeMode") },
    });
    if let Some(node) = claim.annotation(SELECTED_NODE) {
        spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}});
    }
    let volume = json!({"metadata": {"name": volume_name, "annotations": {PROVISIONED_BY: PROVISIONER}}, "spec": spec});
    let volume = match cx.cluster.create(&gr::PERSISTENT_VOLUMES, "", volume) {
        Err(status) if status.is_already_exists() => cx.cluster.get(&gr::PERSISTENT_VOLUMES, "", &volume_name)?,
        other => other?,
    };
    narrate("ProvisioningSucceeded", &format!("Successfully provisioned volume {volume_name}"));
    bind(cx, claim, &volume)
}

/// A bound claim: it grows when asked, and is lost with its volume.
fn bound(cx: &Context<'_>, claim: &ObjectRef) -> Result<()> {
    let Some(volume) = cx.cluster.find(&gr::PERSISTENT_VOLUMES, "", claim.text("/spec/volumeName")) else {
        if claim.text("/status/phase") != "Lost" && !claim.deleting() {
            set_phase(cx, claim, "Lost")?;
            let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!".to_string();
            cx.recorder.event(claim, "Warning", "ClaimLost", &message, COMPONENT);
        }
        return Ok(());
    };
    let wanted = asked(claim);
    if wanted > Quantity::lenient(claim.at("/status/capacity").get("storage")) && claim.text("/status/phase") == "Bound"
    {
        let class = cx.cluster.find(&gr::STORAGE_CLASSES, "", claim.text("/spec/storageClassName"));
        if class.is_some_and(|class| class.flag("/allowVolumeExpansion")) {
            let source = format!("external-resizer {PROVISIONER}");
            let message = format!("External resizer is resizing volume {}", volume.name());
            cx.recorder.event(claim, "Normal", "Resizing", &message, &source);
            cx.cluster.modify(&gr::PERSISTENT_VOLUMES, "", volume.name(), |value| {
                value["spec"]["capacity"]["storage"] = json!(wanted.to_string());
            })?;
            cx.cluster.modify_status(&gr::PERSISTENT_VOLUME_CLAIMS, claim.namespace(), claim.name(), |value| {
                value["status"]["capacity"] = json!({"storage": wanted.to_string()});
            })?;
            cx.recorder.event(claim, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded", &source);
        }
    }
    Ok(())
}

/// What becomes of a volume whose claim is gone.
fn reclaim(cx: &Context<'_>, name: &str) -> Result<()> {
    let Some(volume) = cx.cluster.find(&gr::PERSISTENT_VOLUMES, "", name) else { return Ok(()) };
    let phase = |phase: &str| {
        if volume.text("/status/phase") == phase {
            return Ok(());
        }
        cx.cluster
            .modify_status(&gr::PERSISTENT_VOLUMES, "", name, |value| {
                value["status"] = json!({"phase": phase, "lastPhaseTransitionTime": crate::clock::format_time(cx.now)});
            })
            .map(drop)
    };
    let reference = volume.at("/spec/claimRef");
    if !reference.is_object() {
        return phase("Available");
    }
    let claim = cx.cluster.find(&gr::PERSISTENT_VOLUME_CLAIMS, reference.text("/namespace"), reference.text("/name"));
    let uid = reference.text("/uid");
    if uid.is_empty() || claim.is_some_and(|claim| claim.uid() == uid) {
        return if uid.is_empty() { phase("Available") } else { Ok(()) };
    }
    phase("Released")?;
    if volume.text("/spec/persistentVolumeReclaimPolicy") == "Delete"
        && !volume.deleting()
        && volume.annotation(PROVISIONED_BY).is_some()
    {
        match cx.cluster.delete(&gr::PERSISTENT_VOLUMES, "", name, &DeleteOptions::default()) {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps claims that pods use, and volumes that claims use, until they are free.
#[derive(Default)]
pub struct Protection;

impl Controller for Protection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn observe(&mut self, event: &Event, cx: &Context<'_>, wake: &mut Vec<Key>) {
        if event.resource == gr::PERSISTENT_VOLUME_CLAIMS {
            if event.object.deleting() && event.kind != EventKind::Deleted {
                wake.push(Key::of(event));
            }
            if event.kind == EventKind::Deleted {
                wake.push(Key::new("", event.object.text("/spec/volumeName")));
            }
        } else if event.resource == gr::PERSISTENT_VOLUMES
            && event.object.deleting()
            && event.kind != EventKind::Deleted
            || event.resource == gr::PERSISTENT_VOLUMES && event.object.text("/status/phase") == "Released"
        {
            wake.push(Key::new("", &event.name));
        } else if event.resource == gr::PODS && (event.kind == EventKind::Deleted || pods::is_finished(&event.object)) {
            for volume in event.object.items("/spec/volumes") {
                let name = volume.text("/persistentVolumeClaim/claimName");
                if !name.is_empty()
                    && cx
                        .cluster
                        .find(&gr::PERSISTENT_VOLUME_CLAIMS, &event.namespace, name)
                        .is_some_and(|claim| claim.deleting())
                {
                    wake.push(Key::new(&event.namespace, name));
                }
            }
        }
    }

    fn reconcile(&mut self, key: &Key, cx: &Context<'_>) -> Outcome {
        let (resource, finalizer) = if key.namespace.is_empty() {
            (&gr::PERSISTENT_VOLUMES, PV_PROTECTION)
        } else {
            (&gr::PERSISTENT_VOLUME_CLAIMS, PVC_PROTECTION)
        };
        let Some(object) = cx.cluster.find(resource, &key.namespace, &key.name) else { return Ok(None) };
        if !object.deleting() || !object.has_finalizer(finalizer) {
            return Ok(None);
        }
        let used = if key.namespace.is_empty() {
            object.text("/status/phase") == "Bound"
        } else {
            cx.cluster.list(&gr::PODS, Some(&key.namespace)).iter().any(|pod| {
                !pods::is_finished(pod)
                    && pod
                        .items("/spec/volumes")
                        .iter()
                        .any(|volume| volume.text("/persistentVolumeClaim/claimName") == &*key.name)
            })
        };
        if !used {
            let released = cx.cluster.modify(resource, &key.namespace, &key.name, |value| {
                remove_finalizer(value, finalizer);
            });
            match released {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(None)
    }
}
