//! How often each value of a list's counted columns occurs, kept while rows come and go: a list that nothing narrows down
//! need not look at every row to say what can be filtered by.

use std::collections::{BTreeMap, HashMap};

use super::query::{Column, Key, MAX_FACET};

/// The counts of the rows of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: usize,
    /// As the counted ones of the columns.
    counts: Vec<HashMap<Box<str>, usize>>,
}

/// The text that a counted column is counted by.
pub(crate) fn counted(key: Key<'_>) -> Option<&str> {
    match key {
        Key::Word(_, word) => Some(word),
        Key::Text(text) => Some(text),
        Key::Nothing | Key::Number(_) => None,
    }
}

/// The columns that are counted.
pub(crate) fn facets<R>(columns: &'static [Column<R>]) -> impl Iterator<Item = &'static Column<R>> {
    columns.iter().filter(|c| c.facet)
}

impl Tally {
    /// A row came.
    pub(crate) fn add<R>(&mut self, columns: &'static [Column<R>], row: &R) {
        self.rows += 1;
        for (at, column) in facets(columns).enumerate() {
            if self.counts.len() == at {
                self.counts.push(HashMap::new());
            }
            let Some(value) = counted((column.key)(row)) else { continue };
            match self.counts[at].get_mut(value) {
                Some(count) => *count += 1,
                None => {
                    self.counts[at].insert(value.into(), 1);
                }
            }
        }
    }

    /// A row went.
    pub(crate) fn remove<R>(&mut self, columns: &'static [Column<R>], row: &R) {
        self.rows = self.rows.saturating_sub(1);
        for (column, counts) in facets(columns).zip(&mut self.counts) {
            let Some(value) = counted((column.key)(row)) else { continue };
            if let Some(count) = counts.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(value);
                }
            }
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows have `value` in the counted column called `name`.
    pub(crate) fn of<R>(&self, columns: &'static [Column<R>], name: &str, value: &str) -> usize {
        let mut all = facets(columns).zip(&self.counts);
        all.find(|(c, _)| c.name == name).and_then(|(_, counts)| counts.get(value)).copied().unwrap_or(0)
    }

    /// Every counted column with its values.
    pub(crate) fn facets<R>(&self, columns: &'static [Column<R>]) -> BTreeMap<String, BTreeMap<String, usize>> {
        let none = HashMap::new();
        let counts = self.counts.iter().chain(std::iter::repeat(&none));
        let all = facets(columns).zip(counts);
        all.map(|(c, counts)| (c.name.to_owned(), most(counts.iter().map(|(v, n)| (&**v, *n)).collect()))).collect()
    }
}

/// The most frequent values, as many as are reported.
pub(crate) fn most(mut values: Vec<(&str, usize)>) -> BTreeMap<String, usize> {
    if values.len() > MAX_FACET {
        values.select_nth_unstable_by(MAX_FACET, |a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        values.truncate(MAX_FACET);
    }
    values.into_iter().map(|(text, n)| (text.to_owned(), n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(String, i64)>] = &[
        Column { name: "weight", key: |r| Key::Number(r.1), facet: false },
        Column { name: "colour", key: |r| Key::Text(&r.0), facet: true },
    ];

    #[test]
    fn follows_the_rows() {
        let rows: Vec<(String, i64)> = ["red", "green", "red"].map(|c| (c.to_owned(), 1)).into();
        let mut tally = Tally::default();
        assert_eq!(tally.facets(COLUMNS)["colour"].len(), 0, "a column without values is named all the same");
        rows.iter().for_each(|row| tally.add(COLUMNS, row));
        assert_eq!((tally.rows(), tally.of(COLUMNS, "colour", "red"), tally.of(COLUMNS, "colour", "blue")), (3, 2, 0));
        tally.remove(COLUMNS, &rows[1]);
        assert_eq!(tally.facets(COLUMNS)["colour"], BTreeMap::from([("red".to_owned(), 2)]));
    }

    #[test]
    fn the_most_frequent_win() {
        let names: Vec<String> = (0..500).map(|i| format!("app-{i:03}")).collect();
        let found = most(names.iter().enumerate().map(|(i, name)| (name.as_str(), 1 + i % 100)).collect());
        assert_eq!(found.len(), MAX_FACET);
        assert!(found.values().all(|n| *n >= 90), "{found:?}");
    }
}
