//! Tables: dense, one line a row, on a phone a card a row. Headings that can sort do so by a link.

use std::{borrow::Cow, fmt::Write as _};

use berth_core::ports::pages::Language;
use berth_types::ListQuery;
use leptos::prelude::*;

use super::{
    icon::{Icon, icon},
    list::ListUrl,
};
use crate::tr;

/// The heading of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    label: Cow<'static, str>,
    numeric: bool,
    /// Said to screen readers only.
    unseen: bool,
    field: Option<&'static str>,
}

impl Column {
    /// Of words.
    pub fn text(label: impl Into<Cow<'static, str>>) -> Self {
        Self { label: label.into(), numeric: false, unseen: false, field: None }
    }

    /// Of numbers and times: at the right.
    pub fn number(label: impl Into<Cow<'static, str>>) -> Self {
        Self { numeric: true, ..Self::text(label) }
    }

    /// Of what can be done to a row.
    #[must_use]
    pub fn actions(lang: Language) -> Self {
        Self { unseen: true, ..Self::text(tr::common::change(lang)) }
    }

    /// One that sorts by `field`, as the list's query calls it.
    #[must_use]
    pub fn by(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    fn heading(self, sort: Option<(&ListUrl, &ListQuery)>) -> AnyView {
        let class = self.numeric.then_some("num");
        if self.unseen {
            return view! { <th scope="col" class=class><span class="sr">{self.label}</span></th> }.into_any();
        }
        let (Some((url, query)), Some(field)) = (sort, self.field) else {
            return view! { <th scope="col" class=class>{self.label}</th> }.into_any();
        };
        let order = query.sort.first().filter(|s| s.field == field).map(|s| s.descending);
        let aria = order.map(|down| if down { "descending" } else { "ascending" });
        let arrow = order.map(|down| icon(if down { Icon::Down } else { Icon::Up }));
        view! {
            <th scope="col" class=class aria-sort=aria><a href=url.sorted(query, field)>{self.label}{arrow}</a></th>
        }
        .into_any()
    }
}

/// A table of `rows`; its headings sort where `sort` says what is shown and how it is sorted now.
#[must_use]
pub fn table(
    columns: impl IntoIterator<Item = Column>,
    sort: Option<(&ListUrl, &ListQuery)>,
    rows: impl IntoView + 'static,
) -> AnyView {
    let columns: Vec<Column> = columns.into_iter().collect();
    let labels = number_labels(&columns);
    let headings: Vec<_> = columns.into_iter().map(|column| column.heading(sort)).collect();
    view! {
        <div class="scroll">
            <table class="cards" style=labels>
                <thead>
                    <tr>{headings}</tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The headings of the columns of numbers, as properties `--c1`, `--c2`, …: on a phone, where headings are not seen, the
/// style sheet sets them before the numbers. In the table once, so that no row need repeat them.
fn number_labels(columns: &[Column]) -> Option<String> {
    let mut out = String::new();
    for (column, n) in columns.iter().zip(1..).filter(|(column, _)| column.numeric) {
        let label = column.label.replace('\\', "\\\\").replace('\'', "\\'");
        let _ = write!(out, "--c{n}:'{label} ';");
    }
    (!out.is_empty()).then_some(out)
}

/// A cell that takes the room which the others leave: text on one line, whole in its tooltip.
#[must_use]
pub fn fill(text: String) -> impl IntoView + 'static {
    let title = (!text.is_empty()).then(|| text.clone());
    // Nothing at all, where there is nothing: on a phone the cell then takes no line.
    view! { <td class="fill muted" title=title>{(!text.is_empty()).then_some(text)}</td> }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> ListUrl {
        ListUrl::new("/a", Vec::new())
    }

    #[test]
    fn headings_say_how_the_rows_are_sorted() {
        let query = ListQuery { sort: ListQuery::parse_sort("-name"), ..ListQuery::default() };
        let columns = [Column::text("Name").by("name"), Column::number("Pods").by("ready"), Column::text("Why")];
        let html = table(columns, Some((&url(), &query)), ()).to_html();
        assert!(html.contains(r#"<th scope="col" aria-sort="descending""#), "{html}");
        assert!(html.contains(r#"<a href="/a?sort=name">Name"#), "{html}");
        assert!(html.contains(r#"<th scope="col" class="num"><a href="/a?sort=ready">Pods"#), "{html}");
        assert!(html.contains(">Why</th>"), "{html}");
    }

    #[test]
    fn numbers_keep_their_headings_on_a_phone() {
        let columns = [Column::text("Name"), Column::number("Pods"), Column::number("It's \\")];
        assert_eq!(number_labels(&columns).as_deref(), Some(r"--c2:'Pods ';--c3:'It\'s \\ ';"));
        assert_eq!(number_labels(&columns[..1]), None);
    }

    #[test]
    fn a_table_on_its_own_has_no_links() {
        let html = table([Column::text("Name").by("name"), Column::actions(Language::En)], None, ()).to_html();
        assert!(!html.contains("<a "), "{html}");
        assert!(html.contains(r#"<span class="sr">Change</span>"#), "{html}");
    }
}
