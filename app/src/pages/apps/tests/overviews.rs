use leptos::prelude::{IntoAny, IntoView, RenderHtml};

use super::*;
use crate::pages::apps::{
    finding, head as heads,
    head::Tab,
    overview::{Overview, view},
    revisions::Revisions,
    words,
};

fn overview(app: AppView, may: May) -> Overview {
    let revisions = revisions(&app);
    Overview {
        head: head(app, may),
        pods: vec![
            pod("checkout-api-7c9f-x2kqp", PodPhase::Failing, "CrashLoopBackOff"),
            pod("checkout-api-7c9f-m8d4z", PodPhase::Running, "Running"),
        ],
        pods_total: 2,
        events: vec![event("BackOff", "Back-off restarting failed container"), event("BackOff", "the same again")],
        revisions: Some(revisions),
    }
}

fn html(lang: Language, m: &Overview) -> String {
    let lines = vec![berth_types::rows::LogLine {
        at: Some(at("14:02:06")),
        pod: "checkout-api-7c9f-x2kqp".into(),
        container: "main".into(),
        text: "\u{1b}[31mFATAL\u{1b}[0m <b>dial</b> tcp".to_owned(),
    }];
    let ui = ui(lang);
    let page = leptos::view! { {heads::view(ui, &m.head, Tab::Overview)} {view(ui, m, &Some(lines))} };
    page.into_view().into_any().to_html()
}

#[test]
fn degraded() {
    let m = overview(with_cause(CauseCode::HostNotFound), ALL);
    insta::assert_snapshot!("overview_degraded_en", outline(&html(EN, &m)));
    insta::assert_snapshot!("overview_degraded_zh", outline(&html(ZH, &m)));
}

#[test]
fn ready() {
    let m = overview(app(AppPhase::Ready), ALL);
    insta::assert_snapshot!("overview_ready_en", outline(&html(EN, &m)));
}

/// Each cause: the sentence in both languages, and what is offered to mend it.
#[test]
fn every_cause_is_a_sentence_with_a_way_out() {
    let mut out = String::new();
    for code in CauseCode::ALL {
        let app = with_cause(*code);
        let cause = app.status.cause.clone().unwrap();
        for lang in [EN, ZH] {
            let sentence = words::cause(lang, *code, &cause.params, &cause.message);
            assert_ne!(sentence, cause.message, "{code} has no sentence of its own in {}", lang.tag());
            out.push_str(&format!("{code}: {sentence}\n"));
        }
        let head = head(app, ALL);
        let html = finding::view(ui(EN), &head, &revisions(&head.app)).to_html();
        let fixes = html.split_once("class=\"fixes\"").unwrap().1;
        for link in fixes.split("href=\"").skip(1) {
            out.push_str(&format!("  {}\n", link.split_once('"').unwrap().0));
        }
    }
    insta::assert_snapshot!("causes", out);
}

#[test]
fn other_states_say_so() {
    let text = |app: AppView, may: May| html(EN, &overview(app, may));
    let progressing = text(app(AppPhase::Progressing), ALL);
    assert!(progressing.contains("Progressing") && progressing.contains("0 of 3 ready"), "{progressing}");
    assert!(!progressing.contains("class=\"card finding\""), "nothing is wrong: {progressing}");

    let suspended = text(app(AppPhase::Suspended), ALL);
    assert!(suspended.contains("Suspended: nothing runs."), "{suspended}");
    assert!(suspended.contains("/checkout-api/resume") && !suspended.contains("/checkout-api/restart"), "{suspended}");

    let mut leaving = app(AppPhase::Ready);
    leaving.deleting_since = Some(at("14:02:00"));
    let leaving = text(leaving, ALL);
    assert!(leaving.contains("Deleting") && !leaving.contains("/checkout-api/scale"), "{leaving}");

    let mut changed = with_cause(CauseCode::ImagePull);
    changed.generation += 1;
    let changed = text(changed, ALL);
    assert!(!changed.contains("class=\"card finding\""), "the status speaks of what was wanted before: {changed}");
}

#[test]
fn who_may_only_look_sees_no_buttons() {
    let html = html(EN, &overview(with_cause(CauseCode::ImagePull), May::default()));
    for action in ["scale", "restart", "suspend", "delete", "rollback"] {
        assert!(!html.contains(&format!("/checkout-api/{action}")), "{action}: {html}");
    }
    assert!(html.contains("Developers of this tenant can mend this."), "{html}");
}

#[test]
fn printed_lines_are_harmless() {
    let html = html(EN, &overview(with_cause(CauseCode::CrashLoop), ALL));
    assert!(html.contains("FATAL &lt;b&gt;dial&lt;/b&gt; tcp"), "{html}");
    assert!(!html.contains('\u{1b}'), "{html}");
}

#[test]
fn revisions_are_compared() {
    let app = app(AppPhase::Ready);
    let rows = revisions(&app);
    let m = Revisions { head: head(app, ALL), rows: Ok(rows), compared: Some((17, 18)) };
    insta::assert_snapshot!("revisions_en", outline(&crate::pages::apps::revisions::view(ui(EN), &m).to_html()));
}
