//! Quotas: what may be limited, amounts of it, and plans.
//!
//! Keys are those of Kubernetes' ResourceQuota (<https://kubernetes.io/docs/concepts/policy/resource-quotas/>), so that what a
//! tenant is given stands in the cluster word for word. Amounts are exact: thousandths in integers, no floats.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};

use crate::{
    error::FieldError,
    quantity::{Quantity, QuantityError},
};

pub mod request;
#[cfg(test)]
mod tests;
mod view;

pub use view::{ContainerDefaults, NamespaceQuota, Plan, PlanEffect, PlanRow, QuotaRow, TenantPressure, TenantQuota};

/// Most keys that one set of amounts may have: more than any cluster has to limit.
pub const MAX_KEYS: usize = 64;
/// Longest key: a qualified name of Kubernetes has at most 253 + 1 + 63 characters.
const MAX_KEY: usize = 317;
/// Most cores, bytes (1 EiB) and objects that anybody can mean.
const MAX_CORES: i64 = 10_000_000;
const MAX_BYTES: i64 = 1 << 60;
const MAX_COUNT: i64 = 1_000_000_000;

/// Keys that stand for themselves. Those that come first are shown first.
const PLAIN: &[(&str, Measure)] = &[
    ("requests.cpu", Measure::Cores),
    ("limits.cpu", Measure::Cores),
    ("requests.memory", Measure::Bytes),
    ("limits.memory", Measure::Bytes),
    ("pods", Measure::Count),
    ("persistentvolumeclaims", Measure::Count),
    ("requests.storage", Measure::Bytes),
    ("services.loadbalancers", Measure::Count),
    ("services.nodeports", Measure::Count),
    ("services", Measure::Count),
    ("secrets", Measure::Count),
    ("configmaps", Measure::Count),
    ("replicationcontrollers", Measure::Count),
    ("requests.ephemeral-storage", Measure::Bytes),
    ("limits.ephemeral-storage", Measure::Bytes),
];
/// Keys that every form offers.
pub const COMMON: &[&str] = &[
    "requests.cpu",
    "limits.cpu",
    "requests.memory",
    "limits.memory",
    "pods",
    "persistentvolumeclaims",
    "requests.storage",
    "services.loadbalancers",
];
/// What people write, and what they mean by it.
const MEANT: &[(&str, &str)] = &[
    ("cpu", "requests.cpu"),
    ("memory", "requests.memory"),
    ("storage", "requests.storage"),
    ("ephemeral-storage", "requests.ephemeral-storage"),
    ("pod", "pods"),
    ("pvc", "persistentvolumeclaims"),
    ("pvcs", "persistentvolumeclaims"),
    ("volumes", "persistentvolumeclaims"),
    ("loadbalancers", "services.loadbalancers"),
    ("nodeports", "services.nodeports"),
    ("gpu", "requests.nvidia.com/gpu"),
    ("nvidia.com/gpu", "requests.nvidia.com/gpu"),
    ("limits.nvidia.com/gpu", "requests.nvidia.com/gpu"),
    ("deployments", "count/deployments.apps"),
];
/// What keys of a StorageClass have behind its name.
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

/// How amounts of something are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// CPU, in thousandths.
    Cores,
    /// Memory and storage, in whole bytes.
    Bytes,
    /// Objects and devices, in whole numbers.
    Count,
}

impl Measure {
    fn most(self) -> Quantity {
        Quantity::units(match self {
            Self::Cores => MAX_CORES,
            Self::Bytes => MAX_BYTES,
            Self::Count => MAX_COUNT,
        })
    }

    /// An amount that would do, for error messages.
    fn example(self) -> &'static str {
        match self {
            Self::Cores => "500m or 8",
            Self::Bytes => "512Mi or 16Gi",
            Self::Count => "20",
        }
    }
}

/// Something that can be limited, as ResourceQuota calls it: `requests.cpu`, `count/jobs.batch`,
/// `fast.storageclass.storage.k8s.io/requests.storage`, `requests.nvidia.com/gpu`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuotaKey(Arc<str>);

