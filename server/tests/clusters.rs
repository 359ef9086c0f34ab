//! Two portals on one Postgres: a cluster that is registered at one is live at both, one that goes takes no other with it; and a drain
//! outlives the portal that began it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/harbour.rs"]
mod harbour;
#[path = "support/process.rs"]
mod process;

use harbour::{Cluster, PATIENCE, SECONDS, app, ask, deploy, done, harbour, until};
use process::Server;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_registered_is_live_everywhere() {
    let Some(harbour) = harbour().await else { return };
    let token = harbour.token.as_str();
    let (one, two) = (Server::start(&harbour.arguments), Server::start(&harbour.arguments));
    one.choose_password("root", &harbour.password);
    let moon = Cluster::start(harbour.folder.path(), "moon");

    let new = json!({"name": "moon", "label": "Far side", "labels": {"tier": "gold"}, "kubeconfig": moon.text()});
    let made = done(&one, token, "POST", "/clusters", &new);
    assert!(!made.to_string().contains("BEGIN") && made.get("kubeconfig").is_none(), "{made:#}");
    for server in [&one, &two] {
        until((server, token, "/clusters/moon"), SECONDS, "live", |cluster| cluster["health"] == "live");
    }
    // Neither it nor the configured one is registered once more.
    for kubeconfig in [moon.text(), harbour.local.text()] {
        let again = json!({"name": "sun", "kubeconfig": kubeconfig});
        let (status, said) = ask(&two, token, "POST", "/clusters", &again);
        assert_eq!((status, &said["errors"][0]["code"]), (409, &json!("cluster_known")), "{said:#}");
    }

    done(&one, token, "POST", "/tenants", &json!({"name": "shop"}));
    for (namespace, cluster) in [("dev", "moon"), ("prod", "local")] {
        done(&two, token, "POST", "/tenants/shop/namespaces", &json!({"name": namespace, "cluster": cluster}));
        let apps = format!("/tenants/shop/namespaces/{namespace}/apps");
        deploy(&one, token, &apps, &app("registry.example/web:1", 1));
        for server in [&one, &two] {
            let path = format!("{apps}/web");
            until((server, token, &path), PATIENCE, "ready", |app| app["status"]["phase"] == "Ready");
        }
    }
    let left = done(&two, token, "GET", "/clusters/moon/remains", &Value::Null);
    assert_eq!(
        (&left["namespaces"][0]["namespace"], &left["namespaces"][0]["apps"]),
        (&json!("dev"), &json!(1)),
        "{left:#}"
    );

    // Its cluster is gone: only its things are old, and the other goes on.
    drop(moon);
    for server in [&one, &two] {
        until((server, token, "/clusters/moon"), PATIENCE, "away", |cluster| cluster["health"] == "away");
        until((server, token, "/clusters/local"), PATIENCE, "live", |cluster| cluster["health"] == "live");
    }
    let prod = "/tenants/shop/namespaces/prod/apps/web";
    done(&one, token, "POST", &format!("{prod}/scale"), &json!({"replicas": 2}));
    until((&two, token, prod), PATIENCE, "a second pod", |app| app["status"]["ready"] == "2/2");

    // Forgotten at one, it is gone from both.
    let (status, _) = ask(&one, token, "DELETE", "/clusters/moon", &Value::Null);
    assert_eq!(status, 409, "a namespace is on it");
    done(&one, token, "POST", "/clusters/moon/forget", &json!({"confirm": "moon"}));
    let there = "/clusters/moon/nodes";
    until((&two, token, there), SECONDS, "gone", |said| said["status"] == 404);
    let names = done(&two, token, "GET", "/tenants/shop/namespaces", &Value::Null);
    assert_eq!(names["items"].as_array().unwrap().len(), 1, "{names:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_outlives_its_portal() {
    let Some(harbour) = harbour().await else { return };
    let token = harbour.token.as_str();
    let one = Server::start(&harbour.arguments);
    one.choose_password("root", &harbour.password);
    done(&one, token, "POST", "/tenants", &json!({"name": "shop"}));
    done(&one, token, "POST", "/tenants/shop/namespaces", &json!({"name": "dev"}));
    let apps = "/tenants/shop/namespaces/dev/apps";
    deploy(&one, token, apps, &app("registry.example/web:1", 9));
    let path = format!("{apps}/web");
    until((&one, token, &path), PATIENCE, "ready", |app| app["status"]["ready"] == "9/9");
    let nodes = until((&one, token, "/clusters/local/nodes"), PATIENCE, "nodes", |nodes| {
        nodes["items"].as_array().is_some_and(|all| !all.is_empty())
    });
    let pods = |node: &Value| {
        let of = node["resources"].as_array().unwrap().iter().find(|r| r["resource"] == "pods").unwrap();
        of["requested"].as_str().unwrap().parse::<u32>().unwrap()
    };
    let node = nodes["items"].as_array().unwrap().iter().max_by_key(|node| pods(node)).unwrap();
    let node = node["name"].as_str().unwrap();
    // Only the first worked on the cluster until now: the other comes when it may be killed.
    let two = Server::start(&harbour.arguments);
    until((&two, token, &format!("/clusters/local/nodes/{node}")), PATIENCE, "seen", |seen| {
        seen["node"]["name"] == node
    });

    let order = json!({"confirm": node, "losePods": true, "loseData": true});
    let mark = done(&one, token, "POST", &format!("/clusters/local/nodes/{node}/drain"), &order);
    assert!(mark["pods"].as_u64().unwrap() > 0, "{mark:#}");
    // Killed as soon as it is begun: the mark on the node is all that is left of it.
    drop(one);
    let seen = until((&two, token, &format!("/clusters/local/nodes/{node}")), PATIENCE, "drained", |seen| {
        seen["node"]["state"] == "drained"
    });
    assert_eq!(seen["node"]["drain"]["by"], "root");
    let moved = |pod: &Value| pod["tenant"] != "shop";
    assert!(seen["pods"].as_array().unwrap().iter().all(moved), "{seen:#}");
    until((&two, token, &path), PATIENCE, "ready elsewhere", |app| app["status"]["ready"] == "9/9");
    let log = done(&two, token, "GET", "/admin/audit?action=node.drained", &Value::Null);
    assert_eq!(log["items"][0]["outcome"], "done", "{log:#}");
}
