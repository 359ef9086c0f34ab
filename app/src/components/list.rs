//! Lists live in the URL: filter, sort and page are links and GET forms.

use std::borrow::Cow;

use berth_core::ports::{cluster::Freshness, pages::Language};
use berth_types::{ListQuery, Page};
use leptos::prelude::*;

use super::{
    icon::{Icon, icon},
    parts::{Button, empty, link_button},
};
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

/// A list as a page shows it.
#[derive(Debug, Clone)]
pub struct List<T> {
    /// The rows of this page.
    pub page: Page<T>,
    /// What was asked for.
    pub query: ListQuery,
    /// Its own URL.
    pub url: ListUrl,
    /// Whether the cluster has not been read yet: that there are no rows then says nothing.
    pub unread: bool,
}

impl<T> List<T> {
    /// What `query` found for the page of `cx`.
    #[must_use]
    pub fn of(cx: &PageCx, query: ListQuery, page: Page<T>) -> Self {
        Self { page, query, url: ListUrl::of(cx), unread: false }
    }

    /// With how fresh the cluster's cache is.
    #[must_use]
    pub fn read(mut self, freshness: &Freshness) -> Self {
        self.unread = freshness.read().is_err();
        self
    }

    /// For the headings of its table.
    #[must_use]
    pub fn sort(&self) -> Option<(&ListUrl, &ListQuery)> {
        Some((&self.url, &self.query))
    }

    /// Whether something keeps rows out.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        !self.query.q.is_empty() || !self.query.filters.is_empty()
    }

    /// A chip for each of `values` of the column `key` that occurs or is chosen, with how many rows have it. `word` gives
    /// the value as the URL has it, and as people read it.
    #[must_use]
    pub fn chips<V: Copy>(
        &self,
        key: &'static str,
        values: &[V],
        word: impl Fn(V) -> (&'static str, &'static str),
    ) -> AnyView {
        let counts = self.page.facets.get(key);
        let chips: Vec<_> = values
            .iter()
            .filter_map(|value| {
                let (value, label) = word(*value);
                let count = counts.and_then(|c| c.get(value)).copied().unwrap_or(0);
                (count > 0 || self.url.has(key, value)).then(|| chip(&self.url, key, value, label, Some(count)))
            })
            .collect();
        chips.into_any()
    }

    /// A chip for each value that is chosen in one of the columns `keys`, to let go of it.
    #[must_use]
    pub fn chosen(&self, keys: &[&'static str]) -> AnyView {
        let values = |key: &'static str| {
            let values = self.query.filters.get(key).into_iter().flatten();
            values.map(move |value| chip(&self.url, key, value, format!("{value} ✕"), None))
        };
        keys.iter().flat_map(|key| values(key)).collect::<Vec<_>>().into_any()
    }

    /// Which rows these are and the way to the others.
    #[must_use]
    pub fn pager(&self, lang: Language) -> AnyView {
        pager(lang, &self.url, &self.query, self.page.items.len(), self.page.total).into_any()
    }

    /// What stands in place of the rows when there are none; `nothing` when there are none at all.
    #[must_use]
    pub fn empty(&self, lang: Language, nothing: impl FnOnce() -> AnyView) -> AnyView {
        let link = |label: &'static str, href: String| Some(link_button(Button::Plain, None, label, href).into_any());
        if self.unread {
            return empty(Icon::Clock, tr::common::unread(lang), tr::common::unread_hint(lang), None).into_any();
        }
        if self.page.total > 0 {
            let first = link(tr::common::first_page(lang), self.url.page(1));
            return empty(Icon::Search, tr::common::past_end(lang), tr::common::past_end_hint(lang), first).into_any();
        }
        if self.is_filtered() {
            let all = link(tr::common::show_all(lang), self.url.path().to_owned());
            return empty(Icon::Search, tr::common::none_fit(lang), tr::common::none_fit_hint(lang), all).into_any();
        }
        nothing()
    }

    /// A card with a box to filter by words, chips, and the rows. The chips stand in `#{id}-chips`, the rows in
    /// `#{id}-rows`, so that the live region finds them.
    #[must_use]
    pub fn card(
        &self,
        lang: Language,
        id: &str,
        (label, filter): (&'static str, &'static str),
        chips: AnyView,
        rows: AnyView,
    ) -> AnyView {
        // Nothing to be found needs no way to find it.
        let tools = (self.page.total > 0 || self.is_filtered()).then(|| {
            view! {
                <header>
                    {filter_box(lang, &self.url, &self.query.q, filter)}
                    <div class="chips" id=format!("{id}-chips")>{chips}</div>
                </header>
            }
        });
        view! {
            <section class="card" aria-label=label>{tools}<div id=format!("{id}-rows")>{rows}</div></section>
        }
        .into_any()
    }
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

/// See [`List::pager`].
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
