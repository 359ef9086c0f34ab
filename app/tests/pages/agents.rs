//! Agents of clusters in the admin console.

use berth_core::{
    ports::pages::{Language, PageRequest, Pages as _},
    testing::World,
};
use berth_types::{PlatformRole, cluster::NewAgent};

use crate::common::{ask, get, pages, pairs, post};

const NEW: &str = "/admin/clusters/-/agent";

async fn world() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("eye", Some(PlatformRole::Auditor)).await;
    world
}

#[tokio::test]
async fn one_is_registered_and_its_token_is_shown_once() {
    let world = world().await;
    let root = world.ctx("root").await;
    assert!(get(&world, &root, "/admin/clusters/new").await.html.contains(NEW));
    assert!(get(&world, &root, NEW).await.html.contains("Register a cluster by an agent"));
    let wrong = post(&world, &root, NEW, "name=Moon!&label=Far side&labels=").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.html.contains("Far side"), "{}", wrong.html);

    let made = post(&world, &root, NEW, "name=moon&label=Far side&labels=").await;
    assert_eq!(made.status, 200, "{}", made.html);
    let (_, after) = made.html.split_once("data-secret>").unwrap();
    let token = after.split_once('<').unwrap().0;
    assert!(token.starts_with("berth_agent_"), "{token}");
    assert!(made.html.contains("kubectl apply -f -") && made.html.contains("download=\"berth-agent.yaml\""));
    assert!(made.html.contains("Set public_url"), "the manifest would lead nowhere: {}", made.html);
    let page = get(&world, &root, "/admin/clusters/moon").await.html;
    assert!(!page.contains(token), "never again");
    for part in
        ["Has not called yet", "what the agent says when it calls", "New token", "Revoke the token", "kubectl delete"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("name=\"kubeconfig\""), "nobody can give it another way");
    let chinese = ask(&world, &root, "/admin/clusters/moon", None, Language::ZhCn).await.html;
    assert!(chinese.contains("尚未呼叫"), "{chinese}");

    let renewed = post(&world, &root, "/admin/clusters/moon", "do=agent-renew").await;
    assert!(renewed.html.contains("data-secret>berth_agent_") && !renewed.html.contains(token), "{}", renewed.html);
    post(&world, &root, "/admin/clusters/moon", "do=agent-revoke").await;
    let page = get(&world, &root, "/admin/clusters/moon").await.html;
    assert!(page.contains("Token revoked") && !page.contains("Revoke the token"), "{page}");

    let request = PageRequest {
        path: "/admin/clusters/moon".to_owned(),
        form: Some(pairs("do=agent-renew")),
        base: "https://berth.example.com".to_owned(),
        ..PageRequest::default()
    };
    let page = pages(&world).respond(&root, request).await.html;
    assert!(page.contains("https://berth.example.com") && !page.contains("Set public_url"), "{page}");
}

#[tokio::test]
async fn an_auditor_sees_it_and_changes_nothing() {
    let world = world().await;
    let (root, eye) = (world.ctx("root").await, world.ctx("eye").await);
    world.services.register_agent(&root, &NewAgent { name: "moon".into(), ..NewAgent::default() }).await.unwrap();
    assert_eq!(get(&world, &eye, NEW).await.status, 403);
    let page = get(&world, &eye, "/admin/clusters/moon").await.html;
    assert!(page.contains("Has not called yet") && !page.contains("New token"), "{page}");
    assert_eq!(post(&world, &eye, "/admin/clusters/moon", "do=agent-renew").await.status, 403);
}
