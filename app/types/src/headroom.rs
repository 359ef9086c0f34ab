//! What an app takes of its namespace's quota at rest and at its worst moment, and what is left after it.
//!
//! Pure and exact: the server decides by it before it writes, and the pages show it while one types. Amounts are keyed as a
//! ResourceQuota's `hard` is (<https://kubernetes.io/docs/concepts/policy/resource-quotas/>). Two things that quotas count are
//! left out: ReplicaSets and ControllerRevisions, of which an app keeps more the longer it lives; and pods that are still
//! stopping, which a rollout waits for where there is no room beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    app::{Amounts as Stated, AppSpec, Component, ExposeKind, Resources, Strategy},
    quantity::Quantity,
};

/// Amounts by key: `requests.cpu`, `pods`, `count/deployments.apps`; of a container by resource: `cpu`, `memory`.
pub type Amounts = BTreeMap<String, Quantity>;

/// Resources of which a quota makes every container state a request or limit, and which it counts under these names too.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Adds `more` so many times to `total`.
pub fn add(total: &mut Amounts, more: &Amounts, times: i64) {
    for (key, amount) in more {
        let sum = total.entry(key.clone()).or_default();
        *sum = sum.plus(amount.times(times));
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (key, amount) in other {
        let most = total.entry(key.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

fn one(key: &str) -> (String, Quantity) {
    (key.to_owned(), Quantity::units(1))
}

/// What a namespace's LimitRanges give to containers that say nothing themselves, by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitDefaults {
    /// `defaultRequest`.
    pub requests: Amounts,
    /// `default`.
    pub limits: Amounts,
}

/// What one container asks for and may use at most, by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerAsk {
    /// Promised.
    pub requests: Amounts,
    /// At most.
    pub limits: Amounts,
    /// An init container that goes on running beside the others: `restartPolicy: Always`.
    pub sidecar: bool,
}

impl ContainerAsk {
    fn of(resources: Option<&Resources>, defaults: &LimitDefaults) -> Self {
        let read = |stated: Option<&Stated>| -> Amounts {
            let all = stated.map(|s| [("cpu", &s.cpu), ("memory", &s.memory)]).into_iter().flatten();
            let read = |text: &str| text.parse::<Quantity>().ok().filter(|amount| !amount.is_negative());
            all.filter_map(|(name, text)| Some((name.to_owned(), read(text.as_ref()?)?))).collect()
        };
        let requests = read(resources.and_then(|r| r.requests.as_ref()));
        let limits = read(resources.and_then(|r| r.limits.as_ref()));
        Self { requests, limits, sidecar: false }.defaulted(defaults)
    }

    /// With what the API server fills in: a limit is the request where none is stated; then come the LimitRanges' defaults.
    #[must_use]
    pub fn defaulted(mut self, defaults: &LimitDefaults) -> Self {
        for (name, amount) in self.limits.iter().chain(&defaults.requests) {
            self.requests.entry(name.clone()).or_insert(*amount);
        }
        for (name, amount) in &defaults.limits {
            self.limits.entry(name.clone()).or_insert(*amount);
        }
        self
    }
}

/// What one pod asks for, as far as quotas count it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodAsk {
    /// Containers that run side by side.
    pub containers: Vec<ContainerAsk>,
    /// Containers that run one after the other before them, sidecars among them.
    pub inits: Vec<ContainerAsk>,
    /// Stated for the pod as a whole, in place of its containers' sums.
    pub whole: ContainerAsk,
    /// What its RuntimeClass adds.
    pub overhead: Amounts,
}

impl PodAsk {
    /// One pod of a component.
    #[must_use]
    pub fn of(component: &Component, defaults: &LimitDefaults) -> Self {
        let own = component.resources.as_ref();
        let inits = component.init_containers.iter();
        Self {
            containers: vec![ContainerAsk::of(own, defaults)],
            inits: inits.map(|init| ContainerAsk::of(init.resources.as_ref().or(own), defaults)).collect(),
            ..Self::default()
        }
    }

    /// The rule of <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>:
    /// containers and sidecars together, or an init container with the sidecars that began before it, if that is more.
    fn sum(&self, list: fn(&ContainerAsk) -> &Amounts, limits: bool) -> Amounts {
        let (mut sum, mut sidecars, mut init) = (Amounts::new(), Amounts::new(), Amounts::new());
        for container in &self.containers {
            add(&mut sum, list(container), 1);
        }
        for container in &self.inits {
            if container.sidecar {
                add(&mut sum, list(container), 1);
                add(&mut sidecars, list(container), 1);
                raise(&mut init, &sidecars);
            } else {
                let mut step = sidecars.clone();
                add(&mut step, list(container), 1);
                raise(&mut init, &step);
            }
        }
        raise(&mut sum, &init);
        sum.extend(list(&self.whole).clone());
        for (name, amount) in &self.overhead {
            if !limits || sum.contains_key(name) {
                let total = sum.entry(name.clone()).or_default();
                *total = total.plus(*amount);
            }
        }
        sum
    }

    /// What a quota counts of it.
    #[must_use]
    pub fn takes(&self) -> Amounts {
        let mut out = Amounts::from([one("pods"), one("count/pods")]);
        for (name, amount) in self.sum(|c| &c.requests, false) {
            if COMPUTE.contains(&name.as_str()) {
                out.insert(name.clone(), amount);
            }
            out.insert(format!("requests.{name}"), amount);
        }
        for (name, amount) in self.sum(|c| &c.limits, true) {
            if COMPUTE.contains(&name.as_str()) {
                out.insert(format!("limits.{name}"), amount);
            }
        }
        out
    }

    /// Whether the cluster refuses the pod where a quota limits `key`, since a container does not say how much.
    #[must_use]
    pub fn leaves_out(&self, key: &str) -> bool {
        let (limits, name) = match key.split_once('.') {
            Some(("limits", name)) => (true, name),
            Some(("requests", name)) => (false, name),
            _ => (false, key),
        };
        let states =
            |c: &ContainerAsk| if limits { c.limits.contains_key(name) } else { c.requests.contains_key(name) };
        COMPUTE.contains(&name) && !self.containers.iter().chain(&self.inits).all(states)
    }
}

/// Pods that a rollout of `replicas` may have above them. Percentages are rounded up
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-surge>).
#[must_use]
pub fn surge(component: &Component, replicas: i64) -> i64 {
    let rollout = component.rollout.clone().unwrap_or_default();
    if rollout.strategy.unwrap_or_default() == Strategy::Recreate {
        return 0;
    }
    let text = rollout.max_surge.as_deref().unwrap_or("25%");
    let number = |text: &str| text.parse::<i64>().unwrap_or(0).clamp(0, 100_000);
    match text.strip_suffix('%') {
        Some(percent) => (replicas * number(percent) + 99) / 100,
        None => number(text),
    }
}

