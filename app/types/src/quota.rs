//! Quotas: what may be limited, amounts of it, and plans.
//!
//! Keys are those of Kubernetes' ResourceQuota (<https://kubernetes.io/docs/concepts/policy/resource-quotas/>), so that what a
//! tenant is given stands in the cluster word for word. Amounts are exact: thousandths in integers, no floats.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use uuid::Uuid;

use crate::{
    error::FieldError,
    names::{ClusterId, NamespaceName, PlanName, TenantName},
    quantity::{Quantity, QuantityError},
};

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
        if self.measure() != Measure::Bytes || !amount.is_whole() {
            return amount.to_string();
        }
        let bytes = amount.as_units();
        let fit = [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")]
            .into_iter()
            .find(|(bits, _)| bytes != 0 && bytes % (1_i64 << bits) == 0);
        fit.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
    }

    fn rank(&self) -> usize {
        PLAIN.iter().position(|(key, _)| *key == self.as_str()).unwrap_or(PLAIN.len())
    }
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

macro_rules! dto {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(rename_all = "camelCase")]
        $(#[$meta])*
        pub struct $name { $($body)* }
    };
}

dto! {
    /// What a container gets of CPU and memory when it does not say itself, in namespaces whose CPU or memory is limited: a
    /// quota refuses pods that say nothing, and many charts say nothing.
    #[serde(deny_unknown_fields, default)]
    pub struct ContainerDefaults {
        /// CPU that is asked for.
        pub cpu_request: String,
        /// CPU at most.
        pub cpu_limit: String,
        /// Memory that is asked for.
        pub memory_request: String,
        /// Memory at most.
        pub memory_limit: String,
    }
}

/// Enough for a small web server; a limit that does not throttle one.
impl Default for ContainerDefaults {
    fn default() -> Self {
        Self {
            cpu_request: "100m".to_owned(),
            cpu_limit: "1".to_owned(),
            memory_request: "128Mi".to_owned(),
            memory_limit: "512Mi".to_owned(),
        }
    }
}

impl ContainerDefaults {
    /// Wrong amounts, each at its place below `place`; empty when all is well.
    #[must_use]
    pub fn check(&self, place: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut pair = |(request, request_field): (&str, &str), (limit, limit_field): (&str, &str), key: &str| {
            let mut read = |text: &str, name: &str| {
                let at = format!("{place}.{name}");
                let key = QuotaKey(key.into());
                let amount = read_amount(&at, &key, text.trim()).and_then(|amount| {
                    let positive = || FieldError::new(&at, "quantity_positive", "more than 0");
                    if amount == Quantity::ZERO { Err(positive()) } else { Ok(amount) }
                });
                amount.map_err(|e| errors.push(e)).ok()
            };
            let (asked, most) = (read(request, request_field), read(limit, limit_field));
            if let (Some(asked), Some(most)) = (asked, most)
                && asked > most
            {
                let message = format!("more than the limit of {limit}");
                let at = format!("{place}.{request_field}");
                errors.push(FieldError::new(at, "request_over_limit", message).param("limit", limit));
            }
        };
        pair((&self.cpu_request, "cpuRequest"), (&self.cpu_limit, "cpuLimit"), "requests.cpu");
        pair((&self.memory_request, "memoryRequest"), (&self.memory_limit, "memoryLimit"), "requests.memory");
        errors
    }
}

dto! {
    /// A named quota that platform admins define, and tenants are given.
    pub struct Plan {
        /// Never changes.
        pub id: Uuid,
        /// Stands in URLs.
        pub name: PlanName,
        /// What people call it.
        pub display_name: String,
        /// How much of each key; what it does not name is not limited.
        #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, String>))]
        pub resources: Resources,
        /// What containers get that do not say themselves.
        pub defaults: ContainerDefaults,
        /// When it was made.
        pub created_at: Timestamp,
        /// Counts changes, for `If-Match`.
        pub version: i64,
    }
}

dto! {
    /// A plan in a list.
    pub struct PlanRow {
        /// The plan.
        #[serde(flatten)]
        pub plan: Plan,
        /// How many quotas it gives: one a tenant and cluster.
        pub tenants: usize,
    }
}

