//! Pod Security Standards by namespace label (`k8s.io/pod-security-admission`), in its words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{creates_pod, forbidden};
use crate::{
    controllers::fields::Fields,
    hooks::{Admission, AdmissionRequest, Operation},
    registry::builtin::gr,
    status::Result,
};

const LABEL: &str = "pod-security.kubernetes.io/";
/// Capabilities that the baseline lets containers add.
const BASELINE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Volume types that the restricted level allows.
const RESTRICTED_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "image",
];

/// The plug-in.
pub struct PodSecurity;

impl Admission for PodSecurity {
    fn validate(&self, request: &AdmissionRequest<'_>, object: &Value) -> Result<()> {
        let changes =
            matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_none();
        if changes && request.resource.id == gr::NAMESPACES {
            for warning in request.old.map_or_else(Vec::new, |old| tightened(request, old, object)) {
                request.warn(warning);
            }
            return Ok(());
        }
        if !changes || request.namespace.is_empty() {
            return Ok(());
        }
        let pod = creates_pod(request);
        let Some(template) = (if pod { Some(object) } else { template_of(request, object) }) else { return Ok(()) };
        let Some(namespace) = request.cluster.find(&gr::NAMESPACES, "", request.namespace) else { return Ok(()) };
        let policy = |mode: &str| {
            let level = namespace.label(&format!("{LABEL}{mode}"))?;
            let version = namespace.label(&format!("{LABEL}{mode}-version")).unwrap_or("latest");
            Some((level.to_owned(), version.to_owned()))
        };
        let mut said = None;
        if let Some((level, version)) = policy("enforce") {
            let faults = violations(&level, template);
            if !faults.is_empty() {
                let why = format!("PodSecurity \"{level}:{version}\": {}", faults.join(", "));
                if pod {
                    return Err(forbidden(request, object, &format!("violates {why}")));
                }
            }
        }
        // Who only enforces is warned of what a workload's pods will meet.
        let warned = policy("warn").or_else(|| policy("enforce").filter(|_| !pod));
        if let Some((level, version)) = warned {
            let faults = violations(&level, template);
            if !faults.is_empty() {
                said = Some(format!("would violate PodSecurity \"{level}:{version}\": {}", faults.join(", ")));
            }
        }
        if let Some(said) = said {
            request.warn(said);
        }
        Ok(())
    }
}

/// What a namespace is made to enforce: level and version.
fn enforced(namespace: &Value) -> (&str, &str) {
    let label = |name: &str| namespace.label(&format!("{LABEL}{name}"));
    (label("enforce").unwrap_or("privileged"), label("enforce-version").unwrap_or("latest"))
}

fn strictness(level: &str) -> u8 {
    match level {
        "restricted" => 2,
        "baseline" => 1,
        _ => 0,
    }
}

/// What is said of a namespace's pods when it enforces more than before (`EvaluatePodsInNamespace`).
fn tightened(request: &AdmissionRequest<'_>, old: &Value, new: &Value) -> Vec<String> {
    let ((level, version), before) = (enforced(new), enforced(old));
    if strictness(level) == 0 || version == before.1 && strictness(level) <= strictness(before.0) {
        return Vec::new();
    }
    // For each reason the first pod and how many.
    let mut reasons: Vec<(String, String, usize)> = Vec::new();
    for pod in request.cluster.list(&gr::PODS, Some(new.name())) {
        let faults = violations(level, &pod);
        let reason =
            faults.iter().map(|fault| fault.split(" (").next().unwrap_or(fault)).collect::<Vec<_>>().join(", ");
        match reasons.iter_mut().find(|(known, ..)| *known == reason) {
            _ if faults.is_empty() => {}
            Some((.., pods)) => *pods += 1,
            None => reasons.push((reason, pod.name().to_owned(), 1)),
        }
    }
    let mut said: Vec<String> = reasons
        .into_iter()
        .map(|(reason, pod, pods)| match pods {
            1 => format!("{pod}: {reason}"),
            2 => format!("{pod} (and 1 other pod): {reason}"),
            more => format!("{pod} (and {} other pods): {reason}", more - 1),
        })
        .collect();
    said.sort();
    if !said.is_empty() {
        let name = new.name();
        let heading = format!(
            "existing pods in namespace \"{name}\" violate the new PodSecurity enforce level \"{level}:{version}\""
        );
        said.insert(0, heading);
    }
    said
}

/// The pod template of a workload, whose own namespace level only warns.
fn template_of<'a>(request: &AdmissionRequest<'_>, object: &'a Value) -> Option<&'a Value> {
    let pointer = match &*request.resource.id.resource {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs" | "replicationcontrollers" => {
            "/spec/template"
        }
        "cronjobs" => "/spec/jobTemplate/spec/template",
        "podtemplates" => "/template",
        _ => return None,
    };
    Some(object.at(pointer)).filter(|template| template.is_object())
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod.items(list))
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// `container "a"` or `containers "a", "b"`.
fn named(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names.iter().copied()))
}

