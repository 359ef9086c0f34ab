//! Apps: a row for lists, and the object itself, packed, so that one app is answered from the cache.

use std::{cell::RefCell, io::Read as _, sync::Arc};

use berth_core::ports::cluster::{AppClaims, AppObject};
use berth_types::{
    app_status::{AppPhase, AppStatus},
    rows::{AppRow, AppView},
};
use flate2::{Compress, Compression, FlushCompress, Status, read::DeflateDecoder};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    query::{Column, Key, Listed, mentions},
    store::{Entry, Record},
};
use crate::intern::Interner;

/// Objects from this size on are compressed; below, it is not worth the time.
const PACK_FROM: usize = 2048;

/// JSON at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Packed {
    Plain(Box<[u8]>),
    Deflated(Box<[u8]>),
}

impl Packed {
    fn new(value: &Value) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        if json.len() >= PACK_FROM
            && let Some(packed) = deflate(&json)
        {
            return Self::Deflated(packed);
        }
        Self::Plain(json.into())
    }

    fn open(&self) -> Value {
        let parsed = match self {
            Self::Plain(json) => serde_json::from_slice(json),
            Self::Deflated(packed) => {
                let mut json = Vec::with_capacity(packed.len() * 5);
                // What was packed above can be unpacked.
                let _ = DeflateDecoder::new(&packed[..]).read_to_end(&mut json);
                serde_json::from_slice(&json)
            }
        };
        parsed.unwrap_or_default()
    }
}

thread_local! {
    /// Some 300 KB of tables, which take longer to make than an object takes to pack.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

fn deflate(json: &[u8]) -> Option<Box<[u8]>> {
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        // What cannot be packed into its own size is kept as it is.
        let mut packed = Vec::with_capacity(json.len());
        let done = deflate.compress_vec(json, &mut packed, FlushCompress::Finish).ok()?;
        (done == Status::StreamEnd).then(|| packed.into())
    })
}

/// An app in the cache.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AppRecord {
    pub(crate) row: AppRow,
    pub(crate) uid: Arc<str>,
    pub(crate) generation: i64,
    pub(crate) claims: Arc<AppClaims>,
    /// The version in which this generation of the spec was first seen: an edit that began then or later has seen the
    /// spec as it still is, whatever happened to the status since.
    pub(crate) spec_version: u64,
    object: Packed,
}

