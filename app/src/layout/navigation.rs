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

pub(super) fn navigation(frame: &Frame, place: &Place) -> Option<AnyView> {
    let lang = frame.ui.lang;
    let entry =
        |symbol, label, href: &str, here| Entry { symbol, label, href: href.to_owned(), here, bad: 0, count: None };
    let (label, groups): (&'static str, Vec<(&'static str, Vec<Entry>)>) = match place {
        Place::Nowhere => return None,
        Place::Home(at) => {
            let mine = vec![
                entry(Icon::Person, tr::common::account(lang), paths::ACCOUNT, *at == HomeNav::Account),
                entry(Icon::Lines, tr::mail::mail(lang), paths::MAIL, *at == HomeNav::Mail),
                entry(Icon::Key, tr::common::tokens(lang), paths::TOKENS, *at == HomeNav::Tokens),
                entry(Icon::Screen, tr::common::sessions(lang), paths::SESSIONS, *at == HomeNav::Sessions),
                entry(Icon::Lock, tr::sign_in::ways(lang), paths::CONNECTIONS, *at == HomeNav::Connections),
                entry(Icon::Ok, tr::factors::title(lang), paths::SECOND_FACTOR, *at == HomeNav::SecondFactor),
            ];
            let tenants = vec![entry(Icon::Tenant, tr::common::tenants(lang), paths::HOME, *at == HomeNav::Tenants)];
            (tr::common::home(lang), vec![("", tenants), (tr::common::account(lang), mine)])
        }
        Place::Admin(at) => {
            let entries = vec![
                entry(Icon::Gauge, tr::common::overview(lang), paths::ADMIN, *at == AdminNav::Overview),
                entry(Icon::Tenant, tr::common::tenants(lang), paths::ADMIN_TENANTS, *at == AdminNav::Tenants),
                entry(Icon::Box, tr::quotas::plans(lang), paths::ADMIN_PLANS, *at == AdminNav::Plans),
                Entry {
                    count: frame.requests,
                    ..entry(Icon::Lines, tr::requests::requests(lang), paths::ADMIN_REQUESTS, *at == AdminNav::Requests)
                },
                entry(Icon::Pods, tr::capacity::capacity(lang), paths::ADMIN_CAPACITY, *at == AdminNav::Capacity),
                entry(Icon::Network, tr::shell::clusters(lang), paths::ADMIN_CLUSTERS, *at == AdminNav::Clusters),
                entry(Icon::Screen, tr::nodes::nodes(lang), paths::ADMIN_NODES, *at == AdminNav::Nodes),
                entry(Icon::People, tr::common::people(lang), paths::ADMIN_PEOPLE, *at == AdminNav::People),
                entry(Icon::Lock, tr::sign_in::nav(lang), paths::ADMIN_SIGN_IN, *at == AdminNav::SignIn),
                entry(
                    Icon::Info,
                    tr::announcements::announcements(lang),
                    paths::ADMIN_ANNOUNCEMENTS,
                    *at == AdminNav::Announcements,
                ),
                entry(Icon::Journal, tr::common::audit(lang), paths::ADMIN_AUDIT, *at == AdminNav::Audit),
            ];
            (tr::common::platform(lang), vec![(tr::common::platform(lang), entries)])
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
