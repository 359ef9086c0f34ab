//! A schema in the form in which objects are walked: what is a field, what a map, how lists merge.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::fieldmanager::PathElement;

/// One node of a schema tree.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// What values are.
    pub shape: Shape,
    /// Name of the definition that this is, e.g. `io.k8s.api.core.v1.PodSpec`; "" for inline ones.
    pub name: String,
    /// `default`.
    pub default: Option<Value>,
    /// `x-kubernetes-patch-strategy`, split at commas.
    pub strategies: Vec<String>,
    /// `x-kubernetes-patch-merge-key`.
    pub merge_key: Option<String>,
    /// Owned as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// `null` is a value of its own.
    pub nullable: bool,
}

/// What values of a node are.
#[derive(Debug, Clone, Default)]
pub enum Shape {
    /// Anything.
    #[default]
    Any,
    /// A definition by name.
    Ref(String),
    /// One of the scalar types.
    Scalar(ScalarType),
    /// A list.
    List {
        /// Its items.
        items: Arc<Node>,
        /// How items are told apart.
        kind: ListType,
    },
    /// Named fields, or a map, or both.
    Object {
        /// The named fields.
        fields: HashMap<String, Node>,
        /// Named fields that are always there.
        required: Vec<String>,
        /// Values of other keys; `None` when there may be none.
        rest: Option<Arc<Node>>,
        /// Unknown fields stay.
        preserve: bool,
    },
}

/// Scalar types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarType {
    /// `true` or `false`.
    Boolean,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A port or percentage: number or text.
    IntOrString,
    /// `resource.Quantity`.
    Quantity,
    /// `metav1.Time`.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    /// Base64.
    Bytes,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType {
    /// Owned as a whole.
    Atomic,
    /// Scalars, each once.
    Set,
    /// Objects told apart by these keys.
    Map(Vec<String>),
}

/// How a list is walked.
pub enum ListKind<'a> {
    /// As a whole.
    Atomic,
    /// By value.
    Set(&'a Node),
    /// By keys.
    Map(&'a [String], &'a Node),
}

/// What is under a field that the schema does not know.
pub static ANY: Node = Node {
    shape: Shape::Any,
    name: String::new(),
    default: None,
    strategies: Vec::new(),
    merge_key: None,
    atomic: false,
    nullable: false,
};

impl Node {
    /// The definition behind a reference; itself otherwise.
    #[must_use]
    pub fn resolve(&self) -> &Self {
        match &self.shape {
            Shape::Ref(name) => super::definition(name).map_or(&ANY, Self::resolve),
            _ => self,
        }
    }

    /// The schema of a field or map value. `self` is resolved.
    #[must_use]
    pub fn field(&self, name: &str) -> &Self {
        self.known_field(name).unwrap_or(&ANY).resolve()
    }

    /// The node of a field or map value as it stands, with its default and strategies.
    #[must_use]
    pub fn known_field(&self, name: &str) -> Option<&Self> {
        match &self.shape {
            Shape::Object { fields, rest, .. } => fields.get(name).or(rest.as_deref()),
            _ => None,
        }
    }

    /// Whether it is a field by its own name, not a key of a map.
    #[must_use]
    pub fn is_named_field(&self, name: &str) -> bool {
        matches!(&self.shape, Shape::Object { fields, .. } if fields.contains_key(name))
    }

    /// Whether an object under this node is owned field by field.
    #[must_use]
    pub fn is_granular_map(&self) -> bool {
        match &self.shape {
            Shape::Any => true,
            Shape::Object { .. } => !self.atomic,
            _ => false,
        }
    }

    /// How a list under this node is walked.
    #[must_use]
    pub fn list_kind(&self) -> ListKind<'_> {
        match &self.shape {
            Shape::List { items, kind: ListType::Set } => ListKind::Set(items),
            Shape::List { items, kind: ListType::Map(keys) } => ListKind::Map(keys, items),
            _ => ListKind::Atomic,
        }
    }

    /// The default of a field, if it has one.
    #[must_use]
    pub fn field_default(&self, name: &str) -> Option<&Value> {
        self.resolve().known_field(name)?.default.as_ref()
    }

    /// The schema one step further.
    #[must_use]
    pub fn step(&self, element: &PathElement) -> &Self {
        match (&self.shape, element) {
            (_, PathElement::Field(name)) => self.field(name),
            (Shape::List { items, .. }, _) => items.resolve(),
            _ => &ANY,
        }
    }

    /// Compiles a JSON schema: a definition of the OpenAPI document or a structural one of a custom resource.
    #[must_use]
    pub fn compile(schema: &Value) -> Self {
        let mut node = Self {
            default: schema.get("default").cloned(),
            strategies: schema["x-kubernetes-patch-strategy"]
                .as_str()
                .map(|text| text.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            merge_key: schema["x-kubernetes-patch-merge-key"].as_str().map(str::to_owned),
            atomic: schema["x-kubernetes-map-type"] == "atomic",
            nullable: schema["nullable"] == true,
            ..Self::default()
        };
        let reference = schema["$ref"].as_str().or_else(|| {
            // `allOf` with one reference carries a default or description beside it.
            schema["allOf"].as_array().and_then(|all| all.first()).and_then(|first| first["$ref"].as_str())
        });
        if let Some(name) = reference.and_then(|path| path.rsplit('/').next()) {
            node.shape = Shape::Ref(name.to_owned());
            return node;
        }
        node.shape = shape_of(schema);
        node
    }
}

fn shape_of(schema: &Value) -> Shape {
    let format = schema["format"].as_str().unwrap_or_default();
    if schema["x-kubernetes-int-or-string"] == true || format == "int-or-string" {
        return Shape::Scalar(ScalarType::IntOrString);
    }
    match schema["type"].as_str().unwrap_or_default() {
        "boolean" => Shape::Scalar(ScalarType::Boolean),
        "integer" if format == "int32" => Shape::Scalar(ScalarType::Int32),
        "integer" => Shape::Scalar(ScalarType::Int64),
        "number" => Shape::Scalar(ScalarType::Number),
        "string" if format == "byte" => Shape::Scalar(ScalarType::Bytes),
        "string" => Shape::Scalar(ScalarType::String),
        "array" => {
            let keys = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .map(|keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default();
            let kind = match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => ListType::Map(keys),
                Some("set") => ListType::Set,
                _ => ListType::Atomic,
            };
            Shape::List { items: Arc::new(Node::compile(&schema["items"])), kind }
        }
        "object" => {
            let preserve = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let fields: HashMap<String, Node> = schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, field)| (name.clone(), Node::compile(field)))
                .collect();
            let rest = match &schema["additionalProperties"] {
                rest @ Value::Object(_) => Some(Arc::new(Node::compile(rest))),
                Value::Bool(true) => Some(Arc::new(ANY.clone())),
                _ => None,
            };
            let required = schema["required"]
                .as_array()
                .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default();
            Shape::Object { fields, required, rest, preserve }
        }
        _ => Shape::Any,
    }
}