impl AppRecord {
    /// The object, without `managedFields`.
    pub(crate) fn object(&self) -> Value {
        self.object.open()
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

/// A row for the cache.
pub(crate) fn entry(mut object: Value, strings: &Interner) -> Option<Entry<AppRecord>> {
    strip(&mut object);
    let name = text(&object, "/metadata/name").filter(|n| !n.is_empty())?;
    let namespace = strings.get(text(&object, "/metadata/namespace")?);
    let name: Arc<str> = strings.get(name);
    let version = text(&object, "/metadata/resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
    let created_at = time(&object, "/metadata/creationTimestamp").unwrap_or_default();
    let status = status_of(&object);
    // What the controller has not looked at yet is on its way, whatever it found before.
    let current = status.observed_generation >= generation;
    let cause = status.cause.filter(|_| current);
    let components = object.pointer("/spec/components").and_then(Value::as_array);
    let image = components.and_then(|c| c.first()).and_then(|c| text(c, "/image")).unwrap_or_default();
    let row = AppRow {
        name: name.clone(),
        kube_namespace: namespace.clone(),
        phase: if current { status.phase } else { AppPhase::Progressing },
        cause: cause.as_ref().map(|c| strings.get(&c.message)),
        cause_code: cause.as_ref().map(|c| c.code),
        cause_params: cause.map(|c| c.params).unwrap_or_default(),
        image: strings.get(image),
        components: components.map_or(0, Vec::len),
        ready: status.components.iter().map(|c| c.ready).sum(),
        desired: wanted_pods(&object["spec"])
            .filter(|_| !current)
            .unwrap_or_else(|| status.components.iter().map(|c| c.desired).sum()),
        revision: status.revision,
        created_at,
        changed_at: status.since.unwrap_or(created_at),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
    };
    let record = AppRecord {
        row,
        uid: text(&object, "/metadata/uid").unwrap_or_default().into(),
        generation,
        claims: Arc::new(AppClaims::of(&name, &object["spec"])),
        spec_version: version,
        object: Packed::new(&object),
    };
    Some(Entry { namespace, name, version, row: record })
}

/// Pods that a spec wants, where it says so itself: neither suspended nor scaled by something else.
fn wanted_pods(spec: &Value) -> Option<i32> {
    let components = spec["components"].as_array()?;
    let fixed = spec["suspended"] != true && components.iter().all(|c| c["autoscale"].is_null());
    let replicas = components.iter().map(|c| c["replicas"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(1));
    fixed.then(|| replicas.sum())
}

/// Takes out what nobody wants to see.
pub(crate) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn time(object: &Value, path: &str) -> Option<Timestamp> {
    text(object, path).and_then(|t| t.parse().ok())
}

/// The status, as far as it can be read.
pub(crate) fn status_of(object: &Value) -> AppStatus {
    object.get("status").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default()
}

/// For pages and API.
///
/// # Errors
/// When the spec is none: an object that came past the schema.
pub(crate) fn view(mut object: Value) -> Result<AppObject, serde_json::Error> {
    strip(&mut object);
    let owned = |path: &str| text(&object, path).unwrap_or_default().to_owned();
    let view = AppView {
        name: owned("/metadata/name"),
        kube_namespace: owned("/metadata/namespace"),
        uid: owned("/metadata/uid"),
        resource_version: owned("/metadata/resourceVersion"),
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
        created_at: time(&object, "/metadata/creationTimestamp").unwrap_or_default(),
        deleting_since: time(&object, "/metadata/deletionTimestamp"),
        spec: serde_json::from_value(object.get("spec").cloned().unwrap_or_default())?,
        status: status_of(&object),
        warnings: Vec::new(),
    };
    Ok(AppObject { view, object: Arc::new(object) })
}

impl Record for AppRecord {
    type Wire = Value;
    const COUNTED: &'static [Column<Self>] = Self::COLUMNS;

    fn decode(wire: Value, strings: &Interner) -> Option<Entry<Self>> {
        entry(wire, strings)
    }

    fn app(&self) -> Option<&Arc<str>> {
        Some(&self.row.name)
    }

    fn inherit(&mut self, version: u64, former: Option<&Self>) {
        self.spec_version = match former {
            Some(former) if former.generation == self.generation && former.uid == self.uid => former.spec_version,
            _ => version,
        };
    }
}

impl Listed for AppRecord {
    type Out = AppRow;
    const COLUMNS: &'static [Column<Self>] = &[
        Column { name: "name", key: |a| Key::Text(&a.row.name), facet: false },
        Column { name: "phase", key: |a| Key::Word(a.row.phase as u8, a.row.phase.as_str()), facet: true },
        Column { name: "image", key: |a| Key::Text(&a.row.image), facet: false },
        Column { name: "ready", key: |a| Key::Number(a.row.ready.into()), facet: false },
        Column { name: "created", key: |a| Key::Number(a.row.created_at.as_millisecond()), facet: false },
        Column { name: "changed", key: |a| Key::Number(a.row.changed_at.as_millisecond()), facet: false },
        Column {
            name: "cause",
            key: |a| a.row.cause_code.map_or(Key::Nothing, |c| Key::Word(c as u8, c.as_str())),
            facet: true,
        },
    ];
    fn name(&self) -> &str {
        &self.row.name
    }
    fn mentions(&self, word: &str) -> bool {
        mentions(&self.row.name, word)
            || mentions(&self.row.image, word)
            || self.row.cause.as_deref().is_some_and(|c| mentions(c, word))
    }
    fn out(&self) -> AppRow {
        self.row.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(version: u64, generation: i64, observed: i64, padding: usize) -> Value {
        json!({
            "apiVersion": "berth.dev/v1alpha1", "kind": "App",
            "metadata": {"name": "web", "namespace": "shop-dev", "uid": "u1", "resourceVersion": version.to_string(),
                "generation": generation, "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"note": "x".repeat(padding)}, "managedFields": [{"manager": "kubectl"}]},
            "spec": {"components": [{"name": "main", "image": "nginx:1.27"}]},
            "status": {"observedGeneration": observed, "phase": "Ready", "revision": 3, "ready": "2/2",
                "components": [{"name": "main", "phase": "Ready", "desired": 2, "updated": 2, "ready": 2, "total": 2, "image": "nginx:1.27"}]},
        })
    }

    #[test]
    fn rows_and_objects() {
        for padding in [0, 9000] {
            let entry = entry(app(5, 2, 2, padding), &Interner::default()).expect("a row");
            let row = &entry.row.row;
            assert_eq!((row.phase, row.ready, row.desired, row.revision), (AppPhase::Ready, 2, 2, 3));
            let object = entry.row.object();
            assert_eq!(object["metadata"]["annotations"]["note"].as_str().map(str::len), Some(padding));
            assert!(object["metadata"].get("managedFields").is_none());
            assert_eq!(view(object).expect("a view").view.spec.components[0].image, "nginx:1.27");
            match &entry.row.object {
                Packed::Plain(_) => assert_eq!(padding, 0),
                Packed::Deflated(bytes) => assert!(padding > 0 && bytes.len() < 1000),
            }
        }
    }

    #[test]
    fn a_new_generation_is_on_its_way() {
        let entry = entry(app(6, 3, 2, 0), &Interner::default()).expect("a row");
        assert_eq!(entry.row.row.phase, AppPhase::Progressing);
        assert_eq!(entry.row.row.desired, 1, "as it is wanted now");
    }

    #[test]
    fn remembers_when_the_spec_changed() {
        let strings = Interner::default();
        let store = super::super::store::Store::<AppRecord>::default();
        let spec_version = |version, generation| {
            store.apply(entry(app(version, generation, 1, 0), &strings).expect("a row"));
            store.with("shop-dev", "web", |s| s.row.spec_version)
        };
        assert_eq!(spec_version(5, 1), Some(5));
        assert_eq!(spec_version(8, 1), Some(5), "only the status changed");
        assert_eq!(spec_version(9, 2), Some(9));
    }
}
