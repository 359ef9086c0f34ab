//! The form of an app: one component of its `spec`, as fields that people type into.
//!
//! The form is laid over the `spec` it was made from and touches only the fields whose text was changed, so that whatever
//! it does not show survives. Nothing typed is lost on the way to the YAML view either: what is no number, say, stands
//! there as it was typed.

use berth_core::yaml;
use berth_types::{
    AppSpec, FieldError,
    app::{ExposeKind, Strategy},
};
use serde_json::{Map, Value, json};

use super::env;

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal at $pointer:literal, $kind:ident;)+) => {
        /// A field of the form.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $variant),+ }

        impl Field {
            /// All, in the order of the form.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the HTML form.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Where it stands in a component, as a JSON pointer.
            fn pointer(self) -> &'static str {
                match self { $(Self::$variant => $pointer),+ }
            }

            fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),+ }
            }
        }
    };
}

/// How a field's text becomes JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    /// Has rules of its own.
    Own,
}

fields! {
    /// Image reference.
    Image = "image" at "/image", Text;
    /// Pods wanted.
    Replicas = "replicas" at "/replicas", Number;
    /// Promised CPU.
    CpuRequest = "cpu_request" at "/resources/requests/cpu", Text;
    /// Most CPU.
    CpuLimit = "cpu_limit" at "/resources/limits/cpu", Text;
    /// Promised memory.
    MemoryRequest = "memory_request" at "/resources/requests/memory", Text;
    /// Most memory.
    MemoryLimit = "memory_limit" at "/resources/limits/memory", Text;
    /// The first port. What named the old number follows: exposure and probes.
    Port = "port" at "/ports/0/port", Own;
    /// Path of the readiness probe, when that is an HTTP one.
    ReadinessPath = "readiness_path" at "/probes/readiness/http/path", Own;
    /// Who can reach it: a word of [`ExposeKind`].
    Expose = "expose" at "/expose/type", Own;
    /// Host of the Ingress.
    Host = "host" at "/expose/host", Text;
    /// Path prefix of the Ingress.
    Path = "path" at "/expose/path", Text;
    /// Environment variables that have a value, one a line.
    Env = "env" at "/env", Own;
    /// `on` when the number of pods follows the load.
    Autoscale = "autoscale" at "/autoscale", Own;
    /// At least.
    AutoscaleMin = "autoscale_min" at "/autoscale/min", Number;
    /// At most.
    AutoscaleMax = "autoscale_max" at "/autoscale/max", Number;
    /// Percent of the requested CPU.
    AutoscaleCpu = "autoscale_cpu" at "/autoscale/cpuPercent", Number;
    /// Percent of the requested memory.
    AutoscaleMemory = "autoscale_memory" at "/autoscale/memoryPercent", Number;
    /// A word of [`Strategy`].
    Strategy = "strategy" at "/rollout/strategy", Own;
    /// Pods more than wanted while rolling.
    MaxSurge = "max_surge" at "/rollout/maxSurge", Text;
    /// Pods fewer than wanted while rolling.
    MaxUnavailable = "max_unavailable" at "/rollout/maxUnavailable", Text;
}

/// What stands in the form, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppForm {
    /// The app's name; asked for only when it is new.
    pub name: String,
    /// Index of the component that the form shows.
    pub component: usize,
    values: Vec<String>,
}

/// The `spec` that a new app begins with.
#[must_use]
pub fn blank() -> Value {
    json!({ "components": [{ "name": "main", "image": "" }] })
}

impl AppForm {
    /// The form of the component at index `component` of `spec`. What is no text there is shown as JSON has it.
    #[must_use]
    pub fn from_spec(spec: &Value, component: usize) -> Self {
        let found = &spec["components"][component];
        let values = Field::ALL.iter().map(|field| shown(found, *field)).collect();
        Self { name: String::new(), component, values }
    }

