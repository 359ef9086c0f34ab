//! Texts in the reader's language. `tr::common::save(language)` is a function that the build makes from
//! `locales/*/common.json`; parameters are arguments. Texts whose key is known at run time only (error codes, causes)
//! are found with [`filled`].

use std::fmt::Display;

use berth_core::ports::pages::Language;
use berth_types::{ErrorCode, FieldError};

/// Made by `build.rs`.
#[allow(clippy::all, missing_docs, unused_imports)]
mod texts {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/texts.rs"));
}
pub use texts::*;

/// The text with its parameters filled in; `None` when there is no such text, or `param` lacks what it names.
pub fn filled<'a>(
    language: Language,
    namespace: &str,
    key: &str,
    param: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let mut rest = template(language, namespace, key)?;
    let mut out = String::with_capacity(rest.len() + 16);
    while let Some((before, from)) = rest.split_once('{') {
        let (inner, after) = from.split_once('}')?;
        out.push_str(before);
        match inner.split_once(':') {
            None => out.push_str(param(inner)?),
            Some((name, forms)) => {
                let (one, many) = forms.split_once('|')?;
                out.push_str(if param(name)? == "1" { one } else { many });
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// What is wrong with a field and what is allowed; in English as it came where the language has no words for it.
#[must_use]
pub fn field_error(language: Language, error: &FieldError) -> String {
    let param = |name: &str| error.params.get(name).map(String::as_str);
    // What type is wanted has sentences of its own; names that are known here are told where there are some.
    let more = param("wanted").or_else(|| param("known").map(|_| "known"));
    more.and_then(|more| filled(language, "fields", &format!("{}_{more}", error.code), param))
        .or_else(|| filled(language, "fields", &error.code, param))
        .unwrap_or_else(|| error.message.clone())
}

/// The title of an error's page.
#[must_use]
pub fn error_title(language: Language, code: ErrorCode) -> &'static str {
    template(language, "errors", &key(code.as_str())).unwrap_or_else(|| code.title())
}

/// What to do about an error. `change`: something was to be changed; who only looked need not be told that nothing was.
#[must_use]
pub fn error_advice(language: Language, code: ErrorCode, change: bool) -> Option<&'static str> {
    let key = key(code.as_str());
    let looked = (!change).then(|| template(language, "errors", &format!("{key}_looked"))).flatten();
    looked.or_else(|| template(language, "errors", &format!("{key}_advice")))
}

/// A code as key: `not-found` is `not_found`.
#[must_use]
pub fn key(code: &str) -> String {
    code.replace('-', "_")
}
