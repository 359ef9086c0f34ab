//! Recordings: what the real cluster answered, a line a step.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// What a conversation's steps were answered.
pub type Answers = Vec<Value>;

/// The recording of an area.
#[derive(Debug, Default, Deserialize)]
pub struct Recording {
    /// `v1.35.4`.
    pub kubernetes: String,
    pub conversations: BTreeMap<String, Answers>,
}

impl Recording {
    /// Reads one; nothing when there is none yet.
    pub fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            Err(_) => Self::default(),
        }
    }

    /// Writes it so that a change of one answer is a change of one line.
    pub fn write(&self, path: &Path) {
        let mut out = format!("{{\"kubernetes\":{},\"conversations\":{{", Value::from(self.kubernetes.as_str()));
        for (index, (name, answers)) in self.conversations.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let lines: Vec<String> = answers.iter().map(Value::to_string).collect();
            write!(out, "{comma}\n{}:[\n{}]", Value::from(name.as_str()), lines.join(",\n")).unwrap();
        }
        out.push_str("}}\n");
        std::fs::write(path, out).unwrap();
    }
}

/// Codes and exit codes of the answers, in order.
pub fn statuses(answers: &[Value]) -> Vec<&Value> {
    answers.iter().filter_map(|answer| answer.get("code").or_else(|| answer.get("exit"))).collect()
}

/// Where two answers differ, at most `most` places.
pub fn differences(real: &[Value], ours: &[Value], most: usize) -> Vec<String> {
    let mut out = Vec::new();
    for index in 0..real.len().max(ours.len()) {
        let none = Value::Null;
        let pair = (real.get(index).unwrap_or(&none), ours.get(index).unwrap_or(&none));
        differ(&format!("step {}", index + 1), pair.0, pair.1, &mut out);
    }
    let more = out.len().saturating_sub(most);
    out.truncate(most);
    if more > 0 {
        out.push(format!("… {more} more"));
    }
    out
}

fn differ(path: &str, real: &Value, ours: &Value, out: &mut Vec<String>) {
    match (real, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => differ(&format!("{path}/{key}"), value, other, out),
                    None => out.push(format!("{path}/{key}: real {value}, ours nothing")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                out.push(format!("{path}/{key}: real nothing, ours {value}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (one, two)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}/{index}"), one, two, out);
            }
        }
        (Value::String(a), Value::String(b)) if a != b && a.contains('\n') => {
            let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
            for line in a.iter().filter(|line| !b.contains(line)) {
                out.push(format!("{path} - {line}"));
            }
            for line in b.iter().filter(|line| !a.contains(line)) {
                out.push(format!("{path} + {line}"));
            }
            let same = |list: &[&str], other: &[&str]| list.iter().all(|line| other.contains(line));
            if same(&a, &b) && same(&b, &a) {
                out.push(format!("{path}: same lines in another order or number"));
            }
        }
        (a, b) if a != b => out.push(format!("{path}: real {a}, ours {b}")),
        _ => {}
    }
}
