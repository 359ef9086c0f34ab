//! How many pods each ReplicaSet of a Deployment should have: pure decisions
//! (`pkg/controller/deployment/{rolling,recreate,sync}.go` and `util/deployment_util.go`).

use serde_json::Value;

use crate::controllers::fields::{Fields, int_or_percent};

/// Annotation with the number of replicas of the Deployment when the ReplicaSet was last scaled.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// Annotation with that number and the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// What a Deployment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `spec.replicas`
    pub replicas: i64,
    /// RollingUpdate rather than Recreate.
    pub rolling: bool,
    /// Pods above `replicas` that a rollout may have.
    pub max_surge: i64,
    /// Pods below `replicas` that a rollout may lack.
    pub max_unavailable: i64,
    /// `status.replicas`
    pub actual: i64,
}

impl Wanted {
    /// Reads a Deployment and resolves its percentages.
    #[must_use]
    pub fn of(deployment: &Value) -> Self {
        let replicas = deployment.int("/spec/replicas").unwrap_or(1);
        let rolling = deployment.text("/spec/strategy/type") != "Recreate";
        let part = |field: &str, up| {
            int_or_percent(deployment.at(&format!("/spec/strategy/rollingUpdate/{field}")), replicas, up)
                .unwrap_or_default()
        };
        let (mut max_surge, mut max_unavailable) = (0, 0);
        if rolling {
            max_surge = part("maxSurge", true);
            max_unavailable = part("maxUnavailable", false);
            if max_surge == 0 && max_unavailable == 0 {
                // Percentages of a small number may both come to nothing; something must give.
                max_unavailable = 1;
            }
            max_unavailable = max_unavailable.min(replicas);
        }
        Self {
            replicas,
            rolling,
            max_surge,
            max_unavailable,
            actual: deployment.int("/status/replicas").unwrap_or_default(),
        }
    }

    /// The value of [`MAX_REPLICAS`].
    #[must_use]
    pub const fn max_replicas(&self) -> i64 {
        self.replicas + self.max_surge
    }
}

/// A ReplicaSet as far as scaling looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Order of creation: timestamp, then name.
    pub created: String,
    /// `spec.replicas`
    pub spec: i64,
    /// `status.availableReplicas`
    pub available: i64,
    /// [`DESIRED_REPLICAS`]
    pub desired: Option<i64>,
    /// [`MAX_REPLICAS`]
    pub max: Option<i64>,
}

impl Set {
    /// Reads a ReplicaSet.
    #[must_use]
    pub fn of(set: &Value) -> Self {
        let count = |key| set.annotation(key).and_then(|text| text.parse().ok());
        Self {
            name: set.name().to_owned(),
            created: format!("{}/{}", set.text("/metadata/creationTimestamp"), set.name()),
            spec: set.int("/spec/replicas").unwrap_or(1),
            available: set.int("/status/availableReplicas").unwrap_or_default(),
            desired: count(DESIRED_REPLICAS),
            max: count(MAX_REPLICAS),
        }
    }
}

/// A ReplicaSet's new size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resize {
    /// Which.
    pub name: String,
    /// `spec.replicas` from now on.
    pub to: i64,
}

fn resize(set: &Set, to: i64) -> Option<Resize> {
    (set.spec != to).then(|| Resize { name: set.name.clone(), to })
}

fn total(sets: &[Set]) -> i64 {
    sets.iter().map(|set| set.spec).sum()
}

/// How large the new ReplicaSet may be now, given what the old ones have (`NewRSNewReplicas`).
#[must_use]
pub fn new_replicas(wanted: &Wanted, new: i64, old: &[Set]) -> i64 {
    if !wanted.rolling {
        return wanted.replicas;
    }
    let current = total(old) + new;
    if current >= wanted.max_replicas() {
        return new;
    }
    new + (wanted.max_replicas() - current).min(wanted.replicas - new)
}

/// One step of a rolling update: first the new ReplicaSet moves, and only when it need not, the old ones.
#[must_use]
pub fn rolling(wanted: &Wanted, new: &Set, old: &[Set]) -> Vec<Resize> {
    if new.spec != wanted.replicas {
        let to = if new.spec > wanted.replicas { wanted.replicas } else { new_replicas(wanted, new.spec, old) };
        if let Some(step) = resize(new, to) {
            return vec![step];
        }
    }
    shrink_old(wanted, new, old)
}

