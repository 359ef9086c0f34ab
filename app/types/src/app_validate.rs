//! What an `App` must satisfy, checked before the cluster is asked: by the form as one types, by the page's action and by the API.
//!
//! Paths are those of the object (`spec.components[0].image`), so that one error fits the form, the YAML view and the API.

use std::collections::BTreeSet;

use crate::{
    app::{AppSpec, Component, EnvVar, Expose, ExposeKind, Probe, Resources, Volume},
    error::FieldError,
    image::ImageRef,
    names::{ComponentName, check_label},
    quantity::{Quantity, QuantityError},
};

/// Most components of an app.
pub const MAX_COMPONENTS: usize = 20;
/// Most replicas of a component.
pub const MAX_REPLICAS: i32 = 1000;

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

    fn one_of(&mut self, field: String, set: usize, choices: &str) {
        if set != 1 {
            self.push(
                FieldError::new(field, "one_of", format!("set exactly one of {choices}")).param("choices", choices),
            );
        }
    }
}

/// Checks a quantity typed at `field`.
///
/// # Errors
/// What is wrong, with likely values.
pub fn check_quantity(field: &str, text: &str) -> Result<Quantity, FieldError> {
    let to_error = |e: QuantityError| {
        let mut error = FieldError::new(field, e.code(), e.to_string()).param("value", text);
        if let QuantityError::Unit { unit, suggestions } = e {
            error = error.param("unit", unit);
            for s in suggestions {
                error = error.suggest(s);
            }
        }
        error
    };
    let quantity: Quantity = text.parse().map_err(to_error)?;
    if quantity.is_negative() || quantity == Quantity::ZERO {
        return Err(FieldError::new(field, "quantity_positive", "must be more than 0").param("value", text));
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
        let mut names = BTreeSet::new();
        for (i, component) in self.components.iter().enumerate() {
            let at = format!("spec.components[{i}]");
            check.name(format!("{at}.name"), &component.name, ComponentName::MAX);
            if !names.insert(component.name.as_str()) {
                check.duplicate(format!("{at}.name"), &component.name);
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
    ports(check, at, c);
    env(check, &format!("{at}.env"), &c.env);
    for (i, from) in c.env_from.iter().enumerate() {
        let set = usize::from(from.config_map.is_some()) + usize::from(from.secret.is_some());
        check.one_of(format!("{at}.envFrom[{i}]"), set, "configMap, secret");
    }
    volumes(check, at, &c.volumes);
    if let Some(resources) = &c.resources {
        self::resources(check, &format!("{at}.resources"), resources);
    }
    let mut inits = BTreeSet::new();
    for (i, init) in c.init_containers.iter().enumerate() {
        let at = format!("{at}.initContainers[{i}]");
        check.name(format!("{at}.name"), &init.name, 63);
        if !inits.insert(init.name.as_str()) || init.name == c.name {
            check.duplicate(format!("{at}.name"), &init.name);
        }
        if let Some(Err(error)) = init.image.as_deref().map(|i| check_image(&format!("{at}.image"), i)) {
            check.push(error);
        }
        env(check, &format!("{at}.env"), &init.env);
        if let Some(resources) = &init.resources {
            self::resources(check, &format!("{at}.resources"), resources);
        }
    }
    if let Some(probes) = &c.probes {
        for (kind, probe) in
            [("readiness", &probes.readiness), ("liveness", &probes.liveness), ("startup", &probes.startup)]
        {
            if let Some(probe) = probe {
                self::probe(check, &format!("{at}.probes.{kind}"), probe, kind);
            }
        }
    }
    if let Some(auto) = &c.autoscale {
        let at = format!("{at}.autoscale");
        check.range(format!("{at}.min"), Some(auto.min.into()), 1, MAX_REPLICAS.into());
        check.range(format!("{at}.max"), Some(auto.max.into()), auto.min.max(1).into(), MAX_REPLICAS.into());
        check.range(format!("{at}.cpuPercent"), auto.cpu_percent.map(i64::from), 1, 1000);
        check.range(format!("{at}.memoryPercent"), auto.memory_percent.map(i64::from), 1, 1000);
        if auto.cpu_percent.is_none() && auto.memory_percent.is_none() {
            check.push(FieldError::new(&at, "required", "say which use it follows: cpuPercent or memoryPercent"));
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
    if let Some(rollout) = &c.rollout {
        let at = format!("{at}.rollout");
        check.range(format!("{at}.minReadySeconds"), rollout.min_ready_seconds.map(i64::from), 0, 3600);
        let deadline = rollout.progress_deadline_seconds.map(i64::from);
        check.range(format!("{at}.progressDeadlineSeconds"), deadline, 1, 86_400);
        let mut zero = 0;
        for (field, value) in [("maxSurge", &rollout.max_surge), ("maxUnavailable", &rollout.max_unavailable)] {
            let Some(value) = value else { continue };
            let number = value.strip_suffix('%').unwrap_or(value);
            let most = if value.ends_with('%') { 100 } else { MAX_REPLICAS };
            match number.parse::<i32>() {
                Ok(n) if (0..=most).contains(&n) => zero += i32::from(n == 0),
                _ => check.push(
                    FieldError::new(
                        format!("{at}.{field}"),
                        "number_or_percent",
                        "write a number or a percentage, such as 1 or 25%",
                    )
                    .param("value", value),
                ),
            }
        }
        if zero == 2 {
            let message = "one of maxSurge and maxUnavailable must be more than 0, or nothing could ever be replaced";
            check.push(FieldError::new(format!("{at}.maxSurge"), "rollout_stuck", message));
        }
    }
    if let Some(expose) = &c.expose {
        self::expose(check, &format!("{at}.expose"), expose, c);
    }
}

fn ports(check: &mut Check, at: &str, c: &Component) {
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (i, port) in c.ports.iter().enumerate() {
        let at = format!("{at}.ports[{i}]");
        check.range(format!("{at}.port"), Some(port.port.into()), 1, 65_535);
        if !numbers.insert((port.port, port.protocol.unwrap_or_default() as u8)) {
            check.duplicate(format!("{at}.port"), &port.port.to_string());
        }
        let name = c.port_name(i);
        check.name(format!("{at}.name"), &name, 15);
        if !names.insert(name.clone()) {
            check.duplicate(format!("{at}.name"), &name);
        }
    }
}

fn env(check: &mut Check, at: &str, env: &[EnvVar]) {
    let mut names = BTreeSet::new();
    for (i, var) in env.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let ok = !var.name.is_empty()
            && !var.name.starts_with(|c: char| c.is_ascii_digit())
            && var.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !ok {
            check.push(
                FieldError::new(
                    format!("{at}.name"),
                    "env_name",
                    "a variable's name has letters, digits, _ - . and does not begin with a digit",
                )
                .param("value", &var.name),
            );
        }
        if !names.insert(var.name.as_str()) {
            check.duplicate(format!("{at}.name"), &var.name);
        }
        let set = [var.value.is_some(), var.config_map.is_some(), var.secret.is_some()];
        if set.iter().filter(|s| **s).count() > 1 {
            check.one_of(at, 2, "value, configMap, secret");
        }
    }
}

fn volumes(check: &mut Check, at: &str, volumes: &[Volume]) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (i, volume) in volumes.iter().enumerate() {
        let at = format!("{at}.volumes[{i}]");
        check.name(format!("{at}.name"), &volume.name, 63);
        if !names.insert(volume.name.as_str()) {
            check.duplicate(format!("{at}.name"), &volume.name);
        }
        if !volume.mount_path.starts_with('/') || volume.mount_path.contains(':') {
            check.push(
                FieldError::new(format!("{at}.mountPath"), "absolute_path", "write an absolute path, such as /data")
                    .param("value", &volume.mount_path),
            );
        }
        if !paths.insert(volume.mount_path.as_str()) {
            check.duplicate(format!("{at}.mountPath"), &volume.mount_path);
        }
        let set =
            [volume.claim.is_some(), volume.config_map.is_some(), volume.secret.is_some(), volume.empty_dir.is_some()];
        check.one_of(at.clone(), set.iter().filter(|s| **s).count(), "claim, configMap, secret, emptyDir");
        if let Some(size) = volume.empty_dir.as_ref().and_then(|e| e.size_limit.as_deref())
            && let Err(error) = check_quantity(&format!("{at}.emptyDir.sizeLimit"), size)
        {
            check.push(error);
        }
    }
}

fn resources(check: &mut Check, at: &str, resources: &Resources) {
    let amount = |part: &Option<crate::app::Amounts>, cpu: bool| {
        part.as_ref().and_then(|a| if cpu { a.cpu.clone() } else { a.memory.clone() })
    };
    for (resource, cpu) in [("cpu", true), ("memory", false)] {
        let mut parsed = [None, None];
        for (slot, (part, value)) in parsed
            .iter_mut()
            .zip([("requests", amount(&resources.requests, cpu)), ("limits", amount(&resources.limits, cpu))])
        {
            let Some(value) = value else { continue };
            match check_quantity(&format!("{at}.{part}.{resource}"), &value) {
                Ok(quantity) => *slot = Some((quantity, value)),
                Err(error) => check.push(error),
            }
        }
        if let [Some((request, request_text)), Some((limit, limit_text))] = &parsed
            && request > limit
        {
            let message = format!("{request_text} is more than the limit of {limit_text}");
            check.push(
                FieldError::new(format!("{at}.requests.{resource}"), "request_over_limit", message)
                    .param("limit", limit_text)
                    .suggest(limit_text.clone()),
            );
        }
    }
}

fn probe(check: &mut Check, at: &str, probe: &Probe, kind: &str) {
    let set = [probe.http.is_some(), probe.tcp.is_some(), !probe.exec.is_empty(), probe.grpc.is_some()];
    check.one_of(at.to_owned(), set.iter().filter(|s| **s).count(), "http, tcp, exec, grpc");
    if let Some(http) = &probe.http {
        check.range(format!("{at}.http.port"), Some(http.port.into()), 1, 65_535);
        if http.path.as_deref().is_some_and(|p| !p.starts_with('/')) {
            let error =
                FieldError::new(format!("{at}.http.path"), "absolute_path", "write an absolute path, such as /healthz");
            check.push(error.param("value", http.path.as_deref().unwrap_or_default()));
        }
    }
    check.range(format!("{at}.tcp"), probe.tcp.map(i64::from), 1, 65_535);
    check.range(format!("{at}.grpc"), probe.grpc.map(i64::from), 1, 65_535);
    check.range(format!("{at}.initialDelaySeconds"), probe.initial_delay_seconds.map(i64::from), 0, 3600);
    check.range(format!("{at}.periodSeconds"), probe.period_seconds.map(i64::from), 1, 3600);
    check.range(format!("{at}.timeoutSeconds"), probe.timeout_seconds.map(i64::from), 1, 3600);
    check.range(format!("{at}.failureThreshold"), probe.failure_threshold.map(i64::from), 1, 1000);
    // Kubernetes demands 1 of liveness and startup probes.
    let most = if kind == "readiness" { 1000 } else { 1 };
    check.range(format!("{at}.successThreshold"), probe.success_threshold.map(i64::from), 1, most);
}

fn expose(check: &mut Check, at: &str, expose: &Expose, c: &Component) {
    if expose.kind == ExposeKind::None {
        return;
    }
    match expose.port {
        None if c.ports.is_empty() => check.push(FieldError::new(
            format!("{at}.port"),
            "expose_port",
            "there is no port to reach: add one to ports",
        )),
        Some(port) if !c.ports.iter().any(|p| p.port == port) => {
            let known: Vec<String> = c.ports.iter().map(|p| p.port.to_string()).collect();
            let message = format!("{port} is none of the component's ports ({})", known.join(", "));
            let mut error = FieldError::new(format!("{at}.port"), "expose_port_unknown", message).param("value", port);
            error.suggestions = known;
            check.push(error);
        }
        _ => {}
    }
    check.range(format!("{at}.servicePort"), expose.service_port.map(i64::from), 1, 65_535);
    if expose.kind == ExposeKind::Ingress {
        match expose.host.as_deref() {
            None | Some("") => {
                check.push(FieldError::new(format!("{at}.host"), "required", "an Ingress needs a host name"));
            }
            Some(host) if !is_host(host) => check.push(
                FieldError::new(
                    format!("{at}.host"),
                    "host_name",
                    "write a host name in lower case, such as shop.example.com, without scheme or path",
                )
                .param("value", host),
            ),
            Some(_) => {}
        }
        if expose.path.as_deref().is_some_and(|p| !p.starts_with('/')) {
            let error = FieldError::new(format!("{at}.path"), "absolute_path", "write an absolute path, such as /");
            check.push(error.param("value", expose.path.as_deref().unwrap_or_default()));
        }
    }
}

fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    host.len() <= 253
        && host.split('.').all(|part| {
            let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            part.len() <= 63
                && edge(part.chars().next())
                && edge(part.chars().next_back())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn app(component: &str) -> AppSpec {
        serde_json::from_str(&format!(r#"{{"components":[{component}]}}"#)).unwrap()
    }

    #[test]
    fn a_full_one_passes() {
        let spec = app(r#"{"name":"main","image":"registry.example.com/shop/web:1.4","replicas":3,
            "ports":[{"port":8080},{"name":"metrics","port":9090}],
            "env":[{"name":"A","value":"b"},{"name":"S","secret":{"name":"s","key":"k"}}],
            "volumes":[{"name":"data","mountPath":"/data","claim":"web-data"}],
            "resources":{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"128Mi"}},
            "probes":{"readiness":{"http":{"path":"/healthz","port":8080}}},
            "autoscale":{"min":2,"max":5,"cpuPercent":70},
            "rollout":{"maxSurge":"25%","maxUnavailable":"0"},
            "expose":{"type":"Ingress","host":"shop.example.com"}}"#);
        assert_eq!(spec.validate(), vec![]);
    }

    #[test]
    fn each_error_stands_at_its_field() {
        for (component, field, code) in [
            (r#"{"name":"Main","image":"a"}"#, "name", "name_character"),
            (r#"{"name":"main","image":"A"}"#, "image", "image_repository"),
            (r#"{"name":"main","image":"a","replicas":-1}"#, "replicas", "number_range"),
            (r#"{"name":"main","image":"a","ports":[{"port":0}]}"#, "ports[0].port", "number_range"),
            (r#"{"name":"main","image":"a","env":[{"name":"1"}]}"#, "env[0].name", "env_name"),
            (r#"{"name":"main","image":"a","env":[{"name":"A"},{"name":"A"}]}"#, "env[1].name", "duplicate"),
            (
                r#"{"name":"main","image":"a","volumes":[{"name":"v","mountPath":"x","claim":"c"}]}"#,
                "volumes[0].mountPath",
                "absolute_path",
            ),
            (r#"{"name":"main","image":"a","volumes":[{"name":"v","mountPath":"/x"}]}"#, "volumes[0]", "one_of"),
            (
                r#"{"name":"main","image":"a","resources":{"requests":{"memory":"1Gb"}}}"#,
                "resources.requests.memory",
                "quantity_unit",
            ),
            (
                r#"{"name":"main","image":"a","resources":{"requests":{"cpu":"2"},"limits":{"cpu":"1"}}}"#,
                "resources.requests.cpu",
                "request_over_limit",
            ),
            (
                r#"{"name":"main","image":"a","probes":{"liveness":{"tcp":80,"successThreshold":2}}}"#,
                "probes.liveness.successThreshold",
                "number_range",
            ),
            (
                r#"{"name":"main","image":"a","autoscale":{"min":1,"max":2,"cpuPercent":70}}"#,
                "autoscale.cpuPercent",
                "needs_request",
            ),
            (
                r#"{"name":"main","image":"a","rollout":{"maxSurge":"0","maxUnavailable":"0%"}}"#,
                "rollout.maxSurge",
                "rollout_stuck",
            ),
            (r#"{"name":"main","image":"a","expose":{"type":"Internal"}}"#, "expose.port", "expose_port"),
            (
                r#"{"name":"main","image":"a","ports":[{"port":80}],"expose":{"type":"Ingress","host":"https://a"}}"#,
                "expose.host",
                "host_name",
            ),
        ] {
            let errors = app(component).validate();
            let got: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code.as_str())).collect();
            assert_eq!(got, [(format!("spec.components[0].{field}").as_str(), code)], "{component}");
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<AppSpec>(r#"{"components":[],"replica":1}"#).is_err());
    }
}
