//! Lists live in the URL: filter, sort and page are links and GET forms.

use std::borrow::Cow;

use berth_core::ports::pages::Language;
use berth_types::{ListQuery, list::DEFAULT_LIMIT};
use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::{paths, request::PageCx, tr};

/// The URL of a list as it is now; its methods give the URLs of the same list seen otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListUrl {
    path: String,
    pairs: Vec<(String, String)>,
}

impl ListUrl {
    /// Of the page that is asked for.
    #[must_use]
    pub fn of(cx: &PageCx) -> Self {
        Self { path: cx.request.path.clone(), pairs: cx.request.query.clone() }
    }

    /// From its parts.
    #[must_use]
    pub fn new(path: impl Into<String>, pairs: Vec<(String, String)>) -> Self {
        Self { path: path.into(), pairs }
    }

    /// The path without query: where the filter form goes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parameters but `except`, for hidden fields of the filter form.
    pub fn others<'a>(&'a self, except: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs
            .iter()
            .filter(move |(k, v)| !except.contains(&k.as_str()) && !v.is_empty())
            .map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// With `key` set to `value` (removed when empty), from the first page on.
    #[must_use]
    pub fn set(&self, key: &str, value: &str) -> String {
        let rest = self.others(&["page"]).filter(|(k, _)| *k != key);
        paths::with_query(&self.path, rest.chain([(key, value)]))
    }

    /// Page `number`, from 1.
    #[must_use]
    pub fn page(&self, number: usize) -> String {
        let text = if number <= 1 { String::new() } else { number.to_string() };
        paths::with_query(&self.path, self.others(&["page"]).chain([("page", text.as_str())]))
    }

    /// With or without a filter value; from the first page on.
    #[must_use]
    pub fn toggle(&self, key: &str, value: &str) -> String {
        if self.has(key, value) {
            paths::with_query(&self.path, self.others(&["page"]).filter(|pair| *pair != (key, value)))
        } else {
            paths::with_query(&self.path, self.others(&["page"]).chain([(key, value)]))
        }
    }

    /// Whether a filter value is set.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.pairs.iter().any(|(k, v)| k == key && v == value)
    }

    /// Sorted by `column`: upwards, or downwards when it is upwards already.
    #[must_use]
    pub fn sorted(&self, query: &ListQuery, column: &str) -> String {
        let upwards = query.sort.first().is_some_and(|s| s.field == column && !s.descending);
        self.set("sort", &if upwards { format!("-{column}") } else { column.to_owned() })
    }
}

/// A table heading that sorts.
#[must_use]
pub fn sort_header(
    url: &ListUrl,
    query: &ListQuery,
    column: &'static str,
    label: impl Into<Cow<'static, str>>,
    numeric: bool,
) -> AnyView {
    let order = query.sort.first().filter(|s| s.field == column).map(|s| s.descending);
    let aria = order.map(|down| if down { "descending" } else { "ascending" });
    let arrow = order.map(|down| icon(if down { Icon::Down } else { Icon::Up }));
    view! {
        <th scope="col" class=if numeric { "num" } else { "" } aria-sort=aria>
            <a href=url.sorted(query, column)>{label.into()}{arrow}</a>
        </th>
    }
    .into_any()
}

/// A filter chip: a link that sets or clears one value.
#[must_use]
pub fn chip(
    url: &ListUrl,
    key: &'static str,
    value: &str,
    label: impl Into<Cow<'static, str>>,
    count: Option<usize>,
) -> AnyView {
    let on = url.has(key, value);
    view! {
        <a class="chip" href=url.toggle(key, value) aria-current=on.then_some("true")>
            {label.into()}
            {count.map(|n| view! { <span class="n">{n}</span> })}
        </a>
    }
    .into_any()
}

/// A box to filter by words; keeps sort and chips.
#[must_use]
pub fn filter_box(lang: Language, url: &ListUrl, value: &str, label: &'static str) -> impl IntoView + use<> {
    let others: Vec<_> = url
        .others(&["q", "page"])
        .map(|(k, v)| view! { <input type="hidden" name=k.to_owned() value=v.to_owned() /> })
        .collect();
    view! {
        <form class="filter" method="get" action=url.path().to_owned() role="search" data-island="filter">
            {others}
            <input type="search" name="q" value=value.to_owned() placeholder=label aria-label=label autocomplete="off" />
            <button class="btn quiet" type="submit">{tr::common::filter(lang)}</button>
        </form>
    }
}

/// Which rows these are and the way to the others.
#[must_use]
pub fn pager(lang: Language, url: &ListUrl, query: &ListQuery, shown: usize, total: usize) -> impl IntoView + use<> {
    let rows = query.rows();
    let page = query.offset / rows + 1;
    let pages = total.div_ceil(rows).max(1);
    let first = if shown == 0 { 0 } else { query.offset + 1 };
    let range = tr::common::rows_of(lang, first, query.offset + shown, total);
    let link = |to: usize, rel: &'static str, label: &'static str, symbol: Icon| {
        let there = to >= 1 && to <= pages;
        if there {
            view! { <a class="btn sm" rel=rel href=url.page(to)>{icon(symbol)}{label}</a> }.into_any()
        } else {
            view! { <span class="btn sm" aria-disabled="true">{icon(symbol)}{label}</span> }.into_any()
        }
    };
    let links = (pages > 1 || page > 1).then(|| {
        view! {
            <div class="do">
                {link(page.saturating_sub(1), "prev", tr::common::previous(lang), Icon::Left)}
                {link(page + 1, "next", tr::common::next(lang), Icon::Right)}
            </div>
        }
    });
    (total > 0 || page > 1).then(|| {
        view! { <nav class="pager" aria-label=tr::common::pages(lang)><span class="muted">{range}</span>{links}</nav> }
    })
}

/// Rows of a page when the URL says nothing.
pub const ROWS: usize = DEFAULT_LIMIT;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(pairs: &[(&str, &str)]) -> ListUrl {
        ListUrl::new("/a", pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn urls_of_the_same_list() {
        let u = url(&[("q", "web x"), ("phase", "Ready"), ("page", "3")]);
        assert_eq!(u.page(1), "/a?q=web%20x&phase=Ready");
        assert_eq!(u.page(4), "/a?q=web%20x&phase=Ready&page=4");
        assert_eq!(u.toggle("phase", "Ready"), "/a?q=web%20x");
        assert_eq!(u.toggle("phase", "Degraded"), "/a?q=web%20x&phase=Ready&phase=Degraded");
        assert_eq!(u.set("q", ""), "/a?phase=Ready");
    }

    #[test]
    fn sorting_turns_round() {
        let query = |sort| ListQuery { sort: ListQuery::parse_sort(sort), ..ListQuery::default() };
        let u = url(&[]);
        assert_eq!(u.sorted(&query(""), "name"), "/a?sort=name");
        assert_eq!(u.sorted(&query("name"), "name"), "/a?sort=-name");
        assert_eq!(u.sorted(&query("-name"), "name"), "/a?sort=name");
        assert_eq!(u.sorted(&query("-name"), "created"), "/a?sort=created");
    }
}
