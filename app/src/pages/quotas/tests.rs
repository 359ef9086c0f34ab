#![allow(clippy::unwrap_used)]
use berth_core::ports::pages::Language;

use super::*;

#[test]
fn words_for_keys_and_amounts() {
    let l = Language::En;
    for (key, want) in [
        ("requests.cpu", "CPU requests"),
        ("requests.ephemeral-storage", "Ephemeral storage requests"),
        ("fast.storageclass.storage.k8s.io/requests.storage", "Storage of class fast"),
        ("fast.storageclass.storage.k8s.io/persistentvolumeclaims", "Volumes of class fast"),
        ("count/jobs.batch", "Objects: jobs.batch"),
        ("requests.nvidia.com/gpu", "Devices: nvidia.com/gpu"),
        ("requests.hugepages-2Mi", "requests.hugepages-2Mi"),
    ] {
        assert_eq!(words::label(l, key), want, "{key}");
    }
    for (key, text, want) in
        [("requests.cpu", "2500m", "2.5"), ("requests.memory", "16Gi", "16 GiB"), ("pods", "40", "40"), ("x", "?", "?")]
    {
        assert_eq!(words::amount(key, text), want, "{key}");
    }
    // Every key that forms offer has a word in both languages.
    for key in berth_types::quota::COMMON {
        for l in [Language::En, Language::ZhCn] {
            assert_ne!(words::label(l, key), *key);
        }
    }
}

#[test]
fn bars_are_as_full_as_the_numbers_say() {
    let row = |limit: Option<&str>, shared: &str, used: Option<&str>| QuotaRow {
        resource: "pods".into(),
        limit: limit.map(str::to_owned),
        lent: None,
        shared: shared.into(),
        left: None,
        used: used.map(str::to_owned),
    };
    let html = |row: &QuotaRow| bar(row).map(|bar| bar.to_html());
    let half = html(&row(Some("10"), "8", Some("5"))).unwrap();
    assert!(half.contains("width:80%") && half.contains("width:50%") && half.contains("class=\"bar\""), "{half}");
    assert!(html(&row(Some("10"), "10", Some("9"))).unwrap().contains("bar warn"));
    assert!(html(&row(Some("0"), "0", Some("1"))).unwrap().contains("bar bad"));
    assert!(html(&row(Some("0"), "0", None)).unwrap().contains("width:0%"));
    assert_eq!(html(&row(None, "8", Some("5"))), None);
}
