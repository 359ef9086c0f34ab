//! The YAML view: an `App` as a document that people edit, and errors that stand at their line.

use std::fmt;

use berth_core::{Result, yaml};
use berth_types::{
    AppSpec, FieldError,
    app::{GROUP, VERSION},
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

/// What the server fills in: ignored when it is sent back, as `kubectl` does.
const SERVERS_OWN: &[&str] =
    &["creationTimestamp", "generation", "managedFields", "namespace", "resourceVersion", "uid"];

/// What an edited document says.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// `metadata.name`, empty when absent.
    pub name: String,
    /// `metadata.namespace`, where it is given.
    pub namespace: Option<String>,
    /// `spec`.
    pub spec: Value,
}

/// The document for `name` and `spec`.
///
/// # Errors
/// Internal: JSON can always be written.
pub fn print(name: &str, spec: &Value) -> Result<String> {
    // In the order in which differences and revisions are shown, whatever the order in which it was sent.
    let typed = serde_json::from_value::<AppSpec>(spec.clone()).and_then(serde_json::to_value);
    let spec = typed.ok().filter(|typed| typed == spec).unwrap_or_else(|| spec.clone());
    yaml::print(&json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "App",
        "metadata": { "name": name },
        "spec": spec,
    }))
}

/// Reads what [`print`] writes, or what `kubectl get -o yaml` prints of an app.
///
/// # Errors
/// What is wrong, at its path in the document, with the parameter `line` where one can be named. What stands in `spec` is
/// not looked at.
pub fn read(text: &str) -> Result<Document, Vec<FieldError>> {
    let value = yaml::parse(text).map_err(|e| match e.fields() {
        [] => vec![FieldError::new("yaml", "yaml_too_large", e.message()).param("reason", e.message())],
        fields => fields.to_vec(),
    })?;
    let mut errors = Vec::new();
    // The short form that the API takes.
    if let (Some(name), Some(spec), None, None) =
        (value["name"].as_str(), value.get("spec"), value.get("apiVersion"), value.get("kind"))
    {
        let known = |key: &&String| !["name", "spec"].contains(&key.as_str());
        let errors: Vec<_> =
            value.as_object().into_iter().flat_map(Map::keys).filter(known).map(|k| unknown(k)).collect();
        if errors.is_empty() {
            return Ok(Document { name: name.to_owned(), namespace: None, spec: spec.clone() });
        }
        return Err(with_lines(errors, text));
    }
    let Some(object) = value.as_object() else {
        let message = "write an object with apiVersion, kind, metadata and spec";
        return Err(vec![FieldError::new("yaml", "yaml_object", message)]);
    };
    if let Some(kind) = other_kind(object) {
        let message = format!("this is a {kind}; write an App");
        return Err(with_lines(vec![FieldError::new("kind", "yaml_other_kind", message).param("kind", kind)], text));
    }
    expect(object, "apiVersion", &format!("{GROUP}/{VERSION}"), &mut errors);
    expect(object, "kind", "App", &mut errors);
    for key in object.keys().filter(|k| !["apiVersion", "kind", "metadata", "spec", "status"].contains(&k.as_str())) {
        errors.push(unknown(key));
    }
    let metadata = object.get("metadata").and_then(Value::as_object);
    for key in metadata.into_iter().flat_map(Map::keys) {
        if key != "name" && !SERVERS_OWN.contains(&key.as_str()) {
            errors.push(unknown(&format!("metadata.{key}")));
        }
    }
    let spec = object.get("spec").cloned().unwrap_or_default();
    if !spec.is_object() {
        errors.push(FieldError::new("spec", "required", "say what is wanted in spec"));
    } else if !errors.is_empty()
        && let Err(e) = yaml::app_spec(&spec)
    {
        // All at once; without these errors the caller looks at the spec.
        errors.extend(e.fields().iter().cloned());
    }
    if errors.is_empty() {
        let text = |key: &str| metadata.and_then(|m| m.get(key)).and_then(Value::as_str).map(str::to_owned);
        return Ok(Document { name: text("name").unwrap_or_default(), namespace: text("namespace"), spec });
    }
    Err(with_lines(errors, text))
}

/// The kind of a manifest that was pasted from elsewhere: what is said of an `App`'s fields would not help there.
fn other_kind(object: &Map<String, Value>) -> Option<&str> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    (kind != "App" && version.split('/').next() != Some(GROUP)).then_some(kind)
}

fn expect(object: &Map<String, Value>, key: &str, want: &str, errors: &mut Vec<FieldError>) {
    if object.get(key).and_then(Value::as_str) != Some(want) {
        errors.push(
            FieldError::new(key, "must_be", format!("must be {want}")).param("want", want).suggest(want.to_owned()),
        );
    }
}

fn unknown(path: &str) -> FieldError {
    let name = path.rsplit('.').next().unwrap_or(path);
    let message = format!("“{name}” is no field here");
    FieldError::new(path, "unknown_field", message).param("reason", format!("“{name}”"))
}

/// `errors`, each with the parameter `line` where the text has its path, or the nearest part of it.
#[must_use]
pub fn with_lines(errors: Vec<FieldError>, text: &str) -> Vec<FieldError> {
    let Ok(root) = serde_saphyr::from_str::<Spanned<Node>>(text) else {
        return errors;
    };
    let mut placed: Vec<(u64, FieldError)> = errors
        .into_iter()
        .map(|error| match line(&root, &error.field) {
            Some(line) if !error.params.contains_key("line") => (line, error.param("line", line)),
            _ => (u64::MAX, error),
        })
        .collect();
    placed.sort_by_key(|(line, _)| *line);
    placed.into_iter().map(|(_, error)| error).collect()
}