fn those(pod: &Value, bad: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(pod).filter(|container| bad(container)).map(|container| container.text("/name")).collect()
}

/// What of a pod the level forbids, each as `reason (detail)`.
#[must_use]
pub fn violations(level: &str, pod: &Value) -> Vec<String> {
    match level {
        "baseline" => baseline(pod, false),
        "restricted" => {
            let mut faults = baseline(pod, true);
            faults.extend(restricted(pod));
            faults
        }
        _ => Vec::new(),
    }
}

/// `stricter` leaves out the checks that the restricted level has in a stricter form.
fn baseline(pod: &Value, stricter: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if !stricter {
        let mut added = BTreeSet::new();
        let bad = those(pod, |container| {
            container
                .items("/securityContext/capabilities/add")
                .iter()
                .any(|capability| capability.as_str().is_some_and(|name| !BASELINE_CAPABILITIES.contains(&name)))
        });
        for container in containers(pod) {
            let names = container.items("/securityContext/capabilities/add").iter().filter_map(Value::as_str);
            added.extend(names.filter(|name| !BASELINE_CAPABILITIES.contains(name)));
        }
        if !bad.is_empty() {
            faults.push(format!(
                "non-default capabilities ({} must not include {} in securityContext.capabilities.add)",
                named(&bad),
                quoted(added)
            ));
        }
    }
    let host: Vec<&str> =
        [("hostNetwork", "hostNetwork=true"), ("hostPID", "hostPID=true"), ("hostIPC", "hostIPC=true")]
            .into_iter()
            .filter(|(field, _)| pod.at("/spec").get(field).and_then(Value::as_bool).unwrap_or_default())
            .map(|(_, text)| text)
            .collect();
    if !host.is_empty() {
        faults.push(format!("host namespaces ({})", host.join(", ")));
    }
    if !stricter {
        let paths: Vec<&str> = pod
            .items("/spec/volumes")
            .iter()
            .filter(|volume| volume.at("/hostPath").is_object())
            .map(|volume| volume.text("/name"))
            .collect();
        if !paths.is_empty() {
            faults.push(format!(
                "hostPath volumes ({} {})",
                plural("volume", "volumes", paths.len()),
                quoted(paths.iter().copied())
            ));
        }
    }
    let ports = |container: &Value| -> Vec<i64> {
        container.items("/ports").iter().filter_map(|port| port.int("/hostPort")).filter(|port| *port != 0).collect()
    };
    let bad = those(pod, |container| !ports(container).is_empty());
    if !bad.is_empty() {
        let all: BTreeSet<String> = containers(pod).flat_map(ports).map(|port| port.to_string()).collect();
        faults.push(format!(
            "hostPort ({} {} {} {})",
            named(&bad),
            plural("uses", "use", bad.len()),
            plural("hostPort", "hostPorts", all.len()),
            all.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    let bad = those(pod, |container| container.flag("/securityContext/privileged"));
    if !bad.is_empty() {
        faults.push(format!("privileged ({} must not set securityContext.privileged=true)", named(&bad)));
    }
    if !stricter {
        let unconfined = |at: &Value| at.text("/securityContext/seccompProfile/type") == "Unconfined";
        let bad = those(pod, unconfined);
        let mut setters = Vec::new();
        if unconfined(pod.at("/spec")) {
            setters.push("pod".to_owned());
        }
        if !bad.is_empty() {
            setters.push(named(&bad));
        }
        if !setters.is_empty() {
            faults.push(format!(
                "seccompProfile ({} must not set securityContext.seccompProfile.type to \"Unconfined\")",
                setters.join(" and ")
            ));
        }
    }
    faults
}

fn restricted(pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let bad =
        those(pod, |container| container.at("/securityContext/allowPrivilegeEscalation").as_bool() != Some(false));
    if !bad.is_empty() {
        faults.push(format!(
            "allowPrivilegeEscalation != false ({} must set securityContext.allowPrivilegeEscalation=false)",
            named(&bad)
        ));
    }

    let undropped =
        those(pod, |container| !container.items("/securityContext/capabilities/drop").iter().any(|name| name == "ALL"));
    let more = |container: &Value| -> Vec<String> {
        container
            .items("/securityContext/capabilities/add")
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "NET_BIND_SERVICE")
            .map(str::to_owned)
            .collect()
    };
    let adding = those(pod, |container| !more(container).is_empty());
    let mut details = Vec::new();
    if !undropped.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&undropped)));
    }
    if !adding.is_empty() {
        let all: BTreeSet<String> = containers(pod).flat_map(more).collect();
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&adding),
            quoted(all.iter().map(String::as_str))
        ));
    }
    if !details.is_empty() {
        faults.push(format!("unrestricted capabilities ({})", details.join("; ")));
    }

    let kind = |volume: &Value| {
        volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .find(|key| key != "name" && !RESTRICTED_VOLUMES.contains(&key.as_str()))
    };
    let bad: Vec<&str> = pod
        .items("/spec/volumes")
        .iter()
        .filter(|volume| kind(volume).is_some())
        .map(|volume| volume.text("/name"))
        .collect();
    if !bad.is_empty() {
        let kinds: BTreeSet<String> = pod.items("/spec/volumes").iter().filter_map(kind).collect();
        faults.push(format!(
            "restricted volume types ({} {} {} {} {})",
            plural("volume", "volumes", bad.len()),
            quoted(bad.iter().copied()),
            plural("uses", "use", bad.len()),
            plural("restricted volume type", "restricted volume types", kinds.len()),
            quoted(kinds.iter().map(String::as_str))
        ));
    }
    faults.extend(non_root(pod));
    let root = |at: &Value| at.int("/securityContext/runAsUser") == Some(0);
    let mut setters = Vec::new();
    if root(pod.at("/spec")) {
        setters.push("pod".to_owned());
    }
    let bad = those(pod, root);
    if !bad.is_empty() {
        setters.push(named(&bad));
    }
    if !setters.is_empty() {
        faults.push(format!("runAsUser=0 ({} must not set runAsUser=0)", setters.join(" and ")));
    }
    faults.extend(seccomp(pod));
    faults
}

