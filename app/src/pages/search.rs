//! Search: what the palette shows, as a page.

use std::{borrow::Cow, sync::Arc};

use berth_core::{
    Result,
    ports::pages::{Access, Language, PageResponse},
};
use berth_types::{NamespaceName, TenantName};
use futures::FutureExt;
use leptos::prelude::*;

use crate::{
    components::{Icon, icon},
    layout::navigation::{ACCOUNT, PLATFORM, SETTINGS},
    paths,
    request::{AdminNav, Answer, Cx, HomeNav, Page, Place},
    router::Entry,
    tr,
    ui::Ui,
};

/// The pages of this area.
pub const ENTRIES: &[Entry] = &[Entry::page(paths::SEARCH, Access::SignedIn, |cx| page(cx).boxed())];

/// Most things that are shown.
const SHOWN: usize = 30;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its picture.
    pub symbol: Icon,
    /// Its name.
    pub label: Cow<'static, str>,
    /// Where it is.
    pub place: String,
    /// The way there.
    pub href: String,
}

/// The portal's own pages that fit all of `words`.
fn own_pages(l: Language, platform: bool, words: &[String]) -> Vec<Found> {
    let own = [
        (Icon::Tenant, tr::common::tenants(l), paths::HOME, false),
        (Icon::Journal, tr::common::api_docs(l), paths::API_DOCS, false),
        (Icon::Gauge, tr::common::admin_console(l), paths::ADMIN, true),
        (Icon::Lock, tr::ci::issuers(l), paths::ADMIN_CI, true),
    ];
    let account = ACCOUNT.iter().map(|(symbol, label, href, _)| (*symbol, label(l), *href, false));
    let console = PLATFORM.iter().chain(&SETTINGS).skip_while(|(.., at)| *at == AdminNav::Overview);
    let console = console.map(|(symbol, label, href, _)| (*symbol, label(l), *href, true));
    let fits = |label: &str| words.iter().all(|w| label.to_lowercase().contains(w.as_str()));
    own.into_iter()
        .chain(account)
        .chain(console)
        .filter(|(_, label, _, admin)| (platform || !admin) && fits(label))
        .map(|(symbol, label, href, admin)| Found {
            symbol,
            label: label.into(),
            place: if admin { tr::common::platform(l).to_owned() } else { String::new() },
            href: href.to_owned(),
        })
        .collect()
}

async fn find(cx: &Cx, q: &str) -> Result<Vec<Found>> {
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    let platform = cx.ctx.person().is_some_and(|p| p.platform_role.is_some());
    let mut found: Vec<Found> = Vec::new();
    for hit in cx.services.search(&cx.ctx, q, SHOWN).await? {
        let tenant = hit.tenant;
        found.push(match (hit.namespace, hit.app) {
            (Some(n), Some(app)) => Found {
                symbol: Icon::Apps,
                href: paths::app(&tenant, &n, &app),
                place: format!("{tenant} / {n}"),
                label: owned(&app),
            },
            (Some(n), None) => Found {
                symbol: Icon::Box,
                href: paths::namespace(&tenant, &n),
                place: tenant.to_string(),
                label: n.to_string().into(),
            },
            (None, _) => Found {
                symbol: Icon::Tenant,
                href: paths::tenant(&tenant),
                place: tr::common::tenant(cx.lang()).to_owned(),
                label: tenant.to_string().into(),
            },
        });
    }
    found.extend(lists(cx, &words).await?);
    found.extend(own_pages(cx.lang(), platform, &words));
    found.truncate(SHOWN);
    Ok(found)
}

/// The lists of namespaces that fit: `pods dev` finds the pods of every `dev`.
async fn lists(cx: &Cx, words: &[String]) -> Result<Vec<Found>> {
    type Label = fn(Language) -> &'static str;
    type Path = fn(&TenantName, &NamespaceName) -> String;
    let lists: [(Icon, Label, Path); 2] = [
        (Icon::Apps, tr::common::apps, |t, n| paths::apps(t, n)),
        (Icon::Pods, tr::common::pods, |t, n| paths::pods(t, n)),
    ];
    let mut found = Vec::new();
    for (symbol, label, path) in lists {
        // Who reads Chinese may well type English.
        let called = [label(cx.lang()), label(Language::En)].map(str::to_lowercase);
        let names_it = |word: &str| called.iter().any(|called| called.starts_with(word));
        let (of_list, of_place): (Vec<&String>, Vec<&String>) = words.iter().partition(|w| names_it(w));
        if of_list.is_empty() {
            continue;
        }
        let place = of_place.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(" ");
        for hit in cx.services.search(&cx.ctx, &place, SHOWN).await? {
            if let (Some(namespace), None) = (hit.namespace, hit.app) {
                found.push(Found {
                    symbol,
                    label: label(cx.lang()).into(),
                    place: format!("{} / {namespace}", hit.tenant),
                    href: path(&hit.tenant, &namespace),
                });
            }
        }
    }
    Ok(found)
}

fn owned(text: &Arc<str>) -> Cow<'static, str> {
    Cow::Owned(text.to_string())
}

async fn page(cx: Cx) -> Result<Answer> {
    let q: String = cx.query("q").trim().chars().take(100).collect();
    let found = find(&cx, &q).await?;
    if cx.query("part") == "hits" {
        // For the palette: the same list without its page.
        return Ok(PageResponse::html(200, hits(cx.ui(), &q, found).to_html()).into());
    }
    let view = view(cx.ui(), q, found);
    Ok(Page::new(tr::common::search(cx.lang()), Place::Home(HomeNav::Other), view).into())
}

/// The page.
pub fn view(ui: Ui, q: String, found: Vec<Found>) -> impl IntoView + 'static {
    let l = ui.lang;
    let list = hits(ui, &q, found);
    view! {
        <div class="head"><h1>{tr::common::search(l)}</h1></div>
        <section class="card" aria-label=tr::common::search(l)>
            <form class="tools" method="get" action=paths::SEARCH role="search">
                <input type="search" name="q" value=q aria-label=tr::common::find(l) autofocus=true autocomplete="off" />
                <button class="btn go" type="submit">{tr::common::search(l)}</button>
            </form>
            {list}
        </section>
    }
}

fn hits(ui: Ui, q: &str, found: Vec<Found>) -> AnyView {
    if found.is_empty() {
        return view! { <p class="in muted">{tr::shell::nothing_found(ui.lang, q)}</p> }.into_any();
    }
    let rows: Vec<_> = found
        .into_iter()
        .map(|f| {
            view! {
                <li><a href=f.href>{icon(f.symbol)}<span>{f.label}</span><span class="place">{f.place}</span></a></li>
            }
        })
        .collect();
    view! { <ul class="hits">{rows}</ul> }.into_any()
}
