//! What the trials make, all of it fit for Pod Security's `restricted`.

use serde_json::{Value, json};

use crate::{meta, rest::Kind};

/// The label that a trial's pods are found by.
pub(super) const TRIAL: &str = "berth.dev/trial";
/// On the pod that a policy closes.
pub(super) const CLOSED: &str = "berth.dev/closed";
/// On the pod that a Service has to itself.
pub(super) const ONLY: &str = "berth.dev/only";
/// Where the pods listen.
pub(super) const PORT: u16 = 8080;
/// What a throughput is measured with, MiB.
pub(super) const BLOB: u32 = 32;

fn head(kind: Kind, name: &str) -> Value {
    json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": name, "labels": { meta::MANAGED_BY: meta::BERTH } },
    })
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

/// A namespace whose name the API server completes.
pub(super) fn namespace() -> Value {
    let mut namespace = head(Kind::NAMESPACE, "");
    namespace["metadata"] = json!({
        "generateName": "berth-doctor-",
        "labels": { meta::MANAGED_BY: meta::BERTH, "pod-security.kubernetes.io/enforce": "restricted" },
    });
    namespace
}

/// A pod that runs `script`; on `node` where one is named, with the claim `claim` at `/data` where one is.
pub(super) fn pod(
    name: &str,
    trial: &str,
    image: &str,
    script: &str,
    node: Option<&str>,
    claim: Option<&str>,
) -> Value {
    let mut pod = head(Kind::POD, name);
    pod["metadata"]["labels"][TRIAL] = json!(trial);
    let data = match claim {
        Some(claim) => json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim } }),
        None => json!({ "name": "data", "emptyDir": { "sizeLimit": "128Mi" } }),
    };
    let mut spec = json!({
        "restartPolicy": "Always",
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "main",
            "image": image,
            "command": ["sh", "-c", script],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "128Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        }],
        "volumes": [data],
    });
    if let Some(node) = node {
        spec["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    }
    with(pod, "spec", spec)
}

/// A pod that serves its own name at `/`, and something long at `/blob`.
pub(super) fn server(name: &str, image: &str, node: &str) -> Value {
    let script = format!(
        "hostname > /data/index.html; dd if=/dev/zero of=/data/blob bs=1M count={BLOB} 2>/dev/null; \
         exec httpd -f -p {PORT} -h /data"
    );
    let mut pod = pod(name, "web", image, &script, Some(node), None);
    pod["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 });
    pod
}

/// A Service over the pods that `selector` finds.
pub(super) fn service(name: &str, selector: Value) -> Value {
    with(
        head(Kind::SERVICE, name),
        "spec",
        json!({ "selector": selector, "ports": [{ "port": PORT, "targetPort": PORT }] }),
    )
}

/// A claim of the default class.
pub(super) fn claim(name: &str) -> Value {
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "64Mi" } } });
    with(head(Kind::CLAIM, name), "spec", spec)
}

/// Nobody reaches what has the label [`CLOSED`].
pub(super) fn closing(name: &str) -> Value {
    let spec = json!({ "podSelector": { "matchLabels": { CLOSED: "yes" } }, "policyTypes": ["Ingress"] });
    with(head(Kind::NETWORK_POLICY, name), "spec", spec)
}
