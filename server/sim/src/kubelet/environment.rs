//! A container's environment and the things that must exist before it can start.

use serde_json::Value;

use super::image::{Environment, expand};
use crate::{
    cluster::Cluster,
    controllers::{fields::Fields, resources},
    registry::builtin::gr,
};

/// The environment of a container, or why it cannot be made (`CreateContainerConfigError`).
///
/// # Errors
/// In the kubelet's words, e.g. `configmap "x" not found`.
pub fn environment(cluster: &Cluster, pod: &Value, container: &Value) -> Result<Environment, String> {
    let namespace = pod.namespace();
    // A namespace may have thousands of services: their addresses are put in only for who may read them.
    let mut out: Environment = if mentions_services(container) { services(cluster, pod) } else { Environment::new() };
    for source in container.items("/envFrom") {
        let prefix = source.text("/prefix");
        for (field, resource, word) in
            [("configMapRef", &gr::CONFIG_MAPS, "configmap"), ("secretRef", &gr::SECRETS, "secret")]
        {
            let Some(reference) = source.get(field) else { continue };
            let name = reference.text("/name");
            match cluster.find(resource, namespace, name) {
                Some(object) => {
                    for (key, value) in data(&object) {
                        put(&mut out, format!("{prefix}{key}"), value);
                    }
                }
                None if reference.flag("/optional") => {}
                None => return Err(format!("{word} \"{name}\" not found")),
            }
        }
    }
    for variable in container.items("/env") {
        let name = variable.text("/name").to_owned();
        let from = variable.at("/valueFrom");
        let value = if let Some(text) = variable.at("/value").as_str() {
            Some(expand(text, &out))
        } else if let Some(path) = from.at("/fieldRef/fieldPath").as_str() {
            Some(field(pod, path))
        } else if from.at("/resourceFieldRef").is_object() {
            Some(resource_field(container, from.at("/resourceFieldRef")))
        } else if from.at("/configMapKeyRef").is_object() {
            key_of(cluster, namespace, from.at("/configMapKeyRef"), true)?
        } else if from.at("/secretKeyRef").is_object() {
            key_of(cluster, namespace, from.at("/secretKeyRef"), false)?
        } else {
            Some(String::new())
        };
        if let Some(value) = value {
            put(&mut out, name, value);
        }
    }
    Ok(out)
}

fn put(environment: &mut Environment, name: String, value: String) {
    match environment.iter_mut().find(|(own, _)| *own == name) {
        Some(entry) => entry.1 = value,
        None => environment.push((name, value)),
    }
}

/// Services whose variables a container gets. (With some thousands the kernel would refuse to start it at all.)
const MOST_SERVICES: usize = 200;

/// Whether a container's command or variables speak of a service's variables.
fn mentions_services(container: &Value) -> bool {
    let speaks = |text: &str| text.contains("_SERVICE_") || text.contains("_PORT");
    let words = ["/command", "/args"].iter().flat_map(|list| container.items(list)).filter_map(Value::as_str);
    let values = container.items("/env").iter().map(|variable| variable.text("/value"));
    words.chain(values).any(speaks)
}

/// `KUBERNETES_SERVICE_HOST` and its like, for the services of the namespace.
#[must_use]
pub fn services(cluster: &Cluster, pod: &Value) -> Environment {
    let mut out = Environment::new();
    let mut links: Vec<_> = cluster.find(&gr::SERVICES, "default", "kubernetes").into_iter().collect();
    if pod.at("/spec/enableServiceLinks").as_bool() != Some(false) {
        links.extend(
            cluster
                .list(&gr::SERVICES, Some(pod.namespace()))
                .into_iter()
                .filter(|service| !(service.namespace() == "default" && service.name() == "kubernetes"))
                .take(MOST_SERVICES),
        );
    }
    for service in links {
        let address = service.text("/spec/clusterIP");
        let Some(port) = service.items("/spec/ports").first().and_then(|port| port.int("/port")) else { continue };
        if address.is_empty() || address == "None" {
            continue;
        }
        let prefix = service.name().to_ascii_uppercase().replace('-', "_");
        put(&mut out, format!("{prefix}_SERVICE_HOST"), address.to_owned());
        put(&mut out, format!("{prefix}_SERVICE_PORT"), port.to_string());
        put(&mut out, format!("{prefix}_PORT"), format!("tcp://{address}:{port}"));
        put(&mut out, format!("{prefix}_PORT_{port}_TCP"), format!("tcp://{address}:{port}"));
        put(&mut out, format!("{prefix}_PORT_{port}_TCP_PROTO"), "tcp".to_owned());
        put(&mut out, format!("{prefix}_PORT_{port}_TCP_PORT"), port.to_string());
        put(&mut out, format!("{prefix}_PORT_{port}_TCP_ADDR"), address.to_owned());
    }
    out
}

/// Keys and decoded values of a ConfigMap or Secret.
#[must_use]
pub fn data(object: &Value) -> Vec<(String, String)> {
    use base64::Engine as _;
    let secret = object.text("/kind") == "Secret";
    object
        .pairs("/data")
        .map(|(key, value)| {
            let value = if secret {
                let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            } else {
                value.to_owned()
            };
            (key.to_owned(), value)
        })
        .collect()
}

