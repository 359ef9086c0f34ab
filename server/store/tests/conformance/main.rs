//! One suite for every database: SQLite in memory, SQLite in a file, Postgres; and for core's fake, which stands for them in
//! other tests. A case gets an empty store of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod agents;
mod announcements;
mod chain;
mod ci;
mod clusters;
mod drifts;
mod fixture;
mod journal;
mod life;
mod links;
mod mail;
mod namespace_roles;
mod passkeys;
mod people;
mod providers;
mod quotas;
mod requests;
mod robots;
mod roles;
mod second_factors;
mod sign_in;
mod tenants;
mod upkeep;
mod usage;
mod view_as;
mod webhooks;

use std::sync::Arc;

use berth_core::ports::store::Store;
use berth_store::{Options, connect, testing::Postgres};
use futures::future::BoxFuture;

type Case = fn(Arc<dyn Store>) -> BoxFuture<'static, ()>;

/// Every case as a test of its own on SQLite, and in a list for Postgres, where they share a server. Those that hold
/// `everywhere` hold for the fake as well.
macro_rules! suite {
    (everywhere [$($area:ident::$case:ident),+ $(,)?] databases [$($own_area:ident::$own:ident),+ $(,)?]) => {
        mod fake {
            $(#[tokio::test]
            async fn $case() {
                super::$area::$case(std::sync::Arc::new(berth_core::testing::FakeStore::default())).await;
            })+
        }
        suite![$($area::$case,)+ $($own_area::$own),+];
    };
    ($($area:ident::$case:ident),+) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$area::$case(super::open("sqlite::memory:").await).await;
            })+
        }
        mod file {
            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("berth.db").display());
                super::$area::$case(super::open(&url).await).await;
            })+
        }
        const CASES: &[(&str, Case)] = &[$((stringify!($case), |store| Box::pin($area::$case(store)))),+];
    };
}

