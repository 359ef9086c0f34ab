//! The OpenAPI schemas of what is served.
//!
//! Those of the built-in kinds come from the Kubernetes repository, trimmed and packed by
//! [`generate::pack`]; those of custom resources from their definitions.

pub mod generate;
mod node;
mod openapi;

use std::{
    collections::HashMap,
    io::Read as _,
    sync::{Arc, LazyLock},
};

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

pub use node::{ANY, ListKind, ListType, Node, ScalarType, Shape};
pub use openapi::{openapi_document, openapi_index};

use crate::registry::{ResourceType, Version};

static PACKED: &[u8] = include_bytes!("../../schemas/kubernetes-1.35.4.json.gz");

/// Definitions by name, as JSON.
static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut text = String::new();
    let read = GzDecoder::new(PACKED).read_to_string(&mut text);
    let parsed = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    if let Some(Value::Object(definitions)) = parsed {
        return definitions;
    }
    tracing::error!("the packed Kubernetes schemas cannot be read");
    Map::new()
});

/// Definitions by name, compiled, and the names of kinds.
struct Compiled {
    nodes: HashMap<String, Node>,
    /// `group/version/kind` to definition.
    kinds: HashMap<(String, String, String), String>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let mut nodes = HashMap::new();
    let mut kinds = HashMap::new();
    for (name, schema) in DEFINITIONS.iter() {
        let mut node = Node::compile(schema);
        node.name.clone_from(name);
        if let Some(kind) = special(name) {
            node.shape = kind;
        }
        nodes.insert(name.clone(), node);
        for gvk in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let part = |field: &str| gvk[field].as_str().unwrap_or_default().to_owned();
            kinds.insert((part("group"), part("version"), part("kind")), name.clone());
        }
    }
    Compiled { nodes, kinds }
});

/// Definitions whose JSON is not what their schema says.
fn special(name: &str) -> Option<Shape> {
    let scalar = match name.rsplit_once("io.k8s.apimachinery.pkg.")?.1 {
        "api.resource.Quantity" => ScalarType::Quantity,
        "apis.meta.v1.Time" => ScalarType::Time,
        "apis.meta.v1.MicroTime" => ScalarType::MicroTime,
        "util.intstr.IntOrString" => ScalarType::IntOrString,
        "runtime.RawExtension" | "apis.meta.v1.FieldsV1" => return Some(Shape::Any),
        _ => return None,
    };
    Some(Shape::Scalar(scalar))
}

/// Name of the definition of every object's metadata.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// A definition of the built-in schemas.
#[must_use]
pub fn definition(name: &str) -> Option<&'static Node> {
    COMPILED.nodes.get(name)
}

/// All definitions as JSON.
#[must_use]
pub fn definitions() -> &'static Map<String, Value> {
    &DEFINITIONS
}

/// The definition of a built-in kind.
#[must_use]
pub fn kind_definition(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    COMPILED.kinds.get(&(group.to_owned(), version.to_owned(), kind.to_owned())).map(String::as_str)
}

/// The schema of a kind in a version.
pub enum KindSchema {
    /// Built in.
    Builtin(&'static Node),
    /// From a definition.
    Custom(Arc<Node>),
}

impl std::ops::Deref for KindSchema {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Self::Builtin(node) => node,
            Self::Custom(node) => node,
        }
    }
}

/// The schema of a resource in a version; anything goes when there is none.
#[must_use]
pub fn of(resource: &ResourceType, version: &str) -> KindSchema {
    if let Some(custom) = resource.version(version).and_then(|version| version.custom.as_ref()) {
        return KindSchema::Custom(custom.node.clone());
    }
    kind_definition(&resource.id.group, version, &resource.kind)
        .and_then(definition)
        .map_or(KindSchema::Builtin(&ANY), KindSchema::Builtin)
}

/// The compiled schema of a custom resource: what its definition says, and every object's own fields.
#[must_use]
pub fn compile_custom(schema: &Value) -> Node {
    let mut node = Node::compile(schema);
    if !matches!(node.shape, Shape::Object { .. }) {
        let shape = Shape::Object { fields: HashMap::new(), required: Vec::new(), rest: None, preserve: true };
        node.shape = shape;
    }
    if let Shape::Object { fields, .. } = &mut node.shape {
        for name in ["apiVersion", "kind"] {
            fields.insert(name.into(), Node { shape: Shape::Scalar(ScalarType::String), ..Node::default() });
        }
        fields.insert("metadata".into(), Node { shape: Shape::Ref(OBJECT_META.into()), ..Node::default() });
    }
    node
}

/// What Go writes for an empty object of a built-in kind: embedded structs, and the zero of what has no `omitempty`.
#[must_use]
pub fn zero(node: &Node) -> Value {
    let node = node.resolve();
    let Shape::Object { fields, required, .. } = &node.shape else { return Value::Null };
    let mut out = Map::new();
    for (name, field) in fields {
        match &field.default {
            Some(Value::Object(default)) if default.is_empty() => {
                out.insert(name.clone(), zero(field));
            }
            Some(default) if required.contains(name) => {
                out.insert(name.clone(), default.clone());
            }
            None if required.contains(name) => {
                out.insert(name.clone(), Value::Null);
            }
            _ => {}
        }
    }
    Value::Object(out)
}

/// Whether the version keeps a status apart.
#[must_use]
pub fn has_status(version: &Version) -> bool {
    version.subresources.iter().any(|sub| sub.name == "status")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn built_in_schemas_know_their_lists() {
        let pod = definition(kind_definition("", "v1", "Pod").unwrap()).unwrap();
        let containers = pod.field("spec").known_field("containers").unwrap();
        assert_eq!(containers.merge_key.as_deref(), Some("name"));
        assert!(matches!(
            containers.list_kind(),
            ListKind::Map(keys, _) if keys == ["name"]
        ));
        let service = definition(kind_definition("", "v1", "Service").unwrap()).unwrap();
        let ListKind::Map(keys, items) = service.field("spec").field("ports").list_kind() else { panic!("no map") };
        assert_eq!(keys, ["port", "protocol"]);
        assert_eq!(items.field_default("protocol").unwrap(), "TCP");
    }
}
