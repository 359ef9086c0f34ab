//! HorizontalPodAutoscalers between `autoscaling/v2`, as they are stored, and `autoscaling/v1`
//! (`pkg/apis/autoscaling/v1/conversion.go`): v1 knows one CPU target; all else travels in annotations.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Field of a metric: its source, as v1 and v2 both name it.
const SOURCES: [&str; 5] = ["resource", "containerResource", "pods", "object", "external"];

/// Whether a metric or its status is CPU in percent of the request, which v1 has a field for.
fn is_cpu_percent(metric: &Value, side: &str) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && metric["resource"][side]["averageUtilization"].is_i64()
}

/// From v2 to v1, in place.
pub fn to_v1(object: &mut Value) {
    let mut notes: Vec<(&str, Value)> = Vec::new();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = list(spec.shift_remove("metrics"));
        let first_cpu =
            metrics.iter().find(|metric| metric["resource"]["name"] == "cpu" && metric["type"] == "Resource");
        let percent = first_cpu.map(|metric| &metric["resource"]["target"]["averageUtilization"]);
        if let Some(percent) = percent.filter(|percent| percent.is_i64()) {
            spec.insert("targetCPUUtilizationPercentage".into(), percent.clone());
        }
        let others: Vec<Value> = metrics
            .iter()
            .filter(|metric| !is_cpu_percent(metric, "target"))
            .map(|metric| old_metric(metric, "target"))
            .collect();
        if !others.is_empty() {
            notes.push((METRICS, Value::Array(others)));
        }
        if let Some(behavior) = spec.shift_remove("behavior") {
            notes.push((BEHAVIOR, behavior));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.entry("currentReplicas").or_insert(json!(0));
        let metrics = list(status.shift_remove("currentMetrics"));
        if let Some(cpu) = metrics.iter().find(|metric| is_cpu_percent(metric, "current")) {
            status.insert(
                "currentCPUUtilizationPercentage".into(),
                cpu["resource"]["current"]["averageUtilization"].clone(),
            );
        }
        if !metrics.is_empty() {
            let old: Vec<Value> = metrics.iter().map(|metric| old_metric(metric, "current")).collect();
            notes.push((CURRENT, Value::Array(old)));
        }
        if let Some(conditions) = status.shift_remove("conditions").filter(|list| *list != json!([])) {
            notes.push((CONDITIONS, conditions));
        }
    }
    for (name, value) in notes {
        object["metadata"]["annotations"][name] = json!(value.to_string());
    }
}

