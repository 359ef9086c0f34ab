//! Lists: search, filters, order and pages of one table, the same for all of them.
//!
//! A cursor holds the sort keys of the last row, so that the next page begins there whatever was added or removed meanwhile.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use berth_core::error::{Error, Result};
use berth_types::{FieldError, ListQuery, Page};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Engine, Reader, Statement, Value},
    store::decoded,
};

/// How a table is listed. All its SQL is constant; what people send is only ever bound.
pub(crate) struct Listing<T: 'static> {
    /// What `read` reads.
    pub columns: &'static str,
    pub from: &'static str,
    /// Where the words of `q` are looked for: text in lower case.
    pub search: &'static str,
    pub filters: &'static [Filter],
    pub sorts: &'static [Sort<T>],
    /// The sort whose key no two rows share: the last resort of every order, and the order when none is asked for.
    pub unique: &'static str,
    pub unique_descending: bool,
    pub read: fn(&mut Reader<'_>) -> Result<T>,
}

/// A column to filter by.
pub(crate) struct Filter {
    pub field: &'static str,
    /// An expression of type text.
    pub sql: &'static str,
    /// The values it may have; empty: any.
    pub values: &'static [&'static str],
    /// Whether a page says how many rows have which value.
    pub facet: bool,
}

/// A column to sort by; never null.
pub(crate) struct Sort<T: 'static> {
    pub field: &'static str,
    pub sql: &'static str,
    /// Its value in a row.
    pub key: fn(&T) -> Key,
}

/// A value of a sort column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Key {
    Int(i64),
    Text(String),
}

impl From<&Key> for Value {
    fn from(key: &Key) -> Self {
        match key {
            Key::Int(value) => (*value).into(),
            Key::Text(value) => value.as_str().into(),
        }
    }
}

/// Where a page ended. Opaque to clients: base64 of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The order it belongs to.
    sort: String,
    /// Row number of the next row, as long as nothing changes.
    offset: usize,
    /// Keys of the last row, in that order.
    after: Vec<Key>,
}

impl Cursor {
    fn encode(&self) -> Result<String> {
        Ok(BASE64.encode(serde_json::to_vec(self).map_err(Error::internal)?))
    }

    fn decode(text: &str, sort: &str, keys: usize) -> Result<Self> {
        let bytes = BASE64.decode(text).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.filter(|cursor| cursor.sort == sort && cursor.after.len() == keys).ok_or_else(|| {
            let message = "take the cursor from the page before, and keep its sort";
            Error::field(FieldError::new("cursor", "cursor", message))
        })
    }
}

/// A condition with `?` where its values go.
struct Condition {
    /// The filter it comes from, if any.
    field: Option<&'static str>,
    sql: String,
    values: Vec<Value>,
}

impl From<(&'static str, Vec<Value>)> for Condition {
    fn from((sql, values): (&'static str, Vec<Value>)) -> Self {
        Self { field: None, sql: sql.to_owned(), values }
    }
}

/// ` WHERE …` of all `conditions`, with `?` numbered, and their values.
fn render<'c>(conditions: impl IntoIterator<Item = &'c Condition>) -> (String, Vec<Value>) {
    let mut text = String::new();
    let mut values = Vec::new();
    for condition in conditions {
        text.push_str(if text.is_empty() { " WHERE " } else { " AND " });
        let mut mine = condition.values.iter();
        for part in condition.sql.split_inclusive('?') {
            match part.strip_suffix('?') {
                Some(before) => {
                    values.extend(mine.next().cloned());
                    text.push_str(before);
                    text.push_str(&format!("${}", values.len()));
                }
                None => text.push_str(part),
            }
        }
    }
    (text, values)
}

/// A LIKE pattern for text that holds `word` anywhere; `\` escapes.
fn pattern(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn names<'a>(of: impl Iterator<Item = &'a str>) -> String {
    of.collect::<Vec<_>>().join(", ")
}