impl QuotaKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How amounts of it are counted.
    #[must_use]
    pub fn measure(&self) -> Measure {
        measure(&self.0).unwrap_or(Measure::Count)
    }

    /// Whether pods take it, so that a container which does not say how much it wants needs a default.
    #[must_use]
    pub fn is_compute(&self) -> bool {
        matches!(self.as_str(), "requests.cpu" | "limits.cpu" | "requests.memory" | "limits.memory")
    }

    /// `amount` as people write it for this key: `500m`, `16Gi`, `20`. Says exactly the same.
    #[must_use]
    pub fn write(&self, amount: Quantity) -> String {
        if self.measure() == Measure::Bytes { amount.binary() } else { amount.to_string() }
    }

    /// What it speaks of that not every cluster has.
    #[must_use]
    pub fn needs(&self) -> Option<Needs<'_>> {
        if let Some((class, _)) = self.0.split_once(STORAGE_CLASS) {
            return Some(Needs::Class(class));
        }
        if let Some(counted) = self.0.strip_prefix("count/") {
            let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
            return Some(Needs::Counted { resource, group });
        }
        self.0.strip_prefix("requests.").filter(|device| device.contains('/')).map(Needs::Device)
    }

    /// Which objects it counts, in the plural and with their group; none where it is about what pods ask for.
    #[must_use]
    pub fn objects(&self) -> Option<(&str, &str)> {
        match (self.needs(), self.as_str()) {
            (Some(Needs::Counted { resource, group }), _) => Some((resource, group)),
            (Some(Needs::Class(_)), _) | (None, "persistentvolumeclaims" | "requests.storage") => {
                Some(("persistentvolumeclaims", ""))
            }
            (None, "services" | "services.loadbalancers" | "services.nodeports") => Some(("services", "")),
            (None, plain @ ("secrets" | "configmaps" | "replicationcontrollers")) => Some((plain, "")),
            _ => None,
        }
    }

    fn rank(&self) -> usize {
        PLAIN.iter().position(|(key, _)| *key == self.as_str()).unwrap_or(PLAIN.len())
    }
}

/// Something that one cluster has and another has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs<'a> {
    /// A StorageClass.
    Class(&'a str),
    /// A kind of objects.
    Counted {
        /// In the plural.
        resource: &'a str,
        /// Empty for Kubernetes' first one.
        group: &'a str,
    },
    /// What some machines have: `nvidia.com/gpu`.
    Device(&'a str),
}

/// The keys that matter most come first, then by name.
impl Ord for QuotaKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.rank(), &self.0).cmp(&(other.rank(), &other.0))
    }
}

impl PartialOrd for QuotaKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Nothing that a quota can limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "“{key}” is nothing that a quota can limit: use requests.cpu, limits.cpu, requests.memory, limits.memory, pods, \
     persistentvolumeclaims, requests.storage, CLASS.storageclass.storage.k8s.io/requests.storage, services.loadbalancers, \
     count/RESOURCE.GROUP or requests.DOMAIN/DEVICE"
)]
pub struct KeyError {
    /// What was written, cut where it is too long to repeat.
    pub key: String,
    /// What was likely meant.
    pub meant: Option<&'static str>,
}

impl FromStr for QuotaKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match measure(text) {
            Some(_) => Ok(Self(text.into())),
            None => {
                let meant = MEANT.iter().find(|(said, _)| said.eq_ignore_ascii_case(text)).map(|(_, meant)| *meant);
                let plain = || PLAIN.iter().find(|(key, _)| key.eq_ignore_ascii_case(text)).map(|(key, _)| *key);
                Err(KeyError { key: text.chars().take(80).collect(), meant: meant.or_else(plain) })
            }
        }
    }
}

/// How a key is counted; `None` for what is no key.
fn measure(key: &str) -> Option<Measure> {
    if key.len() > MAX_KEY {
        return None;
    }
    if let Some((_, measure)) = PLAIN.iter().find(|(plain, _)| *plain == key) {
        return Some(*measure);
    }
    if let Some((class, what)) = key.split_once(STORAGE_CLASS) {
        let measure = match what {
            "requests.storage" => Measure::Bytes,
            "persistentvolumeclaims" => Measure::Count,
            _ => return None,
        };
        return is_domain(class).then_some(measure);
    }
    if let Some(counted) = key.strip_prefix("count/") {
        let (resource, group) = counted.split_once('.').map_or((counted, None), |(r, g)| (r, Some(g)));
        let plural = !resource.is_empty() && resource.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        return (plural && resource.len() <= 63 && group.is_none_or(is_domain)).then_some(Measure::Count);
    }
    let request = key.strip_prefix("requests.")?;
    if let Some(size) = request.strip_prefix("hugepages-") {
        return size.parse::<Quantity>().is_ok_and(|size| size > Quantity::ZERO).then_some(Measure::Bytes);
    }
    // An extended resource: `nvidia.com/gpu`. Those of Kubernetes itself are no devices.
    let (domain, device) = request.split_once('/')?;
    let foreign = domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io");
    (is_domain(domain) && foreign && is_name(device)).then_some(Measure::Count)
}

