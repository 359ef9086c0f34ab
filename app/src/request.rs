//! One request on its way through a page.

use std::{str::FromStr, sync::Arc};

use berth_core::{
    Error, OpCtx, Result, Services,
    authz::NamespaceRef,
    ports::{
        cluster::Freshness,
        pages::{Language, PageRequest, PageResponse},
    },
};
use berth_types::{AppName, ListQuery, NamespaceName, TenantName, list::DEFAULT_LIMIT};
use leptos::prelude::{AnyView, IntoAny, IntoView};

use crate::{assets::Assets, ui::Ui};

/// Everything a page may ask: the services, who asks, what was asked. Cheap to clone.
pub type Cx = Arc<PageCx>;

/// See [`Cx`].
pub struct PageCx {
    /// What can be done.
    pub services: Services,
    /// Who asks.
    pub ctx: OpCtx,
    /// What the browser asked.
    pub request: PageRequest,
    /// Values of the pattern's `{…}`, in order.
    pub params: Vec<(&'static str, String)>,
    /// Style and scripts.
    pub assets: Arc<Assets>,
}

impl PageCx {
    /// Language and time, for views.
    #[must_use]
    pub fn ui(&self) -> Ui {
        Ui { lang: self.request.language, now: self.ctx.now() }
    }

    /// The reader's language.
    #[must_use]
    pub fn lang(&self) -> Language {
        self.request.language
    }

    /// A value from the path.
    ///
    /// # Errors
    /// `NotFound` when the pattern has none of that name: a mistake in the table, but never a panic.
    pub fn param(&self, name: &str) -> Result<&str> {
        self.params.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_str()).ok_or_else(Error::not_found)
    }

    /// A name from the path; one that cannot exist is not found.
    fn name<T: FromStr>(&self, param: &str) -> Result<T> {
        self.param(param)?.parse().map_err(|_| Error::not_found())
    }

    /// The tenant in the path.
    ///
    /// # Errors
    /// `NotFound` for a name that no tenant can have.
    pub fn tenant(&self) -> Result<TenantName> {
        self.name("tenant")
    }

    /// The namespace in the path.
    ///
    /// # Errors
    /// `NotFound` for a name that no namespace can have.
    pub fn namespace(&self) -> Result<NamespaceName> {
        self.name("namespace")
    }

    /// The app in the path.
    ///
    /// # Errors
    /// `NotFound` for a name that no app can have.
    pub fn app(&self) -> Result<AppName> {
        self.name("app")
    }

    /// A query parameter, empty when absent.
    #[must_use]
    pub fn query(&self, name: &str) -> &str {
        self.request.param(name).unwrap_or_default()
    }

    /// A form field, empty when absent.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.request.field(name).unwrap_or_default()
    }

    /// Path and query, for links back to this page.
    #[must_use]
    pub fn here(&self) -> String {
        let pairs = self.request.query.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        crate::paths::with_query(&self.request.path, pairs)
    }

    /// Reads `q`, `sort`, `page`, `limit` and the filters in `filters` from the query; sorted by `sort` unless it says
    /// otherwise.
    #[must_use]
    pub fn list_query(&self, filters: &[&str], sort: &str) -> ListQuery {
        let number = |name: &str| self.query(name).parse::<usize>().unwrap_or(0);
        let limit = if number("limit") == 0 { DEFAULT_LIMIT } else { number("limit") };
        let mut query = ListQuery {
            limit,
            sort: ListQuery::parse_sort(Some(self.query("sort")).filter(|text| !text.is_empty()).unwrap_or(sort)),
            q: self.query("q").trim().to_owned(),
            ..ListQuery::default()
        };
        query.offset = number("page").saturating_sub(1).saturating_mul(query.rows());
        for (key, value) in &self.request.query {
            if filters.contains(&key.as_str()) && !value.is_empty() {
                query.filters.entry(key.clone()).or_default().push(value.clone());
            }
        }
        query
    }
}

/// What a page answers.
pub enum Answer {
    /// A page, to be put into the frame.
    Page(Box<Page>),
    /// A redirect, or a document without frame.
    Plain(Box<PageResponse>),
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        Self::Page(Box::new(page))
    }
}

