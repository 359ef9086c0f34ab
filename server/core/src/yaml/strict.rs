//! Reads JSON values as Rust types, objects only where objects are meant (serde itself also reads a struct from a list),
//! and says what is wrong in the words of who wrote it.

use berth_types::FieldError;
use serde::{
    de::{
        DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value, json};

/// Reads `value` as `T`; on failure the path and serde's message.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, serde_path_to_error::Error<Error>> {
    serde_path_to_error::deserialize(Strict(value))
}

#[derive(Clone, Copy)]
struct Strict<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, Error> for Strict<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Strict))),
            Value::Object(entries) => visitor
                .visit_map(MapDeserializer::new(entries.iter().map(|(key, value)| (key.as_str(), Strict(value))))),
            leaf => leaf.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_array() {
            return Err(Error::custom("invalid type: sequence, expected a map"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// What is wrong at one place.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    path: Vec<Segment>,
    code: &'static str,
    message: String,
    params: Vec<(&'static str, String)>,
    /// What could stand there, where that is a few words.
    known: Vec<String>,
    /// What was meant, perhaps.
    meant: Option<String>,
}

/// A step down into a document.
#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl Wrong {
    /// From serde's error: where, and in plain words what.
    fn of(error: serde_path_to_error::Error<Error>) -> Self {
        let mut path: Vec<Segment> = Vec::new();
        for segment in error.path().iter() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => path.push(Segment::Index(*index)),
                serde_path_to_error::Segment::Map { key } => path.push(Segment::Key(key.clone())),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
            }
        }
        let (wrong, name) = plain(&error.into_inner().to_string());
        if let Some(name) = name
            && path.last() != Some(&Segment::Key(name.clone()))
        {
            path.push(Segment::Key(name));
        }
        Self { path, ..wrong }
    }

    /// As the error of a field below `root`.
    pub(super) fn at(self, root: &str) -> FieldError {
        let mut field = root.to_owned();
        for segment in &self.path {
            match segment {
                Segment::Index(index) => field.push_str(&format!("[{index}]")),
                Segment::Key(key) => {
                    if !field.is_empty() {
                        field.push('.');
                    }
                    field.push_str(key);
                }
            }
        }
        let mut error = FieldError::new(field, self.code, self.message.clone()).param("reason", self.message);
        for (name, value) in self.params {
            error = error.param(name, value);
        }
        match self.meant {
            Some(meant) => error.suggest(meant),
            None => error,
        }
    }

    /// Whether this place is `other`'s or below it.
    fn is_within(&self, other: &[Segment]) -> bool {
        self.path.starts_with(other)
    }

    /// Puts something that can be read in the place of what is wrong, and reads again: all, or what is wrong next. `None`
    /// where nothing fits.
    fn mend<T: DeserializeOwned>(&self, document: &mut Value) -> Option<Result<T, Self>> {
        let mut fitting = vec![None];
        if self.code != "unknown_field" {
            let plain = [json!("x"), json!(1), json!(true), json!([]), json!({})];
            fitting =
                self.known.first().map(|word| json!(word)).into_iter().chain(plain).map(Some).chain([None]).collect();
        }
        for value in fitting {
            put(document, &self.path, value)?;
            match read::<T>(document).map_err(Self::of) {
                Err(next) if next.path == self.path => {}
                done => return Some(done),
            }
        }
        None
    }
}

/// Sets or removes what stands at `path`; `None` when there is no such place.
fn put(document: &mut Value, path: &[Segment], value: Option<Value>) -> Option<()> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(document, |at, segment| match segment {
        Segment::Key(key) => at.get_mut(key),
        Segment::Index(index) => at.get_mut(index),
    })?;
    match (last, value) {
        (Segment::Key(key), Some(value)) => {
            parent.as_object_mut()?.insert(key.clone(), value);
        }
        (Segment::Key(key), None) => {
            parent.as_object_mut()?.remove(key);
        }
        // Never removed: the others keep their numbers.
        (Segment::Index(index), value) => *parent.get_mut(index)? = value?,
    }
    Some(())
}

