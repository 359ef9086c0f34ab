//! What emptying a node does to each of its pods. Pure: the cluster says what is so, and this decides; the same answers the preview
//! and drives the drain itself.

use std::{cmp::Reverse, collections::BTreeMap};

use berth_types::{
    Quantity,
    headroom::Amounts,
    node::{DrainConsent, DrainMark, DrainPlan, DrainStep, PodFate},
};

/// Who makes a pod anew, or keeps it where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A controller that makes another one: `ReplicaSet/web-5d4f`.
    Makes(String),
    /// A DaemonSet: it belongs to the node.
    Daemon(String),
    /// The kubelet itself: a static pod.
    Node,
    /// Nobody.
    Nobody,
}

/// A budget that guards a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its name.
    pub budget: String,
    /// How many pods it lets go now; `None`: it does not count this one, which is not healthy.
    pub allowed: Option<i64>,
}

/// A pod on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenancy {
    /// Its namespace in the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Never used again: what is evicted is the pod that was looked at.
    pub uid: String,
    /// Who makes it anew.
    pub owner: Owner,
    /// It ended.
    pub ended: bool,
    /// It does not run yet: no budget counts it.
    pub pending: bool,
    /// It is being stopped.
    pub leaving: bool,
    /// It keeps something in `emptyDir` volumes.
    pub local_data: bool,
    /// It has a volume that only this node has.
    pub tied: bool,
    /// The budgets that guard it. The cluster lets no pod go that has several.
    pub guards: Vec<Guard>,
    /// What it asks for, by resource; `pods` is 1.
    pub asks: Amounts,
}

/// What another node has left, by resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// Which one.
    pub node: String,
    /// Free.
    pub free: Amounts,
}

/// Most pods that are asked to go in one round: the API server and who watches need not choke on it.
const AT_ONCE: usize = 20;

fn take(free: &mut Amounts, asks: &Amounts) -> bool {
    let room = |(name, amount): (&String, &Quantity)| *amount <= free.get(name).copied().unwrap_or_default();
    if !asks.iter().all(room) {
        return false;
    }
    for (name, amount) in asks {
        if let Some(free) = free.get_mut(name) {
            *free = free.minus(*amount);
        }
    }
    true
}

/// Which of `pods` find room on the other nodes, the largest first, each where it fits first. An estimate: affinities, taints that a
/// pod tolerates, and what others take meanwhile are the scheduler's.
fn places(pods: &[&Tenancy], spares: &[Spare]) -> Vec<bool> {
    let mut free: Vec<Amounts> = spares.iter().map(|spare| spare.free.clone()).collect();
    let mut order: Vec<usize> = (0..pods.len()).collect();
    let of = |pod: &Tenancy, name: &str| pod.asks.get(name).copied().unwrap_or_default();
    order.sort_by_key(|at| Reverse((of(pods[*at], "cpu"), of(pods[*at], "memory"))));
    let mut fits = vec![false; pods.len()];
    for at in order {
        fits[at] = free.iter_mut().any(|free| take(free, &pods[at].asks));
    }
    fits
}

/// What becomes of a pod; `allowed` counts what each budget still lets go.
fn fate(pod: &Tenancy, allowed: &mut BTreeMap<(String, String), i64>) -> PodFate {
    match pod.owner {
        Owner::Daemon(_) | Owner::Node => return PodFate::Stays,
        _ if pod.leaving => return PodFate::Leaving,
        _ if pod.ended => return PodFate::Ended,
        _ => {}
    }
    let free = match pod.guards.as_slice() {
        _ if pod.pending => true,
        [] => true,
        [Guard { budget, allowed: Some(count) }] => {
            let left = allowed.entry((pod.namespace.clone(), budget.clone())).or_insert(*count);
            *left -= 1;
            *left >= 0
        }
        [Guard { allowed: None, .. }] => true,
        _ => false,
    };
    match (&pod.owner, free) {
        (_, false) => PodFate::Blocked,
        (Owner::Makes(_), true) => PodFate::Moves,
        _ => PodFate::Lost,
    }
}

