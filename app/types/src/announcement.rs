//! What the platform tells everybody: a banner on every page, for a while.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::role::words;

words!(
    /// How much it matters. The gravest comes first.
    AnnouncementLevel {
        /// Something is broken, or will be: nobody can put it away.
        Critical = "critical",
        /// Something to prepare for.
        Warning = "warning",
        /// Good to know.
        Info = "info",
    }
);

/// A banner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// Its id.
    pub id: Uuid,
    /// How much it matters.
    pub level: AnnouncementLevel,
    /// Plain text; `https://…` in it becomes a link.
    pub text: String,
    /// Shown from then on.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub from: Timestamp,
    /// Until then; absent: until it is removed.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until: Option<Timestamp>,
    /// Also before people have signed in.
    pub on_sign_in: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Counts changes. Who put it away sees it again once it was changed.
    pub version: i64,
}

impl Announcement {
    /// Whether it is shown at `now`.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// An announcement as somebody wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnouncementText {
    /// `info`, `warning` or `critical`.
    pub level: String,
    /// Plain text of at most 500 characters; `https://…` in it becomes a link.
    pub text: String,
    /// Shown from then on, as RFC 3339 or `2026-11-20T08:00` in UTC; absent or empty: from now on.
    #[serde(default)]
    pub from: Option<String>,
    /// Until then; absent or empty: until it is removed.
    #[serde(default)]
    pub until: Option<String>,
    /// Also before people have signed in.
    #[serde(default)]
    pub on_sign_in: bool,
}

/// Longest text, in characters.
pub const MAX_TEXT: usize = 500;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Plain.
    Text(&'a str),
    /// An address that one can go to.
    Link(&'a str),
}

/// The text with its addresses told apart. Only `https://` and `http://` are such; what ends a sentence is no part of them.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    let begin = |text: &str| ["https://", "http://"].iter().filter_map(|scheme| text.find(scheme)).min();
    while let Some(at) = begin(rest) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(from.len());
        let link =
            from[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '。', '，', '；', '）', '！', '？']);
        let scheme = link.find("://").map_or(0, |at| at + 3);
        if link.len() <= scheme {
            // A scheme and nothing behind it.
            out.push(Piece::Text(&rest[..at + end]));
            rest = &rest[at + end..];
            continue;
        }
        if !before.is_empty() {
            out.push(Piece::Text(before));
        }
        out.push(Piece::Link(link));
        rest = &from[link.len()..];
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        use Piece::{Link, Text};
        for (text, want) in [
            ("plain", vec![Text("plain")]),
            ("see https://a.example/b?c=1.", vec![Text("see "), Link("https://a.example/b?c=1"), Text(".")]),
            ("(http://a.example)", vec![Text("("), Link("http://a.example"), Text(")")]),
            ("https://a https://b", vec![Link("https://a"), Text(" "), Link("https://b")]),
            ("javascript:alert(1)", vec![Text("javascript:alert(1)")]),
            (r#"https://a"onclick=x"#, vec![Link("https://a"), Text(r#""onclick=x"#)]),
            ("https:// nothing", vec![Text("https://"), Text(" nothing")]),
            ("请看 https://a.example。", vec![Text("请看 "), Link("https://a.example"), Text("。")]),
        ] {
            assert_eq!(pieces(text), want, "{text}");
        }
    }
}
