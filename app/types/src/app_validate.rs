//! What an `App` must satisfy, checked before the cluster is asked: by the form as one types, by the page's action and by the API.
//!
//! Paths are those of the object (`spec.components[0].image`), so that one error fits the form, the YAML view and the API.

use std::collections::BTreeSet;

use crate::{
    app::{AppSpec, Component, ExposeKind, InitContainer},
    error::FieldError,
    image::ImageRef,
    names::{ComponentName, check_label},
    quantity::{Quantity, QuantityError},
};

mod container;
mod outside;
mod syntax;
#[cfg(test)]
mod tests;

/// Most components of an app.
pub const MAX_COMPONENTS: usize = 20;
/// Most replicas of a component.
pub const MAX_REPLICAS: i32 = 1000;
/// Most ports of a component.
pub const MAX_PORTS: usize = 100;
/// Most variables of a container.
pub const MAX_ENV: usize = 500;
/// Most volumes of a component; also most sources of its variables.
pub const MAX_VOLUMES: usize = 100;
/// Most items of a command, and of its arguments.
pub const MAX_ARGS: usize = 200;
/// Most init containers of a component.
pub const MAX_INIT_CONTAINERS: usize = 20;
/// Most registry credentials of a component.
pub const MAX_PULL_SECRETS: usize = 20;

/// What a quantity is an amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Cores.
    Cpu,
    /// Bytes, of which there are only whole ones.
    Bytes,
}

struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn push(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    fn range(&mut self, field: String, value: Option<i64>, min: i64, max: i64) {
        if let Some(value) = value.filter(|v| !(min..=max).contains(v)) {
            self.push(
                FieldError::new(field, "number_range", format!("{value} is not between {min} and {max}"))
                    .param("min", min)
                    .param("max", max),
            );
        }
    }

    fn name(&mut self, field: String, name: &str, max: usize) {
        if let Err(error) = check_label(name, max) {
            self.push(FieldError::new(field, error.code(), error.to_string()).param("max", max).param("value", name));
        }
    }

    fn duplicate(&mut self, field: String, value: &str) {
        self.push(
            FieldError::new(field, "duplicate", format!("“{value}” is used twice; each must be unique"))
                .param("value", value),
        );
    }

    /// Whether a list is short enough to be looked through.
    fn at_most(&mut self, field: &str, count: usize, max: usize) -> bool {
        if count > max {
            let message = format!("{count} are too many; at most {max} are allowed");
            self.push(FieldError::new(field, "too_many", message).param("max", max));
        }
        count <= max
    }

    fn object_name(&mut self, field: String, name: &str) {
        if !syntax::is_object_name(name) {
            let message = "write the name of an object in the cluster: 1 to 253 of a–z, 0–9, - and ., beginning and ending with a letter or digit";
            self.push(FieldError::new(field, "object_name", message).param("value", name));
        }
    }

    fn no_nul(&mut self, field: String, text: &str) {
        if text.contains('\0') {
            self.push(FieldError::new(field, "nul", "no container can be given the character NUL; take it out"));
        }
    }

    fn one_of(&mut self, field: String, set: usize, choices: &str) {
        if set != 1 {
            self.push(
                FieldError::new(field, "one_of", format!("set exactly one of {choices}")).param("choices", choices),
            );
        }
    }
}

/// Checks a quantity of `measure` typed at `field`.
///
/// # Errors
/// What is wrong, with likely values.
pub fn check_amount(field: &str, text: &str, measure: Measure) -> Result<Quantity, FieldError> {
    let to_error = |e: QuantityError| {
        let mut error = FieldError::new(field, e.code(), e.to_string()).param("value", text);
        if let QuantityError::Unit { unit, suggestions } = e {
            error = error.param("unit", unit);
            // Nobody means billions of cores.
            let likely = |s: &String| measure == Measure::Bytes || s.ends_with(|c: char| c.is_ascii_digit());
            error.suggestions = suggestions.into_iter().filter(likely).collect();
        }
        error
    };
    let quantity: Quantity = text.parse().map_err(to_error)?;
    if quantity.is_negative() || quantity == Quantity::ZERO {
        return Err(FieldError::new(field, "quantity_positive", "must be more than 0").param("value", text));
    }
    if measure == Measure::Bytes && !quantity.is_whole() {
        let error =
            FieldError::new(field, "whole_bytes", "bytes are whole: write a number and Ki, Mi or Gi, such as 256Mi");
        return Err(match text.strip_suffix('m') {
            Some(number) => error.suggest(format!("{number}Mi")),
            None => error,
        });
    }
    Ok(quantity)
}

/// Checks an image typed at `field`.
///
/// # Errors
/// What is wrong.
pub fn check_image(field: &str, text: &str) -> Result<ImageRef, FieldError> {
    ImageRef::parse(text).map_err(|e| {
        let error = FieldError::new(field, e.code(), e.to_string()).param("value", text);
        match text.split_once("://") {
            Some((_, rest)) if ImageRef::parse(rest).is_ok() => error.suggest(rest),
            _ if ImageRef::parse(text.trim()).is_ok() => error.suggest(text.trim()),
            _ => error,
        }
    })
}

