//! Would an app have room, and would the cluster take its pods? Looked at before it is written.
//!
//! Quotas and Pod Security act on pods: an App, and the Deployments made of it, pass them all and then wait for pods that never
//! come. So the peak is summed from the pod templates and compared with what is left, and one pod of each template is tried.
//! What cannot fit at rest is refused; what only makes a rollout or an autoscaler wait is told. The cluster's own quota still
//! has the last word: between looking and writing somebody else may take the room.

use std::sync::Arc;

use berth_types::{
    Action, AppSpec, Component, ErrorCode, FieldError, Resource,
    app::Strategy,
    headroom::{Amounts, Footprint, Headroom, Load, PodAsk, print, surge},
    quantity::Quantity,
};
use serde_json::Value;

use super::{
    Services,
    apps::{AppPath, NamespacePath, absent},
};
use crate::{
    authz::{AppRef, Grant, NamespaceRef},
    ctx::OpCtx,
    error::{Error, Result},
    ports::cluster::{CacheState, Cluster, Freshness, PodVerdict, Room},
    yaml,
};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What can be said without the cluster: numbers. A spec that is half right will do.
    Numbers,
    /// The cluster's policies too.
    Whole,
}

/// What the cluster's policies said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Policy {
    /// They were not asked.
    #[default]
    Unasked,
    /// They were asked about a pod of each component.
    Asked,
    /// They could not be asked; why.
    Unknown(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Preflight {
    /// It takes no pods until it is resumed.
    pub suspended: bool,
    /// Every limited key that the app has to do with. Empty where nothing is limited, or nothing is known.
    pub headroom: Vec<Headroom>,
    /// Of an app that is suspended: the same for when it is resumed.
    pub resumed: Vec<Headroom>,
    /// Why it would be refused: at fields of the spec.
    pub errors: Vec<FieldError>,
    /// What would not go smoothly.
    pub warnings: Vec<FieldError>,
    /// What the policies said.
    pub policy: Policy,
    /// How fresh the numbers are.
    pub freshness: Freshness,
}

impl Preflight {
    /// The warnings, when nothing stands against it.
    ///
    /// # Errors
    /// `QuotaExceeded` or `Invalid`, with fields.
    pub fn passed(self) -> Result<Vec<FieldError>> {
        let Some(first) = self.errors.first() else { return Ok(self.warnings) };
        match self.errors.iter().find(|e| e.code.starts_with("quota_")) {
            Some(quota) => {
                let message = format!("{}: {}", quota.field, quota.message);
                Err(Error::new(ErrorCode::QuotaExceeded, message).with_fields(self.errors))
            }
            None if self.errors.len() == 1 => Err(Error::field(first.clone())),
            None => Err(Error::invalid(self.errors)),
        }
    }
}

impl Services {
    /// What it would take to give an app this `spec`, and whether it can. Changes nothing.
    ///
    /// # Errors
    /// `Invalid` in `spec`; `NotFound`; forbidden to who may not change it.
    pub async fn preflight_app(&self, ctx: &OpCtx, path: AppPath<'_>, spec: &Value, depth: Depth) -> Result<Preflight> {
        let (app, cluster) = self.app_for(ctx, path, Action::Update).await?;
        let found = cluster.app(&app).ok_or_else(|| absent(&cluster))?;
        let spec = read(spec, depth)?;
        Ok(weigh(&app.namespace(), &cluster, Some(app.name.as_str()), Some(&found.view.spec), &spec, depth).await)
    }

    /// The same for an app that is not there yet.
    ///
    /// # Errors
    /// `Invalid` in `spec`; `NotFound`; forbidden to who may not make apps.
    pub async fn preflight_new_app(
        &self,
        ctx: &OpCtx,
        (tenant, namespace): NamespacePath<'_>,
        spec: &Value,
        depth: Depth,
    ) -> Result<Preflight> {
        let namespace = self.authz.namespace(ctx, tenant, namespace, Resource::App, Action::Create).await?;
        let cluster = self.clusters.get(&namespace.cluster)?;
        Ok(weigh(&namespace, &cluster, None, None, &read(spec, depth)?, depth).await)
    }

    /// Refuses a `spec` that `app` cannot have; what would not go smoothly. A cluster that does not answer is not waited for:
    /// the write itself says so.
    ///
    /// # Errors
    /// `QuotaExceeded`, `Invalid`.
    pub(super) async fn weighed(
        &self,
        app: &Grant<AppRef>,
        cluster: &Arc<dyn Cluster>,
        spec: &Value,
    ) -> Result<Vec<FieldError>> {
        if self.skips_preflight || cluster.freshness().state != CacheState::Live {
            return Ok(Vec::new());
        }
        let spec: AppSpec = yaml::typed("spec", spec)?;
        let before = cluster.app(app).map(|found| found.view.spec);
        // Pods like those that run already need not be tried.
        let known = before.as_ref().is_some_and(|before| !before.suspended && templates(before) == templates(&spec));
        let depth = if known || spec.suspended { Depth::Numbers } else { Depth::Whole };
        let name = before.is_some().then_some(app.name.as_str());
        weigh(&app.namespace(), cluster, name, before.as_ref(), &spec, depth).await.passed()
    }
}

fn read(spec: &Value, depth: Depth) -> Result<AppSpec> {
    match depth {
        Depth::Numbers => yaml::typed("spec", spec),
        Depth::Whole => yaml::app_spec(spec),
    }
}

/// The components as far as their pods depend on them.
fn templates(spec: &AppSpec) -> Vec<Component> {
    let bare = |c: &Component| Component { replicas: None, autoscale: None, rollout: None, expose: None, ..c.clone() };
    spec.components.iter().map(bare).collect()
}

async fn weigh(
    namespace: &Grant<NamespaceRef>,
    cluster: &Arc<dyn Cluster>,
    name: Option<&str>,
    before: Option<&AppSpec>,
    spec: &AppSpec,
    depth: Depth,
) -> Preflight {
    let freshness = cluster.freshness();
    let verdicts = match depth {
        Depth::Numbers => Vec::new(),
        Depth::Whole => cluster.try_pods(namespace, name.unwrap_or("preflight"), spec).await,
    };
    // Read last: what was counted while the pods were tried is counted here, too.
    assess(&cluster.room(namespace, name), freshness, &verdicts, before, spec)
}

/// Decides.
fn assess(
    room: &Room,
    freshness: Freshness,
    verdicts: &[PodVerdict],
    before: Option<&AppSpec>,
    spec: &AppSpec,
) -> Preflight {
    let defaults = room.defaults.clone().unwrap_or_default();
    let mut load = Load::of(spec, &defaults);
    for (pod, verdict) in load.pods.iter_mut().zip(verdicts) {
        // The cluster knows best what it adds.
        if let PodVerdict::Taken(Some(takes)) = verdict {
            pod.clone_from(takes);
        }
    }
    let was = before.map(|before| Load::of(before, &defaults));
    let mut now = was.as_ref().map(Load::objects).unwrap_or_default();
    for (key, amount) in &room.counted {
        let sum = now.entry(key.clone()).or_default();
        *sum = sum.plus(*amount);
    }
    let known = freshness.read().is_ok();
    let keys = |footprint: &Footprint| -> Vec<Headroom> {
        let rows = room.usage.iter().filter(|_| known);
        let keys = rows.filter_map(|row| {
            let (limit, used) = (row.limit.as_ref()?.parse().ok()?, row.used.parse().unwrap_or_default());
            Some(Headroom::new(&row.resource, limit, used, &now, footprint))
        });
        keys.filter(Headroom::matters).collect()
    };
    let headroom = keys(&load.footprint(was.as_ref()));
    let resumed = if spec.suspended {
        let awake = AppSpec { suspended: false, ..spec.clone() };
        keys(&Load { spec: &awake, pods: load.pods.clone() }.footprint(None))
    } else {
        Vec::new()
    };
    let mut found = Preflight {
        suspended: spec.suspended,
        headroom,
        resumed,
        errors: Vec::new(),
        warnings: Vec::new(),
        policy: policy(verdicts),
        freshness,
    };
    for verdict in verdicts {
        if let PodVerdict::Refused(errors) = verdict {
            found.errors.extend(errors.iter().cloned());
        }
    }
    let case = Case { load: &load, was: was.as_ref() };
    for key in &found.headroom {
        let (errors, warnings) = case.judge(key);
        found.errors.extend(errors);
        found.warnings.extend(warnings);
    }
    if room.defaults.is_some() && !spec.suspended {
        for (index, component) in spec.components.iter().enumerate() {
            // Who was taken has said enough.
            if matches!(verdicts.get(index), Some(PodVerdict::Taken(_))) {
                continue;
            }
            let ask = PodAsk::of(component, &defaults);
            let old = before.and_then(|b| b.components.iter().find(|c| c.name == component.name));
            let old = old.map(|old| PodAsk::of(old, &defaults));
            for key in found.headroom.iter().filter(|key| ask.leaves_out(&key.resource)) {
                let error = unstated(&format!("spec.components[{index}]"), &key.resource);
                let anew = old.as_ref().is_none_or(|old| !old.leaves_out(&key.resource));
                let list = if anew { &mut found.errors } else { &mut found.warnings };
                if !list.iter().any(|e| e.field == error.field && e.code == error.code) {
                    list.push(error);
                }
            }
        }
    }
    found
}

fn policy(verdicts: &[PodVerdict]) -> Policy {
    let unknown = verdicts.iter().find_map(|verdict| match verdict {
        PodVerdict::Unknown(why) => Some(why.clone()),
        PodVerdict::Taken(_) | PodVerdict::Refused(_) => None,
    });
    match unknown {
        Some(why) => Policy::Unknown(why),
        None if verdicts.is_empty() => Policy::Unasked,
        None => Policy::Asked,
    }
}

/// That a quota limits `key`, of which the containers of the component at `at` do not say how much they need.
#[must_use]
pub fn unstated(at: &str, key: &str) -> FieldError {
    let message = format!("the quota of this namespace limits {key}: say how much a pod needs");
    FieldError::new(field(at, key), "quota_unstated", message).param("resource", key)
}

/// Where the amount that a quota counts as `key` stands in the component at `at`.
fn field(at: &str, key: &str) -> String {
    match key {
        "cpu" | "memory" => format!("{at}.resources.requests.{key}"),
        "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory" => format!("{at}.resources.{key}"),
        _ => at.to_owned(),
    }
}

/// A change that is looked at.
struct Case<'a> {
    load: &'a Load<'a>,
    was: Option<&'a Load<'a>>,
}