/// Objects that Berth makes for a component, besides its pods.
fn objects(component: &Component, suspended: bool) -> Amounts {
    let mut out = Amounts::from([one("count/deployments.apps")]);
    let kind = component.expose.as_ref().map_or(ExposeKind::None, |e| e.kind);
    let port = component.expose.as_ref().is_some_and(|e| e.port.is_some()) || !component.ports.is_empty();
    if kind != ExposeKind::None && port {
        out.extend([one("services"), one("count/services")]);
        match kind {
            ExposeKind::LoadBalancer => out.extend([one("services.loadbalancers"), one("services.nodeports")]),
            ExposeKind::Ingress => out.extend([one("count/ingresses.networking.k8s.io")]),
            ExposeKind::Internal | ExposeKind::None => {}
        }
    }
    if suspended {
        return out;
    }
    if component.autoscale.as_ref().map_or(component.wanted(), |a| a.min) >= 2 {
        out.extend([one("count/poddisruptionbudgets.policy")]);
    }
    if component.autoscale.is_some() {
        out.extend([one("count/horizontalpodautoscalers.autoscaling")]);
    }
    out
}

/// A spec, with what one pod of each component takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Load<'a> {
    /// What is wanted.
    pub spec: &'a AppSpec,
    /// By component, in their order.
    pub pods: Vec<Amounts>,
}

/// One component of a [`Load`].
#[derive(Clone, Copy)]
struct Part<'a> {
    component: &'a Component,
    pod: &'a Amounts,
    suspended: bool,
}

