//! Lists: filter, sort and page over rows in memory.
//!
//! One pass selects and counts; a partial selection (`select_nth_unstable`) sorts no more than the page. A page's cursor
//! holds the sort values of its last row, so that rows which come and go do not shift the next page.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_core::{Error, Result};
use berth_types::{FieldError, ListQuery, Page, SortKey};
use serde::{Deserialize, Serialize};

use super::tally::{self, Tally};

/// Values of a facet that are reported at most; the most frequent win.
pub(crate) const MAX_FACET: usize = 50;

/// A row's value in one column. The derived order is the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key<'a> {
    /// Nothing there: first.
    Nothing,
    /// A number or a time.
    Number(i64),
    /// A word with a rank of its own.
    Word(u8, &'static str),
    /// Text.
    Text(&'a str),
}

impl<'a> Key<'a> {
    /// Text that may be missing.
    pub(crate) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Key::Nothing, Key::Text)
    }

    /// Orders as the key does, where two differ; equal for keys that are equal or differ further on.
    fn prefix(self) -> u64 {
        match self {
            Key::Nothing => 0,
            Key::Number(n) => n.cast_unsigned() ^ (1 << 63),
            Key::Word(rank, _) => u64::from(rank) + 1,
            Key::Text(text) => {
                let mut bytes = [0; 8];
                let len = text.len().min(8);
                bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
                u64::from_be_bytes(bytes)
            }
        }
    }

    fn is(self, wanted: &str) -> bool {
        match self {
            Key::Nothing => wanted.is_empty(),
            Key::Number(n) => wanted.parse() == Ok(n),
            Key::Word(_, word) => word == wanted,
            Key::Text(text) => text == wanted,
        }
    }
}

/// A column that a list can be sorted and filtered by.
pub(crate) struct Column<R: 'static> {
    /// Its name in the query.
    pub(crate) name: &'static str,
    /// A row's value.
    pub(crate) key: fn(&R) -> Key<'_>,
    /// Whether its values are counted.
    pub(crate) facet: bool,
}

/// What can be listed.
pub(crate) trait Listed: Sized + 'static {
    /// What a page shows of it.
    type Out;
    /// Its columns.
    const COLUMNS: &'static [Column<Self>];
    /// The order when none is asked for.
    const DEFAULT_SORT: &'static str = "name";
    /// Unique in the list: the last resort of every order.
    fn name(&self) -> &str;
    /// Whether a word (lower case) occurs in it.
    fn mentions(&self, word: &str) -> bool;
    /// For the page.
    fn out(&self) -> Self::Out;
}

/// Whether `text` contains `word` (lower case already), ASCII letters alike.
pub(crate) fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    text.len() >= word.len()
        && (0..=text.len() - word.len())
            .any(|at| text[at].eq_ignore_ascii_case(first) && text[at..at + word.len()].eq_ignore_ascii_case(word))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum CursorKey {
    #[serde(rename = "0")]
    Nothing,
    #[serde(rename = "n")]
    Number(i64),
    #[serde(rename = "w")]
    Word(u8),
    #[serde(rename = "t")]
    Text(String),
}

/// The last row of a page.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// The order it belongs to.
    #[serde(rename = "s")]
    sort: String,
    #[serde(rename = "k")]
    keys: Vec<CursorKey>,
    #[serde(rename = "n")]
    name: String,
}

