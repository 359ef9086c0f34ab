//! Logs, in their three forms.

use berth_core::ports::store::People as _;
use berth_types::{
    app_status::{AppPhase, AppStatus, Cause, CauseCode, Evidence, EvidenceKind},
    rows::LogLine,
};
use serde_json::Value;

use crate::fixture::{APPS, CHECKOUT, Events, POD, PODS, Site};

fn print(site: &Site, text: &str) {
    let at = Some(site.world.system().now());
    let line = LogLine { at, pod: POD.into(), container: "main".into(), text: text.to_owned() };
    site.world.cluster.put_line(&site.prod, line);
}

#[tokio::test]
async fn three_forms() {
    let site = Site::new().await;
    print(&site, "one");
    print(&site, "\u{1b}[31mtwo\u{1b}[0m");
    let pod = format!("{PODS}/{POD}/logs");
    let text = site.ask("viewer", "GET", &pod).send().await;
    assert_eq!((text.header("content-type"), text.text().as_str()), ("text/plain; charset=utf-8", "one\ntwo\n"));
    let app = site.ask("viewer", "GET", &format!("{CHECKOUT}/logs?tail=1")).send().await;
    assert_eq!(app.text(), format!("[{POD}/main] two\n"));
    let ndjson = site.ask("viewer", "GET", &pod).header("accept", "application/x-ndjson").send().await.text();
    let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["text"], &lines[0]["pod"]), (2, &"one".into(), &POD.into()));
    let mut events = Events::open(site.ask("viewer", "GET", &pod)).await;
    assert_eq!(events.expect(&site.world, "line").await["text"], "one");
    events.expect(&site.world, "line").await;
    events.expect(&site.world, "end").await;
    assert!(events.next(&site.world).await.is_none());
    for uri in [format!("{PODS}/nothing/logs"), format!("{CHECKOUT}x/logs")] {
        assert_eq!(site.ask("viewer", "GET", &uri).send().await.problem().0, "not-found", "{uri}");
    }
}

#[tokio::test]
async fn a_log_that_is_not_there_is_told_by_the_status() {
    let site = Site::new().await;
    let former = format!("{PODS}/{POD}/logs?previous=true");
    for accept in ["text/plain", "application/x-ndjson"] {
        let answer = site.ask("viewer", "GET", &former).header("accept", accept).send().await;
        assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (422, "cluster-refused"), "{accept}");
    }
    let mut events = Events::open(site.ask("viewer", "GET", &former)).await;
    assert_eq!(events.expect(&site.world, "error").await["status"], 422, "a page's stream tells it as an event");
}

#[tokio::test]
async fn who_may_not_read_logs_finds_no_line_of_them_in_causes() {
    let site = Site::new().await;
    let params = [("lastLine", "a secret line"), ("exitCode", "1")];
    let cause = Cause {
        code: CauseCode::CrashLoop,
        message: "checkout crashes right after its start".to_owned(),
        component: "main".to_owned(),
        params: params.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        evidence: [(EvidenceKind::Log, "a secret line"), (EvidenceKind::State, "Error: exit code 1")]
            .map(|(kind, text)| Evidence { kind, text: text.to_owned(), object: None, count: None })
            .into(),
        since: None,
    };
    let status = AppStatus { phase: AppPhase::Degraded, cause: Some(cause), ..AppStatus::default() };
    site.world.cluster.set_status(&site.checkout(), &status);
    for uri in [CHECKOUT, APPS] {
        for (who, lines) in [("viewer", true), ("auditor", false), ("root", false)] {
            let answer = site.get(who, uri).await.to_string();
            assert!(answer.contains("crashes right after"), "{who} {uri}: {answer}");
            assert_eq!(answer.contains("a secret line"), lines, "{who} {uri}: {answer}");
        }
        let yaml = site.ask("auditor", "GET", uri).header("accept", "application/yaml").send().await.text();
        assert!(!yaml.contains("a secret line"), "{yaml}");
    }
}

#[tokio::test]
async fn followed_until_the_token_is_revoked() {
    let site = Site::new().await;
    print(&site, "before");
    let mut events = Events::open(site.ask("viewer", "GET", &format!("{CHECKOUT}/logs?follow=true"))).await;
    assert_eq!(events.expect(&site.world, "line").await["text"], "before");
    print(&site, "after");
    assert_eq!(events.expect(&site.world, "line").await["text"], "after");
    assert!(events.comment(&site.world).await);
    let viewer = site.world.ctx("viewer").await.person().unwrap().id;
    let token = site.world.store.list_tokens(viewer).await.unwrap()[0].id;
    site.world.store.revoke_token(viewer, token).await.unwrap();
    assert_eq!(events.expect(&site.world, "error").await["code"], "unauthenticated");
    assert!(events.next(&site.world).await.is_none());
}
