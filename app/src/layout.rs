//! The frame around every page: where am I, find anything, who am I; navigation; how fresh this is.

use std::sync::Arc;

use berth_core::{
    Result,
    ports::{
        cluster::{CacheState, Freshness, NamespaceSummary},
        pages::{Language, PageResponse, Theme},
    },
};
use berth_types::{NamespaceName, TenantName, announcement::Announcement, life::Halt};
use leptos::prelude::*;

use crate::{
    assets::Assets,
    components::{
        Icon, clock, hidden, icon,
        icon::brand_mark,
        note,
        status::{Tone, status},
    },
    pages::{access, announcements, life, view_as},
    paths,
    request::{Cx, Page, PageCx, Place},
    tr,
    ui::Ui,
};

pub(crate) mod navigation;

use navigation::navigation;

/// What the frame shows besides the page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Language and time.
    pub ui: Ui,
    /// Colours.
    pub theme: Theme,
    /// Path and query of this page.
    pub here: String,
    /// For script tags.
    pub nonce: String,
    /// Style and scripts.
    pub assets: Arc<Assets>,
    /// What the last action said.
    pub flash: Option<String>,
    /// Who is signed in.
    pub person: Option<PersonBadge>,
    /// Says that it is somebody else who looks.
    pub viewing: Option<view_as::Bar>,
    /// The tenants that one may go to: name and what it is called.
    pub tenants: Vec<(TenantName, Arc<str>)>,
    /// The namespaces of the tenant one is in.
    pub namespaces: Vec<NamespaceName>,
    /// Of the tenant, the reader sees only its name and the namespaces that they were given a role in.
    pub guest: bool,
    /// The apps and pods of the namespace one is in, at a glance.
    pub summary: NamespaceSummary,
    /// Why nothing can be changed where one is.
    pub halt: Option<Halt>,
    /// How many requests wait for the reader, where any does: in the admin console and on the way there those for quotas, in a tenant those for roles.
    pub requests: Option<usize>,
    /// What the platform tells everybody.
    pub announced: Vec<Announcement>,
    /// Whether a live stream follows the page.
    pub live: bool,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonBadge {
    /// What others see.
    pub display_name: Arc<str>,
    /// Has a role on the platform.
    pub platform: bool,
}

/// Puts a page into the frame.
pub async fn respond(cx: &Cx, page: Page, live: bool) -> PageResponse {
    let status = page.status;
    let live = live && page.status == 200;
    let frame = load(cx, &page.place, live).await;
    let retry_after = page.retry_after;
    PageResponse { retry_after, ..PageResponse::html(status, document(frame, page)) }
}

/// Asks for what the frame shows. A frame that lacks its switchers is better than no page, so failures leave them empty.
async fn load(cx: &PageCx, place: &Place, live: bool) -> Frame {
    let person = cx.ctx.person().filter(|p| p.is_ready());
    let places = match person {
        Some(_) if *place != Place::Nowhere => places(cx, place).await.unwrap_or_else(|e| {
            tracing::warn!(request_id = %cx.ctx.request_id, error = %e, "the frame lacks its places");
            Places::default()
        }),
        _ => Places::default(),
    };
    Frame {
        ui: cx.ui(),
        theme: cx.request.theme,
        here: if cx.request.form.is_some() { cx.request.path.clone() } else { cx.here() },
        nonce: cx.request.nonce.clone(),
        assets: cx.assets.clone(),
        flash: cx.request.flash.clone(),
        person: cx.ctx.person().map(|p| PersonBadge {
            display_name: p.display_name.clone(),
            platform: p.platform_role.is_some() && p.is_ready(),
        }),
        viewing: cx.ctx.person().and_then(view_as::Bar::of),
        tenants: places.tenants,
        namespaces: places.namespaces,
        guest: places.guest,
        summary: places.summary,
        halt: places.halt,
        requests: places.requests,
        announced: cx.services.announced(&cx.ctx).await,
        live,
    }
}

#[derive(Default)]
struct Places {
    tenants: Vec<(TenantName, Arc<str>)>,
    namespaces: Vec<NamespaceName>,
    guest: bool,
    summary: NamespaceSummary,
    halt: Option<Halt>,
    requests: Option<usize>,
}