/// Takes from the old ReplicaSets what availability allows: unhealthy pods first, then the oldest.
fn shrink_old(wanted: &Wanted, new: &Set, old: &[Set]) -> Vec<Resize> {
    let mut old: Vec<Set> = old.iter().filter(|set| set.spec > 0).cloned().collect();
    if old.is_empty() {
        return Vec::new();
    }
    let before = old.clone();
    let min_available = wanted.replicas - wanted.max_unavailable;
    let new_unavailable = new.spec - new.available;
    let most = total(&old) + new.spec - min_available - new_unavailable;
    if most <= 0 {
        return Vec::new();
    }
    old.sort_by(|a, b| a.created.cmp(&b.created));

    let mut removed = 0;
    for set in &mut old {
        if removed >= most {
            break;
        }
        let unhealthy = (set.spec - set.available).min(most - removed);
        if unhealthy > 0 {
            set.spec -= unhealthy;
            removed += unhealthy;
        }
    }
    let available: i64 = old.iter().map(|set| set.available).sum::<i64>() + new.available;
    let mut spare = (available - min_available).max(0);
    for set in &mut old {
        let step = set.spec.min(spare);
        set.spec -= step;
        spare -= step;
    }
    old.iter()
        .filter(|set| before.iter().any(|was| was.name == set.name && was.spec != set.spec))
        .map(|set| Resize { name: set.name.clone(), to: set.spec })
        .collect()
}

/// All old ReplicaSets to nothing, for Recreate.
#[must_use]
pub fn empty_old(old: &[Set]) -> Vec<Resize> {
    old.iter().filter_map(|set| resize(set, 0)).collect()
}

/// Follows a change of `spec.replicas` outside of a rollout step: the only active (or newest) ReplicaSet
/// takes it all; in the middle of a rollout all active ones grow or shrink in proportion.
/// Sets that keep their size are listed too: their annotations change.
#[must_use]
pub fn scale(wanted: &Wanted, new: Option<&Set>, old: &[Set]) -> Vec<Resize> {
    if let Some(only) = active_or_latest(new, old) {
        return resize(only, wanted.replicas).into_iter().collect();
    }
    if new.is_some_and(|new| {
        new.spec == wanted.replicas && new.desired == Some(wanted.replicas) && new.available == wanted.replicas
    }) {
        return empty_old(old);
    }
    if !wanted.rolling {
        return Vec::new();
    }
    let mut active: Vec<&Set> = old.iter().chain(new).filter(|set| set.spec > 0).collect();
    let allowed = if wanted.replicas > 0 { wanted.max_replicas() } else { 0 };
    let to_add = allowed - active.iter().map(|set| set.spec).sum::<i64>();
    match to_add.cmp(&0) {
        std::cmp::Ordering::Greater => {
            active.sort_by(|a, b| b.spec.cmp(&a.spec).then_with(|| b.created.cmp(&a.created)));
        }
        std::cmp::Ordering::Less => {
            active.sort_by(|a, b| b.spec.cmp(&a.spec).then_with(|| a.created.cmp(&b.created)));
        }
        std::cmp::Ordering::Equal => {}
    }
    let mut added = 0;
    let mut sizes = Vec::new();
    for set in active {
        let part = if to_add == 0 { 0 } else { proportion(wanted, set, to_add, added) };
        added += part;
        sizes.push(Resize { name: set.name.clone(), to: set.spec + part });
    }
    if let Some(first) = sizes.first_mut() {
        first.to = (first.to + to_add - added).max(0);
    }
    sizes
}

fn proportion(wanted: &Wanted, set: &Set, to_add: i64, added: i64) -> i64 {
    if set.spec == 0 || to_add == added {
        return 0;
    }
    let allowed = to_add - added;
    let fraction = if wanted.replicas == 0 {
        -set.spec
    } else {
        let base = set.max.filter(|max| *max != 0).unwrap_or(wanted.actual);
        if base == 0 {
            0
        } else {
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "replica counts are small; Go rounds the same way"
            )]
            let size = ((set.spec * wanted.max_replicas()) as f64 / base as f64).round() as i64;
            size - set.spec
        }
    };
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