impl<T: 'static> Listing<T> {
    /// The sort columns that were asked for, most important first, ending with one that no two rows share.
    fn order(&self, query: &ListQuery) -> Result<Vec<(&'static Sort<T>, bool)>> {
        let mut order = Vec::new();
        let wanted = query.sort.iter().map(|key| (key.field.as_str(), key.descending));
        for (field, descending) in wanted.chain([(self.unique, self.unique_descending)]) {
            let sort = self.sorts.iter().find(|sort| sort.field == field).ok_or_else(|| {
                let known = names(self.sorts.iter().map(|sort| sort.field));
                let message = format!("“{field}” is nothing to sort by: use {known}");
                Error::field(
                    FieldError::new("sort", "sort_unknown", message).param("value", field).param("known", known),
                )
            })?;
            if order.iter().all(|(known, _): &(&Sort<T>, bool)| known.field != field) {
                order.push((sort, descending));
            }
            if field == self.unique {
                break;
            }
        }
        Ok(order)
    }

    /// What a row must fulfil to be in the list at all.
    fn conditions(&self, query: &ListQuery) -> Result<Vec<Condition>> {
        let mut conditions = Vec::new();
        for word in query.q.split_whitespace() {
            let sql = format!("{} LIKE ? ESCAPE '\\'", self.search);
            conditions.push(Condition { field: None, sql, values: vec![pattern(word).as_str().into()] });
        }
        for (field, values) in query.filters.iter().filter(|(_, values)| !values.is_empty()) {
            let filter = self.filters.iter().find(|filter| filter.field == field).ok_or_else(|| {
                let known = names(self.filters.iter().map(|filter| filter.field));
                let message = format!("“{field}” is nothing to filter by: use {known}");
                Error::field(
                    FieldError::new("filter", "filter_unknown", message).param("value", field).param("known", known),
                )
            })?;
            let unknown =
                values.iter().find(|value| !filter.values.is_empty() && !filter.values.contains(&value.as_str()));
            if let Some(value) = unknown {
                let known = filter.values.join(", ");
                let message = format!("“{value}” is none of {known}");
                let error = FieldError::new(filter.field, "filter_value", message);
                return Err(Error::field(error.param("value", value).param("known", known)));
            }
            let sql = format!("{} IN ({})", filter.sql, vec!["?"; values.len()].join(", "));
            let values = values.iter().map(|value| value.as_str().into()).collect();
            conditions.push(Condition { field: Some(filter.field), sql, values });
        }
        Ok(conditions)
    }

    /// The rows behind the one with the keys `after`.
    fn behind(order: &[(&'static Sort<T>, bool)], after: &[Key]) -> Condition {
        let mut alternatives = Vec::new();
        let mut values = Vec::new();
        for (i, (sort, descending)) in order.iter().enumerate() {
            let mut parts: Vec<String> = order[..i].iter().map(|(equal, _)| format!("{} = ?", equal.sql)).collect();
            parts.push(format!("{} {} ?", sort.sql, if *descending { "<" } else { ">" }));
            alternatives.push(parts.join(" AND "));
            values.extend(after.iter().take(i + 1).map(Value::from));
        }
        Condition { field: None, sql: format!("({})", alternatives.join(" OR ")), values }
    }

    /// A part of the list.
    pub(crate) async fn page<E: Engine>(&self, engine: &E, query: &ListQuery) -> Result<Page<T>> {
        self.page_of(engine, query, Vec::new()).await
    }

    /// A part of those rows that fulfil `more`, too: constant SQL with `?` where its values go.
    pub(crate) async fn page_of<E: Engine>(
        &self,
        engine: &E,
        query: &ListQuery,
        more: Vec<(&'static str, Vec<Value>)>,
    ) -> Result<Page<T>> {
        let order = self.order(query)?;
        // Lists of other kinds have orders of the same name.
        let sort = format!("{}|{}", self.from, query.sort_text());
        let mut conditions = self.conditions(query)?;
        conditions.extend(more.into_iter().map(Condition::from));
        let cursor = query.cursor.as_deref().map(|text| Cursor::decode(text, &sort, order.len())).transpose()?;

        let total = self.count(engine, &conditions).await?;
        let facets = self.facets(engine, &conditions).await?;

        let (offset, skip) = match &cursor {
            Some(cursor) => {
                conditions.push(Self::behind(&order, &cursor.after));
                (cursor.offset, 0)
            }
            None => (query.offset, query.offset),
        };
        let wanted = query.rows();
        // One more row than wanted says whether there is a next page.
        let rows = self.rows(engine, &order, &conditions, wanted + 1, skip).await?;
        let mut items =
            rows.iter().take(wanted).map(|row| (self.read)(&mut Reader::new(row))).collect::<Result<Vec<T>>>()?;
        items.shrink_to_fit();
        let next = match items.last() {
            Some(last) if rows.len() > wanted => {
                let after = order.iter().map(|(sort, _)| (sort.key)(last)).collect();
                Some(Cursor { sort, offset: offset + items.len(), after }.encode()?)
            }
            _ => None,
        };
        Ok(Page { items, total, offset, next, facets, as_of: None, freshness: None })
    }

    /// The first rows that fulfil `more`, too, of those that `query` wants, without counting all of them.
    pub(crate) async fn first<E: Engine>(
        &self,
        engine: &E,
        query: &ListQuery,
        more: Vec<(&'static str, Vec<Value>)>,
        limit: usize,
    ) -> Result<Vec<T>> {
        let mut conditions = self.conditions(query)?;
        conditions.extend(more.into_iter().map(Condition::from));
        decoded(&self.rows(engine, &self.order(query)?, &conditions, limit, 0).await?, self.read)
    }

    async fn rows<E: Engine>(
        &self,
        engine: &E,
        order: &[(&'static Sort<T>, bool)],
        conditions: &[Condition],
        limit: usize,
        skip: usize,
    ) -> Result<Vec<E::Row>> {
        let (filter, mut values) = render(conditions);
        let by: Vec<String> = order
            .iter()
            .map(|(sort, descending)| format!("{}{}", sort.sql, if *descending { " DESC" } else { "" }))
            .collect();
        for number in [limit, skip] {
            values.push(i64::try_from(number).unwrap_or(i64::MAX).into());
        }
        let text = format!(
            "SELECT {} FROM {}{filter} ORDER BY {} LIMIT ${} OFFSET ${}",
            self.columns,
            self.from,
            by.join(", "),
            values.len() - 1,
            values.len()
        );
        engine.read(Statement::composed(text, values)).await
    }

    async fn count<E: Engine>(&self, engine: &E, conditions: &[Condition]) -> Result<usize> {
        let (filter, values) = render(conditions);
        let text = format!("SELECT COUNT(*) FROM {}{filter}", self.from);
        let rows = engine.read(Statement::composed(text, values)).await?;
        let count = rows.first().map(|row| Reader::new(row).int()).transpose()?.unwrap_or_default();
        usize::try_from(count).map_err(Error::internal)
    }

    async fn facets<E: Engine>(
        &self,
        engine: &E,
        conditions: &[Condition],
    ) -> Result<BTreeMap<String, BTreeMap<String, usize>>> {
        let mut facets = BTreeMap::new();
        for facet in self.filters.iter().filter(|filter| filter.facet) {
            let (filter, values) = render(conditions.iter().filter(|c| c.field != Some(facet.field)));
            let text = format!("SELECT {}, COUNT(*) FROM {}{filter} GROUP BY 1", facet.sql, self.from);
            let mut counts = BTreeMap::new();
            for row in &engine.read(Statement::composed(text, values)).await? {
                let mut row = Reader::new(row);
                counts.insert(row.text()?, usize::try_from(row.int()?).map_err(Error::internal)?);
            }
            facets.insert(facet.field.to_owned(), counts);
        }
        Ok(facets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    static LISTING: Listing<(String, i64)> = Listing {
        columns: "x.name, x.age",
        from: "x",
        search: "x.search",
        filters: &[
            Filter { field: "role", sql: "x.role", values: &["a", "b"], facet: true },
            Filter { field: "actor", sql: "x.actor", values: &[], facet: false },
        ],
        sorts: &[
            Sort { field: "name", sql: "x.name", key: |row| Key::Text(row.0.clone()) },
            Sort { field: "age", sql: "x.age", key: |row| Key::Int(row.1) },
        ],
        unique: "name",
        unique_descending: false,
        read: |row| Ok((row.text()?, row.int()?)),
    };

    fn query(sort: &str) -> ListQuery {
        ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() }
    }

    #[test]
    fn orders() {
        for (sort, want) in [
            ("", "name false"),
            ("name", "name false"),
            ("-name", "name true"),
            ("-age", "age true, name false"),
            ("age,-name", "age false, name true"),
            ("age,-age", "age false, name false"),
            // What stands behind a unique key has no say.
            ("-name,age", "name true"),
        ] {
            let order = LISTING.order(&query(sort)).unwrap();
            let got: Vec<String> = order.iter().map(|(sort, desc)| format!("{} {desc}", sort.field)).collect();
            assert_eq!(got.join(", "), want, "{sort}");
        }
        let error = LISTING.order(&query("-colour")).err().expect("refused");
        assert_eq!(error.fields()[0].field, "sort");
        assert!(error.message().contains("“colour”") && error.message().contains("name, age"), "{error}");
    }

    #[test]
    fn conditions_are_bound_not_spliced() {
        let query = ListQuery { q: "100%_a\\ Ünï".to_owned(), ..ListQuery::default() }
            .filter("role", "a")
            .filter("role", "b")
            .filter("actor", "x' OR 1=1 --");
        let (text, values) = render(&LISTING.conditions(&query).unwrap());
        assert_eq!(
            text,
            " WHERE x.search LIKE $1 ESCAPE '\\' AND x.search LIKE $2 ESCAPE '\\' AND x.actor IN ($3) AND x.role IN ($4, $5)"
        );
        let want = ["%100\\%\\_a\\\\%", "%ünï%", "x' OR 1=1 --", "a", "b"];
        assert_eq!(values, want.map(Value::from));
    }

    #[test]
    fn unknown_filters_are_named() {
        for (field, value, want) in [("colour", "red", "filter"), ("role", "c", "role")] {
            let error = LISTING.conditions(&ListQuery::default().filter(field, value)).err().expect("refused");
            assert_eq!(error.fields()[0].field, want);
        }
    }

    #[test]
    fn keyset() {
        let order = LISTING.order(&query("-age")).unwrap();
        let (text, values) = render(&[Listing::behind(&order, &[Key::Int(7), Key::Text("m".into())])]);
        assert_eq!(text, " WHERE (x.age < $1 OR x.age = $2 AND x.name > $3)");
        assert_eq!(values, [Value::from(7), Value::from(7), Value::from("m")]);
    }

    #[test]
    fn cursors() {
        let cursor = Cursor { sort: "-age".into(), offset: 50, after: vec![Key::Int(7), Key::Text("m".into())] };
        let text = cursor.encode().unwrap();
        assert_eq!(Cursor::decode(&text, "-age", 2).unwrap(), cursor);
        for (text, sort, keys) in
            [(text.as_str(), "age", 2), (text.as_str(), "-age", 1), ("%%", "-age", 2), ("", "", 1)]
        {
            let error = Cursor::decode(text, sort, keys).expect_err("refused");
            assert_eq!(error.fields()[0].field, "cursor");
        }
    }
}
