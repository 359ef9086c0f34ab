//! Apps: the list, an app with all its sides, its pods, and what can be done to them.
//!
//! Every page is `load` (asks the services, gives a model) and views that are functions of the model. The parts that move
//! have ids; `live` renders them again by the same views.

use berth_core::{
    Error, Result,
    authz::{Grant, NamespaceRef},
    ports::pages::{Access, Fragment},
};
use berth_types::{Action, AppName, NamespaceName, Resource, TenantName};
use leptos::prelude::{AnyView, RenderHtml};

use crate::{
    paths,
    request::{Cx, NamespaceNav, Place},
    router::Entry,
};

mod actions;
mod configure;
mod create;
mod document;
mod editor;
mod env;
mod events;
mod finding;
mod form;
mod head;
mod headroom;
mod history;
pub(super) mod list;
mod logs;
mod overview;
mod plan;
mod pod;
mod pod_facts;
mod pods;
pub(super) mod quota;
mod revisions;
mod terminal;
#[cfg(test)]
mod tests;
pub(super) mod words;

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[
    Entry::page("/t/{tenant}/n/{namespace}/apps", Access::Tenant, |cx| Box::pin(list::page(cx)))
        .live(|cx| Box::pin(list::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/new", Access::Tenant, |cx| Box::pin(create::page(cx)))
        .form(|cx| Box::pin(create::submit(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}", Access::Tenant, |cx| Box::pin(overview::page(cx)))
        .live(|cx| Box::pin(overview::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/pods", Access::Tenant, |cx| Box::pin(pods::page(cx)))
        .live(|cx| Box::pin(pods::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/events", Access::Tenant, |cx| Box::pin(events::page(cx)))
        .live(|cx| Box::pin(events::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/logs", Access::Tenant, |cx| Box::pin(logs::page(cx)))
        .live(|cx| Box::pin(head::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/configuration", Access::Tenant, |cx| {
        Box::pin(configure::form_page(cx))
    })
    .form(|cx| Box::pin(configure::submit(cx)))
    .live(|cx| Box::pin(head::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/yaml", Access::Tenant, |cx| Box::pin(configure::yaml_page(cx)))
        .form(|cx| Box::pin(configure::submit(cx)))
        .live(|cx| Box::pin(head::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/revisions", Access::Tenant, |cx| Box::pin(revisions::page(cx)))
        .live(|cx| Box::pin(head::live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/rollback", Access::Tenant, |cx| {
        Box::pin(revisions::rollback_page(cx))
    })
    .form(|cx| Box::pin(revisions::rollback(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/scale", Access::Tenant, |cx| Box::pin(actions::scale_page(cx)))
        .form(|cx| Box::pin(actions::scale(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/delete", Access::Tenant, |cx| Box::pin(actions::delete_page(cx)))
        .form(|cx| Box::pin(actions::delete(cx))),
    Entry::action("/t/{tenant}/n/{namespace}/apps/{app}/restart", Access::Tenant, |cx| Box::pin(actions::restart(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/suspend", Access::Tenant, |cx| {
        Box::pin(actions::suspend_page(cx))
    })
    .form(|cx| Box::pin(actions::suspend(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/apps/{app}/resume", Access::Tenant, |cx| Box::pin(actions::resume_page(cx)))
        .form(|cx| Box::pin(actions::resume(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/pods", Access::Tenant, |cx| Box::pin(pods::all_page(cx)))
        .live(|cx| Box::pin(pods::all_live(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/pods/{pod}", Access::Tenant, |cx| Box::pin(pod::page(cx)))
        .live(|cx| Box::pin(pod::live(cx))),
    Entry::action("/t/{tenant}/n/{namespace}/pods/{pod}/delete", Access::Tenant, |cx| Box::pin(pod::delete(cx))),
    Entry::page("/t/{tenant}/n/{namespace}/pods/{pod}/terminal", Access::Tenant, |cx| Box::pin(terminal::page(cx))),
];

/// Where a page is: what its links begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The tenant.
    pub tenant: TenantName,
    /// The namespace within it.
    pub namespace: NamespaceName,
}

impl Spot {
    /// Of a request.
    ///
    /// # Errors
    /// `NotFound` for names that cannot exist.
    fn of(cx: &Cx) -> Result<Self> {
        Ok(Self { tenant: cx.tenant()?, namespace: cx.namespace()? })
    }

    /// For the services.
    fn path(&self) -> (&TenantName, &NamespaceName) {
        (&self.tenant, &self.namespace)
    }

    /// An app here, for the services.
    fn app<'a>(&'a self, app: &'a AppName) -> (&'a TenantName, &'a NamespaceName, &'a AppName) {
        (&self.tenant, &self.namespace, app)
    }

    fn apps_url(&self) -> String {
        paths::apps(&self.tenant, &self.namespace)
    }

    fn pods_url(&self) -> String {
        paths::pods(&self.tenant, &self.namespace)
    }

    fn app_url(&self, app: &str) -> String {
        paths::app(&self.tenant, &self.namespace, app)
    }

    fn tab_url(&self, app: &str, tab: &str) -> String {
        paths::app_tab(&self.tenant, &self.namespace, app, tab)
    }

    fn pod_url(&self, pod: &str) -> String {
        paths::pod(&self.tenant, &self.namespace, pod)
    }
}

/// What the reader could do here. The services check again when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct May {
    /// Deploy apps.
    pub create: bool,
    /// Change apps: scale, restart, roll back.
    pub update: bool,
    /// Delete apps.
    pub delete: bool,
    /// Delete pods.
    pub delete_pods: bool,
    /// Open a terminal.
    pub exec: bool,
    /// Read what containers print.
    pub logs: bool,
}

impl May {
    fn of(cx: &Cx, namespace: &NamespaceRef) -> Self {
        let could = |resource, action| cx.services.authz().could_in(&cx.ctx, namespace, resource, action);
        Self {
            create: could(Resource::App, Action::Create),
            update: could(Resource::App, Action::Update),
            delete: could(Resource::App, Action::Delete),
            delete_pods: could(Resource::Workload, Action::Delete),
            exec: could(Resource::Exec, Action::Create),
            logs: could(Resource::Log, Action::Read),
        }
    }
}

/// The navigation beside the pages of this area.
fn place(namespace: &Grant<NamespaceRef>) -> Place {
    Place::namespace(namespace, NamespaceNav::Apps)
}

/// A live part: an element's id and what it holds.
fn fragment(id: &str, view: AnyView) -> Fragment {
    Fragment { id: id.to_owned(), html: view.to_html() }
}

/// A page of these is only for who may do something: says so instead of showing a form that is refused later.
fn demand(allowed: bool, resource: Resource, action: Action) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::forbidden(resource, action)) }
}
