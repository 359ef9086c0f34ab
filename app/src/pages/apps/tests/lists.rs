use leptos::prelude::RenderHtml;

use super::*;
use crate::pages::apps::list::{Apps, view};

fn apps(rows: Vec<AppRow>, total: usize, asked: &[(&str, &str)], may: May) -> Apps {
    let mut page = page(rows, total);
    let phases = [("Degraded", 1), ("Progressing", 1), ("Ready", total.saturating_sub(2))];
    if total > 0 {
        page.facets.insert("phase".to_owned(), phases.map(|(phase, n)| (phase.to_owned(), n)).into());
    }
    let url = list_url("/t/payments/n/staging/apps", asked);
    Apps { spot: spot(), page, query: query(asked), url, usage: usage(), may }
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
    assert!(html.contains("No app fits this filter"), "{html}");
    assert!(html.contains("value=\"nothing\""), "what was typed stays: {html}");
}

/// A page of 100 rows is what most requests are: it must not take a page's worth of time.
#[test]
fn a_hundred_rows_are_small() {
    let rows = (0..100).map(|n| app_row(&format!("app-{n}"), AppPhase::Ready, 3, 3)).collect();
    let html = view(ui(EN), &apps(rows, 10_000, &[], ALL)).to_html();
    assert_eq!(html.matches("<tr>").count(), 101);
    assert!(html.len() < 110_000, "{} bytes for 100 rows", html.len());
}

#[test]
fn foreign_text_is_escaped() {
    let mut row = app_row("web", AppPhase::Degraded, 0, 1);
    row.cause = Some("<script>alert(1)</script>\u{1b}[31m\u{202e}".into());
    let html = view(ui(EN), &apps(vec![row], 1, &[], ALL)).to_html();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'), "{html}");
}