/// From v1 to v2, in place.
pub fn from_v1(object: &mut Value) {
    let mut note = |name: &str| -> Option<Value> {
        let meta = object.get_mut("metadata")?.as_object_mut()?;
        let annotations = meta.get_mut("annotations")?.as_object_mut()?;
        let text = annotations.shift_remove(name)?;
        if annotations.is_empty() {
            meta.shift_remove("annotations");
        }
        serde_json::from_str(text.as_str()?).ok()
    };
    let (metrics, behavior) = (list(note(METRICS)), note(BEHAVIOR));
    let (current, conditions) = (list(note(CURRENT)), note(CONDITIONS));
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let mut all: Vec<Value> = metrics.iter().map(|metric| new_metric(metric, "target")).collect();
        if let Some(percent) = spec.shift_remove("targetCPUUtilizationPercentage").filter(|percent| !percent.is_null())
        {
            all.push(json!({
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}},
            }));
        }
        if !all.is_empty() {
            spec.insert("metrics".into(), Value::Array(all));
        }
        if let Some(behavior) = behavior.filter(Value::is_object) {
            spec.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        let percent = status.shift_remove("currentCPUUtilizationPercentage");
        let mut all: Vec<Value> = current.iter().map(|metric| new_metric(metric, "current")).collect();
        if let Some(percent) = percent.filter(|percent| !percent.is_null() && all.is_empty()) {
            all.push(json!({
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": percent}},
            }));
        }
        status.insert("currentMetrics".into(), if all.is_empty() { Value::Null } else { Value::Array(all) });
        if let Some(conditions) = conditions.filter(Value::is_array) {
            status.insert("conditions".into(), conditions);
        }
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// v1's prefix of amounts: `targetAverageValue`, `currentAverageValue`.
fn flat(side: &str, amount: &str) -> String {
    match (side, amount) {
        // An object's average has no prefix in v1.
        ("", amount) => amount.to_owned(),
        (side, amount) => format!("{side}{}{}", amount[..1].to_uppercase(), &amount[1..]),
    }
}

const AMOUNTS: [&str; 3] = ["averageUtilization", "averageValue", "value"];

/// A v2 metric (`side` is `target`) or metric status (`current`) as v1 writes it.
fn old_metric(metric: &Value, side: &str) -> Value {
    let mut out = json!({"type": metric["type"]});
    for source in SOURCES.iter().filter(|source| metric[**source].is_object()) {
        let new = &metric[*source];
        let mut old = Map::new();
        let mut put = |name: &str, value: &Value| {
            if !value.is_null() {
                old.insert(name.to_owned(), value.clone());
            }
        };
        put("name", &new["name"]);
        put("container", &new["container"]);
        put("metricName", &new["metric"]["name"]);
        put(if *source == "external" { "metricSelector" } else { "selector" }, &new["metric"]["selector"]);
        put("target", &new["describedObject"]);
        for amount in AMOUNTS {
            let value = &new[side][amount];
            match (*source, amount) {
                ("object", "averageValue") => put(amount, value),
                _ => put(&flat(side, amount), value),
            }
        }
        out[*source] = Value::Object(old);
    }
    out
}

/// A v1 metric or metric status as v2 writes it.
fn new_metric(metric: &Value, side: &str) -> Value {
    let mut out = json!({"type": metric["type"]});
    for source in SOURCES.iter().filter(|source| metric[**source].is_object()) {
        let old = &metric[*source];
        let mut new = Map::new();
        for field in ["name", "container"] {
            if !old[field].is_null() {
                new.insert(field.to_owned(), old[field].clone());
            }
        }
        if !old["metricName"].is_null() {
            let mut named = json!({"name": old["metricName"]});
            let selector = if *source == "external" { &old["metricSelector"] } else { &old["selector"] };
            if !selector.is_null() {
                named["selector"] = selector.clone();
            }
            new.insert("metric".into(), named);
        }
        if *source == "object" {
            new.insert("describedObject".into(), old["target"].clone());
        }
        let mut amounts = json!({});
        for (amount, kind) in AMOUNTS.iter().zip(["Utilization", "AverageValue", "Value"]) {
            let plain = if (*source, *amount) == ("object", "averageValue") { "" } else { side };
            let value = &old[flat(plain, amount).as_str()];
            if !value.is_null() {
                amounts[*amount] = value.clone();
                if side == "target" {
                    amounts["type"] = json!(kind);
                }
            }
        }
        new.insert(side.to_owned(), amounts);
        out[*source] = Value::Object(new);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_has_no_field_for_travels_in_annotations() {
        let v2 = json!({
            "metadata": {"name": "a"},
            "spec": {
                "maxReplicas": 3,
                "metrics": [
                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "5Mi"}}},
                    {"type": "Object", "object": {
                        "metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
                        "describedObject": {"kind": "Service", "name": "web"},
                        "target": {"type": "AverageValue", "averageValue": "9"},
                    }},
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
            },
            "status": {"currentReplicas": 1, "currentMetrics": null, "conditions": [{"type": "AbleToScale"}]},
        });
        let mut v1 = v2.clone();
        to_v1(&mut v1);
        assert_eq!(v1["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}));
        let metrics: Value = serde_json::from_str(v1["metadata"]["annotations"][METRICS].as_str().unwrap_or_default())
            .unwrap_or_default();
        assert_eq!(metrics[0]["resource"], json!({"name": "memory", "targetAverageValue": "5Mi"}));
        assert_eq!(metrics[1]["object"]["averageValue"], "9");
        from_v1(&mut v1);
        assert_eq!(v1, v2);
    }
}
