//! What the files in `conversations/` say (`docs/parity.md` describes the format).

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// One file: conversations about one area.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Area {
    /// Whether all conversations share one namespace, in which `setup` ran once.
    pub shared: bool,
    /// Steps before the conversations of a shared namespace.
    pub setup: Vec<Step>,
    /// Those written by hand.
    pub conversations: Vec<Conversation>,
    /// Those made from a table of objects.
    pub creates: Vec<Creates>,
    /// One GET each; only for shared areas.
    pub gets: Vec<Get>,
    /// One kubectl command each; only for shared areas.
    pub kubectl: Vec<String>,
}

/// A named sequence of steps.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conversation {
    pub name: String,
    /// Files that kubectl finds in its folder.
    pub files: BTreeMap<String, String>,
    pub steps: Vec<Step>,
}

/// Objects that differ from a base in a few places, each sent as a creation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Creates {
    pub name: String,
    pub path: String,
    pub base: Value,
    /// JSON pointers and what stands there; null takes it away.
    pub cases: Vec<BTreeMap<String, Value>>,
    /// What of the answer is compared; everything if empty.
    pub only: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Get {
    Path(String),
    With {
        path: String,
        accept: String,
        #[serde(default)]
        only: Vec<String>,
    },
}

/// One thing that is done; exactly one of the first group is given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    pub get: Option<String>,
    pub post: Option<String>,
    pub put: Option<String>,
    pub patch: Option<String>,
    pub delete: Option<String>,
    /// Arguments, split as a shell does.
    pub kubectl: Option<String>,
    /// A path that is read until it is as `until` says.
    pub wait: Option<String>,
    /// A watch that is read until `take` events came or it ended.
    pub watch: Option<String>,
    /// Name of an object whose events are read until the reasons in `reasons` are among them.
    pub events: Option<String>,

    pub body: Value,
    /// A body that is sent as it stands.
    pub text: Option<String>,
    /// `json`, `merge`, `strategic`, `apply`, or a media type.
    #[serde(rename = "type")]
    pub media: Option<String>,
    pub accept: Option<String>,
    /// Impersonated user.
    #[serde(rename = "as")]
    pub user: Option<String>,
    pub groups: Vec<String>,
    pub stdin: Option<String>,
    /// JSON pointer (`#` at the end: length of a list) to value; null: not there; `"*"`: anything.
    pub until: BTreeMap<String, Value>,
    pub take: usize,
    pub reasons: Vec<String>,
    /// Names for values of the answer.
    pub capture: BTreeMap<String, String>,
    /// Parts of the answer that are compared.
    pub only: Vec<String>,
    /// Parts of the answer that are not.
    pub drop: Vec<String>,
    /// Done, but not compared.
    pub quiet: bool,
}

impl Area {
    /// Reads a file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All conversations, those of tables included.
    pub fn conversations(&self, area: &str) -> Vec<Conversation> {
        let mut all: Vec<Conversation> = self
            .conversations
            .iter()
            .map(|own| Conversation { name: format!("{area}/{}", own.name), ..own.clone() })
            .collect();
        for table in &self.creates {
            for case in &table.cases {
                let mut body = table.base.clone();
                for (pointer, value) in case {
                    put(&mut body, pointer, value);
                }
                let step = Step { post: Some(table.path.clone()), body, only: table.only.clone(), ..Step::default() };
                let name = format!("{area}/{}: {}", table.name, case_name(case));
                all.push(Conversation { name, steps: vec![step], ..Conversation::default() });
            }
        }
        for get in &self.gets {
            let (path, accept, only) = match get {
                Get::Path(path) => (path, None, Vec::new()),
                Get::With { path, accept, only } => (path, Some(accept.clone()), only.clone()),
            };
            let shown = accept.as_deref().map_or("", |accept| accept.rsplit(['/', ';']).next().unwrap_or_default());
            let name = format!("{area}/GET {path} {shown}").trim_end().to_owned();
            let step = Step { get: Some(path.clone()), accept, only, ..Step::default() };
            all.push(Conversation { name, steps: vec![step], ..Conversation::default() });
        }
        for command in &self.kubectl {
            let step = Step { kubectl: Some(command.clone()), ..Step::default() };
            all.push(Conversation {
                name: format!("{area}/kubectl {command}"),
                steps: vec![step],
                ..Conversation::default()
            });
        }
        all
    }
}

impl Conversation {
    /// Whether it needs kubectl.
    pub fn needs_kubectl(&self) -> bool {
        self.steps.iter().any(|step| step.kubectl.is_some())
    }
}

fn case_name(case: &BTreeMap<String, Value>) -> String {
    let parts: Vec<String> = case
        .iter()
        .map(|(pointer, value)| {
            let value = if value.is_null() { "none".to_owned() } else { value.to_string() };
            let short: String = value.chars().take(200).collect();
            format!("{}={short}", pointer.trim_start_matches('/').replace('/', "."))
        })
        .collect();
    if parts.is_empty() { "as it is".to_owned() } else { parts.join(" ") }
}

/// Puts a value at a JSON pointer, making what is missing on the way; null takes it away.
fn put(object: &mut Value, pointer: &str, value: &Value) {
    let mut at = object;
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, way)) = parts.split_last() else {
        *at = value.clone();
        return;
    };
    for part in way {
        at = match part.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[part.as_str()],
        };
    }
    match (last.parse::<usize>(), at) {
        (Ok(index), Value::Array(list)) if value.is_null() => drop(list.remove(index)),
        (Ok(index), Value::Array(list)) if index == list.len() => list.push(value.clone()),
        (Ok(index), Value::Array(list)) => list[index] = value.clone(),
        (_, Value::Object(map)) if value.is_null() => drop(map.shift_remove(last)),
        (_, at) => at[last.as_str()] = value.clone(),
    }
}