impl Part<'_> {
    /// Pods at rest: as many as wanted, or as few as the autoscaler may leave.
    fn rest(self) -> i64 {
        let wanted = self.component.autoscale.as_ref().map_or(self.component.wanted(), |a| a.min);
        if self.suspended { 0 } else { i64::from(wanted.max(0)) }
    }

    /// Pods at most, a rollout aside.
    fn most(self) -> i64 {
        let wanted = self.component.autoscale.as_ref().map_or(self.component.wanted(), |a| a.max);
        if self.suspended { 0 } else { i64::from(wanted.max(0)) }
    }

    fn objects(self) -> Amounts {
        objects(self.component, self.suspended)
    }

    /// The most that there is of each key from the first pod of `self` that takes the place of one of `old`. A Deployment has at
    /// most `replicas` new pods, and old and new ones together are at most `replicas + surge` before another is made.
    fn after(self, old: Self) -> Amounts {
        let (was, becomes) = (old.most(), self.most());
        let mut out = old.objects();
        raise(&mut out, &self.objects());
        let recreate = self.component.rollout.as_ref().and_then(|r| r.strategy) == Some(Strategy::Recreate);
        if becomes == 0 || recreate {
            add(&mut out, self.pod, becomes);
            return out;
        }
        let cap = becomes + surge(self.component, becomes);
        let first = was.min(cap - 1);
        let mut worst = Amounts::new();
        // The sum is linear in both numbers, so that the worst stands at an end: as many old ones as can be, or all new ones.
        for (before, now) in [(first, becomes.min(cap - first)), (was.min(cap - becomes), becomes)] {
            let mut moment = Amounts::new();
            add(&mut moment, old.pod, before);
            add(&mut moment, self.pod, now);
            raise(&mut worst, &moment);
        }
        add(&mut out, &worst, 1);
        out
    }
}

impl<'a> Load<'a> {
    /// Of `spec` alone.
    #[must_use]
    pub fn of(spec: &'a AppSpec, defaults: &LimitDefaults) -> Self {
        Self { spec, pods: spec.components.iter().map(|c| PodAsk::of(c, defaults).takes()).collect() }
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let suspended = self.spec.suspended;
        self.spec.components.iter().zip(&self.pods).map(move |(component, pod)| Part { component, pod, suspended })
    }

    fn part(&self, name: &str) -> Option<Part<'_>> {
        self.parts().find(|part| part.component.name == name)
    }

    fn total(&self, pods: impl Fn(Part<'_>) -> i64) -> Amounts {
        let mut out = Amounts::from([one("count/apps.berth.dev")]);
        for part in self.parts() {
            add(&mut out, &part.objects(), 1);
            add(&mut out, part.pod, pods(part));
        }
        out
    }

    /// All its objects but the pods.
    #[must_use]
    pub fn objects(&self) -> Amounts {
        self.total(|_| 0)
    }

    /// Pods of the component at `index`: at rest, and at most.
    #[must_use]
    pub fn count(&self, index: usize) -> (i64, i64) {
        self.parts().nth(index).map_or((0, 0), |part| (part.rest(), part.most()))
    }

    /// What it takes when it comes in place of `before`.
    #[must_use]
    pub fn footprint(&self, before: Option<&Load<'_>>) -> Footprint {
        let mut peak = Amounts::from([one("count/apps.berth.dev")]);
        for part in self.parts() {
            // Its next rollout, and the one that this change is.
            let mut worst = part.after(part);
            if let Some(old) = before.and_then(|before| before.part(&part.component.name)) {
                raise(&mut worst, &part.after(old));
            }
            add(&mut peak, &worst, 1);
        }
        // What goes is there until it has gone.
        let gone = before.into_iter().flat_map(Load::parts).filter(|old| self.part(&old.component.name).is_none());
        for old in gone.filter(|_| !self.spec.suspended) {
            add(&mut peak, &old.objects(), 1);
            add(&mut peak, old.pod, old.most());
        }
        Footprint { rest: self.total(|part| part.rest()), most: self.total(|part| part.most()), peak }
    }
}

