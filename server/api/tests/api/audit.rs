//! The audit log: entries, files, checkpoints.

use berth_core::{services::audit_log::Checkpointed, testing::audit_key};
use berth_types::audit::AuditCheckpoint;
use serde_json::Value;

use crate::fixture::Site;

const LOG: &str = "/api/v1/admin/audit";
const EXPORT: &str = "/api/v1/admin/audit/export";
const CHECKPOINTS: &str = "/api/v1/audit/checkpoints";

#[tokio::test]
async fn an_entry_by_its_number() {
    let site = Site::new().await;
    let newest = site.get("auditor", LOG).await["items"][0].clone();
    let entry = site.get("auditor", &format!("{LOG}/{}", newest["id"])).await;
    assert_eq!(entry, newest);
    assert_eq!(entry["hash"].as_str().unwrap().len(), 64);
    for absent in ["0", "999999", "x", "-1"] {
        let answer = site.ask("auditor", "GET", &format!("{LOG}/{absent}")).send().await;
        assert_eq!(answer.problem().0, "not-found", "{absent}");
    }
}

#[tokio::test]
async fn the_log_is_filtered_by_time() {
    let site = Site::new().await;
    let total = async |query: &str| site.get("auditor", &format!("{LOG}?{query}")).await["total"].as_u64().unwrap();
    let all = total("").await;
    assert!(all > 0);
    assert_eq!(total("since=2026-11-20").await, all);
    assert_eq!(total("until=2026-11-20T08:00:00Z").await, 0);
    for (query, field) in [("since=soon", "since"), ("since=2026-11-21&until=2026-11-20", "until")] {
        let answer = site.ask("auditor", "GET", &format!("{LOG}?{query}")).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec![field.to_owned()]));
    }
}

#[tokio::test]
async fn exports() {
    let site = Site::new().await;
    let total = site.get("auditor", LOG).await["total"].as_u64().unwrap();
    let file = site.ask("auditor", "GET", EXPORT).send().await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "application/x-ndjson"));
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"berth-audit.ndjson\"");
    let lines: Vec<Value> = file.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, total);
    assert_eq!(lines[0]["id"], 1, "oldest first");

    let uri = format!("{EXPORT}?action=audit.export&since=2026-11-20");
    let file = site.ask("auditor", "GET", &uri).header("accept", "text/csv").send().await;
    assert!(file.header("content-type").starts_with("text/csv"), "{}", file.header("content-type"));
    let text = file.text();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 2, "the heading and the export before: {text}");
    assert!(rows[1].contains(",auditor,") && rows[1].contains("audit.export"), "{text}");

    for (query, field) in [("limit=5", "limit"), ("actr=ann", "actr"), ("since=x", "since"), ("outcome=odd", "outcome")]
    {
        let answer = site.ask("auditor", "GET", &format!("{EXPORT}?{query}")).send().await;
        assert_eq!(answer.problem(), ("invalid".to_owned(), vec![field.to_owned()]), "{query}");
    }
    site.ask("owner", "GET", EXPORT).send().await.problem();
    let refused = site.get("auditor", &format!("{LOG}?outcome=denied&action=audit.export")).await;
    assert_eq!(refused["items"][0]["actor"], "owner", "a refusal is seen: {refused}");
}

#[tokio::test]
async fn checkpoints() {
    let site = Site::new().await;
    assert_eq!(site.get("auditor", CHECKPOINTS).await["total"], 0);
    let key = audit_key();
    let Checkpointed::Made(made) = site.world.services.checkpoint_audit(&key, true).await.unwrap() else {
        panic!("none was made");
    };
    let page = site.get("root", CHECKPOINTS).await;
    assert_eq!(serde_json::from_value::<AuditCheckpoint>(page["items"][0].clone()).unwrap(), made);
    let lines = site.ask("auditor", "GET", CHECKPOINTS).header("accept", "application/x-ndjson").send().await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.text(), format!("{}\n", serde_json::to_string(&made).unwrap()));
}