    /// What a browser sent: `fields` in order, the first of each name counts. A field that was not sent is as in `base`, so
    /// that half a form changes half of it; but a check box that is off is not sent with the rest of its group.
    #[must_use]
    pub fn from_fields(fields: &[(String, String)], base: &Value, component: usize) -> Self {
        let sent = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.replace("\r\n", "\n"))
        };
        let before = Self::from_spec(base, component);
        let values = Field::ALL
            .iter()
            .map(|field| match (field, sent(field.name())) {
                (Field::Env, Some(typed)) => typed,
                (_, Some(typed)) => typed.trim().to_owned(),
                (Field::Autoscale, None) if sent(Field::AutoscaleMin.name()).is_some() => String::new(),
                (_, None) => before.get(*field).to_owned(),
            })
            .collect();
        Self { name: sent("name").unwrap_or_default().trim().to_owned(), component, values }
    }

    /// The text of a field.
    #[must_use]
    pub fn get(&self, field: Field) -> &str {
        self.values.get(field as usize).map_or("", String::as_str)
    }

    /// Sets the text of a field.
    pub fn set(&mut self, field: Field, text: impl Into<String>) {
        if let Some(value) = self.values.get_mut(field as usize) {
            *value = text.into();
        }
    }

    /// Takes a suggestion: `name=value`, where `name` is a field of the form. Whether there is such a field.
    pub fn take(&mut self, suggestion: &str) -> bool {
        let Some((name, value)) = suggestion.split_once('=') else {
            return false;
        };
        if name == "name" {
            value.clone_into(&mut self.name);
            return true;
        }
        match Field::ALL.iter().find(|field| field.name() == name) {
            Some(field) => self.set(*field, value),
            None => return false,
        }
        true
    }

    /// The same changes, laid over `newer` instead of `base`: a field that was not changed shows what `newer` has.
    #[must_use]
    pub fn rebase(&self, base: &Value, newer: &Value) -> Self {
        let before = Self::from_spec(base, self.component);
        let mut after = Self { name: self.name.clone(), ..Self::from_spec(newer, self.component) };
        for field in Field::ALL.iter().copied().filter(|field| self.get(*field) != before.get(*field)) {
            after.set(field, self.get(field));
        }
        after
    }

    /// `base` with what was changed in the form, whether it is right or not: for the YAML view.
    #[must_use]
    pub fn to_spec(&self, base: &Value) -> Value {
        self.build(base, true).0
    }

    /// `base` with what was changed in the form.
    ///
    /// # Errors
    /// Everything that is wrong, each at the name of its field in the form, or at its `spec.…` path where the form does not
    /// show it.
    pub fn apply(&self, base: &Value) -> Result<Value, Vec<FieldError>> {
        let (spec, mut errors) = self.build(base, false);
        // What the form itself found says more: it knows what was typed. Of variables it knows one line, not the others.
        let known: Vec<String> =
            errors.iter().map(|e| e.field.clone()).filter(|field| field != Field::Env.name()).collect();
        let found = match yaml::typed::<AppSpec>("spec", &spec) {
            Ok(typed) => typed.validate(),
            Err(e) => e.fields().to_vec(),
        };
        for mut error in found {
            error.field = form_field(&error.field, self.component);
            if !known.contains(&error.field) {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(spec) } else { Err(errors) }
    }

    /// Lays the form over `base`. What cannot be read is left out, or kept as typed when `keep` is set.
    fn build(&self, base: &Value, keep: bool) -> (Value, Vec<FieldError>) {
        let mut spec = base.clone();
        let before = Self::from_spec(base, self.component);
        let mut errors = Vec::new();
        let component = component_mut(&mut spec, self.component);
        let changed = |field: Field| self.get(field) != before.get(field);

        for field in Field::ALL.iter().copied().filter(|field| changed(*field)) {
            if field.name().starts_with("autoscale") && self.get(Field::Autoscale).is_empty() {
                continue;
            }
            let text = self.get(field);
            match (field.kind(), field) {
                (Kind::Text, _) => set(component, field.pointer(), (!text.is_empty()).then(|| text.into())),
                (Kind::Number, _) => set(component, field.pointer(), number(field, text, keep, &mut errors)),
                (_, Field::Port) => self.port(component, before.get(Field::Port), keep, &mut errors),
                (_, Field::ReadinessPath) => self.readiness(component, &mut errors),
                (_, Field::Expose) => {
                    let words: Vec<&str> = ExposeKind::ALL.iter().map(|k| k.as_str()).collect();
                    set(component, field.pointer(), choice(field, text, &words, keep, &mut errors));
                }
                (_, Field::Strategy) => {
                    let words: Vec<&str> = Strategy::ALL.iter().map(|k| k.as_str()).collect();
                    set(component, field.pointer(), choice(field, text, &words, keep, &mut errors));
                }
                (_, Field::Env) => {
                    let (vars, wrong) = env::apply(&component["env"], text, keep);
                    errors.extend(wrong);
                    set(component, field.pointer(), (!vars.is_empty()).then(|| vars.into()));
                }
                (Kind::Own, _) => {}
            }
        }
        if self.get(Field::Autoscale).is_empty() {
            set(component, Field::Autoscale.pointer(), None);
        } else {
            for field in [Field::AutoscaleMin, Field::AutoscaleMax] {
                if self.get(field).is_empty() {
                    errors.push(FieldError::new(field.name(), "required", "write a number of pods"));
                    if !keep {
                        // Whatever is right keeps the rest readable; the error above is what is told.
                        set(component, field.pointer(), Some(1.into()));
                    }
                }
            }
        }
        // What the YAML view brought along: text where a number belongs.
        for field in Field::ALL.iter().copied().filter(|f| !keep && (f.kind() == Kind::Number || *f == Field::Port)) {
            let text = component.pointer(field.pointer()).and_then(Value::as_str).map(str::to_owned);
            if let Some(text) = text {
                set(component, field.pointer(), number(field, &text, keep, &mut errors));
            }
        }
        // `expose` needs its type where anything else of it is given.
        if component["expose"].is_object() && component["expose"]["type"].is_null() {
            component["expose"]["type"] = ExposeKind::None.as_str().into();
        }
        (spec, errors)
    }

    /// Sets the first port; what named the old one follows.
    fn port(&self, component: &mut Value, old: &str, keep: bool, errors: &mut Vec<FieldError>) {
        let new = number(Field::Port, self.get(Field::Port), keep, errors);
        let Some(new) = new else {
            if let Some(ports) = component.get_mut("ports").and_then(Value::as_array_mut).filter(|p| !p.is_empty()) {
                ports.remove(0);
            }
            if component["ports"].as_array().is_some_and(Vec::is_empty) {
                set(component, "/ports", None);
            }
            return;
        };
        match component.pointer_mut(Field::Port.pointer()) {
            Some(port) => *port = new.clone(),
            None => set(component, "/ports", Some(json!([{ "port": new }]))),
        }
        for pointer in [
            "/expose/port",
            "/probes/readiness/http/port",
            "/probes/readiness/tcp",
            "/probes/readiness/grpc",
            "/probes/liveness/http/port",
            "/probes/liveness/tcp",
            "/probes/liveness/grpc",
            "/probes/startup/http/port",
            "/probes/startup/tcp",
            "/probes/startup/grpc",
        ] {
            if let Some(follower) = component.pointer_mut(pointer).filter(|value| text_of(value) == old) {
                *follower = new.clone();
            }
        }
    }

    /// Sets, makes or removes the HTTP readiness probe. Its timing survives a change of its kind.
    fn readiness(&self, component: &mut Value, errors: &mut Vec<FieldError>) {
        let path = self.get(Field::ReadinessPath);
        if path.is_empty() {
            return set(component, "/probes/readiness", None);
        }
        if component.pointer("/probes/readiness/http").is_none() {
            let port = component.pointer(Field::Port.pointer()).cloned().unwrap_or_default();
            if port.is_null() {
                let message = "a readiness check needs a port to ask";
                errors.push(FieldError::new(Field::Port.name(), "readiness_port", message));
                return;
            }
            for other in ["tcp", "exec", "grpc"] {
                set(component, &format!("/probes/readiness/{other}"), None);
            }
            set(component, "/probes/readiness/http/port", Some(port));
        }
        set(component, Field::ReadinessPath.pointer(), Some(path.into()));
    }
}

