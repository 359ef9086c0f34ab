//! Where one can go from here.

use berth_core::ports::pages::Language;
use leptos::prelude::*;

use super::Frame;
use crate::{
    components::{Icon, icon},
    paths,
    request::{AdminNav, HomeNav, NamespaceNav, Place, TenantNav},
    tr,
};

/// An entry of the navigation.
struct Entry {
    symbol: Icon,
    label: &'static str,
    href: String,
    here: bool,
    bad: usize,
    count: Option<usize>,
}

/// A page that everybody has, or every one with a role on the platform: its picture, its name, where it is.
pub(crate) type Way<At> = (Icon, fn(Language) -> &'static str, &'static str, At);

/// A person's own.
pub(crate) const ACCOUNT: [Way<HomeNav>; 6] = [
    (Icon::Person, tr::common::account, paths::ACCOUNT, HomeNav::Account),
    (Icon::Envelope, tr::mail::mail, paths::MAIL, HomeNav::Mail),
    (Icon::Key, tr::common::tokens, paths::TOKENS, HomeNav::Tokens),
    (Icon::Screen, tr::common::sessions, paths::SESSIONS, HomeNav::Sessions),
    (Icon::Lock, tr::sign_in::ways, paths::CONNECTIONS, HomeNav::Connections),
    (Icon::Ok, tr::factors::title, paths::SECOND_FACTOR, HomeNav::SecondFactor),
];

/// What the platform has.
pub(crate) const PLATFORM: [Way<AdminNav>; 9] = [
    (Icon::Gauge, tr::common::overview, paths::ADMIN, AdminNav::Overview),
    (Icon::Tenant, tr::common::tenants, paths::ADMIN_TENANTS, AdminNav::Tenants),
    (Icon::Box, tr::quotas::plans, paths::ADMIN_PLANS, AdminNav::Plans),
    (Icon::Lines, tr::requests::requests, paths::ADMIN_REQUESTS, AdminNav::Requests),
    (Icon::Pods, tr::capacity::capacity, paths::ADMIN_CAPACITY, AdminNav::Capacity),
    (Icon::Network, tr::shell::clusters, paths::ADMIN_CLUSTERS, AdminNav::Clusters),
    (Icon::Screen, tr::nodes::nodes, paths::ADMIN_NODES, AdminNav::Nodes),
    (Icon::People, tr::common::people, paths::ADMIN_PEOPLE, AdminNav::People),
    (Icon::Journal, tr::common::audit, paths::ADMIN_AUDIT, AdminNav::Audit),
];

/// How the platform works.
pub(crate) const SETTINGS: [Way<AdminNav>; 4] = [
    (Icon::Lock, tr::sign_in::nav, paths::ADMIN_SIGN_IN, AdminNav::SignIn),
    (Icon::Envelope, tr::mail::mail, paths::ADMIN_MAIL, AdminNav::Mail),
    (Icon::Out, tr::webhooks::webhooks, paths::ADMIN_WEBHOOKS, AdminNav::Webhooks),
    (Icon::Info, tr::announcements::announcements, paths::ADMIN_ANNOUNCEMENTS, AdminNav::Announcements),
];

fn entry(symbol: Icon, label: &'static str, href: &str, here: bool) -> Entry {
    Entry { symbol, label, href: href.to_owned(), here, bad: 0, count: None }
}

/// As entries, for a page that is at `at`.
fn entries<At: PartialEq>(lang: Language, ways: &[Way<At>], at: &At) -> Vec<Entry> {
    ways.iter().map(|(symbol, label, href, there)| entry(*symbol, label(lang), href, there == at)).collect()
}

