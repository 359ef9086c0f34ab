//! What a CSI driver is for: volumes that are written, grow, are copied, fill up, follow their pod and go.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{in_pod, wait};
use crate::{
    cluster::{kubectl, layout::Cluster, process, status},
    shell::output,
};

/// Where the driver keeps volumes and snapshots, seen by every node.
const POOL: &str = "/var/lib/kubelet/plugins/csi-btrfs/pool";
const MI: u64 = 1024 * 1024;
/// A kubelet comes by once in a minute or two.
const GROWS: Duration = Duration::from_secs(300);

/// All of it, on pods of three nodes.
///
/// # Errors
/// One does not do what it should, or something stays.
pub fn run(cluster: &Cluster) -> Result<()> {
    kubectl::apply(cluster, &(disk("data", 64, "", "node1") + &looker()))?;
    says(cluster, "data", "echo first >/data/note && sync && cat /data/note", "first")?;
    looks(cluster, "data", 64)?;

    let grow = r#"{"spec": {"resources": {"requests": {"storage": "128Mi"}}}}"#;
    output(kubectl::kubectl(cluster).args(["patch", "persistentvolumeclaim", "data", "--patch", grow]))?;
    looks(cluster, "data", 128)?;
    wait("the claim says its new size", || {
        let claim = kubectl::get(cluster, &["persistentvolumeclaim", "data"])?;
        Ok(claim["status"]["capacity"]["storage"] == "128Mi")
    })?;

    kubectl::apply(cluster, SNAPSHOT)?;
    wait("the snapshot is ready", || {
        let snapshot = kubectl::get(cluster, &["volumesnapshot", "data"])?;
        Ok(snapshot["status"]["readyToUse"] == true && snapshot["status"]["restoreSize"] == "128Mi")
    })?;
    says(cluster, "data", "echo second >/data/note && sync && cat /data/note", "second")?;
    let from_snapshot = "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: data}";
    let from_claim = "dataSource: {kind: PersistentVolumeClaim, name: data}";
    // One is larger than what it is made from.
    kubectl::apply(
        cluster,
        &(disk("restored", 192, from_snapshot, "node2") + &disk("clone", 128, from_claim, "node3")),
    )?;
    says(cluster, "restored", "cat /data/note", "first")?;
    looks(cluster, "restored", 192)?;
    says(cluster, "clone", "cat /data/note", "second")?;
    // They are apart from now on.
    says(cluster, "clone", "echo third >/data/note && sync && cat /data/note", "third")?;
    says(cluster, "data", "cat /data/note", "second")?;

    let fill = "dd if=/dev/zero of=/data/full bs=1M 2>&1 | grep -o 'No space left on device'; rm /data/full";
    says(cluster, "restored", fill, "No space left on device")?;
    says(cluster, "restored", "echo again >/data/note && cat /data/note", "again")?;

    // All nodes see the disk: a volume follows its pod.
    gone(cluster, &["pod", "data"])?;
    kubectl::apply(cluster, &disk("data", 128, "", "node2"))?;
    says(cluster, "data", "cat /data/note", "second")?;

    // Also from a node that has lost its power, with the volume mounted.
    status::off(cluster, "node3")?;
    gone(cluster, &["pod", "clone", "--force"])?;
    kubectl::apply(cluster, &disk("clone", 128, from_claim, "node2"))?;
    says(cluster, "clone", "cat /data/note", "third")?;
    status::on(cluster, "node3")?;

    says(cluster, "pool", "ls /pool/volumes | wc -l; ls /pool/snapshots | wc -l", "3\n1")?;
    gone(cluster, &["pod", "data", "restored", "clone"])?;
    gone(cluster, &["volumesnapshot", "data"])?;
    gone(cluster, &["persistentvolumeclaim", "data", "restored", "clone"])?;
    wait("volumes and snapshots are gone from the cluster", || {
        let left = kubectl::get(cluster, &["persistentvolumes,volumesnapshotcontents"])?;
        let left = left["items"].as_array().context("no list")?;
        Ok(!left
            .iter()
            .any(|it| it["spec"]["storageClassName"] == "csi-btrfs" || it["kind"] == "VolumeSnapshotContent"))
    })?;
    says(cluster, "pool", "ls -A /pool/volumes /pool/snapshots", "/pool/snapshots:\n\n/pool/volumes:")?;
    gone(cluster, &["pod", "pool"])
}

/// Waits until a command in a pod prints it.
fn says(cluster: &Cluster, pod: &str, script: &str, text: &str) -> Result<()> {
    let mut said = String::new();
    wait(&format!("`{script}` in {pod} prints {text:?}"), || {
        said = in_pod(cluster, pod, script)?;
        Ok(said.trim() == text)
    })
    .with_context(|| format!("it printed {said:?}"))
}

/// Waits until a pod sees so many MiB, but for what its file system needs itself.
fn looks(cluster: &Cluster, pod: &str, size: u64) -> Result<()> {
    let mut seen = 0;
    process::wait(&format!("{pod} sees {size} MiB"), GROWS, || {
        let kilobytes = in_pod(cluster, pod, "df -k /data | awk 'END {print $2}'")?;
        seen = kilobytes.trim().parse::<u64>().unwrap_or_default() * 1024;
        Ok(seen <= size * MI && seen > (size - 16) * MI)
    })
    .with_context(|| format!("it sees {} MiB", seen / MI))
}

fn gone(cluster: &Cluster, what: &[&str]) -> Result<()> {
    output(kubectl::kubectl(cluster).args(["delete", "--wait", "--timeout=120s"]).args(what)).map(drop)
}

/// A claim, and a pod on a node that has it at `/data`.
fn disk(name: &str, size: u64, source: &str, node: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: default}}
spec:
  storageClassName: csi-btrfs
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: {size}Mi}}}}
  {source}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  terminationGracePeriodSeconds: 0
  # Not root: the volume is made its group's.
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532}}
  containers:
  - name: shell
    image: busybox:1
    command: [sleep, infinity]
    volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]
---
"
    )
}

/// A pod that sees what the driver keeps.
fn looker() -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: pool, namespace: default}}
spec:
  nodeSelector: {{kubernetes.io/hostname: node1}}
  terminationGracePeriodSeconds: 0
  containers:
  - name: shell
    image: busybox:1
    command: [sleep, infinity]
    volumeMounts: [{{name: pool, mountPath: /pool}}]
  volumes: [{{name: pool, hostPath: {{path: {POOL}, type: Directory}}}}]
"
    )
}

const SNAPSHOT: &str = "
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: data, namespace: default}
spec: {source: {persistentVolumeClaimName: data}}
";