impl From<PageResponse> for Answer {
    fn from(response: PageResponse) -> Self {
        Self::Plain(Box::new(response))
    }
}

/// After how many seconds it makes sense to try again, where `error` knows.
#[must_use]
pub fn retry_after(error: &Error) -> Option<u64> {
    error.wait().map(|wait| wait.as_secs().max(1))
}

impl Answer {
    /// The same, which says when to try again, where `error` knows.
    #[must_use]
    pub fn retry_after(mut self, error: &Error) -> Self {
        if let Self::Page(page) = &mut self {
            page.retry_after = retry_after(error);
        }
        self
    }
}

/// Done: go to `to` and say `flash` there once.
#[must_use]
pub fn done(to: impl Into<String>, flash: impl Into<String>) -> Answer {
    PageResponse { flash: Some(flash.into()), ..PageResponse::redirect(to) }.into()
}

/// Which navigation stands beside a page, and where in it one is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// None: sign-in, errors.
    #[default]
    Nowhere,
    /// Among the tenants, or in one's own account.
    Home(HomeNav),
    /// In the admin console.
    Admin(AdminNav),
    /// In a tenant.
    Tenant(TenantName, TenantNav),
    /// In a namespace.
    Namespace(TenantName, NamespaceName, NamespaceNav),
}

impl Place {
    /// In `namespace`, at `nav`.
    #[must_use]
    pub fn namespace(namespace: &NamespaceRef, nav: NamespaceNav) -> Self {
        Self::Namespace(namespace.tenant.name.clone(), namespace.name.clone(), nav)
    }
}

/// Entries beside home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeNav {
    /// The tenants.
    Tenants,
    /// Profile and password.
    Account,
    /// API tokens.
    Tokens,
    /// Sessions.
    Sessions,
    /// Where one gets mail, and which.
    Mail,
    /// Identity providers that open the account.
    Connections,
    /// What is asked for besides the password.
    SecondFactor,
    /// None of them.
    Other,
}

/// Entries of the admin console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminNav {
    /// Overview.
    Overview,
    /// People.
    People,
    /// Tenants.
    Tenants,
    /// Plans.
    Plans,
    /// The platform's room.
    Capacity,
    /// Clusters.
    Clusters,
    /// Machines.
    Nodes,
    /// What is posted elsewhere when something happens on the platform.
    Webhooks,
    /// The way of mail.
    Mail,
    /// Banners on everybody's pages.
    Announcements,
    /// Identity providers.
    SignIn,
    /// Requests for another quota.
    Requests,
    /// Audit log.
    Audit,
}

/// Entries of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantNav {
    /// Its namespaces.
    Namespaces,
    /// Its members.
    Members,
    /// Its quota.
    Quota,
    /// What it is called.
    Settings,
}

/// Entries of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceNav {
    /// At a glance.
    Overview,
    /// Apps.
    Apps,
    /// Pods.
    Pods,
    /// What its pods reach, and who reaches them.
    Network,
    /// Who may do what in it.
    Access,
    /// What it takes and uses.
    Usage,
    /// Its share of the tenant's quota.
    Quota,
}

/// A page before it is put into the frame.
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// What the browser's tab says, before “· Berth”.
    pub title: String,
    /// The navigation beside it.
    pub place: Place,
    /// What follows the place in the top bar: label and link; the last one is this page.
    pub crumbs: Vec<(String, String)>,
    /// How fresh what it shows is; `None` when nothing on it comes from a cluster.
    pub freshness: Option<Freshness>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
    /// The body of `<main>`.
    pub body: AnyView,
}

impl Page {
    /// A page with status 200.
    pub fn new(title: impl Into<String>, place: Place, body: impl IntoView + 'static) -> Self {
        Self {
            status: 200,
            title: title.into(),
            place,
            crumbs: Vec::new(),
            freshness: None,
            retry_after: None,
            body: body.into_view().into_any(),
        }
    }

    /// With another status, such as 422 for a form that was refused.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one more step in the top bar.
    #[must_use]
    pub fn crumb(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push((label.into(), href.into()));
        self
    }

    /// With the age of what it shows.
    #[must_use]
    pub fn fresh(mut self, freshness: Freshness) -> Self {
        self.freshness = Some(freshness);
        self
    }
}
