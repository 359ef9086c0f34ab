//! What stands above every side of an app: name, state, what can be done, the way to the other sides.

use berth_core::{Result, ports::pages::Fragment, services::apps::Found};
use berth_types::{Action, AppPhase, Resource, rows::AppView};
use leptos::prelude::*;

use super::{May, Spot, fragment, list, place, words};
use crate::{
    components::{Button, Icon, app_status, icon, link_button, status},
    pages::access::{self, Missing},
    request::{Cx, Page},
    tr,
    ui::Ui,
};

/// Sides of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// At a glance.
    Overview,
    /// Its pods.
    Pods,
    /// What the cluster says.
    Events,
    /// What its containers print.
    Logs,
    /// What is wanted, as a form.
    Configuration,
    /// What is wanted, as YAML.
    Yaml,
    /// What was wanted.
    Revisions,
    /// None: a page that asks before something is done.
    Other,
}

impl Tab {
    const SHOWN: &'static [Self] =
        &[Self::Overview, Self::Pods, Self::Logs, Self::Events, Self::Configuration, Self::Yaml, Self::Revisions];

    fn path(self) -> &'static str {
        match self {
            Self::Overview | Self::Other => "",
            Self::Pods => "pods",
            Self::Events => "events",
            Self::Logs => "logs",
            Self::Configuration => "configuration",
            Self::Yaml => "yaml",
            Self::Revisions => "revisions",
        }
    }

    fn label(self, ui: Ui) -> &'static str {
        let l = ui.lang;
        match self {
            Self::Overview | Self::Other => tr::apps::overview(l),
            Self::Pods => tr::apps::pods(l),
            Self::Events => tr::apps::events(l),
            Self::Logs => tr::apps::logs(l),
            Self::Configuration => tr::apps::configuration(l),
            Self::Yaml => "YAML",
            Self::Revisions => tr::apps::revisions(l),
        }
    }
}

/// What the head shows.
#[derive(Debug, Clone)]
pub struct Head {
    /// Where.
    pub spot: Spot,
    /// The app.
    pub app: AppView,
    /// What the reader may do.
    pub may: May,
    /// Why not change it, where it is for want of a role.
    pub closed: Option<Missing>,
}

impl Head {
    /// Of an app that was found.
    pub async fn of(cx: &Cx, spot: Spot, found: &Found) -> Self {
        let namespace = &found.app.namespace;
        let closed = access::missing_in(cx, namespace, (Resource::App, Action::Update)).await;
        Self { spot, app: found.object.view.clone(), may: May::of(cx, namespace), closed }
    }

    /// Pods that are ready, pods that are wanted.
    #[must_use]
    pub fn pods(&self) -> (i32, i32) {
        let all = &self.app.status.components;
        let app = &self.app;
        // What was just wanted is not in the status yet.
        let told = |name: &str| all.iter().find(|c| c.name == name).map_or(0, |c| c.desired);
        let desired = if app.status.observed_generation < app.generation && !app.spec.suspended {
            let wanted = app.spec.components.iter();
            wanted.map(|c| if c.autoscale.is_some() { told(&c.name) } else { c.wanted() }).sum()
        } else {
            all.iter().map(|c| c.desired).sum()
        };
        (all.iter().map(|c| c.ready).sum(), desired)
    }

    fn url(&self, tab: &str) -> String {
        self.spot.tab_url(&self.app.name, tab)
    }
}

/// The live parts of the head alone.
pub async fn live(cx: Cx) -> Result<Vec<Fragment>> {
    let (head, _) = find(&cx).await?;
    Ok(fragments(cx.ui(), &head))
}

/// The app of the page and its head.
pub async fn find(cx: &Cx) -> Result<(Head, Found)> {
    let spot = Spot::of(cx)?;
    let app = cx.app()?;
    let found = cx.services.get_app(&cx.ctx, spot.app(&app)).await?;
    Ok((Head::of(cx, spot, &found).await, found))
}

/// The parts of the head that move.
#[must_use]
pub fn fragments(ui: Ui, head: &Head) -> Vec<Fragment> {
    vec![fragment("app-state", state(ui, head)), fragment("app-do", buttons(ui, head))]
}