dto! {
    /// A key of a tenant's quota. Amounts are quantities.
    pub struct QuotaRow {
        /// `requests.cpu`, `pods`, …
        pub resource: String,
        /// What the tenant may have; absent when nothing limits it.
        pub limit: Option<String>,
        /// What its namespaces have of it.
        pub shared: String,
        /// What is left to share out; absent when nothing limits it.
        pub left: Option<String>,
        /// What its namespaces use; absent when the cluster does not count it or was never read.
        pub used: Option<String>,
    }
}

dto! {
    /// What a namespace has of its tenant's quota.
    pub struct NamespaceQuota {
        /// The namespace.
        pub namespace: NamespaceName,
        /// What it was given; absent when it was given nothing.
        #[cfg_attr(feature = "schema", schema(value_type = Option<std::collections::BTreeMap<String, String>>))]
        pub share: Option<Resources>,
        /// What the cluster enforces: the share, and nothing of each key that the tenant's quota limits besides; absent when
        /// nothing is limited.
        #[cfg_attr(feature = "schema", schema(value_type = Option<std::collections::BTreeMap<String, String>>))]
        pub enforced: Option<Resources>,
        /// What is used of it, as the cluster counts.
        #[cfg_attr(feature = "schema", schema(value_type = std::collections::BTreeMap<String, String>))]
        pub used: Resources,
    }
}

dto! {
    /// A tenant's quota on a cluster, and how it is shared out.
    pub struct TenantQuota {
        /// The cluster.
        pub cluster: ClusterId,
        /// Whether it is limited at all.
        pub limited: bool,
        /// The plan that gives it; absent when it has amounts of its own, or none.
        pub plan: Option<PlanName>,
        /// Key by key.
        pub resources: Vec<QuotaRow>,
        /// Its namespaces there, by name.
        pub namespaces: Vec<NamespaceQuota>,
    }
}

dto! {
    /// How near a tenant is to its quotas.
    pub struct TenantPressure {
        /// The tenant.
        pub tenant: TenantName,
        /// What people call it.
        pub display_name: String,
        /// The cluster.
        pub cluster: ClusterId,
        /// Whether it is limited at all.
        pub limited: bool,
        /// The plan that gives its quota, if one does.
        pub plan: Option<PlanName>,
        /// Use of the key that is used most, in thousandths of its limit; absent when nothing is limited or counted.
        pub pressure: Option<i64>,
        /// Key by key.
        pub resources: Vec<QuotaRow>,
    }
}

