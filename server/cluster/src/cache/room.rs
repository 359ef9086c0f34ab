//! What counts against a quota: what pods ask for, and what LimitRanges give to those that do not say.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use berth_types::{
    Quantity,
    headroom::{self, Amounts, ContainerAsk, LimitDefaults, PodAsk},
};
use serde::{Deserialize, Deserializer, de};

use super::{
    pod::{PodRecord, WireMeta},
    store::{Entry, Record},
};
use crate::intern::Interner;

/// A quantity as the API writes it. What cannot be read counts as nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct WireQuantity(pub(super) Quantity);

impl<'de> Deserialize<'de> for WireQuantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = WireQuantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<WireQuantity, E> {
                Ok(WireQuantity(text.parse().unwrap_or_default()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<WireQuantity, E> {
                Ok(WireQuantity(Quantity::units(number)))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<WireQuantity, E> {
                Ok(WireQuantity(Quantity::units(i64::try_from(number).unwrap_or(i64::MAX))))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<WireQuantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}

pub(super) type WireAmounts = BTreeMap<String, WireQuantity>;

pub(super) fn amounts(wire: &WireAmounts) -> Amounts {
    wire.iter().map(|(name, amount)| (name.clone(), amount.0)).collect()
}

/// `resources` of a container or a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireResources {
    requests: WireAmounts,
    limits: WireAmounts,
}

impl WireResources {
    fn ask(&self, sidecar: bool) -> ContainerAsk {
        ContainerAsk { requests: amounts(&self.requests), limits: amounts(&self.limits), sidecar }
    }
}

/// A pod's `spec`, as far as a quota counts it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireAsk {
    containers: Vec<WireContainer>,
    init_containers: Vec<WireContainer>,
    resources: Option<WireResources>,
    overhead: WireAmounts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    resources: WireResources,
    restart_policy: Option<String>,
}

/// One container: what it states, and whether it is a sidecar.
pub(super) type Asking<'a> = (&'a WireResources, bool);

/// What a quota counts of a pod, in a text that pods of one kind share.
pub(super) fn print<'a>(
    containers: impl Iterator<Item = Asking<'a>>,
    inits: impl Iterator<Item = Asking<'a>>,
    whole: Option<&WireResources>,
    overhead: &WireAmounts,
) -> String {
    let asks = |(resources, sidecar): Asking<'a>| resources.ask(sidecar);
    let pod = PodAsk {
        containers: containers.map(asks).collect(),
        inits: inits.map(asks).collect(),
        whole: whole.map(|w| w.ask(false)).unwrap_or_default(),
        overhead: amounts(overhead),
    };
    let all: Vec<String> = pod.takes().iter().map(|(key, amount)| format!("{key}={amount}")).collect();
    all.join(",")
}

/// Reads what [`print`] wrote.
pub(crate) fn parse(text: &str) -> Amounts {
    let pair = |pair: &str| {
        let (key, amount) = pair.split_once('=')?;
        Some((key.to_owned(), amount.parse().ok()?))
    };
    text.split(',').filter_map(pair).collect()
}

/// What a quota counts of a pod as the API answers it.
pub(crate) fn takes(pod: &serde_json::Value) -> Option<Amounts> {
    let spec = WireAsk::deserialize(pod.get("spec")?).ok()?;
    let asking = |c: &WireContainer| c.resources.ask(c.restart_policy.as_deref() == Some("Always"));
    let pod = PodAsk {
        containers: spec.containers.iter().map(|c| c.resources.ask(false)).collect(),
        inits: spec.init_containers.iter().map(asking).collect(),
        whole: spec.resources.map(|r| r.ask(false)).unwrap_or_default(),
        overhead: amounts(&spec.overhead),
    };
    Some(pod.takes())
}