/// What emptying `node` does, as things are now. Whose the pods are is filled in by who knows.
#[must_use]
pub fn plan(
    node: &str,
    mark: Option<&DrainMark>,
    pods: &[Tenancy],
    spares: &[Spare],
    consent: DrainConsent,
) -> DrainPlan {
    let mut allowed = BTreeMap::new();
    let mut steps: Vec<DrainStep> = pods
        .iter()
        .map(|pod| {
            let fate = fate(pod, &mut allowed);
            let goes = matches!(fate, PodFate::Moves | PodFate::Lost | PodFate::Blocked);
            let owner = match &pod.owner {
                Owner::Makes(owner) | Owner::Daemon(owner) => Some(owner.clone()),
                Owner::Node => Some("Node".to_owned()),
                Owner::Nobody => None,
            };
            let (lost, data) = (owner.is_none() && !consent.lose_pods, pod.local_data && !consent.lose_data);
            DrainStep {
                tenant: None,
                namespace: None,
                kube_namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                fate,
                budgets: match fate {
                    PodFate::Blocked => pod.guards.iter().map(|guard| guard.budget.clone()).collect(),
                    _ => Vec::new(),
                },
                loses_data: goes && pod.local_data,
                tied: goes && pod.tied,
                held: goes && (lost || data),
                fits: None,
                owner,
            }
        })
        .collect();
    let movers: Vec<usize> = (0..pods.len()).filter(|at| needs_room(&steps[*at])).collect();
    let asking: Vec<&Tenancy> = movers.iter().map(|at| &pods[*at]).collect();
    for (at, fits) in movers.iter().zip(places(&asking, spares)) {
        steps[*at].fits = Some(fits);
    }
    steps.sort_by(|a, b| {
        let key = |s: &DrainStep| (s.fate != PodFate::Blocked, !s.held, s.fate, s.fits != Some(false));
        key(a).cmp(&key(b)).then_with(|| (&a.kube_namespace, &a.name).cmp(&(&b.kube_namespace, &b.name)))
    });
    DrainPlan { node: node.to_owned(), drain: mark.cloned(), stalled: false, pods: steps }
}

fn needs_room(step: &DrainStep) -> bool {
    step.owner.is_some() && !step.tied && matches!(step.fate, PodFate::Moves | PodFate::Blocked)
}