/// Everything that keeps `value` from being read as `T`, beginning with `first`, at most `most` places; and what is read once
/// something stands in each of them, if that is all. serde stops at the first error; so each place is put right in a copy, and
/// the copy is read again.
pub(super) fn all_wrong<T: DeserializeOwned>(
    value: &Value,
    first: serde_path_to_error::Error<Error>,
    most: usize,
) -> (Vec<Wrong>, Option<T>) {
    let mut copy = value.clone();
    let mut all: Vec<Wrong> = Vec::new();
    let mut next = Wrong::of(first);
    // What was put in a wrong place may need mending itself: that is told to nobody, and bounded here.
    for _ in 0..most * 8 {
        let mended = next.mend::<T>(&mut copy);
        if !all.iter().any(|known| next.is_within(&known.path)) {
            all.push(next);
        }
        match mended {
            Some(Err(more)) if all.len() < most => next = more,
            Some(Ok(read)) => return (all, Some(read)),
            _ => break,
        }
    }
    (all, None)
}

/// serde's message for people who never heard of Rust, and the name of the field that is missing or unknown.
fn plain(message: &str) -> (Wrong, Option<String>) {
    let names = |list: &str| list.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let wrong = |code: &'static str, message: String, params: Vec<(&'static str, String)>| Wrong {
        path: Vec::new(),
        code,
        message,
        params,
        known: Vec::new(),
        meant: None,
    };
    if let Some(rest) = message.strip_prefix("missing field `") {
        let name = rest.split('`').next().map(str::to_owned);
        return (wrong("required", "is needed".to_owned(), Vec::new()), name);
    }
    if let Some((name, rest)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        let known = names(rest);
        let meant = nearest(name, &known);
        let listed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!("there is no field “{name}” here; known: {listed}");
        let params = vec![("name", name.to_owned()), ("known", listed)];
        return (Wrong { meant, ..wrong("unknown_field", message, params) }, Some(name.to_owned()));
    }
    if let Some((name, rest)) = message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once('`')) {
        let known = names(rest);
        let meant = nearest(name, &known);
        let message = format!("“{name}” is none of {}", known.join(", "));
        let params = vec![("wanted", "one_of".to_owned()), ("found", format!("“{name}”")), ("known", known.join(", "))];
        return (Wrong { known, meant, ..wrong("type", message, params) }, None);
    }
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    let Some((found, wanted)) = found.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return (wrong("type", message.to_owned(), Vec::new()), None);
    };
    let scalar = ["integer `", "floating point `", "boolean `"].iter().any(|kind| found.starts_with(kind));
    // What was found as it is written, in any language.
    let (shown, found) = match found {
        "sequence" => ("a list".to_owned(), "[…]".to_owned()),
        "map" => ("an object".to_owned(), "{…}".to_owned()),
        "null" | "unit value" | "Option value" => ("null".to_owned(), "null".to_owned()),
        _ => {
            let value = found.split_once(['`', '"']).map(|(_, value)| value.trim_end_matches(['`', '"']));
            let value = value.map_or_else(|| found.to_owned(), |value| format!("“{value}”"));
            (value.clone(), value)
        }
    };
    let (word, wanted) = match wanted {
        "a string" | "a borrowed string" | "str" => ("text", "text"),
        "a boolean" => ("boolean", "true or false"),
        "a sequence" => ("list", "a list"),
        "f64" | "f32" => ("number", "a number"),
        "i8" | "i16" | "i32" | "i64" => ("integer", "a whole number"),
        "u8" | "u16" | "u32" | "u64" | "usize" => ("natural", "a whole number, not less than 0"),
        "a map" => ("object", "an object"),
        other if other.starts_with("struct ") || other.starts_with("enum ") || other.starts_with("internally") => {
            ("object", "an object")
        }
        other => ("", other),
    };
    let quote = word == "text" && scalar;
    let way_out = if quote { "; quote it, as in \"010\"" } else { "" };
    let message = format!("{shown} stands where {wanted} is meant{way_out}");
    let word = if quote { "text_quoted" } else { word };
    (wrong("type", message, vec![("wanted", word.to_owned()), ("found", found)]), None)
}

/// The one of `known` that looks like `name`: misspelt, or one letter short.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let close = |candidate: &String| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    let best = known.iter().max_by(|a, b| close(a).total_cmp(&close(b)))?;
    (close(best) > 0.85).then(|| best.clone())
}