/// Where one may go from here: one question to the store, and none where no switcher is shown.
async fn places(cx: &PageCx, place: &Place) -> Result<Places> {
    let of_platform = cx.ctx.person().is_some_and(|p| p.platform_role.is_some());
    let (tenant, namespace) = match place {
        Place::Tenant(tenant, _) => (tenant, None),
        Place::Namespace(tenant, namespace, _) => (tenant, Some(namespace)),
        Place::Admin(_) | Place::Home(_) if of_platform => {
            let waiting = cx.services.count_open_requests(&cx.ctx).await?;
            let requests = usize::try_from(waiting).ok().filter(|n| *n > 0);
            return Ok(Places { requests, ..Places::default() });
        }
        Place::Nowhere | Place::Home(_) | Place::Admin(_) => return Ok(Places::default()),
    };
    let (tenants, namespaces) = cx.services.authz().visible_places(&cx.ctx, tenant).await?;
    let here = namespaces.iter().find(|n| Some(&n.name) == namespace);
    let summary = here.and_then(|n| Some(cx.services.clusters().get(&n.cluster).ok()?.summary(n)));
    let halt = match here {
        Some(here) => here.halt.clone(),
        None => tenants.iter().find(|t| t.name == *tenant).and_then(|t| t.halt.clone()),
    };
    let waiting = match tenants.iter().find(|t| t.name == *tenant) {
        Some(there) => access::waiting(cx, there, here).await,
        None => None,
    };
    Ok(Places {
        halt,
        tenants: tenants.iter().map(|t| (t.name.clone(), t.display_name.clone())).collect(),
        namespaces: namespaces.iter().map(|n| n.name.clone()).collect(),
        guest: !of_platform && tenants.iter().any(|t| t.name == *tenant && t.role.is_none()),
        summary: summary.unwrap_or_default(),
        requests: waiting,
    })
}

/// The whole document.
#[must_use]
pub fn document(frame: Frame, page: Page) -> String {
    let lang = frame.ui.lang;
    let Page { title, place, crumbs, freshness, body, .. } = page;
    let theme = (frame.theme != Theme::System).then(|| frame.theme.as_str());
    let bare = frame.person.is_none();
    let stale = freshness.as_ref().and_then(|f| stale_banner(lang, f));
    let announced = announcements::banners(frame.ui, &frame.announced, frame.person.is_some(), &frame.here);
    let halt = frame.halt.as_ref().map(|halt| life::banner(frame.ui, halt));
    let live = live_badge(&frame, freshness.as_ref());
    let nav = (!bare).then(|| navigation(&frame, &place)).flatten();
    let viewing = frame.viewing.as_ref();
    let class = [nav.is_some().then_some("with-nav"), viewing.map(|_| "viewing")];
    let class = class.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let seen_as = viewing.map(|bar| bar.view.id.to_string());
    let viewing = viewing.map(|bar| view_as::bar(frame.ui, bar));
    let flash = frame.flash.clone().map(|text| {
        view! { <div class="note ok flash" role="status">{icon(Icon::Ok)}<div>{text}</div></div> }
    });
    let scripts = scripts(&frame);
    let css = frame.assets.css.clone();
    let texts = frame.assets.islands.is_some().then(|| island_texts(lang));
    let view = view! {
        <html lang=lang.tag() data-theme=theme>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <title>{format!("{title} · Berth")}</title>
                <link rel="stylesheet" href=css />
                <link rel="icon" href=FAVICON />
                {scripts}
            </head>
            <body class=class data-texts=texts data-as=seen_as>
                <a class="skip" href="#main">{tr::common::skip(lang)}</a>
                {viewing}
                {top_bar(&frame, &place, crumbs)}
                {nav}
                <main id="main" tabindex="-1">
                    {announced}
                    {flash}
                    {halt}
                    <div id="stale">{stale}</div>
                    {body}
                    {live}
                </main>
            </body>
        </html>
    };
    format!("<!doctype html>{}", view.to_html())
}

/// The mark, in the accent's light tone, which stands out on light and dark tabs.
const FAVICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%230f8a92' stroke-width='2.4' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='M3 9h18M6 9v6a6 6 0 0 0 12 0V9M12 9V3M12 3h5'/%3E%3C/svg%3E";

/// Loads the islands. They find their elements by themselves; see `islands`.
fn scripts(frame: &Frame) -> Option<AnyView> {
    let islands = frame.assets.islands.clone()?;
    let boot = format!("import i from{:?};i({{module_or_path:{:?}}})", islands.js, islands.wasm);
    Some(
        view! {
            <link rel="modulepreload" href=islands.js nonce=frame.nonce.clone() />
            <link rel="preload" href=islands.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous" />
            <script type="module" nonce=frame.nonce.clone() inner_html=boot></script>
        }
        .into_any(),
    )
}

