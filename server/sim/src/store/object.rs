//! A stored object: its JSON as bytes and as a tree, each made from the other when first needed.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde_json::Value;

/// A shared, immutable object.
pub type ObjectRef = Arc<Object>;

/// One version of one object. Dereferences to its JSON.
pub struct Object {
    revision: u64,
    value: OnceLock<Value>,
    bytes: OnceLock<Bytes>,
}

impl Object {
    /// Stamps `value` with the revision.
    #[must_use]
    pub fn new(mut value: Value, revision: u64) -> Self {
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), Value::String(revision.to_string()));
        }
        // As Go writes them, and so that lists can leave them out without looking inside.
        if let Some(object) = value.as_object_mut() {
            for (index, field) in ["kind", "apiVersion"].into_iter().enumerate() {
                if object.keys().nth(index).is_some_and(|own| own != field)
                    && let Some(own) = object.shift_remove(field)
                {
                    object.shift_insert(index, field.into(), own);
                }
            }
        }
        Self { revision, value: OnceLock::from(value), bytes: OnceLock::new() }
    }

    /// An object that is not stored: the answer to a dry run.
    #[must_use]
    pub fn unversioned(value: Value) -> Self {
        Self { revision: 0, value: OnceLock::from(value), bytes: OnceLock::new() }
    }

    /// An object whose JSON already carries its revision. It is parsed when first looked into.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, revision: u64) -> Self {
        Self { revision, value: OnceLock::new(), bytes: OnceLock::from(bytes) }
    }

    /// Whether it is unpacked into a tree.
    #[must_use]
    pub(super) fn is_warm(&self) -> bool {
        self.value.get().is_some()
    }

    /// The same without its tree.
    #[must_use]
    pub(super) fn cold(self: &Arc<Self>) -> Arc<Self> {
        if !self.is_warm() {
            return self.clone();
        }
        Arc::new(Self::from_bytes(self.bytes().clone(), self.revision))
    }

    /// The revision of the write that made this.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The object as a tree.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.value
            .get_or_init(|| self.bytes.get().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default())
    }

    /// The object as JSON text.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.bytes
            .get_or_init(|| serde_json::to_vec(self.value.get().unwrap_or(&Value::Null)).unwrap_or_default().into())
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.value(), f)
    }
}