/// A page of an app: head, sides, body.
#[must_use]
pub fn page(ui: Ui, head: &Head, found: &Found, tab: Tab, body: AnyView) -> Page {
    let name = head.app.name.clone();
    let title = match tab {
        Tab::Overview | Tab::Other => name.clone(),
        _ => format!("{} · {name}", tab.label(ui)),
    };
    let here = head.spot.app_url(&name);
    Page::new(title, place(&found.app.namespace()), view! { {view(ui, head, tab)} {body} })
        .crumb(tr::apps::apps(ui.lang), head.spot.apps_url())
        .crumb(name, here)
        .fresh(found.freshness.clone())
}

/// The head.
#[must_use]
pub fn view(ui: Ui, head: &Head, current: Tab) -> AnyView {
    let l = ui.lang;
    let tabs: Vec<_> = Tab::SHOWN
        .iter()
        .filter(|tab| head.may.logs || **tab != Tab::Logs)
        .map(|tab| {
            let href = match tab.path() {
                "" => head.spot.app_url(&head.app.name),
                path => head.url(path),
            };
            let current = (*tab == current).then_some("page");
            view! { <a href=href aria-current=current>{tab.label(ui)}</a> }
        })
        .collect();
    view! {
        <div class="head">
            <h1>{head.app.name.clone()}</h1>
            <span class="state" id="app-state">{state(ui, head)}</span>
            <div class="do" id="app-do">{buttons(ui, head)}</div>
        </div>
        <nav class="tabs" aria-label=tr::apps::sides(l)>{tabs}</nav>
    }
    .into_any()
}

fn state(ui: Ui, head: &Head) -> AnyView {
    let (ready, desired) = head.pods();
    let phase = if head.app.deleting_since.is_some() {
        list::deleting_status(ui)
    } else if head.app.status.observed_generation < head.app.generation {
        // The status still speaks of what was wanted before.
        status(crate::components::Tone::Info, crate::components::status::app_phase(ui.lang, AppPhase::Progressing).1)
            .into_any()
    } else {
        app_status(ui.lang, head.app.status.phase).into_any()
    };
    let image = head.app.spec.components.first().map(|c| c.image.clone()).unwrap_or_default();
    view! {
        {phase}
        {list::ready_tag(ui, ready, desired)}
        <span class="tag mono" title=image.clone()>{words::image_short(&image)}</span>
    }
    .into_any()
}

/// The web address among the app's addresses, if there is one.
#[must_use]
pub fn web_address(app: &AppView) -> Option<String> {
    app.status.addresses.iter().find(|a| a.starts_with("http://") || a.starts_with("https://")).cloned()
}

fn buttons(ui: Ui, head: &Head) -> AnyView {
    let l = ui.lang;
    let open = web_address(&head.app).map(|href| {
        view! {
            <a class="btn" href=href target="_blank" rel="noopener noreferrer">{icon(Icon::Open)}{tr::apps::open(l)}</a>
        }
    });
    if head.app.deleting_since.is_some() {
        return open.into_any();
    }
    let post = |action: &'static str, symbol: Icon, label: &'static str, look: &'static str| {
        view! {
            <form method="post" action=head.url(action)>
                <button class=look type="submit">{icon(symbol)}{label}</button>
            </form>
        }
    };
    let suspended = head.app.spec.suspended;
    let change = head.may.update.then(|| {
        let first = if suspended {
            post("resume", Icon::Play, tr::apps::resume(l), "btn go").into_any()
        } else {
            link_button(Button::Plain, Some(Icon::Scale), tr::apps::scale(l), head.url("scale")).into_any()
        };
        view! {
            {first}
            {(!suspended).then(|| post("restart", Icon::Busy, tr::apps::restart(l), "btn"))}
            {link_button(Button::Plain, Some(Icon::Edit), tr::apps::edit(l), head.url("configuration"))}
        }
    });
    let suspend = (head.may.update && !suspended).then(|| {
        view! { <a class="item" href=head.url("suspend")>{icon(Icon::Pause)}{tr::apps::suspend_dots(l)}</a> }
    });
    let delete = head.may.delete.then(|| {
        view! { <a class="item danger" href=head.url("delete")>{icon(Icon::Bin)}{tr::apps::delete_dots(l)}</a> }
    });
    let more = (suspend.is_some() || delete.is_some()).then(|| {
        view! {
            <details class="menu">
                <summary class="btn" aria-label=tr::apps::more(l)>{icon(Icon::More)}</summary>
                <div class="items">{suspend}{delete}</div>
            </details>
        }
    });
    let closed = head.closed.as_ref().map(|closed| access::closed(ui, tr::apps::edit(l), closed));
    view! { {open}{change}{closed}{more} }.into_any()
}
