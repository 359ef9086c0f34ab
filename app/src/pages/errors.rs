//! What went wrong, and a way out.

use berth_core::Error;
use berth_types::{Action, ErrorCode, NamespaceName, Resource, TenantName, TenantRole};
use leptos::prelude::*;

use super::access::{self, Missing};
use crate::{
    components::{Button, Icon, icon, link_button},
    paths,
    request::{HomeNav, NamespaceNav, Page, PageCx, Place, TenantNav},
    tr,
    ui::Ui,
};

/// What the page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Which error.
    pub code: ErrorCode,
    /// What happened here, in English; shown where it says more than the code.
    pub detail: Option<String>,
    /// The right that was missing, and who can grant it.
    pub missing: Option<Missing>,
    /// Finds the request in the log.
    pub request_id: String,
    /// Where to go on: the nearest page above that one may see.
    pub up: String,
    /// This page again.
    pub again: String,
    /// Seconds to wait.
    pub wait: Option<u64>,
    /// Something was to be changed.
    pub change: bool,
}

/// The page of an error.
pub async fn page(cx: &PageCx, error: &Error) -> Page {
    let lang = cx.lang();
    let title = tr::error_title(lang, error.code());
    // A database that does not answer is not asked for the way on.
    let place = match error.code() {
        ErrorCode::StoreUnavailable => Place::Nowhere,
        _ => place(cx).await,
    };
    let specific = matches!(
        error.code(),
        ErrorCode::ClusterRefused
            | ErrorCode::QuotaExceeded
            | ErrorCode::Suspended
            | ErrorCode::Malformed
            | ErrorCode::Invalid
    );
    let model = Model {
        code: error.code(),
        detail: specific.then(|| error.message().to_owned()),
        missing: match error.missing() {
            Some(right) => access::missing_at(cx, right).await,
            None => None,
        },
        request_id: cx.ctx.request_id.to_string(),
        up: above(&cx.request.path).to_owned(),
        again: cx.here(),
        wait: error.wait().map(|w| w.as_secs().max(1)),
        change: cx.request.form.is_some(),
    };
    Page::new(title, place, view(cx.ui(), model)).status(error.code().status())
}

/// Where it happened, as far as one may know of it: the way on stays in sight.
async fn place(cx: &PageCx) -> Place {
    if cx.ctx.person().is_none_or(|person| !person.is_ready()) {
        return Place::Nowhere;
    }
    let mut steps = cx.request.path.split('/').skip(1);
    let (Some("t"), Some(Ok(tenant))) = (steps.next(), steps.next().map(str::parse::<TenantName>)) else {
        return Place::Home(HomeNav::Other);
    };
    let authz = cx.services.authz();
    if let (Some("n"), Some(Ok(namespace))) = (steps.next(), steps.next().map(str::parse::<NamespaceName>))
        && let Ok(found) = authz.namespace(&cx.ctx, &tenant, &namespace, Resource::Namespace, Action::Read).await
    {
        let nav = if steps.next() == Some("pods") { NamespaceNav::Pods } else { NamespaceNav::Apps };
        return Place::namespace(&found, nav);
    }
    match authz.tenant(&cx.ctx, &tenant, Resource::Tenant, Action::Read).await {
        Ok(_) => Place::Tenant(tenant, TenantNav::Namespaces),
        Err(_) => Place::Home(HomeNav::Other),
    }
}

/// The page above: `/t/shop/members` is below `/t/shop`, and `/t` is no page.
fn above(path: &str) -> &str {
    let mut up = path.trim_end_matches('/');
    while let Some((parent, _)) = up.rsplit_once('/') {
        up = parent;
        if crate::router::find(up).is_some_and(|m| m.entry.page.is_some()) {
            return up;
        }
    }
    paths::HOME
}

/// A role's name; of one of a tenant's own, that by which it is given.
#[must_use]
pub fn role_name(lang: berth_core::ports::pages::Language, role: TenantRole) -> String {
    match role {
        TenantRole::Owner => tr::common::role_owner(lang).to_owned(),
        TenantRole::Admin => tr::common::role_admin(lang).to_owned(),
        TenantRole::Developer => tr::common::role_developer(lang).to_owned(),
        TenantRole::Viewer => tr::common::role_viewer(lang).to_owned(),
        TenantRole::Custom(name) => name.to_string(),
    }
}

/// The view.
pub fn view(ui: Ui, model: Model) -> impl IntoView + 'static {
    let lang = ui.lang;
    let symbol = match model.code {
        ErrorCode::Forbidden => Icon::Lock,
        ErrorCode::NotFound => Icon::Search,
        ErrorCode::RateLimited | ErrorCode::Timeout => Icon::Clock,
        _ => Icon::Warn,
    };
    let retry = matches!(
        model.code,
        ErrorCode::RateLimited
            | ErrorCode::Timeout
            | ErrorCode::Internal
            | ErrorCode::ClusterUnavailable
            | ErrorCode::StoreUnavailable
            | ErrorCode::Conflict
    );
    // Its words are of too many tries; what else is away says itself when to come back.
    let wait = model.wait.filter(|_| model.code == ErrorCode::RateLimited);
    let wait = wait.map(|s| view! { <p>{tr::common::wait_then_retry(lang, s)}</p> });
    view! {
        <section class="problem">
            {icon(symbol)}
            <h1>{tr::error_title(lang, model.code)}</h1>
            {tr::error_advice(lang, model.code, model.change).map(|a| view! { <p>{a}</p> })}
            {model.detail.map(|d| view! { <p class="mono">{d}</p> })}
            {model.missing.map(|missing| access::told(ui, &missing))}
            {wait}
            <div class="do">
                {retry.then(|| link_button(Button::Go, None, tr::common::try_again(lang), model.again))}
                {link_button(if retry { Button::Plain } else { Button::Go }, None, tr::common::one_up(lang), model.up)}
                {link_button(Button::Quiet, None, tr::common::home(lang), paths::HOME)}
            </div>
            <p class="small muted">{tr::common::request_id(lang)} " " <code>{model.request_id}</code></p>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use berth_core::ports::pages::Language;

    use super::*;

    #[test]
    fn too_many_tries_are_told_to_who_tried_too_often_alone() {
        let shown = |code| {
            let (up, again, request_id) = ("/".to_owned(), "/t/shop".to_owned(), "1".to_owned());
            let model =
                Model { code, detail: None, missing: None, request_id, up, again, wait: Some(2), change: false };
            view(Ui { lang: Language::En, now: jiff::Timestamp::UNIX_EPOCH }, model).to_html()
        };
        assert!(shown(ErrorCode::RateLimited).contains("Wait 2 s"));
        let away = shown(ErrorCode::ClusterUnavailable);
        assert!(!away.contains("Too many tries") && away.contains("Try again"), "{away}");
    }

    #[test]
    fn the_way_up() {
        assert_eq!(above("/nowhere/at/all"), "/");
        assert_eq!(above("/"), "/");
    }
}