/// The pods that can be asked to go now.
#[must_use]
pub fn evictable(plan: &DrainPlan) -> Vec<&DrainStep> {
    let goes = |step: &&DrainStep| !step.held && matches!(step.fate, PodFate::Moves | PodFate::Lost | PodFate::Ended);
    plan.pods.iter().filter(goes).take(AT_ONCE).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::tenancy;

    const NEITHER: DrainConsent = DrainConsent { lose_pods: false, lose_data: false };

    fn amounts(pairs: &[(&str, &str)]) -> Amounts {
        pairs.iter().map(|(name, amount)| ((*name).to_owned(), amount.parse().unwrap())).collect()
    }

    fn pod(name: &str) -> Tenancy {
        tenancy("n", name)
    }

    fn guard(allowed: Option<i64>) -> Guard {
        Guard { budget: "web".into(), allowed }
    }

    #[test]
    fn what_becomes_of_each() {
        let alone = || Tenancy { owner: Owner::Nobody, ..pod("a") };
        let local = || Tenancy { local_data: true, ..pod("a") };
        let data = DrainConsent { lose_data: true, ..NEITHER };
        let pods = DrainConsent { lose_pods: true, ..NEITHER };
        let guarded =
            |guards: &[Option<i64>]| Tenancy { guards: guards.iter().map(|n| guard(*n)).collect(), ..pod("a") };
        for (pod, consent, fate, held) in [
            (pod("a"), NEITHER, PodFate::Moves, false),
            (Tenancy { owner: Owner::Daemon("DaemonSet/log".into()), ..local() }, NEITHER, PodFate::Stays, false),
            (Tenancy { owner: Owner::Node, ..pod("a") }, NEITHER, PodFate::Stays, false),
            (alone(), NEITHER, PodFate::Lost, true),
            (alone(), data, PodFate::Lost, true),
            (alone(), pods, PodFate::Lost, false),
            (Tenancy { ended: true, ..alone() }, NEITHER, PodFate::Ended, false),
            (Tenancy { leaving: true, ..alone() }, NEITHER, PodFate::Leaving, false),
            (local(), NEITHER, PodFate::Moves, true),
            (local(), pods, PodFate::Moves, true),
            (local(), data, PodFate::Moves, false),
            (guarded(&[Some(0)]), NEITHER, PodFate::Blocked, false),
            (guarded(&[Some(1)]), NEITHER, PodFate::Moves, false),
            (guarded(&[None]), NEITHER, PodFate::Moves, false),
            (guarded(&[Some(5), Some(5)]), NEITHER, PodFate::Blocked, false),
            (Tenancy { pending: true, ..guarded(&[Some(0)]) }, NEITHER, PodFate::Moves, false),
            (Tenancy { ended: true, ..guarded(&[Some(0)]) }, NEITHER, PodFate::Ended, false),
        ] {
            let plan = plan("node-1", None, std::slice::from_ref(&pod), &[], consent);
            let step = &plan.pods[0];
            assert_eq!((step.fate, step.held), (fate, held), "{pod:?} {consent:?}");
            assert_eq!(step.budgets.is_empty(), fate != PodFate::Blocked);
            let goes = !held && matches!(fate, PodFate::Moves | PodFate::Lost | PodFate::Ended);
            assert_eq!(evictable(&plan).len(), usize::from(goes), "{pod:?} {consent:?}");
        }
    }

    #[test]
    fn a_budget_lets_go_as_many_as_it_says() {
        let guarded = |name: &str| Tenancy { guards: vec![guard(Some(2))], ..pod(name) };
        let other = Tenancy { namespace: "m".into(), ..guarded("e") };
        let plan = plan("x", None, &[guarded("a"), guarded("b"), guarded("c"), other], &[], NEITHER);
        let going: Vec<&str> = evictable(&plan).iter().map(|step| step.name.as_str()).collect();
        assert_eq!(going, ["e", "a", "b"]);
        assert_eq!(plan.pods[0].name, "c", "what is blocked comes first");
        assert_eq!((plan.left(), plan.needs()), (4, NEITHER));
    }

    #[test]
    fn what_is_needed_is_said_once() {
        let alone = Tenancy { owner: Owner::Nobody, local_data: true, ..pod("a") };
        let stays = Tenancy { owner: Owner::Node, local_data: true, ..pod("b") };
        let both = plan("x", None, &[alone, stays.clone()], &[], NEITHER);
        assert_eq!(both.needs(), DrainConsent { lose_pods: true, lose_data: true });
        assert_eq!(plan("x", None, &[stays], &[], NEITHER).needs(), NEITHER);
    }

    #[test]
    fn whether_the_rest_has_room() {
        let spare = |cpu: &str, pods: &str| Spare { node: cpu.into(), free: amounts(&[("cpu", cpu), ("pods", pods)]) };
        let asks = |cpu: &str| Tenancy { asks: amounts(&[("cpu", cpu), ("pods", "1")]), ..pod(cpu) };
        let fits = |pods: &[Tenancy], spares: &[Spare]| -> Vec<(String, Option<bool>)> {
            let mut all: Vec<_> = plan("x", None, pods, spares, NEITHER).pods;
            all.sort_by(|a, b| a.name.cmp(&b.name));
            all.into_iter().map(|step| (step.name, step.fits)).collect()
        };
        let yes_no = |pairs: &[(&str, Option<bool>)]| -> Vec<(String, Option<bool>)> {
            pairs.iter().map(|(name, fits)| ((*name).to_owned(), *fits)).collect()
        };
        // The largest goes first, so that small ones fill what is left.
        let spares = [spare("2", "9"), spare("1", "9")];
        assert_eq!(fits(&[asks("1"), asks("2")], &spares), yes_no(&[("1", Some(true)), ("2", Some(true))]));
        assert_eq!(fits(&[asks("1"), asks("3")], &spares), yes_no(&[("1", Some(true)), ("3", Some(false))]));
        assert_eq!(fits(&[asks("1")], &[spare("2", "0")]), yes_no(&[("1", Some(false))]));
        // What no other node has at all, such as a device, is room nowhere.
        let device = Tenancy { asks: amounts(&[("nvidia.com/gpu", "1")]), ..pod("gpu") };
        assert_eq!(fits(&[device], &spares), yes_no(&[("gpu", Some(false))]));
        // Who does not move needs none; who waits for its volume finds none elsewhere.
        let stays = Tenancy { owner: Owner::Node, ..pod("static") };
        let tied = Tenancy { tied: true, ..pod("tied") };
        assert_eq!(fits(&[stays, tied], &spares), yes_no(&[("static", None), ("tied", None)]));
    }
}
