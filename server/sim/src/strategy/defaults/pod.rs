//! Defaults of pods: in the open and in the templates of their controllers.

use serde_json::{Value, json};

use super::{each, has, set, set_text};

/// A pod.
pub fn pod(value: &mut Value) {
    if !value["spec"].is_object() {
        return;
    }
    let spec = &mut value["spec"];
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| {
            // A request that is not set is its limit (SetDefaults_Pod).
            let limits = container["resources"]["limits"].as_object().cloned().unwrap_or_default();
            if limits.is_empty() {
                return;
            }
            if !container["resources"]["requests"].is_object() {
                container["resources"]["requests"] = json!({});
            }
            for (name, limit) in limits {
                set(&mut container["resources"]["requests"], &name, limit);
            }
        });
    }
    set(spec, "enableServiceLinks", true);
    pod_spec(spec);
}

/// The spec of a pod, in a pod or in a template.
pub fn pod_spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    each(spec, "volumes", volume);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    set_text(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "securityContext", json!({}));
    set_text(spec, "schedulerName", "default-scheduler");
    let account = spec["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    let deprecated = spec["serviceAccount"].as_str().unwrap_or_default().to_owned();
    if !account.is_empty() {
        spec["serviceAccount"] = json!(account);
    } else if !deprecated.is_empty() {
        spec["serviceAccountName"] = json!(deprecated);
    }
    if spec["hostNetwork"] == true {
        for list in ["containers", "initContainers"] {
            each(spec, list, |container| {
                each(container, "ports", |port| {
                    let number = port["containerPort"].clone();
                    set(port, "hostPort", number);
                });
            });
        }
    }
    each(spec, "topologySpreadConstraints", |_| {});
}

/// The template of a controller's pods.
pub fn template(template: &mut Value) {
    pod_spec(&mut template["spec"]);
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if image_is_latest(image) { "Always" } else { "IfNotPresent" };
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| set_text(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        if has(&variable["valueFrom"], "fieldRef") {
            set_text(&mut variable["valueFrom"]["fieldRef"], "apiVersion", "v1");
        }
        if has(&variable["valueFrom"], "resourceFieldRef") {
            set(&mut variable["valueFrom"]["resourceFieldRef"], "divisor", "0");
        }
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if has(container, name) {
            probe(&mut container[name]);
        }
    }
    for name in ["postStart", "preStop"] {
        if has(&container["lifecycle"], name) && has(&container["lifecycle"][name], "httpGet") {
            http_get(&mut container["lifecycle"][name]["httpGet"]);
        }
    }
}

/// Whether an image names `latest`, or no tag and no digest.
fn image_is_latest(image: &str) -> bool {
    if image.is_empty() {
        return true;
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none(),
    }
}

fn http_get(get: &mut Value) {
    set_text(get, "path", "/");
    set_text(get, "scheme", "HTTP");
}

fn probe(probe: &mut Value) {
    for (field, default) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe[field].as_i64().unwrap_or(0) == 0 {
            probe[field] = json!(default);
        }
    }
    if has(probe, "httpGet") {
        http_get(&mut probe["httpGet"]);
    }
    if has(probe, "grpc") {
        set(&mut probe["grpc"], "service", "");
    }
}

const VOLUME_SOURCES: &[&str] = &[
    "hostPath",
    "emptyDir",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "persistentVolumeClaim",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "azureFile",
    "configMap",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "projected",
    "portworxVolume",
    "scaleIO",
    "storageos",
    "csi",
    "ephemeral",
    "image",
];

fn volume(volume: &mut Value) {
    if !VOLUME_SOURCES.iter().any(|source| has(volume, source)) {
        volume["emptyDir"] = json!({});
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if has(volume, source) {
            set(&mut volume[source], "defaultMode", 0o644);
        }
    }
    let field_refs = |source: &mut Value| {
        each(source, "items", |item| {
            if has(item, "fieldRef") {
                set_text(&mut item["fieldRef"], "apiVersion", "v1");
            }
            if has(item, "resourceFieldRef") {
                set(&mut item["resourceFieldRef"], "divisor", "0");
            }
        });
    };
    if has(volume, "downwardAPI") {
        field_refs(&mut volume["downwardAPI"]);
    }
    if has(volume, "hostPath") {
        set(&mut volume["hostPath"], "type", "");
    }
    if has(volume, "projected") {
        each(&mut volume["projected"], "sources", |source| {
            if has(source, "serviceAccountToken") {
                set(&mut source["serviceAccountToken"], "expirationSeconds", 3600);
            }
            if has(source, "downwardAPI") {
                field_refs(&mut source["downwardAPI"]);
            }
        });
    }
    if has(volume, "ephemeral") && has(&volume["ephemeral"], "volumeClaimTemplate") {
        set_text(&mut volume["ephemeral"]["volumeClaimTemplate"]["spec"], "volumeMode", "Filesystem");
    }
    if has(volume, "image") {
        let reference = volume["image"]["reference"].as_str().unwrap_or_default();
        let policy = if image_is_latest(reference) { "Always" } else { "IfNotPresent" };
        set_text(&mut volume["image"], "pullPolicy", policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_the_pull_policy() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("localhost:5000/nginx", true),
            ("localhost:5000/nginx:1", false),
            ("nginx@sha256:00", false),
            ("nginx:latest@sha256:00", true),
        ] {
            assert_eq!(image_is_latest(image), latest, "{image}");
        }
    }
}