/// What an app takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footprint {
    /// When nothing happens: as many pods as wanted, or as few as the autoscaler may leave.
    pub rest: Amounts,
    /// When its autoscalers have gone as far as they may.
    pub most: Amounts,
    /// At the worst moment: the same in the middle of a rollout.
    pub peak: Amounts,
}

/// What `spec` takes at its worst moment, with the surge of a rollout and autoscalers at their ends; nothing but its objects
/// while it is suspended.
#[must_use]
pub fn peak(spec: &AppSpec, defaults: &LimitDefaults) -> Amounts {
    Load::of(spec, defaults).footprint(None).peak
}

/// One limited key of a namespace's quota, and an app's part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headroom {
    /// `requests.cpu`, `pods`, …
    pub resource: String,
    /// Allowed.
    pub limit: Quantity,
    /// In use by all others.
    pub others: Quantity,
    /// In use by the app now.
    pub now: Quantity,
    /// What the app takes after the change, at rest.
    pub rest: Quantity,
    /// The same with autoscalers at their ends.
    pub most: Quantity,
    /// The same at its worst moment.
    pub peak: Quantity,
}

impl Headroom {
    /// One key: `used` of `limit`, the app's own part of that, and what it takes after the change.
    #[must_use]
    pub fn new(resource: &str, limit: Quantity, used: Quantity, now: &Amounts, after: &Footprint) -> Self {
        let of = |amounts: &Amounts| amounts.get(resource).copied().unwrap_or_default();
        let now = of(now);
        Self {
            resource: resource.to_owned(),
            limit,
            // Pods and quotas are followed apart: for a moment the app may seem to have more than all together.
            others: used.minus(now).max(Quantity::ZERO),
            now,
            rest: of(&after.rest),
            most: of(&after.most),
            peak: of(&after.peak),
        }
    }

    /// What the app may take.
    #[must_use]
    pub fn room(&self) -> Quantity {
        self.limit.minus(self.others)
    }

    /// What is left when `amount` is taken; below zero what is lacking.
    #[must_use]
    pub fn left(&self, amount: Quantity) -> Quantity {
        self.room().minus(amount)
    }

    /// Whether there is room for `amount`; for nothing there always is, however much others have.
    #[must_use]
    pub fn has_room(&self, amount: Quantity) -> bool {
        amount == Quantity::ZERO || !self.left(amount).is_negative()
    }

    /// Whether the app has to do with it at all; CPU, memory and pods always matter.
    #[must_use]
    pub fn matters(&self) -> bool {
        let name = self.resource.rsplit('.').next().unwrap_or_default();
        let always = matches!(name, "cpu" | "memory" | "pods");
        always || [self.now, self.rest, self.most, self.peak].iter().any(|amount| *amount != Quantity::ZERO)
    }
}

/// An amount as people write it for Kubernetes: memory and storage in a binary unit where one divides it.
#[must_use]
pub fn print(resource: &str, amount: Quantity) -> String {
    let bytes = resource.ends_with("memory") || resource.ends_with("storage");
    if bytes { amount.binary() } else { amount.to_string() }
}

/// [`Headroom`] on the wire. All amounts are quantities in the resource's unit: cores, bytes, or a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HeadroomRow {
    /// `requests.cpu`, `pods`, …
    pub resource: String,
    /// Allowed.
    pub limit: String,
    /// In use by all others.
    pub others: String,
    /// In use by the app now.
    pub now: String,
    /// What the app takes after the change when nothing happens.
    pub rest: String,
    /// What it takes at its worst moment: autoscalers at their ends, in the middle of a rollout.
    pub peak: String,
    /// What is left of the limit at that moment; below zero what is lacking.
    pub left: String,
}

impl From<&Headroom> for HeadroomRow {
    fn from(key: &Headroom) -> Self {
        let text = |amount| print(&key.resource, amount);
        Self {
            resource: key.resource.clone(),
            limit: text(key.limit),
            others: text(key.others),
            now: text(key.now),
            rest: text(key.rest),
            peak: text(key.peak),
            left: text(key.left(key.peak)),
        }
    }
}

#[cfg(test)]
#[path = "headroom_tests.rs"]
mod tests;
