//! The pod template of a component. Fits Pod Security's `restricted` whatever the component says.

use berth_types::app::{Component, EnvFrom, EnvVar, InitContainer, KeyRef, Probe, Resources, Volume};
use serde_json::{Map, Value, json};

use crate::meta;

/// A template, without the label of its revision.
pub(crate) fn template(component: &Component, labels: &Value, restarted_at: Option<&str>) -> Value {
    let mut all = Map::new();
    for (key, value) in &component.pod_labels {
        all.insert(key.clone(), json!(value));
    }
    // Berth's own come last: they find the pods.
    if let Some(own) = labels.as_object() {
        all.extend(own.clone());
    }
    let mut annotations: Map<String, Value> =
        component.pod_annotations.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    if let Some(at) = restarted_at {
        annotations.insert(meta::RESTARTED_AT.into(), json!(at));
    }
    let mut metadata = json!({ "labels": all });
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations);
    }
    json!({ "metadata": metadata, "spec": pod_spec(component, labels) })
}

fn pod_spec(component: &Component, labels: &Value) -> Value {
    let mut pod_security = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    if let Some(user) = component.run_as_user {
        pod_security["runAsUser"] = json!(user);
        // So that it can write to its volumes.
        pod_security["fsGroup"] = json!(user);
        pod_security["fsGroupChangePolicy"] = json!("OnRootMismatch");
    }
    let selector: Map<String, Value> = [meta::APP, meta::COMPONENT]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), labels.get(key)?.clone())))
        .collect();
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": pod_security,
        "containers": [container(component)],
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": selector },
            "matchLabelKeys": ["pod-template-hash"],
        }],
    });
    let mut set = |key: &str, value: Value| spec[key] = value;
    if !component.init_containers.is_empty() {
        let inits: Vec<Value> = component.init_containers.iter().map(|init| init_container(component, init)).collect();
        set("initContainers", json!(inits));
    }
    if !component.volumes.is_empty() {
        set("volumes", component.volumes.iter().map(volume).collect());
    }
    if !component.image_pull_secrets.is_empty() {
        set("imagePullSecrets", component.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect());
    }
    if let Some(seconds) = component.termination_grace_period_seconds {
        set("terminationGracePeriodSeconds", json!(seconds));
    }
    if let Some(account) = &component.service_account_name {
        set("serviceAccountName", json!(account));
        // Who names an account means to use it.
        set("automountServiceAccountToken", json!(true));
    }
    if !component.node_selector.is_empty() {
        set("nodeSelector", json!(component.node_selector));
    }
    spec
}

fn security() -> Value {
    json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
}

fn container(component: &Component) -> Value {
    let mut out = json!({ "name": component.name, "image": component.image, "securityContext": security() });
    let mut set = |key: &str, value: Value| out[key] = value;
    if let Some(policy) = component.image_pull_policy {
        set("imagePullPolicy", json!(policy.as_str()));
    }
    if !component.command.is_empty() {
        set("command", json!(component.command));
    }
    if !component.args.is_empty() {
        set("args", json!(component.args));
    }
    if !component.ports.is_empty() {
        let ports = component.ports.iter().enumerate().map(|(i, port)| {
            json!({
                "name": component.port_name(i),
                "containerPort": port.port,
                "protocol": port.protocol.unwrap_or_default().as_str(),
            })
        });
        set("ports", ports.collect());
    }
    if !component.env.is_empty() {
        set("env", component.env.iter().map(env).collect());
    }
    if !component.env_from.is_empty() {
        set("envFrom", component.env_from.iter().map(env_from).collect());
    }
    if !component.volumes.is_empty() {
        set("volumeMounts", component.volumes.iter().map(mount).collect());
    }
    if let Some(resources) = component.resources.as_ref().and_then(resources) {
        set("resources", resources);
    }
    if let Some(probes) = &component.probes {
        for (key, value) in [
            ("readinessProbe", &probes.readiness),
            ("livenessProbe", &probes.liveness),
            ("startupProbe", &probes.startup),
        ] {
            if let Some(value) = value {
                set(key, probe(value));
            }
        }
    }
    out
}