/// The line (from 1) on which the value at `path` stands, or the nearest part of it that is there.
fn line(root: &Spanned<Node>, path: &str) -> Option<u64> {
    let mut node = root;
    let mut found = None;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
        let next = match &node.value {
            Node::Map(entries) => entries.iter().find(|(key, _)| key.value == step).map(|(key, value)| {
                found = Some(key.referenced.line());
                value
            }),
            Node::List(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)).inspect(|item| {
                found = Some(item.referenced.line());
            }),
            Node::Leaf => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    found.filter(|line| *line > 0)
}

/// A YAML document with its places, without its values.
enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Leaf,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! leaves {
    ($($name:ident($type:ty)),+) => { $(fn $name<E>(self, _: $type) -> Result<Node, E> { Ok(Node::Leaf) })+ };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    leaves!(
        visit_bool(bool),
        visit_i64(i64),
        visit_u64(u64),
        visit_i128(i128),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str)
    );

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn round_trip() {
        let spec =
            json!({ "components": [{ "name": "main", "image": "a:1", "env": [{ "name": "A", "value": "yes" }] }] });
        let text = print("web", &spec).unwrap();
        assert_eq!(read(&text).unwrap(), Document { name: "web".to_owned(), namespace: None, spec });
    }

    #[test]
    fn keys_stand_in_the_order_of_the_type() {
        let spec = json!({ "components": [{ "replicas": 2, "image": "a:1", "name": "main" }] });
        let text = print("web", &spec).unwrap();
        let place = |key: &str| text.find(key).unwrap();
        assert!(place("name: main") < place("image:") && place("image:") < place("replicas:"), "{text}");
        let wrong = json!({ "components": "x", "zzz": 1 });
        assert_eq!(yaml::parse(&print("web", &wrong).unwrap()).unwrap()["spec"], wrong);
    }

    #[test]
    fn the_short_form_of_the_api_is_taken() {
        let want = Document { name: "web".to_owned(), namespace: None, spec: json!({ "components": [] }) };
        assert_eq!(read("name: web\nspec: {components: []}\n").unwrap(), want);
        assert_eq!(read("name: web\nspec: {}\nextra: 1\n").unwrap_err()[0].field, "extra");
    }

    #[test]
    fn what_is_wrong_in_the_spec_is_told_with_the_rest() {
        let errors = read("kind: App\nmetadata: {name: a}\nspec: {components: [{name: m, imag: a}]}\n").unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert!(got.contains(&"apiVersion") && got.contains(&"spec.components[0].imag"), "{got:?}");
    }

    #[test]
    fn a_pasted_deployment_is_named_and_nothing_else_is_said() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, labels: {}}\nspec: {replicas: 1}\n";
        let errors = read(text).unwrap_err();
        let got: Vec<_> = errors.iter().map(|e| (e.code.as_str(), e.params["kind"].as_str())).collect();
        assert_eq!(got, [("yaml_other_kind", "Deployment")]);
    }

    #[test]
    fn what_kubectl_prints_is_read() {
        let text = "apiVersion: berth.dev/v1alpha1\nkind: App\nmetadata:\n  name: web\n  uid: x\n  resourceVersion: '4'\nspec: {}\nstatus: {}\n";
        assert_eq!(read(text).unwrap(), Document { name: "web".to_owned(), namespace: None, spec: json!({}) });
    }

    #[test]
    fn errors_stand_at_their_line() {
        for (text, want) in [
            (
                "apiVersion: v1\nkind: App\nspec: {components: []}\n",
                vec![("apiVersion", "must_be", Some("1")), ("spec.components", "required", Some("3"))],
            ),
            (
                "apiVersion: berth.dev/v1alpha1\nkind: App\nmetadata:\n  name: a\n  labels: {}\nspec: {}\nextra: 1\n",
                vec![
                    ("metadata.labels", "unknown_field", Some("5")),
                    ("spec.components", "required", Some("6")),
                    ("extra", "unknown_field", Some("7")),
                ],
            ),
            ("apiVersion: berth.dev/v1alpha1\nkind: App\n", vec![("spec", "required", None)]),
            ("- 1\n", vec![("yaml", "yaml_object", None)]),
            ("a: [1\n", vec![("yaml", "yaml", None)]),
        ] {
            let errors = read(text).unwrap_err();
            let got: Vec<_> = errors
                .iter()
                .map(|e| (e.field.as_str(), e.code.as_str(), e.params.get("line").map(String::as_str)))
                .collect();
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn fields_of_the_spec_are_found_too() {
        let text = "apiVersion: berth.dev/v1alpha1\nkind: App\nmetadata:\n  name: a\nspec:\n  components:\n  - name: main\n    image: a\n    ports:\n    - port: 0\n  - name: b\n    imag: c\n";
        for (path, want) in [
            ("spec.components[0].ports[0].port", "10"),
            ("spec.components[1].imag", "12"),
            ("spec.components[1].image", "11"),
            ("spec.suspended", "5"),
        ] {
            let found = with_lines(vec![FieldError::new(path, "x", "x")], text);
            assert_eq!(found[0].params["line"], want, "{path}");
        }
    }
}
