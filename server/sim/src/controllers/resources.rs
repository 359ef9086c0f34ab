//! What pods ask for and nodes have (`k8s.io/component-helpers/resource`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use crate::quantity::{Format, Quantity};

/// Amounts by resource name, e.g. `cpu`.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads a resource list, e.g. `resources.requests`.
#[must_use]
pub fn amounts(list: &Value) -> Amounts {
    list.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), Quantity::lenient(Some(value)))).collect()
}

/// A resource list as JSON.
#[must_use]
pub fn to_json(amounts: &Amounts) -> Value {
    amounts.iter().map(|(name, amount)| (name.clone(), amount.to_json())).collect::<serde_json::Map<_, _>>().into()
}

/// Adds `other` to `total`.
pub fn add(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        *total.entry(name.clone()).or_insert(Quantity::ZERO) += *amount;
    }
}

/// Takes `other` from `total`.
pub fn subtract(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        *total.entry(name.clone()).or_insert(Quantity::ZERO) -= *amount;
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = total.entry(name.clone()).or_insert(*amount);
        if *amount > *entry {
            *entry = *amount;
        }
    }
}

/// What a pod requests: its containers and sidecars together, or the largest init step, plus overhead.
#[must_use]
pub fn requests(pod: &Value) -> Amounts {
    total(pod, "requests")
}

/// The same sum over limits.
#[must_use]
pub fn limits(pod: &Value) -> Amounts {
    total(pod, "limits")
}

fn total(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(container.at("/resources").get(field).unwrap_or(&Value::Null));
    let mut sum = Amounts::new();
    for container in pod.items("/spec/containers") {
        add(&mut sum, &of(container));
    }
    let (mut sidecars, mut init_peak) = (Amounts::new(), Amounts::new());
    for container in pod.items("/spec/initContainers") {
        let own = of(container);
        if container.text("/restartPolicy") == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut init_peak, &sidecars);
        } else {
            let mut step = own;
            add(&mut step, &sidecars);
            raise(&mut init_peak, &step);
        }
    }
    raise(&mut sum, &init_peak);
    for (name, amount) in amounts(pod.at("/spec/resources").get(field).unwrap_or(&Value::Null)) {
        sum.insert(name, amount);
    }
    let overhead = amounts(pod.at("/spec/overhead"));
    for (name, amount) in overhead {
        if field == "requests" || sum.contains_key(&name) {
            *sum.entry(name).or_insert(Quantity::ZERO) += amount;
        }
    }
    sum
}

/// `Guaranteed`, `Burstable` or `BestEffort` (`ComputePodQOS`).
#[must_use]
pub fn qos_class(pod: &Value) -> &'static str {
    let supported = |list: Amounts| -> Amounts {
        list.into_iter()
            .filter(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && !amount.is_zero())
            .collect()
    };
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    if pod.at("/spec/resources").is_object() && !pod.at("/spec/resources/requests").is_null()
        || !pod.at("/spec/resources/limits").is_null()
    {
        requests = supported(amounts(pod.at("/spec/resources/requests")));
        limits = supported(amounts(pod.at("/spec/resources/limits")));
        guaranteed = limits.len() == 2;
    } else {
        for container in pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers")) {
            add(&mut requests, &supported(amounts(container.at("/resources/requests"))));
            let own = supported(amounts(container.at("/resources/limits")));
            guaranteed &= own.len() == 2;
            add(&mut limits, &own);
        }
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    if guaranteed
        && requests.len() == limits.len()
        && requests.iter().all(|(name, amount)| limits.get(name) == Some(amount))
    {
        return "Guaranteed";
    }
    "Burstable"
}

/// Amounts printed `a=1,b=2`, as quota messages do.
#[must_use]
pub fn print(amounts: &Amounts) -> String {
    amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(",")
}

/// The canonical zero of a resource: binary for bytes, so that sums print as `1Gi`.
#[must_use]
pub fn zero_of(name: &str) -> Quantity {
    if name.ends_with("memory") || name.ends_with("storage") {
        Quantity::ZERO.with_format(Format::BinarySi)
    } else {
        Quantity::ZERO
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(containers: Value, init: Value) -> Value {
        json!({"spec": {"containers": containers, "initContainers": init}})
    }

    #[test]
    fn init_containers_count_by_their_peak_and_sidecars_stay() {
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        for (containers, init, expected) in [
            (vec![container("100m"), container("200m")], vec![], "300m"),
            (vec![container("100m")], vec![container("500m"), container("400m")], "500m"),
            (vec![container("100m")], vec![sidecar("50m")], "150m"),
            (vec![container("100m")], vec![sidecar("50m"), container("200m")], "250m"),
        ] {
            let pod = pod(json!(containers), json!(init));
            assert_eq!(requests(&pod).get("cpu").map(ToString::to_string).as_deref(), Some(expected), "{pod}");
        }
    }

    #[test]
    fn quality_of_service() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, expected) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "1"}}), "Burstable"),
            (json!({"requests": both, "limits": both}), "Guaranteed"),
            (json!({"requests": {"cpu": "1"}, "limits": both}), "Burstable"),
            (json!({"requests": both, "limits": {"cpu": "2", "memory": "1Gi"}}), "Burstable"),
        ] {
            assert_eq!(qos_class(&pod(json!([{"resources": resources}]), json!([]))), expected, "{resources}");
        }
    }
}