impl Cursor {
    fn decode(text: &str, sort: &str) -> Result<Self> {
        let wrong = || {
            let message = "this cursor belongs to another list or order; begin again without it";
            Error::field(FieldError::new("cursor", "cursor", message))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        if cursor.sort == sort { Ok(cursor) } else { Err(wrong()) }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl From<Key<'_>> for CursorKey {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Nothing => Self::Nothing,
            Key::Number(n) => Self::Number(n),
            Key::Word(rank, _) => Self::Word(rank),
            Key::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

fn against(key: Key<'_>, cursor: &CursorKey) -> Ordering {
    match (key, cursor) {
        (Key::Word(rank, _), CursorKey::Word(other)) => rank.cmp(other),
        (key, CursorKey::Nothing) => key.cmp(&Key::Nothing),
        (key, CursorKey::Number(n)) => key.cmp(&Key::Number(*n)),
        (key, CursorKey::Text(text)) => key.cmp(&Key::Text(text)),
        (key, CursorKey::Word(rank)) => key.cmp(&Key::Word(*rank, "")),
    }
}

/// Counts values by the address of their text, which interning makes unique for almost all equal ones.
#[derive(Default)]
struct Addresses(u64);

impl Hasher for Addresses {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }
    fn write_usize(&mut self, n: usize) {
        self.0 = (self.0 ^ n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

struct Facet<'a, R: 'static> {
    column: &'static Column<R>,
    counts: HashMap<usize, (&'a str, usize), BuildHasherDefault<Addresses>>,
}

impl<'a, R> Facet<'a, R> {
    fn count(&mut self, row: &'a R) {
        let Some(text) = tally::counted((self.column.key)(row)) else { return };
        self.counts.entry(text.as_ptr() as usize).or_insert((text, 0)).1 += 1;
    }

    fn finish(self) -> (String, BTreeMap<String, usize>) {
        let mut merged: HashMap<&str, usize> = HashMap::with_capacity(self.counts.len());
        for (text, n) in self.counts.into_values() {
            *merged.entry(text).or_default() += n;
        }
        (self.column.name.to_owned(), tally::most(merged.into_iter().collect()))
    }
}

fn column<R: Listed>(name: &str, field: &str) -> Result<&'static Column<R>> {
    R::COLUMNS.iter().find(|c| c.name == name).ok_or_else(|| {
        let names: Vec<&str> = R::COLUMNS.iter().map(|c| c.name).collect();
        let message = format!("there is no column “{name}”; there are {}", names.join(", "));
        let mut error =
            FieldError::new(field, "unknown_column", message).param("value", name).param("columns", names.join(", "));
        if let Some(near) = names.iter().find(|n| !name.is_empty() && (n.starts_with(name) || name.starts_with(*n))) {
            error = error.suggest(*near);
        }
        Error::field(error)
    })
}

/// The order of a list: columns with a direction, then the name.
struct Order<R: 'static>(Vec<(&'static Column<R>, bool)>);

impl<R: Listed> Order<R> {
    fn new(sort: &[SortKey]) -> Result<Self> {
        let mut keys = Vec::with_capacity(sort.len());
        for key in sort {
            keys.push((column::<R>(&key.field, "sort")?, key.descending));
        }
        Ok(Self(keys))
    }

    /// Whether rows in the order of their names are in order already.
    fn is_by_name(&self) -> bool {
        matches!(self.0.as_slice(), [] | [(Column { name: "name", .. }, false)])
    }

    fn prefix(&self, row: &R) -> u64 {
        self.0.first().map_or(0, |(column, descending)| {
            let prefix = (column.key)(row).prefix();
            if *descending { !prefix } else { prefix }
        })
    }

    fn compare(&self, a: &R, b: &R) -> Ordering {
        for (column, descending) in &self.0 {
            let order = (column.key)(a).cmp(&(column.key)(b));
            if order != Ordering::Equal {
                return if *descending { order.reverse() } else { order };
            }
        }
        a.name().cmp(b.name())
    }

    fn after(&self, row: &R, cursor: &Cursor) -> bool {
        for ((column, descending), key) in self.0.iter().zip(&cursor.keys) {
            let order = against((column.key)(row), key);
            if order != Ordering::Equal {
                return (order == Ordering::Greater) != *descending;
            }
        }
        row.name() > cursor.name.as_str()
    }

    fn cursor(&self, row: &R, sort: &str) -> Cursor {
        Cursor {
            sort: sort.to_owned(),
            keys: self.0.iter().map(|(column, _)| (column.key)(row).into()).collect(),
            name: row.name().to_owned(),
        }
    }
}

/// The part of `rows` (in the order of their names) that `query` asks for; `tally` where they are counted already.
///
/// # Errors
/// `Invalid` for a column that does not exist, or a cursor of another list.
pub(crate) fn page<'a, R: Listed>(
    rows: impl Iterator<Item = &'a R>,
    tally: Option<&Tally>,
    query: &ListQuery,
) -> Result<Page<R::Out>> {
    let default = ListQuery::parse_sort(R::DEFAULT_SORT);
    let sort = if query.sort.is_empty() { &default } else { &query.sort };
    // Lists of other kinds have orders of the same name.
    let kind: Vec<&str> = R::COLUMNS.iter().map(|c| c.name).collect();
    let sort_text =
        format!("{}|{}", kind.join(","), ListQuery { sort: sort.clone(), ..ListQuery::default() }.sort_text());
    let order = Order::<R>::new(sort)?;
    let cursor = query.cursor.as_deref().map(|c| Cursor::decode(c, &sort_text)).transpose()?;
    let words: Vec<String> = query.q.split_whitespace().map(str::to_ascii_lowercase).collect();
    let mut filters = Vec::new();
    for (name, values) in &query.filters {
        filters.push((column::<R>(name, name)?, values.as_slice()));
    }
    // What nothing narrows down need not be looked at row by row.
    let whole = tally.filter(|_| words.is_empty() && filters.is_empty());
    let wanted = query.rows();
    if let (Some(tally), None, true) = (whole, &cursor, order.is_by_name()) {
        let offset = query.offset.min(tally.rows());
        let shown: Vec<&R> = rows.skip(offset).take(wanted).collect();
        let more = tally.rows() > offset + wanted;
        return Ok(finish(&shown, (tally.rows(), offset, more), tally.facets(R::COLUMNS), &order, &sort_text));
    }
    let (mut selected, facets) = match whole {
        Some(tally) => (rows.map(|row| (order.prefix(row), row)).collect(), tally.facets(R::COLUMNS)),
        None => narrow(rows, &words, &filters, &order),
    };

    let total = selected.len();
    let mut skip = query.offset.min(total);
    let mut offset = skip;
    if let Some(cursor) = &cursor {
        selected.retain(|(_, row)| order.after(row, cursor));
        skip = 0;
        offset = total - selected.len();
    }
    let more = selected.len() > skip + wanted;
    if order.is_by_name() {
        selected.drain(..skip);
        selected.truncate(wanted);
    } else {
        let compare = |a: &(u64, &R), b: &(u64, &R)| a.0.cmp(&b.0).then_with(|| order.compare(a.1, b.1));
        if skip > 0 && skip < selected.len() {
            selected.select_nth_unstable_by(skip, compare);
        }
        selected.drain(..skip);
        if more {
            selected.select_nth_unstable_by(wanted, compare);
            selected.truncate(wanted);
        }
        selected.sort_unstable_by(compare);
    }
    let shown: Vec<&R> = selected.into_iter().map(|(_, row)| row).collect();
    Ok(finish(&shown, (total, offset, more), facets, &order, &sort_text))
}

type Filters<'a, R> = [(&'static Column<R>, &'a [String])];
type Facets = BTreeMap<String, BTreeMap<String, usize>>;

/// The rows that words and filters leave, and their counts: of a column that is filtered by, as if it were not.
fn narrow<'a, R: Listed>(
    rows: impl Iterator<Item = &'a R>,
    words: &[String],
    filters: &Filters<'_, R>,
    order: &Order<R>,
) -> (Vec<(u64, &'a R)>, Facets) {
    let mut facets: Vec<Facet<'a, R>> =
        tally::facets(R::COLUMNS).map(|column| Facet { column, counts: HashMap::default() }).collect();
    let mut selected = Vec::new();
    for row in rows {
        if !words.iter().all(|word| row.mentions(word)) {
            continue;
        }
        let mut failed = filters.iter().filter(|(column, values)| {
            let key = (column.key)(row);
            !values.iter().any(|value| key.is(value))
        });
        match (failed.next(), failed.next()) {
            (None, _) => {
                for facet in &mut facets {
                    facet.count(row);
                }
                selected.push((order.prefix(row), row));
            }
            (Some((only, _)), None) => {
                if let Some(facet) = facets.iter_mut().find(|f| f.column.name == only.name) {
                    facet.count(row);
                }
            }
            _ => {}
        }
    }
    (selected, facets.into_iter().map(Facet::finish).collect())
}

fn finish<R: Listed>(
    shown: &[&R],
    (total, offset, more): (usize, usize, bool),
    facets: Facets,
    order: &Order<R>,
    sort: &str,
) -> Page<R::Out> {
    let next = shown.last().filter(|_| more).map(|last| order.cursor(last, sort).encode());
    Page {
        items: shown.iter().map(|row| row.out()).collect(),
        total,
        offset,
        next,
        facets,
        as_of: None,
        freshness: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Fruit {
        name: String,
        colour: Option<String>,
        weight: i64,
    }

    impl Listed for Fruit {
        type Out = String;
        const COLUMNS: &'static [Column<Self>] = &[
            Column { name: "name", key: |f| Key::Text(&f.name), facet: false },
            Column { name: "colour", key: |f| Key::text(f.colour.as_deref()), facet: true },
            Column { name: "weight", key: |f| Key::Number(f.weight), facet: false },
        ];
        fn name(&self) -> &str {
            &self.name
        }
        fn mentions(&self, word: &str) -> bool {
            mentions(&self.name, word) || self.colour.as_deref().is_some_and(|c| mentions(c, word))
        }
        fn out(&self) -> String {
            self.name.clone()
        }
    }

    fn fruits() -> Vec<Fruit> {
        [
            ("apple", Some("green"), 150),
            ("banana", Some("yellow"), 120),
            ("cherry", Some("red"), 8),
            ("kiwi", Some("green"), 75),
            ("lemon", Some("yellow"), 120),
            ("mystery", None, -5),
        ]
        .into_iter()
        .map(|(name, colour, weight)| Fruit { name: name.into(), colour: colour.map(Into::into), weight })
        .collect()
    }

    fn query(sort: &str, limit: usize) -> ListQuery {
        ListQuery { sort: ListQuery::parse_sort(sort), limit, ..ListQuery::default() }
    }

    fn names(query: &ListQuery) -> String {
        page(fruits().iter(), None, query).expect("a page").items.join(" ")
    }

    #[test]
    fn sorts() {
        for (sort, want) in [
            ("", "apple banana cherry kiwi lemon mystery"),
            ("-name", "mystery lemon kiwi cherry banana apple"),
            ("weight", "mystery cherry kiwi banana lemon apple"),
            ("-weight,name", "apple banana lemon kiwi cherry mystery"),
            ("-weight,-name", "apple lemon banana kiwi cherry mystery"),
            ("colour,-weight", "mystery apple kiwi cherry banana lemon"),
        ] {
            assert_eq!(names(&query(sort, 10)), want, "{sort}");
        }
    }

    #[test]
    fn pages_agree_with_the_whole() {
        for sort in ["", "-name", "weight", "-weight", "colour,-weight", "-colour"] {
            let whole = page(fruits().iter(), None, &query(sort, 10)).expect("a page").items;
            for limit in 1..=6 {
                let (mut by_cursor, mut by_offset) = (Vec::new(), Vec::new());
                let mut ask = query(sort, limit);
                loop {
                    let part = page(fruits().iter(), None, &ask).expect("a page");
                    assert_eq!((part.offset, part.total), (by_cursor.len(), 6), "{sort} {limit}");
                    by_cursor.extend(part.items);
                    let Some(next) = part.next else { break };
                    ask.cursor = Some(next);
                }
                while by_offset.len() < 6 {
                    let ask = ListQuery { offset: by_offset.len(), ..query(sort, limit) };
                    by_offset.extend(page(fruits().iter(), None, &ask).expect("a page").items);
                }
                assert_eq!((&by_cursor, &by_offset), (&whole, &whole), "{sort} {limit}");
            }
        }
    }

    #[test]
    fn cursor_stays_when_rows_come_and_go() {
        let first = page(fruits().iter(), None, &query("-weight", 2)).expect("a page");
        assert_eq!(first.items, ["apple", "banana"]);
        let mut rows = fruits();
        rows.retain(|f| f.name != "banana" && f.name != "apple");
        rows.insert(0, Fruit { name: "aaa".into(), colour: None, weight: 500 });
        let ask = ListQuery { cursor: first.next, ..query("-weight", 2) };
        let second = page(rows.iter(), None, &ask).expect("a page");
        assert_eq!((second.items.join(" ").as_str(), second.offset), ("lemon kiwi", 1));
    }

    #[test]
    fn filters_words_facets() {
        let green = query("", 10).filter("colour", "green");
        let part = page(fruits().iter(), None, &green).expect("a page");
        assert_eq!(part.items, ["apple", "kiwi"]);
        let colours: Vec<(&str, usize)> = part.facets["colour"].iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(colours, [("green", 2), ("red", 1), ("yellow", 2)], "before the column's own filter");
        assert_eq!(names(&green.clone().filter("colour", "red")), "apple cherry kiwi", "any of the values");
        assert_eq!(names(&green.clone().filter("weight", "75")), "kiwi", "all of the columns");
        assert_eq!(names(&query("", 10).filter("colour", "")), "mystery", "nothing there");
        let words = ListQuery { q: "GREEN w".into(), ..query("", 10) };
        assert_eq!(names(&words), "kiwi");
    }

    #[test]
    fn refuses() {
        let first = page(fruits().iter(), None, &query("weight", 2)).expect("a page");
        for (ask, field) in [
            (query("size", 1), "sort"),
            (query("-", 1), "sort"),
            (query("", 1).filter("size", "1"), "size"),
            (ListQuery { cursor: Some("x".into()), ..query("", 1) }, "cursor"),
            (ListQuery { cursor: first.next, ..query("-weight", 1) }, "cursor"),
        ] {
            let error = page(fruits().iter(), None, &ask).expect_err("a refusal");
            assert_eq!(error.fields()[0].field, field);
        }
    }

    #[test]
    fn counted_beforehand_is_the_same() {
        let rows = fruits();
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(Fruit::COLUMNS, row));
        for sort in ["", "-weight", "colour"] {
            for offset in [0, 2, 6, 9] {
                let ask = ListQuery { offset, ..query(sort, 2) };
                let (slow, fast) = (page(rows.iter(), None, &ask), page(rows.iter(), Some(&tally), &ask));
                assert_eq!(slow.expect("a page"), fast.expect("a page"), "{sort} {offset}");
            }
        }
        let red = query("", 2).filter("colour", "red");
        assert_eq!(page(rows.iter(), Some(&tally), &red).expect("a page").total, 1, "narrowed down");
    }

    #[test]
    fn offset_past_the_end_is_an_empty_page() {
        let ask = ListQuery { offset: 99, ..query("weight", 2) };
        let part = page(fruits().iter(), None, &ask).expect("a page");
        assert_eq!((part.items.len(), part.total, part.next), (0, 6, None));
    }
}
