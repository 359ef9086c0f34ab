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
        ephemeral_storage_request: "2Gi".into(),
        ..ContainerDefaults::default()
    };
    let errors: Vec<_> = wrong.check("defaults").into_iter().map(|e| (e.field, e.code)).collect();
    let want = [
        ("defaults.cpuRequest", "request_over_limit"),
        ("defaults.memoryRequest", "quantity_number"),
        ("defaults.memoryLimit", "quantity_positive"),
        ("defaults.ephemeralStorageRequest", "request_over_limit"),
    ];
    assert_eq!(errors, want.map(|(f, c)| (f.to_owned(), c.to_owned())));
}

#[test]
fn what_a_key_counts() {
    for (key, want) in [
        ("requests.cpu", None),
        ("pods", None),
        ("limits.ephemeral-storage", None),
        ("requests.nvidia.com/gpu", None),
        ("requests.storage", Some(("persistentvolumeclaims", ""))),
        ("fast.storageclass.storage.k8s.io/persistentvolumeclaims", Some(("persistentvolumeclaims", ""))),
        ("services.nodeports", Some(("services", ""))),
        ("configmaps", Some(("configmaps", ""))),
        ("count/pods", Some(("pods", ""))),
        ("count/jobs.batch", Some(("jobs", "batch"))),
        ("count/apps.berth.dev", Some(("apps", "berth.dev"))),
    ] {
        assert_eq!(key.parse::<QuotaKey>().unwrap().objects(), want, "{key}");
    }
}
