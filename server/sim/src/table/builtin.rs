//! Rows of the built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, human_duration, pod};
use crate::{cluster::text, registry::ResourceType, strategy::selector_text};

/// The text, or `<none>`.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn join(list: &Value, field: &str) -> String {
    items(list).iter().map(|item| text(item, &[field])).collect::<Vec<_>>().join(",")
}

fn selector(value: &Value) -> String {
    let text = selector_text(value);
    or_none(&text).to_owned()
}

/// Names, images and selector of a workload, for `-o wide`.
fn wide(template: &Value, choice: &Value) -> Vec<Value> {
    let containers = &template["spec"]["containers"];
    vec![json!(join(containers, "name")), json!(join(containers, "image")), json!(selector(choice))]
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The cells of an object, as many as the resource has columns.
pub fn cells(resource: &ResourceType, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    let old = json!(age(&object["metadata"]["creationTimestamp"], now));
    let (spec, status) = (&object["spec"], &object["status"]);
    match (resource.id.group.as_ref(), resource.id.resource.as_ref()) {
        ("", "pods") => pod::cells(object, now),
        ("", "podtemplates") => {
            let template = &object["template"];
            let containers = &template["spec"]["containers"];
            vec![
                name,
                json!(join(containers, "name")),
                json!(join(containers, "image")),
                json!(selector(&template["metadata"]["labels"])),
            ]
        }
        ("policy", _) => {
            let limit = |value: &Value| if value.is_null() { "N/A".to_owned() } else { show(value) };
            vec![
                name,
                json!(limit(&spec["minAvailable"])),
                json!(limit(&spec["maxUnavailable"])),
                json!(count(&status["disruptionsAllowed"])),
                old,
            ]
        }
        ("", "replicationcontrollers") | ("apps", "replicasets") => {
            let mut out = vec![
                name,
                json!(count(&spec["replicas"])),
                json!(count(&status["replicas"])),
                json!(count(&status["readyReplicas"])),
                old,
            ];
            out.extend(wide(&spec["template"], &spec["selector"]));
            out
        }
        ("apps", "daemonsets") => {
            let mut out = vec![name];
            for field in [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ] {
                out.push(json!(count(&status[field])));
            }
            out.push(json!(selector(&spec["template"]["spec"]["nodeSelector"])));
            out.push(old);
            out.extend(wide(&spec["template"], &spec["selector"]));
            out
        }
        ("batch", "jobs") => job(object, name, old, now),
        ("batch", "cronjobs") => {
            let zone = text(spec, &["timeZone"]);
            let last = match &status["lastScheduleTime"] {
                Value::Null => "<none>".to_owned(),
                at => age(at, now),
            };
            let mut out = vec![
                name,
                spec["schedule"].clone(),
                json!(or_none(zone)),
                json!(if spec["suspend"] == true { "True" } else { "False" }),
                json!(items(&status["active"]).len()),
                json!(last),
                old,
            ];
            out.extend(wide(&spec["jobTemplate"]["spec"]["template"], &spec["jobTemplate"]["spec"]["selector"]));
            out
        }
        ("", "services") => vec![
            name,
            spec["type"].clone(),
            json!(or_none(text(spec, &["clusterIP"]))),
            json!(external_ip(spec, status)),
            json!(service_ports(spec)),
            old,
            json!(selector(&spec["selector"])),
        ],
        ("networking.k8s.io", "ingresses") => ingress(spec, status, name, old),
        ("networking.k8s.io", "ingressclasses") => {
            let parameters = &spec["parameters"];
            let shown = if parameters.is_object() {
                let kind = text(parameters, &["kind"]);
                let group = text(parameters, &["apiGroup"]);
                let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
                format!("{kind}/{}", text(parameters, &["name"]))
            } else {
                "<none>".into()
            };
            vec![name, spec["controller"].clone(), json!(shown), old]
        }
        ("networking.k8s.io", "networkpolicies") => vec![name, json!(selector(&spec["podSelector"])), old],
        ("apps", "statefulsets") => {
            let mut out =
                vec![name, json!(format!("{}/{}", count(&status["readyReplicas"]), count(&spec["replicas"]))), old];
            out.extend(wide(&spec["template"], &spec["selector"]).into_iter().take(2));
            out
        }
        ("apps", "deployments") => {
            let mut out = vec![
                name,
                json!(format!("{}/{}", count(&status["readyReplicas"]), count(&spec["replicas"]))),
                json!(count(&status["updatedReplicas"])),
                json!(count(&status["availableReplicas"])),
                old,
            ];
            out.extend(wide(&spec["template"], &spec["selector"]));
            out
        }
        ("apps", "controllerrevisions") => {
            let owner = items(&object["metadata"]["ownerReferences"]).iter().find(|owner| owner["controller"] == true);
            let shown = owner.map_or("<none>".to_owned(), |owner| {
                let (group, _) = crate::registry::split_api_version(text(owner, &["apiVersion"]));
                let kind = text(owner, &["kind"]).to_lowercase();
                let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
                format!("{kind}/{}", text(owner, &["name"]))
            });
            vec![name, json!(shown), object["revision"].clone(), old]
        }
        ("", "endpoints") => vec![name, json!(endpoints(object)), old],
        ("discovery.k8s.io", _) => {
            let short = |list: Vec<String>| match list.len() {
                0 => "<unset>".to_owned(),
                1..=3 => list.join(","),
                more => {
                    format!("{} + {} more...", list.iter().take(3).cloned().collect::<Vec<_>>().join(","), more - 3)
                }
            };
            let ports = items(&object["ports"]).iter().map(|port| show(&port["port"])).collect();
            let addresses = items(&object["endpoints"])
                .iter()
                .flat_map(|endpoint| items(&endpoint["addresses"]).iter().map(show))
                .collect();
            vec![name, object["addressType"].clone(), json!(short(ports)), json!(short(addresses)), old]
        }
        ("", "nodes") => node(object, name, old),
        ("" | "events.k8s.io", "events") => event(object, name, now),
        ("", "namespaces") => vec![name, status["phase"].clone(), old],
        ("", "secrets") => {
            let size = object["data"].as_object().map_or(0, serde_json::Map::len);
            vec![name, object["type"].clone(), json!(size), old]
        }
        ("", "configmaps") => {
            let size = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
            vec![name, json!(size("data") + size("binaryData")), old]
        }
        ("", "persistentvolumes") => {
            let claim = &spec["claimRef"];
            let claim = if claim.is_object() {
                format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"]))
            } else {
                String::new()
            };
            vec![
                name,
                json!(show(&spec["capacity"]["storage"])),
                json!(access_modes(&spec["accessModes"])),
                json!(text(spec, &["persistentVolumeReclaimPolicy"])),
                json!(deleting(object, text(status, &["phase"]))),
                json!(claim),
                json!(text(spec, &["storageClassName"])),
                json!(unset(text(spec, &["volumeAttributesClassName"]))),
                json!(text(status, &["reason"])),
                old,
                json!(unset(text(spec, &["volumeMode"]))),
            ]
        }
        ("", "persistentvolumeclaims") => {
            let bound = !text(spec, &["volumeName"]).is_empty();
            let (capacity, modes) = if bound {
                (show(&status["capacity"]["storage"]), access_modes(&status["accessModes"]))
            } else {
                (String::new(), String::new())
            };
            vec![
                name,
                json!(deleting(object, text(status, &["phase"]))),
                json!(text(spec, &["volumeName"])),
                json!(capacity),
                json!(modes),
                json!(text(spec, &["storageClassName"])),
                json!(unset(text(spec, &["volumeAttributesClassName"]))),
                old,
                json!(unset(text(spec, &["volumeMode"]))),
            ]
        }
        ("autoscaling", _) => vec![
            name,
            json!(format!("{}/{}", text(spec, &["scaleTargetRef", "kind"]), text(spec, &["scaleTargetRef", "name"]))),
            json!(targets(spec, status)),
            json!(spec["minReplicas"].as_i64().map_or("<unset>".to_owned(), |number| number.to_string())),
            json!(count(&spec["maxReplicas"])),
            json!(count(&status["currentReplicas"])),
            old,
        ],
        ("", "resourcequotas") => {
            let (mut requests, mut limits) = (Vec::new(), Vec::new());
            let mut names: Vec<_> = status["hard"].as_object().into_iter().flatten().collect();
            names.sort_by_key(|(name, _)| (*name).clone());
            for (resource, hard) in names {
                let shown =
                    format!("{resource}: {}/{}", status["used"].get(resource).map_or("0".into(), show), show(hard));
                if resource.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
            }
            vec![name, json!(requests.join(", ")), json!(limits.join(", ")), old]
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            let by = |kind: &str| {
                let found: Vec<_> = items(&object["subjects"])
                    .iter()
                    .filter(|subject| subject["kind"] == kind)
                    .map(|subject| match (kind, text(subject, &["namespace"])) {
                        ("ServiceAccount", namespace) if !namespace.is_empty() => {
                            format!("{namespace}/{}", text(subject, &["name"]))
                        }
                        _ => text(subject, &["name"]).to_owned(),
                    })
                    .collect();
                json!(found.join(", "))
            };
            let role = &object["roleRef"];
            vec![
                name,
                json!(format!("{}/{}", text(role, &["kind"]), text(role, &["name"]))),
                old,
                by("User"),
                by("Group"),
                by("ServiceAccount"),
            ]
        }
        ("", "limitranges") | ("rbac.authorization.k8s.io" | "apiextensions.k8s.io", _) => {
            vec![name, object["metadata"]["creationTimestamp"].clone()]
        }
        ("storage.k8s.io", "storageclasses") => {
            let default = object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
            let shown = if default { format!("{} (default)", show(&name)) } else { show(&name) };
            vec![
                json!(shown),
                object["provisioner"].clone(),
                object["reclaimPolicy"].clone(),
                object["volumeBindingMode"].clone(),
                json!(object["allowVolumeExpansion"] == true),
                old,
            ]
        }
        ("scheduling.k8s.io", _) => vec![
            name,
            json!(count(&object["value"])),
            json!(object["globalDefault"] == true),
            old,
            object["preemptionPolicy"].clone(),
        ],
        ("coordination.k8s.io", _) => vec![name, json!(text(spec, &["holderIdentity"])), old],
        _ => vec![name, old],
    }
}

fn unset(text: &str) -> &str {
    if text.is_empty() { "<unset>" } else { text }
}

fn deleting<'a>(object: &Value, phase: &'a str) -> &'a str {
    if object["metadata"]["deletionTimestamp"].is_null() { phase } else { "Terminating" }
}

