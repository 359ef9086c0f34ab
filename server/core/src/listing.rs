//! Lists that are held whole: search, filters, order and pages in memory, as the store and the cluster's cache do it for
//! theirs.
//!
//! A cursor holds the sort keys of the last row, so that the next page begins there whatever was added or removed meanwhile.

use std::{cmp::Ordering, collections::BTreeMap};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use berth_types::{FieldError, ListQuery, Page, SortKey};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// A number or a time.
    Int(i64),
    /// Text, by its code points.
    Text(String),
}

impl From<i64> for Key {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<jiff::Timestamp> for Key {
    fn from(value: jiff::Timestamp) -> Self {
        Self::Int(value.as_microsecond())
    }
}

impl From<&str> for Key {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A column to sort or filter by.
pub struct Column<T: 'static> {
    /// As `sort=` and the filter call it.
    pub name: &'static str,
    /// Its sort key; none: nothing to sort by.
    pub key: Option<fn(&T) -> Key>,
    /// Its text for filters; none: nothing to filter by.
    pub value: Option<fn(&T) -> String>,
    /// Whether pages count its values.
    pub facet: bool,
}

/// How rows of one kind are listed.
pub struct Listing<T: 'static> {
    /// Columns to sort and filter by.
    pub columns: &'static [Column<T>],
    /// Where the words of `q` are looked for.
    pub search: fn(&T) -> String,
    /// The column no two rows share: the last resort of every order, and the order when none is asked for.
    pub unique: &'static str,
    /// Whether that order goes downwards.
    pub descending: bool,
}

/// Where a page ended. Opaque to clients: base64 of JSON.
#[derive(Serialize, Deserialize)]
struct Cursor {
    sort: String,
    after: Vec<Key>,
}

type Order<T> = Vec<(fn(&T) -> Key, bool)>;

impl<T> Listing<T> {
    /// Names of the columns to sort by.
    pub fn sorts(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|c| c.key.is_some()).map(|c| c.name)
    }

    /// Names of the columns to filter by.
    pub fn filters(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|c| c.value.is_some()).map(|c| c.name)
    }

    /// The part of `rows` that `query` wants.
    ///
    /// # Errors
    /// `Invalid` at `sort`, `filter` or `cursor`, with what is known.
    pub fn page(&self, rows: Vec<T>, query: &ListQuery) -> Result<Page<T>> {
        let order = self.order(&query.sort)?;
        let filters = self.wanted(query)?;
        let words: Vec<String> = query.q.split_whitespace().map(str::to_lowercase).collect();
        let found: Vec<T> = rows
            .into_iter()
            .filter(|row| {
                let text = if words.is_empty() { String::new() } else { (self.search)(row).to_lowercase() };
                words.iter().all(|word| text.contains(word.as_str()))
            })
            .collect();
        let fits = |row: &T, but: Option<&str>| {
            filters.iter().all(|(name, value, wanted)| Some(*name) == but || wanted.contains(&value(row)))
        };
        let mut facets = BTreeMap::new();
        for column in self.columns.iter().filter(|c| c.facet) {
            let Some(value) = column.value else { continue };
            let mut counts = BTreeMap::new();
            for row in found.iter().filter(|row| fits(row, Some(column.name))) {
                *counts.entry(value(row)).or_insert(0) += 1;
            }
            facets.insert(column.name.to_owned(), counts);
        }
        let mut keyed: Vec<(Vec<Key>, T)> = found
            .into_iter()
            .filter(|row| fits(row, None))
            .map(|row| (order.iter().map(|(key, _)| key(&row)).collect(), row))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| compare(&order, a, b));
        let total = keyed.len();
        // Lists of other kinds have orders of the same name.
        let kind: Vec<&str> = self.columns.iter().map(|c| c.name).collect();
        let sort = format!("{}|{}", kind.join(","), query.sort_text());
        let offset = match &query.cursor {
            Some(text) => {
                let after = decode(text, &sort, order.len())?;
                keyed.partition_point(|(keys, _)| compare(&order, keys, &after) != Ordering::Greater)
            }
            None => query.offset.min(total),
        };
        let part: Vec<(Vec<Key>, T)> = keyed.into_iter().skip(offset).take(query.rows()).collect();
        let next = match part.last() {
            Some((after, _)) if offset + part.len() < total => Some(encode(sort, after.clone())?),
            _ => None,
        };
        let items = part.into_iter().map(|(_, row)| row).collect();
        Ok(Page { items, total, offset, next, facets, as_of: None, freshness: None })
    }

    fn order(&self, wanted: &[SortKey]) -> Result<Order<T>> {
        let last = SortKey { field: self.unique.to_owned(), descending: self.descending };
        let mut order: Order<T> = Vec::new();
        for sort in wanted.iter().chain([&last]) {
            let key = self.columns.iter().find(|c| c.name == sort.field).and_then(|c| c.key).ok_or_else(|| {
                let known: Vec<&str> = self.sorts().collect();
                unknown("sort", "sort_unknown", &sort.field, "sort", &known)
            })?;
            order.push((key, sort.descending));
            if sort.field == self.unique {
                break;
            }
        }
        Ok(order)
    }

    #[expect(clippy::type_complexity, reason = "local to this file")]
    fn wanted<'q>(&self, query: &'q ListQuery) -> Result<Vec<(&'static str, fn(&T) -> String, &'q [String])>> {
        let mut filters = Vec::new();
        for (name, values) in query.filters.iter().filter(|(_, values)| !values.is_empty()) {
            let column = self.columns.iter().find(|c| c.name == name).and_then(|c| Some((c.name, c.value?)));
            let (name, value) = column.ok_or_else(|| {
                let known: Vec<&str> = self.filters().collect();
                unknown("filter", "filter_unknown", name, "filter", &known)
            })?;
            filters.push((name, value, values.as_slice()));
        }
        Ok(filters)
    }
}