/// An RFC 1123 subdomain.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The name part of a qualified name of Kubernetes.
fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Amounts by key. In JSON an object of quantities: `{"requests.cpu": "8", "requests.memory": "16Gi"}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources(BTreeMap<QuotaKey, Quantity>);

/// Amounts as they were written, before anybody looked at them.
pub type Written = BTreeMap<String, String>;

/// Where an amount stands in what was sent: `resources[requests.cpu]`.
#[must_use]
pub fn field(place: &str, key: &str) -> String {
    format!("{place}[{key}]")
}

impl Resources {
    /// Reads what was written at `place`, such as `resources`. An empty amount is none: its key is not limited.
    ///
    /// # Errors
    /// Every key that cannot be limited and every amount that cannot be meant, each at its own place with what is allowed.
    pub fn read(place: &str, written: &Written) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut amounts = BTreeMap::new();
        if written.len() > MAX_KEYS {
            let message = format!("at most {MAX_KEYS} keys");
            return Err(vec![FieldError::new(place, "quota_keys", message).param("max", MAX_KEYS)]);
        }
        for (key, amount) in written {
            let at = field(place, key);
            let amount = amount.trim();
            match key.trim().parse::<QuotaKey>() {
                Err(e) => errors.push(unknown(&at, &e)),
                Ok(_) if amount.is_empty() => {}
                Ok(key) => match read_amount(&at, &key, amount) {
                    Ok(amount) => drop(amounts.insert(key, amount)),
                    Err(e) => errors.push(e),
                },
            }
        }
        if errors.is_empty() { Ok(Self(amounts)) } else { Err(errors) }
    }

    /// The amount of `key`; `None` where it is not limited.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Quantity> {
        self.iter().find(|(have, _)| have.as_str() == key).map(|(_, amount)| amount)
    }

    /// The amount of `key`; nothing where there is none.
    #[must_use]
    pub fn of(&self, key: &QuotaKey) -> Quantity {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Whether it says anything of `key`.
    #[must_use]
    pub fn has(&self, key: &QuotaKey) -> bool {
        self.0.contains_key(key)
    }

    /// Sets the amount of `key`.
    pub fn set(&mut self, key: QuotaKey, amount: Quantity) {
        self.0.insert(key, amount);
    }

    /// Keys and amounts, the most important first.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaKey, Quantity)> {
        self.0.iter().map(|(key, amount)| (key, *amount))
    }

    /// The keys, the most important first.
    pub fn keys(&self) -> impl Iterator<Item = &QuotaKey> {
        self.0.keys()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it would be written.
    #[must_use]
    pub fn written(&self) -> Written {
        self.iter().map(|(key, amount)| (key.to_string(), key.write(amount))).collect()
    }
}

impl FromIterator<(QuotaKey, Quantity)> for Resources {
    fn from_iter<I: IntoIterator<Item = (QuotaKey, Quantity)>>(amounts: I) -> Self {
        Self(amounts.into_iter().collect())
    }
}

fn unknown(at: &str, error: &KeyError) -> FieldError {
    let said = FieldError::new(at, "quota_key", error.to_string()).param("value", &error.key);
    match error.meant {
        Some(meant) => said.suggest(meant),
        None => said,
    }
}

/// Reads one amount of `key`, written at `at`.
fn read_amount(at: &str, key: &QuotaKey, text: &str) -> Result<Quantity, FieldError> {
    let measure = key.measure();
    let amount: Quantity = text.parse().map_err(|e: QuantityError| {
        let mut said = FieldError::new(at, e.code(), e.to_string()).param("value", text);
        if let QuantityError::Unit { unit, suggestions } = &e {
            said = said.param("unit", unit);
            said.suggestions.clone_from(suggestions);
        }
        said
    })?;
    let example = measure.example();
    if amount.is_negative() {
        return Err(FieldError::new(at, "quota_negative", "0 or more; leave it empty for no limit"));
    }
    if measure != Measure::Cores && !amount.is_whole() {
        let (code, what) =
            if measure == Measure::Bytes { ("quota_bytes", "bytes") } else { ("quota_count", "objects") };
        let message = format!("{text} is no whole number of {what}: write {example}");
        return Err(FieldError::new(at, code, message).param("value", text));
    }
    let most = measure.most();
    if amount > most {
        let most = key.write(most);
        let message = format!("{text} is more than anybody can have: at most {most}");
        return Err(FieldError::new(at, "quota_absurd", message).param("value", text).param("max", most));
    }
    // `8Gi` pods, `16` bytes of memory: most likely another field was meant.
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+'));
    let wrong = match measure {
        Measure::Cores | Measure::Count => unit.ends_with('i'),
        Measure::Bytes => amount != Quantity::ZERO && amount < Quantity::units(1024),
    };
    if wrong {
        let message = format!("{text} is no likely amount of {key}: write {example}");
        let said = FieldError::new(at, "quota_unlikely", message).param("value", text).param("key", key);
        return Err(said.param("example", example));
    }
    Ok(amount)
}

/// Apps have `Resources`, too: of a container.
#[cfg(feature = "schema")]
impl utoipa::ToSchema for Resources {
    fn name() -> std::borrow::Cow<'static, str> {
        "QuotaAmounts".into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Resources {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .description(Some("Quantities by key of Kubernetes' ResourceQuota."))
            .additional_properties(Some(String::schema()))
            .examples([serde_json::json!({ "requests.cpu": "8", "requests.memory": "16Gi" })])
            .into()
    }
}

impl Serialize for Resources {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let mut map = writer.serialize_map(Some(self.0.len()))?;
        for (key, amount) in self.iter() {
            map.serialize_entry(key.as_str(), &key.write(amount))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(reader)?;
        Self::read("resources", &written).map_err(|errors| {
            let said: Vec<String> = errors.into_iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
            D::Error::custom(said.join("; "))
        })
    }
}
