//! Sentences whose parts are known at run time only: causes, changes.

use std::collections::BTreeMap;

use berth_core::ports::pages::Language;
use berth_types::{
    CauseCode,
    image::ImageRef,
    rows::AppRow,
    text::{printable, schedule_reason},
};

use super::history::Change;
use crate::tr;

/// The cause of a degraded app, in the reader's language: with what is known of it, else bare.
#[must_use]
pub fn cause(lang: Language, code: CauseCode, params: &BTreeMap<String, String>, english: &str) -> String {
    let key = format!("cause_{}", tr::key(code.as_str()));
    let reason = params.get("reason").map(|reason| match code {
        CauseCode::ImagePull => pull(lang, reason),
        CauseCode::Unschedulable => scheduling(lang, reason),
        _ => reason.clone(),
    });
    let object = params.get("object").map(|object| missing(lang, object));
    let param = |name: &str| {
        let told = match name {
            "reason" => reason.as_deref(),
            "object" => object.as_deref(),
            _ => params.get(name).map(String::as_str),
        };
        told.filter(|text| !text.is_empty())
    };
    let text =
        tr::filled(lang, "apps", &key, param).or_else(|| tr::filled(lang, "apps", &format!("{key}_bare"), param));
    printable(&text.unwrap_or_else(|| english.to_owned())).into_owned()
}

/// Why an image cannot be pulled.
fn pull(lang: Language, word: &str) -> String {
    let key = format!("pull_{}", word.replace(' ', "_"));
    tr::template(lang, "apps", &key).map_or_else(|| word.to_owned(), str::to_owned)
}

/// `key PASSWORD of Secret db`, as the reader says it.
fn missing(lang: Language, object: &str) -> String {
    match object.strip_prefix("key ").and_then(|rest| rest.split_once(" of ")) {
        Some((key, of)) => tr::apps::key_of(lang, key, of.strip_prefix("a ").unwrap_or(of)),
        None => object.to_owned(),
    }
}

/// What the scheduler says, `0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods`, in the reader's words where they are
/// known: <https://github.com/kubernetes/kubernetes/tree/v1.35.0/pkg/scheduler/framework/plugins>.
#[must_use]
pub fn scheduling(lang: Language, text: &str) -> String {
    let Some((_, reasons)) = text.split_once(" nodes are available: ") else { return text.to_owned() };
    let reasons = schedule_reason(reasons);
    let known = |reason: &str| {
        let of = |key: &str| tr::template(lang, "apps", &format!("unfit_{key}")).map(str::to_owned);
        if let Some(resource) = reason.strip_prefix("Insufficient ") {
            return Some(tr::apps::unfit_insufficient(lang, resource));
        }
        [
            ("Too many pods", "pods"),
            ("untolerated taint", "taint"),
            ("anti-affinity", "anti_affinity"),
            ("node affinity conflict", "volume"),
            ("affinity/selector", "affinity"),
            ("topology spread", "spread"),
            ("unschedulable", "cordoned"),
            ("free ports", "ports"),
        ]
        .into_iter()
        .find_map(|(sign, key)| reason.contains(sign).then(|| of(key)).flatten())
    };
    let reasons = reasons.split(", ").map(|part| {
        let (count, reason) = part.split_once(' ').filter(|(n, _)| n.parse::<u32>().is_ok()).unwrap_or(("", part));
        match known(reason) {
            Some(words) if !count.is_empty() => tr::apps::unfit_nodes(lang, count, words),
            _ => part.to_owned(),
        }
    });
    reasons.collect::<Vec<_>>().join(tr::apps::semicolon(lang))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_in_every_language_however_little_is_known() {
        for lang in [Language::En, Language::ZhCn] {
            for code in CauseCode::ALL {
                let said = cause(lang, *code, &BTreeMap::new(), "");
                assert!(!said.is_empty(), "{code} {lang:?}");
            }
        }
    }

    #[test]
    fn what_the_cluster_says_is_translated_where_it_is_known() {
        let say = |lang, code, key: &str, value: &str| {
            let mut params = BTreeMap::from([("image".to_owned(), "a:1".to_owned())]);
            params.insert(key.to_owned(), value.to_owned());
            cause(lang, code, &params, "")
        };
        let full = "0/4 nodes are available: 3 Insufficient cpu, 1 node(s) had untolerated taint {a: b}";
        for (lang, code, key, value, want) in [
            (
                Language::En,
                CauseCode::Unschedulable,
                "reason",
                full,
                "No node has room for it: 3 nodes: too little cpu free; 1 node: tainted",
            ),
            (
                Language::ZhCn,
                CauseCode::Unschedulable,
                "reason",
                full,
                "没有节点能容纳它：3 个节点：cpu 不足；1 个节点：有污点",
            ),
            (Language::ZhCn, CauseCode::ImagePull, "reason", "not found", "无法拉取镜像 a:1：镜像不存在"),
            (
                Language::ZhCn,
                CauseCode::ConfigMissing,
                "object",
                "key A of Secret db",
                "缺少它所需的 Secret db 中的键 A",
            ),
            (Language::ZhCn, CauseCode::OutOfMemory, "x", "", "没有内存上限，所在节点内存耗尽，因此被终止"),
        ] {
            assert_eq!(say(lang, code, key, value), want);
        }
    }
}