fn init_container(component: &Component, init: &InitContainer) -> Value {
    let image = init.image.as_ref().unwrap_or(&component.image);
    let mut out = json!({ "name": init.name, "image": image, "securityContext": security() });
    let mut set = |key: &str, value: Value| out[key] = value;
    if !init.command.is_empty() {
        set("command", json!(init.command));
    }
    if !init.args.is_empty() {
        set("args", json!(init.args));
    }
    // Its own variables replace the component's of the same name.
    let inherited = component.env.iter().filter(|var| !init.env.iter().any(|own| own.name == var.name));
    let all: Vec<Value> = inherited.chain(&init.env).map(env).collect();
    if !all.is_empty() {
        set("env", json!(all));
    }
    if !component.env_from.is_empty() {
        set("envFrom", component.env_from.iter().map(env_from).collect());
    }
    if !component.volumes.is_empty() {
        set("volumeMounts", component.volumes.iter().map(mount).collect());
    }
    if let Some(resources) = init.resources.as_ref().or(component.resources.as_ref()).and_then(resources) {
        set("resources", resources);
    }
    out
}

fn key_ref(key: &KeyRef) -> Value {
    let mut out = json!({ "name": key.name, "key": key.key });
    if key.optional {
        out["optional"] = json!(true);
    }
    out
}

fn env(var: &EnvVar) -> Value {
    match (&var.config_map, &var.secret) {
        (Some(key), _) => json!({ "name": var.name, "valueFrom": { "configMapKeyRef": key_ref(key) } }),
        (_, Some(key)) => json!({ "name": var.name, "valueFrom": { "secretKeyRef": key_ref(key) } }),
        _ => json!({ "name": var.name, "value": var.value.as_deref().unwrap_or_default() }),
    }
}

fn env_from(from: &EnvFrom) -> Value {
    let mut out = json!({});
    if let Some(prefix) = &from.prefix {
        out["prefix"] = json!(prefix);
    }
    for (key, name) in [("configMapRef", &from.config_map), ("secretRef", &from.secret)] {
        if let Some(name) = name {
            out[key] = json!({ "name": name });
            if from.optional {
                out[key]["optional"] = json!(true);
            }
        }
    }
    out
}

fn volume(volume: &Volume) -> Value {
    let mut out = json!({ "name": volume.name });
    if let Some(claim) = &volume.claim {
        out["persistentVolumeClaim"] = json!({ "claimName": claim });
    } else if let Some(name) = &volume.config_map {
        out["configMap"] = json!({ "name": name });
    } else if let Some(name) = &volume.secret {
        out["secret"] = json!({ "secretName": name });
    } else {
        let mut scratch = json!({});
        if let Some(dir) = &volume.empty_dir {
            if let Some(limit) = &dir.size_limit {
                scratch["sizeLimit"] = json!(limit);
            }
            if dir.memory {
                scratch["medium"] = json!("Memory");
            }
        }
        out["emptyDir"] = scratch;
    }
    out
}

fn mount(volume: &Volume) -> Value {
    let mut out = json!({ "name": volume.name, "mountPath": volume.mount_path });
    if let Some(path) = &volume.sub_path {
        out["subPath"] = json!(path);
    }
    if volume.read_only {
        out["readOnly"] = json!(true);
    }
    out
}

fn resources(resources: &Resources) -> Option<Value> {
    let mut out = json!({});
    for (key, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        let Some(amounts) = amounts else { continue };
        for (resource, amount) in [("cpu", &amounts.cpu), ("memory", &amounts.memory)] {
            if let Some(amount) = amount {
                out[key][resource] = json!(amount);
            }
        }
    }
    out.as_object().is_some_and(|o| !o.is_empty()).then_some(out)
}

fn probe(probe: &Probe) -> Value {
    let mut out = if let Some(http) = &probe.http {
        json!({ "httpGet": {
            "path": http.path.as_deref().unwrap_or("/"),
            "port": http.port,
            "scheme": if http.https { "HTTPS" } else { "HTTP" },
        } })
    } else if let Some(port) = probe.tcp {
        json!({ "tcpSocket": { "port": port } })
    } else if let Some(port) = probe.grpc {
        json!({ "grpc": { "port": port } })
    } else {
        json!({ "exec": { "command": probe.exec } })
    };
    for (key, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("failureThreshold", probe.failure_threshold),
        ("successThreshold", probe.success_threshold),
    ] {
        if let Some(value) = value {
            out[key] = json!(value);
        }
    }
    out
}