/// A LimitRange, as far as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct WireRange {
    metadata: WireMeta<de::IgnoredAny>,
    #[serde(default)]
    spec: WireLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireLimits {
    limits: Vec<WireLimit>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireLimit {
    #[serde(rename = "type")]
    kind: String,
    default: WireAmounts,
    default_request: WireAmounts,
}

/// What a LimitRange gives to containers that say nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeRecord(LimitDefaults);

impl Record for RangeRecord {
    type Wire = WireRange;

    fn decode(range: WireRange, strings: &Interner) -> Option<Entry<Self>> {
        let meta = &range.metadata;
        let name: Arc<str> = (!meta.name.is_empty()).then(|| meta.name.as_str().into())?;
        let mut row = LimitDefaults::default();
        // Within one LimitRange the last entry counts.
        for limit in range.spec.limits.iter().filter(|limit| limit.kind == "Container") {
            row.requests.extend(amounts(&limit.default_request));
            row.limits.extend(amounts(&limit.default));
        }
        let version = meta.resource_version.parse().unwrap_or(0);
        Some(Entry { namespace: strings.get(&meta.namespace), name, version, row: Self(row) })
    }

    fn app(&self) -> Option<&Arc<str>> {
        None
    }
}

/// What the LimitRanges of a namespace give together: what one has filled in, the next leaves as it is.
pub(crate) fn defaults<'a>(ranges: impl Iterator<Item = &'a RangeRecord>) -> LimitDefaults {
    let mut all = LimitDefaults::default();
    for RangeRecord(range) in ranges {
        for (into, from) in [(&mut all.requests, &range.requests), (&mut all.limits, &range.limits)] {
            for (name, amount) in from {
                into.entry(name.clone()).or_insert(*amount);
            }
        }
    }
    all
}

/// The sum of what pods count; each kind of pod is read once.
pub(crate) fn counted<'a>(pods: impl Iterator<Item = &'a PodRecord>) -> Amounts {
    let mut kinds: HashMap<&Arc<str>, i64> = HashMap::new();
    for takes in pods.filter_map(|pod| pod.1.as_ref()) {
        *kinds.entry(takes).or_default() += 1;
    }
    kinds.into_iter().fold(Amounts::new(), |mut total, (takes, times)| {
        headroom::add(&mut total, &parse(takes), times);
        total
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_count_as_the_cluster_completed_them() {
        let pod = json!({ "spec": {
            "containers": [{ "name": "main", "resources": { "requests": { "cpu": "100m" }, "limits": { "memory": "64Mi" } } }],
            "initContainers": [
                { "name": "mesh", "restartPolicy": "Always", "resources": { "requests": { "cpu": "50m" } } },
                { "name": "migrate", "resources": { "requests": { "cpu": 1 } } },
            ],
            "overhead": { "cpu": "10m" },
        } });
        let got = takes(&pod).expect("a pod");
        let text = |key: &str| got.get(key).map(ToString::to_string);
        assert_eq!(text("requests.cpu").as_deref(), Some("1060m"));
        assert_eq!(text("limits.memory").as_deref(), Some("67108864"));
        assert_eq!((text("pods").as_deref(), text("requests.memory")), (Some("1"), None));
        let (cpu, none) = (WireResources::default(), WireAmounts::new());
        assert_eq!(parse(&print([(&cpu, false)].into_iter(), std::iter::empty(), None, &none)).len(), 2);
    }

    #[test]
    fn the_first_range_that_says_something_counts() {
        let range = |name: &str, limits: serde_json::Value| {
            let object = json!({ "metadata": { "name": name, "namespace": "n" }, "spec": { "limits": limits } });
            let wire = serde_json::from_value(object).expect("a LimitRange");
            RangeRecord::decode(wire, &Interner::default()).expect("a row").row
        };
        let ranges = [
            range(
                "a",
                json!([{ "type": "Container", "default": { "cpu": "500m" }, "defaultRequest": { "cpu": "100m" } }]),
            ),
            range(
                "b",
                json!([
                    { "type": "Container", "default": { "cpu": "9", "memory": "1Gi" } },
                    { "type": "Pod", "max": { "cpu": "4" } },
                ]),
            ),
        ];
        let all = defaults(ranges.iter());
        let text = |amounts: &Amounts, key: &str| amounts.get(key).map(ToString::to_string).unwrap_or_default();
        assert_eq!((text(&all.requests, "cpu"), text(&all.limits, "cpu")), ("100m".to_owned(), "500m".to_owned()));
        assert_eq!(
            (text(&all.requests, "memory"), text(&all.limits, "memory")),
            (String::new(), "1073741824".to_owned())
        );
    }
}
