//! What happened to an app, newest first: revisions, what the cluster warned of, the state it is in now.

use std::collections::BTreeSet;

use berth_types::{
    AppPhase, AppSpec,
    rows::{AppView, EventRow, RevisionRow},
};
use jiff::Timestamp;
use serde_json::Value;

/// Something that changed between two revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The image is another one now.
    Image(String),
    /// Pods wanted.
    Replicas(i64, i64),
    /// Environment variables with these names.
    Env(Vec<String>),
    /// The app was suspended or resumed.
    Suspended(bool),
    /// A component came.
    Added(String),
    /// A component went.
    Removed(String),
    /// Another field, by its name in YAML.
    Field(String),
}

/// What differs between two specs, the most telling first.
#[must_use]
pub fn changes(old: &AppSpec, new: &AppSpec) -> Vec<Change> {
    let mut out = Vec::new();
    for component in &new.components {
        match old.components.iter().find(|c| c.name == component.name) {
            None => out.push(Change::Added(component.name.clone())),
            Some(before) => {
                if before.image != component.image {
                    out.push(Change::Image(component.image.clone()));
                }
                if before.wanted() != component.wanted() {
                    out.push(Change::Replicas(before.wanted().into(), component.wanted().into()));
                }
                let (a, b) = (json(before), json(component));
                if before.env != component.env {
                    out.push(Change::Env(env_names(&a["env"], &b["env"])));
                }
                for key in keys(&a, &b) {
                    if !["image", "replicas", "env", "name"].contains(&key.as_str()) && a.get(&key) != b.get(&key) {
                        out.push(Change::Field(key));
                    }
                }
            }
        }
    }
    for gone in old.components.iter().filter(|c| !new.components.iter().any(|n| n.name == c.name)) {
        out.push(Change::Removed(gone.name.clone()));
    }
    if old.suspended != new.suspended {
        out.push(Change::Suspended(new.suspended));
    }
    out.dedup();
    out
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn keys(a: &Value, b: &Value) -> BTreeSet<String> {
    [a, b].into_iter().filter_map(Value::as_object).flat_map(|o| o.keys().cloned()).collect()
}

fn env_names(old: &Value, new: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let differs = |var: &&Value, others: &[Value]| !others.contains(var);
    let mut names: Vec<String> = new
        .iter()
        .filter(|var| differs(var, &old))
        .chain(old.iter().filter(|var| differs(var, &new)))
        .filter_map(|var| var["name"].as_str().map(str::to_owned))
        .collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// How a moment looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth knowing.
    Plain,
    /// Wrong.
    Bad,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The app became what it is now.
    Phase(AppPhase),
    /// A revision began.
    Revision {
        /// Its number.
        number: i64,
        /// Who made it.
        by: Option<String>,
        /// What it changed.
        changes: Vec<Change>,
    },
    /// The cluster warned.
    Event {
        /// One word.
        reason: String,
        /// A sentence.
        message: String,
        /// How often.
        count: i32,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// How it looks.
    pub tone: Tone,
    /// What.
    pub what: What,
}

/// Most moments that are shown.
const MOST: usize = 8;
/// Most warnings among them: a crashing pod must not push the revision that broke it out of sight.
const MOST_EVENTS: usize = 4;

/// The last moments of an app.
#[must_use]
pub fn moments(app: &AppView, revisions: &[RevisionRow], events: &[EventRow]) -> Vec<Moment> {
    let mut out = Vec::new();
    if let Some(at) = app.status.since {
        let tone = match app.status.phase {
            AppPhase::Degraded => Tone::Bad,
            AppPhase::Ready => Tone::Good,
            AppPhase::Progressing | AppPhase::Suspended => Tone::Plain,
        };
        out.push(Moment { at, tone, what: What::Phase(app.status.phase) });
    }
    for (i, revision) in revisions.iter().enumerate() {
        let changes = revisions.get(i + 1).map(|before| changes(&before.spec, &revision.spec)).unwrap_or_default();
        let what = What::Revision { number: revision.number, by: revision.by.clone(), changes };
        out.push(Moment { at: revision.created_at, tone: Tone::Plain, what });
    }
    let mut warned = BTreeSet::new();
    let warnings = events.iter().filter(|e| &*e.kind == "Warning");
    // The same words about several pods are one thing that happened.
    for event in warnings.filter(|e| warned.insert(e.reason.clone())).take(MOST_EVENTS) {
        let count = events.iter().filter(|e| e.reason == event.reason).map(|e| e.count).sum();
        let what = What::Event { reason: event.reason.to_string(), message: event.message.to_string(), count };
        out.push(Moment { at: event.last_at, tone: Tone::Bad, what });
    }
    out.sort_by_key(|moment| std::cmp::Reverse(moment.at));
    out.truncate(MOST);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec(text: &str) -> AppSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn changes_are_named() {
        let old = spec(
            r#"{"components":[{"name":"main","image":"a:1","replicas":2,"env":[{"name":"A","value":"1"},{"name":"B","value":"1"}]}]}"#,
        );
        for (new, want) in [
            (
                r#"{"components":[{"name":"main","image":"a:1","replicas":2,"env":[{"name":"A","value":"1"},{"name":"B","value":"1"}]}]}"#,
                vec![],
            ),
            (
                r#"{"suspended":true,"components":[{"name":"main","image":"a:2","env":[{"name":"A","value":"2"},{"name":"C","value":"1"}],"command":["x"]},{"name":"w","image":"b"}]}"#,
                vec![
                    Change::Image("a:2".to_owned()),
                    Change::Replicas(2, 1),
                    Change::Env(vec!["A".to_owned(), "C".to_owned(), "B".to_owned()]),
                    Change::Field("command".to_owned()),
                    Change::Added("w".to_owned()),
                    Change::Suspended(true),
                ],
            ),
            (r#"{"components":[]}"#, vec![Change::Removed("main".to_owned())]),
        ] {
            assert_eq!(changes(&old, &spec(new)), want, "{new}");
        }
    }
}
