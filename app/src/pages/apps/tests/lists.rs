use leptos::prelude::RenderHtml;

use super::*;
use crate::{
    components::List,
    pages::apps::{
        events,
        list::{Apps, view},
        pods::{self, Pods},
    },
};

fn list<T>(path: &str, page: Page<T>, asked: &[(&str, &str)]) -> List<T> {
    List { page, query: query(asked), url: list_url(path, asked), unread: false }
}

fn apps(rows: Vec<AppRow>, total: usize, asked: &[(&str, &str)], may: May) -> Apps {
    let mut page = page(rows, total);
    let phases = [("Degraded", 1), ("Progressing", 1), ("Ready", total.saturating_sub(2))];
    if total > 0 {
        page.facets.insert("phase".to_owned(), phases.map(|(phase, n)| (phase.to_owned(), n)).into());
    }
    Apps { spot: spot(), list: list("/t/payments/n/staging/apps", page, asked), usage: usage(), may, closed: None }
}

fn rows() -> Vec<AppRow> {
    let mut bad = app_row("checkout-api", AppPhase::Degraded, 0, 3);
    bad.cause_code = Some(CauseCode::HostNotFound);
    bad.cause_params = cause_params(CauseCode::HostNotFound);
    bad.cause = Some("the host “db-payments” cannot be found".into());
    let mut two = app_row("ledger", AppPhase::Progressing, 2, 4);
    two.components = 2;
    vec![bad, two, app_row("gateway", AppPhase::Ready, 6, 6)]
}

#[test]
fn full() {
    let m = apps(rows(), 250, &[], ALL);
    insta::assert_snapshot!("list_full_en", outline(&view(ui(EN), &m).to_html()));
    insta::assert_snapshot!("list_full_zh", outline(&view(ui(ZH), &m).to_html()));
}

#[test]
fn empty() {
    let m = apps(vec![], 0, &[], ALL);
    insta::assert_snapshot!("list_empty_en", outline(&view(ui(EN), &m).to_html()));
}

#[test]
fn empty_for_one_who_may_only_look() {
    let html = view(ui(EN), &apps(vec![], 0, &[], May::default())).to_html();
    assert!(!html.contains("/apps/new"), "{html}");
    assert!(html.contains("Your role can look."), "{html}");
}

#[test]
fn nothing_fits_the_filter() {
    let html = view(ui(EN), &apps(vec![], 0, &[("q", "nothing"), ("phase", "Ready")], ALL)).to_html();
    assert!(html.contains("Nothing fits this filter"), "{html}");
    assert!(html.contains("value=\"nothing\""), "what was typed stays: {html}");
}

/// A page of 100 rows is what most requests are: it must not take a page's worth of time.
#[test]
fn a_hundred_rows_are_small() {
    let rows = (0..100).map(|n| app_row(&format!("app-{n}"), AppPhase::Ready, 3, 3)).collect();
    let html = view(ui(EN), &apps(rows, 10_000, &[], ALL)).to_html();
    assert_eq!(html.matches("<tr>").count(), 101);
    assert!(html.len() < 60_000, "{} bytes for 100 rows", html.len());
}

#[test]
fn foreign_text_is_escaped() {
    let mut row = app_row("web", AppPhase::Degraded, 0, 1);
    row.cause = Some("<script>alert(1)</script>\u{1b}[31m\u{202e}".into());
    let html = view(ui(EN), &apps(vec![row], 1, &[], ALL)).to_html();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'), "{html}");
}

const PODS: &str = "/t/payments/n/staging/pods";

fn all_pods(rows: Vec<PodRow>, total: usize, asked: &[(&str, &str)]) -> Pods {
    let mut page = page(rows, total);
    let phases = [("failing", 1), ("running", total.saturating_sub(1))];
    if total > 0 {
        page.facets.insert("phase".to_owned(), phases.map(|(phase, n)| (phase.to_owned(), n)).into());
    }
    Pods { spot: spot(), list: list(PODS, page, asked), one_app: false, may_deploy: true }
}

fn running(name: &str) -> PodRow {
    PodRow { restarts: 0, last_exit_code: None, ..pod(name, PodPhase::Running, "Running") }
}

#[test]
fn pods_of_a_namespace() {
    let mut lost = running("lost-1");
    (lost.app, lost.node) = (None, None);
    let rows = vec![pod("checkout-api-7c9f-x2kqp", PodPhase::Failing, "CrashLoopBackOff"), running("gateway-1"), lost];
    let m = all_pods(rows, 250, &[("node", "node-b")]);
    insta::assert_snapshot!("pods_en", outline(&pods::view(ui(EN), &m).to_html()));
    insta::assert_snapshot!("pods_zh", outline(&pods::view(ui(ZH), &m).to_html()));
}

/// 10,000 pods are a hundred rows of this.
#[test]
fn a_hundred_pods_are_small() {
    let rows = (0..100).map(|n| running(&format!("checkout-api-7c9f{n:04x}-x2k{n:02}"))).collect();
    let html = pods::view(ui(EN), &all_pods(rows, 10_000, &[])).to_html();
    assert_eq!(html.matches("<tr>").count(), 101);
    assert!(html.len() < 60_000, "{} bytes for 100 rows", html.len());
    assert!(html.contains("1–100 of 10000") && html.contains("href=\"/t/payments/n/staging/pods?page=2\""), "{html}");
}

#[test]
fn no_rows_have_several_reasons() {
    let shown = |m: &Pods| pods::view(ui(EN), m).to_html();
    let none = all_pods(vec![], 0, &[]);
    assert!(shown(&none).contains("No pods here yet") && !shown(&none).contains("type=\"search\""), "nothing to find");
    let filtered = shown(&all_pods(vec![], 0, &[("q", "web")]));
    assert!(filtered.contains("Nothing fits this filter") && filtered.contains("value=\"web\""), "{filtered}");
    let beyond = shown(&all_pods(vec![], 7, &[("page", "9")]));
    assert!(
        beyond.contains("The list ends before this page") && beyond.contains(&format!("href=\"{PODS}\"")),
        "{beyond}"
    );
    let mut unread = none;
    unread.list.unread = true;
    assert!(
        shown(&unread).contains("Reading the cluster") && !shown(&unread).contains("No pods"),
        "{}",
        shown(&unread)
    );
}

#[test]
fn events_are_told_by_kind() {
    let mut page = page(vec![event("BackOff", "<b>again</b>")], 5);
    page.facets.insert("kind".to_owned(), [("Warning".to_owned(), 2), ("Normal".to_owned(), 3)].into());
    let html = events::view(ui(EN), &list("/e", page, &[("kind", "Warning")])).to_html();
    assert!(html.contains("&lt;b&gt;again"), "{html}");
    for chip in [
        "href=\"/e\" aria-current=\"true\" class=\"chip\">Warning",
        "href=\"/e?kind=Warning&amp;kind=Normal\" class=\"chip\">Normal",
    ] {
        assert!(html.contains(chip), "{chip} is not in {html}");
    }
}