fn active_or_latest<'a>(new: Option<&'a Set>, old: &'a [Set]) -> Option<&'a Set> {
    let active: Vec<_> = old.iter().chain(new).filter(|set| set.spec > 0).collect();
    match active.as_slice() {
        [] => new.or_else(|| old.iter().max_by(|a, b| a.created.cmp(&b.created))),
        [only] => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn wanted(replicas: i64, surge: Value, unavailable: Value) -> Wanted {
        Wanted::of(&json!({"spec": {"replicas": replicas, "strategy": {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
    }

    fn set(name: &str, spec: i64, available: i64) -> Set {
        Set { name: name.into(), created: name.into(), spec, available, ..Set::default() }
    }

    fn named(steps: &[Resize]) -> Vec<(&str, i64)> {
        steps.iter().map(|step| (step.name.as_str(), step.to)).collect()
    }

    #[test]
    fn fenceposts() {
        for (replicas, surge, unavailable, expected) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (3, json!(0), json!(0), (0, 1)),
            (2, json!("0%"), json!("25%"), (0, 1)),
            (3, json!(1), json!(10), (1, 3)),
        ] {
            let got = wanted(replicas, surge.clone(), unavailable.clone());
            assert_eq!((got.max_surge, got.max_unavailable), expected, "{replicas} {surge} {unavailable}");
        }
    }

    #[test]
    fn rolling_steps() {
        // (replicas, surge, unavailable, new spec/available, old spec/available, expected)
        for (replicas, surge, unavailable, new, old, expected) in [
            (4, 1, 1, (0, 0), (4, 4), vec![("new", 1)]),
            (4, 1, 1, (1, 0), (4, 4), vec![("old", 3)]),
            (4, 1, 1, (1, 0), (3, 3), vec![("new", 2)]),
            (4, 1, 1, (2, 0), (3, 3), vec![]),
            (4, 1, 1, (2, 1), (3, 3), vec![("old", 2)]),
            (4, 1, 1, (4, 4), (1, 1), vec![("old", 0)]),
            (4, 0, 1, (0, 0), (4, 4), vec![("old", 3)]),
            (4, 1, 0, (1, 0), (4, 4), vec![]),
            (4, 1, 0, (1, 1), (4, 4), vec![("old", 3)]),
            // Unhealthy old pods go even while the new ones are not up.
            (4, 1, 1, (1, 0), (4, 1), vec![("old", 3)]),
            (4, 1, 1, (6, 4), (0, 0), vec![("new", 4)]),
            // A first rollout.
            (3, 1, 0, (0, 0), (0, 0), vec![("new", 3)]),
        ] {
            let wanted = wanted(replicas, json!(surge), json!(unavailable));
            let steps = rolling(&wanted, &set("new", new.0, new.1), &[set("old", old.0, old.1)]);
            assert_eq!(named(&steps), expected, "{replicas}+{surge}-{unavailable} new {new:?} old {old:?}");
        }
    }

    #[test]
    fn availability_never_falls_below_what_was_promised() {
        for replicas in 1..12 {
            for (surge, unavailable) in [(1, 0), (0, 1), (2, 2), (3, 0), (5, 5)] {
                let wanted = wanted(replicas, json!(surge), json!(unavailable));
                let (mut new, mut old) = (set("new", 0, 0), set("old", replicas, replicas));
                for _ in 0..200 {
                    for step in rolling(&wanted, &new, std::slice::from_ref(&old)) {
                        if step.name == "new" { new.spec = step.to } else { old.spec = step.to }
                    }
                    old.available = old.available.min(old.spec);
                    assert!(new.available + old.available >= replicas - wanted.max_unavailable);
                    assert!(new.spec + old.spec <= replicas + wanted.max_surge);
                    new.available = (new.available + 1).min(new.spec);
                }
                assert_eq!((new.spec, old.spec), (replicas, 0), "{replicas} {surge} {unavailable}");
            }
        }
    }

    #[test]
    fn scaling_in_the_middle_of_a_rollout_is_proportional() {
        let wanted = wanted(15, json!(3), json!(2));
        let with_max = |mut set: Set| {
            set.max = Some(13);
            set
        };
        // The example of the Kubernetes documentation: 8 old, 5 new, 10 -> 15.
        let steps = scale(&wanted, Some(&with_max(set("new", 5, 0))), &[with_max(set("old", 8, 8))]);
        assert_eq!(named(&steps), [("old", 11), ("new", 7)]);
        assert_eq!(named(&scale(&wanted, Some(&set("new", 4, 4)), &[set("old", 0, 0)])), [("new", 15)]);
        let down = Wanted { replicas: 0, ..wanted };
        assert_eq!(
            named(&scale(&down, Some(&with_max(set("new", 5, 0))), &[with_max(set("old", 8, 8))])),
            [("old", 0), ("new", 0)]
        );
    }
}