impl AppSpec {
    /// Everything that is wrong with it, in the order of the fields. Empty when it may be sent to the cluster.
    #[must_use]
    pub fn validate(&self) -> Vec<FieldError> {
        let mut check = Check { errors: Vec::new() };
        if self.components.is_empty() {
            check.push(FieldError::new("spec.components", "required", "an app has at least one component"));
        }
        if self.components.len() > MAX_COMPONENTS {
            check.range("spec.components".into(), i64::try_from(self.components.len()).ok(), 1, 20);
        }
        check.range("spec.revisionHistoryLimit".into(), self.revision_history_limit.map(i64::from), 1, 100);
        let (mut names, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        for (i, component) in self.components.iter().take(MAX_COMPONENTS).enumerate() {
            let at = format!("spec.components[{i}]");
            check.name(format!("{at}.name"), &component.name, ComponentName::MAX);
            if !names.insert(component.name.as_str()) {
                check.duplicate(format!("{at}.name"), &component.name);
            }
            let expose = component.expose.as_ref().filter(|e| e.kind == ExposeKind::Ingress);
            if let Some(expose) = expose
                && let Some(host) = expose.host.as_deref().filter(|host| !host.is_empty())
            {
                let path = expose.path.as_deref().unwrap_or_default().trim_end_matches('/');
                if !hosts.insert((host, path)) {
                    check.duplicate(format!("{at}.expose.host"), &format!("{host}{path}"));
                }
            }
            self::component(&mut check, &at, component);
        }
        check.errors
    }
}

fn component(check: &mut Check, at: &str, c: &Component) {
    if let Err(error) = check_image(&format!("{at}.image"), &c.image) {
        check.push(error);
    }
    check.range(format!("{at}.replicas"), c.replicas.map(i64::from), 0, i64::from(MAX_REPLICAS));
    check.range(format!("{at}.terminationGracePeriodSeconds"), c.termination_grace_period_seconds, 0, 3600);
    check.range(format!("{at}.runAsUser"), c.run_as_user, 1, i64::from(i32::MAX));
    pull_secrets(check, &format!("{at}.imagePullSecrets"), &c.image_pull_secrets);
    container::command(check, at, &c.command, &c.args);
    container::ports(check, at, c);
    container::env(check, &format!("{at}.env"), &c.env);
    container::env_from(check, at, &c.env_from);
    container::volumes(check, at, &c.volumes);
    if let Some(resources) = &c.resources {
        container::resources(check, &format!("{at}.resources"), resources);
    }
    if check.at_most(&format!("{at}.initContainers"), c.init_containers.len(), MAX_INIT_CONTAINERS) {
        init_containers(check, at, c);
    }
    if let Some(account) = &c.service_account_name {
        check.object_name(format!("{at}.serviceAccountName"), account);
    }
    outside::pod_labels(check, &format!("{at}.podLabels"), &c.pod_labels);
    outside::annotations(check, &format!("{at}.podAnnotations"), &c.pod_annotations);
    outside::node_selector(check, &format!("{at}.nodeSelector"), &c.node_selector);
    if let Some(probes) = &c.probes {
        for (kind, probe) in
            [("readiness", &probes.readiness), ("liveness", &probes.liveness), ("startup", &probes.startup)]
        {
            if let Some(probe) = probe {
                container::probe(check, &format!("{at}.probes.{kind}"), probe, kind);
            }
        }
    }
    autoscale(check, &format!("{at}.autoscale"), c);
    if let Some(rollout) = &c.rollout {
        outside::rollout(check, &format!("{at}.rollout"), rollout);
    }
    if let Some(expose) = &c.expose {
        outside::expose(check, &format!("{at}.expose"), expose, c);
    }
}

fn pull_secrets(check: &mut Check, at: &str, names: &[String]) {
    if !check.at_most(at, names.len(), MAX_PULL_SECRETS) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, name) in names.iter().enumerate() {
        check.object_name(format!("{at}[{i}]"), name);
        if !seen.insert(name) {
            check.duplicate(format!("{at}[{i}]"), name);
        }
    }
}

fn init_containers(check: &mut Check, at: &str, c: &Component) {
    let mut names = BTreeSet::new();
    for (i, init) in c.init_containers.iter().enumerate() {
        let InitContainer { name, image, command, args, env, resources } = init;
        let at = format!("{at}.initContainers[{i}]");
        check.name(format!("{at}.name"), name, 63);
        if !names.insert(name.as_str()) || *name == c.name {
            check.duplicate(format!("{at}.name"), name);
        }
        if let Some(Err(error)) = image.as_deref().map(|i| check_image(&format!("{at}.image"), i)) {
            check.push(error);
        }
        container::command(check, &at, command, args);
        container::env(check, &format!("{at}.env"), env);
        if let Some(resources) = resources {
            container::resources(check, &format!("{at}.resources"), resources);
        }
    }
}

fn autoscale(check: &mut Check, at: &str, c: &Component) {
    let Some(auto) = &c.autoscale else { return };
    check.range(format!("{at}.min"), Some(auto.min.into()), 1, MAX_REPLICAS.into());
    check.range(format!("{at}.max"), Some(auto.max.into()), auto.min.max(1).into(), MAX_REPLICAS.into());
    check.range(format!("{at}.cpuPercent"), auto.cpu_percent.map(i64::from), 1, 1000);
    check.range(format!("{at}.memoryPercent"), auto.memory_percent.map(i64::from), 1, 1000);
    if auto.cpu_percent.is_none() && auto.memory_percent.is_none() {
        check.push(FieldError::new(at, "required", "say which use it follows: cpuPercent or memoryPercent"));
    }
    for (percent, resource) in [(auto.cpu_percent, "cpu"), (auto.memory_percent, "memory")] {
        let requests = c.resources.as_ref().and_then(|r| r.requests.as_ref());
        let asked = requests.is_some_and(|r| if resource == "cpu" { r.cpu.is_some() } else { r.memory.is_some() });
        if percent.is_some() && !asked {
            check.push(
                FieldError::new(
                    format!("{at}.{resource}Percent"),
                    "needs_request",
                    format!("a percentage needs something to be a part of: set resources.requests.{resource}"),
                )
                .param("resource", resource),
            );
        }
    }
}