fn key_of(cluster: &Cluster, namespace: &str, reference: &Value, config_map: bool) -> Result<Option<String>, String> {
    let (name, key) = (reference.text("/name"), reference.text("/key"));
    let (resource, word, kind) =
        if config_map { (&gr::CONFIG_MAPS, "configmap", "ConfigMap") } else { (&gr::SECRETS, "secret", "Secret") };
    let optional = reference.flag("/optional");
    let Some(object) = cluster.find(resource, namespace, name) else {
        return if optional { Ok(None) } else { Err(format!("{word} \"{name}\" not found")) };
    };
    match data(&object).into_iter().find(|(own, _)| own == key) {
        Some((_, value)) => Ok(Some(value)),
        None if optional => Ok(None),
        None => Err(format!("couldn't find key {key} in {kind} {namespace}/{name}")),
    }
}

fn field(pod: &Value, path: &str) -> String {
    let keyed = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("']"));
    if let Some(key) = keyed("metadata.labels['") {
        return pod.label(key).unwrap_or_default().to_owned();
    }
    if let Some(key) = keyed("metadata.annotations['") {
        return pod.annotation(key).unwrap_or_default().to_owned();
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    match path {
        "status.podIPs" => pod.items("/status/podIPs").iter().map(|ip| ip.text("/ip")).collect::<Vec<_>>().join(","),
        "status.hostIPs" => pod.items("/status/hostIPs").iter().map(|ip| ip.text("/ip")).collect::<Vec<_>>().join(","),
        _ => pod.text(&pointer).to_owned(),
    }
}

fn resource_field(container: &Value, reference: &Value) -> String {
    let Some((list, name)) = reference.text("/resource").split_once('.') else { return String::new() };
    let amounts = resources::amounts(container.at("/resources").get(list).unwrap_or(&Value::Null));
    let amount = amounts.get(name).copied().unwrap_or_default();
    let divisor = crate::quantity::Quantity::lenient(reference.get("divisor"));
    let divisor = if divisor.is_zero() { crate::quantity::Quantity::from_units(1) } else { divisor };
    let (value, by) = (amount.nanos(), divisor.nanos());
    (value / by + i128::from(value % by != 0)).to_string()
}

/// The first volume that cannot be mounted: its name and why.
#[must_use]
pub fn unmountable(cluster: &Cluster, pod: &Value) -> Option<(String, String)> {
    let namespace = pod.namespace();
    let missing = |resource: &crate::store::GroupResource, word: &str, name: &str, optional: bool| {
        (!optional && !name.is_empty() && cluster.find(resource, namespace, name).is_none())
            .then(|| format!("{word} \"{name}\" not found"))
    };
    for volume in pod.items("/spec/volumes") {
        let name = volume.text("/name");
        let why = missing(&gr::SECRETS, "secret", volume.text("/secret/secretName"), volume.flag("/secret/optional"))
            .or_else(|| {
                missing(
                    &gr::CONFIG_MAPS,
                    "configmap",
                    volume.text("/configMap/name"),
                    volume.flag("/configMap/optional"),
                )
            })
            .or_else(|| {
                volume.items("/projected/sources").iter().find_map(|source| {
                    missing(&gr::SECRETS, "secret", source.text("/secret/name"), source.flag("/secret/optional"))
                        .or_else(|| {
                            missing(
                                &gr::CONFIG_MAPS,
                                "configmap",
                                source.text("/configMap/name"),
                                source.flag("/configMap/optional"),
                            )
                        })
                })
            })
            .or_else(|| {
                missing_key(
                    cluster,
                    namespace,
                    volume.at("/configMap"),
                    &gr::CONFIG_MAPS,
                    volume.text("/configMap/name"),
                )
                .or_else(|| {
                    missing_key(
                        cluster,
                        namespace,
                        volume.at("/secret"),
                        &gr::SECRETS,
                        volume.text("/secret/secretName"),
                    )
                })
            });
        if let Some(why) = why {
            return Some((name.to_owned(), why));
        }
    }
    None
}

fn missing_key(
    cluster: &Cluster,
    namespace: &str,
    source: &Value,
    resource: &crate::store::GroupResource,
    name: &str,
) -> Option<String> {
    if source.flag("/optional") || source.items("/items").is_empty() {
        return None;
    }
    let keys = data(&*cluster.find(resource, namespace, name)?);
    let missing = source.items("/items").iter().any(|item| !keys.iter().any(|(key, _)| key == item.text("/key")));
    missing.then(|| {
        let word = if *resource == gr::SECRETS { "secret" } else { "config map" };
        format!(
            "references non-existent {word} key: {}",
            source
                .items("/items")
                .iter()
                .map(|item| item.text("/key"))
                .find(|key| !keys.iter().any(|(own, _)| own == key))
                .unwrap_or_default()
        )
    })
}

/// Whether one of the pod's pull secrets holds credentials for a registry.
#[must_use]
pub fn has_pull_secret(cluster: &Cluster, pod: &Value, registry: &str) -> bool {
    pod.items("/spec/imagePullSecrets").iter().any(|reference| {
        cluster.find(&gr::SECRETS, pod.namespace(), reference.text("/name")).is_some_and(|secret| {
            data(&secret).iter().any(|(key, text)| {
                let Ok(config) = serde_json::from_str::<Value>(text) else { return false };
                let hosts = if key == ".dockerconfigjson" { config.at("/auths").clone() } else { config };
                hosts.as_object().is_some_and(|hosts| {
                    hosts.keys().any(|host| {
                        let host = host.trim_start_matches("https://").trim_start_matches("http://");
                        host.split('/').next() == Some(registry)
                    })
                })
            })
        })
    })
}
