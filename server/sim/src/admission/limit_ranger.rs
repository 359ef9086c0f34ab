//! LimitRanges: defaults for containers, bounds for containers, pods and claims
//! (`plugin/pkg/admission/limitranger`).

use serde_json::Value;

use super::{creates_pod, forbidden};
use crate::{
    controllers::{
        fields::{Fields, set},
        resources::{self, Amounts, amounts},
    },
    hooks::{Admission, AdmissionRequest, Operation},
    quantity::Quantity,
    registry::builtin::gr,
    status::Result,
};

/// The plug-in.
pub struct LimitRanger;

impl Admission for LimitRanger {
    fn admit(&self, request: &AdmissionRequest<'_>, object: &mut Value) -> Result<()> {
        if request.resource.id == gr::LIMIT_RANGES && request.operation == Operation::Create {
            complete(object);
        }
        if !creates_pod(request) {
            return Ok(());
        }
        for range in request.cluster.list(&gr::LIMIT_RANGES, Some(request.namespace)) {
            default_pod(&range, object);
        }
        Ok(())
    }

    fn validate(&self, request: &AdmissionRequest<'_>, object: &Value) -> Result<()> {
        let claim = request.resource.id == gr::PERSISTENT_VOLUME_CLAIMS;
        let concerned = creates_pod(request)
            || claim
                && matches!(request.operation, Operation::Create | Operation::Update)
                && request.subresource.is_none();
        if !concerned {
            return Ok(());
        }
        for range in request.cluster.list(&gr::LIMIT_RANGES, Some(request.namespace)) {
            let faults = if claim { check_claim(&range, object) } else { check_pod(&range, object) };
            let why = match faults.as_slice() {
                [] => continue,
                [one] => one.clone(),
                many => format!("[{}]", many.join(", ")),
            };
            return Err(forbidden(request, object, &why));
        }
        Ok(())
    }
}

/// What the API fills into a LimitRange: requests and limits follow from each other.
fn complete(range: &mut Value) {
    let Some(limits) = range.pointer_mut("/spec/limits").and_then(Value::as_array_mut) else { return };
    for limit in limits.iter_mut().filter(|limit| limit.text("/type") == "Container") {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let source = limit[from].clone();
            for (name, amount) in source.as_object().into_iter().flatten() {
                if limit[to].get(name).is_none() {
                    set(limit, &[to, name], amount.clone());
                }
            }
        }
        for field in ["default", "defaultRequest"] {
            if limit[field].is_null() {
                crate::controllers::fields::unset(limit, &[field]);
            }
        }
    }
}

fn default_pod(range: &Value, pod: &mut Value) {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    for limit in range.items("/spec/limits").iter().filter(|limit| limit.text("/type") == "Container") {
        for (name, amount) in amounts(limit.at("/defaultRequest")) {
            requests.insert(name, amount);
        }
        for (name, amount) in amounts(limit.at("/default")) {
            limits.insert(name, amount);
        }
    }
    let mut said = Vec::new();
    for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let own = container.name_field();
            let mut fill = |field: &str, defaults: &Amounts| {
                let missing: Vec<_> = defaults
                    .iter()
                    .filter(|(name, _)| {
                        container.at("/resources").get(field).and_then(|list| list.get(name.as_str())).is_none()
                    })
                    .collect();
                for (name, amount) in &missing {
                    set(container, &["resources", field, name.as_str()], amount.to_json());
                }
                missing.into_iter().map(|(name, _)| name.clone()).collect::<Vec<String>>()
            };
            let (set_limits, set_requests) = (fill("limits", &limits), fill("requests", &requests));
            if !set_requests.is_empty() {
                said.push(format!("{} request for {word} {own}", set_requests.join(", ")));
            }
            if !set_limits.is_empty() {
                said.push(format!("{} limit for {word} {own}", set_limits.join(", ")));
            }
        }
    }
    if !said.is_empty() {
        set(
            pod,
            &["metadata", "annotations", "kubernetes.io/limit-ranger"],
            format!("LimitRanger plugin set: {}", said.join("; ")),
        );
    }
}

/// `name` of a container, which is no object with metadata.
trait NameField {
    fn name_field(&self) -> String;
}

impl NameField for Value {
    fn name_field(&self) -> String {
        self.text("/name").to_owned()
    }
}

fn check_pod(range: &Value, pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for limit in range.items("/spec/limits") {
        match limit.text("/type") {
            "Container" => {
                for container in pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers")) {
                    bounds(
                        limit,
                        "Container",
                        &amounts(container.at("/resources/requests")),
                        &amounts(container.at("/resources/limits")),
                        &mut faults,
                    );
                }
            }
            "Pod" => bounds(limit, "Pod", &resources::requests(pod), &resources::limits(pod), &mut faults),
            _ => {}
        }
    }
    faults
}

