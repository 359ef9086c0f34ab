//! Clusters in the admin console, and where namespaces are made.

use berth_core::{
    ports::{
        cluster::{Finding, Verdict},
        pages::Language,
    },
    testing::{FakeRegistrar, World},
};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{ask, get, post, to};

const MOON: &str = "https://moon.example";

async fn world() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    world.elsewhere.put(MOON, None);
    world
}

/// A kubeconfig as a form sends it: these tests' forms have no `&` and no `=` in values.
fn form(name: &str, server: &str, act: &str) -> String {
    format!("name={name}&label=Far side&labels=tier&kubeconfig={}&do={act}", FakeRegistrar::kubeconfig(server))
}

#[tokio::test]
async fn one_is_tried_and_registered() {
    let world = world().await;
    let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
    let alone = get(&world, &olga, "/t/shop/namespaces/new").await.html;
    assert!(!alone.contains("name=\"cluster\""), "with one there is nothing to choose");
    let list = get(&world, &root, "/admin/clusters").await.html;
    assert!(list.contains("/admin/clusters/local") && list.contains("Register a cluster"), "{list}");

    let wrong = post(&world, &root, "/admin/clusters/new", &form("Moon!", "http://moon.example", "register")).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("over https://") && !wrong.html.contains("token: t"), "{}", wrong.html);

    let bad = Finding {
        what: "rights of the writer".into(),
        verdict: Verdict::Bad,
        found: "missing: impersonate users".into(),
        fix: Some("give them".into()),
    };
    world.elsewhere.put("https://sick.example", Some(bad));
    let sick = post(&world, &root, "/admin/clusters/new", &form("sick", "https://sick.example", "register")).await;
    assert_eq!(sick.status, 422);
    for text in ["Rights of the writer", "missing: impersonate users", "give them", "cannot work on this cluster"] {
        assert!(sick.html.contains(text), "{text}: {}", sick.html);
    }

    // Tried, then registered without pasting it again; what was pasted is on no page.
    let tried = post(&world, &root, "/admin/clusters/new", &form("moon", MOON, "try")).await;
    assert_eq!(tried.status, 200);
    assert!(tried.html.contains("Nothing is kept yet") && !tried.html.contains("token: t"), "{}", tried.html);
    let kept = tried.html.split("name=\"kept\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let registered = format!("name=moon&label=Far side&labels=tier&kubeconfig=&kept={kept}&do=register");
    assert_eq!(to(&post(&world, &root, "/admin/clusters/new", &registered).await), "/admin/clusters/moon");
    let page = get(&world, &root, "/admin/clusters/moon").await.html;
    for text in ["Far side", "tier=", MOON, "The cluster answers", "No namespaces", "Remove the cluster"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let chinese = ask(&world, &root, "/admin/clusters/moon", None, Language::ZhCn).await.html;
    assert!(chinese.contains("集群有响应") && !chinese.contains("The cluster answers"));

    // Now there is something to choose.
    let choice = get(&world, &olga, "/t/shop/namespaces/new").await.html;
    assert!(choice.contains("Far side (moon; tier=)"), "{choice}");
    let made = post(&world, &olga, "/t/shop/namespaces/new", "name=dev&cluster=moon").await;
    assert_eq!(to(&made), "/t/shop/n/dev");
    assert!(get(&world, &olga, "/t/shop").await.html.contains("moon"));
    let again = get(&world, &root, "/admin/clusters/moon").await.html;
    assert!(again.contains("/t/shop/n/dev") && again.contains("Forget the cluster"), "{again}");
}

#[tokio::test]
async fn one_is_closed_probed_and_forgotten() {
    let world = world().await;
    let (root, olga) = (world.ctx("root").await, world.ctx("olga").await);
    post(&world, &root, "/admin/clusters/new", &form("moon", MOON, "register")).await;
    post(&world, &olga, "/t/shop/namespaces/new", "name=dev&cluster=moon").await;
    let at = "/admin/clusters/moon";
    let half = post(&world, &root, at, "label=&labels=&state=half&version=1&do=save").await;
    assert_eq!(half.status, 422);
    assert!(half.html.contains("none of open, closed, draining"));
    let draining = "label=&labels=&state=draining&version=1&do=save";
    assert_eq!(to(&post(&world, &root, at, draining).await), at);
    let page = get(&world, &root, at).await.html;
    assert!(page.contains("Draining") && page.contains("Nothing is moved by itself: tenants"), "{page}");
    assert_eq!(post(&world, &root, at, draining).await.status, 422, "it was changed meanwhile");
    let refused = post(&world, &olga, "/t/shop/namespaces/new", "name=more&cluster=moon").await;
    assert_eq!(refused.status, 422);
    assert!(!get(&world, &olga, "/t/shop/namespaces/new").await.html.contains("name=\"cluster\""));

    world.elsewhere.cluster("moon").set_down(Some("no route to host"));
    let away = get(&world, &root, at).await.html;
    assert!(away.contains("Does not answer") && away.contains("no route to host"));
    assert_eq!(to(&post(&world, &root, at, "do=probe").await), at);
    assert!(get(&world, &root, at).await.html.contains("Bad"));
    // One away takes nothing of the others with it.
    assert_eq!(get(&world, &olga, "/t/shop").await.status, 200);

    assert_eq!(post(&world, &root, at, "do=remove").await.status, 422);
    let slip = post(&world, &root, at, "do=forget&confirm=mooon").await;
    assert!(slip.status == 422 && slip.html.contains("Type moon"), "{}", slip.html);
    // Another form of the page was refused: the settings stand there as they are, so that saving them changes nothing.
    assert!(slip.html.contains("value=\"draining\" selected"), "{}", slip.html);
    assert_eq!(to(&post(&world, &root, at, "do=forget&confirm=moon").await), "/admin/clusters");
    assert_eq!(get(&world, &root, at).await.status, 404);
    assert!(get(&world, &root, "/admin/clusters/local").await.html.contains("cannot be removed here"));
}

#[tokio::test]
async fn who_only_looks_changes_nothing() {
    let world = world().await;
    let (eye, olga) = (world.ctx("eye").await, world.ctx("olga").await);
    let page = get(&world, &eye, "/admin/clusters/local").await;
    assert!(page.status == 200 && !page.html.contains("do\" value=\"save\""), "{}", page.html);
    assert!(!get(&world, &eye, "/admin/clusters").await.html.contains("href=\"/admin/clusters/new\""));
    assert_eq!(get(&world, &eye, "/admin/clusters/new").await.status, 403);
    assert_eq!(post(&world, &eye, "/admin/clusters/local", "do=probe").await.status, 403);
    assert_eq!(get(&world, &olga, "/admin/clusters").await.status, 404);
}
