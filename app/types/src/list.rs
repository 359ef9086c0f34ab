//! Lists: how they are asked for and how they answer. The same words in the URL of a page and of the API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Rows of a page when nothing else is asked for.
pub const DEFAULT_LIMIT: usize = 100;
/// Most rows of one page.
pub const MAX_LIMIT: usize = 500;

/// One key of `sort=-created,name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// Column.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// What part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Rows, 1 to [`MAX_LIMIT`]; 0 means [`DEFAULT_LIMIT`].
    pub limit: usize,
    /// First row, 0-based, for pages with numbers.
    pub offset: usize,
    /// Opaque place to go on from, from [`Page::next`]. Wins over `offset`.
    pub cursor: Option<String>,
    /// Most important key first; the name is always the last resort.
    pub sort: Vec<SortKey>,
    /// Words that must all occur in a row.
    pub q: String,
    /// Column → values, any of which will do.
    pub filters: BTreeMap<String, Vec<String>>,
}

impl ListQuery {
    /// Rows of a page, within bounds.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.limit {
            0 => DEFAULT_LIMIT,
            n => n.min(MAX_LIMIT),
        }
    }

    /// Reads `sort=-created,name`. Which fields exist is for the list itself to say.
    #[must_use]
    pub fn parse_sort(text: &str) -> Vec<SortKey> {
        text.split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(|key| match key.strip_prefix('-') {
                Some(field) => SortKey { field: field.to_owned(), descending: true },
                None => SortKey { field: key.to_owned(), descending: false },
            })
            .collect()
    }

    /// The inverse of [`Self::parse_sort`].
    #[must_use]
    pub fn sort_text(&self) -> String {
        let keys: Vec<String> =
            self.sort.iter().map(|k| format!("{}{}", if k.descending { "-" } else { "" }, k.field)).collect();
        keys.join(",")
    }

    /// With one more filter value.
    #[must_use]
    pub fn filter(mut self, field: &str, value: impl Into<String>) -> Self {
        self.filters.entry(field.to_owned()).or_default().push(value.into());
        self
    }
}

/// Whether a list follows its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListFreshness {
    /// `live`, `stale`, or `loading` before the first list has come.
    pub state: String,
    /// Since when it is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// Why it is stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when nobody carries out what is wanted in the cluster: changes are taken, but wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub idle_since: Option<Timestamp>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows match the filters, over all pages.
    pub total: usize,
    /// Row number of the first item, 0-based.
    pub offset: usize,
    /// Where the next page begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many rows have which value of the columns one filters by, before that column's own filter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facets: BTreeMap<String, BTreeMap<String, usize>>,
    /// The data's age: what the list showed was true then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub as_of: Option<Timestamp>,
    /// Whether it follows its cluster; absent where it is of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<ListFreshness>,
}

impl<T> Page<T> {
    /// A page that holds the whole list.
    #[must_use]
    pub fn whole(items: Vec<T>) -> Self {
        Self { total: items.len(), items, offset: 0, next: None, facets: BTreeMap::new(), as_of: None, freshness: None }
    }

    /// The same page of other rows.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            total: self.total,
            offset: self.offset,
            next: self.next,
            facets: self.facets,
            as_of: self.as_of,
            freshness: self.freshness,
        }
    }
}