/// The text that the form shows for `field` of `component`.
fn shown(component: &Value, field: Field) -> String {
    let value = component.pointer(field.pointer()).unwrap_or(&Value::Null);
    match field {
        Field::Env => env::print(value),
        Field::Autoscale => if value.is_null() { "" } else { "on" }.to_owned(),
        Field::Expose if value.is_null() => ExposeKind::None.as_str().to_owned(),
        Field::Strategy if value.is_null() => Strategy::Rolling.as_str().to_owned(),
        Field::ReadinessPath if value.is_null() && component.pointer("/probes/readiness/http").is_some() => {
            "/".to_owned()
        }
        _ => text_of(value),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The component at `index`, made where it is missing.
fn component_mut(spec: &mut Value, index: usize) -> &mut Value {
    if !spec.is_object() {
        *spec = blank();
    }
    if !spec["components"].is_array() {
        spec["components"] = json!([]);
    }
    let length = spec["components"].as_array().map_or(0, Vec::len);
    let index = index.min(length);
    if let Some(list) = spec["components"].as_array_mut().filter(|list| list.len() == index) {
        list.push(json!({ "name": "main" }));
    }
    let component = &mut spec["components"][index];
    if !component.is_object() {
        *component = json!({ "name": "main" });
    }
    component
}

/// Puts `value` at `pointer`, making the objects on the way; `None` removes it, and the objects that this leaves empty.
fn set(root: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((head, rest)) = pointer.trim_start_matches('/').split_once('/') else {
        let key = pointer.trim_start_matches('/');
        match (value, root.as_object_mut()) {
            (Some(value), Some(object)) => {
                object.insert(key.to_owned(), value);
            }
            (None, Some(object)) => {
                object.shift_remove(key);
            }
            (_, None) => {}
        }
        return;
    };
    let Some(object) = root.as_object_mut() else {
        return;
    };
    let removes = value.is_none();
    if removes && !object.contains_key(head) {
        return;
    }
    let child = object.entry(head).or_insert_with(|| Value::Object(Map::new()));
    if !child.is_object() && !removes {
        *child = Value::Object(Map::new());
    }
    set(child, rest, value);
    if removes && child.as_object().is_some_and(Map::is_empty) {
        object.shift_remove(head);
    }
}

fn number(field: Field, text: &str, keep: bool, errors: &mut Vec<FieldError>) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    if let Ok(number) = text.parse::<i32>() {
        return Some(number.into());
    }
    errors.push(FieldError::new(field.name(), "number", format!("“{text}” is no whole number")).param("value", text));
    keep.then(|| text.into())
}

fn choice(field: Field, text: &str, words: &[&str], keep: bool, errors: &mut Vec<FieldError>) -> Option<Value> {
    if words.contains(&text) {
        return Some(text.into());
    }
    let message = format!("choose one of {}", words.join(", "));
    errors.push(FieldError::new(field.name(), "choice", message).param("choices", words.join(", ")));
    keep.then(|| text.into())
}

/// The form's field for an error at `path`; the path itself where the form does not show it.
#[must_use]
pub fn form_field(path: &str, component: usize) -> String {
    let Some(rest) = path.strip_prefix(&format!("spec.components[{component}].")) else {
        return path.to_owned();
    };
    let exact = Field::ALL.iter().find(|field| field.pointer().trim_start_matches('/').replace('/', ".") == rest);
    let field = match rest {
        "autoscale" => Some(Field::AutoscaleCpu),
        _ if exact.is_some() => exact.copied(),
        "ports[0].port" | "expose.port" | "probes.readiness.http.port" => Some(Field::Port),
        _ if rest.starts_with("env[") => Some(Field::Env),
        _ => None,
    };
    field.map_or_else(|| path.to_owned(), |field| field.name().to_owned())
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
