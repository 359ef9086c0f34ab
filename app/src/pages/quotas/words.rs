//! Keys and amounts of quotas as people read them.

use berth_core::ports::pages::Language;
use berth_types::{Quantity, QuotaKey, quota::Measure};

use crate::tr;

/// What a key is called; the key itself where there is no better word.
#[must_use]
pub fn label(l: Language, key: &str) -> String {
    if let Some(plain) = tr::template(l, "quotas", &format!("key_{}", key.replace(['.', '-'], "_"))) {
        return plain.to_owned();
    }
    if let Some((class, what)) = key.split_once(".storageclass.storage.k8s.io/") {
        return match what {
            "requests.storage" => tr::quotas::key_class_storage(l, class),
            _ => tr::quotas::key_class_volumes(l, class),
        };
    }
    if let Some(counted) = key.strip_prefix("count/") {
        return tr::quotas::key_count(l, counted);
    }
    match key.strip_prefix("requests.") {
        Some(device) if device.contains('/') => tr::quotas::key_device(l, device),
        _ => key.to_owned(),
    }
}

/// An amount of a key: `2.5`, `16 GiB`, `40`.
#[must_use]
pub fn amount(key: &str, text: &str) -> String {
    let (Ok(key), Ok(amount)) = (key.parse::<QuotaKey>(), text.parse::<Quantity>()) else { return text.to_owned() };
    match key.measure() {
        Measure::Cores => amount.cores(),
        Measure::Bytes => amount.bytes(),
        Measure::Count => amount.as_units().to_string(),
    }
}