fn check_claim(range: &Value, claim: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let requests = amounts(claim.at("/spec/resources/requests"));
    for limit in range.items("/spec/limits").iter().filter(|limit| limit.text("/type") == "PersistentVolumeClaim") {
        for (name, enforced) in amounts(limit.at("/min")) {
            match requests.get(&name) {
                None => faults.push(format!(
                    "minimum {name} usage per PersistentVolumeClaim is {enforced}.  No request is specified"
                )),
                Some(asked) if *asked < enforced => {
                    faults.push(format!(
                        "minimum {name} usage per PersistentVolumeClaim is {enforced}, but request is {asked}"
                    ));
                }
                Some(_) => {}
            }
        }
        for (name, enforced) in amounts(limit.at("/max")) {
            match requests.get(&name) {
                None => faults.push(format!(
                    "maximum {name} usage per PersistentVolumeClaim is {enforced}.  No request is specified"
                )),
                Some(asked) if *asked > enforced => {
                    faults.push(format!(
                        "maximum {name} usage per PersistentVolumeClaim is {enforced}, but request is {asked}"
                    ));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

fn bounds(limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts, faults: &mut Vec<String>) {
    for (name, enforced) in amounts(limit.at("/min")) {
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => {
                faults.push(format!("minimum {name} usage per {kind} is {enforced}.  No request is specified"))
            }
            (Some(asked), _) if *asked < enforced => {
                faults.push(format!("minimum {name} usage per {kind} is {enforced}, but request is {asked}"));
            }
            (_, Some(most)) if *most < enforced => {
                faults.push(format!("minimum {name} usage per {kind} is {enforced}, but limit is {most}"));
            }
            _ => {}
        }
    }
    for (name, enforced) in amounts(limit.at("/max")) {
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => faults.push(format!("maximum {name} usage per {kind} is {enforced}.  No limit is specified")),
            (_, Some(most)) if *most > enforced => {
                faults.push(format!("maximum {name} usage per {kind} is {enforced}, but limit is {most}"));
            }
            (Some(asked), _) if *asked > enforced => {
                faults.push(format!("maximum {name} usage per {kind} is {enforced}, but request is {asked}"));
            }
            _ => {}
        }
    }
    for (name, enforced) in amounts(limit.at("/maxLimitRequestRatio")) {
        let given = |list: &Amounts| list.get(&name).copied().filter(|amount| !amount.is_zero());
        match (given(requests), given(limits)) {
            (None, _) => faults.push(format!("{name} max limit to request ratio per {kind} is {enforced}, but no request is specified or request is 0")),
            (_, None) => faults.push(format!("{name} max limit to request ratio per {kind} is {enforced}, but no limit is specified or limit is 0")),
            (Some(asked), Some(most)) => {
                #[allow(clippy::cast_precision_loss, reason = "the real one divides as floating point, too")]
                let ratio = most.nanos() as f64 / asked.nanos() as f64;
                #[allow(clippy::cast_precision_loss, reason = "as above")]
                let allowed = enforced.nanos() as f64 / Quantity::from_units(1).nanos() as f64;
                if ratio > allowed {
                    faults.push(format!("{name} max limit to request ratio per {kind} is {enforced}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn range(limits: Value) -> Value {
        let mut range = json!({"spec": {"limits": limits}});
        complete(&mut range);
        range
    }

    fn pod(resources: Value) -> Value {
        json!({"metadata": {}, "spec": {"containers": [{"name": "main", "resources": resources}]}})
    }

    #[test]
    fn defaults() {
        let range = range(
            json!([{"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m"}}]),
        );
        let mut plain = pod(json!({}));
        default_pod(&range, &mut plain);
        assert_eq!(
            plain.at("/spec/containers/0/resources"),
            &json!({"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}})
        );
        assert_eq!(
            plain.annotation("kubernetes.io/limit-ranger"),
            Some(
                "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main"
            )
        );
        let mut own = pod(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}));
        let before = own.clone();
        default_pod(&range, &mut own);
        assert_eq!(own, before);
    }

    #[test]
    fn refusals_in_the_real_words() {
        let range = range(json!([
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"memory": "1Gi"}, "maxLimitRequestRatio": {"cpu": "2"}},
        ]));
        let cases = [
            (
                json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "100m", "memory": "1Gi"}}),
                vec!["minimum cpu usage per Container is 100m, but request is 50m"],
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m", "memory": "2Gi"}}),
                vec!["maximum memory usage per Container is 1Gi, but limit is 2Gi"],
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "400m", "memory": "1Gi"}}),
                vec!["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"],
            ),
            (
                json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}),
                vec!["maximum memory usage per Container is 1Gi.  No limit is specified"],
            ),
            (json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m", "memory": "1Gi"}}), vec![]),
        ];
        for (resources, expected) in cases {
            assert_eq!(check_pod(&range, &pod(resources.clone())), expected, "{resources}");
        }
    }
}
