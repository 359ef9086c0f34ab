//! A namespace that was there before becomes a tenant's, page by page, as a browser without scripts walks.

use berth_core::{
    adoption::{Strange, StrangePod},
    testing::World,
};
use berth_types::{PlatformRole, TenantRole};

use crate::common::{get, post, to};

const ADOPT: &str = "/t/shop/adopt";

/// Tenant `shop` of `olga`; `root` keeps the platform; `legacy` is nobody's, with a pod that would not start again.
async fn scene() -> World {
    let world = World::new();
    world.person("root", Some(PlatformRole::Admin)).await;
    world.person("vera", Some(PlatformRole::Auditor)).await;
    world.person("olga", None).await;
    world.tenant("shop", &[("olga", TenantRole::Owner)]).await;
    let takes = [("requests.cpu".to_owned(), "1500m".parse().unwrap())].into_iter().collect();
    let owner = Some(("Deployment".to_owned(), "<b>web".to_owned()));
    world.cluster.stranger(Strange {
        kube_name: "legacy".into(),
        uid: "1".into(),
        pods: vec![StrangePod { name: "web-1".into(), owner, token: true, takes }],
        refused: vec!["web-1: runAsNonRoot != true".into()],
        policies: Vec::new(),
        bindings: vec!["ops".into()],
        quotas: Vec::new(),
    });
    world
}

#[tokio::test]
async fn it_is_looked_at_before_it_is_adopted() {
    let world = scene().await;
    let (root, olga, vera) = (world.ctx("root").await, world.ctx("olga").await, world.ctx("vera").await);
    assert!(get(&world, &root, "/t/shop").await.html.contains(ADOPT));
    for other in [&olga, &vera] {
        assert!(!get(&world, other, "/t/shop").await.html.contains(ADOPT));
        assert_eq!(get(&world, other, ADOPT).await.status, 403);
        assert_eq!(post(&world, other, ADOPT, "kubeName=legacy&name=old&do=adopt&confirm=legacy").await.status, 403);
    }
    let form = get(&world, &root, ADOPT).await;
    assert!(form.html.contains(r#"<option value="legacy">"#) && !form.html.contains("Type "), "{}", form.html);

    let wrong = post(&world, &root, ADOPT, "kubeName=kube-system&name=old&do=look").await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.html.contains("the cluster&#x27;s or the platform&#x27;s own") || wrong.html.contains("platform's own")
    );

    let look = post(&world, &root, ADOPT, "kubeName=legacy&name=old&do=look").await;
    assert_eq!(look.status, 200, "{}", look.html);
    for told in ["&lt;b&gt;web", "web-1: runAsNonRoot != true", "ops", "No token", "Type legacy to adopt it"] {
        assert!(look.html.contains(told), "{told}: {}", look.html);
    }
    assert!(world.cluster.namespaces().is_empty(), "a look changes nothing");

    let unsure = post(&world, &root, ADOPT, "kubeName=legacy&name=old&do=adopt&confirm=legaci").await;
    assert_eq!(unsure.status, 422);
    assert!(unsure.html.contains("Type legacy to confirm"), "{}", unsure.html);
    assert!(world.cluster.namespaces().is_empty());

    let done = post(&world, &root, ADOPT, "kubeName=legacy&name=old&do=adopt&confirm=legacy").await;
    assert_eq!(to(&done), "/t/shop/n/old");
    assert!(get(&world, &olga, "/t/shop").await.html.contains("/t/shop/n/old"));
}
