//! Admission of pods: service account, tolerations, priority.

use serde_json::{Value, json};

use super::{creates_pod, forbidden};
use crate::{
    controllers::fields::{Fields, fnv32a, object_mut, safe_encode},
    hooks::{Admission, AdmissionRequest},
    registry::builtin::gr,
    status::Result,
};

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Gives each pod a service account and its token (`plugin/pkg/admission/serviceaccount`).
pub struct ServiceAccount;

impl Admission for ServiceAccount {
    fn admit(&self, request: &AdmissionRequest<'_>, pod: &mut Value) -> Result<()> {
        if !creates_pod(request) {
            return Ok(());
        }
        if pod.text("/spec/serviceAccountName").is_empty() {
            pod["spec"]["serviceAccountName"] = json!("default");
        }
        let name = pod.text("/spec/serviceAccountName").to_owned();
        pod["spec"]["serviceAccount"] = json!(name);
        let mut account = request.cluster.find(&gr::SERVICE_ACCOUNTS, request.namespace, &name);
        if account.is_none() && name == "default" && !request.dry_run {
            // The controller would make it in a moment; nobody has to lose that race here.
            let value = json!({"metadata": {"name": "default"}});
            account = request
                .cluster
                .component("kube-controller-manager")
                .create(&gr::SERVICE_ACCOUNTS, request.namespace, value)
                .ok();
        }
        let Some(account) = account else {
            let why = format!(
                "error looking up service account {}/{name}: serviceaccount \"{name}\" not found",
                request.namespace
            );
            return Err(forbidden(request, pod, &why));
        };
        if pod.items("/spec/imagePullSecrets").is_empty() && !account.items("/imagePullSecrets").is_empty() {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        let automount = pod
            .at("/spec/automountServiceAccountToken")
            .as_bool()
            .or_else(|| account.at("/automountServiceAccountToken").as_bool())
            .unwrap_or(true);
        if automount {
            mount_token(pod);
        }
        Ok(())
    }
}

/// Refuses an overhead that no RuntimeClass gives (`plugin/pkg/admission/runtimeclass`); there are none here.
pub struct Overhead;

impl Admission for Overhead {
    fn validate(&self, request: &AdmissionRequest<'_>, pod: &Value) -> Result<()> {
        if creates_pod(request) && pod.at("/spec/overhead").as_object().is_some_and(|overhead| !overhead.is_empty()) {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(forbidden(request, pod, why));
        }
        Ok(())
    }
}

fn mount_token(pod: &mut Value) {
    let existing = pod
        .items("/spec/volumes")
        .iter()
        .map(|volume| volume.text("/name"))
        .find(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| {
        let hash = fnv32a(&[pod.uid().as_bytes(), pod.name().as_bytes()]);
        let letters = safe_encode(&format!("{hash:010}"));
        format!("kube-api-access-{}", letters.get(..5).unwrap_or(&letters))
    });
    let mut used = false;
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            if container.items("/volumeMounts").iter().any(|mount| mount.text("/mountPath") == TOKEN_PATH) {
                continue;
            }
            used = true;
            let mount = json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH});
            push(container, "volumeMounts", mount);
        }
    }
    if used && existing.is_none() {
        let volume = json!({
            "name": name,
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
                ],
                "defaultMode": 420,
            },
        });
        push(&mut pod["spec"], "volumes", volume);
    }
}

fn push(object: &mut Value, list: &str, entry: Value) {
    match object_mut(object, &[]).entry(list).or_insert_with(|| json!([])) {
        Value::Array(entries) => entries.push(entry),
        other => *other = json!([entry]),
    }
}

/// Lets pods stay five minutes on a node that fails.
pub struct DefaultTolerations;

impl Admission for DefaultTolerations {
    fn admit(&self, request: &AdmissionRequest<'_>, pod: &mut Value) -> Result<()> {
        if !creates_pod(request) {
            return Ok(());
        }
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let covered = pod.items("/spec/tolerations").iter().any(|toleration| {
                (toleration.text("/key").is_empty() || toleration.text("/key") == key)
                    && matches!(toleration.text("/effect"), "" | "NoExecute")
            });
            if !covered {
                let toleration =
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
                push(&mut pod["spec"], "tolerations", toleration);
            }
        }
        Ok(())
    }
}

/// Turns a priority class into a number (`plugin/pkg/admission/priority`).
pub struct Priority;

impl Admission for Priority {
    fn admit(&self, request: &AdmissionRequest<'_>, pod: &mut Value) -> Result<()> {
        if !creates_pod(request) {
            return Ok(());
        }
        let named = pod.text("/spec/priorityClassName").to_owned();
        let class = if named.is_empty() {
            request.cluster.list(&gr::PRIORITY_CLASSES, None).into_iter().find(|class| class.flag("/globalDefault"))
        } else {
            let found = request.cluster.find(&gr::PRIORITY_CLASSES, "", &named);
            if found.is_none() {
                return Err(forbidden(request, pod, &format!("no PriorityClass with name {named} was found")));
            }
            found
        };
        let (value, policy) = match &class {
            Some(class) => {
                if named.is_empty() {
                    pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
                }
                let policy = class.text("/preemptionPolicy");
                (
                    class.int("/value").unwrap_or_default(),
                    if policy.is_empty() { "PreemptLowerPriority" } else { policy }.to_owned(),
                )
            }
            None => (0, "PreemptLowerPriority".to_owned()),
        };
        if let Some(given) = pod.int("/spec/priority").filter(|given| *given != value) {
            let why = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            );
            return Err(forbidden(request, pod, &why));
        }
        pod["spec"]["priority"] = json!(value);
        if pod.text("/spec/preemptionPolicy").is_empty() {
            pod["spec"]["preemptionPolicy"] = json!(policy);
        }
        Ok(())
    }
}