fn non_root(pod: &Value) -> Option<String> {
    let of = |at: &Value| at.at("/securityContext/runAsNonRoot").as_bool();
    let whole = of(pod.at("/spec"));
    let mut setters = Vec::new();
    if whole == Some(false) {
        setters.push("pod".to_owned());
    }
    let explicit = those(pod, |container| of(container) == Some(false));
    if !explicit.is_empty() {
        setters.push(named(&explicit));
    }
    if !setters.is_empty() {
        return Some(format!(
            "runAsNonRoot != true ({} must not set securityContext.runAsNonRoot=false)",
            setters.join(" and ")
        ));
    }
    let silent = those(pod, |container| of(container).is_none() && whole != Some(true));
    (!silent.is_empty())
        .then(|| format!("runAsNonRoot != true (pod or {} must set securityContext.runAsNonRoot=true)", named(&silent)))
}

fn seccomp(pod: &Value) -> Option<String> {
    let of = |at: &Value| at.at("/securityContext/seccompProfile/type").as_str().map(str::to_owned);
    let good = |profile: &str| matches!(profile, "RuntimeDefault" | "Localhost");
    let whole = of(pod.at("/spec"));
    let mut setters = Vec::new();
    let mut values = BTreeSet::new();
    if let Some(profile) = whole.as_deref().filter(|profile| !good(profile)) {
        setters.push("pod".to_owned());
        values.insert(profile.to_owned());
    }
    let explicit = those(pod, |container| of(container).is_some_and(|profile| !good(&profile)));
    if !explicit.is_empty() {
        setters.push(named(&explicit));
        values.extend(containers(pod).filter_map(of).filter(|profile| !good(profile)));
    }
    if !setters.is_empty() {
        return Some(format!(
            "seccompProfile ({} must not set securityContext.seccompProfile.type to {})",
            setters.join(" and "),
            quoted(values.iter().map(String::as_str))
        ));
    }
    let silent = those(pod, |container| of(container).is_none() && whole.is_none());
    (!silent.is_empty()).then(|| {
        format!(
            "seccompProfile (pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            named(&silent)
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_restricted_level_in_its_own_words() {
        let plain = json!({"spec": {"containers": [{"name": "main"}]}});
        assert_eq!(
            violations("restricted", &plain).join(", "),
            "allowPrivilegeEscalation != false (container \"main\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"main\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"main\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"main\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        assert!(violations("baseline", &plain).is_empty());
        let good = json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        }});
        assert!(violations("restricted", &good).is_empty());
    }

    #[test]
    fn the_baseline_level_in_its_own_words() {
        let bad = json!({"spec": {
            "hostNetwork": true,
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "containers": [
                {"name": "a", "securityContext": {"privileged": true}, "ports": [{"hostPort": 80}]},
                {"name": "b", "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}}},
            ],
        }});
        assert_eq!(
            violations("baseline", &bad),
            [
                "non-default capabilities (container \"b\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add)",
                "host namespaces (hostNetwork=true)",
                "hostPath volumes (volume \"v\")",
                "hostPort (container \"a\" uses hostPort 80)",
                "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)",
            ]
        );
    }
}