pub(super) fn navigation(frame: &Frame, place: &Place) -> Option<AnyView> {
    let lang = frame.ui.lang;
    let (label, groups): (&'static str, Vec<(&'static str, Vec<Entry>)>) = match place {
        Place::Nowhere => return None,
        Place::Home(at) => {
            let tenants = entry(Icon::Tenant, tr::common::tenants(lang), paths::HOME, *at == HomeNav::Tenants);
            let console = frame.person.as_ref().is_some_and(|person| person.platform).then(|| Entry {
                count: frame.requests,
                ..entry(Icon::Gauge, tr::common::admin_console(lang), paths::ADMIN, false)
            });
            let first = [tenants].into_iter().chain(console).collect();
            let mine = entries(lang, &ACCOUNT, at);
            (tr::common::home(lang), vec![("", first), (tr::common::account(lang), mine)])
        }
        Place::Admin(at) => {
            let mut platform = entries(lang, &PLATFORM, at);
            for entry in platform.iter_mut().filter(|entry| entry.href == paths::ADMIN_REQUESTS) {
                entry.count = frame.requests;
            }
            let settings = entries(lang, &SETTINGS, at);
            let groups = vec![(tr::common::platform(lang), platform), (tr::common::settings(lang), settings)];
            (tr::common::platform(lang), groups)
        }
        Place::Tenant(tenant, at) => {
            let mut entries = vec![
                entry(Icon::Box, tr::common::namespaces(lang), &paths::tenant(tenant), *at == TenantNav::Namespaces),
                Entry {
                    count: frame.requests,
                    ..entry(Icon::People, tr::common::members(lang), &paths::members(tenant), *at == TenantNav::Members)
                },
                entry(Icon::Gauge, tr::quotas::quota(lang), &paths::tenant_quota(tenant), *at == TenantNav::Quota),
                entry(
                    Icon::Settings,
                    tr::common::settings(lang),
                    &paths::tenant_settings(tenant),
                    *at == TenantNav::Settings,
                ),
            ];
            if frame.guest {
                // The rest is not theirs to see.
                entries.truncate(1);
            }
            (tr::common::tenant(lang), vec![(tr::common::tenant(lang), entries)])
        }
        Place::Namespace(tenant, namespace, at) => {
            let summary = &frame.summary;
            let total = summary.degraded + summary.progressing + summary.ready + summary.suspended;
            let apps = Entry {
                bad: summary.degraded,
                count: Some(total),
                ..entry(Icon::Apps, tr::common::apps(lang), &paths::apps(tenant, namespace), *at == NamespaceNav::Apps)
            };
            let pods = Entry {
                count: Some(summary.pods),
                ..entry(Icon::Pods, tr::common::pods(lang), &paths::pods(tenant, namespace), *at == NamespaceNav::Pods)
            };
            let overview = entry(
                Icon::Gauge,
                tr::common::overview(lang),
                &paths::namespace(tenant, namespace),
                *at == NamespaceNav::Overview,
            );
            let usage = entry(
                Icon::Chart,
                tr::usage::usage(lang),
                &paths::namespace_usage(tenant, namespace),
                *at == NamespaceNav::Usage,
            );
            let network = entry(
                Icon::Network,
                tr::network::network(lang),
                &paths::namespace_network(tenant, namespace),
                *at == NamespaceNav::Network,
            );
            let access = Entry {
                count: frame.requests,
                ..entry(
                    Icon::People,
                    tr::access::access(lang),
                    &paths::namespace_members(tenant, namespace),
                    *at == NamespaceNav::Access,
                )
            };
            let members = entry(Icon::People, tr::common::members(lang), &paths::members(tenant), false);
            let here = *at == NamespaceNav::Quota;
            let quota = entry(Icon::Gauge, tr::quotas::quota(lang), &paths::tenant_quota(tenant), here);
            let of_tenant = (!frame.guest).then(|| (tr::common::tenant(lang), vec![members, quota]));
            let here = (tr::common::namespace(lang), vec![overview, apps, pods, usage, network, access]);
            (tr::common::namespace(lang), [here].into_iter().chain(of_tenant).collect())
        }
    };
    let groups: Vec<_> = groups.into_iter().map(|(title, entries)| group(lang, title, entries)).collect();
    Some(view! { <nav class="nav" aria-label=label>{groups}</nav> }.into_any())
}

fn group(lang: Language, title: &'static str, entries: Vec<Entry>) -> impl IntoView + 'static {
    let entries: Vec<_> = entries
        .into_iter()
        .map(|e| {
            let count = match (e.bad, e.count) {
                (0, None) => None,
                (0, Some(n)) => Some(view! { <span class="count">{n}</span> }.into_any()),
                (bad, _) => Some(
                    view! { <span class="count bad" title=tr::common::degraded_n(lang, bad)>{bad}</span> }.into_any(),
                ),
            };
            view! {
                <li><a href=e.href aria-current=e.here.then_some("page")>{icon(e.symbol)}{e.label}{count}</a></li>
            }
        })
        .collect();
    let title = (!title.is_empty()).then(|| view! { <h2>{title}</h2> });
    view! { {title}<ul>{entries}</ul> }
}