fn access_modes(modes: &Value) -> String {
    let order =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| items(modes).iter().any(|own| own == mode);
    order.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn job(object: &Value, name: Value, old: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has =
        |kind: &str| items(&status["conditions"]).iter().any(|own| own["type"] == kind && own["status"] == "True");
    let state = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if !object["metadata"]["deletionTimestamp"].is_null() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let succeeded = count(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), count(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        _ => format!("{succeeded}/1"),
    };
    let at = |field: &str| text(status, &[field]).parse::<Timestamp>().ok();
    let duration = at("startTime").map_or_else(String::new, |start| {
        human_duration(at("completionTime").unwrap_or(now).as_second() - start.as_second())
    });
    let mut out = vec![name, json!(state), json!(completions), json!(duration), old];
    out.extend(wide(&spec["template"], &spec["selector"]));
    out
}

fn balancer(status: &Value) -> String {
    items(&status["loadBalancer"]["ingress"])
        .iter()
        .map(|entry| match text(entry, &["ip"]) {
            "" => text(entry, &["hostname"]),
            ip => ip,
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn external_ip(spec: &Value, status: &Value) -> String {
    let external: Vec<_> = items(&spec["externalIPs"]).iter().filter_map(Value::as_str).collect();
    let external = external.join(",");
    match text(spec, &["type"]) {
        "LoadBalancer" => {
            let known = balancer(status);
            match (known.is_empty(), external.is_empty()) {
                (true, true) => "<pending>".into(),
                (true, false) => external,
                (false, true) => known,
                (false, false) => format!("{known},{external}"),
            }
        }
        "ExternalName" => text(spec, &["externalName"]).to_owned(),
        _ => or_none(&external).to_owned(),
    }
}

fn service_ports(spec: &Value) -> String {
    let ports: Vec<_> = items(&spec["ports"])
        .iter()
        .map(|port| {
            let number = show(&port["port"]);
            let protocol = text(port, &["protocol"]);
            match count(&port["nodePort"]) {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    or_none(&ports.join(",")).to_owned()
}

fn ingress(spec: &Value, status: &Value, name: Value, old: Value) -> Vec<Value> {
    let hosts: Vec<_> =
        items(&spec["rules"]).iter().map(|rule| text(rule, &["host"])).filter(|h| !h.is_empty()).collect();
    let hosts = match hosts.len() {
        0 => "*".to_owned(),
        1..=3 => hosts.join(","),
        more => format!("{} + {} more...", hosts.iter().take(3).copied().collect::<Vec<_>>().join(","), more - 3),
    };
    let ports = if items(&spec["tls"]).is_empty() { "80" } else { "80, 443" };
    vec![
        name,
        json!(or_none(text(spec, &["ingressClassName"]))),
        json!(hosts),
        json!(balancer(status)),
        json!(ports),
        old,
    ]
}

fn endpoints(object: &Value) -> String {
    let mut list = Vec::new();
    let mut total = 0;
    for subset in items(&object["subsets"]) {
        let ports = items(&subset["ports"]);
        for address in items(&subset["addresses"]) {
            let ip = text(address, &["ip"]);
            if ports.is_empty() {
                total += 1;
                list.push(ip.to_owned());
            }
            for port in ports {
                total += 1;
                list.push(format!("{ip}:{}", show(&port["port"])));
            }
        }
    }
    let shown = list.iter().take(3).cloned().collect::<Vec<_>>().join(",");
    if total > 3 { format!("{shown} + {} more...", total - 3) } else { or_none(&shown).to_owned() }
}

fn node(object: &Value, name: Value, old: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let ready = items(&status["conditions"]).iter().find(|own| own["type"] == "Ready");
    let mut state = match ready.map(|own| text(own, &["status"])) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if spec["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<String> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => Some(role.to_owned()),
            _ if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
            _ => None,
        })
        .collect();
    roles.sort();
    let address = |kind: &str| {
        items(&status["addresses"])
            .iter()
            .find(|own| own["type"] == kind)
            .map_or("<none>".to_owned(), |own| text(own, &["address"]).to_owned())
    };
    let info = |field: &str| match text(status, &["nodeInfo", field]) {
        "" => "<unknown>".to_owned(),
        known => known.to_owned(),
    };
    vec![
        name,
        json!(state),
        json!(or_none(&roles.join(","))),
        old,
        json!(text(status, &["nodeInfo", "kubeletVersion"])),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(info("osImage")),
        json!(info("kernelVersion")),
        json!(info("containerRuntimeVersion")),
    ]
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    let about = if object["involvedObject"].is_object() { &object["involvedObject"] } else { &object["regarding"] };
    let since = |field: &str| match &object[field] {
        Value::Null => age(&object["eventTime"], now),
        at => age(at, now),
    };
    let mut last = since("lastTimestamp");
    let series = &object["series"];
    let first = since("firstTimestamp");
    let mut times = object["count"].as_i64().unwrap_or(0);
    if series.is_object() {
        times = count(&series["count"]);
        last = format!("{} (x{times} over {first})", age(&series["lastObservedTime"], now));
    } else if times > 1 {
        last = format!("{last} (x{times} over {first})");
    } else if times == 0 {
        times = 1;
    }
    let kind = text(about, &["kind"]).to_lowercase();
    let source = match (text(object, &["source", "component"]), text(object, &["source", "host"])) {
        ("", _) => text(object, &["reportingComponent"]).to_owned(),
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    let message = match text(object, &["message"]) {
        "" => text(object, &["note"]),
        message => message,
    };
    vec![
        json!(last),
        object["type"].clone(),
        object["reason"].clone(),
        json!(format!("{kind}/{}", text(about, &["name"]))),
        json!(text(about, &["fieldPath"])),
        json!(source),
        json!(message.trim()),
        json!(first),
        json!(times),
        name,
    ]
}

fn targets(spec: &Value, status: &Value) -> String {
    let current = items(&status["currentMetrics"]);
    let mut list = Vec::new();
    for (index, metric) in items(&spec["metrics"]).iter().enumerate() {
        let now = current.get(index);
        let unknown = || "<unknown>".to_owned();
        let (field, prefix) = match text(metric, &["type"]) {
            "Resource" => ("resource", format!("{}: ", text(metric, &["resource", "name"]))),
            "ContainerResource" => ("containerResource", format!("{}: ", text(metric, &["containerResource", "name"]))),
            "Pods" => ("pods", String::new()),
            "Object" => ("object", String::new()),
            "External" => ("external", String::new()),
            _ => {
                list.push("<unknown type>".to_owned());
                continue;
            }
        };
        let target = &metric[field]["target"];
        let own = |kind: &str| now.map(|now| &now[field]["current"][kind]).filter(|value| !value.is_null());
        let average = !target["averageValue"].is_null();
        let text = match field {
            "resource" | "containerResource" if !average => {
                let wanted = target["averageUtilization"].as_i64().map_or("<auto>".to_owned(), |n| format!("{n}%"));
                let found = own("averageUtilization").map_or_else(unknown, |value| format!("{value}%"));
                format!("{prefix}{found}/{wanted}")
            }
            "resource" | "containerResource" | "pods" => {
                let found = own("averageValue").map_or_else(unknown, show);
                format!("{prefix}{found}/{}", show(&target["averageValue"]))
            }
            _ if average => {
                let found = own("averageValue").map_or_else(unknown, show);
                format!("{found}/{} (avg)", show(&target["averageValue"]))
            }
            _ => format!("{}/{}", own("value").map_or_else(unknown, show), show(&target["value"])),
        };
        list.push(text);
    }
    match list.len() {
        0 => "<none>".into(),
        1 | 2 => list.join(", "),
        more => format!("{} + {} more...", list.iter().take(2).cloned().collect::<Vec<_>>().join(", "), more - 2),
    }
}