dto! {
    /// What a change of a plan does to a tenant that has it.
    pub struct PlanEffect {
        /// The tenant.
        pub tenant: TenantName,
        /// The cluster.
        pub cluster: ClusterId,
        /// Why it cannot be; empty when it can.
        pub problems: Vec<FieldError>,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn written(pairs: &[(&str, &str)]) -> Written {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn keys() {
        for (key, want) in [
            ("requests.cpu", Some(Measure::Cores)),
            ("limits.memory", Some(Measure::Bytes)),
            ("pods", Some(Measure::Count)),
            ("count/deployments.apps", Some(Measure::Count)),
            ("count/mysqlclusters.berth.dev", Some(Measure::Count)),
            ("count/secrets", Some(Measure::Count)),
            ("fast.storageclass.storage.k8s.io/requests.storage", Some(Measure::Bytes)),
            ("fast.storageclass.storage.k8s.io/persistentvolumeclaims", Some(Measure::Count)),
            ("requests.nvidia.com/gpu", Some(Measure::Count)),
            ("requests.hugepages-2Mi", Some(Measure::Bytes)),
            ("cpu", None),
            ("", None),
            ("requests.", None),
            ("requests.gpu", None),
            ("requests.kubernetes.io/gpu", None),
            ("requests.nvidia.com/", None),
            ("requests.hugepages-", None),
            ("count/", None),
            ("count/Deployments.apps", None),
            ("count/deployments..apps", None),
            ("Fast.storageclass.storage.k8s.io/requests.storage", None),
            ("fast.storageclass.storage.k8s.io/limits.storage", None),
            ("pods\u{0}", None),
            ("limits.storage", None),
        ] {
            assert_eq!(key.parse::<QuotaKey>().ok().map(|k| k.measure()), want, "{key}");
        }
        assert_eq!("CPU".parse::<QuotaKey>().unwrap_err().meant, Some("requests.cpu"));
        assert_eq!("Pods".parse::<QuotaKey>().unwrap_err().meant, Some("pods"));
        assert!("x".repeat(400).parse::<QuotaKey>().unwrap_err().key.len() <= 80);
    }

    #[test]
    fn amounts_that_cannot_be_meant() {
        for (key, amount, want) in [
            ("requests.cpu", "8", Ok("8")),
            ("requests.cpu", "0", Ok("0")),
            ("requests.cpu", "1500m", Ok("1500m")),
            ("requests.cpu", "0.5", Ok("500m")),
            ("requests.memory", "1.5Gi", Ok("1536Mi")),
            ("requests.memory", "0", Ok("0")),
            ("requests.memory", "2G", Ok("1953125Ki")),
            ("pods", "2k", Ok("2000")),
            ("requests.cpu", "-1", Err("quota_negative")),
            ("requests.cpu", "8Gi", Err("quota_absurd")),
            ("requests.cpu", "1Ki", Err("quota_unlikely")),
            ("requests.cpu", "8 cores", Err("quantity_unit")),
            ("requests.cpu", "eight", Err("quantity_number")),
            ("requests.cpu", "1e30", Err("quantity_range")),
            ("requests.cpu", "99999999", Err("quota_absurd")),
            ("requests.memory", "16", Err("quota_unlikely")),
            ("requests.memory", "500m", Err("quota_bytes")),
            ("requests.memory", "2Ei", Err("quota_absurd")),
            ("requests.memory", "16gb", Err("quantity_unit")),
            ("pods", "1.5", Err("quota_count")),
            ("pods", "10Ki", Err("quota_unlikely")),
            ("nonsense", "1", Err("quota_key")),
        ] {
            let got = Resources::read("resources", &written(&[(key, amount)]));
            match (got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got.written(), written(&[(key, want)])),
                (Err(got), Err(want)) => {
                    assert_eq!((got[0].field.as_str(), got[0].code.as_str()), (&*format!("resources[{key}]"), want));
                }
                (got, want) => panic!("{key}: {amount}: {got:?} instead of {want:?}"),
            }
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_and_an_empty_amount_limits_nothing() {
        let errors = Resources::read("r", &written(&[("cpu", "1"), ("pods", "x"), ("requests.cpu", "1")])).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["r[cpu]", "r[pods]"]);
        assert_eq!(errors[0].suggestions, ["requests.cpu"]);
        assert!(Resources::read("r", &written(&[("pods", " ")])).unwrap().is_empty());
        let many = (0..=MAX_KEYS).map(|n| (format!("count/a{n}"), "1".to_owned())).collect();
        assert_eq!(Resources::read("r", &many).unwrap_err()[0].code, "quota_keys");
    }

    #[test]
    fn json_goes_round_and_the_important_comes_first() {
        let json = r#"{"requests.cpu":"8","requests.memory":"16Gi","pods":"20","count/jobs.batch":"3"}"#;
        let resources: Resources = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&resources).unwrap(), json);
        assert!(serde_json::from_str::<Resources>(r#"{"requests.cpu":"-8"}"#).is_err());
        assert_eq!(resources.get("requests.memory"), Some("16Gi".parse().unwrap()));
        assert_eq!(resources.get("limits.memory"), None);
    }

    #[test]
    fn defaults_fit_together() {
        assert_eq!(ContainerDefaults::default().check("defaults"), []);
        let wrong = ContainerDefaults {
            cpu_request: "2".into(),
            memory_limit: "0".into(),
            memory_request: "x".into(),
            ..ContainerDefaults::default()
        };
        let errors: Vec<_> = wrong.check("defaults").into_iter().map(|e| (e.field, e.code)).collect();
        let want = [
            ("defaults.cpuRequest", "request_over_limit"),
            ("defaults.memoryRequest", "quantity_number"),
            ("defaults.memoryLimit", "quantity_positive"),
        ];
        assert_eq!(errors, want.map(|(f, c)| (f.to_owned(), c.to_owned())));
    }
}
