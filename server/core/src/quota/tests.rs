#![allow(clippy::unwrap_used)]
use berth_types::quota::Written;

use super::*;

pub(super) fn amounts(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    let written: Written = pairs.map(|(key, amount)| (key.to_owned(), amount.to_owned())).collect();
    Resources::read(RESOURCES, &written).unwrap()
}

fn name(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

fn limit(text: &str) -> Option<Limit> {
    Some(Limit { plan: None, origin: None, resources: amounts(text), defaults: ContainerDefaults::default() })
}

/// `limit`: none is unlimited. `shares`: name and amounts; none was given nothing.
pub(super) fn book(limit_text: Option<&str>, shares: &[(&str, Option<&str>)]) -> Book {
    let share = |(called, resources): &(&str, Option<&str>)| Share {
        namespace: Namespace {
            id: Uuid::nil(),
            name: name(called),
            tenant: "shop".parse().unwrap(),
            cluster: ClusterId::local(),
            kube_name: format!("shop-{called}"),
            egress: Default::default(),
            protected: false,
            halt: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            version: 1,
        },
        resources: resources.map(amounts),
    };
    Book {
        tenant: "shop".parse().unwrap(),
        tenant_id: Uuid::nil(),
        display_name: "Shop".into(),
        cluster: ClusterId::local(),
        limit: limit_text.and_then(limit),
        loans: Vec::new(),
        shares: shares.iter().map(share).collect(),
    }
}

/// Codes and places of what is refused; the shares after what is done.
fn told(result: Result<Book, Vec<Lack>>) -> Result<String, String> {
    let shares = |book: Book| {
        let one = |share: &Share| {
            let own = share.resources.as_ref().map(|own| format!("{:?}", own.written()));
            format!("{}{}", share.namespace.name, own.unwrap_or_else(|| "–".into()))
        };
        book.shares.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let lacks = |lacks: Vec<Lack>| {
        let one = |lack: &Lack| format!("{} {}", lack.error().field, lack.error().code);
        lacks.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    result.map(shares).map_err(lacks)
}

#[test]
fn shares() {
    let dev = |text: &str| Change::Share(name("dev"), Some(amounts(text)));
    let two = |limit| book(limit, &[("dev", Some("pods=2")), ("prod", Some("pods=5"))]);
    for (limit, change, want) in [
        (Some("pods=10"), dev("pods=5"), Ok(r#"dev{"pods": "5"} prod{"pods": "5"}"#)),
        (Some("pods=10"), dev("pods=6"), Err("resources[pods] quota_left")),
        (Some("pods=10"), dev("requests.cpu=1"), Ok(r#"dev{"requests.cpu": "1"} prod{"pods": "5"}"#)),
        (None, dev("pods=1000"), Ok(r#"dev{"pods": "1000"} prod{"pods": "5"}"#)),
        (Some("pods=10"), Change::Share(name("dev"), None), Ok(r#"dev– prod{"pods": "5"}"#)),
        (Some("pods=10"), Change::Share(name("gone"), None), Err("namespace namespace_unknown")),
        // A limit that is passed already (no path leads there) still lets shares shrink.
        (Some("pods=3"), dev("pods=1"), Ok(r#"dev{"pods": "1"} prod{"pods": "5"}"#)),
        (
            Some("pods=10 requests.cpu=4"),
            dev("pods=6 requests.cpu=5"),
            Err("resources[requests.cpu] quota_left, resources[pods] quota_left"),
        ),
    ] {
        let got = told(two(limit).after(&change));
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{limit:?} {change:?}");
    }
    let Err(lacks) = two(Some("pods=10")).after(&dev("pods=6")) else { panic!("admitted") };
    assert_eq!(
        lacks[0].error().message,
        "6 is more than there is: of the tenant's 10, other namespaces have prod 5; 5 is left"
    );
}

#[test]
fn moves() {
    let change =
        |from: &str, to: &str, text: &str| Change::Move { from: name(from), to: name(to), resources: amounts(text) };
    let two = |limit, prod| book(limit, &[("dev", Some("pods=2")), ("prod", prod)]);
    let full = two(Some("pods=7"), Some("pods=5"));
    for (book, change, want) in [
        (&full, change("dev", "prod", "pods=2"), Ok(r#"dev{"pods": "0"} prod{"pods": "7"}"#)),
        (&full, change("dev", "prod", "pods=3"), Err("resources[pods] quota_gives")),
        (&full, change("dev", "dev", "pods=1"), Ok(r#"dev{"pods": "2"} prod{"pods": "5"}"#)),
        (&full, change("gone", "prod", "pods=1"), Err("namespace namespace_unknown")),
        // A namespace that was given nothing has zero of what the tenant's limit names.
        (&two(Some("pods=7"), None), change("dev", "prod", "pods=1"), Ok(r#"dev{"pods": "1"} prod{"pods": "1"}"#)),
        // Without a limit it has as much as it likes: moving something to it would limit it.
        (&two(None, None), change("dev", "prod", "pods=1"), Err("resources[pods] quota_unlimited")),
    ] {
        let got = told(book.after(&change));
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{change:?}");
    }
}

#[test]
fn limits() {
    let two = book(Some("pods=10"), &[("dev", Some("pods=2 requests.cpu=1")), ("prod", Some("pods=5"))]);
    for (wanted, want) in [
        (limit("pods=7"), Ok(())),
        (limit("pods=6"), Err("resources[pods] quota_shared")),
        (limit("requests.cpu=500m"), Err("resources[requests.cpu] quota_shared")),
        (limit("requests.memory=1Gi"), Ok(())),
        (None, Ok(())),
    ] {
        let got = told(two.after(&Change::Limit(wanted.clone()))).map(drop);
        assert_eq!(got, want.map_err(str::to_owned), "{wanted:?}");
    }
    let Err(lacks) = two.after(&Change::Limit(limit("pods=6"))) else { panic!("admitted") };
    assert_eq!(
        lacks[0].error().message,
        "6 is less than the namespaces have: 7 (dev 2, prod 5). Lower their shares first"
    );
}

#[test]
fn what_the_cluster_enforces() {
    let enforced = |book: &Book, at: usize| book.enforced(&book.shares[at]).map(|all| all.written());
    let limited = book(Some("pods=10 requests.cpu=4"), &[("dev", Some("pods=2 secrets=9")), ("prod", None)]);
    assert_eq!(enforced(&limited, 0), Some(amounts("pods=2 requests.cpu=0 secrets=9").written()));
    assert_eq!(enforced(&limited, 1), Some(amounts("pods=0 requests.cpu=0").written()));
    let unlimited = book(None, &[("dev", Some("pods=2")), ("prod", None)]);
    assert_eq!(enforced(&unlimited, 0), Some(amounts("pods=2").written()));
    assert_eq!(enforced(&unlimited, 1), None);

    let lowered = |before: &Book, after: &Book| -> Vec<String> {
        let changed = Changed { before: before.clone(), after: after.clone() };
        changed.lowered().iter().map(|l| format!("{} {} {}", l.share.namespace.name, l.key, l.to)).collect()
    };
    assert_eq!(
        lowered(&unlimited, &limited),
        ["dev requests.cpu 0", "dev secrets 9", "prod requests.cpu 0", "prod pods 0"]
    );
    assert_eq!(lowered(&limited, &unlimited), Vec::<String>::new());
}

/// A generator that says the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn amounts(&mut self, most: u64) -> Resources {
        let keys = ["requests.cpu", "pods", "requests.memory", "count/jobs.batch"];
        let mut all = Resources::default();
        for key in keys {
            if self.below(3) > 0 {
                all.set(key.parse().unwrap(), Quantity::units(i64::try_from(self.below(most)).unwrap()));
            }
        }
        all
    }
}

/// Whatever is tried, in whatever order: the sum never passes the limit, a move makes and loses nothing, and what is refused
/// is refused for a reason that the numbers bear out.
#[test]
fn nothing_that_is_admitted_passes_the_limit() {
    let mut dice = Dice(0x5eed);
    let names = ["a", "b", "c", "d"];
    let (mut done, mut refused) = (0, 0);
    for _ in 0..300 {
        let mut now = book(None, &names.map(|name| (name, None)));
        for _ in 0..60 {
            let mut any = || name(names[usize::try_from(dice.below(4)).unwrap()]);
            let (one, other) = (any(), any());
            let change = match dice.below(8) {
                0 => Change::Limit(None),
                1 | 2 => Change::Limit(Some(Limit {
                    plan: None,
                    origin: None,
                    resources: dice.amounts(60),
                    defaults: ContainerDefaults::default(),
                })),
                3 => Change::Share(one, None),
                4 | 5 => Change::Share(one, Some(dice.amounts(25))),
                _ => Change::Move { from: one, to: other, resources: dice.amounts(10) },
            };
            match now.after(&change) {
                Ok(after) => {
                    assert_eq!(after.lacks(), [], "{change:?} in {now:?}");
                    if let Change::Move { .. } = change {
                        for key in after.keys() {
                            assert_eq!(after.shared(&key), now.shared(&key), "{change:?} in {now:?}");
                        }
                    }
                    assert_eq!(after.shares.len(), names.len());
                    now = after;
                    done += 1;
                }
                Err(lacks) => {
                    assert!(!lacks.is_empty());
                    for lack in lacks {
                        match lack {
                            Lack::Left { asked, left, .. } => assert!(asked > left),
                            Lack::Gives { has, asked, .. } => assert!(asked > has),
                            Lack::Shared { limit, shares, .. } => {
                                assert!(shares.iter().fold(Quantity::ZERO, |sum, (_, has)| sum.plus(*has)) > limit);
                            }
                            Lack::Unlimited { .. } => {}
                            Lack::Absent(_) | Lack::Free(_) | Lack::Overtaken { .. } | Lack::Overflow(_) => {
                                panic!("{lack:?}")
                            }
                        }
                    }
                    refused += 1;
                }
            }
        }
    }
    assert!(done > 2_000 && refused > 2_000, "{done} done, {refused} refused: the dice are loaded");
}