/// The words that islands say, as JSON.
fn island_texts(lang: Language) -> String {
    const KEYS: &[&str] = &[
        "now",
        "seconds",
        "minutes",
        "hours",
        "days",
        "months",
        "years",
        "find",
        "live",
        "reconnecting",
        "ended",
        "pause",
        "resume",
        "wrap",
        "download",
        "missed",
        "log",
        "output",
        "command",
        "meant",
        "closed",
        "open_again",
        "gone_deleted",
        "gone_forbidden",
    ];
    let texts = KEYS.iter().filter_map(|key| {
        let text = tr::template(lang, "common", key).or_else(|| tr::template(lang, "islands", key))?;
        Some(((*key).to_owned(), serde_json::Value::from(text)))
    });
    serde_json::Value::Object(texts.collect()).to_string()
}

/// A banner when the cluster does not answer (what is shown is from then), or when nobody carries out what is wanted.
#[must_use]
pub fn stale_banner(lang: Language, freshness: &Freshness) -> Option<AnyView> {
    // Why it does not answer (addresses, certificates) is for the admins' page.
    let body = match (&freshness.state, freshness.as_of) {
        (CacheState::Live, _) if freshness.idle_since.is_some() => {
            view! { <strong>{tr::common::idle(lang)}</strong><p>{tr::common::idle_hint(lang)}</p> }.into_any()
        }
        (CacheState::Live | CacheState::Loading, _) => return None,
        (CacheState::Stale { .. }, None) => view! { <strong>{tr::common::never_read(lang)}</strong> }.into_any(),
        (CacheState::Stale { .. }, Some(at)) => view! {
            <strong>{tr::common::as_of(lang)} " " {clock(at)}</strong>
            <p>{tr::common::stale(lang)}</p>
        }
        .into_any(),
    };
    Some(view! { <div role="status">{note(Tone::Warn, body)}</div> }.into_any())
}

/// The line under a page that says how fresh it is. The live region's island takes it over.
fn live_badge(frame: &Frame, freshness: Option<&Freshness>) -> Option<AnyView> {
    let lang = frame.ui.lang;
    if !frame.live && freshness.is_none() {
        return None;
    }
    let at = freshness.and_then(|f| f.as_of).unwrap_or(frame.ui.now);
    let loading = freshness.is_some_and(|f| f.state == CacheState::Loading);
    let state = loading.then(|| view! { {status(Tone::Info, tr::common::loading(lang))} " · " });
    let stream = frame.live.then(|| paths::live(&frame.here));
    Some(
        view! {
            <p
                class="fresh small muted"
                id="live"
                role="status"
                data-island=stream.is_some().then_some("live")
                data-url=stream
                data-live=tr::common::live(lang)
                data-reconnecting=tr::common::reconnecting(lang)
                data-gone=tr::common::live_gone(lang)
            >
                {state}
                <span data-state></span>
                {tr::common::as_of(lang)}
                " "
                {clock(at)}
            </p>
        }
        .into_any(),
    )
}

fn top_bar(frame: &Frame, place: &Place, crumbs: Vec<(String, String)>) -> impl IntoView + use<> {
    let lang = frame.ui.lang;
    let steps =
        crumbs.into_iter().map(|(label, href)| view! { <li class="crumb"><a href=href>{label}</a></li> }.into_any());
    let places: Vec<AnyView> = place_steps(frame, place).into_iter().chain(steps).collect();
    let find = frame.person.is_some().then(|| {
        view! {
            <a
                class="find"
                href=paths::SEARCH
                aria-label=tr::common::find(lang)
                data-island="palette"
                aria-keyshortcuts="Control+K Meta+K"
            >
                {icon(Icon::Search)}
                <span>{tr::common::find(lang)}</span>
                // Drawn, not written: the link is called by its words alone.
                <kbd data-keys="Ctrl K" aria-hidden="true"></kbd>
            </a>
        }
    });
    view! {
        <header class="top">
            <a class="brand" href=paths::HOME aria-label="Berth">{brand_mark()}<span>"Berth"</span></a>
            <nav class="where" aria-label=tr::common::place(lang)>
                <ol>{places}</ol>
            </nav>
            {find}
            <div class="mine">{preferences(frame)}{account(frame)}</div>
        </header>
    }
}

/// Tenant and namespace, each with a menu of the others.
fn place_steps(frame: &Frame, place: &Place) -> Vec<AnyView> {
    let lang = frame.ui.lang;
    let mut steps = Vec::new();
    let (tenant, namespace) = match place {
        Place::Tenant(tenant, _) => (Some(tenant), None),
        Place::Namespace(tenant, namespace, _) => (Some(tenant), Some(namespace)),
        Place::Admin(_) => {
            steps.push(
                view! { <li class="crumb"><a href=paths::ADMIN>{tr::common::platform(lang)}</a></li> }.into_any(),
            );
            (None, None)
        }
        Place::Home(_) | Place::Nowhere => (None, None),
    };
    if let Some(tenant) = tenant {
        let called = frame
            .tenants
            .iter()
            .find(|(name, _)| name == tenant)
            .map_or_else(|| tenant.to_string(), |(_, display)| display.to_string());
        let others = frame
            .tenants
            .iter()
            .map(|(name, display)| (paths::tenant(name), display.to_string(), name == tenant))
            .collect();
        steps.push(switcher(called, paths::tenant(tenant), tr::common::switch_tenant(lang), others));
        if let Some(namespace) = namespace {
            let others = frame
                .namespaces
                .iter()
                .map(|name| (paths::namespace(tenant, name), name.to_string(), name == namespace))
                .collect();
            let href = paths::namespace(tenant, namespace);
            steps.push(switcher(namespace.to_string(), href, tr::common::switch_namespace(lang), others));
        }
    }
    steps
}

