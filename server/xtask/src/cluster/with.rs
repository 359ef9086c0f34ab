//! What `--with` takes: add-ons, which run in the cluster, and services, which stand around it.

use std::sync::LazyLock;

use clap::{ValueEnum, builder::PossibleValue};

use crate::cluster::{addons::Addon, services::Service};

/// What a cluster has beside Kubernetes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// In it.
    Addon(Addon),
    /// Around it.
    Service(Service),
}

impl From<Addon> for Extra {
    fn from(addon: Addon) -> Self {
        Self::Addon(addon)
    }
}

impl ValueEnum for Extra {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Extra>> = LazyLock::new(|| {
            let addons = Addon::value_variants().iter().copied().map(Extra::Addon);
            addons.chain(Service::value_variants().iter().copied().map(Extra::Service)).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Addon(addon) => addon.to_possible_value(),
            Self::Service(service) => service.to_possible_value(),
        }
    }
}

/// The two kinds apart.
pub fn split(all: &[Extra]) -> (Vec<Addon>, Vec<Service>) {
    let addons = all.iter().filter_map(|extra| if let Extra::Addon(addon) = extra { Some(*addon) } else { None });
    let services = all.iter().filter_map(|extra| if let Extra::Service(it) = extra { Some(*it) } else { None });
    (addons.collect(), services.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_an_addon_or_a_service() {
        let names: Vec<_> = Extra::value_variants().iter().flat_map(ValueEnum::to_possible_value).collect();
        let distinct: BTreeSet<_> = names.iter().map(PossibleValue::get_name).collect();
        assert_eq!(distinct.len(), names.len(), "one name for two things");
        let given = ["s3", "dns", "mail"].map(|name| Extra::from_str(name, false).unwrap());
        assert_eq!(split(&given), (vec![Addon::Dns], vec![Service::S3, Service::Mail]));
    }
}