suite! {
    everywhere [
        people::accounts,
        people::sessions_begin_with_the_password_that_was_looked_at,
        ci::trusts,
        drifts::drift_is_counted,
        ci::a_job_comes_in_once,
        ci::one_of_many_jobs_comes_in,
        robots::robots,
        robots::robots_are_members_but_not_people,
        robots::robots_go_with_their_place,
        access::one_that_waits,
        access::a_decision_gives_the_role,
        namespace_roles::guests_of_a_tenant,
        namespace_roles::who_sees_what,
        namespace_roles::who_is_in_a_namespace,
        namespace_roles::what_ends_them,
        roles::what_a_role_is,
        roles::who_has_it_may_what_it_says,
        roles::what_is_held_stays,
        roles::what_is_held_is_replaced,
        roles::none_is_given_that_goes,
        roles::none_keeps_what_goes,
        roles::nobody_loses_by_a_gift,
        people::changes_of_an_account,
        people::passwords,
        people::list_is_sorted,
        people::list_is_filtered,
        people::list_is_searched,
        people::list_goes_on_from_a_cursor,
        people::list_refuses_what_it_does_not_know,
        sign_in::sessions,
        view_as::looks,
        sign_in::sessions_end,
        sign_in::disabled_people_are_out,
        sign_in::tokens,
        sign_in::failures,
        sign_in::failures_at_once,
        sign_in::tries_are_slowed_down,
        sign_in::tries_at_once,
        sign_in::sweep,
        providers::providers,
        providers::attempts_are_taken_once,
        providers::nobody_fills_the_table,
        providers::sessions_know_their_provider,
        providers::identities,
        providers::the_last_way_in_stays,
        providers::rules_of_groups,
        providers::passwords_can_be_switched_off,
        second_factors::authenticators,
        second_factors::codes_count_once,
        second_factors::recovery_codes,
        second_factors::what_goes_with_them,
        second_factors::sign_ins_that_wait,
        second_factors::few_wait_and_none_for_ever,
        passkeys::passkeys,
        passkeys::passkeys_count_upwards,
        passkeys::what_goes_with_a_passkey,
        passkeys::questions_for_passkeys,
        links::invitations,
        links::invitations_are_accepted,
        links::one_of_many_accepts,
        links::resets,
        links::mail_goes_with_its_link,
        links::links_are_swept_a_month_later,
        mail::addresses,
        mail::addresses_that_are_vouched_for,
        mail::who_may_hear,
        mail::mail_until_it_is_sent,
        mail::who_owns_an_account_is_told,
        tenants::tenants,
        tenants::tenant_versions,
        tenants::members,
        tenants::members_of_another_tenant,
        tenants::last_owner_stays,
        tenants::last_two_owners_cannot_both_go,
        tenants::namespaces,
        tenants::egress,
        tenants::protection,
        life::marks,
        life::what_is_due_goes,
        life::taken_back_or_gone,
        tenants::places,
        tenants::namespace_names_are_unique,
        quotas::plans,
        quotas::a_plan_that_is_used,
        quotas::shares,
        quotas::books_of_all,
        quotas::a_namespace_comes_with_its_share_or_not_at_all,
        quotas::the_last_of_a_quota_is_given_once,
        quotas::limits_and_shares_at_once,
        requests::requests_and_what_is_done_to_them,
        requests::what_is_granted_comes_with_the_decision,
        requests::loans_end_once,
        requests::loans_are_kept_for_longer,
        requests::deciders_at_once,
        announcements::announcements,
        agents::agents,
        agents::replicas_and_their_tunnels,
        clusters::clusters,
        clusters::what_a_cluster_takes,
        clusters::what_goes_with_a_cluster,
        clusters::a_cluster_goes_while_namespaces_come,
        usage::samples_add_up_and_none_counts_twice,
        usage::usage_totals,
        usage::old_hours_go,
        usage::a_sample_is_written_once_by_many,
        webhooks::webhooks,
        webhooks::a_notice_comes_with_what_it_tells_of,
        webhooks::messages,
        webhooks::one_that_is_given_up,
        webhooks::many_at_once_pass_on_once,
        webhooks::quotas_that_are_nearly_used_up,
        journal::audit,
        journal::an_end_is_told_once,
        journal::attempts_end,
        journal::audit_is_filtered,
        journal::audit_is_paged_while_it_grows,
        chain::the_log_is_a_chain,
        chain::attempts_that_are_settled_are_chained,
        chain::who_appends_at_once_makes_one_chain,
        chain::an_entry_is_found_by_its_number,
        chain::entries_are_read_on,
        chain::the_log_is_read_from_when_to_when,
        chain::checkpoints,
        journal::replies_are_kept,
        journal::a_claim_taken_over_is_lost,
        journal::one_claim_wins,
        upkeep::text_is_kept_as_it_is,
        upkeep::dropped_work_leaves_no_trace,
    ]
    databases [
        upkeep::answers,
        upkeep::says_which_installation_it_is,
        people::list_refuses_unknown_values,
        journal::audit_refuses_unknown_values,
        upkeep::nul_is_replaced,
    ]
}

async fn open(url: &str) -> Arc<dyn Store> {
    connect(url, &Options::default()).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = Postgres::start().expect("a server for the tests") else { return };
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let url = server.database().await.expect("a database");
        let store = connect(&url, &Options { max_connections: 4, ..Options::default() }).await.expect("opens");
        // In a task, so that a failing case does not keep the others from being tried.
        if tokio::spawn(case(store)).await.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed on Postgres: {}", failed.join(", "));
}

/// As two portal processes: each has its own store, on one database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_given_once_through_two_stores() {
    let folder = tempfile::tempdir().unwrap();
    let mut urls = vec![format!("sqlite://{}", folder.path().join("berth.db").display())];
    let server = Postgres::start().expect("a server for the tests");
    if let Some(server) = &server {
        urls.push(server.database().await.expect("a database"));
    }
    for url in urls {
        let (rounds, requests) = quotas::FULL;
        let begun = std::time::Instant::now();
        quotas::race(&[open(&url).await, open(&url).await], rounds, requests).await;
        let kind = url.split(':').next().unwrap_or_default();
        println!("{kind}: {rounds} rounds of {requests} at once through two stores in {:.1?}", begun.elapsed());
    }
}
