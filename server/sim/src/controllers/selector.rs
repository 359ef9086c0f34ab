//! `metav1.LabelSelector` and node selectors against labels.

use serde_json::Value;

use super::fields::Fields;

/// Whether a `metav1.LabelSelector` selects an object with these `labels` (an object or null).
/// An absent selector selects nothing, an empty one everything.
#[must_use]
pub fn matches(selector: &Value, labels: &Value) -> bool {
    if !selector.is_object() {
        return false;
    }
    matches_map(selector.at("/matchLabels"), labels)
        && selector.items("/matchExpressions").iter().all(|expression| requirement(expression, labels))
}

/// Whether every pair of `wanted` (an object or null) stands in `labels`.
#[must_use]
pub fn matches_map(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// Whether the selector is `{}`.
#[must_use]
pub fn is_empty(selector: &Value) -> bool {
    selector.items("/matchExpressions").is_empty()
        && selector.at("/matchLabels").as_object().is_none_or(serde_json::Map::is_empty)
}

/// One expression of a label or node selector: `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
#[must_use]
pub fn requirement(expression: &Value, labels: &Value) -> bool {
    let actual = labels.get(expression.text("/key")).and_then(Value::as_str);
    let values = expression.items("/values");
    let among = |actual: &str| values.iter().any(|value| value.as_str() == Some(actual));
    let compared = |order: std::cmp::Ordering| {
        let left = actual.and_then(|text| text.parse::<i64>().ok());
        let right = values.first().and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
        matches!((left, right), (Some(left), Some(right)) if left.cmp(&right) == order)
    };
    match expression.text("/operator") {
        "In" => actual.is_some_and(among),
        "NotIn" => !actual.is_some_and(among),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(std::cmp::Ordering::Greater),
        "Lt" => compared(std::cmp::Ordering::Less),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        for (selector, expected) in [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "db"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["web"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "n", "operator": "Gt", "values": ["4"]}]}), true),
            (json!({"matchExpressions": [{"key": "n", "operator": "Lt", "values": ["4"]}]}), false),
        ] {
            assert_eq!(matches(&selector, &labels), expected, "{selector}");
        }
    }
}
