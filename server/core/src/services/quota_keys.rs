//! Keys of quotas that a cluster does not know: limits that would limit nothing.

use std::sync::Arc;

use berth_types::{
    FieldError, Quantity, QuotaKey, Resources,
    quota::{Needs, field},
};

use super::Services;
use crate::{
    error::{Error, Result},
    ports::cluster::{Cluster, UnknownKey},
    quota::RESOURCES,
};

/// Why a key is refused.
fn refusal(unknown: &UnknownKey) -> Option<FieldError> {
    let UnknownKey { key, known } = unknown;
    let (code, what, value) = match key.needs()? {
        Needs::Class(class) => ("quota_class_unknown", "StorageClass", class.to_owned()),
        Needs::Counted { resource, group: "" } => ("quota_count_unknown", "resource", resource.to_owned()),
        Needs::Counted { resource, group } => ("quota_count_unknown", "resource", format!("{resource}.{group}")),
        Needs::Device(device) => ("quota_device_unknown", "node with the device", device.to_owned()),
    };
    let known = if known.is_empty() { "–".to_owned() } else { known.join(", ") };
    let message = format!("the cluster has no {what} “{value}” (there is: {known})");
    Some(FieldError::new(field(RESOURCES, key.as_str()), code, message).param("value", value).param("known", known))
}

/// Keys worth asking about: new ones that give something. Nothing of what is not there is no mistake: it keeps it away.
fn doubtful(wanted: &Resources, before: Option<&Resources>) -> Vec<QuotaKey> {
    let old = |key: &QuotaKey| before.is_some_and(|before| before.has(key));
    let new = wanted.iter().filter(|(key, amount)| *amount > Quantity::ZERO && key.needs().is_some() && !old(key));
    new.map(|(key, _)| key.clone()).collect()
}

impl Services {
    /// Refuses what no cluster knows. Those that cannot be asked may know anything.
    ///
    /// # Errors
    /// `Invalid` at each such key.
    pub(super) async fn keys_are_known(
        &self,
        clusters: &[Arc<dyn Cluster>],
        wanted: &Resources,
        before: Option<&Resources>,
    ) -> Result<()> {
        let mut unknown: Option<Vec<UnknownKey>> = None;
        let keys = doubtful(wanted, before);
        if keys.is_empty() {
            return Ok(());
        }
        for cluster in clusters {
            let here = match cluster.unknown_keys(&keys).await {
                Ok(here) => here,
                Err(e) => {
                    tracing::debug!(cluster = %cluster.id(), error = %e, "keys of a quota could not be looked up");
                    return Ok(());
                }
            };
            unknown = Some(match unknown {
                None => here,
                Some(so_far) => so_far.into_iter().filter(|one| here.iter().any(|h| h.key == one.key)).collect(),
            });
        }
        let errors: Vec<FieldError> = unknown.iter().flatten().filter_map(refusal).collect();
        if errors.is_empty() { Ok(()) } else { Err(Error::invalid(errors)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn amounts(pairs: &[(&str, &str)]) -> Resources {
        Resources::read("r", &pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).unwrap()
    }

    #[test]
    fn what_is_asked_about() {
        let fast = "fast.storageclass.storage.k8s.io/requests.storage";
        let wanted =
            amounts(&[("requests.cpu", "1"), (fast, "1Gi"), ("count/jobs.batch", "5"), ("requests.a.io/gpu", "0")]);
        let ask =
            |before: Option<&Resources>| doubtful(&wanted, before).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ask(None), ["count/jobs.batch", fast]);
        assert_eq!(ask(Some(&amounts(&[(fast, "2Gi")]))), ["count/jobs.batch"]);
    }

    #[test]
    fn why() {
        let said = |key: &str, known: &[&str]| {
            let known = known.iter().map(|k| (*k).to_owned()).collect();
            let error = refusal(&UnknownKey { key: key.parse().unwrap(), known }).unwrap();
            (error.field.clone(), error.code.clone(), error.params["value"].clone())
        };
        for (key, code, value) in [
            ("fast.storageclass.storage.k8s.io/requests.storage", "quota_class_unknown", "fast"),
            ("count/widgets.example.com", "quota_count_unknown", "widgets.example.com"),
            ("count/widgets", "quota_count_unknown", "widgets"),
            ("requests.nvidia.com/gpu", "quota_device_unknown", "nvidia.com/gpu"),
        ] {
            let (at, said, param) = said(key, &["slow"]);
            assert_eq!((at, said.as_str(), param), (format!("resources[{key}]"), code, value.into()), "{key}");
        }
    }
}
