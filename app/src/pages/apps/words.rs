//! Sentences whose parts are known at run time only: causes, changes.

use std::collections::BTreeMap;

use berth_core::ports::pages::Language;
use berth_types::{CauseCode, image::ImageRef, rows::AppRow, text::printable};

use super::history::Change;
use crate::tr;

/// The cause of a degraded app, in the reader's language; in English as it came where a parameter is missing.
#[must_use]
pub fn cause(lang: Language, code: CauseCode, params: &BTreeMap<String, String>, english: &str) -> String {
    let key = format!("cause_{}", tr::key(code.as_str()));
    let text = tr::filled(lang, "apps", &key, |name| params.get(name).map(String::as_str).filter(|v| !v.is_empty()));
    printable(&text.unwrap_or_else(|| english.to_owned())).into_owned()
}

/// Why an app in a list is not simply ready.
#[must_use]
pub fn why(lang: Language, row: &AppRow) -> String {
    match (row.cause_code, &row.cause) {
        (Some(code), english) => cause(lang, code, &row.cause_params, english.as_deref().unwrap_or_default()),
        (None, Some(english)) => printable(english).into_owned(),
        (None, None) => match row.phase {
            berth_types::AppPhase::Progressing => tr::apps::n_of_m_ready(lang, row.ready, row.desired),
            _ => String::new(),
        },
    }
}

/// What a revision changed, in a few words.
#[must_use]
pub fn change(lang: Language, change: &Change) -> String {
    match change {
        Change::Image(image) => tr::apps::change_image(lang, image_short(image)),
        Change::Replicas(from, to) => tr::apps::change_replicas(lang, from, to),
        Change::Env(names) => match names.as_slice() {
            [a] => a.clone(),
            [a, b] => format!("{a}, {b}"),
            [a, rest @ ..] => tr::apps::change_env_more(lang, a, rest.len()),
            [] => tr::apps::environment(lang).to_owned(),
        },
        Change::Suspended(true) => tr::apps::change_suspended(lang).to_owned(),
        Change::Suspended(false) => tr::apps::change_resumed(lang).to_owned(),
        Change::Added(name) => tr::apps::change_added(lang, name),
        Change::Removed(name) => tr::apps::change_removed(lang, name),
        Change::Field(name) => name.clone(),
    }
}

/// All that a revision changed; empty when nothing is known.
#[must_use]
pub fn changes(lang: Language, all: &[Change]) -> String {
    let words: Vec<String> = all.iter().map(|c| change(lang, c)).collect();
    words.join(if lang == Language::ZhCn { "、" } else { ", " })
}

/// The part of an image that a narrow column shows.
#[must_use]
pub fn image_short(image: &str) -> String {
    ImageRef::parse(image).map_or_else(|_| printable(image).into_owned(), |parsed| parsed.short())
}
