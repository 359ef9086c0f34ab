//! What was taken and used over time, asked as a client asks.

use std::time::Duration;

use berth_core::usage::Taken;
use serde_json::{Value, json};

use crate::fixture::Site;

const PROD: &str = "/api/v1/tenants/shop/namespaces/prod/usage/history";
const SHOP: &str = "/api/v1/tenants/shop/usage/history";

fn takes(site: &Site, used: Option<&str>) {
    let amount = |key: &str, n: &str| (key.to_owned(), n.parse().unwrap());
    let counted = [amount("requests.cpu", "4"), amount("limits.cpu", "8"), amount("pods", "2")].into();
    let used = used.map(|cpu| [amount("cpu", cpu), amount("memory", "1Gi")].into());
    site.world.cluster.set_taken(&site.prod, Taken { counted, used });
}

#[tokio::test]
async fn hours_steps_and_gaps() {
    let site = Site::new().await;
    takes(&site, Some("1"));
    site.world.services.sample_usage().await.unwrap();
    takes(&site, None);
    site.world.clock.advance(Duration::from_secs(2 * 3600));
    site.world.services.sample_usage().await.unwrap();

    let history = site.get("viewer", &format!("{PROD}?from=2026-11-20T06:00:00Z&step=2h")).await;
    assert_eq!((&history["stepHours"], &history["from"]), (&json!(2), &json!("2026-11-20T06:00:00Z")));
    assert_eq!((&history["hours"], &history["measuredHours"]), (&json!(2), &json!(1)));
    let points = history["points"].as_array().unwrap();
    assert_eq!(points.len(), 3, "{history:#}");
    assert_eq!((&points[0]["hours"], &points[0]["resources"]), (&json!(0), &json!({})), "before the first sample");
    let level = |n: &str| json!({ "average": n, "peak": n });
    assert_eq!(
        points[1]["resources"]["cpu"],
        json!({ "used": level("1"), "requests": level("4"), "limits": level("8") })
    );
    assert_eq!(points[2]["resources"]["cpu"], json!({ "requests": level("4"), "limits": level("8") }), "no false 0");
    let idle = json!({ "resource": "cpu", "reserved": "4", "idle": "3", "part": 750, "never": "3" });
    assert_eq!((&history["summary"][0]["resource"], &history["summary"][0]["idle"]), (&json!("cpu"), &idle));
    assert_eq!(history["now"][0], json!({ "resource": "cpu", "requests": "4", "limits": "8" }));

    let whole = site.get("viewer", SHOP).await;
    assert_eq!((&whole["stepHours"], whole["points"].as_array().map(Vec::len)), (&json!(6), Some(120)));
    let pressure = site.get("root", "/api/v1/admin/quotas?sort=-idle").await;
    assert_eq!(pressure["items"][0]["tenant"], "shop");
    assert_eq!(pressure["items"][0]["idle"][0]["part"], 750);
    assert_eq!(pressure["items"][1].get("idle"), None::<&Value>, "nothing is known of who runs nothing");
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let site = Site::new().await;
    for (query, fields) in [
        ("from=soon&to=late&step=90m", &["from", "to", "step"][..]),
        ("from=2026-11-20&to=2026-11-19", &["to"]),
        ("from=2026-01-01&to=2026-11-19", &["to"]),
        ("hours=3", &["hours"]),
        ("step=1h&step=2h", &["step"]),
    ] {
        for path in [PROD, SHOP] {
            let answer = site.ask("viewer", "GET", &format!("{path}?{query}")).send().await;
            let want = fields.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>();
            assert_eq!((answer.status.as_u16(), answer.problem().1), (422, want), "{query}");
        }
    }
    let moon = site.ask("viewer", "GET", &format!("{SHOP}?cluster=moon")).send().await;
    assert_eq!(moon.problem().1, ["cluster"]);
}