fn switcher(label: String, href: String, menu: &'static str, others: Vec<(String, String, bool)>) -> AnyView {
    let items = (others.len() > 1).then(|| {
        let items: Vec<_> = others
            .into_iter()
            .map(|(href, label, here)| {
                view! { <li><a href=href aria-current=here.then_some("true")>{label}</a></li> }
            })
            .collect();
        view! {
            <details class="menu" data-island="menu">
                <summary aria-label=menu>{icon(Icon::Down)}</summary>
                <ul>{items}</ul>
            </details>
        }
    });
    view! { <li class="crumb"><a href=href>{label}</a>{items}</li> }.into_any()
}

/// Colours and language: buttons of one form, which comes back to this page.
fn preferences(frame: &Frame) -> impl IntoView + use<> {
    let lang = frame.ui.lang;
    let (next, symbol, label) = match frame.theme {
        Theme::System => (Theme::Dark, Icon::Contrast, tr::common::theme_to_dark(lang)),
        Theme::Dark => (Theme::Light, Icon::Moon, tr::common::theme_to_light(lang)),
        Theme::Light => (Theme::System, Icon::Sun, tr::common::theme_to_system(lang)),
    };
    let other = match lang {
        Language::En => Language::ZhCn,
        Language::ZhCn => Language::En,
    };
    let called = match other {
        Language::En => "English",
        Language::ZhCn => "中文",
    };
    view! {
        <form class="prefs" method="post" action=paths::PREFERENCES>
            {hidden("next", frame.here.clone())}
            <button class="btn quiet icon" name="theme" value=next.as_str() aria-label=label title=label>
                {icon(symbol)}
            </button>
            <button class="btn quiet lang" name="language" value=other.tag() lang=other.tag()>{called}</button>
        </form>
    }
}

fn account(frame: &Frame) -> Option<AnyView> {
    let lang = frame.ui.lang;
    let person = frame.person.as_ref()?;
    let admin = person.platform.then(|| {
        view! { <li><a href=paths::ADMIN>{icon(Icon::Gauge)}{tr::common::admin_console(lang)}</a></li> }
    });
    let name = person.display_name.to_string();
    Some(
        view! {
            <details class="menu end" data-island="menu">
                <summary class="avatar" aria-label=tr::common::account_of(lang, &name)><span data-initials=initials(&name)></span></summary>
                <div class="sheet">
                    <p class="who">{name}</p>
                    <ul>
                        <li><a href=paths::ACCOUNT>{icon(Icon::Person)}{tr::common::account(lang)}</a></li>
                        <li><a href=paths::TOKENS>{icon(Icon::Key)}{tr::common::tokens(lang)}</a></li>
                        {admin}
                        <li><a href=paths::API_DOCS>{icon(Icon::Journal)}{tr::common::api_docs(lang)}</a></li>
                        <li>
                            <form method="post" action=paths::SIGN_OUT>
                                <button type="submit">{icon(Icon::Leave)}{tr::common::sign_out(lang)}</button>
                            </form>
                        </li>
                    </ul>
                </div>
            </details>
        }
        .into_any(),
    )
}

/// Two letters for a name; one character for names in Chinese.
fn initials(name: &str) -> String {
    let mut words = name.split(|c: char| c.is_whitespace() || c == '-' || c == '.').filter(|w| !w.is_empty());
    let first = words.next().and_then(|w| w.chars().next());
    let last = words.next_back().and_then(|w| w.chars().next());
    match (first, last) {
        (Some(a), _) if !a.is_ascii() => a.to_string(),
        (Some(a), Some(b)) => format!("{a}{b}").to_uppercase(),
        (Some(a), None) => a.to_uppercase().to_string(),
        (None, _) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters() {
        for (name, want) in [("payments-dev", "PD"), ("alice", "A"), ("王小明", "王"), ("Ann B Cole", "AC"), ("", "?")]
        {
            assert_eq!(initials(name), want, "{name}");
        }
    }
}