fn of(amounts: &Amounts, key: &str) -> Quantity {
    amounts.get(key).copied().unwrap_or_default()
}

impl Case<'_> {
    /// What is wrong with one key: what refuses the change, and what is only told.
    fn judge(&self, key: &Headroom) -> (Vec<FieldError>, Vec<FieldError>) {
        if !key.has_room(key.rest) {
            let had = self.was.map(|was| of(&was.footprint(None).rest, &key.resource)).unwrap_or_default();
            // What lacked room before must not keep it from being mended.
            let grows = key.rest > had;
            let lacks = self.lacks(key, grows);
            return if grows { (lacks, Vec::new()) } else { (Vec::new(), lacks) };
        }
        let mut warnings = Vec::new();
        if !key.has_room(key.most) {
            warnings.extend(self.largest(key, |case, i| case.autoscaled(i)).map(|i| self.autoscaler(key, i)));
        } else if !key.has_room(key.peak) {
            warnings.extend(self.largest(key, |case, i| case.surge(i).max(1)).map(|i| self.rollout(key, i)));
        }
        (Vec::new(), warnings)
    }

    fn components(&self) -> &[Component] {
        &self.load.spec.components
    }

    fn pod(&self, index: usize, key: &str) -> Quantity {
        self.load.pods.get(index).map(|pod| of(pod, key)).unwrap_or_default()
    }

    fn surge(&self, index: usize) -> i64 {
        self.components().get(index).map_or(0, |c| surge(c, self.load.count(index).1))
    }

    /// Pods that an autoscaler may add.
    fn autoscaled(&self, index: usize) -> i64 {
        let (rest, most) = self.load.count(index);
        most - rest
    }

    /// The component of which `pods` take most of the key; `None` where none takes any.
    fn largest(&self, key: &Headroom, pods: impl Fn(&Self, usize) -> i64) -> Option<usize> {
        let takes = |i: &usize| self.pod(*i, &key.resource).times(pods(self, *i));
        (0..self.components().len()).filter(|i| takes(i) > Quantity::ZERO).max_by_key(takes)
    }

    /// One finding: what is needed, and what there is.
    fn finding(
        &self,
        key: &Headroom,
        code: &str,
        at: String,
        need: Quantity,
        free: Quantity,
        said: &str,
    ) -> FieldError {
        let text = |amount: Quantity| print(&key.resource, amount.max(Quantity::ZERO));
        let (need, free, limit) = (text(need), text(free), text(key.limit));
        let message = said
            .replace("{need}", &need)
            .replace("{free}", &free)
            .replace("{limit}", &limit)
            .replace("{resource}", &key.resource);
        let error = FieldError::new(at, code, message).param("resource", &key.resource);
        error.param("need", need).param("free", free).param("limit", limit)
    }

    fn lacks(&self, key: &Headroom, grows: bool) -> Vec<FieldError> {
        let resource = key.resource.as_str();
        let mut found = Vec::new();
        for (index, component) in self.components().iter().enumerate() {
            let (count, pod) = (self.load.count(index).0, self.pod(index, resource));
            let need = pod.times(count);
            let had = self.was.and_then(|was| {
                let at = was.spec.components.iter().position(|c| c.name == component.name)?;
                Some(of(was.pods.get(at)?, resource).times(was.count(at).0))
            });
            if need == Quantity::ZERO || grows && had.is_some_and(|had| had >= need) {
                continue;
            }
            // What the app's other parts leave to this one.
            let free = key.room().minus(key.rest.minus(need));
            let fit = (0..count).rev().find(|n| pod.times(*n) <= free).unwrap_or(0);
            let at = format!("spec.components[{index}]");
            let replicas = if component.autoscale.is_some() { "autoscale.min" } else { "replicas" };
            let by_number = fit > 0 || field(&at, resource) == at;
            let error = if by_number {
                let said = format!(
                    "{count} pods need {{need}} of {{resource}}, and {{free}} of {{limit}} is free for them: {fit} fit"
                );
                let error = self.finding(key, "quota_replicas", format!("{at}.{replicas}"), need, free, &said);
                if fit > 0 { error.suggest(fit.to_string()) } else { error }
            } else {
                let said = format!(
                    "{count} pods need {{need}} of {{resource}}, and {{free}} of {{limit}} is free for them: not even one fits"
                );
                self.finding(key, "quota_lack", field(&at, resource), need, free, &said)
            };
            found.push(error.param("n", count).param("fit", fit));
        }
        if found.is_empty() {
            // No pods: an object of which there may be no more.
            let exposed = self.components().iter().position(|c| c.expose.is_some()).unwrap_or(0);
            let at = if resource.contains("service") || resource.contains("ingress") {
                format!("spec.components[{exposed}].expose.type")
            } else {
                "spec.components".to_owned()
            };
            let said = "it needs {need} of {resource}, and {free} of {limit} is free for it";
            found.push(self.finding(key, "quota_objects", at, key.rest, key.room(), said));
        }
        found
    }

    fn autoscaler(&self, key: &Headroom, index: usize) -> FieldError {
        let most = self.load.count(index).1;
        let at = format!("spec.components[{index}].autoscale.max");
        let said = format!(
            "with {most} pods it needs {{need}} of {{resource}}, and {{free}} of {{limit}} is free for it: the autoscaler will stop before"
        );
        self.finding(key, "quota_autoscale", at, key.most, key.room(), &said).param("n", most)
    }

    fn rollout(&self, key: &Headroom, index: usize) -> FieldError {
        let at = format!("spec.components[{index}].rollout.maxSurge");
        let pod = self.pod(index, &key.resource);
        let stalls = self.components().get(index).is_some_and(|c| keeps_all(c, self.load.count(index).1));
        if stalls && key.left(key.most) < pod {
            let said = "a rollout needs {need} of {resource} at its peak, and {free} of {limit} is free for this app: not even \
                        one more pod fits, so that the next rollout would never begin; let maxUnavailable be 1, or ask for less";
            return self.finding(key, "quota_stall", at, key.peak, key.room(), said);
        }
        let said = "a rollout needs {need} of {resource} at its peak, and {free} of {limit} is free for this app: it will wait \
                    for old pods to stop";
        self.finding(key, "quota_surge", at, key.peak, key.room(), said)
    }
}

/// Whether a rollout must not take away a pod before a new one is there. Percentages of `maxUnavailable` are rounded down.
fn keeps_all(component: &Component, replicas: i64) -> bool {
    let rollout = component.rollout.clone().unwrap_or_default();
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let may_lack = rollout.max_unavailable.as_deref().map_or(0, |text| match text.strip_suffix('%') {
        Some(percent) => replicas * number(percent) / 100,
        None => number(text),
    });
    rollout.strategy.unwrap_or_default() == Strategy::Rolling && may_lack == 0 && surge(component, replicas) > 0
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