fn unknown(field: &str, code: &str, value: &str, verb: &str, known: &[&str]) -> Error {
    let known = known.join(", ");
    let message = format!("“{value}” is nothing to {verb} by: use {known}");
    Error::field(FieldError::new(field, code, message).param("value", value).param("known", known))
}

fn compare<T>(order: &Order<T>, a: &[Key], b: &[Key]) -> Ordering {
    for ((a, b), (_, descending)) in a.iter().zip(b).zip(order) {
        let by = if *descending { b.cmp(a) } else { a.cmp(b) };
        if by != Ordering::Equal {
            return by;
        }
    }
    Ordering::Equal
}

fn encode(sort: String, after: Vec<Key>) -> Result<String> {
    Ok(BASE64.encode(serde_json::to_vec(&Cursor { sort, after }).map_err(Error::internal)?))
}

fn decode(text: &str, sort: &str, keys: usize) -> Result<Vec<Key>> {
    let bytes = BASE64.decode(text).ok();
    let cursor: Option<Cursor> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    cursor.filter(|cursor| cursor.sort == sort && cursor.after.len() == keys).map(|cursor| cursor.after).ok_or_else(
        || Error::field(FieldError::new("cursor", "cursor", "take the cursor from the page before, and keep its sort")),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    static FRUIT: Listing<(&str, i64)> = Listing {
        columns: &[
            Column { name: "name", key: Some(|r| r.0.into()), value: None, facet: false },
            Column { name: "weight", key: Some(|r| r.1.into()), value: Some(|r| r.1.to_string()), facet: true },
        ],
        search: |r| r.0.to_owned(),
        unique: "name",
        descending: false,
    };
    const ROWS: [(&str, i64); 5] = [("Pear", 2), ("apple", 2), ("fig", 1), ("plum", 1), ("cherry", 1)];

    fn names(query: &ListQuery) -> String {
        FRUIT.page(ROWS.to_vec(), query).unwrap().items.iter().map(|r| r.0).collect::<Vec<_>>().join(" ")
    }

    fn sorted(sort: &str) -> ListQuery {
        ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() }
    }

    #[test]
    fn order_search_filter() {
        assert_eq!(names(&sorted("")), "Pear apple cherry fig plum");
        assert_eq!(names(&sorted("-weight")), "Pear apple cherry fig plum");
        assert_eq!(names(&sorted("weight,-name")), "plum fig cherry apple Pear");
        assert_eq!(names(&ListQuery { q: "P L".into(), ..ListQuery::default() }), "apple plum");
        let heavy = ListQuery::default().filter("weight", "2");
        assert_eq!(names(&heavy), "Pear apple");
        let facets = FRUIT.page(ROWS.to_vec(), &heavy).unwrap().facets;
        assert_eq!(facets["weight"], BTreeMap::from([("1".to_owned(), 3), ("2".to_owned(), 2)]));
    }

    #[test]
    fn pages_go_on_where_the_last_ended() {
        let mut query = ListQuery { limit: 2, ..sorted("-weight") };
        let first = FRUIT.page(ROWS.to_vec(), &query).unwrap();
        assert_eq!((first.total, first.items.len()), (5, 2));
        query.cursor = first.next;
        // A row before the place where it went on is gone: nothing is skipped.
        let second = FRUIT.page(ROWS[1..].to_vec(), &query).unwrap();
        assert_eq!(second.items.iter().map(|r| r.0).collect::<Vec<_>>(), ["cherry", "fig"]);
        query.cursor = second.next;
        let third = FRUIT.page(ROWS.to_vec(), &query).unwrap();
        assert_eq!((third.items[0].0, third.next), ("plum", None));
    }

    #[test]
    fn wrong_ones_are_named() {
        for (query, field) in [
            (sorted("colour"), "sort"),
            (ListQuery::default().filter("name", "x"), "filter"),
            (ListQuery { cursor: Some("%".into()), ..ListQuery::default() }, "cursor"),
        ] {
            assert_eq!(FRUIT.page(ROWS.to_vec(), &query).unwrap_err().fields()[0].field, field);
        }
    }
}
