//! The table of all pages and forms, and the match of a path against it.

use berth_core::{
    Result,
    ports::pages::{Access, Fragment, Route},
};
use futures::future::BoxFuture;

use crate::{
    pages,
    request::{Answer, Cx},
};

/// Answers a GET or a form.
pub type Handler = fn(Cx) -> BoxFuture<'static, Result<Answer>>;
/// Renders the live parts of a page as they are now.
pub type Live = fn(Cx) -> BoxFuture<'static, Result<Vec<Fragment>>>;

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// `/t/{tenant}/n/{namespace}/apps`.
    pub pattern: &'static str,
    /// Who may ask. Being signed in is checked here; roles by the services, at every call.
    pub access: Access,
    /// Answers a GET; absent for a pure action.
    pub page: Option<Handler>,
    /// Answers a POST.
    pub form: Option<Handler>,
    /// Its live parts.
    pub live: Option<Live>,
}

impl Entry {
    /// A page.
    #[must_use]
    pub const fn page(pattern: &'static str, access: Access, page: Handler) -> Self {
        Self { pattern, access, page: Some(page), form: None, live: None }
    }

    /// A form that has no page of its own: a button.
    #[must_use]
    pub const fn action(pattern: &'static str, access: Access, form: Handler) -> Self {
        Self { pattern, access, page: None, form: Some(form), live: None }
    }

    /// With a form.
    #[must_use]
    pub const fn form(mut self, form: Handler) -> Self {
        self.form = Some(form);
        self
    }

    /// With live parts.
    #[must_use]
    pub const fn live(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }
}

/// A row that fits a path, with the values of its `{…}`.
pub struct Matched {
    /// The row.
    pub entry: &'static Entry,
    /// Names and values, in order.
    pub params: Vec<(&'static str, String)>,
}

/// Every page, in the order in which they are tried: a literal segment stands before a parameter.
fn entries() -> impl Iterator<Item = &'static Entry> {
    pages::AREAS.iter().flat_map(|area| area.iter())
}

/// The row for a decoded path. A `/` at the end is not ignored: each page has one address.
#[must_use]
pub fn find(path: &str) -> Option<Matched> {
    entries().find_map(|entry| fit(entry.pattern, path).map(|params| Matched { entry, params }))
}

fn fit(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut params = Vec::new();
    let mut have = path.split('/');
    for want in pattern.split('/') {
        let segment = have.next()?;
        match want.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(_) if segment.is_empty() => return None,
            Some(name) => params.push((name, segment.to_owned())),
            None if want == segment => {}
            None => return None,
        }
    }
    have.next().is_none().then_some(params)
}

/// Every page and form, for the test that tries them all without rights.
#[must_use]
pub fn routes() -> Vec<Route> {
    entries()
        .flat_map(|e| {
            let route = |post| Route { pattern: e.pattern, post, access: e.access };
            [e.page.map(|_| route(false)), e.form.map(|_| route(true))]
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!(fit("/", "/"), Some(vec![]));
        assert_eq!(fit("/t/{tenant}", "/t/shop"), Some(vec![("tenant", "shop".to_owned())]));
        assert_eq!(fit("/t/{tenant}", "/t/"), None);
        assert_eq!(fit("/t/{tenant}", "/t/shop/"), None);
        assert_eq!(fit("/t/{tenant}/members", "/t/shop/n"), None);
    }

    /// Each pattern, taken as a path, must find itself: no row hides behind another.
    #[test]
    fn no_page_hides_another() {
        for entry in entries() {
            assert_eq!(find(entry.pattern).unwrap().entry.pattern, entry.pattern);
            assert!(entry.page.is_some() || entry.form.is_some(), "{} answers nothing", entry.pattern);
        }
    }
}
